"""A request's inputs against the pipeline's schema: every reason at once, every file found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.pipelines.catalogue import FOLDER, read_pipeline
from shared.domain.input_schema import InputFile
from shared.domain.pipeline import Pipeline, input_files, validate_inputs
from shared.domain.reasons import MAX_REASONS, Reason
from tests.unit.pipelines.conftest import INPUTS

GERMLINE_CALLS = read_pipeline(FOLDER / "germline-calls.yaml")


@pytest.fixture
def pipeline(definition: dict[str, Any]) -> Pipeline:
    return Pipeline.model_validate(definition)


def test_valid_inputs_have_no_reasons(pipeline: Pipeline) -> None:
    inputs = {"alignments": [{"path": "samples/a/uploads/a.bam", "lane": 1}], "reference": "r.fa"}
    assert validate_inputs(pipeline, inputs) == []


def test_every_reason_comes_at_once_with_its_field(pipeline: Pipeline) -> None:
    inputs = {
        "alignments": [{"path": "../a.bam"}, {"pth": "b.bam"}, 3, {"path": "gs://other/c.bam", "lane": 0}],
        "mode": "quick",
        "refrence": "r.fa",
    }
    assert {reason.field: reason.message for reason in validate_inputs(pipeline, inputs)} == {
        "inputs.alignments[0].path": "'../a.bam' has an empty, '.' or '..' part, "
        "so it may lead out of the project bucket",
        "inputs.alignments[1].path": "is required",
        "inputs.alignments[1].pth": "is not known; known is: path, lane",
        "inputs.alignments[2]": "must be of type object, not a number",
        "inputs.alignments[3].lane": "0 is less than the minimum of 1",
        "inputs.alignments[3].path": "'gs://other/c.bam' is an address; "
        "give a path inside the project bucket, such as samples/x/uploads/reads.bam",
        "inputs.mode": 'must be one of "fast", "exact", not "quick"',
        "inputs.reference": "is required",
        "inputs.refrence": "is not known; known is: alignments, reference, panels, mode",
    }


@pytest.mark.parametrize("inputs", [None, [], "x", 1, True])
def test_inputs_that_are_no_object_are_one_reason(pipeline: Pipeline, inputs: object) -> None:
    (reason,) = validate_inputs(pipeline, inputs)
    assert reason.field == "inputs"
    assert reason.message.startswith("must be of type object")


def test_an_empty_list_is_named(pipeline: Pipeline) -> None:
    assert validate_inputs(pipeline, {"alignments": [], "reference": "r.fa"}) == [
        Reason(field="inputs.alignments", message="must not be empty")
    ]


def test_thousands_of_faults_are_cut_with_their_number(pipeline: Pipeline) -> None:
    reasons = validate_inputs(pipeline, {"alignments": [0] * 5000, "reference": "r.fa"})
    assert len(reasons) == MAX_REASONS
    assert reasons[-1].message == f"and {5000 - MAX_REASONS + 1} further faults"


def test_a_huge_value_does_not_fill_the_reason(pipeline: Pipeline) -> None:
    inputs = {"alignments": [{"path": "a.bam"}], "reference": "r.fa", "mode": "x" * 100_000, "y\n" * 9999: 1}
    assert all(len(reason.field) + len(reason.message) < 600 for reason in validate_inputs(pipeline, inputs))


def test_nesting_without_end_is_a_reason_and_no_crash(pipeline: Pipeline) -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    (reason,) = validate_inputs(pipeline, {"mode": nested})
    assert "nested more than" in reason.message


def test_files_are_found_with_field_and_indexes(pipeline: Pipeline) -> None:
    inputs = {"alignments": [{"path": "a.bam"}, {"path": "b.cram"}], "reference": "r.fa", "panels": ["p.bed"]}
    assert input_files(pipeline, inputs) == [
        InputFile("inputs.alignments[0].path", "a.bam", (".bai", ".crai")),
        InputFile("inputs.alignments[1].path", "b.cram", (".bai", ".crai")),
        InputFile("inputs.reference", "r.fa", (".fai",)),
        InputFile("inputs.panels[0]", "p.bed"),
    ]


def test_an_alignments_index_may_replace_the_suffix_but_a_fastas_may_not() -> None:
    assert InputFile("f", "a/x.bam", (".bai",)).index_paths == ("a/x.bam.bai", "a/x.bai")
    assert InputFile("f", "a/x.fa", (".fai",)).index_paths == ("a/x.fa.fai",)
    assert InputFile("f", "a/x.bed").index_paths == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*INPUTS["properties"], "path", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(inputs=JSON)
def test_any_json_gives_reasons_or_files_and_never_an_exception(inputs: Any) -> None:
    reasons = validate_inputs(GERMLINE_CALLS, inputs)
    files = input_files(GERMLINE_CALLS, inputs)
    assert all(reason.field.startswith("inputs") and reason.message for reason in reasons)
    assert reasons or all(file.path for file in files)
