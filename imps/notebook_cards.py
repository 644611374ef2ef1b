"""Cards: how results show themselves in a notebook, with a small picture, escaped safely.

Nothing but text is made here: HTML without scripts and without addresses, and inline SVG
in the colours of the page (`currentColor`), so that a card is readable on light and dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from imps.intervals import THOUSANDS, Unit

BLUE, ORANGE, QUIET = "#5694CA", "#F46A25", "#949494"
"""Colours that stand out by 3:1 on white and on a dark page alike."""
ROW, NAMES, PLOT, NUMBERS = 17, 190, 230, 190
"""Height of a row, and widths of names, plot and numbers, pixels."""


class Judged(Protocol):
    """What a card needs of a verdict: its words, and whether the fit is simply usable."""

    @property
    def usable(self) -> bool: ...


@dataclass(frozen=True)
class Bar:
    """One row of a small picture.

    Attributes
    ----------
    name : str
    start, length : float
        Of the bar; an interval is that of the length.
    lower, upper : float
    text : str
        Printed beside it.
    """

    name: str
    start: float
    length: float
    lower: float
    upper: float
    text: str


def card(
    heading: str,
    main: str,
    lines: Sequence[str] = (),
    *,
    picture: str = "",
    verdict: Judged | None = None,
    table: str = "",
) -> str:
    """A compact card of HTML.

    Parameters
    ----------
    heading, main : str
        What it is; the main number with its interval. Escaped here.
    lines : sequence of str
        Escaped here.
    verdict : Verdict, optional
        Of the fit; bold where it is not usable.
    picture, table : str
        HTML made by this package, put in as it is.
    """
    parts = [f"<strong>{html.escape(heading)}</strong>"]
    if main:
        parts.append(f'<div style="font-size:1.25em">{html.escape(main)}</div>')
    parts += [f"<div>{html.escape(line)}</div>" for line in lines if line]
    parts += [picture, table]
    if verdict is not None:
        text = html.escape(str(verdict))
        shown = text if verdict.usable else f"<strong>{text}</strong>"
        parts.append(f'<div style="font-size:.85em">Fit: {shown}</div>')
    style = "border-left:4px solid #5694CA;padding:.3em .8em;margin:.4em 0;max-width:44em;"
    style += "line-height:1.4"
    return f'<div class="imps-card" style="{style}">{"".join(p for p in parts if p)}</div>'


def bars(rows: Sequence[Bar], alt: str) -> str:
    """Inline SVG: horizontal bars with their 95 per cent intervals, names and numbers."""
    if not rows:
        return ""
    reach = [0.0]
    for r in rows:
        reach += [r.start, r.start + r.length, r.start + r.lower, r.start + r.upper]
    low, high = min(reach), max(reach)
    scale = (PLOT - 4) / ((high - low) or 1.0)

    def x(value: float) -> float:
        return NAMES + 2 + (value - low) * scale

    height = ROW * len(rows) + 4
    out = [_line(x(0), 0, x(0), height, QUIET)]
    for i, r in enumerate(rows):
        y = ROW * i + ROW / 2 + 2
        left, right = sorted((x(r.start), x(r.start + r.length)))
        fill = BLUE if r.length >= 0 else ORANGE
        out.append(
            f'<rect x="{left:.1f}" y="{y - 5:.1f}" width="{max(right - left, 0.5):.1f}" '
            f'height="10" fill="{fill}"/>'
        )
        if r.upper > r.lower:
            ends = x(r.start + r.lower), x(r.start + r.upper)
            out.append(_line(ends[0], y, ends[1], y, "currentColor"))
            out += [_line(e, y - 3, e, y + 3, "currentColor") for e in ends]
        out.append(_text(NAMES - 6, y, r.name, "end"))
        out.append(_text(NAMES + PLOT + 8, y, r.text, "start"))
    return _svg(NAMES + PLOT + NUMBERS, height, alt, out)


def fan(
    labels: Sequence[str],
    mean: Sequence[float],
    bands: Sequence[tuple[Sequence[float], Sequence[float]]],
    alt: str,
    marks: Sequence[float] = (),
    unit: Unit | None = None,
) -> str:
    """Inline SVG: a line with bands around it, widest first, and marks of a published series."""
    values = [v for low, high in bands for v in (*low, *high)] + [*mean, *marks, 0.0]
    low, high = min(values), max(values)
    width, height, left, bottom = 420, 120, 56, 18
    n = max(len(labels) - 1, 1)

    def at(i: int, value: float) -> str:
        y = 6 + (high - value) / ((high - low) or 1.0) * (height - bottom - 12)
        return f"{left + i * (width - left - 12) / n:.1f},{y:.1f}"

    out = []
    for below, above in bands:
        ring = [at(i, v) for i, v in enumerate(above)]
        ring += [at(i, v) for i, v in reversed(list(enumerate(below)))]
        out.append(f'<polygon points="{" ".join(ring)}" fill="{BLUE}" fill-opacity="0.28"/>')
    zero = at(0, 0.0).split(",")[1]
    out.append(_line(left, float(zero), width - 12, float(zero), QUIET))
    points = " ".join(at(i, v) for i, v in enumerate(mean))
    out.append(
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.8"/>'
    )
    for i, value in enumerate(marks):
        cx, cy = at(i, value).split(",")
        out.append(f'<circle cx="{cx}" cy="{cy}" r="2.6" fill="{ORANGE}"/>')
    ends = ((0, "start"), (len(labels) - 1, "end"))
    for i, anchor in ends:
        px = float(at(i, 0.0).split(",")[0])
        out.append(_text(px, height - 7, labels[i], anchor))
    for value in (low, high):
        out.append(
            _text(
                left - 6,
                float(at(0, value).split(",")[1]) + 1,
                _plain(value, unit or THOUSANDS),
                "end",
            )
        )
    return _svg(width, height, alt, out)


def _plain(value: float, unit: Unit) -> str:
    return f"{value / unit.size:,.0f}".replace("-", "\u2212")


def _line(x0: float, y0: float, x1: float, y1: float, colour: str) -> str:
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" '
        'stroke-width="1.2"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" dominant-baseline="central" '
        f'font-size="11" fill="currentColor">{html.escape(text)}</text>'
    )


def _svg(width: int, height: int, alt: str, parts: Iterable[str]) -> str:
    label = html.escape(alt, quote=True)
    return (
        f'<svg role="img" aria-label="{label}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" style="max-width:100%;height:auto" '
        f'font-family="sans-serif">{"".join(parts)}</svg>'
    )
