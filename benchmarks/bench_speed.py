"""Speed and agreement: the exact way, NUTS by nutpie, and plain `pm.sample`, in one run.

Appends rows (case, way, quantity, value) to results/speed.csv. `exact` measures the exact
way alone, `plain` it and `pm.sample`, `all` (unless told) NUTS by nutpie too; `runs` the whole
command `imps reconcile` in a process of its own, bytecode compiled, and its saved fit;
`fits` fits of 4,000 draws in a process of their own; `calibration` a replicate of it, at full size
and small. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_speed.py \
        [exact|plain|all|runs|fits] [case ...]
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_speed.py calibration

Machines differ, and a busy one counts more CPU seconds: with BESIDE=CLONE, the folder of a clone
of an earlier commit in which `uv sync --compile-bytecode` was run, `runs` takes turns with the
full run of that clone, which had no tables alone, and appends the ratios to it.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import nutpie
from bench_calibration import model_of
from results_file import append

import imps
from imps.calibration.calibration import calibrate
from imps.posterior.fit import agreement
from imps.posterior.storage import diagnose
from imps.results.checks import check

REPLICATIONS = 40
"""Fits of which the spread of the means gives the effective size: known to 11 per cent."""
PLAIN = {"draws": 200, "tune": 300, "chains": 2}
TURNS = 3
"""Runs of the command, of which the median counts: bytecode is written in the first."""
REPLICATES = 20
"""Replicates of calibration whose CPU seconds are averaged."""


def cpu() -> float:
    """CPU seconds of this process and of its children so far."""
    own, children = (
        resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def smallest_ess(fitted: imps.Fit) -> tuple[float, float]:
    """Smallest bulk effective size over reported quantities, and over scales."""
    table = diagnose(fitted.quantities()).set_index("quantity")["ess_bulk"]
    scales = table.index.str.startswith("log_scale")
    return float(table[~scales].min()), float(table[scales].min())


def exact_way(case: str) -> tuple[dict[str, float], imps.Fit, float]:
    """Wall and CPU time of a cold fit, effective sizes by replication, what-if."""
    start, used = time.perf_counter(), cpu()
    model = imps.linear_model(imps.load_case(case).sources, imps.default_priors())
    built = time.perf_counter() - start
    start, used = time.perf_counter(), cpu()
    fits = [imps.fit(model, seed=1, method="exact")]
    seconds, cpu_seconds = time.perf_counter() - start, cpu() - used
    fits += [imps.fit(model, seed=s, method="exact") for s in range(2, REPLICATIONS + 1)]
    sizes = {"quantity": [], "scale": []}
    drawn = [f.quantities() for f in fits]
    for name in drawn[0]:
        means = np.array([d[name].mean() for d in drawn])
        variance = np.mean([d[name].var() for d in drawn])
        if variance > 1e-6:
            kind = "scale" if name.startswith("log_scale") else "quantity"
            sizes[kind].append(variance / means.var(ddof=1))
    preview = imps.what_if(fits[0])
    change = preview.changes({"base": 2.0})
    start = time.perf_counter()
    for _ in range(100):
        preview.moments(change)
    what_if = (time.perf_counter() - start) / 100
    posterior, h = preview.posterior, preview.scales
    start = time.perf_counter()
    for _ in range(100):
        posterior.moments(h)
    solved_again = (time.perf_counter() - start) / 100
    priors = fits[0].model.priors.widen("emigration_bias", 2)
    start, used = time.perf_counter(), cpu()
    imps.refit(fits[0], priors)
    refit, refit_cpu = time.perf_counter() - start, cpu() - used
    rows = {
        "seconds to build": built,
        "seconds of a fit of 4,000 draws": seconds,
        "CPU seconds of a fit of 4,000 draws": cpu_seconds,
        "least effective grid points of 256": float(fits[0].stats["effective_points"].min()),
        "effective size by replication, median quantity": float(np.median(sizes["quantity"])),
        "effective size by replication, least quantity": float(min(sizes["quantity"])),
        "effective size by replication, median scale": float(np.median(sizes["scale"])),
        "effective size by replication, least scale": float(min(sizes["scale"])),
        "milliseconds of a what-if": 1000 * what_if,
        "milliseconds of an exact solution at fixed scales": 1000 * solved_again,
        "seconds of a refit from a like fit": refit,
        "CPU seconds of a refit from a like fit": refit_cpu,
    }
    return rows, fits[0], min(sizes["quantity"]) / cpu_seconds


def whole_runs(case: str, beside: str | None) -> dict[str, float]:
    """CPU seconds of the command, with tables alone and in full, and of its saved fit; and how
    both compare with the full run of an earlier commit in the folder `beside`."""
    here = Path(sys.executable).with_name("imps")
    commands = {"tables alone": [here, "--tables-only"], "full": [here]}
    if beside:
        commands["earlier"] = [Path(beside, ".venv", "bin", "imps")]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(TURNS):
            for name, (program, *options) in commands.items():
                place = Path(folder, f"{name} {turn}")
                line = [program, "reconcile", case, "--quiet", *options, "--out", place]
                used = cpu()
                subprocess.run(line, check=True, cwd=folder)
                seconds[name].append(cpu() - used)
        found = {name: float(np.median(each)) for name, each in seconds.items()}
        earlier = found.pop("earlier", None)
        rows = {f"CPU seconds of a run, {name}": value for name, value in found.items()}
        if earlier is not None and beside is not None:
            git = ["git", "-C", beside, "rev-parse", "--short", "HEAD"]
            commit = subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
            rows[f"CPU seconds of a run, full, {commit}"] = earlier
            for name, value in found.items():
                rows[f"CPU of a run, {name}, as a share of {commit} in full"] = value / earlier
        place = Path(folder, "full 0")
        fit = imps.load_fit(place)
        used = cpu()
        imps.load_fit(place)
        rows["CPU seconds to load a fit"] = cpu() - used
        used = cpu()
        fit.save(Path(folder, "fit.nc"))
        rows["CPU seconds to save a fit"] = cpu() - used
        rows["MB of a saved fit"] = Path(folder, "fit.nc").stat().st_size / 1e6
    return rows


FITS = """
import sys, time
import numpy as np
import imps

