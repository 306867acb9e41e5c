"""Documents in Firestore: conditions on existence or update time, one batch a commit, listeners for live pages.

No interactive transactions: they lock documents, and stall each other under contention (PLATFORM, "emulators").
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

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
    from_grpc_status,
)
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1._helpers import decode_dict
from google.cloud.firestore_v1.base_query import FieldFilter
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode

from shared.adapters.google.calls import ATTEMPTS, ONCE, Failure, attempt, failed, pause_s
from shared.adapters.google.values import decode, encode
from shared.domain.errors import Conflict, Permanent, TooLarge, Unavailable
from shared.ports import Create, Delete, Order, Page, Query, Stored, Write

MAX_COMMIT_BYTES = 10 * 1_048_576
"""Firestore's limit of one commit (its emulator takes 4 MiB)."""

CONTENDED_ATTEMPTS = 6
"""ABORTED says that others hold the documents and that nothing was written, so it is tried again here (C83)."""

LISTENING_S = 3_600.0
"""A stream that is older is begun again: no connection lasts for ever, whatever it says of itself."""

_TARGET = 1
_FIELD = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_NAME = "__name__"
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
        return _stored(found) if found.exists else None

    def query(self, query: Query) -> Page:
        if (asked := self._asked(query)) is None:
            return Page((), None)
        try:
            found = attempt(lambda: asked.get(retry=ONCE, timeout=self._read_s), _PASSING)
        except FailedPrecondition as error:  # the sentence says which composite index is missing, and where to make it
            raise Permanent(f"Firestore has no index for {query}: {error.message}") from error
        except (GoogleAPICallError, RetryError) as error:
            raise failed("Firestore", f"query {query.collection}", error) from error
        return _page(query, [_stored(snapshot) for snapshot in found])

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
            "" if isinstance(write, Delete) else _version(result.update_time)
            for write, result in zip(writes, results, strict=True)
        )

    def watch(self, query: Query) -> Iterator[Page]:
        """Raises Unavailable when the listener cannot be begun again after it broke, tried as often as a read.

        The client's own `on_snapshot` is no help: it begins again at once and for ever (thousands of times a second
        against a service that answers with an error), and its comparator knows neither dotted fields nor `__name__`.
        """
        if (asked := self._asked(query)) is None:
            yield Page((), None)
            return
        last: Page | None = None
        failures = 0
        while failures < ATTEMPTS:
            problem: Failure | None = None
            try:
                for page in self._listen(query, asked):
                    failures = 0
                    if page != last:
                        last = page
                        yield page
            except (GoogleAPICallError, RetryError) as error:
                problem = error
            failures += 1
            time.sleep(pause_s(failures))
        raise Unavailable(f"Firestore ended the listener on {query.collection}: {problem or 'without a word'}")

    def _listen(self, query: Query, asked: Any) -> Iterator[Page]:
        """The page whenever Firestore says that it has told everything up to some moment; ends with the stream."""
        parent, _ = asked._parent._parent_info()
        target = types.Target.QueryTarget(parent=parent, structured_query=asked._to_protobuf())
        request = types.ListenRequest(
            database=self._client._database_string, add_target=types.Target(query=target, target_id=_TARGET)
        )
        ended = threading.Event()
        answers = self._client._firestore_api.listen(
            requests=_held_open(request, ended), retry=ONCE, timeout=LISTENING_S, metadata=self._client._rpc_metadata
        )
        kinds = types.TargetChange.TargetChangeType
        found: dict[str, Stored] = {}
        current = False
        try:
            for answer in answers:
                body = types.ListenResponse.pb(answer)
                match body.WhichOneof("response_type"):
                    case "document_change":
                        document = body.document_change.document
                        found.pop(document.name, None)
                        if _TARGET in body.document_change.target_ids:
                            found[document.name] = self._listened(document)
                    case "document_delete":
                        found.pop(body.document_delete.document, None)
                    case "document_remove":
                        found.pop(body.document_remove.document, None)
                    case "filter":
                        if body.filter.count != len(found):  # the client's view is wrong: begin anew, as documented
                            return
                    case "target_change":
                        change = body.target_change
                        if change.target_change_type == kinds.REMOVE:
                            raise from_grpc_status(  # type: ignore[no-untyped-call]
                                change.cause.code or StatusCode.UNKNOWN, change.cause.message
                            )
                        if change.target_change_type == kinds.RESET:
                            found.clear()
                            current = False
                        current = current or change.target_change_type == kinds.CURRENT
                        if current and not change.target_ids and change.HasField("read_time"):
                            yield _page(query, _in_order(query, found.values()))
        finally:
            ended.set()
            answers.cancel()

    def _listened(self, document: Any) -> Stored:
        path = document.name.removeprefix(f"{self._client._database_string}/documents/")
        return Stored(path, decode(decode_dict(document.fields, self._client)), _version(document.update_time))

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
        documents = [self._client.document(write.path) for write in writes]
        try:
            found = attempt(
                lambda: list(self._client.get_all(documents, field_paths=[_NAME], retry=ONCE, timeout=self._read_s)),
                _PASSING,
            )
        except (GoogleAPICallError, RetryError) as error:
            raise failed("Firestore", f"read {writes[0].path}", error) from error
        present = {each.reference.path: _version(each.update_time) for each in found if each.exists}
        for write in writes:
            if present.get(write.path) != (None if isinstance(write, Create) else write.version):
                return write.path
        return writes[0].path

    def _asked(self, query: Query) -> Any:
        """Firestore's query, for one document more than the page, which tells whether it is the last one.

        None when nothing can match: Firestore refuses an empty `in` and a range beside null.
        """
        scope, _, family = query.collection.rpartition("/")
        client = self._client
        asked: Any = client.collection_group(family) if scope == "*" else client.collection(query.collection)
        for where in query.where:
            _check(where.field)
            if (where.op == "in" and not where.value) or (where.op in _RANGES and where.value is None):
                return None
            value = list(where.value) if where.op == "in" else where.value
            asked = asked.where(filter=FieldFilter(where.field, where.op, value))
        order = _order(query)
        for each in order:
            _check(each.field)
            asked = asked.order_by(each.field, direction=_direction(each.descending))
        asked = asked.order_by(_NAME, direction=_direction(_downwards(order)))
        if query.after is not None:
            *values, tie = query.after
            path = tie if scope == "*" else f"{query.collection}/{tie}"
            asked = asked.start_after([*values, self._client.document(path)])
        return asked.limit(query.limit + 1)


