"""The four ports (DESIGN section 6) and the log reader, each with one contract suite; and `Ports`, all of them.

Errors are of `shared.domain.errors`: `Conflict` when a precondition does not hold, `Unavailable` when a service
did not answer (the effect may have happened), `Permanent` kinds when it never will.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any, Literal, NamedTuple, Protocol

from shared.domain.analysis import Analysis
from shared.domain.files import FileSeen
from shared.domain.job import JobSeen, JobSpec
from shared.domain.lifecycle import Rules
from shared.domain.order import Order as LabOrder

Json = Mapping[str, Any]
Clock = Callable[[], datetime]


# -- documents ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """A document as it was read; `version` is opaque and changes with every write."""

    path: str
    data: Json
    version: str

    @property
    def id(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Create:
    path: str
    data: Json


@dataclass(frozen=True)
class Update:
    """Replaces the whole document, if it still has `version`."""

    path: str
    data: Json
    version: str


@dataclass(frozen=True)
class Delete:
    path: str
    version: str


Write = Create | Update | Delete
Operator = Literal["==", "in", "<", "<=", ">", ">=", "array_contains", "contains"]


@dataclass(frozen=True)
class Where:
    """`field` is a dotted path inside the document, such as `pipeline.slug`. `contains` is of a part of a text."""

    field: str
    op: Operator
    value: Any


@dataclass(frozen=True)
class Order:
    field: str
    descending: bool = False


@dataclass(frozen=True)
class Query:
    """Documents of one collection (`projects/p/analyses`) or of all of that name (`*/analyses`).

    Results are in `order`, ties by document id (in a group: by path) in the direction of the last order field;
    documents that lack a field that is ordered by are left out, as Firestore does. `after` is a `Page.next` of the
    same query.
    """

    collection: str
    where: tuple[Where, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int = 50
    after: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Page:
    """`next` is None on the last page, and only there. A page that has one may hold fewer than were asked for, where
    the store had to look at too many that do not match."""

    items: tuple[Stored, ...]
    next: tuple[Any, ...] | None


class Documents(Protocol):
    def get(self, path: str) -> Stored | None: ...

    def query(self, query: Query) -> Page: ...

    def count(self, query: Query) -> int | None:
        """How many match, counted no further than `query.limit`; order and cursor are passed over. None when the store
        could tell only by reading them."""

    def commit(self, writes: Sequence[Write]) -> tuple[str, ...]:
        """All or nothing: the new version of each document written ("" for a Delete).

        Raises Conflict(path) of the first write whose condition does not hold, TooLarge over Firestore's 1 MiB.
        """

    def watch(self, query: Query, ended: Event | None = None) -> Iterator[Page]:
        """The page now, and again after every change to it, until the consumer stops iterating, or, for one that
        waits in another thread, within a second after `ended` is set."""


# -- bus ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """What is published: bytes, string attributes (filters see only these), and an optional ordering key."""

    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str = ""


LAST_ERROR = "iflow-last-error"
"""Attribute of a dead letter: what its last handler said, where the bus knows it (Pub/Sub does not)."""


class Bus(Protocol):
    def publish(self, topic: str, message: Message) -> str:
        """Returns the message id once the bus has it. `topic` is a short name of infra/topology.yaml."""

    def depth(self) -> Mapping[str, tuple[int, datetime]] | None:
        """Waiting messages by subscription: how many, and when the oldest was published. None where the bus does not
        tell: Cloud Monitoring does."""


# -- objects ------------------------------------------------------------------------------------------------------


class Level(NamedTuple):
    """What lies directly behind a prefix: folders, with their slash, and files, both in order of path. `next` is the
    mark of the next part, None where there is none."""

    folders: tuple[str, ...]
    files: tuple[FileSeen, ...]
    next: str | None


class Objects(Protocol):
    """Paths are relative to `bucket`, never absolute, never with `..`."""

    def stat(self, bucket: str, path: str) -> FileSeen | None: ...

    def list(self, bucket: str, prefix: str) -> Iterator[FileSeen]:
        """In order of path."""

    def level(self, bucket: str, prefix: str, *, after: str = "", limit: int = 200) -> Level:
        """Without what lies in the folders. `after` is a `next` of the same prefix; `limit` is of folders and files."""

    def read(self, bucket: str, path: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Raises NotFound."""

    def write(self, bucket: str, path: str, data: bytes, *, if_generation: int | None = None) -> FileSeen:
        """`if_generation=0` means "only if it does not exist". Raises Conflict(path)."""

    def upload(self, bucket: str, path: str, source: Path, *, if_generation: int | None = None) -> FileSeen:
        """As `write`, from a local file, in bounded memory."""

    def delete(self, bucket: str, path: str, generation: int) -> None:
        """Nothing is done where it is not there. Raises Conflict(path) if it is of another generation. Who reads it
        through `local` reads on."""

    def local(self, bucket: str, path: str) -> AbstractContextManager[Path]:
        """A local file with the object's bytes, checksum verified, for as long as the context lasts."""

    def url(self, bucket: str, path: str, *, expires_in_s: int) -> str:
        """An address from which a person can download the object for a while; on a local stack relative to the API's
        own."""


