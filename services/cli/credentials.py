"""Tokens of the services that somebody signed in to, by address: `~/.config/iflow/tokens.json`, for its owner alone."""

from __future__ import annotations

import os

from services.cli.kept import keep_under, read_kept

VARIABLE = "IFLOW_TOKEN"
"""A token from elsewhere, such as `gcloud auth print-identity-token`; it wins."""

NAME = "tokens"


def token_for(address: str) -> str | None:
    """A token is sent to no other address than the one that gave it."""
    return os.environ.get(VARIABLE) or read_kept(NAME).get(address)


def keep(address: str, token: str | None) -> None:
    """None forgets it."""
    keep_under(NAME, address, token)
