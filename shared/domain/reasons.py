"""Why something was refused: a field and a sentence, the same in rejections, problem details and on pages."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

MAX_REASONS = 100
"""A request with more faults than this is not understood better by reading more of them."""


class Reason(BaseModel):
    """One fault. `field` is a dotted path such as `inputs.alignments[0].path`; empty: the whole of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Field(description="Dotted path of the field at fault, or empty when it is the whole.")
    message: str = Field(description="What is wrong and what to do about it, for people.")


def limited(reasons: Sequence[Reason], root: str = "") -> list[Reason]:
    """At most MAX_REASONS; the last then says how many more there are."""
    if len(reasons) <= MAX_REASONS:
        return list(reasons)
    more = len(reasons) - MAX_REASONS + 1
    return [*reasons[: MAX_REASONS - 1], Reason(field=root, message=f"and {more} further faults")]


def field_name(part: object) -> str:
    """A property's name in a field path; a hostile one cannot fill or break the sentence that carries it."""
    text = str(part)
    return text if re.fullmatch(r"[\w-]{1,60}", text) else show(text)


def show(value: object) -> str:
    """A value from outside, within a sentence."""
    return short(json.dumps(value, ensure_ascii=True, default=str), 80)


def short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
