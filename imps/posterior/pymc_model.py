"""The same account as one PyMC model of four nodes, and its variants that are not Gaussian.

    log_scale ~ Normal(0, 1)       h, one for each unknown scale
    latent    ~ Normal(0, 1)       z, all errors of all sources
    mean      = y0 + A (s(h) z)    one sparse linear map, persons
    published ~ Normal(mean, se)   every row of every source

It is the check of the exact way (:mod:`imps.posterior.exact`). Four options leave the normal
model, each where the normal form is known to be wrong; all are sampled by NUTS:

* ``likelihood="contacts"``: survey cells with under 20 contacts are counts, not normal.
* ``student_t=("census",)``, ``likelihood="student_t"``: single cells of a source may be wrong.
* ``flows="log"``: flows of small populations cannot be negative.
* ``switchers="beta"``: a share of people who switched lies between 0 and 1.

Write your own variant by adding to the model that is returned: it is an ordinary
`pm.Model`, and :func:`imps.fit` samples whatever it has become. Anything that depends on
`log_scale` and `latent` may enter, and `quantity` turns any quantity of the account
into a tensor of persons. Here another country's figures put net migration over the
whole decade at 1.0 million, give or take 0.1:

    model = imps.build_model(sources)
    net = imps.posterior.pymc_model.quantity(model, model.linear.account.net_migration.sum())
    with model:
        pm.Potential("mirror", pm.logp(pm.Normal.dist(1.0e6, 0.1e6), net))
    fit = imps.fit(model, seed=1)            # NUTS, because the model was changed
    imps.attribute(fit)                      # still sums to the gap in every draw

Free variables of your own are kept in ``fit.extras["own_variables"]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from imps.account.latents import Affine, Resolution
from imps.account.linear import LinearModel, linear_model
from imps.account.priors import Priors, default_priors
from imps.account.variant import Curve, Form, Variant
from imps.errors import PriorError
from imps.posterior.as_built import account_model, as_built, mark
from imps.posterior.likelihoods import add_likelihood, special_rows
from imps.sources import Sources

if TYPE_CHECKING:
    import pymc as pm

DATA_NAME = "observed"
ACCOUNT_DIMS: dict[str, Callable[[LinearModel], list[str]]] = {
    "scale": lambda linear: list(linear.scale_names),
    "latent_name": lambda linear: linear.latent_names,
    "row": lambda linear: list(linear.row_labels),
}
"""Labels of the dims of a model."""


def build_model(
    sources: Sources | LinearModel,
    priors: Priors | None = None,
    *,
    resolution: Resolution | None = None,
    likelihood: str = "normal",
    student_t: Sequence[str] = (),
    flows: str = "linear",
    switchers: str = "normal",
    switcher_shares: Mapping[str, float] | None = None,
) -> pm.Model:
    """Write the account down as a PyMC model; nothing is sampled.

    Parameters
    ----------
    sources : Sources or LinearModel
        A model of :func:`imps.chain` or :func:`imps.linear_model` is taken as it was written
        down: priors, resolution, flows and switchers are in it.
    priors : Priors, optional
        Table of priors; the default one unless told.
    resolution : Resolution, optional
        Number of smooth shapes over age; chosen from the detail of the sources
        unless told.
    likelihood : {"normal", "student_t", "contacts"}
        "student_t": all rows of all sources have heavy tails. "contacts": survey
        cells with under 20 contacts are negative binomial counts of contacts, because
        a cell of four interviews has no normal estimate and its standard error is
        itself unknown; see
        :func:`imps.posterior.likelihoods.contact_rows`.
    student_t : sequence of str
        Sources whose rows are Student-t with 4 degrees of freedom and the variance of
        their standard errors, so that single wrong cells do not move the account:
        "immigration", "emigration", "census" or the name of a source of your own.
    flows : {"linear", "log"}
        "log": true flow = m exp(d) with d the deviation that is linear otherwise, for
        small populations, where m (1 + d) would be negative in many draws. m is then
        the prior median; the mean is higher by exp(var(d) / 2), 13 per cent at the
        default priors of the level.
    switchers : {"normal", "beta"}
        "beta": true switchers = published x true share / published share, the true
        share Beta with the mean and standard deviation of the table of priors. A
        normal error of 35 per cent makes one figure in 500 negative and has no tail
        to the right.
    switcher_shares : mapping, optional
        Published share of those asked who switched, in (0, 1), by source:
        {"visitor_switchers": ..., "migrant_switchers": ...}; needed for "beta".

    Returns
    -------
    pm.Model
        With free variables `log_scale` and `latent`, data `observed` (can be
        exchanged without compiling again) and likelihood `published`; Student-t rows
        beside others are `published_robust`, counts, whose data are fixed, are
        `published_contacts`. Its
        attribute `linear` is the :class:`imps.account.linear.LinearModel` behind it.

    Raises
    ------
    PriorError
        If a source has no prior, a prior belongs to no source, or an option fits nothing.
    TypeError
        If it is given neither sources nor a model.
    """
    of = Variant(likelihood, student_t, flows, switchers, switcher_shares or {})
    if isinstance(sources, Sources):
        sources = linear_model(sources, priors or default_priors(), resolution, form=of.form)
    elif not isinstance(sources, LinearModel):
        raise TypeError(f"build_model() needs Sources or a model, got {type(sources).__name__}.")
    elif priors is not None or resolution is not None or of.form != Form():
        raise PriorError(
            "build_model() got a model that was written down already, and options of another: "
            "priors, resolution, flows or switchers. Give the sources, or the model alone."
        )
    return pymc_model(sources, likelihood=likelihood, student_t=student_t)


def pymc_model(
    linear: LinearModel, *, likelihood: str = "normal", student_t: Sequence[str] = ()
) -> pm.Model:
    """PyMC model of matrices that are already there; see :func:`build_model`."""
    import pymc as pm

    form = vars(linear.account.form)
    of = Variant(likelihood=likelihood, student_t=student_t, **form)
    robust, counts = special_rows(linear, of)
    coords = {dim: labels(linear) for dim, labels in ACCOUNT_DIMS.items()}
    with account_model()(coords=coords) as model:
        observed = pm.Data(DATA_NAME, linear.observed, dims="row")
        log_scale = pm.Normal("log_scale", 0.0, 1.0, dims="scale")
        latent = pm.Normal("latent", 0.0, 1.0, dims="latent_name")
        mean = _expected(linear, _scaled(linear, log_scale, latent))
        add_likelihood(linear, mean, observed, robust, counts)
    mark(model, linear, of, not (robust.any() or counts or linear.curves))
    return model


def quantity(model: pm.Model, of: Affine) -> Any:
    """A quantity of the account, persons, as a tensor of the model's free variables.

    Parameters
    ----------
    model : pm.Model
        From :func:`build_model`.
    of : Affine
        Such as ``model.linear.account.population(2001)`` or one of
        ``model.linear.reported``; best a total, for large arrays make slow models.
    """
    linear = as_built(model).linear
    w = _scaled(linear, model["log_scale"], model["latent"])
    return _tensor(linear, of, w)


def _scaled(linear: LinearModel, log_scale: Any, latent: Any) -> Any:
    """w = s(h) z."""
    import pytensor.tensor as pt

    members = np.append(np.arange(len(linear.scale_names)), -1)[linear.scale_of]
    scales = linear.scale_medians * pt.exp(linear.log_sd * log_scale)
    return pt.concatenate([scales, pt.ones(1)])[members] * latent


def _expected(linear: LinearModel, w: Any) -> Any:
    """Expected value of each row: y0 + A w, and what lies beyond the linear form."""
    import pytensor.tensor as pt

    mean = linear.offset + _sparse_dot(linear.design, w)
    if linear.curves:
        values = pt.concatenate([_curve_values(linear, curve, w) for curve in linear.curves])
        mean = mean + _sparse_dot(linear.curved_design, values)
    return mean


def _tensor(linear: LinearModel, of: Affine, w: Any) -> Any:
    """Value of a quantity at scaled latent variables w."""
    starts = np.cumsum([0, *linear.sizes.values()])
    value: Any = of.constant
    for (block, size), start in zip(linear.sizes.items(), starts[:-1], strict=True):
        if block in of.effects:
            value = value + w[start : start + size] @ np.moveaxis(of.effects[block], -1, 0)
    for curve in linear.curves:
        if curve.block in of.effects:
            effect = np.moveaxis(of.effects[curve.block], -1, 0)
            value = value + _curve_values(linear, curve, w) @ effect
    return value


def _curve_values(linear: LinearModel, curve: Curve, w: Any) -> Any:
    import pytensor.tensor as pt

    return curve(_tensor(linear, curve.argument, w), pt)


def _sparse_dot(matrix: np.ndarray, vector: Any) -> Any:
    import pytensor.sparse as ps

    return ps.structured_dot(ps.as_sparse_variable(sp.csr_matrix(matrix)), vector[:, None])[:, 0]
