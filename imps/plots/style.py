"""Look of the figures: two themes, one way to open a page and one to finish it, shared marks.

`official` follows the chart rules of the Government Analysis Function: its palette in
order, at most four categories, direct labels, unit and sign in the subtitle, colour
never the only sign. `paper` has no title (the caption stands in the text), is narrower,
and is readable in grey.

References
----------
Government Analysis Function, Data visualisation: colours in charts; charts.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike

from imps.errors import LabelError
from imps.results.attribution import AGAINST_WORD, DRIVEN_WORD
from imps.results.verdict import Verdict

INK = "#0B0C0C"
GREY = "#3D3D3D"
LIGHT_GREY = "#BFBFBF"
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "D", "^")
STARS = "Star: prior-driven, the data say little. Dagger: against its prior."


@dataclass(frozen=True)
class Theme:
    """Colours, sizes and what is written around a figure.

    Attributes
    ----------
    name : str
    colours : tuple of str
        Categories in order; each also has a line style and a marker of its own.
    bands : tuple of str
        Colours of the 95, 80 and 50 per cent bands of a fan; marks must stand out on them.
    quiet : str
        Colour of what stands back: priors, thinned draws, reference lines.
    diverging : tuple of str
        Colours below zero, at zero and above zero of a map.
    font : float
        Size of text in points.
    width : float
        Share of the official width in inches.
    titled : bool
        Whether title, subtitle and verdict are written on the figure.
    """

    name: str
    colours: tuple[str, ...]
    bands: tuple[str, str, str]
    quiet: str
    diverging: tuple[str, str, str]
    font: float
    width: float
    titled: bool

    @property
    def map(self) -> Colormap:
        """Diverging colours centred on zero."""
        return LinearSegmentedColormap.from_list(self.name, self.diverging)


OFFICIAL = Theme(
    "official",
    ("#12436D", "#28A197", "#801650", "#F46A25"),
    ("#DCE3EA", "#B8C6D4", "#8CA3BA"),
    LIGHT_GREY,
    ("#F46A25", "#FFFFFF", "#12436D"),
    9.0,
    1.0,
    True,
)
PAPER = Theme(
    "paper",
    ("#000000", "#636363", "#404040", "#858585"),
    ("#EDEDED", "#DADADA", "#C4C4C4"),
    "#C8C8C8",
    ("#8C8C8C", "#FFFFFF", "#4D4D4D"),
    8.0,
    0.80,
    False,
)
THEMES = {theme.name: theme for theme in (OFFICIAL, PAPER)}
HEADING, TITLE_LINE, LINE = 0.30, 0.21, 0.175
"""Heights of the title, of each further line of it, and of a line of the subtitle, inches."""
VERDICT_LINES = 3
"""Most lines of the verdict under a figure; the whole of it stands in the text alternative."""
MARGIN = 0.10
"""Left edge of what is written around a figure, inches."""
HINTED = 0.95
"""Share of the room that a line may take: on a screen letters are drawn up to 5 % wider."""

SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "imps",
    "hatch.linewidth": 0.6,
}


styled = mpl.rc_context(SETTINGS)
"""Decorator: draw with the fonts of the package whatever the user's settings are."""


