"""Figures that cannot be right, or are unlike everything around them.

One table of checks (`CHECKS`) and one mechanism: a check looks at tables as they were
read and yields doubts, each with its file, year, cell, figure and what its neighbours say;
doubts of one cause and file become one finding. Nothing is changed. A clean table alarms
with probability :data:`imps.reading.plausibility.FALSE_ALARM` in each check if its counts
vary as counts do; where they vary more, the spread is learnt from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd

from imps.names import SEXES
from imps.project import contradictions, doubts, misplaced, sexes_and_ages
from imps.project.arithmetic import LEAST_YEARS
from imps.project.doubts import YEAR_LIMIT, Doubt
from imps.project.sections import Account
from imps.reading.findings import Collector
from imps.reading.plausibility import ROBUST, cells_of, limit, root_deviance, spread, unlike_others
from imps.reading.rearrangements import orders
from imps.reading.survey_checks import SURVEYS
from imps.reading.table import Table, of_kinds

SHOWN: Final = 5
"""Doubts of one cause and file that a message tells, the largest first."""

Check = Callable[[Sequence[Table], Account], Iterator[Doubt]]

DESIGN_EFFECTS: Final = (0.5, 5.0)
"""Design effects of a sample of migrants; 1.5 to 4.2 in the International Passenger Survey."""

SAME_EFFECTS: Final = 3.0
"""Times by which design effects of two directions of one survey may differ: 1.9 to 2.2 in the
cases of the package. Half-widths for standard errors of one of them make them differ 3.8 times."""

USUAL_APART: Final = 0.15
"""Logarithm by which errors of many contacts differ from cell to cell; 0.13 to 0.18 of the UK's."""

LEAST_WEIGHT: Final = 2.0
"""Grossing weight from which an estimate is not equal to its contacts by chance."""

BOUNDS: Final = MappingProxyType({"upper bounds": 1.96, "lower bounds": -1.96})
"""Standard errors by which bounds that stand for estimates lie above them."""

SAME_WEIGHTS: Final = 0.2
"""Logarithm by which the directions of one survey may be grossed apart, beside five times the
spread of weights within them; 0.56 beside a spread of 0.2 in the UK's."""

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
"""Standard deviation of the log of contacts from which cells differ enough to be ranked; half of
it, to tell the power with which figures grow."""


def survey_errors(tables: Sequence[Table], _: Account) -> Iterator[Doubt]:
    """Estimates and standard errors against the contacts that they rest on."""
    for table in of_kinds(tables, *SURVEYS):
        frame = table.frame
        if "standard_error" not in frame:
            continue
        yield from _nobody_met(table)
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
        years = known["year"].to_numpy()
        yield from _odd_years(table, years, "standard_error", error, np.sqrt(size), flows)
        if contacts is not None:
            yield from _odd_years(table, years, "estimate", estimate, size, flows)
        yield from _in_other_places(table)
        if contacts is not None:
            yield from _bounds(table, estimate, error, contacts, flows)
            yield from _weights(table, estimate, contacts, flows)
            yield from _odd_effects(table, estimate, error, size, flows, rows)
            yield from _out_of_step(table, "contacts", estimate, size, flows)


def _nobody_met(table: Table) -> Iterator[Doubt]:
    """Estimates of nobody, of whom some were met."""
    if "contacts" not in table.frame:
        return
    odd = table.frame[(table.frame["estimate"] == 0) & (table.frame["contacts"] > 0)]
    for row in odd.to_dict("records"):
        cell = " ".join(str(row[c]) for c in ("year", "flow", "sex", "age_group") if c in row)
        yield Doubt("CELL_UNLIKELY", table, "estimate", "0",
                    f"{cell}: 0 beside {row['contacts']:,.0f} contacts",
                    row["contacts"])  # fmt: skip


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
    effects = contacts * (error / estimate) ** 2
    of_flow = {f: float(np.nanmedian(effects[flows == f])) for f in np.unique(flows)}
    low, high = DESIGN_EFFECTS
    odd = [e for e in (float(np.nanmedian(effects)), *of_flow.values()) if not low <= e <= high]
    if odd and not same.all():
        yield Doubt(
            "ERROR_UNLIKELY.table", table, "standard_error", f"{error[0]:,.0f}",
            f"beside their contacts the errors imply a design effect of {odd[0]:.3g}, "
            f"expected {low} to {high}",
        )  # fmt: skip
    elif max(of_flow.values()) > SAME_EFFECTS * min(of_flow.values()) and len(effects) >= 12:
        told = ", ".join(f"{e:.2f} of {f}" for f, e in of_flow.items())
        yield Doubt(
            "ERROR_UNLIKELY.table", table, "standard_error", f"{error[0]:,.0f}",
            f"beside their contacts the errors imply design effects of {told}: more than "
            f"{SAME_EFFECTS} times one another", 3.0,
        )  # fmt: skip
    for flow in np.unique(flows):
        at = np.flatnonzero((flows == flow) & (contacts > 0))
        if len(at) < 6:
            continue
        weight = np.median(estimate[at] / contacts[at])
        residual = root_deviance(estimate[at] / weight, contacts[at])
        score = _apart(residual, np.sqrt(1.5**2 + (1.5 * USUAL_APART) ** 2 * contacts[at]))
        for i, z in zip(at, score, strict=True):
            if z > limit(len(score)) + 2 and not same[i]:
                yield Doubt(
                    "CELL_UNLIKELY", table, "estimate", f"{estimate[i]:,.0f}",
                    f"{rows[i]}: {estimate[i]:,.0f} beside about {weight * contacts[i]:,.0f} "
                    f"for its {contacts[i]:,.0f} contacts", float(z),
                )  # fmt: skip


