"""A fit as an ArviZ object: groups of labelled arrays, each with its unit, sign and dates.

`az.summary`, `az.plot_...`, `az.loo`, `az.compare` and `az.psense_summary` take it as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from imps._version import __version__
from imps.account.chained import ChainModel
from imps.account.linear import LinearModel
from imps.names import AGE, CHAIN, DRAW, GAP_CONVENTION, SEX, SEXES, SOURCE, YEAR
from imps.posterior.chains import stream
from imps.posterior.likelihoods import PUBLISHED, replicated_rows
from imps.posterior.storage import LATENT, LOG_SCALE, OWN
from imps.sources.kinds import KINDS

if TYPE_CHECKING:
    from imps.posterior.fit import Fit

HEADLINES = tuple(dict.fromkeys(kind.group for kind in KINDS.values()))
PRIOR_DRAWS = 500
ROW = "row"
BY_SOURCE = "log_likelihood_by_source"
"""Group of the sums; `log_likelihood` itself is by row, as leave-one-out needs it."""
SINGLE = ("log_likelihood", "prior", "prior_predictive", "posterior_predictive")
"""Groups that are saved in single precision: they are looked at, and nothing is made of them."""
STANDARDISED = "prior standard deviations"
PERSONS, A_YEAR = "persons", "persons per year"
GAP, BY_GROUP, NET, NET_TOTAL, POPULATION, REPORTED = (
    "gap", "gap_by_group", "net_migration", "net_migration_all_years", "population", "reported"
)  # fmt: skip
WORDS = {
    LOG_SCALE: ("logarithm of each unknown scale, standardised", STANDARDISED),
    LATENT: ("errors of all sources and true flows, standardised", STANDARDISED),
    GAP: ("contribution of each source to the gap", PERSONS),
    BY_GROUP: ("contribution of each group of sources to the gap", PERSONS),
    NET: ("net migration of the year to each mid-year", A_YEAR),
    NET_TOTAL: ("net migration from the base to the last mid-year", PERSONS),
    POPULATION: ("true population at the last mid-year", PERSONS),
    REPORTED: ("reported quantities of every period of a chain", PERSONS),
    PUBLISHED: ("rows of the likelihood", PERSONS),
    "standard_error": ("standard error of each row", PERSONS),
    "base": ("base as published", PERSONS),
    "census": ("census as published", PERSONS),
    "rolled_forward": ("rolled-forward estimate as carried at the time", PERSONS),
}
"""What each variable is, and its unit."""


def groups_of(fit: Fit) -> dict[str, xr.Dataset]:
    """Groups of a fit, by their ArviZ names, with variables of the user's own among them.

    `posterior`, `sample_stats`, `log_likelihood` (by row), `log_likelihood_by_source`,
    `log_prior` (by block), `posterior_predictive`, `prior` and `prior_predictive` (not of a
    model with terms of the user's own, whose prior is not that of the account),
    `observed_data`, `constant_data`. Warm-up is nowhere.
    """
    model = fit.model
    rows = fit.log_likelihood_by_row()
    groups = {
        "posterior": _posterior(fit),
        "sample_stats": fit.stats,
        "log_likelihood": rows.to_dataset(name=PUBLISHED),
        BY_SOURCE: fit.log_likelihood().to_dataset(name="log_likelihood"),
        "log_prior": fit.log_prior().to_dataset(name="log_prior"),
        "posterior_predictive": _replicates(fit, "posterior predictive: rows"),
        "observed_data": xr.Dataset({PUBLISHED: (ROW, model.observed)}, _row_labels(model)),
        "constant_data": _published(model),
    }
    if not fit.variant.added:
        alike = replace(fit, draws=_prior_draws(fit), stats=xr.Dataset(), extras={})
        groups["prior"] = _posterior(alike).drop_vars((LATENT, "latent_name"))
        groups["prior_predictive"] = _replicates(alike, "prior predictive: rows")
    own = fit.own()
    return {
        name: _described(beside(group, own.get(name, xr.Dataset())), model)
        for name, group in groups.items()
    }


def attributes_of(fit: Fit) -> dict[str, str | int]:
    """What all groups have in common: area, dates, unit, sign, how the draws were made."""
    sources = first = fit.model.sources
    if isinstance(fit.model, ChainModel):
        first = fit.model.accounts[0].sources
    return {
        "area": sources.area,
        "period": fit.model.period_in_words,
        "base_date": first.base.date.isoformat(),
        "census_date": sources.census.date.isoformat(),
        "unit": PERSONS,
        "sign": GAP_CONVENTION,
        "open_age_group": int(sources.ages[-1]),
        "made": fit.made,
        "model": str(fit.variant),
        "imps_version": __version__,
    }


def beside(data: xr.Dataset, own: xr.Dataset) -> xr.Dataset:
    """Variables of the user's own with their dims; a name that is taken gets a word before it."""
    taken = {str(name) for name in own.variables if name in data.variables}
    taken |= {str(dim) for dim in own.dims if dim in data.dims}
    alike = {
        name
        for name in taken
        if name in (CHAIN, DRAW)
        or (name in own.indexes and name in data and own[name].equals(data[name]))
    }
    return xr.merge(
        [data, own.rename({name: f"{OWN}{name}" for name in taken - alike})], join="exact"
    )


def _posterior(fit: Fit) -> xr.Dataset:
    """Latent variables, and the reported quantities in the arrays that they are parts of."""
    model, drawn = fit.model, fit.quantities()
    if isinstance(model, ChainModel):
        names = list(model.reported)
        values = np.stack([drawn[name] for name in names], axis=-1)
        labelled = fit.draws.assign({REPORTED: ((CHAIN, DRAW, "quantity"), values)})
        return labelled.assign_coords(quantity=names)
    years, last = model.sources.years, model.sources.last_year
    sources = [part.source for part in model.contributions]
    groups = [kind for kind in HEADLINES if f"group[{kind}]" in drawn]

    def together(name: str, labels: Iterable[object]) -> np.ndarray:
        return np.stack([drawn[f"{name}[{label}]"] for label in labels], axis=-1)

    return fit.draws.assign(
        {
            GAP: ((CHAIN, DRAW, SOURCE), together("gap", sources)),
            BY_GROUP: ((CHAIN, DRAW, "source_group"), together("group", groups)),
            NET: ((CHAIN, DRAW, YEAR), together(NET, years)),
            NET_TOTAL: ((CHAIN, DRAW), drawn[f"{NET}[all years]"]),
            POPULATION: ((CHAIN, DRAW, "mid_year"), together(POPULATION, [last])),
        }
    ).assign_coords({SOURCE: sources, "source_group": groups, YEAR: years, "mid_year": [last]})


def _prior_draws(fit: Fit) -> xr.Dataset:
    rng = np.random.default_rng(stream(fit.seed, "prior: latent variables"))
    draws = fit.draws.isel({CHAIN: [0]}).drop_vars((CHAIN, DRAW), errors="ignore")
    return xr.Dataset(
        {
            name: ((CHAIN, DRAW, *x.dims[2:]), rng.standard_normal((1, PRIOR_DRAWS, x.shape[2])))
            for name, x in draws.items()
        },
        coords=draws.coords,
    )


def _replicates(fit: Fit, name: str) -> xr.Dataset:
    """Figures that would be published anew, by row."""
    rng = np.random.default_rng(stream(fit.seed, name))
    rows = replicated_rows(fit.model, *fit.standardised(), fit.variant, rng)
    shape = (fit.n_chains, fit.n_draws, -1)
    return xr.Dataset({PUBLISHED: ((CHAIN, DRAW, ROW), rows.reshape(shape))})


def _published(model: LinearModel) -> xr.Dataset:
    """What was published and is no row of the likelihood, and the error of each row."""
    sources = model.sources
    if isinstance(model, ChainModel):  # the sources of its periods stand beside the fit
        return xr.Dataset({"standard_error": (ROW, model.standard_error)})
    total = sources.rolled_forward.total
    return xr.Dataset(
        {
            "standard_error": (ROW, model.standard_error),
            "base": ((SEX, AGE), sources.base.count.values),
            "census": ((SEX, AGE), sources.census.count.values),
            "rolled_forward": ("roll_forward_year", total.values),
        },
        coords={
            SEX: list(SEXES),
            AGE: sources.ages,
            "age_group": (AGE, [age_label(age, sources.ages[-1]) for age in sources.ages]),
            "roll_forward_year": total[YEAR].values,
        },
    )


def age_label(age: float, open_age: float) -> str:
    """An age as it is printed: "40", and "90+" for the open group."""
    return f"{age:.0f}+" if age >= open_age else f"{age:.0f}"


def _described(data: xr.Dataset, model: LinearModel) -> xr.Dataset:
    """With labels of chains, draws and rows, and of each variable what it is and its unit."""
    coords: dict[str, Any] = {
        dim: np.arange(data.sizes[dim]) for dim in (CHAIN, DRAW) if dim in data.dims
    }
    if ROW in data.dims:
        coords |= {ROW: list(model.row_labels)}
    data = data.assign_coords(coords)
    for name, variable in data.data_vars.items():
        if name in WORDS:
            words, unit = WORDS[str(name)]
            sign = {"sign": GAP_CONVENTION} if name in (GAP, BY_GROUP) else {}
            variable.attrs = {"long_name": words, "units": unit, **sign}
    return data


def _row_labels(model: LinearModel) -> dict[str, tuple[str, Any]]:
    """Source, age and year of each row."""
    open_age = model.sources.ages[-1]
    ages = ["" if np.isnan(first) else age_label(first, open_age) for first in model.row_ages[:, 0]]
    return {
        "row_source": (ROW, list(model.row_sources)),
        "row_age": (ROW, ages),
        "row_year": (ROW, model.row_years),
    }
