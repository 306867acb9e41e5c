"""The pages' own style sheet and script, and what others have written for browsers (infra/assets)."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse

from services.miner.pages.rendering import STATIC, YEAR_S
from services.miner.problems import not_found

router = APIRouter(include_in_schema=False)


@router.head("/static/{path:path}")
@router.get("/static/{path:path}")
def static_file(path: str) -> FileResponse:
    """Its address changes with its content (`static_address`)."""
    file = (STATIC / path).resolve() if "\0" not in path else STATIC
    if not file.is_relative_to(STATIC.resolve()) or not file.is_file():
        raise not_found(f"file {path!r}")
    return FileResponse(file, headers={"Cache-Control": f"public, max-age={YEAR_S}, immutable"})
