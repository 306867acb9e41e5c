"""Which entries of an annotation speak for which row: by the allele that the entry names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.vcf.alleles import Rows
from shared.variants.vcf.entries import Entries
from shared.variants.vcf.fields import any_true
from shared.variants.vcf.spans import Bools, Ints, ranges
from shared.variants.vcf.values import DASH, NO_TEXT


@dataclass(frozen=True)
class Pairs:
    """Which entries may speak for which row: pair i is (row[i], entry[i]), rows ascending."""

    row: Ints
    entry: Ints


def pairs_of(entries: Entries, ref: pa.Array, rows: Rows) -> Pairs:
    """By the entry's own allele where a record has several, or where its entries do: tools that part the alternates of
    a record leave it the entries of all. Where none is of the only allele that makes a row, all are meant, however
    spelled."""
    count = entries.count[rows.record]
    row = np.repeat(np.arange(len(rows)), count)
    entry = ranges(entries.first[rows.record], count)
    several = np.repeat(((rows.n_alts > 1) | _several_alleles(entries, len(rows.n_alts)))[rows.record], count)
    keep = ~entries.is_pointer()[entry]
    at = np.flatnonzero(several & keep)
    if len(at):
        keep[at] = _same_allele(entries, ref, rows, row[at], entry[at])
        matched = np.bincount(row[keep], minlength=len(rows))
        only = np.bincount(rows.record, minlength=len(rows.n_alts))[rows.record] == 1
        keep[at] |= (only & (matched == 0))[row[at]]
    return Pairs(row, entry) if keep.all() else Pairs(row[keep], entry[keep])


def _several_alleles(entries: Entries, records: int) -> Bools:
    """By record: whether its entries name different alleles."""
    found = np.zeros(records, np.bool_)
    place = entries.layout.places.get("allele")
    if place is not None and len(entries) > 1:
        codes, _ = entries.field(place).encode()
        owner = np.repeat(np.arange(records), entries.count)
        found[owner[1:][(codes[1:] != codes[:-1]) & (owner[1:] == owner[:-1])]] = True
    return found


def _same_allele(entries: Entries, ref: pa.Array, rows: Rows, row: Ints, entry: Ints) -> Bools:
    """Whether the entry's own allele is the row's: by ALLELE_NUM where the record has several, else by its text."""
    spelled = _same_spelling(entries, ref, rows, row, entry)
    if (number := entries.text("allele_number")) is None:
        return spelled
    numbered = any_true(pc.equal(number.take(pa.array(entry)), pa.array(rows.allele[row]).cast(pa.string())))
    return np.where(rows.n_alts[rows.record[row]] > 1, numbered, spelled)


def _same_spelling(entries: Entries, ref: pa.Array, rows: Rows, row: Ints, entry: Ints) -> Bools:
    """As written, or without the first base that VEP drops where all alleles of a record begin alike and one differs in
    length."""
    which, back = np.unique(entry, return_inverse=True)
    if (allele := entries.text("allele", which)) is None:
        return _same_change(entries, rows, row, entry)
    asked, of = np.unique(row, return_inverse=True)
    record, alt = rows.record[asked], rows.alt.take(pa.array(asked))
    ref = ref.take(pa.array(asked))
    alike = any_true(pc.equal(pc.utf8_slice_codeunits(ref, 0, 1), pc.utf8_slice_codeunits(alt, 0, 1)))
    differs = any_true(pc.not_equal(pc.binary_length(ref), pc.binary_length(alt)))
    unlike = np.bincount(record[~alike], minlength=len(rows.n_alts))
    dropped = (unlike == 0) & (np.bincount(record[differs], minlength=len(rows.n_alts)) > 0)
    shorter = pc.utf8_slice_codeunits(alt, 1)
    shorter = pc.if_else(pc.equal(shorter, NO_TEXT), DASH, shorter)
    spelled = pc.if_else(pa.array(dropped[record]), shorter, alt)
    said = allele.take(pa.array(back))
    whole = any_true(pc.equal(said, alt.take(pa.array(of))))
    return whole | any_true(pc.equal(said, spelled.take(pa.array(of))))


def _same_change(entries: Entries, rows: Rows, row: Ints, entry: Ints) -> Bools:
    """bcftools csq names no allele; coding changes have it in dna_change (`123A>T`), others hold for all."""
    which, back = np.unique(entry, return_inverse=True)
    changes = entries.text("dna_change", which)
    if changes is None:
        return np.ones(len(row), np.bool_)
    ending = pc.binary_join_element_wise(pa.scalar(">"), rows.alt.take(pa.array(row)), "")
    said = changes.take(pa.array(back)).to_pylist()
    return np.array([not change or change.split("+")[0].endswith(alt)
                     for change, alt in zip(said, ending.to_pylist(), strict=True)], np.bool_)
