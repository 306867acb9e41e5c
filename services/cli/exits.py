"""How a command ends: the one list of exit codes, for scripts and for `--help`."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    ANALYSIS_FAILED = 1
    USAGE = 2
    CANCELLED = 3
    TIMED_OUT = 4
    PARTLY_DONE = 5
    BAD_DATA = 65
    NOT_REACHABLE = 69
    NOT_ALLOWED = 77


MEANINGS = {
    Exit.DONE: "done",
    Exit.ANALYSIS_FAILED: "the analysis failed (wait, watch)",
    Exit.USAGE: "the command was not understood, or does not say which project",
    Exit.CANCELLED: "the analysis was cancelled (wait, watch)",
    Exit.TIMED_OUT: "it was not final within --timeout (wait, watch)",
    Exit.PARTLY_DONE: "some of it was done, the rest was refused, each with its reason (cancel, download)",
    Exit.BAD_DATA: "what was given was refused: not found, not valid, or not possible in the present state",
    Exit.NOT_REACHABLE: "the service does not answer, or cannot now",
    Exit.NOT_ALLOWED: "not allowed",
}

OF_STATUS = {"succeeded": Exit.DONE, "failed": Exit.ANALYSIS_FAILED, "cancelled": Exit.CANCELLED}
"""What a final status means to `wait` and `watch`."""

EPILOG = "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in MEANINGS.items()) + "."


class Failed(Exception):
    """The command ends here, with a sentence on stderr and an exit code."""

    def __init__(self, code: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
