"""Hands an accepted analysis to Batch, once: the job's id is derived, so CreateJob may be repeated for ever."""

from __future__ import annotations

import json

from shared.domain.acceptance import job_files, job_spec
from shared.domain.analysis import Analysis
from shared.domain.errors import EngineRefused
from shared.domain.job import JobState
from shared.domain.lifecycle import Advanced, Answer, job_created, job_refused
from shared.ports import Ports
from shared.steps.announce import announce, publish_unsent
from shared.steps.inputs import whole_inputs
from shared.steps.logs_url import with_logs_url
from shared.steps.store import Loaded, as_stored, decide


def start(ports: Ports, loaded: Loaded) -> Loaded:
    """Nothing is done for an analysis whose job is noted or that is final. Raises Unavailable, to be tried again."""
    analysis = loaded.analysis
    if analysis.status.final or analysis.job.uid is not None:
        if analysis.unsent:
            announce(ports.documents, ports.bus, as_stored(loaded))
        return loaded
    published = publish_unsent(ports.bus, analysis.to_document())
    for path, content in job_files(analysis, whole_inputs(ports, analysis)).items():
        ports.objects.write(analysis.bucket, path, json.dumps(content, indent=1).encode())
    try:
        job = ports.engine.start(job_spec(analysis, ports.notify_topic))
    except EngineRefused as refused:
        job = ports.engine.describe(analysis.job.name)
        if job.state is JobState.NOT_FOUND:
            return _refused(ports, loaded, str(refused))
        # An earlier CreateJob had its effect though its answer was lost: the job runs, whatever Batch would say now.

    def noted(current: Analysis) -> Answer:
        answer = with_logs_url(ports, job_created(current, job, ports.clock()))
        return Advanced(answer.analysis.without_unsent(published)) if isinstance(answer, Advanced) else answer

    loaded, _ = decide(ports.documents, analysis.doc_path, noted, known=loaded)
    if loaded.analysis.cancel_requested and not loaded.analysis.status.final:
        ports.engine.cancel(loaded.analysis.job.name)  # asked for before there was a job to cancel
    return loaded


def _refused(ports: Ports, loaded: Loaded, sentence: str) -> Loaded:
    loaded, _ = decide(
        ports.documents, loaded.analysis.doc_path,
        lambda current: job_refused(current, sentence, ports.clock(), ports.rules), known=loaded,
    )
    announce(ports.documents, ports.bus, as_stored(loaded))
    return loaded
