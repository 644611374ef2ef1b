"""Which population is the base, which the census, and which was rolled forward.

It follows from date and vintage. Where more than one could be meant, it is asked for and
never chosen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd
import xarray as xr

from imps.demography.periods import YearEnd, share_after
from imps.names import AGE, SEX, SEXES
from imps.project.arrays import complete, detail_of, differing, labelled, laid_out
from imps.project.sections import Account
from imps.reading.findings import Collector, listed
from imps.reading.table import Table, of_kinds
from imps.sources.definitions import Detail
from imps.sources.stocks import BY_AGE, BY_SEX, BY_SEX_AND_AGE, NOT_TAKEN, PLANNED, TOTAL

HALF_A_YEAR = dt.timedelta(days=184)
"""Time after the end of the account at which its census may be taken."""
BY_RULE = "by rule"
"""Flag of a mid-year that was not published and is reached by the rule of the settings."""


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
    total : float or None
        Total as published; None where the cells alone were.
    by_sex : DataArray (sex) or None
        Totals of the sexes, where they were published apart.
    cells : bool
        Whether `rows` are sexes and ages; else all that was published are totals.
    schedule : DataArray (sex, age) or None
        Sexes and ages over which totals are laid, and groups within their sums.
    moved : float
        Persons by which a base within the year is carried to the end of its year.
    """

    vintage: str
    date: dt.date
    table: Table
    rows: pd.DataFrame
    total: float | None = None
    by_sex: xr.DataArray | None = None
    cells: bool = True
    schedule: xr.DataArray | None = None
    moved: float = 0.0

    @property
    def year_end(self) -> YearEnd:
        """The day at which stocks of its table stand."""
        ends = self.table.options.year_ends or "06-30"
        return YearEnd.of("12-31" if ends == "01-01" else ends)

    @property
    def at_mid_year(self) -> bool:
        """Whether it stands at 30 June, or the day that was declared in its place."""
        return self.year_end.ends(self.date)

    @property
    def year(self) -> int:
        """Account year that its date lies in."""
        return self.year_end.year_of(self.date)

    @property
    def observed(self) -> str:
        """Detail in which it was published."""
        if not self.cells:
            return TOTAL if self.by_sex is None else BY_SEX
        if self.table.options.observed:
            return self.table.options.observed
        if len(self.detail.lower_ages) == 1:
            return BY_SEX if self.detail.by_sex else TOTAL
        return BY_SEX_AND_AGE if self.detail.by_sex else BY_AGE

    @cached_property
    def detail(self) -> Detail:
        """Sexes and age groups of its cells; all in one where there are none."""
        if not self.cells:
            return Detail(self.by_sex is not None, (0,))
        return Detail("persons" not in set(self.rows[SEX]), tuple(sorted(set(self.rows[AGE]))))

    @cached_property
    def count(self) -> xr.DataArray:
        """Persons by sex and single age: as published, else laid out within what was."""
        laid = self._laid_out()
        return laid * (1 + self.moved / float(laid.sum())) if self.moved else laid

    def _laid_out(self) -> xr.DataArray:
        if self.cells:
            sexes = SEXES if self.detail.by_sex else ("persons",)
            cells = {SEX: sexes, AGE: self.detail.lower_ages}
            return laid_out(labelled(self.rows, self.table.value, cells), self.schedule)
        assert self.schedule is not None  # or the stock was refused
        if self.by_sex is None:
            return self.schedule * ((self.persons - self.moved) / self.schedule.sum())
        return (self.schedule * (self.by_sex / self.schedule.sum(AGE))).transpose(SEX, AGE)

    @property
    def persons(self) -> float:
        """Persons of all ages and both sexes, as published if they were."""
        if self.total is not None:
            return self.total + self.moved
        return float(self.rows[self.table.value].sum()) + self.moved

    @property
    def by_rule(self) -> bool:
        """Whether it was not published and is reached by a rule."""
        flags = self.rows.get(f"{self.table.value}_flag", pd.Series(dtype=object))
        return bool((flags == BY_RULE).any())

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
    schedule : mapping of year to PublishedStock
        Populations that are no data: they give ages, and divide deaths between cohorts.
    """

    base: PublishedStock
    census: PublishedStock
    rolled: tuple[PublishedStock, ...]
    schedule: Mapping[int, PublishedStock]

    def with_base_at_year_end(self, change: xr.DataArray, log: Collector) -> ChosenStocks:
        """The same with a base of another day carried to the end of its year.

        By the share of a year that lies between, of the change (year) of the first interval;
        it is spread over ages as the base is.
        """
        base = self.base
        if base.at_mid_year:
            return self
        share = share_after(base.date, base.year_end.interval(base.year))
        moved = share * float(change[0])
        log.add("BASE_MOVED", file=base.table.name, column="year", date=base.date, persons=moved,
                ends=base.year_end.said(base.year), share=share)  # fmt: skip
        return replace(self, base=replace(base, moved=moved))

    @property
    def open_age(self) -> int:
        """Start of the open age group of the base."""
        return int(self.base.count[AGE].values[-1])


def choose_stocks(tables: Sequence[Table], account: Account, log: Collector) -> ChosenStocks | None:
    """Find base, census and roll-forward among the populations, or ask which is meant."""
    if not account.first_mid_year or not account.last_mid_year:
        log.add("SETTING_MISSING.years", file="the account", column="first_mid_year")
        return None
    stocks, schedule = _with_schedule(_with_totals(tables, log), account, log)
    first, last = account.first_mid_year, account.last_mid_year
    in_first = [s for s in stocks if s.year == first]
    at_first = [s for s in in_first if s.at_mid_year] or in_first
    base = _one("the base", "base_vintage", at_first, account.base_vintage, log)
    at_last = [s for s in stocks if last in (s.year, s.date.year)]
    if account.census_quality == PLANNED:
        if account.census_vintage:
            log.add("SETTING_RANGE.planned", file="the account", column="census_vintage",
                    texts=[account.census_vintage])  # fmt: skip
        census = None if base is None else _not_taken(base, last)
    else:
        census = _census(at_last, account, log)
    if base is None or census is None:
        return None
    base, census = _sexes_of(base, census), _sexes_of(census, base)
    left = [
        s
        for s in at_last
        if s.rows is not census.rows and s.at_mid_year and s.rows is not base.rows
    ]
    rolled = _rolled(stocks, left, base, account, log)
    if rolled is None:
        return None
    chosen = ChosenStocks(base, census, rolled, schedule)
    return chosen if _same_cells(chosen, log) else None


def _not_taken(base: PublishedStock, last: int) -> PublishedStock:
    """A census that is planned: until the account is joined it has the cells of the base."""
    return replace(base, vintage=NOT_TAKEN, date=base.year_end.on(last), moved=0.0)


def _sexes_of(stock: PublishedStock, other: PublishedStock) -> PublishedStock:
    """A stock of persons with the shares that the sexes have at each age of the other one."""
    known = other.cells and other.detail.by_sex and stock.cells and not stock.detail.by_sex
    if not known or stock.schedule is not None or not _ends_alike(stock, other):
        return stock
    share = other.count / other.count.sum(SEX)
    return replace(stock, schedule=stock.count.sum(SEX) * share.fillna(0.5).transpose(SEX, AGE))


def _ends_alike(stock: PublishedStock, other: PublishedStock) -> bool:
    """Whether both have the same open age."""
    return stock.detail.lower_ages[-1] == other.detail.lower_ages[-1]


def published_stocks(tables: Iterable[Table]) -> list[PublishedStock]:
    """Each vintage and date of tables of population, whether cells or totals."""
    found = []
    for table in tables:
        frame = table.frame
        stated = str(table.metadata.get("vintage", ""))
        vintage = frame["vintage"] if "vintage" in frame else pd.Series("", index=frame.index)
        vintage = vintage.where(vintage != "", stated or table.cited)
        for (name, date), rows in frame.groupby([vintage, "date"], sort=True):
            day = dt.date.fromisoformat(str(date))
            stock = PublishedStock(str(name), day, table, rows, cells=AGE in frame)
            whole = stock.cells and set(rows[AGE]) == {0}
            found.append(replace(stock, cells=False, **_totals_of(rows)) if whole else stock)
    return found


def _with_totals(tables: Sequence[Table], log: Collector) -> list[PublishedStock]:
    """Populations with the totals that were published of the same vintage and date."""
    stocks = published_stocks(of_kinds(tables, "population"))
    for given in published_stocks(of_kinds(tables, "population_totals")):
        if not complete(given.rows, given.table.value, given.table, log):
            continue
        same = [s for s in stocks if (s.vintage, s.date) == (given.vintage, given.date)]
        part = _totals_of(given.rows)
        again = [s for s in same if any(getattr(s, name) is not None for name in part)]
        if again:
            log.add("DUPLICATE_KEY.total", file=given.table.name, column="population", what=given)
        for stock in same or [given]:
            joined = replace(stock, **part)
            if stock is given and joined.total is None:
                joined = replace(joined, total=float(part["by_sex"].sum()))
            stocks = [joined if s is stock else s for s in stocks] if same else [*stocks, joined]
            if joined.cells:
                _agrees(joined, given, log)
    return stocks


def _totals_of(rows: pd.DataFrame) -> dict[str, Any]:
    """Total of all ages, or those of the sexes, that the rows of one stock hold."""
    figures = rows.set_index("sex")["population"] if SEX in rows else None
    if figures is None or "persons" in figures:
        return {"total": float(rows["population"].sum())}
    counts = figures.reindex(list(SEXES)).to_numpy(float)
    return {"by_sex": xr.DataArray(counts, dims=SEX, coords={SEX: list(SEXES)})}


def _agrees(stock: PublishedStock, given: PublishedStock, log: Collector) -> None:
    """Ages and sexes add to the totals that were published beside them."""
    cells = stock.count.sum(AGE)
    published = given.rows["population"].sum()
    slack = given.table.options.rounding_error * len(given.rows) + 0.5
    if abs(float(cells.sum()) - published) > slack:
        log.add(
            "TOTAL_MISMATCH.stock",
            file=given.table.name,
            column="population",
            stock=stock,
            sum=float(cells.sum()),
            published=published,
        )


def _with_schedule(
    stocks: list[PublishedStock], account: Account, log: Collector
) -> tuple[list[PublishedStock], dict[int, PublishedStock]]:
    """Populations that are data, with ages for their totals; and those that are a schedule."""
    wanted = account.schedule_vintage
    schedule = {s.date.year: s for s in stocks if wanted and s.vintage == wanted and s.cells}
    if wanted and not schedule:
        log.add(
            "VINTAGE_NEEDED.unknown",
            file="the account",
            column="vintage",
            texts=[wanted],
            role="the schedule of ages",
            vintages={s.vintage for s in stocks if s.cells},
            key="schedule_vintage",
        )
    shapes = {year: stock.count for year, stock in schedule.items()}
    data = [s for s in stocks if not wanted or s.vintage != wanted]
    return [replace(s, schedule=shapes.get(s.date.year)) for s in data], schedule


def _one(
    role: str, key: str, candidates: list[PublishedStock], wanted: str, log: Collector
) -> PublishedStock | None:
    """The one population that can be meant; several are asked about, none is refused."""
    named = [s for s in candidates if s.vintage == wanted] if wanted else candidates
    if len(named) == 1:
        return named[0]
    file = candidates[0].table.name if candidates else "the account"
    vintages = listed(sorted({s.vintage for s in candidates}))
    if wanted and not named:
        log.add("VINTAGE_NEEDED.unknown", file=file, column="vintage", texts=[wanted], role=role,
                vintages=vintages, key=key)  # fmt: skip
    elif len(named) > 1 and len({s.vintage for s in named}) == 1:
        log.add(
            "DUPLICATE_KEY.stocks",
            file=file,
            column="vintage",
            role=role,
            times=len(named),
            stocks=named,
            differ=differing(named[0].rows, named[1].rows, named[0].table.value),
        )
    elif len(named) > 1:
        log.add(
            "VINTAGE_NEEDED.several",
            file=file,
            column="vintage",
            texts=[s.vintage for s in named],
            role=role,
            vintages=vintages,
            key=key,
            first=named[0].vintage,
            differ=differing(named[0].rows, named[1].rows, named[0].table.value),
        )
    else:
        what = "census" if key == "census_vintage" else "role"
        log.add(f"PERIOD_GAP.{what}", file=file, column="year", role=role)
    return None


def _census(
    at_last: list[PublishedStock], account: Account, log: Collector
) -> PublishedStock | None:
    candidates = at_last
    if account.rolled_forward_vintage:
        candidates = [s for s in at_last if s.vintage != account.rolled_forward_vintage]
    on_census_day = [s for s in candidates if not s.at_mid_year]
    if len(on_census_day) == 1 and not account.census_vintage:
        candidates = on_census_day
    census = _one("the census", "census_vintage", candidates, account.census_vintage, log)
    last = None if census is None else census.year_end.on(account.last_mid_year)
    if census is not None and last is not None and census.date > last + HALF_A_YEAR:
        log.add("STOCK_DATE.census", file=census.table.name, column="year", texts=[census.date],
                date=census.date, ends=last)  # fmt: skip
        return None
    return census


def _rolled(
    stocks: list[PublishedStock],
    left: list[PublishedStock],
    base: PublishedStock,
    account: Account,
    log: Collector,
) -> tuple[PublishedStock, ...] | None:
    """The rolled-forward mid-years after the base; none if no roll-forward was given."""
    wanted = account.rolled_forward_vintage
    if not left and not wanted:
        return ()
    held = [s for s in stocks if s.vintage == wanted]
    short = held and not left and max(s.year for s in held) < account.last_mid_year
    end = held[0] if short else _one("the roll-forward", "rolled_forward_vintage", left, wanted,
                                     log)  # fmt: skip
    if end is None:
        return None
    years = range(account.first_mid_year + 1, account.last_mid_year + 1)
    same = [s for s in stocks if s.vintage == end.vintage and s.at_mid_year]
    by_year = {s.year: s for s in same}
    if any(s.by_rule for s in same) and not account.rolled_forward_rule:
        log.add(
            "SETTING_MISSING.rule",
            file=end.table.name,
            column="rolled_forward_rule",
            vintage=end.vintage,
            flag=BY_RULE,
        )
    if years[-1] not in by_year:
        log.add("PERIOD_GAP.rolled", file=end.table.name, column="year", vintage=end.vintage,
                when=account.year_end.said(years[-1]))  # fmt: skip
        return None
    start = by_year.get(account.first_mid_year)
    apart = 0.0 if start is None else start.persons - base.persons
    slack = base.table.options.rounding_error + 0.5
    if abs(apart) > slack:
        log.add(
            "BASE_YEAR_MISMATCH.rolled",
            file=end.table.name,
            column=end.table.value,
            vintage=end.vintage,
            difference=apart,
            base=base,
        )
        return None
    return tuple(by_year[y] for y in years if y in by_year)


def _same_cells(chosen: ChosenStocks, log: Collector) -> bool:
    """Ages to the same open group, and no missing cell."""
    totals = [s for s in (chosen.base, chosen.census) if not s.cells and s.schedule is None]
    for stock in totals:
        log.add(
            "SINGLE_AGES_NEEDED.total",
            file=stock.table.name,
            column="age",
            stock=stock,
            year=stock.date.year,
        )
    if totals:
        return False
    for stock in (chosen.base, chosen.census, *chosen.rolled, *chosen.schedule.values()):
        if not stock.cells:
            continue
        if detail_of(stock.rows, stock.table, log) is None:
            return False
        if not complete(stock.rows, stock.table.value, stock.table, log):
            return False
        carried = any(stock is s for s in chosen.rolled)
        if carried and not stock.detail.fixes_cells(stock.detail.lower_ages[-1] + 1):
            continue  # its totals, and those of its sexes, are what is used
        if stock.rows[AGE].max() != chosen.open_age:
            log.add(
                "OPEN_AGE_CHANGES.tables",
                file=stock.table.name,
                column="age",
                here=stock.rows[AGE].max(),
                other="the base",
                there=chosen.open_age,
                low=int(min(stock.rows[AGE].max(), chosen.open_age)),
            )
            return False
    return True
