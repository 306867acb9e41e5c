"""Joins the variant tables of some samples into the order table (order_schema.py), in bounded memory.

Of all rows only chromosome, position and an order are in memory at once (12 bytes a row of every table). The sorted
order is cut into windows, and the rows of one window are taken out of every table, joined by key and written. Tables
are nearly in that order, so each of their row groups is read about once. The bytes depend on the tables and on the
order of the members, on nothing else.

`out` gets the table, `out` with the ending .index what queries read (order_index.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.domain.cache import Member
from shared.domain.request import Sex
from shared.variants.index_build import build_index
from shared.variants.order_index import count, open_index
from shared.variants.order_schema import (
    ANNOTATION,
    ORDER_VERSION,
    SAMPLE,
    SITE,
    SOURCES,
    Group,
    arrow_schema,
    chromosome_order,
    groups_of,
)
from shared.variants.parquet import TableWriter

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WINDOW_ROWS = 100_000
"""Of all tables together."""

_GROUPS_HELD = 2
"""Row groups of a table that are kept in memory: neighbours, since a window may reach into the next."""

_IMPACTS = pa.array(["MODIFIER", "LOW", "MODERATE", "HIGH"])
_ANNOTATED = ("gene", "consequence")


def build_order_table(
    members: Sequence[tuple[Member, Path]], out: Path, seen: Path | None = None
) -> Mapping[str, Any]:
    """`members` with their tables as local files; `seen` has columns `key` and `n`, see seen.py. The manifest:

    order_version, rows, members, groups ([{prefix, name, role, sex}]), tables ([{table, analysis, rows, assembly}]),
    assembly, copies (rows whose key some table has more than once), facets ({column: {value: rows}}), contigs
    ({name as in `chrom`: rows}), files (bytes of both files).
    """
    join = _Join(members, seen)
    with TableWriter(out, arrow_schema([group.prefix for group in join.groups])) as writer:
        for batch in join.batches():
            writer.add(batch)
        writer.describe({"order_version": str(ORDER_VERSION)})
    index_path = out.with_suffix(".index")
    groups, assembly, tables = join.groups, join.assembly, join.tables_as_json()
    del join  # the rows' places and the row groups at hand: the index needs the memory
    build_index(out, index_path, groups, assembly)
    index = open_index(index_path)
    return {
        "order_version": ORDER_VERSION, "rows": index.rows, "assembly": assembly,
        "members": [member.model_dump(mode="json") for member, _ in members],
        "groups": [group_as_json(group) for group in groups], "tables": tables,
        "copies": count(index.above("copies", 1)), "facets": index.facets(), "contigs": index.rows_by_chromosome(),
        "files": {"table": out.stat().st_size, "index": index_path.stat().st_size},
    }


def group_as_json(group: Group) -> dict[str, Any]:
    return {"prefix": group.prefix, "name": group.name, "role": str(group.role), "sex": str(group.sex)}


@dataclass
class _Window:
    """Of one table: the rows of the window (their numbers in the file, in its order) and their columns."""

    numbers: Ints
    rows: pa.Table


class _Table:
    """One variant table, read by ranges of the order table's order."""

    def __init__(self, path: Path, columns: Sequence[int], rank: Mapping[str, int]) -> None:
        self.file = pq.ParquetFile(path)
        self._has = set(self.file.schema_arrow.names)
        groups = [self.file.metadata.row_group(i).num_rows for i in range(self.file.num_row_groups)]
        self._starts = np.concatenate(([0], np.cumsum(groups))).astype(np.int64)
        wanted = [*(c.name for c in (*SITE, *ANNOTATION)), "worst_impact_rank", "allele"]
        wanted += [f"s{i}_{name}" for i in columns for name in (c.name for c in SAMPLE)]
        self._columns = [name for name in wanted if name in self._has]
        places = _places(self.file, rank)
        self._order = np.argsort(places, kind="stable").astype(np.int32)
        self.places = places[self._order]
        self._held: OrderedDict[int, pa.Table] = OrderedDict()

    def window(self, low: int, high: int) -> _Window:
        """Rows whose place is at least `low` and below `high`."""
        first, last = np.searchsorted(self.places, (low, high))
        numbers = np.sort(self._order[first:last]).astype(np.int64)
        groups = np.searchsorted(self._starts, numbers, "right") - 1
        parts = [self._group(int(i)).take(numbers[groups == i] - self._starts[i]) for i in np.unique(groups)]
        rows = pa.concat_tables(parts) if parts else self.file.schema_arrow.empty_table().select(self._columns)
        return _Window(numbers, rows)

    def _group(self, number: int) -> pa.Table:
        if number not in self._held:
            self._held[number] = self.file.read_row_group(number, columns=self._columns)
            if len(self._held) > _GROUPS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]


