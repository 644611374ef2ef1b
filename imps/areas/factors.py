"""Areas that depart farther than others: one factor of all deviations of an area.

    d_rk ~ N(0, f_r^2 Q_rk),     log f_r ~ Normal(0, tau^2)

With the national errors S ~ N(m, C) given all areas, the contrast of one area is

    y_r ~ N(A_r m,  f_r^2 sum_k Q_rk + s_e^2 D_r + A_r C A_r'),

whose generalised eigenvalues give its density at every f_r at once. tau is taken at its mode over
all areas and f_r at the root of its posterior mean square, which keeps the variance of the
deviations; both are held while the scales are integrated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from imps.areas.deviations import AreaModel
from imps.areas.message import CELLS, Nation, blocks, message
from imps.areas.priors import FACTOR, N_PATTERNS

LOG_FACTORS = np.linspace(-2.0, 3.0, 41)
"""Logarithms of a factor that are compared."""
TAUS = np.linspace(-2.5, 2.5, 41)
"""Standardised logarithms of tau that are compared."""


def factors(
    model: AreaModel,
    scales: np.ndarray,
    nation: Nation,
    u: np.ndarray,
    areas: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """Factor of each area, and tau; one where an area is not among `areas`."""
    said = message(model, scales, areas)
    plain = replace(model, factor=np.ones(len(model.codes)))
    seen = nation.given(said, nation.with_patterns(model, u))
    parts = list(log_densities(plain, scales, seen, areas))
    table = np.concatenate([density for _, density in parts])
    row = next(row for row in model.priors if row.name == FACTOR)
    standard = TAUS if row.learnt else np.zeros(1)
    taus = row.median * np.exp(row.log_sd * standard)
    priors = [log_prior(tau) for tau in taus]
    fits = [logsumexp(table + prior, axis=1).sum() - 0.5 * h**2
            for prior, h in zip(priors, standard, strict=True)]  # fmt: skip
    best = int(np.argmax(fits))
    weight = table + priors[best]
    weight = np.exp(weight - logsumexp(weight, axis=1, keepdims=True))
    out = np.ones(len(model.codes))
    out[np.concatenate([at for at, _ in parts])] = np.sqrt(weight @ np.exp(2 * LOG_FACTORS))
    return out, float(taus[best])


def log_prior(tau: float) -> np.ndarray:
    """Log probabilities of the factors that are compared."""
    log = -0.5 * (LOG_FACTORS / tau) ** 2
    return log - logsumexp(log)


def log_densities(
    plain: AreaModel, scales: np.ndarray, seen: Nation, areas: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Areas, and the log density of their contrasts at each factor, (area, factor)."""
    n = plain.n_cells
    squares = np.exp(2 * LOG_FACTORS)
    covariance = seen.covariance.reshape(N_PATTERNS, n, N_PATTERNS, n)
    for block in blocks(plain, scales, areas):
        a = plain.design[block.areas]
        known = np.einsum("rji,jikl,rkl->ril", a, covariance, a, optimize=True)
        i = np.arange(n)
        known[:, i, i] += scales[CELLS] ** 2 * plain.noise[block.areas]
        left = plain.contrast[block.areas] - np.einsum("rji,ji->ri", a, seen.mean.reshape(-1, n))
        white = np.linalg.inv(np.linalg.cholesky(known))
        values, vectors = np.linalg.eigh(white @ block.q.sum(axis=1) @ white.transpose(0, 2, 1))
        e = (vectors.transpose(0, 2, 1) @ (white @ left[:, :, None]))[:, :, 0]
        spread = 1 + np.maximum(values, 0)[:, :, None] * squares
        log = (e[:, :, None] ** 2 / spread + np.log(spread)).sum(axis=1)
        yield block.areas, -0.5 * log
