"""The catalogue of findings: every code is raised, every call names what its words need.

The calls are read from the source text of the package, so that a slip shows without the
file that would raise it.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

import imps
from imps.project.sections import StreamSettings
from imps.reading.findings import CATALOGUE, CODES, OUTCOMES, Collector
from imps.reading.options import OPTION_NAMES, ReadOptions, expected

ROOT = Path(__file__).parents[1]
SOURCES = [p for part in ("reading", "project", "areas") for p in
           sorted((Path(imps.__file__).parent / part).glob("*.py"))]  # fmt: skip
PLACE = {"file", "column", "rows", "texts", "total", "instead"}
SETTINGS = {"account", "coverage", "file", "first_mid_year", "folder", "last_mid_year", "schema",
            "seed", "survey_eras", *StreamSettings.model_fields}  # fmt: skip
"""Names before an equals sign in an advice that are no options of a table."""


def calls():
    """Every call that makes a finding: place, code as written, names given, whether all are."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                at = {"add": 0, "find": 1}.get(node.func.attr)
                if at is None or len(node.args) <= at:
                    continue
                names = {k.arg for k in node.keywords if k.arg}
                whole = all(k.arg for k in node.keywords)
                for code in codes_of(node.args[at]):
                    yield f"{path.name}:{node.lineno}", code, names, whole


def codes_of(node):
    """Codes of an argument that is a text or a choice between texts."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*codes_of(node.body), *codes_of(node.orelse)]
    return []


CALLS = [c for c in calls() if c[1].split(".")[0].isupper()]


def test_the_calls_are_found():
    assert len(CALLS) > 150


@pytest.mark.parametrize(("place", "code", "names", "whole"), CALLS, ids=[c[0] for c in CALLS])
def test_every_call_uses_a_code_and_fills_its_words(place, code, names, whole):
    assert code in CATALOGUE, f"{place}: {code} is not in the catalogue"
    given = names - PLACE
    assert given <= CATALOGUE[code].fields, f"{place}: {given - CATALOGUE[code].fields} not used"
    if whole:
        assert given == CATALOGUE[code].fields, f"{place}: lacks {CATALOGUE[code].fields - given}"


def test_every_code_and_cause_is_raised():
    """By its name in the package, whole or put together from the code and the cause."""
    text = "\n".join(p.read_text("utf-8") for p in SOURCES)
    for name, row in CATALOGUE.items():
        pieces = row.cause in text or row.cause.replace("_", " ") in text
        made = f'"{name}"' in text or (f"{row.code}." in text and pieces)
        assert made, f"nothing raises {name}"


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_finding_says_what_it_means_and_what_to_do(name):
    row = CATALOGUE[name]
    assert re.fullmatch(r"[A-Z_]+", row.code) and row.outcome in OUTCOMES
    assert row.means.endswith(".") and not row.problem.endswith(".")
    assert bool(row.next_step) == (row.outcome in ("REJECT", "ASK", "WARN"))
    assert not row.next_step or row.next_step.endswith(".")
    for option in re.findall(r"([a-z_]+) = ", row.next_step):
        assert option in {*OPTION_NAMES, *SETTINGS, "jumps", "distribution", "mean", "sd"} or (
            f"account.{option}" in row.next_step
        ), option


def test_the_words_of_a_list():
    log = Collector("f.csv")
    log.add("AREA_OVERLAP", name="England", parts={"E12000002", "E12000001"})
    log.add("CELLS_NEEDED.never", flow="immigration", cells=list("abcdefg"))
    log.add("HEADER_ROW", row=3, names=["year", "sex"])
    log.add("SHEET_UNKNOWN", sheets=[])
    log.add("SHEET_UNKNOWN", sheets=["A"], instead="Did you mean 'A'?")
    problems = [f.problem for f in log.findings]
    assert problems[0] == "(England) is given beside its parts E12000001, E12000002"
    assert problems[1] == "immigration has no figure in any year for a, b, c, d, e"
    assert problems[2] == "is not a header; row 3 looks like it ('year', 'sex')"
    assert problems[3] == "is not a sheet; there are none"
    assert log.findings[4].next_step == "Did you mean 'A'?"


def test_every_known_name_is_told():
    log = Collector("f.csv")
    log.add("SETTING_UNKNOWN", what="an option of a table", known=OPTION_NAMES)
    assert all(name in log.findings[0].next_step for name in OPTION_NAMES)


def test_a_cause_may_have_an_outcome_of_its_own():
    assert CODES["STOCK_DATE"] == "ASK" and CATALOGUE["STOCK_DATE.census"].outcome == "REJECT"


def test_the_page_of_codes_lists_each_code_and_option():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    page = hooks.on_page_markdown((ROOT / "docs/reference/codes.md").read_text("utf-8"),
                                  None, None, None)  # fmt: skip
    assert all(f"### {code}\n" in page for code in CODES)
    assert page.count("\n- ") == len(CATALOGUE)
    assert all(f"<td>{name}</td>" in page for name in OPTION_NAMES)


def test_options_say_what_they_may_be():
    fields = ReadOptions.model_fields
    assert expected(fields["open_age"]) == "a whole number from 1 to 120"
    assert expected(fields["unit"]) == (
        "one of ('persons', 'tens', 'hundreds', 'thousands', 'millions')"
    )
    assert expected(fields["areas"]) == "a list of texts"
    assert expected(fields["fractional_counts"]) == "true or false"
    assert "suppressed" in expected(fields["missing"])
