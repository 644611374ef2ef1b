"""Doubts about figures of one table: cells, years, copies, figures in the wrong places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from types import MappingProxyType
from typing import Final

import numpy as np

from imps.names import FLOWS, SEXES
from imps.project.cohorts import (
    OLDER,
    events_of,
    neighbours,
    predictions,
    stocks_in_order,
)
from imps.project.sections import Account
from imps.reading.plausibility import (
    Cells,
    along_cohorts,
    beside,
    cells_of,
    doubt,
    exchanged_pairs,
    identical_years,
    limit,
    rearranged,
    root_deviance,
    unlikely_cells,
    unlikely_years,
    usual_deviance,
)
from imps.reading.rearrangements import ARRANGEMENTS
from imps.reading.survey_checks import SURVEYS
from imps.reading.table import Table, of_kinds

USUAL_CHANGES: Final = MappingProxyType(
    {
        "population": 0.04, "population_totals": 0.01, "births": 0.04, "deaths": 0.05,
        "vital_totals": 0.05, "survey_flows": 0.12, "survey_totals": 0.12,
        "total_migration": 0.12, "administrative_flows": 0.15, "flow_schedule": 0.15,
        "stocks": 0.08, "born_before": 0.04, "streams": 0.12,
    }
)  # fmt: skip
"""Relative change from year to year, one standard deviation, that no one wonders at.

