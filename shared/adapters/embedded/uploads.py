"""Sessions of a local stack: what Cloud Storage's resumable uploads are, over any Objects, in a folder.

`{folder}/{token}.json` says what is to come and how far it is; `{folder}/{token}.part` holds the bytes. The token is a
secret of 256 bits. Bytes count once the state says so: a process that dies loses at most STATE_EVERY_BYTES of them.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from shared.domain import paths
from shared.domain.errors import Conflict, NotFound, Permanent, TooLarge, Unavailable
from shared.ports import Objects

ADDRESS = "/api/v1/uploads/"
HOLDS_S = 7 * 86_400
STATE_EVERY_BYTES = 64 << 20

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


class Ended(StrEnum):
    """How a session ended."""

    WELL = "well"
    OTHER_BYTES = "other_bytes"
    CHANGED_MEANWHILE = "changed_meanwhile"


class NotWanted(Permanent):
    """These bytes can never be taken; nothing of them has become an object."""

    def __init__(self, ended: Ended, sentence: str) -> None:
        super().__init__(sentence)
        self.ended = ended


@dataclass(frozen=True)
class Session:
    """`running` is the CRC32C of the first `arrived` bytes."""

    bucket: str
    path: str
    size: int
    crc32c: str
    if_generation: int
    arrived: int = 0
    running: int = 0
    ended: Ended | None = None


class SpooledUploads:
    """ports.Uploads; and `receive`, which the API's route hands the bytes to."""

    def __init__(self, folder: Path, objects: Objects) -> None:
        self._folder, self._objects = folder, objects

    def begin(self, bucket: str, path: str, *, size: int, crc32c: str, if_generation: int) -> str:
        if problem := paths.problem_with_path(path):
            raise Permanent(problem)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        if size > (free := shutil.disk_usage(self._folder).free):
            raise TooLarge(f"{path} has {size:,} bytes, and {free:,} are free on this machine")
        token = secrets.token_urlsafe(32)
        self._keep(token, Session(bucket, path, size, crc32c, if_generation))
        return f"{ADDRESS}{token}"

    def arrived(self, session: str) -> int | None:
        token = session.removeprefix(ADDRESS)
        found = self.session(token)
        if found is not None and found.ended is None and found.arrived == found.size:  # it died before the object was
            with suppress(NotWanted), self.receive(token) as receiver:
                receiver.end()
            found = self.session(token)
        return found.arrived if found is not None and found.ended in (None, Ended.WELL) else None

    def session(self, token: str) -> Session | None:
        if not _TOKEN.fullmatch(token):
            return None
        try:
            found = json.loads(self._file(token, "json").read_text())
        except FileNotFoundError:
            return None
        return Session(**{**found, "ended": Ended(found["ended"]) if found["ended"] else None})

    @contextmanager
    def receive(self, token: str) -> Iterator[Receiver]:
        """For one request. Raises NotFound for what is none or has ended, Unavailable while another one is at it."""
        session = self.session(token)
        if session is None or session.ended is not None:
            raise NotFound("there is no such session any more; begin anew")
        with self._file(token, "part").open("ab") as part:
            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Unavailable("another request is sending to this session; wait until it has ended") from None
            receiver = Receiver(self, token, self.session(token) or session, part)  # as it was left meanwhile
            try:
                yield receiver
            finally:
                receiver.keep()

    def finish(self, token: str, session: Session) -> Session:
        """The object, if the bytes are the right ones and it is still what it was. Raises NotWanted."""
        found = base64.b64encode(session.running.to_bytes(4, "big")).decode()
        part = self._file(token, "part")
        if found != session.crc32c:
            self._end(token, session, Ended.OTHER_BYTES)
            raise NotWanted(
                Ended.OTHER_BYTES, f"the bytes that came have the CRC32C {found}, and {session.crc32c} was announced: "
                "the file changed meanwhile, or was damaged on its way; begin anew",
            )
        try:
            self._objects.upload(session.bucket, session.path, part, if_generation=session.if_generation)
        except Conflict:
            self._end(token, session, Ended.CHANGED_MEANWHILE)
            raise NotWanted(
                Ended.CHANGED_MEANWHILE, f"{session.path} has been written by somebody else meanwhile; nothing was "
                "replaced",
            ) from None
        return self._end(token, session, Ended.WELL)

    def keep_state(self, token: str, session: Session) -> None:
        self._keep(token, session)

    def _end(self, token: str, session: Session, how: Ended) -> Session:
        ended = replace(session, ended=how)
        self._keep(token, ended)
        self._file(token, "part").unlink(missing_ok=True)
        return ended

    def _keep(self, token: str, session: Session) -> None:
        file = self._file(token, "json")
        new = file.with_suffix(".new")
        new.write_text(json.dumps(asdict(session)))
        new.replace(file)

    def _file(self, token: str, ending: str) -> Path:
        return self._folder / f"{token}.{ending}"

    def _sweep(self) -> None:
        """What nobody has sent to for a week."""
        for file in self._folder.iterdir():
            with suppress(FileNotFoundError):  # somebody else swept it
                if file.stat().st_mtime < time.time() - HOLDS_S:
                    file.unlink()


class Receiver:
    """One request's bytes, in order, behind those that are there."""

    def __init__(self, uploads: SpooledUploads, token: str, session: Session, part: BinaryIO) -> None:
        self._uploads, self._token, self.session, self._part = uploads, token, session, part
        self._kept = session
        if session.ended is None:
            part.truncate(session.arrived)  # what a process that died had not counted yet

    def take(self, start: int, data: bytes) -> int:
        """Bytes of which the first stands at `start` of the file; those that are there already are passed over. Where
        the file is, then. A gap takes nothing."""
        skipped = self.session.arrived - start
        if self.session.ended is not None or skipped < 0 or skipped >= len(data):
            return self.session.arrived
        new = data[skipped:][: self.session.size - self.session.arrived]
        self._part.write(new)
        self.session = replace(
            self.session, arrived=self.session.arrived + len(new),
            running=google_crc32c.extend(self.session.running, new),
        )
        if self.session.arrived - self._kept.arrived >= STATE_EVERY_BYTES:
            self.keep()
        return self.session.arrived

    def end(self) -> Session:
        """Makes the object once all is there. Raises NotWanted."""
        if self.session.ended is None and self.session.arrived == self.session.size:
            self.keep()
            self.session = self._kept = self._uploads.finish(self._token, self.session)
        return self.session

    def keep(self) -> None:
        """What has come counts from now on."""
        if self.session is not self._kept:
            self._part.flush()
            os.fsync(self._part.fileno())
            self._uploads.keep_state(self._token, self.session)
            self._kept = self.session
