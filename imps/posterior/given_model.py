"""The model that is given to a function, compared with its account at every entry.

A model of :func:`imps.build_model` is an ordinary `pm.Model`, and users change it. Whatever
it has become is taken for what it is:

* as it was built, a copy of it, or with deterministics added: its own posterior, by any way;
* with terms, variables or data of one's own, or with `log_scale` or `latent` fixed (`pm.do`),
  observed (`pm.observe`) or given another prior: sampled by NUTS;
* with other figures of the census, a register or a mirror series (`pm.set_data`): the account
  is written down anew from them, so that the gap is that of the data that are fitted;
* anything else is refused, for its draws would not be those of the account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imps.account.linear import LinearModel, linear_model
from imps.account.variant import Variant
from imps.demography.schedules import within_cells
from imps.errors import PriorError, SourceError, some
from imps.posterior.archive import only_rows
from imps.posterior.likelihoods import PUBLISHED
from imps.posterior.pymc_model import (
    DATA,
    DATA_NAME,
    FREE,
    AsBuilt,
    as_built,
    kinds,
    pymc_model,
    value_of,
    values,
)
from imps.posterior.storage import LATENT, LOG_SCALE
from imps.sampling import Sampling
from imps.sources import MirrorSeries, Register, Sources, Stock

CENSUS = "census"
BUILD_AGAIN = "Change the sources and call build_model() again."


@dataclass(frozen=True, eq=False)
class Given:
    """A model as it was found.

    Attributes
    ----------
    linear : LinearModel
        The account of the data that the model holds.
    variant : Variant
        With the names of what was added, or changed, since the model was built.
    gaussian : bool
        Whether it has an exact posterior.
    model : pm.Model or None
        What NUTS samples; None where it has still to be built from `linear`.
    own : tuple of str
        Variables and terms of the user's own.
    """

    linear: LinearModel
    variant: Variant
    gaussian: bool
    model: Any = None
    own: tuple[str, ...] = ()

    def pymc(self) -> Any:
        """The PyMC model that NUTS samples."""
        if self.model is not None:
            return self.model
        of = self.variant
        return pymc_model(self.linear, likelihood=of.likelihood, student_t=of.student_t)


def given(model: object) -> Given:
    """What a model is now: its account, its variant, and whether it has an exact posterior.

    Parameters
    ----------
    model : pm.Model or LinearModel
        From :func:`imps.build_model`, changed or copied since, or :func:`imps.linear_model`.

    Raises
    ------
    NotFittedError
        If it is something else.
    PriorError
        If it was changed so that its draws are not those of the account.
    SourceError
        If its data were exchanged for figures that the account cannot take.
    """
    if isinstance(model, LinearModel):
        return Given(model, Variant(**vars(model.account.form)), not model.curves)
    built = as_built(model)
    _check_names(model, built)
    now = kinds(model)
    own = tuple(name for name in now if name not in built.variables)
    added = tuple(name for name in own if now[name] != "deterministic" and now[name] != DATA)
    added = (*_changed(model, built, now), *added)
    figures = _figures(model, built)
    variant = replace(built.variant, added=added)
    if np.array_equal(figures, built.linear.observed):
        return Given(built.linear, variant, built.gaussian and not added, model, own)
    if own or added:
        raise SourceError(
            "the model has other data than the account it was built from, and changes of your "
            f"own beside them ({some([*dict.fromkeys((*added, *own))])}), which cannot be carried "
            f"over. {BUILD_AGAIN}"
        )
    return Given(_rebuilt(built, figures), variant, built.gaussian)


def linear_part(model: object) -> LinearModel:
    """The matrices behind a model, of the data that it holds; see :func:`given`."""
    return given(model).linear


def gaussian_part(model: object, function: str) -> LinearModel:
    """The matrices behind a model with an exact posterior, for a function that needs one.

    Raises
    ------
    PriorError
        If it is a variant, or a term was added to it.
    """
    found = given(model)
    if not found.gaussian:
        raise PriorError(
            f"{function}() works on the Gaussian model only, and this one is: {found.variant}. "
            "Call it on build_model(sources, priors) without options, and with nothing added."
        )
    return found.linear


def variant(model: object) -> Variant:
    """Which variant a model is: options of :func:`build_model`, and what was added since."""
    return given(model).variant


def is_gaussian(model: object) -> bool:
    """Whether the model has an exact posterior: no variant, and nothing added to it since."""
    return given(model).gaussian


def allowed(model: object, sampling: Sampling) -> bool:
    """Whether a model has an exact posterior; nothing is sampled.

    Raises
    ------
    PriorError
        If the exact way is asked of a model that has none.
    """
    gaussian = given(model).gaussian
    if sampling.method == "exact" and not gaussian:
        raise PriorError(
            "this model is not conditionally Gaussian (a variant, or a term was added to it): "
            "use method='nuts'."
        )
    return gaussian


def _check_names(model: Any, built: AsBuilt) -> None:
    """Every variable of the account is there, and every dim has the account's labels."""
    needed = {*built.variables, DATA_NAME, LOG_SCALE, LATENT}
    missing = sorted(name for name in needed if name not in model.named_vars)
    if missing:
        raise PriorError(
            f"the model has no {some(missing)} any more, which its account needs. Add to the model "
            "of build_model(), without a prefix, and take nothing out of it."
        )
    for dim, wanted in built.linear.coords.items():
        found = model.coords.get(dim)
        if found is None or list(found) != wanted:
            size = "no labels" if found is None else f"{len(found)} labels"
            raise SourceError(
                f"dim '{dim}' of the model has {size} that are not the {len(wanted)} of its "
                f"account. {BUILD_AGAIN}"
            )


