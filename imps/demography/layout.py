"""Single ages and sexes of figures that were published for groups: arithmetic, not data.

References
----------
Fritsch and Carlson (1980), Monotone piecewise cubic interpolation, SIAM J. Numer. Anal. 17.
Siler (1979), A competing-risk model for animal mortality, Ecology 60.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from imps.demography.schedules import pull_to_groups

MEN_DIE_MORE = 1.5
"""Death rate of men as a multiple of women's at one age where deaths have no sex; sexes of
low-mortality countries differ by 1.3 to 1.9 at 20-84 (Human Mortality Database)."""


def cells_of(lower_ages: tuple[int, ...], n_ages: int, *, by_sex: bool) -> np.ndarray:
    """Which (sex, age) a published cell holds, (cell, sex, age), 0 or 1.

    Cells run over sexes and age groups; where no sex was published both are in each cell.
    `lower_ages` are the first ages of the groups, the last of which is open.
    """
    group = np.searchsorted(lower_ages, np.arange(n_ages), side="right") - 1
    groups = (group == np.arange(len(lower_ages))[:, None]).astype(float)
    if not by_sex:
        return np.repeat(groups[:, None, :], 2, axis=1)
    return (groups[None, :, None, :] * np.eye(2)[:, None, :, None]).reshape(-1, 2, n_ages)


def over_single_ages(counts: np.ndarray, lower_ages: tuple[int, ...]) -> np.ndarray:
    """Counts of groups (..., group) over single ages, (..., age), persons.

    Monotone interpolation of the cumulated counts, so that every group keeps its sum and no
    age is negative. The last group is open and stays at its first age.
    """
    closed, edges = counts[..., :-1], np.array(lower_ages)
    if edges.size == edges[-1] + 1:
        return counts  # single years already
    summed = np.concatenate([np.zeros((*counts.shape[:-1], 1)), np.cumsum(closed, axis=-1)], -1)
    if edges.size == 2:
        single = np.repeat(closed / edges[1], edges[1], axis=-1)
    else:
        single = np.diff(PchipInterpolator(edges, summed, axis=-1)(np.arange(edges[-1] + 1)))
    return np.concatenate([single, counts[..., -1:]], axis=-1)


def within_cells(counts: np.ndarray, cells: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Published cells (..., cell) over (sex, age), each in proportion to `weight` (sex, age)."""
    shares = cells * np.maximum(weight, 1e-12 * weight.max())
    shares = shares / shares.sum(axis=(1, 2), keepdims=True)
    return np.einsum("...c,csa->...sa", counts, shares, optimize=True)


def generic_deaths(population: np.ndarray) -> np.ndarray:
    """Deaths (sex, age) that a population (sex, age) of low mortality would have, persons a year.

    Siler's rates .005 exp(-2.5 a) + 2e-5 exp(.1 a) for women; men die more often.
    """
    ages = np.arange(population.shape[-1])
    rate = 0.005 * np.exp(-2.5 * ages) + 2e-5 * np.exp(0.1 * ages)
    return population * np.stack([MEN_DIE_MORE * rate, rate])


def deaths_over_ages(counts: np.ndarray, cells: np.ndarray, population: np.ndarray) -> np.ndarray:
    """Deaths of published cells (year, cell) over (year, sex, age).

    The generic deaths of the population are bent smoothly to the cells, and every cell then
    keeps its sum in every year.
    """
    weight, mean = generic_deaths(population), counts.mean(axis=0)
    apart = len(cells) > 1 and not (cells[0].sum(axis=-1) > 0).all()
    if apart:
        groups = cells.reshape(2, -1, *cells.shape[1:])[[0, 1], :, [0, 1]]
        bent = pull_to_groups(weight, groups, mean.reshape(2, -1))
    else:
        whole = weight.sum(axis=0)
        bent = weight * pull_to_groups(whole[None], cells[None, :, 0], mean[None])[0] / whole
    return within_cells(counts, cells, bent)
