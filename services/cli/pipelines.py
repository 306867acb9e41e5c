"""`iflow pipelines`: definitions by slug and version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import render
from services.cli.exits import Exit, Failed
from services.cli.files import read_mapping
from services.cli.session import Session, command, say

app = typer.Typer(no_args_is_help=True, help="Pipelines: definitions by slug and version.")


@command(app, "register")
def register(
    session: Session,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Definitions, in YAML or JSON.")],
) -> None:
    """Register definitions. A version, once registered, never changes."""
    found = []
    for file in files:
        try:
            found.append(session.in_project.post("/pipelines", json=read_mapping(file), repeatable=True))
        except Failed as failed:
            code = Exit.PARTLY_DONE if found and failed.code is Exit.BAD_DATA else failed.code
            raise Failed(code, f"{file}:\n{failed}") from None
        say(f"{found[-1]['slug']}@{found[-1]['version']} is registered in project {session.project}.")
    if session.as_json:
        session.print_json({"items": found})


@command(app, "list")
def list_pipelines(session: Session) -> None:
    """The newest version of each pipeline."""
    _print_versions(session, session.in_project.get("/pipelines"))


@command(app, "show")
def show(
    session: Session,
    pipeline: Annotated[str, typer.Argument(metavar="SLUG[@VERSION]", help="A slug, or slug@version, or slug@latest.")],
) -> None:
    """The versions of a pipeline; or one version, with its definition."""
    from urllib.parse import quote

    found = session.in_project.get(f"/pipelines/{quote(pipeline, safe='@')}")
    if "items" in found:
        _print_versions(session, found)
    elif session.as_json:
        session.print_json(found)
    else:
        _print_definition(found)


def _print_versions(session: Session, found: dict[str, Any]) -> None:
    if session.as_json:
        session.print_json(found)
        return
    if not found["items"]:
        say(f"Project {session.project} has no pipelines; register one with `iflow pipelines register FILE`.")
    render.table(
        ("PIPELINE", "VERSION", "TITLE", "REGISTERED", "BY"),
        [(p["slug"], p["version"], p["title"], render.moment(p["registered_at"]), p["registered_by"])
         for p in found["items"]],
    )


def _print_definition(found: dict[str, Any]) -> None:
    import yaml

    print(yaml.safe_dump(found["definition"], sort_keys=False, allow_unicode=True, width=100), end="")
