"""Prior of what areas have of their own: factors and covariances of their deviations.

    d_rk ~ Normal(0, Q_rk(s)),   Q_rk = sum_l s_l^2 f_l f_l' + s_k^2 (F F' + diag)

given that they sum to zero over areas in every cell. The flows have level and young adults
with scales of their own, and the relative error of an area's external flow falls with its size,
by (persons a year / 1,000)^-0.17. What is independent is defined by single year of age and then
grouped, so that the prior of a total does not depend on how ages are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imps.areas.priors import (
    DEVIATIONS,
    FACTOR,
    INTERNAL,
    N_PATTERNS,
    OF_SPECIAL,
    REMAINDER,
    SPECIAL,
    AreaPrior,
)
from imps.areas.sizes import Contrasts
from imps.demography.schedules import autoregressive, smooth_shapes, young_adults
from imps.names import EMIGRATION, IMMIGRATION

SMOOTH = 8
"""Smooth shapes over age of each sex."""
PERSISTENCE = 0.8
"""Correlation of the error of a flow from one year to the next."""
SINGLE_YEAR = 0.4
"""Size of the independent error of a single year of age, as a share of a deviation's scale."""
FLOOR = 0.5
"""Persons of error in every single year of age, at a scale of one: no cell is known for certain."""
CELL_NOISE = 0.01
"""Noise of a single year of age beside that of a count, as a share of it."""
MIX = {
    IMMIGRATION: (1.0, 1.0, 1.0, 1.0, 0.8, 0.8),
    EMIGRATION: (1.0, 1.0, 1.0, 1.0, 0.8, 0.8),
    INTERNAL: (1.0, 1.0, 0.7, 0.6, 0.3, SINGLE_YEAR),
}
"""Level, young adults, young by sex, smooth, years, single years: parts of a flow's error."""
FALLS_WITH_SIZE, AT_SIZE = 0.17, 1000.0
"""Power of its size by which the relative error of an area's external flow falls, and the persons a
year at which it is one: revisions of areas' shares of the national flows of 2004-2008 (the data of
the priors of these scales) fall by 0.14 (standard error 0.06) for immigration and 0.24 (0.08) for
emigration, together 0.17 (0.05), of areas with at least 500 a year (`docs/evidence.md`)."""
STOCK_MIX = (0.5, 0.7, 0.6, 0.6, 0.0, SINGLE_YEAR)
"""The same of an error of base, census or special populations, which has no years."""
OWN_SCALE = {"level": slice(0, 1), "young": slice(1, 4)}
"""Columns of the basis that have a scale of their own in flows."""


