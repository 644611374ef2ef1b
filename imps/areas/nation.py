"""The gap of the nation by the sources that areas have: every national source has one home.

    immigration   published minus true of that flow, whole (bias, sampling, conversion, ages and
                  sexes), and the parts and streams that add to the population
    emigration    all other migration
    base, census  the groups of these names
    remainder     births, deaths, residual, revisions, date, other changes

They sum to the gap in every cell and draw, because the contributions do.
"""

from __future__ import annotations

import numpy as np

from imps.account.latents import Affine, zero
from imps.account.linear import LinearModel
from imps.areas.priors import BASE, CENSUS, REMAINDER
from imps.areas.sizes import Cells
from imps.demography.accounting import along_cohorts
from imps.names import EMIGRATION, FLOW_SIGN, IMMIGRATION

NATIONAL = (BASE, IMMIGRATION, EMIGRATION, CENSUS, REMAINDER)
"""Homes of the national sources, in order."""
MIGRATION = "migration"
BOTH_WAYS = ("ages_and_sexes_of_flows", "period_conversion")
"""Sources of which each direction has a part; half of their prior is put to each."""


def national_sources(model: LinearModel) -> dict[str, Affine]:
    """What the gap owes to each home, (sex, age), persons."""
    account = model.account
    groups = {BASE: zero(account.base_error.shape), CENSUS: zero(account.base_error.shape)}
    migration = rest = zero(account.base_error.shape)
    for part in model.contributions:
        if part.group in groups:
            groups[part.group] = groups[part.group] + part.value
        elif part.group == MIGRATION:
            migration = migration + part.value
        else:
            rest = rest + part.value
    arrived = zero(account.base_error.shape)
    if IMMIGRATION in account.flows:
        flow = account.flows[IMMIGRATION]
        error = FLOW_SIGN[IMMIGRATION] * (flow.published - flow.true[:, :, flow.inner])
        arrived = arrived + error.map(along_cohorts)
    for carried in account.carried:
        if carried.migration and carried.published.sum() > 0:
            arrived = arrived + carried.error.map(along_cohorts)
    return {
        BASE: groups[BASE],
        IMMIGRATION: arrived,
        EMIGRATION: migration - arrived,
        CENSUS: groups[CENSUS],
        REMAINDER: rest,
    }


def national_draws(model: LinearModel, latents: np.ndarray, cells: Cells) -> np.ndarray:
    """Draws of each home by cell, (draw, home, cell), persons."""
    parts = national_sources(model).values()
    return np.stack([cells.group(model.evaluate(part, latents)) for part in parts], axis=1)


def prior_covariances(model: LinearModel, cells: Cells) -> np.ndarray:
    """Prior covariance of each home by cell, scales integrated, (home, cell, cell)."""
    out = np.zeros((len(NATIONAL), cells.n_cells, cells.n_cells))
    log_sd = model.log_sd
    scales = model.account.latents.scales
    for part in model.contributions:
        homes = _homes(part.source, part.group, model)
        for block, effect in part.prior.effects.items():
            scale = scales.get(block)
            square = 1.0 if scale is None else model.priors[scale].sd ** 2 * np.exp(2 * log_sd**2)
            f = cells.group(np.moveaxis(effect, -1, 0))
            for home, share in homes:
                out[NATIONAL.index(home)] += share * square * f.T @ f
    return out


def _homes(source: str, group: str, model: LinearModel) -> list[tuple[str, float]]:
    """Where the prior of a source is put, and how much of it."""
    if group in (BASE, CENSUS):
        return [(group, 1.0)]
    if group != MIGRATION:
        return [(REMAINDER, 1.0)]
    if source in BOTH_WAYS:
        return [(IMMIGRATION, 0.5), (EMIGRATION, 0.5)]
    arrives = source.startswith(IMMIGRATION) or any(
        c.migration and c.published.sum() > 0 and source in c.errors for c in model.account.carried
    )
    return [(IMMIGRATION if arrives else EMIGRATION, 1.0)]
