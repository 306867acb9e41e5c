"""Files of an analysis, whole, by range, by signed address, and all of them as one archive (C70)."""

from __future__ import annotations

import io
import json
import os
import resource
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from shared.domain.analysis import Output
from shared.domain.pipeline import OutputKind
from tests.flow.planted import an_old_one, plant
from tests.flow.stack import Stack
from tests.flow.stacks import only_embedded

FILES = {
    "calls.vcf.gz": b"\x1f\x8b calls", "calls.vcf.gz.tbi": b"index", "empty.txt": b"",
    f"{'deep/' * 30}einé Datei.txt": b"x" * 1_500_000, "report.html": b"<script>alert(1)</script>",
}
LOCAL = "in the cloud, Cloud Storage checks its own signatures"


@pytest.fixture(scope="module")
def made(stack: Stack) -> str:
    return an_analysis_with(stack, "Archived", FILES)


def an_analysis_with(stack: Stack, display_id: str, files: dict[str, bytes]) -> str:
    folder = f"analyses/{display_id.lower()}/"
    seen = [stack.ports.objects.write("demo", folder + name, content) for name, content in sorted(files.items())]
    outputs = tuple(
        Output(path=file.path, kind=OutputKind.OTHER, size=file.size, crc32c=file.crc32c, generation=file.generation)
        for file in seen
    )
    return plant(stack, an_old_one("demo", display_id, outputs=outputs, outputs_total=len(outputs))).id


@pytest.fixture
def anybody(stack: Stack) -> Iterator[httpx.Client]:
    """Without a token, and without a project."""
    with httpx.Client(timeout=30) as client:
        yield client


def test_a_vcf_and_its_index_have_addresses_that_need_no_token(
    stack: Stack, made: str, anybody: httpx.Client
) -> None:
    """C70: the same to the byte each time, expiring, usable as they are, also by range."""
    asked = {"path": "calls.vcf.gz"}
    (item,) = stack.client.get(f"/analyses/{made}/links", params=asked).json()["items"]
    assert stack.client.get(f"/analyses/{made}/links", params=asked).json()["items"] == [item]
    redirected = stack.client.get(f"/analyses/{made}/outputs/calls.vcf.gz", params={"redirect": True})
    assert (redirected.status_code, redirected.headers["location"]) == (307, item["url"])
    assert anybody.get(item["url"]).content == FILES["calls.vcf.gz"]
    assert anybody.get(item["index"]).content == FILES["calls.vcf.gz.tbi"]
    part = anybody.get(item["url"], headers={"Range": "bytes=0-1"})
    assert (part.status_code, part.content) == (206, b"\x1f\x8b")


@only_embedded(LOCAL)
@pytest.mark.parametrize(("old", "new"), [
    ("calls.vcf.gz?", "report.html?"), ("expires=", "expires=9"), ("/demo/", "/other/"), ("signature=", "signature=0"),
    ("?", "?project=demo&x="),
])
def test_an_address_is_of_one_file_until_one_moment(
    stack: Stack, made: str, anybody: httpx.Client, old: str, new: str
) -> None:
    (item,) = stack.client.get(f"/analyses/{made}/links", params={"path": "calls.vcf.gz"}).json()["items"]
    assert anybody.get(item["url"].replace(old, new, 1)).status_code == 404


@only_embedded(LOCAL)
def test_an_address_that_has_expired_is_of_nothing(stack: Stack, made: str, anybody: httpx.Client) -> None:
    url = stack.ports.objects.url("demo", "analyses/archived/report.html", expires_in_s=-1)
    assert anybody.get(f"{stack.api}{url}").status_code == 404


@only_embedded(LOCAL)
def test_a_page_that_was_put_into_a_bucket_runs_nothing(stack: Stack, made: str, anybody: httpx.Client) -> None:
    (item,) = stack.client.get(f"/analyses/{made}/links", params={"path": "report.html"}).json()["items"]
    for answer in (anybody.get(item["url"]), stack.client.get(f"/analyses/{made}/outputs/report.html")):
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("sandbox;")


def test_all_outputs_are_one_archive_with_a_manifest(stack: Stack, made: str) -> None:
    answer = stack.client.get(f"/analyses/{made}/archive")
    assert answer.headers["content-type"] == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        found = {member.name: member for member in tar}
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        contents = {name: tar.extractfile(found[f"archived/{name}"]).read() for name in FILES}  # type: ignore[union-attr]
    assert contents == FILES
    (listed,) = manifest["analyses"]
    assert {file["path"]: file["size"] for file in listed["files"]} == {n: len(c) for n, c in FILES.items()}
    assert all(file["crc32c"] for file in listed["files"])