def firestore_client(project: str, database: str = "(default)", *, emulator: str | None = None) -> firestore.Client:
    """A client of a database, with this process's credentials; `emulator` is `HOST:PORT` of one that asks for none."""
    if emulator is None:
        return firestore.Client(project=project, database=database)
    client = firestore.Client(project=project, database=database, credentials=AnonymousCredentials())
    client._emulator_host = emulator  # else only FIRESTORE_EMULATOR_HOST sets it, for the whole process
    return client


# -- versions -----------------------------------------------------------------------------------------------------


def _version(update_time: Any) -> str:
    stamp = update_time if isinstance(update_time, Timestamp) else update_time.timestamp_pb()  # groups give the former
    return str(stamp.seconds * 10**9 + stamp.nanos)


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


# -- queries ------------------------------------------------------------------------------------------------------

_RANGES = frozenset(("<", "<=", ">", ">="))


def _check(field: str) -> None:
    if not _FIELD.fullmatch(field):
        raise ValueError(f"{field!r} is not a field path")


def _order(query: Query) -> tuple[Order, ...]:
    """With the fields of range conditions, which Firestore orders by in any case (and cannot behind `__name__`)."""
    named = {order.field for order in query.order}
    ranges = dict.fromkeys(w.field for w in query.where if w.op in _RANGES and w.field not in named)
    return (*query.order, *(Order(field, _downwards(query.order)) for field in ranges))


def _downwards(order: Sequence[Order]) -> bool:
    """The direction of the tie-break: that of the last field."""
    return order[-1].descending if order else False


def _direction(descending: bool) -> Literal["ASCENDING", "DESCENDING"]:
    return "DESCENDING" if descending else "ASCENDING"


def _stored(snapshot: Any) -> Stored:
    return Stored(snapshot.reference.path, decode(snapshot.to_dict()), _version(snapshot.update_time))


def _page(query: Query, found: Sequence[Stored]) -> Page:
    items = tuple(found[: query.limit])
    return Page(items, _cursor(query, items[-1]) if len(found) > query.limit else None)


def _cursor(query: Query, last: Stored) -> tuple[Any, ...]:
    tie = last.path if query.collection.startswith("*/") else last.id
    return (*(_value(last.data, order.field) for order in _order(query)), tie)


def _value(data: Any, field: str) -> Any:
    for part in field.split("."):
        data = data[part]
    return data


def _held_open(request: types.ListenRequest, ended: threading.Event) -> Iterator[types.ListenRequest]:
    """A listener whose requests have ended is ended by Firestore."""
    yield request
    ended.wait()


def _in_order(query: Query, found: Iterable[Stored]) -> list[Stored]:
    """As Firestore orders: null, numbers, texts; ties by the parts of the path. The last field is sorted by first."""
    order = _order(query)
    stored = sorted(found, key=lambda each: each.path.split("/"), reverse=_downwards(order))
    for each in reversed(order):
        stored.sort(key=lambda one, field=each.field: _rank(_value(one.data, field)), reverse=each.descending)  # type: ignore[misc]
    return stored


def _rank(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    return (2, value) if isinstance(value, int | float) else (3, value)
