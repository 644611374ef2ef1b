"""A fit: posterior draws of all unknowns of an account, and how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from imps import shipped
from imps._version import __version__
from imps.account.chained import ChainModel
from imps.account.latents import concatenate
from imps.account.linear import LinearModel
from imps.account.variant import Variant
from imps.errors import NotFittedError, SaveFailedError
from imps.intervals import Unit, ends
from imps.names import CHAIN, DRAW
from imps.notebook_cards import card, fan
from imps.posterior.archive import account_record, pack
from imps.posterior.chains import GRID_POINTS, as_named, exact_moments, flat
from imps.posterior.datatree import SINGLE, attributes_of, groups_of
from imps.posterior.likelihoods import by_source, log_likelihood_by_row, log_prior_by_block
from imps.posterior.storage import LATENT, LOG_SCALE, OWN, in_order, save
from imps.project.case import SHIPPED, Case
from imps.sampling import Sampling

PERIOD = "period_of_a_chain"
"""Entry of the extras of a fit that is one period of a chain: its name."""
WHOLE = "fit_of_the_chain"
"""Entry of the extras of a fit that is one period of a chain: the fit of all periods."""
NEAR = "near_another_fit"
"""Entry of the extras of a fit whose search for the scales began at those of another."""
WITHOUT_ROWS = "without_rows"
"""Entry of the extras of a fit whose rows were those of an earlier model: the release."""


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
    method : {"exact", "nuts", "given"}
        "given" are draws made elsewhere, see :func:`imps.from_draws`.
    sampling : Sampling
        As asked for, with the draws of each chain that were taken.
    variant : Variant
        Of the model.
    seconds : dict
        Wall time of the parts.
    notes : tuple of str
        What happened on the way, such as a fallback.
    extras : dict
        `exact_moments` of the exact way; `own_variables`, a Dataset of the variables of a
        model of the user's own with their dims; `near_another_fit` where the search for the
        scales began at those of another fit.
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

    def __post_init__(self) -> None:
        draws, wrong = in_order(self.draws, self.model)
        object.__setattr__(self, "draws", draws)
        object.__setattr__(self, "stale", tuple(dict.fromkeys((*self.stale, *wrong))))

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: not what was put together from it here."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

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

    @cached_property
    def periods(self) -> dict[str, Fit]:
        """A fit of a chain of censuses as a fit of each period, by name; empty of one account.

        The draws are the same: every result of a period is made from its own fit, and knows
        what the other periods know.
        """
        model = self.model
        if not isinstance(model, ChainModel):
            return {}
        out = {}
        for name in model.names:
            extras = {**self.extras, PERIOD: name, WHOLE: self}
            if "exact_moments" in extras:
                table, own = extras["exact_moments"], f"{name}: "
                table = table[table["quantity"].str.startswith(own)]
                extras["exact_moments"] = table.assign(
                    quantity=table["quantity"].str.removeprefix(own)
                ).reset_index(drop=True)
            out[name] = replace(self, model=model.period(name), extras=extras)
        return out

    def latents(self) -> np.ndarray:
        """Scaled latents w, (chain * draw, latent), with what follows; not to be written to."""
        return self._latents

    @cached_property
    def _latents(self) -> np.ndarray:
        sizes = (len(self.model.scale_names), self.model.n_latent)
        if (self.draws.sizes["scale"], self.draws.sizes["latent_name"]) != sizes:
            raise NotFittedError(
                f"the draws are those of another account: {'; '.join(self.stale)}. Fit again, or "
                "take the release that made them."
            )
        factors = self.model.scale_factors(self.draws[LOG_SCALE].values)
        w = factors * self.draws[LATENT].values
        # Latent variable by latent variable in memory, as quantities take them.
        found = np.asfortranarray(self.model.complete(w.reshape(-1, w.shape[-1])))
        found.flags.writeable = False
        return found

    def quantities(self) -> dict[str, np.ndarray]:
        """Draws (chain, draw) of every reported quantity and every scale."""
        return dict(self._quantities)

    @cached_property
    def _quantities(self) -> dict[str, np.ndarray]:
        together = concatenate([quantity[None] for quantity in self.model.reported.values()])
        values = self.model.evaluate(together, self.latents())
        values = values.T.reshape(-1, self.n_chains, self.n_draws)
        out = dict(zip(self.model.reported, values, strict=True))
        for i, name in enumerate(self.model.scale_names):
            out[f"log_scale[{name}]"] = self.draws[LOG_SCALE].values[..., i]
        return out

    def log_likelihood(self) -> xr.DataArray:
        """Log-likelihood of the rows of each source, (chain, draw, source)."""
        rows = self._rows
        return self._by_name(by_source(self.model, rows), "source")

    def log_likelihood_by_row(self) -> xr.DataArray:
        """Log-likelihood of each row, (chain, draw, row), as leave-one-out needs it."""
        values = self._rows.reshape(self.n_chains, self.n_draws, -1)
        coords = {"row": list(self.model.row_labels)}
        return xr.DataArray(values, dims=(CHAIN, DRAW, "row"), coords=coords)

    @cached_property
    def _rows(self) -> np.ndarray:
        needs_rows(self, "log_likelihood")
        return log_likelihood_by_row(self.model, *self.standardised(), self.variant)

    def log_prior(self) -> xr.DataArray:
        """Log prior density of each block of latent variables and each scale, (chain, draw, block).

        In the standardised variables, as they were sampled. Those that the user has fixed, or
        given another prior, are left out.
        """
        needs_rows(self, "log_prior")
        parts = log_prior_by_block(self.model, *self.standardised())
        gone = [name for name in (LOG_SCALE, LATENT) if name in self.variant.added]
        kept = {n: x for n, x in parts.items() if _variable_of(n, self.model) not in gone}
        return self._by_name(kept, "block")

    @property
    def made(self) -> str:
        """How the draws were made, in words."""
        if self.method == "given":
            return "; ".join(self.notes[:1])
        return f"{self.method}, seed {self.seed}"

    def own(self) -> dict[str, xr.Dataset]:
        """Variables, log-densities and data of terms of the user's own, by ArviZ group."""
        own = {"posterior": self.extras.get("own_variables", xr.Dataset())}
        return {**self.extras.get("own_terms", {}), **own}

    def to_datatree(self) -> xr.DataTree:
        """The fit as ArviZ takes it: `az.summary`, `az.loo`, `az.compare`, `az.plot_...`.

        Returns
        -------
        DataTree
            Groups `posterior` (latent variables; contributions to the gap, net migration and
            population with unit and sign), `prior`, `prior_predictive`,
            `posterior_predictive`, `observed_data`, `constant_data`, `log_likelihood` by row,
            `log_likelihood_by_source`, `log_prior` by block, `sample_stats`; no warm-up.
            Variables of the user's own have the dims that they were given. The attributes
            are area, dates, unit, sign and the verdict.
        """
        import imps

        needs_rows(self, "to_datatree")
        tree = xr.DataTree.from_dict(groups_of(self))
        tree.attrs = attributes_of(self) | {"verdict": str(imps.check(self).verdict)}
        return tree

    def standardised(self) -> tuple[np.ndarray, np.ndarray]:
        """Draws h (draw, scale) and z (draw, latent), as they were sampled."""
        h, z = self.draws[LOG_SCALE].values, self.draws[LATENT].values
        return h.reshape(-1, h.shape[-1]), z.reshape(-1, z.shape[-1])

    def _by_name(self, parts: Mapping[str, np.ndarray], dim: str) -> xr.DataArray:
        values = np.stack(list(parts.values()), axis=-1) if parts else np.zeros(0)
        return xr.DataArray(
            values.reshape(self.n_chains, self.n_draws, len(parts)),
            dims=(CHAIN, DRAW, dim),
            coords={dim: list(parts)},
        )

    def save(self, path: str | Path, *, case: Case | tuple[Case, ...] | None = None) -> None:
        """Write the fit to one netCDF file, whole or not at all: data only, no code.

        The groups of :meth:`to_datatree`, which `xarray.open_datatree` and ArviZ read, beside
        sources, priors and settings; :func:`imps.load_fit` brings them back, and every table
        and figure can be made again without fitting. A source of the user's own is code and
        stays behind: its name is kept.

        Parameters
        ----------
        path : path
            Such as "fit.nc"; a file that is there is replaced.
        case : Case, optional
            Kept beside the fit: notes, licence and what was published afterwards; those of the
            periods of a chain as a tuple.
        """
        if PERIOD in self.extras:
            raise SaveFailedError(
                f"this is period {self.extras[PERIOD]} of a chain, and alone it would lose what "
                "the others know: save the fit of the chain, and take fit.periods of it."
            )
        needs_rows(self, "save")
        account, arrays = account_record(self.model)
        cases = case if isinstance(case, tuple) else filter(None, (case,))
        record = {
            "imps": __version__,
            "method": self.method,
            "seed": self.seed,
            "settings": self.settings,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "account": account,
            "case": pack(case, arrays),
            "shipped": {c.name: shipped.digest(c.name) for c in cases if c.origin == SHIPPED},
            "own": {group: list(data.data_vars) for group, data in self.own().items()},
        }
        groups = {**groups_of(self), "account": flat(arrays)}
        save(Path(path), groups, record, attributes=attributes_of(self), single=SINGLE)

    def __repr__(self) -> str:
        way = {"exact": "exact given the scales, importance grid over them", "nuts": "NUTS"}
        how = f"by {way[self.method]}, seed {self.seed}, " if self.method in way else "made "
        how += f"{self.seconds['total']:.1f} s" if self.method in way else self.made
        return (
            f"Fit of {self.model.sources.area}: {self.n_chains} x {self.n_draws} draws {how}\n"
            + "".join(f"STALE: {reason}\n" for reason in self.stale[:3])
            + (
                "next: imps.check(fit), imps.chain_results(fit), fit.periods"
                if self.periods
                else "next: imps.check(fit), imps.attribute(fit), imps.reconcile(fit)"
            )
        )

    def _repr_html_(self) -> str:
        """Compact card for a notebook: net migration, how the draws were made, the verdict.

        The verdict is asked for when someone looks: no result is shown without it.
        """
        import imps

        if self.periods:
            return "".join(part._repr_html_() for part in self.periods.values())
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


