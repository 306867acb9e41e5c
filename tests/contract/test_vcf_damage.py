"""A bgzipped VCF that was cut or that has a bit the wrong way round: refused, with the place, or read whole."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.variants.report import VcfRefused
from shared.variants.table import build_table
from tests.bench.vcf_files import write_vcf

TRIES = 200
RECORDS = 400

# A refusal names a record and line, or the byte at which the packing is broken.
_PLACE = re.compile(r"[(](?:record \d+, )?line \d+[)]| at byte \d+")


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_vcf(tmp_path_factory.mktemp("intact") / "trio.vcf.gz", RECORDS, samples=3).read_bytes()


@pytest.fixture
def table_of(tmp_path: Path) -> Callable[[bytes], bytes]:
    """The table's bytes. Raises VcfRefused."""

    def build(content: bytes) -> bytes:
        vcf, out = tmp_path / "x.vcf.gz", tmp_path / "x.parquet"
        out.unlink(missing_ok=True)
        vcf.write_bytes(content)
        build_table(vcf, out)
        return out.read_bytes()

    return build


def test_a_file_cut_anywhere_is_refused_with_the_place(
    intact: bytes, table_of: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """C38: at 200 random offsets, and at each of the last 40 bytes, where only the end-of-file block is touched."""
    rng = random.Random(5)
    cuts = [rng.randrange(1, len(intact)) for _ in range(TRIES)] + list(range(len(intact) - 40, len(intact)))
    for cut in cuts:
        with pytest.raises(VcfRefused) as refusal:
            table_of(intact[:cut])
        assert re.search("truncated|is no VCF|no #CHROM|no text", str(refusal.value)), (cut, refusal.value)
        assert _PLACE.search(str(refusal.value)), (cut, refusal.value)
        assert not (tmp_path / "x.parquet").exists()


def test_a_flipped_bit_is_refused_with_the_place_or_changes_nothing(
    intact: bytes, table_of: Callable[[bytes], bytes]
) -> None:
    """C37, C38. What may pass is a bit that says nothing: gzip's time, operating system, and the like."""
    whole = table_of(intact)
    rng = random.Random(6)
    refused = 0
    for bit in (rng.randrange(8 * len(intact)) for _ in range(TRIES)):
        damaged = bytearray(intact)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert table_of(bytes(damaged)) == whole, bit
        except VcfRefused as refusal:
            refused += 1
            assert _PLACE.search(str(refusal)), (bit, refusal)
    assert refused > TRIES * 0.9


def test_bits_of_the_first_block_header_and_of_the_last_block(
    intact: bytes, table_of: Callable[[bytes], bytes]
) -> None:
    """Every bit there once: those that no random choice is likely to meet."""
    whole = table_of(intact)
    for bit in [*range(18 * 8), *range(8 * (len(intact) - 28), 8 * len(intact))]:
        damaged = bytearray(intact)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert table_of(bytes(damaged)) == whole, bit
        except VcfRefused:
            continue
