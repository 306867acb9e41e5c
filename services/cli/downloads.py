"""Files of an analysis, fetched whole: a broken transfer is taken up again, a checksum that differs is an error."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from services.cli.api import Api, NotNow
from services.cli.exits import Exit, Failed
from shared.domain import paths

ATTEMPTS = 5
CHUNK_BYTES = 1 << 20


def fetch(api: Api, analysis: str, output: Mapping[str, Any], folder: str, into: Path) -> tuple[Path, bool]:
    """(the local file, whether anything had to be fetched). Raises Failed; `into` never shows half a file."""
    target = into / _inside(output["path"], folder)
    if target.is_file() and target.stat().st_size == output["size"] and _crc32c(target) == output["crc32c"]:
        return target, False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    address = f"/analyses/{analysis}/outputs/{quote(output['path'])}"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _append(api, address, part, int(output["generation"]))
            break
        except NotNow:
            if attempt == ATTEMPTS:
                raise
    if _crc32c(part) != output["crc32c"]:
        part.unlink()
        raise Failed(Exit.BAD_DATA, "its checksum is not the document's: the file was changed after the run ended.")
    part.replace(target)
    return target, True


def _append(api: Api, address: str, part: Path, generation: int) -> None:
    """From where `part` ends, if the file is still the one that it was begun with."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-", "If-Range": f'"{generation}"'} if have else {}
    with api.stream(address, headers) as answer, part.open("ab" if answer.status_code == 206 else "wb") as file:
        for chunk in answer.iter_bytes(CHUNK_BYTES):
            file.write(chunk)


def _inside(path: str, folder: str) -> str:
    """The path below the analysis' folder; never one that leads out of where we write."""
    relative = path.removeprefix(folder)
    if problem := paths.problem_with_path(relative):
        raise Failed(Exit.BAD_DATA, f"The service lists a path that cannot be written here: {problem}.")
    return relative


def _crc32c(file: Path) -> str:
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with file.open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()
