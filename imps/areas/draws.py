"""Joint draws of all areas, one slab a grid point, with zero sums exact.

At a point: patterns given the national draws; then every area by a conditioned prior draw
(Matheron), d += s^2 Q Gamma^-1 misfit; then a second sweep takes the sum over areas out,

    d_r -= V_r G^-1 t,      t = sum_r d_r,      V_r = blockdiag(Q_r) - Q_r Gamma_r^-1 Q_r'

which is conditioning on the zero sums by kriging. Streams are named after area and point, so a
draw depends neither on the order of the areas nor on who made it.

References
----------
Journel and Huijbregts (1978), Mining Geostatistics, VII.A (conditioning by kriging).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg as sl

from imps.areas.deviations import AreaModel
from imps.areas.grid import Points
from imps.areas.message import CELLS, Message, message, passes
from imps.areas.priors import N_PATTERNS
from imps.posterior.chains import stream
from imps.posterior.workers import one_thread

LEAST_OF_SLAB = 20
"""Draws that share the scales of one point, at least: its factors are then worth their time."""

ZERO, SWEEPS = 1e-7, 3
"""Persons by which a sum over areas may be off zero before it is swept again; sweeps at most."""


@dataclass(frozen=True)
class Slab:
    """What is drawn at one point of the scales.

    Attributes
    ----------
    point : int
    pattern_point : ndarray (draw) of int
    national : ndarray (draw, home, cell), persons
        Draws of the nation.
    """

    point: int
    pattern_point: np.ndarray
    national: np.ndarray


def counts(weight: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """How often each weighted point is taken among n draws: systematic resampling, (..., )."""
    edges = np.floor(np.r_[0.0, np.cumsum(weight.ravel())] * n + rng.random())
    edges[-1] = n + edges[0]
    return np.diff(edges).astype(int).reshape(weight.shape)


def shared_out(weight: np.ndarray, national: np.ndarray, rng: np.random.Generator) -> list[Slab]:
    """National draws (draw, home, cell) shared out to weighted points, 20 draws or more to each."""
    draws, copies = len(national), max(len(national) // LEAST_OF_SLAB, 1)
    taken = counts(weight.sum(axis=1), copies, rng)
    ends = np.round(np.r_[0, np.cumsum(taken)] * draws / copies).astype(int)
    slabs = []
    for point in np.flatnonzero(taken):
        first, last = ends[point : point + 2]
        within = weight[point] / weight[point].sum()
        at = np.repeat(np.arange(within.size), counts(within, last - first, rng))
        slabs.append(Slab(int(point), at, national[first:last]))
    return slabs


@dataclass(frozen=True)
class Drawn:
    """Draws of one slab.

    Attributes
    ----------
    deviation : ndarray (area, source, cell, draw), persons
    pattern : ndarray (draw, 3, cell)
    national : ndarray (draw, home, cell), persons
        As they were given, or moved by the areas where they may be.
    """

    deviation: np.ndarray
    pattern: np.ndarray
    national: np.ndarray


def drawn(
    model: AreaModel, points: Points, seed: int, moved: np.ndarray | None, slab: Slab
) -> Drawn:
    """Deviations, patterns and national errors of one slab.

    `moved` is the covariance of the national draws (home x cell, home x cell) if areas may
    move them.
    """
    with one_thread():
        model = replace(model, factor=points.factor[slab.point])
        scales = model.scales(points.local[slab.point])
        kept = points.messages[slab.point] if points.messages else None
        said = message(model, scales) if kept is None else kept
        u = np.stack([model.pattern_scales(x) for x in points.pattern[slab.point]])
        rng = np.random.default_rng(stream(seed, f"patterns, point {slab.point}"))
        n, taken = model.n_cells, len(slab.national)
        national, pattern = slab.national.reshape(taken, -1).T.copy(), np.empty((3 * n, taken))
        for j in np.unique(slab.pattern_point):
            at = np.flatnonzero(slab.pattern_point == j)
            f = sl.block_diag(*(s * x for s, x in zip(u[j], model.patterns, strict=True)))
            if moved is None:
                pattern[:, at] = _patterns(f, said, _flows(national[:, at], n), rng)
            else:
                found = _moved(f, said, national[:, at], moved, rng)
                pattern[:, at], national[:, at] = found
        errors = _flows(national, n) + pattern
        return Drawn(
            _deviations(model, scales, said, errors, seed, slab.point),
            pattern.T.reshape(taken, N_PATTERNS, n),
            national.T.reshape(slab.national.shape),
        )


def _flows(national: np.ndarray, n: int) -> np.ndarray:
    """Errors of both flows, and none of the net moves, (3 cell, draw)."""
    return np.concatenate([national[n : 3 * n], np.zeros((n, national.shape[1]))])


def _patterns(f: np.ndarray, said: Message, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """U = F z given V and the areas, (3 cell, draw)."""
    root = np.linalg.cholesky(np.eye(f.shape[1]) + f.T @ said.precision @ f)
    pull = f.T @ (said.linear[:, None] - said.precision @ v)
    noise = rng.standard_normal(pull.shape)
    z = sl.cho_solve((root, True), pull)
    return f @ (z + sl.solve_triangular(root, noise, lower=True, trans="T"))


def _moved(
    f: np.ndarray,
    said: Message,
    national: np.ndarray,
    covariance: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """U and all national errors given the areas (Matheron), the latter taken as Gaussian.

    With C the prior covariance of S = V + U and e = b - Lambda S - Normal(0, Lambda) at a prior
    draw, w = (I + Lambda C)^-1 e, each x moves by Cov(x, S) w.
    """
    n = said.linear.size // N_PATTERNS
    u = f @ rng.standard_normal((f.shape[1], national.shape[1]))
    flows = slice(n, 3 * n)
    c = f @ f.T
    c[: 2 * n, : 2 * n] += covariance[flows, flows]
    values, vectors = np.linalg.eigh(said.precision)
    noise = vectors * np.sqrt(np.maximum(values, 0)) @ rng.standard_normal(u.shape)
    e = said.linear[:, None] - said.precision @ (_flows(national, n) + u) - noise
    w = np.linalg.solve(np.eye(len(c)) + said.precision @ c, e)
    return u + f @ (f.T @ w), national + covariance[:, flows] @ w[: 2 * n]


def _deviations(
    model: AreaModel, scales: np.ndarray, said: Message, errors: np.ndarray, seed: int, point: int
) -> np.ndarray:
    n, taken, k = model.n_cells, errors.shape[1], model.n_sources
    out = np.empty((len(model.codes), k, n, taken))
    s = errors.reshape(N_PATTERNS, n, taken)
    noise = scales[CELLS] * np.sqrt(model.noise)[:, :, None]
    again = passes(model, scales)
    for block in again():
        misfit = np.repeat(model.contrast[block.areas, :, None], taken, axis=2)
        for i, r in enumerate(block.areas):
            rng = np.random.default_rng(stream(seed, f"area {model.codes[r]}, point {point}"))
            out[r] = model.prior_draws(r, scales, taken, rng)
            misfit[i] -= noise[r] * rng.standard_normal((n, taken))
        misfit -= out[block.areas].sum(axis=1)
        for j in range(N_PATTERNS):
            misfit -= model.design[block.areas, j, :, None] * s[j]
        out[block.areas] += block.spread_over(block.inverse @ misfit)
    for _ in range(SWEEPS):
        left = out.sum(axis=0)
        if np.abs(left).max() < ZERO:
            break
        pull = said.solve(left.reshape(k * n, taken)).reshape(k, n, taken)
        for block in again():
            own = block.q.transpose(0, 2, 1, 3) @ pull
            own -= block.spread_over(block.inverse @ own.sum(axis=1))
            out[block.areas] -= own
    return out
