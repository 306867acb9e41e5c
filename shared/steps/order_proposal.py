"""The order that analyses suggest: what a form is filled with, and what the command line asks for."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.order import MOST_SAMPLES, Mode, Priority, mode_of
from shared.domain.project import Project
from shared.domain.request import Sample
from shared.ports import Documents

MOST_TRIED = 50


class OrderProposal(BaseModel):
    """The body of `POST /orders`, to be sent as it is or changed. `mode` is null, and `samples` are none, where the
    analyses name none: then they are the columns of their VCFs."""

    display_id: str = Field(description="Of no other order.")
    mode: Mode | None
    priority: Priority
    samples: list[Sample] = Field(description="Those that the analyses ran against, each once, in their roles.")
    analyses: list[str] = Field(description="Their display ids.")


def proposed(documents: Documents, project: Project, analyses: Sequence[Analysis]) -> OrderProposal:
    samples: dict[str, Sample] = {}
    for sample in (sample for analysis in analyses for sample in analysis.samples):
        samples.setdefault(sample.name, sample)
    found = tuple(samples.values())[:MOST_SAMPLES]
    return OrderProposal(
        display_id=_free(documents, project, analyses[0].display_id) if analyses else "",
        mode=mode_of(found) if found else None, priority=Priority.ROUTINE, samples=list(found),
        analyses=[analysis.display_id for analysis in analyses],
    )


def _free(documents: Documents, project: Project, name: str) -> str:
    """With a number behind it where an order has that name already."""
    for number in range(1, MOST_TRIED):
        wanted = name if number == 1 else f"{name[:paths.MAX_DISPLAY_ID - 4]} {number}"
        if documents.get(paths.claim_doc(project.id, "order", paths.slug(wanted))) is None:
            return wanted
    return name
