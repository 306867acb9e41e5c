"""Pages, totals, facets and places of an order table, compared with plain Python over its rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow.parquet as pq
import pytest

from shared.variants import ordering
from shared.variants.clauses import PanelContent
from shared.variants.filters import BadQuery, filter_from
from shared.variants.index_build import build_index
from shared.variants.order_index import IndexBroken, open_index
from shared.variants.order_rows import json_text
from shared.variants.query import OrderQueries, Result
from tests.unit.variants.orders import META, Joined, csq, table
from tests.unit.variants.vcf_text import vcf

CONSEQUENCES = (("missense_variant", "MODERATE"), ("stop_gained", "HIGH"), ("intron_variant", "MODIFIER"),
                ("synonymous_variant", "LOW"))


def records(n: int, seed: int = 1) -> Iterator[str]:
    rng = random.Random(seed)
    for i in range(n):
        what, impact = rng.choice(CONSEQUENCES)
        said = rng.choice([csq("C", what, impact, f"G{rng.randrange(12)}", af=rng.choice(["", "0", "0.005", "0.02"]),
                               clinvar=rng.choice(["", "pathogenic", "benign"])), "."])
        depth = rng.randrange(3, 60)
        alt = rng.randrange(depth + 1)
        quality, passed = rng.choice([".", "10", "50", "99.5"]), rng.choice(["PASS", "LowQ", "."])
        genotype, gq = rng.choice(["0/1", "1/1", "0/0", "./."]), rng.choice([".", "40"])
        yield (f"chr{1 + i * 3 // n} {100 + i} . A C {quality} {passed} {said} GT:AD:DP:GQ "
               f"{genotype}:{depth - alt},{alt}:{depth}:{gq}")


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Joined:
    return Joined(tmp_path_factory.mktemp("query"), [(table(*records(1500), samples=["P"]), {"P": "proband"})])


RULES: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = {
    "impact": ({"impact": ["HIGH"]}, lambda r: r["worst_impact"] == "HIGH"),
    "impact none": ({"impact": "none,LOW"}, lambda r: r["worst_impact"] in (None, "LOW")),
    "consequence": ({"consequence": "coding"}, lambda r: r["consequence"] in (
        "missense_variant", "stop_gained", "synonymous_variant")),
    "gene": ({"gene": ["g3", "G4"]}, lambda r: r["gene"] in ("G3", "G4")),
    "exclude": ({"exclude_gene": "G3"}, lambda r: r["gene"] != "G3"),
    "quality": ({"qual_min": 50}, lambda r: r["qual"] is not None and r["qual"] >= 50),
    "quality or none": ({"qual_min": 50, "keep_missing": "qual"}, lambda r: r["qual"] is None or r["qual"] >= 50),
    "depth": ({"depth_min": 30}, lambda r: r["proband_dp"] >= 30),
    "alt": ({"alt_min": 10}, lambda r: r["proband_ad_alt"] >= 10),
    "gq": ({"gq_min": 1}, lambda r: r["proband_gq"] is not None),
    "fraction": ({"vaf_min": 0.25, "vaf_max": 0.5}, lambda r: 0.25 <= (r["proband_vaf"] or 0) <= 0.5),
    "filter": ({"filter": ["PASS"]}, lambda r: r["filters"] == ["PASS"]),
    "not filtered": ({"filter": ["none", "LowQ"]}, lambda r: r["filters"] in (None, ["LowQ"])),
    "frequency": ({"frequency_max": 0.01}, lambda r: r["af_max"] is None or r["af_max"] <= 0.01),
    "frequency known": ({"frequency_max": 0.01, "keep_missing": "none"},
                        lambda r: r["af_max"] is not None and r["af_max"] <= 0.01),
    "frequency, pathogenic kept": (
        {"frequency_max": 0.01, "keep_pathogenic": True},
        lambda r: r["af_max"] is None or r["af_max"] <= 0.01 or r["clinvar"] == ["pathogenic"]),
    "clinvar": ({"clinvar": "pathogenic"}, lambda r: r["clinvar"] == ["pathogenic"]),
    "genotype": ({"genotype": ["proband:het,hom"]}, lambda r: r["proband_zygosity"] in ("het", "hom_alt")),
    "no call": ({"genotype": ["proband:no_call"]}, lambda r: r["proband_zygosity"] == "no_call"),
    "region": ({"region": ["chr2:700-800", "3"]},
               lambda r: r["chrom"] == "3" or (r["chrom"] == "2" and 700 <= r["pos"] <= 800)),
    "all": ({}, lambda r: True),
}


@pytest.mark.parametrize("rule", RULES)
def test_c63_what_a_field_leaves_is_what_a_plain_reader_leaves(order: Joined, rule: str) -> None:
    """C63: frequency 0 and none pass, 0.02 never; a switch leaves out those without one."""
    fields, passes = RULES[rule]
    expected = [row["key"] for row in order.rows if passes(row)]
    result = order.result(**fields)
    assert 0 < result.total == len(expected)
    assert _pages(order, fields, "", 400) == expected


def test_totals_facets_and_what_is_removed_are_exact(order: Joined) -> None:
    """Each facet is counted without its own field."""
    fields = {"impact": ["HIGH", "MODERATE"], "filter": "PASS", "depth_min": 10}
    result = order.result(**fields)

    def passing(without: str = "") -> list[dict[str, Any]]:
        return [r for r in order.rows
                if (without == "impact" or r["worst_impact"] in ("HIGH", "MODERATE"))
                and (without == "filter" or r["filters"] == ["PASS"])
                and (without == "depth_min" or r["proband_dp"] >= 10)]

    facets = result.facets()
    assert facets["impact"] == _counted(passing("impact"), lambda r: [r["worst_impact"]])
    assert facets["filter"] == _counted(passing("filter"), lambda r: r["filters"] or [])
    assert facets["clinvar"] == _counted(passing(), lambda r: r["clinvar"] or [])
    assert facets["proband_zygosity"] == _counted(passing(), lambda r: [r["proband_zygosity"]])
    assert {name: removed["more_without"] for name, removed in result.removed().items()} == {
        name: len(passing(name)) - len(passing()) for name in fields
    }
    assert result.removed()["filter"]["alone"] == sum(r["filters"] != ["PASS"] for r in order.rows)


def test_what_questions_share_is_found_once_and_said_to_all(order: Joined) -> None:
    """Asked at once or one after the other, with what one had to say of a field."""
    queries, started = OrderQueries(order.queries.index, "v1"), Barrier(6)
    asked = [filter_from({"gene": ["G3", "NIRGENDS"], "depth_min": depth}) for depth in (10, 20)]

    def ask(number: int) -> tuple[Result, int, dict[str, dict[str, int]]]:
        started.wait()
        result = queries.result(asked[number % 2])
        return result, result.total, result.facets()

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, range(6)))
    for number, depth in enumerate((10, 20)):
        mine = found[number::2]
        rows = [row for row in order.rows if row["gene"] == "G3" and row["proband_dp"] >= depth]
        assert all(result is mine[0][0] and total == len(rows) for result, total, _ in mine)
        assert all(facets["impact"] == _counted(rows, lambda r: [r["worst_impact"]]) for *_, facets in mine)
        assert ["NIRGENDS" in note for note in mine[0][0].notes] == [True]
    later = queries.result(filter_from({"gene": ["G3", "NIRGENDS"]}))
    assert any(later.clauses["gene"] is result.clauses["gene"] for result, *_ in found)
    assert later.notes == found[0][0].notes


def _counted(rows: list[dict[str, Any]], values: Callable[[dict[str, Any]], list[str | None]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        for value in values(row):
            if value is not None:
                counts[value] = counts.get(value, 0) + 1
    return counts


SORTS = ("qual", "af_max", "gene", "consequence", "impact", "proband_dp", "proband_vaf", "proband_zygosity", "clinvar",
         "proband_carries", "rsid", "gene,-proband_dp", "-qual,af_max,gene", "-position", "impact,-position")


@pytest.mark.parametrize("few", [ordering._FEW, 40])
@pytest.mark.parametrize("sort", [*SORTS, *(f"-{sort}" for sort in SORTS[:10])])
def test_c56_pages_are_the_whole_in_order_and_no_row_twice(
    order: Joined, sort: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C56: in every order and direction, twice the same; with windows of values (few) as by sorting."""
    monkeypatch.setattr(ordering, "_FEW", few)
    fields = {"filter": "PASS,LowQ"}
    expected = _sorted(order, [r for r in order.rows if r["filters"] in (["PASS"], ["LowQ"])], sort)
    assert _pages(order, fields, sort, 50) == expected
    assert _pages(order, fields, sort, 333) == expected


