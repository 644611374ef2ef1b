"""Survey benchmark: coverage and bias on simulated truth, and CPU time.

Appends rows (date, commit, versions, machine, quantity, value) to
benchmarks/results/survey.csv. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_survey.py [repetitions]
"""

import csv
import os
import platform
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from imps.survey.estimation import TRAFFIC, UNSAMPLED, estimate_totals
from imps.survey.simulate import SHIFT_LABELS, simulate_passengers, simulate_survey
from imps.survey.weighting import weight_records

RESULTS = Path(__file__).parent / "results" / "survey.csv"
DESIGN = {
    "stratum": SHIFT_LABELS[:4],
    "psu": "sampling_unit",
    "calibration": (TRAFFIC, UNSAMPLED),
}
CELLS = ["direction", "sex", "age_group"]
COMMIT = subprocess.run(  # at the start: the code that runs, whatever is committed meanwhile
    ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
).stdout.strip()
COLUMNS = ["date", "commit", "versions", "machine", "quantity", "value"]


def append(rows: dict[str, float]) -> None:
    """Add one row per quantity to the results."""
    used = ("numpy", "scipy", "pandas", "svy")
    versions = " ".join(f"{name} {version(name)}" for name in used)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as stream:
        out = csv.writer(stream)
        if new:
            out.writerow(COLUMNS)
        for quantity, value in rows.items():
            out.writerow([date.today(), COMMIT, versions, machine, quantity, f"{value:.6g}"])
            print(f"{quantity:60s} {value:.6g}")


def repeat_survey(repetitions: int, **options: float) -> pd.DataFrame:
    """Survey the same passengers many times: estimate, error and truth of every total."""
    passengers = simulate_passengers(seed=1)
    levels = {"direction": ["direction"], "direction and sex": ["direction", "sex"], "cell": CELLS}
    truth = {name: passengers.truth(by).set_index(by)["migrants"] for name, by in levels.items()}
    found = []
    for seed in range(repetitions):
        survey = simulate_survey(passengers, seed=seed, **options)
        records, _ = weight_records(survey.records, **survey.totals())
        cells = estimate_totals(
            records, cells=CELLS, counted="long_term", sampled=survey.shifts, **DESIGN
        )
        for name, by in levels.items():
            table = (cells if name == "cell" else cells.aggregate(by)).table
            table = table.set_index(by).reindex(truth[name].index, fill_value=0.0)
            found.append(table.assign(level=name, truth=truth[name], seed=seed).reset_index())
    return pd.concat(found, ignore_index=True)


def coverage(repetitions: int) -> dict[str, float]:
    """Coverage of nominal 95 % intervals and relative bias, with Monte Carlo errors."""
    rows: dict[str, float] = {"repetitions": repetitions}
    found = repeat_survey(repetitions)
    covered = (found["estimate"] - found["truth"]).abs() <= 1.96 * found["standard_error"]
    for name, group in covered.groupby(found["level"], sort=False):
        rows[f"coverage of 95 % intervals, {name}"] = group.mean()
    rows["contacts per cell, mean"] = found.loc[found["level"] == "cell", "contacts"].mean()
    for direction, group in found[found["level"] == "direction"].groupby("direction"):
        error = group["estimate"] / group["truth"] - 1
        rows[f"relative bias, {direction}"] = error.mean()
        rows[f"its Monte Carlo error, {direction}"] = error.std() / np.sqrt(len(error))
        ratio = np.sqrt((group["standard_error"] ** 2).mean()) / group["estimate"].std()
        rows[f"mean standard error over true one, {direction}"] = ratio
        rows[f"coverage, {direction}"] = covered[group.index].mean()
    return rows


def bias_of_weights(repetitions: int) -> dict[str, float]:
    """Weighted totals alone, on surveys other than those of `coverage`: a sharper test."""
    passengers = simulate_passengers(seed=1)
    truth = passengers.truth(["direction"]).set_index("direction")["migrants"]
    errors = []
    for seed in range(10_000, 10_000 + repetitions):
        survey = simulate_survey(passengers, seed=seed)
        records, _ = weight_records(survey.records, **survey.totals())
        weights = records.loc[records["long_term"]].groupby("direction")["final_weight"].sum()
        errors.append(weights / truth - 1)
    table = pd.DataFrame(errors)
    rows: dict[str, float] = {"repetitions for the bias of weights": repetitions}
    for direction in table:
        rows[f"relative bias of weights, {direction}"] = table[direction].mean()
        rows[f"its Monte Carlo error, weights, {direction}"] = table[direction].std() / np.sqrt(
            repetitions
        )
    return rows


