"""Figures that cannot be right: each kind of fault is named, and right figures are not."""

from __future__ import annotations

import io
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imps.errors import InputWarning
from imps.names import KINDS_OF_COUNTRY
from imps.project import assemble
from imps.project.assemble import inspect_sources, sources_from_tables
from imps.project.between import check_between
from imps.project.check import check_project, load_project
from imps.project.contradictions import stock_totals
from imps.project.expectation import check_expected
from imps.project.misplaced import REARRANGED
from imps.project.sections import Account
from imps.project.settings import inspect_settings
from imps.project.template import template_of
from imps.reading.findings import REJECT, WARN, ImportLog
from imps.reading.plausibility import beside, limit, median_of_others, root_deviance, unlikely_years
from imps.reading.rearrangements import ARRANGEMENTS, rearranged
from imps.reading.table import Table, inspect_table
from imps.shipped import cases, load_case

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from faulty_files import FAULTS, NEVER_SILENT
from right_files import (
    SHIPPED,
    TEMPLATES,
    Project,
    clean_project,
    folder_project,
    register_project,
    shipped_project,
)

PEOPLE = 2.7e6
EXPECTED = {
    "cell x 10": {"CELL_UNLIKELY", "YEAR_UNLIKELY", "BALANCE_UNLIKELY", "SEX_RATIO_UNLIKELY"},
    "year x 0.4": {"YEAR_UNLIKELY", "BALANCE_UNLIKELY"},
    "flows exchanged in a year": {"YEAR_REARRANGED"},
    "sexes swapped in a year": {"YEAR_REARRANGED", "SEX_RATIO_UNLIKELY"},
    "contacts as estimates": {"CONTACTS_AS_ESTIMATES"},
    "SE x 10": {"ERROR_UNLIKELY"},
    "half-widths as SE": {"ERROR_UNLIKELY"},
    "year copied": {"YEARS_IDENTICAL"},
    "ages shifted in a year": {"YEAR_REARRANGED", "CELL_UNLIKELY"},
    "last figure cut": {"CELL_UNLIKELY", "YEAR_UNLIKELY", "BALANCE_UNLIKELY", "ROW_WIDTH"},
}


