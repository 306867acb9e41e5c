"""Defects on purpose: small patches of the real code, each a mistake that systems like this one were seen to make.

What the simulation is worth shows in how soon it catches them, and by which invariant: test_defects.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import count
from typing import Any
from unittest.mock import patch

from cloudevents.http.event import CloudEvent

from services.reconciler import handler as reconciler
from services.status_tracker.handler import track
from services.status_tracker.hint import hint_of
from services.vcf_ingest import joining
from services.vcf_ingest.work import _build
from shared import receive
from shared.delivery import Delivery
from shared.domain import lifecycle
from shared.domain.acceptance import job_spec
from shared.domain.analysis import Analysis, Status
from shared.domain.errors import Conflict, Transient
from shared.domain.ingest import holds_lease, take_lease
from shared.domain.job import JobSeen, JobSpec, JobState
from shared.domain.lifecycle import Advanced, Answer, Move, Unchanged, entered, request_cancel
from shared.ports import Bus, Delete, Documents, Engine, Ports, Stored, Update, Write
from shared.steps.announce import announce, clear_unsent, publish_unsent
from shared.steps.store import Loaded, decide, load
from tests.simulation import world
from tests.simulation.faults import FaultyDocuments
from tests.simulation.functions import HANDLERS

Defect = Callable[[], AbstractContextManager[object]]


@contextmanager
def _everywhere(real: Callable[..., Any], other: Callable[..., Any]) -> Iterator[None]:
    """`other` in the place of `real`, in every module of ours that has imported it by name."""
    name = real.__name__
    with ExitStack() as patches:
        for module in list(sys.modules.values()):
            ours = module.__name__.split(".")[0] in ("shared", "services", "tests") and module.__name__ != __name__
            if ours and module.__dict__.get(name) is real:
                patches.enter_context(patch.object(module, name, other))
        yield


def acknowledge_before_commit() -> AbstractContextManager[object]:
    """The message is answered first; what fails after that is tried by nobody."""
    real = receive.receive

    def answered_already(subscription: str, event: CloudEvent, handler: receive.Handler, ports: Ports) -> None:
        with suppress(Transient):
            real(subscription, event, handler, ports)

    return patch.object(receive, "receive", answered_already)


def trust_the_notification() -> AbstractContextManager[object]:
    """The state that a notification names, be it a job's or a task's, is taken for the job's."""

    def credulous(delivery: Delivery, ports: Ports) -> None:
        state = hint_of(delivery).job_state or delivery.attributes.get("NewTaskState")
        track(delivery, replace(ports, engine=_Hearsay(ports.engine, state)))

    return patch.dict(HANDLERS, {"track": credulous})


class _Hearsay:
    def __init__(self, engine: Engine, state: str | None) -> None:
        self._engine = engine
        self._state = state

    def describe(self, name: str) -> JobSeen:
        seen = self._engine.describe(name)
        return replace(seen, state=JobState[self._state]) if self._state in JobState.__members__ else seen


@contextmanager
def no_outbox() -> Iterator[None]:
    """Events are published after the commit and stored nowhere: whoever dies in between takes them along."""
    real = FaultyDocuments.commit

    def commit(self: FaultyDocuments, writes: Sequence[Write]) -> tuple[str, ...]:
        return real(self, [_without_outbox(write) for write in writes])

    with patch.object(FaultyDocuments, "commit", commit), _everywhere(clear_unsent, lambda *_: None):
        yield


def _without_outbox(write: Write) -> Write:
    if isinstance(write, Delete) or "unsent" not in write.data:
        return write
    return replace(write, data={**write.data, "unsent": [], "unsent_since": None})


def clear_unsent_before_publish() -> AbstractContextManager[object]:
    """The outbox is emptied first."""

    def hasty(documents: Documents, bus: Bus, stored: Stored) -> None:
        clear_unsent(documents, stored, frozenset(event["id"] for event in stored.data["unsent"]))
        publish_unsent(bus, stored.data)

    return _everywhere(announce, hasty)


