"""Advice in words, carried out by a program: it ends in a right reading, never in a loop.

`test_advice` follows what names a setting. Here a message says what to do with the file: the
step is done to the letter, at the rows and with the texts that the message names, and the table
is read again, on and on until nothing is refused.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openpyxl
import pandas as pd
import pytest
from input_tables import FLOW, MID, asylum, births, change, population
from test_advice import (
    ALL,
    BORN,
    CELL,
    EXAMPLES,
    MET,
    ONE,
    ONE_OUT,
    PEOPLE,
    PROJECTS,
    SETTING,
    SURVEY,
    as_text,
    beginning,
    follow,
    people,
    total,
    workbook,
)

from imps.reading.findings import CATALOGUE, Finding
from imps.reading.table import inspect_table

Rows = list[dict[str, Any]]
Act = Callable[[Any, Finding], Any]


@dataclass(frozen=True)
class Acted:
    """A file that draws advice in words, and a program that does what it says.

    Attributes
    ----------
    rows : rows or text of the file
    kind : str
    act : function of the rows or text and the finding
        The file after the step; options if it returns a mapping; a name if it is renamed.
    right : persons of the right reading
    options : what is declared beforehand
    name : of the file
    """

    rows: Any
    kind: str
    act: Act
    right: float
    options: dict[str, Any] = field(default_factory=dict)
    name: str = "table.csv"


def at(found: Finding) -> list[int]:
    """Places in the rows of a list of the spreadsheet rows that a message names."""
    return [int(str(row).partition(",")[0]) - 2 for row in found.rows]


def cell(column: str, value: Any) -> Act:
    """The cells named get a value, or one from the text that was there."""

    def act(rows: Rows, found: Finding) -> Rows:
        assert found.rows, found
        out = [dict(r) for r in rows]
        for i in at(found):
            out[i][column] = value(out[i][column]) if callable(value) else value
        return out

    return act


def without_rows(rows: Rows, found: Finding) -> Rows:
    assert found.rows, found
    return [r for i, r in enumerate(rows) if i not in at(found)]


def lines(change: Callable[[str], str]) -> Act:
    """The lines named are written anew."""

    def act(text: str, found: Finding) -> str:
        return "\n".join(
            change(line) if i + 1 in found.rows else line
            for i, line in enumerate(text.split("\n"))
        )  # fmt: skip

    return act


def declared(**options: Any) -> Act:
    return lambda rows, found: options


def add(*rows: dict[str, Any]) -> Act:
    return lambda given, found: [*given, *rows]


TEXT = as_text(PEOPLE)
TWO = population((2010, 2011))
MEANT = "Did you mean 'male'?"
THREE = births((2010, 2011, 2012))
BANDS = population(ages=("0-4", "5-9", "10+"))
BARE = [{k: v for k, v in r.items() if k != "standard_error"} for r in SURVEY]
BOUNDS = [{**r, "lower_95": r["estimate"] - 80, "upper_95": r["estimate"] + 80} for r in BARE]
TOGETHER = [r for r in PEOPLE if r["age"] != "2+"] + [
    {"year": 2011, "sex": "persons", "age": "2+",
     "population": total([r for r in PEOPLE if r["age"] == "2+"])}]  # fmt: skip
ALL_AGES = [
    {"year": 2011, "sex": s, "age": "all ages",
     "population": total([r for r in PEOPLE if r["sex"] == s]) - 500}
    for s in ("male", "female")
]  # fmt: skip

SERIES = population(range(2003, 2012))
ASYLUM = asylum((2005, 2006, 2007, 2008))
OLD = [{**r, "population": 900} if r["age"] == "85" else r
       for r in population((2011,), [str(a) for a in range(86)])]  # fmt: skip


def book(sheets: dict[str, Rows], hidden: int = 0) -> bytes:
    """A workbook, with a row that is not shown."""
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for line in [list(rows[0]), *(list(r.values()) for r in rows)] if rows else []:
            sheet.append(line)
        if hidden:
            sheet.row_dimensions[hidden].hidden = True
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


ACTED: dict[str, Acted] = {
    # the file
    "FILE_KIND_UNKNOWN": Acted(TEXT, "population", lambda t, f: "table.csv:", ALL,
                               name="table.dat"),
    "FILE_NOT_READABLE.not_workbook": Acted(TEXT, "population", lambda t, f: "table.csv:", ALL,
                                            name="table.xlsx"),
    "NOT_TEXT": Acted(workbook(PEOPLE), "population", lambda t, f: "table.xlsx:", ALL),
    "NOT_TEXT.nulls": Acted(TEXT.replace("male,1,", "male,1\0,", 1), "population",
                            lambda t, f: t.replace("\0", ""), ALL),
    "QUOTES_UNBALANCED": Acted(TEXT.replace("\n2011", '\n"2011', 1), "population",
                               lambda t, f: t.replace('"2011', '"2011"'), ALL),
    "ROW_WIDTH": Acted(TEXT.replace(f",{CELL}\n", "\n", 1), "population",
                       lines(lambda line: f"{line},{CELL}"), ALL),
    "LAST_LINE.short": Acted(TEXT.rstrip()[:-1], "population",
                             lines(lambda line: TEXT.rstrip().split("\n")[-1]), ALL),
    "HEADER_QUOTED": Acted('"year,sex,age,population"\n' + TEXT.partition("\n")[2], "population",
                           lambda t, f: t.replace('"', ""), ALL),
    "SHEET_UNKNOWN": Acted(workbook(PEOPLE), "population", declared(sheet="Data"), ALL,
                           {"sheet": "Figures"}, "table.xlsx"),
    "HEADER_ROW.declared": Acted("Population of the office\n\n" + TEXT, "population",
                                 declared(header_row=3), ALL, {"header_row": 99}),
    # columns
    "COLUMN_MISSING": Acted([{**{k: v for k, v in r.items() if k != "sex"}, "gndr": r["sex"]}
                             for r in PEOPLE], "population",
                            declared(columns={"gndr": "sex"}), ALL),
    "DUPLICATE_COLUMN": Acted([{**r, "count": r["population"]} for r in PEOPLE], "population",
                              declared(columns={"count": ""}), ALL),
    "COLUMN_DECLARED": Acted(PEOPLE, "population", declared(columns={}), ALL,
                             {"columns": {"POPN": "population"}}),
    "COLUMN_DECLARED.unknown": Acted([{"POP" if k == "population" else k: v for k, v in r.items()}
                                      for r in PEOPLE], "population",
                                     declared(columns={"POP": "population"}), ALL,
                                     {"columns": {"POP": "people"}}),
    "COLUMN_MISSING.error": Acted([{k: v for k, v in r.items() if k != "standard_error"}
                                   for r in SURVEY], "survey_flows",
                                  lambda rows, f: [{**r, "half_width_95": 80} for r in rows],
                                  MET, FLOW),
    # numbers
    "NOT_FINITE": Acted(change(PEOPLE, ONE, population="inf"), "population",
                        cell("population", CELL), ALL),
    "CELL_BANDED": Acted(change(PEOPLE, ONE, population="<5"), "population",
                         lambda r, f: {"missing": {f.texts[0]: "suppressed"}}, ALL - CELL),
    "CELL_NOT_PLAIN": Acted(pd.DataFrame(PEOPLE).astype(object).assign(
        population=[[1, 2], *[r["population"] for r in PEOPLE[1:]]]), "population",
        lambda frame, f: frame.assign(population=[r["population"] for r in PEOPLE]), ALL),
    "UNIT_MIXED": Acted([{**r, "unit": "thousands" if i else "persons"}
                         for i, r in enumerate(PEOPLE)], "population",
                        lambda rows, f: [{**r, "unit": "persons"} for r in rows], ALL),
    "OUTLIER_SUSPECT": Acted(change(PEOPLE, ONE, population=9_999_999), "population",
                             declared(missing={"9999999": "missing"}), ALL - CELL),
    # labels
    "LABEL_EMPTY": Acted(change(PEOPLE, ONE, sex=""), "population", cell("sex", "male"), ALL),
    "LABEL_UNKNOWN": Acted(change(PEOPLE, ONE, sex="mlae"), "population", cell("sex", "male"),
                           ALL),
    "AGE_LOOKS_LIKE_DATE": Acted([{**r, "age": {"5-9": "05-Sep"}.get(r["age"], r["age"])}
                                  for r in BANDS], "population", cell("age", "5-9"),
                                 total(BANDS)),
    "AGE_UNREADABLE": Acted(change(PEOPLE, ONE, age="newborn"), "population", cell("age", "0"),
                            ALL),
    "AGE_RANGE": Acted(change(PEOPLE, ONE, age="250"), "population", cell("age", "0"), ALL),
    "AGE_OVERLAP": Acted([{**r, "age": {"5-9": "4-9"}.get(r["age"], r["age"])} for r in BANDS],
                         "population",
                         lambda rows, f: [{**r, "age": {"4-9": "5-9"}.get(r["age"], r["age"])}
                                          for r in rows], total(BANDS)),
    "AGE_GAP": Acted([r for r in PEOPLE if r["age"] != "1"], "population",
                     add(*(r for r in PEOPLE if r["age"] == "1")), ALL),
    "OPEN_AGE_CHANGES.across": Acted(
        population((2010,), ("0-4", "5-9", "10+")) + population((2011,), ("0-4", "5-14", "15+")),
        "population", declared(open_age=5),
        total(population((2010,), ("0-4", "5-9", "10+")))
        + total(population((2011,), ("0-4", "5-14", "15+"))), {"open_age": 10}),
    "SEX_NEEDED": Acted(TOGETHER, "population",
                        lambda rows, f: PEOPLE, ALL),
    "CELLS_ABSENT": Acted(TWO[:-1], "population", add({**TWO[-1], "population": ""}),
                          total(TWO[:-1])),
    "DUPLICATE_KEY": Acted([*PEOPLE, {**PEOPLE[0], "population": 77}], "population",
                           lambda rows, f: rows[:-1], ALL),
    "DUPLICATE_KEY.vintages": Acted(
        [*PEOPLE, *({**r, "population": r["population"] + 9} for r in PEOPLE)], "population",
        lambda rows, f: [{"vintage": "old" if i < len(PEOPLE) else "new", **r}
                         for i, r in enumerate(rows)], 2 * ALL + 9 * len(PEOPLE)),
    "TOTAL_MISMATCH": Acted([*PEOPLE, *ALL_AGES], "population",
                            lambda rows, f: [{**r, "population": r["population"]
                                              + 500 * (r["age"] == "all ages")} for r in rows],
                            ALL),
    # time
    "PERIOD_UNREADABLE": Acted(change(PEOPLE, ONE, year="about 2011"), "population",
                               cell("year", "2011"), ALL),
    "PERIOD_MIXED": Acted([{**r, "year": f"Year ending {'June' if r['sex'] == 'male' else 'March'}"
                                         f" {r['year']}"} for r in BORN], "births",
                          lambda rows, f: [{**r, "year": f"Year ending June {r['year'][-4:]}"}
                                           for r in rows], total(BORN, "births")),
    "PERIOD_GAP": Acted([r for r in THREE if r["year"] != 2011], "births",
                        add(*(r for r in THREE if r["year"] == 2011)), total(THREE, "births"),
                        MID),
    "PARTS_OF_YEARS.none": Acted(
        [{**r, "year": f"2011 Q{q}"} for q in (1, 2, 3) for r in BORN], "births",
        add(*({**r, "year": "2011 Q4"} for r in BORN)), 4 * total(BORN, "births"),
        {"period": "calendar-year"}),
    "PARTS_OF_YEARS.overlap": Acted(
        [*BORN, *({**r, "year": f"2011 Q{q}"} for q in (1, 2, 3, 4) for r in BORN)], "births",
        lambda rows, f: [r for r in rows if "Q" not in str(r["year"])], total(BORN, "births"),
        {"period": "calendar-year"}),
    # flows and their errors
    "SE_ZERO": Acted(change(SURVEY, ONE_OUT, standard_error=0), "survey_flows",
                     cell("standard_error", 40), MET, FLOW),
    "SE_NEGATIVE": Acted(change(SURVEY, ONE_OUT, standard_error=-40), "survey_flows",
                         cell("standard_error", 40), MET, FLOW),
    "SE_CI_DISAGREE.variance": Acted(
        [{**r, "standard_error": r["standard_error"] ** 2,
          "half_width_95": 1.96 * r["standard_error"]} for r in SURVEY], "survey_flows",
        declared(columns={"standard_error": "variance"}), MET, FLOW),
    "SE_CI_DISAGREE.cv": Acted(
        [{**r, "standard_error": r["standard_error"] / r["estimate"],
          "half_width_95": 1.96 * r["standard_error"]} for r in SURVEY], "survey_flows",
        declared(columns={"standard_error": "cv"}), MET, FLOW),
    "SE_IMPLAUSIBLE.variance": Acted(
        [{**r, "estimate": 100 * r["estimate"], "standard_error": (100 * r["standard_error"]) ** 2}
         for r in SURVEY],
        "survey_flows", declared(columns={"standard_error": "variance"}), 100 * MET, FLOW),
    "SE_IMPLAUSIBLE.cv": Acted(
        [{**r, "estimate": 9000 + r["estimate"], "standard_error": 0.1} for r in SURVEY],
        "survey_flows", declared(columns={"standard_error": "cv"}), MET + 9000 * len(SURVEY),
        FLOW),
    "INTERVAL_BAD.crossed": Acted(
        [{**r, "lower_95": r["upper_95"], "upper_95": r["lower_95"]} for r in BOUNDS],
        "survey_flows",
        lambda rows, f: [{**r, "lower_95": r["upper_95"], "upper_95": r["lower_95"]}
                         for r in rows], MET, FLOW),
    "INTERVAL_BAD.outside": Acted(
        change(BOUNDS, ONE_OUT, estimate=9), "survey_flows",
        cell("estimate", next(r["estimate"] for r in SURVEY
                              if all(r[k] == v for k, v in ONE_OUT.items()))), MET, FLOW),
    "INTERVAL_BAD.level": Acted(
        [{**{k: v for k, v in r.items() if "_95" not in k}, "lower_95": r["estimate"] - 80,
          "upper_90": r["estimate"] + 80} for r in BOUNDS], "survey_flows",
        lambda rows, f: [{k.replace("_90", "_95"): v for k, v in r.items()} for r in rows],
        MET, FLOW),
    "BALANCE": Acted(
        [*SURVEY, *({**r, "flow": "net", "estimate": 1} for r in SURVEY
                    if r["flow"] == "immigration")], "survey_flows",
        lambda rows, f: [{**r, "estimate": 20 if r["flow"] == "net" else r["estimate"]}
                         for r in rows], MET, FLOW),
    "FILE_NOT_READABLE.not_parquet": Acted(TEXT, "population", lambda t, f: "table.csv:", ALL,
                                           name="table.parquet"),
    "FILE_NOT_READABLE.damaged": Acted(workbook(PEOPLE)[:900], "population",
                                       lambda t, f: workbook(PEOPLE), ALL, {"sheet": "Data"},
                                       "table.xlsx"),
    "FILE_EMPTY.bytes": Acted(b"", "population", lambda t, f: TEXT, ALL),
    "FILE_EMPTY.blank": Acted("\n\n", "population", lambda t, f: TEXT, ALL),
    "NO_DATA_ROWS": Acted(TEXT.partition("\n")[0] + "\n", "population", lambda t, f: TEXT, ALL),
    "FILE_EMPTY.columns": Acted(pd.DataFrame(), "population",
                                lambda t, f: pd.DataFrame(PEOPLE), ALL),
    "COLUMN_MISSING.levels": Acted(
        pd.DataFrame(PEOPLE).set_axis(pd.MultiIndex.from_product([["A"], list(PEOPLE[0])]), axis=1),
        "population", lambda t, f: t.set_axis(list(PEOPLE[0]), axis=1), ALL),
    "PRECISION_LOST": Acted(change(PEOPLE, ONE, population="1.2E+02"), "population",
                            cell("population", CELL), ALL),
    "CELLS_MISSING": Acted(change(PEOPLE, ONE, population=""), "population",
                           cell("population", CELL), ALL),
    "SEXES_IDENTICAL": Acted(
        [{**r, "sex": s} for s in ("male", "female") for r in PEOPLE if r["sex"] == "male"],
        "population", lambda rows, f: PEOPLE, ALL),
    "PERIOD_UNREADABLE.serial": Acted(change(PEOPLE, ONE, year="40724"), "population",
                                      cell("year", "2011"), ALL),
    "PERIOD_UNREADABLE.stock": Acted([{**r, "year": "Year ending June 2011"} for r in PEOPLE],
                                     "population",
                                     lambda rows, f: [{**r, "year": "30 June 2011"} for r in rows],
                                     ALL),
    "PERIOD_UNREADABLE.date": Acted([{**r, "year": "30 June 2011"} for r in BORN], "births",
                                    lambda rows, f: [{**r, "year": "Year ending June 2011"}
                                                     for r in rows], total(BORN, "births"), MID),
    "METADATA_MIXED": Acted(
        [{**r, "geography": "Aland" if r["sex"] == "male" else "Bland"} for r in PEOPLE],
        "population", lambda rows, f: [{**r, "geography": "Aland"} for r in rows], ALL),
    "SE_IMPLAUSIBLE.small": Acted(change(SURVEY, ONE_OUT, standard_error=0.01), "survey_flows",
                                  cell("standard_error", 40), MET, FLOW),
    "SE_IMPLAUSIBLE.large": Acted(change(SURVEY, ONE_OUT, standard_error=90_000), "survey_flows",
                                  cell("standard_error", 40), MET, FLOW),
    "FILE_EMPTY.sheet": Acted(book({"Empty": [], "Data": PEOPLE}), "population",
                              declared(sheet="Data"), ALL, {"sheet": "Empty"}, "table.xlsx"),
    "FILE_NOT_READABLE.workbook": Acted(
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "population",
        lambda t, f: book({"Data": PEOPLE}), ALL, {}, "table.xlsx"),
    "BREAK_FLAGGED": Acted(
        [{**r, "obs_flag": "b" if r["year"] == 2011 else ""} for r in TWO], "population",
        lambda rows, f: [r for r in rows if r["year"] == 2010],
        total([r for r in TWO if r["year"] == 2010])),
    "NOT_STATED.nobody": Acted(
        [*change(PEOPLE, {"sex": "male"}, population=""),
         {"year": 2011, "sex": "male", "age": "unknown", "population": 40}], "population",
        lambda rows, f: [*PEOPLE, rows[-1]], ALL + 40, {"not_stated": "apportion"}),
    "HIDDEN_ROWS": Acted(book({"Data": PEOPLE}, hidden=4), "population",
                         lambda t, f: book({"Data": PEOPLE}), ALL, {}, "table.xlsx"),
    "CELL_HAS_NO_VALUE.formula": Acted(
        book({"Data": change(PEOPLE, ONE, population="=1+1")}), "population",
        lambda t, f: book({"Data": PEOPLE}), ALL, {}, "table.xlsx"),
    "COLUMN_IGNORED": Acted([{**r, "comment": "x"} for r in PEOPLE], "population",
                            lambda rows, f: PEOPLE, ALL),
    "ZERO_SUSPECT": Acted(change(SERIES, {**ONE, "year": 2008}, population=0), "population",
                          cell("population", ""), total(SERIES) - next(
                              r["population"] for r in SERIES if r["year"] == 2008)),
    "SOURCE_EMPTY": Acted([*ASYLUM, *({**r, "source": "irish_flows", "count": "[x]"}
                                      for r in ASYLUM)], "administrative_flows",
                          lambda rows, f: ASYLUM, total(ASYLUM, "count"), FLOW),
    "LABEL_UNKNOWN.vintage": Acted([{"vintage": "first", **r} for r in PEOPLE], "population",
                                   declared(vintage="first"), ALL, {"vintage": "third"}),
    "OPEN_AGE_NEEDED.closed": Acted(OLD, "population", add(
        *({"year": 2011, "sex": s, "age": "86+", "population": 700} for s in ("male", "female"))),
        total(OLD) + 1400),
    "PARTS_OF_YEARS.short": Acted(
        [{**r, "year": f"{r['year']} Q{q}"} for r in births((2010, 2011)) for q in (1, 2, 3, 4)
         if (r["year"], q) != (2011, 4)], "births",
        add(*({**r, "year": "2011 Q4"} for r in births((2011,)))),
        4 * total(births((2010, 2011)), "births"), {"period": "calendar-year"}),
    "PERIOD_UNREADABLE.header": Acted(
        [{"sex": s, "age": a, "2011": 100, "2012": 110, "2013q": 120} for s in ("male", "female")
         for a in ("0", "1", "2+")], "population",
        lambda rows, f: [{"2013" if k == "2013q" else k: v for k, v in r.items()} for r in rows],
        6 * 330, {"layout": "wide"}),
    "PERIOD_MIXED.declared": Acted(
        [{**r, "period": "mid-year" if r["sex"] == "male" else "calendar-year"} for r in BORN],
        "births", lambda rows, f: [{**r, "period": "mid-year"} for r in rows],
        total(BORN, "births")),
    "CELLS_ABSENT.area": Acted([{"area": "E92000001", **r} for r in PEOPLE], "population",
                               declared(areas=["E92000001"]), ALL, {"areas": ["W92000004"]}),
    "ACCOUNT_RESIDUAL": Acted(
        [{"year": 2002, "opening": 5000, "births": 60, "deaths": 50, "net_migration": 10,
          "closing": 5032}], "components", lambda rows, f: [{**r, "other": 12} for r in rows],
        5032),
    "SHARE_RANGE": Acted([{"source": "visitor_switchers", "year": 2011, "share": 3.4}], "shares",
                         cell("share", "3.4%"), 0.034),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTED)
def test_advice_in_words_carried_out_ends_in_a_right_reading(name, tmp_path):
    acted, row = ACTED[name], CATALOGUE[name]
    data, options, path = acted.rows, dict(acted.options), tmp_path / acted.name

    def written(data: Any) -> Any:
        if isinstance(data, pd.DataFrame):
            return data
        text = as_text(data) if isinstance(data, list) else data
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    _, log = inspect_table(written(data), acted.kind, options)
    drawn = [f for f in log.findings if f.code == row.code]
    found = next((f for f in drawn if f.next_step.startswith((beginning(row), MEANT))), None)
    assert found is not None, f"the example does not draw {name}: {log}"
    done = acted.act(data, found)
    if isinstance(done, dict):
        options = {k: v for k, v in (options | done).items() if v is not None}
    elif isinstance(done, str) and done.endswith(":"):
        path = tmp_path / done[:-1]
    else:
        data = done
    _, log = inspect_table(written(data), acted.kind, options)
    again = [f for f in log.findings if f.code == row.code and f.next_step == found.next_step]
    assert not again, f"the advice leads back: {again[0]}"
    walk = follow(written(data), acted.kind, options, {})
    assert walk.table is not None, walk.last
    assert people(walk.table) == pytest.approx(acted.right, abs=0.51)


def test_every_advice_that_names_a_setting_or_a_pattern_is_followed():
    """Patterns such as `columns = {"HEADER" = "year"}` are filled in by those who know."""
    said = {n: row.next_step.replace("{{", "{").replace("}}", "}") for n, row in CATALOGUE.items()}
    named = {name for name, advice in said.items() if SETTING.search(advice)}
    lost = named - {*EXAMPLES, *PROJECTS, *ACTED}
    assert not lost, sorted(lost)
