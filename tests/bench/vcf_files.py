"""A whole-genome VCF as a germline pipeline leaves it: GATK's INFO and FORMAT fields, VEP's CSQ of 30 fields and one to
eight transcripts, one sample or a trio. The same arguments give the same text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pysam

GENES = 4_000
PER_BLOCK = 2_000
CSQ = (
    "Allele|Consequence|IMPACT|SYMBOL|Gene|Feature_type|Feature|BIOTYPE|EXON|INTRON|HGVSc|HGVSp|cDNA_position|"
    "CDS_position|Protein_position|Amino_acids|Codons|Existing_variation|DISTANCE|STRAND|FLAGS|HGNC_ID|CANONICAL|"
    "MANE_SELECT|SIFT|PolyPhen|AF|gnomADe_AF|gnomADg_AF|CLIN_SIG"
)
# GRCh38, in Mb.
_LENGTHS = {f"chr{name}": mb * 1_000_000 for name, mb in zip(
    [*map(str, range(1, 23)), "X"],
    (248, 242, 198, 190, 181, 170, 159, 145, 138, 133, 135, 133, 114, 107, 101, 90, 83, 80, 58, 64, 46, 50, 156),
    strict=True,
)}
_CODING = (("missense_variant", "MODERATE"), ("synonymous_variant", "LOW"), ("stop_gained", "HIGH"),
           ("splice_region_variant&intron_variant", "LOW"), ("splice_donor_variant", "HIGH"))
_OTHER = (("intron_variant", "MODIFIER"),) * 12 + (
    ("upstream_gene_variant", "MODIFIER"), ("downstream_gene_variant", "MODIFIER"), ("3_prime_UTR_variant", "MODIFIER"),
    ("intron_variant&non_coding_transcript_variant", "MODIFIER"), ("non_coding_transcript_exon_variant", "MODIFIER"),
)
_INFO = (
    ("AC", "A", "Integer"), ("AF", "A", "Float"), ("AN", "1", "Integer"), ("BaseQRankSum", "1", "Float"),
    ("DB", "0", "Flag"), ("DP", "1", "Integer"), ("ExcessHet", "1", "Float"), ("FS", "1", "Float"),
    ("MQ", "1", "Float"), ("MQRankSum", "1", "Float"), ("QD", "1", "Float"), ("ReadPosRankSum", "1", "Float"),
    ("SOR", "1", "Float"),
)
_FORMAT = (("GT", "1", "String"), ("AD", "R", "Integer"), ("DP", "1", "Integer"), ("GQ", "1", "Integer"),
           ("PL", "G", "Integer"))


def write_vcf(path: Path, records: int, samples: int, seed: int = 1) -> Path:
    """Writes the file, bgzipped, unless it is there. Returns `path`."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        with pysam.BGZFile(str(draft), "wb") as file:
            file.write(_header(samples).encode())
            for block in _blocks(random.Random(seed), records, samples):
                file.write(block.encode())
        draft.replace(path)
    return path


def _header(samples: int) -> str:
    lines = ["##fileformat=VCFv4.2", '##FILTER=<ID=LowQual,Description="Low quality">']
    lines += [f'##INFO=<ID={key},Number={n},Type={kind},Description="{key}">' for key, n, kind in _INFO]
    lines.append('##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. '
                 f'Format: {CSQ}">')
    lines += [f'##FORMAT=<ID={key},Number={n},Type={kind},Description="{key}">' for key, n, kind in _FORMAT]
    lines += [f"##contig=<ID={name},length={length}>" for name, length in _LENGTHS.items()]
    names = [f"S{i + 1}" for i in range(samples)]
    return "\n".join([*lines, "\t".join(["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT", *names])]) + "\n"


def _blocks(rng: random.Random, records: int, samples: int) -> Iterator[str]:
    genes = [_transcripts(rng, i) for i in range(GENES)]
    spaced = sum(_LENGTHS.values()) // (records + 1)
    lines: list[str] = []
    made = 0
    for contig, length in _LENGTHS.items():
        pos = rng.randrange(1, 2 * spaced)
        while pos < length and made < records:
            gene = genes[(made // 250) % GENES]
            lines.append(_record(rng, contig, pos, gene, samples))
            made += 1
            pos += 1 + int(rng.random() * 2 * (spaced - 1))
            if len(lines) == PER_BLOCK:
                yield "\n".join(lines) + "\n"
                lines = []
    while made < records:  # what rounding has left over stands at the end of the last contig
        pos += 1
        lines.append(_record(rng, contig, pos, genes[0], samples))
        made += 1
    if lines:
        yield "\n".join(lines) + "\n"


def _transcripts(rng: random.Random, i: int) -> list[tuple[str, str, int]]:
    """(the fields Gene to BIOTYPE, the transcript's name, its number of exons) of the transcripts of a gene."""
    found = []
    for j in range(rng.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 8))):
        name = f"ENST{rng.randrange(10**6):011d}.{rng.randrange(1, 9)}"
        biotype = "protein_coding" if j == 0 or rng.random() < 0.6 else "lncRNA"
        found.append((f"GENE{i}|ENSG{i:011d}|Transcript|{name}|{biotype}", name, rng.randrange(2, 60)))
    return found


