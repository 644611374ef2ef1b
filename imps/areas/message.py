"""What all areas say of the nation, in one pass, with deviations that sum to zero.

With Gamma_r = sum_k Q_rk + s_e^2 D_r and X_r = [A_r, Q_r1 ... Q_r5, y_r] one pass accumulates

    M = sum_r X_r' Gamma_r^-1 X_r,      T = blockdiag(sum_r Q_rk),      G = T - M_QQ
    Lambda = M_AA + M_AQ G^-1 M_QA,     b = M_Ay + M_AQ G^-1 M_Qy
    c = -1/2 { sum log|Gamma_r| + M_yy + log|G| + M_yQ G^-1 M_Qy - log|T| - log|s_e^2 sum_r D_r| }

and exp(-S' Lambda S / 2 + b'S + c) is the density of all contrasts given the national errors S,
deviations and noise both conditioned on their zero sums. The sum of the deviations has
posterior covariance G, so areas are coupled by 5 n numbers and not by each other. Because
sum_k Q_rk = Gamma_r - s_e^2 D_r, what M holds of the first source follows from the other four and
from the noise, taken as one effect more: four fifths of the width to whiten, and less to multiply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import scipy.linalg as sl

from imps.areas.deviations import AreaModel
from imps.areas.priors import N_PATTERNS

CELLS = -1
"""Place of the scale of cell noise among the scales."""
AT_ONCE = 2**18
"""Numbers of X that are made at once: areas are taken in blocks of so many."""
KEPT = 2**23
"""Numbers of X of all areas up to which a second pass takes the blocks of the first."""


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


@dataclass(frozen=True)
class Block:
    """Areas taken at once.

    Attributes
    ----------
    model : AreaModel
    areas : ndarray (area) of int
    q : ndarray (area, cell, source, cell)
    noise : ndarray (area, cell)
        s_e^2 D.
    gamma : ndarray (area, cell, cell)
    """

    model: AreaModel
    areas: np.ndarray
    q: np.ndarray
    noise: np.ndarray
    gamma: np.ndarray

    @cached_property
    def whitener(self) -> np.ndarray:
        """Inverse of the lower Cholesky factor of Gamma, (area, cell, cell)."""
        return inverse_roots(self.gamma)

    @cached_property
    def inverse(self) -> np.ndarray:
        """Gamma^-1, (area, cell, cell)."""
        return self.whitener.transpose(0, 2, 1) @ self.whitener

    @cached_property
    def effects(self) -> np.ndarray:
        """Effects of the national errors, and the noise as one more, (area, 4, cell)."""
        return np.concatenate([self.model.design[self.areas], self.noise[:, None]], axis=1)

    @cached_property
    def white(self) -> np.ndarray:
        """L^-1 [Q_r2 ... Q_rK, y_r], (area, cell, (K - 1) cell + 1)."""
        r, n, k, _ = self.q.shape
        out = np.empty((r, n, (k - 1) * n + 1))
        np.matmul(self.whitener, self.q.reshape(r, n, -1)[:, :, n:], out=out[:, :, :-1])
        np.matmul(self.whitener, self.model.contrast[self.areas, :, None], out=out[:, :, -1:])
        return out

    @cached_property
    def _solved(self) -> np.ndarray:
        """:attr:`solved`, its first source not filled in yet."""
        r, n, k, _ = self.q.shape
        out = np.empty((r, n, k * n + 1))
        np.matmul(self.whitener.transpose(0, 2, 1), self.white, out=out[:, :, n:])
        return out

    @property
    def solved_others(self) -> np.ndarray:
        """Gamma^-1 [Q_r2 ... Q_rK, y_r], (area, cell, (K - 1) cell + 1)."""
        return self._solved[:, :, self.model.n_cells :]

    @cached_property
    def solved(self) -> np.ndarray:
        """Gamma^-1 [Q_r1 ... Q_rK, y_r], (area, cell, K cell + 1)."""
        out, (r, n, k, _) = self._solved, self.q.shape
        first, i = out[:, :, :n], np.arange(n)
        np.multiply(self.inverse, -self.noise[:, None], out=first)
        first -= out[:, :, n:-1].reshape(r, n, k - 1, n).sum(axis=2)
        first[:, i, i] += 1
        return out

    def spread_over(self, x: np.ndarray) -> np.ndarray:
        """Q_rk x_r of each source, (area, source, cell, draw); x (area, cell, draw)."""
        r, n, k, _ = self.q.shape
        return (self.q.reshape(r, n, -1).transpose(0, 2, 1) @ x).reshape(r, k, n, -1)


def inverse_roots(covariance: np.ndarray) -> np.ndarray:
    """Inverse of the lower Cholesky factor of each of several matrices, (..., cell, cell)."""
    root = np.linalg.cholesky(covariance)
    return np.stack([sl.lapack.dtrtri(x.T)[0].T for x in root])


def blocks(
    model: AreaModel, scales: np.ndarray, areas: np.ndarray | None = None
) -> Iterator[Block]:
    """All areas, or some, in the order of their codes, so many at once as `AT_ONCE` allows."""
    every = np.arange(len(model.codes)) if areas is None else np.asarray(areas)
    n = model.n_cells
    size = max(AT_ONCE // _numbers(model), 1)
    i = np.arange(n)
    for first in range(0, every.size, size):
        at = every[first : first + size]
        q = model.side_by_side(in_a_row(at), scales)
        noise, gamma = scales[CELLS] ** 2 * model.noise[at], q.sum(axis=2)
        gamma[:, i, i] += noise
        yield Block(model, at, q, noise, gamma)


def in_a_row(areas: np.ndarray) -> np.ndarray | slice:
    """Areas that follow each other as a slice, which copies nothing."""
    first, end = int(areas[0]), int(areas[-1]) + 1
    return slice(first, end) if (np.diff(areas) == 1).all() else areas


def _numbers(model: AreaModel) -> int:
    """Numbers of X of one area."""
    n = model.n_cells
    return n * (n * (N_PATTERNS + model.n_sources) + 1)


def passes(
    model: AreaModel, scales: np.ndarray, areas: np.ndarray | None = None
) -> Callable[[], Iterable[Block]]:
    """:func:`blocks` for several passes: kept from the first where they are few, else made anew."""
    made = partial(blocks, model, scales, areas)
    every = len(model.codes) if areas is None else len(areas)
    if every * _numbers(model) > KEPT:
        return made
    kept = list(made())
    return lambda: kept


def message(
    model: AreaModel,
    scales: np.ndarray,
    areas: np.ndarray | None = None,
    among: Iterable[Block] | None = None,
) -> Message:
    """One pass over the areas, in the order of their codes.

    `areas` takes some of them; `among` are their blocks, if they are made already.
    """
    n, k = model.n_cells, model.n_sources
    some, effects = (k - 1) * n + 1, N_PATTERNS + 1
    inner, cross = np.zeros((some, some)), np.zeros((n, effects, effects * n + some))
    total, known, contrast, log_det = np.zeros((n, k, n)), np.zeros((effects, n)), np.zeros(n), 0.0
    for block in blocks(model, scales, areas) if among is None else among:
        z, at = block.white.reshape(-1, some), block.effects
        inner += z.T @ z
        by_cell = np.ascontiguousarray(at.transpose(2, 1, 0))
        both = (block.inverse[:, :, None] * at[:, None]).reshape(*at.shape[::2], -1)
        cross[:, :, : effects * n] += by_cell @ both.transpose(1, 0, 2)
        cross[:, :, effects * n :] += by_cell @ block.solved_others.transpose(1, 0, 2)
        log_det -= 2 * np.log(block.whitener.diagonal(axis1=1, axis2=2)).sum()
        total += block.q.sum(axis=0)
        known += at.sum(axis=0)
        contrast += model.contrast[block.areas].sum(axis=0)
    total = total.transpose(1, 0, 2)
    m = _gram(inner, cross.transpose(1, 0, 2), total, known, contrast)
    return _message(m, total, log_det, known[-1])


def _gram(
    inner: np.ndarray, cross: np.ndarray, total: np.ndarray, known: np.ndarray, contrast: np.ndarray
) -> np.ndarray:
    """M from its parts: what is of the first source follows from Q_1 = Gamma - noise - others."""
    k, n = total.shape[:2]
    effects, width = len(known), (len(known) + k) * n + 1
    e, first = slice(0, effects * n), slice(effects * n, (effects + 1) * n)
    rest, i = slice(first.stop, width), np.arange(n)
    rows = cross.reshape(effects * n, -1)
    m = np.empty((width, width))
    m[e, e], m[e, rest], m[rest, rest] = rows[:, e], rows[:, first.start :], inner
    m[rest, e] = m[e, rest].T
    of_gamma = np.zeros((n, width))
    of_gamma[:, e].reshape(n, effects, n)[i, :, i] = known.T
    of_gamma[:, first.start : -1] = total.transpose(1, 0, 2).reshape(n, -1)
    of_gamma[:, -1] = contrast
    others = [slice(j * n, (j + 1) * n) for j in range(effects - 1, effects + k) if j != effects]
    for at in (e, rest, first):
        m[first, at] = of_gamma[:, at] - sum(m[other, at] for other in others)
        m[at, first] = m[first, at].T
    kept = np.r_[0 : (effects - 1) * n, first.start : width]
    return m[np.ix_(kept, kept)]


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

    def given(self, said: Message, prior: np.ndarray) -> Nation:
        """Mean and covariance of S after the areas are seen; `prior` its covariance before."""
        left, inner = _inside(said, prior)
        c = left @ np.linalg.solve(np.eye(len(left)) + inner, left.T)
        return Nation(self.mean + c @ (said.linear - said.precision @ self.mean), c)


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
    """Derivative of the evidence in the logarithm of every scale, patterns last."""
    each, rest = gradients(model, scales, said, nation, u, blocks(model, scales, areas))
    return each.sum(axis=0) + rest


def gradients(
    model: AreaModel,
    scales: np.ndarray,
    said: Message,
    nation: Nation,
    u: np.ndarray,
    among: Iterable[Block],
) -> tuple[np.ndarray, np.ndarray]:
    """What each area adds to the derivative, (area, scale), and what no area does, (scale).

    The evidence is a function of M, T and sum log|Gamma_r|; its derivatives in M and T
    follow from the posterior mean and covariance of S (Fisher's identity), and those of
    M and T in the scales are sums over areas of traces: a second pass.
    """
    adjoint, of_total, of_prior = _adjoints(model, said, nation, nation.with_patterns(model, u))
    n, k, parts = model.n_cells, model.n_sources, []
    a, q = slice(0, N_PATTERNS * n), slice(N_PATTERNS * n, -1)
    of_q, of_y = np.ascontiguousarray(adjoint[q, q]), adjoint[-1]
    of_effects = np.ascontiguousarray(adjoint[a].reshape(N_PATTERNS, n, -1).transpose(1, 0, 2))
    for block in among:
        r, y, design = len(block.areas), model.contrast[block.areas], block.effects[:, :-1]
        solved, cross = block.solved, beside(design, of_effects)
        mixed = block.inverse @ cross[:, :, q]
        mixed += solved[:, :, -1:] * of_y[q]
        weighted = (solved.reshape(r * n, -1)[:, :-1] @ of_q).reshape(mixed.shape)
        weighted += mixed
        fixed = (2 * cross[:, :, -1] + of_y[-1] * y)[:, :, None] * y[:, None]
        fixed += _times(cross[:, :, a], design)
        of_gamma = -(block.inverse @ fixed @ block.inverse) - 0.5 * block.inverse
        mixed += weighted
        of_gamma -= mixed @ solved[:, :, :-1].transpose(0, 2, 1)
        of_noise = of_gamma.diagonal(axis1=1, axis2=2) * model.noise[block.areas]
        of_each = weighted.reshape(r, n, k, n)
        of_each *= 2
        of_each += of_gamma[:, :, None]
        of_each += of_total
        out = model.scale_slopes(in_a_row(block.areas), of_each)
        out[:, CELLS] += of_noise.sum(axis=1)
        parts.append(2 * scales**2 * out)
    rest = np.zeros(scales.size)
    rest[CELLS] = n  # log|s_e^2 sum D|
    each = np.concatenate(parts)
    none = np.zeros((len(each), N_PATTERNS))
    return np.c_[each, none], np.r_[rest, _of_patterns(model, u, of_prior)]


def beside(design: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A M of each area, (area, cell, column): A of design (area, 3, cell), M (cell, 3, column)."""
    by_cell = np.ascontiguousarray(design.transpose(2, 0, 1))
    return np.asarray((by_cell @ matrix).transpose(1, 0, 2))


def _times(x: np.ndarray, design: np.ndarray) -> np.ndarray:
    """X A' of each area, (area, cell, cell); X (area, cell, 3 cell)."""
    r, j, n = design.shape
    return np.asarray(np.einsum("rpjq,rjq->rpq", x.reshape(r, n, j, n), design))


def through(design: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A M A' of each area, (area, cell, cell); M (cell, 3, 3 cell)."""
    return _times(beside(design, matrix), design)


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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives of the evidence in M (symmetric), blocks of T side by side, and prior of S."""
    n = model.n_cells
    after = nation.given(said, prior)
    mean, c = after.mean, after.covariance
    surprise = said.linear - said.precision @ nation.mean
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
    places = [slice(k * n, (k + 1) * n) for k in range(model.n_sources)]
    pairs = zip(places, said.total, strict=True)
    of_total = np.stack([of_g[at, at] + 0.5 * np.linalg.inv(t) for at, t in pairs])
    return adjoint, of_total.transpose(1, 0, 2), 0.5 * (np.outer(apart, apart) - seen)