def _changed(model: Any, built: AsBuilt, now: dict[str, str]) -> tuple[str, ...]:
    """Names of `log_scale` and `latent` where they are no longer as they were built.

    Raises
    ------
    PriorError
        If the rows of the account have another mean, error or family.
    """
    changed = [name for name in built.variables if not _same(model, built, now, name)]
    rows = [name for name in changed if name.startswith(PUBLISHED)]
    if rows:
        raise PriorError(
            f"{some(rows)}, the likelihood of the published rows, is no longer that of the account "
            "(its mean, its error or its family was changed). Leave the rows out with "
            "imps.results.sensitivity.without_rows, build a model of what is left, and add a "
            "likelihood of your own to it."
        )
    return tuple(name for name in changed if name != DATA_NAME)


def _same(model: Any, built: AsBuilt, now: dict[str, str], name: str) -> bool:
    """Whether a variable is what was built, or a copy of it."""
    here, there = model.named_vars[name], built.variables[name]
    if here is there and now[name] == built.kinds[name]:
        return True
    if now[name] != built.kinds[name]:
        return False
    if now[name] == DATA:
        return True  # its values are compared apart
    if now[name] == FREE and model.rvs_to_transforms.get(here) is not None:
        return False
    return _same_definition(model, built, name, here, there)


def _same_definition(model: Any, built: AsBuilt, name: str, here: Any, there: Any) -> bool:
    """Whether two variables have the same operation and arguments; random states may differ."""
    from pytensor.tensor.random.type import RandomType

    def parts(variable: Any) -> list[Any]:
        return [x for x in variable.owner.inputs if not isinstance(x.type, RandomType)]

    if here.owner is None or there.owner is None or here.owner.op != there.owner.op:
        return False
    return len(parts(here)) == len(parts(there)) and _equal(
        model, built, parts(here), parts(there), name
    )


def _equal(model: Any, built: AsBuilt, here: list[Any], there: list[Any], name: str = "") -> bool:
    """Whether expressions are equal in terms of the other variables of their models."""
    from pytensor.graph.basic import Constant, equal_computations

    others = [other for other in built.variables if other != name]
    pairs = [(model.named_vars[other], built.variables[other]) for other in others]
    pairs += [(model.dim_lengths[dim], length) for dim, length in built.lengths.items()]
    pairs = [pair for pair in pairs if not isinstance(pair[1], Constant)]
    return equal_computations(here, there, *map(list, zip(*pairs, strict=True)))


