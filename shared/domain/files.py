"""A file in a bucket as it was seen, and how a sample's name becomes part of a file's name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote


@dataclass(frozen=True)
class FileSeen:
    """`crc32c` is base64 of the big-endian checksum, as Cloud Storage gives it; `size` in bytes."""

    path: str
    size: int
    crc32c: str
    generation: int
    updated_at: datetime


def file_stem(sample: str) -> str:
    """The sample's name, percent-encoded so that it is one part of a path and no two names become one."""
    return quote(sample, safe="")
