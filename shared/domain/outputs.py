"""What a run left in its folder, told apart by the globs of its pipeline, and what it should have left but did not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from shared.domain import pipeline as definition
from shared.domain.analysis import Output
from shared.domain.files import FileSeen, file_stem
from shared.domain.pipeline import OutputKind


@dataclass(frozen=True)
class Collected:
    """What the tracker read from the bucket once Batch said that a job ended.

    `missing` has one sentence for each required output that is absent or empty. `path` is where the whole list of
    outputs lies, when `outputs` is only its head of `total`.
    """

    outputs: tuple[Output, ...] = ()
    total: int = 0
    path: str | None = None
    missing: tuple[str, ...] = ()
    metrics: Mapping[str, Any] | None = None
    metrics_note: str | None = None
    last_log_line: str | None = None


NOTHING_COLLECTED = Collected()


def classify(
    declared: Sequence[definition.Output], samples: Sequence[str], folder: str, files: Iterable[FileSeen]
) -> tuple[list[Output], list[str]]:
    """(outputs in order of path, sentences about what is missing). A file belongs to the first entry it matches."""
    seen = {file.path: file for file in files}
    outputs = {path: _output(declared, samples, folder, file) for path, file in seen.items()}
    missing = [sentence for entry in declared for sentence in _missing(entry, samples, folder, seen)]
    for entry in declared:
        if entry.index is None:
            continue
        for path in _matching(entry, samples, folder, seen):
            index = next((path + s for s in entry.index.suffixes if path + s in seen), None)
            if index is not None:
                outputs[index] = outputs[index].model_copy(
                    update={"kind": OutputKind.INDEX, "sample": outputs[path].sample}
                )
            elif entry.index.required:
                missing.append(f"{path} has no index beside it ({' or '.join(entry.index.suffixes)})")
    return [outputs[path] for path in sorted(outputs)], missing


def _output(declared: Sequence[definition.Output], samples: Sequence[str], folder: str, file: FileSeen) -> Output:
    inside = file.path.removeprefix(folder)
    for entry in declared:
        for sample, pattern in _patterns(entry, tuple(samples)):
            if pattern.fullmatch(inside):
                return _as(file, entry.kind, sample)
    return _as(file, OutputKind.LOG if inside.startswith("logs/") else OutputKind.OTHER, None)


def _as(file: FileSeen, kind: OutputKind, sample: str | None) -> Output:
    return Output(
        path=file.path, kind=kind, sample=sample, size=file.size, crc32c=file.crc32c, generation=file.generation
    )


def _missing(
    entry: definition.Output, samples: Sequence[str], folder: str, seen: Mapping[str, FileSeen]
) -> Iterable[str]:
    if not entry.required:
        return
    for sample, pattern in _patterns(entry, tuple(samples)):
        found = [file for path, file in seen.items() if pattern.fullmatch(path.removeprefix(folder))]
        wanted = folder + (entry.glob.replace("{sample}", file_stem(sample)) if sample else entry.glob)
        if not found:
            yield f"{wanted} ({entry.kind}) was not written"
        for file in found:
            if file.size == 0:
                yield f"{file.path} ({entry.kind}) is empty (0 bytes)"


def _matching(
    entry: definition.Output, samples: Sequence[str], folder: str, seen: Mapping[str, FileSeen]
) -> list[str]:
    patterns = [pattern for _, pattern in _patterns(entry, tuple(samples))]
    return [path for path in seen if any(p.fullmatch(path.removeprefix(folder)) for p in patterns)]


@lru_cache(maxsize=512)
def _patterns(
    entry: definition.Output, samples: tuple[str, ...]
) -> tuple[tuple[str | None, re.Pattern[str]], ...]:
    """One pattern per sample where the glob holds `{sample}`, else one."""
    if "{sample}" not in entry.glob:
        return ((entry.sample, _regex(entry.glob)),)
    return tuple((name, _regex(entry.glob.replace("{sample}", file_stem(name)))) for name in samples)


def _regex(glob: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*|\?)", glob)
    spelled = {"**/": r"(?:[^/]+/)*", "*": r"[^/]*", "?": r"[^/]"}
    return re.compile("".join(spelled.get(part) or re.escape(part) for part in parts))
