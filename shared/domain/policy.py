"""The durations and bounds that decisions depend on, in one place; settings may change them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    missing_grace_s: float = 600
    """GetJob was seen to answer NOT_FOUND for minutes after CreateJob (C11); longer than this is a lost job."""

    silent_after_s: float = 60
    """An unfinished analysis without a change for this long is asked about by the reconciler."""

    unsent_after_s: float = 20
    """A committed event that nobody published for this long is published by the reconciler."""

    ingest_lease_s: float = 120
    """How long an ingest may stay silent before another may take it over; renewed at a third of it."""

    ingest_attempts: int = 5
    """Leases taken before an ingest that keeps dying becomes `failed` with that as its reason."""

    stuck_after_s: float = 21_600
    """How long an analysis may wait for a machine, run past what its pipeline allows, or be unconfirmed as cancelled,
    before people are told that it is stuck."""

    loopback_callbacks: bool = False
    """Callbacks and webhooks may go to this very machine, by plain http: on local stacks, for tests and for trying."""

    seen_refresh_s: float = 86_400
    """How old the counts of other analyses in an open order's cache may be; those of a reported one stay."""