@cache
def table(kind: str, name: str, text: str, options: tuple) -> tuple[Table | None, ImportLog]:
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    return inspect_table(frame, kind, dict(options), name=name)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What is said of a project, without reading again what has not changed."""
    folder = tmp_path_factory.mktemp("projects")

    @cache
    def settings(text: str):
        path = folder / "settings.toml"
        path.write_text(text, encoding="utf-8")
        for name in Project(text, {}).kinds:
            (folder / name).touch()
        return inspect_settings(path)[0]

    def say(project: Project) -> ImportLog:
        found, log, tables = settings(project.settings), ImportLog(), []
        for entry in found.tables:
            one, said = table(entry.kind, entry.file, project.files[entry.file],
                              tuple((k, tuple(v) if isinstance(v, list) else v)
                                    for k, v in entry.options.items()))  # fmt: skip
            log += said
            tables += [one] if one else []
        log += check_between(tables, found.account)
        return log + inspect_sources(tables, found.account, {})[1] if log.passed else log

    return say


@cache
def simulated() -> Project:
    return clean_project(PEOPLE, seed=1)


def doubted(log: ImportLog) -> set[str]:
    return {f.code for f in log.findings if f.outcome not in ("CONVERT", "ACCEPT")}


# Right figures


@pytest.mark.parametrize("name", cases())
def test_the_cases_of_the_package_raise_no_doubt(name):
    log = check_project(SHIPPED / name.replace("-", "_")).log
    assert not [str(f) for f in log.findings if f.outcome == WARN]


@pytest.mark.parametrize("kind", KINDS_OF_COUNTRY)
def test_fictitious_accounts_raise_no_doubt(kind):
    log = check_project(template_of(kind)).log
    assert not [str(f) for f in log.findings if f.outcome == WARN]


@pytest.mark.parametrize(("people", "years"), [(2e4, 5), (6e4, 3), (2e5, 4), (3e6, 10), (6e7, 12)])
def test_a_clean_country_of_any_size_raises_no_doubt(people, years, told):
    assert not doubted(told(clean_project(people, seed=3, years=years)))


def test_the_limit_holds_the_stated_rate_of_false_alarms():
    drawn = np.random.default_rng(1).poisson(400, size=(2000, 100))
    worst = np.abs(root_deviance(drawn, np.full(drawn.shape, 400.0))).max(axis=1)
    assert (worst > limit(100)).mean() < 0.006
    assert limit(1) == pytest.approx(3.09, abs=0.01)


def test_the_median_of_all_others_leaves_each_out():
    rng = np.random.default_rng(1)
    for n in (2, 3, 8, 9):
        values = rng.normal(size=n)
        values[n // 2] = np.nan if n > 3 else values[n // 2]
        others = [np.nanmedian(np.delete(values, t)) for t in range(n)]
        expected = np.where(np.isnan(values), np.nan, others)
        np.testing.assert_allclose(median_of_others(values), expected)


# Faults


@pytest.mark.parametrize("kind", NEVER_SILENT)
def test_no_fault_of_these_kinds_is_silent(kind, told):
    rng = np.random.default_rng(7)
    right = told(simulated())
    for _ in range(2):
        faulty = next(filter(None, (FAULTS[kind](simulated(), rng) for _ in range(50))))
        log = told(faulty)
        new = doubted(log) - doubted(right)
        assert new & EXPECTED[kind] or log.faults, f"{kind}: {new}"


@pytest.mark.parametrize(("name", "column"), [("births", "births"), ("deaths", "deaths")])
def test_three_years_are_enough_to_doubt_one(name, column, told):
    few = clean_project(6e4, seed=3, years=3)
    frame = few.table(f"{name}.csv")
    year = frame["year"].unique()[1]
    at = frame["year"] == year
    frame.loc[at, column] = (frame.loc[at, column].astype(float) * 0.4).round().map("{:.0f}".format)
    log = told(few.with_table(f"{name}.csv", frame))
    assert year in log.of("YEAR_UNLIKELY")[0].problem


def test_there_are_faults_of_many_kinds():
    assert len(FAULTS) >= 80 and set(NEVER_SILENT) <= set(FAULTS)


def edited(name: str, edit) -> Project:
    frame = simulated().table(f"{name}.csv")
    return simulated().with_table(f"{name}.csv", edit(frame))


def test_a_finding_names_file_year_cell_figure_and_what_is_said_beside(told):
    def ten(frame):
        at = (frame["year"] == "2005") & (frame["sex"] == "male") & (frame["age"] == "70")
        frame.loc[at, "deaths"] += "0"
        return frame

    (finding,) = told(edited("deaths", ten)).of("CELL_UNLIKELY")
    assert finding.outcome == WARN and finding.file == "deaths.csv"
    assert finding.problem.startswith("is unlike everything beside it: 2005 male 70: ")
    assert "beside about" in finding.problem and finding.texts[0].replace(",", "").endswith("0")


def test_copied_years_are_refused_and_impossible_cohorts_told(told):
    def copied(frame):
        frame.loc[frame["year"] == "2004", "deaths"] = frame["deaths"][
            frame["year"] == "2003"
        ].to_numpy()
        return frame

    (finding,) = told(edited("deaths", copied)).of("YEARS_IDENTICAL")
    assert finding.outcome == REJECT and finding.problem.startswith("2004 repeats 2003 in 1")

    def emptied(frame):
        at = (frame["vintage"] == "first") & (frame["age"] == "75")
        return frame.assign(population=frame["population"].where(~at, "9"))

    log = told(edited("population", emptied))
    assert {f.outcome for f in log.of("COHORT_NEGATIVE")} == {WARN}


def test_years_that_all_repeat_one_are_a_schedule_and_told(told):
    """But for one of them: another year's figures given for many are no slip of the hand."""

    def repeated(frame):
        one = frame[frame["year"] == "2002"]["deaths"].to_numpy()
        later = frame["year"].isin(["2004", "2005", "2006"])
        return frame.assign(deaths=frame["deaths"].mask(
            later, pd.Series(np.resize(one, len(frame)), frame.index)))  # fmt: skip

    (finding,) = told(edited("deaths", repeated)).of("YEARS_IDENTICAL")
    assert finding.outcome == WARN and "2004 repeats 2002" in finding.problem


def test_sexes_alike_in_a_year_are_told_and_not_refused(told):
    """A made-up country may begin so; a whole year that repeats another may not be."""

    def of_males(frame):
        male = frame[(frame["year"] == "2004") & (frame["sex"] == "male")]["deaths"].to_numpy()
        return frame.assign(deaths=frame["deaths"].mask(
            (frame["year"] == "2004") & (frame["sex"] == "female"),
            pd.Series(np.resize(male, len(frame)), frame.index),
        ))  # fmt: skip

    log = told(edited("deaths", of_males))
    (finding,) = log.of("YEARS_IDENTICAL")
    assert finding.outcome == WARN and "2004 repeats males for females" in finding.problem


def test_a_year_that_is_right_after_all_can_be_accepted(told):
    settings = (
        simulated()
        .settings.replace(
            'age_counted = "at-mid-year"', 'age_counted = "at-mid-year"\njumps = "accepted"'
        )
        .replace("last_mid_year", 'components_differ = "deaths of 2004"\nlast_mid_year')
    )

    def copied(frame):
        frame.loc[frame["year"] == "2004", "deaths"] = frame["deaths"][
            frame["year"] == "2003"
        ].to_numpy()
        return frame

    project = edited("deaths", copied)
    log = told(Project(settings, project.files))
    assert log.passed and {f.outcome for f in log.of("YEARS_IDENTICAL")} == {WARN}


