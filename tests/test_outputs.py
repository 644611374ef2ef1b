"""Tables, figures and report: the same numbers everywhere, nothing from outside."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import imps
from imps import plots, tables
from imps.errors import ImpsError
from imps.report.checklist import reporting_checklist
from imps.report.report import SECTIONS, html_report
from imps.report.summary import plain_summary
from imps.report.svg import gap_by_age, migration_error_by_age, pyramid_svg


@pytest.fixture(scope="module")
def page(fitted, attribution, reconciliation, case):
    figures = plots.standard_figures(attribution, reconciliation)
    return html_report(
        fitted, attribution, reconciliation, figures, case=case, computation=[("Seed", "1")]
    )


def test_latex_and_html_print_the_numbers_of_the_table(attribution):
    table = tables.attribution_table(attribution)
    mean = attribution.summary().set_index("source").loc["base", "mean"]
    printed = f"{mean / 1e3:,.1f}"
    latex = table.to_latex()
    assert printed in latex
    assert r"\toprule" in latex
    assert "|" not in latex.split(r"\begin{tabular}")[1].split("}")[0]
    assert printed in table.to_html()
    assert "Means add up; interval ends do not." in latex


def test_csv_takes_empty_text():
    """The empty text begins with nothing, and not like a formula."""
    frame = pd.DataFrame({"name": ["births", "base"], "evidence": ["", "a"]})
    table = tables.PrintedTable(frame, "c", "l", ())
    assert table.csv_text().splitlines()[1] == "births,"


def test_csv_refuses_text_that_a_spreadsheet_would_run(attribution, tmp_path):
    table = tables.attribution_table(attribution)
    frame = table.frame.copy()
    frame.loc[0, "source"] = "=1+1"
    bad = tables.Table(frame, "c", "l", ())
    with pytest.raises(ImpsError, match="begins like a spreadsheet formula"):
        bad.to_csv(tmp_path / "bad.csv")


def test_gap_and_closure_tables(fitted, sources):
    gap = tables.gap_table(fitted).frame
    assert gap["gap"].iloc[0] == pytest.approx(sources.gap)
    assert gap["census_based"].iloc[0] == 58_789_194
    np.testing.assert_allclose(gap["rolled_forward"] - gap["census_based"], gap["gap"])
    closure = tables.closure_table(fitted).frame["persons"]
    assert closure.iloc[:4].sum() == pytest.approx(closure.iloc[4])
    assert closure.iloc[4] + closure.iloc[5] == pytest.approx(closure.iloc[6])


def test_report_is_one_file_without_addresses(page):
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    for target in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{target}"' in page, target
    assert "http" not in page
    assert page.count("<img") == page.count("alt=") == 3
    for heading in SECTIONS:
        if heading[0] != "further":  # nothing but the standard figures is in this page
            assert f"<h2>{heading[1]}</h2>" in page


def test_report_draws_every_cell_of_the_account_with_its_interval(page, attribution, case):
    ages = attribution.gap["age"].size
    frame = gap_by_age(attribution)
    assert len(frame) == 2 * ages
    assert frame["gap"].isna().all()  # the census is a total
    assert "no gap by age" in page and not re.search(r"<title>[^<]*gap [+−]", page)
    assert (frame["lower95"] <= frame["mean"]).all() and (frame["mean"] <= frame["upper95"]).all()
    assert page.count('<g class="cell">') == 2 * ages
    men, women = case.sources.immigration.lower_ages.values
    groups = len(set(men) & set(women))  # no finer than the flows of either sex
    assert page.count('<rect class="cell') == 2 * groups * len(case.sources.years)
    told = gap_by_age(replace(attribution, counted="sex and age"))
    assert told["gap"].sum() == pytest.approx(attribution.total)
    worst = told.loc[told["gap"].idxmax()]
    picture = pyramid_svg(told, label="")
    assert f"gap {worst['gap']:+,.0f} persons; error of the roll-forward" in picture
    assert picture.count('<rect class="plus"') == (told["gap"] >= 0).sum()


def test_error_of_official_migration_sums_to_the_migration_group(
    fitted, attribution, reconciliation
):
    frame = migration_error_by_age(fitted, reconciliation)
    totals = attribution.totals()
    group = attribution.prior.set_index("source")["group"]
    names = [s for s in totals["source"].values if group[s] == "migration"]
    expected = float(totals.sel(source=names).sum("source").mean())
    assert frame["mean"].sum() == pytest.approx(expected, abs=1.0)


def test_checklist_fills_what_the_fit_knows_and_leaves_the_rest_open(fitted, attribution):
    checks = imps.check(fitted)
    table = reporting_checklist(fitted, attribution, checks).set_index("point")
    assert table["step"].nunique() == 7  # a preamble and six steps
    assert f"{checks.table['r_hat'].max():.4f}" in table.loc["Convergence", "says"]
    assert table.loc["Goals of the analysis", "status"] == "open"
    assert table.loc["Decisions and their criteria", "status"] == "open"
    assert table.loc["Other priors and left-out sources", "status"] == "open"
    assert "inside" in table.loc["Prior predictive check", "says"]
    assert (table["says"].str.len() > 20).all()


def test_report_says_plainly_what_is_prior_driven(page, fitted, attribution, reconciliation):
    text = " ".join(plain_summary(fitted, attribution, reconciliation))
    assert "Prior-driven" in text
    assert "population base" in text
    assert "1,243,460 persons above the census" in text
    assert "every interval holds zero" in text
    assert "identify little beyond the sum" in text
    assert "Prior-driven" in page
    assert "What the priors say about the whole gap" in page
    apart = page.split('<section id="afterwards">')[1].split("</section>")[0]
    assert "mid-1991 base lowered" in apart and "<td>351.0</td>" in apart  # thousand
