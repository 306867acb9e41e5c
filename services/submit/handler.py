"""A submit event becomes an analysis document and one Batch job, whatever is delivered how often."""

from __future__ import annotations

from shared.delivery import Delivery, NotAnEvent, event_of
from shared.domain import paths
from shared.domain.events import Event, EventType
from shared.domain.reasons import Reason, show
from shared.domain.request import RequestRefused, parse_request
from shared.ports import Ports
from shared.steps.accept import accept
from shared.steps.reject import reject
from shared.steps.start import start
from shared.steps.store import load


def submit(delivery: Delivery, ports: Ports) -> None:
    """What can never succeed is recorded in `rejections` and acknowledged; what may pass is raised."""
    event = None
    try:
        event = event_of(delivery)
        if event.type is EventType.START:  # REST accepted it: the document is there
            start(ports, load(ports.documents, paths.analysis_doc(event.project, event.subject)))
            return
        request = parse_request(_body(event))
        loaded = accept(ports, request, source=f"event {event.id}")
    except NotAnEvent as error:
        _reject(ports, delivery, None, error.reasons)
    except RequestRefused as error:
        _reject(ports, delivery, event, error.reasons)
    else:
        start(ports, loaded)


def _body(event: Event) -> dict[str, object]:
    """The event's data; the envelope's type and project must agree with it."""
    body = dict(event.data)
    if event.type is not EventType.SUBMIT:
        raise RequestRefused((Reason(field="type", message=f"{event.type} is no request; send analysis.submit"),))
    if body.setdefault("project", event.project) != event.project:
        raise RequestRefused((Reason(
            field="data.project",
            message=f"{show(body['project'])} is not the project of the envelope, {event.project!r}; let them agree",
        ),))
    return body


def _reject(ports: Ports, delivery: Delivery, event: Event | None, reasons: tuple[Reason, ...]) -> None:
    request_id = event.data.get("request_id") if event else None
    reject(
        ports, delivery, reasons, now=ports.clock(),
        project_named=event.project if event else delivery.attributes.get("project"),
        event_id=event.id if event else None,
        request_id=request_id if isinstance(request_id, str) else None,
    )
