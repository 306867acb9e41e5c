"""The laboratory's counts in the bucket of their project: kept up with every ingest, and read for a cache (C74).

Nothing of it is shared between projects: index, key files and runs lie in each one's own bucket.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from shared.domain import seen as domain
from shared.domain.analysis import Analysis, IngestedFile
from shared.domain.errors import Conflict, NotFound
from shared.domain.ingested import columns
from shared.domain.members import Plan
from shared.domain.seen import IndexRun, SeenIndex
from shared.ports import Objects, Ports
from shared.scratch import scratch
from shared.steps.ingested import every_file
from shared.steps.store import ATTEMPTS, load
from shared.variants import seen as files


@dataclass(frozen=True)
class KeyFiles:
    """How key files are made and added up: the heavy part of the work."""

    write_keys: Callable[[Path, int, Path], None] = files.write_keys
    unite: Callable[[Sequence[Path], Path], None] = files.unite
    merge: Callable[[Sequence[files.Run], Path], None] = files.merge
    counts: Callable[[Sequence[Path], Sequence[files.Run], Path], None] = files.counts


PARQUET = KeyFiles()


def write_key_files(
    ports: Ports, bucket: str, ingested: Sequence[IngestedFile], keep: Callable[[str], None], how: KeyFiles = PARQUET
) -> None:
    """Of every column of these tables, where their assembly is known. `keep` is told how far it is."""
    for file in _counted(ingested):
        for column, _ in enumerate(file.samples):
            path = domain.keys_path(str(file.table), column)
            if ports.objects.stat(bucket, path) is None:
                keep(f"{file.path}: what sample {column + 1} of {len(file.samples)} carries.")
                with ports.objects.local(bucket, str(file.table)) as table:
                    _put(ports.objects, bucket, path, partial(how.write_keys, table, column))


def note(ports: Ports, analysis_path: str, how: KeyFiles = PARQUET) -> None:
    """Makes the project's indexes agree with the analysis as it is now: after a re-ingest, too. Twice is as once."""
    analysis = load(ports.documents, analysis_path).analysis
    here = [seen.path for seen in ports.objects.list(analysis.bucket, domain.FOLDER)
            if seen.path.endswith("/index.json")]
    for path in sorted({*here, *(domain.index_path(name) for name in _by_assembly(ports, analysis))}):
        _note_in(ports, analysis.bucket, path, analysis_path, how)


def _note_in(ports: Ports, bucket: str, path: str, analysis_path: str, how: KeyFiles) -> None:
    assembly = path.split("/")[-2]
    for _ in range(ATTEMPTS):
        index, generation = _read(ports.objects, bucket, path)
        analysis = load(ports.documents, analysis_path).analysis  # after the index: who knew more has changed that
        samples = _by_assembly(ports, analysis).get(assembly, {})
        after = domain.noted(index, analysis.id, analysis.created_at, samples)
        if after == index:
            return
        for entry in after.analyses.values():
            if entry.counted:
                _unite(ports, bucket, domain.files_of(entry, entry.counted.samples), how)
        try:
            _write(ports.objects, bucket, path, after, generation)
        except Conflict:
            continue
        return
    raise Conflict(path)


def tidy(ports: Ports, bucket: str, assembly: str, keep: Callable[[str], None], how: KeyFiles = PARQUET) -> None:
    """Merges the levels that are full. Whoever is second leaves it to the first."""
    path = domain.index_path(assembly)
    while runs := domain.to_merge(_read(ports.objects, bucket, path)[0]):
        keep(f"The counts of {assembly}: {len(runs)} runs become one.")
        merged = domain.merged_path(runs)
        if ports.objects.stat(bucket, merged) is None:
            with _Fetched(ports.objects, bucket) as fetched:
                _put(ports.objects, bucket, merged, partial(how.merge, fetched.runs(runs)))
        index, generation = _read(ports.objects, bucket, path)
        after = domain.merged(index, runs)
        if after is None:
            return
        try:
            _write(ports.objects, bucket, path, after, generation)
        except Conflict:
            return


