"""Rows of a table, read and checked: of a file of many areas once, whichever of them is asked for.

A loop over the areas of one file declares another `areas` each time; all that does not depend
on them is kept of the last files, as long as they are the same file with the same options.

Options that have no effect on a table are refused: whoever set one believes that it has. Which
kinds of table use an option stands in :data:`imps.reading.options.USED_BY`. What it needs of the
file stands in one row of `NEEDS`; options that matter only where a text occurs, such as codes,
are noted by the reader that used them (`Collector.use`).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import pandas as pd

from imps.reading.checks import check_rows
from imps.reading.columns import read_columns
from imps.reading.files import read_grid
from imps.reading.findings import Collector
from imps.reading.grid import Draft, Grid
from imps.reading.header import find_columns
from imps.reading.kinds import Schema
from imps.reading.naming import Cells
from imps.reading.options import ACCOUNT_YEAR, ReadOptions


class Need(NamedTuple):
    """What an option needs to matter, in words, and whether it is there."""

    words: str
    met: Callable[[Grid, Cells, Draft], bool]


def _column(*names: str) -> Need:
    return Need(f"there is no column '{names[0]}'",
                lambda grid, cells, draft: any(n in cells.columns for n in names))  # fmt: skip


def _read(option: str, words: str) -> Need:
    return Need(words, lambda grid, cells, draft: option in draft.log.used)


def _declared(name: str) -> Need:
    """A constant stands in for a column; beside that column it would say nothing."""
    return Need(
        f"the file has its own column '{name}', or tables of this kind have none",
        lambda grid, cells, draft: name in cells.constants,
    )


_TEXT: Final = Need("the file is no text", lambda grid, cells, draft: grid.container == "text")
_LINES: Final = Need("the table has its names", lambda grid, cells, draft: not grid.header_given)

NEEDS: Final[Mapping[str, Need]] = MappingProxyType(
    {
        "sheet": Need("the file is no workbook", lambda grid, *_: grid.container == "workbook"),
        "header_row": _LINES,
        "header_rows": _LINES,
        "footer_row": _LINES,
        "encoding": _TEXT,
        "delimiter": _TEXT,
        "comment": _LINES,
        "layout": Need(
            "no column is named after a year, an age or a sex",
            lambda grid, cells, draft: draft.options.layout != "wide" or "layout" in draft.log.used,
        ),
        "sign": _read("sign", "no figure of emigration is negative"),
        "split_year": _read("split_year", "no year is written like 2011/12"),
        "century": _read("century", "no year has two digits"),
        "source": _declared("source"),
        "flow": _declared("flow"),
        "missing": _read("missing", "none of its codes occurs"),
        "flags": _read("flags", "none of its suffixes occurs"),
        "sex_codes": _read("sex_codes", "none of its codes occurs"),
        "age_codes": _read("age_codes", "none of its codes occurs"),
        "not_stated": _read("not_stated", "everybody's age and sex is stated"),
        "year_mark": _read("year_mark", "no year is written like 2002- or 2002+"),
        "open_age": _column("age", "age_group"),
        "rounding_kind": Need(
            "rounding is not declared", lambda grid, cells, draft: bool(draft.options.rounding)
        ),
        "level": _column("half_width", "lower", "upper"),
        "bounds": _column("lower", "upper"),
        "cv_unit": _column("cv"),
        "sex_ratio": Need(
            "it is for births that come without sex",
            lambda grid, cells, draft: "sex_ratio" in draft.metadata,
        ),
        "year_ends": Need(
            "its period is not account-year",
            lambda grid, cells, draft: draft.options.period in (None, ACCOUNT_YEAR),
        ),
        "areas": _column("area"),
        "area_totals": _column("area"),
    }
)


def refuse_unused(grid: Grid, cells: Cells, draft: Draft) -> None:
    """Refuse every declared option that this table does not use, by name."""
    for name in sorted(draft.options.model_fields_set):
        need = NEEDS.get(name)
        value = getattr(draft.options, name)
        if (
            need is not None
            and value not in (None, (), {}, False)
            and not need.met(grid, cells, draft)
        ):
            draft.log.add(
                "OPTION_UNUSED.here", column=name, texts=[_as_written(value)], why=need.words
            )


def _as_written(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | dict) else str(value)


FILES: Final = 8
"""Files of many areas that are kept: about those of one project."""
LARGEST: Final = 500_000
"""Rows of a file above which it is read each time."""


class Rows(NamedTuple):
    """What was read, as text and as figures, and whether the checks came to their end."""

    grid: Grid
    cells: Cells
    draft: Draft
    whole: bool


_KEPT: OrderedDict[Hashable, Rows] = OrderedDict()


def rows_of(data: Any, expected: Schema, declared: ReadOptions, log: Collector) -> Rows | None:
    """Rows of a file or data frame with what was found in them; None if it cannot be read."""
    key = _key(data, expected, declared, log)
    if key in _KEPT:
        _KEPT.move_to_end(key)
        return _with(_KEPT[key], declared, log)
    grid = read_grid(data, declared, log)
    cells = find_columns(grid, expected, declared, log) if grid else None
    if grid is None or cells is None:
        return None
    draft = read_columns(cells, expected, declared, log)
    read = Rows(grid, cells, draft, check_rows(draft))
    if key is not None and len(draft.frame) <= LARGEST:
        _KEPT[key] = _with(read, declared, Collector())
        if len(_KEPT) > FILES:
            _KEPT.popitem(last=False)
    return read


def _key(data: Any, expected: Schema, declared: ReadOptions, log: Collector) -> Hashable:
    """The file as it is on the disk and all that is declared of it but the areas; or None."""
    if not declared.areas or log.findings or isinstance(data, pd.DataFrame):
        return None
    try:
        stat = os.stat(Path(data))
    except (OSError, ValueError):
        return None
    options = declared.model_copy(update={"areas": ()}).model_dump_json()
    place = (os.path.abspath(data), stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return (*place, expected.kind, log.file, options)


def _with(read: Rows, declared: ReadOptions, log: Collector) -> Rows:
    """A copy that may be worked on, with its findings told to another log."""
    old = read.draft
    log.findings.extend(old.log.findings)
    log.used |= old.log.used
    log.place_word = old.log.place_word
    draft = replace(old, frame=old.frame.copy(), options=declared, log=log,
                    headers=dict(old.headers), metadata=dict(old.metadata))  # fmt: skip
    return read._replace(draft=draft)
