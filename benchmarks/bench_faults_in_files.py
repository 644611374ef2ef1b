"""Projects of files with one random fault each: is it refused, warned about, or silent?

Three projects: two cases of the package, and a simulated country. A fault is drawn by kind
(`faulty_files.FAULTS`), each kind in turn, and drawn anew where it changes nothing. What
`imps check` says is compared with what it says of the right project:

refused  something is refused or asked that was not
warned   a warning that was not there
equal    nothing is said, and every figure and setting is read as in the right project
silent   nothing is said, and figures or settings differ

Also counts false alarms: warnings on simulated projects without a fault, of 20 thousand to 60
million people. Appends to results/faults_in_files.csv one row a kind, one for all kinds, and one
for clean projects. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_faults_in_files.py [faults] [clean]
"""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from faulty_files import FAULTS, Project, clean_project, shipped_project

from imps.project.check import ImportReport, check_project
from imps.reading.findings import WARN

PROJECTS = ("uk_1991_2001", "england_wales_2011_2021", "simulated")
OUTCOMES = ("refused", "warned", "equal", "silent", "crashed")
SMALLEST, LARGEST = 20e3, 60e6
SIMULATED = 2.7e6
DRAWN_ANEW = 30
PROCESSES = int(os.environ.get("PROCESSES", "2"))


@cache
def right_project(name: str) -> Project:
    """One of the three projects."""
    return clean_project(SIMULATED, seed=1) if name == "simulated" else shipped_project(name)


def checked(project: Project) -> ImportReport:
    """What `imps check` says of it."""
    with tempfile.TemporaryDirectory() as folder:
        return check_project(project.write(Path(folder)))


def said(report: ImportReport) -> set[tuple[str, str, str]]:
    """Codes of warnings and what they say."""
    return {(f.code, f.file, f.problem) for f in report.log.findings if f.outcome == WARN}


def figures(report: ImportReport) -> object:
    """Everything that an account takes from the files."""
    assert report.settings is not None
    tables = sorted((t.kind, t.content_hash) for t in report.tables)
    return tables, report.settings.account, dict(report.settings.priors)


@cache
def right_report(name: str) -> ImportReport:
    """The check of a right project."""
    return checked(right_project(name))


def outcome(drawn: tuple[str, str, Project]) -> tuple[str, str, str]:
    """Kind of a fault, its project, and how it ends."""
    kind, name, faulty = drawn
    try:
        report = checked(faulty)
    except Exception as error:
        print("crashed:", kind, name, repr(error), flush=True)
        return kind, name, "crashed"
    right = right_report(name)
    if not report.passed:
        return kind, name, "refused"
    if said(report) - said(right):
        return kind, name, "warned"
    return kind, name, "equal" if figures(report) == figures(right) else "silent"


def alarm(drawn: tuple[float, int, int]) -> set[str]:
    """Codes of warnings and refusals on a clean project of a size, seed and number of years."""
    size, seed, years = drawn
    report = checked(clean_project(size, seed, years=years))
    return {f.code for f in report.log.findings if f.outcome == WARN or not report.passed}


def faulty(kind: str, rng: np.random.Generator, start: int) -> tuple[str, Project] | None:
    """A project with a fault of a kind; None if no project can have it."""
    for k in range(DRAWN_ANEW):
        name = PROJECTS[(start + k) % len(PROJECTS)]
        found = FAULTS[kind](right_project(name), rng)
        if found is not None:
            return name, found
    return None


def draws(faults: int, rng: np.random.Generator) -> Iterator[tuple[str, str, Project]]:
    """Projects with a fault, each kind in turn."""
    for i in range(faults):
        kind = list(FAULTS)[i % len(FAULTS)]
        drawn = faulty(kind, rng, i // len(FAULTS) + i)
        if drawn is not None:
            yield kind, *drawn


def main(faults: int, clean: int) -> None:
    """Draw faults and clean projects, and append what was found."""
    from results_file import append

    rng = np.random.default_rng(17)
    counts = {kind: Counter[str]() for kind in FAULTS}
    countries = [
        (float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST)))), 1000 + i,
         int(rng.integers(4, 13)))
        for i in range(clean)
    ]  # fmt: skip
    with ProcessPoolExecutor(PROCESSES) as pool:
        codes = list(pool.map(alarm, countries))
        for country, said_of_it in zip(countries, codes, strict=True):
            print("alarm:" if said_of_it else "clean:", *country, *sorted(said_of_it), flush=True)
        for kind, name, result in pool.map(outcome, draws(faults, rng)):
            counts[kind][result] += 1
            print(f"{result}:", kind, name, flush=True)
    counts["all kinds"] = sum(counts.values(), Counter())
    alarms = sum(bool(c) for c in codes)
    counts["no fault: clean simulated projects"] = Counter(warned=alarms, equal=clean - alarms)
    append(
        "faults_in_files",
        (
            {"kind": kind, "drawn": sum(found.values()), **{o: found[o] for o in OUTCOMES}}
            for kind, found in counts.items()
        ),
    )


if __name__ == "__main__":
    main(*(int(a) for a in (sys.argv[1:] + ["1000", "200"][len(sys.argv[1:]) :])))
