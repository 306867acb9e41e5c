"""Reads for the reference and for one alternate, and the fraction of the latter, from what callers write.

In this order, for each sample of each record:

    AD              values for all alleles (VCF 4.3, table 2; GATK, DeepVariant, DRAGEN, bcftools), whatever its Number
    RD and AD       AD of one value, for the alternate (VarScan 2)
    RO and AO       FreeBayes: AO has one value an alternate; without RO, DP is the number of all reads
    AU CU GU TU     Strelka 2, SNVs: first value of a pair (tier 1) of the base's own key
    TAR, TIR        Strelka 2, indels: first value of a pair (tier 1)

Fraction: FORMAT AF or VAF of this allele if the caller gives one; else alternate / all reads of the source above (all
alleles for AD; reference and alternates otherwise). Null where a read count of it is missing or the sum is 0.
Strelka: https://github.com/Illumina/strelka/blob/v2.9.x/docs/userGuide/README.md#somatic, "Extracting allele
frequencies".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.schema import KeyColumn
from shared.variants.vcf.fields import Held, Others, Parsed, Wanted, by_row, keep_whole, negative, parse
from shared.variants.vcf.spans import Ints, take
from shared.variants.vcf.values import MINUS_ONE, ZERO

_BASES = "ACGT"
_ONE = pa.scalar(1, pa.int32())
_AD = KeyColumn("ad", "AD", "ref_and_allele", "Integer", None)


@dataclass(frozen=True)
class Reads:
    """By row; -1 where unknown."""

    ref: Ints
    alt: Ints
    total: Ints


class DepthReader:
    """Parses the keys once for all samples of a block; `read` then picks one sample's."""

    def __init__(self, held: dict[str, Held], n_alts: Ints, n_rows: Ints, ref: pa.Array, alt: pa.Array,
                 others: Others) -> None:
        """`n_alts` and `n_rows` by cell; `ref` and `alt` by row."""
        self.defects: list[tuple[str, Ints]] = []
        self._lists: dict[str, Parsed] = {}
        for key in ("AD", "AO", "RO", "RD", "DP", "TAR", "TIR", *(f"{base}U" for base in _BASES)):
            if key in held:
                self._lists[key] = parse(KeyColumn(key, key, "list", "Integer", None), held[key])
        self._fractions = [
            (column, parse(column, held[key]))
            for key in ("AF", "VAF") if key in held
            for column in [KeyColumn(key, key, "allele", "Float", None)]
        ]
        if "AD" in held:
            self._keep_misfits(held["AD"], self._lists["AD"], n_alts, n_rows, others)
        self._totals = {key: _totals(self._lists[key]) for key in ("AD", "AO") if key in self._lists}
        self._strelka = "AU" in held or "TIR" in held
        self._ref_bases, self._alt_bases = _bases(ref, self._strelka), _bases(alt, self._strelka)

    def _keep_misfits(self, held: Held, parsed: Parsed, n_alts: Ints, n_rows: Ints, others: Others) -> None:
        count = parsed.count[held.at]
        wrong = (count > 0) & (count != n_alts[held.at] + 1)
        if "RD" in self._lists:
            wrong &= count != 1
        wrong[parsed.misfits] = True
        below = np.zeros(len(wrong), np.bool_)
        minus = np.flatnonzero(negative(parsed.values))
        if len(minus):
            below[np.searchsorted(parsed.first[held.at], minus, side="right") - 1] = True
        for found, message in ((wrong, "not one number for each allele"), (below, "is negative; taken as missing")):
            at = np.flatnonzero(found)
            if len(at):
                self.defects.append((f"FORMAT AD: {message}", held.at[at]))
                others.add("AD", held.at[at], held.texts[at].to_arrow())
        kept = np.zeros(held.owners, np.bool_)
        kept[held.at] = wrong | below
        keep_whole(_AD, held, np.where(kept, 0, parsed.count), n_alts, n_rows, others)

    def read(self, wanted: Wanted) -> dict[str, pa.Array]:
        reads = self._by_allele(wanted)
        if "AO" in self._lists:
            reads = _first_known(reads, self._freebayes(wanted))
        if self._strelka:
            reads = _first_known(reads, self._strelka_reads(wanted))
        known = (reads.alt >= 0) & (reads.total > 0)
        vaf = pa.array(reads.alt / np.where(known, reads.total, 1), mask=~known)
        for column, parsed in reversed(self._fractions):
            given = by_row(column, parsed, wanted)
            vaf = pc.coalesce(pc.if_else(pc.less(given, ZERO), None, given), vaf)
        return {"ad_ref": pa.array(reads.ref, mask=reads.ref < 0), "ad_alt": pa.array(reads.alt, mask=reads.alt < 0),
                "vaf": vaf}

    def _value(self, key: str, wanted: Wanted, index: Ints | int, size: Ints | int) -> Ints:
        """Value number `index` of rows whose list has `size` values (0: any number of them); else -1."""
        if key not in self._lists:
            return np.full(len(wanted.owner), -1, np.int64)
        parsed = self._lists[key]
        first, count = parsed.first[wanted.owner], parsed.count[wanted.owner]
        right = (count > 0) if isinstance(size, int) and size == 0 else count == size
        return _non_negative(take(parsed.values, np.where(right, first + index, -1)))

    def _by_allele(self, wanted: Wanted) -> Reads:
        nothing = np.full(len(wanted.owner), -1, np.int64)
        if "AD" not in self._lists:
            return Reads(nothing, nothing, nothing)
        size = wanted.n_alts + 1
        ref, alt = self._value("AD", wanted, 0, size), self._value("AD", wanted, wanted.allele, size)
        right = self._lists["AD"].count[wanted.owner] == size
        reads = Reads(ref, alt, np.where(right, self._totals["AD"][wanted.owner], -1))
        if "RD" not in self._lists:
            return reads
        varscan_ref, varscan_alt = self._value("RD", wanted, 0, 1), self._value("AD", wanted, 0, 1)
        return _first_known(reads, _of_two(varscan_ref, varscan_alt))

    def _freebayes(self, wanted: Wanted) -> Reads:
        ref, alt = self._value("RO", wanted, 0, 1), self._value("AO", wanted, wanted.allele - 1, wanted.n_alts)
        if "RO" not in self._lists:
            return Reads(ref, alt, self._value("DP", wanted, 0, 1))
        all_alts = self._totals["AO"][wanted.owner]
        return Reads(ref, alt, np.where((ref >= 0) & (all_alts >= 0), ref + all_alts, -1))

    def _strelka_reads(self, wanted: Wanted) -> Reads:
        ref, alt = self._value("TAR", wanted, 0, 0), self._value("TIR", wanted, 0, 0)
        snv_ref, snv_alt = self._base_reads(self._ref_bases, wanted), self._base_reads(self._alt_bases, wanted)
        return _first_known(_of_two(snv_ref, snv_alt), _of_two(ref, alt))

    def _base_reads(self, bases: Ints, wanted: Wanted) -> Ints:
        reads = np.full(len(wanted.owner), -1, np.int64)
        for base in _BASES:
            reads = np.where(bases == ord(base), self._value(f"{base}U", wanted, 0, 0), reads)
        return reads


