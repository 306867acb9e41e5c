"""A stack whose every event a consumer of ours receives too, and what tests of the whole flow ask it for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloudevents.http.event import CloudEvent

from infra.local.batch import Fault, write_faults
from infra.local.emulator_stack import Servers, directly
from infra.local.setup import register_demo
from infra.local.stack import Running, running
from services.reconciler.handler import reconcile
from shared import runtime
from shared.adapters.embedded.bus import SqliteBus
from shared.delivery import Delivery, NotAnEvent, delivery_of, event_of
from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.clock import iso
from shared.domain.events import Event, EventType, Topic
from shared.domain.order import Order
from shared.domain.pipeline import Pipeline
from shared.ports import Message, Ports, Query
from shared.runtime import Settings
from shared.steps.announce import message_of
from shared.steps.register import register_pipeline
from shared.topology import Retry, SubscriptionSpec, topology
from tests.builders import T0, a_pipeline
from tests.flow.pulled import Emulators, pulled
from tests.flow.stack import ACCESS, DEADLINE_S, Stack, bearer
from tests.flow.working import do

PROJECT = "demo"
FAST = Retry(min_s=0.02, max_s=0.1)
"""Between deliveries, where a test waits for several; the deployed ones are pauses of seconds and minutes."""

TICK = Delivery("tick", b"{}", {}, "", "")


@dataclass(frozen=True)
class Lab(Stack):
    """Project `demo` with the shipped pipelines; `received` is what the consumer got, in order, repeats included."""

    bus: SqliteBus = field(kw_only=True)
    received: list[Event] = field(default_factory=list)

    # -- asking -----------------------------------------------------------------------------------------------------

    def publish(self, data: bytes, **attributes: str) -> str:
        """Any bytes, as an upstream service would send them; the message's id."""
        return self.bus.publish(Topic.COMMANDS, Message(data, {"type": "analysis.submit", **attributes}))

    def order(self, request: str, **changes: Any) -> str:
        """Publishes a submit event; the id of the analysis that it is to become."""
        event = submit_event(request, **changes)
        self.bus.publish(Topic.COMMANDS, message_of(event))
        return analysis_of(request)

    def cancel(self, analysis: str) -> dict[str, Any]:
        answer = self.client.post(f"/analyses/{analysis}/cancel")
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def hint(self, analysis: str, state: str, **attributes: str) -> None:
        """A notification of Batch's, in its own form."""
        self.bus.publish(Topic.BATCH, Message(b"Job state was updated", hint_attributes(analysis, state, **attributes)))

    def reconcile(self, rounds: int = 1) -> None:
        """The reconciler's function, called here."""
        for _ in range(rounds):
            reconcile(TICK, runtime.ports())

    def faults(self, *rules: Fault) -> None:
        write_faults(self.batch_dir, *rules)

    def register(self, pipeline: Pipeline) -> None:
        register_pipeline(self.ports, PROJECT, pipeline, by="test")

    def put(self, path: str, data: bytes) -> str:
        """A file in the project bucket; its path."""
        self.ports.objects.write(self.bucket, path, data)
        return path

    @property
    def bucket(self) -> str:
        return PROJECT

    def start(self, request: str, **changes: Any) -> str:
        """An analysis that runs, until its folder has a file `go`."""
        analysis = self.order(request, **{"pipeline": WAITS.slug, "inputs": {}, **changes})
        self.until_found(analysis)
        self.until_status(analysis, "running")
        self.until_idle()
        return analysis

    def go(self, request: str) -> None:
        self.put(f"analyses/{request}/go", b"!")

    # -- looking ----------------------------------------------------------------------------------------------------

    def found(self, analysis: str) -> Mapping[str, Any] | None:
        stored = self.ports.documents.get(paths.analysis_doc(PROJECT, analysis))
        return stored.data if stored else None

    def until_found(self, analysis: str) -> Mapping[str, Any]:
        return self.until(lambda: self.found(analysis))

    def until_job(self, analysis: str) -> Mapping[str, Any]:
        """The document once it has noted the Batch job."""
        return self.until(lambda: (found := self.found(analysis)) and found["job"]["uid"] and found)

    def until_ends(self, analysis: str, *statuses: str, within_s: float = DEADLINE_S) -> Mapping[str, Any]:
        """The document in a final status (one of `statuses`, if any are named), with all its events published."""
        self.until_found(analysis)
        ended = self.until_status(analysis, "succeeded", "failed", "cancelled", within_s=within_s)
        assert not statuses or ended["status"] in statuses, ended
        return ended

    def until_detail(self, analysis: str, text: str) -> Mapping[str, Any]:
        return self.until(lambda: (found := self.found(analysis)) and text in found["status_detail"] and found)

    def all(self, collection: str) -> list[Mapping[str, Any]]:
        return [stored.data for stored in self.ports.documents.query(Query(collection, limit=1000)).items]

    def rejections(self, *requests: str) -> list[Mapping[str, Any]]:
        """Of these request ids; of all, if none is named."""
        return [found for found in self.all("*/rejections") if not requests or found["request_id"] in requests]

    def until_rejected(self, *requests: str) -> Mapping[str, Any]:
        """The one rejection of these request ids, once nothing more is on its way."""
        self.until(lambda: self.rejections(*requests) or None)
        self.until_idle()
        (found,) = self.rejections(*requests)
        return found

    def dead_letters(self) -> list[Mapping[str, Any]]:
        return self.all("*/dead_letters")

    def events(self, subject: str) -> list[str]:
        """The types of what the consumer received for one analysis or request; it knows repeats by their id."""
        seen = {event.id: event.type for event in [*self.received] if event.subject == subject}
        return [kind.removeprefix("analysis.") for kind in seen.values()]

    def until_events(self, subject: str, *kinds: str) -> None:
        """The consumer's events of one analysis: these, each once, in this order."""
        self.until(lambda: len(self.events(subject)) >= len(kinds))
        assert self.events(subject) == list(kinds)

    def jobs(self) -> list[Any]:
        """Every job that Batch has."""
        return list(batch_client(self).list_jobs(parent="projects/local/locations/us-central1"))

    def jobs_of(self, analysis: str) -> list[Any]:
        return [job for job in self.jobs() if job.name.endswith(paths.job_id(analysis))]

    def batch_says(self, analysis: str, state: int) -> Any:
        """The job, once Batch shows it in that state."""
        return self.until(lambda: next((job for job in self.jobs_of(analysis) if job.status.state == state), None))

    def waiting(self) -> Mapping[str, int]:
        """Messages in the queue by subscription, but for the reconciler's ticks."""
        return {name: count for name, (count, _) in self.bus.depth().items() if name != "reconcile"}

    def until_ingested(self, *analyses: str, within_s: float = DEADLINE_S) -> list[Mapping[str, Any]]:
        """These (or all) analyses, once none of their ingests is pending or running."""

        def probe() -> tuple[list[Mapping[str, Any]]] | None:
            found = [one for one in self.all("*/analyses") if not analyses or one["id"] in analyses]
            busy = [one for one in found if one["ingest"]["status"] in ("pending", "running") and one["finished_at"]]
            return None if busy else (found,)  # which may be none at all, where no test here asked for one

        return self.until(probe, within_s)[0]

    def until_idle(self) -> None:
        self.until(lambda: not self.waiting())


