"""Base, census, rolled-forward estimates and registers from checked tables.

Which population is which follows from its date and vintage. Where more than
one could be meant, it is asked for and never chosen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from imps.names import AGE, SEX, SEXES, YEAR
from imps.project.arrays import labelled
from imps.project.between import Account
from imps.reading.findings import Findings, listed
from imps.reading.table import Table, of_kinds
from imps.sources.administrative import Register
from imps.sources.definitions import USUAL, Counted
from imps.sources.stocks import BY_SEX_AND_AGE, TOTAL, RolledForward, Stock

COMPUTED = "base plus births, deaths and the flows of the tables; no roll-forward was given"


@dataclass(frozen=True)
class PublishedStock:
    """A population of one vintage at one date, as it stands in its table.

    Attributes
    ----------
    vintage : str
        As stated, else the name of the table.
    date : date
    table : Table
    rows : DataFrame
        The rows of this vintage and date.
    """

    vintage: str
    date: dt.date
    table: Table
    rows: pd.DataFrame

    @property
    def at_mid_year(self) -> bool:
        """Whether it stands at 30 June."""
        return (self.date.month, self.date.day) == (6, 30)

    @property
    def observed(self) -> str:
        """Detail in which it was published."""
        return self.table.options.observed or BY_SEX_AND_AGE

    @property
    def count(self) -> xr.DataArray:
        """Persons by sex and age."""
        ages = sorted(self.rows[AGE].unique())
        return labelled(self.rows, self.table.value, {SEX: SEXES, AGE: ages})

    def __str__(self) -> str:
        return f"'{self.vintage}' of {self.date} in {self.table.name}"


@dataclass(frozen=True)
class ChosenStocks:
    """Which population is the base, which the census, and what was rolled forward.

    Attributes
    ----------
    base, census : PublishedStock
    rolled : tuple of PublishedStock
        Mid-years after the base, in order; empty if none was published.
    """

    base: PublishedStock
    census: PublishedStock
    rolled: tuple[PublishedStock, ...]


def choose_stocks(tables: Sequence[Table], account: Account, log: Findings) -> ChosenStocks | None:
    """Find base, census and roll-forward among the populations, or ask which is meant."""
    stocks = _published(of_kinds(tables, "population"))
    if not account.first_mid_year or not account.last_mid_year:
        log.add(
            "the account", "SETTING_MISSING", "the years of the account are not stated",
            "Set account.first_mid_year and account.last_mid_year.", column="first_mid_year",
        )  # fmt: skip
        return None
    first, last = account.first_mid_year, account.last_mid_year
    at_first = [s for s in stocks if s.date.year == first and s.at_mid_year]
    if not at_first and any(s.date.year == first for s in stocks):
        given = next(s for s in stocks if s.date.year == first)
        log.add(
            given.table.name, "STOCK_DATE",
            f"the population of {given.date} is no mid-year estimate, and the account starts at "
            f"30 June {first}", "Give the mid-year estimate of that year as the base.",
            column="year", texts=[given.date], outcome="REJECT",
        )  # fmt: skip
        return None
    base = _one("the base", "base_vintage", at_first, account.base_vintage, log)
    at_last = [s for s in stocks if s.date.year == last]
    census = _census(at_last, account, log)
    if base is None or census is None:
        return None
    left = [s for s in at_last if s is not census and s.at_mid_year and s is not base]
    rolled = _rolled(stocks, left, base, account, log)
    if rolled is None:
        return None
    chosen = ChosenStocks(base, census, rolled)
    return chosen if _same_cells(chosen, log) else None


def _published(tables: Iterable[Table]) -> list[PublishedStock]:
    found = []
    for table in tables:
        frame = table.frame
        stated = str(table.metadata.get("vintage", ""))
        vintage = frame["vintage"] if "vintage" in frame else pd.Series("", index=frame.index)
        vintage = vintage.where(vintage != "", stated or table.cited)
        for (name, date), rows in frame.groupby([vintage, "date"], sort=True):
            found.append(PublishedStock(str(name), dt.date.fromisoformat(str(date)), table, rows))
    return found


def _one(
    role: str, key: str, candidates: list[PublishedStock], wanted: str, log: Findings
) -> PublishedStock | None:
    """The one population that can be meant; several are asked about, none is refused."""
    named = [s for s in candidates if s.vintage == wanted] if wanted else candidates
    if len(named) == 1:
        return named[0]
    file = candidates[0].table.name if candidates else "the account"
    vintages = listed(sorted({s.vintage for s in candidates}))
    if wanted and not named:
        log.add(
            file, "VINTAGE_NEEDED", f"no population that could be {role} has this vintage; there "
            f"are {vintages or 'none'}", f"Set account.{key} to one of them.",
            column="vintage", texts=[wanted],
        )  # fmt: skip
    elif len(named) > 1 and len({s.vintage for s in named}) == 1:
        log.add(
            file, "DUPLICATE_KEY", f"{role} is given {len(named)} times: {listed(named)}",
            "Keep one of them.", column="vintage",
        )  # fmt: skip
    elif len(named) > 1:
        log.add(
            file, "VINTAGE_NEEDED", f"several populations could be {role}: {vintages}",
            f'Set account.{key} = "{named[0].vintage}" or another of them.',
            column="vintage", texts=[s.vintage for s in named],
        )  # fmt: skip
    else:
        log.add(
            file, "PERIOD_GAP", f"there is no population that could be {role}",
            "Add it, or correct the years of the account.", column="year",
        )  # fmt: skip
    return None


def _census(
    at_last: list[PublishedStock], account: Account, log: Findings
) -> PublishedStock | None:
    candidates = at_last
    if account.rolled_forward_vintage:
        candidates = [s for s in at_last if s.vintage != account.rolled_forward_vintage]
    on_census_day = [s for s in candidates if not s.at_mid_year]
    if len(on_census_day) == 1 and not account.census_vintage:
        candidates = on_census_day
    census = _one("the census", "census_vintage", candidates, account.census_vintage, log)
    if census is not None and census.date > dt.date(census.date.year, 6, 30):
        log.add(
            census.table.name, "STOCK_DATE",
            f"census day {census.date} lies after 30 June, where the account ends",
            "Roll the census back to the mid-year before, and give it that date.",
            column="year", texts=[census.date], outcome="REJECT",
        )  # fmt: skip
        return None
    return census


def _rolled(
    stocks: list[PublishedStock],
    left: list[PublishedStock],
    base: PublishedStock,
    account: Account,
    log: Findings,
) -> tuple[PublishedStock, ...] | None:
    """The rolled-forward mid-years after the base; none if no roll-forward was given."""
    wanted = account.rolled_forward_vintage
    if not left and not wanted:
        return ()
    end = _one("the roll-forward", "rolled_forward_vintage", left, wanted, log)
    if end is None:
        return None
    years = range(account.first_mid_year + 1, account.last_mid_year + 1)
    same = [s for s in stocks if s.vintage == end.vintage and s.at_mid_year]
    by_year = {s.date.year: s for s in same}
    lost = [y for y in years if y not in by_year]
    if lost:
        log.add(
            end.table.name, "PERIOD_GAP",
            f"the roll-forward '{end.vintage}' has no mid-years {listed(lost)}",
            "Add them, or leave the roll-forward out: it is then computed from the tables.",
            column="year", total=len(lost),
        )  # fmt: skip
        return None
    start = by_year.get(account.first_mid_year)
    apart = 0.0 if start is None else float(start.count.sum() - base.count.sum())
    slack = 0.5 * (base.table.options.rounding or 0.0) + 0.5
    if abs(apart) > slack:
        log.add(
            end.table.name, "BASE_YEAR_MISMATCH",
            f"the roll-forward '{end.vintage}' starts {apart:+,.0f} persons from the base "
            f"{base}", "Use a base and a roll-forward of one vintage, or declare rounding.",
            column=end.table.value,
        )  # fmt: skip
        return None
    return tuple(by_year[y] for y in years)


def _same_cells(chosen: ChosenStocks, log: Findings) -> bool:
    """Single years of age to the same open group, and no missing cell."""
    good = True
    for stock in (chosen.base, chosen.census, *chosen.rolled):
        good &= single_ages(stock.rows, stock.table, log)
        good &= complete(stock.rows, stock.table.value, stock.table, log)
        if not good:
            return False
        if stock.rows[AGE].max() != chosen.base.rows[AGE].max():
            top = int(min(stock.rows[AGE].max(), chosen.base.rows[AGE].max()))
            log.add(
                stock.table.name, "OPEN_AGE_CHANGES",
                f"the open age group of {stock} is {stock.rows[AGE].max()}+, that of the base "
                f"{chosen.base.rows[AGE].max()}+", f"Set open_age = {top} for both.", column="age",
            )  # fmt: skip
            return False
    return good


def single_ages(rows: pd.DataFrame, table: Table, log: Findings) -> bool:
    """Whether rows have single years of age from 0 to an open group; a finding if not."""
    labels, top = set(rows["age_group"]), int(rows[AGE].max())
    if labels == {*map(str, range(top)), f"{top}+"}:
        return True
    odd = sorted(labels - {*map(str, range(top)), f"{top}+"}) or [f"no age group {top}+"]
    log.add(
        table.name, "SINGLE_AGES_NEEDED",
        f"ages are {listed(odd[:5])}, expected single years 0, 1, 2 ... up to an open group: the "
        "account follows each cohort from year to year",
        "Give single years of age; only survey flows may be in age groups.",
        column="age", texts=odd[:1], total=len(odd),
    )  # fmt: skip
    return False


def complete(rows: pd.DataFrame, value: str, table: Table, log: Findings) -> bool:
    """Whether no figure is missing; a finding with the cells if one is."""
    missing = rows[rows[value].isna()]
    if missing.empty:
        return True
    keys = [k for k in ("source", "year", "flow", "sex", "age_group") if k in rows]
    cells = [" ".join(map(str, key)) for key in missing[keys].itertuples(index=False)]
    log.add(
        table.name, "CELLS_NEEDED",
        f"{len(cells)} of {len(rows)} figures are missing ({listed(cells[:5])}), and the account "
        "cannot do without them; a missing cell is not a zero",
        "Supply the figures, from another vintage or source if need be.",
        column=value, total=len(cells),
    )  # fmt: skip
    return False


def counted(table: Table, account: Account, measure: str = "") -> Counted:
    """What the figures of a table count."""
    return Counted(
        geography=table.metadata.get("geography", "") or account.geography,
        residents=table.options.residents or USUAL,
        measure=measure,
    )


def stock_of(published: PublishedStock, name: str, account: Account) -> Stock:
    """A base or census as a source of the account."""
    return Stock(
        published.count,
        published.observed,
        published.date,
        account.census_standard_error,
        published.vintage,
        published.table.cited,
        name,
        counted(published.table, account),
    )


def rolled_forward(chosen: ChosenStocks, account: Account, change: xr.DataArray) -> RolledForward:
    """Official totals as published, or reached from the tables if none were given.

    Parameters
    ----------
    change : DataArray (year), persons per mid-year interval
        Births minus deaths plus the net flows of the tables.
    """
    base = float(chosen.base.count.sum())
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
    counts = [s.count for s in chosen.rolled]
    totals = [base, *(float(c.sum()) for c in counts)]
    last = chosen.rolled[-1]
    detailed = [s for s in chosen.rolled if s.observed == BY_SEX_AND_AGE]
    return RolledForward(
        xr.DataArray(totals, dims=YEAR, coords={YEAR: years}),
        by_rule=(),
        rule="",
        vintage=last.vintage,
        reference=listed(list(dict.fromkeys(s.table.cited for s in chosen.rolled))),
        by_sex=None if last.observed == TOTAL else counts[-1].sum(AGE),
        by_sex_and_age=_over_years(detailed) if detailed else None,
        counted=counted(last.table, account),
    )


def _over_years(stocks: Sequence[PublishedStock]) -> xr.DataArray:
    years = xr.DataArray([s.date.year for s in stocks], dims=YEAR, name=YEAR)
    return xr.concat([s.count for s in stocks], dim=years).transpose(YEAR, SEX, AGE)


def starts_of_years(chosen: ChosenStocks, first: int, last: int) -> xr.DataArray:
    """Population at the start of each interval, (year, sex, age): a schedule only.

    As rolled forward where that is known by age; on the straight line from base
    to census otherwise.
    """
    by_age = {s.date.year: s.count for s in chosen.rolled if s.observed != TOTAL}
    base, census = chosen.base.count, chosen.census.count
    line = {y: base + (census - base) * ((y - first) / (last - first)) for y in range(first, last)}
    stocks = [by_age.get(y, line[y]) if y > first else base for y in range(first, last)]
    years = xr.DataArray(list(range(first, last)), dims=YEAR, name=YEAR)
    return xr.concat(stocks, dim=years).transpose(YEAR, SEX, AGE)


# Registers


def registers(
    tables: Sequence[Table],
    coverage: Mapping[str, Mapping[str, Any]],
    open_age: int,
    account: Account,
    log: Findings,
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
            log.add(
                table.name, "COVERAGE_NEEDED",
                "nothing says how many persons this stock counts for each resident",
                'Set coverage = { distribution = "normal", mean = 1.0, sd = 0.03 } to what is '
                "known of it.", column=table.value,
            )  # fmt: skip
            continue
        if table.open_age != open_age:
            log.add(
                table.name, "OPEN_AGE_CHANGES",
                f"the open age group is {table.open_age}+, that of the population {open_age}+",
                f"Set open_age = {min(table.open_age or open_age, open_age)} for both.",
                column="age",
            )  # fmt: skip
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
    log: Findings,
) -> Register | None:
    day = dt.date.fromisoformat(date)
    if (day.month, day.day) != (6, 30):
        log.add(
            table.name, "STOCK_DATE", f"the stock '{name}' is of {day}, and the account has "
            "mid-years only", "Give the stock at 30 June.", column="year", texts=[day],
            outcome="REJECT",
        )  # fmt: skip
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
            table.name, "SE_DERIVED", f"the cells of '{name}' have no standard error: the root of "
            "the count was taken, as of a Poisson count", column=table.value, total=len(rows),
        )  # fmt: skip
    mean, sd, by_age = coverage_shares(prior)
    if prior["distribution"] == "uniform":
        log.add(
            table.name, "PRIOR_AS_NORMAL", f"the uniform prior of the coverage of '{name}' enters "
            "the model as the normal with its mean and standard deviation", column="coverage",
        )  # fmt: skip
    return Register(
        name=name, year=day.year, count=count, standard_error=error, coverage_mean=mean,
        coverage_sd=sd, coverage_age_sd=by_age, vintage=table.metadata.get("vintage", ""),
        reference=table.cited, counted=counted(table, account),
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
