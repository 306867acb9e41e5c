"""The alert on ingests waits for one line, whichever way an ingest failed (C38)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from services.vcf_ingest.handler import ingest
from shared.delivery import Delivery
from shared.domain.analysis import Analysis, Ingest, IngestStatus, Status
from shared.domain.errors import EngineRefused
from shared.domain.events import EventType, event_about
from shared.domain.ingest import ingest_ready, renew_lease
from shared.domain.part import Lease
from shared.logs import Line
from shared.ports import Ports, Update
from shared.steps.announce import message_of
from shared.steps.store import Loaded, decide, load
from tests.contract.clock import FakeClock

Stored = Callable[[], dict[str, object]]


def _command(analysis: Analysis, at: datetime) -> Delivery:
    event = event_about(
        EventType.INGEST, project=analysis.project, subject=analysis.id, at=at, sequence=1,
        data={"analysis_id": analysis.id, "force": False},
    )
    message = message_of(event)
    return Delivery("m", message.data, dict(message.attributes), message.ordering_key, "reingest")


def _store(ports: Ports, accepted: Loaded, ingest: Ingest) -> Analysis:
    analysis = accepted.analysis.changed(status=Status.SUCCEEDED, ingest=ingest)
    ports.documents.commit([Update(analysis.doc_path, analysis.to_document(), accepted.version)])
    return analysis


def test_one_that_died_as_often_as_it_may(
    ports: Ports, accepted: Loaded, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    now = ports.clock()
    attempts = ports.rules.policy.ingest_attempts
    dead = Ingest(status=IngestStatus.RUNNING, attempts=attempts, lease=Lease(holder="dead", until=now))
    ingest(_command(_store(ports, accepted, dead), now), ports)
    assert "failed" in str(stored()["ingest"])
    assert Line.INGEST_FAILED in caplog.messages


def test_redelivered_while_it_works_there_is_one(ports: Ports, clock: FakeClock, accepted: Loaded) -> None:
    """C55: a delivery every 10 s for 10 minutes, while the work renews its lease: each is answered at once, without a
    second launch; so is one after it is ready."""
    holders: list[str] = []
    ids = iter(f"holder-{n}" for n in range(100))
    ports = replace(ports, launch=lambda analysis, holder: holders.append(holder) or 0, new_id=lambda: next(ids))
    command = _command(_store(ports, accepted, Ingest(status=IngestStatus.PENDING)), ports.clock())
    path = accepted.analysis.doc_path
    for _ in range(60):
        ingest(command, ports)
        clock.pass_s(10)
        decide(ports.documents, path,
               lambda current: renew_lease(current, holders[0], ports.clock(), ports.rules.policy, "working"))
    assert holders == ["holder-0"]
    decide(ports.documents, path, lambda current: ingest_ready(
        current, (), cache=None, report=(), versions={}, now=ports.clock()))
    ingest(command, ports)
    ingest(_command(load(ports.documents, path).analysis, ports.clock()), ports)
    assert holders == ["holder-0"]
    assert load(ports.documents, path).analysis.ingest.status is IngestStatus.READY


def test_one_whose_job_batch_refused(
    ports: Ports, accepted: Loaded, stored: Stored, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(subject: object, holder: str) -> float:
        raise EngineRefused("PERMISSION_DENIED", "no")

    analysis = _store(ports, accepted, Ingest(status=IngestStatus.PENDING))
    ingest(_command(analysis, ports.clock()), replace(ports, launch=refuse))
    assert "failed" in str(stored()["ingest"])
    assert Line.INGEST_FAILED in caplog.messages
