"""Random numbers of a truth that is drawn from the priors.

The story of :mod:`imps.simulation.from_priors`, which see: nothing here comes from the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from imps.names import SEXES


class PriorRow(Protocol):
    """A row of the table of priors: mean and sd, or 0 and the median of a scale."""

    @property
    def mean(self) -> float: ...
    @property
    def sd(self) -> float: ...


@dataclass
class Draw:
    """Random numbers with the table of priors; remembers the scales it has drawn.

    Over the periods of a chain it is one: scales are drawn once, and a bias that persists is in
    part the same in all of them, with the correlation `between` periods.
    """

    rng: np.random.Generator
    priors: Mapping[str, PriorRow]
    scales: dict[str, float] = field(default_factory=dict)
    bias_levels: dict[str, float] = field(default_factory=dict)
    between: float = 0.0
    stays: dict[str, np.ndarray] = field(default_factory=dict)

    def normal(self, name: str, size: int | None = None) -> np.ndarray | float:
        row = self.priors[name]
        return row.mean + row.sd * self.rng.standard_normal(size)

    def persistent(self, name: str, size: int = 1) -> np.ndarray:
        """Standard normal numbers that are in part the same in every period."""
        new = self.rng.standard_normal(size)
        if self.between == 0:
            return new
        if name not in self.stays:
            self.stays[name] = self.rng.standard_normal(size)
        return np.sqrt(self.between) * self.stays[name] + np.sqrt(1 - self.between) * new

    def persisting(self, name: str, size: int = 1) -> np.ndarray:
        """A prior whose standardised value persists over periods."""
        row = self.priors[name]
        return row.mean + row.sd * self.persistent(name, size)

    def set(self, name: str) -> float:
        """A number that is set in the table of priors."""
        return self.priors[name].mean

    def partly_constant(self, n: int, persists_as: str = "") -> np.ndarray:
        """Errors of variance one over n years, in part the same in all of them."""
        same = self.set("part_constant_share")
        z = self.persistent(persists_as) if persists_as else self.rng.standard_normal(1)
        constant = np.sqrt(same) * z
        return constant + np.sqrt(1 - same) * self.years(n, self.set("bias_persistence"))

    def scale(self, name: str) -> float:
        if f"log_scale[{name}]" not in self.scales:
            self.scales[f"log_scale[{name}]"] = self.rng.standard_normal()
        h = self.scales[f"log_scale[{name}]"]
        return float(self.priors[name].sd * np.exp(self.set("scale_log_sd") * h))

    def years(self, n: int, correlation: float, *shape: int) -> np.ndarray:
        """Stationary first-order autoregression of variance one, (*shape, n)."""
        noise = self.rng.standard_normal((*shape, n))
        out = noise.copy()
        for t in range(1, n):
            out[..., t] = correlation * out[..., t - 1]
            out[..., t] += np.sqrt(1 - correlation**2) * noise[..., t]
        return out

    def over_age(self, shapes: np.ndarray) -> np.ndarray:
        """A smooth departure of variance about one, each sex its own, (sex, age)."""
        return np.stack([shapes @ self.rng.standard_normal(shapes.shape[1]) for _ in SEXES])
