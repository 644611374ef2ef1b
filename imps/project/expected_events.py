"""Births, deaths and streams beside what base, census and the rest lead to expect of them.

The cells of the census given all other sources are normal with error e and covariance C
(:mod:`imps.project.expectation`). Figures F of a year, sex and band of ages stand in them at the
age that their cohorts reach, d. That they are a common factor too many or too few is judged by

    z = d' C^-1 e / (d' C^-1 d)^1/2 / s,    s^2 = max(1, e' C^-1 e / n),

s the scale that the n cells themselves show: all years together, from a year on and each, of each
sex, of both and between the sexes, all ages and every band. That figures T(F) in other places
(sexes, ages or years in another order) are the right ones is judged by the fall of the deviance,

    (2 d' C^-1 e - d' C^-1 d) / s^2,    d the cells of T(F) - F,

which exceeds k with probability of at most exp(-k / 2) where F is right: the density of the data
in other places is a density too, and a ratio of densities has mean 1.

References
----------
Cox and Hinkley (1974), Theoretical Statistics, section 9.3: score tests.
Royall (1997), Statistical Evidence, section 1.4: the bound of misleading evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import numpy as np

from imps.account.linear import LinearModel
from imps.account.observations import in_cells
from imps.account.stocks import registered_births, registered_deaths
from imps.demography.accounting import along_cohorts, carry
from imps.names import SEXES
from imps.reading.rearrangements import ORDERS

UNEXPECTED_TOTAL: Final = 4.5
"""Standard deviations from which all ages of births, deaths or a stream are doubted: 1,500 draws
of each of five accounts from their priors, scales too, exceed them in 0 to 0.6 per cent."""

UNEXPECTED_BAND: Final = 5.2
"""The same of bands of ages: 0 to 0.9 per cent. The shipped cases reach 3.8."""

BETTER: Final = 18.0
"""Fall of the deviance from which other places are told: each has a probability of at most 1 in
90,000, the normal tail at its root, and hundreds are tried. The shipped cases reach 9.6."""

EDGES: Final = (0, 1, 5, 10, 15, 18, 20, *range(25, 95, 5))
"""First ages of the bands that are put together."""

SEX_SETS: Final = MappingProxyType(
    {"": (1, 1), "males ": (1, 0), "females ": (0, 1), "males less females ": (1, -1)}
)


@dataclass(frozen=True)
class Cells:
    """Cells of the census: their error given all other sources, and its covariance."""

    model: LinearModel
    apart: np.ndarray
    covariance: np.ndarray

    @cached_property
    def inverse(self) -> np.ndarray:
        """Inverse of the covariance."""
        return np.linalg.inv(self.covariance)

    @cached_property
    def solved(self) -> np.ndarray:
        """C^-1 e."""
        return np.asarray(self.inverse @ self.apart)

    @cached_property
    def scale(self) -> float:
        """s^2."""
        return max(1.0, float(self.apart @ self.solved) / len(self.apart))

    def seen(self, people: np.ndarray) -> np.ndarray:
        """People (sex, age, ...) at the last date in the cells of the census (cell, ...)."""
        return in_cells(people, self.model.sources.census.cells)


Found = tuple[float, str, str]
"""Size, figure, and both in words."""


def odd_events(cells: Cells) -> Iterator[Found]:
    """The series of births, deaths and streams that a factor of a part would make fit."""
    sources = cells.model.sources
    streams = {stream.name for stream in sources.streams}
    yield from _odd(cells, "births", registered_births(sources), np.array([0, 1]))
    own = {"deaths": -registered_deaths(sources)}
    own |= {c.name: c.published for c in cells.model.account.carried if c.name in streams}
    for name, flow in own.items():
        ages = flow.shape[1]
        yield from _odd(cells, name, flow, np.array([*(a for a in EDGES if a < ages), ages]))


def _odd(cells: Cells, name: str, flow: np.ndarray, edges: np.ndarray) -> Iterator[Found]:
    """The worst part of one series (sex, age, year), of all ages or of a band, if it is odd."""
    score, gram = _parts(cells, flow, edges)
    years = cells.model.sources.years
    worst = (1.0, "", "")
    for sexes, weight in SEX_SETS.items():
        each = np.einsum("s,tsb->tb", weight, score)
        both = np.einsum("s,tsbuvc,v->tbuc", weight, gram, weight)
        since = each[::-1].cumsum(0)[::-1]
        both_since = both[::-1, :, ::-1].cumsum(0).cumsum(2)[::-1, :, ::-1]
        for t, year in enumerate(years):
            one, later = f"{year}", f"{year} to {years[-1]}"
            for when, s, g in (
                (one, each[t], both[t, :, t]),
                (later, since[t], both_since[t, :, t]),
            ):
                z, times = _intervals(s, g, cells.scale)
                bound = np.full(z.shape, UNEXPECTED_BAND)
                bound[0, -1] = UNEXPECTED_TOTAL
                i, j = np.unravel_index((np.abs(z) / bound).argmax(), z.shape)
                size = abs(z[i, j]) / bound[i, j]
                if size > worst[0]:
                    at = slice(t, t + 1 if when == one else None)
                    counted = np.abs(flow[:, edges[i] : edges[j], at]).sum(axis=(1, 2))
                    figure = f"{counted @ np.array(weight):,.0f}"
                    ages = "" if (i, j) == (0, len(edges) - 1) else _ages(edges, i, j)
                    worst = (size, figure, (
                        f"{name} {when} {sexes}{ages}".strip() + f": {figure}, "
                        f"{times[i, j]:+.0%} would fit the stocks and the rest, "
                        f"{abs(z[i, j]):.1f} standard deviations"
                    ))  # fmt: skip
    if worst[1]:
        yield worst


def _ages(edges: np.ndarray, i: int, j: int) -> str:
    return f"aged {edges[i]} " + ("and over" if j == len(edges) - 1 else f"to {edges[j] - 1}")


def _parts(cells: Cells, flow: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores d' C^-1 e (year, sex, band), and products d' C^-1 d of each two of these."""
    sexes, ages, years = flow.shape
    shape = (years, sexes, len(edges) - 1)
    parts = np.zeros((sexes, ages, *shape))
    for b, (low, high) in enumerate(pairwise(edges)):
        for s in range(sexes):
            for t in range(years):
                parts[s, low:high, t, s, b] = flow[s, low:high, t]
    for t in range(years):
        parts[:, :, t] = carry(parts[:, :, t], years - 1 - t)
    seen = cells.seen(parts.reshape(sexes, ages, -1))
    gram = seen.T @ (cells.inverse @ seen)
    return (seen.T @ cells.solved).reshape(shape), gram.reshape(*shape, *shape)


