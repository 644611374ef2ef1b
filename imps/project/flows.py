"""Survey flows, administrative flows and known changes of an account from checked tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.periods import CALENDAR_YEARS, MID_YEARS
from imps.demography.schedules import group_matrix, migration_schedule
from imps.names import AGE_GROUP, FLOWS, SEX, SEXES, YEAR
from imps.project.arrays import labelled
from imps.project.between import Account
from imps.project.stocks import complete, counted
from imps.project.vital import intervals, needed_years
from imps.reading.findings import Findings, listed
from imps.reading.options import CALENDAR_YEAR
from imps.reading.table import Table, of_kinds
from imps.sources.administrative import (
    AdministrativeFlow,
    KnownChange,
)
from imps.sources.definitions import LONG_TERM, SURVEY, explained, measure_of
from imps.sources.flows import SurveyFlow
from imps.sources.kinds import KINDS, NET, PARTS
from imps.sources.stocks import BY_SEX_AND_AGE, TOTAL
from imps.sources.vital import to_mid_years

EFFECTIVE_CONTACTS: Final = (
    "contacts were not given: effective number, (estimate / standard error) squared"
)
LARGEST_EFFECTIVE: Final = 1e6
_CELLS: Final = (SEX, AGE_GROUP)


# The survey


def survey_flows(
    tables: Sequence[Table], account: Account, log: Findings
) -> tuple[SurveyFlow, SurveyFlow] | None:
    """Both directions of the survey; citizenships are summed, unpublished cells marked.

    Returns
    -------
    pair of SurveyFlow
        Immigration and emigration, or None with findings that say why.
    """
    same = of_kinds(tables, "survey_flows")
    if not same:
        log.add(
            "the account", "TABLE_MISSING", "the account has no survey_flows",
            "Add a table of immigration and emigration with standard errors.",
        )  # fmt: skip
    if not same or not _agree(same, log):
        return None
    rows = pd.concat([t.frame for t in same], ignore_index=True)
    rows = rows[rows[YEAR].isin(needed_years(account, same[0].metadata["period"]))]
    if not _has_both_flows(rows, same[0], log):
        return None
    rows = _sum_citizenships(rows, same[0], log)
    found = [_survey_flow(rows[rows["flow"] == f], f, same, account, log) for f in FLOWS]
    if found[0] is None or found[1] is None:
        return None
    return found[0], found[1]


def _agree(tables: Sequence[Table], log: Findings) -> bool:
    """One period, one definition, one vintage and one detail for all tables of the survey."""
    first = tables[0]
    for table in tables[1:]:
        for what in ("period", "definition", "vintage"):
            one, other = (str(t.metadata.get(what, "")) for t in (first, table))
            if one != other:
                log.add(
                    table.name, "DEFINITION_MISMATCH",
                    f"the {what} is '{other or 'not stated'}', that of {first.name} "
                    f"'{one or 'not stated'}'{explained(measure_of(one), measure_of(other))}",
                    "Use tables of one kind for both directions and all years.",
                    column=what, texts=[other],
                )  # fmt: skip
                return False
    return True


def _has_both_flows(rows: pd.DataFrame, table: Table, log: Findings) -> bool:
    """Net migration alone cannot be divided into arrivals and departures."""
    found = set(rows["flow"])
    lost = [flow for flow in FLOWS if flow not in found]
    if not lost and found == set(FLOWS):
        return True
    log.add(
        table.name, "FLOW_NEEDED",
        f"there is no {listed(lost)}" if lost else "net migration stands alone in some rows",
        "Give immigration and emigration: their errors differ, so net migration alone does not do.",
        column="flow", texts=sorted(found)[:1],
    )  # fmt: skip
    return False


def _sum_citizenships(rows: pd.DataFrame, table: Table, log: Findings) -> pd.DataFrame:
    """Parts by citizenship are summed; their sampling errors combine in quadrature."""
    keys = [YEAR, "flow", SEX, AGE_GROUP]
    if "citizenship" not in rows or rows["citizenship"].nunique() < 2:
        return rows
    figures = [c for c in ("estimate", "contacts") if c in rows]
    by = [rows[k] for k in keys]
    whole = rows[figures].groupby(by, sort=False).agg(lambda x: x.to_numpy().sum())
    squares = (rows["standard_error"] ** 2).groupby(by, sort=False)
    whole["standard_error"] = squares.agg(lambda x: float(np.sqrt(x.to_numpy().sum())))
    parts = sorted(set(rows["citizenship"]))
    log.add(
        table.name, "CITIZENSHIPS_SUMMED", f"parts {listed(parts)} were summed, standard errors in "
        "quadrature", column="citizenship", total=len(rows),
    )  # fmt: skip
    first = rows.groupby(by, sort=False)["age"].first()
    return whole.assign(age=first).reset_index()


def _survey_flow(
    rows: pd.DataFrame, flow: str, tables: Sequence[Table], account: Account, log: Findings
) -> SurveyFlow | None:
    table = tables[0]
    groups = _age_groups(rows, flow, table, log)
    if groups is None:
        return None
    years = needed_years(account, table.metadata["period"])
    cells = {YEAR: years, SEX: SEXES, AGE_GROUP: groups[AGE_GROUP].values.tolist()}
    estimate, error = (labelled(rows, c, cells) for c in ("estimate", "standard_error"))
    unobserved = estimate.isnull() | error.isnull()
    if not _any_year(unobserved, flow, table, log) or not _any_migrant(estimate, flow, table, log):
        return None
    filled, filled_error = fill_unobserved(estimate, unobserved), _typical(error, unobserved)
    contacts, rule = _contacts(rows, cells, filled, filled_error, log, table, flow)
    if unobserved.any():
        log.add(
            table.name, "CELLS_UNOBSERVED", f"{int(unobserved.sum())} cells of {flow} leave the "
            f"likelihood ({listed(_labels(unobserved)[:5])}); a schedule stands in their place in "
            "the roll-forward", column="estimate", total=int(unobserved.sum()),
        )  # fmt: skip
    definition = table.metadata.get("definition", "") or "survey"
    return SurveyFlow(
        flow=flow,
        estimate=filled,
        standard_error=filled_error,
        contacts=contacts,
        lower_ages=groups,
        definition=definition,
        vintage=table.metadata.get("vintage", "") or "not stated",
        reference=listed([t.cited for t in tables]),
        observed=TOTAL if table.options.observed == "total" else BY_SEX_AND_AGE,
        basis=CALENDAR_YEARS if table.metadata["period"] == CALENDAR_YEAR else MID_YEARS,
        variance_function=rule,
        unobserved=unobserved if unobserved.any() else None,
        counted=counted(table, account, _measure(table)),
    )


def _measure(table: Table) -> str:
    """The measure; a total of which is declared what it holds is the survey once that is off."""
    measure = measure_of(table.metadata.get("definition", ""))
    return SURVEY if measure == LONG_TERM and table.options.includes is not None else measure


def _age_groups(rows: pd.DataFrame, flow: str, table: Table, log: Findings) -> xr.DataArray | None:
    """First age of each group by sex, (sex, age_group); the same groups in every year."""
    first = rows.groupby([SEX, AGE_GROUP], observed=True)["age"].first()
    women = first["female"] if "female" in first.index.get_level_values(0) else first["male"]
    order = women.sort_values().index.tolist()
    yearly = rows.groupby(YEAR)[AGE_GROUP].agg(set)
    changed = [int(str(y)) for y, groups in yearly.items() if groups != set(order)]
    if changed or women.min() != 0 or not str(order[-1]).endswith("+"):
        problem = (
            f"age groups of {flow} change in {listed(changed)}" if changed
            else f"age groups of {flow} run from {order[0]} to {order[-1]}"
        )  # fmt: skip
        log.add(
            table.name, "AGE_GAP", f"{problem}; the account needs the same groups in all years, "
            "from age 0 to an open group", "Sum the groups to those that all years share.",
            column=AGE_GROUP,
        )  # fmt: skip
        return None
    lower = [[float(first[sex][group]) for group in order] for sex in SEXES]
    return xr.DataArray(lower, dims=_CELLS, coords={SEX: list(SEXES), AGE_GROUP: order})


def _any_year(unobserved: xr.DataArray, flow: str, table: Table, log: Findings) -> bool:
    """A cell that no year has cannot have a reference."""
    never = unobserved.all(YEAR)
    if not never.any():
        return True
    log.add(
        table.name, "CELLS_NEEDED", f"{flow} has no figure in any year for "
        f"{listed(_labels(never)[:5])}", "Sum the group into another one.",
        column="estimate", total=int(never.sum()),
    )  # fmt: skip
    return False


def _any_migrant(estimate: xr.DataArray, flow: str, table: Table, log: Findings) -> bool:
    """The priors of a flow are shares of its own size, so nobody at all cannot enter."""
    if (estimate > 0).any():
        return True
    log.add(
        table.name, "CELLS_NEEDED", f"every figure of {flow} is 0",
        "Give the flow, or end the account where it is known.", column="estimate",
        total=estimate.size,
    )  # fmt: skip
    return False


def _labels(cells: xr.DataArray) -> list[str]:
    chosen = np.argwhere(cells.values)
    return [
        " ".join(str(cells[d].values[i]) for d, i in zip(cells.dims, at, strict=True))
        for at in chosen
    ]


def fill_unobserved(estimate: xr.DataArray, unobserved: xr.DataArray) -> xr.DataArray:
    """A schedule in place of the cells that were not published.

    A missing cell takes its mean over the other years times the level of its year:
    the published cells of the year over their own means, or, if none was
    published, the level between the neighbouring years. No likelihood sees it.

    Parameters
    ----------
    estimate : DataArray (year, sex, age_group), persons per year
    unobserved : DataArray of bool, same labels

    Returns
    -------
    DataArray, same labels
        Published cells unchanged.
    """
    known = estimate.where(~unobserved)
    typical = known.mean(YEAR)
    usual = typical.where(~unobserved).sum(_CELLS)
    seen = (usual > 0).values
    years = estimate[YEAR].values
    share = known.sum(_CELLS).values[seen] / usual.values[seen]
    level = xr.DataArray(np.interp(years, years[seen], share), dims=YEAR, coords={YEAR: years})
    return known.fillna((typical * level).transpose(*estimate.dims))


def _typical(error: xr.DataArray, unobserved: xr.DataArray) -> xr.DataArray:
    """Errors with the root mean square of other years where a cell was not published."""
    known = error.where(~unobserved)
    return known.fillna(np.sqrt((known**2).mean(YEAR)))


def _contacts(
    rows: pd.DataFrame,
    cells: dict[str, Sequence[object]],
    estimate: xr.DataArray,
    error: xr.DataArray,
    log: Findings,
    table: Table,
    flow: str,
) -> tuple[xr.DataArray, str]:
    """Contacts as published, or the effective number that the standard error stands for."""
    effective = ((estimate / error) ** 2).clip(max=LARGEST_EFFECTIVE)
    if "contacts" in rows and rows["contacts"].notna().any():
        return labelled(rows, "contacts", cells).fillna(effective), ""
    log.add(
        table.name, "CONTACTS_DERIVED", f"{flow}: {EFFECTIVE_CONTACTS}", column="standard_error",
        total=estimate.size,
    )  # fmt: skip
    return effective, EFFECTIVE_CONTACTS


def without_included(
    survey: SurveyFlow,
    parts: Sequence[AdministrativeFlow],
    table: Table,
    n_ages: int,
    log: Findings,
) -> SurveyFlow | None:
    """A total of migration without the parts that it holds, so that none counts twice.

    Each part is taken off cell by cell with the age schedule that the model gives it;
    the standard errors stay those of the survey.
    """
    included = table.options.includes or ()
    inside = [p for p in parts if p.flow == survey.flow and p.name in included]
    if not inside:
        return survey
    schedule = 2 * migration_schedule(n_ages, survey.flow)
    groups = group_matrix(survey.lower_ages.values, n_ages)
    estimate = survey.estimate
    for part in inside:
        share = np.array([part.male_share, 1 - part.male_share])
        shape = np.einsum("sga,sa->sg", groups, schedule) * share[:, None]
        cells = xr.DataArray(shape, dims=_CELLS, coords={d: estimate[d] for d in _CELLS})
        yearly = part.count.sel({YEAR: estimate[YEAR].values})
        estimate = estimate - (part.sign * yearly * cells).transpose(*estimate.dims)
    if survey.observed == TOTAL:
        left = estimate.sum(_CELLS)
        estimate = (survey.estimate / survey.estimate.sum(_CELLS) * left).transpose(*estimate.dims)
    names = [p.name for p in inside]
    if float(estimate.min()) < 0:
        below = _labels(estimate < 0)
        log.add(
            table.name, "NEGATIVE_FLOW", f"{survey.flow} without {listed(names)} is negative in "
            f"{listed(below[:5])}", "Check that the total holds them and that units agree.",
            column="estimate", total=len(below),
        )  # fmt: skip
        return None
    log.add(
        table.name, "INCLUDED_TAKEN_OFF", f"{listed(names)} were taken off {survey.flow}, which "
        "holds them, and stand beside it as sources of their own", column="estimate",
        total=estimate.size,
    )  # fmt: skip
    fields = {f: getattr(survey, f) for f in survey.__dataclass_fields__}
    definition = f"{survey.definition} without {listed(names)}"
    return SurveyFlow(**{**fields, "estimate": estimate, "definition": definition})


# Administrative flows


def administrative_flows(
    tables: Sequence[Table], basis: str, account: Account, log: Findings
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
            if flow == NET and source not in PARTS:
                change = _known_change(str(source), own, table, account, log)
                changes += [change] if change else []
            else:
                part = _part(str(source), str(flow), own, table, basis, account, log)
                parts += [part] if part else []
    return tuple(parts), tuple(changes)


def _sum_parts(table: Table, log: Findings) -> pd.DataFrame:
    keys = ["source", YEAR, "flow"]
    rows = table.frame
    if "citizenship" not in rows or rows["citizenship"].nunique() < 2:
        return rows
    log.add(
        table.name, "CITIZENSHIPS_SUMMED",
        f"parts {listed(sorted(set(rows['citizenship'])))} were summed", column="citizenship",
        total=len(rows),
    )  # fmt: skip
    whole = rows.groupby(keys, sort=False)["count"].agg(lambda x: x.to_numpy().sum())
    return whole.reset_index()


def _part(
    source: str,
    flow: str,
    rows: pd.DataFrame,
    table: Table,
    basis: str,
    account: Account,
    log: Findings,
) -> AdministrativeFlow | None:
    if flow == "net":
        log.add(
            table.name, "FLOW_NEEDED", f"'{source}' is given as net migration; as a part of total "
            "migration it needs its direction", "Give its immigration and its emigration.",
            column="flow", texts=["net"],
        )  # fmt: skip
        return None
    if source not in PARTS:
        log.add(
            table.name, "SOURCE_UNKNOWN", f"is not a part of total migration that has a prior; "
            f"those are {listed(PARTS)}",
            "Use one of these names, or give it as flow = net: it is then carried as published.",
            column="source", texts=[source],
        )  # fmt: skip
        return None
    count = _yearly(source, rows, table, basis, account, log)
    if count is None:
        return None
    return AdministrativeFlow.of(
        KINDS[source],
        flow,
        count,
        vintage=table.metadata.get("vintage", "") or "not stated",
        reference=table.cited,
        basis=basis,
        counted=counted(table, account),
    )


def _yearly(
    source: str,
    rows: pd.DataFrame,
    table: Table,
    basis: str,
    account: Account,
    log: Findings,
) -> xr.DataArray | None:
    """Counts of the years that the account needs, on the basis of the survey."""
    period = table.metadata["period"]
    years = needed_years(account, period)
    rows = rows[rows[YEAR].isin(years)]
    lost = [y for y in years if y not in set(rows[YEAR])]
    if lost:
        log.add(
            table.name, "CELLS_NEEDED", f"'{source}' has no rows for {listed(lost)}, and the "
            "account cannot do without them", "Add them; 0 if there were none.", column=YEAR,
            total=len(lost),
        )  # fmt: skip
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
        table.name, "PERIOD_MISMATCH", f"'{source}' is by {MID_YEARS} and the survey by "
        f"{CALENDAR_YEARS}{explained(CALENDAR_YEARS, MID_YEARS)}",
        "Give it for calendar years.", column=YEAR, texts=[period],
    )  # fmt: skip
    return None


def _known_change(
    source: str, rows: pd.DataFrame, table: Table, account: Account, log: Findings
) -> KnownChange | None:
    count = _yearly(source, rows, table, MID_YEARS, account, log)
    if count is None:
        return None
    log.add(
        table.name, "KNOWN_CHANGE", f"'{source}' is net and no part of total migration: it is "
        "carried in the account as published, without an error unless it has a prior",
        column="source",
        total=len(rows),
    )  # fmt: skip
    return KnownChange(
        source, count, table.metadata.get("vintage", "") or "not stated", table.cited,
        counted(table, account),
    )  # fmt: skip


def total_of(surveys: Sequence[SurveyFlow], parts: Sequence[AdministrativeFlow]) -> xr.DataArray:
    """Total migration of the tables, (flow, year), persons: survey plus signed parts."""
    totals = []
    for survey in surveys:
        total = survey.estimate.sum(_CELLS)
        for part in parts:
            if part.flow == survey.flow:
                total = total + part.sign * part.count
        totals.append(total)
    flows = xr.DataArray([s.flow for s in surveys], dims="flow", name="flow")
    return xr.concat(totals, dim=flows)
