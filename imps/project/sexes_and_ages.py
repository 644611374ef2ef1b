"""Doubts about males beside females, and about steps from one age to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from imps.names import SEXES
from imps.project.arithmetic import LEAST_YEARS
from imps.project.cohorts import OLDER, in_single_ages
from imps.project.doubts import YEAR_LIMIT, Doubt, series_of
from imps.project.sections import Account
from imps.reading.plausibility import Cells, cells_of, limit, unlike_others
from imps.reading.table import Table, of_kinds

SEX_RATIO_AT_BIRTH: Final = (1.055, 0.012)
"""Males per female born, and its deviation among populations: 1.03 to 1.08 (Chahnazarian 1988,
Social Biology 35); above where births are selected by sex."""

SAME_SEX_RATIO: Final = 0.025
"""Logarithm by which males per female may differ between stocks of one time."""

AS_CHILDREN: Final = 0.08
"""Logarithm by which males per female under 10 may differ from those usually born."""

SETTLED: Final = 25
"""Age from which neither deaths nor migration step from one age to the next of themselves: moves
in England and Wales step by 0.14 at most, at 35 (t of 5.1); at 19, fourfold."""

BESIDE_STEP: Final = 10
"""Single ages on either side from which a step is told."""

LEAST_BESIDE_STEP: Final = 5
"""Persons at each of these ages, of all years together, from which their logarithm is told."""

LEAST_AT_ONE: Final = 50
"""Persons aged 1, of all years together, beside whom nobody aged 0 is told: of children who move
or die more than a third are younger than those."""

SCATTER: Final = 0.02
"""Relative deviation of an age from its neighbours that no one wonders at."""

LEAST_STEP: Final = 0.15
"""Logarithm of a step that is told."""


def sexes_of_stocks(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Males per female of each stock against the stocks nearest in time."""
    found = [
        (int(cells.years[t]), cells, cells.values[t].sum(axis=1))
        for table in of_kinds(tables, "population", "population_totals")
        for cells in cells_of(table)
        if cells.sexes == SEXES
        for t in range(len(cells.years))
    ]
    ratio = np.array([np.log(max(m, 0.5) / max(f, 0.5)) for _, _, (m, f) in found])
    years = np.array([year for year, *_ in found])
    for i, (year, cells, (men, women)) in enumerate(found):
        distance = np.abs(years - year)
        order = np.argsort(distance, kind="stable")[:4]
        near = [(int(distance[j]), int(j)) for j in order if j != i][:3]
        score = [
            abs(ratio[i] - ratio[j])
            / (SAME_SEX_RATIO + 0.003 * years + 6 / np.sqrt(men + women + 1))
            for years, j in near
        ]
        if score and np.median(score) > 1:
            yield Doubt(
                "SEX_RATIO_UNLIKELY.ages", cells.table, "population", f"{men:,.0f}",
                f"{year} {cells.series}".strip() + f": {men:,.0f} males and {women:,.0f} females, "
                f"{np.exp(ratio[i]):.3f} a female beside {np.exp(ratio[near[0][1]]):.3f} in "
                f"{found[near[0][1]][0]}", float(np.median(score)),
            )  # fmt: skip


