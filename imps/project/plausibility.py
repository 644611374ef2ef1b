"""Figures that cannot be right, or are unlike everything around them.

One table of checks (`CHECKS`) and one mechanism: a check looks at tables as they were
read and yields doubts, each with its file, year, cell, figure and what its neighbours say;
doubts of one cause and file become one finding. Nothing is changed. A clean table alarms
with probability :data:`imps.reading.plausibility.FALSE_ALARM` in each check if its counts
vary as counts do; where they vary more, the spread is learnt from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from imps.names import AGE_GROUP, SEX
from imps.project import contradictions, doubts
from imps.project.contradictions import LEAST_YEARS
from imps.project.doubts import YEAR_LIMIT, Doubt
from imps.project.sections import Account
from imps.reading.findings import Collector
from imps.reading.plausibility import unlike_others
from imps.reading.table import Table
from imps.sources import Sources

SHOWN: Final = 5
"""Doubts of one cause and file that a message tells, the largest first."""

Check = Callable[[Sequence[Table], Account], Iterator[Doubt]]


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


def check_balance(sources: Sources, log: Collector) -> None:
    """Each year's change of the roll-forward against births, deaths and net migration.

    What is left over differs between publications, so that only a year far from the others
    is named: more than `YEAR_LIMIT` robust deviations, more than five of 100,000 people, and
    more than five times what was put where the survey met nobody.
    """
    left = np.asarray(sources.flows_revised_since.values, float)
    if len(left) < LEAST_YEARS:
        return
    usual, score = unlike_others(left, 1e-5 * sources.base.total + 1 + _filled(sources))
    odd = np.flatnonzero(score > YEAR_LIMIT)
    if not len(odd):
        return
    rows = [
        f"{sources.mid_years[t + 1]}: {left[t]:+,.0f} beside {usual[t]:+,.0f} in other years"
        for t in odd[np.argsort(-score[odd])][:SHOWN]
    ]
    log.add("BALANCE_UNLIKELY", file="the account", total=len(odd), places="; ".join(rows))


def _filled(sources: Sources) -> np.ndarray:
    """Persons (year) put into cells of the survey that were not observed."""
    filled = np.zeros(len(sources.flows_revised_since))
    for survey in sources.survey_flows.values():
        if survey.unobserved is not None:
            cells = survey.estimate.where(survey.unobserved, 0.0)
            filled = filled + sources.at_mid_years(cells.sum((SEX, AGE_GROUP))).values
    return filled


CHECKS: Final[tuple[Check, ...]] = (
    doubts.cell_doubts,
    doubts.year_doubts,
    doubts.copied_years,
    doubts.rearranged_years,
    doubts.exchanged_flows,
    contradictions.schedules,
    contradictions.sums_of_parts,
    contradictions.stock_totals,
    contradictions.sex_ratios,
    contradictions.rates,
    contradictions.cohorts,
    contradictions.survey_errors,
)
"""Every check of plausibility, in the order in which messages name them."""
