"""Workbooks as grids of text: the values that were saved, never a calculation."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from typing import Any, Final

from imps.reading.findings import Collector
from imps.reading.grid import (
    MAX_BYTES,
    MAX_COLUMNS,
    MAX_ROWS,
    Grid,
    blank_rows,
    column_texts,
    is_blank,
    too_large,
)
from imps.reading.options import ReadOptions, nearest

MAX_CELLS: Final = 20_000_000
_COLUMN_LETTERS: Final = re.compile(rb"""<c[^>]*? r=["']([A-Z]{1,3})[0-9]+["']""")
_ROW_NUMBERS: Final = re.compile(rb""" r=["'][A-Z]{0,3}([0-9]{5,})["']""")
_FAR: Final = re.compile(rb""" r=["'](?:[A-Z]{2,3}[0-9]+|[A-Z]?(?:[7-9][0-9]{5}|[0-9]{7,}))["']""")
"""A cell or row outside A1:Z699999; what lies inside is within the bounds."""

_MARKS: Final = {
    "errors": re.compile(rb"""t=["']e["']"""),
    "formulas": re.compile(rb"<f[ >]"),
    "hidden rows": re.compile(rb"""<row [^>]*hidden=["'](?:1|true)["']"""),
}


def workbook_grid(content: bytes, options: ReadOptions, log: Collector) -> Grid | None:
    """Read one sheet of a workbook as text."""
    import python_calamine as calamine

    if _is_text(content):
        log.add("FILE_NOT_READABLE.not_workbook")
        return None
    marks = _marks(content, log)
    if marks is None:
        return None
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        shown = calamine.SheetVisibleEnum.Visible
        hidden = [s.name for s in book.sheets_metadata if s.visible != shown]
        sheet = _sheet(book.sheet_names, hidden, options, log)
        if sheet is None:
            return None
        raw = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except (calamine.CalamineError, OSError, ValueError, zipfile.BadZipFile):
        log.add("FILE_NOT_READABLE.workbook")
        return None
    if "errors" in marks:
        _restore_errors(content, sheet, raw)
    if "formulas" in marks and _formulas_without_value(content, sheet, raw, log):
        return None
    grid = _grid(raw, log)
    if grid is not None and "hidden rows" in marks:
        _name_hidden_rows(content, sheet, grid, log)
    return grid


def _name_hidden_rows(content: bytes, sheet: str, grid: Grid, log: Collector) -> None:
    """Record rows that a spreadsheet does not show, by hand or by a filter; they are read."""
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(content), data_only=True, keep_links=False)
    shown = book[sheet].row_dimensions
    places = [i for i, row in enumerate(grid.rows) if row in shown and shown[row].hidden]
    if places:
        texts = [" ".join(filter(None, grid.cells[i])) for i in places]
        log.add("HIDDEN_ROWS", rows=[grid.rows[i] for i in places], texts=texts)
    book.close()


def _is_text(content: bytes) -> bool:
    """Whether a file begins like a text or a web page; statistical offices call both .xls."""
    start = content[:1000].removeprefix(b"\xef\xbb\xbf")
    return start.lstrip()[:1] == b"<" or not any(byte < 9 or 13 < byte < 32 for byte in start)


def _sheet(names: list[str], hidden: list[str], options: ReadOptions, log: Collector) -> str | None:
    """The chosen sheet, or the only one."""
    if options.sheet is None and len(names) == 1:
        return names[0]
    if options.sheet in names:
        return options.sheet
    if options.sheet is None:
        seen = [n for n in names if n not in hidden] or names
        words = [f"{n!r} (hidden)" if n in hidden else repr(n) for n in names]
        log.add("SHEET_NEEDED", number=len(names), sheets=words, likely=seen[-1] if seen else "")
    else:
        log.add(
            "SHEET_UNKNOWN",
            texts=[options.sheet],
            sheets=[repr(n) for n in names],
            instead=nearest(options.sheet, names),
        )
    return None


