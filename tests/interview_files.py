"""Simulated interviews of a few years, in memory and as the files of a project folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from imps.survey.simulate import simulate_passengers, simulate_survey

YEARS = (2001, 2002, 2003)


def interviews_of_years(years: tuple[int, ...] = YEARS, *, ports: int = 3):
    """Records and totals of several years, and the truth by year, direction, sex, age group."""
    records, totals, truth = [], {}, []
    for year in years:
        passengers = simulate_passengers(seed=year, ports=ports)
        survey = simulate_survey(passengers, seed=year)
        records.append(survey.records.assign(year=year))
        for name, table in survey.totals().items():
            totals.setdefault(name, []).append(table.assign(year=year))
        truth.append(passengers.truth(["direction", "sex", "age_group"]).assign(year=year))
    joined = pd.concat(records, ignore_index=True)
    joined["interview"] = [f"Q{n:06d}" for n in np.arange(len(joined))]
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in totals.items()}
    return joined, tables, pd.concat(truth, ignore_index=True)


def write_interviews(folder: Path, records: pd.DataFrame, totals: dict[str, pd.DataFrame]) -> None:
    """Records and totals as CSV files in `folder`."""
    records.to_csv(folder / "interviews.csv", index=False)
    for name, table in totals.items():
        table.to_csv(folder / f"{name}.csv", index=False)
