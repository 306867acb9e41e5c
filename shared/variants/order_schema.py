"""The order table: the variant tables of some samples joined on the minimal key, one row a key, with the columns below.

Rows stand by chromosome (1..22, X, Y, MT, then the other names by name), key_pos, key. Fields of the same name are what
`schema.py` says; they are those of the first table that has the row, tables taken in the order of their samples' roles
(ROLES). Annotations are those of the first table that has the row *and* names a gene or a consequence for it: one
table's, never a mixture. What else a table holds stays there, and `sources` says where.

Site        contig, chrom, sex_region, pos, end, ref, alt, variant_type, sv_type, length, key, key_pos, rsid, qual,
            filters
Annotation  gene, gene_id, genes, transcript, transcript_rule, exon, consequence, impact, worst_impact (of
            worst_impact_rank, by its name), worst_consequence, worst_gene, worst_transcript, hgvsc, hgvsp, af_max,
            clinvar, tier, acmg_class, cadd_phred, revel, spliceai_max, sift, polyphen
Of the order
    seen        int32   in how many other analyses the allele was seen; null where none are counted
    copies      int32   rows of one table that have this key, at most. Above 1 a VCF holds the allele more than once
    sources     list<struct<table int16, row int64>>   every row of every table behind this one: `table` counts in the
                manifest's `tables`, `row` from 0 in that file. Nothing of a duplicate is lost
Samples     `<group>_...`; the group is the sample's role, numbered where several have it (sibling1, sibling2)
    present     bool    a table of the sample has the row. False: nobody called the site, which is not a reference call
    gt, phased, carries, dp, gq, ad_ref, ad_alt, vaf   as in the variant table
    phase_set   string  FORMAT PS; null: phased genotypes of a chromosome are one set (VCF 4.3, 1.6.2)
    haplotype   int32   of a phased het the side of the genotype that has the allele, from 0; else null
    zygosity    string  as in the variant table, and of a male's X and Y outside the pseudoautosomal regions hemi_alt
                        and hemi_ref where a caller wrote two equal alleles
    qual, filters       of the row that the genotype is from
A sample that has a key in several rows (duplicates, or tables of several callers) shows the row in which it carries the
allele, else one with a call, else the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from shared.domain.cache import Member
from shared.domain.request import Role, Sex

ORDER_VERSION = 2

ROLES = (Role.PROBAND, Role.TUMOR, Role.SAMPLE, Role.MOTHER, Role.FATHER, Role.SIBLING, Role.NORMAL)

Kind = Literal["int", "float", "code", "few", "terms", "bool", "text", "list"]
"""How a column is indexed, see order_index.py. `few`: a code with a bitmap for each value. `terms`: several values in
one text or list, with a bitmap for each of them."""


@dataclass(frozen=True)
class Column:
    name: str
    kind: Kind
    type: pa.DataType
    parted_by: str = ""

    @property
    def has_bitmaps(self) -> bool:
        return self.kind in ("few", "terms")


_STRING, _STRINGS, _INT, _LONG, _FLOAT, _BOOL = (
    pa.string(), pa.list_(pa.string()), pa.int32(), pa.int64(), pa.float64(), pa.bool_()
)
SOURCES = pa.list_(pa.struct([("table", pa.int16()), ("row", pa.int64())]))

SITE = (
    Column("contig", "code", _STRING), Column("chrom", "few", _STRING), Column("sex_region", "few", _STRING),
    Column("pos", "int", _LONG),
    Column("end", "int", _LONG), Column("ref", "code", _STRING), Column("alt", "code", _STRING),
    Column("variant_type", "few", _STRING), Column("sv_type", "few", _STRING), Column("length", "int", _LONG),
    Column("key", "text", _STRING), Column("key_pos", "int", _LONG), Column("rsid", "code", _STRING),
    Column("qual", "float", _FLOAT), Column("filters", "terms", _STRINGS, ";"),
)
ANNOTATION = (
    Column("gene", "code", _STRING), Column("gene_id", "code", _STRING), Column("genes", "list", _STRINGS),
    Column("transcript", "code", _STRING), Column("transcript_rule", "few", _STRING), Column("exon", "code", _STRING),
    Column("consequence", "terms", _STRING, "&"), Column("impact", "few", _STRING),
    Column("worst_impact", "few", _STRING), Column("worst_consequence", "terms", _STRING, "&"),
    Column("worst_gene", "code", _STRING), Column("worst_transcript", "code", _STRING),
    Column("hgvsc", "code", _STRING), Column("hgvsp", "code", _STRING), Column("af_max", "float", _FLOAT),
    Column("clinvar", "terms", _STRINGS, ";"), Column("tier", "few", _STRING), Column("acmg_class", "few", _STRING),
    Column("cadd_phred", "float", _FLOAT), Column("revel", "float", _FLOAT), Column("spliceai_max", "float", _FLOAT),
    Column("sift", "code", _STRING), Column("polyphen", "code", _STRING),
)
OF_ORDER = (Column("seen", "int", _INT), Column("copies", "int", _INT))
SAMPLE = (
    Column("present", "bool", _BOOL), Column("gt", "code", _STRING), Column("phased", "bool", _BOOL),
    Column("phase_set", "code", _STRING), Column("haplotype", "int", _INT), Column("zygosity", "few", _STRING),
    Column("carries", "bool", _BOOL),
    Column("dp", "int", _LONG), Column("gq", "float", _FLOAT), Column("ad_ref", "int", _LONG),
    Column("ad_alt", "int", _LONG), Column("vaf", "float", _FLOAT), Column("qual", "float", _FLOAT),
    Column("filters", "terms", _STRINGS, ";"),
)


@dataclass(frozen=True)
class Group:
    """A sample's columns: `prefix` stands before their names with a `_`. `members` are numbers in the list of them."""

    prefix: str
    name: str
    role: Role
    sex: Sex
    members: tuple[int, ...]

    def column(self, name: str) -> str:
        return f"{self.prefix}_{name}"


def groups_of(members: Sequence[Member]) -> tuple[Group, ...]:
    """By role, within a role as named. A sample of several tables is one group."""
    by_name: dict[str, list[int]] = {}
    for number, member in enumerate(members):
        if member.column is None:  # a table without samples
            continue
        by_name.setdefault(member.name, []).append(number)
    ordered = sorted(by_name.values(), key=lambda numbers: ROLES.index(members[numbers[0]].role))
    holders = Counter(members[numbers[0]].role for numbers in ordered)
    groups: list[Group] = []
    for numbers in ordered:
        first = members[numbers[0]]
        number = sum(group.role is first.role for group in groups) + 1
        prefix = f"{first.role}{number}" if holders[first.role] > 1 else str(first.role)
        groups.append(Group(prefix, first.name, first.role, first.sex, tuple(numbers)))
    return tuple(groups)


def columns_of(prefixes: Sequence[str]) -> tuple[Column, ...]:
    """All but `sources`."""
    samples = (Column(f"{prefix}_{c.name}", c.kind, c.type, c.parted_by) for prefix in prefixes for c in SAMPLE)
    return (*SITE, *ANNOTATION, *OF_ORDER, *samples)


def arrow_schema(prefixes: Sequence[str]) -> pa.Schema:
    return pa.schema([*((column.name, column.type) for column in columns_of(prefixes)), ("sources", SOURCES)])


def chromosome_order(chrom: str) -> tuple[int, str]:
    """1..22, X, Y, MT, then the others by name (C68)."""
    if chrom.isdigit() and 1 <= int(chrom) <= 22:
        return int(chrom), ""
    return {"X": 23, "Y": 24, "MT": 25}.get(chrom, 26), chrom
