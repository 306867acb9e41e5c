"""`make bench-browse`: pages of an order of 5 million variants, single and trio, for one reader and for twenty.

Asked as the API asks (query.py): the rows of a page, the total, all facets and what each filter removes, as JSON text.
Filters, sorts and values differ from question to question, so that nothing is answered from memory of an answer. Deep:
behind a row drawn from all that pass, so at any depth alike, of a filter that is not at hand. Cold:
another process, with the index thrown out of the page cache before. The same questions are asked of SQLite with an
index on each column that they name: rows and total only, and no facets.

Times are the wall's, and processor time stands beside them (`..._mean_cpu_ms`): others may be at work on the machine,
as `load_before` and `load_after` tell.

ROWS and QUESTIONS in the environment make it smaller. Tables are kept under build/bench/browse.
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.domain.request import Role, Sex
from shared.variants.filters import filter_from
from shared.variants.index_build import build_index
from shared.variants.order_index import IndexBroken, open_index, unpack
from shared.variants.order_rows import json_text
from shared.variants.order_schema import Group, arrow_schema
from shared.variants.parquet import TableWriter
from shared.variants.query import AT_WORK, OrderQueries
from tests.bench.report import percentile, report

ROWS = int(os.environ.get("ROWS", "5000000"))
QUESTIONS = int(os.environ.get("QUESTIONS", "200"))
SQLITE_QUESTIONS = 24
COLD_RUNS = 12
USERS = 20
KINDS = {False: 9, True: 13}
"""Trio -> kinds of questions."""

PAGE = 100
FOLDER = Path("build/bench/browse")

SINGLE = (Group("proband", "P", Role.PROBAND, Sex.MALE, (0,)),)
TRIO = (*SINGLE, Group("mother", "M", Role.MOTHER, Sex.FEMALE, (1,)),
        Group("father", "F", Role.FATHER, Sex.MALE, (2,)))

_CHROMOSOMES = [*(str(i) for i in range(1, 23)), "X", "Y", "MT"]
_SHARES = np.array([8, 7.9, 6.5, 6.2, 5.9, 5.6, 5.2, 4.7, 4.5, 4.4, 4.4, 4.3, 3.7, 3.5, 3.3, 2.9, 2.7, 2.6, 1.9, 2.1,
                    1.5, 1.6, 5, 0.3, 0.01])
_CONSEQUENCES = {
    "intergenic_variant": 0.50, "intron_variant": 0.42, "upstream_gene_variant": 0.05, "3_prime_UTR_variant": 0.012,
    "synonymous_variant": 0.006, "missense_variant": 0.006, "splice_region_variant&intron_variant": 0.003,
    "5_prime_UTR_variant": 0.0025, "frameshift_variant": 0.0003, "stop_gained": 0.0002,
}
_IMPACT = {"missense_variant": "MODERATE", "synonymous_variant": "LOW", "splice_region_variant&intron_variant": "LOW",
           "frameshift_variant": "HIGH", "stop_gained": "HIGH"}


# -- what is asked of -------------------------------------------------------------------------------------------------


def made(name: str, groups: tuple[Group, ...]) -> Path:
    """The index; its table beside it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    table = FOLDER / f"{name}-{ROWS}.parquet"
    index = table.with_suffix(".index")
    if not table.exists():
        with TableWriter(table, arrow_schema([group.prefix for group in groups])) as writer:
            for batch in _batches(groups):
                writer.add(batch)
    try:
        open_index(index)
    except (FileNotFoundError, IndexBroken):  # of another release
        build_index(table, index.with_suffix(".part"), groups, "GRCh38")
        index.with_suffix(".part").rename(index)
    return index


def _batches(groups: tuple[Group, ...]) -> Iterator[pa.RecordBatch]:
    rng = np.random.default_rng(7)
    for chrom, share in zip(_CHROMOSOMES, _SHARES / _SHARES.sum(), strict=True):
        n = int(ROWS * share)
        positions = np.sort(rng.integers(10_000, 150_000_000, n))
        for start in range(0, n, 50_000):
            yield _batch(rng, groups, chrom, positions[start : start + 50_000])


