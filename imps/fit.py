"""Fitting: the exact way where the model is conditionally Gaussian, NUTS everywhere.

`method="exact"` integrates the scales by an importance grid and draws everything
else exactly. Each of its chains is an independent randomisation of the grid, so
that R-hat and effective sizes are measured by replication. `method="nuts"`
samples the PyMC model with nutpie. `method="auto"` takes the exact way where
there is one, and NUTS if the weights of the grid are too uneven.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from threadpoolctl import threadpool_limits

from imps.cards import between, card, fan
from imps.dims import CHAIN, DRAW
from imps.draws import LATENT, LOG_SCALE, dataset
from imps.errors import NotFittedError, PriorError
from imps.gaussian import GaussianPosterior, LinearModel
from imps.model import is_gaussian, latent_names, linear_part, pymc_model

METHODS = ("auto", "exact", "nuts")
GRID_POINTS = 256
EXACT_DRAWS = 1000
NUTS_DRAWS = 2000
TARGET_ACCEPT = 0.97
"""Short steps: the scales of the smooth parts bend the posterior near zero."""
LEAST_EFFECTIVE_SHARE = 0.25
"""Share of effective grid points under which the exact way is given up for NUTS."""
LARGEST_LOG_SCALE = 3.0
"""A standardised log scale beyond this is a misfit, not a scale."""


@dataclass(frozen=True)
class Fit:
    """Posterior draws of all unknowns of an account, and how they were made.

    Attributes
    ----------
    model : LinearModel
        The account; every result is a linear map of the draws.
    draws : Dataset
        `log_scale` (chain, draw, scale) and `latent` (chain, draw, latent_name).
    stats : Dataset
        Sampler statistics; `diverging` (chain, draw) for NUTS, `effective_points`
        (chain) for the exact way.
    method : {"exact", "nuts"}
    seed : int
    settings : dict
        Everything that determines the draws.
    seconds : dict
        Wall time of the parts.
    notes : tuple of str
        What happened on the way, such as a fallback.
    """

    model: LinearModel
    draws: xr.Dataset
    stats: xr.Dataset
    method: str
    seed: int
    settings: dict[str, Any]
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return self.draws.sizes[CHAIN]

    @property
    def n_draws(self) -> int:
        """Draws of each chain."""
        return self.draws.sizes[DRAW]

    def latents(self) -> np.ndarray:
        """Scaled latent variables w, (chain * draw, latent), with the values that follow."""
        factors = self.model.scale_factors(self.draws[LOG_SCALE].values)
        w = factors * self.draws[LATENT].values
        return self.model.complete(w.reshape(-1, w.shape[-1]))

    def quantities(self) -> dict[str, np.ndarray]:
        """Draws (chain, draw) of every reported quantity and every scale."""
        w = self.latents()
        shape = (self.n_chains, self.n_draws)
        out = {
            name: self.model.evaluate(quantity, w).reshape(shape)
            for name, quantity in self.model.reported.items()
        }
        for i, name in enumerate(self.model.scale_names):
            out[f"log_scale[{name}]"] = self.draws[LOG_SCALE].values[..., i]
        return out

    def __repr__(self) -> str:
        way = {"exact": "exact given the scales, importance grid over them", "nuts": "NUTS"}
        return (
            f"Fit of {self.model.sources.area}: {self.n_chains} x {self.n_draws} draws by "
            f"{way[self.method]}, seed {self.seed}, {self.seconds['total']:.1f} s\n"
            "next: imps.check(fit), imps.attribute(fit), imps.reconcile(fit)"
        )

    def _repr_html_(self) -> str:
        """Compact card for a notebook: net migration, how the draws were made, the verdict.

        The verdict is asked for when someone looks: no result is shown without it.
        """
        import imps

        quantities = self.quantities()
        names = [f"net_migration[{year}]" for year in self.model.sources.years]
        total = quantities["net_migration[all years]"]
        low, high = np.quantile(total, [0.025, 0.975])
        yearly = np.stack([quantities[name].ravel() for name in names])
        bands = [np.quantile(yearly, [(1 - p) / 2, (1 + p) / 2], axis=1) for p in (0.95, 0.5)]
        main = f"Net migration {between(float(total.mean()), float(low), float(high))} thousand"
        return card(
            f"Fit of {self.model.sources.area}, {self.n_chains} x {self.n_draws} draws",
            f"{main}, 95 % interval",
            (
                *repr(self).splitlines()[:1],
                "By year, thousand, with 50 and 95 % bands.",
                *self.notes,
            ),
            picture=fan(
                [str(y) for y in self.model.sources.years],
                yearly.mean(axis=1).tolist(),
                [(b[0].tolist(), b[1].tolist()) for b in bands],
                f"{main}, by year",
            ),
            verdict=imps.check(self).line,
        )


def fit(
    model: object,
    *,
    seed: int,
    method: str = "auto",
    draws: int | None = None,
    chains: int = 4,
    tune: int = 600,
    cores: int = 2,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> Fit:
    """Draw from the posterior of an account.

    Parameters
    ----------
    model : pm.Model or LinearModel
        From :func:`imps.build_model` or :func:`imps.linear_model`.
    seed : int
        One integer; the streams of chains are derived from it.
    method : {"auto", "exact", "nuts"}
    draws : int, optional
        Draws of each chain: 1,000 independent ones the exact way, 2,000 by NUTS.
    chains, tune : int
        `tune` is for NUTS only.
    progress : bool
        Show the progress bar of the sampler.
    say : callable, optional
        Told in a line what is going on.

    Returns
    -------
    Fit

    Raises
    ------
    PriorError
        If the exact way is asked of a model that is not conditionally Gaussian.
    """
    if method not in METHODS:
        raise PriorError(f"method is '{method}', expected one of {METHODS}.")
    linear = linear_part(model)
    gaussian = is_gaussian(model)
    if method == "exact" and not gaussian:
        raise PriorError(
            "this model is not conditionally Gaussian (a variant, or a term was added to it): "
            "use method='nuts'."
        )
    tell = say or (lambda _: None)
    settings = {"method": method, "chains": chains, "seed": int(seed), "gaussian": gaussian}
    notes: tuple[str, ...] = ()
    if gaussian and method != "nuts":
        tell(f"exact posterior: {chains} grids of {GRID_POINTS} points over the scales")
        found = _exact(linear, int(seed), draws or EXACT_DRAWS, chains, settings)
        share = float(found.stats["effective_points"].min()) / GRID_POINTS
        if method == "exact" or share >= LEAST_EFFECTIVE_SHARE:
            return found
        notes = (f"grid over the scales too uneven ({share:.0%} effective): NUTS was taken",)
        tell(notes[0])
    many = draws or NUTS_DRAWS
    tell(f"NUTS: compiling, then {chains} chains of {tune} + {many} draws")
    target = model if hasattr(model, "linear") else pymc_model(linear)
    return _nuts(target, linear, int(seed), many, chains, tune, cores, progress, settings, notes)


def _exact(
    linear: LinearModel, seed: int, draws: int, chains: int, settings: dict[str, Any]
) -> Fit:
    """Chains are independent randomisations of the grid, each with draws of its own."""
    start = time.perf_counter()
    seeds = np.random.SeedSequence(seed).generate_state(2 * chains)
    grids, scales, latents = [], [], []
    with threadpool_limits(1, user_api="blas"):  # matrices too small to share between threads
        posterior = GaussianPosterior(linear)
        proposal = posterior.proposal(seed=seed)
        for chain in range(chains):
            grid = posterior.grid(proposal, GRID_POINTS, seed=int(seeds[2 * chain]))
            h, z = posterior.draw(grid, draws, seed=int(seeds[2 * chain + 1]))
            grids.append(grid)
            scales.append(h)
            latents.append(z)
    points = np.array([grid.effective for grid in grids])
    exact = pd.DataFrame(
        {
            "quantity": posterior.names,
            "mean": np.mean([g.mean for g in grids], axis=0),
            "sd": np.sqrt(np.mean([g.sd**2 for g in grids], axis=0)),
            "between": np.mean([g.between for g in grids], axis=0),
        }
    )
    return Fit(
        model=linear,
        draws=dataset(
            np.stack(scales), np.stack(latents), list(linear.scale_names), latent_names(linear)
        ),
        stats=xr.Dataset({"effective_points": ((CHAIN,), points)}),
        method="exact",
        seed=seed,
        settings={**settings, "draws": draws, "grid_points": GRID_POINTS},
        seconds={"total": time.perf_counter() - start},
        extras={"exact_moments": exact},
    )


def _nuts(
    model: Any,
    linear: LinearModel,
    seed: int,
    draws: int,
    chains: int,
    tune: int,
    cores: int,
    progress: bool,
    settings: dict[str, Any],
    notes: tuple[str, ...],
) -> Fit:
    import nutpie

    start = time.perf_counter()
    compiled = nutpie.compile_pymc_model(model)
    middle = time.perf_counter()
    trace = nutpie.sample(
        compiled,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        seed=seed,
        progress_bar=progress,
        save_warmup=False,
        target_accept=TARGET_ACCEPT,
    )
    end = time.perf_counter()
    posterior = trace["posterior"]
    stats = trace["sample_stats"]
    return Fit(
        model=linear,
        draws=dataset(
            np.asarray(posterior[LOG_SCALE].values),
            np.asarray(posterior[LATENT].values),
            list(linear.scale_names),
            latent_names(linear),
        ),
        stats=xr.Dataset(
            {
                "diverging": ((CHAIN, DRAW), np.asarray(stats["diverging"].values)),
                "n_steps": ((CHAIN, DRAW), np.asarray(stats["n_steps"].values)),
            }
        ),
        method="nuts",
        seed=seed,
        settings={**settings, "draws": draws, "tune": tune, "target_accept": TARGET_ACCEPT},
        seconds={"compile": middle - start, "sample": end - middle, "total": end - start},
        notes=notes,
        extras=_own_variables(posterior),
    )


def _own_variables(posterior: Any) -> dict[str, Any]:
    """Draws of variables that the user added to the model, as (chain, draw, ...) arrays."""
    names = [str(v) for v in posterior.data_vars if v not in (LOG_SCALE, LATENT)]
    return {"own_variables": {v: np.asarray(posterior[v].values) for v in names}} if names else {}


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
        lower, upper = np.quantile(values, [0.025, 0.975], axis=1)
        return pd.DataFrame(
            {
                "quantity": list(columns),
                "mean": values.mean(axis=1),
                "sd": values.std(axis=1),
                "lower95": lower,
                "upper95": upper,
            }
        )

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
    """
    linear = linear_part(model)
    w = linear.prior_draws(draws, seed=seed)
    rng = np.random.default_rng([seed, 1])  # random errors have a stream of their own
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


def needs_fit(candidate: object, function: str) -> Fit:
    """The fit itself, or an error that says how to get one."""
    if not isinstance(candidate, Fit):
        raise NotFittedError(
            f"{function}() needs a fit, got {type(candidate).__name__}. Call "
            "fit(model, seed=...) and pass its result."
        )
    return candidate
