"""Doubts about figures in the wrong places: sexes, ages, years and directions exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np

from imps.demography.accounting import carry
from imps.names import FLOWS, SEXES
from imps.project.arithmetic import LEAST_YEARS
from imps.project.cohorts import (
    OLDER,
    events_of,
    in_single_ages,
    neighbours,
    stocks_and_events,
    stocks_in_order,
)
from imps.project.doubts import USUAL_CHANGES, Doubt, series_of
from imps.project.sections import Account
from imps.reading.plausibility import (
    Cells,
    along_cohorts,
    beside,
    cells_of,
    limit,
    of_cohorts,
    root_deviance,
)
from imps.reading.rearrangements import (
    ARRANGEMENTS,
    exchanged_pairs,
    orders,
    rearranged,
    usual_deviance,
)
from imps.reading.survey_checks import SURVEYS
from imps.reading.table import Table, of_kinds

REARRANGED: Final = 30.0
"""Units of deviance by which other places for the figures of a year have to fit better."""

EXCHANGED: Final = 20.0
"""The same of the two directions of a year: few cells of a survey tell little of their spread."""

EXPLAINED: Final = 0.5
"""Share of a misfit below which other places for the figures explain it."""

SAME_SCALE: Final = 1.75
"""Factor up to which registered migration and cohorts may disagree: registers miss departures."""

YEARS_REARRANGED: Final = 3 * REARRANGED
"""The same of two years whose figures deviate together, as they do where rates change."""


BORN_ORDER: Final = 25.0
"""Variances by which births in another order have to fit the children of a stock better."""

CHILDREN_STEP: Final = 0.003
"""Relative step of net migration and of census error from one age of children to the next."""


def rearranged_years(tables: Sequence[Table], account: Account) -> Iterator[Doubt]:
    """Sexes exchanged or ages moved in one year, by what the other years and cohorts say."""
    for cells in series_of(tables, "population", "stocks", "born_before"):
        if len(cells.years) < 3 or cells.sexes != SEXES or len(cells.ages) < 3:
            continue
        expected = beside(cells.values, 0, ends=True)
        usual = usual_deviance(cells.values, expected)
        for t in range(len(cells.years)):
            for what, move in ARRANGEMENTS.items():
                if what.startswith("ages") and not cells.single_ages:
                    continue
                # waves of births move from age to age: a run of them is no fault
                runs = cells.single_ages and not what.startswith("ages")
                gain = rearranged(cells.values[t], expected[t], move, float(usual[t]), runs=runs)
                if gain > REARRANGED:
                    yield _moved(cells, t, what, gain)
    stocks = stocks_in_order(tables)
    events = events_of(tables, account)
    for stock in stocks:
        before, _after = neighbours(stocks, stock)
        left = None if before is None else events.survivors(before, stock.year)
        if before is None or left is None:
            continue
        left[:, :OLDER] = np.nan
        for what, move in ARRANGEMENTS.items():
            gain = rearranged(stock.values, left, move, 1.5)
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
    for cells in series_of(tables, "population", "population_totals"):
        if not cells.single_ages or len(cells.years) < 3:
            continue
        values = cells.values
        said = [beside(values, 0, ends=True), along_cohorts(values, 1), along_cohorts(values, -1)]
        gain = exchanged_pairs(values, said, USUAL_CHANGES[cells.table.kind] / 2)
        # by the normal limit a gain above z squared has the probability of a deviation above z
        for t, s, a in zip(*np.nonzero(gain > limit(gain.size) ** 2), strict=True):
            one, two = values[t, s, a : a + 2]
            yield Doubt(
                "YEAR_REARRANGED", cells.table, cells.table.value, f"{one:,.0f}",
                f"{cells.words(t, s, a)} and {cells.ages[a + 1]}: {one:,.0f} and {two:,.0f} "
                "are exchanged", gain[t, s, a],
            )  # fmt: skip


def exchanged_years(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Two neighbouring years that fit far better exchanged, by the cohorts of other years."""
    for cells in series_of(tables, "population", "population_totals", "stocks"):
        if not cells.single_ages or len(cells.years) < 6:
            continue
        steps = {k: _off_cohorts(cells.values, k) for k in (1, 2, -1)}
        last = len(cells.years) - 1
        for t in range(last):
            near = range(max(t - 2, 0), min(t + 3, last))
            before = sum(steps[1][k] for k in near)
            after = sum(steps[1][k] for k in near if k not in (t - 1, t, t + 1)) + steps[-1][t + 1]
            after = after + (steps[2][t - 1] if t else 0.0) + (
                steps[2][t] if t + 1 < last else 0.0)  # fmt: skip
            was, would = (x[0] / max(x[1], 1) for x in (before, after))
            gain = (was - would) * cells.values[0].size / max(would, 1.5)
            if gain > YEARS_REARRANGED:
                yield Doubt(
                    "YEAR_REARRANGED", cells.table, cells.table.value, str(cells.years[t]),
                    f"{cells.years[t]} and {cells.years[t + 1]} {cells.series}".strip()
                    + " are exchanged", gain,
                )  # fmt: skip


