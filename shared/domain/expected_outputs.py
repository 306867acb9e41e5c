"""The files of a finished run against what its pipeline declared: what each file is, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from shared.domain.pipeline import Output, OutputKind, Pipeline
from shared.domain.reasons import Reason

METRICS = "metrics.json"
"""Read for the document's metrics, and an output like any other."""


@dataclass(frozen=True, slots=True)
class OutputFile:
    """`path` is relative to analyses/{slug}/; `index_of` is the path of the file that this one indexes."""

    path: str
    kind: OutputKind
    sample: str | None = None
    index_of: str | None = None


@dataclass(frozen=True, slots=True)
class Classified:
    """`files` in order of path; `missing` names each required output that is absent or empty."""

    files: tuple[OutputFile, ...]
    missing: tuple[Reason, ...]


def file_stem(sample: str) -> str:
    """What `{sample}` stands for in a file's name: percent-encoded, so that no two samples share a file."""
    return quote(sample, safe="")


def classify(pipeline: Pipeline, sizes: Mapping[str, int], samples: Collection[str]) -> Classified:
    """`sizes`: path relative to analyses/{slug}/ -> bytes. `samples`: names; empty if the request named none.

    Names with a part that begins with a dot are half-written files of an attempt that died: not outputs.
    """
    kept = {path: size for path, size in sizes.items() if not re.search(r"(^|/)\.", path)}
    files: dict[str, OutputFile] = {}
    missing: list[Reason] = []
    for number, output in enumerate(pipeline.outputs):
        matched = [f for path in sorted(kept) if (f := _match(output, path, samples)) and path not in files]
        indexes = [index for file in matched if (index := _index_of(output, file, kept))]
        files |= {file.path: file for file in matched + indexes}
        faults = [*_missing_files(output, matched, kept, samples), *_missing_indexes(output, matched, indexes)]
        missing += (Reason(field=f"outputs[{number}]", message=fault) for fault in faults)
    rest = {path: OutputFile(path, OutputKind.OTHER) for path in kept if path not in files}
    return Classified(tuple(file for _, file in sorted((files | rest).items())), tuple(missing))


def _match(output: Output, path: str, samples: Collection[str]) -> OutputFile | None:
    found = re.fullmatch(_pattern(output.glob), path, re.DOTALL)
    if found is None:
        return None
    sample = unquote(found["sample"]) if "{sample}" in output.glob else output.sample
    if "{sample}" in output.glob and samples and sample not in samples:
        return None
    return OutputFile(path, output.kind, sample)


def _pattern(glob: str) -> str:
    """A glob as a regular expression: `*` and `?` do not cross a slash, `**/` is any number of folders."""
    tokens = {"**/": r"(?:[^/]+/)*", "*": r"[^/]*", "?": r"[^/]", "{sample}": r"(?P<sample>[^/]+)"}
    parts = re.split(r"(\*\*/|\*|\?|\{sample\})", glob)
    return "".join(tokens.get(part, re.escape(part)) for part in parts)


def _missing_files(
    output: Output, matched: list[OutputFile], sizes: Mapping[str, int], samples: Collection[str]
) -> Iterator[str]:
    """A sentence for each file that had to be there and is not, or is empty."""
    if not output.required:
        return
    yield from (f"{file.path} is empty (0 bytes)" for file in matched if not sizes[file.path])
    have = {file.sample for file in matched}
    wanted = [name for name in samples if name not in have] if "{sample}" in output.glob else []
    for name in wanted:
        yield f"{output.glob.replace('{sample}', file_stem(name))} is missing (sample {name})"
    if not matched and not wanted:
        yield f"{output.glob} is missing"


def _missing_indexes(output: Output, matched: list[OutputFile], indexes: list[OutputFile]) -> Iterator[str]:
    if not (output.index and output.index.required):
        return
    indexed = {index.index_of for index in indexes}
    for file in matched:
        if file.path not in indexed:
            either = " or ".join(file.path + suffix for suffix in output.index.suffixes)
            yield f"{either} is missing or empty"


def _index_of(output: Output, file: OutputFile, sizes: Mapping[str, int]) -> OutputFile | None:
    for suffix in output.index.suffixes if output.index else ():
        if sizes.get(path := file.path + suffix):
            return OutputFile(path, OutputKind.INDEX, file.sample, index_of=file.path)
    return None
