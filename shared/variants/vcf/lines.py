"""Text into header and blocks of whole records, repaired where that is without doubt, refused where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.variants.report import Notes, VcfRefused
from shared.variants.vcf.header import BOM, Header, parse_header
from shared.variants.vcf.spans import Bools, Ints, Spans, Text

# Of text made rows at a time: Python's own work is by block, so that more threads wait for it where blocks are small.
BLOCK_BYTES = 12 << 20
# Bounds the memory of one block; the longest line known in real files has 1.3 million characters.
LONGEST_LINE_BYTES = 256 << 20


@dataclass(frozen=True)
class Block:
    """Consecutive records. `bounds[i, j]` is the offset of the delimiter before column j of record i, -1 at the start;
    `bounds[i, -1]` that of its line end."""

    text: Text
    bounds: Ints
    first_record: int
    first_line: int

    def __len__(self) -> int:
        return len(self.bounds)

    def column(self, j: int) -> Spans:
        return Spans(self.text, self.bounds[:, j] + 1, self.bounds[:, j + 1])

    def cells(self) -> Spans:
        """The sample columns of all records: record after record, and within a record sample after sample."""
        return Spans(self.text, (self.bounds[:, 9:-1] + 1).ravel(), self.bounds[:, 10:].ravel())

    def record(self, i: int) -> int:
        """1-based number in the file of the block's record `i` (0-based)."""
        return self.first_record + int(i)

    def line(self, i: int) -> int:
        return self.first_line + int(i)

    def refuse(self, i: int, reason: str) -> VcfRefused:
        return VcfRefused(reason, self.record(i), self.line(i))

    def refuse_first(self, bad: Bools, column: Spans, reason: str) -> None:
        """Raises VcfRefused for the first record where `bad` is true, with `column`'s text in the reason's place."""
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            raise self.refuse(i, reason.format(shown(column.to_text(i))))


def shown(value: str, most: int = 60) -> str:
    return repr(value if len(value) <= most else value[:most] + "...")


