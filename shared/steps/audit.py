"""The audit trail is written: with what it tells of in one commit, where there is one; and anchored now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain import paths
from shared.domain.audit import ANCHORS, Action, Actor, Entry, difference, entry_after
from shared.domain.clock import iso
from shared.domain.errors import Conflict, Transient
from shared.ports import Clock, Create, Delete, Documents, Order, Page, Query, Stored, Update, Where, Write
from shared.steps.store import ATTEMPTS

log = logging.getLogger(__name__)
UNAUDITED = frozenset({"claims", "audit"})
"""Families of documents that say nothing by themselves."""

ANCHORED_EVERY_S = 60.0
OVERLAP = timedelta(minutes=10)
"""Looked at again by the next anchor: an entry may be committed a moment after another that is younger."""

PAGE = 500
SYSTEM = Actor("iflow", "service", None, None)


class AuditedDocuments:
    """Documents whose every commit has the entries of who made it. `tell(project)` hears of each commit."""

    def __init__(self, documents: Documents, actor: Actor, clock: Clock, tell: Callable[[str], None]) -> None:
        self._documents, self._actor, self._clock, self._tell = documents, actor, clock, tell

    def get(self, path: str) -> Stored | None:
        return self._documents.get(path)

    def query(self, query: Query) -> Page:
        return self._documents.query(query)

    def count(self, query: Query) -> int | None:
        return self._documents.count(query)

    def watch(self, query: Query, ended: threading.Event | None = None) -> Iterator[Page]:
        return self._documents.watch(query, ended)

    def commit(self, writes: Sequence[Write]) -> tuple[str, ...]:
        """As the port's: versions of the caller's own writes, Conflict of the caller's own paths."""
        told = [write for write in writes if _family(write.path) not in UNAUDITED]
        for _ in range(ATTEMPTS):
            entries = [entry for write in told if (entry := self._entry(write))]
            try:
                versions = self._documents.commit([*writes, *(Create(e.doc_path, e.to_document()) for e in entries)])
            except Conflict as conflict:
                if conflict.path not in {entry.doc_path for entry in entries}:
                    raise
                continue  # another entry about the same document was faster
            for project in {entry.project for entry in entries}:
                self._tell(project)
            return versions[:len(writes)]
        raise Conflict(writes[0].path)

    def _entry(self, write: Write) -> Entry | None:
        """None of an update that somebody did nothing by, such as the outbox being emptied."""
        project, chain = paths.project_of(write.path), chain_of(write.path)
        before = None
        if not isinstance(write, Create):
            stored = self._documents.get(write.path)
            before = stored.data if stored else None
        changed, old, new = difference(
            _family(write.path), before, None if isinstance(write, Delete) else write.data
        )
        action = {Create: Action.CREATED, Update: Action.CHANGED, Delete: Action.DELETED}[type(write)]
        if action is Action.CHANGED and not changed:
            return None
        return entry_after(
            last_of(self._documents, project, chain), project, chain, self._actor, action, self._clock(),
            changed=changed if action is Action.CHANGED else (), before=old, after=new,
        )


def note(
    documents: Documents, project: str, chain: str, actor: Actor, action: Action, at: datetime, detail: str
) -> None:
    """What changes no document: a file that is read, a refusal, somebody who signs in."""
    for _ in range(ATTEMPTS):
        entry = entry_after(last_of(documents, project, chain), project, chain, actor, action, at, detail=detail)
        try:
            documents.commit([Create(entry.doc_path, entry.to_document())])
        except Conflict:
            continue
        return
    raise Conflict(chain)


def last_of(documents: Documents, project: str, chain: str) -> Entry | None:
    found = documents.query(Query(
        f"projects/{project}/audit", (Where("chain", "==", chain),), (Order("seq", descending=True),), 1
    )).items
    return Entry.from_document(found[0].data) if found else None


def chain_of(path: str) -> str:
    """`analyses/{id}` of a project's document; `project` of its own."""
    return path.split("/", 2)[2] if path.count("/") > 1 else "project"


def every_entry(documents: Documents, project: str, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """In order of time."""
    where = (Where("at", ">=", iso(since)),) if since else ()
    query = Query(f"projects/{project}/audit", where, (Order("at"),), PAGE)
    while True:
        page = documents.query(query)
        yield from (dict(stored.data) for stored in page.items)
        if page.next is None:
            return
        query = replace(query, after=page.next)


def anchor(documents: Documents, project: str, now: datetime) -> Entry | None:
    """The heads of the chains that grew since the last anchor, in an entry; None where there are none, or where
    somebody else has just made it."""
    last = last_of(documents, project, ANCHORS)
    heads: dict[str, list[Any]] = {}
    for entry in every_entry(documents, project, last.at - OVERLAP if last else None):
        if entry["chain"] != ANCHORS and entry["seq"] > heads.get(entry["chain"], [0])[0]:
            heads[entry["chain"]] = [entry["seq"], entry["hash"]]
    if not heads or (last is not None and heads == last.after):
        return None
    made = entry_after(last, project, ANCHORS, SYSTEM, Action.ANCHORED, now, after=heads)
    try:
        documents.commit([Create(made.doc_path, made.to_document())])
    except Conflict:
        return None
    log.info("the audit trail was anchored", extra={"project": project, "anchor": made.seq, "hash": made.hash})
    return made


class Anchors:
    """Makes an anchor with the first entry after a minute: each process for those that it writes. The line in the log
    is out of reach of whoever can change the documents."""

    def __init__(self, documents: Callable[[], Documents], clock: Callable[[], datetime]) -> None:
        self._documents, self._clock = documents, clock
        self._lock = threading.Lock()
        self._made_at: dict[str, float] = {}

    def tell(self, project: str) -> None:
        """A fault costs the anchor and not the request: the next one makes up for it."""
        now = time.monotonic()
        with self._lock:
            if now - self._made_at.get(project, float("-inf")) < ANCHORED_EVERY_S:
                return
            self._made_at[project] = now
        try:
            anchor(self._documents(), project, self._clock())
        except Transient:
            log.warning("the audit trail was not anchored", extra={"project": project})


def _family(path: str) -> str:
    return path.split("/")[-2] if path.count("/") > 1 else "projects"