class ShownFigure(Figure):
    """A figure that shows itself in a notebook without any plotting state.

    Attributes
    ----------
    title_text : str
        What a title would say; written on the figure by the official theme.
    caption : str
        Title, subtitle and verdict, for the text around a figure of the paper theme.
    alt : str
        Text alternative for those who cannot see it.
    data : DataFrame
        Every number that is drawn, tidy, with its interval.
    verdict : Verdict or None
        Of the fit behind it.
    """

    title_text: str = ""
    caption: str = ""
    alt: str = ""
    data: pd.DataFrame
    verdict: Verdict | None = None

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save with embedded TrueType fonts and without the date, so that bytes repeat."""
        kind = options.get("format") or str(fname).rsplit(".", 1)[-1].lower()
        if kind == "pdf":
            options.setdefault("metadata", {"Title": self.title_text, "CreationDate": None})
        elif kind == "svg":
            options.setdefault("metadata", {"Title": self.title_text, "Date": None})
        elif kind == "png":
            options.setdefault("metadata", {"Description": self.alt, "Software": "imps"})
        with mpl.rc_context(SETTINGS):
            super().savefig(fname, **options)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=90)
        return buffer.getvalue()


@dataclass
class Page:
    """A figure that is being drawn: its panels, its theme, and whether it is ours to title."""

    figure: Figure
    panels: list[Axes]
    theme: Theme
    host: Axes | None

    @property
    def ax(self) -> Axes:
        """The panel, where there is one."""
        return self.panels[0]

    def colour(self, i: int) -> str:
        """Colour of a category."""
        return self.theme.colours[i]

    def line(self, i: int, **changes: Any) -> dict[str, Any]:
        """Line style of a category: colour, line and marker together."""
        return {
            "color": self.colour(i),
            "linestyle": LINES[i],
            "marker": MARKERS[i],
            "markersize": 4.5,
            "linewidth": 1.7,
            **changes,
        }

    @property
    def font(self) -> float:
        """Size of text in points."""
        return self.theme.font

    @property
    def wide(self) -> bool:
        """Whether the theme has the full width; narrow ones give labels a larger share."""
        return self.theme.width == 1.0

    def finish(
        self,
        heading: str,
        *subtitle: str,
        alt: str,
        data: pd.DataFrame,
        verdict: Verdict | None,
    ) -> Figure:
        """Write title, subtitle and verdict, and give the figure its text and its data.

        In an axis of the user's own only a short title is written.
        """
        for ax in self.panels:
            _plain(ax, self.font)
        if self.host is not None:
            if self.theme.titled:
                self.host.set_title(heading, loc="left", fontsize=self.font + 1, color=INK)
        else:
            self._around(heading, subtitle, verdict)
        self.figure.title_text = heading  # type: ignore[attr-defined]
        self.figure.alt = f"{heading}. {alt} {_verdict_line(verdict)}"  # type: ignore[attr-defined]
        said = (f"{heading}.", *subtitle, _verdict_line(verdict))
        self.figure.caption = " ".join(x for x in said if x)  # type: ignore[attr-defined]
        self.figure.data = data  # type: ignore[attr-defined]
        self.figure.verdict = verdict  # type: ignore[attr-defined]
        return self.figure

    def _around(self, heading: str, subtitle: Sequence[str], verdict: Verdict | None) -> None:
        """Title, subtitle and verdict in the margins that the layout leaves free."""
        width, height = self.figure.get_size_inches()
        small = self.font - 1.5
        room = width - 2 * MARGIN
        above = [x for text in subtitle for x in _wrapped(text, room, self.font)]
        usable = verdict is None or verdict.usable
        bold = "normal" if usable else "bold"
        below = _wrapped(_verdict_line(verdict), room, small, bold)
        if len(below) > VERDICT_LINES:
            whole = below[VERDICT_LINES - 1][:-6].rsplit(" ", 1)[0]  # never in mid-word
            below = [*below[: VERDICT_LINES - 1], f"{whole} [...]"]
        if not self.theme.titled:
            above, below = [], [] if usable else below
        lines = _wrapped(heading, room, self.font + 3.5, "bold")
        titles = HEADING + TITLE_LINE * (len(lines) - 1)
        top = (titles + LINE * len(above) + 0.08) if self.theme.titled else 0.02
        bottom = LINE * len(below) + (0.06 if below else 0.0)
        self.figure.set_size_inches(width, height + top + bottom)
        height += top + bottom
        engine = self.figure.get_layout_engine()
        if engine is not None:
            engine.set(rect=(0, bottom / height, 1, 1 - (top + bottom) / height))  # type: ignore[call-arg]
        left = MARGIN / width

        def write(text: str, down: float, **style: Any) -> None:
            self.figure.text(left, 1 - down / height, text, va="top", ha="left", **style)

        if self.theme.titled:
            write("\n".join(lines), 0.09, fontsize=self.font + 3.5, fontweight="bold", color=INK)
        for i, text in enumerate(above):
            write(text, titles + 0.05 + LINE * i, fontsize=self.font, color=GREY)
        for i, text in enumerate(below):
            down = height - bottom + LINE * i
            write(text, down, fontsize=small, color=GREY, fontweight=bold)


def open_page(
    ax: Axes | None,
    size: tuple[float, float],
    theme: str,
    *,
    panels: tuple[int, int] = (1, 1),
    **grid: Any,
) -> Page:
    """A new figure, or the axis of the user's own, with one or several panels.

    Parameters
    ----------
    ax : Axes or None
        An axis that is already there is divided where several panels are asked for.
    size : (width, height), inches
        Of the panels; title and subtitle are added above.
    theme : {"official", "paper"}
    panels : (rows, columns)
    **grid
        `sharex`, `sharey`, `width_ratios`, `height_ratios` of the panels.
    """
    if theme not in THEMES:
        raise LabelError(f"theme is '{theme}', expected one of {', '.join(THEMES)}.")
    look = THEMES[theme]
    if ax is not None:
        return Page(ax.figure, _divided(ax, panels, grid), look, ax)  # type: ignore[arg-type]
    figure = ShownFigure(figsize=(size[0] * look.width, size[1]), layout="constrained", dpi=120)
    made = figure.subplots(*panels, squeeze=False, **grid)
    return Page(figure, list(made.ravel()), look, None)


def _divided(ax: Axes, panels: tuple[int, int], grid: dict[str, Any]) -> list[Axes]:
    """Panels inside an axis of the user's own."""
    rows, columns = panels
    if rows * columns == 1:
        return [ax]
    ax.set_axis_off()
    widths = grid.get("width_ratios", [1] * columns)
    heights = grid.get("height_ratios", [1] * rows)
    gap = 0.12
    out: list[Axes] = []
    for i in range(rows):
        for j in range(columns):
            x, w = (sum(widths[:j]) / sum(widths), widths[j] / sum(widths))
            y, h = (1 - sum(heights[: i + 1]) / sum(heights), heights[i] / sum(heights))
            share: dict[str, Any] = {"sharex": out[j]} if grid.get("sharex") and i else {}
            if grid.get("sharey") and j:
                share["sharey"] = out[i * columns]
            place = (x + gap * w / 2, y + gap * h / 2, w * (1 - gap), h * (1 - gap))
            out.append(ax.inset_axes(place, **share))
    return out


