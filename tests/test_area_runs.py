"""A run of many areas: pages, table, command line."""

import json
import shutil
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from made_areas import made_tables
from typer.testing import CliRunner

from imps.runs.cli import app


@pytest.fixture(scope="module")
def project(model, tmp_path_factory):
    """The shipped case of the United Kingdom with four invented areas beside it."""
    folder = tmp_path_factory.mktemp("project") / "uk"
    shutil.copytree(str(files("imps.shipped") / "uk_1991_2001"), folder)
    (folder / "areas").mkdir()
    for name, table in zip(("population", "components", "codes"), made_tables(model), strict=True):
        if name == "codes":
            table = table.assign(name="Area <" + table["code"] + ">")
        table.to_csv(folder / "areas" / f"{name}.csv", index=False)
    return folder


def test_the_command_writes_table_pages_and_record(project, tmp_path):
    out = tmp_path / "results"
    command = ["areas", str(project), "--out", str(out), "--area", "X02", "--draws", "40",
               "--ages", "0,20,60"]  # fmt: skip
    done = CliRunner().invoke(app, [*command, "--seed", "3"])
    assert done.exit_code == 0, done.output
    assert "4 areas of United Kingdom" in done.output and "slabs of draws" in done.output
    table = pd.read_csv(out / "areas.csv")
    assert list(table["code"]) == ["X00", "X01", "X02", "X03"]
    means = table[[c for c in table if c.endswith("_mean")]]
    assert len(means.columns) == 5
    pd.testing.assert_series_equal(means.sum(axis=1), table["gap"], check_names=False, rtol=1e-9)
    tidy = pd.read_parquet(out / "areas.parquet")
    assert {"contraction", "factor", "flagged"} <= set(tidy) and len(tidy) == 5 * len(table)
    external = tidy[tidy["source"] == "external"].set_index("code")["mean"]
    np.testing.assert_allclose(external[table["code"]], table["external_mean"], rtol=1e-9)
    assert json.loads((out / "areas.json").read_text("utf-8"))["seed"] == 3
    pages = [(out / name).read_text("utf-8") for name in ("areas.html", "area-X02.html")]
    assert 'href="area-X02.html"' in pages[0] and "coherent with the nation" in pages[1]
    for page in pages:
        assert "Area <X02>" not in page and "Area &lt;X02&gt;" in page
        assert "http" not in page.replace("http://www.w3.org", "")
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 1 and "--force" in again.output


def test_a_case_without_areas_is_refused(tmp_path):
    done = CliRunner().invoke(app, ["areas", "uk-1991-2001", "--out", str(tmp_path / "r")])
    assert done.exit_code == 1 and "england-wales-2011-2021" in done.output
    assert not (tmp_path / "r").exists()
