"""What is true of named streams of people, and what further counts of them would show.

The story of :mod:`imps.simulation.from_priors`, which see: nothing here comes from the model. A
stream is published in cells and laid out over sex and age by a schedule; what is published is
wrong by a share of it, by people of a wrong class, by chance where it is a sample, and within its
cells. Arrays are by (sex, age, interval), in persons a year.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imps.demography.schedules import (
    migration_schedule,
    smooth_shapes,
    within_groups,
    young_adults,
)
from imps.names import EMIGRATION, SEX, SEXES, YEAR
from imps.simulation.prior_draw import Draw
from imps.simulation.true_layout import SHAPES, cells_counted
from imps.simulation.true_stocks import childhood
from imps.sources import Evidence, Sources, Stream
from imps.sources.streams import AT_MOVE, EXACT, first_ages

LAYOUT = "ages_and_sexes_of_flows"
"""Source of the gap that errors within published cells are; they sum to nothing."""


@dataclass(frozen=True)
class TrueStreams:
    """How the streams of an account err.

    Attributes
    ----------
    errors : mapping from stream to mapping from source of the gap to ndarray
        Published minus true of what the stream adds to the population.
    usual : mapping from stream to ndarray
        That error at the means of the priors.
    systems : mapping of float by name
        Standardised error that all series of a system have.
    """

    errors: Mapping[str, Mapping[str, np.ndarray]]
    usual: Mapping[str, np.ndarray]
    systems: Mapping[str, float]

    def error_of(self, name: str) -> np.ndarray:
        """All that a stream errs by."""
        return np.sum(list(self.errors[name].values()), axis=0)

    def by_source(self) -> dict[str, float]:
        """Persons that each source adds to the gap."""
        out: dict[str, float] = {}
        for own in self.errors.values():
            for source, error in own.items():
                out[source] = out.get(source, 0.0) + float(error.sum())
        return out


def cells_of(series: Stream | Evidence, n_ages: int) -> np.ndarray:
    """Share of the people of each (sex, age reached) in each published cell, (cell, sex, age)."""
    lower, at_move = first_ages(series.count)[0], series.ages == AT_MOVE
    by_sex = SEX in series.count.dims
    return np.array(cells_counted(lower.tolist(), n_ages, by_sex=by_sex, at_move=at_move))


def _rule(stream: Stream, n_ages: int) -> np.ndarray:
    """How each published cell is laid out, (cell, sex, age); each sums to one."""
    weight = cells_of(stream, n_ages) * migration_schedule(n_ages, stream.schedule)
    return np.asarray(weight / weight.sum(axis=(1, 2), keepdims=True))


def laid_out(stream: Stream, n_ages: int) -> np.ndarray:
    """A stream as published over sex and age, unsigned."""
    rule, out = _rule(stream, n_ages), np.zeros((2, n_ages, stream.count.shape[0]))
    for t, cells in enumerate(stream.count.values):
        out[:, :, t] = np.tensordot(cells.ravel(), rule, axes=1)
    return out


def streams_drawn(draw: Draw, sources: Sources, published: Mapping[str, np.ndarray]) -> TrueStreams:
    """Errors of all streams, of which `published` is what each adds as it is laid out."""
    series: tuple[Stream | Evidence, ...] = (*sources.streams, *sources.evidence)
    names = dict.fromkeys(one.shared.name for one in series if one.shared is not None)
    systems = {name: float(draw.persistent(f"system {name}")[0]) for name in names}
    errors: dict[str, dict[str, np.ndarray]] = {}
    usual = {}
    for stream in sources.streams:
        size = _size(stream, published[stream.name])
        errors[stream.name], usual[stream.name] = {}, np.zeros_like(size)
        if stream.quality == EXACT:
            continue
        of = _relative(draw, stream, size.shape[1:], systems)
        errors[stream.name] = {source: size * share for source, (share, _) in of.items()}
        for _, mean in of.values():
            usual[stream.name] += size * mean
        n_ages = size.shape[1]
        if stream.standard_error is not None:
            drawn = stream.sign * stream.standard_error.values
            drawn = drawn * draw.rng.standard_normal(drawn.shape)
            error = np.einsum("tc,csa->sat", drawn.reshape(len(drawn), -1), _rule(stream, n_ages))
            errors[stream.name][f"{stream.name}_sampling"] = error
        if not stream.fixes_cells(n_ages - 1):
            errors[stream.name][LAYOUT] = _within_cells(draw, stream, size)[:, :, None] + 0 * size
    return TrueStreams(errors, usual, systems)


def _size(stream: Stream, published: np.ndarray) -> np.ndarray:
    """What a share is of: the stream; its mean size where a balance may pass through zero."""
    if stream.count.values.min() >= 0:
        return published
    mean = np.abs(published).mean(axis=2)
    return np.repeat(mean[:, :, None], published.shape[2], axis=2)


def _relative(
    draw: Draw, stream: Stream, shape: tuple[int, ...], systems: Mapping[str, float]
) -> dict[str, tuple[np.ndarray, np.ndarray | float]]:
    """Relative errors (sex, age, interval) by source of the gap, and their means."""
    (n_ages, n), name = shape, stream.name
    level = draw.priors[f"{name}_level"]
    own = float(draw.persistent(f"{name}_level")[0])
    share = np.full(
        (2, n_ages, n), level.mean + level.sd * _of_system(stream, own, stream.flow, systems)
    )
    if "sex" in stream.errors:
        more = draw.priors[f"{name}_sex"].sd * float(draw.persistent(f"{name}_sex")[0])
        share[SEXES.index("male")] += more
        share[SEXES.index("female")] -= more
    for what, bell in (("children", childhood(n_ages)), ("young", young_adults(n_ages))):
        if what in stream.errors:
            z = float(draw.persistent(f"{name}_{what}")[0])
            share += (draw.priors[f"{name}_{what}"].sd * z * bell)[:, None]
    if "drift" in stream.errors:
        share += draw.priors[f"{name}_drift"].sd * draw.years(n, draw.set("bias_persistence"))
    out: dict[str, tuple[np.ndarray, np.ndarray | float]] = {name: (share, level.mean)}
    for group in stream.misclassified:
        row, of_class = draw.priors[group.name], np.zeros((2, n_ages, n))
        of_class[:, group.first_age : group.last_age + 1] = 1.0
        drawn = row.mean + row.sd * draw.rng.standard_normal()
        out[group.name] = (drawn * of_class, row.mean * of_class)
    return out


def _of_system(
    series: Stream | Evidence, own: float, flow: str, systems: Mapping[str, float]
) -> float:
    """A standardised level, in part that of the system: departures against arrivals if asked."""
    if series.shared is None:
        return own
    together = series.shared.correlation
    common = systems[series.shared.name]
    if together < 0 and flow == EMIGRATION:
        common = -common
    return float(np.sqrt(abs(together)) * common + np.sqrt(1 - abs(together)) * own)


def _within_cells(draw: Draw, stream: Stream, size: np.ndarray) -> np.ndarray:
    """What no published cell fixes, the same in all intervals, (sex, age)."""
    n_ages = size.shape[1]
    shapes = smooth_shapes(n_ages, min(SHAPES, n_ages), young=2.0, old=4.0)
    each = np.kron(np.eye(2), shapes)
    cells = cells_of(stream, n_ages).reshape(-1, 2 * n_ages)
    laid = within_groups(cells, np.abs(size).mean(axis=2).ravel(), each)
    error = draw.priors[f"{stream.name}_layout"].sd * (laid @ draw.rng.standard_normal(len(each.T)))
    return np.asarray(error.reshape(2, n_ages))


def evidence_shown(
    draw: Draw,
    series: Evidence,
    streams: TrueStreams,
    true: Mapping[str, np.ndarray],
    usual: Mapping[str, np.ndarray],
    flows: Mapping[str, str],
    first_year: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a further count of streams, and their random errors.

    Parameters
    ----------
    true, usual : mapping of ndarray by stream, what it adds to the population
        As it came true, and at the means of the priors.
    flows : mapping from stream to its direction
    first_year : int
        Of the intervals.
    """
    outward = {name: -1.0 if flows[name] == EMIGRATION else 1.0 for name in series.of}
    balance = len({flows[name] for name in series.of}) > 1 and not series.turnover
    sign = {name: 1.0 if balance else outward[name] for name in series.of}
    at = series.count[YEAR].values - first_year
    cells = cells_of(series, next(iter(true.values())).shape[1])
    added = (np.array([sign[n] * x[n] for n in series.of]).sum(axis=0) for x in (true, usual))
    seen, size = (np.einsum("csa,sat->tc", cells, x[:, :, at]) for x in added)
    own = float(draw.rng.standard_normal())
    z = _of_system(series, own, flows[series.of[0]], streams.systems)
    mean = series.coverage_mean * seen + series.coverage_sd * z * np.abs(size)
    return mean.ravel(), series.standard_error.values.ravel()
