"""With a reference at hand every spelling of an indel has one key: by an implementation of the paper's own steps, and
by bcftools norm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pysam
import pysam.bcftools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.variants.parallel import threads
from shared.variants.reference import Reference, ReferenceRefused
from shared.variants.table import build_table
from tests.unit.variants.vcf_text import Built, fasta, vcf

UNIT = "GATTACA"
CHR1 = "ACGT" + "CAG" * 60 + "TTTTTTTTTT" + "GC" * 90 + UNIT * 12000 + "ACCCCGT"  # repeats longer than a piece of file
CHR2 = "AAAACCGG"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same sequences as plain text with soft-masked bases, and packed."""
    folder = tmp_path_factory.mktemp("reference")
    masked = CHR1[:100] + CHR1[100:300].lower() + CHR1[300:]
    return fasta(folder, chr1=masked, chr2=CHR2), fasta(folder, packed=True, chr1=CHR1, chr2=CHR2)


def tan(bases: str, pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Algorithm 1 of Tan, Abecasis and Kang 2015, step by step: one base at a time, until nothing changes."""
    changed = True
    while changed:
        changed = False
        if ref and alt and ref[-1] == alt[-1] and (len(ref) > 1 or len(alt) > 1) and (pos > 1 or min(len(ref), len(alt))
                                                                                    > 1):
            ref, alt, changed = ref[:-1], alt[:-1], True
        if not ref or not alt:
            pos -= 1
            ref, alt, changed = bases[pos - 1] + ref, bases[pos - 1] + alt, True
    while ref[0] == alt[0] and len(ref) > 1 and len(alt) > 1:
        pos, ref, alt = pos + 1, ref[1:], alt[1:]
    return pos, ref, alt


REPEATS = st.lists(st.tuples(st.text("ACGT", min_size=1, max_size=4), st.integers(1, 12)), min_size=2, max_size=6).map(
    lambda parts: "".join(unit * times for unit, times in parts))


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, list[tuple[int, str, str]]]:
    """(a sequence of repeats, ways to write one and the same change of it as (POS, REF, ALT))."""
    bases = draw(REPEATS)
    at, size = draw(st.integers(0, len(bases) - 1)), draw(st.integers(1, 6))
    inserted = draw(st.one_of(st.text("ACGT", min_size=1, max_size=6), st.just(bases[at : at + size])))
    changed = bases[:at] + (bases[at + size :] if draw(st.booleans()) else inserted + bases[at:])
    if not changed:
        changed = bases + "A"
    alike_before = next((i for i, (x, y) in enumerate(zip(bases, changed, strict=False)) if x != y),
                        min(len(bases), len(changed)))
    back = zip(reversed(bases), reversed(changed), strict=False)
    alike_behind = next((i for i, (x, y) in enumerate(back) if x != y), min(len(bases), len(changed)))
    found = []
    for _ in range(draw(st.integers(2, 5))):
        start = draw(st.integers(0, alike_before))
        most = min(alike_behind, len(bases) - start, len(changed) - start)
        stop = draw(st.integers(0, most))
        ref, alt = bases[start : len(bases) - stop], changed[start : len(changed) - stop]
        if ref and alt:
            found.append((start + 1, ref, alt))
    return bases, found


@settings(max_examples=120, deadline=None)
@given(spellings())
def test_every_spelling_has_the_key_of_the_paper(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[str, list[tuple[int, str, str]]]
) -> None:
    bases, written = drawn
    folder = tmp_path_factory.mktemp("any")
    reference = Reference(fasta(folder, width=7, **{"1": bases}))
    records = [f"1 {pos} . {ref} {alt} . . ." for pos, ref, alt in sorted(written)]
    built = Built(folder, vcf(*records, contigs=("1",)), reference=reference)
    keys = [(row["key_pos"], row["key_ref"], row["key_alt"]) for row in built.rows]
    assert keys == [tan(bases, *spelling) for spelling in sorted(written)]
    assert len(set(keys)) <= 1
    assert "reference" not in built.codes


def spelled(bases: str, pos: int, ref: str, alt: str, right: int) -> str:
    """The change moved to the right by whole bases, where the sequence lets it."""
    before, after = bases[: pos - 1], bases[pos - 1 + len(ref) :]
    changed = before + alt + after
    start = pos - 1 + right
    longest = max(len(ref), len(alt))
    cut = slice(start, start + longest)
    ref, alt = bases[cut][: len(ref)], changed[cut][: len(alt)]
    assert bases[:start] + alt + bases[start + len(ref) :] == changed
    return f"chr1 {start + 1} . {ref} {alt} . . ."


CAG = [spelled(CHR1, 4, "TCAG", "T", right) for right in (0, 1, 2, 30, 100, 177)]
RUN = [spelled(CHR1, 184, "G", "GTT", right) for right in (0, 3, 10)]
LONG = [spelled(CHR1, 374, "CGATTACA", "C", 7 * times) for times in (0, 11999)]
RECORDS = [*CAG, *RUN, *LONG,
           "chr2 4 . AC C . . .", "chr2 1 . AA A . . .", "chr2 3 . AAC A . . .", "chr2 5 . C T . . ."]


def by_place(record: str) -> tuple[str, int]:
    chrom, pos = record.split()[:2]
    return chrom, int(pos)


def test_it_is_what_bcftools_norm_says(tmp_path: Path, files: tuple[Path, Path]) -> None:
    text = vcf(*sorted(RECORDS, key=by_place), contigs=(f"chr1,length={len(CHR1)}", f"chr2,length={len(CHR2)}"))
    built = Built(tmp_path, text, reference=Reference(files[0]))
    said = pysam.bcftools.norm("-f", str(files[0]), str(built.source))
    columns = [line.split("\t") for line in said.splitlines() if line[0] != "#"]
    theirs = sorted((chrom, pos, ref.upper(), alt.upper()) for chrom, pos, _, ref, alt, *_ in columns)
    ours = sorted((row["contig"], str(row["key_pos"]), row["key_ref"], row["key_alt"]) for row in built.rows)
    assert ours == theirs
    assert len(set(built.column("key"))) == len(RECORDS) - len(CAG) - len(RUN) - len(LONG) + 3 - 1
    assert set(built.column("variant_type")) == {"deletion", "insertion", "snv"}
    # What was written stays.
    assert {(row["pos"], row["ref"], row["alt"]) for row in built.rows} == {
        (int(r.split()[1]), *r.split()[3:5]) for r in RECORDS}


def test_the_reference_may_be_packed_and_the_workers_any_number(
    tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    several = [record.replace("chr1", "1").replace("chr2", "2") for record in sorted(RECORDS * 40, key=by_place)]
    source = tmp_path / "x.vcf"
    source.write_text(vcf(*several, contigs=("1", "2")))
    tables = []
    for number, processors in enumerate((1, 4)):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, n=processors: set(range(n)))
        assert threads() == processors
        for file in files:
            out = tmp_path / f"{number}.parquet"
            build_table(source, out, reference=Reference(file))
            tables.append(out.read_bytes())
    assert len(set(tables)) == 1


def test_a_record_that_the_reference_contradicts_is_noted_and_left(tmp_path: Path, files: tuple[Path, Path]) -> None:
    built = Built(
        tmp_path,
        vcf("chr1 1 . A C . . .", "chr1 34 . GCAG G . . .", "chr1 37 . GCAT G . . .", "chr2 7 . GGT G . . .",
            "chr2 8 . r G . . .", "chr3 9 . AAA A . . ."),
        reference=Reference(files[0]),
    )
    assert built.column("key") == [
        "1-1-A-C", "1-4-TCAG-T", "1-37-GCAT-G", "2-7-GGT-G", "2-8-R-G", "3-9-AAA-A"]
    found = {note.code: note.to_json() for note in built.report.warnings}
    assert (found["reference"]["record"], found["reference"]["line"], found["reference"]["times"]) == (3, 5, 2)
    assert (found["reference_contig"]["record"], found["reference_contig"]["times"]) == (6, 1)


def absent(folder: Path) -> Path:
    path = fasta(folder, a="ACGT")
    path.with_name("ref.fa.fai").unlink()
    return path


def other_index(folder: Path) -> Path:
    path = fasta(folder, a="ACGT")
    path.with_name("ref.fa.fai").write_text("chr1\t10\n")
    return path


@pytest.mark.parametrize("make", [absent, other_index])
def test_a_reference_without_its_index_is_refused(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(ReferenceRefused, match=r"ref\.fa\.fai"):
        Reference(make(tmp_path))


def test_a_reference_shorter_than_its_index_is_refused(tmp_path: Path) -> None:
    path = fasta(tmp_path, a="ACGT" * 100)
    path.write_text(">a\nACGT\n")
    with pytest.raises(ReferenceRefused, match="shorter than its index"):
        Built(tmp_path, vcf("a 300 . T C . . ."), reference=Reference(path))
