"""Scratch folders: what a killed process leaves is taken away, what a living one has is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.scratch import scratch

HOLD = """
from shared.scratch import scratch
with scratch() as folder:
    (folder / "big").write_bytes(b"x")
    print(folder, flush=True)
    input()
"""


def test_what_a_killed_process_leaves_is_swept_by_the_next_and_the_livings_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    held = [
        subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    killed, living = held
    try:
        of_killed, of_living = (Path(_line(process)) for process in held)
        killed.kill()
        killed.wait()
        assert (of_killed / "big").exists()
        with scratch() as own:
            assert own.is_dir()
            assert not of_killed.exists()
            assert (of_living / "big").exists()
        assert not own.exists()
        living.communicate("\n", timeout=30)
        assert not of_living.exists()
    finally:
        for process in held:
            process.kill()
            process.wait()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
