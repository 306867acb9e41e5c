"""Cost estimates (CASES C30, C31)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.prices import PriceTable, Vm, estimate

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
END = T0 + timedelta(seconds=900)
TABLE: dict[str, Any] = {
    "name": "t",
    "currency": "USD",
    "as_of": "2026-01-01",
    "regions": {
        "r1": {
            "m": {"on_demand_per_hour": 4.0, "spot_per_hour": {"r1-a": 1.0, "r1-b": 2.0}},
            "no-spot": {"on_demand_per_hour": 4.0},
        }
    },
}
PRICES = PriceTable.model_validate(TABLE)


def test_c30_a_job_that_failed_straight_from_queued_costs_nothing_and_is_complete() -> None:
    cost = estimate(PRICES, Vm("r1", "m", spot=True), scheduled_at=None, ended_at=END, now=END)
    assert (cost.amount, cost.complete, cost.billed_seconds) == (0.0, True, 0.0)


def test_c30_billing_begins_at_scheduled_not_at_running() -> None:
    """SCHEDULED at t0, RUNNING at t0+300 s, ended at t0+900 s: 900 s are billed, though it ran for 600."""
    cost = estimate(PRICES, Vm("r1", "m", spot=False), scheduled_at=T0, ended_at=END, now=END)
    assert (cost.amount, cost.currency, cost.billed_seconds) == (1.0, "USD", 900.0)
    assert (cost.basis, cost.complete, cost.reason) == ("estimate", True, None)


def test_c31_a_known_zone_has_its_own_spot_price() -> None:
    cost = estimate(PRICES, Vm("r1", "m", spot=True, zone="r1-b"), scheduled_at=T0, ended_at=END, now=END)
    assert (cost.amount, cost.complete) == (0.5, True)


@pytest.mark.parametrize("zone", [None, "r1-z"])
def test_c31_an_unknown_zone_is_neither_another_zones_price_nor_on_demand(zone: str | None) -> None:
    cost = estimate(PRICES, Vm("r1", "m", spot=True, zone=zone), scheduled_at=T0, ended_at=END, now=END)
    assert cost.amount not in (None, 0.25, 0.5, 1.0)
    assert (cost.basis, cost.complete) == ("estimate", False)
    assert cost.reason is not None
    assert "zone" in cost.reason
    assert "mean spot price of r1-a, r1-b" in cost.reason


@pytest.mark.parametrize("vm", [Vm("r1", "no-spot", spot=True), Vm("r1", "x", spot=False), Vm("r2", "m", spot=False)])
def test_without_any_price_there_is_no_amount_but_a_reason(vm: Vm) -> None:
    cost = estimate(PRICES, vm, scheduled_at=T0, ended_at=END, now=END)
    assert (cost.amount, cost.complete) == (None, False)
    assert cost.reason


def test_a_job_that_has_not_ended_is_estimated_up_to_now() -> None:
    cost = estimate(PRICES, Vm("r1", "m", spot=False), scheduled_at=T0, ended_at=None, now=END)
    assert (cost.amount, cost.complete, cost.reason) == (1.0, False, "the job has not ended yet")


def test_each_of_several_vms_is_billed() -> None:
    cost = estimate(PRICES, Vm("r1", "m", spot=False, count=3), scheduled_at=T0, ended_at=END, now=END)
    assert (cost.amount, cost.billed_seconds) == (3.0, 2700.0)


def test_clocks_that_disagree_never_give_money_back() -> None:
    cost = estimate(PRICES, Vm("r1", "m", spot=False), scheduled_at=END, ended_at=T0, now=T0)
    assert cost.amount == 0.0


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_prices_are_finite_and_not_negative(price: float) -> None:
    regions = {"r1": {"m": {"on_demand_per_hour": price}}}
    with pytest.raises(ValidationError):
        PriceTable.model_validate(TABLE | {"regions": regions})


def test_a_zone_of_another_region_is_refused() -> None:
    regions = {"r1": {"m": {"on_demand_per_hour": 1.0, "spot_per_hour": {"r2-a": 1.0}}}}
    with pytest.raises(ValidationError, match="r2-a is no zone of r1"):
        PriceTable.model_validate(TABLE | {"regions": regions})
