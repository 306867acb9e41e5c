"""`iflow` against a whole stack: what goes to stdout, what is said on stderr, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.local.batch.faults import Fault, Quota, write_faults
from services.cli.exits import Exit
from shared.domain import paths
from shared.domain.analysis import CancelRequested, FailureKind, Status
from shared.domain.failure import HINTS
from shared.domain.job import JobState
from shared.domain.member import Role
from shared.steps.members import put_member
from tests.builders import QUEUED, RUNNING, SCHEDULED, a_job, after, an_analysis, at, look, moved
from tests.flow.flaky import flaky
from tests.flow.planted import an_old_one, many, plant
from tests.flow.stack import Iflow, Stack, lines

COMMAND = Path(sys.executable).with_name("iflow")



@pytest.fixture(autouse=True)
def _no_fault_stays(stack: Stack) -> Iterator[None]:
    yield
    write_faults(stack.batch_dir)


# -- asking -------------------------------------------------------------------------------------------------------


def test_an_analysis_is_asked_for_by_options_and_its_id_printed(stack: Stack, iflow: Iflow) -> None:
    result = iflow(
        "analyses", "submit", "--display-id", "By options", "--pipeline", "fail-on-request@1.0.0",
        "--input", "exit_code=0", "--input", "runtime_seconds=0", "--input", 'log_lines=["a"]',
        "--sample", "S1:proband:male",
    )
    assert result.exit_code == Exit.DONE, result.stderr
    document = stack.until_status(result.stdout.strip(), "succeeded")
    assert document["inputs"] == {"exit_code": 0, "runtime_seconds": 0, "log_lines": ["a"]}
    assert document["samples"] == [{"name": "S1", "role": "proband", "sex": "male"}]
    assert document["created_by"] == "ada@lab.example"


def test_an_analysis_is_asked_for_by_a_file_which_repeats_nothing(iflow: Iflow, tmp_path: Path) -> None:
    file = tmp_path / "request.yaml"
    file.write_text("request_id: file-1\ndisplay_id: By file\npipeline: fail-on-request\n"
                    "inputs: {exit_code: 0, runtime_seconds: 0}\n")
    first, second = (json.loads(iflow("analyses", "submit", str(file), "--json").stdout) for _ in range(2))
    assert first["id"] == second["id"] == paths.analysis_id("demo", "file-1")


def test_a_refused_request_names_the_fields_on_stderr(iflow: Iflow) -> None:
    result = iflow("analyses", "submit", "-d", "Refused", "--pipeline", "fail-on-request", "-i", "exit_code=999")
    assert (result.exit_code, result.stdout) == (Exit.BAD_DATA, "")
    assert "inputs.exit_code" in result.stderr
    assert "runtime_seconds" in result.stderr


def test_parallel_commands_show_what_they_just_made_c02(stack: Stack) -> None:
    write_faults(stack.batch_dir, Fault(quota=Quota()))
    environment = {**os.environ, "IFLOW_API": stack.api, "IFLOW_PROJECT": "demo", "IFLOW_TOKEN": stack.token()}

    def run(*arguments: str) -> str:
        return subprocess.run(
            [COMMAND, *arguments], env=environment, check=True, capture_output=True, text=True
        ).stdout

    def make_and_show(number: int) -> str:
        identity = run("analyses", "submit", "-d", f"Parallel {number}", "--pipeline", "fail-on-request",
                       "-i", "exit_code=0", "-i", "runtime_seconds=0").strip()
        return str(json.loads(run("analyses", "show", identity, "--json"))["status"])

    with ThreadPoolExecutor(6) as users:
        assert list(users.map(make_and_show, range(6))) == ["queued"] * 6


def test_a_rerun_prints_the_new_ones_id(stack: Stack, iflow: Iflow) -> None:
    old = stack.submit("Run me again")
    result = iflow("analyses", "rerun", "run-me-again")
    assert result.exit_code == Exit.DONE
    assert stack.document(result.stdout.strip())["rerun_of"] == old["id"]
    changed = iflow("analyses", "rerun", "run-me-again", "-i", "exit_code=4", "-s", "S1:tumor", "--version", "1.0.0")
    new = stack.document(changed.stdout.strip())
    assert (new["inputs"]["exit_code"], new["samples"][0]["role"]) == (4, "tumor")


# -- waiting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [
    (Status.SUCCEEDED, Exit.DONE), (Status.FAILED, Exit.ANALYSIS_FAILED), (Status.CANCELLED, Exit.CANCELLED),
])
def test_wait_ends_with_the_code_of_the_status_c94(stack: Stack, iflow: Iflow, status: Status, code: Exit) -> None:
    plant(stack, an_old_one("demo", f"Waited {status}", status))
    result = iflow("analyses", "wait", f"Waited {status}")
    assert (result.exit_code, lines(result.stdout)[-1]) == (code, status)
    as_json = iflow("analyses", "wait", f"Waited {status}", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)["status"]) == (code, status)


def test_wait_that_is_not_rewarded_in_time_ends_with_its_own_code_c94(stack: Stack, iflow: Iflow) -> None:
    made = stack.submit("Too long", runtime_seconds=60)
    stack.until_status(made["id"], "running")
    result = iflow("analyses", "wait", made["id"], "--timeout", "0.2", "--interval", "0.1")
    assert (result.exit_code, lines(result.stdout)) == (Exit.TIMED_OUT, ["running"])
    assert "0.2 seconds" in result.stderr
    stack.client.post(f"/analyses/{made['id']}/cancel")


def test_wait_rides_out_503_and_broken_connections_c94(stack: Stack, iflow: Iflow) -> None:
    made = stack.submit("Through storms", runtime_seconds=0.5)
    with flaky(stack.api, ["503", "reset", "503", "reset"]) as proxy:
        result = iflow("analyses", "wait", made["id"], "--interval", "0.05", IFLOW_API=proxy)
    assert (result.exit_code, lines(result.stdout)[-1]) == (Exit.DONE, "succeeded")
    assert "Waiting for it" in result.stderr


def test_wait_gives_up_on_a_service_that_stays_away_c94(stack: Stack, iflow: Iflow) -> None:
    made = plant(stack, an_old_one("demo", "Away", Status.RUNNING))
    with flaky(stack.api, ["503"] * 1000) as proxy:
        result = iflow("analyses", "wait", made.id, "--interval", "0.05", "--silence", "0.2", IFLOW_API=proxy)
    assert (result.exit_code, result.stdout) == (Exit.NOT_REACHABLE, "")
    assert "The database is away." in result.stderr


def test_watch_prints_a_line_for_each_change_and_ends_as_wait_does(stack: Stack, iflow: Iflow) -> None:
    made = stack.submit("Watched", exit_code=3, runtime_seconds=0.3)
    result = iflow("analyses", "watch", made["id"], "--interval", "0.05", "--json")
    changes = [json.loads(line) for line in lines(result.stdout)]
    assert result.exit_code == Exit.ANALYSIS_FAILED
    assert changes[-1]["status"] == "failed"
    assert len({(change["status"], change["status_detail"]) for change in changes}) == len(changes)
    assert HINTS[FailureKind.EXIT_CODE] in result.stderr


# -- lists --------------------------------------------------------------------------------------------------------


def test_a_status_lists_only_its_own_in_one_word_c95(stack: Stack, iflow: Iflow) -> None:
    project = stack.add_project("hundred")
    many(stack, project, 97, "good")
    many(stack, project, 3, "bad", Status.FAILED)
    result = iflow("analyses", "list", "--status", "failed", "--project", project)
    header, *rows = lines(result.stdout)
    assert result.exit_code == Exit.DONE
    assert len(rows) == 3
    start, end = header.index("STATUS"), header.index("PIPELINE")
    assert {row[start:end].strip() for row in rows} == {"failed"}
    assert all(row[header.index("DETAIL"):].strip() == "Planted as failed." for row in rows)
    printed = json.loads(iflow("analyses", "list", "--status", "failed", "--project", project, "--json").stdout)
    answer = stack.client.get("/analyses", params={"status": "failed"}, headers={"X-Project-ID": project})
    assert printed == answer.json()


def test_the_list_takes_each_filter_of_the_api(stack: Stack, iflow: Iflow) -> None:
    project = stack.add_project("filtered")
    many(stack, project, 2, "good")
    many(stack, project, 1, "bad", Status.FAILED)
    (bad,) = json.loads(iflow("analyses", "list", "-p", project, "--tab", "failed", "--json").stdout)["items"]
    by, ended = bad["created_by"], bad["finished_at"]
    for options in (["--tab", "needs_attention"], ["--status", "failed", "--started-by", by, "--sort", "-cost"],
                    ["--tab", "failed", "--finished-from", ended, "--pipeline", bad["pipeline"]["slug"]]):
        found = json.loads(iflow("analyses", "list", "-p", project, *options, "--json").stdout)["items"]
        assert [each["id"] for each in found] == [bad["id"]], options
    for options in (["--started-by", "nobody@lab.example"], ["--rerun-of", bad["id"]], ["--finished-to", "2001-01-01"]):
        assert json.loads(iflow("analyses", "list", "-p", project, *options, "--json").stdout)["items"] == [], options


def test_all_pages_are_listed_on_request(stack: Stack, iflow: Iflow) -> None:
    project = stack.add_project("all-pages")
    many(stack, project, 250, "one")
    first = iflow("analyses", "list", "--project", project)
    assert (len(lines(first.stdout)), "--all" in first.stderr) == (51, True)
    assert len(lines(iflow("analyses", "list", "--project", project, "--all").stdout)) == 251


def test_the_list_is_the_projects_whoever_asked_and_an_empty_one_says_why_c97(stack: Stack, iflow: Iflow) -> None:
    twenty, empty = stack.add_project("twenty"), stack.add_project("empty")
    many(stack, twenty, 20, "theirs")
    put_member(stack.ports, twenty, "eve@lab.example", Role.VIEWER, by="test")
    listed = iflow("analyses", "list", "-p", twenty, IFLOW_TOKEN=stack.token("eve@lab.example"))
    assert len(lines(listed.stdout)) == 21
    result = iflow("analyses", "list", "-p", empty, "--status", "failed", "--pipeline", "germline-calls", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (Exit.DONE, {"items": [], "next": None})
    for word in (empty, "failed", "germline-calls"):
        assert word in result.stderr


def test_an_unknown_status_is_refused_with_those_there_are_c89(iflow: Iflow) -> None:
    result = iflow("analyses", "list", "--status", "Runing")
    assert (result.exit_code, result.stdout) == (Exit.BAD_DATA, "")
    assert "allowed are queued, running, succeeded, failed, cancelled" in result.stderr


def test_the_seconds_are_those_of_the_document_c32(stack: Stack, iflow: Iflow) -> None:
    project = stack.add_project("lab")
    job = a_job(JobState.SUCCEEDED, QUEUED, SCHEDULED, RUNNING, moved("RUNNING", "SUCCEEDED", 1021))
    done = after(look(after(look(an_analysis(), a_job(JobState.RUNNING, QUEUED, SCHEDULED, RUNNING))), job))
    plant(stack, done.changed(unsent=(), unsent_since=None))
    (row,) = lines(iflow("analyses", "list", "-p", project).stdout)[1:]
    page = iflow("analyses", "show", done.slug, "-p", project).stdout
    assert "2 min 0 s" in row
    assert "10 min 0 s" in row
    assert [line.split(maxsplit=1) for line in lines(page) if line.startswith(("Queue ", "Run "))] == [
        ["Queue", "2 min 0 s"], ["Run", "10 min 0 s"],
    ]
    shown = json.loads(iflow("analyses", "show", done.slug, "-p", project, "--json").stdout)
    listed = json.loads(iflow("analyses", "list", "-p", project, "--json").stdout)["items"][0]
    for name in ("queue_seconds", "run_seconds"):
        assert shown["metrics"][name] == listed["metrics"][name] == done.model_dump()["metrics"][name]


def test_show_prints_the_document_to_the_letter(stack: Stack, iflow: Iflow) -> None:
    made = plant(stack, an_old_one("demo", "To the [letter]"))
    assert json.loads(iflow("analyses", "show", "To the [letter]", "--json").stdout) == stack.document(made.id)
    assert "To the [letter]" in iflow("analyses", "show", made.id).stdout


# -- cancels ------------------------------------------------------------------------------------------------------


def test_many_are_cancelled_and_each_that_cannot_be_says_why_c96(stack: Stack, iflow: Iflow) -> None:
    write_faults(stack.batch_dir, Fault(quota=Quota()))
    with ThreadPoolExecutor(8) as users:
        good = [made["id"] for made in users.map(lambda n: stack.submit(f"C96 {n}"), range(47))]
    finished = plant(stack, an_old_one("demo", "C96 finished")).id
    theirs = plant(stack, an_old_one(stack.add_project("c96"), "C96 theirs", Status.RUNNING)).id
    unknown = paths.analysis_id("demo", "c96 unknown")
    asked = ["analyses", "cancel", finished, *good, unknown, theirs]
    for _ in range(2):  # repeated safely
        result = iflow(*asked)
        assert result.exit_code == Exit.PARTLY_DONE
        refused = [line for line in lines(result.stdout) if ": refused: " in line]
        assert len(refused) == 3
        assert len(lines(result.stdout)) == 50
        assert "succeeded already" in refused[0]
        assert "There is no analysis" in refused[1]
        assert "There is no analysis" in refused[2]
    for identity in good:
        stack.until_status(identity, "cancelled")
    results = json.loads(iflow(*asked, "--json").stdout)["items"]
    assert sorted({item["result"] for item in results}) == ["cancelled already", "refused"]


def test_a_cancel_that_cannot_be_is_an_error_c27(stack: Stack, iflow: Iflow) -> None:
    plant(stack, an_old_one("demo", "C27 done"))
    plant(stack, an_old_one("demo", "C27 cancelled", Status.CANCELLED))
    final, unknown, own = (iflow("analyses", "cancel", name) for name in ("C27 done", "C27 none", "C27 cancelled"))
    assert (final.exit_code, unknown.exit_code, own.exit_code) == (Exit.BAD_DATA, Exit.BAD_DATA, Exit.DONE)
    assert "succeeded already" in final.stdout
    assert own.stdout == "C27 cancelled: cancelled already\n"


def test_an_unconfirmed_cancel_says_since_when_c23(stack: Stack, iflow: Iflow) -> None:
    asked = CancelRequested(by="ada@lab.example", at=at(-1800))
    stuck = plant(stack, an_old_one("demo", "Stuck", Status.RUNNING, cancel_requested=asked))
    page = iflow("analyses", "show", stuck.id).stdout
    assert "not confirmed by Batch, asked by ada@lab.example at 2026-11-25 07:30:00 UTC" in page
    listed = iflow("ops", "cancels")
    assert [line for line in lines(listed.stdout) if stuck.id in line]
    (item,) = json.loads(iflow("ops", "cancels", "--json").stdout)["items"]
    assert (item["id"], item["cancel_requested"]["by"]) == (stuck.id, "ada@lab.example")
