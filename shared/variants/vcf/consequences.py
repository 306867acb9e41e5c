"""Sequence Ontology consequence terms, most severe first, with the impact that Ensembl gives each.

https://www.ensembl.org/info/genome/variation/prediction/predicted_data.html ("Calculated variant consequences"), with
the spellings of SnpEff and bcftools csq added at the place of the term that they stand for.
"""

from __future__ import annotations

IMPACTS = ("MODIFIER", "LOW", "MODERATE", "HIGH")

_BY_IMPACT = {
    "HIGH": (
        "transcript_ablation", "exon_loss_variant", "chromosome_number_variation", "splice_acceptor",
        "splice_acceptor_variant", "splice_donor", "splice_donor_variant", "stop_gained", "frameshift",
        "frameshift_variant", "stop_lost", "start_lost", "initiator_codon_variant",
        "rare_amino_acid_variant", "gene_fusion", "bidirectional_gene_fusion", "transcript_amplification",
        "feature_elongation", "feature_truncation",
    ),
    "MODERATE": (
        "inframe_insertion", "disruptive_inframe_insertion", "conservative_inframe_insertion", "inframe_deletion",
        "disruptive_inframe_deletion", "conservative_inframe_deletion", "inframe_altering", "missense",
        "missense_variant", "protein_altering_variant", "coding_sequence",
    ),
    "LOW": (
        "splice_donor_5th_base_variant", "splice_region", "splice_region_variant", "splice_donor_region_variant",
        "splice_polypyrimidine_tract_variant", "incomplete_terminal_codon_variant", "start_retained",
        "start_retained_variant", "stop_retained", "stop_retained_variant", "synonymous", "synonymous_variant",
        "5_prime_UTR_premature_start_codon_gain_variant",
    ),
    "MODIFIER": (
        "coding_sequence_variant", "mature_miRNA_variant", "5_prime_utr", "5_prime_UTR_variant", "3_prime_utr",
        "3_prime_UTR_variant", "non_coding", "non_coding_transcript_exon_variant", "intron", "intron_variant",
        "NMD_transcript_variant", "non_coding_transcript_variant", "coding_transcript_variant",
        "upstream_gene_variant", "downstream_gene_variant", "TFBS_ablation", "TFBS_amplification",
        "TF_binding_site_variant", "regulatory_region_ablation", "regulatory_region_amplification",
        "regulatory_region_variant", "intergenic", "intergenic_variant", "intergenic_region", "sequence_variant",
    ),
}
_SEVERITY = {term: i for i, term in enumerate(term for terms in _BY_IMPACT.values() for term in terms)}
_IMPACT = {term: impact for impact, terms in _BY_IMPACT.items() for term in terms}
LEAST_SEVERE = len(_SEVERITY)


def severity(consequence: str) -> int:
    """Of terms joined by `&` the most severe one's place: 0 is the most severe, LEAST_SEVERE for unknown terms."""
    return min((_SEVERITY.get(term, LEAST_SEVERE) for term in consequence.split("&")), default=LEAST_SEVERE)


def impact(consequence: str) -> str | None:
    """HIGH, MODERATE, LOW or MODIFIER of the most severe term; None if no term is known."""
    known = [IMPACTS.index(_IMPACT[term]) for term in consequence.split("&") if term in _IMPACT]
    return IMPACTS[max(known)] if known else None
