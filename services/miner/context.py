"""What a route needs of a request: the ports, the project, who asks, and the analysis that the path names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Path, Request
from pydantic import BaseModel, ValidationError

from services.miner.auth.guard import Admitted
from services.miner.auth.permissions import Permission
from services.miner.auth.person import Person
from services.miner.auth.trail import Trail, actor_of
from services.miner.problems import Refusal, not_found
from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.audit import Action
from shared.domain.json_text import read_json
from shared.domain.order import Order
from shared.domain.project import Project
from shared.domain.reasons import Reason
from shared.domain.request import MAX_REQUEST_BYTES, RequestRefused, reasons_of
from shared.ports import Ports, Stored
from shared.steps.audit import chain_of
from shared.steps.orders import LoadedOrder, order_named
from shared.steps.samples import sample_named
from shared.steps.store import Loaded

Model = TypeVar("Model", bound=BaseModel)
MOST_DISCARDED_BYTES = 50_000_000
"""Of a body that is too large: read on and thrown away, since a client that is cut off never sees the answer."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def the_ports(request: Request) -> Ports:
    """Whoever was admitted, their commits are in the audit trail. Raises Unavailable when the stack is not up."""
    ports: Ports = request.app.state.ports()
    admitted: Admitted | None = getattr(request.state, "admitted", None)
    if admitted is None:
        return ports
    trail: Trail = request.app.state.trail
    return replace(ports, documents=trail.audited(ports, actor_of(request, admitted.person.email)))


ThePorts = Annotated[Ports, Depends(the_ports)]


def the_person(request: Request) -> Person:
    """Who the guard admitted."""
    admitted: Admitted = request.state.admitted
    return admitted.person


ThePerson = Annotated[Person, Depends(the_person)]


def the_caller(person: ThePerson) -> str:
    """Their e-mail address: stands in histories as who did it."""
    return person.email


TheCaller = Annotated[str, Depends(the_caller)]


def requested_by(person: Person, body: Mapping[str, Any]) -> str:
    """For whom a request is made: the caller, unless it is a service that says for whom it asks.

    Raises RequestRefused for a person that says to be another.
    """
    said = body.get("requested_by")
    if said is None or said == person.email:
        return person.email
    if not person.is_service:
        raise RequestRefused((Reason(field="requested_by", message=f"you are {person.email}; leave it out"),))
    return str(said)


def the_project(
    request: Request,
    _: Annotated[str | None, Header(alias="X-Project-ID", description="The project that the request is about.")] = None,
) -> Project:
    """The guard has found it, and the person may in it what the route takes."""
    admitted: Admitted = request.state.admitted
    assert admitted.project is not None, f"no permission about a project: {request.url.path}"
    return admitted.project


TheProject = Annotated[Project, Depends(the_project)]


def the_analysis(
    request: Request, ports: ThePorts, project: TheProject,
    analysis: Annotated[str, Path(description="The analysis' id, its slug, or its display id.")],
) -> Stored:
    """By id, else by the slug's claim. What is another project's is not found, like what does not exist."""
    stored = analysis_named(ports, project, analysis)
    if stored is None:
        raise not_found(f"analysis {analysis!r} in project {project.id!r}")
    note_what_is_read(request, stored)
    return stored


def note_what_is_read(request: Request, stored: Stored) -> None:
    """Of a route whose answer can be carried away: that it was asked for (HEAD carries nothing)."""
    permission = request.app.state.permissions[id(request.scope["route"])]
    if permission is Permission.READ_FILES and request.method != "HEAD":
        trail: Trail = request.app.state.trail
        project, chain = paths.project_of(stored.path), chain_of(stored.path)
        trail.note(request, request.state.admitted.person.email, project, chain, Action.READ)


def analysis_named(ports: Ports, project: Project, name: str) -> Stored | None:
    """By its id, its slug or its display id."""
    return _by_id(ports, project, name) or _by_slug(ports, project, paths.slug(name))


TheAnalysis = Annotated[Stored, Depends(the_analysis)]


def loaded(stored: Stored) -> Loaded:
    return Loaded(Analysis.from_document(stored.data), stored.version)


def the_order(
    request: Request, ports: ThePorts, project: TheProject,
    order: Annotated[str, Path(description="The order's id, its slug, or its display id.")],
) -> Stored:
    """As an analysis: what is another project's is not found, like what does not exist."""
    stored = order_named(ports, project.id, order)
    if stored is None:
        raise not_found(f"order {order!r} in project {project.id!r}")
    note_what_is_read(request, stored)
    return stored


TheOrder = Annotated[Stored, Depends(the_order)]


def the_sample(
    request: Request, ports: ThePorts, project: TheProject,
    sample: Annotated[str, Path(description="The sample's slug or its name.")],
) -> Stored:
    """As an analysis: what is another project's is not found, like what does not exist."""
    stored = sample_named(ports.documents, project.id, sample)
    if stored is None:
        raise not_found(f"sample {sample!r} in project {project.id!r}")
    note_what_is_read(request, stored)
    return stored


TheSample = Annotated[Stored, Depends(the_sample)]


def loaded_order(stored: Stored) -> LoadedOrder:
    return LoadedOrder(Order.from_document(stored.data), stored.version)


def _by_id(ports: Ports, project: Project, identity: str) -> Stored | None:
    if not _UUID.fullmatch(identity):
        return None
    return ports.documents.get(paths.analysis_doc(project.id, identity))


def _by_slug(ports: Ports, project: Project, slug: str) -> Stored | None:
    claim = ports.documents.get(paths.claim_doc(project.id, "analysis", slug)) if slug else None
    return None if claim is None else ports.documents.get(paths.analysis_doc(project.id, claim.data["analysis_id"]))


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """What was sent. Raises Refusal (413); more than `limit_bytes` of it are never held in memory."""
    parts: list[bytes] = []
    arrived = 0
    async for part in request.stream():
        arrived += len(part)
        if arrived <= limit_bytes:
            parts.append(part)
        elif arrived > MOST_DISCARDED_BYTES:
            break
    if arrived > limit_bytes:
        raise Refusal(
            413, "too-large", f"The body is larger than the {limit_bytes:,} bytes that are allowed here; put long "
            "inputs into a file in the project bucket and name its path.",
        )
    return b"".join(parts)


async def the_body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent. The models of the domain check what is in it, with every reason at once."""
    return _object(await read_body(request, MAX_REQUEST_BYTES))


async def the_optional_body(request: Request) -> dict[str, Any]:
    """As `the_body`; nothing sent is an empty object."""
    body = await read_body(request, MAX_REQUEST_BYTES)
    return _object(body) if body else {}


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = read_json(body)
    except ValueError as error:
        raise Refusal(400, "not-json", f"The body is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Refusal(400, "not-json", f"The body is a JSON {type(found).__name__}; an object is wanted.")
    return found


TheBody = Annotated[dict[str, Any], Depends(the_body)]
TheOptionalBody = Annotated[dict[str, Any], Depends(the_optional_body)]


def parse(model: type[Model], body: dict[str, Any]) -> Model:
    """Raises RequestRefused with every reason."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise RequestRefused(reasons_of(error)) from None


def the_key(
    idempotency_key: Annotated[str | None, Header(
        max_length=200, description="Chosen by the client; repeating it repeats nothing."
    )] = None,
) -> str | None:
    return idempotency_key


TheKey = Annotated[str | None, Depends(the_key)]