def test_data_frames_are_looked_at_too():
    project = simulated()
    options = {
        "births": {"period": "mid-year"},
        "deaths": {"period": "mid-year", "age_counted": "at-mid-year"},
        "population": {},
        "survey_flows": {"unit": "persons", "period": "mid-year", "definition": "survey"},
    }
    tables = []
    for kind, declared in options.items():
        text = project.files[f"{kind}.csv"]
        if kind == "survey_flows":
            text = project.with_table(
                "survey_flows.csv",
                FAULTS["SE x 10"](project, np.random.default_rng(1)).table("survey_flows.csv"),
            ).files["survey_flows.csv"]
        tables.append(table(kind, kind, text, tuple(declared.items()))[0])
    account = Account(first_mid_year=2001, last_mid_year=2011, base_vintage="first",
                      census_vintage="census", census_standard_error=0.001)  # fmt: skip
    with pytest.warns(InputWarning, match="ERROR_UNLIKELY"):
        sources_from_tables(*tables, **account.model_dump(exclude_defaults=True))


def test_stocks_are_compared_with_the_priors_once_on_either_road(tmp_path, monkeypatch):
    """Of files and of data frames; a case of the package was compared when it was stored."""
    calls = []

    def counted(sources, priors, log, file):
        calls.append(file)
        check_expected(sources, priors, log, file)

    monkeypatch.setattr(assemble, "check_expected", counted)
    right, file = folder_project(TEMPLATES / "area"), "data/births.csv"
    births = right.table(file)
    births["births"] = [str(round(1.4 * int(n))) for n in births["births"]]
    faulty = right.with_table(file, births).write(tmp_path)
    with pytest.warns(InputWarning, match="expected to within"):
        report = load_project(faulty)
    assert report.case.sources is report.sources and report.priors and len(calls) == 1
    with pytest.warns(InputWarning, match="expected to within"):
        sources_from_tables(
            *report.tables,
            coverage={t.file: t.coverage for t in report.settings.tables if t.coverage},
            streams={t.file: t.stream for t in report.settings.tables if t.stream},
            priors=report.priors,
            **report.settings.account.model_dump(exclude_defaults=True),
        )
    assert len(calls) == 2
    load_case("uk-1991-2001")
    assert len(calls) == 2


def test_a_year_that_the_roll_forward_contradicts_is_named(told):
    faulty = FAULTS["roll-forward of a year x 1.03"](simulated(), np.random.default_rng(3))
    assert "BALANCE_UNLIKELY" in doubted(told(faulty))


def test_parts_of_a_known_total_are_compared_year_by_year(told):
    project = shipped_project("uk_1991_2001")
    frame = project.table("administrative_flows.csv")
    frame.loc[frame["year"] == "1999", "count"] = "7477"
    log = told(project.with_table("administrative_flows.csv", frame))
    assert "1999 immigration" in log.of("PARTS_UNLIKELY")[0].problem


def test_what_a_run_once_called_usable_is_named_before_it(told):
    """Faults after which nothing but the figures themselves looked wrong."""
    project = shipped_project("england_wales_2011_2021")
    right = {(f.code, f.problem) for f in told(project).findings if f.outcome == WARN}

    def swapped(frame):
        at = frame["year"] == "2015"
        other = {"male": "female", "female": "male"}
        return frame.assign(sex=frame["sex"].where(~at, frame["sex"].map(other)))

    def ten(frame):
        more = (10 * frame["births"].astype(float)).astype(str)
        return frame.assign(births=frame["births"].where(frame["year"] != "2014", more))

    def cut(frame):
        return frame.assign(
            population=[*frame["population"][:-1], frame["population"].iloc[-1][:-1]]
        )

    def exchanged(frame):
        at = frame["year"] == "2016"
        other = {"immigration": "emigration", "emigration": "immigration"}
        return frame.assign(flow=frame["flow"].where(~at, frame["flow"].map(other)))

    def wrong(frame):
        at = frame["year"] == "2016"
        return frame.assign(population=frame["population"].where(~at, "58318500"))

    def asylum(frame):
        more = (10 * frame["count"].astype(float)).astype(str)
        return frame.assign(count=frame["count"].where(frame["year"] != "2017", more))

    for name, edit, place in (
        ("administrative_flows", asylum, "2017"),
        ("deaths", swapped, "2015"), ("births", ten, "2014"),
        ("population", cut, "2021"), ("survey_totals", exchanged, "2016"),
        ("population_totals", wrong, "2016"),
    ):  # fmt: skip
        faulty = project.with_table(f"{name}.csv", edit(project.table(f"{name}.csv")))
        log = told(faulty)
        new = [f for f in log.findings if f.outcome in (WARN, REJECT)
               and (f.code, f.problem) not in right]  # fmt: skip
        assert any(place in str(f) for f in new), (name, [str(f) for f in new])


def orders_of(frame, order):
    """Births under the years that `order` puts them in."""
    years = sorted(frame["year"].unique())
    blocks = {y: frame.loc[frame["year"] == y, "births"].to_numpy() for y in years}
    for to, source in zip(years, order(years), strict=True):
        frame.loc[frame["year"] == to, "births"] = blocks[source]
    return frame


