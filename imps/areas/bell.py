"""Proposal of the areas' scales, fitted to points that it proposed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl
from scipy.special import ndtri
from scipy.stats import qmc

from imps.areas.priors import N_PATTERNS
from imps.posterior.importance import Proposal

PATTERN_POINTS = 8
LEAST_CURVATURE = 0.8
"""A scale is never taken for much less certain than its prior."""
WIDER = 1.15
"""Normal proposal of the patterns' scales, given the others, wider than the curvature says."""
SHIFT, BEND, TWIST = 0.5, 0.3, 0.2
"""Prior standard deviations of what a proposal lacks in standardised scales: mean, curvature of
each scale, and of two together."""
SHARED, OWN = 0.6, 0.3
"""Standard deviations of a log density about a quadratic: common to a point, whose factors are
drawn once, and of each of its pattern points."""
ABOVE = 0.6
"""Points of larger weights than this share of all count alike when a proposal is fitted."""
LEAST_BEND = 0.6
"""Least precision of a fitted proposal, as a share of the one before."""


@dataclass(frozen=True)
class Bell:
    """A proposal: t for the scales of deviations, normal given them for those of the patterns."""

    centre: np.ndarray
    spread: np.ndarray
    n_local: int

    @property
    def _local(self) -> Proposal:
        k = self.n_local
        return Proposal.at_mode(self.centre[:k], self.spread[:k, :k], ())

    def _given(self, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (point, 1, pattern) and root of the covariance of the patterns' scales."""
        k = self.n_local
        gain = self.spread[k:, :k] @ np.linalg.inv(self.spread[:k, :k])
        root = np.linalg.cholesky(self.spread[k:, k:] - gain @ self.spread[:k, k:])
        return (self.centre[k:] + (local - self.centre[:k]) @ gain.T)[:, None], WIDER * root

    def points(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Quasi-random points (point, scale), with (point, pattern point, pattern)."""
        local = self._local.points(n, seed)
        u = qmc.Sobol(N_PATTERNS, seed=seed + 1000).random(n * PATTERN_POINTS)
        z = ndtri(np.clip(u, 1e-6, 1 - 1e-6)).reshape(n, PATTERN_POINTS, N_PATTERNS)
        mean, root = self._given(local)
        return local, mean + z @ root.T

    def log_density(self, local: np.ndarray, pattern: np.ndarray) -> np.ndarray:
        """Log density (point, pattern point), up to a constant common to all bells."""
        mean, root = self._given(local)
        z = sl.solve_triangular(root, (pattern - mean).reshape(-1, N_PATTERNS).T, lower=True)
        given = -0.5 * (z**2).sum(axis=0) - np.log(np.diag(root)).sum()
        return self._local.log_density(local)[:, None] + given.reshape(pattern.shape[:2])

    def fitted(self, local: np.ndarray, pattern: np.ndarray, log: np.ndarray) -> Bell:
        """With mean and curvature by a quadratic in what the log density lacks at its points.

        Ridge regression in standardised scales z on 1, z and -zz'/2; points of little weight
        count little, for a density is not quadratic far out.
        """
        repeated = np.repeat(local[:, None], pattern.shape[1], axis=1)
        x = np.concatenate([repeated, pattern], axis=-1).reshape(log.size, -1)
        root = np.linalg.cholesky(self.spread)
        z = sl.solve_triangular(root, (x - self.centre).T, lower=True).T
        i, j = np.triu_indices(n := z.shape[1])
        same = i == j
        likely = np.r_[np.full(n, SHIFT), np.where(same, BEND, TWIST)]
        columns = np.c_[z, -z[:, i] * z[:, j] * np.where(same, 0.5, 1.0)] * likely
        weight = log - self.log_density(local, pattern)
        near = np.exp(np.clip(weight - np.quantile(weight, ABOVE), -30.0, 0.0))
        noise = sl.block_diag(*(SHARED**2 / w.mean() + np.diag(OWN**2 / w) for w in near))
        lacks = log.ravel() + 0.5 * (z**2).sum(axis=1)
        whole = np.c_[np.ones(log.size), columns, lacks - np.median(lacks)]
        whole = sl.solve_triangular(np.linalg.cholesky(noise), whole, lower=True)
        precision = whole[:, :-1].T @ whole[:, :-1] + np.diag(np.r_[0.0, np.ones(likely.size)])
        found = np.linalg.solve(precision, whole[:, :-1].T @ whole[:, -1])[1:] * likely
        bend = np.eye(n)
        bend[i, j] += found[n:]
        bend[j, i] = bend[i, j]
        spread = root @ inverse(bend, least=LEAST_BEND) @ root.T
        return Bell(self.centre + spread @ np.linalg.solve(root.T, found[:n]), spread, self.n_local)


def inverse(curvature: np.ndarray, more: float = 1.0, least: float = LEAST_CURVATURE) -> np.ndarray:
    """Covariance of the scales by curvature; that of the areas counts `more` times."""
    prior = np.eye(len(curvature))
    values, vectors = np.linalg.eigh(more * (curvature - prior) + prior)
    spread = (vectors / np.clip(values, least, None)) @ vectors.T
    return 0.5 * (spread + spread.T)
