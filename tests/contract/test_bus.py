"""What ports.Bus promises, of every adapter that can be pulled: at least once, in order of a key, back-off, letters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from shared.adapters.embedded.bus import Leased
from shared.domain.clock import iso
from shared.ports import LAST_ERROR, Message
from tests.contract.clock import FakeClock
from tests.contract.conftest import PulledBus

COMMANDS, EVENTS, BATCH = "analysis-commands", "analysis-events", "batch-events"


def say(text: str, *, key: str = "", **attributes: str) -> Message:
    return Message(text.encode(), attributes, key)


def texts(leased: list[Leased]) -> list[str]:
    return [each.message.data.decode() for each in leased]


def test_a_message_arrives_whole_in_every_subscription_of_its_topic(bus: PulledBus, clock: FakeClock) -> None:
    message = Message(b"\x00\xffbytes", {"type": "x", "é": "ü"}, "key")
    message_id = bus.publish(BATCH, message)
    for name in ("unordered", "patient"):
        (leased,) = bus.lease(name, 10)
        assert leased.message == message
        assert (leased.message_id, leased.subscription, leased.attempt) == (message_id, name, 1)
        assert leased.published_at == iso(clock())
    assert bus.lease("ordered", 10) == []


def test_every_publish_has_a_message_id_of_its_own(bus: PulledBus) -> None:
    assert len({bus.publish(BATCH, say("same")) for _ in range(20)}) == 20


def test_a_filter_sees_the_type_attribute_only(bus: PulledBus) -> None:
    bus.publish(COMMANDS, say("1", type="analysis.submit"))
    bus.publish(COMMANDS, say("2", type="analysis.cancel"))
    bus.publish(COMMANDS, say("analysis.submit"))
    bus.publish(COMMANDS, say("4", type="analysis.start"))
    assert texts(bus.lease("submits", 10)) == ["1", "4"]
    assert len(bus.lease("ordered", 10)) == 4


def test_what_is_not_named_goes_to_who_takes_all_the_rest(bus: PulledBus) -> None:
    for n, kind in enumerate(("analysis.submit", "analysis.cancel", "analysis.submitted")):
        bus.publish(EVENTS, say(str(n), type=kind))
    bus.publish(EVENTS, say("no type"))
    assert texts(bus.lease("rest", 10)) == ["1", "2", "no type"]


def test_what_is_acknowledged_never_comes_again(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("1"))
    (leased,) = bus.lease("unordered", 10)
    bus.acknowledge(leased)
    bus.acknowledge(leased)
    clock.pass_s(500)
    assert bus.lease("unordered", 10) == []
    assert texts(bus.lease("patient", 10)) == ["1"], "each subscription has its own copy"


def test_a_leased_message_is_invisible_until_its_deadline(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("1"))
    (first,) = bus.lease("unordered", 10)
    clock.pass_s(59)
    assert bus.lease("unordered", 10) == []
    clock.pass_s(1)
    (again,) = bus.lease("unordered", 10)
    assert (again.message_id, again.attempt) == (first.message_id, 2)


def test_an_acknowledgement_after_the_deadline_still_counts(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("1"))
    (late,) = bus.lease("unordered", 10)
    clock.pass_s(60)
    (again,) = bus.lease("unordered", 10)
    bus.acknowledge(late)
    bus.refuse(again)
    clock.pass_s(400)
    assert bus.lease("unordered", 10) == []


def test_a_lease_takes_no_more_than_was_asked_for(bus: PulledBus) -> None:
    for n in range(3):
        bus.publish(BATCH, say(str(n)))
    assert texts(bus.lease("unordered", 2)) == ["0", "1"]
    assert texts(bus.lease("unordered", 2)) == ["2"]


def test_two_pullers_never_share_a_lease(bus: PulledBus) -> None:
    for n in range(40):
        bus.publish(BATCH, say(str(n)))
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: texts(bus.lease("unordered", 10)), range(4)))
    assert sorted(text for each in taken for text in each) == sorted(str(n) for n in range(40))


def test_the_pause_after_each_refusal_grows_up_to_its_bound(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("1"))
    for attempt, pause_s in enumerate([1, 2, 4, 8, 8, 8], start=1):
        (leased,) = bus.lease("patient", 1)
        assert leased.attempt == attempt
        bus.refuse(leased)
        clock.pass_s(pause_s - 0.001)
        assert bus.lease("patient", 1) == []
        clock.pass_s(0.001)


def refuse_until_given_up(bus: PulledBus, clock: FakeClock, subscription: str) -> Leased:
    while leased := bus.lease(subscription, 1):
        last = leased[0]
        bus.refuse(last)
        clock.pass_s(10)
    return last


def test_after_its_last_attempt_a_message_is_a_dead_letter_whole(bus: PulledBus, clock: FakeClock) -> None:
    message_id = bus.publish(COMMANDS, Message(b"\x00payload", {"type": "analysis.submit", "own": "1"}, "key"))
    published_at = iso(clock())
    last = refuse_until_given_up(bus, clock, "submits")
    assert (last.attempt, last.message_id) == (5, message_id)
    (letter,) = bus.lease("letters", 10)
    assert letter.message == Message(
        b"\x00payload",
        {
            "type": "analysis.submit", "own": "1",
            "CloudPubSubDeadLetterSourceSubscription": "submits",
            "CloudPubSubDeadLetterSourceTopicPublishTime": published_at,
            "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        },
        "key",
    )
    assert letter.message_id != message_id


def test_a_dead_letter_says_why_its_last_attempt_was_refused(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("1"))
    for n in range(1, 6):
        (leased,) = bus.lease("unordered", 1)
        bus.refuse(leased, f"reason {n}")
        clock.pass_s(10)
    (letter,) = bus.lease("letters", 1)
    assert letter.message.attributes[LAST_ERROR] == "reason 5"


def test_a_dead_letter_is_one_subscriptions_and_the_others_keep_their_copy(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("1"))
    refuse_until_given_up(bus, clock, "unordered")
    assert texts(bus.lease("patient", 1)) == ["1"]


def test_a_message_that_is_never_answered_is_a_dead_letter_too(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("kills its process"))
    for _ in range(5):
        assert len(bus.lease("unordered", 1)) == 1
        clock.pass_s(60)
    assert bus.lease("unordered", 1) == []
    (letter,) = bus.lease("letters", 1)
    assert letter.message.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"


def test_a_refusal_after_the_acknowledgement_makes_no_dead_letter(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("1"))
    for _ in range(4):
        (leased,) = bus.lease("unordered", 1)
        clock.pass_s(60)
    (last,) = bus.lease("unordered", 1)
    bus.acknowledge(leased)
    bus.refuse(last)
    assert bus.lease("letters", 1) == []


def test_without_a_number_of_attempts_there_is_no_dead_letter(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("1"))
    for _ in range(30):
        (leased,) = bus.lease("patient", 1)
        bus.refuse(leased)
        clock.pass_s(8)
    assert bus.lease("letters", 1) == []


def test_a_message_of_a_key_waits_for_the_one_before_it(bus: PulledBus, clock: FakeClock) -> None:
    for text in ("a1", "a2", "a3"):
        bus.publish(COMMANDS, say(text, key="a"))
    (first,) = bus.lease("ordered", 10)
    assert texts([first]) == ["a1"]
    assert bus.lease("ordered", 10) == []
    bus.refuse(first)
    assert bus.lease("ordered", 10) == [], "a back-off holds its key up, too"
    clock.pass_s(1)
    (again,) = bus.lease("ordered", 10)
    assert texts([again]) == ["a1"]
    bus.acknowledge(again)
    assert texts(bus.lease("ordered", 10)) == ["a2"]


def test_other_keys_and_messages_without_one_are_not_held_up(bus: PulledBus) -> None:
    for text, key in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("none1", ""), ("none2", ""), ("b2", "b")):
        bus.publish(COMMANDS, say(text, key=key))
    first = bus.lease("ordered", 10)
    assert texts(first) == ["a1", "b1", "none1", "none2"]
    bus.acknowledge(first[1])
    assert texts(bus.lease("ordered", 10)) == ["b2"]


def test_a_dead_letter_lets_the_next_of_its_key_go_on(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(COMMANDS, say("a1", key="a"))
    bus.publish(COMMANDS, say("a2", key="a"))
    for _ in range(5):
        (leased,) = bus.lease("ordered", 10)
        assert texts([leased]) == ["a1"]
        bus.refuse(leased)
        clock.pass_s(8)
    assert texts(bus.lease("ordered", 10)) == ["a2"]


def test_a_subscription_without_ordering_passes_keys_over(bus: PulledBus) -> None:
    bus.publish(COMMANDS, say("1", key="a", type="analysis.submit"))
    bus.publish(COMMANDS, say("2", key="a", type="analysis.submit"))
    assert texts(bus.lease("submits", 10)) == ["1", "2"]


def test_a_message_is_dropped_when_its_topics_retention_ends(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("1"))
    bus.publish(COMMANDS, say("2", key="a"))
    clock.pass_s(600)
    assert texts(bus.lease("patient", 1)) == ["1"]
    clock.pass_s(60)
    assert bus.lease("patient", 1) == []
    assert texts(bus.lease("ordered", 1)) == ["2"]


def test_when_the_next_message_is_due(bus: PulledBus, clock: FakeClock) -> None:
    assert bus.next_due(["ordered"]) is None
    bus.publish(COMMANDS, say("a1", key="a"))
    bus.publish(COMMANDS, say("a2", key="a"))
    now = clock().timestamp()
    assert bus.next_due(["ordered"]) == now
    (leased,) = bus.lease("ordered", 10)
    assert bus.next_due(["patient"]) is None
    assert bus.next_due(["ordered"]) == now + 60, "a2 waits for a1, and so does whoever asks"
    bus.refuse(leased)
    assert bus.next_due(["ordered"]) == now + 1


def test_how_many_wait_and_since_when(bus: PulledBus, clock: FakeClock) -> None:
    assert dict(bus.depth()) == {}
    began = clock()
    bus.publish(BATCH, say("1"))
    clock.pass_s(5)
    bus.publish(BATCH, say("2"))
    assert dict(bus.depth()) == {"unordered": (2, began), "patient": (2, began)}


def test_a_consumer_that_starts_takes_back_what_its_predecessor_held(bus: PulledBus, clock: FakeClock) -> None:
    bus.publish(BATCH, say("held"))
    bus.lease("unordered", 1)
    bus.take_back_leases()
    (again,) = bus.lease("unordered", 1)
    assert again.attempt == 2
