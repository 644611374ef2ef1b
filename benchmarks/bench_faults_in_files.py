"""Projects of files with one random fault each: is it refused, warned about, or silent?

Four projects: two cases of the package, a simulated country with a survey, and a fictitious
one with a population register. A fault is drawn by kind
(`faulty_files.FAULTS`), each kind in turn, and drawn anew where it changes nothing. What
`imps check` says is compared with what it says of the right project:

refused  something is refused or asked that was not
warned   a warning that was not there
equal    nothing is said, and every figure and setting is read as in the right project, but for
         halves of persons
silent   nothing is said, and figures or settings differ

Also counts false alarms: warnings on simulated projects without a fault, of 20 thousand to 60
million people. An exchange of two flows that differ by less than `faulty_files.NEARLY_EQUAL` is
no fault that anybody could find: another is drawn, and such draws are counted. Appends to
results/faults_in_files.csv one row a kind, one for all kinds, one for clean projects, and one for
what was drawn again. A file that a fault leaves alone is read once. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_faults_in_files.py [faults] [clean] [seed]

With `HELD_OUT=1` in the environment faults and projects are those of `held_out_faults`, and the
rows go to results/faults_held_out.csv.
"""

import difflib
import hashlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from faulty_files import DRAWN_AGAIN
from faulty_files import FAULTS as GENERATED
from held_out_faults import HELD_OUT, NAMES, project_of
from right_files import Project, clean_project, register_project, shipped_project

from imps.project import check as project_check
from imps.project.check import ImportReport, check_project
from imps.reading.findings import WARN, ImportLog
from imps.reading.table import Table, inspect_table

APART = os.environ.get("HELD_OUT") == "1"
FAULTS = HELD_OUT if APART else GENERATED
PROJECTS = NAMES if APART else ("uk_1991_2001", "england_wales_2011_2021", "simulated", "register")
OUTCOMES = ("refused", "warned", "equal", "silent", "crashed")
SMALLEST, LARGEST = 20e3, 60e6
SIMULATED = 2.7e6
DRAWN_ANEW = 30
PROCESSES = int(os.environ.get("PROCESSES", "2"))


class Reading:
    """Tables by content: what was read once is not read again."""

    def __init__(self) -> None:
        self.path = Path()
        self.kept = lru_cache(200)(self._read)

    def __call__(
        self, path: Path, kind: str, options: dict[str, object], *, name: str
    ) -> tuple[Table | None, ImportLog]:
        self.path = path
        declared = tuple(sorted((k, repr(v)) for k, v in options.items()))
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
        self.options = options
        return self.kept(found, name, kind, declared)

    def _read(self, _: str, name: str, kind: str, __: object) -> tuple[Table | None, ImportLog]:
        return inspect_table(self.path, kind, self.options, name=name)


project_check.inspect_table = Reading()  # type: ignore[attr-defined]


@cache
def right_project(name: str) -> Project:
    """One of the projects."""
    if APART:
        return project_of(name)
    if name == "register":
        return register_project()
    return clean_project(SIMULATED, seed=1) if name == "simulated" else shipped_project(name)


def checked(project: Project) -> ImportReport:
    """What `imps check` says of it."""
    with tempfile.TemporaryDirectory() as folder:
        return check_project(project.write(Path(folder)))


def said(report: ImportReport) -> set[tuple[str, str, str]]:
    """Codes of warnings and what they say."""
    return {(f.code, f.file, f.problem) for f in report.log.findings if f.outcome == WARN}


def same_figures(one: ImportReport, two: ImportReport) -> bool:
    """Whether an account takes the same from the files, but for halves of persons."""
    assert one.settings is not None and two.settings is not None
    if one.settings.account != two.settings.account or one.settings.priors != two.settings.priors:
        return False
    tables = [sorted(r.tables, key=lambda t: (t.kind, t.name)) for r in (one, two)]
    return len(tables[0]) == len(tables[1]) and all(map(_same, *tables))


def _same(one: Table, two: Table) -> bool:
    if one.content_hash == two.content_hash:
        return one.metadata == two.metadata
    figures = list(one.frame.select_dtypes("float"))
    labels = [c for c in one.frame if c not in figures and not c.endswith("_flag")]
    return (
        one.metadata == two.metadata
        and list(one.frame) == list(two.frame)
        and one.frame[labels].equals(two.frame[labels])
        and np.allclose(one.frame[figures], two.frame[figures], rtol=0, atol=0.5, equal_nan=True)
    )


