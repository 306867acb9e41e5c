"""What every shipped pipeline shares: how it learns what to do, how it writes, and how it says that it cannot.

The service sets, and nothing is ever spliced into a command line:

- IFLOW_INPUTS: path of a JSON file, the inputs as submitted; paths in it are relative to the bucket
- IFLOW_BUCKET_DIR: the project bucket, mounted as a folder
- IFLOW_OUTPUT_DIR: the folder analyses/{slug} to write into
- IFLOW_SAMPLES: path of a JSON file, a list of {name, role, sex}
- IFLOW_ANALYSIS_ID, BATCH_TASK_INDEX, BATCH_TASK_COUNT, BATCH_TASK_RETRY_ATTEMPT
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn

import pysam.bcftools
import pysam.samtools
from pysam.utils import SamtoolsError
from pysam.version import __bcftools_version__, __samtools_version__, __version__

from shared.domain.paths import problem_with_path

BAD_DATA = 65
"""Exit code (EX_DATAERR of sysexits.h) when inputs are at fault, so that a retry is of no use."""

TERMINATED = 128 + signal.SIGTERM

TOOL_VERSIONS = {"samtools": __samtools_version__, "bcftools": __bcftools_version__, "pysam": __version__}


class PipelineError(Exception):
    """A run that cannot go on, as a sentence for the people who read its log."""


@dataclass(frozen=True)
class Run:
    """One attempt of one task. Folders are absolute."""

    inputs: Mapping[str, Any]
    samples: Sequence[Mapping[str, str]]
    bucket: Path
    output: Path
    attempt: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Run:
        """Raises PipelineError naming the variable that is missing or whose file cannot be read."""
        output = Path(_variable(environment, "IFLOW_OUTPUT_DIR")).resolve()
        output.mkdir(parents=True, exist_ok=True)
        return cls(
            inputs=_json_file(environment, "IFLOW_INPUTS", dict),
            samples=_json_file(environment, "IFLOW_SAMPLES", list) if "IFLOW_SAMPLES" in environment else [],
            bucket=Path(_variable(environment, "IFLOW_BUCKET_DIR")).resolve(),
            output=output,
            attempt=int(environment.get("BATCH_TASK_RETRY_ATTEMPT", "0")),
        )

    def required(self, name: str) -> Any:
        """The input `name`. PipelineError if there is none, which the pipeline's schema ought to have prevented."""
        if name not in self.inputs:
            raise PipelineError(f"the input {name} is missing")
        return self.inputs[name]

    def file(self, path: str) -> Path:
        """The file at `path` of the project bucket. PipelineError if it lies outside, is missing or is empty."""
        if problem := problem_with_path(path):
            raise PipelineError(f"input path: {problem}")
        file = self.bucket / path
        if not file.is_file():
            raise PipelineError(f"{path} does not exist in the project bucket")
        if file.stat().st_size == 0:
            raise PipelineError(f"{path} is empty (0 bytes)")
        return file

    def publish(self, files: Mapping[str, Path], instead_of: Iterable[str] = ()) -> None:
        """Copy finished files into the output folder, under their names there, in this order.

        Each gets its name only when it is whole: an attempt that is killed leaves hidden files, which the next one
        writes over. Name an index before its file: then no file is seen without its index. What an earlier
        attempt left under the names `instead_of` is removed.
        """
        partials = {name: self._partial(name) for name in files}
        for name, file in files.items():
            shutil.copyfile(file, partials[name])
        for name, partial in partials.items():
            partial.replace(self.output / name)
        for name in set(instead_of) - set(files):
            (self.output / name).unlink(missing_ok=True)

    def write_text(self, name: str, text: str) -> None:
        """A small file, whole or not at all."""
        partial = self._partial(name)
        partial.write_text(text)
        partial.replace(self.output / name)

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        self.write_text(name, json.dumps(data, indent=1, allow_nan=False) + "\n")

    def write_metrics(self, data: Mapping[str, Any]) -> None:
        """`metrics.json`, whose content the analysis document takes over."""
        self.write_json("metrics.json", data)

    def _partial(self, name: str) -> Path:
        final = self.output / name
        final.parent.mkdir(parents=True, exist_ok=True)
        return final.with_name(f".{final.name}.partial")


def _variable(environment: Mapping[str, str], name: str) -> str:
    if not environment.get(name):
        raise PipelineError(f"the environment variable {name} is not set; this command is started by Batch")
    return environment[name]


def _json_file(environment: Mapping[str, str], name: str, kind: type) -> Any:
    path = Path(_variable(environment, name))
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise PipelineError(f"{name}: {path} cannot be read as JSON: {error}") from None
    if not isinstance(data, kind):
        raise PipelineError(f"{name}: {path} must hold a JSON {'object' if kind is dict else 'list'}")
    return data


def bcftools(command: str, *arguments: str | Path) -> list[str]:
    """Run one of pysam's bcftools; its output must go to a file (`-o`). Returns the lines it wrote to stderr.

    An exit code of 0 does not prove that the input was read whole (../shared/PLATFORM.md): callers count.
    """
    dispatcher = getattr(pysam.bcftools, command)
    _run(f"bcftools {command}", dispatcher, arguments, catch_stdout=False)
    messages = dispatcher.get_messages()
    return messages.splitlines() if isinstance(messages, str) else list(messages)


def printed_by(suite: Literal["samtools", "bcftools"], command: str, *arguments: str | Path) -> str:
    """Run one of pysam's tools and return what it printed, which must fit into memory."""
    dispatcher = getattr(getattr(pysam, suite), command)
    return str(_run(f"{suite} {command}", dispatcher, arguments, catch_stdout=True))


def _run(name: str, dispatcher: Any, arguments: Sequence[str | Path], catch_stdout: bool) -> Any:
    try:
        return dispatcher(*map(str, arguments), catch_stdout=catch_stdout)
    except SamtoolsError as error:
        raise PipelineError(f"{name} failed: {_last_words(error)}") from None


def _last_words(error: SamtoolsError) -> str:
    """The last line that the tool wrote, out of pysam's `... stdout=None, stderr=line\\nline\\n'`."""
    words = str(error).partition("stderr=")[2].strip("'\"").replace("\\n", "\n").replace("\\t", "\t").strip()
    return words.splitlines()[-1] if words else str(error)


def say(text: str) -> None:
    """A line of the task's log, at once."""
    print(text, flush=True)


def run_pipeline(pipeline: Callable[[Run], int | None]) -> NoReturn:
    """The whole of a pipeline's `main`: exit code of the pipeline, or BAD_DATA with a sentence on stderr."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        code = pipeline(Run.from_environment(os.environ))
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_DATA)
    sys.exit(code or 0)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Leave by an exception, so that temporary files go."""
    sys.exit(TERMINATED)
