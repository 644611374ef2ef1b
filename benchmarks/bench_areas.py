"""Many areas at once: known truth, half of the areas held out, cost.

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py held-out 5
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py truth model 3
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py truth model 7 4 0
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py known 10
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py single model
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py speed
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py cost
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py single-years
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py many
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py special 2
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py beside
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py workers
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_areas.py dask
    OPENBLAS_NUM_THREADS=1 uv run --with zarr python benchmarks/bench_areas.py store

Known truth: the 331 areas of the shipped case in their real sizes; the nation's errors are one
draw of its fit, areas' errors are drawn from the model at given scales ("model"), with national
errors that lie by other shares ("shares"), or with deviations of t(3) besides ("heavy"); fitted
as any areas are, and (with 0 at the end not) one by one, without each other, with scales
integrated over their priors ("alone"), given the model of areas, the nation and its shares; every
`EACH`th as an account of its own ("single", benchmarks/single_areas.py), which is not.
Held out: scales and patterns from one half, the contrasts of the other predicted. Rows are
appended to results/areas.csv; those of the cost to results/speed.csv.
"""

import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from results_file import RESULTS, append
from scipy.special import logsumexp
from scipy.stats import norm
from single_areas import fitted

import imps
from imps.areas.bell import Bell
from imps.areas.deviations import AreaModel, area_model
from imps.areas.draws import Drawn
from imps.areas.factors import LOG_FACTORS, log_prior
from imps.areas.figures import INTERNATIONAL
from imps.areas.fit import AreaFit, errors_of, joint
from imps.areas.grid import Points, at_point
from imps.areas.message import CELLS, Nation, evidence, gradient, message
from imps.areas.mode import mode
from imps.areas.nation import national_draws
from imps.areas.priors import DEVIATIONS, N_PATTERNS, OF_SPECIAL, SOURCES, SPECIAL, area_priors
from imps.areas.sizes import Contrasts, contrasts, flow_sizes
from imps.areas.store import DEVIATION, DIMS, Slabs
from imps.names import SEXES
from imps.posterior.workers import in_order, one_thread

CASE = "england-wales-2011-2021"
TRUE = {
    "area_factor": 0.36,
    "area_immigration_level": 0.20,
    "area_immigration_young": 0.19,
    "area_immigration_shape": 0.36,
    "area_emigration_level": 0.10,
    "area_emigration_young": 0.11,
    "area_emigration_shape": 0.19,
    "area_internal_level": 0.004,
    "area_internal_young": 0.007,
    "area_internal_shape": 0.064,
    "area_cells": 0.96,
    "pattern_immigration": 0.44,
    "pattern_emigration": 0.57,
    "pattern_net_moves": 0.19,
}
"""Scales of the simulated areas, about those that the real ones teach."""
OTHER_SHARES, DEGREES, FIRST_SPLIT = 0.4, 3, 3
DRAWS, ALONE_POINTS, Z90, EACH, REPEATS = 400, 24, 1.645, 11, 5
DASK = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 2**30,
    "distributed.nanny.pre-spawn-environ.MALLOC_MMAP_THRESHOLD_": 2**30,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "30s",
    "distributed.admin.system-monitor.interval": "10s",
}
"""Settings of dask under which workers keep their memory and seldom look at themselves."""
PARTS, MANY_DRAWS, MANY_POINTS, DASK_POINTS, TURNS = 20, 60, 3, 32, 3
KINDS = ("model", "shares", "heavy")
MEN_18_29 = slice(4, 12)
OF_FORCES = ("Richmondshire", "Wiltshire", "Hart")
"""Areas with barracks."""
OF_STUDENTS = ("Cambridge", "Oxford", "Coventry", "Canterbury")
"""Areas with many students in halls."""
DATA = RESULTS.parents[1] / "data_raw"


def prepared() -> tuple[imps.Fit, imps.Areas, Contrasts, AreaModel, np.ndarray]:
    """The nation, its areas, their contrasts and model, and the nation's draws."""
    case = imps.load_case(CASE)
    nation = imps.fit(imps.linear_model(case.sources, imps.default_priors()), seed=1)
    areas = imps.load_areas(CASE, nation=nation)
    compared = contrasts(areas, nation.model)
    every = national_draws(nation.model, nation.latents(), compared.cells)
    return nation, areas, compared, area_model(compared, area_priors()), every


