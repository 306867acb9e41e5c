"""One block of records into rows of the variant table, with what is counted on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.contigs import SEX_REGIONS, assembly, canonical, sex_regions
from shared.variants.mapping import AnnotationMapping
from shared.variants.reference import Reference
from shared.variants.report import Notes, SexCalls
from shared.variants.schema import TableSchema
from shared.variants.vcf.alleles import Rows, read_alleles
from shared.variants.vcf.annotations import annotate
from shared.variants.vcf.classes import ClassReader
from shared.variants.vcf.entries import annotation_layout, score_layouts
from shared.variants.vcf.fields import Held, any_true
from shared.variants.vcf.genotype import CARRYING
from shared.variants.vcf.header import Header
from shared.variants.vcf.info import InfoReader
from shared.variants.vcf.keys import VARIANT_TYPES, Keys, read_keys
from shared.variants.vcf.lines import Block
from shared.variants.vcf.samples import SampleReader
from shared.variants.vcf.scores import read_scores, scores_by_allele
from shared.variants.vcf.site import ALT, Sites, read_sites
from shared.variants.vcf.spans import Ints

# By letter: whether it is a base, and the base that a transition makes of it (0: none, which is no letter).
_KNOWN, _PARTNERS = np.zeros(256, np.bool_), np.zeros(256, np.uint8)
_KNOWN[list(b"ACGT")], _PARTNERS[list(b"ACGT")] = True, list(b"GTAC")
_SEX_REGIONS = pa.array(SEX_REGIONS)
_X, _Y = pa.scalar("X"), pa.scalar("Y")
_HET, _CARRYING = pa.array(["het", "het_alt"]), pa.array(sorted(CARRYING))


@dataclass(frozen=True)
class Converted:
    """`columns` are all but `contig_index`, which only the whole file tells, and those that hold nothing but nulls;
    `contig_codes` (into `contigs`) and `positions` are by record, `row_records` is each row's record in the block."""

    columns: dict[str, pa.Array]
    notes: Notes
    rows: int
    records: int
    first_line: int
    alleles: int
    contig_codes: Ints
    contigs: tuple[str, ...]
    positions: Ints
    row_records: Ints
    skipped: Counter[str]
    types: Counter[str]
    filters: Counter[str]
    transitions: int
    transversions: int
    moved: int
    zygosities: list[Counter[str]]
    sexes: list[SexCalls]


class Converter:
    """Converts the blocks of one file; they share nothing, so that several can be converted at a time."""

    def __init__(self, header: Header, schema: TableSchema, mapping: AnnotationMapping,
                 reference: Reference | None = None) -> None:
        self._header, self._schema, self._mapping, self._reference = header, schema, mapping, reference
        self._layout, self._score_layouts = annotation_layout(header), score_layouts(header)
        self._assembly = assembly(header.contigs, header.text)

    def convert(self, block: Block) -> Converted:
        """Raises VcfRefused for the first defect of the block that cannot be tolerated."""
        notes = Notes()
        sites = read_sites(block, self._header, notes)
        rows = read_alleles(block, notes)
        keys = read_keys(block, sites, rows, notes, self._reference)
        columns = _site_columns(block, sites, rows, keys)
        columns.update(self._sex_regions(sites, rows))
        info, held = InfoReader(self._schema, notes).read(block, rows)
        columns.update(info)
        columns.update(self._annotations(block, rows, columns, held, notes))
        samples, zygosities = SampleReader(self._header, self._schema, notes).read(block, sites.ref, rows)
        columns.update(samples)
        transitions, transversions = _substitutions(keys)
        return Converted(
            columns=columns, notes=notes, rows=len(rows), records=len(block), first_line=block.first_line,
            alleles=int(rows.n_alts.sum()), contig_codes=sites.contig_codes, contigs=sites.contigs,
            positions=sites.pos, row_records=rows.record, skipped=rows.skipped, types=_types(keys),
            filters=_filters(sites, rows), transitions=transitions, transversions=transversions, moved=keys.moved,
            zygosities=zygosities, sexes=self._sexes(columns),
        )

    def _sex_regions(self, sites: Sites, rows: Rows) -> dict[str, pa.Array]:
        codes = np.full(len(sites.pos), -1, np.int8)
        for code, contig in enumerate(sites.contigs):
            mine = sites.contig_codes == code
            found = sex_regions(canonical(contig), sites.pos[mine], self._assembly)
            if found is not None:
                codes[mine] = found
        if (codes < 0).all():
            return {}
        names = _SEX_REGIONS.take(pa.array(codes, mask=codes < 0))
        return {"sex_region": rows.expand(names)}

    def _sexes(self, columns: dict[str, pa.Array]) -> list[SexCalls]:
        """By sample; nothing in a block that has no rows on X or Y."""
        if "sex_region" not in columns:
            return []
        on_x, on_y = (any_true(pc.equal(columns["sex_region"], name)) for name in (_X, _Y))
        nothing = pa.nulls(len(on_x), pa.string())
        found = []
        for i in range(len(self._header.samples)):
            zygosity = columns.get(self._schema.sample_column(i, "zygosity"), nothing)
            het, carried = (any_true(pc.is_in(zygosity, names)) for names in (_HET, _CARRYING))
            found.append(SexCalls(int((on_x & het).sum()), int((on_x & carried & ~het).sum()),
                                  int((on_y & carried).sum())))
        return found

    def _annotations(self, block: Block, rows: Rows, columns: dict[str, pa.Array], held: dict[str, Held],
                     notes: Notes) -> dict[str, pa.Array]:
        found: dict[str, pa.Array] = {}
        chosen = None
        if self._layout and self._layout.key in held:
            found, chosen = annotate(block, self._layout, held[self._layout.key], columns["ref"], rows, notes)
        by_allele = scores_by_allele(self._score_layouts, held, columns["ref"], rows)
        found |= read_scores(self._schema, {**columns, **found}, by_allele, chosen, len(rows))
        classes = ClassReader(block, rows, self._schema, held, columns, chosen, notes)
        return found | classes.read(self._mapping, found.get("gene"))


