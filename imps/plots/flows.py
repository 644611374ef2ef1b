"""Net migration by year, and the population of every mid-year between the censuses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imps.intervals import Z95, Unit, ends
from imps.names import AGE, CHAIN, DRAW, SEX, YEAR
from imps.plots.style import INK, SIGNED, Page, open_page, room_for_labels, styled
from imps.results.reconciliation import Reconciliation

SPACING = 1.9
"""Least distance between labels, in lines of text; a text may have two lines."""
FAN = (0.95, 0.80, 0.50)
LIKELY = 0.9
"""Probability from which a title says "likely"."""


@styled
def plot_net_migration(
    reconciliation: Reconciliation, *, ax: Axes | None = None, theme: str = "official"
) -> Figure:
    """Net migration by year: posterior fan, each source with its own bars, official series.

    The survey alone, and the survey with its administrative parts (the later official
    series), carry the survey's 95 per cent sampling error: that is all of their published
    error. The series carried at the time was published without any.

    Parameters
    ----------
    reconciliation : Reconciliation
    ax : Axes, optional
    theme : {"official", "paper"}
    """
    table = net_migration_data(reconciliation)
    page = open_page(ax, (9.2, 4.3), theme)
    ax, years, unit = page.ax, table["year"].to_numpy(float), reconciliation.words.unit
    _fan(page, years, table, unit)
    beside = _series(page, table, unit)
    span = _years(page, years, 0.56, 0.80)
    ax.set_ylabel(f"{unit.persons} a year")
    main = {"color": page.colour(0), "linewidth": 2.2, "marker": "none"}
    direct_labels(
        ax,
        years[-1] + 0.06 * span,
        [
            (
                float(table["mean"].iloc[-1]) / unit.size,
                "Posterior mean, all migration\n(bands 50, 80, 95 %)",
                main,
            ),
            *beside,
        ],
        page.font,
        key=0.055 * span,
    )
    total = reconciliation.net_migration.sum((YEAR, SEX, AGE), skipna=False).values
    low, high = ends(total)
    published = float(table["published_flows"].sum())
    said = f"{unit.between(total.mean(), low, high)} {unit.name}"
    others = "the survey, the published flows" if "survey" in table else "the published flows"
    return page.finish(
        f"Net migration was {_against(total, published)} what was published",
        f"{reconciliation.area}, {reconciliation.year_end.years}, {unit.persons}; "
        "arrivals minus departures.",
        f"All years together: {said}, 95 % interval.",
        reconciliation.words.outside_survey,
        alt=f"Fan of net migration, {years[0]:.0f} to {years[-1]:.0f}, beside {others} and those "
        f"carried in the roll-forward. All years together {said}.",
        data=table,
        verdict=reconciliation.verdict,
    )


def _series(
    page: Page, table: pd.DataFrame, unit: Unit
) -> list[tuple[float, str, dict[str, object]]]:
    """Draw the published series, each with its own bars; last value, label and look of each."""
    shown, years = table.set_index("year") / unit.size, table["year"].to_numpy(float)
    looks = {
        "survey": ("Survey alone, narrower definition\n(bars: 95 % sampling)",
                page.line(3, linestyle="none")),
        "published_flows": ("Published: survey and parts\n(bars: survey's 95 %)"
                            if "survey" in shown else "As published",
                            page.line(1, linestyle="--")),
        "carried": ("Carried in the roll-forward\n(no error published)",
                    page.line(2, marker="none")),
    }  # fmt: skip
    looks = {name: look for name, look in looks.items() if name in shown}
    bars = (("published_flows", 0.10), ("survey", -0.10)) if "survey" in shown else ()
    for column, at in bars:
        if column in shown:
            page.ax.errorbar(years + at, shown[column], yerr=Z95 * shown["survey_se"], capsize=2.2,
                             elinewidth=1.0, **looks[column][1])  # fmt: skip
    for column in ("carried",) if bars else ("published_flows", "carried"):
        if column in shown:
            page.ax.plot(years, shown[column], **looks[column][1])
    return [(float(shown[name].iloc[-1]), *look) for name, look in looks.items()]


def _against(total: np.ndarray, official: float) -> str:
    """How a posterior total stands to an official one, said only where it is likely."""
    above = float((total > official).mean())
    if above >= LIKELY:
        return "likely higher than"
    return "likely lower than" if above <= 1 - LIKELY else "in line with"


def _ended(row: pd.Series) -> str:
    if row["upper95"] < 0:
        return "too high"
    return "too low" if row["lower95"] > 0 else "within the 95 % interval of the population"


def net_migration_data(reconciliation: Reconciliation) -> pd.DataFrame:
    """Net migration by year with 50, 80 and 95 % intervals, and the published series, persons."""
    frame = _fan_data(reconciliation.net_migration.sum((SEX, AGE), skipna=False))
    published = reconciliation.published.set_index("year").loc[frame["year"]]
    for column in ("survey", "survey_se", "published_flows", "carried"):
        if column not in published:
            continue
        frame[column] = published[column].to_numpy()
    return frame


@styled
def plot_back_series(
    reconciliation: Reconciliation,
    *,
    later: pd.DataFrame | None = None,
    ax: Axes | None = None,
    theme: str = "official",
) -> Figure:
    """True population of every mid-year against the published vintages.

    Everything is drawn as a difference from the rolled-forward estimate as carried at
    the time, which is the zero line: a population of 58 million hides its own errors.

    Parameters
    ----------
    reconciliation : Reconciliation
    later : DataFrame, optional
        Later series of the case (`case.later_series`) with columns year, series, persons;
        rows whose series is "population" are summed by year and drawn.
    ax : Axes, optional
    theme : {"official", "paper"}
    """
    table = back_series_data(reconciliation, later=later)
    page = open_page(ax, (9.2, 4.1), theme)
    ax, years, unit = page.ax, table["year"].to_numpy(float), reconciliation.words.unit
    _fan(page, years, table, unit)
    shown = table.set_index("year") / unit.size
    by_cohort = page.line(2, marker="none")
    ax.plot(years, shown["cohort_apportionment"], **by_cohort)
    main = {"color": page.colour(0), "linewidth": 2.2, "marker": "none"}
    carried = {"color": "#3D3D3D", "linewidth": 0.8, "marker": "none"}
    ends = [
        (shown["mean"].iloc[-1], "Posterior mean\n(bands 50, 80, 95 %)", main),
        (shown["cohort_apportionment"].iloc[-1], "Gap taken off along cohorts\n(no error)",
         by_cohort),
        (0.0, "Rolled forward, as published\n(no error published)", carried),
    ]  # fmt: skip
    revised = shown["later_series"].dropna()
    if len(revised):
        look = page.line(1)
        ax.plot(revised.index.to_numpy(float), revised, **look)
        ends.append((revised.iloc[-1], "Official, revised since\n(no error published)", look))
    span = _years(page, years, 0.50, 0.72)
    ax.set_ylabel(unit.persons)
    direct_labels(ax, years[-1] + 0.06 * span, ends, page.font, key=0.055 * span)
    last, end = table.iloc[-1], int(reconciliation.population[YEAR].values[-1])
    said = f"{unit.between_ends(last)} {unit.name}"
    return page.finish(
        f"The roll-forward ended {_ended(last)}",
        f"{reconciliation.area}, {reconciliation.year_end.of_all_years}; {unit.persons}, "
        "each series minus the rolled-forward estimate; negative: the roll-forward was too high.",
        f"Posterior at {reconciliation.year_end.said(end)}: {said}, 95 % interval.",
        alt=f"Fan of the population at {reconciliation.year_end.of_all_years} {years[0]:.0f} to "
        f"{years[-1]:.0f} as a difference from the roll-forward, beside the published "
        f"vintages. At the end {said}.",
        data=table,
        verdict=reconciliation.verdict,
    )


def back_series_data(
    reconciliation: Reconciliation, *, later: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Each series minus the rolled-forward estimate as carried then, by mid-year, persons.

    Returns
    -------
    DataFrame
        year as it is said (the end of 2020 is 1 January 2021), mean, the ends of the 50, 80 and
        95 % intervals, cohort_apportionment and later_series (missing where none was published),
        and rolled_forward itself.
    """
    frame = _fan_data(reconciliation.population.sum((SEX, AGE), skipna=False))
    apart = reconciliation.population_by_year()
    carried = apart["rolled_forward"].to_numpy()
    drawn = [c for c in frame if c != "year"]
    frame[drawn] = frame[drawn].sub(carried, axis=0)
    frame["cohort_apportionment"] = apart["cohort_apportionment"].to_numpy() - carried
    frame["later_series"] = np.nan
    if later is not None and len(later):
        people = later[later["series"] == "population"].groupby("year")["persons"].sum()
        frame["later_series"] = people.reindex(frame["year"]).to_numpy(float) - carried
    frame["rolled_forward"] = carried
    return frame.assign(year=frame["year"].map(reconciliation.year_end.shown))


