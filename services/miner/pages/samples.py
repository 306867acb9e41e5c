"""Samples: the list, a new one, and one with its files, what is being sent, and who used it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from services.miner.api.samples import SampleFilters, list_files, sample_page, uses
from services.miner.api.uploads import list_uploads
from services.miner.auth.headers import PAGES
from services.miner.context import TheCaller, ThePorts, TheProject, TheSample, parse
from services.miner.pages.asked import asked_of, chips_of
from services.miner.pages.forms import Fields, problems_of, the_fields
from services.miner.pages.rendering import render, see_other
from shared.domain.request import RequestRefused, Role, Sex
from shared.domain.sample import KnownSample, SampleRequest, Stated
from shared.domain.upload import UploadStatus
from shared.steps.register import AlreadyRegistered
from shared.steps.samples import register_sample, state_anew

router = APIRouter(include_in_schema=False)
CHIPS = {"text": "Name", "external_id": "Elsewhere", "sex": "Sex", "created_by": "By"}
POLICY = PAGES.replace("connect-src 'self'", "connect-src 'self' https://storage.googleapis.com")
"""Files are sent to Cloud Storage itself, where it is deployed."""


@router.get("/samples")
def samples(request: Request, project: TheProject, ports: ThePorts) -> HTMLResponse:
    asked = asked_of(request, SampleFilters)
    page = sample_page(ports.documents, project.id, asked.filters)
    return render(request, "samples/list.html", asked=asked, page=page, sexes=list(Sex), chip_names=CHIPS,
                  chips_of=chips_of)


@router.get("/samples/new")
def sample_form(request: Request, ports: ThePorts) -> HTMLResponse:
    return _form(request, {}, ports.new_id())


@router.post("/samples/new")
def register(
    request: Request, project: TheProject, ports: ThePorts, caller: TheCaller, fields: Fields = the_fields
) -> Response:
    """`key` was made with the form: sent twice, it is one sample."""
    body = {"name": fields.one("name"), **_stated(fields)}
    try:
        wanted = parse(SampleRequest, body)
        found, _ = register_sample(ports, project.id, wanted, key=fields.one("key") or None, by=caller)
    except RequestRefused as error:
        return _form(request, body, fields.one("key"), problems_of(error.reasons), 422)
    except AlreadyRegistered as error:
        return _form(request, body, fields.one("key"), {"name": str(error)}, 409)
    return see_other(request, f"/samples/{found.id}", message=f"{wanted.name} is registered.")


@router.get("/samples/{sample}")
def sample(request: Request, stored: TheSample, project: TheProject, ports: ThePorts) -> HTMLResponse:
    return _sample(request, stored, project, ports)


@router.post("/samples/{sample}")
def change(
    request: Request, stored: TheSample, project: TheProject, ports: ThePorts, caller: TheCaller,
    fields: Fields = the_fields,
) -> Response:
    body = _stated(fields)
    try:
        state_anew(ports, stored, parse(Stated, body), by=caller, only_if_same=False)
    except RequestRefused as error:
        return _sample(request, stored, project, ports, body, problems_of(error.reasons), 422)
    return see_other(request, f"/samples/{stored.id}", message="It is stated anew.")


def _sample(
    request: Request, stored: TheSample, project: TheProject, ports: ThePorts, body: Mapping[str, Any] | None = None,
    problems: Mapping[str, str] | None = None, status: int = 200,
) -> HTMLResponse:
    known = KnownSample.from_document(stored.data)
    answer = render(
        request, "samples/sample.html", status, sample=known, body=body or known.model_dump(mode="json"),
        problems=problems or {}, files=list_files(stored, project, ports, "uploads/").files,
        uploads=[each for each in list_uploads(stored, ports).items if each.status != UploadStatus.COMPLETE][:10],
        uses=uses(stored, ports), sexes=list(Sex), roles=list(Role),
    )
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


def _form(
    request: Request, body: Mapping[str, Any], key: str, problems: Mapping[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    return render(request, "samples/new.html", status, body=body, key=key, problems=problems or {}, sexes=list(Sex),
                  roles=list(Role))


def _stated(fields: Fields) -> dict[str, Any]:
    """`external_ids` are lines `system=id`; phenotypes are parted by blanks or commas."""
    lines = [line.partition("=") for line in fields.one("external_ids").splitlines() if line.strip()]
    return {
        "sex": fields.one("sex") or Sex.UNKNOWN, "role": fields.one("role") or Role.SAMPLE, "note": fields.one("note"),
        "phenotypes": fields.one("phenotypes").replace(",", " ").split(),
        "external_ids": {system.strip(): own.strip() for system, _, own in lines},
    }
