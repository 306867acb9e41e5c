"""The variants of an order, or of an analysis alone: pages by filter and sort, counts, and all that is known of one.

Parameters are the fields of the filter (shared/variants/filters.py). Answers carry the version of the cache as their
ETag, so that a rebuilt cache is another answer at the same address (C65).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from services.miner.caches import CACHES, Subject, of_analysis, of_order
from services.miner.context import TheAnalysis, TheOrder, ThePorts, TheProject, loaded, loaded_order
from services.miner.problems import Refusal, bad_parameter, documented, not_found
from shared.domain import paths
from shared.domain.errors import NotFound
from shared.domain.project import Project
from shared.domain.saved_filter import SavedFilter
from shared.ports import Ports
from shared.steps.panels import panel_named, panel_regions
from shared.variants.clauses import PanelContent
from shared.variants.filters import BadQuery, Filter, filter_from, filter_from_params
from shared.variants.order_detail import detail
from shared.variants.order_rows import json_text
from shared.variants.query import AT_WORK, MOST_ROWS, OrderQueries, Result

orders = APIRouter(prefix="/orders/{order}/variants", tags=["variants"])
analyses = APIRouter(prefix="/analyses/{analysis}/variants", tags=["variants"])

PAGE_ROWS = 100
_OF_THE_PAGE = frozenset({"sort", "limit", "cursor", "facets", "saved", "project"})

Pair = tuple[str, str]


class VariantPage(BaseModel):
    """`rows`: see shared/variants/order_rows.py. `total` of `of` rows pass the filter."""

    rows: list[dict[str, Any]]
    total: int
    of: int
    next: str | None = Field(description="Cursor of the next page; null on the last.")
    version: str = Field(description="Of the cache, and this answer's ETag.")
    filter: dict[str, Any] = Field(description="As it was understood: fields that differ from their defaults.")
    sort: str
    samples: list[dict[str, Any]] = Field(description="Groups of columns: prefix, name, role, sex.")
    missing: list[dict[str, str]] = Field(description="Samples that have no variants yet, and why.")
    notes: list[str] = Field(description="What may be a slip, such as a gene in which there is no variant.")
    without_parent_call: int = Field(description="With a strict inheritance: rows more if parents without a call fit.")
    removed: dict[str, dict[str, int | None]] | None = Field(description="With `facets`: what each field removes.")
    facets: dict[str, dict[str, int]] | None = Field(description="With `facets`: rows by value.")


class Counts(BaseModel):
    """`removed`: of each field how many rows it alone takes away, and how many more there were without it."""

    total: int
    of: int
    version: str
    removed: dict[str, dict[str, int | None]]
    facets: dict[str, dict[str, int]]
    without_parent_call: int


class OneVariant(BaseModel):
    """See shared/variants/order_detail.py."""

    row: dict[str, Any]
    sources: list[dict[str, Any]]


def of_the_order(stored: TheOrder) -> Subject:
    return of_order(loaded_order(stored).order)


def of_the_analysis(stored: TheAnalysis) -> Subject:
    return of_analysis(loaded(stored).analysis)


OfOrder = Annotated[Subject, Depends(of_the_order)]
OfAnalysis = Annotated[Subject, Depends(of_the_analysis)]
Key = Annotated[str, Path(description="`key` of a row of the list.")]


class Asked:
    """A question: whose variants, which filter, and the version of all that decides the answer."""

    def __init__(
        self, ports: Ports, project: Project, subject: Subject, params: Sequence[Pair], *, known: str = ""
    ) -> None:
        """`params` of the address; `known` is its If-None-Match. Raises BadQuery with a reason for each parameter at
        fault (C66), Refusal (409) where there is nothing to be asked yet."""
        self.subject, self._known = subject, known
        self.filter = _filter(ports, project, params)
        self._panels = panels = {name: _panel(ports, project, name) for name in self.filter.panel}
        self.queries: OrderQueries = CACHES.queries(ports, subject)
        versions = [subject.built.version, *(f"{name}={panel.version}" for name, panel in panels.items())]
        self.etag = f'"{_short(versions) if panels else subject.built.version}"'

    @property
    def is_known(self) -> bool:
        """The client has the answer already, by its If-None-Match."""
        return self.etag in [tag.strip().removeprefix("W/") for tag in self._known.split(",")]

    def result(self) -> Result:
        return self.queries.result(self.filter, self._panels)


def asked_by(
    ports: Ports, project: Project, subject: Subject, request: Request, *, but: frozenset[str] = frozenset()
) -> Asked:
    """The question of a request, without the parameters `but`. Raises Refusal (400, 409)."""
    params = [pair for pair in request.query_params.multi_items() if pair[0] not in but]
    try:
        return Asked(ports, project, subject, params, known=request.headers.get("if-none-match", ""))
    except BadQuery as error:
        raise refused(error) from None


def _shown(ports: Ports, project: Project, subject: Subject, request: Request) -> Response:
    asked = asked_by(ports, project, subject, request)
    given = request.query_params
    limit, with_facets = _limit(given.get("limit")), _yes("facets", given.get("facets"))
    sort = given.get("sort") or ""
    if asked.is_known:
        return Response(status_code=304, headers={"ETag": asked.etag})
    with AT_WORK:
        try:
            result = asked.result()
            page = asked.queries.page(result, sort=sort, limit=limit, cursor=given.get("cursor") or None)
        except BadQuery as error:
            raise refused(error) from None
        built, groups = subject.built, result.index.groups
        return _answer(asked, {
            "rows": page.rows, "total": result.total, "of": built.rows, "next": page.cursor, "version": built.version,
            "filter": asked.filter.given(), "sort": sort or "position",
            "samples": [{"prefix": g.prefix, "name": g.name, "role": g.role, "sex": g.sex} for g in groups],
            "missing": [{"name": each.name, "reason": each.reason} for each in built.missing], "notes": result.notes,
            "without_parent_call": result.without_parent_call(),
            "removed": result.removed() if with_facets else None, "facets": result.facets() if with_facets else None,
        })


def _counted(ports: Ports, project: Project, subject: Subject, request: Request) -> Response:
    asked = asked_by(ports, project, subject, request)
    if asked.is_known:
        return Response(status_code=304, headers={"ETag": asked.etag})
    with AT_WORK:
        try:
            result = asked.result()
        except BadQuery as error:
            raise refused(error) from None
        return _answer(asked, {
            "total": result.total, "of": subject.built.rows, "version": subject.built.version,
            "removed": result.removed(), "facets": result.facets(),
            "without_parent_call": result.without_parent_call(),
        })


def _answer(asked: Asked, content: dict[str, Any]) -> Response:
    return Response(json_text(content), media_type="application/json", headers={"ETag": asked.etag})


def _one(ports: Ports, subject: Subject, key: str) -> Response:
    found = one_variant(ports, subject, key)
    if found is None:
        raise not_found(f"variant {key!r} in {subject.name!r}")
    return JSONResponse(found, headers={"ETag": f'"{subject.built.version}"'})


def one_variant(ports: Ports, subject: Subject, key: str) -> dict[str, Any] | None:
    """See shared/variants/order_detail.py; None where there is no such row."""
    queries = CACHES.queries(ports, subject)
    row = queries.row_of(key)
    if row is None:
        return None
    return detail(queries.index, row, lambda path: ports.objects.local(subject.bucket, path), _tables(ports, subject))


_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "required": False, "description": field.description or "",
     "schema": Filter.model_json_schema()["properties"][name]}
    for name, field in Filter.model_fields.items()
] + [
    {"name": "saved", "in": "query", "required": False, "schema": {"type": "string"},
     "description": "A saved filter of the project; other parameters take the place of its fields."},
]
_OF_PAGES: list[dict[str, Any]] = [
    {"name": "sort", "in": "query", "required": False, "schema": {"type": "string", "default": "position"},
     "description": "Columns parted by commas, a minus before what is to go down: `tier,consequence,-proband_vaf`."},
    {"name": "limit", "in": "query", "required": False, "description": "Rows on a page.",
     "schema": {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": PAGE_ROWS}},
    {"name": "cursor", "in": "query", "required": False, "schema": {"type": "string"},
     "description": "`next` of the page before: of the same filter, sort and version."},
    {"name": "facets", "in": "query", "required": False, "schema": {"type": "boolean", "default": False},
     "description": "Also `facets` and `removed`."},
]
_PAGE: dict[str, Any] = {
    "responses": {304: {"description": "It is still the version of If-None-Match."}, **documented(400, 404, 409, 503)},
    "openapi_extra": {"parameters": [*_PARAMETERS, *_OF_PAGES]}, "response_model": VariantPage,
}
_COUNTS: dict[str, Any] = {**_PAGE, "openapi_extra": {"parameters": _PARAMETERS}, "response_model": Counts}


@orders.get("", **_PAGE)
def of_an_order(ports: ThePorts, project: TheProject, subject: OfOrder, request: Request) -> Response:
    """A page of an order's variants."""
    return _shown(ports, project, subject, request)


