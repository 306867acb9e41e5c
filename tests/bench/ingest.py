"""`make bench-ingest`: a whole-genome VCF and a trio become tables; beside it, in the same run, htslib's own reading,
and what others offer.

Each subject is a process of its own, started RUNS times in turns with the others, so that a busy machine is busy for
all; a figure is the fastest of its runs. What is compared with bars are ratios within the run. Peak memory is of the
largest process; no subject has more than one that matters.

    ratio_to_floor, ratio_to_floor_trio     our seconds / seconds of `bcftools view -Ou` to nowhere, same file
    ratio_to_best_peer                      our seconds / those of the fastest peer that keeps every field and the order
    peak_rss_mib                            ours, over all files
    <subject>_<file>_s, _cpu_s              wall, and processor over all threads: the latter tells how much of the other
                                            was waiting for a busy machine
    slope_4x                                t(4n records) / (4 t(n records)), each less the start-up of the process: 1
                                            is linear, more is worse

Peers live in build/bench/peers, an environment of their own; one that does not install is named and left out.
RECORDS, RUNS and SUBJECTS (names, by comma) narrow a run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.bench.report import FOLDER, report
from tests.bench.vcf_files import write_vcf

RECORDS = int(os.environ.get("RECORDS", "1000000"))
TINY, SMALL = 2_000, 20_000  # for who takes too long over more: from the two the time for RECORDS follows
RUNS = int(os.environ.get("RUNS", "2"))
ONLY = os.environ.get("SUBJECTS", "")
PEERS = Path(os.environ.get("PEERS") or FOLDER / "peers")
REQUIREMENTS = ("polars-bio==0.36.2", "oxbow==0.8.2", "vcf2parquet==0.6.0", "bio2zarr[vcf]==0.2.1", "pyarrow==24.0.0")
BARS = {"ratio_to_floor": 3.0, "ratio_to_floor_trio": 3.5, "ratio_to_best_peer": 1.0, "peak_rss_mib": 1536}
SECONDS_AT_MOST = 300


@dataclass(frozen=True)
class Subject:
    """`code` is run with the VCF and an output path as its arguments. `whole`: every field, and the file's order."""

    name: str
    code: str
    keeps: str
    leaves_out: str
    peer: bool = False
    whole: bool = False
    small: bool = False


OURS = Subject(
    "ours", "import sys; from pathlib import Path; from shared.variants.table import build_table; "
    "build_table(Path(sys.argv[1]), Path(sys.argv[2]))",
    "every field typed and split per allele, transcripts chosen, keys, report; every check", "nothing", whole=True,
)
FLOOR = Subject(
    "bcftools view -Ou", "import sys, pysam.bcftools; pysam.bcftools.view('-Ou', sys.argv[1], catch_stdout=False)",
    "every field, as BCF to nowhere", "a table; CSQ is one text",
)
OTHERS = (
    Subject(
        "cyvcf2 loop", "import sys, cyvcf2\n"
        "n = 0\n"
        "for v in cyvcf2.VCF(sys.argv[1]):\n"
        "    row = (v.CHROM, v.POS, v.ID, v.REF, v.ALT, v.QUAL, v.FILTER, dict(v.INFO), v.genotypes, v.format('AD'), "
        "v.format('DP'), v.format('GQ'), v.format('PL'))\n"
        "    n += 1\n",
        "every field, as Python values", "a table; CSQ is one text; nothing is written",
    ),
    Subject(
        "polars-bio", "import sys, polars_bio as pb\n"
        "info = 'AC AF AN BaseQRankSum DB DP ExcessHet FS MQ MQRankSum QD ReadPosRankSum SOR CSQ'.split()\n"
        "lazy = pb.scan_vcf(sys.argv[1], info_fields=info, format_fields='GT AD DP GQ PL'.split())\n"
        "lazy.sink_parquet(sys.argv[2])\n",
        "every field, in file order, as Parquet", "alleles are lists in one row; CSQ is text; floats of 32 bits",
        peer=True, whole=True,
    ),
    Subject(
        "oxbow", "import sys, oxbow, pyarrow as pa, pyarrow.parquet as pq\n"
        "table = None\n"
        "for batch in oxbow.from_vcf(sys.argv[1], samples='*').batches():\n"
        "    batch = pa.record_batch(batch)\n"
        "    table = table or pq.ParquetWriter(sys.argv[2], batch.schema, compression='zstd')\n"
        "    table.write_batch(batch)\n"
        "table.close()\n",
        "every field, in file order, as Parquet", "alleles are lists in one row; CSQ is text", peer=True, whole=True,
    ),
    Subject(
        "vcf2parquet", "import sys, pyvcf2parquet as p\n"
        "p.convert_vcf(sys.argv[1], sys.argv[2], compression=p.Compression.Zstd)\n",
        "every field, as Parquet", "CSQ is text", peer=True, whole=True,
    ),
    Subject(
        "bio2zarr", "import sys\n"
        "from bio2zarr import vcf\n"
        "if __name__ == '__main__':\n"
        "    vcf.convert([sys.argv[1]], sys.argv[2], worker_processes=1)\n",
        "every field, as Zarr", f"CSQ is text; seconds follow from {TINY:,} and {SMALL:,}", peer=True, small=True,
    ),
)


