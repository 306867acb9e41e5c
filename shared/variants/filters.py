"""The filter over an order table: one model for the API, the command line, saved filters and the pages.

Every field that is given must hold (AND); of a field with several values one is enough (OR). A filter is data: it is
evaluated over arrays (query.py) and never becomes text of another language. Numbers about reads (`depth_min` to
`vaf_max`) are of the index case: the first sample by role.

A number that is missing does not pass, except the population frequency: a variant that nobody has seen is rare (C63).
`keep_missing` names the fields of which missing numbers pass, in the place of that default; `none` for no field.
Tier IV is hidden unless `tier` names it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.domain.reasons import Reason, show
from shared.domain.request import reasons_of
from shared.variants.regions import BadRegion, Region
from shared.variants.vcf import clinical
from shared.variants.vcf.clinical import ACMG, CLINVAR, TIERS
from shared.variants.vcf.consequences import IMPACTS, LEAST_SEVERE, severity

HIDDEN_TIER = "IV"
NONE = "none"
"""As a value of `tier`, `acmg`, `clinvar`, `impact` or `filter`: rows that have none."""

VARIANT_TYPES = ("snv", "insertion", "deletion", "mnv", "complex", "identical", "sv", "breakend")

CONSEQUENCE_GROUPS: Mapping[str, tuple[str, ...]] = {
    "loss_of_function": ("transcript_ablation", "splice_acceptor_variant", "splice_donor_variant", "stop_gained",
                         "frameshift_variant", "stop_lost", "start_lost"),
    "missense": ("missense_variant", "protein_altering_variant", "inframe_insertion", "inframe_deletion"),
    "splice": ("splice_acceptor_variant", "splice_donor_variant", "splice_region_variant",
               "splice_donor_5th_base_variant", "splice_donor_region_variant", "splice_polypyrimidine_tract_variant"),
    "synonymous": ("synonymous_variant", "stop_retained_variant", "start_retained_variant"),
    "coding": ("transcript_ablation", "stop_gained", "frameshift_variant", "stop_lost", "start_lost",
               "inframe_insertion", "inframe_deletion", "missense_variant", "protein_altering_variant",
               "synonymous_variant", "stop_retained_variant", "start_retained_variant", "coding_sequence_variant",
               "incomplete_terminal_codon_variant"),
    "utr": ("5_prime_UTR_variant", "3_prime_UTR_variant"),
    "intronic": ("intron_variant",),
    "intergenic": ("intergenic_variant", "intergenic_region", "upstream_gene_variant", "downstream_gene_variant"),
}

_CONSEQUENCES = tuple(dict.fromkeys((*CONSEQUENCE_GROUPS, *(t for ts in CONSEQUENCE_GROUPS.values() for t in ts))))

Genotype = Literal["het", "hom", "hemi", "carries", "reference", "no_call", "absent"]
"""`carries`: the allele at least once. `reference`: called, without the allele. `absent`: no row of the sample's."""

GENOTYPES: tuple[str, ...] = get_args(Genotype)
Inheritance = Literal["de_novo", "recessive", "compound_het", "x_linked", "dominant"]
Missing = Literal["qual", "depth", "alt", "gq", "vaf", "frequency", "seen"]


class BadQuery(ValueError):
    """Parameters that cannot be answered, each with what is wrong and what to write instead (C66)."""

    def __init__(self, reasons: Iterable[Reason]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(f"{reason.field}: {reason.message}" for reason in self.reasons))


def _listed(value: Any) -> Any:
    """`a,b` and [`a`, `b,c`] as what they list."""
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list | tuple):
        return value
    return tuple(part.strip() for each in values if isinstance(each, str) for part in each.split(",") if part.strip())


def _kept_whole(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=0)]


