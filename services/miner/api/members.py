"""Members: who belongs to the project, and what they may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel

from services.miner.bodies import NewRole
from services.miner.context import TheBody, TheCaller, TheKey, ThePerson, ThePorts, TheProject, parse
from services.miner.etags import NOT_MODIFIED, IfMatch, IfNoneMatch, document, etag_of, refuse_another
from services.miner.openapi import request_body
from services.miner.problems import Refusal, documented, not_found
from shared.domain.member import Member, Role, email_of
from shared.domain.reasons import Reason
from shared.domain.request import RequestRefused
from shared.steps.members import LastAdmin, members, put_member, remove_member, stored_member

T = TypeVar("T")
router = APIRouter(prefix="/members", tags=["members"])


class MemberList(BaseModel):
    items: list[Member]


class Me(BaseModel):
    """`role` is theirs in the project that the request names."""

    email: str
    superadmin: bool
    role: Role | None


def the_email(email: Annotated[str, Path(description="Their e-mail address.", examples=["ada@lab.example"])]) -> str:
    try:
        return email_of(email)
    except ValueError as error:
        raise RequestRefused((Reason(field="email", message=str(error)),)) from None


TheEmail = Annotated[str, Depends(the_email)]


@router.get("", responses=documented(400, 404, 503))
def list_members(project: TheProject, ports: ThePorts) -> MemberList:
    """In order of e-mail. Superadmins, who are members of no project, are not among them."""
    return MemberList(items=members(ports.documents, project.id))


@router.get("/me", responses=documented(400, 404, 503))
def me(project: TheProject, person: ThePerson) -> Me:
    """Who asks, and their role."""
    return Me(email=person.email, superadmin=person.superadmin, role=person.role_in(project.id))


@router.get("/{email}", response_model=Member, responses={**NOT_MODIFIED, **documented(400, 404, 422, 503)})
def get_member(project: TheProject, ports: ThePorts, email: TheEmail, if_none_match: IfNoneMatch = None) -> Response:
    """One of them."""
    found = stored_member(ports.documents, project.id, email)
    if found is None:
        raise not_found(f"member {email!r} in project {project.id!r}")
    return document(found, if_none_match)


@router.put("/{email}", openapi_extra=request_body("NewRole", {"role": "editor"}),
            responses={201: {"model": Member, "description": "They are a member now."},
                       **documented(400, 404, 409, 412, 413, 422, 503)})
def set_role(
    project: TheProject, ports: ThePorts, caller: TheCaller, _: TheKey, email: TheEmail, if_match: IfMatch,
    body: TheBody, request: Request, response: Response,
) -> Member:
    """Makes them a member, or gives them another role. The last admin stays one."""
    role = parse(NewRole, body).role
    found, new = _unless_last(lambda: put_member(
        ports, project.id, email, role, by=caller, only_if=lambda stored: refuse_another(stored, if_match)
    ))
    request.app.state.access.roles.forget()
    response.status_code = 201 if new else 200
    response.headers["ETag"] = etag_of(found.version)
    return Member.from_document(found.data)


@router.delete("/{email}", status_code=204, responses=documented(400, 404, 409, 412, 422, 503))
def remove(
    project: TheProject, ports: ThePorts, email: TheEmail, request: Request, if_match: IfMatch
) -> Response:
    """Their rights end within a few seconds, streams that they follow included. The last admin stays."""
    was_one = _unless_last(lambda: remove_member(
        ports, project.id, email, only_if=lambda stored: refuse_another(stored, if_match)
    ))
    request.app.state.access.roles.forget()
    if not was_one:
        raise not_found(f"member {email!r} in project {project.id!r}")
    return Response(status_code=204)


def _unless_last(change: Callable[[], T]) -> T:
    try:
        return change()
    except LastAdmin as error:
        raise Refusal(409, "last-admin", f"{error}.") from None
