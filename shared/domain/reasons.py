"""Why something was refused: a field and a sentence, the same in rejections, problem details and on pages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Reason(BaseModel):
    """One fault. `field` is a dotted path such as `inputs.alignments[0].path`; empty: the whole of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = Field(description="Dotted path of the field at fault, or empty when it is the whole.")
    message: str = Field(description="What is wrong and what to do about it, for people.")
