"""Doubts about figures of one table: cells, years, copies, figures in the wrong places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Final

import numpy as np

from imps.names import SEXES
from imps.project.cohorts import (
    events_of,
    predictions,
    stocks_in_order,
)
from imps.project.sections import Account
from imps.reading.divided_ages import even_groups
from imps.reading.options import CALENDAR_YEAR
from imps.reading.plausibility import (
    Cells,
    cells_of,
    doubt,
    limit,
    unlikely_cells,
    unlikely_steps,
    unlikely_years,
)
from imps.reading.rearrangements import (
    RUN,
    identical_years,
    repeated_runs,
    straight_runs,
)
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

LEAST_IDENTICAL: Final = 40
"""Figures of two years whose equality is refused: chance does not make so many equal."""

SCHEDULES: Final = ("flow_schedule", "deaths")
"""Kinds whose years may all be the same: flows laid out by one rule, deaths of one life table."""

COPIED: Final = 0.005
"""Probability of equality by chance below which two years are taken for copies."""


BANDS: Final = (4, 10, 20)
"""Single ages that are compared together with those of other years."""

ROUNDED: Final = 1e-4
"""Probability by chance below which the figures of a year are taken for rounded."""

COARSE: Final = 0.2
"""Unit of rounding beside a usual figure from which it is felt: an error of 6 per cent of it."""

LEAST_ROUNDED: Final = 5
"""Figures that chance does not make multiples of ten or more: it does once in 100,000 times."""

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


def series_of(tables: Sequence[Table], *but: str) -> Iterator[Cells]:
    for table in tables:
        if table.kind in USUAL_CHANGES and table.kind not in but:
            yield from cells_of(table)


def cell_doubts(tables: Sequence[Table], account: Account) -> Iterator[Doubt]:
    """Each figure against the years, ages, sex and cohort beside it."""
    for cells in series_of(tables, "population", "population_totals"):
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
    for cells in series_of(tables):
        if len(cells.years) < 3 or np.diff(cells.years).max() > 1 or "net" in cells.series:
            continue
        error = np.zeros(len(cells.years))
        errors = _beside_column(cells, "standard_error")
        if errors is not None:
            error = np.sqrt(np.nansum(errors.values**2, axis=(1, 2))) / (cells.totals + 0.5)
        score = unlikely_years(
            cells.totals[:, None], USUAL_CHANGES[cells.table.kind], error[:, None]
        )[:, 0]
        odd = np.flatnonzero(score > YEAR_LIMIT)
        if not odd.size:  # no year by itself: a level that holds from one year on
            score = unlikely_steps(cells.totals, USUAL_CHANGES[cells.table.kind], error)
            odd = np.flatnonzero(score > YEAR_LIMIT)
        for t in odd:
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
    """Neighbouring ages together, of one sex or both, of each year against the other years."""
    for cells in series_of(tables, "population_totals"):
        if len(cells.years) < 3 or np.diff(cells.years).max() > 1 or not cells.single_ages:
            continue
        bands, sums = _bands(cells)
        score = unlikely_years(sums, USUAL_CHANGES[cells.table.kind], np.zeros(sums.shape))
        bound = max(YEAR_LIMIT, limit(score.size))
        for t in np.flatnonzero((score > bound).any(axis=1)):
            k = int(score[t].argmax())
            (sex, first, last), total = bands[k], sums[:, k]
            near = [f"{total[i]:,.0f}" for i in (t - 1, t + 1) if 0 <= i < len(total)]
            yield Doubt(
                "CELL_UNLIKELY", cells.table, cells.table.value, f"{total[t]:,.0f}",
                " ".join(w for w in (str(cells.years[t]), cells.series, sex, first) if w)
                + f" to {last}: {total[t]:,.0f} beside {' and '.join(near)} in the years beside it",
                score[t, k],
            )  # fmt: skip


def _bands(cells: Cells) -> tuple[list[tuple[str, str, str]], np.ndarray]:
    """Sexes, first and last ages of overlapping bands, and their sums (year, band), persons."""
    values, sexes = cells.values, list(cells.sexes)
    if cells.sexes == SEXES:
        values = np.concatenate([values, values.sum(axis=1, keepdims=True)], axis=1)
        sexes.append("persons")
    running = np.concatenate([np.zeros((*values.shape[:2], 1)), values.cumsum(axis=2)], axis=2)
    n = values.shape[2]
    names, sums = [], []
    for size in BANDS:
        for low in range(0, n - size // 2, size // 2):
            high = min(low + size, n)
            names += [(sex, cells.ages[low], cells.ages[high - 1]) for sex in sexes]
            sums.append(running[..., high] - running[..., low])
    together = np.concatenate(sums, axis=1)
    known = np.isfinite(together).all(axis=0)
    return [name for name, k in zip(names, known, strict=True) if k], together[:, known]


def divided_ages(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Single ages that are groups divided evenly, or lie on a straight line between two figures."""
    for cells in series_of(tables, "flow_schedule", "population_totals"):
        if not cells.single_ages:
            continue
        for t, year in enumerate(cells.years):
            if even_groups(cells.values[t : t + 1], COPIED / len(cells.years)):
                yield Doubt(
                    "CELL_UNLIKELY.divided", cells.table, cells.table.value, str(year),
                    f"{year} {cells.series}".strip() + ": equal within groups of five ages", 1e3,
                )  # fmt: skip
        for t, s, first, last in straight_runs(cells.values, COPIED / 10):
            low, high = cells.values[t, s, [first, last]]
            yield Doubt(
                "CELL_UNLIKELY.divided", cells.table, cells.table.value, f"{low:,.0f}",
                f"{cells.words(t, s, first)} to {cells.ages[last]}: from {low:,.0f} to "
                f"{high:,.0f} in equal steps", last - first,
            )  # fmt: skip


