"""fail-on-request: takes as long and ends as it is told, for teaching, drills and tests.

Inputs: `exit_code` (0-255), `runtime_seconds`, optional `log_lines`, and optional `succeed_from_attempt`: the attempt
(0 is the first) from which on it ends with 0 instead, to show a retry that helps.
"""

from __future__ import annotations

import sys
import time

from infra.pipelines.runnable import Run, run_pipeline, say


def fail(run: Run) -> int:
    """Returns the exit code asked for. The log says before the wait what is going to happen."""
    exit_code, seconds = int(run.required("exit_code")), float(run.required("runtime_seconds"))
    lines = [str(line) for line in run.inputs.get("log_lines", ())]
    helped_from = run.inputs.get("succeed_from_attempt")
    if helped_from is not None and run.attempt >= int(helped_from):
        exit_code = 0
    for line in lines:
        say(line)
    say(f"attempt {run.attempt}: will end with exit code {exit_code} after {seconds:g} s")
    run.write_text("log.txt", "".join(f"{line}\n" for line in lines) or "no log lines were asked for\n")
    time.sleep(seconds)
    run.write_metrics(
        {"pipeline": "fail-on-request", "exit_code": exit_code, "attempt": run.attempt, "runtime_seconds": seconds}
    )
    if exit_code:
        print(f"error: this run was asked to end with exit code {exit_code}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    run_pipeline(fail)
