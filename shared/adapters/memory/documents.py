"""Documents in this process, with Firestore's conditions: for the simulation and for tests, gone when it ends.

What is kept is JSON text, so nobody holds a piece of somebody else's document.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.adapters.matching import MISSING, holds, rank, value_of
from shared.domain.errors import Conflict, TooLarge
from shared.ports import Create, Delete, Page, Query, Stored, Write

MAX_DOCUMENT_BYTES = 1_048_576
"""Firestore's limit, kept here too, so that what works in a test works when deployed."""

WATCH_POLL_S = 0.2
"""How often a watcher looks whether it is to end; changes wake it at once."""

_FIELD = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

@dataclass(frozen=True)
class _Kept:
    """`data` is for looking into only; whoever reads gets a copy of its own out of `text`."""

    path: str
    text: str
    data: Mapping[str, Any]
    version: int

    def stored(self) -> Stored:
        return Stored(self.path, json.loads(self.text), str(self.version))


class MemoryDocuments:
    """ports.Documents. Version numbers are never used twice, not even by a document that was deleted and made again."""

    def __init__(self) -> None:
        self._families: dict[str, dict[str, _Kept]] = {}
        self._version = 0
        self._changed = threading.Condition()

    def get(self, path: str) -> Stored | None:
        with self._changed:
            kept = self._kept(path)
        return None if kept is None else kept.stored()

    def query(self, query: Query) -> Page:
        found = self._in_order(query)
        items = tuple(kept.stored() for kept in found[: query.limit])
        more = len(found) > query.limit
        return Page(items, _cursor(query, found[query.limit - 1]) if more else None)

    def count(self, query: Query) -> int:
        return min(query.limit, len(self._in_order(replace(query, order=(), after=None))))

    def commit(self, writes: Sequence[Write]) -> tuple[str, ...]:
        texts = [_encode(write) for write in writes]
        with self._changed:
            version = self._version + 1
            staged: dict[str, _Kept | None] = {}
            for write, text in zip(writes, texts, strict=True):
                self._check(write, staged)
                deleted = isinstance(write, Delete)
                staged[write.path] = None if deleted else _Kept(write.path, text, json.loads(text), version)
            self._version = version
            for path, kept in staged.items():
                self._put(path, kept)
            self._changed.notify_all()
        return tuple("" if isinstance(write, Delete) else str(version) for write in writes)

    def watch(self, query: Query, ended: threading.Event | None = None) -> Iterator[Page]:
        last: Page | None = None
        while ended is None or not ended.is_set():
            with self._changed:
                seen = self._version
            page = self.query(query)
            if page != last:
                last = page
                yield page
            with self._changed:
                while self._version == seen and not (ended and ended.is_set()):
                    self._changed.wait(WATCH_POLL_S)

    def _kept(self, path: str) -> _Kept | None:
        return self._families.get(_family(path), {}).get(path)

    def _check(self, write: Write, staged: Mapping[str, _Kept | None]) -> None:
        present = staged[write.path] if write.path in staged else self._kept(write.path)
        wanted = None if isinstance(write, Create) else write.version
        if (None if present is None else str(present.version)) != wanted:
            raise Conflict(write.path)

    def _put(self, path: str, kept: _Kept | None) -> None:
        family = self._families.setdefault(_family(path), {})
        if kept is None:
            family.pop(path, None)
        else:
            family[path] = kept

    def _in_order(self, query: Query) -> list[_Kept]:
        """All that match and lie behind the cursor: the last field is sorted by first, as stable sorting needs it."""
        for field in (*(w.field for w in query.where), *(o.field for o in query.order)):
            if not _FIELD.fullmatch(field):
                raise ValueError(f"{field!r} is not a field path")
        scope, _, family = query.collection.rpartition("/")
        with self._changed:
            found = [
                kept for path, kept in self._families.get(family, {}).items()
                if (scope == "*" or path.rpartition("/")[0] == query.collection)
                and all(holds(kept.data, where) for where in query.where)
                and all(value_of(kept.data, order.field) is not MISSING for order in query.order)
            ]
        found.sort(key=lambda kept: _tie(query, kept.path), reverse=_downwards(query)[-1])
        for order in reversed(query.order):
            found.sort(key=lambda kept: rank(value_of(kept.data, order.field)), reverse=order.descending)
        if query.after is None:
            return found
        return [kept for kept in found if _is_beyond(query, kept, query.after)]


def _family(path: str) -> str:
    """The collection's own name, which `*/name` queries go by."""
    return path.rsplit("/", 2)[-2]


def _encode(write: Write) -> str:
    if isinstance(write, Delete):
        return ""
    text = json.dumps(write.data, separators=(",", ":"), ensure_ascii=False)
    if (size := len(text.encode())) > MAX_DOCUMENT_BYTES:
        raise TooLarge(f"{write.path} would have {size:,} bytes; a document may have {MAX_DOCUMENT_BYTES:,}")
    return text


# -- queries ------------------------------------------------------------------------------------------------------


def _downwards(query: Query) -> list[bool]:
    """The direction of every field, and of the tie-break, which is that of the last."""
    fields = [order.descending for order in query.order]
    return [*fields, fields[-1] if fields else False]


def _tie(query: Query, path: str) -> str:
    """Ids are unique in one collection only; in a group it takes the whole path to tell two documents apart."""
    return path if query.collection.startswith("*/") else path.rpartition("/")[2]


def _cursor(query: Query, last: _Kept) -> tuple[Any, ...]:
    return (*(value_of(last.data, order.field) for order in query.order), _tie(query, last.path))


def _is_beyond(query: Query, kept: _Kept, after: tuple[Any, ...]) -> bool:
    place = _cursor(query, kept)
    for mine, theirs, down in zip(place, after, _downwards(query), strict=True):
        if (left := rank(mine)) != (right := rank(theirs)):
            return left < right if down else left > right
    return False
