"""The audit trail as the product writes it: in the commit of what it tells of, and whole whatever happens at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from services.cli.exits import Exit
from shared.domain.member import Role
from shared.ports import Query, Update
from shared.steps.members import put_member
from tests.flow.planted import an_old_one, plant
from tests.flow.stack import ADA, Stack, stack_over


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_over(tmp_path_factory.mktemp("audit")) as up:
        yield up


def trail(stack: Stack, document: str, project: str = "demo") -> list[dict[str, Any]]:
    answer = stack.client.get("/audit", params={"document": document}, headers={"X-Project-ID": project})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found[::-1]


def test_an_analysis_tells_who_asked_for_it_from_where_and_who_cancelled_it(stack: Stack) -> None:
    made = stack.submit("Audited", runtime_seconds=60)
    stack.until_status(made["id"], "running")
    assert stack.iflow("analyses", "cancel", made["id"]).exit_code == 0
    created, changed = trail(stack, f"analyses/{made['id']}")[:2]
    assert (created["by"], created["action"], created["channel"], created["ip"]) == (ADA, "created", "api", "127.0.0.1")
    assert created["after"]["display_id"] == "Audited"
    assert "inputs" not in created["after"]
    assert (changed["action"], changed["channel"]) == ("changed", "cli")
    assert changed["before"] == {"cancel_requested": None}
    assert changed["after"]["cancel_requested"]["by"] == ADA
    assert changed["previous"] == created["hash"]


def test_members_downloads_refusals_and_sign_ins_are_told(stack: Stack) -> None:
    project = stack.add_project("audited")
    analysis, other = (plant(stack, an_old_one(project, name)) for name in ("Files", "In an archive"))
    stack.ports.objects.write(project, f"{analysis.folder}a.txt", b"hello")
    here = {"X-Project-ID": project}
    stack.client.put("/members/vic@lab.example", json={"role": "viewer"}, headers=here)
    with stack.client_of("vic@lab.example", project) as vic:
        for _ in range(3):
            part = vic.get(f"/analyses/{analysis.slug}/outputs/a.txt", headers={"Range": "bytes=1-2"})
            assert part.status_code == 206
        assert vic.post(f"/analyses/{analysis.id}/cancel").status_code == 403
        assert vic.get("/archives", params={"analysis": [other.slug]}).status_code == 200
    stack.client.delete("/members/vic@lab.example", headers=here)
    assert [(e["action"], e["before"], e["after"]) for e in trail(stack, "members/vic@lab.example", project)] == [
        ("created", {}, {"email": "vic@lab.example", "role": "viewer"}),
        ("deleted", {"email": "vic@lab.example", "role": "viewer"}, {}),
    ]
    (read,) = trail(stack, f"analyses/{analysis.id}", project)
    assert (read["by"], read["action"]) == ("vic@lab.example", "read")
    assert read["detail"].endswith("/outputs/a.txt")
    (archived,) = trail(stack, f"analyses/{other.id}", project)
    told = (archived["by"], archived["action"], archived["detail"])
    assert told == ("vic@lab.example", "read", "GET /api/v1/archives")
    (refused,) = trail(stack, "people/vic@lab.example", project)
    assert (refused["action"], refused["detail"]) == ("refused", f"POST /api/v1/analyses/{analysis.id}/cancel")
    assert stack.iflow("login", "new@lab.example", XDG_CONFIG_HOME=str(stack.state_dir / "config")).exit_code == 0
    assert [entry["action"] for entry in trail(stack, "people/new@lab.example", "unassigned")] == ["signed_in"]
    assert stack.client.get("/analyses", headers={"X-Project-ID": "unassigned"}).status_code == 404


def test_writers_at_once_make_one_chain_that_is_proved(stack: Stack) -> None:
    """On one member and on many; none waits for a head of the whole project."""
    project = stack.add_project("at-once")
    here = {"X-Project-ID": project}

    def change(number: int) -> int:
        role = ("viewer", "editor")[number % 2]
        email = "same" if number % 2 else f"m{number}"
        return stack.client.put(f"/members/{email}@lab.example", json={"role": role}, headers=here).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(change, range(40))) <= {200, 201}
    result = stack.iflow("audit", "verify", "--json", IFLOW_PROJECT=project)
    assert result.exit_code == Exit.DONE, result.output
    assert json.loads(result.stdout)["faults"] == []
    exported = stack.iflow("audit", "export", IFLOW_PROJECT=project).stdout.splitlines()
    assert len([line for line in exported if '"anchors"' not in line]) >= 21


def test_what_somebody_changed_behind_our_back_is_found(stack: Stack) -> None:
    project = stack.add_project("tampered")
    put_member(stack.ports, project, "ada2@lab.example", Role.ADMIN, by="test")
    stack.client.put("/members/eve@lab.example", json={"role": "admin"}, headers={"X-Project-ID": project})
    for stored in stack.ports.documents.query(Query(f"projects/{project}/audit")).items:
        if stored.data["chain"] == "members/eve@lab.example":
            data = {**stored.data, "by": "somebody@lab.example"}
            stack.ports.documents.commit([Update(stored.path, data, stored.version)])
    result = stack.iflow("audit", "verify", IFLOW_PROJECT=project)
    assert result.exit_code == Exit.BAD_DATA
    assert "members/eve@lab.example: entry 1 was changed" in result.stdout


def test_nobody_below_admin_reads_the_trail(stack: Stack) -> None:
    put_member(stack.ports, "demo", "ed@lab.example", Role.EDITOR, by="test")
    result = stack.iflow("audit", "list", IFLOW_TOKEN=stack.token("ed@lab.example"))
    assert (result.exit_code, "role admin" in result.stderr) == (Exit.NOT_ALLOWED, True)
    no_token = stack.iflow("audit", "list", IFLOW_TOKEN="", XDG_CONFIG_HOME=str(stack.state_dir / "none"))
    assert (no_token.exit_code, "iflow login" in no_token.stderr) == (Exit.NOT_ALLOWED, True)
