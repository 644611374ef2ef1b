"""The catalogue of bad and awkward inputs: one test for each of its 129 cases, by ID."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import xarray as xr
from input_tables import (
    FLOW,
    MID,
    accepted,
    asked,
    asylum,
    births,
    calendar_years,
    change,
    contract,
    converted,
    deaths,
    edit_settings,
    edit_table,
    figure,
    population,
    refused,
    row_of,
    silent,
    small_project,
    snapshot,
    survey,
    the,
    warned,
    write,
    write_text,
)

import imps
from imps.account.latents import Resolution
from imps.demography.schedules import group_matrix
from imps.errors import (
    ImpsWarning,
    InputWarning,
    OutputExistsError,
    RunChangedError,
    RunVersionError,
    SaveFailedError,
)
from imps.posterior.archive import pack, unpack
from imps.posterior.chains import flat, unflat
from imps.posterior.storage import load, save
from imps.project.between import MEAN_OF_CALENDAR_YEARS, Account, check_between
from imps.project.check import check_project, load_project
from imps.project.settings import inspect_settings
from imps.project.template import write_project
from imps.reading.findings import ASK, CONVERT, REJECT, WARN
from imps.reading.labels import OPEN, read_age, read_period
from imps.reading.table import inspect_table, read_table

CASES = {
    "A": 12, "B": 11, "C": 13, "D": 11, "E": 13, "F": 7, "G": 11, "H": 5, "I": 15, "J": 5,
    "K": 8, "L": 10, "M": 8,
}  # fmt: skip


def test_every_case_of_the_catalogue_has_a_test():
    wanted = {f"{letter}{n:02d}" for letter, count in CASES.items() for n in range(1, count + 1)}
    found = {m.group(1) for name in globals() if (m := re.match(r"test_([A-M]\d\d)(_|$)", name))}
    assert len(wanted) == 129
    assert found == wanted


@pytest.fixture
def stock(tmp_path):
    """A plain population file that is accepted in silence."""
    return write(tmp_path, population())


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    """A run of a case from files: calendar years, totals of stocks, an awkward folder."""
    folder = tmp_path_factory.mktemp("runs") / "Ünï code (v2)"
    settings = calendar_years(small_project(write_project(folder)))
    edit_settings(settings, ('file = "data/population.csv"',
                             'file = "data/population.csv"\nobserved = "total"'))  # fmt: skip
    report = load_project(settings)
    return imps.run(
        report.case, out=folder / "Ünï rësults (v2)", draws=100, priors=report.priors,
        progress=False,
    )  # fmt: skip


# A. Files, encodings, containers


def test_A01_byte_order_mark(tmp_path, stock):
    plain = silent(stock, "population")
    marked = write_text(tmp_path, b"\xef\xbb\xbf" + stock.read_bytes(), "marked.csv")
    table = converted(marked, "population", "BYTE_ORDER_MARK", 1)
    assert "year" in table.frame and table.content_hash == plain.content_hash


def test_A02_encoding_unknown(tmp_path):
    rows = change(survey(), {"age_group": "15-59"}, age_group="15–59")
    text = "year,flow,sex,age_group,citizenship,estimate,standard_error\n" + "".join(
        f"{r['year']},{r['flow']},{r['sex']},{r['age_group']},Côte d’Ivoire,{r['estimate']},"
        f"{r['standard_error']}\n"
        for r in rows
    )
    path = write_text(tmp_path, text.encode("cp1252"), "flows.csv")
    table = asked(path, "survey_flows", "ENCODING_UNKNOWN", {"encoding": "cp1252"}, row=2, **FLOW)
    assert set(table.frame["citizenship"]) == {"Côte d’Ivoire"}
    assert "15-59" in set(table.frame["age_group"])


@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
def test_A03_line_ends(tmp_path, stock, ending):
    lines = stock.read_bytes().replace(b"\r\n", b"\n")
    unix = silent(write_text(tmp_path, lines, "unix.csv"), "population")
    other = silent(write_text(tmp_path, lines.replace(b"\n", ending), "other.csv"), "population")
    assert other.content_hash == unix.content_hash


def test_A04_zero_bytes(tmp_path):
    refused(write_text(tmp_path, b""), "population", "FILE_EMPTY")


def test_A05_header_only(tmp_path):
    refused(write_text(tmp_path, "year,sex,age,population\n"), "population", "NO_DATA_ROWS")


def test_A06_semicolons_and_decimal_comma(tmp_path):
    rows = change(population(), {"sex": "male", "age": "0"}, population="1234,5")
    text = "year;sex;age;population\n" + "".join(
        ";".join(str(v) for v in row.values()) + "\n" for row in rows
    )
    table = asked(
        write_text(tmp_path, text),
        "population",
        "DELIMITER",
        {"delimiter": ";", "decimal": ","},
        row=1,
    )
    assert figure(table, sex="male", age=0) == 1234.5
    # The delimiter alone leaves the comma open, and is asked about again.
    _, log = inspect_table(tmp_path / "population_2011.csv", "population", {"delimiter": ";"})
    contract(the(log, "DECIMAL_MARK", ASK), file="population_2011.csv", row=2, text="1234,5")


def workbook(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def as_rows(rows) -> list[list[object]]:
    return [list(rows[0]), *(list(row.values()) for row in rows)]


def test_A07_sheet_needed(tmp_path):
    names = ["Cover", "Notes", "MYE2 - Persons", "MYE2 - Males"]
    sheets = {name: [["text"]] for name in names} | {"MYE2 - Persons": as_rows(population())}
    path = workbook(tmp_path / "mye.xlsx", sheets)
    asked(path, "population", "SHEET_NEEDED", {"sheet": "MYE2 - Persons"})
    message = refused(path, "population", "SHEET_NEEDED", outcome=ASK)
    assert all(name in message for name in names)


def test_A08_formulas_without_result(tmp_path):
    rows = as_rows([{"year": y, "sex": s, "note": "", "births": 300 + y % 9}
                    for y in (2009, 2010, 2011) for s in ("male", "female")])  # fmt: skip
    rows[6][3] = "=D5+1"
    path = workbook(tmp_path / "births.xlsx", {"Births": rows})
    message = refused(path, "births", "CELL_HAS_NO_VALUE", row=7, text="=D5+1", **MID)
    assert "Births!D7" in message


def test_A09_workbook_called_csv(tmp_path):
    path = workbook(tmp_path / "flows.xlsx", {"S": as_rows(survey())}).rename(
        tmp_path / "flows.csv"
    )
    assert "this is an Excel workbook" in refused(path, "survey_flows", "NOT_TEXT", **FLOW)


def test_A10_row_width(tmp_path):
    rows = population(ages=(*map(str, range(30)), "30+"))
    path = write(tmp_path, [{"vintage": "a", **row} for row in rows])
    lines = path.read_text().splitlines()
    lines[56] += ",9"
    path.write_text("\n".join(lines))
    message = refused(path, "population", "ROW_WIDTH", row=57)
    assert "6 fields" in message and "5" in message


def test_A11_row_numbers_with_line_breaks_in_cells(tmp_path):
    rows = [{**row, "comment": ""} for row in population(ages=(*map(str, range(9)), "9+"))]
    rows[10]["comment"] = "first\nsecond\nthird"  # spreadsheet row 12
    rows[11]["population"] = "12q"
    refused(
        write(tmp_path, rows), "population", "NUMBER_UNREADABLE",
        row=13, column="population", text="12q",
    )  # fmt: skip


@pytest.mark.parametrize("what", ["absent", "folder", "forbidden"])
def test_A12_file_not_readable(tmp_path, monkeypatch, what):
    path = tmp_path / "nowhere.csv"
    if what == "folder":
        path.mkdir()
    if what == "forbidden":
        path.write_text("year\n")

        def forbidden(self):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", forbidden)
    _, log = inspect_table(path, "population")
    message = contract(the(log, "FILE_NOT_READABLE", REJECT), file=str(path))
    assert "\n" not in message


# B. Headers and layout


def test_B01_title_rows(tmp_path, stock):
    titles = "Table 2: Population,,,\nThousands,,,\n,,,\nNotes apply,,,\nUK,,,\n,,,\n"
    path = write_text(tmp_path, titles.encode() + stock.read_bytes(), "titled.csv")
    table = asked(path, "population", "HEADER_ROW", {"header_row": 7}, row=1,
                  text="Table 2: Population")  # fmt: skip
    assert "row 7 looks like it" in refused(path, "population", "HEADER_ROW", outcome=ASK)
    assert table.log.count("ROWS_SKIPPED") == 4 and table.log.count("BLANK_ROWS") == 2
    # The title that states the unit is not lost with the rows above the header.
    thousands = accepted(stock, "population", unit="thousands")
    assert table.content_hash == thousands.content_hash
    assert table.log.count("UNIT_CONVERTED") == 6 and figure(table, sex="male", age=0) == 5_205_000
    refused(path, "population", "UNIT_MIXED", header_row=7, unit="persons")
    plain = write_text(tmp_path, titles.replace("Thousands", "Mid-year").encode()
                       + stock.read_bytes(), "plain.csv")  # fmt: skip
    table = asked(plain, "population", "HEADER_ROW", {"header_row": 7})
    assert table.content_hash == silent(stock, "population").content_hash


def test_B02_footer_rows(tmp_path, stock):
    notes = "Source: ,Office for National Statistics\nNotes\n1,The population estimates are\n"
    path = write_text(tmp_path, stock.read_bytes() + notes.encode(), "chart.csv")
    table = asked(path, "population", "FOOTER_ROWS", {"footer_row": 8}, row=8, text="Source:")
    assert table.log.count("ROWS_SKIPPED") == 3
    assert table.content_hash == silent(stock, "population").content_hash


def test_B03_note_marker_in_a_header(tmp_path):
    rows = [["year", "sex", "Aged 0 to 4 years", "Aged 5 to 9 years\n[note 12]", "10+"],
            [2011, "male", 101, 102, 103], [2011, "female", 104, 105, 107]]  # fmt: skip
    path = workbook(tmp_path / "census.xlsx", {"P01": rows})
    table = converted(path, "population", "LABEL_FORMAT", 4, layout="wide")
    assert figure(table, sex="male", age_group="5-9") == 102
    assert any("[note 12]" in text for f in table.log.of("LABEL_FORMAT") for text in f.texts)


def test_B04_duplicate_column(tmp_path):
    path = write_text(tmp_path, "year,sex,age,count,count\n2011,male,0,1,2\n")
    message = refused(path, "population", "DUPLICATE_COLUMN", column="count")
    assert "columns 4 and 5" in message and "count.1" not in message


def test_B05_misspelt_column(tmp_path, stock):
    text = stock.read_text().replace("sex", "Sexx", 1)
    message = refused(write_text(tmp_path, text), "population", "COLUMN_MISSING")
    assert "missing are 'sex'" in message and "Did you mean 'Sexx'?" in message
    assert all(f"'{name}'" in message for name in ("year", "Sexx", "age", "population"))


def test_B06_spelling_of_headers(tmp_path, stock):
    text = stock.read_text().replace("year,sex,age", " Year ,SEX,Age ", 1)
    table = converted(write_text(tmp_path, text, "b.csv"), "population", "COLUMN_RENAMED", 3)
    assert {"year", "sex", "age"} <= set(table.frame)
    assert table.content_hash == silent(stock, "population").content_hash


def test_B07_unknown_column(tmp_path):
    rows = [{**row, "comment": "x"} for row in population()]
    warned(write(tmp_path, rows), "population", "COLUMN_IGNORED", column="comment")


def test_B08_nameless_index_column(tmp_path, stock):
    rows = [{"": i, **row} for i, row in enumerate(population())]
    table = converted(write(tmp_path, rows, "b.csv"), "population", "INDEX_COLUMN", 1)
    assert table.content_hash == silent(stock, "population").content_hash


def with_totals(rows):
    """Rows with a total of all ages and of both sexes."""
    total = [
        {**row, "age": "All ages",
         "population": sum(r["population"] for r in rows if r["sex"] == row["sex"])}
        for row in rows if row["age"] == "0"
    ]  # fmt: skip
    every = [*rows, *total]
    persons = [
        {**row, "sex": "Persons",
         "population": sum(r["population"] for r in every if r["age"] == row["age"])}
        for row in every if row["sex"] == "male"
    ]  # fmt: skip
    return [*every, *persons]


def test_B09_totals_among_parts(tmp_path, stock):
    rows = with_totals(population())
    table = converted(write(tmp_path, rows, "t.csv"), "population", "TOTAL_AS_CHECK", 6)
    assert table.content_hash == silent(stock, "population").content_hash
    wrong = change(rows, {"sex": "male", "age": "All ages"}, population=99_999)
    parts = sum(r["population"] for r in population() if r["sex"] == "male")
    refused(write(tmp_path, wrong, "w.csv"), "population", "TOTAL_MISMATCH")
    _, log = inspect_table(tmp_path / "w.csv", "population")
    assert any("99,999" in str(f) and f"{parts:,}" in str(f) for f in log.of("TOTAL_MISMATCH"))


def test_B10_one_column_per_year(tmp_path):
    rows = population(range(2002, 2012))
    long = silent(write(tmp_path, rows, "long.csv"), "population")
    wide = pd.DataFrame(rows).pivot_table("population", ["sex", "age"], "year")
    path = tmp_path / "wide.csv"
    wide.reset_index().to_csv(path, index=False)
    table = asked(path, "population", "LAYOUT_WIDE", {"layout": "wide"})
    assert table.content_hash == long.content_hash


def test_B11_blank_lines(tmp_path, stock):
    lines = stock.read_text().splitlines()
    text = "\n".join([*lines[:4], "", ",,,", *lines[4:]])
    table = silent(write_text(tmp_path, text, "b.csv"), "population")
    assert table.log.count("BLANK_ROWS") == 2
    assert table.content_hash == silent(stock, "population").content_hash


# C. Numbers that are text

CELL = {"sex": "male", "age": "0"}


def one_cell(tmp_path, text, name="one.csv", **options):
    """A population whose first male cell holds a text."""
    return write(tmp_path, change(population(), CELL, population=text), name)


def value_of(tmp_path, text, code="NUMBER_FORMAT", **options):
    table = converted(one_cell(tmp_path, text), "population", code, 1, **options)
    return figure(table, sex="male", age=0)


def test_C01_thousands_separator(tmp_path):
    assert value_of(tmp_path, "1,234") == 1234


@pytest.mark.parametrize("space", [" ", "\u00a0", "\u202f"])
def test_C02_spaces_in_numbers(tmp_path, space):
    assert value_of(tmp_path, f"1{space}234") == 1234


@pytest.mark.parametrize(
    ("text", "flag"),
    [("1234p", "provisional"), ("1234r", "revised"), ("1234 [note 3]", "note 3"),
     ("1234 [p]", "provisional")],
)  # fmt: skip
def test_C03_flags(tmp_path, text, flag):
    table = converted(one_cell(tmp_path, text), "population", "NUMBER_FLAG", 1)
    assert figure(table, sex="male", age=0) == 1234
    assert list(table.frame["population_flag"]).count(flag) == 1
    assert table.log.findings[0].record()["texts"] == [text]
    refused(one_cell(tmp_path, "1234q"), "population", "NUMBER_UNREADABLE",
            row=2, column="population", text="1234q")  # fmt: skip


def test_C04_true_minus(tmp_path):
    rows = change(survey(flows=("net",)), {"sex": "male", "age_group": "0-14"}, estimate="−12")
    table = converted(write(tmp_path, rows), "survey_flows", "NUMBER_FORMAT", 1, **FLOW)
    assert figure(table, sex="male", age_group="0-14") == -12


def test_C05_parentheses(tmp_path):
    rows = change(survey(flows=("net",)), {"sex": "male", "age_group": "0-14"}, estimate="(1,200)")
    table = converted(write(tmp_path, rows), "survey_flows", "NUMBER_FORMAT", 1, **FLOW)
    assert figure(table, sex="male", age_group="0-14") == -1200


def test_C06_per_cent(tmp_path):
    rows = [{"source": "visitor_switchers", "year": 2011, "share": "3.4%"}]
    table = converted(write(tmp_path, rows, "s.csv"), "shares", "NUMBER_FORMAT", 1)
    assert table.frame["share"].tolist() == [0.034]
    refused(one_cell(tmp_path, "3.4%"), "population", "NUMBER_UNREADABLE", row=2, text="3.4%")


def test_C07_text_mark(tmp_path):
    assert value_of(tmp_path, "'1234") == 1234


def test_C08_fractional_counts(tmp_path):
    rows = change(population(), {"sex": "male"}, population="12.5")
    table = warned(write(tmp_path, rows), "population", "FRACTIONAL_COUNT", row=2, text="12.5")
    assert figure(table, sex="male", age=0) == 12.5
    rows = change(deaths(), CELL, deaths="12.5")
    path = write(tmp_path, rows, "deaths.csv")
    refused(path, "deaths", "FRACTIONAL_COUNT", row=2, column="deaths", text="12.5", **MID)
    assert (
        figure(accepted(path, "deaths", fractional_counts=True, **MID), sex="male", age=0) == 12.5
    )


def test_C09_scientific_notation(tmp_path):
    table = warned(one_cell(tmp_path, "1.2E+05"), "population", "PRECISION_LOST",
                   row=2, column="population", text="1.2E+05")  # fmt: skip
    assert figure(table, sex="male", age=0) == 120000


@pytest.mark.parametrize("text", ["inf", "-inf", "1e400"])
def test_C10_not_finite(tmp_path, text):
    refused(one_cell(tmp_path, text), "population", "NOT_FINITE", row=2, text=text)


def test_C11_truth_value(tmp_path):
    refused(one_cell(tmp_path, "TRUE"), "population", "NUMBER_UNREADABLE", row=2, text="TRUE")
    frame = pd.DataFrame(change(population(), CELL, population=True))
    refused(frame, "population", "NUMBER_UNREADABLE", row=0, text="TRUE")


def test_C12_one_year_in_thousands(tmp_path):
    rows = population(range(2005, 2012))
    rows = [{**r, "population": r["population"] / 1000} if r["year"] == 2008 else r for r in rows]
    message = refused(write(tmp_path, rows), "population", "UNIT_JUMP", unit="persons",
                      row=row_of(rows, {"year": 2008}))  # fmt: skip
    assert re.search(r"1/(99\d|1,00\d) ", message)
    table = accepted(
        tmp_path / "population_2011.csv", "population", unit="persons", jumps="accepted"
    )
    assert figure(table, year=2008, sex="male", age=0) == pytest.approx(5.209)


def test_C13_unit_of_flows(tmp_path):
    rows = change(survey(), {"sex": "male", "age_group": "0-14", "flow": "immigration"},
                  estimate=518, standard_error=12.5)  # fmt: skip
    table = asked(
        write(tmp_path, rows), "survey_flows", "UNIT_NEEDED", {"unit": "thousands"}, **MID
    )
    cell = {"flow": "immigration", "sex": "male", "age_group": "0-14"}
    assert figure(table, **cell) == 518_000
    assert figure(table, "standard_error", **cell) == 12_500
    assert table.log.count("UNIT_CONVERTED") == 24


# D. Missing, suppressed, zero


def test_D01_undeclared_code(tmp_path):
    path = write(tmp_path, change(population(), {"age": "1"}, population="*"))
    table = asked(path, "population", "CODE_UNKNOWN", {"missing": {"*": "suppressed"}},
                  row=3, column="population", text="*")  # fmt: skip
    assert "'*' (2)" in refused(path, "population", "CODE_UNKNOWN", outcome=ASK)
    cells = table.frame[table.frame["age"] == 1]
    assert cells["population"].isna().all()
    assert set(cells["population_missing"]) == {"suppressed"}


@pytest.mark.parametrize("text", ["c", "[c]"])
def test_D02_confidential(tmp_path, text):
    table = converted(one_cell(tmp_path, text), "population", "MISSING_CODE", 1)
    assert table.frame["population_missing"].tolist().count("confidential") == 1
    assert np.isnan(figure(table, sex="male", age=0))


@pytest.mark.parametrize("text", ["..", ":", "[x]"])
def test_D03_not_available(tmp_path, text):
    table = converted(one_cell(tmp_path, text), "population", "MISSING_CODE", 1)
    assert table.frame["population_missing"].tolist().count("not available") == 1


def test_D04_dash(tmp_path):
    path = one_cell(tmp_path, "-")
    where = {"row": 2, "column": "population", "text": "-"}
    table = asked(path, "population", "CODE_AMBIGUOUS", {"missing": {"-": "nil"}}, **where)
    assert figure(table, sex="male", age=0) == 0
    assert "nil" in set(table.frame["population_flag"])
    table = asked(path, "population", "CODE_AMBIGUOUS", {"missing": {"-": "missing"}}, **where)
    assert np.isnan(figure(table, sex="male", age=0))


def test_D05_empty_cell(tmp_path):
    rows = survey(range(2005, 2010))
    where = {"year": 2007, "flow": "emigration", "sex": "female", "age_group": "60+"}
    rows = change(rows, where, estimate="", standard_error="")
    table = warned(write(tmp_path, rows), "survey_flows", "CELLS_MISSING",
                   row=row_of(rows, where), column="estimate", **FLOW)  # fmt: skip
    assert "emigration 2007: 1" in str(table.log)
    assert np.isnan(figure(table, **where))
    assert table.coverage().loc["emigration"].tolist() == [6, 6, 5, 6, 6]


YEAR_2004 = {"year": "2004", "flow": "emigration"}


def emptied(frame, where):
    """Figures of the rows that match are left empty."""
    rows = (frame[list(where)] == pd.Series(where)).all(axis=1)
    assert rows.any()
    return frame.assign(**{
        c: frame[c].where(~rows, "") for c in ("estimate", "standard_error", "contacts")
    })  # fmt: skip


def emigration_at_median_scales(model):
    """Posterior mean and sd of emigration by year, exact at the medians of the scales."""
    account = model.account
    flow = account.flows["emigration"]
    total = flow.true.sum((0, 1))
    effects = model.matrix(total) * model.scale_factors(np.zeros(len(model.scale_names)))
    rows = model.design * model.scale_factors(np.zeros(len(model.scale_names)))
    covariance = rows @ rows.T + np.diag(model.standard_error**2)
    gain = np.linalg.solve(covariance, rows @ effects.T).T
    sd = np.sqrt((effects**2).sum(axis=1) - (gain * (effects @ rows.T)).sum(axis=1))
    return total.constant + gain @ (model.observed - model.offset), sd


def small_model(project):
    report = load_project(project)
    return imps.linear_model(report.sources, report.priors, resolution=Resolution(3, 3))


def test_D05_result_equals_that_without_the_row(project):
    whole = emigration_at_median_scales(small_model(project))
    cell = YEAR_2004 | {"sex": "female", "age_group": "25-44"}
    edit_table(project, "survey_flows", lambda f: emptied(f, cell))
    with pytest.warns(InputWarning, match="CELLS_MISSING"):
        model = small_model(project)
    label = "emigration 2004 female 25-44"
    assert label not in model.row_labels and len(model.row_labels) == 100 - 1 + 182
    survey = model.sources.emigration
    assert int(survey.unobserved.sum()) == 1
    stands = imps.linear_model(
        replace(model.sources, emigration=replace(survey, unobserved=None)),
        imps.default_priors(), resolution=Resolution(3, 3),
    )  # fmt: skip
    assert label in stands.row_labels
    keep = np.array([row != label for row in stands.row_labels])
    left_out = replace(
        stands, design=stands.design[keep], curved_design=stands.curved_design[keep],
        offset=stands.offset[keep], observed=stands.observed[keep],
        standard_error=stands.standard_error[keep],
        row_labels=tuple(r for r in stands.row_labels if r != label),
        row_sources=tuple(s for s, k in zip(stands.row_sources, keep, strict=True) if k),
    )  # fmt: skip
    here, there = (emigration_at_median_scales(m) for m in (model, left_out))
    np.testing.assert_allclose(here, there, rtol=1e-12)
    assert here[1][2] > emigration_at_median_scales(stands)[1][2]  # one figure fewer is known
    assert abs(here[0][2] - whole[0][2]) < 0.1 * whole[0][2]  # and it is not a zero


def test_D05_an_empty_year_equals_a_year_left_out(project, tmp_path):
    write_project(tmp_path / "other")
    other = tmp_path / "other/settings.toml"
    edit_table(project, "survey_flows", lambda f: emptied(f, YEAR_2004))
    rows = list(YEAR_2004)
    edit_table(other, "survey_flows",
               lambda f: f[~(f[rows] == pd.Series(YEAR_2004)).all(axis=1)])  # fmt: skip
    with pytest.warns(InputWarning, match="CELLS_MISSING"):
        empty = small_model(project)
    absent = small_model(other)
    assert empty.row_labels == absent.row_labels
    np.testing.assert_array_equal(empty.design, absent.design)
    np.testing.assert_array_equal(empty.observed, absent.observed)


def test_D06_lone_zero(tmp_path):
    rows = change(population(range(2005, 2012)), {"year": 2008, **CELL}, population=0)
    table = warned(write(tmp_path, rows), "population", "ZERO_SUSPECT",
                   row=row_of(rows, {"year": 2008}), column="population", text="0")  # fmt: skip
    assert "2008 male 0" in str(table.log)


def test_D07_numbers_as_missing_marks(tmp_path):
    refused(one_cell(tmp_path, "-999"), "population", "NEGATIVE_COUNT",
            row=2, column="population", text="-999")  # fmt: skip
    warned(one_cell(tmp_path, "9999999"), "population", "OUTLIER_SUSPECT", row=2, text="9999999")


def test_D08_namibia(tmp_path):
    rows = [{"citizenship": "NA", **row} for row in survey()]
    table = silent(write(tmp_path, rows), "survey_flows", **FLOW)
    assert set(table.frame["citizenship"]) == {"NA"} and len(table.frame) == len(rows)


def test_D09_gap_in_one_source(tmp_path):
    years = [2005, 2006, 2008, 2009]
    table = silent(write(tmp_path, survey(years)), "survey_flows", **FLOW)
    assert table.coverage()[2007].tolist() == [0, 0]


def test_D09_intervals_are_wider(project):
    whole = emigration_at_median_scales(small_model(project))[1]
    edit_table(project, "survey_flows", lambda f: f[f["year"] != "2004"])
    report = load_project(project)
    assert report.of("survey_flows")[0].coverage()[2004].tolist() == [0, 0]
    assert the(report.log, "CELLS_UNOBSERVED", CONVERT).total == 10
    assert "10 cells of emigration leave the likelihood" in str(report.log)
    wider = emigration_at_median_scales(small_model(project))[1] / whole
    print(wider)
    assert wider[2] == wider.max() and wider[2] > 1.01


def test_D10_source_without_values(tmp_path):
    rows = [*asylum(range(2005, 2009)), *change(asylum(range(2005, 2009), "irish_flows"), {},
                                                count="[x]")]  # fmt: skip
    message = refused(write(tmp_path, rows), "administrative_flows", "SOURCE_EMPTY", **FLOW)
    assert "'irish_flows'" in message


@pytest.mark.parametrize("text", ["<5", "1 to 4"])
def test_D11_banded_cells(tmp_path, text):
    refused(one_cell(tmp_path, text), "population", "CELL_BANDED",
            row=2, column="population", text=text)  # fmt: skip


# E. Ages


@pytest.mark.parametrize("text", ["Oct-14", "14-Oct", "05-Sep", "09-May", "01-Apr"])
def test_E01_ages_changed_to_dates(tmp_path, text):
    rows = change(population(ages=("0-9", "10-14", "15+")), {"age": "10-14"}, age=text)
    refused(write(tmp_path, rows), "population", "AGE_LOOKS_LIKE_DATE",
            row=3, column="age", text=text)  # fmt: skip


def test_E02_true_date_as_age(tmp_path):
    rows = as_rows(population(ages=("0-9", "10-14", "15+")))
    rows[2][2] = pd.Timestamp("2014-10-01").to_pydatetime()
    path = workbook(tmp_path / "p.xlsx", {"P": rows})
    refused(path, "population", "AGE_LOOKS_LIKE_DATE", row=3, column="age", text="2014-10-01")


@pytest.mark.parametrize(
    "text", ["10–14", "10 to 14", "10_14", "10 - 14", "Aged 10 to 14", "Y10T14"]
)
def test_E03_bands(tmp_path, text):
    rows = change(population(ages=("0-9", "10-14", "15+")), {"age": "10-14"}, age=text)
    table = converted(write(tmp_path, rows), "population", "LABEL_FORMAT", 2)
    assert read_age(text).value == (10, 15)
    assert table.frame["age_group"].tolist() == ["0-9", "10-14", "15+"] * 2


@pytest.mark.parametrize(
    "text", ["90+", "90 and over", "90 years and over", "90plus", "90 or older"]
)
def test_E04_open_group(tmp_path, text):
    rows = change(population(ages=("0-89", "90+")), {"age": "90+"}, age=text)
    table = accepted(write(tmp_path, rows), "population")
    assert table.log.count("LABEL_FORMAT") == (0 if text == "90+" else 2)
    assert table.open_age == 90 and read_age(text).value == (90, OPEN)


def test_E05_open_age_changes(tmp_path):
    early = population((2000, 2001), ("0-84", "85+"))
    late = population((2002, 2003), ("0-84", "85-89", "90+"))
    path = write(tmp_path, [*early, *late])
    table = asked(path, "population", "OPEN_AGE_CHANGES", {"open_age": 85})
    assert "2002" in refused(path, "population", "OPEN_AGE_CHANGES", outcome=ASK)
    assert table.open_age == 85 and set(table.frame["age_group"]) == {"0-84", "85+"}
    for year in (2000, 2002):
        total = sum(r["population"] for r in [*early, *late] if r["year"] == year)
        assert table.frame["population"][table.frame["year"] == year].sum() == total


def test_E06_flows_end_below_stocks(tmp_path):
    people = accepted(write(tmp_path, population(ages=(*map(str, range(90)), "90+"))), "population")
    rows = survey(groups=("0-14", "15-74", "75+"))
    flows = accepted(write(tmp_path, rows, "f.csv"), "survey_flows", **FLOW)
    log = check_between([people, flows])
    assert the(log, "AGES_MAPPED", CONVERT).total == len(rows)
    matrix = group_matrix(np.array([[0.0, 15.0, 75.0]] * 2), 91)[0]
    # Who reaches 15 or 75 in the year moved half at the age before, in the group below.
    assert (matrix @ np.arange(91)).tolist() == [
        sum(range(15)) + 7.5, 7.5 + sum(range(16, 75)) + 37.5, 37.5 + sum(range(76, 91)),
    ]  # fmt: skip


def finer_groups(frame):
    """The oldest group divided in two; odd errors, so that the sum of squares shows.

    Errors of the other cells do not follow their estimates, so that all stand as stated.
    """
    frame = frame.assign(standard_error="20")
    oldest = frame[frame["age_group"] == "65+"]
    parts = [
        oldest.assign(age_group=group, estimate=estimate, standard_error=error, contacts="2")
        for group, estimate, error in (("65-74", "40", "13"), ("75+", "31", "7"))
    ]
    return pd.concat([frame[frame["age_group"] != "65+"], *parts])


def test_E06_fit_equals_flows_summed_by_hand(project, tmp_path):
    write_project(tmp_path / "other")
    finer = edit_table(tmp_path / "other/settings.toml", "survey_flows", finer_groups)
    by_hand = {"estimate": str(40 + 31), "standard_error": repr(float(np.hypot(13, 7))),
               "contacts": "4"}  # fmt: skip
    edit_table(project, "survey_flows", lambda f: f.assign(standard_error="20"))
    edit_table(project, "survey_flows", lambda f: f.assign(**{
        c: f[c].where(f["age_group"] != "65+", value) for c, value in by_hand.items()
    }))  # fmt: skip
    sources = load_project(project).sources
    detailed = load_project(finer).sources

    def summed(survey):
        groups = [g for g in survey.estimate.age_group.values if g not in ("65-74", "75+")]

        def both(cells):
            last = cells.sel(age_group=["65-74", "75+"]).sum("age_group").expand_dims(
                age_group=["65+"])  # fmt: skip
            return xr.concat([cells.sel(age_group=groups), last], "age_group").transpose(
                *cells.dims)  # fmt: skip

        return replace(
            survey, estimate=both(survey.estimate), contacts=both(survey.contacts),
            standard_error=both(survey.standard_error**2) ** 0.5,
            lower_ages=survey.lower_ages.sel(age_group=[*groups, "65-74"]).assign_coords(
                age_group=[*groups, "65+"]),
        )  # fmt: skip

    hand = replace(detailed, immigration=summed(detailed.immigration),
                   emigration=summed(detailed.emigration))  # fmt: skip
    one, other = (
        imps.linear_model(s, imps.default_priors(), resolution=Resolution(3, 3))
        for s in (sources, hand)
    )
    assert one.row_labels == other.row_labels
    for fits in zip(*(emigration_at_median_scales(m) for m in (one, other)), strict=True):
        np.testing.assert_allclose(*fits, rtol=1e-9)
    # The mean of the open group is the sum of the account's single ages.
    flow = one.account.flows["emigration"]
    expected = (flow.true + flow.bias).constant[:, :, 0]
    reached = expected[1, 66:].sum() + 0.5 * expected[1, 65]
    row = one.offset[one.row_labels.index("emigration 2002 female 65+")]
    assert row == pytest.approx(reached, rel=1e-9)


def test_E07_overlapping_bands(tmp_path):
    rows = population(ages=("0-14", "15-19", "18-24", "25+"))
    message = refused(write(tmp_path, rows), "population", "AGE_OVERLAP", row=3, column="age")
    assert "15-19" in message and "18-24" in message and "4: '18-24'" in message


def test_E08_gap_in_ages(tmp_path):
    rows = population(ages=("0-4", "10-14", "15+"))
    message = refused(write(tmp_path, rows), "population", "AGE_GAP", row=3, text="10-14")
    assert "ages 5 to 9" in message


def test_E09_same_age_twice(tmp_path):
    rows = population(ages=("Under 1", "0", "1+"))
    refused(write(tmp_path, rows), "population", "DUPLICATE_KEY", row=2)


def test_E10_band_beside_its_ages(tmp_path):
    single = population(ages=("0", "1", "2", "3", "4", "5+"))
    sums = {
        s: sum(r["population"] for r in single if r["sex"] == s and r["age"] != "5+")
        for s in ("male", "female")
    }
    band = [{"year": 2011, "sex": s, "age": "0-4", "population": n} for s, n in sums.items()]
    table = converted(write(tmp_path, [*single, *band]), "population", "TOTAL_AS_CHECK", 2)
    assert table.content_hash == silent(write(tmp_path, single, "s.csv"), "population").content_hash
    wrong = change([*single, *band], {"age": "0-4", "sex": "male"}, population=7)
    message = refused(write(tmp_path, wrong), "population", "TOTAL_MISMATCH", text="7 against")
    assert f"{sums['male']:,}" in message


def test_E11_digits_are_not_glued(tmp_path):
    rows = population(ages=("0-79", "80 - 84", "85-99", "100 years and over"))
    table = converted(write(tmp_path, rows), "population", "LABEL_FORMAT", 4)
    assert table.frame["age_group"].tolist() == ["0-79", "80-84", "85-99", "100+"] * 2
    assert read_age("80 - 84").value == (80, 85)
    assert read_age("100 years and over").value == (100, OPEN)


@pytest.mark.parametrize("text", ["-1", "130"])
def test_E12_age_range(tmp_path, text):
    rows = change(population(), {"age": "1"}, age=text)
    refused(write(tmp_path, rows), "population", "AGE_RANGE", row=3, column="age", text=text)


def test_E13_text_order(tmp_path):
    rows = population(ages=("0-4", "10-14", "15-19", "20+", "5-9"))
    table = silent(write(tmp_path, rows), "population")
    assert table.frame["age_group"].tolist() == ["0-4", "5-9", "10-14", "15-19", "20+"] * 2


def test_E13_tables_and_figures_in_age_order(project, tmp_path):
    write_project(tmp_path / "other")
    ordered = small_model(tmp_path / "other/settings.toml")
    for name in ("population", "deaths", "survey_flows"):
        key = "age_group" if name == "survey_flows" else "age"
        edit_table(project, name, lambda f, key=key: f.sort_values([key, "year"]))
    mixed = small_model(project)
    assert mixed.row_labels == ordered.row_labels
    np.testing.assert_array_equal(mixed.design, ordered.design)
    assert mixed.sources.immigration.estimate.age_group.values.tolist() == [
        "0-14", "15-24", "25-44", "45-64", "65+",
    ]  # fmt: skip


def test_E13_results_are_in_age_order(own_run):
    ages = list(range(13))
    back = own_run.reconciliation.back_series()
    last = back[(back["year"] == 2006) & (back["sex"] == "female")]
    assert last["age"].tolist() == ages
    by_age = own_run.attribution.summary(by=("source", "age"))
    assert by_age[by_age["source"] == "base"]["age"].tolist() == ages
    for table in (own_run.folder / "tables").glob("*.csv"):
        frame = pd.read_csv(table)
        if "age" in frame and pd.api.types.is_numeric_dtype(frame["age"]):
            assert frame.groupby([c for c in frame if c in ("year", "sex", "source")])[
                "age"].agg(lambda x: x.is_monotonic_increasing).all()  # fmt: skip


# F. Sex


def coded(code_of):
    return [{**row, "sex": code_of[row["sex"]]} for row in population()]


def test_F01_codes_for_sex(tmp_path, stock):
    path = write(tmp_path, coded({"male": 1, "female": 2}), "f.csv")
    table = asked(path, "population", "SEX_CODES", {"sex_codes": {"1": "male", "2": "female"}},
                  row=2, column="sex", text="1")  # fmt: skip
    assert table.content_hash == silent(stock, "population").content_hash


@pytest.mark.parametrize("word", ["T", "Persons", "Both sexes"])
def test_F02_total_of_both_sexes(tmp_path, stock, word):
    rows = coded({"male": "M", "female": "F"})
    total = [
        {**r, "sex": word,
         "population": sum(q["population"] for q in rows if q["age"] == r["age"])}
        for r in rows if r["sex"] == "M"
    ]  # fmt: skip
    table = converted(write(tmp_path, rows + total, "f.csv"), "population", "TOTAL_AS_CHECK", 3)
    assert table.content_hash == silent(stock, "population").content_hash


@pytest.mark.parametrize(
    ("male", "female"), [("Male ", "Females"), ("MALES", "FEMALE"), ("m", "f")]
)
def test_F03_spellings_of_sex(tmp_path, stock, male, female):
    path = write(tmp_path, coded({"male": male, "female": female}), "f.csv")
    table = converted(path, "population", "LABEL_FORMAT", 6)
    assert table.content_hash == silent(stock, "population").content_hash


def test_F04_total_differs_from_sexes(tmp_path):
    rows = population()
    total = [
        {**r, "sex": "T", "population": 4 + sum(
            q["population"] for q in rows if q["age"] == r["age"])}
        for r in rows if r["sex"] == "male"
    ]  # fmt: skip
    path = write(tmp_path, rows + total)
    message = refused(path, "population", "TOTAL_MISMATCH", row=8)
    assert "2011 0" in message and f"{total[0]['population']:,}" in message
    assert f"{total[0]['population'] - 4:,}" in message
    accepted(path, "population", rounding=5)


def test_F05_persons_only(tmp_path):
    rows = [{**r, "sex": "Persons"} for r in population() if r["sex"] == "male"]
    accepted(write(tmp_path, rows), "population")
    both = [{**r, "age": r["age"]} for r in population() if (r["sex"], r["age"]) != ("female", "0")]
    rows = [{**r, "sex": "Persons"} if r["age"] == "0" else r for r in both]
    refused(write(tmp_path, rows), "population", "SEX_NEEDED", row=2, column="sex")


def test_F06_females_absent_in_one_year(tmp_path):
    rows = [r for r in population(range(2007, 2012)) if (r["year"], r["sex"]) != (2009, "female")]
    message = refused(write(tmp_path, rows), "population", "CELLS_ABSENT")
    assert "2009 female" in message


def test_F07_identical_sexes(tmp_path):
    rows = population()
    rows = [{**r, "population": r["population"] - 3 * (r["sex"] == "male")} for r in rows]
    warned(write(tmp_path, rows), "population", "SEXES_IDENTICAL", row=2, column="population")


# G. Time


def project_tables(tmp_path, *, years=range(2002, 2005), period="mid-year", stock_rows=None):
    """A population, births, deaths and a survey that fit together."""
    options = {"period": period}
    ages = (*map(str, range(4)), "4+")
    groups = ("0-1", "2-3", "4+")
    stocks = stock_rows or population((years[0] - 1, years[-1]), ages)
    return [
        accepted(write(tmp_path, stocks, "population.csv"), "population"),
        accepted(write(tmp_path, births(years), "births.csv"), "births", **options),
        accepted(write(tmp_path, deaths(years, ages), "deaths.csv"), "deaths", **options),
        accepted(
            write(tmp_path, survey(years, groups=groups), "flows.csv"),
            "survey_flows",
            **FLOW | options,
        ),
    ]


def test_G01_calendar_years_beside_mid_years(tmp_path):
    tables = project_tables(tmp_path, period="calendar-year")
    log = check_between(tables)
    found = [f for f in log.of("PERIOD_MISMATCH") if f.file.endswith("flows.csv")]
    message = contract(found[0], file="flows.csv", column="year", text="calendar-year")
    assert found[0].outcome == ASK and "calendar_to_mid_year" in message
    account = Account(calendar_to_mid_year=MEAN_OF_CALENDAR_YEARS, year_ends="06-30")
    settled = check_between(tables, account)
    assert settled.passed and the(settled, "PERIOD_CONVERTED", CONVERT)


def test_G01_conversion_is_named_in_the_report(own_run):
    page = (own_run.folder / "report.html").read_text(encoding="utf-8")
    assert "PERIOD_CONVERTED" in page
    assert "calendar years stand for mid-year intervals, each half of two" in page
    assert "DEATHS_BY_COHORT" in page and "ROLLED_BY_RULE" in page
    births = own_run.case.sources.births.count.sel(year=2003, sex="male")
    assert float(births) == (2_622 + 2_634) / 2  # mean of the calendar years 2002 and 2003


def test_G02_split_year(tmp_path):
    rows = change(births(), {}, year="2011/12")
    for meaning in ("mid-year", "year-ending-march", "year-ending-august"):
        table = asked(write(tmp_path, rows), "births", "PERIOD_AMBIGUOUS",
                      {"split_year": meaning}, row=2, column="year", text="2011/12")  # fmt: skip
        assert set(table.frame["year"]) == {2012} and table.metadata["period"] == meaning


@pytest.mark.parametrize("text", ["Mid-2011", "mid 2011", "30 June 2011", "2011-06-30"])
def test_G03_mid_year_dates(tmp_path, stock, text):
    path = write(tmp_path, change(population(), {}, year=text), "g.csv")
    table = converted(path, "population", "LABEL_FORMAT", 6)
    assert set(table.frame["date"]) == {"2011-06-30"}
    assert table.content_hash == silent(stock, "population").content_hash


@pytest.mark.parametrize("text", ["YE Jun 12", "Year ending June 2012"])
def test_G04_years_ending(tmp_path, text):
    table = converted(write(tmp_path, change(births(), {}, year=text)), "births", "LABEL_FORMAT", 2)
    assert set(table.frame["year"]) == {2012} and table.metadata["period"] == "mid-year"
    assert read_period(text).value.day == "2012-06-30"


def test_G05_gap_in_the_account(tmp_path):
    rows = births([2003, 2004, 2006, 2007])
    message = refused(write(tmp_path, rows), "births", "PERIOD_GAP", column="year", **MID)
    assert "without 2005" in message


def test_G06_year_twice(tmp_path):
    rows = births([2009, 2010, 2011]) + change(births([2010]), {}, births=317)
    message = refused(write(tmp_path, rows), "births", "DUPLICATE_KEY", row=4, **MID)
    assert "8" in message and "vintage" in message


def test_G07_census_day(tmp_path):
    rows = change(population(), {}, year="27 March 2011")
    table = asked(write(tmp_path, rows), "population", "STOCK_DATE",
                  {"census_days": ["2011-03-27"]}, row=2, column="year",
                  text="27 March 2011")  # fmt: skip
    assert set(table.frame["date"]) == {"2011-03-27"}


def test_G08_two_digits(tmp_path):
    rows = change(
        change(births([2002, 2003]), {"year": 2002}, year="02"), {"year": 2003}, year="03"
    )
    table = asked(write(tmp_path, rows), "births", "YEAR_TWO_DIGITS", {"century": 2000},
                  row=2, column="year", text="02", **MID)  # fmt: skip
    assert table.years == [2002, 2003]


def test_G09_spreadsheet_serial(tmp_path):
    path = write(tmp_path, change(births(), {}, year="37437"))
    message = refused(
        path, "births", "PERIOD_UNREADABLE", row=2, column="year", text="37437", **MID
    )
    assert "2002-06-30" in message


def test_G10_rows_not_in_time_order(tmp_path):
    rows = population(range(2005, 2010))
    plain = silent(write(tmp_path, rows, "a.csv"), "population")
    turned = silent(write(tmp_path, rows[::-1], "b.csv"), "population")
    assert turned.content_hash == plain.content_hash


def test_G11_years_outside_the_account(tmp_path):
    tables = project_tables(tmp_path)
    log = check_between(tables, Account(first_mid_year=2001, last_mid_year=2003))
    found = [f for f in log.of("PERIOD_UNUSED") if f.file.endswith("flows.csv")]
    assert found[0].outcome == WARN and "2004" in contract(found[0], file="flows.csv")


# H. Geography and coverage


def test_H01_areas_of_different_extent(tmp_path):
    people = accepted(write(tmp_path, population()), "population", geography="England and Wales")
    flows = accepted(write(tmp_path, survey(), "flows.csv"), "survey_flows",
                     geography="United Kingdom", **FLOW)  # fmt: skip
    message = contract(the(check_between([people, flows]), "COVERAGE_MISMATCH", REJECT),
                       file="flows.csv", text="United Kingdom")  # fmt: skip
    assert "England and Wales" in message and "population_2011.csv" in message


def by_area(rows, *areas):
    return [{"area": area, **row} for area in areas for row in rows]


def test_H02_superseded_area_code(tmp_path):
    people = accepted(write(tmp_path, by_area(population(), "E07000242")), "population")
    path = write(tmp_path, by_area(births(), "E07000097"), "births.csv")
    log = check_between([people, accepted(path, "births", **MID)])
    message = contract(the(log, "AREA_UNKNOWN", REJECT), file="births.csv", column="area",
                       text="E07000097")  # fmt: skip
    assert "E07000242" in message


def test_H03_country_beside_its_regions(tmp_path):
    regions = [f"E1200000{i}" for i in range(1, 10)]
    rows = by_area(population(), *regions)
    whole = [{**r, "area": "E92000001", "population": 9 * r["population"]} for r in population()]
    path = write(tmp_path, rows + whole)
    message = refused(path, "population", "AREA_OVERLAP", column="area", text="E92000001")
    assert "E12000009" in message
    table = converted(path, "population", "TOTAL_AS_CHECK", 6, area_totals="check")
    assert set(table.frame["area"]) == set(regions)
    wrong = change(rows + whole, {"area": "E92000001", **CELL}, population=1)
    refused(write(tmp_path, wrong), "population", "TOTAL_MISMATCH", area_totals="check")


def test_H04_areas_are_summed(tmp_path):
    rows = by_area(survey(), "E92000001", "W92000004")
    rows = change(rows, {"area": "W92000004"}, standard_error=30)
    table = converted(write(tmp_path, rows), "survey_flows", "AREAS_SUMMED", len(rows),
                      areas=["E92000001", "W92000004"], **FLOW)  # fmt: skip
    cell = {"flow": "immigration", "sex": "male", "age_group": "0-14"}
    one = next(r for r in survey() if all(r[k] == v for k, v in cell.items()))
    assert figure(table, **cell) == 2 * one["estimate"]
    assert figure(table, "standard_error", **cell) == pytest.approx(50.0)  # 40 and 30
    assert "quadrature" in str(table.log)


def test_H05_names_are_not_matched(tmp_path):
    people = accepted(write(tmp_path, by_area(population(), "Bristol, City of")), "population")
    path = write(tmp_path, by_area(births(), "Bristol"), "births.csv")
    log = check_between([people, accepted(path, "births", **MID)])
    message = contract(the(log, "AREA_UNKNOWN", REJECT), file="births.csv", text="Bristol")
    assert "codes" in message and "Bristol, City of" in message


# I. Survey estimates and migration adjustments

IN = {"flow": "immigration", "sex": "male", "age_group": "0-14"}


def survey_file(tmp_path, where=IN, name="flows.csv", rows=None, **values):
    return write(tmp_path, change(rows or survey(), where, **values), name)


def test_I01_negative_immigration(tmp_path):
    refused(survey_file(tmp_path, estimate=-3), "survey_flows", "NEGATIVE_FLOW",
            row=2, column="estimate", text="-3", **FLOW)  # fmt: skip


def test_I02_negative_net_migration(tmp_path):
    rows = change(survey(flows=("net",)), {"sex": "male", "age_group": "0-14"}, estimate=-3)
    table = silent(write(tmp_path, rows), "survey_flows", **FLOW)
    assert figure(table, sex="male", age_group="0-14") == -3


def test_I03_emigration_as_negative_numbers(tmp_path):
    rows = survey(range(2005, 2008))
    plain = silent(write(tmp_path, rows, "p.csv"), "survey_flows", **FLOW)
    turned = [{**r, "estimate": -r["estimate"]} if r["flow"] == "emigration" else r for r in rows]
    path = write(tmp_path, turned, "n.csv")
    table = asked(path, "survey_flows", "SIGN_CONVENTION", {"sign": "emigration-negative"},
                  column="estimate", **FLOW)  # fmt: skip
    assert table.content_hash == plain.content_hash
    assert table.log.count("SIGN_TURNED") == 18


def test_I04_standard_error_zero(tmp_path):
    path = survey_file(tmp_path, estimate=518, standard_error=0)
    refused(path, "survey_flows", "SE_ZERO", row=2, column="standard_error", text="0", **FLOW)


def test_I05_nobody_in_the_sample(tmp_path):
    path = survey_file(tmp_path, estimate=0, standard_error=0)
    table = asked(path, "survey_flows", "ZERO_NO_CONTACTS", {"zero_no_contacts": "unobserved"},
                  row=2, column="estimate", text="0", **FLOW)  # fmt: skip
    assert np.isnan(figure(table, **IN))
    assert "no contacts" in set(table.frame["estimate_missing"])


def with_interval(rows):
    """Rows with the bounds of their 95 % interval."""
    half = 1.959963984540054
    return [
        {**r, "lower": r["estimate"] - half * r["standard_error"],
         "upper": r["estimate"] + half * r["standard_error"]}
        for r in rows
    ]  # fmt: skip


def test_I06_half_width_as_standard_error(tmp_path):
    rows = with_interval(survey())
    silent(write(tmp_path, rows, "right.csv"), "survey_flows", **FLOW)
    wrong = [{**r, "standard_error": 1.96 * r["standard_error"]} for r in rows]
    message = refused(write(tmp_path, wrong), "survey_flows", "SE_CI_DISAGREE",
                      row=2, column="standard_error", **FLOW)  # fmt: skip
    assert "(upper - lower) / 3.92 = 40 beside 78.4" in message


@pytest.mark.parametrize("bounds", [(500, 600), (600, 300)])
def test_I07_bad_intervals(tmp_path, bounds):
    rows = with_interval(survey())
    path = survey_file(tmp_path, rows=rows, estimate=427, lower=bounds[0], upper=bounds[1])
    refused(path, "survey_flows", "INTERVAL_BAD", row=2, text="427 in", **FLOW)


def test_I08_standard_error_in_thousands(tmp_path):
    path = survey_file(tmp_path, estimate=500_000, standard_error=20)
    table = warned(path, "survey_flows", "SE_IMPLAUSIBLE", row=2, column="standard_error", **FLOW)
    assert "4e-05" in str(table.log)


def test_I09_unit_of_cv(tmp_path):
    rows = [{k: v for k, v in {**r, "cv": 12.5}.items() if k != "standard_error"} for r in survey()]
    path = write(tmp_path, rows)
    table = asked(path, "survey_flows", "CV_UNIT", {"cv_unit": "percent"},
                  row=2, column="cv", text="12.5", **FLOW)  # fmt: skip
    assert figure(table, "standard_error", **IN) == pytest.approx(0.125 * figure(table, **IN))


def test_I10_balance(tmp_path):
    gross = survey()
    net = []
    for r in gross:
        if r["flow"] == "immigration":
            out = next(q for q in gross if q["flow"] == "emigration" and q["sex"] == r["sex"]
                   and q["age_group"] == r["age_group"])  # fmt: skip
            net.append({**r, "flow": "net", "estimate": r["estimate"] - out["estimate"]})
    table = converted(write(tmp_path, gross + net), "survey_flows", "TOTAL_AS_CHECK", 6, **FLOW)
    assert set(table.frame["flow"]) == {"immigration", "emigration"}
    wrong = gross + change(net, {"sex": "male", "age_group": "0-14"}, estimate=29)
    message = refused(write(tmp_path, wrong), "survey_flows", "BALANCE", text="29", **FLOW)
    assert "2011 male 0-14 (+9)" in message


@pytest.mark.parametrize(("off", "good"), [(1, True), (4, False)])
def test_I11_parts_rounded_to_thousands(tmp_path, off, good):
    groups = ["British", "EU15", "EU8", "Old Commonwealth", "Other"]
    parts = [{"citizenship": g, **r} for g in groups for r in survey()]
    total = [{"citizenship": "All", **r, "estimate": 5 * r["estimate"] + off} for r in survey()]
    path = write(tmp_path, parts + total)
    options = {"unit": "thousands", **MID}
    if good:
        table = converted(path, "survey_flows", "TOTAL_AS_CHECK", 12, **options)
        assert set(table.frame["citizenship"]) == set(groups)
    else:
        refused(path, "survey_flows", "TOTAL_MISMATCH", **options)


def test_I12_component_counted_twice(tmp_path):
    path = write(tmp_path, survey(), "ltim.csv")
    admin = accepted(write(tmp_path, asylum(), "asylum.csv"), "administrative_flows", **FLOW)
    total = accepted(path, "survey_flows", definition="LTIM", **FLOW)
    message = contract(the(check_between([total, admin]), "COMPONENT_COUNTED_TWICE", ASK),
                       file="ltim.csv", text="asylum_seekers")  # fmt: skip
    assert "includes" in message
    told = accepted(path, "survey_flows", definition="LTIM", includes=["asylum_seekers"], **FLOW)
    assert check_between([told, admin]).passed


@pytest.mark.parametrize("share", ["1.3", "-0.1"])
def test_I13_share_range(tmp_path, share):
    rows = [{"source": "visitor_switchers", "year": 2011, "share": share}]
    refused(write(tmp_path, rows), "shares", "SHARE_RANGE", row=2, column="share", text=share)


def test_I14_two_published_series(tmp_path):
    rows = [{"vintage": v, **r, "estimate": r["estimate"] + 30 * (v == "revised")}
            for v in ("first published", "revised") for r in survey(range(2001, 2011))]  # fmt: skip
    path = write(tmp_path, rows)
    table = asked(path, "survey_flows", "VINTAGE_NEEDED", {"vintage": "revised"},
                  column="vintage", text="first published", **FLOW)  # fmt: skip
    assert set(table.frame["vintage"]) == {"revised"}
    assert table.log.count("VINTAGE_CHOSEN") == len(rows) // 2
    first = accepted(write(tmp_path, survey(range(2001, 2011)), "a.csv"), "survey_flows", **FLOW)
    log = check_between([first, table])
    assert "2001 to 2010" in contract(the(log, "VINTAGE_NEEDED", ASK), file=str(path))


def test_I15_negative_or_missing_standard_error(tmp_path):
    refused(survey_file(tmp_path, standard_error=-4), "survey_flows", "SE_NEGATIVE",
            row=2, column="standard_error", text="-4", **FLOW)  # fmt: skip
    path = survey_file(tmp_path, standard_error="")
    table = asked(path, "survey_flows", "SE_MISSING", {"standard_error_missing": "unobserved"},
                  row=2, column="estimate", **FLOW)  # fmt: skip
    assert np.isnan(figure(table, **IN))


def test_K07_of_few_old_people_more_than_half_may_die(tmp_path):
    """Those of a village who were there at the start are not known; of a nation it is no chance."""
    ages = (*map(str, range(95)), "95+")
    for left, died, passes in ((5, 8, True), (5_000, 8_000, False)):
        stocks = change(population((2003,), ages), {"sex": "male", "age": "91"}, population=left)
        people = accepted(write(tmp_path, stocks), "population")
        rows = change(deaths((2003,), ages), {"sex": "male", "age": "91"}, deaths=died)
        table = accepted(write(tmp_path, rows, "deaths.csv"), "deaths", **MID)
        found = [f.code for f in check_between([people, table]).findings]
        assert ("DEATHS_EXCEED_POPULATION" not in found) == passes


# J. Births and deaths


def test_J01_births_without_sex(tmp_path):
    rows = [{"year": y, "births": 615} for y in (2010, 2011)]
    table = asked(write(tmp_path, rows), "births", "BIRTHS_NEED_SEX", {"sex_ratio": 1.05},
                  column="births", **MID)  # fmt: skip
    assert figure(table, year=2011, sex="male") == pytest.approx(615 * 1.05 / 2.05, rel=1e-15)
    assert figure(table, year=2011, sex="female") == pytest.approx(615 / 2.05, rel=1e-15)


def test_J02_more_deaths_than_people(tmp_path):
    tables = project_tables(tmp_path)
    assert check_between(tables).passed
    rows = change(deaths(range(2002, 2005), (*map(str, range(4)), "4+")),
                  {"year": 2002, "sex": "male", "age": "2"}, deaths=16_000)  # fmt: skip
    tables[2] = accepted(write(tmp_path, rows, "deaths.csv"), "deaths", **MID)
    message = contract(the(check_between(tables), "DEATHS_EXCEED_POPULATION", REJECT),
                       file="deaths.csv", column="deaths", text="16,000")  # fmt: skip
    assert "2002 male age 2" in message


def test_J03_no_deaths_at_age_zero(tmp_path):
    rows = [r for r in deaths() if r["age"] != "0"]
    message = refused(write(tmp_path, rows), "deaths", "CELLS_ABSENT", **MID)
    assert "2011 age 0" in message


def test_J04_births_by_calendar_year(tmp_path):
    tables = project_tables(tmp_path)
    path = write(tmp_path, births(range(2002, 2005)), "births.csv")
    tables[1] = accepted(path, "births", period="calendar-year")
    message = contract(the(check_between(tables), "PERIOD_MISMATCH", ASK), file=str(path))
    assert "calendar_to_mid_year" in message
    declared = Account(calendar_to_mid_year=MEAN_OF_CALENDAR_YEARS, year_ends="06-30")
    assert check_between(tables, declared).passed


def test_J05_mixed_basis(tmp_path):
    rows = [{**r, "basis": "occurrence" if r["year"] == 2003 else "registration"}
            for r in births(range(2001, 2006))]  # fmt: skip
    table = warned(write(tmp_path, rows), "births", "BASIS_MIXED", row=6, column="basis", **MID)
    assert "occurrence in 2003" in str(table.log)


# K. Stocks and the account


def test_K01_exact_duplicates(tmp_path):
    rows = population()
    message = refused(write(tmp_path, [*rows, rows[1]]), "population", "DUPLICATE_KEY", row=3)
    assert "8" in message and "2011 male 1" in message


def test_K02_same_key_two_counts(tmp_path):
    rows = population()
    path = write(tmp_path, [*rows, {**rows[1], "population": 77}])
    message = refused(path, "population", "DUPLICATE_KEY", row=3)
    assert "77" in message and str(rows[1]["population"]) in message


def coverage_project(tmp_path, coverage: str, factor: float) -> Path:
    """A project with a register that is `factor` times the population."""
    write_project(tmp_path / "case")
    people = pd.read_csv(tmp_path / "case/data/population.csv")
    last = people[people["year"] == 2006]
    register = last.assign(source="patient_register", count=(last["population"] * factor).round())
    register.drop(columns=["population", "vintage"]).to_csv(
        tmp_path / "case/data/stocks.csv", index=False
    )
    settings = tmp_path / "case/settings.toml"
    entry = f'\n[[stocks]]\nfile = "data/stocks.csv"\ncoverage = {coverage}\n'
    settings.write_text(settings.read_text() + entry)
    return settings


NORMAL = '{ distribution = "normal", mean = 1.04, sd = 0.03 }'
UNIFORM = '{ distribution = "uniform", lower = 0, upper = 1 }'


def test_K03_register_above_the_census(tmp_path):
    report = check_project(coverage_project(tmp_path, NORMAL, 1.05))
    assert report.passed and not report.log.of("PRIOR_DATA_CONFLICT")
    (register,) = report.sources.extra
    assert register.coverage_mean == pytest.approx(1 - 1 / 1.04)


def test_K03_a_coverage_of_at_most_one_excludes_the_register(tmp_path):
    report = check_project(coverage_project(tmp_path, UNIFORM, 1.05))
    message = contract(the(report.log, "PRIOR_EXCLUDES_DATA", REJECT), file="data/stocks.csv",
                       column="count")  # fmt: skip
    assert "'patient_register'" in message and "2006 male " in message


def test_K04_base_year_mismatch(tmp_path):
    tables = project_tables(tmp_path)
    total = sum(r["population"] for r in population((2001,), (*map(str, range(4)), "4+")))
    rows = [{"year": 2002, "opening": total + 500, "births": 600, "deaths": 100,
             "net_migration": 10, "closing": total + 1010}]  # fmt: skip
    path = write(tmp_path, rows, "components.csv")
    log = check_between([*tables, accepted(path, "components")])
    message = contract(the(log, "BASE_YEAR_MISMATCH", REJECT), file=str(path), column="opening",
                       text=f"{total + 500:,}")  # fmt: skip
    assert "mid-2001" in message and "+500" in message


def test_K05_rounded_stock(tmp_path):
    ages = (*map(str, range(20)), "20+")
    exact = accepted(write(tmp_path, population((2011,), ages)), "population")
    rounded = [{"source": "register", **{k: v for k, v in r.items() if k != "population"},
                "count": round(r["population"], -2)}
               for r in population((2011,), ages, 9000)]  # fmt: skip
    path = write(tmp_path, change(rounded, {"age": "3"}, count=8700), "register.csv")
    log = check_between([exact, accepted(path, "stocks")])
    message = contract(the(log, "ROUNDING_DETECTED", WARN), file=str(path))
    assert "rounded to 100" in message and "50" in message


def test_K06_special_populations(tmp_path):
    rows = [{"source": "register", "year": r["year"], "sex": r["sex"], "age": r["age"],
             "count": r["population"] + 5} for r in population()]  # fmt: skip
    one = accepted(write(tmp_path, population()), "population", special_populations="included")
    two = accepted(write(tmp_path, rows, "register.csv"), "stocks", special_populations="excluded")
    message = contract(the(check_between([one, two]), "POPULATION_BASE", ASK),
                       file="register.csv", text="excluded")  # fmt: skip
    assert "account.special_populations" in message
    assert check_between([one, two], Account(special_populations="as-declared")).passed


def test_K07_deaths_without_people(tmp_path):
    ages = (*map(str, range(4)), "4+")
    stocks = change(population((2003,), ages), {"sex": "male", "age": "2"}, population=0)
    people = accepted(write(tmp_path, stocks), "population")
    rows = change(deaths((2003,), ages), {"sex": "male", "age": "2"}, deaths=3)
    died = accepted(write(tmp_path, rows, "deaths.csv"), "deaths", **MID)
    message = contract(the(check_between([people, died]), "DEATHS_EXCEED_POPULATION", REJECT),
                       file="deaths.csv", text="3")  # fmt: skip
    assert "2003 male age 2: 3 deaths, 0 people" in message


def test_K08_account_residual(tmp_path):
    rows = [{"year": 2002, "opening": 1000, "births": 20, "deaths": 10, "net_migration": 5,
             "closing": 1015},
            {"year": 2003, "opening": 1015, "births": 20, "deaths": 10, "net_migration": 5,
             "closing": 1042}]  # fmt: skip
    table = warned(write(tmp_path, rows), "components", "ACCOUNT_RESIDUAL", row=3, column="closing")
    assert "other change by year: 2003: +12" in str(table.log)


# L. Settings, priors, command line


@pytest.fixture
def project(tmp_path):
    """A new project that passes every check."""
    write_project(tmp_path / "case")
    return tmp_path / "case/settings.toml"


def settings_with(project: Path, old: str, new: str) -> Path:
    text = project.read_text()
    assert old in text
    project.write_text(text.replace(old, new, 1))
    return project


def settings_fault(project: Path, code: str, **place) -> str:
    before = snapshot(project.parent)
    report = check_project(project)
    assert not report.passed and snapshot(project.parent) == before
    return contract(the(report.log, code, REJECT), file=str(project), **place)


def line_of(project: Path, text: str) -> int:
    return 1 + next(i for i, line in enumerate(project.read_text().splitlines()) if text in line)


def test_L01_misspelt_prior(project):
    project.write_text(project.read_text() + "\n[priors.asylm]\nsd = 0.2\n")
    row = line_of(project, "[priors.asylm]")
    message = settings_fault(project, "SETTING_UNKNOWN", row=row, text="asylm")
    assert "Did you mean 'asylum_seekers'?" in message


def test_L02_prior_without_source(project):
    project.write_text(project.read_text() + "\n[priors.irish_flows]\nsd = 0.2\n")
    message = settings_fault(project, "PRIOR_UNUSED", text="irish_flows")
    assert "asylum_seekers" in message


@pytest.mark.parametrize("sd", ["0", "-1", "nan"])
def test_L03_prior_that_is_none(project, sd):
    project.write_text(project.read_text() + f"\n[priors.asylum_seekers]\nmean = 0\nsd = {sd}\n")
    settings_fault(project, "PRIOR_BAD", text=f"sd = {sd}", column="priors.asylum_seekers")


def test_L04_missing_quote(project):
    lines = project.read_text().splitlines()
    lines[13] = 'folder = "results'
    project.write_text("\n".join(lines))
    message = settings_fault(project, "SETTINGS_SYNTAX", row=14, text='folder = "results')
    assert "line 14" in message and re.search(r"column \d+", message)


@pytest.mark.parametrize("seed", ['"42"', "4.2", "-1", "true"])
def test_L05_bad_seed(project, seed):
    settings_with(project, "seed = 1 ", f"seed = {seed} ")
    settings_fault(project, "SEED_BAD", row=line_of(project, "seed ="), column="seed", text=seed)


@pytest.mark.parametrize(
    ("old", "new"),
    [("chains = 4", "chains = 0"), ("# draws = 1000", "draws = -5"),
     ("target_accept = 0.97", "target_accept = 1.2")],
)  # fmt: skip
def test_L06_settings_out_of_range(project, old, new):
    settings_with(project, old, new)
    key, value = new.split(" = ")
    settings_fault(project, "SETTING_RANGE", row=line_of(project, new), column=key, text=value)


def test_L07_paths_are_relative_to_the_settings(project, tmp_path, monkeypatch):
    here = check_project(project)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    there = check_project(os.path.relpath(project))
    assert here.passed and there.passed
    assert [t.content_hash for t in here.tables] == [t.content_hash for t in there.tables]
    assert here.record() == there.record()


def test_L08_output_name_in_use(own_run):
    before = snapshot(own_run.folder.parent)
    with pytest.raises(OutputExistsError, match="OUTPUT_EXISTS.*already there.*--force"):
        imps.run(own_run.case, out=own_run.folder, draws=100, progress=False)
    assert snapshot(own_run.folder.parent) == before


def test_L08_the_old_output_stays_until_the_new_one_is_whole(own_run, monkeypatch):
    def cut_off(*_, **__):
        raise KeyboardInterrupt

    before = snapshot(own_run.folder)
    monkeypatch.setattr("imps.runs.run.fit", lambda *_, **__: own_run.fit)
    monkeypatch.setattr("imps.report.report.html_report", cut_off)
    with pytest.raises(KeyboardInterrupt):
        imps.run(own_run.case, out=own_run.folder, draws=100, force=True, progress=False)
    assert snapshot(own_run.folder) == before


def test_L09_prior_excludes_the_register(tmp_path):
    report = check_project(coverage_project(tmp_path, UNIFORM, 1.5))
    message = contract(the(report.log, "PRIOR_EXCLUDES_DATA", REJECT), file="data/stocks.csv")
    assert "'patient_register'" in message and "2006 male 0:" in message


def test_L10_prior_far_from_the_data(tmp_path):
    narrow = '{ distribution = "normal", mean = 1.0, sd = 0.005 }'
    report = check_project(coverage_project(tmp_path, narrow, 1.05))
    assert report.passed
    message = contract(the(report.log, "PRIOR_DATA_CONFLICT", WARN), file="data/stocks.csv")
    assert "'patient_register'" in message and "2006" in message
    assert "10 prior standard deviations" in message


# M. Saved runs


CHAINS = 6


def stopped(*_, **__):
    raise KeyboardInterrupt


def test_M01_resume_after_a_changed_input(project, monkeypatch):
    out = project.parent / "results"
    monkeypatch.setattr("imps.runs.run.fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        imps.run(project, out=out, progress=False)
    before = snapshot(project.parent / "results.unfinished")
    assert "manifest.json" in before
    edit_table(project, "births", lambda f: f.replace({"births": {"2622": "2623"}}))
    with pytest.raises(RunChangedError) as refused_:
        imps.run(project, out=out, progress=False)
    message = str(refused_.value)
    assert message.startswith("RUN_CHANGED  ")
    assert "file 'data/births.csv' was changed" in message and "other figures" in message
    assert snapshot(project.parent / "results.unfinished") == before and not out.exists()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A small model, its draws without any disturbance, and its settings file."""
    settings = small_project(write_project(tmp_path_factory.mktemp("kept") / "case"))
    model = small_model(settings)
    return model, imps.fit(model, seed=7, draws=100, chains=CHAINS, progress=False), settings


