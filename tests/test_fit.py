"""Fits: seeds, methods, checks and the verdict."""

import dataclasses

import numpy as np
import pytest

import imps
from imps.errors import NotFittedError, PriorError
from imps.results.checks import DO_NOT_USE, USABLE, WITH_CARE
from imps.simulation.simulate import Scenario


def test_same_seed_same_draws(model, fitted):
    again = imps.fit(model, seed=1, draws=500)
    np.testing.assert_array_equal(again.draws["latent"].values, fitted.draws["latent"].values)
    other = imps.fit(model, seed=2, draws=500)
    assert not np.array_equal(other.draws["latent"].values, fitted.draws["latent"].values)


def test_shape_names_and_precision(fitted, model):
    assert dict(fitted.draws.sizes) == {
        "chain": 4, "draw": 500, "scale": len(model.scale_names), "latent_name": model.n_latent,
    }  # fmt: skip
    assert fitted.draws["latent"].dtype == np.float64
    assert fitted.draws["latent_name"].values[0].endswith(" 1")
    assert len(repr(fitted).splitlines()) <= 10


def test_unknown_method_is_refused(model):
    with pytest.raises(PriorError, match="method is 'vb'"):
        imps.fit(model, seed=1, method="vb")


def test_shipped_case_passes_its_checks(fitted):
    checks = imps.check(fitted)
    assert checks.verdict == USABLE
    assert checks.passed
    assert checks.table["r_hat"].max() <= 1.01
    assert checks.table[["ess_bulk", "ess_tail"]].min().min() >= 400
    assert checks.divergences == 0
    assert checks.effective_points >= 128
    scales = [q for q in checks.table["quantity"] if q.startswith("log_scale")]
    assert len(scales) == len(fitted.model.scale_names)
    assert checks.line in repr(checks)


def test_the_line_has_one_next_step_and_a_real_gap_is_not_chance(fitted):
    checks = imps.check(fitted)
    assert not checks.nothing_to_explain
    assert checks.line.startswith("usable; next: ")
    assert checks.line.count("next:") == 1
    assert checks.short == checks.line.split("; R-hat")[0]


def test_opposite_errors_of_the_sexes_are_not_nothing():
    """A small total that hides an excess of men and a lack of women is something."""
    from imps.results.checks import nothing_to_explain

    simulated = imps.simulate_account(Scenario(base_young=(0.08, -0.08)), seed=2)
    model = imps.linear_model(simulated.sources, imps.default_priors())
    found = imps.fit(model, seed=1, draws=400, chains=1)
    assert not nothing_to_explain(model, found.latents())


def test_tension_and_sources_that_trade_off_are_named(fitted):
    shifted = fitted.model.priors.replace(base_level=(-0.03, 0.002))
    model = imps.linear_model(fitted.model.sources, shifted)
    checks = imps.check(imps.fit(model, seed=1))
    assert checks.verdict == WITH_CARE
    assert "prior standard deviations off its prior mean" in checks.line
    assert checks.causes[0].source in checks.line
    wide = fitted.model.priors.widen("base", 10).widen("census", 10)
    checks = imps.check(imps.fit(imps.linear_model(fitted.model.sources, wide), seed=1))
    assert "base and census_coverage" in {cause.source for cause in checks.causes}
    assert checks.next_step == "report them as one group"


def test_chains_that_disagree_are_not_used(fitted):
    draws = fitted.draws.copy(deep=True)
    draws["latent"].values[0] += 1.0
    checks = imps.check(dataclasses.replace(fitted, draws=draws))
    assert checks.verdict == DO_NOT_USE
    assert not checks.passed
    assert "have not converged" in checks.line
    result = imps.attribute(dataclasses.replace(fitted, draws=draws))
    assert DO_NOT_USE in repr(result)


def test_a_misplaced_census_is_a_misfit(sources):
    """Survey cells ten times too large in one year do not hide in a scale."""
    estimate = sources.immigration.estimate.copy()
    estimate.loc[{"year": 1995}] *= 4
    survey = dataclasses.replace(sources.immigration, estimate=estimate)
    tim = sources.total_migration.copy()
    tim.loc[{"flow": "immigration", "year": 1995}] += float(
        (estimate - sources.immigration.estimate).sum()
    )
    broken = dataclasses.replace(sources, immigration=survey, total_migration=tim)
    model = imps.linear_model(broken, imps.default_priors())
    checks = imps.check(imps.fit(model, seed=1, method="exact", draws=500))
    assert checks.verdict != USABLE
    assert "immigration" in checks.line


def test_results_need_a_fit(model):
    for function in (imps.check, imps.attribute, imps.reconcile):
        with pytest.raises(NotFittedError, match=rf"{function.__name__}\(\) needs a fit"):
            function(model)


def test_prior_predictive_has_the_exact_prior_moments(model, sources):
    found = imps.prior_predictive(model, seed=1, draws=20_000)
    table = found.summary().set_index("quantity")
    for part in model.contributions:
        mean, sd = model.prior_moments(part.prior.sum())
        assert abs(table.loc[part.source, "mean"] - mean) < 4 * float(sd) / np.sqrt(20_000) + 1e-6
        assert table.loc[part.source, "sd"] == pytest.approx(float(sd), rel=0.04, abs=1e-6)
    assert table.loc["gap", "lower95"] < sources.gap < table.loc["gap", "upper95"]
    assert "published +1,243,460" in repr(found)
