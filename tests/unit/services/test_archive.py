"""An archive knows its bytes before they are read, and breaks off where a file is not what it was."""

from __future__ import annotations

import io
import tarfile
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.miner.archive import archive_of
from services.miner.ranges import Span
from shared.adapters.memory.objects import MemoryObjects
from shared.domain.analysis import Analysis, Output
from shared.domain.pipeline import OutputKind
from shared.ports import Ports
from tests.builders import an_analysis
from tests.contract.clock import FakeClock


def archived(files: dict[str, bytes]) -> tuple[Ports, Analysis, list[Output]]:
    analysis = an_analysis()
    objects = MemoryObjects(FakeClock())
    outputs = []
    for name, content in files.items():
        file = objects.write(analysis.bucket, analysis.folder + name, content)
        outputs.append(Output(path=file.path, kind=OutputKind.OTHER, size=file.size, crc32c=file.crc32c,
                              generation=file.generation))
    return cast(Ports, _Objects(objects)), analysis, outputs


class _Objects:
    """What an archive takes of the ports."""

    def __init__(self, objects: MemoryObjects) -> None:
        self.objects = objects


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=["Cc", "Cs"]), min_size=1,
                max_size=150).filter(lambda name: name not in (".", "..") and name == name.strip())


@given(st.dictionaries(NAMES, st.binary(max_size=2_000), max_size=4), st.data())
def test_any_range_is_that_of_the_whole(files: dict[str, bytes], data: Any) -> None:
    """Whatever the names and sizes; and the whole is a tar with those files."""
    files = {name: content for name, content in files.items() if not name.startswith(".iflow-")}
    ports, analysis, outputs = archived(files)
    archive = archive_of(ports, [(analysis, outputs)])
    whole = b"".join(archive.read(ports, Span(0, archive.size)))
    assert len(whole) == archive.size
    start = data.draw(st.integers(0, archive.size - 1))
    length = data.draw(st.integers(1, archive.size - start))
    assert b"".join(archive.read(ports, Span(start, length))) == whole[start:start + length]
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        members = tar.getmembers()[1:]
        found = {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]
    assert found == {f"{analysis.slug}/{name}": content for name, content in files.items()}


def test_a_file_that_got_shorter_breaks_the_transfer_off_and_is_named() -> None:
    ports, analysis, outputs = archived({"a.txt": b"a" * 100, "b.txt": b"b" * 100})
    archive = archive_of(ports, [(analysis, outputs)])
    ports.objects.write(analysis.bucket, outputs[1].path, b"b")
    with pytest.raises(OSError, match=r"b\.txt was changed while it was sent"):
        list(archive.read(ports, Span(0, archive.size)))


def test_another_generation_is_another_archive() -> None:
    ports, analysis, outputs = archived({"a.txt": b"a"})
    first = archive_of(ports, [(analysis, outputs)]).etag
    again = ports.objects.write(analysis.bucket, outputs[0].path, b"a")
    changed = [outputs[0].model_copy(update={"generation": again.generation})]
    assert archive_of(ports, [(analysis, changed)]).etag != first
