"""The published data model of the events is up to date, and what the domain commits keeps to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import jsonschema
import pytest

from shared.asyncapi import FOLDER, asyncapi, files, schema_of
from shared.domain.analysis import Analysis, IngestedFile
from shared.domain.cache import Missing
from shared.domain.events import Event, EventType, event_about
from shared.domain.ingest import ingest_failed, ingest_ready
from shared.domain.job import JobState
from shared.domain.lifecycle import request_cancel
from shared.domain.order import Changed, Order, OrderStatus, transition
from shared.domain.order_cache import cache_failed, cache_ready
from shared.domain.policy import Policy
from shared.domain.request import Sample
from shared.domain.stuck import mark_stuck
from tests.builders import QUEUED, RUNNING, SCHEDULED, T0, a_built, a_job, a_request, after, an_analysis, an_order, look


def test_the_committed_files_are_those_that_the_models_make() -> None:
    for name, text in files().items():
        assert (FOLDER / name).read_text() == text, f"{name} is out of date: run `python -m shared.asyncapi`"


@pytest.mark.parametrize("kind", EventType)
def test_each_schema_is_valid_and_stands_in_the_asyncapi_document(kind: EventType) -> None:
    jsonschema.Draft202012Validator.check_schema(schema_of(kind))
    assert f"{kind}.schema.json" in files()
    assert kind.value in asyncapi()["channels"][kind.topic.value]["messages"]


def _paths() -> Iterator[Analysis]:
    """Analyses on every way through the lifecycle, with all the events that they committed."""
    queued = an_analysis(callback_url="https://lims.lab.example/iflow")
    yield after(mark_stuck(queued, T0 + timedelta(days=1), Policy()))
    running = after(look(queued, a_job(JobState.RUNNING, QUEUED, SCHEDULED, RUNNING)))
    done = after(look(running, a_job(JobState.SUCCEEDED, QUEUED, SCHEDULED, RUNNING)))
    yield ingest_ready(done, (IngestedFile(path="a", table="t"),), cache=None, report=(), versions={}, now=T0).analysis
    yield ingest_failed(done, "cut off at line 3", T0).analysis
    yield after(look(queued, a_job(JobState.FAILED, QUEUED)))
    yield after(look(after(request_cancel(running, "ada@lab.example", T0)), a_job(JobState.CANCELLED, QUEUED)))


def _orders() -> Iterator[Order]:
    order = an_order(Sample(name="S1"))
    moved = transition(order, OrderStatus.CANCELLED, T0, by="ada@lab.example", source="test", reason="Asked twice.")
    failed = cache_failed(order, "cut off", T0)
    ready = cache_ready(order, a_built(missing=(Missing(name="S2", reason="not yet"),)), T0, Policy())
    for answer in (moved, failed, ready):
        assert isinstance(answer, Changed)
        yield answer.order


def _events() -> Iterator[Event]:
    for analysis in _paths():
        yield from analysis.unsent
    request = a_request()
    yield Event(
        id="e", type=EventType.SUBMIT, subject=request.request_id, time=T0, project="lab",
        data=request.model_dump(mode="json"),
    )
    for order in _orders():
        yield from order.unsent
    yield event_about(EventType.ORDER_CACHE, project="lab", subject="o", sequence=1, at=T0,
                      data={"order_id": "o", "anew": True})
    for kind, data in ((EventType.START, {}), (EventType.INGEST, {"force": True})):
        yield event_about(kind, project="lab", subject="a", sequence=1, at=T0, data={"analysis_id": "a", **data})
    yield Event(
        id="x.rejected", type=EventType.REJECTED, subject="r", time=T0, project="lab",
        data={"request_id": None, "reasons": [{"field": "inputs", "message": "Field required"}]},
    )


def test_every_event_that_is_committed_is_valid_against_its_published_schema() -> None:
    seen = set()
    for event in _events():
        jsonschema.validate(event.model_dump(mode="json"), schema_of(event.type), jsonschema.Draft202012Validator)
        seen.add(event.type)
    assert seen == set(EventType)
