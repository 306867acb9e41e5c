"""Files that are sent into a sample's folder, in pieces; and, on a local stack, where the pieces are sent to.

The pieces go to a session of Cloud Storage, by its own protocol, and do not pass through this service. A local stack
speaks the same protocol itself, so that a client knows one (docs/decisions/0023-samples-and-uploads.md).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Header, Request, Response
from fastapi import Path as InPath
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from services.miner.context import TheBody, TheCaller, TheKey, ThePorts, TheProject, TheSample, parse
from services.miner.openapi import request_body
from services.miner.problems import Refusal, documented, not_found
from shared.adapters.embedded.uploads import Ended, NotWanted, Receiver, Session, SpooledUploads
from shared.domain import paths
from shared.domain.clock import Time
from shared.domain.project import Project
from shared.domain.sample import KnownSample
from shared.domain.upload import Upload, UploadRequest, UploadStatus
from shared.ports import Ports, Stored
from shared.runtime import Settings
from shared.steps.uploads import FileExists, NotWhole, UploadFailed, begin_upload, finish_upload, uploads_of

router = APIRouter(tags=["samples"])
NEW_UPLOAD = {"name": "HG002.vcf.gz", "size": 48_211, "crc32c": "yZRlqg=="}
PIECE_BYTES = 1 << 20
MORE_IS_WANTED = 308
MOST_LISTED = 100

_RANGE = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15}|\*)")


class UploadShort(BaseModel):
    """`failure` says why it was not taken; `generation` is of the object that it became."""

    id: str
    name: str
    path: str
    size: int
    crc32c: str
    status: UploadStatus
    generation: int | None
    failure: str | None
    created_at: Time
    created_by: str
    open_until: Time


class UploadWhole(UploadShort):
    """Send the bytes to `session` with PUT and Content-Range, from `arrived` on; it needs no token, and may begin with
    a slash: then it is of this service. Both are null once the upload has ended."""

    session: str | None
    arrived: int | None


class UploadList(BaseModel):
    """The newest 100."""

    items: list[UploadShort]


@router.post(
    "/samples/{sample}/uploads", status_code=201, openapi_extra=request_body("UploadRequest", NEW_UPLOAD),
    responses={200: {"model": UploadWhole, "description": "The same file was begun before, or is there already."},
               **documented(400, 404, 409, 413, 422, 503)},
)
def begin(
    request: Request, stored: TheSample, project: TheProject, ports: ThePorts, caller: TheCaller, _: TheKey,
    body: TheBody, response: Response,
) -> UploadWhole:
    """Begins to send a file, or goes on with the same one (name, size and checksum) where it was broken off, from
    whatever machine. It appears whole at `samples/{slug}/uploads/{name}`, or not at all; another file of that name
    stays, unless `replace` is said."""
    settings: Settings = request.app.state.access.settings
    sample = KnownSample.from_document(stored.data)
    try:
        upload, new = begin_upload(
            ports, project, sample, parse(UploadRequest, body), largest=settings.largest_upload, by=caller
        )
    except FileExists as error:
        raise Refusal(409, "file-exists", f"{error}.") from None
    response.status_code = 201 if new else 200
    return _whole(ports, upload)


@router.get("/samples/{sample}/uploads", responses=documented(400, 404, 503))
def list_uploads(stored: TheSample, ports: ThePorts) -> UploadList:
    """What was sent into its folder, the newest first: by whom, and how it ended."""
    found = uploads_of(ports.documents, KnownSample.from_document(stored.data), limit=MOST_LISTED)
    return UploadList(items=[UploadShort.model_validate(each.data) for each in found])


UploadId = Annotated[str, InPath(description="The upload's id.", max_length=200)]


@router.get("/samples/{sample}/uploads/{upload}", responses=documented(400, 404, 503))
def get_upload(stored: TheSample, project: TheProject, ports: ThePorts, upload: UploadId) -> UploadWhole:
    """One of them; how far it is, and where the rest is to be sent."""
    return _whole(ports, Upload.from_document(_upload(ports, project, stored, upload).data))


@router.post("/samples/{sample}/uploads/{upload}/finish", responses=documented(400, 404, 409, 503))
def finish(stored: TheSample, project: TheProject, ports: ThePorts, upload: UploadId, _: TheKey) -> UploadWhole:
    """To be said when the last byte was sent, or the session refused one: the bucket is asked what is there, and the
    upload's document says how it ended."""
    try:
        return _whole(ports, finish_upload(ports, project, _upload(ports, project, stored, upload)))
    except NotWhole as error:
        raise Refusal(409, "not-whole", f"{error}.") from None
    except UploadFailed as error:
        raise Refusal(409, "upload-failed", f"{error}.") from None


