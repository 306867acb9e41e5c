"""An analysis is run again: a new one, with the inputs and the definition that were run then (C06), or changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from shared.domain import paths
from shared.domain.acceptance import rerun_request
from shared.domain.analysis import Analysis
from shared.domain.reasons import Reason
from shared.domain.request import RequestRefused, Sample, SubmitRequest, reasons_of
from shared.ports import Ports
from shared.steps.accept import accept
from shared.steps.inputs import whole_inputs
from shared.steps.store import Loaded

MOST_RERUNS = 1000
_RERUN = re.compile(r" rerun \d+$")


@dataclass(frozen=True)
class Changes:
    """What the new analysis has in the place of the old one's. Of `inputs`, those that differ: None takes one away.
    `version` of the pipeline may be `latest`."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    samples: tuple[Sample, ...] | None = None


UNCHANGED = Changes()


def rerun(
    ports: Ports, old: Analysis, *, request_id: str, display_id: str | None, by: str, source: str,
    changes: Changes = UNCHANGED,
) -> Loaded:
    """The new analysis, or the one that this request made before. Raises RequestRefused with every reason.

    Without `display_id` it is the old one's with `rerun 2`, or the first number that is free.
    """
    already = ports.documents.get(paths.analysis_doc(old.project, paths.analysis_id(old.project, request_id)))
    if display_id is None and already is not None:
        display_id = str(already.data["display_id"])
    inputs = changed(whole_inputs(ports, old), changes.inputs)
    for name in [display_id] if display_id is not None else free_names(ports, old):
        try:
            request = _request(old, inputs, request_id, name, by, changes)
            return accept(ports, request, source=source, rerun_of=old, to_be_started=True)
        except RequestRefused as refused:
            fields = [reason.field for reason in refused.reasons]
            if display_id is None and fields == ["request_id"]:  # this very request has got its name in this moment
                return rerun(
                    ports, old, request_id=request_id, display_id=None, by=by, source=source, changes=changes
                )
            if display_id is not None or fields != ["display_id"]:
                raise
            # Somebody else took the name in this moment: the next one.
    raise RequestRefused((Reason(field="display_id", message="every name that follows from the old one is taken"),))


def changed(inputs: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """In their order, new ones last."""
    return {name: value for name, value in {**inputs, **changes}.items() if value is not None or name not in changes}


def _request(
    old: Analysis, inputs: Mapping[str, Any], request_id: str, display_id: str, by: str, changes: Changes
) -> SubmitRequest:
    try:
        return rerun_request(
            old, inputs, request_id=request_id, display_id=display_id, by=by, version=changes.version,
            samples=changes.samples,
        )
    except ValidationError as error:
        raise RequestRefused(reasons_of(error)) from None


def free_names(ports: Ports, old: Analysis) -> Iterator[str]:
    """For a rerun of it, the first one first."""
    base = _RERUN.sub("", old.display_id)
    for number in range(2, MOST_RERUNS):
        ending = f" rerun {number}"
        name = base[: paths.MAX_DISPLAY_ID - len(ending)] + ending
        if ports.documents.get(paths.claim_doc(old.project, "analysis", paths.slug(name))) is None:
            yield name
