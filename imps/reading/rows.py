"""Rows of a table, read and checked: of a file of many areas once, whichever of them is asked for.

A loop over the areas of one file declares another `areas` each time; all that does not depend
on them is kept of the last files, as long as they are the same file with the same options.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from imps.reading.checks import check_rows
from imps.reading.columns import read_columns
from imps.reading.draft import Draft
from imps.reading.files import read_grid
from imps.reading.findings import Collector
from imps.reading.grid import Grid
from imps.reading.header import find_columns
from imps.reading.kinds import Schema
from imps.reading.naming import Cells
from imps.reading.options import ReadOptions

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
