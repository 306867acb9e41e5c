"""Logs by task: their end, what comes behind it, or all of it; kept ones, and while a task runs what Batch has so far.

People without a cloud role read them here (C35). Whatever the size of a log, a page of it is held in memory at most
(C33).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from services.miner.api.stream import COMMENT, LONGEST_S, EventStream, LastEventId, event
from services.miner.auth.permissions import Permission
from services.miner.auth.person import Person
from services.miner.context import TheAnalysis, ThePerson, ThePorts, loaded
from services.miner.cursors import decode_cursor, encode_cursor
from services.miner.log_text import Severity, chosen, last_lines, readable
from services.miner.problems import documented, not_found
from shared.adapters.embedded.logs import offset_of, whole_lines
from shared.domain.analysis import Analysis, Status
from shared.domain.errors import Transient, Unavailable
from shared.domain.job import TaskState
from shared.ports import LogPart, LogTail, Ports

router = APIRouter(prefix="/analyses/{analysis}", tags=["logs"])

MOST_BYTES = 1_000_000
"""Of one page."""

WAIT_S = 1.0
"""Until it is looked again whether a task has started."""

Source = Literal["outputs", "batch"]


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class TaskLog(BaseModel):
    """Part of one task's log: `shown` bytes of `size` were read for it, from the outputs or from Batch.

    `next` is the cursor behind it (null where there is no log yet), and `note` says why there is none.
    """

    task: int
    text: str
    shown: int
    size: int | None = Field(description="Null for what comes `after` a cursor.")
    source: Source | None
    path: str | None = Field(description="Where the kept log lies, to be downloaded whole.")
    next: str | None
    note: str | None = None


class Task(BaseModel):
    """`attempts` counts how often it began to run."""

    task: int
    state: TaskState
    attempts: int
    last_event: str | None


class TaskList(BaseModel):
    """Of a job with very many tasks the first ones; `total` counts all. `note` says why there are none."""

    items: list[Task]
    total: int
    note: str | None


@dataclass
class _Kept:
    """Beside the outputs; a mark is the number of bytes before it."""

    ports: Ports
    bucket: str
    path: str
    size: int
    source: Source = "outputs"

    @property
    def poll_s(self) -> float:
        return 0.0  # it does not grow

    def tail(self, max_bytes: int) -> LogTail:
        start = max(0, self.size - max_bytes)
        return LogTail(self._read(start, max_bytes), self.size, str(self.size))

    def after(self, mark: str, max_bytes: int) -> LogPart:
        start = offset_of(mark)
        text = whole_lines(self._read(start, max_bytes)) if start < self.size else b""
        return LogPart(text, str(start + len(text)))

    def _read(self, start: int, length: int) -> bytes:
        return self.ports.objects.read(self.bucket, self.path, start=start, length=length)


@dataclass
class _InBatch:
    ports: Ports
    uid: str
    task: int
    source: Source = "batch"
    path: None = None

    @property
    def poll_s(self) -> float:
        return self.ports.logs.poll_s

    def tail(self, max_bytes: int) -> LogTail:
        return self.ports.logs.tail(self.uid, self.task, max_bytes=max_bytes)

    def after(self, mark: str, max_bytes: int) -> LogPart:
        return self.ports.logs.after(self.uid, self.task, mark, max_bytes=max_bytes)


_Log = _Kept | _InBatch


@dataclass(frozen=True)
class _Asked:
    analysis: Analysis
    task: int
    severity: Level | None
    contains: str

    def text(self, found: bytes) -> str:
        return chosen(readable(found), Severity[self.severity.name] if self.severity else None, self.contains)

    @property
    def of(self) -> dict[str, str | int]:
        """What a cursor is good for."""
        return {"log": self.analysis.id, "task": self.task}

    def anew(self, ports: Ports) -> _Asked:
        """With the analysis as it is now."""
        stored = ports.documents.get(self.analysis.doc_path)
        return replace(self, analysis=loaded(stored).analysis) if stored else self

    def cursor(self, log: _Log, mark: str) -> str:
        return encode_cursor((log.source, mark), self.of)


@router.get("/logs", response_model=TaskLog, responses={
    200: {"content": {"text/event-stream": {}, "text/plain": {}}, "description": "The part of the log; with `follow` "
          "events named `lines` and at last `end`; with `download` the text."},
    204: {"description": "With `follow`: the last event that arrived was the end."},
    **documented(400, 404, 503),
})
def task_log(
    stored: TheAnalysis, ports: ThePorts, person: ThePerson,
    task: Annotated[int, Query(ge=0, le=9_999, description="Number of the task, from 0.")] = 0,
    tail_bytes: Annotated[int, Query(ge=1, le=MOST_BYTES, description="At most so much is read at once.")] = 65_536,
    tail: Annotated[int | None, Query(ge=0, le=10_000, description="Of that the last so many lines.")] = None,
    after: Annotated[str | None, Query(max_length=1000, description="`next` of a part: what stands behind it.")] = None,
    start: Annotated[bool, Query(description="From the beginning, instead of from the end.")] = False,
    severity: Annotated[Level | None, Query(description="Lines that are at least so severe.")] = None,
    contains: Annotated[str, Query(max_length=200, description="Lines with this text, in whatever case.")] = "",
    follow: Annotated[bool, Query(description="Go on as server-sent events until the analysis ends.")] = False,
    download: Annotated[bool, Query(description="All of it, as a file of text.")] = False,
    last_event_id: LastEventId = None,
) -> TaskLog | Response:
    """A task's log: its end, what follows a cursor, or all of it. Of a log that is read with a filter a part may be
    empty and still have a `next`."""
    asked = _Asked(loaded(stored).analysis, task, severity, contains)
    mark = decode_cursor(after if not follow else last_event_id or after, asked.of, parts=2)
    log = _log_of(ports, asked, mark[0] if mark else None)
    if follow:
        if last_event_id and mark and log and asked.analysis.status.final and not log.after(str(mark[1]), 1).text:
            return Response(status_code=204)
        return EventStream(_followed(ports, person, asked, log, str(mark[1]) if mark else None, tail))
    if log is None:
        return _nothing_yet(asked)
    if download:
        return _file(log, asked)
    if mark or start:
        part = log.after(str(mark[1]) if mark else "", tail_bytes)
        return _page(log, asked, part.text, None, part.mark)
    page = _end(log, asked, tail_bytes)
    return page if tail is None else page.model_copy(update={"text": last_lines(page.text, tail)})


def end_of_log(ports: Ports, analysis: Analysis, task: int, *, tail_bytes: int = MOST_BYTES) -> TaskLog:
    """The last bytes of a task's log; a note, where there is none yet. Raises Refusal (404), Unavailable."""
    asked = _Asked(analysis, task, None, "")
    log = _log_of(ports, asked, None)
    return _end(log, asked, tail_bytes) if log else _nothing_yet(asked)


