"""Tables of the account: closure by sex and age, back-series, new base, net and gross, by sex.

Those of an open end say how sure the roll-forward is, and what a census may find.

The layouts are those in which statistical offices report a rebasing: a closure table, a
back-series beside the published one, and the build-up of the new base from the census.

References
----------
ONS, Explaining the difference between the 2011 Census estimates and the rolled-forward
population estimates (2012). Stats NZ, National population estimates (build-up of the
estimated resident population from the census count).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
import xarray as xr

from imps.account.gap import rolled_forward_components
from imps.demography.periods import spelt_out
from imps.intervals import Unit, ends, summary_table
from imps.names import AGE, CHAIN, DRAW, ERROR_CONVENTION, GAP_CONVENTION, SEX, SEXES, SOURCE, YEAR
from imps.posterior.fit import Fit
from imps.results.attribution import KNOWN, OF_LAST_STOCK, Attribution
from imps.results.checks import Checks
from imps.results.open_end import error_by_year, predicted_census
from imps.results.reconciliation import Reconciliation
from imps.results.verdict import PLAIN, Words
from imps.sources import TOTAL
from imps.sources.definitions import Detail, age_said, in_bands, in_detail, needs_sexes
from imps.tables.fit import ADD_UP, INTERVAL, LIMITS, checked_note, fit_note
from imps.tables.printed import PrintedTable

BAND = 10
"""Width of the age bands of the closure table, years."""
RECONSTRUCTED = {
    "total": "Only totals of the gap were published: sexes and ages are the account's own "
    "reconstruction.",
    "age": "The gap was published by age: sexes are the account's own reconstruction.",
    "sex": "The gap was published by sex: ages are the account's own reconstruction.",
    "sex and age": "Both ends of the gap were published by sex and age.",
}
PUBLISHED = "Without an interval: published, with no error of its own."


def closure_by_age_table(fit: Fit, attribution: Attribution) -> PrintedTable:
    """Closure by sex and age band: what the roll-forward is made of, the census, the gap.

    Ages are those at the end; a cohort is followed back to its base or its birth.
    """
    sources, words = fit.model.sources, attribution.words
    parts = rolled_forward_components(fit.model.account)
    parts["rolled_forward"] = np.sum(list(parts.values()), axis=0)
    parts["census"] = sources.census.count.transpose(SEX, AGE).values
    parts["gap"] = parts["rolled_forward"] - parts["census"]
    detail = in_bands(attribution.detail, BAND)
    bands = _bands(detail, sources.ages)
    rows = []
    for i, sex in enumerate(SEXES if detail.by_sex else ("both",)):
        cells = pd.DataFrame(
            {name: values[i] if detail.by_sex else values.sum(axis=0)
             for name, values in parts.items()}
        )  # fmt: skip
        by_band = cells.groupby(bands, sort=False).sum()
        by_band.loc["all"] = cells.sum()
        rows.append(by_band.rename_axis("age").reset_index().assign(sex=sex))
    frame = pd.concat(rows, ignore_index=True)
    both = frame[frame["age"] == "all"].drop(columns=["age", "sex"]).sum()
    if detail.by_sex:
        frame.loc[len(frame)] = {**both, "age": "all", "sex": "both"}
    frame.insert(0, "sex", frame.pop("sex"))
    frame["gap_per_cent"] = 100 * frame["gap"] / frame["census"]
    return PrintedTable(
        frame,
        f"Closure by sex and age at the end, {attribution.area}, {attribution.period}",
        "tab:closure-by-age",
        (
            f"{GAP_CONVENTION.capitalize()}.",
            RECONSTRUCTED[attribution.observed],
            "Published figures laid out by the official rules, without an error of their own; the "
            "posterior error of the roll-forward by age stands in the pyramid.",
            *_what_other_is(parts, words),
            fit_note(attribution.verdict),
        ),
        tuple(parts),
        unit=words.unit,
    )


def _what_other_is(parts: Collection[str], words: Words) -> tuple[str, ...]:
    """What the columns of other migration and other changes hold."""
    changes = "Other changes: known ones, and flows carried that differ from those published."
    if "other_migration" not in parts or not words.left_out:
        return (changes,)
    return (f"Other migration: {words.left_out}, net. {changes}",)


def _bands(detail: Detail, ages: np.ndarray) -> np.ndarray:
    """Band of each single age."""
    at = np.searchsorted(detail.lower_ages, ages, side="right") - 1
    return np.array([age_said(detail, detail.lower_ages[i]) for i in at])


def by_sex_table(attribution: Attribution) -> PrintedTable:
    """Every source's share of the gap by sex: mean, 95 per cent interval, P(> 0)."""
    needs_sexes(attribution.detail, "the table of sources by sex")
    detail = attribution.summary(by=(SOURCE, SEX))
    something = detail.groupby(SOURCE)[["mean", "sd"]].transform(lambda x: x.abs().max())
    detail = detail[(something >= KNOWN).any(axis=1)]  # the rest is known to be nothing
    frame = pd.DataFrame({SOURCE: list(dict.fromkeys(detail[SOURCE]))})
    for sex, name in zip(SEXES, ("men", "women"), strict=True):
        rows = detail[detail[SEX] == sex].set_index(SOURCE).loc[frame[SOURCE]]
        for column, label in (("mean", name), ("lower95", f"{name}_lower95"),
                              ("upper95", f"{name}_upper95"),
                              ("probability_positive", f"{name}_P(> 0)")):  # fmt: skip
            frame[label] = rows[column].to_numpy()
    gap = attribution.gap.sum(AGE)
    last: dict[str, object] = {str(c): np.nan for c in frame} | {SOURCE: "gap"}
    for sex, name in zip(SEXES, ("men", "women"), strict=True):
        last[name] = float(gap.sel({SEX: sex}))
    frame.loc[len(frame)] = last
    persons = tuple(c for c in frame if c != SOURCE and "P(" not in c)
    return PrintedTable(
        frame,
        f"Sources of the gap by sex, {attribution.area}, {attribution.period}",
        "tab:by-sex",
        (
            f"{GAP_CONVENTION.capitalize()}.",
            PUBLISHED,
            INTERVAL,
            ADD_UP,
            RECONSTRUCTED[attribution.observed],
            fit_note(attribution.verdict),
        ),
        persons,
        unit=attribution.words.unit,
    )


