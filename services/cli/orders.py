"""`iflow orders`: whose variants are to be read, in which roles, out of which analyses."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from services.cli import render
from services.cli.api import name_in_path
from services.cli.exits import Exit, Failed
from services.cli.requests import sample_of
from services.cli.session import Session, command, say

app = typer.Typer(no_args_is_help=True, help="Orders: samples in their roles, and the variants that are read of them.")

Order = Annotated[str, typer.Argument(metavar="ORDER", help="Its id, its slug or its display id.")]
Samples = Annotated[list[str] | None, typer.Option(
    "--sample", "-s", metavar="NAME[:ROLE[:SEX]]", help="Repeatable; named as in the VCF."
)]
Priority = Annotated[str | None, typer.Option(help="routine, urgent or stat.")]
Mode = Annotated[str | None, typer.Option(help="hereditary or somatic; else by the samples' roles.")]


@command(app, "create")
def create(
    session: Session,
    display_id: Annotated[str | None, typer.Option(
        "--display-id", "-d", help="Its name, unique among the orders.", show_default="by the analysis"
    )] = None,
    from_analysis: Annotated[list[str] | None, typer.Option(
        "--from-analysis", "-a", metavar="ANALYSIS",
        help="Repeatable; the samples, roles and mode are those it ran with, unless others are given."
    )] = None,
    samples: Samples = None,
    mode: Mode = None,
    priority: Priority = None,
    request_id: Annotated[str | None, typer.Option(help="Repeating it repeats nothing.", show_default="new")] = None,
) -> None:
    """Ask for an order: of analyses, or of samples whose analyses are found by their names. Prints its id."""
    given = {
        "display_id": display_id, "analyses": from_analysis,
        "samples": [sample_of(text) for text in samples or []] or None, "mode": mode, "priority": priority,
    }
    body = {**_proposed(session, from_analysis, display_id), **{name: value for name, value in given.items() if value}}
    found = session.in_project.post("/orders", key=request_id or str(uuid.uuid4()), json=body)
    _told(session, found)


@command(app, "list")
def list_orders(
    session: Session,
    status: Annotated[str | None, typer.Option(help="open, in_review, reported or cancelled.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="The first so many.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="All of them, and not only the first.")] = False,
) -> None:
    """The project's orders, the newest first."""
    pages = session.in_project.pages("/orders", limit=200 if every else limit, status=status)
    found: Mapping[str, Any] = next(pages)
    if every:
        found = {"items": [*found["items"], *(item for page in pages for item in page["items"])], "next": None}
    if session.as_json:
        session.print_json(found)
        return
    render.table(
        ("ORDER", "STATUS", "PRIORITY", "MODE", "SAMPLES", "VARIANTS", "CREATED", "BY"),
        [(o["display_id"], o["status"], o["priority"], o["mode"], [s["name"] for s in o["samples"]],
          _variants(o["cache"]), render.moment(o["created_at"]), o["created_by"]) for o in found["items"]],
    )
    if found["next"]:
        say(f"There are more than these {len(found['items'])}; see them with --all, or raise --limit.")


@command(app, "show")
def show(session: Session, order: Order) -> None:
    """One order as an operator sees it; with --json, its document."""
    found = session.in_project.get(_path(order))
    if session.as_json:
        session.print_json(found)
        return
    render.facts(_facts(found))
    render.heading("Variants")
    render.facts(_cache(found["cache"]))
    render.heading("History")
    render.table(
        ("AT", "FROM", "TO", "BY", "REASON"),
        [(render.moment(c["at"]), c["from"], c["to"], c["by"], c["reason"]) for c in found["history"]],
    )


@command(app, "change")
def change(
    session: Session, order: Order,
    add_analyses: Annotated[list[str] | None, typer.Option(
        "--add-analysis", "-a", metavar="ANALYSIS", help="Repeatable; the order draws on it, too."
    )] = None,
    samples: Samples = None,
    mode: Mode = None,
    priority: Priority = None,
) -> None:
    """More analyses, or other samples. What can be read stays what it was until the new variants are there, whole."""
    given = {
        "add_analyses": add_analyses, "samples": [sample_of(text) for text in samples or []] or None, "mode": mode,
        "priority": priority,
    }
    body = {name: value for name, value in given.items() if value}
    _told(session, session.in_project.request("PATCH", _path(order), json=body).json())


@command(app, "transition")
def transition(
    session: Session, order: Order,
    to: Annotated[str, typer.Argument(help="in_review, reported, open or cancelled.")],
    reason: Annotated[str, typer.Option(help="Stands in its history.")] = "",
) -> None:
    """Move it on: open, in_review, reported; or cancelled."""
    _told(session, session.in_project.post(f"{_path(order)}/transition", json={"to": to, "reason": reason}))


@command(app, "rebuild")
def rebuild(
    session: Session, order: Order,
    anew: Annotated[bool, typer.Option("--anew", help="Also where its tables are the right ones.")] = False,
) -> None:
    """Have its variants looked at, and joined where they are not what they should be."""
    found = session.in_project.post(f"{_path(order)}/cache", params={"anew": anew}, repeatable=True)
    if session.as_json:
        session.print_json(found)
    else:
        say(f"The variants of {found['order_id']} are looked at.")


def _proposed(session: Session, analyses: list[str] | None, display_id: str | None) -> dict[str, Any]:
    """A free name, as the analyses suggest one. What else they suggest, the service does where nothing is said."""
    if display_id is not None:
        return {}
    if not analyses:
        raise Failed(Exit.USAGE, "Name the order with --display-id, or say --from-analysis.")
    found: dict[str, Any] = session.in_project.get("/orders-proposal", analysis=analyses)
    return {"display_id": found["display_id"]}


def _told(session: Session, found: Mapping[str, Any]) -> None:
    if session.as_json:
        session.print_json(found)
        return
    say(f"Order {found['display_id']} is {found['status']}; its variants: {_variants(found['cache'])}.")
    print(found["id"])


def _facts(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("Order", found["display_id"]), ("Id", found["id"]), ("Project", found["project"]),
        ("Status", found["status"]), ("Mode", found["mode"]), ("Priority", found["priority"]),
        ("Samples", ", ".join(f"{s['name']} ({s['role']}, {s['sex']})" for s in found["samples"])),
        ("Analyses", found["analyses"] or "found by the samples' names"),
        ("Asked by", f"{found['created_by']} at {render.moment(found['created_at'])} UTC"),
    ]


def _cache(cache: Mapping[str, Any]) -> list[tuple[str, Any]]:
    built = cache["built"]
    return [
        ("Status", cache["status"]), ("Progress", cache["progress"]), ("Failure", cache["failure"]),
        ("Rows", built and built["rows"]), ("Version", built and built["version"]),
        ("Built", built and render.moment(built["built_at"])),
        *(("Missing", f"{missing['name']}: {missing['reason']}") for missing in cache["missing"]),
    ]


def _variants(cache: Mapping[str, Any]) -> str:
    rows = f"{cache['built']['rows']:,} rows" if cache["built"] else ""
    missing = f"without {', '.join(missing['name'] for missing in cache['missing'])}" if cache["missing"] else ""
    return ", ".join(part for part in (cache["status"], rows, missing) if part)


def _path(order: str) -> str:
    return f"/orders/{name_in_path(order)}"
