"""Saved fits of form 1: draws of the account as it was before release 0.2.

That account is the one of today at one point. All ages of a stock err by its level, so that
children take the draws of the level and its prior; women err at young ages as men do; the
roll-forward by sex and age is not carried; whatever else was added since is nothing. True
stocks, flows and contributions are then those of the release that wrote the file, draw by
draw. The rows of its likelihood were others and are not kept: what needs them is refused by
name (:func:`imps.posterior.fitted.needs_rows`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from imps.account.affine import Affine
from imps.account.linear import LinearModel, linear_model
from imps.account.priors import Priors
from imps.account.stocks import random_error_of
from imps.errors import SavedFileError
from imps.posterior.archive import unpack
from imps.posterior.pymc_model import latent_names
from imps.posterior.storage import LATENT, LOG_SCALE

CHILDREN = {"base_children": "base_level", "census_children": "census_level"}
"""Blocks of today, and those that moved children too."""
NO_MORE = "split of "
"""Beginning of blocks, and of their prior, that nothing reported depended on."""
CONVERSION, PERIOD, AGES = (
    f"gap[{x}]" for x in ("period_and_age_conversion", "period_conversion",
                          "ages_and_sexes_of_flows")
)  # fmt: skip
"""One source then; two today, of which the second sums to zero."""


def account_of_then(
    record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], posterior: xr.Dataset
) -> tuple[LinearModel, xr.Dataset]:
    """The account of a file of form 1 without rows, and its draws in the latents of today.

    Raises
    ------
    SavedFileError
        If the draws are not those of release 0.1: a version between two releases made them.
    """
    parts = {name: unpack(packed, arrays) for name, packed in record.items()}
    sources, priors = parts["sources"], _priors_of_then(parts["priors"])
    carried = replace(sources.rolled_forward, by_sex=None, by_sex_and_age=None)
    sources = replace(sources, rolled_forward=carried)
    model = linear_model(sources, priors, parts["resolution"], form=parts["form"])
    labels = [str(x) for x in posterior["latent_name"].values if not str(x).startswith(NO_MORE)]
    blocks = {label.rpartition(" ")[0] for label in labels}
    if blocks & set(CHILDREN) or not set(labels) <= set(latent_names(model)):
        raise SavedFileError(
            "its draws are of a version between the releases 0.1 and 0.2, whose account is not "
            "known. Use the version that wrote it."
        )
    random = random_error_of(sources.census)
    shares = tuple(
        replace(
            part,
            value=_of_blocks(part.value, model, blocks),
            prior=part.prior if part.source == random else _of_blocks(part.prior, model, blocks),
        )
        for part in model.contributions
    )
    curves = tuple(replace(c, argument=_of_blocks(c.argument, model, blocks)) for c in model.curves)
    none = np.zeros(model.observed.size, dtype=bool)
    model = replace(model.with_rows(none), contributions=shares, curves=curves)
    return model, _placed(posterior, model, labels)


def moments_of_today(stats: xr.Dataset) -> xr.Dataset:
    """Statistics of the exact way with the names of the sources of today."""
    if "quantity" not in stats.coords:
        return stats
    names = [PERIOD if name == CONVERSION else str(name) for name in stats["quantity"].values]
    return stats.assign_coords(quantity=names).reindex(quantity=[*names, AGES], fill_value=0.0)


def _priors_of_then(priors: Priors) -> Priors:
    """The table of then as the account of today takes it."""
    rows = [row for row in priors.rows if not row.name.startswith(NO_MORE.replace(" ", "_"))]
    rows += [replace(priors[level], name=name) for name, level in CHILDREN.items()]
    known = {row.name for row in rows}
    rows += [row for row in priors.defaults.rows if row.name not in known]
    return replace(priors, rows=tuple(rows)).replace(stock_young_women={"mean": 1.0})


def _of_blocks(quantity: Affine, model: LinearModel, blocks: set[str]) -> Affine:
    """A quantity as the latent variables of then moved it."""
    effects = dict(quantity.effects)
    for child, level in CHILDREN.items():
        if child in effects:
            effects[level] = effects[level] + effects.pop(child)
    kept = {b: effect for b, effect in effects.items() if b in blocks or b not in model.sizes}
    return Affine(quantity.constant, kept)


def _placed(posterior: xr.Dataset, model: LinearModel, labels: list[str]) -> xr.Dataset:
    drawn = posterior[LATENT].sel(latent_name=labels)
    children = drawn.sel(latent_name=[f"{level} 1" for level in CHILDREN.values()])
    children = children.assign_coords(latent_name=[f"{child} 1" for child in CHILDREN])
    whole = xr.concat([drawn, children], "latent_name")
    return xr.Dataset(
        {
            LOG_SCALE: posterior[LOG_SCALE].reindex(scale=list(model.scale_names), fill_value=0.0),
            LATENT: whole.reindex(latent_name=latent_names(model), fill_value=0.0),
        }
    )