def _figures(model: Any, built: AsBuilt) -> np.ndarray:
    """Published rows as the model holds them, (row), persons.

    Raises
    ------
    SourceError
        If they are not one finite number for each row of the account.
    """
    found = value_of(model[DATA_NAME])
    now, whole = values(model), built.values.get(PUBLISHED) is built.variables[DATA_NAME]
    if whole and now[PUBLISHED] is not model[DATA_NAME]:  # pm.observe puts figures in their place
        found = value_of(now[PUBLISHED])
    parts = [name for name in built.values if name.startswith(PUBLISHED) and not whole]
    other = [n for n in parts if not _equal(model, built, [now[n]], [built.values[n]])]
    if other:
        raise SourceError(f"the figures of {some(other)} were exchanged. {BUILD_AGAIN}")
    rows = built.linear.observed.shape
    if found.shape != rows or not np.isfinite(found).all():
        raise SourceError(
            f"data '{DATA_NAME}': {found.shape} figures of which {int(np.isfinite(found).sum())} "
            f"are numbers, expected {rows[0]} (the dim 'row' says which). A row that was not "
            "published has no place in a likelihood: leave it out of the sources."
        )
    return found


def _rebuilt(built: AsBuilt, figures: np.ndarray) -> LinearModel:
    """The account of other figures, written down anew; that of the last ones is kept."""
    key = figures.tobytes()
    if key not in built.rebuilt:
        sources = _exchanged(built.linear, figures)
        account = built.linear.account
        linear = linear_model(sources, account.priors, account.resolution, form=account.form)
        linear = only_rows(linear, built.linear.row_labels)
        built.rebuilt.clear()
        built.rebuilt[key] = linear
    return built.rebuilt[key]


def _exchanged(linear: LinearModel, figures: np.ndarray) -> Sources:
    """Sources with the figures of other rows.

    Raises
    ------
    SourceError
        If rows were exchanged whose figures also stand elsewhere in the account.
    """
    sources, names = linear.sources, np.array(linear.row_sources)
    differ = figures != linear.observed
    own = {
        source.name: source
        for source in sources.extra
        if isinstance(source, Register | MirrorSeries)
    }
    wrong = [name for name in dict.fromkeys(names[differ]) if name not in (CENSUS, *own)]
    if wrong:
        labels = [
            label
            for label, d, n in zip(linear.row_labels, differ, names, strict=True)
            if d and n in wrong
        ]
        raise SourceError(
            f"data '{DATA_NAME}': {len(labels)} rows of {some(wrong)} were exchanged "
            f"({some(labels)}). Their figures are part of the published roll-forward, or follow "
            "from other figures, and the gap would not be theirs; only rows of the census, of "
            f"registers and of mirror series can be exchanged. {BUILD_AGAIN} To fit simulated "
            "figures, see imps.calibration.calibrate."
        )
    extra = tuple(
        _with_count(source, figures[names == source.name])
        if isinstance(source, Register | MirrorSeries)
        else source
        for source in sources.extra
    )
    census = sources.census
    if differ[names == CENSUS].any():
        census = _with_total(census, figures[names == CENSUS])
    return replace(sources, census=census, extra=extra)


def _with_total(census: Stock, rows: np.ndarray) -> Stock:
    """A census of other figures, in the detail in which it was published."""
    rule = census.cells.counting(census.count.shape[1])
    return replace(
        census, count=census.count.copy(data=within_cells(rows, rule, census.count.values))
    )


def _with_count[T: Stock | Register | MirrorSeries](
    source: T, rows: Sequence[float] | np.ndarray
) -> T:
    count = source.count.copy(data=np.reshape(rows, source.count.shape))
    return replace(source, count=count)
