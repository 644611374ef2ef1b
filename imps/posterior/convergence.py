"""Rank-normalised R-hat and effective sample sizes, as ArviZ computes them.

ArviZ takes one quantity at a time, and its import alone as long as a small fit.

References
----------
Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021), Bayesian Analysis 16(2), 667-718.
Geyer (1992), Statistical Science 7, 473-483 (initial monotone sequence).
Blom (1958), Statistical Estimates and Transformed Beta-Variables (ranks to normal scores).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import ndtri

KNOWN = 1e-6
"""Spread, absolute or as a share of the largest value, under which a quantity is arithmetic."""
TAIL = (1 - 0.89, 0.89)
"""Quantiles, of the smaller of whose effective sizes is that of the tails, as in ArviZ 1."""
LEAST_DRAWS = 4
"""Draws of a chain from which anything is said about it."""


def diagnose(quantities: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Rank-normalised R-hat, bulk and tail effective sample size of each quantity.

    Parameters
    ----------
    quantities : mapping from name to ndarray (chain, draw)

    Returns
    -------
    DataFrame
        Columns quantity, r_hat, ess_bulk, ess_tail; quantities that are known (no spread at
        all) are left out, for nothing was sampled. NaN for R-hat of a single chain, and for
        all of chains of fewer than four draws.
    """
    moving = [
        name
        for name, values in quantities.items()
        if np.ptp(values) > KNOWN * max(1.0, float(np.abs(values).max()))
    ]
    found = [_diagnosed(np.asarray(quantities[name], dtype=float)) for name in moving]
    columns = np.array(found).reshape(-1, 3).T
    names = ("r_hat", "ess_bulk", "ess_tail")
    return pd.DataFrame({"quantity": moving, **dict(zip(names, columns, strict=True))})


def _diagnosed(x: np.ndarray) -> tuple[float, float, float]:
    """R-hat, bulk and tail effective size of draws (chain, draw)."""
    if x.shape[1] < LEAST_DRAWS or not np.isfinite(x).all():
        return np.nan, np.nan, np.nan
    halves = _halves(x)
    scores = _normal_scores(halves)
    r_hat = np.nan
    if len(x) > 1:
        folded = _normal_scores(np.abs(halves - np.median(halves)))
        r_hat = max(_r_hat(scores), _r_hat(folded))
    low, high = (_effective_size(_halves(x <= end).astype(float)) for end in np.quantile(x, TAIL))
    return r_hat, _effective_size(scores), min(low, high)


def _halves(x: np.ndarray) -> np.ndarray:
    half = x.shape[1] // 2
    return np.concatenate([x[:, :half], x[:, -half:]])


def _normal_scores(x: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks of all draws; equal ones share the mean of their ranks."""
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2
    return ndtri((rank - 3 / 8) / (x.size + 1 / 4))[place].reshape(x.shape)


def _r_hat(x: np.ndarray) -> float:
    """Potential scale reduction of draws (chain, draw)."""
    n = x.shape[1]
    between, within = n * x.mean(axis=1).var(ddof=1), x.var(axis=1, ddof=1).mean()
    return float(np.sqrt((between / within + n - 1) / n))


def _effective_size(x: np.ndarray) -> float:
    """Effective number of draws (chain, draw) for their mean, by autocorrelations of all lags."""
    if np.ptp(x) < np.finfo(float).resolution:
        return float(x.size)
    chains, n = x.shape
    length = next_fast_len(2 * n, real=True)
    spectrum = rfft(x - x.mean(axis=1, keepdims=True), n=length)
    covariance = irfft(np.abs(spectrum) ** 2, n=length)[:, :n].mean(axis=0) / n
    within = covariance[0] * n / (n - 1)
    total = covariance[0] + (x.mean(axis=1).var(ddof=1) if chains > 1 else 0.0)
    correlation = 1 - (within - covariance) / total
    correlation[0] = 1.0
    pairs = correlation[: n // 2 * 2].reshape(-1, 2)[: max((n - 1) // 2, 1)]
    sums = pairs.sum(axis=1)
    ended = np.flatnonzero(sums <= 0)
    last = int(ended[0]) if len(ended) else len(sums) - 1
    falling = np.minimum.accumulate(sums[:last])
    rest = float(pairs[last, 0]) if pairs[last, 0] > 0 or sums[last] >= 0 else 0.0
    time = max(-1 + 2 * float(falling.sum()) + rest, 1 / np.log10(x.size))
    return x.size / time
