"""Bytes of a VCF, whatever it is packed in: plain text, gzip or BGZF, with every check that the packing allows.

BGZF: SAM specification, section 4.1 (block size in the BC extra field, CRC32 and length after each block, an empty
block at the end). gzip: RFC 1952.
"""

from __future__ import annotations

import struct
import zlib  # for gzip's members; BGZF's blocks go through ISA-L, which is three times as fast
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from isal import isal_zlib

from shared.variants.report import VcfRefused

GZIP_MAGIC = b"\x1f\x8b"
_READ_BYTES = 1 << 20  # of the file read at a time
_FIXED_HEADER = 12  # of a gzip member: up to and with XLEN
_RAW_DEFLATE = -15
_GZIP_WRAPPER = 31
_ISAL_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]


def read_text(path: Path) -> Iterator[bytes]:
    """Yields the unpacked content in pieces as they come: blocks of BGZF, or what a read gives.

    Raises VcfRefused for an empty, truncated or corrupt file, after everything before the damage was yielded.
    """
    with path.open("rb") as file:
        head = file.read(18)
        file.seek(0)
        if not head:
            raise VcfRefused("empty file: it has 0 bytes")
        yield from _unpacked(file, head)


def _unpacked(file: BinaryIO, head: bytes) -> Iterator[bytes]:
    if not head.startswith(GZIP_MAGIC):
        return iter(lambda: file.read(_READ_BYTES), b"")
    return _bgzf_blocks(file) if _block_size(head) else _gzip_members(file)


def _block_size(head: bytes) -> int | None:
    """The whole size in bytes of the BGZF block that begins with `head`; None if this is another gzip member."""
    if len(head) < _FIXED_HEADER or not head.startswith(GZIP_MAGIC) or not head[3] & 4:
        return None
    (extra_length,) = struct.unpack_from("<H", head, 10)
    extra = head[_FIXED_HEADER : _FIXED_HEADER + extra_length]
    at = 0
    while at + 4 <= len(extra):
        key, length = extra[at : at + 2], struct.unpack_from("<H", extra, at + 2)[0]
        if key == b"BC" and length == 2 and at + 6 <= len(extra):
            return int(struct.unpack_from("<H", extra, at + 4)[0]) + 1
        at += 4 + length
    return None


def _bgzf_blocks(file: BinaryIO) -> Iterator[bytes]:
    offset, data, at, last_was_empty = 0, b"", 0, False
    while True:
        if len(data) - at < 1 << 16:
            data, at = data[at:] + file.read(_READ_BYTES), 0
        if not data:
            break
        block = data[at : at + _sized(data[at : at + (1 << 16)], offset)]
        text = _inflated(block, offset)
        last_was_empty = not text
        at += len(block)
        offset += len(block)
        if text:
            yield text
    if not last_was_empty:
        raise VcfRefused("truncated: the BGZF end-of-file block is missing, so the file may have been cut")


def _sized(data: bytes, offset: int) -> int:
    """The size of the BGZF block that `data` (all that is left, or 64 KiB of it) begins with; it is there whole."""
    size = _block_size(data)
    if size is None:
        cut = len(data) < 18 and data.startswith(GZIP_MAGIC[: len(data)])
        what = "truncated: the file ends inside a BGZF block header" if cut else "corrupt: no BGZF block begins"
        raise VcfRefused(f"{what} at byte {offset}")
    if size > len(data):
        raise VcfRefused(f"truncated: the BGZF block at byte {offset} needs {size} bytes, {len(data)} are left")
    if size < 26:
        raise VcfRefused(f"corrupt: the BGZF block at byte {offset} says that it has {size} bytes")
    return size


def _inflated(block: bytes, offset: int) -> bytes:
    start = _FIXED_HEADER + struct.unpack_from("<H", block, 10)[0]
    crc, size = struct.unpack_from("<II", block, len(block) - 8)
    try:
        text = isal_zlib.decompress(block[start:-8], wbits=_RAW_DEFLATE, bufsize=max(size, 1))
    except _ISAL_ERROR as error:
        raise VcfRefused(f"corrupt compressed data in the BGZF block at byte {offset}: {error}") from error
    if len(text) != size or isal_zlib.crc32(text) != crc:
        raise VcfRefused(f"corrupt compressed data in the BGZF block at byte {offset}: its checksum is wrong")
    return text


def _gzip_members(file: BinaryIO) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=_GZIP_WRAPPER)
    data = file.read(_READ_BYTES)
    try:
        while data:
            yield member.decompress(data, _READ_BYTES * 4)
            data = member.unconsumed_tail or member.unused_data or file.read(_READ_BYTES)
            if member.eof and data:
                member = zlib.decompressobj(wbits=_GZIP_WRAPPER)
    except zlib.error as error:
        raise VcfRefused(f"corrupt compressed data near byte {file.tell()}: {error}") from error
    if not member.eof and (rest := member.flush()):
        yield rest
    if not member.eof:
        raise VcfRefused("truncated: the gzip stream ends before its checksum")
