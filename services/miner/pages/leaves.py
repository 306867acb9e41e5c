"""JSON as a table: each value with the path that leads to it, and what differs between two of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LONGEST = 500
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Difference:
    """`before` or `after` None: there it is not."""

    name: str
    before: str | None
    after: str | None


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """`tumor.reads[0].path` and its value; an empty list or object is one itself."""
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from leaves(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple) and value:
        for number, each in enumerate(value):
            yield from leaves(each, f"{path}[{number}]")
    else:
        yield path, value


def shown(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def differences(before: Any, after: Any) -> list[Difference]:
    """In the order of the later one; what only the earlier one has comes last."""
    old, new = ({path: shown(value) for path, value in leaves(each)} for each in (before, after))
    names = [*new, *(name for name in old if name not in new)]
    return [Difference(name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)]
