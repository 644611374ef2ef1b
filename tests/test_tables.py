"""Tables: the same numbers in CSV, LaTeX, HTML and Word, and LaTeX that compiles."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import docx
import drawn_results as made
import numpy as np
import pandas as pd
import pytest

import imps
from imps import plots, tables
from imps.errors import ImpsError
from imps.results.verdict import Verdict

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
HALF = 0.5  # of the last digit that is printed


@pytest.fixture(scope="module")
def every(case, fitted, attribution, reconciliation):
    """Every table of a fit."""
    checks = imps.check(fitted)
    return [
        tables.attribution_table(attribution),
        tables.groups_table(attribution),
        tables.closure_table(fitted),
        tables.gap_table(fitted),
        tables.net_migration_table(reconciliation),
        tables.response_table_of(fitted),
        tables.roll_forward_table(fitted),
        tables.priors_table(fitted),
        tables.sources_table(fitted),
        tables.variants_table(plots.tornado_data(fitted)),
        tables.computation_table(fitted, checks),
        tables.closure_by_age_table(fitted, attribution),
        tables.by_sex_table(attribution),
        tables.net_and_gross_table(attribution),
        tables.back_series_table(reconciliation, later=case.later_series),
        tables.new_base_table(fitted, attribution),
    ]


def from_latex(text):
    """Rows of cells of a LaTeX table, read back as text."""
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    if r"\endfoot" in text:
        body = text.split(r"\endfoot")[1].split(r"\end{longtable}")[0]
    rows = [line.removesuffix(r"\\").strip() for line in body.strip().splitlines()]
    return [[plain(c) for c in re.split(r"(?<!\\)&", row)] for row in rows]


def plain(cell):
    cell = re.sub(r"\\text\w+\{\}", "~", cell.strip()).replace("$-$", "-").replace("--", "\u2013")
    return re.sub(r"\\([&%$#_{}])", r"\1", re.sub(r"\$([<>])\$", r"\1", cell))


class Cells(HTMLParser):
    """Rows of cells of an HTML table."""

    def __init__(self):
        super().__init__()
        self.rows, self.open = [], False

    def handle_starttag(self, tag, _):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.open = True

    def handle_endtag(self, tag):
        self.open = self.open and tag not in ("td", "th")

    def handle_data(self, text):
        if self.open:
            self.rows[-1][-1] += text


def from_html(text):
    reader = Cells()
    reader.feed(text)
    return reader.rows[1:]


def test_the_same_numbers_stand_in_latex_html_and_word(every, tmp_path):
    tables.to_docx(every, tmp_path / "all.docx")
    document = docx.Document(str(tmp_path / "all.docx"))
    assert len(document.tables) == len(every)
    counted = 0
    for table, grid in zip(every, document.tables, strict=True):
        printed = [[str(v).replace("\u2212", "-") for v in row]
                   for row in table.printed().to_numpy().tolist()]  # fmt: skip
        word = [[c.text.replace("\u2212", "-") for c in row.cells] for row in grid.rows][1:]
        web = [[c.replace("\u2212", "-") for c in row] for row in from_html(table.to_html())]
        assert word == printed, table.label
        assert web == printed, table.label
        assert from_latex(table.to_latex()) == [[plain(c) for c in row] for row in printed]
        counted += sum(len(NUMBER.findall(c)) for row in printed for c in row)
    assert counted > 900


def test_the_csv_rounds_to_what_is_printed(every, tmp_path):
    for table in every:
        table.to_csv(tmp_path / "one.csv")
        back = pd.read_csv(tmp_path / "one.csv")
        printed = table.printed().reset_index(drop=True)
        for column in table.in_thousands:
            if column in table.csv_only:
                continue
            end = "lower" in column, "upper" in column
            name = table._header(column)
            texts = printed[name].str.replace("\u2212", "-").str.replace(",", "")
            found = texts.str.findall(r"-?\d+(?:\.\d+)?").str[1 if end[1] else 0]
            known = found.notna()
            assert (back[column].notna() == known).all(), (table.label, column)
            thousands = found[known].astype(float)
            np.testing.assert_allclose(
                thousands * 1000, back.loc[known, column], atol=HALF * table.rounding + 1e-6
            )


def test_notes_say_unit_rounding_interval_sign_and_verdict(every):
    for table in every[:2]:
        for part in ("Thousand persons, rounded to 100 persons.", "equal-tailed 95 %",
                     "rolled-forward minus census", "Means add up; interval ends do not.",
                     "Fit: usable"):  # fmt: skip
            assert part in table.note, (table.label, part)
            assert part.replace("%", r"\%") in table.to_latex()
            assert part in table.to_html()


def test_every_table_made_from_a_fit_carries_its_verdict(every, fitted):
    verdict = imps.check(fitted).verdict
    assert verdict.usable
    for table in every:
        assert f"Fit: {verdict.brief}" in table.note, table.label
    for plain in (imps.power_scaling(fitted), imps.response_table(fitted)):
        assert Verdict.of(plain) == verdict
    assert plots.plot_power_scaling(imps.power_scaling(fitted), "gap[base]").verdict == verdict
    assert plots.plot_tornado(plots.tornado_data(fitted)).verdict == verdict


def test_no_published_or_estimated_number_stands_without_its_interval(every):
    for table in every:
        for column in ("mean", "survey"):
            if column in table.frame:
                assert any("interval" in c for c in table.printed()), table.label


def test_rounding_is_set_once():
    coarse = made.attribution()
    table = tables.attribution_table(coarse)
    whole = tables.Table(table.frame, "c", "l", (), table.in_thousands, rounding=1000.0)
    row = whole.printed().iloc[0]
    assert row["mean (thousand)"] == "60"
    assert re.fullmatch(r"\[\u2212?\d+, \d+\]", row["95 % interval (thousand)"])


def test_small_priors_are_not_rounded_to_nothing(every):
    printed = every[7].printed()
    row = printed[printed["name"] == "base_level"].iloc[0]
    assert row["95 % interval"] == "[\u22120.00686, 0.00686]"


def test_sources_are_counted_and_have_a_digest(every, fitted, case):
    frame = every[8].frame.set_index("source")
    assert frame.loc["base", "figures"] == 1  # a total; its ages are a schedule
    assert frame.loc["immigration", "figures"] == case.sources.immigration.estimate.size
    assert frame["digest"].str.fullmatch(r"[0-9a-f]{12}").all()
    moved = replace(case.sources.census, count=case.sources.census.count + 1e-3)
    model = imps.linear_model(replace(case.sources, census=moved), imps.default_priors())
    again = tables.sources_table(replace(fitted, model=model)).frame.set_index("source")
    changed = again["digest"] != frame["digest"]
    assert list(changed[changed].index) == ["census"]


def test_computation_table_holds_the_checks(fitted):
    checks = imps.check(fitted)
    frame = tables.computation_table(fitted, checks).frame.set_index("item")["value"]
    assert frame["Largest R-hat"] == f"{checks.table['r_hat'].max():.4f}"
    assert frame["Verdict"] == checks.verdict.level


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_compiles(every, tmp_path):
    awkward = tables.Table(
        pd.DataFrame({"source": ["a_b & 5 % of #1 {x} ~ ^ <y>"], "value": [-1234.5]}),
        "A_caption & 5 %", "tab:x", ("A note with $ and _.",),
    )  # fmt: skip
    head = r"\documentclass{article}\usepackage{booktabs,array,longtable}"
    page = r"\usepackage[a4paper,margin=2.5cm]{geometry}\begin{document}"
    body = "\n\\clearpage\n".join(t.to_latex() for t in [*every, awkward])
    (tmp_path / "t.tex").write_text(f"{head}{page}\n{body}\n\\end{{document}}", "utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    log = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, log[-2000:]
    too_wide = [float(x) for x in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(too_wide, default=0.0) < 72  # points; the widest stand out by less than an inch


def test_word_says_how_to_install_it(monkeypatch, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(ImpsError, match=r"pip install 'imps-reconcile\[word\]'"):
        tables.attribution_table(made.attribution()).to_docx(tmp_path / "t.docx")
