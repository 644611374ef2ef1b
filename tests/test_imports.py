"""Floors of the package, public names, and what importing costs."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import imps

ROOT = Path(imps.__file__).parent
IMPORT_SECONDS = 0.1  # CPU seconds of `import imps`
COMMAND_SECONDS = 0.5  # CPU seconds of `imps cases` and `imps --help`
EMPTY_SECONDS = 0.015  # of an interpreter that does nothing, where these limits were set


def test_imports_only_go_down():
    """The layers stand in pyproject.toml, where they are read from top to bottom."""
    found = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout


def test_public_names():
    for name in imps.__all__:
        assert getattr(imps, name) is not None
    assert callable(imps.fit)
    assert callable(imps.reconcile)
    assert callable(imps.cases)
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        imps.fitt  # noqa: B018


def seconds(*command):
    """CPU seconds of a command, the best of three: on a shared machine wall time waits."""
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = min(best, used)
    return best


@pytest.fixture(scope="module")
def slower():
    """How much slower than there this machine is now; one that is busy counts more seconds."""
    return max(1.0, seconds(sys.executable, "-c", "pass") / EMPTY_SECONDS)


def test_import_is_quick_and_light(slower):
    assert seconds(sys.executable, "-c", "import imps") < IMPORT_SECONDS * slower
    code = "import imps, sys; print([m for m in ('pymc','arviz','pandas') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["--help", "cases"])
def test_commands_that_fit_nothing_are_quick(command, slower):
    line = (sys.executable, "-c", "from imps.runs.cli import main; main()", command)
    assert seconds(*line) < COMMAND_SECONDS * slower


NOTEBOOK = """
import imps

def middle(low):
    return low * len(imps.cases())  # the global `imps`, as in a notebook

lows = [-0.2, -0.1]
here = [middle(low) for low in lows]
"""
JOBLIB = """
from joblib import Parallel, delayed
assert Parallel(n_jobs=2, backend="loky")(delayed(middle)(low) for low in lows) == here
"""
DASK = """
from distributed import Client
with Client(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as client:
    assert client.gather(client.map(middle, lows)) == here
"""
PICKLE = """
import cloudpickle, pickle
assert pickle.loads(cloudpickle.dumps(imps)) is imps
assert pickle.loads(cloudpickle.dumps(middle))(lows[0]) == here[0]
"""


@pytest.mark.parametrize("way", [PICKLE, JOBLIB, DASK], ids=["pickle", "joblib", "dask"])
def test_a_function_of_a_notebook_that_uses_imps_runs_elsewhere(way, tmp_path):
    """Functions of `__main__` travel by value, and the module `imps` with them."""
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK + way], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_stack_is_the_one_the_package_is_written_for():
    import pymc

    assert pymc.__version__.startswith("6.")


def test_lock_and_constraints_agree():
    root = ROOT.parent
    lock = (root / "requirements.lock").read_text("utf-8")
    assert "://" not in lock
    project = (root / "pyproject.toml").read_text("utf-8")
    block = re.search(r"constraint-dependencies = \[(.*?)\n\]", project, re.S)
    assert block, "pyproject.toml has no constraint-dependencies"
    pinned = re.findall(r'^\s*"(.+)",$', block.group(1), re.M)
    assert pinned == [line for line in lock.splitlines() if line]
