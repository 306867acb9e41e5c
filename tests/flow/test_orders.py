"""Orders over real ingests: ready when order or analysis appears, whichever is later; readers see all or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from shared.domain import paths
from shared.domain.seen import index_path
from shared.steps.register import register_pipeline
from tests.flow.pulled import Emulators
from tests.flow.stacks import PROJECT, Lab, ingesting_here, lab_over
from tests.flow.test_real_files import COPY

TRIO = [("S1", "proband", "male"), ("S2", "mother", "female"), ("S3", "father", "male")]


def vcf(columns: list[str], rows: list[tuple[int, str, list[str]]]) -> bytes:
    """On GRCh38; `rows` are position, alternate allele and the genotypes."""
    head = [
        "##fileformat=VCFv4.2", "##contig=<ID=chr1,length=248956422>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="g">',
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *columns]),
    ]
    body = ["\t".join(["chr1", str(pos), ".", "G", alt, "50", "PASS", ".", "GT", *gts]) for pos, alt, gts in rows]
    return ("\n".join([*head, *body]) + "\n").encode()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators | None) -> Iterator[Lab]:
    with lab_over(tmp_path_factory.mktemp("orders"), emulators=emulators) as up, ingesting_here():
        up.register(COPY)
        yield up


def ingest(lab: Lab, name: str, content: bytes, samples: Sequence[tuple[str, str, str]] = (), **changes: Any) -> str:
    """The id of an analysis that left this VCF, once it is ingested (or its ingest has failed)."""
    analysis = begin(lab, name, content, samples, **changes)
    lab.until_ends(analysis, "succeeded")
    lab.until_ingested(analysis)
    return analysis


def begin(lab: Lab, name: str, content: bytes, samples: Sequence[tuple[str, str, str]] = (), **changes: Any) -> str:
    path = lab.put(f"samples/{paths.slug(name)}/uploads/{paths.slug(name)}.vcf", content)
    given = [dict(zip(("name", "role", "sex"), sample, strict=True)) for sample in samples]
    return lab.order(name, pipeline="copy", inputs={"file": path}, samples=given, **changes)


def create(lab: Lab, name: str, **body: Any) -> dict[str, Any]:
    answer = lab.client.post("/orders", json={"display_id": name, **body})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def until_cache(lab: Lab, order: str, *statuses: str) -> Mapping[str, Any]:
    """The order's document once its cache has one of these and nothing more is wanted."""

    def probe() -> Mapping[str, Any] | None:
        found = lab.client.get(f"/orders/{order}").json()
        cache = found["cache"]
        return found if cache["status"] in statuses and cache["wanted_at"] is None and not found["unsent"] else None

    return lab.until(probe)


def table(lab: Lab, built: Mapping[str, Any]) -> list[dict[str, Any]]:
    with lab.ports.objects.local(PROJECT, built["table"]) as file:
        rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows


def test_an_order_over_an_ingested_analysis_is_ready_with_its_first_answer(lab: Lab) -> None:
    """No VCF is read: the analysis' own cache is just what the order asks for."""
    analysis = ingest(lab, "at once", vcf(["S3", "S1", "S2"], [(5, "A", ["0/1", "0/1", "0/0"])]), TRIO)
    order = create(lab, "At once", analyses=["at-once"])
    assert order["cache"]["status"] == "ready" and order["cache"]["built"]["rows"] == 1
    assert [(s["name"], s["role"]) for s in order["samples"]] == [(name, role) for name, role, _ in TRIO]
    assert order["cache"]["built"]["version"] == lab.document(analysis)["ingest"]["cache"]["version"]
    assert order["analyses"] == [analysis]


