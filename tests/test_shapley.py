"""Shapley values of what is not linear: they sum to the whole in every draw."""

import dataclasses

import numpy as np
import pytest

import imps
from imps.account.variant import Form
from imps.errors import PriorError
from imps.posterior.storage import dataset
from imps.results.shapley import INTERACTION, _shares

EXACT = 1e-9


@pytest.fixture(scope="module", params=["log", "beta"])
def variant(request, fitted, sources):
    """Prior draws of a variant in the place of a fit: shares need no sampler."""
    form = (
        Form(flows="log")
        if request.param == "log"
        else Form(
            switchers="beta",
            switcher_shares={"visitor_switchers": 0.01, "migrant_switchers": 0.05},
        )
    )
    model = imps.linear_model(sources, imps.default_priors(), form=form)
    rng = np.random.default_rng(1)
    h = rng.standard_normal((1, 150, len(model.scale_names)))
    z = rng.standard_normal((1, 150, model.n_latent))
    draws = dataset(h, z, list(model.scale_names), model.latent_names)
    return dataclasses.replace(fitted, model=model, draws=draws, extras={})


def test_shares_sum_to_the_whole(variant):
    table = imps.shapley(variant)
    assert len(table)
    model, latents = variant.model, variant.latents()
    for part in model.contributions:
        rows = table[table["source"] == part.source]
        if rows.empty:
            continue
        whole = model.evaluate(part.value.sum(), latents)
        nothing = model.evaluate(part.value.sum(), np.zeros((1, model.n_latent)))
        assert rows["mean"].sum() == pytest.approx((whole - nothing).mean(), rel=EXACT, abs=1e-3)
        assert rows["mean_alone"].sum() == pytest.approx(rows["mean"].sum(), rel=EXACT, abs=1e-3)


def test_shares_of_a_curve_sum_to_it_in_every_draw(variant):
    """Efficiency, draw by draw: together the blocks make what the curve is beyond its start."""
    model, latents = variant.model, variant.latents()[:, : variant.model.n_latent]
    blocks = model._blocks(model.sizes, latents)
    for curve in model.curves:
        value, _ = _shares(curve, blocks)
        argument = curve.argument.constant.ravel() + sum(
            blocks[name] @ effect.reshape(-1, effect.shape[-1]).T
            for name, effect in curve.argument.effects.items()
        )
        start = curve(np.broadcast_to(curve.argument.constant.ravel(), argument.shape))
        whole = curve(argument) - start
        assert np.abs(whole).max() > 1e-3
        scale = np.abs(whole).max()
        np.testing.assert_allclose(sum(value.values()), whole, rtol=EXACT, atol=EXACT * scale)


def test_blocks_interact_where_the_account_is_curved(variant):
    table = imps.shapley(variant).set_index("block")
    assert table.loc[[INTERACTION], "sd_alone"].max() > 1.0


def test_equal_blocks_have_equal_shares(variant):
    """Symmetry: two blocks that move a curve alike get the same value."""
    curve = variant.model.curves[0]
    effect = next(iter(curve.argument.effects.values()))
    argument = dataclasses.replace(curve.argument, effects={"one": effect, "two": effect})
    draws = np.random.default_rng(1).standard_normal((20, effect.shape[-1]))
    value, alone = _shares(
        dataclasses.replace(curve, argument=argument), {"one": draws, "two": draws}
    )
    np.testing.assert_allclose(value["one"], value["two"])
    assert np.abs(value["one"] - alone["one"]).max() > 0


def test_a_linear_account_has_nothing_to_share(fitted):
    with pytest.raises(PriorError, match="nothing interacts"):
        imps.shapley(fitted)
