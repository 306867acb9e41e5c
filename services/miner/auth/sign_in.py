"""Signing in on a local stack, by a page or by `iflow login`: whoever reaches it on loopback may be any local person.

Where the settings name an issuer or IAP, or on google, none of this is there.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel
from pydantic import Field as In

from services.miner.auth.access import Access
from services.miner.auth.local_issuer import TOKEN_S, LocalIssuer
from services.miner.auth.sessions import place_in
from services.miner.pages.rendering import render
from services.miner.problems import Refusal
from shared.domain import paths
from shared.domain.audit import Action
from shared.domain.member import Member, email_of
from shared.ports import Documents, Order
from shared.ports import Query as DocumentQuery

router = APIRouter(include_in_schema=False)
PEOPLE_SHOWN = 50


class Wanted(BaseModel):
    email: str | None = In(default=None, max_length=300)


class Token(BaseModel):
    """`email` is whose it is: who was asked for, else the first superadmin."""

    access_token: str
    token_type: str = "Bearer"
    expires_in: int
    email: str


@router.get("/login")
def login_page(request: Request, next_: Annotated[str, Query(alias="next", max_length=2000)] = "") -> Response:
    """Whom one may be, by a button each, or by an e-mail address."""
    access = _access(request)
    _issuer(request, access)
    people = _people(access, request.app.state.ports().documents)
    return render(request, "login.html", people=people, next=place_in(next_))


@router.post("/login")
def log_in(
    request: Request, email: Annotated[str, Form(max_length=300)],
    next_: Annotated[str, Form(alias="next", max_length=2000)] = "",
) -> Response:
    """A session, and on to where one wanted to go. Another site cannot sign a browser in here."""
    access = _access(request)
    _issuer(request, access)
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(403, "csrf", "The form was not sent from a page of ours.")
    answer = RedirectResponse(place_in(next_), 303)
    access.sessions.begin(request, answer, found := _email(email))
    _note(request, found)
    return answer


@router.post("/logout")
def log_out(request: Request) -> Response:
    answer = RedirectResponse("/login", 303)
    _access(request).sessions.end(request, answer)
    return answer


@router.post("/login/token")
def token(request: Request, wanted: Wanted) -> Token:
    """For `iflow login`. What is answered can be read by no page of another site."""
    access = _access(request)
    issuer = _issuer(request, access)
    email = _email(wanted.email) if wanted.email else next(iter(access.superadmins), "admin@lab.example")
    _note(request, email)
    return Token(access_token=issuer.token(email), expires_in=TOKEN_S, email=email)


def _note(request: Request, email: str) -> None:
    request.app.state.trail.note(request, email, paths.UNASSIGNED, f"people/{email}", Action.SIGNED_IN)


def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


def _issuer(request: Request, access: Access) -> LocalIssuer:
    """Raises Refusal (404) where there is none, or for whoever is not on this machine. The Host header is looked at,
    too: a page of another site whose name was made to lead here (DNS rebinding) has its own name there."""
    client = request.client.host if request.client else ""
    if access.issuer is None or not _is_loopback(client) or not _is_loopback(request.url.hostname or ""):
        raise Refusal(404, "no-such-route", "Not Found")
    return access.issuer


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _email(text: str) -> str:
    try:
        return email_of(text)
    except ValueError:
        raise Refusal(422, "request-refused", f"{text[:100]!r} is no e-mail address.") from None


def _people(access: Access, documents: Documents) -> dict[str, str]:
    """E-mail and what they are, superadmins first."""
    found = dict.fromkeys(access.superadmins, "superadmin")
    for stored in documents.query(DocumentQuery("*/members", order=(Order("email"),), limit=PEOPLE_SHOWN)).items:
        member = Member.from_document(stored.data)
        found.setdefault(member.email, f"{member.role} of {member.project}")
    return found
