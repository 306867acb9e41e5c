"""Small JSON files in `~/.config/iflow` (or `XDG_CONFIG_HOME`), readable by their owner alone, and replaced whole."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path


def read_kept(name: str) -> Mapping[str, str]:
    """Empty where there is none, or none that can be read."""
    try:
        found = json.loads(file_of(name).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep_under(name: str, key: str, value: str | None) -> None:
    """None forgets it."""
    kept = {**read_kept(name)}
    kept.pop(key, None)
    if value is not None:
        kept[key] = value
    file = file_of(name)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        json.dump(kept, opened)
    written.replace(file)


def file_of(name: str) -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "iflow" / f"{name}.json"