class _Join:
    def __init__(self, members: Sequence[tuple[Member, Path]], seen: Path | None) -> None:
        self._members = [member for member, _ in members]
        self.groups = groups_of(self._members)
        in_order = [number for group in self.groups for number in group.members]
        in_order += [number for number, (member, _) in enumerate(members) if member.column is None]
        paths = list(dict.fromkeys(members[number][1] for number in in_order))
        self._table_of = [paths.index(path) for _, path in members]
        rank = _chromosome_ranks(paths)
        self._tables = [
            _Table(path, [m.column for m, p in members if p == path and m.column is not None], rank) for path in paths
        ]
        self._chromosomes = list(rank)
        self._seen = _Seen(seen, rank) if seen else None
        self._assemblies = [_assembly(table.file) for table in self._tables]
        self.assembly = next((name for name in self._assemblies if name), None)

    def tables_as_json(self) -> list[dict[str, Any]]:
        of_table = {table: member for member, table in zip(self._members, self._table_of, strict=True)}
        return [
            {"table": of_table[number].table, "analysis": of_table[number].analysis, "rows": len(table.places),
             "assembly": self._assemblies[number]}
            for number, table in enumerate(self._tables)
        ]

    def batches(self) -> Iterator[pa.RecordBatch]:
        for low, high in _windows([table.places for table in self._tables]):
            windows = [table.window(low, high) for table in self._tables]
            yield from self._joined(windows, low, high).to_batches()

    def _joined(self, windows: list[_Window], low: int, high: int) -> pa.Table:
        rows = pa.concat_tables([window.rows for window in windows], promote_options="permissive").combine_chunks()
        tables = np.repeat(np.arange(len(windows)), [len(window.numbers) for window in windows])
        numbers = np.concatenate([window.numbers for window in windows])
        targets, n = _targets(rows, self._chromosomes)
        site = _first(targets, n)
        annotated = _annotated(rows)
        columns = {c.name: _column(rows, c.name, site) for c in SITE}
        columns |= {c.name: _annotation(rows, c.name, c.type, _first(targets, n, ~annotated)) for c in ANNOTATION}
        columns["seen"] = self._seen.of(columns["key"], low, high) if self._seen else pa.nulls(n, pa.int32())
        columns["copies"] = pa.array(_copies(targets, tables, n), pa.int32())
        for group in self.groups:
            columns |= self._sample(group, rows, tables, targets, n, columns)
        columns["sources"] = _sources(targets, tables, numbers, n)
        schema = arrow_schema([group.prefix for group in self.groups])
        return pa.table([columns[field.name].cast(field.type) for field in schema], schema)

    def _sample(
        self, group: Group, rows: pa.Table, tables: Ints, targets: Ints, n: int, site: Mapping[str, pa.Array]
    ) -> dict[str, pa.Array]:
        """From the row in which the sample carries the allele, else one with a call, else the first."""
        picked = np.full(n, -1, np.int64)
        of_member = np.zeros(n, np.int64)
        best = np.full(n, -1, np.int64)
        for member in group.members:
            prefix = f"s{self._members[member].column}_"
            here = np.flatnonzero(tables == self._table_of[member])
            score = _score(rows, prefix, here)
            order = np.lexsort((here, -score, targets[here]))
            first = order[np.unique(targets[here][order], return_index=True)[1]]
            better = score[first] > best[targets[here][first]]
            chosen = first[better]
            at = targets[here][chosen]
            best[at], picked[at], of_member[at] = score[chosen], here[chosen], member
        result = {"present": pa.array(picked >= 0)}
        for column in SAMPLE[1:]:
            result[column.name] = self._sample_column(group, rows, column.name, column.type, picked, of_member)
        result["haplotype"] = _haplotype(result["gt"], result["phased"], rows["allele"].to_numpy()[picked])
        result["zygosity"] = self._of_sex(group, result["zygosity"], site)
        return {group.column(name): column for name, column in result.items()}

    def _sample_column(
        self, group: Group, rows: pa.Table, name: str, type_: pa.DataType, picked: Ints, of_member: Ints
    ) -> pa.Array:
        parts = []
        for member in group.members:
            prefix = f"s{self._members[member].column}_"
            mine = (picked >= 0) & (of_member == member)
            column = name if name in ("qual", "filters") else f"{prefix}{name}"
            has = column in rows.column_names
            parts.append(_taken(rows, column, picked, mine).cast(type_) if has else pa.nulls(len(picked), type_))
        return parts[0] if len(parts) == 1 else pc.coalesce(*parts)

    def _of_sex(self, group: Group, zygosity: pa.Array, site: Mapping[str, pa.Array]) -> pa.Array:
        """Two equal alleles of a male's X or Y outside the pseudoautosomal regions are one."""
        if group.sex is not Sex.MALE:
            return zygosity
        single = pc.fill_null(pc.is_in(site["sex_region"], value_set=pa.array(["X", "Y"])), False)
        for double, hemi in (("hom_alt", "hemi_alt"), ("hom_ref", "hemi_ref")):
            same = pc.fill_null(pc.equal(zygosity, double), False)
            zygosity = pc.if_else(pc.and_(same, single), hemi, zygosity)
        return zygosity