def alt_text(figure: Figure) -> str:
    """Text alternative of a figure of this package."""
    return str(getattr(figure, "alt", ""))


def caption(figure: Figure) -> str:
    """What the official theme writes on a figure, as the caption of one of the paper theme.

    Title, measure, place, period, sign, what the marks mean, and the verdict of the fit.
    """
    return str(getattr(figure, "caption", ""))


def figure_data(figure: Figure) -> pd.DataFrame:
    """Every number that a figure of this package draws, as a tidy table."""
    found = getattr(figure, "data", None)
    if found is None:
        raise LabelError("this figure was not drawn by imps: it carries no data.")
    return found


def _plain(ax: Axes, font: float) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.tick_params(labelsize=font)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_fontsize(font)
    bounds = ax.spines["bottom"].get_bounds()
    if bounds is not None and None not in bounds:  # the rest of the axis is room for labels
        left, right = ax.get_xlim()
        ax.xaxis.label.set_x((sum(bounds) / 2 - left) / (right - left))


def _wrapped(text: str, inches: float, size: float, weight: str = "normal") -> list[str]:
    """Text in lines that are no wider than the page, measured and not guessed."""
    lines: list[str] = []
    room, used, space = HINTED * 72 * inches / size, 0.0, _width(" ", weight)
    for word in text.split():
        wide = _width(word, weight)
        if lines and used + space + wide <= room:
            lines[-1] += f" {word}"
            used += space + wide
        else:
            lines.append(word)
            used = wide
    return lines


@cache
def _width(text: str, weight: str) -> float:
    """Width of a word as a share of the size of its letters; each word is measured once."""
    font = FontProperties(family=SETTINGS["font.family"], size=1.0, weight=weight)
    drawn = (text_to_path.get_text_width_height_descent(t, font, ismath=False)[0]
             for t in (f"x{text}x", "xx"))  # fmt: skip
    return next(drawn) - next(drawn)


def _verdict_line(verdict: Verdict | None) -> str:
    return f"Fit: {verdict.brief}." if verdict else ""


def starred(word: str) -> str:
    """The mark of a source that rests on its prior, or lies against it."""
    return {DRIVEN_WORD: " *", AGAINST_WORD: " †"}.get(word, "")


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