@analyses.get("", **_PAGE)
def of_an_analysis(ports: ThePorts, project: TheProject, subject: OfAnalysis, request: Request) -> Response:
    """A page of an analysis' variants, all of its VCFs joined."""
    return _shown(ports, project, subject, request)


@orders.get("/facets", **_COUNTS)
def facets_of_an_order(ports: ThePorts, project: TheProject, subject: OfOrder, request: Request) -> Response:
    """How many rows of what, each facet counted as if its own field were not given."""
    return _counted(ports, project, subject, request)


@analyses.get("/facets", **_COUNTS)
def facets_of_an_analysis(ports: ThePorts, project: TheProject, subject: OfAnalysis, request: Request) -> Response:
    """How many rows of what, each facet counted as if its own field were not given."""
    return _counted(ports, project, subject, request)


details_of_orders = APIRouter(prefix="/orders/{order}/variants", tags=["variants"])
details_of_analyses = APIRouter(prefix="/analyses/{analysis}/variants", tags=["variants"])
"""Apart, to come behind every other path below `/variants`: a key may be any text."""


@details_of_orders.get("/{key}", response_model=OneVariant, responses=documented(404, 409, 503))
def one_of_an_order(ports: ThePorts, subject: OfOrder, key: Key) -> Response:
    """All that is known of one variant: its row, all transcripts, and every field of every record behind it."""
    return _one(ports, subject, key)


