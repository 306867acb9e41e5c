"""`iflow variants`: the variants of an order or an analysis, and whether a VCF is good."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from typer.core import TyperGroup

from services.cli import render, variants_export
from services.cli.api import name_in_path
from services.cli.exits import Exit, Failed
from services.cli.session import Session, command, say

DEFAULT = "show"


class _ShowIsMeant(TyperGroup):
    """`iflow variants ORDER` is `iflow variants show ORDER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowIsMeant, no_args_is_help=True, subcommand_metavar="ORDER | ANALYSIS | check FILE...",
    help="Variants: of an order or an analysis, by filter and sort; or whether a VCF is good.",
)


@command(app, DEFAULT)
def show(
    session: Session,
    subject: Annotated[str, typer.Argument(metavar="ORDER|ANALYSIS", help="Its id, slug or display id.")],
    filters: Annotated[list[str] | None, typer.Option(
        "--filter", "-f", metavar="FIELD=VALUE", help="Repeatable, such as impact=HIGH,MODERATE or frequency_max=0.01; "
        "a field that is no filter is refused with the one that is meant."
    )] = None,
    saved: Annotated[str | None, typer.Option(help="A saved filter; --filter takes the place of its fields.")] = None,
    sort: Annotated[str, typer.Option(
        help="Columns parted by commas, - before what goes down; the gravest first if not said otherwise."
    )] = "worst_impact,worst_consequence",
    limit: Annotated[int, typer.Option("--top", "--limit", min=1, max=1000, help="So many rows.")] = 10,
    cursor: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    facets: Annotated[bool, typer.Option("--facets", help="Also how many rows of what, and what each filter removes.")]
    = False,
    one: Annotated[str | None, typer.Option("--key", help="All that is known of one variant, as JSON.")] = None,
    export: Annotated[Path | None, typer.Option(
        "--export", metavar="FILE", help="All rows that pass, into a file: .vcf.gz, .vcf, .tsv, .csv, .xlsx, .parquet, "
        ".jsonl; it appears whole or not at all."
    )] = None,
    columns: Annotated[str | None, typer.Option(help="Of the export, parted by commas; else all.")] = None,
) -> None:
    """The variants that pass a filter: how many of how many, and a page of them."""
    base = _base(session, subject)
    if one is not None:
        session.print_json(session.in_project.get(f"{base}/{quote(one, safe='')}"))
        return
    asked = [*(_pair(text) for text in filters or []), ("sort", sort)]
    if export is not None:
        asked += [(name, value) for name, value in (("saved", saved), ("columns", columns)) if value]
        _export(session, base, asked, export)
        return
    asked.append(("limit", str(limit)))
    asked += [(name, value) for name, value in (("saved", saved), ("cursor", cursor)) if value]
    asked += [("facets", "true")] if facets else []
    found = session.in_project.request("GET", base, params=asked).json()
    if session.as_json:
        session.print_json(found)
        return
    _print_page(found)


def _export(session: Session, base: str, asked: list[tuple[str, str]], file: Path) -> None:
    rows = variants_export.export(session.in_project, base, asked, file)
    if session.as_json:
        session.print_json({"file": str(file), "rows": rows})
    else:
        say(f"{rows:,} variants in {file}.")


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


def _base(session: Session, subject: str) -> str:
    """The order of that name; where there is none, the analysis."""
    name = name_in_path(subject)
    try:
        session.in_project.get(f"/orders/{name}")
    except Failed as failed:
        if failed.code is not Exit.BAD_DATA:
            raise
        return f"/analyses/{name}/variants"
    return f"/orders/{name}/variants"


def _pair(text: str) -> tuple[str, str]:
    field, mark, value = text.partition("=")
    if not mark or not field.strip():
        raise Failed(Exit.USAGE, f"{text!r} is no filter; write FIELD=VALUE, such as impact=HIGH")
    return field.strip(), value


def _print_page(found: dict[str, Any]) -> None:
    said = ", ".join(f"{name} {value}" for name, value in found["filter"].items())
    print(f"{found['total']:,} of {found['of']:,} variants" + (f"; filter: {said}" if said else ""))
    for missing in found["missing"]:
        print(f"no variants of {missing['name']} yet: {missing['reason']}")
    for note in found["notes"]:
        print(note)
    if found["without_parent_call"]:
        print(f"{found['without_parent_call']:,} more have a parent without a call; missing_parents=true shows them")
    if found["rows"]:
        prefixes = [sample["prefix"] for sample in found["samples"]]
        print()
        render.table(
            ("CONTIG", "POS", "REF", "ALT", "GENE", "CONSEQUENCE", "IMPACT", "AF", "QUAL", "FILTER",
             *(prefix.upper() for prefix in prefixes)),
            [_row(row, prefixes) for row in found["rows"]],
        )
    for title, counts in (found["facets"] or {}).items():
        print(f"{title}: " + ", ".join(f"{name} {count:,}" for name, count in counts.items()))
    for name, removed in (found["removed"] or {}).items():
        alone = "" if removed["alone"] is None else f" alone removes {removed['alone']:,};"
        print(f"{name}:{alone} without it {removed['more_without']:,} more")
    if found["next"]:
        say(f"There are more: --cursor {found['next']}")


def _row(row: dict[str, Any], prefixes: list[str]) -> list[Any]:
    site = [row["contig"], row["pos"], _short(row["ref"]), _short(row["alt"]), row["gene"], row["consequence"],
            row["worst_impact"], row["af_max"], row["qual"], row["filters"]]
    return [*site, *(row["samples"][prefix]["gt"] for prefix in prefixes)]


def _short(allele: str) -> str:
    return allele if len(allele) <= 20 else f"{allele[:12]}…({len(allele):,})"
