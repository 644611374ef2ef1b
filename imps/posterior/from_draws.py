"""A fit from draws that were made elsewhere: `pm.sample`, nutpie, another machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from imps.account.linear import LinearModel
from imps.errors import LabelError, SourceError, some
from imps.names import CHAIN, DRAW
from imps.posterior.draws import TRANSLATE, account_draws, own_terms, own_variables
from imps.posterior.fitted import Fit, fit_of_chains, with_terms
from imps.posterior.given_model import DATA_NAME, Given, given
from imps.posterior.likelihoods import PUBLISHED, log_likelihood_by_row, log_prior_by_block
from imps.sampling import Sampling

DENSITIES = ("lp", "logp")
"""Names under which samplers keep the log-density of the model, PyMC's and nutpie's."""
SAME_DENSITY = 1e-6
"""Share of a log-density by which two ways to it may differ."""


def from_draws(model: object, draws: Any) -> Fit:
    """Take draws of an account that were made anywhere; they are aligned by their labels.

    Parameters
    ----------
    model : pm.Model or LinearModel
        The model that was sampled, as it was then.
    draws : DataTree or Dataset
        A tree with a group `posterior`, as `pm.sample` and nutpie return it, or the
        posterior alone: `log_scale` (chain, draw, scale) and `latent` (chain, draw,
        latent_name) with the labels of the model, in any order. Warm-up is left aside.

    Returns
    -------
    Fit
        Of method "given": with divergences where the sampler counted them, and without a seed.

    Raises
    ------
    LabelError
        If the draws have no labels, those of another account, or rows of another likelihood.
    SourceError
        If the draws are not all numbers, or were made of other figures or other priors.
    """
    found = given(model)
    groups = _groups(draws)
    posterior = groups["posterior"]
    _check_same_data(found.linear, groups)
    aligned = account_draws(found, posterior)
    stats = groups.get("sample_stats", xr.Dataset())
    if not found.variant.added:
        _check_same_density(found, aligned, stats)
    drawn = fit_of_chains(
        [xr.merge([aligned, _diverging(stats, aligned)], join="exact")],
        found.linear,
        "given",
        Sampling(0, chains=aligned.sizes[CHAIN], draws=aligned.sizes[DRAW]),
        found.variant,
        {"total": float("nan")},
        (f"elsewhere, by {_sampler(posterior, stats)}",),
    )
    return with_terms(drawn, own_terms(found, drawn.draws, own_variables(found, posterior)))


def _groups(draws: Any) -> dict[str, xr.Dataset]:
    if isinstance(draws, xr.DataTree):
        groups = {name: node.to_dataset() for name, node in draws.children.items()}
        if "posterior" in groups:
            return groups
        draws = draws.to_dataset()
    if isinstance(draws, xr.Dataset):
        return {"posterior": draws}
    raise LabelError(
        f"from_draws() needs labelled draws, got {type(draws).__name__}: an array does not say "
        f"which column is which. {TRANSLATE}"
    )


def _check_same_data(linear: LinearModel, groups: Mapping[str, xr.Dataset]) -> None:
    """Refuse draws that come with rows, or figures, of another likelihood."""
    for group in ("log_likelihood", "observed_data", "constant_data"):
        for name in (PUBLISHED, DATA_NAME):
            if name in (data := groups.get(group, xr.Dataset())):
                rows = data[name]
                dim = rows.dims[-1]
                labels = rows.indexes[dim].tolist() if dim == "row" and dim in rows.indexes else []
                _check_rows(linear, f"{group}, '{name}'", rows.sizes[dim], labels)
                if group != "log_likelihood":
                    _check_figures(linear, f"{group}, '{name}'", rows.values, labels)


def _check_rows(linear: LinearModel, where: str, n: int, labels: list[str]) -> None:
    wanted = list(linear.row_labels)
    if n == len(wanted) and sorted(labels or wanted) == sorted(wanted):
        return
    more = [x for x in labels if x not in wanted]
    raise LabelError(
        f"{where}: {n} rows, the account has {len(wanted)}"
        + (f"; not among them: {some(more)}" if more else "")
        + ". Those draws are of another likelihood: pass the model that was sampled."
    )


def _check_figures(linear: LinearModel, where: str, figures: np.ndarray, labels: list[str]) -> None:
    wanted = list(linear.row_labels)
    place = [labels.index(label) for label in wanted] if labels else slice(None)
    then = figures[place]
    other = np.flatnonzero(then != linear.observed)
    if other.size:
        first = int(other[0])
        raise SourceError(
            f"{where}: {other.size} of {len(wanted)} figures are not those of the model, first "
            f"'{wanted[first]}': {then[first]:,.10g} in the draws, "
            f"{linear.observed[first]:,.10g} in "
            "the model. Pass the model that was sampled, with its data."
        )


def _check_same_density(found: Given, draws: xr.Dataset, stats: xr.Dataset) -> None:
    """Refuse draws whose log-density, as their sampler kept it, is not that of the model."""
    kept = [stats[name].values for name in DENSITIES if name in stats]
    if not kept or kept[0].shape != (draws.sizes[CHAIN], draws.sizes[DRAW]):
        return
    h, z = (x.values.reshape(-1, x.shape[-1]) for x in draws.data_vars.values())
    parts = log_prior_by_block(found.linear, h, z)
    ours = sum(parts.values()) + log_likelihood_by_row(found.linear, h, z, found.variant).sum(1)
    then, now = np.sort(kept[0].ravel()), np.sort(ours)  # draws may stand in another order
    apart = float(np.abs(then - now).max())
    if not apart <= SAME_DENSITY * float(np.abs(now).max()):
        raise SourceError(
            f"the draws have other log-densities than the model gives them, by up to {apart:.3g}: "
            "they were made of other figures, priors or options. Pass the model that was sampled."
        )


def _diverging(stats: xr.Dataset, draws: xr.Dataset) -> xr.Dataset:
    """Divergences and steps, where the sampler counted them for each draw."""
    shape = (draws.sizes[CHAIN], draws.sizes[DRAW])
    kept = [n for n in ("diverging", "n_steps") if n in stats and stats[n].shape == shape]
    return xr.Dataset({n: ((CHAIN, DRAW), np.asarray(stats[n].values)) for n in kept})


def _sampler(posterior: xr.Dataset, stats: xr.Dataset) -> str:
    """Name and version of what made the draws, as far as they say."""
    told = {**posterior.attrs, **stats.attrs}
    name, version = (told.get(f"inference_library{end}", "") for end in ("", "_version"))
    return f"{name} {version}".strip() or "a sampler that is not named"
