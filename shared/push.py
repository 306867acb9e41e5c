"""What stands in front of every function that Pub/Sub pushes to: who may call it, and how a message is put to it.

A function that is declared with `pushed` has both by construction, whatever serves it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

import flask
import functions_framework
from cloudevents.http.event import CloudEvent

from shared.domain.errors import Transient
from shared.logs import why
from shared.runtime import Settings, set_up_logs

log = logging.getLogger(__name__)
Function = Callable[[CloudEvent], None]
_PREPARED = "iflow"


def pushed(function: Function) -> Function:
    """The function as functions-framework finds it. The embedded backend calls it directly, without HTTP."""
    if flask.has_app_context():  # the framework loads a function's module within the app that is to serve it
        _prepare(flask.current_app)
    found: Function = functions_framework.cloud_event(function)
    return found


def _prepare(app: flask.Flask) -> None:
    if _PREPARED in app.extensions:  # a module may declare several functions
        return
    settings = app.extensions[_PREPARED] = Settings()
    if settings.backend != "emulators":  # they sign nothing, and the functions then listen on loopback only
        from shared.gate import Gate

        app.before_request(Gate(settings).refuse_strangers)
    app.before_request(as_cloud_event)
    app.register_error_handler(Transient, _again_later)
    set_up_logs(settings)


def as_cloud_event() -> None:
    """A push subscription's body is put as Eventarc puts it: whole, as the data of a CloudEvent.

    The framework's own conversion answers 500 to a message without data, which Pub/Sub leaves out when it is empty
    (GoogleCloudPlatform/functions-framework-python#170, C18), and forgets the ordering key. A body that is no message
    at all becomes an event, too: `receive` keeps it as a dead letter, where a refusal would bring it again.
    """
    request = flask.request
    if "ce-id" in request.headers or _has_envelope(request.get_data()):
        return
    message = _message(request.get_data())
    identity = message.get("messageId") or message.get("message_id") or hashlib.sha256(request.get_data()).hexdigest()
    request.environ.update({
        "HTTP_CE_ID": str(identity),
        "HTTP_CE_SPECVERSION": "1.0",
        "HTTP_CE_TYPE": "google.cloud.pubsub.topic.v1.messagePublished",
        "HTTP_CE_SOURCE": "//pubsub.googleapis.com/",
    })


def _has_envelope(body: bytes) -> bool:
    return "specversion" in _object(body)


def _message(body: bytes) -> dict[str, Any]:
    message = _object(body).get("message")
    return message if isinstance(message, dict) else {}


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _again_later(error: Exception) -> tuple[str, int]:
    """Any answer but 2xx brings the message again; this one is no fault of ours, and worth no traceback."""
    log.warning("will be delivered again", extra={"reason": why(error)})
    return str(error), 503
