"""Most probable scales of the areas: analytic gradient, curvature, and safe steps to the mode.

At drawn factors the slope is that of the density with factors integrated, but for noise (Fisher's
identity), and its variance over draws is what that density lacks in curvature (Louis's identity).
A step by that slope is taken where the mean over drawn factors of log p(y, f) / q(f), which is at
most the log density, is larger after it at the same random numbers; else half of it is tried.

References
----------
Celeux and Diebolt (1985), Computational Statistics Quarterly 2, 73-82 (scales and factors in turn).
Louis (1982), Journal of the Royal Statistical Society B 44, 226-233.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from imps.areas.bell import inverse
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
from imps.errors import ScalesNotFoundError

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
"""So often those of all areas are; and steps by slopes over drawn factors, at least."""
MOST_STEPS_TO_MODE = 16
"""Steps by these slopes at most."""
NEAR_BY = 1.0
"""Twice the gain that the last step may promise, by scale: so noisy are slopes of few draws."""
FARTHEST_STEP = 1.0
"""Prior standard deviations that a step moves a scale at most."""
DAMPING = 0.25
"""Least precision that shortens a step that would move one farther; doubled until it does not."""
HALVINGS = 6
"""So often a step that does not increase the density is halved."""
LOOKS = 12
"""Steps of each turn on some areas; twice as many of the first."""
FACTORS_DRAWN = 4
"""Draws of the factors over which a slope is averaged, in pairs."""
NEXT_STEP = (
    "Look at the areas whose census lies farthest from its roll-forward, or set scales that areas "
    "do not tell: `priors` with log_sd 0."
)
MOST_LACKING = 0.75
"""Share of a curvature at held factors that is taken off for the factors at most: few draws err."""


@contextmanager
def arithmetic(what: str) -> Iterator[None]:
    """Matrices that cannot be decomposed end in an error that says where."""
    try:
        yield
    except ValueError as error:  # of numpy and scipy: not positive definite, or not finite
        raise ScalesNotFoundError(f"{what}: {error}. {NEXT_STEP}") from error


class Density:
    """Log posterior density of all scales, (learnt scales, patterns), up to a constant.

    The factors of areas are those of the model.
    """

    def __init__(self, model: AreaModel, nation: Nation, areas: np.ndarray | None = None) -> None:
        self.model, self.nation, self.areas = model, nation, areas
        self.n_local, self.passes = model.learnt.size, 0.0
        self.n = self.n_local + N_PATTERNS

    def with_factors(self, taken: Factors) -> Density:
        """The same at other factors of areas."""
        return Density(replace(self.model, factor=taken.factor), self.nation, self.areas)

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


@arithmetic("the most probable scales of areas are not found")
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

    Raises
    ------
    ScalesNotFoundError
        If the search does not end at a mode.
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
    x, spread, others = _climbed(whole, x, spread, rng)
    return Mode(x, spread, model, taken.tau, others, looked)


def _climbed(
    density: Density, x: np.ndarray, spread: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, Expected]:
    """Mode of the density with factors integrated, covariance by its curvature, and the others.

    Only factors drawn with the tilt give its slope. The curvature at held factors is taken anew
    after a step that had to be shortened.

    Raises
    ------
    ScalesNotFoundError
        If the last step still promises more than noise.
    """
    held, short, others = density, True, density.expected(x)
    _, _, lacking, others = _over_factors(density, x, others, _in_pairs(density, rng))
    promised = np.inf
    for turn in range(MOST_STEPS_TO_MODE):
        if short:
            steps = STEP * np.clip(np.sqrt(np.diag(spread)), *STEPS)
            curvature = _curvature(held, x, steps)
        uniform = _in_pairs(density, rng)
        value, slope, more, tilted = _over_factors(density, x, others, uniform)
        lacking = 0.5 * (lacking + more)
        spread = _observed(curvature, lacking)
        promised = float(slope @ spread @ slope)
        step, short = _limited(spread, slope)
        x, halved, found = _uphill(density, x, step, value, others, uniform)
        others = replace(found, tilt=tilted.tilt)
        if turn + 1 >= STEPS_TO_MODE and promised < NEAR_BY * x.size:
            return x, spread, others
        if short := short or halved:
            held = density.with_factors(density.chances(x, others).drawn(uniform[0]))
    raise ScalesNotFoundError(
        f"the search for the scales of {len(density.model.codes)} areas has not ended after "
        f"{MOST_STEPS_TO_MODE} steps: the last one promises {promised / 2:.3g} in log density, at "
        f"most {NEAR_BY * x.size / 2:.3g} is allowed. {NEXT_STEP}"
    )


def _limited(spread: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, bool]:
    """The Newton step, damped until no scale goes farther than `FARTHEST_STEP`; whether it was."""
    step, damping = spread @ slope, DAMPING
    short = bool(np.abs(step).max() > FARTHEST_STEP)
    while np.abs(step).max() > FARTHEST_STEP:
        step = np.linalg.solve(np.linalg.inv(spread) + damping * np.eye(slope.size), slope)
        damping *= 2
    return step, short


def _uphill(
    density: Density,
    x: np.ndarray,
    step: np.ndarray,
    now: float,
    others: Expected,
    uniform: np.ndarray,
) -> tuple[np.ndarray, bool, Expected]:
    """Where a step leads, halved until the density is above `now`, whether it had to be, and what
    the others expect there.

    Where no part of it leads upward, x as it is.
    """
    for i in range(1 + HALVINGS):
        there = np.clip(x + 0.5**i * step, -FARTHEST, FARTHEST)
        try:
            found = replace(density.expected(there), tilt=others.tilt)
        except ValueError:  # no decomposition there
            continue
        if _average(density, there, found, uniform) > now:
            return there, i > 0, found
    return x, True, others


def _average(density: Density, x: np.ndarray, others: Expected, uniforms: np.ndarray) -> float:
    """Mean over drawn factors of log p(y, f) / q(f); minus infinity where there is no number."""
    try:
        odds, k, logs = density.chances(x, others), density.n_local, []
        for uniform in uniforms:
            taken = odds.drawn(uniform)
            there = density.with_factors(taken)
            logs.append(there.at(there.said(x), x[:k], x[k:]) + taken.log_ratio)
    except ValueError:  # no decomposition there
        return -np.inf
    value = float(np.mean(logs))
    return value if np.isfinite(value) else -np.inf


def _in_pairs(density: Density, rng: np.random.Generator) -> np.ndarray:
    """Uniform numbers of drawn factors, in pairs, by which the noise of a slope cancels."""
    half = rng.random((FACTORS_DRAWN // 2, 1 + len(density.model.codes)))
    return np.concatenate([half, 1 - half])


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
    density: Density, x: np.ndarray, others: Expected, uniforms: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray, Expected]:
    """Means of log p(y, f) / q(f) and slope over drawn factors, variance of the slope, the tilt.

    The slope in log f_r is that in the logarithms of all scales but the noise of what r adds.
    """
    odds, logs, found, off = density.chances(x, others), [], [], []
    noise, k = len(density.model.priors) - N_PATTERNS - 1, density.n_local
    for uniform in uniforms:
        taken = odds.drawn(uniform)
        there = density.with_factors(taken)
        said, each, rest = there.slopes(x)
        logs.append(there.at(said, x[:k], x[k:]) + taken.log_ratio)
        found.append(density.standardised(np.concatenate([each, rest[None]])))
        off.append(each.sum(axis=1) - each[:, noise] - odds.slope(taken.factor))
    apart = np.array(found) - np.mean(found, axis=0)
    variance = np.einsum("dri,drj->ij", apart, apart) / FACTORS_DRAWN
    tilt = others.tilt.copy()
    tilt[odds.areas] += np.mean(off, axis=0)
    slope = np.mean(found, axis=0).sum(axis=0) - x
    return float(np.mean(logs)), slope, variance, replace(others, tilt=tilt)


def _newton(density: Density, x: np.ndarray, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mode from nearby by steps of an inverse curvature that learns on the way (BFGS)."""
    value, slope = density.with_gradient(x)
    for _ in range(MOST_STEPS):
        step = inverse @ slope
        if step @ slope < NEAR_MODE**2 * STEP**2:
            break
        farther = np.clip(x + step, -FARTHEST, FARTHEST)
        new, there = density.with_gradient(farther)
        if not new >= value:  # curvature too small: half the step, and learn from it all the same
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
    spread = (back / (1 - np.clip(values, 0.0, MOST_LACKING))) @ back.T
    return inverse(np.linalg.inv(spread))


def _downhill(x: np.ndarray, density: Density) -> tuple[float, np.ndarray]:
    value, slope = density.with_gradient(x)
    return -value, -slope
