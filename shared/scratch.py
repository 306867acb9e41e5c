"""Folders for work that a kill may end at any moment: the next one that is made takes away what the dead left."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder for as long as the context lasts, or its process."""
    root = _root()
    with _locked(root):  # so that none is swept between its making and its lock
        _sweep(root)
        folder = Path(tempfile.mkdtemp(dir=root))
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _root() -> Path:
    """On Cloud Run this is memory (docs/operations.md); `TMPDIR` moves it."""
    root = Path(tempfile.gettempdir()) / f"iflow-scratch-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    return root


def _sweep(root: Path) -> None:
    """The kernel opens a dead process' locks, whatever killed it, and no process id can be mistaken for another's."""
    for folder in root.iterdir():
        with suppress(FileNotFoundError, BlockingIOError), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Raises BlockingIOError when `how` does not wait and another has it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
