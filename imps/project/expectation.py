"""Stocks beside what the rest of the account and its priors lead to expect of them.

With the scales s of the latent variables at the root of their mean square over the priors,

    y = y0 + A w + e,    w ~ Normal(0, diag(s^2)),    e ~ Normal(0, diag(se^2)),

so that the rows of one source given all others are normal with mean y0 + K r and covariance C,
K = G_io G_oo^-1, C = G_ii - K G_oi, G = A diag(s^2) A' + diag(se^2). Sums of ages and differences
of the sexes are judged by their standard deviations in C: a table that is too large, shifted or
of one sex alone leaves the cohorts of the census where no error that the priors know would.

That ages a to b are a common factor too many or too few is judged by its score,

    z = d' C^-1 e / (d' C^-1 d)^1/2,    d the figures of these ages, 0 of others,

which ages beside them make far sharper than their sum is: all intervals of ages, of each sex, of
both and between the sexes. Ages in wrong places, or each astray, are seen by all cells together,
Q = e' C^-1 e, of which (2Q)^1/2 - (2n - 1)^1/2 is nearly standard normal (Fisher).

References
----------
Box (1980), Sampling and Bayes' inference in scientific modelling and robustness, JRSS A 143.
Cox and Hinkley (1974), Theoretical Statistics, section 9.3: score tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from imps.account.account import build_account
from imps.account.linear import LinearModel, assembled
from imps.account.observations import observations
from imps.account.priors import Priors
from imps.errors import ImpsError
from imps.names import SEXES
from imps.project.expected_events import Cells, better_places, odd_events
from imps.reading.findings import Collector
from imps.sources import Sources

BANDS: Final = ((0, 200), (0, 10), (10, 20), (20, 30), (30, 40), (40, 60), (60, 75), (75, 85),
                (85, 200))  # fmt: skip
"""First age, and the age after the last, of people who are judged together."""

OF_SEXES: Final = ((0, 200), (0, 10), (10, 20), (20, 40), (40, 60), (60, 200))
"""The same of those whose sexes are compared."""

UNEXPECTED: Final = 3.5
"""Standard deviations from which a sum is doubted: under the priors one of the fifteen is beyond
them in less than 0.7 per cent of accounts. The shipped cases reach 1.7."""

UNEXPECTED_FACTOR: Final = 5.2
"""Standard deviations from which an interval of ages is doubted: under the priors any of all
intervals of a stock by single age is beyond them in 0.2 per cent of accounts (1,500 draws of each
of four accounts: the 0.998 quantile of the largest is 4.6 to 5.2). The shipped cases reach 4.0."""

UNEXPECTED_CELLS: Final = 4.0
"""The same of all cells together: under the priors 3 in 100,000 accounts are beyond it. It is
negative in every shipped and fictitious case, whose cells are nearer than the priors allow."""

CHANCE: Final = 0.1
"""Chance variance of a cell, per person of it: those who came and left within the ages of a group
since the base, one in ten of the people, are counts, which the smooth parts do not know."""

LEAST_AGES: Final = 5
"""Ages from which intervals of them are compared."""

MOST_ROWS: Final = 1500
"""Rows of an account up to which it is done: the cost grows with their cube."""

SHOWN: Final = 5
"""Sums that a message tells, the largest first."""


def check_expected(sources: Sources, priors: Priors, log: Collector, file: str) -> None:
    """Name the people whose number the rest of the account contradicts.

    Parameters
    ----------
    sources : Sources
    priors : Priors
    log : Collector
    file : str
        That of the populations.
    """
    try:
        account = build_account(sources, priors)
        model = assembled(account, observations(account), ())  # closure is checked by the run
    except ImpsError:  # refused by the run, in its own words
        return
    if model.observed.size > MOST_ROWS:
        return
    found = [one for name in dict.fromkeys(model.row_sources) for one in _judged(model, name)]
    odd = sorted(found, key=lambda one: -one[0])
    if odd:
        log.add("BALANCE_UNLIKELY.expected", file=file, column="population",
                texts=[odd[0][1]], total=len(odd),
                places="; ".join(words for *_, words in odd[:SHOWN]))  # fmt: skip


def _judged(model: LinearModel, name: str) -> Iterator[tuple[float, str, str]]:
    """Odd sums and intervals of the rows of a source: deviations, figure, and both in words."""
    own = np.array(model.row_sources) == name
    first = model.row_ages[own, 0]
    labels = [label for label, k in zip(model.row_labels, own, strict=True) if k]
    ends = model.sources.year_end.shown(model.sources.last_year)
    where = f"{ends} census" if name == "census" else f"{labels[0]} and others"
    apart, covariance = _given_the_others(model, own)
    for what, weight in _sums(first, labels):
        sd = np.sqrt(max(float(weight @ covariance @ weight), 0.25))
        rest, figure = float(weight @ apart), f"{float(weight @ model.observed[own]):,.0f}"
        if abs(rest) > UNEXPECTED * sd:
            yield (
                abs(rest) / sd,
                figure,
                (
                    f"{where} {what}: {figure}, {rest:+,.0f} beside what is expected to within "
                    f"{sd:,.0f}, {abs(rest) / sd:.1f} standard deviations"
                ),
            )
    patterns = list(_patterns(first, labels, model.observed[own]))
    chance = CHANCE if model.account.flows else 0.0  # streams are counted where they are
    covariance = covariance + np.diag(0.25 + chance * np.maximum(model.observed[own], 0))
    if name == "census":
        cells = Cells(model, apart, covariance)
        yield from odd_events(cells)
        yield from better_places(cells)
    together = float(apart @ np.linalg.solve(covariance, apart)) if patterns else 0.0
    beyond = np.sqrt(2 * together) - np.sqrt(2 * len(labels) - 1)
    if beyond > UNEXPECTED_CELLS:
        worst = int(np.abs(apart / np.sqrt(np.diag(covariance))).argmax())
        figure = f"{model.observed[own][worst]:,.0f}"
        yield (
            beyond,
            figure,
            (
                f"{where}, its {len(labels)} cells together: {together:,.0f} squared deviations, "
                f"{beyond:.1f} standard deviations; the worst is {labels[worst]}: {figure}, "
                f"{apart[worst]:+,.0f}"
            ),
        )
    for what, weight in patterns:
        z, low, high, share, figure = _worst_interval(apart, covariance, first, weight)
        if z > UNEXPECTED_FACTOR:
            yield (
                z,
                figure,
                (
                    f"{where} {what}{_ages(low, high)}: {figure}, {share:+.1%} beside what is "
                    f"expected of them and of the ages beside them, {z:.1f} standard deviations"
                ),
            )


def _given_the_others(model: LinearModel, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows less their mean, and their covariance, given the rows of all other sources."""
    size = np.append(model.scale_medians * np.exp(model.log_sd**2), 1.0)[model.scale_of]
    design = model.design * size
    whole = design @ design.T + np.diag(model.standard_error**2)
    apart = model.observed - model.offset
    if own.all():
        return apart, whole
    beside = whole[np.ix_(~own, ~own)]
    beside[np.diag_indices_from(beside)] += 1e-9
    gain = np.linalg.solve(beside, whole[np.ix_(~own, own)]).T
    return apart[own] - gain @ apart[~own], whole[np.ix_(own, own)] - gain @ whole[
        np.ix_(~own, own)
    ]


