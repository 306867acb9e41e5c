"""Every real VCF of ../shared/data through the whole flow ends as expected.tsv says: ready and counted, or refused."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.domain.paths import slug
from shared.variants.report import NO_ALTERNATE
from tests.flow.stacks import Lab, analysis_of, ingesting_here, lab_over, shell_pipeline

SHARED = Path(os.environ.get("IFLOW_SHARED") or Path(__file__).resolve().parents[3] / "shared")
FILES = SHARED / "data" / "vcf"
needs_files = pytest.mark.skipif(
    not FILES.is_dir() and os.environ.get("CI") != "true", reason=f"{FILES} is not there; set IFLOW_SHARED to run this"
)
pytestmark = needs_files
LONGEST_S = 120


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab_over(tmp_path_factory.mktemp("files")) as up:
        for row in expected():
            source = FILES / row["file"]
            up.ports.objects.upload(up.bucket, uploaded(row["file"]), source)
        up.register(COPY)
        yield up


COPY = shell_pipeline(
    "copy", 'cp "$IFLOW_BUCKET_DIR/$(sed -n \'s/.*"file": "\\(.*\\)".*/\\1/p\' "$IFLOW_INPUTS")" "$OUT"',
    [{"glob": "*", "kind": "vcf", "required": False}],
    inputs={"type": "object", "properties": {"file": {"type": "string"}}},
)
"""Leaves the file as it is, so that the ingest itself meets the bad ones."""


def expected() -> list[dict[str, str]]:
    """Fails, in CI, where the folder is absent."""
    with (FILES / "expected.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def uploaded(name: str) -> str:
    return f"samples/{slug(name)}/uploads/{name}"


def ends(lab: Lab, pipeline: str, field: str) -> dict[str, Mapping[str, Any] | None]:
    """The document that became of each file, all submitted at once; None where the request was refused."""
    names = [row["file"] for row in expected()]
    for name in names:
        lab.order(f"{pipeline} {name}", pipeline=pipeline, inputs={field: uploaded(name)})
    return {name: end_of(lab, f"{pipeline} {name}") for name in names}


def end_of(lab: Lab, request: str) -> Mapping[str, Any] | None:
    analysis = analysis_of(request)
    lab.until(lambda: lab.found(analysis) or lab.rejections(request), within_s=LONGEST_S)
    if lab.found(analysis) is None:
        return None
    lab.until_ends(analysis, within_s=LONGEST_S)
    (document,) = lab.until_ingested(analysis, within_s=LONGEST_S)
    return document

def counted(document: Mapping[str, Any]) -> tuple[int, int, int]:
    """Records, alternate alleles as written, sample columns: as the table has them, rows and skipped."""
    (file,) = document["ingest"]["files"]
    skipped = sum(n for reason, n in file["skipped"].items() if reason != NO_ALTERNATE)
    return file["records"], file["rows"] + skipped, len(file["samples"])


def faults(documents: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    """Of all accepted files."""
    accepted = [row for row in expected() if row["verdict"] == "accept"]
    assert len(accepted) >= 30
    return [fault for row in accepted if (fault := fault_of(row, documents[row["file"]]))]


def fault_of(row: Mapping[str, str], document: Mapping[str, Any] | None) -> str | None:
    """What is not as expected.tsv says of an accepted file."""
    ingest = document["ingest"] if document else {"status": "none"}
    if document is None or (document["status"], ingest["status"]) != ("succeeded", "ready"):
        return f"{row['file']}: {document['status'] if document else 'rejected'}, ingest {ingest}"
    wanted = (int(row["records"]), int(row["alleles"]), int(row["samples"]))
    return None if counted(document) == wanted else f"{row['file']}: {counted(document)}, and not {wanted}"


def test_every_real_file_through_vcf_normalize_is_ready_with_every_allele_or_refused(lab: Lab) -> None:
    """A refused one fails its run (or its request, when it is empty) with the pipeline's own sentence."""
    with ingesting_here():
        documents = ends(lab, "vcf-normalize", "vcf")
    rows = expected()
    assert faults(documents) == []
    for row in rows:
        document = documents[row["file"]]
        if row["verdict"] != "refuse":
            continue
        if document is None:
            (rejection,) = lab.rejections(f"vcf-normalize {row['file']}")
            assert (row["reason"], rejection["reasons"][0]["message"][:6]) == ("empty file", "empty:")
            continue
        assert (document["status"], document["failure"]["exit_code"]) == ("failed", 65), row
        assert "Its last line was: error: " in document["failure"]["message"]
        assert document["ingest"]["status"] == "not_applicable"
        assert all(output["kind"] != "vcf" for output in document["outputs"])


SAYS = {
    "truncated": "truncated: ",
    "corrupt compressed data": "corrupt compressed data",
    "line 121 of the body is not a record": "not a record: 'slurmstepd: error: *** JOB 1234",
    "last record cut short": "the last record is cut short",
    "BCF 2.1": "BCF 2.1: only BCF 2.2 can be read",
    "no BGZF EOF block: may be cut": "BGZF end-of-file block is missing",
    "a sample name twice": "a sample name occurs twice: 5, 10",
    "third record: GT is not a genotype": "the line has 164 columns, the header 109",
    "POS is not a number": "POS is not a number: '.' (record 1, line 4)",
    "empty file": "empty file: it has 0 bytes",
    "genotype columns are missing from every record": "the genotype columns are missing",
}
"""Reason of expected.tsv -> what the ingest says of it."""


def test_every_real_file_that_reaches_the_ingest_is_ready_with_every_allele_or_never_seen(lab: Lab) -> None:
    """C37, C38, C47: left as it is by the run, which succeeds. A refused one fails its ingest with the reason."""
    with ingesting_here():
        documents = ends(lab, "copy", "file")
    rows = expected()
    assert faults(documents) == []
    for row in rows:
        document = documents[row["file"]]
        assert document is not None
        if row["verdict"] == "refuse":
            ingest = document["ingest"]
            assert (document["status"], ingest["status"]) == ("succeeded", "failed"), row
            assert SAYS[row["reason"]] in ingest["failure"]
            assert (ingest["rows"], ingest["files"], ingest["cache"]) == (None, [], None)
