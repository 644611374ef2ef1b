"""Published IPS tables: standard errors, design effects, the smoothed variance function."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imps.errors import DefinitionError, MissingCellError, SourceError
from imps.sources import SurveyFlow
from imps.survey.variance_function import (
    ERAS,
    ROUNDING,
    design_effect,
    era_of,
    errors_at_expected,
    fit_variance_function,
    load_published_ips,
    net_standard_error,
    pooled_design_effect,
    smoothed_sizes,
    smoothed_standard_errors,
    standard_error,
)

WORKBOOK = Path(__file__).parent / "data" / "published" / "ips_migration_estimates_1975_2012.csv.gz"
EXACT = 1e-12
PRINTED = 0.05  # design effects are quoted to one decimal


@pytest.fixture(scope="module")
def cells() -> pd.DataFrame:
    return load_published_ips()


@pytest.fixture(scope="module")
def headline() -> pd.DataFrame:
    return load_published_ips(headline=True)


def test_shipped_table_is_complete_and_adds_up(cells: pd.DataFrame, headline: pd.DataFrame) -> None:
    assert len(cells) == 38 * 2 * 2 * 5 and len(headline) == 38 * 2
    assert not cells.isna().any().any()
    keys = ["year", "flow"]
    added = cells.groupby(keys)[["estimate", "contacts"]].sum()
    total = headline.set_index(keys)[["estimate", "contacts"]].sort_index()
    # ten cells, each rounded to 100
    assert (added["estimate"] - total["estimate"]).abs().max() <= 10 * ROUNDING / 2
    np.testing.assert_array_equal(added["contacts"], total["contacts"])
    year = headline.query("year == 2012").set_index("flow")
    assert year.loc["immigration", "estimate"] == 462_300
    assert year.loc["emigration", "contacts"] == 1755


def test_shipped_table_is_the_workbook(cells: pd.DataFrame) -> None:
    book = pd.read_csv(WORKBOOK).query("characteristic == 'Age and Sex' and flow != 'balance'")
    book = book[book["sex"].isin(["Males", "Females"]) & (book["category"] != "All ages")]
    for column, source in [
        ("estimate", "estimate_thousands"),
        ("half_width_95", "ci95_halfwidth_thousands"),
    ]:
        np.testing.assert_allclose(np.sort(cells[column]), np.sort(book[source] * 1000), rtol=1e-9)


def test_net_error_is_the_root_of_the_sum_of_squares_in_every_published_cell() -> None:
    book = pd.read_csv(WORKBOOK)
    keys = ["year", "characteristic", "category", "sex", "area_code"]
    wide = book.assign(area_code=book["area_code"].fillna("UK")).pivot_table(
        values="ci95_halfwidth_thousands", index=keys, columns="flow", sort=False
    )
    wide = wide.dropna()
    assert len(wide) == 4302
    net = 1.96 * net_standard_error(standard_error(wide["inflow"]), standard_error(wide["outflow"]))
    assert np.abs(net - wide["balance"]).max() <= 0.11


@pytest.mark.parametrize(
    ("first", "last", "flow", "expected"),
    [
        (1991, 2000, "immigration", 3.6),
        (1991, 2000, "emigration", 2.0),
        (2009, 2012, "immigration", 2.1),
        (2009, 2012, "emigration", 2.1),
    ],
)
def test_design_effects_of_the_published_totals(
    headline: pd.DataFrame, first: int, last: int, flow: str, expected: float
) -> None:
    rows = headline[headline["year"].between(first, last) & (headline["flow"] == flow)]
    se = standard_error(rows["half_width_95"])
    pooled = pooled_design_effect(rows["estimate"], se, rows["contacts"])
    assert abs(pooled - expected) <= PRINTED


def test_design_effect_by_hand() -> None:
    found = design_effect([1000.0, 0.0], [100.0, 10.0], [50, 0])
    assert found[0] == pytest.approx(0.1**2 * 50, rel=EXACT)
    assert np.isnan(found[1])


def test_factors_follow_the_surveys_history(cells: pd.DataFrame) -> None:
    factors = fit_variance_function(cells).factors
    assert len(factors) == 2 * len(ERAS)
    table = factors.pivot_table(values="factor", index="era", columns="flow")
    # one interview of an immigrant always carried more variance than a simple one
    assert (table > 1.5).all().all()
    assert table.loc["2009-", "immigration"] < 0.6 * table.loc["2001-2006", "immigration"]
    # variance in proportion to size: the slope of the log-log line is near 1 in every era
    assert factors["slope"].between(0.9, 1.2).all()


def test_smoothing_keeps_the_sum_of_variances(cells: pd.DataFrame) -> None:
    published = (standard_error(cells["half_width_95"]) ** 2).sum()
    smoothed = (smoothed_standard_errors(cells) ** 2 - ROUNDING**2 / 12).sum()
    # the factors are ratios of sums, so the sum moves only through the smoothed sizes
    assert smoothed == pytest.approx(published, rel=0.01)


def test_sizes_keep_the_total_of_every_year(cells: pd.DataFrame) -> None:
    keys = ["year", "flow"]
    added = cells.assign(size=smoothed_sizes(cells)).groupby(keys)[["size", "estimate"]].sum()
    np.testing.assert_allclose(added["size"], added["estimate"], rtol=EXACT)


def test_a_cell_without_contacts_never_has_zero_variance(cells: pd.DataFrame) -> None:
    part = cells.query("1991 <= year <= 2000").reset_index(drop=True)
    oldest = (part["age_group"] == "60/65+") & (part["sex"] == "male")
    part.loc[oldest, ["estimate", "contacts", "half_width_95"]] = 0
    se = smoothed_standard_errors(part)
    assert (se[oldest] > ROUNDING / np.sqrt(12)).all()
    weight = part.groupby(["flow", "year"])[["estimate", "contacts"]].transform("sum")
    per_contact = (weight["estimate"] / weight["contacts"])[oldest]
    # no contact in ten years still leaves room for a few hundred persons a year
    assert (se[oldest] > 0.2 * per_contact).all()


def test_smoothed_error_does_not_follow_the_cells_own_luck(cells: pd.DataFrame) -> None:
    part = cells.query("1991 <= year <= 2000").reset_index(drop=True)
    low = part.copy()
    row = part.query("year == 1995 and flow == 'immigration' and sex == 'male'").index[4]
    low.loc[row, ["estimate", "half_width_95"]] = [500, 100]
    before, after = smoothed_standard_errors(part)[row], smoothed_standard_errors(low)[row]
    assert abs(after / before - 1) < 0.15  # one year of ten moved


def test_order_of_rows_and_extra_columns_do_not_matter(cells: pd.DataFrame) -> None:
    mixed = cells.sample(frac=1, random_state=1).assign(note="x")
    expected = pd.Series(smoothed_standard_errors(cells), cells.index)
    np.testing.assert_allclose(
        smoothed_standard_errors(mixed), expected.loc[mixed.index], rtol=EXACT
    )


def test_function_fitted_elsewhere_can_be_passed(cells: pd.DataFrame) -> None:
    function = fit_variance_function(cells)
    part = cells.query("1994 <= year <= 1995").assign(half_width_95=np.nan)
    with pytest.raises(MissingCellError, match=r"1991-2000: none of 20 cells has a half-width"):
        smoothed_standard_errors(part)
    factor = function.factors.query("era == '1991-2000' and flow == 'immigration'")["factor"]
    se = smoothed_standard_errors(part, variance_function=function)
    rows = ((part["flow"] == "immigration") & (part["year"] == 1995)).to_numpy()
    weight = part.loc[rows, "estimate"].sum() / part.loc[rows, "contacts"].sum()
    expected = np.sqrt(factor.iloc[0] * weight * smoothed_sizes(part)[rows] + ROUNDING**2 / 12)
    np.testing.assert_allclose(se[rows], expected, rtol=EXACT)
    late = fit_variance_function(cells.query("year >= 2009"))
    with pytest.raises(MissingCellError, match=r"no factor for .*1991-2000"):
        smoothed_standard_errors(part, variance_function=late)


def test_one_year_of_an_era_is_not_smoothing(cells: pd.DataFrame) -> None:
    part = cells.query("1991 <= year <= 2001")
    with pytest.raises(MissingCellError, match=r"one year only for .*2001-2006.*pooled_over"):
        smoothed_standard_errors(part)
    se = smoothed_standard_errors(part, pooled_over=cells)
    whole = pd.Series(smoothed_standard_errors(cells), cells.index)
    np.testing.assert_allclose(se, whole.loc[part.index], rtol=EXACT)
    fewer = cells[cells["sex"] == "male"]
    with pytest.raises(MissingCellError, match=r"pooled_over: no .*'female'"):
        smoothed_standard_errors(part, pooled_over=fewer)


def test_eras() -> None:
    assert era_of([1990, 1991, 2006, 2007, 2012]).tolist() == [
        *("1975-1990", "1991-2000", "2001-2006", "2007-2008", "2009-")
    ]
    with pytest.raises(DefinitionError, match="year 1974, 2020: outside the IPS eras"):
        era_of([1974, 1980, 2020])


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        ({"flow": "net"}, DefinitionError, "flow net; allowed are immigration, emigration"),
        ({"sex": "persons"}, DefinitionError, "rows are totals"),
        ({"age_group": "all ages"}, DefinitionError, "count everyone twice"),
        ({"estimate": np.nan}, MissingCellError, "not a zero flow"),
        ({"estimate": -5.0}, SourceError, "estimate: 20 of 20 values below 0"),
        ({"sex": "male"}, SourceError, "20 repeated|10 repeated"),
        ({"contacts": 0}, MissingCellError, "no contacts at all"),
    ],
)
def test_bad_tables_are_refused(
    cells: pd.DataFrame, edit: dict, error: type[Exception], message: str
) -> None:
    part = cells.query("year == 1995").assign(**edit)
    with pytest.raises(error, match=message):
        smoothed_standard_errors(part)
    with pytest.raises(SourceError, match="no column contacts"):
        smoothed_standard_errors(cells.drop(columns="contacts"))


# standard errors without contacts, at the expected figure of each cell

COUNTS = np.array([3.0, 8.0, 20.0, 60.0, 150.0])


def drawn(years: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poisson counts of five cells with the root of each as its error."""
    y = np.random.default_rng(3).poisson(COUNTS, (years, COUNTS.size)).astype(float)
    return y, np.sqrt(np.maximum(y, 1.0)), np.ones(y.shape, dtype=bool)


