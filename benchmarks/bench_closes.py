"""Accounts that close exactly: every true error is zero, and every finding is a false one.

A made-up country of SIZE million with flows by age group, each cell varying by CV over years,
whose stocks follow from births, deaths and flows to the person. Poisson standard errors of the
flows, 0.1 per cent for the census. One row a setting: errors, verdicts "do not use", the share
of fits in which the 90 per cent interval of every source holds zero, the least share for a
source, and the mean of |posterior mean| / sd over sources.

Ages of the flows are those reached at the end of the year. That is declared only where `ages`
says so (1): undeclared (0), as a user of little care would leave them, they are taken for ages at
the move, half a year off, unless the stocks show the other.

Appends to results/closes_exactly.csv. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_closes.py 10 5,10 5 0.5,5 0.05

for ten seeds, periods of 5 and 10 years, groups of five years, countries of half a million and of
5 million, and cells that vary by 5 per cent, undeclared; what is not given is all of it, and
a last list is that of the declarations.
"""

import itertools
import sys

import numpy as np
import pandas as pd
from results_file import append

import imps
from imps.reading.table import Table

AGES, OPEN = np.arange(91), 90
EVERY = ((5, 10, 18), (5, 1), (0.5, 5.0, 60.0), (0.0, 0.05, 0.3), (0,))
"""Years, widths of the age groups of flows, millions, variation of a cell over years, ages."""
BIRTHS_A_MILLION = {"male": 8_200, "female": 7_800}
"""Births a year in a country of a million."""
LEVELS = {"immigration": 0.045, "emigration": 0.0375}
"""Flow of each sex at the peak age, a share of a year's births."""


def country(size: float, years: int, cv: float, width: int, seed: int) -> dict[str, pd.DataFrame]:
    """Tables of a country that closes: population, births, deaths and flows."""
    rng, last = np.random.default_rng(seed), 2001 + years
    born = {sex: round(size * n) for sex, n in BIRTHS_A_MILLION.items()}
    shape = 1 + 0.15 * np.sin(AGES / 4)
    shape = shape * np.where(AGES < 60, 1, np.maximum(0.02, 1 - (AGES - 60) / 32))
    people = {sex: np.round(n * shape) for sex, n in born.items()}
    dying = np.minimum(0.0002 * np.exp(AGES / 10.5), 0.3)
    dying[0] = 0.005
    moving = np.exp(-(((AGES - 26) / 9) ** 2)) + 0.06 * np.exp(-((AGES / 35) ** 2)) + 0.004
    groups = [(low, low + width - 1) for low in range(0, 65, width)] + [(65, OPEN)]
    stocks, births, deaths, flows = [("base", 2001, people)], [], [], []
    for year in range(2002, last + 1):
        now = {}
        for sex, before in people.items():
            aged = np.r_[born[sex], before[:-1]]
            aged[-1] += before[-1]
            died, net = np.round(aged * dying), np.zeros(AGES.size)
            for flow, level in LEVELS.items():
                for low, high in groups:
                    inside = moving[low : high + 1]
                    n = round(level * born[sex] * inside.sum() * np.exp(rng.normal(0, cv)))
                    sign = 1 if flow == "immigration" else -1
                    net[low : high + 1] += sign * n * inside / inside.sum()
                    flows.append((year, flow, sex, label(low, high), n, max(n, 1) ** 0.5))
            births.append((year, sex, born[sex]))
            deaths += [(year, sex, label(a, a), int(d)) for a, d in zip(AGES, died, strict=True)]
            now[sex] = aged - died + net
        people = now
    stocks.append(("census", last, people))
    counted = [
        (vintage, year, sex, label(a, a), round(float(n)))
        for vintage, year, by_sex in stocks
        for sex, cells in by_sex.items()
        for a, n in zip(AGES, cells, strict=True)
    ]
    return {
        "population": pd.DataFrame(
            counted, columns=["vintage", "year", "sex", "age", "population"]
        ),
        "births": pd.DataFrame(births, columns=["year", "sex", "births"]),
        "deaths": pd.DataFrame(deaths, columns=["year", "sex", "age", "deaths"]),
        "survey_flows": pd.DataFrame(
            flows, columns=["year", "flow", "sex", "age_group", "estimate", "standard_error"]
        ),
    }


def label(low: int, high: int) -> str:
    return f"{low}+" if high == OPEN else str(low) if low == high else f"{low}-{high}"


WHERE = {"geography": "Closedland"}


def read(tables: dict[str, pd.DataFrame], *, ages: bool, stated: str | None = None) -> list[Table]:
    """The tables read and declared as a user would; `stated` is another age of the flows."""
    options = {
        "population": {"unit": "persons"},
        "births": {"period": "mid-year"},
        "deaths": {"period": "mid-year", "age_counted": "at-mid-year"},
        "survey_flows": {"unit": "persons", "period": "mid-year", "definition": "long-term"},
    }
    if ages or stated:
        options["survey_flows"]["age_counted"] = stated or "at-mid-year"
    return [imps.read_table(t, kind, **WHERE, **options[kind]) for kind, t in tables.items()]


def declared(years: int, tables: dict[str, pd.DataFrame], *, ages: bool) -> imps.Sources:
    """The tables read and joined."""
    return imps.sources_from_tables(*read(tables, ages=ages), **account(years))


def account(years: int) -> dict[str, object]:
    """What is declared of the account."""
    return {**WHERE, "first_mid_year": 2001, "last_mid_year": 2001 + years,
            "census_standard_error": 0.001}  # fmt: skip


def measure(
    size: float, years: int, cv: float, width: int, seeds: int, *, ages: bool
) -> dict[str, object]:
    """One setting over many seeds."""
    errors, refused, clear, off = 0, 0, [], []
    for seed in range(1, seeds + 1):
        try:
            sources = declared(years, country(size, years, cv, width, seed), ages=ages)
            fit = imps.fit(imps.linear_model(sources, imps.default_priors()), seed=seed, draws=500)
        except imps.ImpsError:
            errors += 1
            continue
        refused += imps.check(fit).verdict.level == "do not use"
        table = imps.attribute(fit).summary(prob=0.90)
        table = table[table["sd"] > 1.0]
        clear.append((table["lower90"] <= 0) & (table["upper90"] >= 0))
        clear[-1].index = table["source"]
        off.append((table["mean"].abs() / table["sd"]).mean())
    held = pd.concat(clear, axis=1).T if clear else pd.DataFrame([[np.nan]])
    return {
        "size_million": size, "years": years, "variation": cv, "group_width": width,
        "ages": "declared" if ages else "not declared",
        "seeds": seeds, "errors": errors, "do_not_use": refused,
        "all_hold_zero": round(float(held.all(axis=1).mean()), 3),
        "least_share_of_a_source": round(float(held.mean().min()), 3),
        "mean_off_in_sd": round(float(np.mean(off)), 3),
    }  # fmt: skip


if __name__ == "__main__":
    many, *lists = sys.argv[1:] or ["10"]
    asked = [[float(x) for x in listed.split(",")] for listed in lists]
    settings = itertools.product(*asked, *EVERY[len(asked) :])
    append(
        "closes_exactly",
        (
            measure(size, int(t), cv, int(w), int(many), ages=bool(ages))
            for t, w, size, cv, ages in settings
        ),
    )
