"""The form that asks for an analysis: of a pipeline, or of one that is run again, with what differs.

A form carries the request id that it was made with: sent twice, it is one analysis.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from services.miner.api.pipelines import registered
from services.miner.asking import Asked, ask_for_new, ask_for_rerun
from services.miner.bodies import Rerun
from services.miner.context import ThePerson, ThePorts, TheProject, analysis_named, loaded, parse
from services.miner.pages import schema_form as forms
from services.miner.pages.forms import Fields, the_fields
from services.miner.pages.rendering import render, see_other
from services.miner.problems import not_found
from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.pipeline import Pipeline, validate_inputs
from shared.domain.project import Project
from shared.domain.reasons import Reason, short
from shared.domain.request import Origin, RequestRefused, Role, Sex
from shared.ports import Ports
from shared.steps.inputs import whole_inputs
from shared.steps.orders import order_named
from shared.steps.rerun import Changes, free_names

router = APIRouter(include_in_schema=False)
SOURCE = "the pages"
SAMPLES = "samples"
LATEST = "latest"
PAGES = ("new", "several")
"""Below /analyses: an analysis whose slug is one of them would have no page at its slug."""
_ANYBODY = {"name": "", "role": Role.SAMPLE, "sex": Sex.UNKNOWN}


@dataclass(frozen=True)
class Draft:
    """A form as it stands. `versions` are those that may be chosen, the newest first; `old` is run again."""

    pipeline: Pipeline
    versions: tuple[str, ...]
    typed: Mapping[str, str]
    request_id: str
    old: Analysis | None = None
    old_inputs: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()

    @property
    def inputs(self) -> dict[str, Any]:
        return forms.inputs_of(self.pipeline.inputs, self.typed)[0]

    @property
    def samples(self) -> list[dict[str, str]]:
        rows = forms.rows_of(SAMPLES, self.typed)
        return [{key.removeprefix("."): value.strip() for key, value in row.items()} for row in rows]

    def value(self, name: str) -> str:
        return self.typed.get(name, "").strip()

    def compact(self) -> Draft:
        """Without blank rows, so that a refusal's `[1]` is the second row."""
        typed = forms.without_blank_rows(SAMPLES, self.typed, ".name")
        for name in forms.lists_of(self.pipeline.inputs, typed):
            typed = forms.without_blank_rows(name, typed)
        return replace(self, typed=typed)


# -- choosing, and the form ---------------------------------------------------------------------------------------


@router.get("/analyses/new")
def new_analysis(
    request: Request, project: TheProject, ports: ThePorts,
    pipeline: Annotated[str, Query(max_length=63)] = "", version: Annotated[str, Query(max_length=32)] = "",
    rerun_id: Annotated[str, Query(alias="rerun", max_length=200)] = "",
) -> HTMLResponse:
    """Without a pipeline, those there are. What else the address has are values of the form's fields."""
    if not pipeline and not rerun_id:
        return render(request, "new/choose.html", pipelines=newest(ports, project))
    draft = _draft(ports, project, pipeline, version, rerun_id)
    given = {name: value for name, value in request.query_params.items() if name not in _OF_THE_PAGE}
    return _form(request, replace(draft, typed={**draft.typed, **given}))


@router.post("/analyses/new")
def ask(
    request: Request, project: TheProject, ports: ThePorts, person: ThePerson, fields: Annotated[Fields, the_fields]
) -> Response:
    """`do` is the button: rows are added and taken away, what differs is shown; without it the analysis is made."""
    draft = _draft(ports, project, fields.one("pipeline"), fields.one("version"), fields.one("rerun"))
    typed = {name: value for name, value in _texts(fields).items() if name not in _OF_THE_PAGE}
    draft = replace(draft, typed=typed, request_id=fields.one("request_id") or ports.new_id())
    does, _, what = fields.one("do").partition(":")
    if does == "add":
        return _form(request, replace(draft, typed=_one_more(draft, what)))
    if does == "remove":
        return _form(request, replace(draft, typed=_one_less(draft, what)))
    draft = draft.compact()
    if does == "compare":
        return _form(request, draft)
    if reasons := at_fault(draft):
        return _form(request, replace(draft, reasons=reasons), 422)
    try:
        made = _asked(ports, project, person.email, draft)
    except RequestRefused as refused:
        return _form(request, _refused(ports, draft, refused), 422)
    said = "was asked for before" if made.repeated else "is queued"
    analysis = made.found.analysis
    return see_other(request, f"/analyses/{analysis.slug}", message=f"{analysis.display_id} {said}.")


