"""The entries of CSQ, ANN or BCSQ: which field stands where, by the format that the header states."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shared.variants.vcf.fields import Held
from shared.variants.vcf.header import Header
from shared.variants.vcf.spans import Bools, Ints, Offsets, Spans

# What a field is called by VEP, SnpEff and bcftools csq.
_NAMES: dict[str, tuple[str, ...]] = {
    "allele": ("Allele",), "allele_number": ("ALLELE_NUM",),
    "consequence": ("Consequence", "Annotation", "consequence"),
    "impact": ("IMPACT", "Annotation_Impact"), "gene": ("SYMBOL", "Gene_Name", "gene"), "gene_id": ("Gene", "Gene_ID"),
    "transcript": ("Feature", "Feature_ID", "transcript"), "exon": ("EXON", "Rank"), "hgvsg": ("HGVSg",),
    "hgvsc": ("HGVSc", "HGVS.c"), "hgvsp": ("HGVSp", "HGVS.p"), "mane_select": ("MANE_SELECT", "MANE"),
    "mane_plus": ("MANE_PLUS_CLINICAL",), "canonical": ("CANONICAL",), "dna_change": ("dna_change",),
    "sift": ("SIFT",), "polyphen": ("PolyPhen",),
}
# Fields of plugins and custom annotations are spelled in many ways: letters and digits, lower case, tell.
LOOSE_NAMES: dict[str, str] = {
    "clinvar": r"clinsig|clnsig|clinvarcl(?:n|in)sig|clinvarsig",
    "cadd_phred": r"cadd(?:phred(?:score)?)?",
    "revel": r"revel(?:score)?",
    "spliceai_max": r"spliceai(?:pred)?ds(?:ag|al|dg|dl|max)|dsmax",
    "af_gnomad_exome": r"gnomad(?:e|exomes?)?af",
    "af_gnomad_genome": r"gnomad(?:g|genomes?)af",
}
# Population frequencies: 1000 Genomes (AF, AFR_AF ...), ESP (AA_AF, EA_AF), ExAC, gnomAD in its spellings.
_MAX_AF = "MAX_AF"
_FREQUENCY = re.compile(
    r"^(?:AF|GMAF|(?:AFR|AMR|ASN|EAS|EUR|SAS|AA|EA)_(?:AF|MAF)|(?:gnomAD|ExAC).*AF.*)$", re.IGNORECASE
)
_KEYS = ("CSQ", "vep", "ANN", "BCSQ")


def bare(name: str) -> str:
    """As LOOSE_NAMES have it."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True)
class Layout:
    """Where in an entry of INFO `key` each field stands: one place for what has one name, several for what may have
    (`loose`); `frequencies` are the places of population frequencies, `names` all fields."""

    key: str
    names: tuple[str, ...]
    places: dict[str, int]
    loose: dict[str, tuple[int, ...]]
    frequencies: tuple[int, ...]


def annotation_layout(header: Header) -> Layout | None:
    """The first of CSQ, vep, ANN and BCSQ that the header declares with a format; None without one."""
    for key in _KEYS:
        if key in header.info and (names := _format(header.info[key].description)):
            places = {role: names.index(name) for role, known in _NAMES.items() for name in known if name in names}
            if "consequence" in places:
                highest = tuple(i for i, name in enumerate(names) if name == _MAX_AF)
                others = tuple(i for i, name in enumerate(names) if _FREQUENCY.match(name))
                loose = {role: tuple(i for i, name in enumerate(names) if re.fullmatch(pattern, bare(name)))
                         for role, pattern in LOOSE_NAMES.items()}
                return Layout(key, names, places, loose, highest or others)
    return None


def score_layouts(header: Header) -> list[Layout]:
    """The other INFO keys whose format names an allele and a score, as SpliceAI's plugin-free output does
    (https://github.com/Illumina/SpliceAI): `SpliceAI=A|TUBB8|0.01|...,A|OTHER|...`. A field's name counts with its key
    before it: `DS_AG` of SpliceAI."""
    found = []
    for key, declared in header.info.items():
        names = () if key in _KEYS else _format(declared.description)
        at = [i for i, name in enumerate(names) if name.upper() == "ALLELE"]
        loose = {role: tuple(i for i, name in enumerate(names)
                             if re.fullmatch(pattern, bare(name)) or re.fullmatch(pattern, bare(key + name)))
                 for role, pattern in LOOSE_NAMES.items()}
        if at and any(loose.values()):
            found.append(Layout(key, names, {"allele": at[0]}, loose, ()))
    return found


