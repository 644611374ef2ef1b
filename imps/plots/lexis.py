"""Lexis maps: errors and residuals over age and time, with the diagonals of cohorts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from imps.errors import LabelError
from imps.intervals import Z95
from imps.plots.style import GREY, INK, SIGNED, Page, open_page, styled
from imps.results.predictive import LexisSurface
from imps.sources.kinds import within_sentence

COHORTS = 10
"""Years of birth between two diagonals."""
MARKED = Z95
HATCHED = 0.05
"""Share of the scale from which negative cells are hatched, so that colour is not alone."""
ALL = "both sexes"
"""Name of the one panel of a map of errors; residuals have a panel a source."""
SCALES = {"z": "standardised", "value": "persons"}


@styled
def plot_lexis(
    surface: LexisSurface,
    *,
    scale: str | None = None,
    ax: Axes | None = None,
    theme: str = "official",
) -> Figure:
    """Lexis map of an error or of residuals, centred on zero, with cohort diagonals.

    Parameters
    ----------
    surface : LexisSurface
        From `imps.migration_error` or `imps.residuals`.
    scale : {"value", "z"}, optional
        Persons, or standardised. Persons for one panel, standardised for several, whose
        cells are of different size.
    ax : Axes, optional
    theme : {"official", "paper"}

    Raises
    ------
    LabelError
        If the scale is none of the two.

    Notes
    -----
    Cells whose 95 per cent interval leaves zero out carry the sign of their value, so
    that colour is not the only sign of it.
    """
    cells = surface.cells
    names = list(dict.fromkeys(cells["panel"]))
    scale = scale or ("value" if len(names) == 1 else "z")
    if scale not in SCALES:
        raise LabelError(f"scale is '{scale}', expected one of {', '.join(SCALES)}.")
    widths = [max(0.22, np.ptp(_part(cells, n)[["start", "end"]].to_numpy()) / 11) for n in names]
    page = open_page(
        ax, (9.2, 4.6), theme, panels=(1, len(names)), sharey=True, width_ratios=widths
    )
    most = float(cells[scale].abs().quantile(0.99)) or 1.0
    norm = TwoSlopeNorm(0.0, -most, most)
    for panel, name in zip(page.panels, names, strict=True):
        part = _part(cells, name)
        _draw(panel, part, scale, norm, page)
        _diagonals(panel, part, surface.last_age)
        panel.set_ylim(0, surface.last_age + 1)
        if len(names) > 1:
            panel.set_title(name.capitalize(), fontsize=page.font, fontweight="bold", color=INK)
        _years(panel, part, page)
    page.ax.set_ylabel("age; last group open")
    _colour_bar(page, norm, scale, surface)
    marked = int((cells["z"].abs() > MARKED).sum())
    worst = cells.loc[cells["z"].abs().idxmax()]
    share = marked / len(cells)
    return page.finish(
        _title(surface, marked),
        f"{surface.area}; {within_sentence(surface.what)}, "
        f"{surface.unit if scale == 'value' else 'in standard deviations'}; "
        f"{surface.sign}.",
        "Hatched: negative. Signs mark cells whose 95 % interval leaves zero out: "
        f"{marked} of {len(cells)} ({share:.0%}). Diagonals: cohorts, {COHORTS} years of birth "
        f"apart.{_totals(surface)}",
        alt=f"Map over age and year, negative cells hatched; {marked} of {len(cells)} cells have "
        "an interval that leaves zero out. "
        f"Largest at ages {worst['first_age']:.0f} to {worst['last_age']:.0f}, "
        f"{worst['start']:.1f} to {worst['end']:.1f}: {worst['value']:+,.0f} persons "
        f"[{worst['lower95']:+,.0f}, {worst['upper95']:+,.0f}].",
        data=cells,
        verdict=surface.verdict,
    )


def _title(surface: LexisSurface, marked: int) -> str:
    """Where the map differs most clearly from zero, or that it nowhere does."""
    n = len(surface.cells)
    if set(surface.cells["panel"]) != {ALL}:
        return f"{marked} of {n} residuals lie outside their 95 % interval; {0.05 * n:.0f} expected"
    clear = surface.cells[surface.cells["z"].abs() > MARKED]
    if not len(clear):
        return "Nowhere is the official figure clearly wrong"
    worst = clear.loc[clear["value"].abs().idxmax()]
    side = "high" if worst["value"] > 0 else "low"
    day = surface.year_end.interval(2001).end - 2001  # share of a calendar year before it
    year = int(np.ceil((worst["start"] + worst["end"]) / 2 - day - 1e-6))
    return (
        f"Official net migration was most too {side} at age {worst['first_age']:.0f}, "
        f"year to {surface.year_end.said(year)}"
    )


def _totals(surface: LexisSurface) -> str:
    """Blocks that stand for all ages are named as what they are."""
    whole = (surface.cells["first_age"] == 0) & (surface.cells["last_age"] == surface.last_age)
    return " Blocks over all ages: only totals were published." if whole.any() else ""


def _part(cells: pd.DataFrame, name: str) -> pd.DataFrame:
    return cells[cells["panel"] == name]


def _draw(panel: Axes, part: pd.DataFrame, scale: str, norm: TwoSlopeNorm, page: Page) -> None:
    """Cells as coloured blocks, and signs where an interval leaves zero out."""
    blocks = [
        Rectangle((r.start, r.first_age), r.end - r.start, r.last_age - r.first_age + 1)
        for r in part.itertuples()
    ]
    many = PatchCollection(blocks, cmap=page.theme.map, norm=norm, linewidth=0, rasterized=True)
    many.set_array(part[scale].to_numpy())
    panel.add_collection(many)
    below = (part[scale] < -HATCHED * norm.vmax).to_numpy()  # type: ignore[operator]
    hatched = PatchCollection(
        [b for b, negative in zip(blocks, below, strict=True) if negative],
        facecolor="none", edgecolor=GREY, hatch="////", linewidth=0, alpha=0.55,
    )  # fmt: skip
    panel.add_collection(hatched)
    panel.set_xlim(part["start"].min(), part["end"].max())
    size = 7 if (part["last_age"] > part["first_age"]).any() else 3.5
    for sign, mark in ((1, "+"), (-1, "_")):
        far = part[part["z"] * sign > MARKED]
        x = (far["start"] + far["end"]) / 2
        y = (far["first_age"] + far["last_age"] + 1) / 2
        panel.plot(x, y, mark, color=INK, markersize=size, markeredgewidth=0.8, linestyle="none")


def _diagonals(panel: Axes, part: pd.DataFrame, last_age: int) -> None:
    """Life lines of cohorts whose years of birth are ten apart."""
    start, end = part["start"].min(), part["end"].max()
    if end - start < 2:
        return
    first = np.floor((start - last_age) / COHORTS) * COHORTS
    for born in np.arange(first, end, COHORTS):
        panel.plot([start, end], [start - born, end - born], color=GREY, linewidth=0.5,
                   linestyle=":", scalex=False, scaley=False)  # fmt: skip


def _years(panel: Axes, part: pd.DataFrame, page: Page) -> None:
    """Ticks in the middle of the years."""
    middle = sorted(set((part["start"] + part["end"]) / 2))
    labels = [f"{np.floor(m + 0.25):.0f}" for m in middle]
    panel.set_xticks(middle, labels, rotation=90 if len(page.panels) > 1 else 0)


def _colour_bar(page: Page, norm: TwoSlopeNorm, scale: str, surface: LexisSurface) -> None:
    from matplotlib.cm import ScalarMappable

    text = surface.unit if scale == "value" else "standard deviations"
    bar = page.figure.colorbar(
        ScalarMappable(norm, page.theme.map),
        ax=page.host or page.panels,
        shrink=0.8,
        pad=0.02,
        extend="both",
    )
    bar.set_label(text, fontsize=page.font)
    bar.ax.tick_params(labelsize=page.font - 0.5)
    if scale == "value":
        bar.ax.yaxis.set_major_formatter(SIGNED)
    bar.outline.set_linewidth(0.5)
    low, _ = bar.ax.get_ylim()
    bar.ax.axhspan(low, HATCHED * low, facecolor="none", edgecolor=GREY,
                   hatch="////", linewidth=0, alpha=0.55)  # fmt: skip
