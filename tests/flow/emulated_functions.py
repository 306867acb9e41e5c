"""What the functions' processes of a test's stack load: the product's own functions, each call to a port a point at
which the process may be killed; and a consumer that writes down what it receives.

Two files tell them what to do, named by variables that nothing but this module reads. `IFLOW_TEST_KILL_AT` holds one
point, as `submit documents.commit 2`: the process that gets there takes the file away, and dies. Every point that is
passed is written behind `IFLOW_TEST_POINTS`, while that file exists.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloudevents.http.event import CloudEvent

from services.notifier.main import callback, notify
from services.reconciler.main import keep_dead_letter, reconcile
from services.status_tracker.main import cancel, track
from services.submit.main import submit
from services.vcf_ingest.main import cache, ingest, recache, reingest
from shared import runtime
from shared.delivery import delivery_of, event_of
from shared.ports import Ports
from shared.push import pushed
from shared.runtime import Settings

__all__ = [
    "cache", "callback", "cancel", "consume", "ingest", "keep_dead_letter", "notify", "recache", "reconcile",
    "reingest", "submit", "track",
]

PORTS = ("documents", "bus", "objects", "engine", "logs")
ROLE = os.environ.get("FUNCTION_TARGET", "")
KILL_AT = Path(os.environ.get("IFLOW_TEST_KILL_AT", "/nonexistent"))
POINTS = Path(os.environ.get("IFLOW_TEST_POINTS", "/nonexistent"))
EVENTS = Path(os.environ.get("IFLOW_TEST_EVENTS", "/nonexistent"))


@pushed
def consume(event: CloudEvent) -> None:
    """A service outside of ours."""
    received = event_of(delivery_of(event))
    with EVENTS.open("a") as file:
        file.write(f"{received.subject} {received.id} {received.type}\n")


class Points:
    """The moment after every call to a port. Calls are counted anew for each point that is asked for, and record."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = ("", False)
        self._counts: Counter[str] = Counter()

    def around(self, call: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            self._pass(call)
            return result

        return wrapped

    def _pass(self, call: str) -> None:
        asked, recording = _text(KILL_AT), POINTS.exists()
        with self._lock:
            if (asked, recording) != self._told:
                self._told = asked, recording
                self._counts.clear()
            self._counts[call] += 1
            point = f"{ROLE} {call} {self._counts[call]}"
        if recording:
            with POINTS.open("a") as file:
                file.write(point + "\n")
        if asked and point == asked.partition("\n")[0]:
            KILL_AT.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


class _Wrapped:
    def __init__(self, port: object, name: str, points: Points) -> None:
        self._port, self._name, self._points = port, name, points

    def __getattr__(self, method: str) -> Any:
        return self._points.around(f"{self._name}.{method}", getattr(self._port, method))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def _with_points(build: Callable[[Settings], Ports]) -> Callable[[Settings], Ports]:
    points = Points()

    def built(settings: Settings) -> Ports:
        ports = build(settings)
        wrapped: Any = {name: _Wrapped(getattr(ports, name), name, points) for name in PORTS}
        return replace(ports, **wrapped)

    return built


if ROLE:  # in a function's process, and not where a test imports this
    runtime.build = _with_points(runtime.build)  # type: ignore[assignment]
