"""Objects in Cloud Storage: conditions on generations, checksums both ways, addresses signed without a key file.

An operation repeats its requests at most twice (`Tries`), within the client, which resumes a transfer where it broke.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import google_crc32c
import requests
from google.api_core.exceptions import (
    BadRequest,
    GoogleAPICallError,
    PreconditionFailed,
    RequestRangeNotSatisfiable,
    RetryError,
    ServerError,
    TooManyRequests,
)
from google.api_core.exceptions import NotFound as NoSuchObject
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage  # type: ignore[attr-defined]  # no stubs
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from urllib3.exceptions import HTTPError

from shared.adapters.google.addresses import UrlOf, plain_urls, signed_urls
from shared.domain import paths
from shared.domain.errors import Conflict, NotFound, Permanent, Transient, Unavailable
from shared.domain.files import FileSeen
from shared.ports import Level
from shared.scratch import scratch

REPEATS = 2
"""Requests sent again in one operation, however many it is made of; after that its caller's bus tries again."""

UPLOAD_CHUNK_BYTES = 8 << 20
"""A larger file goes up in pieces of this size, one of which is in memory; the client's own choice is 100 MiB."""

LONGEST_URL_S = 604_800
"""V4 signatures hold for seven days at most."""

_MARK = "iflow-write"  # tells a conditional write whose answer was lost from somebody else's
_READ_BYTES = 1 << 20
_FIELDS = "items(name,size,crc32c,generation,updated),nextPageToken"
_FAILURES = (
    GoogleAPICallError, RetryError, requests.RequestException, HTTPError, GoogleAuthError, DataCorruption,
    InvalidResponse,
)
_PASSING = (
    ServerError, TooManyRequests, requests.ConnectionError, requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    HTTPError,  # urllib3's, which the client lets through when a download breaks off
)


