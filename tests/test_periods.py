"""Periods: calendar years against mid-year intervals, and census days."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imps.demography.periods import (
    Period,
    calendar_year,
    decimal_date,
    mid_year,
    mid_year_average,
    mid_year_interval,
    overlap,
    quarter,
    quarters_of,
    share_after,
    year_ending,
)
from imps.errors import DefinitionError


def test_a_calendar_year_is_half_of_two_intervals():
    intervals = [mid_year_interval(y) for y in (1991, 1992, 1993)]
    share = overlap([calendar_year(1991), calendar_year(1992)], intervals)
    np.testing.assert_allclose(share, [[0.5, 0.5, 0], [0, 0.5, 0.5]])


@given(st.lists(st.floats(0, 1e6), min_size=6, max_size=6))
def test_overlap_keeps_the_flow_of_whole_intervals(flow):
    intervals = [mid_year_interval(y) for y in range(1991, 1997)]
    whole = Period(mid_year(1990), mid_year(1996), "all")
    np.testing.assert_allclose(overlap([whole], intervals) @ flow, [sum(flow)])


def test_period_outside_the_account_is_refused():
    with pytest.raises(DefinitionError, match="calendar year 1990 not wholly inside"):
        overlap([calendar_year(1990)], [mid_year_interval(1991)])


def test_mid_year_average_needs_both_years():
    rule = mid_year_average([1991, 1992], [mid_year_interval(1992), mid_year_interval(1993)])
    np.testing.assert_allclose(rule, [[0.5, 0.5], [0, 0]])


def test_census_days():
    assert decimal_date(dt.date(2001, 7, 1)) == mid_year(2001)
    # two days of April (2/30 of a twelfth) and two twelfths
    assert share_after(dt.date(2001, 4, 29), mid_year_interval(2001)) == pytest.approx(
        (2 / 30 + 2) / 12
    )
    with pytest.raises(DefinitionError, match="does not lie in the year to mid-2001"):
        share_after(dt.date(2000, 4, 29), mid_year_interval(2001))


def test_a_period_must_have_a_length():
    with pytest.raises(DefinitionError, match="give an end after the start"):
        Period(2001.0, 2001.0, "nothing")


def test_years_ending_in_a_month():
    assert year_ending("2004-12") == calendar_year(2004)
    assert year_ending("2004-06") == mid_year_interval(2004)
    rolling = year_ending("2004-03")
    assert (rolling.start, rolling.end, str(rolling)) == (2003.25, 2004.25, "year ending 2004-03")
    with pytest.raises(DefinitionError, match="such as '2004-06'"):
        year_ending("2004-13")


def test_quarters_of_a_year():
    assert quarters_of(year_ending("2004-06")) == ["2003Q3", "2003Q4", "2004Q1", "2004Q2"]
    assert quarters_of(calendar_year(2004)) == ["2004Q1", "2004Q2", "2004Q3", "2004Q4"]
    assert quarters_of(quarter("2004Q4")) == ["2004Q4"]
    with pytest.raises(DefinitionError, match="does not start and end with a quarter"):
        quarters_of(year_ending("2004-05"))
    with pytest.raises(DefinitionError, match="such as '2004Q1'"):
        quarter("2004Q5")
