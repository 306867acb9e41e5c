"""Documents in Firestore: conditions on existence or update time, one batch a commit, listeners for live pages.

No interactive transactions: they lock documents, and stall each other under contention (PLATFORM, "emulators").
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from google.api_core.exceptions import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    GoogleAPICallError,
    InternalServerError,
    InvalidArgument,
    NotFound,
    RetryError,
    ServiceUnavailable,
)
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
from google.cloud.firestore_v1 import types
from google.protobuf.timestamp_pb2 import Timestamp

from shared.adapters.google.calls import ATTEMPTS, ONCE, Failure, attempt, failed, pause_s
from shared.adapters.google.listener import listen
from shared.adapters.google.queries import asked_of, divided, page_of, stored_of, version_of
from shared.adapters.google.values import encode
from shared.adapters.matching import holds
from shared.domain.errors import Conflict, Permanent, TooLarge, Unavailable
from shared.ports import Create, Delete, Page, Query, Stored, Write

MAX_COMMIT_BYTES = 10 * 1_048_576
"""Firestore's limit of one commit (its emulator takes 4 MiB)."""

CONTENDED_ATTEMPTS = 6
"""ABORTED says that others hold the documents and that nothing was written, so it is tried again here (C83)."""

LOOKED_AT = 10
"""Documents read for each that is asked for, at most: where Firestore cannot say a condition, a page may be short."""

_NEVER = Timestamp(seconds=1)
"""In 1970: no document was updated then. (The emulator takes second 0 for "does not exist".)"""

_LATEST_S = 253_402_300_800  # the year 10000, where protobuf's timestamps end
_PASSING = (ServiceUnavailable, InternalServerError, Aborted)
_PRECONDITIONS = (AlreadyExists, FailedPrecondition, NotFound)