def _sorted(order: Joined, rows: list[dict[str, Any]], sort: str) -> list[str]:
    """By Python's own stable sort: ties in the table's order, nothing last."""
    rank = {name: number for number, name in enumerate(row["key"] for row in order.rows)}
    parts = sort.split(",")
    backwards = parts[-1] == "-position"
    rows = sorted(rows, key=lambda r: rank[r["key"]], reverse=backwards)
    for part in reversed([p for p in parts if p != "-position"]):
        name, down = part.removeprefix("-"), part.startswith("-")
        values = sorted({_value(name, r) for r in rows if r[name] is not None})
        places = {value: number for number, value in enumerate(values)}
        rows = sorted(rows, key=lambda r, n=name, d=down, p=places: (
            r[n] is None, 0 if r[n] is None else (-p[_value(n, r)] if d else p[_value(n, r)])))
    return [row["key"] for row in rows]


def _value(name: str, row: dict[str, Any]) -> Any:
    ranks = {"impact": ["HIGH", "MODERATE", "LOW", "MODIFIER"],
             "consequence": ["stop_gained", "missense_variant", "synonymous_variant", "intron_variant"]}
    value = row[name]
    return ranks[name].index(value) if name in ranks else ";".join(value) if isinstance(value, list) else value


def _pages(order: Joined, fields: dict[str, Any], sort: str, limit: int) -> list[str]:
    keys: list[str] = []
    cursor = None
    while True:
        page = order.queries.page(order.result(**fields), sort=sort, limit=limit, cursor=cursor)
        keys += [row["key"] for row in page.rows]
        if page.cursor is None:
            return keys
        cursor = page.cursor


