"""Numbers of persons and their intervals: what "95 %" means, and how they are printed, once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

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


SMALL = 100_000
"""Residents under whom figures are printed in persons."""


@dataclass(frozen=True)
class Unit:
    """The unit in which numbers of persons are printed.

    Attributes
    ----------
    size : float
        Persons that it stands for.
    name : str
        After a number: "thousand" or "persons".
    """

    size: float
    name: str

    @classmethod
    def of(cls, population: float) -> Unit:
        """Thousands, but persons for a population of less than 100 thousand."""
        return PERSONS if population < SMALL else THOUSANDS

    @property
    def persons(self) -> str:
        """As the unit of a column or an axis: "thousand persons" or "persons"."""
        return "persons" if self.name == "persons" else f"{self.name} persons"

    def said(self, value: float, places: int | None = None) -> str:
        """A signed number with a true minus sign; small thousands with decimals."""
        text = f"{value / self.size:+,.{self._places(value) if places is None else places}f}"
        return "0" if float(text.replace(",", "")) == 0 else text.replace("-", "\u2212")

    def mean_and_ends(self, mean: float, lower: float, upper: float) -> tuple[str, str, str]:
        """Mean and ends of its interval with the same decimals."""
        places = self._places(mean, lower, upper)
        return self.said(mean, places), self.said(lower, places), self.said(upper, places)

    def between(self, mean: float, lower: float, upper: float) -> str:
        """Mean with its interval."""
        said, low, high = self.mean_and_ends(mean, lower, upper)
        return f"{said} [{low}, {high}]"

    def between_ends(self, row: pd.Series) -> str:
        """Mean with its interval, of a row of a table."""
        return self.between(row["mean"], row["lower95"], row["upper95"])

    def _places(self, *values: float) -> int:
        """Decimals of thousands: none from ten thousand, one from a thousand, else two."""
        largest = max(abs(v) for v in values)
        return 0 if largest >= 10_000 or self.size == 1 else 1 if largest >= 1_000 else 2


PERSONS, THOUSANDS = Unit(1.0, "persons"), Unit(1000.0, "thousand")
