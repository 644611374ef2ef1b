"""Advice on projects, areas and interviews, carried out; and what no program can carry out.

A row of `MENDED` plants a fault in an example project; the second edit does what the message
says, or `PUBLISHED` puts the right file in the place of the one that the message names. The
message is gone then, and the project passes or stands before the next true fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from input_tables import edit_settings, edit_table
from interview_files import INTERVIEWS, write_project_of_interviews
from test_advice import EXAMPLES, KNOWN, PROJECTS, beginning, own_prior, text_of, with_stocks
from test_advice_in_words import ACTED
from test_advice_on_doubts import PLANTED
from test_area_tables import (
    MOBILITY,
    empty_cell,
    empty_count,
    missing_last,
    missing_year,
    negative,
    no_column,
    no_figures,
    no_name,
    nobody,
    off_by_900,
    other_kind,
    repeated,
    too_many,
    two_regions,
    two_successors,
    unknown_code,
)
from test_area_tables import tables as area_tables
from test_project_interviews import MADE, variant

import imps
from imps.errors import InputError
from imps.project.check import check_project
from imps.project.interviews import inspect_records
from imps.project.settings import inspect_settings
from imps.project.template import write_project
from imps.reading.findings import CATALOGUE

Edit = Callable[[Path], Any]
tables = area_tables
PUBLISHED = None


def said(old: str, new: str) -> Edit:
    """Settings with another text."""
    return lambda p: edit_settings(p, (old, new))


def of(name: str, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Edit:
    """A table with other figures."""
    return lambda p: edit_table(p, name, edit)


def more(text: str) -> Edit:
    return lambda p: text_of(p, lambda t: f"{t}\n{text}\n")


def less(text: str) -> Edit:
    return said(text, "")


def each(*edits: Edit) -> Edit:
    def act(p: Path) -> None:
        for edit in edits:
            edit(p)

    return act


def only(column: str, *values: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda f: f[f[column].isin(values)]


def but(column: str, *values: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda f: f[~f[column].isin(values)]


def to(column: str, value: Any, **where: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A value in all rows, or in those of some labels."""

    def edit(f: pd.DataFrame) -> pd.DataFrame:
        at = pd.Series(True, f.index)
        for key, label in where.items():
            at &= f[key] == label
        return f.assign(**{column: f[column].where(~at, value) if column in f else value})

    return edit


def bytes_of(edit: Callable[[bytes], bytes]) -> Edit:
    return lambda p: p.write_bytes(edit(p.read_bytes()))


def section(name: str, text: str) -> Edit:
    """Lines in the section of a file."""
    return said(f'file = "data/{name}.csv"', f'file = "data/{name}.csv"\n{text}')


@dataclass(frozen=True)
class Mended:
    """A fault, what a message says to do, and where that ends.

    Attributes
    ----------
    fault, mend : edits of a project
    kind : kind of country of the example
    ends : codes of the next true faults that may follow
    """

    fault: Edit
    mend: Edit | None = PUBLISHED
    kind: str = "survey"
    ends: tuple[str, ...] = ()


FIRST = "first_mid_year = 2001            # population that the roll-forward starts from\n"
TOTALS = '[[{}]]\nfile = "data/{}.csv"\nunit = "persons"\nperiod = "mid-year"\n'
ERA = '[[account.eras]]\n{}first = 2004\nlast = 2005\nreason = "new routes"\n'
SPREAD = 'coverage = {{ distribution = "normal", mean = {}, sd = 0.01 }}\n'
NET = lambda f: f[f["flow"] == "immigration"].assign(flow="net")  # noqa: E731


