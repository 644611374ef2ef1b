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
    with pytest.raises(PriorError, match="must lie in"):
        imps.linear_model(sources, imps.default_priors().replace(census_correlation=(value, 0.0)))


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
    with pytest.raises(PriorError, match="moves base and census together"):
        preview(base=2.0)
    assert preview(emigration_bias=2.0)["sd"].notna().all()
