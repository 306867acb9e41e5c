"""`iflow audit`: who did what, when and from where; and the proof that nothing of it was changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import render
from services.cli.exits import Exit, Failed
from services.cli.session import Session, command, say

app = typer.Typer(no_args_is_help=True, help="The audit trail of a project, for its admins.")


@command(app, "list")
def list_entries(
    session: Session,
    document: Annotated[str | None, typer.Option(
        help="Of one alone: analyses/ID, orders/ID, members/EMAIL, people/EMAIL."
    )] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="The last so many.")] = 50,
) -> None:
    """What was done, the newest first."""
    found = session.in_project.get("/audit", document=document, limit=limit)
    if session.as_json:
        session.print_json(found)
        return
    render.table(
        ("AT", "BY", "FROM", "DID", "WHAT", "BEFORE", "AFTER"),
        [(render.moment(e["at"]), e["by"], f"{e['channel']} {e['ip'] or ''}", e["action"], e["detail"] or e["chain"],
          _told(e["before"]), _told(e["after"])) for e in found["items"] if e["action"] != "anchored"],
    )


@command(app, "export")
def export(session: Session) -> None:
    """All of it, a JSON object a line."""
    for line in _lines(session):
        print(line)


@command(app, "verify")
def verify(
    session: Session,
    file: Annotated[Path | None, typer.Argument(help="An export; else the trail as it is now.", show_default=False)]
    = None,
) -> None:
    """Whether no entry was changed, taken out or put in. Code 65, with a line for each fault, where one was."""
    from shared.domain.audit import faults_in

    lines = file.read_text(encoding="utf-8").splitlines() if file else list(_lines(session))
    try:
        entries = [json.loads(line) for line in lines if line.strip()]
        faults = faults_in(entries)
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(Exit.BAD_DATA, f"It is no export of an audit trail: {error!r}.") from None
    if session.as_json:
        session.print_json({"entries": len(entries), "faults": faults})
    for fault in faults if not session.as_json else ():
        print(fault)
    if faults:
        raise Failed(Exit.BAD_DATA, f"{len(faults)} faults in {len(entries):,} entries.")
    say(f"{len(entries):,} entries, none of them changed, none missing.")


def _lines(session: Session) -> Iterator[str]:
    with session.in_project.stream("/audit/export", {}) as answer:
        yield from answer.iter_lines()


def _told(values: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
