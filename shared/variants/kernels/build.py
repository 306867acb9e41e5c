"""`python shared/variants/kernels/build.py` compiles kernels.c and bits.c to a library beside them. Exits with 1 where
it cannot."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

SOURCES = (Path(__file__).with_name("kernels.c"), Path(__file__).with_name("bits.c"))
LIBRARY = Path(__file__).with_name("kernels.so")
# No -march: the library may run on another machine than the one that made it. No -ffast-math: doubles round as IEEE 754
# says.
_OPTIONS = ("-O3", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-ffp-contract=off")


def digest() -> str:
    """Of the sources, which the library carries, so that a library of others is not used."""
    return hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()[:32]


def build() -> str | None:
    """Why it could not be done, or None. The library appears whole or not."""
    compiler = os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if compiler is None:
        return "there is no C compiler (cc, gcc or clang)"
    draft = LIBRARY.with_suffix(f".{os.getpid()}")
    command = [compiler, *_OPTIONS, f'-DDIGEST="{digest()}"', *map(str, SOURCES), "-o", str(draft)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"{compiler} failed: {done.stderr.strip()}"
    draft.replace(LIBRARY)
    return None


if __name__ == "__main__":
    if reason := build():
        sys.exit(f"The kernels are not compiled: {reason}. NumPy alone does it, which takes longer.")
