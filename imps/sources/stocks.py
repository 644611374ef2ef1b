"""Stocks: the base, the census, and the rolled-forward estimates as published."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import xarray as xr

from imps.demography.periods import spelt_out
from imps.errors import DefinitionError, SourceError, some
from imps.names import AGE, SEX, YEAR
from imps.sources.definitions import (
    USUAL_RESIDENTS,
    Counted,
    Detail,
    check_ages,
    check_complete,
    check_dims,
    check_sexes,
)

TOTAL = "total"
BY_SEX = "sex"
BY_AGE = "age"
BY_SEX_AND_AGE = "sex and age"
CENSUS = "census"
REGISTER = "register"
PLANNED = "planned"
NOT_TAKEN = "not taken yet"
"""Vintage of a census that is planned."""
DETAILS = (TOTAL, BY_SEX, BY_AGE, BY_SEX_AND_AGE)
WITH_AGES = (BY_AGE, BY_SEX_AND_AGE)


@dataclass(frozen=True)
class Stock:
    """A published population at one date.

    Attributes
    ----------
    count : DataArray (sex, age), persons
        Where only a total or totals by sex were published, the ages are a
        schedule scaled to them, and single ages within groups are interpolated; where
        no sex was published both have a share: arithmetic, not data.
    observed : {"total", "sex", "age", "sex and age"}
        The detail in which the figure was published; only this is data.
    date : date
        Reference date of the figure.
    relative_standard_error : float
        Accuracy (random error) of the total as a share; bias has a prior.
    vintage, reference, name : str
    counted : Counted
        Geography, unit and residents of the figures.
    quality : {"census", "register", "planned"}
        A register is a complete count: no sampling error, but late entries in its cells. A
        planned census has not been taken: its count is the roll-forward, and no data.
    lower_ages : tuple of int or None
        First ages of the published age groups, the last of them that of the open group of
        `count`; None where single years were published.
    taken : date or None
        Day of the published figure where `count` is it carried to `date`.
    """

    count: xr.DataArray
    observed: str
    date: dt.date
    relative_standard_error: float
    vintage: str
    reference: str
    name: str
    counted: Counted = USUAL_RESIDENTS
    quality: str = CENSUS
    lower_ages: tuple[int, ...] | None = None
    taken: dt.date | None = None

    def __post_init__(self) -> None:
        check_dims(self.count, (SEX, AGE), self.name)
        if self.quality not in (CENSUS, REGISTER, PLANNED) or (
            self.quality == REGISTER and self.relative_standard_error
        ):
            raise SourceError(
                f"source '{self.name}': quality is '{self.quality}' with relative standard error "
                f"{self.relative_standard_error:g}; allowed is '{CENSUS}', '{PLANNED}', or "
                f"'{REGISTER}' with 0."
            )
        check_sexes(self.count, self.name)
        check_ages(self.count, self.name)
        check_complete(self.count, self.name)
        if self.observed not in DETAILS:
            raise SourceError(
                f"source '{self.name}': observed is '{self.observed}', expected one of {DETAILS}."
            )
        groups = self.lower_ages
        if groups is not None and not (
            groups[0] == 0 and groups[-1] == self.open_age and list(groups) == sorted({*groups})
        ):
            raise SourceError(
                f"source '{self.name}': age groups begin at {some(groups)}, expected ages in order "
                f"from 0 to the open age group {self.open_age}+. Sum the counts to that open age, "
                "or give the groups as published."
            )

    @classmethod
    def from_total(cls, total: float, schedule: xr.DataArray, **fields: object) -> Stock:
        """A stock of which only the total was published; `schedule` (sex, age) gives the shape."""
        return cls(schedule * (total / schedule.sum()), TOTAL, **fields)  # type: ignore[arg-type]

    @property
    def total(self) -> float:
        """Persons of all ages and both sexes."""
        return float(self.count.sum())

    @property
    def open_age(self) -> int:
        """First age of the open group."""
        return int(self.count[AGE].values[-1])

    @property
    def with_ages(self) -> bool:
        """Whether ages were published, in single years or in groups."""
        return self.observed in WITH_AGES

    @property
    def cells(self) -> Detail:
        """The cells in which it was published."""
        single = tuple(range(self.open_age + 1))
        ages = (self.lower_ages or single) if self.with_ages else (0,)
        return Detail(self.observed in (BY_SEX, BY_SEX_AND_AGE), ages)

    @property
    def fixes_cells(self) -> bool:
        """Whether it was published by sex and single year of age."""
        return self.cells.fixes_cells(self.count.sizes[AGE])

    @property
    def detail(self) -> str:
        """Date and detail in which it was published, in words."""
        what = "total only; ages are a schedule" if self.observed == TOTAL else self.cells.said
        day = spelt_out(self.date)
        if self.taken is not None:
            day = f"{spelt_out(self.taken)}, carried to {day}"
        return f"{day}, {what}"

    @property
    def at_mid_year(self) -> bool:
        """Whether the figure refers to 30 June."""
        return (self.date.month, self.date.day) == (6, 30)


@dataclass(frozen=True)
class RolledForward:
    """The official rolled-forward totals as they were carried at the time.

    Attributes
    ----------
    total : DataArray (year), persons
        Mid-years from the base to the census.
    by_rule : tuple of int
        Mid-years whose figure was not published and is reached by `rule`.
    rule : str
        How those figures are reached, in words.
    by_sex : DataArray (sex), persons, or None
        At the last mid-year, where published.
    by_sex_and_age : DataArray (year, sex, age), persons, or None
        For the mid-years for which it was published.
    vintage, reference, name : str
    counted : Counted
        Geography, unit and residents of the figures.
    """

    total: xr.DataArray
    by_rule: tuple[int, ...]
    rule: str
    vintage: str
    reference: str
    by_sex: xr.DataArray | None = None
    by_sex_and_age: xr.DataArray | None = None
    name: str = "rolled_forward"
    counted: Counted = USUAL_RESIDENTS

    def __post_init__(self) -> None:
        check_dims(self.total, (YEAR,), self.name)
        check_complete(self.total, self.name)

    def implied_net_migration(self, natural_change: xr.DataArray) -> xr.DataArray:
        """Net migration and other changes that the published totals held, (year), persons.

        What is left of each year's change after births minus deaths: the
        balancing equation turned round.
        """
        change = self.total.diff(YEAR)
        if not np.array_equal(change[YEAR].values, natural_change[YEAR].values):
            raise DefinitionError(
                f"source '{self.name}': totals and natural change cover different mid-years."
            )
        return change - natural_change
