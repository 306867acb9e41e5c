"""`python -m infra.local.batch` beside a Pub/Sub emulator, for which a publisher service of our own stands in."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.pubsub_v1 import PublishRequest, PublishResponse

from shared.adapters.google.batch import local_client
from tests.contract.batch_stack import TOPIC, Note, Stack

Notes = queue.SimpleQueue[Note]


@pytest.fixture
def emulator() -> Iterator[tuple[str, Notes]]:
    notes: Notes = queue.SimpleQueue()

    def publish(request: PublishRequest, _context: grpc.ServicerContext) -> PublishResponse:
        for message in request.messages:
            notes.put(Note(request.topic, message.data.decode(), dict(message.attributes)))
        return PublishResponse(message_ids=["1" for _ in request.messages])

    method = grpc.unary_unary_rpc_method_handler(
        publish, request_deserializer=PublishRequest.deserialize, response_serializer=PublishResponse.serialize
    )
    server = grpc.server(ThreadPoolExecutor(2))
    publisher = grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", {"Publish": method})
    server.add_generic_rpc_handlers((publisher,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", notes
    server.stop(None).wait()


def test_notifications_reach_the_emulator_and_a_signal_stops_the_server(
    tmp_path: Path, emulator: tuple[str, Notes]
) -> None:
    address, notes = emulator
    command = [sys.executable, "-m", "infra.local.batch", "--state-dir", str(tmp_path / "batch")]
    command += ["--buckets-dir", str(tmp_path / "buckets"), "--slots", "1"]
    environment = os.environ | {"PUBSUB_EMULATOR_HOST": address}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        at = process.stdout.readline().strip()
        stack = Stack(local_client(at), at, tmp_path / "batch", tmp_path / "buckets" / "lab", notes)
        stack.submit("a-1", "/bin/true")
        assert {note.topic for note in stack.notes_until("SUCCEEDED")} == {TOPIC}
        stack.client.transport.close()  # type: ignore[no-untyped-call]
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