class VcfText:
    """One pass over a file: `header` first, then `blocks()` once."""

    def __init__(self, pieces: Iterator[bytes], notes: Notes) -> None:
        self._pieces = pieces
        self._notes = notes
        self._records = 0
        self._crlf = False
        self.header, self._rest = self._read_header()

    def blocks(self) -> Iterator[Block]:
        """Raises VcfRefused, with the record, where the text is cut, corrupt or not in columns."""
        held, size = [self._rest], 0
        try:
            for piece in self._pieces:
                held.append(piece)
                size += len(piece)
                if size < BLOCK_BYTES:
                    continue
                whole, rest = _whole_lines(held)
                held, size = [rest], 0
                yield from self._block(whole)
                if len(rest) > LONGEST_LINE_BYTES:
                    raise VcfRefused(f"a line is longer than {LONGEST_LINE_BYTES >> 20} MiB")
        except VcfRefused as error:
            if error.line:
                raise
            # The data ended early: what came before is read first, so that the refusal names the right record.
            text = b"".join(held)
            yield from self._block(text[: text.rfind(b"\n") + 1])
            raise VcfRefused(error.reason, self._records + 1, self.header.lines + self._records + 1) from error
        whole, rest = _whole_lines(held)
        yield from self._block(whole)
        yield from self._last(rest)

    def _last(self, rest: bytes) -> Iterator[Block]:
        record = rest.rstrip(b"\r\n")
        if record:
            yield from self._block(record + b"\n", cut=not rest.endswith(b"\n"))
        if rest[len(record) :].count(b"\n") > bool(record):
            self._notes.add("blank_line", "blank lines at the end", self.header.lines + self._records + 1)

    def _block(self, raw: bytes, cut: bool = False) -> Iterator[Block]:
        if not raw:
            return
        first_line = self.header.lines + self._records + 1
        text = Text(self._repaired(raw, first_line))
        bounds = self._bounds(text, cut)
        if cut:
            self._notes.add("no_final_newline", "the last line has no line end", first_line)
        block = Block(text, bounds, self._records + 1, first_line)
        if cut:
            self._check_cut(block)
        marked = text.u8[bounds[:, 0] + 1] == ord("#")
        block.refuse_first(marked, block.column(0), "a header line among the records: {}")
        self._records += len(block)
        yield block

    def _check_cut(self, block: Block) -> None:
        """Values may be left out at the end of a cell, but not where the file may have been cut in it."""
        if self.header.samples:
            keys, values = (block.column(j).to_text(0).count(":") for j in (8, self.header.columns - 1))
            if values < keys:
                what = f"truncated: the last cell has {values + 1} of {keys + 1} values and no line end"
                raise block.refuse(0, what)

    def _repaired(self, raw: bytes, first_line: int) -> bytes:
        if b"\r" in raw:
            if not self._crlf and b"\r\n" in raw:
                self._crlf = True
                self._notes.add("crlf", "lines end in CR LF, as on Windows", first_line)
            raw = raw.replace(b"\r\n", b"\n")
        if b"\0" in raw:
            at = raw[: raw.index(b"\0")].count(b"\n")
            raise VcfRefused("a NUL byte in the text", self._records + at + 1, first_line + at)
        if not raw.isascii():
            raw = _utf8(raw, first_line, self._notes)
        return raw

    def _bounds(self, text: Text, cut: bool) -> Ints:
        ends, tabs, columns = text.positions("\n"), text.positions("\t"), self.header.columns
        n = len(ends)
        starts = np.concatenate(([-1], ends[:-1]))
        if len(tabs) == n * (columns - 1):
            inner = tabs.reshape(n, columns - 1)
            if (inner[:, 0] > starts).all() and (inner[:, -1] < ends).all():
                return np.column_stack((starts, inner, ends))
        found = np.diff(np.searchsorted(tabs, np.concatenate(([-1], ends)))) + 1
        i = int(np.flatnonzero(found != columns)[0])
        content = text.data[starts[i] + 1 : ends[i]].decode()
        what = "an empty line" if not content else f"the line has {found[i]} columns, the header {columns}"
        if found[i] == 1 and content:
            what = f"the line is not a record: {shown(content)}"
        elif cut and found[i] < columns:
            what = f"truncated: the last record is cut short, {found[i]} of {columns} columns and no line end"
        elif found[i] == 8 and columns > 8:
            what = f"the genotype columns are missing: {found[i]} columns, the header names {columns}"
        raise VcfRefused(what, self._records + i + 1, self.header.lines + self._records + i + 1)

    def _read_header(self) -> tuple[Header, bytes]:
        lines: list[bytes] = []
        rest = b""
        for piece in self._pieces:
            rest += piece
            whole = rest.rfind(b"\n") + 1
            found = rest[:whole].split(b"\n")[:-1]
            for i, line in enumerate(found):
                lines.append(line)
                if self._ends_header(lines):
                    return self._parsed(lines), b"\n".join([*found[i + 1 :], rest[whole:]])
            rest = rest[whole:]
        if rest:
            lines.append(rest)
            if self._ends_header(lines):
                self._notes.add("no_final_newline", "the last line has no line end", len(lines))
                return self._parsed(lines), b""
        what = "the header has no #CHROM line" if lines else "the file holds no text"
        raise VcfRefused(what, None, len(lines) or None)

    def _ends_header(self, lines: list[bytes]) -> bool:
        line = lines[-1]
        if len(lines) == 1 and line.startswith(BOM):
            self._notes.add("byte_order_mark", "a byte-order mark before ##fileformat is ignored", 1)
            line = lines[0] = line[len(BOM) :]
        if line.startswith(b"#CHROM"):
            return True
        if not line.startswith(b"##"):
            first = len(lines) == 1
            what = "this is no VCF: the first line is" if first else "a line before #CHROM does not begin with ##:"
            raise VcfRefused(f"{what} {shown(line.decode(errors='replace'))}", None, len(lines))
        return False

    def _parsed(self, lines: list[bytes]) -> Header:
        if any(line.endswith(b"\r") for line in lines):
            self._crlf = True
            self._notes.add("crlf", "lines end in CR LF, as on Windows", 1)
        text = b"\n".join(line.removesuffix(b"\r") for line in lines) + b"\n"
        if b"\0" in text:
            raise VcfRefused("a NUL byte in the header", None, text[: text.index(b"\0")].count(b"\n") + 1)
        if not text.isascii():
            text = _utf8(text, 1, self._notes)
        return parse_header(text.decode().split("\n")[:-1], self._notes)


def _whole_lines(pieces: list[bytes]) -> tuple[bytes, bytes]:
    """(whole lines, the rest) of the pieces together. The last line always waits: whether it is cut, or blank lines
    follow, the end tells."""
    *before, last = pieces
    end = _end_of_whole(last)
    if end:
        return b"".join((*before, memoryview(last)[:end])), last[end:]
    text = b"".join(pieces)
    end = _end_of_whole(text)
    return text[:end], text[end:]


def _end_of_whole(text: bytes) -> int:
    size = len(text)
    while size and text[size - 1] in b"\r\n":
        size -= 1
    return text.rfind(b"\n", 0, size) + 1


def _utf8(raw: bytes, first_line: int, notes: Notes) -> bytes:
    try:
        raw.decode()
        return raw
    except UnicodeDecodeError:
        lines = raw.split(b"\n")
        return b"\n".join(_utf8_line(line, first_line + i, notes) for i, line in enumerate(lines))


def _utf8_line(line: bytes, number: int, notes: Notes) -> bytes:
    try:
        line.decode()
        return line
    except UnicodeDecodeError:
        notes.add("not_utf8", "bytes that are not UTF-8 are read as Latin-1", number)
        return line.decode("latin-1").encode()
