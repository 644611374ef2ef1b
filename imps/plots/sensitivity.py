"""Figures of what the answer hangs on: positions side by side, and power-scaling."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imps.intervals import Z95, Unit
from imps.plots.style import INK, SIGNED, open_page, styled, zero_line
from imps.project.case import Case
from imps.results.identifiability import SENSITIVE
from imps.results.sensitivity import PriorComparison, compare_priors
from imps.results.verdict import Verdict, together
from imps.sources.kinds import title

SHOWN_GROUPS = ("base", "migration", "census")
NOTHING = 0.005
"""Posterior standard deviations below which a shift is not drawn."""


@styled
def plot_prior_sets(
    comparison: PriorComparison | Case | str, *, ax: Axes | None = None, theme: str = "official"
) -> Figure:
    """Prior and posterior 95 per cent interval of each headline group, by set of priors.

    Parameters
    ----------
    comparison : PriorComparison, Case or str
        From :func:`imps.compare_priors`; or a case, or its name, which is then compared
        under all named sets, so that one call gives the figure and, by
        :func:`imps.plots.figure_data`, its table.
    ax : Axes, optional
    theme : {"official", "paper"}
    """
    if not isinstance(comparison, PriorComparison):
        comparison = compare_priors(comparison)
    table = comparison.table[comparison.table["group"].isin(SHOWN_GROUPS)].copy()
    sets = list(comparison.surprise.index)
    table["prior_lower95"] = table["prior_mean"] - Z95 * table["prior_sd"]
    table["prior_upper95"] = table["prior_mean"] + Z95 * table["prior_sd"]
    indexed = table.set_index(["group", "prior_set"])
    groups = [g for g in SHOWN_GROUPS if g in set(table["group"])]
    page = open_page(ax, (9.2, 0.30 * len(groups) * (len(sets) + 0.6) + 0.6), theme)
    ax, unit, labels, places, y = page.ax, comparison.unit, [], [], 0.0
    for group in groups[::-1]:
        for name in sets[::-1]:
            row = indexed.loc[(group, name)]
            prior = row[["prior_lower95", "prior_upper95"]].to_numpy(float) / unit.size
            ends = row[["lower95", "upper95"]].to_numpy(float) / unit.size
            ax.hlines(y + 0.16, *prior, color=page.theme.quiet, linewidth=6)
            ax.hlines(y - 0.16, *ends, color=page.colour(0), linewidth=3)
            ax.plot(row["mean"] / unit.size, y - 0.16, "o", color=page.colour(0), markersize=5)
            labels.append(f"{title(group)}: {name}")
            places.append(y)
            y += 1.0
        y += 0.6
    zero_line(ax, vertical=True)
    ax.set_yticks(places, labels)
    ax.set_ylim(-0.8, y - 0.8)
    ax.xaxis.set_major_formatter(SIGNED)
    ax.set_xlabel(f"contribution to the gap, {unit.persons}")
    means = "; ".join(
        f"{title(g)} {', '.join(f'{n} {unit.said(indexed.loc[(g, n), "mean"])}' for n in sets)}"
        for g in groups
    )
    return page.finish(
        _apart(table, unit),
        f"{comparison.area}, {comparison.period}; gap {unit.said(comparison.gap)} {unit.persons};"
        " positive: made the roll-forward too high.",
        "Thick and pale: prior 95 %. Dark with dot: posterior mean and 95 % interval.",
        alt=f"Paired intervals by group and set of priors. Means, {unit.persons}: {means}.",
        data=table,
        verdict=together(comparison.verdicts),
    )


def _apart(table: pd.DataFrame, unit: Unit) -> str:
    """The group that the positions place furthest apart, in a title."""
    ends = table.groupby("group")["mean"].agg(["min", "max"])
    widest = str((ends["max"] - ends["min"]).idxmax())
    low, high = (unit.said(ends.loc[widest, end]) for end in ("min", "max"))
    return f"{title(widest)}: {low} to {high} {unit.name}, by the position one starts from"


@styled
def plot_power_scaling(
    table: pd.DataFrame,
    quantity: str,
    *,
    verdict: Verdict | None = None,
    ax: Axes | None = None,
    theme: str = "official",
) -> Figure:
    """What doubling the power of each prior and likelihood would do to one quantity.

    Parameters
    ----------
    table : DataFrame
        From :func:`imps.power_scaling`.
    quantity : str
        For example ``"gap[emigration_bias]"`` or ``"group[migration]"``.
    verdict : Verdict, optional
        Of the fit; unless told, the one that came with the table.
    ax : Axes, optional
    theme : {"official", "paper"}
    """
    rows = table[table["quantity"] == quantity]
    rows = rows[rows["shift_in_sd"].abs() > NOTHING].sort_values("shift_in_sd", key=abs)
    page = open_page(ax, (9.2, 0.28 * len(rows) + 0.9), theme)
    ax, y = page.ax, np.arange(len(rows))
    for i, row in enumerate(rows.itertuples()):
        likelihood = row.component == "likelihood"
        ax.barh(i, row.shift_in_sd, height=0.62, edgecolor="white", hatch="//" * (not likelihood),
                color=page.colour(0) if likelihood else page.theme.quiet)  # fmt: skip
    for limit in (-SENSITIVE, SENSITIVE):
        ax.axvline(limit, color=INK, linewidth=1.0, linestyle="--")
    zero_line(ax, vertical=True)
    named = zip(rows["component"], rows["of"], strict=True)
    ax.set_yticks(y, [f"{component}: {title(of)}" for component, of in named])
    ax.set_xlabel("shift of the posterior mean when the power is doubled, posterior sd")
    most = rows.iloc[-1] if len(rows) else None
    sensitive = int((rows["shift_in_sd"].abs() > SENSITIVE).sum())
    return page.finish(
        f"{_named(quantity)} is sensitive to {sensitive or 'none'} of {len(rows)} components",
        "Shift of the posterior mean, in posterior sd, when the power of one component is doubled.",
        "Striped: priors. Plain: likelihoods of figures. Beyond the dashed lines: sensitive.",
        alt=f"Sorted bars of {len(rows)} priors and likelihoods. Largest shift: "
        + ("none." if most is None else f"{most['component']} of {most['of']}, "
           f"{most['shift_in_sd']:+.2f} posterior sd."),
        data=rows,
        verdict=verdict or Verdict.of(table),
    )  # fmt: skip


def _named(quantity: str) -> str:
    """Plain name of a reported quantity."""
    label = quantity[quantity.index("[") + 1 : -1] if quantity.startswith(("gap[", "gr")) else ""
    return title(label) if label else quantity
