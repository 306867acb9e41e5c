"""JSON documents as Firestore values: as they are wherever Firestore can hold them, so that its console shows them.

What it cannot hold as it is (https://firebase.google.com/docs/firestore/quotas, measured on the emulator):

- an array directly inside an array, an integer beyond 64 bits, containers nested more than 20 deep, a map with a key
  of more than 1,500 bytes: a map with the one key `~json`, whose value is the JSON text of what stands there;
- a key that is empty or looks like `__this__` (reserved): `~` and the key. A key that begins with `~` gets another.

The text of a document's own `expires_at` is a timestamp there, since only by one does Firestore delete what is old.

Whole numbers and numbers with a point stay apart, as Firestore keeps both kinds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from google.cloud.firestore_v1 import types

from shared.domain.clock import iso
from shared.domain.errors import TooLarge

MAX_DOCUMENT_BYTES = 1_048_576
"""By Firestore's own reckoning, https://firebase.google.com/docs/firestore/storage-size."""

MAX_VALUE_BYTES = 1_048_487
"""Of one text: 1 MiB less 89 bytes."""

EXPIRES_AT = "expires_at"

_MARK = "~"
_TEXT = "~json"
_RESERVED = re.compile(r"__.*__", re.DOTALL)
_MAX_KEY_BYTES = 1_500
_MAX_DEPTH = 18
"""Two less than Firestore's 20: one for the map that holds the text, one for the doubt whether the document counts."""

_NAME_BYTES, _DOCUMENT_BYTES, _EIGHT_BYTES = 16, 32, 8
_Value: Any = types.Value.pb()  # the plain protobuf class: seven times faster


def encode(path: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of the document, by name. Raises TooLarge, TypeError for what is not JSON (bytes pass, too)."""
    value, size = _encode(data, 0)
    size += sum(len(part.encode()) + 1 for part in path.split("/")) + _NAME_BYTES + _DOCUMENT_BYTES
    if size > MAX_DOCUMENT_BYTES:
        raise TooLarge(f"{path} would have {size:,} bytes; a document may have {MAX_DOCUMENT_BYTES:,}")
    fields: Mapping[str, Any] = value.map_value.fields
    if isinstance(data.get(EXPIRES_AT), str):
        moment = _Value()
        moment.timestamp_value.FromJsonString(data[EXPIRES_AT])
        fields[EXPIRES_AT].CopyFrom(moment)
    return fields


def decode_document(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The document that `encode` was given."""
    document: dict[str, Any] = decode(fields)
    if isinstance(expires_at := document.get(EXPIRES_AT), datetime):
        document[EXPIRES_AT] = iso(expires_at)
    return document


def decode(value: Any) -> Any:
    """The JSON value that `encode` was given, of one that Firestore's client has read."""
    if isinstance(value, dict):
        if value.keys() == {_TEXT}:
            return json.loads(value[_TEXT])
        return {key.removeprefix(_MARK): decode(inner) for key, inner in value.items()}
    return [decode(inner) for inner in value] if isinstance(value, list) else value


def _encode(value: Any, depth: int) -> tuple[Any, int]:
    """The value and its size in bytes."""
    match value:
        case None:
            return _Value(null_value=0), 1
        case bool():
            return _Value(boolean_value=value), 1
        case int():
            whole = -(2**63) <= value < 2**63
            return (_Value(integer_value=value), _EIGHT_BYTES) if whole else _as_text(value)
        case float():
            return _Value(double_value=value), _EIGHT_BYTES
        case str():
            return _text(value)
        case bytes():
            return _Value(bytes_value=value), len(value)
        case Mapping():
            long_key = any(len(key.encode()) >= _MAX_KEY_BYTES for key in value)
            return _as_text(value) if long_key or depth > _MAX_DEPTH else _map(value, depth)
        case list() | tuple():
            return _as_text(value) if depth > _MAX_DEPTH else _array(value, depth)
    raise TypeError(f"a document cannot hold a {type(value).__name__}")


def _text(value: str) -> tuple[Any, int]:
    if (size := len(value.encode())) > MAX_VALUE_BYTES:
        raise TooLarge(f"a text of {size:,} bytes is longer than the {MAX_VALUE_BYTES:,} that a document can hold")
    return _Value(string_value=value), size + 1


def _map(value: Mapping[str, Any], depth: int) -> tuple[Any, int]:
    encoded = _Value()
    encoded.map_value.SetInParent()  # an empty map is a map, too
    total = 0
    for key, inner in value.items():
        name = _MARK + key if not key or key.startswith(_MARK) or _RESERVED.fullmatch(key) else key
        field, size = _encode(inner, depth + 1)
        encoded.map_value.fields[name].CopyFrom(field)
        total += len(name.encode()) + 1 + size
    return encoded, total


def _array(value: Sequence[Any], depth: int) -> tuple[Any, int]:
    encoded = _Value()
    encoded.array_value.SetInParent()
    total = 0
    for inner in value:
        element, size = _as_text(inner) if isinstance(inner, list | tuple) else _encode(inner, depth + 1)
        encoded.array_value.values.append(element)
        total += size
    return encoded, total


def _as_text(value: Any) -> tuple[Any, int]:
    text, size = _text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    encoded = _Value()
    encoded.map_value.fields[_TEXT].CopyFrom(text)
    return encoded, len(_TEXT) + 1 + size
