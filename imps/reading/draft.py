"""A table on its way from text to figures, and what to say of a cell that cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.reading.findings import Collector
from imps.reading.kinds import Schema
from imps.reading.options import ReadOptions

ROW: Final = "_row"
FIRST: Final = "_first"
END: Final = "_end"

ADVICE: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "NUMBER_UNREADABLE": (
            "is not a number; expected digits with an optional sign and decimal mark",
            'Correct the cell, or declare its suffix, such as flags = {"q" = "queried"}.',
        ),
        "CELL_HAS_NO_VALUE": (
            "is an error of the spreadsheet, expected a figure",
            'Correct it there, or say what it means: missing = {"#N/A" = "not available"}.',
        ),
        "NOT_FINITE": ("is not a finite number", "Give the figure, or leave the cell empty."),
        "CELL_BANDED": (
            "is a band, not a figure; interval-censored cells are not supported",
            "Give the figure, or declare it as missing.",
        ),
        "CODE_AMBIGUOUS": (
            "may mean nil or missing",
            'Set missing = {"-" = "nil"} for a true zero, or {"-" = "missing"}.',
        ),
        "DECIMAL_MARK": (
            "has a mark that may stand for decimals or group thousands",
            'Set decimal = "," or decimal = ".".',
        ),
        "PRECISION_LOST": (
            "is in scientific notation, so digits were lost; it is read as written",
            "Export the column with all its digits.",
        ),
        "NUMBER_FORMAT": ("was read as the number that it formats", ""),
        "NUMBER_FLAG": ("was read as a number with a flag, which is kept", ""),
        "MISSING_CODE": ("was read as its declared or official meaning, never as 0", ""),
        "LABEL_FORMAT": ("was read in the package's own spelling", ""),
        "LABEL_EMPTY": ("is empty, expected a label", "Fill the cell in every row."),
        "AGE_LOOKS_LIKE_DATE": (
            "is a date, not an age band; a spreadsheet has probably changed a band such as '10-14'",
            "Re-export the file with that column as text.",
        ),
        "AGE_UNREADABLE": (
            "is not an age; expected a single year, a band such as '10-14', or '90+'",
            "Write the age in one of these forms.",
        ),
        "AGE_RANGE": ("is outside ages 0 to 120", "Correct the age."),
        "SEX_CODES": (
            "is a code for a sex that was not declared",
            'Set sex_codes = {"1" = "male", "2" = "female"}, in the order that is right.',
        ),
        "PERIOD_AMBIGUOUS": (
            "may be a financial, an academic or a mid-year year",
            'Set split_year = "mid-year", "year-ending-march" or "year-ending-august".',
        ),
        "YEAR_TWO_DIGITS": ("is a year of two digits", "Set century = 1900 or 2000."),
        "PERIOD_UNREADABLE": (
            "is not a year or a period of twelve months",
            "Write 2011, 30 June 2011 or Year ending June 2011.",
        ),
    }
)


@dataclass
class Work:
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

    def find(self, mask: Any, code: str, problem: str, next_step: str = "", **more: Any) -> bool:
        """Record a finding about the rows where `mask` holds; whether there are any."""
        chosen = np.asarray(mask)
        if not chosen.any():
            return False
        column = more.pop("column", "")
        rows = self.frame[ROW].to_numpy()[chosen]
        texts = more.pop("texts", None)
        if texts is None and column in self.frame:
            texts = [_text(v) for v in self.frame[column].to_numpy()[chosen][:20]]
        header = self.headers.get(column, column)
        self.log.add(
            code,
            problem,
            next_step,
            column=header,
            rows=rows,
            texts=() if texts is None else texts,
            **more,
        )
        return True


def _text(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)
