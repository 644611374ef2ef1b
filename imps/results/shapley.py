"""Shares of what is not linear: Shapley values over blocks, with the interaction shown.

In the linear account the sources add up and nothing interacts. Under flows="log" or
switchers="beta" a value v = g(a_1 + a_2 + ...) depends on several blocks of latent
variables at once, so that what one of them adds depends on the others. Its Shapley
value is the mean of what it adds over all orders in which the blocks can be brought
in; the values sum to the whole in every draw. Beside it stands what the block adds
alone: the interaction is what the sum of those falls short of the whole.

References
----------
Shapley (1953), A value for n-person games, Annals of Mathematics Studies 28.
"""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pandas as pd

from imps.account.latents import Affine
from imps.account.linear import LinearModel
from imps.account.variant import Curve
from imps.errors import PriorError
from imps.posterior.fit import Fit, needs_fit

INTERACTION = "interaction"


def shapley(fit: Fit, *, draws: int = 400) -> pd.DataFrame:
    """Share the curved contributions of a variant among their blocks, in every draw.

    Parameters
    ----------
    fit : Fit
        Of a model with flows="log" or switchers="beta".
    draws : int
        So many of the draws are used, evenly spaced.

    Returns
    -------
    DataFrame, persons
        source, block, mean and sd of the Shapley value, mean_alone and sd_alone of what
        the block adds with all others at zero. The last row of each source is
        "interaction": whole minus sum of the blocks alone; its Shapley columns are empty.

    Raises
    ------
    PriorError
        If the account is linear: its contributions are exact and nothing interacts.
    """
    model = needs_fit(fit, "shapley").model
    if not model.curves:
        raise PriorError(
            "shapley(): this account is linear, its contributions are exact and nothing "
            "interacts. Call it on a fit of a variant, or read imps.attribute(fit)."
        )
    latents = fit.latents()[:, : model.n_latent]
    kept = latents[np.linspace(0, len(latents) - 1, min(draws, len(latents))).astype(int)]
    blocks = LinearModel._blocks(model.sizes, kept)
    shares = {curve.block: _shares(curve, blocks) for curve in model.curves}
    rows = []
    for part in model.contributions:
        total = part.value.sum()
        if any(curve.block in total.effects for curve in model.curves):
            rows += _rows(part.source, total, blocks, shares)
    return pd.DataFrame(rows)


Values = dict[str, np.ndarray]


def _shares(curve: Curve, blocks: Values) -> tuple[Values, Values]:
    """Shapley value and value alone, (draw, value), of each block of one curve."""
    moved = {
        name: blocks[name] @ effect.reshape(-1, effect.shape[-1]).T
        for name, effect in curve.argument.effects.items()
    }
    names, start = list(moved), curve.argument.constant.ravel()
    n = len(names)
    values = {
        chosen: curve(start + sum((moved[name] for name in chosen), np.zeros_like(moved[names[0]])))
        for size in range(n + 1)
        for chosen in itertools.combinations(names, size)
    }
    value, alone = {}, {}
    for name in names:
        alone[name] = values[(name,)] - values[()]
        share = np.zeros_like(alone[name])
        for chosen, without in values.items():
            if name not in chosen:
                joined = tuple(x for x in names if x in {*chosen, name})
                share += (values[joined] - without) / (n * comb(n - 1, len(chosen)))
        value[name] = share
    return value, alone


def _rows(
    source: str, total: Affine, blocks: Values, shares: dict[str, tuple[Values, Values]]
) -> list[dict[str, object]]:
    """Rows of one source: its linear effects and its share of each curve, by block."""
    value: Values = {}
    alone: Values = {}
    for block, effect in total.effects.items():
        if block in blocks:
            linear = blocks[block] @ effect.ravel()
            value[block] = value.get(block, 0.0) + linear
            alone[block] = alone.get(block, 0.0) + linear
        elif block in shares:
            for into, found in ((value, shares[block][0]), (alone, shares[block][1])):
                for name, share in found.items():
                    into[name] = into.get(name, 0.0) + share @ effect.ravel()
    interaction = np.sum(list(value.values()), axis=0) - np.sum(list(alone.values()), axis=0)
    rows: list[dict[str, object]] = [
        {
            "source": source,
            "block": block,
            "mean": value[block].mean(),
            "sd": value[block].std(),
            "mean_alone": alone[block].mean(),
            "sd_alone": alone[block].std(),
        }
        for block in value
    ]
    last = {"mean": np.nan, "sd": np.nan, "mean_alone": interaction.mean()}
    rows.append({"source": source, "block": INTERACTION, **last, "sd_alone": interaction.std()})
    return rows
