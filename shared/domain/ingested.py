"""The lists of an ingest that are as long as its VCFs are many: a head in the document, the whole in the bucket."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.domain.analysis import HEAD_OF_INGESTED_FILES, HEAD_OF_SAMPLES, LARGEST_INGESTED_BYTES, IngestedFile

T = TypeVar("T")

Report = tuple[Mapping[str, Any], ...]
"""One entry a file."""


@dataclass(frozen=True)
class FilesFile:
    """What is written into the bucket of lists too long for the document: `{"files", "report"}`, whole."""

    path: str
    content: bytes


def files_file(analysis_id: str, files: tuple[IngestedFile, ...], report: Report) -> FilesFile | None:
    """None when the document holds them. Named by its content, so that what a document points at never changes."""
    if len(head_of_files(files)) == len(files) and len(head_of_report(report)) == len(report):
        return None
    content = _json({"files": [file.model_dump(mode="json") for file in files], "report": report})
    digest = hashlib.sha256(content).hexdigest()[:32]
    return FilesFile(f"cache/ingests/{analysis_id}-{digest}.json", content)


def head_of_files(files: tuple[IngestedFile, ...]) -> tuple[IngestedFile, ...]:
    return files[:len(_head([file.model_dump(mode="json") for file in files], HEAD_OF_INGESTED_FILES))]


def head_of_report(report: Report) -> Report:
    return _head(report, HEAD_OF_INGESTED_FILES)


def head_of_samples(names: Sequence[str]) -> tuple[str, ...]:
    return _head(names, HEAD_OF_SAMPLES)


def columns(files: Sequence[IngestedFile]) -> tuple[str, ...]:
    """Of all these files, each once."""
    return tuple(dict.fromkeys(name for file in files for name in file.samples))


def _head(items: Sequence[T], most: int) -> tuple[T, ...]:
    """The first of them, as many as fit in number and in bytes of JSON."""
    left = LARGEST_INGESTED_BYTES
    kept: list[T] = []
    for item in items[:most]:
        left -= len(_json(item))
        if left < 0:
            break
        kept.append(item)
    return tuple(kept)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