def held_out(splits: int) -> None:
    """Contrasts of one half predicted by the other, both ways, at random halves."""
    _, _, _, model, every = prepared()
    nation, found = errors_of(every), []
    for seed in range(FIRST_SPLIT, FIRST_SPLIT + splits):
        half = np.random.default_rng(seed).permutation(len(model.codes))
        for name, (taught, asked) in {
            "first by second": (half[165:], half[:165]),
            "second by first": (half[:165], half[165:]),
        }.items():
            top = mode(model, nation, areas=np.sort(taught))
            k = model.learnt.size
            scales, u = model.scales(top.x[:k]), model.pattern_scales(top.x[k:])
            said = message(top.model, scales, np.sort(taught))
            after = nation.given(said, nation.with_patterns(model, u))
            rows = np.array([predicted(model, scales, r, after, top.tau) for r in asked])
            found.append(rows)
            _held_out_rows(f"halves {seed}, {name}", rows, {"tau": top.tau})
    _held_out_rows(f"{splits} halvings, both ways", np.concatenate(found), {})


def _held_out_rows(part: str, inside: np.ndarray, beside: dict[str, float]) -> None:
    names = ("total inside 90 %", "men 18-29 inside 90 %", "cells inside 90 %",
             "total inside 50 %", "cells inside 50 %")  # fmt: skip
    values = dict(zip(names, inside.mean(axis=0), strict=True)) | beside
    append("areas", [row("held out", part, "areas", q, value) for q, value in values.items()])


def predicted(
    model: AreaModel, scales: np.ndarray, r: int, nation: Nation, tau: float
) -> tuple[float, ...]:
    """Whether total and young men are inside their 90 per cent, the share of cells; at 50 again.

    The factor of an area that was not seen has its prior.
    """
    a = np.concatenate([np.diag(x) for x in model.design[r]], axis=1)
    known = a @ nation.covariance @ a.T + np.diag(scales[CELLS] ** 2 * model.noise[r])
    own, e = model.covariances(r, scales).sum(axis=0), model.contrast[r] - a @ nation.mean
    squares, weight = np.exp(2 * LOG_FACTORS), np.exp(log_prior(tau))

    def off(left: np.ndarray, known: np.ndarray, own: np.ndarray) -> np.ndarray:
        sd = np.sqrt(known[:, None] + own[:, None] * squares)
        return np.abs(norm.cdf(left[:, None] / sd) @ weight - 0.5)

    sums = [np.ones(e.size), np.isin(np.arange(e.size), np.r_[MEN_18_29]).astype(float)]
    total, young = off(np.array([x @ e for x in sums]), np.array([x @ known @ x for x in sums]),
                       np.array([x @ own @ x for x in sums]))  # fmt: skip
    cells = off(e, np.diag(known), np.diag(own))
    return total < 0.45, young < 0.45, (cells < 0.45).mean(), total < 0.25, (cells < 0.25).mean()


def simulated(
    kind: str, seed: int, compared: Contrasts, model: AreaModel, every: np.ndarray
) -> tuple[Contrasts, AreaModel, np.ndarray, np.ndarray]:
    """Contrasts and model of simulated gaps, true contributions (area, source, cell), factors."""
    rng = np.random.default_rng(seed)
    v = every[rng.integers(len(every))]
    rows = model.priors
    scales = np.array([TRUE.get(row.name, row.median) for row in rows])
    local, patterns = scales[:-N_PATTERNS], scales[-N_PATTERNS:]
    u = [s * (f @ rng.standard_normal(f.shape[1]))
         for s, f in zip(patterns, model.patterns, strict=True)]  # fmt: skip
    n_areas, n = model.contrast.shape
    d = np.stack([model.prior_draws(r, local, 1, rng)[..., 0] for r in range(n_areas)])
    shares = compared.shares
    factor = np.exp(TRUE["area_factor"] * rng.standard_normal(n_areas))[:, None]
    if kind == "heavy":
        factor = np.sqrt(DEGREES / rng.chisquare(DEGREES, (n_areas, len(DEVIATIONS))))
        factor /= np.sqrt(DEGREES)
    d *= factor[..., None]
    if kind != "model":
        shares = shares * np.exp(OTHER_SHARES * rng.standard_normal((n_areas, 3, 1)))
        shares = shares / shares.sum(axis=0)
    q = np.stack([model.covariances(r, local) for r in range(n_areas)])
    for k in range(len(DEVIATIONS)):
        d[:, k] -= q[:, k] @ np.linalg.solve(q[:, k].sum(axis=0), d[:, k].sum(axis=0))
    e = local[CELLS] * np.sqrt(model.noise) * rng.standard_normal((n_areas, n))
    e -= model.noise / model.noise.sum(axis=0) * e.sum(axis=0)
    w = compared.reference
    true = np.empty((n_areas, len(SOURCES), n))
    true[:, 0] = shares[:, 0] * v[0] + d[:, 0]
    for j in (1, 2):
        true[:, j] = shares[:, j] * v[j] + (shares[:, j] - w) * u[j - 1] + d[:, j]
    true[:, 3] = compared.net * u[2] + d[:, 3]
    true[:, 4], true[:, 5] = w * v[3] + d[:, 4], w * v[4] + e
    gap = true.sum(axis=1)
    found = replace(compared, gap=gap)
    return found, replace(model, contrast=found.contrast), true, factor


