"""A definition is strict, frozen, and says what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.pipeline import Pipeline, definition_digest
from shared.domain.request import reasons_of

Definition = dict[str, Any]


def fields_at_fault(definition: Definition) -> set[str]:
    with pytest.raises(ValidationError) as caught:
        Pipeline.model_validate(definition)
    return {reason.field for reason in reasons_of(caught.value)}


def test_key_is_slug_at_version(definition: Definition) -> None:
    assert Pipeline.model_validate(definition).key == "small-calls@1.2.0"


def test_versions_are_ordered_as_numbers(definition: Definition) -> None:
    versions = ["1.10.0", "1.9.9", "1.2.0"]
    pipelines = [Pipeline.model_validate(definition | {"version": version}) for version in versions]
    assert max(pipelines, key=lambda pipeline: pipeline.order).version == "1.10.0"


def test_a_stored_copy_is_the_same_definition(definition: Definition) -> None:
    pipeline = Pipeline.model_validate(definition)
    assert Pipeline.model_validate(json.loads(json.dumps(pipeline.model_dump(mode="json")))) == pipeline


def test_a_definition_cannot_be_changed(definition: Definition) -> None:
    with pytest.raises(ValidationError):
        Pipeline.model_validate(definition).version = "2.0.0"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"retires": {"max": 1}}, "retires"),
        ({"slug": "Small Calls"}, "slug"),
        ({"version": "1.2"}, "version"),
        ({"version": "01.2.0"}, "version"),
        ({"version": "latest"}, "version"),
        ({"runnables": []}, "runnables"),
        ({"runnables": [{"image": "x", "command": "python -m x"}]}, "runnables[0].command"),
        ({"runnables": [{"image": "x", "command": []}]}, "runnables[0].command"),
        ({"runnables": [{"image": "x", "command": ["a\0b"]}]}, "runnables[0].command"),
        (
            {"runnables": [{"image": "x", "command": ["x"], "environment": {"IFLOW_INPUTS": "/etc"}}]},
            "runnables[0].environment",
        ),
        ({"runnables": [{"image": "x", "command": ["x"], "environment": {"A-B": "1"}}]}, "runnables[0].environment"),
        ({"max_run_seconds": "3600"}, "max_run_seconds"),
        ({"max_run_seconds": 0}, "max_run_seconds"),
        ({"max_run_seconds": 15 * 86400}, "max_run_seconds"),
        ({"task_count": True}, "task_count"),
        ({"parallelism": 2}, ""),
        ({"retries": {"max": 11}}, "retries.max"),
        ({"retries": {"max": 1, "on_exit_codes": [0]}}, "retries"),
        ({"retries": {"max": 0, "on_exit_codes": [50001]}}, "retries"),
        ({"outputs": []}, "outputs"),
        ({"outputs": [{"glob": "../x", "kind": "vcf", "required": True}]}, "outputs[0].glob"),
        ({"outputs": [{"glob": "/x", "kind": "vcf", "required": True}]}, "outputs[0].glob"),
        ({"outputs": [{"glob": "{role}.vcf", "kind": "vcf", "required": True}]}, "outputs[0].glob"),
        ({"outputs": [{"glob": "x", "kind": "vfc", "required": True}]}, "outputs[0].kind"),
        (
            {"outputs": [{"glob": "{sample}.vcf", "kind": "vcf", "required": True, "sample": "S1"}]},
            "outputs[0]",
        ),
        (
            {"outputs": [{"glob": "x", "kind": "vcf", "required": True, "index": {"suffixes": ["tbi"]}}]},
            "outputs[0].index.suffixes",
        ),
    ],
)
def test_a_fault_is_named_by_its_field(definition: Definition, change: Definition, field: str) -> None:
    assert field in fields_at_fault(definition | change)


def test_all_faults_are_told_at_once(definition: Definition) -> None:
    definition["resources"] |= {"cpu_milli": 0, "memory_mib": "4 GB", "gpu": 1}
    assert fields_at_fault(definition | {"title": ""}) == {
        "title", "resources.cpu_milli", "resources.memory_mib", "resources.gpu",
    }  # fmt: skip


def test_digest_follows_the_meaning_not_the_spelling(definition: Definition) -> None:
    spelled_out = definition | {"task_count": 1, "retries": {"max": 0, "on_exit_codes": []}}
    reordered = dict(reversed(definition.items()))
    digests = {definition_digest(Pipeline.model_validate(d)) for d in (definition, spelled_out, reordered)}
    assert len(digests) == 1
    assert definition_digest(Pipeline.model_validate(definition | {"title": "Other"})) not in digests


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "objekt"}, "no valid JSON Schema: type"),
        ({"type": "object", "properties": {"a": {"minimum": "1"}}}, "no valid JSON Schema: properties.a.minimum"),
        ({"properties": {}}, "type: object"),
        ({"type": "object", "properties": {"a": {"$ref": "https://x.test/a"}}}, "properties.a: $ref"),
        ({"type": "object", "properties": {"a": {"type": "string", "format": "date"}}}, "format 'date'"),
        ({"type": "object", "properties": {"a": {"format": "bucket-path"}}}, "needs type: string"),
        (
            {"type": "object", "properties": {"a": {"anyOf": [{"type": "string", "format": "bucket-path"}]}}},
            "properties.a.anyOf[0]: a bucket-path may stand only under properties and items",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string", "format": "bucket-path"}},
            "additionalProperties: a bucket-path may stand only",
        ),
        ({"type": "object", "properties": {"a": {"type": "string", "x-index": [".bai"]}}}, "x-index needs format"),
        (
            {"type": "object", "properties": {"a": {"type": "string", "format": "bucket-path", "x-index": ["bai"]}}},
            "properties.a: x-index must be a list of suffixes",
        ),
    ],
)
def test_a_bad_schema_is_refused_when_the_pipeline_is_built(
    definition: Definition, schema: Definition, fault: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Pipeline.model_validate(definition | {"inputs": schema})
    (reason,) = reasons_of(caught.value)
    assert reason.field == "inputs"
    assert fault in reason.message


def test_properties_may_bear_the_names_of_keywords(definition: Definition) -> None:
    inputs = {"type": "object", "properties": {"format": {"type": "string"}, "$ref": {"type": "string"}}}
    assert Pipeline.model_validate(definition | {"inputs": inputs}).inputs == inputs
