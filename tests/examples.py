"""How many examples of a universal rule a test tries: of its full number a quarter in every run of the suite, for the
sake of its length; IFLOW_TEST_EXAMPLES=1 is the full number, 10 ten times that."""

from __future__ import annotations

import os

SHARE = float(os.environ.get("IFLOW_TEST_EXAMPLES", "0.25"))


def examples(full: int) -> int:
    return max(1, round(full * SHARE))


def whole_or(whole: int, part: int) -> int:
    """Where a quarter is still too long, or not to be had: `part`, and with IFLOW_TEST_EXAMPLES=1 the whole."""
    return whole if SHARE >= 1 else part
