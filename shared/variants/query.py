"""Questions to an order table: which rows pass a filter, how many, by what, and a page of them in any order.

Each field of a filter becomes a bitmap over all rows; rows that pass are their intersection, so that totals, facets and
what each filter removes are counts of bits and exact. A page is the next rows of that intersection in the order asked
for, behind the place where the page before ended: a deep page costs what the first one does. The order is total: what
the sort leaves equal stands in the table's order, and what has no value comes last, whether up or down (C56).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import Any

import numpy as np

from shared.domain.reasons import Reason, show
from shared.variants.clauses import Made, PanelContent, clauses_of, row_of_key
from shared.variants.filters import BadQuery, Filter
from shared.variants.inheritance import Family, Partners, candidates, paired
from shared.variants.order_index import Index, Words, bits_at, count, nothing
from shared.variants.order_rows import rows_as_json
from shared.variants.ordering import SORT_DEFAULT, Sorting, first_rows, place_of
from shared.variants.turns import Turns

MOST_ROWS = 1000
"""On a page."""

AT_WORK = Turns(max(2, os.cpu_count() or 1))
"""Questions that are being worked on: more at once would take turns and each other's cache, and none be answered
sooner. Who needs several answers for one takes a turn for all of them."""

_RESULTS_KEPT = 16
_BYTES_KEPT = 48 << 20
"""About what the bitmaps of kept results may take, of each order."""

_MOST_PARTNERS = 20

FACETS: Mapping[str, tuple[str, str]] = {
    "tier": ("tier", "tier"), "acmg": ("acmg_class", "acmg"), "clinvar": ("clinvar", "clinvar"),
    "impact": ("worst_impact", "impact"), "consequence": ("consequence", "consequence"),
    "type": ("variant_type", "type"), "filter": ("filters", "filter"), "chrom": ("chrom", "region"),
}
"""Facet -> its column, and the field of the filter that it counts without; `<group>_zygosity`: without `genotype`."""


@dataclass(frozen=True)
class Page:
    """`rows` as JSON (order_rows.py). `cursor` begins the next page, None on the last."""

    rows: list[dict[str, Any]]
    cursor: str | None


@dataclass
class Result:
    """What a filter leaves of an index, for any number of threads; what one has counted all know. `clauses`: the bitmap
    of each field that was given. `made`: see clauses.py."""

    index: Index
    filter: Filter
    clauses: dict[str, Words]
    notes: list[str]
    made: dict[str, Made] = field(default_factory=dict)
    _kept: dict[str, tuple[Words, Words | None]] = field(default_factory=dict)
    _facets: dict[str, dict[str, int]] | None = None
    _removed: dict[str, dict[str, int | None]] | None = None
    _lock: RLock = field(default_factory=RLock)

    @property
    def nbytes(self) -> int:
        bitmaps = len(self.clauses) + sum(2 if pairs is not None else 1 for _, pairs in list(self._kept.values()))
        return bitmaps * self.index.every.nbytes

    @property
    def words(self) -> Words:
        return self._without("")[0]

    @property
    def paired(self) -> Words:
        """The compound heterozygous rows, where they were asked for."""
        found = self._without("")[1]
        return nothing(self.index.rows) if found is None else found

    @property
    def total(self) -> int:
        return count(self.words)

    def without(self, name: str) -> Words:
        """Rows that pass all fields but one."""
        return self._without(name)[0]

    def _without(self, name: str) -> tuple[Words, Words | None]:
        """Compound heterozygous rows depend on which others there are, so they are found last."""
        if name not in self.clauses:
            name = ""
        with self._lock:
            if name not in self._kept:
                words = self.index.every
                for each, clause in self.clauses.items():
                    if each not in (name, "inheritance"):
                        words = words & clause
                self._kept[name] = (words, None) if name == "inheritance" else self._inherited(words)
            return self._kept[name]

    def _inherited(self, words: Words) -> tuple[Words, Words | None]:
        if "inheritance" not in self.clauses:
            return words, None
        if "compound_het" not in self.filter.inheritance:
            return words & self.clauses["inheritance"], None
        found = paired(self.index, words, phase_known=self.filter.phase_known)
        return words & (self.clauses["inheritance"] | found), found

    def removed(self) -> dict[str, dict[str, int | None]]:
        """Of each field: the rows of the whole table that it alone takes away, and how many more there would be
        without it. Of compound heterozygous rows nothing is said alone: they depend on which others there are."""
        with AT_WORK, self._lock:
            if self._removed is None:
                total = self.total
                self._removed = {
                    name: {"alone": self._alone(name), "more_without": count(self.without(name)) - total}
                    for name in self.clauses
                }
                self._drop_bitmaps()
            return self._removed

    def _alone(self, name: str) -> int | None:
        if name == "inheritance" and "compound_het" in self.filter.inheritance:
            return None
        return self.index.rows - count(self.clauses[name])

    def facets(self) -> dict[str, dict[str, int]]:
        """Rows by value, each facet as if its own field were not given. Values of no row are left out."""
        columns = dict(FACETS)
        columns |= {g.column("zygosity"): (g.column("zygosity"), "genotype") for g in self.index.groups}
        with AT_WORK, self._lock:
            if self._facets is None:
                self._facets = {name: self.index.counted(column, self.without(own))
                                for name, (column, own) in columns.items()}
                self._drop_bitmaps()
            return self._facets

    def _drop_bitmaps(self) -> None:
        """Once both counts are known, pages need no others than these."""
        if self._facets is not None and self._removed is not None:
            self._kept = {name: kept for name, kept in self._kept.items() if name in ("", "inheritance")}

    def without_parent_call(self) -> int:
        """With a strict inheritance: how many more rows there were if parents without a call fitted (C59)."""
        if self.filter.missing_parents or not set(self.filter.inheritance) - {"compound_het"}:
            return 0
        wider = Filter(inheritance=self.filter.inheritance, missing_parents=True)
        clause = clauses_of(self.index, wider, {}).found["inheritance"]
        return Result(self.index, self.filter, {**self.clauses, "inheritance": clause}, []).total - self.total


class OrderQueries:
    """An index with its version, asked by many threads. `version` is that of the cache (`Built.version`)."""

    def __init__(self, index: Index, version: str) -> None:
        self.index, self.version = index, version
        self._results: OrderedDict[str, Result] = OrderedDict()
        self._asking: dict[str, Lock] = {}
        self._lock = Lock()

    def result(self, wanted: Filter, panels: Mapping[str, PanelContent] | None = None) -> Result:
        """Raises BadQuery for what this order cannot answer."""
        panels = panels or {}
        name = f"{wanted.text()}{[(panel, panels[panel].version) for panel in wanted.panel if panel in panels]}"
        return self._known(name) or self._alone(name, wanted, panels)

    def _alone(self, name: str, wanted: Filter, panels: Mapping[str, PanelContent]) -> Result:
        """Of those who ask the same at once one works, and the others wait for him."""
        with self._lock:
            asking = self._asking.setdefault(name, Lock())
        with AT_WORK, asking:
            try:
                return self._known(name) or self._made(name, wanted, panels)
            finally:
                with self._lock:
                    self._asking.pop(name, None)

    def _known(self, name: str) -> Result | None:
        with self._lock:
            if name in self._results:
                self._results.move_to_end(name)
            return self._results.get(name)

    def _made(self, name: str, wanted: Filter, panels: Mapping[str, PanelContent]) -> Result:
        """With the fields that it shares with a question before."""
        with self._lock:
            known = {by: made for result in self._results.values() for by, made in result.made.items()}
        clauses = clauses_of(self.index, wanted, panels, known)
        result = Result(self.index, wanted, clauses.found, clauses.notes, clauses.made)
        with self._lock:
            self._results[name] = result
            while len(self._results) > 1 and not self._may_keep_all():
                self._results.popitem(last=False)
        return result

    def _may_keep_all(self) -> bool:
        kept = self._results.values()
        return len(kept) <= _RESULTS_KEPT and sum(result.nbytes for result in kept) <= _BYTES_KEPT

    def page(self, result: Result, *, sort: str = "", limit: int = 100, cursor: str | None = None) -> Page:
        """Raises BadQuery for a sort by what is no column and for a cursor of another question (400)."""
        sorting = Sorting.parse(self.index, sort or SORT_DEFAULT)
        with AT_WORK:
            return self._page(result, sorting, limit, cursor)

    def _page(self, result: Result, sorting: Sorting, limit: int, cursor: str | None) -> Page:
        asked = self._asked(result, sorting)
        after = None if cursor is None else _decoded(cursor, asked)
        rows = first_rows(self.index, result.words, sorting, limit + 1, after)
        more, rows = len(rows) > limit, rows[:limit]
        place = place_of(self.index, sorting, int(rows[-1])) if more and len(rows) else None
        return Page(self._marked(result, rows), _encoded(place, asked) if place else None)

    def cursor_behind(self, result: Result, row: int, *, sort: str = "") -> str:
        """Begins a page behind any row."""
        sorting = Sorting.parse(self.index, sort or SORT_DEFAULT)
        return _encoded(place_of(self.index, sorting, row), self._asked(result, sorting))

    def _asked(self, result: Result, sorting: Sorting) -> str:
        return f"{self.version}\n{result.filter.text()}\n{sorting.text}"

    def row_of(self, key: str) -> int | None:
        """Number of the row with this key."""
        return row_of_key(self.index, key)

    def _marked(self, result: Result, rows: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
        """With how each row came to the proband, and what it pairs with."""
        shown = rows_as_json(self.index, rows)
        family = Family(self.index, rows)
        if family.proband is None or not family.has_parents:
            fitting: dict[str, Any] = {}
        else:
            fitting = {name: family.fitting(name, result.filter.missing_parents) for name in _PATTERNS}
        unknown = family.parents_unknown() if fitting else np.zeros(len(rows), bool)
        pairs = bits_at(result.paired, rows)
        partners = None
        if pairs.any():
            partners = Partners(self.index, candidates(self.index, result.without("inheritance")), rows[pairs])
        for number, (row, entry) in enumerate(zip(rows.tolist(), shown, strict=True)):
            entry["inheritance"] = [name for name, fits in fitting.items() if fits[number]]
            entry["parent_without_call"] = bool(unknown[number])
            if partners is not None and pairs[number]:
                found = partners.of(row)
                entry["inheritance"].append("compound_het")
                entry["phase"] = found[0][1] if found else "unknown"
                entry["partners"] = [{"key": self.index.text("key", other), "phase": phase}
                                     for other, phase in found[:_MOST_PARTNERS]]
        return shown


_PATTERNS = ("de_novo", "recessive", "x_linked", "dominant")


# -- cursors ----------------------------------------------------------------------------------------------------------


def _encoded(place: Sequence[Any], asked: str) -> str:
    body = json.dumps(place, separators=(",", ":")).encode()
    return f"{base64.urlsafe_b64encode(body).decode().rstrip('=')}.{_checksum(body, asked)}"


def _decoded(cursor: str, asked: str) -> list[Any]:
    text, _, checksum = cursor.partition(".")
    try:
        body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        body = b""
    if not body or checksum != _checksum(body, asked) or _encoded(json.loads(body), asked) != cursor:
        raise BadQuery([Reason(field="cursor", message=f"{show(cursor)} is not of this question: the filter, the sort "
                               "or the variants are others now, or it was changed; begin without a cursor")])
    place: list[Any] = json.loads(body)
    return place


def _checksum(body: bytes, asked: str) -> str:
    return hashlib.sha256(asked.encode() + b"\n" + body).hexdigest()[:16]
