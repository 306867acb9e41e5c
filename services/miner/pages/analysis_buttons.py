"""What can be done with an analysis by whom and when; what cannot be done now says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.miner.auth.permissions import Permission
from services.miner.auth.person import Person
from shared.domain.analysis import Analysis, IngestStatus, Status

NEEDS_EDITOR = "This takes the role editor; an admin of the project can give it."


@dataclass(frozen=True)
class Button:
    """A link to `path` with `params`, or, with `post`, a form. `why_not` says why it cannot be pressed now."""

    label: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    post: bool = False
    look: str = "secondary outline"
    why_not: str = ""


def buttons_of(analysis: Analysis, person: Person) -> list[Button]:
    may_work = person.may(Permission.WORK, analysis.project)
    if analysis.status.final:
        return list(_of_an_ended(analysis, may_work, person.superadmin))
    return [_cancel(analysis, may_work)]


def _of_an_ended(analysis: Analysis, may_work: bool, superadmin: bool) -> Iterator[Button]:
    page = f"/analyses/{analysis.slug}"
    if analysis.ingest.cache:
        yield Button("Browse variants", f"{page}/variants", look="")
    if analysis.status is Status.SUCCEEDED and may_work:
        look = "super" if superadmin else "secondary outline" if analysis.ingest.cache else ""
        yield Button("Create order", "/orders/new", (("analysis", analysis.id),), look=look)
    yield Button("Rerun", "/analyses/new", (("rerun", analysis.id),), why_not="" if may_work else NEEDS_EDITOR,
                 look="" if analysis.status is not Status.SUCCEEDED else "secondary outline")
    if analysis.status is Status.SUCCEEDED and analysis.ingest.status is not IngestStatus.NOT_APPLICABLE:
        busy = analysis.ingest.status in (IngestStatus.PENDING, IngestStatus.RUNNING)
        why_not = NEEDS_EDITOR if not may_work else "Its variants are being read at this moment." if busy else ""
        yield Button("Re-ingest", f"{page}/ingest", post=True, why_not=why_not)


def _cancel(analysis: Analysis, may_work: bool) -> Button:
    asked = analysis.cancel_requested
    if asked:
        return Button("Cancelling…", "", why_not=f"{asked.by} asked for it; Batch has not confirmed yet.")
    return Button("Cancel…", f"/analyses/{analysis.slug}/cancel", why_not="" if may_work else NEEDS_EDITOR)