def test_births_that_lag_are_told_by_the_children_of_the_next_census(told):
    project = shipped_project("uk_1991_2001")
    lagged = orders_of(project.table("births.csv"), lambda years: [years[-1], *years[:-1]])
    log = told(project.with_table("births.csv", lagged))
    assert "births beside the children of 2001: its years fit one year earlier" in str(log)


FURTHER = {
    "SE shifted by a row": {"ERROR_UNLIKELY"},
    "contacts shifted by a row": {"ERROR_UNLIKELY"},
    "cumulated figures": {"YEAR_UNLIKELY"},
    "ages 20 to 29 doubled in a year": {"CELL_UNLIKELY", "BALANCE_UNLIKELY"},
    "deaths / 10": {"RATE_UNLIKELY"},
    "flows exchanged throughout": {"BALANCE_UNLIKELY"},
    "emigration repeats immigration in a year": {"YEARS_IDENTICAL"},
    "one sex copied to the other in a year": {"YEARS_IDENTICAL"},
    "year rounded to thousands": {"YEAR_UNLIKELY"},
    "twenty rows shifted by one": {"CELL_UNLIKELY"},
}


@pytest.mark.parametrize("kind", FURTHER)
def test_further_kinds_are_named(kind, told):
    rng = np.random.default_rng(2)
    faulty = next(filter(None, (FAULTS[kind](simulated(), rng) for _ in range(50))))
    assert doubted(told(faulty)) & FURTHER[kind]


def exchanged(frame):
    return frame.assign(flow=frame["flow"].map({"in": "out", "out": "in"}))


def lagged(frame):
    """Arrivals under the year before."""
    arrivals = frame["flow"] == "in"
    figures = frame.loc[arrivals, "count"].to_numpy().reshape(frame["year"].nunique(), -1)
    moved = frame["count"].copy()
    moved[arrivals] = np.roll(figures, -1, axis=0).ravel()
    return frame.assign(count=moved)


@pytest.mark.parametrize(
    ("edit", "code", "words"),
    [(exchanged, "YEAR_REARRANGED", "directions are exchanged, by the cohorts"),
     (lagged, "BALANCE_UNLIKELY", "register_arrivals: its years one year later fit far better")],
)  # fmt: skip
def test_registered_migration_has_to_lead_from_stock_to_stock(edit, code, words, tmp_path):
    project = register_project()
    name = "data/migration.csv"
    path = project.with_table(name, edit(project.table(name))).write(tmp_path)
    found = check_project(path).log.of(code)
    assert any(words in f.problem for f in found), found


def of_column(column, change, at=None):
    """Figures of a column changed, where a rule of the rows says so."""

    def edit(frame):
        rows = frame.index if at is None else frame.index[at(frame)]
        frame = frame.copy()
        frame.loc[rows, column] = change(frame.loc[rows, column].astype(float)).map(
            "{:.10g}".format
        )
        return frame

    return edit


def pasted(frame, to, of, column):
    frame = frame.copy()
    frame.loc[to(frame), column] = frame.loc[of(frame), column].to_numpy()
    return frame


def rows_of(low=0, high=200, **labels):
    """Rows of an age band with these labels."""

    def chosen(frame):
        age = frame["age"].str.extract(r"^(\d+)")[0].astype(int) if "age" in frame else 0
        return (age >= low) & (age < high) & (frame[[*labels]] == pd.Series(labels)).all(axis=1)

    return chosen


def shifted_years(frame):
    size = int(frame.groupby("year").size().iloc[0])
    return frame.assign(standard_error=np.roll(frame["standard_error"].to_numpy(), -size))


def sexes_below(frame):
    other = {"male": "female", "female": "male"}
    at = rows_of(high=45, year="1996")(frame)
    return frame.assign(sex=frame["sex"].where(~at, frame["sex"].map(other)))


def ends_exchanged(frame):
    half = len(frame) // 2
    return frame.assign(population=np.roll(frame["population"].to_numpy(), half))


def reversed_ages(frame, column, flow):
    """Figures of one direction with the ages of each year and sex in reverse order."""
    own = frame["flow"] == flow
    moved = (
        frame[own]
        .groupby(["year", "sex"], sort=False)[column]
        .transform(lambda v: v.to_numpy()[::-1])
    )
    return frame[column].where(~own, moved)


def of_one_year(frame, year):
    """The figures of one year of each direction, given for all."""
    keys = ["flow", "sex", "age_group"]
    one = frame[frame["year"] == year].set_index(keys)["count"]
    return one.reindex(pd.MultiIndex.from_frame(frame[keys])).to_numpy()


def straight(frame, low, high):
    """Deaths from one age to another on a straight line, in each year and sex."""
    figures = np.array(frame["deaths"], float).reshape(-1, frame["age"].nunique())
    steps = np.linspace(figures[:, low], figures[:, high], high - low + 1, axis=1)
    figures[:, low : high + 1] = np.round(steps)
    return [f"{v:.0f}" for v in figures.ravel()]


