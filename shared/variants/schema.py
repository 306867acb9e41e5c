"""The variant table: one Parquet file per VCF, one row per alternate allele, by contig, position, record, allele.

Contigs stand in the order in which the file first names them (`contig_index`). Only ALT entries that say what was seen
make a row: `*`, `<*>`, `<NON_REF>` and `.` are counted in the report and make none.

Site columns
    contig          string   as written
    chrom           string   canonical name: `chr1`, `1` and `NC_000001.11` are `1`; others as written
    contig_index    int32    0-based order of first appearance in the file
    pos             int64    1-based, as written (VCF POS; 0 is a telomere)
    end             int64    last base covered, 1-based: pos + len(ref) - 1; INFO END or SVLEN for symbolic alleles
    ref, alt        string   as written, this allele only
    alts            string   the record's whole ALT column as written: what the numbers in a genotype mean
    allele          int32    1-based number of the allele in its record
    record, line    int64    1-based number of the record, and its line in the file (its text form, for BCF)
    variant_type    string   snv, insertion, deletion, mnv, complex, identical (ALT is REF), sv, breakend
    sv_type         string   symbolic alleles: what stands between < and >; breakends: BND; else null
    length          int64    bases: substituted, inserted or deleted; |SVLEN| (or END - POS) for sv; null where unknown
    key             string   chrom-key_pos-key_ref-key_alt; for symbolic alleles also -end-length. The same variant from
                             two callers has the same key: trimmed, and left-aligned where a reference is at hand
    key_pos         int64    position of the minimal allele
    key_ref/key_alt string   minimal allele, upper case: shared ends removed, one base kept; breakends: the mate's
                             contig by its canonical name
    ids             list<string>   null for `.`
    rsid            string   the first rs number among them
    qual            double   null for `.`
    filters         list<string>   [PASS] when all passed, null for `.` (not filtered)
    sex_region      string   X or Y outside the pseudoautosomal regions of the header's assembly, PAR inside them
                             (contigs.py); where the assembly is not known X or Y; null on other contigs

Annotation columns: of the row's own allele; null where the file does not say
    gene            string   symbol: of the pipeline's own mapping where it names one, else of the chosen transcript
    gene_id, transcript, exon, hgvsc, hgvsp, hgvsg   string   of the chosen transcript, as written, percent-decoded;
                             exon is number/total, such as 5/12
    transcript_rule string   why it was chosen: mane_select, mane_plus_clinical, canonical, most_severe (annotations.py)
    consequence     string   of the chosen transcript: Sequence Ontology terms joined by & (short names of bcftools csq
                             are spelled out)
    impact          string   HIGH, MODERATE, LOW, MODIFIER: as the annotation states it, else by Ensembl's table
    impact_rank     int8     3 HIGH, 2 MODERATE, 1 LOW, 0 MODIFIER
    genes           list<string>   symbols of all transcripts, each once, in the file's order
    worst_impact_rank   int8     the highest among all transcripts, so never less than impact_rank
    worst_consequence, worst_gene, worst_transcript   string   of the transcript with the most severe consequence
    clinvar         list<string>   ClinVar significances in one spelling (clinical.py), from the annotation's CLIN_SIG
                             or CLNSIG, else from INFO; words that ClinVar does not have are kept and noted
    af_max          double   highest population frequency that the annotation, or else INFO, gives for this allele
    af_gnomad_exome, af_gnomad_genome   double   over all populations
    cadd_phred, revel, spliceai_max     double   in-silico scores, from the annotation, else from an INFO key with
                             entries by allele (SpliceAI), else from one with a number; spliceai_max of the four delta
                             scores, and of all genes
    sift, polyphen  string   what they predict; `sift_score` and `polyphen_score` (double) are their scores
    tier            string   AMP/ASCO/CAP tier by the mapping: IA IB I II III IV, else as written
    acmg_class      string   by the mapping: pathogenic, likely_pathogenic, uncertain_significance, likely_benign,
                             benign, else as written

INFO columns: one per declared key, `info_<key>`, of its type (Integer int64, Float double, Flag bool, else string)
    Number=1        a value
    Number=A        this allele's value
    Number=R        list of two: the reference's and this allele's
    Number=G        list of three (REF/REF, REF/this, this/this), or of two where the record is haploid
    other Numbers   list, as in the file
    CSQ, ANN, BCSQ  string, the raw text with all transcripts
    info_other      list<struct<key, value>>: what has no column of its own: undeclared keys, and values that are not
                    what the header says (the column is null then); and whole lists of Number=A, R and G of which the
                    rows do not hold every value (alternates that make no row, genotypes of two alternates). Text as in
                    the file, percent-decoded; value null for a key without `=`
Strings are percent-decoded once; raw CSQ, ANN and BCSQ are not, since their own delimiters would come back.

Sample columns: `s<i>_...`, i the 0-based position in the file's #CHROM line; names stand in the metadata under
`samples`, so that an order cache can pick the columns of the sample that has a role
    s<i>_gt         string   as written
    s<i>_phased     bool     every allele is phased with the others (`|` throughout, 4.4's leading mark included)
    s<i>_phase_set  string   FORMAT PS as written: genotypes are phased with each other within one set
    s<i>_zygosity   string   of this row's allele, see genotype.py: hom_ref het het_alt hom_alt hemi_ref hemi_alt
                             partial_ref partial_alt other_alt no_call; null without GT. By what the genotype holds
                             alone: a sample's sex is the order's, not the file's, so that a man's 1/1 where sex_region
                             is X or Y becomes hemizygous in the order table (order_schema.py). A man's 0/1 there stays
                             het: two alleles were read, which is an artefact, a mosaic, or not a man's
    s<i>_carries    bool     the genotype holds this row's allele at least once
    s<i>_dp, s<i>_gq          int64, double   FORMAT DP and GQ
    s<i>_ad_ref, s<i>_ad_alt  int64   reads for the reference and for this allele; depths.py says where they come from
    s<i>_vaf        double   the caller's own fraction, or computed from the reads
    s<i>_fmt_<key>           every other declared FORMAT key, by the same rules as INFO
    s<i>_fmt_other  list<struct<key, value>>, as info_other; AD too

File metadata: schema_version, header (text, as repaired), samples (JSON list), columns (JSON: column -> VCF key),
assembly, mapping (JSON: the pipeline's own fields), report (JSON, see report.py). No time and no path: the same VCF and
mapping give the same bytes, whatever the number of workers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from shared.variants.vcf.header import Declaration, Header
from shared.variants.vcf.values import ARROW_TYPES

SCHEMA_VERSION = 3

OTHER = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
_STRINGS = pa.list_(pa.string())

SITE_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("contig", pa.string()), ("chrom", pa.string()), ("contig_index", pa.int32()), ("pos", pa.int64()),
    ("end", pa.int64()), ("ref", pa.string()), ("alt", pa.string()), ("alts", pa.string()), ("allele", pa.int32()),
    ("record", pa.int64()), ("line", pa.int64()), ("variant_type", pa.string()), ("sv_type", pa.string()),
    ("length", pa.int64()), ("key", pa.string()), ("key_pos", pa.int64()), ("key_ref", pa.string()),
    ("key_alt", pa.string()), ("ids", _STRINGS), ("rsid", pa.string()), ("qual", pa.float64()), ("filters", _STRINGS),
    ("sex_region", pa.string()),
)

ANNOTATION_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("gene", pa.string()), ("gene_id", pa.string()), ("transcript", pa.string()), ("transcript_rule", pa.string()),
    ("exon", pa.string()), ("consequence", pa.string()), ("impact", pa.string()), ("impact_rank", pa.int8()),
    ("hgvsc", pa.string()), ("hgvsp", pa.string()), ("hgvsg", pa.string()), ("genes", _STRINGS),
    ("worst_impact_rank", pa.int8()), ("worst_consequence", pa.string()), ("worst_gene", pa.string()),
    ("worst_transcript", pa.string()), ("clinvar", _STRINGS), ("af_max", pa.float64()),
    ("af_gnomad_exome", pa.float64()), ("af_gnomad_genome", pa.float64()), ("cadd_phred", pa.float64()),
    ("revel", pa.float64()), ("spliceai_max", pa.float64()), ("sift", pa.string()), ("sift_score", pa.float64()),
    ("polyphen", pa.string()), ("polyphen_score", pa.float64()), ("tier", pa.string()), ("acmg_class", pa.string()),
)

SAMPLE_FIELDS: tuple[tuple[str, pa.DataType], ...] = (
    ("gt", pa.string()), ("phased", pa.bool_()), ("phase_set", pa.string()), ("zygosity", pa.string()),
    ("carries", pa.bool_()), ("dp", pa.int64()), ("gq", pa.float64()), ("ad_ref", pa.int64()),
    ("ad_alt", pa.int64()), ("vaf", pa.float64()),
)

# FORMAT keys whose whole content is in the fields above.
_IN_SAMPLE_FIELDS = frozenset({"GT", "DP", "GQ", "AD"})

# Keys whose text has a structure of its own, with commas and percent codes inside.
ANNOTATION_KEYS = frozenset({"CSQ", "ANN", "BCSQ", "EFF", "vep"})

Shape = Literal["value", "allele", "ref_and_allele", "genotypes", "list"]
_SHAPES: dict[str, Shape] = {"0": "value", "1": "value", "A": "allele", "R": "ref_and_allele", "G": "genotypes"}


@dataclass(frozen=True)
class KeyColumn:
    """The column of one INFO or FORMAT key: `name` without a sample's prefix."""

    name: str
    key: str
    shape: Shape
    kind: str
    fixed_count: int | None
    raw: bool = False

    @property
    def type(self) -> pa.DataType:
        base = ARROW_TYPES[self.kind]
        return base if self.shape in ("value", "allele") else pa.list_(base)


@dataclass(frozen=True)
class TableSchema:
    """The columns of the table of one VCF, which its header decides."""

    samples: tuple[str, ...]
    info: dict[str, KeyColumn]
    format: dict[str, KeyColumn]

    def sample_column(self, sample: int, name: str) -> str:
        return f"s{sample}_{name}"

    def arrow(self) -> pa.Schema:
        fields = [*SITE_FIELDS, *ANNOTATION_FIELDS]
        fields += [(column.name, column.type) for column in self.info.values()]
        fields.append(("info_other", OTHER))
        for i in range(len(self.samples)):
            fields += [(self.sample_column(i, name), type_) for name, type_ in SAMPLE_FIELDS]
            fields += [(self.sample_column(i, column.name), column.type) for column in self.format.values()]
            fields.append((self.sample_column(i, "fmt_other"), OTHER))
        return pa.schema(fields)

    def keys(self) -> dict[str, str]:
        """Column -> the VCF's own key, for the columns that are named after one."""
        names = {column.name: f"INFO/{key}" for key, column in self.info.items()}
        names.update({f"s*_{column.name}": f"FORMAT/{key}" for key, column in self.format.items()})
        return names


def table_schema(header: Header) -> TableSchema:
    format_ = {key: d for key, d in header.format.items() if key not in _IN_SAMPLE_FIELDS}
    return TableSchema(header.samples, _key_columns(header.info, "info_"), _key_columns(format_, "fmt_"))


def _key_columns(declared: dict[str, Declaration], prefix: str) -> dict[str, KeyColumn]:
    """Names are made of letters, digits and _ and differ in more than case, as DuckDB and BigQuery want them."""
    taken = {f"{prefix}other"}
    columns = {}
    for key, declaration in declared.items():
        name = stem = prefix + re.sub(r"\W", "_", key, flags=re.ASCII)
        n = 1
        while name.lower() in taken:
            n += 1
            name = f"{stem}_{n}"
        taken.add(name.lower())
        columns[key] = _key_column(name, declaration)
    return columns


def _key_column(name: str, declaration: Declaration) -> KeyColumn:
    key = declaration.key
    if declaration.type == "Flag":
        return KeyColumn(name, key, "value", "Flag", 0)
    if key in ANNOTATION_KEYS:
        return KeyColumn(name, key, "value", "String", None, raw=True)
    number = "." if declaration.number == "0" else declaration.number
    return KeyColumn(name, key, _SHAPES.get(number, "list"), declaration.type, declaration.fixed_count)
