"""Closure by sex and age, attribution by sex, net and gross, back-series, new base."""

import numpy as np
import pytest

import imps
import imps.tables as account_tables
from imps.account.gap import rolled_forward_cells
from imps.results.attribution import AFTER_THE_FACT
from imps.tables.run import run_tables

ROUNDED = 200.0  # persons: published totals by sex are rounded to 100 each
EXACT = 1e-3  # persons: sums of the same floats
MONTE_CARLO = 5.0  # standard errors between an exact mean and that of the draws


@pytest.fixture(scope="module")
def by_sex():
    """The case whose roll-forward was published by sex, fitted."""
    case = imps.load_case("england-wales-2011-2021")
    fit = imps.fit(imps.linear_model(case.sources, imps.default_priors()), seed=1, draws=200)
    checks = imps.check(fit)
    shares = imps.attribute(fit, checks=checks)
    return case, fit, shares, imps.reconcile(fit, checks=checks)


def test_closure_by_sex_and_age_adds_up_both_ways(fitted, attribution, by_sex):
    for fit, shares in ((fitted, attribution), by_sex[1:3]):
        frame = account_tables.closure_by_age_table(fit, shares).frame.set_index(["sex", "age"])
        parts = list(frame.columns[: list(frame.columns).index("rolled_forward")])
        np.testing.assert_allclose(frame[parts].sum(axis=1), frame["rolled_forward"], atol=EXACT)
        np.testing.assert_allclose(
            frame["rolled_forward"] - frame["census"], frame["gap"], atol=EXACT
        )
        whole = frame.loc[("both", "all")]
        assert whole["gap"] == pytest.approx(fit.model.sources.gap, abs=1.0)
        assert whole["births"] == pytest.approx(float(fit.model.sources.births.count.sum()))
        assert whole["deaths"] == pytest.approx(-float(fit.model.sources.deaths.count.sum()))
        bands = frame.drop(index=[("male", "all"), ("female", "all"), ("both", "all")])
        np.testing.assert_allclose(bands.sum()[parts], whole[parts].astype(float), atol=EXACT)


def test_gap_by_sex_is_the_published_one_where_it_was_published(by_sex):
    case, _, shares, _ = by_sex
    sources = case.sources
    published = sources.rolled_forward.by_sex - sources.census.count.sum("age")
    found = shares.gap.sum("age")
    for sex in ("male", "female"):
        assert float(found.sel(sex=sex)) == pytest.approx(
            float(published.sel(sex=sex)), abs=ROUNDED
        )
    assert float(found.sum()) == pytest.approx(sources.gap, abs=EXACT)  # the total stands
    table = account_tables.by_sex_table(shares).frame.set_index("source")
    for name in ("men", "women"):
        assert table[name].drop("gap").sum() == pytest.approx(table.loc["gap", name], abs=1.0)


def test_gap_by_age_is_the_published_one_where_it_was_published(case, fitted):
    """A roll-forward published by sex and age at the end is taken as it is, cell by cell."""
    from dataclasses import replace

    cells = rolled_forward_cells(fitted.model.account)
    rng = np.random.default_rng(1)
    moved = cells + rng.normal(0, 500, cells.shape)
    moved += (cells.sum() - moved.sum()) / cells.size
    sources = case.sources
    detail = sources.census.count.copy(data=moved).expand_dims(year=[sources.last_year])
    rolled = replace(sources.rolled_forward, by_sex_and_age=detail)
    model = imps.linear_model(replace(sources, rolled_forward=rolled), imps.default_priors())
    np.testing.assert_allclose(rolled_forward_cells(model.account), moved, atol=EXACT)


def test_nothing_is_told_by_sex_where_the_last_stock_is_a_total(
    fitted, attribution, reconciliation, by_sex
):
    """The sampling error of a total has no sexes: +123 of men and -114 of women are none."""
    assert attribution.counted == "total"
    made = run_tables(fitted, attribution, reconciliation, imps.check(fitted))
    finer = run_tables(*by_sex[1:], imps.check(by_sex[1]))
    told = {"attribution_by_sex", "closure_by_sex_and_age"}
    assert not told & set(made) and told <= set(finer)
    rows = {
        name: set(t["net_and_gross"].frame["what"]) for name, t in (("", made), ("fine", finer))
    }
    assert "the gap, over sexes" in rows["fine"] - rows[""]


def test_net_and_gross(attribution, by_sex):
    frame = account_tables.net_and_gross_table(by_sex[2]).frame.set_index("what")
    gap = by_sex[2].gap
    assert frame.loc["the gap, over sexes", "gross"] == pytest.approx(
        float(np.abs(gap.sum("age")).sum())
    )
    for table in (frame, account_tables.net_and_gross_table(attribution).frame):
        assert (table["gross"] >= table["net"].abs() - EXACT).all()
    totals = np.abs(attribution.totals()).sum("source").mean()
    over = account_tables.net_and_gross_table(attribution).frame.set_index("what")
    assert over.loc["the gap, over sources", "gross"] == pytest.approx(float(totals))


def test_new_base_is_the_population_of_the_back_series(fitted, attribution, reconciliation, by_sex):
    """Census plus what came after it, and base plus flows, are the same people."""
    for fit, shares, stocks in ((fitted, attribution, reconciliation), by_sex[1:]):
        steps = shares.totals().sel(source=list(AFTER_THE_FACT)).sum("source")
        new = fit.model.sources.census.total + steps
        people = stocks.population.isel(year=-1).sum(("sex", "age"))
        np.testing.assert_allclose(new.values, people.values, atol=1.0)  # in every draw
        built = account_tables.new_base_table(fit, shares).frame.set_index("line")["persons"]
        series = account_tables.back_series_table(stocks).frame.iloc[-1]
        line = f"new base, mid-{fit.model.sources.last_year}"
        error = float(people.std()) / np.sqrt(people.size)
        assert built[line] == pytest.approx(series["revised"], abs=MONTE_CARLO * error)


def test_back_series_closes_with_every_change(by_sex):
    _, _, _, stocks = by_sex
    assert stocks.closure() < 1e-3
    assert float(np.abs(stocks.other_changes.sum())) > 1e3  # this case has known changes
    frame = account_tables.back_series_table(stocks).frame
    growth = np.diff(frame["revised"])[:-1]  # the residual enters in the last year
    names = ["births", "deaths", "net_migration", "other_changes"]
    np.testing.assert_allclose(growth, frame[names].sum(axis=1).to_numpy()[1:-1], atol=1.0)
