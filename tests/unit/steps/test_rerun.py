"""A rerun that is asked for twice is made once, however close together the two are."""

from __future__ import annotations

from dataclasses import replace

from shared.adapters.memory.documents import MemoryDocuments
from shared.ports import Documents, Ports, Stored
from shared.steps.rerun import rerun
from shared.steps.store import Loaded


class Overtaken(MemoryDocuments):
    """Another delivery of the same request is answered just before the first claim is looked at."""

    def __init__(self, inner: Documents, others: Ports, old: Loaded) -> None:
        self._inner, self._others, self._old, self._waiting = inner, others, old, True
        self.query, self.commit = inner.query, inner.commit

    def get(self, path: str) -> Stored | None:
        if "/claims/" in path and self._waiting:
            self._waiting = False
            ask(self._others, self._old)
        return self._inner.get(path)


def ask(ports: Ports, old: Loaded) -> Loaded:
    return rerun(ports, old.analysis, request_id="again", display_id=None, by="person@example.org", source="REST")


def test_a_repeat_that_is_overtaken_finds_the_rerun_that_was_made(ports: Ports, accepted: Loaded) -> None:
    """Found by the simulation, seed 403: the name was taken by the request itself, so it tried the next one."""
    found = ask(replace(ports, documents=Overtaken(ports.documents, ports, accepted)), accepted)
    assert found.analysis.display_id == "WGS 1 rerun 2"
    assert found.analysis.rerun_of == accepted.analysis.id
    assert ask(ports, accepted).analysis.id == found.analysis.id
