"""`make count-ops`: what one analysis costs in calls to Google, from its submit event to an ingest that is ready.

On the emulator stack, with every client of every process counted by its own interceptors (tests/bench/interceptors.py).
The reconciler's rounds are not of one life: they read what is silent, by queries that find nothing here.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from infra.local.emulator_stack import running
from infra.local.emulators import EmulatorMissing
from infra.local.setup import DEMO, register_demo
from infra.local.stack import restored_environment
from shared import runtime
from shared.domain import paths
from shared.domain.events import Event, EventType
from shared.ports import Ports
from shared.runtime import Settings
from shared.steps.announce import message_of
from tests.bench.interceptors import VARIABLE
from tests.bench.report import report
from tests.flow.crash_life import VCF

LIVES = 3
REST_S = 1.5
"""So long without a call, and a life is over: the last notifications have been looked at."""

LONGEST_S = 60
OF_BATCH, OF_ROUNDS, OF_ORDERS = "batch", "reconcile", "cache"
"""Roles whose calls are none of one analysis' life: Batch's own, the reconciler's, and what follows `ingested`."""

Call = Mapping[str, Any]


@dataclass(frozen=True)
class Ops:
    """Operations of one life. `unchanged` are writes that left a document as it was, but for its time of change."""

    writes: int
    reads: int
    get_job: int
    list_tasks: int
    create_job: int
    publishes: int
    unbounded: int
    unchanged: int
    reads_for_orders: int
    writes_for_orders: int
    commits_refused: int


class Lives:
    """Of one analysis after another on a stack that counts."""

    def __init__(self, ports: Ports, file: Path) -> None:
        self._ports, self._file, self._number = ports, file, 0
        self.calls: list[Call] = []
        """Of the last life."""

    def live(self) -> Ops:
        """Raises TimeoutError, and AssertionError when the ingest is not ready."""
        self._at_rest()
        self._file.write_bytes(b"")
        self._number += 1
        request = f"counted-{self._number}"
        event = Event(
            id=request, type=EventType.SUBMIT, subject=request, time=self._ports.clock(), project=DEMO,
            data={"request_id": request, "project": DEMO, "display_id": request, "pipeline": "vcf-normalize",
                  "inputs": {"vcf": "samples/s1/uploads/in.vcf"}, "requested_by": "bench"},
        )
        self._ports.bus.publish(event.type.topic, message_of(event))
        path = paths.analysis_doc(DEMO, paths.analysis_id(DEMO, request))
        _until(lambda: (found := self._ports.documents.get(path)) and _over(found.data), f"{request} is not over")
        self._at_rest()
        stored = self._ports.documents.get(path)
        assert stored is not None
        assert stored.data["ingest"]["status"] == "ready", stored.data["ingest"]
        assert not stored.data["unsent"], stored.data["unsent"]
        self.calls = [json.loads(line) for line in self._file.read_text().splitlines()]
        return counted(self.calls)

    def _at_rest(self) -> None:
        size, since = -1, time.monotonic()

        def quiet() -> bool:
            nonlocal size, since
            if (now := self._file.stat().st_size) != size:
                size, since = now, time.monotonic()
            return time.monotonic() - since > REST_S

        _until(quiet, "calls do not end")


@contextmanager
def counting_stack(folder: Path) -> Iterator[Lives]:
    """Raises EmulatorMissing."""
    file = folder / "calls"
    file.touch()
    beside = [str(Path(__file__).with_name("counted")), *filter(None, [os.environ.get("PYTHONPATH")])]
    settings = Settings(backend="emulators", state_dir=folder, port=0, reconcile_every_s=3600)
    counting = {VARIABLE: str(file), "PYTHONPATH": os.pathsep.join(beside)}
    with restored_environment(counting), running(settings):
        ports = runtime.ports()
        register_demo(ports)
        ports.objects.write(DEMO, "samples/s1/uploads/in.vcf", VCF.encode())
        yield Lives(ports, file)


def counted(calls: Sequence[Call]) -> Ops:
    own = [call for call in calls if _role(call) not in (OF_BATCH, OF_ROUNDS, OF_ORDERS)]
    after = [call for call in calls if _role(call) == OF_ORDERS]
    names = Counter(call["call"] for call in own)
    return Ops(
        writes=_writes(own), reads=_reads(own), get_job=names["BatchService.GetJob"],
        list_tasks=names["BatchService.ListTasks"], create_job=names["BatchService.CreateJob"],
        publishes=sum(call["messages"] for call in own if call["call"] == "Publisher.Publish"),
        unbounded=sum(call.get("unbounded", False) for call in calls), unchanged=_unchanged(calls),
        reads_for_orders=_reads(after), writes_for_orders=_writes(after),
        commits_refused=sum("writes" in call and call["answer"] != "OK" for call in calls),
    )


def _role(call: Call) -> str:
    return OF_BATCH if "infra/local/batch" in call["role"] else str(call["role"])


def _reads(calls: Sequence[Call]) -> int:
    return sum(call.get("reads", 0) for call in calls)


def _writes(calls: Sequence[Call]) -> int:
    return sum(len(written) for written in _written(calls))


def _written(calls: Sequence[Call]) -> Iterator[Sequence[Any]]:
    """A commit that was refused has written nothing."""
    return (call["writes"] for call in calls if "writes" in call and call["answer"] == "OK")


def _unchanged(calls: Sequence[Call]) -> int:
    found, last = 0, dict[str, Any]()
    for path, text in chain.from_iterable(_written(calls)):
        fields = json.loads(text) or {}
        fields.pop("updated_at", None)
        found += last.get(path) == fields
        last[path] = fields
    return found


def _over(data: Mapping[str, Any]) -> bool:
    ended = data["status"] in ("failed", "cancelled") or data["ingest"]["status"] in ("ready", "failed")
    return ended and not data["unsent"]


def _until(probe: Any, otherwise: str) -> None:
    end = time.monotonic() + LONGEST_S
    while not probe():
        if time.monotonic() > end:
            raise TimeoutError(f"{otherwise} after {LONGEST_S} s")
        time.sleep(0.05)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="iflow-ops-") as folder:
        try:
            with counting_stack(Path(folder)) as lives:
                all_ops = [lives.live() for _ in range(LIVES)]
                calls = lives.calls
        except EmulatorMissing as missing:
            print(f"count-ops: {missing}", file=sys.stderr)
            return 1
    most = {name: max(getattr(ops, name) for ops in all_ops) for name in Ops.__dataclass_fields__}
    for (role, name), number in sorted(Counter((_role(call), call["call"]) for call in calls).items()):
        print(f"{number:>3}  {role:<9}  {name}")
    print()
    report("ops", {**most, "lives_count": LIVES, "backend": "emulators"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
