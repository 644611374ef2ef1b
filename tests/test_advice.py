"""Advice followed to the letter ends in a right reading or in the next true fault, never in a loop.

A message names what to set (`name = value`); `follow` sets exactly that, reads again, and goes on
with whatever is refused or asked next, until nothing is or no further message names a setting.
People are counted on the way: no advice may lose them in silence.
"""

from __future__ import annotations

import io
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
SINGLE = population((2011,), [str(age) for age in range(86)])
MIXED_OPEN = [r for r in population((2010,), ("0", "1", "2+"))] + population(
    (2011,), ("0", "1", "2", "3+")
)
ONE_OUT = {"year": 2011, "flow": "emigration", "sex": "male", "age_group": "0-14"}
MET = total(SURVEY, "estimate")
CELL_OUT = next(r["estimate"] for r in SURVEY if all(r[k] == v for k, v in ONE_OUT.items()))


def workbook(rows: list[dict[str, Any]]) -> bytes:
    """A workbook with the rows, and notes on another sheet."""
    out = io.BytesIO()
    with pd.ExcelWriter(out, engine="openpyxl") as book:
        pd.DataFrame({"Notes": ["figures of the office"]}).to_excel(book, sheet_name="Notes")
        pd.DataFrame(rows).to_excel(book, sheet_name="Data", index=False)
    return out.getvalue()


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
    "ENCODING_UNKNOWN": Example(
        as_text([{**r, "note": "Zürich"} for r in PEOPLE]).encode("latin-1"), "population",
        (ALL,)),
    "FRACTIONAL_COUNT": Example(change(PEOPLE, ONE, population=CELL + 0.5), "population",
                                (ALL + 0.5,)),
    "COMPONENT_COUNTED_TWICE.same": Example(
        [r for source in ("asylum_seekers", "irish_flows") for year in (2010, 2011, 2012)
         for r in [{"source": source, "year": year, "flow": "immigration",
                    "count": 300 + 7 * year % 50}]], "administrative_flows", (1962,), FLOW),
    "NOT_STATED.errors": Example(
        [*SURVEY, {**SURVEY[0], "age_group": "unknown"}], "survey_flows", (MET,),
        {**FLOW, "not_stated": "apportion"}),
    "NOT_STATED_LEFT_OUT": Example(
        [*PEOPLE, *({"year": 2011, "sex": s, "age": "unknown", "population": 40}
                    for s in ("male", "female"))], "population", (ALL + 80,),
        {"not_stated": "leave-out"}),
    "OPEN_AGE_NEEDED.refuted": Example(
        change(SINGLE, {"age": "85"}, population=1000), "population",
        (total(change(SINGLE, {"age": "85"}, population=1000)),), {"open_age": 85}),
    "PARTS_OF_YEARS.period": Example(
        [{**r, "year": f"{year} Q{q}"} for year in (2010, 2011, 2012) for q in (1, 2, 3, 4)
         for r in BORN], "births", (12 * total(BORN, "births"), 8 * total(BORN, "births")),
        ends=("PARTS_OF_YEARS", "PERIOD_GAP")),
    "SHEET_NEEDED": Example(workbook(PEOPLE), "population", (ALL,)),
    "SE_CI_DISAGREE.level": Example(
        [{**r, "lower": r["estimate"] - 1.645 * r["standard_error"],
          "upper": r["estimate"] + 1.645 * r["standard_error"]} for r in SURVEY],
        "survey_flows", (MET,), FLOW),
    "AREA_OVERLAP": Example(
        [{"area": a, **r, "population": r["population"] * n} for a, n in
         (("K04000001", 2), ("E92000001", 1), ("W92000004", 1)) for r in PEOPLE], "population",
        (2 * ALL,)),
}  # fmt: skip


def beginning(row: Any) -> str:
    """What the advice of a cause begins with, before anything is filled in."""
    return row.next_step.replace("{{", "\0").split("{")[0].replace("\0", "{").replace("}}", "}")


def place(example: Example, folder: Path) -> Path:
    if isinstance(example.rows, list):
        return write(folder, example.rows, "table.csv")
    path = folder / ("table.xlsx" if example.rows[:2] in (b"PK", "PK") else "table.csv")
    path.write_bytes(example.rows if isinstance(example.rows, bytes) else example.rows.encode())
    return path


