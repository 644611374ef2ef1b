"""Draws of a PyMC model, by whatever sampler, under the labels of the account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from imps.errors import LabelError, SourceError, some
from imps.names import CHAIN, DRAW
from imps.posterior.given_model import Given
from imps.posterior.pymc_model import (
    DATA,
    FOLLOWS,
    FREE,
    OBSERVED,
    kinds,
    value_of,
    values,
)
from imps.posterior.storage import ACCOUNT

TRANSLATE = "Take draws of pm.sample, nutpie or imps.fit, with chain, draw and the model's coords."


def account_draws(found: Given, posterior: xr.Dataset) -> xr.Dataset:
    """`log_scale` and `latent` with the account's labels, in its order; fixed ones repeated.

    Parameters
    ----------
    found : Given
    posterior : Dataset (chain, draw, ...)

    Raises
    ------
    LabelError
        If a variable, a dim or its labels are missing, or are those of another account.
    SourceError
        If a draw is no number.
    """
    out, fixed = {}, _fixed(found)
    for name, dim in ACCOUNT.items():
        labels = found.linear.coords[dim]
        if name in posterior:
            out[name] = _aligned(posterior[name], dim, labels)
        elif name in fixed:
            sizes = (posterior.sizes.get(CHAIN, 0), posterior.sizes.get(DRAW, 0))
            whole = np.broadcast_to(fixed[name], (*sizes, len(labels)))
            out[name] = xr.DataArray(whole, dims=(CHAIN, DRAW, dim), coords={dim: labels})
        else:
            raise LabelError(f"the draws hold no '{name}'. {TRANSLATE}")
    return xr.Dataset(out).drop_vars((CHAIN, DRAW), errors="ignore")


def _fixed(found: Given) -> dict[str, np.ndarray]:
    """Values of `log_scale` and `latent` where the model holds them fixed or observed."""
    if found.model is None:
        return {}
    now, seen = kinds(found.model), values(found.model)
    held = {name: found.model[name] for name in ACCOUNT if now[name] == DATA}
    held |= {name: seen[name] for name in ACCOUNT if now[name] == OBSERVED}
    return {name: value_of(value) for name, value in held.items()}


def _aligned(draws: xr.DataArray, dim: str, labels: list[str]) -> xr.DataArray:
    missing = [name for name in (CHAIN, DRAW, dim) if name not in draws.dims]
    if missing or draws.ndim != 3:
        raise LabelError(
            f"'{draws.name}' has the dims {', '.join(map(str, draws.dims))}, expected chain, draw "
            f"and {dim}. {TRANSLATE}"
        )
    if dim not in draws.indexes:
        raise LabelError(f"'{draws.name}' has no labels on '{dim}': which is which? {TRANSLATE}")
    there = [str(label) for label in draws[dim].values]
    if sorted(there) != sorted(labels):
        lost, more = set(labels) - set(there), set(there) - set(labels)
        raise LabelError(
            f"'{draws.name}' is of another account: {len(there)} labels on '{dim}', expected "
            f"{len(labels)}; without {some(sorted(lost)) or 'none'}, with "
            f"{some(sorted(more)) or 'some given twice'}. Pass the model that was sampled."
        )
    place = {label: i for i, label in enumerate(there)}
    aligned = draws.isel({dim: [place[label] for label in labels]}).transpose(CHAIN, DRAW, dim)
    aligned = aligned.copy(data=np.array(aligned.values, dtype=float, order="C"))
    aligned = aligned.assign_coords({dim: labels})  # sums to the last bit depend on the order
    wrong = int((~np.isfinite(aligned)).sum())
    if wrong or not aligned.size:
        raise SourceError(f"'{draws.name}': {wrong} of {aligned.size} draws are no numbers.")
    return aligned


def own_variables(found: Given, posterior: xr.Dataset) -> xr.Dataset:
    """Free variables and deterministics of the user's own, with their dims and labels."""
    if found.model is None:
        return xr.Dataset()
    now = kinds(found.model)
    names = [n for n in found.own if now[n] in (FREE, FOLLOWS) and n in posterior]
    return posterior[names].drop_vars((CHAIN, DRAW), errors="ignore")


def own_terms(found: Given, draws: xr.Dataset, own: xr.Dataset) -> dict[str, xr.Dataset]:
    """Deterministics that were not sampled, and densities and data of the user's own terms.

    Returns
    -------
    dict of Dataset
        By the name of the ArviZ group that they belong to; empty without a term of one's own.
    """
    if found.model is None or not found.own:
        return {}
    import pymc as pm

    now = kinds(found.model)
    whole = {**draws.data_vars, **own.data_vars}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(whole).assign_coords(_counted(draws))})
    names = {kind: [n for n in found.own if now[n] == kind] for kind in (FREE, OBSERVED, FOLLOWS)}
    quiet: dict[str, Any] = {"model": found.model, "progressbar": False}
    out: dict[str, xr.Dataset] = {"posterior": own}
    follow = [n for n in names[FOLLOWS] if n not in own]
    if follow:
        more = pm.compute_deterministics(tree["posterior"].to_dataset(), var_names=follow, **quiet)
        out["posterior"] = own.assign(_plain(more[follow]).data_vars)
    if names[FREE]:
        prior = pm.stats.compute_log_prior(
            tree, var_names=names[FREE], extend_inferencedata=False, **quiet
        )
        out["log_prior"] = _plain(prior)
    if names[OBSERVED]:
        density = pm.compute_log_likelihood(
            tree, var_names=names[OBSERVED], extend_inferencedata=False, **quiet
        )
        out["log_likelihood"] = _plain(density)
        out["observed_data"] = _observed(found.model, names[OBSERVED], out["log_likelihood"])
    return out


def _counted(draws: xr.Dataset) -> Mapping[str, np.ndarray]:
    return {dim: np.arange(draws.sizes[dim]) for dim in (CHAIN, DRAW)}


def _plain(found: Any) -> xr.Dataset:
    data = found if isinstance(found, xr.Dataset) else found.to_dataset()
    data.attrs = {}
    return data.drop_vars((CHAIN, DRAW), errors="ignore")


def _observed(model: Any, names: list[str], like: xr.Dataset) -> xr.Dataset:
    """Observed values of terms, under the dims and labels of their log-likelihoods."""
    seen = values(model)
    return xr.Dataset(
        {name: (like[name].dims[2:], value_of(seen[name])) for name in names},
        coords={k: v for k, v in like.coords.items()},
    )
