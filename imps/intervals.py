"""Intervals of draws and of normal errors: what "95 %" means, once."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd
import xarray as xr

from imps.names import CHAIN, DRAW

Z95 = 1.96
"""Standard errors on either side of a normal 95 per cent interval; also the multiplier of
published half-widths (ONS, IPS margins of error, notes)."""
Z99 = 2.576
"""Standard errors on either side of a normal 99 per cent interval."""

ROUNDING = 1e-6
"""Persons under which a sum that is zero by arithmetic is not positive."""


def ends(draws: np.ndarray, prob: float = 0.95, *, axis: int | None = None) -> np.ndarray:
    """Ends of the equal-tailed interval, over all draws or over one axis, (2, ...)."""
    tail = (1 - prob) / 2
    return np.quantile(draws, [tail, 1 - tail], axis=axis)


def level(column: str, prob: float) -> str:
    """Name of a column of interval ends at another level: "lower95" is "lower90" at 0.9."""
    return f"{column[:-2]}{prob * 100:g}" if column.endswith("95") else column


def summary(draws: np.ndarray, prob: float = 0.95) -> dict[str, np.ndarray]:
    """mean, sd and ends of the equal-tailed interval over the last axis."""
    lower, upper = ends(draws, prob, axis=-1)
    return {
        "mean": draws.mean(axis=-1),
        "sd": draws.std(axis=-1),
        level("lower95", prob): lower,
        level("upper95", prob): upper,
    }


def summary_table(
    draws: xr.DataArray, prob: float = 0.95, *, positive: bool = False
) -> pd.DataFrame:
    """Mean, sd and equal-tailed interval over the draws, one row a label of the other dims.

    Parameters
    ----------
    draws : DataArray (chain, draw, ...)
    prob : float
    positive : bool
        Also `probability_positive`, the share of draws above zero by more than rounding.
    """
    stacked = draws.stack(draw_=(CHAIN, DRAW)).transpose(..., "draw_")
    columns = summary(stacked.values, prob)
    if positive:
        columns["probability_positive"] = (stacked.values > ROUNDING).mean(axis=-1)
    labels: dict[Hashable, np.ndarray] = {d: stacked[d].values for d in stacked.dims[:-1]}
    index = pd.MultiIndex.from_product(list(labels.values()), names=list(labels))
    return pd.DataFrame({k: v.ravel() for k, v in columns.items()}, index=index).reset_index()
