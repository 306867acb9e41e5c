"""Terraform itself, run on a copy of infra/terraform with the stand-in for its provider."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.terraform.extract_schema import SCHEMA, TERRAFORM
from tests.unit.terraform.stand_in import stand_in

EXECUTABLE = shutil.which("terraform")
_LOCAL_STATE = 'terraform {\n  backend "local" {}\n}\n'


@dataclass(frozen=True)
class Resource:
    """One planned resource: `address` such as `google_pubsub_topic.this["dead-letters"]`."""

    address: str
    type: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any]

    def all(self, kind: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type == kind]

    def named(self, kind: str, name: str) -> Mapping[str, Resource]:
        """Those of one block with for_each, by key."""
        start = f'{kind}.{name}["'
        return {r.address.removeprefix(start)[:-2]: r for r in self.resources if r.address.startswith(start)}

    def one(self, address: str) -> Mapping[str, Any]:
        return next(resource.values for resource in self.resources if resource.address == address)


def workspace(folder: Path) -> Path:
    """infra/ as Terraform needs it, in `folder`, with its state there too. Returns where to run."""
    infra = TERRAFORM.parent
    there = folder / "infra" / "terraform"
    there.mkdir(parents=True)
    for file in (*TERRAFORM.glob("*.tf"), *TERRAFORM.glob("*.json")):
        shutil.copy(file, there)
    shutil.copy(infra / "topology.yaml", there.parent)
    (there / "local_override.tf").write_text(_LOCAL_STATE)
    return there


def terraform(where: Path, *arguments: str, reattach: str | None = None) -> subprocess.CompletedProcess[str]:
    """Never reads a configuration of the machine's, never asks anybody."""
    nothing = where / "nothing.tfrc"
    nothing.touch()
    environment = {
        **os.environ, "TF_CLI_CONFIG_FILE": str(nothing), "TF_IN_AUTOMATION": "1", "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1", **({"TF_REATTACH_PROVIDERS": reattach} if reattach else {}),
    }
    assert EXECUTABLE is not None
    return subprocess.run(
        [EXECUTABLE, *arguments], cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def planned(where: Path, variables: Mapping[str, Any], *, tokens: bool) -> Plan:
    """init, validate, plan. What Terraform has to say against it is the AssertionError's message."""
    return _read(json.loads(plan_json(where, variables, tokens=tokens)))


def plan_json(where: Path, variables: Mapping[str, Any], *, tokens: bool) -> str:
    """As `terraform show -json` gives it."""
    (where / "test.auto.tfvars.json").write_text(json.dumps(variables))
    return _all(where, [*_VALIDATE, *_PLAN], tokens)


def validated(where: Path) -> None:
    """init and validate, which need no variables."""
    _all(where, _VALIDATE, tokens=False)


_VALIDATE = [["init", "-no-color"], ["validate", "-no-color"]]
_PLAN = [["plan", "-no-color", "-out=plan"], ["show", "-json", "plan"]]


def _all(where: Path, commands: Sequence[Sequence[str]], tokens: bool) -> str:
    """What the last of them says."""
    said = ""
    with stand_in(json.loads(SCHEMA.read_text()), tokens=tokens) as reattach:
        for command in commands:
            ran = terraform(where, *command, reattach=reattach)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            said = ran.stdout
    return said


def _read(shown: Mapping[str, Any]) -> Plan:
    values = shown["planned_values"]
    outputs = {name: output.get("value") for name, output in values.get("outputs", {}).items()}
    return Plan(tuple(_resources(values["root_module"])), outputs)


def _resources(module: Mapping[str, Any]) -> Iterator[Resource]:
    for resource in module.get("resources", ()):
        yield Resource(resource["address"], resource["type"], resource["values"])
    for child in module.get("child_modules", ()):
        yield from _resources(child)
