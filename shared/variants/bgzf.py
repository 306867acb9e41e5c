"""BGZF, the blocked gzip of the SAM specification (section 4.1), made block by block out of a stream of bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

BLOCK_BYTES = 0xFF00
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_HEAD = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"


def compressed(pieces: Iterable[bytes], level: int = 4) -> Iterator[bytes]:
    """Whole blocks, then the end-of-file block, by which a reader knows that nothing is missing. The first piece has
    blocks of its own, so that it can be sent at once; how the rest is cut into pieces makes no difference."""
    held = bytearray()
    for number, piece in enumerate(pieces):
        held += piece
        if number == 0:
            yield b"".join(_block(held[at : at + BLOCK_BYTES], level) for at in range(0, len(held), BLOCK_BYTES))
            held.clear()
        whole = len(held) // BLOCK_BYTES * BLOCK_BYTES
        if whole:
            yield b"".join(_block(held[at : at + BLOCK_BYTES], level) for at in range(0, whole, BLOCK_BYTES))
            del held[:whole]
    if held:
        yield _block(held, level)
    yield END


def _block(text: bytes | bytearray, level: int) -> bytes:
    data = b""
    for strength in (level, 0):  # what cannot be made smaller is stored, so that a block never exceeds 64 KiB
        deflate = zlib.compressobj(strength, wbits=-15)
        data = deflate.compress(text) + deflate.flush()
        if len(data) + 26 <= 1 << 16:
            break
    head = _HEAD + struct.pack("<H2sHH", 6, b"BC", 2, len(data) + 25)
    return head + data + struct.pack("<II", zlib.crc32(text), len(text))
