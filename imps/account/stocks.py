"""Errors of the base, of the census and of registration, and the residual."""

from __future__ import annotations

import numpy as np

from imps.account.affine import Affine
from imps.account.latents import Latents, Resolution, correlated, each_sex
from imps.demography.accounting import carry
from imps.demography.schedules import smooth_shapes, young_adults
from imps.names import SEX, YEAR
from imps.sources import Sources

COVERAGE = "census_coverage"
"""Source of the gap that the error of the census is."""


def stock_error(latents: Latents, name: str, count: np.ndarray, fine: Resolution) -> Affine:
    """Relative error of a stock: level, young adults of each sex, smooth over age."""
    source = COVERAGE if name == "census" else name
    mean, level = latents.prior(f"{name}_level", name)
    young = latents.spread(f"{name}_young", name)
    shapes = smooth_shapes(count.shape[1], fine.stock_shapes, young=5.0, old=12.0)
    bell = young_adults(count.shape[1])
    error = Affine(mean * count, {})
    effects = {
        f"{name}_level": level * count[..., None],
        f"{name}_young": each_sex(young * (count * bell)[..., None]),
    }
    for block, effect in effects.items():
        error = error + latents.field(block, effect, source=source, prior=block)
    smooth = each_sex(count[..., None] * shapes)
    return error + latents.field(f"{name}_age", smooth, scale=f"{name}_age", source=source)


def missed_twice(latents: Latents, undercount: Affine) -> Affine:
    """Undercount of the census correlated with that behind the base, as far as asked.

    With correlation c the standardised errors of level and of young adults are
    sqrt(1 - c^2) z_census - c z_base: who was missed at the start makes the base
    too low, which is a negative error of the base.
    """
    correlation, _ = latents.prior("census_correlation", "census")
    if correlation == 0:
        return undercount
    shared = {f"census_{part}": f"base_{part}" for part in ("level", "young")}
    return correlated(undercount, -correlation, shared)


def registered_births(sources: Sources) -> np.ndarray:
    """Registered births standing at age 0, (sex, age, interval), persons per year."""
    count = sources.births.count.transpose(SEX, YEAR).values
    out = np.zeros((count.shape[0], sources.ages.size, count.shape[1]))
    out[:, 0] = count
    return out


def registered_deaths(sources: Sources) -> np.ndarray:
    """Registered deaths by age reached, (sex, age, interval), persons per year."""
    return sources.deaths.count.transpose(SEX, "age", YEAR).values


def registration_error(latents: Latents, name: str, count: np.ndarray) -> Affine:
    mean, sd = latents.prior(name, name)
    return Affine(mean * count, {}) + latents.field(
        name, sd * count[..., None], source=name, prior=name
    )


def residual(latents: Latents, sources: Sources, fine: Resolution) -> Affine:
    """What no source explains: smooth over age at the end, relative to the base carried on."""
    carried = carry(sources.base.count.values, len(sources.years))
    reference = np.maximum(carried, carried.sum() / carried.size / 50)
    shapes = smooth_shapes(carried.shape[1], fine.stock_shapes, young=5.0, old=12.0)
    smooth = each_sex(reference[..., None] * shapes)
    return latents.field("residual", smooth, scale="residual", source="residual")
