"""Named sets of priors: published positions on the gap of 2001, in persons.

A position is a list of statements such as "the base was too high by 250 to 450
thousand, nine chances in ten". A statement is about what one source adds to the
gap over the whole decade. It becomes priors by arithmetic: all rows of the source
are widened or narrowed by one factor, so that its total has the stated standard
deviation, and the mean of its level is moved until the total has the stated mean.
What a position does not speak of keeps the priors of the package.
"""

from __future__ import annotations

import difflib
import math
import statistics
from dataclasses import dataclass

import numpy as np

from imps.account.latents import Affine
from imps.account.linear import LinearModel, linear_model
from imps.account.priors import FAMILIES, Priors, default_priors
from imps.errors import PriorError
from imps.intervals import Z95
from imps.names import SURVEY
from imps.sources import Sources

_REVISED = "flows_revised_since"
LEAST_NATION = 500_000
"""Residents under whom the default priors are doubted; judgement of the package."""


def elicit(low: float, high: float, probability: float = 0.9) -> tuple[float, float]:
    """Mean and standard deviation of the normal that lies in a range with a probability.

    Parameters
    ----------
    low, high : float
        Ends of the range, equal tails beyond both.
    probability : float
        Of lying in the range, strictly between 0 and 1.

    Returns
    -------
    (mean, sd)
        In the unit of the range.

    Raises
    ------
    PriorError
        If the range is empty or the probability is not one.

    Examples
    --------
    >>> mean, sd = elicit(-0.25, 0.0, 0.9)  # emigration undercounted by 0 to 25 per cent
    >>> round(mean, 3), round(sd, 3)
    (-0.125, 0.076)
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise PriorError(f"a range from {low} to {high} is empty: give low < high, both finite.")
    if not 0 < probability < 1:
        raise PriorError(
            f"the probability of the range {low:g} to {high:g} is {probability}; it must lie "
            "between 0 and 1, for example 0.9 for nine chances in ten."
        )
    return (low + high) / 2, (high - low) / (
        2 * statistics.NormalDist().inv_cdf((1 + probability) / 2)
    )


@dataclass(frozen=True)
class Statement:
    """What a position says of one source.

    Attributes
    ----------
    source : str
        As in the attribution.
    low, high : float
        Range of its contribution to the gap, persons over the decade; positive:
        the roll-forward was too high for it.
    probability : float
        With which the contribution lies in the range.
    as_carried_then : bool
        The statement is about the flows as the roll-forward carried them. What the
        later series has already taken back (`flows_revised_since`) is then taken
        off, for it is known and no prior is needed for it.
    meaning, reference : str
    """

    source: str
    low: float
    high: float
    probability: float
    meaning: str
    reference: str
    as_carried_then: bool = False


@dataclass(frozen=True)
class PriorSet:
    """A position: a title and its statements."""

    title: str
    statements: tuple[Statement, ...]


_SEPTEMBER_2002 = "ONS, Guardian, 1 October 2002; Economist, 3 October 2002 (England and Wales)"
_2003_AND_2004 = "ONS (2003), Introduction to population estimate revisions; BBC, 8 July 2004"
_DISSENT = "Coleman and others in Economist (2002) and Treasury Committee (2008); no figure given"
_NO_SIDE = "Takes no side: one spread for base, all survey bias, and census"

PRIOR_SETS: dict[str, PriorSet] = {
    "ons-2002": PriorSet(
        "ONS, September 2002: emigration was missed",
        (
            Statement("emigration_bias", 400e3, 800e3, 0.9,
                      "about 600 thousand emigrants missed in ten years", _SEPTEMBER_2002, True),
            Statement("base", 200e3, 400e3, 0.9,
                      "the 1991 base was some 300 thousand too high", _SEPTEMBER_2002),
            Statement("immigration_bias", -50e3, 50e3, 0.9, "immigration was right",
                      _SEPTEMBER_2002),
            Statement("census_coverage", -100e3, 100e3, 0.9,
                      "the census was right, as its stated precision says", _SEPTEMBER_2002),
        ),
    ),
    "ons-2004": PriorSet(
        "ONS, 2003-04: base, revised migration, census",
        (
            Statement("base", 250e3, 450e3, 0.9,
                      "the 1991 base was lowered by 351 thousand", _2003_AND_2004),
            Statement("emigration_bias", -100e3, 100e3, 0.9,
                      "the series of migration as revised is right", _2003_AND_2004),
            Statement("immigration_bias", -100e3, 100e3, 0.9,
                      "the series of migration as revised is right", _2003_AND_2004),
            Statement("census_coverage", 150e3, 350e3, 0.9,
                      "the census base was raised by 193 and again by 60 thousand",
                      _2003_AND_2004),
        ),
    ),
    "census-missed": PriorSet(
        "The census missed them",
        (
            Statement("census_coverage", 700e3, 1300e3, 0.9,
                      "the census missed about as many as the roll-forward has more", _DISSENT),
            Statement("base", -100e3, 100e3, 0.9, "the 1991 base was right", _DISSENT),
            Statement("emigration_bias", -150e3, 150e3, 0.9,
                      "the flows were right as the roll-forward carried them", _DISSENT, True),
            Statement("immigration_bias", -100e3, 100e3, 0.9,
                      "immigration was right", _DISSENT),
        ),
    ),
    "neutral": PriorSet(
        "Neutral: no source is favoured",
        (
            Statement("base", -500e3, 500e3, 0.9, _NO_SIDE, "Judgement of the package"),
            Statement("emigration_bias", -354e3, 354e3, 0.9, _NO_SIDE, "Judgement of the package"),
            Statement("immigration_bias", -354e3, 354e3, 0.9, _NO_SIDE, "Judgement of the package"),
            Statement("census_coverage", -500e3, 500e3, 0.9, _NO_SIDE, "Judgement of the package"),
        ),
    ),
}  # fmt: skip


def prior_set(name: str, sources: Sources) -> Priors:
    """The priors of a named position, for the sources of a case.

    Parameters
    ----------
    name : {"ons-2002", "ons-2004", "census-missed", "neutral"}
    sources : Sources

    Returns
    -------
    Priors

    Raises
    ------
    PriorError
        If the name is unknown, with the nearest; or if a statement is about a
        source that the account has not.
    """
    return stated(_named(name).statements, sources)


def doubts(model: LinearModel) -> list[str]:
    """Why the priors of an account may not be meant for it, a sentence each.

    The default priors were made for national populations; and a gap outside the 95 per cent
    prior predictive interval is one that they did not expect.
    """
    found, people = [], model.sources.census.total
    defaults = model.priors.defaults
    untouched = all(defaults[n] == row for n, row in model.priors.items() if n in defaults)
    if untouched and defaults.made.kind == SURVEY and people < LEAST_NATION:
        found.append(
            f"the default priors were made for nations, and {model.sources.area} has "
            f'{people:,.0f} residents: take those of an area (kind = "area" in [priors], '
            'default_priors(kind="area", residents=...)), or state your own'
        )
    totals = [part.prior.sum() for part in model.contributions]
    mean, sd = (float(x) for x in model.prior_moments(sum(totals[1:], totals[0])))
    gap = model.sources.gap
    if abs(gap - mean) > Z95 * sd:
        found.append(
            f"the gap of {gap:+,.0f} persons lies outside the 95 % prior predictive interval "
            f"{mean - Z95 * sd:+,.0f} to {mean + Z95 * sd:+,.0f}: a figure may be wrong, or the "
            "priors too narrow for this account; look at `imps prior`"
        )
    return found


def stated(statements: tuple[Statement, ...], sources: Sources) -> Priors:
    """Priors that say what the statements say, and otherwise those of the package.

    Parameters
    ----------
    statements : tuple of Statement
        Each on one source, with mean and sd in persons of the gap.
    sources : Sources
        Whose figures turn persons into shares.

    Returns
    -------
    Priors

    Raises
    ------
    PriorError
        If a statement is about a source that the account has not, or two are about one.
    """
    priors = default_priors()
    model = linear_model(sources, priors)
    names = [statement.source for statement in statements]
    known = [c.source for c in model.contributions if _family(c.source, model)]
    for source in names:
        if source not in known or names.count(source) > 1:
            fault = "twice" if names.count(source) > 1 else "but it has no level of its own here"
            raise PriorError(
                f"a statement is made about '{source}' {fault}. Sources that statements may be "
                f"about, once each: {', '.join(known)}."
            )
    for statement in statements:
        priors = _with(statement, model, priors)
    return priors


def _with(statement: Statement, model: LinearModel, priors: Priors) -> Priors:
    """Move the mean and the spread of one source to what the statement says."""
    mean, sd = elicit(statement.low, statement.high, statement.probability)
    parts = {part.source: part for part in model.contributions}
    if statement.as_carried_then:
        mean -= float(parts[_REVISED].value.sum().constant)
    total = parts[statement.source].prior.sum()
    family = _family(statement.source, model)
    level = FAMILIES[family][0]
    persons = float(total.effects[level].sum()) / model.priors[level].sd
    other = float(total.constant) - persons * model.priors[level].mean
    spread, chance = _spread(total, statement.source, model)
    if sd <= chance:
        raise PriorError(
            f"a statement about '{statement.source}' has a standard deviation of {sd:,.0f} "
            f"persons, and its random error alone has {chance:,.0f}: widen the range."
        )
    factor = float(np.sqrt(sd**2 - chance**2)) / spread
    return priors.widen(family, factor).replace(**{level: {"mean": (mean - other) / persons}})


def _spread(total: Affine, source: str, model: LinearModel) -> tuple[float, float]:
    """Standard deviation of a total by its priors, and by random error that has none."""
    own = model.account.latents.of_source(source)
    by_prior = Affine(total.constant, {b: e for b, e in total.effects.items() if b in own})
    spread = float(model.prior_moments(by_prior)[1])
    return spread, float(np.sqrt(max(float(model.prior_moments(total)[1]) ** 2 - spread**2, 0.0)))


def _family(source: str, model: LinearModel) -> str:
    """Family of the priors of a source, the smallest there is; empty if they have none."""
    rows = {block.prior for block in model.account.latents.of_source(source).values()}
    return next((name for name, family in FAMILIES.items() if rows and rows <= {*family}), "")


def _named(name: str) -> PriorSet:
    if name not in PRIOR_SETS:
        near = difflib.get_close_matches(name, PRIOR_SETS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise PriorError(
            f"no set of priors is called '{name}'.{hint} Known: {', '.join(PRIOR_SETS)}."
        )
    return PRIOR_SETS[name]