def version(ports: Ports, bucket: str, assembly: str | None) -> str | None:
    """Of the counts as they are now; None where none are kept, since the assembly is not known."""
    return None if assembly is None else _read(ports.objects, bucket, domain.index_path(assembly))[0].version


@dataclass(frozen=True)
class Others:
    """`version` of the counts, and what writes them to a file with the columns `key` and `n`."""

    version: str
    write: Callable[[Sequence[Path], Path], None]


def others(ports: Ports, bucket: str, wanted: Plan, how: KeyFiles = PARQUET) -> Others | None:
    """In how many other analyses of the project each allele of a cache was seen; None where that is not known."""
    if wanted.assembly is None:
        return None
    index, _ = _read(ports.objects, bucket, domain.index_path(wanted.assembly))
    own = frozenset(member.analysis for member in wanted.members)
    names = frozenset(member.name for member in wanted.members)
    runs, unions = domain.corrections(index, own, names)

    def write(tables: Sequence[Path], out: Path) -> None:
        for united in unions:
            _unite(ports, bucket, united, how)
        with _Fetched(ports.objects, bucket) as fetched:
            how.counts(tables, fetched.runs((*index.runs, *runs)), out)

    return Others(index.version, write)


class _Fetched(ExitStack):
    """Objects as local files, for as long as it lasts."""

    def __init__(self, objects: Objects, bucket: str) -> None:
        super().__init__()
        self._objects, self._bucket = objects, bucket
        self._there: dict[str, Path] = {}

    def file(self, path: str) -> Path:
        if path not in self._there:
            self._there[path] = self.enter_context(self._objects.local(self._bucket, path))
        return self._there[path]

    def runs(self, runs: Sequence[IndexRun]) -> list[files.Run]:
        return [files.Run(self.file(run.file), run.weight) for run in runs]


def _unite(ports: Ports, bucket: str, parts: tuple[str, ...], how: KeyFiles) -> None:
    path = domain.united_path(parts)
    if len(parts) == 1 or ports.objects.stat(bucket, path) is not None:
        return
    with _Fetched(ports.objects, bucket) as fetched:
        _put(ports.objects, bucket, path, partial(how.unite, [fetched.file(part) for part in parts]))


def _put(objects: Objects, bucket: str, path: str, make: Callable[[Path], None]) -> None:
    """An object whose name says what is in it: it is there already, or this is it."""
    with scratch() as folder:
        out = folder / "made.parquet"
        make(out)
        with suppress(Conflict):
            objects.upload(bucket, path, out, if_generation=0)


def _counted(ingested: Sequence[IngestedFile]) -> list[IngestedFile]:
    if len(columns(ingested)) > domain.MOST_SAMPLES:
        return []
    return [file for file in ingested if file.table is not None and file.assembly is not None]


def _by_assembly(ports: Ports, analysis: Analysis) -> dict[str, dict[str, tuple[str, ...]]]:
    """Assembly -> sample -> its key files."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for file in _counted(every_file(ports, analysis)):
        samples = found.setdefault(str(file.assembly), {})
        for column, name in enumerate(file.samples):
            keys = domain.keys_path(str(file.table), column)
            samples[name] = tuple(sorted({*samples.get(name, ()), keys}))
    return found


def _read(objects: Objects, bucket: str, path: str) -> tuple[SeenIndex, int]:
    """The index and its generation: 0 where there is none yet. (What changes between the two reads is a conflict.)"""
    seen = objects.stat(bucket, path)
    if seen is None:
        return SeenIndex(), 0
    try:
        return SeenIndex.model_validate_json(objects.read(bucket, path)), seen.generation
    except NotFound:
        return SeenIndex(), 0


def _write(objects: Objects, bucket: str, path: str, index: SeenIndex, generation: int) -> None:
    data = json.dumps(index.model_dump(mode="json"), separators=(",", ":")).encode()
    objects.write(bucket, path, data, if_generation=generation)