class FirestoreDocuments:
    """ports.Documents. `version` is the update time in nanoseconds since 1970, of which Firestore keeps microseconds.

    Beside the port's words, as Firestore is: a field that a range condition is on and that is not ordered by comes
    last in the order, before the tie; a range holds for values of its own type only.

    Reads are tried up to three times. A commit is tried again only on ABORTED: after any other failure its effect is
    unknown, and who called must read before deciding anew. Unavailable for an outage, a deadline, a quota, a missing
    role.
    """

    def __init__(
        self, client: firestore.Client, *, read_deadline_s: float = 10.0, commit_deadline_s: float = 15.0
    ) -> None:
        self._client = client
        self._read_s, self._commit_s = read_deadline_s, commit_deadline_s

    def get(self, path: str) -> Stored | None:
        document = self._client.document(path)
        try:
            found = attempt(lambda: document.get(retry=ONCE, timeout=self._read_s), _PASSING)
        except (GoogleAPICallError, RetryError) as error:
            raise failed("Firestore", f"read {path}", error) from error
        return stored_of(found) if found.exists else None

    def query(self, query: Query) -> Page:
        asked, left = divided(query)
        if not left:
            return self._page(asked)
        found: list[Stored] = []
        most = LOOKED_AT * (query.limit + 1)
        while True:
            page = self._page(replace(asked, limit=min(most, query.limit + 1)))
            most -= len(page.items)
            found += [stored for stored in page.items if all(holds(stored.data, where) for where in left)]
            if len(found) > query.limit or page.next is None:
                return page_of(asked, found[: query.limit + 1])
            if most <= 0:
                return Page(tuple(found), page.next)
            asked = replace(asked, after=page.next)

    def count(self, query: Query) -> int | None:
        """By Firestore's own aggregation: a read for each thousand that are counted."""
        served, left = divided(replace(query, order=(), after=None))
        if left:
            return None
        if (asked := asked_of(self._client, served, one_more=False)) is None:
            return 0
        counted = asked.count()
        try:
            found = attempt(lambda: counted.get(retry=ONCE, timeout=self._read_s), _PASSING)
        except FailedPrecondition as error:
            raise Permanent(f"Firestore has no index to count {query}: {error.message}") from error
        except (GoogleAPICallError, RetryError) as error:
            raise failed("Firestore", f"count {query.collection}", error) from error
        return int(found[0][0].value)

    def _page(self, query: Query) -> Page:
        if (asked := asked_of(self._client, query)) is None:
            return Page((), None)
        try:
            found = attempt(lambda: asked.get(retry=ONCE, timeout=self._read_s), _PASSING)
        except FailedPrecondition as error:  # the sentence says which composite index is missing, and where to make it
            raise Permanent(f"Firestore has no index for {query}: {error.message}") from error
        except (GoogleAPICallError, RetryError) as error:
            raise failed("Firestore", f"query {query.collection}", error) from error
        return page_of(query, [stored_of(snapshot) for snapshot in found])

    def commit(self, writes: Sequence[Write]) -> tuple[str, ...]:
        """As the port says. A path that stands twice is a Conflict at its second place."""
        messages = [self._message(write) for write in writes]
        if (size := sum(types.Write.pb(each).ByteSize() for each in messages)) > MAX_COMMIT_BYTES:
            raise TooLarge(f"a commit of {size:,} bytes; one may have {MAX_COMMIT_BYTES:,}")
        _no_path_twice(writes)
        batch = self._client.batch()
        batch._add_write_pbs(messages)  # the public methods offer no replacement on condition of an update time
        try:
            results = attempt(
                lambda: batch.commit(retry=ONCE, timeout=self._commit_s), (Aborted,), attempts=CONTENDED_ATTEMPTS
            )
        except _PRECONDITIONS as error:
            raise Conflict(self._refused(writes)) from error
        except InvalidArgument as error:
            if "base version" in str(error):  # the emulator, of a version that is newer than the document's
                raise Conflict(self._refused(writes)) from error
            if "longer than" in str(error) or "exceeds the maximum" in str(error):
                raise TooLarge(f"Firestore refused {writes[0].path}: {error.message}") from error
            raise failed("Firestore", f"write {writes[0].path}", error) from error
        except (GoogleAPICallError, RetryError) as error:
            raise failed("Firestore", f"write {writes[0].path}", error) from error
        return tuple(
            "" if isinstance(write, Delete) else version_of(result.update_time)
            for write, result in zip(writes, results, strict=True)
        )

    def watch(self, query: Query, ended: threading.Event | None = None) -> Iterator[Page]:
        """Raises Unavailable when the listener cannot be begun again after it broke, tried as often as a read, and
        Permanent for a query that Firestore alone cannot answer."""
        if left := divided(query)[1]:
            raise Permanent(f"Firestore cannot watch {query.collection} by {left}")
        if (asked := asked_of(self._client, query)) is None:
            yield Page((), None)
            return
        last: Page | None = None
        failures = 0
        ended = ended or threading.Event()
        while failures < ATTEMPTS:
            problem: Failure | None = None
            try:
                for page in listen(self._client, query, asked, ended):
                    failures = 0
                    if page != last:
                        last = page
                        yield page
            except (GoogleAPICallError, RetryError) as error:
                problem = error
            failures += 1
            if ended.wait(pause_s(failures)):
                return
        raise Unavailable(f"Firestore ended the listener on {query.collection}: {problem or 'without a word'}")

    def _message(self, write: Write) -> types.Write:
        message = types.Write()
        body: Any = types.Write.pb(message)
        name = self._client.document(write.path)._document_path
        if isinstance(write, Delete):
            body.delete = name
        else:
            body.update.name = name
            for key, value in encode(write.path, write.data).items():
                body.update.fields[key].CopyFrom(value)
        if isinstance(write, Create):
            body.current_document.exists = False
        else:
            body.current_document.update_time.CopyFrom(_update_time(write.version))
        return message

    def _refused(self, writes: Sequence[Write]) -> str:
        """The path of the first write whose condition does not hold, which Firestore's answer does not say.

        When all of them hold by now (what stood in the way was deleted meanwhile), the first one's.
        """
        if len(writes) == 1:
            return writes[0].path
        documents = [self._client.document(write.path) for write in writes]
        try:
            found = attempt(
                lambda: list(self._client.get_all(documents, ["__name__"], retry=ONCE, timeout=self._read_s)), _PASSING
            )
        except (GoogleAPICallError, RetryError) as error:
            raise failed("Firestore", f"read {writes[0].path}", error) from error
        present = {each.reference.path: version_of(each.update_time) for each in found if each.exists}
        for write in writes:
            if present.get(write.path) != (None if isinstance(write, Create) else write.version):
                return write.path
        return writes[0].path


def firestore_client(project: str, database: str = "(default)", *, emulator: str | None = None) -> firestore.Client:
    """A client of a database, with this process's credentials; `emulator` is `HOST:PORT` of one that asks for none."""
    if emulator is None:
        return firestore.Client(project=project, database=database)
    client = firestore.Client(project=project, database=database, credentials=AnonymousCredentials())
    client._emulator_host = emulator  # else only FIRESTORE_EMULATOR_HOST sets it, for the whole process
    return client


# -- versions -----------------------------------------------------------------------------------------------------


def _update_time(version: str) -> Timestamp:
    """A text that is no version, or that Firestore would refuse as a time, is one that no document has."""
    if not (version.isascii() and version.isdecimal()) or int(version) % 1000:
        return _NEVER
    seconds, nanos = divmod(int(version), 10**9)
    return Timestamp(seconds=seconds, nanos=nanos) if seconds < _LATEST_S else _NEVER


def _no_path_twice(writes: Sequence[Write]) -> None:
    seen: set[str] = set()
    for write in writes:
        if write.path in seen:
            raise Conflict(write.path)
        seen.add(write.path)
