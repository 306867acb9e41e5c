"""OpenID Connect tokens with which Pub/Sub's pushes are signed: whose they are, and whether they are meant for us.

https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import google.auth.transport.requests
from google.auth import jwt
from google.auth.exceptions import GoogleAuthError, TransportError

from shared.domain.errors import Unavailable

ISSUERS = ("accounts.google.com", "https://accounts.google.com")

KEPT_S = 3600.0
"""Google announces a new key a day before it signs with it."""

ASKED_AGAIN_AFTER_S = 60.0
"""For a key that is not among those kept, so that invented ones do not make us ask Google each time."""

SKEW_S = 10

REMOVED = ".SIGNATURE_REMOVED_BY_GOOGLE"
"""What Cloud Run, where it has itself checked a token, puts in its signature's place before it hands it on
(https://cloud.google.com/run/docs/troubleshooting#signature-removed)."""


class TokenRefused(Exception):
    """No token, one that Google has not signed, that has run out, or that is meant for somebody else."""


class Certificates:
    """Google's public keys, by id, as PEM."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._found: Mapping[str, str] = {}
        self._asked_at = -KEPT_S

    def having(self, key_id: object) -> Mapping[str, str]:
        """Raises Unavailable."""
        with self._lock:
            age_s = time.monotonic() - self._asked_at
            if age_s >= KEPT_S or (key_id not in self._found and age_s >= ASKED_AGAIN_AFTER_S):
                self._found = self._ask()
                self._asked_at = time.monotonic()
            return self._found

    def _ask(self) -> Mapping[str, str]:
        try:
            answer: Any = google.auth.transport.requests.Request()(self._url, method="GET")
        except TransportError as error:
            raise Unavailable(f"the certificates at {self._url} cannot be read: {error}") from error
        if answer.status != 200:
            raise Unavailable(f"the certificates at {self._url} cannot be read: status {answer.status}")
        found: Mapping[str, str] = json.loads(answer.data)
        return found


def claims_of(authorization: str, audience: str, certificates: Certificates | None) -> Mapping[str, Any]:
    """The claims of the token in an Authorization header. Raises TokenRefused, Unavailable.

    Without `certificates`, Cloud Run has checked the signature and has taken it away. That is to be believed only of a
    service that nobody can call without Cloud Run's own check.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise TokenRefused("there is no bearer token")
    try:
        claims = _signed(token, certificates) if certificates else _signature_removed(token)
    except (GoogleAuthError, ValueError, TypeError, KeyError) as error:
        raise TokenRefused(f"the token is not valid: {error}") from None
    if claims.get("aud") != audience:
        raise TokenRefused(f"the token is meant for {claims.get('aud')!r}")
    if claims.get("iss") not in ISSUERS:
        raise TokenRefused(f"the token was issued by {claims.get('iss')!r}")
    return claims


def _signed(token: str, certificates: Certificates) -> Mapping[str, Any]:
    key_id = jwt.decode_header(token).get("kid")
    claims: Mapping[str, Any] = jwt.decode(
        token, certs=certificates.having(key_id), clock_skew_in_seconds=SKEW_S
    )
    return claims


def _signature_removed(token: str) -> Mapping[str, Any]:
    if not token.endswith(REMOVED):
        raise TokenRefused("the token has its signature, so Cloud Run has not checked it")
    claims: Mapping[str, Any] = jwt.decode(token, verify=False)
    if not isinstance(claims.get("exp"), int) or claims["exp"] + SKEW_S < time.time():
        raise TokenRefused("the token has run out")
    return claims
