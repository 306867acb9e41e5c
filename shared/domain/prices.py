"""What a run costs, as an estimate: billed seconds times a price table's hourly price.

Billing begins with the VM, from SCHEDULED (../shared/PLATFORM.md), so the time that counts is longer than the
run seconds. Only VMs are priced: no disk, network or storage. Where a price is not known, the answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from statistics import fmean
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]

NOTHING_BILLED = "the job never got a VM"
DECIMALS = 6
"""Of an amount; a short run on a spot VM costs well under a cent."""


class MachinePrice(BaseModel):
    """Prices of one machine type in one region, in the table's currency per VM and hour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on_demand_per_hour: Price = Field(description="The same in each zone of the region.")
    spot_per_hour: dict[str, Price] = Field(
        default_factory=dict, description="Zone -> price. A zone that is absent has no known spot price."
    )


class PriceTable(BaseModel):
    """Regions -> machine types -> prices, as of one day."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=63, description="What `price_table` of a pipeline says.")
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code.")
    as_of: date = Field(description="The day on which these prices held.")
    note: str = Field(default="", description="Where they come from, for people.")
    regions: dict[str, dict[str, MachinePrice]] = Field(description="Region -> machine type -> prices.")

    @model_validator(mode="after")
    def _zones_lie_in_their_region(self) -> PriceTable:
        for region, machines in self.regions.items():
            for machine_type, machine in machines.items():
                if stray := [z for z in machine.spot_per_hour if not z.startswith(f"{region}-")]:
                    raise ValueError(f"regions.{region}.{machine_type}: {stray[0]} is no zone of {region}")
        return self


@dataclass(frozen=True, slots=True)
class Vm:
    """The machine that a job was given. `zone` is None when it is not known (us-central1-a when it is)."""

    region: str
    machine_type: str
    spot: bool
    zone: str | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """`amount` in units of `currency`, None when nothing at all can be said.

    `complete` is False when a price or an end was missing; `reason` then says which, in a sentence.
    """

    amount: float | None
    currency: str
    billed_seconds: float
    complete: bool
    reason: str | None = None
    basis: Literal["estimate", "billed"] = "estimate"


def estimate(
    table: PriceTable, vm: Vm, *, scheduled_at: datetime | None, ended_at: datetime | None, now: datetime
) -> Cost:
    """The cost of a job from SCHEDULED to its end, or so far (`complete` False) while it has not ended.

    `scheduled_at` None: it was never SCHEDULED, so nothing is billed. With several VMs each is billed for the
    whole time, which is the most that they can cost.
    """
    if scheduled_at is None:
        return Cost(0.0, table.currency, 0.0, complete=ended_at is not None, reason=NOTHING_BILLED)
    seconds = max(0.0, ((ended_at or now) - scheduled_at).total_seconds()) * vm.count
    price, doubt = _price_per_hour(table, vm)
    doubts = [doubt] if doubt else []
    if ended_at is None:
        doubts.append("the job has not ended yet")
    return Cost(
        amount=None if price is None else round(price * seconds / 3600, DECIMALS),
        currency=table.currency,
        billed_seconds=seconds,
        complete=not doubts,
        reason="; ".join(doubts) or None,
    )


def _price_per_hour(table: PriceTable, vm: Vm) -> tuple[float | None, str]:
    """The price, and a sentence when it is not the exact one."""
    machine = table.regions.get(vm.region, {}).get(vm.machine_type)
    if machine is None:
        return None, f"price table {table.name} has no {vm.machine_type} in {vm.region}"
    if not vm.spot:
        return machine.on_demand_per_hour, ""
    if vm.zone in machine.spot_per_hour:
        return machine.spot_per_hour[vm.zone], ""
    return _unknown_zone(machine.spot_per_hour, table, vm)


def _unknown_zone(spot: Mapping[str, float], table: PriceTable, vm: Vm) -> tuple[float | None, str]:
    """The mean over the region's zones, said openly: one zone's price would look exact."""
    where = f"zone {vm.zone} is not in price table {table.name}" if vm.zone else "the VM's zone is not known"
    if not spot:
        return None, f"{where}, and no zone of {vm.region} has a spot price for {vm.machine_type} there"
    return fmean(spot.values()), f"{where}; taken was the mean spot price of {', '.join(sorted(spot))}"
