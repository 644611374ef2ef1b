"""Files from strangers are data only: nothing is run or fetched, sizes are bounded."""

from __future__ import annotations

import pickle
import sys
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from input_tables import (
    contract,
    edit_settings,
    edit_table,
    population,
    refused,
    silent,
    snapshot,
    the,
    write,
    write_text,
)

from imps.errors import InputError
from imps.project.check import check_project, load_project
from imps.project.template import write_project
from imps.reading.findings import REJECT
from imps.reading.table import inspect_table

FORBIDDEN = (
    "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "os.fork",
    "os.posix_spawn", "urllib.Request", "ftplib.connect", "pickle.find_class", "webbrowser.open",
)  # fmt: skip
_watching: list[list[str]] = []
_hooked: list[bool] = []


def _hook(event, args):
    if not _watching:
        return
    if event in FORBIDDEN:
        _watching[-1].append(f"{event} {args}")
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        _watching[-1].append(f"written: {args[0]}")


@pytest.fixture
def watched():
    """Every connection, process, unpickling and file opened for writing, while it lasts."""
    if not _hooked:  # an audit hook cannot be taken away again
        sys.addaudithook(_hook)
        _hooked.append(True)
    seen: list[str] = []
    _watching.append(seen)
    yield seen
    _watching.pop()


def test_the_watch_sees_what_it_has_to(watched, tmp_path):
    (tmp_path / "x").write_text("x")
    pickle.loads(pickle.dumps(Path("x")))
    assert any(s.startswith("written") for s in watched)
    assert any("pickle.find_class" in s for s in watched)


FORMULAS = ("=1+1", '=HYPERLINK("http://127.0.0.1:9/x")', "=cmd|'/C calc'!A0",
            '=WEBSERVICE("http://127.0.0.1:9/")', "@SUM(1)", "+1+cmd|' /C calc'!A0")  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS)
def test_formulas_in_text_files_are_text(tmp_path, formula, watched):
    rows = [{"comment": formula, **r} for r in population()]
    table, log = inspect_table(write(tmp_path, rows), "population")
    watched[:] = [s for s in watched if "population_2011.csv" not in s]  # written by the test
    assert table is not None and log.codes == ("COLUMN_IGNORED",)
    in_numbers = [{**r, "population": formula} for r in population()]
    assert inspect_table(pd.DataFrame(in_numbers), "population")[0] is None
    assert not watched


@pytest.fixture
def book(tmp_path):
    """A workbook that is accepted, and a function that changes parts of it."""
    path = tmp_path / "people.xlsx"
    pd.DataFrame(population()).to_excel(path, index=False)

    def changed(part, old, new):
        target = tmp_path / "changed.xlsx"
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as out:
            for name in source.namelist():
                content = source.read(name)
                if name.endswith(part):
                    assert old in content, content[:300]
                    content = content.replace(old, new, 1)
                out.writestr(name, content)
        return target

    return path, changed


def test_formulas_of_a_workbook_are_not_calculated(tmp_path, watched):
    workbook = openpyxl.Workbook()
    workbook.active.append(["year", "sex", "age", "population"])
    for i, row in enumerate(population()):
        formula = FORMULAS[i % 4]
        workbook.active.append([*list(row.values())[:3], formula])
    workbook.save(tmp_path / "formulas.xlsx")
    watched.clear()
    table, log = inspect_table(tmp_path / "formulas.xlsx", "population")
    assert table is None and "CELL_HAS_NO_VALUE" in log.codes and not watched


def test_entities_of_a_workbook_are_not_expanded(tmp_path, book, watched):
    secret = tmp_path / "secret.txt"
    secret.write_text("5206")
    _, changed = book
    doctype = f'<!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]><worksheet'
    path = changed("sheet1.xml", b"<worksheet", doctype.encode())
    with zipfile.ZipFile(path) as parts:
        assert b"ENTITY" in parts.read("xl/worksheets/sheet1.xml")
    watched.clear()
    table, _ = inspect_table(path, "population")
    plain, _ = inspect_table(book[0], "population")
    assert table is None or table.content_hash == plain.content_hash
    assert not watched


def test_a_workbook_that_unpacks_to_too_much(tmp_path, book):
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(book[0]) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        with new.open("xl/media/zeros.bin", "w", force_zip64=True) as part:
            for _ in range(41):
                part.write(bytes(10_000_000))
    assert path.stat().st_size < 1_000_000
    refused(path, "population", "TOO_LARGE")


