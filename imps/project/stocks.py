"""Base, census, rolled-forward estimates, registers and other stocks as sources of the account."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from imps.names import AGE, SEX, SEXES, YEAR
from imps.project.arrays import complete, counted, labelled, single_ages
from imps.project.choice import ChosenStocks, PublishedStock, published_stocks
from imps.project.sections import Account
from imps.reading.findings import Collector
from imps.reading.table import Table, of_kinds
from imps.sources.administrative import Register
from imps.sources.stocks import BY_AGE, BY_SEX_AND_AGE, REGISTER, TOTAL, RolledForward, Stock

COMPUTED = "base plus births, deaths and the flows of the tables; no roll-forward was given"
BETWEEN = "between published years the components of the tables, and evenly what they lack"
ROUNDED_SDS = 3.0
"""Standard deviations of the rounding of cells that a change of the roll-forward may depart."""


def stock_of(published: PublishedStock, name: str, account: Account) -> Stock:
    """A base or census as a source of the account."""
    carried = name == "base" and not published.at_mid_year
    quality = account.base_quality if name == "base" else account.census_quality
    return Stock(
        published.count,
        published.observed,
        published.year_end.on(published.year) if carried else published.date,
        0.0 if quality == REGISTER else _relative_error(name, account),
        published.vintage,
        published.table.references(published.rows),
        name,
        counted(published.table, account),
        quality,
        None if published.detail.single or not published.cells else published.detail.lower_ages,
        published.date if carried else None,
    )


SMALLEST_ERROR: Final = 5e-5
"""Relative error of a total below which no census is known: 8e-4 in England and Wales in 2011."""

REGISTERS: Final = re.compile(r"regist|admin", re.IGNORECASE)
CENSUSES: Final = re.compile(r"census", re.IGNORECASE)


def check_stated_errors(stocks: Mapping[str, str], account: Account, log: Collector) -> None:
    """Name a census that is declared as exact as no census is, or is declared a register.

    Parameters
    ----------
    stocks : mapping of role, "base" or "census", to vintage
    """
    for role, vintage in stocks.items():
        own = getattr(account, f"{role}_standard_error") or 0.0
        if 0 < own < SMALLEST_ERROR:
            log.add("ERROR_TINY", file="the account", column=f"{role}_standard_error",
                    texts=[own], error=own)  # fmt: skip
        register = getattr(account, f"{role}_quality") == REGISTER
        if register and CENSUSES.search(vintage) and not REGISTERS.search(vintage):
            log.add("ERROR_TINY.register", file="the account", column=f"{role}_quality",
                    texts=[vintage], vintage=vintage)  # fmt: skip


def _relative_error(name: str, account: Account) -> float:
    own = account.base_standard_error if name == "base" else None
    return account.census_standard_error if own is None else own


def rolled_forward(chosen: ChosenStocks, account: Account, change: xr.DataArray) -> RolledForward:
    """Official totals as published, or reached from the tables if none were given.

    Parameters
    ----------
    change : DataArray (year), persons per mid-year interval
        Births minus deaths plus the net flows of the tables.
    """
    base = chosen.base.persons
    first = int(change[YEAR][0]) - 1
    years = [first, *(int(y) for y in change[YEAR].values)]
    if not chosen.rolled:
        total = np.concatenate([[base], base + np.cumsum(change.values)])
        return RolledForward(
            xr.DataArray(total, dims=YEAR, coords={YEAR: years}),
            by_rule=tuple(years[1:]),
            rule=COMPUTED,
            vintage="computed",
            reference=COMPUTED,
        )
    last = chosen.rolled[-1]
    n_ages = chosen.open_age + 1
    detailed = [s for s in chosen.rolled
                if s.observed == BY_SEX_AND_AGE and s.detail.fixes_cells(n_ages)]  # fmt: skip
    published = [s for s in (chosen.base, *chosen.rolled) if not s.by_rule]
    known = {first: base} | {s.year: s.persons for s in chosen.rolled}
    between = [y for y in years if y not in known]
    ruled = [*between, *(s.year for s in chosen.rolled if s.by_rule)]
    rules = [account.rolled_forward_rule, BETWEEN if between else ""]
    return RolledForward(
        _with_years_between(known, change),
        by_rule=tuple(sorted(ruled)),
        rule="; ".join(filter(None, rules)),
        vintage=last.vintage,
        reference=_cited(published),
        by_sex=_sexes(last),
        by_sex_and_age=_over_years(detailed) if detailed else None,
        counted=counted(last.table, account),
    )


def _with_years_between(known: Mapping[int, float], change: xr.DataArray) -> xr.DataArray:
    """Totals of all years: between published ones by the change of the tables.

    What that lacks at the next published year is spread evenly over the years between.
    """
    ends, total = sorted(known), dict(known)
    for start, end in pairwise(ends):
        own = np.cumsum(change.sel({YEAR: slice(start + 1, end)}).values)
        lacks = known[end] - known[start] - own[-1]
        for i, year in enumerate(range(start + 1, end)):
            total[year] = known[start] + own[i] + lacks * (i + 1) / (end - start)
    years = list(range(ends[0], ends[-1] + 1))
    return xr.DataArray([total[y] for y in years], dims=YEAR, coords={YEAR: years})


def unexplained(
    chosen: ChosenStocks, change: xr.DataArray, put_in: xr.DataArray
) -> dict[tuple[int, int], float]:
    """Change of the published roll-forward beyond that of the tables, by first and last year.

    Rounding of its cells is left out, and people whom `put_in` (year) may hold wrongly.
    """
    published = [s for s in chosen.rolled if not s.by_rule]
    ends, found = [(int(change[YEAR][0]) - 1, chosen.base.persons)], {}
    for stock in published:
        start, before = ends[-1]
        years = {YEAR: slice(start + 1, stock.year)}
        apart = stock.persons - before - float(change.sel(years).sum())
        unit = stock.table.options.rounding or 1.0
        slack = 1 + unit * ROUNDED_SDS * (len(stock.rows) / 12) ** 0.5
        if abs(apart) > slack + 2 * float(put_in.sel(years).sum()):
            found[start + 1, stock.year] = apart
        ends.append((stock.year, stock.persons))
    return found


def _sexes(stock: PublishedStock) -> xr.DataArray | None:
    """Totals of the sexes, as published or as the cells add up."""
    if stock.by_sex is not None or stock.observed in (TOTAL, BY_AGE):
        return stock.by_sex
    return stock.count.sum(AGE)


def _cited(stocks: Sequence[PublishedStock]) -> str:
    """References of several stocks, each once."""
    keys = {key for s in stocks for key in s.table.references(s.rows).split(", ")}
    return ", ".join(sorted(keys))


def _over_years(stocks: Sequence[PublishedStock]) -> xr.DataArray:
    years = xr.DataArray([s.date.year for s in stocks], dims=YEAR, name=YEAR)
    return xr.concat([s.count for s in stocks], dim=years).transpose(YEAR, SEX, AGE)


def starts_of_years(chosen: ChosenStocks, first: int, last: int) -> xr.DataArray:
    """Population at the start of each interval, (year, sex, age): a schedule only.

    That of the schedule where there is one; else as rolled forward where that is known
    by age; on the straight line from base to census otherwise.
    """
    by_age = {
        s.date.year: s.count
        for s in chosen.rolled
        if s.cells and s.observed != TOTAL and s.count.sizes[AGE] == chosen.open_age + 1
    }
    by_age |= {first: chosen.base.count} | {y: s.count for y, s in chosen.schedule.items()}
    base, census = chosen.base.count, chosen.census.count
    line = {y: base + (census - base) * ((y - first) / (last - first)) for y in range(first, last)}
    stocks = [by_age[y] if y in by_age else line[y] for y in range(first, last)]
    years = xr.DataArray(list(range(first, last)), dims=YEAR, name=YEAR)
    return xr.concat(stocks, dim=years).transpose(YEAR, SEX, AGE)


def check_all_used(
    tables: Sequence[Table], chosen: ChosenStocks, account: Account, log: Collector
) -> None:
    """Tell populations within the account that are neither base, roll-forward nor census."""
    series = {account.schedule_vintage, *(stock.vintage for stock in chosen.rolled)}
    for stock in published_stocks(of_kinds(tables, "population")):
        within = account.first_mid_year < stock.year < account.last_mid_year
        if within and stock.vintage not in series:
            log.add("STOCK_UNUSED", file=stock.table.name, column="year", texts=[stock.date],
                    total=len(stock.rows), vintage=stock.vintage)  # fmt: skip


def registers(
    tables: Sequence[Table],
    coverage: Mapping[str, Mapping[str, Any]],
    open_age: int,
    account: Account,
    log: Collector,
) -> tuple[Register, ...]:
    """One register for each source and year of the tables of stocks.

    Parameters
    ----------
    coverage : mapping of table name to prior
        As in the settings: distribution, mean and sd, or lower and upper.
    open_age : int
        Start of the open group of the population; registers end there as well.
    """
    found = []
    for table in of_kinds(tables, "stocks"):
        prior = coverage.get(table.name)
        if not prior:
            log.add("COVERAGE_NEEDED", file=table.name, column=table.value)
            continue
        if table.open_age != open_age:
            log.add(
                "OPEN_AGE_CHANGES.tables",
                file=table.name,
                column="age",
                here=table.open_age,
                other="the population",
                there=open_age,
                low=min(table.open_age or open_age, open_age),
            )
            continue
        years = table.frame.groupby("source")[YEAR].nunique()
        for (source, date), rows in table.frame.groupby(["source", "date"], sort=True):
            name = str(source) if years[source] == 1 else f"{source} {str(date)[:4]}"
            register = _register(name, str(date), rows, table, prior, account, log)
            found += [register] if register else []
    return tuple(found)


def _register(
    name: str,
    date: str,
    rows: pd.DataFrame,
    table: Table,
    prior: Mapping[str, Any],
    account: Account,
    log: Collector,
) -> Register | None:
    day = dt.date.fromisoformat(date)
    if not account.year_end.ends(day):
        log.add(
            "STOCK_DATE.register", file=table.name, column="year", texts=[day], name=name, date=day
        )
        return None
    if not (single_ages(rows, table, log) and complete(rows, table.value, table, log)):
        return None
    ages = sorted(rows[AGE].unique())
    cells = {SEX: SEXES, AGE: ages}
    count = labelled(rows, table.value, cells)
    error = count.clip(min=1.0) ** 0.5
    if "standard_error" in rows and rows["standard_error"].notna().all():
        error = labelled(rows, "standard_error", cells)
    else:
        log.add(
            "SE_DERIVED.register", file=table.name, column=table.value, total=len(rows), name=name
        )
    mean, sd, by_age = coverage_shares(prior)
    if prior["distribution"] == "uniform":
        log.add("PRIOR_AS_NORMAL", file=table.name, column="coverage", name=name)
    return Register(
        name=name, year=day.year, count=count, standard_error=error, coverage_mean=mean,
        coverage_sd=sd, coverage_age_sd=by_age, vintage=table.metadata.get("vintage", ""),
        reference=table.references(rows), counted=counted(table, account),
    )  # fmt: skip


def coverage_shares(prior: Mapping[str, Any]) -> tuple[float, float, float]:
    """Mean, sd and sd over age of the overcount as shares of the registered count.

    A coverage c (persons counted per resident) is an overcount 1 - 1/c of the count; its
    standard deviation is sd / c squared, to first order. Without `age_sd` the coverage
    may vary as much over age as in level.
    """
    if prior["distribution"] == "uniform":
        mean = (prior["lower"] + prior["upper"]) / 2
        sd = (prior["upper"] - prior["lower"]) / np.sqrt(12)
    else:
        mean, sd = prior["mean"], prior["sd"]
    by_age = prior.get("age_sd", sd)
    return 1 - 1 / mean, float(sd) / mean**2, float(by_age) / mean**2