def _entry(rng: random.Random, allele: str, gene: list[tuple[str, str, int]], j: int, coding: bool, known: str) -> str:
    what, name, exons = gene[j]
    term, impact = rng.choice(_CODING if coding else _OTHER)
    n = rng.randrange(1, 5000)
    where = f"{1 + n % exons}/{exons}"
    chosen = "YES|NM_00012.4" if j == 0 else "|"
    if coding:
        body = (f"{where}||{name}:c.{n}A>{allele}|ENSP{n:011d}.2:p.Arg{n // 3}Gln|{n + 90}/3021|{n}/2400|{n // 3}/800|"
                f"R/Q|cGa/cAa|{known}||1||HGNC:{n}|{chosen}|tolerated(0.{n % 90 + 10})|benign(0.{n % 900 + 100})")
    else:
        distance = n if j else ""
        body = f"|{where}|{name}:c.{n}+{n % 300}A>{allele}|||||||{known}|{distance}|-1||HGNC:{n}|{chosen}||"
    return f"{allele}|{term}|{impact}|{what}|{body}"


def _record(rng: random.Random, contig: str, pos: int, gene: list[tuple[str, str, int]], samples: int) -> str:
    roll = rng.random()
    ref, alts = rng.choice("AC"), [rng.choice("GT")]
    if roll < 0.06:
        ref = alts[0] + ref * rng.randrange(1, 9)
        alts = [ref[0]]
    elif roll < 0.12:
        alts = [ref + alts[0] * rng.randrange(1, 9)]
    elif roll < 0.14:
        alts = ["G", "T"]
    known = f"rs{rng.randrange(10**9)}" if rng.random() < 0.9 else ""
    coding = rng.random() < 0.03
    frequency = rng.random() ** 3
    tail = f"|{frequency:.4g}|{frequency * 0.98:.4g}|{frequency * 1.01:.4g}|" if known else "||||"
    if coding and known and rng.random() < 0.1:
        tail += rng.choice(("benign", "likely_pathogenic&pathogenic", "uncertain_significance"))
    csq = ",".join(_entry(rng, _vep(ref, alt), gene, j, coding, known) + tail
                   for alt in alts for j in range(len(gene)))
    depth = rng.randrange(18, 60)
    several = len(alts) == 2
    counts = ("1,1", "0.5,0.5") if several else ("1", "0.5")
    info = (f"AC={counts[0]};AF={counts[1]};AN={2 * samples};BaseQRankSum={rng.gauss(0, 1):.3f};"
            f"{'DB;' if known else ''}DP={depth * samples};ExcessHet=0.0000;FS={rng.random() * 5:.3f};MQ=60.00;"
            f"MQRankSum=0.000;QD={rng.random() * 30:.2f};ReadPosRankSum={rng.gauss(0, 1):.3f};"
            f"SOR={rng.random() * 2:.3f};CSQ={csq}")
    calls = "\t".join(_call(rng, several) for _ in range(samples))
    flt = "PASS" if rng.random() < 0.95 else "LowQual"
    return (f"{contig}\t{pos}\t{known or '.'}\t{ref}\t{','.join(alts)}\t{rng.random() * 2000:.2f}\t{flt}\t{info}\t"
            f"GT:AD:DP:GQ:PL\t{calls}")


def _vep(ref: str, alt: str) -> str:
    """VEP's spelling of an allele: without the first base where one is longer."""
    return alt if len(ref) == len(alt) else alt[1:] or "-"


def _call(rng: random.Random, several: bool) -> str:
    depth = rng.randrange(12, 60)
    half = depth // 2 + rng.randrange(-4, 5)
    high, low = rng.randrange(200, 1500), rng.randrange(100, 999)
    if several:
        return f"1/2:0,{half},{depth - half}:{depth}:99:{high},{low},{low // 2},{low + 7},0,{high // 3}"
    if rng.random() < 0.6:
        return f"0/1:{depth - half},{half}:{depth}:99:{high},0,{low}"
    return f"1/1:0,{depth}:{depth}:{3 * depth if depth < 33 else 99}:{high},{3 * depth},0"
