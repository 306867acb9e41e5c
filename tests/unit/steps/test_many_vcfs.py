"""C82: an analysis of thousands of VCFs has a small document, and whoever reads of it reads all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from services.vcf_ingest.work import Tables, work
from shared.domain import paths
from shared.domain.analysis import HEAD_OF_INGESTED_FILES, HEAD_OF_SAMPLES, Analysis, IngestedFile, IngestStatus, Status
from shared.domain.cache import Member
from shared.domain.ingest import take_lease
from shared.domain.ingested import files_file, head_of_files, head_of_report, head_of_samples
from shared.domain.job import JobState
from shared.domain.lifecycle import request_cancel
from shared.domain.order import parse_order
from shared.domain.request import RequestRefused, SubmitRequest
from shared.ports import Objects, Ports
from shared.steps.accept import accept
from shared.steps.ingested import every_file
from shared.steps.observe import observe
from shared.steps.orders import accept_order, orders_of, plan_for
from shared.steps.register import register_pipeline
from shared.steps.seen import KeyFiles
from shared.steps.start import start
from shared.steps.store import Loaded, decide, load
from shared.variants.mapping import AnnotationMapping
from shared.variants.reference import Reference
from shared.variants.report import Note, SampleCounts, TableReport
from tests.builders import a_pipeline
from tests.contract.clock import FakeClock
from tests.unit.steps.conftest import FakeEngine

LARGEST_DOCUMENT_BYTES = 500_000
VCFS = 3_000
COLUMNS = 3
WHO = "person@example.org"


@dataclass
class Lab:
    ports: Ports
    engine: FakeEngine

    def run(self, vcfs: int, *, name: str = "many") -> Analysis:
        """Ingested; VCF n has the columns n-0, n-1, n-2."""
        register_pipeline(self.ports, "alpha", a_pipeline(
            slug="many", outputs=[{"glob": "*.vcf", "kind": "vcf", "required": False}]
        ), by=WHO)
        request = SubmitRequest(
            request_id=name, project="alpha", display_id=name, pipeline="many", inputs={}, requested_by=WHO
        )
        self.engine.shows = JobState.RUNNING
        begun = observe(self.ports, start(self.ports, accept(self.ports, request, source="test")))
        for n in range(vcfs):
            self.ports.objects.write("bucket", f"{begun.analysis.folder}{n:05}.vcf", f"{name} {n}".encode())
        self.engine.shows = JobState.SUCCEEDED
        observe(self.ports, load(self.ports.documents, begun.analysis.doc_path))
        return self.ingest(begun.analysis.doc_path)

    def ingest(self, path: str, *, holder: str = "holder") -> Analysis:
        begun = self.take(path, holder)
        work(self.ports, "alpha", begun.id, holder, Tables(_build, _read, _join, KEYS))
        return load(self.ports.documents, path).analysis

    def take(self, path: str, holder: str, *, force: bool = False) -> Analysis:
        now, policy = self.ports.clock(), self.ports.rules.policy
        loaded, why_not = decide(
            self.ports.documents, path, lambda current: take_lease(current, holder, now, policy, force=force)
        )
        assert why_not is None
        return loaded.analysis


def _build(vcf: Path, table: Path, *, mapping: AnnotationMapping, reference: Reference | None,
           progress: Callable[[int], None]) -> TableReport:
    """The report of a file of which there is much to say."""
    name, n = vcf.read_text().split()
    table.write_text(vcf.read_text())
    return TableReport(
        1, 1, 1, {}, tuple(SampleCounts(f"{name}-{n}-{column}", {}) for column in range(COLUMNS)),
        tuple(Note("rare", f"{line} {'x' * 100}", line, 1) for line in range(20)), {}, {}, 0, 0,
        {f"contig{number}": 1 for number in range(50)}, "GRCh38",
    )


def _read(table: Path) -> Mapping[str, Any]:
    return _build(table, table, mapping=AnnotationMapping(), reference=None, progress=lambda records: None).to_json()


def _join(
    members: Sequence[tuple[Member, Path]], out: Path, seen: Path | None, keep: Callable[[str], None]
) -> Mapping[str, Any]:
    for ending in (".parquet", ".index"):
        out.with_suffix(ending).write_text("")
    return {"rows": len(members)}


class Killed(BaseException):
    """As SIGKILL: nobody handles it."""


class DiesOfLists:
    """The bucket, whose writer dies right after the whole lists of an ingest are there."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    def write(self, bucket: str, path: str, data: bytes, *, if_generation: int | None = None) -> Any:
        written = self._objects.write(bucket, path, data, if_generation=if_generation)
        if path.startswith("cache/ingests/"):
            raise Killed
        return written


def _nothing(*args: Any) -> None:
    args[-1].write_text("[]")


KEYS = KeyFiles(_nothing, _nothing, _nothing, _nothing)


@pytest.fixture
def lab(ports: Ports, engine: FakeEngine, accepted: Loaded) -> Lab:
    del accepted  # its project is what is needed
    return Lab(ports, engine)


