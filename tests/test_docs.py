"""The documentation builds strictly and offline, asks for nothing from outside, and is true."""

import ast
import inspect
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
    """The blocks of the page are run by tests/test_documents.py, statements without `...`."""
    public = (ROOT / "imps" / "__init__.pyi").read_text("utf-8")
    names = set(re.findall(r"^from \.[\w.]+ import \w+ as (\w+)$", public, re.M))
    assert len(names) > 90
    pages = {p.stem: p.read_text("utf-8") for p in (ROOT / "docs" / "reference").glob("*.md")}
    blocks = re.findall(r"```python\n(.*?)```", pages["names"], re.S)
    statements = [ast.unparse(s) for s in itertools.chain(*(ast.parse(b).body for b in blocks))]
    run = "\n".join(s for s in statements if "..." not in s)
    assert not names - set(re.findall(r"imps\.(\w+)", run)) - {"Observation"}  # extend.md
    apart = {"flow_rows", "total_errors", "switchers_of_stays"}  # run in docs/interviews.md
    assert set(itertools.chain(*imps.survey.PUBLIC.values())) <= apart | {
        "load_published_ips"
    } | set(re.findall(r"imps\.survey\.(\w+)", run))
    others = (ROOT / "docs" / "interviews.md").read_text("utf-8")
    assert all(re.search(rf"imps\.survey\.{name}\(\s*\w+", others) for name in apart)
    entries = set(re.findall(r"^::: (\S+)$", "\n".join(pages.values()), re.M))
    for name in names:
        found = getattr(imps, name)
        assert {found.__module__, f"{found.__module__}.{name}"} & entries or any(
            entry.endswith(f".{name}") for entry in entries
        ), f"{name} of {found.__module__} has no entry in docs/reference"


def public_objects():
    """Every public name, of the package and of its survey, with its object."""
    public = (ROOT / "imps" / "__init__.pyi").read_text("utf-8")
    for name in re.findall(r"^from \.[\w.]+ import \w+ as (\w+)$", public, re.M):
        yield name, getattr(imps, name)
    for name in itertools.chain(*imps.survey.PUBLIC.values()):
        yield f"survey.{name}", getattr(imps.survey, name)


def lacking(name, found, public):
    """What the docstring of a public object does not say: parameters, fields, result, errors."""
    if inspect.isclass(found):
        told = "\n".join(inspect.getdoc(c) or "" for c in found.__mro__[:-1])
        fields = [f for f in getattr(found, "__dataclass_fields__", {}) if not f.startswith("_")]
        return [f for f in fields if not re.search(rf"^(.*, )?{f}(,.*)?( :|$)", told, re.M)]
    told, source = inspect.getdoc(found) or "", inspect.getsource(inspect.unwrap(found))
    signature = inspect.signature(found)
    names = "\n".join(re.findall(r"^(?:\*{0,2}\w+, )*\*{0,2}\w+(?= :|$)", told, re.M))
    gone = [p for p in signature.parameters if not re.search(rf"\b{p}\b", names)]
    result = str(signature.return_annotation)
    if result not in {"None", "Figure", *public} and "Returns\n---" not in told:
        gone.append(f"what it returns, {result}")
    fails = re.search(r"\braise |needs_fit\(|_gaussian_fit\(|_needs_chain\(", source)
    return [*gone, "its errors"] if fails and "Raises\n---" not in told else gone


def test_every_public_name_says_what_it_takes_returns_and_refuses():
    objects = dict(public_objects())
    public = {name.rpartition(".")[2] for name in objects}
    found = {name: lacking(name, x, public) for name, x in objects.items() if callable(x)}
    assert not {name: gone for name, gone in found.items() if gone}


def test_arrays_of_public_classes_have_dims_and_units():
    """Fields that hold labelled arrays say their dims; of persons, shares or weights, in words."""
    for name, found in public_objects():
        for field, kind in getattr(found, "__annotations__", {}).items():
            if inspect.isclass(found) and "DataArray" in str(kind):
                line = re.search(rf"^(.*, )?{field}(,.*)? : .*$", inspect.getdoc(found), re.M)
                assert line and re.search(r"\(|same labels", line[0]), (
                    f"{name}.{field} without dims"
                )


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md"])
def test_links_of_what_stands_outside_the_site_lead_to_files(name):
    path = ROOT / name
    for link in re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8")):
        assert link.startswith(("http", "mailto")) or (path.parent / link).exists(), link
