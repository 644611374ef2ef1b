"""Stocks and vital events: base, census, rolled-forward estimates, births and deaths.

Registered counts are brought from calendar years to mid-year intervals.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from imps.demography.accounting import deaths_by_cohort
from imps.demography.periods import mid_year_average, mid_year_interval, spelt_out
from imps.errors import DefinitionError, LabelError, SourceError, some
from imps.names import AGE, SEX, SEXES, YEAR
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

    @property
    def finer(self) -> str:
        """What was published beside the totals, in words to follow them; empty if nothing."""
        finer = []
        if self.by_sex_and_age is not None:
            years = self.by_sex_and_age[YEAR].values
            when = f"{years[0]} to {years[-1]}" if years.size > 1 else f"{years[0]}"
            finer.append(f"by sex and age in {when}")
        if self.by_sex is not None:
            finer.append("by sex at the end")
        return "".join(f"; {found}" for found in finer)

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


@dataclass(frozen=True)
class Births:
    """Live births of each mid-year interval.

    Attributes
    ----------
    count : DataArray (year, sex), persons per year
        `year` is the mid-year at which the interval ends.
    vintage, reference : str
    name : str
        Under which the source stands in tables.
    counted : Counted
        Geography, unit and residents of the figures.
    """

    count: xr.DataArray
    vintage: str
    reference: str
    name: str = "births"
    counted: Counted = USUAL_RESIDENTS

    def __post_init__(self) -> None:
        check_dims(self.count, (YEAR, SEX), self.name)
        check_sexes(self.count, self.name)
        check_complete(self.count, self.name)

    @classmethod
    def from_calendar_years(
        cls,
        births: xr.DataArray,
        males_per_1000_females: xr.DataArray,
        *,
        intervals: range,
        vintage: str,
        reference: str,
    ) -> Births:
        """Half of each calendar year's births belongs to each mid-year it meets.

        Parameters
        ----------
        births : DataArray (year), persons per calendar year
        males_per_1000_females : DataArray (year)
            Sex ratio at birth; the split by sex is a schedule, the total is data.
        intervals : range
            Mid-years at which the intervals end.
        """
        share = males_per_1000_females / (1000 + males_per_1000_females)
        by_sex = np.stack([births * share, births * (1 - share)], axis=-1)
        return cls(
            to_mid_years(by_sex, births[YEAR].values, intervals, (SEX,), {SEX: list(SEXES)}),
            vintage,
            reference,
        )

    def scaled_to(self, total: xr.DataArray, *, reference: str) -> Births:
        """The same births with the totals of mid-year intervals that were published.

        Parameters
        ----------
        total : DataArray (year), persons per year
            A year that is missing keeps the mean of its two calendar years.
        reference : str
        """
        count = _scaled(self.count, total)
        return replace(self, count=count, reference=f"{self.reference}, {reference}")


@dataclass(frozen=True)
class Deaths:
    """Registered deaths of each mid-year interval by age reached at its end.

    Attributes
    ----------
    count : DataArray (year, sex, age), persons per year
        Deaths of the newborn of the interval stand at age 0, and so on along
        cohorts; the last age is the open group.
    vintage, reference, name : str
    counted : Counted
        Geography, unit and residents of the figures.
    cells : Detail or None
        Sexes and age groups in which they were published, of which the rest is a
        schedule; None by sex and single age.
    at_death : bool
        Whether the published age is that at death; else that reached at the end of the year.
    """

    count: xr.DataArray
    vintage: str
    reference: str
    name: str = "deaths"
    counted: Counted = USUAL_RESIDENTS
    cells: Detail | None = None
    at_death: bool = False

    def __post_init__(self) -> None:
        check_dims(self.count, (YEAR, SEX, AGE), self.name)
        check_sexes(self.count, self.name)
        check_ages(self.count, self.name)
        check_complete(self.count, self.name)

    @property
    def detail(self) -> str:
        """Detail in which they were published, in words."""
        return "by sex and age" if self.cells is None else self.cells.said

    @classmethod
    def from_calendar_years(
        cls,
        deaths: xr.DataArray,
        population: xr.DataArray,
        *,
        intervals: range,
        vintage: str,
        reference: str,
    ) -> Deaths:
        """Average adjoining calendar years, then split each age between its two cohorts.

        Parameters
        ----------
        deaths : DataArray (year, sex, age), persons per calendar year
            By age last birthday at death.
        population : DataArray (year, sex, age), persons
            Mid-year population at the start of each interval; used as a schedule
            for the split only (see :func:`imps.demography.accounting.deaths_by_cohort`).
        """
        ages = {SEX: list(SEXES), AGE: deaths[AGE].values}
        at_death = to_mid_years(deaths.values, deaths[YEAR].values, intervals, (SEX, AGE), ages)
        cohorts = np.stack(
            [
                deaths_by_cohort(
                    at_death.sel({YEAR: year}).values, population.sel({YEAR: year - 1}).values
                )
                for year in intervals
            ]
        )
        return cls(at_death.copy(data=cohorts), vintage, reference)

    def scaled_to(self, total: xr.DataArray, *, reference: str) -> Deaths:
        """The same deaths with the totals of mid-year intervals that were published.

        Parameters
        ----------
        total : DataArray (year), persons per year
            All ages, both sexes; sexes and ages keep their shares. A year that is
            missing keeps the mean of its two calendar years.
        reference : str
        """
        count = _scaled(self.count, total)
        return replace(self, count=count, reference=f"{self.reference}, {reference}")


def _scaled(count: xr.DataArray, total: xr.DataArray) -> xr.DataArray:
    others = [dim for dim in count.dims if dim != YEAR]
    factor = (total / count.sum(others)).reindex({YEAR: count[YEAR].values})
    return count * factor.fillna(1.0)


def to_mid_years(
    values: np.ndarray,
    calendar_years: np.ndarray,
    intervals: range,
    dims: tuple[str, ...],
    labels: dict[str, object],
) -> xr.DataArray:
    """Mean of the two calendar years that each mid-year interval meets, (year, ...)."""
    years = list(intervals)
    rule = mid_year_average(
        [int(y) for y in calendar_years], [mid_year_interval(year) for year in years]
    )
    data = np.tensordot(rule, values, axes=1)
    data[rule.sum(axis=1) < 1] = np.nan
    return xr.DataArray(data, dims=(YEAR, *dims), coords={YEAR: years, **labels})


HALVED_BIRTHS = 0.0045
"""Relative error of the births of a year to mid-year as half of each calendar year: the root
mean square in England and Wales 2002-2020 (`benchmarks/results/single_ages.csv`)."""


@dataclass(frozen=True)
class BornBefore:
    """Registered births behind the children of the base: what migration apart they must be.

    Births less deaths of a cohort are known far better than any count of it, so that the
    stock of the youngest is bounded by them; so is, a decade later, that of those born
    since. How much net migration such cohorts have is the prior `children_net`.

    Attributes
    ----------
    born, died : DataArray (age), persons
        Of the cohorts at ages 0, 1, ... at the base: births, and deaths up to the base.
    vintage, reference : str
    standard_error : DataArray (age), persons, optional
        Of the births; `HALVED_BIRTHS` of them unless given.
    """

    born: xr.DataArray
    died: xr.DataArray
    vintage: str
    reference: str
    name: str = "born_before"
    standard_error: xr.DataArray | None = None

    @property
    def detail(self) -> str:
        """What was published, in words."""
        return f"births and deaths of those aged 0-{self.born.size - 1} at the base, single ages"

    @property
    def error_of_births(self) -> np.ndarray:
        """Standard error of the births of each cohort, (age), persons."""
        if self.standard_error is None:
            return HALVED_BIRTHS * self.born.values
        return self.standard_error.values

    def __post_init__(self) -> None:
        arrays = (self.born, self.died, self.standard_error)
        for array in (found for found in arrays if found is not None):
            check_dims(array, (AGE,), self.name)
            check_complete(array, self.name)
        ages = self.born[AGE].values
        if not (
            np.array_equal(ages, np.arange(ages.size))
            and all(found is None or found[AGE].equals(self.born[AGE]) for found in arrays)
        ):
            raise LabelError(
                f"source '{self.name}': births and deaths need the same ages 0, 1, 2, ... at the "
                f"base, found {ages.tolist()} and {self.died[AGE].values.tolist()}."
            )
