"""How figures published for groups of ages or for persons err within them, drawn from the priors.

The story of :mod:`imps.simulation.from_priors`, which see: nothing here comes from the model.
Arrays are by (sex, age), in persons unless said.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from imps.demography.schedules import counted_at, smooth_shapes, within_groups
from imps.sources.definitions import Detail

SHAPES, SEX_SHAPES = 45, 12
"""Smooth shapes over age of both sexes alike, and of one sex against the other."""


def cells_counted(
    lower_ages: Sequence[int], n_ages: int, *, by_sex: bool, at_move: bool
) -> list[np.ndarray]:
    """Share of the events of each (sex, age reached) in each published cell, sexes outside."""
    groups = counted_at(np.array([lower_ages] * 2), n_ages, at_move=at_move)
    cells = []
    for s in range(2) if by_sex else (None,):
        for group in range(len(lower_ages)):
            cell = np.zeros((2, n_ages))
            for sex in range(2):
                if s is None or sex == s:
                    cell[sex] = groups[sex, group]
            cells.append(cell)
    return cells


def laid_out_wrongly(
    rng: np.random.Generator,
    sd: float,
    detail: Detail,
    cells: Iterable[np.ndarray],
    figures: np.ndarray,
) -> np.ndarray:
    """Error of a layout: it sums to nothing in every published cell.

    `sd` is its share of the figures in groups of five years, and grows with the root of their
    width. Ages of both sexes err alike; where no sex was published the sexes err oppositely too.
    """
    n_ages = figures.shape[1]
    width = np.zeros(n_ages)
    for low, high in itertools.pairwise((*detail.lower_ages, n_ages)):
        width[low:high] = high - low
    size = figures * np.sqrt(width / 5)
    flat = np.array([cell.ravel() for cell in cells])
    kinds = []
    if not detail.single:
        alike = smooth_shapes(n_ages, min(SHAPES, n_ages), young=2.0, old=4.0)
        kinds.append((np.concatenate([alike, alike]), size[:, width > 1]))
    if not detail.by_sex:
        apart = smooth_shapes(n_ages, min(SEX_SHAPES, n_ages), young=5.0, old=12.0)
        kinds.append((np.concatenate([apart, -apart]), size))
    error = np.zeros(figures.size)
    for shapes, free in kinds:
        laid = within_groups(flat, size.ravel(), shapes)
        laid *= np.sqrt((free**2).sum() / (laid**2).sum())
        error += sd * (laid @ rng.standard_normal(laid.shape[1]))
    return error.reshape(figures.shape)