def _fan_data(draws: xr.DataArray) -> pd.DataFrame:
    """Mean and the ends of each interval of the fan by year."""
    values = draws.transpose(YEAR, CHAIN, DRAW).values
    values = values.reshape(values.shape[0], -1)
    columns: dict[str, np.ndarray] = {"year": draws[YEAR].values, "mean": values.mean(axis=1)}
    for prob in FAN:
        lower, upper = ends(values, prob, axis=1)
        columns[f"lower{prob * 100:.0f}"], columns[f"upper{prob * 100:.0f}"] = lower, upper
    return pd.DataFrame(columns)


def _years(page: Page, years: np.ndarray, official: float, paper: float) -> float:
    """Years along the axis with room for labels; returns the number of years."""
    span = float(years[-1] - years[0])
    right = years[-1] + (official if page.wide else paper) * span
    room_for_labels(page.ax, years[0] - 0.3, years[-1] + 0.3, right, zero=True)
    page.ax.set_xticks(years, [f"{y:.0f}" for y in years], rotation=0 if page.wide else 90)
    page.ax.yaxis.set_major_formatter(SIGNED)
    return span


def _fan(page: Page, years: np.ndarray, table: Mapping[str, pd.Series], unit: Unit) -> None:
    """Bands of the intervals, darkest in the middle, and the mean."""
    for prob, colour in zip(FAN, page.theme.bands, strict=True):
        level = f"{prob * 100:.0f}"
        low, high = (table[f"{end}{level}"] / unit.size for end in ("lower", "upper"))
        page.ax.fill_between(years, low, high, color=colour, linewidth=0, gid=f"fan:{level}")
    page.ax.plot(years, table["mean"] / unit.size, color=page.colour(0), linewidth=2.2)


def direct_labels(
    ax: Axes,
    x: float,
    ends: Iterable[tuple[float, str, dict[str, Any]]],
    font: float,
    *,
    key: float,
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
    """
    low, high = ax.get_ylim()
    height = ax.figure.get_size_inches()[1] * 0.75  # type: ignore[union-attr]
    line = (high - low) * font / 72 / height
    places = sorted(ends, key=lambda end: end[0])
    at = low - line
    found: list[float] = []
    for value, text, _ in places:
        at = max(value, at + line * SPACING * (1 + text.count("\n")) / 1.5)
        found.append(at)
    shift = max(0.0, found[-1] - (high - 0.6 * line))
    for y, (_, text, style) in zip(found, places, strict=True):
        ax.plot([x, x + key / 2, x + key], [y - shift] * 3, clip_on=False, markevery=[1], **style)
        ax.text(x + 1.25 * key, y - shift, text, color=INK, fontsize=font - 0.5, va="center")
