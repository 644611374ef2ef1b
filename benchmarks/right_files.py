"""Projects of right files: cases of the package as text, and countries of any size.

`clean_project` tells a country without the model: people are born, die and migrate as counts
do, a survey samples the flows, a census counts with a small error.
"""

from __future__ import annotations

import io
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SHIPPED = Path(__file__).parents[1] / "imps" / "shipped"
TEMPLATES = Path(__file__).parents[1] / "imps" / "project" / "template"
SEXES = ("male", "female")
GROUPS = {"0-14": (0, 15), "15-24": (15, 25), "25-44": (25, 45), "45-64": (45, 65), "65+": (65, 91)}
GROUPS_OF_SMALL = {"0-14": (0, 15), "15-44": (15, 45), "45+": (45, 91)}
SMALL = 500e3
"""People below whom a survey tells fewer age groups apart: it would meet nobody in some."""


@dataclass(frozen=True)
class Project:
    """A project as text: settings, and files by name."""

    settings: str
    files: dict[str, str | bytes]

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of table of each file, as the settings say."""
        found = tomllib.loads(self.settings)
        return {
            entry["file"]: kind
            for kind, entries in found.items()
            if isinstance(entries, list)
            for entry in entries
        }

    def table(self, name: str) -> pd.DataFrame:
        """A file as texts."""
        return pd.read_csv(io.StringIO(str(self.files[name])), dtype=str, keep_default_na=False)

    def with_table(self, name: str, frame: pd.DataFrame) -> Project:
        """The project with other rows in a file."""
        return self.with_text(name, frame.to_csv(index=False))

    def with_text(self, name: str, text: str | bytes) -> Project:
        """The project with another file."""
        return replace(self, files={**self.files, name: text})

    def write(self, folder: Path) -> Path:
        """Write everything into a folder."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path = folder / "settings.toml"
        path.write_text(self.settings, encoding="utf-8")
        return path


def shipped_project(name: str) -> Project:
    """A case of the package as text."""
    return folder_project(SHIPPED / name)


def register_project() -> Project:
    """A fictitious country whose migration is registered by single age, as text."""
    return folder_project(TEMPLATES / "register")


def folder_project(folder: Path) -> Project:
    """A project folder as text."""
    files: dict[str, str | bytes] = {
        p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8")
        for p in sorted(folder.rglob("*.csv"))
    }
    return Project((folder / "settings.toml").read_text(encoding="utf-8"), files)


# A clean country


def clean_project(people: float, seed: int, *, first: int = 2001, years: int = 10) -> Project:
    """A country or an area of any size with right figures.

    Mortality is Gompertz with infant deaths; births have a wave; flows follow a random walk
    of some per cent a year; the survey has contacts, a grossing weight and a design effect.
    """
    rng = np.random.default_rng(seed)
    ages, span = np.arange(91), np.arange(first + 1, first + years + 1)
    rates = np.stack([0.005 * np.exp(-2.5 * ages) + 2e-5 * np.exp(k * ages) for k in (0.1, 0.094)])
    rates = np.minimum(rates, 0.28)
    wave = 1 + rng.uniform(0.03, 0.15) * np.cos((ages - rng.uniform(0, 40)) / rng.uniform(6, 9))
    wave = wave * np.exp(0.015 * rng.standard_normal(91))
    base = np.exp(-np.cumsum(rates, axis=1)) * wave * np.array([[1.05], [1.0]])
    base[:, -1] *= 3.5
    stock = rng.poisson(people * base / base.sum()).astype(float)
    start, lines = stock, {"births": [], "deaths": [], "survey_flows": []}  # type: ignore[var-annotated]
    weight, effect = max(people * 1e-5, 2.0) * rng.uniform(0.5, 2), rng.uniform(1.2, 3.5)
    level = {"immigration": rng.uniform(0.004, 0.02), "emigration": rng.uniform(0.003, 0.012)}
    fertility = rng.uniform(0.045, 0.07)
    net = np.zeros(years)
    for t, year in enumerate(span):
        stock, born, died = _year(stock, rates, fertility, rng)
        fertility *= np.exp(0.015 * rng.standard_normal())
        lines["births"] += [(year, s, int(born[i])) for i, s in enumerate(SEXES)]
        lines["deaths"] += [
            (year, s, _age(a), int(died[i, a])) for i, s in enumerate(SEXES) for a in ages
        ]
        for flow, share in level.items():
            level[flow] = share * np.exp(0.05 * rng.standard_normal())
            moved = rng.poisson(people * level[flow] * _schedule(flow)).astype(float)
            stock = stock + moved * (1 if flow == "immigration" else -1)
            stock = np.maximum(stock, 0)
            groups = GROUPS if people >= SMALL else GROUPS_OF_SMALL
            rows = _sample(moved, groups, weight, effect, rng)
            net[t] += sum(r[2] for r in rows) * (1 if flow == "immigration" else -1)
            lines["survey_flows"] += [(year, flow, *row) for row in rows]
    counted = np.maximum(np.round(stock * (1 + 0.004 * rng.standard_normal(stock.shape))), 0)
    asylum = np.round(people * 0.0005 * np.exp(0.15 * rng.standard_normal(years)) + 3)
    natural = _sums(lines["births"], span) - _sums(lines["deaths"], span)
    rolled = np.round(start.sum() + np.cumsum(natural + net + asylum))
    frames = {
        "population": pd.DataFrame(
            [
                (v, y, s, _age(a), int(x[i, a]))
                for v, y, x in (("first", first, start), ("census", span[-1], counted))
                for i, s in enumerate(SEXES)
                for a in ages
            ],
            columns=["vintage", "year", "sex", "age", "population"],
        ),
        "population_totals": pd.DataFrame(
            [("first", y, int(p)) for y, p in zip(span, rolled, strict=True)],
            columns=["vintage", "year", "population"],
        ),
        "births": pd.DataFrame(lines["births"], columns=["year", "sex", "births"]),
        "deaths": pd.DataFrame(lines["deaths"], columns=["year", "sex", "age", "deaths"]),
        "survey_flows": pd.DataFrame(
            lines["survey_flows"],
            columns=["year", "flow", "sex", "age_group", "estimate", "standard_error", "contacts"],
        ),
        "administrative_flows": pd.DataFrame(
            [
                ("asylum_seekers", y, "immigration", int(n))
                for y, n in zip(span, asylum, strict=True)
            ],
            columns=["source", "year", "flow", "count"],
        ),
    }  # fmt: skip
    settings = _settings(first, int(span[-1]))
    return Project(settings, {f"{k}.csv": f.to_csv(index=False) for k, f in frames.items()})


