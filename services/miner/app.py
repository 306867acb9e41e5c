"""The REST API: a person gets the document or the reasons at once, with the same code and commits as the functions."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel

from services.miner import openapi, problems
from services.miner.api import (
    analyses,
    archives,
    audit,
    events,
    exports,
    files,
    logs,
    members,
    notifications,
    ops,
    orders,
    outputs,
    panels,
    pipelines,
    projects,
    samples,
    saved_filters,
    stream,
    uploads,
    variants,
)
from services.miner.auth import sign_in
from services.miner.auth.access import Access
from services.miner.auth.guard import guard
from services.miner.auth.headers import SecurityHeaders
from services.miner.auth.permissions import of_routes
from services.miner.auth.trail import Trail
from services.miner.form_limit import FormLimit
from services.miner.links import Links
from services.miner.live import Hub
from services.miner.observed import Observed
from services.miner.pages import analyses as analyses_page
from services.miner.pages import analysis as analysis_page
from services.miner.pages import api_docs, home, new_analysis, reads, several, static_files
from services.miner.pages import files as files_page
from services.miner.pages import ops as ops_page
from services.miner.pages import orders as orders_page
from services.miner.pages import pipelines as pipelines_page
from services.miner.pages import samples as samples_page
from services.miner.pages import variants as variants_page
from services.miner.pages.rendering import render_problem, wants_page
from shared import runtime
from shared.ports import Ports
from shared.runtime import Settings, set_up_logs

DESCRIPTION = """\
Analyses of a clinical sequencing laboratory: one run of a configured pipeline against a sample's inputs.

Every call but those on projects and operations names its project in the header `X-Project-ID`. Errors are problem
details (RFC 9457) with a stable `code` and the `reasons` by field. Lists have a `next` cursor unless they have ended.
"""


class Health(BaseModel):
    status: str = "ok"


def create_app(ports: Callable[[], Ports] = runtime.ports, settings: Settings | None = None) -> FastAPI:
    """The adapters are built at the first request and not here: the stack makes the app before it is up.

    Raises TableIncomplete for a route that the permission table does not know.
    """
    app = FastAPI(
        title="iflow", version="1.0.0", description=DESCRIPTION, separate_input_output_schemas=False,
        redirect_slashes=False, dependencies=[Depends(guard)], docs_url=None, redoc_url=None,
    )
    app.state.ports = ports
    app.state.live = Hub()
    app.state.links = Links()
    chosen = settings or Settings()
    app.state.access, app.state.trail = Access(chosen, ports), Trail(ports, chosen.proxies_before)
    app.state.courier = runtime.courier(chosen)
    problems.install(app, wants_page, render_problem)
    app.add_middleware(FormLimit)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Observed)
    api = APIRouter(prefix="/api/v1")
    for resource in (
        stream, projects, pipelines, analyses, orders, samples, uploads, panels, saved_filters, outputs, archives,
        files, logs, variants, exports, members, notifications,
        audit, ops, events,
    ):
        api.include_router(resource.router)
    api.include_router(variants.details)
    api.include_router(orders.proposals)
    api.include_router(notifications.delivered)
    app.include_router(api)
    app.include_router(sign_in.router)
    for area in (
        home, static_files, api_docs, new_analysis, several, analyses_page, orders_page, variants_page, reads,
        samples_page, ops_page, pipelines_page, files_page,
    ):
        app.include_router(area.router)
    app.include_router(analysis_page.router)  # last: an analysis may have any name
    app.add_api_route("/healthz", health, tags=["health"])
    app.state.permissions = of_routes(app.routes)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    return app


def create_service() -> FastAPI:
    """The same in a process of its own, whose lines are set up like a function's."""
    set_up_logs(Settings())
    return create_app()


def health() -> Health:
    """That the service answers; nothing behind it is asked."""
    return Health()