def divided(frame):
    """Each group of five ages given as its mean."""
    figures = np.array(frame["count"], float).reshape(-1, frame["age_group"].nunique())
    whole = figures[:, :-1].reshape(len(figures), -1, 5).mean(axis=2)
    figures[:, :-1] = np.round(np.repeat(whole, 5, axis=1))
    return [f"{v:.0f}" for v in figures.ravel()]


def ages_up(frame, year, flow):
    """Figures of a year and direction one age too high."""
    at = rows_of(year=year, flow=flow)(frame)
    figures = frame.loc[at, "count"].to_numpy().reshape(2, -1)
    moved = frame["count"].copy()
    moved[at] = np.concatenate([figures[:, :1], figures[:, :-1]], axis=1).ravel()
    return moved


MALES_OF = rows_of(sex="male")
NOTICED = {
    "migration of every month": ("register", "migration", of_column("count", lambda v: v / 12),
                                 "BALANCE_UNLIKELY", "migration fits 12"),
    "half of those who come": ("cards", "migration", of_column(
        "count", lambda v: v / 2, rows_of(flow="in")), "BALANCE_UNLIKELY", "immigration fits 1.8"),
    "a gap like no other": ("cards", "migration", of_column(
        "count", lambda v: 3 * v, rows_of(flow="out")), "BALANCE_UNLIKELY", "of the census"),
    "half from a year on": ("register", "migration", of_column(
        "count", lambda v: v / 2, lambda f: (f["flow"] == "in") & (f["year"] >= "2010")),
        "YEAR_UNLIKELY", "2010"),
    "births of another place": ("cards", "births", of_column("births", lambda v: round(1.6 * v)),
                                "RATE_UNLIKELY", "children"),
    "births before the base in another unit": (
        "england_wales_2011_2021", "born_before", lambda f: f.assign(unit="thousands"),
        "RATE_UNLIKELY", "children of under 10 years"),
    "births before the base of an area": (
        "england_wales_2011_2021", "born_before", of_column("births", lambda v: v * 0.6),
        "RATE_UNLIKELY", "children of under 10 years"),
    "populations exchanged": ("cards", "population", ends_exchanged, "YEAR_REARRANGED",
                              "2013 and 2023"),
    "more boys than are born": ("cards", "population", of_column(
        "population", lambda v: 1.3 * v, MALES_OF), "SEX_RATIO_UNLIKELY", "boys"),
    "deaths of men alone too many": ("register", "deaths", of_column(
        "deaths", lambda v: round(1.4 * v), MALES_OF), "SEX_RATIO_UNLIKELY", "men of 60 and over"),
    "sexes swapped below 45": ("uk_1991_2001", "deaths", sexes_below, "YEAR_REARRANGED", "1996"),
    "ages pasted twice": ("", "population", lambda f: pasted(
        f, rows_of(40, 50, sex="male", vintage="first"),
        rows_of(30, 40, sex="male", vintage="first"), "population"), "YEARS_IDENTICAL",
        "male 40 to 49 repeats"),
    "women of the year before": ("", "deaths", lambda f: pasted(
        f, rows_of(sex="female", year="2005"), rows_of(sex="female", year="2004"), "deaths"),
        "YEARS_IDENTICAL", "2004 female"),
    "one error for all": ("", "survey_flows", of_column("standard_error", lambda v: v * 0 + 300),
                          "ERROR_UNLIKELY", "rank correlation"),
    "contacts for errors": ("", "survey_flows", lambda f: f.assign(
        standard_error=f["contacts"].astype(int) * 30), "ERROR_UNLIKELY", "power 1.00"),
    "intervals for errors in a year": ("", "survey_flows", of_column(
        "standard_error", lambda v: 2.58 * v, rows_of(year="2006")), "ERROR_UNLIKELY", "2006"),
    "errors of the next year": ("", "survey_flows", shifted_years, "ERROR_UNLIKELY",
                                "one year later"),
    "total migration of another country": ("uk_1991_2001", "total_migration", of_column(
        "count", lambda v: 8 * v), "PARTS_UNLIKELY", "times survey and parts"),
    "a roll-forward in reverse order": ("uk_1991_2001", "population_totals", lambda f: f.assign(
        population=[*f["population"][:11][::-1], *f["population"][11:]]), "BALANCE_UNLIKELY",
        "a year beside births"),
    "deaths too few for ten years": ("uk_1991_2001", "deaths", of_column(
        "deaths", lambda v: round(0.4 * v)), "YEAR_UNLIKELY", "deaths leave of 1991"),
    "a tenth of births too many": ("register", "births", of_column(
        "births", lambda v: round(1.1 * v)), "BALANCE_UNLIKELY", "census aged 0 to 9"),
    "deaths too few among the old": ("survey", "deaths", of_column(
        "deaths", lambda v: round(0.85 * v)), "BALANCE_UNLIKELY", "aged 85 and over"),
    "arrivals of men alone too many": ("register", "migration", of_column(
        "count", lambda v: round(1.5 * v), rows_of(sex="male", flow="in")), "BALANCE_UNLIKELY",
        "males less females"),
    "a fifth of a band lost": ("cards", "population", of_column(
        "population", lambda v: round(0.8 * v), rows_of(40, 60, vintage="census 2023")),
        "BALANCE_UNLIKELY", "census aged 40 to 59"),
    "births before the base a tenth too few": ("england_wales_2001_2011", "born_before", of_column(
        "births", lambda v: round(0.9 * v)), "BALANCE_UNLIKELY", "born_before 0 and others"),
    "births unlike their totals": ("england_wales_2001_2011", "births", of_column(
        "births", lambda v: 0.9 * v), "YEAR_UNLIKELY", "0.91 times the births"),
    "no infants among deaths": ("survey", "deaths", of_column(
        "deaths", lambda v: 0 * v, rows_of(0, 1)), "RATE_UNLIKELY", "deaths of infants"),
    "a year lost inside yearly stocks": ("uk_1991_2001", "population", lambda f: f[
        f["year"] != "1995"], "CELLS_MISSING", "1995"),
    "departures of a band in a year": ("register", "migration", of_column(
        "count", lambda v: round(0.7 * v), lambda f: (f["flow"] == "out") & (f["year"] == "2007")
        & f["age_group"].str.fullmatch("3[5-9]|4[0-4]")), "BALANCE_UNLIKELY", "aged 48 to 57"),
    "infants of a census missed": ("area", "population", of_column(
        "population", lambda v: round(0.85 * v), rows_of(0, 5, vintage="census-based 2021")),
        "BALANCE_UNLIKELY", "aged 0 to 4"),
    "births of later years a tenth too few": ("survey", "births", of_column(
        "births", lambda v: round(0.89 * v), lambda f: f["year"] >= "2004"), "BALANCE_UNLIKELY",
        "aged 0 to 2"),
    "old women missed at both ends": ("cards", "population", of_column(
        "population", lambda v: round(0.93 * v), rows_of(65, sex="female")), "BALANCE_UNLIKELY",
        "females aged 65 to"),
    "ages of departures reversed": ("area", "internal_moves", lambda f: f.assign(
        count=reversed_ages(f, "count", "out")), "BALANCE_UNLIKELY", "its 172 cells together"),
    "intervals for errors of a direction": ("area", "survey_flows", of_column(
        "standard_error", lambda v: 1.96 * v, rows_of(flow="emigration")), "ERROR_UNLIKELY",
        "3.0 times one another"),
    "both directions in one of them": ("survey", "survey_flows", of_column(
        "estimate", lambda v: round(1.63 * v), rows_of(flow="immigration", year="2004")),
        "YEAR_UNLIKELY", "2004 immigration: estimates are 1.6"),
    "children of a survey lost": ("survey", "survey_flows", of_column(
        "estimate", lambda v: 0 * v, rows_of(age_group="0-14", flow="emigration")), "CELL_UNLIKELY",
        "emigration male 0-14: 0 beside"),
    "girls a twentieth too few": ("register", "births", of_column(
        "births", lambda v: round(0.95 * v), rows_of(sex="female")), "SEX_RATIO_UNLIKELY",
        "2003 to 2020"),
    "a survey in round thousands": ("survey", "survey_flows", of_column(
        "estimate", lambda v: 1000 * round(v / 1000), rows_of(flow="immigration")),
        "YEAR_UNLIKELY", "multiples of 1,000"),
    "a fifth of arrivals of an age lost": ("area", "internal_moves", of_column(
        "count", lambda v: round(0.8 * v), lambda f: (f["flow"] == "in")
        & f["age_group"].str.fullmatch("2[0-9]")), "CELL_UNLIKELY", "immigration 30 in all years"),
    "deaths of an age a quarter too many": ("england_wales_1991_2001", "deaths", of_column(
        "deaths", lambda v: round(1.25 * v), rows_of(40, 50)), "CELL_UNLIKELY",
        "50 in all years"),
    "errors and contacts exchanged": ("area", "survey_flows", lambda f: f.rename(
        columns={"standard_error": "contacts", "contacts": "standard_error"}), "ERROR_UNLIKELY",
        "with the power 2.0"),
    "one year for all": ("cards", "migration", lambda f: f.assign(count=of_one_year(f, "2023")),
                         "YEARS_IDENTICAL", "2015 cards emigration repeats 2014"),
    "births of one year for all": ("survey", "births", lambda f: f.assign(
        births=np.resize(f["births"][:2], len(f))), "YEARS_IDENTICAL", "2003 repeats 2002"),
    "men of the year before in a survey": ("", "survey_flows", lambda f: pasted(
        f, rows_of(sex="male", year="2005", flow="immigration"),
        rows_of(sex="male", year="2004", flow="immigration"), "estimate"), "YEARS_IDENTICAL",
        "2005 immigration repeats males of 2004"),
    "a straight line of ages": ("england_wales_1991_2001", "deaths", lambda f: f.assign(
        deaths=straight(f, 60, 75)), "CELL_UNLIKELY", "1991 male 60 to 75"),
    "groups divided evenly": ("area", "internal_moves", lambda f: f.assign(
        count=divided(f)), "CELL_UNLIKELY", "equal within groups of five"),
    "infants among departures lost": ("area", "internal_moves", of_column(
        "count", lambda v: 0 * v, lambda f: (f["flow"] == "out") & (f["age_group"] == "0")),
        "CELL_UNLIKELY", "emigration 0 in all years: nobody"),
    "upper bounds for estimates": ("area", "survey_flows", lambda f: f.assign(estimate=[
        f"{float(e) + 1.96 * float(s):.0f}" for e, s in
        zip(f["estimate"], f["standard_error"], strict=True)]), "ERROR_UNLIKELY",
        "upper bounds of 95 % intervals"),
    "half of a direction with its errors": ("area", "survey_flows", lambda f: of_column(
        "estimate", lambda v: round(v / 2), rows_of(flow="emigration"))(of_column(
            "standard_error", lambda v: v / 2, rows_of(flow="emigration"))(f)), "ERROR_UNLIKELY",
        "a contact stands for 3.0 people of emigration and 6.0"),
    "variances for errors before the base": ("england_wales_2011_2021", "born_before", of_column(
        "standard_error", lambda v: v**2), "ERROR_UNLIKELY", "beside 666,776 births"),
    "ages of a few a year too high": ("area", "internal_moves", lambda f: f.assign(
        count=ages_up(f, "2021", "in")), "YEAR_REARRANGED",
        "2021 internal_moves immigration: ages"),
    "births of the last year alone": ("survey", "births", of_column(
        "births", lambda v: round(0.93 * v), rows_of(year="2006")), "BALANCE_UNLIKELY",
        "births 2006: 4,845, +8% would fit"),
    "women's deaths of a year a tenth too few": ("register", "deaths", of_column(
        "deaths", lambda v: round(0.9 * v), rows_of(year="2009", sex="female")),
        "BALANCE_UNLIKELY", "deaths 2009 females"),
    "departures of an age in all years": ("register", "migration", of_column(
        "count", lambda v: round(0.8 * v), lambda f: (f["flow"] == "out")
        & f["age_group"].str.fullmatch("2[0-9]")), "BALANCE_UNLIKELY",
        "register_departures 2003 to 2020 aged 20 to 29"),
    "sexes of departures exchanged": ("cards", "migration", lambda f: f.assign(
        sex=f["sex"].where(f["flow"] == "in", f["sex"].map(
            {"male": "female", "female": "male"}))), "BALANCE_UNLIKELY", "the sexes of ages 18"),
    "a year lost at the end": ("", "survey_flows", lambda f: f[f["year"] != f["year"].max()],
                               "CELLS_MISSING", "2011"),
}  # fmt: skip


