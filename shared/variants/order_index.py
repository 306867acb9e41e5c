"""The order table's columns as arrays in one file, mapped into memory: what queries read (query.py).

It is made of the table alone (index_build.py) and says nothing that the table does not say. Arrays by name, N rows,
every one at a multiple of 64 bytes:

    <column>            codes: uint8, uint16 or uint32, 0 for null, greater for what is greater. Of code, few and terms
                        1 + the place among the values, which are sorted by text, or the gravest first (impact,
                        consequence, tier, acmg_class). Of int and float 1 + the place in `values` or, where there are
                        too many values for 16 bits, the number of the last of `edges` that is not above the value.
                        Of bool a bitmap
    <column>/offsets, <column>/bytes    the sorted values of a code column, or (kind text) the rows' own texts: each
                        is UTF-8 and ended by TEXT_END
    <column>/values     of int and float: the values, ascending, each once. int32 (beyond 32 bits: the nearest that
                        fits) or float64
    <column>/edges, <column>/exact      or, in place of `values`: values evenly spaced by rank, each once, and the rows'
                        own values, NULL_INT or NaN for null. `exact` of places (pos, end, key_pos) is always there
    <column>/none       bitmap of the rows that are null, if some are and there are no `bits`
    <column>/bits       a bitmap for each frequent value or term, of the columns that order_schema.py says
    <column>/rows_offsets, <column>/rows    rows of each rare one, ascending
    genes/any           bitmap of the rows that have a gene
    genes/of_row_offsets, genes/of_row          codes of all genes of a row
    genes/rows_offsets, genes/rows              rows of a gene, by code - 1
    long_rows           rows that begin or end further than LONG bases from their key's position
    pairs/...           see inheritance.py
    sources/offsets, sources/at                 SOURCE_TABLE << 40 | row, see order_schema.py

A bitmap is ceil(N / 64) words of 64 bits, row 0 the lowest bit of the first; what is behind the last row is 0.
The file: MAGIC, arrays, header (JSON), its length (8 bytes, little endian), MAGIC.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.domain.request import Role, Sex
from shared.variants.kernels import common, rows_of, within
from shared.variants.order_schema import Group, columns_of

Words = npt.NDArray[np.uint64]
Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

MAGIC = b"IFLOWIX2"
NULL_INT = int(np.iinfo(np.int32).min)
TEXT_END = b"\xff"
LONG = 1000


class IndexBroken(ValueError):
    """The file is no index of this form, or not all of it."""


# -- bitmaps ----------------------------------------------------------------------------------------------------------


def nothing(n: int) -> Words:
    return np.zeros(-(-n // 64), np.uint64)


def pack(rows: Bools) -> Words:
    words = nothing(len(rows))
    packed = np.packbits(rows, bitorder="little")
    words.view(np.uint8)[: len(packed)] = packed
    return words


def unpack(words: Words, rows: int) -> Bools:
    return np.unpackbits(words.view(np.uint8), count=rows, bitorder="little").view(bool)


def count(words: Words) -> int:
    return int(np.bitwise_count(words).sum(dtype=np.uint32))


def of_rows(rows: Array, n: int) -> Words:
    """The bitmap of row numbers, in whatever order."""
    if len(rows) * 128 > n:
        found = np.zeros(n, bool)
        found[rows] = True
        return pack(found)
    words = nothing(n)
    np.bitwise_or.at(words, rows >> 6, np.uint64(1) << (rows & 63).astype(np.uint64))
    return words


def of_range(start: int, stop: int, n: int) -> Words:
    """The bitmap of the rows from `start` to below `stop`."""
    words = nothing(n)
    if start < stop:
        first, last = start >> 6, (stop - 1) >> 6
        words[first : last + 1] = ~np.uint64(0)
        words[first] &= ~np.uint64(0) << np.uint64(start & 63)
        words[last] &= ~np.uint64(0) >> np.uint64(63 - (stop - 1 & 63))
    return words


def bits_at(words: Array, rows: Array) -> Bools:
    """Of each row number whether its bit is set."""
    octets = words.view(np.uint8)
    found: Bools = ((octets[rows >> 3] >> (rows & 7).astype(np.uint8)) & np.uint8(1)).view(bool)
    return found


def count_between(words: Words, start: int, stop: int) -> int:
    """Rows from `start` to below `stop`."""
    first, last = start >> 6, -(-stop // 64)
    found = count(words[first:last])
    if start & 63:
        found -= (int(words[first]) & (1 << (start & 63)) - 1).bit_count()
    if stop & 63:
        found -= (int(words[last - 1]) >> (stop & 63)).bit_count()
    return found


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chromosome:
    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Terms:
    """What a column's bitmaps are of: `frequent` of `bits`, `rare` of `rows`; None among them for null. `whole`: every
    row has exactly one of them, so that the last of `frequent` need not be counted."""

    ordered: list[str]
    frequent: list[str | None]
    rare: list[str | None]
    whole: bool


class Index:
    """Opened, nothing of it is read until it is asked for. Arrays are read-only."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if path.stat().st_size else None
        self._bytes = np.frombuffer(self._map or b"", np.uint8)
        if len(self._bytes) < 24 or bytes(self._bytes[:8]) != MAGIC or bytes(self._bytes[-8:]) != MAGIC:
            raise IndexBroken(f"{path.name} is no index of this form, or it was cut short")
        length = int.from_bytes(bytes(self._bytes[-16:-8]), "little")
        self.header: dict[str, Any] = json.loads(bytes(self._bytes[-16 - length : -16]))
        self._arrays: dict[str, tuple[str, int, list[int]]] = self.header["arrays"]
        self.rows: int = self.header["rows"]
        self.assembly: str | None = self.header["assembly"]
        self.groups = tuple(
            Group(g["prefix"], g["name"], Role(g["role"]), Sex(g["sex"]), tuple(g["members"]))
            for g in self.header["groups"]
        )
        self.columns = {c.name: c for c in columns_of([group.prefix for group in self.groups])}
        self.chromosomes = tuple(Chromosome(*each) for each in self.header["chromosomes"])
        self._terms = {column: Terms(**terms) for column, terms in self.header["terms"].items()}
        self._opened: dict[str, Array] = {}

    def array(self, name: str) -> Array:
        if name not in self._opened:
            dtype, at, shape = self._arrays[name]
            size = math.prod(shape) * np.dtype(dtype).itemsize
            self._opened[name] = self._bytes[at : at + size].view(dtype).reshape(shape)
        return self._opened[name]

    def whole(self, name: str) -> Array:
        """An array of which all will be read: what is not in memory is fetched at once, not page by page."""
        if name not in self._opened and self._map is not None:
            at, array = self._arrays[name][1], self.array(name)
            begin = at - at % mmap.PAGESIZE
            self._map.madvise(mmap.MADV_WILLNEED, begin, at + array.nbytes - begin)
        return self.array(name)

    def has(self, name: str) -> bool:
        return name in self._arrays

    @cached_property
    def every(self) -> Words:
        """The bitmap of all rows."""
        words = of_range(0, self.rows, self.rows)
        words.flags.writeable = False
        return words

    def flag(self, column: str) -> Words:
        return self.whole(column)

    # -- values and terms ---------------------------------------------------------------------------------------------

    def terms(self, column: str) -> list[str]:
        """What the bitmaps of the column are of, in their order."""
        if column == "chrom":
            return [each.name for each in self.chromosomes]
        return self._terms[column].ordered if column in self._terms else []

    def bits(self, column: str, *terms: str | None) -> Words:
        """Rows that have one of the values or terms (None: null); none where nobody has it."""
        if column == "chrom":
            return self._on_chromosomes(terms)
        words, there = nothing(self.rows), self._terms[column]
        rare = [self._rare(column, there.rare.index(term)) for term in terms if term in there.rare]
        for term in terms:
            if term in there.frequent:
                words |= self.whole(f"{column}/bits")[there.frequent.index(term)]
        return words | of_rows(np.concatenate(rare), self.rows) if rare else words

    def _rare(self, column: str, number: int) -> Array:
        first, last = self.array(f"{column}/rows_offsets")[number : number + 2]
        return self.array(f"{column}/rows")[first:last]

    def _on_chromosomes(self, names: Sequence[str | None]) -> Words:
        words = nothing(self.rows)
        for each in self.chromosomes:
            if each.name in names:
                words |= of_range(each.start, each.stop, self.rows)
        return words

    def are(self, column: str, values: Iterable[str], rows: Array) -> Bools:
        """Of each row whether a column of kind few has one of the values."""
        codes, found = self.array(column)[rows], np.zeros(len(rows), bool)
        for value in values:
            code = self._code_of_few(column, value)
            if code is not None:
                found |= codes == code
        return found

    def _code_of_few(self, column: str, value: str) -> int | None:
        if column == "chrom":  # its terms are in another order than its codes
            return self.code(column, value)
        return self.terms(column).index(value) + 1 if value in self.terms(column) else None

    def counted(self, column: str, among: Words) -> dict[str, int]:
        """Rows of `among` by value or term; those of no row are left out."""
        if column == "chrom":
            found = {each.name: count_between(among, each.start, each.stop) for each in self.chromosomes}
        else:
            found = self._counted(column, self._terms[column], among)
        return {term: found[term] for term in self.terms(column) if found[term]}

    def _counted(self, column: str, terms: Terms, among: Words) -> dict[Any, int]:
        counts = []
        if terms.frequent:
            bitmaps = self.whole(f"{column}/bits")
            counts = common(among, bitmaps[:-1] if terms.whole else bitmaps)
        if terms.rare:
            hits = bits_at(among, self.whole(f"{column}/rows")).view(np.uint8)
            starts = self.array(f"{column}/rows_offsets")[:-1]
            of_rare = np.add.reduceat(hits, starts, dtype=np.int64).tolist()
        else:
            of_rare = []
        if terms.whole:
            counts.append(count(among) - sum(counts) - sum(of_rare))
        return dict(zip((*terms.frequent, *terms.rare), (*counts, *of_rare), strict=True))

    def facets(self) -> dict[str, dict[str, int]]:
        """Of every column with bitmaps, rows by value."""
        return {column: self.counted(column, self.every) for column in ("chrom", *self._terms)}

    # -- codes and numbers --------------------------------------------------------------------------------------------

    def none(self, column: str) -> Words:
        """Rows without a value."""
        if column in self._terms:
            return self.bits(column, None)
        return self.whole(f"{column}/none") if self.has(f"{column}/none") else nothing(self.rows)

    def numbers(self, column: str, rows: Any = slice(None)) -> Array:
        """Of int and float: float64, NaN for null."""
        if self.has(f"{column}/exact"):
            exact = self.array(f"{column}/exact")[rows]
            numbers: Array = exact.astype(np.float64)
            if exact.dtype.kind == "i":
                numbers[exact == NULL_INT] = np.nan
            return numbers
        codes, values = self.array(column)[rows], self.array(f"{column}/values")
        if not len(values):
            return np.full(len(codes), np.nan)
        there = codes > 0
        found: Array = values[codes - there].astype(np.float64)
        found[~there] = np.nan
        return found

    def above(self, column: str, limit: float, *, or_equal: bool = False) -> Words:
        """Rows whose int or float is more than `limit`."""
        codes = self.whole(column)
        if not self.has(f"{column}/exact"):
            last = int(np.searchsorted(self.array(f"{column}/values"), limit, "left" if or_equal else "right"))
            return _beyond(codes, last)
        last = int(np.searchsorted(self.array(f"{column}/edges"), limit, "right"))
        words = _beyond(codes, last)
        if last:
            rows = rows_of(within(codes, last, last))
            values = self.array(f"{column}/exact")[rows]
            words |= of_rows(rows[values >= limit if or_equal else values > limit], self.rows)
        return words

    def between(self, column: str, first: int, last: int) -> Words:
        """Rows whose code is from `first` to `last`."""
        words: Words = within(self.whole(column), first, last)
        return words

    def code_at(self, column: str, value: float) -> int:
        """Of a number that a row has, or of a code."""
        if self.columns[column].kind not in ("int", "float"):
            return int(value)
        name = "edges" if self.has(f"{column}/edges") else "values"
        return int(np.searchsorted(self.array(f"{column}/{name}"), value, "right"))

    def number_at(self, column: str, code: int) -> float | None:
        """What `code_at` makes the code of; None if the rows with this code differ."""
        if self.columns[column].kind not in ("int", "float"):
            return code
        if not self.has(f"{column}/edges"):
            return float(self.array(f"{column}/values")[code - 1])
        edges = self.array(f"{column}/edges")
        least = edges[code - 1]
        following = np.nextafter(least, np.inf) if edges.dtype.kind == "f" else least + 1
        return float(least) if code == len(edges) or edges[code] == following else None

    def value(self, column: str, code: int) -> str | None:
        """Of a code; None for 0."""
        return self.text(column, code - 1) if code else None

    def texts(self, column: str, numbers: Array) -> list[str]:
        offsets, data = self.array(f"{column}/offsets"), self.array(f"{column}/bytes").data
        ends = zip(offsets[numbers].tolist(), offsets[numbers + 1].tolist(), strict=True)
        return [str(data[start : end - 1], "utf-8") for start, end in ends]

    def text(self, column: str, number: int) -> str:
        offsets = self.array(f"{column}/offsets")
        return bytes(self.array(f"{column}/bytes")[offsets[number] : offsets[number + 1] - 1]).decode()

    def n_values(self, column: str) -> int:
        return len(self.array(f"{column}/offsets")) - 1

    def code(self, column: str, value: str) -> int | None:
        """By bisection: of a column that is sorted by text."""
        low, high, wanted = 0, self.n_values(column), value.encode()
        while low < high:
            middle = (low + high) // 2
            if self.text(column, middle).encode() < wanted:
                low = middle + 1
            else:
                high = middle
        return low + 1 if low < self.n_values(column) and self.text(column, low) == value else None

    def codes_ending(self, column: str, ending: str) -> list[int]:
        """Of values that are `ending`, or end with it behind a colon (`NM_1.2:c.3A>G` with `c.3A>G`)."""
        offsets = self.array(f"{column}/offsets")
        if len(offsets) < 2:
            return []
        text, wanted = self.whole(f"{column}/bytes").data, ending.encode() + TEXT_END
        found = []
        for at in _occurrences(text, wanted):
            number = int(np.searchsorted(offsets, at, "right")) - 1
            if at == offsets[number] or text[at - 1] == ord(":"):
                found.append(number + 1)
        return found

    @cached_property
    def gene_codes(self) -> dict[str, list[int]]:
        """Symbol in capitals -> codes of `genes` that are spelled so."""
        found: dict[str, list[int]] = {}
        ends = bytes(self.whole("genes/bytes"))
        for code, symbol in enumerate(ends.split(TEXT_END)[:-1], start=1):
            found.setdefault(symbol.decode().upper(), []).append(code)
        return found

    def rows_by_chromosome(self) -> dict[str, int]:
        return {each.name: each.stop - each.start for each in self.chromosomes}


def _beyond(codes: Array, last: int) -> Words:
    words: Words = within(codes, last + 1, int(np.iinfo(codes.dtype).max))
    return words


def open_index(path: Path) -> Index:
    """Raises IndexBroken."""
    return Index(path)


def _occurrences(text: memoryview, wanted: bytes) -> Iterator[int]:
    """Places of `wanted`. Pieces overlap by the length of what is looked for; a memoryview has no find."""
    piece = 8 << 20
    for start in range(0, len(text), piece):
        data = bytes(text[start : start + piece + len(wanted) - 1])
        at = data.find(wanted)
        while at >= 0:
            yield start + at
            at = data.find(wanted, at + 1)
