"""A document's version as its ETag (RFC 9110, 8.8.3): who has it is told so, who would change another is refused."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Header
from fastapi.responses import JSONResponse, Response

from services.miner.problems import Refusal
from shared.ports import Stored

IfNoneMatch = Annotated[str | None, Header(description="ETags that are at hand: 304 if it is still one of them.")]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "It is still the version of If-None-Match."}}


def etag_of(version: str) -> str:
    return f'"{version}"'


def answered(content: Any, version: str, if_none_match: str | None, status: int = 200) -> Response:
    """The content with its ETag; 304 without it where one of `if_none_match` is that."""
    etag = etag_of(version)
    if if_none_match and _names(if_none_match, etag):
        return Response(status_code=304, headers={"ETag": etag})
    return JSONResponse(content, status, {"ETag": etag})


def document(stored: Stored, if_none_match: str | None) -> Response:
    """As it is stored."""
    return answered(stored.data, stored.version, if_none_match)


def the_condition(
    if_match: Annotated[str | None, Header(description="The ETag that the change is meant for; 412 if it is another.")]
    = None,
) -> str | None:
    return if_match


IfMatch = Annotated[str | None, Depends(the_condition)]


def refuse_another(stored: Stored | None, if_match: str | None) -> None:
    """Raises Refusal (412) where `if_match` is given and does not name the stored version, or there is none."""
    if if_match and (stored is None or not _names(if_match, etag_of(stored.version))):
        raise Refusal(412, "changed-meanwhile", "It is another version than that of If-Match; read it and decide anew.")


def _names(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags
