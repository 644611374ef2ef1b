"""The same account as one PyMC model of four nodes.

    log_scale ~ Normal(0, 1)       h, one for each unknown scale
    latent    ~ Normal(0, 1)       z, all errors of all sources
    mean      = y0 + A (s(h) z)    one sparse linear map
    published ~ Normal(mean, se)   every row of every source

It is the check of the exact way (:mod:`imps.gaussian`) and the place to start
from for a likelihood of one's own: change the last line, keep the account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import scipy.sparse as sp

from imps.errors import NotFittedError, PriorError
from imps.gaussian import LinearModel, linear_model
from imps.priors import LOG_SD_OF_SCALES, Priors, default_priors
from imps.sources import Sources
from imps.system_model import Resolution

if TYPE_CHECKING:
    import pymc as pm

LIKELIHOODS = ("normal", "student_t")
STUDENT_T_DEGREES = 4.0
"""Degrees of freedom of the robust likelihood: heavy tails with a finite variance."""


def build_model(
    sources: Sources,
    priors: Priors | None = None,
    *,
    resolution: Resolution | None = None,
    likelihood: str = "normal",
) -> pm.Model:
    """Write the account down as a PyMC model; nothing is sampled.

    Parameters
    ----------
    sources : Sources
    priors : Priors, optional
        Table of priors; the default one unless told.
    resolution : Resolution, optional
        Number of smooth shapes over age; chosen from the detail of the sources
        unless told.
    likelihood : {"normal", "student_t"}
        Student-t with 4 degrees of freedom lets single cells be wrong; the model
        is then not conditionally Gaussian and is sampled by NUTS.

    Returns
    -------
    pm.Model
        With free variables `log_scale` and `latent`, data `observed` (can be
        exchanged without compiling again) and likelihood `published`. Its
        attribute `linear` is the :class:`imps.gaussian.LinearModel` behind it.

    Raises
    ------
    PriorError
        If a source has no prior, or a prior belongs to no source.
    """
    if likelihood not in LIKELIHOODS:
        raise PriorError(f"likelihood is '{likelihood}', expected one of {LIKELIHOODS}.")
    linear = linear_model(sources, priors or default_priors(), resolution)
    return pymc_model(linear, likelihood=likelihood)


def pymc_model(linear: LinearModel, *, likelihood: str = "normal") -> pm.Model:
    """PyMC model of matrices that are already there; see :func:`build_model`."""
    import pymc as pm
    import pytensor.sparse as ps
    import pytensor.tensor as pt

    design = sp.csr_matrix(linear.design)
    members = np.append(np.arange(len(linear.scale_names)), -1)[linear.scale_of]
    coords = {
        "scale": list(linear.scale_names),
        "latent_name": latent_names(linear),
        "row": list(linear.row_labels),
    }
    with pm.Model(coords=coords) as model:
        observed = pm.Data("observed", linear.observed, dims="row")
        log_scale = pm.Normal("log_scale", 0.0, 1.0, dims="scale")
        latent = pm.Normal("latent", 0.0, 1.0, dims="latent_name")
        scales = linear.scale_medians * pt.exp(LOG_SD_OF_SCALES * log_scale)
        factor = pt.concatenate([scales, pt.ones(1)])[members]
        effect = ps.structured_dot(ps.as_sparse_variable(design), (factor * latent)[:, None])[:, 0]
        mean = linear.offset + effect
        if likelihood == "normal":
            pm.Normal("published", mean, linear.standard_error, observed=observed, dims="row")
        else:
            scale = linear.standard_error * np.sqrt((STUDENT_T_DEGREES - 2) / STUDENT_T_DEGREES)
            pm.StudentT(
                "published",
                nu=STUDENT_T_DEGREES,
                mu=mean,
                sigma=scale,
                observed=observed,
                dims="row",
            )
    model.linear = linear
    model.conditionally_gaussian = likelihood == "normal"
    return model


def linear_part(model: object) -> LinearModel:
    """The matrices behind a model of :func:`build_model`, or the matrices themselves.

    Raises
    ------
    NotFittedError
        If `model` is something else.
    """
    if isinstance(model, LinearModel):
        return model
    linear = getattr(model, "linear", None)
    if linear is None:
        raise NotFittedError(
            f"expected a model of build_model(), got {type(model).__name__}. Call "
            "build_model(sources, priors) first."
        )
    return cast(LinearModel, linear)


def latent_names(linear: LinearModel) -> list[str]:
    """Name of each latent variable: its block and its place in it."""
    return [f"{block} {i + 1}" for block, size in linear.sizes.items() for i in range(size)]
