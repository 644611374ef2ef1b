"""Checks between tables: area, period, vintage, definition, base and plain arithmetic.

Figures that differ in any of these are never combined in silence: the finding
names both sides and the setting that says what is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from imps.demography.periods import CALENDAR_YEARS, MID_YEARS
from imps.project.arithmetic import (
    check_base_year,
    check_deaths,
    check_rounding,
    check_units,
)
from imps.project.sections import MEAN_OF_CALENDAR_YEARS, Account
from imps.reading.areas import CODE, GEOGRAPHIES, unmatched
from imps.reading.findings import Collector, ImportLog, listed
from imps.reading.kinds import EVENTS, FLOW_TABLE, STOCK
from imps.reading.options import CALENDAR_YEAR, MID_YEAR
from imps.reading.table import Table, of_kinds, of_nature
from imps.sources.definitions import (
    LONG_TERM,
    SHORT_TERM,
    SURVEY,
    USUAL,
    VINTAGES_DIFFER,
    explained,
    measure_of,
    residents_of,
)
from imps.sources.kinds import PARTS

PERIOD_WORDS: Final = MappingProxyType({CALENDAR_YEAR: CALENDAR_YEARS, MID_YEAR: MID_YEARS})


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
        _check_residents,
        _check_population_base,
        _check_ages,
    ):
        log += check(tables, declared)
    for arithmetic in (check_units, check_deaths, check_base_year, check_rounding):
        log += arithmetic(tables)
    return log


# Geography


def _geographies(table: Table) -> list[str]:
    """The area that a table is declared to be for, and the one that its codes stand for."""
    stated = table.metadata.get("geography", "")
    areas = set(table.frame["area"]) if "area" in table.frame else set()
    coded = GEOGRAPHIES.get(str(areas.pop()), "") if len(areas) == 1 else ""
    return [name for name in (stated, coded) if name]


def _check_geography(tables: Sequence[Table], account: Account) -> ImportLog:
    known = [(t.name, g) for t in tables for g in _geographies(t)]
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
        f"the same people{explained(different, area)}",
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
    if not of_kinds(tables, "population"):
        return log
    for table in of_nature(tables, EVENTS, FLOW_TABLE):
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
                f"{table.kind} are for periods '{period}', the population is at mid-year"
                f"{explained(PERIOD_WORDS.get(period, period), MID_YEARS)}",
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
    if not first or not last:
        return log
    for table in of_nature(tables, EVENTS, FLOW_TABLE):
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
    stocks = of_kinds(tables, "population", "population_totals")
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
        same = of_kinds(tables, kind)
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
        f"{one.kind} of {years[0]} to {years[-1]} are published twice: {names[0]} and {names[1]}; "
        f"{VINTAGES_DIFFER}",
        "Keep the vintage that the account is about; the other one is for comparison only.",
        column="year",
        total=len(years),
    )
    return found.log()


# Definitions


def _check_components_counted(tables: Sequence[Table], _: Account) -> ImportLog:
    """A total that already holds the adjustments must say so beside them."""
    sources = {
        str(s) for t in of_kinds(tables, "administrative_flows") for s in t.frame["source"].unique()
    }
    adjustments = sorted(sources & set(PARTS))
    log = ImportLog()
    for table in of_kinds(tables, "survey_flows", "survey_totals"):
        stated = table.metadata.get("definition", "")
        total = bool(stated) and measure_of(stated) != SURVEY  # what is not known may hold them
        if total and adjustments and table.options.includes is None:
            found = Collector(table.name)
            found.add(
                "COMPONENT_COUNTED_TWICE",
                f"a total with definition '{stated}' may already hold "
                f"{listed(adjustments)}, which are also given as sources of their own"
                f"{explained(SURVEY, LONG_TERM)}",
                f"Set includes = {adjustments} for what the total holds, or includes = [].",
                column=table.value,
                texts=adjustments,
            )
            log += found.log()
    return log


def _check_residents(tables: Sequence[Table], _: Account) -> ImportLog:
    """Short-term residents stand in neither census nor mid-year estimates."""
    log = ImportLog()
    for table in tables:
        stated = str(table.metadata.get("definition", ""))
        if SHORT_TERM not in (table.options.residents, residents_of(stated)):
            continue
        found = Collector(table.name)
        found.add(
            "DEFINITION_MISMATCH",
            f"{table.kind} are of short-term residents, the account is of usual ones"
            f"{explained(SHORT_TERM, USUAL)}",
            "Use figures of residents for twelve months or more, or leave the file out.",
            column="definition",
            texts=[stated or SHORT_TERM],
        )
        log += found.log()
    return log


def _check_population_base(tables: Sequence[Table], account: Account) -> ImportLog:
    stated = [
        (t.name, b)
        for t in of_nature(tables, STOCK)
        if (b := t.metadata.get("special_populations"))
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


def _check_ages(tables: Sequence[Table], _: Account) -> ImportLog:
    """Deaths and population end at the same open group; flows may end below it."""
    stocks = of_kinds(tables, "population")
    log = ImportLog()
    if not stocks or stocks[0].open_age is None:
        return log
    top = stocks[0].open_age
    for table in of_kinds(
        tables, "population", "deaths", "survey_flows", "flow_schedule", "stocks"
    ):
        age = table.open_age
        coarser = (
            table.kind in ("survey_flows", "flow_schedule", "stocks")
            and age is not None
            and age < top
        )
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
