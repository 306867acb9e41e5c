"""What the reconciler does for orders: triggers that were lost, builders that died, counts that are a day old."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.reconciler.handler import reconcile
from services.vcf_ingest.cache import cache
from shared.delivery import Delivery
from shared.domain.cache import CacheStatus
from shared.domain.order import Changed, Order, OrderStatus, transition
from shared.domain.order_cache import cache_ready, next_step
from shared.domain.request import Sample
from shared.ports import Create, Ports, Update
from shared.steps.orders import load_order, plan_for
from tests.builders import a_built, an_order, ingested
from tests.contract.clock import FakeClock

TICK = Delivery("tick", b"{}", {}, "", "")
S1 = Sample(name="S1")


@pytest.fixture
def order(ports: Ports, clock: FakeClock) -> Order:
    """Nobody has looked at it, and its event was never published."""
    analysis = ingested("a", "S1")
    made = an_order(S1).changed(created_at=clock(), updated_at=clock())
    made = made.changed(cache=made.cache.model_copy(update={"wanted_at": clock()}), unsent_since=clock())
    ports.documents.commit([Create(each.doc_path, each.to_document()) for each in (analysis, made)])
    return made


def commands(ports: Ports) -> list[dict[str, Any]]:
    """The commands about orders that wait to be handled, taken from the queue."""
    found = []
    for leased in ports.bus.lease("recache", 10):  # type: ignore[attr-defined]
        found.append(json.loads(leased.message.data))
        ports.bus.acknowledge(leased)  # type: ignore[attr-defined]
    return found


def put(ports: Ports, order: Order) -> Order:
    there = ports.documents.get(order.doc_path)
    assert there is not None
    ports.documents.commit([Update(order.doc_path, order.to_document(), there.version)])
    return order


def changed(answer: Any) -> Order:
    assert isinstance(answer, Changed), answer
    return answer.order


def test_an_order_that_nobody_looked_at_is_asked_for(ports: Ports, clock: FakeClock, order: Order) -> None:
    reconcile(TICK, ports)
    assert commands(ports) == []
    clock.pass_s(61)
    reconcile(TICK, ports)
    assert [(each["subject"], each["data"]["anew"]) for each in commands(ports)] == [(order.id, False)]
    assert not load_order(ports.documents, order.doc_path).order.unsent  # and its event is published


def test_who_is_building_is_left_alone_until_the_lease_runs_out(ports: Ports, clock: FakeClock, order: Order) -> None:
    policy = ports.rules.policy
    put(ports, changed(next_step(order, plan_for(ports, order), "builder", clock(), policy)))
    clock.pass_s(policy.ingest_lease_s - 1)
    reconcile(TICK, ports)
    assert commands(ports) == []
    clock.pass_s(2)
    reconcile(TICK, ports)
    (command,) = commands(ports)
    cache(Delivery("m", json.dumps(command).encode(), {}, "", ""), ports)
    again = load_order(ports.documents, order.doc_path).order.cache
    assert (again.status, again.attempts, again.held_by("id")) == (CacheStatus.BUILDING, 2, True)


def test_counts_that_are_a_day_old_are_counted_anew_and_those_of_a_report_are_not(
    ports: Ports, clock: FakeClock, order: Order
) -> None:
    policy = ports.rules.policy
    built = a_built(members_digest=plan_for(ports, order).digest, seen="counts-1")
    ready = put(ports, changed(cache_ready(order, built, clock(), policy)))
    clock.pass_s(policy.seen_refresh_s - 1)
    reconcile(TICK, ports)
    assert commands(ports) == []
    clock.pass_s(1)
    reconcile(TICK, ports)
    assert [each["data"]["anew"] for each in commands(ports)] == [True]
    for to in (OrderStatus.IN_REVIEW, OrderStatus.REPORTED):
        ready = changed(transition(ready, to, clock(), by="ada", source="test", reason=""))
    put(ports, ready)
    reconcile(TICK, ports)
    assert commands(ports) == []
