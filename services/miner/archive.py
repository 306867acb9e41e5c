"""An archive of files that has its bytes before it is made: a tar of what is stored, in order, nothing compressed.

All sizes are known from the start, so its own is, too, and any range of it can be sent without what stands before: a
transfer is resumed, and no more than a chunk is held. (ZIP has checksums of the contents between and behind them, for
which a resumed transfer would have to read everything again.) POSIX.1-2001 pax: any size, any name.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from services.miner.problems import Refusal
from services.miner.ranges import Span, chunks
from shared.domain.analysis import Analysis, Output
from shared.domain.reasons import Reason
from shared.ports import Ports

MOST_FILES = 20_000
"""In one archive; about 1 kB of memory each."""

MANIFEST = "manifest.json"
_END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class _Piece:
    """Bytes that are at hand, or those of a file in a bucket."""

    size: int
    content: bytes | None = None
    bucket: str = ""
    path: str = ""


class Archive:
    """`etag` is another one as soon as anything in it is."""

    def __init__(self, pieces: Sequence[_Piece], etag: str) -> None:
        self.etag = etag
        self._pieces = pieces
        self._starts = [0, *accumulate(piece.size for piece in pieces)]

    @property
    def size(self) -> int:
        return self._starts[-1]

    def read(self, ports: Ports, span: Span) -> Iterator[bytes]:
        """Raises OSError where a file is not what it was."""
        position, end = span.start, span.start + span.length
        number = bisect_right(self._starts, position) - 1
        while position < end:
            piece, inside = self._pieces[number], position - self._starts[number]
            length = min(piece.size - inside, end - position)
            if piece.content is not None:
                yield piece.content[inside:inside + length]
            elif length:
                yield from chunks(ports, piece.bucket, piece.path, Span(inside, length))
            position += length
            number += 1


def archive_of(ports: Ports, chosen: Sequence[tuple[Analysis, Sequence[Output]]]) -> Archive:
    """Files stand under `{slug}/`, behind a manifest with their checksums. Raises Refusal (409) that names each file
    that is gone or has been changed since the run, and 422 for too many."""
    if (files := sum(len(outputs) for _, outputs in chosen)) > MOST_FILES:
        raise Refusal(422, "too-many", f"{files:,} files are meant; an archive may have {MOST_FILES:,}.")
    _refuse_changed(ports, chosen)
    manifest = json.dumps({"analyses": [_listed(*each) for each in chosen]}, indent=1).encode()
    newest = max(_ended(analysis) for analysis, _ in chosen)
    pieces = [*_entry(MANIFEST, newest, _Piece(len(manifest), manifest))]
    for analysis, outputs in chosen:
        for output in outputs:
            name = f"{analysis.slug}/{output.path.removeprefix(analysis.folder)}"
            pieces += _entry(name, _ended(analysis), _Piece(output.size, None, analysis.bucket, output.path))
    return Archive([*pieces, _bytes(_END)], f'"{hashlib.sha256(manifest).hexdigest()[:32]}"')


def _entry(name: str, mtime: int, content: _Piece) -> Iterator[_Piece]:
    header = tarfile.TarInfo(name)
    header.size, header.mtime, header.mode = content.size, mtime, 0o644
    yield _bytes(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
    yield content
    yield _bytes(bytes(-content.size % tarfile.BLOCKSIZE))


def _bytes(content: bytes) -> _Piece:
    return _Piece(len(content), content)


def _listed(analysis: Analysis, outputs: Sequence[Output]) -> dict[str, object]:
    return {
        "id": analysis.id, "display_id": analysis.display_id, "folder": analysis.slug,
        "ended": _ended(analysis),
        "files": [
            {"path": output.path.removeprefix(analysis.folder), "size": output.size, "crc32c": output.crc32c,
             "generation": output.generation} for output in outputs
        ],
    }


def _ended(analysis: Analysis) -> int:
    return int(analysis.finished_at.timestamp()) if analysis.finished_at else 0


def _refuse_changed(ports: Ports, chosen: Sequence[tuple[Analysis, Sequence[Output]]]) -> None:
    reasons = []
    for analysis, outputs in chosen:
        seen = {file.path: file.generation for file in ports.objects.list(analysis.bucket, analysis.folder)}
        for output in outputs:
            if output.path not in seen:
                reasons.append(Reason(field=output.path, message="it is not in the bucket any more"))
            elif seen[output.path] != output.generation:
                reasons.append(Reason(field=output.path, message="it was changed after the run had ended"))
    if reasons:
        first = reasons[0]
        raise Refusal(
            409, "outputs-changed", f"{len(reasons)} of the files cannot be sent as they were: {first.field}: "
            f"{first.message}. Download the others one by one.", reasons=reasons[:100],
        )
