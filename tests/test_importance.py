"""The proposal over the scales: its coordinates, its density, and a target with two arms."""

import numpy as np
import pytest

from imps.posterior.importance import Proposal, adapted, effective_share, log_scales, totals

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