def with_terms(drawn: Fit, terms: dict[str, xr.Dataset]) -> Fit:
    """The fit with what belongs to terms of the user's own, by ArviZ group, in its extras."""
    if not any(len(data.data_vars) for data in terms.values()):
        return drawn
    rest = {group: data for group, data in terms.items() if group != "posterior"}
    own = {"own_variables": terms["posterior"], "own_terms": rest}
    return replace(drawn, extras={**drawn.extras, **own})


def _variable_of(name: str, linear: LinearModel) -> str:
    return LATENT if name in linear.sizes else LOG_SCALE


def fit_of_chains(
    chains: list[xr.Dataset],
    linear: LinearModel,
    method: str,
    sampling: Sampling,
    of: Variant,
    seconds: dict[str, float],
    notes: tuple[str, ...] = (),
) -> Fit:
    """Finished chains, each a dataset of one, put together."""
    together = chains[0] if len(chains) == 1 else _concat(chains)
    own = [str(v) for v in together.variables if str(v).startswith(OWN)]
    draws = together[[LOG_SCALE, LATENT]].drop_vars("quantity", errors="ignore")
    stats = together.drop_vars([LOG_SCALE, LATENT, "scale", "latent_name", *own])
    if "effective_points" in stats and "grid_points" not in stats:  # kept before it was said
        stats = stats.assign(grid_points=((CHAIN,), np.full(len(chains), GRID_POINTS)))
    extras: dict[str, Any] = {}
    if "grid_mean" in stats:
        extras["exact_moments"] = exact_moments(stats)
    if own:
        kept = [name for name in own if name in together.data_vars]
        extras["own_variables"] = as_named(together[kept])
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
    )


