"""Caches that nothing shows any more are deleted after a day; whose turn a project is."""

from __future__ import annotations

import pytest

from services.reconciler.handler import DAY, HOUR, _whose_minute_it_is, reconcile
from services.vcf_ingest.joining import _taken_up
from shared.delivery import Delivery
from shared.domain.order import Order
from shared.domain.request import Sample
from shared.ports import Create, Ports, Update
from shared.steps.register import register_project
from shared.steps.unused import NOTED, _caches, _delete, delete_unused
from tests.builders import PROJECT, a_built, an_order, ingested
from tests.contract.clock import FakeClock

HOURS = 3600
TICK = Delivery("tick", b"{}", {}, "", "")
BUCKET = PROJECT.bucket


@pytest.fixture
def order(ports: Ports) -> Order:
    """It shows cache `a`, its analysis alone `own`; `b` is there too."""
    register_project(ports, PROJECT)
    analysis, made = ingested("a", "S1"), an_order(Sample(name="S1"))
    analysis = analysis.changed(ingest=analysis.ingest.model_copy(update={"cache": a_built("own")}))
    ports.documents.commit([Create(each.doc_path, each.to_document()) for each in (analysis, made)])
    for name in ("a", "b", "own"):
        put(ports, name)
    return show(ports, made, "a")


def put(ports: Ports, name: str) -> None:
    for ending in ("parquet", "index", "json"):
        ports.objects.write(BUCKET, f"cache/orders/v1/{name}.{ending}", name.encode())


def show(ports: Ports, order: Order, name: str) -> Order:
    there = ports.documents.get(order.doc_path)
    assert there is not None
    changed = order.changed(cache=order.cache.model_copy(update={"built": a_built(name)}))
    ports.documents.commit([Update(order.doc_path, changed.to_document(), there.version)])
    return changed


def there(ports: Ports) -> set[str]:
    """Caches of which all is there; none is there in part."""
    files = _caches(ports, BUCKET)
    assert {len(each) for each in files.values()} <= {3}
    return {name.rpartition("/")[2] for name in files}


def test_what_nothing_shows_is_deleted_once_that_is_a_day_old(ports: Ports, clock: FakeClock, order: Order) -> None:
    """However old it is itself: a page may have been opened a minute before it was replaced."""
    clock.pass_s(240 * HOURS)
    assert delete_unused(ports, PROJECT.id) == 0
    clock.pass_s(20 * HOURS)
    show(ports, order, "b")  # taken up again: its day begins anew when it is left, as that of `a` does now
    assert delete_unused(ports, PROJECT.id) == 0
    show(ports, order, "a")
    clock.pass_s(20 * HOURS)
    assert delete_unused(ports, PROJECT.id) == 0
    clock.pass_s(23 * HOURS)
    assert (delete_unused(ports, PROJECT.id), there(ports)) == (0, {"a", "b", "own"})
    clock.pass_s(HOURS)
    assert (delete_unused(ports, PROJECT.id), there(ports)) == (1, {"a", "own"})
    assert ports.objects.read(BUCKET, NOTED) == b"{}"
    noted = ports.objects.stat(BUCKET, NOTED)
    assert (delete_unused(ports, PROJECT.id), ports.objects.stat(BUCKET, NOTED)) == (0, noted)


def test_what_is_taken_up_while_it_is_being_deleted_stays_or_is_joined_anew(ports: Ports, order: Order) -> None:
    """Either is first."""
    del order
    manifest = "cache/orders/v1/b.json"
    seen = _caches(ports, BUCKET)["cache/orders/v1/b"]
    assert _taken_up(ports, BUCKET, manifest)
    assert not _delete(ports, BUCKET, seen)
    assert there(ports) == {"a", "b", "own"}
    assert _delete(ports, BUCKET, _caches(ports, BUCKET)["cache/orders/v1/b"])
    assert not _taken_up(ports, BUCKET, manifest)
    assert there(ports) == {"a", "own"}


def test_each_project_has_its_minute_of_the_hour_and_of_the_day(ports: Ports, clock: FakeClock, order: Order) -> None:
    """In which the reconciler deletes what is unused."""
    del order
    hourly, daily = 0, []
    for minute in range(DAY):
        hourly += len(_whose_minute_it_is(ports, HOUR))
        daily += [minute] * len(_whose_minute_it_is(ports, DAY))
        clock.pass_s(60)
    assert (hourly, len(daily)) == (24, 1)
    clock.pass_s(60 * daily[0])
    for left in ({"a", "b", "own"}, {"a", "own"}):
        reconcile(TICK, ports)
        assert there(ports) == left
        clock.pass_s(24 * HOURS)
