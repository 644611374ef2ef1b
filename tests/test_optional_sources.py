"""Sources a user asks for: errors of known changes, censuses that missed the same people."""

import numpy as np
import pytest

import imps
from imps.errors import PriorError
from imps.results.sensitivity import WhatIf


@pytest.fixture(scope="module")
def sources_2021():
    return imps.load_case("england-wales-2011-2021").sources


def contribution(model, name):
    return next(c for c in model.contributions if c.source == name)


def test_a_known_change_is_a_source_only_when_it_has_a_prior(sources_2021):
    plain = imps.linear_model(sources_2021, imps.default_priors())
    assert "cross_border" not in {c.source for c in plain.contributions}
    model = imps.linear_model(sources_2021, imps.default_priors("cross_border"))
    part = contribution(model, "cross_border")
    assert part.group == "other changes"
    counts = sources_2021.known_changes[0].count.values
    n = len(sources_2021.years)
    size, sd = np.abs(counts).mean(), model.priors["cross_border"].sd
    # the constant part alone moves the gap by sd * sqrt(0.7) * size in every year, less
    # what ages out of nothing: the open last age keeps everyone
    constant = part.value.sum().effects["cross_border constant"]
    assert constant == pytest.approx([sd * np.sqrt(0.7) * size * n], rel=1e-9)
    assert "gap[cross_border]" in model.reported


def test_contributions_still_sum_to_the_gap_with_every_option(sources_2021, rng):
    priors = imps.default_priors("cross_border").replace(census_correlation=(0.6, 0.0))
    model = imps.linear_model(sources_2021, priors)
    w = model.prior_draws(20, seed=1)
    total = sum(model.evaluate(c.value.sum(), w) for c in model.contributions)
    assert np.abs(total - sources_2021.gap).max() < 1e-6


def test_a_prior_for_a_change_that_is_not_there_is_refused(sources):
    with pytest.raises(PriorError, match="armed_forces belongs to no source"):
        imps.linear_model(sources, imps.default_priors("armed_forces"))
    with pytest.raises(PriorError, match="no optional prior is called army"):
        imps.default_priors("army")


def test_correlated_censuses_keep_each_prior_and_correlate_as_asked(sources):
    priors = imps.default_priors()
    plain = imps.linear_model(sources, priors)
    tied = imps.linear_model(sources, priors.replace(census_correlation=(0.5, 0.0)))
    for name in ("base", "census_coverage"):
        a, b = (m.prior_moments(contribution(m, name).prior.sum())[1] for m in (plain, tied))
        assert a == pytest.approx(b, rel=1e-12)
    base, census = (
        tied.account.base_error.sum().effects["base_level"],
        tied.account.census_undercount.sum().effects,
    )
    whole = np.concatenate([census["census_level"], census["base_level"]])
    correlation = base @ census["base_level"] / np.linalg.norm(base) / np.linalg.norm(whole)
    assert correlation == pytest.approx(-0.5)  # a base too low, a census too low


@pytest.mark.parametrize("value", [1.0, -1.2])
def test_a_correlation_outside_its_range_is_refused(sources, value):
    for name in ("census_correlation", "bias_correlation"):
        with pytest.raises(PriorError, match=rf"'{name}' is {value:g}: it must lie in \(-1, 1\)"):
            imps.linear_model(sources, imps.default_priors().replace(**{name: (value, 0.0)}))


def test_people_missed_twice_leave_less_of_the_gap_to_stocks(sources_2021):
    """Correlated errors cancel: their sum has a smaller prior, so migration answers for more."""
    sd = {}
    for c in (0.0, 0.8):
        priors = imps.default_priors().replace(census_correlation=(c, 0.0))
        model = imps.linear_model(sources_2021, priors)
        stocks = (
            contribution(model, "base").prior.sum()
            + contribution(model, "census_coverage").prior.sum()
        )
        sd[c] = float(model.prior_moments(stocks)[1])
    assert sd[0.8] < sd[0.0]


def test_a_what_if_refuses_a_prior_that_two_sources_share(sources):
    priors = imps.default_priors().replace(census_correlation=(0.5, 0.0))
    model = imps.linear_model(sources, priors)
    preview = WhatIf(model, np.zeros(len(model.scale_names)))
    with pytest.raises(PriorError, match="belongs to two errors that are correlated"):
        preview(base=2.0)
    assert preview(emigration_bias=2.0)["sd"].notna().all()


def bias(model, flow):
    return contribution(model, f"{flow}_bias").prior.sum()


