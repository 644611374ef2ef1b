"""Parts of total migration and known changes of an account from checked tables.

A part was published; or only the sum of the parts was, as total migration less the survey,
and each is an expected share of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.periods import CALENDAR_YEARS, MID_YEARS
from imps.names import AGE_GROUP, FLOW, FLOWS, SEX, YEAR
from imps.project.arrays import complete, counted, labelled
from imps.project.sections import Account
from imps.project.vital import intervals, needed_years
from imps.reading.findings import Collector, listed
from imps.reading.options import CALENDAR_YEAR
from imps.reading.table import Table, of_kinds
from imps.sources.administrative import (
    EXPECTED,
    PUBLISHED,
    AdministrativeFlow,
    KnownChange,
    KnownSum,
    expected_parts,
)
from imps.sources.definitions import explained
from imps.sources.flows import SurveyFlow
from imps.sources.kinds import NET
from imps.sources.stocks import to_mid_years


def administrative_flows(
    tables: Sequence[Table], basis: str, account: Account, log: Collector
) -> tuple[tuple[AdministrativeFlow, ...], tuple[KnownChange, ...]]:
    """Adjustments by direction, and net changes that the roll-forward carries as published.

    Parameters
    ----------
    basis : {"calendar year", "mid-year"}
        That of the survey, to which calendar years are brought if it is mid-year.
    """
    parts: list[AdministrativeFlow] = []
    changes: list[KnownChange] = []
    for table in of_kinds(tables, "administrative_flows"):
        rows = _sum_parts(table, log)
        for (source, flow), own in rows.groupby(["source", "flow"], sort=True):
            if flow == NET and source not in account.part_names:
                change = _known_change(str(source), own, table, account, log)
                changes += [change] if change else []
            else:
                part = _part(str(source), str(flow), own, table, basis, account, log)
                parts += [part] if part else []
    return tuple(parts), tuple(changes)


def _sum_parts(table: Table, log: Collector) -> pd.DataFrame:
    keys = ["source", YEAR, "flow"]
    rows = table.frame
    if "citizenship" not in rows or rows["citizenship"].nunique() < 2:
        return rows
    log.add(
        "CITIZENSHIPS_SUMMED",
        file=table.name,
        column="citizenship",
        total=len(rows),
        parts=set(rows["citizenship"]),
    )
    whole = rows.groupby(keys, sort=False)["count"].agg(lambda x: x.to_numpy().sum())
    return whole.reset_index()


def _part(
    source: str,
    flow: str,
    rows: pd.DataFrame,
    table: Table,
    basis: str,
    account: Account,
    log: Collector,
) -> AdministrativeFlow | None:
    if flow == "net":
        log.add("FLOW_NEEDED.source", file=table.name, column="flow", texts=["net"], source=source)
        return None
    if source not in account.part_names:
        log.add(
            "SOURCE_UNKNOWN",
            file=table.name,
            column="source",
            texts=[source],
            known=account.part_names,
        )
        return None
    count = _yearly(source, rows, table, basis, account, log)
    if count is None:
        return None
    return AdministrativeFlow.of(
        account.kinds_by_name[source],
        flow,
        count,
        status=EXPECTED if source in account.expected_parts else PUBLISHED,
        vintage=table.metadata.get("vintage", "") or "not stated",
        reference=table.references(rows),
        basis=basis,
        counted=counted(table, account),
    )


def _yearly(
    source: str,
    rows: pd.DataFrame,
    table: Table,
    basis: str,
    account: Account,
    log: Collector,
) -> xr.DataArray | None:
    """Counts of the years that the account needs, on the basis of the survey."""
    period = table.metadata["period"]
    years = needed_years(account, period)
    rows = rows[rows[YEAR].isin(years)]
    if source in account.partly_published and period != CALENDAR_YEAR:
        years = [y for y in years if y in set(rows[YEAR])]
    lost = [y for y in years if y not in set(rows[YEAR])]
    if lost:
        log.add(
            "CELLS_NEEDED.source",
            file=table.name,
            column=YEAR,
            total=len(lost),
            source=source,
            years=lost,
        )
        return None
    if not complete(rows, "count", table, log):
        return None
    count = labelled(rows, "count", {YEAR: years})
    calendar = period == CALENDAR_YEAR
    if calendar == (basis == CALENDAR_YEARS):
        return count
    if calendar:
        return to_mid_years(count.values, np.array(years), intervals(account), (), {})
    log.add(
        "PERIOD_MISMATCH.survey",
        file=table.name,
        column=YEAR,
        texts=[period],
        source=source,
        one=MID_YEARS,
        other=CALENDAR_YEARS,
        explained=explained(CALENDAR_YEARS, MID_YEARS),
    )
    return None


def _known_change(
    source: str, rows: pd.DataFrame, table: Table, account: Account, log: Collector
) -> KnownChange | None:
    count = _yearly(source, rows, table, MID_YEARS, account, log)
    if count is None:
        return None
    log.add("KNOWN_CHANGE", file=table.name, column="source", total=len(rows), source=source)
    return KnownChange(
        source, count, table.metadata.get("vintage", "") or "not stated", table.references(rows),
        counted(table, account), next((k for k in account.own_kinds if k.name == source), None),
    )  # fmt: skip


# The sum of the parts


def with_known_sums(
    tables: Sequence[Table],
    surveys: Sequence[SurveyFlow],
    parts: tuple[AdministrativeFlow, ...],
    account: Account,
    log: Collector,
) -> tuple[xr.DataArray | None, tuple[KnownSum, ...], tuple[AdministrativeFlow, ...]]:
    """Total migration as published, the sums of expected parts in it, and all parts by flow.

    Returns
    -------
    total : DataArray (flow, year), persons, or None
        None where no table of total migration was given.
    known : tuple of KnownSum
        Total minus survey and published parts, of each direction with expected parts.
    parts : tuple of AdministrativeFlow
        With the shares of what the expected parts of tables leave of the known sum.
    """
    waiting = [*account.expected_shares, *account.expected_parts]
    same = of_kinds(tables, "total_migration")
    if not same:
        if waiting:
            log.add(
                "TABLE_MISSING.known_sum",
                file="the account",
                column="expected_shares",
                parts=waiting,
            )
        return None, (), parts
    total = _total_migration(same, surveys[0].basis, account, log)
    unknown = sorted(
        {n for row in account.expected_shares.values() for n in row} - {*account.part_names}
    )
    if unknown:
        log.add(
            "SOURCE_UNKNOWN",
            file="the account",
            column="expected_shares",
            texts=unknown,
            known=account.part_names,
        )
    if total is None or unknown:
        return None, (), parts
    known, ordered = [], []
    for survey in surveys:
        own = [p for p in parts if p.flow == survey.flow]
        shares = account.expected_shares.get(survey.flow, {})  # type: ignore[call-overload]
        ordered += own
        if shares or any(p.status == EXPECTED for p in own):
            found = _known_sum(total, survey, own, same[0])
            known.append(found)
            ordered += _shared(found, own, shares, account)
    return total, tuple(known), tuple(ordered)


def _total_migration(
    tables: Sequence[Table], basis: str, account: Account, log: Collector
) -> xr.DataArray | None:
    """Total migration of the years of the account, (flow, year), on the basis of the survey."""
    table, period = tables[0], tables[0].metadata["period"]
    rows = pd.concat([t.frame for t in tables], ignore_index=True)
    years = needed_years(account, period)
    rows = rows[rows[YEAR].isin(years)]
    if (period == CALENDAR_YEAR) != (basis == CALENDAR_YEARS):
        log.add(
            "PERIOD_MISMATCH.total",
            file=table.name,
            column=YEAR,
            texts=[period],
            explained=explained(CALENDAR_YEARS, MID_YEARS),
        )
        return None
    lost = [f"{f} {y}" for f in FLOWS for y in years
            if not ((rows["flow"] == f) & (rows[YEAR] == y)).any()]  # fmt: skip
    if lost or rows.duplicated([YEAR, "flow"]).any():
        what = f"has no {listed(lost)}" if lost else "holds a year twice"
        log.add(
            "CELLS_NEEDED.total",
            file=table.name,
            column="count",
            total=max(len(lost), 1),
            what=what,
        )
        return None
    if not complete(rows, "count", table, log):
        return None
    return labelled(rows, "count", {FLOW: FLOWS, YEAR: years})


def _known_sum(
    total: xr.DataArray, survey: SurveyFlow, own: Sequence[AdministrativeFlow], table: Table
) -> KnownSum:
    """What was added to the survey beside the published parts: total minus both."""
    count = total.sel({FLOW: survey.flow}, drop=True) - survey.estimate.sum((SEX, AGE_GROUP))
    for part in own:
        if part.status == PUBLISHED:
            count = count - part.sign * part.count
    measure = table.metadata.get("definition", "") or "total migration"
    return KnownSum(
        survey.flow,
        count,
        table.metadata.get("vintage", "") or "not stated",
        f"{measure} minus {survey.reference}",
        survey.basis,
    )


def _shared(
    known: KnownSum,
    own: Sequence[AdministrativeFlow],
    shares: Mapping[str, float],
    account: Account,
) -> tuple[AdministrativeFlow, ...]:
    """Expected parts by share; a part that ends leaves its share to the others."""
    if not shares:
        return ()
    taken = [p.sign * p.count for p in own if p.status == EXPECTED]
    left = replace(known, count=known.count - sum(taken)) if taken else known
    years, ends = known.count[YEAR], account.expected_until
    signed: dict[str, Any] = dict(shares)
    if ends:
        signed = {n: s * (years <= ends.get(n, int(years.max()))) for n, s in shares.items()}
        active = sum(signed.values())
        signed = {name: share / active for name, share in signed.items()}
    kinds = account.kinds_by_name
    return expected_parts(
        left,
        [(partial(AdministrativeFlow.of, kinds[name]), share) for name, share in signed.items()],
        vintage=known.vintage,
        reference=known.reference,
        basis=known.basis,
    )


def total_of(surveys: Sequence[SurveyFlow], parts: Sequence[AdministrativeFlow]) -> xr.DataArray:
    """Total migration of the tables, (flow, year), persons: survey plus signed parts."""
    totals = []
    for survey in surveys:
        total = survey.estimate.sum((SEX, AGE_GROUP))
        for part in parts:
            if part.flow == survey.flow:
                total = total + part.sign * part.count
        totals.append(total)
    flows = xr.DataArray([s.flow for s in surveys], dims="flow", name="flow")
    return xr.concat(totals, dim=flows)
