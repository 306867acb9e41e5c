"""Projects, pipelines, events and the operators' lists by REST; and the form of every error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.domain import paths
from tests.flow.stack import Stack

PROBLEM = {"type", "title", "status", "code", "detail", "instance", "reasons"}


def test_a_project_is_registered_once_and_its_settings_stay(stack: Stack) -> None:
    codes = [stack.client.post("/projects", json={"id": "ward-7", "title": title}).status_code
             for title in ("Ward 7", "Ward 7", "Another")]
    assert codes == [201, 200, 409]
    listed = {project["id"]: project["bucket"] for project in stack.client.get("/projects").json()["items"]}
    assert listed["ward-7"] == "ward-7"


@pytest.mark.parametrize(("body", "status"), [
    ({"id": "thief", "bucket": "demo"}, 409),
    ({"id": "thief", "bucket": "unassigned"}, 409),
    ({"id": "unassigned"}, 409),
    ({"id": "thief", "bucket": "../demo"}, 422),
    ({"id": "Thief"}, 422),
    ({"id": "thief", "owner": "x"}, 422),
])
def test_a_project_has_a_good_name_and_a_bucket_of_its_own(stack: Stack, body: dict[str, str], status: int) -> None:
    assert stack.client.post("/projects", json=body).status_code == status


def test_a_pipelines_version_never_changes(stack: Stack) -> None:
    definition = stack.client.get("/pipelines/fail-on-request@latest").json()["definition"]
    codes = [stack.client.post("/pipelines", json=each).status_code for each in (
        definition, {**definition, "version": "1.1.0"}, {**definition, "version": "1.1.0", "title": "Changed"},
        {**definition, "version": "1.2"},
    )]
    assert codes == [200, 201, 409, 422]
    versions = stack.client.get("/pipelines/fail-on-request").json()["items"]
    assert [each["version"] for each in versions] == ["1.1.0", "1.0.0"]
    assert stack.client.get("/pipelines/fail-on-request@latest").json()["version"] == "1.1.0"
    assert stack.client.get("/pipelines/fail-on-request@1.0.0").json()["definition"] == definition
    newest = {each["slug"]: each["version"] for each in stack.client.get("/pipelines").json()["items"]}
    assert newest == {"fail-on-request": "1.1.0", "germline-calls": "1.0.0", "vcf-normalize": "1.0.0"}
    for unknown in ("none", "none@1.0.0", "fail-on-request@9.9.9"):
        assert stack.client.get(f"/pipelines/{unknown}").status_code == 404


def _submit_event(**changes: Any) -> dict[str, Any]:
    data = {"request_id": "r-1", "project": "demo", "display_id": "By event", "pipeline": "fail-on-request",
            "inputs": {"exit_code": 0, "runtime_seconds": 0}, "requested_by": "lims"}
    return {"id": "lims-1", "type": "analysis.submit", "subject": "r-1", "time": "2026-11-25T08:00:00Z",
            "project": "demo", "data": {**data, **changes}}


def test_a_published_submit_event_becomes_an_analysis(stack: Stack) -> None:
    answer = stack.client.post("/events", content=json.dumps(_submit_event()))
    assert answer.status_code == 202
    assert answer.json()["attributes"] == {
        "id": "lims-1", "type": "analysis.submit", "project": "demo", "subject": "r-1",
    }
    identity = paths.analysis_id("demo", "r-1")
    stack.until(lambda: stack.ports.documents.get(paths.analysis_doc("demo", identity)))
    stack.until_status(identity, "succeeded")


def test_any_bytes_can_be_published_and_become_a_rejection_with_its_payload_c80(stack: Stack) -> None:
    message = stack.client.post("/events", content=b"{\xff\x00 no JSON").json()["message_id"]
    rejection = stack.until(
        lambda: (answer := stack.client.get(f"/ops/rejections/{message}")).status_code == 200 and answer.json()
    )
    assert rejection["project"] == "demo"
    assert rejection["payload"].endswith("no JSON")
    assert "not JSON" in rejection["reasons"][0]["message"]
    assert message in [item["id"] for item in stack.client.get("/ops/rejections").json()["items"]]
    assert stack.client.get("/ops/dead-letters").json()["items"] == []


def test_a_dead_letter_is_listed_shown_and_replayed_to_where_it_failed_c80(stack: Stack) -> None:
    nowhere = paths.analysis_id("demo", "nowhere")
    event = {"id": "start-nowhere", "type": "analysis.start", "subject": nowhere, "time": "2026-11-25T08:00:00Z",
             "project": "demo", "data": {"analysis_id": nowhere}}
    message = stack.client.post("/events", content=json.dumps(event)).json()["message_id"]
    letter = stack.until(
        lambda: (answer := stack.client.get(f"/ops/dead-letters/{message}")).status_code == 200 and answer.json()
    )
    assert (letter["subscription"], letter["attributes"]["id"]) == ("submit", "start-nowhere")
    assert nowhere in letter["reason"]
    replayed = stack.client.post(f"/ops/dead-letters/{message}/replay").json()
    assert (replayed["replayed_by"], replayed["id"]) == ("ada@lab.example", message)
    second = stack.until(lambda: [
        item for item in stack.client.get("/ops/dead-letters").json()["items"] if item["id"] != message
    ])
    assert [item["subscription"] for item in second] == ["submit"]
    assert stack.client.post("/ops/dead-letters/none/replay").status_code == 404


def test_operators_see_all_projects_and_what_belongs_to_none(stack: Stack) -> None:
    message = stack.client.post("/events", content=b"[]", headers={"X-Project-ID": "nobody"}).json()["message_id"]
    everywhere = {"X-Project-ID": "unassigned"}
    stack.until(lambda: stack.client.get(f"/ops/rejections/{message}", headers=everywhere).status_code == 200)
    assert stack.client.get(f"/ops/rejections/{message}").status_code == 404  # demo's operators do not
    del stack.client.headers["X-Project-ID"]
    try:
        assert stack.client.get(f"/ops/rejections/{message}").status_code == 200
        assert message in [item["id"] for item in stack.client.get("/ops/rejections").json()["items"]]
    finally:
        stack.client.headers["X-Project-ID"] = "demo"


def test_a_tick_is_published_on_request(stack: Stack) -> None:
    assert stack.client.post("/ops/reconcile").status_code == 202


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "content", "status", "code"), [
    ("POST", "/analyses", b"{", 400, "not-json"),
    ("POST", "/analyses", b"[]", 400, "not-json"),
    ("POST", "/analyses", b'{"a": NaN}', 400, "not-json"),
    ("POST", "/analyses", b"[" * 100_000, 400, "not-json"),
    ("POST", "/analyses", b'{"a": "\\ud800"}', 400, "not-json"),
    ("POST", "/analyses", b" " * 1_000_001, 413, "too-large"),
    ("POST", "/events", b" " * 10_000_001, 413, "too-large"),
    ("GET", "/analyses?limit=x", b"", 400, "bad-parameter"),
    ("GET", "/analyses/", b"", 404, "no-such-route"),
    ("GET", "/analyses/%00", b"", 404, "not-found"),
    ("GET", "/nothing", b"", 404, "no-such-route"),
    ("DELETE", "/analyses", b"", 405, "method-not-allowed"),
])
def test_every_error_is_a_problem_with_a_code(
    stack: Stack, method: str, path: str, content: bytes, status: int, code: str
) -> None:
    answer = stack.client.request(method, path, content=content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == PROBLEM
    assert "Traceback" not in answer.text


def test_an_event_with_half_a_character_is_published_as_it_is(stack: Stack) -> None:
    answer = stack.client.post("/events", content=b'{"subject": "\\ud800", "type": "analysis.submit"}')
    assert (answer.status_code, answer.json()["attributes"]) == (202, {"type": "analysis.submit", "project": "demo"})


def test_a_large_body_is_taken_where_events_are_published(stack: Stack) -> None:
    assert stack.client.post("/events", content=b" " * 9_000_000).status_code == 202


def test_the_openapi_document_says_what_each_route_may_answer(stack: Stack) -> None:
    document = stack.client.get(f"{stack.api}/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert "project" not in schemas["NewAnalysis"]["properties"]
    assert schemas["NewAnalysis"]["required"] == ["display_id", "pipeline", "inputs"]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path != "/healthz":
                assert "503" in operation["responses"], path
    references = {text.split('"')[0] for text in json.dumps(document).split("#/components/schemas/")[1:]}
    assert references <= set(schemas)
    assert stack.client.get(f"{stack.api}/docs").status_code == 200
    assert stack.client.get(f"{stack.api}/healthz").json() == {"status": "ok"}
