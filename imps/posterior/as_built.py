"""What a PyMC model was when it was built, carried by its variables into every copy of it.

`pm.do`, `pm.observe` and `model.copy()` return an ordinary `pm.Model` that keeps nothing of
the model it came from but its variables, their names and their tags.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from imps.account.linear import LinearModel
from imps.account.variant import Variant
from imps.errors import NotFittedError

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
