"""Likelihoods of survey cells: against scipy, against each other, and for empty cells."""

import numpy as np
import pytest
from scipy import stats

from imps.errors import SourceError
from imps.posterior.contacts import (
    FEW_CONTACTS,
    cell_log_likelihood,
    contact_log_likelihood,
    rounded_log_likelihood,
)
from imps.survey.variance_function import (
    fit_variance_function,
    load_published_ips,
    smoothed_standard_errors,
)

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


def test_rounding_matters_only_for_small_errors() -> None:
    expected = np.linspace(-3000.0, 3000.0, 7)
    wide = rounded_log_likelihood(0.0, expected, 2000.0)
    plain = stats.norm.logpdf(0.0, expected, 2000.0) + np.log(100.0)
    np.testing.assert_allclose(wide, plain, atol=2e-3)  # curvature over one interval
    # standard error 20: anything within 50 of the figure is as likely as not to give it
    tight = np.exp(rounded_log_likelihood(300.0, np.array([300.0, 340.0, 350.0, 500.0]), 20.0))
    assert tight[0] > 0.98 and tight[1] > 0.6
    assert tight[2] == pytest.approx(0.5, abs=1e-4)
    assert tight[3] < 1e-10
    far = rounded_log_likelihood(0.0, 1e5, 20.0)
    assert np.isfinite(far) and far < -1e6
    figures = np.arange(-2000, 2001, 100.0)
    assert np.exp(rounded_log_likelihood(figures, 37.0, 80.0)).sum() == pytest.approx(1, rel=EXACT)


def test_cells_take_the_form_that_suits_their_contacts() -> None:
    cells = load_published_ips().query("1991 <= year <= 2000").reset_index(drop=True)
    expected = cells["estimate"].to_numpy(float) * 1.1 + 200
    found = cell_log_likelihood(cells, expected)
    few = (cells["contacts"] < FEW_CONTACTS).to_numpy()
    assert few.any() and not few.all()
    se = smoothed_standard_errors(cells)
    normal = stats.norm.logpdf(cells["estimate"], expected, se)
    np.testing.assert_allclose(found[~few], normal[~few], rtol=EXACT)
    factor = fit_variance_function(cells).factors.set_index("flow")["factor"]
    totals = cells.groupby(["flow", "year"])[["estimate", "contacts"]].transform("sum")
    weight = (totals["estimate"] / totals["contacts"]).to_numpy()
    by_hand = contact_log_likelihood(
        cells["contacts"],
        expected,
        grossing_weight=weight,
        design_effect=cells["flow"].map(factor),
    )
    np.testing.assert_allclose(found[few], by_hand[few], rtol=EXACT)


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
