"""C82: an analysis of more VCFs than its document holds is browsed, and ordered of, whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shared.domain.analysis import HEAD_OF_INGESTED_FILES
from tests.flow.pulled import Emulators
from tests.flow.stacks import Lab, ingesting_here, lab_over, shell_pipeline
from tests.flow.test_orders import create, ingest, table, until_cache, vcf
from tests.flow.test_real_files import COPY

VCFS = HEAD_OF_INGESTED_FILES + 10
COPIES = shell_pipeline(
    "copies", 'cp "$IFLOW_BUCKET_DIR"/samples/many/uploads/* "$OUT"', [{"glob": "*", "kind": "vcf", "required": True}]
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators | None) -> Iterator[Lab]:
    """With the analysis: VCF n has the column Vn, a site of all and a site of its own."""
    with lab_over(tmp_path_factory.mktemp("many"), emulators=emulators) as up, ingesting_here():
        for pipeline in (COPIES, COPY):
            up.register(pipeline)
        for n in range(VCFS):
            rows = [(5, "A", ["0/1"]), (100 + n, "T", ["0/1"])]
            up.put(f"samples/many/uploads/{n:03}.vcf", vcf([f"V{n}"], rows))
        analysis = up.order("many", pipeline="copies", inputs={})
        up.until_ends(analysis, "succeeded", within_s=60)
        up.until_ingested(analysis, within_s=120)
        yield up


def listed(lab: Lab, of: str) -> Mapping[str, Any]:
    answer = lab.client.get(f"{of}/variants", params={"limit": 200})
    assert answer.status_code == 200, answer.text
    found: Mapping[str, Any] = answer.json()
    return found


def test_the_document_has_the_head_and_the_listing_all(lab: Lab) -> None:
    ingest = lab.client.get("/analyses/many").json()["ingest"]
    assert (ingest["status"], len(ingest["files"]), ingest["files_total"]) == ("ready", HEAD_OF_INGESTED_FILES, VCFS)
    assert ingest["rows"] == 2 * VCFS
    found = listed(lab, "/analyses/many")
    assert found["total"] == VCFS + 1, "the site of all, and each one's own"
    assert {row["pos"] for row in found["rows"]} == {5, *range(100, 100 + VCFS)}
    assert [sample["name"] for sample in found["samples"]] == [f"V{n}" for n in range(VCFS)]


def test_an_order_is_of_all_of_them(lab: Lab) -> None:
    order = create(lab, "All", analyses=["many"])
    assert order["cache"]["status"] == "ready" and len(order["samples"]) == VCFS
    assert listed(lab, f"/orders/{order['id']}")["total"] == VCFS + 1


def test_an_order_of_the_first_and_the_last_is_joined_of_both(lab: Lab) -> None:
    order = create(lab, "Ends", analyses=["many"], samples=[{"name": "V0"}, {"name": f"V{VCFS - 1}"}])
    built = until_cache(lab, order["id"], "ready", "failed")["cache"]
    assert (built["status"], built["missing"]) == ("ready", [])
    assert {row["pos"] for row in listed(lab, f"/orders/{order['id']}")["rows"]} == {5, 100, 100 + VCFS - 1}


def test_what_the_last_one_carries_is_counted_for_another_analysis(lab: Lab) -> None:
    """C74."""
    lab.until_idle()
    ingest(lab, "another", vcf(["X1"], [(100 + VCFS - 1, "T", ["0/1"]), (1000, "C", ["0/1"])]))
    order = create(lab, "Another", analyses=["another"])
    assert {row["pos"]: row["seen"] for row in table(lab, order["cache"]["built"])} == {100 + VCFS - 1: 1, 1000: 0}