def _intervals(score: np.ndarray, gram: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Deviations of all runs of bands (first, after the last), and the relative change that fits.

    Parameters
    ----------
    score : array (band)
    gram : array (band, band)
    scale : float
    """
    sums = np.append(0.0, score.cumsum())
    whole = np.pad(gram.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    own = np.diag(whole)
    variance = np.triu(own + own[:, None] - whole - whole.T, 1)
    known = variance > 1e-6
    fall = np.where(known, sums - sums[:, None], 0.0)
    variance = np.where(known, variance, 1.0)
    return fall / np.sqrt(variance * scale), fall / variance


# Other places


def better_places(cells: Cells) -> Iterator[Found]:
    """Stocks, deaths and streams of which another arrangement fits far better, and which."""
    for name, flow, seen in _series(cells):
        best = (BETTER, "", "")
        for what, other in _arrangements(flow):
            d = cells.seen(seen(other - flow)[..., None])[:, 0]
            gain = float(2 * d @ cells.solved - d @ cells.inverse @ d) / cells.scale
            if gain > best[0]:
                best = (gain, f"{np.abs(flow).sum():,.0f}", f"{name}: {what}")
        for what, gain in _by_age(cells, flow, seen):
            if gain > best[0]:
                best = (gain, f"{np.abs(flow).sum():,.0f}", f"{name}: {what}")
        if best[1]:
            yield best[0], best[1], f"{best[2]} fit far better, {best[0]:.0f} units of deviance"


Seen = Callable[[np.ndarray], np.ndarray]


def _series(cells: Cells) -> Iterator[tuple[str, np.ndarray, Seen]]:
    """Figures (sex, age, year) in words, and how they enter the last stock (sex, age)."""
    sources = cells.model.sources
    years = len(sources.years)
    if sources.census.fixes_cells:
        yield "the last population", sources.census.count.values[..., None], lambda x: -x[:, :, 0]
    if sources.base.fixes_cells:
        base = sources.base.count.values[..., None]
        yield "the first population", base, lambda x: carry(x[:, :, 0], years)
    yield "deaths", -registered_deaths(sources), along_cohorts
    streams = {stream.name for stream in sources.streams}
    for part in cells.model.account.carried:
        if part.name in streams:
            yield part.name, part.published, along_cohorts


def _arrangements(flow: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The figures (sex, age, year) in other places, and which."""
    yield "the sexes exchanged", flow[::-1]
    older = np.concatenate([0 * flow[:, :1], flow[:, :-1]], axis=1)
    younger = np.concatenate([flow[:, 1:-1], flow[:, -1:] / 2, flow[:, -1:] / 2], axis=1)
    for what, moved in (("older", older), ("younger", younger)):
        yield f"ages half a year {what}", (flow + moved) / 2
        yield f"ages a year {what}", moved
        for s, sex in enumerate(SEXES):
            one = flow.copy()
            one[s] = moved[s]
            yield f"ages of {sex}s a year {what}", one
    if flow.shape[2] > 2:
        for what, order in ORDERS.items():
            yield what.replace(" fit", ""), np.moveaxis(order(np.moveaxis(flow, 2, 0)), 0, 2)


def _by_age(cells: Cells, flow: np.ndarray, seen: Seen) -> Iterator[tuple[str, float]]:
    """Sexes exchanged in a band of ages, or figures of two ages, and the fall of the deviance."""
    n = flow.shape[1]
    at, near = np.arange(n), np.arange(n - 2)
    each = np.zeros((*flow.shape, n))
    each[:, at, :, at] = np.moveaxis(flow[::-1] - flow, 1, 0)
    step = np.moveaxis(flow[:, 1:-1] - flow[:, :-2], 1, 0)
    pairs = np.zeros((*flow.shape, n - 2))
    pairs[:, near, :, near], pairs[:, near + 1, :, near] = step, -step
    d = cells.seen(seen(each))
    fall = d.T @ cells.solved
    z, times = _intervals(fall, d.T @ (cells.inverse @ d), cells.scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(times != 0, z**2 * (2 - 1 / times) / times, 0.0)
    i, j = np.unravel_index(gain.argmax(), gain.shape)
    yield f"the sexes of ages {i} to {j - 1} exchanged", float(gain[i, j])
    d = cells.seen(seen(pairs))
    gain = 2 * (d.T @ cells.solved) - (d * (cells.inverse @ d)).sum(axis=0)
    a = int(gain.argmax())
    yield f"ages {a} and {a + 1} exchanged", float(gain[a]) / cells.scale
