"""Two figures to look into: the gap by sex and age, and migration error on the Lexis plane.

Plain inline SVG. Every cell carries its numbers in a title, which browsers show
without any script; the script of the report only repeats them in a line below
and lets the arrow keys move.
"""

from __future__ import annotations

import html
from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

from imps.intervals import THOUSANDS, Unit, summary_table
from imps.names import AGE, CHAIN, DRAW, SEX, SOURCE, YEAR
from imps.posterior.fit import Fit
from imps.results.attribution import OF_LAST_STOCK, Attribution
from imps.results.predictive import detail_of_flows, official_net_migration
from imps.results.reconciliation import Reconciliation
from imps.sources import TOTAL
from imps.sources.definitions import PERSONS, Detail, age_said, in_detail

PEOPLE = {"male": "Men", "female": "Women", PERSONS: "Persons"}
WIDTH, LEFT, TOP, BETWEEN = 400, 34, 34, 18
ROW = 5
CLASSES = 3
"""Shades on either side of zero."""


def gap_by_age(attribution: Attribution) -> pd.DataFrame:
    """Gap, and posterior error of the roll-forward, by sex and age as published, persons.

    Returns
    -------
    DataFrame
        sex, age, last_age, ages, gap, mean, lower95, upper95; an age group by its first age and in
        words, and "persons" where no sex was published. The gap is rolled-forward minus census as
        counted, nan where that was published as a total; the error is rolled-forward minus true
        population at mid-year.
    """
    own = [s for s in attribution.contributions[SOURCE].values if s not in OF_LAST_STOCK]
    error, detail = attribution.contributions.sel({SOURCE: own}), attribution.detail
    frame = _by_cell(error.sum(SOURCE, skipna=False), detail)
    gap = in_detail(attribution.gap, detail)
    if attribution.counted == TOTAL:
        gap = gap * np.nan
    frame.insert(frame.columns.get_loc("mean"), "gap", gap.transpose(SEX, AGE).values.ravel())
    return frame


def migration_error_by_age(fit: Fit, reconciliation: Reconciliation) -> pd.DataFrame:
    """Official minus true net migration by sex, age reached and year, persons per year.

    Official is the later published series, laid out over ages by the official rule.

    Returns
    -------
    DataFrame
        sex, age, last_age, ages, year, mean, lower95, upper95; positive: the official figure
        was too high. Ages are no finer than those that flows and the last stock have in common.
    """
    official = official_net_migration(fit)
    true = reconciliation.net_migration
    coords = {d: true[d] for d in (SEX, AGE, YEAR)}
    error = xr.DataArray(official, dims=(SEX, AGE, YEAR), coords=coords) - true
    return _by_cell(error, detail_of_flows(fit.model.sources))


def _by_cell(draws: xr.DataArray, detail: Detail) -> pd.DataFrame:
    """Mean and equal-tailed 95 per cent interval of every published cell, one row each."""
    draws, open_age = in_detail(draws, detail), int(draws[AGE].values[-1])
    ordered = draws.transpose(SEX, AGE, YEAR, CHAIN, DRAW, missing_dims="ignore")
    frame = summary_table(ordered).drop(columns="sd")
    last = dict(zip(detail.lower_ages, [*(a - 1 for a in detail.lower_ages[1:]), open_age],
                    strict=True))  # fmt: skip
    frame.insert(2, "last_age", frame[AGE].map(last))
    frame.insert(3, "ages", [age_said(detail, int(a)) for a in frame[AGE]])
    return frame


