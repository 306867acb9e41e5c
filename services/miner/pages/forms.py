"""Forms as browsers send them: fields by name, rows of several fields, and what was wrong, beside its field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fastapi import Depends, Request
from starlette.datastructures import FormData, UploadFile

from shared.domain.reasons import Reason


@dataclass(frozen=True)
class Fields:
    """Of an `application/x-www-form-urlencoded` or multipart body; surrounding blanks are no part of a value."""

    form: FormData

    def one(self, name: str) -> str:
        found = self.form.get(name)
        return found.strip() if isinstance(found, str) else ""

    def many(self, name: str) -> list[str]:
        return [each.strip() for each in self.form.getlist(name) if isinstance(each, str)]

    def file(self, name: str) -> UploadFile | None:
        found = self.form.get(name)
        return found if isinstance(found, UploadFile) and found.filename else None


async def _fields(request: Request) -> Fields:
    return Fields(await request.form())


the_fields = Depends(_fields)


def rows_of(fields: Fields, prefix: str, names: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table in a form, whose fields are `prefix_name`, each once in every row."""
    columns = [fields.many(f"{prefix}_{name}") for name in names]
    return [dict(zip(names, row, strict=False)) for row in zip(*columns, strict=False)]


def problems_of(reasons: Iterable[Reason]) -> dict[str, str]:
    """By the field's own name (`samples[0].name` also under `samples`); "" holds what is of none."""
    found: dict[str, str] = {}
    for reason in reasons:
        field = reason.field or ""
        for name in dict.fromkeys((field, re.split(r"[.\[]", field, maxsplit=1)[0])):
            found[name] = f"{found[name]}; {reason.message}" if name in found else reason.message
    return found
