"""Live streams: what changed in a project is watched once in a process, and goes out to all who look on.

A feed watches the documents of one collection that were changed last, in a thread of its own; its readers are tasks of
the event loop. What a reader has not yet taken is one bounded set of documents, so a slow one holds no memory: it is
told that everything may have changed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from shared.domain.errors import Transient
from shared.logs import why
from shared.ports import Documents, Order, Page, Query, Stored

WATCHED = 50
"""Documents on the page that a feed watches. When all of them are new at once, more may have changed than it shows."""

KEPT_CHANGES = 256
"""Which a reader that comes back can be told one by one."""

MOST_WAITING = 200
"""Documents that wait for one reader."""

LINGER_S = 30.0
"""How long a feed without a reader is kept for one that comes back."""

PAUSE_S = 0.2
"""After each page, so that a busy project costs no more than five queries a second."""

RETRY_S = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Changes:
    """`mark` names the moment for whoever comes back. Without `documents` everything may have changed."""

    mark: str
    documents: Mapping[str, Stored] | None


class Reader:
    """One who looks on; `only` one document, or all of the collection. Its methods are for its own event loop."""

    def __init__(self, only: str | None) -> None:
        self.only = only
        self._loop = asyncio.get_running_loop()
        self._some = asyncio.Event()
        self._waiting: dict[str, Stored] | None = {}
        self._mark = ""

    def put(self, changes: Changes) -> None:
        """From any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._add, changes)

    async def next(self, within_s: float) -> Changes | None:
        """All that has come since the last call; None when nothing has within so many seconds."""
        try:
            await asyncio.wait_for(self._some.wait(), within_s)
        except TimeoutError:
            return None
        self._some.clear()
        found, self._waiting = self._waiting, {}
        return Changes(self._mark, found)

    def _add(self, changes: Changes) -> None:
        self._mark = changes.mark
        if changes.documents is None:
            self._waiting = None
        elif not (mine := self._mine(changes.documents)):
            return
        elif self._waiting is not None:
            self._waiting.update(mine)
            if len(self._waiting) > MOST_WAITING:
                self._waiting = None
        self._some.set()

    def _mine(self, documents: Mapping[str, Stored]) -> Mapping[str, Stored]:
        if self.only is None:
            return documents
        return {self.only: documents[self.only]} if self.only in documents else {}


class Feed:
    """The changes of one collection, numbered; `life` tells the numbers of one feed from those of another."""

    def __init__(self, documents: Documents, collection: str) -> None:
        self._documents = documents
        self._query = Query(collection, order=(Order("updated_at", descending=True),), limit=WATCHED)
        self._lock = threading.Lock()
        self._readers: set[Reader] = set()
        self._seen: Mapping[str, str] | None = None
        self._kept: deque[tuple[int, Mapping[str, Stored]]] = deque(maxlen=KEPT_CHANGES)
        self._life, self._number = secrets.token_hex(4), 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"feed of {collection}", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return self._ended.is_set()

    def join(self, reader: Reader, since: str | None) -> bool:
        """From now on, and what came after the mark `since`; without one that is known here, everything may have
        changed. False when the feed is over."""
        with self._lock:
            if self.is_over:
                return False
            self._readers.add(reader)
            if self._seen is not None:
                reader.put(Changes(self._mark, self._after(since)))
            return True

    def leave(self, reader: Reader) -> bool:
        """Whether nobody is left."""
        with self._lock:
            self._readers.discard(reader)
            return not self._readers

    def end_if_idle(self) -> None:
        with self._lock:
            if not self._readers:
                self._ended.set()

    @property
    def _mark(self) -> str:
        return f"{self._life}-{self._number}"

    def _after(self, since: str | None) -> Mapping[str, Stored] | None:
        life, _, number = (since or "").partition("-")
        if life != self._life or not number.isdecimal():
            return None
        missed = [(each, documents) for each, documents in self._kept if each > int(number)]
        if len(missed) != self._number - int(number):
            return None
        return {name: stored for _, documents in missed for name, stored in documents.items()}

    def _run(self) -> None:
        while not self.is_over:
            try:
                for page in self._documents.watch(self._query, self._ended):
                    self._take(page)
                    self._ended.wait(PAUSE_S)
            except Transient as error:
                log.warning("a feed was interrupted", extra={"reason": why(error)})
            except Exception:
                log.exception("a feed broke and is begun again")
            with self._lock:
                self._seen = None
            self._ended.wait(RETRY_S)

    def _take(self, page: Page) -> None:
        """The first page, and one that shares nothing with that before it, do not show all that has changed."""
        with self._lock:
            seen = self._seen
            changed = None if seen is None else {s.id: s for s in page.items if seen.get(s.id) != s.version}
            if changed is not None and len(changed) == len(page.items) == WATCHED:
                changed = None
            self._seen = {s.id: s.version for s in page.items}
            self._number += 1
            if changed is None:
                self._kept.clear()
            else:
                self._kept.append((self._number, changed))
            for reader in self._readers:
                reader.put(Changes(self._mark, changed))


class Hub:
    """The feeds of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._feeds: dict[str, Feed] = {}

    @asynccontextmanager
    async def reading(
        self, documents: Documents, collection: str, *, only: str | None = None, since: str | None = None
    ) -> AsyncIterator[Reader]:
        """The first thing to be had is what came after `since`, or that everything may have changed."""
        reader = Reader(only)
        with self._joined(documents, collection, reader, since):
            yield reader

    @contextmanager
    def _joined(self, documents: Documents, collection: str, reader: Reader, since: str | None) -> Iterator[None]:
        with self._lock:
            feed = self._feeds.get(collection)
            if feed is None or not feed.join(reader, since):
                feed = self._feeds[collection] = Feed(documents, collection)
                feed.join(reader, since)
        try:
            yield
        finally:
            if feed.leave(reader):
                self._end_later(feed)

    def _end_later(self, feed: Feed) -> None:
        later = threading.Timer(LINGER_S, feed.end_if_idle)
        later.daemon = True
        later.start()

    @property
    def watches(self) -> int:
        """Feeds that have not ended."""
        with self._lock:
            return sum(not feed.is_over for feed in self._feeds.values())