def truth(kind: str, sets: int, first: int = 1, beside: int = 1) -> None:
    """Cover and error by source of simulated areas, together and, where asked, alone."""
    nation, areas, compared, model, every = prepared()
    for seed in range(first, first + sets):
        start = time.process_time()
        made, own, true, _ = simulated(kind, seed, compared, model, every)
        fit = joint(nation, areas, made, own, seed=seed, draws=DRAWS)
        totals, real = fit.totals, true.sum(axis=2)
        mean, sd = alone(made, own, errors_of(every), every) if beside else ({}, {})
        parts = {name: [i] for i, name in enumerate(SOURCES)} | {"external": [1, 2]}
        inside = np.stack([_inside(fit.contributions(c), true[r])
                           for r, c in enumerate(fit.codes)])  # fmt: skip
        for name, at in parts.items():
            t, x = real[:, at].sum(axis=1), totals[:, at].sum(axis=1)
            low, high = np.quantile(x, [0.05, 0.95], axis=1)
            values = {"cover 90 %": ((low < t) & (t < high)).mean()}
            if beside:
                a, s = mean[name], sd[name]
                values["cover 90 % alone"] = (np.abs(a - t) < Z90 * s).mean()
                square = ((x.mean(axis=1) - t) ** 2).mean()
                values["RMSE joint / alone"] = np.sqrt(square / ((a - t) ** 2).mean())
            if name in SOURCES:
                values["cover 90 % of cells"] = inside[:, SOURCES.index(name)].mean()
            append("areas", [row(f"known truth, {kind}", f"set {seed}", name, q, value)
                             for q, value in values.items()])  # fmt: skip
        cpu = time.process_time() - start
        of_all = {"CPU seconds": cpu, "effective share of points": fit.points.effective}
        append("areas", [row(f"known truth, {kind}", f"set {seed}", "areas", q, value)
                         for q, value in of_all.items()])  # fmt: skip


def known(sets: int) -> None:
    """Cover where scales and factors are those simulated: are draws and areas of one model?"""
    nation, areas, compared, model, every = prepared()
    rows = model.priors
    at = [rows[i] for i in model.learnt], rows[-N_PATTERNS:]
    x, u = (np.array([np.log(TRUE[r.name] / r.median) / r.log_sd for r in part]) for part in at)
    for seed in range(1, sets + 1):
        made, own, true, factor = simulated("model", seed, compared, model, every)
        taken = Points(x[None], u[None, None], np.ones((1, 1)), (), factor.T,
                       np.array([TRUE["area_factor"]]))  # fmt: skip
        fit = joint(nation, areas, made, own, seed=seed, draws=DRAWS, taken=taken)
        parts = {name: [i] for i, name in enumerate(SOURCES)} | {"external": [1, 2]}
        apart, _ = alone(made, own, errors_of(every), every)
        for name, places in parts.items():
            t = true[:, places].sum(axis=(1, 2))
            found = fit.totals[:, places].sum(axis=1)
            low, high = np.quantile(found, [0.05, 0.95], axis=1)
            square = ((found.mean(axis=1) - t) ** 2).mean() / ((apart[name] - t) ** 2).mean()
            values = {"cover 90 %": ((low < t) & (t < high)).mean(),
                      "RMSE joint / alone": np.sqrt(square)}  # fmt: skip
            append("areas", [row("known truth, scales known", f"set {seed}", name, q, value)
                             for q, value in values.items()])  # fmt: skip


