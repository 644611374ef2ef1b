"""Marks that the figures share: lines and their labels, intervals, the line of zero."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

from imps.plots.style import GREY, INK, Page
from imps.results.attribution import AGAINST_WORD, DRIVEN_WORD

STARS = "Star: prior-driven, the data say little. Dagger: against its prior."
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "D", "^")


def starred(word: str) -> str:
    """The mark of a source that rests on its prior, or lies against it."""
    return {DRIVEN_WORD: " *", AGAINST_WORD: " †"}.get(word, "")


def direct_labels(
    ax: Axes,
    x: float,
    ends: Iterable[tuple[float, str, dict[str, Any]]],
    font: float,
    *,
    key: float,
    spacing: float = 1.9,
) -> None:
    """Labels beside the ends of lines, each with a sample of its line, pushed apart.

    Parameters
    ----------
    x : float
        Where the samples begin, in data units.
    ends : iterable of (y, text, line style)
    font : float
        Points.
    key : float
        Length of the sample, in data units.
    spacing : float
        Least distance between labels in lines of text; a text may have two lines.
    """
    low, high = ax.get_ylim()
    height = ax.figure.get_size_inches()[1] * 0.75  # type: ignore[union-attr]
    line = (high - low) * font / 72 / height
    places = sorted(ends, key=lambda end: end[0])
    at = low - line
    found: list[float] = []
    for value, text, _ in places:
        at = max(value, at + line * spacing * (1 + text.count("\n")) / 1.5)
        found.append(at)
    shift = max(0.0, found[-1] - (high - 0.6 * line))
    for y, (_, text, style) in zip(found, places, strict=True):
        ax.plot([x, x + key / 2, x + key], [y - shift] * 3, clip_on=False, markevery=[1], **style)
        ax.text(x + 1.25 * key, y - shift, text, color=INK, fontsize=font - 0.5, va="center")


def style(page: Page, i: int, **changes: Any) -> dict[str, Any]:
    """Line style of category i: colour, line and marker together."""
    return {
        "color": page.colour(i),
        "linestyle": LINES[i],
        "marker": MARKERS[i],
        "markersize": 4.5,
        "linewidth": 1.7,
        **changes,
    }


def zero_line(ax: Axes, *, vertical: bool = False) -> None:
    """The line of no difference."""
    (ax.axvline if vertical else ax.axhline)(0, color=GREY, linewidth=0.8, zorder=2.5)


def room_for_labels(ax: Axes, low: float, high: float, right: float, *, zero: bool = False) -> None:
    """Axis from `low` to `high` with empty room up to `right` for direct labels."""
    ax.set_xlim(low, right)
    ax.spines["bottom"].set_bounds(low, high)
    ax.set_xticks([t for t in ax.get_xticks() if low <= t <= high])
    if zero:
        ax.hlines(0, low, high, color=GREY, linewidth=0.8, zorder=1.5)


EDGE = patheffects.withStroke(linewidth=2.6, foreground="white")
"""White edge of a line that must be seen on a dark bar too."""


def interval_bars(
    ax: Axes, left: ArrayLike, right: ArrayLike, at: ArrayLike, cap: float = 0.13
) -> None:
    """Horizontal intervals with caps, seen on white and on dark bars alike."""
    a, b, y = (np.asarray(v, dtype=float) for v in (left, right, at))
    ends = np.r_[a, b], np.r_[y, y]
    for lines in (
        ax.hlines(y, a, b, color=INK, linewidth=1.2),
        ax.vlines(ends[0], ends[1] - cap, ends[1] + cap, color=INK, linewidth=1.2),
    ):
        lines.set_path_effects([EDGE])


def _signed(value: float, _: object = None) -> str:
    text = f"{value:,.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text.replace("-", "\u2212")


SIGNED = FuncFormatter(_signed)
"""Ticks with thousands separated and a true minus sign."""
