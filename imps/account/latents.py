"""Latent variables of an account, kept while it is written down."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from imps.account.affine import Affine
from imps.account.nonlinear import Curve
from imps.account.priors import Priors
from imps.errors import PriorError
from imps.sources import BY_SEX_AND_AGE, Sources


@dataclass(frozen=True)
class Resolution:
    """How many smooth shapes over age the flows and the stocks have.

    Attributes
    ----------
    flow_shapes, stock_shapes : int
        More shapes than the data can see cost time and change nothing.
    """

    flow_shapes: int
    stock_shapes: int

    @classmethod
    def for_sources(cls, sources: Sources) -> Resolution:
        """Fine where both stocks were published by sex and age, modest where only totals were."""
        detailed = {sources.base.observed, sources.census.observed} == {BY_SEX_AND_AGE}
        return cls(12, 20) if detailed else cls(5, 4)


@dataclass
class Latents:
    """Register of latent variables while an account is being written down.

    Each block is standard normal; a block with a scale is multiplied by that scale,
    whose own prior stands in the table of priors under the same name. Curves are
    blocks that follow from the others (see :mod:`imps.account.nonlinear`).
    """

    priors: Priors
    sizes: dict[str, int] = field(default_factory=dict)
    scales: dict[str, str | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    curves: list[Curve] = field(default_factory=list)

    def prior(self, name: str, source: str) -> tuple[float, float]:
        """Mean and sd of a prior, which is thereby used."""
        if name not in self.priors:
            raise PriorError(
                f"source '{source}' has no prior called '{name}'. Add one with "
                f"priors.add(Prior(name='{name}', ...))."
            )
        self.used.add(name)
        return self.priors[name].mean, self.priors[name].sd

    def spread(self, name: str, source: str) -> float:
        """Standard deviation of a prior that takes no mean; a mean would change nothing."""
        mean, sd = self.prior(name, source)
        if mean != 0:
            raise PriorError(
                f"prior '{name}' has mean {mean:g}, and it takes none: only a level has a mean. "
                "Put the mean there, or set it to zero."
            )
        return sd

    def field(self, block: str, effect: np.ndarray, scale: str | None = None) -> Affine:
        """A new block of latent variables and the quantity it moves, zero at its mean."""
        if block in self.sizes:
            raise PriorError(f"latent block '{block}' is defined twice.")
        if scale is not None:
            self.prior(scale, block)
        self.sizes[block] = effect.shape[-1]
        self.scales[block] = scale
        return Affine(np.zeros(effect.shape[:-1]), {block: effect})

    def curve(self, curve: Curve, effect: np.ndarray) -> Affine:
        """A block that follows from others, and the quantity it moves."""
        if curve.block in self.sizes or curve.block in (c.block for c in self.curves):
            raise PriorError(f"latent block '{curve.block}' is defined twice.")
        self.curves.append(curve)
        return Affine(np.zeros(effect.shape[:-1]), {curve.block: effect})

    def unused(self) -> list[str]:
        """Priors that no source of this account has asked for."""
        return [name for name in self.priors if name not in self.used]


def each_sex(effect: np.ndarray) -> np.ndarray:
    """Give each sex latent variables of its own: (sex, ..., n) to (sex, ..., 2 n)."""
    n_sex = effect.shape[0]
    out = np.zeros((*effect.shape[:-1], n_sex, effect.shape[-1]))
    for s in range(n_sex):
        out[s, ..., s, :] = effect[s]
    return out.reshape(*effect.shape[:-1], -1)
