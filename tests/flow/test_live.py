"""Live streams: the present state at once, each change of it, and nothing missed by one who comes back (C79)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from services.miner.live import Feed
from tests.flow.listening import Heard, listening, of_kind
from tests.flow.stack import Stack, bearer


def states(events: Iterator[Heard]) -> list[dict[str, Any]]:
    """Until the stream ends."""
    return [event.data for event in events if event.kind == "state"]


def test_an_analysis_is_watched_to_its_end(stack: Stack) -> None:
    """Each status is told with the history that is new, and the last event says that nothing will come (C79)."""
    made = stack.submit("Watched", runtime_seconds=1)
    with listening(stack.client, f"/analyses/{made['id']}/events") as events:
        told = [event for event in events if event.kind]
    assert [event.kind for event in told] == ["state"] * (len(told) - 1) + ["end"]
    last = told[-2].data
    document = stack.document(made["id"])
    assert (last["status"], last["history_total"]) == ("succeeded", len(document["history"]))
    assert [entry for event in told[:-1] for entry in event.data["history"]] == document["history"]
    assert last["ingest"]["status"] == document["ingest"]["status"]


def test_one_who_comes_back_is_told_the_present_state(stack: Stack) -> None:
    """C79: a change while nobody was connected is in the first event of the next stream."""
    made = stack.submit("Left", runtime_seconds=60)
    with listening(stack.client, f"/analyses/{made['id']}/events") as events:
        seen = next(of_kind(events, "state"))
    stack.client.post(f"/analyses/{made['id']}/cancel")
    stack.until_status(made["id"], "cancelled")
    with listening(stack.client, f"/analyses/{made['id']}/events", seen.mark) as events:
        first, end = list(events)
    assert (first.data["status"], end.kind) == ("cancelled", "end")
    again = stack.client.get(f"/analyses/{made['id']}/events", headers={"Last-Event-ID": end.mark})
    assert (again.status_code, again.content) == (204, b"")


def test_a_list_is_told_which_analyses_changed_and_what_was_missed(stack: Stack) -> None:
    """C79: by the mark of the last event the next stream goes on behind it."""
    with listening(stack.client, "/analyses/events") as events:
        changes = of_kind(events, "changed")
        first = next(changes)
        assert first.data == {"ids": None}
        made = stack.submit("Listed")
        assert any(made["id"] in event.data["ids"] for event in changes)
    missed = stack.submit("Missed")
    stack.until_status(missed["id"], "succeeded")
    with listening(stack.client, "/analyses/events", first.mark) as events:
        found: set[str] = set()
        for event in of_kind(events, "changed"):
            found.update(event.data["ids"])
            if missed["id"] in found:
                break
    assert made["id"] in found
    with listening(stack.client, "/analyses/events", "another-1") as events:
        assert next(of_kind(events, "changed")).data == {"ids": None}


def test_a_stream_is_of_its_own_project_only(stack: Stack) -> None:
    """C79, C74: another tenant's analysis is not found by id, and does not come up in the list's stream."""
    other = stack.add_project("onlooker")
    made = stack.submit("Private")
    headers = {"X-Project-ID": other}
    assert stack.client.get(f"/analyses/{made['id']}/events", headers=headers).status_code == 404
    with listening(stack.client, "/analyses/events", **headers) as events:
        changes = of_kind(events, "changed")
        next(changes)
        stack.submit("Ours")
        inputs = {"exit_code": 0, "runtime_seconds": 0}
        body = {"display_id": "Theirs", "pipeline": "fail-on-request", "inputs": inputs}
        theirs = stack.client.post("/analyses", json=body, headers=headers).json()
        assert next(changes).data["ids"] == [theirs["id"]]


@pytest.mark.parametrize("path", ["/analyses/events", "/analyses/{}/events", "/analyses/{}/logs?follow=true"])
def test_a_stream_ends_soon_after_the_right_is_gone(
    stack: Stack, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """C79: the server ends it, a reconnect is refused, and no line holds the token."""
    made = stack.submit(f"Lost {len(path)}", runtime_seconds=60)
    here, who = path.format(made["id"]), "leaver@lab.example"
    stack.client.put(f"/members/{who}", json={"role": "viewer"}).raise_for_status()
    token = bearer(stack.settings, who)
    with caplog.at_level(logging.DEBUG), listening(stack.client, here, **token) as events:
        next(events)
        stack.client.delete(f"/members/{who}").raise_for_status()
        for _ in events:
            pass
    assert stack.client.get(here, headers=token).status_code == 404
    assert token["Authorization"].removeprefix("Bearer ") not in caplog.text
    stack.client.post(f"/analyses/{made['id']}/cancel")


def test_a_silent_stream_says_that_it_is_there(stack: Stack) -> None:
    made = stack.submit("Silent", runtime_seconds=60)
    stack.until_status(made["id"], "running")
    with listening(stack.client, f"/analyses/{made['id']}/events") as events:
        assert any(event.kind == "" for event in events)
    stack.client.post(f"/analyses/{made['id']}/cancel")


def test_a_hundred_readers_cost_one_watch_and_no_thread_each(stack: Stack) -> None:
    """Each of them is told; the process has the one feed's thread more, and none for a reader."""
    made = stack.submit("Popular", runtime_seconds=60)
    path = f"/analyses/{made['id']}/events"
    limits = httpx.Limits(max_connections=110)
    with (
        ExitStack() as held,
        httpx.Client(base_url=stack.client.base_url, headers=stack.client.headers, limits=limits, timeout=30) as client,
    ):
        first = held.enter_context(listening(client, path))
        next(of_kind(first, "state"))
        feeds = feed_threads()
        readers = [held.enter_context(listening(client, path)) for _ in range(99)]
        for reader in readers:
            next(of_kind(reader, "state"))
        assert feed_threads() == feeds
        stack.client.post(f"/analyses/{made['id']}/cancel")
        stack.until_status(made["id"], "cancelled")
        for reader in [first, *readers]:
            assert states(reader)[-1]["status"] == "cancelled"


def feed_threads() -> int:
    """The embedded stack serves from this process; over the emulators it is another one, and there is none here."""
    return sum(thread.name.startswith("feed of") for thread in threading.enumerate())


def test_a_feed_that_nobody_reads_ends(stack: Stack) -> None:
    feed = Feed(stack.ports.documents, "projects/demo/analyses")
    feed.end_if_idle()
    stack.until(lambda: not feed._thread.is_alive())