def test_an_order_that_was_there_first_is_built_when_its_analysis_is_ingested(lab: Lab) -> None:
    """C49 (c): without variants it waits, with some of them the missing sample is named."""
    order = create(lab, "First", samples=[{"name": "F1", "role": "proband"}, {"name": "F2", "role": "mother"}])
    waiting = until_cache(lab, order["id"], "pending")
    assert [m["name"] for m in waiting["cache"]["missing"]] == ["F1", "F2"]
    ingest(lab, "first proband", vcf(["F1"], [(5, "A", ["0/1"])]))
    part = until_cache(lab, order["id"], "ready")
    assert part["cache"]["built"]["samples"] == ["F1"]
    assert [m["name"] for m in part["cache"]["missing"]] == ["F2"]
    ingest(lab, "first mother", vcf(["F2"], [(5, "A", ["0/1"]), (9, "T", ["0/1"])]))
    whole = lab.until(lambda: (now := until_cache(lab, order["id"], "ready"))["cache"]["missing"] == [] and now)
    assert whole["cache"]["built"]["rows"] == 2
    assert whole["cache"]["built"]["version"] != part["cache"]["built"]["version"]  # C65


def test_an_analysis_that_names_its_order_joins_it(lab: Lab) -> None:
    ingest(lab, "named proband", vcf(["N1"], [(5, "A", ["0/1"])]))
    order = create(lab, "Order N", analyses=["named-proband"], samples=[{"name": "N1"}, {"name": "N2"}])
    assert [m["name"] for m in until_cache(lab, order["id"], "ready")["cache"]["missing"]] == ["N2"]
    ingest(lab, "named sibling", vcf(["N2"], [(7, "T", ["0/1"])]), order_id="order-n")
    lab.until(lambda: until_cache(lab, order["id"], "ready")["cache"]["built"]["samples"] == ["N1", "N2"])


def test_names_that_do_not_match_are_refused_with_both_sets(lab: Lab) -> None:
    """C53: at the analysis, and at an order over an analysis that named nobody."""
    failed = ingest(lab, "mismatch", vcf(["M1", "M3"], [(5, "A", ["0/1", "0/0"])]),
                    [("M1", "proband", "male"), ("M2", "mother", "female")])
    assert "M1, M2" in lab.document(failed)["ingest"]["failure"]
    ingest(lab, "nameless", vcf(["M1", "M3"], [(5, "A", ["0/1", "0/0"])]))
    answer = lab.client.post("/orders", json={
        "display_id": "Mismatch", "analyses": ["nameless"], "samples": [{"name": "M1"}, {"name": "M2"}],
    })
    assert answer.status_code == 422
    (reason,) = answer.json()["reasons"]
    assert "samples M1, M2" in reason["message"] and "columns M1, M3" in reason["message"]


def test_roles_may_be_others_than_the_analysis_had_and_are_then_joined_anew(lab: Lab) -> None:
    ingest(lab, "roles", vcf(["R2", "R1"], [(5, "A", ["0/0", "0/1"]), (6, "T", ["0/1", "0/0"])]))
    order = create(lab, "Roles", analyses=["roles"], samples=[{"name": "R1", "role": "tumor"},
                                                              {"name": "R2", "role": "normal"}])
    built = until_cache(lab, order["id"], "ready")
    assert built["mode"] == "somatic" and built["cache"]["built"]["rows"] == 2


def test_a_request_is_done_once_and_a_name_given_once(lab: Lab) -> None:
    body = {"display_id": "Once", "samples": [{"name": "X1"}]}
    keys = {"Idempotency-Key": "once-1"}
    first = lab.client.post("/orders", json=body, headers=keys)
    again = lab.client.post("/orders", json=body, headers=keys)
    assert (first.status_code, again.status_code) == (201, 200) and first.json()["id"] == again.json()["id"]
    other = lab.client.post("/orders", json={**body, "samples": [{"name": "X2"}]}, headers=keys)
    assert other.status_code == 422 and other.json()["reasons"][0]["field"] == "request_id"
    taken = lab.client.post("/orders", json={**body, "display_id": "ONCE"})
    assert taken.status_code == 422 and first.json()["id"] in taken.json()["reasons"][0]["message"]
    missing = lab.client.post("/orders", json={"display_id": "None", "analyses": ["there-is-none"]})
    assert missing.json()["reasons"] == [{
        "field": "analyses[0]", "message": "there is no analysis 'there-is-none' in project 'demo'",
    }]


