"""What every command has: --json, --project and --api, an open line to the service, and one way to end badly."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import typer

from services.cli.api import Api, address_of
from services.cli.exits import Exit, Failed
from services.cli.settings import value_of

JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout, with the field names of the API.")]
ProjectOption = Annotated[
    str | None, typer.Option(
        "--project", "-p", envvar="IFLOW_PROJECT", show_default=False,
        help="The project; else as `iflow config` has it, else the only one there is."
    )
]
ApiOption = Annotated[
    str | None, typer.Option(
        "--api", envvar="IFLOW_API", show_default=False,
        help="The service's address; else as `iflow config` has it, else that of the stack that runs here (.iflow).",
    )
]


@dataclass
class Session:
    """`api` is opened when it is first used; `in_project` has the project's header set."""

    as_json: bool
    project_option: str | None
    api_option: str | None

    @cached_property
    def api(self) -> Api:
        return Api(address_of(self.api_option))

    @cached_property
    def in_project(self) -> Api:
        self.api.for_project(self.project)
        return self.api

    @cached_property
    def across_projects(self) -> Api:
        """For operators: a project's own only if one is named."""
        if self.project_option:
            self.api.for_project(self.project_option)
        return self.api

    @cached_property
    def project(self) -> str:
        if self.project_option:
            return self.project_option
        names = [project["id"] for project in self.api.get("/projects")["items"]]
        if len(names) == 1:
            return str(names[0])
        if not names:
            raise Failed(Exit.USAGE, "There is no project yet; register one with `iflow projects register NAME`.")
        raise Failed(
            Exit.USAGE, f"Which project? There are {', '.join(names)}; name one with --project or IFLOW_PROJECT."
        )

    def close(self) -> None:
        if "api" in self.__dict__:
            self.api.close()

    def print_json(self, value: Any) -> None:
        print(json.dumps(value, indent=2, ensure_ascii=False))


def say(sentence: str) -> None:
    """To people, on stderr: stdout is for what was asked for."""
    print(sentence, file=sys.stderr)


def command(app: typer.Typer, name: str, **settings: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Registers a function whose first parameter is the session; its other parameters are the command's own.

    `Failed` ends the command: its sentence goes to stderr, its code is the exit code.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*, as_json: bool, project: str | None, api: str | None, **own: Any) -> None:
            session = Session(
                as_json or value_of("output") == "json", project or value_of("project"), api
            )
            try:
                function(session, **own)
            except Failed as failed:
                say(f"Error: {failed}")
                raise typer.Exit(failed.code) from None
            finally:
                session.close()

        run.__signature__ = _with_common_options(function)  # type: ignore[attr-defined]
        app.command(name, **settings)(run)
        return function

    return register


def _with_common_options(function: Callable[..., None]) -> inspect.Signature:
    signature = inspect.signature(function, eval_str=True)
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in signature.parameters.values()][1:]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, default, annotation in (
            ("as_json", False, JsonOption), ("project", None, ProjectOption), ("api", None, ApiOption),
        )
    ]
    return signature.replace(parameters=[*own, *common])
