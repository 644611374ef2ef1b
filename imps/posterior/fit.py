"""Fitting: the exact way where the model is conditionally Gaussian, NUTS everywhere.

`method="exact"` integrates the scales by an importance grid and draws everything
else exactly. Each of its chains is an independent randomisation of the grid, so
that R-hat and effective sizes are measured by replication. `method="nuts"`
samples the PyMC model with nutpie. `method="auto"` takes the exact way where
there is one, and NUTS if the weights of the grid are too uneven.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from imps._version import __version__
from imps.account.linear import LinearModel
from imps.errors import FitSkippedError, NotFittedError, PriorError
from imps.intervals import ends
from imps.names import CHAIN, DRAW
from imps.notebook_cards import Unit, card, fan
from imps.posterior.agreement import cross_checked
from imps.posterior.archive import account_record, pack
from imps.posterior.by_grid import (
    GRID_POINTS,
    LEAST_EFFECTIVE_SHARE,
    chains_by_grid,
    exact_moments,
)
from imps.posterior.chains import OWN, Chains, flat, own_arrays
from imps.posterior.densities import log_likelihood_by_source, log_prior_by_block
from imps.posterior.nuts import chains_by_nuts
from imps.posterior.pymc_model import allowed, linear_part, pymc_model, variant
from imps.posterior.storage import LATENT, LOG_SCALE, save
from imps.posterior.time_limit import within
from imps.posterior.variant import Variant
from imps.sampling import Sampling

FALLBACKS = ("nuts", "skip")
NEAR = "near_another_fit"
"""Entry of the extras of a fit whose search for the scales began at those of another."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Posterior draws of all unknowns of an account, and how they were made.

    Attributes
    ----------
    model : LinearModel
        The account; every result is a linear map of the draws.
    draws : Dataset
        `log_scale` (chain, draw, scale) and `latent` (chain, draw, latent_name).
    stats : Dataset
        Sampler statistics; `diverging` (chain, draw) for NUTS, `effective_points` and
        `grid_points` (chain) for the exact way.
    method : {"exact", "nuts"}
    sampling : Sampling
        As asked for, with the draws of each chain that were taken.
    variant : Variant
        Of the model.
    seconds : dict
        Wall time of the parts.
    notes : tuple of str
        What happened on the way, such as a fallback.
    extras : dict
        `exact_moments` of the exact way; `own_variables` of a model of the user's own;
        `near_another_fit` where the search for the scales began at those of another fit.
    stale : tuple of str
        Why a fit that was loaded no longer matches its inputs; printed with every result.
    """

    model: LinearModel
    draws: xr.Dataset
    stats: xr.Dataset
    method: str
    sampling: Sampling
    variant: Variant
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    extras: dict[str, Any] = field(default_factory=dict)
    stale: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """The one integer from which everything random was derived."""
        return self.sampling.seed

    @property
    def gaussian(self) -> bool:
        """Whether the model is the Gaussian one: no variant that matters, and nothing added."""
        return self.variant.normal_rows and not self.variant.added and not self.model.curves

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that determines the draws, as plain values for a file."""
        asked = self.sampling.record()
        if self.method == "exact":
            asked = {k: v for k, v in asked.items() if k != "tune"} | {"grid_points": GRID_POINTS}
        near = {NEAR: True} if self.extras.get(NEAR) else {}
        return {**asked, "gaussian": self.gaussian, "variant": self.variant.record(), **near}

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return self.draws.sizes[CHAIN]

    @property
    def n_draws(self) -> int:
        """Draws of each chain."""
        return self.draws.sizes[DRAW]

    def latents(self) -> np.ndarray:
        """Scaled latents w, (chain * draw, latent), with what follows; not to be written to."""
        return self._latents

    @cached_property
    def _latents(self) -> np.ndarray:
        factors = self.model.scale_factors(self.draws[LOG_SCALE].values)
        w = factors * self.draws[LATENT].values
        found = self.model.complete(w.reshape(-1, w.shape[-1]))
        found.flags.writeable = False
        return found

    def quantities(self) -> dict[str, np.ndarray]:
        """Draws (chain, draw) of every reported quantity and every scale."""
        return dict(self._quantities)

    @cached_property
    def _quantities(self) -> dict[str, np.ndarray]:
        w = self.latents()
        shape = (self.n_chains, self.n_draws)
        out = {
            name: self.model.evaluate(quantity, w).reshape(shape)
            for name, quantity in self.model.reported.items()
        }
        for i, name in enumerate(self.model.scale_names):
            out[f"log_scale[{name}]"] = self.draws[LOG_SCALE].values[..., i]
        return out

    def log_likelihood(self) -> xr.DataArray:
        """Log-likelihood of the rows of each source, (chain, draw, source)."""
        h, z = self._standardised()
        parts = log_likelihood_by_source(self.model, h, z, self.variant)
        return self._by_name(parts, "source")

    def log_prior(self) -> xr.DataArray:
        """Log prior density of each block of latent variables and each scale, (chain, draw, block).

        In the standardised variables, as they were sampled.
        """
        return self._by_name(log_prior_by_block(self.model, *self._standardised()), "block")

    def _standardised(self) -> tuple[np.ndarray, np.ndarray]:
        h, z = self.draws[LOG_SCALE].values, self.draws[LATENT].values
        return h.reshape(-1, h.shape[-1]), z.reshape(-1, z.shape[-1])

    def _by_name(self, parts: Mapping[str, np.ndarray], dim: str) -> xr.DataArray:
        values = np.stack(list(parts.values()), axis=-1)
        return xr.DataArray(
            values.reshape(self.n_chains, self.n_draws, len(parts)),
            dims=(CHAIN, DRAW, dim),
            coords={dim: list(parts)},
        )

    def save(self, path: str | Path, *, case: object = None) -> None:
        """Write the fit to one netCDF file, whole or not at all: data only, no code.

        Draws, sources, priors, settings, log-likelihood by source and log-prior by block;
        :func:`imps.load_fit` brings them back, and every table and figure can be made again
        without fitting. A source of the user's own is code and stays behind: its name is kept.

        Parameters
        ----------
        path : path
            Such as "fit.nc"; a file that is there is replaced.
        case : Case, optional
            Kept beside the fit: notes, licence and what was published afterwards.
        """
        account, arrays = account_record(self.model)
        record = {
            "imps": __version__,
            "method": self.method,
            "seed": self.seed,
            "settings": self.settings,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "account": account,
            "case": pack(case, arrays),
        }
        groups = {
            "posterior": self.draws.assign(own_arrays(self.extras.get("own_variables", {}))),
            "sample_stats": self.stats,
            "log_likelihood": self.log_likelihood().to_dataset(name="log_likelihood"),
            "log_prior": self.log_prior().to_dataset(name="log_prior"),
            "account": flat(arrays),
        }
        save(Path(path), groups, record)

    def __repr__(self) -> str:
        way = {"exact": "exact given the scales, importance grid over them", "nuts": "NUTS"}
        return (
            f"Fit of {self.model.sources.area}: {self.n_chains} x {self.n_draws} draws by "
            f"{way[self.method]}, seed {self.seed}, {self.seconds['total']:.1f} s\n"
            + "".join(f"STALE: {reason}\n" for reason in self.stale[:3])
            + "next: imps.check(fit), imps.attribute(fit), imps.reconcile(fit)"
        )

    def _repr_html_(self) -> str:
        """Compact card for a notebook: net migration, how the draws were made, the verdict.

        The verdict is asked for when someone looks: no result is shown without it.
        """
        import imps

        quantities = self.quantities()
        names = [f"net_migration[{year}]" for year in self.model.sources.years]
        total = quantities["net_migration[all years]"]
        low, high = ends(total)
        yearly = np.stack([quantities[name].ravel() for name in names])
        bands = [ends(yearly, prob, axis=1) for prob in (0.95, 0.5)]
        unit = Unit.of(self.model.sources.census.total)
        said = unit.between(float(total.mean()), float(low), float(high))
        main = f"Net migration {said} {unit.name}"
        return card(
            f"Fit of {self.model.sources.area}, {self.n_chains} x {self.n_draws} draws",
            f"{main}, 95 % interval",
            (
                *repr(self).splitlines()[:1],
                f"By year, {unit.persons}, with 50 and 95 % bands.",
                *self.notes,
            ),
            picture=fan(
                [str(y) for y in self.model.sources.years],
                yearly.mean(axis=1).tolist(),
                [(b[0].tolist(), b[1].tolist()) for b in bands],
                f"{main}, by year",
                unit=unit,
            ),
            verdict=imps.check(self).verdict,
        )


