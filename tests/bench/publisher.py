"""A service that submits, in a process of its own: it is load, and no part of what is measured.

    python -m tests.bench.publisher

Reads lines of JSON, {"first": N, "count": N, "per_s": N or null}, and publishes those submit events to the stack that
the environment names. Without a pace it publishes as many at a time as a Pub/Sub client puts into one call.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from shared import runtime
from shared.domain.events import Event, EventType
from shared.ports import Message
from shared.runtime import Settings
from shared.steps.announce import message_of

AT_A_TIME = 100
"""google.cloud.pubsub_v1's BatchSettings.max_messages."""


class Publisher:
    """The other end of its pipes."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def begin(self, first: int, count: int, per_s: float | None = None) -> None:
        """Requests `bench-{first}` and on; returns at once."""
        assert self._child.stdin is not None
        print(json.dumps({"first": first, "count": count, "per_s": per_s}), file=self._child.stdin, flush=True)


@contextmanager
def publisher() -> Iterator[Publisher]:
    """For a stack that is up, whose settings are in the environment; ready when the context begins."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.publisher"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            yield Publisher(child)
        finally:
            child.stdin.close()


def request(number: int) -> Message:
    name = f"bench-{number}"
    return message_of(Event(
        id=name, type=EventType.SUBMIT, subject=name, time=runtime.now_utc(), project="demo",
        data={"request_id": name, "project": "demo", "display_id": name, "pipeline": "nothing", "inputs": {},
              "requested_by": "bench"},
    ))


def main() -> None:
    bus = runtime.embedded_bus(Settings())
    topic = EventType.SUBMIT.topic
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        numbers = range(order["first"], order["first"] + order["count"])
        began = time.monotonic()
        if order["per_s"] is None:
            for first in range(0, len(numbers), AT_A_TIME):
                bus.publish_all([(topic, request(number)) for number in numbers[first : first + AT_A_TIME]])
            continue
        for place, number in enumerate(numbers):
            time.sleep(max(0.0, began + place / order["per_s"] - time.monotonic()))
            bus.publish(topic, request(number))


if __name__ == "__main__":
    main()
