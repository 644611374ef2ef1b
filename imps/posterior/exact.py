"""The account as one conditionally Gaussian model, and its exact posterior.

    w = s(h) z,  z ~ Normal(0, I),  s_b(h) = median_b exp(0.5 h_b),  h ~ Normal(0, I)
    y = y0 + A w + e,  e ~ Normal(0, diag(se^2)),      every quantity  q = q0 + Q w

Given the scales h everything is jointly normal. Written in the space of the
observations, with K_b = A_b A_b' computed once for each scale,

    C(h) = I + K_0 + sum_b s_b(h)^2 K_b      (rows divided by their se)

one Cholesky of C (:mod:`imps.posterior.covariance`) gives the marginal likelihood of h and its
gradient, the posterior mean and covariance of every quantity, and independent draws
(Matheron's rule: a prior draw, corrected by what the data say about it). The
scales are few and are integrated by an importance grid.

References
----------
Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, 5.4.
Rue, Martino and Chopin (2009), JRSS B 71, 319-392 (grid over the scales).
Doucet (2010), A note on efficient conditional simulation of Gaussian distributions.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from imps.account.linear import LinearModel
from imps.errors import PriorError, SourceError
from imps.posterior.cells import LeafyFactor
from imps.posterior.covariance import AnyFactor, Effects, RowCovariance
from imps.posterior.importance import ENOUGH_NEAR, Pairs, Proposal, adapted, normalised, total_slope


@dataclass(frozen=True)
class Grid:
    """Weighted points over the scales, with exact moments of the reported quantities.

    Attributes
    ----------
    points : ndarray (point, scale)
        Standardised log scales h.
    weights : ndarray (point)
        Importance weights, summing to one.
    effective : float
        Effective number of points, 1 / sum of squared weights.
    mean, sd : ndarray (quantity), persons
        Moments of the mixture, without Monte Carlo error from the latent variables.
    between : ndarray (quantity)
        Share of the variance that lies between the points.
    factors : tuple of Factor
        Of the covariance of the rows at each point, so that draws need no new ones;
        empty where they would take too much memory.
    """

    points: np.ndarray
    weights: np.ndarray
    effective: float
    mean: np.ndarray
    sd: np.ndarray
    between: np.ndarray
    factors: tuple[AnyFactor, ...] = field(repr=False)

    @property
    def runs_away(self) -> bool:
        """Whether a scale takes up a misfit: more points, or another way, would not mend it."""
        return bool((self.weights @ self.points > RUNAWAY).any())


LARGEST_LOG_SCALE = 8.0
"""Bound of the standardised log scales: a scale lies within a factor of 55 of its median.

Beyond it the prior has 1e-15 of its mass, and scales would run away where figures are
perfect or contradict the account grossly; the misfit then shows in the checks.
"""
RUNAWAY = 6.0
"""A scale that many prior deviations too wide has run away and takes up a misfit."""
KEPT_FACTORS = 60_000_000
"""Numbers that the factors of a grid may hold together, 0.5 GB: more are sooner made again."""
HELD_BY_DRAWS = 200_000_000
"""The same where surveys stand by their smaller side, 1.6 GB: their draws hold all at once."""
KNOWN_TOTAL = 0.5
"""Two scales compete where the variance of their total is under this share of the prior's."""


