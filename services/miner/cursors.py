"""Pages of a long list: opaque cursors that hold for one query only, and filters that act before the page is cut."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from services.miner.problems import Refusal
from shared.ports import Documents, Query, Stored

SCANNED_AT_A_TIME = 1000
"""Documents read for one step of a filter that no index answers: some 10 MB."""

Place = tuple[Any, ...]


def encode_cursor(place: Place, query: Mapping[str, Any]) -> str:
    """The place and a checksum over it and the query. It is no secret: the query's own project bounds what it shows."""
    body = json.dumps(list(place), separators=(",", ":")).encode()
    return f"{base64.urlsafe_b64encode(body).decode().rstrip('=')}.{_checksum(body, query)}"


def decode_cursor(cursor: str | None, query: Mapping[str, Any]) -> Place | None:
    """Raises Refusal (400) for a cursor that was changed or is of another query."""
    if cursor is None:
        return None
    text, _, checksum = cursor.partition(".")
    try:
        body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        body = b""
    if not body or checksum != _checksum(body, query) or encode_cursor(json.loads(body), query) != cursor:
        raise Refusal(
            400, "bad-cursor",
            "The cursor is not one that this list gave, or the filters are others now; begin without a cursor.",
        )
    return tuple(json.loads(body))


def _checksum(body: bytes, query: Mapping[str, Any]) -> str:
    asked = json.dumps(query, sort_keys=True, default=str).encode()
    return hashlib.sha256(b"\n".join((asked, body))).hexdigest()[:16]


def page_of(
    documents: Documents, query: Query, keep: Callable[[Mapping[str, Any]], bool] | None = None
) -> tuple[list[Stored], Place | None]:
    """`query.limit` documents that `keep` takes, and the place behind them: None unless there is one more.

    What the store can filter by stands in `query`; `keep` is for the rest, read page by page in bounded memory.
    """
    if keep is None:
        page = documents.query(query)
        return list(page.items), page.next
    found: list[Stored] = []
    cut_at: Query | None = None
    scanning = replace(query, limit=SCANNED_AT_A_TIME)
    while True:
        page = documents.query(scanning)
        for number, stored in enumerate(page.items, start=1):
            if not keep(stored.data):
                continue
            if cut_at is not None:
                return found, documents.query(cut_at).next
            found.append(stored)
            if len(found) == query.limit:
                cut_at = replace(scanning, limit=number)
        if page.next is None:
            return found, None
        scanning = replace(scanning, after=page.next)


def slice_of(total: int, limit: int, after: Place | None) -> tuple[int, int, Place | None]:
    """For a list that is at hand: where the page begins and ends, and the place behind it."""
    start = min(int(after[0]), total) if after else 0
    end = min(start + limit, total)
    return start, end, (end,) if end < total else None
