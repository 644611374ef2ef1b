"""Areas that depart farther than others: one factor of all deviations of an area.

    d_rk ~ N(0, f_r^2 Q_rk),     log f_r ~ Normal(0, tau^2)

With N(m_r, K_r) what the nation and all other areas expect of the contrast of one area,

    y_r ~ N(m_r,  f_r^2 sum_k Q_rk + s_e^2 D_r + K_r),

whose generalised eigenvalues give its density at every f_r at once, and so the probabilities q of
tau and of every f_r given it. They are drawn from these at each point of the scales, and the point
is weighed by p(y, f, tau) / q(f, tau): the factors are integrated with the scales, exactly, though
m and K are those of one point and areas are drawn one by one. That areas are coupled is made up
for by a tilt, which gives the slope in log f_r its mean over drawn factors of all areas; it takes
the standard deviation of a weight's logarithm from 1.5 to 0.5. Held at an estimate, factors would
bend the scales: that of internal moves by nine of its standard deviations in simulated areas.

References
----------
Andrieu and Roberts (2009), Annals of Statistics 37, 697-725 (pseudo-marginal weights).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from imps.areas.deviations import AreaModel
from imps.areas.message import CELLS, Nation, blocks
from imps.areas.priors import FACTOR, N_PATTERNS

LOG_FACTORS = np.linspace(-2.0, 3.0, 101)
"""Logarithms of a factor that are compared."""
TAUS = np.linspace(-2.5, 2.5, 41)
"""Standardised logarithms of tau that are compared."""


MOST_KNOWN = 0.95
"""Share of an area's variance that it may settle of the national errors by itself, at most."""


@dataclass(frozen=True)
class Expected:
    """What the nation and all other areas expect of the contrast of each area.

    Attributes
    ----------
    mean : ndarray (area, cell), persons
    covariance : ndarray (area, cell, cell)
    tilt : ndarray (area)
        What the slope of the density in log f_r lacks beside that of all areas together, which
        are coupled by the zero sums and by the national errors.
    """

    mean: np.ndarray
    covariance: np.ndarray
    tilt: np.ndarray


def expected(
    model: AreaModel, scales: np.ndarray, seen: Nation, areas: np.ndarray | None = None
) -> Expected:
    """Contrasts as the others expect them, from national errors `seen` given all.

    With K = A C A', Gamma = L L', L^-1 K L^-T = V diag(k) V' and misfit e, all of them seen, the
    covariance without the area is L V diag(k / (1 - k)) V' L', and so is e farther off.
    """
    n, of = model.n_cells, seen.covariance.reshape(N_PATTERNS, -1, N_PATTERNS, model.n_cells)
    mean, covariance = np.zeros(model.contrast.shape), np.zeros((*model.contrast.shape, n))
    for block in blocks(model, scales, areas):
        a, w = model.design[block.areas], block.whitener
        known = np.einsum("rji,jikl,rkl->ril", a, of, a, optimize=True)
        left = model.contrast[block.areas] - np.einsum("rji,ji->ri", a, seen.mean.reshape(-1, n))
        values, vectors = np.linalg.eigh(w @ known @ w.transpose(0, 2, 1))
        values = np.clip(values, 0.0, MOST_KNOWN)[:, :, None]
        root, more = np.linalg.inv(w) @ vectors, values / (1 - values)
        back = root.transpose(0, 2, 1)
        covariance[block.areas] = root @ (more * back)
        farther = root @ (more * (vectors.transpose(0, 2, 1) @ (w @ left[:, :, None])))
        mean[block.areas] = model.contrast[block.areas] - left - farther[:, :, 0]
    return Expected(mean, covariance, np.zeros(len(mean)))


@dataclass(frozen=True)
class Factors:
    """Factor of each area, drawn.

    Attributes
    ----------
    factor : ndarray (area); one where an area was not among those drawn
    tau : float
        Standard deviation of its logarithm over areas.
    log_ratio : float
        log p(f, tau) - log q(f, tau), up to a constant.
    """

    factor: np.ndarray
    tau: float
    log_ratio: float


@dataclass(frozen=True)
class Chances:
    """Log density of the contrast of areas at every factor, at given scales.

    Attributes
    ----------
    model : AreaModel
    areas : ndarray (some area) of int
    table : ndarray (some area, factor)
    """

    model: AreaModel
    areas: np.ndarray
    table: np.ndarray

    def slope(self, factor: np.ndarray) -> np.ndarray:
        """Derivative of the table in the logarithm of the factor, at drawn ones, (some area)."""
        at = np.abs(np.log(factor[self.areas])[:, None] - LOG_FACTORS).argmin(axis=1)
        return np.gradient(self.table, LOG_FACTORS, axis=1)[np.arange(at.size), at]

    def drawn(self, uniform: np.ndarray) -> Factors:
        """tau, and given it the factor of each area, at uniform numbers (1 + area)."""
        row = next(row for row in self.model.priors if row.name == FACTOR)
        standard = TAUS if row.learnt else np.zeros(1)
        taus = row.median * np.exp(row.log_sd * standard)
        priors = [log_prior(tau) for tau in taus]
        log = np.array([logsumexp(self.table + prior, axis=1).sum() for prior in priors])
        log += -0.5 * standard**2
        log -= logsumexp(log)
        i = int(_drawn(log[None], uniform[:1])[0])
        each = self.table + priors[i]
        each -= logsumexp(each, axis=1, keepdims=True)
        j = _drawn(each, uniform[1:][self.areas])
        out = np.ones(len(self.model.codes))
        out[self.areas] = np.exp(LOG_FACTORS[j])
        proposed = log[i] + each[np.arange(j.size), j].sum()
        prior = priors[i][j].sum() - 0.5 * standard[i] ** 2
        return Factors(out, float(taus[i]), float(prior - proposed))


def chances(
    model: AreaModel, scales: np.ndarray, others: Expected, areas: np.ndarray | None = None
) -> Chances:
    """The factors of all areas, or some, weighed by what the others expect."""
    plain = replace(model, factor=np.ones(len(model.codes)))
    parts = log_densities(plain, scales, others, areas)
    at, table = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Chances(model, at, table + others.tilt[at, None] * LOG_FACTORS)


def _drawn(log: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Places in each row of log probabilities (row, place) at which they reach `uniform`."""
    reached = np.cumsum(np.exp(log), axis=1)
    return (reached < uniform[:, None] * reached[:, -1:]).sum(axis=1)


def log_prior(tau: float) -> np.ndarray:
    """Log probabilities of the factors that are compared."""
    log = -0.5 * (LOG_FACTORS / tau) ** 2
    return log - logsumexp(log)


def log_densities(
    plain: AreaModel, scales: np.ndarray, others: Expected, areas: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Areas, and the log density of their contrasts at each factor, (area, factor)."""
    i, squares = np.arange(plain.n_cells), np.exp(2 * LOG_FACTORS)
    for block in blocks(plain, scales, areas):
        known = others.covariance[block.areas].copy()
        known[:, i, i] += scales[CELLS] ** 2 * plain.noise[block.areas]
        left = plain.contrast[block.areas] - others.mean[block.areas]
        white = np.linalg.inv(np.linalg.cholesky(known))
        values, vectors = np.linalg.eigh(white @ block.q.sum(axis=1) @ white.transpose(0, 2, 1))
        e = (vectors.transpose(0, 2, 1) @ (white @ left[:, :, None]))[:, :, 0]
        spread = 1 + np.maximum(values, 0)[:, :, None] * squares
        log = (e[:, :, None] ** 2 / spread + np.log(spread)).sum(axis=1)
        yield block.areas, -0.5 * log
