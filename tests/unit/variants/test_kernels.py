"""The compiled kernels and the plain ones give the same, and so does a table made with either.

`make install` compiles them; where it could not, the plain ones alone are tested.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.variants import kernels
from shared.variants.kernels import build, compiled, plain
from shared.variants.kernels.types import Bools, Bytes, Ints
from tests.unit.variants.vcf_text import Built, fmt, info, vcf

NAMES = ("find", "strings", "split", "first", "missing", "integers", "floats", "encode", "keyed")
MADE = (compiled, plain) if compiled.is_there() else (plain,)

FIELDS = st.lists(st.text("aA.,é;", max_size=40), max_size=60)
NUMBERS = st.one_of(
    st.integers(-10**20, 10**20).map(str), st.floats().map(repr), st.floats().map(lambda x: f"{x:.6g}"),
    st.decimals(allow_nan=False, allow_infinity=False).map(str), st.text("0123456789.eE+-xna", max_size=24),
)


def _laid(fields: list[str], between: str = ";") -> tuple[Bytes, Ints, Ints]:
    """(text, starts, ends) of the fields in one text."""
    sizes = np.array([len(field.encode()) for field in fields], np.int64)
    starts = np.cumsum(sizes + len(between)) - (sizes + len(between))
    return np.frombuffer(between.join(fields).encode() or b"\n", np.uint8), starts, starts + sizes


def _alternate(n: int) -> Bools:
    return np.arange(n) % 3 != 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(b"\n\t;a\xff\0"), max_size=300))
def test_bytes_are_found_where_they_are(text: list[int]) -> None:
    data = np.array(text, np.uint8)
    for made in MADE:
        for byte, found in zip(b"\n\t\xff", made.find(data, b"\n\t\xff"), strict=True):
            assert found.tolist() == [i for i, other in enumerate(text) if other == byte]


def test_more_bytes_are_found_than_room_was_made_for() -> None:
    found = MADE[0].find(np.full(10_000, ord("|"), np.uint8), b";|")
    assert [len(offsets) for offsets in found] == [0, 10_000]


@settings(deadline=None)
@given(FIELDS)
def test_fields_become_strings(fields: list[str]) -> None:
    text, starts, ends = _laid(fields)
    valid = _alternate(len(fields))
    for made in MADE:
        assert made.strings(text, starts, ends, None).to_pylist() == fields
        whole = made.strings(text, starts, ends, valid)
        whole.validate(full=True)
        assert whole.to_pylist() == [field if ok else None for field, ok in zip(fields, valid, strict=True)]


@settings(deadline=None)
@given(FIELDS, st.randoms(use_true_random=False))
def test_strings_may_be_taken_in_any_order_and_more_than_once(fields: list[str], random: st.random.Random) -> None:
    text, starts, ends = _laid(fields)
    order = np.array(random.choices(range(len(fields)), k=2 * len(fields)) if fields else [], np.int64)
    for made in MADE:
        assert made.strings(text, starts[order], ends[order], None).to_pylist() == [fields[i] for i in order]


@settings(deadline=None)
@given(FIELDS)
def test_fields_are_cut_at_a_delimiter(fields: list[str]) -> None:
    text, starts, ends = _laid(fields)
    commas = plain.find(text, b",")[0]
    expected = [part for field in fields for part in field.split(",")]
    for made in MADE:
        counts, part_starts, part_ends = made.split(commas, starts, ends)
        assert counts.tolist() == [field.count(",") + 1 for field in fields]
        assert made.strings(text, part_starts, part_ends, None).to_pylist() == expected
        first = [start + len(field[: field.index(",")].encode()) if "," in field else -1
                 for field, start in zip(fields, starts, strict=True)]
        assert made.first(commas, starts, ends).tolist() == first


@settings(deadline=None)
@given(FIELDS)
def test_spellings_are_counted_in_order_of_appearance(fields: list[str]) -> None:
    text, starts, ends = _laid(fields)
    valid = _alternate(len(fields))
    known = list(dict.fromkeys(field for field, ok in zip(fields, valid, strict=True) if ok))
    for made in MADE:
        codes, firsts = made.encode(text, starts, ends, valid)
        assert [fields[i] for i in firsts] == known
        assert codes.tolist() == [known.index(field) if ok else -1 for field, ok in zip(fields, valid, strict=True)]
        assert made.missing(text, starts, ends).tolist() == [field == "." for field in fields]


@settings(deadline=None)
@given(st.lists(st.text("aAé=;", max_size=20), max_size=40))
def test_parts_are_sorted_by_their_key(fields: list[str]) -> None:
    text, starts, ends = _laid(fields, "\t")
    semicolons, equals = plain.find(text, b";=")
    expected: dict[str, list[tuple[int, str, bool]]] = {}
    for i, field in enumerate(fields):
        for part in field.split(";"):
            key, sign, value = part.partition("=")
            expected.setdefault(key, []).append((i, value, bool(sign)))
    for made in MADE:
        parts = made.keyed(text, semicolons, equals, starts, ends)
        keys = made.strings(text, parts.key_starts, parts.key_ends, None).to_pylist()
        values = made.strings(text, parts.starts, parts.ends, None).to_pylist()
        found = list(zip(parts.owners.tolist(), values, parts.valued.tolist(), strict=True))
        assert keys == list(expected)
        assert [found[parts.bounds[k] : parts.bounds[k + 1]] for k in range(len(keys))] == list(expected.values())


def test_many_spellings_are_told_apart() -> None:
    fields = [f"transcript:{i // 2:09d}" for i in range(20_000)]
    codes, firsts = MADE[0].encode(*_laid(fields), None)
    assert codes.tolist() == [i // 2 for i in range(20_000)]
    assert firsts.tolist() == list(range(0, 20_000, 2))


@settings(max_examples=500, deadline=None)
@given(st.lists(NUMBERS, max_size=20))
@example(["9007199254740992", "9007199254740993", "0.1", "1e22", "1e23", "-0.0", "1.", ".5", "5e-324", "1e-22", ""])
@example(["999999999999999999", "1000000000000000000", "-1", "--1", "-", "+1", "0x1F", "1_0", ".", "00012"])
def test_a_number_that_is_sure_is_the_one_that_python_reads(fields: list[str]) -> None:
    text, starts, ends = _laid(fields)
    for name, read in (("integers", int), ("floats", float)):
        values, unsure = getattr(MADE[0], name)(text, starts, ends)
        values.validate(full=True)
        for field, value, odd in zip(fields, values.to_pylist(), unsure, strict=True):
            if odd or field in ("", "."):
                assert value is None
                assert odd == (field not in ("", "."))
            else:
                assert value == read(field)
                assert math.copysign(1, value) == math.copysign(1, read(field))
        assert (plain.integers(text, starts, ends)[1] >= unsure).all()


@pytest.mark.parametrize("field", ["0", "7", "-12", "60.00", "0.5", "1.25e-7", "3E+2", "-0.000", "0.9999999999999"])
def test_usual_numbers_are_sure(field: str) -> None:
    for made in MADE[:-1]:
        assert not made.floats(*_laid([field]))[1].any()


def test_a_table_has_the_same_bytes_with_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = vcf(
        "1 10 rs1;x A C,G . PASS AF=0.1,1e-30;DP=5;X=%3D;CSQ=C|missense_variant|A1,G|stop_gained| GT:AD:DP 1/2:1,2,3:6",
        "1 10 . AT A 1.5 q;r DP=x;AF=.;CSQ=-|intron_variant|B GT:AD:DP 0/1:4,.:-1",
        "chrX 7 . G <DEL> 99999999999999999999 . END=50;FL GT .|1",
        samples=("a",), meta=(
            info("AF", "A", "Float"), info("DP", "1", "Integer"), info("END", "1", "Integer"), info("FL", "0", "Flag"),
            info("CSQ", ".", "String", "Format: Allele|Consequence|SYMBOL"), fmt("GT", "1", "String"),
            fmt("AD", "R", "Integer"), fmt("DP", "1", "Integer"),
        ),
    )
    tables = []
    for made in MADE:
        for name in NAMES:
            monkeypatch.setattr(kernels, name, getattr(made, name))
        tables.append(Built(tmp_path, text).path.read_bytes())
    assert len(set(tables)) == 1


def test_a_library_of_another_source_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "digest", lambda: "of another source")
    assert compiled.load() == {}


def test_without_a_compiler_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.build() == "there is no C compiler (cc, gcc or clang)"
    monkeypatch.setenv("CC", "/bin/false")
    assert "failed" in (build.build() or "")


def test_arrow_sees_no_byte_beyond_the_fields() -> None:
    array = MADE[0].strings(*_laid(["a" * 15, "b"]), None)
    assert isinstance(array, pa.StringArray)
    assert array.buffers()[2].size == 16


# -- bitmaps ----------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 300), st.sampled_from((np.uint8, np.uint16, np.uint32)), st.integers(0, 255), st.integers(0, 260),
       st.randoms(use_true_random=False))
def test_rows_are_found_by_their_codes(n: int, type_: type[np.uint8], first: int, last: int, random: st.random.Random
                                       ) -> None:
    """From below `first` to above what the type holds, at the ends of words too."""
    most = int(np.iinfo(type_).max)
    codes = np.array([random.choice((0, first, 7, 254, most)) for _ in range(n)], type_)
    last = most if last > 255 else last
    wanted = [i for i, code in enumerate(codes.tolist()) if first <= code <= last]
    for made in MADE:
        words = made.within(codes, first, last)
        assert len(words) == -(-n // 64)
        assert made.rows_of(words).tolist() == wanted


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 3), st.booleans())
def test_bits_in_common_are_counted(numbers: list[int], k: int, sparse: bool) -> None:
    """Where most words are 0 too."""
    words = np.array([0] * (len(numbers) * 20 * sparse) + numbers, np.uint64)
    bitmaps = np.stack([np.roll(words, shift) for shift in range(k)]) if k else np.zeros((0, len(words)), np.uint64)
    wanted = [sum((a & b).bit_count() for a, b in zip(words.tolist(), each, strict=True)) for each in bitmaps.tolist()]
    for made in MADE:
        assert made.common(words, bitmaps) == wanted


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), st.integers(0, 1), st.booleans()),
                min_size=1, max_size=40), st.booleans())
def test_pairs_are_what_comparing_each_with_each_finds(rows: list[tuple[int, int, int, int, bool]], in_trans: bool
                                                       ) -> None:
    """(gene, origin, phase set from 1 or 0, side, among them) of each row; each row is in one gene."""
    def trans(a: tuple[int, ...], b: tuple[int, ...]) -> bool | None:
        if a[2] and a[2] == b[2]:
            return a[3] != b[3]
        return a[1] != b[1] if a[1] and b[1] else None

    def fits(at: int) -> bool:
        found = [trans(rows[at], row) for other, row in enumerate(rows)
                 if other != at and row[4] and row[0] == rows[at][0]]
        return True in found or (not in_trans and None in found)

    wanted = [at for at, row in enumerate(rows) if row[4] and fits(at)]
    sets = [1 + gene * 3 + phase if phase else 0 for gene, _, phase, *_ in rows]
    alike = [(row[0], row[1], phase, 2 * phase + row[3] if phase else 0)
             for row, phase in zip(rows, sets, strict=True)]
    order = sorted(range(len(rows)), key=lambda at: alike[at])
    starts = [i for i, at in enumerate(order) if not i or alike[at] != alike[order[i - 1]]]
    classes = tuple(np.array([alike[order[start]][part] for start in starts], np.int32) for part in range(4))
    words = np.zeros(1, np.uint64)
    words[0] = sum(1 << at for at, row in enumerate(rows) if row[4])
    for made in MADE:
        found = made.paired(words, np.array(order, np.int32), np.array(starts, np.int64), classes, in_trans)
        assert made.rows_of(found).tolist() == wanted
