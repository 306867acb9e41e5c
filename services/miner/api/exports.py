"""All rows that a filter leaves, of an order or of an analysis alone, as a file that is made while it is sent.

Rows and order are those of the list (C61), all of them (C60). A transfer that breaks off on either side is an error
for the client: the body is chunked, and its last chunk is sent after the last row (C62).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from itertools import chain
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from services.miner.api.variants import Asked, OfAnalysis, OfOrder, asked_by, refused
from services.miner.caches import Subject
from services.miner.context import TheCaller, ThePorts, TheProject
from services.miner.problems import bad_parameter, documented
from shared.domain import paths
from shared.domain.project import Project
from shared.ports import Ports
from shared.variants.export import FORMATS, Selection, UnknownColumns, exported
from shared.variants.filters import BadQuery
from shared.variants.ordering import SORT_DEFAULT, Sorting, in_order
from shared.variants.to_vcf_merged import SampleGroup

router = APIRouter(tags=["variants"])

Format = Annotated[str, Query(
    alias="format", description=", ".join(FORMATS), json_schema_extra={"enum": list(FORMATS)}
)]
Columns = Annotated[str | None, Query(max_length=10_000, description=(
    "Names parted by commas, in the order wanted; else all. A VCF has what a VCF has."
))]
_OWN = frozenset({"format", "columns"})
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {} for media_type in FORMATS.values()},
          "description": "The file. `X-Row-Count` is the number of its rows, which is the list's `total`."},
    **documented(400, 404, 409, 503),
}


@router.get("/orders/{order}/variants/export", response_class=Response, responses=_ANSWERS)
def export_of_an_order(
    ports: ThePorts, project: TheProject, caller: TheCaller, subject: OfOrder, request: Request, file_format: Format,
    columns: Columns = None,
) -> Response:
    """Every row that the filter leaves, in the order of the list. Other parameters are the list's own."""
    return _answer(ports, project, caller, subject, request, file_format, columns)


@router.get("/analyses/{analysis}/variants/export", response_class=Response, responses=_ANSWERS)
def export_of_an_analysis(
    ports: ThePorts, project: TheProject, caller: TheCaller, subject: OfAnalysis, request: Request,
    file_format: Format, columns: Columns = None,
) -> Response:
    """Every row that the filter leaves, in the order of the list. Other parameters are the list's own."""
    return _answer(ports, project, caller, subject, request, file_format, columns)


def _answer(
    ports: Ports, project: Project, caller: str, subject: Subject, request: Request, file_format: str,
    columns: str | None,
) -> Response:
    if file_format not in FORMATS:
        raise bad_parameter("format", f"{file_format[:40]!r} is unknown; it is one of {', '.join(FORMATS)}")
    names = [name.strip() for name in (columns or "").split(",") if name.strip()]
    asked = asked_by(ports, project, subject, request, but=_OWN)
    sort = request.query_params.get("sort") or SORT_DEFAULT
    try:
        result = asked.result()
        rows = in_order(asked.queries.index, result.words, Sorting.parse(asked.queries.index, sort))
    except BadQuery as error:
        raise refused(error) from None
    about = {
        "of": f"{subject.name} (project {subject.project})", "filter": asked.filter.text(), "sort": sort,
        "rows": f"{len(rows)} of {subject.built.rows}", "samples": ", ".join(
            f"{group.prefix}={group.name}" for group in asked.queries.index.groups),
        "variants_version": subject.built.version, "iflow_version": version("iflow"), "user": caller,
        "time": ports.clock().isoformat(timespec="seconds"),
    }
    with ExitStack() as opened:
        selection = _selection(ports, subject, asked, rows, opened, with_tables=file_format.startswith("vcf"))
        try:
            pieces = exported(selection, file_format, about, names)
            first = next(pieces)
        except UnknownColumns as error:
            raise bad_parameter("columns", str(error)) from None
        content = _held_open(chain((first,), pieces), opened.pop_all())
    name = f"{paths.slug(subject.name)}.{file_format}"
    return StreamingResponse(content, media_type=FORMATS[file_format], headers={
        "X-Row-Count": str(len(rows)), "ETag": asked.etag, "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}", "Cache-Control": "no-store",
    })


def _held_open(pieces: Iterator[bytes], opened: ExitStack) -> Iterator[bytes]:
    with opened:
        yield from (piece for piece in pieces if piece)


def _selection(
    ports: Ports, subject: Subject, asked: Asked, rows: Any, opened: ExitStack, *, with_tables: bool
) -> Selection:
    def local(path: str) -> Any:
        return opened.enter_context(ports.objects.local(subject.bucket, path))

    table = local(subject.built.table)
    if not with_tables:
        return Selection(table, rows)
    manifest = json.loads(ports.objects.read(subject.bucket, subject.built.manifest))
    names = [each["table"] for each in manifest["tables"]]
    members = manifest["members"]
    groups = [
        SampleGroup(group.prefix, group.name, {
            names.index(members[number]["table"]): members[number]["column"] for number in reversed(group.members)
        }) for group in asked.queries.index.groups
    ]
    return Selection(table, rows, [local(name) for name in names], groups)
