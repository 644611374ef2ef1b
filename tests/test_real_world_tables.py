"""Traps that real files hold beyond the catalogue: each was once read wrongly or in silence."""

from __future__ import annotations

import json

import openpyxl
import pandas as pd
import pytest
from input_tables import (
    FLOW,
    MID,
    accepted,
    asked,
    asylum,
    births,
    change,
    contract,
    converted,
    deaths,
    edit_settings,
    edit_table,
    figure,
    population,
    refused,
    silent,
    snapshot,
    survey,
    the,
    warned,
    write,
    write_text,
)

from imps.errors import InputError
from imps.project.between import check_between
from imps.project.check import check_project
from imps.project.template import write_project
from imps.reading.findings import ASK, REJECT, Finding
from imps.reading.numbers import read_number
from imps.reading.table import inspect_table, read_table
from imps.sources.definitions import LONG_TERM, SHORT_TERM, SURVEY, USUAL, measure_of, residents_of

CELL = {"sex": "male", "age": "0"}


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "case")


def pointed(rows):
    """Figures as a German table writes them: 5.204 for five thousand."""
    return [{**r, "population": f"{r['population']:,}".replace(",", ".")} for r in rows]


# Numbers


@pytest.mark.parametrize("container", ["csv", "xlsx", "frame"])
def test_points_that_group_thousands_in_every_cell(tmp_path, container):
    frame = pd.DataFrame(pointed(population()))
    data = frame if container == "frame" else tmp_path / f"germany.{container}"
    if container == "csv":
        frame.to_csv(data, index=False)
    elif container == "xlsx":
        frame.to_excel(data, index=False)
    first = {"row": 0 if container == "frame" else 2, "column": "population", "text": "5.205"}
    table = asked(data, "population", "DECIMAL_MARK", {"decimal": ","}, **first)
    assert figure(table, sex="male", age=0) == 5205
    table = asked(data, "population", "DECIMAL_MARK", {"unit": "thousands"}, **first)
    assert figure(table, sex="male", age=0) == 5205
    table = asked(data, "population", "DECIMAL_MARK", {"decimal": ".", "unit": "persons"}, **first)
    assert figure(table, sex="male", age=0) == 5.205


@pytest.mark.parametrize("text", ["0,518", "05,180", "12,5", "1234,5"])
def test_a_comma_that_cannot_group_thousands_is_not_taken_for_one(tmp_path, text):
    assert read_number(text).code == "DECIMAL_MARK"
    assert read_number(text, decimal=".").value is None
    assert read_number(text, decimal=",").value == float(text.replace(",", "."))
    rows = [{"source": "visitor_switchers", "year": 2011, "share": text}]
    refused(write(tmp_path, rows), "shares", "DECIMAL_MARK", outcome=ASK, row=2, text=text)


def test_a_population_with_decimals_throughout_may_be_in_thousands(tmp_path):
    rows = [{**r, "population": r["population"] / 10} for r in population()]
    path = write(tmp_path, rows)
    table = asked(path, "population", "UNIT_NEEDED", {"unit": "thousands"},
                  row=2, column="population", text="520.5")  # fmt: skip
    assert figure(table, sex="male", age=0) == 520_500
    warned(path, "population", "FRACTIONAL_COUNT", unit="persons")


@pytest.mark.parametrize("error", ["#REF!", "#N/A", "#DIV/0!", "#VALUE!", "#NAME?"])
def test_errors_of_a_spreadsheet_are_not_empty_cells(tmp_path, error):
    book = openpyxl.Workbook()
    rows = population()
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append(list(row.values()))
    book.active["D3"] = error
    assert book.active["D3"].data_type == "e"
    path = tmp_path / "errors.xlsx"
    book.save(path)
    where = {"row": 3, "column": "population", "text": error}
    refused(path, "population", "CELL_HAS_NO_VALUE", **where)
    told = accepted(path, "population", missing={error: "not available"})
    assert told.frame["population_missing"].tolist().count("not available") == 1
    same = change(rows, {"sex": rows[1]["sex"], "age": "1"}, population=error)
    text = write(tmp_path, same, "errors.csv")
    refused(text, "population", "CELL_HAS_NO_VALUE", **where)
    told_text = accepted(text, "population", missing={error: "not available"})
    assert told.content_hash == told_text.content_hash
    book.active["C3"], book.active["D3"] = error, 1
    book.save(path)
    refused(path, "population", "AGE_UNREADABLE", row=3, column="age", text=error)


# Units


def test_thousands_in_a_note_below_are_asked_about(tmp_path):
    text = write(tmp_path, population()).read_text() + "Note: all counts in thousands of persons\n"
    path = write_text(tmp_path, text)
    asked(path, "population", "UNIT_NEEDED", {"unit": "thousands"},
          row=8, text="thousands", footer_row=8)  # fmt: skip
    assert figure(accepted(path, "population", footer_row=8, unit="persons"), **CELL | {"age": 0})


