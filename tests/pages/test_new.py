"""An analysis is asked for, its files are picked, one is run again with a change, several are cancelled; pipelines."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from services.miner.pages.files import CHAIN, ON_A_PAGE
from services.miner.pages.new_analysis import SOURCE
from shared.domain import paths
from shared.domain.member import Role
from shared.steps.members import put_member
from tests.flow.stack import ADA, Stack
from tests.pages.browser import NARROW, Desk, desk_of

VCF = b"##fileformat=VCFv4.2\n##contig=<ID=chr1>\n" + (
    b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nchr1\t20\t.\tG\tT\t.\t.\t.\n"
)
DEFINITION: dict[str, Any] = {
    "slug": "every-shape", "version": "1.0.0", "title": "Every shape", "description": "Takes all that a form can hold.",
    "inputs": {
        "type": "object", "required": ["count", "reads"], "additionalProperties": False, "properties": {
            "mode": {"title": "Way", "enum": ["fast", "careful"], "default": "fast"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "ratio": {"type": "number"},
            "strict": {"type": "boolean", "default": True},
            "name": {"type": "string", "maxLength": 20},
            "reads": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "bucket-path"}},
            "genes": {"type": "array", "items": {"type": "string", "pattern": "^[A-Z0-9]+$"}},
            "window": {"type": "object", "additionalProperties": False, "properties": {
                "from": {"type": "integer"}, "to": {"type": "integer"},
            }},
            "weights": {"type": "object", "additionalProperties": {"type": "number"}},
        },
    },
    "runnables": [{"image": "iflow/pipelines:1.0.0", "command": ["python", "-c", "pass"]}],
    "resources": {"machine_type": "e2-small", "cpu_milli": 500, "memory_mib": 512, "boot_disk_mib": 30720,
                  "spot": False},
    "max_run_seconds": 60, "outputs": [{"glob": "x.txt", "kind": "other", "required": False}],
    "price_table": "list-prices-example",
}


@pytest.fixture(scope="module", autouse=True)
def furnished(stack: Stack) -> None:
    for path in ("samples/trio/uploads/trio.vcf.gz", "samples/trio/uploads/more.vcf", "samples/one/uploads/a.bam"):
        stack.ports.objects.write("demo", path, VCF)
    assert stack.client.post("/pipelines", json=DEFINITION).status_code == 201
    for role in (Role.DEMO_VIEWER, Role.EDITOR):
        put_member(stack.ports, "demo", f"{role}@lab.example", role, by="test")


def found_by(stack: Stack, slug: str) -> dict[str, Any]:
    claim = stack.ports.documents.get(paths.claim_doc("demo", "analysis", slug))
    assert claim is not None, slug
    return dict(stack.document(claim.data["analysis_id"]))


def run(page: Page, name: str = "Run") -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def arrive(desk: Desk, slug: str) -> None:
    """At the page of the analysis that was made."""
    desk.page.wait_for_url(re.compile(rf"/analyses/{slug}\?"))
    expect(desk.page.get_by_role("heading", level=1)).to_be_visible()


def test_an_analysis_is_asked_for_with_a_file_from_the_picker(browser: Browser, stack: Stack) -> None:
    with desk_of(browser, stack, "editor@lab.example") as desk:
        page = desk.page
        desk.go("/analyses")
        page.get_by_role("button", name="Run workflow").click()
        page.get_by_role("link", name="VCF normalisation").click()
        page.get_by_label("Display id").fill("Picked 1/A")
        page.get_by_role("button", name="Browse files for Vcf").click()
        picker = page.get_by_role("dialog", name="Choose a file")
        picker.get_by_role("link", name="trio/").click()
        expect(picker.get_by_role("row", name=re.compile("trio.vcf.gz"))).to_contain_text("99 B")
        assert desk.violations() == []
        picker.get_by_label("Path begins with").fill("samples/trio/uploads/t")
        picker.get_by_label("Path begins with").press("Enter")
        expect(picker.get_by_text("more.vcf")).to_have_count(0)
        picker.get_by_role("button", name="Take samples/trio/uploads/trio.vcf.gz").click()
        expect(page.get_by_role("textbox", name="Vcf")).to_have_value("samples/trio/uploads/trio.vcf.gz")
        page.get_by_label("Name of sample 1").fill("HG002")
        page.get_by_label("Role of sample 1").select_option("proband")
        page.get_by_role("button", name="Add a sample").click()
        page.get_by_label("Name of sample 2").fill("HG003")
        page.get_by_role("button", name="Add a sample").click()
        page.get_by_role("button", name="Take away sample 3").click()
        expect(page.get_by_label("Name of sample 3")).to_have_count(0)
        page.get_by_label("Split multiallelics").check()
        run(page)
        arrive(desk, "picked-1-a")
    made = found_by(stack, "picked-1-a")
    assert made["inputs"] == {"vcf": "samples/trio/uploads/trio.vcf.gz", "split_multiallelics": True}
    assert [(s["name"], s["role"], s["sex"]) for s in made["samples"]] == [
        ("HG002", "proband", "unknown"), ("HG003", "sample", "unknown"),
    ]
    assert (made["created_by"], made["history"][0]["source"]) == ("editor@lab.example", SOURCE)


def test_each_error_stands_beside_its_field_and_what_was_typed_stays(browser: Browser, stack: Stack) -> None:
    with desk_of(browser, stack, ADA, size=NARROW, scheme="dark") as desk:
        page = desk.page
        desk.go("/analyses/new", pipeline="every-shape")
        for label, value in (("Count", "12"), ("Ratio", "1,5"), ("Weights", "{no json"), ("Name", "kept")):
            page.get_by_role("textbox", name=label, exact=False).first.fill(value)
        page.get_by_role("textbox", name="Reads 1").fill("samples/one/uploads/none.bam")
        page.get_by_role("textbox", name="Genes").fill("BRCA2\n\nbrca1\n")
        run(page)
        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("5 things have to be mended")
        for label, said in (("Display id", "is required"), ("Count", "less than or equal to|greater than the maximum"),
                            ("Ratio", "must be of type number"), ("Genes", "line 2 .*does not have the form"),
                            ("Weights", "is no JSON")):
            expect(alert.get_by_role("listitem").filter(has_text=label)).to_contain_text(re.compile(said))
            field = page.get_by_role("textbox", name=label).first
            assert field.get_attribute("aria-invalid") == "true", label
            described = str(field.get_attribute("aria-describedby")).split()[-1]
            expect(page.locator(f"#{described}")).to_contain_text(re.compile(said))
        assert page.get_by_label("Name", exact=True).first.input_value() == "kept"
        assert desk.violations() == []
        assert not desk.is_narrower_than_its_content()
        alert.get_by_role("link", name="Weights").click()
        assert "f-inputs-weights" in page.url

        page.get_by_label("Display id").fill("New")
        run(page)
        expect(alert.get_by_role("listitem").filter(has_text="Display id")).to_contain_text("the name of a page")
        page.get_by_label("Display id").fill("Mended")
        for label, value in (("Count", "3"), ("Ratio", "1.5"), ("Weights", '{"a": 2}'), ("Genes", "BRCA2\nTP53"),
                             ("Window: From", "7")):
            page.get_by_role("textbox", name=label.rpartition(": ")[2]).first.fill(value)
        page.get_by_label("Order", exact=True).fill("O-77")
        page.get_by_label("Strict").uncheck()
        page.get_by_label("Way", exact=True).select_option("careful")
        run(page)
        expect(page.get_by_role("alert")).to_contain_text("missing: samples/one/uploads/none.bam is not in the")
        page.get_by_role("textbox", name="Reads 1").fill("samples/one/uploads/a.bam")
        run(page)
        arrive(desk, "mended")
        desk.broken.clear()  # the browser counts an answer of 422 as an error
    made = found_by(stack, "mended")
    assert (made["order_id"], made["origin"]) == ("O-77", "order")
    assert made["inputs"] == {
        "mode": "careful", "count": 3, "ratio": 1.5, "strict": False, "name": "kept",
        "reads": ["samples/one/uploads/a.bam"], "genes": ["BRCA2", "TP53"], "window": {"from": 7}, "weights": {"a": 2},
    }


def test_a_form_that_is_sent_twice_makes_one_analysis(browser: Browser, stack: Stack) -> None:
    """Without scripts, too: rows are added by the page, and what was sent once is found again."""
    with desk_of(browser, stack, ADA, scripts=False) as desk:
        page = desk.page
        desk.go("/analyses/new", pipeline="every-shape")
        page.get_by_label("Display id").fill("Twice")
        page.get_by_role("textbox", name="Count").fill("1")
        page.get_by_role("textbox", name="Reads 1").fill("samples/one/uploads/a.bam")
        page.get_by_role("button", name="Add another").click()
        page.get_by_role("textbox", name="Reads 2").fill("samples/trio/uploads/more.vcf")
        form = {
            each["name"]: each["value"] for each in page.locator("#run-form [name]:not(button)").evaluate_all(
                "all => all.filter(f => f.type != 'checkbox' || f.checked).map(f => ({name: f.name, value: f.value}))"
            )
        }
        run(page)
        arrive(desk, "twice")
        address = f"{stack.api}/analyses/new?project=demo"
        again = desk.context.request.post(address, form=form, max_redirects=0)
        assert again.status == 303 and "/analyses/twice" in again.headers["location"]
        other = desk.context.request.post(address, form={**form, "inputs.count": "2"}, max_redirects=0)
        assert (other.status, "has made an analysis already" in other.text()) == (422, True)
        listing = desk.go("/files", prefix="samples/trio/uploads/", pick="inputs.reads[0]")
        assert "more.vcf" in listing.text()
        desk.broken.clear()
    assert found_by(stack, "twice")["inputs"]["reads"] == ["samples/one/uploads/a.bam", "samples/trio/uploads/more.vcf"]
    assert [each["display_id"] for each in stack.client.get("/analyses?text=twice").json()["items"]] == ["Twice"]


def test_a_failed_one_is_run_again_with_a_change(browser: Browser, stack: Stack) -> None:
    old = stack.submit("Failed first", exit_code=3, samples=[{"name": "S1", "role": "tumor"}])
    stack.until_status(old["id"], "failed")
    newer = {**old["pipeline"]["definition"], "version": "1.0.1"}
    assert stack.client.post("/pipelines", json=newer).status_code == 201
    with desk_of(browser, stack, ADA) as desk:
        page = desk.page
        desk.go("/analyses/new", rerun="failed-first")
        differs = page.get_by_role("region", name="What differs")
        expect(differs).to_contain_text("Nothing")
        expect(page.get_by_label("Name of sample 1")).to_have_value("S1")
        page.get_by_role("textbox", name="Exit code").fill("0")
        page.get_by_role("textbox", name="Exit code").press("Tab")
        expect(differs).to_contain_text(re.compile(r"exit_code\s+3.*0"))
        assert desk.violations() == []
        page.get_by_label("Role of sample 1").select_option("normal")
        expect(differs).to_contain_text("S1 (normal, unknown)")
        run(page, "Run again")
        arrive(desk, "failed-first-rerun-2")
        desk.go("/analyses/new", rerun="failed-first", version="latest")
        expect(differs).to_contain_text(re.compile(r"Version\s+1\.0\.0.*1\.0\.1"))
        run(page, "Run again")
        arrive(desk, "failed-first-rerun-3")
    changed, on_newest = found_by(stack, "failed-first-rerun-2"), found_by(stack, "failed-first-rerun-3")
    assert (changed["rerun_of"], changed["pipeline"]) == (old["id"], old["pipeline"])
    assert (changed["inputs"], changed["samples"][0]["role"]) == ({**old["inputs"], "exit_code": 0}, "normal")
    assert (on_newest["inputs"], on_newest["pipeline"]["version"]) == (old["inputs"], "1.0.1")
    stack.until_status(changed["id"], "succeeded")


def test_several_are_cancelled_and_those_that_cannot_be_are_skipped(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    ended = stack.submit("Bulk ended")
    running = [stack.submit(f"Bulk {n}", runtime_seconds=600) for n in range(2)]
    stack.until_status(ended["id"], "succeeded")
    with desk_of(browser, stack, ADA) as desk:
        page = desk.page
        desk.go("/analyses", text="bulk")
        page.get_by_label("Tick all rows of this page").check()
        page.get_by_role("button", name="Cancel…").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Cancel 2 analyses?")
        expect(page.get_by_role("region", name="Skipped")).to_contain_text("It has succeeded already")
        page.reload()
        page.get_by_role("button", name="Cancel them").click()
        expect(page.get_by_role("status")).to_contain_text(
            "Cancels were asked for: 2. Skipped: Bulk ended has succeeded already."
        )
        for each in running:
            stack.until_status(each["id"], "cancelled")
        desk.go("/analyses", text="bulk")
        page.get_by_label("Tick Bulk ended").check()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download").click()
        download.value.save_as(tmp_path / "all.tar")
        desk.broken.clear()
    with tarfile.open(tmp_path / "all.tar") as archive:
        assert "bulk-ended/log.txt" in archive.getnames()


def test_a_pipeline_is_registered_read_and_run(browser: Browser, stack: Stack, tmp_path: Path) -> None:
    with desk_of(browser, stack, ADA) as desk:
        page = desk.page
        desk.go("/pipelines")
        page.get_by_role("button", name="Register").click()
        page.get_by_label("Definition").fill("slug: Bad Slug\nversion: 1.0.0\nslug: again\n")
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("alert")).to_contain_text("the key slug stands twice")
        wrong = {**DEFINITION, "slug": "Bad Slug", "retries": {"max": 99}}
        page.get_by_label("Definition").fill(json.dumps(wrong))
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("alert")).to_contain_text(re.compile(r"slug.*retries\.max", re.DOTALL))
        assert page.get_by_label("Definition").input_value() == json.dumps(wrong)
        assert desk.violations() == []
        changed = {**DEFINITION, "title": "Another title"}
        page.get_by_label("Definition").fill(json.dumps(changed))
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("alert")).to_contain_text("give this one a new version")
        file = tmp_path / "new.json"
        file.write_text(json.dumps({**changed, "version": "1.1.0"}))
        page.get_by_label("Or a file").set_input_files(file)
        page.get_by_role("button", name="Register").click()
        expect(page.get_by_role("status")).to_have_text("every-shape@1.1.0 is registered.")
        expect(page.get_by_role("row", name=re.compile("count"))).to_contain_text("1 or more; 9 or less")
        page.get_by_role("link", name="1.0.0").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Every shape")
        page.get_by_role("link", name="YAML").click()
        expect(page.get_by_label("The definition as YAML")).to_contain_text("slug: every-shape\nversion: 1.0.0")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Every shape")
        expect(page.locator("[name=version]")).to_have_value("1.0.0")
        desk.broken.clear()
    stored = stack.client.get("/pipelines/every-shape@1.1.0").json()
    assert (stored["registered_by"], stored["title"]) == (ADA, "Another title")


def test_files_are_browsed_in_parts_and_downloaded(browser: Browser, stack: Stack, tmp_path: Path) -> None:
    """Each download is in the audit trail."""
    for number in range(205):
        stack.ports.objects.write("demo", f"many/{number:03d}.txt", b"x")
    with desk_of(browser, stack, ADA) as desk:
        page = desk.page
        desk.go("/files")
        page.get_by_role("link", name="samples/").click()
        page.get_by_role("link", name="trio/").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="trio.vcf.gz").click()
        download.value.save_as(tmp_path / "trio.vcf.gz")
        assert (tmp_path / "trio.vcf.gz").read_bytes() == VCF
        desk.go("/files", prefix="many/")
        expect(page.get_by_role("row")).to_have_count(1 + ON_A_PAGE)
        page.get_by_role("link", name="More").click()
        expect(page.get_by_role("row")).to_have_count(1 + 5)
        for address in ("/files/samples/none", "/files/%2e%2e/other/x"):
            answer = page.goto(f"{stack.api}{address}?project=demo")
            assert answer is not None and answer.status == 404, address
        desk.broken.clear()
    (entry,) = stack.client.get("/audit", params={"document": CHAIN}).json()["items"]
    assert (entry["by"], entry["action"], "trio.vcf.gz" in json.dumps(entry)) == (ADA, "read", True)


def test_who_may_not_is_shown_no_way_and_let_by_none(browser: Browser, stack: Stack) -> None:
    with desk_of(browser, stack, "demo_viewer@lab.example") as desk:
        desk.go("/pipelines")
        expect(desk.page.get_by_role("button", name=re.compile("^(Run|Register)"))).to_have_count(0)
        for path in ("/analyses/new", "/files", "/files/samples/one/uploads/a.bam", "/pipelines/new"):
            answer = desk.page.goto(f"{stack.api}{path}?project=demo")
            assert answer is not None and answer.status == 403, path
        desk.broken.clear()
