"""What all areas say of the nation, in one pass, with deviations that sum to zero.

With Gamma_r = sum_k Q_rk + s_e^2 D_r and X_r = [A_r, Q_r1 ... Q_r5, y_r] one pass accumulates

    M = sum_r X_r' Gamma_r^-1 X_r,      T = blockdiag(sum_r Q_rk),      G = T - M_QQ
    Lambda = M_AA + M_AQ G^-1 M_QA,     b = M_Ay + M_AQ G^-1 M_Qy
    c = -1/2 { sum log|Gamma_r| + M_yy + log|G| + M_yQ G^-1 M_Qy - log|T| - log|s_e^2 sum_r D_r| }

and exp(-S' Lambda S / 2 + b'S + c) is the density of all contrasts given the national errors S,
deviations and noise both conditioned on their zero sums. The sum of the deviations has
posterior covariance G, so areas are coupled by 5 n numbers and not by each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf, dpotrs, dtrtrs

from imps.areas.deviations import AreaModel
from imps.areas.priors import DEVIATIONS, N_PATTERNS

CELLS = -1
"""Place of the scale of cell noise among the scales."""


@dataclass(frozen=True)
class Message:
    """exp(-S' precision S / 2 + linear'S + constant), and what conditions on the zero sums.

    Attributes
    ----------
    precision : ndarray (3 cell, 3 cell)
    linear : ndarray (3 cell)
    constant : float
    cross : ndarray (5 cell, 3 cell)
        M_QA.
    sums : ndarray (5 cell)
        M_Qy.
    root, scale : ndarray (5 cell, 5 cell), (5 cell)
        Cholesky factor of scale G scale.
    total : ndarray (source, cell, cell)
        Blocks of T.
    """

    precision: np.ndarray
    linear: np.ndarray
    constant: float
    cross: np.ndarray
    sums: np.ndarray
    root: np.ndarray
    scale: np.ndarray
    total: np.ndarray

    def solve(self, x: np.ndarray) -> np.ndarray:
        """G^-1 x, (5 cell, ...)."""
        s = self.scale.reshape(-1, *[1] * (x.ndim - 1))
        return s * sl.cho_solve((self.root, True), s * x)


def root_of(model: AreaModel, q: np.ndarray, area: int, scales: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor of Gamma of one area, (cell, cell)."""
    gamma = q.sum(axis=0)
    gamma.flat[:: gamma.shape[0] + 1] += scales[CELLS] ** 2 * model.noise[area]
    return dpotrf(gamma, lower=1, clean=1, overwrite_a=1)[0]


def _columns(model: AreaModel, q: np.ndarray, area: int, out: np.ndarray) -> None:
    """X of one area, (cell, 8 cell + 1), written into `out`, zero beside it."""
    n, i = model.n_cells, np.arange(model.n_cells)
    for j in range(N_PATTERNS):
        out[i, j * n + i] = model.design[area, j]
    for k in range(len(DEVIATIONS)):
        out[:, (N_PATTERNS + k) * n : (N_PATTERNS + k + 1) * n] = q[k]
    out[:, -1] = model.contrast[area]


def message(model: AreaModel, scales: np.ndarray, areas: np.ndarray | None = None) -> Message:
    """One pass over the areas, in the order of their codes; `areas` takes some of them."""
    n = model.n_cells
    width = (N_PATTERNS + len(DEVIATIONS)) * n + 1
    m, x = np.zeros((width, width), order="F"), np.zeros((n, width), order="F")
    total, log_det = np.zeros((len(DEVIATIONS), n, n)), 0.0
    chosen = range(len(model.codes)) if areas is None else areas
    for r in chosen:
        q = model.covariances(r, scales)
        root = root_of(model, q, r, scales)
        log_det += 2 * np.log(np.diag(root)).sum()
        _columns(model, q, r, x)
        m = dsyrk(1.0, dtrtrs(root, x, lower=1)[0], beta=1.0, c=m, trans=1, lower=1, overwrite_c=1)
        total += q
    noise = model.noise[list(chosen)].sum(axis=0)
    return _message(np.tril(m) + np.tril(m, -1).T, total, log_det, scales[CELLS] ** 2 * noise)


def _message(m: np.ndarray, total: np.ndarray, log_det: float, noise: np.ndarray) -> Message:
    n = noise.size
    a, q = slice(0, N_PATTERNS * n), slice(N_PATTERNS * n, -1)
    g = sl.block_diag(*total) - m[q, q]
    scale = 1 / np.sqrt(np.diag(g))
    root = np.linalg.cholesky(0.5 * (g + g.T) * scale[:, None] * scale)
    u = sl.solve_triangular(root, scale[:, None] * m[q, a], lower=True)
    tau = sl.solve_triangular(root, scale * m[q, -1], lower=True)
    log_g = 2 * (np.log(np.diag(root)).sum() - np.log(scale).sum())
    prior = sum(np.linalg.slogdet(t)[1] for t in total) + np.log(noise).sum()
    constant = -0.5 * (log_det + m[-1, -1] + log_g + tau @ tau - prior)
    linear = m[a, -1] + u.T @ tau
    return Message(m[a, a] + u.T @ u, linear, constant, m[q, a], m[q, -1], root, scale, total)