class _Seen:
    """The counts of others, by place, so that a window needs those of its own keys only."""

    def __init__(self, path: Path, rank: Mapping[str, int]) -> None:
        table = pq.read_table(path, columns=["key", "n"]).combine_chunks()
        key = table["key"].combine_chunks() if table.num_rows else pa.array([], pa.string())
        parts = pc.extract_regex(key, r"^(?P<chrom>.+?)-(?P<pos>\d+)-")
        chrom = pc.struct_field(parts, "chrom").dictionary_encode()
        ranks = np.array([rank.get(name, len(rank)) for name in chrom.dictionary.to_pylist()] or [0], np.int64)
        places = (ranks[chrom.indices.to_numpy()] << 32) + pc.struct_field(parts, "pos").cast(pa.int64()).to_numpy()
        order = np.argsort(places, kind="stable")
        self._places, self._order, self._table = places[order], order.astype(np.int32), table

    def of(self, keys: pa.Array, low: int, high: int) -> pa.Array:
        first, last = np.searchsorted(self._places, (low, high))
        near = self._table.take(self._order[first:last]).combine_chunks()
        known = near["key"].combine_chunks() if near.num_rows else pa.array([], pa.string())
        found = pc.index_in(keys, value_set=known)
        counts = near["n"].take(found)
        return pc.fill_null(counts.combine_chunks() if isinstance(counts, pa.ChunkedArray) else counts, 0)


def _chromosome_ranks(paths: Sequence[Path]) -> dict[str, int]:
    names: set[str] = set()
    for path in paths:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            names.update(pc.unique(file.read_row_group(group, columns=["chrom"])["chrom"]).to_pylist())
    return {name: number for number, name in enumerate(sorted(names, key=chromosome_order))}


def _places(file: pq.ParquetFile, rank: Mapping[str, int]) -> Ints:
    """Of each row: its chromosome's rank, and below that its key_pos."""
    parts = [np.zeros(0, np.int64)]
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=["chrom", "key_pos"])
        chrom = table["chrom"].combine_chunks().dictionary_encode()
        ranks = np.array([rank[name] for name in chrom.dictionary.to_pylist()], np.int64)
        parts.append((ranks[chrom.indices.to_numpy()] << 32) + table["key_pos"].to_numpy())
    return np.concatenate(parts)


