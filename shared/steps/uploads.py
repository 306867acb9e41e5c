"""A file that is sent in pieces: begun, found again where it was broken off, and looked at when all of it was sent."""

from __future__ import annotations

from collections.abc import Callable

from shared.domain import paths
from shared.domain.errors import Conflict, Permanent
from shared.domain.project import Project
from shared.domain.reasons import Reason
from shared.domain.request import RequestRefused
from shared.domain.sample import KnownSample
from shared.domain.upload import Upload, UploadRequest, UploadStatus, new_upload, path_of
from shared.ports import Create, Documents, Order, Ports, Query, Stored, Update, Where
from shared.steps.store import ATTEMPTS

OTHER_BYTES = "what was sent was not of the size and checksum that were announced, or another file took its place"


class FileExists(Permanent):
    """Another file has this name."""


class NotWhole(Permanent):
    """Bytes are missing still."""


class UploadFailed(Permanent):
    """It can never become the file; another one is to be begun."""


def begin_upload(
    ports: Ports, project: Project, sample: KnownSample, request: UploadRequest, *, largest: int, by: str
) -> tuple[Upload, bool]:
    """The upload, and whether its session is new: the same file under the same name goes on where it was, from
    whatever machine. Raises RequestRefused, FileExists, TooLarge."""
    if request.size > largest:
        raise RequestRefused((Reason(
            field="size", message=f"{request.size:,} bytes; at most {largest:,} are taken in one file"
        ),))
    path = path_of(sample.slug, request.name)
    doc_path = paths.upload_doc(project.id, paths.upload_id(project.id, path, request.size, request.crc32c))
    for _ in range(ATTEMPTS):
        stored = ports.documents.get(doc_path)
        known = Upload.from_document(stored.data) if stored else None
        upload, new = _begun(ports, project, sample, request, known, by)
        if stored is not None and upload == known:
            return upload, False
        data = upload.to_document()
        try:
            ports.documents.commit([Update(doc_path, data, stored.version) if stored else Create(doc_path, data)])
        except Conflict:
            continue
        return upload, new
    raise Conflict(doc_path)


def _begun(
    ports: Ports, project: Project, sample: KnownSample, request: UploadRequest, known: Upload | None, by: str
) -> tuple[Upload, bool]:
    """As the document should be, and whether it has a new session."""
    now, path = ports.clock(), path_of(sample.slug, request.name)
    there = ports.objects.stat(project.bucket, path)
    generation = there.generation if there else 0
    wanted = new_upload(request, project.id, sample.slug, session="", if_generation=generation, now=now, by=by)
    if there is not None and wanted.is_of(there):
        if known is not None and (known.status, known.generation) == (UploadStatus.COMPLETE, there.generation):
            return known, False
        return (known or wanted).completed(there, now), False
    if there is not None and not request.replace:
        raise FileExists(f"{path} is there already, of {there.size:,} bytes and with other content; say `replace`, or "
                         "name this one otherwise")
    if (
        known is not None and known.is_open(now) and known.if_generation == generation
        and ports.uploads.arrived(known.session) is not None
    ):
        return known, False
    session = ports.uploads.begin(
        project.bucket, path, size=request.size, crc32c=request.crc32c, if_generation=generation
    )
    return wanted.model_copy(update={"session": session}), True


def finish_upload(ports: Ports, project: Project, stored: Stored) -> Upload:
    """The upload with the file that it became: as the bucket has it, and not as anybody says. That may be asked again.

    Raises NotWhole; UploadFailed, once the document says so.
    """
    upload = Upload.from_document(stored.data)
    if upload.status is UploadStatus.COMPLETE:
        return upload
    arrived = ports.uploads.arrived(upload.session) if upload.status is UploadStatus.OPEN else None
    there = ports.objects.stat(project.bucket, upload.path)
    if there is not None and upload.is_of(there):
        return _changed(ports, stored, lambda current: current.completed(there, ports.clock()))
    if upload.status is UploadStatus.OPEN:
        if arrived is not None and upload.is_open(ports.clock()) and arrived < upload.size:
            raise NotWhole(f"{arrived:,} of {upload.size:,} bytes of {upload.name} are there; send the rest")
        upload = _changed(ports, stored, lambda current: current.failed(OTHER_BYTES, ports.clock()))
    raise UploadFailed(f"{upload.name} was not taken: {upload.failure}. Nothing of it is in the folder; begin anew")


def uploads_of(documents: Documents, sample: KnownSample, *, limit: int) -> tuple[Stored, ...]:
    """The newest first."""
    of_it = (Where("sample", "==", sample.slug),)
    newest_first = (Order("created_at", descending=True),)
    return documents.query(Query(paths.uploads(sample.project), of_it, newest_first, limit)).items


def _changed(ports: Ports, stored: Stored, change: Callable[[Upload], Upload]) -> Upload:
    """Unless somebody else has finished it meanwhile."""
    for _ in range(ATTEMPTS):
        current = Upload.from_document(stored.data)
        if current.status is UploadStatus.COMPLETE:
            return current
        changed = change(current)
        try:
            ports.documents.commit([Update(stored.path, changed.to_document(), stored.version)])
        except Conflict:
            again = ports.documents.get(stored.path)
            if again is None:
                raise
            stored = again
            continue
        return changed
    raise Conflict(stored.path)
