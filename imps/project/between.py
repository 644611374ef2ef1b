"""Checks between tables: area, period, vintage, definition, base and plain arithmetic.

Figures that differ in any of these are never combined in silence: the finding
names both sides and the setting that says what is meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from imps.demography.periods import CALENDAR_YEARS, MID_YEARS
from imps.errors import DefinitionError
from imps.project.arithmetic import (
    check_base_year,
    check_deaths,
    check_rounding,
    check_units,
    end_said,
)
from imps.project.plausibility import check_plausibility
from imps.project.sections import MEAN_OF_CALENDAR_YEARS, Account
from imps.reading.columns import BARE_YEARS
from imps.reading.findings import Collector, ImportLog, listed
from imps.reading.kinds import EVENTS, FLOW_TABLE, STOCK
from imps.reading.options import (
    ACADEMIC_YEAR,
    ACCOUNT_YEAR,
    CALENDAR_YEAR,
    FINANCIAL_YEAR,
    MID_YEAR,
)
from imps.reading.table import Table, of_kinds, of_nature
from imps.reading.totals import CODE, GEOGRAPHIES, unmatched
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
from imps.sources.stocks import PLANNED

PERIOD_WORDS: Final = MappingProxyType({CALENDAR_YEAR: CALENDAR_YEARS, MID_YEAR: MID_YEARS})


MID_YEARS_END: Final = "06-30"
OWN_PERIODS: Final = MappingProxyType(
    {"06-30": MID_YEAR, "12-31": CALENDAR_YEAR, "03-31": FINANCIAL_YEAR, "08-31": ACADEMIC_YEAR}
)
"""Period of flows that is the year of an account, by the day with which that ends."""


def in_account_years(tables: Sequence[Table], account: Account, log: Collector) -> list[Table]:
    """Tables whose flows by the account's own years say so in one way: as mid-years.

    Only an account of mid-years converts flows of other years.
    """
    try:
        end = account.year_end.each
    except DefinitionError as error:
        log.add("SOURCES_REFUSED", file="the account", reason=str(error).rstrip("."))
        return list(tables)
    own = (ACCOUNT_YEAR, OWN_PERIODS.get(account.year_ends, ACCOUNT_YEAR))
    found = []
    for table in tables:
        period = table.metadata.get("period", "")
        flows = bool(of_nature([table], EVENTS, FLOW_TABLE))
        if flows and period in own:
            table = replace(
                table, metadata=MappingProxyType({**table.metadata, "period": MID_YEAR})
            )
        elif flows and period and account.year_ends != MID_YEARS_END:
            log.add("PERIOD_MISMATCH.account", file=table.name, column="year", texts=[period],
                    kind=table.kind, period=period, ends=end, own=own[1])  # fmt: skip
        found.append(table)
    return found


def check_between(tables: Sequence[Table], account: Account | None = None) -> ImportLog:
    """Check tables against each other and against the account; nothing is changed."""
    declared, log = account or Account(), Collector()
    for check in (
        _check_geography,
        _check_areas,
        _check_periods,
        _check_dates,
        _check_span,
        _check_vintages,
        _check_components_counted,
        _check_residents,
        _check_duration,
        _check_live_births,
        _check_population_base,
        _check_ages,
        check_base_year,
    ):
        check(tables, declared, log)
    for arithmetic in (check_units, check_deaths, check_rounding):
        arithmetic(tables, log)
    check_plausibility(tables, declared, log)
    return log.log()


# Geography


def _geographies(table: Table) -> list[str]:
    """The area that a table is declared to be for, and the one that its codes stand for."""
    stated = table.metadata.get("geography", "")
    areas = set(table.frame["area"]) if "area" in table.frame else set()
    coded = GEOGRAPHIES.get(str(areas.pop()), "") if len(areas) == 1 else ""
    return [name for name in (stated, coded) if name]


def _check_geography(tables: Sequence[Table], account: Account, log: Collector) -> None:
    known = [(t.name, g) for t in tables for g in _geographies(t)]
    if account.geography:
        known.insert(0, ("the account", account.geography))
    if len({g for _, g in known}) < 2:
        return
    name, area = known[0]
    other, different = next((n, g) for n, g in known if g != area)
    log.add(
        "COVERAGE_MISMATCH",
        file=other,
        texts=[different],
        here=different,
        name=name,
        there=area,
        explained=explained(different, area),
    )


def _check_areas(tables: Sequence[Table], _: Account, log: Collector) -> None:
    """Areas have to match as codes; an empty join is never made."""
    with_areas = [t for t in tables if "area" in t.frame]
    for table in with_areas:
        areas = sorted(set(table.frame["area"]))
        if len(areas) > 1:
            log.add(
                "AREAS_NEEDED",
                file=table.name,
                column="area",
                total=len(areas),
                areas=areas,
                some=areas[:2],
            )
    for table in with_areas[1:]:
        here, there = unmatched(table.frame["area"], with_areas[0].frame["area"])
        if not here and not there:
            continue
        named = [a for a in (*here, *there) if not all(map(CODE.fullmatch, a.split("+")))]
        log.add(
            "AREA_UNKNOWN.names" if named else "AREA_UNKNOWN",
            file=table.name,
            column="area",
            texts=here or there,
            total=len(here) + len(there),
            other=with_areas[0].name,
            here=here,
            there=there,
        )


# Time


def _check_periods(tables: Sequence[Table], account: Account, log: Collector) -> None:
    """Flows of other periods than mid-years need a declared conversion."""
    if not of_kinds(tables, "population"):
        return
    for table in of_nature(tables, EVENTS, FLOW_TABLE):
        period = table.metadata.get("period", "")
        if period in ("", MID_YEAR):
            continue
        if period == CALENDAR_YEAR and account.calendar_to_mid_year == MEAN_OF_CALENDAR_YEARS:
            log.add("PERIOD_CONVERTED", file=table.name, total=len(table.frame))
        else:
            log.add(
                "PERIOD_MISMATCH.calendar" if period == CALENDAR_YEAR else "PERIOD_MISMATCH",
                file=table.name,
                column="year",
                texts=[period],
                kind=table.kind,
                period=period,
                explained=explained(PERIOD_WORDS.get(period, period), MID_YEARS),
            )


def _check_dates(tables: Sequence[Table], account: Account, log: Collector) -> None:
    """Stocks of bare years beside events of calendar years: their day is asked for."""
    events = [t.kind for t in of_kinds(tables, "births", "deaths")
              if t.metadata.get("period") == CALENDAR_YEAR]  # fmt: skip
    if not events or "year_ends" in account.model_fields_set:
        return
    for table in of_kinds(tables, "population", "population_totals"):
        if table.metadata.get("dates") == BARE_YEARS and table.options.year_ends is None:
            log.add("STOCK_DATE.bare", file=table.name, column="year", total=len(table.years),
                    texts=[str(table.years[0])], kinds=sorted(set(events)))  # fmt: skip


def _check_span(tables: Sequence[Table], account: Account, log: Collector) -> None:
    """Years outside the account are not used; years inside it must be there."""
    first, last = account.first_mid_year, account.last_mid_year
    if not first or not last:
        return
    span = {"first": end_said(account, first), "last": end_said(account, last)}
    for table in of_nature(tables, EVENTS, FLOW_TABLE):
        lead = 0 if table.metadata.get("period") == CALENDAR_YEAR else 1
        needed = set(range(first + lead, last + 1))
        unused = sorted(set(table.years) - needed)
        lost = sorted(needed - set(table.years)) if table.kind in ("births", "deaths") else []
        if unused:
            log.add(
                "PERIOD_UNUSED",
                file=table.name,
                column="year",
                total=len(unused),
                years=unused,
                **span,
            )
        if lost:
            log.add(
                "PERIOD_GAP.account",
                file=table.name,
                column="year",
                total=len(lost),
                kind=table.kind,
                years=lost,
                **span,
            )
    for table in of_kinds(tables, "population_totals"):
        unused = [year for year in table.years if not first <= year <= last]
        if unused:
            log.add("PERIOD_UNUSED", file=table.name, column="year", total=len(unused),
                    years=unused, **span)  # fmt: skip
    _check_ends(tables, account, log)


def _check_ends(tables: Sequence[Table], account: Account, log: Collector) -> None:
    first, last = account.first_mid_year, account.last_mid_year
    open_end = account.census_quality == PLANNED
    stocks = of_kinds(tables, "population", "population_totals")
    if not stocks:
        return
    years = {year for t in stocks for year in t.years}
    for year in sorted({first, first if open_end else last} - years):
        log.add(
            "PERIOD_GAP.ends",
            file=listed([t.name for t in stocks]),
            column="year",
            year=year,
            years=sorted(years),
            first=end_said(account, first),
            last=end_said(account, last),
        )


def _check_vintages(tables: Sequence[Table], _: Account, log: Collector) -> None:
    """Two files with the same cells are two vintages; only one can enter."""
    for kind in ("births", "deaths", "survey_flows", "administrative_flows"):
        same = of_kinds(tables, kind)
        for i, one in enumerate(same):
            for two in same[i + 1 :]:
                keys = [k for k in ("source", "flow", "year") if k in one.frame and k in two.frame]
                shared = set(map(tuple, one.frame[keys].to_numpy())) & set(
                    map(tuple, two.frame[keys].to_numpy())
                )
                if shared:
                    years = sorted({int(key[-1]) for key in shared})
                    here, there = (f"{t.name} (vintage '{t.metadata.get('vintage', 'not stated')}')"
                                   for t in (one, two))  # fmt: skip
                    log.add(
                        "VINTAGE_NEEDED.tables", file=two.name, column="year", total=len(years),
                        kind=one.kind, first=years[0], last=years[-1], one=here, other=there,
                        differ=VINTAGES_DIFFER,
                    )  # fmt: skip


# Definitions

STILLBIRTHS: Final = re.compile(r"still|fo?etal", re.IGNORECASE)
WITHOUT: Final = re.compile(r"excl|without|\bnot?\b|live births only", re.IGNORECASE)


def _check_components_counted(tables: Sequence[Table], account: Account, log: Collector) -> None:
    """A total that already holds the adjustments must say so beside them."""
    sources = {
        str(s) for t in of_kinds(tables, "administrative_flows") for s in t.frame["source"].unique()
    }
    adjustments = sorted(sources & set(account.part_names))
    for table in of_kinds(tables, "survey_flows", "survey_totals"):
        stated = table.metadata.get("definition", "")
        total = bool(stated) and measure_of(stated) != SURVEY  # what is not known may hold them
        if total and adjustments and table.options.includes is None:
            log.add(
                "COMPONENT_COUNTED_TWICE",
                file=table.name,
                column=table.value,
                texts=adjustments,
                definition=stated,
                sources=adjustments,
                explained=explained(SURVEY, LONG_TERM),
            )


def _check_residents(tables: Sequence[Table], _: Account, log: Collector) -> None:
    """Short-term residents stand in neither census nor mid-year estimates."""
    for table in tables:
        stated = str(table.metadata.get("definition", ""))
        if SHORT_TERM not in (table.options.residents, residents_of(stated)):
            continue
        log.add(
            "DEFINITION_MISMATCH.residents",
            file=table.name,
            column="definition",
            texts=[stated or SHORT_TERM],
            kind=table.kind,
            explained=explained(SHORT_TERM, USUAL),
        )


def _check_duration(tables: Sequence[Table], _: Account, log: Collector) -> None:
    """Flows that count migrants from different lengths of stay do not add up."""
    stated = [(t.name, d) for t in of_nature(tables, FLOW_TABLE)
              if (d := t.metadata.get("duration"))]  # fmt: skip
    for name, months in stated:
        other, there = stated[0]
        if months != there:
            log.add("DEFINITION_MISMATCH.duration", file=name, column="duration", texts=[months],
                    here=months, other=other, there=there)  # fmt: skip


def _check_live_births(tables: Sequence[Table], _: Account, log: Collector) -> None:
    """Stillbirths were never in a population, and their deaths do not leave one."""
    for table in of_kinds(tables, "births", "deaths"):
        stated = str(table.metadata.get("definition", ""))
        if STILLBIRTHS.search(stated) and not WITHOUT.search(stated):
            log.add("DEFINITION_MISMATCH.stillbirths", file=table.name, column="definition",
                    texts=[stated], kind=table.kind)  # fmt: skip


def _check_population_base(tables: Sequence[Table], account: Account, log: Collector) -> None:
    stated = [
        (t.name, b)
        for t in of_nature(tables, STOCK)
        if (b := t.metadata.get("special_populations"))
    ]
    if len({b for _, b in stated}) < 2 or account.special_populations == "as-declared":
        return
    words = [f"{name}: {base}" for name, base in stated]
    log.add(
        "POPULATION_BASE",
        file=stated[-1][0],
        column="special_populations",
        texts=[stated[-1][1]],
        stocks=words,
    )


def _check_ages(tables: Sequence[Table], _: Account, log: Collector) -> None:
    """Deaths and population end at the same open group; flows may end below it."""
    stocks = [t for t in of_kinds(tables, "population") if t.open_age]
    if not stocks or stocks[0].open_age is None:
        return
    top = stocks[0].open_age
    for table in of_kinds(
        tables, "population", "deaths", "survey_flows", "flow_schedule", "stocks", "streams"
    ):
        age = table.open_age
        coarser = (
            table.kind in ("survey_flows", "flow_schedule", "stocks", "streams")
            and age is not None
            and age < top
        )
        if age in (top, None, 0):  # 0: all ages together
            continue
        if coarser:
            log.add(
                "AGES_MAPPED",
                file=table.name,
                column="age_group",
                total=len(table.frame),
                age=age,
                top=top,
            )
        else:
            finer, coarser_one = (stocks[0], table) if age is not None and age < top else (
                table, stocks[0])  # fmt: skip
            log.add(
                "OPEN_AGE_CHANGES.tables",
                file=finer.name,
                column="age",
                texts=[f"{finer.open_age}+"],
                here=finer.open_age,
                other=coarser_one.name,
                there=coarser_one.open_age,
                low=coarser_one.open_age,
            )
