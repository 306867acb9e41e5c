"""A file that somebody sends in pieces: what it is to be, where it goes, and how it ended. Pure.

The bytes go to a session of Cloud Storage, or of the local stack, which shows the object whole or not at all; this
document says who began it, and lets it go on from any machine (docs/decisions/0023-samples-and-uploads.md).
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.domain import paths
from shared.domain.clock import Time
from shared.domain.files import FileSeen
from shared.domain.part import Part
from shared.domain.request import CONTROL

OPEN_FOR = timedelta(days=6)
"""A session of Cloud Storage holds for a week; ours ends while it still does."""

LONGEST_NAME_BYTES = 200


class UploadStatus(StrEnum):
    OPEN = "open"
    COMPLETE = "complete"
    FAILED = "failed"


def problem_with_name(name: str) -> str | None:
    """Why a file cannot be put among a sample's uploads under this name, or None when it can."""
    if "/" in name or "\\" in name:
        return f"{name!r} holds a slash; give the file's own name, without folders"
    if found := CONTROL.search(name):
        return f"it holds the control character U+{ord(found.group()):04X}"
    if name.startswith((".", "-")) or name != name.strip() or not name:
        return f"{name!r} begins with a dot or a hyphen, or has a blank at an end"
    if re.search(r'[<>:"|?*#\[\]]', name):
        return f"{name!r} holds one of < > : \" | ? * # [ ], which not every system can have in a name"
    if name != unicodedata.normalize("NFC", name):
        return "its accents are written as characters of their own (it is not NFC); name it otherwise"
    if len(name.encode()) > LONGEST_NAME_BYTES:
        return f"it is longer than {LONGEST_NAME_BYTES} bytes"
    return None


def _fit_name(name: str) -> str:
    if problem := problem_with_name(name):
        raise ValueError(problem)
    return name


def _checksum(text: str) -> str:
    try:
        if len(base64.b64decode(text, validate=True)) == 4:
            return text
    except binascii.Error:
        pass
    raise ValueError("it is no CRC32C: eight characters, the base64 of its four bytes, big end first")


class UploadRequest(BaseModel):
    """A file that is to be sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_fit_name)] = Field(
        min_length=1, description="The file's own name; it will be `samples/{slug}/uploads/{name}`.",
    )
    size: int = Field(ge=1, description="Bytes.")
    crc32c: Annotated[str, AfterValidator(_checksum)] = Field(
        description="Base64 of the big-endian CRC32C of the whole, as Cloud Storage has it."
    )
    replace: bool = Field(default=False, description="In the place of another file of this name, if there is one.")


class Upload(Part):
    """Document `projects/{project}/uploads/{id}`. `session` is the address that the bytes go to: who has it can send
    this file, of this size and checksum, and nothing else. `if_generation` is of the object that it replaces, 0 for
    none; `generation` of the one that it became."""

    id: str
    project: str
    sample: str
    name: str
    path: str
    size: int
    crc32c: str
    status: UploadStatus
    session: str
    if_generation: int
    generation: int | None = None
    failure: str | None = None
    created_at: Time
    created_by: str
    updated_at: Time
    open_until: Time

    @property
    def doc_path(self) -> str:
        return paths.upload_doc(self.project, self.id)

    def to_document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        return cls.model_validate(data)

    def is_open(self, now: datetime) -> bool:
        return self.status is UploadStatus.OPEN and now < self.open_until

    def is_of(self, file: FileSeen) -> bool:
        """Whether that is the file which was to be sent; the size first, since a checksum may have to be reckoned."""
        return file.size == self.size and file.crc32c == self.crc32c

    def completed(self, file: FileSeen, now: datetime) -> Self:
        return self.model_copy(update={
            "status": UploadStatus.COMPLETE, "generation": file.generation, "failure": None, "updated_at": now,
        })

    def failed(self, why: str, now: datetime) -> Self:
        return self.model_copy(update={"status": UploadStatus.FAILED, "failure": why, "updated_at": now})


def path_of(sample_slug: str, name: str) -> str:
    return f"{paths.upload_folder(sample_slug)}{name}"


def new_upload(
    request: UploadRequest, project: str, sample_slug: str, *, session: str, if_generation: int, now: datetime, by: str
) -> Upload:
    path = path_of(sample_slug, request.name)
    return Upload(
        id=paths.upload_id(project, path, request.size, request.crc32c), project=project, sample=sample_slug,
        name=request.name, path=path, size=request.size, crc32c=request.crc32c, status=UploadStatus.OPEN,
        session=session, if_generation=if_generation, created_at=now, created_by=by, updated_at=now,
        open_until=now + OPEN_FOR,
    )