def fit(
    model: object,
    *,
    seed: int,
    method: str = Sampling.method,
    draws: int | None = None,
    chains: int = Sampling.chains,
    tune: int = Sampling.tune,
    target_accept: float = Sampling.target_accept,
    cores: int = Sampling.cores,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
    keep: str | Path | None = None,
    near: Fit | None = None,
    cross_check: bool = False,
    time_limit: float | None = None,
    on_fallback: str = FALLBACKS[0],
) -> Fit:
    """Draw from the posterior of an account.

    Parameters
    ----------
    model : pm.Model or LinearModel
        From :func:`imps.build_model` or :func:`imps.linear_model`.
    seed : int, 0 or more
        One integer; the stream of each chain is derived from it by name, so that a chain
        does not depend on how many others there are.
    method : {"auto", "exact", "nuts"}
    draws : int, optional
        Draws of each chain: 1,000 independent ones the exact way, 2,000 by NUTS.
    chains, tune : int
        `tune` is for NUTS only.
    target_accept : float
        Share of steps that NUTS aims to accept, between 0.5 and 1.
    cores : int
        Chains that NUTS samples at a time; the draws do not depend on it.
    progress : bool
        Show the progress bars of the sampler.
    say : callable, optional
        Told in a line what is going on.
    keep : path, optional
        Folder where each chain is kept as soon as it is finished. Called again with the same
        model and settings, only the missing chains are drawn; the outcome is that of
        an undisturbed call. `load_fit(folder)` looks at what is there.
    near : Fit, optional
        A fit of a like account with the same unknown scales: the exact way begins its search
        for the scales there, and the posterior is the same (:func:`imps.refit`).
    cross_check : bool
        Also sample the same model by NUTS, print how far the two agree and keep the table in
        ``fit.extras["cross_check"]``, see :func:`imps.posterior.agreement.agreement`. Takes
        minutes where the fit takes seconds; the draws returned are those of the exact way.
    time_limit : float, optional
        Seconds of wall time after which the fit is given up.
    on_fallback : {"nuts", "skip"}
        Where the exact way does not suit, `method="auto"` samples by NUTS, which takes minutes,
        or raises `FitSkippedError`, for loops over many accounts.

    Returns
    -------
    Fit

    Raises
    ------
    PriorError
        If the exact way, or a cross-check of it, is asked of a model that is not
        conditionally Gaussian.
    OutputExistsError
        If `keep` holds chains of another fit.
    TimeLimitError, FitSkippedError
        See `time_limit` and `on_fallback`.
    """
    if on_fallback not in FALLBACKS:
        raise PriorError(f"on_fallback is '{on_fallback}', expected one of {FALLBACKS}.")
    sampling = Sampling(seed, method, draws, chains, tune, target_accept, cores)
    gaussian = allowed(model, sampling)
    linear, tell = linear_part(model), say or (lambda _: None)
    if cross_check and (method == "nuts" or not gaussian):
        raise PriorError(
            "cross_check=True compares the exact way with NUTS, and this fit takes NUTS alone. "
            "Leave it out, or take method='exact' and a model without options."
        )
    settings = {**sampling.record(), "variant": variant(model).record()}
    determining = ("seed", "draws", "tune", "target_accept", "variant")
    folder = None if keep is None else Path(keep)
    kept = Chains(folder, linear, {name: settings[name] for name in determining})

    def by_nuts(*notes: str) -> Fit:
        if method == "auto" and on_fallback == "skip" and not cross_check:
            raise FitSkippedError(
                f"{linear.sources.area}: {'; '.join(notes) or 'this model has no exact answer'}. "
                "Nothing was sampled. Take on_fallback='nuts', or method='exact' and its checks."
            )
        target = model if hasattr(model, "linear") else pymc_model(linear)
        return _nuts(target, linear, sampling.by("nuts"), notes, kept, progress, tell)

    def work() -> Fit:
        if not gaussian or method == "nuts":
            return by_nuts()
        found = _exact(linear, sampling.by("exact"), kept, tell, near)
        share = float((found.stats["effective_points"] / found.stats["grid_points"]).min())
        if method == "exact" or share >= LEAST_EFFECTIVE_SHARE:
            return cross_checked(found, by_nuts(), say or print) if cross_check else found
        note = f"grid over the scales too uneven ({share:.0%} effective): NUTS was taken"
        tell(note)
        return by_nuts(note)

    return within(time_limit, work)


