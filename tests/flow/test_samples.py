"""Samples, and the files that are sent into their folders, by REST and at the command line."""

from __future__ import annotations

import base64
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import httpx
import pytest

from services.cli import uploading
from services.cli.api import Api
from services.cli.exits import Exit
from shared.domain.upload import problem_with_name
from tests.flow.proxy import Proxy
from tests.flow.stack import Iflow, Stack, lines
from tests.flow.test_rest_files import VCF

MIB = 1 << 20


def crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


def registered(stack: Stack, name: str, **fields: Any) -> str:
    answer = stack.client.post("/samples", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["slug"])


def begun(stack: Stack, sample: str, name: str, data: bytes, **fields: Any) -> httpx.Response:
    body = {"name": name, "size": len(data), "crc32c": crc32c(data), **fields}
    return stack.client.post(f"/samples/{sample}/uploads", json=body)


def put(stack: Stack, session: str, data: bytes, start: int, size: int) -> httpx.Response:
    """Without a token: the address is proof enough."""
    span = f"bytes {start}-{start + len(data) - 1}/{size}" if data else f"bytes */{size}"
    return httpx.put(f"{stack.api}{session}", content=data, headers={"Content-Range": span})


# -- samples ----------------------------------------------------------------------------------------------------------


def test_a_sample_is_registered_once_and_found_by_what_is_known_of_it(stack: Stack) -> None:
    body = {"name": "NA 12878/X", "sex": "female", "external_ids": {"lims": "4711"}}
    key = {"Idempotency-Key": "lims-4711"}
    made = stack.client.post("/samples", json=body, headers=key)
    assert (made.status_code, made.json()["slug"]) == (201, "na-12878-x")
    again = stack.client.post("/samples", json=body, headers=key)
    assert (again.status_code, again.json()) == (200, made.json())
    other = stack.client.post("/samples", json={**body, "sex": "male"}, headers=key)
    assert (other.status_code, other.json()["reasons"][0]["field"]) == (422, "request_id")
    taken = stack.client.post("/samples", json={"name": "na_12878 x"})
    assert (taken.status_code, taken.json()["code"]) == (409, "already-registered")
    assert "'NA 12878/X', which ada@lab.example registered" in taken.json()["detail"]
    for refused in ({"name": "…"}, {"name": "a\u202eb"}, {}, {"name": "x", "sex": "both"}, {"name": "x", "colour": 1},
                    {"name": "x", "phenotypes": ["fits"]}, {"name": "x", "external_ids": {"LIMS": "1"}}):
        assert stack.client.post("/samples", json=refused).status_code == 422, refused
    registered(stack, "NA12877")
    for query in ({"text": "na-12878"}, {"text": "8/X"}, {"external_id": "4711"}, {"sex": "female"},
                  {"text": "12878", "external_id": "4711", "sex": "female", "created_by": "ada@lab.example"}):
        found = stack.client.get("/samples", params=query).json()
        assert [sample["slug"] for sample in found["items"]] == ["na-12878-x"], query
    first = stack.client.get("/samples", params={"limit": 1, "text": "na"}).json()
    second = stack.client.get("/samples", params={"limit": 1, "text": "na", "cursor": first["next"]}).json()
    assert [first["items"][0]["slug"], second["items"][0]["slug"]] == ["na12877", "na-12878-x"]
    assert stack.client.get("/samples", params={"text": "no", "cursor": first["next"]}).status_code == 400