class Filter(BaseModel):
    """See the module. In an address lists are repeated parameters or parted by commas (regions: repeated)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: str | None = Field(None, max_length=500, description="rs number, gene, HGVS (`NM_004333.6:c.1799T>A`, "
                          "`p.Val600Glu`), variant (`7-140753336-A-T`) or region.")
    region: Annotated[tuple[str, ...], BeforeValidator(_kept_whole)] = Field((), description="`chr7`, `7:1,000-2,000`.")
    gene: Texts = Field((), description="Symbols; of any transcript.")
    exclude_gene: Texts = Field((), description="Genes whose variants are left out.")
    panel: Texts = Field((), description="Gene panels: `slug` (its newest version) or `slug@version`.")
    consequence: Texts = Field((), description="Sequence Ontology terms, or groups: " + ", ".join(CONSEQUENCE_GROUPS))
    impact: Texts = Field((), description="The worst over all transcripts (C69): " + ", ".join((*IMPACTS, NONE)))
    tier: Texts = Field((), description=", ".join((*TIERS, NONE)) + ". Without it tier IV is hidden.")
    acmg: Texts = Field((), description="P, LP, VUS, LB, B or in words: " + ", ".join((*ACMG, NONE)))
    clinvar: Texts = Field((), description="ClinVar's significance in lower case, such as likely_pathogenic, or none.")
    type: Texts = Field((), description=", ".join(VARIANT_TYPES))
    filter: Texts = Field((), description="FILTER of the VCF: PASS, the caller's own names, or none (not filtered).")
    qual_min: Number | None = Field(None, description="QUAL, at least.")
    depth_min: Whole | None = Field(None, description="Reads, at least.")
    alt_min: Whole | None = Field(None, description="Reads with the allele, at least.")
    gq_min: Number | None = Field(None, description="Genotype quality, at least.")
    vaf_min: Fraction | None = Field(None, description="Allele fraction of the reads, at least: 0.05 is 5 % (C64).")
    vaf_max: Fraction | None = Field(None, description="Allele fraction of the reads, at most.")
    frequency_max: Fraction | None = Field(None, description="Highest population frequency, at most: 0.01 is 1 %.")
    seen_max: Whole | None = Field(None, description="Other analyses of the laboratory with the allele, at most.")
    keep_missing: Texts = Field(("frequency",), description=", ".join((*get_args(Missing), NONE)))
    keep_pathogenic: bool = Field(False, description="ClinVar's pathogenic pass the frequency, however common.")
    genotype: Texts = Field((), description="`<sample group>:<genotype>`, such as `mother:reference`: "
                            + ", ".join(GENOTYPES))
    inheritance: Texts = Field((), description=", ".join(get_args(Inheritance)))
    missing_parents: bool = Field(False, description="A parent without a call may fit the inheritance (marked).")
    phase_known: bool = Field(False, description="Compound heterozygous pairs that are known to be in trans only.")
    somatic: Literal["somatic", "germline_leak"] | None = Field(None, description="Tumour against normal.")
    vaf_delta_min: Fraction | None = Field(None, description="Tumour's allele fraction less the normal's, at least.")
    normal_vaf_max: Fraction = Field(0.02, description="With `somatic`: what of the normal's reads is noise.")

    @field_validator("region")
    @classmethod
    def _regions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                Region.parse(text)
            except BadRegion as error:
                raise ValueError(str(error)) from None
        return tuple(text.strip() for text in value)

    @field_validator("acmg", "tier")
    @classmethod
    def _classes(cls, value: tuple[str, ...], info: Any) -> tuple[str, ...]:
        spelled = clinical.acmg_class if info.field_name == "acmg" else clinical.tier
        return tuple(spelled(each) or _one_of(each, _CLOSED[info.field_name]) for each in value)

    @field_validator("impact", "clinvar", "type", "keep_missing", "inheritance", mode="after")
    @classmethod
    def _closed(cls, value: tuple[str, ...], info: Any) -> tuple[str, ...]:
        return tuple(_one_of(each, _CLOSED[info.field_name]) for each in value)

    @field_validator("consequence")
    @classmethod
    def _terms(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(each if severity(each) < LEAST_SEVERE else _one_of(each, _CONSEQUENCES) for each in value)

    @field_validator("genotype")
    @classmethod
    def _genotypes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """`mother:het,hom` came here in two parts: the second belongs to the sample of the first."""
        result: list[str] = []
        for each in value:
            group, mark, genotype = each.rpartition(":")
            if not mark:
                if not result:
                    raise ValueError(f"{show(each)} names no sample; write mother:{each}")
                group = result[-1].rpartition(":")[0]
            result.append(f"{group}:{_one_of(genotype, GENOTYPES)}")
        return tuple(result)

    @model_validator(mode="after")
    def _in_order(self) -> Filter:
        if self.vaf_min is not None and self.vaf_max is not None and self.vaf_max < self.vaf_min:
            raise ValueError(f"vaf_max {self.vaf_max} is below vaf_min {self.vaf_min}; no variant can be between")
        return self

    def given(self) -> dict[str, Any]:
        """The fields that differ from what they are by default, as JSON."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def text(self) -> str:
        """The same for the same filter."""
        return json.dumps(self.given(), sort_keys=True, separators=(",", ":"))

    def params(self) -> list[tuple[str, str]]:
        """As parameters of an address."""
        pairs = []
        for name, value in self.given().items():
            values = value if isinstance(value, list) else [value]
            pairs += [(name, str(each).lower() if isinstance(each, bool) else str(each)) for each in values]
            if not values:
                pairs.append((name, NONE))
        return pairs


