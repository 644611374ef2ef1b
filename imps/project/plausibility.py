"""Figures that cannot be right, or are unlike everything around them.

One table of checks (`CHECKS`) and one mechanism: a check looks at tables as they were
read and yields doubts, each with its file, year, cell, figure and what its neighbours say;
doubts of one cause and file become one finding. Nothing is changed. A clean table alarms
with probability :data:`imps.reading.plausibility.FALSE_ALARM` in each check if its counts
vary as counts do; where they vary more, the spread is learnt from the table. Those of the
survey, and of males beside females, are here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import pandas as pd

from imps.names import SEXES
from imps.project import contradictions, doubts, misplaced
from imps.project.arithmetic import LEAST_YEARS
from imps.project.cohorts import OLDER, in_single_ages
from imps.project.doubts import YEAR_LIMIT, Doubt
from imps.project.sections import Account
from imps.reading.findings import Collector
from imps.reading.plausibility import Cells, cells_of, limit, root_deviance, spread, unlike_others
from imps.reading.rearrangements import orders
from imps.reading.survey_checks import SURVEYS
from imps.reading.table import Table, of_kinds

SHOWN: Final = 5
"""Doubts of one cause and file that a message tells, the largest first."""

Check = Callable[[Sequence[Table], Account], Iterator[Doubt]]

DESIGN_EFFECTS: Final = (0.5, 5.0)
"""Design effects of a sample of migrants; 1.5 to 4.2 in the International Passenger Survey."""

USUAL_APART: Final = 0.15
"""Logarithm by which errors of many contacts differ from cell to cell; 0.13 to 0.18 of the UK's."""

LEAST_WEIGHT: Final = 2.0
"""Grossing weight from which an estimate is not equal to its contacts by chance."""

LEAST_CELLS: Final = 20
"""Cells of one direction from which errors and contacts are compared cell by cell."""

GOES_WITH: Final = 0.5
"""Rank correlation below which a column does not go with the contacts that it rests on."""

SLOPES: Final = (0.2, 0.8)
"""Growth of the log of an error with that of its contacts: 0.5 of a sample, 0.38 to 0.54 of the
cases of the package; 0 if all errors are the same, 1 of contacts or variances, -0.5 of shares."""

IN_OTHER_PLACES: Final = 15.0
"""Log likelihood by which the errors of a survey have to fit its contacts better elsewhere."""

ERROR_OF_ERRORS: Final = 0.07
"""Relative deviation of errors and estimates beside their contacts that no one wonders at."""

LEAST_IN_YEAR: Final = 4
"""Cells of a year from which its errors are compared with those of other years."""

DIFFERENT_SIZES: Final = 0.5
"""Standard deviation of the log of contacts from which cells differ enough to be ranked."""