def chain_files(folder):
    return {f.name: f.read_bytes() for f in sorted(folder.glob("exact-*.nc"))}


CHILD = """
import sys, imps
from imps.account.latents import Resolution
report = imps.load_project(sys.argv[1])
model = imps.linear_model(report.sources, report.priors, resolution=Resolution(3, 3))
imps.fit(model, seed=7, draws=100, chains=6, progress=False, keep=sys.argv[2])
"""


def test_M02_kill_and_resume(undisturbed, tmp_path):
    model, whole, settings = undisturbed
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(settings), str(tmp_path)])
    deadline = time.monotonic() + 60
    while not chain_files(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    assert child.wait() != 0, "the run was finished before it could be killed"
    survived = chain_files(tmp_path)
    assert 0 < len(survived) < CHAINS
    resumed = imps.fit(model, seed=7, draws=100, chains=CHAINS, progress=False, keep=tmp_path)
    np.testing.assert_array_equal(resumed.latents(), whole.latents())
    assert survived.items() <= chain_files(tmp_path).items()  # nothing was drawn again


def test_M03_checkpoint_cut_short(undisturbed, tmp_path):
    model, whole, _ = undisturbed
    imps.fit(model, seed=7, draws=100, chains=CHAINS, progress=False, keep=tmp_path)
    last = tmp_path / f"exact-{CHAINS}.nc"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    with pytest.warns(ImpsWarning, match=r"CHECKPOINT_TRIMMED  1 of 6 .*exact-6\.nc"):
        kept = imps.load_fit(tmp_path)
    assert kept.n_chains == CHAINS - 1
    np.testing.assert_array_equal(kept.draws["latent"], whole.draws["latent"][:-1])
    with pytest.warns(ImpsWarning, match="CHECKPOINT_TRIMMED"):
        resumed = imps.fit(model, seed=7, draws=100, chains=CHAINS, progress=False, keep=tmp_path)
    np.testing.assert_array_equal(resumed.latents(), whole.latents())


COORDINATES = pd.DataFrame(
    {
        "whole": pd.array([3, None, 1], dtype="Int64"),
        "truth": [True, False, True],
        "maybe": pd.array([True, None, False], dtype="boolean"),
        "kind": pd.Categorical(["żółw", "b", "żółw"], categories=["b", "żółw", "z"], ordered=True),
        "text": ["Côte d’Ivoire", "日本", "é"],
    }
)


def saved_and_loaded(path, value):
    arrays = {}
    record = {"value": pack(value, arrays)}
    save(path, {"arrays": flat(arrays)}, record)
    groups, record = load(path)
    return unpack(record["value"], unflat(groups["arrays"]))


def test_M04_coordinates_come_back(tmp_path):
    back = saved_and_loaded(tmp_path / "table.nc", COORDINATES)
    pd.testing.assert_frame_equal(back, COORDINATES)
    for name in COORDINATES:
        array = xr.DataArray([1.0, 2, 3], dims=name, coords={name: COORDINATES[name].array})
        again = saved_and_loaded(tmp_path / f"{name}.nc", array)
        assert again.indexes[name].dtype == array.indexes[name].dtype
        pd.testing.assert_index_equal(again.indexes[name], array.indexes[name])
        np.testing.assert_array_equal(again.values, array.values)


def test_M05_nested_metadata_comes_back(tmp_path):
    record = {"source": {"Ünï": {"ages": [0, 1, {"open": 90}], "none": None}}, "x": 0.1 + 0.2,
              "flags": [True, False], "empty": {}, "long": "é" * 10_000}  # fmt: skip
    save(tmp_path / "record.nc", {"a": xr.Dataset({"x": ("i", [1.0])})}, record)
    groups, back = load(tmp_path / "record.nc")
    assert {k: back[k] for k in record} == record and groups["a"]["x"].item() == 1.0


def test_M06_disk_full(own_run, tmp_path, monkeypatch):
    path = tmp_path / "fit.nc"
    own_run.fit.save(path)
    before = snapshot(tmp_path)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("imps.posterior.storage.to_disk", full)
    with pytest.raises(SaveFailedError, match="SAVE_FAILED  fit.nc .*No space left") as failed:
        own_run.fit.save(path)
    assert isinstance(failed.value, imps.ImpsError) and isinstance(failed.value, OSError)
    assert snapshot(tmp_path) == before
    monkeypatch.undo()
    np.testing.assert_array_equal(imps.load_fit(path).latents(), own_run.fit.latents())


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes to stand for a disk")
def test_M06_a_disk_that_really_has_no_room(own_run, tmp_path):
    """Past this size the system refuses to write, as it does on a full disk."""
    import resource

    path = tmp_path / "fit.nc"
    own_run.fit.save(path)
    before, limits = snapshot(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(SaveFailedError, match="SAVE_FAILED  fit.nc .*File too large"):
            own_run.fit.save(path)
        with pytest.raises(SaveFailedError, match="SAVE_FAILED  account.nc"):
            imps.fit(own_run.fit.model, seed=1, draws=100, keep=tmp_path / "c", progress=False)
        with pytest.raises(OSError, match="File too large"):
            write_project(tmp_path / "project")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.glob("*project*")) and not list(tmp_path.glob("c/.*"))
    assert {k: v for k, v in snapshot(tmp_path).items() if not k.startswith("c/")} == before
    np.testing.assert_array_equal(imps.load_fit(path).latents(), own_run.fit.latents())


def test_M07_folder_with_an_awkward_name(tmp_path):
    settings = write_project(tmp_path / "Ünï code (v2)")
    assert check_project(settings).passed and check_project(settings.parent).passed


def test_M07_run_in_a_folder_with_an_awkward_name(own_run):
    assert own_run.folder.name == "Ünï rësults (v2)" and "Ünï code" in str(own_run.folder)
    assert (own_run.folder / "manifest.json").is_file()
    assert (own_run.folder / "report.html").stat().st_size > 10_000


def test_M08_run_of_another_release(own_run, tmp_path, monkeypatch):
    again = imps.load_run(own_run.folder)  # of this release: it loads
    assert again.case.title == own_run.case.title
    pd.testing.assert_frame_equal(again.attribution.groups(), own_run.attribution.groups())
    monkeypatch.setattr("imps.posterior.storage.FORMAT", 99)
    monkeypatch.setattr("imps.posterior.fitted.__version__", "9.8.7")
    own_run.fit.save(tmp_path / "fit.nc")
    monkeypatch.undo()
    for both in ("9\\.8\\.7", re.escape(imps.__version__)):
        with pytest.raises(RunVersionError, match=f"RUN_VERSION  fit.nc .*{both}"):
            imps.load_fit(tmp_path / "fit.nc")
    manifest = (own_run.folder / "manifest.json").read_text(encoding="utf-8")
    (tmp_path / "manifest.json").write_text(
        manifest.replace('"format": 1', '"format": 99').replace(
            f'"imps": "{imps.__version__}"', '"imps": "9.8.7"'
        )
    )
    with pytest.raises(RunVersionError, match=r"RUN_VERSION  manifest.json .*9\.8\.7"):
        imps.rerun(tmp_path / "manifest.json")


# Rules that hold for every row


def test_R2_same_hash_in_every_container(tmp_path):
    rows = population(range(2005, 2010))
    frame = pd.DataFrame(rows)
    frame.to_excel(tmp_path / "p.xlsx", index=False)
    frame.to_parquet(tmp_path / "p.parquet", index=False)
    hashes = {
        silent(data, "population").content_hash
        for data in (
            write(tmp_path, rows),
            tmp_path / "p.xlsx",
            tmp_path / "p.parquet",
            frame,
            frame.sample(frac=1, random_state=1),
        )
    }
    assert len(hashes) == 1


def test_R2_one_changed_cell_changes_the_hash(tmp_path, stock):
    other = write(tmp_path, change(population(), CELL, population=1), "b.csv")
    assert accepted(other, "population").content_hash != accepted(stock, "population").content_hash


def test_R5_files_and_frames_are_not_changed(tmp_path):
    frame = pd.DataFrame(with_totals(population()), index=[f"r{i}" for i in range(12)])
    before = frame.copy(deep=True)
    read_table(frame, "population")
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("values", "code"),
    [({"population": "*"}, "CODE_UNKNOWN"), ({"population": "12q"}, "NUMBER_UNREADABLE"),
     ({"age": "Oct-14"}, "AGE_LOOKS_LIKE_DATE"), ({"sex": "1"}, "SEX_CODES"),
     ({"year": "02"}, "YEAR_TWO_DIGITS"), ({"population": -999}, "NEGATIVE_COUNT")],
)  # fmt: skip
def test_R6_data_frames_give_the_same_codes_with_index_labels(tmp_path, values, code):
    rows = change(population(), {"sex": "male", "age": "1"}, **values)
    _, from_file = inspect_table(write(tmp_path, rows), "population")
    labels = [f"cell {i}" for i in range(len(rows))]
    _, from_frame = inspect_table(pd.DataFrame(rows, index=labels), "population")
    assert from_file.codes == from_frame.codes
    finding = from_frame.of(code)[0]
    assert finding.rows == ("cell 1",) and from_file.of(code)[0].rows == (3,)
    assert "index label cell 1" in str(finding)


def test_all_faults_of_all_files_are_reported_together(project):
    data = project.parent / "data"
    for name, old, new in (("births", ",male,", ",1,"), ("deaths", ",0,", ",Oct-14,")):
        file = data / f"{name}.csv"
        file.write_text(file.read_text().replace(old, new, 1))
    settings_with(project, "seed = 1 ", 'seed = "1" ')
    _, log = inspect_settings(project)
    assert log.codes == ("SEED_BAD",)
    settings_with(project, 'seed = "1" ', "seed = 1 ")
    report = check_project(project)
    assert {"SEX_CODES", "AGE_LOOKS_LIKE_DATE"} <= set(report.log.codes)


def test_twenty_places_are_shown_and_then_a_total(tmp_path):
    rows = change(population(ages=(*map(str, range(40)), "40+")), {}, population="12q")
    message = refused(write(tmp_path, rows), "population", "NUMBER_UNREADABLE", row=21)
    assert "82 rows affected" in message and "and 62 more" in message
    assert unicodedata.is_normalized("NFC", message)
