"""A table on its way: a grid of text with spreadsheet rows and bounds, then labels and figures."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.reading.findings import SHOWN, Collector
from imps.reading.kinds import Schema
from imps.reading.labels import ALL_AGES, NO_AGE
from imps.reading.options import ReadOptions

MAX_BYTES: Final = 200_000_000
MAX_ROWS: Final = 1_048_576
MAX_COLUMNS: Final = 2_000
MAX_TEXT: Final = 32_767
"""Bytes of the longest cell; the limit of spreadsheets."""


@dataclass(frozen=True)
class Grid:
    """A table as text, before anything is interpreted.

    Attributes
    ----------
    cells : list of lists of str
        One list per row that is not blank; the rows may differ in width.
    rows : list
        Spreadsheet row of each, or index label of a data frame.
    header_given : bool
        Whether the first row is known to be the header (data frames, Parquet).
    blank_rows : int
        Blank lines that were left out.
    file_hash : str
        SHA-256 of the bytes that were read; empty for a data frame.
    container : str
        "text", "workbook", "parquet" or "frame".
    """

    cells: list[list[str]]
    rows: list[Any]
    header_given: bool
    blank_rows: int = 0
    file_hash: str = ""
    container: str = "text"


def too_large(log: Collector, what: str) -> None:
    """Record that a table is beyond the bounds."""
    log.add("TOO_LARGE", size=what)


def is_blank(cells: Sequence[str]) -> bool:
    """Whether no cell of a row or column has text in it."""
    return not any(map(str.strip, cells))


def blank_rows(cells: Sequence[Sequence[str]]) -> set[int]:
    """Positions of the blank rows; the first cell of most shows that they are none."""
    unclear = (i for i, row in enumerate(cells) if not row or not row[0].strip())
    return {i for i in unclear if is_blank(cells[i])}


def object_array(items: Sequence[Any]) -> np.ndarray:
    """A flat array of the items as they are, tuples among them."""
    return np.fromiter(items, dtype=object, count=len(items))


def is_missing(value: Any) -> bool:
    """Whether a typed cell holds nothing: None, NaN, NaT or NA."""
    return value is None or value is pd.NA or value is pd.NaT or (value != value) is True


def column_texts(column: Sequence[Any]) -> Sequence[str]:
    """A column as text; of one kind, as in long tables, each distinct cell is written once."""
    kinds = set(map(type, column))
    if kinds == {str}:
        return column
    if kinds in ({float}, {int}):
        texts = {value: cell_text(value) for value in set(column)}
        return [texts[value] for value in column]
    return list(map(cell_text, column))


def cell_text(value: Any) -> str:
    """A typed cell as the text that stands for it in a CSV file."""
    kind = type(value)
    if kind is str:
        return value
    if kind is float and value == value:
        return number_text(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, decimal.Decimal):
        return "" if value.is_nan() else format(value, "f")
    if is_missing(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return number_text(float(value))
    if isinstance(value, dt.datetime):
        return value.date().isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    return _other_text(value)


def _other_text(value: Any) -> str:
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[D]"))
    if isinstance(value, dt.time | dt.timedelta | np.timedelta64 | pd.Interval | pd.Period):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not one number or text")


def number_text(value: float) -> str:
    """A number in full, without an exponent where it is exact without one."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = repr(value)
    if "e" in text and np.isfinite(value):
        return np.format_float_positional(value, trim="-")
    return text


ROW: Final = "_row"
FIRST: Final = "_first"
END: Final = "_end"


@dataclass
class Draft:
    """A table on its way from text to figures.

    Attributes
    ----------
    frame : DataFrame
        Figures and labels with the row of each in `_row`.
    schema, options, log
        What is expected, what was declared, what was found.
    headers : dict of str to str
        Header of each column as it stands in the file.
    metadata : dict of str to str
        Unit, period, geography and the like.
    unit_stated : bool
        Whether the unit was declared or stands in the file.
    """

    frame: pd.DataFrame
    schema: Schema
    options: ReadOptions
    log: Collector
    headers: dict[str, str]
    metadata: dict[str, str] = field(default_factory=dict)
    unit_stated: bool = False

    def find(
        self, mask: Any, code: str, *, column: str = "", texts: Any = None, **fields: Any
    ) -> bool:
        """Record a finding about the rows where `mask` holds; whether there are any."""
        chosen = np.asarray(mask)
        if not chosen.any():
            return False
        rows = self.frame[ROW].to_numpy()[chosen]
        if texts is None and column in self.frame:
            texts = [_text(v) for v in self.frame[column].to_numpy()[chosen][:SHOWN]]
        self.add(code, column=column, rows=rows, texts=() if texts is None else texts, **fields)
        return True

    def add(self, code: str, *, column: str = "", **more: Any) -> None:
        """Record a finding about a column, under its header in the file; see `Collector.add`."""
        self.log.add(code, column=self.headers.get(column, column), **more)


def is_all_ages(frame: pd.DataFrame) -> pd.Series:
    """Rows that hold the total of all ages."""
    return frame[FIRST] == ALL_AGES[0]


def has_no_age(frame: pd.DataFrame) -> pd.Series:
    """Rows of people whose age is not stated."""
    return frame[FIRST] == NO_AGE[0]


def _text(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)
