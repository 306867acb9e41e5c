"""How an allele came to the proband, by genotypes, phase and sex."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from shared.variants.filters import BadQuery
from tests.unit.variants.orders import Joined, csq, table

TRIO = {"P": "proband", "M": "mother", "F": "father"}


def in_gene(pos: int, *genotypes: str, chrom: str = "chr1", gene: str = "G", fields: str = "GT") -> str:
    said = csq("C", "missense_variant", "MODERATE", gene)
    return f"{chrom} {pos} . A C 50 PASS {said} {fields} {' '.join(genotypes)}"


FOUR = (in_gene(100, "0/1", "0/0", "0/1"), in_gene(200, "0/1", "0/0", "0/1"), in_gene(300, "0/1", "0/1", "0/0"),
        in_gene(400, "0/1", "0/0", "0/0"))


def key(pos: int, chrom: str = "1") -> str:
    return f"{chrom}-{pos}-A-C"


def test_c57_pairs_of_a_gene_are_one_from_each_parent(tmp_path: Path) -> None:
    """C57: v1 and v2 from the father, v3 from the mother, v4 de novo, whose phase nobody knows."""
    order = Joined(tmp_path, [(table(*FOUR, samples=["P", "M", "F"]), TRIO)])
    rows = order.shown(inheritance="compound_het")
    pairs = {name: {(p["key"], p["phase"]) for p in row["partners"]} for name, row in rows.items()}
    assert pairs == {
        key(100): {(key(300), "trans"), (key(400), "unknown")},
        key(200): {(key(300), "trans"), (key(400), "unknown")},
        key(300): {(key(100), "trans"), (key(200), "trans"), (key(400), "unknown")},
        key(400): {(key(100), "unknown"), (key(200), "unknown"), (key(300), "unknown")},
    }
    assert order.keys(inheritance="compound_het", phase_known=True) == [key(100), key(200), key(300)]


def test_c57_without_the_mother_no_phase_is_known(tmp_path: Path) -> None:
    """C57: every pair is marked."""
    without = [" ".join([*r.split()[:9], r.split()[9], r.split()[11]]) for r in FOUR]
    order = Joined(tmp_path, [(table(*without, samples=["P", "F"]), {"P": "proband", "F": "father"})])
    rows = order.shown(inheritance="compound_het")
    assert len(rows) == 4
    assert {p["phase"] for row in rows.values() for p in row["partners"]} == {"unknown"}
    assert order.keys(inheritance="compound_het", phase_known=True) == []


@pytest.mark.parametrize(("second", "found"), [("0|1:7", 0), ("1|0:7", 2), ("1|0:8", 2), ("0/1:.", 2)])
def test_phase_decides_where_it_is_known(tmp_path: Path, second: str, found: int) -> None:
    """C57: the same side of one set is cis, the other side trans; another set says nothing."""
    records = (in_gene(100, "0|1:7", fields="GT:PS"), in_gene(200, second, fields="GT:PS"))
    order = Joined(tmp_path, [(table(*records, samples=["P"]), {"P": "proband"})])
    assert len(order.keys(inheritance="compound_het")) == found
    assert len(order.keys(inheritance="compound_het", phase_known=True)) == (2 if second == "1|0:7" else 0)


def test_partners_pass_the_other_filters_too(tmp_path: Path) -> None:
    records = (in_gene(100, "0/1", "0/0", "0/1"), in_gene(300, "0/1", "0/1", "0/0").replace("50 PASS", "9 LowQ"))
    order = Joined(tmp_path, [(table(*records, samples=["P", "M", "F"]), TRIO)])
    assert len(order.keys(inheritance="compound_het")) == 2
    assert order.keys(inheritance="compound_het", filter="PASS") == []


@pytest.mark.parametrize(
    ("sex", "genotype"), [("male", "1"), ("male", "1/1"), ("female", "0/1")]
)
def test_c58_de_novo_on_x(tmp_path: Path, sex: str, genotype: str) -> None:
    """C58: a male's one copy is found however the caller writes it."""
    record = in_gene(5_000_000, genotype, "0/0", "0", chrom="chrX")
    order = Joined(tmp_path, [(table(record, samples=["P", "M", "F"]), {**TRIO, "P": ("proband", sex)})])
    assert order.keys(inheritance="de_novo") == [key(5_000_000, "X")]
    assert order.keys(inheritance="x_linked") == []


