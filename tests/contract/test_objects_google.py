"""Cloud Storage's own ways: large files in pieces, checksums, files that jobs write, folders, signed addresses."""

from __future__ import annotations

import base64
import filecmp
import json
import os
import time
import tracemalloc
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google.auth.credentials import Credentials

from infra.local.emulators import adopt
from shared.adapters.google.addresses import signed_urls
from shared.adapters.google.objects import StorageObjects, storage_client
from shared.domain.errors import Unavailable

MIB = 1 << 20


def test_a_large_file_goes_up_and_down_in_bounded_memory(cloud_objects: StorageObjects, tmp_path: Path) -> None:
    source = tmp_path / "table.parquet"
    source.write_bytes(os.urandom(MIB) * 64)
    tracemalloc.start()
    written = cloud_objects.upload("b", "cache/table", source, if_generation=0)
    with cloud_objects.local("b", "cache/table") as copy:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert filecmp.cmp(copy, source, shallow=False)
        assert cloud_objects.stat("b", "cache/table") == written
    assert peak < 24 * MIB
    assert not copy.exists(), "gone with its context"


def test_a_download_that_was_damaged_is_not_given_out(cloud_objects: StorageObjects, storage_root: Path) -> None:
    cloud_objects.write("b", "calls.vcf", b"##fileformat")
    with (storage_root / "b" / "calls.vcf").open("r+b") as file:  # in place: the server's checksum stays
        file.write(b"XX")
    with pytest.raises(Unavailable, match="damaged"), cloud_objects.local("b", "calls.vcf"):
        pass


def test_a_file_that_a_job_wrote_into_the_folder_is_an_object(
    cloud_objects: StorageObjects, storage_root: Path
) -> None:
    folder = storage_root / "b" / "analyses" / "x"
    folder.mkdir(parents=True)
    (folder / "calls.vcf").write_bytes(b"##fileformat")
    adopt(storage_root)
    first = cloud_objects.stat("b", "analyses/x/calls.vcf")
    assert list(cloud_objects.list("b", "analyses/x/")) == [first]
    adopt(storage_root)
    assert cloud_objects.stat("b", "analyses/x/calls.vcf") == first
    (folder / "calls.vcf").write_bytes(b"longer than before")
    eventually(lambda: cloud_objects.stat("b", "analyses/x/calls.vcf").generation > first.generation)
    with cloud_objects.local("b", "analyses/x/calls.vcf") as file:
        assert file.read_bytes() == b"longer than before"


def test_a_listing_that_meets_a_file_unknown_as_yet_is_not_an_empty_one(
    cloud_objects: StorageObjects, storage_root: Path
) -> None:
    (storage_root / "b" / "new").write_bytes(b"1")
    try:
        assert [file.path for file in cloud_objects.list("b", "")] == ["new"]
    except Unavailable:
        assert eventually(lambda: cloud_objects.stat("b", "new"))


def test_folders_that_the_console_makes_are_no_files(cloud_objects: StorageObjects, storage_address: str) -> None:
    client = storage_client("test", emulator=storage_address)
    cloud_objects.write("b", "a/x", b"1")
    listed = client.list_blobs("b")
    assert [blob.name for blob in listed] == ["a/x"]
    # The local server cannot hold `a/` beside `a/x`, so what the console would leave is put into a listing of its own.
    blobs = [client.bucket("b").blob("a/"), client.bucket("b").get_blob("a/x")]
    assert [seen.path for seen in StorageObjects(Listing(blobs), lambda *_: "").list("b", "")] == ["a/x"]


class Listing:
    """A client that knows one listing."""

    def __init__(self, blobs: list[Any]) -> None:
        self.blobs = blobs

    def list_blobs(self, *_: Any, **__: Any) -> list[Any]:
        return self.blobs


def test_a_local_address_can_be_opened(cloud_objects: StorageObjects) -> None:
    cloud_objects.write("b", "analyses/x y/report é.html", b"<p>")
    url = cloud_objects.url("b", "analyses/x y/report é.html", expires_in_s=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"<p>"


# -- signed addresses -----------------------------------------------------------------------------------------------


class Token(Credentials):
    """As the metadata server's: the name of the service account is known after a refresh only."""

    service_account_email = "default"

    def refresh(self, request: Any) -> None:
        self.token, self.expiry = "token-1", datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
        self.service_account_email = "iflow-web@lab.iam.gserviceaccount.com"


class Iam:
    """Google's IAM as google.auth's transport meets it."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[tuple[str, bytes, str]] = []
        self.status = status
        self.data = json.dumps({"signedBlob": base64.b64encode(b"\xabsignature").decode()}).encode()

    def __call__(self, *, url: str, method: str, body: bytes, headers: dict[str, str]) -> Iam:
        assert method == "POST"
        self.asked.append((url, base64.b64decode(json.loads(body)["payload"]), headers["authorization"]))
        return self


@pytest.fixture
def signed(storage_address: str) -> Callable[[Any], StorageObjects]:
    client = storage_client("test", emulator=storage_address)
    return lambda iam: StorageObjects(client, signed_urls(client, Token(), iam))  # type: ignore[no-untyped-call]


def test_an_address_is_signed_by_iam_and_by_no_key_file(signed: Callable[[Any], StorageObjects]) -> None:
    iam = Iam()
    objects = signed(iam)
    url = urlsplit(objects.url("b", "analyses/x y/report é.html", expires_in_s=900))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert url.path == "/b/analyses/x%20y/report%20%C3%A9.html"
    assert query["X-Goog-Algorithm"] == "GOOG4-RSA-SHA256"
    assert query["X-Goog-Expires"] == "900"
    assert query["X-Goog-Credential"].startswith("iflow-web@lab.iam.gserviceaccount.com/")
    assert query["response-content-disposition"] == "attachment; filename*=UTF-8''report%20%C3%A9.html"
    assert query["X-Goog-Signature"] == b"\xabsignature".hex()
    ((asked, payload, authorization),) = iam.asked
    assert asked.endswith("/serviceAccounts/iflow-web@lab.iam.gserviceaccount.com:signBlob")
    assert payload.startswith(b"GOOG4-RSA-SHA256\n")
    assert authorization == "Bearer token-1"
    longest = objects.url("b", "another", expires_in_s=10**9)
    assert "X-Goog-Expires=604800" in longest, "seven days are the most that V4 allows"


def test_a_service_account_that_may_not_sign_is_said_and_may_pass(signed: Callable[[Any], StorageObjects]) -> None:
    iam = Iam(status=403)
    iam.data = b"iam.serviceAccounts.signBlob denied"
    with pytest.raises(Unavailable, match="signBlob denied"):
        signed(iam).url("b", "x", expires_in_s=60)


def eventually(look: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(0.05)
    return found
