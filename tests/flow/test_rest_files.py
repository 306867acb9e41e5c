"""Outputs and variants of an analysis through the API, for people without a cloud role."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.domain.analysis import HEAD_OF_OUTPUTS, Output
from shared.domain.part import HEAD_OF_HISTORY, Change
from shared.domain.pipeline import OutputKind
from tests.builders import at
from tests.flow.planted import an_old_one, plant
from tests.flow.stack import Stack

VCF = """##fileformat=VCFv4.3
##contig=<ID=chr1,length=1000>
##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations. Format: Allele|Consequence|IMPACT|SYMBOL">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1
chr1\t10\t.\tA\tC\t30\tPASS\tCSQ=C|intron_variant|MODIFIER|G1\tGT\t0/1
chr1\t20\t.\tG\tT\t50\tPASS\tCSQ=T|stop_gained|HIGH|G2\tGT\t0/1
chr1\t30\t.\tG\tGA\t40\tPASS\tCSQ=A|intron_variant|MODIFIER|G2\tGT\t1/1
"""


@pytest.fixture(scope="module")
def done(stack: Stack) -> dict[str, Any]:
    made = stack.submit("Files")
    stack.until_status(made["id"], "succeeded")
    stack.ports.objects.write("demo", "analyses/files/numbers.txt", b"0123456789")
    return dict(stack.document(made["id"]))


def test_outputs_are_listed_in_pages(stack: Stack) -> None:
    outputs = tuple(
        Output(path=f"analyses/paged/{n:03}.txt", kind=OutputKind.OTHER, size=n, crc32c="", generation=1)
        for n in range(5)
    )
    paged = plant(stack, an_old_one("demo", "Paged", outputs=outputs, outputs_total=5))
    found: list[str] = []
    cursor: str | None = None
    for size in (2, 2, 1):
        parameters: dict[str, Any] = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = stack.client.get(f"/analyses/{paged.id}/outputs", params=parameters).json()
        assert (len(page["items"]), page["total"]) == (size, 5)
        found += [output["path"] for output in page["items"]]
        cursor = page["next"]
    assert cursor is None
    assert found == [output.path for output in outputs]


@pytest.mark.parametrize(("asked", "status", "content", "content_range"), [
    (None, 200, b"0123456789", None),
    ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
    ("bytes=8-", 206, b"89", "bytes 8-9/10"),
    ("bytes=-3", 206, b"789", "bytes 7-9/10"),
    ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
    ("bytes=0-1,4-5", 200, b"0123456789", None),
    ("bytes=4-2", 200, b"0123456789", None),
    ("lines=1-2", 200, b"0123456789", None),
])
def test_a_file_is_sent_whole_or_by_range(
    stack: Stack, done: dict[str, Any], asked: str | None, status: int, content: bytes, content_range: str | None
) -> None:
    headers = {"Range": asked} if asked else {}
    answer = stack.client.get(f"/analyses/{done['id']}/outputs/analyses/files/numbers.txt", headers=headers)
    assert (answer.status_code, answer.content) == (status, content)
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers.get("content-range") == content_range
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = stack.client.head(f"/analyses/{done['id']}/outputs/numbers.txt", headers=headers)
    assert (head.status_code, head.headers["content-length"], head.content) == (status, str(len(content)), b"")


def test_a_range_behind_the_end_is_416(stack: Stack, done: dict[str, Any]) -> None:
    answer = stack.client.get(f"/analyses/{done['id']}/outputs/numbers.txt", headers={"Range": "bytes=10-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")


def test_a_range_of_a_file_that_was_changed_sends_the_new_one_whole(stack: Stack, done: dict[str, Any]) -> None:
    headers = {"Range": "bytes=0-3", "If-Range": '"1"'}
    answer = stack.client.get(f"/analyses/{done['id']}/outputs/numbers.txt", headers=headers)
    assert (answer.status_code, answer.content) == (200, b"0123456789")


@pytest.mark.parametrize("path", [
    "none.txt", "%2e%2e/other/log.txt", "..%2f..%2fsamples/x", "%2Fetc/passwd", "analyses/other/log.txt",
    "a%00b", "a%5Cb",
])
def test_nothing_outside_the_folder_is_sent(stack: Stack, done: dict[str, Any], path: str) -> None:
    stack.ports.objects.write("demo", "analyses/other/log.txt", b"another analysis'")
    answer = stack.client.get(f"/analyses/{done['id']}/outputs/{path}")
    assert answer.status_code == 404, answer.text


def test_the_variants_of_an_analysis_are_asked_for_by_filter(stack: Stack) -> None:
    """C65, C66: an answer has the cache's version as its ETag, and a parameter at fault is named."""
    stack.ports.objects.write("demo", "samples/s1/uploads/s1.vcf", VCF.encode())
    made = stack.client.post("/analyses", json={
        "display_id": "Variants", "pipeline": "vcf-normalize", "inputs": {"vcf": "samples/s1/uploads/s1.vcf"},
    }).json()
    address = f"/analyses/{made['id']}/variants"
    early = stack.client.get(address)
    assert (early.status_code, early.json()["code"]) == (409, "not-ingested")
    stack.until(lambda: stack.document(made["id"])["ingest"]["status"] == "ready")
    answer = stack.client.get(address, params={"impact": "HIGH", "sort": "-qual", "facets": "true"})
    found = answer.json()
    (row,) = found["rows"]
    assert (row["pos"], row["samples"]["sample"]["gt"], found["total"], found["of"]) == (20, "0/1", 1, 3)
    assert found["facets"]["type"] == {"snv": 1}
    assert sum(found["facets"]["impact"].values()) >= 1
    assert found["removed"]["impact"] == {"alone": 2, "more_without": 2}
    etag = {"If-None-Match": answer.headers["ETag"]}
    assert stack.client.get(address, params={"impact": "HIGH"}, headers=etag).status_code == 304
    assert stack.client.get(address, headers={"If-None-Match": '"another"'}).status_code == 200
    counted = stack.client.get(f"{address}/facets").json()
    assert counted["facets"]["type"] == {"snv": 2, "insertion": 1}
    one = stack.client.get(f"{address}/{row['key']}").json()
    assert one["row"] == {k: v for k, v in row.items() if k not in ("inheritance", "parent_without_call")}
    assert one["sources"][0]["fields"]["pos"] == 20
    assert stack.client.get(f"{address}/1-1-A-T").status_code == 404
    for parameters, field in (({"impact": "HIHG"}, "impact"), ({"gne": "BRCA1"}, "gne"), ({"sort": "qul"}, "sort"),
                              ({"region": "chr1:20-10"}, "region"), ({"cursor": "x.y"}, "cursor"),
                              ({"limit": "0"}, "limit"), ({"panel": "none"}, "panel"), ({"saved": "none"}, "saved")):
        refused = stack.client.get(address, params=parameters)
        assert (refused.status_code, refused.json()["reasons"][0]["field"]) == (400, field)