@pytest.mark.parametrize("what", NOTICED)
def test_faults_of_further_families_are_named_with_their_place(what, tmp_path):
    name, file, edit, code, words = NOTICED[what]
    if not name:
        project = simulated()
    elif "_" in name:
        project = shipped_project(name)
    else:
        project = folder_project(TEMPLATES / name)
    file = next(f for f in project.files if f.endswith(f"{file}.csv"))
    log = check_project(project.with_table(file, edit(project.table(file))).write(tmp_path)).log
    assert any(f.code == code and words in f.problem for f in log.findings), str(log)


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "words"),
    [
        ("cards", "census_standard_error = 0.0015", "census_standard_error = 0.000004",
         "ERROR_TINY", "4e-06 of it"),
        ("cards", "census_standard_error = 0.0015", 'census_quality = "register"', "ERROR_TINY",
         "'census 2023' is declared a register"),
        ("register", "level = { sd = 0.02 }", "level = { sd = 0.0001 }", "ERROR_TINY",
         "a count of migrants"),
        ("area", 'stream = "internal_moves_departures"', 'stream = "internal_moves_arrivals"',
         "STREAM_DIRECTION", "speaks of departures and is put to 'internal_moves_arrivals'"),
        ("cards", "first_age = 18", "first_age = 50", "SETTING_RANGE", "up to last_age, 34"),
    ],
)  # fmt: skip
def test_settings_that_contradict_themselves_are_named(name, old, new, code, words, tmp_path):
    project = folder_project(TEMPLATES / name)
    assert old in project.settings
    faulty = replace(project, settings=project.settings.replace(old, new, 1))
    log = check_project(faulty.write(tmp_path), beside_priors=False).log
    assert any(words in f.problem for f in log.of(code)), str(log)


