"""An order's lifecycle, and the lease and end of its cache's build."""

from __future__ import annotations

import itertools

import pytest
from pydantic import ValidationError

from shared.domain.cache import CacheStatus
from shared.domain.events import EventType
from shared.domain.lifecycle import Unchanged
from shared.domain.members import Plan, Source, plan
from shared.domain.order import (
    TRANSITIONS,
    Changed,
    Mode,
    Order,
    OrderAnswer,
    OrderChange,
    OrderStatus,
    change,
    transition,
)
from shared.domain.order_cache import cache_failed, cache_ready, next_step, renew, wait_for_machine
from shared.domain.policy import Policy
from shared.domain.request import Role, Sample
from tests.builders import a_built, an_order, at, ingested

POLICY = Policy(ingest_lease_s=100, ingest_attempts=3)
S1, S2 = Sample(name="S1", role=Role.PROBAND), Sample(name="S2", role=Role.MOTHER)
ANALYSIS = ingested("duo", "S1", "S2")
WANTED = plan((S1, S2), [Source(ANALYSIS, ANALYSIS.ingest.files)], by_name=False)
BUILT = a_built(members_digest=WANTED.digest, seen="counts-1")
WHO = {"by": "ada@lab.example", "source": "test"}


def done(answer: OrderAnswer) -> Order:
    assert isinstance(answer, Changed), answer
    return answer.order


def begun(order: Order, holder: str, seconds: float, wanted: Plan = WANTED, *, anew: bool = False) -> Order:
    return done(next_step(order, wanted, holder, at(seconds), POLICY, anew=anew))


@pytest.mark.parametrize(("before", "to"), list(itertools.product(OrderStatus, OrderStatus)))
def test_every_transition_is_in_the_table_or_refused(before: OrderStatus, to: OrderStatus) -> None:
    order = an_order(S1).changed(status=before)
    answer = transition(order, to, at(1), reason="why", **WHO)
    if to in TRANSITIONS[before]:
        moved = done(answer)
        assert (moved.status, moved.history[-1].from_, moved.history[-1].to) == (to, before, to)
        assert moved.unsent[-1].type is EventType.ORDER_CHANGED
    else:
        assert isinstance(answer, Unchanged)


def test_an_order_is_of_something_and_its_mode_follows_from_the_roles() -> None:
    with pytest.raises(ValidationError, match="neither samples nor analyses"):
        an_order()
    assert an_order(S1).mode is Mode.HEREDITARY
    assert an_order(Sample(name="T", role=Role.TUMOR), Sample(name="N", role=Role.NORMAL)).mode is Mode.SOMATIC


def test_other_samples_want_another_cache_and_what_is_shown_stays() -> None:
    order = done(cache_ready(an_order(S1), BUILT, at(1), POLICY))
    other = done(change(order, OrderChange(samples=(S1, S2)), at(2), **WHO))
    assert other.cache.built == BUILT and other.cache.wanted_at == at(2)
    assert isinstance(change(other, OrderChange(samples=(S1, S2)), at(3), **WHO), Unchanged)
    closed = order.changed(status=OrderStatus.REPORTED)
    assert isinstance(change(closed, OrderChange(samples=(S1, S2)), at(3), **WHO), Unchanged)


def test_a_second_trigger_leaves_a_mark_while_the_lease_is_held_and_takes_over_after_it() -> None:
    """C54, C55."""
    held = begun(an_order(S1, S2), "one", 0)
    assert (held.cache.status, held.cache.attempts) == (CacheStatus.BUILDING, 1)
    marked = begun(held, "two", 99)
    assert marked.cache.held_by("one") and marked.cache.again
    assert isinstance(next_step(marked, WANTED, "three", at(99), POLICY), Unchanged)
    taken = begun(marked, "two", 100)
    assert taken.cache.held_by("two") and taken.cache.attempts == 2
    assert isinstance(renew(taken, "one", at(101), POLICY, "half"), Unchanged)


