"""Advice followed to the letter ends in a right reading or in the next true fault, never in a loop.

A message names what to set (`name = value`); `follow` sets exactly that, reads again, and goes on
with whatever is refused or asked next, until nothing is or no further message names a setting.
People are counted on the way: no advice may lose them in silence.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from input_tables import (
    FLOW,
    MID,
    births,
    change,
    deaths,
    edit_settings,
    edit_table,
    population,
    survey,
    write,
)

from imps.project.check import check_project
from imps.project.template import write_project
from imps.reading.findings import CATALOGUE, Finding
from imps.reading.table import Table, inspect_table

VALUE = r"\"[^\"]*\"|'[^']*'|\{(?:[^{}]|\{[a-z_]+\})*\}|\[[^\[\]]*\]|-?\d+(?:\.\d+)?|true|false"
SETTING = re.compile(rf"([a-z_]+(?:\.[a-z_]+)?) = ({VALUE})")
MOST_STEPS = 12


def settings_in(advice: str) -> list[dict[str, Any]]:
    """What a message says may be set: alternatives, each one setting or several joined by "and"."""
    found: list[dict[str, Any]] = []
    end = 0
    for match in SETTING.finditer(advice):
        one = {match[1]: tomllib.loads(f"x = {match[2]}")["x"]}
        joined = found and re.fullmatch(r"\s*(,?\s*and)\s*", advice[end : match.start()])
        if joined:
            found[-1] |= one
        else:
            found.append(one)
        end = match.end()
    for other in re.findall(rf" or ({VALUE})", advice):  # 'Set name = "this" or "that"'
        if found and len(found[-1]) == 1:
            (name,) = found[0]
            found.append({name: tomllib.loads(f"x = {other}")["x"]})
    return found


@dataclass
class Walk:
    """Codes on the way, what was set, and where it ended."""

    codes: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    table: Table | None = None
    last: tuple[Finding, ...] = ()


def follow(data: Any, kind: str, options: dict[str, Any], first: dict[str, Any]) -> Walk:
    """Set what the first message says, then the first thing that each next message says."""
    walk = Walk(options={**options, **first})
    for _ in range(MOST_STEPS):
        walk.table, log = inspect_table(data, kind, walk.options)
        walk.last = log.faults
        if not walk.last:
            return walk
        said = [f.next_step for f in walk.last if "such as" not in f.next_step]  # no examples
        step = next((s for advice in said for s in settings_in(advice)), None)
        walk.codes.append(walk.last[0].code)
        if step is None:
            return walk
        again = all(walk.options.get(name) == value for name, value in step.items())
        assert not again, f"told again to set {step}: {log}"
        walk.options |= step
    raise AssertionError(f"never ends: {walk.codes}")


@dataclass(frozen=True)
class Example:
    """A file that draws a piece of advice.

    Attributes
    ----------
    rows : rows or text of the file
    kind : str
    people : tuple of float
        Sums of the figures, one for each alternative in the order of the message, or one for all.
    options : what is declared beforehand
    ends : codes of the true faults that an alternative may be left with
    """

    rows: Any
    kind: str
    people: tuple[float, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    ends: tuple[str, ...] = ()


def total(rows: list[dict[str, Any]], column: str = "population") -> float:
    return float(sum(float(r[column]) for r in rows))


def as_text(rows: list[dict[str, Any]], above: str = "", below: str = "", mark: str = ",") -> str:
    lines = [mark.join(rows[0]), *(mark.join(str(v) for v in r.values()) for r in rows)]
    return above + "\n".join(lines) + "\n" + below


PEOPLE, SURVEY, BORN, DIED = population(), survey(), births(), deaths()
ALL = total(PEOPLE)
ONE = {"sex": "male", "age": "0"}
CELL = next(r["population"] for r in PEOPLE if r["sex"] == "male" and r["age"] == "0")
YEARS = population((2010, 2011), ("0", "1", "2", "3+"))
MIXED_OPEN = [r for r in population((2010,), ("0", "1", "2+"))] + population(
    (2011,), ("0", "1", "2", "3+")
)
ONE_OUT = {"year": 2011, "flow": "emigration", "sex": "male", "age_group": "0-14"}
MET = total(SURVEY, "estimate")
CELL_OUT = next(r["estimate"] for r in SURVEY if all(r[k] == v for k, v in ONE_OUT.items()))

EXAMPLES: dict[str, Example] = {
    "CELL_HAS_NO_VALUE": Example(change(PEOPLE, ONE, population="#N/A"), "population",
                                 (ALL - CELL,)),
    "DELIMITER": Example(as_text(PEOPLE, mark=";"), "population", (ALL,)),
    "DECIMAL_MARK": Example(
        as_text([{**r, "share": '"0,034"'} for r in
                 [{"source": "visitor_switchers", "year": 2011}]]), "shares", (0.034,),
        ends=("NUMBER_UNREADABLE",)),
    "DECIMAL_MARK.persons": Example(
        [{**r, "population": f"{r['population']:,}".replace(",", ".")} for r in PEOPLE],
        "population", (ALL, ALL, ALL / 1000)),
    "HEADER_ROW": Example(as_text(PEOPLE, above="Population of the office\n\n"), "population",
                          (ALL,)),
    "FOOTER_ROWS": Example(as_text(PEOPLE, below="Source: the office\n"), "population", (ALL,)),
    "LAYOUT_WIDE": Example(
        [{"sex": s, "age": a, "2011": 100, "2012": 110} for s in ("male", "female")
         for a in ("0", "1", "2+")], "population", (1260,)),
    "NUMBER_UNREADABLE": Example(change(PEOPLE, ONE, population=f"{CELL}q"), "population", (ALL,)),
    "FRACTIONAL_COUNT.events": Example(
        change(DIED, ONE, deaths=12.5), "deaths",
        (total(DIED, "deaths") - DIED[0]["deaths"] + 12.5,), MID),
    "UNIT_NEEDED": Example([{**r, "population": r["population"] / 10} for r in PEOPLE],
                           "population", (ALL * 100, ALL / 10)),
    "UNIT_NEEDED.title": Example(
        as_text(PEOPLE, below="Note: all counts in thousands of persons\n"), "population",
        (ALL * 1000, ALL), {"footer_row": 8}),
    "UNIT_NEEDED.flows": Example(SURVEY, "survey_flows", (MET, MET * 1000), MID),
    "UNIT_JUMP.above": Example(
        [{**r, "population": r["population"] * (1000 if r["year"] == 2012 else 1)}
         for r in population((2010, 2011, 2012))], "population",
        (total(population((2010, 2011))) + 1000 * total(population((2012,))),)),
    "UNIT_JUMP.below": Example(
        [{**r, "population": r["population"] // (1000 if r["year"] == 2012 else 1)}
         for r in population((2010, 2011, 2012))], "population",
        (total(population((2010, 2011))) + total(
            [{**r, "population": r["population"] // 1000} for r in population((2012,))]),)),
    "CODE_UNKNOWN": Example(change(PEOPLE, ONE, population="*"), "population", (ALL - CELL,)),
    "CODE_AMBIGUOUS": Example(change(PEOPLE, ONE, population="-"), "population", (ALL - CELL,)),
    "NEGATIVE_COUNT": Example(change(PEOPLE, ONE, population="-999"), "population",
                              (ALL - CELL,)),
    "OPEN_AGE_CHANGES.years": Example(MIXED_OPEN, "population", (total(MIXED_OPEN),)),
    "OPEN_AGE_NEEDED": Example(
        [{**r, "age": {"2+": "2"}.get(r["age"], r["age"])} for r in
         change(PEOPLE, {"age": "2+"}, population=20_000)], "population",
        (ALL - sum(r["population"] for r in PEOPLE if r["age"] == "2+") + 40_000,)),
    "SEX_CODES": Example([{**r, "sex": {"male": "1", "female": "2"}[r["sex"]]} for r in PEOPLE],
                         "population", (ALL,)),
    "PERIOD_AMBIGUOUS": Example([{**r, "year": "2010/11"} for r in BORN], "births",
                                (total(BORN, "births"),)),
    "PERIOD_AMBIGUOUS.bare": Example(BORN, "births", (total(BORN, "births"),)),
    "YEAR_TWO_DIGITS": Example([{**r, "year": "11"} for r in BORN], "births",
                               (total(BORN, "births"),), MID),
    "STOCK_DATE": Example([{"date": "2011-03-27", **{k: v for k, v in r.items() if k != "year"}}
                           for r in PEOPLE], "population", (ALL,)),
    "VINTAGE_NEEDED": Example(
        [{"vintage": v, **r} for v in ("first", "revised") for r in SURVEY], "survey_flows",
        (MET,), FLOW),
    "NEGATIVE_FLOW": Example(change(SURVEY, ONE_OUT, estimate="-999"), "survey_flows",
                             (MET - CELL_OUT,), FLOW),
    "SIGN_CONVENTION": Example(
        [{**r, "estimate": -r["estimate"] if r["flow"] == "emigration" else r["estimate"]}
         for r in SURVEY], "survey_flows", (MET,), FLOW),
    "SE_MISSING": Example(change(SURVEY, ONE_OUT, standard_error=""), "survey_flows",
                          (MET - CELL_OUT,), FLOW),
    "ZERO_NO_CONTACTS": Example(change(SURVEY, ONE_OUT, estimate=0, standard_error=0),
                                "survey_flows", (MET - CELL_OUT,), FLOW),
    "CV_UNIT": Example(
        [{**{k: v for k, v in r.items() if k != "standard_error"}, "cv": 12} for r in SURVEY],
        "survey_flows", (MET,), FLOW),
    "BIRTHS_NEED_SEX": Example([{"year": 2011, "births": 700}], "births", (700,), MID),
    "COMMENT_LINES": Example(as_text(PEOPLE, below="# the end\n"), "population", (ALL,)),
    "HEADER_ROW.stacked": Example(
        " ,Male,,Female,\n ,0,1+,0,1+\n2011,100,900,95,905\n2012,101,901,96,906\n", "population",
        (4004,)),
    "LAYOUT_WIDE.inside": Example(
        [{"sex": s, "age": a, "POP2011": 100, "POP2012": 110} for s in ("male", "female")
         for a in ("0", "1", "2+")], "population", (1260,)),
    "LAYOUT_TRANSPOSED": Example("year,2011,2011\nsex,male,female\nbirths,50,48\n", "births",
                                 (98,), MID),
    "NOT_STATED": Example(
        [*PEOPLE, *({"year": 2011, "sex": s, "age": "unknown", "population": 40}
                    for s in ("male", "female"))], "population", (ALL + 80, ALL)),
    "TOTAL_MISMATCH.remainder": Example(
        [*PEOPLE, *({"year": 2011, "sex": s, "age": "All ages", "population":
                     total([r for r in PEOPLE if r["sex"] == s]) + 40}
                    for s in ("male", "female"))], "population", (ALL + 80, ALL)),
    "YEAR_TWICE": Example(
        [{**r, "year": f"2011{mark}"} for mark in "+-" for r in PEOPLE], "population", (ALL,)),
    "INTERVAL_ASKED": Example(
        [{**{k: v for k, v in r.items() if k != "standard_error"}, "half_width": 80}
         for r in SURVEY], "survey_flows", (MET,), FLOW),
    "INTERVAL_ASKED.one": Example(
        [{**{k: v for k, v in r.items() if k != "standard_error"}, "upper_90": r["estimate"] + 80}
         for r in SURVEY], "survey_flows", (MET,), FLOW),
    "INTERVAL_ASKED.log": Example(
        [{**{k: v for k, v in r.items() if k != "standard_error"}, "lower_95": r["estimate"] / 2,
          "upper_95": 2 * r["estimate"]} for r in SURVEY], "survey_flows", (MET,), FLOW),
    "INTERVAL_ASKED.uneven": Example(
        [{**{k: v for k, v in r.items() if k != "standard_error"}, "lower_95": r["estimate"] / 2,
          "upper_95": 1.1 * r["estimate"]} for r in SURVEY], "survey_flows", (MET,), FLOW),
    "SE_CI_DISAGREE": Example(
        [{**r, "standard_error": 1.96 * r["standard_error"],
          "half_width_90": 1.645 * r["standard_error"]} for r in SURVEY],
        "survey_flows", (MET,), FLOW),
    "AREA_OVERLAP": Example(
        [{"area": a, **r, "population": r["population"] * n} for a, n in
         (("K04000001", 2), ("E92000001", 1), ("W92000004", 1)) for r in PEOPLE], "population",
        (2 * ALL,)),
}  # fmt: skip


def place(example: Example, folder: Path) -> Path:
    if isinstance(example.rows, list):
        return write(folder, example.rows, "table.csv")
    path = folder / "table.csv"
    path.write_bytes(example.rows if isinstance(example.rows, bytes) else example.rows.encode())
    return path


def people(table: Table) -> float:
    return float(table.frame[table.value].sum())


@pytest.mark.parametrize("name", EXAMPLES)
def test_advice_followed_to_the_letter_ends_in_a_right_reading(name, tmp_path):
    example, row = EXAMPLES[name], CATALOGUE[name]
    path = place(example, tmp_path)
    _, log = inspect_table(path, example.kind, example.options)
    found = next((f for f in log.faults if f.code == row.code), None)
    assert found is not None, f"the example does not draw {name}: {log}"
    alternatives = settings_in(found.next_step)
    assert alternatives, f"nothing to set in: {found.next_step}"
    ends = []
    for first in alternatives:
        walk = follow(path, example.kind, example.options, first)
        if walk.table is not None:
            ends.append(people(walk.table))
        else:
            assert walk.last[0].code != row.code, f"{first} leads back: {walk.last[0]}"
            ends.append(walk.last[0].code)
    for end in ends:
        if isinstance(end, str):
            assert end in example.ends, (ends, alternatives)
        else:
            assert any(abs(end - right) < 0.51 for right in example.people), (ends, alternatives)


def test_examples_draw_most_of_the_advice_of_tables_that_names_a_setting():
    """What a table alone can draw; that of projects follows below."""
    named = {name for name, row in CATALOGUE.items() if SETTING.search(row.next_step)}
    followed = named & {*EXAMPLES, *PROJECTS}
    assert len(followed) >= 0.5 * len(named), sorted(named - followed)


def test_many_faults_at_once_are_led_out_of_one_by_one(tmp_path):
    rows = [{**r, "sex": {"male": "1", "female": "2"}[r["sex"]]} for r in
            change(PEOPLE, {"sex": "female", "age": "1"}, population="*")]  # fmt: skip
    text = as_text(
        rows, above="Population of the office\n\n", below="Source: the office\n", mark=";"
    )
    path = tmp_path / "table.csv"
    path.write_text(text, "utf-8")
    walk = follow(path, "population", {}, {})
    assert walk.table is not None, walk.last
    hidden = next(r["population"] for r in PEOPLE if (r["sex"], r["age"]) == ("female", "1"))
    assert people(walk.table) == ALL - hidden
    assert {"DELIMITER", "HEADER_ROW"} <= set(walk.codes)
    assert walk.table.log.count("MISSING_CODE") == 1, "what is left out is told"


# Projects: settings of a file stand in its section, others in [account] or at the top


def with_setting(text: str, name: str, value: Any, file: str) -> str:
    """Settings in which one is written, or written anew, where a message says it belongs."""
    section, _, key = name.rpartition(".")
    written = f"{key} = {json.dumps(value)}"
    lines = text.splitlines()
    if key == "schema":
        return "\n".join([written, *lines])
    if section == "account" or f'file = "{file}"' not in text:
        header = {"seed": "[fit]", "folder": "[output]"}.get(key, "[account]")
        at = lines.index(header)
    else:
        at = lines.index(f'file = "{file}"') - 1
    end = next((i for i in range(at + 1, len(lines)) if lines[i].startswith("[")), len(lines))
    old = [i for i in range(at + 1, end) if re.match(rf"{key}\s*=", lines[i])]
    kept = [line for i, line in enumerate(lines) if i not in old]
    return "\n".join([*kept[: at + 1], written, *kept[at + 1 :]])


def text_of(project: Path, edit: Any) -> None:
    project.write_text(edit(project.read_text("utf-8")), "utf-8")


def in_thousands(frame: pd.DataFrame) -> pd.DataFrame:
    figures = frame["estimate"].astype(float) * 1000, frame["standard_error"].astype(float) * 1000
    return frame.assign(estimate=figures[0].round(), standard_error=figures[1].round())


PROJECTS: dict[str, Any] = {
    "PERIOD_MISMATCH.calendar": lambda p: edit_settings(
        edit_table(p, "deaths", lambda f: f.assign(period="calendar-year")),
        ('file = "data/deaths.csv"\nperiod = "mid-year"',
         'file = "data/deaths.csv"\nperiod = "calendar-year"')),
    "AGE_DEFINITION": lambda p: text_of(
        p, lambda t: re.sub(r"age_counted = .*\n", "", t)),
    "COMPONENT_COUNTED_TWICE": lambda p: edit_settings(
        p, ('definition = "survey" ', 'definition = "LTIM" ')),
    "SETTING_MISSING.version": lambda p: edit_settings(p, ("schema = 1\n", "")),
    "SEED_BAD": lambda p: edit_settings(p, ("seed = 1 ", 'seed = "one" ')),
    "OUTPUT_OUTSIDE": lambda p: edit_settings(p, ('folder = "results"', 'folder = "../x"')),
    "UNIT_NEEDED.beside": lambda p: edit_table(p, "survey_flows", in_thousands),
    "SETTING_RANGE.era": lambda p: edit_settings(p, ('survey_eras = "" ', 'survey_eras = "x" ')),
}  # fmt: skip


@pytest.mark.parametrize("name", PROJECTS)
def test_advice_on_a_project_followed_to_the_letter(name, tmp_path):
    project, row = write_project(tmp_path / "case"), CATALOGUE[name]
    PROJECTS[name](project)
    log = check_project(project).log
    found = next((f for f in log.faults if f.code == row.code), None)
    assert found is not None, str(log)
    alternatives = settings_in(found.next_step)
    assert alternatives, found.next_step
    before = project.read_text("utf-8")
    for chosen in alternatives:
        text = before
        for key, value in chosen.items():
            text = with_setting(text, key, value, found.file)
        project.write_text(text, "utf-8")
        report = check_project(project)
        again = [f for f in report.log.faults if f.code == row.code and f.file == found.file]
        assert not again, f"{chosen} leads back: {again[0]}"