def _exact(
    linear: LinearModel,
    sampling: Sampling,
    kept: Chains,
    tell: Callable[[str], None],
    near: Fit | None,
) -> Fit:
    start = time.perf_counter()
    tell(f"exact posterior: {sampling.chains} grids of {GRID_POINTS} points over the scales")
    scales = None if near is None else _scales_of(near, linear)
    chains = chains_by_grid(linear, sampling, kept, tell, scales)
    seconds = {"total": time.perf_counter() - start}
    found = fit_of_chains(chains, linear, "exact", sampling, variant(linear), seconds)
    return found if near is None else replace(found, extras={**found.extras, NEAR: True})


def _nuts(
    model: Any,
    linear: LinearModel,
    sampling: Sampling,
    notes: tuple[str, ...],
    kept: Chains,
    progress: bool,
    tell: Callable[[str], None],
) -> Fit:
    start = time.perf_counter()
    chains, seconds = chains_by_nuts(model, linear, sampling, kept, progress, tell)
    seconds["total"] = time.perf_counter() - start
    return fit_of_chains(chains, linear, "nuts", sampling, variant(model), seconds, notes)


def _scales_of(near: Fit, linear: LinearModel) -> np.ndarray:
    """Draws (draw, scale) of the log scales of a fit of a like account."""
    found = near.draws[LOG_SCALE]
    if tuple(found["scale"].values) != linear.scale_names:
        raise PriorError(
            f"near: that fit has the scales {', '.join(map(str, found['scale'].values))}, this "
            f"account has {', '.join(linear.scale_names)}. Fit without it."
        )
    return found.values.reshape(-1, len(linear.scale_names))


