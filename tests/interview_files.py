"""Simulated interviews of a few years, in memory and as the files of a project folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import imps
from imps.survey.simulate import simulate_passengers, simulate_stays, simulate_survey

YEARS = (2001, 2002, 2003)
PROJECT_YEARS = (2002, 2003, 2004, 2005, 2006)
MERGED = {"0-14": "0-24", "15-24": "0-24", "45-59/64": "45+", "60/65+": "45+"}
INTERVIEWS = """[[interviews]]
file = "interviews.csv"
months = 12
smallest_count = 3
shifts = "shifts.csv"
non_response = "non_response.csv"
traffic = "traffic.csv"
unsampled = "unsampled.csv"
period = "mid-year"
geography = "Exampleland"
"""
STAYS = """[[stays]]
file = "stays.csv"
stated = "stated.csv"
smallest_count = 10
drift = 0.15
period = "mid-year"
geography = "Exampleland"
"""


def interviews_of_years(years: tuple[int, ...] = YEARS, **survey: int):
    """Records and totals of several years: small ports, every second passenger screened."""
    records, totals = [], {}
    for year in years:
        passengers = simulate_passengers(
            seed=year, ports=2, shifts_per_stratum=40, passengers_per_shift=600.0
        )
        found = simulate_survey(
            passengers, seed=year, sampled_per_stratum=20, migration_interval=2, **survey
        )
        records.append(found.records.assign(year=year))
        for name, table in found.totals().items():
            totals.setdefault(name, []).append(table.assign(year=year))
    joined = pd.concat(records, ignore_index=True)
    joined["interview"] = [f"Q{n:06d}" for n in np.arange(len(joined))]
    return joined, {name: pd.concat(parts, ignore_index=True) for name, parts in totals.items()}


def write_project_of_interviews(folder: Path) -> Path:
    """The example project with interviews in the place of survey flows, and switchers."""
    imps.write_project(folder)
    records, totals = interviews_of_years(PROJECT_YEARS)
    records["age_group"] = records["age_group"].replace(MERGED)  # until no cell is too small
    for name, table in {"interviews": records, **totals}.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    truth, stays = simulate_stays(seed=1)
    every = [(year, kind) for year in PROJECT_YEARS for kind in truth["intended_stay"]]
    stated = pd.DataFrame(every, columns=["year", "intended_stay"]).assign(
        flow="immigration",
        estimate=[900.0, 600.0, 250.0] * len(PROJECT_YEARS),
        standard_error=[90.0, 60.0, 25.0] * len(PROJECT_YEARS),
    )
    stays.assign(year=2004).to_csv(folder / "stays.csv", index=False)
    stated.to_csv(folder / "stated.csv", index=False)
    settings = folder / "settings.toml"
    before, _, after = settings.read_text().partition("[[survey_flows]]")
    text = before + INTERVIEWS + "\n" + after[after.index("[[administrative_flows]]") :]
    settings.write_text(text + "\n" + STAYS)
    return folder