@router.get("/tasks", responses=documented(400, 404, 503))
def list_tasks(stored: TheAnalysis, ports: ThePorts) -> TaskList:
    """The tasks of the analysis' job as Batch shows them now."""
    analysis = loaded(stored).analysis
    if analysis.job.uid is None:
        return TaskList(items=[], total=0, note="No job has begun yet.")
    job = ports.engine.describe(analysis.job.name)
    items = [
        Task(task=task.index, state=task.state, last_event=task.events[-1].description if task.events else None,
             attempts=sum(event.task_state is TaskState.RUNNING for event in task.events))
        for task in job.tasks
    ]
    note = None if items else "Batch shows no task: none has been made yet, or the job has been deleted."
    return TaskList(items=sorted(items, key=lambda task: task.task), total=job.tasks_total, note=note)


def _log_of(ports: Ports, asked: _Asked, source: object) -> _Log | None:
    """The kept one when the analysis is final, else Batch's; the one that a cursor is of. None: not there yet."""
    analysis = asked.analysis
    if source != "batch" and analysis.status.final:
        kept = ports.objects.stat(analysis.bucket, f"{analysis.folder}logs/task-{asked.task}.txt")
        if kept is not None:
            return _Kept(ports, analysis.bucket, kept.path, kept.size)
    if analysis.job.uid is not None:
        return _InBatch(ports, analysis.job.uid, asked.task)
    if analysis.status.final:
        raise not_found(f"log of {analysis.display_id!r}: it is {analysis.status} and no job has begun")
    return None


