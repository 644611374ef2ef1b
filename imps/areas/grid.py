"""Scales of the areas integrated: mode by analytic gradient, curvature, importance points.

A point of the scales of deviations costs a pass over the areas (:mod:`imps.areas.message`) and one
for the factors of areas that are drawn at it (:mod:`imps.areas.factors`); given its message,
scales of the patterns cost a Cholesky factor each, so every point carries several of them.

At drawn factors the slope is that of the density with factors integrated, but for noise (Fisher's
identity), and its variance over draws is what that density lacks in curvature (Louis's identity).

References
----------
Celeux and Diebolt (1985), Computational Statistics Quarterly 2, 73-82 (scales and factors in turn).
Louis (1982), Journal of the Royal Statistical Society B 44, 226-233.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from imps.areas.bell import Bell, inverse
from imps.areas.deviations import AreaModel
from imps.areas.factors import Chances, Expected, Factors, chances, expected
from imps.areas.message import (
    Message,
    Nation,
    evidence,
    gradients,
    message,
    passes,
    pattern_gradient,
)
from imps.areas.priors import N_PATTERNS, NOISE
from imps.posterior.importance import normalised
from imps.posterior.workers import in_order, one_thread

POINTS = 64
FIRST_LOOK = 40
"""About so many areas on which the way to the mode is found."""
STEP = 0.5
"""Step of the differences of gradients that give the curvature, in standard deviations."""
STEPS = (0.01, 0.6)
"""Standard deviations that are believed for that."""
NEAR_MODE = 1.0
"""Largest slope in a standardised scale at which the search for the mode ends."""
FARTHEST = 6.0
MOST_STEPS = 12
TURNS = 4
"""So often factors of some areas and scales are found in turn."""
ON_ALL, STEPS_TO_MODE = 2, 4
"""So often those of all areas are; and so many steps follow by slopes over drawn factors."""
LOOKS = 12
"""Steps of each turn on some areas; twice as many of the first."""
FACTORS_DRAWN = 4
"""Draws of the factors over which a slope is averaged, in pairs."""
MOST_LACKING = 0.75
"""Share of a curvature at held factors that is taken off for the factors at most: few draws err."""


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


class Density:
    """Log posterior density of all scales, (learnt scales, patterns), up to a constant.

    The factors of areas are those of the model.
    """

    def __init__(self, model: AreaModel, nation: Nation, areas: np.ndarray | None = None) -> None:
        self.model, self.nation, self.areas = model, nation, areas
        self.n_local, self.passes = model.learnt.size, 0.0
        self.n = self.n_local + N_PATTERNS

    def at(self, said: Message, local: np.ndarray, u: np.ndarray) -> float:
        """Density given the message."""
        prior = self.nation.with_patterns(self.model, self.model.pattern_scales(u))
        return evidence(said, self.nation, prior) - 0.5 * (local @ local + u @ u)

    def said(self, x: np.ndarray) -> Message:
        """The message of the areas at given scales."""
        return message(self.model, self.model.scales(x[: self.n_local]), self.areas)

    def expected(self, x: np.ndarray) -> Expected:
        """What the nation and all other areas expect of each, at given scales."""
        scales, u = (
            self.model.scales(x[: self.n_local]),
            self.model.pattern_scales(x[self.n_local :]),
        )
        seen = self.nation.given(self.said(x), self.nation.with_patterns(self.model, u))
        return expected(self.model, scales, seen, self.areas)

    def chances(self, x: np.ndarray, others: Expected) -> Chances:
        """The factors of areas, weighed at given scales."""
        return chances(self.model, self.model.scales(x[: self.n_local]), others, self.areas)

    def pattern_slope(self, x: np.ndarray, said: Message) -> np.ndarray:
        """Gradient in the scales of the patterns alone, given the message."""
        u = x[self.n_local :]
        log_sd = np.array([row.log_sd for row in self.model.priors[-N_PATTERNS:]])
        scales = self.model.pattern_scales(u)
        return pattern_gradient(self.model, said, self.nation, scales) * log_sd - u

    def slopes(self, x: np.ndarray) -> tuple[Message, np.ndarray, np.ndarray]:
        """The message, what each area adds to the slope in log scales, and the rest of it."""
        model, k = self.model, self.n_local
        scales, u = model.scales(x[:k]), model.pattern_scales(x[k:])
        again = passes(model, scales, self.areas)
        said = message(model, scales, among=again())
        each, rest = gradients(model, scales, said, self.nation, u, again())
        self.passes += len(each) / len(model.codes)
        return said, each, rest

    def standardised(self, slope: np.ndarray) -> np.ndarray:
        """Slopes (..., scale) in the standardised logarithms of those that are free."""
        log_sd = np.array([row.log_sd for row in self.model.priors])
        free = np.r_[self.model.learnt, log_sd.size - N_PATTERNS : log_sd.size]
        return slope[..., free] * log_sd[free]

    def with_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Density and its gradient."""
        said, each, rest = self.slopes(x)
        value = self.at(said, x[: self.n_local], x[self.n_local :])
        return value, self.standardised(each.sum(axis=0) + rest) - x


