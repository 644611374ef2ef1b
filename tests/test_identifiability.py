"""What the data tell apart, and power-scaling against plain re-solving."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import imps
from imps.account.variant import Variant
from imps.errors import PriorError
from imps.plots import caption, plot_waterfall
from imps.posterior.exact import GaussianPosterior
from imps.results.attribution import PRIOR_DRIVEN, informed
from imps.results.identifiability import _condition_number, _groups
from imps.sources.kinds import title
from imps.tables.fit import attribution_table, resting_on

POWERS = (0.8, 1.0, 1.25)
REFIT = {"prior": 0.03, "likelihood": 0.15}  # posterior sds: grid; the scales follow a survey
STEP = 0.01  # of log2(alpha), both sides: the derivative to a relative error of 1e-4
AGREEMENT = 1e-3


@pytest.fixture(scope="module")
def scaling(fitted):
    return imps.power_scaling(fitted)


def moments(model, h):
    mean, variance = GaussianPosterior(model).moments(h)
    return mean, np.sqrt(variance)


def row_of(scaling, component, of):
    rows = scaling[(scaling["component"] == component) & (scaling["of"] == of)]
    return rows.set_index("quantity")


def test_power_of_a_prior_is_its_spread(fitted, scaling):
    """Normal(m, s^2) to the power alpha is Normal(m, s^2 / alpha)."""
    preview = imps.what_if(fitted)
    up, down = (
        preview(emigration_bias=2 ** (-log2 / 2)).set_index("quantity") for log2 in (STEP, -STEP)
    )
    found = row_of(scaling, "prior", "emigration_bias")
    slope = (up["mean"] - down["mean"])[found.index] / (2 * STEP)
    np.testing.assert_allclose(found["shift"], slope, rtol=AGREEMENT, atol=0.5)
    assert found.loc["gap[emigration_bias]", "shift"] < -10_000  # drawn back to the prior mean


def test_power_of_a_likelihood_is_its_error(fitted, scaling):
    model, h = fitted.model, fitted.draws["log_scale"].mean(("chain", "draw")).values
    rows = np.array(model.row_sources) == "emigration"
    names = GaussianPosterior(model).names
    ends = []
    for log2 in (STEP, -STEP):
        error = np.where(rows, 2 ** (-log2 / 2), 1.0) * model.standard_error
        ends.append(moments(dataclasses.replace(model, standard_error=error), h))
    found = row_of(scaling, "likelihood", "emigration")
    at = [names.index(q) for q in found.index]
    slope = (ends[0][0] - ends[1][0])[at] / (2 * STEP)
    narrower = np.log(ends[0][1][at] / ends[1][1][at]) / (2 * STEP)
    np.testing.assert_allclose(found["shift"], slope, rtol=AGREEMENT, atol=0.5)
    np.testing.assert_allclose(found["sd_change"], narrower, rtol=AGREEMENT, atol=1e-5)


def refitted(fitted, component, of, power):
    """Exact means of all sources after a full fit in which prior or figures have a power."""
    model = fitted.model
    if component == "prior":
        model = imps.linear_model(model.sources, model.priors.widen(of, power**-0.5))
    else:
        factor = np.where(np.array(model.row_sources) == of, power**-0.5, 1.0)
        model = dataclasses.replace(model, standard_error=factor * model.standard_error)
    found = imps.attribute(imps.fit(model, seed=1, draws=500, chains=1, progress=False))
    return found.summary().set_index("source")


@pytest.mark.parametrize(
    ("component", "of"), [("prior", "emigration_bias"), ("likelihood", "emigration")]
)
def test_power_scaling_agrees_with_refits_at_three_scales(fitted, scaling, component, of):
    """Slope over log2(alpha) of full refits, scales integrated anew, against one solve."""
    log2 = np.log2(POWERS)
    tables = [refitted(fitted, component, of, power) for power in POWERS]
    slope = sum(x * table["mean"] for x, table in zip(log2, tables, strict=True)) / (log2 @ log2)
    row = row_of(scaling, component, of)
    row = row[row.index.str.startswith("gap[")].rename(index=lambda q: q[4:-1])
    off = (row["shift"] - slope[row.index]) / tables[1].loc[row.index, "sd"]
    assert off.abs().max() < REFIT[component], off
    if component == "prior":
        assert slope[of] < -50_000  # nothing would agree with nothing


def test_condition_number_is_that_of_the_angle():
    """Two signatures at cosine c: the root of (1 + c) / (1 - c)."""
    for cosine in (0.0, 0.71, 0.94, 0.98):
        unit = np.array([[1.0, cosine], [0.0, np.sqrt(1 - cosine**2)], [0.0, 0.0]])
        expected = np.sqrt((1 + cosine) / (1 - cosine))
        assert _condition_number(unit) == pytest.approx(expected, rel=1e-9)
    assert _condition_number(np.array([[1.0, 1.0], [0.0, 0.0]])) == float("inf")
    assert _condition_number(np.array([[1.0, 0.6, 0.0], [0.0, 0.8, 1.0]])) == float("inf")


def test_groups_are_proposed_for_correlation_or_alike_signatures():
    names = list("abcde")
    correlations = pd.DataFrame(np.eye(5), names, names)
    cosines = correlations.copy()
    correlations.loc["a", "b"] = correlations.loc["b", "a"] = -0.91
    cosines.loc["b", "c"] = cosines.loc["c", "b"] = 0.95
    correlations.loc["d", "e"] = correlations.loc["e", "d"] = 0.89
    assert _groups(correlations, cosines) == (("a", "b", "c"),)


def test_base_hangs_on_its_prior_and_not_on_the_survey(scaling):
    rows = scaling[scaling["quantity"] == "gap[base]"].set_index(["component", "of"])
    assert rows.loc[("prior", "base"), "sensitive"]
    assert not rows.loc[("likelihood", "immigration"), "sensitive"]


def test_one_total_cannot_tell_sources_apart(fitted):
    found = imps.identifiability(fitted)
    (group,) = found.together
    assert {"base", "emigration_bias", "census_coverage"} <= set(group)
    assert found.condition_number > 1e6
    assert abs(found.cosines.loc["base", "census_coverage"]) > 0.999
    assert str(found.verdict) in repr(found)


def test_table_agrees_with_the_attribution(fitted, attribution):
    table = imps.identifiability(fitted, attribution=attribution).table.set_index("source")
    summary = attribution.summary().set_index("source").loc[table.index]
    np.testing.assert_allclose(table["contraction"], summary["contraction"])
    shift = (summary["mean"] - summary["prior_mean"]) / summary["prior_sd"]
    np.testing.assert_allclose(table["tension"], shift)
    assert (table.loc[table["informed"] == "prior-driven", "contraction"] < PRIOR_DRIVEN).all()
    assert (table.loc[table["informed"] == "data-informed", "contraction"] >= PRIOR_DRIVEN).all()
    assert table["informed"].equals(summary["informed"]), "one scale of words in tables and here"
    for name in table.index[table["informed"] == "prior-driven"]:
        assert title(name).lower() in resting_on(attribution, "prior-driven").lower()
    corr = attribution.correlations()
    for source, row in table[table["signal"] > 0].iterrows():
        assert row["correlation"] == pytest.approx(corr.loc[source, row["other"]])


def test_ages_at_both_ends_separate_what_totals_cannot():
    """Deaths lie at high ages and migration at young ones: their signatures part."""
    simulated = imps.simulate_account("2001", seed=1)
    model = imps.linear_model(simulated.sources, imps.default_priors())
    found = imps.identifiability(imps.fit(model, seed=1, draws=200, chains=1))
    assert abs(found.cosines.loc["deaths", "emigration_bias"]) < 0.6
    assert abs(found.cosines.loc["immigration_bias", "emigration_bias"]) > 0.7
    assert np.isfinite(found.condition_number)


def test_variants_are_refused(fitted):
    variant = dataclasses.replace(fitted, variant=Variant(likelihood="student_t"))
    for function in (imps.identifiability, imps.power_scaling):
        with pytest.raises(PriorError, match="works on the Gaussian model only"):
            function(variant)


def test_one_scale_of_words():
    rows = {  # mean, prior_sd, contraction
        "known": (5.0, 0.0, np.nan),
        "prior-driven": (15.0, 10.0, 0.49),
        "data-informed": (15.0, 10.0, 0.5),
        "against its prior": (-21.0, 10.0, 0.9),  # two prior sds are allowed
    }
    table = pd.DataFrame(rows.values(), columns=["mean", "prior_sd", "contraction"])
    table["prior_mean"] = 0.0
    assert list(informed(table)) == list(rows)
    wider = table.iloc[[1]].assign(contraction=-0.21)  # less sure than the prior was
    assert list(informed(wider)) == ["against its prior"]
    chance = table.iloc[[1]].assign(contraction=-0.04)  # a known one, by the error of its draws
    assert list(informed(chance)) == ["prior-driven"]


def test_a_source_against_its_prior_is_called_so_everywhere(fitted):
    """A gap that narrow priors did not foresee: no star for a prior that decides nothing."""
    priors = imps.default_priors()
    for family in ("base", "immigration_bias", "emigration_bias", "census"):
        priors = priors.widen(family, 0.05)
    fit = imps.fit(imps.linear_model(fitted.model.sources, priors), seed=1, draws=200)
    found = imps.attribute(fit)
    table = found.summary().set_index("source")
    far = (table["mean"] - table["prior_mean"]).abs() > 2 * table["prior_sd"]
    far &= table["prior_sd"] > 0
    assert far.any()
    assert set(table.index[table["informed"] == "against its prior"]) >= set(table.index[far])
    assert "against its prior" in repr(found)
    drawn = plot_waterfall(found)
    assert "Dagger: against its prior" in caption(drawn)
    assert sum(text.get_text().endswith("†") for text in drawn.axes[0].texts) >= far.sum()
    assert "Against their priors" in " ".join(attribution_table(found).notes)
