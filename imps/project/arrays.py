"""From tidy rows to labelled arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import xarray as xr


def labelled(
    frame: pd.DataFrame, column: str, labels: Mapping[str, Sequence[object]]
) -> xr.DataArray:
    """Values of a column laid out by labels; a cell without a row is missing.

    Parameters
    ----------
    frame : DataFrame
        One row a cell, with a column for each dimension.
    column : str
    labels : mapping of dimension to labels
        In the order of the dimensions.
    """
    index = pd.MultiIndex.from_product(list(labels.values()), names=list(labels))
    if len(labels) == 1:
        index = pd.Index(next(iter(labels.values())), name=next(iter(labels)))
    values = frame.set_index(list(labels))[column].reindex(index).to_numpy(float)
    return xr.DataArray(
        values.reshape([len(of) for of in labels.values()]),
        dims=tuple(labels),
        coords={dim: list(of) for dim, of in labels.items()},
    )
