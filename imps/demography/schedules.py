"""Age schedules and smooth shapes over age and time; single ages of figures for groups.

A schedule says how a flow whose total is known is spread over single years of
age; it is never data. Ages are ages reached at the end of the interval, so that
the mean age at the move is the age itself and the move falls half before and
half after the birthday.

References
----------
Fritsch and Carlson (1980), Monotone piecewise cubic interpolation, SIAM J. Numer. Anal. 17.
Rogers and Castro (1981), Model migration schedules, IIASA RR-81-30.
Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, 4.2.
Siler (1979), A competing-risk model for animal mortality, Ecology 60.
"""

from __future__ import annotations

from functools import cache

import numpy as np

YOUNG_ADULT_AGE = 28.0
YOUNG_ADULT_WIDTH = 6.0


def rogers_castro(
    age: np.ndarray,
    *,
    peak: float = 22.0,
    decline: float = 0.12,
    rise: float = 0.45,
    childhood: float = 0.012,
    childhood_decline: float = 0.10,
    labour: float = 0.06,
    level: float = 0.0005,
) -> np.ndarray:
    """Model migration schedule: childhood, labour-force peak and a constant.

    m(x) = a1 exp(-alpha1 x) + a2 exp(-alpha2 (x - mu) - exp(-lambda (x - mu))) + c,
    with mu = `peak`, alpha2 = `decline`, lambda = `rise`, a1 = `childhood`,
    alpha1 = `childhood_decline`, a2 = `labour`, c = `level`. Above age 45 the
    constant is made to fade, by 4 per cent a year of age: long-distance
    migrants without a retirement peak.
    """
    x = np.asarray(age, dtype=float)
    hump = labour * np.exp(-decline * (x - peak) - np.exp(-rise * (x - peak)))
    curve = childhood * np.exp(-childhood_decline * x) + hump + level
    return curve * np.where(x > 45, np.exp(-0.04 * (x - 45)), 1.0)


def migration_schedule(n_ages: int, flow: str) -> np.ndarray:
    """Generic shape (sex, age) of a flow, each sex summing to one half.

    Emigrants are about two years older at the peak and decline more slowly than
    immigrants; women move a little younger than men. Age 0 is halved: those born
    in the interval have been at risk for half of it.
    """
    later, slower = (2.0, 0.02) if flow == "emigration" else (0.0, 0.0)
    ages = np.arange(n_ages, dtype=float)
    rows = []
    for younger in (0.0, 0.8):
        curve = rogers_castro(ages, peak=22.0 + later - younger, decline=0.12 - slower)
        curve[0] *= 0.5
        rows.append(0.5 * curve / curve.sum())
    return np.stack(rows)


def group_matrix(lower_ages: np.ndarray, n_ages: int) -> np.ndarray:
    """Share of each age reached that is counted in each age group at the move.

    Parameters
    ----------
    lower_ages : ndarray (sex, age group)
        First age of each group; the last group is open.
    n_ages : int

    Returns
    -------
    ndarray (sex, age group, age)
        Those who reach age a moved half at age a - 1 and half at age a; those
        who reach age 0 were born in the interval; each column sums to one.
    """
    n_sex, n_group = lower_ages.shape
    out = np.zeros((n_sex, n_group, n_ages))
    for s in range(n_sex):
        group = np.searchsorted(lower_ages[s], np.arange(n_ages), side="right") - 1
        for a in range(n_ages):
            out[s, group[a], a] += 0.5
            out[s, group[max(a - 1, 0)], a] += 0.5
    return out


def counted_at(lower_ages: np.ndarray, n_ages: int, *, at_move: bool) -> np.ndarray:
    """Share of each age reached that is counted in each age group, (sex, age group, age).

    By the age at the move as in :func:`group_matrix`; else by the age reached at the end of
    the interval, which puts all of an age into one group.
    """
    if at_move:
        return group_matrix(lower_ages, n_ages)
    out = np.zeros((*lower_ages.shape, n_ages))
    for s, lower in enumerate(lower_ages):
        group = np.searchsorted(lower, np.arange(n_ages), side="right") - 1
        out[s, group, np.arange(n_ages)] = 1.0
    return out


