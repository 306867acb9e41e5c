"""One analysis, end to end, as an upstream service, an operator and a scientist would see it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.pipelines.simulate_reads import simulate
from infra.pipelines.truth import Truth, compare
from shared.domain import paths
from shared.domain.clock import iso
from shared.domain.errors import Conflict
from shared.domain.events import Event, EventType
from shared.domain.project import Project
from shared.ports import Ports
from shared.steps.announce import message_of

SEED = 20261125
LOOK_EVERY_S = 0.05

LONGEST_S = 300
"""How long the demo waits before it says that something is wrong; it takes a few seconds."""


class DemoFailed(Exception):
    """The analysis did not get where it should."""


@dataclass(frozen=True)
class Input:
    """What the demo submits; `truth` where the project made the input itself and knows what is in it."""

    pipeline: str
    inputs: Mapping[str, Any]
    samples: list[dict[str, str]]
    truth: Truth | None = None


def run_demo(ports: Ports, project: Project, api: str, token: str, vcf: Path | None) -> None:
    """`token` is that of the person who looks at it. Raises DemoFailed."""
    began = ports.clock()
    given = _own_vcf(ports, project, vcf) if vcf else _simulated_trio(ports, project)
    display_id = f"Demo {vcf.name.partition('.')[0] if vcf else 'trio'} {began:%Y-%m-%d %H:%M:%S}"
    request_id = f"demo-{iso(began)}"
    event = Event(
        id=request_id, type=EventType.SUBMIT, source="//demo/lims", subject=request_id, time=began, project=project.id,
        data={
            "request_id": request_id, "project": project.id, "display_id": display_id, "pipeline": given.pipeline,
            "inputs": given.inputs, "samples": given.samples, "origin": "compute", "requested_by": "lims@lab.example",
        },
    )
    ports.bus.publish(event.type.topic, message_of(event))
    print(f"published {event.type} {request_id} to {event.type.topic}", flush=True)
    analysis_id = paths.analysis_id(project.id, request_id)
    end = _follow(ports, project.id, request_id)
    _iflow(api, token, project, "analyses", "show", analysis_id)
    if end["status"] != "succeeded" or end["ingest"]["status"] != "ready":
        raise DemoFailed(f"the analysis ended {end['status']} with ingest {end['ingest']['status']}")
    _iflow(api, token, project, "variants", analysis_id)
    if given.truth:
        _tell_what_was_found(ports, project, end, given.truth)
    took = (ports.clock() - began).total_seconds()
    print(f"\nDone in {took:.0f} s. What to do next:")
    print("  make serve                               keeps this stack up; then, in another terminal:")
    print("  .venv/bin/iflow login                    as admin@lab.example; then")
    print("  .venv/bin/iflow analyses list")
    print(f"  .venv/bin/iflow analyses show {end['slug']} --json")
    print(f"  .venv/bin/iflow variants {end['slug']}")
    print("  make demo VCF=FILE                       runs it on a VCF of your own")


def _simulated_trio(ports: Ports, project: Project) -> Input:
    """Reads of a family with known variants, from a seed, put into the project bucket."""
    with tempfile.TemporaryDirectory(prefix="iflow-demo-") as folder:
        truth = simulate(SEED, Path(folder))
        files = sorted(file for file in Path(folder).rglob("*") if file.is_file())
        for file in files:
            with suppress(Conflict):  # an earlier demo put the very same bytes there
                ports.objects.upload(project.bucket, str(file.relative_to(folder)), file, if_generation=0)
    print(f"put {len(files)} files of a simulated trio with {len(truth.variants)} known variants into the bucket")
    return Input("germline-calls", truth.inputs, [dict(sample) for sample in truth.samples], truth)


def _own_vcf(ports: Ports, project: Project, vcf: Path) -> Input:
    if not vcf.is_file():
        raise DemoFailed(f"there is no file {vcf}")
    path = f"samples/{paths.slug(vcf.name)}/uploads/{vcf.name}"
    ports.objects.upload(project.bucket, path, vcf)
    print(f"put {vcf} into the bucket as {path}")
    return Input("vcf-normalize", {"vcf": path}, [])


def _follow(ports: Ports, project: str, request_id: str) -> Mapping[str, Any]:
    """A line for each change, until nothing more will come."""
    path = paths.analysis_doc(project, paths.analysis_id(project, request_id))
    deadline = time.monotonic() + LONGEST_S
    told = ""
    while time.monotonic() < deadline:
        stored = ports.documents.get(path)
        if stored is None:
            _raise_if_refused(ports, paths.rejection_doc(project, request_id))
        elif (line := _line(stored.data)) != told:
            print(f"  {stored.data['updated_at'][11:23]}  {line}", flush=True)
            told = line
        if stored is not None and _at_rest(stored.data):
            return stored.data
        time.sleep(LOOK_EVERY_S)
    raise DemoFailed(f"nothing more happened for {LONGEST_S} s; `iflow analyses show` says where it is")


def _line(data: Mapping[str, Any]) -> str:
    ingest = data["ingest"]
    line = f"{data['status']:<10} {data['status_detail']}"
    if data["status"] == "succeeded":
        line += f"  ingest {ingest['status']}: {ingest['failure'] or ingest['progress'] or 'waiting'}"
    return line


def _at_rest(data: Mapping[str, Any]) -> bool:
    ended = data["status"] in ("failed", "cancelled")
    return ended or data["ingest"]["status"] in ("ready", "failed", "not_applicable")


def _raise_if_refused(ports: Ports, path: str) -> None:
    rejection = ports.documents.get(path)
    if rejection is not None:
        reasons = "; ".join(f"{reason['field']}: {reason['message']}" for reason in rejection.data["reasons"])
        raise DemoFailed(f"the request was refused: {reasons}")


def _iflow(api: str, token: str, project: Project, *arguments: str) -> None:
    """What the user would type."""
    print(f"\n$ iflow {' '.join(arguments)}", flush=True)
    command = [str(Path(sys.executable).with_name("iflow")), *arguments]
    environment = {**os.environ, "IFLOW_API": api, "IFLOW_PROJECT": project.id, "IFLOW_TOKEN": token}
    if code := subprocess.run(command, env=environment, check=False).returncode:
        raise DemoFailed(f"iflow ended with exit code {code}")


def _tell_what_was_found(ports: Ports, project: Project, data: Mapping[str, Any], truth: Truth) -> None:
    path = next(output["path"] for output in data["outputs"] if output["kind"] == "vcf")
    with ports.objects.local(project.bucket, path) as vcf:
        found = compare(truth, vcf)
    print(f"\nThe run found {len(found.found)} of the {len(truth.variants)} variants that were put into the reads,")
    print(f"{len(found.wrong_genotype)} of them with a wrong genotype, and {len(found.extra)} others besides.")
