"""Are ranks uniform? The exact simultaneous envelope of their distribution.

References
----------
Sailynoja, Buerkner and Vehtari (2022), Graphical test for discrete uniformity and its
applications in goodness-of-fit evaluation, Statistics and Computing 32, 32.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.special import gammaln
from scipy.stats import binom

RANK_POINTS = 100
"""Points at which the distribution of the ranks is compared with its envelope."""


def uniform_p_value(ranks: np.ndarray) -> float:
    """Probability that uniform ranks leave their simultaneous envelope as deep as these.

    The statistic is the smallest two-sided binomial tail probability of the number of
    ranks below each of the points; its distribution is exact.

    References
    ----------
    Sailynoja, Buerkner and Vehtari (2022), Statistics and Computing 32, 32, algorithm 1.
    """
    n = ranks.size
    at = points(n)
    below = (ranks[:, None] <= at).sum(axis=0)
    tails = np.minimum(binom.cdf(below, n, at), binom.sf(below - 1, n, at))
    gamma = float(np.clip(2 * tails.min(), 1e-12, 1.0))
    return 1 - inside_probability(n, round(np.log(gamma), 6))


def points(n: int) -> np.ndarray:
    k = min(RANK_POINTS, n)
    return np.arange(1, k) / k


@lru_cache(maxsize=4096)
def inside_probability(n: int, log_gamma: float) -> float:
    """Probability that all counts of uniform ranks have two-sided tails above exp(log_gamma)."""
    gamma, at = np.exp(log_gamma), points(n)
    log_factorial = gammaln(np.arange(n + 1) + 1.0)
    counts, mass, before = np.zeros(1, dtype=int), np.ones(1), 0.0
    for z in at:
        k = np.arange(n + 1)
        tails = 2 * np.minimum(binom.cdf(k, n, z), binom.sf(k - 1, n, z))
        allowed = k[tails > gamma * (1 + 1e-5)]
        if not allowed.size:
            return 0.0
        share = (z - before) / (1 - before)
        more = allowed - counts[:, None]
        left = (n - counts)[:, None]
        ok = (more >= 0) & (more <= left)
        m = np.where(ok, more, 0)
        log_pmf = log_factorial[left] - log_factorial[m] - log_factorial[np.maximum(left - m, 0)]
        log_pmf = log_pmf + m * np.log(share) + (left - m) * np.log1p(-share)
        mass = mass @ np.where(ok, np.exp(log_pmf), 0.0)
        counts, before = allowed, z
    return float(mass.sum())


@lru_cache(maxsize=64)
def pointwise_level(n: int, level: float) -> float:
    """Pointwise tail probability whose envelope is left with probability `level`."""
    low, high = np.log(level) - 8, np.log(level)
    for _ in range(40):
        middle = (low + high) / 2
        if 1 - inside_probability(n, round(middle, 6)) > level:
            high = middle
        else:
            low = middle
    return float(np.exp(low))
