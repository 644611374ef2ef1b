"""Small official tables for the tests of readers, and the message contract they assert."""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pytest

from imps.errors import ImpsError, InputError, InputWarning
from imps.reading.findings import ASK, CONVERT, REJECT, WARN, Finding, ImportLog
from imps.reading.table import Table, inspect_table, read_table, write_table

Rows = list[dict[str, Any]]
INTERNAL_WORDS = ("Traceback", "dtype", "array(", "numpy", "pandas", "KeyError", "<class", " nan ")


def population(
    years: Iterable[int] = (2011,), ages: Iterable[str] = ("0", "1", "2+"), start: int = 5200
) -> Rows:
    """A population by sex and age, each cell different."""
    return [
        {"year": y, "sex": s, "age": a, "population": start + 10 * i + 3 * (s == "male") + y % 7}
        for y in years
        for s in ("male", "female")
        for i, a in enumerate(ages)
    ]


def deaths(years: Iterable[int] = (2011,), ages: Iterable[str] = ("0", "1", "2+")) -> Rows:
    """Deaths by sex and age."""
    return [
        {"year": y, "sex": s, "age": a, "deaths": 20 + i + 2 * (s == "male")}
        for y in years
        for s in ("male", "female")
        for i, a in enumerate(ages)
    ]


def births(years: Iterable[int] = (2011,)) -> Rows:
    """Births by sex."""
    return [
        {"year": y, "sex": s, "births": n + y % 10}
        for y in years
        for s, n in (("male", 310), ("female", 290))
    ]


def survey(
    years: Iterable[int] = (2011,),
    flows: Iterable[str] = ("immigration", "emigration"),
    groups: Iterable[str] = ("0-14", "15-59", "60+"),
) -> Rows:
    """Survey estimates with standard errors."""
    return [
        {
            "year": y,
            "flow": f,
            "sex": s,
            "age_group": g,
            "estimate": 400 + 50 * i + 7 * (s == "male") + 20 * (f == "immigration") + y % 5,
            "standard_error": 40 + i,
        }
        for y in years
        for f in flows
        for s in ("male", "female")
        for i, g in enumerate(groups)
    ]


def asylum(years: Iterable[int] = (2011,), source: str = "asylum_seekers") -> Rows:
    """An administrative flow."""
    return [
        {"source": source, "year": y, "flow": "immigration", "count": 30 + y % 4} for y in years
    ]


FLOW = {"unit": "persons", "period": "mid-year"}
MID = {"period": "mid-year"}


def change(rows: Rows, where: Mapping[str, Any], **values: Any) -> Rows:
    """The rows with some cells changed where all of `where` holds."""
    return [
        {**row, **values} if all(row[k] == v for k, v in where.items()) else dict(row)
        for row in rows
    ]


