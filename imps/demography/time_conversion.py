"""Quarters, calendar years, rolling years and mid-years of survey and administrative flows.

A mid-year flow (1 July to 30 June) is the sum of four quarters, or the rolling year
ending in June. Where only calendar years were published it is inferred as the mean of two of
them, which misses: the misses of the United Kingdom's net migration of 1994-2011 have a
root mean square of about 20 thousand, as large as the sampling error. That
uncertainty is carried, and so is the correlation between years that share quarters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imps.demography.periods import (
    mid_year_average,
    mid_year_interval,
    overlap,
    quarter,
    quarters_of,
    year_ending,
)
from imps.errors import MissingCellError, SourceError, some

NET_CONVERSION_ERROR = 20_500.0
"""Root mean square miss (persons) of the mean of two calendar years of net migration, United
Kingdom, mid-1994 to mid-2011: :func:`conversion_miss` of TIM (Hansard 2004; ONS, April 2014)
against the mid-year flows of the population estimates."""


def year_operator(quarters: Sequence[str], ends: Sequence[str]) -> NDArray[np.float64]:
    """Operator (year, quarter) of ones and zeros from quarterly flows to years ending `ends`.

    Works for calendar years ('2004-12'), mid-years ('2004-06') and rolling years alike; it is
    :func:`imps.demography.periods.overlap` of the years and the quarters.

    Raises
    ------
    MissingCellError
        If a quarter of a year is not among `quarters`.
    """
    known = [quarter(label) for label in quarters]
    if len(set(quarters)) < len(quarters):
        raise SourceError("quarters: a label appears twice; keep one vintage.")
    years = [year_ending(end) for end in ends]
    for year in years:
        gone = [label for label in quarters_of(year) if label not in quarters]
        if gone:
            raise MissingCellError(
                f"{year}: no quarter {some(gone)}. A missing quarter is not a zero: leave the "
                "year out."
            )
    return overlap(years, known)


def sum_quarters(
    table: pd.DataFrame, ends: Sequence[str], *, covariance: NDArray | None = None
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Years ending in given months from quarterly flows, with their covariance.

    Parameters
    ----------
    table : DataFrame
        `quarter` ('2004Q1'), `estimate` and `standard_error` (persons per quarter).
    ends : sequence of str
        '2004-06' for the mid-year 2004.
    covariance : array (quarter, quarter), optional
        Default: independent quarters, as the survey draws its shifts quarter by quarter.

    Returns
    -------
    DataFrame, array (year, year)
        `year_ending`, `estimate`, `standard_error` (persons per year). Rolling years
        that share quarters are correlated: three shared quarters give 0.75 if errors are equal.
    """
    operator = year_operator(table["quarter"].tolist(), ends)
    if covariance is None:
        covariance = np.diag(table["standard_error"].to_numpy(float) ** 2)
    if covariance.shape != (len(table), len(table)):
        raise SourceError(
            f"covariance: shape {covariance.shape}, expected {(len(table), len(table))}."
        )
    out = operator @ covariance @ operator.T
    years = pd.DataFrame(
        {
            "year_ending": list(ends),
            "estimate": operator @ table["estimate"].to_numpy(float),
            "standard_error": np.sqrt(np.diag(out)),
        }
    )
    return years, out


def mid_years_of_rolling(table: pd.DataFrame) -> pd.DataFrame:
    """Mid-years among rolling years: those that end in June; nothing is inferred.

    Parameters
    ----------
    table : DataFrame
        `year_ending` ('2004-06'), and any other columns.
    """
    year = table["year_ending"].str[:4].astype(int)
    june = pd.Series(
        [
            year_ending(end) == mid_year_interval(number)
            for end, number in zip(table["year_ending"], year, strict=True)
        ],
        table.index,
    )
    if not june.any():
        raise MissingCellError(
            f"rolling years: none of {len(table)} ends in June. Use quarters, or "
            "mid_years_of_calendar with a conversion error."
        )
    return table.loc[june].assign(mid_year=year[june]).reset_index(drop=True)


def mid_years_of_calendar(
    table: pd.DataFrame, *, conversion_error: float
) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """Mid-year flows inferred from calendar years, with the error that this brings.

    Parameters
    ----------
    table : DataFrame
        `year` (calendar, without gaps), `estimate`, `standard_error` (persons per year).
    conversion_error : float, persons (> 0)
        Root mean square miss of the rule; :func:`conversion_miss` measures it, and
        `NET_CONVERSION_ERROR` is that of the United Kingdom's net migration.

    Returns
    -------
    DataFrame, array (mid-year, mid-year)
        `mid_year` (year ending 30 June), `estimate`, `standard_error`; and the covariance:
        neighbours share a calendar year.

    Notes
    -----
    M[y] = (C[y-1] + C[y]) / 2; V = A V_C A' + conversion_error^2 I.
    """
    if not conversion_error > 0:
        raise SourceError(
            f"conversion_error is {conversion_error:g} persons: the mean of two calendar years "
            "is never exact. Measure it with conversion_miss, or use quarters."
        )
    rows = table.sort_values("year").reset_index(drop=True)
    if len(rows) < 2 or (rows["year"].diff().iloc[1:] != 1).any():
        raise MissingCellError(
            f"calendar years {some(rows['year'])}: expected two or more without gaps or repeats."
        )
    operator = _mean_of_two(rows["year"])
    covariance = operator * rows["standard_error"].to_numpy(float) ** 2 @ operator.T
    covariance = covariance + conversion_error**2 * np.eye(len(rows) - 1)
    years = pd.DataFrame(
        {
            "mid_year": rows["year"].to_numpy()[1:],
            "estimate": operator @ rows["estimate"].to_numpy(float),
            "standard_error": np.sqrt(np.diag(covariance)),
        }
    )
    return years, covariance


def conversion_miss(calendar: pd.Series, mid_year: pd.Series) -> pd.Series:
    """Mean of two calendar years minus the mid-year flow, where both are known.

    Parameters
    ----------
    calendar, mid_year : Series by year, persons per year, of one flow and one vintage

    Returns
    -------
    Series by mid-year, persons
        Its root mean square is the `conversion_error`. Both series come from the same
        interviews, so sampling error hardly enters.
    """
    if (calendar.index.to_series().diff().iloc[1:] != 1).any():
        raise MissingCellError("conversion miss: the calendar years have gaps or are not in order.")
    mean = pd.Series(_mean_of_two(calendar.index) @ calendar.to_numpy(float), calendar.index[1:])
    miss = (mean - mid_year.reindex(mean.index)).dropna()
    if miss.empty:
        raise MissingCellError("conversion miss: the two series share no mid-year.")
    return miss


def _mean_of_two(years: pd.Series | pd.Index) -> NDArray[np.float64]:
    """Official rule (mid-year, calendar year) for the mid-years that two of the years meet."""
    numbers = [int(year) for year in years]
    return mid_year_average(numbers, [mid_year_interval(year) for year in numbers[1:]])
