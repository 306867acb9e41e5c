"""The reader of Cloud Logging against a server that answers as `entries.list` is documented to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from shared.adapters.google.logs import PAGES, CloudLogs
from shared.domain.errors import Permanent, Unavailable

UID = "a-1b2c-99"


class Logging(ThreadingHTTPServer):
    """Entries in order of time; `status` other than 200 refuses."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.entries: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.status, self.body = 200, b""

    def page(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(asked)
        since = asked["filter"].partition('timestamp>="')[2].rstrip('Z"')
        entries = [entry for entry in self.entries if entry.get("timestamp", "").rstrip("Z") >= since]
        entries = entries if asked["orderBy"].endswith("asc") else entries[::-1]
        start = int(asked["pageToken"] or 0)
        end = start + asked["pageSize"]
        more = {"nextPageToken": str(end)} if end < len(entries) else {}
        return {"entries": entries[start:end], **more} if self.entries else {}


class Answer(BaseHTTPRequestHandler):
    server: Logging

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v2/entries:list"
        body = self.server.body or json.dumps(self.server.page(asked)).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def logging() -> Iterator[Logging]:
    server = Logging()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def logs(logging: Logging) -> CloudLogs:
    return CloudLogs(requests.Session(), "lab", endpoint=f"http://127.0.0.1:{logging.server_port}", timeout_s=1)


def text(*lines: str) -> list[dict[str, Any]]:
    return [{"textPayload": line} for line in lines]


def test_a_short_log_is_given_whole_in_the_order_it_was_written(logs: CloudLogs, logging: Logging) -> None:
    logging.entries = [*text("one\n", "twö"), {"jsonPayload": {"message": "three"}}, {"jsonPayload": {"n": 4}}]
    whole = 'one\ntwö\nthree\n{"n": 4}\n'.encode()
    assert logs.tail(UID, 3, max_bytes=1_000)[:2] == (whole, len(whole))
    (asked,) = logging.asked
    assert asked["resourceNames"] == ["projects/lab"]
    assert asked["filter"] == (
        'resource.type="batch.googleapis.com/Job" AND logName="projects/lab/logs/batch_task_logs" '
        'AND labels.job_uid="a-1b2c-99" AND labels.task_id=~"-group0-3(/|$)"'
    )


def test_of_a_long_log_no_more_is_read_than_is_shown(logs: CloudLogs, logging: Logging) -> None:
    logging.entries = text(*(f"line {n:05}" for n in range(5_000)))
    tail, size, _ = logs.tail(UID, 0, max_bytes=25)
    assert tail == b"97\nline 04998\nline 04999\n"
    assert len(tail) == 25 < size
    assert len(logging.asked) == 1


def test_the_number_of_pages_is_bounded(logs: CloudLogs, logging: Logging) -> None:
    logging.entries = text(*("x" for _ in range(25_000)))
    tail = logs.tail(UID, 0, max_bytes=10_000_000).text
    assert (len(logging.asked), len(tail)) == (PAGES, 40_000)


def test_reading_goes_on_behind_the_last_entry_of_the_same_moment(logs: CloudLogs, logging: Logging) -> None:
    """A fraction of a second may have any number of digits: 10:00:00.5Z is after 10:00:00Z."""
    moments = [("10:00:00Z", "a"), ("10:00:00Z", "b"), ("10:00:00.5Z", "c"), ("10:00:01Z", "d")]
    logging.entries = [
        {"textPayload": name, "timestamp": f"2026-11-25T{moment}", "insertId": name} for moment, name in moments
    ]
    first = logs.after(UID, 0, "", max_bytes=3)
    assert first == (b"a\n", "2026-11-25T10:00:00Z|a")
    rest = logs.after(UID, 0, first.mark, max_bytes=100)
    assert rest == (b"b\nc\nd\n", logs.tail(UID, 0, max_bytes=9).mark)
    assert logs.after(UID, 0, rest.mark, max_bytes=100) == (b"", rest.mark)
    with pytest.raises(Permanent, match="no place"):
        logs.after(UID, 0, 'x" OR "', max_bytes=1)


def test_a_log_without_a_line_is_not_there_yet(logs: CloudLogs) -> None:
    with pytest.raises(Unavailable, match="no line of task 0"):
        logs.tail(UID, 0, max_bytes=10)


@pytest.mark.parametrize(("status", "body", "why"), [
    (403, b'{"error": {"message": "logging.logEntries.list denied"}}', "403: logging.logEntries.list denied"),
    (429, b'{"error": {"message": "Quota exceeded"}}', "429: Quota exceeded"),
    (502, b"<html>bad gateway", "502: <html>bad gateway"),
    (200, b"<html>a proxy's page", "no JSON"),
])
def test_a_refusal_says_why(logs: CloudLogs, logging: Logging, status: int, body: bytes, why: str) -> None:
    logging.status, logging.body = status, body
    with pytest.raises(Unavailable, match=why):
        logs.tail(UID, 0, max_bytes=10)


def test_no_answer_is_said_too(logs: CloudLogs, logging: Logging) -> None:
    logging.shutdown()
    with pytest.raises(Unavailable, match="did not give"):
        logs.tail(UID, 0, max_bytes=10)


@pytest.mark.parametrize("uid", ['" OR "', "", "A-1", "a" * 200])
def test_a_uid_that_is_none_never_reaches_a_filter(logs: CloudLogs, logging: Logging, uid: str) -> None:
    with pytest.raises(Unavailable, match="not the uid"):
        logs.tail(uid, 0, max_bytes=10)
    assert logging.asked == []
