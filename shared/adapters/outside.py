"""POSTs to other people's servers, whose names and answers are not to be trusted.

A name is resolved once; every address that it has must be public, and the connection goes to one of those that were
looked at, so that a name which resolves differently a moment later leads nowhere. TLS is checked against the name.
Redirects are not followed, no proxy of the environment is asked, and of an answer only the first bytes are read.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Self

from shared.domain.callback import AddressRefused, Destination, destination, is_loopback, problem_with_address
from shared.domain.errors import Unavailable
from shared.domain.part import shorten
from shared.ports import Answered

CONNECT_S = 5.0
ANSWER_S = 10.0
"""From the first byte sent to the last one read, however slowly they come."""

LARGEST_HEAD_BYTES = 2_000
LONGEST_HEAD = 200
USER_AGENT = "iflow-callbacks/1"

Resolve = Callable[[str, int], Sequence[str]]
Connect = Callable[[tuple[str, int], float], socket.socket]


def resolved(host: str, port: int) -> Sequence[str]:
    """Its addresses, each once. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Outside:
    """`post` is the port's."""

    def __init__(
        self, *, loopback: bool = False, resolve: Resolve = resolved, connect: Connect = socket.create_connection,
        tls: ssl.SSLContext | None = None, answer_s: float = ANSWER_S,
    ) -> None:
        self._loopback, self._resolve, self._connect_to, self._answer_s = loopback, resolve, connect, answer_s
        self._given_tls = tls

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Loads every root certificate, which takes 30 ms: when the first message goes out, and once."""
        return self._given_tls or ssl.create_default_context()

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        to = destination(url, loopback=self._loopback)
        with _Deadline(self._connect(to), self._answer_s) as within:
            try:
                answered, fault = self._ask(to, within, headers, body), None
            except (OSError, http.client.HTTPException) as error:
                answered, fault = None, _said(error)
        if within.over:  # what was read until then may be anything
            raise Unavailable(f"{to.host} did not answer within {self._answer_s:g} s")
        if answered is None:
            raise Unavailable(f"{to.host} {fault}")
        return answered

    def _ask(self, to: Destination, within: _Deadline, headers: Mapping[str, str], body: bytes) -> Answered:
        if to.scheme == "https":
            within.socket = safe = self._tls.wrap_socket(
                within.socket, server_hostname=to.host, do_handshake_on_connect=False
            )
            safe.do_handshake()
        connection = http.client.HTTPConnection(to.host, to.port)
        connection.sock = within.socket
        connection.request("POST", to.target, body, {
            "Host": to.authority, "User-Agent": USER_AGENT, "Connection": "close", **headers,
        })
        answer = connection.getresponse()
        head = answer.read(LARGEST_HEAD_BYTES).decode(errors="replace").strip()
        return Answered(answer.status, shorten(head, LONGEST_HEAD))

    def _connect(self, to: Destination) -> socket.socket:
        """To the first of its addresses that answers."""
        last: OSError | None = None
        for address in self._checked(to):
            try:
                connected = self._connect_to((address, to.port), CONNECT_S)
            except OSError as error:
                last = error
                continue
            connected.settimeout(self._answer_s + CONNECT_S)  # `_Deadline` is first
            return connected
        raise Unavailable(f"{to.host} {_said(last)}")

    def _checked(self, to: Destination) -> Sequence[str]:
        """Its addresses, all of them public: one that is not says that the name is not to be trusted."""
        try:
            addresses = self._resolve(to.host, to.port)
        except (OSError, UnicodeError):
            raise Unavailable(f"the name {to.host} does not resolve") from None
        for address in addresses:
            if self._loopback and is_loopback(address):
                continue
            if problem := problem_with_address(address):
                raise AddressRefused(f"{to.host} {problem}")
        return addresses


class _Deadline:
    """Closes the socket at the end, and cuts it off when it is `over`: who reads from it or writes to it then gets an
    error at once, in TLS, too."""

    def __init__(self, connected: socket.socket, seconds: float) -> None:
        self.socket, self.over = connected, False
        self._timer = threading.Timer(seconds, self._cut_off)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self.socket.close()

    def _cut_off(self) -> None:
        self.over = True
        with suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


def _said(error: Exception | None) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that is not good: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"did not take a connection within {CONNECT_S:g} s"
    if isinstance(error, http.client.HTTPException):
        return "does not speak HTTP as it should"
    return f"cannot be reached: {getattr(error, 'strerror', None) or type(error).__name__}"
