"""Numbers and words in README.md and benchmarks/README.md are those of the rows of results.

The numbers are written by `uv run python benchmarks/numbers_of_results.py`.
"""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from numbers_of_results import (
    AREAS,
    CASES,
    MODEL,
    OWN,
    PUBLISHED,
    ROOT,
    SHOWN,
    back,
    band,
    printed,
    ranked,
    rows,
    written,
)

STOCK_ROWS = 2 * 91
"""Rows of the census in the accounts of `bench_scaling.py`, by sex and age."""


@pytest.mark.parametrize("where", [SHOWN, OWN, AREAS])
def test_numbers_are_current(where):
    text = (ROOT / where).read_text("utf-8")
    assert written(where, text) == text, "run: uv run python benchmarks/numbers_of_results.py"


def test_a_number_is_printed_as_the_one_before():
    assert printed(1234.56, like="1,000.1") == "1,234.6"
    assert printed(0.874, like=".90") == ".87"
    assert printed(-12.0, like="+5") == "-12"
    assert printed(12.0, like="-5") == "+12"
    assert printed(0.9004, like=".90") == ".90"


def test_a_changed_row_changes_the_text():
    text = (ROOT / SHOWN).read_text("utf-8")
    wrong = re.sub(r"4,000 draws take [\d.]+", "4,000 draws take 9.9", text)
    assert wrong != text and written(SHOWN, wrong) == text


def test_cost_grows_no_faster_than_years_ages_and_sources():
    """The cost for each year, or age, is nowhere above that of the smallest account.

    Rows of a mirror series see the flow that the survey sees: they join its block, whose
    factor is dense, so that a further series costs more than the one before it. The cost of
    the account grows no faster than the rows of that block, of one direction of the survey.
    """
    table = rows("scaling")
    cost = table["cpu_seconds_of_fit"]
    for grows in ("years", "ages"):
        each = cost[grows] / cost[grows].index
        assert (each <= each.iloc[0]).all(), grows
    size, found = table["rows_of_likelihood"]["mirror series"], cost["mirror series"]
    survey = (size[0] - STOCK_ROWS) / 2
    assert ((found / found[0]) <= 1 + (size - size[0]) / survey).all()


def test_nuts_passed_its_gate_on_every_unseen_data_set():
    table = rows("nuts").reset_index()
    unseen = table[table["data_set"].str.startswith("simulated")]
    assert unseen["gate_passed"].all() and (unseen["divergences"] == 0).all()


def test_words_that_stand_for_numbers_of_the_back_tests():
    """None, two of 20, in its interval, outside of it."""
    early, late = CASES[1:]
    assert band("coverage90", early, "10-19") < 0.8 <= band("coverage90", early, "0-9")
    assert min(band("coverage90", late, ages) for ages in ("0-9", "10-19")) >= 0.8
    sexes = [(early, "female"), (late, "male"), (early, "male"), (late, "female")]
    better = [back("crps", *x, MODEL) < back("crps", *x, PUBLISHED) for x in sexes]
    assert better == [True, True, True, False]
    for case in CASES:
        assert back("coverage90", case, "total", MODEL) == 1
        assert back("coverage95", case, "total", "stated standard errors only") == 0
        assert back("crps", case, "total", MODEL) < back("crps", case, "total", PUBLISHED)


def test_words_that_stand_for_numbers_of_the_calibration():
    """All inside; thirteen wrong models, each found; what each check finds."""
    for account in ("small", "full"):
        assert ranked(account)["inside"].all()
        assert ranked(account)["family_wise_passed"].all()
        assert ranked(account)["least_ess"].min() >= 400
    newest = rows("faults")
    found = newest["found"].astype(str).eq("True").unstack("check", fill_value=False)
    assert not found.loc["none"].any()
    wrong = found.drop(index="none")
    assert len(wrong) == 13
    assert wrong.any(axis=1).all()
    assert wrong["score test"].sum() == 12
    scores = newest.xs("score test", level="check")["value"].drop("none").astype(float)
    assert scores.sort_values().iloc[11] < 1e-6  # of the twelve, as the text says
    assert wrong["contributions sum to the gap"].sum() == 3
