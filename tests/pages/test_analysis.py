"""The pages of one analysis: watched live to the end, its log, files, failure, comparison, and what can be done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from services.miner.pages.analysis_course import course_of
from services.miner.pages.analysis_steps import meaning_of
from shared.domain.analysis import Ingest, IngestStatus, Metrics, Status
from shared.domain.member import Role
from shared.steps.members import put_member
from tests.builders import at
from tests.flow.planted import an_old_one, plant
from tests.flow.stack import ADA, Stack, bearer
from tests.pages.browser import Desk, desk_of

EDITOR, DEMO = "editor@lab.example", "demo@lab.example"
TABS = ("", "/steps", "/logs", "/inputs", "/outputs", "/metrics", "/compare", "/history")
HEADER = """##fileformat=VCFv4.3
##contig=<ID=chr1,length=248956422>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tNA12878
"""
BEFORE = HEADER + "chr1\t100\t.\tA\tC\t30\tPASS\t.\tGT\t0/1\nchr1\t200\t.\tG\tT\t50\tPASS\t.\tGT\t0/1\n"
AFTER = HEADER + "chr1\t100\t.\tA\tC\t30\tPASS\t.\tGT\t1/1\nchr1\t300\t.\tC\tT\t50\tPASS\t.\tGT\t0/1\n"
REPORT = "<h1>Report of NA12878</h1><script>document.title = 'ran'</script>"


def normalize(stack: Stack, display_id: str, vcf: str) -> dict[str, Any]:
    """Asks for a run of vcf-normalize on this VCF."""
    path = f"samples/na12878/{display_id}.vcf"
    stack.ports.objects.write("demo", path, vcf.encode())
    answer = stack.client.post("/analyses", json={
        "display_id": display_id, "pipeline": "vcf-normalize", "inputs": {"vcf": path},
        "samples": [{"name": "NA12878", "role": "proband", "sex": "female"}],
    })
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def until_ingested(stack: Stack, analysis: str) -> None:
    stack.until(lambda: stack.document(analysis)["ingest"]["status"] == "ready", 60)


@pytest.fixture(scope="module")
def done(stack: Stack) -> dict[str, Any]:
    for email, role in ((EDITOR, Role.EDITOR), (DEMO, Role.DEMO_VIEWER)):
        put_member(stack.ports, "demo", email, role, by="test")
    made = normalize(stack, "NA12878-first", BEFORE)
    until_ingested(stack, made["id"])
    return made


@pytest.fixture(scope="module")
def failed(stack: Stack) -> dict[str, Any]:
    made = stack.client.post("/analyses", json={
        "display_id": "Exome 3", "pipeline": "fail-on-request", "inputs": {
            "exit_code": 137, "runtime_seconds": 0,
            "log_lines": ["INFO began", *(f"INFO chunk {n}" for n in range(30)), "ERROR no contig chrUn",
                          "  at line 7"],
        },
    }).json()
    stack.until_status(made["id"], "failed", within_s=60)
    found: dict[str, Any] = made
    return found


@pytest.fixture
def desk(browser: Browser, stack: Stack) -> Iterator[Desk]:
    with desk_of(browser, stack, ADA) as desk:
        yield desk


def test_a_run_is_watched_from_queued_to_ingested_without_a_reload(desk: Desk, stack: Stack) -> None:
    made = normalize(stack, "Watched", BEFORE)
    desk.go(f"/analyses/{made['slug']}")
    desk.page.evaluate("window.wasHere = true")
    expect(desk.page.get_by_role("button", name="Browse variants")).to_be_visible(timeout=60_000)
    assert desk.page.evaluate("window.wasHere")
    expect(desk.page.locator(".course li.done")).to_have_count(7)
    expect(desk.page.locator(".course")).to_contain_text("2 rows from 1 file.")
    assert "running" in (desk.page.locator(".where-time-went").get_attribute("aria-label") or "")


def test_a_log_is_followed_and_read(desk: Desk, stack: Stack, failed: dict[str, Any]) -> None:
    """Before the task has begun it says so; then lines come by themselves; an error is jumped to (C33)."""
    made = stack.client.post("/analyses", json={
        "display_id": "Followed", "pipeline": "fail-on-request",
        "inputs": {"exit_code": 0, "runtime_seconds": 2, "log_lines": ["INFO first of all"]},
    }).json()
    desk.go(f"/analyses/{made['slug']}/logs")
    expect(desk.page.locator("#log")).to_contain_text("will end with exit code 0", timeout=30_000)
    expect(desk.page.locator("#analysis h1")).to_contain_text("succeeded", timeout=30_000)

    desk.go(f"/analyses/{failed['slug']}/logs")
    desk.page.get_by_role("link", name="First error").click()
    expect(desk.page.locator(".row:target")).to_contain_text("ERROR no contig chrUn")
    desk.go(f"/analyses/{failed['slug']}/logs", severity="error")
    assert "chunk" not in desk.text("#log")
    assert "at line 7" in desk.text("#log")
    desk.page.get_by_label("With the text").fill("nowhere to be found")
    desk.page.get_by_role("button", name="Apply").click()
    expect(desk.page.get_by_role("heading", name="No line fits")).to_be_visible()
    with desk.page.expect_download() as found:
        desk.page.get_by_role("link", name="Download").click()
    assert b"INFO chunk 29" in found.value.path().read_bytes()

    refused = plant(stack, an_old_one("demo", "Refused", Status.FAILED))
    desk.go(f"/analyses/{refused.id}/logs")
    expect(desk.page.locator("main")).to_contain_text("no job has begun")


def test_a_failure_is_told_first_with_what_to_do(desk: Desk, failed: dict[str, Any]) -> None:
    desk.go(f"/analyses/{failed['slug']}")
    told = desk.page.locator(".failure")
    expect(told).to_contain_text("137: killed, most often because it used more memory")
    expect(told.locator("pre")).to_contain_text("ERROR no contig chrUn")
    href = told.get_by_role("button", name="Mend the inputs and rerun").get_attribute("href") or ""
    assert href.startswith("/analyses/new?") and f"rerun={failed['id']}" in href
    before_the_strip = "e => e.compareDocumentPosition(document.querySelector('.course')) & 4"
    assert told.evaluate(before_the_strip)
    desk.go(f"/analyses/{failed['slug']}/steps")
    expect(desk.page.locator("tbody tr")).to_have_count(2)
    expect(desk.page.locator("tbody")).to_contain_text("retried")


def test_outputs_are_shown_and_downloaded(desk: Desk, stack: Stack, done: dict[str, Any]) -> None:
    """What a report holds does nothing: no script of it runs, and its type is not guessed."""
    folder = f"analyses/{done['slug']}/"
    for name, content in (("report.html", REPORT), ("table.tsv", "gene\tcount\nBRCA2\t<b>3</b>\n")):
        stack.ports.objects.write("demo", folder + name, content.encode())
    desk.go(f"/analyses/{done['slug']}/outputs", preview=f"{folder}report.txt")
    expect(desk.page.locator("#preview pre")).to_contain_text("record")
    desk.go(f"/analyses/{done['slug']}/outputs", preview=f"{folder}table.tsv")
    expect(desk.page.locator("#preview td").nth(1)).to_have_text("<b>3</b>")
    desk.go(f"/analyses/{done['slug']}/outputs", preview=f"{folder}report.html")
    expect(desk.page.frame_locator("#preview iframe").get_by_role("heading")).to_have_text("Report of NA12878")
    blocked = [said for said in desk.broken if "sandbox" in said]
    assert blocked and desk.page.frames[1].title() != "ran"
    desk.broken[:] = [said for said in desk.broken if said not in blocked]
    headers = httpx.get(f"{stack.api}/analyses/{done['slug']}/files/{folder}report.html",
                        headers={"X-Project-ID": "demo", **bearer(stack.settings)}).headers
    assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")

    desk.go(f"/analyses/{done['slug']}/outputs")
    row = desk.page.locator("tbody tr", has_text="metrics.json")
    with desk.page.expect_download() as one:
        row.get_by_role("link", name="Download").click()
    assert b"records_out" in one.value.path().read_bytes()
    with desk.page.expect_download() as every:
        desk.page.get_by_role("button", name="Download all").click()
    assert every.value.suggested_filename == f"{done['slug']}.tar"
    desk.go(f"/analyses/{done['slug']}/inputs")
    with desk.page.expect_download() as given:
        desk.page.get_by_role("link", name="Download samples/na12878/NA12878-first.vcf").click()
    assert given.value.path().read_text() == BEFORE


def test_two_runs_are_compared_to_the_variant(desk: Desk, stack: Stack, done: dict[str, Any]) -> None:
    later = normalize(stack, "NA12878-second", AFTER)
    until_ingested(stack, later["id"])
    desk.go(f"/analyses/{later['slug']}/compare", **{"with": done["slug"]})
    expect(desk.page.get_by_role("region", name="Inputs", exact=True)).to_contain_text("NA12878-first.vcf")
    for title, text in (("Gained", "chr1:300"), ("Lost", "chr1:200"), ("Changed", "NA12878 0/1 → 1/1")):
        expect(desk.page.get_by_role("region", name=title, exact=True)).to_contain_text(text.removeprefix("chr"))
    desk.go(f"/analyses/{later['slug']}/compare", **{"with": "no-such-run"})
    expect(desk.page.get_by_label("With the earlier run")).to_have_attribute("aria-invalid", "true")


def test_a_cancel_is_confirmed_once(desk: Desk, stack: Stack) -> None:
    """C23: the page says that it is on its way until Batch has confirmed it."""
    made = stack.submit("Too long", runtime_seconds=600)
    stack.until_status(made["id"], "running")
    desk.go(f"/analyses/{made['slug']}")
    desk.page.get_by_role("button", name="Cancel…").click()
    expect(desk.page.locator("main")).to_contain_text("a rerun begins from the beginning")
    desk.page.get_by_role("button", name="Cancel the analysis").click()
    expect(desk.page.get_by_role("status")).to_contain_text("Batch has to confirm it")
    expect(desk.page.locator("h1")).to_contain_text("cancelled", timeout=30_000)
    expect(desk.page.locator(".course li").last).to_contain_text("Cancelled")
    expect(desk.page.get_by_role("button", name="Rerun", exact=True)).to_be_visible()
    assert stack.document(made["id"])["cancel_requested"]["by"] == ADA


def test_variants_are_read_anew(desk: Desk, stack: Stack, done: dict[str, Any]) -> None:
    before = stack.document(done["id"])["ingest"]["started_at"]
    desk.go(f"/analyses/{done['slug']}")
    desk.page.get_by_role("button", name="Re-ingest").click()
    expect(desk.page.get_by_role("status").first).to_contain_text("will be read anew")
    stack.until(lambda: stack.document(done["id"])["ingest"]["started_at"] != before, 30)
    until_ingested(stack, done["id"])
    expect(desk.page.get_by_role("button", name="Re-ingest")).to_be_enabled(timeout=30_000)


def test_each_role_sees_what_it_may_do(browser: Browser, stack: Stack, done: dict[str, Any]) -> None:
    """C73: an editor has the order's button untinted; who only looks on has no way to files, logs and the trail."""
    with desk_of(browser, stack, ADA) as desk:
        desk.go(f"/analyses/{done['slug']}")
        order = desk.page.get_by_role("button", name="Create order")
        assert "super" in (order.get_attribute("class") or "") and order.locator("svg").count() == 1
        desk.go(f"/analyses/{done['slug']}/history")
        expect(desk.page.get_by_role("region", name="Audit trail")).to_contain_text("created")
    with desk_of(browser, stack, EDITOR, scripts=False) as desk:
        desk.go(f"/analyses/{done['slug']}")
        order = desk.page.get_by_role("button", name="Create order")
        assert "super" not in (order.get_attribute("class") or "")
        for tab in TABS:
            desk.go(f"/analyses/{done['slug']}{tab}")
            expect(desk.page.locator("h1")).to_contain_text(done["display_id"])
    with desk_of(browser, stack, DEMO) as desk:
        for tab in ("", "/outputs", "/inputs", "/steps", "/history"):
            desk.go(f"/analyses/{done['slug']}{tab}")
            assert desk.page.locator("main a[download], main a[href*='/logs'], main a[href*='/api/']").count() == 0
            assert "Audit trail" not in desk.text()
        assert desk.page.get_by_role("button", name="Create order").count() == 0
        unable = desk.page.get_by_role("button", name="Rerun")
        unable.focus()
        expect(desk.page.get_by_role("tooltip").first).to_be_visible()


