"""The gaps of all periods of a chain side by side, each with its sources."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imps.plots.style import GREY, INK, SIGNED, interval_bars, open_page, styled, zero_line
from imps.results.attribution import KNOWN
from imps.results.chain import PERIOD, ChainResults
from imps.sources.kinds import GROUPS, title

GAP = "gap"


@styled
def plot_chain(results: ChainResults, *, ax: Axes | None = None, theme: str = "official") -> Figure:
    """Gaps of the periods of a chain side by side, with their headline groups.

    Each panel is a period: the gap, and the posterior mean of every headline group with its
    95 per cent interval, all on one scale.

    Parameters
    ----------
    results : ChainResults
    ax : Axes, optional
    theme : {"official", "paper"}
    """
    table = chain_data(results)
    periods, groups = (list(dict.fromkeys(table[c])) for c in (PERIOD, "group"))
    page = open_page(
        ax, (9.2, 0.42 * len(groups) + 1.0), theme, panels=(1, len(periods)), sharex=True,
        sharey=True,
    )  # fmt: skip
    unit = next(iter(results.attributions.values())).words.unit
    places = {group: len(groups) - 1 - i for i, group in enumerate(groups)}
    for panel, period in zip(page.panels, periods, strict=True):
        rows = table[table[PERIOD] == period]
        y = np.array([places[g] for g in rows["group"]])
        low, mean, high = (rows[c].to_numpy() / unit.size for c in ("lower95", "mean", "upper95"))
        known = rows["sd"].to_numpy() < KNOWN
        for at, value, sure, group in zip(y, mean, known, rows["group"], strict=True):
            colour = GREY if group == GAP else page.colour(0 if value >= 0 else 3)
            panel.barh(at, value, height=0.6, color=colour, edgecolor="white", linewidth=0.8,
                       hatch="//" if sure and group != GAP else None,
                       gid=f"bar:{period}:{group}")  # fmt: skip
        interval_bars(panel, low[~known], high[~known], y[~known])
        zero_line(panel, vertical=True)
        panel.set_title(period.replace("-", "–"), fontsize=page.font + 0.5, fontweight="bold",
                        color=INK)  # fmt: skip
        panel.set_xlabel(unit.persons)
        panel.xaxis.set_major_formatter(SIGNED)
    page.ax.set_yticks(list(places.values()), ["Gap" if g == GAP else title(g) for g in places])
    gaps = table[table["group"] == GAP]
    said = "; ".join(f"{r.period} {unit.said(r.mean)}" for r in gaps.itertuples())
    return page.finish(
        f"Gaps of {len(periods)} periods by source",
        f"{results.area}, {results.span}; {unit.persons}, rolled-forward minus census; positive: "
        "made the roll-forward too high.",
        "Line: 95 % interval. Hatched: known. One account: the base of a later period is what the "
        "period before ended with.",
        alt=f"{len(periods)} panels with the gap and its headline groups, each with its 95 per "
        f"cent interval. Gaps, {unit.persons}: {said}.",
        data=table,
        verdict=results.verdict,
    )


def chain_data(results: ChainResults) -> pd.DataFrame:
    """The numbers behind the figure: period, group, mean, sd, lower95, upper95, persons.

    Groups that are known to contribute nothing in any period are left out.
    """
    frame = results.groups()[[PERIOD, "group", "mean", "sd", "lower95", "upper95"]]
    size = frame.groupby("group")[["mean", "sd"]].transform(lambda x: x.abs().max())
    frame = frame[(size >= KNOWN).any(axis=1)]
    order = [group for group in GROUPS if group in set(frame["group"])]
    parts = []
    for period, found in results.attributions.items():
        rows = frame[frame[PERIOD] == period].set_index("group").reindex(order).dropna(how="all")
        gap = {PERIOD: period, "mean": found.total, "sd": 0.0, "lower95": found.total,
               "upper95": found.total}  # fmt: skip
        parts.append(pd.concat([pd.DataFrame([gap], index=pd.Index([GAP], name="group")), rows]))
    columns = [PERIOD, "group", "mean", "sd", "lower95", "upper95"]
    return pd.concat(parts).reset_index()[columns]