def write(folder: Path, rows: Rows, name: str = "population_2011.csv") -> Path:
    """Write rows as CSV with the columns of the first row."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_text(folder: Path, text: str | bytes, name: str = "population_2011.csv") -> Path:
    """Write a file as it is."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def edit_table(project: Path, name: str, edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    """Change a table of a project; the settings file."""
    path = project.parent / "data" / f"{name}.csv"
    edit(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)
    return project


def edit_settings(project: Path, *pairs: tuple[str, str]) -> Path:
    """Change a settings file by pairs of old and new text, each there once or more."""
    text = project.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    project.write_text(text, encoding="utf-8")
    return project


SMALL_AGES = (*map(str, range(12)), "12+")


def small_project(project: Path) -> Path:
    """The example project cut down to ages 0 to 12+, so that fits are quick."""

    def youngest(frame: pd.DataFrame) -> pd.DataFrame:
        label = frame["age"].where(frame["age"].isin(SMALL_AGES), "12+")
        value = "population" if "population" in frame else "deaths"
        keys = [c for c in frame if c != value]
        numbers = frame.assign(age=label, **{value: frame[value].astype(int)})
        return numbers.groupby(keys, sort=False, as_index=False)[value].sum()

    groups = {"0-14": "0-3", "15-24": "4-7", "25-44": "8-10", "45-64": "11", "65+": "12+"}
    for name in ("population", "deaths"):
        edit_table(project, name, youngest)
    return edit_table(project, "survey_flows", lambda f: f.replace({"age_group": groups}))


def calendar_years(project: Path) -> Path:
    """The example project with births, deaths and flows by calendar year, declared."""

    def year_before(frame: pd.DataFrame) -> pd.DataFrame:
        first = frame[frame["year"] == "2002"].assign(year="2001")
        return pd.concat([first, frame]).assign(period="calendar-year")

    for name in ("births", "deaths", "survey_flows", "administrative_flows"):
        edit_table(project, name, year_before)
    return edit_settings(
        project,
        ('period = "mid-year"', 'period = "calendar-year"'),
        ('age_counted = "at-mid-year"', 'age_counted = "at-death"'),
        ('calendar_to_mid_year = ""', 'calendar_to_mid_year = "mean-of-two-calendar-years"'),
        ("last_mid_year", 'year_ends = "06-30"\nlast_mid_year'),
    )


def row_of(rows: Rows, where: Mapping[str, Any]) -> int:
    """Spreadsheet row of the first row that matches; the header is row 1."""
    return 2 + next(i for i, r in enumerate(rows) if all(r[k] == v for k, v in where.items()))


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below a folder with the digest of its content."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def the(log: ImportLog, code: str, outcome: str) -> Finding:
    """The one finding with a code, with its outcome checked."""
    found = log.of(code)
    assert found, f"no {code} among {log.codes}"
    assert {f.outcome for f in found} == {outcome}
    return found[0]


def contract(
    finding: Finding, *, file: str, row: Any = None, column: str | None = None, text: Any = None
) -> str:
    """Assert the message contract: file, row, column, text, next step, nothing internal."""
    message = str(finding)
    assert message.startswith(f"{finding.code}  ")
    assert file in message
    if row is not None:
        assert row in finding.rows and f" {row}" in message
    if column is not None:
        assert f"column '{column}'" in message
    if text is not None:
        assert str(text) in message
    if finding.fatal:
        assert finding.next_step and finding.next_step in message
    for word in INTERNAL_WORDS:
        assert word not in message
    return message


def refused(
    data: Path | pd.DataFrame,
    kind: str,
    code: str,
    *,
    outcome: str = REJECT,
    row: Any = None,
    column: str | None = None,
    text: Any = None,
    **options: Any,
) -> str:
    """Assert that a table is refused with a code and a message, and that nothing is changed."""
    before = snapshot(data.parent) if isinstance(data, Path) and data.parent.is_dir() else None
    table, log = inspect_table(data, kind, options)
    assert table is None
    file = str(data) if isinstance(data, Path) else f"{kind} (data frame)"
    message = contract(the(log, code, outcome), file=file, row=row, column=column, text=text)
    with pytest.raises(InputError, match=code) as raised:
        read_table(data, kind, **options)
    assert isinstance(raised.value, ImpsError) and isinstance(raised.value, ValueError)
    assert message in str(raised.value)
    if isinstance(data, Path) and before is not None:
        assert snapshot(data.parent) == before
    return message


def asked(
    data: Path | pd.DataFrame, kind: str, code: str, settled: Mapping[str, Any], **more: Any
) -> Table:
    """Assert both halves: asked with the name of the option, accepted once it is set."""
    message = refused(data, kind, code, outcome=ASK, **more)
    assert any(option in message for option in settled), "the message names no option"
    known = ("row", "column", "text")
    options = {k: v for k, v in more.items() if k not in known} | dict(settled)
    table, log = inspect_table(data, kind, options)
    assert table is not None, str(log)
    if isinstance(data, Path):
        read_back(table, data.with_name("clean.csv"))
    return table


def accepted(data: Path | pd.DataFrame, kind: str, **options: Any) -> Table:
    """Assert that a table is accepted without a fault."""
    table, log = inspect_table(data, kind, options)
    assert table is not None, str(log)
    return table


def silent(data: Path | pd.DataFrame, kind: str, **options: Any) -> Table:
    """Assert that a table is accepted with nothing said beyond counts."""
    table = accepted(data, kind, **options)
    assert not [f for f in table.log.findings if f.outcome in (WARN, CONVERT)], str(table.log)
    return table


def converted(data: Path | pd.DataFrame, kind: str, code: str, count: int, **options: Any) -> Table:
    """Assert that a change was counted, and that it is idempotent (rule R7)."""
    table = accepted(data, kind, **options)
    the(table.log, code, CONVERT)
    assert table.log.count(code) == count
    if isinstance(data, Path):
        read_back(table, data.with_name("clean.csv"))
    return table


ADVISED = re.compile(
    r"""([a-z_]+) = (\{(?:[^{}]|\{[a-z_]+\})*\}|\[[^]]*\]|"[^"]*"|[0-9]+(?:\.[0-9]+)?)"""
)
"""What an advice says to set."""


