"""Following an analysis until it is final, through restarts of the service and broken connections (C94)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from services.cli.api import Api, NotNow
from services.cli.session import say

FINAL = ("succeeded", "failed", "cancelled")
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


def _pause(began: float, patience: Patience) -> None:
    """Raises TimedOut when there is no time for another look."""
    if patience.timeout_s is None:
        time.sleep(patience.interval_s)
        return
    left = began + patience.timeout_s - time.monotonic()
    if left <= 0:
        raise TimedOut
    time.sleep(min(patience.interval_s, left))
