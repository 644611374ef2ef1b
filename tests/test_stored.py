"""The answers of the shipped cases stand as they are stored, and saved fits of before load.

When answers change on purpose: `uv run python tests/stored.py` writes the stored ones anew.
"""

import numpy as np
import pandas as pd
import pytest
from pandas.api.types import is_numeric_dtype
from stored import CASES, DATA, FITS, figures_of, stored, tables_of

import imps

RELATIVE = 1e-9
OF_LARGEST = 1e-13
"""A number that is a difference of large ones has their rounding, a share of the largest."""

RANKS = {"r_hat": 1e-4, "ess_bulk": 0.02, "ess_tail": 0.02}
"""Diagnostics made of ranks jump where two draws tie to the rounding of a machine."""

KEYS = {
    "attribution": ["source"],
    "attribution_by_sex": ["source"],
    "attribution_groups": ["group"],
    "back_series": ["year"],
    "checks": ["quantity"],
    "closure": ["line"],
    "closure_by_sex_and_age": ["sex", "age"],
    "gap": ["level", "sex", "age", "basis"],
    "net_and_gross": ["what"],
    "net_migration": ["year"],
    "new_base": ["line"],
    "priors": ["name"],
    "response": ["true error in"],
    "roll_forward": ["year"],
    "sources": ["source", "detail"],
    "stability": ["by", "left_out", "group"],
}


@pytest.fixture(scope="module", params=CASES)
def answers(request):
    """A case as it is answered now and as it is stored."""
    run = imps.run(request.param, seed=1, progress=False)
    return request.param, run


def assert_same_numbers(now, before, where):
    """Every number of the stored rows, in order, to RELATIVE."""
    assert set(before) <= set(now), where
    for column in before:
        if not is_numeric_dtype(before[column]):
            continue
        then = before[column].to_numpy(dtype=float)
        size = np.nanmax(np.abs(then), initial=0.0, where=np.isfinite(then))
        np.testing.assert_allclose(
            now[column].to_numpy(dtype=float),
            then,
            rtol=RANKS.get(column, RELATIVE),
            atol=OF_LARGEST * size,
            err_msg=f"{where}, column {column}",
        )


def test_every_number_of_the_tables_stands(answers):
    case, run = answers
    tables = tables_of(run)
    for name, before in stored(case, "tables").items():
        keys = KEYS[name]
        now = tables[name].astype({k: before[k].dtype for k in keys}).set_index(keys)
        before = before.set_index(keys)
        assert before.index.is_unique, name
        missing = before.index.difference(now.index)
        assert missing.empty, f"{case}, {name}: no row {list(missing)}"
        assert_same_numbers(now.loc[before.index], before, f"{case}, {name}")


def test_every_number_of_the_figures_stands(answers):
    case, run = answers
    figures = figures_of(run)
    for name, before in stored(case, "figures").items():
        now = figures[name]
        assert len(now) == len(before), f"{case}, {name}"
        assert_same_numbers(now, before, f"{case}, {name}")


@pytest.mark.parametrize("case", FITS)
def test_a_fit_saved_before_loads(case):
    fit = imps.load_fit(DATA / "fits" / f"{case}.nc")
    before = pd.read_csv(DATA / "fits" / f"{case}.csv")
    now = imps.attribute(fit).summary()
    assert_same_numbers(
        now.set_index("source").loc[before["source"]], before.set_index("source"), case
    )
    assert not [reason for reason in fit.stale if "version" not in reason], fit.stale