def people(table: Table) -> float:
    return float(table.frame[table.value].sum())


@pytest.mark.parametrize("name", EXAMPLES)
def test_advice_followed_to_the_letter_ends_in_a_right_reading(name, tmp_path):
    example, row = EXAMPLES[name], CATALOGUE[name]
    path = place(example, tmp_path)
    _, log = inspect_table(path, example.kind, example.options)
    found = next((f for f in log.findings if f.code == row.code
                  and f.next_step.startswith(beginning(row))), None)  # fmt: skip
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


def test_every_advice_that_names_a_setting_is_followed():
    """What a table alone can draw; that of projects follows below."""
    named = {name for name, row in CATALOGUE.items() if SETTING.search(row.next_step)}
    assert named == named & {*EXAMPLES, *PROJECTS}, sorted(named - {*EXAMPLES, *PROJECTS})


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


def with_setting(text: str, name: str, value: Any, file: str, advice: str) -> str:
    """Settings in which one is written, or written anew, where a message says it belongs."""
    section, _, key = name.rpartition(".")
    table = re.search(r"\[\[(\w+)\]\] with file", advice)
    if table and key == "file":
        return f"{text}\n[[{table[1]}]]\nfile = {in_toml(value)}\n"
    written = f"{key} = {in_toml(value)}"
    lines = text.splitlines()
    kinds = re.search(r"in its \[\[([\w.]+)\]\]", advice)
    if kinds:
        at = lines.index(f"[[{kinds[1]}]]")
        return "\n".join([*lines[: at + 1], written, *lines[at + 1 :]])
    if key == "schema":
        return "\n".join([written, *lines])
    prior = re.fullmatch(r"priors\.(\w+)", file)
    if prior:
        at = lines.index(f"[{file}]")
    elif key == "file":
        at = lines.index(f"[[{file}]]")
    elif section == "account" or f'file = "{file}"' not in text:
        at = lines.index({"seed": "[fit]", "folder": "[output]"}.get(key, "[account]"))
    else:
        at = lines.index(f'file = "{file}"') - 1
    end = next((i for i in range(at + 1, len(lines)) if lines[i].startswith("[")), len(lines))
    old = [i for i in range(at + 1, end) if re.match(rf"{key}\s*=", lines[i])]
    kept = [line for i, line in enumerate(lines) if i not in old]
    return "\n".join([*kept[: at + 1], written, *kept[at + 1 :]])


