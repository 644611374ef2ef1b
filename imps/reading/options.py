"""How a table is to be read: what only the user can know, declared and checked."""

from __future__ import annotations

import difflib
import re
from calendar import monthrange
from collections import abc
from collections.abc import Iterable, Mapping
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from imps.demography.periods import YearEnd
from imps.errors import DefinitionError
from imps.reading.findings import Collector

UNITS: Final = MappingProxyType(
    {"persons": 1.0, "tens": 10.0, "hundreds": 100.0, "thousands": 1_000.0, "millions": 1e6}
)
CALENDAR_YEAR: Final = "calendar-year"
MID_YEAR: Final = "mid-year"
FINANCIAL_YEAR: Final = "year-ending-march"
ACCOUNT_YEAR: Final = "account-year"
ACADEMIC_YEAR: Final = "year-ending-august"
AT_DEATH: Final = "at-death"
AT_MID_YEAR: Final = "at-mid-year"
AT_YEAR_END: Final = "at-year-end"

SAME_PERIODS: Final = MappingProxyType(
    {"year-ending-june": MID_YEAR, "year-ending-december": CALENDAR_YEAR}
)
"""Other names of periods."""

Encoding = Literal["utf-8", "cp1252", "latin-1", "iso-8859-15", "utf-16"]
Period = Literal[
    "calendar-year", "mid-year", "year-ending-march", "year-ending-august", "account-year"
]
MissingKind = Literal[
    "suppressed",
    "confidential",
    "not available",
    "not applicable",
    "low",
    "not recorded",
    "missing",
    "nil",
]
ENCODINGS: Final[tuple[str, ...]] = get_args(Encoding)
PERIODS: Final[tuple[str, ...]] = get_args(Period)

_UNIT_WORDS: Final = MappingProxyType(
    {
        "persons": r"persons?|people|numbers?|nr|units?|heads?|counts?|inhabitants|population",
        "tens": "tens?",
        "hundreds": r"hundreds?|'?00'?s|'00",
        "thousands": r"thousands?|ths|thsd|tsd|ths_per|'?000'?s|'?000",
        "millions": r"millions?|mio|mill?|'?000 ?000'?s|'000 000",
    }
)
_AROUND_UNIT: Final = r"(?:in )?(?:{})(?: (?:of )?(?:persons|people|units))?"


