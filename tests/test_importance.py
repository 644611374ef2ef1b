"""The proposal over the scales: its coordinates, its density, and a target with two arms."""

import math

import numpy as np
import pytest

from imps.errors import ScalesNotFoundError
from imps.posterior.importance import (
    Lean,
    Proposal,
    adapted,
    effective_share,
    log_scales,
    normalised,
    totals,
)

PAIRS = ((1, 2),)


def test_total_and_contrast_turn_back_and_keep_volume(rng):
    h = rng.standard_normal((20, 4))
    np.testing.assert_allclose(log_scales(totals(h, PAIRS), PAIRS), h, atol=1e-12)
    step, at = 1e-6, h[0]
    slope = [(totals(at + e, PAIRS) - totals(at - e, PAIRS)) / (2 * step) for e in step * np.eye(4)]
    assert abs(np.linalg.det(np.array(slope))) == pytest.approx(1.0, abs=1e-6)


def test_points_of_a_proposal_have_its_density(rng):
    """E[f/q] over points of q is the integral of f: here of a normal density, which is one."""
    spread = np.array([[0.5, 0.2], [0.2, 0.4]])
    proposal = Proposal(np.zeros(2), spread)
    h = proposal.points(4096, seed=1)
    log_q = proposal.log_density(h)
    other = np.array([0.3, -0.2])
    log_f = -0.5 * ((h - other) ** 2).sum(axis=1) / 0.25
    share = np.exp(log_f - log_q)
    mean = (share[:, None] * h).sum(axis=0) / share.sum()
    np.testing.assert_allclose(mean, other, atol=0.02)


def two_arms(h):
    """Only the total of two variances is known, its prior apart: two arms at a right angle."""
    total = np.logaddexp(h[:, 1], h[:, 2]) - np.log(2)
    return -0.5 * ((total - 2.0) / 0.15) ** 2 - 0.5 * (h**2).sum(axis=1)


def test_two_competing_scales_are_found_whole():
    """The proposal covers both arms; in plain coordinates one bell covers one of them."""
    mode = np.array([0.0, 1.5, 2.3, 0.0])
    start = Proposal.at_mode(mode, 0.3 * np.eye(4), PAIRS)
    found = adapted(two_arms, start, seed=1)
    h = found.points(2048, seed=2)
    log_weights = two_arms(h) - found.log_density(h)
    assert effective_share(log_weights) > 0.5
    weights = np.exp(log_weights - log_weights.max())
    upper = weights[h[:, 1] > h[:, 2]].sum() / weights.sum()
    assert upper == pytest.approx(0.5, abs=0.03)  # the target is symmetric in the two


LEANING = Lean(np.array([0.2, -0.1]), np.array([0.8, 1.2]), np.array([-0.4, 0.3]))


def test_a_leaning_bell_stands_upright_and_its_points_have_its_density(rng):
    """The slope is that of differences; E[f/q] over points of q is the integral of f, one."""
    g = rng.standard_normal((20, 2))
    np.testing.assert_allclose(LEANING.leaning(LEANING.upright(g)), g, atol=1e-12)
    step = 1e-6
    up, down = LEANING.upright(g + step), LEANING.upright(g - step)  # each by its own alone
    slope = np.log((up - down) / (2 * step)).sum(axis=1)
    np.testing.assert_allclose(LEANING.log_slope(g), slope, atol=1e-6)
    spread, pi = np.array([[0.9, 0.3], [0.3, 1.1]]), 2 * np.log(np.pi) / 2
    leaning = Proposal(np.zeros(2), spread, degrees=40.0, lean=LEANING)
    upright = Proposal(np.zeros(2), spread)
    constant = math.lgamma(11 / 2) - math.lgamma(9 / 2) - np.log(9) - pi  # of 9 degrees
    h = leaning.points(8192, seed=1)
    weights = np.exp(upright.log_density(h) - leaning.log_density(h))
    assert weights.mean() == pytest.approx(1.0, abs=0.02)
    whole = -0.5 * ((h - 0.3) ** 2).sum(axis=1) / 0.25 - np.log(2 * np.pi * 0.25)
    assert np.exp(whole - leaning.log_density(h) - constant).mean() == pytest.approx(1, abs=0.02)


def skewed(h):
    """Scales near nothing are as probable as their prior says, those far above are not."""
    seen = np.exp(2 * h[:, :4])
    return -0.5 * (h**2).sum(axis=1) - (2.0 * np.log(1 + seen) + 6.0 / (1 + seen)).sum(axis=1)


def test_a_bell_through_log_densities_is_found_from_a_bad_start():
    """Most of the points count where the first proposal has few; and its mean is the target's."""
    start = Proposal(np.full(8, 0.4), 0.3 * np.eye(8))
    first = start.points(512, seed=1)
    assert effective_share(skewed(first) - start.log_density(first)) < 0.3
    found = adapted(skewed, start, seed=1)
    h = found.points(4096, seed=2)
    log_weights = skewed(h) - found.log_density(h)
    assert found.lean is not None and effective_share(log_weights) > 0.8
    prior = np.random.default_rng(3).standard_normal((400_000, 8))
    weights = np.exp(skewed(prior) + 0.5 * (prior**2).sum(axis=1))
    grid = np.exp(log_weights - log_weights.max())
    np.testing.assert_allclose(grid @ h / grid.sum(), weights @ prior / weights.sum(), atol=0.02)


@pytest.mark.parametrize("most", [-np.inf, np.inf, np.nan])
def test_weights_of_which_none_counts_are_an_error(most: float) -> None:
    with pytest.raises(ScalesNotFoundError, match="7 points .* `imps check`"):
        normalised(np.full(7, most))
    assert normalised(np.array([0.0, -np.inf])).tolist() == [1.0, 0.0]
