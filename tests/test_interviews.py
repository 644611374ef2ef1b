"""From interviews to the rows of an account: definition, anonymity, errors, in Python."""

from pathlib import Path

import numpy as np
import pytest
from interview_files import YEARS, interviews_of_years

import imps
from imps.errors import DefinitionError, DesignError, DisclosureError
from imps.survey import SurveyTotals, estimate_totals, flow_rows, published_table, total_errors
from imps.survey.design import calibrations
from imps.survey.simulate import SHIFT_LABELS

SECONDS = 2.0  # CPU seconds that 100,000 interviews to 240 cells may take
CELLS = ["year", "direction", "sex", "age_group"]


@pytest.fixture(scope="module")
def totals() -> SurveyTotals:
    """Totals of three simulated years."""
    records, tables = interviews_of_years()
    weighted, _ = imps.survey.weight_records(records, by=["year"], **tables)
    return estimate_totals(
        weighted,
        cells=CELLS,
        counted="long_term",
        stratum=["year", *SHIFT_LABELS[:4]],
        psu="sampling_unit",
        calibration=calibrations(["year"]),
        sampled=tables["shifts"],
    )


def test_rows_are_every_cell_of_an_account(totals: SurveyTotals) -> None:
    rows = flow_rows(totals, months=12, smallest_count=1)
    assert len(rows) == len(YEARS) * 2 * 2 * 5
    assert (rows["standard_error"] > 0).all()  # of cells that met nobody too
    known = totals.table.replace(
        {"direction": {"arrival": "immigration", "departure": "emigration"}}
    )
    both = rows.merge(known, left_on=["year", "flow", "sex", "age_group"],
                      right_on=CELLS, how="left")  # fmt: skip
    np.testing.assert_array_equal(both["estimate_x"], both["estimate_y"].fillna(0.0))
    flow = imps.SurveyFlow.from_table(
        rows, "immigration", definition="survey", vintage="2011", reference="simulated"
    )
    assert flow.estimate.dims == ("year", "sex", "age_group")
    assert float(flow.estimate.sum()) == pytest.approx(
        rows.loc[rows["flow"] == "immigration", "estimate"].sum()
    )


def test_errors_of_cells_add_to_the_errors_of_the_flows(totals: SurveyTotals) -> None:
    """Cells share shifts: their design errors alone would state the sum a fifth too sure."""
    rows = flow_rows(totals, months=12, smallest_count=1)
    told = total_errors(totals).groupby("flow")[["with_covariance", "as_independent"]]
    told = told.agg(lambda x: np.sqrt((x**2).sum()))
    assert (told["with_covariance"] > 1.2 * told["as_independent"])["immigration"]
    added = rows.groupby("flow")["standard_error"].agg(lambda x: np.sqrt((x**2).sum()))
    np.testing.assert_allclose(added[told.index], told["with_covariance"], rtol=0.05)
    plain = flow_rows(totals, months=12, smallest_count=1, smoothed=False)
    met = plain[plain["contacts"] > 0]
    assert (met["standard_error"] ** 2).sum() == pytest.approx(
        np.nansum(np.diag(totals.covariance)), rel=1e-12
    )
    assert plain.loc[plain["contacts"] == 0, "standard_error"].isna().all()


def test_the_sum_over_cells_that_were_not_met_keeps_the_order_of_the_cells(totals) -> None:
    rows = flow_rows(totals, months=12, smallest_count=1)
    assert not rows.duplicated(["year", "flow", "sex", "age_group"]).any()
    assert rows["year"].is_monotonic_increasing


@pytest.mark.parametrize("months", [3, 6, 11, 13])
def test_another_definition_than_twelve_months_is_refused(totals, months: int) -> None:
    with pytest.raises(DefinitionError, match=f"{months} months or more; an account holds usual"):
        flow_rows(totals, months=months, smallest_count=1)


def test_counts_under_the_threshold_are_refused(totals: SurveyTotals) -> None:
    with pytest.raises(DisclosureError, match=r"COUNT_TOO_SMALL .* fewer than 10 interviews"):
        flow_rows(totals, months=12, smallest_count=10)
    with pytest.raises(DisclosureError, match=r"\(2001 arrival .*Merge age groups"):
        published_table(totals, smallest_count=10)
    wide = totals.aggregate(["year", "direction"])
    assert (published_table(wide, smallest_count=10)["contacts"] >= 10).all()
    with pytest.raises(DefinitionError, match="smallest_count is 0"):
        published_table(totals, smallest_count=0)


def test_other_cells_and_directions_are_refused(totals: SurveyTotals) -> None:
    with pytest.raises(DesignError, match="rows of an account are by year, sex, age_group"):
        flow_rows(totals.aggregate(["year", "direction"]), months=12, smallest_count=1)
    table = totals.table.assign(direction="transit")
    odd = SurveyTotals(table, totals.covariance, totals.cells, "taylor", 1)
    with pytest.raises(DefinitionError, match="direction 'transit'; allowed are arrival"):
        flow_rows(odd, months=12, smallest_count=1)


def test_a_hundred_thousand_interviews_are_quick() -> None:
    import time

    survey = imps.survey.simulate_survey(
        imps.survey.simulate_passengers(seed=1, ports=10, shifts_per_stratum=200),
        seed=1,
        sampled_per_stratum=45,
    )
    rng = np.random.default_rng(1)
    records = survey.records.assign(group=rng.integers(0, 12, len(survey.records)))
    assert len(records) > 100_000
    start = time.process_time()
    weighted, _ = imps.survey.weight_records(records, **survey.totals())
    found = estimate_totals(
        weighted,
        cells=["direction", "sex", "age_group", "group"],
        counted="long_term",
        stratum=SHIFT_LABELS[:4],
        psu="sampling_unit",
        calibration=calibrations(),
        sampled=survey.shifts,
    )
    assert time.process_time() - start < SECONDS
    assert found.covariance.shape[0] > 230


def test_public_names_of_the_survey_are_there() -> None:
    for name in imps.survey.__all__:
        assert getattr(imps.survey, name) is not None
    assert Path(imps.survey.__file__).name == "__init__.py"
