"""Doubts about figures that other tables contradict: sums, rates, cohorts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from imps.errors import SourceError
from imps.names import FLOWS
from imps.project.arithmetic import LEAST_YEARS
from imps.project.cohorts import (
    EXCESS,
    OLDER,
    StockCells,
    in_single_ages,
    neighbours,
    stocks_and_events,
    stocks_in_order,
)
from imps.project.doubts import YEAR_LIMIT, Doubt
from imps.project.sections import Account
from imps.reading.plausibility import (
    ROBUST,
    Cells,
    cells_of,
    unlike_others,
)
from imps.reading.survey_checks import SURVEYS
from imps.reading.table import Table, of_kinds

SAME_STOCK: Final = 0.002
"""Share by which two totals of one vintage and date may differ by rounding and definition."""

BIRTH_RATES: Final = (0.015, 0.30)
"""Births per woman of 15 to 49 and year, lowest and highest national figures with a margin."""

DEATH_RATES: Final = (0.001, 0.06)
"""Deaths per person and year, lowest and highest national figures outside war and famine."""

MORTALITY: Final = (0.004, 2e-5, 0.1)
"""Infant deaths per birth, and level and growth by age of mortality (Gompertz), of a life table
with an expectation of about 80 years, such as that of England and Wales in 2005."""

MORTALITY_RATIOS: Final = (0.35, 15.0)
"""Deaths beside those of that life table, lowest and highest: expectations of 90 and 35 years."""

SAME_EVENTS: Final = 0.04
"""Logarithm by which events of one place may differ between tables: residents, late ones."""

FEWEST_INFANTS: Final = 0.0004
"""Deaths of infants per birth, by age reached at the end of the year: half of the lowest known."""

LARGEST_ERROR: Final = 0.1
"""Error of the children whom births and deaths leave, per birth, that no registers leave."""

CHILD_DEATHS: Final = 0.4
"""Deaths of children per birth that no population has had since there are registers."""

SAME_LEVEL: Final = 0.8
"""Logarithm by which a schedule may change beside the survey from year to year."""

WHOLE_OF_PARTS: Final = 0.5
"""Logarithm by which total migration may differ from survey and parts; 0.3 in England and Wales."""

OLD_RATIO: Final = 0.15
"""Logarithm by which people of 60 and over may differ from whom deaths leave, by migration."""

OLD_SEXES: Final = 0.06
"""Logarithm by which the sexes may differ in that."""

BORN_BETWEEN: Final = 0.25
"""Logarithm by which children may differ from those born between two stocks, by migration."""

COHORT_STEP: Final = 0.35
"""Logarithm by which migration between two stocks may differ from one age to the next."""

NEAR_STOCK: Final = 0.12
"""Logarithm by which totals of one time may differ between censuses and series."""

# Figures published twice, and sums of parts


def _by_year(tables: Sequence[Table], *kinds: str) -> dict[tuple[str, str], dict[int, float]]:
    """Totals of each year by period and flow, all sources, sexes and ages together."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for table in of_kinds(tables, *kinds):
        for cells in cells_of(table):
            key = (table.metadata.get("period", ""), cells.labels.get("flow", ""))
            by_year = found.setdefault(key, {})
            for year, total in zip(cells.years, cells.totals, strict=True):
                by_year[int(year)] = by_year.get(int(year), 0.0) + float(total)
    return found


def sums_of_parts(tables: Sequence[Table], account: Account) -> Iterator[Doubt]:
    """What total migration leaves beside the survey and its published parts, year by year."""
    totals, surveys = _by_year(tables, "total_migration"), _by_year(tables, *SURVEYS)
    try:
        kinds = account.kinds_by_name
    except SourceError:  # refused with the sources, in its own words
        return
    parts: dict[tuple[str, str], dict[int, float]] = {}
    for table in of_kinds(tables, "administrative_flows"):
        for cells in cells_of(table):
            kind = kinds.get(cells.labels["source"])
            key = (table.metadata.get("period", ""), cells.labels["flow"])
            for year, total in zip(cells.years, cells.totals, strict=True):
                known = parts.setdefault(key, {})
                known[int(year)] = (
                    known.get(int(year), 0.0)
                    + (1 if kind and kind.adds else -1 if kind else 0) * total
                )
    for table in of_kinds(tables, "total_migration"):
        for key in totals:
            years = sorted(set(totals[key]) & set(surveys.get(key, {})))
            if len(years) < LEAST_YEARS or key[0] != table.metadata.get("period", ""):
                continue
            total = np.array([totals[key][y] for y in years])
            given = np.array([surveys[key][y] + parts.get(key, {}).get(y, 0.0) for y in years])
            left = total - given
            level = np.median(np.log((total + 0.5) / np.maximum(given, 0.5)))
            if abs(level) > WHOLE_OF_PARTS:
                yield Doubt(
                    "PARTS_UNLIKELY", table, "count", f"{total[0]:,.0f}",
                    f"{years[0]} to {years[-1]} {key[1]}: about {np.exp(level):.2f} times survey "
                    "and parts", abs(level) * 10,
                )  # fmt: skip
            usual, score = unlike_others(left, 0.005 * total)
            for t in np.flatnonzero(score > YEAR_LIMIT):
                yield Doubt(
                    "PARTS_UNLIKELY", table, "count", f"{total[t]:,.0f}",
                    f"{years[t]} {key[1]}: {total[t]:,.0f} less survey and parts of "
                    f"{given[t]:,.0f} leaves {left[t]:,.0f} beside {usual[t]:,.0f} in other years",
                    score[t],
                )  # fmt: skip


