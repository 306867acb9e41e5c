"""Inputs too large for the document lie whole in the bucket; tasks and reruns get them whole. (C82)"""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.domain.acceptance import inputs_file, new_analysis
from shared.domain.analysis import HEAD_OF_INPUT_FILES, LARGEST_INPUTS_BYTES, InputFile
from shared.domain.job import JobState
from shared.domain.request import SubmitRequest
from shared.ports import Ports
from shared.steps.accept import accept
from shared.steps.inputs import whole_inputs
from shared.steps.rerun import rerun
from shared.steps.start import start
from shared.steps.store import Loaded
from tests.builders import PROJECT, T0, a_pipeline, a_request
from tests.unit.steps.conftest import FakeEngine

LARGE: dict[str, Any] = {"vcf": "samples/x.vcf", "genes": ["BRCA2"] * 100_000, "é": "ü", "ratio": 0.1}


@pytest.fixture
def large(ports: Ports, accepted: Loaded) -> Loaded:
    del accepted  # its project and pipeline are what is needed
    request = SubmitRequest(
        request_id="large", project="alpha", display_id="Large", pipeline="calls", inputs=LARGE,
        requested_by="person@example.org",
    )
    return accept(ports, request, source="test")


def test_the_document_keeps_what_fits_and_says_where_the_whole_is(ports: Ports, large: Loaded) -> None:
    document = large.analysis.to_document()
    assert document["inputs"] == {"vcf": "samples/x.vcf", "é": "ü", "ratio": 0.1}
    assert document["inputs_size"] == len(json.dumps(LARGE, separators=(",", ":"), ensure_ascii=False).encode())
    assert document["inputs_path"].startswith(f"cache/inputs/{large.analysis.id}-")
    assert len(json.dumps(document)) < 10_000
    assert whole_inputs(ports, large.analysis) == LARGE


def test_a_task_gets_them_whole(ports: Ports, engine: FakeEngine, large: Loaded) -> None:
    engine.shows = JobState.QUEUED
    start(ports, large)
    assert json.loads(ports.objects.read("bucket", "analyses/large/request/inputs.json")) == LARGE


def test_a_rerun_gets_them_whole(ports: Ports, large: Loaded) -> None:
    again = rerun(ports, large.analysis, request_id="again", display_id=None, by="b@example.org", source="test")
    assert again.analysis.rerun_of == large.analysis.id
    assert again.analysis.inputs == large.analysis.inputs
    assert whole_inputs(ports, again.analysis) == LARGE


def test_a_repeated_request_is_the_same_analysis(ports: Ports, large: Loaded) -> None:
    request = SubmitRequest(
        request_id="large", project="alpha", display_id="Large", pipeline="calls", inputs=LARGE,
        requested_by="person@example.org",
    )
    assert accept(ports, request, source="test") == large


def test_ordinary_inputs_stay_in_the_document(ports: Ports, accepted: Loaded) -> None:
    assert (accepted.analysis.inputs_path, accepted.analysis.inputs_size) == (None, 2)
    assert list(ports.objects.list("bucket", "cache/")) == []


@pytest.mark.parametrize(("extra", "spilled"), [(0, False), (1, True)])
def test_the_bound_is_in_bytes_of_json(extra: int, spilled: bool) -> None:
    text = "é" * ((LARGEST_INPUTS_BYTES - len('{"x":""}')) // 2) + "x" * extra
    assert (inputs_file(a_request(inputs={"x": text}), ()) is not None) is spilled


def test_a_long_list_of_input_files_has_a_head_and_a_count() -> None:
    files = tuple(InputFile(path=f"samples/{n}.bam", size=n, generation=n) for n in range(HEAD_OF_INPUT_FILES + 1))
    analysis = new_analysis(a_request(inputs={"a": 1}), PROJECT, a_pipeline(), files, T0, source="test")
    assert (analysis.input_files, analysis.input_files_total) == (files[:HEAD_OF_INPUT_FILES], len(files))
    assert analysis.inputs == {"a": 1}
    whole = inputs_file(a_request(inputs={"a": 1}), files)
    assert whole.path == analysis.inputs_path
    assert [InputFile.model_validate(each) for each in json.loads(whole.content)["input_files"]] == list(files)
