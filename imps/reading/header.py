"""From a grid of text to names and rows: the header, notes below, and what stands around them."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from typing import Any, Final

import numpy as np

from imps.reading.findings import Collector
from imps.reading.grid import (
    Block,
    Grid,
    footer_start,
    is_on_its_side,
    joined_names,
    score,
    stacked_rows,
    turned,
    unpacked,
    without_comments,
    without_repeats,
)
from imps.reading.kinds import Schema
from imps.reading.naming import TITLE, Cells, name_columns
from imps.reading.options import ReadOptions, unit_of

SEARCHED_ROWS: Final = 40

_SCALED: Final = re.compile(r"\b(hundreds|thousands?|millions?)\b|\b000'?s\b|'000\b", re.IGNORECASE)
_BEFORE_UNIT: Final = re.compile(
    r"[\W_]*(units?\W+)?((all )?(figures|numbers|data|estimates)( are)? )?", re.IGNORECASE
)


def find_columns(grid: Grid, schema: Schema, options: ReadOptions, log: Collector) -> Cells | None:
    """Find the header, cut off the notes, and name the columns; faults give None."""
    grid = without_comments(grid, schema, options, log)
    at = _header_position(grid, schema, options, log)
    if at is None:
        return None
    block, below = _block(grid, at, schema, options, log)
    scaled, place = _units_around(grid, at, below)
    if grid.blank_rows:
        log.add("BLANK_ROWS", total=grid.blank_rows)
    if log.failed:
        return None
    if not block.body:
        log.add("NO_DATA_ROWS")
        return None
    cells = name_columns(block, schema, options, log)
    if cells is None or not scaled:
        return cells
    if unit := _unit_alone(scaled):
        return replace(cells, units={**cells.units, TITLE: unit})
    stated = {"unit", "scale"} & set(cells.columns) or cells.units or options.unit
    if not stated:
        log.add("UNIT_NEEDED.title", rows=[place], texts=[scaled])
        return None
    return cells


def _units_around(grid: Grid, at: int, below: int) -> tuple[str, Any]:
    """What titles and notes say of thousands, and in which row; one that says only this first."""
    outside = [*range(at), *range(below, len(grid.cells))]
    texts = [(" ".join(" ".join(grid.cells[i]).split()), grid.rows[i]) for i in outside]
    found = [pair for pair in texts if _SCALED.search(pair[0])]
    alone = [pair for pair in found if _unit_alone(pair[0])]
    return next(iter([*alone, *found]), ("", None))


def _unit_alone(text: str) -> str | None:
    """The unit of a text that states nothing else."""
    return unit_of(text[_BEFORE_UNIT.match(text).end() :].strip("_.:;")) or unit_of(text)  # type: ignore[union-attr]


# Header


def _header_position(
    grid: Grid, schema: Schema, options: ReadOptions, log: Collector
) -> int | None:
    if grid.header_given:
        return 0
    if options.header_row is not None:
        return _declared_header(grid, options.header_row, log)
    first = grid.cells[:SEARCHED_ROWS]
    scores = [score(cells, schema) for cells in first]
    best = int(np.argmax(scores))
    if best > 0 and scores[best] >= 2 and scores[best] > scores[0]:
        row, texts = grid.rows[best], [" ".join(grid.cells[0])]
        log.add("HEADER_ROW", rows=[grid.rows[0]], texts=texts, row=row, names=grid.cells[best])
        return None
    at, number = stacked_rows(first, schema)
    if number > 1 and scores[best] < 2 and options.layout != "transposed":
        log.add(
            "HEADER_ROW.stacked",
            rows=[grid.rows[at]],
            texts=[" ".join(filter(str.strip, grid.cells[at]))],
            row=grid.rows[at],
            last=grid.rows[at + number - 1],
            number=number,
        )
        return None
    return 0


def _declared_header(grid: Grid, row: int, log: Collector) -> int | None:
    if row not in grid.rows:
        log.add("HEADER_ROW.declared", row=row)
        return None
    at = grid.rows.index(row)
    if at:
        log.add("ROWS_SKIPPED.header", rows=grid.rows[:at])
    return at


# Rows below the header


def _block(
    grid: Grid, at: int, schema: Schema, options: ReadOptions, log: Collector
) -> tuple[Block, int]:
    """Names and rows of data in the usual layout, and where in the grid the notes begin."""
    number = (options.header_rows or 1) if not grid.header_given else 1
    stack = [[str(name) for name in row] for row in grid.cells[at : at + number]]
    header = joined_names(stack) if number > 1 else stack[0]
    end = _end(grid, at + number, len(header), options, log)
    block = Block(header, grid.cells[at + number : end], grid.rows[at + number : end])
    if log.failed:
        return block, end
    if not grid.header_given:
        block = without_repeats(block, stack, log)
        _check_widths(block, log)
    if log.failed or not block.body:
        return block, end
    if options.layout == "transposed":
        block = turned(block)
    elif is_on_its_side(block, schema) and options.layout is None:
        log.add("LAYOUT_TRANSPOSED", texts=[row[0] for row in block.body[:5]])
    return unpacked(block, schema, log), end


def _end(grid: Grid, start: int, width: int, options: ReadOptions, log: Collector) -> int:
    """Position behind the last row of data: notes below are cut off if declared, else asked."""
    cells, rows = grid.cells[start:], grid.rows[start:]
    if grid.header_given:
        return len(grid.cells)
    if options.footer_row is not None:
        end = next((i for i, row in enumerate(rows) if row >= options.footer_row), len(rows))
        if rows[end:]:
            log.add("ROWS_SKIPPED.footer", rows=rows[end:])
        return start + end
    notes = footer_start(cells, width)
    if notes is None:
        return len(grid.cells)
    texts = [" ".join(filter(None, cells[notes]))]
    number, row = len(rows) - notes, rows[notes]
    log.add("FOOTER_ROWS", rows=[row], texts=texts, number=number, row=row)
    return start + notes


def _check_widths(block: Block, log: Collector) -> None:
    width = len(block.header)
    bad = [(row, len(c)) for c, row in zip(block.body, block.rows, strict=True) if len(c) != width]
    if not bad:
        return
    if width == 1:
        inside = next(csv.reader(block.header))
        if len(inside) > 1 and all(fields == len(inside) for _, fields in bad):
            log.add("HEADER_QUOTED", texts=block.header)
            return
    log.add(
        "ROW_WIDTH",
        rows=[row for row, _ in bad],
        texts=[f"{n} fields" for _, n in bad],
        fields=bad[0][1],
        width=width,
    )
