"""Visitor and migrant switchers, learnt from interviews at the end of a stay.

At arrival a passenger states an intention; on leaving, the length in fact is known. The
share of each class of intention that turned is learnt from the second and applied to
the first. It is known late: whoever arrived in a year and stayed twelve months is met the
year after at the earliest, so recent years borrow older shares and pay for it with variance.

References
----------
ONS (2018), Report on the complexity and quality of international migration statistics (intention
and outcome; review of the switcher assumptions).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imps.errors import DesignError, MissingCellError, SourceError, some
from imps.names import FLOW, YEAR
from imps.survey.composition import Component, ComponentKind
from imps.survey.estimation import LonelyRule, estimate_totals
from imps.survey.interviews import refuse_small_counts
from imps.survey.stage_weights import flags, numbers, require_columns

LAG = 1
"""Years from arrival to the first interviews that show a stay of 12 months."""


def turning_shares(
    interviews: pd.DataFrame,
    *,
    by: Sequence[str],
    turned: str,
    weight: str,
    stratum: Sequence[str],
    psu: str,
    lonely_psu: LonelyRule | None = None,
) -> pd.DataFrame:
    """Share of each class of intention that turned, with its sampling error.

    Parameters
    ----------
    interviews : DataFrame
        Interviews at the end of a stay, one row each.
    by : columns
        Class of the stated intention, and for instance year of interview and flow.
    turned : column
        True where the length in fact contradicts the intention: a visitor who stayed 12
        months or more, or a migrant who did not.
    weight, stratum, psu, lonely_psu
        As in :func:`imps.survey.estimation.estimate_totals`.

    Returns
    -------
    DataFrame
        `by`, `contacts`, `share`, `standard_error`.

    Notes
    -----
    q = A / X, ratio of weighted totals; V(q) = (V_A - 2 q V_AX + q^2 V_X) / X^2. A class in
    which nobody, or everybody, turned has no spread to show; it gets the Jeffreys posterior
    of its contacts, mean (k + 1/2) / (n + 1), so that it never counts as known exactly.
    """
    require_columns(interviews, [turned], "interviews at the end of a stay", error=DesignError)
    flag = flags(interviews, turned, "switchers", stratum, error=DesignError)
    table = interviews.assign(turned_=flag)
    found = estimate_totals(
        table,
        cells=[*by, "turned_"],
        stratum=stratum,
        psu=psu,
        weight=weight,
        lonely_psu=lonely_psu,
    )
    rows = [_share(found.covariance, group, list(by)) for _, group in found.table.groupby(list(by))]
    return pd.DataFrame(rows, columns=[*by, "contacts", "share", "standard_error"])


def switchers(
    kind: ComponentKind,
    stated: pd.DataFrame,
    shares: pd.DataFrame,
    *,
    by: Sequence[str],
    drift: float,
    reference: str,
) -> Component:
    """Switchers of each year and flow: people by stated intention times the share who turn.

    Parameters
    ----------
    kind : ComponentKind
        VISITOR_SWITCHERS (of those who stated under 12 months) or MIGRANT_SWITCHERS (of
        those who stated 12 or more).
    stated : DataFrame
        `year`, `flow`, `by`, `estimate` and `standard_error` (persons): people by intention.
    shares : DataFrame
        `by`, `year` of the end-of-stay interviews, `share`, `standard_error`; optional `flow`.
    by : columns
        The classes of intention.
    drift : float
        Relative standard deviation of the change of a share over one year.

    Notes
    -----
    S = sum of N_c q_c over classes. Flow year t should take the interviews of t + 1; where
    those are missing the nearest year stands in, g years away, and
    V(S) = sum of q^2 V(N) + N^2 (V(q) + g (drift q)^2).
    """
    if kind not in (ComponentKind.VISITOR_SWITCHERS, ComponentKind.MIGRANT_SWITCHERS):
        raise SourceError(
            f"switchers: kind {kind.value}; allowed are visitor or migrant switchers."
        )
    if not drift > 0:
        raise SourceError(
            f"switchers: drift is {drift:g}. Shares do change between years; state by how much "
            "(relative standard deviation a year, for instance 0.15)."
        )
    columns = [YEAR, FLOW, *by]
    require_columns(stated, [*columns, "estimate", "standard_error"], "people by intention")
    stated = stated.assign(**{k: numbers(stated[k]) for k in ("estimate", "standard_error")})
    below = (stated[["estimate", "standard_error"]] < 0).any(axis=1)
    bad = stated[stated.isna().any(axis=1) | below | stated.duplicated(columns, keep=False)]
    if len(bad) or stated.empty:
        raise SourceError(
            f"people by intention: {len(bad)} of {len(stated)} rows lack a label, have no "
            f"number of 0 or more, or stand there twice (rows {some(bad.index)}). Give one "
            "row a year, flow and class."
        )
    keys = [*by, *(["flow"] if "flow" in shares.columns else [])]
    nearest = _nearest_year(stated, shares, keys)
    number, share = nearest["estimate"], nearest["share"]
    error = nearest["share_error"] ** 2 + nearest["gap"] * (drift * share) ** 2
    nearest["switched"] = number * share
    nearest["variance"] = share**2 * nearest["standard_error"] ** 2 + number**2 * error
    table = nearest.groupby(["year", "flow"], as_index=False)[["switched", "variance"]].sum()
    table = table.assign(
        estimate=table["switched"], standard_error=np.sqrt(table["variance"])
    ).drop(columns=["switched", "variance"])
    return Component(
        kind,
        table,
        f"shares of the nearest interviews apply, drifting by {drift:.0%} a year",
        reference,
        common_error=True,
    )


def switchers_of_stays(
    kind: ComponentKind,
    stays: pd.DataFrame,
    stated: pd.DataFrame,
    *,
    by: Sequence[str],
    turned: str,
    weight: str,
    stratum: Sequence[str],
    psu: str,
    drift: float,
    reference: str,
    smallest_count: int,
    lonely_psu: LonelyRule | None = None,
) -> Component:
    """Switchers from records: the shares of those met at the end of a stay, times people stated.

    Parameters
    ----------
    kind : ComponentKind
        VISITOR_SWITCHERS or MIGRANT_SWITCHERS.
    stays : DataFrame
        Interviews at the end of a stay: `year`, `by`, `turned`, `weight`, `stratum`, `psu`;
        optional `flow`.
    stated : DataFrame
        `year`, `flow`, `by`, `estimate` and `standard_error` (persons a year): people by
        stated intention, for instance the totals of
        :func:`imps.survey.estimation.estimate_totals`.
    by, turned, weight, stratum, psu, lonely_psu
        As in :func:`turning_shares`.
    drift, reference
        As in :func:`switchers`.
    smallest_count : int, interviews
        The least that a class, year and flow may rest on.

    Returns
    -------
    Component
        Persons a year and their error, by year and flow.

    Raises
    ------
    DisclosureError
        If a class rests on fewer interviews.

    Examples
    --------
    >>> from imps.survey.simulate import simulate_stays
    >>> truth, stays = simulate_stays(seed=1)
    >>> stated = truth.rename(columns={"visitors": "estimate"}).assign(
    ...     year=2001, flow="immigration", standard_error=0.0
    ... )
    >>> found = switchers_of_stays(
    ...     ComponentKind.VISITOR_SWITCHERS,
    ...     stays.assign(year=2002),
    ...     stated,
    ...     by=["intended_stay"],
    ...     turned="stayed_long",
    ...     weight="weight",
    ...     stratum=["stratum"],
    ...     psu="sampling_unit",
    ...     drift=0.15,
    ...     reference="simulated",
    ...     smallest_count=10,
    ... )
    >>> error = found.table["estimate"][0] - truth["switchers"].sum()
    >>> bool(abs(error) < 2 * found.table["standard_error"][0])
    True
    """
    labels = [*by, YEAR, *([FLOW] if FLOW in stays else [])]
    shares = turning_shares(
        stays,
        by=labels,
        turned=turned,
        weight=weight,
        stratum=stratum,
        psu=psu,
        lonely_psu=lonely_psu,
    )
    refuse_small_counts(shares, labels, smallest_count)
    return switchers(kind, stated, shares, by=by, drift=drift, reference=reference)


def _share(covariance: np.ndarray, group: pd.DataFrame, by: list[str]) -> tuple[object, ...]:
    labels = tuple(group.iloc[0][by])
    contacts = int(group["contacts"].sum())
    if len(group) == 1:
        turned = contacts if bool(group["turned_"].iloc[0]) else 0
        mean = (turned + 0.5) / (contacts + 1)
        return *labels, contacts, mean, float(np.sqrt(mean * (1 - mean) / (contacts + 2)))
    size = group["estimate"].to_numpy(float)
    hit = group["turned_"].to_numpy(bool).astype(float)
    share = float(size @ hit / size.sum())
    slope = (hit - share) / size.sum()
    index = group.index.to_numpy()
    variance = slope @ covariance[np.ix_(index, index)] @ slope
    return *labels, contacts, share, float(np.sqrt(variance))


def _nearest_year(stated: pd.DataFrame, shares: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Each stated row with the share whose interviews are nearest to the right year."""
    part = shares[[*keys, "year", "share", "standard_error"]].rename(
        columns={"year": "interview_year", "standard_error": "share_error"}
    )
    people = stated.reset_index(drop=True).reset_index(names="row")
    both = people.merge(part, on=keys, how="left")
    lost = both[both["share"].isna()]
    if len(lost):
        classes = lost[keys].drop_duplicates().itertuples(index=False, name=None)
        raise MissingCellError(
            f"switchers: no turning share for {some(classes)}. Interview people of that class at "
            "the end of their stay, or merge it with a neighbouring class."
        )
    both["gap"] = (both["interview_year"] - both["year"] - LAG).abs()
    order = both.sort_values(["row", "gap", "interview_year"])
    return order.drop_duplicates("row").reset_index(drop=True)
