"""The published data model of the events: JSON Schema for each, and one AsyncAPI document, made from the models.

`python -m shared.asyncapi` writes docs/events anew; a test says when that was forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from shared.domain.event_data import AUDIENCE, DATA
from shared.domain.events import COMMAND_TYPES, SCHEMA_VERSION, Event, EventType, Topic

FOLDER = Path(__file__).parent.parent / "docs" / "events"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
CHANNELS = {
    Topic.COMMANDS: "What upstream services, REST and the command line ask for.",
    Topic.EVENTS: "What happened, in order for each analysis.",
}
DESCRIPTION = """\
Events are CloudEvents 1.0 in JSON, carried by Pub/Sub. Messages have the attributes id, type, project and subject,
which subscriptions filter by, and the subject as ordering key. Each is delivered at least once: drop repeats by the
event's id. Where tracing is on, the attribute traceparent (W3C Trace Context) names the span of the publishing, in the
trace whose id is the analysis' id without its hyphens; a sender's own traceparent becomes a link. The schemas are made
from the models in shared/domain by `python -m shared.asyncapi`.
"""


def schema_of(kind: EventType) -> dict[str, Any]:
    """JSON Schema of one event: the envelope, with its type and its data."""
    envelope = Event.model_json_schema()
    data = DATA[kind].model_json_schema()
    definitions = {**data.pop("$defs", {}), "Data": data}
    properties = {
        **envelope["properties"],
        "type": {"const": str(kind), "description": "Decides which data there is."},
        "data": {"$ref": "#/$defs/Data"},
    }
    return {
        "$schema": DIALECT, "title": str(kind), "description": (DATA[kind].__doc__ or "").strip(), "type": "object",
        "properties": properties, "required": envelope["required"], "$defs": dict(sorted(definitions.items())),
    }


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3.0, from this service's side: it receives commands and sends events."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "iflow", "version": f"{SCHEMA_VERSION}.0.0", "description": DESCRIPTION},
        "defaultContentType": "application/cloudevents+json",
        "channels": {topic.value: _channel(topic) for topic in CHANNELS},
        "operations": {
            "receiveCommands": _operation("receive", Topic.COMMANDS),
            "sendEvents": _operation("send", Topic.EVENTS),
        },
        "components": {"messages": {kind.value: _message(kind) for kind in EventType}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.value, "description": CHANNELS[topic],
        "messages": {
            kind.value: {"$ref": f"#/components/messages/{kind.value}"} for kind in EventType if kind.topic is topic
        },
    }


def _operation(action: str, topic: Topic) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{topic.value}"}}


def _message(kind: EventType) -> dict[str, Any]:
    return {
        "name": kind.value, "title": kind.value, "summary": " ".join((DATA[kind].__doc__ or "").split()),
        "tags": [{"name": AUDIENCE[kind]}, {"name": "command" if kind in COMMAND_TYPES else "event"}],
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./{_file_name(kind)}"},
        },
        "bindings": {"googlepubsub": {"orderingKey": "subject"}},
    }


def _file_name(kind: EventType) -> str:
    return f"{kind.value}.schema.json"


def files() -> Mapping[str, str]:
    """Every file of docs/events by its name."""
    schemas = {_file_name(kind): json.dumps(schema_of(kind), indent=2) + "\n" for kind in EventType}
    return {"asyncapi.yaml": yaml.safe_dump(asyncapi(), sort_keys=False, width=110), **schemas}


def write(folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
