"""All outputs of an analysis: the document holds the head of a long list, and the path of the whole."""

from __future__ import annotations

import json

from shared.domain.analysis import Analysis, Output
from shared.ports import Ports


def every_output(ports: Ports, analysis: Analysis) -> list[Output]:
    if analysis.outputs_path is None:
        return list(analysis.outputs)
    return [Output.model_validate(o) for o in json.loads(ports.objects.read(analysis.bucket, analysis.outputs_path))]