def batch_client(lab: Lab) -> Any:
    """Google's client on the stack's Batch server, for what no port of ours does: list, delete."""
    from shared.adapters.google.batch import local_client

    return local_client(json.loads(lab.settings.stack_file.read_text())["batch"])


@contextmanager
def lab_over(
    state_dir: Path, *, emulators: Emulators | None = None, retry: Mapping[str, Retry] | None = None,
    attempts: Mapping[str, int] | None = None, consumers: Mapping[str, SubscriptionSpec] | None = None,
    between: Callable[[Servers], Servers] = directly, **settings: Any,
) -> Iterator[Lab]:
    """Embedded, or on `emulators`, with `between` their servers and who uses them.

    `retry` and `attempts` shorten a subscription's pauses and number of deliveries; `consumers` are added. Heals within
    a second or two; `settings` may say otherwise.
    """
    chosen = Settings(**{
        "state_dir": state_dir, "port": 0, "reconcile_every_s": 1, "silent_after_s": 1, "unsent_after_s": 1,
        **ACCESS, **settings,
    })
    received: list[Event] = []
    with (
        _topology(retry or {}, attempts or {}, consumers or {}), _recording(received),
        (pulled(chosen, emulators, between) if emulators else _embedded(chosen)) as (up, chosen, bus),
    ):
        ports = runtime.ports()
        register_demo(ports)
        for pipeline in (WAITS, ENDS):
            register_pipeline(ports, PROJECT, pipeline, by="test")
        headers = {"X-Project-ID": PROJECT, **bearer(chosen)}
        with httpx.Client(base_url=f"{up.api}/api/v1", headers=headers, timeout=30) as client:
            yield Lab(up.api, client, ports, chosen, bus=bus, received=received)


@contextmanager
def _embedded(settings: Settings) -> Iterator[tuple[Running, Settings, SqliteBus]]:
    with running(settings) as up:
        yield up, settings, runtime.embedded_bus(settings)


# -- the consumer -------------------------------------------------------------------------------------------------

_recorders: list[list[Event]] = []
_recording_lock = threading.Lock()


def consume(event: CloudEvent) -> None:
    """A service outside of ours: the order service, the laboratory's information system, notifications."""
    with _recording_lock, suppress(NotAnEvent):
        _recorders[-1].append(event_of(delivery_of(event)))


CONSUMER = topology().subscriptions["ingest"].model_copy(update={
    "topic": Topic.EVENTS, "types": (), "function": "tests.flow.stacks:consume", "ordering": True, "retry": FAST,
    "max_attempts": None,
})


def consumer(function: str, **changes: Any) -> SubscriptionSpec:
    """Another one, on `analysis-events` unless told else."""
    return CONSUMER.model_copy(update={"function": function, **changes})


@contextmanager
def _recording(received: list[Event]) -> Iterator[None]:
    _recorders.append(received)
    try:
        yield
    finally:
        _recorders.remove(received)


