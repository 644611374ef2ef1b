"""The sections of a settings file: type, range, default and meaning of every key.

Each section is a model of :mod:`pydantic`; an unknown key is refused. The reference of the
settings is written from the descriptions of the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imps.demography.periods import YearEnd
from imps.errors import SourceError, some
from imps.sampling import Sampling
from imps.sources.kinds import KINDS, NET, PARTS, SourceKind

MEAN_OF_CALENDAR_YEARS: Final = "mean-of-two-calendar-years"

Flow = Literal["immigration", "emigration"]
Share = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


class Section(BaseModel):
    """A section of the settings: no unknown key, no value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class EraSettings(Section):
    """Years in which the coverage of the survey is known to have differed."""

    flows: tuple[Flow, ...] = Field(strict=False, min_length=1, description="directions concerned")
    first: int = Field(ge=0, le=2200, description="first year")
    last: int = Field(ge=0, le=2200, description="last year, which belongs to the era")
    reason: str = Field(min_length=1, description="what was different, known without the gap")


class KindSettings(Section):
    """A source of the gap that the package does not know; one row of the table of kinds."""

    name: str = Field(description="lower-case letters, digits and underscores, as in the tables")
    title: str = Field("", description="as tables and figures show it; the name unless stated")
    group: str = Field("", description="headline group; that of its flow unless stated")
    flow: Literal["both", "immigration", "emigration", "net"] = Field(
        "both", description="directions it may have; net is no international migration"
    )
    adds: bool = Field(True, description="false for a part that is taken off")
    male_share: float = Field(0.5, ge=0, le=1, description="share of men in its age schedule")
    schedule: Flow | None = Field(
        None, description="whose age schedule it has; that of its direction unless stated"
    )
    mean: Share = Field(0.0, description="prior mean of its relative error")
    sd: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False,
        description="prior standard deviation of its relative error; a net change with 0 is "
        "carried as published",
    )  # fmt: skip
    meaning: str = Field("", description="what the prior says, in plain words")
    reference: str = Field("", description="why it is as it is")


