"""The shipped pipelines as Batch runs them: a process, a mounted bucket, and nothing but environment variables."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysam
import pytest

from infra.pipelines.catalogue import read_catalogue
from infra.pipelines.runnable import PipelineError, Run
from infra.pipelines.simulate_reads import CHILD, GENES, REFERENCE, simulate
from infra.pipelines.truth import Truth, compare
from infra.pipelines.vcf_normalize import normalize
from infra.pipelines.vcf_text import BGZF_END
from shared.domain.pipeline import validate_inputs

PIPELINES = {pipeline.slug: pipeline for pipeline in read_catalogue().values()}

VCF = """##fileformat=VCFv4.3
##contig=<ID=c1,length=30>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1
c1\t20\t.\tG\tA\t.\t.\tNOTE=1\tGT\t0/1
c1\t9\t.\tCA\tC,CAA\t.\t.\t.\tGT\t1/2
"""
FASTA = ">c1\nGGGGTTCAAAGGGGGTTTTGGGGGCCCCCC\n"
"""CA>C at 9 lies in the run CAAA that begins at 7, so it moves there."""


@dataclass(frozen=True)
class Ended:
    code: int
    stdout: str
    stderr: str
    output: Path

    @property
    def metrics(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.output / "metrics.json").read_text())
        return data

    @property
    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.output)) for path in self.output.rglob("*") if path.is_file())


def run(
    slug: str, bucket: Path, inputs: Mapping[str, Any], samples: Sequence[Mapping[str, str]] = (),
    analysis: str = "a", attempt: int = 0,
) -> Ended:  # fmt: skip
    """One attempt of the pipeline's task."""
    environment = prepared(slug, bucket, inputs, samples, analysis, attempt)
    command = [sys.executable, *PIPELINES[slug].runnables[0].command[1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    return Ended(done.returncode, done.stdout, done.stderr, Path(environment["IFLOW_OUTPUT_DIR"]))


def prepared(
    slug: str, bucket: Path, inputs: Mapping[str, Any], samples: Sequence[Mapping[str, str]],
    analysis: str, attempt: int,
) -> dict[str, str]:  # fmt: skip
    """The environment of an attempt whose inputs have passed the check that the service makes."""
    assert validate_inputs(PIPELINES[slug], inputs) == []
    given = bucket.parent / "given"
    given.mkdir(exist_ok=True)
    (given / "inputs.json").write_text(json.dumps(inputs))
    (given / "samples.json").write_text(json.dumps(list(samples)))
    return os.environ | {
        "IFLOW_INPUTS": str(given / "inputs.json"),
        "IFLOW_SAMPLES": str(given / "samples.json"),
        "IFLOW_BUCKET_DIR": str(bucket),
        "IFLOW_OUTPUT_DIR": str(bucket / "analyses" / analysis),
        "IFLOW_ANALYSIS_ID": analysis,
        "BATCH_TASK_INDEX": "0",
        "BATCH_TASK_COUNT": "1",
        "BATCH_TASK_RETRY_ATTEMPT": str(attempt),
    }


def records(vcf: Path) -> list[str]:
    with gzip.open(vcf, "rt") as stream:
        return [line for line in stream if not line.startswith("#")]


def refused(ended: Ended, sentence: str) -> None:
    """It failed with one line on stderr, and left nothing that could be taken for a result."""
    assert ended.code == 65
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.files == []


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    (tmp_path / "bucket").mkdir()
    return tmp_path / "bucket"


# -- germline-calls -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trio:
    bucket: Path
    truth: Truth
    ended: Ended


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Trio:
    bucket = tmp_path_factory.mktemp("trio") / "bucket"
    bucket.mkdir()
    truth = simulate(20, bucket)
    return Trio(bucket, truth, run("germline-calls", bucket, truth.inputs, truth.samples))


def test_a_trio_is_called_into_one_indexed_vcf_with_metrics(trio: Trio) -> None:
    assert (trio.ended.code, trio.ended.stderr) == (0, "")
    assert trio.ended.files == [
        "calls.vcf.gz", "calls.vcf.gz.tbi", "metrics.json",
        "qc/demo-child.json", "qc/demo-father.json", "qc/demo-mother.json",
    ]  # fmt: skip
    assert trio.ended.metrics["warnings"] == []
    child = trio.ended.metrics["samples"][CHILD]
    assert child["mean_depth"] == pytest.approx(30, abs=0.5)
    assert json.loads((trio.ended.output / "qc/demo-child.json").read_text()) == {"sample": CHILD} | child
    with pysam.VariantFile(str(trio.ended.output / "calls.vcf.gz")) as vcf:
        assert sorted(vcf.header.samples) == sorted(sample["name"] for sample in trio.truth.samples)
        assert len(list(vcf.fetch("demo1"))) == trio.ended.metrics["variants"]["records"]


def test_at_least_95_percent_of_the_truth_is_found(trio: Trio) -> None:
    found = compare(trio.truth, trio.ended.output / "calls.vcf.gz")
    known = len(trio.truth.variants)
    assert len(found.found) >= 0.95 * known
    assert len(found.extra) <= 0.05 * known
    assert len(found.wrong_genotype) <= 0.05 * known
    assert len(found.found) + len(found.missed) == known


def test_consequences_are_the_true_ones_and_the_de_novo_is_there(trio: Trio) -> None:
    true = {variant.key: variant for variant in trio.truth.variants}
    with pysam.VariantFile(str(trio.ended.output / "calls.vcf.gz")) as vcf:
        for record in vcf:
            expected = true[f"{record.contig}:{record.pos}:{record.ref}:{record.alts[0]}"]
            called = record.info["BCSQ"][0].split("|")[:2] if "BCSQ" in record.info else [None, None]
            assert called == [expected.consequence, expected.gene]
    (de_novo,) = [variant for variant in trio.truth.variants if variant.inherited == "de_novo"]
    assert de_novo.consequence == "missense"
    assert de_novo.genotypes == {"demo-child": "0/1", "demo-father": "0/0", "demo-mother": "0/0"}
    assert de_novo.key in compare(trio.truth, trio.ended.output / "calls.vcf.gz").found


def test_a_second_run_writes_the_same_vcf_byte_by_byte_over_what_an_attempt_left(trio: Trio) -> None:
    leftovers = trio.bucket / "analyses/again"
    leftovers.mkdir(parents=True)
    (leftovers / ".calls.vcf.gz.partial").write_text("half a file")
    (leftovers / "calls.vcf.gz.csi").write_text("an index of something else")
    again = run("germline-calls", trio.bucket, trio.truth.inputs, trio.truth.samples, analysis="again", attempt=1)
    assert again.files == trio.ended.files
    name = "calls.vcf.gz"
    assert (again.output / name).read_bytes() == (trio.ended.output / name).read_bytes()


def test_a_region_of_a_cram_is_called_without_genes_and_without_named_samples(trio: Trio) -> None:
    reads = f"samples/{CHILD}/uploads/{CHILD}"
    cram, reference = trio.bucket / f"{reads}.cram", trio.bucket / REFERENCE
    pysam.samtools.view(
        "-C", "-T", str(reference), "-o", str(cram), str(trio.bucket / f"{reads}.bam"), catch_stdout=False
    )
    pysam.samtools.index(str(cram))
    variant = next(v for v in trio.truth.variants if v.genotypes[CHILD] != "0/0")
    region = f"demo1:{variant.position - 100}-{variant.position + 100}"
    inputs = {"alignments": [{"path": f"{reads}.cram"}], "reference": REFERENCE, "region": region}
    ended = run("germline-calls", trio.bucket, inputs, analysis="region")
    assert ended.code == 0, ended.stderr
    (record,) = records(ended.output / "calls.vcf.gz")
    assert record.split("\t")[1] == str(variant.position)
    assert "BCSQ" not in record


def test_a_truncated_bam_is_refused(trio: Trio) -> None:
    bam = trio.bucket / f"samples/{CHILD}/uploads/{CHILD}.bam"
    cut = trio.bucket / "samples/cut.bam"
    cut.write_bytes(bam.read_bytes()[:-40_000])
    inputs = {"alignments": [{"path": "samples/cut.bam"}], "reference": REFERENCE}
    ended = run("germline-calls", trio.bucket, inputs, analysis="cut")
    refused(ended, "samples/cut.bam is no whole BAM or CRAM file")


def test_reads_of_other_samples_than_requested_are_refused(trio: Trio) -> None:
    samples = [{"name": "somebody-else", "role": "proband", "sex": "female"}]
    ended = run("germline-calls", trio.bucket, trio.truth.inputs, samples, analysis="others")
    refused(ended, "the request names the samples somebody-else, but the alignments hold demo-child, demo-father")


def test_reads_aligned_to_another_reference_are_refused(trio: Trio) -> None:
    other = trio.bucket / "references/other.fa"
    other.write_text(">demo1\n" + "ACGT" * 100 + "\n")
    pysam.faidx(str(other))
    inputs = {"alignments": trio.truth.inputs["alignments"], "reference": "references/other.fa", "genes": GENES}
    ended = run("germline-calls", trio.bucket, inputs, analysis="other-reference")
    refused(ended, "contig demo1 has 80000 bases there, and references/other.fa has it with 400")


def test_ploidy_of_an_assembly_takes_the_sexes_and_says_which_is_not_known(trio: Trio) -> None:
    samples = [dict(sample) for sample in trio.truth.samples]
    samples[0]["sex"] = "unknown"
    inputs = dict(trio.truth.inputs) | {"ploidy": "GRCh38"}
    ended = run("germline-calls", trio.bucket, inputs, samples, analysis="ploidy")
    assert ended.code == 0, ended.stderr
    assert ended.metrics["warnings"] == ["the sex of demo-child is not known; X was called with two copies"]
    found = compare(trio.truth, ended.output / "calls.vcf.gz")
    assert (found.missed, found.wrong_genotype) == ((), ())


# -- vcf-normalize ------------------------------------------------------------------------------------------------


@pytest.fixture
def vcf(bucket: Path) -> Path:
    (bucket / "in.vcf").write_text(VCF)
    (bucket / "ref.fa").write_text(FASTA)
    pysam.faidx(str(bucket / "ref.fa"))
    return bucket / "in.vcf"


@pytest.mark.usefixtures("vcf")
def test_without_a_reference_records_are_sorted_and_otherwise_untouched(bucket: Path) -> None:
    ended = run("vcf-normalize", bucket, {"vcf": "in.vcf"})
    assert ended.code == 0, ended.stderr
    assert ended.files == ["metrics.json", "normalized.vcf.gz", "normalized.vcf.gz.tbi", "report.txt"]
    assert records(ended.output / "normalized.vcf.gz") == VCF.splitlines(keepends=True)[:-3:-1]
    assert ended.metrics["records_in"] == ended.metrics["records_out"] == 2
    assert (ended.metrics["left_aligned"], ended.metrics["was_sorted"]) == (False, False)
    assert "no reference was given, so indels are not left-aligned" in (ended.output / "report.txt").read_text()


@pytest.mark.usefixtures("vcf")
def test_with_a_reference_indels_are_left_aligned_and_split_on_request(bucket: Path) -> None:
    inputs = {"vcf": "in.vcf", "reference": "ref.fa", "split_multiallelics": True}
    (bucket / "in.vcf").write_text(VCF.replace("9\t.\tCA\tC,CAA", "9\t.\tAA\tA,AAA"))
    ended = run("vcf-normalize", bucket, inputs)
    assert ended.code == 0, ended.stderr
    called = [tuple(record.split("\t")[1:5]) for record in records(ended.output / "normalized.vcf.gz")]
    assert called == [("7", ".", "C", "CA"), ("7", ".", "CA", "C"), ("20", ".", "G", "A")] or called == [
        ("7", ".", "CA", "C"), ("7", ".", "C", "CA"), ("20", ".", "G", "A"),
    ]  # fmt: skip
    assert (ended.metrics["records_in"], ended.metrics["records_out"]) == (2, 3)
    assert ended.metrics["records_realigned"] > 0
    (note,) = ended.metrics["notes"]
    assert note.endswith("INFO NOTE")


@pytest.mark.usefixtures("vcf")
def test_a_vcf_of_another_reference_is_refused(bucket: Path) -> None:
    ended = run("vcf-normalize", bucket, {"vcf": "in.vcf", "reference": "ref.fa"})
    refused(ended, "bcftools norm failed")


@pytest.mark.parametrize(("how", "says"), [
    ("cut in a block", "no BGZF end block"), ("cut between blocks", "no BGZF end block"),
    ("flipped byte", "is corrupt"), ("cut text", "cut short"), ("empty", "empty"), ("no VCF", "error: "),
])
def test_a_truncated_or_corrupt_vcf_is_refused(vcf: Path, bucket: Path, how: str, says: str) -> None:
    pysam.tabix_compress(str(vcf), str(bucket / "whole.vcf.gz"))
    whole = (bucket / "whole.vcf.gz").read_bytes()
    damaged, name = {
        "cut in a block": (whole[:-50], "d.vcf.gz"),
        "cut between blocks": (whole[: -len(BGZF_END)], "d.vcf.gz"),
        "flipped byte": (whole[:60] + bytes([whole[60] ^ 1]) + whole[61:], "d.vcf.gz"),
        "cut text": (VCF.encode()[:-8], "d.vcf"),
        "empty": (b"", "d.vcf"),
        "no VCF": (b"<html>not found</html>\n", "d.vcf"),
    }[how]
    (bucket / name).write_bytes(damaged)
    refused(run("vcf-normalize", bucket, {"vcf": name}), says)


def test_a_refused_vcf_does_not_touch_what_an_earlier_run_left(vcf: Path, bucket: Path) -> None:
    first = run("vcf-normalize", bucket, {"vcf": "in.vcf"})
    before = {name: (first.output / name).read_bytes() for name in first.files}
    vcf.write_text(VCF[:-8])
    assert run("vcf-normalize", bucket, {"vcf": "in.vcf"}).code == 65
    assert {name: (first.output / name).read_bytes() for name in first.files} == before


def test_a_bcf_becomes_a_vcf_with_as_many_records(vcf: Path, bucket: Path) -> None:
    vcf.write_text(VCF.replace("NOTE=1", "."))
    pysam.bcftools.view("-Ob", "-o", str(bucket / "in.bcf"), str(vcf), catch_stdout=False)
    ended = run("vcf-normalize", bucket, {"vcf": "in.bcf"})
    assert ended.code == 0, ended.stderr
    assert len(records(ended.output / "normalized.vcf.gz")) == 2


SHELF = Path(__file__).parents[3] / "shared/data/vcf"


@pytest.mark.skipif(not SHELF.exists(), reason="the shelf of real files lies outside of the project")
def test_the_shelf_of_real_files_is_judged_as_expected(bucket: Path) -> None:
    """In this process, for speed: verdict, records, alleles and samples of each file."""
    rows = [line.split("\t") for line in (SHELF / "expected.tsv").read_text().splitlines()[1:]]
    for name, verdict, *counts in rows:
        shutil.rmtree(bucket)
        bucket.mkdir()
        try:
            normalize(Run({"vcf": name}, [], SHELF, bucket))
        except PipelineError:
            assert (name, verdict) == (name, "refuse")
            continue
        made = json.loads((bucket / "metrics.json").read_text())
        got = [made["records_out"], made["alternates_out"], len(made["samples"])]
        assert (name, verdict, *map(int, counts[:3])) == (name, "accept", *got)


# -- fail-on-request ----------------------------------------------------------------------------------------------


def test_it_fails_as_requested_and_leaves_its_log(bucket: Path) -> None:
    ended = run("fail-on-request", bucket, {"exit_code": 137, "runtime_seconds": 0, "log_lines": ["one", "$(two)"]})
    assert ended.code == 137
    assert "was asked to end with exit code 137" in ended.stderr
    assert (ended.output / "log.txt").read_text() == "one\n$(two)\n"
    assert ended.metrics == {"pipeline": "fail-on-request", "exit_code": 137, "attempt": 0, "runtime_seconds": 0.0}


@pytest.mark.parametrize(("attempt", "code"), [(0, 1), (1, 0), (2, 0)])
def test_a_retry_helps_from_the_attempt_requested(bucket: Path, attempt: int, code: int) -> None:
    inputs = {"exit_code": 1, "runtime_seconds": 0, "succeed_from_attempt": 1}
    assert run("fail-on-request", bucket, inputs, attempt=attempt).code == code


def test_a_cancelled_run_leaves_no_metrics_and_ends_at_once(bucket: Path) -> None:
    environment = prepared("fail-on-request", bucket, {"exit_code": 0, "runtime_seconds": 600}, (), "a", 0)
    command = [sys.executable, "-m", "infra.pipelines.fail_on_request"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("attempt 0: will end with exit code 0")
        process.terminate()
        assert process.wait(timeout=60) == 143
    assert not (bucket / "analyses/a/metrics.json").exists()


# -- what all of them share ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", sorted(PIPELINES))
def test_started_by_hand_it_says_in_a_sentence_what_is_missing(slug: str) -> None:
    command = [sys.executable, *PIPELINES[slug].runnables[0].command[1:]]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IFLOW_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 65
    assert done.stderr.startswith("error: the environment variable IFLOW_OUTPUT_DIR is not set")
    assert done.stderr.count("\n") == 1
