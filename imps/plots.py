"""Figures: every function takes a result, returns a matplotlib figure, and shows intervals.

The `official` look follows the chart rules of the Government Analysis Function:
its palette in order, at most four categories, direct labels, unit and sign in
the subtitle, colour never the only sign.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from imps.attribution import KNOWN, PRIOR_DRIVEN, Attribution
from imps.dims import AGE, CHAIN, DRAW, SEX, YEAR, title
from imps.reconcile import Reconciliation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DARK_BLUE, TEAL, DARK_PINK, ORANGE, GREY, PURPLE = (
    "#12436D",
    "#28A197",
    "#801650",
    "#F46A25",
    "#3D3D3D",
    "#A285D1",
)
LIGHT_GREY = "#BFBFBF"
THOUSAND = 1_000.0


def _axes(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    if ax is not None:
        return ax.figure, ax  # type: ignore[return-value]
    from matplotlib.figure import Figure

    class ShownFigure(Figure):
        """A figure that shows itself in a notebook without any plotting state."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png", dpi=90)
            return buffer.getvalue()

    figure = ShownFigure(figsize=size, layout="constrained", dpi=120)
    return figure, figure.add_subplot()


def _dress(ax: Axes, heading: str, *subtitle: str) -> None:
    """Title above the labels of the axis, subtitle with unit, place and period, no box."""
    lines = "\n".join(subtitle)
    ax.figure.suptitle(heading, x=0.01, ha="left", fontsize=13, fontweight="bold", color="#0B0C0C")
    ax.annotate(
        lines,
        (0.01, 1),
        xytext=(0, 6),
        xycoords=("figure fraction", "axes fraction"),
        textcoords="offset points",
        fontsize=9,
        color=GREY,
        va="bottom",
    )
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.tick_params(labelsize=9)


def plot_waterfall(attribution: Attribution, *, ax: Axes | None = None) -> Figure:
    """Waterfall of the gap by source, each bar with its 95 per cent interval.

    Bars are the means of :meth:`Attribution.summary` in persons and add up to the
    gap; the interval belongs to the bar's own length and not to the running sum.
    """
    table = waterfall_data(attribution)
    figure, ax = _axes(ax, (9.2, 0.36 * len(table) + 1.9))
    y = np.arange(len(table))[::-1]
    known = table["sd"].to_numpy() < KNOWN
    total = table["source"].to_numpy() == "gap"
    colours = np.where(total, GREY, np.where(table["mean"] >= 0, DARK_BLUE, ORANGE))
    lengths = table["mean"].to_numpy() / THOUSAND
    starts = table["start"].to_numpy() / THOUSAND
    for i in range(len(table)):
        ax.barh(y[i], lengths[i], left=starts[i], height=0.62, color=colours[i],
                hatch="//" if known[i] and not total[i] else None, edgecolor="white",
                linewidth=0.8, gid=f"bar:{table['source'].iloc[i]}")  # fmt: skip
    spread = table[~known]
    rows = y[~known]
    left = (spread["start"] + spread["lower95"]) / THOUSAND
    right = (spread["start"] + spread["upper95"]) / THOUSAND
    ax.hlines(rows, left, right, color="#0B0C0C", linewidth=1.3)
    ax.vlines(np.r_[left, right], np.r_[rows, rows] - 0.13, np.r_[rows, rows] + 0.13,
              color="#0B0C0C", linewidth=1.3)  # fmt: skip
    edge = max(float(right.max()), float((starts + lengths).max()))
    lowest = min(0.0, float(left.min()), float((starts + lengths).min()))
    span = edge - lowest
    for i, row in enumerate(table.itertuples()):
        ax.text(edge + 0.03 * span, y[i], _label(row, bool(known[i]), bool(total[i])),
                fontsize=8.5, va="center", color="#0B0C0C")  # fmt: skip
    ax.set_yticks(y, [title(s) if s != "gap" else "Gap" for s in table["source"]])
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set_xlim(lowest - 0.02 * span, edge + 0.34 * span)
    ax.set_ylim(-0.8, len(table) - 0.2)
    ax.set_xlabel("thousand persons, running sum", fontsize=9)
    _dress(
        ax,
        f"Where the gap of {attribution.total / THOUSAND:+,.0f} thousand comes from",
        f"{attribution.area}, {attribution.period}; thousand persons, rolled-forward minus census.",
        "Line: 95 % interval of the bar's own length. Star: prior-driven, the data say little.",
    )
    return figure


def waterfall_data(attribution: Attribution) -> pd.DataFrame:
    """The numbers behind the waterfall: source, start, mean, sd, lower95, upper95, persons.

    Sources that are known to contribute nothing have no bar.
    """
    table = attribution.summary()
    table = table[(table["sd"] >= KNOWN) | (table["mean"].abs() >= KNOWN)].reset_index(drop=True)
    table["start"] = np.r_[0.0, np.cumsum(table["mean"])[:-1]]
    last = pd.DataFrame([{"source": "gap", "mean": attribution.total, "sd": 0.0, "start": 0.0,
                          "lower95": attribution.total, "upper95": attribution.total}])  # fmt: skip
    return pd.concat([table, last], ignore_index=True)


def _label(row: object, known: bool, total: bool) -> str:
    mean = f"{row.mean / THOUSAND:+,.0f}"  # type: ignore[attr-defined]
    if known:
        return f"{mean}" if total else f"{mean}  known"
    star = " *" if row.contraction < PRIOR_DRIVEN else ""  # type: ignore[attr-defined]
    low, high = row.lower95 / THOUSAND, row.upper95 / THOUSAND  # type: ignore[attr-defined]
    return f"{mean}  [{low:+,.0f}, {high:+,.0f}]{star}"