@pytest.mark.parametrize(("position", "x_linked", "recessive"), [(5_000_000, 1, 0), (100_000, 0, 1)])
def test_c58_the_mother_is_the_carrier_outside_the_pseudoautosomal_regions(
    tmp_path: Path, position: int, x_linked: int, recessive: int
) -> None:
    """C58: within them a male has two copies, and a recessive allele comes from both parents."""
    record = in_gene(position, "1/1", "0/1", "0/1", chrom="chrX")
    order = Joined(tmp_path, [(table(record, samples=["P", "M", "F"]), {**TRIO, "P": ("proband", "male")})])
    assert len(order.keys(inheritance="x_linked")) == x_linked
    assert len(order.keys(inheritance="recessive")) == recessive
    zygosity = order.shown()[key(position, "X")]["samples"]["proband"]["zygosity"]
    assert zygosity == ("hemi_alt" if x_linked else "hom_alt")


def test_c58_y_comes_from_the_father_and_mt_from_the_mother(tmp_path: Path) -> None:
    """C58: neither is new if that one carries it; what is shown of a row is what the filter finds."""
    records = [in_gene(100, "0/1", "0/0", "0/0"), in_gene(5_000_000, "1/1", "0/1", "0/0", chrom="chrX"),
               in_gene(20_000_000, "1/1", "0/0", "1/1", chrom="chrY"),
               in_gene(20_000_100, "1/1", "0/0", "0/0", chrom="chrY"), in_gene(10, "1/1", "1/1", "0/0", chrom="chrM"),
               in_gene(20, "1/1", "0/0", "1/1", chrom="chrM")]
    order = Joined(tmp_path, [(table(*records, samples=["P", "M", "F"]), {**TRIO, "P": ("proband", "male")})])
    found = order.keys(inheritance="de_novo")
    assert found == [key(100), key(20_000_100, "Y"), key(20, "MT")]
    assert [name for name, row in order.shown().items() if "de_novo" in row["inheritance"]] == found


def test_c59_parents_without_a_call(tmp_path: Path) -> None:
    """C59: (a) reference, (b) no call, (c) no row at all; strictly only (a), and how many more is told."""
    proband = table(*(in_gene(pos, "0/1") for pos in (100, 200, 300)), samples=["P"])
    parents = table(in_gene(100, "0/0", "0/0"), in_gene(200, "./.", "0/0"), samples=["M", "F"])
    order = Joined(tmp_path, [(proband, {"P": "proband"}), (parents, {"M": "mother", "F": "father"})])
    strict = order.result(inheritance="de_novo")
    assert order.keys(inheritance="de_novo") == [key(100)]
    assert strict.without_parent_call() == 2
    rows = order.shown(inheritance="de_novo", missing_parents=True)
    assert {name: row["parent_without_call"] for name, row in rows.items()} == {
        key(100): False, key(200): True, key(300): True,
    }
    assert not rows[key(300)]["samples"]["mother"]["present"]


@pytest.mark.parametrize(
    ("genotypes", "patterns"),
    [
        (("1/1", "0/1", "0/1"), {"recessive"}),
        (("1/1", "1/1", "0/1"), set()),
        (("0/1", "0/1", "0/0"), {"dominant"}),
        (("0/1", "0/1", "0/1"), set()),
        (("0/1", "0/0", "0/0"), {"de_novo"}),
        (("0/0", "0/1", "0/1"), set()),
        (("./.", "0/0", "0/0"), set()),
        (("1/1", "0/1", "./."), set()),
    ],
)
def test_what_an_autosomal_genotype_fits(tmp_path: Path, genotypes: tuple[str, ...], patterns: set[str]) -> None:
    order = Joined(tmp_path, [(table(in_gene(100, *genotypes), samples=["P", "M", "F"]), TRIO)])
    every = ("de_novo", "recessive", "x_linked", "dominant", "compound_het")
    assert {name for name in every if order.keys(inheritance=name)} == patterns
    assert set(order.shown()[key(100)]["inheritance"]) == patterns


