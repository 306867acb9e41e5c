"""Files that people give to commands: YAML or JSON with one mapping in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from services.cli.exits import Exit, Failed


def read_bytes(file: Path) -> bytes:
    """`-` is stdin. Raises Failed."""
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Failed(Exit.BAD_DATA, f"{file} cannot be read: {error.strerror}.") from None


def read_mapping(file: Path) -> dict[str, Any]:
    """JSON is YAML, too. Raises Failed."""
    import yaml

    try:
        found = yaml.safe_load(read_bytes(file))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Failed(Exit.BAD_DATA, f"{file} is neither JSON nor YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise Failed(Exit.BAD_DATA, f"{file} holds no mapping of names to values.")
    return found