@cache
def right_report(name: str) -> ImportReport:
    """The check of a right project."""
    return checked(right_project(name))


def outcome(drawn: tuple[str, str, Project]) -> tuple[str, str, str, str]:
    """Kind of a fault, its project, how it ends, and the fault itself or what is said of it."""
    kind, name, faulty = drawn
    try:
        report = checked(faulty)
    except Exception as error:
        return kind, name, "crashed", repr(error) + difference(name, faulty)
    right = right_report(name)
    if not report.passed:
        return kind, name, "refused", " ".join({f.code for f in report.log.faults})
    new = said(report) - said(right)
    if new:
        return kind, name, "warned", " ".join({code for code, *_ in new})
    if same_figures(report, right):
        return kind, name, "equal", ""
    return kind, name, "silent", difference(name, faulty)


def alarm(drawn: tuple[float, int, int]) -> set[str]:
    """Codes of warnings and refusals on a clean project of a size, seed and number of years."""
    size, seed, years = drawn
    report = checked(clean_project(size, seed, years=years))
    return {f.code for f in report.log.findings if f.outcome == WARN or not report.passed}


def faulty(kind: str, rng: np.random.Generator) -> tuple[str, Project] | None:
    """A project with a fault of a kind; None if no project can have it."""
    order = rng.permutation(PROJECTS)
    for k in range(DRAWN_ANEW):
        name = str(order[k % len(order)])
        found = FAULTS[kind](right_project(name), rng)
        if found is not None:
            return name, found
    return None


def draws(faults: int, rng: np.random.Generator) -> Iterator[tuple[str, str, Project]]:
    """Projects with a fault, each kind in turn."""
    for i in range(faults):
        kind = list(FAULTS)[i % len(FAULTS)]
        drawn = faulty(kind, rng)
        if drawn is not None:
            yield kind, *drawn


def difference(name: str, faulty: Project) -> str:
    """The first changed lines of a faulty project."""
    right = right_project(name)
    lines = [
        f"{file} {line}"
        for file, text in [("settings", faulty.settings), *faulty.files.items()]
        if text != right.files.get(file, right.settings)
        for line in difflib.unified_diff(
            str(right.files.get(file, right.settings)).splitlines(), str(text).splitlines(),
            n=0, lineterm="",
        )
        if not line.startswith(("---", "+++", "@@"))
    ]  # fmt: skip
    return "\n    ".join(["", *lines[:3], *lines[-3:]])


def main(faults: int, clean: int, seed: int) -> None:
    """Draw faults and clean projects, and append what was found."""
    from results_file import append

    rng = np.random.default_rng(seed)
    counts = {kind: Counter[str]() for kind in FAULTS}
    countries = [
        (float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST)))), 1000 * seed + i,
         int(rng.integers(4, 13)))
        for i in range(clean)
    ]  # fmt: skip
    with ProcessPoolExecutor(PROCESSES) as pool:
        codes = list(pool.map(alarm, countries))
        for country, said_of_it in zip(countries, codes, strict=True):
            print("alarm:" if said_of_it else "clean:", *country, *sorted(said_of_it), flush=True)
        for kind, name, result, told in pool.map(outcome, draws(faults, rng)):
            counts[kind][result] += 1
            print(f"{result}:", kind, name, told, flush=True)
    again = Counter(DRAWN_AGAIN)
    print("not planted, and drawn again:", dict(again), flush=True)
    counts = {kind: found for kind, found in counts.items() if faults}
    if faults:
        counts["all kinds"] = sum(counts.values(), Counter())
    alarms = sum(bool(c) for c in codes)
    if clean:
        counts["no fault: clean simulated projects"] = Counter(warned=alarms, equal=clean - alarms)
    for kind, n in again.items():
        counts[f"{kind}: nearly equal, drawn again"] = Counter(equal=n)
    append(
        "faults_held_out" if APART else "faults_in_files",
        (
            {"kind": kind, "drawn": sum(found.values()), **{o: found[o] for o in OUTCOMES}}
            for kind, found in counts.items()
        ),
    )


if __name__ == "__main__":
    main(*(int(a) for a in (sys.argv[1:] + ["1000", "200", "17"][len(sys.argv[1:]) :])))