def sex_ratios(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Males per female at birth, and at ages at which women outlive men."""
    usual, sd = SEX_RATIO_AT_BIRTH
    for cells in (c for t in of_kinds(tables, "births") for c in cells_of(t)):
        if cells.sexes != SEXES:
            continue
        male, female = cells.values[:, 0, 0], cells.values[:, 1, 0]
        ratio = np.log(np.maximum(male, 0.5) / np.maximum(female, 0.5))
        score = (ratio - np.log(usual)) / np.sqrt(sd**2 + 1 / (male + 1) + 1 / (female + 1))
        bound = limit(len(ratio))
        boys, girls = male.sum(), female.sum()
        all_years = np.log(max(boys, 0.5) / max(girls, 0.5))
        together = (all_years - np.log(usual)) / np.sqrt(sd**2 + 1 / (boys + 1) + 1 / (girls + 1))
        if abs(together) > limit(1):
            yield Doubt(
                "SEX_RATIO_UNLIKELY", cells.table, "births", f"{boys:,.0f}",
                f"{cells.years[0]} to {cells.years[-1]}: {boys:,.0f} boys and {girls:,.0f} girls, "
                f"{np.exp(all_years):.3f} a girl beside about {usual}", abs(together),
            )  # fmt: skip
        for t in np.flatnonzero(np.abs(score) > bound):
            yield Doubt(
                "SEX_RATIO_UNLIKELY", cells.table, "births", f"{male[t]:,.0f}",
                f"{cells.years[t]}: {male[t]:,.0f} boys and {female[t]:,.0f} girls, "
                f"{np.exp(ratio[t]):.3f} a girl beside about {usual}", abs(score[t]),
            )  # fmt: skip
    for given in (c for t in of_kinds(tables, "population", "deaths") for c in cells_of(t)):
        by_age = in_single_ages(given)
        if by_age is None or by_age.sexes != SEXES or len(by_age.ages) < OLDER:
            continue
        yield from _old_ages(by_age)
        if by_age.table.kind == "population":
            yield from _children(by_age)


def sexes_of_years(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Males per female of deaths and streams of each year against the other years."""
    for cells in (c for t in of_kinds(tables, "deaths", "streams") for c in cells_of(t)):
        if cells.sexes != SEXES or len(cells.years) < LEAST_YEARS or "net" in cells.series:
            continue
        men, women = cells.values.sum(axis=2).T
        ratio = np.log((men + 0.5) / (women + 0.5))
        _usual, score = unlike_others(
            ratio, np.sqrt(0.02**2 + 1.5 / (men + 0.5) + 1.5 / (women + 0.5))
        )
        for t in np.flatnonzero(score > YEAR_LIMIT + 1):
            yield Doubt(
                "SEX_RATIO_UNLIKELY.ages", cells.table, cells.table.value, f"{men[t]:,.0f}",
                f"{cells.years[t]} {cells.series}".strip()
                + f": {men[t]:,.0f} of males and {women[t]:,.0f} of females, "
                f"{np.exp(ratio[t]):.3f} beside {np.exp(_usual[t]):.3f} in other years", score[t],
            )  # fmt: skip


def _children(cells: Cells) -> Iterator[Doubt]:
    """Boys per girl under 10, whom migration and mortality hardly change, beside those born."""
    boys, girls = np.nansum(cells.values[:, :, :10], axis=2).T
    apart = np.abs(np.log((boys + 0.5) / (girls + 0.5) / SEX_RATIO_AT_BIRTH[0]))
    noise = np.sqrt(1.5 / (boys + 0.5) + 1.5 / (girls + 0.5))
    for t in np.flatnonzero(apart > AS_CHILDREN + limit(len(boys)) * noise):
        yield Doubt(
            "SEX_RATIO_UNLIKELY.ages", cells.table, cells.table.value, f"{boys[t]:,.0f}",
            f"{cells.years[t]} {cells.series}".strip()
            + f": {boys[t]:,.0f} boys and {girls[t]:,.0f} girls under 10, "
            f"{(boys[t] + 0.5) / (girls[t] + 0.5):.3f} a girl beside about {SEX_RATIO_AT_BIRTH[0]}",
            apart[t] * 100,
        )  # fmt: skip


def _old_ages(cells: Cells) -> Iterator[Doubt]:
    """More men than women among the oldest, or more deaths of women than of men of 20 to 64."""
    died = cells.table.kind == "deaths"
    ages = slice(20, 65) if died else slice(min(80, len(cells.ages) - 1), None)
    more, fewer = (1, 0) if died else (0, 1)
    sums = np.nansum(cells.values[:, :, ages], axis=2)
    score = (sums[:, more] - sums[:, fewer]) / np.sqrt(sums.sum(axis=1) + 1)
    for t in np.flatnonzero(score > limit(len(score)) + 1):
        what = "deaths at 20 to 64" if died else f"people of {cells.ages[ages][0]} and over"
        men, women = sums[t]
        yield Doubt(
            "SEX_RATIO_UNLIKELY.ages", cells.table, cells.table.value, f"{sums[t, more]:,.0f}",
            f"{cells.years[t]} {cells.series}".strip()
            + f": {men:,.0f} men and {women:,.0f} women among {what}", score[t],
        )  # fmt: skip


def age_steps(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Ages at which deaths or migration of all years jump, as where a band was lost or doubled.

    Twenty ages, ten on either side, follow a cubic in logarithms and a step in their middle, in
    weighted least squares; the step is judged by the scatter that is left, at least that of counts
    and `SCATTER`. Below age `SETTLED` steps are natural: school, work, studies.
    """
    across = np.arange(-BESIDE_STEP, BESIDE_STEP) + 0.5
    powers = [(across / BESIDE_STEP) ** k for k in range(4)]
    terms = np.stack([*powers, (across > 0).astype(float)], axis=1)
    free = len(across) - terms.shape[1]
    for cells in series_of(of_kinds(tables, "deaths", "streams")):
        if not cells.single_ages or "net" in cells.series:
            continue
        counts = np.asarray(np.nansum(cells.values, axis=(0, 1)), dtype=float)
        if counts[0] == 0 and counts[1] > LEAST_AT_ONE:
            yield Doubt(
                "CELL_UNLIKELY.step", cells.table, cells.table.value, f"{counts[1]:,.0f}",
                f"{cells.series} {cells.ages[0]}".strip()
                + f" in all years: nobody, and {counts[1]:,.0f} at {cells.ages[1]}", counts[1],
            )  # fmt: skip
        for a in range(SETTLED, len(counts) - BESIDE_STEP):
            near = counts[a - BESIDE_STEP : a + BESIDE_STEP]
            if near.min() < LEAST_BESIDE_STEP:
                continue
            weight = 1 / np.sqrt(1 / near + SCATTER**2)
            logs, design = np.log(near) * weight, terms * weight[:, None]
            inverse = np.linalg.inv(design.T @ design)
            fitted = inverse @ design.T @ logs
            rest = max(1.0, float(((logs - design @ fitted) ** 2).sum()) / free)
            step, t = fitted[-1], fitted[-1] / np.sqrt(inverse[-1, -1] * rest)
            if abs(step) > LEAST_STEP and abs(t) > YEAR_LIMIT:
                ages, (low, high) = cells.ages, (near[BESIDE_STEP - 1], near[BESIDE_STEP])
                yield Doubt(
                    "CELL_UNLIKELY.step", cells.table, cells.table.value, f"{high:,.0f}",
                    f"{cells.series} {ages[a]}".strip()
                    + f" in all years: {high:,.0f} after {low:,.0f} at {ages[a - 1]}, "
                    f"{np.exp(step):.2f} times what ages below and above lead to expect", abs(t),
                )  # fmt: skip
