"""A succeeded analysis is ingested once: the lease is taken here, in a moment; the work is done elsewhere."""

from __future__ import annotations

import logging

from shared.delivery import Delivery, event_of
from shared.domain import paths
from shared.domain.analysis import Analysis, IngestStatus
from shared.domain.errors import EngineRefused
from shared.domain.ingest import ingest_refused, take_lease, wait_for_machine
from shared.domain.lifecycle import Answer
from shared.logs import Line
from shared.ports import Ports
from shared.steps.announce import announce
from shared.steps.store import Loaded, as_stored, decide

log = logging.getLogger(__name__)


def ingest(delivery: Delivery, ports: Ports) -> None:
    """Answers in a moment whatever the file's size (C55). A second trigger while the lease is held does nothing."""
    event = event_of(delivery)
    holder = ports.new_id()
    force = event.data.get("force") is True

    def begun(analysis: Analysis) -> Answer:
        known = analysis.received(event.id)
        return take_lease(known, holder, ports.clock(), ports.rules.policy, force=force)

    loaded, why_not = decide(ports.documents, paths.analysis_doc(event.project, event.subject), begun)
    if why_not is not None:
        log.info("no ingest begun", extra={"analysis_id": event.subject, "reason": why_not})
    elif loaded.analysis.ingest.status is IngestStatus.FAILED:
        _log_failed(loaded.analysis)
        announce(ports.documents, ports.bus, as_stored(loaded))
    else:
        _begin(ports, loaded, holder)


def _begin(ports: Ports, loaded: Loaded, holder: str) -> None:
    path = loaded.analysis.doc_path
    try:
        waits_s = ports.launch(loaded.analysis, holder)
    except EngineRefused as refused:
        reason = str(refused)
        loaded, why_not = decide(
            ports.documents, path, lambda current: ingest_refused(current, holder, reason, ports.clock()), known=loaded
        )
        if why_not is None:
            _log_failed(loaded.analysis)
        announce(ports.documents, ports.bus, as_stored(loaded))
        return
    if waits_s:
        decide(
            ports.documents, path, lambda current: wait_for_machine(current, holder, ports.clock(), waits_s),
            known=loaded,
        )


def _log_failed(analysis: Analysis) -> None:
    """The line that the alert on ingests waits for, as the work itself writes it; the document says why."""
    log.error(Line.INGEST_FAILED, extra={"analysis_id": analysis.id, "project": analysis.project})
