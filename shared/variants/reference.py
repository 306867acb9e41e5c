"""A reference sequence: a FASTA file, plain or in BGZF, by its indexes .fai (https://www.htslib.org/doc/faidx.html) and
.gzi (https://www.htslib.org/doc/bgzip.html)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.domain.errors import Permanent
from shared.variants.contigs import canonical

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_PIECE_BYTES = 1 << 16
_PIECES_HELD = 256
"""Of 64 KiB each: what is near stays at hand, and memory is bounded."""

_UPPER = np.arange(256, dtype=np.uint8)
_UPPER[list(b"abcdefghijklmnopqrstuvwxyz")] -= 32


class ReferenceRefused(Permanent):
    """The file cannot be used as a reference."""


@dataclass(frozen=True)
class Sequence:
    """A line of the .fai: bases in all, offset of the first, bases and bytes of a line of the file."""

    name: str
    length: int
    offset: int
    line_bases: int
    line_bytes: int


class Reference:
    """May be read by several threads at a time."""

    def __init__(self, fasta: Path, fai: Path | None = None, gzi: Path | None = None) -> None:
        """The indexes lie beside the file where nothing else is said; a file without .gzi is taken as plain text.

        Raises ReferenceRefused for an index that is absent or is not one.
        """
        fai = fai or fasta.with_name(f"{fasta.name}.fai")
        gzi = gzi or fasta.with_name(f"{fasta.name}.gzi")
        self._sequences = _fai(fai)
        self._text = _Blocked(fasta, gzi) if gzi.is_file() else _Plain(fasta)

    def close(self) -> None:
        self._text.close()

    def sequence(self, contig: str) -> Sequence | None:
        """Of that name, else of the one whose canonical name is the same (`chr1`, `1`, `NC_000001.11`)."""
        if contig in self._sequences:
            return self._sequences[contig]
        found = [each for each in self._sequences.values() if canonical(each.name) == canonical(contig)]
        return found[0] if len(found) == 1 else None

    def bases(self, sequence: Sequence, positions: Ints) -> Bytes:
        """Upper-case letters at the positions, 1-based and within the sequence."""
        at = positions - 1
        lines, rest = at // sequence.line_bases, at % sequence.line_bases
        return _UPPER[self._text.take(sequence.offset + lines * sequence.line_bytes + rest)]

    def text(self, sequence: Sequence, start: int, stop: int) -> Bytes:
        """The letters from `start` to before `stop`, cut to the sequence."""
        return self.bases(sequence, np.arange(max(start, 1), min(stop, sequence.length + 1), dtype=np.int64))


def _fai(path: Path) -> Mapping[str, Sequence]:
    try:
        lines = [line.split("\t") for line in path.read_text().splitlines()]
        found = {name: Sequence(name, *(int(number) for number in numbers[:4])) for name, *numbers in lines}
    except FileNotFoundError:
        raise ReferenceRefused(f"the reference has no index {path.name}; make it with samtools faidx") from None
    except (ValueError, TypeError) as error:
        raise ReferenceRefused(f"{path.name} is no .fai index: {error}") from error
    if any(each.length and not 0 < each.line_bases < each.line_bytes for each in found.values()):
        raise ReferenceRefused(f"{path.name} is no .fai index: a line has no bases, or no end")
    return found


class _Plain:
    """The bytes of a file by offset, read in pieces."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.piece = lru_cache(_PIECES_HELD)(self._read)

    def close(self) -> None:
        self._file.close()

    def take(self, offsets: Ints) -> Bytes:
        found = np.empty(len(offsets), np.uint8)
        pieces = self.piece_of(offsets)
        order = np.argsort(pieces, kind="stable")
        numbers, first = np.unique(pieces[order], return_index=True)
        bounds = np.append(first, len(order))
        for i, number in enumerate(numbers.tolist()):
            start, data = self.piece(number)
            at = order[bounds[i] : bounds[i + 1]]
            inside = offsets[at] - start
            if inside.max() >= len(data):
                raise ReferenceRefused("the reference is shorter than its index says; make the index again")
            found[at] = data[inside]
        return found

    def piece_of(self, offsets: Ints) -> Ints:
        """Which piece each offset is in."""
        return offsets // _PIECE_BYTES

    def _read(self, number: int) -> tuple[int, Bytes]:
        """(offset of the piece's first byte, the piece)."""
        start = number * _PIECE_BYTES
        return start, np.frombuffer(os.pread(self._file.fileno(), _PIECE_BYTES, start), np.uint8)


class _Blocked(_Plain):
    """The same of a BGZF file's text; a piece is a block."""

    def __init__(self, path: Path, gzi: Path) -> None:
        super().__init__(path)
        said = np.fromfile(gzi, "<u8")
        if not len(said) or len(said) != 1 + 2 * said[0]:
            raise ReferenceRefused(f"{gzi.name} is no .gzi index; make it with samtools faidx")
        pairs = np.concatenate(([[0, 0]], said[1:].reshape(-1, 2).astype(np.int64)))
        self._packed, self._starts = pairs[:, 0], pairs[:, 1]

    def piece_of(self, offsets: Ints) -> Ints:
        found: Ints = np.searchsorted(self._starts, offsets, side="right") - 1
        return found

    def _read(self, number: int) -> tuple[int, Bytes]:
        # A block, its head and its end are at most 64 KiB (SAM specification, section 4.1).
        packed = os.pread(self._file.fileno(), 1 << 16, int(self._packed[number]))
        try:
            text = zlib.decompressobj(wbits=31).decompress(packed)
        except zlib.error as error:
            raise ReferenceRefused(f"the reference is damaged at byte {self._packed[number]}: {error}") from error
        return int(self._starts[number]), np.frombuffer(text, np.uint8)
