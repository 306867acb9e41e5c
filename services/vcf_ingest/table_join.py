"""The join of variant tables with its lease kept: nothing is heard of the join itself while it works."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from shared.domain.cache import Member
from shared.variants.order_table import build_order_table

LOOK_EVERY_S = 5.0


def join_tables(
    members: Sequence[tuple[Member, Path]], out: Path, seen: Path | None, keep: Callable[[str], None]
) -> Mapping[str, Any]:
    """As `build_order_table`; what `keep` raises is raised when the join has ended."""
    with ThreadPoolExecutor(1, thread_name_prefix="join") as pool:
        joined = pool.submit(build_order_table, members, out, seen)
        while True:
            try:
                return joined.result(timeout=LOOK_EVERY_S)
            except TimeoutError:
                if joined.done():  # it is the join's own
                    raise
                keep("Joining the tables.")