@dataclass(frozen=True)
class Nation:
    """National errors before the areas are seen: mean and covariance of S without patterns.

    Attributes
    ----------
    mean : ndarray (3 cell), persons; zero for the pattern of net moves
    covariance : ndarray (3 cell, 3 cell)
    """

    mean: np.ndarray
    covariance: np.ndarray

    def with_patterns(self, model: AreaModel, u: np.ndarray) -> np.ndarray:
        """Prior covariance of S at scales of the patterns."""
        pairs = zip(u, model.patterns, strict=True)
        return self.covariance + sl.block_diag(*(s**2 * f @ f.T for s, f in pairs))


def evidence(said: Message, nation: Nation, prior: np.ndarray) -> float:
    """Log density of all contrasts, national errors integrated out; `prior` their covariance."""
    e = said.linear - said.precision @ nation.mean
    left, inner = _inside(said, prior)
    root = np.linalg.cholesky(np.eye(e.size) + inner)
    half = sl.solve_triangular(root, left.T @ e, lower=True)
    m = nation.mean
    fixed = said.constant + said.linear @ m - 0.5 * m @ said.precision @ m
    return float(fixed + 0.5 * half @ half - np.log(np.diag(root)).sum())


def _inside(said: Message, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A factor L of the prior, and L' Lambda L."""
    left = np.linalg.cholesky(prior)
    return left, left.T @ said.precision @ left


def gradient(
    model: AreaModel,
    scales: np.ndarray,
    said: Message,
    nation: Nation,
    u: np.ndarray,
    areas: np.ndarray | None = None,
) -> np.ndarray:
    """Derivative of the evidence in the logarithm of every scale, patterns last.

    The evidence is a function of M, T and sum log|Gamma_r|; its derivatives in M and T
    follow from the posterior mean and covariance of S (Fisher's identity), and those of
    M and T in the scales are sums over areas of traces: a second pass.
    """
    adjoint, of_total, of_prior = _adjoints(model, said, nation, nation.with_patterns(model, u))
    n, out = model.n_cells, np.zeros(scales.size)
    x = np.zeros((n, adjoint.shape[0]), order="F")
    for r in range(len(model.codes)) if areas is None else areas:
        q = model.covariances(r, scales)
        root = root_of(model, q, r, scales)
        _columns(model, q, r, x)
        z = dpotrs(root, x, lower=1)[0]
        weighted = z @ adjoint
        of_gamma = -(weighted @ z.T) - 0.5 * dpotrs(root, np.eye(n), lower=1)[0]
        for k in range(len(DEVIATIONS)):
            place = slice((N_PATTERNS + k) * n, (N_PATTERNS + k + 1) * n)
            of_q = of_gamma + of_total[k] + 2 * weighted[:, place]
            out[model.scale_of[k]] += (of_q * model.rest[r, k]).sum()
            for source, scale, column in model.leading:
                if source == k:
                    out[scale] += column[r] @ of_q @ column[r]
        out[CELLS] += np.diag(of_gamma) @ model.noise[r]
    out *= 2 * scales**2
    out[CELLS] += n  # log|s_e^2 sum D|
    return np.concatenate([out, _of_patterns(model, u, of_prior)])


def pattern_gradient(model: AreaModel, said: Message, nation: Nation, u: np.ndarray) -> np.ndarray:
    """Derivative of the evidence in the logarithm of the patterns' scales: it needs no pass."""
    return _of_patterns(model, u, _adjoints(model, said, nation, nation.with_patterns(model, u))[2])


def _of_patterns(model: AreaModel, u: np.ndarray, of_prior: np.ndarray) -> np.ndarray:
    n = model.n_cells
    blocks = [slice(j * n, (j + 1) * n) for j in range(N_PATTERNS)]
    pairs = zip(blocks, model.patterns, strict=True)
    return 2 * u**2 * np.array([((of_prior[at, at] @ f) * f).sum() for at, f in pairs])


def _adjoints(
    model: AreaModel, said: Message, nation: Nation, prior: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Derivatives of the evidence in M (symmetric), in blocks of T, and in the prior of S."""
    n = model.n_cells
    left, inner = _inside(said, prior)
    c = left @ np.linalg.solve(np.eye(len(left)) + inner, left.T)
    surprise = said.linear - said.precision @ nation.mean
    mean = nation.mean + c @ surprise
    apart = surprise - said.precision @ c @ surprise
    seen = said.precision - said.precision @ c @ said.precision
    second = c + np.outer(mean, mean)
    inverse = said.solve(np.eye(said.sums.size))
    left_over = said.sums - said.cross @ mean
    of_sum = np.outer(left_over, left_over) + said.cross @ c @ said.cross.T
    of_g = 0.5 * (inverse @ of_sum @ inverse - inverse)
    h = inverse @ left_over
    b = inverse @ (np.outer(said.sums, mean) - said.cross @ second)
    adjoint = np.block(
        [
            [-0.5 * second, 0.5 * b.T, 0.5 * mean[:, None]],
            [0.5 * b, -of_g, -0.5 * h[:, None]],
            [0.5 * mean[None], -0.5 * h[None], np.full((1, 1), -0.5)],
        ]
    )
    places = [slice(k * n, (k + 1) * n) for k in range(len(DEVIATIONS))]
    pairs = zip(places, said.total, strict=True)
    of_total = [of_g[at, at] + 0.5 * np.linalg.inv(t) for at, t in pairs]
    return adjoint, of_total, 0.5 * (np.outer(apart, apart) - seen)
