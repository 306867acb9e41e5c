"""`python -m tests.cases`: every case of ../shared/CASES.md, the tests that cite it, and the ids that none cites."""

from __future__ import annotations

import ast
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
SHARED = Path(os.environ.get("IFLOW_SHARED", TESTS.parent.parent / "shared"))
ID = re.compile(r"\bC\d{2}\b")


def main() -> int:
    file = SHARED / "CASES.md"
    if not file.is_file():
        print(f"{file} is not there; set IFLOW_SHARED to the folder that holds CASES.md", file=sys.stderr)
        return 2
    cases = dict(re.findall(r"^\| (C\d{2}) \| (\w+) \|", file.read_text(), re.M))
    cited = citations()
    for case, area in cases.items():
        tests = sorted(cited.get(case, []))
        print(f"{case}  {area:<7} {tests[0] if tests else '-'}")
        for test in tests[1:]:
            print(f"{'':13} {test}")
    without = [case for case in cases if case not in cited]
    print(f"\n{len(cases) - len(without)} of {len(cases)} cases have a test.", end=" ")
    print(f"None cites {', '.join(without)}." if without else "")
    return 0


def citations() -> dict[str, set[str]]:
    """Case id -> `file::test` of every test function whose source, docstring or name cites it."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted(TESTS.rglob("test_*.py")):
        text = file.read_text()
        for name, source in _tests(text):
            for case in ID.findall(source) + [c.upper() for c in re.findall(r"_(c\d{2})(?=_|$)", name)]:
                found[case].add(f"{file.relative_to(TESTS.parent)}::{name}")
    return found


def _tests(text: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name, ast.get_source_segment(text, node) or ""


if __name__ == "__main__":
    sys.exit(main())