def _format(description: str) -> tuple[str, ...]:
    """The field names in `... Format: A|B|C` (VEP), `...: 'A | B | C'` (SnpEff), or bcftools'
    `Format: '[*]A|B|C[|D|E]' or ...`."""
    found = re.search(r"'([^']*\|[^']*)'", description) or re.search(r"Format: *([^ ]+\|[^\"]*)", description)
    return tuple(name.strip(" []*'\"") for name in found[1].split("|")) if found else ()


class Entries:
    """The entries (one transcript each, usually) of all records of a block; fields are cut out when asked for."""

    def __init__(self, layout: Layout, held: Held) -> None:
        self.layout = layout
        self._counts, self._entries = held.texts.split(",")
        self.first, self.count = np.zeros(held.owners, np.int64), np.zeros(held.owners, np.int64)
        self.first[held.at] = np.cumsum(self._counts) - self._counts
        self.count[held.at] = self._counts
        self._bars, self._last = self._grid(len(layout.names) - 1)
        self._flat = self._bars.ravel()

    def __len__(self) -> int:
        return len(self._entries)

    def _grid(self, wide: int) -> tuple[Offsets, Ints]:
        """(where the first `wide` bars of each entry are; where its last field ends). A bar that is not there is at the
        entry's end."""
        starts, ends, bars = self._entries.starts, self._entries.ends, self._entries.text.positions("|")
        if len(bars) == len(starts) * wide:
            grid = bars.reshape(len(starts), wide)
            if (grid[:, 0] >= starts).all() and (grid[:, -1] < ends).all():
                return grid, ends
        low = np.searchsorted(bars, starts)
        inside = np.searchsorted(bars, ends) - low
        there = np.arange(wide + 1) < inside[:, None]
        ragged = np.broadcast_to(ends[:, None], there.shape).copy()
        ragged[there] = bars[(low[:, None] + np.arange(wide + 1))[there]]
        return ragged[:, :-1].astype(np.int32, order="C"), ragged[:, -1]

    def field(self, place: int, which: Ints | None = None) -> Spans:
        """Field `place` of the entries (of those in `which`, ascending); empty where an entry has no such field."""
        at = slice(None) if which is None else which
        start = self._entries.starts[at] if place == 0 else self._bars[at, place - 1] + 1
        end: Ints = self._last[at] if place == len(self.layout.names) - 1 else self._bars[at, place].astype(np.int64)
        return Spans(self._entries.text, np.minimum(start, end), end)

    def text(self, role: str, which: Ints | None = None) -> pa.Array | None:
        place = self.layout.places.get(role)
        return None if place is None else self.field(place, which).to_arrow()

    def filled(self, role: str) -> Bools:
        place = self.layout.places.get(role)
        if place is None:
            return np.zeros(len(self), np.bool_)
        return self.field(place).sizes > 0

    def is_pointer(self) -> Bools:
        """Entries of bcftools csq such as `@1234`, which point to another record and say nothing themselves."""
        if self.layout.key != "BCSQ":
            return np.zeros(len(self), np.bool_)
        pointers: Bools = self._entries.first_bytes() == ord("@")
        return pointers

    def speaking(self) -> Ints:
        """The number of entries of each record that are no pointers."""
        if self.layout.key != "BCSQ":
            return self.count
        pointers = np.concatenate(([0], np.cumsum(self.is_pointer())))
        counts: Ints = self.count - (pointers[self.first + self.count] - pointers[self.first])
        return counts

    def cut(self, place: int, entry: Ints) -> Spans:
        """Field `place` of the entries, which may come in any order and more than once; empty for entry -1."""
        if not len(self):
            nowhere = np.zeros(len(entry), np.int64)
            return Spans(self._entries.text, nowhere, nowhere)
        wide = len(self.layout.names) - 1
        start = self._entries.starts.take(entry) if place == 0 else self._flat.take(entry * wide + (place - 1)) + 1
        end: Ints = self._last.take(entry) if place == wide else self._flat.take(entry * wide + place).astype(np.int64)
        return Spans(self._entries.text, np.where(entry < 0, end, np.minimum(start, end)), end)


@dataclass(frozen=True)
class Chosen:
    """Row r shows the fields of entry `entry[r]`, none where that is -1. `numbers` are the places that were read as
    such (scores.py)."""

    entries: Entries
    entry: Ints
    numbers: dict[int, pa.Array] = field(default_factory=dict, repr=False)

    @property
    def layout(self) -> Layout:
        return self.entries.layout

    def fields(self, place: int) -> Spans:
        """By row."""
        return self.entries.cut(place, self.entry)

    def text_at(self, place: int) -> pa.Array:
        """By row, null where the field is empty."""
        fields = self.fields(place)
        return fields.to_arrow(fields.sizes > 0)

    def text(self, role: str) -> pa.Array:
        place = self.layout.places.get(role)
        return pa.nulls(len(self.entry), pa.string()) if place is None else self.text_at(place)
