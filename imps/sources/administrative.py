"""Administrative sources: flows added to the survey, registers, mirror series.

Total International Migration of one direction is the survey plus Irish flows
plus asylum seekers and dependants plus visitor switchers minus migrant
switchers. Each part is a source of its own with an error of its own. Where a
publisher gave only the sum of the parts, they are `expected` parts of a
:class:`KnownSum`: their split is unknown within the known sum.

References
----------
ONS, Long-Term International Migration QMI (composition; formerly TIM).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from imps.demography.periods import CALENDAR_YEARS
from imps.errors import DefinitionError, SourceError
from imps.names import AGE, EMIGRATION, FLOWS, SEX, YEAR
from imps.sources.definitions import (
    USUAL_RESIDENTS,
    Counted,
    check_ages,
    check_basis,
    check_complete,
    check_dims,
    check_positive,
    check_sexes,
)
from imps.sources.kinds import KINDS, NET, SourceKind

PUBLISHED = "published"
EXPECTED = "expected"


@dataclass(frozen=True)
class AdministrativeFlow:
    """A flow that is added to, or taken off, the survey in one direction.

    Attributes
    ----------
    name : str
        Source it is reported under; its relative error is the prior of this name.
    flow : {"immigration", "emigration"}
        Direction it belongs to.
    count : DataArray (year), persons per year
        Not negative.
    adds : bool
        False for a flow that is taken off, such as migrant switchers.
    status : {"published", "expected"}
        Expected: only the sum of several parts was published.
    male_share : float
        For the age-sex schedule, which is not data.
    vintage, reference : str
    basis : {"calendar year", "mid-year"}
        What `year` means; the same as that of the survey.
    counted : Counted
        Geography, unit and residents of the figures.
    kind : SourceKind, optional
        Of the user's own: title, headline group, age schedule and prior. What has none is
        the row of its name in the table of kinds.
    """

    name: str
    flow: str
    count: xr.DataArray
    adds: bool
    status: str
    male_share: float
    vintage: str
    reference: str
    basis: str = CALENDAR_YEARS
    counted: Counted = USUAL_RESIDENTS
    kind: SourceKind | None = None

    def __post_init__(self) -> None:
        check_kind(self.name, self.kind, self.flow)
        if self.flow not in FLOWS:
            raise SourceError(f"source '{self.name}': flow is '{self.flow}', not one of {FLOWS}.")
        if self.status not in (PUBLISHED, EXPECTED):
            raise SourceError(f"source '{self.name}': status is '{self.status}'.")
        check_basis(self.basis, self.name)
        check_dims(self.count, (YEAR,), self.name)
        check_complete(self.count, self.name)

    @classmethod
    def of(
        cls, kind: SourceKind, flow: str, count: xr.DataArray, **fields: Any
    ) -> AdministrativeFlow:
        """A part of a kind, which says its sign and its share of men.

        Parameters
        ----------
        kind : SourceKind
            A row of the table of kinds, or one of the user's own.
        flow : {"immigration", "emigration"}
        count : DataArray (year), persons per year
        **fields
            The other fields: vintage, reference and so on.
        """
        settings = {"status": PUBLISHED, "male_share": kind.male_share, **fields}
        own = None if KINDS.get(kind.name) == kind else kind
        return cls(kind.name, flow, count, adds=kind.adds, kind=own, **settings)

    @property
    def sign(self) -> float:
        """+1 where it adds to the flow of its direction, -1 where it is taken off."""
        return 1.0 if self.adds else -1.0

    @property
    def label(self) -> str:
        """Name with direction, for messages and tables."""
        return f"{self.name} ({self.flow})"

    @property
    def group(self) -> str:
        """Headline group that it is reported in."""
        row = self.kind or KINDS.get(self.name)
        return row.group if row else "migration"

    @property
    def ages_of(self) -> str:
        """Flow whose age schedule it has: its own direction unless its kind says otherwise."""
        row = self.kind or KINDS.get(self.name)
        return (row.schedule if row else "") or self.flow


def check_kind(name: str, kind: SourceKind | None, flow: str) -> None:
    """A name stands for one kind, and a source for what its kind may be.

    Raises
    ------
    SourceError
        If the kind is a second one of a name, of another name, or of another flow.
    """
    row = KINDS.get(name)
    if kind is not None and row is not None and kind != row:
        raise SourceError(
            f"source '{name}': a kind of this name is there already ({row.title}). Give the kind "
            "of your own another name."
        )
    row = kind or row
    if row is None:
        return
    if row.name != name:
        raise SourceError(
            f"source '{name}': its kind is '{row.name}', allowed is a kind of its own name. "
            "Rename one of them."
        )
    if flow in (*FLOWS, NET) and flow not in (row.flows or (row.flow,)):
        allowed = ", ".join(row.flows or (row.flow,)).strip() or "none: the package computes it"
        raise SourceError(
            f"source '{name}': flow is '{flow}', allowed is {allowed}. Correct its flow, or give "
            "it another name."
        )


def asylum_seekers(flow: str, count: xr.DataArray, **fields: Any) -> AdministrativeFlow:
    """Asylum seekers and dependants who are not in the survey; two thirds men."""
    return AdministrativeFlow.of(KINDS["asylum_seekers"], flow, count, **fields)


def irish_flows(flow: str, count: xr.DataArray, **fields: Any) -> AdministrativeFlow:
    """Flows to and from the Irish Republic, in the survey only from 2008."""
    return AdministrativeFlow.of(KINDS["irish_flows"], flow, count, **fields)


def visitor_switchers(flow: str, count: xr.DataArray, **fields: Any) -> AdministrativeFlow:
    """People who meant to stay under twelve months and stayed longer: added."""
    return AdministrativeFlow.of(KINDS["visitor_switchers"], flow, count, **fields)


def migrant_switchers(flow: str, count: xr.DataArray, **fields: Any) -> AdministrativeFlow:
    """People who meant to stay twelve months or more and did not: taken off."""
    return AdministrativeFlow.of(KINDS["migrant_switchers"], flow, count, **fields)


@dataclass(frozen=True)
class KnownSum:
    """The published sum of the adjustments of one direction: TIM minus survey.

    Attributes
    ----------
    flow : {"immigration", "emigration"}
    count : DataArray (year), persons per year
    vintage, reference : str
    basis : {"calendar year", "mid-year"}
    counted : Counted
        Geography, unit and residents of the figures.
    """

    flow: str
    count: xr.DataArray
    vintage: str
    reference: str
    basis: str = CALENDAR_YEARS
    counted: Counted = USUAL_RESIDENTS


def expected_parts(
    known: KnownSum, shares: Iterable[tuple[object, float | xr.DataArray]], **fields: object
) -> tuple[AdministrativeFlow, ...]:
    """Expected parts of a known sum, from the share of each; the split stays unknown.

    Parameters
    ----------
    known : KnownSum
    shares : pairs of a source function and a signed share of the sum
        Signed shares (negative for migrant switchers) sum to one; a share that
        changes over time is a DataArray (year).
    """
    pairs = list(shares)
    total = np.asarray(sum(share for _, share in pairs))
    if np.abs(total - 1).max() > 1e-9:
        worst = total.flat[np.abs(total - 1).argmax()]
        raise SourceError(f"shares of the known sum ({known.flow}) add to {worst:g}, not 1.")
    return tuple(
        make(known.flow, abs(share) * known.count, status=EXPECTED, **fields)  # type: ignore[operator]
        for make, share in pairs
    )


@dataclass(frozen=True)
class KnownChange:
    """A change of population that is neither birth, death nor international migration.

    Moves across the border to the rest of the country, changes of armed forces
    and of prisoners. The roll-forward carries it as published. It is taken as
    true unless the table of priors has a row of its name, as
    `default_priors("cross_border")` has.

    Attributes
    ----------
    name : str
    count : DataArray (year), persons per mid-year interval
        Signed: positive adds to the population. A year of the account that is
        missing was not published, and its change stands in that year's flows.
    vintage, reference : str
    counted : Counted
        Geography, unit and residents of the figures.
    kind : SourceKind, optional
        Of the user's own.
    """

    name: str
    count: xr.DataArray
    vintage: str
    reference: str
    counted: Counted = USUAL_RESIDENTS
    kind: SourceKind | None = None

    @property
    def group(self) -> str:
        """Headline group that it is reported in."""
        row = self.kind or KINDS.get(self.name)
        return row.group if row else "other changes"

    @property
    def ages_of(self) -> str:
        """Flow whose age schedule it has: emigration unless its kind says otherwise."""
        return (self.kind.schedule if self.kind else "") or EMIGRATION

    def __post_init__(self) -> None:
        check_kind(self.name, self.kind, NET)
        check_dims(self.count, (YEAR,), self.name)
        check_complete(self.count, self.name, signed=True)


@dataclass(frozen=True)
class Register:
    """A stock from a register at one mid-year: patients, pensioners, pupils.

    The register counts N (1 + c) people, c its net overcoverage: a level with
    mean `coverage_mean` and standard deviation `coverage_sd`, a smooth part over
    age with `coverage_age_sd`, and independent errors of each cell.

    Attributes
    ----------
    name : str
    year : int
        Mid-year of the stock.
    count : DataArray (sex, age), persons
        Ages may be a part of the account's ages.
    standard_error : DataArray (sex, age), persons
    coverage_mean, coverage_sd, coverage_age_sd : float
        Shares of the registered count.
    vintage, reference : str
    counted : Counted
        Geography, unit and residents of the figures.
    """

    name: str
    year: int
    count: xr.DataArray
    standard_error: xr.DataArray
    coverage_mean: float
    coverage_sd: float
    coverage_age_sd: float
    vintage: str
    reference: str
    counted: Counted = USUAL_RESIDENTS

    def __post_init__(self) -> None:
        for what, array in (("count", self.count), ("standard error", self.standard_error)):
            check_dims(array, (SEX, AGE), self.name)
            check_sexes(array, self.name)
            check_complete(array, self.name, what)
        first = int(self.count[AGE].values[0])
        check_ages(
            self.count.assign_coords({AGE: self.count[AGE] - first}), self.name
        )  # single years without gaps
        check_positive(self.standard_error, self.name, "standard error")


@dataclass(frozen=True)
class MirrorSeries:
    """One direction of migration as other countries counted it, by calendar year.

    The series counts a share of the flow: `coverage_mean` on average, uncertain
    by `coverage_sd`, with independent errors of each year.

    Attributes
    ----------
    name : str
    flow : {"immigration", "emigration"}
    count, standard_error : DataArray (year), persons per calendar year
    coverage_mean, coverage_sd : float
        Share of the true flow that the series counts.
    vintage, reference : str
    anchored_to : str
        Name of the estimates the series was weighted to, if any; such a series
        is refused when those are the estimates under test.
    counted : Counted
        Geography, unit and residents of the figures.
    """

    name: str
    flow: str
    count: xr.DataArray
    standard_error: xr.DataArray
    coverage_mean: float
    coverage_sd: float
    vintage: str
    reference: str
    anchored_to: str = ""
    counted: Counted = USUAL_RESIDENTS

    def __post_init__(self) -> None:
        if self.flow not in FLOWS:
            raise SourceError(f"source '{self.name}': flow is '{self.flow}', not one of {FLOWS}.")
        if self.anchored_to:
            raise DefinitionError(
                f"source '{self.name}' is anchored to {self.anchored_to}: a series weighted "
                "to the estimates under test is no independent evidence on their error."
            )
        check_dims(self.count, (YEAR,), self.name)
        check_complete(self.count, self.name)
        check_positive(self.standard_error, self.name, "standard error")
