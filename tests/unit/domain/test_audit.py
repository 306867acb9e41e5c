"""The audit trail's chains: what they hold, and that every tampering with them is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.domain.audit import ANCHORS, Action, Actor, Entry, difference, entry_after, hash_of
from shared.domain.audit import faults_in as faults
from tests.builders import at

ADA = Actor("ada@lab.example", "api", "10.0.0.1", "test")


def chain(name: str, count: int) -> list[Entry]:
    found: list[Entry] = []
    for n in range(count):
        found.append(entry_after(
            found[-1] if found else None, "lab", name, ADA, Action.CHANGED, at(n), after={"status": str(n)}
        ))
    return found


def trail() -> list[dict[str, Any]]:
    first, second = chain("analyses/1", 4), chain("orders/1", 2)
    heads = {each[-1].chain: [each[-1].seq, each[-1].hash] for each in (first, second)}
    anchor = entry_after(None, "lab", ANCHORS, ADA, Action.ANCHORED, at(9), after=heads)
    return [entry.to_document() for entry in (*first, *second, anchor)]


def test_a_trail_that_nobody_touched_has_no_fault_in_whatever_order() -> None:
    assert faults(trail()) == []
    assert faults(reversed(trail())) == []


def rewritten(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By somebody who knows how the hash is made: the last of a chain, so that none follows it."""
    entries[3] = {**entries[3], "by": "eve@lab.example"}
    entries[3]["hash"] = hash_of(entries[3])
    return entries


@pytest.mark.parametrize(("tamper", "said"), [
    (lambda e: [{**e[0], "by": "eve@lab.example"}, *e[1:]], "analyses/1: entry 1 was changed"),
    (lambda e: [e[0], *e[2:]], "analyses/1: entry 2 is missing"),
    (lambda e: [*e[:3], *e[4:]], "analyses/1: entry 4 is missing, which anchor 1 has seen"),
    (lambda e: [each for each in e if each["chain"] != "orders/1"], "orders/1: entry 2 is missing, which anchor 1"),
    (lambda e: [*e, e[1]], "analyses/1: entry 2 is there twice"),
    (rewritten, "analyses/1: entry 4 is another than anchor 1 has seen"),
])
def test_what_was_changed_taken_out_or_put_in_is_named(
    tamper: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], said: str
) -> None:
    assert any(fault.startswith(said) for fault in faults(tamper(trail()))), faults(tamper(trail()))


def test_values_are_told_of_chosen_fields_alone() -> None:
    before = {"status": "queued", "inputs": {"patient": "secret"}, "history": [1], "slug": "x"}
    after = {"status": "running", "inputs": {"patient": "other"}, "history": [1, 2], "slug": "x"}
    assert difference("analyses", before, after) == (("inputs", "status"), {"status": "queued"}, {"status": "running"})
    assert difference("unknown", None, {"name": "secret"}) == (("name",), {}, {})
