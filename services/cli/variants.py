"""`iflow variants`: the variants of an analysis, and whether a VCF is good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from services.cli import render
from services.cli.api import name_in_path
from services.cli.exits import Exit
from services.cli.session import Session, command, say

DEFAULT = "show"


class _ShowIsMeant(TyperGroup):
    """`iflow variants ANALYSIS` is `iflow variants show ANALYSIS`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowIsMeant, no_args_is_help=True, subcommand_metavar="ANALYSIS | check FILE...",
    help="Variants: of an analysis (its counts and those that matter most), or whether a VCF is good.",
)


@command(app, DEFAULT)
def show(
    session: Session,
    analysis: Annotated[str, typer.Argument(metavar="ANALYSIS", help="Its id, slug or display id.")],
    limit: Annotated[int, typer.Option("--top", min=0, max=1000, help="So many rows of each table.")] = 10,
) -> None:
    """Counts of an analysis' variant tables, and the rows that matter most."""
    found = session.in_project.get(f"/analyses/{name_in_path(analysis)}/variants", limit=limit)
    if session.as_json:
        session.print_json(found)
        return
    for file in found["files"]:
        _print_table(file)
    if not found["files"]:
        say(f"Analysis {found['display_id']} left no VCF.")


@command(app, "check")
def check_files(
    session: Session,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="VCF or BCF, compressed or not.")],
) -> None:
    """Build the variant table of local VCFs, without any stack, and say what was found.

    Ends with 65 when any file was refused. No file stops the ones after it.
    """
    refused = 0
    for file in files:
        found = _check(file)
        refused += "error" in found
        print(json.dumps(found) if session.as_json else _line(found), flush=True)
    if refused:
        raise typer.Exit(Exit.BAD_DATA)


def _check(file: str) -> dict[str, Any]:
    from shared.variants.check import check

    try:
        return {**check(Path(file)), "file": file}
    except Exception as error:  # a defect of ours in one file must not keep the others from being checked
        return {"file": file, "error": f"{type(error).__name__}: {error}", "record": None, "line": None}


def _line(found: dict[str, Any]) -> str:
    if "error" in found:
        place = f" (line {found['line']})" if found["line"] else ""
        return f"{found['file']}: REFUSED: {found['error']}{place}"
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in found["skipped"].items())
    lines = [
        f"{found['file']}: taken: {found['records']:,} records, {found['alleles']:,} alleles, {found['rows']:,} rows, "
        f"{found['samples']} samples" + (f"; skipped {skipped}" if skipped else "")
    ]
    for warning in found["warnings"]:
        place = f" (line {warning['line']})" if warning["line"] else ""
        lines.append(f"  {warning['code']}: {warning['message']}{place}")
    return "\n".join(lines)


def _print_table(file: dict[str, Any]) -> None:
    counts = file["counts"]
    render.heading(file["path"])
    skipped = sum(file["skipped"].values())
    print(f"{counts['rows']:,} rows from {file['records']:,} records; {skipped:,} alleles skipped")
    for name in ("by_type", "by_impact"):
        print(f"{name.replace('_', ' ')}: " + ", ".join(f"{kind} {count:,}" for kind, count in counts[name].items()))
    if not file["top"]:
        return
    print()
    render.table(
        ("CONTIG", "POS", "REF", "ALT", "GENE", "CONSEQUENCE", "IMPACT", "QUAL", "FILTER", *file["samples"]),
        [_row(row, len(file["samples"])) for row in file["top"]],
    )


def _row(row: dict[str, Any], samples: int) -> list[Any]:
    site = [row["contig"], row["pos"], _short(row["ref"]), _short(row["alt"]), row["gene"], row["consequence"],
            row["impact"], row["qual"], row["filters"]]
    return [*site, *(row[f"s{number}_gt"] for number in range(samples))]


def _short(allele: str) -> str:
    return allele if len(allele) <= 20 else f"{allele[:12]}…({len(allele):,})"
