"""Tables, figures and report: the same numbers everywhere, nothing from outside."""

import re

import numpy as np
import pytest

from imps import plots, tables
from imps.errors import ImpsError
from imps.report import html_report, plain_summary


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
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "http" not in page
    assert page.count("<img") == page.count("alt=") == 3
    for heading in ("In short", "Priors", "Data and vintages", "What is not in the intervals"):
        assert heading in page


def test_report_says_plainly_what_is_prior_driven(page, attribution, reconciliation):
    text = " ".join(plain_summary(attribution, reconciliation))
    assert "Prior-driven" in text
    assert "population base" in text
    assert "identify little beyond their sum" in text
    assert "Prior-driven" in page
    assert "What the priors say about the whole gap" in page
    assert "351,000" in page.replace("351000", "351,000")  # published afterwards, apart
