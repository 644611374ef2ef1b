"""How a table is to be read: what only the user can know, declared and checked."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from imps.reading.findings import Collector

ENCODINGS: Final = ("utf-8", "cp1252", "latin-1", "iso-8859-15", "utf-16")
UNITS: Final = MappingProxyType({"persons": 1.0, "thousands": 1000.0})
CALENDAR_YEAR: Final = "calendar-year"
MID_YEAR: Final = "mid-year"
FINANCIAL_YEAR: Final = "year-ending-march"
ACADEMIC_YEAR: Final = "year-ending-august"
AT_DEATH: Final = "at-death"
AT_MID_YEAR: Final = "at-mid-year"
PERIODS: Final = (CALENDAR_YEAR, MID_YEAR, FINANCIAL_YEAR, ACADEMIC_YEAR)
MISSING_KINDS: Final = (
    "suppressed",
    "confidential",
    "not available",
    "not applicable",
    "low",
    "not recorded",
    "missing",
    "nil",
)


def _empty() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True)
class ReadOptions:
    """Everything that may be declared about one table; the same names as in settings.

    Attributes
    ----------
    sheet : str
        Sheet of a workbook with several.
    header_row, footer_row : int
        Spreadsheet row of the header; first row of the notes below the data.
    encoding, delimiter, decimal : str
        Of a text file: "cp1252", ";", ",".
    layout : {"long", "wide"}
        "wide": one column per year, per age or per sex.
    unit : {"persons", "thousands"}
        Of all counts, estimates and their errors.
    period : str
        Of flows labelled by a bare year: "calendar-year", "mid-year" (the year to
        30 June), "year-ending-march", "year-ending-august".
    split_year : str
        What 2011/12 means; one of the same words.
    century : int
        Added to years of two digits, for example 2000.
    census_days : tuple of str
        Dates such as "2011-03-27" on which a stock may stand instead of 30 June.
    geography, definition, vintage, source, flow, special_populations, basis, anchored_to : str
        What the figures are. `vintage` also chooses among several in one file.
    missing : mapping
        Code in the file to kind: {"*": "suppressed", "-": "nil"}; "nil" is a true zero.
    flags : mapping
        Suffix of a number to its meaning, beside p (provisional) and r (revised).
    sex_codes : mapping
        Code in the file to "male", "female" or "persons".
    open_age : int
        The last age is the open group from here; finer ages above are summed.
    fractional_counts : bool
        Whether registered counts may have decimals.
    rounding : float
        Unit to which published figures are rounded, in persons.
    sign : {"positive", "emigration-negative"}
    zero_no_contacts, standard_error_missing : {"unobserved"}
        What to do with estimates that nobody in the sample, or no error, stands for.
    cv_unit : {"percent", "fraction"}
    includes : tuple of str
        Adjustments that a total of migration already holds.
    sex_ratio : float
        Males per female at birth, when births come without sex.
    age_counted : {"at-death", "at-mid-year"}
        Age of deaths: at last birthday before death, or reached at the end of the year.
    observed : {"sex and age", "sex", "total"}
        Detail in which the figures were published; finer cells are a schedule, not data.
    residents : {"usual", "short-term"}
        Who is counted: residents for twelve months or more, or visitors for less.
    areas : tuple of str
        Areas whose sum is meant.
    area_totals : {"check"}
        An area given beside its parts is only used to check them.
    jumps : {"accepted"}
        Figures that change a thousandfold from year to year, or that no population of this
        size would be expected to have, are right.
    """

    sheet: str | None = None
    header_row: int | None = None
    footer_row: int | None = None
    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    layout: str | None = None
    unit: str | None = None
    period: str | None = None
    split_year: str | None = None
    century: int | None = None
    census_days: tuple[str, ...] = ()
    geography: str | None = None
    definition: str | None = None
    vintage: str | None = None
    source: str | None = None
    flow: str | None = None
    special_populations: str | None = None
    basis: str | None = None
    anchored_to: str | None = None
    missing: Mapping[str, str] = field(default_factory=_empty)
    flags: Mapping[str, str] = field(default_factory=_empty)
    sex_codes: Mapping[str, str] = field(default_factory=_empty)
    open_age: int | None = None
    fractional_counts: bool = False
    rounding: float | None = None
    sign: str | None = None
    zero_no_contacts: str | None = None
    standard_error_missing: str | None = None
    cv_unit: str | None = None
    includes: tuple[str, ...] | None = None
    sex_ratio: float | None = None
    age_counted: str | None = None
    observed: str | None = None
    residents: str | None = None
    areas: tuple[str, ...] = ()
    area_totals: str | None = None
    jumps: str | None = None


_CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "encoding": ENCODINGS,
        "delimiter": (",", ";", "\t", "|"),
        "decimal": (".", ","),
        "layout": ("long", "wide"),
        "unit": tuple(UNITS),
        "period": PERIODS,
        "split_year": PERIODS,
        "flow": ("immigration", "emigration"),
        "special_populations": ("included", "excluded"),
        "sign": ("positive", "emigration-negative"),
        "zero_no_contacts": ("unobserved",),
        "standard_error_missing": ("unobserved",),
        "cv_unit": ("percent", "fraction"),
        "age_counted": (AT_DEATH, AT_MID_YEAR),
        "observed": ("sex and age", "sex", "total"),
        "residents": ("usual", "short-term"),
        "area_totals": ("check",),
        "jumps": ("accepted",),
    }
)
_RANGES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "header_row": (1, 1_000_000),
        "footer_row": (2, 1_048_577),
        "century": (1700, 2100),
        "open_age": (1, 120),
        "rounding": (0, 1_000_000),
        "sex_ratio": (0.8, 1.3),
    }
)
_INTEGERS: Final = ("header_row", "footer_row", "century", "open_age")
_MAPPINGS: Final = ("missing", "flags", "sex_codes")
_LISTS: Final = ("census_days", "includes", "areas")
OPTION_NAMES: Final = tuple(f.name for f in dataclasses.fields(ReadOptions))


def read_options(given: Mapping[str, Any], log: Collector) -> ReadOptions:
    """Check declared options; unknown names and values go to the log, and are left out."""
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name not in OPTION_NAMES:
            log.add(
                "SETTING_UNKNOWN",
                f"is not an option of a table. {nearest(name, OPTION_NAMES)}".rstrip(". "),
                f"Options are {', '.join(OPTION_NAMES)}.",
                texts=[name],
            )
        elif value is not None and _option_valid(name, value, log):
            kept[name] = tuple(value) if name in _LISTS else value
    return ReadOptions(**kept)


def _option_valid(name: str, value: Any, log: Collector) -> bool:
    expected = _expected(name, value)
    if expected:
        log.add(
            "SETTING_RANGE",
            f"is not a value of '{name}'; expected {expected}",
            f"Correct {name}.",
            texts=[value],
        )
    return not expected


def _expected(name: str, value: Any) -> str:
    """What an option should be, or nothing when it is."""
    if name in _CHOICES:
        choices = _CHOICES[name]
        return "" if isinstance(value, str) and value in choices else f"one of {choices}"
    if name in _RANGES:
        low, high = _RANGES[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = name not in _INTEGERS or isinstance(value, int)
        kind = "a whole number" if name in _INTEGERS else "a number"
        return "" if number and whole and low <= value <= high else f"{kind}, {low:g} to {high:g}"
    if name in _MAPPINGS:
        return _expected_mapping(name, value)
    if name in _LISTS:
        texts = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
        return "" if texts else "a list of texts"
    if name == "fractional_counts":
        return "" if isinstance(value, bool) else "true or false"
    return "" if isinstance(value, str) and value else "a text"


def _expected_mapping(name: str, value: Any) -> str:
    words = {"missing": MISSING_KINDS, "sex_codes": ("male", "female", "persons")}.get(name)
    if not isinstance(value, Mapping) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in value.items()
    ):
        return "texts with their meaning"
    bad = words is not None and any(v not in words for v in value.values())
    return f"meanings out of {words}" if bad else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """A "did you mean" sentence, or nothing; first words of compound names count too."""
    names = list(known)
    words = {name.split("_")[0]: name for name in reversed(names)} | {n: n for n in names}
    close = difflib.get_close_matches(name, list(words), n=1, cutoff=0.6)
    return f"Did you mean '{words[close[0]]}'?" if close else ""
