"""Logs by task through the API, for people without a cloud role (C33, C34, C35)."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest

from infra.local.batch.faults import Fault, Quota, write_faults
from shared.adapters.embedded.logs import log_path
from tests.flow.listening import listening
from tests.flow.stack import Stack

LINES = ["one", "WARNING two", "ERROR three", "four"]


@pytest.fixture(scope="module")
def done(stack: Stack) -> dict[str, Any]:
    inputs = {"exit_code": 0, "runtime_seconds": 0, "log_lines": LINES}
    made = stack.submit("Logged", inputs=inputs)
    return dict(stack.until_status(made["id"], "succeeded"))


def logs(stack: Stack, analysis: str, **asked: Any) -> dict[str, Any]:
    answer = stack.client.get(f"/analyses/{analysis}/logs", params=asked)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_the_kept_log_is_read_with_its_whole_size(stack: Stack, done: dict[str, Any]) -> None:
    """C35"""
    whole = logs(stack, done["id"])
    assert (whole["source"], whole["path"]) == ("outputs", "analyses/logged/logs/task-0.txt")
    assert "will end with exit code 0" in whole["text"]
    tail = logs(stack, done["id"], tail_bytes=5)
    assert (tail["shown"], tail["size"], tail["text"]) == (5, whole["size"], whole["text"][-5:])
    assert logs(stack, done["id"], tail=2)["text"].splitlines() == whole["text"].splitlines()[-2:]


def test_a_log_is_read_on_by_cursors(stack: Stack, done: dict[str, Any]) -> None:
    whole = logs(stack, done["id"])["text"]
    page = logs(stack, done["id"], start=True, tail_bytes=20)
    text = page["text"]
    while page["text"]:
        page = logs(stack, done["id"], after=page["next"], tail_bytes=20)
        text += page["text"]
    assert text == whole
    refused = stack.client.get(f"/analyses/{done['id']}/logs", params={"after": page["next"], "task": 1})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad-cursor")


def test_lines_are_found_by_severity_and_text(stack: Stack, done: dict[str, Any]) -> None:
    assert logs(stack, done["id"], severity="warning")["text"].splitlines() == ["WARNING two", "ERROR three"]
    assert logs(stack, done["id"], contains="FOUR")["text"] == "four\n"


def test_a_log_is_downloaded_as_text(stack: Stack, done: dict[str, Any]) -> None:
    answer = stack.client.get(f"/analyses/{done['id']}/logs", params={"download": True})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="logged-task-0.txt"'
    assert answer.text == logs(stack, done["id"])["text"]


def test_a_log_is_followed_to_its_end(stack: Stack) -> None:
    made = stack.submit("Followed", inputs={"exit_code": 0, "runtime_seconds": 1, "log_lines": LINES})
    with listening(stack.client, f"/analyses/{made['id']}/logs?follow=true") as events:
        told = [event for event in events if event.kind]
    text = "".join(event.data["text"] for event in told if event.kind == "lines")
    assert text == logs(stack, made["id"])["text"]
    assert (told[-1].kind, told[-1].data) == ("end", {"note": None})
    again = stack.client.get(
        f"/analyses/{made['id']}/logs", params={"follow": True}, headers={"Last-Event-ID": told[-1].mark}
    )
    assert again.status_code == 204
    with listening(stack.client, f"/analyses/{made['id']}/logs?follow=true&tail=1") as events:
        first = next(events)
    assert first.data["text"].splitlines() == text.splitlines()[-1:]


def test_a_running_analysis_shows_the_log_so_far(stack: Stack) -> None:
    made = stack.submit("Talking", inputs={"exit_code": 0, "runtime_seconds": 60, "log_lines": ["hello"]})
    stack.until_status(made["id"], "running")
    log = stack.until(
        lambda: (a := stack.client.get(f"/analyses/{made['id']}/logs").json()) and "hello" in a.get("text", "") and a
    )
    assert log["source"] == "batch"
    tasks = stack.client.get(f"/analyses/{made['id']}/tasks").json()
    assert [(task["task"], task["state"], task["attempts"]) for task in tasks["items"]] == [(0, "RUNNING", 1)]
    stack.client.post(f"/analyses/{made['id']}/cancel")
    stack.until_status(made["id"], "cancelled")


def test_a_log_that_is_not_there_yet_is_said_in_a_sentence(stack: Stack) -> None:
    """C34: no fault, but a note, until the task starts."""
    write_faults(stack.batch_dir, Fault(quota=Quota()))
    made = stack.submit("Unheard")
    stack.until(lambda: stack.document(made["id"])["job"]["uid"])
    found = logs(stack, made["id"])
    assert (found["text"], found["next"], found["source"]) == ("", None, None)
    assert "it appears once the task starts" in found["note"]
    write_faults(stack.batch_dir)
    stack.until_status(made["id"], "succeeded")
    missing = stack.client.get(f"/analyses/{made['id']}/logs", params={"task": 7})
    assert (missing.status_code, missing.json()["code"]) == (503, "unavailable")
    assert "has not written a log" in missing.json()["detail"]


def test_of_a_log_of_600_mb_a_page_is_held(stack: Stack) -> None:
    """C33: the last part and the full size; the download streams. Of the whole 600 MB only the start is read here."""
    made = stack.submit("Endless", runtime_seconds=60)
    document = stack.until_status(made["id"], "running")
    path = log_path(Path(stack.batch_dir), document["job"]["uid"], 0)
    stack.until(lambda: path.exists() and b"will end" in path.read_bytes())  # the last that it writes for a minute
    size = 600 * 2**20
    os.truncate(path, size)
    with path.open("ab") as file:
        file.write(b"\nthe end\n")
    before = peak_kib()
    found = logs(stack, made["id"], tail=1)
    assert (found["text"], found["shown"], found["size"]) == ("the end\n", 65_536, path.stat().st_size)
    with stack.client.stream("GET", f"/analyses/{made['id']}/logs", params={"download": True}) as answer:
        next(answer.iter_bytes())
    assert peak_kib() - before < 50_000
    stack.client.post(f"/analyses/{made['id']}/cancel")
    stack.until_status(made["id"], "cancelled")


def peak_kib() -> int:
    """Of this process, which serves the embedded stack."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
