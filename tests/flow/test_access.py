"""The permission table as a whole (C73), and one tenant before everything of another's (C72)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from services.miner.auth.permissions import API, LEAST_ROLE, TABLE, Permission
from shared.domain.member import Role
from shared.domain.order import parse_order
from shared.domain.sample import SampleRequest
from shared.ports import Create
from shared.steps.members import put_member
from shared.steps.orders import accept_order
from shared.steps.samples import register_sample
from tests.flow.planted import an_old_one, plant
from tests.flow.stack import ADA, Stack, stack_over

OWN, OTHER = "demo", "other"
OUTSIDER = "outsider"
MEMBERS = [str(role) for role in Role]
PERSONAS = (None, OUTSIDER, *MEMBERS, "superadmin")
NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_over(tmp_path_factory.mktemp("access")) as up:
        up.add_project(OTHER)
        for role in Role:
            put_member(up.ports, OWN, f"{role}@lab.example", role, by="test")
        yield up


@pytest.fixture(scope="module")
def theirs(stack: Stack) -> dict[str, list[str]]:
    """What the other project has: by the name of a path's parameter, ids and other names of one document."""
    analysis = plant(stack, an_old_one(OTHER, "Secret 1"))
    order = accept_order(stack.ports, parse_order({
        "request_id": "o", "project": OTHER, "display_id": "Secret order", "samples": [{"name": "S1"}],
        "requested_by": ADA,
    }), source="test").order
    register_sample(stack.ports, OTHER, SampleRequest(name="Secret sample"), key=None, by=ADA)
    stack.ports.documents.commit([Create(
        f"projects/{OTHER}/uploads/secret-3", {"id": "secret-3", "sample": "secret-sample"}
    )])
    put_member(stack.ports, OTHER, "theirs@lab.example", Role.ADMIN, by="test")
    stack.ports.objects.write(OTHER, f"{analysis.folder}secret.txt", b"secret")
    for family, identity in (("rejections", "secret-1"), ("dead_letters", "secret-2"), ("saved_filters", "secret")):
        stack.ports.documents.commit([Create(f"projects/{OTHER}/{family}/{identity}", {"id": identity})])
    return {
        "analysis": [analysis.id, analysis.slug, analysis.display_id], "order": [order.id, order.slug],
        "path": [f"{analysis.folder}secret.txt"], "rejection": ["secret-1"], "letter": ["secret-2"],
        "sample": ["secret-sample", "Secret sample"], "upload": ["secret-3"], "name": ["secret"],
        "email": ["theirs@lab.example"],
    }


def answer_of(
    client: httpx.Client, line: str, headers: dict[str, str], **parameters: str
) -> tuple[int, dict[str, Any] | str, httpx.Headers]:
    """Status, body (an event stream's is not waited for) and headers."""
    method, _, path = line.partition(" ")
    for name, anything in (("analysis", NOWHERE), ("order", NOWHERE), ("email", "ada@lab.example")):
        parameters.setdefault(name, anything)
    filled = path
    while "{" in filled:
        name = filled.partition("{")[2].partition("}")[0].partition(":")[0]
        filled = filled.partition("{")[0] + parameters.get(name, "x") + filled.partition("}")[2]
    body = {} if method == "GET" else {"json": {}}
    with client.stream(method, filled, headers=headers, follow_redirects=False, **body) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return answer.status_code, "", answer.headers
        text = answer.read().decode(errors="replace")
    try:
        return answer.status_code, json.loads(text), answer.headers
    except ValueError:
        return answer.status_code, text, answer.headers


@pytest.mark.parametrize("persona", PERSONAS)
@pytest.mark.parametrize("project", [OWN, OTHER])
def test_every_route_answers_as_the_table_says_c73(stack: Stack, persona: str | None, project: str) -> None:
    email = ADA if persona == "superadmin" else f"{persona}@lab.example"
    headers = {"X-Project-ID": project}
    if persona:
        headers["Authorization"] = f"Bearer {stack.token(email)}"
    wrong = []
    with httpx.Client(base_url=stack.api, timeout=30) as client:
        for line, permission in TABLE.items():
            status, body, answered = answer_of(client, line, headers)
            code = body.get("code") if isinstance(body, dict) else None
            detail = body.get("detail", "") if isinstance(body, dict) else ""
            expected = _expected(persona, project, permission, line)
            found = _kind(status, code, str(detail), answered)
            if found != expected:
                wrong.append((line, expected, found, status, body))
    assert not wrong, wrong


