"""Scales of the areas integrated: importance points from their mode.

A point of the scales of deviations costs a pass over the areas (:mod:`imps.areas.message`) and one
for the factors of areas that are drawn at it (:mod:`imps.areas.factors`); given its message,
scales of the patterns cost a Cholesky factor each, so every point carries several of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from imps.areas.bell import Bell
from imps.areas.deviations import AreaModel
from imps.areas.factors import Expected, Factors, chances
from imps.areas.message import Message, Nation
from imps.areas.mode import Density, arithmetic, mode
from imps.posterior.importance import normalised
from imps.posterior.workers import in_order, one_thread

POINTS = 64


@dataclass(frozen=True)
class Points:
    """Weighted scales.

    Attributes
    ----------
    local : ndarray (point, learnt scale)
        Standardised logarithms.
    pattern : ndarray (point, pattern point, pattern)
    weight : ndarray (point, pattern point)
        Sums to one.
    messages : tuple of Message
        Of each point where they were made here; empty where workers made them.
    factor : ndarray (point, area)
        Factor of the deviations of each area; see :mod:`imps.areas.factors`.
    tau : ndarray (point)
        Standard deviation of its logarithm over areas.
    """

    local: np.ndarray
    pattern: np.ndarray
    weight: np.ndarray
    messages: tuple[Message, ...]
    factor: np.ndarray
    tau: np.ndarray

    @property
    def effective(self) -> float:
        """Effective share of all points."""
        return float(1 / (self.weight**2).sum() / self.weight.size)

    @property
    def mean_factor(self) -> np.ndarray:
        """Root of the posterior mean square of the factor of each area."""
        return np.sqrt(self.weight.sum(axis=1) @ self.factor**2)


def points(
    model: AreaModel,
    nation: Nation,
    *,
    seed: int,
    client: Any = None,
    n: int = POINTS,
    start: np.ndarray | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Points:
    """Weighted scales by importance sampling: from the mode, and twice from a bell fitted.

    Parameters
    ----------
    client : optional
        A dask client, or any :class:`concurrent.futures.Executor`, to which points are spread.

    Raises
    ------
    ScalesNotFoundError
        If the search for the mode does not end at one, or a point has no density.
    """
    with one_thread():
        top = mode(model, nation, start)
    tell(f"scales of areas: mode found, {top.gradients:.0f} gradients")
    bells, model, first = [Bell(top.x, top.spread, model.learnt.size)], top.model, 0
    parts: list[Any] = []
    for turn, size in enumerate((n // 4, n // 4, n - n // 4 * 2)):
        if turn:
            bells.append(bells[-1].fitted(*_all(parts)[:3]))
        local, pattern = bells[-1].points(size, seed + turn)
        tasks = [(*task, seed + first + i)
                 for i, task in enumerate(zip(local, pattern, strict=True))]  # fmt: skip
        made = in_order(client, at_point, tasks, model, nation, top.others, client is None)
        parts.append((local, pattern, made))
        first += size
    found = _pooled(bells, parts)
    tell(f"{found.effective:.0%} of {found.weight.size} points effective")
    return found


def _all(parts: list[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any, Any]:
    """Scales, scales of patterns, log densities, factors and messages of all rounds."""
    local, pattern = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    log, taken, said = zip(*(one for part in parts for one in part[2]), strict=True)
    return local, pattern, np.array(log), taken, said


def _pooled(bells: list[Bell], parts: list[Any]) -> Points:
    """All points of all rounds, weighed against the mixture of their proposals by their numbers."""
    local, pattern, log, taken, said = _all(parts)
    proposed = logsumexp(
        [np.log(len(part[0])) + bell.log_density(local, pattern)
         for bell, part in zip(bells, parts, strict=True)], axis=0
    )  # fmt: skip
    weight = normalised((log - proposed).ravel()).reshape(proposed.shape)
    kept = tuple(one for one in said if one is not None)
    factor, tau = np.stack([f.factor for f in taken]), np.array([f.tau for f in taken])
    return Points(local, pattern, weight, kept, factor, tau)


def at_point(
    model: AreaModel,
    nation: Nation,
    others: Expected,
    keep: bool,
    task: tuple[np.ndarray, np.ndarray, int],
) -> tuple[np.ndarray, Factors, Message | None]:
    """Log densities at the pattern points of one point, its factors, and its message if kept."""
    local, patterns, seed = task
    with one_thread(), arithmetic(f"no density at standardised scales {np.round(local, 1)}"):
        scales = model.scales(local)
        uniform = np.random.default_rng(seed).random(1 + len(model.codes))
        taken = chances(model, scales, others).drawn(uniform)
        density = Density(replace(model, factor=taken.factor), nation)
        said = density.said(local)
        log = np.array([density.at(said, local, u) for u in patterns]) + taken.log_ratio
        return log, taken, said if keep else None
