"""VCFs from the grammar: every field of every record, per allele and per sample, as a plain reader has it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.variants.table import build_table
from tests.contract import vcf_reference as reference
from tests.contract.test_real_vcfs import keys_of, pairs, same
from tests.examples import examples

CONTIGS = ("1", "chr2", "X", "chrY", "MT", "GL000220.1", "NC_000004.12")
NUMBERS = ("1", "2", "A", "R", "G", ".")
Draw = Callable[[st.SearchStrategy[Any]], Any]

bases = st.text("ACGTNacgt", min_size=1, max_size=6)
whole = st.integers(-(2**31) + 8, 2**31 - 1).map(str)
decimal = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr), st.sampled_from(("0", "1e-05", "-3.50", ".5"))
)
# Delimiters and the percent sign itself are written as codes, once.
word = st.text("abcXYZ019_-+*()é%,;=: ", min_size=1, max_size=8).map(
    lambda text: "".join(f"%{ord(c):02X}" if c in "%,;=: " else c for c in text)
)
VALUES = {"Integer": whole, "Float": decimal, "String": word, "Character": st.sampled_from("abcZ")}
alternates = st.lists(
    st.one_of(bases, st.sampled_from(("*", "<*>", "<NON_REF>", "<DEL>", "<DUP:TANDEM>", "A[chr2:5[", "]X:77]C"))),
    min_size=1, max_size=3, unique=True,
)


@st.composite
def files(draw: Draw) -> str:
    info = {f"I{n}{kind[0]}": (n, kind) for n in NUMBERS for kind in VALUES} | {"FLAG": ("0", "Flag")}
    fmt = {f"F{n}{kind[0]}": (n, kind) for n in NUMBERS for kind in VALUES}
    fmt |= {"GT": ("1", "String"), "AD": ("R", "Integer"), "DP": ("1", "Integer"), "GQ": ("1", "Float")}
    renamed = {key.replace(".", "n"): value for key, value in info.items()}
    formats = {key.replace(".", "n"): value for key, value in fmt.items()}
    samples = draw(st.lists(st.sampled_from(("S1", "a b", "Ö")), max_size=3, unique=True))
    lines = ["##fileformat=VCFv4.3", '##FILTER=<ID=q10,Description="">', '##FILTER=<ID=s50,Description="">']
    lines += [f"##contig=<ID={contig}>" for contig in CONTIGS]
    lines += [f'##INFO=<ID={key},Number={n},Type={kind},Description="">' for key, (n, kind) in renamed.items()]
    lines += [f'##FORMAT=<ID={key},Number={n},Type={kind},Description="">' for key, (n, kind) in formats.items()]
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    columns += ["FORMAT", *samples] if samples else []
    records = draw(st.lists(record(renamed, formats, len(samples)), max_size=8))
    return "\n".join([*lines, "\t".join(columns), *records]) + "\n"


@st.composite
def record(draw: Draw, info: dict[str, tuple[str, str]], fmt: dict[str, tuple[str, str]], samples: int) -> str:
    alts = draw(alternates)
    keys = draw(st.lists(st.sampled_from(sorted(info)), max_size=6, unique=True))
    said = [key if info[key][1] == "Flag" else f"{key}={draw(values(info[key], len(alts), 2))}" for key in keys]
    said += draw(st.sampled_from(([], ["UNDECLARED=x%3Dy"], ["OTHERFLAG"])))
    columns = [
        draw(st.sampled_from(CONTIGS)), str(draw(st.integers(1, 3000))),
        draw(st.sampled_from((".", "rs12", "rs12;COSM7", "id%3B1"))), draw(bases), ",".join(alts),
        draw(st.one_of(st.just("."), st.integers(0, 9999).map(lambda n: f"{n / 100}"))),
        draw(st.sampled_from((".", "PASS", "q10", "q10;s50"))), ";".join(said) or ".",
    ]
    if samples:
        chosen = draw(st.lists(st.sampled_from(sorted(set(fmt) - {"GT"})), max_size=5, unique=True))
        chosen = [*draw(st.sampled_from(([], ["GT"]))), *chosen] or ["GT"]
        columns += [":".join(chosen), *(draw(cell(chosen, fmt, len(alts))) for _ in range(samples))]
    return "\t".join(columns)


@st.composite
def cell(draw: Draw, keys: list[str], fmt: dict[str, tuple[str, str]], alts: int) -> str:
    ploidy = draw(st.integers(1, 2)) if "GT" in keys else 2
    calls = st.sampled_from([".", *map(str, range(alts + 1))])
    parts = []
    for key in keys:
        if key == "GT":
            parts.append(draw(st.sampled_from("/|")).join(draw(calls) for _ in range(ploidy)))
        elif key in ("DP", "GQ", "AD"):
            size = alts + 1 if key == "AD" else 1
            parts.append(",".join(draw(st.integers(0, 99).map(str)) for _ in range(size)))
        else:
            parts.append(draw(values(fmt[key], alts, ploidy)))
    kept = draw(st.integers(1, len(parts)))  # values at the end may be left out
    return ":".join(parts[:kept])


@st.composite
def values(draw: Draw, declared: tuple[str, str], alts: int, ploidy: int) -> str:
    number, kind = declared
    size = {"1": 1, "2": 2, "A": alts, "R": alts + 1}.get(number, 0)
    if number == "G":
        size = alts + 1 if ploidy == 1 else (alts + 1) * (alts + 2) // 2
    size = size or draw(st.integers(1, 4))
    if draw(st.integers(0, 9)) == 0:
        return "."
    one = st.one_of(VALUES[kind], st.just(".")) if size > 1 else VALUES[kind]
    return ",".join(draw(one) for _ in range(size))


@settings(
    max_examples=examples(150), deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(files())
def test_every_field_of_every_record_is_what_a_plain_reader_sees(text: str) -> None:
    """C37, C40-C47, C52: whatever the order, the alleles, the missing values and the codes."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "x.vcf", Path(folder) / "x.parquet"
        path.write_text(text)
        report = build_table(path, out)
        file = pq.ParquetFile(out)
        table = file.read().replace_schema_metadata(file.metadata.metadata)
        table = table.sort_by([("record", "ascending"), ("allele", "ascending")])
        _same_sites(table, path)
        _same_values(table, path, len(report.samples))
    alts = [line.split("\t")[4].split(",") for line in text.splitlines() if not line.startswith("#")]
    assert report.records == len(alts)
    assert report.alleles == sum(map(len, alts)) == report.rows + sum(report.skipped.values())


