"""Where to look for the scales: an importance proposal that learns from its own points.

Two scales compete where either alone can explain what is seen, as an age shape
that departs from the pooled one in all years and one that moves over the years.
Their posterior then has two arms at a right angle that no bell covers. In the
coordinates total and contrast,

    u = log(0.5 exp(h_a) + 0.5 exp(h_b)),    r = h_a - h_b,

it is nearly one bell: the data know the total, the prior the contrast. The map
has Jacobian one, so densities carry over as they are.

Where too few of the first points count, as over several periods, moments of weighted points
say little. Their log densities are exact, and a polynomial through those gives the bell: how
it leans (a scale may well be near nothing, but not far above what the data show), its centre
and its spread. Its tails are nearly normal: a t with 9 degrees costs a fifth of the points in
13 directions, and no posterior here has more than the tails of the normal prior.

References
----------
Cappe, Guillin, Marin and Robert (2004), Population Monte Carlo, Journal of Computational
and Graphical Statistics 13, 907-929.
Cornuet, Marin, Mira and Robert (2012), Adaptive multiple importance sampling,
Scandinavian Journal of Statistics 39, 798-812 (all points count in every round).
Koblents and Miguez (2015), A population Monte Carlo scheme with transformed weights,
Statistics and Computing 25, 407-425 (clipped weights).
Jones and Pewsey (2009), Sinh-arcsinh distributions, Biometrika 96, 761-780.
Box and Wilson (1951), JRSS B 13, 1-45 (polynomials through exact values at many points).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl
from scipy.special import gammaincinv, gammaln, logsumexp, ndtri
from scipy.stats import qmc

from imps.errors import ScalesNotFoundError

DEGREES = 9.0
"""Degrees of freedom of the proposal: tails heavier than the posterior's."""
POINTS = 512
ROUNDS = 12
ENOUGH = 0.62
"""Share of effective points at which a proposal is good enough."""
ENOUGH_NEAR = 0.5
"""The same where the search begins at a like posterior, as many refits do: half count."""
TOO_FEW = 0.5
"""Share of the first points under which a leaning bell goes through log densities."""
LIGHT_DEGREES = 40.0
"""Degrees of freedom of that bell."""
TEMPERED = 0.75
"""Power of the weights with which points count for it."""
LEAN_STEPS = 3
"""Times that its lean is bettered by the cubic terms that are left."""
MOST_LEAN = 0.5
"""Bound of the lean of a coordinate: its sides are as exp(1) to one."""
LEAST_PRECISION = 0.3
"""Bound of the precision of that bell in any direction, where weighted points have one."""
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
class Lean:
    """Coordinates in which a leaning bell stands upright, one by one.

    x = sinh(arcsinh((g - middle) / unit) - lean): far out, one side is exp(2 lean) times as
    wide as the other.
    """

    middle: np.ndarray
    unit: np.ndarray
    lean: np.ndarray

    def upright(self, g: np.ndarray) -> np.ndarray:
        """x of points g (point, scale)."""
        return np.sinh(np.arcsinh((g - self.middle) / self.unit) - self.lean)

    def leaning(self, x: np.ndarray) -> np.ndarray:
        """g of points x (point, scale)."""
        return self.middle + self.unit * np.sinh(np.arcsinh(x) + self.lean)

    def log_slope(self, g: np.ndarray) -> np.ndarray:
        """Log determinant of the derivative of x in g (point)."""
        y = (g - self.middle) / self.unit
        each = np.log(np.cosh(np.arcsinh(y) - self.lean) / self.unit) - 0.5 * np.log1p(y**2)
        return each.sum(axis=1)


