"""What the variant browser shows, as data: its columns and cells, the filter in words, presets, and links to elsewhere.

Nothing is asked here. Absent values are an en dash and never 0 (C63); fractions are shown in per cent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from shared.domain.order import Mode
from shared.variants.filters import HIDDEN_TIER, Filter
from shared.variants.order_schema import Group

Row = Mapping[str, Any]
ABSENT = "–"
_LONGEST_ALLELE = 12


@dataclass(frozen=True)
class Cell:
    """`title` is what does not fit; `tone` a colour that never says anything alone."""

    text: str
    title: str = ""
    tone: str = ""
    more: str = ""


@dataclass(frozen=True)
class Column:
    """`sort` is the order column behind the heading, "" for none."""

    name: str
    heading: str
    cell: Callable[[Row], Cell]
    sort: str = ""
    is_number: bool = False


@dataclass(frozen=True)
class Preset:
    """`params` as they stand in an address, the sort among them."""

    name: str
    params: tuple[tuple[str, str], ...]
    about: str


# -- cells ----------------------------------------------------------------------------------------------------------


def words(term: str) -> str:
    """A Sequence Ontology term, a class or a status for reading."""
    return term.removesuffix("_variant").replace("_", " ")


def per_cent(fraction: float | None) -> str:
    """Two significant digits, from 100 % down to what is really 0."""
    if fraction is None:
        return ABSENT
    if fraction == 0:
        return "0 %"
    return f"{float(f'{fraction * 100:.2g}'):.15g} %" if fraction >= 1e-6 else f"{fraction * 100:.1e} %"


def number(value: float | None, digits: int = 4) -> str:
    return ABSENT if value is None else f"{value:.{digits}g}" if isinstance(value, float) else f"{value:,}"


def allele(text: str | None) -> str:
    if not text:
        return ABSENT
    return text if len(text) <= _LONGEST_ALLELE else f"{text[:_LONGEST_ALLELE - 4]}…{len(text):,} bp"


def change(row: Row) -> str:
    """`A>T`, with long alleles cut and their lengths told; symbolic ones as they are."""
    return f"{allele(row['ref'])}>{allele(row['alt'])}"


def around(row: Row, bases: int = 50) -> str:
    """The locus with its neighbours, as igv.js takes it; the contig as the VCF has it."""
    return f"{row['contig']}:{max(row['pos'] - bases, 1)}-{row['pos'] + len(row['ref'] or '') + bases}"


def hgvs(text: str | None) -> str:
    """Without its transcript, which the title tells."""
    return (text or "").rpartition(":")[2]


_IMPACT_TONES = {"HIGH": "bad", "MODERATE": "warn", "LOW": "calm", "MODIFIER": "calm"}
_CLASS_TONES = {
    "pathogenic": "bad", "likely_pathogenic": "bad", "uncertain_significance": "warn", "likely_benign": "good",
    "benign": "good",
}
_SHORT_CLASSES = {
    "pathogenic": "P", "likely_pathogenic": "LP", "uncertain_significance": "VUS", "likely_benign": "LB",
    "benign": "B",
}
_ZYGOSITY = {"het": "het", "hom_alt": "hom", "hemi_alt": "hemi", "hom_ref": "ref", "hemi_ref": "ref"}


def _gene(row: Row) -> Cell:
    return Cell(row["gene"] or ABSENT, ", ".join(row["genes"] or ()))


def _hgvs(row: Row) -> Cell:
    coding, protein = row["hgvsc"], row["hgvsp"]
    full = " · ".join(each for each in (coding, protein) if each)
    return Cell(hgvs(coding) or hgvs(protein) or ABSENT, full, more=hgvs(protein) if coding else "")


def _consequence(row: Row) -> Cell:
    terms = [words(term) for term in (row["consequence"] or "").split("&") if term]
    graver = row["graver_elsewhere"]
    title = f"Another transcript: {words(row['worst_consequence'] or '')} ({row['worst_impact']})" if graver else ""
    return Cell(", ".join(terms) or ABSENT, title or (row["impact"] or ""), _IMPACT_TONES.get(row["impact"] or "", ""),
                f"▲ {row['worst_impact']}" if graver else "")


def _clinvar(row: Row) -> Cell:
    found = row["clinvar"] or []
    tone = next((_CLASS_TONES[each] for each in found if each in _CLASS_TONES), "")
    return Cell(", ".join(words(each) for each in found) or ABSENT, tone=tone)


def _acmg(row: Row) -> Cell:
    found = row["acmg_class"]
    return Cell(_SHORT_CLASSES.get(found or "", found or ABSENT), words(found or ""), _CLASS_TONES.get(found or "", ""))


def _tier(row: Row) -> Cell:
    found = row["tier"]
    tones = {"IA": "bad", "IB": "bad", "I": "bad", "II": "warn", "III": "calm"}
    return Cell(found or ABSENT, tone=tones.get(found or "", ""))


def _locus(row: Row) -> Cell:
    return Cell(f"{row['contig']}:{row['pos']:,}", f"{row['contig']}:{row['pos']} {row['ref']}>{row['alt']}"[:500],
                more=change(row))


def _filters(row: Row) -> Cell:
    found = row["filters"] or []
    return Cell(", ".join(found) or ABSENT, tone="" if found == ["PASS"] or not found else "warn")


def _inheritance(row: Row) -> Cell:
    found = [words(each) for each in row.get("inheritance", ())]
    partners = row.get("partners", ())
    return Cell(", ".join(found) or ABSENT, more=f"with {len(partners)}, {row['phase']}" if partners else "")


def genotype(sample: Row) -> Cell:
    """`het 0/1`, and below it the allele's share of the reads. No row is not a reference call (C59)."""
    if not sample["present"]:
        return Cell("no row", "No caller wrote the site for this sample: it was not called, which is not a reference.",
                    "calm")
    zygosity = _ZYGOSITY.get(sample["zygosity"] or "", "no call")
    tone = "" if sample["carries"] else "calm"
    reads = "" if sample["ad_alt"] is None or sample["dp"] is None else f"{sample['ad_alt']}/{sample['dp']}"
    more = " ".join(part for part in (per_cent(sample["vaf"]) if sample["vaf"] is not None else "", reads) if part)
    quality = "" if sample["gq"] is None else f"Genotype quality {sample['gq']:g}"
    return Cell(f"{zygosity} {sample['gt'] or './.'}", quality, tone, more)


