"""From tidy rows to labelled arrays, and whether rows have all that the account needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import xarray as xr

from imps.names import AGE
from imps.project.sections import Account
from imps.reading.findings import Collector
from imps.reading.table import Table
from imps.sources.definitions import USUAL, Counted


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


def single_ages(rows: pd.DataFrame, table: Table, log: Collector) -> bool:
    """Whether rows have single years of age from 0 to an open group; a finding if not."""
    labels, top = set(rows["age_group"]), int(rows[AGE].max())
    if labels == {*map(str, range(top)), f"{top}+"}:
        return True
    odd = sorted(labels - {*map(str, range(top)), f"{top}+"}) or [f"no age group {top}+"]
    log.add(
        "SINGLE_AGES_NEEDED", file=table.name, column="age", texts=odd[:1], total=len(odd), ages=odd
    )
    return False


def complete(rows: pd.DataFrame, value: str, table: Table, log: Collector) -> bool:
    """Whether no figure is missing; a finding with the cells if one is."""
    missing = rows[rows[value].isna()]
    if missing.empty:
        return True
    keys = [k for k in ("source", "year", "flow", "sex", "age_group") if k in rows]
    cells = [" ".join(map(str, key)) for key in missing[keys].itertuples(index=False)]
    log.add(
        "CELLS_NEEDED",
        file=table.name,
        column=value,
        total=len(cells),
        figures=len(rows),
        cells=cells,
    )
    return False


def counted(table: Table, account: Account, measure: str = "") -> Counted:
    """What the figures of a table count."""
    return Counted(
        geography=table.metadata.get("geography", "") or account.geography,
        residents=table.options.residents or USUAL,
        measure=measure,
    )
