"""In how many other analyses an allele was seen: what is kept up step by step is what a plain recount gives."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.documents import MemoryDocuments
from shared.adapters.memory.objects import MemoryObjects
from shared.domain import seen as domain
from shared.domain.analysis import Analysis, IngestedFile
from shared.domain.members import Plan, Source, plan
from shared.domain.request import Sample
from shared.ports import Create, Ports, Update
from shared.steps import seen
from shared.topology import topology
from tests.builders import RULES, T0, ingested
from tests.contract.clock import FakeClock
from tests.examples import examples

KEYS = tuple(f"1-{n}-A-C" for n in range(8))
NAMES = ("S1", "S2", "S3", "S4")
Carried = Mapping[str, frozenset[str]]
"""Sample -> the alleles that it carries."""


@dataclass
class Laboratory:
    """Projects with their analyses, in the store and (`known`) as a plain recount needs them."""

    ports: Ports
    known: dict[tuple[str, str], Carried] = field(default_factory=dict)
    analyses: dict[tuple[str, str], Analysis] = field(default_factory=dict)

    def ingest(self, project: str, name: str, carried: Carried) -> None:
        """Again, where it is there already."""
        table = f"cache/variants/v1/{project}-{name}-{len(self.ports.objects._objects)}.parquet"
        made = ingested(name, *carried, minutes=int(name[1:]), table=table)
        made = made.changed(project=project, bucket=f"bucket-{project}")
        self.ports.objects.write(made.bucket, table, _table(carried))
        seen.write_key_files(self.ports, made.bucket, made.ingest.files, lambda progress: None)
        there = self.ports.documents.get(made.doc_path)
        data = made.to_document()
        write = Update(made.doc_path, data, there.version) if there else Create(made.doc_path, data)
        self.ports.documents.commit([write])
        seen.note(self.ports, made.doc_path)
        self.known[project, name], self.analyses[project, name] = carried, made

    def counts(self, project: str, wanted: Plan) -> dict[str, int]:
        bucket = f"bucket-{project}"
        others = seen.others(self.ports, bucket, wanted)
        assert others is not None
        with TemporaryDirectory() as folder:
            table, out = Path(folder) / "table.parquet", Path(folder) / "out.parquet"
            table.write_bytes(_table({"x": frozenset(KEYS)}))
            others.write([table], out)
            return {row["key"]: row["n"] for row in pq.read_table(out).to_pylist()}

    def recount(self, project: str, names: frozenset[str], drawn_on: frozenset[str]) -> dict[str, int]:
        mine = sorted((n for p, n in self.known if p == project), key=lambda n: (int(n[1:]), self._id(project, n)))
        newest = {sample: name for name in mine for sample in self.known[project, name]}
        found: dict[str, int] = {}
        for name in mine:
            if name in drawn_on:
                continue
            carried = [keys for sample, keys in self.known[project, name].items()
                       if newest[sample] == name and sample not in names]
            for key in frozenset().union(*carried):
                found[key] = found.get(key, 0) + 1
        return found

    def _id(self, project: str, name: str) -> str:
        return self.analyses[project, name].id


def _table(carried: Carried) -> bytes:
    columns = {"key": list(KEYS)}
    for number, keys in enumerate(carried.values()):
        columns[f"s{number}_carries"] = [key in keys for key in KEYS]
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def a_laboratory() -> Laboratory:
    clock = FakeClock()

    def never(*_: object) -> str:
        raise AssertionError("not asked here")

    return Laboratory(Ports(
        documents=MemoryDocuments(), bus=MemoryBus(topology(), clock), objects=MemoryObjects(clock), engine=None,
        uploads=None, logs=None, clock=clock, rules=RULES, new_id=never, launch=never, logs_url=never,
        notify_topic="batch-events",
    ))


carried_by = st.dictionaries(st.sampled_from(NAMES), st.frozensets(st.sampled_from(KEYS)), min_size=1, max_size=3)
ingests = st.lists(
    st.tuples(st.sampled_from(("alpha", "beta")), st.sampled_from(("a1", "a2", "a3", "a4", "a5")), carried_by),
    min_size=1, max_size=9,
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ingests, st.frozensets(st.sampled_from(NAMES), min_size=1), st.integers(2, 4))
def test_whatever_is_ingested_and_ingested_again_the_counts_are_those_of_a_recount(
    history: list[tuple[str, str, Carried]], names: frozenset[str], fan_out: int
) -> None:
    """Reruns of a sample, analyses that share one, re-ingests with other content, and two projects (C74)."""
    laboratory = a_laboratory()
    with patch.object(domain, "FAN_OUT", fan_out):
        for project, name, carried in history:
            laboratory.ingest(project, name, carried)
            seen.tidy(laboratory.ports, f"bucket-{project}", "GRCh38", lambda progress: None)
            samples = tuple(Sample(name=each) for each in sorted(names))
            for drawn_on in (frozenset({name}), frozenset(n for p, n in laboratory.known if p == project)):
                sources = [Source(a, a.ingest.files) for a in (laboratory.analyses[project, n] for n in drawn_on)]
                wanted = plan(samples, sources, by_name=True)
                if wanted.assembly:
                    used = frozenset(n for n in drawn_on
                                     if laboratory.analyses[project, n].id in {m.analysis for m in wanted.members})
                    own = frozenset(member.name for member in wanted.members)
                    assert laboratory.counts(project, wanted) == laboratory.recount(project, own, used)


def test_a_rerun_of_a_sample_does_not_count_twice_and_an_analysis_counts_once() -> None:
    laboratory = a_laboratory()
    both = {"S2": frozenset({KEYS[0]}), "S3": frozenset({KEYS[0], KEYS[1]})}
    laboratory.ingest("alpha", "a1", {"S1": frozenset({KEYS[0]})})
    laboratory.ingest("alpha", "a2", both)
    laboratory.ingest("alpha", "a3", both)  # a rerun
    mine = laboratory.analyses["alpha", "a1"]
    wanted = plan((Sample(name="S1"),), [Source(mine, mine.ingest.files)], by_name=False)
    assert laboratory.counts("alpha", wanted) == {KEYS[0]: 1, KEYS[1]: 1}


def test_two_who_note_at_once_both_count() -> None:
    """The index is written on condition of its generation."""
    laboratory = a_laboratory()
    real = MemoryObjects.write
    other: list[str] = []

    def write(self: MemoryObjects, bucket: str, path: str, data: bytes, **condition: int | None) -> object:
        if path.endswith("index.json") and not other:
            other.append(path)
            laboratory.ingest("alpha", "a2", {"S2": frozenset({KEYS[0]})})
        return real(self, bucket, path, data, **condition)

    with patch.object(MemoryObjects, "write", write):
        laboratory.ingest("alpha", "a1", {"S1": frozenset({KEYS[0]})})
    mine = laboratory.analyses["alpha", "a1"]
    wanted = plan((Sample(name="S1"),), [Source(mine, mine.ingest.files)], by_name=False)
    assert laboratory.counts("alpha", wanted) == {KEYS[0]: 1}


def test_of_an_unknown_assembly_and_of_a_whole_population_nothing_is_counted() -> None:
    file = IngestedFile(path="x", table="t", samples=tuple(f"S{n}" for n in range(domain.MOST_SAMPLES + 1)))
    assert not seen._counted([file.model_copy(update={"assembly": "GRCh38"})])
    assert seen.others(a_laboratory().ports, "bucket", Plan((), ())) is None


def test_numbers_of_the_same_state_have_the_same_version_however_they_are_merged() -> None:
    index = domain.SeenIndex()
    for number in range(domain.FAN_OUT):
        index = domain.noted(index, f"a{number}", T0 + timedelta(minutes=number), {f"S{number}": (f"k{number}",)})
    full = domain.to_merge(index)
    merged = domain.merged(index, full)
    assert len(full) == domain.FAN_OUT and merged is not None
    assert (merged.version, len(merged.runs)) == (index.version, 1)
    assert domain.merged(merged, full) is None
