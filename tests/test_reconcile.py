"""True stocks and flows in every draw."""

import numpy as np
import pytest

from imps.results.reconciliation import NET_COLUMNS


def test_balancing_equation_holds_in_every_draw(reconciliation):
    assert reconciliation.closure() < 1e-8
    r = reconciliation
    change = r.population.isel(year=-1) - r.population.isel(year=0)
    parts = r.births.sum(("year", "sex")) - r.deaths.sum(("year", "sex", "age"))
    parts = parts + r.net_migration.sum(("year", "sex", "age")) + r.residual.sum(("sex", "age"))
    assert float(abs(change.sum(("sex", "age")) - parts).max()) < 1e-6


def test_population_meets_the_linear_map(reconciliation, fitted):
    linear = fitted.model.evaluate(fitted.model.account.population(2001), fitted.latents())
    drawn = reconciliation.population.sel(year=2001).values.reshape(linear.shape)
    assert np.abs(linear - drawn).max() < 1e-6


def test_no_negative_population_and_negative_flows_are_reported(reconciliation):
    assert float(reconciliation.population.min()) > 0
    assert 0 <= reconciliation.negative_flows < 0.02


def test_net_migration_table(reconciliation, sources):
    table = reconciliation.net_migration_by_year()
    assert list(table.columns) == NET_COLUMNS
    assert table["year"].tolist() == list(range(1992, 2002))
    assert table["carried"].sum() == pytest.approx(
        float(sources.rolled_forward.total[-1] - sources.rolled_forward.total[0])
        - float(sources.natural_change.sum())
    )
    assert (table["lower95"] < table["mean"]).all()


def test_back_series_is_printed_beside_the_published(reconciliation):
    table = reconciliation.population_by_year()
    assert table["rolled_forward"].iloc[0] == 57_808_000
    gap = float(reconciliation.gap.sum())
    for column in ("period_apportionment", "cohort_apportionment"):
        assert table[column].iloc[0] == table["rolled_forward"].iloc[0]
        assert table[column].iloc[-1] == pytest.approx(table["rolled_forward"].iloc[-1] - gap)
    half = table.set_index("year").loc[1996]
    assert half["period_apportionment"] == pytest.approx(half["rolled_forward"] - gap / 2)
    assert len(reconciliation.back_series()) == 11 * 2 * 91
    assert len(repr(reconciliation).splitlines()) <= 10


def test_apportionment_along_cohorts_by_hand():
    from imps.results.reconciliation import _share_along_cohorts

    share = _share_along_cohorts(n_ages=5, elapsed=1, years=2)
    # aged 0 at the end: not born; aged 1: half a year of one and a half; the rest: half
    np.testing.assert_allclose(share, [0.0, 0.5 / 1.5, 0.5, 0.5, 0.5])
