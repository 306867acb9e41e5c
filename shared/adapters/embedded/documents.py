"""Documents in one SQLite file, with Firestore's conditions: whole documents, versions, all-or-nothing commits.

WAL with synchronous=FULL: what was committed survives `kill -9` and a power cut. One writer at a time; a commit
waits for the file's lock, never for a document's.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.adapters.embedded.sqlite import Database
from shared.domain.errors import Conflict, TooLarge
from shared.ports import Create, Delete, Page, Query, Stored, Update, Write
from shared.topology import Index

MAX_DOCUMENT_BYTES = 1_048_576
"""Firestore's limit, kept here too, so that what works on a laptop works when deployed."""

WATCH_POLL_S = 0.2
"""How often a watcher looks for changes made by another process; changes of this one wake it at once."""

_FIELD = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_COMPARE = {"==": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    path TEXT PRIMARY KEY, collection TEXT NOT NULL, family TEXT NOT NULL, id TEXT NOT NULL,
    version INTEGER NOT NULL, data TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL);
INSERT OR IGNORE INTO clock VALUES (1, 0);
"""


class SqliteDocuments:
    """ports.Documents. `family` is the collection's own name, which `*/name` queries go by."""

    def __init__(self, file: Path, indexes: Sequence[Index]) -> None:
        self._db = Database(file, _SCHEMA + "".join(_index_sql(index) for index in indexes))
        self._changed = threading.Condition()

    def get(self, path: str) -> Stored | None:
        row = self._db.connection().execute("SELECT data, version FROM documents WHERE path = ?", (path,)).fetchone()
        return None if row is None else Stored(path, json.loads(row[0]), str(row[1]))

    def query(self, query: Query) -> Page:
        sql, values = _select(query)
        rows = self._db.connection().execute(sql, values).fetchall()
        items = tuple(Stored(path, json.loads(data), str(version)) for path, data, version in rows[: query.limit])
        more = len(rows) > query.limit
        return Page(items, _cursor(query, items[-1]) if more else None)

    def commit(self, writes: Sequence[Write]) -> tuple[str, ...]:
        encoded = [_encode(write) for write in writes]
        with self._db.transaction() as connection:
            row = connection.execute("UPDATE clock SET version = version + 1 RETURNING version").fetchone()
            for write, data in zip(writes, encoded, strict=True):
                _apply(connection, write, data, row[0])
        with self._changed:
            self._changed.notify_all()
        return tuple("" if isinstance(write, Delete) else str(row[0]) for write in writes)

    def watch(self, query: Query) -> Iterator[Page]:
        last: Page | None = None
        seen = -1
        while True:
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


# -- queries as SQL: field names are checked, values are always parameters ------------------------------------------


def _field(name: str) -> str:
    if not _FIELD.fullmatch(name):
        raise ValueError(f"{name!r} is not a field path")
    return f"json_extract(data, '$.{name}')"


def _index_sql(index: Index) -> str:
    columns = ["family" if index.group else "collection"]
    for field in index.fields:
        name, _, direction = field.partition(" ")
        columns.append(f"{_field(name)} {direction}".strip())
    name = re.sub(r"\W+", "_", "_".join([index.collection, *(["group"] if index.group else []), *index.fields]))
    tie = "path" if index.group else "id"
    return f"CREATE INDEX IF NOT EXISTS {name} ON documents ({', '.join(columns)}, {tie});\n"


def _select(query: Query) -> tuple[str, list[Any]]:
    scope, _, family = query.collection.rpartition("/")
    conditions, values = (["family = ?"], [family]) if scope == "*" else (["collection = ?"], [query.collection])
    for where in query.where:
        condition, operands = _condition(where.field, where.op, where.value)
        conditions.append(condition)
        values += operands
    for order in query.order:
        _field(order.field)
        conditions.append(f"json_type(data, '$.{order.field}') IS NOT NULL")
    if query.after is not None:
        condition, operands = _beyond(query, query.after)
        conditions.append(condition)
        values += operands
    downwards = bool(query.order) and query.order[-1].descending
    order_by = [f"{_field(o.field)}{' DESC' if o.descending else ''}" for o in query.order]
    order_by.append(f"{_tie(query)} DESC" if downwards else _tie(query))
    sql = (
        f"SELECT path, data, version FROM documents WHERE {' AND '.join(conditions)} "
        f"ORDER BY {', '.join(order_by)} LIMIT ?"
    )
    return sql, [*values, query.limit + 1]


def _condition(field: str, op: str, value: Any) -> tuple[str, list[Any]]:
    column = _field(field)
    if op == "in":
        return f"{column} IN ({', '.join('?' * len(value))})", list(value)
    if op == "array_contains":
        inside = f"EXISTS (SELECT 1 FROM json_each(data, '$.{field}') WHERE value = ?)"
        return f"json_type(data, '$.{field}') = 'array' AND {inside}", [value]
    if op == "==" and value is None:
        return f"json_type(data, '$.{field}') = 'null'", []
    return f"{column} {_COMPARE[op]} ?", [value]


def _tie(query: Query) -> str:
    """Ids are unique in one collection only; in a group it takes the whole path to tell two documents apart."""
    return "path" if query.collection.startswith("*/") else "id"


def _beyond(query: Query, after: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """Strictly behind the cursor: (f1 > v1) or (f1 = v1 and f2 > v2) or ... with the id last."""
    downwards = [order.descending for order in query.order]
    downwards.append(downwards[-1] if downwards else False)
    columns = [_field(order.field) for order in query.order] + [_tie(query)]
    branches: list[str] = []
    values: list[Any] = []
    for depth, (column, value, down) in enumerate(zip(columns, after, downwards, strict=True)):
        equal = [f"{earlier} IS ?" for earlier in columns[:depth]]
        step, operands = _step(column, value, down)
        branches.append(" AND ".join([*equal, step]))
        values += [*after[:depth], *operands]
    return "(" + " OR ".join(f"({branch})" for branch in branches) + ")", values


def _step(column: str, value: Any, down: bool) -> tuple[str, list[Any]]:
    """Behind `value` in one column; null comes first upwards and last downwards."""
    if value is None:
        return ("0", []) if down else (f"{column} IS NOT NULL", [])
    return (f"({column} < ? OR {column} IS NULL)", [value]) if down else (f"{column} > ?", [value])


def _cursor(query: Query, last: Stored) -> tuple[Any, ...]:
    tie = last.path if _tie(query) == "path" else last.id
    return (*(_value(last.data, order.field) for order in query.order), tie)


def _value(data: Any, field: str) -> Any:
    for part in field.split("."):
        data = data[part]
    return data
