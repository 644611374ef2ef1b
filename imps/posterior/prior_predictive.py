"""What the priors alone say about the gap, its sources and net migration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from imps.account.chained import ChainModel
from imps.errors import PriorError, some
from imps.intervals import summary
from imps.posterior.chains import stream
from imps.posterior.given_model import given
from imps.posterior.pymc_model import FREE, OBSERVED, kinds


@dataclass(frozen=True)
class PriorPredictive:
    """What the priors say before any survey or census figure is seen.

    Attributes
    ----------
    contributions : DataArray (draw, source), persons
        Contribution of each source to the gap.
    net_migration : DataArray (draw, year), persons per year
        Net migration of each year. Its level is weak by design: the survey decides it.
    gap : float
        The published gap, for comparison, persons.
    """

    contributions: xr.DataArray
    net_migration: xr.DataArray
    gap: float

    def summary(self) -> pd.DataFrame:
        """quantity, mean, sd, lower95, upper95 of the gap, its sources and net migration."""
        columns = {"gap": self.contributions.sum("source").values}
        columns |= {str(s): self.contributions.sel(source=s).values for s in self.sources}
        years = self.net_migration["year"].values
        columns |= {f"net_migration[{y}]": self.net_migration.sel(year=y).values for y in years}
        values = np.stack(list(columns.values()))
        return pd.DataFrame({"quantity": list(columns), **summary(values)})

    @property
    def sources(self) -> list[str]:
        """Names of the sources of the gap."""
        return [str(s) for s in self.contributions["source"].values]

    def __repr__(self) -> str:
        row = self.summary().iloc[0]
        return (
            f"Prior predictive of the gap: {row['mean']:+,.0f}, 95 % [{row['lower95']:+,.0f}, "
            f"{row['upper95']:+,.0f}] persons; published {self.gap:+,.0f}"
        )


def prior_predictive(model: object, *, seed: int, draws: int = 4000) -> PriorPredictive:
    """Draw the gap, its sources and net migration from the priors alone.

    Parameters
    ----------
    model : pm.Model or LinearModel
    seed, draws : int

    Returns
    -------
    PriorPredictive
        Draws of the gap, its sources and net migration, persons.

    Raises
    ------
    PriorError
        If terms of the user's own have changed what the priors say, or it is a whole chain.
    """
    found = given(model)
    harmless = kinds(found.model) if found.model is not None else {}
    changed = [
        name
        for name in found.variant.added
        if name not in found.own or harmless.get(name) not in (FREE, OBSERVED)
    ]
    if changed:
        raise PriorError(
            f"prior_predictive() draws from the table of priors, and {some(changed)} of the model "
            "is no part of it. Call it on the model as it was built, or use "
            "pm.sample_prior_predictive."
        )
    linear = found.linear
    if isinstance(linear, ChainModel):
        raise PriorError(
            f"prior_predictive() is about one gap, and this chain has {len(linear.names)}. Take a "
            f"period: imps.prior_predictive(model.period('{linear.names[-1]}'), seed=...)."
        )
    w = linear.prior_draws(draws, seed=seed)
    rng = np.random.default_rng(stream(seed, "prior predictive: random errors"))
    values = []
    for part in linear.contributions:
        total = part.prior.sum()
        errors = [e for block, e in total.effects.items() if block not in linear.sizes]
        random = sum(rng.standard_normal((draws, e.size)) @ e for e in errors)
        values.append(linear.evaluate(total, w) + random)
    net = linear.evaluate(linear.account.net_migration.sum((0, 1)), w)
    names = [part.source for part in linear.contributions]
    return PriorPredictive(
        contributions=xr.DataArray(
            np.stack(values, axis=1), dims=("draw", "source"), coords={"source": names}
        ),
        net_migration=xr.DataArray(
            net, dims=("draw", "year"), coords={"year": linear.sources.years}
        ),
        gap=linear.sources.gap,
    )
