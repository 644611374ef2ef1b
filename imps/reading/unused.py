"""Options that have no effect on a table are refused: whoever set one believes that it has.

Which kinds of table use an option stands in :data:`imps.reading.options.USED_BY`. What
it needs of the file stands in one row of `NEEDS`; options that matter only where a text occurs,
such as codes, are noted by the reader that used them (`Collector.use`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from imps.reading.draft import Draft
from imps.reading.grid import Grid
from imps.reading.naming import Cells


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