Of England and Wales 1991-2021: births and deaths up to 0.04 (deaths of 2020: 0.14), flows of
the survey up to 0.3 in one year. The spread of a table itself counts where it is larger.
"""

USUAL_IN_COHORTS: Final = 0.02
"""Relative deviation of a cohort between two stocks from the smooth migration of its ages."""

YEAR_LIMIT: Final = 5.0
"""Deviations from which the total of a year is doubted: few years tell little of their spread."""

REARRANGED: Final = 30.0
"""Units of deviance by which other places for the figures of a year have to fit better."""

LEAST_IDENTICAL: Final = 40
"""Figures of two years whose equality is refused: chance does not make so many equal."""

COPIED: Final = 0.005
"""Probability of equality by chance below which two years are taken for copies."""


BAND: Final = 5
"""Single ages that are compared together with those of other years."""

LEAST_RUNNING: Final = 6
"""Years from which a series can be told from its running totals."""


@dataclass(frozen=True)
class Doubt:
    """One figure, or the figures of one year, that its neighbours contradict.

    Attributes
    ----------
    cause : str
        Code of the catalogue, with its cause.
    table : Table
    column : str
    figure : str
        As the message repeats it.
    words : str
        Where it stands, what it is and what is said elsewhere.
    size : float
        Deviations, or another measure by which the worst comes first.
    """

    cause: str
    table: Table
    column: str
    figure: str
    words: str
    size: float = 0.0


# Cells and years of one table


def _series(tables: Sequence[Table], *but: str) -> Iterator[Cells]:
    for table in tables:
        if table.kind in USUAL_CHANGES and table.kind not in but:
            yield from cells_of(table)


def cell_doubts(tables: Sequence[Table], account: Account) -> Iterator[Doubt]:
    """Each figure against the years, ages, sex and cohort beside it."""
    for cells in _series(tables, "population", "population_totals"):
        if cells.values[0].size > 1 and len(cells.years) > 1 and "net" not in cells.series:
            score, expected = unlikely_cells(
                cells, USUAL_CHANGES[cells.table.kind], _people_a_contact(cells)
            )
            yield from _worst(cells, score, expected)
    stocks = stocks_in_order(tables)
    for ages in {s.cells.ages for s in stocks}:
        alike = [s for s in stocks if s.cells.ages == ages]
        values, said = predictions(alike, events_of(tables, account))
        score, expected = doubt(values, said, by_age=True, usual=USUAL_IN_COHORTS)
        for k, stock in enumerate(alike):
            whole = np.zeros(stock.cells.values.shape)
            meant = whole.copy()
            whole[stock.at], meant[stock.at] = score[k], expected[k]
            yield from _worst(stock.cells, whole, meant, judged=score.size)


def _worst(
    cells: Cells, score: np.ndarray, expected: np.ndarray, judged: int = 0
) -> Iterator[Doubt]:
    bound = limit(judged or score.size)
    for t, s, a in zip(*np.nonzero(score > bound), strict=True):
        value, said = cells.values[t, s, a], expected[t, s, a]
        yield Doubt(
            "CELL_UNLIKELY", cells.table, cells.table.value, f"{value:,.0f}",
            f"{cells.words(t, s, a)}: {value:,.0f} beside about {said:,.0f}", score[t, s, a],
        )  # fmt: skip


def year_doubts(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """The total of each year against the other years."""
    for cells in _series(tables):
        if len(cells.years) < 4 or np.diff(cells.years).max() > 1 or "net" in cells.series:
            continue
        error = np.zeros(len(cells.years))
        errors = _beside_column(cells, "standard_error")
        if errors is not None:
            error = np.sqrt(np.nansum(errors.values**2, axis=(1, 2))) / (cells.totals + 0.5)
        score = unlikely_years(cells.totals, USUAL_CHANGES[cells.table.kind], error)
        for t in np.flatnonzero(score > YEAR_LIMIT):
            near = [
                f"{cells.years[i]}: {cells.totals[i]:,.0f}"
                for i in (t - 1, t + 1)
                if 0 <= i < len(score)
            ]
            yield Doubt(
                "YEAR_UNLIKELY", cells.table, cells.table.value, f"{cells.totals[t]:,.0f}",
                f"{cells.years[t]} {cells.series}".strip()
                + f": {cells.totals[t]:,.0f} beside {', '.join(near)}", score[t],
            )  # fmt: skip


def band_doubts(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Five ages together of each year and sex against the other years."""
    for cells in _series(tables, "population_totals"):
        if len(cells.years) < 4 or np.diff(cells.years).max() > 1 or not cells.single_ages:
            continue
        none = np.zeros(len(cells.years))
        for s in range(len(cells.sexes)):
            for a in range(0, len(cells.ages), BAND):
                sums = cells.values[:, s, a : a + BAND].sum(axis=1)
                score = unlikely_years(sums, USUAL_CHANGES[cells.table.kind], none)
                for t in map(int, np.flatnonzero(score > YEAR_LIMIT + 1)):
                    near = [f"{sums[i]:,.0f}" for i in (t - 1, t + 1) if 0 <= i < len(sums)]
                    last = cells.ages[min(a + BAND, len(cells.ages)) - 1]
                    yield Doubt(
                        "CELL_UNLIKELY", cells.table, cells.table.value, f"{sums[t]:,.0f}",
                        f"{cells.words(t, s, a)} to {last}: {sums[t]:,.0f} beside "
                        f"{' and '.join(near)} in the years beside it", score[t],
                    )  # fmt: skip