def seconds(work, times=1):
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times

model = imps.linear_model(imps.load_case(sys.argv[1]).sources, imps.default_priors())
each = [seconds(lambda: imps.fit(model, seed=seed)) for seed in range(1, 7)]
preview = imps.what_if(imps.fit(model, seed=1))
print(each[0], np.median(each[1:]), 1000 * seconds(lambda: preview(base=2.0), 20))
"""


def fits(case: str) -> dict[str, float]:
    """CPU seconds of fits in a process of their own, and milliseconds of a what-if."""
    names = ("CPU seconds, first fit of a process", "CPU seconds, median of five further fits",
             "CPU milliseconds, what-if with its table")  # fmt: skip
    line = [sys.executable, "-W", "ignore", "-c", FITS, case]
    found = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    return dict(zip(names, map(float, found.split()), strict=True))


def replicate() -> dict[str, float]:
    """CPU seconds of a replicate of calibration, by account."""
    return {
        account: float(
            calibrate(model_of(account), replicates=REPLICATES, seed=1).runs["seconds"].mean()
        )
        for account in ("full", "small")
    }


def nuts(case: str, exact: imps.Fit) -> dict[str, float]:
    """Compile and sampling time, gate, and agreement with the exact moments."""
    model = imps.build_model(imps.load_case(case).sources)
    used = cpu()
    nutpie.compile_pymc_model(model)
    compiling = cpu() - used
    used = cpu()
    fitted = imps.fit(model, seed=1, method="nuts", progress=False)
    cpu_seconds = cpu() - used
    checks = check(fitted)
    compared = agreement(exact, fitted)
    quantity, scale = smallest_ess(fitted)
    return {
        "CPU seconds to compile": compiling,
        "seconds to compile": fitted.seconds["compile"],
        "seconds to sample": fitted.seconds["sample"],
        "gradients a draw": float(fitted.stats["n_steps"].mean()),
        "largest R-hat": float(checks.table["r_hat"].max()),
        "least effective size, quantities": quantity,
        "least effective size, scales": scale,
        "divergences": float(checks.divergences),
        "effective size a CPU second, least quantity": quantity / cpu_seconds,
        "largest difference of means from the exact way, in sds": float(
            compared["apart"].abs().max()
        ),
        "largest relative difference of sds from the exact way": float(
            (compared["sd_ratio"] - 1).abs().max()
        ),
    }


def plain(case: str) -> dict[str, float]:
    """The sampler of PyMC itself on the same model."""
    import pymc as pm

    model = imps.build_model(imps.load_case(case).sources)
    used = cpu()
    with model:
        trace = pm.sample(
            **PLAIN, cores=1, random_seed=1, progressbar=False, nuts_sampler="pymc",
            compute_convergence_checks=False,
        )  # fmt: skip
    cpu_seconds = cpu() - used
    linear = model.linear
    h = trace["posterior"]["log_scale"].values
    w = linear.scale_factors(h) * trace["posterior"]["latent"].values
    flat = w.reshape(-1, w.shape[-1])
    table = diagnose(
        {k: linear.evaluate(q, flat).reshape(h.shape[:2]) for k, q in linear.reported.items()}
    )
    least = float(table["ess_bulk"].min())
    return {
        "CPU seconds, compile and sample": cpu_seconds,
        "least effective size, quantities": least,
        "effective size a CPU second, least quantity": least / cpu_seconds,
    }


def main() -> None:
    """Measure each case; plain `pm.sample` only on the first, for it is slow."""
    asked = sys.argv[1:]
    ways = ("exact", "plain", "all", "runs", "fits", "calibration")
    what = asked.pop(0) if asked and asked[0] in ways else "all"
    if what == "calibration":
        append("speed", ({"case": account, "way": what, "quantity": "CPU seconds of a replicate",
                          "value": f"{v:.3g}"} for account, v in replicate().items()))  # fmt: skip
        return
    for i, case in enumerate(asked or imps.cases()):
        if what in ("runs", "fits"):
            own = fits(case) if what == "fits" else whole_runs(case, os.environ.get("BESIDE"))
            append("speed", ({"case": case, "way": what.removesuffix("s"), "quantity": q,
                              "value": f"{v:.5g}"} for q, v in own.items()))  # fmt: skip
            continue
        exact_rows, exact, rate = exact_way(case)
        exact_rows["effective size a CPU second, least quantity"] = rate
        ways = {"exact": exact_rows}
        if what == "all":
            ways["nuts"] = nuts(case, exact)
        if what != "exact" and i == 0:
            ways["pm.sample"] = plain(case)
            ratio = rate / ways["pm.sample"]["effective size a CPU second, least quantity"]
            ways["exact"]["times the effective size a CPU second of pm.sample"] = ratio
        for way, rows in ways.items():
            append(
                "speed",
                (
                    {"case": case, "way": way, "quantity": q, "value": f"{v:.5g}"}
                    for q, v in rows.items()
                ),
            )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        append(
            "speed", [{"case": case, "way": "all", "quantity": "peak GB", "value": f"{peak:.3g}"}]
        )


if __name__ == "__main__":
    main()
