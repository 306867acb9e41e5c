"""Task logs as Batch leaves them in Cloud Logging, read through its REST method `entries.list`.

One POST with the credentials that this process has anyway; the client library would be a dependency for that one call.
Filter: PLATFORM "Google Batch". `task_id` reads `task/{job uid}-group0-{index}/{attempt}/{runnable}`, with or without
what stands around the middle. https://cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import google.auth
import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession

from shared.domain.errors import Permanent, Unavailable
from shared.ports import LogPart, LogTail

ENDPOINT = "https://logging.googleapis.com"

LINES_A_PAGE = 1_000
"""Cloud Logging's most."""

PAGES = 20
"""Read for one tail: a project may ask 60 times a minute, and other people ask, too."""

_SCOPE = "https://www.googleapis.com/auth/logging.read"
_UID = re.compile(r"[a-z][a-z0-9-]{0,127}")


_MARK = re.compile(r"[0-9TZ:.+-]{1,40}\|[\w.-]{0,200}", re.ASCII)


class CloudLogs:
    """ports.Logs. Unavailable, with why: no entry (yet), a missing role (403), the quota (429), no answer in time."""

    poll_s = 5.0

    def __init__(
        self, session: requests.Session, project: str, *, endpoint: str = ENDPOINT, timeout_s: float = 20.0
    ) -> None:
        self._session = session
        self._project = project
        self._url = f"{endpoint}/v2/entries:list"
        self._timeout_s = timeout_s

    def tail(self, job_uid: str, task: int, *, max_bytes: int) -> LogTail:
        """The size is that of what was read to find the last bytes.

        That is the whole log when it is not over `max_bytes` and 20,000 lines; of a longer one Cloud Logging does not
        tell the size, and the number is only known to be greater than what is given back.
        """
        lines: list[bytes] = []
        size, mark = 0, ""
        for entry in self._from_the_end(job_uid, task):
            mark = mark or _mark(entry)
            lines.append(_line(entry))
            size += len(lines[-1])
            if size > max_bytes:
                break
        if not lines:
            raise Unavailable(f"Cloud Logging has no line of task {task} of job {job_uid}")
        return LogTail(b"".join(reversed(lines))[-max_bytes:], size, mark)

    def after(self, job_uid: str, task: int, mark: str, *, max_bytes: int) -> LogPart:
        """One page of entries. Those of one moment are in order of `insertId`, as Cloud Logging sorts them; a line that
        it takes in late, behind the mark of one that was written after it, is not told."""
        if mark and not _MARK.fullmatch(mark):
            raise Permanent(f"{mark!r} is no place in a log")
        since = f' AND timestamp>="{mark.partition("|")[0]}"' if mark else ""
        entries = self._page(job_uid, task, None, order="timestamp asc", since=since).get("entries", ())
        text = b""
        for entry in entries:
            if mark and _place(_mark(entry)) <= _place(mark):
                continue
            if text and len(text) + len(_line(entry)) > max_bytes:
                break
            text, mark = text + _line(entry), _mark(entry)
        return LogPart(text, mark)

    def _from_the_end(self, job_uid: str, task: int) -> Iterator[Mapping[str, Any]]:
        token = None
        for _ in range(PAGES):
            page = self._page(job_uid, task, token)
            yield from page.get("entries", ())
            token = page.get("nextPageToken")
            if not token:
                return

    def _page(
        self, job_uid: str, task: int, token: str | None, *, order: str = "timestamp desc", since: str = ""
    ) -> Mapping[str, Any]:
        asked: dict[str, Any] = {
            "resourceNames": [f"projects/{self._project}"], "filter": self._filter(job_uid, task) + since,
            "orderBy": order, "pageSize": LINES_A_PAGE, "pageToken": token or "",
        }
        what = f"the log of task {task} of job {job_uid}"
        try:
            answer = self._session.post(self._url, json=asked, timeout=self._timeout_s)
        except (requests.RequestException, GoogleAuthError) as error:
            raise Unavailable(f"Cloud Logging did not give {what}: {error}") from error
        if answer.status_code != requests.codes.ok:
            raise Unavailable(f"Cloud Logging refused {what} with {answer.status_code}: {_sentence(answer)}")
        try:
            page: Mapping[str, Any] = answer.json()
        except ValueError as error:
            raise Unavailable(f"Cloud Logging's answer about {what} is no JSON: {error}") from error
        return page

    def _filter(self, job_uid: str, task: int) -> str:
        if not _UID.fullmatch(job_uid):
            raise Unavailable(f"{job_uid!r} is not the uid of a Batch job")
        return (
            'resource.type="batch.googleapis.com/Job" '
            f'AND logName="projects/{self._project}/logs/batch_task_logs" '
            f'AND labels.job_uid="{job_uid}" AND labels.task_id=~"-group0-{task}(/|$)"'
        )


def cloud_logs(project: str) -> CloudLogs:
    """With this process's credentials."""
    credentials, _ = google.auth.default(scopes=[_SCOPE])
    return CloudLogs(AuthorizedSession(credentials), project)


def _line(entry: Mapping[str, Any]) -> bytes:
    """A line that a task wrote as JSON arrives as an object, with its text under `message`, if it had one."""
    text = entry.get("textPayload")
    if text is None:
        payload = entry.get("jsonPayload", {})
        text = payload["message"] if isinstance(payload.get("message"), str) else json.dumps(payload)
    return f"{text.rstrip()}\n".encode()


def _mark(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('timestamp', '')}|{entry.get('insertId', '')}"


def _place(mark: str) -> tuple[str, str]:
    """To compare marks by: RFC 3339 with up to nine digits of a second, of which none need be there."""
    moment, _, identity = mark.partition("|")
    seconds, _, fraction = moment.rstrip("Z").partition(".")
    return f"{seconds}.{fraction:0<9}", identity


def _sentence(answer: requests.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