def _age(age: int) -> str:
    return f"{age}+" if age == 90 else str(age)


def _year(stock: Any, rates: Any, fertility: float, rng: np.random.Generator) -> Any:
    aged = np.zeros_like(stock)
    aged[:, 1:] = stock[:, :-1]
    aged[:, -1] += stock[:, -1]
    births = rng.poisson(fertility * stock[1, 15:45].sum())
    boys = rng.binomial(births, 0.5134)
    aged[:, 0] = boys, births - boys
    died = rng.binomial(aged.astype(int), rates)
    return aged - died, aged[:, 0], died


def _schedule(flow: str) -> Any:
    ages = np.arange(91.0)
    peak = 22.0 if flow == "immigration" else 25.0
    bell = np.exp(-0.1 * (ages - peak) - np.exp(-0.45 * (ages - peak)))
    shape = bell + 0.15 * np.exp(-0.08 * ages)
    male = 0.5 + (0.02 if flow == "emigration" else -0.01)
    return np.stack([male * shape, (1 - male) * shape]) / shape.sum()


def _sample(
    moved: Any, groups: Any, weight: float, effect: float, rng: np.random.Generator
) -> list[tuple]:
    rows = []
    for i, sex in enumerate(SEXES):
        for group, (low, high) in groups.items():
            contacts = rng.poisson(moved[i, low:high].sum() / weight)
            estimate = weight * contacts * np.exp(0.1 * rng.standard_normal())
            error = (
                weight * np.sqrt(max(contacts, 0) * effect) * np.exp(0.1 * rng.standard_normal())
            )
            rows.append((sex, group, round(estimate), round(error), int(contacts)))
    return rows


def _sums(rows: list[tuple], span: Any) -> Any:
    return np.array([sum(r[-1] for r in rows if r[0] == y) for y in span], float)


def _settings(first: int, last: int) -> str:
    flows = 'unit = "persons"\nperiod = "mid-year"\n'
    return f"""schema = 1

[account]
name = "Simulia, mid-{first} to mid-{last}"
geography = "Simulia"
first_mid_year = {first}
last_mid_year = {last}
base_vintage = "first"
rolled_forward_vintage = "first"
census_vintage = "census"
census_standard_error = 0.001

[[population]]
file = "population.csv"
unit = "persons"

[[population_totals]]
file = "population_totals.csv"
unit = "persons"

[[births]]
file = "births.csv"
period = "mid-year"

[[deaths]]
file = "deaths.csv"
period = "mid-year"
age_counted = "at-mid-year"

[[survey_flows]]
file = "survey_flows.csv"
definition = "survey"
zero_no_contacts = "unobserved"
{flows}
[[administrative_flows]]
file = "administrative_flows.csv"
{flows}"""
