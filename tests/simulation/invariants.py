"""What must hold after every commit, whatever has failed so far. What must hold at rest is in at_rest.py."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared.adapters.memory.documents import MemoryDocuments
from shared.adapters.memory.objects import MemoryObjects
from shared.domain import paths
from shared.domain.job import JobState
from shared.ports import Delete, Message, Write
from tests.simulation.batch import BatchModel, End, Job
from tests.simulation.schedule import Scheduler

Data = Mapping[str, Any]
LARGEST_DOCUMENT_BYTES = 500_000
LEGAL = {
    None: {"queued"}, "queued": {"running", "succeeded", "failed", "cancelled"},
    "running": {"succeeded", "failed", "cancelled"}, "succeeded": set(), "failed": set(), "cancelled": set(),
}
FINAL = frozenset(status for status, after in LEGAL.items() if status and not after)


class InvariantBroken(Exception):
    """`invariant` is its name, `detail` the document or job and what is wrong with it."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail


def require(holds: object, invariant: str, detail: str) -> None:
    if not holds:
        raise InvariantBroken(invariant, detail)


class Checks:
    """Told of every commit, publish and job. Keeps the document as it was before, to judge the step."""

    def __init__(self, scheduler: Scheduler, documents: MemoryDocuments, objects: MemoryObjects) -> None:
        self._scheduler = scheduler
        self._documents = documents
        self._objects = objects
        self.batch: BatchModel | None = None
        self.forced: set[str] = set()
        self._before: dict[str, Data] = {}
        self._published: set[str] = set()

    def committed(self, writes: Sequence[Write]) -> None:
        for write in writes:
            kind = write.path.split("/")[-2]
            require(not isinstance(write, Delete), "nothing-deleted", write.path)
            text = json.dumps(write.data)
            data: Data = json.loads(text)
            before = self._before.get(write.path)
            require(len(text) < LARGEST_DOCUMENT_BYTES, "document-small", write.path)
            if kind in ("analyses", "rejections", "orders"):
                self._outbox(write.path, before, data)
            if kind == "analyses":
                self._analysis(write.path, before, data)
            if kind == "orders":
                self._order(write.path, before, data)
            if kind == "claims":
                require(before is None, "one-owner-per-slug", f"{write.path} was claimed already")
            self._before[write.path] = data

    def published(self, message: Message) -> None:
        identity, kind = message.attributes.get("id"), message.attributes.get("type")
        if kind == "analysis.ingest" and identity:
            data = self._before[paths.analysis_doc(message.attributes["project"], message.attributes["subject"])]
            require(data["status"] == "succeeded", "nothing-asked-in-vain", f"{identity}: it is {data['status']}")
        if identity:
            self._published.add(identity)

    def job_changed(self, job: Job) -> None:
        """A job belongs to an accepted request, and is the only one of it."""
        twins = [other for other in self.batch.jobs.values() if other.analysis == job.analysis]
        require(len(twins) == 1, "one-job-per-request", f"{len(twins)} jobs for analysis {job.analysis}")
        known = paths.analysis_doc(job.spec.labels["iflow-project"], job.analysis)
        require(known in self._before, "one-job-per-request", f"a job without a document: {known}")

    def _outbox(self, path: str, before: Data | None, data: Data) -> None:
        left = {event["id"] for event in data["unsent"]}
        for event in before["unsent"] if before else ():
            sent = event["id"] in self._published
            require(event["id"] in left or sent, "published-before-cleared", f"{path} drops {event['id']}")
        require((data["unsent_since"] is None) == (not left), "unsent-since", f"{path}: {data['unsent_since']}")

    def _analysis(self, path: str, before: Data | None, data: Data) -> None:
        status, was = data["status"], before["status"] if before else None
        require(status in LEGAL, "five-statuses", f"{path}: {status}")
        if status != was:
            require(status in LEGAL[was], "legal-path", f"{path}: {was} -> {status}")
            self._agrees_with_batch(path, data)
        self._history(path, before, data)
        if before is not None:
            said = {field for field in data if data[field] != before.get(field)} - {"updated_at"}
            require(said, "a-write-says-something", f"{path}: nothing but its time")
            asked = before["cancel_requested"]
            require(asked is None or data["cancel_requested"] == asked, "cancel-kept", f"{path}: {asked}")
            for field in ("id", "slug", "inputs", "pipeline", "request_digest", "created_at", "created_by"):
                require(data[field] == before[field], "frozen-fields", f"{path}: {field}")
            require(data["events_total"] >= before["events_total"], "events-numbered", path)
        self._ingest(path, before, data)

    def _history(self, path: str, before: Data | None, data: Data) -> None:
        history = data["history"]
        old = before["history"] if before else []
        require(history[: len(old)] == old, "history-append-only", path)
        at, status = "", None
        for change in history:
            require(change["from"] == status, "history-is-a-path", f"{path}: {change}")
            require(change["to"] in LEGAL[status], "history-is-a-path", f"{path}: {change}")
            require(change["at"] >= at, "history-in-time-order", f"{path}: {change}")
            at, status = change["at"], change["to"]
        require(status == data["status"], "history-is-a-path", f"{path}: {data['status']} after {status}")

    def _agrees_with_batch(self, path: str, data: Data) -> None:
        """The new status is what Batch has at this very moment, or, for running, has had."""
        job = self.batch.jobs.get(data["job"]["name"])
        status = data["status"]
        truth = job.state if job else None
        kind = data["failure"]["kind"] if data["failure"] else None
        match status:
            case "queued":
                agrees = True
            case "running":
                agrees = job is not None and JobState.RUNNING in job.been
            case "succeeded":
                agrees = truth is JobState.SUCCEEDED
            case "cancelled":
                agrees = truth is JobState.CANCELLED
            case _:
                agrees = self._failed_rightly(job, data, kind)
        require(agrees, "status-is-batchs", f"{path}: {status} ({kind}), but Batch has {truth}")

    def _failed_rightly(self, job: Job | None, data: Data, kind: str | None) -> bool:
        if kind == "rejected_by_batch" and job is None:
            return self.batch.fate_of(data["id"]).end is End.REFUSED
        if job is None:
            return False
        if kind == "job_lost":
            return job.deleted
        if kind == "outputs_missing":
            return job.state is JobState.SUCCEEDED and job.fate.end in (End.NO_OUTPUT, End.EMPTY_OUTPUT)
        return job.state is JobState.FAILED

    def _ingest(self, path: str, before: Data | None, data: Data) -> None:
        ingest, old = data["ingest"], before["ingest"] if before else None
        if ingest["status"] in ("running", "ready"):
            require(data["status"] == "succeeded", "ingest-after-success", f"{path}: {data['status']}")
        if ingest["status"] == "running":
            visible = ("files", "rows", "cache", "report")
            require(all(ingest[f] == old[f] for f in visible), "visible-until-replaced", f"{path}: {ingest['files']}")
            taken = old["status"] != "running" or old["lease"]["holder"] != ingest["lease"]["holder"]
            free = old["status"] != "running" or old["lease"]["until"] <= data["updated_at"]
            require(not taken or free, "one-holder-of-a-lease", f"{path}: taken from {old['lease']}")
        if old and old["status"] == "ready" and path not in self.forced:
            require(ingest == old, "ready-once", f"{path}: the ingest was ready already")
        if ingest["status"] == "ready":
            self._nothing_half(path, data["bucket"], ingest)

    def _order(self, path: str, before: Data | None, data: Data) -> None:
        cache, old = data["cache"], before["cache"] if before else None
        if before is not None:
            said = {field for field in data if data[field] != before.get(field)} - {"updated_at"}
            require(said, "a-write-says-something", f"{path}: nothing but its time")
            require(data["events_total"] >= before["events_total"], "events-numbered", path)
        if old and cache["built"] != old["built"]:
            require(cache["status"] == "ready", "visible-until-replaced", f"{path}: {cache['status']}")
        if cache["lease"] and (old is None or not old["lease"] or old["lease"]["holder"] != cache["lease"]["holder"]):
            free = old is None or not old["lease"] or old["lease"]["until"] <= data["updated_at"]
            require(free, "one-holder-of-a-lease", f"{path}: taken from {old and old['lease']}")
        if cache["built"]:
            self._joined(path, data["bucket"], cache["built"])

    def _joined(self, path: str, bucket: str, built: Data) -> None:
        """What readers are pointed at is there, whole."""
        for name in (built["table"], built["index"], built["manifest"]):
            require(self._objects.stat(bucket, name), "ready-means-tables", f"{path}: no {name}")
        table = json.loads(self._objects.read(bucket, built["table"]))
        require(table["rows"] == built["rows"], "rows-equal", f"{path}: {built['table']}")
        require(set(table["samples"]) == set(built["samples"]), "rows-equal", f"{path}: {table['samples']}")

    def _nothing_half(self, path: str, bucket: str, ingest: Data) -> None:
        """What readers are pointed at is there, whole, with the rows that the document says."""
        rows = 0
        for file in ingest["files"]:
            seen = self._objects.stat(bucket, file["table"])
            require(seen, "ready-means-tables", f"{path}: no {file['table']}")
            table = json.loads(self._objects.read(bucket, file["table"]))
            require(table["rows"] == file["rows"], "rows-equal", f"{path}: {file['table']}")
            rows += file["rows"]
        self._joined(path, bucket, ingest["cache"])
        require(ingest["files"] and rows == ingest["rows"], "rows-equal", f"{path}: {ingest['rows']} of {rows}")
