"""Where to look for the scales: an importance proposal that learns from its own points.

Two scales compete where either alone can explain what is seen, as an age shape
that departs from the pooled one in all years and one that moves over the years.
Their posterior then has two arms at a right angle that no bell covers. In the
coordinates total and contrast,

    u = log(0.5 exp(h_a) + 0.5 exp(h_b)),    r = h_a - h_b,

it is nearly one bell: the data know the total, the prior the contrast. The map
has Jacobian one, so densities carry over as they are.

References
----------
Cappe, Guillin, Marin and Robert (2004), Population Monte Carlo, Journal of Computational
and Graphical Statistics 13, 907-929.
Cornuet, Marin, Mira and Robert (2012), Adaptive multiple importance sampling,
Scandinavian Journal of Statistics 39, 798-812 (all points count in every round).
Koblents and Miguez (2015), A population Monte Carlo scheme with transformed weights,
Statistics and Computing 25, 407-425 (clipped weights).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl
from scipy.special import logsumexp
from scipy.stats import chi2, norm, qmc

DEGREES = 9.0
"""Degrees of freedom of the proposal: tails heavier than the posterior's."""
POINTS = 512
ROUNDS = 12
ENOUGH = 0.62
"""Share of effective points at which a proposal is good enough."""
ENOUGH_NEAR = 0.5
"""The same where the search begins at a like posterior, as many refits do: half count."""
CLIPPED = 40
"""So many of the largest weights count alike while the proposal learns."""
SHRINKAGE = 30.0
"""Points' worth of prior knowledge that the scales are uncorrelated."""

Pairs = tuple[tuple[int, int], ...]


def totals(h: np.ndarray, competing: Pairs) -> np.ndarray:
    """Log scales (..., scale) with each competing pair as total and contrast."""
    g = np.array(h, dtype=float)
    for a, b in competing:
        g[..., a] = np.logaddexp(h[..., a], h[..., b]) - np.log(2)
        g[..., b] = h[..., a] - h[..., b]
    return g


def log_scales(g: np.ndarray, competing: Pairs) -> np.ndarray:
    """Inverse of :func:`totals`."""
    h = np.array(g, dtype=float)
    for a, b in competing:
        h[..., b] = g[..., a] - np.logaddexp(g[..., b], 0) + np.log(2)
        h[..., a] = h[..., b] + g[..., b]
    return h


def total_slope(h: np.ndarray, a: int, b: int) -> np.ndarray:
    """Derivative of the total of two log scales in each of them; sums to one."""
    share = 1 / (1 + np.exp(h[b] - h[a]))
    return np.array([share, 1 - share])


@dataclass(frozen=True)
class Proposal:
    """Multivariate t in the coordinates of :func:`totals`.

    Attributes
    ----------
    centre : ndarray (scale)
    spread : ndarray (scale, scale)
    competing : tuple of pairs of indices
        Scales of which either can explain what the other does.
    """

    centre: np.ndarray
    spread: np.ndarray
    competing: Pairs = ()

    @classmethod
    def at_mode(cls, mode: np.ndarray, covariance: np.ndarray, competing: Pairs) -> Proposal:
        """The most probable log scales, with their curvature there."""
        slope = np.eye(mode.size)
        for a, b in competing:
            slope[a, [a, b]] = total_slope(mode, a, b)
            slope[b, [a, b]] = 1, -1
        return cls(totals(mode, competing), slope @ covariance @ slope.T, competing)

    @classmethod
    def near(cls, h: np.ndarray, competing: Pairs) -> Proposal:
        """Fitted to draws (draw, scale) of a like posterior."""
        weights = np.full(len(h), 1 / len(h))
        g = totals(h, competing)
        start = cls(g.mean(axis=0), np.diag(g.var(axis=0) + 1e-6), competing)
        return start.moved(h, weights, steps=12)

    def points(self, n: int, seed: int) -> np.ndarray:
        """Quasi-random log scales (point, scale)."""
        n_scales = self.centre.size
        u = np.clip(qmc.Sobol(n_scales + 1, seed=seed).random(n), 1e-9, 1 - 1e-9)
        t = norm.ppf(u[:, :-1]) * np.sqrt(DEGREES / chi2.ppf(u[:, -1:], DEGREES))
        return log_scales(self.centre + t @ np.linalg.cholesky(self.spread).T, self.competing)

    def log_density(self, h: np.ndarray) -> np.ndarray:
        """Log density of log scales (point, scale), up to a constant of all proposals."""
        factor = np.linalg.cholesky(self.spread)
        apart = totals(h, self.competing) - self.centre
        distance = (sl.solve_triangular(factor, apart.T, lower=True) ** 2).sum(axis=0)
        tail = -0.5 * (DEGREES + self.centre.size) * np.log1p(distance / DEGREES)
        return tail - np.log(np.diagonal(factor)).sum()

    def moved(self, h: np.ndarray, weights: np.ndarray, steps: int) -> Proposal:
        """Fitted to weighted points by expectation-maximisation, shrunk to no correlation.

        `weights` sum to one.
        """
        g = totals(h, self.competing)
        alone = np.diag(weights @ (g - weights @ g) ** 2 + 1e-6)
        effective = 1 / (weights**2).sum()
        now = self
        for _ in range(steps):
            apart = g - now.centre
            white = sl.solve_triangular(np.linalg.cholesky(now.spread), apart.T, lower=True)
            robust = weights * (DEGREES + g.shape[1]) / (DEGREES + (white**2).sum(axis=0))
            centre = robust @ g / robust.sum()
            apart = g - centre
            learnt = (apart.T * robust) @ apart
            spread = (effective * learnt + SHRINKAGE * alone) / (effective + SHRINKAGE)
            now = Proposal(centre, spread, now.competing)
        return now


def adapted(
    log_densities: Callable[[np.ndarray], np.ndarray],
    start: Proposal,
    *,
    seed: int,
    enough: float = ENOUGH,
) -> Proposal:
    """The proposal moved to fit all points taken so far, until enough of a round's points count.

    Each round takes new points, weighs all points against the mixture of all
    proposals so far, and refits. The share of effective points is judged on the new
    points alone, which the proposal has not seen.
    """
    current, best, most = start, start, 0.0
    past: list[Proposal] = []
    points, target = np.empty((0, start.centre.size)), np.empty(0)
    for turn in range(ROUNDS):
        new = current.points(POINTS, seed + turn)
        found = log_densities(new)
        share = effective_share(found - current.log_density(new))
        if share > most:
            best, most = current, share
        if most >= enough:
            break
        past.append(current)
        points, target = np.concatenate([points, new]), np.concatenate([target, found])
        mixture = logsumexp([p.log_density(points) for p in past], axis=0)
        weights = _clipped(normalised(target - mixture))
        current = current.moved(points, weights, steps=12 if turn == 0 else 5)
    return best


def normalised(log_weights: np.ndarray) -> np.ndarray:
    """Weights that sum to one."""
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()


def effective_share(log_weights: np.ndarray) -> float:
    """Effective number of weighted points, 1 / sum of squared weights, as a share of all."""
    return float(1 / (normalised(log_weights) ** 2).sum() / log_weights.size)


def _clipped(weights: np.ndarray) -> np.ndarray:
    least = np.partition(weights, -CLIPPED)[-CLIPPED]
    weights = np.minimum(weights, least)
    return weights / weights.sum()
