"""Survey, total migration, administrative parts and known changes of a shipped case.

Three situations, told apart by the tables that a case has:

* the survey's cells were published for the area itself (`survey_flows.csv`);
* its totals were (`survey_totals.csv`), and the cells of the whole country are
  the schedule;
* only total migration was (`survey.variance_function` in `case.toml`), and the
  survey is what is left of it after the parts, with modelled standard errors;
  flows by single year of age of some years (`flows_by_age.csv`) are the schedule.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.periods import CALENDAR_YEARS
from imps.demography.schedules import group_matrix
from imps.names import AGE, AGE_GROUP, EMIGRATION, FLOW, FLOWS, IMMIGRATION, SEX, YEAR
from imps.shipped.tables import Tables, by_flow, by_sex_and_age, references, series
from imps.sources import (
    AdministrativeFlow,
    Era,
    KnownChange,
    KnownSum,
    RolledForward,
    SurveyFlow,
    asylum_seekers,
    expected_parts,
    irish_flows,
    migrant_switchers,
    visitor_switchers,
)
from imps.sources.administrative import EXPECTED, PUBLISHED
from imps.sources.flows import lower_ages
from imps.survey.variance_function import load_published_ips, smoothed_standard_errors

WHOLE_COUNTRY = "United Kingdom"
FIVE_YEAR_GROUPS = tuple(range(0, 70, 5))

_MAKERS = {
    "asylum_seekers": asylum_seekers,
    "irish_flows": irish_flows,
    "visitor_switchers": visitor_switchers,
    "migrant_switchers": migrant_switchers,
}


def basis(settings: dict[str, Any]) -> str:
    """Period over which the case's flows were published."""
    return str(settings.get("flows", {}).get("basis", CALENDAR_YEARS))


def total_migration(settings: dict[str, Any], tables: Tables) -> xr.DataArray:
    """Total migration (flow, year) in persons, for the area of the case.

    Where it was published for the whole country only, it is multiplied by the
    area's share of the survey in the same year and direction.
    """
    fields, table = settings["total_migration"], tables.read("flow_totals")
    totals = by_flow(table[table["basis"] == fields["basis"]], "thousands") * 1000
    if fields.get("area", settings["area"]) == settings["area"]:
        return totals
    return totals * area_share(settings, tables)


def area_share(settings: dict[str, Any], tables: Tables) -> xr.DataArray:
    """The area's share of the whole country's survey estimate, (flow, year)."""
    return _survey_totals(tables, settings["area"], "estimate_thousands") / _survey_totals(
        tables, WHOLE_COUNTRY, "estimate_thousands"
    )


def reach_last_years(
    totals: xr.DataArray, settings: dict[str, Any], rolled: RolledForward, other: xr.DataArray
) -> xr.DataArray:
    """Total migration with the years that were not published, reached by rule.

    Emigration stays as in the year before; immigration is then what the
    rolled-forward totals hold beside births, deaths and known changes.

    Parameters
    ----------
    other : DataArray (year), persons per mid-year interval
        Births minus deaths plus known changes.
    """
    for year in settings["total_migration"].get("years_by_rule", []):
        net = float((rolled.total.diff(YEAR) - other).sel({YEAR: year}))
        leaving = float(totals.sel({FLOW: EMIGRATION, YEAR: year - 1}))
        reached = xr.DataArray(
            [[leaving + net], [leaving]],
            dims=(FLOW, YEAR),
            coords={FLOW: list(FLOWS), YEAR: [year]},
        )
        totals = xr.concat([totals, reached], dim=YEAR)
    return totals


def known_changes(settings: dict[str, Any], tables: Tables) -> tuple[KnownChange, ...]:
    """Cross-border moves and other changes carried in the roll-forward, where published."""
    if not tables.has("known_changes"):
        return ()
    table = tables.read("known_changes")
    vintage = settings["known_changes"]["vintage"]
    return tuple(
        KnownChange(str(name), series(rows, "persons"), vintage, references(rows))
        for name, rows in table.groupby("name", sort=False)
    )


