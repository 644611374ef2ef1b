"""From totals of interviews to the rows of an account, with nothing that tells who was met.

A row is an anonymised cell: year, direction, sex, age group, its estimate, its standard error
and the number of interviews behind it. Two things are asked and never assumed: from how many
months of stay the counted interviews are migrants, and the smallest number of interviews that
may be published.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imps.errors import DefinitionError, DesignError, DisclosureError, some
from imps.names import AGE_GROUP, EMIGRATION, FLOW, FLOWS, IMMIGRATION, SEX, YEAR
from imps.survey.design import STAGE
from imps.survey.estimation import SurveyTotals
from imps.survey.stage_weights import DIRECTIONS, positive, require_columns

MONTHS = 12
"""Months of stay that make a usual resident, and so a migrant of the account (United Nations,
Recommendations on Statistics of International Migration, 1998)."""

DIRECTION = "direction"
_FLOW_OF = dict(zip(DIRECTIONS, (IMMIGRATION, EMIGRATION), strict=True))
_CELLS = (YEAR, FLOW, SEX, AGE_GROUP)


def long_term(records: pd.DataFrame, *, stay: str, months: int) -> pd.Series:
    """Whether each interview is a migrant's: a stay, or an absence, of `months` or more.

    Parameters
    ----------
    records : DataFrame
    stay : column
        Months that the passenger intends to stay, or to be away; 0 for those who are no
        migrants in either sense.
    months : int
        12 for the usual residents of an account.

    Returns
    -------
    Series of bool
        By record.

    Raises
    ------
    DesignError
        If a length is missing or negative.

    Examples
    --------
    >>> records = pd.DataFrame({"months": [0, 3, 12, 48]})
    >>> long_term(records, stay="months", months=12).tolist()
    [False, False, True, True]
    """
    require_columns(records, [stay], "the records", error=DesignError)
    length = positive(records, stay, STAGE, zero=True, error=DesignError)
    return pd.Series(length >= months, records.index, name="long_term")


def published_table(totals: SurveyTotals, *, smallest_count: int) -> pd.DataFrame:
    """The table of totals, refused where a cell rests on too few interviews to be published.

    Parameters
    ----------
    totals : SurveyTotals
    smallest_count : int, interviews
        The least that a published cell may rest on, as the rules of the survey's owner
        state it; a cell in which nobody was met tells of nobody.

    Returns
    -------
    DataFrame
        `totals.table`.

    Raises
    ------
    DisclosureError
        With the cells, and what to do.

    Examples
    --------
    >>> table = pd.DataFrame({"sex": ["male", "female"], "contacts": [40, 2]})
    >>> totals = SurveyTotals(table, np.eye(2), ("sex",), "taylor", 9)
    >>> try:
    ...     published_table(totals, smallest_count=5)
    ... except DisclosureError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    COUNT_TOO_SMALL  1 of 2 cells rest on fewer than 5 interviews (female: 2), so that...
    """
    refuse_small_counts(totals.table, totals.cells, smallest_count)
    return totals.table


def refuse_small_counts(table: pd.DataFrame, cells: Sequence[str], smallest_count: int) -> None:
    """Refuse a table of `contacts` with a cell that rests on fewer than `smallest_count`."""
    if not smallest_count >= 1:
        raise DefinitionError(
            f"smallest_count is {smallest_count}; expected 1 or more interviews, as the rules of "
            "the survey's owner state it."
        )
    small = table[(table["contacts"] > 0) & (table["contacts"] < smallest_count)]
    if len(small):
        rows = small[[*cells, "contacts"]].itertuples(index=False, name=None)
        named = some(f"{' '.join(map(str, labels))}: {n}" for *labels, n in rows)
        raise DisclosureError(
            f"{len(small)} of {len(table)} cells rest on fewer than {smallest_count} interviews "
            f"({named}), so that the table could tell of a person. Merge age groups or classes in "
            "the records, or sum the totals with aggregate(), until every cell has as many."
        )


def flow_rows(
    totals: SurveyTotals, *, months: int, smallest_count: int, smoothed: bool = True
) -> pd.DataFrame:
    """Totals of migrants as the rows of an account, anonymised.

    Parameters
    ----------
    totals : SurveyTotals
        By `year`, `sex`, `age_group`, and `flow` or `direction` ('arrival' is immigration,
        'departure' emigration); of the interviews that count as migrants'.
    months : int
        Months of stay from which they do. An account holds usual residents, and so 12.
    smallest_count : int, interviews
        As in :func:`published_table`.
    smoothed : bool
        Standard errors by the size of the cell instead of its own few interviews, so that
        a cell that came out low by chance is not thought certain. False gives those of the
        design; a cell that met nobody then has none.

    Returns
    -------
    DataFrame
        `year`, `flow`, `sex`, `age_group`, `estimate` and `standard_error` (persons per
        year), `contacts` (interviews): every combination, those that met nobody included. It
        goes to :meth:`imps.SurveyFlow.from_table`, or to a file `[[survey_flows]]`.

    Raises
    ------
    DefinitionError
        If `months` is not 12, or a direction is unknown.
    DesignError
        If the totals have other cells.
    DisclosureError
        If a cell rests on too few interviews.

    Notes
    -----
    Smoothed: V = c w E, with w the persons an interview of the year stands for, E the cell's
    share over all years (half an interview added to each cell and year) of the year's total,
    and c of each flow the sum of design variances over the sum of w Y. An account takes its
    cells as independent. Where the covariance of cells makes the variances of the years'
    totals larger than the sums of those of their cells, c is that ratio larger, so that the
    error of the flow is right and that of a cell rather too large; see :func:`total_errors`.

    References
    ----------
    Wolter (2007), Introduction to Variance Estimation, chapter 7.

    Examples
    --------
    >>> labels = ["year", "direction", "sex", "age_group"]
    >>> cells = pd.MultiIndex.from_product(
    ...     [[2010, 2011], ["arrival", "departure"], ["male", "female"], ["0-24", "25+"]],
    ...     names=labels,
    ... ).to_frame(index=False)
    >>> table = cells.assign(contacts=40, estimate=4000.0, standard_error=900.0)
    >>> totals = SurveyTotals(table, 900.0**2 * np.eye(16), tuple(labels), "taylor", 99)
    >>> rows = flow_rows(totals, months=12, smallest_count=10)
    >>> print(rows.head(1).to_string(index=False))
     year        flow  sex age_group  estimate  standard_error  contacts
     2010 immigration male      0-24    4000.0           900.0        40
    """
    if months != MONTHS:
        raise DefinitionError(
            f"the interviews count stays of {months} months or more; an account holds usual "
            f"residents, who stay for {MONTHS} or more. Count those, or leave the survey out."
        )
    published_table(totals, smallest_count=smallest_count)
    table = _by_flow(totals)
    every = pd.MultiIndex.from_product(
        [sorted(table[YEAR].unique()), *(list(dict.fromkeys(table[k])) for k in _CELLS[1:])],
        names=_CELLS,
    )
    rows = table.set_index(list(_CELLS)).reindex(every).reset_index()
    rows[["contacts", "estimate"]] = rows[["contacts", "estimate"]].fillna(0.0)
    rows["contacts"] = rows["contacts"].astype(int)
    if smoothed:
        joint = total_errors(totals).set_index(FLOW)[["with_covariance", "as_independent"]] ** 2
        ratio = joint.groupby(FLOW).sum().eval("with_covariance / as_independent")
        rows["standard_error"] = _smoothed(rows) * np.sqrt(rows[FLOW].map(ratio).clip(lower=1.0))
    return rows[[*_CELLS, "estimate", "standard_error", "contacts"]]


def total_errors(totals: SurveyTotals) -> pd.DataFrame:
    """Standard error of each flow and year, with the covariance of its cells and without.

    Cells share shifts (which raises the error of their sum) and passenger totals (which
    lowers it). By as much as the two columns differ, an account that took the design's errors
    of cells as independent would state the error of their sum wrongly.

    Parameters
    ----------
    totals : SurveyTotals
        As in :func:`flow_rows`.

    Returns
    -------
    DataFrame
        `year`, `flow`, `with_covariance` and `as_independent`, persons per year.
    """
    table = _by_flow(totals)
    variance = np.nan_to_num(totals.covariance)
    found = []
    for (year, flow), rows in table.groupby([YEAR, FLOW], sort=False):
        own = rows.index.to_numpy()
        block = variance[np.ix_(own, own)]
        found.append((year, flow, np.sqrt(block.sum()), np.sqrt(np.trace(block))))
    return pd.DataFrame(found, columns=[YEAR, FLOW, "with_covariance", "as_independent"])


def _by_flow(totals: SurveyTotals) -> pd.DataFrame:
    """The table of totals with the column `flow`."""
    table = totals.table.copy(deep=False)
    if DIRECTION in totals.cells and FLOW not in totals.cells:
        table[FLOW] = table[DIRECTION].map(_FLOW_OF)
    cells = {FLOW if name == DIRECTION else name for name in totals.cells}
    if cells != set(_CELLS) or len(totals.cells) != len(_CELLS):
        raise DesignError(
            f"totals by {some(totals.cells)}; rows of an account are by year, sex, age_group, and "
            "flow or direction. Estimate them by these cells, or sum with aggregate()."
        )
    unknown = table[~table[FLOW].isin(FLOWS)]
    if len(unknown):
        found = unknown[DIRECTION if DIRECTION in totals.cells else FLOW].unique()
        raise DefinitionError(
            f"direction {some(map(repr, found))}; allowed are {some(DIRECTIONS)}, or flow "
            f"{some(FLOWS)}. Recode the records."
        )
    return table


def _smoothed(rows: pd.DataFrame) -> np.ndarray:
    """Standard error of each cell by its expected size; see the notes of `flow_rows`."""
    yearly = rows.groupby([FLOW, YEAR])[["estimate", "contacts"]].transform("sum")
    weight = yearly["estimate"] / yearly["contacts"].where(yearly["contacts"] > 0)
    if weight.isna().any():
        nobody = rows.loc[weight.isna(), [YEAR, FLOW]].drop_duplicates()
        raise DesignError(
            f"nobody was met in {some(nobody.itertuples(index=False, name=None))}, so that no "
            "error can be stated there. Leave these years out of the records."
        )
    sizes = rows.assign(size=rows["estimate"] + 0.5 * weight)
    cell = sizes.groupby([FLOW, SEX, AGE_GROUP])["size"].transform("sum")
    share = cell / sizes.groupby(FLOW)["size"].transform("sum")
    present = share.groupby([rows[FLOW], rows[YEAR]]).transform("sum")
    expected = share / present * yearly["estimate"]
    met = rows["contacts"] > 0
    spread = (rows["standard_error"] ** 2).where(met, 0.0).groupby(rows[FLOW]).transform("sum")
    size = (weight * rows["estimate"]).where(met, 0.0).groupby(rows[FLOW]).transform("sum")
    return np.sqrt((spread / size * weight * expected).to_numpy(float))
