"""The OpenAPI document says of every call what it does, what each parameter is, and how an answer looks."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from services.miner.app import create_app
from services.miner.examples import JSON, answer_of, operations, recorded, says_by_itself

DOCUMENT: dict[str, Any] = create_app().openapi()
OPERATIONS = dict(operations(DOCUMENT))
REMEDY = "let tests/flow/record_examples.py make the call, and `make examples`"


@pytest.mark.parametrize("line", OPERATIONS)
def test_a_call_and_each_of_its_parameters_is_described(line: str) -> None:
    operation = OPERATIONS[line]
    assert operation.get("description"), "its function has no docstring"
    for parameter in operation.get("parameters", []):
        assert parameter.get("description"), f"parameter {parameter['name']} has no description"
        assert says_by_itself(parameter) or "example" in parameter, f"parameter {parameter['name']} has no example"


@pytest.mark.parametrize("line", OPERATIONS)
def test_a_call_has_an_example_of_what_is_sent_and_of_what_is_answered(line: str) -> None:
    operation = OPERATIONS[line]
    for content in filter(None, (operation.get("requestBody", {}).get("content", {}).get(JSON), answer_of(operation))):
        assert "example" in content, REMEDY
        _check(content["example"], content["schema"])


def test_every_recorded_call_is_one_that_there_is() -> None:
    assert not recorded().keys() - OPERATIONS.keys(), "make examples"


def _check(example: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(example, {**schema, "components": DOCUMENT["components"]})
