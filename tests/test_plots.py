"""Figures: bars equal their tables, nothing clips or overlaps, both themes, pictures kept."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import imps
from imps import plots
from imps.errors import LabelError, SourceError
from imps.plots.style import OFFICIAL, PAPER, THEMES

PIXEL = 1.0  # boxes of text may touch the edge of the page by rounding
OVERLAP = 1.5  # pixels by which two boxes of text may share their white margins
DRAWN = 1e-6  # persons: bars are drawn from the same floats as the table
CONTRAST = 3.0  # of graphics against white, WCAG 2.2, 1.4.11


def texts_of(figure):
    """Every text that is seen, with its box in pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    found = list(figure.texts)
    axes = [*figure.axes, *(child for ax in figure.axes for child in ax.child_axes)]
    for ax in axes:
        if ax.axison:
            found += [*_ticks(ax.xaxis, ax.get_xlim()), *_ticks(ax.yaxis, ax.get_ylim())]
            found += [ax.xaxis.label, ax.yaxis.label]
        found += [*ax.texts, ax.title, ax._left_title, ax._right_title]
    shown = [t for t in found if t.get_visible() and t.get_text().strip()]
    return [(t, t.get_window_extent(renderer)) for t in shown]


def _ticks(axis, limits):
    low, high = sorted(limits)
    slack = 1e-9 * (high - low)
    out = []
    for tick in axis.get_major_ticks():
        if low - slack <= tick.get_loc() <= high + slack:
            out += [x for x in (tick.label1, tick.label2) if x.get_visible()]
    return out


def clipped(figure):
    """Texts that leave the page."""
    width, height = figure.bbox.width, figure.bbox.height
    return [
        t.get_text()
        for t, box in texts_of(figure)
        if box.x0 < -PIXEL or box.y0 < -PIXEL or box.x1 > width + PIXEL or box.y1 > height + PIXEL
    ]


def overlapping(figure):
    """Pairs of texts whose boxes overlap."""
    found = texts_of(figure)
    pairs = []
    for i, (a, x) in enumerate(found):
        for b, y in found[i + 1 :]:
            wide = min(x.x1, y.x1) - max(x.x0, y.x0)
            high = min(x.y1, y.y1) - max(x.y0, y.y0)
            if wide > OVERLAP and high > OVERLAP:
                pairs.append((a.get_text(), b.get_text()))
    return pairs


def test_the_check_of_overlaps_sees_them():
    figure = Figure(figsize=(3, 2))
    figure.text(0.5, 0.5, "one")
    figure.text(0.52, 0.5, "two")
    figure.text(0.95, 0.5, "leaves the page")
    assert overlapping(figure) == [("one", "two")]
    assert clipped(figure) == ["leaves the page"]
