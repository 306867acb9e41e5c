"""The ingest's own small state machine inside the analysis: a lease that is taken, renewed, and given back once.

    pending -> running -> ready | failed        (a lease that ran out: running -> running, by another holder)

A second trigger while the lease is held does nothing; after it has run out it takes over; after `ready` it does
nothing unless forced (C54).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.domain.analysis import Analysis, Ingest, IngestedFile, IngestStatus, Status
from shared.domain.cache import Built
from shared.domain.events import EventType
from shared.domain.ingested import Report, columns, files_file, head_of_files, head_of_report, head_of_samples
from shared.domain.lifecycle import Advanced, Answer, Unchanged
from shared.domain.part import Lease, shorten
from shared.domain.policy import Policy

STARTING = "Starting."
WAITING = "Waiting for a machine."


def take_lease(analysis: Analysis, holder: str, now: datetime, policy: Policy, *, force: bool = False) -> Answer:
    """The ingest is now `holder`'s until the lease runs out; or why it is not to be begun."""
    ingest = analysis.ingest
    if analysis.status is not Status.SUCCEEDED or ingest.status is IngestStatus.NOT_APPLICABLE:
        return Unchanged(f"the analysis is {analysis.status}: there is nothing to ingest")
    if ingest.status is IngestStatus.RUNNING and ingest.lease and ingest.lease.until > now:
        return Unchanged(f"{ingest.lease.holder} is at it until {ingest.lease.until:%H:%M:%S} UTC")
    if ingest.status in (IngestStatus.READY, IngestStatus.FAILED) and not force:
        return Unchanged(f"the ingest is {ingest.status} already; force it to do it again")
    if ingest.status is IngestStatus.RUNNING and ingest.attempts >= policy.ingest_attempts and not force:
        return ingest_failed(analysis, died(ingest.attempts, ingest.progress), now)
    begun = ingest.model_copy(update={
        "status": IngestStatus.RUNNING,
        "lease": _lease(holder, now, policy),
        "attempts": 1 if force else ingest.attempts + 1,
        "started_at": now, "finished_at": None, "failure": None, "progress": STARTING,
    })
    return Advanced(_with(analysis, begun, now))


def died(attempts: int, last_words: str | None) -> str:
    """The failure of work on variants that never ended: its last words are what it was at, or what broke it."""
    return f"it died {attempts} times, the last time at: {last_words or STARTING}"


def renew_lease(analysis: Analysis, holder: str, now: datetime, policy: Policy, progress: str) -> Answer:
    """Says how far it is, and keeps the lease; `Unchanged` when it has been lost to another holder."""
    if not holds_lease(analysis, holder):
        return Unchanged("the lease is somebody else's now")
    going = analysis.ingest.model_copy(update={"lease": _lease(holder, now, policy), "progress": shorten(progress)})
    return Advanced(_with(analysis, going, now))


def wait_for_machine(analysis: Analysis, holder: str, now: datetime, waits_s: float) -> Answer:
    """The lease lasts for the wait, too; `Unchanged` when the work has begun meanwhile, or when the lease was lost."""
    if not holds_lease(analysis, holder) or analysis.ingest.progress != STARTING:
        return Unchanged("the work has begun, or the lease is somebody else's now")
    waiting = analysis.ingest.model_copy(update={
        "lease": Lease(holder=holder, until=now + timedelta(seconds=waits_s)), "progress": WAITING,
    })
    return Advanced(_with(analysis, waiting, now))


def holds_lease(analysis: Analysis, holder: str) -> bool:
    ingest = analysis.ingest
    return ingest.status is IngestStatus.RUNNING and ingest.lease is not None and ingest.lease.holder == holder


def ingest_ready(
    analysis: Analysis, files: tuple[IngestedFile, ...], *, cache: Built | None,
    report: Report, versions: Mapping[str, str], now: datetime,
) -> Advanced:
    """The tables are in the bucket and what readers follow points at them.

    Where there is a `files_file`, it must lie in the bucket before that.
    """
    rows = sum(file.rows for file in files)
    elsewhere = files_file(analysis.id, files, report)
    kept, samples = head_of_files(files), columns(files)
    done = analysis.ingest.model_copy(update={
        "status": IngestStatus.READY, "lease": None, "finished_at": now, "failure": None,
        "progress": f"{_counted(rows, 'row')} from {_counted(len(files), 'file')}.",
        "rows": rows, "files": kept, "files_total": len(files), "files_path": elsewhere.path if elsewhere else None,
        "samples": head_of_samples(samples), "samples_total": len(samples), "cache": _short(cache),
        "report": head_of_report(report), "versions": versions,
    })
    ready = _with(analysis, done, now)
    data = {
        "analysis_id": ready.id, "slug": ready.slug, "order_id": ready.order_id, "rows": rows,
        "tables": [file.table for file in kept], "tables_total": len(files),
        "cache": cache.table if cache else None,
    }
    return Advanced(ready.with_event(EventType.INGESTED, now, data))


def ingest_failed(analysis: Analysis, reason: str, now: datetime) -> Advanced:
    """The analysis stays `succeeded`; what was visible before stays visible."""
    failed = analysis.ingest.model_copy(update={
        "status": IngestStatus.FAILED, "lease": None, "finished_at": now, "failure": shorten(reason), "progress": None,
    })
    data = {"analysis_id": analysis.id, "slug": analysis.slug, "order_id": analysis.order_id, "reason": failed.failure}
    return Advanced(_with(analysis, failed, now).with_event(EventType.INGEST_FAILED, now, data))


def work_module(analysis: Analysis, holder: str) -> tuple[str, ...]:
    """What Python is to run (behind `-m`) for the work of an ingest: here, or in a job's container."""
    return ("services.vcf_ingest", analysis.project, analysis.id, holder)


def ingest_refused(analysis: Analysis, holder: str, reason: str, now: datetime) -> Answer:
    """The work was never begun, and never will be."""
    if not holds_lease(analysis, holder):
        return Unchanged("the lease is somebody else's now")
    return ingest_failed(analysis, reason, now)


def _short(cache: Built | None) -> Built | None:
    return cache and cache.model_copy(update={"samples": head_of_samples(cache.samples)})


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _lease(holder: str, now: datetime, policy: Policy) -> Lease:
    return Lease(holder=holder, until=now + timedelta(seconds=policy.ingest_lease_s))


def _with(analysis: Analysis, ingest: Ingest, now: datetime) -> Analysis:
    return analysis.changed(ingest=ingest, updated_at=max(analysis.updated_at, now))
