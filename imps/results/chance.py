"""Is there anything to explain? Whether chance alone makes a gap of this size."""

from __future__ import annotations

import numpy as np

from imps.account.linear import LinearModel
from imps.intervals import Z99, ends

CHANCE = (
    "immigration_sampling",
    "emigration_sampling",
    "census_sampling",
    "register_cells",
    "period_conversion",
    "ages_and_sexes_of_flows",
    "date_change",
)
"""Sources that are random error or arithmetic: what a gap holds when nothing is wrong."""
LARGEST_BY_CHANCE = Z99
"""Standard errors (99 per cent) up to which chance alone explains a gap."""


def _by_chance(source: str) -> bool:
    """Whether a source is chance, that of a stream from a survey among them."""
    return source in CHANCE or source.endswith("_sampling")


def nothing_to_explain(model: LinearModel, latents: np.ndarray) -> bool:
    """Whether chance alone explains the gap, so that no source is to be blamed.

    Two things must hold. The gap, less what is known arithmetic, is within 2.58
    standard errors of sampling and conversion. And the 90 per cent interval of every
    source holds zero, and where the census was published by sex also the 99 per cent
    interval for each sex: opposite errors of the sexes may hide in a small total.

    Parameters
    ----------
    model : LinearModel
    latents : ndarray (draw, latent)
        Scaled posterior draws.
    """
    return gap_by_chance(model) <= LARGEST_BY_CHANCE and not _standing_out(model, latents)


def gap_by_chance(model: LinearModel) -> float:
    """Size of the gap in standard errors of chance, if no figure were biased.

    Sampling error, conversion and the move from census day stand with their priors,
    known arithmetic with its value; everything else is zero.
    """
    known, variance = 0.0, 0.0
    for part in model.contributions:
        if _by_chance(part.source) or not part.value.effects:
            mean, sd = model.prior_moments(part.prior.sum())
            known, variance = known + float(mean), variance + float(sd) ** 2
    return abs(model.sources.gap - known) / max(variance, 1.0) ** 0.5


def _standing_out(model: LinearModel, latents: np.ndarray) -> list[str]:
    """Sources whose interval leaves out zero: 90 per cent in total, 99 for each sex."""
    by_sex = model.sources.census.cells.by_sex
    found = []
    for part in model.contributions:
        if _by_chance(part.source) or not part.value.effects:
            continue
        sexes = model.evaluate(part.value.sum((1,)), latents)
        clear = [_leaves_out_zero(sexes.sum(axis=1), 0.90)]
        clear += [_leaves_out_zero(draws, 0.99) for draws in sexes.T if by_sex]
        if any(clear):
            found.append(part.source)
    return found


def _leaves_out_zero(draws: np.ndarray, prob: float) -> bool:
    lower, upper = ends(draws, prob)
    return bool(lower > 0 or upper < 0)