def test_sexes_that_differ_by_chance_alone_are_not_taken_for_exchanged():
    """Small counts of one schedule for both sexes: what is expected of each errs as they do."""
    rng = np.random.default_rng(3)
    mean = 2 * np.exp(-np.arange(91) / 30)
    drawn = rng.poisson(mean, (300, 3, 2, 91)).astype(float)
    found = [
        rearranged(v[1], beside(v, 0, ends=True)[1], ARRANGEMENTS["the sexes are exchanged"], 1.5)
        for v in drawn
    ]
    assert max(found) < REARRANGED / 2
    apart = drawn[0] * np.array([[[4.0], [1.0]]])
    apart[1] = apart[1][::-1]
    expected = beside(apart, 0, ends=True)[1]
    assert rearranged(apart[1], expected, lambda v: v[::-1], 1.5) > REARRANGED


def test_a_zero_is_named_itself_and_not_the_cells_beside_it():
    """Two neighbours of which one is zero say what the other says."""
    values = np.full((5, 1, 3), 215.0)
    values[2, 0, 1] = 0.0
    said = beside(values, 0, ends=True)
    assert said[2, 0, 1] == pytest.approx(215.0)
    np.testing.assert_allclose(said[[0, 1, 3, 4]], 215.0)
    few = np.array([[[0.0]], [[2.0]], [[3.0]]])
    assert 1.0 < beside(few, 0, ends=False)[1, 0, 0] < 1.5  # chance makes such zeros


