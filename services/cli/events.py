"""`iflow events`: publish an event as an upstream service would."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.files import read_bytes
from services.cli.session import Session, command, say

app = typer.Typer(no_args_is_help=True, help="Events: publish one as an upstream service would.")


@command(app, "publish")
def publish(
    session: Session,
    file: Annotated[Path, typer.Argument(help="A CloudEvent in JSON, or anything else; - reads stdin.")],
    topic: Annotated[str, typer.Option(help="The topic, as infra/topology.yaml names it.")] = "analysis-commands",
) -> None:
    """Publish a file's bytes as they are. They are not checked: whoever receives them records what is wrong."""
    found = session.across_projects.post("/events", params={"topic": topic}, content=read_bytes(file))
    if session.as_json:
        session.print_json(found)
    else:
        say(f"Published on {found['topic']} as message {found['message_id']}.")
