"""The JSON Schema of a pipeline's inputs: checked once, then used to check requests and to find their files.

Draft 2020-12 (https://json-schema.org/draft/2020-12) with two additions for a string property:
`"format": "bucket-path"` says that it is the path of a file in the project bucket, and beside it
`"x-index": [".bai", ".crai"]` that one of these index files must lie beside that file.

References (`$ref`) are refused: a remote one would be I/O, and an operator reads the frozen schema as it
stands. Bucket paths stand under `properties` and `items` only, so that no file can hide from the check before
the run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError

from shared.domain import paths
from shared.domain.reasons import Reason, field_name, limited, short, show

BUCKET_PATH = "bucket-path"
MAX_DEPTH = 32
"""Levels of lists and objects in inputs. Deeper ones exhaust the stack of whoever prints them."""

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Not tab and line ends: a text for people may have them."""

ALIGNMENT_SUFFIXES = (".bam", ".cram")
NO_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef", "$id", "$anchor", "$dynamicAnchor")
TYPE_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}
FORMATS = FormatChecker(formats=())


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a request names: `path` in the project bucket, and the field where the request says it."""

    field_path: str
    path: str
    index_suffixes: tuple[str, ...] = ()

    @property
    def index_paths(self) -> tuple[str, ...]:
        """Where an index may lie: one of these is enough; none are needed when there are none.

        `reads.bam.bai`, and for alignments `reads.bai` too, as samtools and Picard name them.
        """
        beside = tuple(self.path + suffix for suffix in self.index_suffixes)
        stem, dot, ending = self.path.rpartition(".")
        if f"{dot}{ending}" in ALIGNMENT_SUFFIXES:
            return beside + tuple(stem + suffix for suffix in self.index_suffixes)
        return beside


@FORMATS.checks(BUCKET_PATH, raises=ValueError)
def _bucket_path(value: object) -> bool:
    if isinstance(value, str) and (problem := paths.problem_with_path(value)):
        raise ValueError(problem)
    return True


def faults(schema: Mapping[str, Any]) -> list[str]:
    """Why `schema` cannot be the schema of a pipeline's inputs, a sentence each; empty when it can."""
    return _faults_of(json.dumps(schema))


@lru_cache(maxsize=256)  # a laboratory has few pipelines, and reads their frozen definitions at every event
def _faults_of(text: str) -> list[str]:
    schema = json.loads(text)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".")
        return [f"no valid JSON Schema: {where or 'it'}: {short(error.message)}"]
    if schema.get("type") != "object":
        return ["the top of the schema must say type: object, since inputs are named"]
    return [
        f"{where or 'the top'}: {fault}"
        for where, node, reachable in _subschemas(schema, "", True)
        for fault in _node_faults(node, reachable)
    ]