def test_correlated_directions_keep_each_prior_and_correlate_as_asked(sources_2021):
    plain = imps.linear_model(sources_2021, imps.default_priors())
    priors = imps.default_priors().replace(bias_correlation={"mean": 0.8})
    tied = imps.linear_model(sources_2021, priors)
    for flow in ("immigration", "emigration"):
        a, b = (m.prior_moments(bias(m, flow))[1] for m in (plain, tied))
        assert a == pytest.approx(b, rel=1e-12)
    levels = {
        flow: np.array(
            [
                tied.account.flows[flow].bias.sum().effects.get(f"{of}_bias_level", np.zeros(1))[0]
                for of in ("immigration", "emigration")
            ]
        )
        for flow in ("immigration", "emigration")
    }
    a, b = levels["immigration"], levels["emigration"]
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) == pytest.approx(0.8)
    net = [
        float(m.prior_moments(bias(m, "immigration") + bias(m, "emigration"))[1])
        for m in (plain, tied)
    ]
    assert net[1] < net[0]  # both too low together: net errs less


def test_without_a_correlation_nothing_changes(sources):
    """A row of zero, and a table from before the row was there, are one model."""
    rows = tuple(r for r in imps.default_priors().rows if r.name != "bias_correlation")
    old, new = (imps.linear_model(sources, p) for p in (imps.Priors(rows), imps.default_priors()))
    np.testing.assert_array_equal(old.design, new.design)
    np.testing.assert_array_equal(old.offset, new.offset)


def test_correlated_directions_in_the_exact_posterior(sources):
    """Against dense weighted least squares: no row may lose the unknown that both share."""
    priors = imps.default_priors().replace(bias_correlation={"mean": 0.8})
    model = imps.linear_model(sources, priors)
    preview = WhatIf(model, np.zeros(len(model.scale_names)))
    mean, sd = preview.moments({})
    s = model.scale_factors(np.zeros((1, len(model.scale_names))))[0]
    a = model.design * s / model.standard_error[:, None]
    residual = (model.observed - model.offset) / model.standard_error
    covariance = np.linalg.inv(np.eye(model.n_latent) + a.T @ a)
    z = covariance @ (a.T @ residual)
    for flow in ("immigration", "emigration"):
        at = preview.posterior.names.index(f"gap[{flow}_bias]")
        value = contribution(model, f"{flow}_bias").value.sum()
        q = model.matrix(value) * s
        assert mean[at] == pytest.approx(float(value.constant + q @ z), rel=1e-6)
        assert sd[at] == pytest.approx(float(np.sqrt(q @ covariance @ q)), rel=1e-6)


def test_a_what_if_refuses_the_levels_of_correlated_directions(sources):
    priors = imps.default_priors().replace(bias_correlation={"mean": 0.5})
    model = imps.linear_model(sources, priors)
    preview = WhatIf(model, np.zeros(len(model.scale_names)))
    for name in ("immigration_bias_level", "emigration_bias"):
        with pytest.raises(PriorError, match="two errors that are correlated"):
            preview(**{name: 2.0})
    assert preview(base=2.0)["sd"].notna().all()


def test_the_step_of_an_era_takes_a_mean_and_may_have_a_row_of_its_own():
    sources = imps.load_case("england-wales-2001-2011").sources
    eras = [str(era) for era in sources.survey_flows["immigration"].eras]
    plain = imps.linear_model(sources, imps.default_priors())
    moved = imps.linear_model(
        sources, imps.default_priors().replace(immigration_bias_era=(-0.05, 0.06))
    )
    own = imps.linear_model(sources, imps.default_priors("immigration_bias_era 2004 to 2008"))
    before, after, alone = (m.account.flows["immigration"].bias for m in (plain, moved, own))
    steps = {e: before.effects[f"immigration_bias_era {e}"][..., 0] / 0.06 for e in eras}
    expected = -0.05 * sum(steps.values())
    np.testing.assert_allclose(after.constant - before.constant, expected, atol=1e-9)
    only = "2004 to 2008"
    np.testing.assert_allclose(alone.constant - before.constant, -0.09 * steps[only], atol=1e-9)
    for era in eras:
        sd = 0.03 if era == only else 0.06
        found = alone.effects[f"immigration_bias_era {era}"][..., 0]
        np.testing.assert_allclose(found, sd * steps[era], atol=1e-9)


def test_an_era_that_the_survey_has_not_is_refused(sources):
    with pytest.raises(PriorError, match="2004 to 2008 belongs to no source"):
        imps.linear_model(sources, imps.default_priors("immigration_bias_era 2004 to 2008"))


@pytest.mark.parametrize(
    "name", ["immigration_bias_young", "emigration_bias_drift", "emigration_bias_sex"]
)
def test_a_mean_where_none_is_taken_is_refused(sources, name):
    with pytest.raises(PriorError, match=f"prior '{name}' has mean -0.05, and it takes none"):
        imps.linear_model(sources, imps.default_priors().replace(**{name: {"mean": -0.05}}))
