"""Other places that figures may belong in: sexes, ages and years in another order; and figures
that stand in a table twice, where chance does not make as many equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np

from imps.reading.divided_ages import common_unit
from imps.reading.plausibility import median_of_others, root_deviance, spread


def _ages_moved(by: int, sexes: slice, values: np.ndarray) -> np.ndarray:
    """Figures (sex, age) of some sexes so many ages up; NaN where none is left."""
    moved = np.array(values, dtype=float)
    moved[sexes] = np.roll(moved[sexes], by, axis=1)
    moved[sexes, 0 if by > 0 else -1] = np.nan
    return moved


ARRANGEMENTS: Final = MappingProxyType(
    {"the sexes are exchanged": lambda v: v[::-1]}
    | {
        f"ages{of} are a year too {what}": partial(_ages_moved, by, sexes)
        for of, sexes in (("", slice(None)), (" of males", slice(1)), (" of females", slice(1, 2)))
        for what, by in (("high", -1), ("low", 1))
    }
)
"""Other arrangements of the figures (sex, age) of one year."""


LEAST_RUN: Final = 10
"""Ages of a run that is looked at by itself."""


ORDERS: Final = MappingProxyType(
    {
        "its years fit one year later": lambda x: np.concatenate([x[:1], x[:-1]]),
        "its years fit one year earlier": lambda x: np.concatenate([x[1:], x[-1:]]),
        "its years fit in reverse order": lambda x: x[::-1],
    }
)
"""Other orders of the years of a series (year, ...); at an end the nearest stands in."""


def orders(
    years: Sequence[int] | np.ndarray,
) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """Other orders of years in words, and as a function of an array (year, ...)."""
    yield from ORDERS.items()
    for t in range(len(years) - 1):
        yield f"{years[t]} and {years[t + 1]} fit exchanged", partial(_exchanged, t)


def _exchanged(t: int, values: np.ndarray) -> np.ndarray:
    """A year and the next one exchanged."""
    return np.concatenate([values[:t], values[t : t + 2][::-1], values[t + 2 :]])


# How much better figures fit in other places


def usual_deviance(values: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Deviance per figure of the other years, for each year: their median; infinite if none."""
    flat = root_deviance(values, expected).reshape(len(values), -1) ** 2
    known = np.isfinite(flat).any(axis=1)
    each = np.full(len(flat), np.nan)
    each[known] = np.nanmean(flat[known], axis=1)
    found = median_of_others(each)
    # of a year that is not known itself, the median of all
    whole = np.median(each[known]) if known.any() else np.inf
    return np.where(np.isnan(found), np.where(known & (known.sum() == 1), np.inf, whole), found)


def rearranged(
    values: np.ndarray,
    expected: np.ndarray,
    move: Callable[[np.ndarray], np.ndarray],
    usual: float,
    *,
    runs: bool = False,
) -> float:
    """How much better other places for the figures of a year fit what the other years say.

    What is expected is an estimate: by chance alone it differs between the places by its own
    deviance. That share of their difference says nothing, and of the gain the rest is left.

    Parameters
    ----------
    values, expected : arrays of one shape, ages last
        Figures, and what is expected of them.
    move : function
        Puts figures in the other places.
    usual : float
        Deviance per figure of the other years.
    runs : bool
        Whether only the ages of one run may be changed, the one in which that fits best.

    Returns
    -------
    float
        Reduction of the deviance, in units of the dispersion that then remains; of a run, less
        what the choice among all runs may gain.
    """
    other, there = move(values), move(expected)
    known = ~np.isnan(values + expected + other + there)
    if known.sum() < 2:
        return 0.0
    changed = known & (there != expected)
    apart = float((root_deviance(there, expected)[changed] ** 2).sum())
    told = 1 - changed.sum() * max(usual, 1.5) / 1.5 / max(apart, 1e-9)
    if told <= 0:
        return 0.0
    scaled = expected * (values[known].sum() / max(expected[known].sum(), 1e-9))
    before, after = (np.where(known, root_deviance(x, scaled) ** 2, 0.0) for x in (values, other))
    before, after, known = (x.reshape(-1, x.shape[-1]).sum(axis=0) for x in (before, after, known))
    n = len(before)
    first, last = _best_run(before - after)
    judged = [(0, n, 0.0)]
    if runs and LEAST_RUN <= last - first < n:
        judged.append((first, last, 2 * np.log(n * (n + 1) / 2)))
    return max(
        told
        * float((before - after)[i:j].sum())
        / max(float(after[i:j].sum() / max(known[i:j].sum(), 1)), usual, 1.5)
        - chosen
        for i, j, chosen in judged
    )


def _best_run(gain: np.ndarray) -> tuple[int, int]:
    """First place of the run with the largest sum, and the place after its last."""
    sums = np.append(0.0, np.cumsum(gain))
    lowest = np.minimum.accumulate(sums)
    last = int((sums - lowest).argmax())
    return int(sums[: last + 1].argmin()), last


def exchanged_pairs(values: np.ndarray, predictions: list[np.ndarray], usual: float) -> np.ndarray:
    """How much better each figure and that of the next age fit if they are exchanged.

    Parameters
    ----------
    values : array (year, sex, age), persons
    predictions : list of arrays of the same shape
    usual : float
        Relative change, one standard deviation, expected beside the variation of counts.

    Returns
    -------
    array (year, sex, age - 1)
        Fall of the squared deviation of the step from age to age, in its variance, by the
        prediction that says least; 0 where nothing is predicted.
    """
    logs = np.log(values + 0.25)
    step = np.diff(logs, axis=2)
    noise = 1.5 / (values[..., 1:] + 0.25) + 1.5 / (values[..., :-1] + 0.25) + 2 * usual**2
    gains = np.full((len(predictions), *step.shape), np.nan)
    for k, said in enumerate(predictions):
        with np.errstate(divide="ignore", invalid="ignore"):
            meant = np.diff(np.log(np.where(said > 0, said, np.nan)), axis=2)
        apart = step - meant
        variance = np.maximum(noise, spread(apart, by_age=True) ** 2)
        gains[k] = (apart**2 - (step + meant) ** 2) / variance
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(gains).all(axis=0), 0.0, np.nanmin(np.where(
            np.isnan(gains), np.inf, gains), axis=0))  # fmt: skip


RUN: Final = 8
"""Figures one after the other that are looked for in other places of a table."""


def repeated_runs(
    values: np.ndarray, chance: float
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Places (year, sex, age) whose figures by age are those of another, and how many.

    Only runs of more than `RUN` figures that counts of such means would not have in two places by
    so small a chance.
    """
    n = values.shape[2] - RUN + 1
    if n < RUN:
        return
    known = np.isfinite(values)
    odds = np.maximum(4 * np.pi * values / common_unit(values) ** 2, 1.0)
    cell = np.where(known, 0.5 * np.log(odds), 0.0)
    weight = np.random.default_rng(0).uniform(size=RUN)  # runs of one sum are equal
    key, rare = (sum(w * x[..., k : k + n] for k, w in enumerate(by))
                 for x, by in ((values, weight), (cell, np.ones(RUN))))  # fmt: skip
    key = np.where(rare > np.log(max(key.size, 1) ** 2 / 2 / chance), key, np.nan)
    _, first, back = np.unique(key, return_index=True, return_inverse=True, equal_nan=False)
    last: tuple[int, ...] = ()
    for place in np.flatnonzero(first[back.ravel()] != np.arange(key.size)):
        two = tuple(int(i) for i in np.unravel_index(place, key.shape))
        one = tuple(int(i) for i in np.unravel_index(first[back.ravel()[place]], key.shape))
        if last and two[:2] == last[:2] and two[2] <= last[2] + 1:
            last = two
            continue  # goes on
        last, size = two, RUN
        (a, b), ends = (values[one[:2]], values[two[:2]]), values.shape[2]
        while max(one[2], two[2]) + size < ends and a[one[2] + size] == b[two[2] + size]:
            size += 1
        yield one, two, size


COUNTED: Final = 0.3
"""Median second difference of counts in their standard deviation, at least; 0.67 by chance."""


def straight_runs(values: np.ndarray, chance: float) -> Iterator[tuple[int, int, int, int]]:
    """Year, sex, first age and last of figures that lie on a straight line, up to rounding.

    Second differences of counts of one mean m have the variance 6 m, and are at most 1 with
    probability of about 3 / sqrt(12 pi m). Only runs that such counts would hardly have anywhere
    are told, and only where most ages are others and vary as counts do.
    """
    bend = np.abs(np.diff(values, n=2, axis=2))
    mean = (values[..., :-2] + values[..., 1:-1] + values[..., 2:]) / 3
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = -np.log(np.minimum(3 / np.sqrt(12 * np.pi * mean), 1.0))
        apart = np.where(mean > 2, bend / np.sqrt(6 * mean), np.nan)
    straight = np.where((bend <= 1.0) & (mean > 2), odds, -1e6)
    bound, known = np.log(max(values.size, 1) / chance), np.isfinite(apart).sum()
    for year, sex in np.argwhere(np.where(straight > 0, straight, 0.0).sum(axis=2) > bound):
        first, last = _best_run(straight[year, sex])
        others = np.delete(apart, slice(first, last), axis=2)
        counted = np.isfinite(others).sum() > known / 2 and np.nanmedian(others) > COUNTED
        if counted and straight[year, sex, first:last].sum() > bound:
            yield int(year), int(sex), first, last + 1


def identical_years(
    values: np.ndarray, dispersion: float = 1.0
) -> Iterator[tuple[int, int, int, float]]:
    """Pairs of years with equal figures: positions, how many, and how likely by chance.

    The chance that two counts of one mean are equal is about 1 / sqrt(4 pi mean).

    Parameters
    ----------
    values : array (year, ...), persons
    dispersion : float
        Variance of a figure per person of it, 1 of counts.
    """
    flat = values.reshape(len(values), -1)
    _, first, back = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    unit = float(common_unit(flat)) if len(first) < len(flat) else 1.0
    for t in range(len(flat)):
        start = int(first[np.ravel(back)[t]])
        figures = flat[t][flat[t] > 0]
        if start != t and figures.size:
            odds = np.maximum(4 * np.pi * figures / (dispersion * unit**2), 1.0)
            chance = float(np.exp(-0.5 * np.log(odds).sum()))
            yield start, t, figures.size, chance * len(flat) ** 2 / 2
