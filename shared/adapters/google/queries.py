"""Our queries as Firestore's, and what it finds as our pages: order, ties, cursors.

What one of its queries cannot say is looked at here (https://firebase.google.com/docs/firestore/query-data/queries):
a part of a text; a second `array_contains`; more alternatives than 30, multiplied; a range on another field than the
one that is ordered by, which would take an index for each such pair of fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter
from google.protobuf.timestamp_pb2 import Timestamp

from shared.adapters.google.values import decode_document
from shared.ports import Order, Page, Query, Stored, Where

_FIELD = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_NAME = "__name__"
_RANGES = frozenset(("<", "<=", ">", ">="))
_MOST_ALTERNATIVES = 30


def divided(query: Query) -> tuple[Query, tuple[Where, ...]]:
    """What Firestore is asked, and the conditions that are left to be looked at in what it finds."""
    served: list[Where] = []
    alternatives = 1
    ranged = [order.field for order in query.order] or [where.field for where in query.where if where.op in _RANGES]
    for where in sorted(query.where, key=lambda each: len(each.value) if each.op == "in" else 0):
        if where.op == "in":
            alternatives *= max(1, len(where.value))
        if (
            where.op == "contains" or (where.op == "in" and alternatives > _MOST_ALTERNATIVES)
            or (where.op == "array_contains" and any(other.op == "array_contains" for other in served))
            or (where.op in _RANGES and where.field != ranged[0])
        ):
            continue
        served.append(where)
    asked = tuple(where for where in query.where if where in served)
    return replace(query, where=asked), tuple(where for where in query.where if where not in served)


def asked_of(client: firestore.Client, query: Query, *, one_more: bool = True) -> Any:
    """Firestore's query, for one document more than the page, which tells whether it is the last one.

    None when nothing can match: Firestore refuses an empty `in` and a range beside null.
    """
    scope, _, family = query.collection.rpartition("/")
    asked: Any = client.collection_group(family) if scope == "*" else client.collection(query.collection)
    for where in query.where:
        _check(where.field)
        if (where.op == "in" and not where.value) or (where.op in _RANGES and where.value is None):
            return None
        value = list(where.value) if where.op == "in" else where.value
        asked = asked.where(filter=FieldFilter(where.field, where.op, value))
    order = _order(query)
    for each in order:
        _check(each.field)
        asked = asked.order_by(each.field, direction=_direction(each.descending))
    asked = asked.order_by(_NAME, direction=_direction(_downwards(order)))
    if query.after is not None:
        *values, tie = query.after
        path = tie if scope == "*" else f"{query.collection}/{tie}"
        asked = asked.start_after([*values, client.document(path)])
    return asked.limit(query.limit + one_more)


def _check(field: str) -> None:
    if not _FIELD.fullmatch(field):
        raise ValueError(f"{field!r} is not a field path")


def _order(query: Query) -> tuple[Order, ...]:
    """With the fields of range conditions, which Firestore orders by in any case (and cannot behind `__name__`)."""
    named = {order.field for order in query.order}
    ranges = dict.fromkeys(w.field for w in query.where if w.op in _RANGES and w.field not in named)
    return (*query.order, *(Order(field, _downwards(query.order)) for field in ranges))


def _downwards(order: Sequence[Order]) -> bool:
    """The direction of the tie-break: that of the last field."""
    return order[-1].descending if order else False


def _direction(descending: bool) -> Literal["ASCENDING", "DESCENDING"]:
    return "DESCENDING" if descending else "ASCENDING"


def version_of(update_time: Any) -> str:
    stamp = update_time if isinstance(update_time, Timestamp) else update_time.timestamp_pb()  # groups give the former
    return str(stamp.seconds * 10**9 + stamp.nanos)


def stored_of(snapshot: Any) -> Stored:
    return Stored(snapshot.reference.path, decode_document(snapshot.to_dict()), version_of(snapshot.update_time))


def page_of(query: Query, found: Sequence[Stored]) -> Page:
    items = tuple(found[: query.limit])
    return Page(items, _cursor(query, items[-1]) if len(found) > query.limit else None)


def _cursor(query: Query, last: Stored) -> tuple[Any, ...]:
    tie = last.path if query.collection.startswith("*/") else last.id
    return (*(_value(last.data, order.field) for order in _order(query)), tie)


def _value(data: Any, field: str) -> Any:
    for part in field.split("."):
        data = data[part]
    return data


def in_order(query: Query, found: Iterable[Stored]) -> list[Stored]:
    """As Firestore orders: null, numbers, texts; ties by the parts of the path. The last field is sorted by first."""
    order = _order(query)
    stored = sorted(found, key=lambda each: each.path.split("/"), reverse=_downwards(order))
    for each in reversed(order):
        stored.sort(key=lambda one, field=each.field: _rank(_value(one.data, field)), reverse=each.descending)  # type: ignore[misc]
    return stored


def _rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    return (2, value) if isinstance(value, int | float) else (3, value)
