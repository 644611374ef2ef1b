"""What README, docs and notebooks say can be typed, is typed here, in fresh interpreters.

- Every dotted name that begins with `imps.` is looked up where nothing of the package is loaded
  yet, as in a notebook that has just begun: one process for each room of `imps` that is named.
  What is written as a call can be called.
- The blocks of a page run in order in one fresh process. A statement with `...` in it cannot
  run: its calls are bound to the signatures of what they call, so that no argument is misspelt.
- Commands are parsed by the command line; those that fit nothing run.

The code of the notebooks runs in tests/test_notebooks.py.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    p.relative_to(ROOT).as_posix()
    for p in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"))
    if p.is_file()
)
BOOKS = sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("notebooks/*.ipynb"))
WITH_BLOCKS = [p for p in PAGES if re.search(r"```(?:python|bash|sh)\n", (ROOT / p).read_text())]
NAME = re.compile(r"\bimps((?:\.[A-Za-z_]\w*)+)(\.\.\.)?(\()?")

FIT = """
import imps
case = imps.load_case("uk-1991-2001")
fit = imps.fit(imps.linear_model(case.sources, imps.default_priors()), seed=1, draws=100)
"""
BEFORE = {
    "README.md": """
import imps, pandas
imps.write_project("example")
frame = pandas.read_csv("example/data/births.csv")
""",
    "docs/how-to.md": FIT + "sources = imps.load_case('england-wales-2001-2011').sources",
}
"""What a reader of the page has at hand before its first block."""


def text_of(page):
    """Text of a page, or of the cells of a notebook."""
    text = (ROOT / page).read_text("utf-8")
    if page.endswith(".ipynb"):
        return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return text


RESOLVE = """
import json, os, sys
import arviz, matplotlib.pyplot, pandas, pymc, scipy.stats, statsmodels.api, xarray  # not ours
import imps

loaded = [m for m in sys.modules if m.startswith("imps.")]
assert set(loaded) <= {"imps._version", "imps._renamed"}, loaded
rooms = {}
for dotted, called in json.load(sys.stdin):
    room = tuple(dotted.split(".")[1:-1][:1])  # nothing for `imps.fit`, ("plots",) for its figures
    rooms.setdefault(room, []).append((dotted, called))
for asked in rooms.values():
    sys.stdout.flush()
    child = os.fork()  # a process in which nothing but `import imps` has happened
    if child == 0:
        for dotted, called in asked:
            try:
                found = imps
                for name in dotted.strip(".").split("."):
                    found = getattr(found, name)
                assert callable(found) or not called, "is written as a call and cannot be called"
            except BaseException as error:
                print(f"imps{dotted}: {type(error).__name__}: {error}")
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
"""


def names():
    """Dotted names, each with whether it is called somewhere, and where it stands."""
    found = {}
    for page in (*PAGES, *BOOKS):
        for dotted, cut, called in NAME.findall(text_of(page)):
            if not cut:
                found.setdefault((dotted, bool(called)), page)
    return found


def test_every_dotted_name_is_there_in_a_fresh_interpreter():
    asked = names()
    assert len(asked) > 100
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning:imps", "-c", RESOLVE],
        input=json.dumps(sorted(asked)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not done.stdout, done.stdout


RUN = """
import ast, inspect, json, os, shlex, sys, traceback
import arviz, matplotlib.pyplot, pandas, pymc, scipy.stats, typer, xarray  # not ours

page, names, group = "", {}, None
FITS_NOTHING = {"cases", "init", "check"}


def command(line):
    words = shlex.split(line, comments=True)
    with group.make_context("imps", words[1:2]) as context:
        name, found, _ = group.resolve_command(context, words[1:2])
        if words[2:]:  # a command that is only named has no arguments
            found.make_context(name, words[2:], parent=context)
    complete = words[2:] or name == "cases"
    if name in FITS_NOTHING and complete and not any(word.isupper() for word in words):
        group(words[1:], standalone_mode=False)


def bound(statement):
    for call in (n for n in ast.walk(statement) if isinstance(n, ast.Call)):
        called = eval(compile(ast.Expression(call.func), page, "eval"), names)
        assert callable(called), ast.unparse(call.func)
        keywords = {k.arg: None for k in call.keywords}
        given = [a for a in call.args if not (isinstance(a, ast.Constant) and a.value is ...)]
        inspect.signature(called).bind_partial(*given, **keywords)


def read(before, blocks):
    global group
    from imps.runs.cli import app
    from imps.sampling import DRAWS
    DRAWS["exact"] = 200  # where a page does not say how many
    group = typer.main.get_command(app)
    exec(before, names)
    for kind, text in blocks:
        if kind == "command":
            command(text)
            continue
        for statement in ast.parse(text).body:
            if any(isinstance(n, ast.Constant) and n.value is ... for n in ast.walk(statement)):
                bound(statement)
            else:
                exec(compile(ast.Module([statement], []), page, "exec"), names)


for line in sys.stdin:
    page, before, blocks, folder = json.loads(line)
    child = os.fork()  # a process in which nothing of the package is loaded yet
    if child == 0:
        failed = ""
        os.chdir(folder)
        said = os.open("said", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1), os.dup2(said, 2)
        try:
            read(before, blocks)
        except BaseException:
            failed = traceback.format_exc()
        open("failed", "w").write(failed)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    print("done", flush=True)
"""


def commands_in(text):
    """Commands `imps ...` of a shell block or a piece of code in a line."""
    for line in text.splitlines():
        for part in line.split("&&"):
            part = part.strip().removeprefix("uv run ")
            if re.match(r"imps [a-z]", part):
                yield "command", part.removesuffix("...")


def blocks_of(page):
    """Blocks of a page in order: Python as it stands, shell as its commands of the package."""
    text = text_of(page)
    for kind, block, inline in re.findall(r"```(\w+)\n(.*?)```|`(imps [a-z][^`]*)`", text, re.S):
        if kind == "python":
            yield kind, block
        elif kind in ("bash", "sh") or inline:
            yield from commands_in(block or inline)


@pytest.fixture(scope="module")
def reader():
    """A process that has loaded the libraries of others and runs each page in a fork of it."""
    place = {**os.environ, "MPLBACKEND": "agg"}
    with subprocess.Popen(
        [sys.executable, "-c", RUN], stdin=-1, stdout=-1, text=True, env=place
    ) as process:
        yield process
        process.stdin.close()


@pytest.mark.parametrize("page", WITH_BLOCKS)
def test_every_block_of_a_page_runs(page, reader, tmp_path):
    blocks = list(blocks_of(page))
    assert blocks
    asked = [page, BEFORE.get(page, "import imps"), blocks, str(tmp_path)]
    reader.stdin.write(json.dumps(asked) + "\n")
    reader.stdin.flush()
    assert reader.stdout.readline() == "done\n"
    failed = (tmp_path / "failed").read_text()
    assert not failed, failed[-3000:]
    if page == "docs/tutorial.md":
        assert (tmp_path / "report.html").stat().st_size > 100_000
