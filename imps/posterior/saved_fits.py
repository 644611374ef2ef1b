"""Fits brought back from a file or from a run that was cut off, and whether they are stale.

Files of form 1 hold draws of the account as it was before release 0.2. That account is the one
of today at one point. All ages of a stock err by its level, so that children take the draws of
the level and its prior; women err at young ages as men do; the roll-forward by sex and age is not
carried; whatever else was added since is nothing. True stocks, flows and contributions are then
those of the release that wrote the file, draw by draw. The rows of its likelihood were others
and are not kept: what needs them is refused by name (:func:`imps.posterior.fitted.needs_rows`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from imps._version import __version__
from imps.account.chained import ChainModel
from imps.account.latents import Affine
from imps.account.linear import LinearModel, linear_model
from imps.account.priors import Priors
from imps.account.stocks import random_error_of
from imps.account.variant import Variant
from imps.errors import ImpsWarning, SavedFileError
from imps.names import CHAIN, DRAW
from imps.posterior.archive import (
    account_differences,
    differences,
    edited_outputs,
    holds_code,
    read_account,
    unpack,
)
from imps.posterior.chains import (
    ACCOUNT_FILE,
    as_named,
    finished_chains,
    kept_apart,
    unflat,
    whole_chains,
)
from imps.posterior.datatree import BY_SOURCE
from imps.posterior.fit import NEAR, Fit, fit_of_chains, with_terms
from imps.posterior.fitted import WITHOUT_ROWS
from imps.posterior.given_model import linear_part, variant
from imps.posterior.storage import EARLIER, FIRST, FORMAT, LATENT, LOG_SCALE, OWN, load
from imps.project.case import SHIPPED
from imps.sampling import Sampling
from imps.shipped import digest, find_case, known_cases

CHILDREN = {"base_children": "base_level", "census_children": "census_level"}
"""Blocks of today, and those that moved children too."""
NO_MORE = "split of "
"""Beginning of blocks, and of their prior, that nothing reported depended on."""
CONVERSION, PERIOD, AGES = (
    f"gap[{x}]" for x in ("period_and_age_conversion", "period_conversion",
                          "ages_and_sexes_of_flows")
)  # fmt: skip
"""One source then; two today, of which the second sums to zero."""


def account_of_then(
    record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], posterior: xr.Dataset
) -> tuple[LinearModel, xr.Dataset]:
    """The account of a file of form 1 without rows, and its draws in the latents of today.

    Raises
    ------
    SavedFileError
        If the draws are not those of release 0.1: a version between two releases made them.
    """
    parts = {name: unpack(packed, arrays) for name, packed in record.items()}
    sources, priors = parts["sources"], _priors_of_then(parts["priors"])
    carried = replace(sources.rolled_forward, by_sex=None, by_sex_and_age=None)
    sources = replace(sources, rolled_forward=carried)
    model = linear_model(sources, priors, parts["resolution"], form=parts["form"], stored=True)
    labels = [str(x) for x in posterior["latent_name"].values if not str(x).startswith(NO_MORE)]
    blocks = {label.rpartition(" ")[0] for label in labels}
    if blocks & set(CHILDREN) or not set(labels) <= set(model.latent_names):
        raise SavedFileError(
            "its draws are of a version between the releases 0.1 and 0.2, whose account is not "
            "known. Use the version that wrote it."
        )
    random = random_error_of(sources.census)
    shares = tuple(
        replace(
            part,
            value=_of_blocks(part.value, model, blocks),
            prior=part.prior if part.source == random else _of_blocks(part.prior, model, blocks),
        )
        for part in model.contributions
    )
    curves = tuple(replace(c, argument=_of_blocks(c.argument, model, blocks)) for c in model.curves)
    none = np.zeros(model.observed.size, dtype=bool)
    model = replace(model.with_rows(none), contributions=shares, curves=curves)
    return model, _placed(posterior, model, labels)


def moments_of_today(stats: xr.Dataset) -> xr.Dataset:
    """Statistics of the exact way with the names of the sources of today."""
    if "quantity" not in stats.coords:
        return stats
    names = [PERIOD if name == CONVERSION else str(name) for name in stats["quantity"].values]
    return stats.assign_coords(quantity=names).reindex(quantity=[*names, AGES], fill_value=0.0)


def _priors_of_then(priors: Priors) -> Priors:
    """The table of then as the account of today takes it."""
    rows = [row for row in priors.rows if not row.name.startswith(NO_MORE.replace(" ", "_"))]
    rows += [replace(priors[level], name=name) for name, level in CHILDREN.items()]
    known = {row.name for row in rows}
    rows += [row for row in priors.defaults.rows if row.name not in known]
    return replace(priors, rows=tuple(rows)).replace(stock_young_women={"mean": 1.0})


def _of_blocks(quantity: Affine, model: LinearModel, blocks: set[str]) -> Affine:
    """A quantity as the latent variables of then moved it."""
    effects = dict(quantity.effects)
    for child, level in CHILDREN.items():
        if child in effects:
            effects[level] = effects[level] + effects.pop(child)
    kept = {b: effect for b, effect in effects.items() if b in blocks or b not in model.sizes}
    return Affine(quantity.constant, kept)


def _placed(posterior: xr.Dataset, model: LinearModel, labels: list[str]) -> xr.Dataset:
    drawn = posterior[LATENT].sel(latent_name=labels)
    children = drawn.sel(latent_name=[f"{level} 1" for level in CHILDREN.values()])
    children = children.assign_coords(latent_name=[f"{child} 1" for child in CHILDREN])
    whole = xr.concat([drawn, children], "latent_name")
    return xr.Dataset(
        {
            LOG_SCALE: posterior[LOG_SCALE].reindex(scale=list(model.scale_names), fill_value=0.0),
            LATENT: whole.reindex(latent_name=model.latent_names, fill_value=0.0),
        }
    )


MADE_AGAIN = ("prior", "prior_predictive", "posterior_predictive", "constant_data")
"""Groups of a file that a fit makes again when it is asked."""
FIT_FILE = "fit.nc"
CHAINS_FOLDER = "chains"
SAME_DENSITY = 1e-6
"""Absolute difference of log-densities up to which two releases write the same model."""
LINES = 5


def load_fit(path: str | Path, *, model: object = None) -> Fit:
    """Bring a saved fit back, or look at the chains of a run that was cut off.

    Parameters
    ----------
    path : path
        A file of :meth:`Fit.save`, the folder of a run, or a folder of `fit(..., keep=...)`.
    model : pm.Model or LinearModel, optional
        The model as it stands now. The fit is compared with it and says where inputs, priors
        or options have changed since. Needed if a source of the user's own was in the fit.

    Returns
    -------
    Fit
        `stale` lists why it no longer matches; it is empty where it does. A fit of a shipped
        case is compared with the case of this release, and the densities of its draws with
        those that this release finds; in the folder of a run the digests of its fit and tables
        are compared with those of its manifest. Every result made from a stale fit carries the
        reasons in its verdict. A fit of release 0.1 is of an earlier model: contributions,
        stocks and flows are those of that release, and what needs its likelihood is refused.

    Raises
    ------
    SavedFileError
        If there is no fit, or the file was not written by this package.
    """
    place = Path(path)
    if place.is_dir():
        for folder in (place, place / CHAINS_FOLDER):
            if (folder / ACCOUNT_FILE).exists() and not (place / FIT_FILE).exists():
                return _unfinished(folder, model)
        place = place / FIT_FILE
    edited = edited_outputs(place.parent) if place.name == FIT_FILE else []
    groups, record = load(place, leave=MADE_AGAIN, forms=(FORMAT, EARLIER, FIRST))
    try:
        if record["format"] == FIRST:
            return _of_release_1(groups, record, edited)
        return _rebuilt(groups, record, model, edited)
    except (KeyError, TypeError, AttributeError) as fault:
        raise SavedFileError(f"{place.name} is not a saved fit: {fault!r}") from None


def load_saved_case(path: Path) -> Any:
    """The case that was saved beside a fit, those of a chain as a tuple, or None."""
    groups, record = load(path)
    return unpack(record["case"], unflat(groups["account"]))


def _rebuilt(
    groups: Mapping[str, xr.Dataset], record: Mapping[str, Any], model: object, edited: list[str]
) -> Fit:
    arrays = unflat(groups["account"])
    linear = _account(record, arrays, model)
    stale = _shipped(record, arrays, linear) if model is None else _changes(record, arrays, model)
    own = record.get("own", {})
    chains = xr.merge([_draws(groups["posterior"], own), groups["sample_stats"]], join="exact")
    chains = chains.drop_vars((CHAIN, DRAW), errors="ignore")
    found = _fit_of(chains, linear, record)
    terms = {
        g: _own(groups[g], names).drop_vars((CHAIN, DRAW), errors="ignore")
        for g, names in own.items()
        if names and g != "posterior"
    }
    if terms:
        found = with_terms(found, {"posterior": found.own()["posterior"], **terms})
    if record["settings"].get(NEAR):
        found = replace(found, extras={**found.extras, NEAR: True})
    stale += _written_otherwise(found, groups, record["imps"]) if not stale else []
    return _marked(found, edited + stale)


def _of_release_1(
    groups: Mapping[str, xr.Dataset], record: Mapping[str, Any], edited: list[str]
) -> Fit:
    """A fit of release 0.1: its draws, and every result that needs no row of its likelihood."""
    linear, draws = account_of_then(
        record["account"], unflat(groups["account"]), groups["posterior"]
    )
    chains = xr.merge([draws, moments_of_today(groups["sample_stats"])], join="exact")
    found = _fit_of(chains, linear, record)
    found = replace(found, extras={**found.extras, WITHOUT_ROWS: record["imps"]})
    reason = f"imps {record['imps']} made its draws, of the model before 0.2"
    return _marked(found, [*edited, reason])


def _fit_of(chains: xr.Dataset, linear: LinearModel, record: Mapping[str, Any]) -> Fit:
    """A fit of draws that a file holds, made as its record says."""
    return fit_of_chains(
        [chains],
        linear,
        record["method"],
        Sampling.of_record(record["settings"]),
        Variant.of_record(record["settings"]["variant"]),
        record["seconds"],
        tuple(record["notes"]),
    )


def _draws(posterior: xr.Dataset, own: Mapping[str, list[str]]) -> xr.Dataset:
    """Draws of the free variables, and variables of the user's own apart; no quantities."""
    if not own:
        kept = [name for name in posterior.data_vars if str(name).startswith(OWN)]  # form 2
        return posterior[[LOG_SCALE, LATENT, *kept]]
    mine = kept_apart(_own(posterior, own.get("posterior", [])))
    return xr.merge([posterior[[LOG_SCALE, LATENT]], mine], join="exact")


