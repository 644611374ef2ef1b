"""Base, census, rolled-forward totals, births and deaths of a shipped case."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from imps.errors import SourceError
from imps.names import EMIGRATION, FLOW, IMMIGRATION, SEX, SEXES, YEAR
from imps.shipped.tables import Tables, by_sex_and_age, references, series
from imps.sources import BY_SEX_AND_AGE, Births, Deaths, RolledForward, Stock


def stock(
    fields: dict[str, Any], item: str, date: dt.date, tables: Tables, schedule: xr.DataArray
) -> Stock:
    """Base or census: by sex and age where published so, else a total over a schedule."""
    rows = tables.read("stocks")
    row = rows[rows["item"] == item].iloc[0]
    own: dict[str, Any] = {
        "date": date,
        "relative_standard_error": float(fields["relative_standard_error"]),
        "vintage": fields["vintage"],
        "reference": str(row["reference"]),
        "name": item,
    }
    total = float(row["persons"])
    if fields["observed"] != BY_SEX_AND_AGE:
        return Stock.from_total(total, schedule.sel({YEAR: date.year}, drop=True), **own)
    cells = by_sex_and_age(tables.read("population"), "population", fields["population"])
    count = cells.sel({YEAR: date.year}, drop=True)
    if abs(float(count.sum()) - total) > 0.5:
        raise SourceError(
            f"source '{item}': ages and sexes add to {float(count.sum()):,.0f}, the published "
            f"total is {total:,.0f}. Are they of one vintage?"
        )
    return Stock(count, BY_SEX_AND_AGE, **own)


def births_and_deaths(
    tables: Tables, population: xr.DataArray, intervals: range
) -> tuple[Births, Deaths]:
    """Registered events; totals of mid-year intervals replace the halves where published.

    A year without a published sex ratio at birth takes the mean of the years
    that have one: the split by sex is a schedule.
    """
    b, d = tables.read("births"), tables.read("deaths")
    ratio = series(b, "males_per_1000_females")
    births = Births.from_calendar_years(
        series(b, "births"),
        ratio.fillna(ratio.mean()),
        intervals=intervals,
        vintage="registered",
        reference=references(b),
    )
    deaths = Deaths.from_calendar_years(
        by_sex_and_age(d, "deaths"),
        population,
        intervals=intervals,
        vintage="registered",
        reference=references(d),
    )
    if not tables.has("vital_mid_years"):
        return births, deaths
    totals = tables.read("vital_mid_years")
    born, died = (totals.dropna(subset=[column]) for column in ("births", "deaths"))
    return (
        births.scaled_to(series(born, "births"), reference=references(born)),
        deaths.scaled_to(series(died, "deaths"), reference=references(died)),
    )


def rolled_forward(
    fields: dict[str, Any],
    tables: Tables,
    intervals: range,
    natural: xr.DataArray,
    totals: xr.DataArray,
) -> RolledForward:
    """Published totals; mid-years that were not published are reached by their rules.

    Parameters
    ----------
    fields : dict
        Table `rolled_forward` of the case: vintage, rule in words, `rules` (the
        rule of each mid-year that was not published) and `by_sex_and_age`.
    natural : DataArray (year), persons per mid-year interval
    totals : DataArray (flow, year), persons per year
    """
    stocks = tables.read("stocks")
    rows = stocks[stocks["item"].isin(["base", "rolled_forward"])].copy()
    rows["year"] = rows["date"].str[:4].astype(int)
    total = series(rows.rename(columns={"persons": "total"}), "total")
    by_rule = tuple(y for y in intervals if y not in total[YEAR].values)
    for year in by_rule:
        value = RULES[fields["rules"][str(year)]](total, year, stocks, natural, totals)
        reached = xr.DataArray([value], dims=YEAR, coords={YEAR: [year]})
        total = xr.concat([total, reached], dim=YEAR).sortby(YEAR)
    cells = fields.get("by_sex_and_age")
    return RolledForward(
        total=total,
        by_rule=by_rule,
        rule=fields["rule"],
        vintage=fields["vintage"],
        reference=references(rows),
        by_sex=_by_sex(tables, intervals[-1]),
        by_sex_and_age=None if cells is None else _cells(tables, cells),
    )


def _cells(tables: Tables, fields: dict[str, Any]) -> xr.DataArray:
    published = by_sex_and_age(tables.read("population"), "population", fields["population"])
    return published.sel({YEAR: fields["years"]})


def _by_sex(tables: Tables, year: int) -> xr.DataArray | None:
    """Rolled-forward totals by sex at the last mid-year, where published for that date."""
    if not tables.has("stocks_by_sex"):
        return None
    rows = tables.read("stocks_by_sex")
    rows = rows[(rows["item"] == "rolled_forward") & (rows["date"] == f"{year}-06-30")]
    if rows.empty:
        return None
    values = rows.set_index("sex")["persons"].reindex(list(SEXES)).to_numpy(float)
    return xr.DataArray(values, dims=SEX, coords={SEX: list(SEXES)})


def _mean_excess(
    published: xr.DataArray,
    year: int,
    stocks: pd.DataFrame,
    natural: xr.DataArray,
    totals: xr.DataArray,
) -> float:
    """Natural change, later net migration, and the mean excess of the old flows so far."""
    net = totals.sel({FLOW: IMMIGRATION}) - totals.sel({FLOW: EMIGRATION})
    later = {y: float(net.sel({YEAR: [y - 1, y]}).mean()) for y in natural[YEAR].values}
    change = published.diff(YEAR)
    excess = [
        float(c) - float(natural.sel({YEAR: y})) - later[int(y)]
        for y, c in zip(change[YEAR].values, change.values, strict=True)
    ]
    return (
        float(published[-1])
        + float(natural.sel({YEAR: year}))
        + later[year]
        + float(np.mean(excess))
    )


def _mean_of_januaries(
    published: xr.DataArray,
    year: int,
    stocks: pd.DataFrame,
    natural: xr.DataArray,
    totals: xr.DataArray,
) -> float:
    """Mean of the estimates of 1 January before and after the mid-year."""
    rows = stocks[stocks["item"] == "first_of_january"].set_index("date")["persons"]
    return float(np.mean([rows[f"{year}-01-01"], rows[f"{year + 1}-01-01"]]))


def _even_change(
    published: xr.DataArray,
    year: int,
    stocks: pd.DataFrame,
    natural: xr.DataArray,
    totals: xr.DataArray,
) -> float:
    """Natural change as registered; the other change between two published years is even."""
    years = published[YEAR].values
    before, after = int(years[years < year].max()), int(years[years > year].min())
    change = float(published.sel({YEAR: after}) - published.sel({YEAR: before}))
    between = natural.sel({YEAR: slice(before + 1, after)})
    other = (change - float(between.sum())) / (after - before)
    so_far = float(between.sel({YEAR: slice(before + 1, year)}).sum())
    return float(published.sel({YEAR: before})) + so_far + other * (year - before)


RULES = {
    "mean excess": _mean_excess,
    "mean of Januaries": _mean_of_januaries,
    "even change": _even_change,
}
