"""Periods and dates: calendar years, mid-year intervals, census days.

Time is counted in decimal years by month: a date is year + (month - 1 + share
of the month gone) / 12. A calendar year then lies half in each of the two
mid-year intervals it meets, which is the rule of the official estimates, and a
day inside a month is placed by its share of that month.

A flow in a calendar year is an observation on two adjoining mid-year
intervals; :func:`overlap` is the operator between the two.

References
----------
ONS, Mid-year population estimates QMI: components run from 1 July to 30 June.
"""

import calendar
import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from imps.errors import DefinitionError, some

MID_YEAR = 0.5  # 30 June, at its end

QUARTER_LABEL = re.compile(r"^(\d{4})Q([1-4])$")
MONTH_LABEL = re.compile(r"^(\d{4})-(0[1-9]|1[0-2])$")

CALENDAR_YEARS: Final = "calendar year"
MID_YEARS: Final = "mid-year"
BASES: Final = (CALENDAR_YEARS, MID_YEARS)
"""Periods over which a flow is published: January to December, or July to June."""


def spelt_out(day: dt.date) -> str:
    """A date in words for readers, such as "29 April 2001", or "mid-2001" for a mid-year."""
    if (day.month, day.day) == (6, 30):
        return f"mid-{day.year}"
    return f"{day:%d %B %Y}".lstrip("0")


@dataclass(frozen=True, order=True)
class Period:
    """A span of time over which a flow is counted.

    Attributes
    ----------
    start, end : float
        Decimal years; `end` is not part of the period.
    label : str
        How the period is named in messages and tables.
    """

    start: float
    end: float
    label: str

    def __post_init__(self) -> None:
        if not self.end > self.start:
            raise DefinitionError(
                f"period '{self.label}' ends at {self.end} and starts at {self.start}: "
                "give an end after the start."
            )

    @property
    def length(self) -> float:
        """Length in years."""
        return self.end - self.start

    def __str__(self) -> str:
        return self.label


def decimal_date(day: dt.date) -> float:
    """Start of a day in decimal years by month."""
    days = calendar.monthrange(day.year, day.month)[1]
    return day.year + (day.month - 1 + (day.day - 1) / days) / 12


def mid_year(year: int) -> float:
    """The mid-year of a year, the end of 30 June, in decimal years."""
    return year + MID_YEAR


def calendar_year(year: int) -> Period:
    """1 January to 31 December."""
    return Period(float(year), float(year + 1), f"calendar year {year}")


def mid_year_interval(year: int) -> Period:
    """1 July of the year before to 30 June of `year`: the year ending mid-`year`."""
    return Period(mid_year(year - 1), mid_year(year), f"year to mid-{year}")


@dataclass(frozen=True)
class YearEnd:
    """The day on which every year of an account ends, at its end.

    Attributes
    ----------
    month, day : int
        30 June for mid-years; 31 December for stocks of 1 January; a census day.
    """

    month: int = 6
    day: int = 30

    @classmethod
    def of(cls, text: str) -> "YearEnd":
        """From "06-30": month and day.

        Raises
        ------
        DefinitionError
            If there is no such day in every year, or it is the first of January.
        """
        found = re.fullmatch(r"(\d{2})-(\d{2})", text)
        try:
            day = dt.date(2001, int(found[1]), int(found[2])) if found else None
        except ValueError:
            day = None
        if day is None or text == "01-01":
            raise DefinitionError(
                f'year_ends is \'{text}\': give month and day such as "06-30" or "03-31"; '
                'stocks of 1 January stand at the end of the year before: "12-31".'
            )
        return cls(day.month, day.day)

    def on(self, year: int) -> dt.date:
        """The last day of an account year."""
        return dt.date(year, self.month, self.day)

    def year_of(self, day: dt.date) -> int:
        """Account year that a day lies in."""
        return day.year + (day > self.on(day.year))

    def ends(self, day: dt.date) -> bool:
        """Whether an account year ends with a day."""
        return (day.month, day.day) == (self.month, self.day)

    def interval(self, year: int) -> Period:
        """The twelve months of an account year."""
        start, end = (decimal_date(self.on(y) + dt.timedelta(days=1)) for y in (year - 1, year))
        return Period(start, end, f"year to {self.said(year)}")

    def said(self, year: int) -> str:
        """The end of an account year in words: "mid-2001", "1 January 2016", "31 March 2013"."""
        if self == YearEnd():
            return f"mid-{year}"
        return spelt_out(self.on(year) + dt.timedelta(days=(self.month, self.day) == (12, 31)))

    def shown(self, year: int) -> int:
        """The year of the end of an account year as it is said: that of 1 January is the next."""
        return int(year) + ((self.month, self.day) == (12, 31))

    @property
    def a_year(self) -> str:
        """A year of an account in words: "calendar year", "year to 31 March"."""
        return "calendar year" if self.shown(0) else f"year to {self.each}"

    @property
    def years(self) -> str:
        """The same of several: "calendar years", "years to 31 March"."""
        return self.a_year.replace("year", "years", 1)

    @property
    def each(self) -> str:
        """The day in words, without a year."""
        return "mid-year" if self == YearEnd() else self.said(2001).rsplit(" ", 1)[0]

    @property
    def of_all_years(self) -> str:
        """The days of several years in words."""
        return "mid-years" if self == YearEnd() else f"{self.each} of each year"