def _marks(content: bytes, log: Collector) -> set[str] | None:
    """Whether errors and formulas stand on the sheets of a workbook; None if out of bounds."""
    found: set[str] = set()
    if not content.startswith(b"PK"):
        return found
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            sizes = {part.filename: part.file_size for part in parts.infolist()}
            if sum(sizes.values()) > 2 * MAX_BYTES:
                too_large(log, f"{sum(sizes.values()):,} bytes when unpacked")
                return None
            for name in sizes:  # reading also finds a part that is longer than it says
                xml = parts.read(name)
                if name.startswith("xl/worksheets/"):
                    if not _sheet_bounded(xml, log):
                        return None
                    found |= {what for what, mark in _MARKS.items() if mark.search(xml)}
    except (zipfile.BadZipFile, EOFError, zlib.error):
        log.add("FILE_NOT_READABLE.damaged", what="workbook")
        return None
    except (OSError, NotImplementedError, RuntimeError, ValueError):
        pass  # the reader says what is wrong with it
    return found


def _sheet_bounded(xml: bytes, log: Collector) -> bool:
    if not _FAR.search(xml):
        return True
    letters = set(_COLUMN_LETTERS.findall(xml))
    width = max((_column_number(name) for name in letters), default=0)
    height = max(map(int, set(_ROW_NUMBERS.findall(xml))), default=0)
    if width > MAX_COLUMNS or height > MAX_ROWS or width * height > MAX_CELLS:
        too_large(log, f"{height:,} rows and {width:,} columns on one sheet")
        return False
    return True


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _restore_errors(content: bytes, sheet: str, raw: list[list[Any]]) -> None:
    """Put back the errors of a spreadsheet, such as #REF!, which the reader takes for empty."""
    import openpyxl

    book = openpyxl.load_workbook(
        io.BytesIO(content), read_only=True, data_only=True, keep_links=False
    )
    errors = (c for row in book[sheet].iter_rows() for c in row if c.data_type == "e")
    for cell in errors:
        if cell.row <= len(raw) and cell.column <= len(raw[cell.row - 1]):
            raw[cell.row - 1][cell.column - 1] = str(cell.value)
    book.close()


def _formulas_without_value(
    content: bytes, sheet: str, raw: list[list[Any]], log: Collector
) -> bool:
    """Record formulas that were never calculated: their cells have no value to read."""
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
    bare: list[tuple[int, str, str]] = []
    for row in book[sheet].iter_rows():
        for cell in row:
            if getattr(cell, "data_type", "") == "f" and not _has_value(raw, cell):
                bare.append((cell.row, f"{sheet}!{cell.coordinate}", str(cell.value)))
    book.close()
    if bare:
        log.add(
            "CELL_HAS_NO_VALUE.formula",
            rows=[row for row, _, _ in bare],
            texts=[text for _, _, text in bare],
            cells=[place for _, place, _ in bare],
        )
    return bool(bare)


def _has_value(raw: list[list[Any]], cell: Any) -> bool:
    row, column = cell.row - 1, cell.column - 1
    return row < len(raw) and column < len(raw[row]) and raw[row][column] not in ("", None)


def _grid(raw: list[list[Any]], log: Collector) -> Grid | None:
    """The cells of a sheet as text; columns and rows without any text are left out."""
    columns = [column_texts(column) for column in zip(*raw, strict=True)]
    while columns and is_blank(columns[-1]):
        columns.pop()
    texts = list(map(list, zip(*columns, strict=True)))
    blank = blank_rows(texts)
    rows = [i for i in range(len(texts)) if i not in blank]
    if not rows:
        log.add("FILE_EMPTY.sheet")
        return None
    cells, places = [texts[i] for i in rows], [i + 1 for i in rows]
    return Grid(cells, places, False, _blank(rows), container="workbook")


def _blank(rows: list[int]) -> int:
    return rows[-1] + 1 - len(rows)
