"""`iflow filters`: filters that the project keeps under a name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli import render
from services.cli.exits import Exit, Failed
from services.cli.files import read_mapping
from services.cli.session import Session, command, say
from shared.domain import paths

app = typer.Typer(no_args_is_help=True, help="Saved filters: what a project asks its variants again and again.")

Name = Annotated[str, typer.Argument(help="The filter's name, or the name's slug.")]


@command(app, "save")
def save(
    session: Session, name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The filter, in JSON or YAML; - is stdin.")],
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="In the place of the one of that name.")] = False,
) -> None:
    """Keep a filter under a name."""
    body = {"name": name, "description": description, "filter": read_mapping(file)}
    if replace:
        found = session.in_project.request("PUT", _path(name), json=body).json()
    else:
        found = session.in_project.post("/filters", json=body)
    if session.as_json:
        session.print_json(found)
    else:
        say(f"{found['name']} is kept as {found['slug']}.")


@command(app, "list")
def list_filters(session: Session) -> None:
    """In order of their slugs."""
    found = session.in_project.get("/filters")
    if session.as_json:
        session.print_json(found)
        return
    render.table(
        ("FILTER", "NAME", "DESCRIPTION", "CHANGED", "BY"),
        [(f["slug"], f["name"], f["description"], render.moment(f["updated_at"]), f["updated_by"])
         for f in found["items"]],
    )


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """The filter as JSON, as `save` takes it; with --json, all that is known of it."""
    found = session.in_project.get(_path(name))
    session.print_json(found if session.as_json else found["filter"])


@command(app, "delete")
def delete(session: Session, name: Name) -> None:
    session.in_project.request("DELETE", _path(name))
    say(f"{name} is deleted.")


def _path(name: str) -> str:
    slug = paths.slug(name)
    if not slug:
        raise Failed(Exit.USAGE, f"{name!r} cannot be a filter's name.")
    return f"/filters/{slug}"
