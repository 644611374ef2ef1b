"""Migrant children whom the survey of a simulated account does not see."""

import pytest

from imps.simulation.simulate import Scenario, simulate_account

MANY = 100_000.0


@pytest.mark.parametrize(("band", "further"), [((0, 9), 0.0), ((10, 19), MANY)])
def test_children_unseen_are_missing_in_the_survey_and_stand_in_the_truth(band, further):
    usual = simulate_account("null", seed=1)
    more = {band: further} if further else {}
    planted = simulate_account(Scenario(unseen={band: MANY}, further=more), seed=1)
    assert planted.contributions["immigration_bias"] == pytest.approx(-MANY, rel=0.02)
    came = (planted.population - usual.population).sum("sex")
    assert float(came.sel(age=slice(*band)).sum()) == pytest.approx(further, rel=0.001)
    assert float(came.sum()) == pytest.approx(further, rel=0.001)
