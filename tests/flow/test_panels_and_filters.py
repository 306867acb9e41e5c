"""Gene panels and saved filters, by REST and at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.cli.exits import Exit
from shared.domain import paths
from shared.domain.panel import version_of
from shared.steps.panels import panel_named, panel_regions
from tests.flow.stack import Iflow, Stack, lines


@pytest.fixture
def project(stack: Stack, request: pytest.FixtureRequest) -> str:
    """A tenant for this test alone."""
    return stack.add_project("p-" + paths.slug(request.node.name)[-40:].strip("-"))


def test_a_list_in_the_buckets_folder_becomes_a_panel_whose_versions_stay(stack: Stack, project: str) -> None:
    here = {"X-Project-ID": project}
    path = "client-resources/gene-panels/Cardio.txt"
    for content in (b"MYH7\nTTN\n", b"MYH7\nTTN\nTNNT2\n"):
        stack.ports.objects.write(project, path, content)
        assert stack.client.post("/panels", json={"path": path}, headers=here).status_code == 201
        again = stack.client.post("/panels", json={"path": path}, headers=here)
        assert (again.status_code, again.json()["version"]) == (200, version_of(content))
    listed = stack.client.get("/panels", headers=here).json()["items"]
    assert [(p["slug"], p["symbols"]) for p in listed] == [("cardio", 3), ("cardio", 2)]
    first = stack.client.get(f"/panels/cardio@{version_of(b'MYH7' + bytes([10]) + b'TTN' + bytes([10]))}", headers=here)
    assert first.json()["symbols"] == ["MYH7", "TTN"]
    assert stack.client.get("/panels/cardio", headers=here).json()["symbols"] == ["MYH7", "TTN", "TNNT2"]
    assert stack.client.get("/panels/cardio").status_code == 404  # another project's is not there


def test_a_panel_is_refused_by_line_and_symbol_and_by_place(stack: Stack, project: str) -> None:
    here = {"X-Project-ID": project}
    stack.ports.objects.write(project, "client-resources/gene-panels/bad.txt", b"MYH7\nT TN!\n")
    refused = stack.client.post("/panels", json={"path": "client-resources/gene-panels/bad.txt"}, headers=here)
    assert refused.status_code == 422
    assert refused.json()["reasons"] == [{"field": "line 2", "message": '"TN!" is no gene symbol'}]
    for path, words in (("samples/x.txt", "client-resources/gene-panels/"),
                        ("client-resources/gene-panels/none.txt", "missing"),
                        ("client-resources/gene-panels/../x", "lead out")):
        answer = stack.client.post("/panels", json={"path": path}, headers=here)
        assert answer.status_code == 422 and words in answer.json()["reasons"][0]["message"], path
    assert stack.client.get("/panels", headers=here).json() == {"items": []}


def test_panels_at_the_command_line(stack: Stack, iflow: Iflow, project: str, tmp_path: Path) -> None:
    bed = tmp_path / "Hot spots.bed"
    bed.write_text("chr7\t140753335\t140753336\tBRAF\n")
    added = iflow("panels", "add", str(bed), IFLOW_PROJECT=project)
    assert added.exit_code == Exit.DONE, added.stderr
    (name,) = lines(added.stdout)
    panel = panel_named(stack.ports, project, name)
    assert [(r.contig, r.start, r.end) for r in panel_regions(stack.ports, project, panel)] == [
        ("chr7", 140753335, 140753336)
    ]
    assert stack.ports.objects.read(project, panel.source) == bed.read_bytes()
    assert name.partition("@")[0] in iflow("panels", "list", IFLOW_PROJECT=project).stdout
    shown = json.loads(iflow("panels", "show", name, "--json", IFLOW_PROJECT=project).stdout)
    assert (shown["regions"], shown["bases"]) == (1, 1)
    bed.write_text("chr7\t9\n")
    refused = iflow("panels", "add", str(bed), IFLOW_PROJECT=project)
    assert refused.exit_code == Exit.BAD_DATA and "line 1" in refused.stderr


def test_a_filter_is_kept_changed_and_deleted_and_is_its_projects_own(
    stack: Stack, iflow: Iflow, project: str, tmp_path: Path
) -> None:
    file = tmp_path / "filter.json"
    file.write_text(json.dumps({"impact": ["HIGH"]}))
    assert iflow("filters", "save", "Rare & bad", str(file), IFLOW_PROJECT=project).exit_code == Exit.DONE
    assert iflow("filters", "save", "rare bad", str(file), IFLOW_PROJECT=project).exit_code == Exit.BAD_DATA
    file.write_text(json.dumps({"impact": ["HIGH", "MODERATE"]}))
    replaced = iflow("filters", "save", "Rare & bad", str(file), "--replace", IFLOW_PROJECT=project)
    assert replaced.exit_code == Exit.DONE, replaced.stderr
    shown = iflow("filters", "show", "rare-bad", IFLOW_PROJECT=project)
    assert json.loads(shown.stdout) == {"impact": ["HIGH", "MODERATE"]}
    assert stack.client.get("/filters/rare-bad").status_code == 404
    file.write_text(json.dumps({"impact": ["HIHG"], "gne": "BRCA1"}))
    refused = iflow("filters", "save", "Typo", str(file), IFLOW_PROJECT=project)
    assert refused.exit_code == Exit.BAD_DATA and "filter.gne" in refused.stderr
    assert "rare-bad" in iflow("filters", "list", IFLOW_PROJECT=project).stdout
    assert iflow("filters", "delete", "rare-bad", IFLOW_PROJECT=project).exit_code == Exit.DONE
    assert iflow("filters", "show", "rare-bad", IFLOW_PROJECT=project).exit_code == Exit.BAD_DATA


def test_a_saved_filter_is_changed_only_as_it_was_read_and_saving_it_again_saves_nothing(stack: Stack) -> None:
    body = {"name": "Only once", "filter": {"impact": ["HIGH"]}}
    headers = {"Idempotency-Key": "once"}
    answers = [stack.client.post("/filters", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    other = stack.client.post("/filters", json={**body, "filter": {}}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "already-there")

    etag = stack.client.get("/filters/only-once").headers["etag"]
    assert stack.client.get("/filters/only-once", headers={"If-None-Match": etag}).status_code == 304
    changed = {**body, "description": "Changed."}
    assert stack.client.put("/filters/only-once", json=changed, headers={"If-Match": etag}).status_code == 200
    late = [
        stack.client.put("/filters/only-once", json=body, headers={"If-Match": etag}),
        stack.client.delete("/filters/only-once", headers={"If-Match": etag}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in late] == [(412, "changed-meanwhile")] * 2
    assert stack.client.get("/filters/only-once").json()["description"] == "Changed."
    assert stack.client.delete("/filters/only-once", headers={"If-Match": "*"}).status_code == 204
