"""The list of analyses: filters, pages, and numbers that agree with the document's."""

from __future__ import annotations

from typing import Any

import pytest

from shared.domain.analysis import CostSeen, Failure, FailureKind, Ingest, IngestStatus, Metrics, PipelineRun, Status
from shared.domain.failure import HINTS
from shared.domain.job import JobState
from shared.domain.member import Role as Membership
from shared.domain.request import Origin, Role, Sample
from shared.ports import Update
from shared.steps.members import put_member
from tests.builders import QUEUED, RUNNING, SCHEDULED, T0, a_job, after, an_analysis, at, look, moved
from tests.flow.planted import an_old_one, many, plant
from tests.flow.stack import Stack


def names(stack: Stack, project: str, **parameters: Any) -> list[str]:
    answer = stack.client.get("/analyses", params=parameters, headers={"X-Project-ID": project})
    assert answer.status_code == 200, answer.text
    return [item["display_id"] for item in answer.json()["items"]]


def pages(stack: Stack, project: str, **parameters: Any) -> list[dict[str, Any]]:
    found = []
    while True:
        answer = stack.client.get("/analyses", params=parameters, headers={"X-Project-ID": project})
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        if found[-1]["next"] is None:
            return found
        parameters["cursor"] = found[-1]["next"]


def test_statuses_and_tabs_show_the_right_sets_c89(stack: Stack) -> None:
    project = stack.add_project("tabs")
    for status in Status:
        plant(stack, an_old_one(project, status, status))
    wanted: dict[tuple[str, ...], set[str]] = {
        **{(status,): {status} for status in Status},
        ("queued", "failed"): {"queued", "failed"},
        ("in_progress",): {"queued", "running"},
        ("in_progress", "cancelled"): {"queued", "running", "cancelled"},
        ("completed",): {"succeeded"},
        ("all",): set(Status),
        (): set(Status),
    }
    for words, expected in wanted.items():
        assert set(names(stack, project, status=list(words))) == expected, words


def test_an_unknown_status_is_refused_with_those_there_are_c89(stack: Stack) -> None:
    answer = stack.client.get("/analyses", params={"status": ["queued", "Runing"]})
    assert answer.status_code == 400
    (reason,) = answer.json()["reasons"]
    assert reason["field"] == "status"
    for word in (*Status, "'Runing'", "in_progress", "completed", "all"):
        assert word in reason["message"]


def test_an_unknown_parameter_is_refused(stack: Stack) -> None:
    answer = stack.client.get("/analyses", params={"state": "failed", "limit": 0})
    assert answer.status_code == 400
    assert {reason["field"] for reason in answer.json()["reasons"]} == {"state", "limit"}


def test_pages_hold_each_of_200_of_one_moment_once_whatever_happens_between_c90(stack: Stack) -> None:
    project = stack.add_project("pages")
    many(stack, project, 200, "old", Status.RUNNING)
    seen: list[str] = []
    cursor = None
    for number in range(4):
        answer = stack.client.get(
            "/analyses", params={"limit": 50, **({"cursor": cursor} if cursor else {})},
            headers={"X-Project-ID": project},
        ).json()
        assert len(answer["items"]) == 50
        seen += [item["display_id"] for item in answer["items"]]
        cursor = answer["next"]
        plant(stack, an_old_one(project, f"new {number}", created_at=at(60 + number)))
        _finish(stack, answer["items"][0]["id"], project)
    assert cursor is None
    assert len(seen) == 200
    assert set(seen) == {f"old {n}" for n in range(200)}


def _finish(stack: Stack, identity: str, project: str) -> None:
    stored = stack.ports.documents.get(f"projects/{project}/analyses/{identity}")
    assert stored is not None
    stack.ports.documents.commit([Update(stored.path, {**stored.data, "status": "succeeded"}, stored.version)])