def of_moves(value: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return to("standard_error", value)


def rolled(p: Path) -> None:
    """A roll-forward without its last year."""
    edit_table(p, "population", lambda f: pd.concat(
        [f, *(f[f["year"] == "2001"].assign(vintage="rolled", year=str(2001 + y), population=[
            str(int(n) + y) for n in f["population"][f["year"] == "2001"]]) for y in (1, 2))]
    ))  # fmt: skip
    edit_settings(p, ('rolled_forward_vintage = ""', 'rolled_forward_vintage = "rolled"'))


MENDED: dict[str, Mended] = {
    # settings
    "SETTINGS_SYNTAX": Mended(said('folder = "results"', 'folder = "results'),
                              said('folder = "results', 'folder = "results"')),
    "SETTINGS_SYNTAX.slashes": Mended(said('"data/population.csv"', '"data\\population.csv"'),
                                      said("\\population", "/population")),
    "SETTINGS_SYNTAX.text": Mended(
        bytes_of(lambda b: b.replace(b"Exampleland, mid", b"\xc9xampleland, mid")),
        bytes_of(lambda b: b.decode("latin-1").encode())),
    "SETTINGS_SYNTAX.depth": Mended(said("seed = 1 ", f"seed = {'9' * 5000} "),
                                    said("9" * 5000, "1")),
    "SETTINGS_VERSION": Mended(said("schema = 1\n", "schema = 99\n"), said("= 99", "= 1")),
    "SETTING_MISSING.years": Mended(less(FIRST), said("[account]\n", f"[account]\n{FIRST}")),
    "SETTING_MISSING.key": Mended(more(ERA.format("")),
                                  said('reason = "new', 'flows = ["emigration"]\nreason = "new')),
    "SETTING_RANGE": Mended(said("target_accept = 0.97", "target_accept = 1.5"),
                            said("= 1.5", "= 0.9")),
    "OPTION_UNUSED": Mended(section("births", "observed = 'total'"), less("\nobserved = 'total'")),
    "PRIOR_UNUSED": Mended(more("[priors.irish_flows]\nsd = 0.2"),
                           less("[priors.irish_flows]\nsd = 0.2")),
    "PRIOR_BAD": Mended(own_prior("mean = 5.0\nsd = 0.2"), said("mean = 5.0", "mean = 0.05")),
    "PRIOR_DATA_CONFLICT": Mended(lambda p: with_stocks(p, SPREAD.format(1.5)),
                                  said("mean = 1.5", "mean = 1.0")),
    "TOO_LARGE.settings": Mended(more("# " + "x" * 1_000_001), less("x" * 1_000_001)),
    "FILE_NOT_READABLE.slashes": Mended(said('"data/births.csv"', "'data\\births.csv'"),
                                        said("'data\\births.csv'", "'data/births.csv'")),
    "FILE_NOT_READABLE.settings": Mended(lambda p: p.unlink(),
                                         lambda p: write_project(p.parent / "new")),
    "COLUMN_MISSING.plain": Mended(
        lambda p: (p.parent / "references.csv").write_text("reference,title\na,b\n"), kind="area"),
    # populations and their dates
    "PERIOD_GAP.account": Mended(of("deaths", but("year", "2006"))),
    "PERIOD_GAP.rolled": Mended(rolled, said('_vintage = "rolled"', '_vintage = ""')),
    "PERIOD_UNUSED": Mended(of("births", lambda f: pd.concat(
        [f, f[f["year"] == "2006"].assign(year="2007")])), of("births", but("year", "2007"))),
    "STOCK_UNUSED": Mended(of("population", lambda f: pd.concat(
        [f, f[f["year"] == "2001"].assign(year="2003", vintage="census 2003")])),
        of("population", but("vintage", "census 2003"))),
    "STOCK_DATE.register": Mended(lambda p: with_stocks(
        p, f'{KNOWN}census_days = ["2001-12-31"]\n', lambda f: f.assign(year="2001-12-31")),
        each(of("stocks", to("year", "2001-06-30")), less('census_days = ["2001-12-31"]\n'))),
    "VINTAGE_NEEDED.several": Mended(
        of("population", lambda f: pd.concat([f, f.assign(vintage="second", population=[
            str(int(n) + 9) for n in f["population"]])])),
        each(said('base_vintage = ""', 'base_vintage = "second"'),
             said('census_vintage = ""', 'census_vintage = "second"')),
        ends=("COMPONENTS_DIFFER",)),
    "AGE_GROUPS": Mended(of("deaths", lambda f: f.assign(age=f["age"].mask(
        (f["year"] == "2003") & f["age"].isin(["3", "4"]), "3-4")).drop_duplicates(
        ["year", "sex", "age"]))),
    "DEATHS_EXCEED_POPULATION": Mended(of("deaths", to(
        "deaths", "3000", year="2002", sex="male", age="85"))),
    "SETTING_UNKNOWN": Mended(said("tune = 600", "tunes = 600"), said("tunes = 600", "tune = 600")),
    "OPTION_UNUSED.here": Mended(section("births", "sex_ratio = 1.05"),
                                 less("\nsex_ratio = 1.05")),
    "DUPLICATE_KEY.stocks": Mended(
        each(lambda p: copied(p), more('[[population]]\nfile = "data/more.csv"')),
        less('[[population]]\nfile = "data/more.csv"')),
    "AREA_UNKNOWN": Mended(each(of("population", to("area", "E07000242")),
                                of("births", to("area", "E07000097"))),
                           of("births", to("area", "E07000242"))),
    "AREA_UNKNOWN.names": Mended(each(of("population", to("area", "Bristol, City of")),
                                      of("births", to("area", "Bristol"))),
                                 each(of("population", to("area", "E06000023")),
                                      of("births", to("area", "E06000023")))),
    "CELLS_NEEDED.totals": Mended(
        each(lambda p: MENDED["TABLE_MISSING.schedule"].fault(p),
             lambda p: MENDED["TABLE_MISSING.schedule"].mend(p), of("totals", but("year", "2006"))),
        lambda p: totals_of_cells(p)),
    "BASIS_MIXED": Mended(of("births", lambda f: f.assign(
        basis=["occurrence" if y == "2003" else "registration" for y in f["year"]]))),
    "SINGLE_AGES_NEEDED": Mended(lambda p: with_stocks(p, KNOWN, lambda f: f[
        f["age_group"].isin(["0", "90+"])].replace({"age_group": {"0": "0-89"}})),
        lambda p: (p.parent / "data/stocks.csv").write_text(
            stocks_of(p).to_csv(index=False))),
    # flows and errors
    "ERROR_TINY": Mended(said("error = 0.0015", "error = 0.000004"),
                         said("error = 0.000004", "error = 0.0015"), "cards"),
    "ERROR_TINY.register": Mended(
        said("census_standard_error = 0.0015", 'census_quality = "register"'),
        said('census_quality = "register"',
             'census_quality = "census"\ncensus_standard_error = 0.0015'),
        "cards"),
    "ERROR_TINY.stream": Mended(said("level = { sd = 0.02 }", "level = { sd = 0.0001 }"),
                                said("level = { sd = 0.0001 }", "level = { sd = 0.02 }"),
                                "register"),
    "STREAM_DIRECTION": Mended(
        said('stream = "internal_moves_departures"', 'stream = "internal_moves_arrivals"'),
        said('stream = "internal_moves_arrivals"', 'stream = "internal_moves_departures"'), "area"),
    "SE_MISSING.census": Mended(less("census_standard_error = 0.001 "),
                                said("[account]\n", "[account]\ncensus_standard_error = 0.001\n")),
    "FLOW_NEEDED": Mended(of("survey_flows", only("flow", "immigration"))),
    "FLOW_NEEDED.net": Mended(of("survey_flows", lambda f: pd.concat(
        [f[f["year"] != "2004"], NET(f[f["year"] == "2004"])]))),
    "SOURCE_UNKNOWN": Mended(of("administrative_flows", to("source", "jumpers")),
                             more('[[account.kinds]]\nname = "jumpers"\nsd = 0.2')),
    "CV_OF_CELLS": Mended(each(of("survey_flows", lambda f: f.drop(
        columns=["standard_error", "contacts"]).assign(cv="10")),
        section("survey_flows", 'observed = "total"\ncv_unit = "percent"')),
        each(lambda p: totals_of_cells(p), said("[[survey_flows]]", "[[flow_schedule]]"),
             less('\nobserved = "total"\ncv_unit = "percent"'),
             less('\ndefinition = "survey"            # "LTIM" or "TIM" if adjustments are inside: '
                  'see `includes`'),
             more(TOTALS.format("survey_totals", "totals") + 'definition = "survey"\n'
                  'cv_unit = "percent"'))),
    "AGE_GAP.groups": Mended(of("survey_flows", lambda f: f.assign(age_group=f["age_group"].where(
        f["year"] != "2004", f["age_group"].replace({"0-14": "0-15", "15-24": "16-24"}))))),
    "CELLS_NEEDED": Mended(of("births", to("births", "[c]", year="2003", sex="male"))),
    "CELLS_NEEDED.never": Mended(each(
        of("survey_flows", to("estimate", "[c]", age_group="65+", flow="emigration")))),
    "CELLS_NEEDED.nobody": Mended(of("survey_flows", to("estimate", "0", flow="emigration"))),
    "CELLS_NEEDED.source": Mended(of("administrative_flows", but("year", "2006"))),
    "TABLE_MISSING.schedule": Mended(
        each(lambda p: totals_of_cells(p), said("[[survey_flows]]", "[[survey_totals]]"),
             said("data/survey_flows.csv", "data/totals.csv"),
             section("totals", 'cv_unit = "percent"')),
        more(TOTALS.format("flow_schedule", "survey_flows"))),
    "TABLE_MISSING.known_sum": Mended(
        said("expected_parts = []", 'expected_parts = ["asylum_seekers"]'),
        said('expected_parts = ["asylum_seekers"]', "expected_parts = []")),
    "LABEL_UNSAFE": Mended(of("population", to("vintage", "=1+1", year="2001")),
                           of("population", to("vintage", "census 2001", year="2001"))),
    "DEFINITION_MISMATCH.stillbirths": Mended(
        section("births", 'definition = "births including stillbirths"'),
        less('\ndefinition = "births including stillbirths"')),
    "DEFINITION_MISMATCH.duration": Mended(
        each(section("survey_flows", "duration = 12"),
             section("administrative_flows", "duration = 3")),
        said("duration = 3", "duration = 12")),
    # streams
    "STREAM_DETAIL": Mended(of("internal_moves", lambda f: f.assign(age_group=f["age_group"].mask(
        (f["year"] == "2016") & f["age_group"].isin(["40", "41"]), "40-41")).drop_duplicates(
        ["year", "flow", "sex", "age_group"])), kind="area"),
    "STREAM_DETAIL.error": Mended(said('quality = "complete count"', 'quality = "survey"'),
                                  of("internal_moves", of_moves("5")), kind="area"),
    "STREAM_DETAIL.exact": Mended(said('quality = "complete count"', 'quality = "exact"'),
                                  said('quality = "exact"', 'quality = "complete count"'),
                                  kind="area"),
    "STREAM_UNKNOWN": Mended(said('stream = "internal_moves_departures"', 'stream = "departures"'),
                             said('stream = "departures"', 'stream = "internal_moves_departures"'),
                             kind="area"),
    "STREAM_ANCHORED": Mended(said('ages = "at-year-end"',
                                   'anchored_to = "census-based 2021"\nages = "at-year-end"'),
                              less('anchored_to = "census-based 2021"\n'), kind="area"),
    "STREAM_NEEDS.correlation": Mended(
        said('ages = "at-year-end"', 'shared_error = "register"\nages = "at-year-end"'),
        said('shared_error = "register"', 'shared_error = "register"\ncorrelation = 0.5'),
        kind="area"),
    "COMPONENTS_DIFFER": Mended(lambda p: lacking(p), lambda p: adjusted(p)),
    "SETTING_MISSING.rule": Mended(
        lambda p: lacking(p, a_year=0, flag="by rule"),
        said('rolled_forward_rule = ""', 'rolled_forward_rule = "as the components go"')),
    # births before the base
    "COLUMN_MISSING.deaths": Mended(lambda p: born(p, ["2001", "2000"], deaths=None),
                                    lambda p: born(p, ["2001", "2000"], again=True)),
    "PERIOD_GAP.before": Mended(lambda p: born(p, ["2001", "1999"]),
                                lambda p: born(p, ["2001", "2000", "1999"], again=True)),
}  # fmt: skip


def stocks_of(p: Path) -> pd.DataFrame:
    """A register of the base by single ages."""
    frame = pd.read_csv(p.parent / "data/population.csv", dtype=str)
    frame = frame[frame["year"] == "2001"].rename(columns={"age": "age_group",
                                                           "population": "count"})  # fmt: skip
    return frame[["year", "sex", "age_group", "count"]]


def copied(p: Path) -> None:
    """Another population of the same vintages."""
    frame = pd.read_csv(p.parent / "data/population.csv")
    frame.assign(population=frame["population"] + 9).to_csv(p.parent / "data/more.csv", index=False)


def totals_of_cells(p: Path) -> None:
    """Totals of the survey with a coefficient of variation of theirs."""
    frame = pd.read_csv(p.parent / "data/survey_flows.csv")
    sums = frame.groupby(["year", "flow"], as_index=False)["estimate"].sum().assign(cv=3)
    sums.to_csv(p.parent / "data/totals.csv", index=False)
    frame.drop(columns=[c for c in ("cv", "standard_error", "contacts") if c in frame]).to_csv(
        p.parent / "data/survey_flows.csv", index=False)  # fmt: skip


def born(p: Path, years: list[str], deaths: str | None = "20", again: bool = False) -> None:
    """Births before the base, as many as its children and those who have died."""
    frame = stocks_of(p).assign(count=lambda f: f["count"].astype(int))
    alive = frame.groupby("age_group")["count"].sum()
    births = [int(alive[str(2001 - int(y))]) + 20 for y in years]
    table = pd.DataFrame({"year": years, "births": births})
    table = table if deaths is None else table.assign(deaths=deaths)
    table.to_csv(p.parent / "data/born.csv", index=False)
    if not again:
        more('[[born_before]]\nfile = "data/born.csv"')(p)


def lacking(p: Path, a_year: int = 50, flag: str = "") -> None:
    """A published roll-forward in total that grows by so many more than its components do."""
    found = check_project(p).sources.rolled_forward.total.to_series()
    rows = [{"vintage": "rf", "year": str(y), "sex": "persons", "age": "all ages",
             "population": f"{n + a_year * (y - 2001):.0f}", "unit": "persons",
             "population_flag": flag}
            for y, n in found.items() if y > 2001]  # fmt: skip
    edit_table(p, "population", lambda f: pd.concat([f, pd.DataFrame(rows)]))
    edit_settings(p, ('rolled_forward_vintage = ""', 'rolled_forward_vintage = "rf"'))


def adjusted(p: Path) -> None:
    """The years and sizes that the message tells, as a net change of their own."""
    found = next(f for f in check_project(p).log.faults if f.code == "COMPONENTS_DIFFER")
    sizes = re.findall(r"(\d{4}): ([+-][\d,]+)", found.problem)
    rows = [
        {
            "source": "adjustment",
            "year": y,
            "period": "mid-year",
            "flow": "net",
            "count": n.replace(",", "").lstrip("+"),
            "unit": "persons",
        }
        for y, n in sizes
    ]
    edit_table(p, "administrative_flows", lambda f: pd.concat([f, pd.DataFrame(rows)]))


def drawn(name: str, log: Any) -> Any:
    row = CATALOGUE[name]
    mine = [f for f in log.findings if f.code == row.code]
    return next((f for f in mine if f.next_step.startswith(beginning(row))
                 or re.match("Did you mean", f.next_step)), None)  # fmt: skip


@pytest.mark.parametrize("name", MENDED)
def test_advice_on_a_project_carried_out(name, tmp_path):
    row = MENDED[name]
    project = write_project(tmp_path / "case", kind=row.kind)
    right = {f: f.read_bytes() for f in project.parent.rglob("*.*")}
    row.fault(project)
    log = check_project(project).log
    found = drawn(name, log)
    assert found is not None, str(log)
    if row.mend is PUBLISHED:
        named = project.parent / found.file
        assert named in right, found
        named.write_bytes(right[named])
    else:
        made = row.mend(project)
        project = made if isinstance(made, Path) else project
    log = check_project(project).log
    left = [f for f in log.findings if (f.code, f.problem) == (found.code, found.problem)]
    assert not left or found.code in row.ends, f"the advice leads back: {left[0]}"
    assert {f.code for f in log.faults} <= set(row.ends), str(log)


# Areas of a nation: the right table in the place of the one that the message names

OF_AREAS = {
    "AREA_CODES.unknown": unknown_code, "AREA_CODES.without": no_figures,
    "AREA_CODES.regions": two_regions, "AREA_CODES.successors": two_successors,
    "AREA_SUM": off_by_900, "AREA_YEARS": missing_year, "AREA_EMPTY.nobody": nobody,
    "AREA_COLUMNS.numbers": negative, "AREA_COLUMNS.twice": repeated, "AREA_COLUMNS": no_column,
    "AREA_YEARS.needed": missing_last, "AREA_EMPTY": empty_cell, "AREAS_NATION": too_many,
    "AREA_EMPTY.cell": empty_count, "AREA_COLUMNS.labels": other_kind, "AREA_CODES.blank": no_name,
}  # fmt: skip
FAULTY = {"population": 0, "components": 1, "codes": 2}


@pytest.mark.parametrize("name", OF_AREAS)
def test_advice_on_areas_names_the_table_to_correct(name, tables, model):
    faulty = OF_AREAS[name](*tables)
    with pytest.raises(InputError) as refused:
        imps.areas_from_tables(*faulty, nation=model)
    found = drawn(name, refused.value.log)
    assert found is not None, str(refused.value)
    at = FAULTY[found.file]
    mended = [right if i == at else given
              for i, (right, given) in enumerate(zip(tables, faulty, strict=True))]  # fmt: skip
    assert len(imps.areas_from_tables(*mended, nation=model)) == 4


def test_advice_on_missing_cells_of_mobility_carried_out(tables, model):
    faulty = MOBILITY[MOBILITY["age"] != 40]
    with pytest.raises(InputError) as refused:
        imps.areas_from_tables(*tables, nation=model, mobility=faulty)
    assert drawn("AREA_COLUMNS.cells", refused.value.log) is not None, str(refused.value)
    rows = pd.DataFrame({"sex": ["male", "female"], "age": 40, "moves": 5.0, "population": 100.0})
    mended = pd.concat([faulty, rows])
    assert len(imps.areas_from_tables(*tables, nation=model, mobility=mended)) == 4


# Interviews: sections as messages say that they should be

TOTALS_FILES = INTERVIEWS.removeprefix(MADE).partition("period")[0]
WEIGHT = 'weight = "w"\n'
OF_INTERVIEWS = {
    "INTERVIEWS_ASKED.months": ("months = 12\n", "", "months = 12\n"),
    "INTERVIEWS_ASKED.smallest_count": ("smallest_count = 3\n", "", "smallest_count = 10\n"),
    "INTERVIEWS_ASKED.weights": (INTERVIEWS.removeprefix(MADE), "", INTERVIEWS.removeprefix(MADE)),
    "INTERVIEWS_ASKED.design": (TOTALS_FILES, WEIGHT, f'{WEIGHT}stratum = ["port"]\npsu = "p"\n'),
    "INTERVIEWS_ASKED.replicate_scale": (
        TOTALS_FILES,
        f'{WEIGHT}replicates = "r"\n',
        f'{WEIGHT}replicates = "r"\nreplicate_scale = 0.1\n',
    ),
    "WEIGHTS_TWICE": ("months", f"{WEIGHT}months", "months"),
    "COUNT_TOO_SMALL": ("smallest_count = 3\n", "smallest_count = 60\n", "smallest_count = 3\n"),
    "INTERVIEWS_REFUSED": ("months = 12\n", "months = 3\n", "months = 12\n"),
}


@pytest.fixture(scope="module")
def interviews(tmp_path_factory):
    return write_project_of_interviews(tmp_path_factory.mktemp("interviews") / "project")


@pytest.mark.parametrize("name", OF_INTERVIEWS)
def test_advice_on_interviews_carried_out(name, interviews, tmp_path):
    place, wrong, mended = OF_INTERVIEWS[name]
    logs = []
    for text in (wrong, mended):
        assert place in INTERVIEWS
        folder = variant(interviews, tmp_path, INTERVIEWS.replace(place, text))
        settings, _ = inspect_settings(folder)
        entry = next(t for t in settings.tables if t.kind == "interviews")
        logs.append(inspect_records(settings.folder, entry)[1])
    found = drawn(name, logs[0])
    assert found is not None, str(logs[0])
    assert not [f for f in logs[1].of(found.code) if f.next_step == found.next_step], str(logs[1])


def test_advice_on_the_change_of_shares_carried_out(interviews, tmp_path):
    logs = []
    for name, line in (("without", ""), ("stated", "drift = 0.15\n")):
        folder = tmp_path / name
        folder.mkdir()
        settings = variant(interviews, folder, INTERVIEWS) / "settings.toml"
        settings.write_text(settings.read_text().replace("drift = 0.15\n", line))
        read, _ = inspect_settings(folder)
        entry = next(t for t in read.tables if t.kind == "stays")
        logs.append(inspect_records(read.folder, entry)[1])
    assert drawn("INTERVIEWS_ASKED.drift", logs[0]) and not logs[1].of("INTERVIEWS_ASKED")


# Data frames: the table that the message asks for

FRAMES = {
    "population": {"unit": "persons"},
    "births": {"period": "mid-year"},
    "deaths": {"period": "mid-year", "age_counted": "at-mid-year"},
    "survey_flows": {"unit": "persons", "period": "mid-year", "definition": "survey"},
}


@pytest.mark.parametrize(("name", "kind"), [("TABLE_MISSING", "births"),
                                            ("TABLE_MISSING.survey", "survey_flows")])  # fmt: skip
def test_advice_on_data_frames_carried_out(name, kind, tmp_path):
    folder = write_project(tmp_path / "case").parent
    read = {k: imps.read_table(pd.read_csv(folder / f"data/{k}.csv"), k, geography="Exampleland",
                               **options) for k, options in FRAMES.items()}  # fmt: skip
    declared = {"geography": "Exampleland", "first_mid_year": 2001, "last_mid_year": 2006,
                "census_standard_error": 0.001}  # fmt: skip
    with pytest.raises(InputError) as refused:
        imps.sources_from_tables(*(t for k, t in read.items() if k != kind), **declared)
    assert drawn(name, refused.value.log) is not None, str(refused.value)
    assert imps.sources_from_tables(*read.values(), **declared).gap == 931


# What no program follows

NOT_FOLLOWED = {
    "TOO_LARGE": "what an account needs of a table of millions of cells is known to its owner",
    "TOO_LARGE.bytes": "what an account needs of a file of so many bytes is known to its owner",
    "TOO_LARGE.tables": "which of so many tables belong together is known to their owner",
    "COLUMN_IGNORED.contradicted": "which is right, the figure or its flag, stands in no file",
    "CELLS_ABSENT.areas": "figures of the area stand in no file",
    "DUPLICATE_KEY.tables": "which table is right stands in no file",
    "DUPLICATE_KEY.total": "which total is right stands in no file",
    "TOTAL_MISMATCH.stock": "which vintage is meant stands in no file",
    "BASE_YEAR_MISMATCH": "which vintage is meant stands in no file",
    "BASE_YEAR_MISMATCH.rolled": "which vintage is meant stands in no file",
    "VINTAGE_NEEDED.tables": "which vintage the account is about is known to its owner",
    "PERIOD_MISMATCH": "figures of the other period have to be published",
    "PERIOD_MISMATCH.survey": "figures of the other period have to be published",
    "PERIOD_MISMATCH.total": "figures of the other period have to be published",
    "PERIOD_MIXED.tables": "figures of the other period have to be published",
    "DEFINITION_MISMATCH": "figures of the other definition have to be published",
    "DEFINITION_MISMATCH.residents": "figures of the other definition have to be published",
    "NEGATIVE_FLOW.without": "what a total holds is known to its publisher",
    "CELLS_NEEDED.total": "the missing total stands in no file",
    "INTERVIEWS_LOOK": "whether a weight is right is judged from the checks of its stage",
    "INTERVIEWS_LOOK.copies": "whether copies are parts of a total is known to their owner",
    "BALANCE_UNLIKELY.order": "which order is right stands in the publication alone",
    # met by another message first, of the same advice
    "PERIOD_GAP.years": "PERIOD_GAP.account says the same before it",
    "PERIOD_GAP.role": "PERIOD_GAP.ends says the same before it",
    "STOCK_DATE.census": "of years that end before June alone; of others PERIOD_GAP.ends is first",
    "SINGLE_AGES_NEEDED.total": "followed in test_declarations",
}
"""Causes whose advice no program follows, and why."""


def test_every_advice_is_followed_or_said_not_to_be():
    advised = {name for name, row in CATALOGUE.items() if row.next_step}
    followed = {
        *EXAMPLES,
        *PROJECTS,
        *ACTED,
        *PLANTED,
        *MENDED,
        *OF_AREAS,
        *OF_INTERVIEWS,
        "AREA_COLUMNS.cells",
        "INTERVIEWS_ASKED.drift",
        "TABLE_MISSING",
        "TABLE_MISSING.survey",
    }
    assert not followed & set(NOT_FOLLOWED), "followed after all"
    assert followed | set(NOT_FOLLOWED) >= advised, sorted(advised - followed - set(NOT_FOLLOWED))
    assert advised >= set(NOT_FOLLOWED), "no such advice"
