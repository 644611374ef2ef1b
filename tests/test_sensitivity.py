"""Responses, what-if, wider priors, sources left out."""

import dataclasses
import time

import numpy as np
import pytest

import imps
from imps.errors import PriorError, SourceError
from imps.posterior.exact import GaussianPosterior
from imps.results.sensitivity import without_rows
from imps.results.verdict import Verdict

PREVIEW_SECONDS = 0.001  # "at most 1 ms for a changed prior"
REFIT = 0.03  # posterior sds: two grids over the scales
AGREEMENT = 1e-6  # relative: the same posterior by two routes


def test_response_is_the_posterior_mean_of_planted_errors(fitted):
    """One row, checked by planting the error in data without noise."""
    table = imps.response_table(fitted)
    model, h = fitted.model, fitted.draws["log_scale"].mean(("chain", "draw")).values
    factors = model.scale_factors(h)
    part = next(c for c in model.contributions if c.source == "emigration_bias")
    q = model.matrix(part.value.sum()) * factors
    z = np.where(model.of_source("emigration_bias"), q, 0.0)
    z *= 100_000 / (z @ q)
    planted = model.offset + model.design @ (factors * z)
    with_error, _ = GaussianPosterior(model, planted).moments(h)
    without, _ = GaussianPosterior(model, model.offset).moments(h)
    names = GaussianPosterior(model).names
    for source in table.columns:
        moved = (with_error - without)[names.index(f"gap[{source}]")]
        assert table.loc["emigration_bias", source] == pytest.approx(moved, rel=1e-6, abs=1e-3)


def test_with_totals_only_every_source_answers_alike(fitted):
    """Two totals cannot tell sources apart: rows of the response table are nearly equal."""
    table = imps.response_table(fitted)
    assert np.ptp(table["base"].loc[["base", "emigration_bias", "census_coverage"]]) < 10_000


def test_with_ages_a_source_answers_mostly_for_itself():
    simulated = imps.simulate_account("2001", seed=1)
    model = imps.linear_model(simulated.sources, imps.default_priors())
    table = imps.response_table(imps.fit(model, seed=1, draws=200))
    assert table.loc["base", "base"] > 2 * table.loc["emigration_bias", "base"]
    assert table.loc["base", "base"] > 50_000  # of 100 thousand; the census has the same rows


def test_what_if_equals_a_new_model_at_the_same_scales(fitted, sources):
    preview = imps.what_if(fitted)
    found = preview(emigration_bias_level=2.0)
    priors = imps.default_priors().widen("emigration_bias_level", 2)
    changed = GaussianPosterior(imps.linear_model(sources, priors))
    mean, variance = changed.moments(preview.scales)
    np.testing.assert_allclose(found["mean"], mean, rtol=AGREEMENT, atol=1e-2)
    np.testing.assert_allclose(found["sd"], np.sqrt(variance), rtol=1e-5, atol=1e-2)
    with pytest.raises(PriorError, match="no block of latent variables is called 'emigrtion'"):
        preview(emigrtion=2.0)


def test_what_if_takes_changes_together_narrower_and_of_whole_fields(fitted, sources):
    """More latent variables than rows, and an sd that shrinks: the same low-rank formula."""
    preview = imps.what_if(fitted)
    changes = {"emigration_bias": 0.5, "base": 3.0, "census": 1.0, "immigration_age_years": 1.5}
    priors = imps.default_priors()
    for name, factor in changes.items():
        priors = priors.widen(name, factor)
    mean, sd = preview.moments(preview.changes(changes))
    expected, variance = GaussianPosterior(imps.linear_model(sources, priors)).moments(
        preview.scales
    )
    np.testing.assert_allclose(mean, expected, rtol=AGREEMENT, atol=1e-2)
    np.testing.assert_allclose(sd, np.sqrt(variance), rtol=1e-5, atol=1e-2)


def test_a_refit_ends_where_a_cold_fit_does(fitted):
    """Beginning near another posterior changes the search for the scales, not the answer."""
    priors = fitted.model.priors.widen("emigration_bias", 2)
    near = imps.refit(fitted, priors, chains=4)
    cold = imps.fit(near.model, seed=fitted.seed, draws=500)
    a, b = (f.extras["exact_moments"].set_index("quantity") for f in (near, cold))
    moving = b["sd"] > 1
    assert (np.abs(a["mean"] - b["mean"]) / b["sd"])[moving].max() < 0.03
    assert np.abs(a["sd"] / b["sd"] - 1)[moving].max() < 0.05
    assert near.settings["near_another_fit"] and "near_another_fit" not in cold.settings
    few = dataclasses.replace(fitted, draws=fitted.draws.isel(scale=slice(1, None)))
    with pytest.raises(PriorError, match="near: that fit has the scales"):
        imps.refit(few, priors)


def test_what_if_is_quick(fitted):
    preview = imps.what_if(fitted)
    change = preview.changes({"base": 2.0})
    times = []
    for _ in range(30):
        start = time.perf_counter()
        preview.moments(change)
        times.append(time.perf_counter() - start)
    assert min(times) < PREVIEW_SECONDS


def test_rows_of_a_source_can_be_left_out(fitted):
    table = imps.left_out(fitted)
    assert set(table["left_out"]) == {"immigration", "emigration", "census"}
    without = table.set_index(["left_out", "group"]).loc[("census", "base")]
    base = next(c for c in fitted.model.contributions if c.source == "base")
    expected = float(fitted.model.prior_moments(base.prior.sum())[0])
    assert abs(without["mean_without"] - expected) < 1.0  # without a census nothing is learnt
    with pytest.raises(SourceError, match="no rows of the likelihood come from 'register'"):
        without_rows(fitted.model, "register")


def test_wider_priors_are_refits_and_agree_with_the_preview(fitted):
    """With two totals the scales hardly move: refits at 2 and 4 times against one solve each."""
    table = imps.widened(fitted, names=("base",), draws=200).set_index("factor")
    assert table.index.tolist() == [1.0, 2.0, 4.0]
    assert Verdict.of(table) == imps.check(fitted).verdict
    preview = imps.what_if(fitted)
    for factor in (2.0, 4.0):
        found = preview(base=factor).set_index("quantity").loc["gap[base]"]
        assert abs(table.loc[factor, "base"] - found["mean"]) < REFIT * found["sd"]
    assert table["base"].is_monotonic_increasing
    assert table.loc[4.0, "base"] > table.loc[1.0, "base"] + 300_000  # the split is the prior's
    groups = table.drop(columns="prior").sum(axis=1)
    np.testing.assert_allclose(groups, fitted.model.sources.gap, atol=1.0)


def test_null_experiment_attributes_nothing():
    """A gap that is nothing: every 90 % interval holds zero, and the report says so."""
    outside = 0
    for seed in range(5):
        simulated = imps.simulate_account("null", seed=seed)
        model = imps.linear_model(simulated.sources, imps.default_priors())
        attribution = imps.attribute(imps.fit(model, seed=seed, draws=600, chains=2))
        table = attribution.summary(prob=0.90)
        moving = table[table["prior_sd"] > 0]
        outside += int(((moving["lower90"] > 0) | (moving["upper90"] < 0)).sum())
        assert "nothing to explain" in str(attribution.verdict)
    assert outside == 0