def test_a_cursor_holds_for_its_question_and_version_alone(order: Joined) -> None:
    """C56, C66: changed, of another filter, sort or version: refused, and never other rows."""
    page = order.queries.page(order.result(), sort="qual", limit=10)
    cursor = str(page.cursor)
    other = type(order.queries)(order.queries.index, "v2")
    for queries, fields, sort, text in (
        (order.queries, {"filter": "PASS"}, "qual", cursor), (order.queries, {}, "-qual", cursor),
        (other, {}, "qual", cursor), (order.queries, {}, "qual", "x" + cursor), (order.queries, {}, "qual", "é"),
        (order.queries, {}, "qual", "."), (order.queries, {}, "qual", cursor[:-1]),
    ):
        with pytest.raises(BadQuery, match="begin without a cursor"):
            queries.page(queries.result(filter_from(fields)), sort=sort, cursor=text)
    assert order.queries.page(order.result(), sort="qual", cursor=cursor).rows


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("MT", ["MT-100-A-C"]), ("chrM", ["MT-100-A-C"]), ("M:1-16569", ["MT-100-A-C"]),
        ("chrX:1,000-2,000", ["X-1500-A-C"]), (" 17:7,668,402 - 7,687,550 ", ["17-7670000-A-C"]),
        ("17", ["17-7670000-A-C", "17-9000000-A-<DEL>-9500000-500000"]),
        ("17:9,400,000", ["17-9000000-A-<DEL>-9500000-500000"]),
        ("GL000192.1", ["GL000192.1-5-A-C"]), ("22", []),
    ],
)
@pytest.mark.parametrize("prefix", ["chr", ""])
def test_c68_a_region_is_one_however_it_is_spelled(tmp_path: Path, text: str, keys: list[str], prefix: str) -> None:
    """C68: with and without chr; an allele is found wherever it reaches; 1..22, X, Y, MT, then the others."""
    mito = "chrM" if prefix else "MT"
    lines = [f"{mito} 100 . A C 50 PASS . GT 0/1", "GL000192.1 5 . A C 50 PASS . GT 0/1"]
    lines += [f"{prefix}X 1500 . A C 50 PASS . GT 0/1", f"{prefix}17 7670000 . A C 50 PASS . GT 0/1",
              f"{prefix}17 9000000 . A <DEL> 50 PASS END=9500000 GT 0/1", f"{prefix}2 5 . A C 50 PASS . GT 0/1",
              f"{prefix}10 5 . A C 50 PASS . GT 0/1"]
    order = Joined(tmp_path, [(table(*lines, samples=["P"]), {"P": "proband"})])
    assert order.keys(region=text) == keys
    every = order.keys(sort="position")
    assert [key.partition("-")[0] for key in every] == ["2", "10", "17", "17", "X", "MT", "GL000192.1"]
    assert order.keys(q=text.strip()) == keys or text == "22"


@pytest.mark.parametrize("contigs", [(), ("chrX",), ("chr2,length=xyz",)])
def test_c39_a_region_finds_records_of_any_contig(tmp_path: Path, contigs: tuple[str, ...]) -> None:
    """C39"""
    text = vcf("chr2 5 . A C 50 PASS . GT 0/1", "chrX 7 . A C 50 PASS . GT 0/1", meta=META, samples=("P",),
               contigs=contigs)
    order = Joined(tmp_path, [(text, {"P": "proband"})])
    assert (order.keys(region="2:1-10"), order.keys(region="chrX")) == (["2-5-A-C"], ["X-7-A-C"])


