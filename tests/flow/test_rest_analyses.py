"""Asking for analyses by REST, reading them, cancelling and running them again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from infra.local.batch.faults import Fault, Quota, write_faults
from shared.domain import paths
from shared.domain.analysis import Status
from shared.domain.pipeline import Pipeline
from shared.domain.request import parse_request
from shared.ports import Query, Update
from shared.steps.accept import accept
from shared.steps.register import register_pipeline
from tests.examples import whole_or
from tests.flow.planted import an_old_one, plant
from tests.flow.pulled import Emulators
from tests.flow.stack import Stack, bearer


@pytest.fixture(autouse=True)
def _no_fault_stays(stack: Stack) -> Iterator[None]:
    yield
    write_faults(stack.batch_dir)


def test_an_accepted_request_runs_to_its_end_and_says_where_it_is(stack: Stack) -> None:
    answer = stack.client.post("/analyses", json={
        "display_id": "WGS 12/A", "pipeline": "fail-on-request", "inputs": {"exit_code": 0, "runtime_seconds": 0},
    })
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/api/v1/analyses/{made['id']}"
    assert (made["slug"], made["created_by"], made["history"][0]["source"]) == ("wgs-12-a", "ada@lab.example", "REST")
    done = stack.until_status(made["id"], "succeeded")
    assert [change["to"] for change in done["history"]] == ["queued", "running", "succeeded"]
    assert stack.client.get("/analyses/wgs-12-a").json() == stack.client.get(f"/analyses/{made['id']}").json() == done


def test_each_of_100_parallel_clients_reads_what_it_just_made_c02(stack: Stack, emulators: Emulators | None) -> None:
    count = whole_or(100, 25) if emulators else 100
    write_faults(stack.batch_dir, Fault(quota=Quota()))  # none of them is to begin, so that each is queued for sure

    def make_and_read(number: int) -> tuple[str, int, str]:
        made = stack.submit(f"C02 {number}")
        answer = stack.client.get(f"/analyses/{made['id']}")
        return made["id"], answer.status_code, answer.json()["status"]

    with ThreadPoolExecutor(count) as clients:
        answers = list(clients.map(make_and_read, range(count)))
        assert {(code, status) for _, code, status in answers} == {(200, "queued")}
        list(clients.map(lambda answer: stack.client.post(f"/analyses/{answer[0]}/cancel"), answers))
    for identity, _, _ in answers:
        stack.until_status(identity, "cancelled")


def test_a_repeated_request_finds_its_own_analysis(stack: Stack) -> None:
    body = {"display_id": "Once", "pipeline": "fail-on-request", "inputs": {"exit_code": 0, "runtime_seconds": 0}}
    first, second = (
        stack.client.post("/analyses", json=body, headers={"Idempotency-Key": "once"}) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    other = stack.client.post("/analyses", json={**body, "display_id": "Twice"}, headers={"Idempotency-Key": "once"})
    assert other.status_code == 422
    assert [reason["field"] for reason in other.json()["reasons"]] == ["request_id"]


def test_20_parallel_clients_with_one_key_make_one_analysis(stack: Stack) -> None:
    inputs = {"exit_code": 0, "runtime_seconds": 0}
    body = {"display_id": "All at once", "pipeline": "fail-on-request", "inputs": inputs}

    def ask(_: int) -> str:
        return str(stack.client.post("/analyses", json=body, headers={"Idempotency-Key": "at-once"}).json()["id"])

    with ThreadPoolExecutor(20) as clients:
        assert set(clients.map(ask, range(20))) == {paths.analysis_id("demo", "at-once")}
    done = stack.until_status(paths.analysis_id("demo", "at-once"), "succeeded")
    assert done["history_total"] == 3


def test_a_request_that_was_stored_and_never_announced_is_started_all_the_same(stack: Stack) -> None:
    request = parse_request({
        "request_id": "killed", "project": "demo", "display_id": "Killed in between", "pipeline": "fail-on-request",
        "inputs": {"exit_code": 0, "runtime_seconds": 0}, "requested_by": "ada@lab.example",
    })
    left = accept(stack.ports, request, source="REST", to_be_started=True).analysis  # and here the process died
    assert [event.type for event in left.unsent] == ["analysis.queued", "analysis.start"]
    stack.until_status(left.id, "succeeded")


def test_a_refused_request_names_every_field(stack: Stack) -> None:
    answer = stack.client.post("/analyses", json={
        "display_id": "Refused", "pipeline": "UPPER", "inputs": {}, "samples": [{"name": "A", "role": "aunt"}], "x": 1,
    })
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    problem = answer.json()
    assert problem["code"] == "request-refused"
    assert {reason["field"] for reason in problem["reasons"]} == {"pipeline", "samples[0].role", "x"}


def test_a_taken_slug_is_refused_and_names_its_owner(stack: Stack) -> None:
    owner = stack.submit("Taken name")
    answer = stack.client.post("/analyses", json={
        "display_id": "taken-NAME", "pipeline": "fail-on-request", "inputs": {"exit_code": 0, "runtime_seconds": 0},
    })
    (reason,) = answer.json()["reasons"]
    assert reason["field"] == "display_id"
    assert owner["id"] in reason["message"]


def test_input_files_that_are_missing_are_refused_before_a_job_is_made(stack: Stack) -> None:
    answer = stack.client.post("/analyses", json={
        "display_id": "No file", "pipeline": "vcf-normalize", "inputs": {"vcf": "samples/x/uploads/none.vcf"},
    })
    assert answer.status_code == 422
    assert answer.json()["reasons"][0]["message"].startswith("missing: samples/x/uploads/none.vcf")
    assert stack.client.get("/analyses/no-file").status_code == 404


def test_an_unchanged_document_is_not_sent_again(stack: Stack) -> None:
    made = plant(stack, an_old_one("demo", "Unchanged"))
    etag = stack.client.get(f"/analyses/{made.id}").headers["etag"]
    assert stack.client.get(f"/analyses/{made.id}", headers={"If-None-Match": etag}).status_code == 304
    assert stack.client.get(f"/analyses/{made.id}", headers={"If-None-Match": '"0"'}).status_code == 200


def test_what_is_another_projects_looks_like_what_does_not_exist(stack: Stack) -> None:
    stack.add_project("other")
    theirs = plant(stack, an_old_one("other", "Theirs"))
    for call in ("", "/outputs", "/logs", "/variants", "/outputs/log.txt"):
        answer = stack.client.get(f"/analyses/{theirs.id}{call}")
        nowhere = stack.client.get(f"/analyses/{paths.analysis_id('demo', 'nowhere')}{call}")
        assert (answer.status_code, nowhere.status_code) == (404, 404)
        assert answer.json()["code"] == nowhere.json()["code"] == "not-found"


@pytest.mark.parametrize(("headers", "status", "code"), [
    ({}, 400, "project-missing"),
    ({"X-Project-ID": "none"}, 404, "not-found"),
    ({"X-Project-ID": "../x"}, 404, "not-found"),
])
def test_each_call_names_a_project_that_there_is(
    stack: Stack, headers: dict[str, str], status: int, code: str
) -> None:
    answer = httpx.get(f"{stack.api}/api/v1/analyses", headers={**headers, **bearer(stack.settings)})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


# -- cancel -------------------------------------------------------------------------------------------------------


def test_a_cancel_is_answered_at_once_though_batch_is_slow_c91(stack: Stack) -> None:
    made = stack.submit("Slow cancel", runtime_seconds=60)
    stack.until_status(made["id"], "running")
    write_faults(stack.batch_dir, Fault(jobs=paths.job_id(made["id"]), answer_after_s=8))
    began = time.monotonic()
    first = stack.client.post(f"/analyses/{made['id']}/cancel")
    second = stack.client.post(f"/analyses/{made['id']}/cancel")
    assert time.monotonic() - began < 8  # Batch has not answered yet
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["cancel_requested"] == second.json()["cancel_requested"]
    assert first.json()["status"] == second.json()["status"] == "running"
    write_faults(stack.batch_dir)
    done = stack.until_status(made["id"], "cancelled")
    assert done["cancel_requested"]["by"] == "ada@lab.example"


def test_a_cancel_has_no_effect_on_what_is_final_c27(stack: Stack) -> None:
    for status in (Status.SUCCEEDED, Status.FAILED):
        final = plant(stack, an_old_one("demo", f"Final {status}", status))
        answer = stack.client.post(f"/analyses/{final.id}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (409, "already-final")
        assert answer.json()["analysis_status"] == status
        assert stack.document(final.id) == final.to_document()  # and so no command was committed for Batch
    assert stack.client.post("/analyses/nobody-has-this/cancel").status_code == 404
    cancelled = plant(stack, an_old_one("demo", "Final cancelled", Status.CANCELLED))
    answer = stack.client.post(f"/analyses/{cancelled.id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert stack.document(cancelled.id) == cancelled.to_document()


def test_an_unconfirmed_cancel_says_since_when_and_is_listed_by_age_c23(stack: Stack) -> None:
    write_faults(stack.batch_dir, Fault(cancel_unavailable=1_000_000))
    names = ("Asked long ago", "Asked just now")
    made = [stack.submit(name, runtime_seconds=60)["id"] for name in names]
    for identity in made:
        stack.until_status(identity, "running")
        stack.client.post(f"/analyses/{identity}/cancel")
    _backdate_cancel(stack, made[0], minutes=30)
    items = stack.client.get("/ops/cancels").json()["items"]
    assert [item["display_id"] for item in items] == list(names)
    assert 1800 <= items[0]["waiting_seconds"] < 1900
    assert items[1]["waiting_seconds"] < 100
    shown = stack.client.get(f"/analyses/{made[0]}").json()
    assert (shown["status"], shown["cancel_requested"]["by"]) == ("running", "ada@lab.example")
    assert "Batch has not confirmed yet" in shown["status_detail"]
    write_faults(stack.batch_dir)
    for identity in made:
        stack.until_status(identity, "cancelled")
    assert stack.client.get("/ops/cancels").json()["items"] == []


def _backdate_cancel(stack: Stack, identity: str, minutes: int) -> None:
    path = paths.analysis_doc("demo", identity)

    def written() -> bool:
        stored = stack.ports.documents.get(path)
        assert stored is not None
        asked = stored.data["cancel_requested"]
        earlier = f"{stack.ports.clock().timestamp() - minutes * 60}"
        moment = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(float(earlier)))
        stack.ports.documents.commit([
            Update(path, {**stored.data, "cancel_requested": {**asked, "at": moment}}, stored.version)
        ])
        return True

    stack.until(written)


# -- rerun --------------------------------------------------------------------------------------------------------


def test_a_rerun_takes_the_definition_that_was_run_then_and_changes_nothing_old_c06(stack: Stack) -> None:
    old = stack.submit("Rerun me", runtime_seconds=60)
    stack.until_status(old["id"], "running")
    stack.client.post(f"/analyses/{old['id']}/cancel")
    before = stack.until_status(old["id"], "cancelled")
    files = {file.path: file.generation for file in stack.ports.objects.list("demo", "analyses/rerun-me/")}
    _register_newer(stack, old["pipeline"]["definition"])

    answer = stack.client.post(f"/analyses/{old['id']}/rerun")

    assert answer.status_code == 201
    new = answer.json()
    assert (new["display_id"], new["slug"], new["rerun_of"]) == ("Rerun me rerun 2", "rerun-me-rerun-2", old["id"])
    assert new["id"] != old["id"]
    assert (new["inputs"], new["pipeline"]) == (old["inputs"], old["pipeline"])
    stack.client.post(f"/analyses/{new['id']}/cancel")
    done = stack.until_status(new["id"], "cancelled")
    assert all(output["path"].startswith("analyses/rerun-me-rerun-2/") for output in done["outputs"])
    assert stack.document(old["id"]) == before
    assert {file.path: file.generation for file in stack.ports.objects.list("demo", "analyses/rerun-me/")} == files


def _register_newer(stack: Stack, definition: dict[str, object]) -> None:
    newer = Pipeline.model_validate({**definition, "version": "9.0.0", "title": "Another one"})
    register_pipeline(stack.ports, "demo", newer, by="tests")


def test_reruns_are_numbered_and_a_repeated_one_finds_its_own(stack: Stack) -> None:
    stack.submit("Again")
    stack.submit("Again rerun 3")
    key = {"Idempotency-Key": "rerun-once"}
    second = stack.client.post("/analyses/again/rerun", headers=key)
    fourth = stack.client.post("/analyses/again-rerun-2/rerun")
    repeated = stack.client.post("/analyses/again/rerun", headers=key)
    assert [a.json()["display_id"] for a in (second, fourth, repeated)] == [
        "Again rerun 2", "Again rerun 4", "Again rerun 2",
    ]
    assert [a.status_code for a in (second, fourth, repeated)] == [201, 201, 200]
    named = stack.client.post("/analyses/again/rerun", json={"display_id": "By my name"})
    assert named.json()["slug"] == "by-my-name"
    taken = stack.client.post("/analyses/again/rerun", json={"display_id": "again"})
    assert (taken.status_code, taken.json()["reasons"][0]["field"]) == (422, "display_id")


def test_a_rerun_differs_in_what_is_asked_for_and_in_nothing_else(stack: Stack) -> None:
    old = stack.submit("Changed", exit_code=3, samples=[{"name": "S1", "role": "proband"}])
    _register_newer(stack, old["pipeline"]["definition"])

    def again(**body: object) -> httpx.Response:
        return stack.client.post(f"/analyses/{old['id']}/rerun", json=body)

    new = again(inputs={"exit_code": 0, "log_lines": ["one"]}, samples=[{"name": "S2"}], version="latest").json()
    assert new["inputs"] == {"exit_code": 0, "runtime_seconds": 0, "log_lines": ["one"]}
    assert ([sample["name"] for sample in new["samples"]], new["pipeline"]["version"]) == (["S2"], "9.0.0")
    assert new["rerun_of"] == old["id"]
    without = stack.client.post(f"/analyses/{new['id']}/rerun", json={"inputs": {"log_lines": None}}).json()
    assert (without["inputs"], without["pipeline"]) == ({"exit_code": 0, "runtime_seconds": 0}, new["pipeline"])
    for body, field in (
        ({"inputs": {"exit_code": 999}}, "inputs.exit_code"), ({"inputs": {"exit_code": None}}, "inputs.exit_code"),
        ({"version": "7.7.7"}, "pipeline"), ({"version": "newest"}, "version"), ({"samples": [{}]}, "samples[0].name"),
    ):
        refused = again(**body)
        assert (refused.status_code, refused.json()["reasons"][0]["field"]) == (422, field), body


def test_every_query_of_the_api_is_one_that_an_index_answers(stack: Stack) -> None:
    """Equality filters are merged by Firestore, so one index for each with the sort is what it takes."""
    from shared.topology import topology

    indexes = {(index.group, index.collection, index.fields) for index in topology().every_index}
    for order in ("created_at desc", "metrics.run_seconds desc"):
        for field in ("status", "pipeline.slug", "pipeline.version", "origin", "order_id", "listed.find contains"):
            assert (False, "analyses", (field, order)) in indexes
    for collection in ("rejections", "dead_letters"):
        assert {(True, collection, ("at desc",)), (False, collection, ("at desc",))} <= indexes
    assert stack.ports.documents.query(Query("*/analyses", limit=1)).items
