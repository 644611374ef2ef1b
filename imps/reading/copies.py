"""Figures that stand in a table twice, where chance does not make as many equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

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
    unit = np.gcd.reduce(np.round(values[known]).astype(np.int64)) if known.any() else 0
    odds = np.maximum(4 * np.pi * values / max(unit, 1) ** 2, 1.0)
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


def identical_years(values: np.ndarray) -> Iterator[tuple[int, int, int, float]]:
    """Pairs of years with equal figures: positions, how many, and how likely by chance.

    The chance that two counts of one mean are equal is about 1 / sqrt(4 pi mean).
    """
    flat = values.reshape(len(values), -1)
    _, first, back = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    if len(first) == 1 and len(flat) > 2:
        return  # every year is the same: a schedule, not a copy
    for t in range(len(flat)):
        start = int(first[np.ravel(back)[t]])
        figures = flat[t][flat[t] > 0]
        if start != t and figures.size:
            chance = float(-0.5 * np.log(np.maximum(4 * np.pi * figures, 1.0)).sum())
            yield start, t, figures.size, float(np.exp(chance)) * len(flat) ** 2 / 2
