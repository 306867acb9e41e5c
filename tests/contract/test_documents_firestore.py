"""What Firestore cannot hold as it is comes back exactly; ordinary documents stand in it as they are; its limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.cloud import firestore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.google.documents import FirestoreDocuments, firestore_client
from shared.adapters.google.values import MAX_DOCUMENT_BYTES, encode
from shared.domain.errors import Conflict, TooLarge
from shared.domain.paths import rejection_doc
from shared.ports import Create, Documents, Order, Query, Update, Where
from tests.builders import an_analysis
from tests.contract.emulators import a_google_project
from tests.examples import examples

A = "projects/p/analyses/a"


@pytest.fixture
def client(firestore_address: str) -> firestore.Client:
    return firestore_client(a_google_project(), emulator=firestore_address)


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for n in range(depth):
        value = {"map": value} if n % 2 else {"list": [value]}
    return value


ODD: list[dict[str, Any]] = [
    {"lists": [[1, [2, []]], [], [{"x": [[3]]}]]},
    {"": 1, "__x__": 2, "____": 3, "~": 4, "~~": 5, "~json": 6, "a.b": 7, "a/b": 8, "`": 9, "é\n": 10, "__x": 11},
    {"__name__": "x", "nested": {"__type__": "__vector__", "value": [1.0]}, "only": {"~json": "[1]"}},
    {"~json": "{}"},
    {"big": 2**63, "small": -(2**63) - 1, "most": 2**63 - 1, "least": -(2**63), "in": [2**100]},
    {"one": 1, "point": 1.0, "true": True, "zero": 0, "minus": -0.0, "tiny": 5e-324, "list": [1, 1.0, True, None]},
    {"long": "é" * 2_000, "k" * 1_501: {"y" * 1_499: 1, "z" * 1_500: 2}, "nul": "a\x00b"},
    {"deep": nested(40), "deeper": [nested(30), [nested(25)]]},
    {"empty": {}, "none": None, "list": [], "of": [{}, None]},
    {},
]


def same(one: Any, other: Any) -> bool:
    """Equal in type, too: 1, 1.0 and True are three values, and 0.0 is not -0.0."""
    return repr(one) == repr(other) and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def in_key_order(value: Any) -> Any:
    """Firestore keeps no order of keys."""
    if isinstance(value, dict):
        return {key: in_key_order(value[key]) for key in sorted(value)}
    return [in_key_order(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("data", ODD)
def test_what_no_firestore_value_can_hold_comes_back_exactly(client: firestore.Client, data: dict[str, Any]) -> None:
    documents = FirestoreDocuments(client)
    documents.commit([Create(A, data)])
    assert same(in_key_order(documents.get(A).data), in_key_order(data))
    assert same(in_key_order(documents.query(Query("projects/p/analyses")).items[0].data), in_key_order(data))


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["__x__", "~json", "", "~"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12,
)


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.dictionaries(KEYS, JSON, max_size=4))
def test_any_json_object_comes_back_exactly(client: firestore.Client, data: dict[str, Any]) -> None:
    documents = FirestoreDocuments(client)
    present = documents.get(A)
    documents.commit([Update(A, data, present.version) if present else Create(A, data)])
    assert same(in_key_order(documents.get(A).data), in_key_order(data))


def test_an_ordinary_document_stands_in_firestore_as_it_is(client: firestore.Client) -> None:
    document = an_analysis().to_document()
    FirestoreDocuments(client).commit([Create(A, document)])
    assert client.document(A).get().to_dict() == document


def test_the_size_is_firestores_own(client: firestore.Client) -> None:
    """https://firebase.google.com/docs/firestore/storage-size, whose example is a document of 147 bytes."""
    task = {"type": "Personal", "done": False, "priority": 1, "description": "Learn Cloud Firestore"}
    path, rest = "users/jeff/tasks/my_task_id", MAX_DOCUMENT_BYTES - 147
    parts = {"a": "x" * 600_000, "b": "x" * (rest - 600_000 - 2 * 3)}  # a key and a text have one byte more, each
    assert encode(path, task | parts)
    with pytest.raises(TooLarge, match="1,048,577 bytes"):
        encode(path, task | parts | {"b": parts["b"] + "x"})
    documents = FirestoreDocuments(client)
    with pytest.raises(TooLarge, match="a text of 1,048,488 bytes"):
        documents.commit([Create(A, {"x": "x" * 1_048_488})])


@pytest.mark.parametrize("text", ["__x__", "__", ".", "..", "a/b", "é", "x" * 2_000, "id:1@lab.example", "__x" * 80])
def test_any_text_becomes_an_id_that_firestore_takes(client: firestore.Client, text: str) -> None:
    documents = FirestoreDocuments(client)
    path = rejection_doc("p", text)
    documents.commit([Create(path, {"id": text})])
    assert documents.get(path).data == {"id": text}


def test_a_commit_over_ten_mebibytes_is_too_large(client: firestore.Client) -> None:
    with pytest.raises(TooLarge, match="commit"):
        FirestoreDocuments(client).commit([Create(f"{A}{n}", {"x": "x" * 1_000_000}) for n in range(11)])


def test_a_version_keeps_every_microsecond(client: firestore.Client) -> None:
    documents = FirestoreDocuments(client)
    (version,) = documents.commit([Create(A, {})])
    (next_one,) = documents.commit([Update(A, {"x": 1}, version)])
    assert 0 < int(next_one) - int(version) < 10**10
    with pytest.raises(Conflict):
        documents.commit([Update(A, {"x": 2}, str(int(next_one) + 1_000))])


def test_a_watched_page_is_in_order_of_dotted_fields_and_has_a_next(client: firestore.Client) -> None:
    documents: Documents = FirestoreDocuments(client)
    here = "projects/p/analyses"
    documents.commit([Create(f"{here}/{name}", {"m": {"s": value}}) for name, value in
                      (("a", 2.5), ("b", None), ("c", "text"), ("d", 2.5), ("e", 7))])
    wanted = Query("*/analyses", where=(Where("m.s", "in", (2.5, 7, "text")),),
                   order=(Order("m.s", descending=True),), limit=3)
    pages = documents.watch(wanted)
    page = next(pages)
    assert page == documents.query(wanted)
    assert [stored.id for stored in page.items] == ["c", "e", "d"]
    assert page.next == (2.5, f"{here}/d")
    pages.close()  # type: ignore[attr-defined]


def test_expires_at_is_a_timestamp_that_firestore_can_delete_by(client: firestore.Client) -> None:
    documents = FirestoreDocuments(client)
    path = rejection_doc(a_google_project(), "old")
    data = {"id": "old", "expires_at": "2027-12-30T08:00:00.000001Z"}
    documents.commit([Create(path, data)])
    stored = documents.get(path)
    assert stored is not None and stored.data == data
    there = client.document(path).get().to_dict()
    assert there is not None and there["expires_at"].year == 2027
