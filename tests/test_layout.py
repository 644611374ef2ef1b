"""Sizes of rooms, and names that modules had before version 0.2."""

import ast
import importlib
import io
import pkgutil
import sys
import tokenize
import warnings
from pathlib import Path
from types import ModuleType

import pytest

import imps
from imps import _renamed

ROOT = Path(imps.__file__).parent
MODULE_LINES, FUNCTION_LINES, PACKAGE_LINES = 450, 60, 28_000
NAMES_BEFORE = (Path(__file__).parent / "data" / "names_before_0_2.txt").read_text("utf-8")
BEFORE = dict(line.split(": ") for line in NAMES_BEFORE.splitlines())
FUNCTIONS_NOW = {"cases", "explore", "fit", "identifiability", "reconcile", "rerun", "shapley"}
"""Modules of 0.1 with the name of a function: importing one again would hide the function."""

MODULES = sorted(ROOT.rglob("*.py"))


def lines_of(path):
    return len(path.read_text("utf-8").splitlines())


def code_lines(text):
    """Numbers of the lines that hold code: no blank lines, comments or docstrings."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    held = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in skipped:
            held.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            held.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return held


def function_sizes(path):
    text = path.read_text("utf-8")
    held = code_lines(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, len(held & set(range(node.lineno, node.end_lineno + 1)))


def test_a_function_is_measured_in_lines_of_code(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(
        'def f(x):\n    """Two\n    lines."""\n\n    # why\n    y = (x +\n    1)\n    return y\n'
    )
    assert list(function_sizes(path)) == [("f", 4)]


def test_no_module_is_long():
    found = {str(p.relative_to(ROOT)): lines_of(p) for p in MODULES}
    assert not {name: n for name, n in found.items() if n > MODULE_LINES}


def test_no_function_is_long():
    found = {f"{p.relative_to(ROOT)}: {f}": n for p in MODULES for f, n in function_sizes(p)}
    assert not {name: n for name, n in found.items() if n > FUNCTION_LINES}


@pytest.mark.xfail(strict=True, reason="longer than it should be")
def test_the_package_stays_within_its_walls():
    assert sum(map(lines_of, [*MODULES, *ROOT.rglob("*.pyi")])) <= PACKAGE_LINES


def defined(module):
    """Functions and classes that a module, or a module beside it, defines."""
    package = module if hasattr(module, "__path__") else importlib.import_module(module.__package__)
    for path in {Path(module.__file__), *Path(package.__file__).parent.glob("*.py")}:
        if package is imps and path != Path(module.__file__):
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name


@pytest.mark.parametrize("old", sorted(BEFORE))
def test_an_earlier_module_leads_to_what_was_in_it(old):
    if old in _renamed.RENAMED:
        sys.modules.pop(old, None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = importlib.import_module(old)
    now = importlib.import_module(_renamed.RENAMED.get(old, old))
    if old in _renamed.RENAMED:
        assert [w.category for w in caught if "version 0.3" in str(w.message)] == [FutureWarning]
        assert not hasattr(module, "no_such_name")
    here = set(defined(now))
    missing = [n for n in BEFORE[old].split() if n in here and not hasattr(module, n)]
    assert not missing


@pytest.mark.parametrize("name", sorted(FUNCTIONS_NOW))
def test_a_module_named_like_a_function_has_no_alias(name):
    assert f"imps.{name}" not in _renamed.RENAMED
    assert not isinstance(getattr(imps, name), ModuleType)


def test_no_alias_would_hide_a_public_name():
    assert not {f"imps.{name}" for name in imps.__all__} & set(_renamed.RENAMED)


def test_every_new_name_of_a_module_is_there():
    for new in set(_renamed.RENAMED.values()):
        assert importlib.import_module(new)
    stale = {m.name for m in pkgutil.walk_packages([str(ROOT)], "imps.")} & set(_renamed.RENAMED)
    assert not stale, "a module has the name of an alias"
