"""C82: the largest request that is taken leaves room for all that a run can add to its document."""

from __future__ import annotations

import json

from shared.domain.request import MAX_REQUEST_BYTES, SubmitRequest
from shared.ports import Ports
from shared.steps.accept import accept
from shared.steps.store import Loaded

LARGEST_DOCUMENT_BYTES = 500_000
ROOM_BYTES = 150_000
"""For outputs, the pipeline's metrics and an ingest's report, each bounded where it is written."""


def test_the_largest_request_leaves_room_in_its_document(ports: Ports, accepted: Loaded) -> None:
    assert accepted
    request = SubmitRequest(
        request_id="large", project="alpha", display_id="WGS large", pipeline="calls",
        inputs={"note": "x" * MAX_REQUEST_BYTES}, requested_by="person@example.org",
    )
    large = accept(ports, request, source="test")
    assert len(json.dumps(large.analysis.to_document())) < LARGEST_DOCUMENT_BYTES - ROOM_BYTES
