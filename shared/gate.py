"""Who may call a function over HTTP: nobody but the account that Pub/Sub pushes as (C76)."""

from __future__ import annotations

import logging
from typing import NoReturn

import flask

from shared.adapters.google.tokens import Certificates, TokenRefused, claims_of
from shared.runtime import Settings

log = logging.getLogger(__name__)


class Gate:
    """401 without a valid token for this function; 403 for anybody but the push account, and for everybody while the
    settings do not name it. The reason is logged, and not told to the caller."""

    def __init__(self, settings: Settings) -> None:
        self._account, self._audience = settings.push_account, settings.push_audience
        self._certificates = Certificates(settings.push_certificates) if settings.push_signature == "check" else None

    def refuse_strangers(self) -> None:
        """For Flask, before it reads the request's body."""
        if not self._account or not self._audience:
            _refuse(403, "IFLOW_PUSH_ACCOUNT and IFLOW_PUSH_AUDIENCE do not say who may call")
        try:
            claims = claims_of(flask.request.headers.get("Authorization", ""), self._audience, self._certificates)
        except TokenRefused as error:
            _refuse(401, str(error))
        if claims.get("email") != self._account or claims.get("email_verified") is not True:
            _refuse(403, f"the token is {claims.get('email')!r}'s")


def _refuse(status: int, reason: str) -> NoReturn:
    log.warning("a call was refused", extra={"reason": reason})
    flask.abort(status, "Only the push account may call this function.")
