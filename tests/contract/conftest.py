"""Every adapter of a port, one parameter each: the suites of this folder run against all of them.

To add an adapter, add its name and its builder to the dict of its port.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.documents import SqliteDocuments
from shared.adapters.embedded.objects import DirectoryObjects
from shared.adapters.google.documents import FirestoreDocuments, firestore_client
from shared.adapters.google.objects import StorageObjects, storage_objects
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.documents import MemoryDocuments
from shared.adapters.memory.objects import MemoryObjects
from shared.domain.events import Topic
from shared.ports import Documents, Objects
from shared.topology import Listing, Retry, SubscriptionSpec, TopicSpec, Topology, topology
from tests.contract.clock import FakeClock
from tests.contract.emulators import a_google_project

COLUMNS = Listing(
    collection="analyses", equal=("pipeline.slug", "status", "tags", "m.s"), orders=(("n", "s", "x", "y", "at"),)
)
"""What the suite asks for by, so that the columns answer it and not the documents' JSON."""

DOCUMENTS: dict[str, Callable[[pytest.FixtureRequest, Path], Documents]] = {
    "memory": lambda _, __: MemoryDocuments(),
    "embedded": lambda _, folder: SqliteDocuments(folder / "documents.db", topology().indexes),
    "embedded, in columns": lambda _, folder: SqliteDocuments(folder / "documents.db", (), (COLUMNS,)),
    "google": lambda request, _: firestore_documents(request.getfixturevalue("firestore_address")),
}
PulledBus = MemoryBus | SqliteBus  # publishing is the port; pulling is what a dispatcher needs of either
BUSES: dict[str, Callable[[Path, Topology, FakeClock], PulledBus]] = {
    "memory": lambda _, layout, clock: MemoryBus(layout, clock),
    "embedded": lambda folder, layout, clock: SqliteBus(folder / "bus.db", layout, clock),
}
OBJECTS: dict[str, Callable[[pytest.FixtureRequest, Path, FakeClock], Objects]] = {
    "memory": lambda _, __, clock: MemoryObjects(clock),
    "embedded": lambda _, folder, __: DirectoryObjects(folder / "objects"),
    "google": lambda request, _, __: request.getfixturevalue("cloud_objects"),
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=DOCUMENTS)
def documents(request: pytest.FixtureRequest, tmp_path: Path) -> Documents:
    return DOCUMENTS[request.param](request, tmp_path)


def firestore_documents(address: str) -> FirestoreDocuments:
    """Over an empty database of its own."""
    return FirestoreDocuments(firestore_client(a_google_project(), emulator=address))


@pytest.fixture(params=OBJECTS)
def objects(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Objects:
    return OBJECTS[request.param](request, tmp_path, clock)


@pytest.fixture
def cloud_objects(storage_address: str, storage_root: Path) -> StorageObjects:
    """Over the buckets `b` and `other`, both empty."""
    for old in storage_root.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for bucket in ("b", "other"):
        (storage_root / bucket).mkdir()
    return storage_objects("test", emulator=storage_address)


@pytest.fixture(params=BUSES)
def bus(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> PulledBus:
    return BUSES[request.param](tmp_path, LAYOUT, clock)


def _subscription(topic: Topic, **changed: object) -> SubscriptionSpec:
    plain = {
        "topic": topic, "types": (), "ordering": False, "ack_deadline_s": 60, "retry": Retry(min_s=1, max_s=8),
        "max_attempts": 5,
    }
    return topology().subscriptions["track"].model_copy(update={**plain, **changed})


LAYOUT = topology().model_copy(update={
    "topics": {
        Topic.COMMANDS: TopicSpec(retention_s=3_600, ordering=True),
        Topic.EVENTS: TopicSpec(retention_s=3_600, ordering=True),
        Topic.BATCH: TopicSpec(retention_s=600, ordering=False),
        Topic.DEAD_LETTERS: TopicSpec(retention_s=86_400, ordering=False),
    },
    "subscriptions": {
        "ordered": _subscription(Topic.COMMANDS, ordering=True),
        "submits": _subscription(Topic.COMMANDS, types=("analysis.submit", "analysis.start")),
        "rest": _subscription(Topic.EVENTS, not_types=("analysis.submit", "analysis.start")),
        "unordered": _subscription(Topic.BATCH),
        "patient": _subscription(Topic.BATCH, max_attempts=None),
        "letters": _subscription(Topic.DEAD_LETTERS, max_attempts=None),
    },
})
"""Small on purpose: one subscription for each promise."""