def running_totals(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Series that grow as sums since their first year do: from one year's figure, by as much."""
    for cells in _series(tables, "population", "population_totals", "stocks", "flow_schedule"):
        totals = cells.totals
        if len(totals) < LEAST_RUNNING or np.isnan(totals).any() or "net" in cells.series:
            continue
        steps = np.diff(totals, prepend=0.0)
        usual = np.median(steps)
        if usual > 0 and steps.min() > usual / 3 and steps.max() < 3 * usual:
            yield Doubt(
                "YEAR_UNLIKELY.running", cells.table, cells.table.value, f"{totals[-1]:,.0f}",
                f"{cells.series or cells.table.kind} {cells.years[0]} to {cells.years[-1]}: from "
                f"{totals[0]:,.0f} to {totals[-1]:,.0f} in steps of about {usual:,.0f}",
            )  # fmt: skip


def lost_years(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Years without a row inside a survey, whose cells then leave the likelihood."""
    for table in of_kinds(tables, *SURVEYS):
        for cells in cells_of(table):
            span = range(int(cells.years[0]), int(cells.years[-1]) + 1)
            for year in sorted(set(span) - {int(y) for y in cells.years}):
                yield Doubt("CELLS_MISSING.years", table, "year", str(year),
                            f"{year} {cells.series}".strip())  # fmt: skip


def _beside_column(cells: Cells, column: str) -> Cells | None:
    """Another column of the same series."""
    return next((c for c in cells_of(cells.table, column) if c.labels == cells.labels), None)


def _people_a_contact(cells: Cells) -> float:
    """Variance of an estimate per person of it, by its standard errors; 1 for counts."""
    errors = _beside_column(cells, "standard_error")
    if errors is None:
        return 1.0
    known = (errors.values > 0) & (cells.values > 0)
    ratio = errors.values[known] ** 2 / cells.values[known]
    return max(float(np.median(ratio)), 1.0) if ratio.size else 1.0


def copied_years(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Two years with the same figures."""
    for table in tables:
        series = list(_series([table]))
        for cells in series:
            for first, t, size, chance in identical_years(cells.values):
                if chance <= COPIED:
                    yield _copy(cells, t, str(cells.years[first]), size)
            if cells.sexes == SEXES and len(cells.years) > 1:
                yield from _sexes_copied(cells)
        for one, two in combinations(series, 2):
            if one.ages != two.ages or one.sexes != two.sexes:
                continue
            for t, u in product(range(len(one.years)), range(len(two.years))):
                if one.values[t].shape == two.values[u].shape and one.years[t] == two.years[u]:
                    pair = np.stack([one.values[t], two.values[u], np.zeros(one.values[t].shape)])
                    for _first, _t, size, chance in identical_years(pair):
                        if chance * len(one.years) <= COPIED:
                            yield _copy(two, u, f"{one.years[t]} {one.series}", size)


def _sexes_copied(cells: Cells) -> Iterator[Doubt]:
    """Years in which females repeat males; a whole table of them is told on reading it."""
    equal = (cells.values[:, 0] == cells.values[:, 1]).all(axis=1)
    for t in np.flatnonzero(equal) if not equal.all() else ():
        males = cells.values[t, 0][:, None]
        pair = np.stack([males, males, males + 1])
        for _first, _t, size, chance in identical_years(pair):
            if chance * len(cells.years) <= COPIED:
                yield _copy(cells, int(t), "males for females", size)


def _copy(cells: Cells, t: int, source: str, size: int) -> Doubt:
    may_repeat = cells.table.options.jumps == "accepted" or cells.table.kind == "flow_schedule"
    refused = size >= LEAST_IDENTICAL and not may_repeat
    year = f"{cells.years[t]} {cells.series}".strip()
    return Doubt(
        "YEARS_IDENTICAL" if refused else "YEARS_IDENTICAL.few", cells.table, "year",
        str(cells.years[t]), f"{year} repeats {source} in {size} figures",
    )  # fmt: skip


# Figures in the wrong places


def rearranged_years(tables: Sequence[Table], account: Account) -> Iterator[Doubt]:
    """Sexes exchanged or ages moved in one year, by what the other years and cohorts say."""
    for cells in _series(tables, "population", "stocks", "born_before"):
        if len(cells.years) < 3 or cells.sexes != SEXES or len(cells.ages) < 3:
            continue
        expected = beside(cells.values, 0, ends=True)
        usual = usual_deviance(cells.values, expected)
        for t in range(len(cells.years)):
            for what, move in ARRANGEMENTS.items():
                if what.startswith("ages") and not cells.single_ages:
                    continue
                gain = rearranged(cells.values[t], expected[t], move(cells.values[t]),
                                  float(usual[t]))  # fmt: skip
                if gain > REARRANGED:
                    yield _moved(cells, t, what, gain)
    stocks = stocks_in_order(tables)
    events = events_of(tables, account)
    for stock in stocks:
        before, _after = neighbours(stocks, stock)
        left = None if before is None else events.survivors(before, stock.year)
        if before is None or left is None:
            continue
        old = slice(OLDER, None)
        for what, move in ARRANGEMENTS.items():
            gain = rearranged(stock.values[:, old], left[:, old], move(stock.values)[:, old], 1.5)
            if gain > REARRANGED:
                yield _moved(stock.cells, stock.at, f"{what}, here or in {before.year}", gain)


def _moved(cells: Cells, t: int, what: str, gain: float) -> Doubt:
    year = int(cells.years[t])
    return Doubt(
        "YEAR_REARRANGED", cells.table, cells.table.value, str(year),
        f"{year} {cells.series}".strip() + f": {what}", gain,
    )  # fmt: skip


def exchanged_cells(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Figures of two neighbouring ages that fit far better exchanged."""
    for cells in _series(tables, "population", "population_totals"):
        if not cells.single_ages or len(cells.years) < 3:
            continue
        values = cells.values
        said = [beside(values, 0, ends=True), along_cohorts(values, 1), along_cohorts(values, -1)]
        gain = exchanged_pairs(values, said, USUAL_CHANGES[cells.table.kind] / 2)
        for t, s, a in zip(*np.nonzero(gain > REARRANGED), strict=True):
            one, two = values[t, s, a : a + 2]
            yield Doubt(
                "YEAR_REARRANGED", cells.table, cells.table.value, f"{one:,.0f}",
                f"{cells.words(t, s, a)} and {cells.ages[a + 1]}: {one:,.0f} and {two:,.0f} "
                "are exchanged", gain[t, s, a],
            )  # fmt: skip


def exchanged_years(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Two neighbouring years that fit far better exchanged, by the cohorts of other years."""
    for cells in _series(tables, "population", "population_totals", "stocks"):
        if not cells.single_ages or len(cells.years) < 6:
            continue
        whole = cells.values
        for t in range(len(whole) - 1):
            near = slice(max(t - 2, 0), t + 4)
            here = whole[near]
            at = np.arange(len(here))
            k = t - near.start
            at[[k, k + 1]] = k + 1, k
            before, after = (_off_cohorts(v) for v in (here, here[at]))
            gain = (before - after) * here[0].size / max(after, 1.5)
            if gain > 2 * REARRANGED:
                yield Doubt(
                    "YEAR_REARRANGED", cells.table, cells.table.value, str(cells.years[t]),
                    f"{cells.years[t]} and {cells.years[t + 1]} {cells.series}".strip()
                    + " are exchanged", gain,
                )  # fmt: skip


def _off_cohorts(values: np.ndarray) -> float:
    """Deviance per figure of years (year, sex, age) from what the year before says."""
    return float(np.nanmean(root_deviance(values, along_cohorts(values, 1)) ** 2))


def exchanged_flows(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Immigration and emigration exchanged in one year."""
    for table in of_kinds(tables, *SURVEYS, "flow_schedule", "total_migration"):
        columns = [c for c in (table.value, "contacts") if c in table.frame]
        pairs: list[list[np.ndarray]] = []
        years = None
        for column in columns:
            by_flow = {c.labels.get("flow", ""): c for c in cells_of(table, column)}
            if not set(FLOWS) <= set(by_flow):
                continue
            both = [by_flow[f] for f in FLOWS]
            if not np.array_equal(both[0].years, both[1].years) or both[0].ages != both[1].ages:
                continue
            years = both[0].years
            pairs.append([c.values.reshape(len(years), -1) for c in both])
        if years is None or len(years) < 3:
            continue
        yield from _exchanged(table, years, pairs)


def _exchanged(table: Table, years: np.ndarray, pairs: list[list[np.ndarray]]) -> Iterator[Doubt]:
    """Years in which figures, contacts or both fit the other direction better."""
    gains = np.zeros(len(years))
    for one, two in pairs:
        here, there = np.hstack([one, two]), np.hstack([two, one])
        expected = beside(here, 0, ends=True)
        usual = usual_deviance(here, expected)
        for t in range(len(years)):
            gains[t] += rearranged(here[t], expected[t], there[t],
                                   float(usual[t]))  # fmt: skip
    for k in np.flatnonzero(gains > REARRANGED / 2):
        yield Doubt(
            "YEAR_REARRANGED", table, table.value, str(years[k]),
            f"{years[k]}: immigration and emigration are exchanged", gains[k],
        )  # fmt: skip
