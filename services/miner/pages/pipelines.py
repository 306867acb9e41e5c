"""Pipelines: what there is, one version as people read it, and the form that registers one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import yaml
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from infra.pipelines.catalogue import strict_yaml
from services.miner.api.pipelines import registered
from services.miner.context import TheCaller, ThePorts, TheProject, parse
from services.miner.pages.forms import Fields, the_fields
from services.miner.pages.rendering import render, see_other
from services.miner.problems import Refusal, not_found
from shared.domain.input_schema import BUCKET_PATH
from shared.domain.json_text import read_json
from shared.domain.pipeline import Pipeline
from shared.domain.reasons import Reason, show
from shared.domain.request import MAX_REQUEST_BYTES, RequestRefused
from shared.ports import Stored
from shared.steps.register import AlreadyRegistered, register_pipeline

router = APIRouter(include_in_schema=False)
View = Literal["", "yaml", "json"]


@dataclass(frozen=True)
class Registered:
    """A version as it was registered."""

    pipeline: Pipeline
    digest: str
    registered_at: str
    registered_by: str


@dataclass(frozen=True)
class Input:
    """One property of the schema of inputs, in words."""

    name: str
    kind: str
    needed: bool
    rule: str
    description: str


@router.get("/pipelines")
def pipelines(request: Request, project: TheProject, ports: ThePorts) -> HTMLResponse:
    found: dict[str, list[Registered]] = {}
    for stored in registered(ports, project):
        found.setdefault(stored.data["slug"], []).append(_registered(stored))
    return render(request, "pipelines/list.html", pipelines=found, inputs_of=inputs_of)


@router.get("/pipelines/new")
def pipeline_form(
    request: Request, project: TheProject, ports: ThePorts, like: Annotated[str, Query(max_length=100)] = ""
) -> HTMLResponse:
    """`like` is `slug`, of which a new version is wanted: its newest stands in the form."""
    stored = next(iter(registered(ports, project, like)), None) if like else None
    return _form(request, as_yaml(stored.data["definition"]) if stored else "")


@router.post("/pipelines/new")
def register(
    request: Request, project: TheProject, ports: ThePorts, caller: TheCaller, fields: Annotated[Fields, the_fields]
) -> Response:
    """A file, where one was chosen, else the text. Registered again, the same, it is as it was."""
    file = fields.file("file")
    text = file.file.read(MAX_REQUEST_BYTES + 1).decode(errors="replace") if file else fields.one("definition")
    try:
        pipeline = parse(Pipeline, definition_of(text))
        is_new = register_pipeline(ports, project.id, pipeline, by=caller)
    except RequestRefused as refused:
        return _form(request, text, refused.reasons, 422)
    except AlreadyRegistered as error:
        return _form(request, text, (Reason(field="version", message=str(error)),), 422)
    said = "is registered" if is_new else "was registered already, the same"
    return see_other(request, f"/pipelines/{pipeline.slug}", {"version": pipeline.version},
                     message=f"{pipeline.key} {said}.")


@router.get("/pipelines/{slug}")
def pipeline(
    request: Request, project: TheProject, ports: ThePorts, slug: str,
    version: Annotated[str, Query(max_length=32)] = "", view: Annotated[View, Query()] = "",
) -> HTMLResponse:
    """Its versions, and one of them: the newest, unless another is named."""
    versions = [_registered(stored) for stored in registered(ports, project, slug)]
    chosen = next((each for each in versions if version in ("", each.pipeline.version)), None)
    if chosen is None:
        raise not_found(f"pipeline {slug!r}{f' version {version!r}' if version else ''} in project {project.id!r}")
    definition = chosen.pipeline.model_dump(mode="json")
    text = {"yaml": as_yaml, "json": as_json}[view](definition) if view else ""
    return render(
        request, "pipelines/pipeline.html", pipeline=chosen.pipeline, chosen=chosen, versions=versions, view=view,
        text=text, inputs=inputs_of(chosen.pipeline.inputs),
    )


def _form(
    request: Request, text: str, reasons: tuple[Reason, ...] = (), status: int = 200
) -> HTMLResponse:
    return render(request, "pipelines/new.html", status, text=text, reasons=reasons)


def _registered(stored: Stored) -> Registered:
    data = stored.data
    return Registered(
        Pipeline.model_validate(data["definition"]), data["digest"], data["registered_at"], data["registered_by"]
    )


# -- a definition as text, and text as a definition ---------------------------------------------------------------


def definition_of(text: str) -> dict[str, Any]:
    """YAML or JSON. Raises RequestRefused, Refusal (413)."""
    if len(text) > MAX_REQUEST_BYTES:
        raise Refusal(413, "too-large", f"A definition has at most {MAX_REQUEST_BYTES:,} characters.")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise ValueError("an alias (*name) is used; write out what it stands for")
        found = read_json(json.dumps(strict_yaml(text)).encode())  # what YAML has and JSON has not is refused
    except (ValueError, TypeError, yaml.YAMLError, RecursionError) as error:
        raise RequestRefused((Reason(field="", message=f"no YAML or JSON: {' '.join(str(error).split())}"),)) from None
    if not isinstance(found, dict):
        raise RequestRefused((Reason(field="", message="a mapping with slug, version, title and more is wanted"),))
    return found


def as_yaml(definition: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(definition), sort_keys=False, allow_unicode=True, width=100)


def as_json(definition: Mapping[str, Any]) -> str:
    return json.dumps(definition, indent=2, ensure_ascii=False)


# -- inputs in words ----------------------------------------------------------------------------------------------


def inputs_of(schema: Mapping[str, Any]) -> list[Input]:
    """In the schema's order; the parts of objects and of lists of objects follow them."""
    return [each for name, needed, node in _nodes(schema) for each in _described(name, needed, node)]