@dataclass(frozen=True)
class AreaModel:
    """Contrasts of areas to the nation, with the prior of their deviations.

    Attributes
    ----------
    codes : tuple of str
        Areas, in order of their codes: the order of every sum.
    priors : tuple of AreaPrior
    deviations : tuple of str
        Sources of which areas have deviations.
    contrast : ndarray (area, cell), persons
        y = gap - reference share x national gap.
    design : ndarray (area, 3, cell)
        Effects of the national errors of immigration and emigration, and of the pattern of
        net moves, each within its cell.
    leading : tuple of (source, ndarray (column) of int, ndarray (area, cell, column))
        Columns with scales of their own, and which.
    factors : tuple of ndarray (area, cell, column)
        F of each source, without what is independent.
    independent : ndarray (area, source, cell)
        Variance of the independent part at a scale of one.
    rest : ndarray (area, cell, source, cell)
        F F' + diag(independent) of all sources, side by side.
    scale_of : ndarray (source)
        Index of the scale of each source's rest.
    noise : ndarray (area, cell)
        Variance of the noise of cells at a scale of one.
    patterns : tuple of ndarray (cell, column)
        Shapes of the patterns at a scale of one.
    factor : ndarray (area)
        How much farther each area departs than areas do: factor of all its deviations.
    """

    codes: tuple[str, ...]
    priors: tuple[AreaPrior, ...]
    deviations: tuple[str, ...]
    contrast: np.ndarray
    design: np.ndarray
    leading: tuple[tuple[int, np.ndarray, np.ndarray], ...]
    factors: tuple[np.ndarray, ...]
    independent: np.ndarray
    rest: np.ndarray
    scale_of: np.ndarray
    noise: np.ndarray
    patterns: tuple[np.ndarray, ...]
    factor: np.ndarray

    def __getstate__(self) -> dict[str, Any]:
        """What a worker is sent: `rest` is most of the model, and is made anew there."""
        return vars(self) | {"rest": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, rest=_rest(state["factors"], state["independent"]))

    @property
    def n_sources(self) -> int:
        """Sources of which areas have deviations."""
        return self.rest.shape[2]

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of an area's gap, in the order of reporting."""
        return (*self.deviations, REMAINDER)

    @property
    def n_cells(self) -> int:
        """Cells of sex and age group."""
        return self.contrast.shape[1]

    @property
    def learnt(self) -> np.ndarray:
        """Indices of the scales of deviations and cells that are integrated."""
        local = enumerate(self.priors[:-N_PATTERNS])
        return np.array([i for i, row in local if row.learnt and row.name != FACTOR], dtype=int)

    def scales(self, local: np.ndarray) -> np.ndarray:
        """Scales of deviations and cells at standardised logarithms of the learnt ones."""
        rows = self.priors[:-N_PATTERNS]
        out = np.array([row.median for row in rows])
        out[self.learnt] *= np.exp([rows[i].log_sd for i in self.learnt] * np.asarray(local))
        return out

    def pattern_scales(self, h: np.ndarray) -> np.ndarray:
        """Scales of the patterns at standardised logarithms."""
        rows = self.priors[-N_PATTERNS:]
        return np.array([r.median for r in rows]) * np.exp([r.log_sd for r in rows] * np.asarray(h))

    def side_by_side(self, areas: Any, scales: np.ndarray) -> np.ndarray:
        """[Q_1 ... Q_K] of one area or several, (..., cell, source, cell)."""
        factor = np.asarray(self.factor[areas])[..., None]
        q = self.rest[areas] * (factor * scales[self.scale_of])[..., None, :, None] ** 2
        for source, index, columns in self.leading:
            f = columns[areas] * (factor * scales[index])[..., None, :]
            q[..., source, :] += f @ np.swapaxes(f, -1, -2)
        return q

    def covariances(self, areas: Any, scales: np.ndarray) -> np.ndarray:
        """Q of each source of one area or several, (..., source, cell, cell)."""
        return np.swapaxes(self.side_by_side(areas, scales), -3, -2)

    def in_all(self, areas: Any, scales: np.ndarray) -> np.ndarray:
        """Sum of the Q of all sources, (area, cell, cell)."""
        out = sum(self.rest[:, :, k][areas] * s**2 for k, s in enumerate(scales[self.scale_of]))
        f = [columns[areas] * scales[index] for _, index, columns in self.leading]
        beside = np.concatenate(f, axis=2)
        out += beside @ beside.transpose(0, 2, 1)
        return np.asarray(out * self.factor[areas][:, None, None] ** 2)

    def scale_slopes(self, areas: Any, of_q: np.ndarray) -> np.ndarray:
        """Derivative in the square of each scale, from that in Q (area, cell, source, cell).

        What each area adds, (area, scale).
        """
        out = np.zeros((len(of_q), len(self.priors) - N_PATTERNS))
        of_rest = (of_q * self.rest[areas]).sum(axis=1).sum(axis=2)
        np.add.at(out.T, self.scale_of, of_rest.T)
        for source, index, columns in self.leading:
            f = columns[areas]
            np.add.at(out.T, index, ((of_q[:, :, source] @ f) * f).sum(axis=1).T)
        return out * self.factor[areas][:, None] ** 2

    def prior_draws(
        self, area: int, scales: np.ndarray, n: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Deviations of one area without the zero sums, (source, cell, draw)."""
        parts = [x for f in self.factors for x in (self.n_cells, f.shape[2])]
        parts += [index.size for _, index, _ in self.leading]
        z = iter(np.split(rng.standard_normal((sum(parts), n)), np.cumsum(parts)[:-1]))
        out = np.sqrt(self.independent[area])[:, :, None] * np.ones(n)
        for own, factor in zip(out, self.factors, strict=True):
            own *= next(z)
            own += factor[area] @ next(z)
        out *= scales[self.scale_of][:, None, None]
        for source, index, columns in self.leading:
            out[source] += (columns[area] * scales[index]) @ next(z)
        return out * self.factor[area]


def area_model(contrasts: Contrasts, priors: tuple[AreaPrior, ...]) -> AreaModel:
    """Factors, covariances and noise of the deviations of all areas."""
    deviations: tuple[str, ...] = DEVIATIONS
    if SPECIAL in contrasts.stocks:
        deviations = (*DEVIATIONS, SPECIAL)
    else:
        priors = tuple(row for row in priors if row.name != OF_SPECIAL)
    at = {row.name: i for i, row in enumerate(priors)}
    cells, years = contrasts.cells, contrasts.flows[IMMIGRATION].shape[-1]
    leading, factors, independent = [], [], []
    for k, name in enumerate(deviations):
        mix = MIX.get(name, STOCK_MIX)
        if name in MIX:
            flow = contrasts.flows[name]
            if name != INTERNAL:
                flow = flow * error_by_size(flow)[:, None, None, None]
            columns = cells.flow_columns(flow, basis(mix, cells.n_ages, years))
            single = cells.along(flow)
        else:
            stock = contrasts.stocks[name]
            columns = cells.stock_columns(stock, basis(mix, cells.n_ages, 0))
            single = stock
        if f"area_{name}_level" in at:
            of = [at[f"area_{name}_{part}"] for part in OWN_SCALE]
            index = np.repeat(of, [place.stop - place.start for place in OWN_SCALE.values()])
            leading.append((k, index, columns[:, :, : index.size]))
            columns = np.ascontiguousarray(columns[:, :, index.size :])
        factors.append(columns)
        independent.append(cells.group((mix[-1] * single) ** 2 + (1e-3 * single + FLOOR) ** 2))
    variance = np.stack(independent, axis=1)
    scale = {k: n if (n := f"area_{k}") in at else f"area_{k}_shape" for k in deviations}
    scale[SPECIAL] = OF_SPECIAL
    count = np.maximum(contrasts.stocks["census"], 1.0)
    return AreaModel(
        contrasts.codes, priors, deviations, contrasts.contrast, contrasts.design, tuple(leading),
        tuple(factors), variance, _rest(factors, variance),
        np.array([at[scale[k]] for k in deviations]),
        cells.group(count + (CELL_NOISE * count) ** 2), _patterns(contrasts),
        np.ones(len(contrasts.codes)),
    )  # fmt: skip


def _rest(factors: Sequence[np.ndarray], independent: np.ndarray) -> np.ndarray:
    """F F' + diag(independent) of all sources, (area, cell, source, cell)."""
    rest = np.stack([f @ f.transpose(0, 2, 1) for f in factors], axis=2)
    i = np.arange(rest.shape[1])
    rest[:, i, :, i] += independent.transpose(2, 0, 1)
    return rest


def error_by_size(flow: np.ndarray) -> np.ndarray:
    """Relative error of each area's flow (area, sex, age, interval) beside that at `AT_SIZE`."""
    a_year = flow.sum(axis=(1, 2)).mean(axis=1)
    return np.asarray((np.maximum(a_year, 1.0) / AT_SIZE) ** -FALLS_WITH_SIZE)


def basis(mix: tuple[float, ...], n_ages: int, years: int) -> np.ndarray:
    """Columns of a relative error (sex, age, interval, column); a stock has one interval.

    Level, young adults, young of each sex, smooth over age of each sex, and an
    autoregression over years.
    """
    level, young, by_sex, smooth, yearly, _ = mix
    stock = {} if years else {"young": 5.0, "old": 12.0}
    bell, shapes, t = young_adults(n_ages), smooth_shapes(n_ages, SMOOTH, **stock), max(years, 1)
    one = np.ones((2, n_ages))
    sexes = np.eye(2)
    columns = [level * one, young * bell * one]
    columns += [by_sex * bell * sex[:, None] for sex in sexes]
    columns += [smooth * shape * sex[:, None] for sex in sexes for shape in shapes.T]
    constant = np.repeat(np.stack(columns, -1)[:, :, None], t, axis=2)
    if not years:
        return constant
    walk = np.broadcast_to(yearly * autoregressive(t, PERSISTENCE), (2, n_ages, t, t))
    return np.concatenate([constant, walk], axis=-1)


def _patterns(contrasts: Contrasts) -> tuple[np.ndarray, ...]:
    """Shapes of each pattern: smooth over the ages of a cell, and every cell by itself."""
    cells = contrasts.cells
    smooth = cells.group(np.moveaxis(basis(STOCK_MIX, cells.n_ages, 0)[:, :, 0], -1, 0))
    smooth = (smooth / cells.group(np.ones((2, cells.n_ages)))).T
    out = []
    for name in (IMMIGRATION, EMIGRATION):
        single = cells.along(contrasts.flows[name]).sum(axis=0)
        own = np.sqrt(cells.group(single**2))
        out.append(np.concatenate([cells.group(single)[:, None] * smooth, np.diag(0.5 * own)], 1))
    return (*out, np.concatenate([smooth, np.diag(np.full(cells.n_cells, 0.3))], axis=1))