def _vaf(prefix: str) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        sample = row["samples"][prefix]
        if sample["vaf"] is None:
            return genotype(sample)
        return Cell(per_cent(sample["vaf"]), sample["gt"] or "", "" if sample["carries"] else "calm",
                    f"{number(sample['ad_alt'])}/{number(sample['dp'])}")
    return cell


def _plain(name: str, digits: int = 4) -> Callable[[Row], Cell]:
    def cell(row: Row) -> Cell:
        value = row[name]
        if isinstance(value, str):
            return Cell(words(value) if name == "variant_type" else value)
        return Cell(number(value, digits))
    return cell


# -- columns --------------------------------------------------------------------------------------------------------


def columns_of(mode: Mode, groups: Sequence[Group]) -> tuple[list[Column], list[Column]]:
    """Those shown unless others are chosen, in a reviewer's order, and all the others that there are."""
    gene = Column("gene", "Gene", _gene, "gene")
    names = Column("hgvs", "HGVS", _hgvs)
    tier, acmg = Column("tier", "Tier", _tier, "tier"), Column("acmg", "ACMG", _acmg, "acmg_class")
    clinvar = Column("clinvar", "ClinVar", _clinvar, "clinvar")
    consequence = Column("consequence", "Consequence", _consequence, "consequence")
    frequency = Column("frequency", "Max. pop.", lambda row: Cell(per_cent(row["af_max"])), "af_max", True)
    seen = Column("seen", "Seen here", _plain("seen"), "seen", True)
    locus = Column("locus", "Position", _locus, "position")
    filters = Column("filters", "Filter", _filters)
    of_samples = [
        Column(f"{g.prefix}_genotype", g.prefix.capitalize(),
               _vaf(g.prefix) if mode is Mode.SOMATIC else _genotype_of(g.prefix), f"{g.prefix}_vaf")
        for g in groups
    ]
    inheritance = [Column("inheritance", "Inheritance", _inheritance)] if mode is Mode.HEREDITARY and groups else []
    classes = [tier, clinvar] if mode is Mode.SOMATIC else [acmg, clinvar]
    shown = [gene, names, *classes, consequence, *of_samples, *inheritance, frequency, seen, locus, filters]
    others = [
        acmg if mode is Mode.SOMATIC else tier,
        Column("type", "Type", _plain("variant_type"), "variant_type"),
        Column("rsid", "rs number", _plain("rsid"), "rsid"),
        Column("qual", "Quality", _plain("qual"), "qual", True),
        Column("length", "Length", _plain("length"), "length", True),
        Column("exon", "Exon", _plain("exon"), "exon"),
        Column("transcript", "Transcript", _plain("transcript"), "transcript"),
        Column("cadd", "CADD", _plain("cadd_phred"), "cadd_phred", True),
        Column("revel", "REVEL", _plain("revel"), "revel", True),
        Column("spliceai", "SpliceAI", _plain("spliceai_max"), "spliceai_max", True),
        Column("sift", "SIFT", _plain("sift"), "sift"),
        Column("polyphen", "PolyPhen", _plain("polyphen"), "polyphen"),
    ]
    return shown, others


