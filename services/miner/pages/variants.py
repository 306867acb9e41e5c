"""The variant browser of an order, or of an analysis alone: filters, rows and one variant, all of it in the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from services.miner.api.panels import list_panels
from services.miner.api.saved_filters import keep_filter, list_filters
from services.miner.api.variants import Asked, Pair, one_variant
from services.miner.auth.permissions import Permission
from services.miner.caches import CACHES, Subject, of_analysis, of_order
from services.miner.context import (
    TheAnalysis,
    TheCaller,
    TheOrder,
    ThePerson,
    ThePorts,
    TheProject,
    analysis_named,
    loaded,
    loaded_order,
)
from services.miner.pages import variant_view as view
from services.miner.pages.reads import has_reads
from services.miner.pages.rendering import render, see_other
from services.miner.problems import Refusal
from shared.domain.analysis import IngestStatus
from shared.domain.cache import CacheStatus
from shared.domain.order import Mode, mode_of
from shared.domain.project import Project
from shared.ports import Ports
from shared.variants.export import FORMATS
from shared.variants.filters import CONSEQUENCE_GROUPS, NONE, BadQuery, Filter, filter_from_params
from shared.variants.order_schema import Group
from shared.variants.vcf.clinical import ACMG, TIERS

router = APIRouter(include_in_schema=False)

OF_THE_PAGE = frozenset({"columns", "variant", "project"})
PLACES = frozenset({"cursor", "variant"})
PER_CENT = "percent_"
"""Before the name of a fraction that a form's field has in per cent (C64)."""
ROWS = 100
MOST_LOOKED_AT = 5
"""Analyses of an order, for whether there are reads to be shown."""


@dataclass(frozen=True)
class Shown:
    """Whose variants a page is of. `path` is the browser's own address, `events` that of the stream of its changes;
    `older`: a newer version of what is shown is on its way."""

    path: str
    parent: str
    events: str
    kind: str
    name: str
    mode: Mode
    older: bool
    reads: bool


@router.get("/orders/{order}/variants")
def of_an_order(
    request: Request, stored: TheOrder, project: TheProject, ports: ThePorts, person: ThePerson
) -> Response:
    order = loaded_order(stored).order
    parent, events = f"/orders/{order.slug}", f"/api/v1/orders/{order.id}/events"
    older = order.cache.built is not None and order.cache.status is not CacheStatus.READY
    analyses = (analysis_named(ports, project, name) for name in order.analyses[:MOST_LOOKED_AT])
    reads = any(has_reads(loaded(each).analysis) for each in analyses if each)
    shown = Shown(f"{parent}/variants", parent, events, "Order", order.display_id, order.mode, older, reads)
    try:
        subject = of_order(order)
    except Refusal as not_yet:
        return _not_yet(request, shown, order.cache.status, not_yet)
    return _browser(request, ports, project, person.may(Permission.READ_FILES, project.id), subject, shown)


@router.get("/analyses/{analysis}/variants")
def of_an_analysis(
    request: Request, stored: TheAnalysis, project: TheProject, ports: ThePorts, person: ThePerson
) -> Response:
    analysis = loaded(stored).analysis
    parent, events = f"/analyses/{analysis.slug}", f"/api/v1/analyses/{analysis.id}/events"
    older = analysis.ingest.cache is not None and analysis.ingest.status is not IngestStatus.READY
    mode = mode_of(analysis.samples)
    reads = has_reads(analysis)
    shown = Shown(f"{parent}/variants", parent, events, "Analysis", analysis.display_id, mode, older, reads)
    try:
        subject = of_analysis(analysis)
    except Refusal as not_yet:
        return _not_yet(request, shown, analysis.ingest.status, not_yet)
    return _browser(request, ports, project, person.may(Permission.READ_FILES, project.id), subject, shown)


@router.post("/filters")
def save_filter(
    request: Request, project: TheProject, ports: ThePorts, caller: TheCaller,
    name: Annotated[str, Form(max_length=200)], back: Annotated[str, Form(max_length=300)],
    params: Annotated[str, Form(max_length=20_000)],
) -> Response:
    """`params` is the query of the page that is to be kept; back on that page it is one of the presets."""
    path = back if back.startswith(("/orders/", "/analyses/")) else "/orders"
    wanted = filter_from_params(pair for pair in parse_qsl(params) if pair[0] in Filter.model_fields)
    saved, _ = keep_filter(ports, project, caller, {"name": name, "filter": wanted.given()})
    return see_other(request, path, [("saved", saved.slug)], message=f"Saved as {saved.name}.")


def _not_yet(request: Request, shown: Shown, status: str, why: Refusal) -> HTMLResponse:
    """Nothing to browse: it is being read, it failed, or there is none. 200: the page itself is as it should be."""
    return render(request, "variants/not_yet.html", shown=shown, state=status, why=str(why))


def _browser(
    request: Request, ports: Ports, project: Project, may_export: bool, subject: Subject, shown: Shown
) -> Response:
    given = [(name, value) for name, value in request.query_params.multi_items() if value and name != "project"]
    plain = _as_the_api_says(given)
    if plain != given:
        return see_other(request, shown.path, plain)
    groups = CACHES.queries(ports, subject).index.groups
    presets = view.presets_of(shown.mode, [group.prefix for group in groups])
    if not any(name not in PLACES | {"columns"} for name, _ in given):
        return see_other(request, shown.path, [*presets[0].params, *given])
    return _page(request, ports, project, subject, shown, given, presets, may_export=may_export)


