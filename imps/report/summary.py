"""The answer in words: sentences that can be quoted, and a card for each headline group."""

from __future__ import annotations

import pandas as pd

from imps.intervals import Z95, Unit, ends
from imps.names import SEX, SOURCE
from imps.posterior.fit import Fit
from imps.posterior.fitted import PERIOD as PERIOD_OF
from imps.results.attribution import (
    AGAINST_WORD,
    DATA_WORD,
    DRIVEN_WORD,
    KNOWN,
    PRIOR_DRIVEN,
    Attribution,
)
from imps.results.chain import CORRELATION, PERIOD, linked_chain, persistence
from imps.results.checks import check
from imps.results.open_end import predicted_census
from imps.results.reconciliation import Reconciliation
from imps.results.sensitivity import correlation_warnings
from imps.results.stability import Stability
from imps.sources import TOTAL
from imps.sources.kinds import title, within_sentence
from imps.tables.fit import resting_on

MAIN_GROUPS = ("base", "migration", "census")


def plain_summary(fit: Fit, attribution: Attribution, reconciliation: Reconciliation) -> list[str]:
    """The result in sentences that a reader without statistics can quote."""
    if attribution.open_end:
        return [*_of_open_end(fit, attribution), *_of_chain(fit, attribution.words.unit)]
    groups, unit = attribution.groups().set_index("group"), attribution.words.unit
    net = reconciliation.net_migration.sum(("year", "sex", "age"), skipna=False)
    low, high = net.quantile([0.025, 0.975]).values
    side = "above" if attribution.total > 0 else "below"
    base, migration, census = (_said(groups.loc[g], unit) for g in MAIN_GROUPS)
    stock = attribution.words.last_stock
    sentences = [
        f"{attribution.area}, {attribution.period}: the rolled-forward estimate stood "
        f"{abs(attribution.total):,.0f} persons {side} the {stock} as counted"
        f"{_what_stands(check(fit).stability, unit)}.",
        f"Of this the population base accounts for {base}, all migration sources for {migration}, "
        f"and the {stock} itself for {census}.",
        _clear_signs(groups),
    ]
    known = groups["mean"].get("revisions", 0.0)
    if abs(known) >= unit.size / 2:
        sentences.append(
            f"{unit.said(known)} {unit.name} is known arithmetic: the flows carried in the "
            "roll-forward minus those published."
        )
    sentences.append(
        f"Net migration over the period was {_said_of(float(net.mean()), low, high, unit)}."
    )
    if led := resting_on(attribution, DRIVEN_WORD):
        sentences.append(
            f"Prior-driven (contraction under {PRIOR_DRIVEN:.0%}), so that the split says more "
            f"about the priors than about the data: {led}."
        )
    if against := resting_on(attribution, AGAINST_WORD):
        sentences.append(
            "Against their priors (further than the priors foresaw, or less sure than they were), "
            f"so that figures and priors do not agree: {against}."
        )
    sentences += _inseparable(attribution)
    sources = fit.model.sources
    if sources.base.observed == sources.census.observed == TOTAL:
        sentences.append(
            "Base and census were published as totals only: the data identify little beyond the "
            "sum of the sources. Immigration and emigration bias in particular cannot be told "
            "apart."
        )
    return [*sentences, *_of_chain(fit, unit)]


def _of_chain(fit: Fit, unit: Unit) -> list[str]:
    """That it is one period of a chain, and what hangs on the judgement that links it."""
    chain = linked_chain(fit)
    if chain is None:
        return []
    name = fit.extras[PERIOD_OF]
    later = name != next(iter(chain.periods))
    base = ": its base is what the period before ended with" if later else ""
    found = persistence(chain)
    rows = found[(found[PERIOD] == name) & (found["group"] == "migration")]
    values = _listed([f"{value:g}" for value in rows[CORRELATION]])
    said = _listed([unit.said(mean) for mean in rows["mean"]])
    own = chain.model.priors["bias_between_periods"].mean
    return [
        f"This period is one of a chain, {chain.model.period_in_words}, fitted as one account"
        f"{base}.",
        "How far biases persist from period to period is a judgement that no figure teaches: with "
        f"correlations of {values} all migration accounts for {said} {unit.name}; this fit has "
        f"{own:g}.",
    ]


