"""Schedules and smooth shapes."""

import numpy as np

from imps.demography.schedules import (
    autoregressive,
    group_matrix,
    migration_schedule,
    pull_to_groups,
    smooth_shapes,
    spreading_rule,
    young_adults,
)

LOWER = np.array([[0, 15, 25, 45, 65], [0, 15, 25, 45, 60]], dtype=float)


def test_every_age_is_counted_once():
    groups = group_matrix(LOWER, 91)
    np.testing.assert_allclose(groups.sum(axis=1), 1.0)
    assert groups[0, 0, 0] == 1.0  # born in the interval
    assert groups[0, 0, 15] == groups[0, 1, 15] == 0.5  # reached 15: half moved at 14
    assert groups[0, 3, 62] == 1.0
    assert groups[1, 4, 62] == 1.0  # pension age of women
    assert groups[0, 4, 90] == 1.0


def test_spreading_within_a_group_sums_to_one():
    groups = group_matrix(LOWER, 91)
    rule = spreading_rule(migration_schedule(91, "immigration"), groups)
    np.testing.assert_allclose(rule.sum(axis=-1), 1.0)
    assert ((rule > 0) <= (groups > 0)).all()


def test_pulled_schedule_reaches_its_groups(rng):
    groups = group_matrix(LOWER, 91)
    totals = rng.uniform(5e3, 6e4, (2, 5))
    out = pull_to_groups(migration_schedule(91, "emigration"), groups, totals)
    assert (out > 0).all()
    np.testing.assert_allclose(out.sum(axis=1), totals.sum(axis=1))
    reached = np.einsum("sga,sa->sg", groups, out)
    assert np.abs(np.log(reached / totals)).max() < 0.35  # smooth, so close but not exact


def test_generic_shapes():
    for flow in ("immigration", "emigration"):
        schedule = migration_schedule(91, flow)
        np.testing.assert_allclose(schedule.sum(axis=1), 0.5)
        assert 19 <= schedule[0].argmax() <= 27
    imm, em = (migration_schedule(91, f) for f in ("immigration", "emigration"))
    assert em[0].argmax() > imm[0].argmax()
    assert young_adults(91).argmax() == 28


def test_smooth_shapes_have_unit_size_and_are_independent():
    shapes = smooth_shapes(91, 12)
    np.testing.assert_allclose((shapes**2).sum(axis=1).mean(), 1.0)
    gram = shapes.T @ shapes
    off = gram - np.diag(np.diag(gram))
    assert np.abs(off).max() < 1e-8 * gram.max()


def test_autoregression_has_the_correlation_it_says():
    factor = autoregressive(6, 0.9)
    np.testing.assert_allclose((factor @ factor.T)[0], 0.9 ** np.arange(6))
