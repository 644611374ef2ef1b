"""Numbers that the likelihood takes as set stand in the table of priors and can be replaced."""

from dataclasses import replace

import numpy as np
import pytest

import imps
from imps.account.priors import Priors
from imps.account.stocks import stated_errors
from imps.errors import PriorError
from imps.posterior.archive import pack, unpack

SET = {
    "flow_persistence": 0.9, "bias_persistence": 0.8, "part_constant_share": 0.7,
    "stock_cell_error": 0.0033, "stock_young_men_factor": 1.6, "stock_young_women": 0.4,
    "deaths_cell_error": 0.01, "census_jump_error": 0.15, "scale_log_sd": 0.5,
}  # fmt: skip
"""Rows of the table, with their values."""


@pytest.fixture(scope="module")
def detailed():
    return imps.simulate_account("2001", seed=1).sources


def test_they_are_rows_with_value_meaning_and_reason():
    priors = imps.default_priors()
    for name, value in SET.items():
        row = priors[name]
        assert (row.kind, row.mean, row.sd) == ("fixed", value, 0.0)
        assert row.meaning and row.reference and row.unit
    assert set(SET) <= set(priors.table()["name"])


def test_a_number_that_is_set_otherwise_is_used(detailed):
    priors = imps.default_priors()
    plain = imps.linear_model(detailed, priors)
    twice = imps.linear_model(detailed, priors.replace(stock_young_men_factor={"mean": 3.2}))
    unstated = replace(detailed.census, relative_standard_error=0.0)
    ours, doubled = (stated_errors(m.account.latents, unstated)[0] for m in (plain, twice))
    ratio = doubled / ours
    assert np.all(ratio[0, 20:36] == 2.0)
    assert np.all(np.delete(ratio[0], np.arange(20, 36)) == 1.0) and np.all(ratio[1] == 1.0)
    other = imps.linear_model(detailed, priors.replace(scale_log_sd={"mean": 1.0}))
    h = np.ones(len(plain.scale_names))
    scaled = [m.scale_factors(h)[m.scale_of >= 0] for m in (plain, other)]
    np.testing.assert_allclose(scaled[1] / scaled[0], np.exp(0.5))
    assert "exp(1 h)" in other.priors.table().set_index("name").loc["base_age", "distribution"]


@pytest.mark.parametrize("name", ["flow_persistence", "bias_persistence", "part_constant_share"])
def test_persistence_and_share_move_the_account(detailed, name):
    priors = imps.default_priors()
    plain, other = (
        imps.linear_model(detailed, p) for p in (priors, priors.replace(**{name: {"mean": 0.5}}))
    )
    assert not np.allclose(plain.design, other.design)


def test_what_cannot_be_or_is_used_nowhere_is_refused(sources, detailed):
    priors = imps.default_priors()
    with pytest.raises(PriorError, match=r"'flow_persistence' is 1: it must be at least 0"):
        imps.linear_model(detailed, priors.replace(flow_persistence={"mean": 1.0}))
    with pytest.raises(PriorError, match=r"'flow_persistence' has sd 0\.1 and is fixed"):
        priors.replace(flow_persistence={"sd": 0.1})
    with pytest.raises(PriorError, match=r"'immigration_age' is a scale and has mean 0\.1"):
        priors.replace(immigration_age={"mean": 0.1})
    for given in (0.5, "ab", (0.5,)):
        with pytest.raises(PriorError, match=r"'bias_correlation' is given as .* \(mean, sd\)"):
            priors.replace(bias_correlation=given)
    for beyond in (1.0, -1.0, 1.2):
        with pytest.raises(PriorError, match=r"'bias_correlation' is .* lie in \(-1, 1\)"):
            priors.replace(bias_correlation=(beyond, 0.0))
    with pytest.raises(PriorError, match="is fixed and has no sd"):
        priors.widen("flow_persistence", 2)
    with pytest.raises(PriorError, match="stock_cell_error belongs to no source"):
        imps.linear_model(sources, priors.replace(stock_cell_error={"mean": 0.009}))
    with pytest.raises(PriorError, match="must be above 0"):
        priors.replace(scale_log_sd={"mean": 0.0})


def test_a_table_saved_before_they_were_rows_takes_those_of_the_package(sources):
    old = Priors(tuple(row for row in imps.default_priors().rows if row.name not in SET))
    assert unpack(pack(old, {}), {}) == imps.default_priors()
    model = imps.linear_model(sources, old)
    assert {name: model.priors[name].mean for name in SET} == SET
