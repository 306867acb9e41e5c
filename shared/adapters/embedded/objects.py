"""Buckets as folders: a job writes into them as it would through a mount, and readers see sizes and generations.

A file's generation is its modification time in nanoseconds, which `write` makes grow; conditional writes of
several processes queue on one lock file per bucket. What is being written has a name that no listing shows.
"""

from __future__ import annotations

import base64
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import google_crc32c

from shared.adapters.embedded.signed import signed_path
from shared.adapters.levels import level_of
from shared.domain import paths
from shared.domain.errors import Conflict, NotFound, Permanent, Unavailable
from shared.domain.files import FileSeen
from shared.ports import Level

HIDDEN = ".iflow-"
"""Names that begin so are ours (locks, files being written) and never listed."""

_CHUNK_BYTES = 1 << 20


class DirectoryObjects:
    """ports.Objects over `root/{bucket}/...`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def stat(self, bucket: str, path: str) -> FileSeen | None:
        file = self._file(bucket, path)
        return _seen(file, path) if file.is_file() else None

    def list(self, bucket: str, prefix: str) -> Iterator[FileSeen]:
        base = self._root / bucket
        folder = base
        if prefix:
            named = self._file(bucket, prefix.removesuffix("/"))
            folder = named if prefix.endswith("/") else named.parent
        found = sorted(p.relative_to(base).as_posix() for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
        for path in found:
            if path.startswith(prefix) and not path.rpartition("/")[2].startswith(HIDDEN):
                yield _seen(base / path, path)

    def level(self, bucket: str, prefix: str, *, after: str = "", limit: int = 200) -> Level:
        if prefix:
            self._file(bucket, prefix.removesuffix("/"))
        head, slash, start = prefix.rpartition("/")
        folder = self._root / bucket / head
        found = {
            head + slash + entry.name + ("/" if entry.is_dir() else ""): Path(entry.path)
            for entry in (os.scandir(folder) if folder.is_dir() else ())
            if entry.name.startswith(start) and not entry.name.startswith(HIDDEN) and not entry.is_symlink()
        }
        return level_of(found, lambda path: _seen(found[path], path), after, limit)

    def read(self, bucket: str, path: str, *, start: int = 0, length: int | None = None) -> bytes:
        try:
            with self._file(bucket, path).open("rb") as file:
                file.seek(start)
                return file.read(-1 if length is None else length)
        except (FileNotFoundError, IsADirectoryError):
            raise NotFound(f"{path} is not in bucket {bucket}") from None

    def write(self, bucket: str, path: str, data: bytes, *, if_generation: int | None = None) -> FileSeen:
        return self._put(bucket, path, lambda target: target.write_bytes(data), if_generation)

    def upload(self, bucket: str, path: str, source: Path, *, if_generation: int | None = None) -> FileSeen:
        return self._put(bucket, path, lambda target: shutil.copyfile(source, target), if_generation)

    def delete(self, bucket: str, path: str, generation: int) -> None:
        """(Who has the file open, or mapped, keeps it.)"""
        file = self._file(bucket, path)
        if not file.is_file():
            return
        with self._only_writer(bucket):
            if not file.is_file():
                return
            if file.stat().st_mtime_ns != generation:
                raise Conflict(path)
            file.unlink()

    @contextmanager
    def local(self, bucket: str, path: str) -> Iterator[Path]:
        file = self._file(bucket, path)
        if not file.is_file():
            raise NotFound(f"{path} is not in bucket {bucket}")
        yield file

    def url(self, bucket: str, path: str, *, expires_in_s: int) -> str:
        """Relative to the API, which serves it (services/miner/api/files.py)."""
        self._file(bucket, path)
        return signed_path(self._root, bucket, path, expires_in_s)

    def _file(self, bucket: str, path: str) -> Path:
        if problem := paths.problem_with_path(path):
            raise Permanent(problem)
        base = self._root / bucket
        if not (base / path).resolve().is_relative_to(base.resolve()):
            raise Permanent(f"{path} leads out of bucket {bucket} by a symbolic link")
        return base / path

    def _put(
        self, bucket: str, path: str, fill: Callable[[Path], object], if_generation: int | None
    ) -> FileSeen:
        file = self._file(bucket, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{HIDDEN}new-", dir=file.parent)
        os.close(handle)
        new = Path(name)
        try:
            fill(new)
            _flush(new)
            with self._only_writer(bucket):
                present = file.stat().st_mtime_ns if file.is_file() else 0
                if if_generation is not None and present != if_generation:
                    raise Conflict(path)
                if (stamp := new.stat().st_mtime_ns) <= present:
                    os.utime(new, ns=(stamp, present + 1))
                new.replace(file)
        finally:
            new.unlink(missing_ok=True)
        return _seen(file, path)

    @contextmanager
    def _only_writer(self, bucket: str) -> Iterator[None]:
        with (self._root / bucket / f"{HIDDEN}lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _flush(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


class _OnDisk(FileSeen):
    """Of a large file the checksum takes a while; it is reckoned when somebody asks for it, and then must be that of
    the file that was seen. Raises Unavailable."""

    def __init__(self, file: Path, path: str) -> None:
        stat = file.stat()
        known = {
            "path": path, "size": stat.st_size, "generation": stat.st_mtime_ns, "_file": file,
            "updated_at": datetime.fromtimestamp(stat.st_mtime_ns / 1e9, UTC),
        }
        self.__dict__.update(known)

    @property
    def crc32c(self) -> str:
        file: Path = self.__dict__["_file"]
        return _crc32c(file, self.generation, self.size)


def _seen(file: Path, path: str) -> FileSeen:
    return _OnDisk(file, path)


@lru_cache(maxsize=10_000)
def _crc32c(file: Path, generation: int, size: int) -> str:
    """Of the file as it was at that generation: `generation` and `size` only make the cache's key."""
    checksum = google_crc32c.Checksum()
    with file.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            checksum.update(chunk)
    stat = file.stat()
    if (stat.st_mtime_ns, stat.st_size) != (generation, size):
        raise Unavailable(f"{file.name} was changed while its checksum was reckoned")
    return base64.b64encode(checksum.digest()).decode()