def test_what_is_stated_of_a_sample_changes_on_condition(stack: Stack) -> None:
    path = f"/samples/{registered(stack, 'Stated', sex='male', note='First draw.')}"
    first = stack.client.get(path)
    assert stack.client.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    changed = stack.client.patch(path, json={"sex": "unknown"}, headers={"If-Match": first.headers["etag"]})
    assert (changed.status_code, changed.json()["sex"], changed.json()["note"]) == (200, "unknown", "First draw.")
    late = stack.client.patch(path, json={"sex": "female"}, headers={"If-Match": first.headers["etag"]})
    assert (late.status_code, late.json()["code"]) == (412, "changed-meanwhile")
    assert stack.client.patch(path, json={"name": "Other"}).status_code == 422
    assert stack.client.patch(path, json={"sex": "unknown"}).headers["etag"] == changed.headers["etag"]
    told = stack.client.get("/audit", params={"document": "samples/stated"}).json()["items"]
    assert [(entry["action"], entry["changed"]) for entry in told] == [("changed", ["sex"]), ("created", [])]
    assert "male" not in json.dumps(told), "the trail has no patient's data"


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_appears_whole_and_an_analysis_and_an_order_use_it(stack: Stack) -> None:
    sample, data = registered(stack, "S1"), VCF.encode()
    upload = begun(stack, sample, "S1.vcf", data).json()
    assert upload["path"] == "samples/s1/uploads/S1.vcf"
    here = f"/samples/{sample}/uploads/{upload['id']}"
    assert put(stack, upload["session"], data[:100], 0, len(data)).headers["range"] == "bytes=0-99"
    early = stack.client.post(f"{here}/finish")
    assert (early.status_code, early.json()["code"]) == (409, "not-whole")
    assert stack.client.get(f"/samples/{sample}/files").json()["folders"] == []
    assert stack.client.get(here).json()["arrived"] == 100
    again = begun(stack, sample, "S1.vcf", data)
    assert (again.status_code, again.json()) == (200, {**upload, "arrived": 100}), "found again, by what it is"
    assert put(stack, upload["session"], b"", 0, len(data)).status_code == 308
    last = put(stack, upload["session"], data[100:], 100, len(data))
    assert (last.status_code, last.json()["crc32c"]) == (200, crc32c(data))
    done = stack.client.post(f"{here}/finish").json()
    assert (done["status"], done["session"], stack.client.post(f"{here}/finish").json()) == ("complete", None, done)
    files = stack.client.get(f"/samples/{sample}/files", params={"folder": "uploads/"}).json()["files"]
    assert [(file["path"], file["size"]) for file in files] == [(upload["path"], len(data))]
    made = stack.submit("Of S1", pipeline="vcf-normalize", inputs={"vcf": upload["path"]}, samples=[{"name": "S1"}])
    order = stack.client.post("/orders", json={"display_id": "O of S1", "samples": [{"name": "S1"}]}).json()
    uses = stack.client.get(f"/samples/{sample}/uses").json()
    assert ([each["id"] for each in uses["analyses"]], [each["id"] for each in uses["orders"]]) == (
        [made["id"]], [order["id"]]
    )
    stack.until_status(made["id"], "succeeded")


def test_a_wrong_checksum_is_refused_and_recorded(stack: Stack) -> None:
    sample, data = registered(stack, "Damaged"), os.urandom(10_000)
    upload = begun(stack, sample, "x.bam", data).json()
    refused = put(stack, upload["session"], data[:-1] + b"\0", 0, len(data))
    assert (refused.status_code, refused.json()["code"]) == (400, "other-bytes")
    ended = stack.client.post(f"/samples/{sample}/uploads/{upload['id']}/finish")
    assert (ended.status_code, ended.json()["code"]) == (409, "upload-failed")
    (listed,) = stack.client.get(f"/samples/{sample}/uploads").json()["items"]
    assert (listed["status"], "checksum" in listed["failure"]) == ("failed", True)
    assert stack.client.get(f"/samples/{sample}/files").json() == {"folders": [], "files": [], "next": None}
    told = stack.client.get("/audit", params={"document": f"uploads/{upload['id']}"}).json()["items"]
    assert told[0]["after"] == {"status": "failed"}
    anew = begun(stack, sample, "x.bam", data)
    assert (anew.status_code, anew.json()["id"], anew.json()["arrived"]) == (201, upload["id"], 0)
    assert anew.json()["session"] != upload["session"]
    assert put(stack, anew.json()["session"], data, 0, len(data)).status_code == 200