def mean_by_precision(y: np.ndarray, se: np.ndarray) -> np.ndarray:
    return np.asarray((y / se**2).sum(axis=0) / (1 / se**2).sum(axis=0))


def test_a_mean_weighted_by_roots_of_counts_is_one_contact_low_and_no_longer() -> None:
    y, se, seen = drawn()
    at, slope = errors_at_expected(y, se, seen)
    error_of_mean = np.sqrt(COUNTS / len(y))
    assert (mean_by_precision(y, se)[1:] - COUNTS[1:] < -0.7).all()  # the fault
    assert (np.abs(mean_by_precision(y, at) - COUNTS) < 3 * error_of_mean).all()
    assert 0.8 < slope < 1.1
    assert abs((at**2).mean(axis=0) / COUNTS - 1).max() < 0.15


@pytest.mark.parametrize("cv", [0.1, 0.3])
def test_one_coefficient_of_variation_has_slope_two(cv: float) -> None:
    rng = np.random.default_rng(5)
    sizes = np.tile(COUNTS * 1e3, 8)
    y = sizes * np.exp(rng.normal(0, cv, (12, sizes.size)))
    at, slope = errors_at_expected(y, cv * y, np.ones(y.shape, dtype=bool))
    assert slope == pytest.approx(2.0, abs=0.15)
    assert (at / at.mean(axis=0) - 1).std() < 0.5 * (y / y.mean(axis=0) - 1).std()