def single(kind: str, seed: int = 1) -> None:
    """Every `EACH`th area of one simulated set as an account of its own, and together."""
    nation, areas, compared, model, every = prepared()
    made, own, true, _ = simulated(kind, seed, compared, model, every)
    fit = joint(nation, areas, made, own, seed=seed, draws=DRAWS)
    names = {"base": [0], "external": [1, 2], "internal": [3], "census": [4]}
    asked = range(0, len(model.codes), EACH)
    real, together, apart = ({name: [] for name in names} for _ in range(3))
    start = time.process_time()
    for r in asked:
        rolled = areas.figures["rolled_forward"].values[r]
        cell = compared.cells.group(rolled)
        left = np.repeat((1 - made.gap[r] / cell).reshape(2, -1), np.diff(
            np.r_[compared.cells.lower_ages, rolled.shape[1]]), axis=1)  # fmt: skip
        draws = fitted(nation.model, areas, compared, r, rolled * left)
        for name, at in names.items():
            real[name].append(true[r, at].sum())
            together[name].append(fit.totals[r, at].sum(axis=0))
            apart[name].append(draws[name])
    cpu = (time.process_time() - start) / len(asked)
    for name in names:
        t = np.array(real[name])
        values = {"CPU seconds an area, single": cpu} if name == "base" else {}
        errors = {}
        for way, found in (("joint", together[name]), ("single", apart[name])):
            low, high = np.quantile(found, [0.05, 0.95], axis=1)
            values[f"cover 90 %, {way}, the same areas"] = ((low < t) & (t < high)).mean()
            errors[way] = np.abs(np.mean(found, axis=1) - t)
        root, middle = (lambda x: np.sqrt((x**2).mean())), np.median
        for what, of in (("RMSE", root), ("median absolute error", middle)):
            values[f"{what}, joint / single"] = of(errors["joint"]) / of(errors["single"])
        append("areas", [row(f"known truth, {kind}", f"set {seed}", name, q, value)
                         for q, value in values.items()])  # fmt: skip