_CLOSED: Mapping[str, tuple[str, ...]] = {
    "impact": (*IMPACTS, NONE), "tier": (*TIERS, NONE), "acmg": (*ACMG, NONE),
    "clinvar": (*sorted(CLINVAR), NONE), "type": VARIANT_TYPES,
    "keep_missing": (*get_args(Missing), NONE), "inheritance": get_args(Inheritance),
}


def filter_from(fields: Mapping[str, Any]) -> Filter:
    """Of JSON, such as a saved filter. Raises BadQuery with a reason for each field at fault."""
    return _model(fields)


def filter_from_params(params: Iterable[tuple[str, str]]) -> Filter:
    """Of an address' parameters, in which all that is not the filter's has been taken out. Raises BadQuery."""
    fields: dict[str, Any] = {}
    twice: list[Reason] = []
    for name, value in params:
        if name in _LISTS:
            fields.setdefault(name, []).append(value)
        elif name in fields:
            twice.append(Reason(field=name, message="it is there twice; give it once"))
        elif value.strip():
            fields[name] = value.strip()
    if twice:
        raise BadQuery(twice)
    return _model(fields)


_LISTS = frozenset(name for name, field in Filter.model_fields.items() if "tuple" in str(field.annotation))


def _model(fields: Mapping[str, Any]) -> Filter:
    unknown = [name for name in fields if name not in Filter.model_fields]
    if unknown:
        raise BadQuery(Reason(field=name, message=_unknown(name)) for name in unknown)
    try:
        return Filter.model_validate(dict(fields))
    except ValidationError as error:
        raise BadQuery(_with_value(reason, fields) for reason in reasons_of(error)) from None


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, Filter.model_fields, n=1)
    return "there is no such parameter" + (f"; is {near[0]!r} meant?" if near else "; see the API's description")


def _with_value(reason: Reason, fields: Mapping[str, Any]) -> Reason:
    """With the value that was given, and for a fraction its unit and range (C64)."""
    name = reason.field.partition("[")[0].partition(".")[0]
    if name not in fields:
        return reason
    message = f"{show(fields[name])}: {reason.message}"
    if "Fraction" in str(Filter.__annotations__.get(name)):
        message += "; it is a fraction from 0 to 1 (5 % is 0.05)"
    return Reason(field=name, message=message)


def _one_of(value: str, allowed: Iterable[str]) -> str:
    """As it is spelled among `allowed`, in whatever case it was written."""
    by_lower = {each.lower(): each for each in allowed}
    if value.lower() in by_lower:
        return by_lower[value.lower()]
    near = difflib.get_close_matches(value.lower(), by_lower, n=1)
    hint = f"is {by_lower[near[0]]} meant?" if near else ""
    choices = list(by_lower.values())
    listed = f"it is one of {', '.join(choices[:12])}" + (" or another of that kind" if len(choices) > 12 else "")
    raise ValueError("; ".join(part for part in (f"{show(value)} is unknown", hint, listed) if part))
