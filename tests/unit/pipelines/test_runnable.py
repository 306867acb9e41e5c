"""How a pipeline learns what to do, and how it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.pipelines.runnable import PipelineError, Run, bcftools


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "inputs.json").write_text('{"vcf": "a.vcf"}')
    (tmp_path / "bucket").mkdir()
    return {
        "IFLOW_INPUTS": str(tmp_path / "inputs.json"),
        "IFLOW_BUCKET_DIR": str(tmp_path / "bucket"),
        "IFLOW_OUTPUT_DIR": str(tmp_path / "bucket/analyses/a"),
    }


def test_the_output_folder_is_made_and_samples_may_be_absent(environment: dict[str, str]) -> None:
    run = Run.from_environment(environment)
    assert run.output.is_dir()
    assert (run.required("vcf"), run.samples, run.attempt) == ("a.vcf", [], 0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("IFLOW_INPUTS", "", "IFLOW_INPUTS: .* cannot be read as JSON"),
        ("IFLOW_INPUTS", "[]", "IFLOW_INPUTS: .* must hold a JSON object"),
        ("IFLOW_SAMPLES", "{}", "IFLOW_SAMPLES: .* must hold a JSON list"),
    ],
)
def test_a_file_that_is_not_what_it_must_be_is_named(
    environment: dict[str, str], tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / "given.json").write_text(content)
    with pytest.raises(PipelineError, match=message):
        Run.from_environment(environment | {name: str(tmp_path / "given.json")})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../inputs.json", "may lead out of the project bucket"),
        ("/etc/passwd", "is absolute"),
        ("none.vcf", "does not exist"),
        ("empty.vcf", "is empty"),
    ],
)
def test_an_input_file_lies_in_the_bucket_and_holds_something(
    environment: dict[str, str], path: str, message: str
) -> None:
    run = Run.from_environment(environment)
    (run.bucket / "empty.vcf").touch()
    with pytest.raises(PipelineError, match=message):
        run.file(path)


def test_nothing_gets_its_name_unless_every_file_is_whole(environment: dict[str, str], tmp_path: Path) -> None:
    run = Run.from_environment(environment)
    (tmp_path / "made").write_text("whole")
    with pytest.raises(FileNotFoundError):
        run.publish({"a.vcf.gz.tbi": tmp_path / "made", "a.vcf.gz": tmp_path / "never-made"})
    assert [path.name for path in run.output.iterdir() if not path.name.startswith(".")] == []
    run.publish({"a.vcf.gz.csi": tmp_path / "made", "a.vcf.gz": tmp_path / "made"})
    run.publish({"a.vcf.gz.tbi": tmp_path / "made", "a.vcf.gz": tmp_path / "made"}, instead_of=["a.vcf.gz.csi"])
    assert sorted(path.name for path in run.output.iterdir()) == ["a.vcf.gz", "a.vcf.gz.tbi"]


def test_metrics_are_json_without_nan(environment: dict[str, str]) -> None:
    run = Run.from_environment(environment)
    run.write_metrics({"depth": 30.5})
    assert json.loads((run.output / "metrics.json").read_text()) == {"depth": 30.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_metrics({"depth": float("nan")})
    assert json.loads((run.output / "metrics.json").read_text()) == {"depth": 30.5}


def test_a_tool_that_fails_says_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^bcftools view failed: .*No such file or directory$"):
        bcftools("view", "-o", tmp_path / "out.vcf", tmp_path / "absent.vcf")
