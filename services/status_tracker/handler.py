"""Batch's notifications move an analysis through its states; a cancel command asks Batch to stop the job."""

from __future__ import annotations

import logging
import threading
from contextlib import AbstractContextManager
from weakref import WeakValueDictionary

from services.status_tracker.hint import Hint, hint_of
from shared.delivery import Delivery, event_of
from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.lifecycle import request_cancel
from shared.ports import Ports, Query, Where
from shared.steps.observe import observe
from shared.steps.store import Loaded, decide

_looks: WeakValueDictionary[str, AbstractContextManager[object]] = WeakValueDictionary()
_looks_lock = threading.Lock()

log = logging.getLogger(__name__)


def track(delivery: Delivery, ports: Ports) -> None:
    """The notification says *when* to look and *at what*; what is so, GetJob says."""
    hint = hint_of(delivery)
    with _one_at_a_time(hint.job_name):
        _look(hint, ports)


def _one_at_a_time(job: str) -> AbstractContextManager[object]:
    """Of one job's notifications, which come close together, one asks Batch: two at once would hear the same, collect
    the same files, and one of them for nothing. Within this process; the commit's condition holds everywhere."""
    with _looks_lock:
        return _looks.setdefault(job, threading.RLock())


def _look(hint: Hint, ports: Ports) -> None:
    loaded = _find(ports, hint.analysis_id) if hint.analysis_id else None
    if loaded is None:
        log.info("not a job of ours", extra={"job": hint.job_name})
        return
    if loaded.analysis.job.state == hint.job_state and not loaded.analysis.unsent:
        return  # known already, and a look that finds nothing new is what the reconciler is for
    observe(ports, loaded, noticed=True)


def cancel(delivery: Delivery, ports: Ports) -> None:
    """Asks Batch, which answers in its own time: `cancelled` is written when it confirms."""
    event = event_of(delivery)
    by = event.data.get("by") if isinstance(event.data.get("by"), str) else event.source
    loaded, _ = decide(  # REST noted it with the command; a service that publishes the command itself did not
        ports.documents, paths.analysis_doc(event.project, event.subject),
        lambda analysis: request_cancel(analysis, str(by)[:200], ports.clock(), command=False),
    )
    if not loaded.analysis.status.final:
        ports.engine.cancel(loaded.analysis.job.name)
        observe(ports, loaded)


def _find(ports: Ports, analysis_id: str) -> Loaded | None:
    """By id over all projects: a notification gives the number of Google's project, and none of ours."""
    found = ports.documents.query(Query("*/analyses", where=(Where("id", "==", analysis_id),), limit=1)).items
    return Loaded(Analysis.from_document(found[0].data), found[0].version) if found else None
