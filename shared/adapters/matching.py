"""Whether a document fulfils a condition, looked at in this process: what the store itself is not asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.ports import Where

MISSING = object()


def value_of(data: Any, field: str) -> Any:
    """What stands at a dotted path; MISSING where nothing does."""
    for part in field.split("."):
        if not isinstance(data, Mapping) or part not in data:
            return MISSING
        data = data[part]
    return data


def rank(value: Any) -> tuple[int, Any]:
    """Values of different types have an order too: null, numbers, text."""
    if value is None:
        return 0, 0
    return (1, value) if isinstance(value, int | float) else (2, value)


def holds(data: Mapping[str, Any], where: Where) -> bool:
    """A missing field fulfils nothing; null is equal to null and neither below nor above anything."""
    value = value_of(data, where.field)
    if value is MISSING:
        return False
    match where.op:
        case "==":
            return bool(value == where.value)
        case "in":
            return value is not None and value in where.value
        case "array_contains":
            return isinstance(value, list) and where.value in value
        case "contains":
            return isinstance(value, str) and where.value in value
    if value is None or where.value is None:
        return False
    left, right = rank(value), rank(where.value)
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[where.op]
