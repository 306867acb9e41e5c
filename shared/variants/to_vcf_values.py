"""Typed values back into the text of VCF: numbers, percent-encoding, and lists put together again from alleles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.schema import KeyColumn
from shared.variants.vcf.spans import Ints, lists, take

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


@dataclass(frozen=True)
class Records:
    """How rows make records: record r begins at row `first[r]`; row i belongs to record `of[i]`, as its allele number
    `allele[i]` of `n_alts[of[i]]`."""

    first: Ints
    of: Ints
    allele: Ints
    n_alts: Ints

    def __len__(self) -> int:
        return len(self.first)

    def by_record(self, array: pa.Array) -> pa.Array:
        return array if len(self.first) == len(self.of) else array.take(pa.array(self.first))


def by_record(column: KeyColumn, array: pa.Array, records: Records, encoding: Encoding) -> pa.Array:
    """The text of a key for each record, null where it has no value. What no row knows of (another allele's value, the
    genotype of two alternates) is `.`."""
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