@pytest.mark.parametrize("quote", [b'"', b"'"])
def test_a_sheet_with_a_cell_far_away(book, quote):
    path = book[1]("sheet1.xml", b'r="D7"', b"r=" + quote + b"XFD1048576" + quote)
    refused(path, "population", "TOO_LARGE")


def test_a_workbook_that_understates_its_size(tmp_path, book):
    path = tmp_path / "lying.xlsx"
    with zipfile.ZipFile(book[0]) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        new.writestr("xl/media/zeros.bin", bytes(1_000_000))
    stated = (1_000_000).to_bytes(4, "little")
    content = path.read_bytes()
    assert content.count(stated) == 2
    path.write_bytes(content.replace(stated, (10).to_bytes(4, "little")))
    table, log = inspect_table(path, "population")
    assert table is None and log.faults[0].code in ("TOO_LARGE", "FILE_NOT_READABLE"), str(log)


def test_parquet_does_not_unpickle(tmp_path, watched):
    class Trap:
        def __reduce__(self):
            return (Path.write_text, (tmp_path / "run", "x"))

    plain = pa.Table.from_pandas(pd.DataFrame(population()), preserve_index=False)
    field = plain.schema.field("population").with_metadata({
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Trap()),
    })  # fmt: skip
    schema = plain.schema.set(3, field)
    pq.write_table(plain.cast(schema), tmp_path / "trap.parquet")
    watched.clear()
    inspect_table(tmp_path / "trap.parquet", "population")
    assert not watched and not (tmp_path / "run").exists()


def test_a_parquet_cell_that_is_repeated_a_million_times(tmp_path):
    n, text = 200_000, "x" * 1_000_000
    cells = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), pa.array([text]))
    pq.write_table(pa.table({"year": cells, "sex": cells}), tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 10_000_000
    message = refused(tmp_path / "bomb.parquet", "population", "TOO_LARGE")
    assert "a cell of more than 32,767 bytes" in message


def test_texts_of_parquet_are_read_as_before(tmp_path):
    frame = pd.DataFrame(population()).astype({"sex": "category"})
    frame.to_parquet(tmp_path / "p.parquet", index=False)
    plain = silent(write(tmp_path, population()), "population")
    assert silent(tmp_path / "p.parquet", "population").content_hash == plain.content_hash


# Settings


@pytest.fixture
def project(tmp_path):
    return write_project(tmp_path / "case")


@pytest.mark.parametrize("file", ["https://127.0.0.1:9/births.csv", "s3://bucket/births.csv"])
def test_addresses_in_settings_are_not_fetched(project, file, watched):
    edit_settings(project, ("data/births.csv", file))
    watched.clear()
    message = contract(the(check_project(project).log, "FILE_NOT_READABLE", REJECT), file=file)
    assert "nothing is ever fetched" in message and not watched


def test_checking_a_project_writes_runs_and_fetches_nothing(project, watched):
    watched.clear()
    before = snapshot(project.parent)
    assert check_project(project).passed
    assert not watched and snapshot(project.parent) == before


def test_results_do_not_leave_the_project_through_a_link(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (project.parent / "out").symlink_to(tmp_path / "elsewhere")
    edit_settings(project, ('folder = "results"', 'folder = "out/results"'))
    report = check_project(project)
    contract(the(report.log, "OUTPUT_OUTSIDE", REJECT), file=str(project), column="folder")
    edit_settings(project, ('folder = "out/results"', 'folder = "inner/results"'))
    assert check_project(project).passed


def test_settings_that_are_too_long(project):
    project.write_text("#" * 1_000_001)
    assert "TOO_LARGE" in check_project(project).log.codes


def test_names_that_a_spreadsheet_would_run_never_reach_the_results(project):
    edit_table(project, "administrative_flows", lambda f: pd.concat([
        f, f.assign(source="=cmd|' /C calc'!A0", flow="net")]))  # fmt: skip
    report = check_project(project)
    message = contract(
        the(report.log, "LABEL_UNSAFE", REJECT), file="data/administrative_flows.csv"
    )
    assert "=cmd" in message
    with pytest.raises(InputError, match="LABEL_UNSAFE"):
        load_project(project)


def test_a_settings_file_is_not_code(project, watched):
    write_text(project.parent, project.read_text() + '\nname = __import__("os").system("id")\n',
               "settings.toml")  # fmt: skip
    watched.clear()
    assert "SETTINGS_SYNTAX" in check_project(project).log.codes and not watched
