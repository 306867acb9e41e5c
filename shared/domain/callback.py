"""Where a callback or a webhook may go: to a public https address, and nowhere inside anybody's network (SSRF).

An address is looked at twice: as it is written when somebody names it, and as it resolves whenever something is sent.
Special-purpose ranges: https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from shared.domain.errors import Permanent
from shared.domain.reasons import show

LONGEST_URL = 2_000
PORTS = (443, 8443)
REMEDY = "give an https address of a public server"

_VISIBLE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")
"""ASCII without blanks and backslashes, which parsers read differently."""

_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_LIKE_A_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_INNER_NAMES = ("localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa")

_CLOSED_4 = tuple(map(IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
)))
_OPEN_6 = IPv6Network("2000::/3")
"""What is public lies in here; mapped, translated, unique local, link-local and multicast addresses do not."""

_CLOSED_6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Teredo and its like, documentation, 6to4: those in `_OPEN_6` that lead elsewhere, or nowhere."""


class AddressRefused(Permanent):
    """Nothing is sent there; the sentence names the value and what to do."""


@dataclass(frozen=True)
class Destination:
    """`host` is a name or an IP address without brackets, `target` the path with its query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """As the header Host has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"


def destination(url: str, *, loopback: bool = False) -> Destination:
    """Where `url` leads, as it is written. With `loopback` this machine is allowed, too, by http and on any port.

    Raises AddressRefused.
    """
    if len(url) > LONGEST_URL:
        raise AddressRefused(f"the address has {len(url):,} characters; {LONGEST_URL:,} are allowed")
    shown = show(url.partition("?")[0])
    if not _VISIBLE.fullmatch(url):
        raise AddressRefused(f"{shown} holds a blank, a backslash, or what is not ASCII; percent-encode it")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError as error:
        raise AddressRefused(f"{shown} is no address ({error}); {REMEDY}") from None
    here = loopback and is_loopback(host)
    if fault := _fault(parts, host, port, here):
        raise AddressRefused(f"{shown} {fault}")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target)


def _fault(parts: SplitResult, host: str, port: int | None, here: bool) -> str | None:
    if parts.scheme != "https" and not (here and parts.scheme == "http"):
        return f"does not begin with https://; {REMEDY}"
    if "@" in parts.netloc:
        return "holds a user or a password; the signature says who sends, so leave them out"
    if "#" in parts.geturl():
        return "has a fragment (#...), which is never sent; leave it out"
    if not here and (parts.netloc.endswith(":") or (port if port is not None else 443) not in PORTS):
        return f"names port {port}; only {' and '.join(map(str, PORTS))} are allowed"
    return None if here else _fault_of_host(host)


def _fault_of_host(host: str) -> str | None:
    if _address(host) is not None and "%" not in host:
        return problem_with_address(host)
    if not _NAME.fullmatch(host):
        return f"names no host; {REMEDY}"
    if _LIKE_A_NUMBER.fullmatch(host.rpartition(".")[2]):
        return f"writes an IP address in an odd form; {REMEDY}"
    if "." not in host or any(host == name or host.endswith(f".{name}") for name in _INNER_NAMES):
        return f"names {host!r}, which is inside somebody's own network; {REMEDY}"
    return None


def problem_with_address(address: str) -> str | None:
    """Why nothing is sent to this IP address, or None where it is a public one."""
    found = _address(address)
    if isinstance(found, IPv4Address):
        public = not any(found in network for network in _CLOSED_4)
    else:
        public = found is not None and found in _OPEN_6 and not any(found in network for network in _CLOSED_6)
    return None if public else f"leads to {address}, which is not on the public Internet; {REMEDY}"


def is_loopback(host: str) -> bool:
    """Whether it is this machine, as it is written."""
    found = _address(host)
    return host == "localhost" if found is None else found.is_loopback


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
