"""The audit trail of a project: who did what, when and from where, to which document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from services.miner.context import ThePorts
from services.miner.cursors import decode_cursor, encode_cursor
from services.miner.problems import Refusal, documented
from shared.domain.audit import Entry
from shared.ports import Order, Ports, Where
from shared.ports import Query as DocumentQuery
from shared.steps.audit import every_entry

router = APIRouter(prefix="/audit", tags=["audit"])


class AuditPage(BaseModel):
    """`next` is the cursor of the following page, and null on the last one."""

    items: list[Entry]
    next: str | None


def the_trail(
    x_project_id: Annotated[str | None, Header(
        description="The project; `unassigned` has sign-ins, and refusals of people who are no members."
    )] = None,
) -> str:
    """The guard has looked at whether it exists and is theirs."""
    if not x_project_id:
        raise Refusal(400, "project-missing", "The header X-Project-ID is missing; name the project in it.")
    return x_project_id


TheTrail = Annotated[str, Depends(the_trail)]


@router.get("", responses=documented(400, 404, 503))
def list_entries(
    project: TheTrail, ports: ThePorts,
    document: Annotated[str | None, Query(
        max_length=400, description="Of one alone: `analyses/ID`, `orders/ID`, `members/EMAIL`, `people/EMAIL`.",
        examples=["members/ada@lab.example"],
    )] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Entries on a page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")] = None,
) -> AuditPage:
    """What was done, the newest first."""
    asked = {"project": project, "audit": document}
    where = (Where("chain", "==", document),) if document else ()
    order = (Order("seq" if document else "at", descending=True),)
    query = DocumentQuery(f"projects/{project}/audit", where, order, limit)
    page = ports.documents.query(replace(query, after=decode_cursor(cursor, asked, parts=2)))
    following = encode_cursor(page.next, asked) if page.next else None
    return AuditPage(items=[Entry.from_document(stored.data) for stored in page.items], next=following)


@router.get("/export", response_class=Response, responses={
    200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}, "description": "An entry a line."},
    **documented(400, 404, 503),
})
def export(project: TheTrail, ports: ThePorts) -> Response:
    """All of it in order of time, an entry a line. `iflow audit verify` proves that none was changed or taken out."""
    return StreamingResponse(_lines(ports, project), media_type="application/x-ndjson", headers={
        "Content-Disposition": f'attachment; filename="audit-{project}.ndjson"',
    })


def _lines(ports: Ports, project: str) -> Iterator[bytes]:
    for entry in every_entry(ports.documents, project):
        yield json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
