"""Containers of draws, their diagnostics and their storage: the only place that knows ArviZ.

Everything else takes an :class:`xarray.Dataset` with dims `chain` and `draw`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from imps.dims import CHAIN, DRAW

LOG_SCALE = "log_scale"
LATENT = "latent"


def dataset(
    log_scale: np.ndarray, latent: np.ndarray, scale_names: list[str], latent_names: list[str]
) -> xr.Dataset:
    """Draws of the free variables, (chain, draw, ...), under their public names."""
    return xr.Dataset(
        {
            LOG_SCALE: ((CHAIN, DRAW, "scale"), log_scale),
            LATENT: ((CHAIN, DRAW, "latent_name"), latent),
        },
        coords={"scale": scale_names, "latent_name": latent_names},
    )


def diagnose(quantities: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Rank-normalised R-hat, bulk and tail effective sample size of each quantity.

    Parameters
    ----------
    quantities : mapping from name to ndarray (chain, draw)

    Returns
    -------
    DataFrame
        Columns quantity, r_hat, ess_bulk, ess_tail; quantities that are known
        (no spread at all) are left out, for nothing was sampled.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021), Bayesian Analysis 16(2).
    """
    import arviz as az

    moving = {
        name: values
        for name, values in quantities.items()
        if np.ptp(values) > 1e-9 * max(1.0, float(np.abs(values).max()))
    }
    stacked = xr.Dataset(
        {"x": ((CHAIN, DRAW, "quantity"), np.stack(list(moving.values()), axis=-1))},
        coords={"quantity": list(moving)},
    )
    frame = {
        "r_hat": az.rhat(stacked),
        "ess_bulk": az.ess(stacked, method="bulk"),
        "ess_tail": az.ess(stacked, method="tail"),
    }
    columns = {name: np.asarray(_as_dataset(v)["x"].values) for name, v in frame.items()}
    return pd.DataFrame({"quantity": list(moving), **columns})


def save(
    path: Path, draws: xr.Dataset, stats: xr.Dataset, attributes: Mapping[str, object]
) -> None:
    """Write draws and attributes to one netCDF file, whole or not at all."""
    text = {key: json.dumps(value) for key, value in attributes.items()}
    tree = xr.DataTree.from_dict({"posterior": draws, "sample_stats": stats})
    tree.attrs.update(text)
    encoding = {"posterior": {LATENT: {"zlib": True, "complevel": 1, "shuffle": True}}}
    partial = path.with_name(path.name + ".partial")
    tree.to_netcdf(partial, engine="h5netcdf", encoding={f"/{g}": e for g, e in encoding.items()})
    os.replace(partial, path)


def load(path: Path) -> tuple[xr.Dataset, xr.Dataset, dict[str, object]]:
    """Read what :func:`save` wrote: draws, sampler statistics, attributes."""
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        draws = tree["posterior"].to_dataset().load()
        stats = tree["sample_stats"].to_dataset().load()
        attributes = {str(key): json.loads(value) for key, value in tree.attrs.items()}
    return draws, stats, attributes


def _as_dataset(x: object) -> xr.Dataset:
    return x if isinstance(x, xr.Dataset) else x.to_dataset()  # type: ignore[attr-defined]
