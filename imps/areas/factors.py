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
import scipy.linalg as sl
from scipy.special import logsumexp

from imps.areas.deviations import AreaModel
from imps.areas.message import AT_ONCE, CELLS, Nation, blocks, in_a_row, inverse_roots, through
from imps.areas.priors import FACTOR, N_PATTERNS

LOG_EVERY = 8
"""So many pivots are multiplied before their logarithm is taken."""
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

    With K = A C A', Gamma = L L', S = L^-1 K L^-T and misfit e, all of them seen, the covariance
    without the area is L (I - S)^-1 S L', and so is e farther off.
    """
    n, of = model.n_cells, seen.covariance.reshape(N_PATTERNS, model.n_cells, -1)
    of = np.ascontiguousarray(of.transpose(1, 0, 2))
    mean, covariance = np.zeros(model.contrast.shape), np.zeros((*model.contrast.shape, n))
    for block in blocks(model, scales, areas):
        a, w, root = model.design[block.areas], block.whitener, np.linalg.cholesky(block.gamma)
        left = model.contrast[block.areas] - np.einsum("rji,ji->ri", a, seen.mean.reshape(-1, n))
        s = _not_all(w @ through(a, of) @ w.transpose(0, 2, 1))
        more = root @ np.linalg.solve(np.eye(n) - s, s)
        covariance[block.areas] = more @ root.transpose(0, 2, 1)
        farther = more @ (w @ left[:, :, None])
        mean[block.areas] = model.contrast[block.areas] - left - farther[:, :, 0]
    return Expected(mean, covariance, np.zeros(len(mean)))


def _not_all(s: np.ndarray) -> np.ndarray:
    """Shares (area, cell, cell) of an area's variance, none above `MOST_KNOWN`."""
    try:
        np.linalg.cholesky(MOST_KNOWN * np.eye(s.shape[1]) - s)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(s)
        return (vectors * np.minimum(values, MOST_KNOWN)[:, None]) @ vectors.transpose(0, 2, 1)
    return s


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
        priors = np.array([log_prior(tau) for tau in taus])
        log = _log_sums(self.table, priors) - 0.5 * standard**2
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


def _log_sums(table: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Log probability of all areas (area, factor) under each prior (prior, factor)."""
    top = table.max(axis=1, keepdims=True)
    sums = np.exp(table - top) @ np.exp(priors).T
    with np.errstate(divide="ignore"):
        log = np.log(sums).sum(axis=0) + top.sum()
    for i in np.flatnonzero(~np.isfinite(log)):  # too small for a number
        log[i] = logsumexp(table + priors[i], axis=1).sum()
    return log


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
    """Areas, and the log density of their contrasts at each factor, (area, factor).

    With S = L^-1 sum_k Q_k L^-T, e = L^-1 (y - m) and L L' the variance that no factor takes, S in
    tridiagonal form T from e on gives log|I + f^2 T| and e'(I + f^2 S)^-1 e by one recursion for
    all factors.
    """
    every, n = np.arange(len(plain.codes)) if areas is None else np.asarray(areas), plain.n_cells
    i, size = np.arange(n), max(AT_ONCE // n**2, 1)
    for first in range(0, every.size, size):
        at = every[first : first + size]
        known = others.covariance[at].copy()
        known[:, i, i] += scales[CELLS] ** 2 * plain.noise[at]
        left, white = plain.contrast[at] - others.mean[at], inverse_roots(known)
        s = white @ plain.in_all(in_a_row(at), scales) @ white.transpose(0, 2, 1)
        yield at, _log_densities(*_tridiagonal(s, (white @ left[:, :, None])[:, :, 0]))


def _tridiagonal(s: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Square of e, diagonal and square beside it of matrices (area, cell, cell), from e on."""
    square = (e**2).sum(axis=1)
    v = e.copy()
    v[:, 0] += np.copysign(np.sqrt(square), e[:, 0])
    v *= np.sqrt(2 / np.maximum((v**2).sum(axis=1), np.finfo(float).tiny))[:, None]
    p = (s @ v[:, :, None])[:, :, 0]
    p -= 0.5 * (p * v).sum(axis=1)[:, None] * v
    outer = v[:, :, None] * p[:, None]
    s = s - outer - outer.transpose(0, 2, 1)
    found = [sl.lapack.dsytrd(x, lower=1)[1:3] for x in s]
    return square, np.stack([d for d, _ in found]), np.stack([b for _, b in found]) ** 2


def _log_densities(square: np.ndarray, diagonal: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Log densities at each factor, by the pivots of I + f^2 T from its end."""
    squares = np.exp(2 * LOG_FACTORS)
    log, product = np.zeros((len(diagonal), squares.size)), np.ones(squares.size)
    pivot = np.full(squares.size, np.inf)
    for i in reversed(range(diagonal.shape[1])):
        off = beside[:, i : i + 1] * squares**2 if i < beside.shape[1] else 0.0
        pivot = np.maximum(1 + diagonal[:, i : i + 1] * squares - off / pivot, 1.0)
        product = product * pivot
        if i % LOG_EVERY == 0:
            log, product = log + np.log(product), np.ones(squares.size)
    return -0.5 * (log + square[:, None] / pivot)
