"""Typed values back into the text of VCF: numbers, percent-encoding, and lists put together again from alleles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.schema import KeyColumn
from shared.variants.vcf.spans import Bools, Ints, lists, ranges, spread, take

_INFO_CODES = (("%", "%25"), (";", "%3B"), ("=", "%3D"), (",", "%2C"), ("\t", "%09"), ("\n", "%0A"), ("\r", "%0D"))
_FORMAT_CODES = (("%", "%25"), (":", "%3A"), (",", "%2C"), ("\t", "%09"), ("\n", "%0A"), ("\r", "%0D"))


@dataclass(frozen=True)
class Encoding:
    """VCF 4.3, section 1.2. Before 4.3 `%` is a letter like others, and so is a comma where one value stands: only
    what would be read as a code is encoded there. `with_commas`: commas are parts of values and do not part them."""

    codes: tuple[tuple[str, str], ...]
    every_percent: bool

    @classmethod
    def of(cls, place: str, version: tuple[int, int]) -> Encoding:
        return cls(_INFO_CODES if place == "INFO" else _FORMAT_CODES, version >= (4, 3))

    def encoded(self, text: pa.Array, *, with_commas: bool = True) -> pa.Array:
        for letter, code in self.codes:
            if letter == "," and not with_commas:
                continue
            if not pc.any(pc.match_substring(text, letter)).as_py():
                continue
            if letter == "%" and not self.every_percent:
                text = pc.replace_substring_regex(text, r"%([0-9A-Fa-f]{2})", r"%25\1")
            else:
                text = pc.replace_substring(text, letter, code)
        return text

    def values(self, values: pa.Array, column: KeyColumn) -> pa.Array:
        """The text of single values; null stays null."""
        if column.kind in ("Integer", "Float"):
            return values.cast(pa.string())
        if column.raw:
            return values
        text = self.encoded(values, with_commas=self.every_percent or column.shape != "value")
        alone = pc.equal(text, ".")  # it would be read as missing
        return pc.if_else(alone, "%2E", text) if pc.any(alone).as_py() else text


NO_ROW = frozenset({"*", "<*>", "<NON_REF>", "<X>", "."})
"""Alternates that no row is made of."""


@dataclass(frozen=True)
class Written:
    """The alternates of each record as they were written: their number, which of them (of all records in turn) still
    stand, and of which records some make no row."""

    counts: Ints
    kept: Bools
    without_rows: Bools

    @classmethod
    def of(cls, alts: pa.Array, own: Ints, of: Ints) -> tuple[Written, pa.Array]:
        """(of ALT by record, with row i's allele number `own[i]` in record `of[i]`; the alternates by name)."""
        split = pc.split_pattern(alts, ",")
        counts, names = _lengths(split), split.flatten()
        rowless: Bools = pc.is_in(names, pa.array(sorted(NO_ROW))).to_numpy(zero_copy_only=False)
        kept = rowless.copy()
        kept[(np.cumsum(counts) - counts)[of] + own - 1] = True
        missing = np.bincount(np.repeat(np.arange(len(counts)), counts)[rowless], minlength=len(counts)) > 0
        return cls(counts, kept, missing), names

    @classmethod
    def only(cls, alts: pa.Array, own: Ints) -> Written:
        """Of records that keep one alternate, number `own[r]`."""
        found, _ = cls.of(alts, own, np.arange(len(own)))
        kept = np.zeros(len(found.kept), np.bool_)
        kept[np.cumsum(found.counts) - found.counts + own - 1] = True
        return cls(found.counts, kept, found.without_rows)

    def has_whole(self, column: KeyColumn) -> Bools:
        """Records of which the `..._other` columns hold the key's whole list (fields.keep_whole)."""
        if column.shape == "genotypes":
            return self.without_rows | (self.counts > 1)
        if column.shape in ("allele", "ref_and_allele"):
            return self.without_rows
        return np.zeros(len(self.counts), np.bool_)


@dataclass(frozen=True)
class Records:
    """How rows make records: record r begins at row `first[r]`; row i belongs to record `of[i]`, as its allele number
    `allele[i]` of `n_alts[of[i]]`."""

    first: Ints
    of: Ints
    allele: Ints
    n_alts: Ints
    written: Written

    def __len__(self) -> int:
        return len(self.first)

    def by_record(self, array: pa.Array) -> pa.Array:
        return array if len(self.first) == len(self.of) else array.take(pa.array(self.first))


def by_record(column: KeyColumn, array: pa.Array, records: Records, encoding: Encoding) -> pa.Array:
    """The text of a key for each record, null where it has no value. What no row knows of (another allele's value, the
    genotype of two alternates) is `.`; see `whole_lists`."""
    if column.shape == "value":
        return encoding.values(records.by_record(array), column)
    if column.shape == "list":
        lying = records.by_record(array)
        return joined(encoding.values(lying.flatten(), column), _lengths(lying))
    if column.shape == "allele":
        return of_alternates(encoding.values(array, column), records)
    sizes = _lengths(array)
    starts = np.cumsum(sizes) - sizes
    text = encoding.values(array.flatten(), column)
    if column.shape == "ref_and_allele":
        ref, alt = (take(text, np.where(sizes == 2, starts + i, -1)) for i in (0, 1))
        return of_alleles(ref, alt, records)
    return _of_genotypes(text, starts, sizes, records)


def whole_lists(column: KeyColumn, text: pa.Array, records: Records) -> pa.Array:
    """Lists as they were written, by record, less the values of alternates that are left out; null where `text` is null
    or the rows hold every value. A list of another length than Number asks for stays as it is."""
    written = records.written
    at = np.flatnonzero(written.has_whole(column) & text.is_valid().to_numpy(zero_copy_only=False))
    if not len(at):
        return pa.nulls(len(records), pa.string())
    split = pc.split_pattern(text.take(pa.array(at)), ",")
    sizes, parts = _lengths(split), split.flatten()
    keep = _of_kept(column, written, at, sizes)
    owner = np.repeat(np.arange(len(at)), sizes)
    if column.kind == "Float":
        parts = _as_numbers(parts)
    values = parts if keep.all() else parts.filter(pa.array(keep))
    return spread(joined(values, np.bincount(owner[keep], minlength=len(at))), at, len(records))


def _of_kept(column: KeyColumn, written: Written, at: Ints, sizes: Ints) -> Bools:
    """Which of the `sizes[i]` values of each record `at[i]` are of alleles that still stand."""
    alleles = written.counts + 1
    stands = np.ones(int(alleles.sum()), np.bool_)
    first = np.cumsum(alleles) - alleles
    stands[ranges(first + 1, written.counts)] = written.kept
    first, alleles = first[at], alleles[at]
    place, of = ranges(np.zeros(len(at), np.int64), sizes), np.repeat(np.arange(len(at)), sizes)
    if column.shape == "allele":
        one, other, fits = place + 1, place + 1, sizes == alleles - 1
    elif column.shape == "ref_and_allele":
        one, other, fits = place, place, sizes == alleles
    else:
        diploid = sizes == alleles * (alleles + 1) // 2
        fits = diploid | (sizes == alleles)
        larger = ((np.sqrt(8 * place + 1) - 1) // 2).astype(np.int64)  # F(j/k) = k(k+1)/2 + j
        one = np.where(diploid[of], larger, place)
        other = np.where(diploid[of], place - larger * (larger + 1) // 2, place)
    right, keep = fits[of], np.ones(len(place), np.bool_)
    start = first[of][right]
    keep[right] = stands[start + one[right]] & stands[start + other[right]]
    return keep


def _as_numbers(parts: pa.Array) -> pa.Array:
    """As the numbers of the other columns are spelled."""
    known = pc.match_substring_regex(parts, r"^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$")
    numbers = pc.if_else(known, pc.replace_substring_regex(parts, r"^\+", ""), None)
    return pc.coalesce(numbers.cast(pa.float64()).cast(pa.string()), parts)


def of_alternates(text: pa.Array, records: Records) -> pa.Array:
    """Number=A out of each row's value."""
    starts = np.cumsum(records.n_alts) - records.n_alts
    return _placed(text, starts[records.of] + records.allele - 1, records.n_alts)


def of_alleles(ref: pa.Array, alt: pa.Array, records: Records) -> pa.Array:
    """Number=R out of each row's two values."""
    counts = records.n_alts + 1
    starts = np.cumsum(counts) - counts
    places = np.concatenate((starts, starts[records.of] + records.allele))
    return _placed(pa.concat_arrays([records.by_record(ref), alt]), places, counts)


def _of_genotypes(text: pa.Array, starts: Ints, sizes: Ints, records: Records) -> pa.Array:
    """Number=G: 0/0, 0/a and a/a of each row, at F(j/k) = k(k+1)/2 + j; or 0 and a of haploids. VCF 4.3, 1.6.2."""
    alleles, size = records.n_alts + 1, sizes[records.first]
    counts = np.where(size == 3, alleles * (alleles + 1) // 2, np.where(size == 2, alleles, 0))
    begin = (np.cumsum(counts) - counts)[records.of]
    hom = records.allele * (records.allele + 1) // 2
    places, sources = [], []
    for use, offset, source in (
        (sizes >= 2, np.zeros_like(hom), 0), (sizes == 3, hom, 1), (sizes == 3, hom + records.allele, 2),
        (sizes == 2, records.allele, 1),
    ):
        places.append((begin + offset)[use])
        sources.append((starts + source)[use])
    return _placed(text.take(pa.array(np.concatenate(sources))), np.concatenate(places), counts)


def _placed(text: pa.Array, places: Ints, counts: Ints) -> pa.Array:
    """`counts[r]` values a record, of which number `places[i]` of all is `text[i]`, joined."""
    index = np.full(int(counts.sum()), -1, np.int64)
    index[places] = np.arange(len(places))
    return joined(take(text, index), counts)


def joined(text: pa.Array, counts: Ints, delimiter: str = ",") -> pa.Array:
    """`counts[r]` values a record as one text; null where all of them are null."""
    if len(text) == len(counts) and (counts == 1).all():
        return text
    present = np.concatenate(([0], np.cumsum(text.is_valid().to_numpy(zero_copy_only=False))))
    ends = np.cumsum(counts)
    some = present[ends] > present[ends - counts]
    whole = pc.binary_join(lists(text.fill_null("."), counts), delimiter)
    return whole if some.all() else pc.if_else(pa.array(some), whole, None)


def _lengths(array: pa.Array) -> Ints:
    lengths: Ints = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths
