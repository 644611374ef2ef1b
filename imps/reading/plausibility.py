"""What the neighbours of a figure say about it: robust statistics of one table.

A figure is doubted only where all that can be said about it from elsewhere contradicts it:
the years beside it, the ages beside it, the other sex, its cohort. Each comparison is
measured against the robust spread of its own kind in the same table, at least the chance
variation of counts, so that a table as irregular as life gives no alarm of its own.

References
----------
Rousseeuw and Croux (1993), Alternatives to the median absolute deviation, JASA 88.
McCullagh and Nelder (1989), Generalized Linear Models, section 2.4: deviance residuals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.names import SEXES
from imps.reading.table import Table

FALSE_ALARM: Final = 0.002
"""Probability that a check alarms anywhere in a clean table of counts, by its normal limit."""

ROBUST: Final = 1.4826
"""Standard deviations per median absolute deviation of a normal variable."""

WINDOW: Final = 11
"""Single ages over which the spread of residuals is taken."""

SMOOTHED: Final = 9
"""Single ages, of both sexes together, over which a factor by age is smoothed."""

YOUNG: Final = 8
"""Age from which mortality changes smoothly from age to age."""

MANY_YEARS: Final = 40
"""Steps from year to year among which two do not move the median."""

EACH: Final = 3.0
"""Deviations from each prediction by itself from which all are taken together."""

FEW: Final = 3.0
"""Persons added before logarithms are taken: the mean of counts of this size is not biased."""

NEVER_ZERO: Final = 12.0
"""Persons expected from which chance makes no zero: it does once in 160,000."""

LEAST_AGES: Final = 15
"""Ages from which a table counts as one of single ages: fewer say little of each other."""


@dataclass(frozen=True)
class Cells:
    """The figures of one series of a table, laid out by year, sex and age.

    Attributes
    ----------
    table : Table
    series : str
        Source, flow and citizenship in words; empty if the table has one series.
    labels : mapping of column to text
    years : array of int
    sexes, ages : tuple of str
        One empty label where the table has none.
    values : array (year, sex, age), persons
        NaN where there is no figure.
    """

    table: Table
    series: str
    labels: dict[str, str]
    years: np.ndarray
    sexes: tuple[str, ...]
    ages: tuple[str, ...]
    values: np.ndarray

    @cached_property
    def single_ages(self) -> bool:
        """Whether ages are neighbours of each other."""
        return len(self.ages) >= LEAST_AGES and all(age.isdigit() for age in self.ages[:-1])

    @property
    def totals(self) -> np.ndarray:
        """Sum of each year; NaN where a figure is missing."""
        return np.asarray(self.values.sum(axis=(1, 2)))

    def words(self, year: int, sex: int, age: int) -> str:
        """A cell in words."""
        where = (str(self.years[year]), self.series, self.sexes[sex], self.ages[age])
        return " ".join(w for w in where if w)


def cells_of(table: Table, column: str = "") -> Iterator[Cells]:
    """The series of a table, one after the other, of its figures or of another column.

    They are laid out once a table, whoever asks for them.
    """
    made = vars(table).setdefault("_cells", {})
    column = column or table.value
    if column not in made:
        made[column] = tuple(_laid_out(table, column))
    yield from made[column]


def _laid_out(table: Table, column: str) -> Iterator[Cells]:
    frame = table.frame
    if column not in frame or frame.empty:
        return
    names = [c for c in ("area", "vintage", "source", "flow", "citizenship") if c in frame]
    ages = (
        frame["age_group"] if "age_group" in frame else frame.get("age", pd.Series("", frame.index))
    )
    label = ages.astype(str).to_numpy()
    sex = frame["sex"].to_numpy() if "sex" in frame else np.full(len(frame), "")
    first = frame["age"].to_numpy() if "age" in frame else np.zeros(len(frame))
    for key, rows in (
        frame.groupby(names, sort=False).indices.items() if names else [((), np.arange(len(frame)))]
    ):
        stated = dict(zip(names, key if isinstance(key, tuple) else (key,), strict=True))
        yield _cells(
            table, stated, frame["year"].to_numpy()[rows], sex[rows], first[rows], label[rows],
            frame[column].to_numpy(float)[rows],
        )  # fmt: skip


def _cells(
    table: Table, stated: dict[str, Any], year: Any, sex: Any, first: Any, label: Any, value: Any
) -> Cells:
    years, at = np.unique(year, return_inverse=True)
    sexes = tuple(s for s in (*SEXES, "persons", "") if s in set(sex))
    start = dict(sorted(zip(label, first, strict=True), key=lambda pair: -pair[1]))
    ages = tuple(sorted(start, key=lambda a: start[a]))
    places = [{name: k for k, name in enumerate(names)} for names in (sexes, ages)]
    of_sex, of_age = (
        [place[name] for name in names] for place, names in zip(places, (sex, label), strict=True)
    )
    values = np.full((len(years), len(sexes), len(ages)), np.nan)
    values[at, of_sex, of_age] = value
    labels = {name: str(text) for name, text in stated.items()}
    series = " ".join(text for name, text in labels.items() if name not in ("area", "vintage"))
    return Cells(table, series, labels, years.astype(int), sexes, ages, values)


# Statistics


def limit(judged: int) -> float:
    """Deviations that any of so many clean figures exceeds with probability `FALSE_ALARM`."""
    return NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * max(judged, 1)))


def root_deviance(figure: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Signed root of the Poisson deviance: standard normal if the figure is such a count."""
    safe = np.maximum(expected, 0.25)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(figure > 0, figure * np.log(figure / safe), 0.0)
    size = np.sqrt(np.maximum(2 * (logs - (figure - safe)), 0.0))
    return np.where(np.isnan(figure + expected), np.nan, np.sign(figure - safe) * size)


def spread(residual: np.ndarray, by_age: bool) -> np.ndarray:
    """Robust standard deviation of residuals (..., age).

    With single ages it is that of eleven ages together, else one for all.
    """
    size = np.abs(residual)
    if np.isnan(size).all():
        return np.full(residual.shape[-1], np.inf)
    if by_age:
        found = _windowed(size.reshape(-1, size.shape[-1]), WINDOW)
        return np.where(np.isnan(found), np.inf, ROBUST * found)
    return np.full(residual.shape[-1], ROBUST * float(np.nanmedian(size)))


def beside(values: np.ndarray, axis: int, *, ends: bool) -> np.ndarray:
    """Geometric mean of the two neighbours along an axis, nearly arithmetic of small counts.

    At the ends it is that of the nearest two, or unknown. A neighbour of zero beside one that
    chance does not make zero is doubtful itself: the other alone is the mean.
    """
    moved = np.moveaxis(values, axis, 0)
    out = np.full(moved.shape, np.nan)
    n = len(moved)
    if n > 2:
        out[1:-1] = _mean_of_two(moved[:-2], moved[2:])
        if ends:
            out[0], out[-1] = (_mean_of_two(moved[i], moved[j]) for i, j in ((1, 2), (-2, -3)))
    elif n == 2 and ends:
        out = moved[::-1]
    return np.moveaxis(out, 0, axis)


def _mean_of_two(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    mean = np.sqrt((one + FEW) * (two + FEW)) - FEW
    larger = np.maximum(one, two)
    return np.where((np.minimum(one, two) == 0) & (larger >= NEVER_ZERO), larger, mean)


def growth(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Smooth factor by age from one (..., sex, age) to the next, (..., age).

    Medians of both sexes and near ages.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = now / before
    logs = np.log(np.where((ratio > 0) & np.isfinite(ratio), ratio, np.nan))
    return np.exp(_windowed(logs, SMOOTHED))


def of_cohorts(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """What figures of the year before say of each cohort (..., sex, age).

    The cohort's figure, times the smooth factor by which figures change to those of now.
    """
    out = np.full(now.shape, np.nan)
    one, two = now[..., 1:-1], before[..., :-2]
    out[..., 1:-1] = two * growth(one, two)[..., None, :]
    return out


def along_cohorts(values: np.ndarray, step: int) -> np.ndarray:
    """What the year before (step 1) or after (step -1) says of each cohort (year, sex, age)."""
    out = np.full(values.shape, np.nan)
    if len(values) < 2:
        return out
    if step > 0:
        out[1:] = of_cohorts(values[:-1], values[1:])
    else:
        one, two = values[:-1, :, :-2], values[1:, :, 1:-1]
        out[:-1, :, :-2] = two * growth(one, two)[..., None, :]
    return out


def _windowed(values: np.ndarray, width: int) -> np.ndarray:
    """Medians by age of (..., row, age), over windows of neighbouring ages and all rows; or NaN."""
    half = width // 2
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(half, half)], constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=-1)
    stacked = np.sort(
        np.moveaxis(windows, -3, -2).reshape(*values.shape[:-2], values.shape[-1], -1)
    )
    known = np.isfinite(stacked).sum(axis=-1, keepdims=True)  # what is not known stands last
    pair = [
        np.take_along_axis(stacked, np.maximum(k, 0), -1) for k in ((known - 1) // 2, known // 2)
    ]
    return np.asarray(np.where(known > 0, (pair[0] + pair[1]) / 2, np.nan)[..., 0])


def doubt(
    values: np.ndarray,
    predictions: list[np.ndarray],
    *,
    by_age: bool,
    usual: Any,
    dispersion: float = 1.0,
    beside_all: tuple[np.ndarray, ...] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Deviations by which all neighbours of a figure contradict it, and what they say together.

    That of the prediction which contradicts it least or, where each contradicts it by `EACH`,
    of their geometric mean, which varies less by chance; nothing where predictions lie on both
    sides of the figure.

    Parameters
    ----------
    values : array (year, sex, age), persons
    predictions : list of arrays of the same shape
        NaN where nothing is predicted. A figure that fewer than one predicts is not judged.
    usual : float or array (age)
        Relative change, one standard deviation, that is at least expected beside the chance
        variation of a count and of the mean of two others.
    dispersion : float
        Variance of a figure per person of it: 1 of a count, more of an estimate.
    beside_all : tuple of arrays of the same shape
        Further predictions, which enter the mean alone.
    """
    said = np.stack([np.where(np.isfinite(p), p, np.nan) for p in (*predictions, *beside_all)])
    known = ~np.isnan(said)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.where(known, np.log(np.maximum(said, 0) + FEW), 0.0).sum(axis=0)
        meant = np.exp(logs / known.sum(axis=0)) - FEW
    noise = np.where(known.sum(axis=0) > 1, 1.2, 1.5)
    together = _deviations(values, meant, noise * dispersion, by_age, usual)
    single = np.stack([
        _deviations(values, p, 1.5 * dispersion, by_age, usual) for p in said[: len(predictions)]
    ])  # fmt: skip
    size = np.where(np.isnan(single), np.inf, np.abs(single)).min(axis=0)
    # Neighbours that contradict each other do not agree on what the figure should be.
    signs = np.where(known, np.sign(values - said), 0)
    agreed = np.abs(signs.sum(axis=0)) == known.sum(axis=0)
    judged = agreed & np.isfinite(size)
    together = np.where(size > EACH, np.nan_to_num(np.abs(together)), 0.0)
    return np.where(judged, np.maximum(size, together), 0.0), meant


def _deviations(
    values: np.ndarray, expected: np.ndarray, noise: Any, by_age: bool, usual: Any
) -> np.ndarray:
    """Root deviances in their robust spread, which chance and usual change bound from below."""
    residual = root_deviance(values, expected)
    least = np.sqrt(noise + usual**2 * np.maximum(expected, 0))
    return np.asarray(residual / np.maximum(spread(residual, by_age), least))


def of_other_years(values: np.ndarray) -> np.ndarray:
    """Mean of the other years of each cell, at the level of the year's neighbouring ages."""
    total = np.nansum(values, axis=0)
    others = (total - np.nan_to_num(values)) / max(len(values) - 1, 1)
    half = SMOOTHED // 2
    around = [np.lib.stride_tricks.sliding_window_view(
        np.pad(np.nan_to_num(x), ((0, 0), (0, 0), (half, half))), SMOOTHED, axis=2
    ).sum(axis=3) - np.nan_to_num(x) for x in (values, others)]  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(others * around[0] / around[1])


# Checks of one series


def unlikely_cells(
    cells: Cells, usual: float, dispersion: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Each figure against the years and, with single ages, the ages and the cohort beside it."""
    values = cells.values
    predictions = [beside(values, 0, ends=True)]
    levels: tuple[np.ndarray, ...] = ()
    least: Any = usual
    if cells.single_ages:
        # so many cells tell their own spread, but where windows of ages end at the open group
        least = np.full(values.shape[2], usual / 2)
        least[-SMOOTHED:] = usual
        by_age = beside(values, 2, ends=False)
        by_age[..., -2:] = np.nan  # the open group is no neighbour
        cohorts = [along_cohorts(values, 1), along_cohorts(values, -1)]
        predictions += [by_age, *cohorts]
        levels = (of_other_years(values),)
        levels[0][..., -1] = np.nan
        if cells.table.kind == "deaths":  # mortality falls too steeply there from age to age
            least[:YOUNG] = usual
            for said in (*predictions[1:], *levels):
                said[..., :YOUNG] = np.nan
            others = (values.sum(axis=0) - values) / max(len(values) - 1, 1)
            by_age[..., :YOUNG] = others[..., :YOUNG]
    return doubt(values, predictions, by_age=cells.single_ages, usual=least,
                 dispersion=dispersion, beside_all=levels)  # fmt: skip


def unlikely_years(totals: np.ndarray, least: float, error: np.ndarray) -> np.ndarray:
    """Deviations of the total of each year from the years beside it and from all others.

    Parameters
    ----------
    totals : array (year, series), persons
    least : float
        Relative change from year to year that no one wonders at.
    error : array (year, series)
        Relative standard errors of the totals.

    Returns
    -------
    array (year, series)
        0 where a total is unknown, or where the two disagree.
    """
    logs = np.log(totals + 0.5)
    steps = np.abs(np.diff(logs, axis=0))
    whole = _medians(steps)
    apart = logs - np.apply_along_axis(median_of_others, 0, logs)
    near = np.concatenate([logs[1:2], (logs[:-2] + logs[2:]) / 2, logs[-2:-1]])
    beside_it = logs - near
    out = np.zeros(logs.shape)
    for t in range(len(logs)):
        usual = whole
        if len(steps) <= MANY_YEARS:  # the steps to and from a year say nothing of the others
            usual = _medians(np.delete(steps, [i for i in (t - 1, t) if 0 <= i < len(steps)], 0))
        noise = np.hypot(error[t], np.exp(-near[t] / 2))
        scale = np.sqrt(np.maximum(least**2 + 1.5 * noise**2, (0.9 * ROBUST * usual) ** 2))
        out[t] = np.minimum(np.abs(beside_it[t]), np.abs(apart[t])) / scale
        # few people, or none, are less odd than their logarithm
        expected = np.exp(near[t])
        variance = 1.5 * (1 + error[t] ** 2 * expected) + least**2 * expected
        counted = np.abs(root_deviance(totals[t], expected)) / np.sqrt(variance)
        out[t] = np.minimum(out[t], counted)
    alike = np.sign(beside_it) == np.sign(apart)
    return np.where(alike & np.isfinite(out), out, 0.0)


def unlikely_steps(totals: np.ndarray, least: float, error: np.ndarray) -> np.ndarray:
    """Deviations of the change to each year (year) from the other changes; 0 for the first."""
    logs = np.log(totals + 0.5)
    steps = np.diff(logs)
    others = np.stack([np.delete(np.abs(steps), t) for t in range(len(steps))])
    noise = error**2 + 1 / (totals + 0.5)
    scale = np.sqrt(np.maximum(
        least**2 + 1.5 * (noise[1:] + noise[:-1]),
        (0.9 * ROBUST * _medians(others.T)) ** 2,
    ))  # fmt: skip
    return np.nan_to_num(np.append(0.0, np.abs(steps) / scale))


def _medians(steps: np.ndarray) -> np.ndarray:
    """Medians of the known steps of each series; 0 where none is known."""
    known = np.isfinite(steps).any(axis=0) if len(steps) else np.zeros(steps.shape[1:], bool)
    out = np.zeros(steps.shape[1:])
    out[known] = np.nanmedian(steps[:, known], axis=0)
    return out


def median_of_others(values: np.ndarray) -> np.ndarray:
    """Median of all other known values, for each; NaN where it or all others are unknown."""
    out = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    n = len(known) - 1
    if n < 1:
        return out
    order = known[np.argsort(values[known], kind="stable")]
    ranked = values[order]
    place = np.arange(n + 1)
    low, high = (n - 1) // 2, n // 2  # of the n others; those from the removed place on move up
    out[order] = (ranked[low + (low >= place)] + ranked[high + (high >= place)]) / 2
    return out


def unlike_others(left: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median of the other years for each year, and its robust deviations from it."""
    years = range(len(left))
    usual = np.array([np.median(np.delete(left, t)) for t in years])
    apart = left - usual
    scale = np.array([ROBUST * np.median(np.abs(np.delete(apart, t))) for t in years])
    return usual, np.abs(apart) / np.maximum(np.maximum(scale, least), 1e-9)
