"""What every benchmark does with its figures: a table for people, and flat JSON in build/bench/ for comparison."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

FOLDER = Path("build/bench")
PACKAGES = ("google-cloud-firestore", "google-cloud-pubsub", "google-cloud-batch", "pydantic", "duckdb", "pyarrow")


def report(name: str, figures: Mapping[str, float | int | str]) -> None:
    """`figures`: flat keys that end in their unit."""
    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "python": platform.python_version(),
        **{f"version_{package}": version(package) for package in PACKAGES},
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps({**figures, **about}, indent=1) + "\n")
    width = max(len(key) for key in figures)
    for key, value in figures.items():
        print(f"{key:<{width}}  {value:,}" if isinstance(value, int | float) else f"{key:<{width}}  {value}")
    print(f"\nwritten to {path}")


def percentile(values: list[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