def _bounds(
    table: Table, estimate: np.ndarray, error: np.ndarray, contacts: np.ndarray, flows: np.ndarray
) -> Iterator[Doubt]:
    """Bounds of intervals for estimates: what they bound goes with the contacts far better."""
    for flow in np.unique(flows):
        at = np.flatnonzero((flows == flow) & (contacts > 0))
        if len(at) < LEAST_CELLS:
            continue
        given = np.log(estimate[at] / contacts[at])
        for what, sds in BOUNDS.items():
            bounded = estimate[at] - sds * error[at]
            if bounded.min() <= 0:
                continue
            apart = np.log(bounded / contacts[at])
            small = ERROR_OF_ERRORS**2
            gain = len(at) / 2 * np.log((small + given.var()) / (small + apart.var()))
            if gain > IN_OTHER_PLACES:
                yield Doubt(
                    "ERROR_UNLIKELY.rows", table, "estimate", f"{estimate[at[0]]:,.0f}",
                    f"{flow}: estimates go with contacts if they are {what} of 95 % intervals",
                    float(gain),
                )  # fmt: skip


def _weights(
    table: Table, estimate: np.ndarray, contacts: np.ndarray, flows: np.ndarray
) -> Iterator[Doubt]:
    """Directions of one survey whose contacts stand for far more or fewer people each."""
    known = contacts > 0
    logs = [np.log(estimate[k] / contacts[k]) for f in np.unique(flows)
            if (k := known & (flows == f)).sum() >= LEAST_CELLS]  # fmt: skip
    if len(logs) < 2:
        return
    one, two = (float(np.median(x)) for x in logs[:2])
    within = ROBUST * max(float(np.median(np.abs(x - np.median(x)))) for x in logs[:2])
    if abs(one - two) > SAME_WEIGHTS + YEAR_LIMIT * within:
        yield Doubt(
            "ERROR_UNLIKELY.rows", table, "estimate", f"{estimate[0]:,.0f}",
            f"a contact stands for {np.exp(one):.1f} people of {np.unique(flows)[0]} and "
            f"{np.exp(two):.1f} of {np.unique(flows)[1]}", abs(one - two),
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
        if len(at) < LEAST_CELLS or np.log(size[at]).std() < DIFFERENT_SIZES / 2:
            continue
        words = ("standard errors" if column != "contacts" else "estimates", "contacts")
        if np.ptp(figure[at]) == 0:
            slope, error, together = 0.0, 0.0, 0.0
        else:
            x, y = np.log(size[at]), np.log(figure[at])
            slope = float(np.polyfit(x, y, 1)[0])
            rest = (y - y.mean() - slope * (x - x.mean())).std()
            error = 3 * float(rest / x.std() / np.sqrt(len(x)))
            ranks = pd.DataFrame({"figure": figure[at], "size": size[at]}).rank()
            together = float(ranks.corr().iloc[0, 1])
        usual = 0.5 if column != "contacts" else 1.0
        low, high = (2 * usual * x for x in SLOPES)
        if together >= GOES_WITH and not low - error <= slope <= high + error:
            yield Doubt(
                "ERROR_UNLIKELY.rows", table, column, f"{figure[at[0]]:,.0f}",
                f"{flow}: {words[0]} grow with the power {slope:.2f} of contacts, expected "
                f"about {usual}", abs(slope - usual),
            )  # fmt: skip
        if together < GOES_WITH and np.log(size[at]).std() >= DIFFERENT_SIZES:
            yield Doubt(
                "ERROR_UNLIKELY.rows", table, column, f"{figure[at[0]]:,.0f}",
                f"{flow}: {words[0]} do not rise with {words[1]} from cell to cell "
                f"(rank correlation {together:.2f})", 1 - together,
            )  # fmt: skip


def _odd_years(
    table: Table, years: np.ndarray, column: str, figure: np.ndarray, size: np.ndarray,
    flows: np.ndarray,
) -> Iterator[Doubt]:  # fmt: skip
    """Years in which all figures are larger or smaller beside their contacts than in the others."""
    for flow in np.unique(flows):
        at = np.flatnonzero((flows == flow) & np.isfinite(size))
        labels, place, cells = np.unique(years[at], return_inverse=True, return_counts=True)
        if len(labels) < LEAST_YEARS or cells.min() < LEAST_IN_YEAR:
            continue
        logs = np.log(figure[at] / size[at])
        level = np.array([np.median(logs[place == t]) for t in range(len(labels))])
        least = (0.1, 0.3) if column == "standard_error" else (0.08, 0.25)
        usual, score = unlike_others(level, np.maximum(least[0], least[1] / np.sqrt(cells)))
        for t in np.flatnonzero(score > YEAR_LIMIT):
            yield Doubt(
                "ERROR_UNLIKELY.table" if column == "standard_error" else "YEAR_UNLIKELY",
                table, column, str(labels[t]),
                f"{labels[t]} {flow}: {column.replace('_', ' ')}s are "
                f"{np.exp(level[t] - usual[t]):.2f} times those of other years beside their "
                "contacts", score[t],
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


CHECKS: Final[tuple[Check, ...]] = (
    doubts.cell_doubts,
    doubts.year_doubts,
    doubts.band_doubts,
    sexes_and_ages.age_steps,
    doubts.rounded_years,
    doubts.copied_years,
    doubts.divided_ages,
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
    sexes_and_ages.sex_ratios,
    sexes_and_ages.sexes_of_stocks,
    sexes_and_ages.sexes_of_years,
    contradictions.published_twice,
    contradictions.rates,
    contradictions.cohorts,
    misplaced.births_in_order,
    survey_errors,
)
"""Every check of plausibility, in the order in which messages name them."""
