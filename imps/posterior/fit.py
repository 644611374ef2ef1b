"""Fitting: the exact way where the model is conditionally Gaussian, NUTS everywhere.

`method="exact"` integrates the scales by an importance grid and draws everything
else exactly. Each of its chains is an independent randomisation of the grid, so
that R-hat and effective sizes are measured by replication. `method="nuts"`
samples the PyMC model with nutpie. `method="auto"` takes the exact way where
there is one, and NUTS if the weights of the grid are too uneven.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from threadpoolctl import threadpool_limits

from imps._version import __version__
from imps.account.linear import LinearModel
from imps.errors import NotFittedError, PriorError, SettingError
from imps.names import CHAIN, DRAW
from imps.notebook_cards import between, card, fan
from imps.posterior.archive import account_record, pack
from imps.posterior.chains import Chains, flat
from imps.posterior.densities import log_likelihood_by_source, log_prior_by_block
from imps.posterior.exact import GaussianPosterior
from imps.posterior.pymc_model import is_gaussian, latent_names, linear_part, pymc_model, variant
from imps.posterior.random_streams import stream, stream_seed
from imps.posterior.storage import LATENT, LOG_SCALE, dataset, diagnose, save

METHODS = ("auto", "exact", "nuts")
GRID_POINTS = 256
MORE_GRID_POINTS = 1024
"""Taken by a chain whose first grid is too uneven: one far point is diluted, a bad proposal not."""
EXACT_DRAWS = 1000
NUTS_DRAWS = 2000
TARGET_ACCEPT = 0.97
"""Short steps: the scales of the smooth parts bend the posterior near zero."""
LOOK_EVERY = 0.2
"""Seconds between looks at whether the user has stopped NUTS."""
LEAST_EFFECTIVE_SHARE = 0.25
"""Share of effective grid points under which the exact way is given up for NUTS."""
COMPARED = 1.0
"""Persons of posterior standard deviation from which a quantity is compared between two ways."""
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
        Sampler statistics; `diverging` (chain, draw) for NUTS, `effective_points` and
        `grid_points` (chain) for the exact way.
    method : {"exact", "nuts"}
    seed : int
    settings : dict
        Everything that determines the draws.
    seconds : dict
        Wall time of the parts.
    notes : tuple of str
        What happened on the way, such as a fallback.
    extras : dict
        `exact_moments` of the exact way; `own_variables` of a model of the user's own.
    stale : tuple of str
        Why a fit that was loaded no longer matches its inputs; printed with every result.
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
    stale: tuple[str, ...] = ()

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

    def log_likelihood(self) -> xr.DataArray:
        """Log-likelihood of the rows of each source, (chain, draw, source)."""
        h, z = self._standardised()
        parts = log_likelihood_by_source(self.model, h, z, self.settings["variant"])
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
            "posterior": self.draws.assign(_own_arrays(self.extras.get("own_variables", {}))),
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
    target_accept: float = TARGET_ACCEPT,
    cores: int = 2,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
    keep: str | Path | None = None,
    near: Fit | None = None,
    cross_check: bool = False,
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
        ``fit.extras["cross_check"]``, see :func:`agreement`. Takes minutes where the fit takes
        seconds; the draws returned are those of the exact way.

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
    """
    settings = fit_settings(
        model, seed=seed, method=method, draws=draws, chains=chains, tune=tune, cores=cores,
        target_accept=target_accept,
    )  # fmt: skip
    linear, tell = linear_part(model), say or (lambda _: None)
    if cross_check and (method == "nuts" or not settings["gaussian"]):
        raise PriorError(
            "cross_check=True compares the exact way with NUTS, and this fit takes NUTS alone. "
            "Leave it out, or take method='exact' and a model without options."
        )
    chains, seed = settings["chains"], settings["seed"]
    kept = Chains(
        None if keep is None else Path(keep),
        linear,
        {name: settings[name] for name in ("seed", "draws", "tune", "target_accept", "variant")},
    )

    def by_nuts(notes: tuple[str, ...]) -> Fit:
        target = model if hasattr(model, "linear") else pymc_model(linear)
        chosen = settings | {"draws": draws or NUTS_DRAWS}
        return _nuts(target, linear, chosen, notes, kept, cores, progress, tell)

    notes: tuple[str, ...] = ()
    if settings["gaussian"] and method != "nuts":
        tell(f"exact posterior: {chains} grids of {GRID_POINTS} points over the scales")
        start = None
        if near is not None:
            start = _scales_of(near, linear)
            settings |= {"near_another_fit": True}
        found = _exact(linear, draws or EXACT_DRAWS, settings, kept, tell, start)
        share = float((found.stats["effective_points"] / found.stats["grid_points"]).min())
        if method == "exact" or share >= LEAST_EFFECTIVE_SHARE:
            return _cross_checked(found, by_nuts(()), say or print) if cross_check else found
        notes = (f"grid over the scales too uneven ({share:.0%} effective): NUTS was taken",)
        tell(notes[0])
    return by_nuts(notes)