def test_what_is_built_of_the_right_tables_is_not_built_again_unless_anew() -> None:
    """C54: after ready a no-op unless forced."""
    ready = done(cache_ready(begun(an_order(S1, S2), "one", 0), BUILT, at(5), POLICY))
    assert ready.cache.built == BUILT and ready.cache.wanted_at is None
    assert isinstance(next_step(ready, WANTED, "two", at(6), POLICY), Unchanged)
    assert begun(ready, "two", 6, anew=True).cache.built == BUILT


def test_a_trigger_that_came_meanwhile_is_still_wanted_at_the_end() -> None:
    marked = begun(begun(an_order(S1, S2), "one", 0), "two", 50)
    ready = done(cache_ready(marked, BUILT, at(60), POLICY))
    assert (ready.cache.wanted_at, ready.cache.again) == (at(60), False)
    settled = begun(ready, "one", 61)
    assert settled.cache.wanted_at is None and len(settled.unsent) == len(ready.unsent)


def test_while_a_rebuild_runs_fails_or_dies_readers_see_the_old_cache() -> None:
    """C48."""
    shown = done(cache_ready(an_order(S1, S2), a_built("old"), at(1), POLICY))
    building = begun(shown, "one", 2)
    failed = done(cache_failed(building, "the disk is full", at(3)))
    died = begun(building, "two", 200)
    for order in (building, failed, died):
        assert order.cache.built is not None and order.cache.built.version == "old"
    assert failed.unsent[-1].data["reason"] == "the disk is full"
    new = done(cache_ready(died, BUILT, at(201), POLICY))
    assert new.cache.built == BUILT and new.cache.failure is None


def test_a_build_that_keeps_dying_fails_with_that_as_its_reason() -> None:
    order = an_order(S1, S2)
    for n in range(POLICY.ingest_attempts):
        order = begun(order, f"holder-{n}", 200 * n)
    given_up = begun(order, "last", 9000)
    assert given_up.cache.status is CacheStatus.FAILED and given_up.cache.wanted_at is None
    assert given_up.cache.failure is not None and "died 3 times" in given_up.cache.failure


def test_without_a_table_it_waits_and_nobody_is_asked_to_build() -> None:
    order = begun(an_order(S1), "one", 0, plan((S1,), [], by_name=True))
    assert (order.cache.status, order.cache.wanted_at, order.cache.lease) == (CacheStatus.PENDING, None, None)
    assert [missing.name for missing in order.cache.missing] == ["S1"]


def test_an_analysis_own_cache_is_taken_where_it_is_just_that() -> None:
    analysis = ANALYSIS.changed(ingest=ANALYSIS.ingest.model_copy(update={"cache": BUILT}))
    same = plan((S2, S1), [Source(analysis, analysis.ingest.files)], by_name=False)
    assert begun(an_order(S1, S2), "one", 0, same).cache.built == BUILT
    other_role = (S1, Sample(name="S2", role=Role.SIBLING))
    assert plan(other_role, [Source(analysis, analysis.ingest.files)], by_name=False).ready is None


def test_counts_are_refreshed_while_the_order_is_open_and_stay_as_reported() -> None:
    ready = done(cache_ready(an_order(S1, S2), BUILT, at(5), POLICY))
    assert ready.cache.refresh_at == at(5 + POLICY.seen_refresh_s)
    review = done(transition(ready, OrderStatus.IN_REVIEW, at(6), reason="", **WHO))
    assert done(transition(review, OrderStatus.REPORTED, at(7), reason="", **WHO)).cache.refresh_at is None
    assert done(cache_ready(an_order(S1), a_built(seen=None), at(5), POLICY)).cache.refresh_at is None


def test_a_job_that_waits_for_its_machine_keeps_the_lease_until_it_begins() -> None:
    waiting = done(wait_for_machine(begun(an_order(S1, S2), "one", 0), "one", at(1), 1800))
    assert begun(waiting, "two", 1700).cache.held_by("one")
    at_it = done(renew(waiting, "one", at(1000), POLICY, "Joining 1 table."))
    assert isinstance(wait_for_machine(at_it, "one", at(1001), 1800), Unchanged)
