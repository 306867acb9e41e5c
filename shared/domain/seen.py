"""In how many analyses an allele was seen: which of a project's analyses of one assembly count, and with what.

The rule: an allele was seen in an analysis when one of the samples that count there carries it, and **each sample, by
its name, counts in the newest ingested analysis that has it and in no other**. So a rerun takes the place of the run
before it, and a sample that is in ten analyses is counted once. Of an order's own samples, and of the analyses that it
draws on, nothing counts.

The index is one small object per project and assembly. Numbers are kept as *runs* (shared/variants/seen.py): what
comes adds a run with weight 1, what goes one with weight -1, and full levels are merged into the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from shared.domain.clock import Time, iso
from shared.domain.part import Part

FAN_OUT = 8
"""Runs of a level that are merged into one of the next. Each allele is so written once per level."""

MOST_SAMPLES = 200
"""Of one analysis: a call set of a whole population is not one of the laboratory's cases, and is not counted."""

FOLDER = "cache/seen/v1/"


class Counted(Part):
    """What an analysis adds to the numbers now: its `samples` that count, and the key file of what they carry."""

    samples: tuple[str, ...]
    file: str


class Entry(Part):
    """An ingested analysis: of each sample the key files (one for each of its tables), and what of that counts."""

    at: Time
    samples: Mapping[str, tuple[str, ...]]
    counted: Counted | None = None


class IndexRun(Part):
    """`weight` None: a merged file."""

    file: str
    weight: int | None
    level: int = 0


class SeenIndex(Part):
    """Object `cache/seen/v1/{assembly}/index.json`, written on condition of its generation."""

    analyses: Mapping[str, Entry] = Field(default_factory=dict)
    runs: tuple[IndexRun, ...] = ()

    @property
    def version(self) -> str:
        """Of the numbers, however they are stored."""
        parts = sorted(f"{name} {each.counted.file}" for name, each in self.analyses.items() if each.counted)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def index_path(assembly: str) -> str:
    return f"{FOLDER}{assembly}/index.json"


def keys_path(table: str, column: int) -> str:
    """The key file of one sample of a variant table, which is itself named by its content and its schema's version."""
    version, stem = table.removesuffix(".parquet").split("/")[-2:]
    return f"{FOLDER}keys/{version}-{stem}-{column}.parquet"


def united_path(files: tuple[str, ...]) -> str:
    """The key file of several: itself, where there is one."""
    if len(files) == 1:
        return files[0]
    return f"{FOLDER}keys/{hashlib.sha256(chr(10).join(files).encode()).hexdigest()}.parquet"


def merged_path(runs: tuple[IndexRun, ...]) -> str:
    parts = sorted(f"{run.file} {run.weight}" for run in runs)
    return f"{FOLDER}runs/{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()}.parquet"


def noted(index: SeenIndex, analysis: str, at: datetime, samples: Mapping[str, tuple[str, ...]]) -> SeenIndex:
    """The index with the analysis as it is now, in the place of what it was; without samples: without it.

    The same twice is the same as once. The files that `counted` names may have to be written before this is.
    """
    analyses = {name: entry for name, entry in index.analyses.items() if name != analysis}
    if samples:
        analyses[analysis] = Entry(at=at, samples={name: samples[name] for name in sorted(samples)})
    newest = _newest(analyses)
    after = {name: entry.model_copy(update={"counted": counted(entry, name, newest)})
             for name, entry in sorted(analyses.items())}
    return index.model_copy(update={"analyses": after, "runs": (*index.runs, *_difference(index.analyses, after))})


def _newest(analyses: Mapping[str, Entry]) -> dict[str, str]:
    """Sample -> the analysis in which it counts."""
    ordered = sorted(analyses.items(), key=lambda item: (iso(item[1].at), item[0]))
    return {sample: name for name, entry in ordered for sample in entry.samples}


def counted(entry: Entry, name: str, newest: Mapping[str, str]) -> Counted | None:
    return _of(entry, tuple(sample for sample in entry.samples if newest[sample] == name))


def _of(entry: Entry, samples: tuple[str, ...]) -> Counted | None:
    if not samples:
        return None
    return Counted(samples=samples, file=united_path(files_of(entry, samples)))


def files_of(entry: Entry, samples: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({file for sample in samples for file in entry.samples[sample]}))


def _difference(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[IndexRun]:
    runs = []
    for name in sorted({*before, *after}):
        old = before[name].counted if name in before else None
        new = after[name].counted if name in after else None
        if (old and old.file) != (new and new.file):
            runs += [IndexRun(file=old.file, weight=-1)] if old else []
            runs += [IndexRun(file=new.file, weight=1)] if new else []
    return runs


def corrections(
    index: SeenIndex, analyses: frozenset[str], samples: frozenset[str]
) -> tuple[tuple[IndexRun, ...], tuple[tuple[str, ...], ...]]:
    """What makes the numbers those of *others*, for an order of these samples that draws on these analyses: runs, and
    the key files that have to be united for some of them first."""
    runs: list[IndexRun] = []
    unions: list[tuple[str, ...]] = []
    for name, entry in index.analyses.items():
        own = entry.counted
        if own is None or not (name in analyses or samples & set(own.samples)):
            continue
        runs.append(IndexRun(file=own.file, weight=-1))
        others = () if name in analyses else tuple(each for each in own.samples if each not in samples)
        if left := _of(entry, others):
            runs.append(IndexRun(file=left.file, weight=1))
            unions.append(files_of(entry, others))
    return tuple(runs), tuple(unions)


def to_merge(index: SeenIndex) -> tuple[IndexRun, ...]:
    """The runs of the lowest level that is full; none when none is."""
    for level in sorted({run.level for run in index.runs}):
        full = tuple(run for run in index.runs if run.level == level)
        if len(full) >= FAN_OUT:
            return full
    return ()


def merged(index: SeenIndex, runs: tuple[IndexRun, ...]) -> SeenIndex | None:
    """With one run of the next level in the place of `runs`; None when somebody else has merged some of them."""
    left = list(index.runs)
    for run in runs:
        if run not in left:
            return None
        left.remove(run)
    one = IndexRun(file=merged_path(runs), weight=None, level=runs[0].level + 1)
    return index.model_copy(update={"runs": (*left, one)})
