"""Firestore's listener: the page of a query, again after each change to it.

The client's own `on_snapshot` is no help: it begins again at once and for ever (thousands of times a second against a
service that answers with an error), and its comparator knows neither dotted fields nor `__name__`.
https://firebase.google.com/docs/firestore/reference/rpc/google.firestore.v1#google.firestore.v1.Firestore.Listen
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from google.api_core.exceptions import from_grpc_status
from google.cloud import firestore
from google.cloud.firestore_v1 import types
from google.cloud.firestore_v1._helpers import decode_dict
from grpc import StatusCode

from shared.adapters.google.calls import ONCE
from shared.adapters.google.queries import in_order, page_of, version_of
from shared.adapters.google.values import decode
from shared.ports import Page, Query, Stored

LISTENING_S = 3_600.0
"""A stream that is older is begun again: no connection lasts for ever, whatever it says of itself."""

LOOK_S = 0.5
"""How often it is looked whether the watch is to end."""

_TARGET = 1


def listen(client: firestore.Client, query: Query, asked: Any, ended: threading.Event) -> Iterator[Page]:
    """The page whenever Firestore says that it has told everything up to some moment; ends with the stream, or soon
    after `ended` is set.

    `asked` is the query as `asked_of` made it. Raises GoogleAPICallError when the stream breaks.
    """
    parent, _ = asked._parent._parent_info()
    target = types.Target.QueryTarget(parent=parent, structured_query=asked._to_protobuf())
    request = types.ListenRequest(
        database=client._database_string, add_target=types.Target(query=target, target_id=_TARGET)
    )
    left = threading.Event()
    answers = client._firestore_api.listen(
        requests=_held_open(request, ended, left), retry=ONCE, timeout=LISTENING_S, metadata=client._rpc_metadata
    )
    view = _View(client)
    try:
        for answer in answers:
            if view.is_wrong_after(types.ListenResponse.pb(answer)):
                return
            if view.is_whole:
                yield page_of(query, in_order(query, view.documents.values()))
    finally:
        left.set()
        answers.cancel()


def _held_open(request: types.ListenRequest, *over: threading.Event) -> Iterator[types.ListenRequest]:
    """A listener whose requests have ended is ended by Firestore."""
    yield request
    while not any(event.is_set() for event in over):
        over[-1].wait(LOOK_S)


class _View:
    """The query's documents as the stream has told them so far; `is_whole` at a moment that they all belong to."""

    def __init__(self, client: firestore.Client) -> None:
        self.documents: dict[str, Stored] = {}
        self.is_whole = False
        self._current = False
        self._client = client

    def is_wrong_after(self, answer: Any) -> bool:
        """Takes in one answer. True when Firestore counts other documents than we have, and it must begin anew."""
        self.is_whole = False
        match answer.WhichOneof("response_type"):
            case "document_change":
                document = answer.document_change.document
                self.documents.pop(document.name, None)
                if _TARGET in answer.document_change.target_ids:
                    self.documents[document.name] = self._stored(document)
            case "document_delete":
                self.documents.pop(answer.document_delete.document, None)
            case "document_remove":
                self.documents.pop(answer.document_remove.document, None)
            case "target_change":
                self._changed(answer.target_change)
            case "filter":
                return bool(answer.filter.count != len(self.documents))
        return False

    def _changed(self, change: Any) -> None:
        kinds = types.TargetChange.TargetChangeType
        if change.target_change_type == kinds.REMOVE:
            code = change.cause.code or StatusCode.UNKNOWN
            raise from_grpc_status(code, change.cause.message)  # type: ignore[no-untyped-call]
        if change.target_change_type == kinds.RESET:
            self.documents.clear()
            self._current = False
        self._current = self._current or change.target_change_type == kinds.CURRENT
        self.is_whole = self._current and not change.target_ids and change.HasField("read_time")

    def _stored(self, document: Any) -> Stored:
        path = document.name.removeprefix(f"{self._client._database_string}/documents/")
        return Stored(path, decode(decode_dict(document.fields, self._client)), version_of(document.update_time))