def _patterns(
    first: np.ndarray, labels: list[str], figures: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """People of both sexes, of one, or of one and not the other, in words, and their figures."""
    if not np.isfinite(first).all() or len(set(first)) < LEAST_AGES:
        return
    women = np.array([SEXES[1] in label.split() for label in labels])
    yield "", figures
    if women.any() and not women.all():
        yield f"{SEXES[0]}s ", figures * ~women
        yield f"{SEXES[1]}s ", figures * women
        yield f"{SEXES[0]}s less {SEXES[1]}s ", figures * np.where(women, -1.0, 1.0)


def _worst_interval(
    apart: np.ndarray, covariance: np.ndarray, first: np.ndarray, figures: np.ndarray
) -> tuple[float, int, int, float, str]:
    """The interval of ages with the largest score: it, its ages, its share beyond, its figure."""
    edges = np.append(np.unique(first), BANDS[0][1])
    below = np.where(first[:, None] < edges, figures[:, None], 0.0)
    solved = np.linalg.solve(covariance, below)
    gram, score = below.T @ solved, apart @ solved
    each = np.diag(gram)
    variance = np.maximum(each + each[:, None] - gram - gram.T, 1e-12)
    size = np.triu((score - score[:, None]) / np.sqrt(variance), 1)
    i, j = np.unravel_index(np.abs(size).argmax(), size.shape)
    figure = f"{float((below[:, j] - below[:, i]).sum()):,.0f}"
    share = float((score[j] - score[i]) / variance[i, j])
    return float(abs(size[i, j])), int(edges[i]), int(edges[j]), share, figure


def _sums(first: np.ndarray, labels: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Bands of ages and differences of the sexes in words, and the weight of each row."""
    if not np.isfinite(first).all():
        yield "in all", np.ones(len(first))
        return
    for low, high in BANDS:
        within = (first >= low) & (first < high)
        if within.any():
            yield _ages(low, high), within.astype(float)
    women = np.array([SEXES[1] in label.split() for label in labels])
    for low, high in OF_SEXES if women.any() and not women.all() else ():
        within = (first >= low) & (first < high)
        if within.any():
            yield f"males less females {_ages(low, high)}", np.where(women, -1.0, 1.0) * within


def _ages(low: int, high: int) -> str:
    if high == low + 1:
        return f"aged {low}"
    if high < BANDS[0][1]:
        return f"aged {low} to {high - 1}"
    return f"aged {low} and over" if low else "in all"