@pytest.mark.parametrize("header", ["population (000s)", "Population ('000)",
                                    "population (in thousands)"])  # fmt: skip
def test_thousands_in_a_header(tmp_path, header):
    text = write(tmp_path, population()).read_text().replace("population", header, 1)
    table = converted(write_text(tmp_path, text), "population", "UNIT_CONVERTED", 6)
    assert figure(table, sex="male", age=0) == 5_205_000


def test_deaths_and_flows_in_thousands_declared_as_persons(tmp_path):
    people = accepted(write(tmp_path, population((2010, 2011), start=9_000)), "population")
    flows = [{**r, "estimate": 1000 * r["estimate"]} for r in survey()]
    few = [{**r, "deaths": 1} for r in deaths()]
    many = [{**r, "count": 1000 * r["count"]} for r in asylum()]
    for kind, rows, options in (("survey_flows", flows, FLOW), ("deaths", few, MID),
                                ("administrative_flows", many, FLOW)):  # fmt: skip
        path = write(tmp_path, rows, f"{kind}.csv")
        log = check_between([people, accepted(path, kind, **options)])
        message = contract(the(log, "UNIT_NEEDED", ASK), file=str(path))
        assert "in 2011 beside a population of 5" in message
        meant = accepted(path, kind, jumps="accepted", **options)
        assert not check_between([people, meant]).of("UNIT_NEEDED")
    small = accepted(write(tmp_path, population((2010, 2011), start=60), "s.csv"), "population")
    quiet = accepted(write(tmp_path, [{**r, "deaths": 0} for r in deaths()], "d.csv"), "deaths",
                     **MID)  # fmt: skip
    assert not check_between([small, quiet]).of("UNIT_NEEDED")  # nobody need die in a village


def test_a_standard_error_in_persons_beside_thousands(tmp_path):
    path = write(tmp_path, [{**r, "standard_error": 40_000} for r in survey()])
    table = warned(path, "survey_flows", "SE_IMPLAUSIBLE", row=2, column="standard_error", **FLOW)
    assert "times the estimate" in str(table.log)


# Layout and containers


def test_one_column_per_sex(tmp_path):
    rows = population((2010, 2011))
    long = silent(write(tmp_path, rows, "long.csv"), "population")
    wide = pd.DataFrame(rows).pivot_table("population", ["year", "age"], "sex").reset_index()
    wide["Persons"] = wide["male"] + wide["female"]
    wide = wide.rename(columns={"male": "Males", "female": "Females"})
    wide.to_csv(tmp_path / "wide.csv", index=False)
    table = asked(tmp_path / "wide.csv", "population", "LAYOUT_WIDE", {"layout": "wide"})
    assert table.content_hash == long.content_hash and table.log.count("TOTAL_AS_CHECK") == 6


@pytest.mark.parametrize("header", ["2011p", "2011 (prov.)", "pop2011"])
def test_a_year_that_cannot_be_read_is_not_left_out(tmp_path, header):
    rows = population((2009, 2010, 2011))
    wide = pd.DataFrame(rows).pivot_table("population", ["sex", "age"], "year").reset_index()
    wide.rename(columns={2011: header}).to_csv(tmp_path / "wide.csv", index=False)
    refused(tmp_path / "wide.csv", "population", "PERIOD_UNREADABLE", layout="wide",
            column=header, text=header)  # fmt: skip


def test_a_cell_that_is_too_long(tmp_path):
    path = write(tmp_path, change(population(), CELL, population="1" * 200_000))
    assert "131,072 characters" in refused(path, "population", "TOO_LARGE")


def test_utf_8_declared_as_another_encoding(tmp_path):
    text = write(tmp_path, [{"area": "Côte", **r} for r in population()]).read_text()
    path = write_text(tmp_path, text)
    message = refused(path, "population", "ENCODING_UNKNOWN", outcome=ASK, row=2, encoding="cp1252")
    assert 'encoding = "utf-8"' in message
    assert set(accepted(path, "population", encoding="utf-8").frame["area"]) == {"Côte"}


@pytest.mark.parametrize("content", ["<html><table><tr><td>year</td></tr></table></html>",
                                     "year,sex,age,population\n2011,male,0,5\n"])  # fmt: skip
def test_a_text_called_workbook(tmp_path, content):
    message = refused(write_text(tmp_path, content, "p.xls"), "population", "FILE_NOT_READABLE")
    assert "text or a web page" in message


