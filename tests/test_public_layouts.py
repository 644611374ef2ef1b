"""Files in the layouts of official statistics, with invented figures, and the way to read them.

Every file is read by following the advice of the messages to the letter, from no option at all;
where a message leaves a choice to the user, the test makes it.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from input_tables import (
    FLOW,
    MID,
    accepted,
    births,
    change,
    converted,
    deaths,
    edit_settings,
    edit_table,
    figure,
    follow,
    population,
    read_back,
    refused,
    silent,
    survey,
    the,
    warned,
    write,
    write_text,
)

from imps.project.between import check_between
from imps.project.check import check_project
from imps.project.template import write_project
from imps.reading.findings import ACCEPT, ASK, CONVERT, REJECT, WARN
from imps.reading.options import unit_of

FILES = Path(__file__).parent / "data" / "public_layouts"


def sums(table):
    """Persons by year and sex."""
    return table.frame.groupby(["year", "sex"], observed=True)[table.value].sum()


# The files of the public layouts


@pytest.mark.parametrize(("mark", "youngest"), [("+", 1058.5), ("-", 1054.5)])
def test_hmd_text_with_a_year_given_twice(mark, youngest):
    table, way = follow(FILES / "hmd_population.txt", "population", year_mark=mark,
                        unit="persons")  # fmt: skip
    assert way == ["DELIMITER", "HEADER_ROW", "LAYOUT_WIDE", "YEAR_TWICE", "UNIT_NEEDED"]
    assert figure(table, year=2002, sex="male", age=0) == youngest
    assert table.years == [2001, 2002, 2003] and table.open_age == 3
    assert table.log.count("TOTAL_AS_CHECK") == 12


def test_hmd_text_without_a_plus_at_the_last_age():
    table, _ = follow(FILES / "hmd_plain.txt", "population", unit="persons")
    assert figure(table, year=2003, sex="female", age=3) == 1011.25
    ended, _ = follow(FILES / "hmd_110.txt", "stocks", {"source": "HMD"}, unit="persons")
    assert ended.open_age == 110


def test_eurostat_tsv_with_a_packed_key_and_flags_in_cells():
    table, way = follow(FILES / "demo_pjan.tsv", "population")
    assert way == ["LAYOUT_WIDE", "NOT_STATED"] and table.metadata["unit"] == "persons"
    assert sums(table)[2012, "female"] == 4073 and table.open_age == 3
    flags = table.frame.set_index(["year", "age"])["population_flag"]
    assert set(flags[2011]) == {"break in series; estimated; provisional"}
    assert the(table.log, "BREAK_FLAGGED", WARN).problem.startswith("a break")
    assert set(table.frame["area"]) == {"XX"}


def test_eurostat_sdmx_csv():
    table, _ = follow(FILES / "demo_pjan_sdmx.csv", "population")
    assert figure(table, year=2011, sex="male", age=3) == 1082  # one of three not stated
    assert set(table.frame["population_flag"][table.frame["year"] == 2011]) == {"break in series"}
    assert sums(table).sum() == 4 * 3 + 4060 + 4064 + 4260 + 4264


@pytest.mark.parametrize(("way", "people"), [("apportion", 148), ("leave-out", 142)])
def test_people_of_unknown_age_in_the_total_alone(way, people):
    path = FILES / "age_not_stated.csv"
    assert "rounding =" not in refused(path, "population", "TOTAL_MISMATCH")
    table, _ = follow(path, "population", not_stated=way)
    assert sums(table).sum() == people
    code = "NOT_STATED_APPORTIONED" if way == "apportion" else "NOT_STATED_LEFT_OUT"
    assert "6 people of unknown age (4.05%)" in str(table.log.of(code)[0])


def test_census_bureau_codes_and_years_in_headers():
    codes = {"age_codes": {"999": "all ages", "100": "2+"}}  # an extract: ages 2 to 99 are gone
    table, way = follow(FILES / "nc_est.csv", "population", **codes)
    assert way == ["LAYOUT_WIDE", "SEX_CODES", "AGE_RANGE"][: len(way)]
    assert sums(table)[2010, "male"] == 4_048_192 and sums(table)[2011, "female"] == 3_922_964


def test_statistics_canada_bands_at_any_nesting_are_checks(tmp_path):
    table = accepted(FILES / "statcan.csv", "population")
    assert table.open_age == 10 and len(table.frame) == 44 and sums(table)[2016, "male"] == 11_385
    assert table.log.count("ROWS_SKIPPED") == 6  # median ages
    text = (FILES / "statcan.csv").read_text("utf-8-sig").replace('"units"', '"thousands"')
    assert sums(accepted(write_text(tmp_path, text), "population"))[2016, "male"] == 11_385_000
    wrong = re.sub(r'(2016.*Males","0 to 6 years".*?v\d+","[0-9.]+",")(\d+)', r"\g<1>9\g<2>", text)
    assert wrong != text
    assert "band" in refused(write_text(tmp_path, wrong), "population", "TOTAL_MISMATCH")


def test_the_finest_partition_is_the_data():
    table = accepted(FILES / "nested_bands.csv", "population")
    assert sums(table)[2011, "male"] == 83 == 10 + 11 + 12 + 50
    assert list(table.frame["age_group"].unique()) == ["0", "1", "2", "3+"]


def test_infoshare_with_stacked_headers_and_notes():
    table, way = follow(FILES / "infoshare.csv", "population")
    assert way == ["HEADER_ROW", "FOOTER_ROWS", "LAYOUT_WIDE"]
    message = refused(FILES / "infoshare.csv", "population", "FOOTER_ROWS", outcome=ASK,
                      header_row=3, header_rows=2)  # fmt: skip
    assert "footer_row = 7" in message
    assert figure(table, year=1992, sex="female", age=3) == 951


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "case")


def test_a_scalar_factor_and_a_geo_are_read_as_unit_and_area(project):
    for name in ("population", "survey_flows", "administrative_flows", "births", "deaths"):
        edit_table(project, name, lambda f: f.drop(columns="unit", errors="ignore").assign(
            SCALAR_FACTOR="thousands", GEO="Ontario"))  # fmt: skip
    edit_settings(project, ('unit = "persons"\n', "")) if "unit = " in project.read_text() else None
    report = check_project(project)
    people = next(t for t in report.tables if t.kind == "population")
    assert people.log.count("UNIT_CONVERTED") and not report.log.of("AREA_UNKNOWN")
    edit_table(project, "births", lambda f: f.assign(GEO="Canada"))
    assert "Canada" in str(the(check_project(project).log, "AREA_UNKNOWN", REJECT))


# Layouts beyond these files


def test_a_table_on_its_side(tmp_path):
    text = "year,2010,2010,2011,2011\nsex,male,female,male,female\nbirths,10,9,12,11\n"
    table, way = follow(write_text(tmp_path, text), "births", period="mid-year")
    assert way == ["LAYOUT_TRANSPOSED", "PERIOD_AMBIGUOUS"]
    assert figure(table, year=2011, sex="female") == 11


def test_two_figures_a_year_in_headers(tmp_path):
    frame = pd.DataFrame(survey((2011, 2012))).pivot_table(
        ["estimate", "standard_error"], ["flow", "sex", "age_group"], "year")  # fmt: skip
    frame.columns = [f"{'EST' if v == 'estimate' else 'SE'}_{y}" for v, y in frame.columns]
    path = tmp_path / "wide.csv"
    frame.reset_index().to_csv(path, index=False)
    columns = {"EST_{year}": "estimate", "SE_{year}": "standard_error"}
    table = accepted(path, "survey_flows", columns=columns, fractional_counts=True, **FLOW)
    long = silent(write(tmp_path, survey((2011, 2012))), "survey_flows", **FLOW)
    assert table.content_hash == long.content_hash


def test_repeated_names_comments_and_a_quoted_header(tmp_path):
    plain = write(tmp_path, population()).read_text()
    head, *rows = plain.splitlines()
    again = "\n".join([head, *rows[:3], head, *rows[3:], ""])
    same = silent(write_text(tmp_path, plain, "plain.csv"), "population").content_hash
    table = converted(write_text(tmp_path, again), "population", "ROWS_SKIPPED", 1)
    assert table.content_hash == same
    table, way = follow(write_text(tmp_path, f"# made, by hand\n{plain}#end\n"), "population")
    assert way == ["COMMENT_LINES"] and table.content_hash == same
    message = refused(write_text(tmp_path, plain.replace(head, f'"{head}"')), "population",
                      "HEADER_QUOTED")  # fmt: skip
    assert "Remove the quotation marks" in message


def test_null_characters_hidden_rows_and_a_last_line(tmp_path):
    text = write(tmp_path, population()).read_text()
    lines = text.splitlines()
    lines[2] = lines[2][:7] + "\0" + lines[2][7:]
    message = refused(write_text(tmp_path, "\n".join(lines)), "population", "NOT_TEXT", row=3)
    assert "character 8" in message
    table = accepted(write_text(tmp_path, text.rstrip()), "population")
    assert the(table.log, "LAST_LINE", ACCEPT).rows == (7,)
    warned(write_text(tmp_path, text.rstrip()[:-1]), "population", "LAST_LINE", row=7, text="522")
    book = openpyxl.Workbook()
    for row in [list(population()[0]), *(list(r.values()) for r in population())]:
        book.active.append(row)
    book.active.row_dimensions[4].hidden = True
    book.save(tmp_path / "hidden.xlsx")
    table = warned(tmp_path / "hidden.xlsx", "population", "HIDDEN_ROWS", row=4)
    assert len(table.frame) == 6


def test_declared_columns_are_there_and_known(tmp_path):
    rows = [{("POP" if k == "population" else k): v for k, v in r.items()} for r in population()]
    path = write(tmp_path, [{**r, "note": "x"} for r in rows])
    message = refused(path, "population", "COLUMN_MISSING")
    assert 'columns = {"HEADER" = "population"}' in message
    table = accepted(path, "population", columns={"POP": "population", "note": ""})
    assert not table.log.of("COLUMN_IGNORED") and figure(table, sex="male", age=0) == 5205
    refused(path, "population", "COLUMN_DECLARED", text="POPN", columns={"POPN": "population"})
    refused(path, "population", "COLUMN_DECLARED", text="people", columns={"POP": "people"})


def test_two_vintages_in_one_file_list_the_cells_that_differ(tmp_path):
    rows = [{"vintage": v, **r} for v in ("mid-2011", "revised") for r in deaths()]
    path = write(tmp_path, change(rows, {"vintage": "revised", "sex": "male", "age": "1"},
                                  deaths=99))  # fmt: skip
    message = refused(path, "deaths", "VINTAGE_NEEDED", outcome=ASK, **MID)
    assert "1 of 6 such cells differ (2011 male 1)" in message
    table, _ = follow(path, "deaths", period="mid-year")
    assert figure(table, sex="male", age=1) == 99
    bare = [{k: v for k, v in r.items() if k != "vintage"} for r in rows]
    assert "all 6 cells given more than once are equal" in refused(
        write(tmp_path, bare), "deaths", "DUPLICATE_KEY", **MID)  # fmt: skip


# Declarations


@pytest.mark.parametrize(
    ("words", "unit"),
    [("'000s", "thousands"), ("in thousands", "thousands"), ("Million persons", "millions"),
     ("hundreds", "hundreds"), ("'000 people", "thousands"), ("NR", "persons"), ("kg", None)],
)  # fmt: skip
def test_units_in_words(words, unit):
    assert unit_of(words) == unit


def test_units_in_titles_headers_and_options(tmp_path):
    text = write(tmp_path, population()).read_text()
    table = accepted(write_text(tmp_path, f"Figures in hundreds\n{text}"), "population",
                     header_row=2)  # fmt: skip
    assert figure(table, sex="male", age=0) == 520_500
    table = accepted(write_text(tmp_path, text.replace("population", "population (millions)")),
                     "population")  # fmt: skip
    assert figure(table, sex="male", age=0) == 5205e6
    assert figure(accepted(write_text(tmp_path, text), "population", unit="'000s"),
                  sex="male", age=0) == 5_205_000  # fmt: skip


def test_not_stated_sexes_and_ages_are_reconciled_to_the_last_person(tmp_path):
    rows = population((2010, 2011))
    unknown = [
        *({"year": y, "sex": s, "age": "not stated", "population": 7} for y in (2010, 2011)
          for s in ("male", "female", "unknown")),
        *({"year": y, "sex": "unknown", "age": a, "population": 11} for y in (2010, 2011)
          for a in ("0", "1", "2+")),
    ]  # fmt: skip
    path = write(tmp_path, [*rows, *unknown])
    people = sum(r["population"] for r in (*rows, *unknown))
    refused(path, "population", "NOT_STATED", outcome=ASK)
    table = accepted(path, "population", not_stated="apportion")
    assert sums(table).sum() == people
    assert np.array_equal(table.frame["population"], np.round(table.frame["population"]))
    assert table.log.count("NOT_STATED_APPORTIONED") == 12
    left = accepted(path, "population", not_stated="leave-out")
    assert sums(left).sum() == sum(r["population"] for r in rows)
    refused(write(tmp_path, rows), "population", "OPTION_UNUSED", text="apportion",
            not_stated="apportion")  # fmt: skip


def test_a_total_far_above_its_parts_is_no_remainder(tmp_path):
    rows = [*population(), *({"year": 2011, "sex": s, "age": "All ages", "population": 30_000}
                             for s in ("male", "female"))]  # fmt: skip
    refused(write(tmp_path, rows), "population", "TOTAL_MISMATCH", not_stated="apportion")


Z = {0.9: 1.6448536269514722, 0.95: 1.959963984540054}


def errors(**made):
    """Survey rows with other measures of their sampling error in place of it."""
    return [
        {**{k: v for k, v in r.items() if k != "standard_error"},
         **{k: f(r["estimate"], r["standard_error"]) for k, f in made.items()}}
        for r in survey()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "options"),
    [
        ({"lower": lambda e, s: e - Z[0.9] * s, "upper": lambda e, s: e + Z[0.9] * s},
         {"level": 0.9}),
        ({"lower_90": lambda e, s: e - Z[0.9] * s, "upper_90": lambda e, s: e + Z[0.9] * s}, {}),
        ({"half_width": lambda e, s: Z[0.9] * s}, {"level": 0.9}),
        ({"half_width_95": lambda e, s: Z[0.95] * s}, {}),
        ({"variance": lambda e, s: s * s}, {}),
        ({"upper": lambda e, s: e + Z[0.9] * s}, {"level": 0.95, "bounds": "one-sided"}),
        ({"upper": lambda e, s: e + Z[0.95] * s}, {"level": 0.95, "bounds": "two-sided"}),
        ({"lower": lambda e, s: e * np.exp(-Z[0.95] * s / e),
          "upper": lambda e, s: e * np.exp(Z[0.95] * s / e)}, {"level": 0.95, "bounds": "log"}),
        ({"se_2": lambda e, s: s}, {"columns": {"se_2": "standard_error"}}),
    ],
)  # fmt: skip
def test_measures_of_sampling_error_become_standard_errors(tmp_path, made, options):
    table = accepted(write(tmp_path, errors(**made)), "survey_flows", **options, **FLOW)
    wanted = accepted(write(tmp_path, survey()), "survey_flows", **FLOW).frame["standard_error"]
    np.testing.assert_allclose(table.frame["standard_error"], wanted, rtol=1e-9)
    read_back(table, tmp_path / "clean.csv")


def test_a_bound_cut_at_zero_says_nothing(tmp_path):
    made = {"lower": lambda e, s: 0, "upper": lambda e, s: e + Z[0.95] * 0.8 * e}
    table = accepted(write(tmp_path, errors(**made)), "survey_flows", level=0.95, **FLOW)
    np.testing.assert_allclose(table.frame["standard_error"], 0.8 * table.frame["estimate"])
    assert table.log.of("SE_DERIVED")[0].problem.startswith("the lower bound is cut at zero")


def test_what_an_interval_means_is_asked(tmp_path):
    both = {"lower": lambda e, s: e - 2 * s, "upper": lambda e, s: e + 2 * s}
    path = write(tmp_path, errors(**both))
    assert "level = " in refused(path, "survey_flows", "INTERVAL_ASKED", outcome=ASK, **FLOW)
    one = write(tmp_path, errors(upper=both["upper"]), "one.csv")
    refused(one, "survey_flows", "INTERVAL_ASKED", outcome=ASK, level=0.9, **FLOW)
    uneven = write(tmp_path, errors(lower=lambda e, s: e / 2, upper=lambda e, s: 2 * e), "log.csv")
    message = refused(uneven, "survey_flows", "INTERVAL_ASKED", outcome=ASK, level=0.9, **FLOW)
    assert 'bounds = "log"' in message
    named = write(tmp_path, errors(lower_90=both["lower"], upper_90=both["upper"]), "named.csv")
    refused(named, "survey_flows", "INTERVAL_BAD", level=0.95, **FLOW)


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [(lambda e, s: s * s, '"standard_error" = "variance"'), (lambda e, s: s / e, '"cv"'),
     (lambda e, s: s * Z[0.95], '"half_width_95"'), (lambda e, s: s * 0.8392, "level = 0.9")],
)  # fmt: skip
def test_wrong_errors_are_named_with_their_cause(tmp_path, wrong, advice):
    made = {"standard_error": lambda e, s: s, "lower": lambda e, s: e - Z[0.95] * s,
            "upper": lambda e, s: e + Z[0.95] * s}  # fmt: skip
    if "level" in advice:  # the interval is one of 90 %
        made |= {"lower": lambda e, s: e - Z[0.9] * s, "upper": lambda e, s: e + Z[0.9] * s}
    else:
        made["standard_error"] = wrong
    message = refused(write(tmp_path, errors(**made)), "survey_flows", "SE_CI_DISAGREE", **FLOW)
    assert advice in message


def test_variances_alone_are_named(tmp_path):
    big = [{**r, "estimate": 100 * r["estimate"], "standard_error": 10_000 * r["estimate"]}
           for r in survey()]  # fmt: skip
    table = warned(write(tmp_path, big), "survey_flows", "SE_IMPLAUSIBLE", **FLOW)
    assert '"standard_error" = "variance"' in str(table.log)


def test_random_rounding_to_base_three_has_its_own_bound(tmp_path):
    rows = change(population(), {}, population=0)
    rows = [{**r, "population": 300 * (i + 1)} for i, r in enumerate(rows)]
    people = {s: sum(r["population"] for r in rows if r["sex"] == s) for s in ("male", "female")}
    totals = [{"year": 2011, "sex": s, "age": "All ages", "population": n + 6}
              for s, n in people.items()]  # fmt: skip
    path = write(tmp_path, [*rows, *totals])
    refused(path, "population", "TOTAL_MISMATCH", rounding=3)
    accepted(path, "population", rounding=3, rounding_kind="random")
    refused(path, "population", "OPTION_UNUSED", rounding_kind="random", not_stated="apportion")


@pytest.mark.parametrize(
    ("kind", "options"),
    [("population", {"age_counted": "at-death"}), ("population", {"period": "mid-year"}),
     ("population", {"cv_unit": "percent"}), ("population", {"sheet": "Data"}),
     ("population", {"century": 2000}), ("population", {"missing": {"*": "suppressed"}}),
     ("population", {"age_codes": {"999": "all ages"}}), ("births", {"sex_ratio": 1.05, **MID}),
     ("population", {"layout": "wide"}), ("survey_flows", {"sign": "emigration-negative", **FLOW}),
     ("births", {"observed": "total", **MID}), ("births", {"open_age": 90, **MID}),
     ("survey_flows", {"level": 0.9, **FLOW}), ("survey_flows", {"flow": "immigration", **FLOW}),
     ("births", {"age_counted": "at-death", **MID})],
)  # fmt: skip
def test_an_option_without_effect_is_refused_by_name(tmp_path, kind, options):
    rows = {"population": population, "births": births, "survey_flows": survey}[kind]()
    name = next(k for k in options if k not in FLOW or kind == "population")
    message = refused(write(tmp_path, rows), kind, "OPTION_UNUSED", column=name, **options)
    assert "Leave it out" in message


@pytest.mark.parametrize("options", [{}, {"open_age": 89}])
def test_a_last_age_that_is_no_open_group(tmp_path, options):
    rows = population(ages=[*map(str, range(90))])
    rows = [{**r, "population": 10_000 - 100 * int(r["age"])} for r in rows]
    message = refused(write(tmp_path, rows), "population", "OPEN_AGE_NEEDED", **options,
                      outcome=REJECT if options else ASK)  # fmt: skip
    assert "90+" in message and "open_age = 89 if" not in message
    open_group = change(rows, {"age": "89"}, population=9_000)
    asked_for = refused(write(tmp_path, open_group), "population", "OPEN_AGE_NEEDED", outcome=ASK)
    assert "open_age = 89" in asked_for


def test_blanks_and_case_in_codes(tmp_path):
    rows = [{"area": " e92000001 ", **r} for r in population()]
    table = accepted(write(tmp_path, rows), "population")
    assert set(table.frame["area"]) == {"E92000001"}
    coded = [{**r, "sex": {"male": "H ", "female": "d"}[r["sex"]]} for r in population()]
    table = accepted(write(tmp_path, coded), "population", sex_codes={"h": "male", "D": "female"})
    assert figure(table, sex="male", age=0) == 5205
    flows = [{"source": "Asylum seekers", "year": 2011, "flow": "immigration", "count": 30}]
    table = accepted(write(tmp_path, flows), "administrative_flows", **FLOW)
    assert set(table.frame["source"]) == {"asylum_seekers"}


def test_a_break_in_the_survey_is_offered_as_an_era(tmp_path):
    rows = change([{**r, "obs_flag": ""} for r in survey((2010, 2011, 2012))], {"year": 2011},
                  obs_flag="b")  # fmt: skip
    table = warned(write(tmp_path, rows), "survey_flows", "BREAK_FLAGGED", **FLOW)
    assert 'survey_eras = "immigration 2011-2012; emigration 2011-2012"' in str(table.log)


def test_every_conversion_of_a_layout_is_logged():
    table = accepted(FILES / "demo_pjan.tsv", "population", layout="wide", not_stated="leave-out")
    assert the(table.log, "PACKED_KEY", CONVERT).total == 12


# Projects


@pytest.mark.parametrize(
    "path", [r"C:\Users\me\births.csv", r"data\births.csv", r"..\x\births.csv"]
)
def test_paths_of_windows_in_settings(project, path):
    edit_settings(project, ('"data/births.csv"', f'"{path}"'))
    assert "forward slashes" in str(check_project(project).log)


@pytest.mark.parametrize(
    ("section", "refused_as"),
    [("[priors.base_level]\nmean = 5.0", "PRIOR_BAD"),
     ("[priors.asylum_seekers]\nsd = 5", "PRIOR_BAD"),
     ('[[account.kinds]]\nname = "crew"\nsd = 5.0', "SETTING_RANGE")],
)  # fmt: skip
def test_a_prior_of_a_share_beyond_all_of_it(project, section, refused_as):
    project.write_text(project.read_text() + "\n" + section + "\n")
    assert the(check_project(project).log, refused_as, REJECT)


@pytest.mark.parametrize(("other", "code"), [("census 2006", "DUPLICATE_KEY"),
                                             ("second", "VINTAGE_NEEDED")])  # fmt: skip
def test_two_versions_of_a_stock_list_the_ages_that_differ(project, other, code):
    people = pd.read_csv(project.parent / "data" / "population.csv", dtype=str)
    again = people[people["year"] == "2006"].assign(vintage=other)
    again.loc[(again["sex"] == "male") & (again["age"] == "7"), "population"] = "1"
    again.to_csv(project.parent / "data" / "again.csv", index=False)
    project.write_text(project.read_text() + '\n[[population]]\nfile = "data/again.csv"\n')
    message = str(check_project(project).log)
    assert code in message and "1 of 182 cells differ (male 7: " in message


# Definitions


def flows_of(*sources, **more):
    return [{"source": s, "year": y, "flow": "immigration", "count": 30 + y % 4 + i, **more}
            for i, s in enumerate(sources) for y in range(2005, 2010)]  # fmt: skip


def test_the_same_people_under_two_names(tmp_path):
    rows = [*flows_of("asylum_seekers"), *flows_of("irish_flows")]
    message = refused(write(tmp_path, rows), "administrative_flows", "COMPONENT_COUNTED_TWICE",
                      **FLOW)  # fmt: skip
    assert "asylum_seekers immigration and irish_flows immigration" in message
    accepted(write(tmp_path, rows), "administrative_flows", jumps="accepted", **FLOW)
    accepted(write(tmp_path, flows_of("asylum_seekers", "x")), "administrative_flows", **FLOW)


def test_who_reports_a_flow_and_from_which_stay_on(tmp_path):
    rows = flows_of("asylum_seekers", reporting_country="Ireland", duration="12 months")
    table = accepted(write(tmp_path, rows), "administrative_flows", basis="applications", **FLOW)
    assert table.metadata["reporting_country"] == "Ireland"
    assert table.metadata["duration"] == "12" and set(table.frame["basis"]) == {"applications"}
    mixed = change(rows, {"year": 2007}, reporting_country="United Kingdom")
    refused(write(tmp_path, mixed), "administrative_flows", "METADATA_MIXED", **FLOW)
    refused(write(tmp_path, rows), "administrative_flows", "METADATA_MIXED", duration=3, **FLOW)
    short = accepted(write(tmp_path, survey(), "s.csv"), "survey_flows", duration=3, **FLOW)
    log = check_between([table, short])
    assert "from a stay of 3 months" in str(the(log, "DEFINITION_MISMATCH", REJECT))


def test_stillbirths_are_no_births(tmp_path):
    path = write(tmp_path, births())
    for words, fault in (("births including stillbirths", True), ("excluding stillbirths", False)):
        log = check_between([accepted(path, "births", definition=words, **MID)])
        assert bool(log.of("DEFINITION_MISMATCH")) == fault
