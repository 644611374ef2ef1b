"""Settings files, project folders and every check of a project without sampling."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from input_tables import contract, snapshot, the

from imps.account.priors import default_priors
from imps.errors import ImpsError, InputError, InputWarning, OutputExistsError
from imps.project.check import check_project, load_project
from imps.project.sections import SECTIONS, Account, FitSettings
from imps.project.settings import (
    SCHEMA_VERSION,
    inspect_settings,
)
from imps.project.template import project_files, write_project
from imps.reading.findings import REJECT
from imps.sampling import DRAWS, Sampling

GENERATED_SETTINGS = 300


@pytest.fixture
def project(tmp_path):
    """The settings file of a new project."""
    return write_project(tmp_path / "case")


def put(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def fault(project, code, **place):
    report = check_project(project)
    assert not report.passed
    return contract(the(report.log, code, REJECT), file=str(project), **place)


def read_settings(path):
    """Settings without a fault, or one error that holds all faults."""
    settings, log = inspect_settings(path)
    log.raise_faults()
    return settings


# Writing a project


def test_a_new_project_passes_every_check(project):
    report = check_project(project)
    assert report.passed and not report.log.faults
    assert [t.kind for t in report.tables] == [
        "population", "births", "deaths", "survey_flows", "administrative_flows",
    ]  # fmt: skip
    assert {p.name for p in project.parent.iterdir()} == {
        "settings.toml", "README.md", "assumptions_log.csv", "quality_log.csv", "data",
    }  # fmt: skip


def test_every_default_is_written_out(project):
    written = tomllib.loads(project.read_text())
    assert written["schema"] == SCHEMA_VERSION
    for name in ("case", "fit", "output"):
        assert written[name] == SECTIONS[name]().model_dump(mode="json", exclude_none=True)
    shown = re.findall(r"^# (?:\[+account\.)?(\w+)", project.read_text(), re.MULTILINE)
    assert set(written["account"]) <= set(Account.model_fields)
    assert set(Account.model_fields) <= {*written["account"], *shown}
    assert set(FitSettings.model_fields) <= {*written["fit"], *shown}


def test_a_project_takes_the_draws_of_the_method_like_any_case(project):
    """NUTS on a project took the 1,000 draws of the exact way."""
    own = read_settings(project).fit
    assert Sampling(**vars(own)) == Sampling()
    assert Sampling(**{**vars(own), "method": "nuts"}).by("nuts").draws == DRAWS["nuts"] == 2000
    put(project, "# draws = 1000", "draws = 700")
    assert Sampling(**vars(read_settings(project).fit)).by("nuts").draws == 700


@pytest.mark.parametrize("model", SECTIONS.values())
def test_every_setting_says_what_it_means(model):
    assert all(field.description for field in model.model_fields.values())


def test_the_example_balances_but_for_missed_emigration(project):
    tables = {t.kind: t.frame for t in check_project(project).tables}
    stock = tables["population"].groupby("year")["population"].sum()
    natural = tables["births"]["births"].sum() - tables["deaths"]["deaths"].sum()
    flows = tables["survey_flows"].groupby("flow")["estimate"].sum()
    net = flows["immigration"] - flows["emigration"] + tables["administrative_flows"]["count"].sum()
    gap = stock[2001] + natural + net - stock[2006]
    assert 0 < gap < 0.02 * stock[2006]


def test_a_project_is_never_written_over(tmp_path):
    (tmp_path / "case").mkdir()
    write_project(tmp_path / "case")
    before = snapshot(tmp_path)
    with pytest.raises(OutputExistsError, match="not an empty folder"):
        write_project(tmp_path / "case")
    assert snapshot(tmp_path) == before


def test_templates_hold_no_path_of_this_machine():
    for text in project_files("case").values():
        assert str(Path.home()) not in text and str(Path.cwd()) not in text


# Reading settings


def test_settings_as_resolved(project):
    read = read_settings(project)
    resolved = read.resolved()
    assert resolved["fit"]["seed"] == 1 and resolved["account"]["first_mid_year"] == 2001
    assert resolved["tables"][0]["file"] == "data/population.csv"
    assert str(project.parent) not in json.dumps(resolved)


def test_defaults_fill_what_is_left_out(project):
    put(project, "chains = 4\n", "")
    assert read_settings(project).fit.chains == 4


def test_settings_must_exist(tmp_path):
    report = check_project(tmp_path / "absent")
    contract(the(report.log, "FILE_NOT_READABLE", REJECT), file=str(tmp_path / "absent"))
    with pytest.raises(InputError, match="FILE_NOT_READABLE"):
        read_settings(tmp_path / "absent")


@pytest.mark.parametrize("version", ["2", "0", "true", '"1"'])
def test_other_schema_versions_are_refused(project, version):
    put(project, "schema = 1", f"schema = {version}")
    assert "this release reads 1" in fault(project, "SETTINGS_VERSION", row=3)


def test_schema_version_is_required(project):
    put(project, "schema = 1", "")
    fault(project, "SETTING_MISSING", column="schema")


@pytest.mark.parametrize(
    ("old", "new", "key", "meant"),
    [("[fit]", "[fits]", "fits", "fit"), ("chains =", "chain =", "chain", "chains"),
     ('unit = "persons"', 'units = "persons"', "units", "unit"),
     ("first_mid_year", "first_midyear", "first_midyear", "first_mid_year")],
)  # fmt: skip
def test_unknown_keys_are_refused_with_a_suggestion(project, old, new, key, meant):
    put(project, old, new)
    assert f"Did you mean '{meant}'?" in fault(project, "SETTING_UNKNOWN", text=key)


@pytest.mark.parametrize(
    "folder", ["../elsewhere", "/tmp/elsewhere", "a/../../b", "", ".", "C:\\\\results", "..\\\\x"]
)
def test_results_stay_inside_the_project(project, folder):
    put(project, 'folder = "results"', f'folder = "{folder}"')
    fault(project, "OUTPUT_OUTSIDE", column="folder")


def test_every_fault_of_the_settings_at_once(project):
    put(project, "seed = 1 ", 'seed = "x" ')
    put(project, "chains = 4", "chains = 0")
    put(project, "[output]", "[outputs]")
    with pytest.raises(InputError) as raised:
        read_settings(project)
    assert isinstance(raised.value, ImpsError) and isinstance(raised.value, ValueError)
    for code in ("SEED_BAD", "SETTING_RANGE", "SETTING_UNKNOWN"):
        assert code in str(raised.value)


def test_required_tables(project):
    put(project, "[[births]]", "[[shares]]")
    assert "births" in fault(project, "TABLE_MISSING")


def test_a_table_without_a_file(project):
    put(project, 'file = "data/births.csv"', "")
    fault(project, "SETTING_MISSING", column="births")


def test_a_missing_data_file_is_named_as_written(project):
    put(project, "data/births.csv", "data/birth.csv")
    report = check_project(project)
    contract(the(report.log, "FILE_NOT_READABLE", REJECT), file="data/birth.csv")
    assert str(project.parent) not in str(report.log)


@pytest.mark.parametrize(
    "coverage",
    ["{ mean = 1.0, sd = 0.1 }", '{ distribution = "normal", mean = 1.0, sd = 0.0 }',
     '{ distribution = "uniform", lower = 1.0, upper = 0.5 }',
     '{ distribution = "normal", mean = 1.0 }', '{ distribution = "beta", a = 1, b = 1 }', "0.9",
     '{ distribution = "normal", mean = inf, sd = 1 }'],
)  # fmt: skip
def test_coverage_that_is_no_distribution(project, coverage):
    entry = f'\n[[stocks]]\nfile = "data/stocks.csv"\ncoverage = {coverage}\n'
    project.write_text(project.read_text() + entry)
    fault(project, "PRIOR_BAD")


def test_names_of_priors_can_be_given(project):
    project.write_text(project.read_text() + "\n[priors.student_bias]\nsd = 0.2\n")
    fault(project, "SETTING_UNKNOWN", text="student_bias")
    report = check_project(project, prior_names=(*default_priors(), "student_bias"))
    assert report.passed and report.settings.priors["student_bias"] == {"sd": 0.2}


def test_priors_may_be_those_of_a_year(project):
    assert check_project(project).priors.as_of is None
    asked = "\n[priors]\nas_of = 2010\n\n[priors.asylum_seekers]\nmean = 0.1\n"
    project.write_text(project.read_text() + asked)
    report = check_project(project)
    assert report.passed, report.log
    assert report.priors.as_of == 2010
    assert report.priors["base_level"] == default_priors(as_of=2010)["base_level"]
    assert report.priors["asylum_seekers"].mean == 0.1
    resolved = report.settings.resolved()["priors"]
    assert resolved == {"as_of": 2010, "asylum_seekers": {"mean": 0.1}}


@pytest.mark.parametrize("year", ["1985", "2100", "true", '"2010"', "2010.0"])
def test_priors_of_a_year_without_evidence_are_refused(project, year):
    project.write_text(project.read_text() + f"\n[priors]\nas_of = {year}\n")
    found = fault(project, "SETTING_RANGE", column="as_of", text=year)
    assert "a year from 1998 to 2026" in str(found)


def test_a_correlation_outside_its_range_is_refused_in_a_project(project):
    project.write_text(project.read_text() + "\n[priors.bias_correlation]\nmean = 1.5\n")
    assert "is 1.5: it must lie in (-1, 1)" in str(fault(project, "PRIOR_BAD"))


# The account


def test_years_of_the_account(project):
    put(project, "last_mid_year = 2006", "last_mid_year = 2008")
    report = check_project(project)
    words = str(report.log)
    assert "births of 2007, 2008 are absent" in words and "no population of 2008" in words


def test_base_after_the_census(project):
    put(project, "first_mid_year = 2001", "first_mid_year = 2007")
    fault(project, "SETTING_RANGE", column="last_mid_year", text="2006")


def test_area_of_the_account(project):
    put(project, 'geography = "Exampleland" ', 'geography = "Otherland" ')
    report = check_project(project)
    assert "Otherland" in str(the(report.log, "COVERAGE_MISMATCH", REJECT))


def test_births_in_thousands_beside_persons(project):
    people = project.parent / "data/population.csv"
    frame = pd.read_csv(people)
    frame["population"] = (frame["population"] / 1000).round(3)
    frame["unit"] = "persons"
    frame.to_csv(people, index=False)
    assert "probably in thousands" in str(check_project(project).log.of("UNIT_NEEDED")[0])


def test_project_in_thousands_gives_the_same_numbers(project):
    plain = check_project(project)
    people = project.parent / "data/population.csv"
    frame = pd.read_csv(people)
    frame["population"] = frame["population"] / 1000
    frame["unit"] = "thousands"
    frame.to_csv(people, index=False)
    put(project, 'unit = "persons"', 'unit = "thousands"')
    turned = check_project(project)
    assert turned.passed
    assert turned.tables[0].content_hash == plain.tables[0].content_hash


# Reports


def test_report_for_machines(project):
    record = check_project(project).record()
    text = json.dumps(record, allow_nan=False)
    assert record["passed"] and len(record["inputs"]) == 5
    assert all(len(entry["sha256"]) == 64 for entry in record["inputs"])
    assert str(project.parent) not in text


def test_report_for_people(project):
    assert str(check_project(project)).startswith("5 tables read, passed")
    put(project, "seed = 1 ", "seed = -1 ")
    assert "1 fault: nothing can be run" in str(check_project(project))


def test_loading_a_project_raises_or_warns(project):
    births = project.parent / "data/births.csv"
    lines = births.read_text().splitlines()
    births.write_text("\n".join([lines[0] + ",comment", *(line + ",x" for line in lines[1:])]))
    with pytest.warns(InputWarning, match="COLUMN_IGNORED"):
        assert load_project(project).passed
    births.write_text("")
    with pytest.raises(InputError, match="FILE_EMPTY"):
        load_project(project)


# Generated settings

VALUE = (
    st.integers(-5, 5) | st.booleans() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["persons", "mid-year", "data/births.csv", "results", "../x"])
)  # fmt: skip
KEY = st.sampled_from(
    ["schema", "account", "fit", "output", "population", "births", "stocks", "priors", "seed",
     "chains", "file", "unit", "coverage", "folder", "asylum_seekers", "mean", "sd", "missing",
     "distribution", "first_mid_year", "overwrite", "x y", "ü"],
)  # fmt: skip
CONTENT = st.recursive(
    VALUE,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEY, inner, max_size=4),
    max_leaves=12,
)


def toml(value):
    """A value in TOML's inline form."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    return str(value).lower() if isinstance(value, bool) else repr(value)


@given(st.dictionaries(KEY, CONTENT, max_size=6) | st.text(max_size=60))
@settings(
    max_examples=GENERATED_SETTINGS,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_generated_settings_never_raise(tmp_path, content):
    file = tmp_path / "settings.toml"
    if isinstance(content, dict):
        text = "".join(f"{json.dumps(k)} = {toml(v)}\n" for k, v in content.items())
        tomllib.loads(text)  # the generator writes TOML
    else:
        text = content
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    read, log = inspect_settings(file)
    assert (read is None) == (not log.passed)
    report = check_project(file)
    assert report.passed == report.log.passed
    assert not report.passed  # a table that the account needs is always absent
