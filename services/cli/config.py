"""`iflow config`: what commands do when nothing else is said."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from services.cli import render
from services.cli.exits import Exit, Failed
from services.cli.session import Session, command, say
from services.cli.settings import SETTINGS, Setting, keep_value, value_and_source

app = typer.Typer(no_args_is_help=True, help="What commands do when nothing else is said.")
Name = Annotated[str, typer.Argument(metavar="NAME", help=f"{', '.join(SETTINGS)}.")]


@command(app, "get")
def get(session: Session, name: Name) -> None:
    """One setting as commands have it now. Code 65 where nothing says it."""
    _setting(name)
    value, source = value_and_source(name)
    if value is None:
        raise Failed(Exit.BAD_DATA, f"{name} is not set; `iflow config set {name} …` does.")
    if session.as_json:
        session.print_json({"name": name, "value": value, "from": source})
    else:
        print(value)


@command(app, "set")
def set_value(
    session: Session, name: Name,
    value: Annotated[str | None, typer.Argument(show_default=False, help="Without one it is forgotten.")] = None,
) -> None:
    """Keep a setting for all commands from now on."""
    setting = _setting(name)
    if value is not None and not setting.fits(value):
        raise Failed(Exit.USAGE, f"{value!r} cannot be {name}: {setting.wanted} is wanted.")
    keep_value(name, value)
    if os.environ.get(setting.variable):
        say(f"{setting.variable} is set in this shell and wins over it.")
    if session.as_json:
        session.print_json({"name": name, "value": value})


@command(app, "list")
def list_settings(session: Session) -> None:
    """All settings, and what says each."""
    found = [(name, *value_and_source(name), setting) for name, setting in SETTINGS.items()]
    if session.as_json:
        session.print_json({"items": [{"name": n, "value": value, "from": source} for n, value, source, _ in found]})
        return
    render.table(
        ("NAME", "VALUE", "FROM", "VARIABLE", "WHAT IT IS"),
        [(name, value, source, setting.variable, setting.says) for name, value, source, setting in found],
    )


def _setting(name: str) -> Setting:
    if name not in SETTINGS:
        raise Failed(Exit.USAGE, f"There is no setting {name!r}; there are {', '.join(SETTINGS)}.")
    return SETTINGS[name]