def net_and_gross_table(attribution: Attribution) -> PrintedTable:
    """The net gap beside its gross: how much error cancels over sources, sexes and ages.

    Gross is the sum of absolute values, in every draw, of what is told apart in that line.

    Notes
    -----
    Over sources, sum over s of abs(contribution of s): its mean is above the sum of the
    absolute means, for the sign of a source is uncertain too.
    """
    totals = attribution.totals()
    groups = attribution.prior.set_index(SOURCE)["group"]
    members = groups.groupby(groups).groups.values()
    grouped = xr.concat(
        [totals.sel({SOURCE: list(names)}).sum(SOURCE, skipna=False) for names in members],
        dim=SOURCE,
    )
    own = [s for s in totals[SOURCE].values if s not in OF_LAST_STOCK]
    detail = attribution.detail
    error = attribution.contributions.sel({SOURCE: own}).sum(SOURCE, skipna=False)
    error, gap = in_detail(error, detail), in_detail(attribution.gap, detail)
    cells = "single ages" if detail.single else "age groups"
    cells = f"sexes and {cells}" if detail.by_sex else cells
    rows = [
        _gross("the gap, over sources", totals, SOURCE),
        _gross("the gap, over headline groups", grouped, SOURCE),
        _known_gross("the gap, over sexes", gap.sum(AGE).values),
        _known_gross(f"the gap, over {cells}", gap.values),
        _gross("error of the roll-forward, over sexes", error.sum(AGE, skipna=False), SEX),
        _gross(f"error of the roll-forward, over {cells}", error, (SEX, AGE)),
    ]
    if not detail.by_sex:
        rows = [row for row in rows if not str(row[0]).endswith("over sexes")]
    if attribution.counted == TOTAL:  # its gap has neither sexes nor ages
        rows = [row for row in rows if not str(row[0]).startswith("the gap, over sexes")]
    columns = ["what", "net", "net_lower95", "net_upper95", "gross", "gross_lower95",
               "gross_upper95"]  # fmt: skip
    return PrintedTable(
        pd.DataFrame(rows, columns=columns),
        f"Net and gross, {attribution.area}, {attribution.period}",
        "tab:net-and-gross",
        (
            f"{GAP_CONVENTION.capitalize()}.",
            "Gross: sum of absolute values in every draw. Error of the roll-forward: against the "
            f"true population at {attribution.words.each}.",
            PUBLISHED,
            INTERVAL,
            RECONSTRUCTED[attribution.observed],
            fit_note(attribution.verdict),
        ),
        tuple(columns[1:]),
        unit=attribution.words.unit,
    )


