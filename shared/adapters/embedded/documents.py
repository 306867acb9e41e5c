"""Documents in one SQLite file, with Firestore's conditions: whole documents, versions, all-or-nothing commits.

WAL with synchronous=FULL: what was committed survives `kill -9` and a power cut. One writer at a time; a commit
waits for the file's lock, never for a document's.

What queries go by stands beside the documents, a table for each family of collections and a column for each field that
an index of topology.yaml names: to look through ten thousand such rows takes milliseconds, whatever the filter. Of the
indexes the table has the few that `SqliteDocuments` is given; a query on other fields reads the documents' JSON.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.adapters.embedded.columns import columns_of, forget, index_sql, note, prepare
from shared.adapters.embedded.selects import InColumns, InJson
from shared.adapters.embedded.sqlite import Database
from shared.domain.errors import Conflict, TooLarge
from shared.ports import Create, Delete, Page, Query, Stored, Update, Write
from shared.topology import Index, Listing

MAX_DOCUMENT_BYTES = 1_048_576
"""Firestore's limit, kept here too, so that what works on a laptop works when deployed."""

WATCH_POLL_S = 0.2
"""How often a watcher looks for changes made by another process; changes of this one wake it at once."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    path TEXT PRIMARY KEY, collection TEXT NOT NULL, family TEXT NOT NULL, id TEXT NOT NULL,
    version INTEGER NOT NULL, data TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL);
INSERT OR IGNORE INTO clock VALUES (1, 0);
"""


class SqliteDocuments:
    """ports.Documents. `family` is the collection's own name, which `*/name` queries go by.

    `indexes` are made as they are; what only `lists` names has its column, and no index.
    """

    def __init__(self, file: Path, indexes: Sequence[Index], lists: Sequence[Listing] = ()) -> None:
        self._db = Database(file, _SCHEMA)
        self._changed = threading.Condition()
        self._columns = columns_of(indexes, lists)
        with self._db.transaction() as connection:
            for family, fields in self._columns.items():
                prepare(connection, family, fields)
            for index in indexes:
                connection.execute(index_sql(index))

    def get(self, path: str) -> Stored | None:
        row = self._db.connection().execute("SELECT data, version FROM documents WHERE path = ?", (path,)).fetchone()
        return None if row is None else Stored(path, json.loads(row[0]), str(row[1]))

    def query(self, query: Query) -> Page:
        sql, values = self._shape(query).select()
        rows = self._db.connection().execute(sql, values).fetchall()
        items = tuple(Stored(path, json.loads(data), str(version)) for path, data, version in rows[: query.limit])
        more = len(rows) > query.limit
        return Page(items, _cursor(query, items[-1]) if more else None)

    def count(self, query: Query) -> int:
        sql, values = self._shape(replace(query, order=(), after=None)).count()
        found: int = self._db.connection().execute(sql, values).fetchone()[0]
        return found

    def _shape(self, query: Query) -> InColumns | InJson:
        fields = self._columns.get(query.collection.rpartition("/")[2], ())
        return InColumns(query) if InColumns.can_say(query, fields) else InJson(query)

    def commit(self, writes: Sequence[Write]) -> tuple[str, ...]:
        encoded = [_encode(write) for write in writes]
        with self._db.transaction() as connection:
            row = connection.execute("UPDATE clock SET version = version + 1 RETURNING version").fetchone()
            for write, data in zip(writes, encoded, strict=True):
                _apply(connection, write, data, row[0])
                self._note(connection, write)
        with self._changed:
            self._changed.notify_all()
        return tuple("" if isinstance(write, Delete) else str(row[0]) for write in writes)

    def _note(self, connection: sqlite3.Connection, write: Write) -> None:
        family = write.path.rsplit("/", 2)[-2]
        if (fields := self._columns.get(family)) is None:
            return
        if isinstance(write, Delete):
            forget(connection, family, write.path)
        else:
            note(connection, family, fields, write.path, write.data)

    def watch(self, query: Query, ended: threading.Event | None = None) -> Iterator[Page]:
        last: Page | None = None
        seen = -1
        while ended is None or not ended.is_set():
            now = self._db.connection().execute("SELECT version FROM clock").fetchone()[0]
            if now != seen:
                seen = now
                page = self.query(query)
                if page != last:
                    last = page
                    yield page
            with self._changed:
                self._changed.wait(WATCH_POLL_S)


def _encode(write: Write) -> str:
    if isinstance(write, Delete):
        return ""
    text = json.dumps(write.data, separators=(",", ":"), ensure_ascii=False)
    if (size := len(text.encode())) > MAX_DOCUMENT_BYTES:
        raise TooLarge(f"{write.path} would have {size:,} bytes; a document may have {MAX_DOCUMENT_BYTES:,}")
    return text


def _apply(connection: sqlite3.Connection, write: Write, data: str, version: int) -> None:
    match write:
        case Create(path):
            collection, identity = path.rsplit("/", 1)
            done = connection.execute(
                "INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?, ?)",
                (path, collection, collection.rsplit("/", 1)[-1], identity, version, data),
            )
        case Update(path, _, expected):
            done = connection.execute(
                "UPDATE documents SET data = ?, version = ? WHERE path = ? AND version = ?",
                (data, version, path, expected),
            )
        case Delete(path, expected):
            done = connection.execute("DELETE FROM documents WHERE path = ? AND version = ?", (path, expected))
    if done.rowcount != 1:
        raise Conflict(write.path)


def _cursor(query: Query, last: Stored) -> tuple[Any, ...]:
    tie = last.path if query.collection.startswith("*/") else last.id
    return (*(_value(last.data, order.field) for order in query.order), tie)


def _value(data: Any, field: str) -> Any:
    for part in field.split("."):
        data = data[part]
    return data