def pyramid_svg(frame: pd.DataFrame, *, label: str, unit: Unit = THOUSANDS) -> str:
    """The gap by age as bars, one panel a sex, with the error of the roll-forward as lines.

    Parameters
    ----------
    frame : DataFrame
        As from :func:`gap_by_age`.
    label : str
        Text alternative.
    unit : Unit
        Of the axis.
    """
    top, sexes = int(frame["last_age"].max()), frame[SEX].unique()
    panel = (WIDTH - LEFT - BETWEEN) / sexes.size
    height = TOP + ROW * (top + 1) + 40
    low = min(0.0, float(frame[["gap", "lower95"]].min().min()))
    high = max(0.0, float(frame[["gap", "upper95"]].max().max()))
    scale = (panel - 4) / (high - low)
    parts = [_age_axis(frame)]
    for i, sex in enumerate(sexes):
        left = LEFT + i * (panel + BETWEEN)
        zero = left + 2 - low * scale
        bottom = TOP + ROW * (top + 1)
        parts.append(_text(left + panel / 2, 14, PEOPLE[sex], "name"))
        for tick in _ticks(low, high):
            x = zero + tick * scale
            parts.append(_line(x, TOP, x, bottom, "zero" if tick == 0 else "rule"))
            parts.append(_text(x, bottom + 14, _tick(tick, unit), "tick"))
        rows = frame[frame[SEX] == sex].to_dict("records")
        for row in rows:
            y = TOP + ROW * (top - row["last_age"])
            tall = ROW * (row["last_age"] - row[AGE] + 1)
            told = row["gap"] == row["gap"]
            gap = f"gap {_signed(row['gap'])} persons; " if told else ""
            says = f"{PEOPLE[sex]} {row['ages']}: {gap}error of the roll-forward {_interval(row)}"
            bar = ""
            if told:
                start, end = sorted((zero, zero + row["gap"] * scale))
                kind = "plus" if row["gap"] >= 0 else "minus"
                bar = (
                    f'<rect class="{kind}" x="{start:.1f}" y="{y + 0.5}" '
                    f'width="{end - start:.1f}" height="{tall - 1}"/>'
                )
            a, m, b = (zero + row[c] * scale for c in ("lower95", "mean", "upper95"))
            parts.append(
                f'<g class="cell"><title>{html.escape(says)}</title>'
                f'<rect class="hit" x="{left:.0f}" y="{y}" width="{panel:.0f}" height="{tall}"/>'
                f'{bar}<path class="bar" d="M{a:.1f} {y + tall / 2}H{b:.1f}"/>'
                f'<circle class="dot" cx="{m:.1f}" cy="{y + tall / 2}" r="1.3"/></g>'
            )
    parts.append(_text(WIDTH / 2, height - 4, unit.persons, "tick"))
    return _svg("".join(parts), height, 1, label)


def lexis_svg(frame: pd.DataFrame, *, label: str, said: Callable[[int], str]) -> str:
    """Age by year, one panel a sex, in shades around zero with cohort diagonals.

    Parameters
    ----------
    frame : DataFrame
        sex, year, age, mean, lower95, upper95, persons per year.
    label : str
    said : callable
        The end of a year of the account in words, such as "mid-2001".
    """
    years, sexes, top = frame[YEAR].unique(), frame[SEX].unique(), int(frame["last_age"].max())
    column = int((WIDTH - LEFT - BETWEEN) / sexes.size / years.size)
    panel = column * years.size
    bottom = TOP + ROW * (top + 1)
    height = bottom + 64
    breaks = _breaks(frame["mean"].abs().to_numpy())
    parts = [_age_axis(frame)]
    for i, sex in enumerate(sexes):
        left = LEFT + i * (panel + BETWEEN)
        parts.append(_text(left + panel / 2, 14, PEOPLE[sex], "name"))
        for k, year in enumerate(years):
            kind = {0: "first", years.size - 1: "last"}.get(k, "tick")
            if kind != "tick" or (k % 3 == 0 and k < years.size - 2):
                x = left + column * {"first": 0, "last": k + 1}.get(kind, k + 0.5)
                parts.append(_text(x, bottom + 14, f"{year}", kind))
        rows = frame[frame[SEX] == sex].sort_values([AGE, YEAR], ascending=[False, True])
        below: list[tuple[float, float, float]] = []
        for row in rows.to_dict("records"):
            x = left + column * int(np.searchsorted(years, row[YEAR]))
            y = TOP + ROW * (top - row["last_age"])
            tall = ROW * (row["last_age"] - row[AGE] + 1)
            says = f"{PEOPLE[sex]} {row['ages']}, year to {said(row[YEAR])}: {_interval(row)}"
            parts.append(
                f'<rect class="cell {_shade(row["mean"], breaks)}" x="{x}" y="{y}" '
                f'width="{column}" height="{tall}"><title>{html.escape(says)}</title></rect>'
            )
            if _shade(row["mean"], breaks)[0] == "m":
                below.append((x, y + tall / 2, column))
        parts.append(_minus(below))
        parts += [
            _line(left, y, left + panel, max(y - ROW * years.size, TOP), "cohort")
            for y in range(bottom - 10 * ROW, TOP + ROW * years.size, -20 * ROW)
        ]
    parts.append(_legend(breaks, bottom + 34))
    return _svg("".join(parts), height, years.size, label)


