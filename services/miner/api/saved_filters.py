"""Saved filters: what a project asks for again and again, under a name."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi import Path as InPath
from pydantic import BaseModel

from services.miner.context import TheBody, TheCaller, TheKey, ThePorts, TheProject, parse
from services.miner.etags import NOT_MODIFIED, IfMatch, IfNoneMatch, document, refuse_another
from services.miner.openapi import request_body
from services.miner.problems import Refusal, documented, not_found
from shared.domain import paths
from shared.domain.errors import Conflict
from shared.domain.project import Project
from shared.domain.reasons import Reason
from shared.domain.request import RequestRefused
from shared.domain.saved_filter import SavedFilter, SavedFilterRequest
from shared.ports import Create, Delete, Ports, Query, Stored, Update
from shared.ports import Order as By
from shared.variants.filters import BadQuery, filter_from

router = APIRouter(prefix="/filters", tags=["filters"])
EXAMPLE = {"name": "Rare and damaging", "filter": {"impact": ["HIGH", "MODERATE"]}}
MOST_SHOWN = 1000


class SavedFilters(BaseModel):
    items: list[SavedFilter]


def the_filter(
    ports: ThePorts, project: TheProject, name: Annotated[str, InPath(description="Its name or the name's slug.")]
) -> Stored:
    slug = paths.slug(name)
    stored = ports.documents.get(paths.saved_filter_doc(project.id, slug)) if slug else None
    if stored is None:
        raise not_found(f"saved filter {name!r} in project {project.id!r}")
    return stored


TheFilter = Annotated[Stored, Depends(the_filter)]


@router.post("", status_code=201, openapi_extra=request_body("SavedFilterRequest", EXAMPLE),
             responses={200: {"model": SavedFilter, "description": "It was saved before, just so."},
                        **documented(400, 404, 409, 413, 422, 503)})
def save(
    project: TheProject, ports: ThePorts, caller: TheCaller, _: TheKey, body: TheBody, response: Response
) -> SavedFilter:
    """Under a name that is free. The same again is answered with 200."""
    saved, repeated = keep_filter(ports, project, caller, body)
    if repeated:
        response.status_code = 200
    return saved


def keep_filter(ports: Ports, project: Project, caller: str, body: dict[str, Any]) -> tuple[SavedFilter, bool]:
    """The filter as it is kept, and whether it was there just so. Raises RequestRefused, Refusal (409)."""
    wanted, now = _checked(body), ports.clock()
    saved = SavedFilter(
        slug=paths.slug(wanted.name), project=project.id, name=wanted.name, description=wanted.description,
        filter=wanted.filter, created_at=now, created_by=caller, updated_at=now, updated_by=caller,
    )
    try:
        ports.documents.commit([Create(saved.doc_path, saved.to_document())])
    except Conflict:
        return _the_same(ports, saved), True
    return saved, False


def _the_same(ports: Ports, saved: SavedFilter) -> SavedFilter:
    """Raises Refusal (409) where another filter has the name."""
    stored = ports.documents.get(saved.doc_path)
    found = SavedFilter.from_document(stored.data) if stored else None
    if found and (found.name, found.description, found.filter) == (saved.name, saved.description, saved.filter):
        return found
    raise Refusal(
        409, "already-there", f"There is a saved filter {saved.slug!r}; change that one, or choose another name."
    )


@router.get("", responses=documented(400, 404, 503))
def list_filters(project: TheProject, ports: ThePorts) -> SavedFilters:
    """In order of slug."""
    page = ports.documents.query(Query(paths.saved_filters(project.id), (), (By("slug"),), MOST_SHOWN))
    return SavedFilters(items=[SavedFilter.from_document(stored.data) for stored in page.items])


@router.get("/{name}", response_model=SavedFilter, responses={**NOT_MODIFIED, **documented(400, 404, 503)})
def get_filter(stored: TheFilter, if_none_match: IfNoneMatch = None) -> Response:
    """One of them; its ETag is what a change may name in If-Match."""
    return document(stored, if_none_match)


@router.put("/{name}", openapi_extra=request_body("SavedFilterRequest", EXAMPLE),
            responses=documented(400, 404, 412, 413, 422, 503))
def change_filter(
    stored: TheFilter, ports: ThePorts, caller: TheCaller, if_match: IfMatch, body: TheBody
) -> SavedFilter:
    """Another content under the same slug."""
    refuse_another(stored, if_match)
    wanted, old = _checked(body), SavedFilter.from_document(stored.data)
    if paths.slug(wanted.name) != old.slug:
        raise Refusal(422, "request-refused", f"The name's slug must stay {old.slug!r}; save another filter instead.")
    saved = old.model_copy(update={
        "name": wanted.name, "description": wanted.description, "filter": wanted.filter,
        "updated_at": ports.clock(), "updated_by": caller,
    })
    ports.documents.commit([Update(stored.path, saved.to_document(), stored.version)])
    return saved


def _checked(body: dict[str, Any]) -> SavedFilterRequest:
    """A filter that could not be asked with is not kept. Raises RequestRefused."""
    wanted = parse(SavedFilterRequest, body)
    try:
        filter_from(wanted.filter)
    except BadQuery as bad:
        raise RequestRefused(tuple(
            Reason(field=f"filter.{reason.field}", message=reason.message) for reason in bad.reasons
        )) from None
    return wanted


@router.delete("/{name}", status_code=204, responses=documented(400, 404, 412, 503))
def delete_filter(stored: TheFilter, ports: ThePorts, if_match: IfMatch) -> Response:
    """For good; nothing else refers to it."""
    refuse_another(stored, if_match)
    ports.documents.commit([Delete(stored.path, stored.version)])
    return Response(status_code=204)
