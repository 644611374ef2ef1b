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

Free variables of your own are kept in ``fit.extras["own_variables"]``. `pm.do`, `pm.observe`
and `model.copy()` keep nothing of a model but its variables, their names and their tags: what
it was when it was built is carried by them (:class:`AsBuilt`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from imps.account.latents import Affine, Resolution
from imps.account.linear import LinearModel, linear_model
from imps.account.priors import Priors, default_priors
from imps.account.variant import Curve, Form, Variant
from imps.errors import NotFittedError, PriorError
from imps.posterior.likelihoods import add_likelihood, special_rows
from imps.sources import Sources

if TYPE_CHECKING:
    import pymc as pm

DATA_NAME = "observed"


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
    coords = linear.coords
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


TAG = "imps_account"
FREE, OBSERVED, POTENTIAL, DATA, FOLLOWS = "free", "observed", "potential", "data", "deterministic"


@dataclass(frozen=True, eq=False)
class AsBuilt:
    """The account behind a PyMC model, and the variables that it had at first.

    Attributes
    ----------
    linear : LinearModel
    variant : Variant
    gaussian : bool
        Whether it had an exact posterior.
    variables : mapping from name to variable
    kinds, values : mapping from name to kind, to value variable of the random ones
    lengths : mapping from dim to its length, a variable
    rebuilt : dict
        The account of the data that were exchanged last, by their bytes.
    """

    linear: LinearModel
    variant: Variant
    gaussian: bool
    variables: Mapping[str, Any]
    kinds: Mapping[str, str]
    values: Mapping[str, Any]
    lengths: Mapping[str, Any]
    rebuilt: dict[bytes, LinearModel] = field(default_factory=dict)


def mark(model: Any, linear: LinearModel, variant: Variant, gaussian: bool) -> None:
    """Put what a model is on each of its variables."""
    variables, lengths = dict(model.named_vars), dict(model.dim_lengths)
    built = AsBuilt(linear, variant, gaussian, variables, kinds(model), values(model), lengths)
    for variable in model.named_vars.values():
        setattr(variable.tag, TAG, built)


def as_built(model: object) -> AsBuilt:
    """What a model of :func:`imps.build_model`, or a copy of one, was when it was built.

    Raises
    ------
    NotFittedError
        If `model` is something else, or holds the variables of two accounts.
    """
    variables = getattr(model, "named_vars", {}).values()
    found = {id(b): b for v in variables if (b := getattr(v.tag, TAG, None)) is not None}
    if len(found) > 1:
        raise NotFittedError(
            f"the model holds the variables of {len(found)} accounts; a fit is of one. Fit each "
            "model of build_model() by itself."
        )
    if not found:
        raise NotFittedError(
            f"expected a model of build_model(), got {type(model).__name__}. Call "
            "build_model(sources, priors) first."
        )
    return next(iter(found.values()))


def kinds(model: Any) -> dict[str, str]:
    """What each named variable of a PyMC model is, by its name."""
    lists = {
        FREE: model.free_RVs,
        OBSERVED: model.observed_RVs,
        POTENTIAL: model.potentials,
        DATA: model.data_vars,
        FOLLOWS: model.deterministics,
    }
    return {v.name: kind for kind, variables in lists.items() for v in variables}


def values(model: Any) -> dict[str, Any]:
    """Value variable of each random variable of a PyMC model, by its name."""
    return {rv.name: value for rv, value in model.rvs_to_values.items()}


def value_of(variable: Any) -> np.ndarray:
    """What data or a constant of a PyMC model hold; masked values are none."""
    if hasattr(variable, "get_value"):
        held = variable.get_value()
    else:
        held = variable.data if hasattr(variable, "data") else variable.eval()
    return np.ma.filled(np.ma.asarray(held, dtype=float), np.nan)


@cache
def account_model() -> type:
    """The class of the models of :func:`imps.build_model`; PyMC is loaded when it is asked for."""
    import pymc as pm

    class AccountModel(pm.Model):
        """A `pm.Model` that knows its account, and can be sent to another process."""

        @property
        def linear(self) -> LinearModel:
            """The account, of the data that the model holds now."""
            from imps.posterior.given_model import linear_part

            return linear_part(self)

        def __reduce__(self) -> tuple[Any, tuple[bytes]]:
            import cloudpickle

            bound = ("str_repr", "_repr_latex_")  # methods of this very object
            state = {k: v for k, v in vars(self).items() if k not in bound}
            return _unpickled, (cloudpickle.dumps(state),)

    return AccountModel


def _unpickled(state: bytes) -> Any:
    import pickle

    model = account_model()()
    vars(model).update(pickle.loads(state))
    return model
