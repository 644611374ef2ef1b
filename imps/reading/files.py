"""Files as grids of text: CSV, XLSX, Parquet and data frames, read as text first.

Nothing is interpreted here. A grid holds every cell as the text a reader sees,
with the row number that a spreadsheet shows (a quoted line break does not start
a new row) or the index label of a data frame. Files are data only: no formula,
link or object in them is ever evaluated or fetched, and sizes are bounded.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pandas as pd

from imps.reading.findings import Collector
from imps.reading.grid import (
    MAX_BYTES,
    MAX_COLUMNS,
    MAX_ROWS,
    MAX_TEXT,
    Grid,
    blank_rows,
    column_texts,
    is_missing,
    object_array,
    too_large,
)
from imps.reading.options import ENCODINGS, ReadOptions
from imps.reading.workbook import workbook_grid

_SINGLE_BYTE: Final = ("cp1252", "latin-1", "iso-8859-15")
SPREADSHEETS: Final = (".xlsx", ".xlsm", ".xls", ".ods")
_SIGNATURES: Final = (
    (b"PK\x03\x04", "an Excel workbook", ".xlsx"),
    (b"PAR1", "a Parquet file", ".parquet"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", ".xls"),
    (b"%PDF", "a PDF document", ".pdf"),
    (b"\x1f\x8b", "a compressed file", ".gz"),
)


def read_grid(
    data: str | os.PathLike[str] | pd.DataFrame, options: ReadOptions, log: Collector
) -> Grid | None:
    """Read a file or data frame as text; faults go to the log and give None."""
    if isinstance(data, pd.DataFrame):
        return frame_grid(data, log)
    path = Path(data)
    content = _bytes(path, log)
    if content is None:
        return None
    suffix = path.suffix.lower()
    if suffix == ".tsv" and options.delimiter is None:
        options = options.model_copy(update={"delimiter": "\t"})
    grid = _file_grid(content, suffix, options, log)
    return grid and replace(grid, file_hash=hashlib.sha256(content).hexdigest())


def _file_grid(content: bytes, suffix: str, options: ReadOptions, log: Collector) -> Grid | None:
    if suffix == ".parquet":
        return _parquet_grid(content, log) if _is_parquet(content, log) else None
    if suffix in SPREADSHEETS:
        return workbook_grid(content, options, log)
    if suffix not in (".csv", ".txt", ".tsv"):
        log.add("FILE_KIND_UNKNOWN", suffix=suffix)
        return None
    return _text_grid(content, options, log)


def _bytes(path: Path, log: Collector) -> bytes | None:
    """The content of a file, or None after a finding."""
    text = str(path)
    if "://" in log.file or (":/" in text[1:8] and text.startswith(("http", "ftp", "s3"))):
        _unreadable(log, "it is an address, and nothing is ever fetched")
        return None
    try:
        if path.is_dir():
            _unreadable(log, "it is a folder, not a file")
            return None
        if not path.exists():
            _absent(log, text)
            return None
        size = path.stat().st_size
        if not path.is_file():
            _unreadable(log, "it is not an ordinary file")
            return None
        if size > MAX_BYTES:
            log.add("TOO_LARGE.bytes", size=size, most=MAX_BYTES)
            return None
        content = path.read_bytes()
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or "its name is not a path"
        _unreadable(log, f"it may not be read ({reason.lower()})")
        return None
    if not content:
        log.add("FILE_EMPTY.bytes")
        return None
    return content


def _unreadable(log: Collector, why: str) -> None:
    log.add("FILE_NOT_READABLE", why=why)


def _absent(log: Collector, path: str) -> None:
    """No such file; a backslash of Windows is not a separator everywhere, and "\\b" is none."""
    if "\\" in path or not path.isprintable():
        log.add("FILE_NOT_READABLE.slashes")
    else:
        _unreadable(log, "there is no such file")


def _is_parquet(content: bytes, log: Collector) -> bool:
    """Whether the content starts as its name says."""
    good = content.startswith(b"PAR1")
    if not good:
        log.add("FILE_NOT_READABLE.not_parquet")
    return good


# Text files


def _text_grid(content: bytes, options: ReadOptions, log: Collector) -> Grid | None:
    for signature, what, ending in _SIGNATURES:
        if content.startswith(signature):
            log.add("NOT_TEXT", what=what, ending=ending)
            return None
    text = _decoded(content, options, log)
    if text is None:
        return None
    delimiter = _delimiter(text, options, log)
    grid = None if delimiter is None else _split(text, delimiter, log)
    if grid is not None and not text.endswith(("\n", "\r")):
        _name_last_line(grid, log)
    return grid


def _name_last_line(grid: Grid, log: Collector) -> None:
    """A last line without an end may be cut off; a figure shorter than all before it looks so."""
    last = grid.cells[-1]
    above = [row[len(last) - 1].strip() for row in grid.cells[-200:-1] if len(row) == len(last)]
    figures = [text for text in above if text[:1].isdigit()]
    short = last[-1].strip().isdigit() and len(figures) > 1
    short = short and len(last[-1].strip()) < min(map(len, figures))
    code = "LAST_LINE.short" if short else "LAST_LINE"
    log.add(code, rows=[grid.rows[-1]], texts=[last[-1]])


def _decoded(content: bytes, options: ReadOptions, log: Collector) -> str | None:
    """The text of a file, without a byte-order mark; None after a finding."""
    encoding = options.encoding or "utf-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) and options.encoding is None:
        _encoding_unknown(log, 1, "UTF-16", "utf-16")
        return None
    if encoding == "utf-8" and content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
        log.add("BYTE_ORDER_MARK")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as fault:
        row = _row_of(content, fault.start)
        _encoding_unknown(log, row, "Windows-1252", "cp1252", options.encoding)
        return None
    if options.encoding in _SINGLE_BYTE and _is_utf8(content):
        _encoding_unknown(log, _first_row_beyond_ascii(content), "UTF-8", "utf-8", options.encoding)
        return None
    if (at := text.find("\0")) >= 0:
        before = text[:at].encode()
        place = at - max(text.rfind("\n", 0, at), text.rfind("\r", 0, at))
        log.add("NOT_TEXT.nulls", rows=[_row_of(before, len(before))], place=place)
        return None
    return text.removeprefix("\ufeff")


def _is_utf8(content: bytes) -> bool:
    """Whether bytes beyond ASCII form UTF-8 text, which they hardly do by chance."""
    if content.isascii():
        return False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _first_row_beyond_ascii(content: bytes) -> int:
    return _row_of(content, next(i for i, byte in enumerate(content) if byte > 127))


def _row_of(content: bytes, position: int) -> int:
    before = content[:position].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    quoted = before.decode("latin-1").split('"')[1::2]
    return before.count(b"\n") + 1 - sum(part.count("\n") for part in quoted)


def _encoding_unknown(
    log: Collector, row: int, guess: str, option: str, declared: str | None = None
) -> None:
    log.add(
        "ENCODING_UNKNOWN",
        rows=[row],
        declared=declared or "UTF-8",
        guess=guess,
        option=option,
        encodings=ENCODINGS,
    )


_DELIMITERS: Final = MappingProxyType(
    {";": "semicolons", "\t": "tabs", "|": "bars", "blanks": "runs of blanks"}
)


def _delimiter(text: str, options: ReadOptions, log: Collector) -> str | None:
    """The delimiter in use; one that looks like another is asked for."""
    if options.delimiter:
        return options.delimiter
    lines = [line for line in text[:20_000].splitlines()[:40] if line.strip()]
    if not lines:
        return ","
    counts = {mark: sum(mark in line for line in lines) for mark in (",", ";", "\t", "|")}
    counts["blanks"] = sum(len(_columns_of(line)) > 2 for line in lines) if len(lines) > 1 else 0
    if counts[","] > 1:  # blanks may pad cells between commas
        counts["blanks"] = 0
    other = max(_DELIMITERS, key=lambda mark: counts[mark])
    first = lines[0]
    if counts[other] > len(lines) / 2 and (
        counts[other] > counts[","] or first.count(other) > first.count(",")
    ):
        written = {"\t": "\\t"}.get(other, other)
        decimal = ' and decimal = "," or "."' if other == ";" else ""
        log.add("DELIMITER", rows=[1], texts=[first], name=_DELIMITERS[other], mark=written,
                decimal=decimal)  # fmt: skip
        return None
    return ","


_BLANKS: Final = (re.compile(r"\s+"), re.compile(r"\s{2,}|\t"))


def _columns_of(line: str) -> list[str]:
    """Cells that are divided by two blanks or more."""
    return _BLANKS[1].split(line.strip())


def _padded(text: str) -> list[list[str]]:
    """Rows of a text whose columns are padded with blanks.

    Single blanks divide cells too, unless fewer rows then have the usual number of cells: they
    stand inside labels.
    """
    lines = [line.strip() for line in text.splitlines()]
    found = []
    for blanks in _BLANKS:
        rows = [blanks.split(line) if line else [] for line in lines]
        widths = Counter(map(len, filter(None, rows)))
        width, often = max(widths.items(), key=lambda pair: pair[1], default=(0, 0))
        found.append((often if width > 1 else 0, rows))
    return max(found, key=lambda pair: pair[0])[1]


def _split(text: str, delimiter: str, log: Collector) -> Grid | None:
    """Cut a text into rows and cells; blank rows are counted and left out."""
    records: list[list[str]] = []
    reader: Iterable[list[str]] = (
        _padded(text)
        if delimiter == "blanks"
        else csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    )
    row = 0
    try:
        for row, record in enumerate(reader, start=1):
            records.append(record)
            if row > MAX_ROWS:
                too_large(log, f"more than {MAX_ROWS:,} rows")
                return None
            if len(record) > MAX_COLUMNS:
                too_large(log, f"more than {MAX_COLUMNS:,} columns in row {row}")
                return None
    except csv.Error as fault:
        if "field limit" in str(fault):
            too_large(log, f"a cell of more than {csv.field_size_limit():,} characters")
            return None
        log.add("QUOTES_UNBALANCED", rows=[row + 1])
        return None
    blank = blank_rows(records)
    if len(blank) == len(records):
        log.add("FILE_EMPTY.blank")
        return None
    rows = [i for i in range(len(records)) if i not in blank]
    return Grid([records[i] for i in rows], [i + 1 for i in rows], False, len(blank))


# Parquet and data frames


def _parquet_grid(content: bytes, log: Collector) -> Grid | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        kinds = [file.schema.column(j) for j in range(len(file.schema))]
        texts = [kind.path for kind in kinds if kind.physical_type == "BYTE_ARRAY"]
        file = pq.ParquetFile(io.BytesIO(content), read_dictionary=texts)
        if file.metadata.num_rows > MAX_ROWS:
            too_large(log, f"{file.metadata.num_rows:,} rows")
            return None
        if file.metadata.num_columns > MAX_COLUMNS:
            too_large(log, f"{file.metadata.num_columns:,} columns")
            return None
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        size = sum(group.total_byte_size for group in groups)
        if size > 2 * MAX_BYTES:
            too_large(log, f"{size:,} bytes once unpacked")
            return None
        table = file.read()
        if _longest_text(table) > MAX_TEXT:
            too_large(log, f"a cell of more than {MAX_TEXT:,} bytes")
            return None
        columns = [_unpacked(column) for column in table.columns]
    except (pa.ArrowException, OSError, ValueError, UnicodeDecodeError):
        _unreadable(log, "the Parquet file is damaged")
        return None
    rows = list(range(2, table.num_rows + 2))
    names = [str(name) for name in table.column_names]
    return _typed_grid(names, columns, rows, 1, log, "parquet")


def _longest_text(table: Any) -> int:
    """Bytes of the longest text; each distinct one is stored once, however often it occurs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    longest = 0
    for column in table.columns:
        for chunk in column.chunks:
            texts = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else None
            if texts is not None and len(texts):
                longest = max(longest, pc.max(pc.binary_length(texts)).as_py() or 0)
    return longest


