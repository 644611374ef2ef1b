"""What a figure counts, as a type; in what detail; and in words, how two figures differ.

Two figures are combined only if they agree in all of it: persons or thousands,
calendar year, mid-year or census day, survey or long-term migration, usual
residents or short-term ones, geography, vintage. A mixture is an error that
explains the difference. Detail is sexes apart or together, ages single or in groups.
Checks of labels and cells are those that every source makes when it is built.

References
----------
ONS, Long-Term International Migration QMI; Mid-year population estimates QMI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import xarray as xr

from imps.demography.periods import BASES, CALENDAR_YEARS, MID_YEARS
from imps.demography.schedules import cells_of
from imps.errors import DefinitionError, LabelError, MissingCellError, some
from imps.names import AGE, SEX, SEXES, YEAR

PERSONS: Final = "persons"
THOUSANDS: Final = "thousands"
USUAL: Final = "usual"
SHORT_TERM: Final = "short-term"
SURVEY: Final = "survey"
LONG_TERM: Final = "LTIM"
AT_MOVE: Final = "at the move"
AT_END: Final = "at the end of the year"
AGES: Final = (AT_MOVE, AT_END)
"""What an age of a flow may be."""
LARGEST_BIRTH_RATE: Final = 0.1
"""Births per person and year that no population has had (highest recorded: about 0.06)."""
LEAST_BIRTH_RATE: Final = 0.0005
"""Births per person and year below any national population (lowest recorded: about 0.004)."""

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "unit": (PERSONS, THOUSANDS),
        "residents": (USUAL, SHORT_TERM),
        "measure": ("", SURVEY, LONG_TERM),
    }
)
_MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {"ips": SURVEY, "survey": SURVEY, "ltim": LONG_TERM, "tim": LONG_TERM}
)
_TOTAL: Final = re.compile(r"\b(ltim|tim)\b|\b(long term|total) international migration\b")
_EXPLANATIONS: Final[Mapping[frozenset[str], str]] = MappingProxyType(
    {
        frozenset((PERSONS, THOUSANDS)): "one thousand is 1,000 persons",
        frozenset((USUAL, SHORT_TERM)): "usual residents stay for twelve months or more; "
        "short-term residents stay for less and stand in neither census nor mid-year estimates",
        frozenset((SURVEY, LONG_TERM)): "long-term international migration (LTIM, formerly TIM) "
        "is the survey (IPS) plus asylum seekers, Irish flows and visitor switchers, minus "
        "migrant switchers",
        frozenset((CALENDAR_YEARS, MID_YEARS)): "a calendar year runs from January to December, "
        "a mid-year from 1 July of the year before to 30 June",
        frozenset(("mid-year", "census day")): "births, deaths and migration of the time between "
        "census day and 30 June lie between the two",
        frozenset(("United Kingdom", "Great Britain")): "Great Britain leaves out Northern Ireland",
        frozenset(("United Kingdom", "England and Wales")): "the United Kingdom is England, Wales, "
        "Scotland and Northern Ireland",
        frozenset(("Great Britain", "England and Wales")): "Great Britain is England, Wales and "
        "Scotland",
        frozenset(("England", "England and Wales")): "the second holds Wales as well",
    }
)
VINTAGES_DIFFER: Final = (
    "figures are revised between vintages, and the revision would be taken for an error of a source"
)


@dataclass(frozen=True)
class Counted:
    """What the figures of a source count.

    Attributes
    ----------
    geography : str
        Area; empty if not stated, and then that of the account.
    unit : {"persons", "thousands"}
        The account takes persons only.
    residents : {"usual", "short-term"}
        The account takes usual residents only.
    measure : {"", "survey", "LTIM"}
        Of flows: the survey alone, or with its adjustments; empty if not stated.
    """

    geography: str = ""
    unit: str = PERSONS
    residents: str = USUAL
    measure: str = ""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise DefinitionError(f"{name} is '{value}', expected one of {choices}.")


USUAL_RESIDENTS: Final = Counted()
"""Persons who live in the area of the account for twelve months or more."""


def measure_of(definition: str) -> str:
    """The measure behind a definition such as "IPS" or "LTIM"; empty if it is none of them."""
    plain = _plain(definition)
    known = _MEASURES.get(plain)
    if known is None:
        return LONG_TERM if _TOTAL.search(plain) else ""
    return known


def _plain(definition: str) -> str:
    return " ".join(definition.casefold().replace("-", " ").split())


def residents_of(definition: str) -> str:
    """The residents behind a definition such as "STIM"; usual ones unless it says otherwise."""
    words = _plain(definition)
    return SHORT_TERM if words == "stim" or "short term" in words else USUAL


def difference(one: str, other: str) -> str:
    """How two definitions differ, in words, or nothing if that is not known."""
    return _EXPLANATIONS.get(frozenset((one, other)), "")


def explained(one: str, other: str) -> str:
    """The difference as a clause to end a message with."""
    words = difference(one, other)
    return f" ({words})" if words else ""


@dataclass(frozen=True)
class Detail:
    """Cells in which a figure was published.

    Attributes
    ----------
    by_sex : bool
        Whether the sexes were published apart.
    lower_ages : tuple of int
        First ages of the published groups; the last group is open. One group is all ages.
    """

    by_sex: bool
    lower_ages: tuple[int, ...]

    @property
    def single(self) -> bool:
        """Whether ages are single years up to the open one."""
        n = len(self.lower_ages)
        return n > 1 and self.lower_ages == tuple(range(n))

    def fixes_cells(self, n_ages: int) -> bool:
        """Whether it leaves nothing open within sexes and single ages."""
        return self.by_sex and self.single and len(self.lower_ages) == n_ages

    def counting(self, n_ages: int) -> np.ndarray:
        """Which (sex, age) each cell holds, (cell, sex, age), 0 or 1."""
        return cells_of(self.lower_ages, n_ages, by_sex=self.by_sex)

    @property
    def groups(self) -> tuple[str, ...]:
        """Labels of the age groups: single years as numbers, "0-4", "85+"; none of all ages."""
        if len(self.lower_ages) == 1:
            return ("",)
        if self.single:
            return tuple(map(str, self.lower_ages))
        last = (*(low - 1 for low in self.lower_ages[1:]), None)
        return tuple(
            f"{a}+" if b is None else str(a) if a == b else f"{a}-{b}"
            for a, b in zip(self.lower_ages, last, strict=True)
        )

    @property
    def said(self) -> str:
        """In words, such as "by sex and age in 19 groups (0-4, 5-9, ... 90+)"."""
        with_ages = len(self.lower_ages) > 1
        by = [what for what, there in (("sex", self.by_sex), ("age", with_ages)) if there]
        words = f"by {' and '.join(by)}" if by else "total only"
        if not with_ages or self.single:
            return words
        groups = self.groups
        return f"{words} in {len(groups)} groups ({groups[0]}, {groups[1]}, ... {groups[-1]})"

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the cells: sex, then age group, as far as they were published."""
        sexes = SEXES if self.by_sex else ("",)
        return tuple(f"{sex} {group}".strip() for sex in sexes for group in self.groups)

    @property
    def ages(self) -> np.ndarray:
        """First and last age of each cell, the last of the open group infinite, (cell, 2)."""
        last = np.r_[np.array(self.lower_ages[1:], float) - 1, np.inf]
        pairs = np.stack([np.array(self.lower_ages, float), last], axis=1)
        return np.tile(pairs, (2 if self.by_sex else 1, 1))