def _page(
    request: Request, ports: Ports, project: Project, subject: Subject, shown: Shown, given: Sequence[Pair],
    presets: Sequence[view.Preset], *, may_export: bool,
) -> HTMLResponse:
    params = [pair for pair in given if pair[0] not in OF_THE_PAGE]
    problems: dict[str, str] = {}
    asked, params = _asked(ports, project, subject, params, problems)
    result = asked.result()
    index = result.index
    values = dict(params)
    sort, cursor = values.get("sort") or "", values.get("cursor")
    try:
        page = asked.queries.page(result, sort=sort, limit=ROWS, cursor=cursor)
    except BadQuery as error:
        problems |= {reason.field: reason.message for reason in error.reasons}
        sort, cursor = "", None
        params = [pair for pair in params if pair[0] not in ("sort", "cursor")]
        page = asked.queries.page(result, limit=ROWS)
    standard, others = view.columns_of(shown.mode, index.groups)
    chosen = [value for name, value in given if name == "columns"]
    columns = [column for column in (*standard, *others) if column.name in chosen] if chosen else standard
    key = next((value for name, value in given if name == "variant"), None)
    variant = one_variant(ports, subject, key) if key else None
    if variant:
        of_the_page = next((row for row in page.rows if row["key"] == key), {})  # with what the filter found of it
        variant["row"] = {"inheritance": [], "partners": [], "phase": None, **variant["row"], **of_the_page}
    if key and variant is None:
        problems["variant"] = f"there is no variant {key!r} here"
    return render(
        request, "variants/browser.html", shown=shown, built=subject.built, version=subject.built.version,
        params=params, kept=[*params, *(("columns", name) for name in chosen)], problems=problems, wanted=asked.filter,
        page=page, total=result.total, facets=result.facets(), removed=result.removed(), notes=result.notes,
        without_parent_call=result.without_parent_call(), presets=presets, saved=list_filters(project, ports).items,
        columns=columns, all_columns=[*standard, *others], sort=sort, cursor=cursor, variant=variant, key=key,
        groups=index.groups, view=view, chips=_chips(asked.filter, params), formats=FORMATS if may_export else {},
        panels=list_panels(project, ports).items, tiers=TIERS, acmg=ACMG, consequence_groups=CONSEQUENCE_GROUPS,
        links=view.links(variant["row"], index.assembly) if variant else [],
        hides_tier=view.hides_tier_iv(asked.filter), current=_current(presets, params), saved_name=values.get("saved"),
        inheritances=_inheritances(shown.mode, index.groups), query=urlencode(params),
    )


def _asked(
    ports: Ports, project: Project, subject: Subject, params: list[Pair], problems: dict[str, str]
) -> tuple[Asked, list[Pair]]:
    """The question, without what of it cannot be used: that is in `problems`, by field (C66)."""
    while True:
        try:
            asked = Asked(ports, project, subject, params)
            asked.result()
            return asked, params
        except BadQuery as error:
            found = {reason.field.partition("[")[0].partition(".")[0]: reason.message for reason in error.reasons}
        except Refusal as error:
            if not error.reasons:
                raise
            found = {reason.field: reason.message for reason in error.reasons}
        kept = [pair for pair in params if pair[0] not in found]
        problems |= found
        params = kept if kept != params else []


def _chips(wanted: Filter, params: Sequence[Pair]) -> list[view.Chip]:
    return view.chips(wanted, [pair for pair in params if pair[0] in ("sort", "columns")])


def _current(presets: Sequence[view.Preset], params: Sequence[Pair]) -> view.Preset | None:
    """The preset that the address is just now, however it is sorted."""
    asked = sorted(pair for pair in params if pair[0] not in ("sort", "cursor", "columns"))
    return next((p for p in presets if sorted(x for x in p.params if x[0] != "sort") == asked), None)


def _inheritances(mode: Mode, groups: Sequence[Group]) -> list[str]:
    parents = {group.prefix for group in groups} & {"mother", "father"}
    if mode is Mode.SOMATIC or not parents:
        return []
    return ["de_novo", "recessive", "compound_het", "x_linked", "dominant"]


def _as_the_api_says(given: Sequence[Pair]) -> list[Pair]:
    """What the form sent, in the names and units of the filter, without what holds anyway."""
    found: list[Pair] = []
    missing = [value for name, value in given if name == "keep_missing"]
    for name, value in given:
        if name.startswith(PER_CENT):
            found.append((name.removeprefix(PER_CENT), _fraction(value)))
        elif name == "region":
            found += [(name, part.strip()) for part in value.split(";") if part.strip()]
        elif name != "keep_missing" or (value != NONE or missing == [NONE]):
            found.append((name, value))
    kept = [value for name, value in found if name == "keep_missing"]
    return [pair for pair in found if pair[0] != "keep_missing"] if kept == ["frequency"] else found


def _fraction(per_cent: str) -> str:
    """What is no number stays as it was written, and is refused by that."""
    try:
        return f"{float(per_cent.replace(',', '.')) / 100:.10g}"
    except ValueError:
        return f"{per_cent} %"