def agreement(exact: Fit, sampled: Fit) -> pd.DataFrame:
    """Two fits of one account beside each other, the quantity that is farthest apart first.

    Parameters
    ----------
    exact : Fit
        By the exact way; its moments of the mixture over the scales are compared.
    sampled : Fit
        By NUTS.

    Returns
    -------
    DataFrame
        quantity; exact_mean, sampled_mean, exact_sd, sampled_sd (persons); apart, the
        difference of the means in posterior standard deviations; monte_carlo_error of that
        difference, from the effective size of the draws; sd_ratio, sampled over exact.
    """
    moments = exact.extras["exact_moments"].set_index("quantity")
    moments = moments[moments["sd"] > COMPARED]
    drawn = sampled.quantities()
    size = diagnose({name: drawn[name] for name in moments.index}).set_index("quantity")["ess_bulk"]
    frame = pd.DataFrame(
        {
            "exact_mean": moments["mean"],
            "sampled_mean": [drawn[name].mean() for name in moments.index],
            "exact_sd": moments["sd"],
            "sampled_sd": [drawn[name].std() for name in moments.index],
        }
    )
    frame["apart"] = (frame["sampled_mean"] - frame["exact_mean"]) / frame["exact_sd"]
    frame["monte_carlo_error"] = size.reindex(frame.index) ** -0.5
    frame["sd_ratio"] = frame["sampled_sd"] / frame["exact_sd"]
    return frame.sort_values("apart", key=abs, ascending=False).reset_index()


def _cross_checked(exact: Fit, sampled: Fit, tell: Callable[[str], None]) -> Fit:
    """The exact fit with the comparison in its extras and its notes, and printed."""
    table = agreement(exact, sampled)
    far, wide = table.iloc[0], (table["sd_ratio"] - 1).abs().max()
    line = (
        f"cross-check with NUTS: means within {abs(far['apart']):.3f} posterior standard "
        f"deviations (farthest: {far['quantity']}, Monte Carlo error "
        f"{far['monte_carlo_error']:.3f}), standard deviations within {wide:.1%}"
    )
    tell(line)
    tell(table.head(5).round(3).to_string(index=False))
    return replace(exact, notes=(*exact.notes, line), extras={**exact.extras, "cross_check": table})


def fit_settings(
    model: object,
    *,
    seed: int,
    method: str = "auto",
    draws: int | None = None,
    chains: int = 4,
    tune: int = 600,
    target_accept: float = TARGET_ACCEPT,
    cores: int = 2,
) -> dict[str, Any]:
    """Arguments of :func:`fit`, checked, with the variant of the model; nothing is sampled.

    Raises
    ------
    PriorError, SettingError
        As :func:`fit` does.
    """
    if method not in METHODS:
        raise PriorError(f"method is '{method}', expected one of {METHODS}.")
    gaussian = is_gaussian(model)
    if method == "exact" and not gaussian:
        raise PriorError(
            "this model is not conditionally Gaussian (a variant, or a term was added to it): "
            "use method='nuts'."
        )
    _whole("cores", cores, 1)
    if not 0.5 <= target_accept < 1:
        raise SettingError(f"target_accept is {target_accept!r}, expected 0.5 to below 1.")
    return {
        "method": method,
        "chains": _whole("chains", chains, 1),
        "seed": _whole("seed", seed, 0),
        "draws": None if draws is None else _whole("draws", draws, 1),
        "tune": _whole("tune", tune, 0),
        "target_accept": float(target_accept),
        "gaussian": gaussian,
        "variant": variant(model),
    }


def _whole(name: str, value: object, least: int) -> int:
    """A whole number, or an error that says what is allowed."""
    number = int(value) if isinstance(value, int | np.integer) else None
    if number is None or isinstance(value, bool) or number < least:
        raise SettingError(f"{name} is {value!r}, expected a whole number from {least}.")
    return number


def _without(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != name}


