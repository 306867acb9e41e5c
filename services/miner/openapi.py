"""What FastAPI cannot see by itself: bodies that the domain's own models check, by their JSON Schema."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from services.miner.auth.permissions import TABLE, Permission
from services.miner.bodies import (
    NewPanel,
    NewProject,
    NewRole,
    NewSecret,
    NotificationsTest,
    NotificationsWanted,
    OrderTransition,
    Rerun,
)
from services.miner.examples import add_examples
from shared.domain.order import OrderChange, OrderRequest
from shared.domain.pipeline import Pipeline
from shared.domain.request import SubmitRequest
from shared.domain.sample import SampleRequest, Stated
from shared.domain.saved_filter import SavedFilterRequest
from shared.domain.upload import UploadRequest

BODIES = (SubmitRequest, Pipeline, NewProject, Rerun, OrderRequest, OrderChange, OrderTransition, NewPanel,
          SavedFilterRequest, NewRole, SampleRequest, Stated, UploadRequest, NotificationsWanted,
          NewSecret, NotificationsTest)
SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
              "description": "Of the configured issuer; of a local stack, what `iflow login` gets."},
    "session": {"type": "apiKey", "in": "cookie", "name": "iflow",
                "description": "Of a page; what changes something also takes the header X-CSRF-Token."},
}
REF = "#/components/schemas/{model}"
NEW_ANALYSIS = {
    "display_id": "WGS 12/A", "pipeline": "vcf-normalize", "inputs": {"vcf": "samples/trio/uploads/trio.vcf.gz"},
    "samples": [{"name": "HG002", "role": "proband", "sex": "male"}],
}
RERUN = {"display_id": "WGS 12/A repeated", "version": "latest", "inputs": {"split_multiallelics": True}}
NEW_ORDER = {"display_id": "O-2026-17", "analyses": ["wgs-12-a"], "priority": "urgent"}


def request_body(model: str, example: dict[str, Any] | None = None, *, required: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is of that schema."""
    content: dict[str, Any] = {"schema": {"$ref": REF.format(model=model)}}
    if example:
        content["example"] = example
    return {"requestBody": {"required": required, "content": {"application/json": content}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the schemas of the bodies that are checked by the domain."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        answers = document["components"]["schemas"]
        document["components"]["schemas"] = {**_told_apart(_schemas(), answers), **answers}
        document["components"]["securitySchemes"] = SECURITY
        for line, permission in TABLE.items():
            method, _, path = line.partition(" ")
            operation = document["paths"].get(path, {}).get(method.lower())
            if operation is not None and permission is not Permission.PUBLIC:
                operation["security"] = [{name: []} for name in SECURITY]
                operation["x-permission"] = permission
        add_examples(document)
        app.openapi_schema = document
    return app.openapi_schema


def _schemas() -> dict[str, Any]:
    _, found = models_json_schema([(model, "validation") for model in BODIES], ref_template=REF)
    schemas: dict[str, Any] = found["$defs"]
    schemas["NewAnalysis"] = _by_headers(schemas.pop("SubmitRequest"), "NewAnalysis", "A submit request")
    schemas["NewOrder"] = _by_headers(schemas.pop("OrderRequest"), "NewOrder", "An order")
    return schemas


def _told_apart(bodies: dict[str, Any], answers: dict[str, Any]) -> dict[str, Any]:
    """What is sent and what is answered may have parts of one name: that of a body is then called `Declared...`."""
    text = json.dumps(bodies)
    for name, schema in bodies.items():
        if name in answers and schema.get("properties", {}).keys() != answers[name].get("properties", {}).keys():
            text = text.replace(f'"{REF.format(model=name)}"', f'"{REF.format(model=f"Declared{name}")}"')
            text = text.replace(f'"{name}": {{', f'"Declared{name}": {{', 1)
    found: dict[str, Any] = json.loads(text)
    return found


def _by_headers(request: dict[str, Any], title: str, what: str) -> dict[str, Any]:
    optional = {"project", "request_id", "requested_by"}
    return {
        **request,
        "title": title,
        "description": f"{what} whose project is the header X-Project-ID, whose request_id may be given in the header "
        "Idempotency-Key, and whose requested_by is the caller; a service may say for whom it asks.",
        "properties": {name: field for name, field in request["properties"].items() if name != "project"},
        "required": [name for name in request["required"] if name not in optional],
    }
