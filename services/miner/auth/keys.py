"""Public keys of an issuer, as a JSON Web Key Set (RFC 7517): kept for a while, and asked for again when one is new."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import httpx
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from shared.domain.errors import Unavailable

log = logging.getLogger(__name__)

KEPT_S = 3600.0
"""Issuers announce a new key well before they sign with it."""

STALE_S = 86_400.0
"""How long kept keys go on being used while the issuer does not answer."""

ASKED_AGAIN_AFTER_S = 30.0
"""Between two questions, whatever key ids are made up: so many strangers make us ask no more often."""

TIMEOUT_S = 5.0
LARGEST_BYTES = 500_000


class Keys(Protocol):
    def named(self, key_id: str) -> PyJWK | None:
        """None for a key that the issuer does not have. Raises Unavailable."""


class RemoteKeys:
    """Keys at `find()`, an https address. `monotonic` is a clock in seconds."""

    def __init__(self, find: Callable[[], str], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._find, self._monotonic = find, monotonic
        self._lock = threading.Lock()
        self._kept: Mapping[str, PyJWK] = {}
        self._answered_at = self._asked_at = float("-inf")

    def named(self, key_id: str) -> PyJWK | None:
        if self._fresh() and key_id in self._kept:
            return self._kept[key_id]
        with self._lock:  # one asks, the others wait for what it finds
            if not (self._fresh() and key_id in self._kept):
                self._ask()
        return self._kept.get(key_id)

    def _fresh(self) -> bool:
        return self._monotonic() - self._answered_at < KEPT_S

    def _ask(self) -> None:
        """Raises Unavailable when there are no keys to go on with."""
        if self._monotonic() - self._asked_at >= ASKED_AGAIN_AFTER_S:
            self._asked_at = self._monotonic()
            try:
                self._kept = keys_of(fetch_json(self._find()))
                self._answered_at = self._monotonic()
            except Unavailable as error:
                log.warning("an issuer's keys cannot be read", extra={"reason": str(error)})
        if self._monotonic() - self._answered_at >= STALE_S:
            raise Unavailable("the keys of the issuer of tokens cannot be read; try again later")


def discovered(issuer: str) -> Callable[[], str]:
    """Where the issuer says that its keys are (https://openid.net/specs/openid-connect-discovery-1_0.html)."""

    def find() -> str:
        found = fetch_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer or not isinstance(found.get("jwks_uri"), str):
            raise Unavailable(f"what {issuer} says of itself names another issuer, or no keys")
        return str(found["jwks_uri"])

    return find


def fetch_json(address: str) -> Mapping[str, Any]:
    """Raises Unavailable."""
    try:
        with httpx.stream("GET", address, timeout=TIMEOUT_S) as answer:
            answer.raise_for_status()
            content = b""
            for part in answer.iter_bytes():
                content += part
                if len(content) > LARGEST_BYTES:
                    raise Unavailable(f"{address} answers with more than {LARGEST_BYTES:,} bytes")
        found = json.loads(content)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Unavailable(f"{address} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise Unavailable(f"{address} is no JSON object")
    return found


def keys_of(document: Mapping[str, Any]) -> Mapping[str, PyJWK]:
    """By key id. One that we cannot use (another purpose, an algorithm of tomorrow) hides none of the others."""
    found: dict[str, PyJWK] = {}
    for each in document.get("keys", ()):
        if not isinstance(each, dict) or each.get("use", "sig") != "sig" or not isinstance(each.get("kid"), str):
            continue
        try:
            found[each["kid"]] = PyJWK(each)
        except PyJWTError:
            continue
    return found
