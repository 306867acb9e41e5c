"""`python -m infra.local serve` keeps the stack up; `... demo [--vcf FILE]` runs one analysis on it and stops.

With `--backend emulators` (or IFLOW_BACKEND) it is the stack on Google's emulators.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path

from infra.local import emulator_stack, stack
from infra.local.demo import DemoFailed, run_demo
from infra.local.emulators import EmulatorFailed, EmulatorMissing
from infra.local.processes import ProcessFailed
from infra.local.setup import SUPERADMIN, local_settings, register_demo
from infra.local.stack import Running, StackRunning
from services.miner.auth.local_issuer import LocalIssuer
from shared import runtime
from shared.domain.errors import Permanent
from shared.runtime import EMULATORS, Settings, set_up_logs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="start the stack and stay")
    demo = commands.add_parser("demo", help="start the stack, run one analysis end to end, stop")
    demo.add_argument("--vcf", type=Path, help="run vcf-normalize on this file instead of the simulated trio")
    for command in (serve, demo):
        command.add_argument("--backend", choices=("embedded", "emulators"), default=Settings().backend)
    arguments = parser.parse_args()
    if arguments.backend == "google":
        parser.error("IFLOW_BACKEND is google, which is deployed (docs/deploy.md) and not run here")
    settings = local_settings(backend=arguments.backend)
    set_up_logs(settings, settings.stack_log)
    try:
        return _serve(settings) if arguments.command == "serve" else _demo(settings, arguments.vcf)
    except (StackRunning, DemoFailed, Permanent, OSError, EmulatorMissing, EmulatorFailed, ProcessFailed) as error:
        print(f"{arguments.command}: {error}", file=sys.stderr)
        return 1


def _running(settings: Settings) -> AbstractContextManager[Running]:
    return emulator_stack.running(settings) if settings.backend == "emulators" else stack.running(settings)


def _serve(settings: Settings) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with _running(settings) as up:
        register_demo(runtime.ports())
        print(f"Pages  {up.api}/   API  {up.api}/api/v1   (docs: {up.api}/docs)")
        print(f"state  {settings.state_dir.resolve()}   log  {settings.stack_log}")
        if settings.backend == "emulators":
            print(f"logs of each process  {settings.home / 'logs'}   its emulators, for Google's own clients:")
            print("".join(f"  export {name}={os.environ[name]}\n" for name in EMULATORS.values()), end="")
        print("In another terminal: .venv/bin/iflow login, then .venv/bin/iflow analyses list   Stop with Ctrl-C.",
              flush=True)
        stop.wait()
    return 0


def _demo(settings: Settings, vcf: Path | None) -> int:
    with _running(settings) as up:
        project = register_demo(runtime.ports())
        run_demo(runtime.ports(), project, up.api, LocalIssuer(settings).token(SUPERADMIN), vcf)
    return 0


if __name__ == "__main__":
    sys.exit(main())