def _unpacked(column: Any) -> list[Any]:
    """The cells of a column; each distinct one is unpacked once."""
    import pyarrow as pa

    try:
        coded = column.dictionary_encode().combine_chunks()
    except pa.ArrowNotImplementedError:  # lists and the like
        return column.to_pylist()
    distinct = object_array([*coded.dictionary.to_pylist(), None])
    return distinct[coded.indices.fill_null(len(distinct) - 1).to_numpy()].tolist()


def frame_grid(frame: pd.DataFrame, log: Collector) -> Grid | None:
    """A data frame as text; the frame is not changed."""
    log.place_word = "index label"
    if isinstance(frame.columns, pd.MultiIndex):
        log.add("COLUMN_MISSING.levels", levels=frame.columns.nlevels)
        return None
    if len(frame) > MAX_ROWS or frame.shape[1] > MAX_COLUMNS:
        too_large(log, f"{len(frame):,} rows and {frame.shape[1]:,} columns")
        return None
    columns = [_plain_list(frame.iloc[:, j]) for j in range(frame.shape[1])]
    names = ["" if is_missing(name) else str(name) for name in frame.columns]
    return _typed_grid(names, columns, list(frame.index), "columns", log, "frame")


def _plain_list(series: pd.Series) -> list[Any]:
    return series.astype(object).tolist()


def _typed_grid(
    names: list[str],
    columns: list[list[Any]],
    rows: list[Any],
    top: Any,
    log: Collector,
    container: str,
) -> Grid | None:
    """A grid from typed columns, with the header as its first row."""
    if not names:
        log.add("FILE_EMPTY.columns")
        return None
    texts = []
    for name, column in zip(names, columns, strict=True):
        try:
            texts.append(column_texts(column))
        except TypeError:
            log.add("CELL_NOT_PLAIN", column=name)
    if log.failed:
        return None
    cells = list(map(list, zip(*texts, strict=True)))
    kept = [i for i, row in enumerate(cells) if any(row)]
    if len(kept) < len(cells):
        cells, rows = [cells[i] for i in kept], [rows[i] for i in kept]
    left_out = len(texts[0]) - len(kept)
    return Grid([names, *cells], [top, *rows], True, left_out, container=container)
