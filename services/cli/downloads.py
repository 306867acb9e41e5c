"""Files of an analysis, fetched whole: a broken transfer is taken up again, a checksum that differs is an error."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from services.cli.api import Api, NotNow
from services.cli.exits import Exit, Failed
from shared.domain import paths

ATTEMPTS = 5
CHUNK_BYTES = 1 << 20
PROGRESS_S = 0.2


def fetch(
    api: Api, analysis: str, output: Mapping[str, Any], folder: str, into: Path,
    told: Callable[[int], object] = lambda _: None,
) -> tuple[Path, bool]:
    """(the local file, whether anything had to be fetched). Raises Failed; `into` never shows half a file: what has
    come so far is kept beside it as `{name}.{generation}.part`, from which the next attempt goes on. `told` hears how
    many bytes there are."""
    target = into / _inside(output["path"], folder)
    if target.is_file() and target.stat().st_size == output["size"] and crc32c_of(target) == output["crc32c"]:
        return target, False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{output['generation']}.part")
    address = f"/analyses/{analysis}/outputs/{quote(output['path'])}"
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _append(api, address, part, output, told)
            break
        except NotNow:
            if attempt == ATTEMPTS:
                raise
    if crc32c_of(part) != output["crc32c"]:
        part.unlink()
        raise Failed(Exit.BAD_DATA, "its checksum is not the document's: the file was changed after the run ended.")
    part.replace(target)
    return target, True


def _append(
    api: Api, address: str, part: Path, output: Mapping[str, Any], told: Callable[[int], object]
) -> None:
    """From where `part` ends, if the file is still the one that it was begun with."""
    have = part.stat().st_size if part.exists() else 0
    if have == output["size"] and part.exists():
        return
    headers = {"Range": f"bytes={have}-", "If-Range": f'"{output["generation"]}"'} if have else {}
    with api.stream(address, headers) as answer:
        resumed = answer.status_code == 206
        have = have if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                file.write(chunk)
                told(have := have + len(chunk))


class Progress:
    """One line on a terminal's stderr that is written over; nothing where nobody looks on."""

    def __init__(self, name: str, size: int) -> None:
        self._name, self._size = name, size
        self._shown = sys.stderr.isatty()
        self._last = 0.0

    def __call__(self, have: int) -> None:
        if not self._shown or (time.monotonic() - self._last < PROGRESS_S and have < self._size):
            return
        self._last = time.monotonic()
        share = f"{have / self._size:.0%}" if self._size else ""
        end = "\r\x1b[K" if have >= self._size else ""
        print(f"\r\x1b[K{self._name}  {share}{end}", end="", file=sys.stderr, flush=True)


def _inside(path: str, folder: str) -> str:
    """The path below the analysis' folder; never one that leads out of where we write."""
    relative = path.removeprefix(folder)
    if problem := paths.problem_with_path(relative):
        raise Failed(Exit.BAD_DATA, f"The service lists a path that cannot be written here: {problem}.")
    return relative


def crc32c_of(file: Path) -> str:
    import google_crc32c

    checksum = google_crc32c.Checksum()
    with file.open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()
