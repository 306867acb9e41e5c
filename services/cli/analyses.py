"""`iflow analyses`: ask for one, follow it, cancel it, run it again, fetch what it left."""

from __future__ import annotations

import fnmatch
import json
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import page, render
from services.cli.api import name_in_path
from services.cli.downloads import Progress, fetch
from services.cli.exits import OF_STATUS, Exit, Failed
from services.cli.following import Patience, TimedOut, ended, follow, follow_log
from services.cli.requests import Options, input_of, request_of, sample_of
from services.cli.session import Session, command, say

app = typer.Typer(no_args_is_help=True, help="Analyses: ask for one, follow it, use what it left.")

Analysis = Annotated[str, typer.Argument(metavar="ANALYSIS", help="Its id, its slug or its display id.")]
Interval = Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")]
Timeout = Annotated[float | None, typer.Option(min=0, show_default="none", help="Seconds to wait at most.")]
Silence = Annotated[float, typer.Option(min=0, help="Seconds that the service may be away meanwhile.")]
WithIngest = Annotated[bool, typer.Option("--ingest", help="Also until its variants are ready.")]


@command(app, "submit")
def submit(
    session: Session,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The request, in YAML or JSON; - is stdin.")]
    = None,
    display_id: Annotated[str | None, typer.Option("--display-id", "-d", help="Its name, unique in the project.")]
    = None,
    pipeline: Annotated[str | None, typer.Option(help="SLUG or SLUG@VERSION; without a version, the newest.")] = None,
    inputs: Annotated[list[str] | None, typer.Option("--input", "-i", metavar="NAME=VALUE", help="Repeatable; the "
                                                     "value is JSON, or a text.")] = None,
    samples: Annotated[list[str] | None, typer.Option("--sample", "-s", metavar="NAME[:ROLE[:SEX]]",
                                                      help="Repeatable.")] = None,
    origin: Annotated[str | None, typer.Option(help="order, sample or compute.")] = None,
    order: Annotated[str | None, typer.Option(help="The id of the order that asks.")] = None,
    callback_url: Annotated[str | None, typer.Option(help="An https address that is told how it ends.")] = None,
    request_id: Annotated[str | None, typer.Option(help="Repeating it repeats nothing.", show_default="new")] = None,
) -> None:
    """Ask for an analysis: by a file, by options, or both. Prints its id."""
    options = Options(display_id, pipeline, inputs or [], samples or [], origin, order, callback_url)
    body = request_of(file, options)
    key = request_id or body.get("request_id") or str(uuid.uuid4())
    body["request_id"] = key
    found = session.in_project.post("/analyses", repeatable=True, json=body)
    _print_accepted(session, found)


