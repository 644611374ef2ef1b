"""Both directions of the survey from checked tables: cells, or totals over a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.periods import CALENDAR_YEARS, MID_YEARS
from imps.demography.schedules import counted_at, migration_schedule
from imps.names import AGE_GROUP, FLOWS, SEX, SEXES, YEAR
from imps.project.arrays import complete, counted, labelled
from imps.project.sections import Account
from imps.project.vital import needed_years
from imps.reading.findings import Collector, listed
from imps.reading.options import AT_MID_YEAR, AT_YEAR_END, CALENDAR_YEAR
from imps.reading.table import Table, of_kinds
from imps.sources.administrative import AdministrativeFlow
from imps.sources.definitions import AT_END, AT_MOVE, LONG_TERM, SURVEY, explained, measure_of
from imps.sources.flows import SurveyFlow
from imps.sources.stocks import BY_SEX_AND_AGE, TOTAL
from imps.survey.variance_function import errors_at_expected

EFFECTIVE_CONTACTS: Final = (
    "contacts were not given: effective number, (estimate / standard error) squared"
)
LARGEST_EFFECTIVE: Final = 1e6
NOBODY_MET: Final = "no contacts"
"""Kind of a missing figure that the reader gives an estimate of 0 without an error."""
LEAST_ERROR: Final = 1e-6
"""Standard error, persons, of a cell that adds nothing to that of its published total."""
LEAST_TOLD: Final = 0.01
"""Change of a standard error, a share, that is told."""
_CELLS: Final = (SEX, AGE_GROUP)


# The survey


def survey_flows(
    tables: Sequence[Table], account: Account, log: Collector
) -> tuple[SurveyFlow, SurveyFlow] | None:
    """Both directions of the survey; citizenships are summed, unpublished cells marked.

    Returns
    -------
    pair of SurveyFlow
        Immigration and emigration, or None with findings that say why.
    """
    same = of_kinds(tables, "survey_totals") or of_kinds(tables, "survey_flows")
    if not same:
        log.add("TABLE_MISSING.survey", file="the account")
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
    log: Collector,
) -> SurveyFlow | None:
    """Published totals of the survey laid over sexes and age groups that are no data."""
    table = tables[0]
    if not shapes:
        log.add("TABLE_MISSING.schedule", file=table.name)
        return None
    shape = pd.concat([t.frame for t in shapes], ignore_index=True)
    shape = shape[shape["flow"] == flow]
    if shape.empty:
        log.add("FLOW_NEEDED", file=shapes[0].name, column="flow", flows=flow)
        return None
    groups = _age_groups(shape, flow, shapes[0], log)
    own = rows[rows["flow"] == flow]
    years = needed_years(account, table.metadata["period"])
    lost = [year for year in years if year not in set(own[YEAR])]
    if lost:
        log.add(
            "CELLS_NEEDED.totals",
            file=table.name,
            column=YEAR,
            total=len(lost),
            flow=flow,
            years=lost,
        )
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
        "ages": AT_END if table.options.age_counted in (AT_MID_YEAR, AT_YEAR_END) else AT_MOVE,
    }


def _by_sex(rows: pd.DataFrame, table: Table, log: Collector) -> bool | None:
    """Whether the sexes were published apart; None where some years have persons only."""
    found = set(rows[SEX])
    if "persons" not in found or found == {"persons"}:
        return "persons" not in found
    log.add("AGE_GROUPS", file=table.name, column=SEX, texts=["persons"], ages=["persons"],
            expected=list(SEXES))  # fmt: skip
    return None


def _halved(rows: pd.DataFrame) -> pd.DataFrame:
    """Figures of persons over the sexes, half each; no likelihood sees the halves."""
    share = {"estimate": 0.5, "contacts": 0.5, "standard_error": 0.5**0.5}
    half = rows.assign(**{c: rows[c] * x for c, x in share.items() if c in rows})
    return pd.concat([half.assign(**{SEX: sex}) for sex in SEXES], ignore_index=True)


def _agree(tables: Sequence[Table], log: Collector) -> bool:
    """One period, one definition, one vintage and one detail for all tables of the survey."""
    first = tables[0]
    for table in tables[1:]:
        for what in ("period", "definition", "vintage"):
            one, other = (str(t.metadata.get(what, "")) for t in (first, table))
            if one != other:
                log.add(
                    "DEFINITION_MISMATCH",
                    file=table.name,
                    column=what,
                    texts=[other],
                    what=what,
                    here=other or "not stated",
                    other=first.name,
                    there=one or "not stated",
                    explained=explained(measure_of(one), measure_of(other)),
                )
                return False
    return True


def _has_both_flows(rows: pd.DataFrame, table: Table, log: Collector) -> bool:
    """Net migration alone cannot be divided into arrivals and departures."""
    found = set(rows["flow"])
    lost = [flow for flow in FLOWS if flow not in found]
    if not lost and found == set(FLOWS):
        return True
    if lost:
        log.add("FLOW_NEEDED", file=table.name, column="flow", texts=sorted(found)[:1], flows=lost)
    else:
        log.add("FLOW_NEEDED.net", file=table.name, column="flow", texts=sorted(found)[:1])
    return False


def _sum_citizenships(rows: pd.DataFrame, table: Table, log: Collector) -> pd.DataFrame:
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
        "CITIZENSHIPS_SUMMED.survey",
        file=table.name,
        column="citizenship",
        total=len(rows),
        parts=parts,
    )
    first = rows.groupby(by, sort=False)["age"].first()
    return whole.assign(age=first).reset_index()


def _survey_flow(
    rows: pd.DataFrame, flow: str, tables: Sequence[Table], account: Account, log: Collector
) -> SurveyFlow | None:
    table = tables[0]
    groups = _age_groups(rows, flow, table, log)
    if groups is None:
        return None
    years, by_sex = needed_years(account, table.metadata["period"]), _by_sex(rows, table, log)
    if by_sex is None:
        return None
    cells = {YEAR: years, SEX: SEXES, AGE_GROUP: groups[AGE_GROUP].values.tolist()}
    rows = rows if by_sex else _halved(rows)
    whole = table.options.observed == "total" or (not by_sex and groups.sizes[AGE_GROUP] == 1)
    if whole and f"{table.value}_missing" in rows:  # nobody met in a cell is nothing in its total
        nobody = rows[f"{table.value}_missing"] == NOBODY_MET
        rows = rows.assign(
            estimate=rows["estimate"].mask(nobody, 0.0),
            standard_error=rows["standard_error"].mask(nobody, LEAST_ERROR),
        )
    estimate, error = (labelled(rows, c, cells) for c in ("estimate", "standard_error"))
    unobserved = estimate.isnull() | error.isnull()
    if not _any_year(unobserved, flow, table, log) or not _any_migrant(estimate, flow, table, log):
        return None
    filled, filled_error = fill_unobserved(estimate, unobserved), _typical(error, unobserved)
    contacts, rule = _contacts(rows, cells, filled, filled_error, log, table, flow)
    if not whole:
        filled_error = _at_expected(filled, filled_error, unobserved, flow, table, log)
    if unobserved.any():
        log.add(
            "CELLS_UNOBSERVED.schedule",
            file=table.name,
            column="estimate",
            total=int(unobserved.sum()),
            flow=flow,
            cells=_labels(unobserved),
        )
    return SurveyFlow(
        flow=flow,
        estimate=filled,
        standard_error=filled_error,
        contacts=contacts,
        lower_ages=groups,
        observed=TOTAL if whole else BY_SEX_AND_AGE,
        unobserved=unobserved if unobserved.any() else None,
        by_sex=by_sex,
        **_described(tables, account, rule),
    )


def _measure(table: Table) -> str:
    """The measure; a total of which is declared what it holds is the survey once that is off."""
    measure = measure_of(table.metadata.get("definition", ""))
    return SURVEY if measure == LONG_TERM and table.options.includes is not None else measure


def _age_groups(rows: pd.DataFrame, flow: str, table: Table, log: Collector) -> xr.DataArray | None:
    """First age of each group by sex, (sex, age_group); the same groups in every year."""
    first = rows.groupby([SEX, AGE_GROUP], observed=True)["age"].first()
    own = [sex for sex in ("female", "male", "persons") if sex in first.index.get_level_values(0)]
    women = first[own[0]]
    order = women.sort_values().index.tolist()
    yearly = rows.groupby(YEAR)[AGE_GROUP].agg(set)
    changed = [int(str(y)) for y, groups in yearly.items() if groups != set(order)]
    if changed or women.min() != 0 or not str(order[-1]).endswith("+"):
        how = f"change in {listed(changed)}" if changed else f"run from {order[0]} to {order[-1]}"
        log.add("AGE_GAP.groups", file=table.name, column=AGE_GROUP, flow=flow, how=how)
        return None
    both = [sex if sex in own else "persons" for sex in SEXES]
    lower = [[float(first[sex][group]) for group in order] for sex in both]
    return xr.DataArray(lower, dims=_CELLS, coords={SEX: list(SEXES), AGE_GROUP: order})


def _any_year(unobserved: xr.DataArray, flow: str, table: Table, log: Collector) -> bool:
    """A cell that no year has cannot have a reference."""
    never = unobserved.all(YEAR)
    if not never.any():
        return True
    log.add(
        "CELLS_NEEDED.never",
        file=table.name,
        column="estimate",
        total=int(never.sum()),
        flow=flow,
        cells=_labels(never),
    )
    return False


def _any_migrant(estimate: xr.DataArray, flow: str, table: Table, log: Collector) -> bool:
    """The priors of a flow are shares of its own size, so nobody at all cannot enter."""
    if (estimate > 0).any():
        return True
    log.add(
        "CELLS_NEEDED.nobody", file=table.name, column="estimate", total=estimate.size, flow=flow
    )
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


def _at_expected(
    estimate: xr.DataArray,
    error: xr.DataArray,
    unobserved: xr.DataArray,
    flow: str,
    table: Table,
    log: Collector,
) -> xr.DataArray:
    """Errors that follow their own estimates, taken at the expected figures of the cells."""
    at, slope = errors_at_expected(estimate.values, error.values, ~unobserved.values)
    moved = int((np.abs(at / error.values - 1) > LEAST_TOLD).sum())
    if moved:
        log.add("ERRORS_AT_EXPECTED", file=table.name, column="standard_error", total=moved,
                flow=flow, slope=slope)  # fmt: skip
    return error.copy(data=at)


def _contacts(
    rows: pd.DataFrame,
    cells: dict[str, Sequence[object]],
    estimate: xr.DataArray,
    error: xr.DataArray,
    log: Collector,
    table: Table,
    flow: str,
) -> tuple[xr.DataArray, str]:
    """Contacts as published, or the effective number that the standard error stands for."""
    effective = ((estimate / error) ** 2).clip(max=LARGEST_EFFECTIVE)
    if "contacts" in rows and rows["contacts"].notna().any():
        return labelled(rows, "contacts", cells).fillna(effective), ""
    log.add(
        "CONTACTS_DERIVED",
        file=table.name,
        column="standard_error",
        total=estimate.size,
        flow=flow,
        rule=EFFECTIVE_CONTACTS,
    )
    return effective, EFFECTIVE_CONTACTS


def without_included(
    survey: SurveyFlow,
    parts: Sequence[AdministrativeFlow],
    table: Table,
    n_ages: int,
    log: Collector,
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
    at_move = survey.ages == AT_MOVE
    groups = counted_at(survey.lower_ages.values, n_ages, at_move=at_move)
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
            "NEGATIVE_FLOW.without",
            file=table.name,
            column="estimate",
            total=len(below),
            flow=survey.flow,
            parts=names,
            cells=below,
        )
        return None
    log.add(
        "INCLUDED_TAKEN_OFF",
        file=table.name,
        column="estimate",
        total=estimate.size,
        parts=names,
        flow=survey.flow,
    )
    definition = f"{survey.definition} without {listed(names)}"
    return replace(survey, estimate=estimate, definition=definition)
