"""Asks Batch about one analysis and commits what follows from the answer: GetJob is the truth, not the hint."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.analysis import Analysis, IngestStatus, Status
from shared.domain.lifecycle import Advanced, Answer, Observation, Unchanged, advance, wants_outputs
from shared.domain.outputs import NOTHING_COLLECTED
from shared.ports import Ports
from shared.steps.announce import clear_unsent, publish_unsent
from shared.steps.collect import collect
from shared.steps.logs_url import with_logs_url
from shared.steps.store import Loaded, as_stored, decide


def observe(ports: Ports, loaded: Loaded, *, noticed: bool = False) -> Loaded:
    """A final analysis is not asked about (C85); `noticed` when it is a notification that asks.

    Raises Unavailable when Batch does not answer.
    """
    analysis = loaded.analysis
    nothing_new: str | None = "final"
    if not analysis.status.final:
        job = ports.engine.describe(analysis.job.name)
        collected = collect(ports, analysis, job) if wants_outputs(analysis, job.state) else NOTHING_COLLECTED
        seen = Observation(job, ports.clock(), collected)
        loaded, nothing_new = decide(
            ports.documents, analysis.doc_path,
            lambda current: _noted(with_logs_url(ports, advance(current, seen, ports.rules)), noticed), known=loaded,
        )
    if nothing_new is None or _left_behind(ports, loaded.analysis):
        published = publish_unsent(ports.bus, loaded.analysis.to_document())
        if not _ingest_clears(loaded.analysis):
            clear_unsent(ports.documents, as_stored(loaded), published)
    return loaded


def _noted(answer: Answer, noticed: bool) -> Answer:
    """With a change that is committed anyway: it is no reason for a write of its own."""
    if isinstance(answer, Unchanged) or not noticed:
        return answer
    analysis = answer.analysis
    return Advanced(analysis.changed(job=analysis.job.model_copy(update={"noticed": True})))


def _ingest_clears(analysis: Analysis) -> bool:
    """The event that was just published wakes the ingest, which writes the document anyway and clears with that what
    its coming proves to be published: one write less for every analysis, and none that races with its lease."""
    return analysis.status is Status.SUCCEEDED and analysis.ingest.status is IngestStatus.PENDING


def _left_behind(ports: Ports, analysis: Analysis) -> bool:
    """Whoever committed an event a moment ago publishes it, too: others that look meanwhile would make it two."""
    patience = timedelta(seconds=ports.rules.policy.unsent_after_s)
    return analysis.unsent_since is not None and analysis.unsent_since <= ports.clock() - patience
