"""Logging: lines with fields, as JSON for Cloud Logging, or for a person's eyes on one machine.

A message is a constant, the fields are those of `FIELDS`, given in `extra` or `bound` around the call. No line holds a
patient's data, a token or a signed address: of an exception only kinds and places are written, since its text may
quote what was being read, and what looks like one is blotted out of everything else.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from shared import tracing
from shared.domain.errors import Transient

FIELDS = (
    "analysis_id", "order_id", "project", "event_id", "message_id", "subscription", "document", "job", "reason",
    "count", "attempt", "from_status", "to_status", "seconds",
)
"""What may stand in `extra`. None of them holds an input, a genotype, a token or a signed address."""


class Line(StrEnum):
    """Messages that infra/terraform/monitoring.tf counts."""

    DEAD_LETTER = "kept as a dead letter"
    INGEST_FAILED = "ingest failed"
    NEXT_ROUND = "left to the next round"
    NOT_UNDERSTOOD = "not a document that this version understands"
    NOT_PUBLISHED = "not published, left to the reconciler"
    TRANSITION = "transition"
    INGEST_TRANSITION = "ingest transition"


_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAMES = re.compile(rf"\b(analyses|samples|orders|claims)(/|%2F)(?!{_ID})[^\s'\",;]+", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+")
_TOKEN = re.compile(r"\b(Bearer|Basic)\s+[^\s'\",;]+", re.IGNORECASE)

_bound: ContextVar[Mapping[str, str]] = ContextVar("fields of every line", default={})  # noqa: B039 (never changed)


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Every line that is logged inside, by whomever, carries these fields, too."""
    before = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(before)


def why(error: BaseException) -> str:
    """What a log may say of an error. One that may pass names a service. A lasting one may quote the data that it is
    about; the document that keeps it tells it in full, the log only its kind."""
    return str(error) if isinstance(error, Transient) else type(error).__name__


def blotted(text: str) -> str:
    """Without what people chose as names of folders and files, the parameters of addresses, and tokens."""
    return without_secrets(_NAMES.sub(r"\1\2...", text))


def without_secrets(text: str) -> str:
    """Without the parameters of addresses, which may be signatures, and without tokens."""
    return _TOKEN.sub(r"\1 ...", _QUERY.sub(r"\1?...", text))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    given = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
    return {
        name: blotted(value) if isinstance(value, str) else value
        for name, value in {**_bound.get(), **given}.items() if value is not None
    }


class _ForCloudLogging(logging.Formatter):
    def __init__(self, google_project: str) -> None:
        super().__init__()
        self._google_project = google_project

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "severity": record.levelname,
            "logger": record.name,
            "message": blotted(record.getMessage()),
            **fields,
            **self._trace(fields.get("analysis_id") or fields.get("order_id")),
        }
        if error := _error(record):
            entry["exception"] = error
        return json.dumps(entry, default=str)

    def _trace(self, subject: object) -> Mapping[str, object]:
        """By these fields Cloud Logging shows a line beside its span
        (https://cloud.google.com/logging/docs/structured-logging). Without a span, the subject names the trace."""
        span = tracing.current()
        trace = span.trace if span else tracing.trace_of(str(subject)) if subject else None
        if trace is None:
            return {}
        named = {"logging.googleapis.com/trace": f"projects/{self._google_project}/traces/{trace}"}
        if span is None:
            return named
        return {
            **named, "logging.googleapis.com/spanId": span.span, "logging.googleapis.com/trace_sampled": span.sampled
        }


class _ForReading(logging.Formatter):
    """`12:00:01.234 INFO  tracker  transition  analysis_id=.. from_status=queued`; places of an error below it."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        line = f"{at} {record.levelname:<7} {blotted(record.getMessage())}  {fields}".rstrip()
        error = _error(record)
        return f"{line}\n{error}" if error else line


def _error(record: logging.LogRecord) -> str | None:
    if not record.exc_info or record.exc_info[1] is None:
        return None
    return _places(record.exc_info[1], record.exc_info[2])


def _places(error: BaseException, trace: TracebackType | None) -> str:
    """As a traceback, without the errors' texts; what caused an error stands above it."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    above = _places(cause, cause.__traceback__) + "\n" if cause is not None else ""
    return above + "".join(traceback.format_tb(trace)) + f"{type(error).__module__}.{type(error).__qualname__}"


def log_lines(file: Path | None = None, *, level: str = "INFO", google_project: str | None = None) -> None:
    """To stderr, or appended to a file, once: a second call replaces the first. As JSON, with names of traces, where
    there is a Google project; else to be read."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.StreamHandler(sys.stderr) if file is None else logging.FileHandler(file)
    handler.setFormatter(_ForCloudLogging(google_project) if google_project else _ForReading())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("google", "urllib3", "httpx", "httpcore", "uvicorn", "opentelemetry"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
