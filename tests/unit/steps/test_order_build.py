"""An order's cache, built and built again: killed at any call, it shows the old or the new one, whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from services.vcf_ingest.build_order import build_order
from services.vcf_ingest.cache import look_at
from shared.domain.analysis import Analysis, IngestedFile
from shared.domain.cache import CACHE_VERSION, Built, Member, cache_path
from shared.domain.order import parse_order
from shared.domain.seen import keys_path
from shared.ports import Create, Ports, Update
from shared.steps.announce import announce
from shared.steps.orders import accept_order, load_order
from shared.steps.seen import KeyFiles
from shared.variants.order_schema import ORDER_VERSION
from tests.builders import PROJECT, ingested
from tests.contract.clock import FakeClock

WHO = "ada@lab.example"


class Killed(BaseException):
    """As SIGKILL: nobody handles it."""


class Mortal:
    """A port whose calls are counted with those of the others, and which dies after one of them."""

    def __init__(self, port: Any, calls: Calls) -> None:
        self._port, self._calls = port, calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            self._calls.made += 1
            if self._calls.made == self._calls.die_after:
                raise Killed
            return result

        return call


@dataclass
class Calls:
    die_after: int = 0
    made: int = 0


@dataclass
class Laboratory:
    ports: Ports
    clock: FakeClock
    begun: list[str] = field(default_factory=list)

    def ingest(self, name: str, sample: str, rows: int) -> Analysis:
        """With its table and key file; again, where it is there already."""
        made = ingested(name, sample, table=f"cache/variants/v1/{name}-{rows}.parquet")
        file: IngestedFile = made.ingest.files[0].model_copy(update={"rows": rows})
        made = made.changed(ingest=made.ingest.model_copy(update={"files": (file,), "rows": rows}))
        self.ports.objects.write(made.bucket, str(file.table), json.dumps({"rows": rows}).encode())
        self.ports.objects.write(made.bucket, keys_path(str(file.table), 0), b"[]")
        there = self.ports.documents.get(made.doc_path)
        write = Update(made.doc_path, made.to_document(), there.version) if there else None
        self.ports.documents.commit([write or Create(made.doc_path, made.to_document())])
        return made

    def order(self, *samples: str) -> str:
        request = parse_order({
            "request_id": "o", "project": "lab", "display_id": "O", "requested_by": WHO,
            "samples": [{"name": name} for name in samples],
        })
        return accept_order(self.ports, request, source="test").order.doc_path

    def build(self, path: str, ports: Ports | None = None) -> None:
        """As the function and the process that it launches would."""
        look_at(ports or self.ports, path)
        while self.begun:
            build_order(ports or self.ports, "lab", path.rpartition("/")[2], self.begun.pop(), join, KEYS)

    def shown(self, path: str) -> Built | None:
        """What a reader finds, all of it."""
        built = load_order(self.ports.documents, path).order.cache.built
        if built is not None:
            table = json.loads(self.ports.objects.read("lab-bucket", built.table))
            assert table["rows"] == built.rows
            assert self.ports.objects.stat("lab-bucket", built.index) is not None
            assert json.loads(self.ports.objects.read("lab-bucket", built.manifest))["rows"] == built.rows
        return built


def join(
    members: Sequence[tuple[Member, Path]], out: Path, seen: Path | None, keep: Callable[[str], None]
) -> Mapping[str, Any]:
    keep("Joining.")
    rows = sum(json.loads(table.read_text())["rows"] for _, table in members)
    out.write_text(json.dumps({"rows": rows}))
    out.with_suffix(".index").write_text("index")
    return {"rows": rows}


def _nothing(*args: Any) -> None:
    args[-1].write_text("[]")


KEYS = KeyFiles(_nothing, _nothing, _nothing, _nothing)


@pytest.fixture
def laboratory(ports: Ports, clock: FakeClock) -> Laboratory:
    made = Laboratory(ports, clock)
    numbers = iter(range(1_000))

    def launch(order: Any, holder: str) -> float:
        made.begun.append(holder)
        return 0

    made.ports = replace(ports, launch=launch, new_id=lambda: f"holder-{next(numbers)}")
    made.ports.documents.commit([Create("projects/lab", PROJECT.to_document())])
    return made


def test_a_rebuild_that_is_killed_at_any_call_shows_the_old_cache_until_the_new_one_is_there(
    laboratory: Laboratory,
) -> None:
    """C48 at every call and not only at 10, 50 and 99 %; C65: the version is another one."""
    laboratory.ingest("a", "S1", 3)
    path = laboratory.order("S1")
    laboratory.build(path)
    rows = 3
    calls = 1
    while True:
        old = laboratory.shown(path)
        assert old is not None and old.rows == rows
        rows += 1
        laboratory.ingest("a", "S1", rows)
        mortal = Calls(die_after=calls)
        dying = replace(laboratory.ports, **{
            name: Mortal(getattr(laboratory.ports, name), mortal) for name in ("documents", "objects", "bus")
        })
        try:
            laboratory.build(path, dying)
        except Killed:
            assert laboratory.shown(path) in (old, _newer(laboratory, path, rows))
        else:
            break
        laboratory.begun.clear()
        laboratory.clock.pass_s(1_000)  # the lease has run out
        laboratory.build(path)
        announce(laboratory.ports.documents, laboratory.ports.bus, load_order(laboratory.ports.documents, path).stored)
        new = laboratory.shown(path)
        assert new is not None and new.rows == rows and new.version != old.version
        calls += 1
    assert calls > 18


def _newer(laboratory: Laboratory, path: str, rows: int) -> Built | None:
    """What is shown, if it is the whole new one."""
    shown = laboratory.shown(path)
    return shown if shown is not None and shown.rows == rows else None


def test_what_is_ingested_while_an_order_is_built_is_in_it_when_the_builder_ends(laboratory: Laboratory) -> None:
    """A trigger that comes while the lease is held leaves a mark, and the same builder goes on."""
    laboratory.ingest("a", "S1", 3)
    path = laboratory.order("S1", "S2")
    late: list[str] = []

    def slow(*args: Any) -> Mapping[str, Any]:
        if not late:
            late.append(laboratory.ingest("b", "S2", 4).id)
            look_at(laboratory.ports, path)
        return join(*args)

    look_at(laboratory.ports, path)
    (holder,) = laboratory.begun
    build_order(laboratory.ports, "lab", path.rpartition("/")[2], holder, slow, KEYS)
    built = laboratory.shown(path)
    assert built is not None and (built.rows, built.samples, built.missing) == (7, ("S1", "S2"), ())
    assert laboratory.begun == [holder]
    assert load_order(laboratory.ports.documents, path).order.cache.wanted_at is None


def test_who_lost_the_lease_shows_nothing(laboratory: Laboratory) -> None:
    """C54."""
    laboratory.ingest("a", "S1", 3)
    path = laboratory.order("S1")
    look_at(laboratory.ports, path)
    laboratory.clock.pass_s(1_000)
    look_at(laboratory.ports, path)
    first, second = laboratory.begun
    build_order(laboratory.ports, "lab", path.rpartition("/")[2], first, join, KEYS)
    assert laboratory.shown(path) is None
    build_order(laboratory.ports, "lab", path.rpartition("/")[2], second, join, KEYS)
    assert laboratory.shown(path) is not None


def test_an_order_that_was_built_before_is_found_and_not_joined_again(laboratory: Laboratory) -> None:
    laboratory.ingest("a", "S1", 3)
    path = laboratory.order("S1")
    laboratory.build(path)
    built = laboratory.shown(path)
    assert built is not None and built.table == f"{cache_path(built.version)}.parquet"
    look_at(laboratory.ports, path, anew=True)

    def never(*args: Any) -> Mapping[str, Any]:
        raise AssertionError("joined again")

    build_order(laboratory.ports, "lab", path.rpartition("/")[2], laboratory.begun.pop(), never, KEYS)
    again = laboratory.shown(path)
    assert again is not None and again.version == built.version


def test_another_form_of_the_order_table_gives_every_cache_another_name() -> None:
    assert CACHE_VERSION == ORDER_VERSION


def test_a_fault_of_ours_in_the_join_is_the_reason_that_the_order_ends_with(laboratory: Laboratory) -> None:
    """Tried as often as a build that dies, since it may be the machine's; and an operator reads what it was."""

    def broken(*args: Any) -> Mapping[str, Any]:
        raise KeyError("s7_gt")

    laboratory.ingest("a", "S1", 3)
    path = laboratory.order("S1")
    for _ in range(laboratory.ports.rules.policy.ingest_attempts):
        look_at(laboratory.ports, path)
        with pytest.raises(KeyError):
            build_order(laboratory.ports, "lab", path.rpartition("/")[2], laboratory.begun.pop(), broken, KEYS)
        laboratory.clock.pass_s(1_000)  # the lease has run out
    look_at(laboratory.ports, path)
    cache = load_order(laboratory.ports.documents, path).order.cache
    assert cache.status == "failed" and cache.failure is not None
    assert "it died" in cache.failure and "KeyError: 's7_gt'" in cache.failure