def in_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {in_toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


def place_of(found: Finding) -> str:
    """Section that a message speaks of: a file, or one of priors or of tables without a file."""
    table = re.search(r"section \[\[(\w+)\]\]", found.problem)
    if table:
        return table[1]
    return found.column if found.column.startswith("priors.") else found.file


@dataclass(frozen=True)
class Drawn:
    """A project that draws a piece of advice.

    Attributes
    ----------
    edit : function of the settings file
    kind : kind of country of the template
    ends : codes of the true faults that an alternative may be left with
    stays : whether it is told all the same, as what a publisher flagged is
    """

    edit: Any
    kind: str = "survey"
    ends: tuple[str, ...] = ()
    stays: bool = False


def text_of(project: Path, edit: Any) -> None:
    project.write_text(edit(project.read_text("utf-8")), "utf-8")


def without(*patterns: str) -> Any:
    """Settings without the lines that begin so."""
    lines = "|".join(patterns)
    return lambda p: text_of(p, lambda t: re.sub(rf"(?m)^(?:{lines}) = .*\n", "", t))


def below(open_age: int, column: str) -> Any:
    """Figures with a lower open group."""

    def edit(frame: pd.DataFrame) -> pd.DataFrame:
        age = frame["age"].where(
            frame["age"].str.rstrip("+").astype(int) < open_age, f"{open_age}+"
        )
        keys = [c for c in frame if c not in ("age", column)]
        frame = frame.assign(age=age, **{column: frame[column].astype(int)})
        return frame.groupby([*keys, "age"], sort=False)[column].sum().reset_index()[list(frame)]

    return edit


def dated(frame: pd.DataFrame, day: str) -> pd.DataFrame:
    return frame.assign(year=frame["year"] + day)


STOCKS = """
[[stocks]]
file = "data/stocks.csv"
source = "register"
unit = "persons"
"""
VITAL = """
[[vital_totals]]
file = "data/vital_totals.csv"
period = "calendar-year"
"""
OWN_NET = """
[[account.kinds]]
name = "own_change"
sd = 0.2

[[administrative_flows]]
file = "data/own.csv"
unit = "persons"
period = "mid-year"
"""
KNOWN = 'coverage = { distribution = "normal", mean = 1.0, sd = 0.03 }\n'


def with_stocks(p: Path, more: str = "", edit: Any = None) -> None:
    """A register of the base."""
    text_of(p, lambda t: t + STOCKS + more)
    frame = pd.read_csv(p.parent / "data/population.csv", dtype=str)
    frame = frame[frame["year"] == "2001"]
    frame = frame.rename(columns={"age": "age_group", "population": "count"})
    frame = frame[["year", "sex", "age_group", "count"]]
    (edit(frame) if edit else frame).to_csv(p.parent / "data/stocks.csv", index=False)


def plain(p: Path, *columns: str) -> Path:
    """Files without columns that declare what the settings declare."""
    for path in (p.parent / "data").glob("*.csv"):
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        frame.drop(columns=[c for c in columns if c in frame]).to_csv(path, index=False)
    return p


def with_vital_totals(p: Path) -> None:
    """Totals of births and deaths, for calendar years."""
    edit_settings(p, ('calendar_to_mid_year = ""',
                      'calendar_to_mid_year = "mean-of-two-calendar-years"'))  # fmt: skip
    text_of(p, lambda t: t + VITAL)
    sums = [pd.read_csv(p.parent / f"data/{kind}.csv").groupby("year")[kind].sum()
            for kind in ("births", "deaths")]  # fmt: skip
    pd.concat(sums, axis=1).reset_index().to_csv(p.parent / "data/vital_totals.csv", index=False)


def repeated_stream(p: Path) -> None:
    text = p.read_text("utf-8")
    section = text[text.index("[[streams]]") : text.index("[[streams.misclassified]]")]
    at = text.index("[priors]")
    p.write_text(
        text[:at] + section.replace("internal_moves.csv", "moves.csv") + text[at:], "utf-8"
    )
    (p.parent / "data/moves.csv").write_bytes((p.parent / "data/internal_moves.csv").read_bytes())


def own_prior(text: str) -> Any:
    return lambda p: text_of(p, lambda t: f"{t}\n[priors.asylum_seekers]\n{text}\n")


def own_net(p: Path) -> None:
    """A net change under a name of the user's own, whose kind does not say so."""
    rows = [f"{year},own_change,net,100" for year in range(2002, 2007)]
    (p.parent / "data/own.csv").write_text("\n".join(["year,source,flow,count", *rows]), "utf-8")
    text_of(p, lambda t: t + OWN_NET)


def stream(*pairs: tuple[str, str]) -> Any:
    return lambda p: edit_settings(p, *pairs)


def swapped(p: Path) -> Path:
    """An old cohort of whom more died than there were."""
    return edit_table(p, "population", lambda f: f.assign(population=f["population"].where(
        (f["year"] != "2001") | (f["age"] != "75"), "9")))  # fmt: skip


QUALITY = 'quality = "complete count"       # no sampling error; a zero is a zero\n'
AGES = 'ages = "at-year-end"             # age reached at mid-year; or "at-move"\n'
LEVEL = "level = { sd = 0.02 }            # error, share of the stream, published minus true\n"

PROJECTS: dict[str, Drawn] = {
    "FLOW_NEEDED.source": Drawn(own_net),
    "PERIOD_GAP.ends": Drawn(lambda p: edit_table(
        p, "population", lambda f: f[f["year"] != "2006"])),
    "PERIOD_GAP.census": Drawn(lambda p: text_of(edit_table(
        p, "population", lambda f: f.assign(vintage=f["vintage"].where(
            f["year"] != "2006", "rolled"))), lambda t: t.replace(
        'rolled_forward_vintage = ""', 'rolled_forward_vintage = "rolled"')),
        ends=("COMPONENTS_DIFFER",)),
    "SETTING_RANGE.planned": Drawn(lambda p: edit_settings(
        p, ('census_vintage = ""', 'census_quality = "planned"\ncensus_vintage = "census 2006"'))),
    "PERIOD_MISMATCH.calendar": Drawn(lambda p: edit_settings(
        edit_table(p, "deaths", lambda f: f.assign(period="calendar-year")),
        ('file = "data/deaths.csv"\nperiod = "mid-year"',
         'file = "data/deaths.csv"\nperiod = "calendar-year"')),
        ends=("PERIOD_GAP", "STOCK_DATE")),
    "AGE_DEFINITION": Drawn(without("age_counted")),
    "COMPONENT_COUNTED_TWICE": Drawn(lambda p: edit_settings(
        p, ('definition = "survey" ', 'definition = "LTIM" '))),
    "SETTING_MISSING.version": Drawn(lambda p: edit_settings(p, ("schema = 1\n", ""))),
    "SETTING_MISSING.file": Drawn(lambda p: edit_settings(p, ('file = "data/births.csv"\n', "")),
                                  ends=("FILE_NOT_READABLE",)),
    "SEED_BAD": Drawn(lambda p: edit_settings(p, ("seed = 1 ", 'seed = "one" '))),
    "OUTPUT_OUTSIDE": Drawn(lambda p: edit_settings(p, ('folder = "results"', 'folder = "../x"'))),
    "UNIT_NEEDED.beside": Drawn(lambda p: edit_table(
        p, "deaths", lambda f: f.assign(
            deaths=["1" if a[-1] == "+" else "0" for a in f["age"]])), kind="area",
        ends=("DEATHS_EXCEED_POPULATION",)),
    "UNIT_NEEDED.many": Drawn(lambda p: edit_table(
        plain(p, "unit"), "survey_flows", lambda f: f.assign(estimate=f["estimate"] + "000")),
        ends=("SE_IMPLAUSIBLE",)),
    "SETTING_RANGE.era": Drawn(lambda p: edit_settings(p, ('survey_eras = "" ',
                                                           'survey_eras = "x" ')),
                                 ends=("SOURCES_REFUSED",)),
    "BREAK_FLAGGED.flows": Drawn(lambda p: edit_table(p, "survey_flows", lambda f: f.assign(
        status=["b" if y == "2004" else "" for y in f["year"]])), stays=True),
    "COHORT_NEGATIVE": Drawn(swapped),
    "AREAS_NEEDED": Drawn(lambda p: edit_table(plain(p, "unit"), "births", lambda f: pd.concat(
        [f.assign(area=a, births=(f["births"].astype(int) // 2)) for a in
         ("E12000001", "E12000002")]))),
    "PERIOD_MISMATCH.vital": Drawn(with_vital_totals),
    "COVERAGE_NEEDED": Drawn(with_stocks),
    "PRIOR_EXCLUDES_DATA": Drawn(lambda p: with_stocks(
        p, 'coverage = { distribution = "uniform", lower = 1.3, upper = 1.4 }\n')),
    "OPEN_AGE_CHANGES.tables": Drawn(lambda p: edit_table(p, "deaths", below(85, "deaths"))),
    "PERIOD_MISMATCH.account": Drawn(lambda p: edit_settings(
        p, ('file = "data/births.csv"\nperiod = "account-year"',
            'file = "data/births.csv"\nperiod = "calendar-year"')), kind="cards"),
    "POPULATION_BASE": Drawn(lambda p: with_stocks(edit_settings(
        p, ('file = "data/population.csv"\n',
            'file = "data/population.csv"\nspecial_populations = "included"\n')),
        KNOWN + 'special_populations = "excluded"\n')),
    "PRIOR_BAD.settings": Drawn(own_prior('mean = "none"')),
    "ROUNDING_DETECTED": Drawn(lambda p: with_stocks(p, KNOWN, lambda f: f.assign(
        count=[str(round(int(v), -2)) for v in f["count"]]))),
    "STOCK_DATE.bare": Drawn(lambda p: text_of(plain(p, "period"), lambda t: t.replace(
        'period = "mid-year"', 'period = "calendar-year"')),
        ends=("PERIOD_GAP", "PERIOD_MISMATCH")),
    "STOCK_DATE.year_end": Drawn(lambda p: edit_table(
        plain(p, "period"), "population", lambda f: dated(f, "-12-31")),
        ends=("PERIOD_MISMATCH", "PERIOD_GAP")),
    "STREAM_DETAIL.no_error": Drawn(lambda p: edit_table(
        p, "internal_moves", lambda f: f.assign(standard_error="3")), kind="area"),
    "STREAM_NEEDS.ages": Drawn(stream((AGES, "")), kind="area"),
    "STREAM_NEEDS.quality": Drawn(stream((QUALITY, "")), kind="area",
                                  ends=("STREAM_NEEDS", "STREAM_DETAIL", "COLUMN_MISSING")),
    "STREAM_NEEDS.level": Drawn(stream((LEVEL, "")), kind="area"),
    "STREAM_NEEDS.of": Drawn(stream((QUALITY, 'quality = "sum"\n')), kind="area",
                             ends=("STREAM_DETAIL",)),
    "STREAM_NEEDS.coverage": Drawn(stream((QUALITY, 'quality = "mirror"\nof = ["arrivals"]\n')),
                                   kind="area", ends=("STREAM_DETAIL",)),
    "STREAM_TWICE": Drawn(repeated_stream, kind="area", ends=("STREAM_DETAIL",)),
    "TABLE_MISSING.flows": Drawn(lambda p: text_of(p, lambda t: re.sub(
        r"\[\[survey_flows\]\]\n(?:.+\n)*", "", t)), ends=("FILE_NOT_READABLE",)),
    "TABLE_MISSING.settings": Drawn(lambda p: text_of(p, lambda t: re.sub(
        r"\[\[births\]\]\n(?:.+\n)*", "", t)), ends=("FILE_NOT_READABLE",)),
    "YEARS_IDENTICAL": Drawn(lambda p: edit_table(p, "deaths", lambda f: f.assign(
        deaths=f["deaths"].where(f["year"] != "2015", pd.Series(
            list(f["deaths"][f["year"] == "2014"]) * f["year"].nunique(), f.index)))),
        kind="area"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROJECTS)
def test_advice_on_a_project_followed_to_the_letter(name, tmp_path):
    drawn, row = PROJECTS[name], CATALOGUE[name]
    project = write_project(tmp_path / "case", kind=drawn.kind)
    drawn.edit(project)
    log = check_project(project).log
    found = next((f for f in log.findings if f.code == row.code
                  and f.next_step.startswith(beginning(row))), None)  # fmt: skip
    assert found is not None, str(log)
    alternatives = settings_in(found.next_step)
    assert alternatives, found.next_step
    before = project.read_text("utf-8")
    for chosen in alternatives:
        end = follow_project(project, before, found, chosen, drawn.stays)
        assert end is None or end.code in drawn.ends, f"{chosen} leads to {end}"


def follow_project(
    project: Path, text: str, found: Finding, step: dict[str, Any], stays: bool
) -> Finding | None:
    """Set what a message says, then what the next fault says; the fault that names no setting."""
    said: list[tuple[str, str, str]] = []
    for _ in range(MOST_STEPS):
        for key, value in step.items():
            text = with_setting(text, key, value, place_of(found), found.next_step)
        project.write_text(text, "utf-8")
        log = check_project(project).log
        told = [f for f in log.findings if (f.code, f.file) == (found.code, found.file)
                and f.next_step == found.next_step]  # fmt: skip
        assert stays or not told, f"{step} leads back: {told[0]}"
        if log.passed:
            return None
        said.append((found.code, found.file, str(step)))
        found = log.faults[0]
        steps = settings_in(found.next_step) if "such as" not in found.next_step else []
        if not steps:
            return found
        step = steps[0]
        assert (found.code, found.file, str(step)) not in said, f"goes round: {said}"
    raise AssertionError(f"never ends: {said}")
