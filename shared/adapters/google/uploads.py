"""Resumable uploads of Cloud Storage: whoever has a session's address sends the bytes there, and none pass through us.

Cloud Storage itself compares size, checksum and generation before the object exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from google.api_core.exceptions import BadRequest, GoogleAPICallError, PreconditionFailed, RetryError
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage  # type: ignore[attr-defined]  # no stubs

from shared.domain import paths
from shared.domain.errors import Conflict, Permanent, Unavailable

_MORE_IS_WANTED = 308
_PASSING = (408, 429)


class StorageUploads:
    """ports.Uploads. Unavailable for an outage, a quota, a missing role."""

    def __init__(
        self, client: storage.Client, *, names: Mapping[str, str] | None = None, timeout_s: float = 30.0
    ) -> None:
        self._client, self._names, self._timeout_s = client, names or {}, timeout_s
        self._http = requests.Session()

    def begin(self, bucket: str, path: str, *, size: int, crc32c: str, if_generation: int) -> str:
        if problem := paths.problem_with_path(path):
            raise Permanent(problem)
        blob: Any = self._client.bucket(self._names.get(bucket, bucket)).blob(path)
        blob.crc32c = crc32c
        try:
            session: str = blob.create_resumable_upload_session(
                content_type="application/octet-stream", size=size, if_generation_match=if_generation, checksum=None,
                timeout=self._timeout_s,
            )
        except PreconditionFailed as error:
            raise Conflict(path) from error
        except BadRequest as error:
            raise Permanent(f"Cloud Storage takes no upload of {path}: {error}") from error
        except (GoogleAPICallError, RetryError, requests.RequestException, GoogleAuthError) as error:
            raise Unavailable(f"Cloud Storage could not begin an upload of {path}: {error}") from error
        return session

    def arrived(self, session: str) -> int | None:
        """https://cloud.google.com/storage/docs/performing-resumable-uploads#status-check"""
        try:
            answer = self._http.put(
                session, headers={"Content-Range": "bytes */*"}, timeout=self._timeout_s, allow_redirects=False
            )
        except requests.RequestException as error:
            raise Unavailable(f"Cloud Storage did not say how far an upload is: {type(error).__name__}") from None
        if answer.status_code == _MORE_IS_WANTED:
            last = answer.headers.get("Range", "").rpartition("-")[2]
            return int(last) + 1 if last else 0
        if answer.ok:
            return int(answer.json()["size"])
        if answer.status_code >= 500 or answer.status_code in _PASSING:
            raise Unavailable(f"Cloud Storage did not say how far an upload is: {answer.status_code}")
        return None
