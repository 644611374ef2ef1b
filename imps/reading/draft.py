"""A table on its way from text to figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from imps.reading.findings import SHOWN, Collector
from imps.reading.kinds import Schema
from imps.reading.labels import ALL_AGES, NO_AGE
from imps.reading.options import ReadOptions

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