def fit_of_chains(
    chains: list[xr.Dataset],
    linear: LinearModel,
    method: str,
    sampling: Sampling,
    of: Variant,
    seconds: dict[str, float],
    notes: tuple[str, ...] = (),
    stale: tuple[str, ...] = (),
) -> Fit:
    """Finished chains, each a dataset of one, put together."""
    together = chains[0] if len(chains) == 1 else _concat(chains)
    own = {str(v): together[v].values for v in together.data_vars if str(v).startswith(OWN)}
    draws = together[[LOG_SCALE, LATENT]].drop_vars("quantity", errors="ignore")
    stats = together.drop_vars([LOG_SCALE, LATENT, "scale", "latent_name", *own])
    if "effective_points" in stats and "grid_points" not in stats:  # kept before it was said
        stats = stats.assign(grid_points=((CHAIN,), np.full(len(chains), GRID_POINTS)))
    extras: dict[str, Any] = {}
    if "grid_mean" in stats:
        extras["exact_moments"] = exact_moments(stats)
    if own:
        extras["own_variables"] = {name.removeprefix(OWN): x for name, x in own.items()}
    return Fit(
        model=linear,
        draws=draws,
        stats=stats,
        method=method,
        sampling=sampling,
        variant=of,
        seconds=seconds,
        notes=notes,
        extras=extras,
        stale=stale,
    )


def _concat(chains: list[xr.Dataset]) -> xr.Dataset:
    return xr.concat(
        chains, CHAIN, data_vars="minimal", coords="minimal", compat="equals", join="exact"
    )


def needs_fit(candidate: object, function: str) -> Fit:
    """The fit itself, or an error that says how to get one."""
    if not isinstance(candidate, Fit):
        raise NotFittedError(
            f"{function}() needs a fit, got {type(candidate).__name__}. Call "
            "fit(model, seed=...) and pass its result."
        )
    return candidate