def coverage_that_must_fail(repetitions: int) -> dict[str, float]:
    """Migrants who answer less often than others: no weight repairs it."""
    found = repeat_survey(repetitions, migrant_response_ratio=0.8)
    found = found[found["level"] == "direction"]
    covered = (found["estimate"] - found["truth"]).abs() <= 1.96 * found["standard_error"]
    return {
        "coverage when migrants answer 20 % less often": covered.mean(),
        "relative bias then": (found["estimate"] / found["truth"] - 1).mean(),
    }


def large_survey() -> tuple[pd.DataFrame, dict[str, pd.DataFrame], pd.DataFrame]:
    """About 100,000 records, the migrants in 240 cells."""
    passengers = simulate_passengers(seed=3, ports=12, shifts_per_stratum=400)
    survey = simulate_survey(passengers, seed=3, sampled_per_stratum=40)
    rng = np.random.default_rng(1)
    n = len(survey.records)
    records = survey.records.assign(
        citizenship=rng.choice(["British", "EU", "other"], n), period=rng.integers(1, 5, n)
    )
    return records, survey.totals(), survey.shifts


def speed() -> dict[str, float]:
    """CPU seconds of weighting and estimation with covariance, best of three."""
    records, totals, shifts = large_survey()
    cells = [*CELLS, "citizenship", "period"]
    times = []
    for _ in range(3):
        start = time.process_time()
        weighted, _ = weight_records(records, **totals)
        middle = time.process_time()
        result = estimate_totals(
            weighted, cells=cells, counted="long_term", sampled=shifts, **DESIGN
        )
        times.append((middle - start, time.process_time() - middle))
    weighting, estimation = np.min(times, axis=0)
    return {
        "records": len(records),
        "cells": len(result.table),
        "sampling units": float(shifts["sampled"].sum()),
        "weighting_cpu_seconds": weighting,
        "estimate_cpu_seconds": estimation,
        "total_cpu_seconds": weighting + estimation,
        **speed_of_svy(weighted, cells),
    }


def speed_of_svy(records: pd.DataFrame, cells: list[str]) -> dict[str, float]:
    """The same totals by svy, calibrated once (it has no second stage), best of three."""
    import polars as pl
    import svy

    stratum = records[DESIGN["stratum"]].agg(" ".join, axis=1)
    cell = (
        records[cells]
        .fillna("")
        .astype(str)
        .agg(" ".join, axis=1)
        .where(records["long_term"], "none")
    )
    keep = records["traffic_prior"] > 0
    frame = pl.DataFrame(
        {
            "stratum": stratum[keep].to_list(),
            "psu": records.loc[keep, "sampling_unit"].to_list(),
            "w": records.loc[keep, "traffic_prior"].to_list(),
            "port": (records["port_group"] + " " + records["direction"])[keep].to_list(),
            "cell": cell[keep].to_list(),
            "one": [1.0] * int(keep.sum()),
        }
    )
    final = records.groupby(records["port_group"] + " " + records["direction"])
    totals = final["unsampled_prior"].sum().to_dict()
    times = []
    for _ in range(3):
        start = time.process_time()
        sample = svy.Sample(data=frame, design=svy.Design(stratum="stratum", psu="psu", wgt="w"))
        sample = sample.weighting.poststratify(totals, cells="port")
        found = sample.estimation.total("one", by="cell")
        assert np.asarray(found.covariance).shape[0] > 200
        times.append(time.process_time() - start)
    return {"svy_cpu_seconds": min(times)}


if __name__ == "__main__":
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    append(speed())
    append(coverage(repetitions))
    append(bias_of_weights(3 * repetitions))
    append(coverage_that_must_fail(max(repetitions // 5, 20)))
