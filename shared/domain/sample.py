"""A sample that the laboratory knows: its name, what is stated of it, and the folder that its files are put into.

An analysis says for itself which samples it ran against, in which roles; what stands here is proposed to whoever asks
for one, and never read back into what has run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from shared.domain import paths
from shared.domain.clock import Time
from shared.domain.listed import pieces
from shared.domain.part import Part
from shared.domain.request import Role, Sex, Text

MOST_EXTERNAL_IDS = 20
MOST_PHENOTYPES = 100

System = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
OwnId = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(lambda text: _one_line(text))]
Phenotype = Annotated[str, StringConstraints(pattern=r"^HP:\d{7}$")]
"""A term of the Human Phenotype Ontology (https://hpo.jax.org), by its id."""


class Stated(BaseModel):
    """What people say of a sample, and may say otherwise later."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sex: Sex = Field(default=Sex.UNKNOWN, description="As stated; what the calls say is in each ingest's report.")
    role: Role = Field(default=Role.SAMPLE, description="What it usually is in an analysis; proposed, never assumed.")
    phenotypes: tuple[Phenotype, ...] = Field(
        default=(), max_length=MOST_PHENOTYPES, examples=[["HP:0001250"]],
        description="Terms of HPO, such as HP:0001250.",
    )
    external_ids: dict[System, OwnId] = Field(
        default_factory=dict, max_length=MOST_EXTERNAL_IDS, examples=[{"lims": "4711"}],
        description="What other systems call it, by the system.",
    )
    note: str = Field(default="", max_length=2000, description="For people.")

    @field_validator("phenotypes")
    @classmethod
    def _each_once(cls, phenotypes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(phenotypes))


class SampleRequest(Stated):
    """A sample that is to be registered. Its name and its slug stay what they are."""

    name: Text = Field(
        min_length=1, max_length=paths.MAX_DISPLAY_ID,
        description="As in the read groups and the VCF header; its slug names the folder and is unique in the project.",
    )

    @field_validator("name")
    @classmethod
    def _has_a_slug(cls, name: str) -> str:
        if not paths.slug(name):
            raise ValueError(f"{name!r} has an empty slug; use letters a-z or digits")
        return name

    def digest(self) -> str:
        """Tells a repeated request from another one under the same key."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class SampleListed(Part):
    """Words that a sample is found by: pieces of its slug, and the ids that other systems have for it."""

    find: tuple[str, ...] = ()


class KnownSample(Part):
    """Document `projects/{project}/samples/{slug}`."""

    slug: str
    name: str
    project: str
    sex: Sex
    role: Role
    phenotypes: tuple[str, ...] = ()
    external_ids: dict[str, str] = Field(default_factory=dict)
    note: str = ""
    created_at: Time
    created_by: str
    updated_at: Time
    updated_by: str
    listed: SampleListed = SampleListed()

    @property
    def doc_path(self) -> str:
        return paths.sample_doc(self.project, self.slug)

    @property
    def folder(self) -> str:
        """Relative to the project bucket; ends in a slash."""
        return paths.sample_folder(self.slug)

    def to_document(self) -> dict[str, Any]:
        return self.model_copy(update={"listed": _listed(self)}).model_dump(mode="json")

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        return cls.model_validate({**data, "listed": {}})


def new_sample(request: SampleRequest, project: str, now: datetime, *, by: str) -> KnownSample:
    return KnownSample(
        slug=paths.slug(request.name), project=project, created_at=now, created_by=by, updated_at=now, updated_by=by,
        **request.model_dump(),
    )


def restated(sample: KnownSample, wanted: Stated, now: datetime, *, by: str) -> KnownSample | None:
    """With what of `wanted` was given; None where that is what stands there."""
    given = wanted.model_dump(include=wanted.model_fields_set)
    changed = sample.model_copy(update=given)
    return None if changed == sample else changed.model_copy(update={"updated_at": now, "updated_by": by})


def external_word(identity: str) -> str:
    return f"id:{identity}"


def _listed(sample: KnownSample) -> SampleListed:
    others = (external_word(identity) for identity in sample.external_ids.values())
    return SampleListed(find=(*pieces(sample.slug), *dict.fromkeys(others)))


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds a control character; remove it")
    return text
