"""A file is sent into a sample's folder: in one stream, taken up again where it was broken off, checked by checksum.

The bytes go where the service says, by Cloud Storage's protocol for resumable uploads: to Cloud Storage itself, or to a
local stack (https://cloud.google.com/storage/docs/performing-resumable-uploads).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.cli.api import USER_AGENT, Api
from services.cli.downloads import CHUNK_BYTES, crc32c_of
from services.cli.exits import Exit, Failed

if TYPE_CHECKING:
    import httpx

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Between attempts that get nowhere; one that got on begins them anew."""

LAST_ANSWER_S = 600.0
"""A local stack looks at the whole file once more before it answers the last byte."""

_WHOLE = frozenset({200, 201})
_MORE = 308
_LATER = frozenset({408, 429})


class _Broken(Exception):
    """The connection broke, or the answer was that it may pass."""


def send(
    api: Api, sample: str, file: Path, *, name: str, replace: bool, told: Callable[[int], object]
) -> tuple[Mapping[str, Any], bool]:
    """The upload as the service has it, and whether anything had to be sent. `told` hears how many bytes are there.
    Raises Failed."""
    try:
        size, checksum = file.stat().st_size, crc32c_of(file)
    except OSError as error:
        raise Failed(Exit.BAD_DATA, f"{file} cannot be read: {error.strerror}.") from None
    uploads = f"/samples/{sample}/uploads"
    begun = api.post(uploads, repeatable=True, json={
        "name": name, "size": size, "crc32c": checksum, "replace": replace
    })
    if begun["status"] == "complete":
        return begun, False
    _send(_address(api, begun["session"]), file, size, begun["arrived"], told)
    return api.post(f"{uploads}/{begun['id']}/finish", repeatable=True, timeout=LAST_ANSWER_S), True


def _address(api: Api, session: str) -> str:
    return f"{api.address}{session}" if session.startswith("/") else session


def _send(session: str, file: Path, size: int, arrived: int, told: Callable[[int], object]) -> None:
    """Until it is whole, or refused: which of both it is, the service is asked. Raises Failed when it gets nowhere."""
    import httpx

    timeout = httpx.Timeout(30.0, read=LAST_ANSWER_S)
    failures, known = 0, True
    with httpx.Client(timeout=timeout, headers={"User-Agent": USER_AGENT}) as http, file.open("rb") as source:
        while True:
            try:
                if not known:
                    found = _ask(http, session, size)
                    failures, known = (0 if found is not None and found > arrived else failures), True
                    if found is None:
                        return
                    arrived = found
                there = _put(http, session, source, size, arrived, told)
                if there is None:
                    return
                failures, arrived = (0 if there > arrived else failures + 1), there
            except _Broken as broken:
                known, failures = False, failures + 1
                if failures > len(PAUSES_S):
                    raise Failed(
                        Exit.NOT_REACHABLE, f"{broken}. The same command goes on from where it is."
                    ) from None
                time.sleep(PAUSES_S[failures - 1])


def _put(
    http: httpx.Client, session: str, source: Any, size: int, arrived: int, told: Callable[[int], object]
) -> int | None:
    """All that is missing. How many bytes are there, None when no more are wanted."""

    def pieces() -> Iterator[bytes]:
        source.seek(have := arrived)
        while piece := source.read(min(CHUNK_BYTES, size - have)):
            yield piece
            told(have := have + len(piece))

    headers = {"Content-Range": f"bytes {arrived}-{size - 1}/{size}", "Content-Length": str(size - arrived)}
    return _told(_answered(http, session, headers, pieces()))


def _ask(http: httpx.Client, session: str, size: int) -> int | None:
    return _told(_answered(http, session, {"Content-Range": f"bytes */{size}"}, b""))


def _answered(http: httpx.Client, session: str, headers: dict[str, str], content: Any) -> httpx.Response:
    import httpx

    try:
        return http.put(session, headers=headers, content=content)
    except httpx.TransportError as error:
        raise _Broken(f"The connection broke ({type(error).__name__})") from None


def _told(answer: httpx.Response) -> int | None:
    """How many bytes are there; None when no more are wanted. Raises _Broken."""
    if answer.status_code == _MORE:
        last = answer.headers.get("Range", "").rpartition("-")[2]
        return int(last) + 1 if last else 0
    if answer.status_code >= 500 or answer.status_code in _LATER:
        raise _Broken(f"What takes the bytes answered {answer.status_code}")
    return None