def extremes(frame: pd.DataFrame, to: Callable[[int], str] = str) -> str:
    """The largest cells of either sign in words, for text alternatives."""
    said = []
    for name, row in (("Highest", frame["mean"].idxmax()), ("lowest", frame["mean"].idxmin())):
        cell = frame.loc[row]
        year = f" in the year to {to(cell[YEAR])}" if YEAR in frame else ""
        where = f"{PEOPLE[cell[SEX]].lower()} {cell['ages']}{year}"
        said.append(f"{name}: {where}, {_interval(cell)}")
    return "; ".join(said) + "."


def _svg(body: str, height: float, columns: int, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" tabindex="0" '
        f'data-columns="{columns}" aria-label="{html.escape(label)}">{body}</svg>'
    )


def _age_axis(frame: pd.DataFrame) -> str:
    """Ages at every tenth year, as far as groups begin there."""
    top = int(frame["last_age"].max())
    return "".join(
        _text(LEFT - 4, TOP + ROW * (top - a) + ROW, f"{a}+" if a == last else f"{a}", "age")
        for a, last in frame[[AGE, "last_age"]].drop_duplicates().to_numpy()
        for last in (top if last == top else -1,)
        if a % 10 == 0
    )


def _legend(breaks: np.ndarray, y: float) -> str:
    """Shades from the lowest to the highest with their bounds."""
    names = [f"m{k}" for k in range(CLASSES, 0, -1)] + ["z"] + [f"p{k + 1}" for k in range(CLASSES)]
    width = 46
    left = (WIDTH - width * len(names)) / 2
    boxes = "".join(
        f'<rect class="{name}" x="{left + width * k:.0f}" y="{y:.0f}" width="{width}" height="9"/>'
        for k, name in enumerate(names)
    )
    boxes += _minus([(left + width * k, y + 4.5, width) for k in range(CLASSES)])
    bounds = [*(-b for b in breaks[::-1]), *breaks]
    return boxes + "".join(
        _text(left + width * (k + 1), y + 22, _signed(b), "tick") for k, b in enumerate(bounds)
    )


def _minus(places: list[tuple[float, float, float]]) -> str:
    """A dash in the middle of each cell below zero, so that colour is not alone; one path."""
    marks = "".join(f"M{x + 0.3 * w:.1f} {y:.1f}h{0.4 * w:.1f}" for x, y, w in places)
    return f'<path class="below" d="{marks}"/>' if marks else ""


def _breaks(sizes: np.ndarray) -> np.ndarray:
    """Three round bounds: a twentieth, a fifth and a half of the largest, roughly."""
    largest = max(float(sizes.max()), 1.0)
    return np.array([_round(largest * share) for share in (0.05, 0.2, 0.5)])


def _round(value: float) -> float:
    unit = 10.0 ** np.floor(np.log10(value))
    return float(unit * min((1, 2, 5, 10), key=lambda m: abs(m * unit - value)))


def _shade(value: float, breaks: np.ndarray) -> str:
    k = int(np.searchsorted(breaks, abs(value)))
    return "z" if k == 0 else f"{'p' if value > 0 else 'm'}{k}"


def _ticks(low: float, high: float) -> list[float]:
    step = _round((high - low) / 4)
    return [step * k for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _interval(row: dict | pd.Series) -> str:
    lower, upper = _signed(row["lower95"]), _signed(row["upper95"])
    return f"{_signed(row['mean'])} persons, 95 % interval {lower} to {upper}"


def _signed(value: float) -> str:
    return f"{value:+,.0f}".replace("-", "\u2212")


def _tick(value: float, unit: Unit) -> str:
    return "0" if value == 0 else f"{value / unit.size:+,.5g}".replace("-", "\u2212")


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{html.escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'
