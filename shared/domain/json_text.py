"""JSON from outside, read strictly: what Python's reader lets through but no document store can keep is refused.

`NaN`, `Infinity` and 1e999 are no JSON numbers (RFC 8259, section 6), Firestore's integers have 64 bits, and half a
surrogate pair is no character: one of them in a document, and SQLite cannot query its whole table any more.
"""

from __future__ import annotations

import json
import math
from typing import Any

LARGEST_INTEGER = 2**63 - 1
_MOST_DIGITS = 20


def read_json(data: bytes) -> Any:
    """Raises ValueError, with what is wrong in words."""
    try:
        text = data.decode()
        found = json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_integer)
        if "\\ud" in text.lower():
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise ValueError(f"a string holds {half}, one half of a surrogate pair, which is no character") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS or not -LARGEST_INTEGER - 1 <= int(text) <= LARGEST_INTEGER:
        raise ValueError(f"the integer {text[:40]} does not fit into 64 bits")
    return int(text)
