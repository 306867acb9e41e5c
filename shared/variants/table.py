"""A VCF or BCF file into a variant table: the whole file or nothing. The table itself is described in schema.py."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from shared.variants.contigs import assembly
from shared.variants.mapping import NOTHING_MAPPED, AnnotationMapping
from shared.variants.order import Order
from shared.variants.parallel import in_order
from shared.variants.parquet import SKIPPED_BY, TableWriter
from shared.variants.reference import Reference
from shared.variants.report import Notes, SampleCounts, SexCalls, TableReport
from shared.variants.schema import SCHEMA_VERSION, TableSchema, table_schema
from shared.variants.sort import sorted_batches
from shared.variants.vcf.bcf import read_any
from shared.variants.vcf.convert import Converted, Converter
from shared.variants.vcf.header import Header
from shared.variants.vcf.header_checks import check_header
from shared.variants.vcf.lines import VcfText


def build_table(
    vcf: Path, out: Path, *, mapping: AnnotationMapping = NOTHING_MAPPED,
    reference: Reference | None = None, progress: Callable[[int], None] | None = None,
) -> TableReport:
    """Writes the variant table of `vcf` (plain, gzip or BGZF text, or BCF 2.2) to `out`, which appears whole or not.

    `mapping` names the pipeline's own fields of classification, and keys are left-aligned by `reference`; the table's
    content depends on both, so its name has to.
    `progress` is called now and then with the number of records read so far. An index beside the file is not used.
    Raises VcfRefused, with record and line, where the file is truncated, corrupt or not a VCF; OSError where it cannot
    be read or `out` not be written.
    """
    notes = Notes()
    text = VcfText(read_any(vcf), notes)
    check_header(text.header, notes)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        ready = Path(scratch) / "table.parquet"
        report = _Build(text, mapping, reference, notes, Path(scratch), progress).write(ready)
        ready.replace(out)
    return report


class _Build:
    """One run. Rows are written in the file's order; if that is not the table's order, they are sorted on disk."""

    def __init__(self, text: VcfText, mapping: AnnotationMapping, reference: Reference | None, notes: Notes,
                 scratch: Path, progress: Callable[[int], None] | None) -> None:
        self._text, self._mapping, self._notes, self._scratch, self._progress = text, mapping, notes, scratch, progress
        self._reference = reference
        self._schema = table_schema(text.header)
        self._arrow = self._schema.arrow()
        self._order = Order(notes)
        self._totals = _Totals(text.header)

    def write(self, ready: Path) -> TableReport:
        draft = self._scratch / "draft.parquet"
        with TableWriter(draft, self._arrow, SKIPPED_BY) as writer:
            for batch in self._batches():
                writer.add(batch)
            if self._order.is_sorted:
                report = self._finish(writer)
        if self._order.is_sorted:
            draft.replace(ready)
            return report
        with TableWriter(ready, self._arrow, SKIPPED_BY) as writer:
            for batch in sorted_batches(draft, self._arrow, self._scratch):
                self._order.note_duplicates(batch)
                writer.add(batch)
            return self._finish(writer)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        converter = Converter(self._text.header, self._schema, self._mapping, self._reference)
        for converted in in_order(converter.convert, self._text.blocks()):
            self._notes.extend(converted.notes)
            index = self._order.add(converted)
            self._totals.add(converted)
            yield self._batch(converted, index)
            if self._progress:
                self._progress(self._totals.records)

    def _batch(self, converted: Converted, contig_index: pa.Array) -> pa.RecordBatch:
        columns = {**converted.columns, "contig_index": contig_index}
        arrays = [columns.get(field.name) for field in self._arrow]
        filled = [pa.nulls(converted.rows, field.type) if array is None else array
                  for field, array in zip(self._arrow, arrays, strict=True)]
        batch = pa.RecordBatch.from_arrays(filled, schema=self._arrow)
        if self._order.is_sorted:
            self._order.note_duplicates(batch)
        return batch

    def _finish(self, writer: TableWriter) -> TableReport:
        aligned = self._totals.moved if self._reference else None
        report = self._totals.report(self._text.header, self._order, self._notes, aligned)
        report.check()
        writer.describe(_metadata(self._text.header, self._schema, self._mapping, report))
        return report


class _Totals:
    def __init__(self, header: Header) -> None:
        self.records = self.alleles = self.rows = self.transitions = self.transversions = self.moved = 0
        self.skipped: Counter[str] = Counter()
        self.types: Counter[str] = Counter()
        self.filters: Counter[str] = Counter()
        self.zygosities: list[Counter[str]] = [Counter() for _ in header.samples]
        self.sexes = [SexCalls() for _ in header.samples]

    def add(self, converted: Converted) -> None:
        self.records += converted.records
        self.alleles += converted.alleles
        self.rows += converted.rows
        self.transitions += converted.transitions
        self.transversions += converted.transversions
        self.moved += converted.moved
        self.skipped += converted.skipped
        self.types += converted.types
        self.filters += converted.filters
        for total, counts in zip(self.zygosities, converted.zygosities, strict=False):
            total.update(counts)
        if converted.sexes:
            self.sexes = [total + calls for total, calls in zip(self.sexes, converted.sexes, strict=True)]

    def report(self, header: Header, order: Order, notes: Notes, left_aligned: int | None) -> TableReport:
        samples = tuple(SampleCounts(name, dict(sorted(counts.items())), sex)
                        for name, counts, sex in zip(header.samples, self.zygosities, self.sexes, strict=True))
        return TableReport(
            self.records, self.alleles, self.rows, dict(sorted(self.skipped.items())), samples,
            tuple(note.placed(header.lines) for note in notes),
            dict(sorted(self.types.items())), dict(sorted(self.filters.items())), self.transitions, self.transversions,
            order.rows_by_contig(), assembly(header.contigs or dict.fromkeys(order.contigs), header.text), left_aligned,
        )


def _metadata(
    header: Header, schema: TableSchema, mapping: AnnotationMapping, report: TableReport
) -> dict[str, str]:
    return {
        "schema_version": str(SCHEMA_VERSION), "header": header.text, "samples": json.dumps(header.samples),
        "columns": json.dumps(schema.keys()), "assembly": report.assembly or "",
        "mapping": json.dumps(asdict(mapping)), "report": json.dumps(report.to_json()),
    }