def in_detail(cells: xr.DataArray, detail: Detail) -> xr.DataArray:
    """Sums of (..., sex, age) over what was published together; ages are first ages."""
    out = cells if detail.by_sex else cells.sum(SEX, skipna=False).expand_dims({SEX: [PERSONS]})
    if tuple(int(a) for a in cells[AGE].values) == detail.lower_ages:
        return out.transpose(*cells.dims)
    first = np.array(detail.lower_ages)
    group = first[np.searchsorted(first, cells[AGE].values, side="right") - 1]
    summed = out.assign_coords({AGE: group}).groupby(AGE).sum(skipna=False)
    return summed.transpose(*cells.dims)


def age_said(detail: Detail, first: int) -> str:
    """An age group in words: "23", "20–24", "85+"; it may be a group of groups."""
    lower = detail.lower_ages
    at = lower.index(int(first))
    if at == len(lower) - 1:
        return f"{first}+"
    last = lower[at + 1] - 1
    return f"{first}" if last == first else f"{first}–{last}"


def in_bands(detail: Detail, width: int) -> Detail:
    """The same with ages in bands of at least a width, as far as published groups allow."""
    kept: list[int] = []
    for age in detail.lower_ages:
        if not kept or age // width > kept[-1] // width:
            kept.append(age)
    return Detail(detail.by_sex, tuple(kept))


