"""Buckets in this process: for the simulation and for tests. Generations count upwards and are never used twice."""

from __future__ import annotations

import base64
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import google_crc32c

from shared.adapters.levels import level_of
from shared.domain import paths
from shared.domain.errors import Conflict, NotFound, Permanent
from shared.domain.files import FileSeen
from shared.ports import Clock, Level


class MemoryObjects:
    """ports.Objects."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[tuple[str, str], tuple[bytes, FileSeen]] = {}
        self._generation = 0
        self._lock = threading.Lock()

    def stat(self, bucket: str, path: str) -> FileSeen | None:
        found = self._objects.get((bucket, _checked(path)))
        return None if found is None else found[1]

    def list(self, bucket: str, prefix: str) -> Iterator[FileSeen]:
        if prefix:
            _checked(prefix.removesuffix("/"))
        found = sorted(path for inside, path in list(self._objects) if inside == bucket and path.startswith(prefix))
        for path in found:
            if (seen := self.stat(bucket, path)) is not None:
                yield seen

    def level(self, bucket: str, prefix: str, *, after: str = "", limit: int = 200) -> Level:
        seen = {file.path: file for file in self.list(bucket, prefix)}
        found = {prefix + "".join(path.removeprefix(prefix).partition("/")[:2]) for path in seen}
        return level_of(found, seen.__getitem__, after, limit)

    def read(self, bucket: str, path: str, *, start: int = 0, length: int | None = None) -> bytes:
        found = self._objects.get((bucket, _checked(path)))
        if found is None:
            raise NotFound(f"{path} is not in bucket {bucket}")
        return found[0][start : None if length is None else start + length]

    def write(self, bucket: str, path: str, data: bytes, *, if_generation: int | None = None) -> FileSeen:
        _checked(path)
        with self._lock:
            present = self._objects.get((bucket, path))
            if if_generation is not None and if_generation != (present[1].generation if present else 0):
                raise Conflict(path)
            self._generation += 1
            checksum = base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
            seen = FileSeen(path, len(data), checksum, self._generation, self._clock())
            self._objects[bucket, path] = (bytes(data), seen)
        return seen

    def upload(self, bucket: str, path: str, source: Path, *, if_generation: int | None = None) -> FileSeen:
        return self.write(bucket, path, source.read_bytes(), if_generation=if_generation)

    def delete(self, bucket: str, path: str, generation: int) -> None:
        _checked(path)
        with self._lock:
            present = self._objects.get((bucket, path))
            if present is not None and present[1].generation != generation:
                raise Conflict(path)
            self._objects.pop((bucket, path), None)

    @contextmanager
    def local(self, bucket: str, path: str) -> Iterator[Path]:
        data = self.read(bucket, path)
        with tempfile.TemporaryDirectory(prefix="iflow-object-") as folder:
            file = Path(folder) / path.rpartition("/")[2]
            file.write_bytes(data)
            yield file

    def url(self, bucket: str, path: str, *, expires_in_s: int) -> str:
        return f"memory://{bucket}/{quote(_checked(path))}?expires_in_s={expires_in_s}"


def _checked(path: str) -> str:
    if problem := paths.problem_with_path(path):
        raise Permanent(problem)
    return path
