"""Readers of official tables: cells, containers, whole tables, and generated tables."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import time
import zipfile

import hypothesis.strategies as st
import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from input_tables import (
    FLOW,
    INTERNAL_WORDS,
    MID,
    accepted,
    asylum,
    births,
    change,
    deaths,
    figure,
    population,
    read_back,
    refused,
    row_of,
    silent,
    survey,
    the,
    warned,
    write,
    write_text,
)

from imps.errors import InputError, LabelError
from imps.project.between import check_between
from imps.reading.ages import classify
from imps.reading.findings import ASK, CODES, CONVERT, OUTCOMES, REJECT, SHOWN, WARN
from imps.reading.grid import cell_text, number_text
from imps.reading.kinds import SCHEMAS, schema
from imps.reading.labels import OPEN, age_label, ages_for, read_age, read_period, read_sex
from imps.reading.numbers import read_number
from imps.reading.options import PERIODS, ReadOptions
from imps.reading.table import content_hash, escape_formula, inspect_table, read_table, table_text

SECONDS_FOR_100_000_ROWS = 2.0
GENERATED = {"messy": 800, "frames": 500, "faulty": 900, "order": 200, "text": 300}
assert sum(GENERATED.values()) >= 2_000
GENERATE = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "derandomize": True,
    "database": None,
}


# Cells


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0.0), ("-12", -12.0), ("12.50", 12.5), ("+7", 7.0), (".5", 0.5),
     ("1,234,567.8", 1234567.8), ("1 234 567", 1234567.0), ("[p]", None),
     ("12 [r] [note 1]", 12.0)],
)  # fmt: skip
def test_numbers(text, value):
    assert read_number(text).value == value


@pytest.mark.parametrize(
    "text",
    ["1,23", "12,34,567", "1,234 567", "1_000", "0x10", "١٢", "１２", "1e", "1.2.3", "--1", "12 34",
     "#DIV/0!", "3/4", "1234,", "=1+1", "5 persons"],
)  # fmt: skip
def test_texts_that_are_no_numbers(text):
    assert read_number(text).value is None


@pytest.mark.parametrize(
    ("text", "value"), [("1.234", 1234.0), ("1.234,5", 1234.5), ("0,5", 0.5), ("1 234,5", 1234.5)]
)
def test_decimal_comma(text, value):
    assert read_number(text, decimal=",").value == value


def test_a_comma_is_not_guessed_where_it_may_mark_decimals():
    assert read_number("1,234", comma_groups=False).code == "DECIMAL_MARK"
    assert read_number("1,234", comma_groups=False, decimal=".").value == 1234


def test_declared_suffix():
    assert read_number("12q", flags={"q": "queried"}) == (12.0, "NUMBER_FLAG", "queried", "")


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_every_float_reads_back(value):
    assert read_number(number_text(value)).value == value


@given(st.integers(-(10**14), 10**14))
def test_every_integer_reads_back_with_and_without_groups(value):
    assert read_number(str(value)).value == value
    assert read_number(f"{value:,}").value == value


@given(st.integers(0, 119), st.integers(1, 40))
def test_every_band_reads_back(first, width):
    band = (first, min(first + width, 121))
    assert read_age(age_label(band)).value == band
    assert read_age(age_label((first, OPEN))).value == (first, OPEN)


def test_bands_that_differ_by_sex():
    pensioners, working = read_age("60/65+").value, read_age("45-59/64").value
    assert ages_for("male", working) == (45, 65) and ages_for("female", working) == (45, 60)
    assert ages_for("male", pensioners) == (65, OPEN)
    assert ages_for("female", pensioners) == (60, OPEN)


@pytest.mark.parametrize("text", ["5-4", "x", "90-", "--", "10-14-19", "Aged"])
def test_texts_that_are_no_ages(text):
    assert read_age(text).value is None


@pytest.mark.parametrize(
    ("text", "kind", "year"),
    [("2011", "year", 2011), ("2011.0", "year", 2011), ("YE Dec 2011", "calendar-year", 2011),
     ("Year ending March 1999", "year-ending-march", 1999), ("YE Jun 99", "mid-year", 1999),
     ("mid-2011 to mid-2012", "mid-year", 2012), ("2011-03-27", "date", 2011),
     ("2011Q1", "quarter", 2011), ("Jan 2011", "month", 2011)],
)  # fmt: skip
def test_periods(text, kind, year):
    moment = read_period(text).value
    assert (moment.kind, moment.year) == (kind, year)


@pytest.mark.parametrize(
    "text", ["2011Q5", "2011M13", "31 June 2011", "YE Feb 2011", "99999", "0000"]
)
def test_texts_that_are_no_periods(text):
    assert read_period(text).value is None


def test_sexes():
    assert read_sex("Boys").value == "male" and read_sex("women").value == "female"
    assert read_sex("other").code == "LABEL_UNKNOWN" and read_sex("9").code == "SEX_CODES"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (np.nan, ""), (pd.NA, ""), (pd.NaT, ""), (True, "TRUE"), (np.int64(5), "5"),
     (5.0, "5"), (0.1, "0.1"), (1e-7, "0.0000001"), (dt.date(2011, 6, 30), "2011-06-30"),
     (dt.datetime(2011, 6, 30, 12), "2011-06-30"), ("NA", "NA")],
)  # fmt: skip
def test_typed_cells_as_text(value, text):
    assert cell_text(value) == text


# Bands


def test_bands_of_a_table():
    assert classify([(0, 5), (5, OPEN)]) == classify([(5, OPEN), (0, 5)])
    nested = classify([(0, 1), (1, 5), (0, 5), (5, OPEN)])
    assert nested.nested == {(0, 5): [(0, 1), (1, 5)]}
    assert classify([(15, 20), (18, 25)]).overlaps == (((15, 20), (18, 25)),)
    assert classify([(0, 5), (10, 15)]).gaps == ((5, 10),)


# Containers


def test_a_workbook_is_not_unpacked_beyond_the_bounds(tmp_path):
    book = openpyxl.Workbook()
    book.active["XFD1048576"] = 1
    book.active["A1"] = "year"
    book.save(tmp_path / "far.xlsx")
    refused(tmp_path / "far.xlsx", "population", "TOO_LARGE")


def test_a_workbook_that_unpacks_to_too_much(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as parts:
        block = b"0" * 10_000_000
        with parts.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
            for _ in range(41):
                part.write(block)
    refused(tmp_path / "bomb.xlsx", "population", "TOO_LARGE")


def test_too_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("imps.reading.files.MAX_ROWS", 5)
    refused(write(tmp_path, population()), "population", "TOO_LARGE")


def test_too_many_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("imps.reading.files.MAX_BYTES", 50)
    refused(write(tmp_path, population()), "population", "TOO_LARGE")


@pytest.mark.parametrize("name", ["p.xlsx", "p.parquet"])
def test_a_damaged_file(tmp_path, name):
    refused(write_text(tmp_path, b"PK\x03\x04 nothing", name), "population", "FILE_NOT_READABLE")
    refused(write_text(tmp_path, b"PAR1 nothing PAR1", name), "population", "FILE_NOT_READABLE")


def test_an_address_is_not_fetched():
    refused_log = inspect_table("https://example.org/p.csv", "population")[1]
    assert "nothing is ever fetched" in str(the(refused_log, "FILE_NOT_READABLE", REJECT))


def test_unknown_ending(tmp_path):
    refused(write_text(tmp_path, "x", "p.docx"), "population", "FILE_KIND_UNKNOWN")


def test_unbalanced_quotes_name_the_row(tmp_path):
    text = 'year,sex,age,population\n2011,male,0,1\n2011,"male,1,2\n2011,male,2+,3\n'
    refused(write_text(tmp_path, text), "population", "QUOTES_UNBALANCED", row=3)


def test_formulas_with_a_saved_result_are_read(tmp_path):
    rows = population()
    book = openpyxl.Workbook()
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append(list(row.values()))
    plain, calculated = tmp_path / "plain.xlsx", tmp_path / "formula.xlsx"
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(calculated, "w") as new:
        for part in old.namelist():
            content = old.read(part)
            if part.endswith("sheet1.xml"):
                content = content.replace(b'<c r="D2" t="n"><v>', b'<c r="D2" t="n"><f>1+1</f><v>')
                assert b"<f>" in content
            new.writestr(part, content)
    assert silent(calculated, "population").content_hash == silent(plain, "population").content_hash


def test_lists_in_cells(tmp_path):
    frame = pd.DataFrame(change(population(), {}, population=[1, 2]))
    refused(frame, "population", "CELL_NOT_PLAIN", column="population")


def test_columns_with_levels():
    frame = pd.DataFrame({("a", "b"): [1]})
    refused(frame, "population", "COLUMN_MISSING")


def test_nullable_and_categorical_columns(tmp_path):
    rows = population()
    frame = pd.DataFrame(rows).astype({"sex": "category", "population": "Int64"})
    plain = silent(write(tmp_path, rows), "population")
    assert silent(frame, "population").content_hash == plain.content_hash
    frame.loc[0, "population"] = pd.NA
    table = warned(frame, "population", "CELLS_MISSING", row=0)
    assert table.frame["population_missing"].tolist().count("empty") == 1


# Whole tables


def test_the_canonical_frames(tmp_path):
    assert list(silent(write(tmp_path, population()), "population").frame) == [
        "year", "date", "sex", "age", "age_group", "population", "population_missing",
        "population_flag",
    ]  # fmt: skip
    flows = silent(write(tmp_path, survey()), "survey_flows", **FLOW)
    assert list(flows.frame) == [
        "year", "period", "flow", "sex", "age", "age_group", "estimate", "standard_error",
        "estimate_missing", "estimate_flag",
    ]  # fmt: skip
    assert flows.metadata["unit"] == "persons" and flows.metadata["period"] == "mid-year"
    admin = silent(write(tmp_path, asylum()), "administrative_flows", **FLOW)
    assert list(admin.frame)[:5] == ["source", "year", "period", "flow", "count"]


def test_a_population_of_several_vintages(tmp_path):
    rows = [{"vintage": v, **r} for v in ("census", "rolled forward") for r in population()]
    table = silent(write(tmp_path, rows), "population")
    assert set(table.frame["vintage"]) == {"census", "rolled forward"}
    chosen = accepted(write(tmp_path, rows), "population", vintage="census")
    assert set(chosen.frame["vintage"]) == {"census"}


def test_half_widths_become_standard_errors(tmp_path):
    rows = [{("half_width_95" if k == "standard_error" else k): v for k, v in r.items()}
            for r in survey()]  # fmt: skip
    table = accepted(write(tmp_path, rows), "survey_flows", **FLOW)
    assert table.frame["standard_error"].iloc[0] == pytest.approx(40 / 1.959963984540054)
    assert table.log.count("SE_DERIVED") == 12
    read_back(table, tmp_path / "clean.csv")


def test_unit_in_the_header(tmp_path):
    rows = [{("estimate_thousands" if k == "estimate" else k): v for k, v in r.items()}
            for r in survey()]  # fmt: skip
    table = accepted(write(tmp_path, rows), "survey_flows", **MID)
    assert figure(table, flow="immigration", sex="female", age=0) == 421_000
    refused(tmp_path / "population_2011.csv", "survey_flows", "UNIT_MIXED", unit="persons", **MID)


def test_units_of_columns_that_differ(tmp_path):
    rows = [{("standard_error_thousands" if k == "standard_error" else k): v
             for k, v in r.items()} for r in survey()]  # fmt: skip
    path = write(tmp_path, rows)
    message = refused(path, "survey_flows", "UNIT_MIXED", **MID)
    assert "thousands in 'standard_error'" in message
    refused(path, "survey_flows", "UNIT_MIXED", unit="persons", **MID)


def test_what_is_no_table():
    with pytest.raises(LabelError, match="a path or a pandas DataFrame, not a dict"):
        read_table({}, "population")


def test_digest_of_the_file(tmp_path):
    path = write(tmp_path, population())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert accepted(path, "population").file_hash == digest


def test_bare_years_of_flows_are_asked_about(tmp_path):
    refused(write(tmp_path, births()), "births", "PERIOD_AMBIGUOUS", outcome=ASK, row=2)


def test_last_age_without_a_plus_sign_is_asked_about(tmp_path):
    path = write(tmp_path, population(ages=("0", "1", "2")))
    refused(path, "population", "OPEN_AGE_NEEDED", outcome=ASK, row=4, column="age", text="2")
    assert accepted(path, "population", open_age=2).open_age == 2


def test_a_band_across_the_open_age_is_refused(tmp_path):
    path = write(tmp_path, population(ages=("0-79", "80-89", "90+")))
    refused(path, "population", "OPEN_AGE_CHANGES", text="80-89", open_age=85)


def test_a_missing_part_makes_a_sum_missing(tmp_path):
    rows = change(population(ages=("0-84", "85-89", "90+")), {"age": "90+", "sex": "male"},
                  population="[c]")  # fmt: skip
    table = accepted(write(tmp_path, rows), "population", open_age=85)
    assert np.isnan(figure(table, sex="male", age=85))
    assert "confidential" in set(table.frame["population_missing"])
    assert figure(table, sex="female", age=85) == 2 * 5200 + 30 + 2 * (2011 % 7)


def test_a_total_with_a_missing_part_is_not_called_checked(tmp_path):
    rows = change(population(), {"age": "1", "sex": "male"}, population="[c]")
    total = [{"year": 2011, "sex": "male", "age": "All ages", "population": 99}]
    table = accepted(write(tmp_path, rows + total), "population")
    assert "could not be checked" in str(the(table.log, "TOTAL_AS_CHECK", CONVERT))


def test_unknown_kind_and_options(tmp_path):
    path = write(tmp_path, population())
    with pytest.raises(LabelError, match="Did you mean 'population'"):
        read_table(path, "populaton")
    with pytest.raises(InputError, match=r"SETTING_UNKNOWN.*'sheets'.*Did you mean 'sheet'"):
        read_table(path, "population", sheets="x")
    with pytest.raises(InputError, match="SETTING_RANGE"):
        read_table(path, "population", unit="dozens")


def test_faults_of_one_kind_stand_together_and_name_every_row(tmp_path):
    rows = change(population(), {"age": "1"}, population="x?")
    rows = change(rows, {"age": "0"}, age="Oct-14")
    _, log = inspect_table(write(tmp_path, rows), "population")
    assert {f.code for f in log.faults} == {"CODE_UNKNOWN", "AGE_LOOKS_LIKE_DATE"}
    assert log.of("AGE_LOOKS_LIKE_DATE")[0].rows == (2, 5)


def test_control_characters_do_not_reach_the_terminal(tmp_path):
    rows = change(population(), {"age": "1"}, age="\x1b[31mred\x07")
    _, log = inspect_table(write(tmp_path, rows), "population")
    assert "\x1b" not in str(log) and "\\x1b[31mred" in str(log)


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_texts_like_formulas_are_written_safely(tmp_path, start):
    rows = [{"citizenship": f'{start}HYPERLINK("x")', **r} for r in survey()]
    table = silent(write(tmp_path, rows), "survey_flows", **FLOW)
    assert set(table.frame["citizenship"]) == {f'{start}HYPERLINK("x")'}
    lines = table_text(table).splitlines()[1:]
    assert all(f"\"'{start}HYPERLINK" in line for line in lines)
    assert escape_formula("-3") == "'-3" and escape_formula("plain") == "plain"


def test_a_table_prints_in_a_few_lines(tmp_path):
    text = str(accepted(write(tmp_path, population()), "population"))
    assert len(text.splitlines()) <= 10 and "persons" in text


def test_a_legitimate_thousandfold_change_can_be_declared(tmp_path):
    rows = change(births(range(2005, 2010)), {"year": 2007}, births=315_000)
    path = write(tmp_path, rows)
    refused(path, "births", "UNIT_JUMP", row=row_of(rows, {"year": 2007}), **MID)
    accepted(path, "births", jumps="accepted", **MID)


def test_codes_and_options_are_documented():
    assert set(CODES.values()) <= set(OUTCOMES)
    for name, field in ReadOptions.model_fields.items():
        assert (field.description or "").endswith("."), name


def big_table(rows=100_000):
    ages = [*map(str, range(90)), "90+"]
    frame = pd.DataFrame(
        [(v, y, s, a) for v in "abc" for y in range(1902, 2086) for s in ("male", "female")
         for a in ages],
        columns=["vintage", "year", "sex", "age"],
    )  # fmt: skip
    frame["population"] = 5_000 + np.arange(len(frame)) * 7 % 4_001
    whole = rows // (2 * len(ages)) * 2 * len(ages)
    return frame.head(whole + 2 * len(ages))


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_R3_100_000_rows_are_checked_in_two_seconds(tmp_path, ending):
    frame, path = big_table(), tmp_path / f"big.{ending}"
    assert len(frame) >= 100_000
    {"csv": frame.to_csv, "xlsx": frame.to_excel, "parquet": frame.to_parquet}[ending](
        path, index=False
    )
    inspect_table(write(tmp_path, population()), "population")  # imports are not timed
    times = []
    for _ in range(3):
        start = time.process_time()
        silent_table, log = inspect_table(path, "population")
        times.append(time.process_time() - start)
        assert silent_table is not None and not log.findings
        if times[-1] < SECONDS_FOR_100_000_ROWS:
            break
    assert min(times) < SECONDS_FOR_100_000_ROWS


# Generated tables

AWKWARD = [
    "", " ", "-", "–", "*", "c", "[c]", "[x]", "..", ":", "[note 1]", "NA", "nan", "inf", "-inf",
    "1e400", "TRUE", "0", "1", "-1", "-999", "9999999", "12.5", "1,234", "1 234", "1234p", "12q",
    "−12", "(1,200)", "3.4%", "'12", "1.2E+05", "<5", "1 to 4", "518", "5200", "5.2", "١٢",
    "male", "female", "Males ", "F", "T", "Persons", "x", "All ages", "0-4", "5-9", "10–14",
    "15-19", "18-24", "85+", "90 and over", "Under 1", "Oct-14", "45-59/64", "60/65+", "130",
    "2010", "2011", "2012", "2011/12", "Mid-2011", "30 June 2011", "27 March 2011", "YE Jun 12",
    "02", "37437", "2011-06-30", "immigration", "emigration", "net", "asylum_seekers",
    "E92000001", "W92000004", "E12000001", "K04000001", "=1+1", '"', "a\nb", "\u00a0", "é",
    "Source: ONS", "Notes", "\ud7ff", "\x07", "thousands", "persons", "mid-year", "calendar-year",
    "suppressed", "provisional", "revised", "1" * 400, "unknown", "Y_OPEN", "999", "Median age",
    "2011-", "2011+", "2011-Q3", "2011-Q4", "1001 bep", ": c", "#made", "hundreds", "not stated",
]  # fmt: skip
CELL = st.sampled_from(AWKWARD) | st.text(max_size=8) | st.integers(-10, 10_000).map(str)
KIND = st.sampled_from(sorted(SCHEMAS))
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "unit": st.sampled_from(["persons", "thousands", "'000s", "millions"]),
        "columns": st.sampled_from([{"x": "age"}, {"{year}": "population"}, {"T": ""}]),
        "age_codes": st.just({"999": "all ages", "x": "not stated"}),
        "not_stated": st.sampled_from(["apportion", "leave-out"]),
        "year_mark": st.sampled_from(["-", "+"]),
        "level": st.sampled_from([0.9, 0.95]),
        "bounds": st.sampled_from(["two-sided", "one-sided", "log"]),
        "rounding_kind": st.just("random"),
        "comment": st.just("#"),
        "header_rows": st.integers(2, 3),
        "period": st.sampled_from(PERIODS),
        "split_year": st.sampled_from(PERIODS),
        "century": st.sampled_from([1900, 2000]),
        "open_age": st.integers(1, 100),
        "missing": st.sampled_from([{"*": "suppressed"}, {"-": "nil"}]),
        "sex_codes": st.just({"1": "male", "2": "female"}),
        "layout": st.sampled_from(["long", "wide", "transposed"]),
        "header_row": st.integers(1, 4),
        "footer_row": st.integers(2, 9),
        "sign": st.just("emigration-negative"),
        "zero_no_contacts": st.just("unobserved"),
        "standard_error_missing": st.just("unobserved"),
        "cv_unit": st.sampled_from(["percent", "fraction"]),
        "fractional_counts": st.just(True),
        "sex_ratio": st.just(1.05),
        "areas": st.just(["E92000001", "W92000004"]),
        "area_totals": st.just("check"),
        "rounding": st.sampled_from([0.0, 10.0, 1000.0]),
        "vintage": st.sampled_from(["a", "revised"]),
        "delimiter": st.sampled_from([",", ";", "blanks"]),
        "decimal": st.sampled_from([".", ","]),
        "encoding": st.sampled_from(["utf-8", "cp1252", "utf-16"]),
    },
)


@st.composite
def messy_tables(draw):
    """A kind, a header mostly of its columns, and cells that are often awkward."""
    kind = draw(KIND)
    known = schema(kind)
    names = list(known.required)
    names += draw(st.lists(st.sampled_from(known.known), max_size=3))
    if draw(st.integers(0, 4)) == 0:
        names.append(draw(CELL))
    if draw(st.integers(0, 9)) == 0:
        names.pop(draw(st.integers(0, len(names) - 1)))
    width = len(names)
    cells = st.lists(CELL, min_size=width, max_size=width)
    return kind, names, draw(st.lists(cells, max_size=6)), draw(OPTIONS)


def check_contract(table, log, kind):
    """What holds for every reading: a table or faults, and messages that a user can follow."""
    assert (table is None) == (not log.passed)
    for finding in log.findings:
        message = str(finding)
        assert CODES[finding.code] and finding.outcome in OUTCOMES
        assert len(finding.rows) <= SHOWN and finding.total >= 1
        assert not finding.fatal or finding.next_step
        for word in INTERNAL_WORDS[:-1]:
            assert word not in message.replace("data frame", "")
    if table is not None:
        values = table.frame[table.value]
        assert not np.isinf(values).any()
        assert (values.isna() == (table.frame[schema(kind).missing_column] != "")).all()


def csv_text(names, rows):
    out = io.StringIO()
    pd.DataFrame(rows, columns=pd.Index(names, dtype=object)).to_csv(
        out, index=False, lineterminator="\n"
    )
    return out.getvalue()


@given(messy_tables())
@settings(max_examples=GENERATED["messy"], **GENERATE)
def test_messy_files_never_raise(tmp_path, case):
    kind, names, rows, options = case
    path = tmp_path / "messy.csv"
    path.write_bytes(csv_text(names, rows).encode("utf-8", "replace"))
    check_contract(*inspect_table(path, kind, options), kind)


OBJECTS = (
    CELL | st.none() | st.floats() | st.booleans() | st.integers(-(10**20), 10**20)
    | st.dates() | st.datetimes() | st.decimals() | st.just(pd.NA) | st.just(pd.NaT)
    | st.just(np.float32(1.5)) | st.lists(st.integers(), max_size=2) | st.binary(max_size=3)
)  # fmt: skip


@st.composite
def messy_frames(draw):
    kind = draw(KIND)
    names = [*schema(kind).required, *draw(st.lists(st.sampled_from(schema(kind).known),
                                                    max_size=2))]  # fmt: skip
    size = draw(st.integers(0, 5))
    columns = [draw(st.lists(OBJECTS, min_size=size, max_size=size)) for _ in names]
    return kind, names, columns, draw(OPTIONS)


@given(messy_frames())
@settings(max_examples=GENERATED["frames"], **GENERATE)
def test_messy_frames_never_raise(case):
    kind, names, columns, options = case
    frame = pd.DataFrame({i: pd.Series(c, dtype=object) for i, c in enumerate(columns)})
    frame.columns = pd.Index(names, dtype=object)
    check_contract(*inspect_table(frame, kind, options), kind)


GOOD = {
    "population": (population((2010, 2011)), {}),
    "deaths": (deaths((2010, 2011)), MID),
    "births": (births(range(2008, 2012)), MID),
    "survey_flows": (survey((2010, 2011)), FLOW),
    "administrative_flows": (asylum(range(2008, 2012)), FLOW),
}


@st.composite
def faulty_tables(draw):
    """A good table with up to three cells replaced, a row dropped or repeated."""
    kind = draw(st.sampled_from(sorted(GOOD)))
    rows, options = GOOD[kind]
    rows = [dict(row) for row in rows]
    for _ in range(draw(st.integers(0, 3))):
        row = draw(st.integers(0, len(rows) - 1))
        rows[row][draw(st.sampled_from(list(rows[0])))] = draw(CELL)
    if draw(st.booleans()):
        rows.append(dict(draw(st.sampled_from(rows))))
    if draw(st.booleans()):
        rows.pop(draw(st.integers(0, len(rows) - 1)))
    return kind, rows, options | draw(OPTIONS)


@given(faulty_tables())
@settings(max_examples=GENERATED["faulty"], **GENERATE)
def test_tables_with_a_few_faults(tmp_path, case):
    kind, rows, options = case
    path = tmp_path / "faulty.csv"
    path.write_bytes(csv_text(list(rows[0]), [list(r.values()) for r in rows]).encode())
    table, log = inspect_table(path, kind, options)
    check_contract(table, log, kind)
    if table is not None:
        read_back(table, tmp_path / "clean.csv")
        assert_rule_R1(table, log, [str(row[table.value]) for row in rows], options)


LEFT_OUT = ("TOTAL_AS_CHECK", "ROWS_SKIPPED", "BLANK_ROWS", "VINTAGE_CHOSEN")
SUMMED = ("OPEN_AGE_SUMMED", "AREAS_SUMMED", "BIRTHS_SPLIT")


def assert_rule_R1(table, log, texts, options):
    """Every row is there or counted as left out; only a written zero is a zero."""
    if not any(log.of(code) for code in SUMMED):
        assert len(table.frame) + sum(map(log.count, LEFT_OUT)) == len(texts), str(log)
    missing = options.get("missing", {})
    zeros = sum(read_number(t, decimal=options.get("decimal"), missing=missing).value == 0
                for t in texts)  # fmt: skip
    assert (table.frame[table.value] == 0).sum() <= zeros


@given(st.sampled_from(sorted(GOOD)), st.randoms(use_true_random=False))
@settings(max_examples=GENERATED["order"], **GENERATE)
def test_the_order_of_rows_does_not_matter(case, random):
    rows, options = GOOD[case]
    frame = pd.DataFrame(rows)
    plain, _ = inspect_table(frame, case, options)
    mixed = list(range(len(rows)))
    random.shuffle(mixed)
    turned, _ = inspect_table(frame.iloc[mixed], case, options)
    assert plain is not None and turned is not None
    pd.testing.assert_frame_equal(plain.frame, turned.frame)
    assert plain.content_hash == turned.content_hash == content_hash(turned.frame, case)


@given(st.text(max_size=200) | st.binary(max_size=200), KIND,
       st.sampled_from(["csv", "xlsx", "parquet"]))  # fmt: skip
@settings(max_examples=GENERATED["text"], **GENERATE)
def test_any_content_at_all(tmp_path, content, kind, ending):
    path = tmp_path / f"any.{ending}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    check_contract(*inspect_table(path, kind), kind)


def test_warnings_are_one_per_kind(tmp_path):
    rows = change(population(), {"sex": "male"}, population="12.5")
    assert len(accepted(write(tmp_path, rows), "population").log.of("FRACTIONAL_COUNT")) == 1
    assert CODES["FRACTIONAL_COUNT"] == WARN


def test_points_that_group_thousands_are_not_guessed(tmp_path):
    rows = change(population(), {"sex": "male", "age": "0"}, population="1.234")
    text = "year;sex;age;population\n" + "".join(
        ";".join(str(v) for v in row.values()) + "\n" for row in rows
    )
    path = write_text(tmp_path, text)
    refused(path, "population", "DECIMAL_MARK", outcome=ASK, row=2, text="1.234", delimiter=";")
    table = accepted(path, "population", delimiter=";", decimal=",")
    assert figure(table, sex="male", age=0) == 1234
    table = warned(path, "population", "FRACTIONAL_COUNT", delimiter=";", decimal=".")
    assert figure(table, sex="male", age=0) == 1.234


def test_flows_in_persons_with_decimals_are_warned_about(tmp_path):
    rows = change(survey(), {"sex": "male", "age_group": "0-14"}, estimate="1.234")
    warned(write(tmp_path, rows), "survey_flows", "FRACTIONAL_COUNT", row=2, text="1.234", **FLOW)


def test_areas_that_were_not_chosen_are_counted(tmp_path):
    rows = [{"area": a, **r} for a in ("E92000001", "S92000003", "W92000004") for r in population()]
    table = accepted(write(tmp_path, rows), "population", areas=["E92000001", "W92000004"])
    assert table.log.count("ROWS_SKIPPED") == 6 and table.log.count("AREAS_SUMMED") == 12
    assert figure(table, sex="male", age=0) == 2 * rows[0]["population"]


def test_a_file_of_many_areas_is_parsed_once_however_many_are_asked_for(tmp_path, monkeypatch):
    from imps.reading import rows as reading

    parsed = []

    def told(*arguments):
        parsed.append(1)
        return read_grid(*arguments)

    read_grid = reading.read_grid
    monkeypatch.setattr(reading, "read_grid", told)
    codes = [f"E0600000{i}" for i in range(1, 6)]
    path = tmp_path / "areas.csv"

    def frame(more=0):
        return pd.DataFrame([
            {"year": 2011, "area": area, "sex": sex, "age": age, "population": 100 * i + more}
            for i, area in enumerate(codes, 1) for sex in ("male", "female")
            for age in ("0", "1", "2+")
        ])  # fmt: skip

    frame().to_csv(path, index=False)
    said = {"unit": "persons", "vintage": "x"}

    def asked(*areas, **more):
        return read_table(path, "population", areas=list(areas), **said, **more)

    alone = [asked(code) for code in codes]
    assert parsed == [1]
    for i, table in enumerate(alone, 1):
        assert set(table.frame["population"]) == {100.0 * i}
        assert table.log.count("ROWS_SKIPPED") == 24 and table.options.areas == (codes[i - 1],)
    two = asked(*codes[:2])
    assert set(two.frame["population"]) == {300.0} and parsed == [1]
    assert not inspect_table(path, "population", {"areas": ["E06000009"], **said})[1].passed
    assert asked(codes[0], header_row=1) and parsed == [1, 1], "other options are read anew"
    frame(more=7).to_csv(path, index=False)
    assert set(asked(codes[0]).frame["population"]) == {107.0}
    assert parsed == [1, 1, 1], "a file that was written again is read again"


def test_several_areas_are_asked_about(tmp_path):
    rows = [{"area": a, **r} for a in ("E92000001", "W92000004") for r in population()]
    log = check_between([accepted(write(tmp_path, rows), "population")])
    assert "areas = ['E92000001', 'W92000004']" in str(the(log, "AREAS_NEEDED", ASK))


def test_the_same_fault_in_many_years_is_one_finding_with_a_total(tmp_path):
    rows = population(range(1990, 2012), ages=("0-4", "10-14", "15+"))
    _, log = inspect_table(write(tmp_path, rows), "population")
    (finding,) = log.of("AGE_GAP")
    assert finding.total == 44 and len(finding.rows) == SHOWN and "and 24 more" in str(finding)