@pytest.mark.parametrize("kind", ["constant", "by year and cell", "one year", "exact rule"])
def test_errors_that_do_not_follow_their_estimates_stand(kind: str) -> None:
    y, se, seen = drawn(12)
    if kind == "one year":
        y, se, seen = y[:1], se[:1], seen[:1]
    elif kind == "exact rule":
        y = np.outer(np.arange(1.0, 13.0), COUNTS)  # no chance in it: nothing to smooth
        se = np.sqrt(y)
    else:
        se = np.full(y.shape, 4.0) if kind == "constant" else np.outer(np.arange(1, 13), COUNTS)
    at, _ = errors_at_expected(y, se, seen)
    np.testing.assert_allclose(at, se, rtol=1e-9)


def test_an_error_stated_on_purpose_stays_ten_times_as_large() -> None:
    y, se, seen = drawn(12)
    se[4, 2] *= 10
    at, slope = errors_at_expected(y, se, seen)
    others = np.delete(at[:, 2], 4)
    assert 0.7 < slope < 1.2 and 7 < at[4, 2] / others.mean() < 13


def test_cells_that_were_not_published_are_in_no_sum() -> None:
    y, se, seen = drawn(12)
    seen[2:5, 1] = seen[7] = False
    seen[7, 0] = True
    strange = np.where(seen, y, 1e6)
    at, _ = errors_at_expected(strange, se, seen)
    same, _ = errors_at_expected(y, se, seen)
    np.testing.assert_allclose(at, same, rtol=EXACT)
    np.testing.assert_array_equal(at[~seen], se[~seen])


def test_flow_from_a_table_with_errors_has_them_at_the_expected_figures(
    cells: pd.DataFrame,
) -> None:
    rows = cells.query("2002 <= year <= 2011").assign(
        standard_error=lambda x: np.sqrt(20 * np.maximum(x["estimate"], 100))
    )
    flow = SurveyFlow.from_table(
        rows, "immigration", definition="IPS long-term migrants", vintage="v", reference="r"
    )
    published = np.sqrt(20 * np.maximum(flow.estimate, 100))
    assert abs(flow.standard_error / published - 1).max() > 0.05
    np.testing.assert_allclose((flow.standard_error**2).sum(), (published**2).sum(), rtol=0.03)
