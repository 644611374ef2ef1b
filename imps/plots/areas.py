"""Many areas: their gaps against their size, and the areas with the largest part of a source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imps.areas.attribution import EXTERNAL, reported
from imps.areas.fit import AreaFit
from imps.errors import LabelError
from imps.intervals import Unit
from imps.plots.style import GREY, INK, SIGNED, interval_bars, open_page, styled, zero_line

NAMED = 5
"""Areas named at either end of the funnel."""
RANKED = 25
LINE = "gap = rolled-forward minus census"


@styled
def plot_area_funnel(fit: AreaFit, *, ax: Axes | None = None, theme: str = "official") -> Figure:
    """Gap of every area as a percentage of its census, against its size.

    The curves hold 90 per cent of areas if their gaps were what base, census and cells err by
    themselves, without any error of migration: what lies outside is migration's.

    Parameters
    ----------
    fit : AreaFit
    ax : Axes, optional
        An axis of the user's own.
    theme : {"official", "paper"}
    """
    table = funnel_data(fit)
    page = open_page(ax, (8.0, 4.6), theme)
    ax = page.ax
    ordered = table.sort_values("population")
    for side in (-1, 1):
        ax.plot(ordered["population"], side * ordered["expected90"], color=GREY, linewidth=1.0)
    ax.scatter(table["population"], table["gap_percent"], s=12, color=page.colour(0), linewidth=0)
    ax.set_xscale("log")
    zero_line(ax, vertical=False)
    by_gap = table.sort_values("gap_percent")
    ends = pd.concat([by_gap[:NAMED], by_gap[NAMED:][-NAMED:]])
    for row in ends.itertuples():
        ax.annotate(str(row.name), (float(row.population), float(row.gap_percent)), xytext=(4, 0),
                    textcoords="offset points", fontsize=page.font - 1, color=INK)  # fmt: skip
    ax.yaxis.set_major_formatter(SIGNED)
    ax.set_xlabel("census population")
    ax.set_ylabel("gap, % of the census")
    outside = float((table["gap_percent"].abs() > table["expected90"]).mean())
    return page.finish(
        f"{outside:.0%} of areas lie outside what base and census explain",
        f"{fit.area_of_nation}, {fit.period}; {LINE}, % of the census.",
        "Curves: 90 % of areas if only base, census and cells erred.",
        alt=f"Gap of {len(table)} areas against their size; the largest is {ends['name'].iloc[-1]} "
        f"with {ends['gap_percent'].iloc[-1]:+.1f} per cent.",
        data=table,
        verdict=fit.verdict,
    )


def funnel_data(fit: AreaFit) -> pd.DataFrame:
    """code, name, population, gap, gap_percent, and half-width expected without migration."""
    c = fit.contrasts
    population, gap = c.census.sum(axis=1), c.gap.sum(axis=1)
    scales = fit.scales.to_numpy().mean(axis=0)
    model = replace(fit.model, factor=np.ones(len(fit)))
    variance = [
        model.covariances(r, scales)[[0, 4]].sum()
        + scales[fit.scales.columns.get_loc("area_cells")] ** 2 * fit.model.noise[r].sum()
        for r in range(len(fit))
    ]
    return pd.DataFrame(
        {
            "code": fit.codes,
            "name": list(fit.areas.names.values()),
            "population": population,
            "gap": gap,
            "gap_percent": 100 * gap / population,
            "expected90": 164.5 * np.sqrt(variance) / population,
        }
    )


@styled
def plot_area_ranking(
    fit: AreaFit, *, source: str = EXTERNAL, ax: Axes | None = None, theme: str = "official"
) -> Figure:
    """Areas with the largest contribution of one source, with 90 per cent intervals.

    Parameters
    ----------
    fit : AreaFit
    source : {"external", "internal", "base", "census", "special populations", "remainder"}
    ax : Axes, optional
        An axis of the user's own.
    theme : {"official", "paper"}
    """
    table = ranking_data(fit, source)
    page = open_page(ax, (7.6, 0.24 * len(table) + 0.9), theme)
    ax, unit = page.ax, Unit.of(float(table["population"].max()))
    y = np.arange(len(table))[::-1]
    low, high = (table[c].to_numpy() / unit.size for c in ("lower90", "upper90"))
    interval_bars(ax, low, high, y)
    ax.scatter(table["mean"] / unit.size, y, s=22, color=page.colour(0), zorder=3, linewidth=0)
    ax.set_yticks(y, table["name"])
    zero_line(ax, vertical=True)
    ax.xaxis.set_major_formatter(SIGNED)
    ax.set_xlabel(unit.persons)
    first = table.iloc[table["mean"].abs().argmax()]
    said = unit.between(first["mean"], first["lower90"], first["upper90"])
    return page.finish(
        f"{source.capitalize()}: largest in {first['name']}",
        f"{fit.area_of_nation}, {fit.period}; {unit.persons}, {LINE}.",
        f"{len(table)} areas with the largest contribution; point and 90 % interval.",
        alt=f"Contribution of {source} to the gap of {len(table)} areas; {first['name']} {said}.",
        data=table,
        verdict=fit.verdict,
    )


def ranking_data(fit: AreaFit, source: str = EXTERNAL) -> pd.DataFrame:
    """Rows of the table of areas for one source, the largest in size first to last by sign."""
    if source not in (known := reported(fit)):
        raise LabelError(f"source is '{source}', expected one of {', '.join(known)}.")
    table = fit.table()
    rows = table[table["source"] == source]
    largest = rows.loc[rows["mean"].abs().sort_values(ascending=False).index[:RANKED]]
    return largest.sort_values("mean", ascending=False).reset_index(drop=True)