def _inside(draws: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Share of cells of each source inside their 90 per cent intervals, (source)."""
    low, high = np.quantile(draws, [0.05, 0.95], axis=-1)
    return ((low < true) & (true < high)).mean(axis=1)


def alone(
    compared: Contrasts, model: AreaModel, nation: Nation, every: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Mean and sd of each source of each area from its own gap and the nation only.

    Scales have their priors, weighed by the area's own evidence; no other area is seen.
    """
    rng = np.random.default_rng(0)
    h = rng.standard_normal((ALONE_POINTS, model.learnt.size + N_PATTERNS))
    k, n = model.learnt.size, model.n_cells
    v_mean, v_cov = every.mean(axis=0), [np.cov(every[:, j].T) for j in range(5)]
    names = (*SOURCES, "external")
    out = {name: np.zeros(len(model.codes)) for name in names}
    spread = {name: np.zeros(len(model.codes)) for name in names}
    for r in range(len(model.codes)):
        w = compared.reference[r]
        lies = [*compared.shares[r], np.zeros(n), w, w]
        home = [0, 1, 2, None, 3, 4]
        log, means, variances = np.empty(ALONE_POINTS), [], []
        for p in range(ALONE_POINTS):
            scales, u = model.scales(h[p, :k]), model.pattern_scales(h[p, k:])
            prior = [*model.covariances(r, scales), np.diag(scales[CELLS] ** 2 * model.noise[r])]
            at = np.zeros((len(SOURCES), n))
            for i, j in enumerate(home):
                if j is not None:
                    prior[i] = prior[i] + lies[i][:, None] * v_cov[j] * lies[i]
                    at[i] = lies[i] * v_mean[j]
            for i, (a, s, f) in enumerate(zip(model.design[r], u, model.patterns, strict=True), 1):
                g = s * a[:, None] * f
                prior[i] = prior[i] + g @ g.T
            gamma = np.sum(prior, axis=0)
            e = compared.gap[r] - at.sum(axis=0)
            inverse = np.linalg.inv(gamma)
            log[p] = -0.5 * (e @ inverse @ e + np.linalg.slogdet(gamma)[1])
            rows = np.stack([x.sum(axis=0) for x in prior])
            rows = np.vstack([rows, rows[1] + rows[2]])
            own = np.array([x.sum() for x in prior])
            own = np.append(own, own[1] + own[2])
            base = np.append(at.sum(axis=1), at[1:3].sum())
            means.append(base + rows @ inverse @ e)
            variances.append(own - np.einsum("ij,jk,ik->i", rows, inverse, rows))
        weight = np.exp(log - logsumexp(log))
        m = weight @ np.array(means)
        var = weight @ (np.array(variances) + (np.array(means) - m) ** 2)
        for i, name in enumerate(names):
            out[name][r], spread[name][r] = m[i], np.sqrt(var[i])
    return out, spread


def speed() -> None:
    """CPU seconds and memory of all areas at once, nation included, and of a loop over areas."""
    start = time.process_time()
    nation, areas, compared, model, _ = prepared()
    before = time.process_time()
    fit = joint(nation, areas, compared, model, seed=1, draws=1000)
    drawn = time.process_time()
    fit.totals  # noqa: B018  (all attributions)
    done = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    asked = range(0, len(fit), EACH)
    for r in asked:
        fitted(nation.model, areas, compared, r, areas.figures["census"].values[r])
    loop = (time.process_time() - done) / len(asked)
    values = {
        "CPU seconds, nation and tables": before - start,
        "CPU seconds, 1,000 joint draws": drawn - before,
        "CPU seconds, all attributions": done - drawn,
        "CPU seconds, all": done,
        "CPU seconds an area, loop of single-area fits": loop,
        "CPU seconds, 331 areas, loop of single-area fits": loop * len(fit),
        "peak GB": peak,
        "effective share of points": fit.points.effective,
        "largest difference to the nation, persons": apart(fit),
    }
    append("speed", [{"case": CASE, "way": "areas", "quantity": q, "value": round(v, 9)}
                     for q, v in values.items()])  # fmt: skip


def cost() -> None:
    """CPU seconds of one pass and of its gradient by number of areas; draws the figure of docs."""
    _, _, _, model, every = prepared()
    nation, scales = errors_of(every), model.scales(np.zeros(model.learnt.size))
    u = model.pattern_scales(np.zeros(N_PATTERNS))
    many = np.tile(np.arange(len(model.codes)), 4)
    rows = []
    with one_thread():
        for n in (83, 166, 331, 662, 1324):
            seconds = []
            for _ in range(REPEATS):
                start = time.process_time()
                said = message(model, scales, many[:n])
                middle = time.process_time()
                gradient(model, scales, said, nation, u, many[:n])
                seconds.append((middle - start, time.process_time() - middle))
            rows.append((n, *np.min(seconds, axis=0)))
    append("areas", [row("cost", f"{n:.0f} areas", "areas", f"CPU seconds, {what}", value)
                     for n, *both in rows
                     for what, value in zip(("pass", "gradient"), both, strict=True)])  # fmt: skip
    n, *lines = np.array(rows).T
    figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
    for name, line in zip(("pass", "gradient"), lines, strict=True):
        ax.plot(n, line, marker="o", label=name)
    ax.set(xlabel="areas of 46 cells", ylabel="CPU seconds", xlim=(0, None), ylim=(0, None))
    ax.legend(frameon=False)
    figure.savefig(RESULTS.parents[1] / "docs" / "areas_cost.png", dpi=120)


def single_years() -> None:
    """CPU seconds and memory of single years of age at the scales of the groups."""
    nation, areas, compared, model, _ = prepared()
    coarse = joint(nation, areas, compared, model, seed=1, draws=1000)
    start = time.process_time()
    with TemporaryDirectory() as folder:
        fine = imps.fit_areas(nation, areas, seed=1, draws=1000, lower_ages=tuple(range(91)),
                              scales_of=coarse, keep=folder)  # fmt: skip
        off = np.abs(fine.totals.sum(axis=0)[3]).max()
    values = spent(start, off)
    append("areas", [row("single years", f"{fine.model.n_cells} cells, 1,000 draws", "areas", q, v)
                     for q, v in values.items()])  # fmt: skip


def spent(start: float, off: float) -> dict[str, float]:
    """What a pass took since its start, and how far its internal moves are off a sum of zero."""
    return {
        "CPU seconds": time.process_time() - start,
        "peak GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "largest sum of internal moves, persons": off,
    }


def many() -> None:
    """CPU seconds and memory of every area cut in 20, at the scales of the areas, with a folder."""
    nation, areas, _, model, every = prepared()
    top = mode(model, errors_of(every))
    k = model.learnt.size
    taken = Points(
        np.tile(top.x[:k], (MANY_POINTS, 1)), np.tile(top.x[k:], (MANY_POINTS, 1, 1)),
        np.full((MANY_POINTS, 1), 1 / MANY_POINTS), (),
        np.tile(np.repeat(top.model.factor, PARTS), (MANY_POINTS, 1)),
        np.full(MANY_POINTS, top.tau),
    )  # fmt: skip
    start = time.process_time()
    small = cut(areas)
    with TemporaryDirectory() as folder:
        between = contrasts(small, nation.model)
        fit = joint(nation, small, between, area_model(between, model.priors), seed=1,
                    draws=MANY_DRAWS, taken=taken, keep=folder)  # fmt: skip
        off = np.abs(fit.totals.sum(axis=0)[3]).max()
    values = spent(start, off)
    append("areas", [row("many", f"{len(small)} areas, {MANY_DRAWS} draws", "areas", q, v)
                     for q, v in values.items()])  # fmt: skip


def special(seeds: int) -> None:
    """What barracks and prisons as a source of their own change: evidence, and areas of forces.

    The evidence is that at the medians of all other scales, factors one, over that without.
    """
    nation, areas, _, _, every = prepared()
    shipped = Path(imps.__file__).parent / "shipped" / CASE.replace("-", "_") / "areas"
    table = pd.read_csv(DATA / CASE.replace("-", "_") / "areas" / "special.csv")
    names = ("population", "components", "codes", "mobility", "moves_by_age", "last_by_region")
    given = {n: next(shipped.glob(f"{n}.csv*")) for n in names} | {"nation": nation.model}
    national = errors_of(every)
    for kind, part in [*table.groupby("kind"), ("both", table)]:
        there = imps.areas_from_tables(**given, special=part)
        of = area_model(contrasts(there, nation.model), area_priors())
        append("areas", [row("special populations", f"{kind}, scale {s}", "areas",
                             "log evidence gained", special_evidence(of, national, s)
                             - special_evidence(of, national, 1e-3))
                         for s in (0.3, 1.0, 2.0)])  # fmt: skip
    for seed in range(1, seeds + 1):
        for name, of_areas in (("without", areas), ("with", there)):
            fit = imps.fit_areas(nation, of_areas, seed=seed, draws=DRAWS)
            values = {"effective share of points": ("areas", fit.points.effective)}
            if name == "with":
                values["scale"] = ("areas", fit.scales[OF_SPECIAL].mean())
            found = fit.table()
            for area in OF_FORCES:
                own = found[found["name"] == area].set_index("source")
                values[f"{area}, factor"] = ("areas", own["factor"].iloc[0])
                values |= {f"{area}, {quantity}, {source}": (source, own.loc[source, quantity])
                           for source in ("external", "special populations")
                           if source in own.index for quantity in ("mean", "sd")}  # fmt: skip
            append("areas", [row("special populations", f"{name}, seed {seed}", source, q, value)
                             for q, (source, value) in values.items()])  # fmt: skip


def beside() -> None:
    """What tables beside the model say: ages of arrivals in one area, halls, the forces moved."""
    nation, areas, compared, model, every = prepared()
    folder, found = DATA / CASE.replace("-", "_") / "areas", []
    figures, rows = areas.figures, pd.read_csv(folder / "schedules.csv")
    r = areas.place(rows["code"].iloc[0])
    own = figures["mobility"] * figures["structure"].sum("area") / (
        figures["mobility"] * figures["structure"]).sum("area")  # fmt: skip
    moved = imps.Areas(figures.assign(structure=figures["structure"] * own), areas.notes)
    made = {"by the rule": flow_sizes(areas, nation.model), "by own mobility besides":
            flow_sizes(moved, nation.model)}  # fmt: skip
    years = rows["year"].unique()
    for flow, column in INTERNATIONAL.items():
        published = rows.pivot(index=["sex", "age"], columns="year", values=column).fillna(0)
        cells = [published.loc[sex].to_numpy(float) for sex in SEXES]
        laid = {"published": np.stack(cells)}
        laid |= {name: of[flow][r][:, :, : years.size] for name, of in made.items()}
        share = {name: x / x.sum(axis=(0, 1)) for name, x in laid.items()}
        for name, x in share.items():
            off = np.abs(x - share["published"]).sum(axis=(0, 1)).mean() / 2
            young = x[:, 18:25].sum(axis=(0, 1)).mean()
            found += [(f"Bristol, {name}", flow, "share at ages 18-24", young),
                      (f"Bristol, {name}", flow, "share in another cell", off)]  # fmt: skip
    table = pd.read_csv(folder / "communal.csv").set_index("code").loc[list(areas.codes)]
    students = np.zeros((len(areas), 2, figures.sizes["age"]))
    students[:, :, 18:22] = table["halls"].to_numpy(float)[:, None, None] / 8
    lives = imps.Areas(figures.assign(special=(("area", "sex", "age"), students)), areas.notes)
    for name, of_areas in (("without halls", areas), ("with halls", lives)):
        fit = imps.fit_areas(nation, of_areas, seed=1, draws=DRAWS)
        found.append((name, "areas", "effective share of points", fit.points.effective))
        if OF_SPECIAL in fit.scales:
            found.append((name, "areas", "scale", fit.scales[OF_SPECIAL].mean()))
        means = fit.table()
        for area in OF_STUDENTS:
            at = means[(means["name"] == area) & (means["source"] == "external")].iloc[0]
            found += [(name, "external", f"{area}, {q}", at[q]) for q in ("mean", "sd")]
    halls = replace(compared, stocks={**compared.stocks, SPECIAL: students})
    of, national = area_model(halls, area_priors()), errors_of(every)
    log = {s: special_evidence(of, national, s) for s in (1e-3, 0.1, 0.3, 1.0)}
    found += [(f"halls, scale {s}", "areas", "log evidence gained", log[s] - log[1e-3])
              for s in log if s > 1e-3]  # fmt: skip
    scales = model.scales(np.zeros(model.learnt.size))
    sd = np.sqrt([model.covariances(r, scales)[4].sum() for r in range(len(areas))])
    apart = table["adjustment"].to_numpy(float) / sd
    worst, many = np.abs(apart).argmax(), (np.abs(apart) > 0.5).sum()
    found += [("forces moved", "census", "largest, prior sd of the area's census", apart[worst]),
              ("forces moved", "census", "largest, persons", table["adjustment"].iloc[worst]),
              ("forces moved", "census", "areas above half a prior sd", many),
              ("forces moved", "census", "mean square, prior sd", (apart**2).mean())]  # fmt: skip
    append("areas", [row("beside", *one) for one in found])


def special_evidence(of: AreaModel, nation: Nation, scale: float) -> float:
    """Log evidence at a scale of special populations and the medians of all others."""
    scales, u = of.scales(np.zeros(of.learnt.size)), of.pattern_scales(np.zeros(N_PATTERNS))
    scales[[row.name == OF_SPECIAL for row in of.priors[:-N_PATTERNS]]] = scale
    with one_thread():
        return evidence(message(of, scales), nation, nation.with_patterns(of, u))


def cut(areas: imps.Areas) -> imps.Areas:
    """Every area in so many parts of unequal size, whose censuses differ from their share."""
    rng, figures = np.random.default_rng(2), areas.figures
    weight = rng.dirichlet(np.full(PARTS, 5.0), len(areas)).ravel()
    parts = figures.isel(area=np.repeat(np.arange(len(areas)), PARTS))
    parts = parts.assign_coords(area=[f"{c}-{i:02d}" for c in areas.codes for i in range(PARTS)])
    whole = parts["mobility"]
    parts = parts * xr.DataArray(weight, {"area": parts["area"]})
    parts["mobility"] = whole
    moved = parts["census"] * np.exp(0.02 * rng.standard_normal((weight.size, 1, 1)))
    parts["census"] = moved * (figures["census"].sum("area") / moved.sum("area"))
    return imps.Areas(parts, areas.notes)


def apart(fit: AreaFit) -> float:
    """Persons by which areas differ from the nation, in any source, cell and draw."""
    total = sum(fit.contributions(code) for code in fit.codes)
    v = fit.national.transpose(1, 2, 0)
    pairs = [(total[0], v[0]), (total[1], v[1]), (total[2], v[2]), (total[4], v[3]),
             (total[-1], v[4]), (total[3], 0.0)]  # fmt: skip
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def workers() -> None:
    """CPU of points and draws in two processes against one, and whether the draws are the same."""
    nation, areas, compared, model, _ = prepared()
    times = {}
    draws = {}
    for name, client in {"here": None, "2 processes": ProcessPoolExecutor(2)}.items():
        start, wall = _cpu(), time.perf_counter()
        fit = joint(nation, areas, compared, model, seed=1, draws=200, client=client)
        draws[name] = fit.totals
        if client is not None:
            client.shutdown()
        times[name] = (_cpu() - start, time.perf_counter() - wall)
    values = {
        "efficiency, CPU here over all CPU of 2 processes": times["here"][0]
        / times["2 processes"][0],
        "wall seconds here": times["here"][1],
        "wall seconds, 2 processes": times["2 processes"][1],
        "draws are the same": float(np.array_equal(draws["here"], draws["2 processes"])),
    }
    append("areas", [row("workers", "331 areas, 200 draws", "areas", q, v)
                     for q, v in values.items()])  # fmt: skip


def by_dask() -> None:
    """CPU of points of the scales here and by one and two workers of dask, client included."""
    import dask
    from dask.distributed import Client

    _, _, _, model, every = prepared()
    nation = errors_of(every)
    with one_thread():
        top = mode(model, nation)
    local, pattern = Bell(top.x, top.spread, model.learnt.size).points(DASK_POINTS, 1)
    tasks = [(*task, i) for i, task in enumerate(zip(local, pattern, strict=True))]
    shared = (model, nation, top.others, False)
    values: dict[str, float] = {}
    for n in (1, 2):
        with (
            dask.config.set(DASK),
            Client(n_workers=n, threads_per_worker=1, dashboard_address=None) as client,
        ):
            in_order(client, at_point, tasks[: 2 * n], *shared)  # imports, and the model sent
            alone, whole, same = 0.0, 0.0, True
            for _ in range(TURNS):  # here and there in turn: others use the machine too
                start = time.process_time()
                here = in_order(None, at_point, tasks, *shared)
                alone += time.process_time() - start
                before, start = sum(client.run(time.process_time).values()), time.process_time()
                found = in_order(client, at_point, tasks, *shared)
                whole += time.process_time() - start
                whole += sum(client.run(time.process_time).values()) - before
                same &= all(np.array_equal(x[0], y[0]) for x, y in zip(here, found, strict=True))
        values["CPU seconds here"] = alone / TURNS
        values[f"efficiency, CPU here over all CPU of {n} workers"] = alone / whole
        values[f"densities are the same by {n} workers"] = float(same)
    append("areas", [row("dask", f"331 areas, {DASK_POINTS} points", "areas", q, v)
                     for q, v in values.items()])  # fmt: skip


def store() -> None:
    """CPU seconds to write a slab of draws and to read one area of it: netCDF against zarr."""
    start = time.process_time()
    import zarr

    values = {"CPU seconds, import of zarr": time.process_time() - start}
    made = np.random.default_rng(0).standard_normal((331, len(DEVIATIONS), 46, 20))
    slab = Drawn(made, np.zeros((20, N_PATTERNS, 46)), np.zeros((20, 5, 46)))
    seconds: dict[str, list[float]] = {}
    for i in range(REPEATS):
        with TemporaryDirectory() as name:
            kept, times = Slabs(Path(name) / "netcdf", "of"), [time.process_time()]
            kept.add(i, slab)
            times.append(time.process_time())
            kept.deviation([i], 7)
            times.append(time.process_time())
            group = zarr.create_group(Path(name) / "zarr")
            for key, x in vars(slab).items():
                chunks = (1, *x.shape[1:]) if key == DEVIATION else x.shape
                group.create_array(key, data=x, chunks=chunks, shards=x.shape, compressors=None,
                                   dimension_names=DIMS[key])  # fmt: skip
            times.append(time.process_time())
            with xr.open_zarr(Path(name) / "zarr", consolidated=False, chunks=None) as opened:
                opened[DEVIATION][7].load()
            times.append(time.process_time())
        whats = ("netCDF, write", "netCDF, one area", "zarr, write", "zarr, one area")
        for what, value in zip(whats, np.diff(times), strict=True):
            seconds.setdefault(f"CPU seconds, {what}", []).append(value)
    values |= {what: float(np.median(x)) for what, x in seconds.items()}
    append("areas", [row("store", "331 areas of 46 cells, 20 draws", "areas", q, v)
                     for q, v in values.items()])  # fmt: skip


def _cpu() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(kind) for kind in kinds]
    return sum(u.ru_utime + u.ru_stime for u in used)


def row(study: str, part: str, source: str, quantity: str, value: float) -> dict[str, object]:
    """One row of results/areas.csv."""
    return {"study": study, "part": part, "source": source, "quantity": quantity,
            "value": round(float(value), 4)}  # fmt: skip


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "truth":
        truth(rest[0], int(rest[1]), *(int(x) for x in rest[2:]))
    elif what == "known":
        known(int(rest[0]))
    elif what == "special":
        special(int(rest[0]))
    elif what == "held-out":
        held_out(int(rest[0]))
    elif what == "single":
        single(rest[0], *(int(x) for x in rest[1:]))
    else:
        {
            "speed": speed,
            "cost": cost,
            "single-years": single_years,
            "many": many,
            "beside": beside,
            "workers": workers,
            "dask": by_dask,
            "store": store,
        }[what]()
