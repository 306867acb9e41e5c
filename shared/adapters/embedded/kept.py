"""Secrets that a stack on one machine makes for itself, each in a file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def _random() -> bytes:
    return secrets.token_urlsafe(48).encode()


def kept_secret(file: Path, make: Callable[[], bytes] = _random) -> bytes:
    """What the file holds; the first who asks makes it, whole or not at all, for its owner alone (mode 0600)."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(make())
        try:
            os.link(made, file)
        except FileExistsError:
            pass  # another process was faster; its secret is the one
        finally:
            made.unlink()
    return file.read_bytes()
