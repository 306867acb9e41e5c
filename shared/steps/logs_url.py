"""The address of a job's whole logs becomes part of the document together with the job's uid, whoever sees it first."""

from __future__ import annotations

from shared.domain.lifecycle import Advanced, Answer
from shared.ports import Ports


def with_logs_url(ports: Ports, answer: Answer) -> Answer:
    if isinstance(answer, Advanced) and answer.analysis.logs_url is None and answer.analysis.job.uid is not None:
        return Advanced(answer.analysis.changed(logs_url=ports.logs_url(answer.analysis.job.uid)))
    return answer