@dataclass(frozen=True)
class Proposal:
    """Multivariate t in the coordinates of :func:`totals`, upright or leaning.

    Attributes
    ----------
    centre : ndarray (scale)
    spread : ndarray (scale, scale)
    competing : tuple of pairs of indices
        Scales of which either can explain what the other does.
    degrees : float
        Degrees of freedom.
    lean : Lean, optional
    """

    centre: np.ndarray
    spread: np.ndarray
    competing: Pairs = ()
    degrees: float = DEGREES
    lean: Lean | None = None

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
        square = 2 * gammaincinv(self.degrees / 2, u[:, -1:])  # chi-squared
        t = ndtri(u[:, :-1]) * np.sqrt(self.degrees / square)
        x = self.centre + t @ np.linalg.cholesky(self.spread).T
        return log_scales(x if self.lean is None else self.lean.leaning(x), self.competing)

    def log_density(self, h: np.ndarray) -> np.ndarray:
        """Log density of log scales (point, scale), up to a constant of all proposals."""
        factor, size, degrees = np.linalg.cholesky(self.spread), self.centre.size, self.degrees
        g = totals(h, self.competing)
        apart = (g if self.lean is None else self.lean.upright(g)) - self.centre
        distance = (sl.solve_triangular(factor, apart.T, lower=True) ** 2).sum(axis=0)
        tail = -0.5 * (degrees + size) * np.log1p(distance / degrees)
        out = tail - np.log(np.diagonal(factor)).sum()
        out += _constant(degrees, size) - _constant(DEGREES, size)
        return out if self.lean is None else out + self.lean.log_slope(g)

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

    def through(self, h: np.ndarray, log_density: np.ndarray, weights: np.ndarray) -> Proposal:
        """A leaning bell through the log densities of points (point, scale), by least squares.

        Far points count by a power of their weights (point), those without density not at all.
        With lean e the log of a standard bell has the cubic term e x^3 / 2 to first order.
        """
        use = np.isfinite(log_density)
        g, counts = totals(h[use], self.competing), weights[use] ** TEMPERED
        middle = counts @ g / counts.sum()
        unit = np.sqrt(counts @ (g - middle) ** 2 / counts.sum())
        lean = Lean(middle, unit, np.zeros(middle.size))
        for _ in range(LEAN_STEPS):
            *_, cubic = _polynomial(lean, g, log_density[use], counts, cubic=True)
            skewed = np.clip(lean.lean + 2 * cubic, -MOST_LEAN, MOST_LEAN)
            lean = Lean(middle, unit, skewed)
        slope, curve, _ = _polynomial(lean, g, log_density[use], counts, cubic=False)
        values, vectors = np.linalg.eigh(-curve)
        spread = (vectors / np.clip(values, LEAST_PRECISION, None)) @ vectors.T
        return Proposal(spread @ slope, spread, self.competing, LIGHT_DEGREES, lean)


def _constant(degrees: float, size: int) -> float:
    """Log of what the density of a multivariate t is divided by, but for its spread and pi."""
    return float(gammaln((degrees + size) / 2) - gammaln(degrees / 2) - size / 2 * np.log(degrees))


def _polynomial(
    lean: Lean, g: np.ndarray, log_density: np.ndarray, counts: np.ndarray, *, cubic: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope, second derivatives and cubic terms at nought of the log density in x."""
    x = lean.upright(g)
    size, (i, j) = x.shape[1], np.triu_indices(x.shape[1])
    terms = np.column_stack([np.ones(len(x)), x, x[:, i] * x[:, j], *([x**3] if cubic else [])])
    root = np.sqrt(counts / counts.max())
    of_x = log_density - lean.log_slope(g)
    found = np.linalg.lstsq(terms * root[:, None], of_x * root, rcond=None)[0]
    curve = np.zeros((size, size))
    curve[i, j] = found[1 + size : 1 + size + i.size]
    return found[1 : 1 + size], curve + curve.T, found[1 + size + i.size :]


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
    points alone, which the proposal has not seen. Where the first share is too small, a leaning
    bell goes through the log densities, and once more through all when the share no longer is.
    """
    current, best, most, uneven = start, start, 0.0, False
    past: list[Proposal] = []
    points, target = np.empty((0, start.centre.size)), np.empty(0)
    for turn in range(ROUNDS):
        new = current.points(POINTS, seed + turn)
        found = log_densities(new)
        share = effective_share(found - current.log_density(new))
        if share > most:
            best, most = current, share
        uneven = uneven or (turn == 0 and share < TOO_FEW)
        if most >= enough and not uneven:
            break
        past.append(current)
        points, target = np.concatenate([points, new]), np.concatenate([target, found])
        mixture = logsumexp([p.log_density(points) for p in past], axis=0)
        weights = normalised(target - mixture)
        if not uneven:
            current = current.moved(points, _clipped(weights), steps=12 if turn == 0 else 5)
            continue
        current = current.through(points, target, weights)
        if share >= TOO_FEW:
            return current
    return best


def normalised(log_weights: np.ndarray) -> np.ndarray:
    """Weights that sum to one.

    Raises
    ------
    ScalesNotFoundError
        If no weight is above zero, or one is no number.
    """
    most = log_weights.max()
    if not np.isfinite(most):
        raise ScalesNotFoundError(
            f"weights of {log_weights.size} points over the scales: the largest log weight is "
            f"{most}, so that no point counts. Some figure or standard error is likely wrong by "
            "orders of magnitude: look at `imps check`, or take method='nuts'."
        )
    weights = np.exp(log_weights - most)
    return weights / weights.sum()


def effective_share(log_weights: np.ndarray) -> float:
    """Effective number of weighted points, 1 / sum of squared weights, as a share of all."""
    return float(1 / (normalised(log_weights) ** 2).sum() / log_weights.size)


def _clipped(weights: np.ndarray) -> np.ndarray:
    least = np.partition(weights, -CLIPPED)[-CLIPPED]
    weights = np.minimum(weights, least)
    return weights / weights.sum()
