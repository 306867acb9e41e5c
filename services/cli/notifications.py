"""`iflow notifications`: whom the project tells of its analyses, and the secret that its callbacks are signed with."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.cli import render
from services.cli.api import name_in_path
from services.cli.exits import Exit, Failed
from services.cli.session import Session, command, say

app = typer.Typer(no_args_is_help=True, help="Notifications: a chat's webhook, and signed callbacks.")


@command(app, "show")
def show(session: Session) -> None:
    """What is set; no secret is shown."""
    _print(session, session.in_project.get("/notifications"))


@command(app, "set")
def set_chat(
    session: Session,
    chat_url: Annotated[str | None, typer.Option(help="A Slack-compatible incoming webhook; - reads it from stdin.")]
    = None,
    no_chat: Annotated[bool, typer.Option("--no-chat", help="Take the webhook away.")] = False,
    on: Annotated[list[str] | None, typer.Option(help="An event to tell of, such as analysis.failed; repeatable.")]
    = None,
) -> None:
    """Set the chat's webhook, and which events are told there."""
    if no_chat and chat_url:
        raise Failed(Exit.USAGE, "Give either --chat-url or --no-chat.")
    body: dict[str, Any] = {} if chat_url is None and not no_chat else {"chat_url": None if no_chat else chat_url}
    if chat_url == "-":
        body["chat_url"] = typer.get_text_stream("stdin").readline().strip()
    body["chat_on"] = on or session.in_project.get("/notifications")["chat_on"]
    _print(session, session.in_project.request("PUT", "/notifications", json=body).json())


@command(app, "secret")
def secret(
    session: Session,
    keep_old_hours: Annotated[int, typer.Option(help="How long the secrets before it go on signing beside it.")] = 24,
) -> None:
    """Make a new secret to sign callbacks with. It is shown this once."""
    made = session.in_project.post("/notifications/signing", json={"keep_old_hours": keep_old_hours})
    if session.as_json:
        session.print_json(made)
        return
    typer.echo(made["secret"])
    say("Give it to whoever receives the callbacks; it is not shown again.")


@command(app, "test")
def test(
    session: Session,
    callback_url: Annotated[str | None, typer.Option(help="Where to send a callback; else the chat is written to.")]
    = None,
) -> None:
    """Send a message to the chat, or a callback, and say what came back."""
    tried = session.in_project.post("/notifications/test", json={"callback_url": callback_url} if callback_url else {})
    if session.as_json:
        session.print_json(tried)
    else:
        say(f"{tried['outcome']}: {tried['answer']}")
    if tried["outcome"] != "delivered":
        raise typer.Exit(Exit.NOT_REACHABLE if tried["outcome"] == "failing" else Exit.BAD_DATA)


@command(app, "deliveries")
def deliveries(
    session: Session,
    analysis: Annotated[str, typer.Argument(help="Its id, its slug, or its display id.", metavar="ANALYSIS")],
) -> None:
    """What was sent of an analysis to others, and what they answered."""
    found = session.in_project.get(f"/analyses/{name_in_path(analysis)}/deliveries")
    if session.as_json:
        session.print_json(found)
        return
    render.table(
        ("CHANNEL", "EVENT", "TO", "OUTCOME", "ATTEMPTS", "LAST", "ANSWER"),
        [(d["channel"], d["event"], d["to"], d["outcome"], str(d["attempts"]), render.moment(d["last_at"]),
          d["answer"] or "") for d in found["items"]],
    )


def _print(session: Session, found: dict[str, Any]) -> None:
    if session.as_json:
        session.print_json(found)
        return
    say(f"Chat: {found['chat_host'] or 'none'}; told there: {', '.join(found['chat_on']) or 'nothing'}.")
    for each in found["signing"]:
        until = f"until {render.moment(each['until'])}" if each["until"] else "until another takes its place"
        say(f"Secret {each['id']} of {render.moment(each['made_at'])} signs {until}.")
    if not found["signing"]:
        say("No secret: callbacks are refused. `iflow notifications secret` makes one.")
