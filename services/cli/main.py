"""`iflow`: the analysis service at the command line. What is asked for goes to stdout, what is said to stderr."""

from __future__ import annotations

import typer

from services.cli import (
    analyses,
    audit,
    config,
    events,
    filters,
    login,
    notifications,
    ops,
    orders,
    panels,
    pipelines,
    projects,
    samples,
    variants,
)
from services.cli.exits import EPILOG

app = typer.Typer(
    name="iflow", no_args_is_help=True, epilog=EPILOG, pretty_exceptions_enable=False,
    help="Analyses of a sequencing laboratory: ask for them, follow them, use what they found.",
)
for name, group in (
    ("analyses", analyses.app), ("orders", orders.app), ("samples", samples.app), ("variants", variants.app),
    ("panels", panels.app), ("filters", filters.app), ("pipelines", pipelines.app), ("projects", projects.app),
    ("events", events.app), ("notifications", notifications.app), ("ops", ops.app), ("audit", audit.app),
    ("config", config.app),
):
    app.add_typer(group, name=name)
login.add_to(app)
