"""What an address asks of a list: its filters as the API's own model, and what of them cannot be used, by field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Generic, TypeVar, get_origin

from fastapi import Request
from pydantic import BaseModel, ValidationError

from services.miner.pages.words import plain

Model = TypeVar("Model", bound=BaseModel)
Pair = tuple[str, str]
OF_THE_FRAME = frozenset({"project"})
PLACES = frozenset({"cursor", "limit"})
"""Of one page of a list: left out of the addresses of others."""


@dataclass(frozen=True)
class Asked(Generic[Model]):
    """`pairs` as they stand in the address, without empty ones and without what is refused; `problems` by field."""

    filters: Model
    pairs: tuple[Pair, ...]
    problems: Mapping[str, str]

    def with_(self, **changes: str | None) -> list[Pair]:
        """The address with these set (or gone, by None), from the first page on."""
        kept = [(name, value) for name, value in self.pairs if name not in changes and name not in PLACES]
        return [*kept, *((name, value) for name, value in changes.items() if value is not None)]

    def without(self, *gone: Pair) -> list[Pair]:
        return [pair for pair in self.pairs if pair not in gone and pair[0] not in PLACES]

    def at(self, cursor: str | None) -> list[Pair]:
        return [*(pair for pair in self.pairs if pair[0] != "cursor"), *([("cursor", cursor)] if cursor else [])]

    def value(self, field: str) -> str:
        """For the form's field."""
        return next((value for name, value in self.pairs if name == field), "")

    def values(self, field: str) -> list[str]:
        return [value for name, value in self.pairs if name == field]


def asked_of(request: Request, model: type[Model], *, others: Iterable[str] = ()) -> Asked[Model]:
    """A field that cannot be used is left out and said. `others`: parameters of the page that are no filters."""
    skipped = OF_THE_FRAME | set(others)
    pairs = [(name, value) for name, value in request.query_params.multi_items() if value and name not in skipped]
    problems: dict[str, str] = {}
    while True:
        try:
            return Asked(model.model_validate(_fields(pairs, model)), tuple(pairs), problems)
        except ValidationError as error:
            found = {str(each["loc"][0]): _message(each) for each in error.errors() if each["loc"]}
            if not found:  # it is of several fields at once
                found = {name: error.errors()[0]["msg"].removeprefix("Value error, ") for name, _ in pairs}
            problems |= found
            pairs = [pair for pair in pairs if pair[0] not in found]


def _message(found: Any) -> str:
    if found["type"] == "extra_forbidden":
        return "there is no such filter"
    if found["type"].startswith("date"):
        return f"{str(found['input'])[:80]!r} is no date; write it as 2026-11-25"
    return f"{str(found['input'])[:80]!r}: {found['msg'].removeprefix('Value error, ')}"


def _fields(pairs: Iterable[Pair], model: type[BaseModel]) -> dict[str, Any]:
    """Lists where the model has lists. A day as an end takes that day in."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        field = model.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is list:
            found.setdefault(name, []).append(value)
        else:
            found[name] = _whole_day(value) if name.endswith("_to") else value
    return found


def _whole_day(value: str) -> str:
    try:
        return (date.fromisoformat(value) + timedelta(days=1)).isoformat() if len(value) == 10 else value
    except (ValueError, OverflowError):
        return value


def chips_of(
    asked: Asked[Any], names: Mapping[str, str], address: Callable[[list[Pair]], str]
) -> list[tuple[str, str]]:
    """Each filter in words, and the address without it. `names`: of the fields that are filters."""
    return [
        (f"{names[name]}: {plain(value)}" if names[name] else plain(value), address(asked.without((name, value))))
        for name, value in asked.pairs if name in names
    ]
