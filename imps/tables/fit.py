"""The tables of a fit: closure, attribution, net migration, priors, sources, variants."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from imps.account.priors import Priors
from imps.demography.periods import spelt_out
from imps.intervals import Z95, Unit
from imps.names import AGE, AGE_GROUP, GAP_CONVENTION, SEX, SOURCE, YEAR
from imps.posterior.fit import Fit
from imps.results.attribution import AGAINST_WORD, PRIOR_DRIVEN, Attribution, contributing
from imps.results.checks import Checks, check
from imps.results.reconciliation import Reconciliation
from imps.results.sensitivity import TRUE_ERROR, response_table
from imps.results.verdict import PLAIN, Verdict, Words, priors_in_words
from imps.sources import BY_SEX, TOTAL, Deaths, Stock
from imps.sources.kinds import title, within_sentence
from imps.tables.printed import PrintedTable, interval_end

LIMITS = ("mean", "sd", "lower95", "upper95")
PRIOR = ("prior_mean", "prior_sd")
ADD_UP = "Means add up; interval ends do not."
INTERVAL = "Intervals are equal-tailed 95 % credible intervals."
SAMPLING = "Intervals of the survey are 95 % sampling intervals, estimate plus or minus 1.96 se."
CARRIED = (
    "What was carried in the roll-forward holds other changes too. It was published without an "
    "error, and so were the flows beside the survey."
)
PREVIEW = "Exact at the posterior mean scales, without a refit."


def attribution_table(attribution: Attribution) -> PrintedTable:
    """One row a source, with prior, posterior, contraction and probability of its sign."""
    frame = contributing(attribution.summary())
    frame.insert(list(frame).index("upper95") + 1, "share", frame["mean"] / attribution.total)
    return PrintedTable(
        frame,
        f"Sources of the {attribution.measured} of {attribution.total:+,.0f} persons, "
        f"{attribution.area}, {attribution.period}",
        "tab:attribution",
        (
            *_notes(attribution),
            f"Share: mean over the {attribution.measured}; shares add up to one, and one may be "
            "negative or above one.",
            f"Contraction under {PRIOR_DRIVEN:.2f}: prior-driven.",
            *_against(attribution),
        ),
        (*LIMITS, *PRIOR),
        csv_only=("group", "sd", "informed"),
        unit=attribution.words.unit,
    )


def groups_table(attribution: Attribution) -> PrintedTable:
    """Headline groups of sources."""
    return PrintedTable(
        contributing(attribution.groups()),
        f"Headline groups of the {attribution.measured}, {attribution.area}, {attribution.period}",
        "tab:groups",
        _notes(attribution),
        (*LIMITS, *PRIOR),
        csv_only=("sd", "informed"),
        unit=attribution.words.unit,
    )


def net_migration_table(reconciliation: Reconciliation) -> PrintedTable:
    """Net migration by year beside the survey, all published flows and those carried."""
    frame = reconciliation.net_migration_by_year()
    said: tuple[str, ...] = ()
    if "survey" in frame:
        error = reconciliation.published.set_index("year")["survey_se"].loc[frame["year"]]
        half = Z95 * error.to_numpy()
        after = list(frame).index("survey") + 1
        frame.insert(after, "survey_lower95", frame["survey"] - half)
        frame.insert(after + 1, "survey_upper95", frame["survey"] + half)
        said = (SAMPLING, reconciliation.words.outside_survey, CARRIED)
    return PrintedTable(
        frame,
        f"Net migration by {reconciliation.year_end.a_year}, {reconciliation.area}",
        "tab:net-migration",
        (
            "Arrivals minus departures.",
            INTERVAL,
            *said,
            fit_note(reconciliation.verdict),
        ),
        tuple(c for c in frame if c != "year"),
        csv_only=("sd",),
        unit=reconciliation.words.unit,
    )


def gap_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """The gap in the detail that was published, persons.

    The first row is the gap that the contributions sum to: the roll-forward at
    mid-year against the census as counted. Where census day is not the mid-year a
    second row moves the census by the posterior mean of the change in between.
    """
    sources = fit.model.sources
    census, rolled = sources.census, sources.rolled_forward
    last = float(rolled.total[-1])
    rows = [("total", "all", "all", "as counted", last, census.total)]
    if sources.share_after_census:
        date = next(c for c in fit.model.contributions if c.source == "date_change")
        moved = float(fit.model.evaluate(date.value.sum(), fit.latents()).mean())
        rows.append(
            ("total", "all", "all", f"moved to {sources.year_end.each}", last, census.total + moved)
        )
    if rolled.by_sex is not None and census.cells.by_sex:
        for sex in rolled.by_sex["sex"].values:
            counted = float(census.count.sel(sex=sex).sum())
            rows.append(
                ("sex", sex, "all", "as counted", float(rolled.by_sex.sel(sex=sex)), counted)
            )
    frame = pd.DataFrame(
        rows, columns=["level", "sex", "age", "basis", "rolled_forward", "census_based"]
    )
    frame["gap"] = frame["rolled_forward"] - frame["census_based"]
    return PrintedTable(
        frame,
        f"The gap, {sources.area}, {sources.said(sources.last_year)}",
        "tab:gap",
        (
            f"{GAP_CONVENTION.capitalize()}.",
            rolled.rule if rolled.by_rule else "As published.",
            checked_note(fit, checks),
        ),
        ("rolled_forward", "census_based", "gap"),
        unit=Unit.of(census.total),
    )


def closure_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """Base, births, deaths, migration carried then, rolled-forward, census, gap."""
    sources = fit.model.sources
    births = float(sources.births.count.sum())
    deaths = float(sources.deaths.count.sum())
    base, last = float(sources.rolled_forward.total[0]), float(sources.rolled_forward.total[-1])
    at_end = sources.year_end.ends(sources.census.date)
    day = sources.said(sources.last_year) if at_end else spelt_out(sources.census.date)
    rows = [
        (f"Base, {sources.said(sources.first_year)}", base),
        ("plus births", births),
        ("minus deaths", -deaths),
        ("plus net migration and other changes, as carried", last - base - births + deaths),
        (f"rolled-forward, {sources.said(sources.last_year)}", last),
        (f"minus {Words.of(sources).last_stock}, {day}", -sources.census.total),
        ("gap", sources.gap),
    ]
    return PrintedTable(
        pd.DataFrame(rows, columns=["line", "persons"]),
        f"Closure of the account, {sources.area}",
        "tab:closure",
        (
            f"{GAP_CONVENTION.capitalize()}.",
            "Published figures, without an error of their own.",
            checked_note(fit, checks),
        ),
        ("persons",),
        unit=Unit.of(sources.census.total),
    )


def response_table_of(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """How every source answers 100 thousand, or 100, of true error in each."""
    frame = response_table(fit, checks=checks)
    own = Unit.of(fit.model.sources.census.total)
    return PrintedTable(
        frame.reset_index(),
        f"Response: movement of each source's posterior mean for 100 {own.name} of true error "
        "in one",
        "tab:response",
        (
            "Exact at the posterior mean scales; it depends on design and priors, not on the data.",
            "100 on the diagonal and 0 beside it would be perfect separation.",
            fit_note(Verdict.of(frame)),
        ),
        tuple(frame.columns),
        unit=replace(own, size=TRUE_ERROR / 100),
    )


def response_by_age_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """Whom the account makes answer for people counted too few in a band of age."""
    frame, own = response_table(fit, AGE, checks=checks), Unit.of(fit.model.sources.census.total)
    return PrintedTable(
        frame.reset_index(),
        f"Response by age: 100 {own.name} fewer counted in a band of age",
        "tab:response-by-age",
        (
            "Movement of the posterior means. Exact at the posterior mean scales; what is left of "
            f"100 {own.name} is with births, deaths and the residual.",
            fit_note(Verdict.of(frame)),
        ),
        tuple(frame.columns),
        unit=replace(own, size=TRUE_ERROR / 100),
    )


def roll_forward_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """Deterministic roll-forward year by year with implied, later and survey flows."""
    sources = fit.model.sources
    frame = sources.roll_forward_check()
    frame["year"] = frame["year"].map(sources.year_end.shown)
    day = sources.year_end.each
    persons = [c for c in frame if c not in ("year", "by_rule")]
    return PrintedTable(
        frame,
        f"Deterministic roll-forward with three sets of flows, {sources.area}",
        "tab:roll-forward",
        (
            "Implied flows are what the published totals held after births minus deaths; they "
            "reproduce the totals by the balancing equation.",
            sources.rolled_forward.rule and f"By rule: {sources.rolled_forward.rule}.",
            "" if day == PLAIN.each else f"Year: populations of {day}, flows of the year to it.",
            checked_note(fit, checks),
        ),
        tuple(persons),
        unit=Unit.of(sources.census.total),
    )


def stability_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """Shift of every headline group when ages or sources are left out, and its conflict."""
    checks = checks or check(fit)
    found = checks.stability
    frame = pd.DataFrame(columns=["left_out"]) if found is None else found.table
    notes = ["Not made for a variant of the model: it has no exact answers."]
    if found is not None:
        notes = [
            PREVIEW,
            "z = shift / sqrt(variance without - variance with), standard normal if the model is "
            f"right; beyond {found.critical:.2f} (5 % over the whole table) those rows contradict "
            "all others. A large shift with a small z is lost information. Counted: people of "
            "these ages as published, and as all other figures predict them.",
        ]
    persons = ("mean", "sd", "mean_without", "sd_without", "shift")
    return PrintedTable(
        frame,
        f"Without each band of ages and each source, {fit.model.sources.area}, "
        f"{fit.model.sources.period}",
        "tab:stability",
        (*notes, f"Fit: {checks.verdict}."),
        persons,
        csv_only=("by", "rows", "mean", "sd"),
        unit=Unit.of(fit.model.sources.census.total),
    )


def priors_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """Every prior with its 95 per cent range, its meaning and its reason.

    The range of a scale is that of the standard deviation itself.
    """
    priors = fit.model.priors
    frame = priors_in_words(fit.model)
    scale = frame["distribution"].str.startswith("Normal(0, s)")
    half, spread = Z95 * frame["sd"], np.exp(Z95 * fit.model.log_sd)
    lower = np.where(scale, frame["sd"] / spread, frame["mean"] - half)
    upper = np.where(scale, frame["sd"] * spread, frame["mean"] + half)
    frame.insert(4, "lower95", lower)
    frame.insert(5, "upper95", upper)
    return PrintedTable(
        frame,
        "Priors",
        "tab:priors",
        (
            "Shares are per one.",
            "Range of a scale (a standard deviation s): of s itself.",
            _knowledge(priors),
            checked_note(fit, checks),
        ),
        csv_only=("mean", "sd"),
        significant=("lower95", "upper95"),
    )


def _knowledge(priors: Priors) -> str:
    """What the authors of the priors could know."""
    if priors.as_of is not None:
        return (
            f"Priors as of {priors.as_of}: values rest on figures known at the end of that year; "
            "a judgement has no date."
        )
    known = priors.known_since
    until = f", some of them published as late as {known}" if known else ""
    return (
        f"Priors of no date: their authors knew all the figures that are named as reasons{until}. "
        "What is scored against such a figure had seen it."
    )


def sources_table(fit: Fit, *, checks: Checks | None = None) -> PrintedTable:
    """Every source with detail, vintage, reference, number of figures and their digest."""
    sources = fit.model.sources
    frame = sources.table()
    own = [
        sources.base, *(() if sources.open_end else (sources.census,)), sources.births,
        sources.deaths,
        *sources.survey_flows.values(), *sources.streams, *sources.administrative,
        *sources.known_sums,
        *sources.known_changes, sources.rolled_forward, *sources.extra,
    ]  # fmt: skip
    frame["figures"] = [_published(source) for source in own]
    frame["digest"] = [_digest(source) for source in own]
    return PrintedTable(
        frame,
        "Data sources",
        "tab:sources",
        (
            "Vintage: the publisher's series and stage of revision. Figures: as published; ages of "
            "a schedule are not counted. Digest: first 12 digits of the SHA-256 of every number of "
            "the source, standard errors too.",
            checked_note(fit, checks),
        ),
    )


def _arrays(source: object) -> list[xr.DataArray]:
    """Numbers of a source, in the order of its fields."""
    values = [getattr(source, name) for name in getattr(source, "__dataclass_fields__", ())]
    return [v for v in values if isinstance(v, xr.DataArray)]


def _published(source: object) -> int:
    """Figures of a source that were published, without the cells of a schedule."""
    arrays = _arrays(source)
    if not arrays:
        return 0
    if isinstance(source, Stock):
        return len(source.cells.labels)
    if isinstance(source, Deaths) and source.cells is not None:
        return len(source.cells.labels) * source.count.sizes[YEAR]
    schedule = {TOTAL: (SEX, AGE, AGE_GROUP), BY_SEX: (AGE, AGE_GROUP)}
    within = schedule.get(getattr(source, "observed", ""), ())
    known = arrays[0].notnull()
    return int(known.any([d for d in known.dims if d in within]).sum())


def _digest(source: object) -> str:
    found = hashlib.sha256()
    for values in _arrays(source):
        found.update(np.ascontiguousarray(values.values, dtype="<f8").tobytes())
    return found.hexdigest()[:12]


def variants_table(variants: pd.DataFrame, *, verdict: Verdict | None = None) -> PrintedTable:
    """What a change of priors or sources does to the headline, as a table.

    Parameters
    ----------
    variants : DataFrame, persons
        From :func:`imps.widened`, :func:`imps.left_out` or
        :func:`imps.plots.tornado_data`: names, then posterior means, and intervals where
        they were made.
    verdict : Verdict, optional
        Of the fit that was varied; unless told, the one that came with the table.
    """
    persons = [
        str(c)
        for c in variants
        if pd.api.types.is_float_dtype(variants[c]) and c not in ("factor", "probability_positive")
    ]
    bounded = any(interval_end(c, list(variants)) for c in persons)
    notes = (f"{GAP_CONVENTION.capitalize()}.", "Posterior means.")
    interval = (INTERVAL, PREVIEW) if bounded else ("Intervals stand in the attribution table.",)
    return PrintedTable(
        variants,
        "Variants: the headline with other priors and without each source",
        "tab:variants",
        (*notes, *interval, fit_note(verdict or Verdict.of(variants))),
        tuple(persons),
    )


def computation_table(fit: Fit, checks: Checks) -> PrintedTable:
    """How the draws were made, and whether they can be trusted."""
    import importlib.metadata
    import platform

    worst = checks.table
    packages = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("pymc", "nutpie", "arviz", "numpy")
    )
    rows = [
        ("Software", f"imps {importlib.metadata.version('imps-reconcile')}, {packages}"),
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("Method", fit.made),
        ("Draws", f"{fit.n_chains} chains of {fit.n_draws}"),
        ("Largest R-hat", f"{worst['r_hat'].max():.4f}"),
        ("Least effective size, bulk", f"{worst['ess_bulk'].min():,.0f}"),
        ("Least effective size, tail", f"{worst['ess_tail'].min():,.0f}"),
        ("Divergences", f"{checks.divergences}"),
        ("Seconds", f"{fit.seconds['total']:.1f}"),
        ("Verdict", checks.verdict.level),
    ]
    if checks.effective_points is not None:
        effective = f"{checks.effective_points:.0f} of {checks.grid_points}"
        rows.insert(8, ("Effective grid points, least", effective))
    return PrintedTable(
        pd.DataFrame(rows, columns=["item", "value"]),
        f"Computation, {fit.model.sources.area}",
        "tab:computation",
        (*fit.notes, *map(str, checks.verdict.causes), fit_note(checks.verdict)),
    )


def resting_on(attribution: Attribution, word: str) -> str:
    """Titles of the sources that the one scale of words calls so, as in a sentence; or nothing."""
    table = attribution.summary()
    names = table.loc[table["informed"] == word, SOURCE]
    return ", ".join(within_sentence(title(name)) for name in names)


def _against(attribution: Attribution) -> list[str]:
    against = resting_on(attribution, AGAINST_WORD)
    return [f"Against their priors: {against}."] if against else []


def _notes(attribution: Attribution) -> tuple[str, ...]:
    sign = f"{attribution.convention.capitalize()}."
    return (sign, INTERVAL, ADD_UP, fit_note(attribution.verdict))


def fit_note(verdict: Verdict | None) -> str:
    """Verdict of the fit, as the last note of a table."""
    return f"Fit: {verdict.brief}." if verdict else ""


def checked_note(fit: Fit, checks: Checks | None) -> str:
    """The line of the checks; the fit is checked where that has not been done."""
    return fit_note((checks or check(fit)).verdict)
