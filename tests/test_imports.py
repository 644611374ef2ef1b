"""Floors of the package, public names, and what importing costs."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import imps

ROOT = Path(imps.__file__).parent
IMPORT_SECONDS = 1.0  # "import imps takes under 1 s"
HELP_SECONDS = 0.5
COMMAND_SECONDS = 1.5  # "imps cases and imps --help answer under 1.5 s"


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


def test_import_is_quick_and_light():
    assert seconds(sys.executable, "-c", "import imps") < IMPORT_SECONDS
    code = "import imps, sys; print([m for m in ('pymc','arviz','pandas') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


def test_commands_that_fit_nothing_are_quick():
    for command in ("--help", "cases"):
        run = (sys.executable, "-c", "from imps.runs.cli import main; main()", command)
        assert seconds(*run) < COMMAND_SECONDS


def test_help_costs_little():
    line = (sys.executable, "-c", "from imps.runs.cli import main; main()", "--help")
    assert seconds(*line) < HELP_SECONDS


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
