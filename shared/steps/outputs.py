"""All outputs of an analysis: the document holds the head of a long list, and the path of the whole."""

from __future__ import annotations

import json
import threading
from array import array
from collections import OrderedDict

from shared.domain.analysis import Analysis, Output
from shared.domain.errors import NotFound
from shared.ports import Ports

KEPT_PLACES = 64
"""Long lists of which it is remembered where each entry begins: eight bytes an entry."""

_places: OrderedDict[tuple[str, str, int], array[int]] = OrderedDict()
_one_at_a_time = threading.Lock()


def every_output(ports: Ports, analysis: Analysis) -> list[Output]:
    if analysis.outputs_path is None:
        return list(analysis.outputs)
    return [Output.model_validate(o) for o in json.loads(ports.objects.read(analysis.bucket, analysis.outputs_path))]


def some_outputs(ports: Ports, analysis: Analysis, start: int, end: int) -> list[Output]:
    """The outputs from `start` to before `end`, of `outputs_total`. Of a long list only their bytes are read; all of it
    once, by one reader at a time, to learn where they lie. Raises NotFound."""
    if analysis.outputs_path is None:
        return list(analysis.outputs[start:end])
    file = ports.objects.stat(analysis.bucket, analysis.outputs_path)
    if file is None:
        raise NotFound(f"there is no list of outputs {analysis.outputs_path}")
    places = _places_of(ports, analysis.bucket, file.path, file.generation)
    first, last = places[start], places[min(end, len(places) - 1)]
    text = ports.objects.read(analysis.bucket, file.path, start=first, length=last - first).decode()
    return [Output.model_validate(found) for found in json.loads(f"[{text.rstrip().rstrip(',]')}]")]


def _places_of(ports: Ports, bucket: str, path: str, generation: int) -> array[int]:
    key = (bucket, path, generation)
    with _one_at_a_time:
        if (found := _places.get(key)) is None:
            found = _places[key] = places_in(ports.objects.read(bucket, path))
        _places.move_to_end(key)
        while len(_places) > KEPT_PLACES:
            _places.popitem(last=False)
        return found


def places_in(content: bytes) -> array[int]:
    """The byte at which each entry of a JSON list of objects begins, and where the list ends. ASCII, as we write it."""
    text = content.decode("ascii")
    decoder = json.JSONDecoder()
    places = array("Q")
    place = text.index("[") + 1
    while (place := _behind_space(text, place)) < len(text) and text[place] != "]":
        places.append(place)
        _, place = decoder.raw_decode(text, place)
    places.append(place)
    return places


def _behind_space(text: str, place: int) -> int:
    while place < len(text) and text[place] in ", \n\r\t":
        place += 1
    return place