def _genotype_of(prefix: str) -> Callable[[Row], Cell]:
    return lambda row: genotype(row["samples"][prefix])


# -- presets --------------------------------------------------------------------------------------------------------


def presets_of(mode: Mode, prefixes: Sequence[str]) -> list[Preset]:
    """The first is what a reviewer begins with; the last is everything."""
    index = prefixes[0] if prefixes else ""
    if mode is Mode.SOMATIC:
        sort = f"tier,consequence,-{index}_vaf" if index else "tier,consequence"
        found = [Preset("Review", (("filter", "PASS"), ("sort", sort)), "PASS, tiers IA to III, the gravest first")]
        if "normal" in prefixes:
            found += [
                Preset("Somatic", (("filter", "PASS"), ("somatic", "somatic"), ("sort", sort)), "not in the normal"),
                Preset("Germline leak", (("somatic", "germline_leak"), ("sort", sort)), "in the normal, too"),
            ]
        return [*found, _EVERYTHING]
    rare = (("frequency_max", "0.01"), ("keep_pathogenic", "true"))
    coding = (("consequence", "coding"), ("consequence", "splice"))
    order_by = (("sort", "acmg_class,consequence"),)
    found = [Preset("Review", (*rare, *coding, *order_by), "rare or pathogenic, coding or splicing, the gravest first")]
    parents = {"mother", "father"} & set(prefixes)
    if parents:
        names = [("de_novo", "De novo")] if len(parents) == 2 else []
        names += [("recessive", "Recessive"), ("compound_het", "Compound het"), ("x_linked", "X-linked"),
                  ("dominant", "Dominant")]
        found += [Preset(title, (*rare, ("inheritance", name), *order_by), f"rare, and {title.lower()} in this family")
                  for name, title in names]
    return [*found, _EVERYTHING]


_EVERYTHING = Preset("Everything", (("tier", ",".join(("IA", "IB", "I", "II", "III", "IV", "none"))),
                                    ("sort", "position")), "every row, by position")


# -- the filter in words --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chip:
    """One field that is given: `without` is the address' parameters less it."""

    field: str
    text: str
    without: tuple[tuple[str, str], ...]


def chips(wanted: Filter, rest: Sequence[tuple[str, str]]) -> list[Chip]:
    """`rest` are the address' other parameters, kept. All chips must hold; within one, any value is enough."""
    given = wanted.given()
    return [
        Chip(field, _in_words(field, value), tuple(pair for pair in wanted.params() if pair[0] != field) + tuple(rest))
        for field, value in given.items()
    ]


def hides_tier_iv(wanted: Filter) -> bool:
    return HIDDEN_TIER not in wanted.tier