def _batch(
    rng: np.random.Generator, groups: tuple[Group, ...], chrom: str, pos: np.ndarray[Any, Any]
) -> pa.RecordBatch:
    n = len(pos)
    ref = rng.integers(0, 4, n)
    alt = (ref + rng.integers(1, 4, n)) % 4
    bases = np.array(list("ACGT"))
    consequence = rng.choice(list(_CONSEQUENCES), n, p=list(_CONSEQUENCES.values()))
    genic = consequence != "intergenic_variant"
    gene = np.array([f"G{chrom}_{p // 200_000}" for p in pos])
    coding = np.isin(consequence, list(_IMPACT)) & (consequence != "splice_region_variant&intron_variant")
    impact = np.array([_IMPACT.get(c, "MODIFIER") for c in consequence])
    af = np.where(rng.random(n) < 0.05, np.nan, np.minimum(10 ** rng.uniform(-6, 0, n), 1))
    clinvar = rng.choice(["", "benign", "likely_benign", "uncertain_significance", "pathogenic"], n,
                         p=[0.98, 0.01, 0.005, 0.0045, 0.0005])
    texts = {"ref": bases[ref], "alt": bases[alt]}
    columns: dict[str, pa.Array] = {
        "contig": pa.array([f"chr{chrom}"] * n), "chrom": pa.array([chrom] * n),
        "sex_region": pa.array([chrom if chrom in "XY" else None] * n, pa.string()),
        "pos": pa.array(pos), "end": pa.array(pos), "key_pos": pa.array(pos), "ref": pa.array(texts["ref"]),
        "alt": pa.array(texts["alt"]), "variant_type": pa.array(rng.choice(["snv", "insertion", "deletion"], n,
                                                                          p=[0.84, 0.08, 0.08])),
        "length": pa.array(np.ones(n, np.int64)),
        "key": pa.array([f"{chrom}-{p}-{r}-{a}" for p, r, a in zip(pos, texts["ref"], texts["alt"], strict=True)]),
        "rsid": pa.array([f"rs{p}" for p in pos], mask=rng.random(n) < 0.1),
        "qual": pa.array(np.round(rng.gamma(4, 100, n), 2)), "filters": _lists(rng.choice(
            ["PASS", "LowQual", "VQSRTrancheSNP99.90to100.00"], n, p=[0.92, 0.05, 0.03])),
        "gene": pa.array(gene, mask=~genic), "genes": _lists(gene, genic), "consequence": pa.array(consequence),
        "worst_consequence": pa.array(consequence), "impact": pa.array(impact), "worst_impact": pa.array(impact),
        "transcript": pa.array([f"ENST{p // 200_000:011d}.3" for p in pos], mask=~genic),
        "transcript_rule": pa.array(["mane_select"] * n, mask=~genic),
        "hgvsc": pa.array([f"ENST{p // 200_000:011d}.3:c.{p % 9000}+{p % 97}A>G" for p in pos], mask=~genic),
        "hgvsp": pa.array([f"ENSP{p // 200_000:011d}.3:p.Val{p % 1500}Glu" for p in pos], mask=~coding),
        "af_max": pa.array(af, mask=np.isnan(af)), "clinvar": _lists(clinvar, clinvar != ""),
        "tier": pa.array(rng.choice(["IA", "IB", "II", "III", "IV"], n), mask=rng.random(n) > 0.001),
        "cadd_phred": pa.array(np.round(rng.gamma(2, 4, n), 2), mask=~coding),
        "seen": pa.array(rng.poisson(3, n).astype(np.int32)), "copies": pa.array(np.ones(n, np.int32)),
    }
    for group in groups:
        columns |= _sample(rng, group, n)
    columns["sources"] = pa.ListArray.from_arrays(
        pa.array(np.arange(n + 1, dtype=np.int32)),
        pa.StructArray.from_arrays([pa.array(np.zeros(n, np.int16)), pa.array(pos)], ["table", "row"]),
    )
    schema = arrow_schema([group.prefix for group in groups])
    arrays = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(n, f.type) for f in schema]
    return pa.record_batch(arrays, schema=schema)