def plot_net_migration(reconciliation: Reconciliation, *, ax: Axes | None = None) -> Figure:
    """Net migration by year: posterior fan, survey with its own bars, official series."""
    figure, ax = _axes(ax, (9.2, 5.0))
    net = reconciliation.net_migration.sum((SEX, AGE)).stack(draw_=(CHAIN, DRAW))
    years = net[YEAR].values.astype(float)
    values = net.transpose(YEAR, "draw_").values / THOUSAND
    for prob, shade in ((0.95, 0.18), (0.80, 0.22), (0.50, 0.3)):
        low, high = np.quantile(values, [(1 - prob) / 2, (1 + prob) / 2], axis=1)
        ax.fill_between(years, low, high, color=DARK_BLUE, alpha=shade, linewidth=0)
    ax.plot(years, values.mean(axis=1), color=DARK_BLUE, linewidth=2.2)
    shown = reconciliation.published.set_index("year").loc[net[YEAR].values] / THOUSAND
    ax.errorbar(years + 0.12, shown["ips"], yerr=1.96 * shown["ips_se"], fmt="o", markersize=4.5,
                color=ORANGE, ecolor=ORANGE, capsize=2.5, linewidth=1.2)  # fmt: skip
    ax.plot(years, shown["tim_final"], color=TEAL, linestyle="--", linewidth=1.8)
    ax.plot(years, shown["implied_original"], color=DARK_PINK, linestyle="-.", linewidth=1.8)
    ends = [
        (values.mean(axis=1)[-1], "Posterior mean; bands 50, 80, 95 %", DARK_BLUE),
        (shown["ips"].iloc[-1], "Survey alone, 95 % sampling bars", ORANGE),
        (shown["tim_final"].iloc[-1], "Official, later series (dashed)", TEAL),
        (shown["implied_original"].iloc[-1], "Official, as carried then (dash-dot)", DARK_PINK),
    ]
    _direct_labels(ax, years[-1] + 0.3, ends)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_xlim(years[0] - 0.4, years[-1] + 4.6)
    ax.set_xticks(years, [f"{y:.0f}" for y in years])
    ax.set_ylabel("thousand persons a year", fontsize=9)
    _dress(
        ax,
        "Net migration by year",
        f"{reconciliation.area}, years to 30 June, thousand persons; arrivals minus departures.",
        "The survey leaves out asylum seekers, Irish flows and switchers.",
    )
    return figure


def _direct_labels(ax: Axes, x: float, ends: list[tuple[float, str, str]]) -> None:
    """Labels beside the ends of lines, pushed apart so that none overlaps."""
    low, high = ax.get_ylim()
    gap = (high - low) * 0.055
    at = -np.inf
    for value, text, colour in sorted(ends):
        at = max(value, at + gap)
        ax.text(x, at, text, color=colour, fontsize=8.5, va="center", fontweight="bold")


def plot_prior_posterior(attribution: Attribution, *, ax: Axes | None = None) -> Figure:
    """Prior and posterior of each source that is not known, as paired 95 per cent intervals."""
    table = attribution.summary()
    table = table[table["prior_sd"] > 0].iloc[::-1].reset_index(drop=True)
    figure, ax = _axes(ax, (9.2, 0.42 * len(table) + 1.8))
    y = np.arange(len(table))
    prior, sd = table["prior_mean"] / THOUSAND, table["prior_sd"] / THOUSAND
    ax.hlines(y + 0.16, prior - 1.96 * sd, prior + 1.96 * sd, color=LIGHT_GREY, linewidth=6)
    ax.plot(prior, y + 0.16, "|", color=GREY, markersize=9)
    low, high = table["lower95"] / THOUSAND, table["upper95"] / THOUSAND
    ax.hlines(y - 0.16, low, high, color=DARK_BLUE, linewidth=3)
    ax.plot(table["mean"] / THOUSAND, y - 0.16, "o", color=DARK_BLUE, markersize=5)
    edge = float(np.max(np.r_[high, prior + 1.96 * sd]))
    for i, row in enumerate(table.itertuples()):
        learnt = f"{max(row.contraction, 0):.0%} learnt"
        mark = ", prior-driven" if row.contraction < PRIOR_DRIVEN else ""
        ax.text(edge * 1.05, y[i], learnt + mark, fontsize=8.5, va="center")
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set_yticks(y, [title(s) for s in table["source"]])
    ax.set_xlim(right=edge * 1.75)
    ax.set_ylim(-0.8, len(table) - 0.2)
    ax.set_xlabel("contribution to the gap, thousand persons", fontsize=9)
    _dress(
        ax,
        "What the data add to the prior",
        f"{attribution.area}, {attribution.period}; contribution to the gap, thousand persons.",
        "Grey, thick: prior 95 %. Blue with dot: posterior 95 %. Learnt: 1 - ratio of variances.",
    )
    return figure


FIGURE_TEXTS = {
    "waterfall": "Waterfall of the gap by source with 95 per cent intervals; the numbers stand "
    "in the attribution table.",
    "net_migration": "Net migration by year: posterior fan, survey with sampling bars, official "
    "series then and later; the numbers stand in the net migration table.",
    "prior_posterior": "Prior and posterior 95 per cent interval of each source; the numbers "
    "stand in the attribution table.",
}


def standard_figures(attribution: Attribution, reconciliation: Reconciliation) -> dict[str, Figure]:
    """The figures of every run, by file name."""
    return {
        "waterfall": plot_waterfall(attribution),
        "net_migration": plot_net_migration(reconciliation),
        "prior_posterior": plot_prior_posterior(attribution),
    }
