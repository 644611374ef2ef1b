"""An account without a last census: what it knows, and what it must not know."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from test_chain import country

import imps
from imps.account.gap import rolled_forward_cells
from imps.account.linear import largest_misclosure
from imps.errors import SourceError
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
        found.contributions.sum("source").values.reshape(error.shape), error, atol=1e-6
    )
    assert found.open_end and found.total == pytest.approx(error.sum(axis=(1, 2)).mean())
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
