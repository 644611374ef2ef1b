"""Likelihood of published survey cells, for many contacts and for few.

A cell with hundreds of contacts has a normal estimate. A cell with four contacts, or none,
has not: the normal form then gives mass to negative flows and, with an error estimated from
those four, far too little to large ones. Below 20 contacts the contacts themselves are
the datum.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from imps.errors import SourceError
from imps.survey.published import refuse_negative, refuse_not_positive

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
