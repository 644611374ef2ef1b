"""An account without a last census: what it knows, and what it must not know."""

import datetime as dt
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_chain import country

import imps
from imps.account.gap import rolled_forward_cells
from imps.account.linear import largest_misclosure
from imps.errors import SourceError
from imps.project.check import check_project
from imps.project.template import write_project
from imps.results.sensitivity import without_rows

CENSUS_DAY = dt.date(2021, 6, 30)


@pytest.fixture(scope="module")
def withheld():
    return imps.load_case("england-wales-2011-2021")


@pytest.fixture(scope="module")
def opened(withheld):
    return imps.open_end(withheld.sources, 2020)


@pytest.fixture(scope="module")
def fit(opened):
    model = imps.linear_model(opened, imps.default_priors(as_of=2020))
    return imps.fit(model, seed=1, draws=500, progress=False)


def test_everything_later_is_left_out(opened, withheld):
    assert opened.open_end and not withheld.sources.open_end
    assert opened.last_year == 2020 and opened.period == "mid-2011 to mid-2020, no census yet"
    for array in (opened.births.count, opened.immigration.estimate, opened.rolled_forward.total):
        assert int(array["year"].max()) == 2020
    published = withheld.sources.rolled_forward
    at_end = published.by_sex_and_age.sel(year=2020).transpose("sex", "age")
    np.testing.assert_allclose(opened.census.count, at_end, atol=1.0)
    assert np.isnan(opened.gap)
    assert "census" not in set(opened.table()["source"])


def test_the_census_that_came_lies_inside(withheld, fit):
    """England and Wales in mid-2020 with priors as of 2020: total and each sex, 90 per cent."""
    found = imps.predicted_census(fit, date=CENSUS_DAY)
    rows = found.summary(prob=0.9).set_index(["quantity", "sex"]).loc["census"]
    count = withheld.sources.census.count
    actual = {"both": float(count.sum())} | {
        s: float(count.sel(sex=s).sum()) for s in rows.index[1:]
    }
    for sex, number in actual.items():
        assert rows.loc[sex, "lower90"] < number < rows.loc[sex, "upper90"]
    cells = found.by_age(prob=0.9).set_index(["sex", "age"])
    seen = count.to_series().reorder_levels(["sex", "age"]).loc[cells.index]
    inside = (cells["lower90"] < seen) & (seen < cells["upper90"])
    assert inside.mean() > 0.8


def test_sources_add_up_to_published_minus_true(fit):
    model = fit.model
    assert largest_misclosure(model) < 1e-6
    assert {"census_coverage", "census_sampling", "date_change"}.isdisjoint(
        c.source for c in model.contributions
    )
    found = imps.attribute(fit)
    last = model.evaluate(model.account.population(2020), fit.latents())
    error = rolled_forward_cells(model.account) - last
    np.testing.assert_allclose(
        found.contributions.sum("source").values.reshape(error.shape), error, rtol=0, atol=1e-6
    )
    drawn = error.sum(axis=(1, 2))
    assert found.open_end
    assert found.total == pytest.approx(drawn.mean(), abs=5 * drawn.std() / drawn.size**0.5)
    assert found.summary()["mean"].sum() == pytest.approx(found.total, abs=1e-3)
    assert "expected error of the roll-forward" in repr(found)
    years = imps.error_by_year(fit)
    assert years["mean"].iloc[-1] == pytest.approx(found.total, abs=1)
    assert years["sd"].iloc[-1] > years["sd"].iloc[0]


def test_it_is_the_account_with_its_last_observation_missing(sources):
    """Totals alone: the same posterior as with the rows of the census taken out."""
    priors = imps.default_priors()
    known = imps.linear_model(sources, priors)
    rolled = imps.open_end(sources)
    like = replace(rolled.census, count=sources.census.count)  # the scale of its errors alone
    model = imps.linear_model(replace(rolled, census=like), priors)
    same = without_rows(known, "census")
    np.testing.assert_allclose(model.design, same.design)
    np.testing.assert_allclose(model.observed, same.observed)


def test_prediction_widens_with_the_years_and_stays_in_reach(fit):
    now, later = (imps.predicted_census(fit, date=d) for d in (None, CENSUS_DAY))
    assert now.years_ahead == 0 and later.years_ahead == 1
    assert later.count.sum(("sex", "age")).std() > now.count.sum(("sex", "age")).std()
    np.testing.assert_allclose(now.gap, later.gap)
    gap = rolled_forward_cells(fit.model.account) - now.count
    np.testing.assert_allclose(gap.transpose(*now.gap.dims), now.gap, atol=1e-6)
    part = imps.predicted_census(fit, date=dt.date(2021, 3, 21))
    assert 0.7 < part.years_ahead < 0.75
    with pytest.raises(SourceError, match="years from the end of the account"):
        imps.predicted_census(fit, date=dt.date(2031, 6, 30))


