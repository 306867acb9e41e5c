"""The filter as people, pages and saved filters give it: what is understood, and what is refused with a remedy."""

from __future__ import annotations

from typing import Any

import pytest

from shared.variants.filters import BadQuery, Filter, filter_from, filter_from_params
from shared.variants.regions import BadRegion, Region


def test_parameters_are_lists_by_commas_and_by_repetition() -> None:
    found = filter_from_params([
        ("impact", "high,Moderate"), ("gene", "BRAF"), ("gene", "TP53, KRAS"), ("vaf_min", " 0.05 "),
        ("region", "chrX:1,000-2,000"), ("region", "MT"), ("keep_pathogenic", "true"), ("q", ""),
    ])
    assert found == Filter(impact=("HIGH", "MODERATE"), gene=("BRAF", "TP53", "KRAS"), vaf_min=0.05,
                           region=("chrX:1,000-2,000", "MT"), keep_pathogenic=True)


@pytest.mark.parametrize("fields", [
    {}, {"impact": ["HIGH"], "acmg": ["pathogenic"]}, {"keep_missing": ["none"]},
    {"genotype": ["mother:het", "mother:hom"]},
    {"region": ["chrX:1,000-2,000"], "keep_pathogenic": True, "frequency_max": 0.01},
])
def test_a_filter_is_the_same_from_json_and_from_its_own_address(fields: dict[str, Any]) -> None:
    found = filter_from(fields)
    assert found.given() == fields
    assert filter_from_params(found.params()) == found
    assert filter_from(found.given()) == found


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("vaf_min", "5", "fraction from 0 to 1"),
        ("vaf_min", "-1", "fraction from 0 to 1"),
        ("vaf_min", "abc", "fraction from 0 to 1"),
        ("vaf_min", "nan", "fraction from 0 to 1"),
        ("region", "chr1:20-10", "ends before it begins"),
        ("region", "chr 1", "write chr7"),
        ("impact", "HIHG", "is HIGH meant?"),
        ("gne", "BRCA1", "is 'gene' meant?"),
        ("consequence", "mis", "missense"),
        ("tier", "V", "IA"),
        ("clinvar", "pathogenc", "is pathogenic meant?"),
        ("acmg", "xyz", "uncertain_significance"),
        ("depth_min", "-3", "greater than or equal to 0"),
        ("depth_min", "1.5", "integer"),
        ("qual_min", "inf", "finite"),
        ("genotype", "het", "names no sample"),
        ("genotype", "mother:hett", "is het meant?"),
        ("inheritance", "denovo", "is de_novo meant?"),
        ("keep_missing", "all", "qual"),
        ("keep_pathogenic", "maybe", "boolean"),
        ("somatic", "yes", "germline_leak"),
        ("type", "snp", "snv"),
    ],
)
def test_c64_c66_a_bad_value_is_named_with_its_remedy(field: str, value: str, says: str) -> None:
    """C64: unit and range of a fraction; C66: parameter, value and what is meant."""
    with pytest.raises(BadQuery) as refused:
        filter_from_params([(field, value)])
    (reason,) = refused.value.reasons
    assert reason.field == field
    assert says in reason.message
    assert field not in Filter.model_fields or value in reason.message


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(BadQuery) as refused:
        filter_from_params([("vaf_min", "5"), ("impact", "x"), ("depth_min", "10"), ("depth_min", "10")])
    assert [reason.field for reason in refused.value.reasons] == ["depth_min"]
    with pytest.raises(BadQuery) as refused:
        filter_from_params([("vaf_min", "5"), ("impact", "x")])
    assert {reason.field for reason in refused.value.reasons} == {"vaf_min", "impact"}


def test_a_range_that_holds_nothing_is_refused() -> None:
    with pytest.raises(BadQuery, match="below vaf_min"):
        filter_from({"vaf_min": 0.5, "vaf_max": 0.1})


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("MT", Region("MT")), ("chrM", Region("MT")), ("M:1-16569", Region("MT", 1, 16569)),
        ("chrX:1,000-2,000", Region("X", 1000, 2000)), (" 17:7,668,402 - 7,687,550 ", Region("17", 7668402, 7687550)),
        ("7:140753336", Region("7", 140753336, 140753336)), ("HLA-A*01:01", Region("HLA-A*01", 1, 1)),
    ],
)
def test_c68_regions(text: str, region: Region) -> None:
    """C68."""
    assert Region.parse(text) == region


@pytest.mark.parametrize("text", ["", "chr 1", ":1-2", "chr1:", "chr1:a-b", "chr1:5-4", "chr1:,", "1:99999999999"])
def test_what_is_no_region(text: str) -> None:
    with pytest.raises(BadRegion):
        Region.parse(text)