_OF_THE_PAGE = frozenset({"pipeline", "version", "rerun", "project", "request_id", "do", "csrf_token"})


def newest(ports: Ports, project: Project) -> list[Pipeline]:
    """The newest version of each pipeline, in order of slug."""
    found: dict[str, Pipeline] = {}
    for stored in registered(ports, project):
        if stored.data["slug"] not in found:
            found[stored.data["slug"]] = Pipeline.model_validate(stored.data["definition"])
    return list(found.values())


def _draft(ports: Ports, project: Project, slug: str, version: str, rerun_id: str) -> Draft:
    """A new form. Raises Refusal (404)."""
    stored = analysis_named(ports, project, rerun_id) if rerun_id else None
    if rerun_id and stored is None:
        raise not_found(f"analysis {rerun_id!r} in project {project.id!r}")
    old = loaded(stored).analysis if stored else None
    definitions = {
        each.data["version"]: each.data["definition"]
        for each in registered(ports, project, old.pipeline.slug if old else slug)
    }
    versions = tuple(definitions)
    if old:
        definitions[old.pipeline.version] = old.pipeline.definition
        version = version or old.pipeline.version
    if version in ("", LATEST):
        version = next(iter(versions), "")
    if version not in definitions:
        raise not_found(f"version {version or LATEST} of pipeline {slug!r} in project {project.id!r}")
    pipeline = Pipeline.model_validate(definitions[version])
    if old is None:
        return Draft(pipeline, versions, forms.typed_of(pipeline.inputs, {}), ports.new_id())
    inputs = whole_inputs(ports, old)
    typed = {
        **forms.typed_of(pipeline.inputs, inputs), "display_id": next(free_names(ports, old), ""),
        **forms.with_rows(SAMPLES, {}, [
            {".name": sample.name, ".role": sample.role, ".sex": sample.sex} for sample in old.samples
        ]),
    }
    chosen = tuple(dict.fromkeys((*versions[:1], old.pipeline.version)))
    return Draft(pipeline, chosen, typed, ports.new_id(), old, inputs)


def _form(request: Request, draft: Draft, status: int = 200) -> HTMLResponse:
    schema = draft.pipeline.inputs
    fields = forms.fields_of(schema, draft.typed)
    found = faults(fields, draft.reasons)
    return render(
        request, "new/form.html", status, draft=draft, pipeline=draft.pipeline, fields=fields,
        samples=[{**_ANYBODY, **row} for row in draft.samples or [{}]], roles=list(Role), sexes=list(Sex),
        differences=differences(draft),
        faults=found, id_of=id_of, shown=shown, problems={fault.name: fault.message for fault in found if fault.name},
    )


def _texts(fields: Fields) -> dict[str, str]:
    """Of a name that stands twice, the last: a tick's box after its "false"."""
    return {name: text for name, text in fields.form.multi_items() if isinstance(text, str)}


def _one_more(draft: Draft, name: str) -> dict[str, str]:
    return forms.with_rows(name, draft.typed, [*forms.rows_of(name, draft.typed), {"": ""}])


def _one_less(draft: Draft, row: str) -> dict[str, str]:
    """`row` as `samples[1]`."""
    name, _, at = row.rstrip("]").rpartition("[")
    rows = forms.rows_of(name, draft.typed)
    return forms.with_rows(name, draft.typed, [each for number, each in enumerate(rows) if str(number) != at])


# -- what was refused ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """`name` of the field that it stands beside, empty where there is none; `label` for the summary."""

    name: str
    label: str
    message: str


LABELS = {"display_id": "Display id", "samples": "Samples", "order_id": "Order", "pipeline": "Pipeline"}


def at_fault(draft: Draft) -> tuple[Reason, ...]:
    """What can be told without the store, all at once."""
    inputs, unread = forms.inputs_of(draft.pipeline.inputs, draft.typed)
    found, name = [], draft.value("display_id")
    if not name and not draft.old:
        found.append(Reason(field="display_id", message="is required"))
    if paths.slug(name) in PAGES:
        found.append(Reason(field="display_id", message="is the name of a page; choose another"))
    found += [Reason(field=name, message=message) for name, message in unread.items()]
    missing = {name.removesuffix(forms.AS_JSON) for name in unread}
    return (*found, *(each for each in validate_inputs(draft.pipeline, inputs) if each.field not in missing))


def id_of(name: str) -> str:
    """Of the element with a field of that name."""
    return "f-" + re.sub(r"\W+", "-", name).strip("-")


