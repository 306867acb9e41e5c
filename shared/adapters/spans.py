"""Spans recorded by OpenTelemetry: to Cloud Trace, or a line each in a file. The only module that knows it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.tracing import TRACEPARENT, Here, Kind

CLOUD_TRACE = "https://telemetry.googleapis.com/v1/traces"
"""Google's OTLP endpoint (https://cloud.google.com/stackdriver/docs/reference/telemetry/overview)."""

_SCOPES = ("https://www.googleapis.com/auth/trace.append",)
_KINDS = {
    "internal": SpanKind.INTERNAL, "consumer": SpanKind.CONSUMER, "producer": SpanKind.PRODUCER,
    "client": SpanKind.CLIENT, "server": SpanKind.SERVER,
}
_wanted: ContextVar[str | None] = ContextVar("wanted trace", default=None)
_w3c = TraceContextTextMapPropagator()


class _Ids(RandomIdGenerator):
    """A trace's id is chosen by whoever begins it. W3C wants seven random bytes in it: a UUIDv5 has them."""

    def generate_trace_id(self) -> int:
        wanted = _wanted.get()
        return int(wanted, 16) if wanted else super().generate_trace_id()


class OtelTracer:
    """tracing.Tracer."""

    def __init__(self, processor: SpanProcessor, resource: Mapping[str, str]) -> None:
        # Every span is kept: half an analysis explains nothing, and there are some twenty of them.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(dict(resource)), id_generator=_Ids()
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("iflow")

    @contextmanager
    def span(
        self, name: str, *, trace: str | None, carried: str | None, kind: Kind, attributes: Mapping[str, str]
    ) -> Iterator[None]:
        context, links = _parent(trace, carried)
        wanted = _wanted.set(trace)
        try:
            opened = self._tracer.start_span(name, context, _KINDS[kind], dict(attributes), links)
        finally:
            _wanted.reset(wanted)
        with _open(opened):
            yield

    def failed(self, error: BaseException) -> None:
        trace.get_current_span().set_status(Status(StatusCode.ERROR, type(error).__name__))

    def current(self) -> Here | None:
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return None
        return Here(f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled)

    def close(self) -> None:
        """What waits is sent."""
        self._provider.shutdown()


@contextmanager
def _open(span: trace.Span) -> Iterator[None]:
    # OpenTelemetry's own record of an exception is its text and traceback, which may hold a patient's data.
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def _parent(wanted: str | None, carried: str | None) -> tuple[Context, list[Link]]:
    """The context to go on from: what was carried here, else what is open here, if it is of the wanted trace."""
    around = _context_of(carried) or trace.get_current_span().get_span_context()
    if not around.is_valid:
        return Context(), []
    if wanted is None or around.trace_id == int(wanted, 16):
        return trace.set_span_in_context(trace.NonRecordingSpan(around), Context()), []
    return Context(), [Link(around)]


def _context_of(carried: str | None) -> SpanContext | None:
    """What cannot be read is passed over, as W3C asks for."""
    if carried is None:
        return None
    found = trace.get_current_span(_w3c.extract({TRACEPARENT: carried}, Context())).get_span_context()
    return found if found.is_valid else None


class _Lines(SpanExporter):
    """A JSON object a span, appended in one write, since several processes share the file."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            os.write(self._file, (json.dumps(_line(span)) + "\n").encode())
        return SpanExportResult.SUCCESS


def _line(span: ReadableSpan) -> Mapping[str, object]:
    context = span.get_span_context()
    assert context is not None and span.start_time is not None and span.end_time is not None
    return {
        "name": span.name,
        "trace": f"{context.trace_id:032x}",
        "span": f"{context.span_id:016x}",
        "parent": f"{span.parent.span_id:016x}" if span.parent else None,
        "links": [f"{link.context.trace_id:032x}" for link in span.links],
        "start": span.start_time / 1e9,
        "milliseconds": round((span.end_time - span.start_time) / 1e6, 3),
        "error": span.status.description if span.status.status_code is StatusCode.ERROR else None,
        **(dict(span.attributes) if span.attributes else {}),
    }


def to_file(file: Path) -> OtelTracer:
    return OtelTracer(SimpleSpanProcessor(_Lines(file)), {"service.name": "iflow"})


def to_cloud_trace(project: str, service: str) -> OtelTracer:
    """Sent in the background; an outage of Cloud Trace loses spans, and holds up nothing."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    credentials, _ = google.auth.default(scopes=_SCOPES)
    exporter = OTLPSpanExporter(CLOUD_TRACE, session=AuthorizedSession(credentials))
    return OtelTracer(BatchSpanProcessor(exporter), {"service.name": service, "gcp.project_id": project})
