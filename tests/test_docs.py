"""The documentation builds strictly and offline, asks for nothing from outside, and is true."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import imps
from imps.report.equations import EQUATIONS

ROOT = Path(__file__).parents[1]
OUTSIDE = re.compile(r'<(?:script|link|img|iframe|source)[^>]*(?:src|href)="?(?:https?:)?//[^>]*')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with every way to the network closed."""
    folder = tmp_path_factory.mktemp("site")
    closed = {f"{p}_proxy": "http://127.0.0.1:9" for p in ("http", "https")}
    outcome = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, **closed, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    assert "WARNING" not in outcome.stderr
    return folder


def page(site, name):
    return (site / name / "index.html").read_text("utf-8")


def test_no_page_asks_for_anything_from_outside(site):
    for path in site.rglob("*.html"):
        assert not OUTSIDE.search(path.read_text("utf-8")), path.relative_to(site)
    assert not list(site.rglob("*hooks*"))


def test_methods_show_every_equation_and_prior(site):
    text = page(site, "methods")
    assert text.count('<math display="block"') >= len(EQUATIONS)
    for name in ("methods", "appendix"):
        assert "arithmatex" not in page(site, name)
    for equation in EQUATIONS:
        assert f"{equation.title}<" in text
    for name in imps.default_priors():
        assert f"<td>{name}</td>" in text


def test_evidence_shows_every_figure_and_every_version(site):
    from imps.account.evidence import evidence_table, versions_table

    text = page(site, "evidence")
    assert "<!--" not in text
    for key in evidence_table()["key"]:
        assert f"<td>{key}</td>" in text
    assert text.count("<tr>") >= len(evidence_table()) + len(versions_table())
    assert "as of 2010" in text


def test_the_measured_numbers_are_shown(site):
    text = "".join(page(site, name) for name in ("validation", "areas", "chains"))
    for path in (ROOT / "benchmarks" / "results").glob("*.csv"):
        assert path.name in text
        rows = pd.read_csv(path)
        if "commit" in rows:  # the ranks behind the figure stand beside a table that has it
            assert str(rows["commit"].iloc[-1]) in text, path.name


def test_validation_says_in_short_what_was_measured(site):
    text = page(site, "validation")
    faults = pd.read_csv(ROOT / "benchmarks" / "results" / "faults.csv")
    for fault in faults["fault"].unique():
        row = re.search(rf"<td>{re.escape(fault)}</td>(.*?)</tr>", text, re.S)[1]
        newest = faults[faults["fault"] == fault].drop_duplicates("check", keep="last")
        assert row.count("<td>found</td>") == newest["found"].sum(), fault
    planted = pd.read_csv(ROOT / "benchmarks" / "results" / "planted.csv", keep_default_na=False)
    for scenario in planted["scenario"].unique():
        assert f"<td>{scenario}</td>" in text.split("<details")[0], scenario
    for picture in ("calibration.png", "scaling.png"):
        assert picture in text


def test_every_notebook_is_a_page_of_the_course(site):
    books = sorted((ROOT / "notebooks").glob("*.ipynb"))
    contents = page(site, "course")
    places = [contents.find(f'href="{book.stem}/"') for book in books]
    assert -1 not in places and places == sorted(places)
    for book, following in itertools.pairwise(books):
        text = page(site, f"course/{book.stem}")
        assert f'href="../{following.stem}/"' in text
        assert "Question." in text


def test_every_setting_stands_on_its_page(site):
    from imps.project.sections import SECTIONS
    from imps.reading.options import OPTION_NAMES

    text = page(site, "reference/settings")
    for name in (
        *(key for model in SECTIONS.values() for key in model.model_fields),
        *OPTION_NAMES,
    ):
        assert f"<td>{name}</td>" in text, name


def test_every_public_name_has_its_entry_and_an_example_that_runs():
    """The blocks of the page are run by tests/test_documents.py."""
    public = (ROOT / "imps" / "__init__.pyi").read_text("utf-8")
    names = set(re.findall(r"^from \.[\w.]+ import \w+ as (\w+)$", public, re.M))
    assert len(names) > 90
    pages = {p.stem: p.read_text("utf-8") for p in (ROOT / "docs" / "reference").glob("*.md")}
    blocks = "".join(re.findall(r"```python\n(.*?)```", pages["names"], re.S))
    assert not names - set(re.findall(r"imps\.(\w+)", blocks)) - {"Observation"}  # extend.md
    assert set(itertools.chain(*imps.survey.PUBLIC.values())) <= set(
        re.findall(r"imps\.survey\.(\w+)", blocks)
    ) | {"load_published_ips"}
    entries = set(re.findall(r"^::: (\S+)$", "\n".join(pages.values()), re.M))
    for name in names:
        found = getattr(imps, name)
        assert {found.__module__, f"{found.__module__}.{name}"} & entries or any(
            entry.endswith(f".{name}") for entry in entries
        ), f"{name} of {found.__module__} has no entry in docs/reference"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_links_of_what_stands_outside_the_site_lead_to_files(name):
    path = ROOT / name
    for link in re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8")):
        assert link.startswith(("http", "mailto")) or (path.parent / link).exists(), link
