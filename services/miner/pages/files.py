"""Files of the project bucket, a folder at a time: to browse, to download, and to choose one for a form."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.miner.context import ThePerson, ThePorts, TheProject
from services.miner.links import Links
from services.miner.pages.rendering import render
from services.miner.problems import not_found
from shared.domain.audit import Action
from shared.domain.errors import Permanent
from shared.ports import Level

router = APIRouter(include_in_schema=False)
ON_A_PAGE = 200
SAMPLES = "samples/"
CHAIN = "files"
"""Of the audit trail, for downloads that are about no document."""


@router.get("/files")
def files(
    request: Request, project: TheProject, ports: ThePorts,
    prefix: Annotated[str, Query(max_length=1024)] = "", pick: Annotated[str, Query(max_length=300)] = "",
    after: Annotated[str, Query(max_length=2000)] = "",
) -> HTMLResponse:
    """What lies directly behind `prefix`. `pick` names the field of a form that a file is chosen for."""
    problem = ""
    try:
        level = ports.objects.level(project.bucket, prefix, after=after, limit=ON_A_PAGE)
    except Permanent as error:
        level, problem = Level((), (), None), str(error)
    folder = prefix[: prefix.rfind("/") + 1]
    return render(
        request, "files/list.html", level=level, prefix=prefix, folder=folder, crumbs=_crumbs(folder), pick=pick,
        after=after, problem=problem, target=_target,
    )


@router.get("/files/{path:path}")
def file(request: Request, project: TheProject, ports: ThePorts, person: ThePerson, path: str) -> Response:
    """On to a signed address of the file; that it was asked for is in the trail."""
    try:
        found = ports.objects.stat(project.bucket, path)
    except Permanent:
        found = None
    if found is None:
        raise not_found(f"file {path!r} in the bucket of project {project.id!r}")
    request.app.state.trail.note(request, person.email, project.id, CHAIN, Action.READ)
    links: Links = request.app.state.links
    return RedirectResponse(links.to(ports, project.bucket, found, f"{request.base_url}").url, 303,
                            {"Cache-Control": "no-store"})


def _crumbs(folder: str) -> list[tuple[str, str]]:
    """Each folder above and itself: its name and its prefix."""
    parts = folder.split("/")[:-1]
    return [(part, "/".join(parts[: at + 1]) + "/") for at, part in enumerate(parts)]


def _target(folder: str) -> str:
    """Where a folder's link goes: a sample's files are what was uploaded for it."""
    is_sample = folder.startswith(SAMPLES) and folder.count("/") == 2
    return f"{folder}uploads/" if is_sample else folder