def _gross(what: str, draws: xr.DataArray, over: str | tuple[str, ...]) -> tuple[object, ...]:
    net, gross = (x.sum(over, skipna=False).values for x in (draws, abs(draws)))
    return (what, net.mean(), *ends(net), gross.mean(), *ends(gross))


def _known_gross(what: str, cells: np.ndarray) -> tuple[object, ...]:
    net, gross = float(cells.sum()), float(np.abs(cells).sum())
    return (what, net, np.nan, np.nan, gross, np.nan, np.nan)


def back_series_table(
    reconciliation: Reconciliation, *, later: pd.DataFrame | None = None
) -> PrintedTable:
    """Back-series: published and revised population at each mid-year, and what changed it.

    Parameters
    ----------
    reconciliation : Reconciliation
    later : DataFrame, optional
        Later series of the case (`case.later_series`); its rows "population" are added.

    Notes
    -----
    Births, deaths and net migration are those of the year to that mid-year; the change of
    the population is their balance, and at the last mid-year also the residual.
    """
    day = "day" if reconciliation.words.each != PLAIN.each else PLAIN.each
    frame = reconciliation.population_by_year()
    frame = frame[["year", "rolled_forward", "mean", "lower95", "upper95"]]
    frame = frame.rename(columns={"mean": "revised", "lower95": "revised_lower95",
                                  "upper95": "revised_upper95"})  # fmt: skip
    frame["revision"] = frame["revised"] - frame["rolled_forward"]
    if later is not None and len(later):
        people = later[later["series"] == "population"].groupby("year")["persons"].sum()
        frame["later official"] = people.reindex(frame["year"]).to_numpy(float)
    series = {
        "births": reconciliation.births.sum(SEX, skipna=False),
        "deaths": -reconciliation.deaths.sum((SEX, AGE), skipna=False),
        "net_migration": reconciliation.net_migration.sum((SEX, AGE), skipna=False),
        "other_changes": reconciliation.other_changes.sum((SEX, AGE), skipna=False),
    }
    for name, draws in series.items():
        values = draws.transpose(YEAR, CHAIN, DRAW).values.reshape(draws[YEAR].size, -1)
        if values.std(axis=1).max() < KNOWN:
            frame[name] = np.r_[np.nan, values.mean(axis=1)]
            continue
        low, high = ends(values, axis=1)
        for label, found in ((name, values.mean(axis=1)), (f"{name}_lower95", low),
                             (f"{name}_upper95", high)):  # fmt: skip
            frame[label] = np.r_[np.nan, found]
    return PrintedTable(
        frame.assign(year=frame["year"].map(reconciliation.year_end.shown)),
        f"Back-series of the population at {reconciliation.year_end.each}, {reconciliation.area}",
        "tab:back-series",
        (
            "Rolled forward: as published. Revision: revised minus rolled forward.",
            "Births, deaths, net migration and other changes: of the year to that "
            f"{day}, "
            "posterior. In the last year the population also takes in the residual.",
            PUBLISHED,
            INTERVAL,
            fit_note(reconciliation.verdict),
        ),
        tuple(c for c in frame if c != "year"),
        unit=reconciliation.words.unit,
    )


