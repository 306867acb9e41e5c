"""Words of clinical classification, in one spelling: ClinVar significance, AMP tiers, ACMG classes."""

from __future__ import annotations

import re

# https://www.ncbi.nlm.nih.gov/clinvar/docs/clinsig/ ("Representation of classifications in ClinVar data"), lower case.
CLINVAR = frozenset({
    "pathogenic", "likely_pathogenic", "uncertain_significance", "likely_benign", "benign", "conflicting",
    "pathogenic_low_penetrance", "likely_pathogenic_low_penetrance", "established_risk_allele", "likely_risk_allele",
    "uncertain_risk_allele", "risk_factor", "drug_response", "association", "association_not_found", "protective",
    "affects", "confers_sensitivity", "histocompatibility", "other", "not_provided", "low_penetrance",
    "no_classification_for_the_single_variant", "no_classifications_from_unflagged_records", "oncogenic",
    "likely_oncogenic", "tier_i_-_strong", "tier_ii_-_potential", "tier_iii_-_unknown", "tier_iv_-_benign",
})
_CLINVAR_SYNONYMS = {
    "conflicting_interpretations_of_pathogenicity": "conflicting",
    "conflicting_classifications_of_pathogenicity": "conflicting",
    "conflicting_data_from_submitters": "conflicting",
    "uncertain": "uncertain_significance", "unknown_significance": "uncertain_significance",
    "no_interpretation_for_the_single_variant": "no_classification_for_the_single_variant",
    # The numbers of CLNSIG before 2017.
    "0": "uncertain_significance", "1": "not_provided", "2": "benign", "3": "likely_benign", "4": "likely_pathogenic",
    "5": "pathogenic", "6": "drug_response", "7": "histocompatibility", "255": "other",
}

ACMG = ("pathogenic", "likely_pathogenic", "uncertain_significance", "likely_benign", "benign")
_ACMG_SYNONYMS = {
    "p": ACMG[0], "5": ACMG[0], "lp": ACMG[1], "4": ACMG[1], "vus": ACMG[2], "us": ACMG[2], "3": ACMG[2],
    "uncertain": ACMG[2], "unknown_significance": ACMG[2], "variant_of_uncertain_significance": ACMG[2],
    "lb": ACMG[3], "2": ACMG[3], "b": ACMG[4], "1": ACMG[4],
}

TIERS = ("IA", "IB", "I", "II", "III", "IV")
_ROMAN = {"1": "I", "2": "II", "3": "III", "4": "IV"}
_TIER = re.compile(r"^(?:AMP)?(?:TIER|CLASS)?(IV|III|II|I|[1-4])(?:LEVEL)?([A-D])?(?:[(].*|STRONG.*|POTENTIAL.*)?$")


def clinvar(text: str) -> tuple[list[str], list[str]]:
    """(significances in one spelling, each once, in order; those of them that ClinVar does not have)."""
    words = (word.strip("_ ") for word in re.split(r"[&/|,;:]", re.sub(r",[_ ]", "_", text.lower())))
    names = [re.sub(r"[ _]+", "_", word) for word in words if word and word != "."]
    found = list(dict.fromkeys(_CLINVAR_SYNONYMS.get(name, name) for name in names))
    return found, [name for name in found if name not in CLINVAR]


def tier(text: str) -> str | None:
    """`Tier IA`, `tier_1a`, `AMP Tier I - Level A` are `IA`; None for what is no tier."""
    found = _TIER.match(re.sub(r"[\s_.:,-]+", "", text.upper()))
    if not found:
        return None
    name = f"{_ROMAN.get(found[1], found[1])}{found[2] or ''}"
    name = {"IIC": "II", "IID": "II"}.get(name, name)  # levels C and D make tier II; nobody filters by them
    return name if name in TIERS else None


def acmg_class(text: str) -> str | None:
    """One of ACMG, from its words, its abbreviation or its number; None for what is no class."""
    name = re.sub(r"[\s_-]+", "_", text.strip().lower()).removeprefix("acmg_").removeprefix("class_")
    name = _ACMG_SYNONYMS.get(name, name)
    return name if name in ACMG else None

