"""Sequence Ontology consequence terms, most severe first, with the impact that Ensembl gives each.

https://www.ensembl.org/info/genome/variation/prediction/predicted_data.html ("Calculated variant consequences"), with
SnpEff's further terms at their place. bcftools csq writes short names, which stand for a term of the ontology.
"""

from __future__ import annotations

IMPACTS = ("MODIFIER", "LOW", "MODERATE", "HIGH")

# https://samtools.github.io/bcftools/howtos/csq-calling.html, and kput_vcsq in its csq.c.
_SHORT = {
    "frameshift": "frameshift_variant", "missense": "missense_variant", "synonymous": "synonymous_variant",
    "splice_acceptor": "splice_acceptor_variant", "splice_donor": "splice_donor_variant",
    "splice_region": "splice_region_variant", "stop_retained": "stop_retained_variant",
    "start_retained": "start_retained_variant", "inframe_altering": "protein_altering_variant",
    "coding_sequence": "coding_sequence_variant", "5_prime_utr": "5_prime_UTR_variant",
    "3_prime_utr": "3_prime_UTR_variant", "non_coding": "non_coding_transcript_variant", "intron": "intron_variant",
    "intergenic": "intergenic_variant",
}

_BY_IMPACT = {
    "HIGH": (
        "transcript_ablation", "exon_loss_variant", "chromosome_number_variation",
        "protein_protein_contact", "structural_interaction_variant", "splice_acceptor_variant",
        "splice_donor_variant", "stop_gained", "frameshift_variant", "stop_lost", "start_lost",
        "initiator_codon_variant", "rare_amino_acid_variant", "gene_fusion", "bidirectional_gene_fusion",
        "transcript_amplification", "feature_elongation", "feature_truncation",
    ),
    "MODERATE": (
        "inframe_insertion", "disruptive_inframe_insertion", "conservative_inframe_insertion", "inframe_deletion",
        "disruptive_inframe_deletion", "conservative_inframe_deletion", "missense_variant", "protein_altering_variant",
    ),
    "LOW": (
        "splice_donor_5th_base_variant", "splice_region_variant", "splice_donor_region_variant",
        "splice_polypyrimidine_tract_variant", "incomplete_terminal_codon_variant", "start_retained_variant",
        "stop_retained_variant", "synonymous_variant", "5_prime_UTR_premature_start_codon_gain_variant",
    ),
    "MODIFIER": (
        "coding_sequence_variant", "mature_miRNA_variant", "5_prime_UTR_variant", "3_prime_UTR_variant",
        "non_coding_transcript_exon_variant", "intron_variant", "NMD_transcript_variant",
        "non_coding_transcript_variant", "coding_transcript_variant", "upstream_gene_variant",
        "downstream_gene_variant", "TFBS_ablation", "TFBS_amplification", "TF_binding_site_variant",
        "regulatory_region_ablation", "regulatory_region_amplification", "regulatory_region_variant",
        "intergenic_variant", "intergenic_region", "sequence_variant", "custom", "intragenic_variant",
        "conserved_intergenic_variant", "conserved_intron_variant", "transcript_variant", "gene_variant",
        "exon_variant",
    ),
}
_SEVERITY = {term: i for i, term in enumerate(term for terms in _BY_IMPACT.values() for term in terms)}
_IMPACT = {term: impact for impact, terms in _BY_IMPACT.items() for term in terms}
LEAST_SEVERE = len(_SEVERITY)


def ontology_terms(consequence: str) -> str:
    """Terms joined by `&`, short names of bcftools csq spelled out, its `*` (downstream of a stop) taken off."""
    return "&".join(_SHORT.get(term, term) for term in consequence.lstrip("*").split("&"))


def known_terms() -> tuple[str, ...]:
    """Every term, the most severe first."""
    return tuple(_SEVERITY)


def unknown_terms(consequence: str) -> list[str]:
    return [term for term in consequence.split("&") if term and term not in _SEVERITY]


def severity(consequence: str) -> int:
    """Of terms joined by `&` the most severe one's place: 0 is the most severe, LEAST_SEVERE for unknown terms."""
    return min((_SEVERITY.get(term, LEAST_SEVERE) for term in consequence.split("&")), default=LEAST_SEVERE)


def impact(consequence: str) -> str | None:
    """HIGH, MODERATE, LOW or MODIFIER of the most severe term; None if no term is known."""
    known = [IMPACTS.index(_IMPACT[term]) for term in consequence.split("&") if term in _IMPACT]
    return IMPACTS[max(known)] if known else None