def _nodes(schema: Mapping[str, Any]) -> list[tuple[str, bool, Mapping[str, Any]]]:
    required = schema.get("required", [])
    return [
        (name, name in required, node if isinstance(node, Mapping) else {})
        for name, node in schema.get("properties", {}).items()
    ]


def _described(name: str, needed: bool, node: Mapping[str, Any]) -> list[Input]:
    found = [Input(name, _kind(node), needed, _rule(node), str(node.get("description", "")))]
    items = node.get("items")
    inner, between = (items, "[].") if isinstance(items, Mapping) else (node, ".")
    for part, part_needed, part_node in _nodes(inner):
        found += _described(f"{name}{between}{part}", part_needed, part_node)
    return found


def _kind(node: Mapping[str, Any]) -> str:
    if node.get("format") == BUCKET_PATH:
        return "file"
    if "enum" in node:
        return "one of"
    if node.get("type") == "array":
        items = node.get("items")
        return f"list of {_kind(items)}" if isinstance(items, Mapping) else "list"
    kind = node.get("type", "anything")
    return " or ".join(kind) if isinstance(kind, list) else {"boolean": "yes or no", "string": "text"}.get(kind, kind)


def _rule(node: Mapping[str, Any]) -> str:
    said = []
    if "enum" in node:
        said.append(", ".join(item if isinstance(item, str) else show(item) for item in node["enum"]))
    for name, words in _RULES.items():
        if name in node:
            value = node[name]
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            said.append(words.format(shown))
    if "default" in node:
        said.append(f"else {node['default'] if isinstance(node['default'], str) else show(node['default'])}")
    return "; ".join(said)


_RULES = {
    "minimum": "{} or more", "maximum": "{} or less", "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}", "minLength": "at least {} long", "maxLength": "at most {} long",
    "minItems": "at least {}", "maxItems": "at most {}", "pattern": "of the form {}",
    "x-index": "with its index beside it: {}",
}