def _concat(chains: list[xr.Dataset]) -> xr.Dataset:
    return xr.concat(
        chains, CHAIN, data_vars="minimal", coords="minimal", compat="equals", join="exact"
    )


def needs_rows(fit: Fit, function: str) -> None:
    """Refuse a fit of an earlier model, whose rows and priors are not those of this release."""
    if WITHOUT_ROWS in fit.extras:
        raise NotFittedError(
            f"{function}() needs the likelihood, and this fit was saved by imps "
            f"{fit.extras[WITHOUT_ROWS]}, of the model before 0.2: its draws are kept, its rows "
            "are not. imps.attribute, reconcile, migration_error and check take it; else fit "
            "again, imps.fit(imps.linear_model(sources, priors), seed=...)."
        )


def needs_fit(
    candidate: object, function: str, *, of_chain: bool = False, rows: bool = True
) -> Fit:
    """The fit itself, or an error that says how to get one.

    Of a chain where that is allowed; of an earlier model where no rows are needed.
    """
    if not isinstance(candidate, Fit):
        raise NotFittedError(
            f"{function}() needs a fit, got {type(candidate).__name__}. Call "
            "fit(model, seed=...) and pass its result; draws made elsewhere become one by "
            "from_draws(model, draws)."
        )
    if rows:
        needs_rows(candidate, function)
    if candidate.periods and not of_chain:
        raise NotFittedError(
            f"{function}() is about one period, and this is a fit of a chain of "
            f"{len(candidate.periods)}. Take one, fit.periods['{next(iter(candidate.periods))}'], "
            "or imps.chain_results(fit) of all."
        )
    return candidate