def survey_and_parts(
    settings: dict[str, Any], tables: Tables, totals: xr.DataArray
) -> tuple[tuple[SurveyFlow, ...], tuple[KnownSum, ...], tuple[AdministrativeFlow, ...]]:
    """Survey of both directions, published sums of the parts, and the parts."""
    if settings["survey"].get("variance_function"):
        parts = _published_asylum(settings, tables)
        rest = tuple(_rest_of_total(settings, tables, totals, flow, parts) for flow in FLOWS)
        return rest, (), parts
    surveys = _survey_cells(settings, tables)
    if tables.has("survey_totals"):
        surveys = tuple(_of_area(survey, settings, tables) for survey in surveys)
    surveys = tuple(replace(survey, eras=_eras(settings, survey.flow)) for survey in surveys)
    known = tuple(_known_sum(survey, totals, settings) for survey in surveys)
    return surveys, known, _expected(settings, known, tables)


def _eras(settings: dict[str, Any], flow: str) -> tuple[Era, ...]:
    """Years in which the coverage of the survey is known to have differed."""
    rows = settings["survey"].get("eras", ())
    return tuple(Era(r["first"], r["last"], r["reason"]) for r in rows if flow in r["flows"])


def _survey_totals(tables: Tables, area: str, column: str) -> xr.DataArray:
    table = tables.read("survey_totals")
    return by_flow(table[table["area"] == area], column)


def _survey_cells(settings: dict[str, Any], tables: Tables) -> tuple[SurveyFlow, ...]:
    fields, table = settings["survey"], tables.read("survey_flows")
    persons = table.assign(
        estimate=table["estimate_thousands"] * 1000,
        half_width_95=table["half_width_95_thousands"] * 1000,
    )
    persons["standard_error"] = smoothed_standard_errors(persons, pooled_over=load_published_ips())
    return tuple(
        SurveyFlow.from_table(
            persons,
            flow,
            definition=fields["definition"],
            vintage=fields["vintage"],
            reference=references(table),
        )
        for flow in FLOWS
    )


def _of_area(survey: SurveyFlow, settings: dict[str, Any], tables: Tables) -> SurveyFlow:
    """Published totals of the area over the cells of the whole country."""
    estimate, half_width, contacts = (
        _survey_totals(tables, settings["area"], column).sel({FLOW: survey.flow}, drop=True)
        for column in ("estimate_thousands", "half_width_95_thousands", "contacts")
    )
    return SurveyFlow.from_totals(
        survey.flow,
        estimate * 1000,
        half_width * 1000 / 1.96,
        contacts,
        schedule=survey.estimate,
        definition=survey.definition,
        vintage=survey.vintage,
        reference=survey.reference,
    )


def _rest_of_total(
    settings: dict[str, Any],
    tables: Tables,
    totals: xr.DataArray,
    flow: str,
    parts: tuple[AdministrativeFlow, ...],
) -> SurveyFlow:
    """Total migration without the parts; standard errors from the variance function."""
    estimate = totals.sel({FLOW: flow}, drop=True)
    for part in parts:
        if part.flow == flow:
            estimate = estimate - part.sign * part.count
    weight, design_effect = variance_constants(settings, tables, flow)
    variance = design_effect * weight * estimate + _without_fieldwork(settings, estimate) ** 2
    fields = settings["survey"]
    return SurveyFlow.from_totals(
        flow,
        estimate,
        variance**0.5,
        estimate / weight,
        schedule=_schedule(tables, flow),
        definition=fields["definition"],
        vintage=fields["vintage"],
        reference=references(tables.read("flow_totals")),
        basis=basis(settings),
        variance_function=fields["variance_function"],
    )


def _schedule(tables: Tables, flow: str) -> xr.DataArray:
    """Flows published by age reached, counted in five-year groups of age at the move."""
    table = tables.read("flows_by_age")
    rows = by_sex_and_age(table[table["flow"] == flow], "persons")
    last = FIVE_YEAR_GROUPS[-1]
    labels = [f"{a}-{b - 1}" for a, b in itertools.pairwise(FIVE_YEAR_GROUPS)]
    labels.append(f"{last}+")
    groups = xr.DataArray(
        group_matrix(lower_ages(labels).values, rows[AGE].size),
        dims=(SEX, AGE_GROUP, AGE),
        coords={SEX: rows[SEX], AGE_GROUP: labels, AGE: rows[AGE]},
    )
    return xr.dot(rows, groups, dim=AGE).transpose(YEAR, SEX, AGE_GROUP)


