"""Streams: named flows of people, each with its direction, its own ages and its own errors.

Internal arrivals, border cards, a population register, students, corrections: a stream is
published as a whole or by sex and age, and what is not published is a schedule. How it was
made decides how it errs. A complete count has no sampling error and a zero in it is a zero;
a survey has a standard error in each cell; an exact stream has no error at all. A second
count of what streams already hold is :class:`Evidence`: it stands in the likelihood and is
not carried a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import xarray as xr

from imps.errors import LabelError, SourceError, some
from imps.names import AGE_GROUP, EMIGRATION, FLOW_SIGN, FLOWS, IMMIGRATION, SEX, YEAR
from imps.sources.definitions import (
    AGES,
    USUAL_RESIDENTS,
    Counted,
    check_complete,
    check_positive,
    check_sexes,
)
from imps.sources.definitions import AT_END as AT_END
from imps.sources.definitions import AT_MOVE as AT_MOVE
from imps.sources.flows import lower_ages
from imps.sources.kinds import KINDS, NAME_FORM, NET

COMPLETE_COUNT: Final = "complete count"
SAMPLE: Final = "survey"
EXACT: Final = "exact"
QUALITIES: Final = (COMPLETE_COUNT, SAMPLE, EXACT)
MIGRATION: Final = "migration"
KNOWN: Final = "known"
ROLES: Final = (MIGRATION, KNOWN)
ERRORS: Final = ("level", "sex", "children", "young", "drift", "layout")
"""Ways in which a stream may err, each a row of the table of priors called STREAM_error."""


@dataclass(frozen=True)
class Shared:
    """An error that several series of one system have in common.

    Attributes
    ----------
    name : str
        Of the system, such as "population register"; its series give the same one.
    correlation : float
        Of the level of the relative errors of two of its series, in (-1, 1). Below zero it
        is that of arrivals with departures, as in a system balanced to a census: what it
        lacks in the one it has too many in the other.
    """

    name: str
    correlation: float

    def __post_init__(self) -> None:
        if not self.name or not -1 < self.correlation < 1:
            raise SourceError(
                f"shared error '{self.name}': correlation is {self.correlation:g}; give a name and "
                "a correlation between -1 and 1, both left out."
            )

    def loading(self, flow: str) -> float:
        """Share of the standard deviation of a series' level that is the common error."""
        sign = -1.0 if self.correlation < 0 and flow == EMIGRATION else 1.0
        return sign * float(np.sqrt(abs(self.correlation)))


@dataclass(frozen=True)
class Misclassified:
    """People whom a stream counts, or does not, because they were put to the wrong class.

    Attributes
    ----------
    name : str
        Source of the gap of its own, such as "returning_emigrants".
    mean, sd : float
        Published minus true as a share of the stream at these ages.
    first_age, last_age : int
        Ages reached, both included.
    reason : str
    """

    name: str
    mean: float
    sd: float
    first_age: int = 0
    last_age: int = 200
    reason: str = ""

    def __post_init__(self) -> None:
        if not (NAME_FORM.fullmatch(self.name) and self.sd > 0):
            raise SourceError(
                f"misclassification '{self.name}': give a name of lower-case letters, digits and "
                "underscores, and an sd above 0."
            )


def check_array(array: xr.DataArray, name: str, what: str, *, signed: bool = False) -> None:
    """Refuse dimensions other than the year, and sex and age group as far as published."""
    allowed = [(YEAR,), (YEAR, SEX), (YEAR, AGE_GROUP), (YEAR, SEX, AGE_GROUP)]
    if array.dims not in allowed:
        raise LabelError(
            f"source '{name}': dimensions are {array.dims}, expected year, and sex and age_group "
            "as far as they were published, in this order."
        )
    if SEX in array.dims:
        check_sexes(array, name)
    check_complete(array, name, what, signed=signed)


def first_ages(array: xr.DataArray) -> np.ndarray:
    """First age of each group by sex, (sex, age group); one group where no age was published."""
    if AGE_GROUP not in array.dims:
        return np.zeros((2, 1))
    return lower_ages([str(g) for g in array[AGE_GROUP].values]).values