def bytes_of(analysis: Analysis) -> int:
    return len(json.dumps(analysis.to_document(), ensure_ascii=False).encode())


def test_three_thousand_vcfs_of_three_samples(lab: Lab) -> None:
    analysis = lab.run(VCFS)
    ingest = analysis.ingest
    assert (analysis.status, ingest.status) == (Status.SUCCEEDED, IngestStatus.READY)
    assert bytes_of(analysis) < LARGEST_DOCUMENT_BYTES
    assert (len(ingest.files), ingest.files_total) == (HEAD_OF_INGESTED_FILES, VCFS)
    assert (len(ingest.samples), ingest.samples_total) == (HEAD_OF_SAMPLES, VCFS * COLUMNS)
    assert ingest.rows == VCFS
    assert ingest.cache is not None and len(ingest.cache.samples) <= HEAD_OF_SAMPLES

    files = every_file(lab.ports, analysis)
    assert [file.path for file in files] == [f"{analysis.folder}{n:05}.vcf" for n in range(VCFS)]
    whole = json.loads(lab.ports.objects.read("bucket", str(ingest.files_path)))
    assert [entry["path"] for entry in whole["report"]] == [file.path for file in files]

    cancelled, why_not = decide(
        lab.ports.documents, analysis.doc_path, lambda current: request_cancel(current, WHO, lab.ports.clock())
    )
    assert why_not == "the analysis is succeeded already" and cancelled.analysis == analysis
    again = lab.take(analysis.doc_path, "another", force=True)
    assert (again.ingest.status, again.ingest.files_path) == (IngestStatus.RUNNING, ingest.files_path)


def test_an_order_reads_of_the_last_vcf_as_of_the_first(lab: Lab) -> None:
    analysis = lab.run(HEAD_OF_INGESTED_FILES + 10)
    columns = [f"many-{n}-{c}" for n in (0, HEAD_OF_INGESTED_FILES + 9) for c in range(COLUMNS)]
    order = accept_order(lab.ports, parse_order({
        "request_id": "o", "project": "alpha", "display_id": "O", "requested_by": WHO, "analyses": [analysis.id],
        "samples": [{"name": name} for name in columns],
    }), source="test").order
    wanted = plan_for(lab.ports, order)
    assert [member.name for member in wanted.members] == columns and wanted.missing == ()
    whole = accept_order(lab.ports, parse_order({
        "request_id": "all", "project": "alpha", "display_id": "All", "requested_by": WHO, "analyses": [analysis.id],
    }), source="test").order
    assert len(whole.samples) == analysis.ingest.samples_total == (HEAD_OF_INGESTED_FILES + 10) * COLUMNS
    assert whole.cache.built is not None, "it is the analysis' own cache"
    assert set(orders_of(lab.ports, analysis)) == {order.doc_path, whole.doc_path}


def test_an_order_of_more_samples_than_one_has_is_refused_and_not_cut(lab: Lab) -> None:
    analysis = lab.run(HEAD_OF_SAMPLES // COLUMNS + 1)
    with pytest.raises(RequestRefused, match=r"201 samples, and an order is of 200 at most"):
        accept_order(lab.ports, parse_order({
            "request_id": "o", "project": "alpha", "display_id": "O", "requested_by": WHO, "analyses": [analysis.id],
        }), source="test")


def test_killed_before_its_commit_it_has_shown_nothing_and_the_next_holder_finds_what_it_left(
    lab: Lab, clock: FakeClock,
) -> None:
    sound = lab.ports
    lab.ports = replace(sound, objects=DiesOfLists(sound.objects))
    with pytest.raises(Killed):
        lab.run(HEAD_OF_INGESTED_FILES + 1)
    lab.ports = sound
    (left,) = sound.objects.list("bucket", "cache/ingests/")
    path = paths.analysis_doc("alpha", paths.analysis_id("alpha", "many"))
    assert load(sound.documents, path).analysis.ingest.files_path is None
    clock.pass_s(sound.rules.policy.ingest_lease_s + 1)
    again = lab.ingest(path, holder="another")
    assert again.ingest.files_path == left.path
    assert len(every_file(sound, again)) == HEAD_OF_INGESTED_FILES + 1


def test_a_few_files_stay_in_the_document(lab: Lab) -> None:
    analysis = lab.run(3)
    assert (analysis.ingest.files_path, analysis.ingest.files_total) == (None, 3)
    assert every_file(lab.ports, analysis) == analysis.ingest.files
    assert list(lab.ports.objects.list("bucket", "cache/ingests/")) == []


def test_the_bounds_are_in_bytes_too() -> None:
    """One VCF of a population; reports of which each is large; names as long as a header may have them."""
    wide = IngestedFile(path="x", samples=tuple(f"sample-{n}" for n in range(20_000)))
    assert head_of_files((wide,)) == ()
    assert files_file("a", (wide,), ({},)) is not None
    reports = tuple({"text": "x" * 10_000} for _ in range(10))
    assert len(head_of_report(reports)) == 6
    assert len(head_of_samples(["n" * 10_000] * 10)) == 6