@contextmanager
def _topology(
    retry: Mapping[str, Retry], attempts: Mapping[str, int], consumers: Mapping[str, SubscriptionSpec]
) -> Iterator[None]:
    """topology.yaml with other entries, for as long as the context lasts."""
    subscriptions = topology().subscriptions
    before = dict(subscriptions)
    subscriptions.update({"consumer": CONSUMER, **consumers})
    for name, pauses in retry.items():
        subscriptions[name] = subscriptions[name].model_copy(update={"retry": pauses})
    for name, most in attempts.items():
        subscriptions[name] = subscriptions[name].model_copy(update={"max_attempts": most})
    try:
        yield
    finally:
        subscriptions.clear()
        subscriptions.update(before)


# -- ports with something between ---------------------------------------------------------------------------------


@contextmanager
def ports_with(**wrap: Callable[[Any], Any]) -> Iterator[None]:
    """The stack's functions use each named port through what `wrap` makes of it: to count calls, or to fail some."""
    build = runtime.build

    def wrapped(settings: Settings) -> Ports:
        ports = build(settings)
        return replace(ports, **{name: make(getattr(ports, name)) for name, make in wrap.items()})

    runtime.build = wrapped
    runtime.ports.cache_clear()
    runtime.ports()  # before two functions do it at once, each with a wrapper of its own
    try:
        yield
    finally:
        runtime.build = build
        runtime.ports.cache_clear()


class Through:
    """A port as it is; subclasses stand in the way of some calls."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


@contextmanager
def ingesting_here(**wrap: Callable[[Any], Any]) -> Iterator[None]:
    """As `ports_with`; ingests and orders are worked on by two threads of this process: two seconds less for each.

    Their events then reach the consumer, too, whose subscription no other process knows.
    """
    with ThreadPoolExecutor(2, thread_name_prefix="ingest") as pool:

        def launch(subject: Analysis | Order, holder: str) -> float:
            pool.submit(lambda: do(runtime.ports(), subject, holder))
            return 0

        with ports_with(launch=lambda _: launch, **wrap):
            yield


# -- values -------------------------------------------------------------------------------------------------------


def analysis_of(request: str) -> str:
    return paths.analysis_id(PROJECT, request)


def only_embedded(reason: str) -> pytest.MarkDecorator:
    """For a test that says nothing about Google's services, which is what `reason` is for."""
    assert reason
    return pytest.mark.parametrize("emulators", ["embedded"], indirect=True, scope="module")


def job_of(request: str) -> str:
    return paths.job_id(analysis_of(request))


def a_submission(request: str, **changes: Any) -> dict[str, Any]:
    """The `data` of a submit event: `fail-on-request`, which here ends at once and well."""
    return {
        "request_id": request, "project": PROJECT, "display_id": request, "pipeline": "fail-on-request",
        "inputs": {"exit_code": 0, "runtime_seconds": 0}, "requested_by": "lims@lab.example", **changes,
    }


def submit_event(request: str, *, event_id: str | None = None, **changes: Any) -> Event:
    return Event(
        id=event_id or f"event-{request}", type=EventType.SUBMIT, source="//lims", subject=request, time=T0,
        project=PROJECT, data=a_submission(request, **changes),
    )


def envelope(request: str, **changes: Any) -> dict[str, Any]:
    """A submit event as JSON that may be spoilt."""
    return {**submit_event(request).model_dump(mode="json"), "time": iso(T0), **changes}


def hint_attributes(analysis: str, state: str, **attributes: str) -> dict[str, str]:
    return {
        "JobName": f"projects/123456/locations/us-central1/jobs/{paths.job_id(analysis)}",
        "JobUID": "a-x-1", "NewJobState": state, "Region": "us-central1", "Type": "JOB_STATE_CHANGED", **attributes,
    }


def shell_pipeline(slug: str, script: str, outputs: Sequence[Mapping[str, Any]] = (), **changes: Any) -> Pipeline:
    """A pipeline of one shell script; `$OUT` is its folder."""
    declared = outputs or [{"glob": "done.txt", "kind": "other", "required": False}]
    return a_pipeline(
        slug=slug, outputs=list(declared), price_table="list-prices-example",
        runnables=[{"image": "lab/shell:1", "command": ["/bin/sh", "-c", f'OUT="$IFLOW_OUTPUT_DIR"; {script}']}],
        **changes,
    )


WAIT_FOR_GO = 'echo begun; while [ ! -e "$OUT/go" ]; do sleep 0.02; done; echo gone'
WAITS = shell_pipeline("waits", WAIT_FOR_GO, retries={"max": 2}, max_run_seconds=120)
ENDS = shell_pipeline("ends", "true", retries={"max": 2})


def steps(document: Mapping[str, Any]) -> list[str]:
    """The statuses that a document has had, in order."""
    return [change["to"] for change in document["history"]]


def entered(job: Any, state: str) -> datetime:
    """When Batch says that the job entered a state."""
    (at,) = [event.event_time for event in job.status.status_events if f" to {state} " in event.description]
    moment: datetime = at
    return moment