def _expected(persona: str | None, project: str, permission: Permission, line: str) -> str:
    if permission is Permission.PUBLIC:
        return "through"
    if persona is None:
        return "401" if API in line else "to sign in"
    if persona == "superadmin" or permission is Permission.SIGNED_IN:
        return "through"
    if permission is Permission.EVERYTHING:
        return "403 superadmin"
    if persona == OUTSIDER or project == OTHER:
        return "no such project"
    least = LEAST_ROLE[permission]
    return "through" if Role(persona).includes(least) else f"403 {least}"


def _kind(status: int, code: object, detail: str, headers: httpx.Headers) -> str:
    if status == 401:
        return "401" if headers["www-authenticate"].startswith("Bearer") else "401 without a challenge"
    if status == 303 and headers["location"].startswith("/login?next="):
        return "to sign in"
    if status == 403:
        return f"403 {detail.partition('the role ')[2].partition(';')[0]}"
    if status == 404 and code == "not-found" and "no project" in detail:
        return "no such project"
    return "through"


def test_another_tenants_things_look_like_what_does_not_exist_c72(stack: Stack, theirs: dict[str, list[str]]) -> None:
    """Each route with a parameter, asked in one's own project with each name that the other project's thing has."""
    differ = []
    with ExitStack() as opened:
        client = opened.enter_context(httpx.Client(base_url=stack.api, timeout=30))
        headers = {"X-Project-ID": OWN, "Authorization": f"Bearer {stack.token('admin@lab.example')}"}
        for line in TABLE:
            if line.startswith("PUT"):
                continue
            for parameter, names in theirs.items():
                if f"{{{parameter}" not in line:
                    continue
                for name in names:
                    made_up = NOWHERE if name == names[0] and parameter in ("analysis", "order") else "no-such"
                    if parameter == "email":
                        made_up = "nobody@lab.example"
                    real = _shape(answer_of(client, line, headers, **{parameter: name}), name)
                    none = _shape(answer_of(client, line, headers, **{parameter: made_up}), made_up)
                    if real != none or real[0] < 400:
                        differ.append((line, name, real, none))
    assert not differ, differ


def test_another_tenants_project_looks_like_none_c72(stack: Stack, theirs: dict[str, list[str]]) -> None:
    with httpx.Client(base_url=stack.api, timeout=30) as client:
        token = {"Authorization": f"Bearer {stack.token('admin@lab.example')}"}
        known = {name: values[0] for name, values in theirs.items()}
        for line, permission in TABLE.items():
            if permission not in LEAST_ROLE:
                continue
            real = _shape(answer_of(client, line, {"X-Project-ID": OTHER, **token}, **known), OTHER)
            none = _shape(answer_of(client, line, {"X-Project-ID": "nowhere", **token}, **known), "nowhere")
            assert real == none, line
            assert real[0] == 404, (line, real)


def _shape(answer: tuple[int, dict[str, Any] | str, httpx.Headers], name: str) -> tuple[int, str]:
    text = json.dumps(answer[1], sort_keys=True)
    for spelled in {name, name.replace(" ", "%20"), name.replace("@", "%40"), name.replace(" ", "-").lower()}:
        text = text.replace(spelled, "NAME")
    return answer[0], text


def test_lists_and_searches_of_one_tenant_hold_nothing_of_another_c72(
    stack: Stack, theirs: dict[str, list[str]]
) -> None:
    with stack.client_of("admin@lab.example", OWN) as mine:
        for line, permission in TABLE.items():
            if not line.startswith(f"GET {API}") or "{" in line or permission not in LEAST_ROLE:
                continue
            path = line.removeprefix(f"GET {API}")
            if path.endswith("/events"):
                continue
            for query in ({}, {"q": "Secret"}):
                answer = mine.get(path, params=query)
                text = answer.text
                assert not [n for names in theirs.values() for n in names if n in text and "no such" not in text], line
        assert [each["id"] for each in mine.get("/projects").json()["items"]] == [OWN]