def test_an_ingest_is_done_again_when_forced(stack: Stack) -> None:
    made = stack.submit("No VCF")
    assert stack.client.post(f"/analyses/{made['id']}/ingest").status_code in (409, 202)
    stack.until_status(made["id"], "succeeded")
    stack.ports.objects.upload("demo", "samples/s2/uploads/s2.vcf", _written(stack.state_dir / "s2.vcf"))
    body = {"display_id": "Twice", "pipeline": "vcf-normalize", "inputs": {"vcf": "samples/s2/uploads/s2.vcf"}}
    again = stack.client.post("/analyses", json=body).json()
    first = stack.until(lambda: (i := stack.document(again["id"])["ingest"]) and i["status"] == "ready" and i)
    assert stack.client.post(f"/analyses/{again['id']}/ingest", params={"force": True}).status_code == 202
    stack.until(lambda: (i := stack.document(again["id"])["ingest"]) and i["status"] == "ready" and
                i["started_at"] > first["started_at"])


def _written(file: Path) -> Path:
    file.write_text(VCF)
    return file


def test_the_history_comes_in_pages_and_a_document_with_long_lists_stays_small_c88(stack: Stack) -> None:
    history = tuple(
        Change(at=at(n), from_="queued", to="queued", by="batch", source=f"message {n}", reason="x" * 200)
        for n in range(HEAD_OF_HISTORY)
    )
    outputs = tuple(
        Output(path=f"analyses/long/{n:06}.txt", kind=OutputKind.OTHER, size=n, crc32c="", generation=1)
        for n in range(HEAD_OF_OUTPUTS)
    )
    long = plant(stack, an_old_one(
        "demo", "Long", history=history, history_total=2_000, outputs=outputs, outputs_total=20_000,
        outputs_path="cache/outputs/long.json",
    ))
    whole = [{**outputs[0].model_dump(mode="json"), "path": f"analyses/long/{n:06}.txt"} for n in range(20_000)]
    stack.ports.objects.write("demo", "cache/outputs/long.json", json.dumps(whole).encode())

    assert len(stack.client.get(f"/analyses/{long.id}").content) < 200_000
    first = stack.client.get(f"/analyses/{long.id}/history", params={"limit": 150}).json()
    last = stack.client.get(f"/analyses/{long.id}/history", params={"limit": 150, "cursor": first["next"]}).json()
    assert [change["source"] for change in (*first["items"], *last["items"])] == [f"message {n}" for n in range(200)]
    assert (first["total"], len(last["items"]), last["next"]) == (2_000, 50, None)
    page = stack.client.get(f"/analyses/{long.id}/outputs", params={"limit": 1000}).json()
    assert (page["total"], page["items"][999]["path"]) == (20_000, "analyses/long/000999.txt")
    tail = stack.client.get(f"/analyses/{long.id}/outputs", params={"limit": 1000, "cursor": page["next"]}).json()
    assert [each["path"] for each in (tail["items"][0], tail["items"][-1])] == [
        "analyses/long/001000.txt", "analyses/long/001999.txt",
    ]


def test_metrics_are_those_of_the_document_and_have_its_etag(stack: Stack, done: dict[str, Any]) -> None:
    document, metrics = (stack.client.get(f"/analyses/{done['id']}{part}") for part in ("", "/metrics"))
    assert metrics.json() == document.json()["metrics"]
    etag = metrics.headers["etag"]
    assert etag == document.headers["etag"]
    for part in ("", "/metrics"):
        same = stack.client.get(f"/analyses/{done['id']}{part}", headers={"If-None-Match": f'"x", W/{etag}'})
        assert (same.status_code, same.content) == (304, b"")
