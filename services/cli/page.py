"""One analysis as an operator sees it: who asked for what, where it is, why, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.cli import render

OUTPUTS_SHOWN = 20


def show(document: Mapping[str, Any]) -> None:
    render.facts(_what(document))
    if document["failure"]:
        render.heading("Failure")
        render.facts(_failure(document["failure"]))
    render.heading("Metrics")
    render.facts(_metrics(document["metrics"]))
    render.heading("Ingest")
    render.facts(_ingest(document["ingest"]))
    render.heading("History")
    render.table(
        ("AT", "FROM", "TO", "BY", "REASON"),
        [(render.moment(c["at"]), c["from"], c["to"], c["by"], c["reason"]) for c in document["history"]],
    )
    if document["outputs"]:
        render.heading(f"Outputs ({document['outputs_total']})")
        render.table(
            ("KIND", "SAMPLE", "SIZE", "PATH"),
            [(o["kind"], o["sample"], render.size(o["size"]), o["path"]) for o in document["outputs"][:OUTPUTS_SHOWN]],
        )
        if document["outputs_total"] > OUTPUTS_SHOWN:
            print(f"… `iflow analyses outputs {document['slug']}` shows all.")


def _what(document: Mapping[str, Any]) -> list[tuple[str, Any]]:
    cancel = document["cancel_requested"]
    unconfirmed = cancel and document["status"] in ("queued", "running")
    since = f"asked by {cancel['by']} at {render.moment(cancel['at'])} UTC" if cancel else None
    return [
        ("Analysis", document["display_id"]), ("Id", document["id"]), ("Project", document["project"]),
        ("Status", document["status"]), ("Detail", document["status_detail"]),
        ("Cancel", f"not confirmed by Batch, {since} ({render.age(cancel['at'])} ago)" if unconfirmed else since),
        ("Pipeline", f"{document['pipeline']['slug']}@{document['pipeline']['version']}"),
        ("Samples", ", ".join(f"{s['name']} ({s['role']}, {s['sex']})" for s in document["samples"])),
        ("Origin", document["origin"]), ("Order", document["order_id"]), ("Rerun of", document["rerun_of"]),
        ("Asked by", f"{document['created_by']} at {render.moment(document['created_at'])} UTC"),
        ("Started", render.moment(document["started_at"])), ("Finished", render.moment(document["finished_at"])),
        ("Job", f"{document['job']['name']} ({document['job']['state'] or 'not created yet'})"),
        ("Logs", document["logs_url"]),
    ]


def _failure(failure: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("Kind", failure["kind"]), ("Exit code", failure["exit_code"]), ("Task", failure["task"]),
        ("Message", failure["message"]), ("What to do", failure["hint"]),
    ]


def _metrics(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("Queue", render.span(metrics["queue_seconds"])), ("Prepare", render.span(metrics["prepare_seconds"])),
        ("Run", render.span(metrics["run_seconds"])), ("Tasks", metrics["tasks"]), ("Retries", metrics["retries"]),
        ("Preemptions", metrics["preemptions"]), ("Cost", render.cost(metrics["cost"])), ("Note", metrics["note"]),
    ]


def _ingest(ingest: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        ("Status", ingest["status"]), ("Progress", ingest["progress"]), ("Rows", ingest["rows"]),
        ("Failure", ingest["failure"]), ("Attempts", ingest["attempts"] or None),
        ("Started", render.moment(ingest["started_at"])), ("Finished", render.moment(ingest["finished_at"])),
    ]
