"""Fits: seeds, methods, checks and the verdict."""

import dataclasses
import json

import drawn_results
import numpy as np
import pandas as pd
import pytest

import imps
from imps.errors import NotFittedError, PriorError
from imps.results.checks import _bad_fits as bad_fits
from imps.results.verdict import DO_NOT_USE, USABLE, WITH_CARE, Cause, Verdict, together
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
    assert checks.verdict.level == USABLE
    assert checks.passed
    assert checks.table["r_hat"].max() <= 1.01
    assert checks.table[["ess_bulk", "ess_tail"]].min().min() >= 400
    assert checks.divergences == 0
    assert checks.effective_points >= 128
    scales = [q for q in checks.table["quantity"] if q.startswith("log_scale")]
    assert len(scales) == len(fitted.model.scale_names)
    assert str(checks.verdict) in repr(checks)


@pytest.mark.parametrize(("off", "level"), [(-8.0, WITH_CARE), (8.0, DO_NOT_USE)])
def test_a_scale_that_runs_away_takes_up_a_misfit_only_where_it_is_wide(fitted, off, level):
    """Figures that vary less than the prior expects are asked about; nothing hides in them."""
    draws = fitted.draws.copy(deep=True)
    draws["log_scale"][..., 0] += off - float(draws["log_scale"][..., 0].mean())
    verdict = imps.check(dataclasses.replace(fitted, draws=draws)).verdict
    assert verdict.level == level
    assert any(f"the scale is {off:+.1f} prior deviations out" in c.what for c in verdict.causes)


def test_the_line_has_one_next_step_and_a_real_gap_is_not_chance(fitted):
    checks = imps.check(fitted)
    assert not checks.nothing_to_explain
    assert str(checks.verdict).startswith("usable; next: ")
    assert str(checks.verdict).count("next:") == 1
    assert checks.short == str(checks.verdict).split("; R-hat")[0]


def test_opposite_errors_of_the_sexes_are_not_nothing():
    """A small total that hides an excess of men and a lack of women is something."""
    from imps.results.verdict import nothing_to_explain

    simulated = imps.simulate_account(Scenario(base_young=(0.08, -0.08)), seed=2)
    model = imps.linear_model(simulated.sources, imps.default_priors())
    found = imps.fit(model, seed=1, draws=400, chains=1)
    assert not nothing_to_explain(model, found.latents())


def test_tension_and_sources_that_trade_off_are_named(fitted):
    shifted = fitted.model.priors.replace(base_level=(-0.03, 0.002))
    model = imps.linear_model(fitted.model.sources, shifted)
    checks = imps.check(imps.fit(model, seed=1))
    assert checks.verdict.level == WITH_CARE
    said = " ".join(str(cause) for cause in checks.verdict.causes)
    assert "prior standard deviations off its prior mean" in said
    assert checks.verdict.causes[0].source in str(checks.verdict)
    wide = fitted.model.priors.widen("base", 10).widen("census", 10)
    checks = imps.check(imps.fit(imps.linear_model(fitted.model.sources, wide), seed=1))
    assert "base and census_coverage" in {cause.source for cause in checks.verdict.causes}
    assert checks.verdict.next_step == "report them as one group"


def test_chains_that_disagree_are_not_used(fitted):
    draws = fitted.draws.copy(deep=True)
    draws["latent"].values[0] += 1.0
    checks = imps.check(dataclasses.replace(fitted, draws=draws))
    assert checks.verdict.level == DO_NOT_USE
    assert not checks.passed
    assert "have not converged" in str(checks.verdict)
    result = imps.attribute(dataclasses.replace(fitted, draws=draws))
    assert DO_NOT_USE in repr(result)


def test_a_figure_that_fits_badly_is_named_with_cell_and_file_and_one_chain_is_not_usable(sources):
    estimate = sources.immigration.estimate.copy()
    estimate.loc[{"year": 1996, "sex": "female", "age_group": "25-44"}] *= 6
    survey = dataclasses.replace(sources.immigration, estimate=estimate)
    tim = sources.total_migration.copy()
    tim.loc[{"flow": "immigration", "year": 1996}] += float(
        (estimate - sources.immigration.estimate).sum()
    )
    broken = dataclasses.replace(sources, immigration=survey, total_migration=tim)
    model = imps.linear_model(broken, imps.default_priors())
    checks = imps.check(imps.fit(model, seed=1, draws=400, chains=1))
    said = " ".join(str(cause) for cause in checks.verdict.causes)
    assert "draws: there is one chain" in said and "R-hat unknown" in str(checks.verdict)
    assert "most of all for 'immigration 1996 female 25-44' (ips_2013)" in said


def test_a_single_residual_that_chance_does_not_make_asks_for_care(fitted):
    misfit = imps.check(fitted).misfit.copy()
    assert not bad_fits(fitted, misfit)
    misfit.loc[misfit["source"] == "census", "worst_residual"] = -6.0
    (cause,) = bad_fits(fitted, misfit)
    assert cause.what == ("one figure fits badly: 'census' (census_2001) is -6.0 standard errors "
                          "off, 4.6 are allowed")  # fmt: skip


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
    assert checks.verdict.level != USABLE
    assert "immigration" in str(checks.verdict)


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


def test_checks_are_made_once_a_fit(monkeypatch):
    from imps.results import checks

    calls, diagnose = [], checks.diagnose
    monkeypatch.setattr(checks, "diagnose", lambda x: calls.append(1) or diagnose(x))
    sources = imps.load_case("uk-1991-2001").sources
    found = imps.fit(imps.linear_model(sources, imps.default_priors()), seed=3, draws=50, chains=2)
    assert imps.attribute(found).verdict is imps.reconcile(found).verdict
    assert imps.check(found) is imps.check(found) and len(calls) == 1
    stale = dataclasses.replace(found, stale=("the inputs changed",))
    assert "STALE: the inputs changed" in str(imps.check(stale).verdict), "a fit of its own"


def test_a_verdict_travels_whole_and_is_never_read_back_from_its_words():
    """Also on a plain table, as plain values that a file format of tables can keep."""
    long = Cause("immigration", "fits " + "very " * 60 + "badly", "look at its row '9'")
    verdict = Verdict(WITH_CARE, (long, Cause("saved fit", "STALE: x", "fit again")), False,
                      long.next_step, "R-hat at most 1.001")  # fmt: skip
    assert str(verdict) == (
        f"use with care: {long} (and 1 more); saved fit: STALE: x; next: look at its row '9'; "
        "R-hat at most 1.001"
    )
    assert str(verdict) in repr(drawn_results.attribution(verdict))
    table = verdict.put_on(pd.DataFrame({"x": [1.0]}))
    assert Verdict.of(table) == verdict and json.loads(json.dumps(table.attrs))
    table.attrs["verdict"] = "do not use: written by an earlier release; next: fit again"
    assert str(Verdict.of(table)) == table.attrs["verdict"] and not Verdict.of(table).usable
    assert Verdict.of(pd.DataFrame()) is None


def test_sets_of_priors_that_differ_show_the_gravest_verdict():
    """A usable fit before it hid the others."""
    care = Verdict(WITH_CARE, (Cause("base", "is off", "ask why"),), next_step="ask why")
    both = together({"a": Verdict(USABLE, next_step="read on"), "b": care})
    assert both.brief == "use with care: b, base: is off; next: ask why"
    assert together({"a": care, "b": care}).short == care.short
