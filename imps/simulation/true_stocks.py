"""What is wrong with a count of people, drawn from the priors: told again, not imported.

The story of :mod:`imps.simulation.from_priors`, which see: nothing here comes from the model.
Arrays are by (sex, age), in persons unless said.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from imps.simulation.prior_draw import PriorRow
from imps.sources import REGISTER, Stock


def coverage(
    priors: Mapping[str, PriorRow], name: str, z: np.ndarray, bell: np.ndarray
) -> np.ndarray:
    """Relative error of a stock (sex, age) but its smooth part: adults, young, children, old.

    `z` holds the level, young men, young women, children and the old. Children of up to nine
    have an error of their own and none of the level; from ten to fifteen it fades over.
    """
    z_level, z_men, z_women, z_children, z_old = z
    out = np.zeros((2, bell.size))

    def drawn(part: str, at: float) -> float:
        return priors[f"{name}_{part}"].mean + priors[f"{name}_{part}"].sd * at

    level, children, old = (
        drawn("level", z_level),
        drawn("children", z_children),
        drawn("old", z_old),
    )
    age = np.arange(bell.size)
    child = childhood(bell.size)
    aged = np.clip((age - 70) / 15, 0.0, 1.0)
    for s, (z_young, less) in enumerate(
        ((z_men, 1.0), (z_women, priors["stock_young_women"].mean))
    ):
        out[s] = level * (1 - child) + children * child + old * aged
        out[s] += less * bell * drawn("young", z_young)
    return out


def childhood(n_ages: int) -> np.ndarray:
    """One up to age nine, and fading from ten to fifteen, (age)."""
    age = np.arange(n_ages)
    return np.where(age <= 9, 1.0, np.maximum(0.0, (15 - age) / 6))


def of_single_ages(
    rng: np.random.Generator, priors: Mapping[str, PriorRow], stock: Stock
) -> np.ndarray:
    """Relative error of each age below 20, boys and girls alike, (age)."""
    out = np.zeros(stock.count.shape[1])
    if stock.with_ages and stock.quality != REGISTER:
        out[:20] = priors["stock_single_age_error"].mean * rng.standard_normal(out[:20].size)
    return out


def cell_errors(priors: Mapping[str, PriorRow], stock: Stock) -> tuple[np.ndarray, float]:
    """Standard errors of single cells, and of the error that all share as a share of them.

    Together they have the standard error that is stated for the total; a stated one that the
    cells exceed makes the cells smaller, and none stated leaves them as they are. A register
    enters people late in every cell, and its cells share nothing.
    """
    count = stock.count.values
    if stock.quality == REGISTER:
        return np.maximum(priors["register_cell_error"].mean * count, 1.0), 0.0
    least = np.maximum(np.sqrt(count), 1.0)
    out = np.maximum(priors["stock_cell_error"].mean * count, least)
    out[0, 20:36] *= priors["stock_young_men_factor"].mean
    stated, own = stock.relative_standard_error * count.sum(), float(np.sqrt((out**2).sum()))
    if stated == 0:
        return out, 0.0
    if own > stated:
        return out * (stated / own), 0.0
    return out, float(np.sqrt(stated**2 - own**2) / count.sum())


def shared_errors(
    rng: np.random.Generator, priors: Mapping[str, PriorRow], stock: Stock, *, rows: bool
) -> np.ndarray:
    """Random error that the cells of a stock share: of the total, and of ages misstated.

    `rows` says that the stock is a census, whose totals have their error in their own rows. A
    register has none.
    """
    count = stock.count.values
    if stock.quality == REGISTER:
        return 0.0 * count
    if not stock.with_ages:
        one = 0.0 if rows else stock.relative_standard_error
        return one * rng.standard_normal() * count
    out = cell_errors(priors, stock)[1] * rng.standard_normal() * count
    jump = priors["census_jump_error"].mean * np.abs(np.diff(count))[:, :-1]
    moved = jump * rng.standard_normal(jump.shape)  # nobody moves into the open group
    out[:, 1:-1] += moved
    out[:, :-2] -= moved
    return out


def misplaced_deaths(
    rng: np.random.Generator, priors: Mapping[str, PriorRow], died: np.ndarray
) -> np.ndarray:
    """Deaths that belong to a cohort and were put to its neighbour, of those died in all."""
    out = np.zeros_like(died)
    both = (died[:, :-1] + died[:, 1:]) / 2
    moved = priors["deaths_cell_error"].mean * both * rng.standard_normal(both.shape) / np.sqrt(2)
    out[:, 1:] += moved
    out[:, :-1] -= moved
    return out
