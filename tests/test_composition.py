"""From the passenger survey to TIM and back; definitions that must not be mixed; switchers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imps.errors import DefinitionError, MissingCellError, SourceError
from imps.survey.components import (
    armed_forces_component,
    asylum_component,
    irish_component,
    resettlement_component,
)
from imps.survey.composition import (
    Basis,
    Component,
    ComponentKind,
    Definition,
    FlowSeries,
    compose_tim,
    decompose_tim,
    require_same_definition,
    survey_within_tim,
)
from imps.survey.simulate import simulate_stays
from imps.survey.switchers import switchers, turning_shares

FIGURES = Path(__file__).parent / "data" / "published"
EXACT = 1e-12
YEARS = (2006, 2007, 2008, 2009)


def flows(value: float, error: float, years: tuple[int, ...] = YEARS) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"year": year, "flow": flow, "estimate": value + year - 2000, "standard_error": error}
            for year in years
            for flow in ("immigration", "emigration")
        ]
    )


def series(basis: Basis = Basis.IPS, **options: object) -> FlowSeries:
    return FlowSeries(flows(500_000, 18_000), basis, "invented, one vintage", **options)


def part(kind: ComponentKind, value: float, error: float = 1000.0, **options: object) -> Component:
    years = (2006, 2007) if kind is ComponentKind.IRISH else YEARS
    table = flows(value, error, years)
    return Component(kind, table, "it is as invented", "invented", **options)


def all_parts() -> list[Component]:
    return [
        part(ComponentKind.VISITOR_SWITCHERS, 30_000),
        part(ComponentKind.MIGRANT_SWITCHERS, 20_000),
        part(ComponentKind.ASYLUM, 40_000, 4000),
        part(ComponentKind.IRISH, 15_000, 3000),
    ]


def test_composition_by_hand() -> None:
    total = compose_tim(series(), all_parts()).table.set_index(["year", "flow"])
    at = total.loc[(2006, "immigration")]
    assert at["estimate"] == 500_006 + 30_006 - 20_006 + 40_006 + 15_006
    assert at["standard_error"] == pytest.approx(
        np.sqrt(18_000**2 + 2 * 1000**2 + 4000**2 + 3000**2), rel=EXACT
    )
    # from 2008 Irish flows are inside the survey: nothing is added, and no error either
    late = total.loc[(2008, "emigration")]
    assert late["estimate"] == 500_008 + 30_008 - 20_008 + 40_008
    assert late["standard_error"] == pytest.approx(
        np.sqrt(18_000**2 + 2 * 1000**2 + 4000**2), rel=EXACT
    )


def test_composition_and_its_reverse_cancel() -> None:
    total = compose_tim(series(), all_parts())
    assert total.basis is Basis.TIM and ComponentKind.IRISH in total.holds
    back = survey_within_tim(total, all_parts())
    pd.testing.assert_series_equal(back.table["estimate"], series().table["estimate"] * 1.0)
    assert (back.table["standard_error"] > total.table["standard_error"]).all()
    left = decompose_tim(total, series(), all_parts())
    np.testing.assert_allclose(left["remainder"], 0, atol=1e-6)


def test_remainder_is_the_switchers_where_they_are_not_known() -> None:
    total = compose_tim(series(), all_parts())
    known = [c for c in all_parts() if c.kind in (ComponentKind.ASYLUM, ComponentKind.IRISH)]
    left = decompose_tim(total, series(), known)
    np.testing.assert_allclose(left["remainder"], 10_000, rtol=EXACT)
    added = left["survey"] + left["asylum seekers and dependants"]
    added += left["flows with the Irish Republic"] + left["remainder"]
    np.testing.assert_allclose(added, left["total"], rtol=EXACT)


def test_switchers_are_not_added_to_a_series_that_holds_them() -> None:
    total = compose_tim(series(), all_parts())
    with pytest.raises(DefinitionError, match=r"basis TIM .*already holds .*visitor switchers"):
        compose_tim(total, all_parts()[:1])
    published = series(Basis.TIM)  # a published TIM series holds them by definition
    with pytest.raises(DefinitionError, match=r"count people twice\. Start from the IPS series"):
        compose_tim(published, all_parts()[:1])
    with pytest.raises(DefinitionError, match="only a TIM series holds components"):
        survey_within_tim(series(), all_parts())
    partly = compose_tim(series(), all_parts()[:3], left_out=[ComponentKind.IRISH])
    with pytest.raises(DefinitionError, match="does not hold flows with the Irish Republic"):
        survey_within_tim(partly, all_parts())


def test_definitions_are_not_mixed_and_the_difference_is_explained() -> None:
    short = series(definition=Definition.SHORT_TERM)
    with pytest.raises(DefinitionError) as caught:
        compose_tim(short, all_parts())
    message = str(caught.value)
    assert "long_term: a change of usual residence for 12 months or more" in message
    assert "short_term: a stay of at least 3 and under 12 months" in message
    settled = part(ComponentKind.RESETTLEMENT, 5000, definition=Definition.SETTLEMENT)
    with pytest.raises(DefinitionError, match="not a flow across the border"):
        require_same_definition(series(), settled)
    require_same_definition(series(), *all_parts())


def test_a_missing_component_or_year_is_refused() -> None:
    with pytest.raises(MissingCellError, match=r"components migrant switchers.*left_out"):
        parts = [c for c in all_parts() if c.kind is not ComponentKind.MIGRANT_SWITCHERS]
        compose_tim(series(), parts)
    short = Component(
        ComponentKind.ASYLUM, flows(1.0, 1.0, (2006, 2007, 2008)), "invented", "invented"
    )
    parts = [c for c in all_parts() if c.kind is not ComponentKind.ASYLUM]
    with pytest.raises(MissingCellError, match=r"asylum seekers and dependants: no value .*2009"):
        compose_tim(series(), [*parts, short])
    with pytest.raises(DefinitionError, match="given twice"):
        compose_tim(series(), [*all_parts(), all_parts()[0]])


def test_irish_flows_end_in_2007() -> None:
    good = flows(15_000, 0.0, (2006, 2007)).drop(columns="standard_error")
    component = irish_component(good, relative_error=0.2, reference="invented")
    np.testing.assert_allclose(
        component.table["standard_error"], 0.2 * component.table["estimate"], rtol=EXACT
    )
    late = flows(15_000, 0.0).drop(columns="standard_error")
    with pytest.raises(DefinitionError, match="2008, 2009: from 2008 they are inside the survey"):
        irish_component(late, relative_error=0.2, reference="invented")
    # a series that starts in 2008 does not ask for them
    recent = FlowSeries(flows(5e5, 1e4, (2008, 2009)), Basis.IPS, "invented")
    assert len(compose_tim(recent, all_parts()[:3]).table) == 4


def test_asylum_by_hand_and_by_simulation() -> None:
    cases = pd.DataFrame(
        {
            "year": [2000],
            "applications": [80_000.0],
            "dependants": [18_000.0],
            "returns": [9_000.0],
            "withdrawals": [3_000.0],
        }
    )
    shares = {
        "share_in_survey": (0.10, 0.03),
        "share_leaving_within_year": (0.06, 0.02),
        "share_of_departures_counted": (0.7, 0.1),
    }
    found = asylum_component(cases, **shares, reference="invented").table.set_index("flow")
    assert found.loc["immigration", "estimate"] == pytest.approx(98_000 * 0.9 * 0.94, rel=EXACT)
    assert found.loc["emigration", "estimate"] == pytest.approx(12_000 * 0.7, rel=EXACT)
    assert found.loc["emigration", "standard_error"] == pytest.approx(1200, rel=EXACT)
    rng = np.random.default_rng(1)
    p, q = rng.normal(0.10, 0.03, 200_000), rng.normal(0.06, 0.02, 200_000)
    spread = (98_000 * (1 - p) * (1 - q)).std()
    assert found.loc["immigration", "standard_error"] == pytest.approx(spread, rel=0.01)
    with pytest.raises(SourceError, match=r"share in survey is 1\.2"):
        asylum_component(cases, **{**shares, "share_in_survey": (1.2, 0.1)}, reference="x")


def test_resettlement_by_hand_and_by_simulation() -> None:
    arrivals = pd.DataFrame({"year": [2016, 2017], "persons": [5000.0, 6000.0]})
    shares = {"share_in_survey": (0.05, 0.02), "share_leaving_within_year": (0.03, 0.01)}
    component = resettlement_component(arrivals, **shares, reference="invented")
    assert component.kind is ComponentKind.RESETTLEMENT and component.reference == "invented"
    assert "5% of resettled people are in the survey, 3% of the others" in component.assumption
    assert component.common_error
    found = component.table.set_index(["flow", "year"])
    np.testing.assert_allclose(
        found.loc["immigration", "estimate"], [5000 * 0.95 * 0.97, 6000 * 0.95 * 0.97], rtol=EXACT
    )
    # who leaves later is the survey's to count
    assert (found.loc["emigration", ["estimate", "standard_error"]] == 0).all().all()
    rng = np.random.default_rng(2)
    p, q = rng.normal(0.05, 0.02, 200_000), rng.normal(0.03, 0.01, 200_000)
    spread = (5000 * (1 - p) * (1 - q)).std()
    assert found.loc[("immigration", 2016), "standard_error"] == pytest.approx(spread, rel=0.01)
    with pytest.raises(SourceError, match=r"resettlement: share leaving within a year is -0\.1"):
        resettlement_component(
            arrivals, **{**shares, "share_leaving_within_year": (-0.1, 0.0)}, reference="x"
        )
    with pytest.raises(SourceError, match="resettlement arrivals: no column persons"):
        resettlement_component(arrivals[["year"]], **shares, reference="x")


FORCES = pd.DataFrame(
    {
        "year": [2005, 2006, 2007, 2008, 2009],
        "persons": [20_000.0, 21_000.0, 19_000.0, 19_000.0, 19_500.0],
        "standard_error": [300.0, 400.0, 0.0, 0.0, 0.0],
    }
)


def test_armed_forces_are_the_change_of_their_stock() -> None:
    component = armed_forces_component(FORCES, share_in_survey=(0.1, 0.05), reference="invented")
    assert component.kind is ComponentKind.ARMED_FORCES
    assert "10% of it in the survey" in component.assumption
    found = component.table.pivot(index="year", columns="flow", values="estimate")
    assert found["immigration"].tolist() == [900.0, 0.0, 0.0, 450.0]
    assert found["emigration"].tolist() == [0.0, 1800.0, 0.0, 0.0]
    error = component.table.set_index(["year", "flow"])["standard_error"]
    assert error[(2006, "immigration")] == pytest.approx(np.hypot(0.9 * 500, 1000 * 0.05))
    assert error[(2007, "emigration")] == pytest.approx(np.hypot(0.9 * 400, 2000 * 0.05))
    rng = np.random.default_rng(3)
    n = 200_000
    stocks = rng.normal([[20_000], [21_000]], [[300], [400]], (2, n))
    spread = ((stocks[1] - stocks[0]) * (1 - rng.normal(0.1, 0.05, n))).std()
    assert error[(2006, "immigration")] == pytest.approx(spread, rel=0.01)


def test_bad_stocks_of_armed_forces_are_refused() -> None:
    def build(table: pd.DataFrame, share: tuple[float, float] = (0.0, 0.0)) -> Component:
        return armed_forces_component(table, share_in_survey=share, reference="x")

    with pytest.raises(MissingCellError, match=r"stocks of 2005, 2007.*without gaps"):
        build(FORCES.iloc[[0, 2]])
    with pytest.raises(MissingCellError, match="the change between two of them"):
        build(FORCES.iloc[:1])
    with pytest.raises(SourceError, match="missing or negative"):
        build(FORCES.assign(persons=-1.0))
    with pytest.raises(SourceError, match=r"armed forces: share in survey is 1\.5"):
        build(FORCES, (1.5, 0.0))
    with pytest.raises(SourceError, match="standard error -1"):
        build(FORCES, (0.5, -1.0))


def test_resettlement_and_armed_forces_are_optional_parts_of_the_total() -> None:
    survey, parts = series(), all_parts()
    plain = compose_tim(survey, parts)
    arrivals = pd.DataFrame({"year": YEARS, "persons": 4000.0})
    resettled = resettlement_component(
        arrivals,
        share_in_survey=(0.0, 0.0),
        share_leaving_within_year=(0.0, 0.01),
        reference="invented",
    )
    forces = armed_forces_component(FORCES, share_in_survey=(0.0, 0.0), reference="invented")
    total = compose_tim(survey, [*parts, resettled, forces])
    added = (total.table["estimate"] - plain.table["estimate"]).to_list()
    assert added == [4000 + 1000, 0, 4000, 2000, 4000, 0, 4000 + 500, 0]
    back = survey_within_tim(total, [*parts, resettled, forces])
    np.testing.assert_allclose(back.table["estimate"], survey.table["estimate"], rtol=EXACT)
    # once inside they are not added again
    with pytest.raises(DefinitionError, match=r"already holds .*armed forces"):
        compose_tim(total, [forces])
    with pytest.raises(MissingCellError, match=r"armed forces: no value for \(2006, 'imm"):
        compose_tim(
            survey,
            [
                *parts,
                armed_forces_component(
                    FORCES.iloc[1:], share_in_survey=(0.0, 0.0), reference="invented"
                ),
            ],
        )


def test_published_totals_are_survey_and_adjustment() -> None:
    book = pd.read_csv(FIGURES / "tim_minus_ips_adjustment_1991_2012.csv")
    tables = {
        name: pd.concat(
            pd.DataFrame(
                {
                    "year": book["year"],
                    "flow": flow,
                    "estimate": 1000 * book[f"{name}_{side}"],
                    "standard_error": 0.0,
                }
            )
            for flow, side in (("immigration", "inflow"), ("emigration", "outflow"))
        )
        for name in ("tim", "ips")
    }
    total = FlowSeries(tables["tim"], Basis.TIM, "Hansard 2004 and ONS 2014")
    survey = FlowSeries(tables["ips"], Basis.IPS, "ONS, IPS margins of error, 2013")
    left = decompose_tim(total, survey, []).set_index(["year", "flow"])["remainder"]
    assert left[(1991, "immigration")] == pytest.approx(73_100, abs=1)
    assert left[(2002, "immigration")] == pytest.approx(126_900, abs=1)
    assert left.xs("emigration", level="flow").loc[2008:2012].mean() == pytest.approx(
        24_000, abs=1_000
    )


# --- switchers from records -----------------------------------------------------------

DESIGN = {"stratum": ["stratum"], "psu": "sampling_unit"}


def estimated_switchers(seed: int) -> tuple[float, float, float]:
    truth, interviews = simulate_stays(seed=seed)
    shares = turning_shares(
        interviews, by=["intended_stay"], turned="stayed_long", weight="weight", **DESIGN
    ).assign(year=2001)
    stated = truth.rename(columns={"visitors": "estimate"}).assign(
        year=2000, flow="immigration", standard_error=0.0
    )
    table = switchers(
        ComponentKind.VISITOR_SWITCHERS,
        stated,
        shares,
        by=["intended_stay"],
        drift=0.15,
        reference="simulated",
    ).table
    return truth["switchers"].sum(), table["estimate"][0], table["standard_error"][0]


def test_switchers_are_unbiased_and_their_errors_honest() -> None:
    n = 60
    found = np.array([estimated_switchers(seed) for seed in range(n)])
    z = (found[:, 1] - found[:, 0]) / found[:, 2]
    assert abs(z.mean()) < 3.5 / np.sqrt(n)
    assert abs(z.var() - 1) < 3.5 * np.sqrt(2 / n)


def test_late_interviews_cost_variance() -> None:
    shares = pd.DataFrame(
        {"stay": ["a"], "year": [2001], "share": [0.01], "standard_error": [0.001]}
    )
    stated = pd.DataFrame(
        {
            "year": [2000, 2004],
            "flow": "immigration",
            "stay": "a",
            "estimate": 1e6,
            "standard_error": 2e4,
        }
    )
    kind = ComponentKind.MIGRANT_SWITCHERS
    found = switchers(kind, stated, shares, by=["stay"], drift=0.2, reference="x").table
    np.testing.assert_allclose(found["estimate"], 10_000, rtol=EXACT)
    sampling = (0.01 * 2e4) ** 2 + (1e6 * 0.001) ** 2
    drift = 4 * (0.2 * 0.01 * 1e6) ** 2  # interviews of 2005 are wanted, those of 2001 known
    np.testing.assert_allclose(
        found["standard_error"], np.sqrt([sampling, sampling + drift]), rtol=EXACT
    )
    with pytest.raises(SourceError, match="Shares do change"):
        switchers(kind, stated, shares, by=["stay"], drift=0.0, reference="x")
    with pytest.raises(MissingCellError, match=r"no turning share for \('b',\)"):
        switchers(kind, stated.assign(stay="b"), shares, by=["stay"], drift=0.2, reference="x")


def test_a_class_in_which_nobody_turned_is_not_known_exactly() -> None:
    interviews = simulate_stays(seed=1)[1].assign(stayed_long=False)
    shares = turning_shares(
        interviews, by=["intended_stay"], turned="stayed_long", weight="weight", **DESIGN
    )
    np.testing.assert_allclose(shares["share"], 0.5 / (shares["contacts"] + 1), rtol=EXACT)
    assert (shares["standard_error"] > 0).all()


def test_share_and_error_are_the_ratio_estimators() -> None:
    interviews = simulate_stays(seed=3)[1]
    shares = turning_shares(
        interviews, by=["intended_stay"], turned="stayed_long", weight="weight", **DESIGN
    ).set_index("intended_stay")
    part = interviews[interviews["intended_stay"] == "6 to 12 months"]
    total = part["weight"].sum()
    share = (part["weight"] * part["stayed_long"]).sum() / total
    value = part["weight"] * (part["stayed_long"] - share) / total
    sums = value.groupby([part["stratum"], part["sampling_unit"]]).sum()
    units = interviews[["stratum", "sampling_unit"]].drop_duplicates()
    sums = sums.reindex(pd.MultiIndex.from_frame(units), fill_value=0.0)
    by = sums.groupby(level="stratum")
    variance = (by.size() * by.var(ddof=1)).sum()
    assert shares.loc["6 to 12 months", "share"] == pytest.approx(share, rel=EXACT)
    assert shares.loc["6 to 12 months", "standard_error"] == pytest.approx(
        np.sqrt(variance), rel=1e-9
    )


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        ({"flow": "net"}, DefinitionError, "flow net; allowed are immigration, emigration"),
        ({"estimate": -1.0}, SourceError, "missing or negative"),
        ({"year": 2006}, SourceError, "appears twice"),
    ],
)
def test_bad_tables_are_refused(edit: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        FlowSeries(flows(1.0, 1.0).assign(**edit), Basis.IPS, "x")