def test_of_two_files_of_one_name_the_first_stays_unless_the_other_may_replace_it(stack: Stack) -> None:
    sample, one, two = registered(stack, "Twice"), b"one", b"the other"
    first, second = (begun(stack, sample, "x.vcf", data).json() for data in (one, two))
    assert put(stack, first["session"], one, 0, 3).status_code == 200
    late = put(stack, second["session"], two, 0, 9)
    assert (late.status_code, late.json()["code"]) == (412, "changed-meanwhile")
    assert stack.client.post(f"/samples/{sample}/uploads/{second['id']}/finish").json()["code"] == "upload-failed"
    there = begun(stack, sample, "x.vcf", two)
    assert (there.status_code, there.json()["code"]) == (409, "file-exists")
    replacing = begun(stack, sample, "x.vcf", two, replace=True).json()
    assert put(stack, replacing["session"], two, 0, 9).status_code == 200
    assert stack.ports.objects.read("demo", first["path"]) == two
    assert begun(stack, sample, "x.vcf", two).json()["status"] == "complete"


def test_what_cannot_be_sent_is_refused_before_a_byte_is(stack: Stack) -> None:
    sample = registered(stack, "Refused")
    names = ("../x", "a/b", "a\\b", ".iflow-x", "-rf", "a\nb", "a\u202eb", "x" * 201, " x", "x ", "a*b", "e\u0301", "")
    for name in names:
        assert problem_with_name(name), name
        assert begun(stack, sample, name, b"x").status_code == 422, name
    for field, value in (("size", 0), ("size", 10**15), ("crc32c", "AAAA"), ("crc32c", "no"), ("crc32c", None)):
        refused = begun(stack, sample, "x", b"x", **{field: value})
        assert (refused.status_code, refused.json()["reasons"][0]["field"]) == (422, field)
    session = begun(stack, sample, "x", b"0123456789").json()["session"]
    for span in ("bytes 0-10/10", "bytes 5-4/10", "bytes 0-9/11", "lines 0-9/10", "bytes -1-9/10"):
        refused = httpx.put(f"{stack.api}{session}", content=b"x", headers={"Content-Range": span})
        assert (refused.status_code, refused.json()["code"]) == (400, "bad-range"), span
    longer = httpx.put(f"{stack.api}{session}", content=b"0" * 11, headers={"Content-Range": "bytes 0-9/10"})
    assert (longer.status_code, longer.json()["code"]) == (400, "bad-range")
    assert httpx.put(f"{stack.api}/api/v1/uploads/{'x' * 43}", content=b"x").status_code == 404


def test_another_tenants_sample_takes_no_file(stack: Stack) -> None:
    """C72: its slug is like one that does not exist, and so is its upload beside one's own sample."""
    sample, data = registered(stack, "Ours"), b"ours"
    upload = begun(stack, sample, "x.vcf", data).json()
    stack.add_project("ward")
    with stack.client_of("ada@lab.example", "ward") as ward:
        body = {"name": "x.vcf", "size": 4, "crc32c": crc32c(data)}
        assert ward.post(f"/samples/{sample}/uploads", json=body).status_code == 404
        assert ward.get(f"/samples/{sample}/uploads/{upload['id']}").status_code == 404
        assert ward.post("/samples", json={"name": "Ours"}).status_code == 201
        assert ward.get(f"/samples/{sample}/uploads/{upload['id']}").status_code == 404
        theirs = ward.post(f"/samples/{sample}/uploads", json=body).json()
        assert theirs["id"] != upload["id"]
        assert put(stack, theirs["session"], data, 0, 4).status_code == 200
    assert stack.client.get(f"/samples/{sample}/files").json()["folders"] == []


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy(stack: Stack) -> Iterator[Proxy]:
    between = Proxy(stack.api.removeprefix("http://"))
    yield between
    between.close()


