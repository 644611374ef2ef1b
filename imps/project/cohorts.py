"""Stocks in order of time, and what deaths leave of each cohort between two of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from imps.demography.accounting import carry
from imps.names import SEXES
from imps.project.sections import Account
from imps.reading.options import AT_DEATH, CALENDAR_YEAR
from imps.reading.plausibility import Cells, beside, cells_of, growth
from imps.reading.table import Table, of_kinds

OLDER: Final = 40
"""Age from which few migrate, so that cohorts are known by their deaths."""

EXCESS: Final = 0.2
"""Share of its deaths by which a cohort may lack people before it is doubted: migrants die too."""


WIDEST: Final = 5
"""Years of the widest age groups that are divided evenly, where only sums of ages are compared."""


def in_single_ages(cells: Cells) -> Cells | None:
    """The series by single age: as it is, or narrow age groups divided evenly; else None."""
    if cells.single_ages:
        return cells
    starts = [age.partition("-")[0].removesuffix("+") for age in cells.ages]
    if not (cells.ages[-1].endswith("+") and all(s.isdigit() for s in starts)):
        return None
    first = np.array(starts, int)
    width = np.append(np.diff(first), 1)
    narrow = width.min() >= 1 and width.max() <= WIDEST
    if first[0] or len(first) < OLDER // WIDEST or not narrow:
        return None
    ages = (*(str(a) for a in range(first[-1])), cells.ages[-1])
    return replace(cells, ages=ages, values=np.repeat(cells.values / width, width, axis=2))


@dataclass(frozen=True)
class StockCells:
    """One population by sex and single age.

    Attributes
    ----------
    cells : Cells
        The series that it stands in.
    at : int
        Its place among the years of the series.
    """

    cells: Cells
    at: int

    @cached_property
    def year(self) -> int:
        """Year of the date."""
        return int(self.cells.years[self.at])

    @property
    def values(self) -> np.ndarray:
        """Persons (sex, age)."""
        return np.asarray(self.cells.values[self.at])


def stocks_in_order(tables: Sequence[Table], *, divided: bool = False) -> list[StockCells]:
    """Populations of both sexes and single ages by year; of one year, by vintage.

    With `divided`, age groups too (:func:`in_single_ages`).
    """
    laid_out = [
        in_single_ages(cells) if divided else cells
        for table in of_kinds(tables, "population")
        for cells in cells_of(table)
    ]
    found = [
        StockCells(cells, t)
        for cells in laid_out
        if cells is not None and cells.sexes == SEXES and cells.single_ages
        for t in range(len(cells.years))
    ]
    return sorted(found, key=lambda s: (s.year, s.cells.series))


def neighbours(stocks: Sequence[StockCells], stock: StockCells) -> list[StockCells | None]:
    """The stocks before and after one, of its own vintage if there is one, else of another."""
    years = [s.year for s in stocks]
    before = stocks[: bisect_left(years, stock.year)][::-1]
    after = stocks[bisect_right(years, stock.year) :]
    return [_nearest(side, stock) for side in (before, after)]


def _nearest(side: Sequence[StockCells], stock: StockCells) -> StockCells | None:
    """The first of the same ages, and among those of its year one of the same vintage."""
    first = next((s for s in side if s.cells.ages == stock.cells.ages), None)
    if first is None:
        return None
    for other in side:
        if abs(other.year - stock.year) > abs(first.year - stock.year):
            break
        if other.cells.ages == stock.cells.ages and other.cells.series == stock.cells.series:
            return other
    return first


@dataclass(frozen=True)
class Events:
    """Births (sex) and deaths by age reached (sex, age) of each year to mid-year."""

    births: dict[int, np.ndarray]
    deaths: dict[int, np.ndarray]

    def survivors(
        self, stock: StockCells, year: int, people: np.ndarray | None = None
    ) -> np.ndarray | None:
        """What registered deaths leave of a stock, with births, by a later mid-year (sex, age).

        Of other people at its date if they are given. Migration is left out. None where a year
        of events is not given.
        """
        people = stock.values if people is None else people
        for y in range(stock.year + 1, year + 1):
            if y not in self.births or y not in self.deaths or self.deaths[y].shape != people.shape:
                return None
            people = carry(people, 1)
            people[:, 0] = self.births[y]
            people = people - self.deaths[y]
        return np.asarray(people)


def events_of(tables: Sequence[Table], _: Account, *, divided: bool = False) -> Events:
    """Registered events of the tables, brought to mid-years and ages reached by halves.

    With `divided`, deaths by age group too (:func:`in_single_ages`).
    """
    births: dict[int, np.ndarray] = {}
    deaths: dict[int, np.ndarray] = {}
    for kind, target in (("births", births), ("deaths", deaths)):
        for table in of_kinds(tables, kind):
            for cells in cells_of(table):
                if cells.sexes == SEXES:
                    target.update(_by_mid_year((divided and in_single_ages(cells)) or cells))
    return Events({y: b[:, 0] for y, b in births.items()}, deaths)


def _by_mid_year(cells: Cells) -> dict[int, np.ndarray]:
    by_year = dict(zip((int(y) for y in cells.years), cells.values, strict=True))
    if cells.table.metadata.get("period") == CALENDAR_YEAR:
        by_year = {
            y: (by_year[y - 1] + v) / 2 for y, v in by_year.items() if y - 1 in by_year
        }  # fmt: skip
    if cells.table.options.age_counted == AT_DEATH:
        by_year = {y: _age_reached(v) for y, v in by_year.items()}
    return by_year


def _age_reached(deaths: np.ndarray) -> np.ndarray:
    """Deaths at last birthday moved to the age reached at the end of the year: half a year up."""
    moved = deaths / 2
    moved[:, 1:] += deaths[:, :-1] / 2
    moved[:, -1] += deaths[:, -1] / 2
    moved[:, 0] += 0.38 * deaths[:, 0]  # most infants die in the year of their birth
    moved[:, 1] -= 0.38 * deaths[:, 0]
    return np.asarray(moved)


def stocks_and_events(
    tables: Sequence[Table], account: Account
) -> tuple[list[StockCells], Events, bool]:
    """Stocks with the events between them, and whether both are by single age as published.

    Where no stock is, age groups divided evenly stand in.
    """
    found = stocks_in_order(tables)
    exact = bool(found)
    stocks = found or stocks_in_order(tables, divided=True)
    return stocks, events_of(tables, account, divided=not exact), exact


def predictions(
    stocks: Sequence[StockCells], events: Events
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Persons (stock, sex, age), and what is said of them by age, other sex and cohort."""
    values = np.stack([s.values for s in stocks])
    by_age = beside(values, 2, ends=False)
    by_age[..., -2:] = np.nan  # the open group is no neighbour
    other = values[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = values / other
        by_sex = other * beside(ratio, 2, ends=False)
    by_sex[..., -2:] = np.nan
    ahead, behind = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    for k, stock in enumerate(stocks):
        before, after = neighbours(stocks, stock)
        if before is not None:
            left = events.survivors(before, stock.year)
            if left is not None:
                ahead[k] = np.where(left > 0, left * growth(values[k], left), np.nan)
        if after is not None:
            behind[k] = _from_later(stock, after, events)
    return values, [by_age, by_sex, ahead, behind]


def _from_later(stock: StockCells, after: StockCells, events: Events) -> np.ndarray:
    """People of a stock as a later one has them: its cohorts, and the deaths between."""
    out = np.full(stock.values.shape, np.nan)
    left = events.survivors(stock, after.year)
    n = after.year - stock.year
    if left is None or n >= out.shape[1] - 1:
        return out
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = after.values / growth(after.values, np.where(left > 0, left, np.nan))
    dead = stock.values[:, : -n - 1] - left[:, n:-1]
    out[:, : -n - 1] = moved[:, n:-1] + dead
    return out