class Account(Section):
    """What the tables are to be joined into; the section [account] of a settings file."""

    name: str = Field("", description="title of the case")
    geography: str = Field("", description="area of all its figures")
    first_mid_year: int = Field(0, ge=0, le=2200, description="mid-year of the base")
    last_mid_year: int = Field(
        0, ge=0, le=2200, description="mid-year that the roll-forward and the census meet at"
    )
    year_ends: str = Field(
        "06-30",
        pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
        description='month and day with which every year of the account ends: "06-30", "12-31" '
        'for stocks of 1 January, "03-31"',
    )
    base_vintage: str = Field(
        "", description="vintage of the population that is the base, where several could be meant"
    )
    rolled_forward_vintage: str = Field(
        "", description="vintage of the official roll-forward, where several could be meant"
    )
    census_vintage: str = Field(
        "", description="vintage of the population that is the census, where several could be meant"
    )
    schedule_vintage: str = Field(
        "",
        description="vintage of a population that is a schedule only: it gives ages to totals and "
        "divides deaths between cohorts, and is no data",
    )
    census_standard_error: float = Field(
        0.0, ge=0, le=0.1, allow_inf_nan=False,
        description="random error of the total of the census as a share: the 95 % half-width "
        "divided by 1.96 and by the total",
    )  # fmt: skip
    base_standard_error: float | None = Field(
        None, ge=0, le=0.1, allow_inf_nan=False,
        description="the same of the base; that of the census unless stated, 0 if it is exact",
    )  # fmt: skip
    base_quality: Literal["census", "register"] = Field(
        "census", description="a register is a complete count: it has no sampling error"
    )
    census_quality: Literal["census", "register", "planned"] = Field(
        "census",
        description="the same of the other end; planned if no census has been taken there yet",
    )
    calendar_to_mid_year: Literal["", "mean-of-two-calendar-years"] = Field(
        "", description="conversion of calendar years that is allowed"
    )
    special_populations: Literal["", "as-declared"] = Field(
        "", description='"as-declared": stocks that differ in armed forces or prisoners are meant'
    )
    rolled_forward_rule: str = Field(
        "",
        description="how mid-years of the roll-forward that were not published were reached; they "
        'bear the flag "by rule" in the column population_flag',
    )
    components_differ: str = Field(
        "",
        description="why births, deaths and flows of the tables do not make the published "
        "roll-forward, where no later series of total migration says so",
    )
    standard_error_rule: str = Field(
        "",
        description="how standard errors and contacts of the survey were reached where they were "
        "not published",
    )
    survey_eras: str = Field(
        "",
        description="years of other coverage of the survey in one line, such as "
        '"immigration 2004-2008; emigration 2008-2011": each gets a step of the bias',
    )
    eras: tuple[EraSettings, ...] = Field(
        (), strict=False, description="the same as sections, each with its reason"
    )
    kinds: tuple[KindSettings, ...] = Field(
        (), strict=False, description="sources of the gap that the package does not know"
    )
    expected_shares: dict[Flow, dict[str, float]] = Field(
        {},
        description="signed shares by which a known sum of parts, total migration less the survey, "
        "is expected to divide; they sum to 1 and are assumptions, not data",
    )
    expected_until: dict[str, int] = Field(
        {}, description="last year of an expected part; its share then goes to the others"
    )
    expected_parts: tuple[str, ...] = Field(
        (), strict=False,
        description="administrative flows that are expected parts of the known sum, not published",
    )  # fmt: skip
    partly_published: tuple[str, ...] = Field(
        (), strict=False,
        description="net changes of which some years were not published: they stand in the flows",
    )  # fmt: skip

    @property
    def year_end(self) -> YearEnd:
        """The day with which every year of the account ends."""
        return YearEnd.of(self.year_ends)

    @property
    def own_kinds(self) -> tuple[SourceKind, ...]:
        """Kinds of source of the user's own.

        Raises
        ------
        SourceError
            If one is no kind, or a second one of its name.
        """
        own = [SourceKind(**kind.model_dump(exclude_none=True)) for kind in self.kinds]
        names = [*KINDS, *(kind.name for kind in own)]
        double = sorted({kind.name for kind in own if names.count(kind.name) > 1})
        if double:
            raise SourceError(
                f"account.kinds: a kind called {some(double)} is there already; allowed is any "
                "other name. Rename it in the settings and in the table."
            )
        return tuple(own)

    @property
    def kinds_by_name(self) -> dict[str, SourceKind]:
        """Rows of the table of kinds and those of the user's own."""
        return {**KINDS, **{kind.name: kind for kind in self.own_kinds}}

    @property
    def part_names(self) -> tuple[str, ...]:
        """Parts of migration that a table may hold, by name."""
        return (*PARTS, *(kind.name for kind in self.kinds if kind.flow != NET))


class CaseSettings(Section):
    """What is told with the results: licence, notes, and tables that no likelihood holds."""

    licence: str = Field("", description="licence of the figures")
    notes: tuple[str, ...] = Field(
        (), strict=False, description="what a reader has to know of the figures, a sentence each"
    )
    references: str = Field(
        "", description="file of reference, publisher, title, published and licence"
    )
    published_afterwards: str = Field(
        "", description="file of later revisions and attributions, for comparison only"
    )
    later_series: str = Field(
        "", description="file of later series of population and flows, for comparison only"
    )


class FitSettings(Section):
    """How the model is fitted."""

    seed: int = Field(
        Sampling.seed, ge=0, le=2**32 - 1, description="one number for everything random"
    )
    chains: int = Field(Sampling.chains, ge=1, le=64, description="number of chains")
    draws: int | None = Field(
        None, ge=1, le=1_000_000,
        description="draws of each chain; unless told 1,000 the exact way and 2,000 by NUTS",
    )  # fmt: skip
    tune: int = Field(Sampling.tune, ge=0, le=1_000_000, description="steps of tuning; NUTS only")
    cores: int = Field(Sampling.cores, ge=1, le=1024, description="processes; NUTS only")
    target_accept: float = Field(
        Sampling.target_accept, ge=0.5, le=0.999, allow_inf_nan=False,
        description="rate of acceptance; NUTS only",
    )  # fmt: skip


class OutputSettings(Section):
    """Where results go."""

    folder: str = Field("results", description="folder of the results, inside the project")
    overwrite: bool = Field(False, description="whether earlier results may be replaced")


