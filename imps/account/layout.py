"""Layout of stocks and deaths within what was published: unknown, and no bias.

A figure that was published for age groups says nothing of the single ages within them, and
one for persons nothing of the sexes. What the account puts there errs with a stated spread,
in shapes that sum to nothing within every published cell, so that no published figure moves.
"""

from __future__ import annotations

import numpy as np

from imps.account.affine import Affine, zero
from imps.account.latents import Latents
from imps.demography.schedules import counted_at, smooth_shapes, within_groups
from imps.names import AGE, SEX, YEAR
from imps.sources import Sources
from imps.sources.definitions import Detail

SHAPES = 45
"""Smooth shapes over age: finer than any group in use."""
SEX_SHAPES = 12
"""Smooth shapes of what one sex has too many and the other too few."""
FIVE_YEARS = 5
"""Width of age groups at which a spread is stated; it grows with the root of the width."""


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
