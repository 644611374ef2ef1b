"""Births and deaths of an account from checked tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.accounting import deaths_by_cohort
from imps.names import AGE, SEX, SEXES, YEAR
from imps.project.arrays import complete, counted, labelled, single_ages
from imps.project.sections import Account
from imps.reading.findings import Findings, listed
from imps.reading.options import AT_DEATH, AT_MID_YEAR, CALENDAR_YEAR, MID_YEAR
from imps.reading.table import Table, of_kinds
from imps.sources.vital import Births, Deaths, to_mid_years


def births_of(tables: Sequence[Table], account: Account, log: Findings) -> Births | None:
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
    tables: Sequence[Table], population: xr.DataArray, account: Account, log: Findings
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
    if not single_ages(rows, first, log):
        return None
    ages = sorted(rows[AGE].unique())
    at_death = first.metadata["period"] == CALENDAR_YEAR or first.options.age_counted == AT_DEATH
    if not at_death and first.options.age_counted != AT_MID_YEAR:
        log.add(
            first.name, "AGE_DEFINITION", "deaths may be by age at death or by age reached at the "
            "end of the year, which moves half of them by a year of age",
            f'Set age_counted = "{AT_DEATH}" or "{AT_MID_YEAR}".', column="age",
        )  # fmt: skip
        return None
    if len(ages) != population.sizes[AGE]:
        log.add(
            first.name, "OPEN_AGE_CHANGES", f"the open age group is {ages[-1]}+, that of the "
            f"population {population[AGE].values[-1]}+",
            f"Set open_age = {min(ages[-1], population[AGE].values[-1])} for both.", column="age",
        )  # fmt: skip
        return None
    count = _intervals(rows, "deaths", {SEX: SEXES, AGE: ages}, first, account)
    if at_death:
        years = count[YEAR].values
        moved = [
            deaths_by_cohort(count.sel({YEAR: y}).values, population.sel({YEAR: y - 1}).values)
            for y in years
        ]
        count = count.copy(data=np.stack(moved))
        log.add(
            first.name, "DEATHS_BY_COHORT", "deaths at each age were divided between the two "
            "cohorts that met them, in proportion to their size; totals are unchanged",
            column="age", total=len(rows),
        )  # fmt: skip
    deaths = Deaths(count, *_origin(tables, "deaths"), counted=counted(first, account))
    totals = _totals(tables, "deaths", account, log)
    return deaths if totals is None else deaths.scaled_to(totals[0], reference=totals[1])


def _totals(
    tables: Sequence[Table], kind: str, account: Account, log: Findings
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
            same[0].name, "PERIOD_MISMATCH", f"totals of {kind} are for periods '{period}'; they "
            "are those of the intervals between mid-years",
            f'Give totals of years to 30 June and set period = "{MID_YEAR}".',
            column=YEAR, texts=[period],
        )  # fmt: skip
        return None
    if rows[YEAR].duplicated().any():
        log.add(
            same[0].name, "DUPLICATE_KEY", f"the total of {kind} of "
            f"{rows[YEAR][rows[YEAR].duplicated()].iloc[0]} is given more than once",
            "Keep one row for each.", column=kind,
        )  # fmt: skip
        return None
    return labelled(rows, kind, {YEAR: sorted(rows[YEAR])}), same[0].references(rows)


def _joined(
    tables: Sequence[Table], kind: str, account: Account, log: Findings
) -> tuple[pd.DataFrame, Table] | None:
    """The rows of all tables of a kind for the years that the account needs."""
    same = of_kinds(tables, kind)
    if not same:
        log.add("the account", "TABLE_MISSING", f"the account has no {kind}", f"Add {kind}.")
        return None
    period = str(same[0].metadata.get("period", ""))
    odd = [t for t in same if t.metadata.get("period") != period]
    if odd:
        log.add(
            odd[0].name, "PERIOD_MIXED",
            f"{kind} of one account come for periods '{period}' and '{odd[0].metadata['period']}'",
            "Give all of them for one period.", column="year",
        )  # fmt: skip
        return None
    years = needed_years(account, period)
    rows = pd.concat([t.frame for t in same], ignore_index=True)
    rows = rows[rows[YEAR].isin(years)]
    lost = [y for y in years if y not in set(rows[YEAR])]
    keys = [k for k in (YEAR, SEX, AGE) if k in rows]
    double = rows.duplicated(keys)
    if lost:
        log.add(
            same[0].name, "PERIOD_GAP", f"{kind} of {listed(lost)} are absent",
            "Add the year; an account cannot be carried over a gap.", column="year",
            total=len(lost),
        )  # fmt: skip
    elif double.any():
        cell = rows[keys][double].iloc[0]
        log.add(
            same[0].name, "DUPLICATE_KEY",
            f"{kind} of {' '.join(map(str, cell))} are given more than once, in different tables "
            "or on different bases", "Keep one row for each.", column=kind,
            total=int(double.sum()),
        )  # fmt: skip
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
