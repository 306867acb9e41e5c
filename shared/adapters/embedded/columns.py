"""The fields that queries go by, in a table beside the documents: a row for each document, a column for each field.

A field that is missing is SQL's NULL, JSON's null is the number below all others, an array is a blob of its texts
between separators, an object one of its JSON. So SQLite's own order is Firestore's: null, numbers, texts.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from shared.adapters.matching import MISSING, value_of
from shared.topology import Index, Listing

NULL = float("-inf")
SEPARATOR = "\x1f"

OWN = ("~path", "~collection", "~id")
"""The document's own columns: no field is called so."""

_LARGEST = 2**63 - 1


def columns_of(indexes: Sequence[Index], lists: Sequence[Listing]) -> dict[str, tuple[str, ...]]:
    """The fields that stand in columns, by family."""
    named = [(index.collection, index.fields) for index in indexes]
    for listing in lists:
        named += [(listing.collection, fields) for fields in (listing.equal, *listing.orders, listing.parts)]
    found: dict[str, dict[str, None]] = {}
    for family, fields in named:
        found.setdefault(family, {}).update(dict.fromkeys(field.split(" ")[0] for field in fields))
    return {family: tuple(fields) for family, fields in found.items()}


def table_of(family: str) -> str:
    return f'"fields of {family}"'


def prepare(connection: sqlite3.Connection, family: str, fields: Sequence[str]) -> None:
    """The family's table, with just these columns; one that had others is filled anew from the documents."""
    table = table_of(family)
    columns = [*OWN, *fields]
    if [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] == columns:
        return
    connection.execute(f"DROP TABLE IF EXISTS {table}")
    named = ", ".join(f'"{column}"' for column in columns)
    connection.execute(f'CREATE TABLE {table} ({named}, UNIQUE ("~path"))')
    for (old,) in connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'documents' AND sql IS NOT NULL"
    ).fetchall():
        connection.execute(f'DROP INDEX "{old}"')
    for path, data in connection.execute("SELECT path, data FROM documents WHERE family = ?", (family,)).fetchall():
        note(connection, family, fields, path, json.loads(data))


def index_sql(index: Index) -> str:
    columns = [] if index.group else ['"~collection"']
    for field in index.fields:
        name, _, direction = field.partition(" ")
        columns.append(f'"{name}" {direction.removeprefix("contains")}'.strip())  # arrays are looked through
    name = re.sub(r"\W+", "_", "_".join([index.collection, *(["group"] if index.group else []), *index.fields]))
    tie = '"~path"' if index.group else '"~id"'
    return f'CREATE INDEX IF NOT EXISTS "by {name}" ON {table_of(index.collection)} ({", ".join(columns)}, {tie})'


def note(
    connection: sqlite3.Connection, family: str, fields: Sequence[str], path: str, data: Mapping[str, Any]
) -> None:
    """The document's row, new or another."""
    collection, identity = path.rsplit("/", 1)
    row = [path, collection, identity, *(_in_column(value_of(data, field)) for field in fields)]
    named = [*OWN, *fields]
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in fields)
    connection.execute(
        f"INSERT INTO {table_of(family)} VALUES ({', '.join('?' * len(named))}) "
        f'ON CONFLICT ("~path") DO UPDATE SET {changed}', row,
    )


def forget(connection: sqlite3.Connection, family: str, path: str) -> None:
    connection.execute(f'DELETE FROM {table_of(family)} WHERE "~path" = ?', (path,))


def _in_column(value: Any) -> Any:
    if value is MISSING:
        return None
    if value is None:
        return NULL
    if isinstance(value, int) and abs(value) > _LARGEST:
        return float(value)
    if isinstance(value, list | tuple):
        texts = [each for each in value if isinstance(each, str) and SEPARATOR not in each]
        return (SEPARATOR + "".join(text + SEPARATOR for text in texts)).encode()
    if isinstance(value, Mapping):
        return json.dumps(value, separators=(",", ":")).encode()
    return value
