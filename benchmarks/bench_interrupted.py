"""Runs that are killed at random times: what survives, and whether the outcome is the same.

A run of a shipped case, or of a chain of two, is started as a command and killed with SIGKILL at
a random moment, again and again until it ends by itself; chains that were finished before a kill
must be there after it, bit by bit. The draws and tables of the run that was cut off are then
compared with those of a run that was not. `fresh` starts new processes instead, with one and
with two cores (processors and threads of BLAS). `areas` spreads the areas of England and Wales,
each ten taken together, over two workers of dask, and kills the client or one worker in turn;
"chains" of its rows are slabs of draws. Rows go to `results/interrupted.csv`.

    uv run python benchmarks/bench_interrupted.py exact 20
    uv run python benchmarks/bench_interrupted.py nuts 5
    uv run python benchmarks/bench_interrupted.py chain 5
    uv run python benchmarks/bench_interrupted.py fresh 3
    uv run python benchmarks/bench_interrupted.py areas 10
"""

import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr
from results_file import append

import imps
from imps.areas.fit import AreaFit

CASE = ["reconcile", "uk-1991-2001"]
CHAIN = ["chain", "england-wales-2001-2011", "england-wales-2011-2021"]
RUNS = {
    "exact": CASE,
    "nuts": [*CASE, "--method", "nuts", "--draws", "200", "--tune", "300"],
    "chain": [*CHAIN, "--tables-only"],
}

AREAS = "england-wales-2011-2021"
ASKED = {"seed": 1, "draws": 1000, "lower_ages": (0, 15, 20, 25, 30, 45, 65)}
"""What is asked of the run of areas: few cells."""


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


def fewer_areas() -> tuple[imps.Fit, imps.Areas]:
    """The nation, and its areas with each ten of them taken together."""
    case = imps.load_case(AREAS)
    nation = imps.fit(imps.linear_model(case.sources, imps.default_priors()), seed=1)
    figures = imps.load_areas(AREAS, nation=nation).figures.drop_vars(("name", "region"))
    tens = xr.DataArray([f"T{i // 10:02d}" for i in range(figures.sizes["area"])], dims="area")
    moved = figures["mobility"] * figures["structure"]
    sums = figures.assign(moved=moved).groupby(tens.rename("ten")).sum().rename(ten="area")
    sums["mobility"] = sums["moved"] / sums["structure"]
    named = sums.drop_vars("moved").assign_coords(name=("area", sums["area"].values))
    return nation, imps.Areas(named)


def of_draws(fit: AreaFit) -> str:
    """Digest of all joint draws of areas."""
    draws = (fit.totals, fit.national, fit.pattern, fit.scales.to_numpy())
    return hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in draws)).hexdigest()


def one_client(folder: Path) -> None:
    """The run of areas that is killed."""
    from dask.distributed import Client

    nation, of_nation = pickle.loads((folder / "areas.pkl").read_bytes())
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        (folder / "workers").write_text(" ".join(map(str, client.run(os.getpid).values())))
        fit = imps.fit_areas(nation, of_nation, **ASKED, client=client, keep=folder / "kept")
        (folder / "draws").write_text(of_draws(fit))


def killed_areas(
    folder: Path, due: Callable[[float, int], bool], victim: str
) -> tuple[bool, dict[str, str]]:
    """Start the run of areas and kill client or worker; whether one was, and its slabs by then.

    It is killed when `due` says so of the seconds since the start and of the finished slabs.
    """
    for name in ("workers", "draws"):
        (folder / name).unlink(missing_ok=True)
    client = subprocess.Popen([sys.executable, __file__, "client", str(folder)],
                              start_new_session=True)  # fmt: skip
    hit, slabs, start = False, dict[str, str](), time.perf_counter()
    while client.poll() is None and not due(
        time.perf_counter() - start, len(list((folder / "kept").glob("slab-*.nc")))
    ):
        time.sleep(0.005)
    workers = folder / "workers"
    if client.poll() is None and (victim == "client" or workers.exists()):
        slabs = digests(folder / "kept")
        with suppress(ProcessLookupError):  # a worker that has just ended
            os.kill(client.pid if victim == "client" else int(workers.read_text().split()[0]),
                    signal.SIGKILL)  # fmt: skip
            hit = True
    if client.wait() and not (hit and victim == "client"):
        raise SystemExit(f"the run of areas failed with exit code {client.returncode}")
    with suppress(ProcessLookupError):
        os.killpg(client.pid, signal.SIGKILL)  # the workers that a killed client left behind
    return hit, slabs


def moment(
    rng: np.random.Generator, kill: int, kills: int, seconds: float, every: int
) -> Callable[[float, int], bool]:
    """When a kill is due: the first half at a random time, then at a random number of slabs."""
    if kill == kills:
        return lambda *_: False
    if kill < kills // 2:
        after = rng.uniform(0.05, 1.0) * seconds
        return lambda passed, _: passed > after
    number = rng.integers(1, every)
    return lambda _, finished: finished >= number


def areas(kills: int) -> Iterator[dict[str, object]]:
    """Kill client and worker in turn at random times until so many kills have hit a run."""
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as home:
        folder, kept = Path(home), Path(home) / "kept"
        nation, of_nation = fewer_areas()
        (folder / "areas.pkl").write_bytes(pickle.dumps((nation, of_nation)))
        wanted = of_draws(imps.fit_areas(nation, of_nation, **ASKED))
        start = time.perf_counter()
        killed_areas(folder, lambda *_: False, "client")
        seconds, every = time.perf_counter() - start, len(digests(kept))
        kill, last, seen = 0, False, dict[str, str]()
        while not last:
            if (folder / "draws").exists():
                shutil.rmtree(kept)  # the next kill hits a new run
                seen = {}
            victim = ("client", "worker")[kill % 2]
            start = time.perf_counter()
            hit, slabs = killed_areas(folder, moment(rng, kill, kills, seconds, every), victim)
            ended, now, seen = (folder / "draws").exists(), digests(kept), seen | slabs
            kill += hit
            yield {
                "method": "areas",
                "event": f"kill {kill}, {victim}" if hit else "ended",
                "seconds": round(time.perf_counter() - start, 2),
                "chains_before": len(seen),
                "chains_after": len(now),
                "chains_lost": sum(now.get(k) != v for k, v in seen.items()),
                "draws_and_tables_equal": (folder / "draws").read_text() == wanted if ended else "",
            }
            last, seen = ended and kill == kills, now


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
    elif sys.argv[1] == "areas":
        append("interrupted", areas(int(sys.argv[2])))
    elif sys.argv[1] == "client":
        one_client(Path(sys.argv[2]))
    else:
        main(sys.argv[1], int(sys.argv[2]))
