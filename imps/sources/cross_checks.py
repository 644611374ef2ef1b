"""Checks between tables: area, period, vintage, definition, base and plain arithmetic.

Figures that differ in any of these are never combined in silence: the finding
names both sides and the setting that says what is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from imps.sources.areas import CODE, GEOGRAPHIES, unmatched
from imps.sources.import_log import Collector, ImportLog, listed
from imps.sources.options import CALENDAR_YEAR, MID_YEAR
from imps.sources.schemas import EVENTS, FLOW_TABLE, STOCK, schema
from imps.sources.tables import Table

MEAN_OF_CALENDAR_YEARS: Final = "mean-of-two-calendar-years"
ADJUSTMENTS: Final = ("asylum_seekers", "irish_flows", "visitor_switchers", "migrant_switchers")
TOTAL_DEFINITIONS: Final = ("LTIM", "TIM")

HIGHEST_BIRTH_RATE: Final = 0.1
"""Births per person and year above which the units must differ (highest recorded: about 0.06)."""

ROUNDED_SHARE: Final = 0.99
LEAST_CELLS_FOR_ROUNDING: Final = 20


@dataclass(frozen=True)
class Account:
    """What the tables are to be joined into.

    Attributes
    ----------
    geography : str
        Area of the account, or empty.
    first_mid_year, last_mid_year : int or None
        Mid-years of the base and of the census at the other end.
    calendar_to_mid_year : str
        Declared conversion of calendar years; empty if none is allowed.
    special_populations : str
        "as-declared": stocks that differ in armed forces or prisoners are meant.
    """

    geography: str = ""
    first_mid_year: int | None = None
    last_mid_year: int | None = None
    calendar_to_mid_year: str = ""
    special_populations: str = ""


def check_between(tables: Sequence[Table], account: Account | None = None) -> ImportLog:
    """Check tables against each other and against the account; nothing is changed."""
    declared = account or Account()
    log = ImportLog()
    for check in (
        _check_geography,
        _check_areas,
        _check_periods,
        _check_span,
        _check_vintages,
        _check_components_counted,
        _check_population_base,
        _check_units,
        _check_ages,
        _check_deaths,
        _check_base_year,
        _check_rounding,
    ):
        log += check(tables, declared)
    return log


def _of(tables: Iterable[Table], *kinds: str) -> list[Table]:
    return [t for t in tables if t.kind in kinds]


def _nature(tables: Iterable[Table], *natures: str) -> list[Table]:
    return [t for t in tables if schema(t.kind).nature in natures]


# Geography


def _geography(table: Table) -> str:
    stated = table.metadata.get("geography", "")
    areas = set(table.frame["area"]) if "area" in table.frame else set()
    if not stated and len(areas) == 1:
        return GEOGRAPHIES.get(str(areas.pop()), "")
    return stated


def _check_geography(tables: Sequence[Table], account: Account) -> ImportLog:
    known = [(t.name, g) for t in tables if (g := _geography(t))]
    if account.geography:
        known.insert(0, ("the account", account.geography))
    if len({g for _, g in known}) < 2:
        return ImportLog()
    name, area = known[0]
    other, different = next((n, g) for n, g in known if g != area)
    log = Collector(other)
    log.add(
        "COVERAGE_MISMATCH",
        f"the figures are for {different}, those of {name} for {area}: they do not describe "
        "the same people",
        "Use figures for one area, or sum the parts with areas = [...].",
        texts=[different],
    )
    return log.log()


def _check_areas(tables: Sequence[Table], _: Account) -> ImportLog:
    """Areas have to match as codes; an empty join is never made."""
    with_areas = [t for t in tables if "area" in t.frame]
    log = ImportLog()
    for table in with_areas:
        areas = sorted(set(table.frame["area"]))
        if len(areas) > 1:
            found = Collector(table.name)
            found.add(
                "AREAS_NEEDED",
                f"there are {len(areas)} areas ({listed(areas)}), the account is for one",
                f"Set areas = {areas[:2]} or one of them: what is named is summed.",
                column="area",
                total=len(areas),
            )
            log += found.log()
    for table in with_areas[1:]:
        here, there = unmatched(table.frame["area"], with_areas[0].frame["area"])
        if not here and not there:
            continue
        found = Collector(table.name)
        named = [a for a in (*here, *there) if not all(map(CODE.fullmatch, a.split("+")))]
        advice = (
            "Names are not matched: give official codes in both files."
            if named
            else "Bring both files to the same edition of the codes."
        )
        rest = f"not in {with_areas[0].name}: {listed(here) or 'none'}"
        found.add(
            "AREA_UNKNOWN",
            f"areas do not match; {rest}; only there: {listed(there) or 'none'}",
            advice,
            column="area",
            texts=here or there,
            total=len(here) + len(there),
        )
        log += found.log()
    return log


# Time


def _check_periods(tables: Sequence[Table], account: Account) -> ImportLog:
    """Flows of other periods than mid-years need a declared conversion."""
    log = ImportLog()
    if not _of(tables, "population"):
        return log
    for table in _nature(tables, EVENTS, FLOW_TABLE):
        period = table.metadata.get("period", "")
        if period in ("", MID_YEAR):
            continue
        found = Collector(table.name)
        if period == CALENDAR_YEAR and account.calendar_to_mid_year == MEAN_OF_CALENDAR_YEARS:
            found.add(
                "PERIOD_CONVERTED",
                "calendar years stand for mid-year intervals, each half of two",
                total=len(table.frame),
            )
        else:
            found.add(
                "PERIOD_MISMATCH",
                f"{table.kind} are for periods '{period}', the population is at mid-year",
                f'Set account.calendar_to_mid_year = "{MEAN_OF_CALENDAR_YEARS}", or give figures '
                "for years to 30 June."
                if period == CALENDAR_YEAR
                else "Give figures for calendar years or for years to 30 June.",
                column="year",
                texts=[period],
            )
        log += found.log()
    return log


def _check_span(tables: Sequence[Table], account: Account) -> ImportLog:
    """Years outside the account are not used; years inside it must be there."""
    first, last = account.first_mid_year, account.last_mid_year
    log = ImportLog()
    if first is None or last is None:
        return log
    for table in _nature(tables, EVENTS, FLOW_TABLE):
        lead = 0 if table.metadata.get("period") == CALENDAR_YEAR else 1
        needed = set(range(first + lead, last + 1))
        unused = sorted(set(table.years) - needed)
        lost = sorted(needed - set(table.years)) if table.kind in ("births", "deaths") else []
        found = Collector(table.name)
        if unused:
            found.add(
                "PERIOD_UNUSED",
                f"years {listed(unused)} lie outside the account, mid-{first} to mid-{last}",
                "Leave them out, or lengthen the account.",
                column="year",
                total=len(unused),
            )
        if lost:
            found.add(
                "PERIOD_GAP",
                f"{table.kind} of {listed(lost)} are absent; the account runs from mid-{first} "
                f"to mid-{last}",
                "Add the year; an account cannot be carried over a gap.",
                column="year",
                total=len(lost),
            )
        log += found.log()
    return log + _check_ends(tables, first, last)


def _check_ends(tables: Sequence[Table], first: int, last: int) -> ImportLog:
    stocks = _of(tables, "population")
    if not stocks:
        return ImportLog()
    found = Collector(listed([t.name for t in stocks]))
    years = {year for t in stocks for year in t.years}
    for year in sorted({first, last} - years):
        found.add(
            "PERIOD_GAP",
            f"there is no population of {year}; the account runs from mid-{first} to mid-{last}",
            "Add it: the account needs a population at both ends.",
            column="year",
        )
    return found.log()


def _check_vintages(tables: Sequence[Table], _: Account) -> ImportLog:
    """Two files with the same cells are two vintages; only one can enter."""
    log = ImportLog()
    for kind in ("births", "deaths", "survey_flows", "administrative_flows"):
        same = _of(tables, kind)
        for i, one in enumerate(same):
            for two in same[i + 1 :]:
                keys = [k for k in ("source", "flow", "year") if k in one.frame and k in two.frame]
                shared = set(map(tuple, one.frame[keys].to_numpy())) & set(
                    map(tuple, two.frame[keys].to_numpy())
                )
                if shared:
                    log += _vintage_finding(one, two, sorted({int(key[-1]) for key in shared}))
    return log


def _vintage_finding(one: Table, two: Table, years: list[int]) -> ImportLog:
    found = Collector(two.name)
    names = [f"{t.name} (vintage '{t.metadata.get('vintage', 'not stated')}')" for t in (one, two)]
    found.add(
        "VINTAGE_NEEDED",
        f"{one.kind} of {years[0]} to {years[-1]} are published twice: {names[0]} and {names[1]}",
        "Keep the vintage that the account is about; the other one is for comparison only.",
        column="year",
        total=len(years),
    )
    return found.log()


# Definitions


def _check_components_counted(tables: Sequence[Table], _: Account) -> ImportLog:
    """A total that already holds the adjustments must say so beside them."""
    sources = {
        str(s) for t in _of(tables, "administrative_flows") for s in t.frame["source"].unique()
    }
    adjustments = sorted(sources & set(ADJUSTMENTS))
    log = ImportLog()
    for table in _of(tables, "survey_flows"):
        total = table.metadata.get("definition", "").upper() in TOTAL_DEFINITIONS
        if total and adjustments and table.options.includes is None:
            found = Collector(table.name)
            found.add(
                "COMPONENT_COUNTED_TWICE",
                f"a total with definition '{table.metadata['definition']}' may already hold "
                f"{listed(adjustments)}, which are also given as sources of their own",
                f"Set includes = {adjustments} for what the total holds, or includes = [].",
                column=table.value,
                texts=adjustments,
            )
            log += found.log()
    return log


def _check_population_base(tables: Sequence[Table], account: Account) -> ImportLog:
    stated = [
        (t.name, b) for t in _nature(tables, STOCK) if (b := t.metadata.get("special_populations"))
    ]
    if len({b for _, b in stated}) < 2 or account.special_populations == "as-declared":
        return ImportLog()
    found = Collector(stated[-1][0])
    words = [f"{name}: {base}" for name, base in stated]
    found.add(
        "POPULATION_BASE",
        f"armed forces and prisoners are not treated alike ({listed(words)})",
        'Use stocks on one base, or set account.special_populations = "as-declared".',
        column="special_populations",
        texts=[stated[-1][1]],
    )
    return found.log()


def _check_units(tables: Sequence[Table], _: Account) -> ImportLog:
    """Births above a tenth of the population mean that the units differ."""
    totals = population_totals(tables)
    log = ImportLog()
    for table in _of(tables, "births"):
        births = table.frame.groupby("year")["births"].sum()
        known = [(y, b, p) for y, b in births.items() if (p := _nearest(totals, int(str(y))))]
        high = [(y, b, p) for y, b, p in known if b > HIGHEST_BIRTH_RATE * p]
        if high:
            year, count, people = high[0]
            found = Collector(table.name)
            found.add(
                "UNIT_NEEDED",
                f"{count:,.0f} births in {year} beside a population of {people:,.0f}: one of the "
                "files is probably in thousands",
                'Set unit = "thousands" for the file that is.',
                column="births",
                total=len(high),
            )
            log += found.log()
    return log


def population_totals(tables: Sequence[Table]) -> dict[int, float]:
    """Total population by year; the highest of several vintages."""
    totals: dict[int, float] = {}
    for table in _of(tables, "population"):
        keys = [k for k in ("vintage", "source", "date", "year") if k in table.frame]
        for key, total in table.frame.groupby(keys)["population"].sum().items():
            year = int(key[-1] if isinstance(key, tuple) else key)
            totals[year] = max(totals.get(year, 0.0), float(total))
    return totals


def _nearest(totals: dict[int, float], year: int) -> float:
    return totals[min(totals, key=lambda y: abs(y - year))] if totals else 0.0


def _check_ages(tables: Sequence[Table], _: Account) -> ImportLog:
    """Deaths and population end at the same open group; flows may end below it."""
    stocks = _of(tables, "population")
    log = ImportLog()
    if not stocks or stocks[0].open_age is None:
        return log
    top = stocks[0].open_age
    for table in _of(tables, "population", "deaths", "survey_flows", "stocks"):
        age = table.open_age
        coarser = table.kind in ("survey_flows", "stocks") and age is not None and age < top
        if age in (top, None):
            continue
        found = Collector(table.name)
        if coarser:
            found.add(
                "AGES_MAPPED",
                f"age groups end at {age}+, the population at {top}+: single ages are summed to "
                "the groups of this file",
                column="age_group",
                total=len(table.frame),
            )
        else:
            low = min(age, top) if age is not None else top
            found.add(
                "OPEN_AGE_CHANGES",
                f"the open age group is {age}+, that of {stocks[0].name} is {top}+",
                f"Set open_age = {low} for both.",
                column="age",
                texts=[f"{age}+"],
            )
        log += found.log()
    return log


# Arithmetic


def cell_population(tables: Sequence[Table]) -> pd.Series:
    """Population by year, sex and age; the highest of several vintages."""
    frames = [t.frame[["year", "sex", "age", "population"]] for t in _of(tables, "population")]
    if not frames:
        return pd.Series(dtype=float)
    joined = pd.concat(frames)
    return joined.groupby(["year", "sex", "age"])["population"].max()


def _check_deaths(tables: Sequence[Table], _: Account) -> ImportLog:
    """Nobody dies who was not there: deaths of a cell against those at risk."""
    people = cell_population(tables)
    log = ImportLog()
    if people.empty:
        return log
    for table in _of(tables, "deaths"):
        deaths = table.frame[["year", "sex", "age", "deaths"]]
        bound = _at_risk(deaths, people, table.open_age or 0)
        bad = (deaths["deaths"] > bound).to_numpy()
        if bad.any():
            cells = [
                f"{y} {s} age {a}: {d:,.0f} deaths, {p:,.0f} people"
                for y, s, a, d, p in zip(*(deaths[c][bad] for c in deaths), bound[bad], strict=True)
            ]
            found = Collector(table.name)
            found.add(
                "DEATHS_EXCEED_POPULATION",
                f"more people died than could have: {listed(cells)}",
                "Check the cell in both files, and the age at which deaths are counted.",
                column="deaths",
                texts=[f"{d:,.0f}" for d in deaths["deaths"][bad]],
                total=int(bad.sum()),
            )
            log += found.log()
    return log


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


def _check_base_year(tables: Sequence[Table], _: Account) -> ImportLog:
    """The opening population of the components is that of the stock file."""
    totals = population_totals(tables)
    log = ImportLog()
    for table in _of(tables, "components"):
        if "opening" not in table.frame:
            continue
        for row in table.frame.itertuples():
            stock = totals.get(int(row.year) - 1)
            slack = 0.5 * (table.options.rounding or 0.0) + 0.5
            if stock is None or abs(row.opening - stock) <= slack or np.isnan(row.opening):
                continue
            found = Collector(table.name)
            found.add(
                "BASE_YEAR_MISMATCH",
                f"the opening population of mid-{int(row.year) - 1} is {row.opening:,.0f} here and "
                f"{stock:,.0f} in the population file (difference {row.opening - stock:+,.0f})",
                "Use components and stocks of one vintage, or declare rounding.",
                column="opening",
                texts=[f"{row.opening:,.0f}"],
            )
            log += found.log()
    return log


def _check_rounding(tables: Sequence[Table], _: Account) -> ImportLog:
    """A stock that is rounded beside one that is not."""
    units = [(t, rounding_of(t.frame[t.value])) for t in _nature(tables, STOCK)]
    known = [(t, unit) for t, unit in units if unit is not None]
    if len({unit for _, unit in known}) < 2:
        return ImportLog()
    table, unit = max(known, key=lambda pair: pair[1])
    found = Collector(table.name)
    found.add(
        "ROUNDING_DETECTED",
        f"figures are rounded to {unit:g}, those of another stock are not; differences up to "
        f"{unit / 2:g} in a cell are rounding",
        f"Set rounding = {unit:g} to confirm it.",
        column=table.value,
    )
    return found.log()


def rounding_of(values: pd.Series) -> float | None:
    """Unit to which figures are rounded: 1,000, 100, 10 or 1; None if too few to tell."""
    known = values[values.notna() & (values != 0)].to_numpy()
    if known.size < LEAST_CELLS_FOR_ROUNDING:
        return None
    for unit in (1000.0, 100.0, 10.0):
        if np.mean(known % unit == 0) >= ROUNDED_SHARE:
            return unit
    return 1.0
