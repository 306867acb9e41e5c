"""Documents put into the store as they might have come about, where a test needs many or old ones and no jobs."""

from __future__ import annotations

from typing import Any

from shared.domain import paths
from shared.domain.analysis import Analysis, Ingest, IngestStatus, Status
from shared.ports import Create
from tests.builders import T0, an_analysis, at
from tests.flow.stack import Stack

FAR_AHEAD = at(10 * 365 * 86_400)
"""The reconciler looks at what has been silent: what is updated then is left alone."""


def plant(stack: Stack, analysis: Analysis) -> Analysis:
    """With its claim, in its own project."""
    claim = paths.claim_doc(analysis.project, "analysis", analysis.slug)
    stack.ports.documents.commit([
        Create(claim, {"analysis_id": analysis.id, "display_id": analysis.display_id}),
        Create(analysis.doc_path, analysis.to_document()),
    ])
    return analysis


def an_old_one(project: str, name: str, status: Status = Status.SUCCEEDED, **changes: Any) -> Analysis:
    """Nothing of it is unsent, and no job of it exists."""
    made = an_analysis(request_id=name, display_id=name)
    return made.changed(**{
        "project": project, "id": paths.analysis_id(project, name), "bucket": project, "status": status,
        "status_detail": f"Planted as {status}.", "unsent": (), "unsent_since": None, "created_at": T0,
        "updated_at": FAR_AHEAD, "ingest": Ingest(status=IngestStatus.NOT_APPLICABLE), **changes,
    })


def many(
    stack: Stack, project: str, count: int, prefix: str, status: Status = Status.SUCCEEDED, **changes: Any
) -> None:
    """In few commits, without claims: they are only listed."""
    for start in range(0, count, 100):
        stack.ports.documents.commit([
            Create(one.doc_path, one.to_document())
            for one in (
                an_old_one(project, f"{prefix} {n}", status, **changes) for n in range(start, min(start + 100, count))
            )
        ])
