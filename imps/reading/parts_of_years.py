"""Quarters and months of flows and events, and the years that they belong to."""

from __future__ import annotations

from typing import Final

from imps.reading.options import CALENDAR_YEAR, FINANCIAL_YEAR, MID_YEAR

QUARTER: Final = "quarter"
MONTH: Final = "month"
PARTS: Final = {QUARTER: 4, MONTH: 12}
LAST_MONTH: Final = {FINANCIAL_YEAR: 3, MID_YEAR: 6, CALENDAR_YEAR: 12}
"""Month with which a year ends whose quarters or months can be summed."""
PART: Final = "_part"
"""Column of the day on which the quarter or month of a row ends."""


def year_of(day: str, period: str) -> int:
    """Year, of those that a period names, in which a quarter or month ends."""
    year, month = int(day[:4]), int(day[5:7])
    return year + (month > LAST_MONTH[period])
