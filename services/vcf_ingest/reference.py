"""The reference that a pipeline's definition names, out of the project bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from shared.domain.analysis import Analysis
from shared.ports import Ports
from shared.variants.reference import Reference, ReferenceRefused


@dataclass(frozen=True)
class StoredReference:
    """`path` of the FASTA file in the bucket; `crc32c` and `size` in bytes say which content it has."""

    path: str
    crc32c: str
    size: int

    @property
    def digest(self) -> str:
        """Part of a table's name: 12 hex digits."""
        return hashlib.sha256(f"{self.crc32c} {self.size}".encode()).hexdigest()[:12]


def reference_of(ports: Ports, analysis: Analysis) -> StoredReference | None:
    """None where the definition that ran names none. Raises ReferenceRefused where the file is not there: without it
    the same variants would have other keys."""
    path = analysis.pipeline.definition.get("reference")
    if not path:
        return None
    seen = ports.objects.stat(analysis.bucket, path)
    if seen is None:
        raise ReferenceRefused(f"the pipeline's reference {path} is not in the project bucket; put it there, with its "
                               "index, and ingest again")
    return StoredReference(path, seen.crc32c, seen.size)


@contextmanager
def opened(ports: Ports, bucket: str, stored: StoredReference | None) -> Iterator[Reference | None]:
    """With its indexes beside it. Raises ReferenceRefused, NotFound."""
    if stored is None:
        yield None
        return
    indexes = [f"{stored.path}.fai", f"{stored.path}.gzi"]
    there = {index: ports.objects.stat(bucket, index) is not None for index in indexes}
    if not there[indexes[0]]:
        raise ReferenceRefused(f"the reference has no index {indexes[0]}; make it with samtools faidx")
    with ExitStack() as stack:
        fasta, fai, gzi = (stack.enter_context(ports.objects.local(bucket, path)) if there.get(path, True) else None
                           for path in (stored.path, *indexes))
        assert fasta is not None
        yield stack.enter_context(closing(Reference(fasta, fai, gzi)))
