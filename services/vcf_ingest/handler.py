"""A succeeded analysis is ingested once: the lease is taken here, in a moment; the work is done elsewhere."""

from __future__ import annotations

import logging

from shared.delivery import Delivery, event_of
from shared.domain import paths
from shared.domain.analysis import IngestStatus
from shared.domain.ingest import take_lease, wait_for_machine
from shared.ports import Ports
from shared.steps.announce import announce
from shared.steps.store import as_stored, decide

log = logging.getLogger(__name__)


def ingest(delivery: Delivery, ports: Ports) -> None:
    """Answers in a moment whatever the file's size (C55). A second trigger while the lease is held does nothing."""
    event = event_of(delivery)
    holder = ports.new_id()
    force = event.data.get("force") is True
    loaded, why_not = decide(
        ports.documents, paths.analysis_doc(event.project, event.subject),
        lambda analysis: take_lease(analysis, holder, ports.clock(), ports.rules.policy, force=force),
    )
    if why_not is not None:
        log.info("no ingest begun", extra={"analysis_id": event.subject, "reason": why_not})
    elif loaded.analysis.ingest.status is IngestStatus.FAILED:
        announce(ports.documents, ports.bus, as_stored(loaded))
    else:
        waits_s = ports.launch(loaded.analysis, holder)
        if waits_s:
            decide(
                ports.documents, loaded.analysis.doc_path,
                lambda analysis: wait_for_machine(analysis, holder, ports.clock(), waits_s), known=loaded,
            )
