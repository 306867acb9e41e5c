"""Who asks: by IAP's header, by a bearer token, or by the session of a page, as the settings say."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from services.miner.auth.keys import RemoteKeys, discovered
from services.miner.auth.limits import Limits
from services.miner.auth.local_issuer import LocalIssuer
from services.miner.auth.person import Person
from services.miner.auth.roles import Roles
from services.miner.auth.sessions import CSRF_FIELD, CSRF_HEADER, UNSAFE, Sessions
from services.miner.auth.tokens import TokenRefused, Verifier
from services.miner.problems import Refusal
from shared.adapters.embedded.kept import kept_secret
from shared.domain.member import email_of
from shared.ports import Ports
from shared.runtime import Settings

IAP_ISSUER = "https://cloud.google.com/iap"
IAP_HEADER = "x-goog-iap-jwt-assertion"
"""https://cloud.google.com/iap/docs/signed-headers-howto"""

BEARER = {"WWW-Authenticate": 'Bearer realm="iflow"'}


@dataclass(frozen=True)
class Known:
    """Somebody who proved who they are. `session` is what a CSRF token is good for; None where none is needed, since
    no other site can make a browser send an Authorization header."""

    person: Person
    session: str | None


class Access:
    """Built once for an app; keys are read when somebody asks."""

    def __init__(self, settings: Settings, ports: Callable[[], Ports]) -> None:
        self.settings = settings
        self.roles = Roles(lambda: ports().documents)
        self.limits = Limits(settings.rate_per_s, settings.rate_burst)
        self.issuer = LocalIssuer(settings) if settings.has_local_issuer else None
        self._bearer = self.issuer.verifier if self.issuer else _oidc(settings)
        self._iap = _iap(settings)
        self.superadmins, self._services = _emails(settings.superadmins), _emails(settings.service_accounts)
        self._sessions: Sessions | None = None

    @property
    def sessions(self) -> Sessions:
        if self._sessions is None:
            self._sessions = Sessions(self._session_key())
        return self._sessions

    def known(self, request: Request) -> Known:
        """Raises Refusal (401) for whoever cannot say who they are."""
        authorization = request.headers.get("authorization")
        if self._iap and (assertion := request.headers.get(IAP_HEADER)):
            person = self._person(self._claims(self._iap, assertion), "iap")
            return Known(person, None if authorization else "iap")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() != "bearer" or self._bearer is None:
                raise _refused("The Authorization header has no token that is accepted here.")
            return Known(self._person(self._claims(self._bearer, token.strip()), "token"), None)
        if self.issuer and (session := self.sessions.of(request)):
            return Known(self._named(session.email, "session", is_super=False), session.id)
        raise Refusal(401, "sign-in", "Nobody knows who asks: send a bearer token, or sign in.", headers=BEARER)

    def csrf_token(self, known: Known) -> str:
        """For the forms of the pages that this person sees; empty where none is needed."""
        return self.sessions.csrf_token(known.person.email, known.session) if known.session else ""

    async def refuse_other_sites(self, request: Request, known: Known) -> None:
        """Raises Refusal (403): a browser sends cookies along whoever wrote the form."""
        if known.session is None or request.method not in UNSAFE:
            return
        found = request.headers.get(CSRF_HEADER)
        if found is None and request.headers.get("content-type", "").startswith(
            ("application/x-www-form-urlencoded", "multipart/form-data")
        ):
            field = (await request.form()).get(CSRF_FIELD)
            found = field if isinstance(field, str) else None
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
            not self.sessions.is_csrf_token(found, known.person.email, known.session)
        ):
            raise Refusal(403, "csrf", "The form was not sent from a page of ours, or the page is old: load it again.")

    def _claims(self, verifier: Verifier, token: str) -> Mapping[str, Any]:
        try:
            return verifier.claims(token)
        except TokenRefused as error:
            raise _refused(f"The token is refused: {error}.") from None

    def _person(self, claims: Mapping[str, Any], via: str) -> Person:
        email = str(claims.get("email", "")).removeprefix("accounts.google.com:")
        if claims.get("email_verified", True) is not True:
            raise _refused("The token is refused: its e-mail address is not verified.")
        claim = self.settings.superadmin_claim
        return self._named(email, via, is_super=claim is not None and claims.get(claim) is True)

    def _named(self, email: str, via: str, *, is_super: bool) -> Person:
        try:
            name = email_of(email)
        except ValueError:
            raise _refused("The token is refused: it names no e-mail address.") from None
        return Person(
            name, superadmin=is_super or name in self.superadmins, via=via,
            role_in=lambda project: self.roles.of(name, project), is_service=name in self._services,
        )

    def _session_key(self) -> bytes:
        if self.settings.session_key is not None:
            return self.settings.session_key.get_secret_value().encode()
        if self.settings.backend == "google":  # no page of another instance, or of before, is then believed
            return secrets.token_bytes(48)
        return kept_secret(self.settings.state_dir / "auth" / "session.key")


def _oidc(settings: Settings) -> Verifier | None:
    """None where the settings do not say whose tokens and for whom: then there is no token that is accepted."""
    if not settings.oidc_issuer or not settings.oidc_audience:
        return None
    address = settings.oidc_keys_url
    keys = RemoteKeys((lambda: address) if address else discovered(settings.oidc_issuer))
    algorithms = [name.strip() for name in settings.oidc_algorithms.split(",")]
    return Verifier(settings.oidc_issuer, settings.oidc_audience, keys, algorithms)


def _iap(settings: Settings) -> Verifier | None:
    if not settings.iap_audience:
        return None
    return Verifier(IAP_ISSUER, settings.iap_audience, RemoteKeys(lambda: settings.iap_keys_url), ("ES256",))


def _emails(text: str) -> tuple[str, ...]:
    return tuple(email_of(each) for each in text.split(",") if each.strip())


def _refused(detail: str) -> Refusal:
    return Refusal(401, "sign-in", detail, headers={
        "WWW-Authenticate": f'{BEARER["WWW-Authenticate"]}, error="invalid_token"'
    })
