"""Doubts about figures, followed: the file that a message names is compared with its publication.

A program does what the advice says: it puts the published figures, which are the right ones, into
the files that the message speaks of, or renames the column as it says, and checks again. The
doubt is gone then, nothing is refused, and nothing new is doubted.
"""

from __future__ import annotations

import numpy as np
import pytest
from test_plausibility import (
    FAULTS,
    NOTICED,
    SHIPPED,
    TEMPLATES,
    Project,
    clean_project,
    folder_project,
    shipped_project,
)

from imps.project.check import check_project
from imps.reading.findings import CATALOGUE, WARN, ImportLog

PLANTED = {
    "CELL_UNLIKELY": ("simulated", "cell x 10"),
    "CELL_UNLIKELY.divided": ("area", "groups divided evenly"),
    "CELL_UNLIKELY.step": ("area", "a fifth of arrivals of an age lost"),
    "CELLS_MISSING.years": ("simulated", "a year lost at the end"),
    "YEAR_UNLIKELY": ("simulated", "year x 0.4"),
    "YEAR_UNLIKELY.running": ("simulated", "cumulated figures"),
    "YEAR_UNLIKELY.rounded": ("simulated", "year rounded to thousands"),
    "BALANCE_UNLIKELY": ("simulated", "roll-forward of a year x 1.03"),
    "BALANCE_UNLIKELY.gap": ("cards", "a gap like no other"),
    "BALANCE_UNLIKELY.level": ("uk_1991_2001", "years in reverse order"),
    "BALANCE_UNLIKELY.scale": ("register", "migration of every month"),
    "BALANCE_UNLIKELY.expected": ("register", "a tenth of births too many"),
    "PARTS_UNLIKELY": ("uk_1991_2001", "total migration of another country"),
    "YEARS_IDENTICAL.few": ("simulated", "ages pasted twice"),
    "YEAR_REARRANGED": ("simulated", "sexes swapped in a year"),
    "SEX_RATIO_UNLIKELY": ("simulated", "births of one sex x 10"),
    "SEX_RATIO_UNLIKELY.ages": ("cards", "more boys than are born"),
    "RATE_UNLIKELY": ("simulated", "deaths / 10"),
    "CONTACTS_AS_ESTIMATES": ("simulated", "contacts as estimates"),
    "ERROR_UNLIKELY": ("simulated", "SE x 10 in a year"),
    "ERROR_UNLIKELY.table": ("simulated", "half-widths as SE"),
    "ERROR_UNLIKELY.rows": ("simulated", "SE shifted by a row"),
    "YEARS_IDENTICAL": ("simulated", "year copied"),
    "COHORT_NEGATIVE": ("uk_1991_2001", "deaths x 10"),
    "PERIOD_GAP": ("simulated", "year lost"),
    "CELLS_ABSENT": ("simulated", "row lost"),
    "VINTAGE_NEEDED.unknown": ("simulated", "vintage unknown"),
    "COVERAGE_MISMATCH": ("simulated", "another area"),
    "FILE_NOT_READABLE": ("simulated", "file absent"),
    "SOURCES_REFUSED": ("uk_1991_2001", "asylum x 10"),
}
"""Causes of the catalogue, and a project and a fault that draws each."""

OF_SEVERAL = ("these people", "both files", "year of the account", "vintage")
"""Words of advice that speaks of more than the file that is named."""

DRAWS = 12


def right_project(name: str) -> Project:
    if name == "simulated":
        return clean_project(2.7e6, seed=1)
    return shipped_project(name) if (SHIPPED / name).exists() else folder_project(TEMPLATES / name)


def faulty_projects(name: str, kind: str):
    """Projects with a fault of a kind, one after the other."""
    right = right_project(name)
    if kind in NOTICED:
        _, file, edit, *_ = NOTICED[kind]
        file = next(f for f in right.files if f.endswith(f"{file}.csv"))
        yield right.with_table(file, edit(right.table(file)))
        return
    rng = np.random.default_rng(3)
    yield from filter(None, (FAULTS[kind](right, rng) for _ in range(DRAWS)))


def drawn(name: str, log: ImportLog):
    """The finding of a cause, by the beginning of its advice."""
    row = CATALOGUE[name]
    said = row.next_step.split("{")[0]
    return next((f for f in log.findings if f.code == row.code and f.next_step.startswith(said)),
                None)  # fmt: skip


def followed(found, faulty: Project, right: Project) -> Project:
    """The project after its owner did what the message says."""
    if "name it 'half_width_95'" in found.next_step:
        text = str(faulty.files[found.file]).replace("standard_error", "half_width_95", 1)
        return faulty.with_text(found.file, text)
    if found.file in right.files and not any(words in found.next_step for words in OF_SEVERAL):
        return faulty.with_text(found.file, right.files[found.file])
    return right


@pytest.mark.parametrize("name", PLANTED)
def test_a_doubt_is_settled_by_the_publication_of_the_file_that_it_names(name, tmp_path):
    project, kind = PLANTED[name]
    right = right_project(project)
    for faulty in faulty_projects(project, kind):
        first = check_project(faulty.write(tmp_path)).log
        found = drawn(name, first)
        if found is not None:
            break
    assert found is not None, f"{kind} does not draw {name}: {first}"
    second = check_project(followed(found, faulty, right).write(tmp_path)).log
    assert second.passed, second
    assert not [f for f in second.findings if f.outcome == WARN], second