def _own(group: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Variables of the user's own in a group of a file, as the user named them."""
    return as_named(group[[f"{OWN}{n}" if f"{OWN}{n}" in group else n for n in names]])


def _account(
    record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], model: object
) -> LinearModel:
    """The account that was fitted; the one given only where the saved one held code."""
    if model is not None and holds_code(record["account"]):
        return linear_part(model)
    return read_account(record["account"], arrays)


def _changes(
    record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], model: object
) -> list[str]:
    """What has changed since the fit: sources, priors, options of the model."""
    lines = account_differences(record["account"], arrays, linear_part(model))
    then, now = record["settings"]["variant"], variant(model).record()
    return lines + [f"{k}: {then.get(k)} then, {now[k]} now" for k in now if then.get(k) != now[k]]


def _shipped(
    record: Mapping[str, Any], arrays: Mapping[str, np.ndarray], linear: LinearModel
) -> list[str]:
    """What a shipped case has become since; other cases are compared by their files, see runs.

    The files are read again only where they, or the release that reads them, are not those of
    the fit.
    """
    packed = record["case"] or {}
    cases = packed.get("tuple", [packed])
    accounts = linear.accounts if isinstance(linear, ChainModel) else [linear.account]
    lines = []
    for saved, account in zip((case.get("fields", {}) for case in cases), accounts, strict=False):
        # fits of before 0.2 say no origin; only shipped cases had a licence then
        shipped = saved["origin"] == SHIPPED if "origin" in saved else bool(saved.get("licence"))
        if not shipped or saved["name"] not in known_cases():
            continue
        known = record.get("shipped", {}).get(saved["name"])
        same = record["imps"] == __version__ and known == digest(saved["name"])
        case = unpack(saved["sources"], arrays) if same else find_case(saved["name"]).sources
        lines += differences(account.sources, case, "sources")
    return lines


