"""The join: which rows, whose values, and that nothing is lost or invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.variants import order_table
from shared.variants.order_detail import detail
from tests.unit.variants.orders import FIELDS, Joined, csq, table

TRIO = {"P": "proband", "M": "mother", "F": "father"}


def test_c46_symbolic_alleles_at_one_place_are_each_its_own(tmp_path: Path) -> None:
    """C46: three deletions and two breakends, joined over a trio of three files, each with its genotypes; the detail
    opens the right record."""
    def file(genotype: str, sample: str) -> str:
        return table(
            *(f"chr1 1000 . A <DEL> 50 PASS SVLEN=-{n}000;END={n + 1}000 GT:DP {genotype}:{n}" for n in (1, 2, 3)),
            f"chr1 5000 . A A[chr2:100[ 50 PASS . GT:DP {genotype}:4",
            f"chr1 5000 . A A[chr3:100[ 50 PASS . GT:DP {genotype}:5", samples=[sample],
        )

    order = Joined(tmp_path, [(file("0/1", "P"), {"P": "proband"}), (file("1/1", "M"), {"M": "mother"}),
                              (file("0/0", "F"), {"F": "father"})])
    rows = order.rows
    assert [row["key_pos"] for row in rows] == [1000, 1000, 1000, 5000, 5000]
    assert [row["length"] for row in rows[:3]] == [1000, 2000, 3000]
    for prefix, genotype in (("proband", "0/1"), ("mother", "1/1"), ("father", "0/0")):
        assert [(row[f"{prefix}_gt"], row[f"{prefix}_dp"]) for row in rows] == [(genotype, n) for n in (1, 2, 3, 4, 5)]
    paths = {member.table: path for member, path in order.members}
    for number in range(5):
        found = detail(order.queries.index, number, lambda t: _Here(paths[t]), ["t0", "t1", "t2"])
        assert [source["fields"]["s0_dp"] for source in found["sources"]] == [number + 1] * 3


class _Here:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Path:
        return self._path

    def __exit__(self, *_: object) -> None:
        pass


def test_c46_a_duplicate_is_one_row_and_the_other_is_not_lost(tmp_path: Path) -> None:
    """C46: shown is the row in which the sample carries the allele; `copies` says that there are more."""
    order = Joined(tmp_path, [(table("chr1 10 . A C 50 PASS . GT:DP 0/0:1", "chr1 10 . A C 60 LowQ . GT:DP 0/1:2",
                                     samples=["P"]), {"P": "proband"})])
    (row,) = order.rows
    assert (row["proband_gt"], row["proband_dp"], row["proband_filters"], row["copies"]) == ("0/1", 2, ["LowQ"], 2)
    assert row["sources"] == [{"table": 0, "row": 0}, {"table": 0, "row": 1}]
    assert order.manifest["copies"] == 1


def test_annotations_are_one_tables_and_never_a_mixture(tmp_path: Path) -> None:
    bare = table("chr1 10 . A C 50 PASS . GT 0/1", samples=["P"])
    said = table(f"chr1 10 . A C 40 q {csq('C', 'stop_gained', 'HIGH', 'G1', af='0.1')} GT 0/1", samples=["M"])
    other = table(f"chr1 10 . A C 30 PASS {csq('C', 'missense_variant', 'MODERATE', 'G2', clinvar='benign')} GT 0/0",
                  samples=["F"])
    order = Joined(tmp_path, [(other, {"F": "father"}), (bare, {"P": "proband"}), (said, {"M": "mother"})])
    (row,) = order.rows
    assert (row["gene"], row["impact"], row["af_max"], row["clinvar"]) == ("G1", "HIGH", 0.1, None)
    assert (row["qual"], row["filters"], row["mother_qual"], row["father_filters"]) == (50, ["PASS"], 40, ["PASS"])


def test_samples_of_one_role_are_numbered_and_one_of_two_tables_is_one(tmp_path: Path) -> None:
    small = table("chr1 10 . A C 50 PASS . GT 0/1 0/0", samples=["S1", "S2"])
    large = table("chr1 900 . A <DEL> 50 PASS END=2000 GT 1/1", samples=["S1"])
    order = Joined(tmp_path, [(small, {"S1": "sibling", "S2": "sibling"}), (large, {"S1": "sibling"})])
    assert [(g["prefix"], g["name"]) for g in order.manifest["groups"]] == [("sibling1", "S1"), ("sibling2", "S2")]
    assert [(r["sibling1_gt"], r["sibling2_gt"], r["sibling2_present"]) for r in order.rows] == [
        ("0/1", "0/0", True), ("1/1", None, False),
    ]


def test_in_how_many_other_analyses_an_allele_was_seen(tmp_path: Path) -> None:
    lines = (f"chr{c} {p} . A C 50 PASS . GT 0/1" for c, p in ((1, 10), (1, 20), (2, 10)))
    order = Joined(tmp_path, [(table(*lines, samples=["P"]), {"P": "proband"})], {"2-10-A-C": 7, "1-20-A-C": 2})
    assert [row["seen"] for row in order.rows] == [0, 2, 7]
    assert order.keys(seen_max=2) == ["1-10-A-C", "1-20-A-C"]


@pytest.mark.parametrize("window", [1, 2, 7, 1000])
def test_windows_do_not_show_in_the_bytes(tmp_path: Path, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables whose contigs stand in other orders, and rows whose key is behind their place."""
    alleles = ((5, "AAAAAAC", "AAAAAAG"), (7, "A", "C"), (11, "C", "T"), (11, "CA", "C"))
    lines = [f"{c} {p} . {ref} {alt} 50 PASS . {FIELDS} 0/1:1,2:3:4"
             for c in ("chr10", "chr2", "chrX") for p, ref, alt in alleles]
    other = [line.replace("0/1", "1/1") for line in lines[4:]] + ["GL1 5 . A C 50 PASS . GT 0/1"]
    tables = [(table(*lines, samples=["P"]), {"P": "proband"}), (table(*other, samples=["M"]), {"M": "mother"})]
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = Joined(tmp_path / "whole", tables)
    monkeypatch.setattr(order_table, "WINDOW_ROWS", window)
    cut = Joined(tmp_path / "cut", tables)
    assert cut.rows == whole.rows
    assert [row["key"] for row in cut.rows] == [
        f"{c}-{k}" for c in (2, 10, "X") for k in ("7-A-C", "11-C-G", "11-C-T", "11-CA-C")] + ["GL1-5-A-C"]
    assert [row["mother_gt"] for row in cut.rows] == ["1/1"] * 4 + [None] * 4 + ["1/1"] * 4 + ["0/1"]
    assert cut.path.with_suffix(".index").read_bytes() == whole.path.with_suffix(".index").read_bytes()


def test_c49_a_table_of_no_rows(tmp_path: Path) -> None:
    """C49: a VCF of a header alone."""
    order = Joined(tmp_path, [(table(samples=["P"]), {"P": "proband"})])
    assert order.manifest["rows"] == 0
    assert order.keys(impact="HIGH", sort="-qual,gene") == []
    assert order.result().facets()["impact"] == {}
