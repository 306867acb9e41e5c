"""Sessions of pages: a signed cookie, and beside it a token that a form or a script must send back (CSRF)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

import jwt
from fastapi import Request
from fastapi.responses import Response
from jwt.exceptions import PyJWTError

from shared.runtime import now_utc

LASTS_S = 43_200
ALGORITHM = "HS256"
AUDIENCE = "iflow-pages"
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
START_PAGE = "/analyses"


@dataclass(frozen=True)
class Session:
    """`id` is new for each sign-in; a CSRF token is good for one of them."""

    email: str
    id: str


class Sessions:
    """`key` signs: whoever has it can be anybody."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"iflow sessions", "sha256")
        self._csrf_key = hmac.digest(key, b"iflow csrf", "sha256")

    def begin(self, request: Request, response: Response, email: str) -> Session:
        session = Session(email, secrets.token_urlsafe(16))
        now = int(now_utc().timestamp())
        value = jwt.encode(
            {"aud": AUDIENCE, "email": email, "sid": session.id, "iat": now, "exp": now + LASTS_S}, self._key, ALGORITHM
        )
        name, secure = cookie_of(request)
        response.set_cookie(name, value, max_age=LASTS_S, path="/", secure=secure, httponly=True, samesite="lax")
        return session

    def end(self, request: Request, response: Response) -> None:
        name, secure = cookie_of(request)
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")

    def of(self, request: Request) -> Session | None:
        """None without a cookie, and with one that is not ours or has run out."""
        value = request.cookies.get(cookie_of(request)[0])
        if not value:
            return None
        try:
            claims = jwt.decode(
                value, self._key, [ALGORITHM], audience=AUDIENCE, options={"require": ["exp", "email", "sid"]}
            )
        except PyJWTError:
            return None
        return Session(claims["email"], claims["sid"])

    def csrf_token(self, email: str, session: str) -> str:
        return hmac.new(self._csrf_key, f"{session}\n{email}".encode(), hashlib.sha256).hexdigest()

    def is_csrf_token(self, found: str | None, email: str, session: str) -> bool:
        return hmac.compare_digest(self.csrf_token(email, session).encode(), (found or "").encode())


def cookie_of(request: Request) -> tuple[str, bool]:
    """Its name, and whether it is sent over https alone. `__Host-` binds it to this very host; over plain http, as on
    loopback, browsers do not take a name of that kind."""
    secure = request.url.scheme == "https"
    return ("__Host-iflow" if secure else "iflow"), secure


def place_in(next_: str | None) -> str:
    """Where to go after signing in: a path of ours, else the start page (C77).

    Browsers take a backslash for a slash and leave tabs and line ends out, so that `/\\evil.example` is an address.
    """
    wanted = next_ or ""
    parts = urlsplit(wanted)
    ours = wanted.startswith("/") and not wanted.startswith("//") and not parts.scheme and not parts.netloc
    return wanted if ours and "\\" not in wanted and wanted.isprintable() and " " not in wanted else START_PAGE