class GaussianPosterior:
    """Exact posterior of a :class:`LinearModel` given its scales, integrated over them.

    Parameters
    ----------
    model : LinearModel
    observed : ndarray (row), persons, optional
        Other data for the same account, such as simulated ones.
    """

    def __init__(self, model: LinearModel, observed: np.ndarray | None = None) -> None:
        if model.curves:
            raise PriorError(
                "this account is not linear (flows='log' or switchers='beta'), so it has no exact "
                "posterior: fit it with method='nuts'. For responses and what-if take the linear "
                "account, linear_model(sources, priors)."
            )
        self.model = model
        y = model.observed if observed is None else np.asarray(observed, dtype=float)
        self.residual = (y - model.offset) / model.standard_error
        self.white = model.design / model.standard_error[:, None]
        se, furthest = model.standard_error, np.full(self.n_scales, LARGEST_LOG_SCALE)
        combine = None if model.combine is None else sp.csr_array(model.combine / se[:, None] * se)
        self.names = list(model.reported)
        q = np.stack([model.matrix(model.reported[k]) for k in self.names])
        self.covariance = RowCovariance(
            self.white, model.scale_of, self.n_scales, model.row_sources, combine, model.shared,
            bounds=(self.squares(-furthest), self.squares(furthest)), asked=q,
        )  # fmt: skip
        self._combined = self.covariance.rows.combined(self.residual)
        self._effects = Effects(self.white, model.row_sources)
        of_scale = [np.flatnonzero(model.scale_of == b) for b in (*range(self.n_scales), -1)]
        self.constants = np.array([float(model.reported[k].constant) for k in self.names])
        for leaf in self.covariance.leaves:  # what their smooth parts say is in the factors
            q[:, leaf.smooth] = 0.0
        cross = (self.covariance.crossed(self.white[:, c] @ q[:, c].T) for c in of_scale)
        self._cross = np.stack([np.ascontiguousarray(x.T).ravel() for x in cross])
        self._variance = np.stack([(q[:, c] ** 2).sum(axis=1) for c in of_scale])

    def given(self, observed: np.ndarray) -> GaussianPosterior:
        """The posterior after other data (row) of the same account; nothing is built again."""
        other = copy(self)
        other.residual = (observed - self.model.offset) / self.model.standard_error
        other._combined = self.covariance.rows.combined(other.residual)
        return other

    @property
    def n_scales(self) -> int:
        """Number of unknown scales."""
        return len(self.model.scale_names)

    def squares(self, h: np.ndarray) -> np.ndarray:
        """Squared scales at standardised log scales h, within their bounds."""
        within = np.clip(h, -LARGEST_LOG_SCALE, LARGEST_LOG_SCALE)
        return (self.model.scale_medians * np.exp(self.model.log_sd * within)) ** 2

    def factor(self, h: np.ndarray) -> AnyFactor:
        """Cholesky factor of C(h), the covariance of the rows in their standard errors."""
        return self.covariance.factor(self.squares(h))

    def log_density(self, h: np.ndarray) -> float:
        """Log of p(h | y) up to a constant."""
        return self._log_density(h, self.factor(h))

    def log_densities(self, points: np.ndarray) -> np.ndarray:
        """Log of p(h | y) up to a constant at many points (point, scale)."""
        factors = self.covariance.factors(self.squares(points))
        return np.array([self._log_density(h, f) for h, f in zip(points, factors, strict=True)])

    def _log_density(self, h: np.ndarray, factor: AnyFactor, square: float | None = None) -> float:
        """Log density, where r' C^-1 r is not at hand with this product."""
        if np.abs(h).max(initial=0.0) > LARGEST_LOG_SCALE:
            return -np.inf
        square = factor.square_of_combined(self._combined) if square is None else square
        return float(-0.5 * (square + factor.log_determinant + h @ h))

    def log_density_and_gradient(self, h: np.ndarray) -> tuple[float, np.ndarray]:
        """Log of p(h | y) up to a constant, with its gradient.

        d/dh_b = d s_b^2 (a' K_b a - tr(C^-1 K_b)) - h_b, with a = C^-1 r and d the log
        standard deviation of the scales: the derivative of s_b^2 is 2 d s_b^2.
        """
        factor = self.factor(h)
        steep = self.covariance.slope(factor, self.residual)
        slope = self.model.log_sd * self.squares(h) * steep - h
        return self._log_density(h, factor), slope

    def moments(self, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Exact mean and variance of the reported quantities at given scales."""
        return self._moments(h, self.factor(h))

    def _moments(self, h: np.ndarray, factor: AnyFactor) -> tuple[np.ndarray, np.ndarray]:
        s2 = self.squares(h)
        _, shift, change = factor.learnt(self._combined, self.crossed(s2))
        return self.constants + shift, np.maximum(self.prior_variance(s2) + change, 0.0)

    def crossed(self, squares: np.ndarray) -> np.ndarray:
        """Prior covariance of the reported quantities with the rows as they are combined, in
        their standard errors, at squared scales (..., scale): (..., quantity, row). Beside
        surveys by their smaller side (:mod:`imps.posterior.cells`) without their smooth parts."""
        found = _and_one(squares) @ self._cross
        return found.reshape(*squares.shape[:-1], len(self.names), -1)

    def prior_variance(self, squares: np.ndarray) -> np.ndarray:
        """Prior variance of the reported quantities at squared scales, (..., quantity)."""
        return _and_one(squares) @ self._variance

    def mode(self, start: np.ndarray | None = None, max_steps: int = 40) -> np.ndarray:
        """Most probable scales, within their bounds, by a quasi-Newton search (L-BFGS-B)."""
        from scipy.optimize import minimize

        def negative(h: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = self.log_density_and_gradient(h)
            return -value, -slope

        found = minimize(
            negative,
            np.zeros(self.n_scales) if start is None else start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(-LARGEST_LOG_SCALE, LARGEST_LOG_SCALE)] * self.n_scales,
            options={"gtol": 0.01, "maxiter": max_steps},
        )
        return found.x

    def curvature(self, h: np.ndarray, step: float = 0.35) -> np.ndarray:
        """Covariance of the scales at their mode, from differences of the gradient."""
        rows = []
        for b in range(self.n_scales):
            e = np.zeros(self.n_scales)
            e[b] = step
            up, down = (self.log_density_and_gradient(h + x)[1] for x in (e, -e))
            rows.append((up - down) / (2 * step))
        precision = -0.5 * (np.array(rows) + np.array(rows).T)
        values, vectors = np.linalg.eigh(precision)
        return (vectors / np.clip(values, 0.3, None)) @ vectors.T

    def proposal(self, *, seed: int, near: np.ndarray | None = None) -> Proposal:
        """Where to look for the scales: a bell at the mode, moved to fit its own points.

        `near` are draws (draw, scale) of a like posterior, to begin from in place of the mode.

        Raises
        ------
        SourceError
            If no scales are found because the figures contradict the account grossly.
        """
        if near is not None:
            competing = self._competing(near.mean(axis=0), np.cov(near.T))
            start = Proposal.near(near, competing)
            return adapted(self.log_densities, start, seed=seed, enough=ENOUGH_NEAR)
        try:
            mode = self.mode()
            covariance = self.curvature(mode)
        except np.linalg.LinAlgError as error:
            raise SourceError(
                "no scales of the smooth parts fit these figures: they run away while the most "
                "probable ones are sought. A source is grossly wrong or misplaced (ages shifted, "
                "thousands for persons, a wrong year); imps.check of a NUTS fit says which."
            ) from error
        start = Proposal.at_mode(mode, covariance, self._competing(mode, covariance))
        return adapted(self.log_densities, start, seed=seed)

    def _competing(self, mode: np.ndarray, covariance: np.ndarray) -> Pairs:
        """Constant and moving age shape of a flow, where the data know their total."""
        index = {name: i for i, name in enumerate(self.model.scale_names)}
        pairs = [
            (i, index[f"{name}_years"]) for name, i in index.items() if f"{name}_years" in index
        ]
        known = []
        for a, b in pairs:
            slope = total_slope(mode, a, b)
            variance = slope @ covariance[np.ix_([a, b], [a, b])] @ slope
            if variance < KNOWN_TOTAL * (slope @ slope):
                known.append((a, b))
        return tuple(known)

    def weighted_points(
        self, proposal: Proposal, n_points: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, tuple[AnyFactor, ...]]:
        """Points of a proposal with their normalised weights, without moments; and the factors
        there, as a :class:`Grid` keeps them."""
        points, kept = proposal.points(n_points, seed), list[AnyFactor]()
        log_weights = -proposal.log_density(points)
        for i, factor in enumerate(self.covariance.factors(self.squares(points))):
            log_weights[i] += self._log_density(points[i], factor)
            kept += _kept(factor, n_points)
        return points, normalised(log_weights), tuple(kept)

    def grid(self, proposal: Proposal, n_points: int = 256, *, seed: int) -> Grid:
        """Importance grid over the scales: quasi-random points of the proposal, weighted."""
        points = proposal.points(n_points, seed)
        log_weights = -proposal.log_density(points)
        means = np.empty((n_points, self.constants.size))
        variances = np.empty_like(means)
        kept: list[AnyFactor] = []
        squares, at_once = self.squares(points), self.covariance.at_once
        prior = self.prior_variance(squares)
        for i, factor in enumerate(self.covariance.factors(squares)):
            if i % at_once == 0:
                cross = self.crossed(squares[i : i + at_once])
            square, shift, change = factor.learnt(self._combined, cross[i % at_once])
            log_weights[i] += self._log_density(points[i], factor, square)
            means[i] = self.constants + shift
            variances[i] = np.maximum(prior[i] + change, 0.0)
            kept += _kept(factor, n_points)
        weights = normalised(log_weights)
        mean = weights @ means
        between = weights @ (means - mean) ** 2
        total = weights @ variances + between
        return Grid(
            points=points,
            weights=weights,
            effective=float(1 / (weights**2).sum()),
            mean=mean,
            sd=np.sqrt(total),
            between=between / np.maximum(total, 1e-12),
            factors=tuple(kept),
        )

    def draw(self, grid: Grid, n_draws: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Independent draws: scales h (draw, scale) and latent variables z (draw, latent).

        Points of the grid are drawn by systematic resampling; given a point, a prior
        draw of z and e is corrected by what the data say about it (Matheron's rule).
        """
        return self.draw_at_points(
            grid.points, grid.weights, n_draws, seed=seed, factors=grid.factors
        )

    def draw_at_points(
        self,
        points: np.ndarray,
        weights: np.ndarray,
        n_draws: int,
        *,
        seed: int,
        factors: Sequence[AnyFactor] = (),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Independent draws as :meth:`draw` makes them, from weighted points over the scales.

        `factors` are those of the covariance at the points, where they are at hand.
        """
        rng = np.random.default_rng(seed)
        edges = np.floor(np.r_[0, np.cumsum(weights)] * n_draws + rng.random())
        edges[-1] = n_draws if edges[0] == 0 else n_draws + edges[0]
        counts = np.diff(edges).astype(int)
        used = np.flatnonzero(counts)
        h = np.repeat(points[used], counts[used], axis=0)
        z = rng.standard_normal((n_draws, self.model.n_latent))
        e = rng.standard_normal((n_draws, self.residual.size))
        scale = self.model.scale_factors(h)
        misfit = self.residual - self._effects.of(scale * z) - e
        at_used = (
            (factors[int(i)] for i in used)
            if factors
            else self.covariance.factors(self.squares(points[used]))
        )
        misfit = self.covariance.solved_by_draw(at_used, counts[used], misfit.T).T
        z += scale * self._effects.back(misfit)
        order = rng.permutation(n_draws)
        return h[order], z[order]


def _kept(factor: AnyFactor, n_points: int) -> list[AnyFactor]:
    """A factor as it is kept with those of all points; none where they are too large."""
    if isinstance(factor, LeafyFactor):
        return [factor.held] if n_points * factor.size <= HELD_BY_DRAWS else []
    return [factor] if n_points * factor.size <= KEPT_FACTORS else []


def _and_one(squares: np.ndarray) -> np.ndarray:
    """Squared scales (..., scale) with the one of what has no scale."""
    return np.concatenate([squares, np.ones((*squares.shape[:-1], 1))], axis=-1)