def _same_sites(table: Any, path: Path) -> None:
    columns = ("record", "allele", "contig", "pos", "ref", "alt", "qual", "filters", "ids")
    assert list(zip(*(table[column].to_pylist() for column in columns), strict=True)) == reference.sites(path)


def _same_values(table: Any, path: Path, samples: int) -> None:
    rows = table.to_pylist()
    columns = keys_of(table)
    flags = {"FLAG": False}
    for row, (known, texts) in zip(rows, reference.info_values(path, 10**6), strict=True):
        ours = {key: row[c] for c, key in columns.items() if c.startswith("info_") and row[c] is not None}
        assert same(ours, {**flags, **known}), row
        assert sorted(pairs(row["info_other"]), key=str) == sorted(texts, key=str)
    for i in range(samples):
        for row, (known, texts) in zip(rows, reference.format_values(path, i, 10**6), strict=True):
            ours = {key: row[f"s{i}_{c[3:]}"] for c, key in columns.items() if c.startswith("s*_")}
            assert same({key: value for key, value in ours.items() if value is not None}, known), row
            other = [pair for pair in pairs(row[f"s{i}_fmt_other"]) if pair[0] not in ("DP", "GQ", "AD")]
            assert sorted(other, key=str) == sorted(texts, key=str)
        columns_of_calls = (f"s{i}_{name}" for name in ("gt", "dp", "gq", "ad_ref", "ad_alt"))
        calls = list(zip(*(table[column].to_pylist() for column in columns_of_calls), strict=True))
        assert calls == reference.genotypes(path, i)
