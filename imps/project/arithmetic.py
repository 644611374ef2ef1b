"""Plain arithmetic between tables: people, births and deaths, bases and rounding."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd

from imps.reading.findings import Collector
from imps.reading.kinds import STOCK
from imps.reading.table import Table, of_kinds, of_nature

FLOW_KINDS: Final = (
    "survey_flows",
    "survey_totals",
    "flow_schedule",
    "total_migration",
    "administrative_flows",
    "streams",
)
HIGHEST_BIRTH_RATE: Final = 0.1
"""Births per person and year above which the units must differ (highest recorded: about 0.06)."""

LEAST_DEATH_RATE: Final = 0.0002
"""Deaths per person and year below which the units must differ (lowest national: about 0.001)."""

LEAST_PEOPLE: Final = 10_000
"""Residents from whom ten deaths a year are expected at the lowest national rate."""

HIGHEST_FLOW_RATE: Final = 0.5
"""Migrants in one direction per resident and year above which the units must differ."""

ROUNDED_SHARE: Final = 0.99
LEAST_CELLS_FOR_ROUNDING: Final = 20
COARSE: Final = 0.03
"""Unit of rounding, per person of a usual cell, that is felt in it."""

_RATES: Final = MappingProxyType(
    {"births": (0.0, HIGHEST_BIRTH_RATE), "deaths": (LEAST_DEATH_RATE, 1.0)}
)


def check_units(tables: Sequence[Table], log: Collector) -> None:
    """Births, deaths or migrants that no population of this size has: the units differ."""
    totals = population_totals(tables)
    for table in of_kinds(tables, "births", "deaths", *FLOW_KINDS):
        by = [c for c in ("vintage", "source", "flow", "year") if c in table.frame]
        known = table.frame[table.value].notna().groupby([table.frame[c] for c in by]).any()
        sums = table.frame.groupby(by)[table.value].sum()[known]
        years = sums.index.get_level_values("year")
        people = pd.Series([_nearest(totals, int(year)) for year in years], index=sums.index)
        rate = (sums.abs() / people).where(people > 0)
        low, high = _RATES.get(table.kind, (0.0, HIGHEST_FLOW_RATE))
        odd = ((rate < low) & (people >= LEAST_PEOPLE)) | (rate > high)
        if odd.any() and table.options.jumps != "accepted":
            what = {"births": "births", "deaths": "deaths"}.get(table.kind, "migrants")
            log.add(
                "UNIT_NEEDED.beside" if (rate[odd] < low).all() else "UNIT_NEEDED.many",
                file=table.name,
                column=table.value,
                total=int(odd.sum()),
                sum=sums[odd].iloc[0],
                what=what,
                year=years[odd][0],
                people=people[odd].iloc[0],
            )


def population_totals(tables: Sequence[Table]) -> dict[int, float]:
    """Total population by year; the highest of several vintages."""
    totals: dict[int, float] = {}
    for table in of_kinds(tables, "population"):
        keys = [k for k in ("vintage", "source", "date", "year") if k in table.frame]
        for key, total in table.frame.groupby(keys)["population"].sum().items():
            year = int(key[-1] if isinstance(key, tuple) else key)
            totals[year] = max(totals.get(year, 0.0), float(total))
    return totals


def _nearest(totals: dict[int, float], year: int) -> float:
    return totals[min(totals, key=lambda y: abs(y - year))] if totals else 0.0


def cell_population(tables: Sequence[Table]) -> pd.Series:
    """Population by year, sex and age; the highest of several vintages."""
    frames = [t.frame[["year", "sex", "age", "population"]] for t in of_kinds(tables, "population")]
    if not frames:
        return pd.Series(dtype=float)
    joined = pd.concat(frames)
    return joined.groupby(["year", "sex", "age"])["population"].max()


def check_deaths(tables: Sequence[Table], log: Collector) -> None:
    """Nobody dies who was not there: deaths of a cell against those at risk."""
    people = cell_population(tables)
    if people.empty:
        return
    groups = {g for t in of_kinds(tables, "population") for g in t.frame["age_group"]}
    for table in of_kinds(tables, "deaths"):
        alike = table.frame["age_group"].isin(groups)  # others hold other people
        deaths = table.frame.loc[alike, ["year", "sex", "age", "deaths"]]
        bound = _at_risk(deaths, people, table.open_age or 0)
        bad = (deaths["deaths"] > bound).to_numpy()
        if bad.any():
            cells = [
                f"{y} {s} age {a}: {d:,.0f} deaths, {p:,.0f} people"
                for y, s, a, d, p in zip(*(deaths[c][bad] for c in deaths), bound[bad], strict=True)
            ]
            log.add(
                "DEATHS_EXCEED_POPULATION",
                file=table.name,
                column="deaths",
                texts=[f"{d:,.0f}" for d in deaths["deaths"][bad]],
                total=int(bad.sum()),
                cells=cells,
            )


def _at_risk(deaths: pd.DataFrame, people: pd.Series, open_age: int) -> pd.Series:
    """Those who could have died in a cell: of this age or a year younger at the start.

    Where the start of the year is not known, the people of the cell itself, which
    is a bound below age 95 and in the open group. Nothing else is judged.
    """

    def at(years_back: int, younger: int) -> np.ndarray:
        keys = [deaths["year"] - years_back, deaths["sex"], deaths["age"] - younger]
        return people.reindex(pd.MultiIndex.from_arrays(keys)).to_numpy(float)

    start, younger, now = at(1, 0), at(1, 1), at(0, 0)
    newborn = deaths["age"].to_numpy() == 0
    both = np.where(newborn, np.fmax(start, now), start + younger)
    judged = (deaths["age"] < 95) | (deaths["age"] == open_age)
    bound = np.where(np.isnan(both), np.where(judged, now, np.nan), both)
    empty = judged.to_numpy() & (now == 0) & (np.isnan(start) | (start == 0))
    return pd.Series(np.where(empty, 0.0, bound), index=deaths.index).fillna(np.inf)


def check_base_year(tables: Sequence[Table], log: Collector) -> None:
    """The opening population of the components is that of the stock file."""
    totals = population_totals(tables)
    for table in of_kinds(tables, "components"):
        if "opening" not in table.frame:
            continue
        for row in table.frame.itertuples():
            stock = totals.get(int(row.year) - 1)
            slack = table.options.rounding_error + 0.5
            if stock is None or abs(row.opening - stock) <= slack or np.isnan(row.opening):
                continue
            log.add(
                "BASE_YEAR_MISMATCH",
                file=table.name,
                column="opening",
                texts=[f"{row.opening:,.0f}"],
                year=int(row.year) - 1,
                here=row.opening,
                there=stock,
                difference=row.opening - stock,
            )


def check_rounding(tables: Sequence[Table], log: Collector) -> None:
    """A stock that is rounded beside one that is not; in one file, if that is felt in its cells."""
    units = [(t, rounding_of(t.frame[t.value])) for t in of_nature(tables, STOCK)]
    known = [(t, unit) for t, unit in units if unit is not None]
    for table, whole in known.copy():
        by = [c for c in ("vintage", "date") if c in table.frame]
        for _, stock in table.frame.groupby(by)[table.value] if by else ():
            unit = rounding_of(stock)
            if unit is not None and unit > max(whole, COARSE * stock.median()):
                known.append((table, unit))
    if len({unit for _, unit in known}) < 2:
        return
    table, unit = max(known, key=lambda pair: pair[1])
    if (table.options.rounding or 0) >= unit:
        return  # confirmed
    log.add("ROUNDING_DETECTED", file=table.name, column=table.value, unit=unit, half=unit / 2)


def rounding_of(values: pd.Series) -> float | None:
    """Unit to which figures are rounded: 1,000, 100, 10 or 1; None if too few to tell."""
    known = values[values.notna() & (values != 0)].to_numpy()
    if known.size < LEAST_CELLS_FOR_ROUNDING:
        return None
    for unit in (1000.0, 100.0, 10.0):
        if np.mean(known % unit == 0) >= ROUNDED_SHARE:
            return unit
    return 1.0
