"""The table of priors: every row has a reason, and no name is silently wrong."""

import pytest

import imps
from imps.account.priors import Prior
from imps.errors import PriorError


def test_every_row_says_what_it_means():
    table = imps.default_priors().table()
    assert table["name"].is_unique
    for column in ("distribution", "unit", "meaning", "reference"):
        assert (table[column].str.len() > 3).all(), column


def test_a_misspelt_prior_is_an_error_that_proposes_the_name():
    with pytest.raises(PriorError, match="Did you mean emigration_bias_level"):
        imps.default_priors().replace(emigration_bias_levl=(0.0, 0.1))
    with pytest.raises(PriorError, match="no prior is called basis"):
        imps.default_priors().widen("basis", 2)


def test_replace_widen_add():
    priors = imps.default_priors()
    assert priors.replace(base_level=(0.001, 0.002))["base_level"].mean == 0.001
    wide = priors.widen("emigration_bias", 2)
    assert wide["emigration_bias_level"].sd == 2 * priors["emigration_bias_level"].sd
    assert wide["emigration_bias_young"].sd == 2 * priors["emigration_bias_young"].sd
    assert wide["immigration_bias_level"] == priors["immigration_bias_level"]
    own = Prior("armed_forces", "normal", 0.0, 0.1, "share", "error of the record", "own")
    assert priors.add(own)["armed_forces"] == own
    with pytest.raises(PriorError, match="already there"):
        priors.add(own).add(own)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_age": (0.1, 0.1)}, "give mean 0"),
        ({"base_level": (0.0, -1.0)}, "must be finite"),
        ({"base_level": (float("nan"), 1.0)}, "must be finite"),
        ({"base_level": {"kind": "gamma"}}, "not normal, scale or fixed"),
    ],
)
def test_impossible_priors_are_refused(change, message):
    with pytest.raises(PriorError, match=message):
        imps.default_priors().replace(**change)


def test_a_prior_without_a_source_is_an_error(sources):
    lone = Prior("armed_forces", "normal", 0.0, 0.1, "share", "error of the record", "own")
    with pytest.raises(PriorError, match="armed_forces belongs to no source"):
        imps.linear_model(sources, imps.default_priors().add(lone))


def test_a_source_without_a_prior_is_an_error(sources):
    rows = tuple(r for r in imps.default_priors().rows if r.name != "visitor_switchers")
    with pytest.raises(PriorError, match="has no prior called 'visitor_switchers'"):
        imps.linear_model(sources, imps.Priors(rows))