def quarter(label: str) -> Period:
    """A quarter by its label: '2004Q1' is January to March 2004."""
    found = QUARTER_LABEL.match(label)
    if not found:
        raise DefinitionError(f"quarter '{label}': expected a label such as '2004Q1'.")
    start = int(found[1]) + (int(found[2]) - 1) / 4
    return Period(start, start + 0.25, label)


def year_ending(label: str) -> Period:
    """The year that ends with a month: '2004-12' is a calendar year, '2004-06' a mid-year.

    All others are rolling years, such as '2004-03', April 2003 to March 2004.
    """
    found = MONTH_LABEL.match(label)
    if not found:
        raise DefinitionError(
            f"year ending '{label}': expected year and month of its end, such as '2004-06'."
        )
    year, month = int(found[1]), int(found[2])
    if month == 12:
        return calendar_year(year)
    if month == 6:
        return mid_year_interval(year)
    return Period(year - 1 + month / 12, year + month / 12, f"year ending {label}")


def quarters_of(period: Period) -> list[str]:
    """Labels of the quarters that make up a period.

    Raises
    ------
    DefinitionError
        If the period does not start and end with a quarter.
    """
    first, last = period.start * 4, period.end * 4
    if first != int(first) or last != int(last):
        raise DefinitionError(
            f"{period}: it does not start and end with a quarter. Use a year that ends in "
            "March, June, September or December, such as '2004-06'."
        )
    return [f"{q // 4}Q{q % 4 + 1}" for q in range(int(first), int(last))]


def flow_periods(years: Sequence[int], basis: str) -> list[Period]:
    """Periods of a flow published by year.

    Parameters
    ----------
    years : sequence of int
        Calendar years, or the years in which the mid-year intervals end.
    basis : {"calendar year", "mid-year"}
    """
    if basis not in BASES:
        raise DefinitionError(f"basis '{basis}' is not one of {BASES}.")
    period = calendar_year if basis == CALENDAR_YEARS else mid_year_interval
    return [period(int(year)) for year in years]


def overlap(observed: Sequence[Period], intervals: Sequence[Period]) -> np.ndarray:
    """Share of each interval's flow that falls in each observed period.

    Parameters
    ----------
    observed : sequence of Period
        Periods for which figures were published, such as calendar years.
    intervals : sequence of Period
        Intervals of the account, without gaps; within one, a flow is spread evenly.

    Returns
    -------
    ndarray (observed, interval)
        Flow in the observed periods = this matrix times the flow in the intervals.

    Raises
    ------
    DefinitionError
        If an observed period is not wholly covered by the intervals.
    """
    share = np.array(
        [
            [max(0.0, min(o.end, i.end) - max(o.start, i.start)) / i.length for i in intervals]
            for o in observed
        ]
    ).reshape(len(observed), len(intervals))
    covered = share @ np.array([i.length for i in intervals])
    short = [o.label for o, c in zip(observed, covered, strict=True) if c < o.length - 1e-9]
    if short:
        raise DefinitionError(
            f"{some(short)} not wholly inside the account, which runs from "
            f"{intervals[0]} to {intervals[-1]}: leave the period out or lengthen the account."
        )
    return share


def covering_intervals(years: Sequence[int], basis: str) -> list[Period]:
    """Mid-year intervals that together cover flows published for consecutive years.

    Calendar years need one interval more than there are years; mid-years are
    intervals themselves.
    """
    last = int(years[-1]) + (1 if basis == CALENDAR_YEARS else 0)
    return [mid_year_interval(year) for year in range(int(years[0]), last + 1)]


def mid_year_average(
    years: Sequence[int], intervals: Sequence[Period], basis: str = CALENDAR_YEARS
) -> np.ndarray:
    """Official rule for mid-year flows: the mean of the two calendar years an interval meets.

    Flows published for mid-years are taken as they are.

    Returns
    -------
    ndarray (interval, year)
        Rows of an interval whose two calendar years (or whose mid-year) are not
        given are all zero.
    """
    if basis == MID_YEARS:
        published = flow_periods(years, basis)
        return np.array([[float(i == p) for p in published] for i in intervals])
    rows = np.zeros((len(intervals), len(years)))
    position = {year: j for j, year in enumerate(years)}
    for i, interval in enumerate(intervals):
        pair = (int(np.floor(interval.start)), int(np.floor(interval.end)))
        if all(year in position for year in pair):
            for year in pair:
                rows[i, position[year]] += 0.5
    return rows


def share_after(day: dt.date, interval: Period) -> float:
    """Share of an interval that is still to come at the start of `day`.

    Negative where the day lies after its end, by no more than half its length.

    Examples
    --------
    >>> round(share_after(dt.date(2001, 4, 29), mid_year_interval(2001)), 4)
    0.1722
    """
    moment = decimal_date(day)
    if not interval.start <= moment <= interval.end + interval.length / 2:
        raise DefinitionError(f"{day} does not lie in the {interval}.")
    return (interval.end - moment) / interval.length
