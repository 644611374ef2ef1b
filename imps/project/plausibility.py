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

from imps.project import contradictions, doubts, misplaced, survey_doubts
from imps.project.doubts import Doubt
from imps.project.sections import Account
from imps.reading.findings import Collector
from imps.reading.table import Table

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
    contradictions.sex_ratios,
    contradictions.sexes_of_stocks,
    contradictions.sexes_of_years,
    contradictions.rates,
    contradictions.cohorts,
    contradictions.births_in_order,
    survey_doubts.survey_errors,
)
"""Every check of plausibility, in the order in which messages name them."""
