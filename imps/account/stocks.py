"""Errors of the base, of the census and of registration, their layout, and the residual.

A figure that was published for age groups says nothing of the single ages within them, and
one for persons nothing of the sexes. What the account puts there errs with a stated spread,
in shapes that sum to nothing within every published cell, so that no published figure moves.
"""

from __future__ import annotations

import numpy as np

from imps.account.latents import Affine, Latents, Resolution, correlated, each_sex, zero
from imps.demography.accounting import along_cohorts, carry
from imps.demography.schedules import (
    counted_at,
    small_children,
    smooth_shapes,
    very_old,
    within_groups,
    young_adults,
)
from imps.names import AGE, SEX, SEXES, YEAR
from imps.sources import REGISTER, Sources, Stock
from imps.sources.definitions import Detail

COVERAGE = "census_coverage"
"""Source of the gap that the error of the census is."""
REGISTER_CELL_ERROR = "register_cell_error"
"""Row of the table of priors that a stock from a register brings with it."""
COUNTED_TWICE = ("level", "children", "young", "old")
"""Parts of the error of a stock that may be correlated with those of the other."""
YOUNG_MEN = slice(20, 36)
"""Ages at which men are counted less well, 20-35."""
SINGLE_AGES_BELOW = 20
"""Ages below it have an error of each single age that boys and girls share."""
SHAPES = 45
"""Smooth shapes over age: finer than any group in use."""
SEX_SHAPES = 12
"""Smooth shapes of what one sex has too many and the other too few."""
FIVE_YEARS = 5
"""Width of age groups at which a spread is stated; it grows with the root of the width."""


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


def single_ages(latents: Latents, stock: Stock, name: str) -> Affine:
    """Error of each single age of the young, boys and girls alike, (sex, age), persons."""
    count, source = stock.count.values, COVERAGE if name == "census" else name
    if stock.quality == REGISTER or not stock.with_ages:
        return zero(count.shape)
    share = latents.fixed("stock_single_age_error", name, 0.0, 1.0)
    alike = share * count[..., None] * np.eye(count.shape[1])[:, :SINGLE_AGES_BELOW]
    return latents.field(f"{name}_single_ages", alike, source=source)


def random_error_of(census: Stock) -> str:
    """Source of the gap that the random error of the last stock is: a register has no sample."""
    return "register_cells" if census.quality == REGISTER else "census_sampling"


def stated_errors(latents: Latents, stock: Stock) -> tuple[np.ndarray, float]:
    """Random error of a stock: of each cell, (sex, age) persons, and what all cells share.

    The cells have a relative error each (men aged 20-35 a larger one), at least the root of
    the count. Together with a relative error that all cells share they give the standard
    error that is stated for the total. A stated one that is smaller than theirs makes theirs
    smaller; where none is stated (zero) the cells have theirs and share nothing. A register
    has late entries in its cells, and no sample.
    """
    count = stock.count.values
    if stock.quality == REGISTER:
        own_share = latents.fixed(REGISTER_CELL_ERROR, stock.name, 0.0, 1.0)
        return np.maximum(own_share * count, 1.0), 0.0
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


def stock_sampling(latents: Latents, stock: Stock, name: str, source: str) -> Affine:
    """Random error of a stock beside that of single cells, (sex, age), persons.

    An error that all cells share, with the stated standard error of the total; and people
    whose age is stated a year wrong, who move to a neighbouring cell across a jump (births
    jumped in 1919-20 and 1946-47), so that the total stands. A census of which only totals
    were published has the stated error in their rows.
    """
    count = stock.count.values
    if stock.quality == REGISTER or (not stock.with_ages and name == "census"):
        return zero(count.shape)
    detailed = stock.with_ages
    share = stated_errors(latents, stock)[1] if detailed else stock.relative_standard_error
    error = latents.field(f"{name}_sampling", share * count[..., None], source=source)
    if not detailed:
        return error
    jumps = np.abs(np.diff(count, axis=1))
    jumps[:, -1] = 0  # the open group is no neighbour
    jumps *= latents.fixed("census_jump_error", name, 0.0, 1.0)
    return error + latents.field(f"{name}_ages_misstated", _between_ages(jumps), source=source)


def base_cells(latents: Latents, base: Stock) -> Affine:
    """Random error of each cell of the base, (sex, age), persons; that of a census is its rows'."""
    count = base.count.values
    if not base.with_ages:
        return zero(count.shape)
    own = np.diag(stated_errors(latents, base)[0].ravel())
    return latents.field("base_cells", own.reshape(*count.shape, -1), source="base")