def test_a_panel_is_symbols_or_regions(order: Joined) -> None:
    regions = (("chr2", 699, 700), ("2", 0, 1))
    panels = {"s": PanelContent("1", symbols=("G1", "G2")), "b": PanelContent("2", regions=regions)}
    assert order.queries.result(filter_from({"panel": "s"}), panels).total == order.result(gene="G1,G2").total
    rows = order.queries.page(order.queries.result(filter_from({"panel": "b"}), panels)).rows
    assert [row["pos"] for row in rows] == [700]
    with pytest.raises(BadQuery, match="there is no panel"):
        order.queries.result(filter_from({"panel": "x"}), panels)


@pytest.mark.parametrize("text", [
    "rs7", "RS7", "BRAF", "braf", "c.1799T>A", "NM_004333.6:c.1799T>A", "p.Val600Glu", "V600E", "p.V600E",
    "NP_004324.2:p.Val600Glu", "7-140753336-A-T", "chr7:140753336 A>T", "chr7:140,753,336", "7-140753335-CA-CT",
])
def test_text_finds_a_variant_by_any_of_its_names(tmp_path: Path, text: str) -> None:
    said = csq("T", "missense_variant", "MODERATE", "BRAF", hgvsc="NM_004333.6:c.1799T>A",
               hgvsp="NP_004324.2:p.Val600Glu")
    other = csq("C", "missense_variant", "MODERATE", "BRAFX", hgvsc="NM_1.6:c.11799T>A", hgvsp="NP_1.2:p.Val600Gln")
    lines = (f"chr7 140753336 rs7 A T 50 PASS {said} GT 0/1", f"chr7 140753337 rs77 A C 50 PASS {other} GT 0/1")
    order = Joined(tmp_path, [(table(*lines, samples=["P"]), {"P": "proband"})])
    assert order.keys(q=text) == ["7-140753336-A-T"]


def test_c66_a_text_that_can_be_nothing_is_refused_and_one_that_is_nowhere_is_said(order: Joined) -> None:
    """C66: an empty table has its reason beside it."""
    with pytest.raises(BadQuery, match="none of rs number, gene, HGVS"):
        order.result(q="what is this?")
    assert order.result(q="BRCA9").notes == ['q: no variant is in "BRCA9"']
    assert order.result(filter="PAS").notes == ["filter: no variant has \"PAS\"; is 'PASS' meant?"]
    with pytest.raises(BadQuery, match="'proband_dp' meant"):
        order.queries.page(order.result(), sort="probanddp")


def test_c69_the_worst_of_all_transcripts_decides(tmp_path: Path) -> None:
    """C69: the row shows the transcript that was picked and why, and that another is graver; the detail lists all."""
    picked = "C|upstream_gene_variant|MODIFIER|A|GA|TA|NM_1||||"
    other = "C|splice_donor_variant|HIGH|B|GB|TB|||||"
    record = f"chr1 10 . A C 50 PASS CSQ={picked},{other} GT 0/1"
    order = Joined(tmp_path, [(table(record, samples=["P"]), {"P": "proband"})])
    (row,) = order.shown(impact="HIGH").values()
    assert (row["impact"], row["worst_impact"], row["graver_elsewhere"]) == ("MODIFIER", "HIGH", True)
    assert (row["transcript"], row["transcript_rule"], row["worst_gene"]) == ("TA", "mane_select", "B")
    assert order.keys(gene="B") == order.keys(gene="A") == order.keys(consequence="splice") == ["1-10-A-C"]


def test_tier_iv_is_hidden_unless_it_is_asked_for(tmp_path: Path) -> None:
    order = Joined(tmp_path, [(table(*(f"chr1 {10 * i} . A C 50 PASS . GT 0/1" for i in (1, 2, 3)), samples=["P"]),
                               {"P": "tumor"})])
    rows = pq.read_table(order.path)
    tiers = rows.set_column(rows.schema.get_field_index("tier"), rows.schema.field("tier"), [["IV", "IA", None]])
    pq.write_table(tiers, order.path)
    build_index(order.path, order.path.with_suffix(".index"), order.queries.index.groups, None)
    order.queries = OrderQueries(open_index(order.path.with_suffix(".index")), "v1")
    assert order.keys() == ["1-20-A-C", "1-30-A-C"]
    assert order.result().removed()["tier"] == {"alone": 1, "more_without": 1}
    assert order.keys(tier="IV,IA", sort="-tier") == ["1-10-A-C", "1-20-A-C"]


def test_an_index_that_was_cut_is_refused(order: Joined, tmp_path: Path) -> None:
    whole = order.path.with_suffix(".index").read_bytes()
    for at in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:at])
        with pytest.raises(IndexBroken):
            open_index(tmp_path / "cut")


def test_json_has_a_text_for_a_number_that_it_has_no_word_for() -> None:
    assert json_text({"qual": float("inf"), "af_max": 1e-06, "gene": "é", "dp": None}) == (
        '{"qual":"Infinity","af_max":1e-6,"gene":"é","dp":null}'.encode())
