"""`stack`: one whole stack for the tests of a module. Tests share it, so each uses display ids of its own.

Not for the session: `runtime.ports()` is one for a process, and so is a stack that works by it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flow.stack import Stack, stack_over


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_over(tmp_path_factory.mktemp("stack")) as up:
        yield up
