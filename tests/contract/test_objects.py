"""What ports.Objects promises, of every adapter: generations, preconditions, ranges, and paths that stay inside."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from shared.adapters.embedded.objects import DirectoryObjects
from shared.domain.errors import Conflict, NotFound, Permanent
from shared.ports import Objects

ESCAPES = [
    "", "/etc/passwd", "../other/x", "a/../../other/x", "a/./b", "a//b", "gs://other/x", "a\\b", "a\x00b", "a\nb",
    "..", ".", "a/" + "x" * 1_024,
]


def test_what_was_written_is_seen_and_read(objects: Objects) -> None:
    written = objects.write("b", "analyses/x/calls.vcf", b"##fileformat\n")
    assert (written.path, written.size) == ("analyses/x/calls.vcf", 13)
    checksum = google_crc32c.Checksum(b"##fileformat\n").digest()
    assert written.crc32c == base64.b64encode(checksum).decode()
    assert written.updated_at.utcoffset() is not None
    assert objects.stat("b", "analyses/x/calls.vcf") == written
    assert objects.read("b", "analyses/x/calls.vcf") == b"##fileformat\n"


def test_what_is_not_there(objects: Objects) -> None:
    objects.write("b", "folder/x", b"1")
    assert objects.stat("b", "y") is None
    assert objects.stat("b", "folder") is None
    assert objects.stat("other", "folder/x") is None
    for missing in ("y", "folder"):
        with pytest.raises(NotFound):
            objects.read("b", missing)
        with pytest.raises(NotFound), objects.local("b", missing):
            pass


def test_what_is_deleted_is_gone_and_another_generation_stays(objects: Objects) -> None:
    old = objects.write("b", "cache/x.index", b"old")
    new = objects.write("b", "cache/x.index", b"new")
    with pytest.raises(Conflict):
        objects.delete("b", "cache/x.index", old.generation)
    assert objects.read("b", "cache/x.index") == b"new"
    with objects.local("b", "cache/x.index") as file, file.open("rb") as reader:
        objects.delete("b", "cache/x.index", new.generation)
        assert reader.read() == b"new"
    assert objects.stat("b", "cache/x.index") is None
    objects.delete("b", "cache/x.index", new.generation)
    objects.delete("b", "never/there", 1)
    assert objects.write("b", "cache/x.index", b"again", if_generation=0).size == 5
    for escape in ESCAPES:
        with pytest.raises(Permanent):
            objects.delete("b", escape, 1)


@pytest.mark.parametrize(("start", "length", "found"), [
    (0, None, b"0123456789"), (3, None, b"3456789"), (3, 4, b"3456"), (8, 10, b"89"), (20, None, b""), (0, 0, b""),
])
def test_a_part_is_read(objects: Objects, start: int, length: int | None, found: bytes) -> None:
    objects.write("b", "x", b"0123456789")
    assert objects.read("b", "x", start=start, length=length) == found


def test_a_level_is_what_lies_directly_behind_a_prefix_in_parts(objects: Objects) -> None:
    for path in ("a.txt", "s/1/x", "s/1/y", "s/2/z", "s/b", "s/c", "s2/x", "sx"):
        objects.write("b", path, b"1")

    def level(prefix: str, **how: Any) -> tuple[list[str], list[str]]:
        found = objects.level("b", prefix, **how)
        return list(found.folders), [file.path for file in found.files]

    assert level("") == (["s/", "s2/"], ["a.txt", "sx"])
    assert level("s/") == (["s/1/", "s/2/"], ["s/b", "s/c"])
    assert level("s") == (["s/", "s2/"], ["sx"])
    assert level("s/1/") == ([], ["s/1/x", "s/1/y"])
    assert level("none/") == level("s/1/x/") == ([], [])
    assert objects.level("other", "").next is None
    seen: list[str] = []
    mark: str | None = ""
    while mark is not None:
        part = objects.level("b", "s/", after=mark, limit=3)
        seen, mark = [*seen, *part.folders, *(file.path for file in part.files)], part.next
    assert sorted(seen) == ["s/1/", "s/2/", "s/b", "s/c"]
    for escape in ("/", "/etc/", "../", "s/../../", "s//"):
        with pytest.raises(Permanent):
            objects.level("b", escape)


def test_each_write_has_a_greater_generation(objects: Objects) -> None:
    generations = [objects.write("b", "x", data).generation for data in (b"1", b"2", b"3")]
    assert generations == sorted(set(generations))
    assert objects.read("b", "x") == b"3"


def test_generation_zero_means_only_if_it_does_not_exist(objects: Objects) -> None:
    objects.write("b", "x", b"first", if_generation=0)
    with pytest.raises(Conflict) as refused:
        objects.write("b", "x", b"second", if_generation=0)
    assert refused.value.path == "x"
    assert objects.read("b", "x") == b"first"


def test_a_write_on_condition_of_a_generation(objects: Objects) -> None:
    first = objects.write("b", "x", b"1")
    second = objects.write("b", "x", b"2", if_generation=first.generation)
    for wrong in (first.generation, second.generation + 1):
        with pytest.raises(Conflict):
            objects.write("b", "x", b"3", if_generation=wrong)
    with pytest.raises(Conflict):
        objects.write("b", "absent", b"", if_generation=second.generation)
    assert objects.stat("b", "x") == second
    assert objects.stat("b", "absent") is None


def test_an_upload_is_a_write_from_a_file(objects: Objects, tmp_path: Path) -> None:
    source = tmp_path / "table.parquet"
    source.write_bytes(b"PAR1")
    seen = objects.upload("b", "cache/t", source, if_generation=0)
    assert objects.read("b", "cache/t") == b"PAR1"
    assert objects.stat("b", "cache/t") == seen
    with pytest.raises(Conflict):
        objects.upload("b", "cache/t", source, if_generation=0)


def test_a_listing_is_by_path_and_by_prefix(objects: Objects) -> None:
    for path in ("a/2", "a/10", "a/b/1", "a-1", "a.txt", "ab/1"):
        objects.write("b", path, b"x")
    objects.write("other", "a/3", b"x")
    assert [f.path for f in objects.list("b", "a/")] == ["a/10", "a/2", "a/b/1"]
    assert [f.path for f in objects.list("b", "a")] == ["a-1", "a.txt", "a/10", "a/2", "a/b/1", "ab/1"]
    assert [f.path for f in objects.list("b", "a/1")] == ["a/10"]
    assert [f.path for f in objects.list("b", "")] == ["a-1", "a.txt", "a/10", "a/2", "a/b/1", "ab/1"]
    assert list(objects.list("b", "none/")) == []
    assert list(objects.list("empty", "")) == []


def test_a_listing_says_what_stat_says(objects: Objects) -> None:
    objects.write("b", "a/1", b"one")
    assert list(objects.list("b", "a/")) == [objects.stat("b", "a/1")]


def test_a_local_file_holds_the_objects_bytes(objects: Objects) -> None:
    objects.write("b", "a/calls.vcf.gz", b"\x1f\x8b")
    with objects.local("b", "a/calls.vcf.gz") as file:
        assert file.read_bytes() == b"\x1f\x8b"
        assert file.name == "calls.vcf.gz"


def test_a_url_is_an_address(objects: Objects) -> None:
    objects.write("b", "a/x y.txt", b"1")
    url = objects.url("b", "a/x y.txt", expires_in_s=60)
    assert "://" in url or url.startswith("/api/v1/files/b/a/x%20y.txt?")
    assert " " not in url


@pytest.mark.parametrize("path", ESCAPES)
def test_a_path_that_may_lead_out_of_the_bucket_is_refused(objects: Objects, tmp_path: Path, path: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    objects.write("other", "x", b"theirs")
    calls = [
        lambda: objects.stat("b", path), lambda: objects.read("b", path), lambda: objects.write("b", path, b"mine"),
        lambda: objects.upload("b", path, source), lambda: objects.url("b", path, expires_in_s=1),
        lambda: objects.local("b", path).__enter__(),
    ]
    for call in calls:
        with pytest.raises(Permanent):
            call()
    assert objects.read("other", "x") == b"theirs"


@pytest.mark.parametrize("prefix", ["../other/", "..", "a/../../other/", "/", "/etc/", "gs://other/"])
def test_a_prefix_that_may_lead_out_of_the_bucket_is_refused(objects: Objects, prefix: str) -> None:
    objects.write("b", "x", b"mine")
    objects.write("other", "x", b"theirs")
    with pytest.raises(Permanent):
        list(objects.list("b", prefix))


def test_a_symbolic_link_does_not_lead_out_of_a_bucket_that_is_a_folder(tmp_path: Path) -> None:
    objects = DirectoryObjects(tmp_path / "objects")
    objects.write("b", "inside", b"mine")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    bucket = tmp_path / "objects" / "b"
    (bucket / "folder").symlink_to(outside)
    (bucket / "file").symlink_to(outside / "secret")
    for path in ("folder/secret", "file"):
        for call in (objects.stat, objects.read, lambda b, p: objects.write(b, p, b"")):
            with pytest.raises(Permanent):
                call("b", path)
    with pytest.raises(Permanent):
        list(objects.list("b", "folder/"))
    assert [f.path for f in objects.list("b", "")] == ["inside"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_what_is_being_written_is_not_listed(tmp_path: Path) -> None:
    objects = DirectoryObjects(tmp_path)
    objects.write("b", "a/x", b"1")
    (tmp_path / "b" / "a" / ".iflow-new-k3j2").write_bytes(b"half")
    assert [f.path for f in objects.list("b", "")] == ["a/x"]