def test_a_hidden_sheet_is_not_the_one_that_is_proposed(tmp_path):
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        pd.DataFrame(population()).to_excel(book, sheet_name="Data", index=False)
        pd.DataFrame(population((1911,))).to_excel(book, sheet_name="old", index=False)
        book.sheets["old"].sheet_state = "hidden"
    message = refused(tmp_path / "two.xlsx", "population", "SHEET_NEEDED", outcome=ASK)
    assert "'old' (hidden)" in message and 'sheet = "Data"' in message


# What is counted


def test_a_survey_without_any_sampling_error(project):
    edit_table(project, "survey_flows", lambda f: f.drop(columns="standard_error"))
    report = check_project(project)
    message = contract(the(report.log, "COLUMN_MISSING", REJECT), file="data/survey_flows.csv")
    assert "'half_width_95'" in message
    with pytest.raises(InputError, match="COLUMN_MISSING"):
        _ = report.sources
    rows = [{k: v for k, v in r.items() if k != "standard_error"} for r in survey()]
    with pytest.raises(InputError, match="COLUMN_MISSING"):
        read_table(pd.DataFrame(rows), "survey_flows", **FLOW)


def test_definitions_in_other_words(tmp_path):
    for words in ("LTIM", "ltim ", "Long-Term International Migration", "ONS LTIM, revised",
                  "total international migration", "TIM"):  # fmt: skip
        assert measure_of(words) == LONG_TERM
    assert measure_of("IPS") == SURVEY and measure_of("time series of permits") == ""
    assert residents_of("short term migration") == residents_of("STIM") == SHORT_TERM
    assert residents_of("IPS") == USUAL
    admin = accepted(write(tmp_path, asylum(), "asylum.csv"), "administrative_flows", **FLOW)
    for words in ("Long-term international migration", "Wanderungsstatistik"):
        path = write(tmp_path, survey(), "flows.csv")
        total = accepted(path, "survey_flows", definition=words, **FLOW)
        the(check_between([total, admin]), "COMPONENT_COUNTED_TWICE", ASK)
        told = accepted(path, "survey_flows", definition=words, includes=[], **FLOW)
        assert not check_between([told, admin]).of("COMPONENT_COUNTED_TWICE")


def test_scottish_codes_in_a_file_that_is_said_to_be_english(tmp_path):
    rows = [{"area": "S92000003", **r} for r in births()]
    people = accepted(write(tmp_path, population()), "population", geography="England")
    born = accepted(write(tmp_path, rows, "births.csv"), "births", geography="England", **MID)
    message = contract(the(check_between([people, born]), "COVERAGE_MISMATCH", REJECT),
                       file="births.csv", text="Scotland")  # fmt: skip
    assert "England" in message


# Settings


def test_settings_with_a_byte_order_mark(project):
    project.write_bytes(b"\xef\xbb\xbf" + project.read_bytes())
    assert check_project(project).passed


@pytest.mark.parametrize(
    ("written", "shown"), [(r"data\births.csv", r"data\x08irths.csv"),
                           (r"data\\births.csv", r"data\births.csv"),
                           (r"\u001b]0;x\u0007.csv", r"\x1b]0;x\x07.csv")]
)  # fmt: skip
def test_backslashes_and_control_characters_in_paths(project, written, shown):
    edit_settings(project, ('"data/births.csv"', f'"{written}"'))
    before = snapshot(project.parent)
    finding = the(check_project(project).log, "FILE_NOT_READABLE", REJECT)
    assert contract(finding, file=shown).isprintable() and "forward slashes" in str(finding)
    assert snapshot(project.parent) == before


def test_a_single_backslash_that_toml_refuses(project):
    edit_settings(project, ('"data/population.csv"', r'"data\population.csv"'))
    message = contract(
        the(check_project(project).log, "SETTINGS_SYNTAX", REJECT), file=str(project)
    )
    assert "forward slashes" in message


def test_one_line_for_each_finding_whatever_the_name_of_the_file():
    _, log = inspect_table("no\nsuch\x1b.csv", "births")
    assert "\n" not in str(log) and isinstance(log.findings[0], Finding)


def test_absolute_paths_are_not_carried_into_results(project):
    """A run is published with its manifest: no folder of a user stands in it, nor in the report."""
    folder = str(project.parent)
    for name in ("population", "births", "survey_flows", "administrative_flows"):
        edit_settings(project, (f'"data/{name}.csv"', f'"{folder}/data/{name}.csv"'))
    edit_table(project, "population", lambda f: f.drop(columns="vintage"))
    report = check_project(project)
    assert report.passed and report.log.of("AGES_MAPPED")
    case = report.case
    cited = [
        case.notes,
        case.sources.table().to_dict("records"),
        case.references.to_dict("records"),
    ]
    text = json.dumps([report.record(), *cited], default=str)
    assert folder not in text and '"survey_flows.csv"' in text
    assert folder not in repr(case.sources)
