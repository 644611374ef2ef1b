"""A table on its way: a grid of text with spreadsheet rows and bounds, then labels and figures.

Where a table is not one row of names above rows of cells, each step takes a block of text and
gives one that is nearer to that: comments and repeated names are left out, names that stand one
above the other are joined, a table on its side is turned, and a column of several labels is
divided.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.reading.findings import SHOWN, Collector
from imps.reading.kinds import Schema, column_name
from imps.reading.labels import ALL_AGES, NO_AGE, read_age, read_period, read_sex
from imps.reading.numbers import read_number
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


STACK: Final = " / "
"""Between names that stood one above the other."""

_PACKED: Final = (",", ";", "|")
_SHEET_ERROR: Final = re.compile(r"#[A-Z0-9/]+[!?]?$")
_FOOTER: Final = re.compile(
    r"^(sources?|notes?|footnotes?|copyright|©|crown copyright|contact|n\.?b\.?|\[note|released|"
    r"this (table|worksheet)|table information|data (are|is)|download)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Block:
    """Names and the rows below them; `rows` are their places."""

    header: list[str]
    body: list[list[str]]
    rows: list[Any]


def score(cells: Sequence[str], schema: Schema) -> int:
    """How many columns of a kind of table a row of texts names."""
    names = {schema.aliases.get(name, name) for name in (column_name(c)[0] for c in cells)}
    return len(names & set(schema.known))


def without_comments(grid: Grid, schema: Schema, options: ReadOptions, log: Collector) -> Grid:
    """Leave out lines that are declared to be comments, and ask about those that seem to be."""
    mark = options.comment or "#"
    firsts = {row[0] for row in grid.cells if row and row[0].lstrip().startswith(mark)}
    if grid.header_given or not firsts:
        return grid
    found = [
        i
        for i, row in enumerate(grid.cells)
        if row[0] in firsts
        and (options.comment or not (_SHEET_ERROR.match(row[0]) or score(row, schema) > 1))
    ]
    rows = [grid.rows[i] for i in found]
    if options.comment is None:
        if found:
            log.add("COMMENT_LINES", rows=rows, texts=[grid.cells[i][0] for i in found])
        return grid
    log.add("ROWS_SKIPPED.comments", rows=rows)
    kept = [i for i in range(len(grid.cells)) if i not in set(found)]
    return replace(grid, cells=[grid.cells[i] for i in kept], rows=[grid.rows[i] for i in kept])


# Names above the figures


def stacked_rows(cells: list[list[str]], schema: Schema) -> tuple[int, int]:
    """Position and number of rows of labels right above the first row of figures; 0 if none.

    Rows of names belong to them if they label columns by sex, age or year, or name a column.
    """
    first = next((i for i, row in enumerate(cells) if _is_figures(row)), 0)
    at = first
    while at > 0 and len(cells[at - 1]) == len(cells[first]) and _labels(cells[at - 1], schema):
        at -= 1
    return at, first - at


def _is_figures(row: list[str]) -> bool:
    """Whether a row begins with a label and holds numbers behind it that are no years or ages."""
    numbers = [cell for cell in row[1:] if read_number(cell).value is not None]
    labels = [cell for cell in numbers if read_period(cell).value or read_age(cell).value]
    return bool(row) and bool(row[0].strip()) and len(numbers) > max(1, len(labels))


def _labels(row: list[str], schema: Schema) -> bool:
    """Whether the texts of a row label columns: sexes, ages or years, or names of columns."""
    texts = {cell.strip() for cell in row} - {""}
    labelled = [t for t in texts if read_sex(t).value or read_age(t).value or read_period(t).value]
    return bool(texts) and len(labelled) + score(list(texts), schema) >= len(texts) / 2


def joined_names(stack: list[list[str]]) -> list[str]:
    """One name for each column from rows of names; a name above goes on to the right."""
    width = max(map(len, stack))
    levels = []
    for k, row in enumerate(stack):
        above, level = "", []
        for cell in [*row, *[""] * (width - len(row))]:
            above = cell.strip() or (above if k < len(stack) - 1 else "")
            level.append(above)
        levels.append(level)
    return [STACK.join(filter(None, names)) for names in zip(*levels, strict=True)]


# Rows that are no data


def footer_start(cells: list[list[str]], width: int) -> int | None:
    """Position of the first row of a block of notes that runs to the end."""
    short = (i for i, row in enumerate(cells) if width > 1 and (len(row) != width or "" in row))
    odd = {i for i in short if sum(bool(cell.strip()) for cell in cells[i]) == 1}
    firsts = {row[0].strip() for row in cells if row}
    if not odd and "" not in firsts and not any(map(_FOOTER.match, firsts)):
        return None
    last = next((i for i in range(len(cells) - 1, -1, -1) if _looks_like_data(cells[i], width)), -1)
    for i in range(last + 1, len(cells)):
        first = next((c.strip() for c in cells[i] if c.strip()), "")
        alone = i in odd and (" " in first or first.endswith(":"))
        if not first[:1].isdigit() and (alone or _FOOTER.match(first)):
            return i
    return None


def _looks_like_data(row: list[str], width: int) -> bool:
    filled = sum(bool(c.strip()) for c in row)
    numbers = sum(read_number(c).value is not None for c in row)
    return len(row) == width and filled >= min(width, 3) and numbers >= min(width - 1, 2)


def without_repeats(block: Block, names: Sequence[Sequence[str]], log: Collector) -> Block:
    """Leave out rows that repeat the names, as tables do that were printed on pages."""
    again = {tuple(row) for row in names}
    firsts = {row[0] for row in again if row}
    found = [
        i for i, row in enumerate(block.body) if row and row[0] in firsts and tuple(row) in again
    ]
    if not found:
        return block
    log.add("ROWS_SKIPPED.repeated", rows=[block.rows[i] for i in found])
    kept = [i for i in range(len(block.body)) if i not in set(found)]
    return replace(block, body=[block.body[i] for i in kept], rows=[block.rows[i] for i in kept])


# Tables on their side, columns of several labels


def is_on_its_side(block: Block, schema: Schema) -> bool:
    """Whether the names of columns run down the first column."""
    down = [block.header[0], *(row[0] for row in block.body[:40] if row)] if block.header else []
    return score(down, schema) >= 2 and score(down, schema) > score(block.header, schema)


def turned(block: Block) -> Block:
    """A table on its side, turned: its first column holds the names."""
    header, *body = map(list, zip(block.header, *block.body, strict=True))
    return Block(header, body, [f"column {number}" for number in range(2, len(body) + 2)])


def unpacked(block: Block, schema: Schema, log: Collector) -> Block:
    """Divide columns of several labels, such as "freq,unit,age,sex,geo" of Eurostat.

    What stands behind a backslash in such a name says what the other columns are.
    """
    for j, text in enumerate(block.header if len(block.header) > 1 and block.body else []):
        names, _, across = text.partition("\\")
        mark = next((m for m in _PACKED if m in names), "")
        parts = [name.strip() for name in names.split(mark)] if mark else []
        if not parts or not (across or score(parts, schema) > 1):
            continue
        cells = [row[j].split(mark) for row in block.body]
        if any(len(cell) != len(parts) for cell in cells):
            continue
        log.add("PACKED_KEY", column=text, total=len(cells), names=parts)
        body = [
            [*row[:j], *map(str.strip, cell), *row[j + 1 :]]
            for row, cell in zip(block.body, cells, strict=True)
        ]
        return replace(block, header=[*block.header[:j], *parts, *block.header[j + 1 :]], body=body)
    return block
