"""Values of one INFO or FORMAT key by row: typed as declared, and split per allele where the header says so.

The rules are the same for INFO and for FORMAT: an *owner* (a record, or one sample's cell of a record) holds a text; a
row wants what that text says about its allele. What does not fit goes to the `..._other` column as it was written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.schema import OTHER, KeyColumn
from shared.variants.vcf.spans import Bools, Ints, Spans, lists, ranges, spread, take
from shared.variants.vcf.values import FALSE, ZERO, decoded, typed

_LEAST, _GREATEST = -(1 << 31) + 8, (1 << 31) - 1


@dataclass(frozen=True)
class Held:
    """The texts of one key: `texts[i]` belongs to owner `at[i]` (ascending, without repeats) of `owners`."""

    texts: Spans
    at: Ints
    owners: int

    def by_row(self, owner: Ints) -> pa.Array:
        """As written, null for `.`: row r wants that of owner `owner[r]`. Long texts are copied once."""
        index = np.full(self.owners, -1, np.int64)
        index[self.at] = np.where(self.texts.is_missing(), -1, np.arange(len(self.at)))
        wanted = index[owner]
        return self.texts[wanted].to_arrow(wanted >= 0)


@dataclass
class Others:
    """Gathers what has no column of its own, to become one list<struct<key, value>> by owner."""

    owners: int
    _at: list[Ints] = field(default_factory=list)
    _keys: list[pa.Array] = field(default_factory=list)
    _values: list[pa.Array] = field(default_factory=list)

    def add(self, key: str, at: Ints, texts: pa.Array) -> None:
        """`texts` as in the file, null for a key without `=`; `at` are their owners."""
        if len(at):
            self._at.append(at)
            self._keys.append(pa.repeat(pa.scalar(key, pa.string()), len(at)))
            self._values.append(decoded(texts))

    def column(self) -> pa.Array:
        if not self._at:
            return pa.nulls(self.owners, OTHER)
        at = np.concatenate(self._at)
        order = pa.array(np.argsort(at, kind="stable"))
        keys, values = pa.concat_arrays(self._keys).take(order), pa.concat_arrays(self._values).take(order)
        counts = np.bincount(at, minlength=self.owners)
        pairs = pa.StructArray.from_arrays([keys, values], fields=list(OTHER.value_type))
        return lists(pairs, counts, counts > 0)


@dataclass(frozen=True)
class Parsed:
    """A key's values by owner. For `value`: `values` has one an owner. For the others `values` are all parts of all
    texts in order, `first[o]` and `count[o]` say which are owner o's (count 0: no value, or `.`).

    `misfits` are the positions in `held.at` whose text is not what the header says.
    """

    values: pa.Array
    first: Ints
    count: Ints
    misfits: Ints


def parse(column: KeyColumn, held: Held) -> Parsed:
    return _parse_values(column, held) if column.shape == "value" else _parse_lists(column, held)


def _parse_values(column: KeyColumn, held: Held) -> Parsed:
    none = np.zeros(0, np.int64)
    values, bad = typed(held.texts, column.kind)
    return Parsed(spread(values, held.at, held.owners), none, none, np.flatnonzero(bad))


def _parse_lists(column: KeyColumn, held: Held) -> Parsed:
    counts, parts = held.texts.split(",")
    values, bad = typed(parts, column.kind)
    bad |= (parts.sizes == 0) & np.repeat(counts > 1, counts)
    counts_by_owner = np.zeros(held.owners, np.int64)
    counts_by_owner[held.at] = np.where(held.texts.is_missing() | (held.texts.sizes == 0), 0, counts)
    first_by_owner = np.zeros(held.owners, np.int64)
    first_by_owner[held.at] = np.cumsum(counts) - counts
    misfits = np.zeros(0, np.int64)
    if bad.any():
        misfits = np.unique(np.repeat(np.arange(len(counts)), counts)[bad])
        counts_by_owner[held.at[misfits]] = 0
    return Parsed(values, first_by_owner, counts_by_owner, misfits)


@dataclass(frozen=True)
class Wanted:
    """What the rows want: row r asks owner `owner[r]`, whose record has `n_alts[r]` alternates, about `allele[r]`."""

    owner: Ints
    allele: Ints
    n_alts: Ints


def by_row(column: KeyColumn, parsed: Parsed, rows: Wanted) -> pa.Array:
    """The column's array by row; null where the number of values is not what the header's Number asks for."""
    if column.shape == "value":
        return parsed.values if _same(rows.owner, len(parsed.values)) else parsed.values.take(pa.array(rows.owner))
    first, count = parsed.first[rows.owner], parsed.count[rows.owner]
    if column.shape == "allele":
        return take(parsed.values, np.where(count == rows.n_alts, first + rows.allele - 1, -1))
    if column.shape == "ref_and_allele":
        return _picked(parsed.values, count == rows.n_alts + 1, [first, first + rows.allele])
    if column.shape == "genotypes":
        return _genotypes(parsed.values, first, count, rows)
    return lists(parsed.values.take(pa.array(ranges(first, count))), count, count > 0)


def _same(owner: Ints, n: int) -> bool:
    return len(owner) == n and (n == 0 or bool((owner == np.arange(n)).all()))


def _picked(values: pa.Array, valid: Bools, parts: list[Ints]) -> pa.Array:
    index = np.column_stack(parts)[valid].ravel()
    return lists(values.take(pa.array(index)), np.where(valid, len(parts), 0), valid)


def _genotypes(values: pa.Array, first: Ints, count: Ints, rows: Wanted) -> pa.Array:
    """Diploid: values of 0/0, 0/a and a/a, at F(j/k) = k(k+1)/2 + j; haploid: of 0 and a. VCF 4.3, 1.6.2 (GL)."""
    alleles = rows.n_alts + 1
    diploid, haploid = count == alleles * (alleles + 1) // 2, count == alleles
    haploid &= ~diploid
    size = np.where(diploid, 3, np.where(haploid, 2, 0))
    hom = rows.allele * (rows.allele + 1) // 2
    second = np.where(diploid, hom, rows.allele)
    index = np.column_stack((first, first + second, first + hom + rows.allele))
    used = np.arange(3) < size[:, None]
    return lists(values.take(pa.array(index[used])), size, size > 0)


def count_misfits(column: KeyColumn, held: Held, parsed: Parsed, n_alts: Ints, ploidy: Ints | None = None) -> Ints:
    """Positions in `held.at` of well-typed texts with another number of values than Number asks for.

    `n_alts` and `ploidy` (0 where unknown) are by owner. For A, R and G such values cannot be split, so they become
    null; for a fixed number they stay the list that they are.
    """
    if column.shape == "value":
        return np.zeros(0, np.int64)
    count, alts = parsed.count[held.at], n_alts[held.at]
    if column.shape == "allele":
        right = count == alts
    elif column.shape == "ref_and_allele":
        right = count == alts + 1
    elif column.shape == "genotypes":
        right = _is_genotype_count(count, alts + 1, None if ploidy is None else ploidy[held.at])
    elif column.fixed_count is not None:
        right = count == column.fixed_count
    else:
        return np.zeros(0, np.int64)
    misfits = np.flatnonzero(~right & (count > 0))
    if column.shape != "list":
        parsed.count[held.at[misfits]] = 0
    return misfits


def keep_whole(column: KeyColumn, held: Held, count: Ints, n_alts: Ints, n_rows: Ints, others: Others) -> None:
    """Adds the texts of which the rows do not hold every value: of alternates that make no row, and of genotypes of two
    alternates. `count` values, `n_alts` alternates and `n_rows` rows are by owner; a `count` of 0 is kept otherwise."""
    if column.shape not in ("allele", "ref_and_allele", "genotypes"):
        return
    lost = n_rows < n_alts
    if column.shape == "genotypes":
        lost = lost | (n_alts > 1)
    at = np.flatnonzero((lost & (n_rows > 0) & (count > 0))[held.at])
    if len(at):
        others.add(column.key, held.at[at], held.texts[at].to_arrow())


def _is_genotype_count(count: Ints, alleles: Ints, ploidy: Ints | None) -> Bools:
    """Whether there is one value for each of the C(alleles + ploidy - 1, ploidy) genotypes."""
    right: Bools = (count == alleles) | (count == alleles * (alleles + 1) // 2)
    if ploidy is None:
        return right
    for n in np.unique(ploidy[ploidy > 0]):
        mine = ploidy == n
        expected = np.array([comb(a + int(n) - 1, int(n)) for a in range(int(alleles[mine].max()) + 1)])
        right[mine] = count[mine] == expected[alleles[mine]]
    return right


def outside_32_bits(values: pa.Array) -> Bools:
    """VCF 4.3, section 1.3: from -2^31 + 8 (what is below is reserved for BCF) to 2^31 - 1."""
    least, greatest = _bounds(values)
    if least >= _LEAST and greatest <= _GREATEST:
        return np.zeros(len(values), np.bool_)
    return any_true(pc.or_(pc.less(values, _LEAST), pc.greater(values, _GREATEST)))


def any_true(array: pa.Array) -> Bools:
    result: Bools = array.fill_null(FALSE).to_numpy(zero_copy_only=False)
    return result


def _bounds(values: pa.Array) -> tuple[float, float]:
    """Of the numbers among them; 0 without any."""
    found = pc.min_max(values)
    return found["min"].as_py() or 0, found["max"].as_py() or 0


def negative(values: pa.Array) -> Bools:
    if _bounds(values)[0] >= 0:
        return np.zeros(len(values), np.bool_)
    return any_true(pc.less(values, ZERO))
