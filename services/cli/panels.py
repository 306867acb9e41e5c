"""`iflow panels`: lists of genes or regions that the laboratory keeps, each version for good."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import render
from services.cli.exits import Exit, Failed
from services.cli.files import read_bytes
from services.cli.session import Session, command, say

app = typer.Typer(no_args_is_help=True, help="Gene panels: lists of symbols, or BED files.")
BUCKET = "client-resources/"


@command(app, "add")
def add(
    session: Session,
    file: Annotated[str, typer.Argument(
        metavar="FILE", help="Symbols, or a .bed: a file here, or client-resources/gene-panels/… in the bucket."
    )],
    name: Annotated[str | None, typer.Option("--name", "-n", help="For people; else the file's.")] = None,
) -> None:
    """Add a panel. The same list again is the same version; another list is another version. Prints slug@version."""
    body: dict[str, Any] = {"path": file, "name": name} if file.startswith(BUCKET) else _content(Path(file), name)
    body = {field: value for field, value in body.items() if value is not None}
    found = session.in_project.post("/panels", json=body, repeatable=True)
    if session.as_json:
        session.print_json(found)
        return
    say(f"{found['title']}: {_size(found['kind'], len(found['symbols']), found['regions'])}.")
    print(f"{found['slug']}@{found['version']}")


@command(app, "list")
def list_panels(session: Session) -> None:
    """Every version, those added last first."""
    found = session.in_project.get("/panels")
    if session.as_json:
        session.print_json(found)
        return
    render.table(
        ("PANEL", "VERSION", "TITLE", "HOLDS", "SOURCE", "ADDED", "BY"),
        [(p["slug"], p["version"], p["title"], _size(p["kind"], p["symbols"], p["regions"]), p["source"],
          render.moment(p["added_at"]), p["added_by"]) for p in found["items"]],
    )


@command(app, "show")
def show(
    session: Session,
    panel: Annotated[str, typer.Argument(metavar="SLUG[@VERSION]", help="Without a version, the one added last.")],
) -> None:
    """One version, with its symbols."""
    from urllib.parse import quote

    found = session.in_project.get(f"/panels/{quote(panel, safe='@')}")
    if session.as_json:
        session.print_json(found)
        return
    render.facts([
        ("Panel", found["title"]), ("Version", found["version"]), ("Source", found["source"]),
        ("Holds", _size(found["kind"], len(found["symbols"]), found["regions"])),
        ("Bases", found["bases"] or None), ("SHA-256", found["sha256"]),
        ("Added", f"{render.moment(found['added_at'])} UTC by {found['added_by']}"),
    ])
    for symbol in found["symbols"]:
        print(symbol)


def _content(file: Path, name: str | None) -> dict[str, Any]:
    try:
        content = read_bytes(file).decode()
    except UnicodeDecodeError as error:
        raise Failed(Exit.BAD_DATA, f"{file} is not UTF-8 at byte {error.start}.") from None
    kind = "regions" if file.suffix.lower() == ".bed" else "symbols"
    return {"name": name or file.stem, "content": content, "kind": kind}


def _size(kind: str, symbols: int, regions: int) -> str:
    return f"{symbols:,} genes" if kind == "symbols" else f"{regions:,} regions"
