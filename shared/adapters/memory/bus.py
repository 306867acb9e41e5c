"""Pub/Sub's promises in this process: for the simulation and for tests. The twin of the embedded bus.

At least once, ordering keys, filters, back-off, dead letters after N, as topology.yaml says.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from shared.adapters.embedded.bus import Leased, dead_letter
from shared.domain.clock import iso
from shared.domain.events import Topic
from shared.ports import Clock, Message
from shared.topology import SubscriptionSpec, Topology


@dataclass
class _Waiting:
    """A message in one subscription's queue: due at once, after a back-off, or when its lease runs out."""

    row: int
    message_id: str
    message: Message
    published_at: str
    expires_at: float
    due_at: float
    attempts: int = 0


class MemoryBus:
    """ports.Bus, and the pulling side that a dispatcher uses. Message ids count upwards."""

    def __init__(self, topology: Topology, clock: Clock) -> None:
        self._topology = topology
        self._clock = clock
        self._queues: dict[str, dict[int, _Waiting]] = {name: {} for name in topology.subscriptions}
        self._row = count(1)
        self._message = count(1)
        self._lock = threading.RLock()

    def publish(self, topic: str, message: Message) -> str:
        with self._lock:
            return self._put(topic, message)

    def _put(self, topic: str, message: Message) -> str:
        now = self._clock()
        expires = now.timestamp() + self._topology.topics[Topic(topic)].retention_s
        message_id = f"message-{next(self._message)}"
        own = Message(bytes(message.data), dict(message.attributes), message.ordering_key)
        for name in self._topology.subscribers(topic, own.attributes.get("type")):
            row = next(self._row)
            self._queues[name][row] = _Waiting(row, message_id, own, iso(now), expires, now.timestamp())
        return message_id

    def lease(self, subscription: str, limit: int) -> list[Leased]:
        """Up to `limit` messages that are due, each invisible to others until its acknowledgement deadline."""
        spec = self._topology.subscriptions[subscription]
        now = self._clock().timestamp()
        with self._lock:
            self._clear_out(subscription, spec, now)
            due = [waiting for waiting in self._in_turn(subscription, spec) if waiting.due_at <= now][:limit]
            for waiting in due:
                waiting.due_at = now + spec.ack_deadline_s
                waiting.attempts += 1
            return [_leased(subscription, waiting) for waiting in due]

    def _clear_out(self, subscription: str, spec: SubscriptionSpec, now: float) -> None:
        """What is past its retention is gone; what was never answered, too often, is a dead letter."""
        for waiting in list(self._queues[subscription].values()):
            if waiting.expires_at < now:
                del self._queues[subscription][waiting.row]
            elif spec.max_attempts is not None and waiting.attempts >= spec.max_attempts and waiting.due_at <= now:
                self._give_up(_leased(subscription, waiting))

    def _in_turn(self, subscription: str, spec: SubscriptionSpec) -> list[_Waiting]:
        """Of the messages with one ordering key only the first: the next waits for its acknowledgement."""
        turn: list[_Waiting] = []
        keys: set[str] = set()
        for waiting in self._queues[subscription].values():
            key = waiting.message.ordering_key if spec.ordering else ""
            if key and key in keys:
                continue
            keys.add(key)
            turn.append(waiting)
        return turn

    def acknowledge(self, leased: Leased) -> None:
        with self._lock:
            self._queues[leased.subscription].pop(leased.row, None)

    def refuse(self, leased: Leased, reason: str = "") -> None:
        """Due again after the back-off; a dead letter, with the reason, once the attempts are used up."""
        spec = self._topology.subscriptions[leased.subscription]
        with self._lock:
            waiting = self._queues[leased.subscription].get(leased.row)
            if waiting is None:
                return
            if spec.max_attempts is not None and leased.attempt >= spec.max_attempts:
                self._give_up(leased, reason)
            else:
                waiting.due_at = self._clock().timestamp() + spec.retry.pause_s(leased.attempt)

    def _give_up(self, leased: Leased, reason: str = "") -> None:
        self._put(self._topology.dead_letter_topic, dead_letter(leased, reason))
        del self._queues[leased.subscription][leased.row]

    def take_back_leases(self) -> None:
        """For the only consumer, at its start: what its killed predecessor held is due at once."""
        now = self._clock().timestamp()
        with self._lock:
            for queue in self._queues.values():
                for waiting in queue.values():
                    if waiting.attempts:
                        waiting.due_at = min(waiting.due_at, now)

    def next_due(self, subscriptions: Sequence[str]) -> float | None:
        """When the next message of these is due, in seconds since the epoch; None when nothing waits."""
        with self._lock:
            turns = [self._in_turn(name, self._topology.subscriptions[name]) for name in subscriptions]
            return min((waiting.due_at for turn in turns for waiting in turn), default=None)

    def depth(self) -> Mapping[str, tuple[int, datetime]]:
        """Waiting messages by subscription: how many, and when the oldest was published."""
        with self._lock:
            return {
                name: (len(queue), datetime.fromisoformat(min(waiting.published_at for waiting in queue.values())))
                for name, queue in self._queues.items() if queue
            }


def _leased(subscription: str, waiting: _Waiting) -> Leased:
    return Leased(
        waiting.row, subscription, waiting.message_id, waiting.message, waiting.published_at, waiting.attempts
    )
