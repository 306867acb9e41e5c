"""Samples: register one, list them, read and change what is stated of one, its files, and who used it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Query as Parameter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.miner.api.orders import OrderShort
from services.miner.context import TheBody, TheCaller, TheKey, ThePorts, TheProject, TheSample, parse
from services.miner.cursors import decode_cursor, encode_cursor
from services.miner.etags import NOT_MODIFIED, IfMatch, IfNoneMatch, document, etag_of, refuse_another
from services.miner.openapi import request_body
from services.miner.problems import Refusal, documented
from services.miner.summaries import Summary
from shared.domain import paths
from shared.domain.clock import Time
from shared.domain.errors import Conflict
from shared.domain.listed import piece_word
from shared.domain.request import CONTROL, Role, Sex
from shared.domain.sample import KnownSample, SampleRequest, Stated, external_word
from shared.ports import Documents, Order, Query, Stored, Where
from shared.steps.samples import analyses_of, orders_of, register_sample, state_anew

router = APIRouter(prefix="/samples", tags=["samples"])
NEW_SAMPLE = {"name": "HG002", "sex": "male", "role": "proband", "external_ids": {"lims": "4711"}}
MOST_USES = 50


class SampleFilters(BaseModel):
    """All of them must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str | None = Field(
        default=None, min_length=1, max_length=120, description="A part of the name, whatever its case and signs.",
    )
    external_id: str | None = Field(
        default=None, min_length=1, max_length=200, examples=["4711"], description="What any other system calls it.",
    )
    sex: Sex | None = Field(default=None, description="As stated.")
    created_by: str | None = Field(
        default=None, min_length=1, max_length=200, examples=["ada@lab.example"], description="Who registered it.",
    )
    limit: int = Field(default=50, ge=1, le=200, description="Samples on a page.")
    cursor: str | None = Field(default=None, max_length=1000, description="`next` of the page before.")

    @field_validator("text", "external_id", "created_by")
    @classmethod
    def _printable(cls, value: str | None) -> str | None:
        if value is not None and CONTROL.search(value):
            raise ValueError("holds a control character")
        return value

    def query(self, project: str, after: tuple[Any, ...] | None) -> Query:
        where = [
            Where(field, "==", value)
            for field, value in (("sex", self.sex), ("created_by", self.created_by)) if value is not None
        ]
        if self.external_id is not None:
            where.append(Where("listed.find", "array_contains", external_word(self.external_id)))
        if self.text is not None:
            part = paths.slug(self.text)
            if (word := piece_word(part)) is not None:
                where.append(Where("listed.find", "array_contains", word))
            if word != part:
                where.append(Where("slug", "contains", part))
        newest_first = (Order("created_at", descending=True),)
        return Query(paths.samples(project), tuple(where), newest_first, self.limit, after)


class SampleShort(BaseModel):
    """Fields have the names and values of the sample's document."""

    model_config = ConfigDict(extra="ignore")

    slug: str
    name: str
    sex: Sex
    role: Role
    external_ids: dict[str, str]
    created_at: Time
    created_by: str
    updated_at: Time


class SamplePage(BaseModel):
    """`next` is the cursor of the following page, and null on the last one. A page with a `next` may hold fewer than
    were asked for."""

    items: list[SampleShort]
    next: str | None


class SampleFile(BaseModel):
    """`path` is relative to the project bucket, as inputs name it; `size` in bytes."""

    path: str
    size: int
    updated_at: Time


class SampleFiles(BaseModel):
    """What lies directly in the folder that was asked for: folders, with their slash, and files."""

    folders: list[str]
    files: list[SampleFile]
    next: str | None


class Uses(BaseModel):
    """The newest of each, 50 at most; `GET /analyses?sample=NAME` goes on."""

    analyses: list[Summary]
    orders: list[OrderShort]


@router.post(
    "", status_code=201, response_model=KnownSample, openapi_extra=request_body("SampleRequest", NEW_SAMPLE),
    responses={200: {"model": KnownSample, "description": "The request was made before; its sample as it is now."},
               **documented(400, 404, 409, 413, 422, 503)},
)
def register(project: TheProject, ports: ThePorts, caller: TheCaller, key: TheKey, body: TheBody) -> Response:
    """Registers a sample. Its slug names the folder `samples/{slug}/`, and is the project's only one."""
    found, new = register_sample(ports, project.id, parse(SampleRequest, body), key=key, by=caller)
    return whole(found, 201 if new else 200, Location=f"/api/v1{router.prefix}/{found.id}")


