"""The INFO column of a block: one Arrow column per declared key, and the rest kept as text. VCF 4.3, section 1.6.1."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants import kernels
from shared.variants.report import Notes
from shared.variants.schema import KeyColumn, TableSchema
from shared.variants.vcf.alleles import Rows
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
    outside_32_bits,
    parse,
)
from shared.variants.vcf.lines import Block, shown
from shared.variants.vcf.reserved import AT_MOST_ONE, NON_NEGATIVE, RESERVED_INFO
from shared.variants.vcf.site import INFO
from shared.variants.vcf.spans import Bools, Ints, Spans
from shared.variants.vcf.values import ONE

# VCF 4.3, section 1.6.1: the grammar of an INFO key.
_KEY = re.compile(r"^(?:[A-Za-z_][0-9A-Za-z_.]*|1000G)$")
_CIGAR = r"^(?:[0-9]+[MIDNSHPX=])+$"


class InfoReader:
    """Reads the INFO column of one block."""

    def __init__(self, schema: TableSchema, notes: Notes) -> None:
        self._schema = schema
        self._notes = notes

    def read(self, block: Block, rows: Rows) -> tuple[dict[str, pa.Array], dict[str, Held]]:
        """(columns by name, by row; the texts of each key by record)."""
        n = len(block)
        others = Others(n)
        held = self._by_key(block, others)
        n_rows = rows.n_rows
        wanted = Wanted(rows.record, rows.allele, rows.n_alts[rows.record])
        absent = pa.array(np.zeros(len(rows), np.bool_))
        columns = {column.name: absent for column in self._schema.info.values() if column.kind == "Flag"}
        for key, texts in held.items():
            column = self._schema.info.get(key)
            if column is None:
                self._undeclared(block, key, texts, others)
                continue
            if column.raw:
                columns[column.name] = texts.by_row(rows.record)
                continue
            parsed = self._parsed(block, column, texts, rows.n_alts, others)
            keep_whole(column, texts, parsed.count, rows.n_alts, n_rows, others)
            columns[column.name] = by_row(column, parsed, wanted)
        columns["info_other"] = rows.expand(others.column())
        return columns, held

    def _by_key(self, block: Block, others: Others) -> dict[str, Held]:
        """Cuts INFO at `;` and `=`. Keys without a value are settled here: flags, and what should have had one."""
        column = block.column(INFO)
        with_info = np.flatnonzero(~column.is_missing())
        text, fields = column.text, column[with_info]
        parts = kernels.keyed(text.u8, text.positions(";"), text.positions("="), fields.starts, fields.ends)
        held = {}
        for code, name in enumerate(zip(parts.key_starts, parts.key_ends, strict=True)):
            key = text.data[slice(*name)].decode()
            mine = slice(parts.bounds[code], parts.bounds[code + 1])
            records, valued = with_info[parts.owners[mine]], parts.valued[mine]
            self._check_key(block, key, int(records[0]), len(records))
            texts = Held(Spans(text, parts.starts[mine], parts.ends[mine]), records, len(block))
            repeated = np.flatnonzero(np.diff(records) == 0) + 1
            if len(repeated):
                self._keep_repeats(block, key, texts, repeated, others)
                once = np.delete(np.arange(len(records)), repeated)
                texts, valued = Held(texts.texts[once], records[once], len(block)), valued[once]
            held[key] = texts
            self._check_equals(block, key, valued, texts.at, others)
        return held

    def _check_key(self, block: Block, key: str, record: int, times: int) -> None:
        if not key:
            self._notes.add("info_key", "an INFO entry is empty", block.line(record), times)
        elif not _KEY.match(key):
            self._notes.add("info_key", f"INFO key {shown(key)} holds a character that keys may not have",
                            block.line(record), times)

    def _keep_repeats(self, block: Block, key: str, held: Held, repeated: Ints, others: Others) -> None:
        self._notes.add("info_repeated", f"INFO key {shown(key)} stands twice in one record; the first is used",
                        block.line(int(held.at[repeated[0]])), len(repeated))
        others.add(key, held.at[repeated], held.texts[repeated].to_arrow())

    def _check_equals(self, block: Block, key: str, valued: Bools, records: Ints, others: Others) -> None:
        """A flag has no `=`, and everything else has one; what deviates is kept, and noted."""
        column = self._schema.info.get(key)
        kind = column.kind if column else RESERVED_INFO.get(key, (None, "Any"))[1]
        odd = np.flatnonzero(valued if kind == "Flag" else ~valued)
        if kind == "Any" or not len(odd):
            return
        what = "is a flag and has a value" if kind == "Flag" else "has no value"
        self._notes.add("info_value", f"INFO {shown(key)} {what}", block.line(int(records[odd[0]])), len(odd))
        if column and kind != "Flag":
            others.add(key, records[odd], pa.nulls(len(odd), pa.string()))

    def _parsed(self, block: Block, column: KeyColumn, held: Held, n_alts: Ints, others: Others) -> Parsed:
        if column.kind == "Flag":
            return self._flag(block, column, held, others)
        parsed = parse(column, held)
        for misfits, what in (
            (parsed.misfits, f"no {column.kind}"),
            (count_misfits(column, held, parsed, n_alts), "not as many values as its Number says"),
        ):
            if len(misfits):
                self._keep(block, column, held, misfits, what, others)
        self._check_values(block, column, held, parsed)
        return parsed

    def _keep(self, block: Block, column: KeyColumn, held: Held, misfits: Ints, what: str, others: Others) -> None:
        first = int(misfits[0])
        self._notes.add("info_value", f"INFO {column.key}: {what}", block.line(int(held.at[first])), len(misfits))
        if column.shape != "list" or what.startswith("no "):
            others.add(column.key, held.at[misfits], held.texts[misfits].to_arrow())

    def _flag(self, block: Block, column: KeyColumn, held: Held, others: Others) -> Parsed:
        valued = np.flatnonzero(held.texts.sizes > 0)
        others.add(column.key, held.at[valued], held.texts[valued].to_arrow())
        # `DB=0` may mean "not": what such a flag says is left to the reader of its text.
        present = np.zeros(len(block), np.bool_)
        present[np.delete(held.at, valued)] = True
        none = np.zeros(0, np.int64)
        return Parsed(pa.array(present), none, none, none)

    def _check_values(self, block: Block, column: KeyColumn, held: Held, parsed: Parsed) -> None:
        """Values that are well typed and cannot be meant."""
        defects: list[tuple[pa.Array, str]] = []
        if column.key in NON_NEGATIVE and column.kind in ("Integer", "Float"):
            defects.append((pa.array(negative(parsed.values)), "is negative"))
        if column.kind == "Integer":
            defects.append((pa.array(outside_32_bits(parsed.values)), "is outside the range of VCF's integers"))
        if column.key in AT_MOST_ONE and column.kind in ("Integer", "Float"):
            defects.append((pc.greater(parsed.values, ONE), "is greater than 1"))
        if column.key == "CIGAR" and column.kind == "String":
            defects.append((pc.invert(pc.match_substring_regex(parsed.values, _CIGAR)), "is no CIGAR"))
        if column.kind == "Character":
            defects.append((pc.greater(pc.utf8_length(parsed.values), 1), "is longer than one character"))
        if column.shape == "value" and column.kind == "String" and column.fixed_count == 1:
            defects.append((pc.match_substring(parsed.values, ","), "has more than one value, its Number is 1"))
        for found, what in defects:
            hits = np.flatnonzero(any_true(found))
            if len(hits):
                self._notes.add("info_value", f"INFO {column.key} {what}",
                                block.line(self._record(column, held, parsed, int(hits[0]))), len(hits))

    def _record(self, column: KeyColumn, held: Held, parsed: Parsed, i: int) -> int:
        """The block's record that value i belongs to."""
        if column.shape == "value":
            return i
        return int(held.at[np.searchsorted(parsed.first[held.at], i, side="right") - 1])

    def _undeclared(self, block: Block, key: str, held: Held, others: Others) -> None:
        if not key:
            return
        line = block.line(int(held.at[0]))
        self._notes.add("undeclared_info", f"INFO key {shown(key)} is not declared; kept as text", line, len(held.at))
        texts, has_text = held.texts.to_arrow(), held.texts.sizes > 0
        # Without an equals sign the text is empty, and so it is for `key=`: both say nothing.
        others.add(key, held.at, pc.if_else(pa.array(has_text), texts, None))
        self._check_reserved(block, key, held)

    def _check_reserved(self, block: Block, key: str, held: Held) -> None:
        """A reserved key has a type without being declared."""
        number, kind = RESERVED_INFO.get(key, (None, "Any"))
        if kind in ("Any", "Flag"):
            return
        column = KeyColumn(key, key, "value" if number == "1" else "list", kind, 1 if number == "1" else None)
        parsed = parse(column, held)
        if len(parsed.misfits):
            line = block.line(int(held.at[parsed.misfits[0]]))
            self._notes.add("info_value", f"INFO {key}: no {kind}", line, len(parsed.misfits))
        self._check_values(block, column, held, parsed)