def variance_constants(settings: dict[str, Any], tables: Tables, flow: str) -> tuple[float, float]:
    """Grossing weight and design effect of the area's survey over the years of the table.

    The weight is persons per contact; the design effect is the ratio of the
    published variances to weight times estimate, both summed over the years.

    References
    ----------
    Wolter (2007), Introduction to Variance Estimation, chapter 7.
    """
    estimate, half_width, contacts = (
        _survey_totals(tables, settings["area"], column).sel({FLOW: flow})
        for column in ("estimate_thousands", "half_width_95_thousands", "contacts")
    )
    persons, variance = estimate * 1000, (half_width * 1000 / 1.96) ** 2
    design_effect = float(variance.sum() / (persons**2 / contacts).sum())
    return float(persons.sum() / contacts.sum()), design_effect


def _without_fieldwork(settings: dict[str, Any], estimate: xr.DataArray) -> xr.DataArray:
    """Standard error of the part of a year in which no survey was in the field."""
    fields = settings["survey"]["without_fieldwork"]
    error = xr.zeros_like(estimate)
    for year, share in fields["share_of_year"].items():
        here = estimate[YEAR] == int(year)
        error = error + xr.where(here, fields["relative_standard_error"] * share * estimate, 0.0)
    return error


def _known_sum(survey: SurveyFlow, totals: xr.DataArray, settings: dict[str, Any]) -> KnownSum:
    """What the publisher added to the survey: total minus the survey's cells."""
    count = totals.sel({FLOW: survey.flow}, drop=True).sel({YEAR: survey.years})
    return KnownSum(
        flow=survey.flow,
        count=count - survey.estimate.sum((SEX, AGE_GROUP)),
        vintage=settings["total_migration"]["vintage"],
        reference=f"{settings['total_migration']['basis']} minus {survey.reference}",
    )


def _expected(
    settings: dict[str, Any], known: tuple[KnownSum, ...], tables: Tables
) -> tuple[AdministrativeFlow, ...]:
    """Expected parts: asylum from applications, the rest by shares of what is left."""
    parts: list[AdministrativeFlow] = []
    applications = tables.read("asylum_applications")
    for total in known:
        left = total
        if total.flow == IMMIGRATION:
            rule = settings["asylum"]
            entering = _asylum_entering(settings, tables)
            asylum = np.minimum(entering, rule["largest_share_of_sum"] * total.count)
            parts.append(
                asylum_seekers(
                    total.flow,
                    asylum,
                    status=EXPECTED,
                    vintage=total.vintage,
                    reference=references(applications),
                )
            )
            left = KnownSum(total.flow, total.count - asylum, total.vintage, total.reference)
        shares = _shares(settings, total)
        fields: dict[str, object] = {"vintage": total.vintage, "reference": total.reference}
        parts += expected_parts(left, [(_MAKERS[n], s) for n, s in shares], **fields)
    return tuple(parts)


def _shares(settings: dict[str, Any], known: KnownSum) -> list[tuple[str, float | xr.DataArray]]:
    """Signed shares of a known sum; a part that ends leaves its share to the others."""
    shares = settings["parts"][known.flow]
    ends = settings["parts"].get("until", {})
    if not ends:
        return list(shares.items())
    years = known.count[YEAR]
    active = {n: s * (years <= ends.get(n, int(years.max()))) for n, s in shares.items()}
    total = sum(active.values())
    return [(n, s / total) for n, s in active.items()]


def _asylum_entering(settings: dict[str, Any], tables: Tables) -> xr.DataArray:
    """Applicants and dependants who enter long-term immigration, (year), persons.

    Dependants are the published ones, or those of `persons_per_application`
    where they were not counted; applications of the whole country are
    multiplied by the area's share of the survey's immigration.
    """
    rule, table = settings["asylum"], tables.read("asylum_applications")
    main = series(table, "main_applicants")
    persons = main * rule["persons_per_application"]
    if "dependants" in table:
        persons = (main + series(table, "dependants")).fillna(persons)
    entering = persons * rule["share_entering"]
    if settings["area"] == WHOLE_COUNTRY:
        return entering
    share = area_share(settings, tables).sel({FLOW: IMMIGRATION}, drop=True)
    years = entering[YEAR].values
    same_years = bool(np.isin(years, share[YEAR].values).all())
    return entering * (share.sel({YEAR: years}) if same_years else float(share.mean()))


def _published_asylum(settings: dict[str, Any], tables: Tables) -> tuple[AdministrativeFlow, ...]:
    applications: pd.DataFrame = tables.read("asylum_applications")
    return (
        asylum_seekers(
            IMMIGRATION,
            _asylum_entering(settings, tables),
            status=PUBLISHED,
            vintage=settings["asylum"]["vintage"],
            reference=references(applications),
            basis=basis(settings),
        ),
    )
