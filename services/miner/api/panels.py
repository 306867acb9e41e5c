"""Gene panels: lists of symbols or regions that the laboratory keeps. A version, once added, never changes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Path as InPath
from pydantic import BaseModel

from services.miner.bodies import NewPanel
from services.miner.context import TheBody, TheCaller, TheKey, ThePorts, TheProject, parse
from services.miner.etags import NOT_MODIFIED, IfNoneMatch, answered
from services.miner.openapi import request_body
from services.miner.problems import documented
from shared.domain import panel as domain
from shared.domain import paths
from shared.domain.clock import Time
from shared.domain.panel import Panel, PanelKind
from shared.steps.panels import add_from_bucket, add_panel, panel_named, panels

router = APIRouter(prefix="/panels", tags=["panels"])


class PanelShort(BaseModel):
    """`symbols` and `regions` are how many; `bases` those that the regions cover, overlaps counted twice."""

    slug: str
    version: str
    title: str
    kind: PanelKind
    symbols: int
    regions: int
    bases: int
    source: str
    added_at: Time
    added_by: str


class PanelList(BaseModel):
    items: list[PanelShort]


@router.post(
    "", status_code=201, openapi_extra=request_body("NewPanel", {"path": f"{domain.FOLDER}cardiomyopathy.txt"}),
    responses={200: {"model": Panel, "description": "This version was there already."},
               **documented(400, 404, 413, 422, 503)},
)
def add(
    project: TheProject, ports: ThePorts, caller: TheCaller, _: TheKey, body: TheBody, response: Response
) -> Panel:
    """Reads a list whole, or refuses it with every line at fault. What is sent is put into the bucket's folder, too."""
    wanted = parse(NewPanel, body)
    if wanted.path is not None:
        panel, new = add_from_bucket(ports, project, wanted.path, name=wanted.name, by=caller)
    else:
        content, name = (wanted.content or "").encode(), wanted.name or ""
        ending = "bed" if wanted.kind is PanelKind.REGIONS else "txt"
        source = f"{domain.FOLDER}{paths.slug(name)}-{domain.version_of(content)}.{ending}"
        panel, new = add_panel(ports, project, name, content, kind=wanted.kind, source=source, by=caller)
        if new:
            ports.objects.write(project.bucket, source, content)
    response.status_code = 201 if new else 200
    return panel


@router.get("", responses=documented(400, 404, 503))
def list_panels(project: TheProject, ports: ThePorts) -> PanelList:
    """Every version, those added last first."""
    return PanelList(items=[_short(stored.data) for stored in panels(ports, project.id)])


@router.get("/{panel}", response_model=Panel, responses={**NOT_MODIFIED, **documented(400, 404, 503)})
def get_panel(
    project: TheProject, ports: ThePorts,
    panel: Annotated[str, InPath(description="`slug@version`, or `slug` for the version added last.")],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """One version with all that is in it. It never changes, so its digest is its ETag."""
    found = panel_named(ports, project.id, panel)
    return answered(found.model_dump(mode="json"), f"{found.slug}@{found.version}", if_none_match)


def _short(data: Any) -> PanelShort:
    return PanelShort.model_validate({**data, "symbols": len(data["symbols"])})
