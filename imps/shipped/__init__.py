"""Shipped cases: compact tables of published figures with source, vintage and licence.

Each case is a folder of tidy tables in one schema; a case has the tables that
were published for it.

`case.toml`
    title, area, dates, vintages, rules and notes.
`stocks.csv`, `stocks_by_sex.csv`
    item, date, vintage, persons, reference: base, rolled-forward, census totals.
`population.csv`
    vintage, year, sex, age, population, reference: single years of age.
`births.csv`, `deaths.csv`
    registered events by calendar year.
`vital_mid_years.csv`
    year, births, deaths: totals of mid-year intervals.
`survey_flows.csv`
    year, flow, sex, age_group, estimate and 95 per cent half-width in thousands, contacts.
`survey_totals.csv`
    year, flow, area, and the same for all ages and both sexes.
`flows_by_age.csv`
    year, flow, sex, age reached at mid-year, persons.
`flow_totals.csv`
    year, flow, basis (IPS, TIM, LTIM), thousands.
`asylum_applications.csv`
    year, main_applicants, dependants.
`known_changes.csv`
    year, name, persons: cross-border moves and other changes, net.
`published_afterwards.csv`, `later_series.csv`
    what was published after the census: for comparison only, no model sees it.
`references.csv`
    publisher, title, date and licence behind each key in the column `reference`.

Crown copyright figures are reused under the Open Government Licence v3.0.
"""

from __future__ import annotations

import difflib
import importlib.resources
import tomllib
from typing import Any

from imps.errors import UnknownCaseError


def cases() -> list[str]:
    """Names of the shipped cases."""
    folder = importlib.resources.files(__name__)
    return sorted(
        entry.name.replace("_", "-")
        for entry in folder.iterdir()
        if entry.is_dir() and (entry / "case.toml").is_file()
    )


def case_title(name: str) -> str:
    """Title of a shipped case, read without loading its tables."""
    return str(case_settings(name)["title"])


def case_settings(name: str) -> dict[str, Any]:
    """Settings of a shipped case, from its `case.toml`.

    Raises
    ------
    UnknownCaseError
        With the known names, and the nearest of them.
    """
    known = cases()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise UnknownCaseError(
            f"no shipped case is called '{name}'.{hint} Known: {', '.join(known)}."
        )
    file = importlib.resources.files(__name__) / name.replace("-", "_") / "case.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
