"""Quarters, rolling years and mid-years, with the error of inferring one from another."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imps.demography.periods import calendar_year, mid_year_interval, overlap, quarter, year_ending
from imps.demography.time_conversion import (
    NET_CONVERSION_ERROR,
    conversion_miss,
    mid_years_of_calendar,
    mid_years_of_rolling,
    sum_quarters,
    year_operator,
)
from imps.errors import DefinitionError, MissingCellError, SourceError

FIGURES = Path(__file__).parent / "data" / "published"
EXACT = 1e-12
QUARTERS = [f"{year}Q{q}" for year in (2001, 2002, 2003) for q in (1, 2, 3, 4)]


def test_years_of_quarters_are_the_overlap_of_periods() -> None:
    years = [calendar_year(2002), mid_year_interval(2003), year_ending("2003-09")]
    expected = overlap(years, [quarter(label) for label in QUARTERS])
    found = year_operator(QUARTERS, ["2002-12", "2003-06", "2003-09"])
    np.testing.assert_array_equal(found, expected)
    assert set(found.ravel()) == {0.0, 1.0}


def test_mid_years_by_quarters_by_rolling_years_and_by_calendar_years() -> None:
    """The same flow told four ways: quarters and rolling years are exact, calendar years not."""
    flow = pd.DataFrame(
        {"quarter": QUARTERS, "estimate": [10.0, 20, 40, 10] * 3, "standard_error": 0.0}
    )
    ends = [f"{year}-{month:02d}" for year in (2002, 2003) for month in (3, 6, 9, 12)]
    rolling, _ = sum_quarters(flow, ends)
    by_rolling = mid_years_of_rolling(rolling).set_index("mid_year")["estimate"]
    by_quarters, _ = sum_quarters(flow, ["2002-06", "2003-06"])
    assert by_rolling.tolist() == by_quarters["estimate"].tolist() == [80.0, 80.0]
    calendar, _ = sum_quarters(flow, ["2001-12", "2002-12", "2003-12"])
    years, _ = mid_years_of_calendar(calendar.assign(year=[2001, 2002, 2003]), conversion_error=5.0)
    # a steady season cancels: the mean of two calendar years is then right, and still uncertain
    assert years["estimate"].tolist() == [80.0, 80.0]
    assert years["standard_error"].tolist() == [5.0, 5.0]
    rising = flow.assign(estimate=np.arange(12.0) ** 2)
    calendar, _ = sum_quarters(rising, ["2001-12", "2002-12", "2003-12"])
    exact, _ = sum_quarters(rising, ["2002-06", "2003-06"])
    miss = conversion_miss(
        pd.Series(calendar["estimate"].to_numpy(), [2001, 2002, 2003]),
        pd.Series(exact["estimate"].to_numpy(), [2002, 2003]),
    )
    assert miss.tolist() == [16.0, 16.0]  # sums of squares: 140 / 2 - 54 and 492 / 2 - 230


def test_two_mid_years_and_two_calendar_years_share_their_quarters() -> None:
    rng = np.random.default_rng(1)
    flow = rng.uniform(5e4, 2e5, len(QUARTERS))
    operator = year_operator(QUARTERS, ["2002-06", "2003-06", "2001-12", "2003-12"])
    assert (operator.sum(axis=1) == 4).all()
    # calendar 2001 + 2003 and mid-years 2002 + 2003 differ by known quarters
    years = operator @ flow
    assert years[0] + years[1] == pytest.approx(flow[2:10].sum(), rel=EXACT)
    assert years[2] == pytest.approx(flow[:4].sum(), rel=EXACT)


def test_rolling_years_are_correlated_by_the_quarters_they_share() -> None:
    table = pd.DataFrame({"quarter": QUARTERS, "estimate": 1e5, "standard_error": 5e3})
    years, covariance = sum_quarters(table, ["2002-03", "2002-06", "2003-06"])
    np.testing.assert_allclose(years["standard_error"], 1e4, rtol=EXACT)
    correlation = covariance / 1e8
    assert correlation[0, 1] == pytest.approx(0.75, rel=EXACT)
    assert correlation[1, 2] == 0.0
    wide = np.full((12, 12), 25e6)  # one error common to all quarters
    common, _ = sum_quarters(table, ["2002-06"], covariance=wide)
    assert common["standard_error"][0] == pytest.approx(2e4, rel=EXACT)


def test_mid_years_from_calendar_years_by_hand() -> None:
    table = pd.DataFrame(
        {
            "year": [2001, 2002, 2003],
            "estimate": [100.0, 140.0, 60.0],
            "standard_error": [6.0, 8.0, 10.0],
        }
    )
    years, covariance = mid_years_of_calendar(table, conversion_error=20.0)
    assert years["mid_year"].tolist() == [2002, 2003]
    assert years["estimate"].tolist() == [120.0, 100.0]
    np.testing.assert_allclose(covariance, [[25 + 400, 16], [16, (64 + 100) / 4 + 400]], rtol=EXACT)


def test_the_mean_of_two_calendar_years_misses_by_twenty_thousand() -> None:
    book = pd.read_csv(FIGURES / "tim_minus_ips_adjustment_1991_2012.csv").set_index("year")
    calendar = book["net_revised_april2014"].combine_first(book["tim_balance"]) * 1000
    mid = pd.read_csv(FIGURES / "net_migration_uk_midyear_1994_2018.csv")
    mid = mid.set_index("year_ending_30_june")["net_thousands"] * 1000
    miss = conversion_miss(calendar, mid).loc[1994:2011]
    assert len(miss) == 18
    assert np.sqrt((miss**2).mean()) == pytest.approx(NET_CONVERSION_ERROR, abs=50)
    assert miss.abs().idxmax() == 2005 and miss[2005] == pytest.approx(-50_600, abs=50)


def test_rolling_years_to_june_are_the_mid_years() -> None:
    book = pd.read_csv(FIGURES / "ltim_uk_preliminary_adjusted_rolling_2009_2019.csv")
    table = book.assign(year_ending=book["period_end"].str[:7])
    found = mid_years_of_rolling(table).set_index("mid_year")["net_thousands"]
    assert found.index[0] == 2010 and (found.index.to_series().diff().iloc[1:] == 1).all()


def test_quarters_of_asylum_applications_are_exact() -> None:
    table = pd.DataFrame({"quarter": QUARTERS, "estimate": np.arange(12.0), "standard_error": 0.0})
    years, covariance = sum_quarters(table, ["2002-06"])
    assert years["estimate"][0] == 2 + 3 + 4 + 5 and covariance[0, 0] == 0.0


def test_bad_input_is_refused() -> None:
    table = pd.DataFrame({"quarter": QUARTERS, "estimate": 1.0, "standard_error": 1.0})
    with pytest.raises(MissingCellError, match="year to mid-2001: no quarter 2000Q3, 2000Q4"):
        sum_quarters(table, ["2001-06"])
    with pytest.raises(DefinitionError, match="expected a label such as '2004Q1'"):
        year_operator(["2004-Q1"], [])
    with pytest.raises(SourceError, match="appears twice"):
        year_operator(["2004Q1", "2004Q1"], [])
    with pytest.raises(SourceError, match="covariance: shape"):
        sum_quarters(table, ["2002-06"], covariance=np.eye(3))
    years = pd.DataFrame({"year": [2001, 2003], "estimate": 1.0, "standard_error": 1.0})
    with pytest.raises(MissingCellError, match="without gaps"):
        mid_years_of_calendar(years, conversion_error=20.0)
    with pytest.raises(SourceError, match="never exact"):
        mid_years_of_calendar(years, conversion_error=0.0)
    with pytest.raises(MissingCellError, match="none of 1 ends in June"):
        mid_years_of_rolling(pd.DataFrame({"year_ending": ["2004-12"]}))
    with pytest.raises(MissingCellError, match="share no mid-year"):
        conversion_miss(pd.Series([1.0, 2.0], [1990, 1991]), pd.Series([1.0], [2000]))
