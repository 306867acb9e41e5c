"""A folder's files told apart by a pipeline's globs."""

from __future__ import annotations

from shared.domain.files import FileSeen
from shared.domain.outputs import classify
from shared.domain.pipeline import OutputKind, Pipeline
from tests.builders import T0, a_pipeline

FOLDER = "analyses/wgs-12-a/"


def files(**sizes: int) -> list[FileSeen]:
    return [FileSeen(FOLDER + name, size, "AAAAAA==", 1, T0) for name, size in sizes.items()]


def pipeline(*outputs: dict[str, object]) -> Pipeline:
    return a_pipeline(outputs=list(outputs))


VCF = {"glob": "calls.vcf.gz", "kind": "vcf", "required": True}


def test_a_required_output_that_is_absent_or_empty_is_named() -> None:
    """C20 (a), (b)."""
    _, absent = classify(pipeline(VCF).outputs, [], FOLDER, files())
    assert absent == [f"{FOLDER}calls.vcf.gz (vcf) was not written"]
    _, empty = classify(pipeline(VCF).outputs, [], FOLDER, files(**{"calls.vcf.gz": 0}))
    assert empty == [f"{FOLDER}calls.vcf.gz (vcf) is empty (0 bytes)"]


def test_an_absent_index_is_as_the_pipeline_declares_it() -> None:
    """C20 (c)."""
    for required, missing in ((True, 1), (False, 0)):
        declared = pipeline({**VCF, "index": {"suffixes": [".tbi", ".csi"], "required": required}}).outputs
        _, found = classify(declared, [], FOLDER, files(**{"calls.vcf.gz": 9}))
        assert len(found) == missing
    declared = pipeline({**VCF, "index": {"suffixes": [".tbi"], "required": True}}).outputs
    outputs, none = classify(declared, [], FOLDER, files(**{"calls.vcf.gz": 9, "calls.vcf.gz.tbi": 5}))
    assert none == [] and [o.kind for o in outputs] == [OutputKind.VCF, OutputKind.INDEX]


def test_one_output_per_sample_with_names_that_are_no_file_names() -> None:
    declared = pipeline(VCF, {"glob": "qc/{sample}.json", "kind": "qc", "required": True}).outputs
    there = files(**{"calls.vcf.gz": 9, "qc/a%2Fb.json": 3, "logs/task-0.txt": 4, "notes.txt": 1})
    outputs, missing = classify(declared, ["a/b", "c"], FOLDER, there)
    assert missing == [f"{FOLDER}qc/c.json (qc) was not written"]
    kinds = {o.path.removeprefix(FOLDER): (o.kind, o.sample) for o in outputs}
    assert kinds["qc/a%2Fb.json"] == (OutputKind.QC, "a/b")
    assert kinds["logs/task-0.txt"] == (OutputKind.LOG, None)
    assert kinds["notes.txt"] == (OutputKind.OTHER, None)


def test_a_star_stays_inside_a_folder_and_two_span_them() -> None:
    declared = pipeline({"glob": "*.txt", "kind": "report", "required": False},
                        {"glob": "**/*.bam", "kind": "bam", "required": False}).outputs
    outputs, _ = classify(declared, [], FOLDER, files(**{"a.txt": 1, "x/a.txt": 1, "a.bam": 1, "x/y/a.bam": 1}))
    assert {o.path.removeprefix(FOLDER): o.kind for o in outputs} == {
        "a.txt": OutputKind.REPORT, "x/a.txt": OutputKind.OTHER, "a.bam": OutputKind.BAM, "x/y/a.bam": OutputKind.BAM,
    }
