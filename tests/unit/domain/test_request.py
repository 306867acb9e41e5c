"""The submit request: strict, with every reason at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import paths
from shared.domain.request import RequestRefused, parse_request
from tests.builders import a_request

GOOD: dict[str, Any] = {
    "request_id": "r-1", "project": "lab", "display_id": "WGS 12/A", "pipeline": "calls", "inputs": {},
    "requested_by": "dr.a@lab.example",
}


def refused(**changes: Any) -> dict[str, str]:
    with pytest.raises(RequestRefused) as caught:
        parse_request({**GOOD, **changes})
    return {reason.field: reason.message for reason in caught.value.reasons}


def test_every_reason_is_given_at_once() -> None:
    found = refused(pipeline="No Such", inputs=[1], samples=[{"name": ""}], colour="red")
    assert set(found) == {"pipeline", "inputs", "samples[0].name", "colour"}


@pytest.mark.parametrize(("changes", "field", "says"), [
    ({"display_id": "!!!"}, "display_id", "empty slug"),
    ({"display_id": "a\x00b"}, "display_id", "U+0000"),
    ({"display_id": "a\u202eb"}, "display_id", "U+202E"),
    ({"samples": [{"name": "a", "role": "proband"}, {"name": "b", "role": "proband"}]}, "samples", "proband"),
    ({"samples": [{"name": "a"}, {"name": "a"}]}, "samples", "more than once"),
    ({"origin": "order"}, "order_id", "is missing"),
    ({"schema_version": 2}, "schema_version", "newer"),
    ({"version": "1"}, "version", "pattern"),
    ({"inputs": {"notes": [{"a": "x\x00y"}]}}, "inputs.notes[0].a", "U+0000"),
    ({"inputs": {"a\x1bb": 1}}, r'inputs."a\u001bb"', "U+001B"),
    ({"inputs": {"a": {"b": "two\nlines\tare text\x07"}}}, "inputs.a.b", "U+0007"),
    ({"inputs": json.loads('{"a":' * 200 + "1" + "}" * 200)}, "inputs", "more than 32 levels"),
    ({"\u202e" * 5000: 1}, '"' + r"\u202e" * 12 + r"\u20...", "not permitted"),
    ({"request_id": ""}, "request_id", "at least 1"),
])
def test_what_can_never_succeed_names_its_field(changes: dict[str, Any], field: str, says: str) -> None:
    assert says in refused(**changes)[field]


def test_of_a_thousand_faults_a_hundred_are_told() -> None:
    found = refused(**{f"unknown_{n}": n for n in range(1000)})
    assert len(found) == 100
    assert found[""] == "and 901 further faults"


def test_the_same_request_has_the_same_id_and_digest_and_another_has_not() -> None:
    assert a_request().analysis_id == a_request().analysis_id
    assert a_request().digest() == a_request().digest()
    assert a_request(request_id="r-2").analysis_id != a_request().analysis_id
    assert a_request(inputs={"vcf": "x"}).digest() != a_request().digest()


@given(st.text(max_size=60))
def test_a_slug_is_its_own_slug_and_holds_only_what_a_folder_may(text: str) -> None:
    found = paths.slug(text)
    assert paths.slug(found) == found
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert "--" not in found and found.strip("-") == found


def test_two_display_ids_with_one_slug_would_share_a_folder() -> None:
    assert paths.slug("WGS 12/A") == paths.slug("wgs-12-a") == "wgs-12-a"


@given(st.text(max_size=300))
def test_any_text_becomes_an_id_that_firestore_takes(text: str) -> None:
    found = paths.safe_id(text)
    assert found and "/" not in found and found not in (".", "..") and len(found.encode()) <= 1500


@pytest.mark.parametrize("path", [
    "", "/etc/passwd", "a/../b", "../x", "a//b", "gs://other/x.vcf", "a\\b", "a\x00b", "./a", "a/.", "x" * 1025,
])
def test_a_path_that_may_lead_out_of_the_bucket_is_refused(path: str) -> None:
    assert paths.problem_with_path(path)


def test_a_batch_job_id_is_legal_and_leads_back_to_its_analysis() -> None:
    identity = a_request().analysis_id
    name = f"projects/123/locations/us-central1/jobs/{paths.job_id(identity)}"
    assert len(paths.job_id(identity)) <= 63 and paths.analysis_of_job(name) == identity
    assert paths.analysis_of_job("projects/1/locations/r/jobs/somebody-elses") is None
