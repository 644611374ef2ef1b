"""A new project folder: settings with every default, example tables, logs to fill in.

The figures are invented, for a country that does not exist, so that a new project
can be checked at once and each file shows the form that the package reads.
"""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from imps.errors import OutputExistsError
from imps.project.settings import SCHEMA_VERSION, SETTINGS_FILE, FitSettings, OutputSettings

FIRST_MID_YEAR: Final = 2001
LAST_MID_YEAR: Final = 2006
OPEN_AGE: Final = 90
SEXES: Final = ("male", "female")
GROUPS: Final = ("0-14", "15-24", "25-44", "45-64", "65+")


def write_project(directory: str | os.PathLike[str]) -> Path:
    """Write a project folder with settings, example tables, README and logs.

    Parameters
    ----------
    directory : path
        A folder that does not exist yet, or is empty.

    Returns
    -------
    Path
        The settings file.

    Raises
    ------
    OutputExistsError
        If the folder holds anything; nothing in it is touched.
    """
    target = Path(directory)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OutputExistsError(
            f"'{directory}' exists already and is not an empty folder: nothing was written. "
            "Choose another name."
        )
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name, text in project_files(target.name).items():
            file = partial / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            target.rmdir()
        os.replace(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target / SETTINGS_FILE


def project_files(name: str) -> dict[str, str]:
    """Every file of a new project and its text."""
    return {
        SETTINGS_FILE: settings_template(),
        "README.md": _README.format(name=name),
        "assumptions_log.csv": "date,author,assumption,reason,effect_on_results,reviewed_by\n",
        "quality_log.csv": "date,author,check,finding,decision,reviewed_by\n",
        "data/population.csv": _csv(("vintage", "year", "sex", "age", "population", "unit"),
                                    _population_rows()),
        "data/births.csv": _csv(("year", "period", "sex", "births"), _births_rows()),
        "data/deaths.csv": _csv(("year", "period", "sex", "age", "deaths"), _deaths_rows()),
        "data/survey_flows.csv": _csv(
            ("year", "period", "flow", "sex", "age_group", "estimate", "standard_error",
             "contacts", "unit"),
            _survey_rows(),
        ),
        "data/administrative_flows.csv": _csv(
            ("source", "year", "period", "flow", "count", "unit"), _asylum_rows()
        ),
    }  # fmt: skip


def settings_template() -> str:
    """The settings file of a new project, with every default written out."""
    fit, output = FitSettings(), OutputSettings()
    return f"""\
# Settings of one account. Paths are relative to this file; unknown keys are refused.
# Run `imps check .` in this folder after every change: it samples nothing.
schema = {SCHEMA_VERSION}

[account]
name = "Exampleland, mid-{FIRST_MID_YEAR} to mid-{LAST_MID_YEAR} (invented figures)"
geography = "Exampleland"        # every file must be for this area
first_mid_year = {FIRST_MID_YEAR}            # population that the roll-forward starts from
last_mid_year = {LAST_MID_YEAR}             # the census at the other end
base_vintage = ""                # which population is the base, where there are several of
rolled_forward_vintage = ""      # that year; none: the roll-forward is computed from the tables
census_vintage = ""
census_standard_error = 0.001    # random error of a total, share: 95 % half-width / 1.96
calendar_to_mid_year = ""        # or "mean-of-two-calendar-years"
special_populations = ""         # or "as-declared" if stocks differ in armed forces, prisoners
survey_eras = ""                 # years of other coverage, such as "immigration 2004-2008"

[fit]
seed = {fit.seed}                         # one whole number for everything random
chains = {fit.chains}
draws = {fit.draws}
tune = {fit.tune}
cores = {fit.cores}
target_accept = {fit.target_accept}

[output]
folder = "{output.folder}"               # inside this folder
overwrite = {str(output.overwrite).lower()}

# One section for each file. What only you can know is declared here: unit, period,
# geography, vintage, missing = {{ "*" = "suppressed" }}, sex_codes, open_age, rounding, ...
[[population]]
file = "data/population.csv"
unit = "persons"
geography = "Exampleland"

[[births]]
file = "data/births.csv"
period = "mid-year"              # years to 30 June; or "calendar-year"
geography = "Exampleland"

[[deaths]]
file = "data/deaths.csv"
period = "mid-year"
age_counted = "at-mid-year"      # age reached on 30 June; or "at-death"
geography = "Exampleland"

[[survey_flows]]
file = "data/survey_flows.csv"
unit = "persons"
period = "mid-year"
geography = "Exampleland"
definition = "survey"            # "LTIM" or "TIM" if adjustments are inside: see `includes`

[[administrative_flows]]
file = "data/administrative_flows.csv"
unit = "persons"
period = "mid-year"
geography = "Exampleland"

# [[stocks]]
# file = "data/stocks.csv"
# coverage = {{ distribution = "normal", mean = 1.03, sd = 0.02 }}   # persons counted per resident

# Priors that differ from the package's own; see the table of priors for their meaning.
# [priors.asylum_seekers]
# mean = 0.0
# sd = 0.2
"""


_README: Final = """\
# {name}

An account of population change between two censuses, reconciled with `imps`.

| File | What it is |
| --- | --- |
| `settings.toml` | everything that is declared: area, years, files, units, priors, seed |
| `data/` | published tables; the figures in it are invented and are to be replaced |
| `assumptions_log.csv` | what was assumed, by whom, why, and who reviewed it |
| `quality_log.csv` | what was checked, what was found, what was decided |

1. Replace the tables in `data/` by your own: CSV, XLSX or Parquet.
2. Declare in `settings.toml` what the files cannot say: unit, period, vintage, codes.
3. Run `imps check .`; it names file, row and column of every fault and samples nothing.
4. Run `imps reconcile settings.toml`.

Figures are counts of persons. A missing cell is left empty, or holds [c] (confidential),
[x] (not available) or a code declared in the settings; it is never taken as 0.
"""


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


# The invented country


def _label(age: int) -> str:
    return f"{OPEN_AGE}+" if age == OPEN_AGE else str(age)


def _people(sex: str, age: int) -> int:
    shape = 6_000 * math.exp(-(((age - 32) / 42) ** 2)) * (1.03 if age < 20 else 1.0)
    tilt = 1.04 - 0.004 * age if sex == "male" else 0.96 + 0.004 * age
    return round(shape * tilt * (4.0 if age == OPEN_AGE else 1.0))


def _death_rate(sex: str, age: int) -> float:
    level = 1.35 if sex == "male" else 1.0
    if age == OPEN_AGE:
        return 0.21
    return level * (0.004 if age == 0 else 0.0002 + 0.00003 * math.exp(0.093 * age))


def _net(sex: str, age: int) -> int:
    return round(60 * math.exp(-(((age - 24) / 7) ** 2)) * (1.1 if sex == "male" else 1.0))


def _births(sex: str, year: int) -> int:
    return 2_480 + 12 * (year - FIRST_MID_YEAR) + (130 if sex == "male" else 0)


def _years() -> range:
    return range(FIRST_MID_YEAR + 1, LAST_MID_YEAR + 1)


def _deaths(sex: str, age: int) -> int:
    return round(_people(sex, age) * _death_rate(sex, age))


def _population_rows() -> Iterator[tuple[Any, ...]]:
    for sex in SEXES:
        for age in range(OPEN_AGE + 1):
            yield "census 2001", FIRST_MID_YEAR, sex, _label(age), _people(sex, age), "persons"
    for sex in SEXES:
        for age, count in enumerate(_census(sex)):
            yield "census 2006", LAST_MID_YEAR, sex, _label(age), count, "persons"


def _census(sex: str) -> list[int]:
    """The population carried forward, less some young adults whose emigration was missed."""
    people = [_people(sex, age) for age in range(OPEN_AGE + 1)]
    for year in _years():
        moved = [_births(sex, year), *people]
        oldest = moved.pop()
        moved[-1] += oldest
        people = [n - _deaths(sex, a) + _net(sex, a) for a, n in enumerate(moved)]
    missed = [round(40 * math.exp(-(((age - 27) / 6) ** 2))) for age in range(OPEN_AGE + 1)]
    return [max(n - m, 0) for n, m in zip(people, missed, strict=True)]


def _births_rows() -> Iterator[tuple[Any, ...]]:
    for year in _years():
        for sex in SEXES:
            yield year, "mid-year", sex, _births(sex, year)


def _deaths_rows() -> Iterator[tuple[Any, ...]]:
    for year in _years():
        for sex in SEXES:
            for age in range(OPEN_AGE + 1):
                yield year, "mid-year", sex, _label(age), _deaths(sex, age)


def _survey_rows() -> Iterator[tuple[Any, ...]]:
    shares = {"0-14": 0.10, "15-24": 0.34, "25-44": 0.42, "45-64": 0.11, "65+": 0.03}
    for year in _years():
        for flow, level in (("immigration", 3_900), ("emigration", 2_450)):
            for sex, part in (("male", 0.52), ("female", 0.48)):
                for group in GROUPS:
                    growth = 1 + 0.03 * (year - FIRST_MID_YEAR)
                    estimate = round(level * part * shares[group] * growth)
                    contacts = max(round(estimate / 15), 2)
                    error = round(estimate * 1.2 / math.sqrt(contacts))
                    yield (year, "mid-year", flow, sex, group, estimate, error, contacts,
                           "persons")  # fmt: skip


def _asylum_rows() -> Iterator[tuple[Any, ...]]:
    for year in _years():
        yield "asylum_seekers", year, "mid-year", "immigration", 210 + 15 * (year % 3), "persons"
