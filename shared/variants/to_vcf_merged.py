"""Rows of an order over several VCFs as one VCF: a record each, with one alternate, and a column for each sample.

Header      of the first table, then what the other tables' headers say that is not there yet: a line with an ID is
            there when its kind and ID are. FORMAT declares what is written: GT, DP, GQ, AD, PS
Contigs     named as in the first table that has the chromosome
INFO        of the first table that has the row, its values of this allele; a key that the tables declare in different
            ways is left out, and named in the header
Genotypes   0 the reference, 1 this allele, `.` any other; `./.` where nobody called the site
Records stand by contig, position and allele. What several tables say of one site is not made one: the order table says
which one it is from.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.variants.contigs import canonical
from shared.variants.to_cells import lines_of
from shared.variants.to_vcf import ABOUT, VcfWriter, header_lines, header_of, joined_list
from shared.variants.to_vcf_values import Records, Written
from shared.variants.vcf.header import Header
from shared.variants.vcf.spans import Ints

ROWS_AT_A_TIME = 5_000
_GROUPS_HELD = 3
_FORMAT = (
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype: 1 is the allele of the record, . any other">',
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Read depth">',
    '##FORMAT=<ID=GQ,Number=1,Type=Float,Description="Genotype quality">',
    '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads for the reference and for the allele">',
    '##FORMAT=<ID=PS,Number=1,Type=String,Description="Phase set">',
)
_KEYS = "GT:DP:GQ:AD:PS"
_SITE = ("chrom", "contig", "pos", "rsid", "ref", "alt", "qual", "filters", "sources")
_CELL = ("present", "gt", "dp", "gq", "ad_ref", "ad_alt", "phase_set")


@dataclass(frozen=True)
class SampleGroup:
    """A sample's columns in the order table, and in which columns of which variant tables it stands."""

    prefix: str
    name: str
    columns: Mapping[int, int]


def merged_vcf(
    order: Path, rows: Ints, tables: Sequence[Path], groups: Sequence[SampleGroup], about: Mapping[str, str]
) -> Iterator[bytes]:
    """The file's text. `tables` as the order table's `sources` count them."""
    headers = [header_of(table) for table in tables]
    return _Merge(order, tables, groups, headers).text(rows, about)


class _Rows:
    """A Parquet file by row numbers, the last few row groups kept: what is asked for lies close together."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = pq.ParquetFile(path)
        self._columns = list(columns)
        sizes = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        self._starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
        self._held: OrderedDict[int, pa.Table] = OrderedDict()

    def take(self, numbers: Ints) -> pa.Table:
        """In the order of `numbers`, in one piece."""
        groups = np.searchsorted(self._starts, numbers, "right") - 1
        parts = [self._group(int(g)).take(pa.array(numbers[groups == g] - self._starts[g])) for g in np.unique(groups)]
        back = np.argsort(np.argsort(groups, kind="stable"), kind="stable")
        return pa.concat_tables(parts).take(pa.array(back)).combine_chunks()

    def _group(self, number: int) -> pa.Table:
        if number not in self._held:
            self._held[number] = self._file.read_row_group(number, columns=self._columns).combine_chunks()
            if len(self._held) > _GROUPS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]


@dataclass(frozen=True)
class _Sources:
    """Source i is row `row[i]` of table `table[i]`, of the record `of[i]`; record r's first is `first[r]`."""

    table: Ints
    row: Ints
    of: Ints
    first: Ints

    @classmethod
    def read(cls, array: pa.Array) -> _Sources:
        counts = pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
        pairs = array.flatten()
        table, row = (pc.struct_field(pairs, name).to_numpy(zero_copy_only=False).astype(np.int64)
                      for name in ("table", "row"))
        return cls(table, row, np.repeat(np.arange(len(counts)), counts), np.cumsum(counts) - counts)


