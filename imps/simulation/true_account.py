"""What is true in an account drawn from the priors: flows, stocks, and the years lived.

The story of :mod:`imps.simulation.from_priors`, which see: nothing here comes from the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imps.demography.periods import CALENDAR_YEARS
from imps.demography.schedules import (
    counted_at,
    migration_schedule,
    pull_to_groups,
    smooth_shapes,
    within_groups,
    young_adults,
)
from imps.names import AGE, EMIGRATION, FLOW_SIGN, IMMIGRATION, SEX, YEAR
from imps.simulation.carried import carried_beyond
from imps.simulation.prior_draw import Draw
from imps.simulation.true_layout import cells_counted, laid_out_wrongly
from imps.simulation.true_stocks import (
    cell_errors,
    coverage,
    misplaced_deaths,
    of_single_ages,
    shared_errors,
)
from imps.simulation.true_streams import TrueStreams, laid_out
from imps.sources import TOTAL, AdministrativeFlow, Era, Sources
from imps.sources.definitions import AT_MOVE
from imps.sources.streams import MIGRATION

REGISTER_SHAPES = 8
"""Smooth shapes over age of the overcoverage of a register."""
LAYOUT_SHAPES = 45
"""Smooth shapes of the layout of a flow within its published age groups."""


@dataclass(frozen=True)
class TrueFlow:
    """True flow and survey bias of one direction, (sex, age, interval), persons per year."""

    true: np.ndarray
    bias: np.ndarray


class TrueAccount:
    """Reference figures, and the truths that the priors put around them.

    Arrays are by (sex, age), flows by (sex, age, interval), in persons.
    """

    def __init__(self, sources: Sources, *, flow_shapes: int, stock_shapes: int) -> None:
        self.sources = sources
        self.ages = sources.ages.size
        self.base = sources.base.count.values
        self.census = sources.census.count.values
        self.births = sources.births.count.transpose(SEX, YEAR).values
        self.deaths = sources.deaths.count.transpose(SEX, AGE, YEAR).values
        self.years = [int(year) for year in sources.years]
        self.n_years = len(self.years)
        self.streams = {s.name: s.sign * laid_out(s, self.ages) for s in sources.streams}
        known = [s for s in sources.streams if s.role != MIGRATION]
        self.known_streams = sum((self.streams[s.name] for s in known), np.zeros(self.deaths.shape))
        self.known_change = sources.known_change.values - self.known_streams.sum(axis=(0, 1))
        self.revised = float(sources.flows_revised_since.sum())
        self.after_census = sources.share_after_census
        self.by_calendar_year = sources.flow_basis == CALENDAR_YEARS
        self.flow_shapes = smooth_shapes(self.ages, flow_shapes)
        self.stock_shapes = smooth_shapes(self.ages, stock_shapes, young=5.0, old=12.0)
        self.register_shapes = smooth_shapes(self.ages, REGISTER_SHAPES)
        self.bell = young_adults(self.ages)
        self.emigrants = migration_schedule(self.ages, EMIGRATION)
        self.survey_years = {
            name: [int(year) for year in survey.years]
            for name, survey in sources.survey_flows.items()
        }
        self.groups = {
            name: counted_at(survey.lower_ages.values, self.ages, at_move=survey.ages == AT_MOVE)
            for name, survey in sources.survey_flows.items()
        }
        carried = carried_beyond(sources, self._laid_out(), self.emigrants).mean(axis=2)
        self.reference = {name: self._reference(name, carried) for name in sources.survey_flows}
        fine = smooth_shapes(self.ages, min(LAYOUT_SHAPES, self.ages), young=2.0, old=4.0)
        self.within = {
            name: [within_groups(self.groups[name][s], m[s], fine) for s in range(2)]
            for name, m in self.reference.items()
        }

    def _laid_out(self) -> np.ndarray:
        """Births, deaths, flows and changes as laid out by rule, (sex, age, interval)."""
        laid = -self.deaths.copy()
        laid[:, 0] += self.births
        revised = self.sources.flows_revised_since.values
        laid += self.emigrants[:, :, None] * (self.known_change + revised)
        for name, survey in self.sources.survey_flows.items():
            weight = self.groups[name] * migration_schedule(self.ages, name)[:, None, :]
            weight = weight / weight.sum(axis=2, keepdims=True)
            for t, cells in enumerate(
                self.mid_years(survey.estimate.values, survey.years.tolist())
            ):
                laid[:, :, t] += FLOW_SIGN[name] * (cells[:, :, None] * weight).sum(axis=1)
        for part in self.sources.administrative:
            laid += self._published_part(part)
        return laid + sum(self.streams.values())

    def _reference(self, name: str, carried: np.ndarray) -> np.ndarray:
        """Flow by (sex, age) that the unknowns are relative to, with what was carried on it."""
        survey = self.sources.survey_flows[name]
        mean = survey.estimate.values.mean(axis=0)
        m = pull_to_groups(migration_schedule(self.ages, name), self.groups[name], mean)
        if survey.observed != TOTAL:
            return m
        laid = np.maximum(m + FLOW_SIGN[name] * carried / 2, m / 5)
        return laid * (m.sum() / laid.sum())

    def flow(self, draw: Draw, name: str) -> TrueFlow:
        """m (1 + level + years + age + age x years + children + cells) + schedule + layout, and
        the bias m (level + sex + young + eras + drift), less children who are not seen."""
        m = self.reference[name]
        n = len(self.survey_years[name]) + (1 if self.by_calendar_year else 0)
        persistence = draw.set("flow_persistence")
        departure = draw.normal(f"{name}_level")
        departure = departure + draw.scale(f"{name}_years") * draw.years(n, persistence)
        eras = [self.in_era(name, era, n) for era in self.sources.survey_flows[name].eras]
        for inside in eras:
            departure = departure + draw.normal(f"{name}_level") * inside
        age = draw.scale(f"{name}_age") * draw.over_age(self.flow_shapes)
        moving = draw.years(n, persistence, 2, self.flow_shapes.shape[1])
        moving = draw.scale(f"{name}_age_years") * (self.flow_shapes @ moving)
        true = m[:, :, None] * (1 + departure + age[:, :, None] + moving)
        true += (self._bent(draw, name, m) + self._laid(draw, name))[:, :, None]
        laid = draw.scale(f"{name}_children") * self._children(draw.rng.standard_normal(4), m)
        unseen = draw.scale(f"{name}_bias_children") * self._children(
            draw.persistent(f"{name}_bias_children", 4), m
        )
        true += (unseen + laid)[:, :, None] + self._cells(draw, name, m, n)
        level = self.bias_level(draw, name)
        contrast = draw.persisting(f"{name}_bias_sex") * np.array([1.0, -1.0])[:, None, None]
        young = np.outer(draw.persisting(f"{name}_bias_young", 2), self.bell)
        row = draw.priors[f"{name}_bias_drift"]
        moving = row.mean + row.sd * draw.years(n, draw.set("bias_persistence"))
        for era, inside in zip(self.sources.survey_flows[name].eras, eras, strict=True):
            own = f"{name}_bias_era {era.first_year} to {era.last_year}"
            row_name = own if own in draw.priors else f"{name}_bias_era"
            moving = moving + draw.normal(row_name) * inside
        bias = m[:, :, None] * (level + contrast + young[:, :, None] + moving)
        return TrueFlow(true, bias - unseen[:, :, None])

    def _children(self, z: np.ndarray, m: np.ndarray) -> np.ndarray:
        """A flow of children (sex, age) with an error that is linear between four ages."""
        at = np.zeros(self.ages)
        for a in range(min(20, self.ages)):
            knot, part = divmod(a, 5)
            following = z[knot + 1] if knot < 3 else 0.0
            at[a] = z[knot] * (1 - part / 5) + following * part / 5
        return m * at

    def _laid(self, draw: Draw, name: str) -> np.ndarray:
        """Departure of single ages from the layout of their published groups, (sex, age)."""
        spread = draw.priors[f"{name}_layout"].sd
        return np.stack(
            [x @ (spread * draw.rng.standard_normal(x.shape[1])) for x in self.within[name]]
        )

    def _cells(self, draw: Draw, name: str, m: np.ndarray, n: int) -> np.ndarray:
        """Departure of each published cell in each interval by itself; none behind totals."""
        out = np.zeros((*m.shape, n))
        if self.sources.survey_flows[name].observed == TOTAL:
            return out
        scale = draw.scale(f"{name}_cells")
        lower = self.sources.survey_flows[name].lower_ages.values
        for s in range(2):
            z = draw.rng.standard_normal((lower.shape[1], n))
            group = np.searchsorted(lower[s], np.arange(self.ages), side="right") - 1
            before = np.r_[group[0], group[:-1]]
            out[s] = scale * m[s][:, None] * (z[before] + z[group]) / 2
        return out

    def bias_level(self, draw: Draw, name: str) -> float:
        """Level of the bias; in emigration it goes with that of immigration as far as asked."""
        z = float(draw.persistent(f"{name}_bias_level")[0])
        if name == EMIGRATION and "bias_correlation" in draw.priors:
            together = draw.priors["bias_correlation"].mean
            z = together * draw.bias_levels[IMMIGRATION] + np.sqrt(1 - together**2) * z
        draw.bias_levels[name] = z
        row = draw.priors[f"{name}_bias_level"]
        return row.mean + row.sd * z

    def in_era(self, name: str, era: Era, n: int) -> np.ndarray:
        """Share of each interval in an era; a calendar year is two halves of intervals."""
        year = self.survey_years[name][0] + np.arange(-1, n + 1)
        inside = ((year >= era.first_year) & (year <= era.last_year)).astype(float)
        if self.by_calendar_year:
            return (inside[:n] + inside[1 : n + 1]) / 2
        return inside[1 : n + 1]

    def _bent(self, draw: Draw, name: str, m: np.ndarray) -> np.ndarray:
        """First-order change of m when everyone moves later, or less alike, by some years."""
        out = np.zeros_like(m)
        for s in range(2):
            shift, width = draw.normal(f"{name}_schedule", 2)  # type: ignore[misc]
            slope = np.zeros(self.ages)
            for a in range(2, self.ages - 2):
                slope[a] = (m[s, a + 1] - m[s, a - 1]) / 2
            for a in range(3, self.ages - 3):
                out[s, a] = width * (slope[a + 1] - slope[a - 1])
            out[s] -= shift * slope
        return out

    def parts(self, draw: Draw) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Published net flow and its error, (sex, age, interval), by label."""
        out = {}
        for part in self.sources.administrative:
            net = self._published_part(part)
            row = draw.priors[part.name]
            error = row.mean + row.sd * draw.partly_constant(self.n_years, part.label)
            out[part.label] = (net, net * error)
        return out

    def _published_part(self, part: AdministrativeFlow) -> np.ndarray:
        """Net flow of a part as published, (sex, age, interval)."""
        yearly = self.mid_years(part.count.values, part.count[YEAR].values.tolist())
        ages = 2 * migration_schedule(self.ages, part.ages_of)
        ages[0] *= part.male_share
        ages[1] *= 1 - part.male_share
        return FLOW_SIGN[part.flow] * (1 if part.adds else -1) * ages[:, :, None] * yearly

    def registered(self, draw: Draw) -> tuple[np.ndarray, np.ndarray]:
        """True births (sex, interval) and deaths (sex, age, interval)."""
        births = self.births * (1 + draw.normal("births"))
        deaths = self.deaths * (1 + draw.normal("deaths"))
        detail = self.sources.deaths.cells
        if detail is not None and self.sources.census.with_ages:
            first, at_move = detail.lower_ages, self.sources.deaths.at_death
            cells = cells_counted(first, self.ages, by_sex=detail.by_sex, at_move=at_move)
            sd, usual = draw.priors["deaths_layout"].sd, self.deaths.mean(axis=2)
            deaths += laid_out_wrongly(draw.rng, sd, detail, cells, usual)[:, :, None]
        return births, deaths

    def stock_errors(
        self, draw: Draw, before: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Relative errors of base and census, (sex, age), random error apart, and what they are of.

        Where they are correlated, who was missed at the start (the base too low) was
        missed at the end as well (the census too low). The standardised error of the census
        comes third; `before` is that of the census before, whose base errs by nothing else.
        """
        asked = "census_correlation" in draw.priors
        missed_twice = draw.priors["census_correlation"].mean if asked else 0.0
        base, own = draw.rng.standard_normal((2, 5))
        base = base if before is None else -before
        census = np.sqrt(1 - missed_twice**2) * own - missed_twice * base
        of_base = 0 * self.base if before is not None else self._stock_error(draw, "base", base)
        return of_base, self._stock_error(draw, "census", census), census

    def _stock_error(self, draw: Draw, name: str, z: np.ndarray) -> np.ndarray:
        smooth = draw.scale(f"{name}_age") * draw.over_age(self.stock_shapes)
        single = of_single_ages(draw.rng, draw.priors, getattr(self.sources, name))
        return coverage(draw.priors, name, z, self.bell) + smooth + single

    def base_random(self, draw: Draw) -> np.ndarray:
        """Random error of the base, (sex, age), persons: shared, of cells, and of its layout."""
        base = self.sources.base
        error = shared_errors(draw.rng, draw.priors, base, rows=False)
        if base.with_ages:
            own = cell_errors(draw.priors, base)[0]
            error = error + own * draw.rng.standard_normal(own.shape)
        if self.sources.base_is_laid_out:
            sd, cells = draw.priors["base_layout"].sd, base.cells.counting(self.ages)
            error = error + laid_out_wrongly(draw.rng, sd, base.cells, cells, self.base)
        return error

    def misplaced(self, draw: Draw) -> np.ndarray:
        """True minus registered deaths of cohorts at the end, (sex, age); their sum is nothing."""
        died = np.zeros_like(self.base)
        for t in range(self.n_years):
            died = aged(died) + self.deaths[:, :, t]
        if not self.sources.census.with_ages:
            return 0.0 * died
        return misplaced_deaths(draw.rng, draw.priors, died)

    def residual(self, draw: Draw) -> np.ndarray:
        """What no source explains, (sex, age), persons, relative to the base carried on."""
        carried = self.base
        for _ in range(self.n_years):
            carried = aged(carried)
        reference = np.maximum(carried, carried.mean() / 50)
        return reference * draw.scale("residual") * draw.over_age(self.stock_shapes)

    def net_migration(
        self,
        flows: Mapping[str, TrueFlow],
        parts: Mapping[str, tuple[np.ndarray, np.ndarray]],
        streams: TrueStreams,
    ) -> np.ndarray:
        """True net migration of all kinds, (sex, age, interval)."""
        total = np.zeros((2, self.ages, self.n_years))
        for name, flow in flows.items():
            total += FLOW_SIGN[name] * self.inner(name, flow.true)
        for published, error in parts.values():
            total += published - error
        for stream in self.sources.streams:
            if stream.role == MIGRATION:
                total += self.streams[stream.name] - streams.error_of(stream.name)
        return total

    def change_errors(self, draw: Draw) -> dict[str, np.ndarray]:
        """Published minus true known change, (interval), of those that have a prior."""
        out = {}
        for change in self.sources.known_changes:
            if change.name in draw.priors:
                row = draw.priors[change.name]
                usual = np.abs(change.count.values).mean()
                error = row.mean + row.sd * draw.partly_constant(self.n_years)
                out[change.name] = usual * error
        return out

    def lived(
        self,
        base: np.ndarray,
        births: np.ndarray,
        deaths: np.ndarray,
        net: np.ndarray,
        changes: Mapping[str, np.ndarray],
        streams: TrueStreams,
    ) -> list[np.ndarray]:
        """True population (sex, age) at every mid-year from the base on."""
        path = [base]
        known = self.known_change - sum(changes.values(), np.zeros(self.n_years))
        beside = self.known_streams.copy()
        for stream in self.sources.streams:
            if stream.role != MIGRATION:
                beside -= streams.error_of(stream.name)
        for t in range(self.n_years):
            now = aged(path[-1])
            now[:, 0] += births[:, t]
            now += net[:, :, t] + beside[:, :, t] + self.emigrants * known[t]
            path.append(now - deaths[:, :, t])
        return path

    def mid_years(self, flow: np.ndarray, years: Sequence[int]) -> np.ndarray:
        """Official rule, (interval): the mean of the two calendar years, or the year itself."""
        at = {int(year): x for year, x in zip(years, flow, strict=True)}
        if self.by_calendar_year:
            return np.array([(at[y - 1] + at[y]) / 2 for y in self.years])
        return np.array([at[y] for y in self.years])

    def inner(self, name: str, flow: np.ndarray) -> np.ndarray:
        """The intervals of the account among those that the survey touches."""
        first = self.years[0] - self.survey_years[name][0]
        return flow[:, :, first : first + self.n_years]


def aged(stock: np.ndarray) -> np.ndarray:
    """Everyone a year older, (sex, age, ...); the open age group keeps its own."""
    out = np.zeros_like(stock)
    for a in range(stock.shape[1] - 1):
        out[:, a + 1] += stock[:, a]
    out[:, -1] += stock[:, -1]
    return out