def _off_cohorts(values: np.ndarray, step: int) -> np.ndarray:
    """Deviance of a year from what another, so many before it, says as the year before.

    An array (year of the other, 2) with the sum and the number of figures; a negative step is
    that of a later year.
    """
    out = np.zeros((len(values), 2))
    of, to = (values[:-step], values[step:]) if step > 0 else (values[-step:], values[:step])
    apart = root_deviance(to, of_cohorts(of, to)) ** 2
    known = np.isfinite(apart)
    found = np.stack([np.where(known, apart, 0.0).sum(axis=(1, 2)), known.sum(axis=(1, 2))], axis=1)
    out[slice(None, -step) if step > 0 else slice(-step, None)] = found
    return out


def _mean_deviance(figures: np.ndarray, expected: np.ndarray) -> float:
    """Deviance per known figure."""
    apart = root_deviance(figures, expected) ** 2
    known = np.isfinite(apart)
    return float(apart[known].sum()) / max(int(known.sum()), 1)


def exchanged_stocks(tables: Sequence[Table], account: Account) -> Iterator[Doubt]:
    """Two populations, one after the other, whose cohorts fit far better exchanged."""
    stocks, events, _ = stocks_and_events(tables, account)
    for stock in stocks:
        before, _after = neighbours(stocks, stock)
        if before is None or before.cells.table is not stock.cells.table:
            continue
        deviance = []
        for first, second in ((before.values, stock.values), (stock.values, before.values)):
            left = events.survivors(before, stock.year, people=first)
            if left is None:
                break
            meant = np.maximum(left, 0)[:, 1:-1]
            people = second[:, 1:-1]
            meant = meant * people.sum() / max(meant.sum(), 1.0)
            deviance.append(_mean_deviance(people, meant))
        if len(deviance) < 2:
            continue
        gain = (deviance[0] - deviance[1]) * stock.values.size / max(deviance[1], 1.5)
        if gain > 2 * REARRANGED and deviance[1] < EXPLAINED * deviance[0]:
            yield Doubt(
                "YEAR_REARRANGED", stock.cells.table, "population", str(stock.year),
                f"{before.year} and {stock.year} {stock.cells.series}".strip()
                + " fit exchanged, by their cohorts", gain,
            )  # fmt: skip


def births_in_order(tables: Sequence[Table], account: Account) -> Iterator[Doubt]:
    """Births whose years in another order would fit the children of the next stock far better."""
    stocks, events = stocks_in_order(tables), events_of(tables, account)
    for stock in (s for s in stocks if s.year == stocks[-1].year):
        before = next(s for s in stocks if s.cells.ages == stock.cells.ages)
        left = events.survivors(before, stock.year)
        if left is None or stock.year - before.year < LEAST_YEARS:
            continue
        years = list(range(stock.year, before.year, -1))
        born = np.stack([events.births[y] for y in years])
        children, meant = (x[:, : len(years)].T for x in (stock.values, left))
        usual = _roughness(children, meant)
        for what, order in orders(years[::-1]):
            moved = order(born[::-1])[::-1] - born
            rough = _roughness(children, meant + moved)
            if usual - rough > BORN_ORDER * max(rough / (2 * len(years) - 2), 1.5):
                yield Doubt(
                    "YEAR_REARRANGED", of_kinds(tables, "births")[0], "births", str(years[-1]),
                    f"births beside the children of {stock.year}: {what}", usual - rough,
                )  # fmt: skip
                break


def _roughness(people: np.ndarray, meant: np.ndarray) -> float:
    """Squared steps of the log of people beside those expected (age, sex), in their variance."""
    if min(people.min(), meant.min()) <= 0:
        return float("inf")
    steps = np.diff(np.log(people / meant), axis=0)
    variance = 1 / people[1:] + 1 / people[:-1] + 2 * CHILDREN_STEP**2
    return float((steps**2 / variance).sum())