_COMPARED: Mapping[str, tuple[str, Literal["%", ""]]] = {
    "qual_min": ("quality ≥", ""), "depth_min": ("depth ≥", ""), "alt_min": ("alternate reads ≥", ""),
    "gq_min": ("genotype quality ≥", ""), "vaf_min": ("allele fraction ≥", "%"), "vaf_max": ("allele fraction ≤", "%"),
    "frequency_max": ("population frequency ≤", "%"), "seen_max": ("seen here ≤", ""),
    "vaf_delta_min": ("allele fraction above the normal's by ≥", "%"), "normal_vaf_max": ("normal's noise ≤", "%"),
}
_NAMED = {
    "q": "search", "region": "region", "gene": "gene", "exclude_gene": "not in gene", "panel": "panel",
    "consequence": "consequence", "impact": "impact", "tier": "tier", "acmg": "ACMG", "clinvar": "ClinVar",
    "type": "type", "filter": "filter", "keep_missing": "missing values pass for", "genotype": "genotype",
    "inheritance": "inheritance", "somatic": "tumour against normal",
}
_SAID = {
    "keep_pathogenic": "pathogenic in ClinVar always kept", "missing_parents": "a parent without a call may fit",
    "phase_known": "only pairs known to be in trans",
}


def _in_words(field: str, value: Any) -> str:
    if field in _COMPARED:
        name, unit = _COMPARED[field]
        return f"{name} {per_cent(value) if unit else f'{value:g}'}"
    if field in _SAID:
        return _SAID[field]
    values = value if isinstance(value, list) else [value]
    return f"{_NAMED[field]} {' or '.join(words(str(each)) for each in values) or 'none'}"


def facts(row: Row) -> list[tuple[str, str]]:
    """What is known of a variant at a glance; what is absent is left out."""
    said = (
        ("HGVS", " · ".join(each for each in (row["hgvsc"], row["hgvsp"]) if each)),
        ("Consequence", ", ".join(words(term) for term in (row["consequence"] or "").split("&") if term)),
        ("Impact", row["impact"] or ""), ("Exon", row["exon"] or ""), ("Tier", row["tier"] or ""),
        ("ACMG", words(row["acmg_class"] or "")), ("ClinVar", ", ".join(words(each) for each in row["clinvar"] or ())),
        ("rs number", row["rsid"] or ""), ("Max. population frequency", per_cent(row["af_max"])),
        ("Seen in other analyses here", number(row["seen"])), ("CADD", number(row["cadd_phred"])),
        ("REVEL", number(row["revel"])), ("SpliceAI", number(row["spliceai_max"])), ("SIFT", row["sift"] or ""),
        ("PolyPhen", row["polyphen"] or ""), ("Filter", ", ".join(row["filters"] or ())),
        ("Quality", number(row["qual"])), ("Type", words(row["variant_type"] or "")),
    )
    return [(name, text) for name, text in said if text and text != ABSENT]


# -- elsewhere ------------------------------------------------------------------------------------------------------


def links(row: Row, assembly: str | None) -> list[tuple[str, str]]:
    """(name, address) of public pages on the variant; those by position only where the assembly is known."""
    found: list[tuple[str, str]] = []
    plain = all(set(text or "-") <= set("ACGT") for text in (row["ref"], row["alt"]))
    chrom = row["chrom"] or row["contig"]
    if plain and assembly in ("GRCh37", "GRCh38"):
        dataset = "gnomad_r4" if assembly == "GRCh38" else "gnomad_r2_1"
        key = f"{chrom}-{row['pos']}-{row['ref']}-{row['alt']}"
        found.append(("gnomAD", f"https://gnomad.broadinstitute.org/variant/{key}?dataset={dataset}"))
        database = "hg38" if assembly == "GRCh38" else "hg19"
        around = f"chr{chrom}:{max(row['pos'] - 50, 1)}-{row['pos'] + 50}"
        found.append(("UCSC", f"https://genome.ucsc.edu/cgi-bin/hgTracks?db={database}&position={quote(around)}"))
    if row["rsid"]:
        first = row["rsid"].split(";")[0]
        found.append(("dbSNP", f"https://www.ncbi.nlm.nih.gov/snp/{quote(first)}"))
        found.append(("ClinVar", f"https://www.ncbi.nlm.nih.gov/clinvar/?term={quote(first)}"))
    if row["gene"]:
        found.append((f"OMIM {row['gene']}", f"https://www.omim.org/search?search={quote(row['gene'])}"))
    return found
