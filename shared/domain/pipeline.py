"""A pipeline's definition: what goes in, what runs, on which machine, and what must come out.

Frozen into every analysis that ran it, so that a document tells years later what was done. Registered once
under `slug@version`; `definition_digest` tells a repeat of a registration from a change, which is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from shared.domain import input_schema, paths
from shared.domain.input_schema import InputFile
from shared.domain.reasons import Reason

T = TypeVar("T")
Several = Annotated[tuple[T, ...], Field(strict=False)]
"""A list in YAML, JSON and Firestore; a tuple here, so that a definition cannot be changed in place."""


def _not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("at least one is needed")
    return items


def _a_bucket_path(path: str) -> str:
    if problem := paths.problem_with_path(path):
        raise ValueError(problem)
    return path


Some = Annotated[tuple[T, ...], Field(strict=False), AfterValidator(_not_empty)]
"""`Several`, but not none. (Pydantic's own min_length also complains when an item is at fault.)"""

MAX_RUN_SECONDS = 14 * 24 * 3600
"""Batch fails a job that has been RUNNING for 14 days."""

PLATFORM_EXIT_CODES = range(50000, 50007)
"""Exit codes that Batch gives to a task itself: 50001 is a preempted VM (../shared/PLATFORM.md)."""

RESERVED_ENVIRONMENT = ("IFLOW_", "BATCH_")


class OutputKind(StrEnum):
    """What an output is for: `vcf` is ingested, `log` is shown as the run's own, `other` is only listed."""

    VCF = "vcf"
    BAM = "bam"
    REPORT = "report"
    QC = "qc"
    LOG = "log"
    INDEX = "index"
    OTHER = "other"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Runnable(_Strict):
    """One container step. Steps run in the order given, on one VM, each over the same mounted bucket."""

    image: str = Field(
        pattern=r"^[a-z0-9][\w./:@-]*$", max_length=500,
        description="Container image with its tag or digest, as `docker pull` takes it.",
    )
    command: Some[str] = Field(
        description="Argument vector. It is never read by a shell and nothing is put into it."
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Extra environment variables of this step. IFLOW_* and BATCH_* are set by the service.",
    )

    @field_validator("command")
    @classmethod
    def _command_can_be_executed(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        if not command[0] or any("\x00" in part for part in command):
            raise ValueError("the program's name is empty, or an argument holds a NUL character")
        return command

    @field_validator("environment")
    @classmethod
    def _names_are_free(cls, environment: dict[str, str]) -> dict[str, str]:
        for name in environment:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{name!r} cannot be the name of an environment variable")
            if name.startswith(RESERVED_ENVIRONMENT):
                raise ValueError(f"{name} is set by the service; choose a name without that prefix")
        return environment


class Resources(_Strict):
    """What each task gets. The machine must be large enough for one task at least: Batch checks it."""

    machine_type: str = Field(
        pattern=r"^[a-z][a-z0-9-]*$", description="Compute Engine machine type, such as e2-standard-2."
    )
    cpu_milli: int = Field(gt=0, description="CPU of one task in thousandths of a vCPU: 2000 is two vCPUs.")
    memory_mib: int = Field(gt=0, description="Memory of one task in MiB.")
    boot_disk_mib: int = Field(ge=10_240, description="Boot disk of the VM in MiB, 10 GiB at least.")
    spot: bool = Field(description="True: a cheaper VM that Google may take away (exit code 50001).")


class Retries(_Strict):
    """Batch's `max_retry_count` with one lifecycle policy RETRY_TASK (Batch takes no more than one)."""

    max: int = Field(default=0, ge=0, le=10, description="Retries of one task after its first attempt, 0-10.")
    on_exit_codes: Several[int] = Field(
        default=(),
        description="Only these exit codes are retried (1-255, Batch's 50000-50006). Empty: every failure.",
    )

    @model_validator(mode="after")
    def _codes_make_sense(self) -> Retries:
        wrong = [c for c in self.on_exit_codes if not (1 <= c <= 255 or c in PLATFORM_EXIT_CODES)]
        if wrong:
            raise ValueError(f"on_exit_codes: {wrong} are no exit codes; 1-255 and 50000-50006 are")
        if self.on_exit_codes and not self.max:
            raise ValueError("on_exit_codes are given but max is 0, so nothing would ever be retried")
        return self


class OutputIndex(_Strict):
    """The index that belongs beside each file of an output, such as calls.vcf.gz.tbi."""

    suffixes: Some[str] = Field(
        description="Added to the file's whole name, the first that exists: ['.tbi', '.csi']."
    )
    required: bool = Field(description="True: a file without its index is a missing output.")

    @field_validator("suffixes")
    @classmethod
    def _suffixes_begin_with_a_dot(cls, suffixes: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [s for s in suffixes if not re.fullmatch(r"(\.\w+)+", s)]:
            raise ValueError(f"{wrong[0]!r} is no suffix; one begins with a dot, such as .tbi")
        return suffixes


class Output(_Strict):
    """A kind of file that the pipeline leaves in its folder. A file belongs to the first entry it matches."""

    glob: str = Field(
        description="Relative to analyses/{slug}/. `*` and `?` stay inside a folder, `**/` spans folders, "
        "`{sample}` stands for a sample's name, percent-encoded (`files.file_stem`).",
    )
    kind: OutputKind = Field(strict=False, description="What the file is for.")
    required: bool = Field(
        description="True: a run that leaves none, or an empty one, failed. With {sample}: one per sample."
    )
    sample: str | None = Field(
        default=None, min_length=1,
        description="Name of the sample that the file is of, for a pipeline that always runs the same one.",
    )
    index: OutputIndex | None = Field(default=None, description="Its index, listed with kind `index`.")

    @field_validator("glob")
    @classmethod
    def _glob_stays_inside(cls, glob: str) -> str:
        if problem := paths.problem_with_path(glob.replace("**/", "", 1)):
            raise ValueError(problem)
        if glob.count("{sample}") > 1 or re.search(r"[{}]", glob.replace("{sample}", "")):
            raise ValueError("braces stand only in {sample}, once")
        return glob

    @model_validator(mode="after")
    def _one_source_of_the_sample(self) -> Output:
        if self.sample and "{sample}" in self.glob:
            raise ValueError("give sample or {sample} in glob, not both")
        return self


class Annotations(_Strict):
    """Where the pipeline's VCFs hold its own classification: an INFO key, or a field of CSQ, ANN or BCSQ, for each."""

    tier: str | None = Field(
        default=None, min_length=1, description="AMP/ASCO/CAP tier, such as ISEQ_REPORT_AMP_CLASSIFICATION."
    )
    acmg_class: str | None = Field(default=None, min_length=1, description="ACMG/AMP class.")
    gene: str | None = Field(
        default=None, min_length=1,
        description="Symbol of the gene that a variant is reported for, such as ISEQ_REPORT_GENE_SYMBOL.",
    )


class Pipeline(_Strict):
    """One version of a pipeline. A version that was once registered never changes."""

    slug: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63, description="Its name in requests.")
    version: str = Field(
        pattern=r"^(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}$", max_length=32, description="Three numbers: 1.0.0."
    )
    title: str = Field(min_length=1, max_length=120, description="Its name for people.")
    description: str = Field(default="", max_length=4000, description="What it does and what it does not.")
    inputs: dict[str, JsonValue] = Field(
        description="JSON Schema (draft 2020-12) of the inputs object; see shared/domain/input_schema.py."
    )
    runnables: Some[Runnable] = Field(description="Container steps of a task, in order.")
    resources: Resources
    task_count: int = Field(
        default=1, ge=1, le=10_000, description="Tasks of the job; BATCH_TASK_INDEX (from 0) tells which."
    )
    parallelism: int = Field(default=1, ge=1, le=10_000, description="Tasks that may run at the same time.")
    retries: Retries = Field(default_factory=Retries)
    max_run_seconds: int = Field(
        ge=1, le=MAX_RUN_SECONDS,
        description="Longest time of one attempt of a task in seconds; over it, the attempt ends with 50005.",
    )
    outputs: Some[Output] = Field(description="What it leaves in analyses/{slug}/.")
    annotations: Annotations | None = Field(
        default=None, description="Its own fields of classification, shown and filtered by as tier, class and gene."
    )
    reference: Annotated[str, AfterValidator(_a_bucket_path)] | None = Field(
        default=None,
        description="FASTA file in the project bucket, with .fai (and .gzi, if it is in BGZF) beside it: by it the "
        "keys of indels are left-aligned.",
    )
    price_table: str = Field(min_length=1, max_length=63, description="Price table of its cost estimate.")

    @field_validator("inputs")
    @classmethod
    def _inputs_is_a_schema(cls, schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if faults := input_schema.faults(schema):
            raise ValueError("; ".join(faults))
        return schema

    @model_validator(mode="after")
    def _parallelism_is_of_use(self) -> Pipeline:
        if self.parallelism > self.task_count:
            raise ValueError(f"parallelism {self.parallelism} is more than task_count {self.task_count}")
        return self

    @property
    def key(self) -> str:
        """`slug@version`, its id everywhere."""
        return f"{self.slug}@{self.version}"

    @property
    def order(self) -> tuple[int, ...]:
        """The version as numbers: the greatest is `latest`."""
        return tuple(int(part) for part in self.version.split("."))


def input_files(pipeline: Pipeline, inputs: Mapping[str, Any]) -> list[InputFile]:
    """Every bucket path in `inputs`, in the order of the document, with the indexes that must lie beside it.

    Does not raise on invalid inputs: what has the wrong type is passed over, and `validate_inputs` names it.
    """
    return list(input_schema.files(pipeline.inputs, inputs, "inputs"))


def validate_inputs(pipeline: Pipeline, inputs: object) -> list[Reason]:
    """Every fault of `inputs` against the pipeline's schema, at once; empty when there is none.

    Whether a path exists is not looked at here (no I/O), only whether it can lie inside the project bucket.
    """
    return input_schema.validate(pipeline.inputs, inputs, "inputs")


def definition_digest(pipeline: Pipeline) -> str:
    """`sha256:` and 64 hex digits over the canonical JSON of the definition, defaults filled in; without `annotations`
    and `reference` where there are none, as definitions were before they could have any."""
    without = {name for name in ("annotations", "reference") if getattr(pipeline, name) is None}
    text = json.dumps(pipeline.model_dump(mode="json", exclude=without), sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
