"""What ports.Documents promises of queries, of every adapter: filters, order, cursors, groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from shared.ports import Create, Delete, Documents, Order, Query, Update, Where

HERE = "projects/p/analyses"


def put(documents: Documents, **bodies: Mapping[str, Any]) -> None:
    documents.commit([Create(f"{HERE}/{name}", body) for name, body in bodies.items()])


def ids(documents: Documents, *where: Where, order: Iterable[Order] = (), collection: str = HERE) -> list[str]:
    return [stored.id for stored in documents.query(Query(collection, where, tuple(order))).items]


def in_pages(documents: Documents, query: Query) -> list[str]:
    """The paths of all pages, each asked for with the cursor of the one before."""
    found: list[str] = []
    while True:
        page = documents.query(query)
        found += [stored.path for stored in page.items]
        if page.next is None:
            return found
        assert len(page.items) == query.limit, "only the last page may be short"
        query = Query(query.collection, query.where, query.order, query.limit, page.next)


def test_without_an_order_results_come_by_id(documents: Documents) -> None:
    put(documents, b={}, a={}, c={})
    assert ids(documents) == ["a", "b", "c"]


def test_a_collection_holds_its_own_documents_only(documents: Documents) -> None:
    documents.commit([
        Create("projects/p/analyses/a", {}), Create("projects/q/analyses/b", {}), Create("projects/p/orders/c", {}),
        Create("projects/p", {}),
    ])
    assert ids(documents) == ["a"]
    assert ids(documents, collection="projects") == ["p"]


def test_a_group_holds_the_documents_of_all_collections_of_that_name(documents: Documents) -> None:
    documents.commit([
        Create("projects/p/analyses/b", {"n": 1}), Create("projects/q/analyses/a", {"n": 2}),
        Create("projects/p/orders/c", {"n": 3}), Create("projects/p/old_analyses/d", {"n": 4}),
    ])
    assert ids(documents, order=[Order("n")], collection="*/analyses") == ["b", "a"]
    assert ids(documents, Where("n", ">", 1), collection="*/analyses") == ["a"]


@pytest.mark.parametrize(("op", "value", "found"), [
    ("==", 2, ["b"]), ("<", 2, ["a"]), ("<=", 2, ["a", "b"]), (">", 2, ["c"]), (">=", 2, ["b", "c"]),
    ("in", (1, 3, 7), ["a", "c"]), ("in", (), []),
])
def test_filters_on_numbers(documents: Documents, op: Any, value: Any, found: list[str]) -> None:
    put(documents, a={"n": 1}, b={"n": 2}, c={"n": 3}, null={"n": None}, missing={})
    assert ids(documents, Where("n", op, value)) == found


@pytest.mark.parametrize(("op", "value", "found"), [
    ("==", "2026-02", ["b"]), ("<", "2026-02", ["a"]), (">=", "2026-02", ["b", "c"]), ("in", ("2026-01",), ["a"]),
])
def test_filters_on_text(documents: Documents, op: Any, value: Any, found: list[str]) -> None:
    put(documents, a={"at": "2026-01"}, b={"at": "2026-02"}, c={"at": "2026-03"}, null={"at": None}, missing={})
    assert ids(documents, Where("at", op, value)) == found


def test_all_filters_hold_together(documents: Documents) -> None:
    put(documents, a={"s": "x", "n": 1}, b={"s": "x", "n": 2}, c={"s": "y", "n": 2})
    assert ids(documents, Where("s", "==", "x"), Where("n", ">", 1), Where("n", "<=", 2)) == ["b"]


def test_null_is_found_by_equality_and_a_missing_field_by_nothing(documents: Documents) -> None:
    put(documents, null={"x": None}, value={"x": 0}, missing={})
    assert ids(documents, Where("x", "==", None)) == ["null"]
    assert ids(documents, Where("x", "<=", 9)) == ["value"]
    assert ids(documents, Where("x", ">=", 0)) == ["value"]


def test_a_field_may_be_a_path_into_the_document(documents: Documents) -> None:
    put(documents, a={"pipeline": {"slug": "x"}}, b={"pipeline": {"slug": "y"}}, c={"pipeline": "x"}, d={})
    assert ids(documents, Where("pipeline.slug", "==", "y")) == ["b"]
    assert ids(documents, order=[Order("pipeline.slug", descending=True)]) == ["b", "a"]


def test_an_array_contains_its_members_and_a_text_contains_nothing(documents: Documents) -> None:
    put(documents, a={"tags": ["x", "y"]}, b={"tags": ["y"]}, c={"tags": "x"}, d={"tags": None}, e={})
    assert ids(documents, Where("tags", "array_contains", "x")) == ["a"]
    assert ids(documents, Where("tags", "array_contains", "y")) == ["a", "b"]


@pytest.mark.parametrize("field", ["x'; DROP TABLE documents; --", "a..b", "", "$.x", "a b"])
def test_a_field_that_is_no_path_is_refused(documents: Documents, field: str) -> None:
    for query in (Query(HERE, where=(Where(field, "==", 1),)), Query(HERE, order=(Order(field),))):
        with pytest.raises(ValueError, match="field path"):
            documents.query(query)


def test_a_value_is_never_read_as_anything_but_a_value(documents: Documents) -> None:
    put(documents, a={"x": "' OR 1=1 --"}, b={"x": "b"})
    assert ids(documents, Where("x", "==", "' OR 1=1 --")) == ["a"]


def test_null_comes_before_numbers_and_numbers_before_text(documents: Documents) -> None:
    put(documents, text={"x": "a"}, ten={"x": 10}, nine={"x": 9.5}, null={"x": None}, missing={})
    assert ids(documents, order=[Order("x")]) == ["null", "nine", "ten", "text"]
    assert ids(documents, order=[Order("x", descending=True)]) == ["text", "ten", "nine", "null"]


def test_ties_go_by_id_in_the_direction_of_the_last_field(documents: Documents) -> None:
    put(documents, b={"x": 1, "y": 1}, a={"x": 1, "y": 1}, c={"x": 0, "y": 1}, d={"x": 0, "y": 2})
    assert ids(documents, order=[Order("x"), Order("y")]) == ["c", "d", "a", "b"]
    assert ids(documents, order=[Order("x"), Order("y", descending=True)]) == ["d", "c", "b", "a"]
    assert ids(documents, order=[Order("x", descending=True), Order("y")]) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("descending", [False, True])
def test_c90_every_document_of_one_time_is_on_one_page(documents: Documents, descending: bool) -> None:
    put(documents, **{f"a{n:03}": {"created_at": "2026-11-25T08:00:00.000000Z"} for n in range(200)})
    query = Query(HERE, order=(Order("created_at", descending=descending),), limit=50)
    found = in_pages(documents, query)
    assert found == sorted({f"{HERE}/a{n:03}" for n in range(200)}, reverse=descending)


def test_c90_pages_stay_right_while_documents_come_and_go(documents: Documents) -> None:
    put(documents, **{f"a{n}": {"at": n // 2, "s": "x"} for n in range(8)})
    query = Query(HERE, where=(Where("s", "==", "x"),), order=(Order("at", descending=True),), limit=3)
    first = documents.query(query)
    assert [s.id for s in first.items] == ["a7", "a6", "a5"]
    put(documents, new={"at": 99, "s": "x"})
    gone = documents.get(f"{HERE}/a5")
    changed = documents.get(f"{HERE}/a3")
    documents.commit([Delete(gone.path, gone.version), Update(changed.path, {"at": 1, "s": "y"}, changed.version)])
    rest = in_pages(documents, Query(query.collection, query.where, query.order, query.limit, first.next))
    assert [path.rpartition("/")[2] for path in rest] == ["a4", "a2", "a1", "a0"]


@pytest.mark.parametrize("order", [
    (Order("x"),), (Order("x", descending=True),), (Order("x"), Order("y", descending=True)),
    (Order("y", descending=True), Order("x")), (),
])
def test_pages_of_one_hold_what_one_page_holds(documents: Documents, order: tuple[Order, ...]) -> None:
    values = [None, 1, 1, 2.5, "a", "a"]
    put(documents, **{f"d{n}": {"x": value, "y": n % 2} for n, value in enumerate(values)})
    whole = [stored.path for stored in documents.query(Query(HERE, order=order)).items]
    assert len(whole) == len(values)
    assert in_pages(documents, Query(HERE, order=order, limit=1)) == whole
    assert in_pages(documents, Query(HERE, order=order, limit=4)) == whole


@pytest.mark.parametrize("order", [(), (Order("at"),), (Order("at", descending=True),)])
def test_a_group_tells_documents_of_one_id_apart(documents: Documents, order: tuple[Order, ...]) -> None:
    every = [f"projects/{name}/rejections/same" for name in "pqr"]
    documents.commit([Create(path, {"at": 1}) for path in every])
    assert sorted(in_pages(documents, Query("*/rejections", order=order, limit=1))) == every


def test_a_full_last_page_has_no_next(documents: Documents) -> None:
    put(documents, a={}, b={})
    assert documents.query(Query(HERE, limit=2)).next is None
    assert documents.query(Query(HERE, limit=1)).next is not None
    assert documents.query(Query("projects/none/analyses")).next is None


def test_a_text_contains_its_parts_and_nothing_else_contains_any(documents: Documents) -> None:
    texts = {"a": "wgs-12-a", "b": "wgs-21", "c": None, "d": 12, "e": ["12"], "g": "%12"}
    put(documents, f={}, **{name: {"s": text} for name, text in texts.items()})
    assert ids(documents, Where("s", "contains", "12")) == ["a", "g"]
    assert ids(documents, Where("s", "contains", "%")) == ["g"]
    assert ids(documents, Where("s", "contains", "12"), Where("s", "contains", "gs-")) == ["a"]


def test_two_arrays_parts_and_ranges_beside_the_order_hold_together(documents: Documents) -> None:
    put(documents, **{
        f"d{n:02}": {"tags": ["odd" if n % 2 else "even", f"t{n % 3}"], "n": n, "x": -n} for n in range(30)
    })
    both = (Where("tags", "array_contains", "odd"), Where("tags", "array_contains", "t0"))
    order = (Order("x", descending=True),)
    assert in_pages(documents, Query(HERE, both, order, 2)) == [f"{HERE}/d{n:02}" for n in (3, 9, 15, 21, 27)]
    between = (*both, Where("n", ">=", 5), Where("n", "<", 21))
    assert in_pages(documents, Query(HERE, between, order, 1)) == [f"{HERE}/d{n:02}" for n in (9, 15)]


def test_a_count_is_of_what_matches_and_ends_at_the_limit(documents: Documents) -> None:
    put(documents, **{f"d{n}": {"status": "failed" if n % 2 else "running", "n": n} for n in range(9)})
    assert documents.count(Query(HERE, limit=100)) == 9
    assert documents.count(Query(HERE, (Where("status", "==", "failed"),), (Order("at"),), limit=100)) == 4
    above = (Where("status", "in", ["failed", "running"]), Where("n", ">", 2))
    assert documents.count(Query(HERE, above, limit=100)) == 6
    assert documents.count(Query(HERE, limit=5)) == 5
    assert documents.count(Query("projects/q/analyses", limit=5)) == 0
    assert documents.count(Query(HERE, (Where("status", "in", []),), limit=5)) == 0
