"""The gap shared among its sources, in every draw, with the part of the prior beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from imps.account.gap import rolled_forward_cells
from imps.account.latents import Affine
from imps.errors import LabelError
from imps.intervals import Unit, level, summary_table
from imps.names import (
    AGE,
    CHAIN,
    DRAW,
    ERROR_CONVENTION,
    GAP_CONVENTION,
    SEX,
    SEXES,
    SOURCE,
    YEAR,
)
from imps.notebook_cards import Bar, bars, card
from imps.posterior.fit import Fit, needs_fit
from imps.results.checks import TENSION, Checks, check
from imps.results.verdict import PLAIN, Verdict, Words
from imps.sources import BY_SEX_AND_AGE, TOTAL
from imps.sources.definitions import Detail, in_detail, needs_sexes
from imps.sources.kinds import GROUPS, title

KNOWN = 1e-3
"""Standard deviation in persons below which a contribution is known arithmetic."""
PRIOR_DRIVEN = 0.5
"""Contraction below which a source is called prior-driven; data-informed from there."""
WIDENED = -0.2
"""Contraction below which the data have made a source less sure than its prior was."""
KNOWN_WORD, DRIVEN_WORD, DATA_WORD, AGAINST_WORD = WORDS = (
    "known", "prior-driven", "data-informed", "against its prior",
)  # fmt: skip
AFTER_THE_FACT = ("census_coverage", "census_sampling", "date_change")
OF_LAST_STOCK = (*AFTER_THE_FACT, "register_cells")
"""Sources of the gap that are no error of the roll-forward; the last is that of a register."""

ALWAYS_SHOWN = "ages_and_sexes_of_flows"
"""Source that sums to zero over ages and sexes, and is wrong at each of them."""

COLUMNS = [
    "source",
    "group",
    "mean",
    "sd",
    "lower95",
    "upper95",
    "prior_mean",
    "prior_sd",
    "contraction",
    "probability_positive",
    "informed",
]


def contributing(frame: pd.DataFrame) -> pd.DataFrame:
    """Without the rows that are known to contribute nothing, at any age or sex."""
    shown = frame[["mean", "sd"]].abs().max(axis=1) >= KNOWN
    if SOURCE in frame:
        shown |= frame[SOURCE] == ALWAYS_SHOWN
    return frame[shown].reset_index(drop=True)


@dataclass(frozen=True)
class Attribution:
    """The census gap shared among its sources, or the error of an open end.

    Attributes
    ----------
    contributions : DataArray (chain, draw, source, sex, age), persons
        Signed; over `source` they sum to the gap in every draw, or to the error of the
        roll-forward.
    gap : DataArray (sex, age), persons
        Rolled-forward minus census. By age it is data only as far as `observed` says. Of an
        open end the expected error of the roll-forward: no data.
    observed : {"total", "sex", "age", "sex and age"}
        Detail in which both ends of the gap were published.
    prior : DataFrame
        source, group, prior_mean, prior_sd of each source's total, persons.
    prior_groups : DataFrame
        group, prior_mean, prior_sd.
    exact : DataFrame or None
        mean and sd by source and by group, free of Monte Carlo error, where the fit
        took the exact way; tables print these.
    area, period : str
    verdict : str
        Line of the checks of the fit behind it.
    passed : bool
    detail : Detail
        Sexes and age groups that may be told apart: those of the last stock, or of the account
        where that was published as a total.
    counted : {"total", "sex", "age", "sex and age"}
        Detail in which the last stock was published.
    words : Words
        Unit and names for what is printed.
    open_end : bool
        No census has been taken: what is shared is roll-forward minus true population.
    """

    contributions: xr.DataArray
    gap: xr.DataArray
    observed: str
    prior: pd.DataFrame
    prior_groups: pd.DataFrame
    exact: pd.DataFrame | None
    area: str
    period: str
    verdict: Verdict
    passed: bool
    detail: Detail
    counted: str = BY_SEX_AND_AGE
    words: Words = PLAIN
    open_end: bool = False

    @property
    def total(self) -> float:
        """The gap of all ages and both sexes, persons; of an open end exact, as its parts are."""
        if self.open_end and self.exact is not None:
            return float(self.exact.loc[self.exact["kind"] == SOURCE, "mean"].sum())
        return float(self.gap.sum())

    @property
    def measured(self) -> str:
        """What is shared among the sources, in words."""
        return "expected error of the roll-forward" if self.open_end else "gap"

    @property
    def convention(self) -> str:
        """What the sign of that means."""
        return ERROR_CONVENTION if self.open_end else GAP_CONVENTION

    def totals(self) -> xr.DataArray:
        """Contribution of each source to the whole gap, (chain, draw, source), persons."""
        return self.contributions.sum((SEX, AGE), skipna=False)

    def summary(self, *, by: Sequence[str] = (SOURCE,), prob: float = 0.95) -> pd.DataFrame:
        """Mean and equal-tailed credible interval, one row per label of `by`.

        Parameters
        ----------
        by : sequence of {"source", "sex", "age"}
            Must hold "source"; what is left out is summed within draws.
        prob : float
            Probability of the interval.

        Returns
        -------
        DataFrame
            For sources alone the fixed columns of the attribution table; with sex
            or age also those labels, an age group by its first age, and `observed`, which is
            False where the gap was not published in that detail and the spread is the model's
            own.
        """
        extra = [dim for dim in (SEX, AGE) if dim in by]
        unknown = [dim for dim in by if dim not in (SOURCE, SEX, AGE)]
        if unknown or SOURCE not in by:
            raise LabelError(f"by={tuple(by)}: expected 'source' and optionally 'sex' and 'age'.")
        if SEX in extra:
            needs_sexes(self.detail, f"by={tuple(by)}")
        drop = [dim for dim in (SEX, AGE) if dim not in extra]
        cells = self.contributions
        if AGE in extra:
            cells = in_detail(cells, self.detail)
        draws = cells.sum(drop, skipna=False) if drop else cells
        frame = summary_table(draws, prob, positive=True)
        groups = self.prior.set_index(SOURCE)["group"]
        frame.insert(1, "group", [groups[s] for s in frame[SOURCE]])
        if extra:
            frame["observed"] = set(extra) <= set(self.observed.split(" and "))
            return frame
        frame = self._exactly(frame, SOURCE)
        return _beside_prior(frame, self.prior, [SOURCE])[[level(c, prob) for c in COLUMNS]]

    def groups(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Headline groups: base, migration, census, revisions, residual, and the small ones."""
        group_of = self.prior.set_index(SOURCE)["group"]
        totals = self.totals()
        labels = [g for g in GROUPS if g in set(group_of)]
        draws = xr.concat(
            [totals.sel({SOURCE: [s for s in group_of.index if group_of[s] == g]})
             .sum(SOURCE, skipna=False)
             for g in labels],
            dim=pd.Index(labels, name="group"),
        )  # fmt: skip
        frame = summary_table(draws, prob, positive=True)
        frame = self._exactly(frame, "group")
        columns = [level(c, prob) for c in COLUMNS if c != SOURCE]
        return _beside_prior(frame, self.prior_groups, ["group"])[columns]

    def _exactly(self, frame: pd.DataFrame, label: str) -> pd.DataFrame:
        """Put exact means and standard deviations in place of those of the draws."""
        if self.exact is None:
            return frame
        moments = self.exact[self.exact["kind"] == label].set_index("label")
        frame["mean"] = moments.loc[frame[label], "mean"].to_numpy()
        frame["sd"] = moments.loc[frame[label], "sd"].to_numpy()
        return frame

    def correlations(self) -> pd.DataFrame:
        """Posterior correlation of the sources that are not known, as a square table."""
        totals = self.totals().stack(draw_=(CHAIN, DRAW)).transpose(SOURCE, "draw_")
        keep = totals.std("draw_") > 1e-6
        names = totals[SOURCE].values[keep.values]
        values = np.corrcoef(totals.values[keep.values])
        return pd.DataFrame(values, index=names, columns=names)

    def __repr__(self) -> str:
        lines = [
            f"Attribution of the {self.measured} of {self.total:+,.0f} persons, {self.area}, "
            f"{self.period}",
            f"({self.convention})",
        ]
        for row in self.groups().head(5).itertuples():
            said = _in_words(row, self.words.unit)
            lines.append(f"  {title(str(row.group)):24s} {said}{_mark(row.informed)}")
        lines.append(str(self.verdict))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Compact card for a notebook: gap, headline groups with their intervals, verdict."""
        rows, start, unit = [], 0.0, self.words.unit
        for row in self.groups().itertuples():
            group, mean = title(str(row.group)), float(row.mean)
            low, high = float(row.lower95), float(row.upper95)
            known = row.informed == KNOWN_WORD
            if known and abs(mean) < KNOWN:
                continue
            text = unit.said(mean) if known else unit.between(mean, low, high)
            rows.append(Bar(group, start, mean, low, high, text + _mark(row.informed)))
            start += mean
        return card(
            f"Where the {self.measured} of {self.area} comes from, {self.period}",
            f"{self.measured.capitalize()} {unit.said(self.total)} {unit.persons}",
            (f"{self.convention}; {unit.persons}, mean and 95 % interval of each group.",),
            picture=bars(
                rows, "Groups of sources: " + "; ".join(f"{r.name} {r.text}" for r in rows)
            ),
            verdict=self.verdict,
        )


def attribute(fit: Fit, *, checks: Checks | None = None) -> Attribution:
    """Share the gap among its sources in every draw, by sex and age.

    Parameters
    ----------
    fit : Fit
    checks : Checks, optional
        Of the fit; made where they are not given.

    Returns
    -------
    Attribution
        Contributions (chain, draw, source, sex, age), persons, that sum to the gap in every draw.

    Raises
    ------
    NotFittedError
        If it is given a model instead of a fit.
    """
    fit = needs_fit(fit, "attribute", rows=False)
    found = checks or check(fit)
    model, w = fit.model, fit.latents()
    shape = (fit.n_chains, fit.n_draws)
    names = [c.source for c in model.contributions]
    ages = model.sources.ages
    values = np.empty((*shape, len(names), len(SEXES), ages.size))
    for i, part in enumerate(model.contributions):
        values[:, :, i] = model.evaluate(part.value, w).reshape(*shape, len(SEXES), ages.size)
    labels = {SOURCE: names, SEX: list(SEXES), AGE: ages}
    cells = rolled_forward_cells(model.account) - model.sources.census.count.values
    if model.sources.open_end:
        cells = values.sum(axis=2).mean(axis=(0, 1))
    return Attribution(
        contributions=xr.DataArray(values, dims=(CHAIN, DRAW, SOURCE, SEX, AGE), coords=labels),
        gap=xr.DataArray(cells, dims=(SEX, AGE), coords={SEX: list(SEXES), AGE: ages}),
        observed=_observed(fit),
        prior=_priors(fit),
        prior_groups=_group_priors(fit),
        exact=_exact_moments(fit),
        area=model.sources.area,
        period=model.sources.period,
        verdict=found.verdict,
        passed=found.passed,
        words=Words.of(model.sources),
        open_end=model.sources.open_end,
        detail=model.sources.detail_at_end,
        counted=model.sources.census.observed,
    )


def _observed(fit: Fit) -> str:
    """The gap is data only in the detail in which both its ends were published."""
    sources = fit.model.sources
    if sources.open_end:
        return TOTAL
    rolled, census = sources.rolled_forward, set(sources.census.observed.split(" and "))
    last = set() if rolled.by_sex is None else {SEX}
    if rolled.by_sex_and_age is not None and sources.last_year in rolled.by_sex_and_age[YEAR]:
        last = {SEX, AGE}
    return " and ".join(d for d in (SEX, AGE) if d in census & last) or TOTAL


def _exact_moments(fit: Fit) -> pd.DataFrame | None:
    """Exact mean and sd by source and by group; a group of one source is that source."""
    moments = fit.extras.get("exact_moments")
    if moments is None:
        return None
    table = moments.set_index("quantity")
    rows = []
    for part in fit.model.contributions:
        found = table.loc[f"gap[{part.source}]"]
        rows.append((SOURCE, part.source, found["mean"], found["sd"]))
        alone = f"group[{part.group}]" not in table.index
        group = found if alone else table.loc[f"group[{part.group}]"]
        rows.append(("group", part.group, group["mean"], group["sd"]))
    return pd.DataFrame(rows, columns=["kind", "label", "mean", "sd"]).drop_duplicates()


def _priors(fit: Fit) -> pd.DataFrame:
    rows = [
        (part.source, part.group, *_prior_total(fit, part.prior.sum()))
        for part in fit.model.contributions
    ]
    return pd.DataFrame(rows, columns=[SOURCE, "group", "prior_mean", "prior_sd"])


def _prior_total(fit: Fit, total: Affine) -> tuple[float, float]:
    """Prior mean and sd of a total; rounding error of sums is no uncertainty."""
    mean, sd = (float(x) for x in fit.model.prior_moments(total))
    return mean, sd if sd >= KNOWN else 0.0


def _group_priors(fit: Fit) -> pd.DataFrame:
    totals: dict[str, Affine] = {}
    for part in fit.model.contributions:
        value = part.prior.sum()
        totals[part.group] = totals[part.group] + value if part.group in totals else value
    rows = [(group, *_prior_total(fit, value)) for group, value in totals.items()]
    return pd.DataFrame(rows, columns=["group", "prior_mean", "prior_sd"])


def _beside_prior(frame: pd.DataFrame, prior: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Add prior mean and sd, and the contraction 1 - var(posterior) / var(prior)."""
    beside = frame.merge(prior.drop(columns="group") if SOURCE in keys else prior, on=keys)
    known = beside["prior_sd"] == 0
    ratio = beside["sd"] ** 2 / (beside["prior_sd"] ** 2).where(~known)
    beside["contraction"] = 1 - ratio
    beside["informed"] = informed(beside)
    return beside


def _in_words(row: Any, unit: Unit) -> str:
    """Mean and interval of a group for a terminal; only the mean where it is known."""
    mean, low, high = unit.mean_and_ends(row.mean, row.lower95, row.upper95)
    known = row.informed == KNOWN_WORD
    return f"{mean:>8s} {unit.name}" + ("" if known else f", 95 % [{low}, {high}]")


def informed(table: pd.DataFrame) -> np.ndarray:
    """What each row of mean, prior_mean, prior_sd and contraction rests on, in one of the words.

    Against its prior is a source whose mean lies more than two prior standard deviations from
    the prior mean, or that the data made less sure than the prior was: neither the prior
    nor the data alone made it, and the two do not agree.
    """
    contraction = table["contraction"]
    off = (table["mean"] - table["prior_mean"]).abs() > TENSION * table["prior_sd"]
    against = off | (contraction < WIDENED)
    return np.select(
        [contraction.isna(), against, contraction < PRIOR_DRIVEN],
        [KNOWN_WORD, AGAINST_WORD, DRIVEN_WORD],
        DATA_WORD,
    )


def _mark(word: str) -> str:
    """What a reader must not overlook; that the data inform a source needs no mark."""
    return "" if word == DATA_WORD else f"  {word}"
