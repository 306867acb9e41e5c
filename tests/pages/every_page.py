"""Every page, with something on it: what axe looks at, and what `make screenshots` shows.

    python -m tests.pages.every_page build/screenshots
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser

from shared.delivery import Delivery
from shared.domain.clock import iso
from shared.domain.events import Topic
from shared.ports import Message
from shared.steps.announce import message_of
from shared.steps.dead_letters import keep
from tests.builders import T0
from tests.flow.stack import ADA, Stack, stack_over
from tests.flow.stacks import submit_event
from tests.pages.browser import NARROW, WIDE, browser_started, desk_of
from tests.pages.family import NEEDLE, ingested_family

PAGES: Mapping[str, str] = {
    "login": "/login",
    "analyses": "/analyses",
    "analyses-failed": "/analyses?tab=failed&text=wgs",
    "analyses-none": "/analyses?text=nothing-of-that-name",
    "analyses-new": "/analyses/new",
    "analysis-form": "/analyses/new?pipeline=germline-calls&samples[1].name=S2",
    "analysis-rerun": "/analyses/new?rerun=wgs-1-a&inputs.exit_code=0",
    "analyses-several": "/analyses/several/cancel?analysis=wgs-1-a&analysis=wgs-that-runs",
    "analysis": "/analyses/family-7",
    "analysis-running": "/analyses/wgs-that-runs",
    "analysis-failed": "/analyses/wgs-1-a",
    "analysis-steps": "/analyses/wgs-1-a/steps",
    "analysis-logs": "/analyses/wgs-1-a/logs",
    "analysis-inputs": "/analyses/family-7/inputs",
    "analysis-output": "/analyses/wgs-1-a/outputs?preview=log.txt",
    "analysis-metrics": "/analyses/family-7/metrics",
    "analysis-compare": "/analyses/wgs-3-a/compare?with=wgs-1-a",
    "analysis-history": "/analyses/family-7/history",
    "analysis-cancel": "/analyses/wgs-that-runs/cancel",
    "files": "/files",
    "files-none": "/files?prefix=../x&pick=inputs.vcf",
    "files-part": "/files?prefix=analyses/family-7/&pick=inputs.vcf",
    "pipelines": "/pipelines",
    "pipelines-new": "/pipelines/new?like=germline-calls",
    "pipeline": "/pipelines/germline-calls",
    "pipeline-yaml": "/pipelines/vcf-normalize?view=yaml",
    "orders": "/orders",
    "orders-new": "/orders/new?analysis=family-7",
    "order": "/orders/family-7",
    "order-variants": "/orders/family-7/variants",
    "order-variant": f"/orders/family-7/variants?inheritance=de_novo&variant={NEEDLE}",
    "analysis-variants": "/analyses/family-7/variants?sort=position",
    "order-reads": "/orders/family-7/reads?locus=chr1:950-1050",
    "analysis-reads": "/analyses/family-7/reads",
    "variants-not-yet": "/orders/waits/variants",
    "samples": "/samples",
    "samples-none": "/samples?text=nobody",
    "samples-new": "/samples/new",
    "sample": "/samples/s2",
    "ops": "/ops",
    "ops-rejections": "/ops?tab=rejections",
    "ops-silent": "/ops?tab=silent",
    "ops-queues": "/ops?tab=queues",
    "ops-dead-letter": "/ops/dead-letters/a-dead-letter",
    "ops-rejection": "/ops/rejections/{rejection}",
    "not-found": "/analyses/there-is-none-of-this-name/variants",
}
"""Name -> address; `{rejection}` stands for the id of one."""

FAILING = frozenset({"not-found"})


@contextmanager
def furnished(folder: Path) -> Iterator[Stack]:
    """A stack with a family that is ingested and ordered, analyses that failed, run and ended, and troubles."""
    with stack_over(folder, reconcile_every_s=3600) as stack:
        ended = [stack.submit(f"WGS {n}/A", exit_code=n % 2, samples=[{"name": f"S{n}"}])["id"] for n in range(4)]
        stack.submit("WGS that runs", runtime_seconds=600)
        ingested_family(stack)
        assert stack.client.post("/orders", json={"display_id": "Family 7", "analyses": ["family-7"]}).is_success
        waits = {"display_id": "waits", "samples": [{"name": "Later", "role": "proband"}]}
        assert stack.client.post("/orders", json=waits).is_success
        assert stack.client.post("/samples", json={"name": "S2", "external_ids": {"lims": "4711"}}).is_success
        stack.ports.objects.write("demo", "samples/s2/uploads/reads.txt", b"reads")
        message = message_of(submit_event("never taken"))
        letter = Delivery("a-dead-letter", message.data, message.attributes, message.ordering_key, iso(T0))
        keep(stack.ports, letter, "submit", "Firestore did not answer within 10 s", attempts=10)
        stack.ports.bus.publish(Topic.COMMANDS, Message(b'{"no": "event"}', {"project": "demo"}))
        stack.until(lambda: stack.client.get("/ops/rejections").json()["items"] or None)
        for analysis in ended:
            stack.until_status(analysis, "succeeded", "failed")
        yield stack


def addresses(stack: Stack) -> dict[str, str]:
    (rejection, *_) = stack.client.get("/ops/rejections").json()["items"]
    return {name: path.replace("{rejection}", rejection["id"]) for name, path in PAGES.items()}


def photograph(browser: Browser, stack: Stack, folder: Path) -> list[Path]:
    """Each page at 1440 and 390 px, light and dark."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for size in (WIDE, NARROW):
        for scheme in ("light", "dark"):
            with desk_of(browser, stack, ADA, size=size, scheme=scheme) as desk:
                for name, path in addresses(stack).items():
                    desk.page.goto(f"{stack.api}{path}{'&' if '?' in path else '?'}project=demo")
                    desk.page.wait_for_load_state("load")
                    made.append(folder / f"{name}-{size[0]}-{scheme}.png")
                    desk.page.screenshot(path=made[-1], full_page=True)
                desk.broken.clear()  # a page that is not found is one of them
    return made


def main(folder: str) -> int:
    with tempfile.TemporaryDirectory() as state, furnished(Path(state)) as stack, browser_started() as browser:
        made = photograph(browser, stack, Path(folder))
    print(f"{len(made)} pictures of {len(PAGES)} pages in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