def deaths_misplaced(latents: Latents, sources: Sources) -> Affine:
    """Deaths put to the wrong one of two neighbouring cohorts, (sex, age) at the end, persons."""
    share = latents.fixed("deaths_cell_error", "deaths", 0.0, 1.0)
    if not sources.census.with_ages:
        return zero(sources.census.count.shape)
    died = share * along_cohorts(registered_deaths(sources))
    moved = np.sqrt(0.5) * 0.5 * (died[:, 1:] + died[:, :-1])  # each cell has two neighbours
    return latents.field("deaths_misplaced", _between_ages(moved), source="deaths")


def _between_ages(size: np.ndarray) -> np.ndarray:
    """Moves from each age to the next, (sex, age, move): they sum to zero over ages.

    `size` (sex, age but the last) is the standard deviation of each move, persons.
    """
    n_sex, n = size.shape
    out = np.zeros((n_sex, n + 1, n))
    at = np.arange(n)
    out[:, at + 1, at] = size
    out[:, at, at] = -size
    return each_sex(out)


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


def base_layout(latents: Latents, sources: Sources) -> Affine:
    """Base as laid out minus true within its published cells, (sex, age), persons."""
    base, n_ages = sources.base, sources.ages.size
    if not sources.base_is_laid_out:
        return zero(base.count.shape)
    sd = latents.spread("base_layout", "base")
    effect = sd * shapes_within(base.cells, base.cells.counting(n_ages), base.count.values)
    return latents.field("base_layout", effect, source="base", prior="base_layout")


def deaths_layout(latents: Latents, sources: Sources) -> Affine:
    """True minus registered deaths within published cells, (sex, age, interval), a year.

    The same in all years, relative to mean deaths.
    """
    deaths, n = sources.deaths, len(sources.years)
    mean = deaths.count.mean(YEAR).transpose(SEX, AGE).values
    if deaths.cells is None or not sources.census.with_ages:
        return zero((*mean.shape, n))
    first = np.tile(deaths.cells.lower_ages, (2, 1))
    groups = counted_at(first, mean.shape[1], at_move=deaths.at_death)
    cells = groups.transpose(1, 0, 2)
    if deaths.cells.by_sex:
        apart = groups[:, :, None, :] * np.eye(2)[:, None, :, None]
        cells = apart.reshape(-1, *mean.shape)
    sd = latents.spread("deaths_layout", "deaths")
    effect = np.repeat(sd * shapes_within(deaths.cells, cells, mean)[:, :, None], n, axis=2)
    return latents.field("deaths_layout", effect, source="deaths", prior="deaths_layout")


def shapes_within(detail: Detail, cells: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Shapes that sum to nothing in every published cell, (sex, age, shape), persons.

    Both sexes are alike (jumps of births are), and contrasts of the sexes are added where no
    sex was published. The quadratic mean of all is `reference` (sex, age) in groups five years
    wide; it grows with the root of the width.
    """
    n_ages = reference.shape[1]
    width = np.diff([*detail.lower_ages, n_ages])[_group_of(detail, n_ages)]
    fine = smooth_shapes(n_ages, min(SHAPES, n_ages), young=2.0, old=4.0)
    blocks = [] if detail.single else [(np.stack([fine, fine]), width > 1)]
    if not detail.by_sex:
        contrast = smooth_shapes(n_ages, min(SEX_SHAPES, n_ages), young=5.0, old=12.0)
        blocks.append((np.stack([contrast, -contrast]), width > 0))
    size = reference * np.sqrt(width / FIVE_YEARS)
    flat, out = cells.reshape(len(cells), -1), []
    for shapes, free in blocks:
        laid = within_groups(flat, size.ravel(), shapes.reshape(flat.shape[1], -1))
        wanted = (size[:, free] ** 2).sum()
        out.append(laid * np.sqrt(wanted / max((laid**2).sum(), 1e-300)))
    return np.concatenate(out, axis=1).reshape(*reference.shape, -1)


def _group_of(detail: Detail, n_ages: int) -> np.ndarray:
    return np.searchsorted(detail.lower_ages, np.arange(n_ages), side="right") - 1


def residual(latents: Latents, sources: Sources, fine: Resolution) -> Affine:
    """What no source explains: smooth over age at the end, relative to the base carried on."""
    carried = carry(sources.base.count.values, len(sources.years))
    reference = np.maximum(carried, carried.sum() / carried.size / 50)
    shapes = smooth_shapes(carried.shape[1], fine.stock_shapes, young=5.0, old=12.0)
    smooth = each_sex(reference[..., None] * shapes)
    return latents.field("residual", smooth, scale="residual", source="residual")
