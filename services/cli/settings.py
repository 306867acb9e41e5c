"""What commands do when nothing else is said: from `~/.config/iflow/config.json`, one file for its owner.

An option wins over its environment variable, that over what is kept here, and that over the command's own choice.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from services.cli.kept import file_of, keep_under, read_kept
from shared.domain import paths

NAME = "config"


@dataclass(frozen=True)
class Setting:
    """`fits` of a value that may be kept; `wanted` says in words which may."""

    variable: str
    says: str
    wanted: str
    fits: Callable[[str], bool]


SETTINGS = {
    "api": Setting("IFLOW_API", "the service's address", "an address that begins with http:// or https://",
                   lambda value: value.startswith(("http://", "https://"))),
    "project": Setting("IFLOW_PROJECT", "the project that commands are about", "a project's id",
                       lambda value: paths.PROJECT_ID.fullmatch(value) is not None),
    "output": Setting("IFLOW_OUTPUT", "how answers are printed", "table or json",
                      lambda value: value in ("table", "json")),
}


def value_of(name: str) -> str | None:
    """By the environment, else as it is kept; None where neither says."""
    return value_and_source(name)[0]


def value_and_source(name: str) -> tuple[str | None, str | None]:
    """The value, and what says so."""
    variable = SETTINGS[name].variable
    if value := os.environ.get(variable):
        return value, variable
    kept = kept_value(name)
    return kept, str(file_of(NAME)) if kept is not None else None


def kept_value(name: str) -> str | None:
    return read_kept(NAME).get(name)


def keep_value(name: str, value: str | None) -> None:
    """None forgets it."""
    keep_under(NAME, name, value)