def _sample(rng: np.random.Generator, group: Group, n: int) -> dict[str, pa.Array]:
    share = [0.35, 0.43, 0.2, 0.02] if group.role is not Role.PROBAND else [0.0, 0.6, 0.4, 0.0]
    kind = rng.choice(4, n, p=share)
    depth = rng.poisson(34, n)
    vaf = np.array([0.0, 0.5, 1.0, 0.0])[kind]
    alt = rng.binomial(depth, np.clip(vaf + rng.normal(0, 0.02, n), 0, 1))
    phased = rng.random(n) < 0.3
    gt = np.array(["0/0", "0/1", "1/1", "./.", "0|0", "0|1", "1|1", ".|."])[kind + 4 * phased]
    zygosity = np.array(["hom_ref", "het", "hom_alt", "no_call"])[kind]
    fraction = alt / np.maximum(depth, 1)
    return {group.column(name): column for name, column in {
        "present": pa.array(np.ones(n, bool)), "gt": pa.array(gt), "phased": pa.array(phased),
        "phase_set": pa.nulls(n, pa.string()),
        "haplotype": pa.array(np.ones(n, np.int32), mask=~(phased & (kind == 1))),
        "zygosity": pa.array(zygosity), "carries": pa.array((kind == 1) | (kind == 2)), "dp": pa.array(depth),
        "gq": pa.array(np.minimum(rng.poisson(60, n), 99).astype(float)), "ad_ref": pa.array(depth - alt),
        "ad_alt": pa.array(alt), "vaf": pa.array(fraction, mask=depth == 0),
        "qual": pa.array(np.round(rng.gamma(4, 100, n), 2)), "filters": _lists(np.full(n, "PASS")),
    }.items()}


def _lists(values: np.ndarray[Any, Any], there: np.ndarray[Any, Any] | None = None) -> pa.Array:
    there = np.ones(len(values), bool) if there is None else there
    offsets = np.concatenate(([0], np.cumsum(there))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[there]))


# -- questions --------------------------------------------------------------------------------------------------------


def questions(n: int, seed: int, trio: bool) -> list[tuple[dict[str, Any], str]]:
    """(filter, sort), from nothing at all to narrow ones, in equal parts."""
    rng = random.Random(seed)
    kinds: list[Callable[[], dict[str, Any]]] = [
        lambda: {"qual_min": rng.randint(0, 200)},
        lambda: {"filter": ["PASS"], "frequency_max": rng.uniform(0.001, 0.05)},
        lambda: {"impact": ["HIGH", "MODERATE"], "frequency_max": rng.uniform(0.001, 0.05), "filter": ["PASS"]},
        lambda: {"gene": [f"G{rng.randint(1, 22)}_{rng.randint(1, 700)}" for _ in range(rng.randint(1, 200))]},
        lambda: {"region": [_region(rng)], "depth_min": rng.randint(5, 30)},
        lambda: {"consequence": ["coding", "splice"], "depth_min": rng.randint(5, 30), "vaf_min": rng.uniform(0, 0.5)},
        lambda: {"clinvar": ["pathogenic"], "frequency_max": rng.uniform(0.01, 0.5), "keep_pathogenic": True},
        lambda: {"type": ["insertion", "deletion"], "gq_min": rng.randint(20, 60), "alt_min": rng.randint(3, 12)},
        lambda: {"seen_max": rng.randint(0, 3), "genotype": ["proband:het"], "qual_min": rng.randint(0, 400)},
    ]
    if trio:
        kinds += [
            lambda: {"inheritance": ["de_novo"], "depth_min": rng.randint(5, 30)},
            lambda: {"inheritance": ["recessive", "x_linked"], "frequency_max": rng.uniform(0.001, 0.05)},
            lambda: {"inheritance": ["compound_het"], "frequency_max": rng.uniform(0.001, 0.02),
                     "consequence": ["coding", "splice"]},
            lambda: {"genotype": ["mother:reference", "father:carries"], "vaf_min": rng.uniform(0, 0.4)},
        ]
    sorts = ["position", "position", "-af_max", "qual", "-proband_vaf", "gene", "tier,consequence,-proband_vaf",
             "consequence", "-proband_dp", "hgvsc"]
    return [(kinds[i % len(kinds)](), rng.choice(sorts)) for i in range(n)]


def _region(rng: random.Random) -> str:
    start = rng.randint(1, 140_000_000)
    return f"chr{rng.randint(1, 22)}:{start}-{start + rng.randint(10_000, 10_000_000)}"


def first_page(queries: OrderQueries, fields: dict[str, Any], sort: str, cursor: str | None = None) -> bytes:
    with AT_WORK:
        result = queries.result(filter_from(fields))
        page = queries.page(result, sort=sort, limit=PAGE, cursor=cursor)
        return json_text({"rows": page.rows, "next": page.cursor, "total": result.total, "facets": result.facets(),
                          "removed": result.removed()})


