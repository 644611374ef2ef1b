"""The attribution: sums, groups, prior beside posterior, invariances."""

import numpy as np
import pytest

import imps
from imps.errors import LabelError
from imps.results.attribution import COLUMNS

TOTAL = 1e-6


def test_contributions_sum_to_the_gap_at_every_aggregation(attribution, sources):
    draws = attribution.contributions.sum("source")
    assert float(abs(draws.sum(("sex", "age")) - sources.gap).max()) < TOTAL
    assert float(abs(draws - attribution.gap).max()) < TOTAL
    assert float(abs(draws.sum("age") - attribution.gap.sum("age")).max()) < TOTAL
    assert attribution.contributions.dtype == np.float64
    table = attribution.summary()
    assert table["mean"].sum() == pytest.approx(sources.gap, abs=1e-3)
    assert attribution.groups()["mean"].sum() == pytest.approx(sources.gap, abs=1e-3)


def test_table_has_the_fixed_columns(attribution):
    table = attribution.summary()
    assert list(table.columns) == COLUMNS
    assert list(attribution.groups().columns) == COLUMNS[1:]
    assert (table["lower95"] <= table["upper95"]).all()
    assert list(attribution.summary(prob=0.9).columns)[4:6] == ["lower90", "upper90"]


def test_only_totals_were_observed_and_it_says_so(attribution):
    assert attribution.observed == "total"
    by_sex = attribution.summary(by=("source", "sex"))
    assert not by_sex["observed"].any()
    assert len(by_sex) == 2 * len(attribution.prior)
    with pytest.raises(LabelError, match="expected 'source'"):
        attribution.summary(by=("age",))


def test_two_totals_leave_the_split_to_the_prior(attribution):
    table = attribution.summary().set_index("source")
    assert (table.loc[["base", "emigration_bias", "census_coverage"], "contraction"] < 0.5).all()
    assert np.isnan(table.loc["flows_revised_since", "contraction"])
    assert table.loc["flows_revised_since", "sd"] < 1e-6
    assert table.loc["flows_revised_since", "mean"] == pytest.approx(427_639, abs=1)


def test_posterior_share_follows_prior_variance(attribution):
    """With one total, the share of the surprise is the share of the prior variance."""
    table = attribution.summary().set_index("source")
    big = ["base", "immigration_bias", "emigration_bias", "census_coverage", "visitor_switchers"]
    shift = table.loc[big, "mean"] - table.loc[big, "prior_mean"]
    share = shift / table.loc[big, "prior_sd"] ** 2
    assert share.max() / share.min() < 1.15


def test_repr_is_short_and_carries_the_verdict(attribution):
    text = repr(attribution)
    assert len(text.splitlines()) <= 10
    assert "usable" in text
    assert "rolled-forward minus census" in text
    for group in ("Population base", "All migration", "Census", "Flows revised", "Residual"):
        assert group in text


def test_correlations_are_those_of_a_sum_constraint(attribution):
    corr = attribution.correlations()
    assert corr.loc["base", "emigration_bias"] < -0.3
    np.testing.assert_allclose(np.diag(corr), 1.0)


def test_a_wider_prior_takes_more_of_the_gap(sources, attribution):
    wide = imps.default_priors().widen("base", 2)
    fit = imps.fit(imps.linear_model(sources, wide), seed=1, draws=500)
    table = imps.attribute(fit).summary().set_index("source")
    before = attribution.summary().set_index("source")
    assert table.loc["base", "mean"] > before.loc["base", "mean"] + 100_000
    assert table.loc["census_coverage", "mean"] < before.loc["census_coverage", "mean"]


def test_rounding_error_is_no_uncertainty():
    """Flows published by mid-year need no conversion: known to be nothing, not 20 % learnt."""
    case = imps.load_case("england-wales-2011-2021")
    model = imps.linear_model(case.sources, imps.default_priors())
    table = imps.attribute(imps.fit(model, seed=1, method="exact", draws=200)).summary()
    row = table.set_index("source").loc["period_conversion"]
    assert row["prior_sd"] == 0
    assert np.isnan(row["contraction"])