def test_an_order_moves_only_as_the_table_says(lab: Lab) -> None:
    order = create(lab, "Moves", samples=[{"name": "X1"}])
    moved = [lab.client.post("/orders/moves/transition", json={"to": to}).status_code
             for to in ("reported", "in_review", "reported", "cancelled", "in_review", "open", "cancelled", "open")]
    assert moved == [409, 200, 200, 409, 200, 200, 200, 409]
    document = lab.client.get(f"/orders/{order['id']}").json()
    assert [change["to"] for change in document["history"]] == [
        "open", "in_review", "reported", "in_review", "open", "cancelled"
    ]
    lab.until(lambda: [e.type for e in lab.received if e.subject == order["id"]].count("order.changed") == 5)


def test_a_re_ingest_shows_the_new_rows_at_once_and_never_half(lab: Lab) -> None:
    """C48, C65: other bytes under the same analysis; the version is another one."""
    order = create(lab, "Again", samples=[{"name": "A1"}])
    ingest(lab, "again 1", vcf(["A1"], [(5, "A", ["0/1"])]))
    before = until_cache(lab, order["id"], "ready")["cache"]["built"]
    ingest(lab, "again 2", vcf(["A1"], [(5, "A", ["0/1"]), (9, "T", ["0/1"])]))
    after = lab.until(lambda: (b := until_cache(lab, order["id"], "ready")["cache"]["built"])["rows"] == 2 and b)
    assert after["version"] != before["version"]
    assert len(table(lab, before)) == 1  # who reads the old one still does


def test_what_was_seen_in_other_analyses_is_in_the_cache_and_stays_in_its_project(lab: Lab) -> None:
    """C74: counts of the project's own analyses, of other samples than the order's; another project's add nothing."""
    for n in (1, 2):
        ingest(lab, f"others {n}", vcf([f"O{n}"], [(777, "A", ["0/1"]), (778 + n, "T", ["0/1"])]))
    ingest(lab, "others 2 again", vcf(["O2"], [(777, "A", ["0/1"])]))  # a rerun
    mine = ingest(lab, "mine", vcf(["O9"], [(777, "A", ["0/1"]), (779, "T", ["0/1"]), (790, "C", ["0/1"])]))
    lab.until_idle()
    order = create(lab, "Seen", analyses=["mine"])
    lab.client.post("/orders/seen/cache", params={"anew": True})
    lab.until_idle()
    built = until_cache(lab, order["id"], "ready")["cache"]["built"]
    assert {row["pos"]: row["seen"] for row in table(lab, built)} == {777: 2, 779: 1, 790: 0}
    assert built["seen"] is not None and lab.document(mine)["ingest"]["files"][0]["assembly"] == "GRCh38"
    other = lab.add_project("elsewhere")
    assert lab.ports.objects.stat(other, index_path("GRCh38")) is None


def test_an_analysis_alone_has_a_cache_also_of_sites_without_samples_and_of_no_sites(lab: Lab) -> None:
    """C49 (b)."""
    sites = vcf([], [(5, "A", []), (9, "T", [])]).replace(b"\tFORMAT", b"").replace(b"\tGT", b"")
    ingest_of = {name: lab.document(ingest(lab, name, content))["ingest"]
                 for name, content in (("sites", sites), ("nothing", vcf(["E1"], [])))}
    assert {name: (found["status"], found["cache"]["rows"], found["cache"]["samples"])
            for name, found in ingest_of.items()} == {"sites": ("ready", 2, []), "nothing": ("ready", 0, ["E1"])}