@dataclass(frozen=True)
class Mode:
    """Most probable scales.

    Attributes
    ----------
    x : ndarray (scale)
        Standardised logarithms, patterns last.
    spread : ndarray (scale, scale)
        Covariance by the curvature.
    model : AreaModel
        With factors of areas drawn at these scales.
    tau : float
        Standard deviation of their logarithm.
    others : Expected
        What the nation and all other areas expect of each.
    gradients : float
        Passes of all areas that it took.
    """

    x: np.ndarray
    spread: np.ndarray
    model: AreaModel
    tau: float
    others: Expected
    gradients: float


def mode(
    model: AreaModel,
    nation: Nation,
    start: np.ndarray | None = None,
    areas: np.ndarray | None = None,
) -> Mode:
    """Most probable scales, factors of areas integrated, and the curvature there.

    Scales at drawn factors and factors at these scales are found in turn, first on a part of the
    areas, which sum to zero among themselves. `areas` takes some of them for good, such as a half
    that is to predict the other.
    """
    every = np.arange(len(model.codes)) if areas is None else areas
    few = every[:: max(every.size // FIRST_LOOK, 1)]
    rng, k, looked = np.random.default_rng(0), model.learnt.size, 0.0
    x = np.zeros(k + N_PATTERNS) if start is None else start
    for turn in range(TURNS):
        look = Density(model, nation, few)
        found = minimize(
            _downhill, x, (look,), jac=True, method="L-BFGS-B",
            bounds=[(-FARTHEST, FARTHEST)] * x.size,
            options={"gtol": NEAR_MODE, "maxiter": LOOKS if turn else 2 * LOOKS},
        )  # fmt: skip
        looked += look.passes
        x, model = _centred(
            look,
            found.x,
            look.chances(found.x, look.expected(found.x)).drawn(rng.random(1 + len(model.codes))),
        )
    steps = STEP * np.clip(np.sqrt(np.diag(found.hess_inv.todense())), *STEPS)
    spread = inverse(_curvature(look, x, steps), every.size / few.size)
    for _ in range(ON_ALL):
        whole = Density(model, nation, areas)
        taken = whole.chances(x, whole.expected(x)).drawn(rng.random(1 + len(model.codes)))
        x, model = _centred(whole, x, taken)
        whole = Density(model, nation, areas)
        x, spread = _newton(whole, x, spread)
        looked += whole.passes
    curvature = _curvature(whole, x, STEP * np.clip(np.sqrt(np.diag(spread)), *STEPS))
    _, lacking, others = _over_factors(whole, x, whole.expected(x), rng)
    for _ in range(STEPS_TO_MODE):  # only factors drawn with the tilt give the slope of the density
        slope, more, others = _over_factors(whole, x, others, rng)
        lacking = 0.5 * (lacking + more)
        spread = _observed(curvature, lacking)
        x = np.clip(x + spread @ slope, -FARTHEST, FARTHEST)
        others = replace(whole.expected(x), tilt=others.tilt)
    return Mode(x, spread, model, taken.tau, others, looked)


def _centred(density: Density, x: np.ndarray, taken: Factors) -> tuple[np.ndarray, AreaModel]:
    """Scales of deviations that take over what factors have in common, and model with the rest.

    The data know the product only, so that in turn both would stay where they began (parameter
    expansion: Liu, Rubin and Wu 1998, Biometrika 85, 755-770).
    """
    model = density.model
    among = slice(None) if density.areas is None else density.areas
    shift, factor = np.log(taken.factor[among]).mean(), taken.factor.copy()
    factor[among] *= np.exp(-shift)
    rows = [model.priors[i] for i in model.learnt]
    more = [0.0 if row.name == NOISE else shift / row.log_sd for row in rows]
    x = np.r_[x[: len(more)] + more, x[len(more) :]]
    return np.clip(x, -FARTHEST, FARTHEST), replace(model, factor=factor)


def _over_factors(
    density: Density, x: np.ndarray, others: Expected, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, Expected]:
    """Mean of the slope over drawn factors, its variance, which areas add up to, and the tilt.

    The slope in log f_r is that in the logarithms of all scales but the noise of what r adds.
    """
    odds, found, off = density.chances(x, others), [], []
    noise = len(density.model.priors) - N_PATTERNS - 1
    half = rng.random((FACTORS_DRAWN // 2, 1 + len(density.model.codes)))
    for uniform in np.concatenate([half, 1 - half]):  # in pairs: the slope's noise cancels
        factor = odds.drawn(uniform).factor
        there = Density(replace(density.model, factor=factor), density.nation, density.areas)
        _, each, rest = there.slopes(x)
        found.append(density.standardised(np.concatenate([each, rest[None]])))
        off.append(each.sum(axis=1) - each[:, noise] - odds.slope(factor))
    apart = np.array(found) - np.mean(found, axis=0)
    variance = np.einsum("dri,drj->ij", apart, apart) / FACTORS_DRAWN
    tilt = others.tilt.copy()
    tilt[odds.areas] += np.mean(off, axis=0)
    return np.mean(found, axis=0).sum(axis=0) - x, variance, replace(others, tilt=tilt)


def _newton(density: Density, x: np.ndarray, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mode from nearby by steps of an inverse curvature that learns on the way (BFGS)."""
    value, slope = density.with_gradient(x)
    for _ in range(MOST_STEPS):
        step = inverse @ slope
        if step @ slope < NEAR_MODE**2 * STEP**2:
            break
        farther = np.clip(x + step, -FARTHEST, FARTHEST)
        new, there = density.with_gradient(farther)
        if new < value:  # curvature too small: half the step, and learn from it all the same
            inverse = 0.5 * inverse
            continue
        move, change = farther - x, slope - there
        if (along := move @ change) > 0:
            left = np.eye(x.size) - np.outer(move, change) / along
            inverse = left @ inverse @ left.T + np.outer(move, move) / along
        x, value, slope = farther, new, there
    return x, inverse


def _curvature(density: Density, x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Curvature of the density, factors held, by differences of gradients."""
    at, said, k = density.with_gradient(x)[1], density.said(x), density.n_local
    second = np.zeros((x.size, x.size))
    for i, e in enumerate(np.diag(steps)):
        if i < k:
            second[i] = (density.with_gradient(x + e)[1] - at) / steps[i]
            second[k:, i] = second[i, k:]
        else:
            second[i, k:] = (density.pattern_slope(x + e, said) - at[k:]) / steps[i]
    return -0.5 * (second + second.T)


def _observed(curvature: np.ndarray, lacking: np.ndarray) -> np.ndarray:
    """Covariance of the scales by curvature at held factors, less what it lacks (Louis)."""
    root = np.linalg.cholesky(inverse(curvature))
    values, vectors = np.linalg.eigh(root.T @ lacking @ root)
    back = root @ vectors
    return (back / (1 - np.clip(values, 0.0, MOST_LACKING))) @ back.T


def _downhill(x: np.ndarray, density: Density) -> tuple[float, np.ndarray]:
    value, slope = density.with_gradient(x)
    return -value, -slope


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
    with one_thread():
        scales = model.scales(local)
        uniform = np.random.default_rng(seed).random(1 + len(model.codes))
        taken = chances(model, scales, others).drawn(uniform)
        density = Density(replace(model, factor=taken.factor), nation)
        said = density.said(local)
        log = np.array([density.at(said, local, u) for u in patterns]) + taken.log_ratio
        return log, taken, said if keep else None
