"""A pipeline's inputs as a form: its JSON Schema as fields, what was typed as inputs, inputs as what would be typed.

A field has the name by which a refusal names it (`inputs.alignments[0].path`). What has no field of its own shape is
typed as JSON, under that name and `:json`. Nothing typed is nothing given: the schema says whether that may be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from shared.domain.input_schema import BUCKET_PATH
from shared.domain.json_text import read_json
from shared.domain.reasons import field_name

Schema = Mapping[str, Any]
Typed = Mapping[str, str]
"""What stands in a form's fields, by their names."""

AS_JSON = ":json"
FURTHER = f"inputs{AS_JSON}"
"""Inputs that the schema allows and does not name."""

MOST_ROWS = 100
"""Longer lists are typed as JSON, or a line each."""

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_PLAIN = ("string", "integer", "number")


class Kind(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    TICK = "tick"
    CHOICE = "choice"
    FILE = "file"
    LINES = "lines"
    JSON = "json"
    GROUP = "group"
    ROWS = "rows"


@dataclass(frozen=True)
class Field:
    """`value` is what is typed. `parts` are the fields of a group, or the rows of a list, each a field of its own."""

    name: str
    kind: Kind
    schema: Schema
    label: str = ""
    required: bool = False
    value: str = ""
    options: tuple[str, ...] = ()
    parts: tuple[Field, ...] = ()

    @property
    def hint(self) -> str:
        return str(self.schema.get("description", ""))

    def is_named(self, field: str) -> bool:
        """Whether a refusal of `field` is about this one: of what it holds that has no field of its own, too."""
        own = self.name.removesuffix(AS_JSON)
        if self.kind in (Kind.LINES, Kind.JSON):
            return field == own or field.startswith((f"{own}[", f"{own}."))
        return field == own


# -- from the schema to fields ------------------------------------------------------------------------------------


def fields_of(schema: Schema, typed: Typed) -> list[Field]:
    """In the order of the schema, those that are required first."""
    required = schema.get("required", [])
    found = [
        _field(node, f"inputs.{field_name(key)}", typed, key, required=key in required)
        for key, node in properties(schema).items()
    ]
    found.sort(key=lambda field: not field.required)
    if schema.get("additionalProperties", True) is not False:
        further: Schema = {"description": "By name, as a JSON object: what the pipeline takes beside the fields above."}
        found.append(Field(FURTHER, Kind.JSON, further, "Further inputs", value=typed.get(FURTHER, "")))
    return found


def _field(schema: Schema, name: str, typed: Typed, key: str, *, required: bool) -> Field:
    label = str(schema.get("title") or (key[:1].upper() + key[1:]).replace("_", " "))
    kind = _kind_typed(schema, name, typed)
    field = Field(name, kind, schema, label, required, typed.get(name, ""))
    match kind:
        case Kind.CHOICE:
            return replace(field, options=tuple(_option(item, schema["enum"]) for item in schema["enum"]))
        case Kind.JSON:
            return replace(field, name=name + AS_JSON, value=typed.get(name + AS_JSON, ""))
        case Kind.GROUP:
            return replace(field, parts=tuple(_parts(schema, name, typed)))
        case Kind.ROWS:
            rows = max(1, row_count(name, typed))
            return replace(field, parts=tuple(
                _field(schema["items"], f"{name}[{at}]", typed, f"{label} {at + 1}", required=False)
                for at in range(rows)
            ))
        case _:
            return field


def _parts(schema: Schema, name: str, typed: Typed) -> list[Field]:
    required = schema.get("required", [])
    return [
        _field(node, f"{name}.{field_name(key)}", typed, key, required=key in required)
        for key, node in properties(schema).items()
    ]


def properties(schema: Schema) -> Mapping[str, Schema]:
    found = schema.get("properties", {})
    return {key: node if isinstance(node, Mapping) else {} for key, node in found.items()}


def _kind_typed(schema: Schema, name: str, typed: Typed) -> Kind:
    return Kind.JSON if name + AS_JSON in typed else _kind(schema)


def _kind(schema: Schema, inside: bool = False) -> Kind:
    """`inside` a list or an object: those are one level deep."""
    kind, items = schema.get("type"), schema.get("items", {})
    if isinstance(schema.get("enum"), list) and not any(isinstance(item, list | dict) for item in schema["enum"]):
        return Kind.CHOICE
    if kind == "boolean":
        return Kind.TICK
    if kind in ("integer", "number"):
        return Kind.NUMBER
    if kind == "string":
        return Kind.FILE if schema.get("format") == BUCKET_PATH else Kind.TEXT
    if kind == "array" and isinstance(items, Mapping) and not inside:
        if items.get("type") in _PLAIN and "enum" not in items and items.get("format") != BUCKET_PATH:
            return Kind.LINES
        return Kind.ROWS if _kind(items, inside=True) in (Kind.FILE, Kind.GROUP) else Kind.JSON
    if kind == "object" and "properties" in schema and schema.get("additionalProperties") is False:
        parts = [_kind(part, inside=True) for part in properties(schema).values()]
        nested = {Kind.JSON, Kind.GROUP, Kind.ROWS, Kind.LINES}
        return Kind.JSON if not parts or nested & set(parts) else Kind.GROUP
    return Kind.JSON


# -- from what is typed to inputs ---------------------------------------------------------------------------------


class NotJson(ValueError):
    """What was typed is no JSON."""


def inputs_of(schema: Schema, typed: Typed) -> tuple[dict[str, Any], dict[str, str]]:
    """The inputs, and what of them cannot be read, by the field's name."""
    inputs: dict[str, Any] = {}
    problems: dict[str, str] = {}
    required = schema.get("required", [])
    try:
        inputs.update(_json_object(typed.get(FURTHER, "")))
    except NotJson as error:
        problems[FURTHER] = str(error)
    for key, node in properties(schema).items():
        name = f"inputs.{field_name(key)}"
        try:
            inputs |= _given(key, node, name, typed, required=key in required)
        except NotJson as error:
            problems[name + AS_JSON] = str(error)
    return inputs, problems


def _given(key: str, schema: Schema, name: str, typed: Typed, *, required: bool) -> dict[str, Any]:
    """The value by its key; nothing where nothing is typed. Raises NotJson."""
    text = typed.get(name, "")
    match _kind_typed(schema, name, typed):
        case Kind.JSON:
            text = typed.get(name + AS_JSON, "").strip()
            return {key: _json(text)} if text else {}
        case Kind.TICK:
            return {key: text == "true"} if text else {}
        case Kind.CHOICE:
            among = schema["enum"]
            return {key: next((item for item in among if _option(item, among) == text), text)} if text else {}
        case Kind.NUMBER:
            return {key: _number(text)} if text.strip() else {}
        case Kind.LINES:
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            numbers = schema["items"]["type"] != "string"
            found: list[Any] = [_number(line) for line in lines] if numbers else lines
            return {key: found} if found or required else {}
        case Kind.GROUP:
            said = {part: text for part, text in typed.items() if part.startswith(f"{name}.")}
            return {key: _group(schema, name, typed)} if required or not is_blank(said) else {}
        case Kind.ROWS:
            items = schema["items"]
            rows = [
                _given("", items, f"{name}[{at}]", typed, required=True) for at in range(row_count(name, typed))
            ]
            filled = [row[""] for row in rows if row]
            return {key: filled} if filled or required else {}
        case _:
            return {key: text.strip()} if text.strip() else {}


def _group(schema: Schema, name: str, typed: Typed) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, node in properties(schema).items():
        found |= _given(key, node, f"{name}.{field_name(key)}", typed, required=key in schema.get("required", []))
    return found


def _json(text: str) -> Any:
    try:
        return read_json(text.encode())
    except ValueError as error:
        raise NotJson(f"is no JSON: {error}") from None


def _json_object(text: str) -> dict[str, Any]:
    found = _json(text) if text.strip() else {}
    if not isinstance(found, dict):
        raise NotJson("is no JSON object, such as {\"name\": \"value\"}")
    return found


def _number(text: str) -> int | float | str:
    """The text itself where it is none: the schema then says what is wanted."""
    text = text.strip()
    try:
        number: int | float | str = read_json(text.encode()) if _NUMBER.fullmatch(text) else text
    except ValueError:
        return text
    return number


def _option(item: Any, among: Sequence[Any]) -> str:
    """A text as it is, unless another of them is written so; the others as JSON."""
    if isinstance(item, str) and not any(json.dumps(each) == item for each in among):
        return item
    return json.dumps(item)


def _line(item: Any) -> str:
    return item if isinstance(item, str) else json.dumps(item)


# -- from inputs to what would be typed ---------------------------------------------------------------------------


def defaults_of(schema: Schema) -> dict[str, Any]:
    return {key: node["default"] for key, node in properties(schema).items() if "default" in node}


def typed_of(schema: Schema, inputs: Mapping[str, Any]) -> dict[str, str]:
    """Read again by `inputs_of` it gives `inputs`, with the schema's defaults where it said nothing."""
    given = {**defaults_of(schema), **inputs}
    typed: dict[str, str] = {}
    for key, node in properties(schema).items():
        name = f"inputs.{field_name(key)}"
        if key in given:
            typed |= _typed(node, name, given[key])
        elif _kind(node) is Kind.TICK and key in schema.get("required", []):
            typed[name] = "false"
    further = {key: value for key, value in inputs.items() if key not in properties(schema)}
    if further and schema.get("additionalProperties", True) is not False:
        typed[FURTHER] = _pretty(further)
    return typed


def _typed(schema: Schema, name: str, value: Any) -> dict[str, str]:
    plain = _in_fields(schema, name, value)
    return {name + AS_JSON: _pretty(value)} if plain is None else plain


def _in_fields(schema: Schema, name: str, value: Any) -> dict[str, str] | None:
    """None where the fields of its kind cannot hold it."""
    match _kind(schema):
        case Kind.TICK if isinstance(value, bool):
            return {name: "true" if value else "false"}
        case Kind.NUMBER if isinstance(value, int | float) and not isinstance(value, bool):
            return {name: json.dumps(value)}
        case Kind.TEXT | Kind.FILE if _is_line(value):
            return {name: value}
        case Kind.CHOICE if value != "" and any(_is_same(item, value) for item in schema["enum"]):
            return {name: _option(value, schema["enum"])}
        case Kind.LINES if isinstance(value, list) and value and all(_is_line(_line(item)) for item in value):
            return {name: "\n".join(_line(item) for item in value)} if _are_of(schema, value) else None
        case Kind.GROUP if isinstance(value, Mapping) and not set(value) - set(properties(schema)):
            parts = [(properties(schema)[key], f"{name}.{field_name(key)}", value[key]) for key in value]
            found = _all_in_fields(parts)
            return None if found is None or is_blank(found) else found
        case Kind.ROWS if isinstance(value, list) and 0 < len(value) <= MOST_ROWS:
            return _all_in_fields([(schema["items"], f"{name}[{at}]", item) for at, item in enumerate(value)])
        case _:
            return None


def _all_in_fields(parts: Sequence[tuple[Schema, str, Any]]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for schema, name, value in parts:
        plain = _in_fields(schema, name, value)
        if plain is None:
            return None
        found |= plain
    return found


def _is_same(one: Any, other: Any) -> bool:
    return bool(one == other) and type(one) is type(other)


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value == value.strip() != "" and len(value.splitlines()) == 1


def _are_of(schema: Schema, items: Sequence[Any]) -> bool:
    wanted = (str,) if schema["items"]["type"] == "string" else (int, float)
    return all(type(item) in wanted for item in items)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


# -- rows ---------------------------------------------------------------------------------------------------------


def row_count(name: str, typed: Typed) -> int:
    """How many rows of the list have a field in the form, at most MOST_ROWS."""
    found = [int(at.group(1)) for key in typed if (at := re.match(rf"{re.escape(name)}\[(\d{{1,3}})\]", key))]
    return min(MOST_ROWS, max(found, default=-1) + 1)


def lists_of(schema: Schema, typed: Typed) -> list[str]:
    """The names of the lists that are typed in rows."""
    names = {f"inputs.{field_name(key)}": node for key, node in properties(schema).items()}
    return [name for name, node in names.items() if _kind_typed(node, name, typed) is Kind.ROWS]


def rows_of(name: str, typed: Typed) -> list[dict[str, str]]:
    """What is typed in each row, by what stands behind `name[0]`."""
    return [
        {key.removeprefix(start): text for key, text in typed.items() if key == start or key.startswith(f"{start}.")}
        for start in (f"{name}[{at}]" for at in range(row_count(name, typed)))
    ]


def is_blank(typed: Typed) -> bool:
    """A tick that is not set is nothing, either."""
    return all(text.strip() in ("", "false") for text in typed.values())


def with_rows(name: str, typed: Typed, rows: Sequence[Typed]) -> dict[str, str]:
    """With these rows in the place of those that there are."""
    others = {key: text for key, text in typed.items() if not key.startswith(f"{name}[")}
    return others | {f"{name}[{at}]{end}": text for at, row in enumerate(rows) for end, text in row.items()}


def without_blank_rows(name: str, typed: Typed, telling: str | None = None) -> dict[str, str]:
    """`telling` is the part of a row without which it is blank; else any part makes it one."""
    def is_filled(row: Typed) -> bool:
        return bool(row.get(telling, "").strip()) if telling else not is_blank(row)

    return with_rows(name, typed, [row for row in rows_of(name, typed) if is_filled(row)])