def _windows(places: Sequence[Ints]) -> Iterator[tuple[int, int]]:
    """Ranges of places with some WINDOW_ROWS rows each; more where so many stand at one place."""
    step = max(1, WINDOW_ROWS // 1000)
    some = np.sort(np.concatenate([each[::step] for each in places]))
    if not len(some):
        return
    end = max(int(each[-1]) for each in places if len(each)) + 1
    cuts = np.unique(some[:: WINDOW_ROWS // step]).tolist()
    yield from zip(cuts, [*cuts[1:], end], strict=True)


def _targets(rows: pa.Table, chromosomes: Sequence[str]) -> tuple[Ints, int]:
    """Of each row of the window the place of its key among the window's keys, in the order table's order; and their
    number."""
    keys = rows["key"].combine_chunks().dictionary_encode()
    first = np.unique(keys.indices.to_numpy(), return_index=True)[1]
    chrom = pc.index_in(rows["chrom"].take(first), value_set=pa.array(chromosomes, pa.string()))
    unique = pa.table({"chrom": chrom, "pos": rows["key_pos"].take(first), "key": keys.dictionary})
    order = pc.sort_indices(unique, sort_keys=[(name, "ascending") for name in ("chrom", "pos", "key")]).to_numpy()
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return place[keys.indices.to_numpy()], len(order)


def _first(targets: Ints, n: int, later: Bools | None = None) -> Ints:
    """By target its first row; rows of which `later` is true come behind all the others."""
    order = np.arange(len(targets)) if later is None else np.argsort(later, kind="stable")
    result = np.empty(n, np.int64)
    result[targets[order][::-1]] = order[::-1]
    return result


def _annotated(rows: pa.Table) -> Bools:
    gene, consequence = (pc.is_valid(rows[name]).to_numpy() for name in _ANNOTATED)
    found: Bools = gene | consequence
    return found


def _column(rows: pa.Table, name: str, at: Ints) -> pa.Array:
    return rows[name].combine_chunks().take(pa.array(at))


def _annotation(rows: pa.Table, name: str, type_: pa.DataType, at: Ints) -> pa.Array:
    if name == "worst_impact":
        return _IMPACTS.take(_column(rows, "worst_impact_rank", at).cast(pa.int32()))
    return _column(rows, name, at).cast(type_)


def _taken(rows: pa.Table, name: str, picked: Ints, mine: Bools) -> pa.Array:
    return rows[name].combine_chunks().take(pa.array(np.where(mine, picked, 0), mask=~mine))


def _score(rows: pa.Table, prefix: str, here: Ints) -> Ints:
    """2 carries, 1 called, 0 neither."""
    at = pa.array(here)
    carries = pc.fill_null(rows[f"{prefix}carries"].take(at), False).to_numpy()
    zygosity = rows[f"{prefix}zygosity"].take(at)
    called = pc.fill_null(pc.not_equal(zygosity, "no_call"), False).to_numpy()
    return np.where(carries, 2, called.astype(np.int64))


def _haplotype(gt: pa.Array, phased: pa.Array, alleles: Ints) -> pa.Array:
    """Of each genotype the only side that has the row's allele; null where no side or several have it, or unphased."""
    texts = gt.dictionary_encode()
    codes = np.where(pc.and_(pc.is_valid(gt), pc.fill_null(phased, False)).to_numpy(zero_copy_only=False),
                     pc.fill_null(texts.indices, 0).to_numpy(zero_copy_only=False), -1)
    pairs, of_pair = np.unique(np.stack([codes, alleles]), axis=1, return_inverse=True)
    sides = np.array([_side(texts.dictionary[int(code)].as_py(), int(allele)) if code >= 0 else -1
                      for code, allele in pairs.T] or [-1], np.int32)[of_pair.reshape(-1)]
    return pa.array(sides, mask=sides < 0)


def _side(gt: str, allele: int) -> int:
    sides = [side for side, number in enumerate(gt.lstrip("|/").split("|")) if number == str(allele)]
    return sides[0] if len(sides) == 1 and "|" in gt else -1


def _copies(targets: Ints, tables: Ints, n: int) -> Ints:
    result = np.zeros(n, np.int64)
    for table in np.unique(tables):
        result = np.maximum(result, np.bincount(targets[tables == table], minlength=n))
    return result


def _sources(targets: Ints, tables: Ints, numbers: Ints, n: int) -> pa.Array:
    order = np.lexsort((numbers, tables, targets))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(targets, minlength=n)))).astype(np.int32)
    fields = [pa.array(tables[order], pa.int16()), pa.array(numbers[order], pa.int64())]
    pairs = pa.StructArray.from_arrays(fields, ["table", "row"])
    return pa.ListArray.from_arrays(pa.array(offsets), pairs).cast(SOURCES)


def _assembly(file: pq.ParquetFile) -> str | None:
    found = (file.metadata.metadata or {}).get(b"assembly", b"").decode()
    return found or None
