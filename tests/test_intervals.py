"""Intervals and summary of draws, against NumPy."""

import numpy as np
import xarray as xr

from imps.intervals import Z95, Z99, ends, level, summary_table


def test_ends_are_equal_tailed_over_all_draws_or_one_axis(rng):
    draws = rng.standard_normal((4, 300))
    np.testing.assert_allclose(ends(draws), np.quantile(draws, [0.025, 0.975]))
    np.testing.assert_allclose(ends(draws, 0.5, axis=0), np.quantile(draws, [0.25, 0.75], axis=0))


def test_summary_has_a_row_a_label_and_names_its_level(rng):
    draws = xr.DataArray(
        rng.standard_normal((2, 3, 50)), dims=("chain", "sex", "draw"),
        coords={"sex": ["female", "male", "all"]},
    )  # fmt: skip
    table = summary_table(draws, 0.9, positive=True)
    assert list(table) == ["sex", "mean", "sd", "lower90", "upper90", "probability_positive"]
    male = draws.sel(sex="male").values
    assert table.loc[1, "sex"] == "male"
    found = table.loc[1, ["mean", "sd", "lower90", "upper90", "probability_positive"]]
    wanted = [male.mean(), male.std(), *np.quantile(male, [0.05, 0.95]), (male > 0).mean()]
    np.testing.assert_allclose(found.to_numpy(float), wanted)
    assert level("lower95", 0.9) == "lower90" and level("mean", 0.9) == "mean"


def test_normal_multipliers():
    from scipy.stats import norm

    np.testing.assert_allclose([Z95, Z99], norm.ppf([0.975, 0.995]), atol=5e-4)


def test_what_is_zero_by_arithmetic_is_not_positive():
    """Rounding of a sum that is zero says nothing of its sign."""
    values = np.array([[[3e-11, -2e-11, 4e-11, 0.02]]])
    draws = xr.DataArray(values, dims=("sex", "chain", "draw"), coords={"sex": ["all"]})
    assert summary_table(draws, positive=True)["probability_positive"].item() == 0.25