class NormalCoverage(Section):
    """Persons that a stock counts for each resident: a normal prior."""

    distribution: Literal["normal"]
    mean: float = Field(allow_inf_nan=False)
    sd: float = Field(gt=0, allow_inf_nan=False)


class UniformCoverage(Section):
    """Persons that a stock counts for each resident: a uniform prior."""

    distribution: Literal["uniform"]
    lower: float = Field(ge=0, allow_inf_nan=False)
    upper: float = Field(allow_inf_nan=False)


class PriorChange(Section):
    """A prior that differs from the package's own; the section [priors.NAME]."""

    mean: float | None = Field(None, allow_inf_nan=False, description="its mean")
    sd: float | None = Field(None, gt=0, allow_inf_nan=False, description="its standard deviation")


class PriorTable(Section):
    """The package's own priors that an account begins with; the section [priors]."""

    as_of: int | None = Field(None, description="year at whose end their figures were known")
    kind: Literal["survey", "register", "cards", "area"] = Field(
        "survey", description="what counts migration; the size of an area is that of its base"
    )


class RecordSettings(Section):
    """A file of interviews: what the sections [[interviews]] and [[stays]] have in common."""

    file: str = Field("", description="records, one row each: CSV or Parquet")
    smallest_count: int | None = Field(
        None, ge=1, le=1_000_000,
        description="least interviews that a published cell may rest on; asked",
    )  # fmt: skip
    weight: str = Field("", description="column of final weights, where they are in the records")
    stratum: tuple[str, ...] = Field(
        (), strict=False,
        description="columns of the design's strata; with totals year, port_group, direction, "
        "day_type and time_of_day unless told",
    )  # fmt: skip
    psu: str = Field("", description="column of the sampling unit; sampling_unit unless told")
    lonely_psu: Literal["certainty", "centre"] | None = Field(
        None, description="what a stratum with one sampling unit adds to the variance"
    )


class InterviewSettings(RecordSettings):
    """Interviews of a passenger survey that become the account's survey flows."""

    months: int | None = Field(
        None, ge=0, le=600,
        description="months of stay from which an interview is a migrant's: 12 for the usual "
        "residents of an account; asked",
    )  # fmt: skip
    counted: str = Field(
        "long_term", description="column that is true for the interviews of migrants"
    )
    stay: str = Field(
        "", description="column of intended months, in place of `counted`; months or more count"
    )
    shifts: str = Field("", description="file of possible shifts and crossings by stratum")
    non_response: str = Field("", description="file of passengers not contacted by stratum")
    traffic: str = Field("", description="file of passengers by port and direction")
    unsampled: str = Field("", description="file of passengers on routes without survey")
    imbalance: str = Field("", description="file of factors of the imbalance stage, if any")
    replicates: str = Field("", description="how the columns of given replicate weights begin")
    replicate_scale: float | None = Field(
        None, gt=0, allow_inf_nan=False,
        description="what squared distances of replicates are multiplied by: 1 / R for a "
        "bootstrap of R; asked with replicates",
    )  # fmt: skip
    method: Literal["taylor", "jackknife", "bootstrap"] = Field(
        "taylor", description="how variances are found"
    )
    bootstraps: int = Field(500, ge=2, le=100_000, description="replicates of the bootstrap")
    seed: int = Field(1, ge=0, le=2**32 - 1, description="seed of the bootstrap")
    smoothed: bool = Field(
        True, description="standard errors by the size of a cell instead of its few interviews"
    )


class StaySettings(RecordSettings):
    """Interviews at the end of a stay that become visitor or migrant switchers."""

    kind: Literal["visitor_switchers", "migrant_switchers"] = Field(
        "visitor_switchers", description="part of migration that they are"
    )
    stated: str = Field(
        "", description="file of people by year, flow and class: estimate and standard_error"
    )
    by: tuple[str, ...] = Field(
        ("intended_stay",), strict=False, description="columns of the classes of intention"
    )
    turned: str = Field(
        "stayed_long", description="column that is true where the stay was not as intended"
    )
    drift: float | None = Field(
        None, gt=0, allow_inf_nan=False,
        description="relative standard deviation of a share's change over a year; asked",
    )  # fmt: skip