def follow(
    path: Path, kind: str, start: Mapping[str, Any] = MappingProxyType({}), **choices: Any
) -> tuple[Table, list[str]]:
    """The table that the advice of the messages leads to, and the codes on the way.

    Of alternatives the first is taken, or those that are named in `choices`. Advice that does not
    change anything, or takes a dozen steps, has no end.
    """
    options, way = dict(start), []
    for _ in range(12):
        table, log = inspect_table(path, kind, options)
        if table is not None:
            return table, way
        code, advised = next(
            ((f.code, a) for f in log.faults if (a := ADVISED.findall(f.next_step))), ("", [])
        )
        assert advised, f"no advice after {way}: {log}"
        way.append(code)
        said = {k: tomllib.loads(f"x = {v}")["x"] for k, v in reversed(advised)}
        new = {k: choices.get(k, v) for k, v in said.items()}
        step = next(f.next_step for f in log.faults if f.code == code and f.next_step)
        alternatives = len(said) > 1 and re.search(r"\bor [a-z_]+ = ", step)
        if alternatives:
            new = {k: v for k, v in new.items() if k in choices} or new
        assert any(options.get(k) != v for k, v in new.items()), f"{way} goes in a circle"
        options |= new
    raise AssertionError(f"no end after {way}")


KEPT_OPTIONS = ("census_days", "fractional_counts", "jumps", "definition", "geography")


def read_back(table: Table, path: Path) -> None:
    """Assert that the cleaned table, written and read again, changes nothing and logs nothing."""
    write_table(table, path)
    kept = {name: getattr(table.options, name) for name in KEPT_OPTIONS}
    again, log = inspect_table(path, table.kind, kept)
    assert again is not None, str(log)
    assert not [f for f in log.findings if f.outcome == CONVERT], str(log)
    assert again.content_hash == table.content_hash
    pd.testing.assert_frame_equal(again.frame, table.frame)
    path.unlink()


def warned(
    data: Path | pd.DataFrame,
    kind: str,
    code: str,
    *,
    row: Any = None,
    column: str | None = None,
    text: Any = None,
    **options: Any,
) -> Table:
    """Assert one warning per kind of fault, with its place, and that the table is accepted."""
    table = accepted(data, kind, **options)
    file = str(data) if isinstance(data, Path) else f"{kind} (data frame)"
    contract(the(table.log, code, WARN), file=file, row=row, column=column, text=text)
    assert len(table.log.of(code)) == 1
    with pytest.warns(InputWarning, match=code):
        read_table(data, kind, **options)
    return table


def figure(table: Table, column: str | None = None, **where: Any) -> float:
    """The one figure with these labels."""
    frame = table.frame
    for name, label in where.items():
        frame = frame[frame[name] == label]
    assert len(frame) == 1, f"{len(frame)} cells for {where}"
    return float(frame[column or table.value].iloc[0])
