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

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from imps.areas.deviations import AreaModel
from imps.areas.grid import Points
from imps.areas.message import CELLS, Message, blocks, message
from imps.areas.priors import N_PATTERNS
from imps.posterior.random_streams import stream
from imps.posterior.workers import one_thread

LEAST_OF_SLAB = 20
"""Draws that share the scales of one point, at least: its factors are then worth their time."""


@dataclass(frozen=True)
class Slab:
    """What is drawn at one point of the scales.

    Attributes
    ----------
    point : int
    pattern_point : ndarray (draw) of int
    national : ndarray (draw, 2 cell), persons
        Errors of immigration and emigration in the draws of the nation.
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
    """National errors (draw, 2 cell) shared out to weighted points, 20 draws or more to each."""
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


def drawn(model: AreaModel, points: Points, seed: int, slab: Slab) -> tuple[np.ndarray, np.ndarray]:
    """Deviations (area, source, cell, draw) and patterns (draw, 3, cell) of one slab."""
    with one_thread():
        scales = model.scales(points.local[slab.point])
        kept = points.messages[slab.point] if points.messages else None
        said = message(model, scales) if kept is None else kept
        u = np.stack([model.pattern_scales(x) for x in points.pattern[slab.point]])
        errors, patterns = _national(model, said, u, seed, slab)
        return _deviations(model, scales, said, errors, seed, slab.point), patterns


def _national(
    model: AreaModel, said: Message, u: np.ndarray, seed: int, slab: Slab
) -> tuple[np.ndarray, np.ndarray]:
    """S = V + U (3 cell, draw), and U (draw, 3, cell), drawn given V and the areas."""
    n, taken = model.n_cells, slab.national.shape[0]
    v = np.concatenate([slab.national, np.zeros((taken, n))], axis=1).T
    rng = np.random.default_rng(stream(seed, f"patterns, point {slab.point}"))
    out = np.empty((N_PATTERNS * n, taken))
    for j in np.unique(slab.pattern_point):
        at = np.flatnonzero(slab.pattern_point == j)
        f = sl.block_diag(*(s * shape for s, shape in zip(u[j], model.patterns, strict=True)))
        root = np.linalg.cholesky(np.eye(f.shape[1]) + f.T @ said.precision @ f)
        pull = f.T @ (said.linear[:, None] - said.precision @ v[:, at])
        noise = rng.standard_normal((f.shape[1], at.size))
        z = sl.cho_solve((root, True), pull)
        out[:, at] = f @ (z + sl.solve_triangular(root, noise, lower=True, trans="T"))
    return v + out, out.T.reshape(taken, N_PATTERNS, n)


def _deviations(
    model: AreaModel, scales: np.ndarray, said: Message, errors: np.ndarray, seed: int, point: int
) -> np.ndarray:
    n, taken, k = model.n_cells, errors.shape[1], model.n_sources
    out = np.empty((len(model.codes), k, n, taken))
    s = errors.reshape(N_PATTERNS, n, taken)
    noise = scales[CELLS] * np.sqrt(model.noise)[:, :, None]
    for block in blocks(model, scales):
        misfit = np.repeat(model.contrast[block.areas, :, None], taken, axis=2)
        for i, r in enumerate(block.areas):
            rng = np.random.default_rng(stream(seed, f"area {model.codes[r]}, point {point}"))
            out[r] = model.prior_draws(r, scales, taken, rng)
            misfit[i] -= noise[r] * rng.standard_normal((n, taken))
        misfit -= out[block.areas].sum(axis=1)
        for j in range(N_PATTERNS):
            misfit -= model.design[block.areas, j, :, None] * s[j]
        out[block.areas] += block.q @ (block.inverse @ misfit)[:, None]
    pull = said.solve(out.sum(axis=0).reshape(k * n, taken)).reshape(k, n, taken)
    for block in blocks(model, scales):
        own = block.q @ pull
        out[block.areas] -= own - block.q @ (block.inverse @ own.sum(axis=1))[:, None]
    return out