def _listed(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]])


def _of_open_end(fit: Fit, attribution: Attribution) -> list[str]:
    """How sure the roll-forward is, where no census tells."""
    unit, groups = attribution.words.unit, attribution.groups().set_index("group")
    error = attribution.totals().sum(SOURCE, skipna=False).values
    low, high = ends(error)
    rolled = float(fit.model.sources.rolled_forward.total[-1])
    parts = [
        f"{within_sentence(title(name))} {_said(groups.loc[name], unit)}"
        for name in MAIN_GROUPS
        if name in groups.index
    ]
    census = predicted_census(fit).summary().set_index(["quantity", SEX]).loc[("gap", "both")]
    return [
        f"{attribution.area}, {attribution.period}: the roll-forward stands at {rolled:,.0f} "
        f"persons, and the account expects a true population of {rolled - high:,.0f} to "
        f"{rolled - low:,.0f} (95 % interval).",
        f"Its error is {_said_of(float(error.mean()), low, high, unit)}; of this "
        f"{' and '.join(parts)}.",
        f"A census taken now would leave a gap of {_said(census, unit)}, with its own undercount "
        "and random error.",
    ]


def _what_stands(found: Stability | None, unit: Unit) -> str:
    """The sum that stands, where a headline group by itself does not; empty where all do."""
    if found is None or found.standing is None:
        return ""
    best = found.standing
    names = " and ".join(within_sentence(title(name)) for name in best.groups)
    moved = (
        f"without ages {best.left_out} {within_sentence(title(best.group))} moves by "
        f"{abs(best.shift_in_sd):.1f} posterior standard deviations"
    )
    if not best.stands:
        return f"; the split does not stand, nor does the sum of any two groups: {moved}"
    half = Z95 * best.sd
    said = _said_of(best.mean, best.mean - half, best.mean + half, unit)
    return f"; what stands is {names} together, {said}, and not their split: {moved}"


def _said(row: pd.Series, unit: Unit) -> str:
    return _said_of(row["mean"], row["lower95"], row["upper95"], unit)


def _said_of(mean: float, lower: float, upper: float, unit: Unit) -> str:
    mid, low, high = unit.mean_and_ends(mean, lower, upper)
    return f"{mid} {unit.name} (95 % interval {low} to {high})"


def _clear_signs(groups: pd.DataFrame) -> str:
    """Which headline groups differ from zero beyond doubt, or that none does."""
    rows = groups.loc[list(MAIN_GROUPS)]
    clear = rows[(rows["lower95"] > 0) | (rows["upper95"] < 0)].index
    if not len(clear):
        return "None of the three differs from zero beyond doubt: every interval holds zero."
    names = " and ".join(within_sentence(title(name)) for name in clear)
    return f"The 95 % interval excludes zero for: {names}."


def _inseparable(attribution: Attribution) -> list[str]:
    """Pairs that trade off so closely that only their sum means anything."""
    pairs = correlation_warnings(attribution)
    return [
        f"{title(row.source)} and {within_sentence(title(row.other))} trade off (correlation "
        f"{row.correlation:+.2f}): read their sum and not the two apart.".replace("-0", "\u22120")
        for row in pairs[pairs["inseparable"]].itertuples()
    ]


def headline_cards(attribution: Attribution) -> list[dict[str, str]]:
    """The gap and its headline groups: number, interval, how much of it is prior."""
    unit = attribution.words.unit
    cards = [
        {
            "name": f"The {attribution.measured}",
            "number": unit.said(attribution.total),
            "interval": unit.persons,
            "learnt": "" if attribution.open_end else "published",
        }
    ]
    groups = attribution.groups()
    for row in groups[groups["group"].isin(MAIN_GROUPS)].to_dict("records"):
        known = row["sd"] < KNOWN
        mean, low, high = unit.mean_and_ends(row["mean"], row["lower95"], row["upper95"])
        word = "" if row["informed"] == DATA_WORD else f"; {row['informed']}"
        cards.append(
            {
                "name": title(row["group"]),
                "number": mean,
                "interval": f"{unit.name}, known"
                if known
                else f"{unit.name}; 95 %: {low} to {high}",
                "learnt": "" if known else f"contraction {max(row['contraction'], 0):.2f}{word}",
            }
        )
    return cards