def test_a_survey_with_a_zero_names_that_cell_alone(tmp_path):
    project = folder_project(TEMPLATES / "survey")
    name = "data/survey_flows.csv"
    at = rows_of(age_group="0-14", year="2004", sex="male", flow="immigration")
    frame = of_column("estimate", lambda v: 0 * v, at)(project.table(name))
    log = check_project(project.with_table(name, frame).write(tmp_path)).log
    (found,) = [f for f in log.of("CELL_UNLIKELY") if f.file == name]
    told = found.problem.split(": ", 1)[1].split("; ")
    assert all(words.startswith("2004 immigration male 0-14") for words in told), told


def test_two_populations_exchanged_are_told_by_their_cohorts(told):
    project = shipped_project("uk_1991_2001")
    frame = project.table("population.csv")
    series = frame[frame["vintage"] == "final series, June 2021"]
    years = sorted(series["year"].unique())[-2:]
    one, two = (series.index[series["year"] == y] for y in years)
    figures = [series.loc[at, "population"].to_numpy() for at in (two, one)]
    frame.loc[[*one, *two], "population"] = np.concatenate(figures)
    log = told(project.with_table("population.csv", frame))
    assert f"{years[0]} and {years[1]}" in str(log.of("YEAR_REARRANGED"))


def test_a_block_of_ages_that_was_doubled_leaves_its_cohorts(told):
    frame = simulated().table("population.csv")
    at = (frame["vintage"] == "census") & frame["age"].isin([str(a) for a in range(20, 30)])
    frame.loc[at, "population"] = (2 * frame.loc[at, "population"].astype(int)).astype(str)
    found = told(simulated().with_table("population.csv", frame)).of("CELL_UNLIKELY")
    assert any("whom deaths leave of" in f.problem for f in found)


def test_a_year_without_a_row_inside_a_roll_forward_is_told(told):
    project = simulated()
    frame = project.table("population_totals.csv")
    log = told(project.with_table("population_totals.csv", frame[frame["year"] != "2006"]))
    assert "2006" in log.of("CELLS_MISSING")[0].problem


def test_a_stock_of_nobody_beside_one_of_people_is_told():
    frame = simulated().table("population.csv")
    texts = [f.to_csv(index=False) for f in (frame.assign(population="0"), frame)]
    both = [table("population", f"{k}.csv", t, (("unit", "persons"),))[0] for k, t in
            enumerate(texts)]  # fmt: skip
    assert "beside 0 of the same vintage" in next(stock_totals(both, None)).words


def test_few_people_are_no_outlier_by_their_logarithm():
    rng = np.random.default_rng(2)
    none = np.zeros((8, 400))
    drawn = unlikely_years(rng.poisson(9.0, none.shape).astype(float), 0.05, none)
    assert (drawn > 5).mean() < 0.0005


def test_a_hundred_thousand_rows_are_read_and_checked_in_two_seconds(tmp_path):
    ages = [*map(str, range(90)), "90+"]
    frame = pd.DataFrame(
        [(y, f, s, a) for y in range(1800, 2076) for f in ("in", "out")
         for s in ("male", "female") for a in ages],
        columns=["year", "flow", "sex", "age_group"],
    )  # fmt: skip
    level = 200 * np.exp(-(((frame.index % 91) - 30) ** 2) / 800) + 5
    frame["count"] = np.random.default_rng(1).poisson(level)
    path = tmp_path / "moves.csv"
    frame.to_csv(path, index=False)
    assert len(frame) >= 100_000
    times = []
    for _ in range(3):
        start = time.process_time()
        moves, log = inspect_table(path, "streams", {"period": "mid-year", "unit": "persons",
                                                     "source": "register"})  # fmt: skip
        assert moves is not None, log
        check_between([moves])
        times.append(time.process_time() - start)
        if times[-1] < 2:
            break
    assert min(times) < 2
