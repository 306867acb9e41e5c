"""Google's emulators for the contract suites: each begun once a test process, when the first test asks for it.

With xdist every worker has its own, which costs 4 s a worker and shares nothing between them; each is stopped by its
process id when the worker ends. On CI (`CI=true`) a missing emulator fails; elsewhere its tests are skipped, and say
how to get it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from infra.local.emulators import EmulatorMissing, firestore_emulator, free_port, pubsub_emulator, storage_server


@pytest.fixture(scope="session")
def firestore_address() -> Iterator[str]:
    yield from _up(firestore_emulator(free_port()))


@pytest.fixture(scope="session")
def pubsub_address() -> Iterator[str]:
    yield from _up(pubsub_emulator(free_port()))


@pytest.fixture(scope="session")
def storage_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Buckets are folders in it."""
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="session")
def storage_address(storage_root: Path) -> Iterator[str]:
    yield from _up(storage_server(free_port(), storage_root))


def a_google_project() -> str:
    """The emulators keep each project's documents and topics apart: a test has a new project, and finds it empty."""
    return f"test-{uuid.uuid4().hex[:12]}"


def _up(emulator: AbstractContextManager[str]) -> Iterator[str]:
    try:
        address = emulator.__enter__()
    except EmulatorMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    try:
        yield address
    finally:
        emulator.__exit__(None, None, None)
