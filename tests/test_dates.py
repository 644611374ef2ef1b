"""Years of an account end on any day: 1 January, March, a census day."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

import imps
from imps.demography.periods import YearEnd, mid_year_interval
from imps.errors import DefinitionError
from imps.project.check import check_project, load_project
from imps.project.template import write_project

FLOWS = ("births", "deaths", "survey_flows", "administrative_flows")


def moved(folder, stock, period, ends):
    """The example project with other days of its stocks; the figures are the same."""
    file = write_project(folder)
    people = pd.read_csv(folder / "data/population.csv")
    people["year"] = people["year"].map(stock)
    people.to_csv(folder / "data/population.csv", index=False)
    for name in FLOWS:
        table = pd.read_csv(folder / f"data/{name}.csv")
        table.assign(period=period).to_csv(folder / f"data/{name}.csv", index=False)
    text = file.read_text().replace('period = "mid-year"', f'period = "{period}"')
    text = text.replace("last_mid_year", f'year_ends = "{ends}"\nlast_mid_year', 1)
    file.write_text(text)
    return file


CASES = {
    "1 January": (lambda y: f"{y + 1}-01-01", "calendar-year", "12-31", "1 January 2002"),
    "31 December": (lambda y: f"{y}-12-31", "calendar-year", "12-31", "1 January 2002"),
    "bare year": (lambda y: y, "year-ending-march", "03-31", "31 March 2001"),
    "census day": (lambda y: f"{y}-03-06", "account-year", "03-06", "6 March 2001"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return load_project(write_project(tmp_path_factory.mktemp("plain") / "p")).sources


@pytest.mark.parametrize("case", CASES)
def test_the_same_figures_on_another_day_are_the_same_account(case, tmp_path, plain):
    stock, period, ends, first = CASES[case]
    sources = load_project(moved(tmp_path / "p", stock, period, ends)).sources
    assert sources.gap == pytest.approx(plain.gap) and sources.share_after_census == 0
    assert sources.period.startswith(first) and "mid-" not in sources.period
    assert sources.years.tolist() == plain.years.tolist()
    models = [imps.linear_model(s, imps.default_priors()) for s in (plain, sources)]
    np.testing.assert_array_equal(models[0].design, models[1].design)
    np.testing.assert_array_equal(models[0].observed, models[1].observed)


@pytest.mark.parametrize(
    ("stock", "period", "ends", "code"),
    [
        (lambda y: f"{y}-01-01", "mid-year", "06-30", "STOCK_DATE"),
        (lambda y: f"{y + 1}-01-01", "mid-year", "12-31", "PERIOD_MISMATCH"),
        (lambda y: y, "calendar-year", "03-31", "PERIOD_MISMATCH"),
        (lambda y: f"{y}-06-30", "account-year", "03-31", "STOCK_DATE"),
        (lambda y: y, "calendar-year", "02-30", "SOURCES_REFUSED"),
    ],
)
def test_other_days_are_refused_with_a_next_step(stock, period, ends, code, tmp_path):
    report = check_project(moved(tmp_path / "p", stock, period, ends))
    found = [f for f in report.log.faults if f.code == code]
    assert not report.passed and found, str(report)
    assert found[0].file and found[0].next_step


def quarters(folder, ends, months):
    """The project with births in four equal parts of its years, which end with `ends`."""
    day = {"09-30": 30, "03-06": 6}[ends]
    file = moved(folder, lambda y: f"{y}-{ends[:2]}-{day:02d}", "account-year", ends)
    born = pd.read_csv(folder / "data/births.csv").drop(columns="period")
    parts = [born.assign(year=[f"{y + back} Q{q}" for y in born["year"]], births=born["births"] / 4)
             for back, q in months]  # fmt: skip
    pd.concat(parts).to_csv(folder / "data/births.csv", index=False)
    text = file.read_text().replace("[[births]]", "[[births]]\nfractional_counts = true")
    file.write_text(text)
    return file


def test_quarters_make_up_years_that_end_with_one(tmp_path, plain):
    """Years to September: of October to December of the year before, and three of their own."""
    months = ((-1, 4), (0, 1), (0, 2), (0, 3))
    sources = load_project(quarters(tmp_path / "p", "09-30", months)).sources
    np.testing.assert_allclose(sources.births.count.values, plain.births.count.values)
    assert sources.years.tolist() == plain.years.tolist()
    asked = check_project(quarters(tmp_path / "q", "03-06", months)).log.faults
    assert "PARTS_OF_YEARS" in {fault.code for fault in asked}


def test_a_census_within_the_year_has_the_share_that_is_left(tmp_path, plain):
    def stock(year):
        return f"{year}-03-31" if year == 2001 else f"{year}-03-01"

    file = moved(tmp_path / "p", stock, "year-ending-march", "03-31")
    text = file.read_text()
    file.write_text(text.replace("[[population]]", '[[population]]\ncensus_days = ["2006-03-01"]'))
    sources = load_project(file).sources
    assert sources.share_after_census == pytest.approx(1 / 12)
    assert "census of 1 March 2006" in sources.period


def test_ends_of_years():
    january, march = YearEnd.of("12-31"), YearEnd.of("03-31")
    assert january.said(2015) == "1 January 2016" and january.each == "1 January"
    assert january.shown(2015) == 2016 and january.years == "calendar years"
    assert march.shown(2015) == 2015 and march.years == "years to 31 March"
    assert march.year_of(dt.date(2013, 4, 1)) == 2014 and march.year_of(march.on(2013)) == 2013
    assert YearEnd().interval(2001) == mid_year_interval(2001)
    assert march.interval(2013).start == 2012.25 and march.interval(2013).length == 1
    for text in ("01-01", "13-01", "june"):
        with pytest.raises(DefinitionError, match="give month and day"):
            YearEnd.of(text)
