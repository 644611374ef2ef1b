"""From tidy rows to labelled arrays, and whether rows have all that the account needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from imps.demography.schedules import over_single_ages, within_cells
from imps.names import AGE, SEX, SEXES
from imps.project.sections import Account
from imps.reading.findings import Collector, listed
from imps.reading.table import Table
from imps.reading.totals import AREA_CODE, GEOGRAPHIES
from imps.sources.definitions import USUAL, Counted, Detail


def labelled(
    frame: pd.DataFrame, column: str, labels: Mapping[str, Sequence[object]]
) -> xr.DataArray:
    """Values of a column laid out by labels; a cell without a row is missing.

    Parameters
    ----------
    frame : DataFrame
        One row a cell, with a column for each dimension.
    column : str
    labels : mapping of dimension to labels
        In the order of the dimensions.
    """
    places = [pd.Index(list(of)).get_indexer(frame[dim]) for dim, of in labels.items()]
    known = np.all([at >= 0 for at in places], axis=0)
    values = np.full([len(of) for of in labels.values()], np.nan)
    values[tuple(at[known] for at in places)] = frame[column].to_numpy(float)[known]
    return xr.DataArray(
        values,
        dims=tuple(labels),
        coords={dim: list(of) for dim, of in labels.items()},
    )


def detail_of(rows: pd.DataFrame, table: Table, log: Collector) -> Detail | None:
    """Sexes and age groups of a stock or of deaths; a finding where years or sexes differ."""
    firsts = rows.groupby("age_group")[AGE].agg(set)
    found = Detail(set(rows[SEX]) != {"persons"}, tuple(sorted(set(rows[AGE]))))
    odd = [str(label) for label, first in firsts.items() if len(first) > 1]
    expected = dict(zip(found.lower_ages, (*found.groups[:-1], f"{found.lower_ages[-1]}+"),
                        strict=True))  # fmt: skip
    odd += [str(k) for k, first in firsts.items() if expected[min(first)] != str(k)]
    if {"persons"} < set(rows[SEX]):
        odd.append("persons")
    if not odd:
        return found
    log.add("AGE_GROUPS", file=table.name, column="age", texts=odd[:1], total=len(odd), ages=odd,
            expected=list(expected.values()))  # fmt: skip
    return None


def laid_out(published: xr.DataArray, schedule: xr.DataArray | None = None) -> xr.DataArray:
    """Counts of a population by (sex, first age of the group) over sex and single age, persons.

    Within what was published as `schedule` (sex, age) says; without one single ages are
    interpolated, and of persons each sex is a half.
    """
    detail = Detail(published.sizes[SEX] == 2, tuple(int(a) for a in published[AGE].values))
    n_ages = detail.lower_ages[-1] + 1
    if detail.fixes_cells(n_ages):
        return published
    if schedule is not None and schedule.sizes[AGE] == n_ages:
        rule = detail.counting(n_ages)
        single = within_cells(published.values.ravel(), rule, schedule.transpose(SEX, AGE).values)
    else:
        single = over_single_ages(published.values, detail.lower_ages)
        single = single if detail.by_sex else np.repeat(single, 2, axis=0) / 2
    labels = {SEX: list(SEXES), AGE: list(range(n_ages))}
    return xr.DataArray(single, dims=(SEX, AGE), coords=labels)


def single_ages(rows: pd.DataFrame, table: Table, log: Collector) -> bool:
    """Whether rows have single years of age from 0 to an open group; a finding if not."""
    labels, top = set(rows["age_group"]), int(rows[AGE].max())
    if labels == {*map(str, range(top)), f"{top}+"}:
        return True
    odd = sorted(labels - {*map(str, range(top)), f"{top}+"}) or [f"no age group {top}+"]
    log.add(
        "SINGLE_AGES_NEEDED", file=table.name, column="age", texts=odd[:1], total=len(odd), ages=odd
    )
    return False


def complete(rows: pd.DataFrame, value: str, table: Table, log: Collector) -> bool:
    """Whether no figure is missing; a finding with the cells if one is."""
    missing = rows[rows[value].isna()]
    if missing.empty:
        return True
    keys = [k for k in ("source", "year", "flow", "sex", "age_group") if k in rows]
    cells = [" ".join(map(str, key)) for key in missing[keys].itertuples(index=False)]
    log.add(
        "CELLS_NEEDED",
        file=table.name,
        column=value,
        total=len(cells),
        figures=len(rows),
        cells=cells,
    )
    return False


def area_name(geography: str, account: Account) -> str:
    """What an area is called in titles: a code by its name, or by that of the account."""
    if not AREA_CODE.fullmatch(geography):
        return geography
    named = account.name.partition(",")[0].strip()
    called = f"{named} ({geography})" if named else geography
    return GEOGRAPHIES.get(geography, called)


def counted(table: Table, account: Account, measure: str = "") -> Counted:
    """What the figures of a table count."""
    return Counted(
        geography=area_name(table.metadata.get("geography", "") or account.geography, account),
        residents=table.options.residents or USUAL,
        measure=measure,
    )


def differing(one: pd.DataFrame, two: pd.DataFrame, value: str) -> str:
    """In which cells two versions of a stock differ, in words."""
    keys = [k for k in (SEX, "age_group") if k in one and k in two]
    if not keys:
        return f"{one[value].sum():,.10g} and {two[value].sum():,.10g} persons"
    both = one.merge(two, on=keys, suffixes=("", "_other"))
    apart = both[both[value] != both[f"{value}_other"]]
    cells = [f"{' '.join(map(str, r[:-2]))}: {r[-2]:,.10g} and {r[-1]:,.10g}" for r in
             apart[[*keys, value, f"{value}_other"]].itertuples(index=False)]  # fmt: skip
    return (
        f"{len(cells)} of {len(both)} cells differ ({listed(cells, 10)})"
        if cells
        else (f"all {len(both)} cells are equal")
    )
