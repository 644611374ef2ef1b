"""Reading the tables of a shipped case: one place for persons, labels and references."""

from __future__ import annotations

import importlib.resources

import pandas as pd
import xarray as xr

from imps.dims import AGE, FLOW, FLOWS, SEX, SEXES, YEAR


class Tables:
    """The tables of one case, read from the installed package."""

    def __init__(self, name: str) -> None:
        self.folder = importlib.resources.files("imps.cases") / name.replace("-", "_")

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
    years, ages = sorted(rows["year"].unique()), sorted(rows["age"].unique())
    index = pd.MultiIndex.from_product([years, SEXES, ages])
    values = rows.set_index(["year", "sex", "age"])[column].reindex(index).to_numpy(float)
    return xr.DataArray(
        values.reshape(len(years), len(SEXES), len(ages)),
        dims=(YEAR, SEX, AGE),
        coords={YEAR: years, SEX: list(SEXES), AGE: ages},
    )


def series(table: pd.DataFrame, column: str) -> xr.DataArray:
    """Values (year) of a table with one row a year."""
    rows = table.sort_values("year")
    return xr.DataArray(
        rows[column].to_numpy(float), dims=YEAR, coords={YEAR: rows["year"].to_numpy()}
    )


def by_flow(table: pd.DataFrame, column: str) -> xr.DataArray:
    """Values (flow, year) of a table with one row a flow and year."""
    years = sorted(table["year"].unique())
    index = pd.MultiIndex.from_product([FLOWS, years])
    values = table.set_index(["flow", "year"])[column].reindex(index).to_numpy(float)
    return xr.DataArray(
        values.reshape(len(FLOWS), len(years)),
        dims=(FLOW, YEAR),
        coords={FLOW: list(FLOWS), YEAR: years},
    )


def references(table: pd.DataFrame) -> str:
    """Keys of the references behind a table."""
    keys = {key for cell in table["reference"] for key in str(cell).split(";")}
    return ", ".join(sorted(keys))