@contextmanager
def no_lease() -> Iterator[None]:
    """Whoever is told that an analysis succeeded ingests it, whoever else is at it."""

    def take(analysis: Analysis, *rest: Any, **options: Any) -> Answer:
        free = analysis.ingest.model_copy(update={"lease": None})
        return take_lease(analysis.changed(ingest=free), *rest, **options)

    with _everywhere(take_lease, take), _everywhere(holds_lease, lambda analysis, holder: True):
        yield


def running_after_succeeded() -> AbstractContextManager[object]:
    """Final statuses do not absorb: a RUNNING that was seen earlier and comes later takes `succeeded` back."""
    backwards = {**lifecycle.TABLE[Status.SUCCEEDED], JobState.RUNNING: Move.START}
    return patch.dict(lifecycle.TABLE, {Status.SUCCEEDED: backwards})


def random_job_id() -> AbstractContextManager[object]:
    """CreateJob gets a new id each time, so that a repeat is another job."""
    number = count()

    def renamed(analysis: Analysis, notify_topic: str) -> JobSpec:
        return replace(job_spec(analysis, notify_topic), job_id=f"a-{next(number)}")

    return _everywhere(job_spec, renamed)


def cancelled_at_request() -> AbstractContextManager[object]:
    """`cancelled` is written when somebody asks, not when Batch confirms."""

    def at_once(analysis: Analysis, by: str, now: Any) -> Answer:
        answer = request_cancel(analysis, by, now)
        if isinstance(answer, Unchanged):
            return answer
        return Advanced(entered(answer.analysis, Status.CANCELLED, now, by=by, source="REST", reason="Asked for."))

    return _everywhere(request_cancel, at_once)


def overwrite_on_conflict() -> AbstractContextManager[object]:
    """On a conflict the same decision is written again, over what somebody else has written."""

    def stubborn(
        documents: Documents, path: str, decision: Callable[[Analysis], Answer], *, known: Loaded | None = None
    ) -> tuple[Loaded, str | None]:
        loaded = known or load(documents, path)
        answer = decision(loaded.analysis)
        if isinstance(answer, Unchanged):
            return loaded, answer.reason
        while True:
            try:
                (version,) = documents.commit([Update(path, answer.analysis.to_document(), loaded.version)])
            except Conflict:
                loaded = load(documents, path)
                continue
            return Loaded(answer.analysis, version), None

    return _everywhere(decide, stubborn)


def no_grace_for_a_missing_job() -> AbstractContextManager[object]:
    """A job that GetJob does not find twice is given up."""
    return patch.object(world, "POLICY", replace(world.POLICY, missing_grace_s=0))


def visible_before_it_is_there() -> AbstractContextManager[object]:
    """The document points at a table before, or without, its upload."""

    def unsaved(ports: Ports, *rest: Any) -> Mapping[str, Any]:
        return _build(replace(ports, objects=_WithoutUpload(ports.objects)), *rest)

    return _everywhere(_build, unsaved)


class _WithoutUpload:
    def __init__(self, objects: Any) -> None:
        self.stat = objects.stat

    def upload(self, bucket: str, path: str, source: Any, *, if_generation: int | None = None) -> None:
        """Nothing reaches the bucket."""


def nobody_looks_after_orders() -> AbstractContextManager[object]:
    """A build that died, and a trigger that was lost, are left at that."""
    return patch.object(reconciler, "_unbuilt_orders", lambda ports: iter(()))


def manifest_before_its_table() -> AbstractContextManager[object]:
    """What says that a cache is whole is written first."""
    real = joining._join

    def hasty(ports: Ports, bucket: str, path: str, *rest: Any) -> None:
        with suppress(Conflict):
            ports.objects.write(bucket, f"{path}.json", b'{"rows": 0}', if_generation=0)
        real(ports, bucket, path, *rest)

    return patch.object(joining, "_join", hasty)
