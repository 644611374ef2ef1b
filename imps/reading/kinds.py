"""The kinds of table the package reads, and the names of their columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from imps.errors import LabelError
from imps.reading.options import nearest, unit_of

STOCK: Final = "stock"
EVENTS: Final = "events"
FLOW_TABLE: Final = "flow"
SHARES: Final = "share"
ACCOUNT: Final = "account"


@dataclass(frozen=True)
class Schema:
    """Columns of one kind of table.

    Attributes
    ----------
    kind : str
        Name of the kind, as in the settings file.
    nature : str
        Stock at a date, registered events, estimated flow, share, or account.
    keys : tuple of str
        Columns that every row needs.
    value : str
        The column of the figure itself.
    optional_keys, optional_values, optional_texts : tuple of str
        Columns that may be there.
    aliases : mapping
        Other names of columns, in lower case.
    meaning : str
        One line for the documentation.
    """

    kind: str
    nature: str
    keys: tuple[str, ...]
    value: str
    optional_keys: tuple[str, ...] = ()
    optional_values: tuple[str, ...] = ()
    optional_texts: tuple[str, ...] = ()
    aliases: Mapping[str, str] = MappingProxyType({})
    meaning: str = ""

    @property
    def values(self) -> tuple[str, ...]:
        """All columns of numbers."""
        return (self.value, *self.optional_values)

    @property
    def required(self) -> tuple[str, ...]:
        """Columns without which the table has no meaning."""
        return (*self.keys, self.value)

    @property
    def known(self) -> tuple[str, ...]:
        """Every column that may occur."""
        return (
            *self.keys,
            *self.values,
            *self.optional_keys,
            *self.optional_texts,
            self.missing_column,
            self.flag_column,
            "unit",
            "scale",
        )

    @property
    def missing_column(self) -> str:
        """Companion column: why a value is missing."""
        return f"{self.value}_missing"

    @property
    def flag_column(self) -> str:
        """Companion column: provisional, revised, note 3."""
        return f"{self.value}_flag"


_PERIOD = {"date": "year", "time_period": "year", "time": "year", "ref_date": "year"}
_TIME = {**_PERIOD, "period": "year", "mid_year": "year", "reference_date": "year"}
_AGE = {"age_group": "age", "age_band": "age", "ageband": "age", "single_year_of_age": "age"}
_GROUP = {"age": "age_group", "age_band": "age_group", "ageband": "age_group"}
_SEX = {"gender": "sex"}
_COUNT = {"count": "", "persons": "", "number": "", "value": "", "obs_value": ""}
_ERRORS = ("standard_error", "half_width_95", "half_width", "variance", "cv", "lower", "upper")
_ERROR = {
    "se": "standard_error",
    "direction": "flow",
    "reporter": "reporting_country",
    "reported_by": "reporting_country",
    "var": "variance",
    **{f"{n}_{level}": n for n in ("lower", "upper") for level in (68, 80, 90, 95, 99)},
    **{f"half_width_{level}": "half_width" for level in (68, 80, 90, 99)},
}
_AREA = {"area_code": "area", "geography_code": "area", "geo": "area", "ref_area": "area"}
_UNITS = {"uom": "unit", "scalar_factor": "scale", "unit_mult": "scale", "magnitude": "scale"}
_FLAGS = ("obs_flag", "obs_status", "flag", "flags", "status")
_TEXTS = ("geography", "reference")
_FLOW_TEXTS = (*_TEXTS, "period", "definition", "reporting_country", "duration")


def _aliases(value: str, *groups: Mapping[str, str]) -> Mapping[str, str]:
    groups = (*groups, _UNITS, dict.fromkeys(_FLAGS, f"{value}_flag"))
    merged = {name: target or value for group in groups for name, target in group.items()}
    return MappingProxyType({name: to for name, to in merged.items() if name != to})


SCHEMAS: Final[Mapping[str, Schema]] = MappingProxyType(
    {
        s.kind: s
        for s in (
            Schema(
                "population",
                STOCK,
                ("year", "sex", "age"),
                "population",
                ("vintage", "area", "source"),
                (),
                (*_TEXTS, "special_populations"),
                _aliases("population", _TIME, _AGE, _SEX, _COUNT, _AREA),
                "usual residents by sex and age at mid-year or census day",
            ),
            Schema(
                "population_totals",
                STOCK,
                ("year",),
                "population",
                ("sex", "vintage", "area"),
                (),
                _TEXTS,
                _aliases("population", _TIME, _SEX, _COUNT, _AREA),
                "populations of which only the total, or the total of each sex, was published",
            ),
            Schema(
                "births",
                EVENTS,
                ("year",),
                "births",
                ("sex", "vintage", "area", "basis"),
                (),
                (*_TEXTS, "period"),
                _aliases("births", _PERIOD, _SEX, _COUNT, _AREA),
                "live births registered in a year",
            ),
            Schema(
                "deaths",
                EVENTS,
                ("year", "sex", "age"),
                "deaths",
                ("vintage", "area", "basis"),
                (),
                (*_TEXTS, "period"),
                _aliases("deaths", _PERIOD, _AGE, _SEX, _COUNT, _AREA),
                "deaths registered in a year",
            ),
            Schema(
                "vital_totals",
                EVENTS,
                ("year",),
                "deaths",
                ("vintage", "area"),
                ("births",),
                (*_TEXTS, "period"),
                _aliases("deaths", _PERIOD, _AREA),
                "births and deaths of mid-year intervals, all ages and both sexes",
            ),
            Schema(
                "born_before",
                ACCOUNT,
                ("year",),
                "births",
                ("vintage", "area"),
                ("deaths", "standard_error"),
                _TEXTS,
                _aliases("births", _PERIOD, _COUNT, _AREA),
                "births of each year to mid-year before the base, and deaths of those born in it "
                "up to the base",
            ),
            Schema(
                "survey_flows",
                FLOW_TABLE,
                ("year", "flow", "sex", "age_group"),
                "estimate",
                ("citizenship", "vintage", "area"),
                (*_ERRORS, "contacts"),
                _FLOW_TEXTS,
                _aliases("estimate", _PERIOD, _GROUP, _SEX, _COUNT, _ERROR, _AREA),
                "migration estimated from a survey, with its sampling error",
            ),
            Schema(
                "survey_totals",
                FLOW_TABLE,
                ("year", "flow"),
                "estimate",
                ("vintage", "area"),
                (*_ERRORS, "contacts"),
                _FLOW_TEXTS,
                _aliases("estimate", _PERIOD, _COUNT, _ERROR, _AREA),
                "migration of all ages and both sexes from a survey, with its sampling error",
            ),
            Schema(
                "flow_schedule",
                FLOW_TABLE,
                ("year", "flow", "sex", "age_group"),
                "estimate",
                ("vintage", "area"),
                (),
                (*_TEXTS, "period"),
                _aliases("estimate", _PERIOD, _GROUP, _SEX, _COUNT, _ERROR, _AREA),
                "sexes and age groups over which the totals of a survey are laid; no data",
            ),
            Schema(
                "total_migration",
                FLOW_TABLE,
                ("year", "flow"),
                "count",
                ("vintage", "area"),
                (),
                _FLOW_TEXTS,
                _aliases("count", _PERIOD, _COUNT, _ERROR, _AREA, {"estimate": "count"}),
                "survey and adjustments together, where only the sum of the adjustments is known",
            ),
            Schema(
                "administrative_flows",
                FLOW_TABLE,
                ("source", "year", "flow"),
                "count",
                ("citizenship", "vintage", "area", "basis"),
                ("standard_error",),
                _FLOW_TEXTS,
                _aliases("count", _PERIOD, _COUNT, _ERROR, _AREA, {"estimate": "count"}),
                "asylum seekers, Irish flows, switchers and other adjustments by year",
            ),
            Schema(
                "streams",
                FLOW_TABLE,
                ("source", "year", "flow"),
                "count",
                ("sex", "age_group", "vintage", "area"),
                ("standard_error",),
                _FLOW_TEXTS,
                _aliases(
                    "count",
                    {**_PERIOD, "stream": "source", "estimate": "count"},
                    _GROUP,
                    _SEX,
                    _COUNT,
                    _ERROR,
                    _AREA,
                ),
                "named flows of people, such as a register or internal moves, in the detail in "
                "which they were published",
            ),
            Schema(
                "stocks",
                STOCK,
                ("source", "year", "sex", "age"),
                "count",
                ("vintage", "area"),
                ("standard_error",),
                (*_TEXTS, "special_populations"),
                _aliases("count", _TIME, _AGE, _SEX, _COUNT, _AREA, {"population": "count"}),
                "registers and other stocks beside the census",
            ),
            Schema(
                "components",
                ACCOUNT,
                ("year",),
                "closing",
                ("vintage", "area"),
                ("opening", "births", "deaths", "net_migration", "other"),
                (*_TEXTS, "period"),
                _aliases("closing", {"base": "opening", "net": "net_migration"}, _AREA),
                "components of change as published; used for checks only",
            ),
            Schema(
                "shares",
                SHARES,
                ("source", "year"),
                "share",
                (),
                (),
                (*_TEXTS, "period"),
                _aliases("share", {"value": ""}),
                "shares such as that of visitors who stay; between 0 and 1",
            ),
        )
    }
)


def schema(kind: str) -> Schema:
    """The schema of a kind of table; an unknown kind is an error."""
    if kind not in SCHEMAS:
        raise LabelError(
            f"'{kind}' is not a kind of table. {nearest(kind, SCHEMAS)} "
            f"Kinds are {', '.join(SCHEMAS)}."
        )
    return SCHEMAS[kind]


_NOTE = re.compile(r"\s*\[(note [0-9]+|[a-z])\]", re.IGNORECASE)
_UNIT = re.compile(r"[ _(]+(?:in )?(hundreds|thousands?|millions?|persons|'?000'?s|'000)\)?$")


def column_name(header: str) -> tuple[str, str]:
    """A header in the package's spelling, and the unit it states, if any."""
    plain = _NOTE.sub("", " ".join(header.split())).strip().casefold()
    found = _UNIT.search(plain)
    unit = (unit_of(found.group(1)) or "") if found and found.start() > 0 else ""
    plain = plain[: found.start()] if found and unit else plain
    return re.sub(r"[\s-]+", "_", plain.strip()), unit
