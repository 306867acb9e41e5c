"""`stack`: one whole stack for the tests of a module. Tests share it, so each uses display ids of its own.

Not for the session: `runtime.ports()` is one for a process, and so is a stack that works by it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flow.pulled import Emulators
from tests.flow.stack import Iflow, Stack, stack_over

BACKENDS = ("embedded", "emulators")


@pytest.fixture(scope="module", params=BACKENDS)
def emulators(request: pytest.FixtureRequest) -> Emulators | None:
    """What a stack of the module is on; None for the embedded one. Its tests run on both (but see `only_embedded`)."""
    if request.param == "embedded":
        return None
    return Emulators(*(request.getfixturevalue(f"{name}_address") for name in ("pubsub", "firestore")))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators | None) -> Iterator[Stack]:
    with stack_over(tmp_path_factory.mktemp("stack"), emulators) as up:
        yield up


@pytest.fixture
def iflow(stack: Stack) -> Iflow:
    return stack.iflow
