"""Both directions of the survey from checked tables: cells, or totals over a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.periods import CALENDAR_YEARS, MID_YEARS
from imps.demography.schedules import group_matrix, migration_schedule
from imps.names import AGE_GROUP, FLOWS, SEX, SEXES, YEAR
from imps.project.arrays import complete, counted, labelled
from imps.project.sections import Account
from imps.project.vital import needed_years
from imps.reading.findings import Findings, listed
from imps.reading.options import CALENDAR_YEAR
from imps.reading.table import Table, of_kinds
from imps.sources.administrative import AdministrativeFlow
from imps.sources.definitions import LONG_TERM, SURVEY, explained, measure_of
from imps.sources.flows import SurveyFlow
from imps.sources.stocks import BY_SEX_AND_AGE, TOTAL

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
    same = of_kinds(tables, "survey_totals") or of_kinds(tables, "survey_flows")
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
    if same[0].kind == "survey_totals":
        shapes = of_kinds(tables, "flow_schedule")
        found = [_over_schedule(rows, flow, same, shapes, account, log) for flow in FLOWS]
    else:
        rows = _sum_citizenships(rows, same[0], log)
        found = [_survey_flow(rows[rows["flow"] == f], f, same, account, log) for f in FLOWS]
    if found[0] is None or found[1] is None:
        return None
    return found[0], found[1]


def survey_table(tables: Sequence[Table]) -> Table:
    """The first table of the survey, whose declarations hold for all of it."""
    return of_kinds(tables, "survey_flows", "survey_totals")[0]


def _over_schedule(
    rows: pd.DataFrame,
    flow: str,
    tables: Sequence[Table],
    shapes: Sequence[Table],
    account: Account,
    log: Findings,
) -> SurveyFlow | None:
    """Published totals of the survey laid over sexes and age groups that are no data."""
    table = tables[0]
    if not shapes:
        log.add(
            table.name, "TABLE_MISSING", "totals of the survey have no sexes and age groups",
            "Add [[flow_schedule]]: flows by sex and age group, of which only the shares count.",
        )  # fmt: skip
        return None
    shape = pd.concat([t.frame for t in shapes], ignore_index=True)
    shape = shape[shape["flow"] == flow]
    if shape.empty:
        log.add(
            shapes[0].name, "FLOW_NEEDED", f"there is no {flow}", "Give both directions.",
            column="flow",
        )  # fmt: skip
        return None
    groups = _age_groups(shape, flow, shapes[0], log)
    own = rows[rows["flow"] == flow]
    years = needed_years(account, table.metadata["period"])
    lost = [year for year in years if year not in set(own[YEAR])]
    if lost:
        log.add(
            table.name, "CELLS_NEEDED", f"{flow} has no rows for {listed(lost)}",
            "Add them; totals over a schedule need every year.", column=YEAR, total=len(lost),
        )  # fmt: skip
    good = complete(own, "estimate", table, log) and complete(own, "standard_error", table, log)
    if groups is None or lost or not good or not complete(shape, "estimate", shapes[0], log):
        return None
    labels = [str(g) for g in groups[AGE_GROUP].values]
    cells = {YEAR: sorted(shape[YEAR].unique().tolist()), SEX: SEXES, AGE_GROUP: labels}
    estimate, error = (labelled(own, c, {YEAR: years}) for c in ("estimate", "standard_error"))
    contacts, rule = _contacts(own, {YEAR: years}, estimate, error, log, table, flow)
    return SurveyFlow.from_totals(
        flow,
        estimate,
        error,
        contacts,
        schedule=labelled(shape, "estimate", cells),
        **_described(tables, account, rule),
    )


def _described(tables: Sequence[Table], account: Account, rule: str) -> dict[str, Any]:
    """Definition, vintage, references and the like of a survey."""
    table = tables[0]
    return {
        "definition": table.metadata.get("definition", "") or "survey",
        "vintage": table.metadata.get("vintage", "") or "not stated",
        "reference": ", ".join(t.references() for t in tables),
        "basis": CALENDAR_YEARS if table.metadata["period"] == CALENDAR_YEAR else MID_YEARS,
        "variance_function": account.standard_error_rule or rule,
        "counted": counted(table, account, _measure(table)),
    }


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
    return SurveyFlow(
        flow=flow,
        estimate=filled,
        standard_error=filled_error,
        contacts=contacts,
        lower_ages=groups,
        observed=TOTAL if table.options.observed == "total" else BY_SEX_AND_AGE,
        unobserved=unobserved if unobserved.any() else None,
        **_described(tables, account, rule),
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
    definition = f"{survey.definition} without {listed(names)}"
    return replace(survey, estimate=estimate, definition=definition)
