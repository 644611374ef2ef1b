"""The gap: its waterfall by source, and its pyramid by age and sex."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imps.intervals import Unit, ends
from imps.names import AGE, CHAIN, DRAW, SEX, SEXES, SOURCE
from imps.plots.style import (
    GREY,
    INK,
    SIGNED,
    STARS,
    interval_bars,
    open_page,
    room_for_labels,
    starred,
    styled,
    zero_line,
)
from imps.results.attribution import (
    AGAINST_WORD,
    DRIVEN_WORD,
    KNOWN,
    OF_LAST_STOCK,
    Attribution,
    contributing,
)
from imps.sources import TOTAL
from imps.sources.definitions import Detail, age_said, in_bands, in_detail, needs_sexes
from imps.sources.kinds import title

AGE_STEP = 5
MEN_OR_WOMEN = {"male": "men", "female": "women"}


@styled
def plot_waterfall(
    attribution: Attribution, *, ax: Axes | None = None, theme: str = "official"
) -> Figure:
    """Waterfall of the gap by source, each bar with its 95 per cent interval.

    Bars are the means of :meth:`Attribution.summary` in persons and add up to the
    gap; the interval belongs to the bar's own length and not to the running sum.

    Parameters
    ----------
    attribution : Attribution
    ax : Axes, optional
        An axis of the user's own.
    theme : {"official", "paper"}
    """
    table = waterfall_data(attribution)
    page = open_page(ax, (9.2, 0.33 * len(table) + 0.8), theme)
    ax, unit = page.ax, attribution.words.unit
    y = np.arange(len(table))[::-1]
    known = table["sd"].to_numpy() < KNOWN
    total = table["source"].to_numpy() == "gap"
    up = table["mean"].to_numpy() >= 0
    colours = np.where(total, GREY, np.where(up, page.colour(0), page.colour(3)))
    lengths, starts = (table[c].to_numpy() / unit.size for c in ("mean", "start"))
    for i in range(len(table)):
        hatch = "//" if known[i] and not total[i] else None
        ax.barh(y[i], lengths[i], left=starts[i], height=0.62, color=colours[i], hatch=hatch,
                edgecolor="white", linewidth=0.8, gid=f"bar:{table['source'].iloc[i]}")  # fmt: skip
    for end, upper, lower in zip((starts + lengths)[:-1], y[:-1], y[1:], strict=True):
        ax.vlines(end, lower, upper, color=GREY, linewidth=0.7, zorder=0.5)  # where the next begins
    left, right = table["start"] + table["lower95"], table["start"] + table["upper95"]
    left, right = left[~known] / unit.size, right[~known] / unit.size
    interval_bars(ax, left, right, y[~known])
    reach = np.r_[0.0, left, right, starts + lengths]
    lowest, edge = reach.min(), reach.max()
    span = edge - lowest
    for i, row in table.iterrows():
        label = _label(row, bool(known[i]), bool(total[i]), unit)
        ax.text(edge + 0.03 * span, y[i], label, fontsize=page.font - 0.5, va="center",
                color=INK, gid=f"label:{row['source']}")  # fmt: skip
    ax.set_yticks(y, [title(s) if s != "gap" else _whole(attribution) for s in table["source"]])
    zero_line(ax, vertical=True)
    right_end = edge + (0.36 if page.wide else 0.55) * span
    room_for_labels(ax, lowest - 0.02 * span, edge + 0.02 * span, right_end)
    ax.xaxis.set_major_formatter(SIGNED)
    ax.set_ylim(-0.8, len(table) - 0.2)
    ax.set_xlabel(f"{unit.persons}, running sum")
    largest = table[~total].iloc[table[~total]["mean"].abs().argmax()]
    return page.finish(
        _headline(attribution, largest),
        f"{attribution.area}, {attribution.period}; {unit.persons}, rolled-forward minus "
        f"{'true population' if attribution.open_end else 'census'}; positive: made the "
        "roll-forward too high.",
        f"Line: 95 % interval of the bar's own length. Hatched: known. {STARS} Causes are "
        "correlated: means add up, intervals do not.",
        alt=f"Waterfall of {len(table) - 1} sources with 95 per cent intervals. The largest is "
        f"{title(str(largest['source'])).lower()} with {unit.between_ends(largest)} {unit.name}.",
        data=table,
        verdict=attribution.verdict,
    )


def _whole(attribution: Attribution) -> str:
    return "Expected error" if attribution.open_end else "Gap"


def _headline(attribution: Attribution, row: pd.Series) -> str:
    """A title that claims no more than the data do: it names no source that the prior decides."""
    unit = attribution.words.unit
    gap = f"{unit.said(attribution.total)} {unit.name} {_whole(attribution).lower()}"
    if attribution.verdict.nothing_to_explain:
        return f"The {gap} is one that chance alone makes: nothing to explain"
    if row["informed"] == DRIVEN_WORD:
        return f"The {gap} by source: the largest part is prior-driven"
    if row["informed"] == AGAINST_WORD:
        return f"The {gap} by source: the largest part lies against its prior"
    name = title(str(row["source"])).replace(": ", " ")
    doubt = ", though it may be zero" if row["lower95"] <= 0 <= row["upper95"] else ""
    return f"{name}: largest part of the {gap}{doubt}"


def waterfall_data(attribution: Attribution) -> pd.DataFrame:
    """The numbers behind the waterfall: source, start, mean, sd, lower95, upper95, persons.

    Sources that are known to contribute nothing have no bar.
    """
    table = attribution.summary()
    table = contributing(table)
    table["start"] = np.r_[0.0, np.cumsum(table["mean"])[:-1]]
    last = pd.DataFrame([{"source": "gap", "mean": attribution.total, "sd": 0.0, "start": 0.0,
                          "lower95": attribution.total, "upper95": attribution.total}])  # fmt: skip
    return pd.concat([table, last], ignore_index=True)


def _label(row: pd.Series, known: bool, total: bool, unit: Unit) -> str:
    if known:
        mean = unit.said(row["mean"])
        return mean if total else f"{mean}  known"
    return unit.between_ends(row).replace(" [", "  [") + starred(row["informed"])


@styled
def plot_gap_pyramid(
    attribution: Attribution, *, ax: Axes | None = None, theme: str = "official"
) -> Figure:
    """The gap by sex and five-year age group, with the error of the roll-forward behind it.

    The bar is the gap itself, rolled-forward minus census as counted, of which there is none
    where the census was published as a total. The dot with its
    95 per cent interval is the posterior of the roll-forward's own error, rolled-forward
    minus true population at mid-year: what is left of the gap when the census's
    coverage, its random error and the time from census day are taken out.

    Parameters
    ----------
    attribution : Attribution
    ax : Axes, optional
    theme : {"official", "paper"}
    """
    table = gap_pyramid_data(attribution)
    page = open_page(ax, (9.2, 4.9), theme, panels=(1, 2), sharey=True, sharex=True)
    labels, with_bars = list(dict.fromkeys(table["age_group"])), attribution.counted != TOTAL
    y, unit = np.arange(len(labels)), attribution.words.unit
    for panel, sex, colour in zip(page.panels, SEXES, (0, 1), strict=True):
        rows = table[table["sex"] == sex]
        if with_bars:
            panel.barh(y, rows["gap"] / unit.size, height=0.7, color=page.colour(colour),
                       alpha=0.55, hatch=(None, "//")[colour], edgecolor="white",
                       gid=f"gap:{sex}")  # fmt: skip
        interval_bars(panel, rows["lower95"] / unit.size, rows["upper95"] / unit.size, y, 0.2)
        panel.plot(rows["mean"] / unit.size, y, "o", color=INK, markersize=3.8)
        zero_line(panel, vertical=True)
        panel.set_title({"male": "Men", "female": "Women"}[sex], fontsize=page.font + 0.5,
                        fontweight="bold", color=INK)  # fmt: skip
        panel.set_xlabel(unit.persons)
        panel.xaxis.set_major_formatter(SIGNED)
    page.ax.set_yticks(y, labels)
    page.ax.set_ylabel("age at the end; last group open")
    source = {
        TOTAL: "The roll-forward was published as totals: its ages and sexes are reconstructed.",
        "sex": "Sexes are published; ages of the roll-forward are the account's reconstruction.",
        "age": "Ages are published; the sexes are the account's reconstruction.",
        "sex and age": "Both ends are published by sex and age.",
    }[attribution.observed]
    last = attribution.words.last_stock
    bar = f"Bar: gap to the {last} as counted. " if with_bars else (
        f"The {last} was published as a total: no gap by age. ")  # fmt: skip
    worst = table.loc[table["mean"].abs().idxmax()]
    return page.finish(
        _clearest(table),
        f"{attribution.area}, {attribution.period}; {unit.persons}, rolled-forward minus census; "
        f"positive: the roll-forward was too high. {source}",
        f"{bar}Dot and line: error of the roll-forward "
        "against the true population, posterior mean and 95 % interval.",
        alt=f"Two panels of {len(labels)} age groups. The largest mean error is "
        f"{unit.between_ends(worst)} {unit.name} among {_people(worst)}.",
        data=table,
        verdict=attribution.verdict,
    )


def _clearest(table: pd.DataFrame) -> str:
    """Where the roll-forward was clearly too high, and where too low, in a title."""
    high, low = table[table["lower95"] > 0], table[table["upper95"] < 0]
    said = [
        f"too {way} for {_people(rows.loc[rows['mean'].abs().idxmax()])}"
        for way, rows in (("high", high), ("low", low))
        if len(rows)
    ]
    if not said:
        return "At no age was the roll-forward clearly too high or too low"
    return f"Roll-forward most {', '.join(said)}"


def _people(row: pd.Series) -> str:
    return f"{MEN_OR_WOMEN[str(row['sex'])]} aged {row['age_group']}"


def gap_pyramid_data(attribution: Attribution) -> pd.DataFrame:
    """Gap and posterior error of the roll-forward by sex and age group, persons.

    Returns
    -------
    DataFrame
        sex, age_group, gap, mean, sd, lower95, upper95.
    """
    needs_sexes(attribution.detail, "the pyramid of the gap")
    own = [s for s in attribution.contributions[SOURCE].values if s not in OF_LAST_STOCK]
    error = _by_age_group(
        attribution.contributions.sel({SOURCE: own}).sum(SOURCE, skipna=False), attribution.detail
    )
    gap = _by_age_group(attribution.gap, attribution.detail)
    draws = error.transpose(SEX, "age_group", CHAIN, DRAW).values
    draws = draws.reshape(*draws.shape[:2], -1)
    lower, upper = ends(draws, axis=-1)
    index = pd.MultiIndex.from_product(
        [gap[SEX].values, gap["age_group"].values], names=["sex", "age_group"]
    )
    columns = {
        "gap": gap.transpose(SEX, "age_group").values,
        "mean": draws.mean(axis=-1),
        "sd": draws.std(axis=-1),
        "lower95": lower,
        "upper95": upper,
    }
    return pd.DataFrame({k: v.ravel() for k, v in columns.items()}, index=index).reset_index()


def _by_age_group(cells: xr.DataArray, detail: Detail) -> xr.DataArray:
    """Sums over age groups of at least five years; the open group stands alone if it begins one."""
    bands = in_bands(detail, AGE_STEP)
    grouped = in_detail(cells, bands)
    names = [age_said(bands, int(a)) for a in grouped[AGE].values]
    return grouped.rename({AGE: "age_group"}).assign_coords(age_group=names)