def test_a_cursor_of_one_project_is_no_cursor_of_another_c72(stack: Stack) -> None:
    for number in range(3):
        plant(stack, an_old_one(OTHER, f"Cursor {number}"))
    with stack.client_of(ADA, OTHER) as across:
        cursor = across.get("/analyses", params={"limit": 1}).json()["next"]
    assert cursor
    with stack.client_of("admin@lab.example", OWN) as mine:
        assert mine.get("/analyses", params={"limit": 1, "cursor": cursor}).status_code == 400


def test_a_signed_address_opens_nothing_of_another_tenant_c72(stack: Stack, theirs: dict[str, list[str]]) -> None:
    mine = plant(stack, an_old_one(OWN, "Signed"))
    stack.ports.objects.write(OWN, f"{mine.folder}own.txt", b"own")
    with stack.client_of("admin@lab.example", OWN) as client:
        address = client.get(f"/analyses/{mine.id}/links", params={"path": f"{mine.folder}own.txt"}).json()
        (own,) = [each["url"] for each in address["items"]]
        assert httpx.get(own).text == "own"
        (secret,) = theirs["path"]
        path, query = own.split("?")[0].removeprefix(stack.api), own.split("?")[1]
        for other in (path.replace(f"/{OWN}/", f"/{OTHER}/"), f"{API}/files/{OTHER}/{secret}",
                      f"{API}/files/{OWN}/../{OTHER}/{secret}", f"{API}/files/{OWN}/%2e%2e/{OTHER}/{secret}"):
            found = httpx.get(f"{stack.api}{other}?{query}")
            assert (found.status_code, found.text == "secret") == (404, False), other
        asked = client.get(f"/analyses/{mine.id}/links", params={"path": secret})
        assert asked.status_code in (400, 404)


def test_a_stream_tells_only_of_ones_own_c72(stack: Stack) -> None:
    """What happened in the other project first is not in it when one's own comes."""
    with stack.client_of("viewer@lab.example", OWN) as mine, mine.stream("GET", "/analyses/events") as stream:
        lines = stream.iter_lines()
        assert any(line.startswith("data:") for line in lines)  # that it has begun
        other = plant(stack, an_old_one(OTHER, "Told to others"))
        own = plant(stack, an_old_one(OWN, "Told to us"))
        told = []
        for line in lines:
            told.append(line)
            if own.id in line:
                break
    assert other.id not in "".join(told)


def test_a_right_that_is_taken_away_ends_within_seconds_c79(stack: Stack) -> None:
    put_member(stack.ports, OWN, "leaver@lab.example", Role.EDITOR, by="test")
    with stack.client_of("leaver@lab.example") as leaver:
        assert leaver.get("/analyses").status_code == 200
        assert stack.client.delete("/members/leaver@lab.example").status_code == 204
        stack.until(lambda: leaver.get("/analyses").status_code == 404)


def test_the_last_admin_stays(stack: Stack) -> None:
    project = stack.add_project("last-admin")
    with stack.client_of(ADA, project) as client:
        assert client.put("/members/Eve@Lab.example", json={"role": "admin"}).status_code == 201
        with stack.client_of("eve@lab.example", project) as eve:
            for refused in (eve.delete("/members/eve@lab.example"),
                            eve.put("/members/eve@lab.example", json={"role": "viewer"})):
                assert (refused.status_code, refused.json()["code"]) == (409, "last-admin")
            assert eve.put("/members/bob@lab.example", json={"role": "admin"}).status_code == 201
            assert eve.delete("/members/eve@lab.example").status_code == 204
        first = client.get("/members/bob@lab.example").headers["etag"]
        assert client.get("/members/bob@lab.example", headers={"If-None-Match": first}).status_code == 304
        seen = {"If-Match": first}
        added = client.put("/members/dot@lab.example", json={"role": "editor"})
        changed = client.put("/members/dot@lab.example", json={"role": "viewer"}, headers={
            "If-Match": added.headers["etag"]
        })
        assert changed.status_code == 200
        for late in (client.put("/members/dot@lab.example", json={"role": "admin"}, headers=seen),
                     client.delete("/members/dot@lab.example", headers={"If-Match": added.headers["etag"]}),
                     client.put("/members/none@lab.example", json={"role": "admin"}, headers=seen)):
            assert (late.status_code, late.json()["code"]) == (412, "changed-meanwhile")
        removed = client.delete("/members/dot@lab.example", headers={"If-Match": changed.headers["etag"]})
        assert removed.status_code == 204
        assert [each["email"] for each in client.get("/members").json()["items"]] == ["bob@lab.example"]
        assert client.put("/members/no address", json={"role": "admin"}).status_code == 422


