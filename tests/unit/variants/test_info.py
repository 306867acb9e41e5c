"""INFO and FORMAT keys: typed as declared, split per allele, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.variants.vcf_text import Built, fmt, info, vcf


def others(row: dict[str, object], name: str = "info_other") -> list[tuple[str, str | None]]:
    found = row[name] or []
    assert isinstance(found, list)
    return [(pair["key"], pair["value"]) for pair in found]


def test_values_have_the_declared_type(tmp_path: Path) -> None:
    built = Built(
        tmp_path,
        vcf(
            "1 1 . A C . . I=7;F=1.5e-3;S=abc;FL;C=x;L=1,.,3",
            "1 2 . A C . . I=.;F=.;S=.;C=.;L=.",
            "1 3 . A C . . .",
            meta=(
                info("I", "1", "Integer"),
                info("F", "1", "Float"),
                info("S", "1", "String"),
                info("FL", "0", "Flag"),
                info("C", "1", "Character"),
                info("L", ".", "Integer"),
            ),
        ),
    )
    names = ("info_I", "info_F", "info_S", "info_FL", "info_C", "info_L", "info_other")
    assert [[row[name] for name in names] for row in built.rows] == [
        [7, 0.0015, "abc", True, "x", [1, None, 3], None],
        [None, None, None, False, None, None, None],
        [None, None, None, False, None, None, None],
    ]
    assert built.codes == set()


def test_values_per_allele_go_to_their_allele(tmp_path: Path) -> None:
    built = Built(
        tmp_path,
        vcf(
            "1 1 . A C,*,G . . AC=1,2,3;RD=10,11,12,13;GL=0,1,2,3,4,5,6,7,8,9",
            meta=(info("AC", "A", "Integer"), info("RD", "R", "Integer"), info("GL", "G", "Float")),
        ),
    )
    assert built.column("info_AC") == [1, 3]
    assert built.column("info_RD") == [[10, 11], [10, 13]]
    assert built.column("info_GL") == [[0, 1, 2], [0, 6, 9]]


def test_a_wrong_number_of_values_is_kept_as_text(tmp_path: Path) -> None:
    built = Built(tmp_path, vcf("1 1 . A C,G . . AC=1", "1 2 . A C . . AC=5", meta=(info("AC", "A", "Integer"),)))
    assert built.column("info_AC") == [None, None, 5]
    assert [others(row) for row in built.rows] == [[("AC", "1")], [("AC", "1")], []]
    assert [(w.code, w.line, w.times) for w in built.report.warnings] == [("info_value", 4, 1)]


def test_undeclared_keys_are_kept_as_text(tmp_path: Path) -> None:
    built = Built(tmp_path, vcf("1 1 . A C . . X=1,2;FLAG;DP=3", meta=(info("DP", "1", "Integer"),)))
    assert others(built.rows[0]) == [("X", "1,2"), ("FLAG", None)]
    assert built.column("info_DP") == [3]
    assert "undeclared_info" in built.codes


def test_c37_a_value_of_another_type_keeps_its_text_and_every_row(tmp_path: Path) -> None:
    """C37"""
    meta = (fmt("GT", "1", "String"), fmt("PS", "1", "Integer"), info("I", "1", "Integer"))
    built = Built(
        tmp_path,
        vcf(
            *(f"1 {i} . A C . . I={'x' if i == 3 else i} GT:PS 0|1:{'P12' if i == 3 else i}" for i in range(1, 6)),
            meta=meta,
            samples=("a",),
        ),
    )
    assert built.column("s0_fmt_PS") == [1, 2, None, 4, 5]
    assert built.column("info_I") == [1, 2, None, 4, 5]
    assert others(built.rows[2], "s0_fmt_other") == [("PS", "P12")]
    assert others(built.rows[2]) == [("I", "x")]
    assert {(w.message, w.line) for w in built.report.warnings} == {
        ("FORMAT PS: no Integer", 8),
        ("INFO I: no Integer", 8),
    }


def test_c52_text_is_percent_decoded_once(tmp_path: Path) -> None:
    """C52"""
    built = Built(
        tmp_path,
        vcf(
            "1 1 . A C . . T=a%2Cb;L=a%2Cb,100%25;D=%2541;U=%C3%A9;B=5%;N=x%2Cy GT:FT 0/1:q%3B",
            samples=("a",),
            meta=(
                info("T", "1", "String"),
                info("L", ".", "String"),
                info("D", "1", "String"),
                info("U", "1", "String"),
                info("B", "1", "String"),
                fmt("GT", "1", "String"),
                fmt("FT", "1", "String"),
            ),
        ),
    )
    row = built.rows[0]
    assert [row[f"info_{key}"] for key in "TLDUB"] == ["a,b", ["a,b", "100%"], "%41", "é", "5%"]
    assert others(row) == [("N", "x,y")]
    assert row["s0_fmt_FT"] == "q;"


def test_c52_hgvs_is_decoded_after_its_transcript_is_cut_out(tmp_path: Path) -> None:
    """C52"""
    built = Built(
        tmp_path,
        vcf(
            "1 1 . A C . . CSQ=C|ENSP1.1:p.Ala42%3D|x%2Cy",
            meta=(
                info(
                    "CSQ", ".", "String", "Consequence annotations from Ensembl VEP. Format: Consequence|HGVSp|SYMBOL"
                ),
            ),
        ),
    )
    assert (built.rows[0]["hgvsp"], built.rows[0]["info_CSQ"]) == ("ENSP1.1:p.Ala42=", "C|ENSP1.1:p.Ala42%3D|x%2Cy")


def test_a_flag_with_a_value_keeps_it(tmp_path: Path) -> None:
    built = Built(tmp_path, vcf("1 1 . A C . . DB=0", "1 2 . A C . . DB", meta=(info("DB", "0", "Flag"),)))
    assert built.column("info_DB") == [False, True]
    assert others(built.rows[0]) == [("DB", "0")]


def test_a_key_that_stands_twice_keeps_both_texts(tmp_path: Path) -> None:
    built = Built(tmp_path, vcf("1 1 . A C . . I=1;I=2", meta=(info("I", "1", "Integer"),)))
    assert (built.column("info_I"), others(built.rows[0])) == ([1], [("I", "2")])
    assert "info_repeated" in built.codes


def test_column_names_are_words_that_differ_in_more_than_case(tmp_path: Path) -> None:
    built = Built(
        tmp_path,
        vcf(
            "1 1 . A C . . DP=1;dp=2;A.B=3;A-B=4;other=5",
            meta=tuple(info(key, "1", "Integer") for key in ("DP", "dp", "A.B", "A-B", "other")),
        ),
    )
    row = built.rows[0]
    assert [row[c] for c in ("info_DP", "info_dp_2", "info_A_B", "info_A_B_2", "info_other_2")] == [1, 2, 3, 4, 5]
    assert built.metadata["columns"]["info_dp_2"] == "INFO/dp"


@pytest.mark.parametrize(("value", "found"), [("0x1F", None), ("1_000", None), ("+5", None), ("007", 7), ("-3", -3)])
def test_what_is_an_integer(tmp_path: Path, value: str, found: int | None) -> None:
    assert Built(tmp_path, vcf(f"1 1 . A C . . I={value}", meta=(info("I", "1", "Integer"),))).column("info_I") == [
        found
    ]


@pytest.mark.parametrize(
    ("value", "found"), [("1.", 1.0), (".5", 0.5), ("-inf", float("-inf")), ("1,5", None), ("x", None)]
)
def test_what_is_a_float(tmp_path: Path, value: str, found: float | None) -> None:
    assert Built(tmp_path, vcf(f"1 1 . A C . . F={value}", meta=(info("F", "1", "Float"),))).column("info_F") == [found]


def test_keys_longer_than_a_word_and_values_with_equals_signs(tmp_path: Path) -> None:
    key = "K" * 100
    built = Built(
        tmp_path, vcf(f"1 1 . A C . . {key}=a=b;S=c=d", meta=(info(key, "1", "String"), info("S", "1", "String")))
    )
    assert (built.rows[0][f"info_{key}"], built.rows[0]["info_S"]) == ("a=b", "c=d")