class StorageObjects:
    """ports.Objects. Unavailable for an outage, a quota, a missing role, an answer that takes over `timeout_s`.

    `url_of` is `signed_urls(...)`, or `plain_urls(...)` of a local server. Names that end in a slash are folders that
    the console and gcsfuse leave behind, and are never listed.
    """

    def __init__(
        self, client: storage.Client, url_of: UrlOf, *, names: Mapping[str, str] | None = None, timeout_s: float = 30.0
    ) -> None:
        self._client = client
        self._names = names or {}
        self._url_of = url_of
        self._timeout_s = timeout_s

    def stat(self, bucket: str, path: str) -> FileSeen | None:
        blob = self._blob(bucket, path)
        try:
            blob.reload(retry=Tries().retry, timeout=self._timeout_s)
        except NoSuchObject:
            return None
        except _FAILURES as error:
            raise _failed("stat", bucket, path, error) from error
        return _seen(blob)

    def list(self, bucket: str, prefix: str) -> Iterator[FileSeen]:
        if prefix:
            _checked(prefix.removesuffix("/"))
        try:
            found = self._client.list_blobs(
                self._named(bucket), prefix=prefix or None, fields=_FIELDS, retry=Tries().retry, timeout=self._timeout_s
            )
            for blob in found:
                if not blob.name.endswith("/"):
                    yield _seen(blob)
        except NoSuchObject as error:
            if self._is_there(bucket):  # the local server, of a file that a job has just written
                raise _failed("list", bucket, prefix, error) from error
        except _FAILURES as error:
            raise _failed("list", bucket, prefix, error) from error

    def level(self, bucket: str, prefix: str, *, after: str = "", limit: int = 200) -> Level:
        if prefix:
            _checked(prefix.removesuffix("/"))
        try:
            found = self._client.list_blobs(
                self._named(bucket), prefix=prefix or None, delimiter="/", max_results=limit, page_token=after or None,
                fields=f"prefixes,{_FIELDS}", retry=Tries().retry, timeout=self._timeout_s,
            )
            page = next(found.pages, ())
            files = tuple(_seen(blob) for blob in page if not blob.name.endswith("/"))
        except NoSuchObject as error:
            if self._is_there(bucket):
                raise _failed("list", bucket, prefix, error) from error
            return Level((), (), None)
        except _FAILURES as error:
            raise _failed("list", bucket, prefix, error) from error
        return Level(tuple(sorted(found.prefixes)), files, found.next_page_token)

    def read(self, bucket: str, path: str, *, start: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            if self.stat(bucket, path) is None:
                raise _missing(bucket, path)
            return b""
        blob = self._blob(bucket, path)
        whole = start == 0 and length is None
        try:
            data: bytes = blob.download_as_bytes(
                start=start or None, end=None if length is None else start + length - 1, raw_download=True,
                checksum="crc32c" if whole else None, retry=Tries().retry, timeout=self._timeout_s,
            )
        except NoSuchObject:
            raise _missing(bucket, path) from None
        except RequestRangeNotSatisfiable:  # it begins behind the object's end
            return b""
        except _FAILURES as error:
            raise _failed("read", bucket, path, error) from error
        return data

    def write(self, bucket: str, path: str, data: bytes, *, if_generation: int | None = None) -> FileSeen:
        checksum = google_crc32c.Checksum(data)
        return self._put(
            bucket, path, len(data), _as_text(checksum), if_generation,
            lambda blob, **how: blob.upload_from_string(data, content_type="application/octet-stream", **how),
        )

    def upload(self, bucket: str, path: str, source: Path, *, if_generation: int | None = None) -> FileSeen:
        return self._put(
            bucket, path, source.stat().st_size, _crc32c(source), if_generation,
            lambda blob, **how: blob.upload_from_filename(
                str(source), content_type="application/octet-stream", **how
            ),
        )

    def delete(self, bucket: str, path: str, generation: int) -> None:
        blob, seen = self._blob(bucket, path), self.stat(bucket, path)
        if seen is None:
            return
        if seen.generation != generation:
            raise Conflict(path)
        try:
            blob.delete(if_generation_match=generation, retry=Tries().retry, timeout=self._timeout_s)
        except NoSuchObject:
            return
        except PreconditionFailed as error:
            raise Conflict(path) from error
        except _FAILURES as error:
            raise _failed("delete", bucket, path, error) from error

    @contextmanager
    def local(self, bucket: str, path: str) -> Iterator[Path]:
        """The file lies in the system's temporary folder, which on Cloud Run is memory unless a disk is mounted."""
        seen = self.stat(bucket, path)
        if seen is None:
            raise _missing(bucket, path)
        with scratch() as folder:
            file = folder / path.rpartition("/")[2]
            self._download(bucket, path, file)
            if (found := _crc32c(file)) != seen.crc32c:
                raise Unavailable(
                    f"{path} in bucket {bucket} came with checksum {found} in the place of {seen.crc32c}: it was "
                    "damaged on its way, or replaced meanwhile"
                )
            yield file

    def url(self, bucket: str, path: str, *, expires_in_s: int) -> str:
        _checked(path)
        try:
            return self._url_of(bucket, path, min(expires_in_s, LONGEST_URL_S))
        except _FAILURES as error:
            raise _failed("sign an address of", bucket, path, error) from error

    def _named(self, bucket: str) -> str:
        return self._names.get(bucket, bucket)

    def _blob(self, bucket: str, path: str) -> Any:
        return self._client.bucket(self._named(bucket)).blob(_checked(path), chunk_size=UPLOAD_CHUNK_BYTES)

    def _put(
        self, bucket: str, path: str, size: int, crc32c: str, if_generation: int | None, send: Callable[..., object]
    ) -> FileSeen:
        """Cloud Storage compares the checksum before the object exists, and its answer is looked at, too."""
        blob = self._blob(bucket, path)
        mark = uuid.uuid4().hex
        if if_generation is not None:
            blob.metadata = {_MARK: mark}
        tries = Tries()
        try:
            send(
                blob, if_generation_match=if_generation, crc32c_checksum_value=crc32c, checksum=None,
                retry=tries.retry, timeout=self._timeout_s,
            )
        except PreconditionFailed as error:
            if tries.repeated and (ours := self._marked(bucket, path, mark)):
                return ours
            raise Conflict(path) from error
        except NoSuchObject as error:
            if if_generation:
                raise Conflict(path) from error
            raise NotFound(f"there is no bucket {bucket}") from error
        except _FAILURES as error:
            raise _failed("write", bucket, path, error) from error
        if ((seen := _seen(blob)).size, seen.crc32c) != (size, crc32c):
            self._take_away(blob, seen)
            raise Unavailable(f"{path} in bucket {bucket} was damaged on its way, and has been taken away again")
        return seen

    def _take_away(self, blob: Any, seen: FileSeen) -> None:
        try:
            blob.delete(if_generation_match=seen.generation, retry=Tries().retry, timeout=self._timeout_s)
        except _FAILURES as error:
            raise _failed("take away a damaged", blob.bucket.name, seen.path, error) from error

    def _marked(self, bucket: str, path: str, mark: str) -> FileSeen | None:
        """What stands there, when it is what a request of ours wrote whose answer was lost."""
        blob = self._blob(bucket, path)
        try:
            blob.reload(retry=Tries().retry, timeout=self._timeout_s)
        except NoSuchObject:
            return None
        except _FAILURES as error:
            raise _failed("stat", bucket, path, error) from error
        return _seen(blob) if (blob.metadata or {}).get(_MARK) == mark else None

    def _download(self, bucket: str, path: str, file: Path) -> None:
        try:
            with file.open("wb") as handle:
                blob = self._client.bucket(self._named(bucket)).blob(path)  # no chunk size: one request
                blob.download_to_file(
                    handle, raw_download=True, checksum=None, retry=Tries().retry, timeout=self._timeout_s
                )
        except NoSuchObject:
            raise _missing(bucket, path) from None
        except _FAILURES as error:
            raise _failed("download", bucket, path, error) from error

    def _is_there(self, bucket: str) -> bool:
        try:
            return bool(self._client.bucket(self._named(bucket)).exists(retry=Tries().retry, timeout=self._timeout_s))
        except _FAILURES as error:
            raise _failed("find", bucket, "", error) from error


class Tries:
    """How often one operation has sent a request again; `retry` is for the client's calls of that operation."""

    def __init__(self) -> None:
        self.repeated = 0
        self.retry = Retry(predicate=self._again, initial=0.1, maximum=2.0, multiplier=3.0, timeout=120.0)

    def _again(self, error: BaseException) -> bool:
        if self.repeated >= REPEATS or not _passes(error):
            return False
        self.repeated += 1
        return True


def storage_client(project: str, *, emulator: str | None = None) -> storage.Client:
    """A client with this process's credentials; `emulator` is `http://HOST:PORT` of a server that asks for none."""
    if emulator is None:
        client = storage.Client(project=project)
    else:
        client = storage.Client(
            project=project, credentials=AnonymousCredentials(), client_options={"api_endpoint": emulator}
        )
    client._bucket_metadata_cache = None  # a read of each bucket in the background, for traces that nobody records
    return client


def storage_objects(
    project: str, *, names: Mapping[str, str] | None = None, emulator: str | None = None
) -> StorageObjects:
    """In the cloud, addresses are signed as the process's own service account. `names`: what a bucket of ours is
    called there, since Cloud Storage's names are the world's."""
    client = storage_client(project, emulator=emulator)
    return StorageObjects(client, signed_urls(client) if emulator is None else plain_urls(emulator), names=names)


# -- what is seen, and what went wrong ----------------------------------------------------------------------------


def _checked(path: str) -> str:
    if problem := paths.problem_with_path(path):
        raise Permanent(problem)
    return path


def _seen(blob: Any) -> FileSeen:
    return FileSeen(
        path=blob.name, size=blob.size, crc32c=blob.crc32c, generation=blob.generation, updated_at=blob.updated
    )


def _crc32c(file: Path) -> str:
    checksum = google_crc32c.Checksum()
    with file.open("rb") as handle:
        while chunk := handle.read(_READ_BYTES):
            checksum.update(chunk)
    return _as_text(checksum)


def _as_text(checksum: google_crc32c.Checksum) -> str:
    return base64.b64encode(checksum.digest()).decode()


def _passes(error: BaseException) -> bool:
    """The transfers of the client raise InvalidResponse where its other calls raise an error of the status."""
    if isinstance(error, InvalidResponse):
        return bool(error.response.status_code >= 500 or error.response.status_code in (408, 429))
    return isinstance(error, _PASSING)


def _missing(bucket: str, path: str) -> NotFound:
    return NotFound(f"{path} is not in bucket {bucket}")


def _failed(verb: str, bucket: str, path: str, error: Exception) -> Transient | Permanent:
    kind = Permanent if isinstance(error, BadRequest) else Unavailable
    return kind(f"Cloud Storage could not {verb} {path} in bucket {bucket}: {error}")