def test_a_cursor_holds_only_unchanged_and_for_its_own_query_c90(stack: Stack) -> None:
    project = stack.add_project("cursors")
    many(stack, project, 3, "one", Status.FAILED)
    headers = {"X-Project-ID": project}
    cursor = stack.client.get("/analyses", params={"limit": 1}, headers=headers).json()["next"]
    text, _, checksum = cursor.partition(".")
    changed = text[:-2] + ("AA" if text[-2:] != "AA" else "BB")
    spoilt = [cursor[:-1], f"{cursor}0", text, f"{changed}.{checksum}", f"WzFd.{checksum}", "", "ä.ö"]
    for wrong in spoilt:
        answer = stack.client.get("/analyses", params={"limit": 1, "cursor": wrong}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad-cursor"), wrong
    for others in ({"status": "failed"}, {"text": "one"}):
        answer = stack.client.get("/analyses", params={"cursor": cursor, **others}, headers=headers)
        assert answer.json()["code"] == "bad-cursor"
    assert stack.client.get("/analyses", params={"cursor": cursor}).json()["code"] == "bad-cursor"  # another project


def test_a_project_sees_its_own_however_many_others_have_newer_ones_c93(stack: Stack) -> None:
    few, busy = stack.add_project("few"), stack.add_project("busy")
    many(stack, few, 3, "mine")
    many(stack, busy, 500, "theirs", created_at=at(1000))
    (page,) = pages(stack, few, limit=3)
    assert (len(page["items"]), page["next"]) == (3, None)


def test_filters_act_before_the_page_is_cut_c93(stack: Stack) -> None:
    project = stack.add_project("filters")
    wanted = PipelineRun(slug="wanted", version="1.0.0", definition={})
    many(stack, project, 60, "newer", Status.FAILED, created_at=at(500))
    many(stack, project, 2, "hit", Status.FAILED, pipeline=wanted)
    many(stack, project, 2, "miss", Status.SUCCEEDED, pipeline=wanted)
    (page,) = pages(stack, project, status="failed", pipeline="wanted", limit=2)
    assert {item["display_id"] for item in page["items"]} == {"hit 0", "hit 1"}
    assert page["next"] is None


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_a_text_is_found_over_the_whole_list_and_a_next_page_only_if_there_is_more(stack: Stack, limit: int) -> None:
    project = stack.add_project(f"text{limit}")
    many(stack, project, 250, "hay")
    for number in range(3):
        plant(stack, an_old_one(project, f"Needle/{number}", created_at=at(-10 * number)))
    many(stack, project, 250, "straw", created_at=at(-1000))
    found = pages(stack, project, text="dle/", limit=limit)
    assert [item["display_id"] for page in found for item in page["items"]] == ["Needle/0", "Needle/1", "Needle/2"]
    assert len(found) == -(-3 // limit)


def test_each_filter_shows_what_it_says(stack: Stack) -> None:
    project = stack.add_project("each")
    samples = (Sample(name="HG002", role=Role.PROBAND), Sample(name="HG003", role=Role.FATHER))
    ordered: dict[str, Any] = {"origin": Origin.ORDER, "order_id": "o-1", "rerun_of": "old", "created_by": "eve@lab"}
    failed = {"ingest": Ingest(status=IngestStatus.FAILED), "finished_at": at(7)}
    plant(stack, an_old_one(project, "WGS 12/A", samples=samples, created_at=at(1), **ordered, **failed))
    plant(stack, an_old_one(project, "Other", created_at=at(2), finished_at=at(3)))
    for parameters in (
        {"sample": "HG003"}, {"origin": "order"}, {"order": "o-1"},
        {"text": "wgs-12"}, {"text": "12/"}, {"text": "WGS"},
        {"created_to": at(2).isoformat()}, {"created_to": "2026-11-25T08:00:02"},
        {"rerun_of": "old"}, {"started_by": "eve@lab"}, {"finished_from": at(4).isoformat()},
        {"finished_to": at(9).isoformat(), "text": "12/a", "sample": "HG002"}, {"tab": "needs_attention"},
        {"sort": "-run_seconds", "sample": "HG002"}, {"sort": "-run_seconds", "created_to": at(2).isoformat()},
    ):
        assert names(stack, project, **parameters) == ["WGS 12/A"], parameters
    assert names(stack, project, created_from=at(2).isoformat()) == ["Other"]
    assert names(stack, project, pipeline="calls", version="1.0.0") == ["Other", "WGS 12/A"]
    assert names(stack, project, version="2.0.0") == names(stack, project, sample="HG00") == []


def test_list_and_document_give_the_same_seconds_and_sort_by_them_c32(stack: Stack) -> None:
    project = stack.add_project("lab")
    job = a_job(JobState.SUCCEEDED, QUEUED, SCHEDULED, RUNNING, moved("RUNNING", "SUCCEEDED", 1021))
    done = after(look(after(look(an_analysis(), a_job(JobState.RUNNING, QUEUED, SCHEDULED, RUNNING))), job))
    done = plant(stack, done.changed(unsent=(), unsent_since=None))
    for name, seconds in (("longer", 601.0), ("shorter", 599.0), ("none", None)):
        plant(stack, an_old_one(project, name, metrics=Metrics(run_seconds=seconds), created_at=at(1)))
    headers = {"X-Project-ID": project}
    document = stack.client.get(f"/analyses/{done.id}", headers=headers).json()
    items = stack.client.get("/analyses", params={"sort": "-run_seconds"}, headers=headers).json()["items"]
    assert [item["display_id"] for item in items] == ["longer", "WGS 12/A", "shorter", "none"]
    for found in (document, items[1]):
        shown = [found["metrics"][f"{name}_seconds"] for name in ("queue", "prepare", "run")]
        assert shown == [120.0, 300.0, 600.0]
    assert len(pages(stack, project, sort="-run_seconds", limit=1)) == 4


def test_a_list_carries_nothing_long(stack: Stack) -> None:
    project = stack.add_project("short")
    failure = Failure(
        kind=FailureKind.EXIT_CODE, exit_code=1, task=0, message="m" * 3000, hint=HINTS[FailureKind.EXIT_CODE]
    )
    plant(stack, an_old_one(project, "Long", Status.FAILED, inputs={"x": "y" * 10_000}, failure=failure, created_at=T0))
    answer = stack.client.get("/analyses", headers={"X-Project-ID": project})
    (item,) = answer.json()["items"]
    assert item["failure"] == {"kind": "exit_code", "exit_code": 1}
    assert not {"inputs", "outputs", "history", "unsent"} & set(item)
    assert len(answer.content) < 2_000


def test_mine_are_those_that_the_caller_asked_for(stack: Stack) -> None:
    project = stack.add_project("mine")
    plant(stack, an_old_one(project, "hers", created_by="ada@lab.example"))
    plant(stack, an_old_one(project, "his", created_by="bob@lab.example"))
    put_member(stack.ports, project, "bob@lab.example", Membership.VIEWER, by="test")
    with stack.client_of("bob@lab.example", project) as his:
        answer = his.get("/analyses", params={"started_by": "me"})
    assert [item["display_id"] for item in answer.json()["items"]] == ["his"]


def test_each_tab_is_counted_under_the_same_filters(stack: Stack) -> None:
    project = stack.add_project("counts")
    for number, status in enumerate(Status, start=1):
        many(stack, project, number, f"{status} hay", status)
    many(stack, project, 2, "needle", Status.FAILED)
    headers = {"X-Project-ID": project}
    whole = stack.client.get("/analyses-counts", params={"tab": "failed", "limit": 1}, headers=headers).json()["tabs"]
    assert {tab: found["count"] for tab, found in whole.items()} == {
        "all": 17, "in_progress": 3, "completed": 3, "failed": 6, "cancelled": 5, "needs_attention": 6,
    }
    assert not any(found["more"] for found in whole.values())
    answer = stack.client.get("/analyses-counts", params={"pipeline": "calls", "status": "failed"}, headers=headers)
    assert {tab: found["count"] for tab, found in answer.json()["tabs"].items()} == {
        "all": 6, "in_progress": 0, "completed": 0, "failed": 6, "cancelled": 0, "needs_attention": 6,
    }


@pytest.mark.parametrize(
    "name", ["created_at", "started_at", "finished_at", "run_seconds", "cost", "status", "pipeline"]
)
def test_a_list_is_sorted_both_ways(stack: Stack, name: str) -> None:
    project = stack.add_project(f"sort-{name.replace('_', '-')}")
    places = {"low": (1, Status.CANCELLED, "a"), "mid": (2, Status.FAILED, "b"), "top": (3, Status.SUCCEEDED, "c")}
    for label, (number, status, pipeline) in places.items():
        cost = CostSeen(amount=number / 7, currency="USD", billed_seconds=1.0, complete=True)
        plant(stack, an_old_one(
            project, label, status, created_at=at(number), started_at=at(number), finished_at=at(number),
            metrics=Metrics(run_seconds=number, cost=cost),
            pipeline=PipelineRun(slug=pipeline, version="1.0.0", definition={}),
        ))
    assert names(stack, project, sort=name) == ["low", "mid", "top"]
    found = [item["display_id"] for page in pages(stack, project, sort=f"-{name}", limit=1) for item in page["items"]]
    assert found == ["top", "mid", "low"]


def test_a_pipelines_versions_are_listed_and_a_definition_has_an_etag(stack: Stack) -> None:
    (version,) = stack.client.get("/pipelines/vcf-normalize/versions").json()["items"]
    one = stack.client.get(f"/pipelines/vcf-normalize@{version['version']}")
    again = stack.client.get("/pipelines/vcf-normalize@latest", headers={"If-None-Match": one.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert stack.client.get("/pipelines/no-such/versions").status_code == 404


def test_an_order_is_changed_only_as_it_was_read(stack: Stack) -> None:
    made = stack.submit("Of the order")
    order = stack.client.post("/orders", json={
        "display_id": "Read first", "analyses": [made["id"]], "samples": [{"name": "S1"}],
    }).json()
    address = f"/orders/{order['id']}"
    etag = stack.until(lambda: stack.client.get(address).headers.get("etag"))
    assert stack.client.patch(address, json={"priority": "stat"}, headers={"If-Match": '"another"'}).status_code == 412
    assert stack.client.post(
        f"{address}/transition", json={"to": "in_review"}, headers={"If-Match": '"another", "more"'}
    ).json()["code"] == "changed-meanwhile"
    assert stack.client.get(address).json()["priority"] == "routine"
    changed = stack.client.patch(address, json={"priority": "stat"}, headers={"If-Match": f'"another", {etag}, *'})
    assert (changed.status_code, changed.json()["priority"]) == (200, "stat")
    assert stack.client.get(address, headers={"If-None-Match": etag}).status_code == 200