class _Merge:
    def __init__(
        self, order: Path, tables: Sequence[Path], groups: Sequence[SampleGroup], headers: Sequence[Header]
    ) -> None:
        self._headers, self._groups = headers, groups
        self._version = max(header.version for header in headers)
        self._left_out = _declared_in_different_ways(headers)
        cells = [f"{group.prefix}_{name}" for group in groups for name in _CELL]
        self._order_file = order
        self._order = _Rows(order, [*_SITE, *cells])
        self._writers = [VcfWriter(header, self._version, self._left_out) for header in headers]
        self._tables = [
            _Rows(path, ["allele", "alts",
                         *(f"s{group.columns[number]}_gt" for group in groups if number in group.columns),
                         *(name for name in pq.read_schema(path).names if name.startswith("info_"))])
            for number, path in enumerate(tables)
        ]
        self._contigs: dict[str, str] = {}
        for header in headers:
            for contig in header.contigs:
                self._contigs.setdefault(canonical(contig), contig)

    def text(self, rows: Ints, about: Mapping[str, str]) -> Iterator[bytes]:
        left_out = {"left_out": ",".join(f"INFO/{key}" for key in sorted(self._left_out))} if self._left_out else {}
        yield header_lines(self._meta(), [group.name for group in self._groups], {**about, **left_out})
        ordered = self._by_position(np.sort(rows))
        for at in range(0, len(ordered), ROWS_AT_A_TIME):
            yield self._lines(self._order.take(ordered[at : at + ROWS_AT_A_TIME]))

    def _meta(self) -> list[str]:
        lines = ["##fileformat=VCFv{}.{}".format(*self._version)]
        there: set[object] = set()
        for header in self._headers:
            written = header.text.split("\n")
            for meta in header.meta:
                line, identity = written[meta.line - 1], meta.get("ID")
                name: object = (meta.key, identity) if identity else line
                dropped = meta.key in ("fileformat", "FORMAT") or (meta.key == "INFO" and identity in self._left_out)
                if not dropped and name not in there and not line.startswith(ABOUT):
                    there.add(name)
                    lines.append(line)
        return [*lines, *_FORMAT]

    def _by_position(self, rows: Ints) -> Ints:
        places = _Rows(self._order_file, ["chrom", "contig", "pos"]).take(rows) if len(rows) else None
        if places is None:
            return rows
        for chrom, contig in zip(*(places[name].to_pylist() for name in ("chrom", "contig")), strict=True):
            self._contigs.setdefault(chrom, contig)
        rank = pc.index_in(places["chrom"], pa.array(list(self._contigs))).to_numpy()
        return rows[np.lexsort((rows, places["pos"].to_numpy(), rank))]

    def _lines(self, rows: pa.Table) -> bytes:
        column = {name: rows[name].combine_chunks() for name in rows.column_names}
        sources = _Sources.read(column["sources"])
        behind = self._behind(sources)
        names = pa.array([self._contigs[chrom] for chrom in column["chrom"].to_pylist()])
        ref = pc.if_else(pc.equal(column["ref"], ""), "N", column["ref"])
        columns = [
            names, column["pos"].cast(pa.string()), column["rsid"].fill_null("."), ref, column["alt"],
            column["qual"].cast(pa.string()).fill_null("."), joined_list(column["filters"]),
            self._info(sources, behind), pa.repeat(_KEYS, len(rows)),
            *(self._cells(group, column, sources, behind) for group in self._groups),
        ]
        return lines_of(pc.binary_join_element_wise(*columns, "\t"), "\n")

    def _behind(self, sources: _Sources) -> dict[int, tuple[Ints, pa.Table]]:
        """By table: the sources that lie in it, and their rows."""
        found = {}
        for number, table in enumerate(self._tables):
            at = np.flatnonzero(sources.table == number)
            if len(at):
                found[number] = (at, table.take(sources.row[at]))
        return found

    def _info(self, sources: _Sources, behind: Mapping[int, tuple[Ints, pa.Table]]) -> pa.Array:
        parts, owners = [], []
        for number, (at, rows) in behind.items():
            first = np.flatnonzero(np.isin(at, sources.first))
            if not len(first):
                continue
            mine = rows.take(pa.array(first)).combine_chunks()
            each, one = np.arange(len(first)), np.ones(len(first), np.int64)
            written = Written.only(mine["alts"].combine_chunks(), mine["allele"].to_numpy())
            batch = pa.RecordBatch.from_arrays([c.combine_chunks() for c in mine.columns], names=mine.column_names)
            parts.append(self._writers[number].info_text(batch, Records(each, each, one, one, written)))
            owners.append(sources.of[at[first]])
        return pa.concat_arrays(parts).take(pa.array(np.argsort(np.concatenate(owners), kind="stable")))

    def _cells(
        self, group: SampleGroup, column: Mapping[str, pa.Array], sources: _Sources,
        behind: Mapping[int, tuple[Ints, pa.Table]],
    ) -> pa.Array:
        def of(name: str) -> pa.Array:
            return column[f"{group.prefix}_{name}"]

        genotypes = of("gt").to_pylist()
        alleles: dict[int, tuple[bool, int]] = {}
        for number, place in group.columns.items():
            if number not in behind:
                continue
            at, rows = behind[number]
            for owner, text, allele in zip(
                sources.of[at].tolist(), rows[f"s{place}_gt"].to_pylist(), rows["allele"].to_pylist(), strict=True
            ):
                fits = text == genotypes[owner]
                if owner not in alleles or (fits and not alleles[owner][0]):
                    alleles[owner] = (fits, allele)
        texts = [_recoded(text, alleles[i][1]) if i in alleles else "./." for i, text in enumerate(genotypes)]
        depths = [of(name).cast(pa.string()) for name in ("ad_ref", "ad_alt")]
        known = pc.or_(depths[0].is_valid(), depths[1].is_valid())
        both = pc.binary_join_element_wise(*(depth.fill_null(".") for depth in depths), ",")
        values = [of("dp"), of("gq"), pc.if_else(known, both, None), of("phase_set")]
        return pc.binary_join_element_wise(pa.array(texts), *(v.cast(pa.string()).fill_null(".") for v in values), ":")


def _declared_in_different_ways(headers: Sequence[Header]) -> frozenset[str]:
    found: dict[str, set[tuple[str, str]]] = {}
    for header in headers:
        for key, declared in header.info.items():
            found.setdefault(key, set()).add((declared.number, declared.type))
    return frozenset(key for key, ways in found.items() if len(ways) > 1)


def _recoded(text: str | None, allele: int) -> str:
    if text is None:
        return "."
    return re.sub(r"[0-9]+", lambda found: {0: "0", allele: "1"}.get(int(found[0]), "."), text)