def _site_columns(block: Block, sites: Sites, rows: Rows, keys: Keys) -> dict[str, pa.Array]:
    return {
        "contig": rows.expand(sites.contig.dictionary_decode()),
        "chrom": rows.expand(sites.chrom),
        "pos": pa.array(sites.pos[rows.record]),
        "end": keys.end,
        "ref": rows.expand(sites.ref),
        "alt": rows.alt,
        "alts": rows.expand(block.column(ALT).to_arrow()),
        "allele": pa.array(rows.allele.astype(np.int32)),
        "record": pa.array(rows.record + block.first_record),
        "line": pa.array(rows.record + block.first_line),
        "variant_type": keys.type.dictionary_decode(),
        "sv_type": keys.sv_type,
        "length": keys.length,
        "key": keys.text, "key_pos": keys.pos, "key_ref": keys.ref, "key_alt": keys.alt,
        "ids": rows.expand(sites.ids),
        "rsid": rows.expand(sites.rsid),
        "qual": rows.expand(sites.qual),
        "filters": rows.expand(sites.filters),
    }


def _types(keys: Keys) -> Counter[str]:
    counts = np.bincount(keys.type_codes, minlength=len(VARIANT_TYPES))
    return Counter({name: int(n) for name, n in zip(VARIANT_TYPES, counts, strict=True) if n})


def _filters(sites: Sites, rows: Rows) -> Counter[str]:
    encoded = sites.filter_text
    codes = encoded.indices.to_numpy()[rows.record]
    counts = np.bincount(codes, minlength=len(encoded.dictionary))
    totals: Counter[str] = Counter()
    for text, n in zip(encoded.dictionary.to_pylist(), counts, strict=True):
        for name in set(text.split(";")) if n else ():
            totals[name] += int(n)
    return totals


def _substitutions(keys: Keys) -> tuple[int, int]:
    """(transitions, transversions) among the substitutions of one base by another."""
    snv = pa.array(np.flatnonzero(keys.type_codes == VARIANT_TYPES.index("snv")))
    ref, alt = (_letters(alleles.take(snv)) for alleles in (keys.ref, keys.alt))
    known = int((_KNOWN[ref] & _KNOWN[alt]).sum())
    transitions = int((_PARTNERS[ref] == alt).sum())
    return transitions, known - transitions


def _letters(bases: pa.Array) -> npt.NDArray[np.uint8]:
    """Of strings of one byte each."""
    return np.frombuffer(bases.buffers()[2] or b"", np.uint8)[: len(bases)]
