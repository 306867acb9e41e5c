"""`make bench-serving`: a file of 20 GB by the API, cut in the middle and resumed, and 100 readers of live streams.

The stack is a process of its own, whose memory and processor time are read from /proc. The file is sparse: it costs no
disk, and the disk no time. `download_growth_mib`: how much larger the process was at its largest than before;
`streams_cpu_percent`: of one core, while an analysis of the project changes every second.

GIGABYTES and STREAMS in the environment make it smaller.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import tempfile
import threading
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import httpx

from tests.bench.report import report
from tests.flow.planted import an_old_one, plant
from tests.flow.stack import bearer, stack_over

GIGABYTES = int(os.environ.get("GIGABYTES", "20"))
STREAMS = int(os.environ.get("STREAMS", "100"))
LOOKED_AT_S = 20
PIECE = 1 << 20
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def serve(folder: Path, pipe: Connection) -> None:
    """The stack, until the pipe says so."""
    with stack_over(folder, reconcile_every_s=3600) as stack:
        analysis = plant(stack, an_old_one("demo", "large"))
        file = stack.settings.objects_dir / "demo" / analysis.folder / "large.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as sparse:
            sparse.truncate(GIGABYTES * 10**9)
        pipe.send((stack.api, bearer(stack.settings), analysis.id))
        pipe.recv()


def resident_mib(pid: int, what: str = "VmRSS") -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def download(client: httpx.Client, address: str, start: int, stop_at: int | None) -> tuple[int, str]:
    """Bytes that came from `start` on, until `stop_at` of them, and the file's ETag."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    came = 0
    with client.stream("GET", address, headers=headers) as answer:
        answer.raise_for_status()
        for piece in answer.iter_raw(PIECE):
            came += len(piece)
            if stop_at is not None and came >= stop_at:
                break
        return came, answer.headers["etag"]


def downloads(client: httpx.Client, pid: int, analysis: str) -> dict[str, float]:
    """In two parts, the first cut off in the middle."""
    size, before, begun = GIGABYTES * 10**9, resident_mib(pid), time.monotonic()
    address = f"/analyses/{analysis}/outputs/large.bin"
    first, etag = download(client, address, 0, size // 2)
    second, again = download(client, address, first, None)
    assert (first + second, etag) == (size, again), (first, second, etag, again)
    return {
        "download_gb": GIGABYTES, "download_mb_per_s": round(size / 1e6 / (time.monotonic() - begun)),
        "download_growth_mib": round(resident_mib(pid, "VmHWM") - before, 1),
    }


def streams(client: httpx.Client, pid: int, analysis: str) -> dict[str, float]:
    before = resident_mib(pid)
    told = [0] * STREAMS
    over = threading.Event()

    def read(number: int) -> None:
        with client.stream("GET", "/analyses/events") as answer:
            for line in answer.iter_lines():
                told[number] += line.startswith("data:")
                if over.is_set():
                    return

    readers = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(STREAMS)]
    for reader in readers:
        reader.start()
    while not all(told):
        time.sleep(0.05)
    begun, cpu = time.monotonic(), cpu_s(pid)
    for _ in range(LOOKED_AT_S):
        client.post(f"/analyses/{analysis}/rerun", json={}).raise_for_status()
        time.sleep(1)
    used = (cpu_s(pid) - cpu) / (time.monotonic() - begun)
    figures = {
        "streams": STREAMS, "streams_cpu_percent": round(100 * used, 1), "streams_told_least": min(told),
        "streams_growth_mib": round(resident_mib(pid) - before, 1),
    }
    over.set()  # a silent stream has a comment every few seconds, and each reader ends with its next line
    for reader in readers:
        reader.join()
    return figures


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        here, there = mp.Pipe()
        process = mp.get_context("spawn").Process(target=serve, args=(Path(folder), there))
        process.start()
        opened.callback(process.join)
        opened.callback(here.send, None)
        api, headers, analysis = here.recv()
        pid = process.pid or 0
        client = opened.enter_context(httpx.Client(
            base_url=f"{api}/api/v1", headers={"X-Project-ID": "demo", **headers}, timeout=60,
            limits=httpx.Limits(max_connections=STREAMS + 10),
        ))
        figures = downloads(client, pid, analysis)
        without = idle(client, pid, analysis)
        report("serving", {**figures, **streams(client, pid, analysis), "streams_cpu_percent_without": without})


def idle(client: httpx.Client, pid: int, analysis: str) -> float:
    """The same work without a reader, in per cent of one core."""
    begun, cpu = time.monotonic(), cpu_s(pid)
    for _ in range(LOOKED_AT_S):
        client.post(f"/analyses/{analysis}/rerun", json={}).raise_for_status()
        time.sleep(1)
    return round(100 * (cpu_s(pid) - cpu) / (time.monotonic() - begun), 1)


if __name__ == "__main__":
    main()
