"""Floors of the package, public names, and what importing costs."""

import ast
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import imps

ROOT = Path(imps.__file__).parent
FLOORS = [
    ["__init__", "errors", "dims", "cards", "streams", "affine", "periods", "accounting",
     "schedules"],
    ["sources.arrays", "sources.definitions", "sources.labels", "sources.vital",
     "sources.census", "sources.published_survey",
     "sources.variance_function", "sources.cell_likelihood", "sources.survey", "sources.admin",
     "sources.stage_weights", "sources.imbalance", "sources.weighting", "sources.survey_design",
     "sources.estimation", "sources.composition", "sources.components", "sources.switchers",
     "sources.time_conversion", "sources.cells", "sources.import_log", "sources.grids",
     "sources.options", "sources.cell_labels", "sources.schemas", "sources.workbooks",
     "sources.containers", "sources.layout", "sources.work", "sources.columns", "sources.totals",
     "sources.ages", "sources.areas", "sources.series_checks", "sources.survey_checks",
     "sources.table_checks", "sources.tables", "sources.account_checks", "sources.cross_checks",
     "sources.stock_tables", "sources.vital_tables", "sources.flow_tables", "sources",
     "from_tables", "cases",
     "cases.tables", "cases.stocks", "cases.flows", "cases.loading", "simulate", "simulate_survey",
     "simulate_reference", "simulate_priors"],
    ["priors", "settings", "project", "project_template", "curves", "system_model", "data_models",
     "decomposition", "importance", "covariance", "gaussian", "prior_sets", "likelihoods", "model",
     "densities", "archive"],
    ["draws", "chains", "fit", "checks", "saved_fits", "calibration"],
    ["reconcile", "attribution", "sensitivity", "predictive", "identifiability", "shapley"],
    ["equations", "plots.style", "plots.gap", "plots.flows", "plots.lexis", "plots.sources",
     "plots.checking", "plots.sensitivity", "plots", "explore", "printed_tables", "tables",
     "account_tables", "interactive", "reporting_checklist", "report", "manifest", "runs",
     "rerun", "citation", "replication", "doctor", "cli"],
]  # fmt: skip
ORDER = [name for floor in FLOORS for name in floor]
FLOOR_OF = {name: i for i, floor in enumerate(FLOORS) for name in floor}
HEAVY = {"pymc": 2, "pytensor": 2, "nutpie": 3, "arviz": 3, "matplotlib": 5, "typer": 5}
IMPORT_SECONDS = 1.0  # "import imps takes under 1 s"
HELP_SECONDS = 0.5
COMMAND_SECONDS = 1.5  # "imps cases and imps --help answer under 1.5 s"


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield re.sub(r"\.__init__$", "", name) or "__init__", path


def imported(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def home(name):
    """Longest known module of the package in a dotted name."""
    parts = name.removeprefix("imps").strip(".").split(".")
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in FLOOR_OF:
            return ".".join(parts[:end])
    return None


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda x: str(x)[-30:])
def test_modules_import_from_lower_floors_only(name, path):
    place = home(f"imps.{name}") or name
    assert place in FLOOR_OF, f"{name} stands on no floor: add it to FLOORS"
    if name == "__init__":
        return  # the table of public names, loaded when used
    for target in imported(path):
        if not target.startswith("imps."):
            continue
        other = home(target)
        if other is None or other == place:
            continue
        lower = FLOOR_OF[other] < FLOOR_OF[place]
        before = FLOOR_OF[other] == FLOOR_OF[place] and ORDER.index(other) < ORDER.index(place)
        assert lower or before, f"{name} (floor {FLOOR_OF[place]}) imports {other}"


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda x: str(x)[-30:])
def test_heavy_libraries_stay_on_their_floors(name, path):
    place = home(f"imps.{name}") or name
    for target in imported(path):
        library = target.split(".")[0]
        if library in HEAVY:
            assert FLOOR_OF[place] >= HEAVY[library], f"{name} imports {library}"
    if place != "draws":
        assert not any(t.split(".")[0] == "arviz" for t in imported(path)), name


def test_public_names():
    assert sorted(imps.__all__) == sorted({*imps._HOMES, "__version__"})
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
        run = (sys.executable, "-c", "from imps.cli import main; main()", command)
        assert seconds(*run) < COMMAND_SECONDS


def test_help_costs_little():
    line = (sys.executable, "-c", "from imps.cli import main; main()", "--help")
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
