"""What a form shows of inputs is read again as the same inputs, whatever a schema and inputs hold."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.miner.pages.schema_form import (
    FURTHER,
    Kind,
    defaults_of,
    fields_of,
    inputs_of,
    lists_of,
    rows_of,
    typed_of,
    with_rows,
    without_blank_rows,
)

TEXTS = st.text(alphabet="ab1 \n\té\"'<", max_size=6)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8,
)
PLAIN = st.sampled_from([
    {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"},
    {"enum": ["a", "1", 1, True, None]}, {"type": "string", "format": "bucket-path"},
    {"type": "boolean", "default": True}, {"type": "string", "default": "a"},
])
OBJECTS = st.dictionaries(st.sampled_from(["x", "y-z", "a b"]), PLAIN, max_size=3).map(
    lambda parts: {"type": "object", "properties": parts, "additionalProperties": False}
)
NODES = PLAIN | OBJECTS | (PLAIN | OBJECTS).map(lambda items: {"type": "array", "items": items}) | st.sampled_from(
    [{}, {"type": ["string", "null"]}, {"type": "object"}, {"type": "array", "items": {"type": "array"}}]
)
SCHEMAS = st.fixed_dictionaries({
    "type": st.just("object"), "properties": st.dictionaries(st.sampled_from(["p", "q_r", "s.t", "u v"]), NODES),
    "required": st.lists(st.sampled_from(["p", "q_r"]), unique=True),
})


def fitting(node: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Mostly values that the schema allows."""
    kinds: dict[Any, st.SearchStrategy[Any]] = {
        "string": TEXTS, "integer": st.integers(-9, 9), "number": NUMBERS, "boolean": st.booleans(),
    }
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if isinstance(node.get("items"), dict):
        return st.lists(fitting(node["items"]), max_size=3)
    if "properties" in node:
        return st.fixed_dictionaries({}, optional={name: fitting(part) for name, part in node["properties"].items()})
    return kinds.get(node.get("type") if isinstance(node.get("type"), str) else None, VALUES)


@given(st.data(), SCHEMAS)
def test_inputs_are_what_they_were_when_nothing_is_typed(data: st.DataObject, schema: dict[str, Any]) -> None:
    inputs = data.draw(st.fixed_dictionaries({}, optional={
        "other": VALUES, **{name: fitting(node) | VALUES for name, node in schema["properties"].items()},
    }))
    typed = typed_of(schema, inputs)
    for name in lists_of(schema, typed):
        typed = without_blank_rows(name, typed)
    found, problems = inputs_of(schema, typed)
    assert problems == {}
    said = {**defaults_of(schema), **inputs}
    unsaid = {name for name in schema["required"] if name not in said}  # a tick that is needed is no, a list is none
    assert {name: value for name, value in found.items() if name not in unsaid and value not in ([], {})} == {
        name: value for name, value in said.items() if value not in ([], {})
    }
    assert fields_of(schema, typed)


def test_the_kind_of_a_field_follows_from_its_schema() -> None:
    schema = {"type": "object", "required": ["n"], "additionalProperties": False, "properties": {
        "n": {"type": "number"}, "t": {"type": "boolean"}, "c": {"enum": [1, "2"]}, "f": {"type": "string"},
        "b": {"type": "string", "format": "bucket-path"}, "l": {"type": "array", "items": {"type": "integer"}},
        "r": {"type": "array", "items": {"type": "object", "additionalProperties": False, "properties": {
            "path": {"type": "string", "format": "bucket-path"}}}},
        "g": {"type": "object", "additionalProperties": False, "properties": {"x": {"type": "integer"}}},
        "deep": {"type": "object", "additionalProperties": False, "properties": {"x": {"type": "object"}}},
        "free": {"type": "object"},
    }}
    kinds = {field.name.removeprefix("inputs."): field.kind for field in fields_of(schema, {})}
    assert kinds == {
        "n": Kind.NUMBER, "t": Kind.TICK, "c": Kind.CHOICE, "f": Kind.TEXT, "b": Kind.FILE, "l": Kind.LINES,
        "r": Kind.ROWS, "g": Kind.GROUP, "deep:json": Kind.JSON, "free:json": Kind.JSON,
    }
    assert FURTHER in {field.name for field in fields_of({"type": "object"}, {})}


def test_what_is_typed_and_no_number_or_json_stays_what_it_is() -> None:
    schema = {"type": "object", "properties": {
        "n": {"type": "number"}, "l": {"type": "array", "items": {"type": "integer"}}, "j": {},
    }}
    inputs, problems = inputs_of(schema, {"inputs.n": "1e999", "inputs.l": "1\n x\n", "inputs.j:json": "NaN"})
    assert inputs == {"n": "1e999", "l": [1, "x"]}
    assert list(problems) == ["inputs.j:json"]


def test_rows_are_taken_away_where_they_are_blank() -> None:
    typed = {"other": "1", "s[0].name": " ", "s[0].role": "tumor", "s[1].name": "b", "s[2]": ""}
    assert without_blank_rows("s", typed, ".name") == {"other": "1", "s[0].name": "b"}
    assert rows_of("s", with_rows("s", typed, [{".name": "c"}])) == [{".name": "c"}]
