"""The back-tests themselves: scores, rivals, and a census that the model has not seen."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

import imps

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import bench_backtests as backtests


def test_score_of_normal_draws_is_the_closed_form(rng):
    """Gneiting and Raftery (2007), equation 5."""
    actual, mean, sd = np.array([0.0, 150.0, -400.0]), 20.0, 100.0
    draws = rng.normal(mean, sd, (40_000, 3))
    z = (actual - mean) / sd
    exact = sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    np.testing.assert_allclose(backtests.crps(draws, actual), exact, rtol=0.02)
    np.testing.assert_allclose(backtests.crps(np.array([[7.0, 7.0]]), np.array([0.0, 9.0])), [7, 2])


def test_coverage_and_the_chance_of_it(rng):
    """Cells that are all one error are inside together or not at all."""
    draws = rng.standard_normal((4000, 1)) * np.ones(50)
    assert backtests.inside(draws, np.full(50, 1.6), 90) == 1
    assert backtests.inside(draws, np.full(50, 1.7), 90) == 0
    row = backtests.chance("case", "ages", draws, np.full(50, 1.7))
    assert row["coverage90"] == pytest.approx(0.10, abs=0.01)
    apart = rng.standard_normal((4000, 50))
    assert backtests.chance("case", "ages", apart, np.full(50, 1.7))["coverage90"] < 0.001


def test_least_squares_shares_the_gap_by_stated_variances(model):
    """Stone with independent errors: each piece is its share of the variance, contracted so."""
    sources = model.sources
    parts = {c.source: c for c in model.contributions}
    known = parts["flows_revised_since"].value.sum().constant
    gap = sources.gap - float(known) - float(parts["date_change"].value.sum().constant)
    stated = {
        "base": backtests.STATED_FOR_STOCKS * sources.base.total,
        "census": sources.census.relative_standard_error * sources.census.total,
    }
    for flow in ("immigration", "emigration"):
        prior = parts[f"{flow}_sampling"].prior.sum()
        stated[flow] = float(model.prior_moments(prior)[1])
    variance = {name: se**2 for name, se in stated.items()}
    variance["migration"] = variance.pop("immigration") + variance.pop("emigration")
    whole = sum(variance.values())
    found = backtests.balanced(model)["least squares (Stone)"]
    for name, (mean, sd) in found.items():
        assert mean == pytest.approx(gap * variance[name] / whole, rel=1e-6)
        assert sd**2 == pytest.approx(variance[name] * (1 - variance[name] / whole), rel=1e-6)


def test_prediction_does_not_move_with_the_census_that_it_predicts():
    """A census that counted 2 % more, young adults 10 % more: the open end knows nothing of it."""
    case = imps.load_case("england-wales-2001-2011")
    count = case.sources.census.count * 1.02
    count[:, 20:35] *= 1.1
    other = dataclasses.replace(
        case.sources, census=dataclasses.replace(case.sources.census, count=count)
    )
    found = []
    for sources in (case.sources, other):
        model = imps.linear_model(imps.open_end(sources), imps.default_priors())
        fit = imps.fit(model, seed=1, draws=200, chains=2, progress=False)
        found.append(imps.predicted_census(fit, date=sources.census.date).count.values)
    np.testing.assert_array_equal(found[1], found[0])