def _upload(ports: Ports, project: Project, sample: Stored, upload: str) -> Stored:
    found = ports.documents.get(paths.upload_doc(project.id, paths.safe_id(upload)))
    if found is None or found.data["sample"] != sample.id:
        raise not_found(f"upload {upload!r} of sample {sample.id!r} in project {project.id!r}")
    return found


def _whole(ports: Ports, upload: Upload) -> UploadWhole:
    arrived = ports.uploads.arrived(upload.session) if upload.is_open(ports.clock()) else None
    fields = upload.model_dump(exclude={"session"})
    return UploadWhole(**{name: fields[name] for name in UploadShort.model_fields},
                       session=upload.session if arrived is not None else None, arrived=arrived)


# -- where a local stack takes the bytes ------------------------------------------------------------------------------


class Span(NamedTuple):
    """Bytes `start` to `end` (exclusive) are in the body; of a question there are none. `total` is None for `*`."""

    start: int
    end: int
    total: int | None


@router.put("/uploads/{token}", include_in_schema=False)
async def receive(
    request: Request, token: str, ports: ThePorts, content_range: Annotated[str | None, Header(max_length=100)] = None
) -> Response:
    """A piece, or with `Content-Range: bytes */SIZE` the question how far it is: 308 with `Range` while bytes are
    missing, 200 with the object when it is whole."""
    uploads = ports.uploads
    session = uploads.session(token) if isinstance(uploads, SpooledUploads) else None
    if session is None or not isinstance(uploads, SpooledUploads):
        raise not_found("session at this address; it may have expired")
    span = _span(content_range, session.size, request.headers.get("content-length"))
    if span.total not in (None, session.size):
        raise Refusal(400, "bad-range", f"The file was announced with {session.size:,} bytes, and not {span.total:,}.")
    if session.ended is not None:
        return _answer(session)
    try:
        with uploads.receive(token) as receiver:
            await _take(request, receiver, span)
            return _answer(await run_in_threadpool(receiver.end))
    except ClientDisconnect:
        return Response(status_code=400)  # which nobody reads
    except NotWanted as error:
        raise _refused(error.ended, f"{error}.") from None


async def _take(request: Request, receiver: Receiver, span: Span) -> None:
    """Raises starlette's ClientDisconnect where the connection breaks; what came before it counts."""
    start, held = span.start, bytearray()
    try:
        async for part in request.stream():
            held += part
            if start + len(held) > span.end:
                raise Refusal(400, "bad-range", "The body is longer than its Content-Range says.")
            if len(held) >= PIECE_BYTES:
                await run_in_threadpool(receiver.take, start, bytes(held))
                start, held = start + len(held), bytearray()
        if held:
            await run_in_threadpool(receiver.take, start, bytes(held))
    finally:
        await run_in_threadpool(receiver.keep)  # it waits for the disk, and others must not wait with it


def _span(header: str | None, size: int, length: str | None) -> Span:
    """Without a Content-Range the body is the whole file; without a body, too, it is a question."""
    if header is None:
        return Span(0, 0 if length == "0" else size, None)
    found = _RANGE.fullmatch(header.strip())
    if found is None:
        raise Refusal(400, "bad-range", f"{header!r} is no Content-Range such as `bytes 0-1048575/{size}`.")
    total = None if found[3] == "*" else int(found[3])
    if found[1] is None:
        return Span(0, 0, total)
    if not int(found[1]) <= int(found[2]) < size:
        raise Refusal(400, "bad-range", f"{header!r} does not lie within the {size:,} bytes that were announced.")
    return Span(int(found[1]), int(found[2]) + 1, total)


def _answer(session: Session) -> Response:
    """As Cloud Storage's."""
    if session.ended is Ended.WELL:
        content: dict[str, Any] = {"name": session.path, "size": str(session.size), "crc32c": session.crc32c}
        return JSONResponse(content)
    if session.ended is not None:
        raise _refused(session.ended, "It was not taken; begin anew.")
    return Response(
        status_code=MORE_IS_WANTED, headers={"Range": f"bytes=0-{session.arrived - 1}"} if session.arrived else {}
    )


def _refused(ended: Ended, detail: str) -> Refusal:
    status = {Ended.OTHER_BYTES: 400, Ended.CHANGED_MEANWHILE: 412}.get(ended, 410)
    return Refusal(status, ended.value.replace("_", "-"), detail)
