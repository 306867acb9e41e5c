"""A stand-in for the google provider, so that Terraform itself validates and plans infra/terraform with no network.

Terraform talks gRPC to its providers (protocol 5), and takes one that runs already when `TF_REATTACH_PROVIDERS` names
it. This one answers from `provider_schema.json`: types, names, required and nested are checked by Terraform as ever,
and here the values of arguments that can have only some. It creates nothing. What the real provider would only know
after creating something is unknown here too, or, for tests that follow references, a readable token such as
`google_pubsub_topic.batch-events.id`.

The messages are those of tfplugin5.proto (https://github.com/hashicorp/terraform/tree/main/docs/plugin-protocol), with
the fields used here; protobuf passes over the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import msgpack
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.unit.terraform.extract_schema import PROVIDER

Json = dict[str, Any]
KNOWN_OF_DATA = {"number": "123456789012", "email_address": "service-123456789012@gs-project-accounts.example"}
_IDENTITY = ("account_id", "secret_id", "repository_id", "name", "field", "display_name", "bucket", "service")
_ERROR = 1
_UNKNOWN = msgpack.ExtType(0, b"\x00")

_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Value": {"msgpack": (1, "bytes")},
    "Raw": {"json": (1, "bytes")},
    "Attribute": {
        "name": (1, "string"), "type": (2, "bytes"), "required": (4, "bool"), "optional": (5, "bool"),
        "computed": (6, "bool"),
    },
    "Nested": {
        "type_name": (1, "string"), "block": (2, "Block"), "nesting": (3, "int64"), "min_items": (4, "int64"),
        "max_items": (5, "int64"),
    },
    "Block": {"attributes": (2, "Attribute*"), "block_types": (3, "Nested*")},
    "Schema": {"version": (1, "int64"), "block": (2, "Block")},
    "Entry": {"key": (1, "string"), "value": (2, "Schema")},
    "Empty": {},
    "Schemas": {"provider": (1, "Schema"), "resources": (2, "Entry*"), "data": (3, "Entry*")},
    "Prepare": {"config": (1, "Value")},
    "Of": {"type_name": (1, "string"), "config": (2, "Value")},
    "Diagnostic": {"severity": (1, "int64"), "summary": (2, "string"), "detail": (3, "string")},
    "Said": {"diagnostics": (1, "Diagnostic*")},
    "Plan": {"type_name": (1, "string"), "proposed_new_state": (3, "Value")},
}
_NESTING = {"single": 1, "list": 2, "set": 3}


def _build() -> Mapping[str, Any]:
    """The message classes. A map field is, on the wire, a repeated entry of key and value."""
    kinds = descriptor_pb2.FieldDescriptorProto
    scalars = {name: getattr(kinds, f"TYPE_{name.upper()}") for name in ("bytes", "string", "bool", "int64")}
    file = descriptor_pb2.FileDescriptorProto(name="stand_in.proto", package="standin", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            plain = kind.removesuffix("*")
            made = message.field.add(name=field, number=number, type=scalars.get(plain, kinds.TYPE_MESSAGE))
            made.label = kinds.LABEL_REPEATED if kind.endswith("*") else kinds.LABEL_OPTIONAL
            if plain not in scalars:
                made.type_name = f".standin.{plain}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"standin.{name}")) for name in _MESSAGES}


_M = _build()


@contextmanager
def stand_in(schema: Json, *, tokens: bool) -> Iterator[str]:
    """Serves on loopback for as long as the context lasts; yields the value of TF_REATTACH_PROVIDERS."""
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((_handlers(schema["provider_schemas"][PROVIDER], tokens),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield json.dumps({PROVIDER: {
            "Protocol": "grpc", "ProtocolVersion": 5, "Pid": os.getpid(), "Test": True,
            "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
        }})
    finally:
        server.stop(None).wait()


def _handlers(schema: Json, tokens: bool) -> grpc.GenericRpcHandler:
    whole = _M["Schemas"](
        provider=_schema(schema["provider"]), resources=_entries(schema["resource_schemas"]),
        data=_entries(schema["data_source_schemas"]),
    )

    def plan(request: Any) -> Any:
        block = schema["resource_schemas"][request.type_name]["block"]
        return _M["Prepare"](config=_filled(request.type_name, request.proposed_new_state, block, tokens))

    def read(request: Any) -> Any:
        block = schema["data_source_schemas"][request.type_name]["block"]
        return _M["Prepare"](config=_filled(f"data.{request.type_name}", request.config, block, tokens=True))

    def validate(request: Any) -> Any:
        config = msgpack.unpackb(request.config.msgpack, strict_map_key=False, ext_hook=msgpack.ExtType)
        wrong = _wrong_values(config, schema["resource_schemas"][request.type_name]["block"])
        return _M["Said"](diagnostics=[_M["Diagnostic"](severity=_ERROR, summary=each) for each in wrong])

    answers: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
        "GetSchema": ("Empty", lambda _: whole),
        "PrepareProviderConfig": ("Prepare", lambda request: request),
        "ValidateResourceTypeConfig": ("Of", validate),
        "ValidateDataSourceConfig": ("Of", lambda _: _M["Empty"]()),
        "Configure": ("Empty", lambda _: _M["Empty"]()),
        "PlanResourceChange": ("Plan", plan),
        "ReadDataSource": ("Of", read),
        "Stop": ("Empty", lambda _: _M["Empty"]()),
    }
    return grpc.method_handlers_generic_handler("tfplugin5.Provider", {
        name: grpc.unary_unary_rpc_method_handler(
            lambda request, _context, answer=answer: answer(request),
            request_deserializer=_M[kind].FromString, response_serializer=lambda response: response.SerializeToString(),
        ) for name, (kind, answer) in answers.items()
    })


def _filled(kind: str, value: Any, block: Json, tokens: bool) -> Any:
    """The value with what is computed and not given, as a token or as unknown."""
    state = msgpack.unpackb(value.msgpack, strict_map_key=False, ext_hook=msgpack.ExtType)
    if state is not None:
        identity = next((state[name] for name in _IDENTITY if isinstance(state.get(name), str)), "this")
        _fill(state, block, f"{kind}.{identity}", tokens)
    return _M["Value"](msgpack=msgpack.packb(state))


def _wrong_values(config: Json, block: Json) -> Iterator[str]:
    for attribute, spec in block["attributes"].items():
        given = config.get(attribute)
        if "values" in spec and isinstance(given, str) and given not in spec["values"]:
            yield f"expected {attribute} to be one of {spec['values']}, got {given}"
    for nested, spec in block["block_types"].items():
        for one in _each(config.get(nested)):
            yield from _wrong_values(one, spec["block"])


def _each(nested: Any) -> list[Json]:
    """The blocks that are known."""
    return [one for one in (nested if isinstance(nested, list) else [nested]) if isinstance(one, dict)]


def _fill(state: Json, block: Json, name: str, tokens: bool) -> None:
    for attribute, spec in block["attributes"].items():
        if state.get(attribute) is None and spec.get("computed"):
            if spec["type"] == "string" and tokens:
                state[attribute] = KNOWN_OF_DATA.get(attribute, f"{name}.{attribute}")
            else:  # what a data source reads is known, or nothing
                state[attribute] = None if name.startswith("data.") else _UNKNOWN
    for nested, spec in block["block_types"].items():
        for one in _each(state.get(nested)):
            _fill(one, spec["block"], f"{name}.{nested}", tokens)


def _entries(schemas: Json) -> list[Any]:
    return [_M["Entry"](key=name, value=_schema(schema)) for name, schema in schemas.items()]


def _schema(schema: Json) -> Any:
    return _M["Schema"](version=schema["version"], block=_block(schema["block"]))


def _block(block: Json) -> Any:
    attributes = [
        _M["Attribute"](
            name=name, type=json.dumps(spec["type"]).encode(), required=spec.get("required", False),
            optional=spec.get("optional", False), computed=spec.get("computed", False),
        ) for name, spec in block["attributes"].items()
    ]
    nested = [
        _M["Nested"](
            type_name=name, block=_block(spec["block"]), nesting=_NESTING[spec["nesting_mode"]],
            min_items=spec.get("min_items", 0), max_items=spec.get("max_items", 0),
        ) for name, spec in block["block_types"].items()
    ]
    return _M["Block"](attributes=attributes, block_types=nested)