@router.get("", responses=documented(400, 404, 503))
def list_samples(project: TheProject, ports: ThePorts, filters: Annotated[SampleFilters, Parameter()]) -> SamplePage:
    """The project's samples, the newest first."""
    return sample_page(ports.documents, project.id, filters)


def sample_page(documents: Documents, project: str, filters: SampleFilters) -> SamplePage:
    """Raises Refusal (400) for a cursor that is not one of this list."""
    asked = {"list": "samples", "project": project, **filters.model_dump(mode="json", exclude={"limit", "cursor"})}
    page = documents.query(filters.query(project, decode_cursor(filters.cursor, asked, parts=2)))
    return SamplePage(
        items=[SampleShort.model_validate(stored.data) for stored in page.items],
        next=encode_cursor(page.next, asked) if page.next else None,
    )


@router.get("/{sample}", response_model=KnownSample, responses={**NOT_MODIFIED, **documented(400, 404, 503)})
def get_sample(stored: TheSample, if_none_match: IfNoneMatch = None) -> Response:
    """The whole document, as it is stored."""
    return document(stored, if_none_match)


@router.patch("/{sample}", response_model=KnownSample, openapi_extra=request_body("Stated", {"note": "Second draw."}),
              responses=documented(400, 404, 412, 413, 422, 503))
def change_sample(
    stored: TheSample, ports: ThePorts, caller: TheCaller, if_match: IfMatch, body: TheBody
) -> Response:
    """Another statement of it; what is not given stays. What has run against it keeps what was said then."""
    refuse_another(stored, if_match)
    try:
        found = state_anew(ports, stored, parse(Stated, body), by=caller, only_if_same=bool(if_match))
    except Conflict:
        if not if_match:
            raise
        raise Refusal(412, "changed-meanwhile", "Somebody changed it a moment ago; read it and decide anew.") from None
    return whole(found)


@router.get("/{sample}/files", responses=documented(400, 404, 503))
def list_files(
    stored: TheSample, project: TheProject, ports: ThePorts,
    folder: Annotated[str, Parameter(
        max_length=800, pattern=r"^([^/\x00-\x1f\x7f]+/)*$", examples=["uploads/"],
        description="Below `samples/{slug}/`, with its slash."
    )] = "",
    limit: Annotated[int, Parameter(ge=1, le=1000, description="Folders and files on a page.")] = 200,
    cursor: Annotated[str | None, Parameter(max_length=2000, description="`next` of the page before.")] = None,
) -> SampleFiles:
    """What lies in its folder in the project bucket: what was uploaded, and what else was put there."""
    prefix = paths.sample_folder(stored.id) + folder
    asked = {"list": "files", "project": project.id, "prefix": prefix}
    place = decode_cursor(cursor, asked, parts=1)
    level = ports.objects.level(project.bucket, prefix, after=str(place[0]) if place else "", limit=limit)
    return SampleFiles(
        folders=list(level.folders),
        files=[SampleFile(path=file.path, size=file.size, updated_at=file.updated_at) for file in level.files],
        next=encode_cursor((level.next,), asked) if level.next else None,
    )


@router.get("/{sample}/uses", responses=documented(400, 404, 503))
def uses(stored: TheSample, ports: ThePorts) -> Uses:
    """The analyses that ran against a sample of this name, and the orders that are of one."""
    sample = KnownSample.from_document(stored.data)
    return Uses(
        analyses=[Summary.model_validate(each.data) for each in analyses_of(ports.documents, sample, limit=MOST_USES)],
        orders=[OrderShort.model_validate(each.data) for each in orders_of(ports.documents, sample, limit=MOST_USES)],
    )


def whole(stored: Stored, status: int = 200, **headers: str) -> JSONResponse:
    return JSONResponse(stored.data, status, {"ETag": etag_of(stored.version), **headers})