class Uploads(Protocol):
    """Files that arrive in pieces, by the protocol of Cloud Storage's resumable uploads
    (https://cloud.google.com/storage/docs/performing-resumable-uploads): `PUT` with `Content-Range` to the session's
    address, which takes no other proof. An object of `Objects` appears whole, or not at all."""

    def begin(self, bucket: str, path: str, *, size: int, crc32c: str, if_generation: int) -> str:
        """The address of a new session, good for a week; on a local stack relative to the API's own. It refuses bytes
        that are not of that size and checksum, and an object that has another generation by then. Raises TooLarge
        where there is no room."""

    def arrived(self, session: str) -> int | None:
        """How many bytes there are; all of them once it has ended well. None: it ended otherwise, or never was."""


# -- engine -------------------------------------------------------------------------------------------------------


class Engine(Protocol):
    def start(self, spec: JobSpec) -> JobSeen:
        """CreateJob; that the job exists already is success. Raises EngineRefused, Unavailable."""

    def describe(self, name: str) -> JobSeen:
        """GetJob, and ListTasks once tasks may exist; a missing job is an answer (`NOT_FOUND`), not an error."""

    def cancel(self, name: str) -> None:
        """CancelJob. A job that is final, is being cancelled, or is gone is not an error: ask `describe`."""


class LogTail(NamedTuple):
    """The last bytes of a log, its full size in bytes, and the mark of its end."""

    text: bytes
    size: int
    mark: str


class LogPart(NamedTuple):
    """What stands behind a mark, whole lines where there are any, and the mark of its own end."""

    text: bytes
    mark: str


class Logs(Protocol):
    """Of a task's log, every attempt in one. Both raise Unavailable, with why. `poll_s`: how often one who follows a
    log may ask for more."""

    @property
    def poll_s(self) -> float: ...

    def tail(self, job_uid: str, task: int, *, max_bytes: int) -> LogTail: ...

    def after(self, job_uid: str, task: int, mark: str, *, max_bytes: int) -> LogPart:
        """From behind the mark on, from the beginning if it is empty; no text at the end, which a task that runs moves
        on. Raises Permanent for what is no mark."""


# -- other people's servers ----------------------------------------------------------------------------------------


class Answered(NamedTuple):
    """An HTTP status, and the first characters of what came with it."""

    status: int
    head: str


class Post(Protocol):
    def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """Raises AddressRefused where nothing may be sent to, Unavailable when nobody answered in time."""


@dataclass(frozen=True)
class Courier:
    """What it takes to tell others: for the notifier, and for whoever tries its settings.

    `seal` makes a secret into what may lie in a document, `open` the other way round (Permanent for what is not ours).
    `address()` is our own, as others reach it, without a slash at its end.
    """

    post: Post
    seal: Callable[[str], str]
    open: Callable[[str], str]
    address: Callable[[], str]


# -- all of them --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ports:
    """Everything that a handler may touch.

    `launch(subject, holder)` begins the work of an analysis' ingest, or of an order's cache, whose lease `holder` has.
    It answers with the seconds that the work may have to wait for a machine before it can renew that lease itself: 0
    when it has begun.
    `logs_url(job uid)` is the address that shows a job's whole logs. `notify_topic` is where Batch reports to.
    """

    documents: Documents
    bus: Bus
    objects: Objects
    uploads: Uploads
    engine: Engine
    logs: Logs
    clock: Clock
    rules: Rules
    new_id: Callable[[], str]
    launch: Callable[[Analysis | LabOrder, str], float]
    logs_url: Callable[[str], str]
    notify_topic: str
