"""A request for an analysis, put together from a file and from options; options win."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli.exits import Exit, Failed
from services.cli.files import read_mapping


@dataclass(frozen=True)
class Options:
    """As given at the command line: `inputs` are NAME=VALUE, `samples` NAME[:ROLE[:SEX]]."""

    display_id: str | None
    pipeline: str | None
    inputs: Sequence[str]
    samples: Sequence[str]
    origin: str | None
    order: str | None
    callback_url: str | None


def request_of(file: Path | None, options: Options) -> dict[str, Any]:
    """The body for POST /analyses. Its content is checked by the service, which knows the pipeline."""
    body = read_mapping(file) if file else {}
    body.pop("project", None)  # the header says it
    slug, _, version = (options.pipeline or "").partition("@")
    given = {
        "display_id": options.display_id, "pipeline": slug or None, "version": version or None,
        "origin": options.origin, "order_id": options.order,
        "callback_url": options.callback_url,
        "samples": [sample_of(text) for text in options.samples] or None,
    }
    body.update({name: value for name, value in given.items() if value is not None})
    body["inputs"] = {**_mapping(body.get("inputs", {})), **dict(input_of(text) for text in options.inputs)}
    return body


def _mapping(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Failed(Exit.BAD_DATA, "inputs: a mapping of names to values is wanted.")
    return found


def input_of(text: str) -> tuple[str, Any]:
    """The value is JSON where it is valid JSON, and else the text itself: `exit_code=3`, `vcf=samples/x/calls.vcf`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Failed(Exit.USAGE, f"--input {text!r}: write NAME=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def sample_of(text: str) -> dict[str, str]:
    parts = text.split(":")
    if len(parts) > 3:
        raise Failed(Exit.USAGE, f"--sample {text!r}: write NAME, NAME:ROLE or NAME:ROLE:SEX.")
    return dict(zip(("name", "role", "sex"), parts, strict=False))
