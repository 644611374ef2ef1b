"""Makes the tables of the shipped cases that are reached by rule from published figures.

    uv run python data_raw/build.py

Figures that were published for the area of a case as they are used stand in its folder,
`imps/shipped/CASE`. What had to be computed is written there by this script from the compact
tables beside it: errors of the survey, totals of years that were not published, shares of an
area, expected parts. `tests/test_cases.py` builds every folder anew and compares.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.accounting import INFANT_DEATHS_IN_BIRTH_COHORT
from imps.demography.schedules import group_matrix
from imps.names import AGE, EMIGRATION, FLOW, FLOWS, IMMIGRATION, SEX, SEXES, YEAR
from imps.project.arrays import labelled
from imps.sources import Births, Deaths
from imps.sources.flows import lower_ages
from imps.survey.published import load_published_ips
from imps.survey.variance_function import smoothed_standard_errors

RAW = Path(__file__).parent
SHIPPED = RAW.parent / "imps" / "shipped"
UK, EW2001 = "uk_1991_2001", "england_wales_1991_2001"
EW2011, EW2021 = "england_wales_2001_2011", "england_wales_2011_2021"
WHOLE_COUNTRY, AREA = "United Kingdom", "England and Wales"
FIVE_YEAR_GROUPS = tuple(range(0, 70, 5))
HALF_WIDTHS = 1.96
"""Standard errors in a 95 per cent half-width, as the publisher rounds them."""
PERSONS_PER_APPLICATION, SHARE_ENTERING = 1.25, 0.85
"""Persons an asylum application where dependants were not counted; share of them who enter
long-term immigration (regression on 1991-2007)."""
LARGEST_SHARE_OF_SUM = 0.75
"""Of the known sum of the adjustments of immigration, the most that asylum may be."""
LOWERED_IN_2003 = 351_000
"""Persons by which the estimate of mid-1991 was lowered in February 2003 (`ons_2003_09_26`)."""
WITHOUT_FIELDWORK = {2020: 0.29, 2021: 1.0}
"""Share of a year to mid-year without the survey, which stopped on 16 March 2020."""
ERROR_WITHOUT_FIELDWORK = 0.10
"""Relative standard error assumed for it: successive editions said +239, +173, +251 thousand."""

Tables = dict[str, pd.DataFrame]


# Tables and arrays


def raw(case: str, table: str) -> pd.DataFrame:
    """A compact table as published."""
    return pd.read_csv(RAW / case / f"{table}.csv")


def published(case: str, table: str) -> pd.DataFrame:
    """A table of the shipped folder that holds published figures as they are."""
    rows = pd.read_csv(SHIPPED / case / f"{table}.csv")
    return rows.assign(age=rows["age"].str.rstrip("+").astype(int)) if "age" in rows else rows


def by_year(rows: pd.DataFrame, column: str) -> xr.DataArray:
    """Values (year) of rows with one a year."""
    return labelled(rows, column, {YEAR: sorted(rows["year"])})


def by_flow(rows: pd.DataFrame, column: str) -> xr.DataArray:
    """Values (flow, year) of rows with one a flow and year."""
    return labelled(rows, column, {FLOW: FLOWS, YEAR: sorted(rows["year"].unique())})


def by_sex_and_age(rows: pd.DataFrame, column: str) -> xr.DataArray:
    """Values (year, sex, age) of tidy rows."""
    labels = {YEAR: sorted(rows["year"].unique()), SEX: SEXES, AGE: sorted(rows["age"].unique())}
    return labelled(rows, column, labels)


def tidy(values: xr.DataArray, name: str) -> pd.DataFrame:
    """A labelled array as rows."""
    return values.rename(name).to_dataframe().reset_index()[[*values.dims, name]]


def area_totals(case: str, area: str, column: str) -> xr.DataArray:
    """Published totals of the survey for an area, (flow, year)."""
    rows = raw(case, "survey_totals")
    return by_flow(rows[rows["area"] == area], column)


def with_references(frame: pd.DataFrame, rows: pd.DataFrame, *on: str) -> pd.DataFrame:
    """The reference of each row, from the table it was made from; empty where made by rule."""
    keys = rows[[*on, "reference"]].drop_duplicates([*on])
    joined = frame.merge(keys, on=list(on), how="left")
    return joined.assign(reference=joined["reference"].fillna(""))


# Births, deaths and the roll-forward


def births_by_sex(case: str) -> pd.DataFrame:
    """Births of calendar years divided by the sex ratio at birth of the year.

    A year without a published ratio takes the mean of the years that have one.
    """
    rows = raw(case, "births")
    ratio = rows["males_per_1000_females"].fillna(rows["males_per_1000_females"].mean())
    share = ratio / (1000 + ratio)
    parts = [
        rows.assign(sex=sex, births=rows["births"] * part)
        for sex, part in (("male", share), ("female", 1 - share))
    ]
    joined = pd.concat(parts).sort_values("year", kind="stable")
    return joined[["year", "sex", "births", "reference"]]


KNOWN_BIRTHS = 0.0005
"""Relative error of births that were published for years to mid-year: late registration."""


def born_before(case: str, base: int, at_mid_years: pd.DataFrame | None = None) -> pd.DataFrame:
    """Births of the ten mid-years to the base, and who of each cohort had died by then.

    Births are those published of years to mid-year, or else half of each calendar year falls
    in each; half of the deaths at an age reach the next one before mid-year, of those under
    one the share of the account.
    """
    births = raw(case, "births_before").set_index("year")
    deaths = raw(case, "deaths_of_children").set_index(["year", "age"])["deaths"].unstack()
    reached = np.full(deaths.shape[1], 0.5)
    reached[0] = INFANT_DEATHS_IN_BIRTH_COHORT
    by_age = deaths.rolling(2).mean().dropna()  # of each mid-year
    own, older = by_age * reached, (by_age * (1 - reached)).shift(axis=1, fill_value=0.0)
    years = by_age.index
    met = own + older
    died = [sum(met.loc[born + age, age] for age in range(base - born + 1)) for born in years]
    found = births.assign(births=births["births"].rolling(2).mean().round())
    if at_mid_years is not None:
        found = at_mid_years.set_index("year")
        found["standard_error"] = (KNOWN_BIRTHS * found["births"]).round()
    found = found.loc[years]
    said = ";".join([*dict.fromkeys(found["reference"]), "ons_deaths_2021"])
    columns = [name for name in ("births", "standard_error") if name in found]
    rows = found[columns].assign(deaths=np.round(died), reference=said)
    return rows.rename_axis("year").reset_index()


def natural_change(case: str, intervals: range, schedule: xr.DataArray) -> xr.DataArray:
    """Registered births minus deaths of the intervals, (year), as the account finds them."""
    said = {"intervals": intervals, "vintage": "", "reference": ""}
    rows = raw(case, "births")
    ratio = by_year(rows, "males_per_1000_females")
    births = Births.from_calendar_years(by_year(rows, "births"), ratio.fillna(ratio.mean()), **said)
    cells = by_sex_and_age(published(case, "deaths"), "deaths")
    deaths = Deaths.from_calendar_years(cells, schedule, **said)
    if (SHIPPED / case / "vital_totals.csv").is_file():
        totals = published(case, "vital_totals")
        births = births.scaled_to(by_year(totals.dropna(subset="births"), "births"), reference="")
        deaths = deaths.scaled_to(by_year(totals, "deaths"), reference="")
    return births.count.sum(SEX) - deaths.count.sum((SEX, AGE))


def schedule_of(case: str, years: range) -> xr.DataArray:
    """Population at the start of each interval; of several vintages in a year the first."""
    rows = published(case, "population").drop_duplicates(["year", "sex", "age"])
    return by_sex_and_age(rows[rows["year"].isin(years)], "population")


def official_totals(case: str) -> xr.DataArray:
    """Totals of base and roll-forward that were published, (year)."""
    rows = raw(case, "stocks")
    rows = rows[rows["item"].isin(["base", "rolled_forward"])]
    return by_year(rows.assign(year=rows["date"].str[:4].astype(int)), "persons")


def mean_excess(
    total: xr.DataArray, year: int, natural: xr.DataArray, flows: xr.DataArray
) -> float:
    """Natural change, later net migration, and the mean excess of the old flows so far."""
    net = flows.sel({FLOW: IMMIGRATION}) - flows.sel({FLOW: EMIGRATION})
    later = {y: float(net.sel({YEAR: [y - 1, y]}).mean()) for y in natural[YEAR].values}
    change = total.diff(YEAR)
    excess = [
        float(c) - float(natural.sel({YEAR: y})) - later[int(y)]
        for y, c in zip(change[YEAR].values, change.values, strict=True)
    ]
    own = float(natural.sel({YEAR: year}))
    return float(total[-1]) + own + later[year] + float(np.mean(excess))


def mean_of_januaries(case: str, year: int) -> float:
    """Mean of the estimates of 1 January before and after the mid-year."""
    rows = raw(case, "stocks")
    rows = rows[rows["item"] == "first_of_january"].set_index("date")["persons"]
    return float(np.mean([rows[f"{year}-01-01"], rows[f"{year + 1}-01-01"]]))


def even_change(total: xr.DataArray, year: int, natural: xr.DataArray) -> float:
    """Natural change as registered; the other change between two published years is even."""
    years = total[YEAR].values
    before, after = int(years[years < year].max()), int(years[years > year].min())
    change = float(total.sel({YEAR: after}) - total.sel({YEAR: before}))
    between = natural.sel({YEAR: slice(before + 1, after)})
    other = (change - float(between.sum())) / (after - before)
    so_far = float(between.sel({YEAR: slice(before + 1, year)}).sum())
    return float(total.sel({YEAR: before})) + so_far + other * (year - before)


def population_totals(case: str, vintages: dict[str, str], by_rule: dict[int, float]) -> Tables:
    """Totals of base, roll-forward and census; mid-years by rule bear the flag "by rule"."""
    rows = raw(case, "stocks")
    rows = rows[rows["item"].isin(vintages)]
    frame = pd.DataFrame(
        {
            "year": [d[:4] if d.endswith("-06-30") else d for d in rows["date"]],
            "vintage": rows["item"].map(vintages),
            "population": rows["persons"].astype(float),
            "population_flag": "",
            "reference": rows["reference"],
        }
    )
    reached = pd.DataFrame(
        {
            "year": [str(year) for year in by_rule],
            "vintage": vintages["rolled_forward"],
            "population": list(by_rule.values()),
            "population_flag": "by rule",
            "reference": "",
        }
    )
    return {"population_totals": pd.concat([frame, reached]).sort_values(["vintage", "year"])}


# The survey and its adjustments


def survey_cells(case: str) -> pd.DataFrame:
    """Cells of the survey in persons, half-widths turned into errors smoothed over cells."""
    rows = raw(case, "survey_flows")
    persons = rows.assign(
        estimate=rows["estimate_thousands"] * 1000,
        half_width_95=rows["half_width_95_thousands"] * 1000,
    )
    persons["standard_error"] = smoothed_standard_errors(persons, pooled_over=load_published_ips())
    keys = ["year", "flow", "sex", "age_group", "estimate", "standard_error", "contacts"]
    return persons[[*keys, "reference"]]


def area_share(case: str) -> xr.DataArray:
    """The area's share of the whole country's survey estimate, (flow, year)."""
    column = "estimate_thousands"
    return area_totals(case, AREA, column) / area_totals(case, WHOLE_COUNTRY, column)


def total_migration(case: str, basis: str) -> xr.DataArray:
    """Total migration as published, (flow, year), persons."""
    rows = raw(case, "flow_totals")
    return by_flow(rows[rows["basis"] == basis], "thousands") * 1000


def asylum_entering(case: str) -> xr.DataArray:
    """Applicants and dependants who enter long-term immigration, (year), persons.

    Those of the whole country are multiplied by the area's share of the survey's immigration.
    """
    rows = raw(case, "asylum_applications")
    main = by_year(rows, "main_applicants")
    persons = main * PERSONS_PER_APPLICATION
    if "dependants" in rows:
        persons = (main + by_year(rows, "dependants")).fillna(persons)
    entering = persons * SHARE_ENTERING
    if case == UK:
        return entering
    share = area_share(case).sel({FLOW: IMMIGRATION}, drop=True)
    years = entering[YEAR].values
    same_years = bool(np.isin(years, share[YEAR].values).all())
    return entering * (share.sel({YEAR: years}) if same_years else float(share.mean()))


def asylum(case: str, count: xr.DataArray) -> pd.DataFrame:
    """Asylum seekers as an administrative flow."""
    rows = tidy(count, "count").assign(source="asylum_seekers", flow=IMMIGRATION)
    columns = ["source", "year", "flow", "count"]
    return with_references(rows[columns], raw(case, "asylum_applications"), "year")


def variance_constants(flow: str) -> tuple[float, float]:
    """Grossing weight and design effect of the area's survey over the years of the table.

    The weight is persons per contact; the design effect is the ratio of the published
    variances to weight times estimate, both summed over the years.

    References
    ----------
    Wolter (2007), Introduction to Variance Estimation, chapter 7.
    """
    estimate, half_width, contacts = (
        area_totals(EW2021, AREA, column).sel({FLOW: flow})
        for column in ("estimate_thousands", "half_width_95_thousands", "contacts")
    )
    persons, variance = estimate * 1000, (half_width * 1000 / HALF_WIDTHS) ** 2
    design_effect = float(variance.sum() / (persons**2 / contacts).sum())
    return float(persons.sum() / contacts.sum()), design_effect


def modelled(flow: str, estimate: xr.DataArray) -> pd.DataFrame:
    """Estimates with the errors that the variance function gives, and expected contacts."""
    weight, design_effect = variance_constants(flow)
    idle = xr.zeros_like(estimate)
    for year, share in WITHOUT_FIELDWORK.items():
        here = estimate[YEAR] == year
        idle = idle + xr.where(here, ERROR_WITHOUT_FIELDWORK * share * estimate, 0.0)
    error = (design_effect * weight * estimate + idle**2) ** 0.5
    frame = tidy(estimate, "estimate").assign(flow=flow)
    frame = frame.assign(standard_error=error.values, contacts=(estimate / weight).values)
    return frame[["year", "flow", "estimate", "standard_error", "contacts"]]


def five_year_groups() -> pd.DataFrame:
    """Flows published by age reached, counted in five-year groups of age at the move."""
    rows = raw(EW2021, "flows_by_age")
    labels = [f"{a}-{b - 1}" for a, b in itertools.pairwise(FIVE_YEAR_GROUPS)]
    labels.append(f"{FIVE_YEAR_GROUPS[-1]}+")
    found = []
    for flow in FLOWS:
        cells = by_sex_and_age(rows[rows["flow"] == flow], "persons")
        groups = xr.DataArray(
            group_matrix(lower_ages(labels).values, cells[AGE].size),
            dims=(SEX, "age_group", AGE),
            coords={SEX: cells[SEX], "age_group": labels, AGE: cells[AGE]},
        )
        shape = xr.dot(cells, groups, dim=AGE).transpose(YEAR, SEX, "age_group")
        found.append(tidy(shape, "estimate").assign(flow=flow))
    frame = pd.concat(found)[["year", "flow", "sex", "age_group", "estimate"]]
    return with_references(frame, rows, "year")


# The cases


def uk_1991_2001() -> Tables:
    """Cells of the survey for the area itself; mid-2001 of the roll-forward by rule."""
    cells, total = survey_cells(UK), total_migration(UK, "TIM")
    natural = natural_change(UK, range(1992, 2002), schedule_of(UK, range(1991, 2001)))
    reached = {2001: mean_excess(official_totals(UK), 2001, natural, total)}
    old = "1991-census-based, as published before the 2001 Census"
    vintages = {
        "base": old, "rolled_forward": old, "census": "as first published, 30 September 2002",
    }  # fmt: skip
    survey = labelled(
        cells.groupby(["flow", "year"], as_index=False)["estimate"].sum(), "estimate",
        {FLOW: FLOWS, YEAR: sorted(cells["year"].unique())},
    )  # fmt: skip
    flows = raw(UK, "flow_totals")
    return {
        "births": births_by_sex(UK),
        **population_totals(UK, vintages, reached),
        "survey_flows": cells,
        **known_sum(UK, total, survey, flows[flows["basis"] == "TIM"]),
    }


def england_wales_1991_2001() -> Tables:
    """Base as published before it was lowered; between mid-1991 and mid-2000 an even change."""
    case, years = EW2001, range(1991, 2001)
    rows = raw(case, "stocks").set_index("item")["persons"]
    base = float(rows["final_series"]) + LOWERED_IN_2003
    ends = [base, float(rows["rolled_forward"])]
    between = xr.DataArray(ends, {YEAR: [1991, 2000]}, [YEAR]).interp({YEAR: [*years]})
    natural = natural_change(case, range(1992, 2002), schedule_of(case, years))
    total = total_migration(case, "TIM") * area_share(case)
    reached = {1991: base, 2001: mean_excess(between, 2001, natural, total)}
    vintages = {"rolled_forward": "1991-census-based, as published before the 2001 Census"}
    survey = area_totals(case, AREA, "estimate_thousands") * 1000
    return {
        "births": births_by_sex(case),
        **population_totals(case, vintages, reached),
        **survey_of_area(case),
        **known_sum(case, total, survey, raw(case, "flow_totals")),
    }


def survey_of_area(case: str) -> Tables:
    """Totals of the survey for the area, and cells of the whole country as their schedule."""
    rows = raw(case, "survey_totals")
    rows = rows[rows["area"] == AREA]
    totals = rows.assign(
        estimate=rows["estimate_thousands"] * 1000,
        standard_error=rows["half_width_95_thousands"] * 1000 / HALF_WIDTHS,
    )
    columns = ["year", "flow", "estimate", "standard_error", "contacts", "reference"]
    shape = survey_cells(case).drop(columns=["standard_error", "contacts"])
    return {"survey_totals": totals[columns], "flow_schedule": shape}


def england_wales_2001_2011() -> Tables:
    """Totals of the survey for the area over cells of the whole country."""
    case, years = EW2011, range(2002, 2012)
    natural = natural_change(case, years, schedule_of(case, range(2001, 2011)))
    old = official_totals(case)
    reached = {year: mean_of_januaries(case, year) for year in range(2002, 2006)}
    for year, value in reached.items():
        added = xr.DataArray([value], dims=YEAR, coords={YEAR: [year]})
        old = xr.concat([old, added], dim=YEAR).sortby(YEAR)
    reached[2010] = even_change(old, 2010, natural)
    vintages = {
        "base": "2001-census-based, final (after 2003 and 2004)",
        "rolled_forward": "2001-census-based, as published before the 2011 Census",
        "census": "2011-census-based",
    }
    total = total_migration(case, "LTIM") * area_share(case)
    survey = area_totals(case, AREA, "estimate_thousands") * 1000
    return {
        "births": births_by_sex(case),
        "born_before": born_before(case, years[0] - 1),
        **population_totals(case, vintages, reached),
        **survey_of_area(case),
        **known_sum(case, total, survey, raw(case, "flow_totals")),
    }


def known_sum(case: str, total: xr.DataArray, survey: xr.DataArray, rows: pd.DataFrame) -> Tables:
    """Total migration, and asylum seekers as an expected part of what it adds to the survey."""
    added = (total - survey).sel({FLOW: IMMIGRATION}, drop=True)
    part = np.minimum(asylum_entering(case), LARGEST_SHARE_OF_SUM * added)
    frame = tidy(total.transpose(YEAR, FLOW), "count")
    return {
        "total_migration": with_references(frame, rows, "year", "flow"),
        "administrative_flows": asylum(case, part),
    }


def england_wales_2011_2021() -> Tables:
    """The survey is what asylum leaves of total migration, with modelled errors."""
    case, years = EW2021, range(2012, 2022)
    natural = natural_change(case, years, schedule_of(case, range(2011, 2021)))
    total, rolled = total_migration(case, "LTIM"), official_totals(case)
    other = natural.copy()
    for _, rows in published(case, "known_changes").groupby("source", sort=False):
        other = other + by_year(rows, "count").reindex({YEAR: natural[YEAR]}, fill_value=0.0)
    # of the last year no flows were published: emigration stays, immigration closes the account
    net = float((rolled.diff(YEAR) - other).sel({YEAR: 2021}))
    leaving = float(total.sel({FLOW: EMIGRATION, YEAR: 2020}))
    last = xr.DataArray(
        [[leaving + net], [leaving]], dims=(FLOW, YEAR), coords={FLOW: list(FLOWS), YEAR: [2021]}
    )
    total = xr.concat([total, last], dim=YEAR)
    carried_total = with_references(
        tidy(total.transpose(YEAR, FLOW), "count"), raw(case, "flow_totals"), "year", "flow"
    )
    part = asylum_entering(case)
    rest = {
        IMMIGRATION: total.sel({FLOW: IMMIGRATION}, drop=True) - part,
        EMIGRATION: total.sel({FLOW: EMIGRATION}, drop=True),
    }
    survey = pd.concat([modelled(flow, rest[flow]) for flow in FLOWS])
    carried = (
        "2011-census-based, as published before the 2021 Census; "
        "mid-2021 from the published difference"
    )
    vintages = {
        "base": "2011-census-based, June 2021 series", "rolled_forward": carried,
        "census": "2021-census-based, first estimate",
    }  # fmt: skip
    sexes = raw(case, "stocks_by_sex")
    sexes = pd.DataFrame(
        {
            "year": sexes["date"].str[:4], "vintage": sexes["item"].map(vintages),
            "sex": sexes["sex"], "population": sexes["persons"], "reference": sexes["reference"],
        }
    )  # fmt: skip
    return {
        "births": births_by_sex(case),
        "born_before": born_before(case, years[0] - 1, published(EW2011, "vital_totals")),
        **population_totals(case, vintages, {}),
        "population_by_sex": sexes,
        "survey_totals": with_references(survey, raw(case, "flow_totals"), "year", "flow"),
        "flow_schedule": five_year_groups(),
        "total_migration": carried_total,
        "administrative_flows": asylum(case, part),
    }


CASES = {
    UK: uk_1991_2001, EW2001: england_wales_1991_2001,
    EW2011: england_wales_2001_2011, EW2021: england_wales_2011_2021,
}  # fmt: skip


# Writing


def text_of(frame: pd.DataFrame) -> str:
    """A table as CSV; figures with all their digits, whole ones without a point."""
    shown = frame.copy()
    for name in shown:
        if pd.api.types.is_float_dtype(shown[name]):
            shown[name] = [_figure(value) for value in shown[name]]
    return shown.to_csv(index=False, lineterminator="\n")


def _figure(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else repr(float(value))


def built(case: str) -> dict[str, str]:
    """Name and text of every table of a case that is reached by rule."""
    return {f"{name}.csv": text_of(frame) for name, frame in CASES[case]().items()}


if __name__ == "__main__":
    for case in CASES:
        for name, text in built(case).items():
            (SHIPPED / case / name).write_text(text, encoding="utf-8")
            print(f"{case}/{name}")