def needs_sexes(detail: Detail, what: str) -> None:
    """Refuse a figure or table by sex of an account in which no sex was published.

    Raises
    ------
    LabelError
    """
    if not detail.by_sex:
        raise LabelError(f"{what} is by sex, and the last stock was published for persons only: "
                         "leave the sex out.")  # fmt: skip


def check_dims(array: xr.DataArray, dims: tuple[str, ...], source: str) -> None:
    """Refuse an array whose dimensions are not exactly `dims`, in order."""
    if array.dims != dims:
        raise LabelError(
            f"source '{source}': dimensions are {array.dims}, expected {dims}. "
            "Transpose or rename them."
        )


def check_sexes(array: xr.DataArray, source: str) -> None:
    """Refuse sexes other than male, female, in that order."""
    found = tuple(str(s) for s in array[SEX].values)
    if found != SEXES:
        raise LabelError(
            f"source '{source}': sexes are {found}, expected {SEXES} in this order. "
            f"{_difference(found, SEXES)}"
        )


def check_ages(array: xr.DataArray, source: str, expected: np.ndarray | None = None) -> None:
    """Refuse ages with gaps, or other ages than the account's."""
    found = array[AGE].values
    wanted = np.arange(found.size) if expected is None else expected
    if found.shape != wanted.shape or not (found == wanted).all():
        raise LabelError(
            f"source '{source}': ages run from {found[0]} to {found[-1]} ({found.size} labels), "
            f"expected single years {wanted[0]} to {wanted[-1]} (open age group) without gaps. "
            f"{_difference(found, wanted)}"
        )


def check_years(array: xr.DataArray, source: str, expected: np.ndarray) -> None:
    """Refuse years other than those expected, in order."""
    found = array[YEAR].values
    if found.shape != expected.shape or not (found == expected).all():
        raise LabelError(
            f"source '{source}': years are {found.tolist()}, expected {expected.tolist()}. "
            f"{_difference(found, expected)}"
        )


def check_basis(basis: str, source: str) -> None:
    """Refuse a period that is neither the calendar year nor the year to mid-year."""
    if basis not in BASES:
        raise DefinitionError(f"source '{source}': basis is '{basis}', expected one of {BASES}.")


def check_complete(
    array: xr.DataArray, source: str, what: str = "value", *, signed: bool = False
) -> None:
    """Refuse missing, infinite or (unless `signed`) negative cells and name the first of them."""
    values = array.values
    bad = ~np.isfinite(values)
    if bad.any():
        raise MissingCellError(
            f"source '{source}': {bad.sum()} of {values.size} cells have no {what} "
            f"({some(_cells(array, bad))}). A missing cell is not a zero: supply it, or leave "
            "the source out."
        )
    if not signed and (values < 0).any():
        raise MissingCellError(
            f"source '{source}': {(values < 0).sum()} cells have a negative {what} "
            f"({some(_cells(array, values < 0))}). Counts and flows are not negative; only net "
            "migration has a sign."
        )


def check_positive(array: xr.DataArray, source: str, what: str) -> None:
    """Refuse cells that are zero or less where only positive values mean anything."""
    bad = ~(array.values > 0)
    if bad.any():
        raise MissingCellError(
            f"source '{source}': {bad.sum()} of {array.size} cells have a {what} that is not "
            f"positive ({some(_cells(array, bad))}). A zero {what} claims certainty: use "
            "smoothed standard errors."
        )


def _cells(array: xr.DataArray, bad: np.ndarray) -> list[str]:
    places = [
        [str(array[dim].values[i]) for dim, i in zip(array.dims, index, strict=True)]
        for index in np.argwhere(bad)
    ]
    return [" ".join(place) for place in places]


def _difference(found: object, expected: object) -> str:
    missing = [x for x in np.asarray(expected).tolist() if x not in np.asarray(found).tolist()]
    extra = [x for x in np.asarray(found).tolist() if x not in np.asarray(expected).tolist()]
    parts = []
    if missing:
        parts.append(f"Missing: {some(missing)}.")
    if extra:
        parts.append(f"Not expected: {some(extra)}.")
    return " ".join(parts) or "The order differs."
