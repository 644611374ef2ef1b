"""Layout within what was published: of stocks and deaths unknown, of flows known and carried.

A figure that was published for age groups says nothing of the single ages within them, and
one for persons nothing of the sexes. What the account puts there errs with a stated spread,
in shapes that sum to nothing within every published cell, so that no published figure moves.

Where the roll-forward was published in every cell, a cell minus its cohort's cell a year
before, plus the cohort's deaths, is the net flow that was carried in that cell: arithmetic,
not estimation. The flows as they are laid out over ages by rule differ from it, and the
difference is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from imps.account.latents import Affine, Latents, zero
from imps.account.parts import known_changes
from imps.account.stocks import registered_births, registered_deaths
from imps.demography.accounting import along_cohorts, carry
from imps.demography.periods import mid_year_average, mid_year_interval
from imps.demography.schedules import (
    counted_at,
    migration_schedule,
    smooth_shapes,
    spreading_rule,
    within_groups,
)
from imps.names import AGE, EMIGRATION, FLOW_SIGN, SEX, SEXES, YEAR
from imps.sources import Sources
from imps.sources.definitions import AT_MOVE, Detail

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


def flows_as_laid_out(sources: Sources) -> dict[str, np.ndarray]:
    """Published flows at mid-years by the official rule, (sex, age, interval), by direction."""
    inner = [mid_year_interval(int(y)) for y in sources.years]
    out = {}
    for name, survey in sources.survey_flows.items():
        at_move = survey.ages == AT_MOVE
        groups = counted_at(survey.lower_ages.values, sources.ages.size, at_move=at_move)
        spread = spreading_rule(migration_schedule(sources.ages.size, name), groups)
        rule = mid_year_average([int(y) for y in survey.years], inner, survey.basis)
        cells = survey.estimate.values
        out[name] = np.einsum("tc,csg,sga->sat", rule, cells, spread, optimize=True)
    return out


def layout_of_carried(sources: Sources, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the official flows of a cell held beyond their layout here, (sex, age, interval).

    Where years between were not published, a cohort's difference is even over them. After
    the last published year it is the mean of those before, and what the published sexes of
    the last mid-year then lack is spread by the emigration schedule. Persons per year; it
    sums to zero in every interval, so that no total moves.
    """
    out = np.zeros(registered_deaths(sources).shape)
    laid = _laid_out(sources, parts)
    start, known = sources.first_year, _published_cells(sources)
    if len(known) > 1:
        for (before, stock), (after, later) in pairwise(known.items()):
            span = slice(before - start, after - start)
            aged = carry(stock, after - before) + along_cohorts(laid[:, :, span])
            out[:, :, span] = _evenly(later - aged, after - before)
        first, last = min(known) - start, max(known) - start
        out[:, :, last:] = out[:, :, first:last].mean(axis=2, keepdims=True)
        out -= out.mean(axis=(0, 1))
    return out + _by_sex(sources, laid + out)


def _laid_out(sources: Sources, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Births, deaths, flows and changes as they are laid out, (sex, age, interval)."""
    shape = migration_schedule(sources.ages.size, EMIGRATION)[:, :, None]
    laid = registered_births(sources) - registered_deaths(sources) + known_changes(sources)
    laid = laid + shape * sources.flows_revised_since.values
    for name, flow in flows_as_laid_out(sources).items():
        laid = laid + FLOW_SIGN[name] * flow
    return laid + sum(parts.values())


def _published_cells(sources: Sources) -> dict[int, np.ndarray]:
    """Base and roll-forward by (sex, age) of the mid-years in which they were published so."""
    cells, start = sources.rolled_forward.by_sex_and_age, sources.first_year
    if cells is None:
        return {}
    stocks = {int(y): cells.sel({YEAR: y}).transpose(SEX, AGE).values for y in cells[YEAR]}
    if sources.base.fixes_cells or len(stocks) == 1:
        stocks[start] = sources.base.count.values
    return {year: stocks[year] for year in sorted(stocks) if year <= sources.last_year}


def _evenly(lacks: np.ndarray, years: int) -> np.ndarray:
    """A difference of stocks (sex, age) shared evenly by the years its cohorts lived through.

    Cohorts that lived through all of them even out what a year would otherwise gain or lose.
    """
    ages = np.arange(lacks.shape[1])
    out = np.zeros((*lacks.shape, years))
    share = lacks / np.minimum(ages + 1, years)
    for ago in range(years):
        at = np.where(ages < ages[-1], ages - ago, ages[-1])  # who is in the open group stays
        out[:, at[at >= 0], years - 1 - ago] += share[:, at >= 0]
    through = ages.size - years
    if through <= 0:
        return out
    excess = (out.sum(axis=(0, 1)) - out.sum() / years) / (2 * through)
    for ago in range(years):
        out[:, ages[years - 1 : -1] - ago, years - 1 - ago] -= excess[years - 1 - ago]
    return out


def _by_sex(sources: Sources, laid: np.ndarray) -> np.ndarray:
    """What the published sexes of the last mid-year lack, in the years without cells."""
    out = np.zeros_like(laid)
    by_sex, cells = sources.rolled_forward.by_sex, sources.rolled_forward.by_sex_and_age
    last = sources.first_year if cells is None else int(cells[YEAR].values.max())
    open_years = sources.last_year - last
    if by_sex is None or open_years <= 0:
        return out
    shape = migration_schedule(sources.ages.size, EMIGRATION)[:, :, None]
    end = carry(sources.base.count.values, len(sources.years)) + along_cohorts(laid)
    lacks = by_sex.sel({SEX: list(SEXES)}).values - end.sum(axis=1)
    lacks = lacks - lacks.mean()  # published sums are rounded; the total stands
    own = shape / shape.sum(axis=1, keepdims=True) * lacks[:, None, None] / open_years
    out[:, :, -open_years:] = own
    return out