RECORDS: Final[Mapping[str, type[RecordSettings]]] = MappingProxyType(
    {"interviews": InterviewSettings, "stays": StaySettings}
)
"""Sections of files of records, by name."""


class LevelSettings(Section):
    """Error of the level of a stream, or its coverage: shares of the stream."""

    mean: Share = Field(0.0, description="published minus true, on average")
    sd: float = Field(gt=0, le=1, allow_inf_nan=False, description="its standard deviation")


class CoverageSettings(Section):
    """Share of the true flow that a further count of it holds."""

    mean: float = Field(gt=0, le=3, allow_inf_nan=False, description="on average")
    sd: float = Field(ge=0, le=1, allow_inf_nan=False, description="its standard deviation")


class MisclassifiedSettings(Section):
    """People whom the stream counts, or does not, because of a wrong class."""

    name: str = Field(description="source of the gap: lower-case letters, digits, underscores")
    stream: str = Field(description="the stream that counts them, by name")
    mean: Share = Field(0.0, description="share of the stream, on average")
    sd: float = Field(gt=0, le=1, allow_inf_nan=False, description="its standard deviation")
    first_age: int = Field(0, ge=0, le=200, description="first age concerned")
    last_age: int = Field(200, ge=0, le=200, description="last age concerned")
    reason: str = Field("", description="why it is so large")


class StreamSettings(Section):
    """What the streams of one file are and how they err; part of a section [[streams]]."""

    quality: Literal["complete count", "survey", "exact", "sum", "mirror"] | None = Field(
        None, description="how it was made; a sum or a mirror is evidence on other streams and is "
        "not carried"
    )  # fmt: skip
    role: Literal["migration", "known"] = Field(
        "migration", description="a part of migration, or a change beside it"
    )
    ages: Literal["at-move", "at-year-end"] | None = Field(
        None, description="what an age is; asked where there are ages"
    )
    of: tuple[str, ...] = Field(
        (), strict=False, description="streams that a sum or a mirror counts, by name"
    )
    level: LevelSettings | None = Field(
        None, description="error of the level as a share of the stream, published minus true"
    )
    sex: float | None = Field(None, gt=0, description="sd of a further error of opposite signs")
    children: float | None = Field(None, gt=0, description="sd of a further error at ages 0-9")
    young: float | None = Field(None, gt=0, description="sd of a further error of young adults")
    drift: float | None = Field(None, gt=0, description="sd of a slow change of the error")
    layout: float | None = Field(
        None, gt=0, description="sd of the layout within published sexes and ages; 0.25 unless told"
    )
    reason: str = Field("", description="why the errors are so large")
    shared_error: str = Field("", description="system whose error several series have in common")
    correlation: float | None = Field(
        None, gt=-1, lt=1, allow_inf_nan=False,
        description="of the level errors of two series of that system; below zero it is that of "
        "arrivals with departures",
    )  # fmt: skip
    coverage: CoverageSettings | None = Field(
        None, description="share of the true flow that a mirror counts"
    )
    misclassified: tuple[MisclassifiedSettings, ...] = Field(
        (), strict=False, description="named misclassifications, each a source of the gap"
    )


@dataclass(frozen=True)
class TableSettings:
    """One file of the case.

    Attributes
    ----------
    kind, file : str
        Kind of table; path as written, relative to the settings file.
    options : mapping
        Fields of `ReadOptions`.
    coverage : mapping
        Prior of the coverage of a stock: distribution "normal" with mean and sd, or
        "uniform" with lower and upper; empty if none.
    records : RecordSettings or None
        How records become a table, where the file holds interviews.
    stream : StreamSettings or None
        Of a file of streams.
    """

    kind: str
    file: str
    options: Mapping[str, Any] = MappingProxyType({})
    coverage: Mapping[str, Any] = MappingProxyType({})
    records: RecordSettings | None = None
    stream: StreamSettings | None = None


SECTIONS: Final[Mapping[str, type[Section]]] = MappingProxyType(
    {"account": Account, "case": CaseSettings, "fit": FitSettings, "output": OutputSettings}
)
"""Sections that stand once in a file, by name."""
