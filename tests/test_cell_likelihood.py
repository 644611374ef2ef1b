"""Likelihoods of survey cells: against scipy, against each other, and for empty cells."""

import numpy as np
import pytest
from scipy import stats

from imps.errors import SourceError
from imps.posterior.likelihoods import contact_log_likelihood

EXACT = 1e-10
WEIGHT, DEFF = 250.0, 3.6  # persons per contact and design effect of the 1990s


def moments(log_likelihood: np.ndarray, grid: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the likelihood, normalised over a flat grid."""
    weight = np.exp(log_likelihood - log_likelihood.max())
    weight /= weight.sum()
    mean = float((weight * grid).sum())
    return mean, float(np.sqrt((weight * (grid - mean) ** 2).sum()))


def test_negative_binomial_is_scipys() -> None:
    n, expected = np.arange(0, 60), 5_000.0
    mu = expected / WEIGHT
    found = contact_log_likelihood(n, expected, grossing_weight=WEIGHT, design_effect=DEFF)
    size = mu / (DEFF - 1)
    np.testing.assert_allclose(found, stats.nbinom.logpmf(n, size, 1 / DEFF), rtol=EXACT)
    mass = np.exp(
        contact_log_likelihood(np.arange(500), expected, grossing_weight=WEIGHT, design_effect=DEFF)
    )
    counts = np.arange(500)
    assert mass.sum() == pytest.approx(1.0, rel=EXACT)
    assert (mass * counts).sum() == pytest.approx(mu, rel=1e-8)
    assert (mass * (counts - mu) ** 2).sum() == pytest.approx(DEFF * mu, rel=1e-8)


def test_without_design_effect_both_families_are_poisson() -> None:
    n = np.arange(30)
    expected = stats.poisson.logpmf(n, 2_000 / WEIGHT)
    for family in ("poisson", "negative_binomial"):
        found = contact_log_likelihood(
            n, 2_000.0, grossing_weight=WEIGHT, design_effect=1.0, family=family
        )
        np.testing.assert_allclose(found, expected, rtol=EXACT)


@pytest.mark.parametrize("family", ["poisson", "negative_binomial"])
def test_contact_form_agrees_with_the_normal_form_where_both_apply(family: str) -> None:
    contacts = 900
    estimate = contacts * WEIGHT
    se = np.sqrt(DEFF * WEIGHT * estimate)
    grid = np.linspace(estimate - 8 * se, estimate + 8 * se, 4001)
    mean, sd = moments(
        contact_log_likelihood(
            contacts, grid, grossing_weight=WEIGHT, design_effect=DEFF, family=family
        ),
        grid,
    )
    normal_mean, normal_sd = moments(stats.norm.logpdf(estimate, grid, se), grid)
    # 250 effective contacts: the skewness 1/sqrt(250) moves the mean by a fraction of an SE
    assert abs(mean - normal_mean) < 0.1 * se
    assert abs(sd / normal_sd - 1) < 0.02


def test_the_two_forms_part_where_contacts_are_few() -> None:
    estimate, grid = 3 * WEIGHT, np.linspace(1.0, 20_000.0, 8001)
    contact = contact_log_likelihood(3, grid, grossing_weight=WEIGHT, design_effect=DEFF)
    normal = stats.norm.logpdf(estimate, grid, np.sqrt(DEFF * WEIGHT * estimate))
    # the normal form all but rules out a flow of 5,000 behind three contacts; counts do not
    at = np.argmin(np.abs(grid - 5_000))
    assert contact[at] - contact.max() > normal[at] - normal.max() + 2


def test_no_contact_is_evidence_of_few_not_of_none() -> None:
    grid = np.array([1.0, 250.0, 2500.0])
    found = contact_log_likelihood(0, grid, grossing_weight=WEIGHT, design_effect=DEFF)
    assert np.isfinite(found).all() and (np.diff(found) < 0).all()
    expected = -grid / WEIGHT * np.log(DEFF) / (DEFF - 1)
    np.testing.assert_allclose(found, expected, rtol=EXACT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contacts": -1}, "contacts: 1 of 1 values below 0"),
        ({"expected": 0.0}, "not above 0"),
        ({"design_effect": 0.5}, "below 1"),
        ({"family": "normal"}, "allowed are 'poisson'"),
    ],
)
def test_bad_input_is_refused(change: dict, message: str) -> None:
    good = {
        "contacts": 3,
        "expected": 900.0,
        "grossing_weight": WEIGHT,
        "design_effect": DEFF,
        "family": "poisson",
    }
    with pytest.raises(SourceError, match=message):
        contact_log_likelihood(**{**good, **change})