def _before(
    kept: Chains, method: str, settings: Mapping[str, Any], tell: Callable[[str], None]
) -> dict[int, xr.Dataset]:
    """Chains, numbered from 1, that were finished before a run was cut off."""
    n = settings["chains"]
    found = {chain: kept.finished(method, chain) for chain in range(1, n + 1)}
    done = {chain: data for chain, data in found.items() if data is not None}
    if done:
        tell(f"{len(done)} of {n} chains were finished before; continuing with the others")
    return done


def _scales_of(near: Fit, linear: LinearModel) -> np.ndarray:
    """Draws (draw, scale) of the log scales of a fit of a like account."""
    found = near.draws[LOG_SCALE]
    if tuple(found["scale"].values) != linear.scale_names:
        raise PriorError(
            f"near: that fit has the scales {', '.join(map(str, found['scale'].values))}, this "
            f"account has {', '.join(linear.scale_names)}. Fit without it."
        )
    return found.values.reshape(-1, len(linear.scale_names))


def _exact(
    linear: LinearModel,
    draws: int,
    settings: dict[str, Any],
    kept: Chains,
    tell: Callable[[str], None],
    near: np.ndarray | None,
) -> Fit:
    """Chains are independent randomisations of the grid, each with draws of its own."""
    start, seed = time.perf_counter(), settings["seed"]
    done = _before(kept, "exact", settings, tell)
    missing = [chain for chain in range(1, settings["chains"] + 1) if chain not in done]
    if missing:
        with threadpool_limits(1, user_api="blas"):  # matrices too small to share, and same bits
            posterior = GaussianPosterior(linear)
            proposal = posterior.proposal(seed=stream_seed(seed, "proposal"), near=near)
            for chain in missing:
                seeds = [stream_seed(seed, f"chain {chain}: {part}") for part in ("grid", "draws")]
                grid = posterior.grid(proposal, GRID_POINTS, seed=seeds[0])
                if grid.effective < LEAST_EFFECTIVE_SHARE * GRID_POINTS:
                    grid = posterior.grid(proposal, MORE_GRID_POINTS, seed=seeds[0])
                h, z = posterior.draw(grid, draws, seed=seeds[1])
                stats = {
                    "effective_points": ((CHAIN,), np.array([grid.effective])),
                    "grid_points": ((CHAIN,), np.array([len(grid.points)])),
                    "grid_mean": ((CHAIN, "quantity"), grid.mean[None]),
                    "grid_sd": ((CHAIN, "quantity"), grid.sd[None]),
                    "grid_between": ((CHAIN, "quantity"), grid.between[None]),
                }
                done[chain] = _one_chain(linear, h[None], z[None]).assign(stats)
                done[chain] = done[chain].assign_coords(quantity=posterior.names)
                kept.keep("exact", chain, done[chain])
    return fit_of_chains(
        [done[chain] for chain in sorted(done)],
        linear,
        method="exact",
        settings={**_without(settings, "tune"), "draws": draws, "grid_points": GRID_POINTS},
        seconds={"total": time.perf_counter() - start},
    )


def _nuts(
    model: Any,
    linear: LinearModel,
    settings: dict[str, Any],
    notes: tuple[str, ...],
    kept: Chains,
    cores: int,
    progress: bool,
    tell: Callable[[str], None],
) -> Fit:
    """Each chain has a sampler and a seed of its own, so that none depends on another."""
    import nutpie

    start, n = time.perf_counter(), settings["chains"]
    done = _before(kept, "nuts", settings, tell)
    missing = [chain for chain in range(1, n + 1) if chain not in done]
    middle = start
    if missing:
        tell(
            f"NUTS: compiling, then {len(missing)} chains of {settings['tune']} + "
            f"{settings['draws']} draws"
        )
        compiled = nutpie.compile_pymc_model(model)
        middle = time.perf_counter()

        def finish(chain: int, trace: Any) -> None:
            done[chain] = _nuts_chain(linear, trace)
            kept.keep("nuts", chain, done[chain])
            tell(f"chain {chain} finished, {len(done)} of {n}")

        _sample_each(compiled, missing, settings, cores, progress, finish)
    end = time.perf_counter()
    return fit_of_chains(
        [done[chain] for chain in sorted(done)],
        linear,
        method="nuts",
        settings=settings,
        seconds={"compile": middle - start, "sample": end - middle, "total": end - start},
        notes=notes,
    )


