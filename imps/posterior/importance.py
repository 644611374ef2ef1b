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
Cappe, Douc, Guillin, Marin and Robert (2008), Adaptive importance sampling in
general mixture classes, Statistics and Computing 18, 447-459.
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
"""Degrees of freedom of the proposal's components: tails heavier than the posterior's."""
COMPONENTS = 3
POINTS = 512
ROUNDS = 12
ENOUGH = 0.62
"""Share of effective points at which a proposal is good enough."""
ENOUGH_NEAR = 0.5
"""The same where the search begins at a like posterior, as many refits do: half count."""
CLIPPED = 40
"""So many of the largest weights count alike while the proposal learns."""
SHRINKAGE = 30.0
"""Points' worth of prior knowledge that a component is as wide as all points, uncorrelated."""
LEAST_MEMBERS = 6.0
"""Effective points a component needs to be moved."""

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
    """Mixture of multivariate t, in the coordinates of :func:`totals`.

    Attributes
    ----------
    share : ndarray (component)
    centre : ndarray (component, scale)
    spread : ndarray (component, scale, scale)
    competing : tuple of pairs of indices
        Scales of which either can explain what the other does.
    """

    share: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    competing: Pairs = ()

    @classmethod
    def at_mode(cls, mode: np.ndarray, covariance: np.ndarray, competing: Pairs) -> Proposal:
        """One bell at the most probable log scales, with their curvature there."""
        slope = np.eye(mode.size)
        for a, b in competing:
            slope[a, [a, b]] = total_slope(mode, a, b)
            slope[b, [a, b]] = 1, -1
        spread = slope @ covariance @ slope.T
        return cls(np.ones(1), totals(mode, competing)[None], spread[None], competing)

    @classmethod
    def near(cls, h: np.ndarray, competing: Pairs, *, seed: int) -> Proposal:
        """The mixture fitted to draws (draw, scale) of a like posterior."""
        weights = np.full(len(h), 1 / len(h))
        g = totals(h, competing)
        whole = cls(np.ones(1), g.mean(axis=0)[None], _alone(g, weights)[None], competing)
        start = whole.split(h, weights, np.random.default_rng(seed))
        return start.moved(h, weights, steps=12)

    def points(self, n: int, seed: int) -> np.ndarray:
        """Quasi-random log scales (point, scale)."""
        n_scales = self.centre.shape[1]
        u = np.clip(qmc.Sobol(n_scales + 2, seed=seed).random(n), 1e-9, 1 - 1e-9)
        t = norm.ppf(u[:, :n_scales]) * np.sqrt(DEGREES / chi2.ppf(u[:, -2:-1], DEGREES))
        which = np.searchsorted(np.cumsum(self.share)[:-1], u[:, -1])
        factor = np.linalg.cholesky(self.spread)
        g = self.centre[which] + np.einsum("nij,nj->ni", factor[which], t)
        return log_scales(g, self.competing)

    def log_density(self, h: np.ndarray) -> np.ndarray:
        """Log density of log scales (point, scale), up to a constant."""
        return logsumexp(self._terms(totals(h, self.competing))[0], axis=1)

    def _terms(self, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log of share times density, and squared distance, (point, component)."""
        factors = np.linalg.cholesky(self.spread)
        white = [
            sl.solve_triangular(factor, (g - centre).T, lower=True)
            for factor, centre in zip(factors, self.centre, strict=True)
        ]
        distance = np.stack([(w**2).sum(axis=0) for w in white], axis=1)
        log_root = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        shape = -0.5 * (DEGREES + g.shape[1]) * np.log1p(distance / DEGREES)
        return np.log(self.share) - log_root + shape, distance

    def split(self, h: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Proposal:
        """Components at weighted points, each as wide as all points together."""
        g = totals(h, self.competing)
        picked = g[rng.choice(g.shape[0], COMPONENTS, p=weights)]
        wide = np.repeat(_alone(g, weights)[None], COMPONENTS, axis=0)
        return Proposal(np.full(COMPONENTS, 1 / COMPONENTS), picked, wide, self.competing)

    def moved(self, h: np.ndarray, weights: np.ndarray, steps: int) -> Proposal:
        """The mixture fitted to weighted points by expectation-maximisation, shrunk.

        `weights` sum to one. The fewer points a component rests on, the more its
        spread is that of all points together, without correlation.
        """
        g = totals(h, self.competing)
        n_scales = g.shape[1]
        alone = _alone(g, weights)
        now = self
        for _ in range(steps):
            terms, distance = now._terms(g)
            member = np.exp(terms - logsumexp(terms, axis=1, keepdims=True)) * weights[:, None]
            robust = member * (DEGREES + n_scales) / (DEGREES + distance)
            share = member.sum(axis=0) + 0.01
            centre, spread = now.centre.copy(), now.spread.copy()
            for k in range(share.size):
                effective = member[:, k].sum() ** 2 / (member[:, k] ** 2).sum()
                if effective < LEAST_MEMBERS:
                    continue
                centre[k] = robust[:, k] @ g / robust[:, k].sum()
                apart = g - centre[k]
                learnt = (apart.T * robust[:, k]) @ apart / member[:, k].sum()
                spread[k] = (effective * learnt + SHRINKAGE * alone) / (effective + SHRINKAGE)
            now = Proposal(share / share.sum(), centre, spread, now.competing)
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
    rng = np.random.default_rng(seed)
    current, best, most = start, start, 0.0
    past: list[Proposal] = []
    points, target = np.empty((0, start.centre.shape[1])), np.empty(0)
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
        if turn == 0:
            current = current.split(points, weights, rng)
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


def _alone(g: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Variances of weighted points on the diagonal."""
    return np.diag(weights @ (g - weights @ g) ** 2 + 1e-6)
