"""Tokens of the services that somebody signed in to, by address: `~/.config/iflow/tokens.json`, for its owner alone."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "IFLOW_TOKEN"
"""A token from elsewhere, such as `gcloud auth print-identity-token`; it wins."""


def token_for(address: str) -> str | None:
    """A token is sent to no other address than the one that gave it."""
    return os.environ.get(VARIABLE) or _kept().get(address)


def keep(address: str, token: str | None) -> None:
    """None forgets it."""
    kept = {**_kept()}
    kept.pop(address, None)
    if token is not None:
        kept[address] = token
    file = _file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        json.dump(kept, opened)
    written.replace(file)


def _kept() -> Mapping[str, str]:
    try:
        found = json.loads(_file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "iflow" / "tokens.json"