def rounded_years(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Years whose figures are all whole thousands, or the like, where those of others are not."""
    for cells in series_of(tables):
        flat = cells.values.reshape(len(cells.years), -1)
        units = np.array([_unit(figures) for figures in flat])
        known = flat[np.isfinite(flat) & (flat > 0)]
        whole = _unit(known)
        if (
            known.size >= LEAST_ROUNDED
            and whole > COARSE * np.median(known)
            and whole > (cells.table.options.rounding or 1)
        ):
            yield Doubt(
                "YEAR_UNLIKELY.rounded", cells.table, cells.table.value, f"{whole:,.0f}",
                f"{cells.years[0]} to {cells.years[-1]} {cells.series}".strip()
                + f": all {known.size} figures are multiples of {whole:,.0f}, half of them of no "
                f"more than {np.median(known):,.0f}", whole,
            )  # fmt: skip
            continue
        for t in np.flatnonzero(units > 1):
            others = np.delete(units, t)
            usual = np.median(others) if others.size else np.inf
            figures = int((flat[t] > 0).sum())
            if len(others) < 2 or (usual / units[t]) ** figures * len(units) > ROUNDED:
                continue
            yield Doubt(
                "YEAR_UNLIKELY.rounded", cells.table, cells.table.value, f"{units[t]:,.0f}",
                f"{cells.years[t]} {cells.series}".strip()
                + f": {figures} multiples of {units[t]:,.0f} beside multiples of {usual:,.0f}",
                units[t] / usual,
            )  # fmt: skip


def _unit(figures: np.ndarray) -> float:
    """The largest power of ten, up to a million, of which all figures are multiples."""
    known = figures[np.isfinite(figures) & (figures != 0)]
    if not known.size:
        return 1.0
    return next((u for u in 10.0 ** np.arange(6, 0, -1) if not (known % u).any()), 1.0)


def running_totals(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Series that grow as sums since their first year do: from one year's figure, by as much."""
    for cells in series_of(tables, "population", "population_totals", "stocks", "flow_schedule"):
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


def lost_years(tables: Sequence[Table], account: Account) -> Iterator[Doubt]:
    """Years without a row in a survey, or inside yearly stocks: nothing is known of them."""
    for table in of_kinds(tables, *SURVEYS, "population", "population_totals"):
        for cells in cells_of(table):
            first, last = int(cells.years[0]), int(cells.years[-1])
            if table.kind not in SURVEYS:
                if len(cells.years) < 4 or np.median(np.diff(cells.years)) > 1:
                    continue  # stocks of a few dates
            elif account.first_mid_year and account.last_mid_year:
                lead = 0 if table.metadata.get("period") == CALENDAR_YEAR else 1
                first, last = account.first_mid_year + lead, account.last_mid_year
            for year in sorted(set(range(first, last + 1)) - {int(y) for y in cells.years}):
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
        series = list(series_of([table]))
        for cells in series:
            spread = _people_a_contact(cells)
            same = [f for f in identical_years(cells.values, spread) if f[3] <= COPIED]
            if table.kind in SCHEDULES and 1 < len(same) == len(cells.years) - 1:
                continue  # one schedule for all years
            firsts = [first for first, *_ in same]
            for first, t, size, _chance in same:
                once = firsts.count(first) == 1  # more of them are a schedule given as figures
                yield _copy(cells, t, str(cells.years[first]), size, whole=once)
            if cells.sexes == SEXES and len(cells.years) > 1:
                yield from _sexes_copied(cells)
                if len(cells.ages) < 2 * RUN:  # longer runs are looked at by themselves
                    told = {t for _, t, *_ in same}
                    yield from _copied_for_a_sex(cells, spread, told)
            if table.options.jumps != "accepted" and table.kind != "flow_schedule":
                yield from _runs_copied(cells)
        for one, two in combinations(series, 2):
            if one.ages != two.ages or one.sexes != two.sexes:
                continue
            for t, u in zip(*np.nonzero(one.years[:, None] == two.years), strict=True):
                if not np.array_equal(one.values[t], two.values[u]):
                    continue
                pair = np.stack([one.values[t], two.values[u], one.values[t] + 1])
                for _first, _t, size, chance in identical_years(pair):
                    if chance * len(one.years) <= COPIED:
                        yield _copy(two, u, f"{one.years[t]} {one.series}", size)


def _copied_for_a_sex(cells: Cells, spread: float, told: set[int]) -> Iterator[Doubt]:
    """Years in which one sex repeats another year; not those told already."""
    for s, sex in enumerate(cells.sexes):
        for first, t, size, chance in identical_years(cells.values[:, s], spread):
            if t not in told and len(cells.sexes) * chance <= COPIED:
                yield _copy(cells, t, f"{sex}s of {cells.years[first]}", size, whole=False)


def _sexes_copied(cells: Cells) -> Iterator[Doubt]:
    """Years in which females repeat males; a whole table of them is told on reading it."""
    equal = (cells.values[:, 0] == cells.values[:, 1]).all(axis=1)
    for t in np.flatnonzero(equal) if not equal.all() else ():
        males = cells.values[t, 0]
        others = np.delete(cells.values, t, axis=0).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = others[0] / others.sum(axis=0)
        apart = (2 * np.where(np.isfinite(share), share, 0.5) - 1) ** 2 * males
        chance = float(np.exp(-0.5 * np.log(np.maximum(4 * np.pi * males, 1.0)) - apart).prod())
        if chance * len(cells.years) <= COPIED:
            yield _copy(cells, int(t), "males for females", males.size, whole=False)


def _runs_copied(cells: Cells) -> Iterator[Doubt]:
    """Ages of one sex and year whose figures stand in another place too; no whole years."""
    for one, two, size in repeated_runs(cells.values, COPIED):
        same_year = one[0] == two[0]
        pair = (cells.values[p[:2] if same_year else p[0]] for p in (one, two))
        if not np.array_equal(*pair) or one[:2] == two[:2]:  # whole years and sexes: told above
            last = cells.ages[two[2] + size - 1]
            yield Doubt(
                "YEARS_IDENTICAL.few", cells.table, "year", str(cells.years[two[0]]),
                f"{cells.words(*two)} to {last} repeats {cells.words(*one)} in {size} figures",
                size,
            )  # fmt: skip


def _copy(cells: Cells, t: int, source: str, size: int, *, whole: bool = True) -> Doubt:
    """A doubt, or the refusal of a whole year that is another's to the last of many figures."""
    may_repeat = cells.table.options.jumps == "accepted" or cells.table.kind == "flow_schedule"
    refused = whole and size >= LEAST_IDENTICAL and not may_repeat
    year = f"{cells.years[t]} {cells.series}".strip()
    return Doubt(
        "YEARS_IDENTICAL" if refused else "YEARS_IDENTICAL.few", cells.table, "year",
        str(cells.years[t]), f"{year} repeats {source} in {size} figures",
    )  # fmt: skip
