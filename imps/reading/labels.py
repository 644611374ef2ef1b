"""Ages, sexes and periods as they are written in official tables, one text at a time."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from imps.reading.numbers import NOTE, SPACES, Reading
from imps.reading.options import ACADEMIC_YEAR, CALENDAR_YEAR, FINANCIAL_YEAR, MID_YEAR

OPEN: Final = 999
"""End of an open age group in (first age, end) pairs; the end is not included."""

ALL_AGES: Final = (-1, -1)
NO_AGE: Final = (-2, -2)
"""People whose age is not stated."""

LAST_OPEN: Final = (-3, OPEN)
"""An open group whose first age follows from the ages beside it."""

NOT_STATED: Final = "not stated"
MAX_AGE: Final = 120
YEARS: Final = (1800, 2200)


# Ages

_DASH = r"\s*(?:-|–|—|‒|to|_|\s+to\s+)\s*"
_BAND = re.compile(rf"([0-9]{{1,3}}){_DASH}([0-9]{{1,3}})", re.IGNORECASE)
_SDMX_BAND = re.compile(r"y([0-9]{1,3})t([0-9]{1,3})", re.IGNORECASE)
_OPEN = re.compile(
    r"([0-9]{1,3})\s*(?:\+|plus|(?:and|&|or)\s+(?:over|older|above|more)|y?\s*and\s+over)",
    re.IGNORECASE,
)
_SDMX_OPEN = re.compile(r"(?:y_?ge_?|>=\s*|≥\s*)([0-9]{1,3})", re.IGNORECASE)
_BELOW = re.compile(r"(?:under|less than|below|<|y_?lt_?)\s*([0-9]{1,3})", re.IGNORECASE)
_BY_SEX = re.compile(r"([0-9]{1,3})-([0-9]{1,3})/([0-9]{1,3})")
_OPEN_BY_SEX = re.compile(r"([0-9]{1,3})/([0-9]{1,3})\+")
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTH_WORD = rf"(?:{_MONTHS})[a-z]*"
_LOOKS_LIKE_DATE = re.compile(
    rf"({_MONTH_WORD}[-/ ][0-9]{{1,4}}|[0-9]{{1,2}}[-/ ]{_MONTH_WORD}([-/ ][0-9]{{2,4}})?"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[/.][0-9]{1,2}[/.][0-9]{2,4})",
    re.IGNORECASE,
)
_ALL = ("all ages", "all", "total", "_t", "t", "all persons", "all people")
_NOT_STATED = re.compile(
    r"(?:(?:age|sex|gender)s?[ ,:-]*)?(?:(?:is |was )?not (?:stated|known|specified|given|reported|"
    r"recorded)|un(?:known|specified|stated|determined)|unk|_u|undetermined|missing)"
    r"(?: (?:age|sex|gender)s?)?",
    re.IGNORECASE,
)
STATISTIC: Final = re.compile(r"(?:median|mean|average)(?: age.*)?", re.IGNORECASE)
"""A label among ages that is no age: the row holds years, not people."""


def code_of(text: str, codes: Mapping[str, str]) -> str | None:
    """What was declared for a code, whatever its case and the blanks around it."""
    if not codes:
        return None
    plain = text.translate(SPACES).strip().strip("'").casefold()
    return next((codes[c] for c in codes if c.strip().casefold() == plain), None)


def read_age(text: str, codes: Mapping[str, str] = MappingProxyType({})) -> Reading:
    """Read a single year of age, a band or an open group.

    The value is (first age, end), the end not included; an open group ends at
    `OPEN`. A band that differs by sex, such as "45-59/64", gives
    (first age, end for women, end for men) and "60/65+" (women from, men from, OPEN).
    """
    if (meant := code_of(text, codes)) is not None:
        reading = read_age(meant)
        return reading if reading.value is None else Reading(reading.value, "LABEL_FORMAT")
    if re.fullmatch(r"[0-9]|[1-9][0-9]{1,2}", text):
        return _single(int(text), "")
    cell = NOTE.sub("", " ".join(text.translate(SPACES).split())).strip().strip("'")
    if not cell:
        return Reading(None, "LABEL_EMPTY")
    if cell.casefold() in _ALL:
        return Reading(ALL_AGES)
    if _NOT_STATED.fullmatch(cell):
        return Reading(NO_AGE)
    if cell.casefold() in ("y_open", "open"):
        return Reading(LAST_OPEN, "LABEL_FORMAT")
    if _LOOKS_LIKE_DATE.fullmatch(cell):
        return Reading(None, "AGE_LOOKS_LIKE_DATE")
    bare = re.sub(r"^(?:aged?)\b\s*", "", cell, flags=re.IGNORECASE)
    bare = re.sub(r"\s*\b(?:years?|yrs?)\b(?:\s+old\b)?\s*", " ", bare, flags=re.IGNORECASE).strip()
    reading = _age(bare)
    canonical = reading.value is not None and text == age_label(reading.value)
    return reading if reading.code or canonical else Reading(reading.value, "LABEL_FORMAT")


def _age(bare: str) -> Reading:
    if whole := re.fullmatch(r"([+-]?[0-9]+)(?:\.0+)?", bare.replace("\u2212", "-")):
        digits = whole.group(1)
        return _single(int(digits), "") if len(digits) < 9 else Reading(None, "AGE_RANGE")
    if whole := re.fullmatch(r"y([0-9]{1,3})", bare, re.IGNORECASE):
        return _single(int(whole.group(1)), "")
    if band := _BY_SEX.fullmatch(bare):
        first, women, men = (int(g) for g in band.groups())
        return _in_order((first, women + 1, men + 1))
    if band := _OPEN_BY_SEX.fullmatch(bare):
        return _in_order((int(band.group(1)), int(band.group(2)), OPEN))
    if band := _BAND.fullmatch(bare) or _SDMX_BAND.fullmatch(bare):
        return _in_order((int(band.group(1)), int(band.group(2)) + 1))
    if group := _OPEN.fullmatch(bare) or _SDMX_OPEN.fullmatch(bare):
        return _in_order((int(group.group(1)), OPEN))
    if below := _BELOW.fullmatch(bare):
        return _in_order((0, int(below.group(1))))
    return Reading(None, "AGE_UNREADABLE")


def _single(age: int, code: str) -> Reading:
    return Reading((age, age + 1), code) if 0 <= age <= MAX_AGE else Reading(None, "AGE_RANGE")


def _in_order(ages: tuple[int, ...]) -> Reading:
    limits = [age for age in ages if age != OPEN]
    if max(limits) > MAX_AGE + 1:
        return Reading(None, "AGE_RANGE")
    return Reading(ages) if ages[0] < min(ages[1:]) else Reading(None, "AGE_UNREADABLE")


def ages_for(sex: str, value: tuple[int, ...]) -> tuple[int, int]:
    """First age and end of a band for one sex, where the band differs by sex."""
    if len(value) == 2:
        return value[0], value[1]
    male = sex == "male"
    if value[2] == OPEN:
        return (value[1] if male else value[0]), OPEN
    return value[0], (value[2] if male else value[1])


def age_label(value: tuple[int, ...]) -> str:
    """The label the package writes: "7", "10-14", "90+", "45-59/64"."""
    if len(value) == 3:
        open_group = value[2] == OPEN
        return (
            f"{value[0]}/{value[1]}+" if open_group else f"{value[0]}-{value[1] - 1}/{value[2] - 1}"
        )
    first, end = value
    if (first, end) in (ALL_AGES, NO_AGE):
        return "all ages" if first == ALL_AGES[0] else NOT_STATED
    if end == OPEN:
        return f"{first}+"
    return str(first) if end == first + 1 else f"{first}-{end - 1}"


# Sexes

_SEXES: Final = MappingProxyType(
    {
        "male": "male", "males": "male", "m": "male", "men": "male", "boys": "male",
        "female": "female", "females": "female", "f": "female", "women": "female",
        "girls": "female",
        "persons": "persons", "person": "persons", "people": "persons", "t": "persons",
        "total": "persons", "both": "persons", "both sexes": "persons", "all": "persons",
        "all persons": "persons", "_t": "persons",
    }
)  # fmt: skip


def read_sex(text: str, codes: Mapping[str, str] = MappingProxyType({})) -> Reading:
    """Read a sex: male, female, or persons for a total of both."""
    if text in ("male", "female"):
        return Reading(text)
    cell = NOTE.sub("", text.translate(SPACES).strip()).strip()
    if not cell:
        return Reading(None, "LABEL_EMPTY")
    if meant := code_of(cell, codes):
        return Reading(meant, "LABEL_FORMAT")
    if _NOT_STATED.fullmatch(cell):
        return Reading(NOT_STATED)
    if sex := _SEXES.get(cell.casefold()):
        return Reading(sex, "" if sex == "persons" else "LABEL_FORMAT")
    return Reading(None, "SEX_CODES" if re.fullmatch(r"[0-9.]+", cell) else "LABEL_UNKNOWN")


# Periods


class Moment(NamedTuple):
    """A year with what the label says about it.

    `kind` is "year" (nothing said), "date", or one of the periods; `day` is
    the ISO date of a date, or of the end of a period.
    """

    kind: str
    year: int
    day: str


_MONTH_NUMBER = {name: i + 1 for i, name in enumerate(_MONTHS.split("|"))}
_ENDING = re.compile(
    rf"(?:ye|year ending|year to|12 months to)\s+(?:([0-9]{{1,2}})\s+)?({_MONTH_WORD})\s+"
    r"'?([0-9]{4}|[0-9]{2})",
    re.IGNORECASE,
)
_MID = re.compile(r"mid[- ]?(?:year )?([0-9]{4})", re.IGNORECASE)
_YEAR_TO_MID = re.compile(r"(?:year to mid|mid-[0-9]{4} to mid)-([0-9]{4})", re.IGNORECASE)
_LONG_DATE = re.compile(rf"([0-9]{{1,2}})\s+({_MONTH_WORD})\s+([0-9]{{4}})", re.IGNORECASE)
_ISO_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[ T]00:00(?::00)?(?:\.0+)?Z?)?")
_QUARTER = re.compile(r"([0-9]{4})[ -]?Q([1-4])", re.IGNORECASE)
_QUARTER_FIRST = re.compile(r"Q([1-4])[ -/]?([0-9]{4})", re.IGNORECASE)
_MONTH_OF = re.compile(r"([0-9]{4})M(0[1-9]|1[0-2])", re.IGNORECASE)
_MONTH_YEAR = re.compile(rf"({_MONTH_WORD})[ -]([0-9]{{4}})", re.IGNORECASE)
_SPLIT = re.compile(r"([0-9]{4})\s*[/–-]\s*([0-9]{2}|[0-9]{4})")
_ENDING_PERIODS = {3: FINANCIAL_YEAR, 6: MID_YEAR, 8: ACADEMIC_YEAR, 12: CALENDAR_YEAR}


def read_period(text: str, *, split_year: str | None = None, century: int | None = None) -> Reading:
    """Read a year, a date or a period of twelve months; the value is a `Moment`."""
    if re.fullmatch(r"[0-9]{4}", text):
        return _bare_year(int(text), "")
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) and not text.endswith("-06-30"):
        day = _date(*map(int, text.split("-")))  # written so by the package
        return day if day.value is None else day._replace(code="")
    cell = NOTE.sub("", " ".join(text.translate(SPACES).split())).strip().strip("'")
    if not cell:
        return Reading(None, "LABEL_EMPTY")
    if whole := re.fullmatch(r"([0-9]{4})(?:\.0+)?", cell):
        return _bare_year(int(whole.group(1)), "LABEL_FORMAT")
    if re.fullmatch(r"'?[0-9]{1,2}", cell):
        if century is None:
            return Reading(None, "YEAR_TWO_DIGITS")
        return _bare_year(century + int(cell.strip("'")), "LABEL_FORMAT")
    for pattern, found in (
        (_ENDING, _ending),
        (_YEAR_TO_MID, lambda m: _moment(MID_YEAR, int(m[1]), 6, 30)),
        (_MID, lambda m: _moment("date", int(m[1]), 6, 30)),
        (_LONG_DATE, lambda m: _date(int(m[3]), _month(m[2]), int(m[1]))),
        (_ISO_DATE, lambda m: _date(int(m[1]), int(m[2]), int(m[3]))),
        (_QUARTER, lambda m: _part("quarter", int(m[1]), 3 * int(m[2]))),
        (_QUARTER_FIRST, lambda m: _part("quarter", int(m[2]), 3 * int(m[1]))),
        (_MONTH_OF, lambda m: _part("month", int(m[1]), int(m[2]))),
        (_MONTH_YEAR, lambda m: _part("month", int(m[2]), _month(m[1]))),
    ):
        if match := pattern.fullmatch(cell):
            return found(match)
    if match := _SPLIT.fullmatch(cell):
        return _split_year(match, split_year)
    return Reading(None, "PERIOD_UNREADABLE")


def _bare_year(year: int, code: str) -> Reading:
    if not YEARS[0] <= year <= YEARS[1]:
        return Reading(None, "PERIOD_UNREADABLE")
    return Reading(Moment("year", year, ""), code)


def _month(word: str) -> int:
    return _MONTH_NUMBER[word[:3].casefold()]


def _date(year: int, month: int, day: int) -> Reading:
    try:
        dt.date(year, month, day)
    except ValueError:
        return Reading(None, "PERIOD_UNREADABLE")
    return _moment("date", year, month, day)


def _moment(kind: str, year: int, month: int, day: int) -> Reading:
    if not YEARS[0] <= year <= YEARS[1]:
        return Reading(None, "PERIOD_UNREADABLE")
    return Reading(Moment(kind, year, f"{year:04d}-{month:02d}-{day:02d}"), "LABEL_FORMAT")


def _part(kind: str, year: int, month: int) -> Reading:
    """A quarter or month, by the day on which it ends."""
    if not YEARS[0] <= year <= YEARS[1]:
        return Reading(None, "PERIOD_UNREADABLE")
    return _moment(kind, year, month, calendar.monthrange(year, month)[1])


def _ending(match: re.Match[str]) -> Reading:
    month, year = _month(match[2]), int(match[3])
    year = year if year > 99 else _full_year(year)
    last = calendar.monthrange(year, month)[1] if year > 0 else 0
    if month not in _ENDING_PERIODS or (match[1] and int(match[1]) != last):
        return Reading(None, "PERIOD_UNREADABLE")
    return _moment(_ENDING_PERIODS[month], year, month, last)


def _full_year(two_digits: int) -> int:
    """The century of "YE Jun 12": migration surveys begin in 1964, so 64 to 99 are 19xx."""
    return (1900 if two_digits >= 64 else 2000) + two_digits


def _split_year(match: re.Match[str], meaning: str | None) -> Reading:
    first, second = int(match[1]), match[2]
    if int(second[-2:]) != (first + 1) % 100 or (len(second) == 4 and int(second) != first + 1):
        return Reading(None, "PERIOD_UNREADABLE")
    if meaning is None:
        return Reading(None, "PERIOD_AMBIGUOUS")
    month = {period: number for number, period in _ENDING_PERIODS.items()}[meaning]
    return _moment(meaning, first + 1, month, calendar.monthrange(first + 1, month)[1])


def serial_guess(text: str) -> str:
    """The date that a spreadsheet serial such as 37437 stands for, or nothing."""
    if re.fullmatch(r"[1-5][0-9]{4}(\.0+)?", text.strip()):
        return (dt.date(1899, 12, 30) + dt.timedelta(days=int(float(text)))).isoformat()
    return ""
