"""One level of a bucket in parts, where the store itself does not keep levels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from shared.domain.files import FileSeen
from shared.ports import Level


def level_of(found: Iterable[str], seen: Callable[[str], FileSeen], after: str, limit: int) -> Level:
    """`found`: paths of files, and of folders with their slash. A mark is the last path before it."""
    ordered = sorted(path for path in found if path > after)
    part = ordered[:limit]
    return Level(
        tuple(path for path in part if path.endswith("/")), tuple(seen(path) for path in part if path[-1] != "/"),
        part[-1] if len(ordered) > limit else None,
    )
