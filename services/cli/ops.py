"""`iflow ops`: what was refused, what failed for good, which cancels are not confirmed, and a push."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli import render
from services.cli.session import Session, command, say

app = typer.Typer(
    no_args_is_help=True, help="For operators. Without --project: of all projects, and of what names none."
)
dead_letters = typer.Typer(no_args_is_help=True, help="Messages that no handler took.")
rejections = typer.Typer(no_args_is_help=True, help="Requests that can never succeed.")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(rejections, name="rejections")

Limit = Annotated[int, typer.Option(min=1, max=200, help="The newest so many.")]


@command(dead_letters, "list")
def list_dead_letters(session: Session, limit: Limit = 50) -> None:
    """Messages that failed for good, the newest first."""
    found = session.across_projects.get("/ops/dead-letters", limit=limit)
    if session.as_json:
        session.print_json(found)
        return
    render.table(
        ("ID", "PROJECT", "SUBSCRIPTION", "AT", "ATTEMPTS", "REPLAYED", "REASON"),
        [(d["id"], d["project"], d["subscription"], render.moment(d["at"]), d["attempts"],
          render.moment(d["replayed_at"]), d["reason"]) for d in found["items"]],
    )
    _hint(found, "dead letters")


@command(dead_letters, "show")
def show_dead_letter(session: Session, letter: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """One message, with its attributes and its payload."""
    _print_one(session, session.across_projects.get(f"/ops/dead-letters/{quote(letter, safe='')}"))


@command(dead_letters, "replay")
def replay(
    session: Session, letters: Annotated[list[str], typer.Argument(metavar="ID...")],
) -> None:
    """Publish messages again, each for the subscription that refused it."""
    found = []
    for letter in letters:
        found.append(session.across_projects.post(f"/ops/dead-letters/{quote(letter, safe='')}/replay"))
        say(f"{letter} was published again for {found[-1]['subscription']}.")
    if session.as_json:
        session.print_json({"items": found})


@command(rejections, "list")
def list_rejections(session: Session, limit: Limit = 50) -> None:
    """Requests that were refused, the newest first."""
    found = session.across_projects.get("/ops/rejections", limit=limit)
    if session.as_json:
        session.print_json(found)
        return
    render.table(
        ("ID", "PROJECT", "REQUEST", "AT", "REASON"),
        [(r["id"], r["project"], r["request_id"], render.moment(r["at"]), _sentence(r["reasons"]))
         for r in found["items"]],
    )
    _hint(found, "rejections")


@command(rejections, "show")
def show_rejection(session: Session, rejection: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """One request, with every reason and its payload."""
    _print_one(session, session.across_projects.get(f"/ops/rejections/{quote(rejection, safe='')}"))


@command(app, "reconcile")
def reconcile(session: Session) -> None:
    """Have the reconciler look now, and not when its clock says so."""
    found = session.api.post("/ops/reconcile", repeatable=True)
    if session.as_json:
        session.print_json(found)
    else:
        say("The reconciler was asked to look.")


@command(app, "cancels")
def cancels(session: Session, limit: Limit = 50) -> None:
    """Cancels that were asked for and that Batch has not confirmed, the longest waiting first."""
    found = session.across_projects.get("/ops/cancels", limit=limit)
    if session.as_json:
        session.print_json(found)
        return
    render.table(
        ("ID", "PROJECT", "DISPLAY ID", "STATUS", "BATCH", "WAITING", "ASKED BY"),
        [(c["id"], c["project"], c["display_id"], c["status"], c["job_state"], render.span(c["waiting_seconds"]),
          c["cancel_requested"]["by"]) for c in found["items"]],
    )
    _hint(found, "unconfirmed cancels")


def _sentence(reasons: list[dict[str, str]]) -> str:
    return "; ".join(f"{each['field']}: {each['message']}".removeprefix(": ") for each in reasons)


def _hint(found: dict[str, Any], what: str) -> None:
    if not found["items"]:
        say(f"There are no {what}.")
    elif found["next"]:
        say("There are more; raise --limit.")


def _print_one(session: Session, found: dict[str, Any]) -> None:
    if session.as_json:
        session.print_json(found)
        return
    shown = {**found, "reasons": _sentence(found["reasons"])} if "reasons" in found else found
    render.facts(
        (name.replace("_", " "), ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else value)
        for name, value in shown.items() if name not in ("payload", "text")
    )
    print()
    print(found.get("text") or found.get("payload") or "")
