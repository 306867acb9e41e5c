"""The submit event: what upstream services publish, REST accepts and the CLI sends, in one strict model."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from shared.domain import paths
from shared.domain.callback import LONGEST_URL
from shared.domain.errors import Permanent
from shared.domain.input_schema import unfit
from shared.domain.reasons import Reason, field_name, limited, short

SCHEMA_VERSION = 1
MAX_REQUEST_BYTES = 1_000_000
"""A request over this size is refused. Its inputs need not fit into the document (`acceptance.inputs_file`), but they
are one message, read and checked whole within a function's memory and time, and no honest request comes near."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\ufeff]")


def _printable(text: str) -> str:
    if found := CONTROL.search(text):
        raise ValueError(f"holds the control character U+{ord(found.group()):04X}; remove it")
    return text


Text = Annotated[str, AfterValidator(_printable)]
ProjectId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,62}$", description="The project's id.")]


class Role(StrEnum):
    """What a sample is in its analysis."""

    PROBAND = "proband"
    MOTHER = "mother"
    FATHER = "father"
    SIBLING = "sibling"
    TUMOR = "tumor"
    NORMAL = "normal"
    SAMPLE = "sample"


class Sex(StrEnum):
    FEMALE = "female"
    MALE = "male"
    UNKNOWN = "unknown"


class Sample(BaseModel):
    """`name` is the sample's name in the VCF's header, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text = Field(min_length=1, max_length=120, description="As in the read groups and the VCF header.")
    role: Role = Field(default=Role.SAMPLE, description="What the sample is in this analysis.")
    sex: Sex = Field(default=Sex.UNKNOWN, description="Decides how X and Y genotypes are read.")


def told_apart(samples: tuple[Sample, ...]) -> tuple[Sample, ...]:
    """Each name, and each role that only one can have, stands once. Raises ValueError."""
    names = [sample.name for sample in samples]
    if len(set(names)) < len(names):
        raise ValueError("a sample name stands more than once")
    for role in (Role.PROBAND, Role.MOTHER, Role.FATHER, Role.TUMOR, Role.NORMAL):
        if len(named := [s.name for s in samples if s.role is role]) > 1:
            raise ValueError(f"role {role} is given to {', '.join(named)}; it can be held once")
    return samples


Samples = Annotated[tuple[Sample, ...], AfterValidator(told_apart)]
Version = Annotated[str, Field(pattern=r"^(latest|\d+\.\d+\.\d+)$")]
"""Of a pipeline: three numbers, or the newest."""


class Origin(StrEnum):
    """Where the request was made."""

    ORDER = "order"
    SAMPLE = "sample"
    COMPUTE = "compute"


class SubmitRequest(BaseModel):
    """The `data` of an `analysis.submit` event, version 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="SubmitRequest")

    schema_version: Literal[1] = Field(default=1, description="Version of this data model.")
    request_id: Text = Field(
        min_length=1, max_length=200, description="Chosen by the requester; repeating it repeats nothing."
    )
    project: ProjectId
    display_id: Text = Field(
        min_length=1, max_length=paths.MAX_DISPLAY_ID,
        description="For people; its slug is unique in the project and names the output folder.",
    )
    pipeline: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="The pipeline's slug, such as germline-calls."
    )
    version: Version = Field(default="latest", description="Three numbers, or latest.")
    inputs: dict[str, Any] = Field(description="Valid against the pipeline's JSON Schema.")
    samples: Samples = Field(default=(), max_length=200)
    origin: Origin = Field(default=Origin.COMPUTE)
    order_id: Text | None = Field(
        default=None, max_length=120, validate_default=True, description="The order that asked, if one did."
    )
    requested_by: Text = Field(min_length=1, max_length=200, description="A person (e-mail) or a service.")
    callback_url: str | None = Field(
        default=None, max_length=LONGEST_URL,
        description="An https address that is told, signed, how the analysis ends (docs/callbacks.md).",
    )

    @field_validator("display_id")
    @classmethod
    def _has_a_slug(cls, display_id: str) -> str:
        if not paths.slug(display_id):
            raise ValueError(f"{display_id!r} has an empty slug; use letters a-z or digits")
        return display_id

    @field_validator("order_id")
    @classmethod
    def _names_its_order(cls, order_id: str | None, info: ValidationInfo) -> str | None:
        if order_id is None and info.data.get("origin") is Origin.ORDER:
            raise ValueError("is missing, though origin is 'order'")
        return order_id

    @property
    def analysis_id(self) -> str:
        return paths.analysis_id(self.project, self.request_id)

    @property
    def slug(self) -> str:
        return paths.slug(self.display_id)

    def digest(self) -> str:
        """Tells a repeated request from another one under the same request id."""
        told = self.model_dump(mode="json", exclude={"callback_url"} if self.callback_url is None else None)
        text = json.dumps(told, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class RequestRefused(Permanent):
    """The request can never succeed; `reasons` names each field and what to do about it."""

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        super().__init__("; ".join(f"{r.field}: {r.message}" if r.field else r.message for r in reasons))
        self.reasons = reasons


def parse_request(body: Mapping[str, Any]) -> SubmitRequest:
    """Raises RequestRefused with every reason at once."""
    version = body.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RequestRefused((Reason(
            field="schema_version",
            message=f"{version} is newer than this service, which reads up to {SCHEMA_VERSION}; "
            "update the service or send the older form",
        ),))
    try:
        request = SubmitRequest.model_validate(body)
    except ValidationError as error:
        raise RequestRefused(reasons_of(error)) from None
    if reasons := unfit(request.inputs, "inputs"):
        raise RequestRefused(tuple(reasons))
    return request


def reasons_of(error: ValidationError) -> tuple[Reason, ...]:
    """Pydantic's findings as fields and sentences, without the values of other fields."""
    return tuple(limited([
        Reason(field=_dotted(found["loc"]), message=short(found["msg"].removeprefix("Value error, "), 1000))
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    ]))


def _dotted(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{field_name(part)}" for part in location)
    return text.removeprefix(".")