def schedules(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Directions of a schedule in another proportion than those of the survey that it lays out."""
    surveys = _by_year(tables, "survey_totals")
    for table in of_kinds(tables, "flow_schedule"):
        shares, period = _by_year([table], "flow_schedule"), table.metadata.get("period", "")
        (inward, outward), (seen_in, seen_out) = (
            [found.get((period, flow), {}) for flow in FLOWS] for found in (shares, surveys)
        )
        for year in sorted(set(inward) & set(outward) & set(seen_in) & set(seen_out)):
            figures = np.array([inward[year], outward[year], seen_in[year], seen_out[year]])
            laid, seen = np.log(figures[:2] + 0.5), np.log(figures[2:] + 0.5)
            apart = (laid[0] - laid[1]) - (seen[0] - seen[1])
            if abs(apart) > 0.25 and abs(apart) > 1.5 * abs(
                (laid[1] - laid[0]) - (seen[0] - seen[1])
            ):
                yield Doubt(
                    "YEAR_REARRANGED", table, table.value, str(year),
                    f"{year}: immigration and emigration are {figures[0]:,.0f} and "
                    f"{figures[1]:,.0f}, in the survey {figures[2]:,.0f} and {figures[3]:,.0f}",
                )  # fmt: skip
        for flow, laid_out, seen_of in (("immigration", inward, seen_in),
                                        ("emigration", outward, seen_out)):  # fmt: skip
            both = sorted(set(laid_out) & set(seen_of))
            level = np.log([(laid_out[y] + 0.5) / (seen_of[y] + 0.5) for y in both])
            if len(both) > 1 and np.ptp(level) > SAME_LEVEL:
                t = int(np.abs(level - np.median(level)).argmax())
                if len(both) == 2:  # the one that is not the survey's own level
                    t = int(np.abs(level).argmax())
                yield Doubt(
                    "YEAR_UNLIKELY", table, table.value, f"{laid_out[both[t]]:,.0f}",
                    f"{both[t]} {flow}: {laid_out[both[t]]:,.0f}, in the survey "
                    f"{seen_of[both[t]]:,.0f}; other years stand in another proportion to it",
                    float(np.ptp(level)),
                )  # fmt: skip


def stock_totals(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Totals of one vintage and year that different tables or rows give."""
    first: dict[tuple[str, str], float] = {}
    found: list[tuple[Table, str, str, float]] = []
    for table in of_kinds(tables, "population", "population_totals"):
        frame = table.frame
        vintage = frame.get("vintage", table.metadata.get("vintage", ""))
        sums = frame.assign(_v=vintage).groupby(["_v", "date"])["population"].sum(min_count=1)
        for (name, date), total in sums.items():
            other = first.setdefault((str(name), str(date)), float(total))
            if abs(total - other) > SAME_STOCK * other:
                yield Doubt(
                    "YEAR_UNLIKELY", table, "population", f"{total:,.0f}",
                    f"{str(date)[:4]}: {total:,.0f} beside {other:,.0f} of the same vintage",
                    abs(total - other) / max(other, 1.0) * 100,
                )  # fmt: skip
            found.append((table, str(name), str(date), float(total)))
    keys = np.array([f"{name} {date}" for _, name, date, _ in found])
    years = np.array([int(date[:4]) for _, _, date, _ in found])
    sums = np.array([total for *_, total in found])
    for i, (table, name, date, total) in enumerate(found):
        distance = np.abs(years - years[i])
        order = np.lexsort((sums, distance))
        order = order[keys[order] != keys[i]][:3]
        others = [(int(distance[k]), float(sums[k])) for k in order]
        ratio = [
            abs(np.log(max(total, 0.5) / max(x, 0.5))) / (NEAR_STOCK + 0.03 * n) for n, x in others
        ]
        if ratio and np.median(ratio) > 1:
            yield Doubt(
                "YEAR_UNLIKELY", table, "population", f"{total:,.0f}",
                f"{date[:4]} {name}".strip() + f": {total:,.0f} beside "
                + ", ".join(f"{x:,.0f}" for _, x in others), float(np.median(ratio)),
            )  # fmt: skip


# Births, deaths


def rates(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Births per woman and deaths per person that no population has."""
    stocks = stocks_in_order(tables, divided=True)
    yield from _born_before(tables, stocks)
    if not stocks or len(stocks[0].cells.ages) < OLDER + 10:
        return
    born = {y: n for found in _by_year(tables, "births").values() for y, n in found.items()}
    for table in of_kinds(tables, "births", "deaths"):
        low, high = BIRTH_RATES if table.kind == "births" else DEATH_RATES
        for given in cells_of(table):
            cells = in_single_ages(given) or given
            if table.kind == "deaths" and cells.ages == stocks[0].cells.ages:
                yield from _mortality(cells, stocks)
                yield from _infants(cells, born)
            for t, year in enumerate(cells.years):
                stock = min(stocks, key=lambda s: abs(s.year - int(year)))
                women = table.kind == "births"
                people = float(np.nansum(stock.values[1, 15:50] if women else stock.values))
                total = cells.totals[t]
                rate = total / people if people else np.nan
                noise = 4 * (total + 1) ** 0.5 / max(people, 1)
                if rate + noise < low or rate - noise > high:
                    who = "women of 15 to 49" if women else "people"
                    yield Doubt(
                        "RATE_UNLIKELY", table, table.value, f"{total:,.0f}",
                        f"{year}: {total:,.0f} {table.kind} beside {people:,.0f} {who}, "
                        f"{rate:.4f} each; expected {low} to {high}",
                        abs(np.log(max(rate, low / 1e3) / low)),
                    )  # fmt: skip


def _born_before(tables: Sequence[Table], stocks: Sequence[StockCells]) -> Iterator[Doubt]:
    """Deaths among those born in a year that are more than children die anywhere.

    And births of which deaths leave another number than the children of the base.
    """
    for table in of_kinds(tables, "born_before"):
        if "deaths" not in table.frame:  # refused elsewhere
            continue
        left, year = table.frame["births"] - table.frame["deaths"], int(table.frame["year"].max())
        base = next((stock for stock in stocks if stock.year == year), None)
        if base is not None:
            yield from _children_left(table, base, len(left), float(left.sum()), "")
        if "standard_error" in table.frame:
            error = table.frame["standard_error"].median()
            births = table.frame["births"].median()
            if error > LARGEST_ERROR * births:
                yield Doubt(
                    "ERROR_UNLIKELY.table", table, "standard_error", f"{error:,.0f}",
                    f"half of the errors exceed {error:,.0f}, beside {births:,.0f} births",
                )  # fmt: skip
        odd = table.frame[table.frame["deaths"] > CHILD_DEATHS * table.frame["births"]]
        for year, born, died in odd[["year", "births", "deaths"]].to_numpy():
            yield Doubt(
                "RATE_UNLIKELY", table, "deaths", f"{died:,.0f}",
                f"{year:.0f}: {died:,.0f} deaths beside {born:,.0f} births",
            )  # fmt: skip


def _mortality(cells: Cells, stocks: Sequence[StockCells]) -> Iterator[Doubt]:
    """Deaths of a year beside those that a usual life table gives the nearest population."""
    infant, level, rise = MORTALITY
    table = np.minimum(level * np.exp(rise * np.arange(len(cells.ages))), 0.3)
    table[0] = infant
    low, high = MORTALITY_RATIOS
    for total, year in zip(cells.totals, cells.years, strict=True):
        stock = min(stocks, key=lambda s: abs(s.year - int(year)))
        meant = float(np.nansum(stock.values * table))
        noise = 4 * (total + 1) ** 0.5
        if total + noise < low * meant or total - noise > high * meant:
            yield Doubt(
                "RATE_UNLIKELY", cells.table, "deaths", f"{total:,.0f}",
                f"{year}: {total:,.0f} deaths beside {meant:,.0f} that a life expectancy of 80 "
                f"years would give, {total / max(meant, 1):.2f} of them; expected {low} to {high}",
                abs(np.log(max(total, 0.5) / max(meant, 0.5))),
            )  # fmt: skip


def published_twice(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Births or deaths at another level than their totals in another table have them."""
    totals = {"births": {}, "deaths": {}}  # type: dict[str, dict[int, float]]
    for table in of_kinds(tables, "vital_totals"):
        for kind, by_year in totals.items():
            if kind in table.frame:
                by_year.update(table.frame.groupby("year")[kind].sum(min_count=1).dropna())
    for table in of_kinds(tables, *totals):
        own = {k: v for found in _by_year([table], table.kind).values() for k, v in found.items()}
        both = sorted(set(own) & set(totals[table.kind]))
        if not both:
            continue
        level = float(np.median([np.log(max(own[y], 0.5) / totals[table.kind][y]) for y in both]))
        if abs(level) > SAME_EVENTS:
            yield Doubt(
                "YEAR_UNLIKELY", table, table.value, f"{own[both[0]]:,.0f}",
                f"{both[0]} to {both[-1]}: {np.exp(level):.2f} times the {table.kind} of the "
                "table of totals", abs(level) * 10,
            )  # fmt: skip


def _infants(cells: Cells, born: dict[int, float]) -> Iterator[Doubt]:
    """Fewer deaths of infants in all years together than any population has."""
    both = [t for t, year in enumerate(cells.years) if int(year) in born]
    died = float(np.nansum(cells.values[both, :, 0]))
    births = sum(born[int(cells.years[t])] for t in both)
    if died + 4 * (died + 1) ** 0.5 < FEWEST_INFANTS * births:
        yield Doubt(
            "RATE_UNLIKELY", cells.table, "deaths", f"{died:,.0f}",
            f"{cells.years[both[0]]} to {cells.years[both[-1]]} {cells.ages[0]}: {died:,.0f} "
            f"deaths of infants beside {births:,.0f} births", 10.0,
        )  # fmt: skip


# Cohorts


def cohorts(tables: Sequence[Table], account: Account) -> Iterator[Doubt]:
    """Stocks that registered deaths do not lead to: cohorts below zero, levels far apart."""
    stocks, events, exact = stocks_and_events(tables, account)
    pairs = [(neighbours(stocks, stock)[0], stock) for stock in stocks]
    if pairs and pairs[-1][0] is not None and pairs[-1][0].cells.ages == stocks[0].cells.ages:
        pairs.append((stocks[0], stocks[-1]))  # what a year hardly shows, ten do
    for before, stock in pairs:
        left = None if before is None else events.survivors(before, stock.year)
        if before is None or left is None:
            continue
        if exact:
            yield from _below_zero(before, stock, left)
            yield from _cohort_steps(before, stock, left)
        yield from _sexes_of_cohorts(before, stock, left)
        yield from _born_between(before, stock, left, of_kinds(tables, "births")[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.nanmedian(np.log(stock.values / np.where(left > 0, left, np.nan)))
        if abs(ratio) > 0.2 + 0.03 * (stock.year - before.year):
            yield Doubt(
                "YEAR_UNLIKELY", stock.cells.table, "population", f"{stock.values.sum():,.0f}",
                f"{stock.year} {stock.cells.series}".strip()
                + f": {stock.values.sum():,.0f} beside {np.maximum(left, 0).sum():,.0f} "
                f"whom births and deaths leave of {before.year}", abs(ratio) * 10,
            )  # fmt: skip
        old = slice(60, -1)
        people, meant = stock.values[:, old].sum(), np.maximum(left[:, old], 0).sum()
        if min(people, meant) > 400 and abs(np.log(people / meant)) > OLD_RATIO:
            yield Doubt(
                "YEAR_UNLIKELY", stock.cells.table, "population", f"{people:,.0f}",
                f"{stock.year} {stock.cells.series}".strip()
                + f": {people:,.0f} people of 60 and over beside {meant:,.0f} whom deaths leave "
                f"of {before.year}", abs(np.log(people / meant)) * 10,
            )  # fmt: skip


def _sexes_of_cohorts(before: StockCells, stock: StockCells, left: np.ndarray) -> Iterator[Doubt]:
    """Men of 60 and over beside whom deaths leave, against women: few of either migrate."""
    people, meant = (x[:, 60:-1].sum(axis=1) for x in (stock.values, left))
    if len(before.cells.ages) < 65 or min(*people, *meant) <= 0:
        return
    men, women = np.log(people / meant)
    noise = YEAR_LIMIT * np.sqrt((1 / people + 1 / meant).sum())
    if abs(men - women) > OLD_SEXES + noise:
        yield Doubt(
            "SEX_RATIO_UNLIKELY.ages", stock.cells.table, "population", f"{people[0]:,.0f}",
            f"{stock.year} {stock.cells.series}".strip()
            + f": {people[0]:,.0f} men of 60 and over beside {meant[0]:,.0f} whom deaths leave of "
            f"{before.year}, {people[1]:,.0f} women beside {meant[1]:,.0f}",
            abs(men - women) * 10,
        )  # fmt: skip


def _born_between(
    before: StockCells, stock: StockCells, left: np.ndarray, births: Table
) -> Iterator[Doubt]:
    """Children beside those who were born since the stock before and did not die."""
    years = stock.year - before.year
    meant = float(left[:, :years].sum())
    yield from _children_left(births, stock, years, meant, f" since {before.year}")


def _children_left(
    births: Table, stock: StockCells, ages: int, meant: float, since: str
) -> Iterator[Doubt]:
    """Children of a stock, of under so many years, beside those whom births and deaths leave."""
    people = float(stock.values[:, :ages].sum())
    if min(people, meant) <= 0 and max(people, meant) > 10:
        people, meant = people + 0.5, max(meant, 0.5)
    noise = YEAR_LIMIT * np.sqrt(1 / max(people, 1) + 1 / max(meant, 1))
    if people > 0 < meant and abs(np.log(people / meant)) > BORN_BETWEEN + noise:
        yield Doubt(
            "RATE_UNLIKELY", births, "births", f"{meant:,.0f}",
            f"births and deaths{since} leave {meant:,.0f} children of under {ages} years, of whom "
            f"{stock.cells.table.name} has {people:,.0f} in {stock.year}",
            abs(np.log(people / meant)) * 10,
        )  # fmt: skip


def _cohort_steps(before: StockCells, stock: StockCells, left: np.ndarray) -> Iterator[Doubt]:
    """Ages at which a population leaves what deaths leave of its cohorts by a sudden factor.

    Migration changes smoothly from age to age; a block of ages that was doubled or lost does not.
    """
    people, meant = stock.values.sum(axis=0)[:-1], left.sum(axis=0)[:-1]
    known = (people > 0) & (meant > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.diff(np.where(known, np.log(people / meant), np.nan))
        noise = 1.5 * np.sqrt(1 / people[1:] + 1 / people[:-1])
    if not np.isfinite(steps).any():
        return
    usual = np.maximum(ROBUST * np.nanmedian(np.abs(steps)), noise)
    for a in np.flatnonzero(np.abs(steps) > np.maximum(COHORT_STEP, (YEAR_LIMIT + 1) * usual)):
        yield Doubt(
            "CELL_UNLIKELY", stock.cells.table, "population", f"{people[a + 1]:,.0f}",
            f"{stock.year} {stock.cells.series} {stock.cells.ages[a + 1]}".replace("  ", " ")
            + f": {people[a + 1]:,.0f} people beside {meant[a + 1]:,.0f} whom deaths leave of "
            f"{before.year}, a year younger {people[a]:,.0f} beside {meant[a]:,.0f}",
            abs(float(steps[a])) * 10,
        )  # fmt: skip


def _below_zero(before: StockCells, stock: StockCells, left: np.ndarray) -> Iterator[Doubt]:
    """Cohorts of whom more died than there were."""
    n = stock.year - before.year
    if before.cells.table.options.jumps == "accepted" or n >= left.shape[1]:
        return
    for s, a in zip(*np.nonzero(left[:, n:] < 0), strict=True):
        last = a + n == left.shape[1] - 1
        start = before.values[s, a:].sum() if last else before.values[s, a]
        died = start - left[s, a + n]
        if -left[s, a + n] > EXCESS * died + 5 * np.sqrt(died):
            age = before.cells.ages[a] + (" and over" if last else "")
            yield Doubt(
                "COHORT_NEGATIVE", before.cells.table, "population", f"{start:,.0f}",
                f"{before.year} {before.cells.sexes[s]} {age}: {start:,.0f} people, of whom "
                f"{died:,.0f} died by {stock.year}", -left[s, a + n],
            )  # fmt: skip
