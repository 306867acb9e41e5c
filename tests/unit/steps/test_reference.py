"""An ingest by a pipeline that names a reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from services.vcf_ingest.work import work
from shared.domain.analysis import Analysis, IngestStatus
from shared.domain.ingest import take_lease
from shared.domain.job import JobState
from shared.domain.request import SubmitRequest
from shared.ports import Ports
from shared.steps.accept import accept
from shared.steps.observe import observe
from shared.steps.register import register_pipeline
from shared.steps.start import start
from shared.steps.store import Loaded, decide, load
from tests.builders import a_pipeline
from tests.unit.steps.conftest import FakeEngine
from tests.unit.variants.vcf_text import fasta, vcf

VCF = vcf("chr1 1 . G T . . .", "chr1 6 . CAG G . . .", contigs=("chr1",))


class Lab:
    def __init__(self, ports: Ports, engine: FakeEngine) -> None:
        self.ports, self.engine = ports, engine

    def ingested(self, name: str, **definition: Any) -> Analysis:
        register_pipeline(self.ports, "alpha", a_pipeline(
            slug=name, outputs=[{"glob": "*.vcf", "kind": "vcf", "required": False}], **definition), by="a@lab.example")
        request = SubmitRequest(request_id=name, project="alpha", display_id=name, pipeline=name, inputs={},
                                requested_by="a@lab.example")
        self.engine.shows = JobState.RUNNING
        begun = observe(self.ports, start(self.ports, accept(self.ports, request, source="test"))).analysis
        self.ports.objects.write("bucket", f"{begun.folder}x.vcf", VCF.encode())
        self.engine.shows = JobState.SUCCEEDED
        observe(self.ports, load(self.ports.documents, begun.doc_path))
        now, policy = self.ports.clock(), self.ports.rules.policy
        decide(self.ports.documents, begun.doc_path, lambda current: take_lease(current, "holder", now, policy))
        work(self.ports, "alpha", begun.id, "holder")
        return load(self.ports.documents, begun.doc_path).analysis

    def keys(self, analysis: Analysis) -> list[str]:
        with self.ports.objects.local("bucket", analysis.ingest.files[0].table) as table:
            keys: list[str] = pq.read_table(table)["key"].to_pylist()
        return keys


@pytest.fixture
def lab(ports: Ports, engine: FakeEngine, accepted: Loaded) -> Lab:
    del accepted  # its project is what is needed
    return Lab(ports, engine)


def test_keys_are_left_aligned_by_it_and_tables_named_by_its_content(lab: Lab, tmp_path: Path) -> None:
    tables, keys = [], []
    for n, (folder, bases) in enumerate((("one", "TCACACAG"), ("two", "GGGGGCAG"))):
        (tmp_path / folder).mkdir()
        path = fasta(tmp_path / folder, packed=n == 0, chr1=bases)
        for file in path.parent.iterdir():
            lab.ports.objects.write("bucket", f"references/{folder}/{file.name}", file.read_bytes())
        analysis = lab.ingested(folder, reference=f"references/{folder}/{path.name}")
        (report,) = analysis.ingest.report or ()
        assert report["left_aligned"] == 1
        tables.append(analysis.ingest.files[0].table)
        keys.append(lab.keys(analysis))
    assert keys == [["1-1-G-T", "1-1-TCA-T"], ["1-1-G-T", "1-5-GCA-G"]]
    without = lab.ingested("without")
    assert lab.keys(without) == ["1-1-G-T", "1-6-CAG-G"]
    assert (without.ingest.report or ())[0]["left_aligned"] is None
    assert len({*tables, without.ingest.files[0].table}) == 3


@pytest.mark.parametrize("there", [(), ("ref.fa",)])
def test_without_the_file_or_its_index_the_ingest_fails_and_says_so(lab: Lab, there: tuple[str, ...]) -> None:
    for name in there:
        lab.ports.objects.write("bucket", name, b">chr1\nTCACACAG\n")
    ingest = lab.ingested("named", reference="ref.fa").ingest
    assert ingest.status is IngestStatus.FAILED
    assert "ref.fa" in str(ingest.failure)
