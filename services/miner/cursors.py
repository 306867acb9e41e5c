"""Pages of a long list: opaque cursors that hold for one query only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from services.miner.problems import Refusal

Place = tuple[Any, ...]


def encode_cursor(place: Place, query: Mapping[str, Any]) -> str:
    """The place and a checksum over it and the query. It is no secret: the query's own project bounds what it shows."""
    body = json.dumps(list(place), separators=(",", ":")).encode()
    return f"{base64.urlsafe_b64encode(body).decode().rstrip('=')}.{_checksum(body, query)}"


def decode_cursor(cursor: str | None, query: Mapping[str, Any], *, parts: int) -> Place | None:
    """A place of so many parts. Raises Refusal (400) for a cursor that was changed or is of another query."""
    if cursor is None:
        return None
    try:
        place = _place(cursor, query)
    except (binascii.Error, ValueError, RecursionError):
        place = None
    if place is None or len(place) != parts or encode_cursor(place, query) != cursor:
        raise Refusal(
            400, "bad-cursor",
            "The cursor is not one that this list gave, or the filters are others now; begin without a cursor.",
        )
    return place


def _place(cursor: str, query: Mapping[str, Any]) -> Place | None:
    """Anybody can reckon the checksum of a place that they made up, so its parts are looked at, too."""
    text, _, checksum = cursor.partition(".")
    body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if checksum != _checksum(body, query):
        return None
    place = json.loads(body)
    if not isinstance(place, list) or not all(each is None or isinstance(each, str | int | float) for each in place):
        return None
    return tuple(place)


def _checksum(body: bytes, query: Mapping[str, Any]) -> str:
    asked = json.dumps(query, sort_keys=True, default=str).encode()
    return hashlib.sha256(b"\n".join((asked, body))).hexdigest()[:16]


def slice_of(total: int, limit: int, after: Place | None) -> tuple[int, int, Place | None]:
    """For a list that is at hand: where the page begins and ends, and the place behind it."""
    start = min(int(after[0]), total) if after else 0
    end = min(start + limit, total)
    return start, end, (end,) if end < total else None