def new_base_table(fit: Fit, attribution: Attribution) -> PrintedTable:
    """Build-up of the new base: from the census count to the population at mid-year.

    The last line less the roll-forward is minus the roll-forward's own error.
    """
    count = fit.model.sources.census.total
    totals, summary = attribution.totals(), attribution.summary().set_index(SOURCE)
    steps = [s for s in OF_LAST_STOCK if s in summary.index]
    steps = [s for s in steps if summary.loc[s, ["mean", "sd"]].abs().max() >= KNOWN]
    new = count + totals.sel({SOURCE: steps}).sum(SOURCE).values
    rolled = float(fit.model.sources.rolled_forward.total[-1])
    end = fit.model.sources.said(fit.model.sources.last_year)
    limits = ["lower95", "upper95"]
    mean = count + float(summary.loc[steps, "mean"].sum())
    rows = [(f"{attribution.words.last_stock.capitalize()} as counted", count, np.nan, np.nan)]
    words = attribution.words
    said = {**BUILD_UP, "date_change": f"change from census day to {words.each}"}
    said["census_coverage"] = said["census_coverage"].replace("census", words.last_stock)
    rows += [(f"plus {said[s]}", *summary.loc[s, ["mean", *limits]]) for s in steps]
    rows += [
        (f"new base, {end}", mean, *ends(new)),
        (f"rolled-forward, {end}", rolled, np.nan, np.nan),
        ("new base minus rolled-forward", mean - rolled, *ends(new - rolled)),
    ]
    return PrintedTable(
        pd.DataFrame(rows, columns=["line", "persons", "persons_lower95", "persons_upper95"]),
        f"Build-up of the new base, {attribution.area}",
        "tab:new-base",
        (PUBLISHED, INTERVAL, ADD_UP, fit_note(attribution.verdict)),
        ("persons", "persons_lower95", "persons_upper95"),
        unit=attribution.words.unit,
    )


BUILD_UP = {
    "census_coverage": "people missed by the census, less those counted twice",
    "census_sampling": "random error of the census",
    "register_cells": "late entries of the register",
    "date_change": "change from census day to mid-year",
}
"""Steps of the build-up in words, by source of the gap."""

assert set(BUILD_UP) == set(OF_LAST_STOCK)


SIGN = f"{ERROR_CONVENTION.capitalize()}."


def error_by_year_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """Error of the roll-forward at the end of every year."""
    sources = fit.model.sources
    frame = error_by_year(fit, checks=checks)
    return PrintedTable(
        frame.assign(year=frame["year"].map(sources.year_end.shown)),
        f"Error of the roll-forward at {sources.year_end.each}, {sources.area}",
        "tab:error-by-year",
        (SIGN, "Rolled forward: as published.", INTERVAL, checked_note(fit, checks)),
        ("rolled_forward", *LIMITS),
        unit=Unit.of(sources.base.total),
    )


def error_by_age_table(attribution: Attribution) -> PrintedTable:
    """Error of the roll-forward by sex and single year of age at the end."""
    error = attribution.contributions.sum(SOURCE, skipna=False)
    both = error.sum(SEX, skipna=False).expand_dims({SEX: ["both"]})
    frames = [summary_table(draws.transpose(..., SEX, AGE)) for draws in (error, both)]
    return PrintedTable(
        pd.concat(frames, ignore_index=True),
        f"Error of the roll-forward by sex and age, {attribution.area}, {attribution.period}",
        "tab:error-by-age",
        (SIGN, INTERVAL, fit_note(attribution.verdict)),
        LIMITS,
        unit=attribution.words.unit,
    )


def predicted_census_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """What a census at the end of the account would count, and its gap."""
    found = predicted_census(fit, checks=checks)
    return PrintedTable(
        found.summary(),
        f"A census of {spelt_out(found.date)} before it is taken, {found.area}",
        "tab:predicted-census",
        (
            f"{GAP_CONVENTION.capitalize()}.",
            "With the undercount and the random error that the priors and the plan expect of it.",
            INTERVAL,
            fit_note(found.verdict),
        ),
        LIMITS,
        unit=found.words.unit,
    )
