"""Reading the tables of a shipped case: one place for persons, labels and references."""

from __future__ import annotations

import importlib.resources

import pandas as pd
import xarray as xr

from imps.names import AGE, FLOW, FLOWS, SEX, SEXES, YEAR
from imps.project.arrays import labelled


class Tables:
    """The tables of one case, read from the installed package."""

    def __init__(self, name: str) -> None:
        self.folder = importlib.resources.files("imps.shipped") / name.replace("-", "_")

    def has(self, table: str) -> bool:
        """Whether the case has this table."""
        return (self.folder / f"{table}.csv").is_file()

    def read(self, table: str) -> pd.DataFrame:
        """One table as it stands in its file."""
        with (self.folder / f"{table}.csv").open(encoding="utf-8") as file:
            return pd.read_csv(file)


def by_sex_and_age(table: pd.DataFrame, column: str, vintage: str | None = None) -> xr.DataArray:
    """Values (year, sex, age) of a tidy table; a cell without a row is missing."""
    rows = table if vintage is None else table[table["vintage"] == vintage]
    labels = {YEAR: sorted(rows["year"].unique()), SEX: SEXES, AGE: sorted(rows["age"].unique())}
    return labelled(rows, column, labels)


def series(table: pd.DataFrame, column: str) -> xr.DataArray:
    """Values (year) of a table with one row a year."""
    return labelled(table, column, {YEAR: sorted(table["year"])})


def by_flow(table: pd.DataFrame, column: str) -> xr.DataArray:
    """Values (flow, year) of a table with one row a flow and year."""
    return labelled(table, column, {FLOW: FLOWS, YEAR: sorted(table["year"].unique())})


def references(table: pd.DataFrame) -> str:
    """Keys of the references behind a table."""
    keys = {key for cell in table["reference"] for key in str(cell).split(";")}
    return ", ".join(sorted(keys))
