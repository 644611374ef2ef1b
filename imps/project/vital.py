"""Births and deaths of an account from checked tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.accounting import deaths_by_cohort
from imps.demography.schedules import deaths_over_ages
from imps.names import AGE, SEX, SEXES, YEAR
from imps.project.arrays import complete, counted, detail_of, labelled
from imps.project.sections import Account
from imps.reading.findings import Collector, listed
from imps.reading.options import AT_DEATH, AT_MID_YEAR, AT_YEAR_END, CALENDAR_YEAR, MID_YEAR
from imps.reading.table import Table, of_kinds
from imps.sources.definitions import Detail
from imps.sources.stocks import Births, BornBefore, Deaths, to_mid_years


def births_of(tables: Sequence[Table], account: Account, log: Collector) -> Births | None:
    """Registered births of each mid-year interval, by sex."""
    joined = _joined(tables, "births", account, log)
    if joined is None:
        return None
    rows, first = joined
    count = _intervals(rows, "births", {SEX: SEXES}, first, account)
    births = Births(count, *_origin(tables, "births"), counted=counted(first, account))
    totals = _totals(tables, "births", account, log)
    return births if totals is None else births.scaled_to(totals[0], reference=totals[1])


def deaths_of(
    tables: Sequence[Table], population: xr.DataArray, account: Account, log: Collector
) -> Deaths | None:
    """Registered deaths of each mid-year interval, by sex and age reached at its end.

    Parameters
    ----------
    population : DataArray (year, sex, age), persons
        At the start of each interval; a schedule for the split of deaths by age at
        death between two cohorts (:func:`imps.demography.accounting.deaths_by_cohort`).
    """
    joined = _joined(tables, "deaths", account, log)
    if joined is None:
        return None
    rows, first = joined
    detail = detail_of(rows, first, log)
    if detail is None:
        return None
    at_death = first.metadata["period"] == CALENDAR_YEAR or first.options.age_counted == AT_DEATH
    if not at_death and first.options.age_counted not in (AT_MID_YEAR, AT_YEAR_END):
        log.add("AGE_DEFINITION", file=first.name, column="age")
        return None
    top, whole = detail.lower_ages[-1], len(detail.lower_ages) == 1
    if not whole and top + 1 != population.sizes[AGE]:
        log.add(
            "OPEN_AGE_CHANGES.tables",
            file=first.name,
            column="age",
            here=top,
            other="the population",
            there=population[AGE].values[-1],
            low=min(top, population[AGE].values[-1]),
        )
        return None
    sexes = SEXES if detail.by_sex else ("persons",)
    cells = {SEX: sexes, AGE: detail.lower_ages}
    count = _over_ages(_intervals(rows, "deaths", cells, first, account), detail, population)
    if at_death:
        years = count[YEAR].values
        moved = [
            deaths_by_cohort(count.sel({YEAR: y}).values, population.sel({YEAR: y - 1}).values)
            for y in years
        ]
        count = count.copy(data=np.stack(moved))
        log.add("DEATHS_BY_COHORT", file=first.name, column="age", total=len(rows))
    fixed = detail.fixes_cells(population.sizes[AGE])
    deaths = Deaths(
        count,
        *_origin(tables, "deaths"),
        counted=counted(first, account),
        cells=None if fixed else detail,
        at_death=at_death and not fixed,
    )
    totals = _totals(tables, "deaths", account, log)
    return deaths if totals is None else deaths.scaled_to(totals[0], reference=totals[1])


def _over_ages(count: xr.DataArray, detail: Detail, population: xr.DataArray) -> xr.DataArray:
    """Deaths of published cells over sex and single age, by deaths that would be usual."""
    n_ages = population.sizes[AGE]
    if detail.fixes_cells(n_ages):
        return count
    people = population.mean(YEAR).transpose(SEX, AGE).values
    cells = count.values.reshape(count.sizes[YEAR], -1)
    labels = {YEAR: count[YEAR].values, SEX: list(SEXES), AGE: population[AGE].values}
    return xr.DataArray(
        deaths_over_ages(cells, detail.counting(n_ages), people), dims=labels, coords=labels
    )


def born_before(
    tables: Sequence[Table], account: Account, log: Collector
) -> tuple[BornBefore, ...]:
    """Births and deaths behind the children of the base, where there is a table of them."""
    same = of_kinds(tables, "born_before")
    if not same:
        return ()
    rows = pd.concat([t.frame for t in same], ignore_index=True)
    rows = rows.assign(**{AGE: account.first_mid_year - rows[YEAR]}).sort_values(AGE)
    file, base = same[0].name, account.first_mid_year
    if rows[AGE].tolist() != list(range(len(rows))):
        log.add("PERIOD_GAP.before", file=file, column=YEAR, years=sorted(rows[YEAR]),
                base=account.year_end.said(base))  # fmt: skip
        return ()
    if "deaths" not in rows:
        log.add("COLUMN_MISSING.deaths", file=file, column="deaths")
        return ()
    if not all(complete(rows, value, same[0], log) for value in ("births", "deaths")):
        return ()
    ages = {AGE: rows[AGE].tolist()}
    born, died = (labelled(rows, value, ages) for value in ("births", "deaths"))
    own = BornBefore(born, died, *_origin(tables, "born_before"))
    if "standard_error" in rows:
        if not complete(rows, "standard_error", same[0], log):
            return ()
        own = replace(own, standard_error=labelled(rows, "standard_error", ages))
    return (own,)


def _totals(
    tables: Sequence[Table], kind: str, account: Account, log: Collector
) -> tuple[xr.DataArray, str] | None:
    """Totals of mid-year intervals that were published, which the sums of cells then meet."""
    same = [t for t in of_kinds(tables, "vital_totals") if kind in t.frame]
    if not same:
        return None
    rows = pd.concat([t.frame for t in same], ignore_index=True)
    rows = rows[rows[YEAR].isin(intervals(account))].dropna(subset=[kind])
    period = str(same[0].metadata.get("period", ""))
    if any(t.metadata.get("period") != MID_YEAR for t in same):
        log.add(
            "PERIOD_MISMATCH.vital",
            file=same[0].name,
            column=YEAR,
            texts=[period],
            kind=kind,
            period=period,
        )
        return None
    if rows[YEAR].duplicated().any():
        log.add(
            "DUPLICATE_KEY.total",
            file=same[0].name,
            column=kind,
            what=f"{kind} of {rows[YEAR][rows[YEAR].duplicated()].iloc[0]}",
        )
        return None
    return labelled(rows, kind, {YEAR: sorted(rows[YEAR])}), same[0].references(rows)


def _joined(
    tables: Sequence[Table], kind: str, account: Account, log: Collector
) -> tuple[pd.DataFrame, Table] | None:
    """The rows of all tables of a kind for the years that the account needs."""
    same = of_kinds(tables, kind)
    if not same:
        log.add("TABLE_MISSING", file="the account", kind=kind)
        return None
    period = str(same[0].metadata.get("period", ""))
    odd = [t for t in same if t.metadata.get("period") != period]
    if odd:
        log.add(
            "PERIOD_MIXED.tables",
            file=odd[0].name,
            column="year",
            kind=kind,
            one=period,
            other=odd[0].metadata["period"],
        )
        return None
    years = needed_years(account, period)
    rows = pd.concat([t.frame for t in same], ignore_index=True)
    rows = rows[rows[YEAR].isin(years)]
    lost = [y for y in years if y not in set(rows[YEAR])]
    keys = [k for k in (YEAR, SEX, AGE) if k in rows]
    double = rows.duplicated(keys)
    if lost:
        log.add(
            "PERIOD_GAP.years",
            file=same[0].name,
            column="year",
            total=len(lost),
            kind=kind,
            years=lost,
        )
    elif double.any():
        cell = rows[keys][double].iloc[0]
        log.add(
            "DUPLICATE_KEY.tables",
            file=same[0].name,
            column=kind,
            total=int(double.sum()),
            kind=kind,
            cell=" ".join(map(str, cell)),
        )
    elif complete(rows, kind, same[0], log):
        return rows, same[0]
    return None


def needed_years(account: Account, period: str) -> list[int]:
    """Years of flows and events that the intervals of the account meet."""
    lead = 0 if period == CALENDAR_YEAR else 1
    return list(range(account.first_mid_year + lead, account.last_mid_year + 1))


def intervals(account: Account) -> range:
    """Mid-years at which the intervals of the account end."""
    return range(account.first_mid_year + 1, account.last_mid_year + 1)


def _intervals(
    rows: pd.DataFrame,
    value: str,
    cells: Mapping[str, Sequence[object]],
    table: Table,
    account: Account,
) -> xr.DataArray:
    """Counts of mid-year intervals; calendar years by the mean of the two they meet."""
    period = table.metadata["period"]
    count = labelled(rows, value, {YEAR: needed_years(account, period), **cells})
    if period == MID_YEAR:
        return count
    labels: dict[str, object] = {dim: list(of) for dim, of in cells.items()}
    return to_mid_years(count.values, count[YEAR].values, intervals(account), tuple(cells), labels)


def _origin(tables: Sequence[Table], kind: str) -> tuple[str, str]:
    """Vintage and reference of the tables of a kind."""
    same = of_kinds(tables, kind)
    vintages = list(dict.fromkeys(t.metadata.get("vintage", "") for t in same))
    stated = listed([v for v in vintages if v]) or "registered"
    return stated, ", ".join(t.references() for t in same)