@dataclass(frozen=True)
class Run:
    """`cpu` are the seconds of processor of all its threads."""

    seconds: float
    cpu: float
    rss_mib: float


def main() -> None:
    files = {"single": _file(RECORDS, 1), "trio": _file(RECORDS, 3), "quarter": _file(RECORDS // 4, 1)}
    tiny, small = _file(TINY, 1), _file(SMALL, 1)
    others = [each for each in OTHERS if not ONLY or each.name in ONLY.split(",")]
    absent = _absent([each for each in others if each.peer])
    plan = [(OURS, "single"), (FLOOR, "single"), (OURS, "trio"), (FLOOR, "trio"), (OURS, "quarter")]
    plan += [(each, "single") for each in others if each.name not in absent and not each.small]
    runs: dict[tuple[str, str], list[Run]] = {(subject.name, kind): [] for subject, kind in plan}
    for turn in range(RUNS):
        for subject, kind in plan:
            if turn == 0 or subject.whole or subject == FLOOR:
                _keep(runs[subject.name, kind], _run(subject, files[kind]), f"{subject.name}, {kind}")
    for subject in others:
        if subject.small and subject.name not in absent:
            few, more = (_run(subject, _indexed(file)) for file in (tiny, small))
            if few and more:
                _keep(runs.setdefault((subject.name, "single"), []), _extended(few, more), f"{subject.name}, extended")
    _report(runs, absent, _start_up())


def _extended(few: Run, more: Run) -> Run:
    """What RECORDS would take by what TINY and SMALL did: the start-up counts once."""
    times = (RECORDS - SMALL) / (SMALL - TINY)
    return Run(more.seconds + times * max(more.seconds - few.seconds, 0), more.cpu + times * max(more.cpu - few.cpu, 0),
               more.rss_mib)


def _keep(found: list[Run], run: Run | None, name: str) -> None:
    if run is not None:
        print(f"{name}: {run.seconds:.2f} s, {run.cpu:.2f} s of CPU, {run.rss_mib:.0f} MiB", flush=True)
        found.append(run)


def _report(runs: dict[tuple[str, str], list[Run]], absent: dict[str, str], start_up: float) -> None:
    best = {key: min(run.seconds for run in found) for key, found in runs.items() if found}
    ours, floor = best["ours", "single"], best[FLOOR.name, "single"]
    figures: dict[str, float | int | str] = {
        "records": RECORDS, "runs": RUNS, "load_1min": round(os.getloadavg()[0], 1),
        "ratio_to_floor": round(ours / floor, 2),
        "ratio_to_floor_trio": round(best["ours", "trio"] / best[FLOOR.name, "trio"], 2),
        "peak_rss_mib": round(max(run.rss_mib for (name, _), found in runs.items() if name == "ours" for run in found)),
        "slope_4x": round((ours - start_up) / (4 * (best["ours", "quarter"] - start_up)), 2),
        "start_up_s": round(start_up, 2),
    }
    whole = {each.name: best[each.name, "single"] for each in OTHERS if each.whole and (each.name, "single") in best}
    if whole:
        fastest = min(whole, key=lambda name: whole[name])
        figures["best_peer"] = fastest
        figures["ratio_to_best_peer"] = round(ours / whole[fastest], 2)
    for (name, kind), seconds in best.items():
        stem = f"{name} {kind}".replace(" ", "_")
        figures[f"{stem}_s"] = round(seconds, 2)
        figures[f"{stem}_cpu_s"] = round(min(run.cpu for run in runs[name, kind]), 2)
    figures |= {f"absent_{name}": why for name, why in absent.items()}
    print()
    for each in (OURS, FLOOR, *OTHERS):
        if (each.name, "single") in best:
            times = best[each.name, "single"] / floor
            print(f"{each.name:<18} {times:6.2f} x floor   keeps {each.keeps}; leaves out {each.leaves_out}")
    print()
    report("ingest", figures)
    missed = [f"{name} {figures[name]} > {bar}" for name, bar in BARS.items() if float(figures.get(name, 0)) > bar]
    print("every bar is met" if not missed else f"missed: {'; '.join(missed)}")


def _file(records: int, samples: int) -> Path:
    name = f"{'trio' if samples == 3 else 'single'}_{records}.vcf.gz"
    return write_vcf((FOLDER / "files" / name).absolute(), records, samples)


def _indexed(path: Path) -> Path:
    """(vcf2zarr wants an index.)"""
    code = "import sys, pysam; pysam.tabix_index(sys.argv[1], preset='vcf', force=True)"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    return path


def _absent(peers: list[Subject]) -> dict[str, str]:
    """Makes the peers' environment. Name -> why, of those that cannot be had."""
    if not (PEERS / "bin" / "python").exists():
        venv.create(PEERS, with_pip=True)
        for requirement in REQUIREMENTS:
            subprocess.run([PEERS / "bin" / "pip", "install", "--quiet", requirement], check=False)
    return {peer.name: "does not install" for peer in peers
            if not any(PEERS.glob(f"lib/*/site-packages/{peer.name.replace('-', '_')}*"))}


def _run(subject: Subject, path: Path) -> Run | None:
    """None where the subject fails, or takes longer than it may."""
    python = PEERS / "bin" / "python" if subject.peer else Path(sys.executable)
    with tempfile.TemporaryDirectory(prefix="bench-ingest-", dir=FOLDER) as folder:
        script, said = Path(folder) / "subject.py", Path(folder) / "said"
        script.write_text(subject.code)
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        command = [str(python.absolute()), str(script), str(path), str(Path(folder).absolute() / "out")]
        begin = time.perf_counter()
        with said.open("wb") as errors:
            child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
            while (ended := os.wait4(child.pid, os.WNOHANG))[0] == 0:
                if time.perf_counter() - begin > SECONDS_AT_MOST:
                    child.kill()
                time.sleep(0.01)
        seconds = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(ended[1])
        used = ended[2]
        if child.returncode:
            print(f"{subject.name} failed: {said.read_text(errors='replace')[-300:]}")
            return None
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def _start_up() -> float:
    """Of our process with nothing to read: what the slope leaves out."""
    nothing = Subject("start", "import shared.variants.table", "", "")
    return min(run.seconds for _ in range(3) if (run := _run(nothing, Path("none"))))


if __name__ == "__main__":
    main()