def test_an_upload_that_was_cut_goes_on_where_it_was_in_constant_memory(
    stack: Stack, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IFLOW_TOKEN", stack.token())
    sample, file = registered(stack, "Cut"), tmp_path / "reads.bam"
    file.write_bytes(os.urandom(MIB) * 96)
    heard: list[int] = []

    def told(have: int) -> None:
        heard.append(have)
        if have == 64 * MIB:
            with proxy.cut():
                pass

    api = Api(f"http://{proxy.address}")
    api.for_project("demo")
    tracemalloc.start()
    upload, sent = uploading.send(api, sample, file, name=file.name, replace=False, told=told)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (upload["status"], upload["crc32c"], sent) == ("complete", uploading.crc32c_of(file), True)
    went_on = heard[heard.index(64 * MIB) + 1:]
    assert went_on and min(heard[i + 1] for i in range(len(heard) - 1) if heard[i + 1] < heard[i]) > 2 * MIB
    assert peak < 40 * MIB
    assert uploading.send(api, sample, file, name=file.name, replace=False, told=told)[1] is False
    api.close()


def test_samples_and_their_files_at_the_command_line(stack: Stack, iflow: Iflow, tmp_path: Path) -> None:
    made = iflow("samples", "register", "HG 002", "--sex", "male", "--role", "proband", "--id", "lims=17",
                 "--phenotype", "HP:0001250")
    assert (made.exit_code, lines(made.stdout)) == (Exit.DONE, ["hg-002"])
    assert iflow("samples", "register", "HG 002").exit_code == Exit.BAD_DATA
    file, missing = tmp_path / "HG002.vcf", tmp_path / "missing.vcf"
    file.write_text(VCF)
    half = len(VCF) // 2
    upload = begun(stack, "hg-002", file.name, VCF.encode()).json()  # somewhere else, and broken off
    put(stack, upload["session"], VCF.encode()[:half], 0, len(VCF))
    sent = iflow("samples", "upload", "HG 002", str(file), str(missing))
    assert (sent.exit_code, lines(sent.stdout)) == (Exit.PARTLY_DONE, ["samples/hg-002/uploads/HG002.vcf"])
    assert "missing.vcf cannot be read" in sent.stderr
    assert stack.ports.objects.read("demo", upload["path"]) == VCF.encode()
    again = iflow("samples", "upload", "hg-002", str(file), "--json")
    assert (again.exit_code, json.loads(again.stdout)["items"][0]["sent"]) == (Exit.DONE, False)
    file.write_text(VCF + "#")
    assert iflow("samples", "upload", "hg-002", str(file)).exit_code == Exit.BAD_DATA
    assert iflow("samples", "upload", "hg-002", str(file), "--replace").exit_code == Exit.DONE
    assert iflow("samples", "upload", "nobody", str(file)).exit_code == Exit.BAD_DATA
    assert iflow("samples", "upload", "hg-002", str(file), IFLOW_API="http://127.0.0.1:1").exit_code == (
        Exit.NOT_REACHABLE
    )
    viewer = {"IFLOW_TOKEN": stack.token("nobody@lab.example")}
    assert iflow("samples", "list", **viewer).exit_code == Exit.BAD_DATA
    listed = iflow("samples", "list", "--text", "hg-002")
    assert "lims=17" in listed.stdout and "proband" in listed.stdout
    shown = iflow("samples", "show", "HG 002")
    assert all(words in shown.stdout for words in ("HP:0001250", "samples/hg-002/uploads/HG002.vcf"))
    assert json.loads(iflow("samples", "show", "HG 002", "--json").stdout)["uploads"][0]["status"] == "complete"


def test_what_is_kept_by_config_holds_until_something_else_is_said(
    stack: Stack, iflow: Iflow, tmp_path: Path
) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path), "IFLOW_API": "", "IFLOW_PROJECT": ""}
    assert iflow("config", "get", "api", **home).exit_code == Exit.BAD_DATA
    for name, wrong in (("api", "lab.example"), ("project", "No Project"), ("output", "xml"), ("colour", "red")):
        assert iflow("config", "set", name, wrong, **home).exit_code == Exit.USAGE
    for name, value in (("api", stack.api), ("project", "demo"), ("output", "json")):
        assert iflow("config", "set", name, value, **home).exit_code == Exit.DONE
    file = tmp_path / "iflow" / "config.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert lines(iflow("config", "get", "project", IFLOW_OUTPUT="table", **home).stdout) == ["demo"]
    assert "items" in json.loads(iflow("samples", "list", **home).stdout)
    assert iflow("samples", "list", IFLOW_OUTPUT="table", **home).stdout.startswith("SAMPLE")
    listed = json.loads(iflow("config", "list", **{**home, "IFLOW_PROJECT": "ward"}).stdout)["items"]
    assert [(each["name"], each["value"], each["from"]) for each in listed] == [
        ("api", stack.api, str(file)), ("project", "ward", "IFLOW_PROJECT"), ("output", "json", str(file)),
    ]
    assert iflow("config", "set", "api", **home).exit_code == Exit.DONE
    assert iflow("config", "get", "api", **home).exit_code == Exit.BAD_DATA
