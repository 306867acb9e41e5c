"""`iflow projects`: tenants, each with a bucket of its own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.cli import render
from services.cli.session import Session, command, say

app = typer.Typer(no_args_is_help=True, help="Projects: tenants, each with a bucket of its own.")


@command(app, "register")
def register(
    session: Session,
    name: Annotated[str, typer.Argument(help="Its id: lower-case letters, digits and hyphens.", metavar="ID")],
    title: Annotated[str | None, typer.Option(help="For people.")] = None,
    bucket: Annotated[str | None, typer.Option(help="Its bucket, and its alone; else named ID.")] = None,
    google_project: Annotated[str | None, typer.Option(help="Google project in which the jobs run.")] = None,
    region: Annotated[str | None, typer.Option(help="Batch location, such as us-central1.")] = None,
    service_account: Annotated[str | None, typer.Option(help="E-mail that the jobs run as.")] = None,
) -> None:
    """Register a project. Doing it again with the same settings changes nothing."""
    fields: dict[str, Any] = {
        "id": name, "title": title, "bucket": bucket, "google_project": google_project, "region": region,
        "service_account": service_account,
    }
    given = {field: value for field, value in fields.items() if value is not None}
    found = session.api.post("/projects", json=given, repeatable=True)
    if session.as_json:
        session.print_json(found)
    else:
        say(f"Project {found['id']} is registered; its bucket is {found['bucket']}.")


@command(app, "list")
def list_projects(session: Session) -> None:
    """All projects."""
    found = session.api.get("/projects")
    if session.as_json:
        session.print_json(found)
        return
    render.table(
        ("ID", "TITLE", "BUCKET", "REGION", "CREATED"),
        [(p["id"], p["title"], p["bucket"], p["region"], render.moment(p["created_at"])) for p in found["items"]],
    )
