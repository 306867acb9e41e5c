"""BCF 2.2 as text, by htslib in a child process: a file that makes htslib crash ends the child, not the worker.

`python -m shared.variants.vcf.bcf FILE` is that child: it writes the VCF text to its standard output.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile

from shared.variants.report import VcfRefused
from shared.variants.vcf.source import read_text

MAGIC = b"BCF"
VERSION = b"\x02\x02"
_READ_BYTES = 1 << 20


def read_any(path: Path) -> Iterator[bytes]:
    """The VCF text of a file of either kind, told apart by how the unpacked content begins. Raises VcfRefused."""
    pieces = read_text(path)
    first = next(pieces, b"")
    return read_bcf(path) if first.startswith(MAGIC) else chain([first], pieces)


def read_bcf(path: Path) -> Iterator[bytes]:
    """Yields the VCF text. Raises VcfRefused for a version other than 2.2 and for truncated or corrupt files."""
    _check(path)
    command = [sys.executable, "-m", "shared.variants.vcf.bcf", str(path.absolute())]
    # What htslib says goes to a file, since a full pipe that nobody reads would stop it.
    with TemporaryFile() as said, subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, cwd=Path(__file__).parents[3]
    ) as child:
        assert child.stdout is not None
        try:
            while piece := child.stdout.read(_READ_BYTES):
                yield piece
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
        said.seek(0)
        errors = [line for line in said.read().decode(errors="replace").splitlines() if line.startswith("[E::")]
    if code != 0 or errors:
        raise VcfRefused(f"corrupt BCF: htslib says {errors[0] if errors else f'nothing, exit code {code}'}")


def _check(path: Path) -> None:
    """Reads the whole file once, so that every block's checksum and the end-of-file block are known to be right."""
    pieces = read_text(path)
    head = next(pieces)[:5]
    if head[3:] != VERSION:
        numbers = ".".join(str(byte) for byte in head[3:])
        raise VcfRefused(f"BCF {numbers}: only BCF 2.2 can be read; convert it with bcftools view -Ob")
    for _ in pieces:
        pass


def _child(path: str) -> None:
    import pysam.bcftools

    pysam.bcftools.view("--no-version", "-Ov", path, catch_stdout=False)


if __name__ == "__main__":
    _child(sys.argv[1])
