"""Positions in persons become priors that say exactly that."""

import pandas as pd
import pytest
from scipy.stats import norm

import imps
import imps.plots
from imps.account.prior_sets import PRIOR_SETS, Statement
from imps.errors import PriorError

EXACT = 1e-9  # relative: arithmetic


def test_elicited_normal_holds_the_range_with_its_probability():
    mean, sd = imps.elicit(-0.25, 0.05, 0.8)
    assert norm.cdf(0.05, mean, sd) - norm.cdf(-0.25, mean, sd) == pytest.approx(0.8)
    assert norm.cdf(-0.25, mean, sd) == pytest.approx(0.1)
    with pytest.raises(PriorError, match="a range from 2 to 1 is empty"):
        imps.elicit(2, 1)
    with pytest.raises(PriorError, match="must lie between 0 and 1"):
        imps.elicit(1, 2, 90)


@pytest.mark.parametrize("name", PRIOR_SETS)
def test_totals_have_the_stated_mean_and_spread(name, sources, model):
    changed = imps.linear_model(sources, imps.prior_set(name, sources))
    parts = {c.source: c for c in changed.contributions}
    revised = float(parts["flows_revised_since"].value.sum().constant)
    for statement in PRIOR_SETS[name].statements:
        mean, sd = imps.elicit(statement.low, statement.high, statement.probability)
        found = changed.prior_moments(parts[statement.source].prior.sum())
        expected = mean - revised * statement.as_carried_then
        assert float(found[0]) == pytest.approx(expected, rel=EXACT, abs=1e-3)
        assert float(found[1]) == pytest.approx(sd, rel=EXACT)
    unspoken = changed.prior_moments(parts["visitor_switchers"].prior.sum())
    before = next(c for c in model.contributions if c.source == "visitor_switchers")
    assert float(unspoken[1]) == float(model.prior_moments(before.prior.sum())[1])


def test_every_statement_has_a_meaning_and_a_reference():
    sets = [found.statements for found in PRIOR_SETS.values() if found.statements]
    assert len(sets) == 4
    assert all(len(s.meaning) > 10 and len(s.reference) > 10 for found in sets for s in found)


def test_misspelt_sets_and_sources_are_errors(sources):
    with pytest.raises(PriorError, match="Did you mean 'census-missed'"):
        imps.prior_set("census-mised", sources)
    stray = Statement("emigration_bais", 0, 1e5, 0.9, "", "")
    with pytest.raises(PriorError, match="'emigration_bais' but it has no level"):
        imps.stated((stray,), sources)
    twice = Statement("base", 0, 1e5, 0.9, "", "")
    with pytest.raises(PriorError, match="'base' twice"):
        imps.stated((twice, twice), sources)


def test_a_mean_that_would_change_nothing_is_an_error(sources):
    priors = imps.default_priors().replace(immigration_bias_young=(0.01, 0.06))
    with pytest.raises(
        PriorError, match="'immigration_bias_young' has mean 0.01, and it takes none"
    ):
        imps.linear_model(sources, priors)


def test_positions_are_compared_in_a_table_and_a_figure(case, tmp_path, monkeypatch):
    found = imps.compare_priors(case, ("ons-2002", "census-missed"), draws=400)
    share = found.table.groupby("prior_set")["share_of_gap"].sum()
    assert share.to_numpy() == pytest.approx([1.0, 1.0])
    means = found.table.pivot(index="group", columns="prior_set", values="mean")
    assert means.loc["base", "ons-2002"] > means.loc["base", "census-missed"] + 200_000
    assert means.loc["census", "census-missed"] > means.loc["census", "ons-2002"] + 800_000
    figure = imps.plot_prior_sets(found)
    figure.savefig(tmp_path / "sets.png")
    assert "usable" in str(figure.verdict)
    assert "+318" in imps.plots.alt_text(figure)
    assert str(found.verdicts["ons-2002"]) in repr(found)
    calls = {}
    monkeypatch.setattr(
        imps.plots.sensitivity, "compare_priors", lambda c: calls.setdefault(c, found)
    )
    data = imps.plots.figure_data(imps.plot_prior_sets("uk-1991-2001"))  # one call for both
    assert list(calls) == ["uk-1991-2001"]
    pd.testing.assert_frame_equal(data, imps.plots.figure_data(figure))
    assert set(data["prior_set"]) == {"ons-2002", "census-missed"}
    with pytest.raises(PriorError, match="no set of priors is called 'ons-2005'"):
        imps.compare_priors(case, ("ons-2005",))