def _totals(parsed: Parsed) -> Ints:
    """The sum of each cell's values; -1 where one of them is missing."""
    values = _non_negative(parsed.values)
    sums = np.concatenate(([0], np.cumsum(np.maximum(values, 0))))
    gaps = np.concatenate(([0], np.cumsum(values < 0)))
    last = parsed.first + parsed.count
    return np.where(gaps[last] == gaps[parsed.first], sums[last] - sums[parsed.first], -1)


def _bases(alleles: pa.Array, needed: bool) -> Ints:
    """The letter (upper case, ASCII code) of alleles of one base, 0 for others."""
    if not needed:
        return np.zeros(0, np.int64)
    single = pc.equal(pc.binary_length(alleles), _ONE).to_numpy(zero_copy_only=False)
    codes = np.zeros(len(alleles), np.int64)
    letters = pc.ascii_upper(alleles.filter(pa.array(single))).buffers()[2]
    codes[single] = np.frombuffer(letters or b"", np.uint8)[: int(single.sum())]
    return codes


def _of_two(ref: Ints, alt: Ints) -> Reads:
    return Reads(ref, alt, np.where((ref >= 0) & (alt >= 0), ref + alt, -1))


def _first_known(first: Reads, second: Reads) -> Reads:
    unknown = (first.ref < 0) & (first.alt < 0)
    return Reads(np.where(unknown, second.ref, first.ref), np.where(unknown, second.alt, first.alt),
                 np.where(unknown, second.total, first.total))


def _non_negative(values: pa.Array) -> Ints:
    """-1 for null, and for what is negative."""
    numbers: Ints = values.fill_null(MINUS_ONE).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.maximum(numbers, -1)