@details_of_analyses.get("/{key}", response_model=OneVariant, responses=documented(404, 409, 503))
def one_of_an_analysis(ports: ThePorts, subject: OfAnalysis, key: Key) -> Response:
    """All that is known of one variant: its row, all transcripts, and every field of every record behind it."""
    return _one(ports, subject, key)


router = APIRouter()
router.include_router(orders)
router.include_router(analyses)
details = APIRouter()
details.include_router(details_of_orders)
details.include_router(details_of_analyses)


# -- what a question names -------------------------------------------------------------------------------------------


def _filter(ports: Ports, project: Project, params: Sequence[Pair]) -> Filter:
    given = [(name, value) for name, value in params if name not in _OF_THE_PAGE]
    wanted = filter_from_params(given)
    name = dict(params).get("saved")
    if not name:
        return wanted
    slug = paths.slug(name)
    stored = ports.documents.get(paths.saved_filter_doc(project.id, slug)) if slug else None
    if stored is None:
        raise bad_parameter("saved", f"there is no saved filter {name!r}; `iflow filters list` shows them")
    fields: Mapping[str, Any] = SavedFilter.from_document(stored.data).filter
    return filter_from({**fields, **{field: getattr(wanted, field) for field in _names(given)}})


def _names(given: Iterable[tuple[str, str]]) -> set[str]:
    return {name for name, _ in given}


def _panel(ports: Ports, project: Project, name: str) -> PanelContent:
    try:
        panel = panel_named(ports, project.id, name)
    except NotFound as error:
        raise bad_parameter("panel", str(error)) from None
    regions = panel_regions(ports, project.bucket, panel)
    return PanelContent(panel.version, panel.symbols, tuple((r.contig, r.start, r.end) for r in regions))


def _tables(ports: Ports, subject: Subject) -> list[str]:
    manifest = json.loads(ports.objects.read(subject.bucket, subject.built.manifest))
    return [table["table"] for table in manifest["tables"]]


def _limit(text: str | None) -> int:
    if not text:
        return PAGE_ROWS
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MOST_ROWS:
        raise bad_parameter("limit", f"{text[:40]!r} is no number from 1 to {MOST_ROWS}")
    return int(text)


def _yes(name: str, text: str | None) -> bool:
    known = {"": False, "false": False, "0": False, "true": True, "1": True}
    if (text or "").lower() not in known:
        raise bad_parameter(name, f"{str(text)[:40]!r} is neither true nor false")
    return known[(text or "").lower()]


def refused(error: BadQuery) -> Refusal:
    return Refusal(400, "bad-parameter", str(error), reasons=error.reasons)


def _short(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