def misplaced_streams(tables: Sequence[Table], account: Account) -> Iterator[Doubt]:
    """Registered migration that leads from stock to stock far better in other places.

    Where births, deaths and migration by age are all counted, what they leave of each cohort is
    compared with the next population: as they stand, with directions, sexes or ages moved, and
    larger or smaller.
    """
    stocks, events, _ = stocks_and_events(tables, account)
    net = _net_streams(tables)
    if net is None or of_kinds(tables, *SURVEYS) or len(stocks) < 2:
        return
    table, years, flows = net
    for stock in stocks:
        before, _after = neighbours(stocks, stock)
        left = None if before is None else events.survivors(before, stock.year)
        if before is None or left is None or left.shape != flows.shape[2:]:
            continue
        within = [y for y in range(before.year + 1, stock.year + 1) if y in years]
        if len(within) < stock.year - before.year:
            continue
        at = slice(within[0] - years[0], within[-1] - years[0] + 1)
        alone = stock.values - left

        def misfit(placed: np.ndarray, alone: np.ndarray = alone, at: slice = at) -> float:
            apart = alone - _carried((placed[0] - placed[1])[at])
            return float(np.nanmean(apart[:, :-1] ** 2)) + 0.5

        found = misfit(flows)
        carried = [sign * _carried(flows[k][at]) for k, sign in ((0, 1), (1, -1))]
        for what, other, cause in (
            *((w, o, "YEAR_REARRANGED") for w, o in _other_streams(flows)),
            *((w, o, "BALANCE_UNLIKELY.scale") for w, o in _scaled(flows, carried, alone)),
        ):
            left_over = misfit(other)
            gain = alone.size * np.log(found / left_over) / 2
            if gain > REARRANGED and left_over < EXPLAINED * found:
                yield Doubt(
                    cause, table, table.value, str(years[0]),
                    f"{before.year} to {stock.year}: {what}, by the cohorts of the population",
                    gain,
                )  # fmt: skip


def _other_streams(flows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Immigration and emigration (flow, year, sex, age) in other places, and which."""
    yield "directions are exchanged", flows[::-1]
    for what, place in ARRANGEMENTS.items():
        moved = np.stack([np.stack([place(figures) for figures in flow]) for flow in flows])
        yield f"of migration {what}", moved
        for k, flow in enumerate(FLOWS):
            other = flows.copy()
            other[k] = moved[k]
            yield f"of {flow} {what}", other


def _scaled(
    flows: np.ndarray, carried: Sequence[np.ndarray], alone: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """Flows as many times as large as the cohorts (sex, age) have it, and how many times.

    Both directions, or one of them: the least squares of what births and deaths leave over.
    """
    parts = [x[:, :-1].ravel() for x in (*carried, alone)]
    for what, which in (("migration", (0, 1)), (FLOWS[0], (0,)), (FLOWS[1], (1,))):
        given = np.sum([parts[k] for k in which], axis=0)
        rest = parts[2] - (parts[0] + parts[1] - given)
        times = float(given @ rest) / max(float(given @ given), 1e-9)
        if not 1 / SAME_SCALE <= times <= SAME_SCALE:
            other = flows.copy()
            other[list(which)] *= times
            yield f"{what} fits {times:.2f} times as large", other


def _carried(flow: np.ndarray) -> np.ndarray:
    """Sum of net migration (year, sex, age) along cohorts at the end of the last year."""
    people = np.zeros(flow.shape[1:])
    for moved in flow:
        people = carry(people, 1)
        people[:, 0] = 0.0
        people = people + moved
    return np.asarray(people)


def _net_streams(tables: Sequence[Table]) -> tuple[Table, list[int], np.ndarray] | None:
    """All streams by single age, as immigration and emigration (flow, year, sex, age).

    Narrow groups are divided. None if one of them is not by age, not by direction, or from another
    source: several may count the same people.
    """
    streams = of_kinds(tables, "streams")
    laid_out = [in_single_ages(cells) for table in streams for cells in cells_of(table)]
    found = [cells for cells in laid_out if cells is not None]
    if not found or len(found) < len(laid_out):
        return None
    span = np.arange(found[0].years[0], found[0].years[-1] + 1)
    if any(
        c.sexes != SEXES or c.ages != found[0].ages
        or c.labels.get("source") != found[0].labels.get("source")
        or not np.array_equal(c.years, span) or c.labels.get("flow") not in FLOWS
        for c in found
    ):  # fmt: skip
        return None
    flows = np.zeros((2, *found[0].values.shape))
    for c in found:
        flows[FLOWS.index(c.labels["flow"])] += c.values
    return streams[0], [int(y) for y in found[0].years], flows


def exchanged_flows(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Immigration and emigration exchanged in one year."""
    for table in of_kinds(tables, *SURVEYS, "flow_schedule", "total_migration", "streams"):
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
    """Years in which figures or contacts fit the other direction better.

    Estimates and contacts are the same sample: what they gain is not added up.
    """
    gains = np.zeros(len(years))
    for one, two in pairs:
        here = np.hstack([one, two])
        expected = beside(here, 0, ends=True)
        usual = usual_deviance(here, expected)
        for t in range(len(years)):
            gain = rearranged(here[t], expected[t], partial(np.roll, shift=one.shape[1]),
                              float(usual[t]))  # fmt: skip
            gains[t] = max(gains[t], gain)
    for k in np.flatnonzero(gains > EXCHANGED):
        yield Doubt(
            "YEAR_REARRANGED", table, table.value, str(years[k]),
            f"{years[k]}: immigration and emigration are exchanged", gains[k],
        )  # fmt: skip
