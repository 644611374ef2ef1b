"""A made-up country of four million whose cards at the border put people to the wrong class.

Nothing here comes from the model: a population is born, dies and migrates, its cards count a
share of departures too many or too few in each period, and its censuses miss some people.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import xarray as xr

import imps
from imps.demography.accounting import carry
from imps.demography.schedules import migration_schedule

TOP, YEARS, PEOPLE = 40, 5, 4_000_000
DEPARTURES = 0.015
"""A year, as a share of the people at the beginning."""
SEXES = ["male", "female"]
SAID = {"vintage": "invented", "reference": "invented"}
ERRORS = {"level": (0.0, 0.08), "young": (0.0, 0.1)}


def labelled(values: np.ndarray, first: int) -> xr.DataArray:
    """Values (year, ...) with the labels of years after `first`, sex and age."""
    ages, years = np.arange(TOP + 1), first + 1 + np.arange(values.shape[0])
    dims = ("year", "sex", "age")[: values.ndim]
    return xr.DataArray(
        values, dims=dims, coords=dict(zip(dims, (years, SEXES, ages), strict=False))
    )


def country(
    miscounted: list[float], seed: int = 1, start: int = 2000, misclassified: float = 0.0
) -> list[imps.Sources]:
    """Periods of a country whose cards count a share of departures too many, by period.

    `misclassified` is the prior sd of that share; none unless told, and the level of the bias
    takes it.
    """
    wrong_class = ()
    if misclassified:
        name, said = "returning_residents", "invented"
        wrong_class = (imps.Misclassified(name, 0.0, misclassified, reason=said),)
    rng, ages = np.random.default_rng(seed), np.arange(TOP + 1)
    true = np.tile(np.where(ages == TOP, 20.0, 1.0), (2, 1))
    true *= PEOPLE / true.sum()
    published, periods = true.copy(), []
    for d, wrong in enumerate(miscounted):
        first, base = start + d * YEARS, published
        births, deaths, moves = [], [], {"immigration": [], "emigration": []}
        for _ in range(YEARS):
            aged = carry(true, 1)
            aged[:, 0] = PEOPLE * 0.01 * np.array([0.51, 0.49])
            died = aged * np.where(ages == TOP, 0.02, 0.001)
            true = aged - died
            births.append(aged[:, 0])
            deaths.append(died)
            for flow, rate in (("immigration", 0.02), ("emigration", DEPARTURES)):
                moved = PEOPLE * rate * migration_schedule(TOP + 1, flow)
                true = true + moved if flow == "immigration" else true - moved
                moves[flow].append(moved * (1 + wrong) if flow == "emigration" else moved)
        missed = 0.002 * rng.standard_normal()
        published = np.round(true * (1 - missed) * (1 + 0.004 * rng.standard_normal(true.shape)))
        streams = tuple(
            imps.Stream(
                f"cards_{flow}", flow, labelled(np.array(x), first).rename(age="age_group")
                .assign_coords(age_group=[*map(str, ages[:-1]), f"{TOP}+"]),
                "complete count", errors=ERRORS, reason="invented",
                misclassified=wrong_class if flow == "emigration" else (), **SAID,
            )
            for flow, x in moves.items()
        )  # fmt: skip
        born, died = labelled(np.array(births), first), labelled(np.array(deaths), first)
        change = born.sum("sex") - died.sum(("sex", "age")) + streams[0].net + streams[1].net
        total = base.sum() + np.r_[0, np.cumsum(change.values)]
        stocks = {
            name: imps.Stock(
                xr.DataArray(x, dims=("sex", "age"), coords={"sex": SEXES, "age": ages}),
                "sex and age", dt.date(year, 6, 30), 0.001, name=name, **SAID,
            )
            for name, x, year in (("base", base, first), ("census", published, first + YEARS))
        }  # fmt: skip
        periods.append(
            imps.Sources(
                area="Cardland",
                births=imps.Births(born, **SAID),
                deaths=imps.Deaths(died, **SAID),
                rolled_forward=imps.RolledForward(
                    xr.DataArray(total, dims="year", coords={"year": first + np.arange(YEARS + 1)}),
                    (), "", **SAID,
                ),
                streams=streams,
                **stocks,
            )
        )  # fmt: skip
    return periods