def survey_errors(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Estimates and standard errors against the contacts that they rest on."""
    for table in of_kinds(tables, *SURVEYS):
        frame = table.frame
        if "standard_error" not in frame:
            continue
        known = frame[(frame["estimate"] > 0) & (frame["standard_error"] > 0)]
        if len(known) < 4:
            continue
        flows = known["flow"].to_numpy()
        estimate, error = (known[c].to_numpy(float) for c in ("estimate", "standard_error"))
        rows = [
            " ".join(str(r[c]) for c in ("year", "flow", "sex", "age_group") if c in known)
            for _, r in known.iterrows()
        ] if len(known) < 5000 else [""] * len(known)  # fmt: skip
        contacts = known["contacts"].to_numpy(float) if "contacts" in known else None
        if contacts is not None and np.isfinite(contacts).any():
            yield from _contacts(table, estimate, error, contacts, flows, rows)
        elif np.median(error / estimate) > 1.5:
            yield Doubt(
                "ERROR_UNLIKELY.table", table, "standard_error", f"{error[0]:,.0f}",
                f"half of the errors exceed {np.median(error / estimate):.1f} times their estimate",
            )  # fmt: skip
        size = estimate if contacts is None else np.maximum(contacts, 0.5)
        yield from _odd_errors(table, error, size, flows, rows)
        yield from _out_of_step(table, "standard_error", error, size, flows)
        yield from _odd_years(table, known["year"].to_numpy(), error, size, flows)
        yield from _in_other_places(table)
        if contacts is not None:
            yield from _odd_effects(table, estimate, error, size, flows, rows)
            yield from _out_of_step(table, "contacts", estimate, size, flows)


def _contacts(
    table: Table, estimate: np.ndarray, error: np.ndarray, contacts: np.ndarray,
    flows: np.ndarray, rows: list[str],
) -> Iterator[Doubt]:  # fmt: skip
    same = (estimate == contacts) & (contacts >= 3)
    other = ~same & (contacts > 0)
    if other.any() and np.median(estimate[other] / contacts[other]) < LEAST_WEIGHT:
        same = np.zeros(len(same), bool)  # a person met stands for little more than one
    for i in np.flatnonzero(same):
        yield Doubt("CONTACTS_AS_ESTIMATES", table, "estimate", f"{estimate[i]:,.0f}",
                    f"{rows[i]}: {estimate[i]:,.0f} and {contacts[i]:,.0f} contacts")  # fmt: skip
    effect = float(np.nanmedian(contacts * (error / estimate) ** 2))
    low, high = DESIGN_EFFECTS
    if not low <= effect <= high and not same.all():
        yield Doubt(
            "ERROR_UNLIKELY.table", table, "standard_error", f"{error[0]:,.0f}",
            f"beside their contacts the errors imply a design effect of {effect:.3g}, "
            f"expected {low} to {high}",
        )  # fmt: skip
    for flow in np.unique(flows):
        at = np.flatnonzero((flows == flow) & (contacts > 0))
        if len(at) < 6:
            continue
        weight = np.median(estimate[at] / contacts[at])
        residual = root_deviance(estimate[at] / weight, contacts[at])
        score = _apart(residual, 1.5)
        for i, z in zip(at, score, strict=True):
            if z > limit(len(score)) + 2 and not same[i]:
                yield Doubt(
                    "CELL_UNLIKELY", table, "estimate", f"{estimate[i]:,.0f}",
                    f"{rows[i]}: {estimate[i]:,.0f} beside about {weight * contacts[i]:,.0f} "
                    f"for its {contacts[i]:,.0f} contacts", float(z),
                )  # fmt: skip


def _apart(residual: np.ndarray, least: float | np.ndarray) -> np.ndarray:
    """Residuals (cell) in robust deviations of their own, which are at least `least`."""
    return np.abs(residual) / np.maximum(spread(residual[None], by_age=False)[0], least)


def _odd_errors(
    table: Table, error: np.ndarray, size: np.ndarray, flows: np.ndarray, rows: list[str]
) -> Iterator[Doubt]:
    """Standard errors of single cells that do not grow with the root of the sample."""
    for flow in np.unique(flows):
        at = np.flatnonzero((flows == flow) & np.isfinite(size))
        if len(at) < 4:
            continue
        logs = np.log(error[at]) - 0.5 * np.log(size[at])
        score = _apart(logs - np.median(logs), 0.3)
        for i, z in zip(at, score, strict=True):
            if z > limit(len(score)) + 1:
                usual = np.exp(np.median(logs)) * np.sqrt(size[i])
                yield Doubt(
                    "ERROR_UNLIKELY", table, "standard_error", f"{error[i]:,.0f}",
                    f"{rows[i]}: {error[i]:,.0f} beside about {usual:,.0f}", float(z),
                )  # fmt: skip


def _odd_effects(
    table: Table, estimate: np.ndarray, error: np.ndarray, size: np.ndarray, flows: np.ndarray,
    rows: list[str],
) -> Iterator[Doubt]:  # fmt: skip
    """Estimates whose relative error is not that of their contacts in the other cells."""
    for flow in np.unique(flows):
        at = np.flatnonzero((flows == flow) & np.isfinite(size))
        if len(at) < LEAST_CELLS:
            continue
        logs = np.log(error[at] / estimate[at]) + 0.5 * np.log(size[at])
        score = _apart(logs - np.median(logs), np.sqrt(USUAL_APART**2 + 2 / size[at]))
        for i, z in zip(at, score, strict=True):
            if z > limit(len(score)):
                usual = error[i] / np.exp(np.median(logs)) * np.sqrt(size[i])
                yield Doubt(
                    "CELL_UNLIKELY", table, "estimate", f"{estimate[i]:,.0f}",
                    f"{rows[i]}: {estimate[i]:,.0f} beside about {usual:,.0f} for its standard "
                    f"error of {error[i]:,.0f} and {size[i]:,.0f} contacts", float(z),
                )  # fmt: skip


def _out_of_step(
    table: Table, column: str, figure: np.ndarray, size: np.ndarray, flows: np.ndarray
) -> Iterator[Doubt]:
    """A column that does not rise and fall with contacts, or with estimates where none are."""
    for flow in np.unique(flows):
        at = np.flatnonzero((flows == flow) & np.isfinite(size))
        if len(at) < LEAST_CELLS or np.log(size[at]).std() < DIFFERENT_SIZES:
            continue
        if np.ptp(figure[at]) == 0:
            slope, together = 0.0, 0.0
        else:
            slope = float(np.polyfit(np.log(size[at]), np.log(figure[at]), 1)[0])
            ranks = pd.DataFrame({"figure": figure[at], "size": size[at]}).rank()
            together = float(ranks.corr().iloc[0, 1])
        low, high = SLOPES
        if column != "contacts" and together >= GOES_WITH and not low <= slope <= high:
            yield Doubt(
                "ERROR_UNLIKELY.rows", table, column, f"{figure[at[0]]:,.0f}",
                f"{flow}: standard errors grow with the power {slope:.2f} of contacts, expected "
                "about 0.5", abs(slope - 0.5),
            )  # fmt: skip
        if together < GOES_WITH:
            words = ("standard errors", "contacts") if column != "contacts" else (
                "estimates", "contacts")  # fmt: skip
            yield Doubt(
                "ERROR_UNLIKELY.rows", table, column, f"{figure[at[0]]:,.0f}",
                f"{flow}: {words[0]} do not rise with {words[1]} from cell to cell "
                f"(rank correlation {together:.2f})", 1 - together,
            )  # fmt: skip


def _odd_years(
    table: Table, years: np.ndarray, error: np.ndarray, size: np.ndarray, flows: np.ndarray
) -> Iterator[Doubt]:
    """Years in which all errors are larger or smaller beside their contacts than in the others."""
    for flow in np.unique(flows):
        at = np.flatnonzero((flows == flow) & np.isfinite(size))
        labels, place, cells = np.unique(years[at], return_inverse=True, return_counts=True)
        if len(labels) < LEAST_YEARS or cells.min() < LEAST_IN_YEAR:
            continue
        logs = np.log(error[at]) - 0.5 * np.log(size[at])
        level = np.array([np.median(logs[place == t]) for t in range(len(labels))])
        usual, score = unlike_others(level, np.maximum(0.1, 0.3 / np.sqrt(cells)))
        for t in np.flatnonzero(score > YEAR_LIMIT):
            yield Doubt(
                "ERROR_UNLIKELY.table", table, "standard_error", str(labels[t]),
                f"{labels[t]} {flow}: errors are {np.exp(level[t] - usual[t]):.2f} times those of "
                "other years beside their contacts", score[t],
            )  # fmt: skip


def _in_other_places(table: Table) -> Iterator[Doubt]:
    """Errors or estimates that go with contacts far better under other years or sexes."""
    for whole in cells_of(table, "contacts"):
        for column, power in (("standard_error", 0.5), ("estimate", 1.0)):
            cells = next((c for c in cells_of(table, column) if c.labels == whole.labels), None)
            if cells is None or cells.values[0].size < LEAST_IN_YEAR:
                continue
            size, figures = (
                np.log(np.where(x > 0, x, np.nan)) for x in (whole.values, cells.values)
            )
            size = power * size
            moves = dict(orders(cells.years)) if len(cells.years) >= LEAST_YEARS else {}
            if cells.sexes == SEXES:
                moves["the sexes fit exchanged"] = lambda v: v[:, ::-1]
            found = _apart_from(figures, size)
            for what, move in moves.items():
                gain = figures.size / 2 * np.log(found / _apart_from(move(figures), size))
                if gain > IN_OTHER_PLACES:
                    yield Doubt(
                        "ERROR_UNLIKELY.rows", table, column, str(cells.years[0]),
                        f"{cells.labels.get('flow', '')}: {column.replace('_', ' ')} beside "
                        f"contacts: {what}", float(gain),
                    )  # fmt: skip
                    break


def _apart_from(figures: np.ndarray, size: np.ndarray) -> float:
    """Mean square of the known logs (year, sex, age) beside those of their size, by year."""
    apart = (figures - size).reshape(len(figures), -1)
    apart[~np.isfinite(apart)] = np.nan
    apart = apart[np.isfinite(apart).sum(axis=1) > 1]
    return float(np.nanmean(np.nanvar(apart, axis=1))) + ERROR_OF_ERRORS**2 if apart.size else 1.0


def check_plausibility(tables: Sequence[Table], account: Account, log: Collector) -> None:
    """Run every check of :data:`CHECKS`; doubts of one cause and file are one finding."""
    found: dict[tuple[str, str, str], list[Doubt]] = {}
    for check in CHECKS:
        for one in check(tables, account):
            found.setdefault((one.cause, one.table.name, one.column), []).append(one)
    for (cause, file, column), same in found.items():
        worst = sorted(same, key=lambda d: -d.size)
        log.add(
            cause, file=file, column=column, texts=[worst[0].figure], total=len(worst),
            places="; ".join(d.words for d in worst[:SHOWN])
            + (f"; and {len(worst) - SHOWN} more" if len(worst) > SHOWN else ""),
        )  # fmt: skip


SEX_RATIO_AT_BIRTH: Final = (1.055, 0.012)
"""Males per female born, and its deviation among populations: 1.03 to 1.08 (Chahnazarian 1988,
Social Biology 35); above where births are selected by sex."""

SAME_SEX_RATIO: Final = 0.025
"""Logarithm by which males per female may differ between stocks of one time."""

AS_CHILDREN: Final = 0.08
"""Logarithm by which males per female under 10 may differ from those usually born."""


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


CHECKS: Final[tuple[Check, ...]] = (
    doubts.cell_doubts,
    doubts.year_doubts,
    doubts.band_doubts,
    doubts.rounded_years,
    doubts.copied_years,
    misplaced.rearranged_years,
    misplaced.exchanged_flows,
    misplaced.exchanged_cells,
    misplaced.exchanged_years,
    misplaced.exchanged_stocks,
    misplaced.misplaced_streams,
    doubts.lost_years,
    doubts.running_totals,
    contradictions.schedules,
    contradictions.sums_of_parts,
    contradictions.stock_totals,
    sex_ratios,
    sexes_of_stocks,
    sexes_of_years,
    contradictions.published_twice,
    contradictions.rates,
    contradictions.cohorts,
    misplaced.births_in_order,
    survey_errors,
)
"""Every check of plausibility, in the order in which messages name them."""