def test_without_any_row_the_prior_stands(tmp_path):
    """A register country between censuses: nothing is observed, and everything still works."""
    model = imps.linear_model(imps.open_end(country([0.0])[0]), imps.default_priors())
    assert model.observed.size == 0
    fit = imps.fit(model, seed=1, chains=2, draws=300, progress=False)
    found = imps.attribute(fit).summary().set_index("source")
    _, sd = model.prior_moments(model.reported["gap[base]"])
    assert found.loc["base", "sd"] == pytest.approx(sd) and found.loc["base", "contraction"] < 1e-9
    assert imps.attribute(fit).totals().sel(source="base").std() == pytest.approx(sd, rel=0.1)
    fit.save(tmp_path / "open.nc")
    assert imps.load_fit(tmp_path / "open.nc", model=model).stale == ()


def test_wrong_use_is_refused(withheld, fitted):
    with pytest.raises(SourceError, match="2012 to 2021"):
        imps.open_end(withheld.sources, 2030)
    with pytest.raises(SourceError, match=r"withhold it first, imps\.open_end"):
        imps.predicted_census(fitted)


def test_a_run_of_an_open_end_says_so_and_repeats(case, tmp_path):
    """Report, tables and manifest of the kind; the same again from the manifest."""
    own = replace(case, sources=country([0.03])[0], title="Cards", origin="", digest="")
    done = imps.run(
        own, open_end=2004, out=tmp_path / "out", draws=200, chains=2, seed=2, progress=False
    )
    assert done.case.title == "Cards: without a census, to mid-2004"
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "How sure is the roll-forward: Cards" in page
    assert "rolled-forward minus true population" in page and "Census gap" not in page
    tables = done.tables()
    assert {"error_by_year", "error_by_sex_and_age", "predicted_census"} <= set(tables)
    assert {"gap", "closure", "new_base"}.isdisjoint(tables)
    assert len(tables["error_by_sex_and_age"].frame) == 3 * own.sources.ages.size
    again = imps.rerun(tmp_path / "out", progress=False)
    assert again.verdict == "identical"
    assert imps.load_run(tmp_path / "out").fit.stale == ()


CENSUS_2021 = "2021-census-based, first estimate"


@pytest.fixture(scope="module")
def without_census(tmp_path_factory):
    """The project of England and Wales 2011-2021 as it stood before the census."""
    folder = tmp_path_factory.mktemp("open") / "project"
    shutil.copytree(Path(imps.__file__).parent / "shipped" / "england_wales_2011_2021", folder)
    for name in ("population", "population_totals", "population_by_sex"):
        table = pd.read_csv(folder / f"{name}.csv", dtype=str)
        left = table[table["vintage"] != CENSUS_2021]
        assert 0 < len(left) < len(table)
        left.to_csv(folder / f"{name}.csv", index=False)
    return folder


def test_a_project_without_a_census_is_one_of_an_open_end(without_census, tmp_path):
    settings = without_census / "settings.toml"
    text = settings.read_text("utf-8")
    report = check_project(without_census)
    assert CENSUS_2021 in str(report.log.faults[0])
    unnamed = re.sub(r"(?m)^census_vintage.*\n", "", text)
    settings.write_text(unnamed, "utf-8")
    faults = check_project(without_census).log.faults
    assert [f.code for f in faults] == ["PERIOD_GAP"]
    assert 'census_quality = "planned"' in str(faults[0]) and "--open" in str(faults[0])
    planned = re.sub(r"(?m)^(census_standard_error)", r'census_quality = "planned"\n\1', text)
    settings.write_text(planned, "utf-8")
    assert "census_vintage" in str(check_project(without_census).log.faults[0])
    settings.write_text(re.sub(r"(?m)^census_vintage.*\n", "", planned), "utf-8")
    project = imps.load_project(without_census)
    own = project.sources
    assert own.open_end and own.census.relative_standard_error > 0
    assert own.census.total == pytest.approx(own.rolled_forward.total[-1].item())
    with pytest.raises(SourceError, match=r"no census at .*--open"):
        imps.run(without_census, progress=False)
    done = imps.run(
        without_census, open_end=0, draws=200, chains=2, out=tmp_path / "out", tables_only=True,
        progress=False,
    )  # fmt: skip
    assert done.fit.model.sources.last_year == own.last_year
    assert imps.rerun(tmp_path / "out", progress=False).verdict == "identical"


def test_a_withheld_census_and_none_at_all_are_one(without_census, withheld):
    """Nothing of the census that was there enters the account of an open end."""
    both = imps.open_end(withheld.sources), imps.load_project(without_census).sources
    one, other = (imps.linear_model(sources, imps.default_priors()) for sources in both)
    np.testing.assert_allclose(one.observed, other.observed)
    np.testing.assert_allclose(one.design, other.design, rtol=1e-9, atol=1e-6)


def test_an_open_end_needs_no_population_at_its_end(tmp_path):
    """Where no roll-forward was published either, it is computed from the tables."""
    write_project(tmp_path)
    settings, file = tmp_path / "settings.toml", tmp_path / "data" / "population.csv"
    population = pd.read_csv(file, dtype=str)
    population[population["year"] == population["year"].min()].to_csv(file, index=False)
    faults = check_project(tmp_path).log.faults
    assert "both ends" in str(faults[0]) and "--open" in str(faults[0])
    text = settings.read_text("utf-8")
    settings.write_text(text.replace('# census_quality = "register"', 'census_quality = "planned"'))
    own = imps.load_project(tmp_path).sources
    assert own.open_end and own.census.total == pytest.approx(own.rolled_forward.total[-1].item())
