"""Those who ask: publishers of submit events, callers of the REST API, people who cancel, an operator who replays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.errors import Transient
from shared.domain.events import EventType, event_about
from shared.domain.lifecycle import request_cancel
from shared.domain.order import parse_order
from shared.domain.request import RequestRefused, parse_request
from shared.ports import Message, Ports, Stored
from shared.steps.accept import accept
from shared.steps.announce import announce, message_of
from shared.steps.orders import LoadedOrder, accept_order
from shared.steps.rerun import rerun
from shared.steps.store import Loaded, as_stored, decide
from tests.simulation.invariants import InvariantBroken
from tests.simulation.plan import Cancel, Ordered, Request, Rerun
from tests.simulation.schedule import Scheduler

T = TypeVar("T")
TRIES = 12
LONGEST_PAUSE_S = 30.0


@dataclass
class Answers:
    """What clients were told, which is what the system owes them. A client that crashed was told nothing."""

    published: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    refused: dict[str, RequestRefused] = field(default_factory=dict)
    cancels: set[str] = field(default_factory=set)
    forced: set[str] = field(default_factory=set)
    ordered: set[str] = field(default_factory=set)


class Clients:
    def __init__(self, scheduler: Scheduler, ports: Ports, answers: Answers) -> None:
        self._scheduler = scheduler
        self._ports = ports
        self._answers = answers

    def ask(self, request: Request) -> None:
        """Every copy of the request by an actor of its own, close together."""
        for n in range(request.by_event):
            self._soon(
                request, f"publisher-{n}", lambda: self.publish("analysis-commands", request.message(), request.name)
            )
        for n in range(request.by_rest):
            self._soon(request, f"REST-{n}", lambda: self._post(request))

    def cancel(self, cancel: Cancel) -> None:
        self._scheduler.spawn(f"canceller/{cancel.request.name}", lambda: self._cancel(cancel.request), cancel.delay_s)

    def rerun(self, again: Rerun) -> None:
        for n in range(again.copies):
            self._scheduler.spawn(f"rerunner-{n}/{again.request.name}", lambda: self._rerun(again), again.at_s)

    def force_ingest(self, request: Request, at_s: float) -> None:
        """As services/miner/api/analyses.py answers POST .../ingest?force=true."""
        command = event_about(
            EventType.INGEST, project=request.project, subject=request.analysis_id, sequence=0,
            at=self._ports.clock(), data={"analysis_id": request.analysis_id, "force": True},
        )
        again = message_of(command.model_copy(update={"id": f"{request.analysis_id}.ingest-forced"}))

        def ask() -> None:
            stored = self._until_it_works(lambda: self._ports.documents.get(_path(request)))
            if stored is not None and stored.data["status"] == "succeeded":
                self._answers.forced.add(stored.path)
                self._until_it_works(lambda: self._ports.bus.publish("analysis-commands", again))

        self._scheduler.spawn(f"forcer/{request.name}", ask, at_s)

    def order(self, ordered: Ordered) -> None:
        for n in range(ordered.copies):
            self._scheduler.spawn(f"orderer-{n}/{ordered.name}", lambda: self._order(ordered), ordered.at_s)

    def _order(self, ordered: Ordered) -> None:
        """As services/miner/api/orders.py answers a POST; a client whose analysis is not there yet comes again."""
        request = parse_order(ordered.body)

        def attempt() -> LoadedOrder | None:
            try:
                return accept_order(self._ports, request, source="REST")
            except RequestRefused as refused:
                if any("there is no analysis" in reason.message for reason in refused.reasons):
                    return None
                raise InvariantBroken("a-good-order-is-never-refused", f"{ordered.name}: {refused}") from refused

        found = self._until_it_works(attempt)
        if found is not None:
            self._answers.ordered.add(ordered.path)
            self._announce(found.stored)

    def publish(self, topic: str, message: Message, name: str) -> None:
        if self._until_it_works(lambda: self._ports.bus.publish(topic, message)) is not None:
            self._answers.published.add(name)

    def _soon(self, request: Request, who: str, act: Callable[[], None]) -> None:
        self._scheduler.spawn(f"{who}/{request.name}", act, request.at_s + self._scheduler.random.random())

    def _post(self, request: Request) -> None:
        """As services/miner/api/analyses.py answers a POST."""
        try:
            body = parse_request(request.body)
            found = self._until_it_works(lambda: accept(self._ports, body, source="REST", to_be_started=True))
        except RequestRefused as refused:
            self._answers.refused[request.name] = refused
            return
        if found is not None:
            self._answers.accepted.add(request.name)
            self._announce(as_stored(found))

    def _cancel(self, request: Request) -> None:
        """As services/miner/api/analyses.py answers POST .../cancel; a client that gets 404 comes again."""
        path = _path(request)

        def attempt() -> Loaded | None:
            stored = self._ports.documents.get(path)
            if stored is None:
                return None
            known = Loaded(Analysis.from_document(stored.data), stored.version)
            asked, _ = decide(
                self._ports.documents, path,
                lambda current: request_cancel(current, "canceller@example.org", self._ports.clock()), known=known,
            )
            return asked

        asked = self._until_it_works(attempt)
        if asked is not None and not asked.analysis.status.final:
            self._answers.cancels.add(path)
            self._announce(as_stored(asked))

    def _rerun(self, again: Rerun) -> None:
        """As services/miner/api/analyses.py answers POST .../rerun."""

        def attempt() -> Loaded | None:
            stored = self._ports.documents.get(_path(again.request))
            return None if stored is None else rerun(
                self._ports, Analysis.from_document(stored.data), request_id=again.request_id, display_id=None,
                by="rerunner@example.org", source="REST",
            )

        try:
            found = self._until_it_works(attempt)
        except RequestRefused as refused:
            raise InvariantBroken("a-rerun-is-never-refused", f"{again.name}: {refused}") from refused
        if found is not None:
            self._answers.accepted.add(again.name)
            self._announce(as_stored(found))

    def _announce(self, stored: Stored) -> None:
        try:
            announce(self._ports.documents, self._ports.bus, stored)
        except Transient as error:
            self._scheduler.note(f"answered 503, though it is stored: {error}")

    def _until_it_works(self, attempt: Callable[[], T | None]) -> T | None:
        """None when the client lost patience."""
        for n in range(TRIES):
            try:
                if (answer := attempt()) is not None:
                    return answer
            except Transient as error:
                self._scheduler.note(f"comes again: {error}")
            self._scheduler.pause(min(LONGEST_PAUSE_S, 2.0**n))
        return None


def _path(request: Request) -> str:
    return paths.analysis_doc(request.project, request.analysis_id)