def timed(call: Callable[..., object], *values: Any) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    call(*values)
    return (time.perf_counter() - start) * 1000


# -- measurements -----------------------------------------------------------------------------------------------------


def warm(index: Path, trio: bool) -> dict[str, float]:
    queries = OrderQueries(open_index(index), "bench")
    for fields, sort in questions(30, 1, trio):
        first_page(queries, fields, sort)
    first, deep = [], []
    began = time.process_time()
    for fields, sort in questions(QUESTIONS, 2, trio):
        first.append(timed(first_page, queries, fields, sort))
    cpu = (time.process_time() - began) * 1000 / QUESTIONS
    rng = random.Random(5)
    for fields, sort in questions(QUESTIONS, 3, trio):
        result = queries.result(filter_from(fields))
        rows = np.flatnonzero(unpack(result.words, result.index.rows))
        if len(rows) > 10 * PAGE:
            cursor = queries.cursor_behind(result, int(rows[rng.randrange(len(rows))]), sort=sort)
            deep.append(timed(first_page, OrderQueries(queries.index, "bench"), fields, sort, cursor))
    return {"first_page_warm_p50_ms": statistics.median(first), "first_page_warm_p95_ms": percentile(first, 0.95),
            "first_page_warm_max_ms": max(first), "first_page_warm_mean_cpu_ms": cpu,
            "deep_page_p50_ms": statistics.median(deep), "deep_page_p95_ms": percentile(deep, 0.95)}


def cold(index: Path, trio: bool) -> dict[str, float]:
    """Each in a process of its own; from the opening of the index to the answer's text."""
    taken = []
    for seed in range(COLD_RUNS):
        descriptor = os.open(index, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        run = [sys.executable, "-m", "tests.bench.browse", "cold", str(index), str(seed), str(int(trio))]
        taken.append(float(subprocess.run(run, check=True, capture_output=True, text=True).stdout))
    return {"first_page_cold_p50_ms": statistics.median(taken), "first_page_cold_p95_ms": percentile(taken, 0.95)}


def _cold_once(index: str, seed: str, trio: str) -> None:
    fields, sort = questions(13, 100 + int(seed), trio == "1")[int(seed) % 13]
    print(timed(lambda: first_page(OrderQueries(open_index(Path(index)), "bench"), fields, sort)))


def twenty(index: Path, trio: bool) -> dict[str, float]:
    """Nobody pauses: each asks again as soon as there is an answer. Each begins with another kind of question and asks
    all kinds. Warm, as by a round of questions before; those of the measurement are others."""
    queries = OrderQueries(open_index(index), "bench")
    for fields, sort in questions(30, 1, trio):
        first_page(queries, fields, sort)
    taken: list[float] = []

    def user(number: int) -> None:
        asked = questions(KINDS[trio], 1000 + number, trio)
        for at in range(len(asked)):
            taken.append(timed(first_page, queries, *asked[(number + at) % len(asked)]))

    threads = [threading.Thread(target=user, args=(number,)) for number in range(USERS)]
    started, began = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"twenty_users_p50_ms": statistics.median(taken), "twenty_users_p95_ms": percentile(taken, 0.95),
            "twenty_users_answers_per_s": len(taken) / (time.perf_counter() - started),
            "twenty_users_mean_cpu_ms": (time.process_time() - began) * 1000 / len(taken)}


# -- SQLite -----------------------------------------------------------------------------------------------------------

_SQLITE = ("chrom", "pos", "end", "gene", "consequence", "impact", "variant_type", "filter", "clinvar", "qual",
           "af_max", "seen", "hgvsc", "tier", "proband_dp", "proband_vaf", "proband_gq", "proband_ad_alt",
           "proband_zygosity", "key", "ref", "alt", "rsid")
_INDEXED = ("chrom, pos", "gene, pos", "impact, af_max", "clinvar, af_max", "af_max", "qual", "consequence",
            "variant_type", "proband_vaf", "proband_dp", "hgvsc")


