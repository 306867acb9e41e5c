"""Every Google adapter when its service fails: before its effect and after it, too late, broken off, slow.

The outcome is right, the error is one of ours, and what is tried again is tried a bounded number of times.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from shared.adapters.google.addresses import plain_urls
from shared.adapters.google.batch import BatchEngine, local_client
from shared.adapters.google.bus import PubSubBus, publisher_client
from shared.adapters.google.calls import ATTEMPTS
from shared.adapters.google.documents import CONTENDED_ATTEMPTS, FirestoreDocuments, firestore_client
from shared.adapters.google.objects import REPEATS, StorageObjects, storage_client
from shared.domain.acceptance import job_spec
from shared.domain.errors import Conflict, NotFound, Permanent, Unavailable
from shared.domain.job import JobState
from shared.ports import Create, Delete, Message, Query, Update
from tests.builders import an_analysis
from tests.contract import batch_stack
from tests.contract.emulators import a_google_project
from tests.contract.faults import Fault, GrpcProxy, HttpProxy, Wire
from tests.contract.test_bus_google import PubSub

A = "projects/p/analyses/a"
HERE = Query("projects/p/analyses")
DEADLINE_S = 0.5
DOWN = Fault(StatusCode.UNAVAILABLE)
LOST = Fault(StatusCode.UNAVAILABLE, after=True)
LATE = Fault(wait_s=20)
SLOW = Fault(wait_s=DEADLINE_S / 5)


def within(seconds: float) -> Any:
    """The deadline must be kept, too: nobody waits for a service that is silent."""
    return _Within(seconds)


class _Within:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        self.began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        assert time.monotonic() - self.began < self.seconds


# -- Firestore ----------------------------------------------------------------------------------------------------


@pytest.fixture
def firestore(firestore_address: str) -> Iterator[GrpcProxy]:
    proxy = GrpcProxy(firestore_address)
    yield proxy
    proxy.stop()


@pytest.fixture
def documents(firestore: GrpcProxy) -> FirestoreDocuments:
    documents = FirestoreDocuments(firestore_client(a_google_project(), emulator=firestore.address))
    documents.get("projects/p/warm/up")  # the first call opens the connection, which is not what is timed
    return FirestoreDocuments(documents._client, read_deadline_s=DEADLINE_S, commit_deadline_s=DEADLINE_S)


def test_a_read_is_tried_again(firestore: GrpcProxy, documents: FirestoreDocuments) -> None:
    documents.commit([Create(A, {"x": 1})])
    for call, read in (("BatchGetDocuments", lambda: documents.get(A)),
                       ("RunQuery", lambda: documents.query(HERE).items[0])):
        for fault in (DOWN, LOST, Fault(StatusCode.INTERNAL), Fault(StatusCode.ABORTED), SLOW):
            firestore.faults.plan(call, fault)
            assert read().data == {"x": 1}
            assert firestore.faults.calls[call] == (1 if fault is SLOW else 2)
        firestore.faults.plan(call, *[DOWN] * 9)
        with pytest.raises(Unavailable):
            read()
        assert firestore.faults.calls[call] == ATTEMPTS


@pytest.mark.parametrize("fault", [
    LATE, Fault(StatusCode.RESOURCE_EXHAUSTED), Fault(StatusCode.PERMISSION_DENIED), Fault(StatusCode.UNAUTHENTICATED),
])
def test_what_time_alone_may_mend_is_left_to_the_caller(
    firestore: GrpcProxy, documents: FirestoreDocuments, fault: Fault
) -> None:
    for call, act in (("BatchGetDocuments", lambda: documents.get(A)), ("RunQuery", lambda: documents.query(HERE)),
                      ("Commit", lambda: documents.commit([Create(A, {})]))):
        firestore.faults.plan(call, fault)
        with pytest.raises(Unavailable), within(LATE.wait_s):
            act()
        assert firestore.faults.calls[call] == 1


def test_a_commit_whose_answer_is_lost_is_not_repeated_and_shows_itself(
    firestore: GrpcProxy, documents: FirestoreDocuments
) -> None:
    firestore.faults.plan("Commit", DOWN)
    with pytest.raises(Unavailable):
        documents.commit([Create(A, {"x": 1})])
    assert documents.get(A) is None
    firestore.faults.plan("Commit", LOST)
    with pytest.raises(Unavailable):
        documents.commit([Create(A, {"x": 1})])
    assert firestore.faults.calls["Commit"] == 1
    found = documents.get(A)
    assert found.data == {"x": 1}
    with pytest.raises(Conflict) as repeated:
        documents.commit([Create(A, {"x": 1})])
    assert repeated.value.path == A
    firestore.faults.plan("Commit", LOST)
    with pytest.raises(Unavailable):
        documents.commit([Update(A, {"x": 2}, found.version)])
    with pytest.raises(Conflict):
        documents.commit([Update(A, {"x": 2}, found.version)])
    assert documents.get(A).data == {"x": 2}


def test_contention_is_waited_for_a_bounded_number_of_times(
    firestore: GrpcProxy, documents: FirestoreDocuments
) -> None:
    aborted = Fault(StatusCode.ABORTED)
    firestore.faults.plan("Commit", aborted, aborted)
    documents.commit([Create(A, {"x": 1})])
    assert firestore.faults.calls["Commit"] == 3
    firestore.faults.plan("Commit", *[aborted] * 20)
    with pytest.raises(Unavailable):
        documents.commit([Create(f"{A}2", {})])
    assert firestore.faults.calls["Commit"] == CONTENDED_ATTEMPTS


def test_a_conflict_that_cannot_be_looked_at_is_unavailable(
    firestore: GrpcProxy, documents: FirestoreDocuments
) -> None:
    documents.commit([Create(A, {})])
    firestore.faults.plan("BatchGetDocuments", *[DOWN] * ATTEMPTS)
    with pytest.raises(Unavailable):
        documents.commit([Create(A, {}), Create(f"{A}2", {})])


def test_a_conflict_names_the_write_that_was_refused_and_costs_a_read_where_there_were_several(
    firestore: GrpcProxy, documents: FirestoreDocuments
) -> None:
    first, second = documents.commit([Create(A, {}), Create(f"{A}2", {})])
    (newer,) = documents.commit([Update(f"{A}2", {"x": 1}, second)])
    for writes, path in (
        ([Update(A, {}, first), Update(f"{A}2", {}, second)], f"{A}2"),
        ([Create(f"{A}3", {}), Delete(f"{A}2", second), Create(A, {})], f"{A}2"),
        ([Update(f"{A}2", {}, newer), Create(A, {})], A),
        ([Update(f"{A}4", {}, first)], f"{A}4"),
    ):
        firestore.faults.plan("BatchGetDocuments")
        with pytest.raises(Conflict) as refused:
            documents.commit(writes)
        assert refused.value.path == path
        assert firestore.faults.calls["BatchGetDocuments"] == (1 if len(writes) > 1 else 0)


def test_each_operation_is_one_call(firestore: GrpcProxy, documents: FirestoreDocuments) -> None:
    for call in ("Commit", "BatchGetDocuments", "RunQuery"):
        firestore.faults.plan(call)
    (version,) = documents.commit([Create(A, {})])
    documents.commit([Update(A, {"x": 1}, version), Create(f"{A}2", {})])
    documents.get(A)
    documents.query(HERE)
    assert {call: firestore.faults.calls[call] for call in ("Commit", "BatchGetDocuments", "RunQuery")} == {
        "Commit": 2, "BatchGetDocuments": 1, "RunQuery": 1,
    }


def test_what_firestore_calls_invalid_is_permanent(firestore: GrpcProxy, documents: FirestoreDocuments) -> None:
    firestore.faults.plan("Commit", Fault(StatusCode.INVALID_ARGUMENT))
    with pytest.raises(Permanent):
        documents.commit([Create(A, {})])
    firestore.faults.plan("RunQuery", Fault(StatusCode.FAILED_PRECONDITION))
    with pytest.raises(Permanent, match="no index"):
        documents.query(HERE)


def test_a_reset_connection_is_opened_again(firestore_address: str) -> None:
    wire = Wire(firestore_address)
    documents = FirestoreDocuments(firestore_client(a_google_project(), emulator=wire.address))
    documents.commit([Create(A, {"x": 1})])
    wire.cut()
    assert documents.get(A).data == {"x": 1}
    wire.stop()


def test_a_watcher_outlives_a_broken_stream_and_says_when_it_ends(
    firestore: GrpcProxy, documents: FirestoreDocuments, firestore_address: str
) -> None:
    wire = Wire(firestore.address)
    watching = FirestoreDocuments(firestore_client(documents._client.project, emulator=wire.address))
    pages = watching.watch(HERE)
    assert next(pages).items == ()
    wire.cut()
    documents.commit([Create(A, {})])
    assert [stored.id for stored in next(pages).items] == ["a"]
    firestore.faults.plan("Listen", *[Fault(StatusCode.PERMISSION_DENIED)] * 5)
    wire.cut()
    with pytest.raises(Unavailable, match="listener"), within(10):
        next(pages)
    wire.stop()


# -- Pub/Sub ------------------------------------------------------------------------------------------------------

TOPIC, SUBSCRIPTION = "analysis-commands", "ordered"


@pytest.fixture
def pubsub(pubsub_address: str) -> PubSub:
    return PubSub(pubsub_address)


@pytest.fixture
def publishing(pubsub: PubSub) -> Iterator[tuple[GrpcProxy, PubSubBus]]:
    proxy = GrpcProxy(pubsub.address)
    publisher = publisher_client(emulator=proxy.address)
    PubSubBus(publisher, pubsub.project).publish("batch-events", Message(b"opens the connection", {}))
    yield proxy, PubSubBus(publisher, pubsub.project, deadline_s=DEADLINE_S)
    publisher.stop()
    proxy.stop()


@pytest.mark.parametrize("key", ["", "a"])
def test_a_publish_is_tried_again_and_may_arrive_twice(
    publishing: tuple[GrpcProxy, PubSubBus], pubsub: PubSub, key: str
) -> None:
    proxy, bus = publishing
    for fault, times in ((DOWN, 1), (LOST, 2), (Fault(StatusCode.INTERNAL), 1), (SLOW, 1)):
        proxy.faults.plan("Publish", fault)
        bus.publish(TOPIC, Message(b"x", {}, key))
        assert proxy.faults.calls["Publish"] == (1 if fault is SLOW else 2)
        assert len(pubsub.pull(SUBSCRIPTION, times)) == times


@pytest.mark.parametrize("key", ["", "a"])
@pytest.mark.parametrize(("fault", "tries"), [
    (DOWN, ATTEMPTS), (LATE, 1), (Fault(StatusCode.RESOURCE_EXHAUSTED), 1), (Fault(StatusCode.PERMISSION_DENIED), 1),
])
def test_a_publish_that_failed_does_not_pause_its_key(
    publishing: tuple[GrpcProxy, PubSubBus], pubsub: PubSub, key: str, fault: Fault, tries: int
) -> None:
    proxy, bus = publishing
    proxy.faults.plan("Publish", *[fault] * tries)
    with pytest.raises(Unavailable), within(LATE.wait_s):
        bus.publish(TOPIC, Message(b"1", {}, key))
    assert proxy.faults.calls["Publish"] == tries
    bus.publish(TOPIC, Message(b"2", {}, key))
    assert b"2" in [message.data for message in pubsub.pull(SUBSCRIPTION, 1)]


def test_c81_after_a_publish_that_timed_out_its_analysis_goes_on_in_order_and_others_are_not_delayed(
    publishing: tuple[GrpcProxy, PubSubBus], pubsub: PubSub
) -> None:
    proxy, bus = publishing
    proxy.faults.plan("Publish", LATE)
    with ThreadPoolExecutor(2) as pool:
        timed_out = pool.submit(bus.publish, TOPIC, Message(b"a1", {}, "a"))
        while proxy.faults.calls["Publish"] == 0:
            time.sleep(0.01)
        with within(DEADLINE_S):
            bus.publish(TOPIC, Message(b"b1", {}, "b"))
        with pytest.raises(Unavailable):
            timed_out.result()
    for text in (b"a1", b"a2", b"a3", b"a4"):  # the outbox holds them in this order, the first one still among them
        bus.publish(TOPIC, Message(text, {}, "a"))
    found = [m.data for m in pubsub.pull(SUBSCRIPTION, 5) if m.ordering_key == "a"]
    assert found == [b"a1", b"a2", b"a3", b"a4"]


def test_a_publisher_opens_a_reset_connection_again(pubsub: PubSub) -> None:
    wire = Wire(pubsub.address)
    publisher = publisher_client(emulator=wire.address)
    bus = PubSubBus(publisher, pubsub.project)
    bus.publish(TOPIC, Message(b"1", {}, "a"))
    wire.cut()
    bus.publish(TOPIC, Message(b"2", {}, "a"))
    assert [m.data for m in pubsub.pull(SUBSCRIPTION, 2)] == [b"1", b"2"]
    publisher.stop()
    wire.stop()


# -- Cloud Storage ------------------------------------------------------------------------------------------------


@pytest.fixture
def storing(cloud_objects: StorageObjects, storage_address: str) -> Iterator[tuple[HttpProxy, StorageObjects]]:
    del cloud_objects  # empty buckets are what is wanted of it
    proxy = HttpProxy(storage_address)
    client = storage_client("test", emulator=proxy.address)
    yield proxy, StorageObjects(client, plain_urls(proxy.address), timeout_s=DEADLINE_S)
    proxy.stop()


REPEATED = [Fault(503), Fault(429), Fault(500), Fault("reset")]


@pytest.mark.parametrize("fault", REPEATED)
def test_a_request_of_storage_is_sent_again_twice_at_most(
    storing: tuple[HttpProxy, StorageObjects], fault: Fault
) -> None:
    proxy, objects = storing
    written = objects.write("b", "x", b"0123456789")
    for act, found in (
        (lambda: objects.stat("b", "x"), written), (lambda: objects.read("b", "x"), b"0123456789"),
        (lambda: objects.read("b", "x", start=8, length=5), b"89"), (lambda: list(objects.list("b", "")), [written]),
    ):
        proxy.faults.plan("GET", fault)
        assert act() == found
        assert proxy.faults.calls["GET"] == 2
        proxy.faults.plan("GET", *[fault] * 5)
        with pytest.raises(Unavailable):
            act()
        assert proxy.faults.calls["GET"] == 1 + REPEATS


def test_an_answer_that_does_not_come_is_not_waited_for(storing: tuple[HttpProxy, StorageObjects]) -> None:
    proxy, objects = storing
    proxy.faults.plan("GET", *[LATE] * 5)
    with pytest.raises(Unavailable), within(LATE.wait_s):
        objects.stat("b", "x")
    assert proxy.faults.calls["GET"] == 1 + REPEATS
    proxy.faults.plan("GET", SLOW)
    assert objects.stat("b", "x") is None
    assert proxy.faults.calls["GET"] == 1


@pytest.mark.parametrize("fault", REPEATED)
def test_a_write_before_its_effect_is_repeated(storing: tuple[HttpProxy, StorageObjects], fault: Fault) -> None:
    proxy, objects = storing
    proxy.faults.plan("POST", fault)
    written = objects.write("b", "x", b"data", if_generation=0)
    assert proxy.faults.calls["POST"] == 2
    assert objects.stat("b", "x") == written
    proxy.faults.plan("POST", *[Fault(503)] * 5)
    with pytest.raises(Unavailable):
        objects.write("b", "y", b"data", if_generation=0)
    assert proxy.faults.calls["POST"] == 1 + REPEATS
    assert objects.stat("b", "y") is None


@pytest.mark.parametrize("code", [503, "reset"])
def test_a_conditional_write_whose_answer_was_lost_has_succeeded(
    storing: tuple[HttpProxy, StorageObjects], code: Any
) -> None:
    proxy, objects = storing
    proxy.faults.plan("POST", Fault(code, after=True))
    first = objects.write("b", "x", b"one", if_generation=0)
    assert (proxy.faults.calls["POST"], objects.stat("b", "x")) == (2, first)
    proxy.faults.plan("POST", Fault(code, after=True))
    second = objects.write("b", "x", b"two", if_generation=first.generation)
    assert objects.read("b", "x") == b"two"
    assert second.generation > first.generation
    proxy.faults.plan("POST", Fault(code))
    with pytest.raises(Conflict):
        objects.write("b", "x", b"three", if_generation=0)
    assert objects.stat("b", "x") == second


def test_a_repeated_write_does_not_take_somebody_elses_object_for_its_own(
    storing: tuple[HttpProxy, StorageObjects]
) -> None:
    proxy, objects = storing
    theirs = objects.write("b", "x", b"same")
    for before in (0, theirs.generation + 1):
        proxy.faults.plan("POST", Fault(503))
        with pytest.raises(Conflict):
            objects.write("b", "x", b"same", if_generation=before)
    assert objects.stat("b", "x") == theirs


@pytest.mark.parametrize("fault", [Fault(503), Fault("reset")])
def test_a_large_upload_survives_a_fault_in_one_of_its_pieces(
    storing: tuple[HttpProxy, StorageObjects], tmp_path: Path, fault: Fault
) -> None:
    proxy, _ = storing
    objects = patient(proxy)
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * 80_000)
    proxy.faults.plan("PUT", Fault(), fault)
    written = objects.upload("b", "large", source, if_generation=0)
    assert written.size == 20_480_000
    assert proxy.faults.calls["PUT"] <= 3 + REPEATS
    with objects.local("b", "large") as file:
        assert file.read_bytes() == source.read_bytes()


def test_a_large_upload_that_was_put_together_wrongly_is_taken_away(
    storing: tuple[HttpProxy, StorageObjects], tmp_path: Path
) -> None:
    """The local server keeps a piece twice that is sent twice (Cloud Storage does not), and checks no checksum."""
    proxy, _ = storing
    objects = patient(proxy)
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * 80_000)
    proxy.faults.plan("PUT", Fault(), Fault(503, after=True))
    with pytest.raises(Unavailable, match="damaged"):
        objects.upload("b", "large", source, if_generation=0)
    assert objects.stat("b", "large") is None


def patient(proxy: HttpProxy) -> StorageObjects:
    """For large files, which the local server takes its time for."""
    return StorageObjects(storage_client("test", emulator=proxy.address), plain_urls(proxy.address))


def test_a_download_that_breaks_off_goes_on(storing: tuple[HttpProxy, StorageObjects]) -> None:
    proxy, objects = storing
    data = bytes(range(256)) * 40_000
    objects.write("b", "x", data)
    proxy.faults.plan("GET", Fault(), Fault("half"))
    with objects.local("b", "x") as file:
        assert file.read_bytes() == data
    assert proxy.faults.calls["GET"] <= 2 + REPEATS
    proxy.faults.plan("GET", Fault(), *[Fault("half")] * 9)
    with pytest.raises(Unavailable), objects.local("b", "x"):
        pass
    assert proxy.faults.calls["GET"] <= 2 + REPEATS


def test_a_role_that_is_missing_may_come_and_a_bad_request_never_does(
    storing: tuple[HttpProxy, StorageObjects]
) -> None:
    proxy, objects = storing
    for status, kind in ((403, Unavailable), (401, Unavailable), (400, Permanent), (404, NotFound)):
        proxy.faults.plan("GET", Fault(status))
        with pytest.raises(kind):
            objects.read("b", "x")
        assert proxy.faults.calls["GET"] == 1


# -- Batch --------------------------------------------------------------------------------------------------------


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[tuple[GrpcProxy, BatchEngine, batch_stack.Stack]]:
    with batch_stack.running(tmp_path) as stack:
        proxy = GrpcProxy(stack.address)
        client = local_client(proxy.address)
        BatchEngine(client).describe(SPEC.name)  # opens the connection
        yield proxy, BatchEngine(client, read_deadline_s=DEADLINE_S, write_deadline_s=DEADLINE_S), stack
        proxy.stop()


SPEC = job_spec(an_analysis(), "batch-events")
Batch = tuple[GrpcProxy, BatchEngine, batch_stack.Stack]


def jobs(stack: batch_stack.Stack) -> list[str]:
    return [job.name for job in stack.client.list_jobs(parent=SPEC.parent)]


def test_a_job_that_was_not_made_is_unavailable_and_asked_for_once(batch: Batch) -> None:
    proxy, engine, _ = batch
    for fault in (DOWN, LATE, Fault(StatusCode.RESOURCE_EXHAUSTED), Fault(StatusCode.INTERNAL)):
        proxy.faults.plan("CreateJob", fault)
        with pytest.raises(Unavailable), within(LATE.wait_s):
            engine.start(SPEC)
        assert proxy.faults.calls["CreateJob"] == 1
        if fault is DOWN:
            assert engine.describe(SPEC.name).state is JobState.NOT_FOUND


def test_c01_a_job_whose_making_was_not_answered_is_made_once(batch: Batch) -> None:
    proxy, engine, stack = batch
    proxy.faults.plan("CreateJob", LOST)
    with pytest.raises(Unavailable):
        engine.start(SPEC)
    again = engine.start(SPEC)
    assert again.uid == stack.client.get_job(name=SPEC.name).uid
    assert proxy.faults.calls["CreateJob"] == 2
    assert jobs(stack) == [SPEC.name]


def test_a_job_is_described_and_cancelled_or_it_is_unavailable(batch: Batch) -> None:
    proxy, engine, _ = batch
    engine.start(SPEC)
    for call, act in (("GetJob", engine.describe), ("CancelJob", engine.cancel)):
        for fault in (DOWN, LATE, LOST):
            proxy.faults.plan(call, fault)
            with pytest.raises(Unavailable), within(LATE.wait_s):
                act(SPEC.name)
            assert proxy.faults.calls[call] == 1
        proxy.faults.plan(call, SLOW)
        act(SPEC.name)
