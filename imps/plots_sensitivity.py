"""Figures of what the answer hangs on: sets of priors side by side, power-scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from imps.checks import without_figures
from imps.dims import title
from imps.identifiability import SENSITIVE
from imps.plots import DARK_BLUE, GREY, LIGHT_GREY, ORANGE, THOUSAND, _axes, _dress
from imps.sensitivity import PriorComparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_GROUPS = ("base", "migration", "census")


def plot_prior_sets(comparison: PriorComparison, *, ax: Axes | None = None) -> Figure:
    """Prior and posterior 95 per cent interval of each headline group, by set of priors."""
    table = comparison.table
    groups = [g for g in SHOWN_GROUPS if g in set(table["group"])]
    sets = list(comparison.surprise.index)
    figure, ax = _axes(ax, (9.2, 0.5 * len(groups) * (len(sets) + 1) * 0.62 + 1.9))
    labels, places, y = [], [], 0.0
    for group in groups[::-1]:
        for name in sets[::-1]:
            row = table[(table["group"] == group) & (table["prior_set"] == name)].iloc[0]
            prior = row["prior_mean"] + 1.96 * row["prior_sd"] * np.array([-1, 1])
            ax.hlines(y + 0.14, *(prior / THOUSAND), color=LIGHT_GREY, linewidth=6)
            ends = row["lower95"] / THOUSAND, row["upper95"] / THOUSAND
            ax.hlines(y - 0.14, *ends, color=DARK_BLUE, linewidth=3)
            ax.plot(row["mean"] / THOUSAND, y - 0.14, "o", color=DARK_BLUE, markersize=5)
            labels.append(f"{title(group)}: {name}")
            places.append(y)
            y += 1.0
        y += 0.6
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set_yticks(places, labels)
    ax.set_ylim(-0.8, y - 0.8)
    ax.set_xlabel("contribution to the gap, thousand persons", fontsize=9)
    _dress(
        ax,
        "The same figures under four positions" if len(sets) == 4 else "The same figures",
        f"{comparison.area}, {comparison.period}; gap {comparison.gap / THOUSAND:+,.0f} thousand.",
        "Grey, thick: prior 95 %. Blue with dot: posterior mean and 95 %.",
        *dict.fromkeys(without_figures(line) for line in comparison.verdicts.values()),
    )
    return figure


def plot_power_scaling(
    table: pd.DataFrame, quantity: str, *, verdict: str, ax: Axes | None = None
) -> Figure:
    """What doubling the power of each prior and likelihood would do to one quantity.

    Parameters
    ----------
    table : DataFrame
        From :func:`imps.power_scaling`.
    quantity : str
        For example ``"gap[emigration_bias]"`` or ``"group[migration]"``.
    verdict : str
        Line of the checks of the fit.
    """
    rows = table[table["quantity"] == quantity]
    rows = rows[rows["shift_in_sd"].abs() > 0.005].sort_values("shift_in_sd", key=abs)
    figure, ax = _axes(ax, (9.2, 0.32 * len(rows) + 2.1))
    y = np.arange(len(rows))
    prior = rows["component"].to_numpy() == "prior"
    ax.barh(y, rows["shift_in_sd"], color=np.where(prior, LIGHT_GREY, DARK_BLUE), height=0.62)
    for limit in (-SENSITIVE, SENSITIVE):
        ax.axvline(limit, color=ORANGE, linewidth=1.2, linestyle="--")
    ax.axvline(0, color=GREY, linewidth=0.8)
    named = zip(rows["component"], rows["of"], strict=True)
    ax.set_yticks(y, [f"{component}: {title(of)}" for component, of in named])
    ax.set_xlabel("shift of the posterior mean when the power is doubled, posterior sd", fontsize=9)
    _dress(
        ax,
        f"What moves {quantity}",
        "Grey: priors. Blue: likelihoods of figures. Beyond the dashed lines: sensitive.",
        without_figures(verdict),
    )
    return figure
