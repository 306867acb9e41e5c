"""Spans, as the rest of the code knows them: nothing, until a process is told to record them (IFLOW_TRACE).

All spans of one analysis (or order) share one trace, whoever opens them and whatever carried the event: the trace's id
*is* the subject's id, 128 bits either way (docs/decisions/0011). What records them is shared/adapters/spans.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from shared.domain import paths
from shared.domain.about import about
from shared.domain.job import JobSeen, JobSpec
from shared.ports import Bus, Engine, Message

TRACEPARENT = "traceparent"
"""Attribute of a message, as W3C Trace Context writes it: `00-{trace id}-{span id}-{flags}`."""

VARIABLE = "TRACEPARENT"
"""The same for a process that is begun, by the name that other tools read, too."""

Kind = Literal["internal", "consumer", "producer", "client", "server"]


@dataclass(frozen=True)
class Here:
    """The span that is open here: ids in hex, and whether it is recorded."""

    trace: str
    span: str
    sampled: bool


class Tracer(Protocol):
    def span(
        self, name: str, *, trace: str | None, carried: str | None, kind: Kind, attributes: Mapping[str, str]
    ) -> AbstractContextManager[None]:
        """`trace` is the id that the span must have; a `carried` context of another trace is linked to."""

    def failed(self, error: BaseException) -> None: ...

    def current(self) -> Here | None: ...


_tracer: Tracer | None = None


def record_by(tracer: Tracer | None) -> None:
    """For this process, from now on; None: nothing is recorded."""
    global _tracer
    _tracer = tracer


def trace_of(subject: str) -> str:
    return subject.replace("-", "")


def subject_of(found: Mapping[str, str]) -> str | None:
    """Whose trace it is, of what `about` has told."""
    return found.get("analysis_id") or found.get("order_id")


def span(
    name: str, attributes: Mapping[str, str], *, carried: str | None = None, kind: Kind = "internal",
) -> AbstractContextManager[None]:
    """Its trace is that of the analysis or order in `attributes`; without one, the trace that was carried here, or that
    is open here, or a new one."""
    if _tracer is None:
        return nullcontext()
    subject = subject_of(attributes)
    trace = trace_of(subject) if subject else None
    return _tracer.span(name, trace=trace, carried=carried, kind=kind, attributes=attributes)


def failed(error: BaseException) -> None:
    """The open span, by the error's kind. Its text may hold what no trace may."""
    if _tracer is not None:
        _tracer.failed(error)


def current() -> Here | None:
    return _tracer.current() if _tracer is not None else None


def traceparent() -> str | None:
    """The open span's, for whoever goes on from here."""
    found = current()
    return f"00-{found.trace}-{found.span}-{'01' if found.sampled else '00'}" if found else None


def environment() -> Mapping[str, str]:
    """For a process that is begun here."""
    found = traceparent()
    return {VARIABLE: found} if found else {}


class TracedBus:
    """Every message that is published carries the span of its publishing."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def publish(self, topic: str, message: Message) -> str:
        found = about(message.attributes, message.data)
        with span(f"publish {topic}", found, kind="producer"):
            context = {TRACEPARENT: carried} if (carried := traceparent()) else {}
            return self._bus.publish(
                topic, Message(message.data, {**message.attributes, **context}, message.ordering_key)
            )

    def depth(self) -> Mapping[str, tuple[int, datetime]] | None:
        return self._bus.depth()


class TracedEngine:
    """A span around each call of Batch."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self, spec: JobSpec) -> JobSeen:
        with _call("CreateJob", spec.name):
            return self._engine.start(spec)

    def describe(self, name: str) -> JobSeen:
        with _call("GetJob", name):
            return self._engine.describe(name)

    def cancel(self, name: str) -> None:
        with _call("CancelJob", name):
            self._engine.cancel(name)


def _call(method: str, job: str) -> AbstractContextManager[None]:
    analysis = paths.analysis_of_job(job)
    about_it = {"job": job, "analysis_id": analysis} if analysis else {"job": job}
    return span(f"Batch {method}", about_it, kind="client")