def test_nobody_asks_in_anothers_name(stack: Stack) -> None:
    body = {"display_id": "Posed", "pipeline": "fail-on-request", "inputs": {}, "requested_by": "bob@lab.example"}
    answer = stack.client.post("/analyses", json=body)
    assert (answer.status_code, answer.json()["reasons"][0]["field"]) == (422, "requested_by")


# -- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "place"), [
    ("https://evil.example", "/analyses"), ("//evil.example", "/analyses"), ("/\\evil.example", "/analyses"),
    ("/\t/evil.example", "/analyses"), ("javascript:alert(1)", "/analyses"), ("", "/analyses"),
    ("/analyses?tab=failed", "/analyses?tab=failed"),
])
def test_signing_in_leads_to_places_of_ours_alone_c77(stack: Stack, wanted: str, place: str) -> None:
    answer = httpx.post(f"{stack.api}/login", data={"email": "viewer@lab.example", "next": wanted})
    assert (answer.status_code, answer.headers["location"]) == (303, place)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie


def test_no_other_site_signs_in_or_asks_by_the_cookie(stack: Stack) -> None:
    with httpx.Client(base_url=stack.api) as browser:
        foreign = {"Sec-Fetch-Site": "cross-site"}
        assert browser.post("/login", data={"email": "admin@lab.example"}, headers=foreign).status_code == 403
        assert browser.post("/login", data={"email": "admin@lab.example"}).status_code == 303
        here = {"X-Project-ID": OWN}
        assert browser.get(f"{API}/analyses", headers=here).status_code == 200
        refused = browser.put(f"{API}/members/eve@lab.example", json={"role": "admin"}, headers=here)
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf")
        assert browser.post("/logout").status_code == 403
    rebound = httpx.get(f"{stack.api}/login", headers={"Host": "evil.example"})
    assert rebound.status_code == 404


@pytest.mark.parametrize("form", [{"data": {"email": ["x" * 500_000] * 10}}, {"files": {"email": b"x" * 5_000_000}},
                                  {"files": {f"part-{n}": (None, b"x" * 500_000) for n in range(10)}}])
def test_a_form_is_no_longer_than_it_may_be_whoever_sends_it(stack: Stack, form: dict[str, Any]) -> None:
    answer = httpx.post(f"{stack.api}/login", **form)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    with httpx.Client(base_url=stack.api) as browser:  # one that stands before the CSRF token is looked for
        browser.post("/login", data={"email": "admin@lab.example"})
        assert browser.post("/filters", **form).status_code == 413


def test_answers_tell_browsers_to_run_and_frame_nothing_foreign(stack: Stack) -> None:
    page = httpx.get(f"{stack.api}/login")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy and "frame-ancestors 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"


def test_no_token_is_in_a_line_of_the_log_c79(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    token = stack.token()
    stack.client.get("/analyses")
    logs = [file.read_text(errors="replace") for file in stack.state_dir.rglob("*.log")]
    assert not [text for text in logs if token.rpartition(".")[2] in text or "eyJ" in text]


def test_more_than_one_person_may_ask_for_is_429_and_says_when(tmp_path_factory: pytest.TempPathFactory) -> None:
    with stack_over(tmp_path_factory.mktemp("limited"), rate_per_s=0.2, rate_burst=3) as limited:
        answers = [limited.client.get("/projects") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 5
        assert answers[-1].json()["code"] == "too-many-requests"
        with limited.client_of("somebody@lab.example") as another:
            assert another.get("/projects").status_code == 200
