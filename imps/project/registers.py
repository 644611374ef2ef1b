"""Registers and other stocks beside the census from checked tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from imps.names import AGE, SEX, SEXES, YEAR
from imps.project.arrays import complete, counted, labelled, single_ages
from imps.project.sections import Account
from imps.reading.findings import Collector
from imps.reading.table import Table, of_kinds
from imps.sources.administrative import Register


def registers(
    tables: Sequence[Table],
    coverage: Mapping[str, Mapping[str, Any]],
    open_age: int,
    account: Account,
    log: Collector,
) -> tuple[Register, ...]:
    """One register for each source and year of the tables of stocks.

    Parameters
    ----------
    coverage : mapping of table name to prior
        As in the settings: distribution, mean and sd, or lower and upper.
    open_age : int
        Start of the open group of the population; registers end there as well.
    """
    found = []
    for table in of_kinds(tables, "stocks"):
        prior = coverage.get(table.name)
        if not prior:
            log.add("COVERAGE_NEEDED", file=table.name, column=table.value)
            continue
        if table.open_age != open_age:
            log.add(
                "OPEN_AGE_CHANGES.tables",
                file=table.name,
                column="age",
                here=table.open_age,
                other="the population",
                there=open_age,
                low=min(table.open_age or open_age, open_age),
            )
            continue
        years = table.frame.groupby("source")[YEAR].nunique()
        for (source, date), rows in table.frame.groupby(["source", "date"], sort=True):
            name = str(source) if years[source] == 1 else f"{source} {str(date)[:4]}"
            register = _register(name, str(date), rows, table, prior, account, log)
            found += [register] if register else []
    return tuple(found)


def _register(
    name: str,
    date: str,
    rows: pd.DataFrame,
    table: Table,
    prior: Mapping[str, Any],
    account: Account,
    log: Collector,
) -> Register | None:
    day = dt.date.fromisoformat(date)
    if not account.year_end.ends(day):
        log.add(
            "STOCK_DATE.register", file=table.name, column="year", texts=[day], name=name, date=day
        )
        return None
    if not (single_ages(rows, table, log) and complete(rows, table.value, table, log)):
        return None
    ages = sorted(rows[AGE].unique())
    cells = {SEX: SEXES, AGE: ages}
    count = labelled(rows, table.value, cells)
    error = count.clip(min=1.0) ** 0.5
    if "standard_error" in rows and rows["standard_error"].notna().all():
        error = labelled(rows, "standard_error", cells)
    else:
        log.add(
            "SE_DERIVED.register", file=table.name, column=table.value, total=len(rows), name=name
        )
    mean, sd, by_age = coverage_shares(prior)
    if prior["distribution"] == "uniform":
        log.add("PRIOR_AS_NORMAL", file=table.name, column="coverage", name=name)
    return Register(
        name=name, year=day.year, count=count, standard_error=error, coverage_mean=mean,
        coverage_sd=sd, coverage_age_sd=by_age, vintage=table.metadata.get("vintage", ""),
        reference=table.references(rows), counted=counted(table, account),
    )  # fmt: skip


def coverage_shares(prior: Mapping[str, Any]) -> tuple[float, float, float]:
    """Mean, sd and sd over age of the overcount as shares of the registered count.

    A coverage c (persons counted per resident) is an overcount 1 - 1/c of the count; its
    standard deviation is sd / c squared, to first order. Without `age_sd` the coverage
    may vary as much over age as in level.
    """
    if prior["distribution"] == "uniform":
        mean = (prior["lower"] + prior["upper"]) / 2
        sd = (prior["upper"] - prior["lower"]) / np.sqrt(12)
    else:
        mean, sd = prior["mean"], prior["sd"]
    by_age = prior.get("age_sd", sd)
    return 1 - 1 / mean, float(sd) / mean**2, float(by_age) / mean**2
