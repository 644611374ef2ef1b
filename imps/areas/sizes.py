"""What areas have of each source: sizes, shares of the nation, recorded moves, contrasts.

    y_r = gap_r - w_r gap_N = sum_j (W_rj - w_r)(V_j + U_j) + net_r theta + sum_k d_rk + e_r

with V_j the national error of flow j, W_rj the area's share of its size in the cell, w_r the
reference share (carried base; registered births below), by which national base, census and
remainder lie, so that they drop out. Shares come from base, births and published flows only:
the census stands on the left side, and would explain any gap if it stood on the right too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imps.account.gap import rolled_forward_cells
from imps.account.linear import LinearModel
from imps.account.parts import flows_as_laid_out
from imps.areas.figures import INTERNATIONAL, Areas
from imps.areas.priors import BASE, CENSUS, INTERNAL, SPECIAL
from imps.demography.accounting import along_cohorts, carry
from imps.errors import LabelError
from imps.names import EMIGRATION, IMMIGRATION

LOWER_AGES = (0, 5, 10, 15, 18, 19, 20, 21, 22, 23, *range(25, 86, 5))
"""First ages of the groups: fine where people move, and open from 85."""
RAKINGS = 200
RAKED = 1e-9
"""Relative difference of margins at which raking stops."""


@dataclass(frozen=True)
class Cells:
    """Cells of sex and age group at the census, as sums of single years of age.

    Attributes
    ----------
    lower_ages : tuple of int
    n_ages : int
        Single years, the last one open.
    """

    lower_ages: tuple[int, ...]
    n_ages: int

    def __post_init__(self) -> None:
        ages = np.array(self.lower_ages)
        if ages[0] != 0 or (np.diff(ages) <= 0).any() or ages[-1] >= self.n_ages:
            raise LabelError(
                f"lower ages of groups are {self.lower_ages}; allowed are ages from 0 upwards "
                f"in order, below {self.n_ages}. Give for example {LOWER_AGES}."
            )

    @property
    def n_cells(self) -> int:
        """Cells of both sexes."""
        return 2 * len(self.lower_ages)

    @cached_property
    def of_age(self) -> np.ndarray:
        """Group of each single year of age."""
        return np.searchsorted(self.lower_ages, np.arange(self.n_ages), side="right") - 1

    def group(self, x: np.ndarray) -> np.ndarray:
        """Single years (..., sex, age) summed into cells (..., cell), men first."""
        sums = np.add.reduceat(x, self.lower_ages, axis=-1)
        return sums.reshape(*x.shape[:-2], self.n_cells)

    def along(self, flow: np.ndarray) -> np.ndarray:
        """Flows (..., sex, age, interval) by the age at the census, (..., sex, age)."""
        return np.moveaxis(
            along_cohorts(np.moveaxis(flow, (-3, -2, -1), (0, 1, 2))), (0, 1), (-2, -1)
        )

    def carried(self, stock: np.ndarray, years: int) -> np.ndarray:
        """A stock (..., sex, age) aged by whole years."""
        return np.moveaxis(carry(np.moveaxis(stock, (-2, -1), (0, 1)), years), (0, 1), (-2, -1))

    def flow_columns(self, flow: np.ndarray, basis: np.ndarray) -> np.ndarray:
        """Effects on cells (area, cell, column) of relative errors of flows (area, sex, age, t)."""
        t = flow.shape[-1]
        age, interval = np.divmod(np.arange(self.n_ages * t), t)
        reached = np.minimum(age + t - 1 - interval, self.n_ages - 1)
        return self._columns(flow.reshape(*flow.shape[:2], -1), basis, self.of_age[reached])

    def stock_columns(self, stock: np.ndarray, basis: np.ndarray) -> np.ndarray:
        """The same of stocks (area, sex, age) at the census."""
        return self._columns(stock, basis, self.of_age)

    def _columns(self, size: np.ndarray, basis: np.ndarray, group: np.ndarray) -> np.ndarray:
        flat = basis.reshape(2, -1, basis.shape[-1])
        out = np.empty((size.shape[0], self.n_cells, flat.shape[-1]))
        for sex in range(2):
            for g in range(len(self.lower_ages)):
                at = np.flatnonzero(group == g)
                out[:, sex * len(self.lower_ages) + g] = size[:, sex, at] @ flat[sex, at]
        return out


@dataclass(frozen=True)
class Contrasts:
    """Areas as contrasts to the nation.

    Attributes
    ----------
    codes : tuple of str
    cells : Cells
    gap, census, rolled_forward : ndarray (area, cell), persons
    national_gap : ndarray (cell), persons
    reference : ndarray (area, cell)
        Share w of the carried base, of registered births below; sums to one over areas.
    shares : ndarray (area, 3, cell)
        Shares W of base, immigration and emigration.
    net : ndarray (area, cell), persons
        Recorded net internal moves of the cohorts; sums to zero over areas.
    flows : mapping to ndarray (area, sex, age, interval), persons per year
        Immigration, emigration and gross internal moves.
    stocks : mapping to ndarray (area, sex, age), persons
        Base, carried to the census, census, and special populations where they are given.
    """

    codes: tuple[str, ...]
    cells: Cells
    gap: np.ndarray
    census: np.ndarray
    rolled_forward: np.ndarray
    national_gap: np.ndarray
    reference: np.ndarray
    shares: np.ndarray
    net: np.ndarray
    flows: Mapping[str, np.ndarray]
    stocks: Mapping[str, np.ndarray]

    @property
    def contrast(self) -> np.ndarray:
        """y = gap - w x national gap, (area, cell); sums to zero over areas."""
        return self.gap - self.reference * self.national_gap

    @property
    def design(self) -> np.ndarray:
        """Effects of the national errors of both flows and of the net moves, (area, 3, cell)."""
        apart = self.shares[:, 1:] - self.reference[:, None]
        return np.concatenate([apart, self.net[:, None]], axis=1)


def contrasts(
    areas: Areas, nation: LinearModel, lower_ages: tuple[int, ...] = LOWER_AGES
) -> Contrasts:
    """Sizes, shares, recorded moves and contrasts of areas to their nation."""
    figures = areas.figures
    cells = Cells(tuple(lower_ages), figures.sizes["age"])
    years = figures.sizes["year"]
    base = cells.carried(figures["base"].values, years)
    flows = flow_sizes(areas, nation)
    size = {name: cells.group(cells.along(flow)) for name, flow in flows.items()}
    carried, births = cells.group(base), cells.group(_newborn(figures["births"].values, base.shape))
    reference = _shares(carried + births, np.full(len(areas.codes), 1 / len(areas.codes))[:, None])
    of_flows = [size[IMMIGRATION], size[EMIGRATION]]
    shares = np.stack([_shares(m, reference) for m in (carried, *of_flows)], axis=1)
    census, rolled = (cells.group(figures[x].values) for x in (CENSUS, "rolled_forward"))
    gap = rolled_forward_cells(nation.account) - nation.sources.census.count.values
    left = rolled - carried - size[IMMIGRATION] + size[EMIGRATION]
    net = left - _shares(np.where(births.sum(0) > 0, rolled, carried), reference) * left.sum(axis=0)
    stocks = {BASE: base, CENSUS: figures[CENSUS].values}
    if "special" in figures:
        stocks[SPECIAL] = figures["special"].values
    return Contrasts(
        codes=areas.codes,
        cells=cells,
        gap=rolled - census,
        census=census,
        rolled_forward=rolled,
        national_gap=cells.group(gap),
        reference=reference,
        shares=shares,
        net=net - reference * net.sum(axis=0),
        flows=flows,
        stocks=stocks,
    )


def flow_sizes(areas: Areas, nation: LinearModel) -> dict[str, np.ndarray]:
    """Published flows of areas laid out by sex and age, (area, sex, age, interval), persons a year.

    Immigration and emigration are raked from the national schedule times the area's own ages
    to its published totals and to the national cells. Internal moves are half of arrivals and
    departures, by the mobility of the area at each age.
    """
    figures = areas.figures
    local = figures["structure"].values
    relative = local / np.maximum(local.sum(axis=0), 1e-300)
    out = {}
    laid = flows_as_laid_out(nation.sources)
    for flow, column in INTERNATIONAL.items():
        totals = np.maximum(figures[column].values, 0.0)
        national = np.maximum(laid[flow], 1e-6)
        share = totals / totals.sum(axis=0) * national.sum(axis=(0, 1))
        seed = relative[..., None] * national
        out[flow] = np.stack(
            [raked(seed[..., t], share[:, t], national[:, :, t]) for t in range(share.shape[1])], -1
        )
    moves = local * figures["mobility"].values
    gross = (figures["internal_in"].values + figures["internal_out"].values) / 2
    ages = moves / moves.sum(axis=(1, 2), keepdims=True)
    out[INTERNAL] = ages[..., None] * gross[:, None, None, :]
    return out


def raked(seed: np.ndarray, areas: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """A table (area, sex, age) scaled in turn to totals of areas and of cells.

    References
    ----------
    Deming and Stephan (1940), Annals of Mathematical Statistics 11, 427-444.
    """
    out = np.array(seed, dtype=float)
    for _ in range(RAKINGS):
        rows = areas / np.maximum(out.sum(axis=(1, 2)), 1e-300)
        out *= rows[:, None, None]
        out *= cells / np.maximum(out.sum(axis=0), 1e-300)
        if np.abs(np.where(areas > 0, rows, 1.0) - 1).max() < RAKED:
            break
    return out


def _newborn(births: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Registered births of the intervals at the age they reach, half to each sex."""
    out, years = np.zeros(shape), births.shape[1]
    out[:, :, :years] = 0.5 * births[:, None, ::-1]
    return out


def _shares(size: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Shares of areas in each cell that sum to one; where there is nobody, those of `otherwise`."""
    size = np.maximum(size, 0.0)
    total = size.sum(axis=0)
    share = np.where(total > 0, size / np.where(total > 0, total, 1.0), otherwise)
    return share / share.sum(axis=0)
