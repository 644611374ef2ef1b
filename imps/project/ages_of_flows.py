"""What an age of the survey's flows is where nothing says it, as the stocks show.

An age at the move is up to a year less than that reached at the end of the year, so that single
ages of a flow stand half a year apart by the two readings. Where base and last stock are by sex
and single age and the flows jump from age to age, only one reading leaves the cohorts smooth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from imps.account.parts import flows_as_laid_out
from imps.account.stocks import registered_births, registered_deaths
from imps.demography.accounting import along_cohorts, carry
from imps.names import FLOW_SIGN
from imps.reading.findings import Collector
from imps.reading.table import Table
from imps.sources import Sources
from imps.sources.definitions import AT_END, AT_MOVE

SMOOTHER: Final = 1.5
"""Ratio of roughness from which ages reached at the end of the year are taken. Where ages are those
at the move it stays near or under 1, as it does where random errors are all the roughness."""


def with_ages_as_stocks_show(sources: Sources, table: Table, log: Collector) -> Sources:
    """The sources, whose flows have ages at the end of the year if that is told by the stocks.

    Parameters
    ----------
    table : Table
        The first table of the survey. What it declares of the ages of the flows stands.
    """
    flows = sources.survey_flows
    known = table.options.age_counted is not None or any(f.published_axes for f in flows.values())
    if known or not flows or not (sources.base.fixes_cells and sources.census.fixes_cells):
        return sources
    other = replace(sources, **{name: replace(flow, ages=AT_END) for name, flow in flows.items()})  # type: ignore[arg-type]
    at_move, at_end = roughness(sources), roughness(other)
    if at_move < SMOOTHER * at_end:
        return sources
    log.add("AGES_OF_FLOWS", file=table.name, column="age_group", ages=AT_END, other=AT_MOVE,
            ratio=at_move / max(at_end, 1e-9 * at_move))  # fmt: skip
    return other


def roughness(sources: Sources) -> float:
    """Mean squared second difference over ages of the gap, in variances of a Poisson count.

    The gap of a cohort is the base carried to the end, with births, deaths and the survey's flows
    as laid out, less the last stock. Parts laid out by smooth schedules are left out of it.
    """
    flows = registered_births(sources) - registered_deaths(sources)
    for name, flow in flows_as_laid_out(sources).items():
        flows = flows + FLOW_SIGN[name] * flow
    people = sources.census.count.values
    gap = carry(sources.base.count.values, len(sources.years)) + along_cohorts(flows) - people
    bends, sizes = np.diff(gap[:, :-1], n=2, axis=1), np.maximum(people[:, 1:-2], 1.0)
    return float((bends**2 / (6 * sizes)).mean())
