"""Blocks of latent variables belong to the source and the prior they were written for.

A name is no evidence: the same register under any name gives the same answers.
"""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import imps
from imps.errors import PriorError, SourceError
from imps.plots.sources import tornado_data
from imps.report.explore import Preview
from imps.results.sensitivity import WhatIf

NAMES = (
    "pensioners", "census pension register", "base", "births x", "immigration_2",
    "emigration_bias", "true immigration", "census_level",
)  # fmt: skip
SAME = 1e-9  # relative: the same arithmetic, blocks in the same order


def register(sources, name):
    count = sources.base.count.sel(age=slice(70, 74)) * 0 + 250e3
    ages = xr.DataArray(np.arange(70, 75), dims="age", coords={"age": np.arange(70, 75)})
    return imps.Register(
        name, sources.last_year, count.assign_coords(age=ages), 0.01 * count,
        coverage_mean=0.01, coverage_sd=0.02, coverage_age_sd=0.005,
        vintage="invented", reference="invented",
    )  # fmt: skip


def model_with(sources, name):
    return imps.linear_model(sources.add(register(sources, name)), imps.default_priors())


@pytest.fixture(scope="module")
def fits(sources):
    """One fit under all names: the draws are those of the first."""
    models = {name: model_with(sources, name) for name in NAMES}
    first = imps.fit(models[NAMES[0]], seed=1, draws=50, chains=2)
    return {name: dataclasses.replace(first, model=model) for name, model in models.items()}


@pytest.mark.parametrize("name", NAMES[1:])
@pytest.mark.parametrize("prior", ["census", "base", "births", "emigration_bias", "immigration"])
def test_what_if_does_not_depend_on_the_name_of_a_register(fits, name, prior):
    plain, renamed = (
        imps.what_if(fits[n])(**{prior: 2}).set_index("quantity") for n in (NAMES[0], name)
    )
    pd.testing.assert_frame_equal(plain, renamed, rtol=SAME)


@pytest.mark.parametrize("name", NAMES[1:])
def test_power_scaling_does_not_depend_on_the_name_of_a_register(fits, name):
    plain, renamed = (
        imps.power_scaling(fits[n]).replace({"of": {n: "register"}}) for n in (NAMES[0], name)
    )
    likelihoods = {
        n: imps.power_scaling(fits[n])["of"].tolist().count(n) for n in (NAMES[0], "census_level")
    }
    assert likelihoods[NAMES[0]] == likelihoods["census_level"]
    keys = ["component", "of", "quantity"]
    priors = [t[t["component"] == "prior"].drop(columns="of") for t in (plain, renamed)]
    pd.testing.assert_frame_equal(*priors, rtol=SAME)
    assert len(plain) == len(renamed) and set(keys) <= set(plain)


@pytest.mark.parametrize("name", NAMES[1:])
def test_identifiability_response_and_tornado_do_not_depend_on_the_name(fits, name):
    plain, renamed = (imps.identifiability(fits[n]).table for n in (NAMES[0], name))
    pd.testing.assert_frame_equal(plain, renamed, rtol=1e-6)
    plain, renamed = (imps.response_table(fits[n]) for n in (NAMES[0], name))
    pd.testing.assert_frame_equal(plain, renamed, rtol=1e-6, atol=1e-3)
    plain, renamed = (tornado_data(fits[n]).drop(columns="change") for n in (NAMES[0], name))
    pd.testing.assert_frame_equal(plain, renamed, rtol=1e-6, atol=1e-3)


def test_the_preview_does_not_depend_on_the_name(fits):
    plain = Preview(fits[NAMES[0]])(births=(0.0, 0.002))
    renamed = Preview(fits["births x"])(births=(0.0, 0.002))
    pd.testing.assert_frame_equal(plain, renamed, rtol=SAME)


def test_every_block_is_recorded_with_its_source_and_its_prior(sources):
    model = model_with(sources, "base")
    blocks = model.account.latents.blocks
    rows = {block: (b.source, b.prior) for block, b in blocks.items()}
    assert rows["base_level"] == ("base", "base_level")
    assert rows["census_age"] == ("census_coverage", "census_age")
    assert rows["emigration_bias_drift"] == ("emigration_bias", "emigration_bias_drift")
    assert rows["emigration_age_years"] == ("true emigration", "emigration_age_years")
    assert rows["asylum_seekers (immigration) by year"] == ("asylum_seekers", "asylum_seekers")
    assert rows["base coverage"] == ("base", "")  # the register's own, in no table of priors
    assert {p for _, p in rows.values()} - {""} <= set(model.priors)


def test_a_family_of_priors_is_known_and_not_spelt(sources):
    """A prior of one's own whose name begins like a family is not widened with it."""
    own = imps.Prior("base_of_mine", "normal", 0.0, 0.1, "share", "mine", "mine")
    wide = imps.default_priors().add(own).widen("base", 2)
    assert wide["base_of_mine"].sd == 0.1
    assert wide["base_young"].sd == 2 * imps.default_priors()["base_young"].sd
    with pytest.raises(PriorError, match="Known"):
        imps.default_priors().widen("bas", 2)


def test_a_register_may_not_take_the_name_of_rows_that_are_there(sources):
    for name in ("immigration", "census"):
        with pytest.raises(SourceError, match=f"source {name} is given twice"):
            sources.add(register(sources, name))


def test_what_if_takes_the_source_the_prior_and_the_block(fits):
    preview = WhatIf(fits[NAMES[0]].model, np.zeros(len(fits[NAMES[0]].model.scale_names)))
    by_source = preview.changes({"census_coverage": 2.0})
    assert by_source == preview.changes({"census": 2.0})
    asylum = preview.changes({"asylum_seekers": 2.0})
    block = preview.changes({"asylum_seekers_(immigration)_constant": 2.0})
    assert set(block) < set(asylum)
    assert len(preview.changes({"pensioners_coverage": 2.0})) == 1
