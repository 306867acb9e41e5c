"""What one seed asks of the system: requests good and bad, cancels at bad moments, messages that nobody can read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from shared.domain import paths
from shared.domain.events import Event, EventType
from shared.domain.job import JobState
from shared.ports import Message
from shared.steps.announce import message_of
from tests.simulation.batch import Fate
from tests.simulation.schedule import BEGINNING

PROJECTS = ("alpha", "beta")
SAMPLE = "s1"
"""The one column of every VCF."""

INPUT = "samples/s1/uploads/reads.vcf"
EMPTY_INPUT = "samples/s1/uploads/empty.vcf"
LONGEST_WAIT_S = 300.0
"""For a machine that an ingest is to run on."""

PIPELINES = {"calls": 1, "qc-many": 3}
"""Slug -> tasks of its job. Only `calls` declares a VCF."""


@dataclass(frozen=True)
class Request:
    """One request of a client. `by_event` publishes it so often, `by_rest` posts it so often; `good` may still lose
    its slug to another. `event_of` names the request whose event id it uses again, as no client should."""

    name: str
    at_s: float
    by_event: int
    by_rest: int
    keyed: bool
    body: Mapping[str, Any]
    good: bool
    event_of: str = ""

    @property
    def project(self) -> str:
        return str(self.body["project"])

    @property
    def analysis_id(self) -> str:
        return paths.analysis_id(self.project, str(self.body["request_id"]))

    @property
    def slug(self) -> str:
        return paths.slug(str(self.body["display_id"]))

    @property
    def event_id(self) -> str:
        return f"event-of-{self.event_of or self.name}"

    def message(self) -> Message:
        event = Event(
            id=self.event_id, type=EventType.SUBMIT, subject=str(self.body["request_id"]), time=BEGINNING,
            project=self.project, data=self.body,
        )
        message = message_of(event)
        return message if self.keyed else Message(message.data, message.attributes)


@dataclass(frozen=True)
class Cancel:
    """Asked for when the job enters `on`, or, without it, `delay_s` after the beginning."""

    request: Request
    on: JobState | None
    delay_s: float


@dataclass(frozen=True)
class Rerun:
    """Asked for so often at once, by clients of one request id, some time after the beginning."""

    request: Request
    at_s: float
    copies: int

    @property
    def name(self) -> str:
        return f"rerun-{self.request.name}"

    @property
    def request_id(self) -> str:
        return f"request-{self.name}"

    @property
    def analysis_id(self) -> str:
        return paths.analysis_id(self.request.project, self.request_id)


@dataclass(frozen=True)
class Ordered:
    """An order for the sample that every VCF here has: of these analyses, or, without any, found by its name. Asked for
    so often at once by clients of one request id."""

    name: str
    project: str
    at_s: float
    copies: int
    role: str
    of: tuple[Request, ...]

    @property
    def body(self) -> dict[str, Any]:
        return {
            "request_id": f"request-{self.name}", "project": self.project, "display_id": f"Order {self.name}",
            "samples": [{"name": SAMPLE, "role": self.role}], "analyses": [each.analysis_id for each in self.of],
            "requested_by": f"{self.name}@example.org",
        }

    @property
    def path(self) -> str:
        return paths.order_doc(self.project, paths.order_id(self.project, f"request-{self.name}"))


@dataclass(frozen=True)
class Plan:
    """`poison` are messages that no handler can ever take, by topic; `unreadable` are submits that are no events."""

    requests: tuple[Request, ...]
    cancels: tuple[Cancel, ...]
    reruns: tuple[Rerun, ...]
    forced_ingests: tuple[tuple[Request, float], ...]
    unreadable: tuple[tuple[str, Message], ...]
    poison: tuple[tuple[str, Message], ...]
    fates: dict[str, Fate] = field(default_factory=dict)
    blackouts_s: tuple[float, ...] = ()
    storm: bool = False
    ingest_waits_s: float = 0.0
    orders: tuple[Ordered, ...] = ()
    builder_dies: bool = False


BAD_BODIES: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (
    lambda body: body | {"pipeline": "unknown"},
    lambda body: body | {"version": "9.9.9"},
    lambda body: body | {"display_id": "---"},
    lambda body: body | {"display_id": "a\u202eb"},
    lambda body: body | {"surprise": 1},
    lambda body: body | {"schema_version": 2},
    lambda body: body | {"inputs": {"vcf": "samples/absent.vcf"}},
    lambda body: body | {"inputs": {"vcf": EMPTY_INPUT}},
    lambda body: body | {"inputs": {"vcf": "../beta/samples/x.vcf"}},
    lambda body: body | {"inputs": {}},
    lambda body: body | {"project": "gamma"},
    lambda body: body | {"samples": [{"name": "a", "role": "mother"}, {"name": "b", "role": "mother"}]},
)


def draw(random: Random) -> Plan:
    storm = random.random() < 0.06
    requests = _requests(random)
    good = [request for request in requests if request.good]
    fates = {r.analysis_id: Fate.draw(random, PIPELINES[r.body["pipeline"]]) for r in good}
    reruns = [
        Rerun(request, random.uniform(20, 300), random.choice((1, 2, 3)))
        for request in good if random.random() < 0.2
    ]
    fates |= {r.analysis_id: Fate.draw(random, PIPELINES[r.request.body["pipeline"]]) for r in reruns}
    forced = [(request, random.uniform(60, 400)) for request in good if random.random() < 0.1]
    cancels = [_cancel(random, request) for request in good if random.random() < 0.35]
    return Plan(
        tuple(requests), tuple(cancels), tuple(reruns), tuple(forced), _unreadable(random), _poison(random), fates,
        tuple(random.uniform(5, 250) for _ in range(random.choice((0, 0, 1, 2)))), storm,
        random.choice((0.0, 0.0, LONGEST_WAIT_S)), _orders(random, good), random.random() < 0.3,
    )


def _orders(random: Random, good: list[Request]) -> tuple[Ordered, ...]:
    """Before, while and after their analyses run; some in the role that an analysis gives by itself."""
    made = []
    for n in range(random.choice((0, 1, 2, 3))):
        project = random.choice(PROJECTS)
        there = [request for request in good if request.project == project]
        of = tuple(random.sample(there, random.randint(0, min(2, len(there)))))
        role = random.choice(("proband", "proband", "sample"))
        made.append(Ordered(f"o{n}", project, random.uniform(0, 200), random.choice((1, 1, 2)), role, of))
    return tuple(made)


def _requests(random: Random) -> list[Request]:
    how_many = random.choice((1, 2, 3, 4, 5))
    requests = [_good(random, f"r{n}", f"WGS {n}/A", random.choice(PROJECTS)) for n in range(how_many)]
    first = requests[0]
    if random.random() < 0.35:
        requests.append(_good(random, "rival", first.slug.upper().replace("-", " _"), first.project))
    if random.random() < 0.1:
        other = dict(first.body) | {"requested_by": "somebody else"}
        requests.append(Request("same-id", random.uniform(0, 30), random.choice((1, 2)), 0, False, other, good=False))
    if random.random() < 0.35:
        bad = random.choice(BAD_BODIES)(_body("bad", "Bad 1", first.project, "calls"))
        requests.append(Request("bad", random.uniform(0, 30), random.choice((1, 2)), 0, False, bad, good=False))
        if random.random() < 0.3:
            twin = _body("twin", "Bad 2", first.project, "unknown")
            requests.append(Request("twin", random.uniform(0, 30), 2, 0, False, twin, good=False, event_of="bad"))
    return requests


def _good(random: Random, name: str, display_id: str, project: str) -> Request:
    by_event, by_rest = random.choice(((1, 0), (1, 0), (2, 0), (4, 0), (0, 1), (0, 2), (2, 1)))
    body = _body(name, display_id, project, random.choice(("calls", "calls", "qc-many")))
    return Request(name, random.uniform(0, 30), by_event, by_rest, random.random() < 0.5, body, good=True)


def _body(name: str, display_id: str, project: str, pipeline: str) -> dict[str, Any]:
    return {
        "request_id": f"request-{name}", "project": project, "display_id": display_id, "pipeline": pipeline,
        "inputs": {"vcf": INPUT}, "requested_by": f"{name}@example.org",
    }


def _cancel(random: Random, request: Request) -> Cancel:
    moments = (None, None, JobState.QUEUED, JobState.SCHEDULED, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED)
    on = random.choice(moments)
    return Cancel(request, on, random.uniform(0, 2) if on else random.uniform(0, 150))


TYPES: tuple[dict[str, str], ...] = ({"type": "analysis.submit"}, {"type": "analysis.submitted"}, {})
"""Of messages that nobody can read: nobody but submit takes a type that is not known, or none at all."""


def _unreadable(random: Random) -> tuple[tuple[str, Message], ...]:
    """Submits that are rejected, each under the name that it carries in its attributes."""
    bodies = (b"{", b"[]", b"\xff\xfe", b"null", b'{"id": "x"}', json.dumps({"id": "x", "type": "y"}).encode())
    return tuple(
        (f"unreadable-{n}", Message(
            random.choice(bodies),
            {**random.choice(TYPES), "name": f"unreadable-{n}", "project": random.choice((*PROJECTS, "gamma", ""))},
        ))
        for n in range(random.choice((0, 0, 1, 2)))
    )


def _poison(random: Random) -> tuple[tuple[str, Message], ...]:
    if random.random() < 0.7:
        return ()
    nobody = Event(
        id="cancel-nobody", type=EventType.CANCEL, subject="00000000-0000-4000-8000-000000000000", time=BEGINNING,
        project="alpha", data={},
    )
    kinds = (
        ("batch-events", Message(b"\x00 no job is named", {"poison": "hint"})),
        ("batch-events", Message(b"", {"poison": "silence"})),
        ("analysis-commands", Message(b"not JSON", {"type": "analysis.cancel", "poison": "cancel"})),
        ("analysis-commands", Message(nobody.to_bytes(), {**nobody.attributes(), "poison": "nobody"})),
        ("analysis-commands", Message(b"{}", {"type": "analysis.ingest", "poison": "ingest"})),
    )
    return tuple(random.sample(kinds, random.choice((1, 2))))
