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

from shared.domain.errors import Unavailable

ENDPOINT = "https://logging.googleapis.com"

LINES_A_PAGE = 1_000
"""Cloud Logging's most."""

PAGES = 20
"""Read for one tail: a project may ask 60 times a minute, and other people ask, too."""

_SCOPE = "https://www.googleapis.com/auth/logging.read"
_UID = re.compile(r"[a-z][a-z0-9-]{0,127}")


class CloudLogs:
    """ports.Logs. Unavailable, with why: no entry (yet), a missing role (403), the quota (429), no answer in time."""

    def __init__(
        self, session: requests.Session, project: str, *, endpoint: str = ENDPOINT, timeout_s: float = 20.0
    ) -> None:
        self._session = session
        self._project = project
        self._url = f"{endpoint}/v2/entries:list"
        self._timeout_s = timeout_s

    def tail(self, job_uid: str, task: int, *, max_bytes: int) -> tuple[bytes, int]:
        """The last bytes, and the size in bytes of what was read to find them.

        That is the whole log when it is not over `max_bytes` and 20,000 lines; of a longer one Cloud Logging does not
        tell the size, and the number is only known to be greater than what is given back.
        """
        lines: list[bytes] = []
        size = 0
        for line in self._from_the_end(job_uid, task):
            lines.append(line)
            size += len(line)
            if size > max_bytes:
                break
        if not lines:
            raise Unavailable(f"Cloud Logging has no line of task {task} of job {job_uid}")
        return b"".join(reversed(lines))[-max_bytes:], size

    def _from_the_end(self, job_uid: str, task: int) -> Iterator[bytes]:
        token = None
        for _ in range(PAGES):
            page = self._page(job_uid, task, token)
            yield from (_line(entry) for entry in page.get("entries", ()))
            token = page.get("nextPageToken")
            if not token:
                return

    def _page(self, job_uid: str, task: int, token: str | None) -> Mapping[str, Any]:
        asked: dict[str, Any] = {
            "resourceNames": [f"projects/{self._project}"], "filter": self._filter(job_uid, task),
            "orderBy": "timestamp desc", "pageSize": LINES_A_PAGE, "pageToken": token or "",
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


def _sentence(answer: requests.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
