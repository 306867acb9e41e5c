"""Tables and pages for people. Nothing that comes from a document is ever read as markup."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDE = 400
"""Characters of a line that goes to a file or another program: rows are not broken there."""

STYLES = {
    "queued": "cyan", "running": "blue", "succeeded": "green", "failed": "red", "cancelled": "yellow",
    "ready": "green", "pending": "cyan", "HIGH": "red", "MODERATE": "yellow",
}


def to_people() -> bool:
    """Whether stdout is a terminal, which is as wide as it is."""
    return sys.stdout.isatty()


def put(drawn: RenderableType) -> None:
    """On a terminal with colours and in its width; elsewhere as plain lines without blanks at their ends."""
    from rich.console import Console

    console = Console(width=None if to_people() else WIDE, highlight=False, markup=False, emoji=False)
    if to_people():
        console.print(drawn)
        return
    with console.capture() as captured:
        console.print(drawn)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Columns are as wide as their content; on a narrow terminal all but a status or a time are folded."""
    from rich.table import Table
    from rich.text import Text

    cells = [list(row) for row in rows]
    drawn = Table(*columns, box=None, pad_edge=False, title=title, title_justify="left", header_style="bold")
    for column, name in zip(drawn.columns, columns, strict=True):
        column.no_wrap = name in ("STATUS", "VERSION", "QUEUE", "RUN", "SIZE", "KIND")
        column.overflow = "fold"
    for row in cells:
        drawn.add_row(*(Text(text(value), style=STYLES.get(str(value), "")) for value in row))
    put(drawn)


def text(value: Any) -> str:
    """One line; nothing is a dash."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, float):
        return f"{value:,.10g}"
    if isinstance(value, list):
        return ",".join(str(part) for part in value)
    return " ".join(str(value).split())


def moment(iso: str | None) -> str:
    """UTC, to the second."""
    return iso[:19].replace("T", " ") if iso else "-"


def age(iso: str) -> str:
    return span((datetime.now(UTC) - datetime.fromisoformat(iso)).total_seconds())


def span(seconds: float | None) -> str:
    """`0.085 s`, `12 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def size(count: int) -> str:
    """Bytes, with a unit from 10,000 on."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 10_000 or unit == "TB":
            return f"{amount:,.0f} {unit}"
        amount /= 1000
    return ""


def cost(found: Mapping[str, Any] | None) -> str:
    """Says what it is: an estimate, and whether all of it is known."""
    if found is None:
        return "-"
    if found["amount"] is None:
        return f"not known: {found['reason']}"
    small = 0 < found["amount"] < 0.0001
    amount = f"{'< 0.0001' if small else format(found['amount'], '.4f')} {found['currency']} ({found['basis']})"
    return amount if found["complete"] else f"{amount}, incomplete: {found['reason']}"


def facts(pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line; values of nothing are left out."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table("", "", box=None, show_header=False, pad_edge=False)
    drawn.columns[1].overflow = "fold"
    for name, value in pairs:
        if value not in (None, "", [], "-"):
            drawn.add_row(Text(name, style="bold"), Text(text(value), style=STYLES.get(str(value), "")))
    put(drawn)


def heading(words: str) -> None:
    from rich.text import Text

    put(Text(f"\n{words}", style="bold underline"))
