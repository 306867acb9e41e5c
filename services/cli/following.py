"""Following an analysis, or a task's log, until it is final, through restarts and broken connections (C94)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from services.cli.api import Api, NotNow
from services.cli.session import say

FINAL = ("succeeded", "failed", "cancelled")
AGAIN_S = 1.0
"""Before a stream that ended is asked for again."""

INGEST_ENDED = ("ready", "failed", "not_applicable")


class TimedOut(Exception):
    """It was not final in time."""


@dataclass(frozen=True)
class Patience:
    """Seconds: between two looks, in all (None: for ever), and how long the service may be silent."""

    interval_s: float
    timeout_s: float | None
    silence_s: float


def ended(document: dict[str, Any], with_ingest: bool) -> bool:
    if document["status"] not in FINAL:
        return False
    return not with_ingest or document["ingest"]["status"] in INGEST_ENDED


def follow(api: Api, path: str, patience: Patience, *, with_ingest: bool) -> Iterator[dict[str, Any]]:
    """The document now and after each change of it, the last one final. Raises TimedOut; NotNow after long silence."""
    began = heard = time.monotonic()
    etag, away = "", False
    while True:
        try:
            answer = api.once("GET", path, headers={"If-None-Match": etag} if etag else {})
        except NotNow as fault:
            if time.monotonic() - heard > patience.silence_s:
                raise
            if not away:
                say(f"{fault} Waiting for it.")
            away = True
        else:
            heard, away = time.monotonic(), False
            if answer.status_code != 304:
                etag = answer.headers.get("etag", "")
                document: dict[str, Any] = answer.json()
                yield document
                if ended(document, with_ingest):
                    return
        _pause(began, patience)


def follow_log(api: Api, path: str, asked: Mapping[str, Any], silence_s: float) -> Iterator[str]:
    """Pieces of text as they are written, none twice and none left out, whatever breaks; NotNow after long silence."""
    heard = time.monotonic()
    last = ""
    address = f"{path}/logs?{urlencode({**asked, 'follow': 'true'})}"
    while True:
        try:
            with api.stream(address, {"Last-Event-ID": last} if last else {}) as answer:
                if answer.status_code == 204:
                    return
                for kind, mark, data in _events(answer.iter_lines()):
                    heard, last = time.monotonic(), mark or last
                    if kind == "end":
                        if data["note"]:
                            say(data["note"])
                        return
                    yield str(data["text"])
        except NotNow:
            if time.monotonic() - heard > silence_s:
                raise
        time.sleep(AGAIN_S)


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str, Any]]:
    """Of a stream of server-sent events, as ours are: `event`, `id` and one line of `data`; comments left out."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
        elif not line and "data" in fields:
            yield fields["event"], fields["id"], json.loads(fields["data"])
            fields = {}


def _pause(began: float, patience: Patience) -> None:
    """Raises TimedOut when there is no time for another look."""
    if patience.timeout_s is None:
        time.sleep(patience.interval_s)
        return
    left = began + patience.timeout_s - time.monotonic()
    if left <= 0:
        raise TimedOut
    time.sleep(min(patience.interval_s, left))
