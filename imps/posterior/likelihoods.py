"""Likelihoods of published rows: normal, Student-t, and counts of contacts.

A cell with hundreds of contacts has a normal estimate. A cell with four contacts, or none,
has not: the normal form then gives mass to negative flows and, with an error estimated from
those four, far too little to large ones. Below 20 contacts the contacts themselves are
the datum. Log-densities of draws are here too: of the data by source, of the priors by block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from imps.account.linear import LinearModel
from imps.account.variant import Variant
from imps.errors import PriorError, SourceError, some
from imps.names import AGE_GROUP, SEXES
from imps.sources import TOTAL, SurveyFlow
from imps.survey.published import pooled_design_effect, refuse_negative, refuse_not_positive

FEW_CONTACTS = 20
"""Below this the contact form of the likelihood is used: with 20 contacts the skewness
of a Poisson count is 0.22, and the chance that the normal form gives to negative flows
is no longer negligible once a design effect of 3 is allowed for."""


def contact_log_likelihood(
    contacts: ArrayLike,
    expected: ArrayLike,
    *,
    grossing_weight: ArrayLike,
    design_effect: ArrayLike,
    family: Literal["poisson", "negative_binomial"] = "negative_binomial",
) -> NDArray[np.float64]:
    """Log-likelihood of an expected flow, from the number of contacts in the cell.

    For cells with few contacts, zero included, where the estimate is not normal.

    Parameters
    ----------
    contacts : array, interviews
    expected : array, persons (> 0)
    grossing_weight : array, persons per contact (> 0)
    design_effect : array (>= 1)
        Of the published estimate; the contacts are taken to vary that much more than
        a Poisson count, so that the information equals that of the normal form.
    family : 'negative_binomial' or 'poisson'
        'poisson' takes contacts / design effect as a Poisson count (a quasi-likelihood);
        'negative_binomial' is a distribution of the contacts themselves.

    Notes
    -----
    mu = expected / grossing weight, d the design effect. Poisson: n/d with mean mu/d.
    Negative binomial: mean mu, variance d mu, that is size mu / (d - 1) and success
    probability 1 / d; d = 1 is the Poisson limit of both.

    References
    ----------
    Chen, Wakefield and Lumley (2014), The use of sampling weights in Bayesian
    hierarchical models for small area estimation (effective counts).
    """
    n = np.asarray(contacts, dtype=float)
    mu = np.asarray(expected, dtype=float) / np.asarray(grossing_weight, dtype=float)
    d = np.asarray(design_effect, dtype=float)
    refuse_negative(n, "contacts")
    refuse_not_positive(mu, "expected / grossing_weight")
    if (d < 1).any():
        raise SourceError(
            f"design_effect: {(d < 1).sum()} below 1 (lowest {d.min():.3g}); contacts cannot "
            "vary less than a count. Use 1 for simple sampling."
        )
    if family == "poisson":
        return _poisson(n / d, mu / d)
    if family == "negative_binomial":
        return np.where(d == 1, _poisson(n, mu), _negative_binomial(n, mu, np.maximum(d, 1 + 1e-9)))
    raise SourceError(f"family '{family}': allowed are 'poisson' and 'negative_binomial'.")


def _poisson(n: NDArray, mu: NDArray) -> NDArray[np.float64]:
    return n * np.log(mu) - mu - gammaln(n + 1)


def _negative_binomial(n: NDArray, mu: NDArray, d: NDArray) -> NDArray[np.float64]:
    size = mu / (d - 1)
    counted = gammaln(n + size) - gammaln(size) - gammaln(n + 1)
    return counted - size * np.log(d) + n * np.log1p(-1 / d)


STUDENT_T_DEGREES = 4.0
"""Degrees of freedom of the robust likelihood: heavy tails with a finite variance."""
LEAST_DESIGN_EFFECT = 1.001
"""A negative binomial needs more variance than a Poisson count; 1 is its limit."""
PUBLISHED = "published"
"""The rows in a PyMC model; parts that are not normal have a word more in their names."""
BEND = 0.1
"""Contacts over which the mean of a count bends away from zero: 3 contacts stay 3, an
impossible mean of -1 becomes 0.000005."""


def contact_rows(linear: LinearModel) -> dict[str, np.ndarray]:
    """Survey cells with under 20 contacts, as counts.

    Returns
    -------
    dict of ndarray
        `row` (index), `contacts`, `grossing_weight` (persons per contact of the
        year and flow) and `design_effect` (pooled over the cells of the year and flow).

    Raises
    ------
    SourceError
        If no cell is that small, or if contacts are not whole numbers.

    Notes
    -----
    contacts ~ NegativeBinomial(mean mu, variance deff mu), mu = expected published flow /
    grossing weight. The expected flow is linear and could be negative where a latent
    variable is far out, so mu passes a softplus that bends over a tenth of a
    contact: positive always, unchanged above one contact.

    References
    ----------
    Chen, Wakefield and Lumley (2014), The use of sampling weights in Bayesian
    hierarchical models for small area estimation (effective counts).
    """
    place = {label: i for i, label in enumerate(linear.row_labels)}
    found: dict[str, list[float]] = {
        "row": [], "contacts": [], "grossing_weight": [], "design_effect": []
    }  # fmt: skip
    for survey in linear.sources.survey_flows.values():
        if survey.observed == TOTAL:
            continue
        for y, year in enumerate(survey.years):
            weight, effect = _weight_and_effect(survey, y)
            labels = [
                f"{survey.name} {year} {sex} {group}"
                for sex in SEXES
                for group in survey.estimate[AGE_GROUP].values
            ]
            for label, n in zip(labels, survey.contacts.values[y].ravel(), strict=True):
                if label in place and n < FEW_CONTACTS:
                    for key, x in zip(found, (place[label], n, weight, effect), strict=True):
                        found[key].append(x)
    rows = {key: np.array(values) for key, values in found.items()}
    _check_counts(linear, rows)
    return {**rows, "row": rows["row"].astype(int)}


def special_rows(linear: LinearModel, variant: Variant) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Whether each row is Student-t, and the rows that are counts; see :func:`contact_rows`."""
    counts = contact_rows(linear) if variant.likelihood == "contacts" else {}
    return _robust_rows(linear, variant), counts