@command(app, "list")
def list_analyses(
    session: Session,
    tab: Annotated[str | None, typer.Option(help="all, in_progress, completed, failed, cancelled or needs_attention.")]
    = None,
    status: Annotated[list[str] | None, typer.Option(help="Repeatable: a status, or in_progress, completed, all.")]
    = None,
    pipeline: Annotated[list[str] | None, typer.Option(help="Repeatable: the pipeline's slug.")] = None,
    version: Annotated[list[str] | None, typer.Option(help="Repeatable: the pipeline's version.")] = None,
    created_from: Annotated[str | None, typer.Option(help="At or after, such as 2026-11-25T08:00:00Z.")] = None,
    created_to: Annotated[str | None, typer.Option(help="Before.")] = None,
    finished_from: Annotated[str | None, typer.Option(help="Ended at or after.")] = None,
    finished_to: Annotated[str | None, typer.Option(help="Ended before.")] = None,
    origin: Annotated[str | None, typer.Option(help="order, sample or compute.")] = None,
    sample: Annotated[str | None, typer.Option(help="Name of one of its samples.")] = None,
    order: Annotated[str | None, typer.Option(help="The id of the order that asked.")] = None,
    started_by: Annotated[str | None, typer.Option(help="Who asked for it; me.")] = None,
    rerun_of: Annotated[str | None, typer.Option(help="The id of the analysis that it runs again.")] = None,
    text: Annotated[str | None, typer.Option(help="A part of its display id.")] = None,
    sort: Annotated[str | None, typer.Option(help="created_at, started_at, finished_at, run_seconds, cost, status or "
                                             "pipeline; a minus before it is downwards.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="The first so many.")] = 50,
    every: Annotated[bool, typer.Option("--all", help="All of them, and not only the first.")] = False,
) -> None:
    """The project's analyses, whoever asked for them, the newest first."""
    filters = {
        "tab": tab, "status": status or None, "pipeline": pipeline or None, "version": version or None,
        "created_from": created_from, "created_to": created_to, "finished_from": finished_from,
        "finished_to": finished_to, "origin": origin, "sample": sample, "order": order, "started_by": started_by,
        "rerun_of": rerun_of, "text": text, "sort": sort,
    }
    pages = session.in_project.pages("/analyses", limit=200 if every else limit, **filters)
    if every:
        found: Mapping[str, Any] = {"items": [item for one in pages for item in one["items"]], "next": None}
    else:
        found = next(pages)
    if session.as_json:
        session.print_json(found)
    else:
        _print_list(found["items"])
    if not found["items"]:
        in_force = ", ".join(f"{name} {render.text(value)}" for name, value in filters.items() if value is not None)
        say(f"Project {session.project} has no analyses" + (f" with {in_force}." if in_force else "."))
    elif found["next"]:
        say(f"There are more than these {len(found['items'])}; see them with --all, or raise --limit.")


@command(app, "show")
def show(session: Session, analysis: Analysis) -> None:
    """One analysis as an operator sees it; with --json, its document."""
    found = session.in_project.get(_path(analysis))
    if session.as_json:
        session.print_json(found)
    else:
        page.show(found)


@command(app, "watch")
def watch(
    session: Session, analysis: Analysis, interval: Interval = 1.0, timeout: Timeout = None, silence: Silence = 300.0,
    with_ingest: WithIngest = False,
) -> None:
    """A line for each change until it is final. Ends as `wait` does."""
    last: tuple[Any, ...] = ()
    document: dict[str, Any] = {}
    for document in _followed(session, analysis, Patience(interval, timeout, silence), with_ingest):
        now = _moment(document)
        if now != last:
            last = now
            print(json.dumps(_change(document)) if session.as_json else _line(document), flush=True)
    _end(document, with_ingest, timeout)


@command(app, "wait")
def wait(
    session: Session, analysis: Analysis, interval: Interval = 1.0, timeout: Timeout = None, silence: Silence = 300.0,
    with_ingest: WithIngest = False,
) -> None:
    """Wait until it is final: ends with 0 succeeded, 1 failed, 3 cancelled, 4 not within --timeout.

    The last line is the status; with --json it is the document. Restarts of the service are waited out.
    """
    last: tuple[Any, ...] = ()
    document: dict[str, Any] = {}
    for document in _followed(session, analysis, Patience(interval, timeout, silence), with_ingest):
        now = _moment(document)
        if now != last:
            last = now
            say(_line(document))
    if document:
        print(json.dumps(document) if session.as_json else document["status"], flush=True)
    _end(document, with_ingest, timeout)


@command(app, "cancel")
def cancel(
    session: Session,
    analyses: Annotated[list[str], typer.Argument(metavar="ANALYSIS...", help="Ids, slugs or display ids.")],
) -> None:
    """Ask for cancels. Each is `cancelled` once Batch confirms it; asking again adds nothing.

    Ends with 0 when all could be asked for, 5 when some, 65 when none.
    """
    results = [_cancel_one(session, analysis) for analysis in analyses]
    refused = [result for result in results if result["result"] == "refused"]
    if session.as_json:
        session.print_json({"items": results})
    else:
        for result in results:
            why = f": {result['reason']}" if result["reason"] else ""
            print(f"{result['analysis']}: {result['result']}{why}")
    say(f"{len(results) - len(refused)} of {len(results)} asked for or cancelled already.")
    if refused:
        raise typer.Exit(Exit.BAD_DATA if len(refused) == len(results) else Exit.PARTLY_DONE)


@command(app, "rerun")
def rerun(
    session: Session, analysis: Analysis,
    display_id: Annotated[str | None, typer.Option("--display-id", "-d", help="Of the new one; else `… rerun 2`.")]
    = None,
    inputs: Annotated[list[str] | None, typer.Option("--input", "-i", metavar="NAME=VALUE", help="Repeatable: one that "
                                                     "differs; null takes it away.")] = None,
    version: Annotated[str | None, typer.Option(help="Of the pipeline, or latest.", show_default="as then")] = None,
    samples: Annotated[list[str] | None, typer.Option("--sample", "-s", metavar="NAME[:ROLE[:SEX]]", help="Repeatable: "
                                                      "in the place of all the old ones.")] = None,
) -> None:
    """Run it again: a new analysis with the same inputs and the version that was run then, but for what is given.

    Prints its id.
    """
    given = {
        "display_id": display_id, "version": version, "inputs": dict(input_of(text) for text in inputs or []) or None,
        "samples": [sample_of(text) for text in samples or []] or None,
    }
    body = {name: value for name, value in given.items() if value is not None}
    found = session.in_project.post(f"{_path(analysis)}/rerun", key=str(uuid.uuid4()), json=body)
    _print_accepted(session, found)


@command(app, "ingest")
def ingest(
    session: Session, analysis: Analysis,
    force: Annotated[bool, typer.Option("--force", help="Also when it is ready or has failed.")] = False,
) -> None:
    """Have the variants of a succeeded analysis ingested again."""
    found = session.in_project.post(f"{_path(analysis)}/ingest", params={"force": force}, repeatable=True)
    if session.as_json:
        session.print_json(found)
    else:
        say(f"The ingest of {found['analysis_id']} was asked for.")


@command(app, "outputs")
def outputs(session: Session, analysis: Analysis) -> None:
    """All its outputs; paths are relative to the project bucket."""
    items = _outputs(session, analysis)
    if session.as_json:
        session.print_json({"items": items, "total": len(items), "next": None})
        return
    render.table(
        ("KIND", "SAMPLE", "SIZE", "CRC32C", "PATH"),
        [(o["kind"], o["sample"], render.size(o["size"]), o["crc32c"], o["path"]) for o in items],
    )
    if not items:
        say("It has no outputs yet: they are listed when the run has ended.")


@command(app, "download")
def download(
    session: Session, analysis: Analysis,
    wanted: Annotated[list[str] | None, typer.Argument(metavar="[PATH...]", help="Outputs, or patterns such as "
                                                       "'*.vcf.gz*'; without any, all.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All outputs; what else is named are analyses, too.")] = False,
    into: Annotated[Path | None, typer.Option("--into", "-o", help="Folder; else one named by the slug. With --all, "
                                              "each analysis has its own in it.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind: vcf, bam, report, qc, log, index, other.")]
    = None,
) -> None:
    """Fetch outputs, each checked by its checksum. What is there already is not fetched again, and what was broken off
    goes on where it was."""
    results: list[dict[str, Any]] = []
    for name in [analysis, *(wanted or [])] if every else [analysis]:
        try:
            document, chosen = _chosen(session, name, [] if every else wanted or [], kind)
        except Failed as fault:
            if not every:
                raise
            results.append({"path": name, "file": None, "size": None, "error": str(fault)})
            say(f"Error: {name}: {fault}")
            continue
        folder = (into or Path()) / document["slug"] if every or into is None else into
        results += [_fetched(session, document, output, folder) for output in chosen]
    if session.as_json:
        session.print_json({"items": results})
    if failures := sum("error" in result for result in results):
        raise typer.Exit(Exit.PARTLY_DONE if failures < len(results) else Exit.BAD_DATA)


@command(app, "logs")
def logs(
    session: Session, analysis: Analysis,
    task: Annotated[int, typer.Option(min=0, help="Number of the task, from 0.")] = 0,
    tail: Annotated[int | None, typer.Option(min=0, max=10_000, show_default="all that is read", help="The last so "
                                             "many lines.")] = None,
    tail_bytes: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so much of its end.")] = 65_536,
    severity: Annotated[str | None, typer.Option(help="Lines at least so severe: debug, info, warning, error, "
                                                 "critical.")] = None,
    contains: Annotated[str, typer.Option(help="Lines with this text, in whatever case.")] = "",
    goes_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the analysis ends.")] = False,
    silence: Silence = 600,
) -> None:
    """The end of a task's log, while it runs and after it."""
    asked = {"task": task, "tail": tail, "tail_bytes": tail_bytes, "severity": severity, "contains": contains}
    if goes_on:
        given = {name: value for name, value in asked.items() if value is not None}
        for text in follow_log(session.in_project, _path(analysis), given, silence):
            sys.stdout.write(json.dumps({"text": text}) + "\n" if session.as_json else text)
            sys.stdout.flush()
        return
    found = session.in_project.get(f"{_path(analysis)}/logs", **asked)
    if session.as_json:
        session.print_json(found)
        return
    sys.stdout.write(found["text"])
    if found["note"]:
        say(found["note"])
    if found["shown"] < found["size"]:
        whole = f"; `iflow analyses download {analysis} {found['path']}` fetches all of it" if found["path"] else ""
        say(f"The last {found['shown']:,} of {found['size']:,} bytes{whole}.")


# -- pieces -------------------------------------------------------------------------------------------------------


def _path(analysis: str) -> str:
    return f"/analyses/{name_in_path(analysis)}"


def _print_accepted(session: Session, document: Mapping[str, Any]) -> None:
    if session.as_json:
        session.print_json(document)
        return
    say(f"{document['display_id']} is {document['status']}. Follow it with `iflow analyses watch {document['slug']}`.")
    print(document["id"])


def _print_list(items: Sequence[Mapping[str, Any]]) -> None:
    """A terminal has no room for the ids: every command takes the display id, too."""
    columns = ["DISPLAY ID", "STATUS", "PIPELINE", "CREATED", "QUEUE", "RUN", "DETAIL"]
    rows = [
        [a["display_id"], a["status"], f"{a['pipeline']['slug']}@{a['pipeline']['version']}",
         render.moment(a["created_at"]), render.span(a["metrics"]["queue_seconds"]),
         render.span(a["metrics"]["run_seconds"]), a["status_detail"]] for a in items
    ]
    if not render.to_people():
        columns.insert(-1, "ID")
        for row, analysis in zip(rows, items, strict=True):
            row.insert(-1, analysis["id"])
    render.table(columns, rows)


def _cancel_one(session: Session, analysis: str) -> dict[str, Any]:
    """Raises Failed only for what would befall the others too."""
    try:
        found = session.in_project.post(f"{_path(analysis)}/cancel", repeatable=True)
    except Failed as failed:
        if failed.code not in (Exit.BAD_DATA, Exit.USAGE):
            raise
        return {"analysis": analysis, "id": None, "status": None, "result": "refused", "reason": str(failed)}
    result = "cancelled already" if found["status"] == "cancelled" else "requested"
    return {"analysis": analysis, "id": found["id"], "status": found["status"], "result": result, "reason": None}


def _outputs(session: Session, analysis: str) -> list[dict[str, Any]]:
    pages = session.in_project.pages(f"{_path(analysis)}/outputs", limit=1000)
    return [output for one in pages for output in one["items"]]


def _chosen(
    session: Session, analysis: str, wanted: Sequence[str], kind: str | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(the document, its outputs that are meant). Raises Failed where none is."""
    document: dict[str, Any] = session.in_project.get(_path(analysis))
    folder = f"analyses/{document['slug']}/"
    chosen = [o for o in _outputs(session, analysis) if _is_wanted(o, folder, wanted, kind)]
    if not chosen:
        raise Failed(Exit.BAD_DATA, f"No output of {document['display_id']!r} is meant by that; `outputs` lists them.")
    return document, chosen


def _fetched(
    session: Session, document: Mapping[str, Any], output: Mapping[str, Any], into: Path
) -> dict[str, Any]:
    """What came of it, with an `error` if nothing did; and said."""
    path, size = output["path"], output["size"]
    try:
        file, fetched = fetch(
            session.in_project, document["id"], output, f"analyses/{document['slug']}/", into, Progress(path, size)
        )
    except (Failed, OSError) as fault:
        say(f"Error: {path}: {fault}")
        return {"path": path, "file": None, "size": size, "error": str(fault)}
    say(f"{file}  {render.size(size)}" + ("" if fetched else "  (there already)"))
    return {"path": path, "file": str(file), "size": size, "fetched": fetched}


def _is_wanted(output: Mapping[str, Any], folder: str, wanted: Sequence[str], kind: str | None) -> bool:
    if kind is not None and output["kind"] != kind:
        return False
    path = str(output["path"])
    names = (path, path.removeprefix(folder))
    return not wanted or any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in wanted)


def _followed(
    session: Session, analysis: str, patience: Patience, with_ingest: bool
) -> Iterator[dict[str, Any]]:
    """Ends with the last document that was seen, in time or not."""
    try:
        yield from follow(session.in_project, _path(analysis), patience, with_ingest=with_ingest)
    except TimedOut:
        return


def _end(document: Mapping[str, Any], with_ingest: bool, timeout: float | None) -> None:
    if not document or not ended(dict(document), with_ingest):
        raise Failed(Exit.TIMED_OUT, f"It was not final within {timeout:g} seconds.")
    code = OF_STATUS[document["status"]]
    if document["failure"]:
        say(f"{document['failure']['message']}\n{document['failure']['hint']}")
    if with_ingest and document["ingest"]["status"] == "failed":
        raise Failed(Exit.ANALYSIS_FAILED, f"The ingest failed: {document['ingest']['failure']}")
    if code is not Exit.DONE:
        raise typer.Exit(code)


def _moment(document: Mapping[str, Any]) -> tuple[Any, ...]:
    ingest = document["ingest"]
    return document["status"], document["status_detail"], ingest["status"], ingest["progress"]


def _change(document: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "display_id", "status", "status_detail", "updated_at")
    return {**{name: document[name] for name in kept}, "ingest": {"status": document["ingest"]["status"]}}


def _line(document: Mapping[str, Any]) -> str:
    ingest = document["ingest"]
    beside = f"  [ingest {ingest['status']}]" if document["status"] == "succeeded" else ""
    return f"{render.moment(document['updated_at'])}  {document['status']:<9}  {document['status_detail']}{beside}"
