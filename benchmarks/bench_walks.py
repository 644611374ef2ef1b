"""Files of the package that a number passes, counted while it passes them.

A file counts when one of its functions runs on the walk. What runs while a module is being
imported does not count (it is the price of the first import, not of the number), nor do the
bodies of modules and classes.

- figure: a figure in the files of a shipped case, to its waterfall: `load_case`, `linear_model`,
  `fit`, `attribute`, `plot_waterfall`.
- row: a row of a table in a project folder (the one that `imps init` writes), to the likelihood:
  `load_project`, `linear_model`.
- prior: a prior's name, from `Priors.replace` to `fit`: only files count in which the name, its
  row of the table of priors, or a collection keyed by the name stands in a variable of a function
  that runs; and the file of the fit, where the draws arrive.

Rows go to `results/walks.csv`; --list says which files, and which functions ran in them.
An earlier commit is counted from a clone of it: `cd CLONE && PYTHONPATH=. python THIS_FILE`.

    uv run python benchmarks/bench_walks.py [--list] [figure] [row] [prior]
"""

import inspect
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import CodeType, FrameType

import imps

ROOT = Path(imps.__file__).parent
CASE, PRIOR = "uk-1991-2001", "emigration_bias_level"
LIMITS = {"figure": 25, "row": 30, "prior": 5}
DRAWS = 200

Seen = dict[str, set[str]]


def figure_walk() -> None:
    case = imps.load_case(CASE)
    fit = imps.fit(imps.linear_model(case.sources, imps.default_priors()), seed=1, draws=DRAWS)
    imps.plot_waterfall(imps.attribute(fit))


def row_walk(folder: Path) -> None:
    project = imps.load_project(folder)
    imps.linear_model(project.sources, project.priors)


def prior_walk(sources: imps.Sources) -> None:
    priors = imps.default_priors().replace(**{PRIOR: (-0.1, 0.05)})
    imps.fit(imps.linear_model(sources, priors), seed=1, draws=DRAWS)


def importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported further up."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def counted(code: CodeType) -> bool:
    """Whether a code object is a function of the package, not the body of a module or class."""
    inside = code.co_filename.startswith(f"{ROOT}/")
    return inside and bool(code.co_flags & inspect.CO_NEWLOCALS)


def passed(walk: Callable[[], None], event: int, counts: Callable[[FrameType], bool]) -> Seen:
    """Files of the package, each with the functions that ran on the walk and count."""
    seen: Seen = {}
    watch = sys.monitoring

    def noticed(code: CodeType, *rest: object) -> object:
        if not counted(code):
            return watch.DISABLE
        frame = sys._getframe(1)
        if not importing(frame) and counts(frame):
            name = code.co_filename.removeprefix(f"{ROOT}/")
            seen.setdefault(name, set()).add(code.co_qualname)
        return None

    watch.use_tool_id(watch.PROFILER_ID, "walks")
    watch.register_callback(watch.PROFILER_ID, event, noticed)
    watch.set_events(watch.PROFILER_ID, event)
    try:
        walk()
    finally:
        watch.set_events(watch.PROFILER_ID, 0)
        watch.free_tool_id(watch.PROFILER_ID)
    return seen


def holds_prior(frame: FrameType) -> bool:
    """Whether a function that ends has the name of the prior, or its row, in a variable."""

    def is_it(value: object) -> bool:
        name = value.name if isinstance(value, imps.Prior) else value
        return isinstance(name, str) and name == PRIOR

    def holds(value: object) -> bool:
        if isinstance(value, imps.Priors):
            return False  # the whole table is handed on everywhere
        if isinstance(value, list | tuple):
            return any(map(is_it, value))
        return is_it(value) or (isinstance(value, Mapping) and PRIOR in value)

    return any(map(holds, frame.f_locals.values()))


def count(walk: str) -> Seen:
    """Files of one of the three walks."""
    events = sys.monitoring.events
    if walk == "figure":
        return passed(figure_walk, events.PY_START, lambda frame: True)
    if walk == "row":
        with tempfile.TemporaryDirectory() as folder:
            imps.write_project(Path(folder) / "project")
            inputs = partial(row_walk, Path(folder) / "project")
            return passed(inputs, events.PY_START, lambda frame: True)
    inputs = partial(prior_walk, imps.load_case(CASE).sources)
    files = passed(inputs, events.PY_RETURN, holds_prior)
    fit = inspect.getsourcefile(imps.Fit) or ""
    files.setdefault(fit.removeprefix(f"{ROOT}/"), {"fit"})
    return files


if __name__ == "__main__":
    from results_file import append

    asked = [walk for walk in LIMITS if walk in sys.argv] or list(LIMITS)
    found = {walk: count(walk) for walk in asked}
    if "--list" in sys.argv:
        for walk, files in found.items():
            for name in sorted(files):
                print(f"{walk:7} {name:32} {' '.join(sorted(files[name]))[:160]}")
    append("walks", [{"walk": w, "files": len(f), "limit": LIMITS[w]} for w, f in found.items()])
