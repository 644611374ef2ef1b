"""Log-densities of draws: of the data by source, of the priors by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from imps.account.linear import LinearModel
from imps.account.variant import Variant
from imps.posterior.likelihoods import BEND, STUDENT_T_DEGREES, contact_log_likelihood, special_rows

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
    return by_source(linear, log_likelihood_by_row(linear, log_scale, latent, variant))


def by_source(linear: LinearModel, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Sums (draw) over the rows of each source of values (draw, row)."""
    sources = np.array(linear.row_sources)
    return {name: rows[:, sources == name].sum(axis=1) for name in dict.fromkeys(sources.tolist())}


def log_likelihood_by_row(
    linear: LinearModel, log_scale: np.ndarray, latent: np.ndarray, variant: Variant
) -> np.ndarray:
    """Log-likelihood of each row, (draw, row); see :func:`log_likelihood_by_source`."""
    robust, counts = special_rows(linear, variant)
    return np.concatenate(
        [_by_row(linear, mean, robust, counts) for mean in _expected(linear, log_scale, latent)]
    )


def replicated_rows(
    linear: LinearModel,
    log_scale: np.ndarray,
    latent: np.ndarray,
    variant: Variant,
    rng: np.random.Generator,
) -> np.ndarray:
    """Figures that would be published anew, (draw, row), persons: expected value plus error."""
    robust, counts = special_rows(linear, variant)
    spread = _spread(linear, robust)
    parts = []
    for mean in _expected(linear, log_scale, latent):
        error = rng.standard_normal(mean.shape)
        error[:, robust] = rng.standard_t(STUDENT_T_DEGREES, (len(mean), int(robust.sum())))
        rows = mean + spread * error
        if counts:
            weight, effect = counts["grossing_weight"], counts["design_effect"]
            size = _bent(mean[:, counts["row"]] / weight) / (effect - 1)
            rows[:, counts["row"]] = weight * rng.negative_binomial(size, 1 / effect)
        parts.append(rows)
    return np.concatenate(parts)


def _expected(
    linear: LinearModel, log_scale: np.ndarray, latent: np.ndarray
) -> Iterator[np.ndarray]:
    """Expected values (draw, row) of the rows, some draws at a time."""
    for start in range(0, latent.shape[0], DRAWS_AT_A_TIME):
        some = slice(start, start + DRAWS_AT_A_TIME)
        yield linear.expected(linear.scale_factors(log_scale[some]) * latent[some])


def log_prior_by_block(
    linear: LinearModel, log_scale: np.ndarray, latent: np.ndarray
) -> dict[str, np.ndarray]:
    """Log prior density of each block of latent variables and of each scale, (draw).

    In the standardised variables, which are all standard normal.
    """
    starts = np.cumsum(list(linear.sizes.values()))[:-1]
    blocks = dict(zip(linear.sizes, np.split(latent, starts, axis=1), strict=True))
    out = {name: _normal(z).sum(axis=1) for name, z in blocks.items()}
    for i, name in enumerate(linear.scale_names):
        out[f"log_scale[{name}]"] = _normal(log_scale[:, i])
    return out


def _normal(z: np.ndarray) -> np.ndarray:
    """Log-density of the standard normal; SciPy's checks of its arguments take longer than it."""
    return -0.5 * z**2 - 0.5 * np.log(2 * np.pi)


def _by_row(
    linear: LinearModel, mean: np.ndarray, robust: np.ndarray, counts: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Log-likelihood of each row, (draw, row), at expected values (draw, row)."""
    se = _spread(linear, robust)
    error = (linear.observed - mean) / se
    rows = _normal(error) - np.log(se)
    if robust.any():
        from scipy import stats

        heavy = stats.t.logpdf(error[:, robust], STUDENT_T_DEGREES)
        rows[:, robust] = heavy - np.log(se[robust])
    if counts:
        bent = _bent(mean[:, counts["row"]] / counts["grossing_weight"])
        rows[:, counts["row"]] = contact_log_likelihood(
            counts["contacts"], bent, grossing_weight=1.0, design_effect=counts["design_effect"]
        )
    return rows


def _spread(linear: LinearModel, robust: np.ndarray) -> np.ndarray:
    """Scale of the error of each row, (row), persons: of Student-t rows under their sd."""
    heavy = np.sqrt((STUDENT_T_DEGREES - 2) / STUDENT_T_DEGREES)
    return np.where(robust, linear.standard_error * heavy, linear.standard_error)


def _bent(contacts: np.ndarray) -> np.ndarray:
    """Expected contacts, bent away from zero."""
    return BEND * np.logaddexp(0.0, contacts / BEND)