@dataclass(frozen=True)
class Stream:
    """A flow of people of one direction, carried in the roll-forward as published.

    Attributes
    ----------
    name : str
        Lower-case letters, digits and underscores: the source of the gap.
    flow : {"immigration", "emigration", "net"}
        Into the area, out of it, or the balance of both.
    count : DataArray (year[, sex][, age_group]), persons per year of the account
        In the detail in which it was published. Groups are written "0-4", "23", "85+";
        the last is open. Not negative unless it is net.
    quality : {"complete count", "survey", "exact"}
    errors : mapping of {"level", "sex", "children", "young", "drift", "layout"} to (mean, sd)
        Published minus true as a share of the stream; only the level takes a mean. An exact
        stream has none, another one has at least a level. "layout" is that over sexes and
        single ages within what was published, .25 unless told.
    reason : str
        Why the errors are so large; stands in the table of priors.
    standard_error : DataArray, same labels, or None
        Of a survey.
    ages : {"at the move", "at the end of the year"}
        What an age of the count is.
    role : {"migration", "known"}
        A part of migration, or a change beside it.
    shared : Shared or None
    misclassified : tuple of Misclassified
    anchored_to : str
        Vintage of a stock that the stream was fitted to, if any.
    vintage, reference : str
    counted : Counted
    """

    name: str
    flow: str
    count: xr.DataArray
    quality: str
    vintage: str
    reference: str
    errors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reason: str = ""
    standard_error: xr.DataArray | None = None
    ages: str = AT_END
    role: str = MIGRATION
    shared: Shared | None = None
    misclassified: tuple[Misclassified, ...] = ()
    anchored_to: str = ""
    counted: Counted = USUAL_RESIDENTS

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("flow", self.flow, (*FLOWS, NET)),
            ("quality", self.quality, QUALITIES),
            ("role", self.role, ROLES),
            ("ages", self.ages, AGES),
        ):
            if value not in allowed:
                self._refuse(f"{what} is '{value}', expected one of {', '.join(allowed)}")
        if not NAME_FORM.fullmatch(self.name) or self.name in KINDS:
            self._refuse("its name is not of lower-case letters, digits and underscores, or is "
                         "that of a source of the package; give it another")  # fmt: skip
        check_array(self.count, self.name, "value", signed=self.flow == NET)
        self._check_errors()
        if (self.quality == SAMPLE) != (self.standard_error is not None):
            self._refuse("a survey has a standard error and no other stream has: give it, or "
                         "declare the quality")  # fmt: skip
        if self.standard_error is not None:
            check_positive(self.standard_error, self.name, "standard error")
            if self.standard_error.dims != self.count.dims:
                self._refuse("standard errors and counts differ in their labels")

    def _check_errors(self) -> None:
        unknown = [name for name in self.errors if name not in ERRORS]
        if unknown:
            self._refuse(f"errors name {some(unknown)}, known are {', '.join(ERRORS)}")
        if self.quality == EXACT and (self.errors or self.misclassified):
            self._refuse("an exact stream has no error: drop the errors or the quality")
        if self.quality != EXACT and not self.errors.get("level", (0.0, 0.0))[1] > 0:
            self._refuse(f"a {self.quality} has an error of its level: give errors['level'] = "
                         "(mean, sd), shares of the stream with sd above 0")  # fmt: skip
        for name, (mean, sd) in self.errors.items():
            if not (np.isfinite([mean, sd]).all() and sd >= 0 and (mean == 0 or name == "level")):
                self._refuse(f"the error '{name}' is ({mean:g}, {sd:g}): the sd is not negative, "
                             "and only the level takes a mean")  # fmt: skip

    def _refuse(self, problem: str) -> None:
        raise SourceError(f"stream '{self.name}': {problem}.")

    @property
    def sign(self) -> float:
        """+1 where it adds to the population, or is net; -1 for departures."""
        return FLOW_SIGN.get(self.flow, 1.0)

    @property
    def group(self) -> str:
        """Headline group that it is reported in."""
        return "migration" if self.role == MIGRATION else "other changes"

    @property
    def schedule(self) -> str:
        """Flow whose generic schedule lays out what was not published."""
        return IMMIGRATION if self.flow == IMMIGRATION else EMIGRATION

    def fixes_cells(self, open_age: int) -> bool:
        """Whether it was published by sex and single year up to the open age of the account."""
        if not {SEX, AGE_GROUP} <= set(self.count.dims):
            return False
        lower = first_ages(self.count)
        return bool((np.diff(lower) == 1).all() and lower.max() >= open_age)

    @property
    def net(self) -> xr.DataArray:
        """What it adds to the population, (year), persons per year."""
        return self.sign * self.count.sum([d for d in self.count.dims if d != YEAR])

    @property
    def detail(self) -> str:
        """What it is and the detail in which it was published, in words."""
        by = {SEX: "sex", AGE_GROUP: "age"}
        shown = " and ".join(by[str(d)] for d in self.count.dims[1:])
        how = {IMMIGRATION: "arrivals", EMIGRATION: "departures"}.get(self.flow, "net")
        return f"{self.quality}, {how}, {f'by {shown}' if shown else 'totals only'}"


@dataclass(frozen=True)
class Evidence:
    """A further count of what streams of the account hold; it is not carried.

    Of several streams it counts their sum, or, where arrivals and departures are among them,
    arrivals minus departures, or their sum as turnover. A series whose arrivals and departures
    were balanced to a stock errs by the same people in both, and its net migration is that
    stock's: beside the stock only its turnover is news.

    Attributes
    ----------
    name : str
    of : tuple of str
        Names of streams, or "immigration" and "emigration" for the true flows of the survey.
    count, standard_error : DataArray (year[, sex][, age_group]), persons per year of the account
        Years may be a part of the account's.
    coverage_mean, coverage_sd : float
        Share of the true flow that it counts; one and zero for a published sum.
    turnover : bool
        Arrivals plus departures. May be anchored to a stock of the account.
    ages, shared, anchored_to, vintage, reference, counted
        As of a :class:`Stream`.
    """

    name: str
    of: tuple[str, ...]
    count: xr.DataArray
    standard_error: xr.DataArray
    vintage: str
    reference: str
    coverage_mean: float = 1.0
    coverage_sd: float = 0.0
    ages: str = AT_END
    shared: Shared | None = None
    anchored_to: str = ""
    counted: Counted = USUAL_RESIDENTS
    turnover: bool = False

    def __post_init__(self) -> None:
        check_array(self.count, self.name, "value", signed=True)
        check_array(self.standard_error, self.name, "standard error")
        check_positive(self.standard_error, self.name, "standard error")
        if not self.of or len(set(self.of)) < len(self.of):
            raise SourceError(f"evidence '{self.name}': name each stream that it counts once.")
        if self.coverage_sd < 0 or not self.coverage_mean > 0:
            raise SourceError(
                f"evidence '{self.name}': coverage {self.coverage_mean:g}, sd "
                f"{self.coverage_sd:g}; give a mean above 0 and an sd that is not negative."
            )
