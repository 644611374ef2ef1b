"""Plain arithmetic between tables: people, births and deaths, bases, rounding, and the balance.

Each year's change of the roll-forward stands against births, deaths and net migration. What is
left over differs between publications and is carried as known. A year of it that is far from the
others is named; and so is a component that would make nearly all of it vanish if its years stood
in another order, or its directions were exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd

from imps.errors import DefinitionError
from imps.names import AGE, AGE_GROUP, EMIGRATION, FLOW, IMMIGRATION, SEX, YEAR
from imps.project.doubts import YEAR_LIMIT
from imps.project.sections import Account
from imps.reading.findings import Collector
from imps.reading.kinds import STOCK
from imps.reading.plausibility import unlike_others
from imps.reading.rearrangements import orders
from imps.reading.table import Table, of_kinds, of_nature
from imps.sources import Sources

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


def end_said(account: Account, year: int) -> str:
    """The end of a year of the account in words; its number where no such day can be."""
    try:
        return account.year_end.said(year)
    except DefinitionError:  # refused when the sources are made
        return str(year)


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


OLD, BY_CHANCE = 80, 4.0
"""Age from which half of a small cell may die in a year by chance, and in how many of the standard
deviations of what is left of it."""


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

    Where the start of the year is not known, the people of the cell itself, which is a bound
    below age 95 and in the open group. Of the old nearly half of a cell may die within a year,
    and in a small one by chance more than half. Nothing else is judged.
    """

    def at(years_back: int, younger: int) -> np.ndarray:
        keys = [deaths["year"] - years_back, deaths["sex"], deaths["age"] - younger]
        return people.reindex(pd.MultiIndex.from_arrays(keys)).to_numpy(float)

    start, younger, now = at(1, 0), at(1, 1), at(0, 0)
    newborn = deaths["age"].to_numpy() == 0
    both = np.where(newborn, np.fmax(start, now), start + younger)
    judged = (deaths["age"] < 95) | (deaths["age"] == open_age)
    old = (deaths["age"] >= OLD).to_numpy()
    chance = np.where(old, BY_CHANCE * np.sqrt(deaths["deaths"].to_numpy(float) + now), 0.0)
    bound = np.where(np.isnan(both), np.where(judged, now + chance, np.nan), both)
    empty = judged.to_numpy() & (now == 0) & np.where(np.isnan(start), ~old, start == 0)
    return pd.Series(np.where(empty, 0.0, bound), index=deaths.index).fillna(np.inf)


def check_base_year(tables: Sequence[Table], account: Account, log: Collector) -> None:
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
                when=end_said(account, int(row.year) - 1),
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


LEAST_YEARS: Final = 5
"""Years from which what a roll-forward leaves over is compared."""

LEAST_LEFT: Final = 2e-6
"""Persons per person that a roll-forward leaves over by rounding."""

EXPLAINED: Final = 0.2
"""Share of what is left over below which another order of a component explains it."""

LARGEST_LEFT: Final = 0.004
"""Share of the people a year that a roll-forward may leave over; 0.001 in the UK of 1991-2001."""

LARGEST_GAP: Final = 0.04
"""Gap, share of the census, from which files are doubted; that of the UK in 2001 was 0.021."""

SHOWN: Final = 5
"""Years that a message tells."""


def check_balance(sources: Sources, log: Collector) -> None:
    """Name the years, or the component, that what the roll-forward leaves over points at.

    So is a gap of more than `LARGEST_GAP`. A year is named from `YEAR_LIMIT` robust deviations,
    and `LEAST_LEFT` of the people and what was put where the survey met nobody, on.
    """
    if not sources.open_end and abs(sources.gap) > LARGEST_GAP * sources.census.total:
        log.add("BALANCE_UNLIKELY.gap", file="the account", gap=sources.gap,
                share=abs(sources.gap) / sources.census.total,
                rolled=float(sources.rolled_forward.total[-1]),
                census=sources.census.total)  # fmt: skip
    left = np.asarray(sources.flows_revised_since.values, float)
    if len(left) < LEAST_YEARS:
        return
    level = float(np.median(left))
    if abs(level) > LARGEST_LEFT * sources.base.total:
        log.add("BALANCE_UNLIKELY.level", file="the account", left=level,
                share=abs(level) / sources.base.total)  # fmt: skip
    least = LEAST_LEFT * sources.base.total + 1 + filled(sources)
    rows = [f"{name}: {what}" for name, what in _misplaced(sources, left, least)]
    if rows:
        log.add("BALANCE_UNLIKELY.order", file="the account", total=len(rows),
                places="; ".join(rows[:SHOWN]))  # fmt: skip
        return
    usual, score = unlike_others(left, least)
    odd = np.flatnonzero(score > YEAR_LIMIT)
    if not len(odd):
        return
    rows = [
        f"{sources.mid_years[t + 1]}: {left[t]:+,.0f} beside {usual[t]:+,.0f} in other years"
        for t in odd[np.argsort(-score[odd])][:SHOWN]
    ]
    log.add("BALANCE_UNLIKELY", file="the account", total=len(odd), places="; ".join(rows))


def filled(sources: Sources) -> np.ndarray:
    """Persons (year) put into cells of the survey that were not observed."""
    persons = np.zeros(len(sources.years))
    for survey in sources.survey_flows.values():
        if survey.unobserved is not None:
            cells = survey.estimate.where(survey.unobserved, 0.0)
            persons = persons + sources.at_mid_years(cells.sum((SEX, AGE_GROUP))).values
    return persons


def _components(sources: Sources) -> dict[str, np.ndarray]:
    """What each component adds to the population, (year), persons per year."""
    found = {
        "births": sources.births.count.sum(SEX).values,
        "deaths": -sources.deaths.count.sum((SEX, AGE)).values,
    }
    total = sources.total_migration
    if total is not None:
        for flow, sign in ((IMMIGRATION, 1), (EMIGRATION, -1)):
            found[flow] = sign * sources.at_mid_years(total.sel({FLOW: flow}, drop=True)).values
    for part in sources.administrative if total is not None else ():
        moved = part.sign * (1 if part.flow == IMMIGRATION else -1)
        found[part.name] = moved * sources.at_mid_years(part.count).values
    for change in sources.known_changes:
        found[change.name] = change.count.reindex({YEAR: sources.years}, fill_value=0.0).values
    if len(sources.known_changes) > 1:
        found["known changes"] = sources.known_change.values
    return {name: np.asarray(v, float) for name, v in found.items()}


def _misplaced(sources: Sources, left: np.ndarray, least: np.ndarray) -> Iterator[tuple[str, str]]:
    """Components that in another order leave next to nothing over, and which order it is."""
    floor = float(least.sum()) * 2

    def spread(values: np.ndarray) -> float:
        return float(np.abs(values - np.median(values)).sum())

    parts = _components(sources)
    net = parts.get(IMMIGRATION, 0.0) + parts.get(EMIGRATION, 0.0)
    if np.abs(left).sum() > floor and np.abs(left + 2 * net).sum() < EXPLAINED * np.abs(left).sum():
        yield "migration", "immigration and emigration fit exchanged"
        return
    if spread(left) <= floor:
        return
    inner = slice(1, -1)  # ends have no other figure of their own
    for name, given in parts.items():
        for what, order in orders(sources.mid_years[1:]):
            moved = left + given - order(given)
            if spread(moved[inner]) < EXPLAINED * spread(left[inner]) - floor / 10:
                yield name, what
                break  # one order is enough
