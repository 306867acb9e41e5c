"""`iflow samples`: the samples that the laboratory knows, and the files that are put into their folders."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import render
from services.cli.api import Api
from services.cli.downloads import Progress
from services.cli.exits import Exit, Failed
from services.cli.session import Session, command, say
from services.cli.uploading import send
from shared.domain import paths

app = typer.Typer(no_args_is_help=True, help="Samples: what is known of each, and the files in its folder.")

Sample = Annotated[str, typer.Argument(metavar="SAMPLE", help="Its name or its slug.")]
FILES_SHOWN = 200


@command(app, "register")
def register(
    session: Session,
    name: Annotated[str, typer.Argument(help="As in the read groups and the VCF header.")],
    sex: Annotated[str | None, typer.Option(help="female, male or unknown.")] = None,
    role: Annotated[str | None, typer.Option(help="What it usually is: proband, mother, tumor, ...")] = None,
    external_ids: Annotated[list[str] | None, typer.Option(
        "--id", metavar="SYSTEM=ID", help="Repeatable: what another system calls it."
    )] = None,
    phenotypes: Annotated[list[str] | None, typer.Option(
        "--phenotype", metavar="HP:NNNNNNN", help="Repeatable: a term of HPO."
    )] = None,
    note: Annotated[str | None, typer.Option(help="For people.")] = None,
    request_id: Annotated[str | None, typer.Option(help="Repeating it repeats nothing.", show_default="new")] = None,
) -> None:
    """Register a sample. Prints its slug, which names its folder."""
    given = {
        "name": name, "sex": sex, "role": role,
        "external_ids": dict(_pair(text) for text in external_ids or []) or None,
        "phenotypes": phenotypes or None, "note": note,
    }
    body = {field: value for field, value in given.items() if value is not None}
    found = session.in_project.post("/samples", key=request_id or str(uuid.uuid4()), json=body)
    if session.as_json:
        session.print_json(found)
        return
    say(f"Sample {found['name']} is registered; its files are put into {paths.upload_folder(found['slug'])}.")
    print(found["slug"])


@command(app, "list")
def list_samples(
    session: Session,
    text: Annotated[str | None, typer.Option("--text", "-t", help="A part of the name.")] = None,
    external_id: Annotated[str | None, typer.Option("--id", help="What another system calls it.")] = None,
    sex: Annotated[str | None, typer.Option(help="female, male or unknown.")] = None,
    created_by: Annotated[str | None, typer.Option(help="Who registered it.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="The first so many.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="All of them, and not only the first.")] = False,
) -> None:
    """The project's samples, the newest first."""
    pages = session.in_project.pages(
        "/samples", limit=200 if every else limit, text=text, external_id=external_id, sex=sex, created_by=created_by
    )
    found: Mapping[str, Any] = next(pages)
    if every:
        found = {"items": [*found["items"], *(item for page in pages for item in page["items"])], "next": None}
    if session.as_json:
        session.print_json(found)
        return
    render.table(
        ("SAMPLE", "SLUG", "SEX", "ROLE", "IDS", "REGISTERED", "BY"),
        [(s["name"], s["slug"], s["sex"], s["role"], _ids(s), render.moment(s["created_at"]), s["created_by"])
         for s in found["items"]],
    )
    if found["next"]:
        say(f"There are more than these {len(found['items'])}; see them with --all, or raise --limit.")


@command(app, "show")
def show(session: Session, sample: Sample) -> None:
    """One sample, the files that were uploaded, and the analyses and orders that used it."""
    api, path = session.in_project, _path(sample)
    found = {
        "sample": api.get(path), "uploads": api.get(f"{path}/uploads")["items"],
        "files": api.get(f"{path}/files", folder="uploads/", limit=FILES_SHOWN)["files"], **api.get(f"{path}/uses"),
    }
    if session.as_json:
        session.print_json(found)
        return
    known = found["sample"]
    render.facts([
        ("Sample", known["name"]), ("Slug", known["slug"]), ("Sex", known["sex"]), ("Role", known["role"]),
        ("Ids", _ids(known)), ("Phenotypes", known["phenotypes"]), ("Note", known["note"]),
        ("Registered", f"{render.moment(known['created_at'])} UTC by {known['created_by']}"),
    ])
    render.heading("Files")
    render.table(("SIZE", "WRITTEN", "PATH"),
                 [(render.size(f["size"]), render.moment(f["updated_at"]), f["path"]) for f in found["files"]])
    if unfinished := [upload for upload in found["uploads"] if upload["status"] != "complete"]:
        render.heading("Uploads that did not end, or not well")
        render.table(("NAME", "STATUS", "BY", "WHY"),
                     [(u["name"], u["status"], u["created_by"], u["failure"]) for u in unfinished])
    for title, family in (("Analyses", "analyses"), ("Orders", "orders")):
        render.heading(title)
        render.table(("NAME", "STATUS", "CREATED"), [
            (each["display_id"], each["status"], render.moment(each["created_at"])) for each in found[family]
        ])


@command(app, "upload")
def upload(
    session: Session, sample: Sample,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Each keeps its own name.")],
    replace: Annotated[bool, typer.Option("--replace", help="In the place of other files of these names.")] = False,
) -> None:
    """Send files into the sample's folder; prints the path of each, as inputs name it. What is there already is not
    sent again, and what was broken off goes on where it was, from any machine."""
    api, name = session.in_project, _slug(sample)
    results = [_sent(session, api, name, file, replace) for file in files]
    if session.as_json:
        session.print_json({"items": results})
    if failures := [result for result in results if "error" in result]:
        raise typer.Exit(Exit.PARTLY_DONE if len(failures) < len(results) else failures[0]["code"])


def _sent(session: Session, api: Api, sample: str, file: Path, replace: bool) -> dict[str, Any]:
    try:
        size = file.stat().st_size if file.is_file() else 0
        found, new = send(
            api, sample, file, name=file.name, replace=replace, told=Progress(file.name, size)
        )
    except Failed as fault:
        say(f"Error: {file}: {fault}")
        return {"file": str(file), "error": str(fault), "code": fault.code}
    if not session.as_json:
        say(f"{file.name}: {render.size(found['size'])}, checked." if new else f"{file.name} is there already.")
        print(found["path"])
    return {"file": str(file), "path": found["path"], "size": found["size"], "crc32c": found["crc32c"], "sent": new}


def _pair(text: str) -> tuple[str, str]:
    system, equals, identity = text.partition("=")
    if not equals or not system or not identity:
        raise Failed(Exit.USAGE, f"--id {text!r}: write SYSTEM=ID.")
    return system, identity


def _ids(sample: Mapping[str, Any]) -> list[str]:
    return [f"{system}={identity}" for system, identity in sample["external_ids"].items()]


def _slug(sample: str) -> str:
    slug = paths.slug(sample)
    if not slug:
        raise Failed(Exit.USAGE, f"{sample!r} cannot be a sample: give its name or its slug.")
    return slug


def _path(sample: str) -> str:
    return f"/samples/{_slug(sample)}"
