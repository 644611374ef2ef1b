"""The published figures of one account, gathered and checked against each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.periods import (
    CALENDAR_YEARS,
    MID_YEARS,
    mid_year_interval,
    share_after,
    spelt_out,
)
from imps.errors import DefinitionError, LabelError, SourceError, some
from imps.intervals import Z95
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
from imps.notebook_cards import between, card, fan
from imps.sources.administrative import (
    EXPECTED,
    AdministrativeFlow,
    KnownChange,
    KnownSum,
)
from imps.sources.array_checks import check_ages, check_years
from imps.sources.definitions import (
    LARGEST_BIRTH_RATE,
    LEAST_BIRTH_RATE,
    LONG_TERM,
    PERSONS,
    SURVEY,
    THOUSANDS,
    USUAL,
    VINTAGES_DIFFER,
    Counted,
    difference,
    explained,
)
from imps.sources.flows import SurveyFlow
from imps.sources.kinds import SourceKind
from imps.sources.stocks import RolledForward, Stock
from imps.sources.vital import Births, Deaths, to_mid_years

COMPOSITION_TOLERANCE = 1_000.0
"""Persons by which a published TIM may differ from its parts: figures rounded to 0.1 thousand."""


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
    immigration, emigration : SurveyFlow
        Survey estimates by year, sex and age group; their `basis` is that of all flows.
    administrative : tuple of AdministrativeFlow
        Irish flows, asylum, visitor and migrant switchers, by direction.
    known_sums : tuple of KnownSum
        Published sums of the parts with status "expected".
    total_migration : DataArray (flow, year), persons per year
        TIM or LTIM as published later than the roll-forward, by calendar year; or as
        carried in it, by mid-year. Its basis is the survey's.
    rolled_forward : RolledForward
        Official totals as carried at the time.
    extra : tuple
        Sources of the user's own: registers, mirror series, or any object with a
        `name` and a method `observe(account)` (see :mod:`imps.account.observations`).
    known_changes : tuple of KnownChange
        Cross-border moves and other changes that the roll-forward carries.
    """

    area: str
    base: Stock
    census: Stock
    births: Births
    deaths: Deaths
    immigration: SurveyFlow
    emigration: SurveyFlow
    administrative: tuple[AdministrativeFlow, ...]
    known_sums: tuple[KnownSum, ...]
    total_migration: xr.DataArray
    rolled_forward: RolledForward
    extra: tuple[object, ...] = ()
    known_changes: tuple[KnownChange, ...] = ()

    def __post_init__(self) -> None:
        ages, years = self.ages, self.years
        for stock in (self.base, self.census):
            check_ages(stock.count, stock.name, ages)
        check_ages(self.deaths.count, "deaths", ages)
        check_years(self.births.count, "births", years)
        check_years(self.deaths.count, "deaths", years)
        check_years(self.rolled_forward.total, "rolled_forward", self.mid_years)
        self._check_dates()
        self._check_counted()
        self._check_units()
        self._check_basis()
        self._check_vintages()
        self._check_flow_years()
        self._check_known_changes()
        self._check_parts()
        self._check_composition()

    @property
    def years(self) -> np.ndarray:
        """Mid-years at which the intervals of the account end."""
        return np.arange(self.base.date.year + 1, self.last_year + 1)

    @property
    def mid_years(self) -> np.ndarray:
        """Mid-years from the base to the census."""
        return np.arange(self.base.date.year, self.last_year + 1)

    @property
    def period(self) -> str:
        """From the base to the census, in words."""
        return f"mid-{self.mid_years[0]} to the census of {spelt_out(self.census.date)}"

    @property
    def last_year(self) -> int:
        """Year of the mid-year at which the roll-forward meets the census."""
        return self.census.date.year

    @property
    def ages(self) -> np.ndarray:
        """Single years of age; the last is the open group."""
        return self.base.count[AGE].values

    @property
    def survey_flows(self) -> dict[str, SurveyFlow]:
        """The two directions of the survey by name."""
        return {IMMIGRATION: self.immigration, EMIGRATION: self.emigration}

    @property
    def flow_basis(self) -> str:
        """Period over which the flows were published: "calendar year" or "mid-year"."""
        return self.immigration.basis

    @property
    def known_change(self) -> xr.DataArray:
        """Sum of the known changes, (year), persons per year; zero where none was published."""
        total = xr.zeros_like(self.natural_change)
        for change in self.known_changes:
            total = total + change.count.reindex({YEAR: self.years}, fill_value=0.0)
        return total

    @property
    def natural_change(self) -> xr.DataArray:
        """Registered births minus deaths, (year), persons per year."""
        return self.births.count.sum(SEX) - self.deaths.count.sum((SEX, AGE))

    @property
    def gap(self) -> float:
        """Rolled-forward estimate minus census as counted, persons."""
        return float(self.rolled_forward.total[-1]) - self.census.total

    @property
    def share_after_census(self) -> float:
        """Share of the last interval that lies between census day and mid-year."""
        if self.census.at_mid_year:
            return 0.0
        return share_after(self.census.date, mid_year_interval(self.last_year))

    @property
    def own_kinds(self) -> tuple[SourceKind, ...]:
        """Kinds of source that are not of the package, each once."""
        return tuple(dict.fromkeys(s.kind for s in self.beside_survey if s.kind is not None))

    @property
    def beside_survey(self) -> tuple[AdministrativeFlow | KnownChange, ...]:
        """Parts of migration and known changes."""
        return (*self.administrative, *self.known_changes)

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
        """Net migration of the later series at mid-years, (year), persons per year."""
        total = self.total_migration
        return self.at_mid_years(
            total.sel({FLOW: IMMIGRATION}, drop=True) - total.sel({FLOW: EMIGRATION}, drop=True)
        )

    @property
    def survey_net_migration(self) -> xr.DataArray:
        """Net migration of the survey alone at mid-years, (year), persons per year."""
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
        rows = []
        for flow, survey in self.survey_flows.items():
            parts = [part for part in self.administrative if part.flow == flow]
            for year in survey.years:
                row: dict[str, object] = {"flow": flow, "year": int(year)}
                row["survey"] = float(survey.estimate.sel({YEAR: year}).sum())
                for part in parts:
                    row[part.name] = part.sign * float(part.count.sel({YEAR: year}))
                row["sum"] = sum(v for v in row.values() if isinstance(v, float))
                row["published"] = float(self.total_migration.sel({FLOW: flow, YEAR: year}))
                row["difference"] = float(row["published"]) - float(row["sum"])  # type: ignore[arg-type]
                row["split_known"] = not any(part.status == EXPECTED for part in parts)
                rows.append(row)
        return pd.DataFrame(rows)

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
        return pd.DataFrame(
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

    def add(self, *sources: object) -> Sources:
        """The same sources with others of the user's own beside them."""
        return replace(self, extra=self.extra + sources)

    def table(self) -> pd.DataFrame:
        """One row a source: what it is, the detail observed, vintage and reference."""
        rows = [(s.name, s.detail, s.vintage, s.reference) for s in (self.base, self.census)]
        rows += [
            ("births", "mid-year intervals by sex", self.births.vintage, self.births.reference)
        ]
        rows += [
            (
                "deaths",
                "mid-year intervals by sex and age",
                self.deaths.vintage,
                self.deaths.reference,
            )
        ]
        for survey in (self.immigration, self.emigration):
            rows.append((survey.name, survey.detail, survey.vintage, survey.reference))
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
        rows.append((rolled.name, "mid-year totals", rolled.vintage, rolled.reference))
        for own in self.extra:
            rows.append(
                (
                    getattr(own, "name", "?"),
                    type(own).__name__,
                    getattr(own, "vintage", ""),
                    getattr(own, "reference", ""),
                )
            )
        return pd.DataFrame(rows, columns=["source", "detail", "vintage", "reference"])

    def __repr__(self) -> str:
        own = f", {len(self.extra)} of your own" if self.extra else ""
        return (
            f"Sources of {self.area}, {self.period}\n"
            f"  gap {self.gap:+,.0f} persons, rolled-forward minus census\n"
            f"  ages 0-{self.ages[-1]}+, two sexes, {self.years.size} years, "
            f"{len(self.table())} sources{own}\n"
            f"  published detail: base {self.base.observed}, census {self.census.observed}\n"
            "next: imps.build_model(sources)"
        )

    def _repr_html_(self) -> str:
        """Compact card for a notebook: the gap, what was published, net migration by year."""
        half = Z95 * self.census.relative_standard_error * self.census.total
        later, survey = self.later_net_migration.values, self.survey_net_migration.values
        return card(
            f"Sources of {self.area}, {self.period}",
            f"Gap {between(self.gap, self.gap - half, self.gap + half)} thousand persons",
            (
                f"{GAP_CONVENTION}. The interval is the random error of the census alone, 95 %.",
                f"Published detail: base {self.base.observed}, census {self.census.observed}; "
                f"{len(self.table())} sources, ages 0-{self.ages[-1]}+. Labels, periods and sums "
                "agree. Not fitted yet: no verdict.",
                "Net migration by year, thousand: later official series; dots: the survey alone.",
            ),
            picture=fan(
                [str(y) for y in self.years], later.tolist(), [],
                "Net migration by year, later official series and survey", survey.tolist(),
            ),
        )  # fmt: skip

    def _check_dates(self) -> None:
        if not self.base.at_mid_year:
            raise DefinitionError(
                f"source 'base': its date is {self.base.date}, not a mid-year (30 June): "
                f"{difference('mid-year', 'census day')}. Move it to the mid-year first; the "
                "account starts there."
            )
        if self.last_year <= self.base.date.year:
            raise DefinitionError(
                f"census {self.census.date} does not lie after the base {self.base.date}."
            )

    @property
    def _all(self) -> tuple[Any, ...]:
        """Every source with a definition of what it counts."""
        own = tuple(s for s in self.extra if isinstance(getattr(s, "counted", None), Counted))
        return (
            self.base, self.census, self.births, self.deaths, self.immigration, self.emigration,
            *self.administrative, *self.known_sums, self.rolled_forward, *self.known_changes, *own,
        )  # fmt: skip

    def _check_counted(self) -> None:
        """One area, persons, usual residents, and the same measure in both directions."""
        for source in self._all:
            name, what = getattr(source, "name", "sum of adjustments"), source.counted
            for value, wanted, noun in (
                (what.geography or self.area, self.area, "area"),
                (what.unit, PERSONS, "unit"),
                (what.residents, USUAL, "population"),
            ):
                if value != wanted:
                    raise DefinitionError(
                        f"source '{name}': its {noun} is '{value}', that of the account "
                        f"'{wanted}'{explained(value, wanted)}. Figures of two definitions are "
                        "never combined: bring it to that of the account, or leave it out."
                    )
        one, other = self.immigration.counted.measure, self.emigration.counted.measure
        if one != other:
            raise DefinitionError(
                f"immigration measures '{one or 'not stated'}' and emigration "
                f"'{other or 'not stated'}'{explained(one, other)}. Use one measure for both."
            )
        parts = [part.label for part in self.administrative if part.status != EXPECTED]
        if one == LONG_TERM and parts:
            raise DefinitionError(
                f"the flows are long-term migration (LTIM), and {some(parts)} stand beside them"
                f"{explained(SURVEY, LONG_TERM)}. Take what the total holds off it first."
            )

    def _check_units(self) -> None:
        """Thousands beside persons show in the births per person, whatever is stated."""
        arrays = (self.base.count, self.census.count, self.births.count, self.deaths.count,
                  self.immigration.estimate, self.emigration.estimate)  # fmt: skip
        stated = {str(a.attrs["units"]) for a in arrays if "units" in a.attrs} - {PERSONS}
        if stated:
            raise DefinitionError(
                f"an array states '{some(sorted(stated))}' as its units, expected '{PERSONS}'"
                f"{explained(THOUSANDS, PERSONS)}. Convert it."
            )
        births = float(self.births.count.sum(SEX).mean())
        for stock in (self.base, self.census):
            rate = births / stock.total if stock.total else np.inf
            if not LEAST_BIRTH_RATE < rate < LARGEST_BIRTH_RATE:
                raise DefinitionError(
                    f"{births:,.0f} births a year beside {stock.total:,.0f} people in "
                    f"'{stock.name}' ({rate:.2g} a person): one of them is in thousands"
                    f"{explained(THOUSANDS, PERSONS)}. Convert it."
                )

    def _check_vintages(self) -> None:
        one, other = self.immigration.vintage, self.emigration.vintage
        if one != other:
            raise DefinitionError(
                f"immigration is of vintage '{one}', emigration of '{other}': {VINTAGES_DIFFER}. "
                "Use one vintage for both."
            )

    def _check_basis(self) -> None:
        flows: tuple[SurveyFlow | AdministrativeFlow | KnownSum, ...] = (
            self.emigration,
            *self.administrative,
            *self.known_sums,
        )
        other = [f"{s.flow}: {s.basis}" for s in flows if s.basis != self.flow_basis]
        if other:
            raise DefinitionError(
                f"flows of one account must share one basis; immigration is by {self.flow_basis}, "
                f"but {some(other)}{explained(CALENDAR_YEARS, MID_YEARS)}. Bring them to the same "
                "periods first."
            )

    def _check_flow_years(self) -> None:
        needed = self.years if self.flow_basis == MID_YEARS else self.mid_years
        series = {s.name: s.years for s in (self.immigration, self.emigration)}
        series |= {part.label: part.count[YEAR].values for part in self.administrative}
        series["total_migration"] = self.total_migration[YEAR].values
        for name, years in series.items():
            missing = [int(y) for y in needed if y not in years]
            if missing:
                raise LabelError(
                    f"source '{name}': {self.flow_basis}s {some(missing)} are missing; the account "
                    f"from mid-{needed[0]} to mid-{needed[-1]} needs {needed[0]} to {needed[-1]}."
                )

    def _check_known_changes(self) -> None:
        for change in self.known_changes:
            outside = [int(y) for y in change.count[YEAR].values if y not in self.years]
            if outside:
                raise LabelError(
                    f"source '{change.name}': mid-years {some(outside)} lie outside the account, "
                    f"which has {self.years[0]} to {self.years[-1]}."
                )

    def _check_parts(self) -> None:
        labels = [part.label for part in self.administrative]
        double = sorted({x for x in labels if labels.count(x) > 1})
        rows: list[object] = [
            *self.survey_flows,
            "census",
            *(getattr(own, "name", None) for own in self.extra),
        ]
        gap: list[object] = [*{p.name for p in self.administrative}]
        gap += [change.name for change in self.known_changes]
        kinds: list[object] = [f"kind {kind.name}" for kind in self.own_kinds]
        for names in (rows, gap, kinds):
            double += sorted({str(x) for x in names if names.count(x) > 1})
        if double:
            raise SourceError(f"source {some(double)} is given twice.")
        sums = {known.flow for known in self.known_sums}
        lost = [p.label for p in self.administrative if p.status == EXPECTED and p.flow not in sums]
        if lost:
            raise SourceError(
                f"{some(lost)} have status 'expected' but no published sum of their direction "
                "is given: add a KnownSum, or give published parts."
            )

    def _check_composition(self) -> None:
        table = self.composition()
        off = table[table["difference"].abs() > COMPOSITION_TOLERANCE]
        if len(off):
            worst = off.loc[off["difference"].abs().idxmax()]
            raise DefinitionError(
                f"total migration is not survey + Irish + asylum + visitor switchers - migrant "
                f"switchers in {len(off)} of {len(table)} cells; worst {worst['flow']} "
                f"{worst['year']}: published {worst['published']:,.0f}, parts {worst['sum']:,.0f}. "
                "Are survey (IPS) and total (TIM, LTIM) of the same vintage, and do the parts "
                "stand in the survey already?"
            )