def sqlite(index: Path) -> dict[str, float]:
    """Rows and total; what it has no answer to (inheritance, facets) is not asked."""
    base = index.with_suffix(".sqlite")
    if not base.exists():
        _fill(base.with_suffix(".part"), index.with_suffix(".parquet"))
        base.with_suffix(".part").rename(base)
    connection = sqlite3.connect(base)
    taken = []
    for fields, sort in questions(SQLITE_QUESTIONS, 2, False):
        where, values = _where(fields)
        column = {"position": "rowid"}.get(sort.split(",")[0].lstrip("-"), sort.split(",")[0].lstrip("-"))
        order = f"{column} {'DESC' if sort.startswith('-') else 'ASC'}, rowid"
        taken.append(timed(_ask, connection, where, values, order))
    return {"sqlite_first_page_warm_p50_ms": statistics.median(taken),
            "sqlite_first_page_warm_p95_ms": percentile(taken, 0.95)}


def _ask(connection: sqlite3.Connection, where: str, values: list[Any], order: str) -> None:
    connection.execute(f"SELECT * FROM v WHERE {where} ORDER BY {order} LIMIT {PAGE}", values).fetchall()
    connection.execute(f"SELECT count(*) FROM v WHERE {where}", values).fetchone()


def _fill(base: Path, table: Path) -> None:
    connection = sqlite3.connect(base)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    names = ", ".join(f'"{name}"' for name in _SQLITE)
    connection.execute(f"CREATE TABLE v ({names})")
    file = pq.ParquetFile(table)
    lists = {"filter": "filters"}
    for batch in file.iter_batches(50_000, columns=[lists.get(name, name) for name in _SQLITE]):
        columns = [batch[lists.get(name, name)].to_pylist() for name in _SQLITE]
        columns = [[c if not isinstance(c, list) else ";".join(c) for c in column] for column in columns]
        marks = ", ".join("?" * len(_SQLITE))
        connection.executemany(f"INSERT INTO v VALUES ({marks})", zip(*columns, strict=True))
    for number, columns_of in enumerate(_INDEXED):
        connection.execute(f"CREATE INDEX i{number} ON v ({columns_of})")
    connection.execute("ANALYZE")
    connection.commit()
    connection.close()


def _where(fields: dict[str, Any]) -> tuple[str, list[Any]]:
    parts, values = ["1"], []
    simple = {"qual_min": "qual >= ?", "depth_min": "proband_dp >= ?", "vaf_min": "proband_vaf >= ?",
              "gq_min": "proband_gq >= ?", "alt_min": "proband_ad_alt >= ?", "seen_max": "seen <= ?",
              "frequency_max": "(af_max <= ? OR af_max IS NULL)"}
    listed = {"impact": "impact", "gene": "gene", "type": "variant_type", "clinvar": "clinvar", "filter": "filter"}
    for name, value in fields.items():
        if name in simple:
            parts.append(simple[name])
            values.append(value)
        elif name in listed:
            parts.append(f"{listed[name]} IN ({', '.join('?' * len(value))})")
            values += value
        elif name == "region":
            chrom, _, span = value[0].partition(":")
            start, end = span.split("-")
            parts.append('chrom = ? AND pos <= ? AND "end" >= ?')
            values += [chrom[3:], int(end), int(start)]
        elif name == "genotype":
            parts.append("proband_zygosity = 'het'")
        elif name == "consequence":
            wanted = [c for c in _CONSEQUENCES if c in _IMPACT]
            parts.append(f"consequence IN ({', '.join('?' * len(wanted))})")
            values += wanted
    return " AND ".join(parts), values


def main() -> None:
    figures: dict[str, float | int | str] = {"rows": ROWS, "questions": QUESTIONS, "users": USERS,
                                             "load_before": os.getloadavg()[0]}
    found: dict[str, dict[str, float]] = {}
    for name, groups in (("single", SINGLE), ("trio", TRIO)):
        index = made(name, groups)
        found[name] = {**warm(index, name == "trio"), **cold(index, name == "trio"), **twenty(index, name == "trio"),
                       "index_mib": index.stat().st_size / 2**20,
                       "table_mib": index.with_suffix(".parquet").stat().st_size / 2**20}
    found["single"] |= sqlite(made("single", SINGLE))
    for key in found["trio"]:
        if key.endswith("_p95_ms"):
            figures[key] = round(max(found["single"][key], found["trio"][key]), 1)
    for name, measured in found.items():
        figures |= {f"{name}_{key}": round(value, 1) for key, value in measured.items()}
    report("browse", {**figures, "load_after": os.getloadavg()[0]})


if __name__ == "__main__":
    if sys.argv[1:2] == ["cold"]:
        _cold_once(*sys.argv[2:])
    else:
        main()
