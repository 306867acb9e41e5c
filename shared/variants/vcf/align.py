"""Where the reference is at hand: is REF what it has there, and how far to the left can an indel stand.

Tan, Abecasis and Kang 2015, "Unified representation of genetic variants": a trimmed indel can move only if both of its
alleles end alike, so that of a file that is left-aligned already nothing is moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.reference import Bytes, Reference, Sequence
from shared.variants.report import Notes
from shared.variants.vcf.fields import any_true
from shared.variants.vcf.lines import Block, shown
from shared.variants.vcf.site import Sites
from shared.variants.vcf.spans import Bools, Ints, ranges

_BASES = np.zeros(256, np.bool_)
_BASES[list(b"ACGT")] = True
_FIRST_WINDOW = 64


@dataclass(frozen=True)
class Located:
    """The contigs of a block, by code, as the reference has them; `agrees` is by record: REF is what stands there."""

    reference: Reference
    sequences: tuple[Sequence | None, ...]
    agrees: Bools


def locate(reference: Reference, block: Block, sites: Sites, notes: Notes) -> Located:
    """Notes contigs that the reference does not have, and records whose REF is not the reference's. Letters other than
    A, C, G and T, on either side, agree with all."""
    sequences = tuple(reference.sequence(name) for name in sites.contigs)
    agrees = np.ones(len(block), np.bool_)
    sizes = pc.binary_length(sites.ref).to_numpy().astype(np.int64)
    text = pc.ascii_upper(sites.ref)
    letters = np.frombuffer(text.buffers()[2] or b"", np.uint8)
    starts = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text)].astype(np.int64)
    for code, sequence in enumerate(sequences):
        mine = np.flatnonzero((sites.contig_codes == code) & (sites.pos > 0))  # POS 0 is before the first base
        if not len(mine):
            continue
        if sequence is None:
            what = f"contig {shown(sites.contigs[code])} is not in the reference; its alleles are not left-aligned"
            notes.add("reference_contig", what, block.line(int(mine[0])), len(mine))
            agrees[mine] = False
            continue
        inside = sites.pos[mine] + sizes[mine] - 1 <= sequence.length
        agrees[mine[~inside]] = False
        mine = mine[inside]
        there = reference.bases(sequence, ranges(sites.pos[mine], sizes[mine]))
        said = letters[ranges(starts[mine], sizes[mine])]
        wrong = (there != said) & _BASES[there] & _BASES[said]
        agrees[np.repeat(mine, sizes[mine])[wrong]] = False
    known = np.array([sequence is not None for sequence in sequences])[sites.contig_codes]
    others = np.flatnonzero(~agrees & known)
    if len(others):
        notes.add("reference", "REF is not what the reference has there; its alleles are not left-aligned",
                  block.line(int(others[0])), len(others))
    return Located(reference, sequences, agrees)


def movable(ref: pa.Array, alt: pa.Array, ref_size: Ints, alt_size: Ints) -> Bools:
    """Of trimmed sequence alleles those that may stand further to the left: one base against several that end in it."""
    found: Bools = (np.minimum(ref_size, alt_size) == 1) & (ref_size != alt_size)
    at = np.flatnonzero(found)
    if len(at):
        ends = [pc.utf8_slice_codeunits(text.take(pa.array(at)), -1) for text in (ref, alt)]
        found[at] = any_true(pc.equal(*ends))
    return found


def leftmost(reference: Reference, sequence: Sequence, pos: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Of a movable allele (position, ref, alt) as far to the left as it stands for the same change."""
    longer, shorter = (ref, alt) if len(ref) > len(alt) else (alt, ref)
    anchored = longer[0] == shorter
    changed = np.frombuffer((longer[1:] if anchored else longer[:-1]).encode(), np.uint8)
    start = pos + 1 if anchored else pos  # the first base that is deleted, or before which is inserted
    moved, text = _room(reference, sequence, start, changed)
    start, text = start - moved, text[len(text) - len(changed) - moved :][: len(changed)]
    if start > 1:
        pos, base = start - 1, _letters(reference.text(sequence, start - 1, start))
        short, long = base, base + _letters(text)
    else:  # nothing stands before it: the base behind it holds it
        behind = 1 + len(text) if len(ref) > len(alt) else 1
        pos, base = 1, _letters(reference.text(sequence, behind, behind + 1))
        short, long = base, _letters(text) + base
    if not base:
        return pos, ref, alt
    return (pos, long, short) if len(ref) > len(alt) else (pos, short, long)


def _room(reference: Reference, sequence: Sequence, start: int, changed: Bytes) -> tuple[int, Bytes]:
    """(bases by which the change can move, some reference before it and the change): while the base before it is the
    change's last, that one goes to its front."""
    window = _FIRST_WINDOW
    while True:
        before = reference.text(sequence, start - window, start)
        text = np.concatenate((before, changed))
        alike = (text[: len(before)] == text[len(changed) :]) & _BASES[before]
        moved = len(before) if alike.all() else int(np.argmin(alike[::-1]))
        if moved < len(before) or len(before) < window:
            return moved, text
        window *= 4


def _letters(text: Bytes) -> str:
    return text.tobytes().decode()