def test_orders_at_the_command_line(lab: Lab) -> None:
    from typer.testing import CliRunner

    from services.cli.main import app

    def iflow(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments), env={
            "IFLOW_API": lab.api, "IFLOW_PROJECT": "demo", "IFLOW_TOKEN": lab.token(),
        })

    ingest(lab, "by cli", vcf(["C1"], [(5, "A", ["0/1"])]), [("C1", "proband", "female")])
    made = iflow("orders", "create", "-d", "By CLI", "--from-analysis", "By CLI")
    assert made.exit_code == 0, made.stderr
    assert "C1 (proband, female)" in (shown := iflow("orders", "show", made.stdout.strip()).stdout)
    assert "ready" in shown
    assert "By CLI" in iflow("orders", "list").stdout
    proposal = lab.client.get("/orders-proposal", params={"analysis": "by-cli"}).json()
    assert proposal == {
        "display_id": "by cli 2", "mode": "hereditary", "priority": "routine", "analyses": ["by cli"],
        "samples": [{"name": "C1", "role": "proband", "sex": "female"}],
    }
    second = iflow("orders", "create", "-a", "By CLI", "--priority", "urgent", "--json")
    assert (second.exit_code, json.loads(second.stdout)["display_id"]) == (0, "by cli 2"), second.stderr
    assert json.loads(second.stdout)["priority"] == "urgent"
    assert iflow("orders", "create", "-s", "C1").exit_code == 2
    assert iflow("orders", "create", "-a", "nothing of the kind").exit_code == 65
    assert iflow("orders", "transition", "By CLI", "in_review").exit_code == 0
    refused = iflow("orders", "transition", "By CLI", "in_review")
    assert refused.exit_code == 65 and "already" in refused.stderr
    assert iflow("orders", "rebuild", "By CLI", "--anew").exit_code == 0
    assert iflow("orders", "change", "By CLI", "--priority", "stat").exit_code == 0


def test_an_order_is_built_by_a_process_of_its_own_within_seconds(tmp_path: Path) -> None:
    """As `make serve` does it: whoever ordered first reads some seconds after the ingest."""
    with lab_over(tmp_path) as alone:
        alone.register(COPY)
        order = create(alone, "Own process", samples=[{"name": "P1", "role": "proband"}])
        ingest(alone, "own process", vcf(["P1"], [(5, "A", ["0/1"])]))
        built = alone.until(lambda: until_cache(alone, order["id"], "ready", "pending")["cache"]["built"], within_s=60)
        assert built["rows"] == 1 and built["samples"] == ["P1"]


def test_two_projects_with_the_same_bytes_share_nothing(lab: Lab) -> None:
    """C74: one content-addressed name, in two buckets; what one project has seen, the other has not."""
    content = vcf(["Z1"], [(4321, "A", ["0/1"])])
    ingest(lab, "same bytes", content)
    lab.until_idle()
    other = lab.add_project("same-bytes-elsewhere")
    register_pipeline(lab.ports, other, COPY, by="test")
    lab.ports.objects.write(other, "samples/z1/uploads/z1.vcf", content)
    there = {"X-Project-ID": other}
    asked = lab.client.post("/analyses", headers=there, json={
        "display_id": "same bytes", "pipeline": "copy", "inputs": {"file": "samples/z1/uploads/z1.vcf"},
    }).json()
    theirs = lab.until(lambda: (found := lab.document(asked["id"], other))["ingest"]["status"] == "ready" and found)
    (mine,) = (found for found in lab.all(f"projects/{PROJECT}/analyses") if found["display_id"] == "same bytes")
    assert theirs["ingest"]["files"][0]["table"] == mine["ingest"]["files"][0]["table"]
    lab.until_idle()
    for project in (PROJECT, other):
        body = {"display_id": "Same bytes", "samples": [{"name": "Z1"}]}
        order = lab.client.post("/orders", headers={"X-Project-ID": project}, json=body).json()
        ready = lab.until(lambda path=paths.order_doc(project, order["id"]): _ready(lab, path))
        with lab.ports.objects.local(project, ready["cache"]["built"]["table"]) as file:
            assert pq.read_table(file, columns=["seen"]).to_pylist() == [{"seen": 0}]
        outside = {"X-Project-ID": other if project == PROJECT else PROJECT}
        assert lab.client.get(f"/orders/{order['id']}", headers=outside).status_code == 404


def _ready(lab: Lab, path: str) -> Mapping[str, Any] | None:
    stored = lab.ports.documents.get(path)
    return stored.data if stored and stored.data["cache"]["status"] == "ready" else None