def test_the_strip_tells_where_the_time_went() -> None:
    """Seconds until the next stage, as the document's times and metrics tell them; the bar is as wide as they are."""
    run = an_old_one("demo", "Timed", started_at=at(20), finished_at=at(80), ingest=Ingest(
        status=IngestStatus.READY, started_at=at(81), finished_at=at(100),
    ), metrics=Metrics(queue_seconds=8, prepare_seconds=10, run_seconds=60))
    run = run.changed(job=run.job.model_copy(update={"uid": "u", "created_at": at(2)}))
    whole = course_of(run, at(10**6))
    assert [(step.stage.value, step.state, step.seconds) for step in whole.steps] == [
        ("accepted", "done", 2), ("queued", "done", 8), ("preparing", "done", 10), ("running", "done", 60),
        ("outputs", "done", 1), ("ingesting", "done", 19), ("done", "done", None),
    ]
    assert whole.total_seconds == 100
    assert sum(span.width for span in whole.spans) == pytest.approx(1000, abs=0.1)
    assert [span.share for span in whole.spans] == [2, 8, 10, 60, 1, 19]

    going = run.changed(status=Status.RUNNING, finished_at=None, metrics=Metrics(), ingest=Ingest())
    assert [(step.state, step.seconds) for step in course_of(going, at(50)).steps][:4] == [
        ("done", 2), ("done", 18), ("done", None), ("now", 30),
    ]


@pytest.mark.parametrize(("code", "words"), [
    (0, "success"), (50001, "took the spot VM away"), (50005, "longer than"), (137, "memory"), (139, "SIGSEGV"),
    (42, ""), (None, ""),
])
def test_an_exit_code_has_a_meaning(code: int | None, words: str) -> None:
    assert words in meaning_of(code)
    assert bool(meaning_of(code)) == bool(words)
