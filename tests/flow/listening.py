"""A reader of server-sent events, as a browser is one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.flow.stack import DEADLINE_S


@dataclass(frozen=True)
class Heard:
    """`kind` is empty for a comment."""

    kind: str
    mark: str
    data: Any


@contextmanager
def listening(client: httpx.Client, path: str, last: str | None = None, **headers: str) -> Iterator[Iterator[Heard]]:
    """What comes, comments included; AssertionError where nothing but comments comes for `DEADLINE_S`."""
    asked = {**({"Last-Event-ID": last} if last else {}), **headers}
    with client.stream("GET", path, headers=asked) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield heard(answer)


def heard(answer: httpx.Response) -> Iterator[Heard]:
    fields: dict[str, str] = {}
    since = time.monotonic()
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif line:
            yield Heard("", "", value)
        elif fields:
            since = time.monotonic()
            yield Heard(fields["event"], fields["id"], json.loads(fields["data"]))
            fields = {}
        assert time.monotonic() - since < DEADLINE_S, "only comments came"


def of_kind(events: Iterator[Heard], kind: str) -> Iterator[Heard]:
    return (event for event in events if event.kind == kind)