def unit_of(words: str) -> str | None:
    """The unit that words such as "'000s" or "in millions of persons" mean; None if unknown."""
    plain = re.sub("[‘’`]", "'", " ".join(words.split())).strip(" ()[]").casefold()
    known = _UNIT_WORDS.items()
    return next((u for u, w in known if re.fullmatch(_AROUND_UNIT.format(w), plain)), None)


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[
    tuple[str, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
]
Unit = Annotated[
    Literal["persons", "tens", "hundreds", "thousands", "millions"],
    BeforeValidator(lambda v: (unit_of(v) or v) if isinstance(v, str) else v),
]


class ReadOptions(BaseModel):
    """Everything that may be declared about one table; the same names as in settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sheet: Text | None = Field(None, description="Sheet of a workbook with several.")
    header_row: int | None = Field(
        None, ge=1, le=1_000_000, description="Spreadsheet row of the header."
    )
    header_rows: int | None = Field(
        None, ge=2, le=9, description="Rows of names that stand one above the other."
    )
    footer_row: int | None = Field(
        None, ge=2, le=1_048_577, description="First row of the notes below the data."
    )
    encoding: Encoding | None = Field(None, description="Encoding of a text file.")
    delimiter: Literal[",", ";", "\t", "|", "blanks"] | None = Field(
        None, description='What separates the cells of a text file; "blanks" for padded columns.'
    )
    comment: Text | None = Field(
        None, description='Beginning of lines that are comments, such as "#".'
    )
    decimal: Literal[".", ","] | None = Field(None, description="Decimal mark of a text file.")
    layout: Literal["long", "wide", "transposed"] | None = Field(
        None,
        description='"wide": one column per year, age or sex; "transposed": names down the first '
        "column.",
    )
    columns: Mapping[str, str] = Field(
        {},
        description='Name of this page for each header of the file; "POP{year}" = "population" '
        'reads years, sexes or ages inside headers, "" leaves a column out.',
    )
    unit: Unit | None = Field(
        None, description="Unit of all counts, estimates and their errors, in any usual words."
    )
    period: Period | None = Field(
        None,
        description="Period of flows labelled by a bare year; mid-year is the year to 30 June.",
    )
    split_year: Period | None = Field(None, description="What 2011/12 means.")
    century: int | None = Field(
        None, ge=1700, le=2100, description="Added to years of two digits, for example 2000."
    )
    census_days: Texts = Field(
        (),
        description='Dates such as "2011-03-27" on which a stock may stand instead of 30 June.',
    )
    year_ends: Text | None = Field(
        None,
        description='Month and day at whose end stocks with a bare year stand, such as "12-31"; '
        '"01-01" for 1 January; 30 June unless told. With period = "account-year" the end of the '
        "years to which quarters or months of flows are summed; that of the account unless told.",
    )
    geography: Text | None = Field(None, description="Area of the figures.")
    definition: Text | None = Field(None, description="What the figures measure.")
    vintage: Text | None = Field(
        None, description="Publication of the figures; chooses among several in one file."
    )
    source: Text | None = Field(None, description="Source, where the file has no such column.")
    flow: Literal["immigration", "emigration"] | None = Field(
        None, description="Direction, where the file has no such column."
    )
    special_populations: Literal["included", "excluded"] | None = Field(
        None, description="Whether armed forces and prisoners are counted."
    )
    basis: Text | None = Field(
        None,
        description="Registration or occurrence of events; what an administrative flow counts.",
    )
    reporting_country: Text | None = Field(
        None, description="Country whose statistics the flows are, such as that of destination."
    )
    duration: int | None = Field(
        None, ge=0, le=60, description="Months of stay from which the flows count a migrant."
    )
    anchored_to: Text | None = Field(None, description="Census to which a population is anchored.")
    missing: Mapping[str, MissingKind] = Field(
        {},
        description='Kind of each code in the file: {"*": "suppressed", "-": "nil"}; '
        '"nil" is a true zero.',
    )
    flags: Mapping[str, str] = Field(
        {},
        description="Meaning of suffixes of numbers, beside p (provisional) and r (revised).",
    )
    sex_codes: Mapping[str, Literal["male", "female", "persons", "not stated"]] = Field(
        {}, description="Sex of each code in the file."
    )
    age_codes: Mapping[str, str] = Field(
        {}, description='Age of each code in the file, such as "999" = "all ages".'
    )
    not_stated: Literal["apportion", "leave-out"] | None = Field(
        None,
        description="People of unknown age or sex: shared out in proportion, or left out.",
    )
    year_mark: Literal["-", "+"] | None = Field(
        None,
        description='Which figures of a year given twice are meant: "2002-" before a change of '
        'territory, or "2002+" after it.',
    )
    open_age: int | None = Field(
        None,
        ge=1,
        le=120,
        description="The last age is the open group from here; finer ages above are summed.",
    )
    fractional_counts: bool = Field(
        False, description="Whether registered counts may have decimals."
    )
    rounding: float | None = Field(
        None, ge=0, le=1_000_000, description="Unit of rounding of published figures, in persons."
    )
    rounding_kind: Literal["nearest", "random"] | None = Field(
        None,
        description='"random": rounded up or down at random, so by up to a unit less one person.',
    )
    level: float | None = Field(
        None, ge=0.5, le=0.999, description="Probability of intervals and half-widths."
    )
    bounds: Literal["two-sided", "one-sided", "log"] | None = Field(
        None,
        description="Bounds of two-sided intervals, each a bound by itself, or symmetrical on the "
        "log scale.",
    )
    sign: Literal["positive", "emigration-negative"] | None = Field(
        None, description="Sign with which emigration is stored."
    )
    zero_no_contacts: Literal["unobserved"] | None = Field(
        None, description="What to do with estimates of 0 whose error is 0."
    )
    standard_error_missing: Literal["unobserved"] | None = Field(
        None, description="What to do with estimates without a standard error."
    )
    cv_unit: Literal["percent", "fraction"] | None = Field(
        None, description="Unit of coefficients of variation."
    )
    includes: Texts | None = Field(
        None, description="Adjustments that a total of migration already holds."
    )
    sex_ratio: float | None = Field(
        None, ge=0.8, le=1.3, description="Males per female at birth, when births have no sex."
    )
    age_counted: Literal["at-death", "at-mid-year", "at-year-end"] | None = Field(
        None,
        description="Age of deaths: at last birthday, or reached at the end of the year.",
    )
    observed: Literal["sex and age", "sex", "total"] | None = Field(
        None,
        description="Detail in which figures were published; finer cells are a schedule, not data.",
    )
    residents: Literal["usual", "short-term"] | None = Field(
        None, description="Residents for twelve months or more, or visitors for less."
    )
    areas: Texts = Field((), description="Areas whose sum is meant.")
    area_totals: Literal["check"] | None = Field(
        None, description="An area given beside its parts is only used to check them."
    )
    jumps: Literal["accepted"] | None = Field(
        None,
        description="Figures that change a thousandfold from year to year, or that no population "
        "of this size would be expected to have, are right.",
    )

    @property
    def rounding_error(self) -> float:
        """By how much a published figure may differ from the exact one, as declared."""
        unit = self.rounding or 0.0
        return max(unit - 1.0, 0.0) if self.rounding_kind == "random" else 0.5 * unit


_STOCKS: Final = ("population", "population_totals", "stocks")
_EVENTS: Final = ("births", "deaths", "vital_totals")
_SURVEYS: Final = ("survey_flows", "survey_totals")
_FLOWS: Final = (*_SURVEYS, "flow_schedule", "total_migration", "administrative_flows", "streams")

USED_BY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "age_counted": ("deaths", "survey_flows", "flow_schedule"),
        "observed": ("population", "survey_flows"),
        "sex_ratio": ("births",),
        "basis": ("births", "deaths", "administrative_flows"),
        **dict.fromkeys(("cv_unit", "level", "bounds", "includes", "zero_no_contacts",
                         "standard_error_missing"), _SURVEYS),
        **dict.fromkeys(("sign", "reporting_country", "duration"), _FLOWS),
        **dict.fromkeys(("census_days", "special_populations"), _STOCKS),
        "year_ends": (*_STOCKS, *_EVENTS, *_FLOWS),
        "period": (*_EVENTS, *_FLOWS, "born_before", "components", "shares"),
        **dict.fromkeys(("fractional_counts", "jumps"), (*_STOCKS, *_EVENTS, *_FLOWS)),
        "residents": (*_STOCKS, *_FLOWS),
        "unit": (*_STOCKS, *_EVENTS, *_FLOWS, "born_before", "components"),
    }
)  # fmt: skip
"""Kinds of table that use an option; one that is not here may be used by any."""
OPTION_NAMES: Final = tuple(ReadOptions.model_fields)


def read_options(given: Mapping[str, Any], log: Collector, kind: str = "") -> ReadOptions:
    """Check declared options; unknown names and values go to the log, and are left out.

    So do options that a table of this kind does not use: they would change nothing.
    """
    for name, kinds in USED_BY.items():
        if kind and kind not in kinds and given.get(name):
            log.add("OPTION_UNUSED", column=name, texts=[given[name]], name=name, kind=kind,
                    kinds=kinds)  # fmt: skip
    stated = {name: value for name, value in given.items() if value is not None}
    if isinstance(stated.get("period"), str):
        stated["period"] = SAME_PERIODS.get(stated["period"], stated["period"])
    try:
        return ReadOptions.model_validate(stated)
    except ValidationError as error:
        wrong = {fault["loc"][0]: fault["type"] for fault in error.errors()}
    for name in (name for name in stated if name in wrong):
        if wrong[name] == "extra_forbidden":
            near = nearest(name, OPTION_NAMES)
            log.add("SETTING_UNKNOWN", texts=[name], what="an option of a table",
                    known=OPTION_NAMES, instead=near)  # fmt: skip
        else:
            words = expected(ReadOptions.model_fields[name])
            log.add("SETTING_RANGE", texts=[stated[name]], name=name, expected=words)
    return ReadOptions.model_validate({k: v for k, v in stated.items() if k not in wrong})


def expected(field: FieldInfo) -> str:
    """What a declared value may be, in words, from the type and the range of its field."""
    kind = field.annotation
    if get_origin(kind) in (Union, UnionType):
        kind = next(inner for inner in get_args(kind) if inner is not type(None))
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"one of {inner}" if len(inner) > 1 else f"{inner[0]!r}"
    if origin is abc.Mapping:
        closed = get_origin(inner[1]) is Literal
        return f"meanings out of {get_args(inner[1])}" if closed else "texts with their meaning"
    if origin is tuple and inner[0] is str:
        return "a list of texts"
    if origin in (tuple, dict):
        return f"a {'list' if origin is tuple else 'table'} of {field.description}"
    if kind in (int, float):
        low = next((m.ge for m in field.metadata if isinstance(m, Ge)), None)
        above = next((m.gt for m in field.metadata if isinstance(m, Gt)), None)
        high = next((m.le for m in field.metadata if isinstance(m, Le)), float("inf"))
        whole = "whole " if kind is int else ""
        if above is not None:
            return f"a {whole}number above {above:,.10g}" + (
                f" and up to {high:,.10g}" if high != float("inf") else ""
            )
        low = float("-inf") if low is None else low
        return f"a {whole}number from {low:,.10g} to {high:,.10g}"
    return "true or false" if kind is bool else "a text"


def nearest(name: str, known: Iterable[str]) -> str:
    """A "did you mean" sentence, or nothing; first words of compound names count too."""
    names = list(known)
    words = {name.split("_")[0]: name for name in reversed(names)} | {n: n for n in names}
    close = difflib.get_close_matches(name, list(words), n=1, cutoff=0.6)
    return f"Did you mean '{words[close[0]]}'?" if close else ""


def as_toml(value: Any) -> str:
    """A value as a settings file would say it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


QUARTER: Final = "quarter"
MONTH: Final = "month"
PARTS: Final = {QUARTER: 4, MONTH: 12}
LAST_MONTH: Final = {FINANCIAL_YEAR: 3, MID_YEAR: 6, ACADEMIC_YEAR: 8, CALENDAR_YEAR: 12}
"""Month with which a year ends whose quarters or months can be summed."""
PART: Final = "_part"
"""Column of the day on which the quarter or month of a row ends."""


def last_month(period: str | None, year_ends: str | None, kind: str) -> int | None:
    """Month with which a year ends that whole quarters or months make up; None where none do."""
    month = LAST_MONTH.get(period or "")
    if period == ACCOUNT_YEAR:
        try:
            end = YearEnd.of(year_ends or "06-30")
        except DefinitionError:  # refused with the account
            return None
        month = end.month if end.day == monthrange(2001, end.month)[1] else None
    return None if month is None or (kind == QUARTER and month % 3) else month


def year_of(day: str, last: int) -> int:
    """Year, of those that end with a month, in which a quarter or month ends."""
    return int(day[:4]) + (int(day[5:7]) > last)
