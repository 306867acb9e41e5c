"""The sample columns of a block: genotypes, depths, and every other FORMAT key, by row. VCF 4.3, section 1.6.2.

A *cell* is one sample's column of one record; cells are numbered record after record, samples within.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.report import Notes
from shared.variants.schema import SAMPLE_FIELDS, KeyColumn, TableSchema
from shared.variants.vcf.alleles import Rows
from shared.variants.vcf.depths import DepthReader
from shared.variants.vcf.fields import (
    Held,
    Others,
    Parsed,
    Wanted,
    any_true,
    by_row,
    count_misfits,
    keep_whole,
    negative,
    parse,
)
from shared.variants.vcf.genotype import CARRYING, ZYGOSITIES, Genotype, highest_allele, parse_genotype
from shared.variants.vcf.header import Header
from shared.variants.vcf.lines import Block, shown
from shared.variants.vcf.reserved import NON_NEGATIVE, RESERVED_FORMAT
from shared.variants.vcf.site import FORMAT
from shared.variants.vcf.spans import Ints, spread

_ZYGOSITIES = pa.array(ZYGOSITIES)
_KEY = re.compile(r"^[A-Za-z_][0-9A-Za-z_.]*$")
DP = KeyColumn("dp", "DP", "value", "Integer", 1)
GQ = KeyColumn("gq", "GQ", "value", "Float", 1)


@dataclass(frozen=True)
class Genotypes:
    """By cell: `codes` into `known`, -1 without GT; `text` as written."""

    text: pa.Array
    codes: Ints
    known: tuple[Genotype, ...]

    def ploidy(self) -> Ints:
        return np.array([*(len(genotype.alleles) for genotype in self.known), 0])[self.codes]


class SampleReader:
    """Reads the sample columns of one block."""

    def __init__(self, header: Header, schema: TableSchema, notes: Notes) -> None:
        self._header, self._schema, self._notes = header, schema, notes
        self._samples = len(header.samples)

    def read(self, block: Block, ref: pa.Array, rows: Rows) -> tuple[dict[str, pa.Array], list[Counter[str]]]:
        """(columns by name, by row; rows by zygosity, by sample). Raises VcfRefused for what is no genotype, an allele
        number that the record does not have, and more values than FORMAT names."""
        if not self._samples:
            return {}, []
        cells = len(block) * self._samples
        others = Others(cells)
        held = self._by_key(block)
        n_alts, n_rows = (np.repeat(n, self._samples) for n in (rows.n_alts, rows.n_rows))
        genotypes = self._genotypes(block, held.get("GT"), n_alts)
        parsed = self._parse_all(block, held, n_alts, genotypes, others)
        for column, values in parsed:
            keep_whole(column, held[column.key], values.count, n_alts, n_rows, others)
        depths = DepthReader(held, n_alts, n_rows, rows.expand(ref), rows.alt, others)
        for message, at in depths.defects:
            self._note(block, message, at)
        other_column = others.column()
        phase_sets = _phase_sets(held.get("PS"))
        columns: dict[str, pa.Array] = {}
        counts = []
        for i in range(self._samples):
            wanted = Wanted(rows.record * self._samples + i, rows.allele, rows.n_alts[rows.record])
            fields = dict.fromkeys(name for name, _ in SAMPLE_FIELDS)
            count = self._genotype_fields(genotypes, wanted, fields)
            for column, values in parsed:
                fields[column.name] = by_row(column, values, wanted)
            if phase_sets is not None:
                fields["phase_set"] = phase_sets.take(pa.array(wanted.owner))
            fields.update(depths.read(wanted))
            fields["fmt_other"] = other_column.take(pa.array(wanted.owner))
            columns.update((self._schema.sample_column(i, k), v) for k, v in fields.items() if v is not None)
            counts.append(count)
        return columns, counts

    def _by_key(self, block: Block) -> dict[str, Held]:
        record_codes, formats = block.column(FORMAT).encode()
        names = [self._format_keys(block, text, np.flatnonzero(record_codes == code))
                 for code, text in enumerate(formats)]
        codes = np.repeat(record_codes, self._samples)
        counts, values = block.cells().split(":")
        first = np.cumsum(counts) - counts
        most = np.array([len(keys) for keys in names])[codes]
        too_many = np.flatnonzero(counts > most)
        if len(too_many):
            cell = int(too_many[0])
            raise block.refuse(cell // self._samples, f"sample {self._header.samples[cell % self._samples]} has "
                               f"{counts[cell]} values, FORMAT names {most[cell]}")
        where: dict[str, list[Ints]] = {}
        for code, keys in enumerate(names):
            at = np.flatnonzero(codes == code) if len(names) > 1 else np.arange(len(codes))
            for j, key in enumerate(keys):
                mine = at if j == 0 else at[counts[at] > j]
                where.setdefault(key, []).append(np.stack((mine, first[mine] + j)))
        held = {}
        for key, found in where.items():
            pairs = found[0] if len(found) == 1 else np.hstack(found)
            if len(found) > 1:
                pairs = pairs[:, np.argsort(pairs[0], kind="stable")]
            held[key] = Held(values[pairs[1]], pairs[0], len(codes))
        self._note_empty(block, held)
        return held

    def _note_empty(self, block: Block, held: dict[str, Held]) -> None:
        """A value of no length means an empty list in 4.5, and is a slip before that."""
        if self._header.version >= (4, 5):
            return
        for key, texts in held.items():
            empty = np.flatnonzero(texts.texts.sizes == 0)
            if len(empty):
                self._note(block, f"FORMAT {shown(key)}: an empty value", texts.at[empty])

    def _format_keys(self, block: Block, text: str, records: Ints) -> list[str]:
        keys = [] if text == "." else text.split(":")
        for defect in self._format_defects(keys):
            self._notes.add("format", defect, block.line(int(records[0])), len(records))
        # Only the first of a key that stands twice can have the column.
        return [key if keys.index(key) == j else f"{key}#{j}" for j, key in enumerate(keys)] or ["."]

    def _format_defects(self, keys: list[str]) -> list[str]:
        odd = " and holds more than letters and digits" if self._header.version < (4, 3) else ""
        defects = [f"FORMAT key {shown(key)} is not declared{'' if key.isalnum() else odd}; kept as text"
                   for key in keys if _KEY.match(key) and key not in self._header.format]
        defects += [f"FORMAT key {shown(key)} holds a character that keys may not have" if key else
                    "FORMAT holds an empty key" for key in keys if not _KEY.match(key)]
        if "GT" in keys[1:]:
            defects.append("GT is not the first key of FORMAT")
        if len(set(keys)) < len(keys):
            defects.append(f"a key stands twice in FORMAT {shown(':'.join(keys))}")
        return defects

    def _genotypes(self, block: Block, held: Held | None, n_alts: Ints) -> Genotypes:
        codes = np.full(len(n_alts), -1, np.int64)
        if held is None:
            return Genotypes(pa.nulls(len(n_alts), pa.string()), codes, ())
        filled = np.flatnonzero(held.texts.sizes > 0)
        at = held.at[filled]
        texts = held.texts[filled]
        short_codes, spellings = texts.encode()
        found = short_codes.astype(np.int64)
        known = [parse_genotype(spelling) for spelling in spellings]
        for code, genotype in enumerate(known):
            if genotype is None:
                cell = int(at[np.argmax(found == code)])
                raise block.refuse(cell // self._samples, f"GT of sample {self._header.samples[cell % self._samples]} "
                                   f"is not a genotype: {shown(spellings[code])}")
        good = tuple(genotype for genotype in known if genotype is not None)
        self._check_alleles(block, good, spellings, found, at, n_alts)
        codes[at] = found
        return Genotypes(spread(texts.to_arrow(), at, len(codes)), codes, good)

    def _check_alleles(self, block: Block, known: tuple[Genotype, ...], spellings: list[str], found: Ints, at: Ints,
                       n_alts: Ints) -> None:
        beyond = np.array([genotype.highest for genotype in known], np.int64)[found] > n_alts[at]
        no_alternate = np.flatnonzero(beyond & (n_alts[at] == 0))
        if len(no_alternate):
            # The specification's own valid files have such records; they make no row.
            self._note(block, "GT names an alternate in a record without one", at[no_alternate])
        too_high = np.flatnonzero(beyond & (n_alts[at] > 0))
        if len(too_high):
            i = int(too_high[0])
            cell = int(at[i])
            raise block.refuse(cell // self._samples, f"GT {shown(spellings[found[i]])} of sample "
                               f"{self._header.samples[cell % self._samples]} names an allele that the record does not "
                               f"have: {n_alts[cell]} alternates")
        marked = [code for code, genotype in enumerate(known) if genotype.leading_mark]
        if marked and self._header.version < (4, 4):
            cell = int(at[np.argmax(np.isin(found, marked))])
            self._note(block, "GT begins with a phase mark, which VCF has from 4.4 on", np.array([cell]))

    def _genotype_fields(self, genotypes: Genotypes, wanted: Wanted, fields: dict[str, pa.Array]) -> Counter[str]:
        codes = genotypes.codes[wanted.owner]
        if not genotypes.known:
            return Counter()
        absent = codes < 0
        width = max(highest_allele(genotypes.known), int(wanted.allele.max(initial=0))) + 1
        pairs = np.where(absent, 0, codes) * width + wanted.allele
        occurring = np.zeros(len(genotypes.known) * width, np.bool_)
        occurring[pairs] = True
        table = np.zeros(len(occurring), np.int8)
        for pair in np.flatnonzero(occurring):
            code, allele = divmod(int(pair), width)
            table[pair] = ZYGOSITIES.index(genotypes.known[code].zygosity(allele))
        zygosity = table[pairs]
        carrying = np.array([name in CARRYING for name in ZYGOSITIES])
        phased = np.array([genotype.phased for genotype in genotypes.known])
        fields["gt"] = genotypes.text.take(pa.array(wanted.owner))
        fields["phased"] = pa.array(phased[codes], mask=absent)
        fields["zygosity"] = _ZYGOSITIES.take(pa.array(zygosity, mask=absent))
        fields["carries"] = pa.array(carrying[zygosity], mask=absent)
        counts = np.bincount(zygosity[~absent], minlength=len(ZYGOSITIES))
        return Counter({name: int(n) for name, n in zip(ZYGOSITIES, counts, strict=True) if n})

    def _parse_all(self, block: Block, held: dict[str, Held], n_alts: Ints, genotypes: Genotypes,
                   others: Others) -> list[tuple[KeyColumn, Parsed]]:
        parsed = []
        for key, texts in held.items():
            column = {"DP": DP, "GQ": GQ}.get(key) or self._schema.format.get(key)
            if column is not None:
                parsed.append((column, self._parsed(block, column, texts, n_alts, genotypes, others)))
            elif key not in ("GT", "AD"):
                said = texts.texts
                telling = np.flatnonzero(~said.is_missing() & (said.sizes > 0))
                others.add(key.partition("#")[0], texts.at[telling], said[telling].to_arrow())
                self._check_reserved(block, key, texts, n_alts, genotypes)
        return parsed

    def _parsed(self, block: Block, column: KeyColumn, held: Held, n_alts: Ints, genotypes: Genotypes,
                others: Others) -> Parsed:
        parsed = parse(column, held)
        wrong = count_misfits(column, held, parsed, n_alts, genotypes.ploidy() if column.shape == "genotypes" else None)
        for misfits, what in ((parsed.misfits, f"no {column.kind}"), (wrong, "not as many values as its Number says")):
            if len(misfits):
                self._note(block, f"FORMAT {column.key}: {what}", held.at[misfits])
            if what.startswith("no ") or column.shape != "list":
                others.add(column.key, held.at[misfits], held.texts[misfits].to_arrow())
        if column.kind == "Character":
            long = np.flatnonzero(any_true(pc.greater(pc.utf8_length(parsed.values), 1)))
            if len(long):
                self._notes.add("sample_value", f"FORMAT {column.key} is longer than one character",
                                block.line(0), len(long))
        if column in (DP, GQ):
            parsed = self._without_negatives(block, column, held, parsed, others)
        return parsed

    def _without_negatives(self, block: Block, column: KeyColumn, held: Held, parsed: Parsed, others: Others) -> Parsed:
        """Some callers write -1 for "unknown": nobody may meet it as a depth or a quality."""
        below = negative(parsed.values)
        if not below.any():
            return parsed
        cells = np.flatnonzero(below)
        self._note(block, f"FORMAT {column.key} is negative; taken as missing", cells)
        others.add(column.key, cells, held.texts[np.searchsorted(held.at, cells)].to_arrow())
        return Parsed(pc.if_else(pa.array(below), None, parsed.values), parsed.first, parsed.count, parsed.misfits)

    def _check_reserved(self, block: Block, key: str, held: Held, n_alts: Ints, genotypes: Genotypes) -> None:
        """A reserved key has a type and a number without being declared."""
        number, kind = RESERVED_FORMAT.get(key, (None, "Any"))
        if number not in ("1", "A", "R", "G") or kind == "Any":
            return
        shape = {"1": "value", "A": "allele", "R": "ref_and_allele", "G": "genotypes"}[number]
        column = KeyColumn(key, key, shape, kind, None)  # type: ignore[arg-type]
        parsed = parse(column, held)
        wrong = count_misfits(column, held, parsed, n_alts, genotypes.ploidy())
        for misfits, what in ((parsed.misfits, f"no {kind}"), (wrong, "not as many values as the specification says")):
            if len(misfits):
                self._note(block, f"FORMAT {key}: {what}", held.at[misfits])
        if key in NON_NEGATIVE and (below := np.flatnonzero(negative(parsed.values))).size and shape == "value":
            self._note(block, f"FORMAT {key} is negative", below)

    def _note(self, block: Block, message: str, cells: Ints) -> None:
        self._notes.add("sample_value", message, block.line(int(cells[0]) // self._samples), len(cells))


def _phase_sets(held: Held | None) -> pa.Array | None:
    """PS by cell, as written: it is a name, whatever type a header gives it."""
    if held is None:
        return None
    texts = held.texts
    return spread(texts.to_arrow((texts.sizes > 0) & ~texts.is_missing()), held.at, held.owners)