def faults(fields: Sequence[forms.Field], reasons: Sequence[Reason]) -> list[Fault]:
    """Each reason with the field that it is about; those of one field are one."""
    found: dict[str, Fault] = {}
    for reason in reasons:
        field_, label = next(_about(fields, reason.field), (None, ""))
        name = field_.name if field_ else reason.field if reason.field.startswith(tuple(LABELS)) else ""
        said = _where_inside(field_, reason.field) + reason.message
        before = found.get(name or reason.field)
        found[name or reason.field] = Fault(
            name, label or LABELS.get(reason.field, reason.field), f"{before.message}; {said}" if before else said
        )
    return list(found.values())


def _about(fields: Sequence[forms.Field], named: str, within: str = "") -> Iterator[tuple[forms.Field, str]]:
    for each in fields:
        label = f"{within}: {each.label}" if within else each.label
        yield from _about(each.parts, named, "" if each.kind is forms.Kind.ROWS else label)
        if each.is_named(named) or each.name == named:
            yield each, label


def _where_inside(about: forms.Field | None, named: str) -> str:
    """Of several lines, which one; of JSON, the path in it."""
    inside = named.removeprefix(about.name.removesuffix(forms.AS_JSON)) if about else ""
    if about and about.kind is forms.Kind.LINES and (at := re.fullmatch(r"\[(\d+)\]", inside)):
        return f"line {int(at.group(1)) + 1} "
    return f"{inside.lstrip('.')}: " if about and inside and about.name != named else ""


# -- what differs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """What it was and what it is to be; None where there is nothing."""

    name: str
    before: Any
    after: Any


def differences(draft: Draft) -> list[Difference]:
    """Of a rerun to the analysis that it runs again. What was not said was the schema's default."""
    old = draft.old
    if old is None:
        return []
    found = [] if draft.pipeline.version == old.pipeline.version else [
        Difference("Version", old.pipeline.version, draft.pipeline.version)
    ]
    given = draft.inputs
    before = {**forms.defaults_of(old.pipeline.definition["inputs"]), **draft.old_inputs}
    after = {**forms.defaults_of(draft.pipeline.inputs), **given}
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            found.append(Difference(name, before.get(name), after.get(name)))
    was, now = _said(old), _typed_samples(draft)
    if was != now:
        found.append(Difference("Samples", ", ".join(was) or None, ", ".join(now) or None))
    return found


def shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 300)


def _changes(draft: Draft) -> Changes:
    """Raises RequestRefused."""
    old, given = draft.old, draft.inputs
    assert old is not None
    named = {each.name for each in differences(draft)}
    inputs = {name: given.get(name) for name in dict.fromkeys((*draft.old_inputs, *given)) if name in named}
    version = None if draft.pipeline.version == old.pipeline.version else draft.pipeline.version
    samples = draft.samples if _said(old) != _typed_samples(draft) else None
    wanted = parse(Rerun, {"samples": samples})
    return Changes(inputs, version, wanted.samples)


def _said(analysis: Analysis) -> list[str]:
    return [f"{sample.name} ({sample.role}, {sample.sex})" for sample in analysis.samples]


def _typed_samples(draft: Draft) -> list[str]:
    return [
        f"{row['name']} ({row.get('role') or Role.SAMPLE}, {row.get('sex') or Sex.UNKNOWN})"
        for row in draft.samples if row.get("name")
    ]


# -- asking for it ------------------------------------------------------------------------------------------------


def _asked(ports: Ports, project: Project, by: str, draft: Draft) -> Asked:
    """Raises RequestRefused."""
    if draft.old:
        return ask_for_rerun(
            ports, draft.old, request_id=draft.request_id, display_id=draft.value("display_id") or None, by=by,
            source=SOURCE, changes=_changes(draft),
        )
    order = draft.value("order_id")
    stored = order_named(ports, project.id, order) if order else None
    fields = {
        "request_id": draft.request_id, "project": project.id, "display_id": draft.value("display_id"),
        "pipeline": draft.pipeline.slug, "version": draft.pipeline.version, "inputs": draft.inputs,
        "samples": draft.samples, "origin": Origin.ORDER if order else Origin.COMPUTE,
        "order_id": stored.id if stored else order or None, "requested_by": by,
    }
    return ask_for_new(ports, fields, source=SOURCE)


def _refused(ports: Ports, draft: Draft, refused: RequestRefused) -> Draft:
    """A form that was sent, changed and sent again has made its analysis: it gets another request id."""
    if not any(reason.field == "request_id" for reason in refused.reasons):
        return replace(draft, reasons=refused.reasons)
    said = Reason(field="", message="this form has made an analysis already; send it once more to make another one")
    return replace(draft, request_id=ports.new_id(), reasons=(said,))