def test_c66_what_the_samples_cannot_answer_is_refused(tmp_path: Path) -> None:
    """C66: never an empty table."""
    order = Joined(tmp_path, [(table(in_gene(100, "0/1"), samples=["P"]), {"P": "proband"})])
    with pytest.raises(BadQuery, match="neither mother nor father"):
        order.result(inheritance="de_novo")
    with pytest.raises(BadQuery, match="give the samples their roles"):
        order.result(somatic="somatic")
    with pytest.raises(BadQuery, match="its samples are proband"):
        order.result(genotype="mother:het")


def test_tumour_against_normal(tmp_path: Path) -> None:
    def record(pos: int, tumor: str, normal: str) -> str:
        return in_gene(pos, tumor, normal, fields="GT:AD")

    order = Joined(tmp_path, [(table(
        record(100, "0/1:70,30", "0/0:100,0"), record(200, "0/1:50,50", "0/1:50,50"),
        record(300, "0/1:70,30", "0/0:95,5"), record(400, "0/0:100,0", "0/0:100,0"), samples=["T", "N"],
    ), {"T": "tumor", "N": "normal"})])
    assert order.keys(somatic="somatic") == [key(100)]
    assert order.keys(somatic="somatic", normal_vaf_max=0.05) == [key(100), key(300)]
    assert order.keys(somatic="germline_leak") == [key(200), key(300)]
    assert order.keys(vaf_delta_min=0.25) == [key(100), key(300)]


@pytest.mark.parametrize("seed", range(6))
def test_c57_pairs_are_those_of_a_plain_look_at_every_two(tmp_path: Path, seed: int) -> None:
    """C57: over phases, sets, origins, genes; and the facets of it are counted as any others."""
    rng = random.Random(seed)
    lines, rows = [], []
    for number in range(80):
        gene, gt = rng.choice("AB"), rng.choice(["0/1", "0|1", "1|0", "0|1", "1|0", "1/1", "0/0"])
        phase_set = rng.choice(["7", "8", "."])
        mother, father = (rng.choice(["0/0", "0/1", "0/0", "./."]) for _ in range(2))
        rows.append((key(100 + number), gene, gt, phase_set, mother, father))
        genotypes = (f"{gt}:{phase_set}", f"{mother}:.", f"{father}:.")
        lines.append(in_gene(100 + number, *genotypes, gene=gene, fields="GT:PS"))
    order = Joined(tmp_path, [(table(*lines, samples=["P", "M", "F"]), TRIO)])
    het = [row for row in rows if row[2] in ("0/1", "0|1", "1|0")]
    pairs = {(a[0], b[0]): _relation(a, b) for a in het for b in het if a is not b and a[1] == b[1]}
    found = order.shown(inheritance="compound_het")
    assert set(found) == {a for (a, _), relation in pairs.items() if relation != "cis"}
    in_trans = {a for (a, _), relation in pairs.items() if relation == "trans"}
    assert set(order.keys(inheritance="compound_het", phase_known=True)) == in_trans
    assert order.result(inheritance="compound_het").facets()["chrom"] == {"1": len(found)}
    for name, row in found.items():
        relations = {b: relation for (a, b), relation in pairs.items() if a == name and relation != "cis"}
        assert row["phase"] == ("trans" if "trans" in relations.values() else "unknown")
        assert all(relations[partner["key"]] == partner["phase"] for partner in row["partners"])
        assert len(row["partners"]) == min(len(relations), 20)


def _relation(a: tuple[str, ...], b: tuple[str, ...]) -> str:
    if "|" in a[2] and "|" in b[2] and a[3] == b[3]:
        return "cis" if a[2] == b[2] else "trans"
    origins = {("0/1", "0/0"): "mother", ("0/0", "0/1"): "father"}
    first, second = origins.get((a[4], a[5])), origins.get((b[4], b[5]))
    if first is None or second is None:
        return "unknown"
    return "cis" if first == second else "trans"