def test_any_range_of_an_archive_is_sent_and_a_transfer_is_resumed(stack: Stack, made: str) -> None:
    address = f"/analyses/{made}/archive"
    whole = stack.client.get(address)
    size = len(whole.content)
    assert stack.client.head(address).headers["content-length"] == str(size)
    for start in (0, 1, 511, 512, 1_000, 3_000, 100_000, size - 1_025, size - 1):
        headers = {"Range": f"bytes={start}-{start + 2_000}", "If-Range": whole.headers["etag"]}
        part = stack.client.get(address, headers=headers)
        assert (part.status_code, part.content) == (206, whole.content[start:start + 2_001])
    rest = stack.client.get(address, headers={"Range": "bytes=700000-", "If-Range": whole.headers["etag"]})
    assert rest.content == whole.content[700_000:]
    other = stack.client.get(address, headers={"Range": "bytes=5-", "If-Range": '"another"'})
    assert (other.status_code, len(other.content)) == (200, size)


def test_several_analyses_are_one_archive(stack: Stack, made: str) -> None:
    second = an_analysis_with(stack, "Second", {"a.txt": b"a"})
    answer = stack.client.get("/archives", params={"analysis": [made, second, made]})
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        names = tar.getnames()
    assert names == ["manifest.json", *(f"archived/{name}" for name in sorted(FILES)), "second/a.txt"]
    other = stack.add_project("archivist")
    refused = stack.client.get("/archives", params={"analysis": made}, headers={"X-Project-ID": other})
    assert refused.status_code == 404


@only_embedded("files are changed in its folder")
def test_an_archive_is_never_silently_short(stack: Stack) -> None:
    """What is gone or was changed is named, and nothing is sent."""
    made = an_analysis_with(stack, "Short", {"a.txt": b"a", "b.txt": b"b", "c.txt": b"c"})
    folder = Path(stack.settings.objects_dir) / "demo/analyses/short"
    (folder / "a.txt").unlink()
    (folder / "c.txt").write_bytes(b"another")
    answer = stack.client.get(f"/analyses/{made}/archive")
    assert (answer.status_code, answer.json()["code"]) == (409, "outputs-changed")
    assert [reason["field"] for reason in answer.json()["reasons"]] == [
        "analyses/short/a.txt", "analyses/short/c.txt",
    ]


@only_embedded("files are changed in its folder")
def test_20_gb_are_sent_in_constant_memory(stack: Stack) -> None:
    """Of a file with 20 GB (a hole but for its end) ranges are read, and 300 MB of it in one go, alone and as part of
    an archive: what the server holds grows by less than 40 MB."""
    big = 20_000_000_000
    folder = Path(stack.settings.objects_dir) / "demo/analyses/huge"
    folder.mkdir(parents=True)
    with (folder / "reads.bam").open("wb") as file:
        file.truncate(big - 4)
        file.seek(0, os.SEEK_END)
        file.write(b"tail")
    generation = (folder / "reads.bam").stat().st_mtime_ns
    output = Output(path="analyses/huge/reads.bam", kind=OutputKind.OTHER, size=big, crc32c="AAAAAA==",
                    generation=generation)
    made = plant(stack, an_old_one("demo", "Huge", outputs=(output,), outputs_total=1)).id
    address, archive = f"/analyses/{made}/outputs/reads.bam", f"/analyses/{made}/archive"
    assert stack.client.head(address).headers["content-length"] == str(big)
    end = stack.client.get(address, headers={"Range": f"bytes={big - 6}-"})
    assert (end.content, end.headers["content-range"]) == (b"\0\0tail", f"bytes {big - 6}-{big - 1}/{big}")
    total = int(stack.client.head(archive).headers["content-length"])
    assert total > big
    inside = stack.client.get(archive, headers={"Range": f"bytes={total - 2_000}-"}).content
    assert b"tail" in inside
    before = held_kib()
    for path in (address, archive):
        headers = {"Range": "bytes=10000000000-10299999999"}
        with stack.client.stream("GET", path, headers=headers) as answer:
            assert sum(len(chunk) for chunk in answer.iter_raw()) == 300_000_000
    assert held_kib() - before < 40_000


def held_kib() -> int:
    """The most that this process has held so far: it is the client, and the embedded stack's server, too."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@only_embedded(LOCAL)
def test_the_address_is_below_this_service(stack: Stack, made: str) -> None:
    (item,) = stack.client.get(f"/analyses/{made}/links", params={"path": "empty.txt"}).json()["items"]
    assert (urlsplit(item["url"]).netloc, item["index"]) == (urlsplit(stack.api).netloc, None)
