"""Counts what this process's Google clients ask for, by interceptors on their gRPC channels to the emulators.

Each call is a line of JSON behind `IFLOW_TEST_CALLS`: `role` (a function's name), `call` (`Service.Method`), `reads`
(documents, as Firestore bills them: those asked for by name; those that a query found, at least one), `writes`
([[path, fields], ...], fields as JSON text), `topic` and `messages` of a publish, `unbounded` for a query without a
limit or a condition, and `answer`, gRPC's status, of all that are not streams.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict

VARIABLE = "IFLOW_TEST_CALLS"


class Counter(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[type-arg]
    def __init__(self, file: Path) -> None:
        self._file = file

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        call = continuation(details, request)
        self._note(details.method, {**_facts(details.method, _message(request)), "answer": call.code().name})
        return call

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        facts = _facts(details.method, _message(request))
        call = continuation(details, request)
        if not details.method.endswith("/RunQuery"):
            self._note(details.method, facts)
            return call
        return _Answers(call, lambda found: self._note(details.method, {**facts, "reads": max(1, found)}))

    def _note(self, method: str, facts: dict[str, Any]) -> None:
        service, _, name = method.rpartition("/")
        line = {"role": _role(), "call": f"{service.rpartition('.')[2]}.{name}", **facts}
        file = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(file, json.dumps(line).encode() + b"\n")
        os.close(file)


class _Answers:
    """A query's answers, and `ended` called with the number of documents in them at their end."""

    def __init__(self, call: Any, ended: Callable[[int], None]) -> None:
        self._call, self._ended, self._found = call, ended, 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            answer = next(self._call)
        except BaseException:
            self._ended(self._found)
            raise
        self._found += _message(answer).HasField("document")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


def _facts(method: str, asked: Any) -> dict[str, Any]:
    match method.rpartition("/")[2]:
        case "Commit" | "BatchWrite":
            return {"writes": [_write(write) for write in asked.writes]}
        case "BatchGetDocuments":
            return {"reads": len(asked.documents)}
        case "GetDocument":
            return {"reads": 1}
        case "RunQuery":
            query = asked.structured_query
            return {"unbounded": not (query.HasField("limit") and query.HasField("where"))}
        case "ListDocuments" | "PartitionQuery" | "RunAggregationQuery":
            return {"unbounded": True}
        case "Publish":
            return {"topic": asked.topic.rpartition("/")[2], "messages": len(asked.messages)}
    return {}


def _write(write: Any) -> tuple[str, str]:
    fields = MessageToDict(write.update)["fields"] if write.HasField("update") else None
    path = (write.update.name or write.delete or write.transform.document).partition("/documents/")[2]
    return path, json.dumps(fields, sort_keys=True)


def _message(wrapped: Any) -> Any:
    """The protobuf message of what a client sends or receives."""
    unwrap = getattr(type(wrapped), "pb", None)
    return unwrap(wrapped) if unwrap else wrapped


def _role() -> str:
    return os.environ.get("FUNCTION_TARGET") or " ".join(sys.argv)


def count_calls() -> None:
    counter = Counter(Path(os.environ[VARIABLE]))
    insecure_channel = grpc.insecure_channel

    def counted(*args: Any, **kwargs: Any) -> grpc.Channel:
        return grpc.intercept_channel(insecure_channel(*args, **kwargs), counter)

    grpc.insecure_channel = counted
