"""Runs that are killed at random times: what survives, and whether the outcome is the same.

A run of a shipped case, or of a chain of two, is started as a command and killed with SIGKILL at
a random moment, again and again until it ends by itself; chains that were finished before a kill
must be there after it, bit by bit. The draws and tables of the run that was cut off are then
compared with those of a run that was not. `fresh` starts new processes instead, with one and
with two cores (processors and threads of BLAS). Rows go to `results/interrupted.csv`.

    uv run python benchmarks/bench_interrupted.py exact 20
    uv run python benchmarks/bench_interrupted.py nuts 5
    uv run python benchmarks/bench_interrupted.py chain 5
    uv run python benchmarks/bench_interrupted.py fresh 3
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from results_file import append

CASE = ["reconcile", "uk-1991-2001"]
CHAIN = ["chain", "england-wales-2001-2011", "england-wales-2011-2021"]
RUNS = {
    "exact": CASE,
    "nuts": [*CASE, "--method", "nuts", "--draws", "200", "--tune", "300"],
    "chain": [*CHAIN, "--tables-only"],
}


def command(method: str, out: Path) -> list[str]:
    """The command of a run."""
    arguments = [*RUNS[method], "--out", str(out), "--quiet"]
    return [sys.executable, "-c", "from imps.runs.cli import main; main()", *arguments]


def digests(folder: Path) -> dict[str, str]:
    """Digest of each file of finished chains."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("*-*.nc")}


def killed_run(method: str, out: Path, after: float) -> tuple[bool, float]:
    """Start the command, kill it after some seconds; whether it ended by itself, and when."""
    start = time.perf_counter()
    process = subprocess.Popen(command(method, out), start_new_session=True)
    try:
        code = process.wait(timeout=None if after == np.inf else after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False, time.perf_counter() - start
    if code not in (0, 3):  # 3: so few draws of NUTS are not to be used
        raise SystemExit(f"the run failed with exit code {code}")
    return True, time.perf_counter() - start


def outcome(folder: Path) -> dict[str, str]:
    """Digests of draws and tables of a finished run."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    tables = {k: v for k, v in manifest["outputs"].items() if k.endswith(".csv")}
    return {"draws": manifest["draws_sha256"], **tables}


def main(method: str, kills: int) -> None:
    """Kill at random times until that many kills have hit a run under way."""
    rng = np.random.default_rng(6)
    with tempfile.TemporaryDirectory() as home:
        whole, cut = Path(home) / "whole", Path(home) / "cut"
        chains = cut.with_name("cut.unfinished") / "chains"
        start = time.perf_counter()
        subprocess.run(command(method, whole), check=False)
        seconds = time.perf_counter() - start
        wanted, rows, kill, last = outcome(whole), [], 0, False
        while not last:
            before = digests(chains)
            after = np.inf if kill == kills else rng.uniform(0.05, 1.0) * seconds
            ended, took = killed_run(method, cut, after)
            now = digests(chains)
            rows.append(
                {
                    "method": method,
                    "event": "ended" if ended else f"kill {kill + 1}",
                    "seconds": round(took, 2),
                    "chains_before": len(before),
                    "chains_after": "" if ended else len(now),
                    "chains_lost": "" if ended else sum(now.get(k) != v for k, v in before.items()),
                    "draws_and_tables_equal": outcome(cut) == wanted if ended else "",
                }
            )
            kill += not ended
            last = ended and kill == kills
            if ended:
                shutil.rmtree(cut)  # the next kill hits a new run
        append("interrupted", rows)


def fresh(times: int) -> None:
    """The same command in fresh processes, with one core and with two."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as home:
        wanted: dict[str, str] = {}
        for i in range(times):
            for cores in (1, 2):
                out = Path(home) / f"{cores}-{i}"
                threads = {"OPENBLAS_NUM_THREADS": str(cores), "OMP_NUM_THREADS": str(cores)}
                start = time.perf_counter()
                subprocess.run(
                    command("exact", out),
                    check=True,
                    env=os.environ | threads,
                    preexec_fn=lambda n=cores: os.sched_setaffinity(0, range(n)),
                )
                took = time.perf_counter() - start
                found = outcome(out)
                wanted = wanted or found
                rows.append(
                    {
                        "method": "exact",
                        "event": f"fresh process {i + 1}, {cores} core{'s' if cores > 1 else ''}",
                        "seconds": round(took, 2),
                        "chains_before": 0,
                        "chains_after": "",
                        "chains_lost": "",
                        "draws_and_tables_equal": found == wanted,
                    }
                )
    append("interrupted", rows)


if __name__ == "__main__":
    if sys.argv[1] == "fresh":
        fresh(int(sys.argv[2]))
    else:
        main(sys.argv[1], int(sys.argv[2]))