def _sample_each(
    compiled: Any,
    chains: list[int],
    settings: Mapping[str, Any],
    cores: int,
    progress: bool,
    finish: Callable[[int, Any], None],
) -> None:
    """Sample chains, at most `cores` at a time, and tell `finish` of each; all stop together."""
    import nutpie

    stopped = Event()
    with _bars(chains, settings["draws"] + settings["tune"], progress) as show:

        def one(chain: int) -> Any:
            sampler = nutpie.sample(
                compiled,
                draws=settings["draws"],
                tune=settings["tune"],
                chains=1,
                cores=1,
                seed=stream_seed(settings["seed"], f"chain {chain}: nuts"),
                progress_bar=False,
                progress_callback=show(chain),
                save_warmup=False,
                target_accept=settings["target_accept"],
                blocking=False,
            )
            while not stopped.is_set():  # a sampler that is waited for cannot be cancelled
                with suppress(TimeoutError):
                    return sampler.wait(timeout=LOOK_EVERY)
            sampler.cancel()

        pool = ThreadPoolExecutor(min(cores, len(chains)))
        futures = {pool.submit(one, chain): chain for chain in chains}
        try:
            for future in as_completed(futures):
                finish(futures[future], future.result())
        except BaseException:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()


@contextmanager
def _bars(
    chains: list[int], total: int, progress: bool
) -> Iterator[Callable[[int], Callable[[Any], None] | None]]:
    """A progress bar a chain, with its divergences; none unless asked for."""
    if not progress:
        yield lambda _: None
        return
    from rich.progress import Progress

    with Progress(transient=True) as bars:
        tasks = {chain: bars.add_task(f"chain {chain}", total=total) for chain in chains}

        def show(chain: int) -> Callable[[Any], None]:
            def update(states: Any) -> None:
                state = states[0]
                text = f"chain {chain}" + (
                    f", {state.divergences} divergences" if state.divergences else ""
                )
                bars.update(tasks[chain], completed=state.finished_draws, description=text)

            return update

        yield show


def _nuts_chain(linear: LinearModel, trace: Any) -> xr.Dataset:
    """One chain of nutpie under the public names, with variables of the user's own."""
    posterior, stats = trace["posterior"], trace["sample_stats"]
    kept = {
        name: ((CHAIN, DRAW), np.asarray(stats[name].values)) for name in ("diverging", "n_steps")
    }
    own = {
        str(name): np.asarray(posterior[name].values)
        for name in posterior.data_vars
        if name not in (LOG_SCALE, LATENT)
    }
    draws = (np.asarray(posterior[name].values) for name in (LOG_SCALE, LATENT))
    return _one_chain(linear, *draws).assign(kept).assign(_own_arrays(own))


def _one_chain(linear: LinearModel, log_scale: np.ndarray, latent: np.ndarray) -> xr.Dataset:
    return dataset(log_scale, latent, list(linear.scale_names), latent_names(linear))


OWN = "own: "


def _own_arrays(own: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Variables of the user's own for a dataset, whose dims they share with nothing else."""
    return {
        f"{OWN}{name}": ((CHAIN, DRAW, *(f"{OWN}{name} {i}" for i in range(x.ndim - 2))), x)
        for name, x in own.items()
    }


def fit_of_chains(
    chains: list[xr.Dataset],
    linear: LinearModel,
    *,
    method: str,
    settings: dict[str, Any],
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
        extras["exact_moments"] = _exact_moments(stats)
    if own:
        extras["own_variables"] = {name.removeprefix(OWN): x for name, x in own.items()}
    return Fit(
        model=linear,
        draws=draws,
        stats=stats,
        method=method,
        seed=settings["seed"],
        settings=settings,
        seconds=seconds,
        notes=notes,
        extras=extras,
        stale=stale,
    )


def _concat(chains: list[xr.Dataset]) -> xr.Dataset:
    return xr.concat(
        chains, CHAIN, data_vars="minimal", coords="minimal", compat="equals", join="exact"
    )


def _exact_moments(stats: xr.Dataset) -> pd.DataFrame:
    """Mean and sd of each reported quantity over the grids of all chains."""
    return pd.DataFrame(
        {
            "quantity": [str(q) for q in stats["quantity"].values],
            "mean": stats["grid_mean"].values.mean(axis=0),
            "sd": np.sqrt((stats["grid_sd"].values ** 2).mean(axis=0)),
            "between": stats["grid_between"].values.mean(axis=0),
        }
    )


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


def needs_fit(candidate: object, function: str) -> Fit:
    """The fit itself, or an error that says how to get one."""
    if not isinstance(candidate, Fit):
        raise NotFittedError(
            f"{function}() needs a fit, got {type(candidate).__name__}. Call "
            "fit(model, seed=...) and pass its result."
        )
    return candidate
