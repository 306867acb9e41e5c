"""Which column of which table is which sample of an order: by the samples' names, never by their place (C53)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from shared.domain.analysis import Analysis, IngestedFile, IngestStatus, Status
from shared.domain.cache import Built, Member, Missing, members_digest
from shared.domain.request import Role, Sample, Sex

MOST_NAMES = 20
"""In a sentence."""

MOST_COLUMNS = 200
"""Of an analysis that is read alone. Of a call set with more, its sites are read; an order names whose genotypes."""


@dataclass(frozen=True)
class Source:
    """An analysis that an order may draw on, with all its ingested files."""

    analysis: Analysis
    files: tuple[IngestedFile, ...]

    @property
    def is_ingested(self) -> bool:
        """Tables can be read, be it those of an ingest that is being done again."""
        return self.analysis.ingest.rows is not None

    @property
    def is_to_come(self) -> bool:
        """It has no tables yet, and may have some."""
        status, ingest = self.analysis.status, self.analysis.ingest.status
        under_way = not status.final or ingest in (IngestStatus.PENDING, IngestStatus.RUNNING)
        return under_way and not self.is_ingested and status not in (Status.FAILED, Status.CANCELLED)

    @cached_property
    def columns(self) -> Mapping[str, Sequence[IngestedFile]]:
        """Name -> the files with a table that have it, in the order of the files."""
        found: dict[str, list[IngestedFile]] = {}
        for file in self.files:
            for name in dict.fromkeys(file.samples if file.table else ()):
                found.setdefault(name, []).append(file)
        return found


@dataclass(frozen=True)
class Plan:
    """What a cache is to be joined of; `rows` of all its tables. `refusal`: why no cache can be right. `ready`: it was
    built already."""

    members: tuple[Member, ...]
    missing: tuple[Missing, ...]
    rows: int = 0
    assembly: str | None = None
    refusal: str | None = None
    ready: Built | None = None

    @property
    def digest(self) -> str:
        return members_digest(self.members)


def plan(samples: Sequence[Sample], sources: Iterable[Source], *, by_name: bool) -> Plan:
    """Each sample's columns in the newest ingested analysis of each pipeline that has it.

    `by_name`: the sources were found by the samples' names, so that columns of others in them say nothing. Otherwise a
    sample without a column, beside a column without a sample, is a name that is wrong somewhere: refused, both sets
    listed, unless an analysis is still to come.
    """
    ordered = sorted(sources, key=lambda source: (source.analysis.created_at, source.analysis.id))
    members = _members_of(samples, ordered)
    found = {member.name for member in members}
    missing = tuple(
        Missing(name=sample.name, reason=_why_missing(sample, ordered))
        for sample in samples if sample.name not in found
    )
    return _planned(members, missing, ordered, None if by_name else _refusal(samples, missing, ordered))


def _planned(
    members: tuple[Member, ...], missing: tuple[Missing, ...], ordered: Sequence[Source], refusal: str | None
) -> Plan:
    named = {member.table for member in members}
    tables = {file.table: file for source in ordered for file in source.files if file.table in named}
    assemblies = sorted({file.assembly or "" for file in tables.values()})
    if len(known := [name for name in assemblies if name]) > 1:
        refusal = f"its tables are of several assemblies ({', '.join(known)}), whose positions do not compare"
    rows = sum(file.rows for file in tables.values())
    wanted = Plan(members, missing, rows, assemblies[0] or None if len(assemblies) == 1 else None, refusal)
    return replace(wanted, ready=_built_already(wanted, ordered))


def members_of(source: Source) -> Plan:
    """An analysis alone: every column in the role that it was asked for (C53), and the tables that have none."""
    declared = {sample.name: sample for sample in source.analysis.samples}
    samples = [declared.get(name) or Sample(name=name, role=Role.SAMPLE, sex=Sex.UNKNOWN) for name in source.columns]
    many = len(samples) > MOST_COLUMNS
    sites = tuple(
        Member(name="", role=Role.SAMPLE, sex=Sex.UNKNOWN, table=file.table, column=None, analysis=source.analysis.id)
        for file in source.files if file.table and (many or not file.samples)
    )
    return _planned((*(() if many else _members_of(samples, [source])), *sites), (), [source], None)


def _members_of(samples: Sequence[Sample], ordered: Sequence[Source]) -> tuple[Member, ...]:
    return tuple(member for sample in samples for member in _members(sample, ordered))


def _members(sample: Sample, ordered: Sequence[Source]) -> list[Member]:
    newest = {source.analysis.pipeline.slug: source for source in ordered if sample.name in source.columns}
    return [
        Member(
            name=sample.name, role=sample.role, sex=sample.sex, table=file.table,
            column=file.samples.index(sample.name), analysis=source.analysis.id,
        )
        for source in newest.values() for file in source.columns[sample.name]
    ]


def _why_missing(sample: Sample, ordered: Sequence[Source]) -> str:
    """Of the newest analysis that names the sample, or names none."""
    mine = [s for s in ordered if sample.name in {each.name for each in s.analysis.samples} or not s.analysis.samples]
    for source in reversed(mine):
        analysis, ingest = source.analysis, source.analysis.ingest
        if not analysis.status.final or analysis.status is not Status.SUCCEEDED:
            return f"analysis {analysis.display_id!r} is {analysis.status}"
        if ingest.status is IngestStatus.NOT_APPLICABLE:
            return f"analysis {analysis.display_id!r} left no VCF"
        if not source.is_ingested:
            because = f": {ingest.failure}" if ingest.failure else ""
            return f"the ingest of analysis {analysis.display_id!r} is {ingest.status}{because}"
    return "no analysis has a VCF with a column of that name"


def _refusal(samples: Sequence[Sample], missing: Sequence[Missing], ordered: Sequence[Source]) -> str | None:
    wanted = {sample.name for sample in samples}
    columns = {name for source in ordered for name in source.columns}
    if not missing or not columns - wanted or any(source.is_to_come for source in ordered):
        return None
    return (
        f"the order is of samples {_listed(wanted)}, but the VCFs of its analyses have the columns {_listed(columns)}; "
        "correct the order's sample names, or name the analysis that has them"
    )


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - MOST_NAMES} more" if len(ordered) > MOST_NAMES else ""
    return ", ".join(ordered[:MOST_NAMES]) + more


def _built_already(wanted: Plan, ordered: Sequence[Source]) -> Built | None:
    """An analysis' own cache, where the order asks for just that."""
    for source in ordered:
        built = source.analysis.ingest.cache
        if built is not None and wanted.members and built.members_digest == wanted.digest:
            return built.model_copy(update={"missing": wanted.missing})
    return None
