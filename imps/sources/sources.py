"""The published figures of one account, gathered and checked against each other."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.periods import (
    MID_YEARS,
    YearEnd,
    share_after,
    spelt_out,
)
from imps.intervals import Z95, Unit
from imps.names import (
    AGE,
    AGE_GROUP,
    EMIGRATION,
    FLOW,
    GAP_CONVENTION,
    IMMIGRATION,
    SEX,
    YEAR,
)
from imps.notebook_cards import card, fan
from imps.sources.administrative import (
    EXPECTED,
    AdministrativeFlow,
    KnownChange,
    KnownSum,
)
from imps.sources.checks_across import ACROSS
from imps.sources.definitions import Detail, check_ages, check_years
from imps.sources.flows import SurveyFlow
from imps.sources.kinds import SourceKind
from imps.sources.stocks import PLANNED, Births, Deaths, RolledForward, Stock, to_mid_years
from imps.sources.streams import KNOWN, MIGRATION, Evidence, Stream


@dataclass(frozen=True)
class Sources:
    """Everything that was published about one intercensal period of one area.

    Attributes
    ----------
    area : str
        Area of every figure, for example "United Kingdom".
    base : Stock
        The population that the roll-forward starts from.
    census : Stock
        The census at the other end, on its own date.
    births, deaths : Births, Deaths
        Registered counts of the mid-year intervals between.
    immigration, emigration : SurveyFlow or None
        Survey estimates by year, sex and age group; their `basis` is that of all flows. None
        where no survey measures migration: its streams then do.
    administrative : tuple of AdministrativeFlow
        Irish flows, asylum, visitor and migrant switchers, by direction.
    known_sums : tuple of KnownSum
        Published sums of the parts with status "expected".
    total_migration : DataArray (flow, year), persons per year, or None
        TIM or LTIM as published later than the roll-forward, by calendar year; or as
        carried in it, by mid-year. Its basis is the survey's; None where there is none.
    rolled_forward : RolledForward
        Official totals as carried at the time.
    extra : tuple
        Sources of the user's own: registers, mirror series, or any object with a
        `name` and a method `observe(account)` (see :mod:`imps.account.observations`).
    known_changes : tuple of KnownChange
        Cross-border moves and other changes that the roll-forward carries.
    streams : tuple of Stream
        Named flows by mid-year intervals that the roll-forward carries as well.
    year_ends : str
        Month and day with which every year of the account ends. Where it is not 30 June,
        "mid-year" stands for that day in all that is said of the arrays.
    """

    area: str
    base: Stock
    census: Stock
    births: Births
    deaths: Deaths
    rolled_forward: RolledForward
    immigration: SurveyFlow | None = None
    emigration: SurveyFlow | None = None
    administrative: tuple[AdministrativeFlow, ...] = ()
    known_sums: tuple[KnownSum, ...] = ()
    total_migration: xr.DataArray | None = None
    extra: tuple[object, ...] = ()
    known_changes: tuple[KnownChange, ...] = ()
    streams: tuple[Stream, ...] = ()
    year_ends: str = "06-30"

    def __post_init__(self) -> None:
        ages, years = self.ages, self.years
        for stock in (self.base, self.census):
            check_ages(stock.count, stock.name, ages)
        check_ages(self.deaths.count, "deaths", ages)
        check_years(self.births.count, "births", years)
        check_years(self.deaths.count, "deaths", years)
        check_years(self.rolled_forward.total, "rolled_forward", self.mid_years)
        for check in ACROSS:
            check(self)

    @property
    def years(self) -> np.ndarray:
        """Mid-years at which the intervals of the account end."""
        return np.arange(self.first_year + 1, self.last_year + 1)

    @property
    def mid_years(self) -> np.ndarray:
        """Mid-years from the base to the census."""
        return np.arange(self.first_year, self.last_year + 1)

    @property
    def period(self) -> str:
        """From the base to the census, in words."""
        if self.open_end:
            return f"{self.said(self.first_year)} to {self.said(self.last_year)}, no census yet"
        end = f"the census of {spelt_out(self.census.date)}"
        if self.year_end.ends(self.census.date):
            end = self.said(self.last_year)
        return f"{self.said(self.first_year)} to {end}"

    @property
    def open_end(self) -> bool:
        """Whether no census has been taken at the end, see :func:`imps.open_end`."""
        return self.census.quality == PLANNED

    @property
    def year_end(self) -> YearEnd:
        """The day with which every year of the account ends."""
        return YearEnd.of(self.year_ends)

    def _day(self, day: dt.date) -> str:
        """A date as titles name it: the end of 31 December is 1 January where years end then."""
        return self.said(day.year) if self.year_end.ends(day) else spelt_out(day)

    def said(self, year: int) -> str:
        """The end of an account year in words, such as "mid-2001" or "1 January 2016"."""
        return self.year_end.said(int(year))

    @property
    def first_year(self) -> int:
        """Year at whose end the base stands."""
        return self.year_end.year_of(self.base.date)

    @property
    def last_year(self) -> int:
        """Year of the mid-year at which the roll-forward meets the census."""
        return int(self.rolled_forward.total[YEAR].values[-1])

    @property
    def ages(self) -> np.ndarray:
        """Single years of age; the last is the open group."""
        return self.base.count[AGE].values

    @property
    def detail_at_end(self) -> Detail:
        """Sexes and ages of the last stock; those of the account where it has no ages."""
        return (
            self.census.cells if self.census.with_ages else Detail(True, (*range(self.ages.size),))
        )

    @property
    def survey_flows(self) -> dict[str, SurveyFlow]:
        """The two directions of the survey by name; empty without a survey."""
        flows = (self.immigration, self.emigration)
        return {flow.flow: flow for flow in flows if flow is not None}

    @property
    def flow_basis(self) -> str:
        """Period over which the flows were published: "calendar year" or "mid-year"."""
        return self.immigration.basis if self.immigration is not None else MID_YEARS

    @property
    def known_change(self) -> xr.DataArray:
        """Sum of the known changes, (year), persons per year; zero where none was published."""
        total = self._streams_of(KNOWN)
        for change in self.known_changes:
            total = total + change.count.reindex({YEAR: self.years}, fill_value=0.0)
        return total

    def _streams_of(self, role: str) -> xr.DataArray:
        """What the streams of a role add to the population, (year), persons per year."""
        total = xr.zeros_like(self.natural_change)
        for stream in self.streams:
            total = total + stream.net if stream.role == role else total
        return total

    @property
    def natural_change(self) -> xr.DataArray:
        """Registered births minus deaths, (year), persons per year."""
        return self.births.count.sum(SEX) - self.deaths.count.sum((SEX, AGE))

    @property
    def gap(self) -> float:
        """Rolled-forward estimate minus census as counted, persons; no number without one."""
        if self.open_end:
            return float("nan")
        return float(self.rolled_forward.total[-1]) - self.census.total

    @property
    def share_after_census(self) -> float:
        """Share of the last interval that lies between census day and mid-year."""
        if self.year_end.ends(self.census.date):
            return 0.0
        return share_after(self.census.date, self.year_end.interval(self.last_year))

    @property
    def base_is_laid_out(self) -> bool:
        """Whether the census sees sexes or ages within what was published of the base."""
        if not self.census.with_ages:
            return False
        return not self.base.cells.single or (
            self.census.cells.by_sex and not self.base.cells.by_sex
        )

    @property
    def own_kinds(self) -> tuple[SourceKind, ...]:
        """Kinds of source that are not of the package, each once."""
        return tuple(dict.fromkeys(s.kind for s in self.beside_survey if s.kind is not None))

    @property
    def beside_survey(self) -> tuple[AdministrativeFlow | KnownChange, ...]:
        """Parts of migration and known changes."""
        return (*self.administrative, *self.known_changes)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Further counts of the streams."""
        return tuple(own for own in self.extra if isinstance(own, Evidence))

    def at_mid_years(self, flow: xr.DataArray) -> xr.DataArray:
        """Flow of the mid-year intervals, (year, ...), persons per year.

        Official rule: the mean of the two calendar years an interval meets. A flow
        that was published for mid-years is returned as it is.
        """
        moved = flow.transpose(YEAR, ...)
        if self.flow_basis == MID_YEARS:
            return moved.sel({YEAR: self.years})
        other = tuple(str(d) for d in moved.dims[1:])
        labels: dict[str, object] = {d: moved[d].values for d in other if d in moved.coords}
        years = range(int(self.years[0]), int(self.years[-1]) + 1)
        return to_mid_years(moved.values, moved[YEAR].values, years, other, labels)

    @property
    def later_net_migration(self) -> xr.DataArray:
        """Net migration of the later series at mid-years, (year), persons per year.

        Streams that are migration are part of it.
        """
        streams, total = self._streams_of(MIGRATION), self.total_migration
        if total is None:
            return streams
        later = self.at_mid_years(
            total.sel({FLOW: IMMIGRATION}, drop=True) - total.sel({FLOW: EMIGRATION}, drop=True)
        )
        return later + streams if self.streams else later

    @property
    def survey_net_migration(self) -> xr.DataArray:
        """Net migration of the survey alone at mid-years, (year), persons per year.

        Not a number where there is no survey.
        """
        if self.immigration is None or self.emigration is None:
            return self.natural_change * np.nan
        net = self.immigration.estimate.sum((SEX, AGE_GROUP)) - self.emigration.estimate.sum(
            (SEX, AGE_GROUP)
        )
        return self.at_mid_years(net)

    @property
    def flows_revised_since(self) -> xr.DataArray:
        """Net migration carried in the roll-forward minus the later series, (year), persons.

        Known arithmetic, not inference: what the official flows lost by revision.
        Known changes stand in both and cancel.
        """
        implied = self.rolled_forward.implied_net_migration(self.natural_change)
        return implied - self.known_change - self.later_net_migration

    def composition(self) -> pd.DataFrame:
        """TIM = survey + Irish + asylum + visitor switchers - migrant switchers, by direction.

        Parts that were not added to this survey are absent.

        Returns
        -------
        DataFrame
            One row a flow and year: survey, each part with its sign and
            status, their sum, the published total and the difference, in persons.
        """
        tables, total = [], self.total_migration
        for flow, survey in self.survey_flows.items() if total is not None else ():
            parts = [part for part in self.administrative if part.flow == flow]
            years = survey.years
            table = pd.DataFrame({"flow": flow, "year": years})
            counted = {"survey": survey.estimate.sum([SEX, AGE_GROUP]).values}
            for part in parts:
                counted[part.name] = part.sign * part.count.sel({YEAR: years}).values
            table = table.assign(**counted, sum=sum(counted.values()))
            table["published"] = total.sel({FLOW: flow, YEAR: years}).values  # type: ignore[union-attr]
            table["difference"] = table["published"] - table["sum"]
            table["split_known"] = not any(part.status == EXPECTED for part in parts)
            tables.append(table)
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def roll_forward_check(self) -> pd.DataFrame:
        """Deterministic roll-forward of the totals, with three sets of flows.

        Returns
        -------
        DataFrame
            One row a mid-year, persons: published total; the total with the flows
            implied by it (equal by the balancing equation) and its difference; the
            total with the later flows (TIM, LTIM), and with the survey alone, each with
            the known changes, and by how much they differ.
        """
        natural = self.natural_change.values
        implied = self.rolled_forward.implied_net_migration(self.natural_change).values
        later = self.later_net_migration.values
        known = self.known_change.values
        published = self.rolled_forward.total.values
        with_implied = published[0] + np.r_[0, np.cumsum(natural + implied)]
        with_later = published[0] + np.r_[0, np.cumsum(natural + later + known)]
        survey = self.survey_net_migration.values
        with_survey = published[0] + np.r_[0, np.cumsum(natural + survey + known)]
        frame = pd.DataFrame(
            {
                "year": self.mid_years,
                "published": published,
                "with_implied_flows": with_implied,
                "difference_implied": with_implied - published,
                "with_later_flows": with_later,
                "difference_later": with_later - published,
                "with_survey_flows": with_survey,
                "difference_survey": with_survey - published,
                "natural_change": np.r_[np.nan, natural],
                "implied_net_migration": np.r_[np.nan, implied],
                "later_net_migration": np.r_[np.nan, later],
                "known_change": np.r_[np.nan, known],
                "by_rule": [y in self.rolled_forward.by_rule for y in self.mid_years],
            }
        )
        if self.survey_flows:
            return frame
        return frame.drop(columns=["with_survey_flows", "difference_survey"])

    def add(self, *sources: object) -> Sources:
        """The same sources with others of the user's own beside them."""
        return replace(self, extra=self.extra + sources)

    def table(self) -> pd.DataFrame:
        """One row a source: what it is, the detail observed, vintage and reference."""
        stocks = (self.base,) if self.open_end else (self.base, self.census)
        named = [s.detail.replace(spelt_out(s.date), self._day(s.date), 1) for s in stocks]
        rows = [(s.name, d, s.vintage, s.reference) for s, d in zip(stocks, named, strict=True)]
        each = self.year_end.each
        mid = each == "mid-year"
        years = "mid-year intervals" if mid else self.year_end.years
        totals = "mid-year totals" if mid else f"totals of {each}"
        born, died = self.births, self.deaths
        rows.append(("births", f"{years} by sex", born.vintage, born.reference))
        rows.append(("deaths", f"{years} {died.detail}", died.vintage, died.reference))
        series: tuple[SurveyFlow | Stream, ...] = (*self.survey_flows.values(), *self.streams)
        for carried in series:
            rows.append((carried.name, carried.detail, carried.vintage, carried.reference))
        for part in self.administrative:
            rows.append((part.label, f"{part.basis}s, {part.status}", part.vintage, part.reference))
        for known in self.known_sums:
            rows.append(
                (
                    f"sum of adjustments ({known.flow})",
                    f"{known.basis}s",
                    known.vintage,
                    known.reference,
                )
            )
        for change in self.known_changes:
            rows.append((change.name, "mid-years, net", change.vintage, change.reference))
        rolled = self.rolled_forward
        rows.append((rolled.name, f"{totals}{rolled.finer}", rolled.vintage, rolled.reference))
        for own in self.extra:
            rows.append(
                (
                    getattr(own, "name", "?"),
                    getattr(own, "detail", type(own).__name__),
                    getattr(own, "vintage", ""),
                    getattr(own, "reference", ""),
                )
            )
        return pd.DataFrame(rows, columns=["source", "detail", "vintage", "reference"])

    def __repr__(self) -> str:
        own = f", {len(self.extra)} of your own" if self.extra else ""
        return (
            f"Sources of {self.area}, {self.period}\n"
            f"  {self._end_in_words()}\n"
            f"  ages 0-{self.ages[-1]}+, two sexes, {self.years.size} years, "
            f"{len(self.table())} sources{own}\n"
            f"  published detail: base {self.base.observed}, census {self.census.observed}\n"
            "next: imps.build_model(sources)"
        )

    def _end_in_words(self) -> str:
        if self.open_end:
            return f"rolled forward to {float(self.rolled_forward.total[-1]):,.0f} persons"
        return f"gap {self.gap:+,.0f} persons, rolled-forward minus census"

    def _repr_html_(self) -> str:
        """Compact card for a notebook: the gap, what was published, net migration by year."""
        half = Z95 * self.census.relative_standard_error * self.census.total
        unit = Unit.of(self.census.total)
        later, survey = self.later_net_migration.values, self.survey_net_migration.values
        return card(
            f"Sources of {self.area}, {self.period}",
            self._end_in_words().capitalize()
            if self.open_end
            else f"Gap {unit.between(self.gap, self.gap - half, self.gap + half)} {unit.persons}",
            (
                "No census has been taken at the end."
                if self.open_end
                else f"{GAP_CONVENTION}. The interval is the random error of the census alone, "
                "95 %.",
                f"Published detail: base {self.base.observed}, census {self.census.observed}; "
                f"{len(self.table())} sources, ages 0-{self.ages[-1]}+. Labels, periods and sums "
                "agree. Not fitted yet: no verdict.",
                f"Net migration by year, {unit.persons}: all that was published; dots: survey.",
            ),
            picture=fan(
                [str(y) for y in self.years], later.tolist(), [],
                "Net migration by year, all published flows and survey", survey.tolist(), unit,
            ),
        )  # fmt: skip