def pull_to_groups(schedule: np.ndarray, groups: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Bend a generic schedule so that its age groups reach given totals, smoothly.

    Parameters
    ----------
    schedule : ndarray (sex, age)
        Generic shape.
    groups : ndarray (sex, age group, age)
        As from :func:`group_matrix`.
    totals : ndarray (sex, age group), persons per year
        Pooled published flow.

    Returns
    -------
    ndarray (sex, age), persons per year
        The log of the correction is linear between the centres of the groups; five
        rounds bring the groups close to their totals, and a last
        proportional step within each sex makes the totals by sex exact.
    """
    n_ages = schedule.shape[1]
    ages = np.arange(n_ages)
    out = schedule * totals.sum() / schedule.sum()
    floor = 1e-3 * totals.sum() / totals.size
    for s in range(schedule.shape[0]):
        weight = groups[s] * schedule[s]
        centre = (weight * ages).sum(axis=1) / weight.sum(axis=1)
        for _ in range(5):
            ratio = np.maximum(totals[s], floor) / np.maximum(groups[s] @ out[s], floor)
            out[s] *= np.exp(np.interp(ages, centre, np.log(ratio)))
        out[s] *= totals[s].sum() / out[s].sum()
    return out


def spreading_rule(schedule: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Official rule that spreads a published age group over single years of age.

    Returns
    -------
    ndarray (sex, age group, age)
        Within a sex and group, proportional to the generic schedule; sums to one over age.
    """
    weight = groups * schedule[:, None, :]
    return weight / weight.sum(axis=-1, keepdims=True)


def young_adults(n_ages: int) -> np.ndarray:
    """Bell over young adult ages (age,), one at age 28 and six years wide."""
    return np.exp(-0.5 * ((np.arange(n_ages) - YOUNG_ADULT_AGE) / YOUNG_ADULT_WIDTH) ** 2)


CHILD_KNOTS = (0, 5, 10, 15)
"""Ages reached between which the error of children's migration is linear; none from 20 on."""


def child_hats(n_ages: int) -> np.ndarray:
    """Hats over the ages of children, (age, knot): one at their knot, zero at its neighbours."""
    knots = np.array([*CHILD_KNOTS, CHILD_KNOTS[-1] + 5])
    ages = np.arange(n_ages)
    return np.stack([np.interp(ages, knots, row, right=0) for row in np.eye(knots.size)[:-1]], 1)


def small_children(n_ages: int) -> np.ndarray:
    """One at ages 0 to 9, falling evenly to zero at age 15, (age,)."""
    return np.clip((15 - np.arange(n_ages)) / 6, 0, 1)


def very_old(n_ages: int) -> np.ndarray:
    """Zero up to age 70, rising evenly to one at age 85, (age,)."""
    return np.clip((np.arange(n_ages) - 70) / 15, 0, 1)


def within_groups(groups: np.ndarray, reference: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Shapes of one sex whose every published group sums to nothing, (age, shape).

    Parameters
    ----------
    groups : ndarray (age group, age)
    reference : ndarray (age), not negative
        Flow of which the shapes are a share.
    shapes : ndarray (age, shape)

    Returns
    -------
    ndarray (age, shape), in the unit of `reference`
        d = m f - m G' (G m G')^-1 G m f, so that G d = 0: the least change, in shares of
        the flow, that leaves every published figure as it is.
    """
    moved = reference[:, None] * shapes
    weighted = groups * reference
    return moved - weighted.T @ np.linalg.lstsq(weighted @ groups.T, groups @ moved, rcond=None)[0]


def smooth_shapes(
    n_ages: int, n_shapes: int, *, young: float = 4.5, old: float = 14.0
) -> np.ndarray:
    """Leading smooth shapes over age, (age, shape), finer at 15-38 than elsewhere.

    Eigenfunctions of a Matern-5/2 kernel on age warped by a length scale of
    `young` years at ages 15-38 and `old` years elsewhere (shorter under 3).
    Scaled so that their squares sum to one on average over age: a coefficient
    of standard deviation s makes a pointwise standard deviation of about s.
    """
    values, vectors = _eigenfunctions(n_ages, young, old)
    order = np.argsort(-values)[:n_shapes]
    shapes = vectors[:, order] * np.sqrt(values[order])
    shapes *= np.sign(shapes.sum(axis=0) + 1e-12)
    return shapes / np.sqrt((shapes**2).sum(axis=1).mean())


@cache
def _eigenfunctions(n_ages: int, young: float, old: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenfunctions over age of the kernel of :func:`smooth_shapes`."""
    ages = np.arange(n_ages, dtype=float)
    length = np.where((ages >= 15) & (ages <= 38), young, old) * np.where(ages < 3, 0.6, 1.0)
    length = np.convolve(np.pad(length, 2, mode="edge"), np.ones(5) / 5, "valid")
    warped = np.cumsum(1 / length)
    distance = np.sqrt(5) * np.abs(warped[:, None] - warped[None])
    kernel = (1 + distance + distance**2 / 3) * np.exp(-distance)
    values, vectors = np.linalg.eigh(kernel)
    return values, vectors


def autoregressive(n: int, correlation: float) -> np.ndarray:
    """Cholesky factor of the stationary AR(1) correlation matrix over n years."""
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return np.linalg.cholesky(correlation**lag)


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
        from scipy.interpolate import PchipInterpolator

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
