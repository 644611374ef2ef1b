"""Log-densities of draws: of the data by source, of the priors by block."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from imps.account.linear import LinearModel
from imps.posterior.contacts import contact_log_likelihood
from imps.posterior.likelihoods import BEND, STUDENT_T_DEGREES, special_rows
from imps.posterior.variant import Variant

DRAWS_AT_A_TIME = 1000


def log_likelihood_by_source(
    linear: LinearModel, log_scale: np.ndarray, latent: np.ndarray, variant: Variant
) -> dict[str, np.ndarray]:
    """Log-likelihood of the rows of each source, (draw).

    Parameters
    ----------
    linear : LinearModel
    log_scale, latent : ndarray (draw, scale), (draw, latent)
        Standardised, as sampled.
    variant : Variant
        Terms that the user added are not
        the likelihood of a source and are left out.
    """
    robust, counts = special_rows(linear, variant)
    sources = np.array(linear.row_sources)
    out: dict[str, list[np.ndarray]] = {name: [] for name in dict.fromkeys(linear.row_sources)}
    for start in range(0, latent.shape[0], DRAWS_AT_A_TIME):
        some = slice(start, start + DRAWS_AT_A_TIME)
        mean = linear.expected(linear.scale_factors(log_scale[some]) * latent[some])
        rows = _by_row(linear, mean, robust, counts)
        for name in out:
            out[name].append(rows[:, sources == name].sum(axis=1))
    return {name: np.concatenate(parts) for name, parts in out.items()}


def log_prior_by_block(
    linear: LinearModel, log_scale: np.ndarray, latent: np.ndarray
) -> dict[str, np.ndarray]:
    """Log prior density of each block of latent variables and of each scale, (draw).

    In the standardised variables, which are all standard normal.
    """
    starts = np.cumsum(list(linear.sizes.values()))[:-1]
    blocks = dict(zip(linear.sizes, np.split(latent, starts, axis=1), strict=True))
    out = {name: stats.norm.logpdf(z).sum(axis=1) for name, z in blocks.items()}
    for i, name in enumerate(linear.scale_names):
        out[f"log_scale[{name}]"] = stats.norm.logpdf(log_scale[:, i])
    return out


def _by_row(
    linear: LinearModel, mean: np.ndarray, robust: np.ndarray, counts: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Log-likelihood of each row, (draw, row), at expected values (draw, row)."""
    se = np.where(
        robust,
        linear.standard_error * np.sqrt((STUDENT_T_DEGREES - 2) / STUDENT_T_DEGREES),
        linear.standard_error,
    )
    error = (linear.observed - mean) / se
    rows = stats.norm.logpdf(error) - np.log(se)
    if robust.any():
        heavy = stats.t.logpdf(error[:, robust], STUDENT_T_DEGREES)
        rows[:, robust] = heavy - np.log(se[robust])
    if counts:
        weight = counts["grossing_weight"]
        bent = BEND * np.logaddexp(0.0, mean[:, counts["row"]] / weight / BEND)
        rows[:, counts["row"]] = contact_log_likelihood(
            counts["contacts"], bent, grossing_weight=1.0, design_effect=counts["design_effect"]
        )
    return rows