def _robust_rows(linear: LinearModel, variant: Variant) -> np.ndarray:
    names = variant.student_t
    unknown = [name for name in names if name not in linear.row_sources]
    if unknown:
        raise PriorError(
            f"student_t: no rows of the likelihood come from {some(unknown)}. Known: "
            f"{', '.join(dict.fromkeys(linear.row_sources))}."
        )
    everything = variant.likelihood == "student_t"
    return np.array([everything or s in names for s in linear.row_sources], dtype=bool)


def add_likelihood(
    linear: LinearModel,
    mean: Any,
    observed: Any,
    robust: np.ndarray,
    counts: Mapping[str, np.ndarray],
) -> None:
    """Likelihood of every row: counts where contacts are few, else Student-t or normal."""
    import pymc as pm
    import pytensor.tensor as pt

    se, rest = linear.standard_error, np.ones(robust.size, dtype=bool)
    if counts:
        rest[counts["row"]] = False
        raw = mean[counts["row"]] / counts["grossing_weight"]
        expected = BEND * pt.softplus(raw / BEND)
        pm.CustomDist(
            f"{PUBLISHED}_contacts",
            expected,
            counts["design_effect"],
            logp=_log_density_of_contacts,
            random=_random_contacts,
            dtype="int64",
            observed=counts["contacts"].astype(int),
            dims=_row_dim(linear, "contacts", counts["row"]),
        )
    normal, heavy = np.flatnonzero(rest & ~robust), np.flatnonzero(rest & robust)
    if normal.size == robust.size:
        pm.Normal(PUBLISHED, mean, se, observed=observed, dims="row")
    elif normal.size:
        dim = _row_dim(linear, "normal", normal)
        pm.Normal(PUBLISHED, mean[normal], se[normal], observed=observed[normal], dims=dim)
    if heavy.size:
        whole = heavy.size == robust.size
        sigma = se[heavy] * np.sqrt((STUDENT_T_DEGREES - 2) / STUDENT_T_DEGREES)
        pm.StudentT(
            PUBLISHED if whole else f"{PUBLISHED}_robust",
            nu=STUDENT_T_DEGREES,
            mu=mean if whole else mean[heavy],
            sigma=sigma,
            observed=observed if whole else observed[heavy],
            dims="row" if whole else _row_dim(linear, "robust", heavy),
        )


def _row_dim(linear: LinearModel, kind: str, rows: np.ndarray) -> str:
    """Name of a dim for a part of the rows, which is put into the model at hand."""
    import pymc as pm

    dim = f"row_{kind}"
    pm.modelcontext(None).add_coord(dim, [linear.row_labels[i] for i in rows])
    return dim


def _log_density_of_contacts(n: Any, mu: Any, effect: Any) -> Any:
    """Negative binomial with mean mu and variance effect x mu; no logarithm of mu is needed."""
    import pytensor.tensor as pt

    size = mu / (effect - 1)
    counted = pt.gammaln(n + size) - pt.gammaln(size) - pt.gammaln(n + 1)
    return counted - size * pt.log(effect) + n * pt.log1p(-1 / effect)


def _random_contacts(
    mu: np.ndarray, effect: np.ndarray, rng: np.random.Generator, size: Any
) -> np.ndarray:
    return rng.negative_binomial(mu / (effect - 1), 1 / effect, size=size)


def _weight_and_effect(survey: SurveyFlow, y: int) -> tuple[float, float]:
    """Grossing weight and design effect of one year of a survey flow."""
    estimate, contacts = survey.estimate.values[y], survey.contacts.values[y]
    effect = pooled_design_effect(estimate, survey.standard_error.values[y], contacts)
    return estimate.sum() / contacts.sum(), max(effect, LEAST_DESIGN_EFFECT)


def _check_counts(linear: LinearModel, rows: Mapping[str, np.ndarray]) -> None:
    if not rows["row"].size:
        raise SourceError(
            f"likelihood='contacts': no survey cell has under {FEW_CONTACTS} contacts, so it would "
            "change nothing. Take likelihood='normal'."
        )
    broken = np.flatnonzero(rows["contacts"] != np.rint(rows["contacts"]))
    if broken.size:
        labels = [linear.row_labels[int(rows["row"][i])] for i in broken]
        raise SourceError(
            f"likelihood='contacts': {broken.size} cells have contacts that are not whole numbers "
            f"({some(labels)}): they were shared out, not counted. Take likelihood='normal'."
        )


DRAWS_AT_A_TIME = 1000


def by_source(linear: LinearModel, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Sums (draw) over the rows of each source of values (draw, row)."""
    sources = np.array(linear.row_sources)
    return {name: rows[:, sources == name].sum(axis=1) for name in dict.fromkeys(sources.tolist())}


def log_likelihood_by_row(
    linear: LinearModel, log_scale: np.ndarray, latent: np.ndarray, variant: Variant
) -> np.ndarray:
    """Log-likelihood of each row, (draw, row).

    Parameters
    ----------
    linear : LinearModel
    log_scale, latent : ndarray (draw, scale), (draw, latent)
        Standardised, as sampled.
    variant : Variant
        Terms that the user added are not the likelihood of a source and are left out.
    """
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
