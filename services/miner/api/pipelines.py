"""Pipelines: definitions by slug and version. A version, once registered, never changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from services.miner.context import TheBody, TheCaller, TheKey, ThePorts, TheProject, parse
from services.miner.etags import NOT_MODIFIED, IfNoneMatch, answered
from services.miner.openapi import request_body
from services.miner.problems import documented, not_found
from shared.domain import paths
from shared.domain.clock import Time
from shared.domain.pipeline import Pipeline
from shared.domain.project import Project
from shared.ports import Order, Ports, Query, Stored, Where
from shared.steps.register import register_pipeline

router = APIRouter(prefix="/pipelines", tags=["pipelines"])


class Version(BaseModel):
    """A registered version without its definition; `digest` is of the definition's canonical JSON."""

    model_config = ConfigDict(extra="ignore")

    slug: str
    version: str
    title: str
    digest: str
    registered_at: Time
    registered_by: str


class Definition(Version):
    definition: dict[str, Any]


class Versions(BaseModel):
    items: list[Version]


@router.post(
    "", status_code=201, openapi_extra=request_body("Pipeline"),
    responses={200: {"model": Version, "description": "It was there already."}, **documented(400, 404, 409, 422, 503)},
)
def register(
    project: TheProject, ports: ThePorts, caller: TheCaller, _: TheKey, body: TheBody, response: Response
) -> Version:
    """Registers a definition. The same again is answered with 200; another one under a known version with 409."""
    pipeline = parse(Pipeline, body)
    if not register_pipeline(ports, project.id, pipeline, by=caller):
        response.status_code = 200
    stored = ports.documents.get(paths.pipeline_doc(project.id, pipeline.key))
    return Version.model_validate(stored.data if stored else {})


@router.get("", responses=documented(400, 404, 503))
def list_pipelines(project: TheProject, ports: ThePorts) -> Versions:
    """The newest version of each pipeline, in order of slug."""
    newest: dict[str, Mapping[str, Any]] = {}
    for stored in registered(ports, project):
        newest.setdefault(stored.data["slug"], stored.data)
    return Versions(items=[Version.model_validate(data) for data in newest.values()])


@router.get("/{pipeline}", response_model=Definition | Versions,
            responses={**NOT_MODIFIED, **documented(400, 404, 503)})
def get_pipeline(
    pipeline: Annotated[str, Path(description="`slug`, `slug@version` or `slug@latest`.")],
    project: TheProject, ports: ThePorts, if_none_match: IfNoneMatch = None,
) -> Response:
    """`slug`: its versions, the newest first. `slug@version` (or `slug@latest`): that one, with its definition."""
    slug, at, version = pipeline.partition("@")
    found = list(registered(ports, project, slug))
    if at and version != "latest":
        found = [stored for stored in found if stored.data["version"] == version]
    if not found:
        raise not_found(f"pipeline {pipeline!r} in project {project.id!r}")
    if at:
        definition = Definition.model_validate(found[0].data)
        return answered(definition.model_dump(mode="json"), found[0].version, if_none_match)
    versions = Versions(items=[Version.model_validate(stored.data) for stored in found])
    return JSONResponse(versions.model_dump(mode="json"))


@router.get("/{pipeline}/versions", responses=documented(400, 404, 503))
def list_versions(
    pipeline: Annotated[str, Path(description="Its slug.")], project: TheProject, ports: ThePorts
) -> Versions:
    """All of its versions, the newest first."""
    found = [Version.model_validate(stored.data) for stored in registered(ports, project, pipeline)]
    if not found:
        raise not_found(f"pipeline {pipeline!r} in project {project.id!r}")
    return Versions(items=found)


def registered(ports: Ports, project: Project, slug: str | None = None) -> list[Stored]:
    """Ordered by slug, newest version first."""
    where = (Where("slug", "==", slug),) if slug else ()
    order = (Order("sort_key", descending=True),) if slug else (Order("slug"), Order("sort_key", descending=True))
    query = Query(f"projects/{project.id}/pipelines", where, order, limit=200)
    found: list[Stored] = []
    while True:
        page = ports.documents.query(query)
        found += page.items
        if page.next is None:
            return found
        query = Query(query.collection, where, order, query.limit, page.next)