def _subschemas(node: Any, where: str, reachable: bool) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Every schema inside `node`; `reachable` where `files` would find it.

    Keywords that are not known are looked into as well: a bucket path under one would be a mistake.
    """
    if isinstance(node, list):
        for index, child in enumerate(node):
            yield from _subschemas(child, f"{where}[{index}]", False)
    if not isinstance(node, dict):
        return
    yield where, node, reachable
    for keyword, child in node.items():
        inside = f"{where}.{keyword}".lstrip(".")
        if keyword == "properties" and isinstance(child, dict):
            for name, value in child.items():
                yield from _subschemas(value, f"{inside}.{name}", reachable)
        elif keyword not in ("enum", "const", "default", "examples"):
            yield from _subschemas(child, inside, reachable and keyword == "items")


def _node_faults(node: Mapping[str, Any], reachable: bool) -> Iterator[str]:
    for keyword in NO_REFERENCES:
        if isinstance(node.get(keyword), str):
            yield f"{keyword} is not supported; write the schema out where it is used"
    form, index = node.get("format"), node.get("x-index")
    if isinstance(form, str) and form != BUCKET_PATH:
        yield f"format {form!r} would not be checked; use {BUCKET_PATH} or a pattern"
    if form == BUCKET_PATH and node.get("type") != "string":
        yield f"format {BUCKET_PATH} needs type: string"
    if form == BUCKET_PATH and not reachable:
        yield f"a {BUCKET_PATH} may stand only under properties and items, or its file would not be checked"
    if index is not None and form != BUCKET_PATH:
        yield f"x-index needs format: {BUCKET_PATH} beside it"
    if index is not None and not _are_suffixes(index):
        yield "x-index must be a list of suffixes that begin with a dot, such as ['.bai', '.csi']"


def _are_suffixes(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, str) and re.fullmatch(r"(\.\w+)+", item) for item in value)
    )


def files(schema: Any, value: Any, where: str) -> Iterator[InputFile]:
    """The bucket paths in `value`, in its order."""
    if not isinstance(schema, dict):
        return
    if isinstance(value, str) and schema.get("format") == BUCKET_PATH:
        yield InputFile(where, value, tuple(schema.get("x-index", ())))
    elif isinstance(value, Mapping):
        properties = schema.get("properties", {})
        for name, child in value.items():
            yield from files(properties.get(name), child, f"{where}.{name}")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, child in enumerate(value):
            yield from files(schema.get("items"), child, f"{where}[{index}]")


def validate(schema: Mapping[str, Any], value: object, root: str) -> list[Reason]:
    """Every fault of `value`, sorted by field, limited in number."""
    if reasons := unfit(value, root):
        return reasons
    validator = Draft202012Validator(schema, format_checker=FORMATS)
    found = {r for error in validator.iter_errors(value) for r in _reasons(error, root)}
    return limited(sorted(found, key=lambda reason: (reason.field, reason.message)), root)


def unfit(value: object, root: str) -> list[Reason]:
    """What no schema may allow: more levels than can be printed, and characters that only harm whoever reads them."""
    if _deeper_than(value, MAX_DEPTH):
        return [Reason(field=root, message=f"is nested more than {MAX_DEPTH} levels deep")]
    return limited(list(_control_characters(value, root)), root)


def _control_characters(value: object, where: str) -> Iterator[Reason]:
    if isinstance(value, str) and (found := CONTROL.search(value)):
        yield Reason(field=where, message=f"holds the control character U+{ord(found.group()):04X}; remove it")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _control_characters(child, f"{where}[{index}]")
    elif isinstance(value, dict):
        for name, child in value.items():
            inside = f"{where}.{field_name(name)}"
            if found := CONTROL.search(name):
                yield Reason(field=inside, message=f"its name holds the control character U+{ord(found.group()):04X}")
            yield from _control_characters(child, inside)


def _deeper_than(value: object, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return bool(level)


def _reasons(error: ValidationError, root: str) -> Iterator[Reason]:
    """An error as one reason per field: for a missing or an unknown property, that property's own path."""
    instance: Any = error.instance
    where = root + "".join(f"[{p}]" if isinstance(p, int) else f".{field_name(p)}" for p in error.absolute_path)
    rule: Any = error.validator_value
    if error.validator == "required":
        for name in rule:
            if name not in instance:
                yield Reason(field=f"{where}.{field_name(name)}", message="is required")
    elif error.validator == "additionalProperties" and rule is False:
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        for name in sorted(set(instance) - set(known)):
            takes = ", ".join(known) or "nothing"
            yield Reason(field=f"{where}.{field_name(name)}", message=f"is not known; known is: {short(takes)}")
    else:
        yield Reason(field=where, message=_sentence(error, rule))


def _sentence(error: ValidationError, rule: Any) -> str:
    value = error.instance
    match error.validator:
        case "type":
            wanted = " or ".join([rule] if isinstance(rule, str) else rule)
            return f"must be of type {wanted}, not {TYPE_NAMES.get(type(value), 'this')}"
        case "format":
            return str(error.cause)
        case "enum":
            allowed = ", ".join(json.dumps(item) for item in rule)
            return f"must be one of {short(allowed)}, not {show(value)}"
        case "pattern":
            return f"{show(value)} does not have the form {rule}"
        case "minItems" | "minLength" | "minProperties" if rule == 1:
            return "must not be empty"
        case _:
            return short(error.message.replace(repr(value), show(value)))
