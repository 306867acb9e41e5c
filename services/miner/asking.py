"""What people ask for of analyses, by the API and on pages: a new one, one again, a cancel, an ingest.

What is committed is published before the answer; what the bus does not take stays `unsent` for the reconciler.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.miner.problems import Refusal
from shared.domain import paths
from shared.domain.analysis import Analysis, Status
from shared.domain.events import EventType, event_about
from shared.domain.lifecycle import request_cancel
from shared.domain.request import parse_request
from shared.ports import Ports
from shared.steps.accept import accept
from shared.steps.announce import announce, message_of
from shared.steps.rerun import UNCHANGED, Changes, rerun
from shared.steps.store import Loaded, as_stored, decide, load


class Asked(NamedTuple):
    """`repeated`: the same request had made it before."""

    found: Loaded
    repeated: bool


def ask_for_new(ports: Ports, fields: Mapping[str, Any], *, source: str) -> Asked:
    """`fields` are those of a SubmitRequest. Raises RequestRefused."""
    request = parse_request(fields)
    repeated = ports.documents.get(paths.analysis_doc(request.project, request.analysis_id)) is not None
    return Asked(_announced(ports, accept(ports, request, source=source, to_be_started=True)), repeated)


def ask_for_rerun(
    ports: Ports, old: Analysis, *, request_id: str, display_id: str | None, by: str, source: str,
    changes: Changes = UNCHANGED,
) -> Asked:
    """Raises RequestRefused."""
    repeated = ports.documents.get(paths.analysis_doc(old.project, paths.analysis_id(old.project, request_id)))
    found = rerun(
        ports, old, request_id=request_id, display_id=display_id, by=by, source=source, changes=changes
    )
    return Asked(_announced(ports, found), repeated is not None)


def ask_for_cancel(ports: Ports, known: Loaded, *, by: str) -> Loaded:
    """Notes who asked; Batch is asked from there on. Again adds nothing. Raises Refusal (409) for one that has ended
    otherwise."""
    found, _ = decide(
        ports.documents, known.analysis.doc_path, lambda current: request_cancel(current, by, ports.clock()),
        known=known,
    )
    analysis = found.analysis
    if analysis.status.final and analysis.status is not Status.CANCELLED:
        raise Refusal(
            409, "already-final", f"Analysis {analysis.display_id!r} is {analysis.status} already; "
            "only one that is queued or running can be cancelled.", analysis_status=analysis.status,
        )
    return _announced(ports, found)


def ask_for_ingest(ports: Ports, analysis: Analysis, *, force: bool) -> str:
    """The id of the message. With `force` also when it is ready or has failed. Raises Refusal (409)."""
    if analysis.status is not Status.SUCCEEDED:
        raise Refusal(
            409, "not-succeeded", f"Analysis {analysis.display_id!r} is {analysis.status}; only one that succeeded "
            "has variants to ingest.", analysis_status=analysis.status,
        )
    command = event_about(
        EventType.INGEST, project=analysis.project, subject=analysis.id, sequence=analysis.events_total,
        at=ports.clock(), data={"analysis_id": analysis.id, "force": force},
    ).model_copy(update={"id": f"{analysis.id}.ingest-{ports.new_id()}"})
    return ports.bus.publish(command.type.topic, message_of(command))


def _announced(ports: Ports, found: Loaded) -> Loaded:
    if not found.analysis.unsent:
        return found
    announce(ports.documents, ports.bus, as_stored(found))
    return load(ports.documents, found.analysis.doc_path)
