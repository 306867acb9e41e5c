"""All inputs of an analysis: the document holds what fits of large ones, and the path of the whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.domain.analysis import Analysis
from shared.ports import Ports


def whole_inputs(ports: Ports, analysis: Analysis) -> Mapping[str, Any]:
    if analysis.inputs_path is None:
        return analysis.inputs
    inputs: Mapping[str, Any] = json.loads(ports.objects.read(analysis.bucket, analysis.inputs_path))["inputs"]
    return inputs
