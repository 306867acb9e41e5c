"""What must hold once the faults are over and everything had its time to heal."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.adapters.memory.documents import MemoryDocuments
from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.clock import iso
from shared.domain.events import EventType
from shared.domain.job import JobState
from shared.domain.order import Order
from shared.domain.request import RequestRefused, parse_request
from shared.domain.seen import SeenIndex, keys_path, noted
from shared.ports import Message, Ports, Query
from shared.steps.orders import plan_for
from shared.steps.seen import version
from shared.topology import topology
from tests.simulation.batch import BatchModel, End, Job
from tests.simulation.clients import Answers
from tests.simulation.functions import Functions
from tests.simulation.invariants import FINAL, require
from tests.simulation.plan import PROJECTS, SAMPLE, Plan, Request, Rerun

MOST_INGESTS_THAT_DIE = 5
OF_JOB = {JobState.SUCCEEDED: "succeeded", JobState.FAILED: "failed", JobState.CANCELLED: "cancelled"}
INGEST_EVENTS = {"ready": EventType.INGESTED, "failed": EventType.INGEST_FAILED}
TICKS = "reconcile"

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Rest:
    plan: Plan
    answers: Answers
    documents: MemoryDocuments
    batch: BatchModel
    functions: Functions
    logs_url: Any
    ports: Ports

    def check(self) -> None:
        analyses = {s.path: s.data for s in self.documents.query(Query("*/analyses", limit=1_000)).items}
        rejections = [s.data for s in self.documents.query(Query("*/rejections", limit=1_000)).items]
        require(not self.functions.bus.depth(), "bus-at-rest", f"{dict(self.functions.bus.depth())}")
        for path, data in analyses.items():
            require(not data["unsent"] and data["unsent_since"] is None, "unsent-empty", f"{path}: {data['unsent']}")
            self._ends_as_its_job(path, data)
            self._cancel(path, data)
            self._ingest(path, data)
            self._events(path, data)
        self._jobs(analyses)
        self._requests(analyses, rejections)
        self._rejections(rejections)
        self._dead_letters()
        orders = {s.path: s.data for s in self.documents.query(Query("*/orders", limit=1_000)).items}
        require(self.answers.ordered <= set(orders), "nothing-lost", f"{self.answers.ordered - set(orders)}")
        for path, data in orders.items():
            self._order(path, data)
        self._counts([data for data in analyses.values() if data["ingest"]["status"] == "ready"])

    # -- orders ---------------------------------------------------------------------------------------------------

    def _order(self, path: str, data: Data) -> None:
        """Built of just what it should be, whichever came first; everything was announced once."""
        order, cache = Order.from_document(data), data["cache"]
        require(not data["unsent"] and data["unsent_since"] is None, "unsent-empty", f"{path}: {data['unsent']}")
        require(cache["wanted_at"] is None and cache["lease"] is None, "always-built", f"{path}: {cache}")
        wanted = plan_for(self.ports, order)
        if not wanted.members:
            require(cache["status"] == "pending" and cache["built"] is None, "always-built", f"{path}: {cache}")
        elif cache["status"] == "failed":
            require("died" in cache["failure"], "always-built", f"{path}: {cache['failure']}")
        else:
            right = cache["status"] == "ready" and cache["built"]["members_digest"] == wanted.digest
            require(right, "built-of-the-newest", f"{path}: {cache}, wanted {wanted}")
        for name, consumer in self.functions.consumers.items():
            found = [kind for _, kind in consumer.effects.get(order.id, [])]
            first, others = found[:1], found[1:]
            if name != "orders":
                first, others = sorted(found)[-1:], sorted(found)[:-1]
            ended = set(others) <= {EventType.ORDER_CACHED, EventType.ORDER_CACHE_FAILED}
            whole = first == [EventType.ORDER_CREATED] and ended and len(found) == data["events_total"]
            require(whole, "each-event-once-in-order", f"{name} of {path}: {found}")

    def _counts(self, ingested: list[Data]) -> None:
        """The index of each project is the one that a plain recount makes."""
        for project in PROJECTS:
            mine = [Analysis.from_document(data) for data in ingested if data["project"] == project]
            index = SeenIndex()
            for analysis in mine:
                keys = tuple(keys_path(str(file.table), 0) for file in analysis.ingest.files)
                index = noted(index, analysis.id, analysis.created_at, {SAMPLE: keys})
            found = version(self.ports, f"bucket-{project}", "GRCh38")
            require(found == index.version, "counts-are-a-recounts", f"{project}: {found}, not {index.version}")

    # -- analyses -------------------------------------------------------------------------------------------------

    def _ends_as_its_job(self, path: str, data: Data) -> None:
        require(data["status"] in FINAL, "always-ends", f"{path} is {data['status']}: {data['status_detail']}")
        require(data["created_at"] <= (data["started_at"] or data["created_at"]), "times-in-order", path)
        require((data["started_at"] or data["created_at"]) <= data["finished_at"], "times-in-order", path)
        require((data["failure"] is None) == (data["status"] != "failed"), "failure-iff-failed", path)
        job = self.batch.jobs.get(data["job"]["name"])
        if job is None:
            require(data["job"]["uid"] is None, "status-is-batchs", f"{path} names a job that never was")
            return
        uid = data["job"]["uid"]
        never_seen = uid is None and job.deleted
        require(uid == job.uid or never_seen, "job-is-noted", f"{path}: uid {uid}, not {job.uid}")
        wanted = None if never_seen else self.logs_url(uid)
        require(data["logs_url"] == wanted, "logs-are-found", f"{path}: logs_url {data['logs_url']}")
        if data["failure"] is None or data["failure"]["kind"] != "job_lost":
            self._metrics(path, data, job)
            self._times(path, data, job)

    def _metrics(self, path: str, data: Data, job: Job) -> None:
        preempted = sum(event.exit_code == 50001 for events in job.task_events for event in events)
        found = data["metrics"]["preemptions"]
        require(found == preempted, "preemptions-counted-once", f"{path}: {found}, not {preempted}")
        if data["failure"] and data["failure"]["kind"] == "exit_code":
            require(data["failure"]["exit_code"] == job.fate.exit_code, "last-exit-code", path)

    def _times(self, path: str, data: Data, job: Job) -> None:
        """Batch's own, however late they were seen; a state that a job was in is in the history."""
        ran = job.entered_at(JobState.RUNNING)
        told = any(change["to"] == "running" for change in data["history"])
        require(told == (ran is not None), "history-tells-the-job", f"{path}: {data['history']}, ran at {ran}")
        began = max(data["created_at"], iso(ran)) if ran else None
        require(data["started_at"] == began, "times-are-batchs", f"{path}: {data['started_at']}, not {began}")
        ended = max(began or data["created_at"], iso(job.entered_at(job.state)))
        require(data["finished_at"] == ended, "times-are-batchs", f"{path}: {data['finished_at']}, not {ended}")
        if job.entered_at(JobState.SCHEDULED) is None:
            cost = data["metrics"]["cost"]
            require(cost["amount"] == 0, "nothing-is-billed-unscheduled", f"{path}: {cost}")

    def _cancel(self, path: str, data: Data) -> None:
        """Confirmed, or explained by what came first."""
        asked = data["cancel_requested"]
        require(asked or path not in self.answers.cancels, "cancel-kept", f"{path}: the request is gone")
        if asked and data["status"] == "succeeded":
            explained = "before the cancel" in data["status_detail"]
            require(explained, "cancel-confirmed-or-explained", f"{path}: {data['status_detail']}")
        if data["status"] == "cancelled":
            explained = ("canceller@example.org" in data["status_detail"]) == bool(asked)
            require(explained, "cancel-confirmed-or-explained", f"{path}: {data['status_detail']}")

    def _ingest(self, path: str, data: Data) -> None:
        ingest = data["ingest"]
        wanted = data["status"] == "succeeded" and any(output["kind"] == "vcf" for output in data["outputs"])
        if not wanted:
            require(ingest["status"] == "not_applicable", "one-ready-ingest", f"{path}: {ingest['status']}")
            return
        bad = self.batch.fate_of(data["id"]).end is End.BAD_VCF
        died = ingest["attempts"] >= MOST_INGESTS_THAT_DIE and ingest["status"] == "failed"
        expected = "failed" if bad else "ready"
        require(ingest["status"] == expected or died, "one-ready-ingest", f"{path}: {ingest['status']}, not {expected}")
        require(ingest["lease"] is None, "one-ready-ingest", f"{path}: a lease is left over")

    def _events(self, path: str, data: Data) -> None:
        """History and ingest say what must have been announced: each consumer has had that once, and in order."""
        expected = [EventType(f"analysis.{change['to']}") for change in data["history"]]
        if kind := INGEST_EVENTS.get(data["ingest"]["status"]):
            expected.append(kind)
        for name, consumer in self.functions.consumers.items():
            effects = consumer.effects.get(data["id"], [])
            found = [kind for _, kind in effects]
            if path in self.answers.forced:
                found = list(dict.fromkeys(found))  # announced again, for each time that it was done again
            if name != "orders":
                found.sort(key=lambda kind: expected.index(kind) if kind in expected else -1)
            require(found == expected, "each-event-once-in-order", f"{name} of {path}: {found}, not {expected}")

    def _jobs(self, analyses: Mapping[str, Data]) -> None:
        """From Batch's side: nothing runs that no document knows, and each has its document's state."""
        by_id = {data["id"]: data for data in analyses.values()}
        for job in self.batch.jobs.values():
            data = by_id.get(job.analysis)
            require(data is not None, "one-job-per-request", f"job {job.spec.name} has no document")
            require(job.over, "always-ends", f"job {job.spec.name} is {job.state}")
            if job.deleted and data["failure"] and data["failure"]["kind"] == "job_lost":
                continue
            said = "succeeded" if self._lacks_outputs(data, job) else data["status"]
            require(said == OF_JOB.get(job.state), "status-is-batchs", f"{data['id']}: {said}, Batch has {job.state}")

    def _lacks_outputs(self, data: Data, job: Job) -> bool:
        kind = data["failure"]["kind"] if data["failure"] else None
        return job.state is JobState.SUCCEEDED and kind == "outputs_missing"

    # -- requests -------------------------------------------------------------------------------------------------

    def _requests(self, analyses: Mapping[str, Data], rejections: list[Data]) -> None:
        owners = {(data["project"], data["slug"]): data for data in analyses.values()}
        require(len(owners) == len(analyses), "one-owner-per-slug", f"{sorted(analyses)}")
        for data in analyses.values():
            claim = self.documents.get(paths.claim_doc(data["project"], "analysis", data["slug"]))
            require(claim and claim.data["analysis_id"] == data["id"], "one-owner-per-slug", data["slug"])
        for request in self.plan.requests:
            self._answered(request, analyses, rejections)
        for again in self.plan.reruns:
            if again.name in self.answers.accepted:
                self._ran_again(again, analyses)
        for name, message in self.plan.unreadable:
            mine = [r for r in rejections if r["attributes"].get("name") == name]
            if name in self.answers.published:
                require(mine, "nothing-lost", f"{name}: {message.data!r} is nowhere")

    def _ran_again(self, again: Rerun, analyses: Mapping[str, Data]) -> None:
        project = again.request.project
        new = analyses.get(paths.analysis_doc(project, again.analysis_id))
        old = analyses[paths.analysis_doc(project, again.request.analysis_id)]
        require(new, "nothing-lost", f"{again.name} is gone")
        same = all(new[field] == old[field] for field in ("inputs", "pipeline", "samples", "origin", "order_id"))
        require(same and new["rerun_of"] == old["id"], "a-rerun-is-the-same-again", again.name)

    def _answered(self, request: Request, analyses: Mapping[str, Data], rejections: list[Data]) -> None:
        """A document or a rejection, for every request that a client was told of; never both, never none."""
        data = analyses.get(paths.analysis_doc(request.project, request.analysis_id))
        accepted = data is not None and data["request_digest"] == _digest(request)
        mark = (request.event_id, request.body["request_id"])
        mine = [rejection for rejection in rejections if (rejection["event_id"], rejection["request_id"]) == mark]
        told = request.name in self.answers.published | self.answers.accepted
        require(accepted or mine or not told, "nothing-lost", f"{request.name} has no document and no rejection")
        require(not (accepted and mine), "one-answer", f"{request.name} is accepted and rejected")
        require(len(mine) <= 1, "one-answer", f"{request.name} is rejected {len(mine)} times")
        require(request.name not in self.answers.accepted or accepted, "nothing-lost", f"{request.name} is gone")
        sentences = [reason["message"] for rejection in mine for reason in rejection["reasons"]]
        if refused := self.answers.refused.get(request.name):
            sentences += [reason.message for reason in refused.reasons]
        if request.good and sentences:
            self._lost_to_its_owner(request, analyses, sentences)
        elif not request.good and told and request.name != "same-id":
            require(mine and not accepted, "bad-requests-rejected", request.name)

    def _lost_to_its_owner(self, request: Request, analyses: Mapping[str, Data], sentences: list[str]) -> None:
        """Nothing is wrong with it but that somebody was faster: the reason says who."""
        rivals = [d for d in analyses.values() if d["project"] == request.project and d["slug"] == request.slug]
        named = any(
            rival["display_id"] in sentence and (rival["id"] in sentence or rival["id"] == request.analysis_id)
            for rival in rivals for sentence in sentences
        )
        require(named, "losers-name-the-owner", f"{request.name}: {sentences}")

    def _rejections(self, rejections: list[Data]) -> None:
        for data in rejections:
            require(not data["unsent"] and data["unsent_since"] is None, "unsent-empty", f"rejection {data['id']}")
            require(data["reasons"] and all(r["message"] for r in data["reasons"]), "bad-requests-rejected", data["id"])
            announcement = (f"{data['id']}.rejected", EventType.REJECTED)
            for name, consumer in self.functions.consumers.items():
                times = sum(events.count(announcement) for events in consumer.effects.values())
                require(times == 1, "each-event-once-in-order", f"{name} of rejection {data['id']}: {times} times")

    # -- dead letters ---------------------------------------------------------------------------------------------

    def _dead_letters(self) -> None:
        letters = [s.data for s in self.documents.query(Query("*/dead_letters", limit=1_000)).items]
        poison = {message.attributes["poison"]: message for _, message in self.plan.poison}
        kept: dict[str, Message] = {}
        for data in letters:
            attributes, subscription = data["attributes"], data["subscription"]
            if "poison" not in attributes:
                used_up = data["attempts"] == topology().subscriptions[subscription].max_attempts
                require(used_up, "dead-letters-are-poison", f"{subscription}: {data['reason']}")
                replayed = data["replayed_at"] or subscription == TICKS
                require(replayed, "dead-letters-are-poison", f"{data['id']} is left")
                continue
            kept[attributes["poison"]] = Message(base64.b64decode(data["payload"]), attributes, data["ordering_key"])
        for name, message in poison.items():
            if name in self.answers.published:
                require(kept.get(name) == message, "poison-kept-whole", f"{name}: {kept.get(name)}")


def _digest(request: Request) -> str | None:
    try:
        return parse_request(request.body).digest()
    except RequestRefused:
        return None


