"""Addresses from which a browser reads a file by itself, by range: for igv.js, and for downloads that bypass us (C70).

Pages and the API give the same one, to the byte, for as long as half of its time is left.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import urljoin

from shared.domain.files import FileSeen
from shared.ports import Ports

GOOD_FOR_S = 3_600
MOST_KEPT = 10_000
INDEX_SUFFIXES = (".tbi", ".csi", ".bai", ".crai", ".fai", ".gzi")


@dataclass(frozen=True)
class Link:
    """`expires_at` in Unix seconds."""

    url: str
    expires_at: int


class Links:
    """Those that were given, of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, int], Link] = OrderedDict()

    def to(self, ports: Ports, bucket: str, file: FileSeen, base: str) -> Link:
        """`base` is this service's own address, for files that it serves itself. Raises Unavailable."""
        key, now = (bucket, file.path, file.generation), int(time.time())
        with self._lock:
            found = self._kept.get(key)
        if found is None or found.expires_at - now < GOOD_FOR_S / 2:
            found = Link(ports.objects.url(bucket, file.path, expires_in_s=GOOD_FOR_S), now + GOOD_FOR_S)
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
        return Link(urljoin(base, found.url), found.expires_at)


def index_of(ports: Ports, bucket: str, path: str) -> FileSeen | None:
    """The file beside it that is its index."""
    return next((found for suffix in INDEX_SUFFIXES if (found := ports.objects.stat(bucket, path + suffix))), None)
