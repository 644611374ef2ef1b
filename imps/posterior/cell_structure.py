"""What ties rows and latent variables of a survey in fine detail, and functions of its scale.

See :mod:`imps.posterior.cells`, which takes both together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from imps.posterior.block_cholesky import Pattern

INTERPOLATED = 1e-14
"""Largest error of an interpolated 1 / (1 + s^2 lambda)."""


def parts_of(effects: np.ndarray, tied: Sequence[np.ndarray]) -> Pattern:
    """Latent variables that no row sees together, and those that are seen beside them, last.

    `effects` (row, latent) are turned, rows that are tied together among each other.
    """
    seen = np.array([(effects[rows] != 0).any(axis=0) for rows in tied])
    kinds, kind, count = np.unique(seen, axis=1, return_inverse=True, return_counts=True)
    taken, parts = np.zeros(len(tied), dtype=bool), []
    for k in np.argsort(-count, kind="stable"):
        if not kinds[:, k].all() and not (taken & kinds[:, k]).any():
            taken |= kinds[:, k]
            parts.append(np.flatnonzero(kind == k))
    shared = np.setdiff1d(np.arange(effects.shape[1]), np.concatenate([[], *parts]))
    last = len(parts)
    if not shared.size:
        return Pattern(tuple(parts), ((),) * last)
    return Pattern((*parts, shared), (*(((last,),) * last), ()))


def turns_of(kernel: sp.csr_array) -> tuple[tuple[tuple[np.ndarray, np.ndarray], ...], np.ndarray]:
    """V, by the rows that are tied together, and lambda."""
    _, block = connected_components(kernel, directed=False)
    values, turns = np.empty(len(block)), []
    for rows in (np.flatnonzero(block == k) for k in range(block.max() + 1)):
        values[rows], vectors = np.linalg.eigh(kernel[np.ix_(rows, rows)].toarray())
        turns.append((rows, vectors))
    return tuple(turns), np.maximum(values, 0.0)


def runs_of(places: np.ndarray) -> list[tuple[slice, slice]]:
    """Places that follow each other, as slices, and which of all places they are."""
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    edges = pairwise([0, *breaks.tolist(), places.size])
    return [(slice(int(places[i]), int(places[j - 1]) + 1), slice(i, j)) for i, j in edges]


def nodes_for(values: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of log s^2 that are enough, and their barycentric weights."""
    between = np.linspace(low, high, 97)
    some = np.unique(np.quantile(values, np.linspace(0, 1, 33)))
    expected = 1 / (1 + np.exp(between)[:, None] * some)
    for n in range(16, 257, 8):
        nodes = (low + high) / 2 - (high - low) / 2 * np.cos(np.pi * np.arange(n) / (n - 1))
        nodes[[0, -1]] = low, high
        weights = (-1.0) ** np.arange(n) * np.r_[0.5, np.ones(n - 2), 0.5]
        found = interpolated(between, nodes, weights) @ (1 / (1 + np.exp(nodes)[:, None] * some))
        if np.abs(found - expected).max() < INTERPOLATED:
            break
    return nodes, weights


def interpolated(t: np.ndarray, nodes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What each node counts at each of many points, (point, node); at a node it alone does."""
    apart = t[:, None] - nodes
    at = np.abs(apart) < 1e-12
    share = weights / np.where(at, 1.0, apart)
    share = np.where(at.any(axis=1, keepdims=True), at.astype(float), share)
    return share / share.sum(axis=1, keepdims=True)