def _end(log: _Log, asked: _Asked, tail_bytes: int) -> TaskLog:
    try:
        found = log.tail(tail_bytes)
    except Unavailable:
        if asked.analysis.status is not Status.QUEUED:
            raise
        return _nothing_yet(asked)
    return _page(log, asked, found.text, found.size, found.mark)


def _nothing_yet(asked: _Asked) -> TaskLog:
    return TaskLog(
        task=asked.task, text="", shown=0, size=0, source=None, path=None, next=None, note=_not_yet(asked)
    )


def _not_yet(asked: _Asked) -> str:
    return f"There is no log yet: it appears once the task starts. {asked.analysis.status_detail}".strip()


def _page(log: _Log, asked: _Asked, text: bytes, size: int | None, mark: str) -> TaskLog:
    return TaskLog(
        task=asked.task, text=asked.text(text), shown=len(text), size=size, source=log.source, path=log.path,
        next=asked.cursor(log, mark),
    )


def _file(log: _Log, asked: _Asked) -> Response:
    """Its first part is read before the answer begins, so that a log that cannot be read is a problem, not a file."""
    first = log.after("", MOST_BYTES)
    name = f"{asked.analysis.slug}-task-{asked.task}.txt"
    return StreamingResponse(_all(log, asked, first), media_type="text/plain; charset=utf-8", headers={
        "Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff",
    })


def _all(log: _Log, asked: _Asked, part: LogPart) -> Iterator[str]:
    while part.text:
        yield asked.text(part.text)
        part = log.after(part.mark, MOST_BYTES)


async def _followed(
    ports: Ports, person: Person, asked: _Asked, log: _Log | None, mark: str | None, tail: int | None
) -> AsyncIterator[str]:
    """From the mark on, else from the last `tail` lines (all that fits a page), until the analysis is final and its
    log has no more; as long as the person may read it. A fault that passes is waited out."""
    clock = asyncio.get_running_loop().time
    began = clock()
    while clock() - began < LONGEST_S:
        final = asked.analysis.status.final
        try:
            text, then = await run_in_threadpool(_more, log, asked, mark, tail)
        except Transient as error:
            if final:
                yield event("end", "", {"note": f"The log cannot be read now: {error}"})
                return
            text, then = "", mark
        if log and then is not None and then != mark:
            mark = then
            yield event("lines", asked.cursor(log, mark), {"text": text})
            continue
        if final:
            yield event("end", asked.cursor(log, mark) if log and mark is not None else "", {"note": None})
            return
        yield COMMENT
        await asyncio.sleep(log.poll_s if log else WAIT_S)
        try:
            if not await run_in_threadpool(person.may, Permission.READ_FILES, asked.analysis.project):
                return
            asked = await run_in_threadpool(asked.anew, ports)
            log = log or await run_in_threadpool(_log_of, ports, asked, None)
        except Transient:
            continue


def _more(log: _Log | None, asked: _Asked, mark: str | None, tail: int | None) -> tuple[str, str | None]:
    """(text, the mark behind it)."""
    if log is None:
        return "", None
    if mark is not None:
        part = log.after(mark, MOST_BYTES)
        return asked.text(part.text), part.mark
    found = log.tail(MOST_BYTES)
    text = asked.text(found.text)
    return text if tail is None else last_lines(text, tail), found.mark
