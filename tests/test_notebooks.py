"""Notebooks run from a clean kernel in draft mode and keep no local path."""

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("IMPS_DRAFT", "1")
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}
    ).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_executed_and_clean(path):
    notebook = json.loads(path.read_text("utf-8"))
    first = "".join(notebook["cells"][0]["source"])
    for word in ("**Question.**", "**Data.**", "**Answer.**"):
        assert word in first
    code = [c for c in notebook["cells"] if c["cell_type"] == "code" and c["source"]]
    assert all(c["execution_count"] for c in code)
    assert any(c["outputs"] for c in code)
    text = path.read_text("utf-8")
    assert "Traceback" not in text
    for place in (os.path.expanduser("~"), str(Path(__file__).parents[1])):
        assert place not in text
