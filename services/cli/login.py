"""`iflow login` and `iflow logout`: who one is to the service."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from services.cli import credentials
from services.cli.exits import Exit, Failed
from services.cli.session import Session, command, say


def add_to(app: typer.Typer) -> None:
    command(app, "login")(login)
    command(app, "logout")(logout)


def login(
    session: Session,
    email: Annotated[str | None, typer.Argument(
        metavar="[EMAIL]", help="On a local stack: whom to be; else its superadmin.", show_default=False,
    )] = None,
    token: Annotated[bool, typer.Option("--token", help="Read a token of the laboratory's issuer from stdin.")] = False,
) -> None:
    """Sign in. The token is kept for the service's address, and sent to no other."""
    if token:
        found = {"access_token": sys.stdin.readline().strip(), "email": None}
        if not found["access_token"]:
            raise Failed(Exit.USAGE, "There is no token on stdin.")
    else:
        found = session.api.local_token(email)
    credentials.keep(session.api.address, str(found["access_token"]))
    if session.as_json:
        session.print_json({"email": found["email"], "api": session.api.address})
    else:
        who = f" as {found['email']}" if found["email"] else ""
        say(f"Signed in to {session.api.address}{who}.")


def logout(session: Session) -> None:
    """Forget the token of this service."""
    credentials.keep(session.api.address, None)
    say(f"Signed out of {session.api.address}.")
