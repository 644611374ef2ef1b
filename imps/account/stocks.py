"""Errors of the base, of the census and of registration, and the residual."""

from __future__ import annotations

import numpy as np

from imps.account.affine import Affine, zero
from imps.account.latents import Latents, Resolution, correlated, each_sex
from imps.demography.accounting import carry
from imps.demography.schedules import (
    small_children,
    smooth_shapes,
    very_old,
    young_adults,
)
from imps.names import SEX, SEXES, YEAR
from imps.sources import BY_SEX_AND_AGE, Sources, Stock

COVERAGE = "census_coverage"
"""Source of the gap that the error of the census is."""
COUNTED_TWICE = ("level", "children", "young", "old")
"""Parts of the error of a stock that may be correlated with those of the other."""
YOUNG_MEN = slice(20, 36)
"""Ages at which men are counted less well, 20-35."""


def stock_error(latents: Latents, name: str, count: np.ndarray, fine: Resolution) -> Affine:
    """Relative error of a stock: level, children, young adults of each sex, old, smooth.

    The level is that of all but children, whose coverage errs by itself: demographic
    analysis finds small children missed where adults are counted twice (USA 2010).
    """
    source, n_ages = COVERAGE if name == "census" else name, count.shape[1]
    women = latents.fixed("stock_young_women", name, 0.0, 10.0)
    small = count * small_children(n_ages)
    extents = {
        "level": (count - small)[..., None],
        "children": small[..., None],
        "young": each_sex((count * np.array([[1.0], [women]]) * young_adults(n_ages))[..., None]),
        "old": (count * very_old(n_ages))[..., None],
    }
    error = zero(count.shape)
    for part, extent in extents.items():
        block = f"{name}_{part}"
        mean, sd = latents.prior(block, name)
        error = error + mean * extent.sum(axis=-1)
        error = error + latents.field(block, sd * extent, source=source, prior=block)
    shapes = smooth_shapes(n_ages, fine.stock_shapes, young=5.0, old=12.0)
    smooth = each_sex(count[..., None] * shapes)
    return error + latents.field(f"{name}_age", smooth, scale=f"{name}_age", source=source)


def stated_errors(latents: Latents, stock: Stock) -> tuple[np.ndarray, float]:
    """Random error of a stock: of each cell, (sex, age) persons, and what all cells share.

    The cells have a relative error each (men aged 20-35 a larger one), at least the root of
    the count. Together with a relative error that all cells share they give the standard
    error that is stated for the total. A stated one that is smaller than theirs makes theirs
    smaller; where none is stated (zero) the cells have theirs and share nothing.
    """
    count = stock.count.values
    share = latents.fixed("stock_cell_error", stock.name, 0.0, 1.0)
    cells = np.maximum(share * count, np.sqrt(np.maximum(count, 1)))  # nobody: one
    cells[SEXES.index("male"), YOUNG_MEN] *= latents.fixed(
        "stock_young_men_factor", stock.name, 0.0, 10.0
    )
    stated, own = stock.relative_standard_error * stock.total, np.sqrt((cells**2).sum())
    if stated == 0:
        return cells, 0.0
    if stated < own:
        return cells * stated / own, 0.0
    return cells, float(np.sqrt(stated**2 - own**2) / stock.total)


def base_sampling(latents: Latents, base: Stock) -> Affine:
    """Random error of the base, (sex, age), persons: what its cells share, and each cell's own."""
    count = base.count.values
    if base.observed != BY_SEX_AND_AGE:
        shared = base.relative_standard_error * count[..., None]
        return latents.field("base_sampling", shared, source="base")
    cells, share = stated_errors(latents, base)
    own = np.diag(cells.ravel()).reshape(*count.shape, -1)
    error = latents.field("base_sampling", share * count[..., None], source="base")
    return error + latents.field("base_cells", own, source="base")


def census_sampling(latents: Latents, census: Stock) -> Affine:
    """Random error of the census that its cells share, (sex, age), persons.

    Where only totals were published, their rows have the stated error.
    """
    count = census.count.values
    if census.observed != BY_SEX_AND_AGE:
        return zero(count.shape)
    share = stated_errors(latents, census)[1]
    return latents.field("census_sampling", share * count[..., None], source="census_sampling")


def missed_twice(latents: Latents, undercount: Affine) -> Affine:
    """Undercount of the census correlated with that behind the base, as far as asked.

    With correlation c the standardised errors of level, children, young and old are
    sqrt(1 - c^2) z_census - c z_base: who was missed at the start makes the base
    too low, which is a negative error of the base.
    """
    correlation, _ = latents.prior("census_correlation", "census")
    if correlation == 0:
        return undercount
    shared = {f"census_{part}": f"base_{part}" for part in COUNTED_TWICE}
    return correlated(undercount, -correlation, shared)


def registered_births(sources: Sources) -> np.ndarray:
    """Registered births standing at age 0, (sex, age, interval), persons per year."""
    count = sources.births.count.transpose(SEX, YEAR).values
    out = np.zeros((count.shape[0], sources.ages.size, count.shape[1]))
    out[:, 0] = count
    return out


def registered_deaths(sources: Sources) -> np.ndarray:
    """Registered deaths by age reached, (sex, age, interval), persons per year."""
    return sources.deaths.count.transpose(SEX, "age", YEAR).values


def registration_error(latents: Latents, name: str, count: np.ndarray) -> Affine:
    mean, sd = latents.prior(name, name)
    return Affine(mean * count, {}) + latents.field(
        name, sd * count[..., None], source=name, prior=name
    )


def residual(latents: Latents, sources: Sources, fine: Resolution) -> Affine:
    """What no source explains: smooth over age at the end, relative to the base carried on."""
    carried = carry(sources.base.count.values, len(sources.years))
    reference = np.maximum(carried, carried.sum() / carried.size / 50)
    shapes = smooth_shapes(carried.shape[1], fine.stock_shapes, young=5.0, old=12.0)
    smooth = each_sex(reference[..., None] * shapes)
    return latents.field("residual", smooth, scale="residual", source="residual")
