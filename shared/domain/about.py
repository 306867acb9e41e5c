"""What a message is about, for logs and traces: ids alone, and nothing that a patient could be known by.

It never raises and decides nothing: handlers read the message themselves, strictly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shared.domain import paths
from shared.domain.events import EventType
from shared.domain.json_text import read_json
from shared.domain.request import MAX_REQUEST_BYTES

_BY_REQUEST = (EventType.SUBMIT, EventType.REJECTED)
_OF_ORDERS = frozenset(kind for kind in EventType if kind.startswith("order."))
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EVENT_ID = re.compile(r"[\w.:@/-]{1,200}")


def about(attributes: Mapping[str, str], data: bytes) -> dict[str, str]:
    """`analysis_id` or `order_id`, `project` and `event_id`, those that can be told.

    From the attributes of our own events, and of Batch's notifications; a request names no analysis yet, but its id
    follows from what it asks for.
    """
    if job := attributes.get("JobName") or attributes.get("TaskName", "").partition("/taskGroups/")[0]:
        analysis = paths.analysis_of_job(job)
        return {"analysis_id": analysis} if analysis else {}
    found: Mapping[str, Any] = attributes
    if attributes.get("type") in _BY_REQUEST or not {"id", "subject", "project"} <= attributes.keys():
        found = {**_object(data), **attributes}
    subject = "order_id" if found.get("type") in _OF_ORDERS else "analysis_id"
    told = {
        subject: _subject(found), "event_id": _fitting(_EVENT_ID, found.get("id")),
        "project": _fitting(paths.PROJECT_ID, found.get("project")),
    }
    return {name: value for name, value in told.items() if value}


def _subject(event: Mapping[str, Any]) -> str | None:
    if event.get("type") not in _BY_REQUEST:
        return _fitting(_UUID, event.get("subject"))
    body = event.get("data")
    project, request = event.get("project"), body.get("request_id") if isinstance(body, Mapping) else None
    if isinstance(project, str) and isinstance(request, str):
        return paths.analysis_id(project, request)
    return None


def _object(data: bytes) -> Mapping[str, Any]:
    if not data.startswith(b"{") or len(data) > MAX_REQUEST_BYTES:
        return {}
    try:
        found = read_json(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _fitting(pattern: re.Pattern[str], value: Any) -> str | None:
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def about_document(path: str) -> dict[str, str]:
    """The same, of an analysis' or an order's document."""
    found = re.fullmatch(rf"projects/([^/]+)/(analyses|orders)/({_UUID.pattern})", path)
    if found is None:
        return {}
    return {"analysis_id" if found[2] == "analyses" else "order_id": found[3], "project": found[1]}


def about_request(project: str | None, path: str) -> dict[str, str]:
    """The same, of a call of the API, by its header and its path."""
    named = _fitting(paths.PROJECT_ID, project)
    found = re.search(rf"/(analyses|orders)/({_UUID.pattern})(?:/|$)", path)
    subject = {"analysis_id" if found[1] == "analyses" else "order_id": found[2]} if found else {}
    return {**subject, **({"project": named} if named else {})}
