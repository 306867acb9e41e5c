"""A table as a VCF again: the records, the encoding, what is left out, and that it is a fixed point."""

from __future__ import annotations

import gzip
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from shared.variants.bgzf import compressed
from shared.variants.to_vcf import header_of, vcf_text
from tests.examples import examples
from tests.unit.variants.vcf_text import Built, fmt, info, vcf

META = (
    info("AF", "A", "Float"), info("AC", "A", "Integer"), info("DP", "1", "Integer"), info("DB", "0", "Flag"),
    info("NOTE", "1", "String"), info("LIST", ".", "String"), info("RAD", "R", "Integer"),
    fmt("GT", "1", "String"), fmt("DP", "1", "Integer"), fmt("GQ", "1", "Integer"), fmt("AD", "R", "Integer"),
    fmt("PL", "G", "Integer"), fmt("FT", "1", "String"),
)
NOTE_4_2 = (info("NOTE", "1", "String"),)


def exported(table: Path, rows: pa.Table | None = None) -> str:
    file = pq.ParquetFile(table)
    batches = file.iter_batches(7) if rows is None else rows.to_batches(7)
    return b"".join(vcf_text(header_of(table), batches, {})).decode()


def records(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_every_record_comes_back(tmp_path: Path) -> None:
    """Keys stand in the header's order here, so that the text itself has to be the same."""
    text = vcf(
        "1 10 rs1;x A C,G 30.5 PASS AF=0.5,0.25;AC=1,2;DP=7;DB;LIST=a,.,b;RAD=1,2,3 "
        "GT:DP:GQ:AD:PL 1|2:7:9:1,2,3:1,2,3,4,.,6",
        "1 11 . AT A . . . GT:DP 0/1:5",
        "2 5 . C <DEL> 0.0001 q10;s50 DP=3 GT .",
        meta=META, samples=("s",), contigs=("1", "2"),
    )
    assert exported(Built(tmp_path, text).path) == text


def test_text_is_encoded_once(tmp_path: Path) -> None:
    """C52: a value with a comma, an equals sign and a percent sign is the same value after any number of rounds."""
    text = vcf("1 10 . A C . . NOTE=p.Ala42%3D%2C50%25%3Bx GT:FT 0/1:a%3Ab", meta=META, samples=("s",))
    built = Built(tmp_path, text)
    assert built.rows[0]["info_NOTE"] == "p.Ala42=,50%;x"
    once = exported(built.path)
    assert records(once) == records(text)
    assert exported(Built(tmp_path, once, "again.vcf").path) == once


def test_before_4_3_a_percent_sign_is_a_letter(tmp_path: Path) -> None:
    """C52: but one that our reader would take for a code is encoded."""
    text = vcf("1 10 . A C . . NOTE=50%,x", "1 11 . A C . . NOTE=a%2541", meta=NOTE_4_2, version="4.2")
    assert records(exported(Built(tmp_path, text).path)) == records(text)


def test_what_is_not_as_declared_is_written_as_it_was(tmp_path: Path) -> None:
    text = vcf("1 10 . A C . . DP=many;WHAT=a,b;ZZ GT:DP:XX 0/1:-1:q", meta=META, samples=("s",))
    assert records(exported(Built(tmp_path, text).path)) == records(text)


@pytest.mark.parametrize(("kept", "alt", "gt", "af", "ad", "pl"), [
    ([0], "C,*", "1/.", "0.1,0.3", "9,1,3", "1,2,3,7,8,10"),
    ([1], "G,*", "./1", "0.2,0.3", "9,2,3", "1,4,6,7,9,10"),
    ([0, 1], "C,G,*", "1/2", "0.1,0.2,0.3", "9,1,2,3", "1,2,3,4,5,6,7,8,9,10"),
])
def test_a_subset_is_the_alleles_that_were_asked_for(
    tmp_path: Path, kept: list[int], alt: str, gt: str, af: str, ad: str, pl: str,
) -> None:
    """C47: as many alternates as rows; genotypes and values per allele are of those that are left."""
    text = vcf("1 10 . A C,G,* . . AF=0.1,0.2,0.3 GT:AD:PL 1/2:9,1,2,3:1,2,3,4,5,6,7,8,9,10",
               "1 12 . A C . . . GT:AD 0/1:1,2", meta=META, samples=("s",))
    built = Built(tmp_path, text)
    subset = exported(built.path, pq.read_table(built.path).take([*kept, 2]))
    first = records(subset)[0].split("\t")
    assert (first[4], first[7], first[9]) == (alt, f"AF={af}", f"{gt}:{ad}:{pl}")
    again = Built(tmp_path, subset, "again.vcf")
    assert again.report.rows == len(kept) + 1
    assert again.column("key") == [built.rows[i]["key"] for i in (*kept, 2)]


def test_what_an_earlier_export_said_is_replaced(tmp_path: Path) -> None:
    def said(table: Path, about: dict[str, str]) -> str:
        return b"".join(vcf_text(header_of(table), pq.ParquetFile(table).iter_batches(), about)).decode()

    first = said(Built(tmp_path, vcf("1 10 . A C . . .")).path, {"filter": "gene=A\n##x", "user": "<a>"})
    assert "##iflow_export_filter=gene=A ##x\n##iflow_export_user= a>\n#CHROM" in first
    second = said(Built(tmp_path, first, "again.vcf").path, {"filter": "none"})
    assert "gene=A" not in second
    assert "##iflow_export_filter=none\n" in second


TEXT = st.text(st.sampled_from("aB1 %=;,:.%2C|/é"), min_size=1, max_size=6)
WHOLE = st.integers(-5, 2**40)
FLOATS = st.floats(allow_nan=False) | st.sampled_from([1e-5, 0.1, 1e300, 5e-324])
ALLELES = st.sampled_from(["C", "G", "AT", "*", "<DEL>", "<NON_REF>", "A[2:7["])
ALTS = st.lists(ALLELES, min_size=1, max_size=3, unique=True)
IDS, QUALITIES, FILTERS = (st.sampled_from(texts) for texts in (
    (".", "rs1", "a;b"), (".", "1e-3", "30"), (".", "PASS", "x;y"),
))


def encode(text: str) -> str:
    """As a writer has to; what it leaves (`=`) may stand there, too."""
    return "".join(f"%{ord(c):02X}" if c in "%;,:" else c for c in text)


@st.composite
def record(draw: st.DrawFn, pos: int) -> str:
    alts = draw(ALTS)
    n = len(alts)
    values = {
        "AF": ",".join(str(draw(FLOATS)) for _ in alts),
        "AC": ",".join(draw(st.sampled_from(["1", "."])) for _ in alts),
        "RAD": ",".join(str(draw(WHOLE)) for _ in range(draw(st.sampled_from([n + 1, n + 2])))),
        "DP": draw(st.sampled_from(["7", ".", "x", "1,2"])), "NOTE": encode(draw(TEXT)),
        "LIST": ",".join(encode(draw(TEXT)) for _ in range(2)), "UNKNOWN": encode(draw(TEXT)), "OTHER": "1",
    }
    named = st.sampled_from([*values, "DB", "BARE", "DB=0"])
    keys = draw(st.lists(named, max_size=8, unique_by=lambda key: key.partition("=")[0]))
    text = ";".join(f"{key}={values[key]}" if key in values else key for key in keys) or "."
    genotype = st.sampled_from([".", "./.", "0/1", f"{n}|0", "1", f"0/{n}", "0/0/1"])
    cells = []
    formats = draw(st.sampled_from(["GT", "GT:DP", "GT:AD:FT:PL", "GT:XX:GQ", "DP"]))
    for _ in range(2):
        cell = {
            "GT": draw(genotype), "DP": draw(st.sampled_from(["3", "-1", "."])), "GQ": "9.5", "XX": encode(draw(TEXT)),
            "AD": ",".join(draw(st.sampled_from(["1", "20", "."])) for _ in range(n + 1)), "FT": encode(draw(TEXT)),
            "PL": draw(st.sampled_from([".", "1,2,3", "1,2"])),
        }
        cells.append(":".join(cell[key] for key in formats.split(":")))
    site = ["1", str(pos), draw(IDS), "A", ",".join(alts), draw(QUALITIES), draw(FILTERS), text]
    return "\t".join([*site, formats, *cells])


@given(st.data())
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_export_ingest_export_is_a_fixed_point(tmp_path: Path, data: st.DataObject) -> None:
    """In bytes, over files with every kind of value, also with such as are not what the header says."""
    lines = [data.draw(record(pos)) for pos in range(1, data.draw(st.integers(1, 4)) + 1)]
    version = data.draw(st.sampled_from(["4.2", "4.3"]))
    text = vcf(meta=META, samples=("a", "b"), contigs=("1",), version=version) + "\n".join(lines) + "\n"
    built = Built(tmp_path, text)
    once = exported(built.path)
    again = Built(tmp_path, once, "again.vcf")
    assert again.report.rows == built.report.rows
    assert exported(again.path) == once
    same = ("key", "gt", "dp", "gq", "ad_alt", "info_NOTE", "info_LIST", "info_AF", "filters", "qual")
    names = [name for name in pq.read_schema(built.path).names if name.split("_", 1)[-1] in same or name in same]
    assert pq.read_table(again.path).select(names).equals(pq.read_table(built.path).select(names))


@given(st.binary(max_size=200_000), st.integers(1, 100_000))
@settings(max_examples=examples(30), deadline=None)
def test_bgzf_holds_the_text_and_ends_in_the_end_block(text: bytes, cut: int) -> None:
    pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
    packed = b"".join(compressed(pieces))
    assert gzip.decompress(packed) == text
    assert packed == b"".join(compressed([text[:cut], text[cut:]]))
    assert packed.endswith(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))
