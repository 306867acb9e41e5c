"""What ports.Documents promises, of every adapter: conditions, all or nothing, isolation, watching."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.domain.errors import Conflict, TooLarge
from shared.ports import Create, Delete, Documents, Order, Query, Update, Where

A = "projects/p/analyses/a"
B = "projects/p/analyses/b"


def test_what_was_created_is_read_back_whole(documents: Documents) -> None:
    data = {"text": "é\n\U0001f9ec", "number": 1.5, "none": None, "list": [1, {"deep": True}], "empty": {}}
    (version,) = documents.commit([Create(A, data)])
    stored = documents.get(A)
    assert stored is not None
    assert (stored.path, stored.id, stored.data, stored.version) == (A, "a", data, version)


def test_an_unknown_document_is_none(documents: Documents) -> None:
    assert documents.get(A) is None


def test_a_document_is_created_once(documents: Documents) -> None:
    documents.commit([Create(A, {"by": "first"})])
    with pytest.raises(Conflict) as refused:
        documents.commit([Create(A, {"by": "second"})])
    assert refused.value.path == A
    assert documents.get(A).data == {"by": "first"}


def test_an_update_replaces_the_whole_document_and_its_version(documents: Documents) -> None:
    (first,) = documents.commit([Create(A, {"x": 1, "y": 1})])
    (second,) = documents.commit([Update(A, {"x": 2}, first)])
    assert second != first
    assert documents.get(A).data == {"x": 2}
    assert documents.get(A).version == second


def test_an_update_of_an_old_version_is_a_conflict(documents: Documents) -> None:
    (first,) = documents.commit([Create(A, {"x": 1})])
    documents.commit([Update(A, {"x": 2}, first)])
    with pytest.raises(Conflict):
        documents.commit([Update(A, {"x": 3}, first)])
    assert documents.get(A).data == {"x": 2}


@pytest.mark.parametrize("version", ["1", "999", "", "not a version"])
def test_a_document_that_is_not_there_cannot_be_updated_or_deleted(documents: Documents, version: str) -> None:
    for write in (Update(A, {}, version), Delete(A, version)):
        with pytest.raises(Conflict):
            documents.commit([write])
    assert documents.get(A) is None


@pytest.mark.parametrize("version", ["999", "", "not a version"])
def test_a_version_that_never_was_is_a_conflict(documents: Documents, version: str) -> None:
    documents.commit([Create(A, {"x": 1})])
    with pytest.raises(Conflict):
        documents.commit([Update(A, {"x": 2}, version)])


def test_a_delete_needs_the_version_too(documents: Documents) -> None:
    (first,) = documents.commit([Create(A, {"x": 1})])
    (second,) = documents.commit([Update(A, {"x": 2}, first)])
    with pytest.raises(Conflict):
        documents.commit([Delete(A, first)])
    assert documents.commit([Delete(A, second)]) == ("",)
    assert documents.get(A) is None


def test_a_document_made_again_does_not_take_the_versions_of_the_old_one(documents: Documents) -> None:
    (first,) = documents.commit([Create(A, {"x": 1})])
    documents.commit([Delete(A, first)])
    documents.commit([Create(A, {"x": 2})])
    with pytest.raises(Conflict):
        documents.commit([Update(A, {"x": 3}, first)])


def test_a_conflict_leaves_nothing_of_the_commit_written(documents: Documents) -> None:
    (version,) = documents.commit([Create(A, {"x": 1})])
    with pytest.raises(Conflict) as refused:
        documents.commit([Create(B, {"new": True}), Update(A, {"x": 2}, version), Create(A, {"x": 3})])
    assert refused.value.path == A
    assert documents.get(B) is None
    assert documents.get(A).version == version


def test_a_commit_answers_with_one_version_for_each_write(documents: Documents) -> None:
    (a,) = documents.commit([Create(A, {"x": 1})])
    versions = documents.commit([Create(B, {"y": 1}), Delete(A, a)])
    assert versions == (documents.get(B).version, "")


def test_a_document_over_one_mebibyte_is_too_large_and_nothing_is_written(documents: Documents) -> None:
    with pytest.raises(TooLarge):
        documents.commit([Create(B, {"x": 1}), Create(A, {"text": "é" * 524_288})])
    assert documents.get(A) is None
    assert documents.get(B) is None
    documents.commit([Create(A, {"text": "é" * 524_200})])


def test_nobody_holds_a_piece_of_a_stored_document(documents: Documents) -> None:
    data = {"list": [1]}
    documents.commit([Create(A, data)])
    data["list"].append(2)
    documents.get(A).data["list"].append(3)
    documents.query(Query("projects/p/analyses")).items[0].data["list"].append(4)
    assert documents.get(A).data == {"list": [1]}


def test_threads_that_begin_again_on_conflict_lose_no_change(documents: Documents) -> None:
    documents.commit([Create(A, {"count": 0})])
    together = threading.Barrier(8)

    def add_five(_: int) -> None:
        together.wait()
        for _ in range(5):
            while True:
                stored = documents.get(A)
                try:
                    documents.commit([Update(A, {"count": stored.data["count"] + 1}, stored.version)])
                except Conflict:
                    continue
                break

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_five, range(8)))
    assert documents.get(A).data == {"count": 40}


def test_of_many_who_create_one_document_one_succeeds(documents: Documents) -> None:
    together = threading.Barrier(8)

    def create(who: int) -> bool:
        together.wait()
        try:
            documents.commit([Create("projects/p/claims/analysis:x", {"who": who}), Create(f"{A}-{who}", {})])
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert [s.id for s in documents.query(Query("projects/p/analyses")).items] == [f"a-{won.index(True)}"]


def test_a_watcher_sees_the_page_now_and_after_each_change_to_it(documents: Documents) -> None:
    wanted = Query("projects/p/analyses", where=(Where("status", "==", "queued"),), order=(Order("n"),))
    pages = documents.watch(wanted)
    assert next(pages).items == ()
    (version,) = documents.commit([Create(A, {"status": "queued", "n": 1})])
    assert [s.id for s in next(pages).items] == ["a"]
    documents.commit([Create("projects/p/orders/o", {"status": "queued", "n": 0})])
    documents.commit([Create(B, {"status": "running", "n": 2})])
    documents.commit([Update(A, {"status": "running", "n": 1}, version)])
    assert next(pages).items == ()


def test_a_watcher_that_waits_is_woken_by_a_commit(documents: Documents) -> None:
    pages = documents.watch(Query("projects/p/analyses"))
    next(pages)
    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(next, pages)
        documents.commit([Create(A, {})])
        assert [s.id for s in woken.result(timeout=60).items] == ["a"]


def test_a_watcher_that_waits_ends_when_it_is_told_to(documents: Documents) -> None:
    ended = threading.Event()
    pages = documents.watch(Query("projects/p/analyses"), ended)
    next(pages)
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(list, pages)
        ended.set()
        assert rest.result(timeout=60) == []