def _written_otherwise(found: Fit, groups: Mapping[str, xr.Dataset], release: str) -> list[str]:
    """Whether this release gives the saved draws the densities that they had."""
    saved = groups.get(BY_SOURCE, groups["log_likelihood"])["log_likelihood"]
    if found.draws["latent"].shape[-1] != found.model.n_latent:
        return [f"imps {release} wrote the account with other latent variables"]
    now = found.log_likelihood()
    if list(saved["source"].values) != list(now["source"].values):
        return [f"imps {release} had rows from {', '.join(map(str, saved['source'].values))}"]
    apart = np.abs(now.values - saved.values).max(axis=(0, 1))
    scale = np.maximum(1.0, np.abs(saved.values).max(axis=(0, 1)))
    return [
        f"the log-likelihood of '{source}' differs by up to {size:.3g} from that of imps {release}"
        for source, size, most in zip(now["source"].values, apart, scale, strict=True)
        if not size <= SAME_DENSITY * most
    ]


def _unfinished(folder: Path, model: object) -> Fit:
    """The finished chains of a run that was cut off."""
    record, arrays, files = finished_chains(folder)
    if not files:
        raise SavedFileError(f"'{folder.name}': no chain is finished yet.")
    method = "nuts" if "nuts" in files else "exact"
    linear = _account(record, arrays, model)
    chains = whole_chains(files[method])
    n = len(chains)
    if not chains:
        raise SavedFileError(f"'{folder.name}': none of its chains can be read.")
    found = fit_of_chains(
        chains,
        linear,
        method,
        Sampling.of_record({**record["settings"], "chains": n, "draws": chains[0].sizes[DRAW]}),
        Variant.of_record(record["settings"]["variant"]),
        {"total": float("nan")},
        (f"the run is not finished: {n} chain{'s' if n > 1 else ''} so far",),
    )
    return _marked(found, [] if model is None else _changes(record, arrays, model))


def _marked(found: Fit, reasons: list[str]) -> Fit:
    if not reasons:
        return found
    more = [f"and {len(reasons) - LINES} more"] if len(reasons) > LINES else []
    stale = (*reasons[:LINES], *more)
    warnings.warn(
        ImpsWarning(
            f"the saved fit is stale: {'; '.join(stale)}. Fit again, or load it without model="
        ),
        stacklevel=4,
    )
    return replace(found, stale=stale)
