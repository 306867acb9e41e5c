"""Rows as an Excel workbook (ECMA-376, SpreadsheetML), sent as it is made: no library gives its first byte before the
last row. docs/decisions/0015-exports.md."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.to_cells import cells, lines_of, pieces
from shared.variants.to_files import Sink

SHEET_ROWS = 1_048_576
"""That a sheet of Excel has, the line of labels included."""

SHEET_BYTES = 3 << 29
"""Of its XML: below the 2 GiB from which on a zip file has 64-bit sizes, which Excel does not read in a stream."""

CELL_LETTERS = 32_767
"""That Excel takes in one cell."""

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_CUT = " ... (cut: Excel takes 32,767 characters a cell)"
_ILLEGAL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{FFFE}\x{FFFF}]"


def workbook(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], about: Mapping[str, str], labels: Sequence[str],
    *, sheet_rows: int = SHEET_ROWS,
) -> Iterator[bytes]:
    """Sheets `Variants`, `Variants 2`, ... of at most `sheet_rows` rows with the labels on each, then `About`.

    Text is typed and formatted as text, so that no symbol becomes a date and nothing is run as a formula; numbers are
    numbers. A cell's text is cut at what Excel takes, and says so.
    """
    sink = Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
        names = []
        for number, sheet in enumerate(_sheets(_rows(schema, batches), sheet_rows), 1):
            names.append("Variants" if number == 1 else f"Variants {number}")
            with book.open(_entry(f"xl/worksheets/sheet{number}.xml"), "w") as entry:
                entry.write((_SHEET + _text_row(labels)).encode())
                for part in sheet:
                    entry.write(part)
                    if found := sink.taken():
                        yield found
                entry.write(b"</sheetData></worksheet>")
        names.append("About")
        book.writestr(_entry(f"xl/worksheets/sheet{len(names)}.xml"), _about(about))
        for path, text in _parts(names).items():
            book.writestr(_entry(path), text)
    yield sink.taken()


def _entry(path: str) -> zipfile.ZipInfo:
    """Without the time, so that the same rows give the same bytes."""
    entry = zipfile.ZipInfo(path)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


_SHEET = (
    f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" '
    'activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
)


def _rows(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Array]:
    """The XML of each row."""
    for rows in pieces(batches):
        columns = [_column(rows[name]) for name in schema.names]
        yield pc.binary_join_element_wise("<row>", *columns, "</row>", "")


def _column(array: pa.Array) -> pa.Array:
    if pa.types.is_boolean(array.type):
        return pc.if_else(array, '<c t="b"><v>1</v></c>', '<c t="b"><v>0</v></c>').fill_null("<c/>")
    typed = cells(array)
    if typed.is_text or pa.types.is_list(array.type):
        return _inline(typed.text).fill_null("<c/>")
    found = pc.binary_join_element_wise("<c><v>", typed.text, "</v></c>", "")
    if pa.types.is_floating(array.type) and not pc.all(pc.is_finite(array)).as_py():
        found = pc.if_else(pc.is_finite(array), found, _inline(typed.text))  # Excel has no such number
    return found.fill_null("<c/>")


def _inline(text: pa.Array) -> pa.Array:
    """(Each distinct text is looked at once.)"""
    encoded = text.dictionary_encode()
    words = encoded.dictionary
    long = pc.greater(pc.utf8_length(words), CELL_LETTERS)
    if pc.any(long).as_py():
        cut = pc.utf8_slice_codeunits(words, 0, CELL_LETTERS - len(_CUT))
        words = pc.if_else(long, pc.binary_join_element_wise(cut, _CUT, ""), words)
    for letter, code in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "_x000D_")):
        words = pc.replace_substring(words, letter, code)
    words = pc.replace_substring_regex(words, _ILLEGAL, "\ufffd")
    before, after = '<c t="inlineStr" s="1"><is><t xml:space="preserve">', "</t></is></c>"
    return pc.binary_join_element_wise(before, words, after, "").take(encoded.indices)


def _sheets(rows: Iterator[pa.Array], sheet_rows: int) -> Iterator[Iterator[bytes]]:
    """Parts of the XML for each sheet; each has to be read to its end before the next."""
    waiting = [next(rows, pa.array([], pa.string()))]

    def sheet() -> Iterator[bytes]:
        room, size = sheet_rows - 1, 0
        while waiting and room and size < SHEET_BYTES:
            part = waiting.pop()
            text = lines_of(part.slice(0, room), "")
            yield text
            size += len(text)
            if len(part) > room:
                waiting.append(part.slice(room))
            elif (following := next(rows, None)) is not None:
                waiting.append(following)
            room -= min(room, len(part))

    while waiting:
        yield sheet()


def _text_row(texts: Sequence[str]) -> str:
    return f"<row>{''.join(_inline(pa.array(list(texts), pa.string())).to_pylist())}</row>"


def _about(about: Mapping[str, str]) -> str:
    lines = "".join(_text_row((key, value)) for key, value in about.items())
    return f'{_HEAD}<worksheet xmlns="{_MAIN}"><sheetData>{lines}</sheetData></worksheet>'


def _parts(names: Sequence[str]) -> dict[str, str]:
    """What makes a workbook of the sheets."""
    document = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    numbers = range(1, len(names) + 1)
    sheets = "".join(f'<sheet name={quoteattr(name)} sheetId="{i}" r:id="rId{i}"/>' for i, name in enumerate(names, 1))
    relations = "".join(_relation(f"rId{i}", "worksheet", f"worksheets/sheet{i}.xml") for i in numbers)
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{i}.xml" ContentType="{document}.worksheet+xml"/>' for i in numbers
    )
    return {
        "xl/styles.xml": (
            f'{_HEAD}<styleSheet xmlns="{_MAIN}">'
            '<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
            '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/>'
            '</fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
            '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
            '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
            '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
            '</cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
            "</styleSheet>"
        ),
        "xl/workbook.xml": (
            f'{_HEAD}<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>{sheets}</sheets></workbook>'
        ),
        "xl/_rels/workbook.xml.rels": _relations(relations + _relation(f"rId{len(names) + 1}", "styles", "styles.xml")),
        "_rels/.rels": _relations(_relation("rId1", "officeDocument", "xl/workbook.xml")),
        "[Content_Types].xml": (
            f'{_HEAD}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{document}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{document}.styles+xml"/>{overrides}</Types>'
        ),
    }


def _relation(identity: str, kind: str, target: str) -> str:
    return f'<Relationship Id="{identity}" Type="{_RELATIONS}/{kind}" Target="{escape(target)}"/>'


def _relations(text: str) -> str:
    return f'{_HEAD}<Relationships xmlns="{_PACKAGE}/relationships">{text}</Relationships>'
