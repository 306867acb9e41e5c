"""`stack`: one whole stack for the tests of a module. Tests share it, so each uses display ids of its own.

Not for the session: `runtime.ports()` is one for a process, and so is a stack that works by it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from services.cli.main import app
from tests.flow.stack import Iflow, Stack, stack_over


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_over(tmp_path_factory.mktemp("stack")) as up:
        yield up


@pytest.fixture
def iflow(stack: Stack) -> Iflow:
    """The command in this process, as user `ada` of project demo, unless told else."""

    def run(*arguments: str, **environment: str) -> Result:
        asked = {"IFLOW_API": stack.api, "IFLOW_PROJECT": "demo", "IFLOW_USER": "ada", **environment}
        return CliRunner().invoke(app, list(arguments), env=asked, catch_exceptions=False)

    return run
