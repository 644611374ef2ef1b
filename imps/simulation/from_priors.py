"""Truth drawn from the priors, and the figures it would have led to, without the model.

The story that :mod:`imps.account.account` and :mod:`imps.account.observations` tell with matrices
is told here with numbers: a country is rolled forward a year at a time, a survey
counts calendar years and ages at the move, a census misses people. Calibration
compares the two, so nothing here may come from the model. What the two share is
what defines a prior and not how it is used: the generic migration schedule, the
reference flow pulled to the published groups, and the smooth shapes over age.
Constants of the story are stated here again on purpose: one that is changed in
the model alone is found by calibration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imps.errors import SourceError
from imps.names import AGE, FLOW_SIGN, YEAR
from imps.simulation.prior_draw import Draw, PriorRow
from imps.simulation.true_account import REGISTER_SHAPES, TrueAccount, TrueFlow
from imps.simulation.true_stocks import cell_errors, shared_errors
from imps.simulation.true_streams import LAYOUT, TrueStreams, evidence_shown, streams_drawn
from imps.sources import (
    BY_SEX,
    REGISTER,
    TOTAL,
    BornBefore,
    Evidence,
    MirrorSeries,
    Register,
)
from imps.sources.definitions import AT_MOVE
from imps.sources.kinds import KINDS

RANDOM_ERRORS = (
    "immigration_sampling", "emigration_sampling", "census_sampling", "register_cells",
)  # fmt: skip
"""Sources of a gap that are known as published minus expected."""
SYSTEMATIC_GAP = "gap without random errors"


@dataclass(frozen=True)
class PriorSimulation:
    """One truth drawn from the priors and what each source would have published.

    Attributes
    ----------
    figures : dict from source to ndarray (row), persons
        Published rows: survey cells by (year, sex, age group), census by (sex, age),
        registers by (sex, age), mirror series by (year), evidence by (year, cell).
    expected : dict, same arrays, persons
        The rows without their random errors.
    truth : dict from quantity to value
        `gap[source]`, `group[...]`, `net_migration[year]`, `population[year]` in persons,
        named as in :attr:`imps.LinearModel.reported`; `log_scale[name]`, standardised; and
        the gap without random errors. Random errors (published minus expected) are
        stated with the reference figure in place of the simulated one, so that the
        contributions sum to the gap of the reference figures.
    """

    figures: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    truth: dict[str, float]


@dataclass(frozen=True)
class Ended:
    """The end of a period, which the next one of a chain begins with.

    Attributes
    ----------
    population : ndarray (sex, age), persons, true
    missed : ndarray
        Standardised errors of its census.
    said : frozenset of int
        Years at whose end those were born of whose migration the periods so far say how much
        it usually is.
    """

    population: np.ndarray
    missed: np.ndarray
    said: frozenset[int]


@dataclass(frozen=True)
class Lived:
    """What came true in a period: flows by (sex, age, interval), the population at year ends."""

    flows: Mapping[str, TrueFlow]
    parts: Mapping[str, tuple[np.ndarray, np.ndarray]]
    streams: TrueStreams
    births: np.ndarray
    deaths: np.ndarray
    net: np.ndarray
    path: list[np.ndarray]
    counted: np.ndarray


class PriorSimulator(TrueAccount):
    """An account whose truth is drawn from the priors, around reference figures.

    Parameters
    ----------
    sources : Sources
        Reference figures: every prior is an error relative to one of them. Base, births,
        deaths and administrative flows are taken as published and the truth is drawn
        around them, and so are streams; survey, the last stock, further registers, mirror series
        and evidence are published anew.
    flow_shapes, stock_shapes : int
        Smooth shapes over age of the flows and of the stocks.

    Raises
    ------
    SourceError
        If there is a source of the user's own that is no register, mirror series or evidence:
        nobody but its author knows how it comes about.
    """

    def __call__(
        self, priors: Mapping[str, PriorRow], *, seed: int | np.random.SeedSequence
    ) -> PriorSimulation:
        """One truth and what is published of it."""
        return self.told(Draw(np.random.default_rng(seed), priors))[0]

    def told(self, draw: Draw, before: Ended | None = None) -> tuple[PriorSimulation, Ended]:
        """One truth, what is published of it, and its end; it begins where one `before` ended."""
        flows = {name: self.flow(draw, name) for name in self.sources.survey_flows}
        parts, streams = self.parts(draw), streams_drawn(draw, self.sources, self.streams)
        births, deaths = self.registered(draw)
        base_error, missed, z = self.stock_errors(draw, None if before is None else before.missed)
        if before is None:
            base = self.base * (1 - base_error) - self.base_random(draw)
        else:
            base = before.population
        missed = self.census * missed
        net = self.net_migration(flows, parts, streams)
        changes = self.change_errors(draw)
        path = self.lived(base, births, deaths, net, changes, streams)
        residual = self.residual(draw)
        path[-1] = path[-1] + residual - self.misplaced(draw)
        counted = path[-1] - self.after_census_day(births, deaths, net) - missed
        lived = Lived(flows, parts, streams, births, deaths, net, path, counted)
        expected, figures = self.published(draw, lived, before)
        lost = {"base": self.base - base, "residual": -residual, "census_coverage": missed}
        truth = self.contributions(lost | changes, lived)
        for t, year in enumerate(self.years):
            truth[f"net_migration[{year}]"] = float(net[:, :, t].sum())
        truth["net_migration[all years]"] = float(net.sum())
        truth[f"population[{self.years[-1]}]"] = float(path[-1].sum())
        said = self._said() | (frozenset() if before is None else before.said)
        return PriorSimulation(figures, expected, truth | draw.scales), Ended(path[-1], z, said)

    # what is seen of it

    def published(
        self, draw: Draw, lived: Lived, before: Ended | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Expected rows of every source, and the rows with their random errors."""
        rows = {}
        for name, survey in self.sources.survey_flows.items():
            cells = self.surveyed(name, lived.flows[name].true + lived.flows[name].bias)
            axes, seen = survey.published_axes, survey.observed_cells
            square = survey.standard_error.values**2
            if axes:  # a sum is published where all of it is
                cells, square, seen = (
                    cells.sum(axis=axes),
                    square.sum(axis=axes),
                    seen.all(axis=axes),
                )
            rows[name] = (cells[seen], np.sqrt(square[seen]))
        if not self.sources.open_end:
            shared = shared_errors(draw.rng, draw.priors, self.sources.census, rows=True)
            rows["census"] = self.counted(draw, lived.counted - shared)
        for own in self.sources.extra:
            mean, error = self._own(draw, own, lived)
            if isinstance(own, BornBefore) and before is not None:  # of whom nobody said it yet
                born = self.sources.first_year - own.born[AGE].values
                kept = np.append([year not in before.said for year in born], True)
                mean, error = mean[kept], error[kept]
            rows[own.name] = (mean, error)  # type: ignore[attr-defined]
        expected = {name: mean for name, (mean, _) in rows.items()}
        figures = {
            name: mean + error * draw.rng.standard_normal(mean.size)
            for name, (mean, error) in rows.items()
        }
        return expected, figures

    def surveyed(self, name: str, flow: np.ndarray) -> np.ndarray:
        """Published cells (year, sex, age group) of a flow by age reached and interval.

        A calendar year has half of the interval that ends in it and half of the next.
        Who reaches age a moved half at age a - 1 and half at age a; ages at the end of the
        year are those reached.
        """
        years = flow
        if self.by_calendar_year:
            years = (flow[:, :, :-1] + flow[:, :, 1:]) / 2
        lower = self.sources.survey_flows[name].lower_ages.values
        younger = int(self.sources.survey_flows[name].ages == AT_MOVE)
        at = np.arange(self.ages)
        in_group = np.zeros((*lower.shape, self.ages))  # (sex, age group, age)
        for s in range(2):
            for age in (np.maximum(at - younger, 0), at):
                in_group[s, np.searchsorted(lower[s], age, side="right") - 1, at] += 0.5
        return np.asarray(np.einsum("sga,say->ysg", in_group, years, optimize=True))

    def after_census_day(
        self, births: np.ndarray, deaths: np.ndarray, net: np.ndarray
    ) -> np.ndarray:
        """Change between census day and the mid-year, (sex, age), spread as the census is."""
        change = births[:, -1].sum() - deaths[:, :, -1].sum() + net[:, :, -1].sum()
        return self.after_census * change * self.census / self.census.sum()

    def counted(self, draw: Draw, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the census and their random errors, in the detail that is published."""
        census = self.sources.census
        cell_by_cell = census.with_ages or census.quality == REGISTER
        if census.observed == TOTAL and not cell_by_cell:
            error = census.relative_standard_error * self.census.sum()
            return np.array([expected.sum()]), np.array([error])
        if census.observed == BY_SEX and not cell_by_cell:
            error = census.relative_standard_error * self.census.sum(axis=1) * np.sqrt(2)
            return expected.sum(axis=1), error
        cells, square = census.cells.counting(self.ages), cell_errors(draw.priors, census)[0] ** 2
        sums = [[(cell * x).sum() for cell in cells] for x in (expected, square)]
        return np.array(sums[0]), np.sqrt(sums[1])

    def _own(self, draw: Draw, own: object, lived: Lived) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a further source, and their random errors."""
        path = lived.path
        if isinstance(own, BornBefore):
            return self._born_before(draw, own, self.base - path[0], lived.net)
        if isinstance(own, Evidence):
            return self._evidence(draw, own, lived)
        if isinstance(own, Register):
            ages = own.count[AGE].values
            shapes = self.register_shapes[ages]
            over = own.coverage_mean + own.coverage_sd * draw.rng.standard_normal()
            over = over + own.coverage_age_sd * (shapes @ draw.rng.standard_normal(REGISTER_SHAPES))
            people = path[own.year - self.years[0] + 1][:, ages]
            return (people + over * own.count.values).ravel(), own.standard_error.values.ravel()
        if isinstance(own, MirrorSeries):
            flow = lived.flows[own.flow]
            true = self.surveyed(own.flow, flow.true).sum(axis=(1, 2))
            usual = np.repeat(self.reference[own.flow][:, :, None], flow.true.shape[2], axis=2)
            usual = self.surveyed(own.flow, usual).sum(axis=(1, 2))
            rows = own.count[YEAR].values - self.survey_years[own.flow][0]
            covered = own.coverage_sd * draw.rng.standard_normal() * usual
            return (own.coverage_mean * true + covered)[rows], own.standard_error.values
        raise SourceError(
            f"{type(own).__name__} cannot be simulated from the priors: only registers, mirror "
            "series and evidence can. Leave the source out of the calibration."
        )

    def _evidence(self, draw: Draw, own: Evidence, lived: Lived) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a further count of streams or of the flows of the survey."""
        true, usual, flows = {}, {}, {}
        for name in own.of:
            if name in lived.flows:
                true[name] = FLOW_SIGN[name] * self.inner(name, lived.flows[name].true)
                usual[name] = FLOW_SIGN[name] * self.reference[name][:, :, None] + 0 * true[name]
                flows[name] = name
                continue
            true[name] = self.streams[name] - lived.streams.error_of(name)
            usual[name] = self.streams[name] - lived.streams.usual[name]
            flows[name] = next(s.flow for s in self.sources.streams if s.name == name)
        return evidence_shown(draw, own, lived.streams, true, usual, flows, self.years[0])

    def _said(self) -> frozenset[int]:
        """Years at whose end those were born whom births before the base, or since, are about."""
        first = self.sources.first_year
        behind = [own.born[AGE].values for own in self.sources.extra if isinstance(own, BornBefore)]
        return frozenset(int(year) for ages in behind for year in (*(first - ages), *self.years))

    def _born_before(
        self, draw: Draw, own: BornBefore, base_error: np.ndarray, net: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Published base less births and deaths, by age; net migration of those born since."""
        born, row = own.born.values, draw.priors["children_net"]
        n, same = born.size, draw.set("part_constant_share")
        size = row.sd * born * (np.arange(n) + 0.5) / (n / 2)
        along = draw.set("flow_persistence")
        lag = along ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        size *= row.sd * born.sum() / np.sqrt(size @ (same + (1 - same) * lag) @ size)
        moved = np.sqrt(same) * draw.rng.standard_normal()
        moved = size * (moved + np.sqrt(1 - same) * draw.years(n, along))
        cells = base_error.sum(axis=0)[:n] + row.mean * born + moved
        since = sum(
            float(net[:, t - back, self.n_years - 1 - back].sum())
            for t in range(min(n, self.n_years))
            for back in range(t + 1)
        )
        registered = self.births[:, -n:].sum()
        return np.r_[cells, since], np.r_[own.error_of_births, row.sd * registered]

    # what it does to the gap

    def contributions(self, lost: Mapping[str, np.ndarray], lived: Lived) -> dict[str, float]:
        """True contribution of each source and group to the gap of the reference figures."""
        births, deaths = lived.births, lived.deaths
        out = {name: float(error.sum()) for name, error in lost.items()}
        out["births"] = float((self.births - births).sum())
        out["deaths"] = float((deaths - self.deaths).sum())
        out["period_conversion"] = 0.0
        for name, flow in lived.flows.items():
            sign, years = FLOW_SIGN[name], self.survey_years[name]
            published = self.sources.survey_flows[name].estimate.values.sum(axis=(1, 2))
            true = self.surveyed(name, flow.true).sum(axis=(1, 2))
            biased = self.surveyed(name, flow.true + flow.bias).sum(axis=(1, 2))
            carried = self.mid_years(true, years).sum() - self.inner(name, flow.true).sum()
            out[f"{name}_bias"] = sign * float(self.mid_years(biased - true, years).sum())
            out[f"{name}_sampling"] = sign * float(self.mid_years(published - biased, years).sum())
            out["period_conversion"] += sign * float(carried)
        for part in self.sources.administrative:
            out[part.name] = out.get(part.name, 0.0) + float(lived.parts[part.label][1].sum())
        out["flows_revised_since"] = self.revised
        out |= {LAYOUT: 0.0} | lived.streams.by_source()
        if self.sources.open_end:
            del out["census_coverage"]
        else:
            out["date_change"] = float(self.after_census_day(births, deaths, lived.net).sum())
            late = (
                "register_cells" if self.sources.census.quality == REGISTER else "census_sampling"
            )
            out[late] = float(lived.counted.sum() - self.census.sum())
        systematic = sum(v for k, v in out.items() if k not in RANDOM_ERRORS)
        truth = {f"gap[{name}]": value for name, value in out.items()}
        group_of = {source.name: source.group for source in self.sources.beside_survey}
        for stream in self.sources.streams:
            own = (stream.name, f"{stream.name}_sampling", *(m.name for m in stream.misclassified))
            group_of |= dict.fromkeys(own, stream.group)
        group_of = {name: kind.group for name, kind in KINDS.items()} | group_of
        for group in dict.fromkeys(kind.group for kind in KINDS.values()):
            members = [v for k, v in out.items() if group_of[k] == group]
            truth[f"group[{group}]"] = sum(members)
        return truth | {SYSTEMATIC_GAP: systematic}
