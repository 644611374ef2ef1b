"""Results of a chain of censuses: by period, for the whole, and from one period to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from imps.account.chained import ChainModel
from imps.account.latents import Affine
from imps.account.prior_rows import BETWEEN_PERIODS
from imps.errors import NotFittedError, PriorError
from imps.posterior.exact import GaussianPosterior
from imps.posterior.fit import Fit, needs_fit
from imps.posterior.fitted import WHOLE
from imps.results.attribution import Attribution, attribute
from imps.results.checks import check
from imps.results.reconciliation import Reconciliation, reconcile
from imps.results.sensitivity import TRUE_ERROR, mean_scales, typical_errors
from imps.results.stability import headline_names, headline_totals
from imps.results.verdict import Verdict
from imps.sources.kinds import title

PERIOD = "period"
CORRELATION = "correlation"
CORRELATIONS = (0.0, 0.5, 0.9)
"""Of biases over periods, for which the answers of a chain are shown beside its own."""


@dataclass(frozen=True)
class ChainResults:
    """What a chain of censuses says of each of its periods, and of all of them.

    Attributes
    ----------
    attributions : mapping of Attribution by period
    reconciliations : mapping of Reconciliation by period
    area, span : str
        Span is from the first base to the last census, in words.
    verdict : Verdict
        The gravest of the periods.
    passed : bool
    correlation : float or None
        Of biases between periods, a judgement (:func:`persistence`); None where no period is
        linked to another.
    """

    attributions: Mapping[str, Attribution]
    reconciliations: Mapping[str, Reconciliation]
    area: str
    span: str
    verdict: Verdict
    passed: bool
    correlation: float | None

    def groups(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Headline groups of every period, in the columns of :meth:`Attribution.groups`."""
        return self._by_period(self.attributions, lambda a: a.groups(prob=prob))

    def summary(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Sources of the gap of every period, in the columns of :meth:`Attribution.summary`."""
        return self._by_period(self.attributions, lambda a: a.summary(prob=prob))

    def net_migration_by_year(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Net migration of each year of all periods beside the published series, persons."""
        return self._by_period(self.reconciliations, lambda r: r.net_migration_by_year(prob=prob))

    def population_by_year(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Back-series over all periods, and the revision that it implies.

        A year at which two periods meet stands in both: the true population is the same, and
        each period has its own published figure, the roll-forward and the base made of the census.

        Returns
        -------
        DataFrame, persons
            period, year, mean, sd, interval, rolled_forward (as published in that period), and
            revision, which is mean minus rolled_forward.
        """
        frame = self._by_period(self.reconciliations, lambda r: r.population_by_year(prob=prob))
        frame = frame.drop(columns=["period_apportionment", "cohort_apportionment"])
        return frame.assign(revision=frame["mean"] - frame["rolled_forward"])

    def _by_period(self, parts: Mapping, made: Callable[..., pd.DataFrame]) -> pd.DataFrame:
        frames = [made(part) for part in parts.values()]
        for name, frame in zip(parts, frames, strict=True):
            frame.insert(0, PERIOD, name)
        return self.verdict.put_on(pd.concat(frames, ignore_index=True))

    def __repr__(self) -> str:
        lines = [f"Chain of {len(self.attributions)} periods, {self.area}, {self.span}"]
        for name, found in self.attributions.items():
            unit = found.words.unit
            lines.append(f"{name}: {found.measured} {unit.said(found.total)} {unit.name}")
            for row in found.groups().head(5).itertuples():
                said = unit.between(row.mean, row.lower95, row.upper95)
                lines.append(f"  {title(str(row.group)):24s} {said}")
        if self.correlation is not None:
            lines.append(
                f"biases persist over periods with correlation {self.correlation:g}, a judgement: "
                "imps.persistence(fit) shows what hangs on it"
            )
        return "\n".join([*lines, str(self.verdict)])


def chain_results(fit: Fit) -> ChainResults:
    """Attribution and reconciliation of every period of a chain.

    Parameters
    ----------
    fit : Fit
        Of :func:`imps.chain`.

    Returns
    -------
    ChainResults

    Raises
    ------
    NotFittedError
        If it is given something else than a fit of :func:`imps.chain`.
    """
    fit = _needs_chain(fit, "chain_results")
    found = check(fit)
    return ChainResults(
        attributions={name: attribute(part) for name, part in fit.periods.items()},
        reconciliations={name: reconcile(part) for name, part in fit.periods.items()},
        area=fit.model.sources.area,
        span=fit.model.period_in_words,
        verdict=found.verdict,
        passed=found.passed,
        correlation=_correlation(fit) if persists(fit) else None,
    )


def _correlation(fit: Fit) -> float:
    return fit.model.priors[BETWEEN_PERIODS.name].mean


def response_across(fit: Fit) -> pd.DataFrame:
    """What an error of 100 thousand in one period does to the answers of all periods.

    As :func:`imps.response_table`, of headline groups: exact at the posterior mean scales. A
    true error of a bias has the part that its prior expects in the other periods too.

    Parameters
    ----------
    fit : Fit
        Of :func:`imps.chain`.

    Returns
    -------
    DataFrame, persons
        Rows: period and source of the true error; columns: period and answering group.

    Raises
    ------
    NotFittedError
        If it is given something else.
    """
    fit = _needs_chain(fit, "response_across")
    model, h = fit.model, mean_scales(fit)
    posterior, factors = GaussianPosterior(model), model.scale_factors(h)
    factor, white = posterior.factor(h), posterior.white * factors
    errors, answers = {}, dict[tuple[str, str], Affine]()
    for name, part in fit.periods.items():
        for source, z in typical_errors(part.model, factors, TRUE_ERROR).items():
            errors[name, source] = white @ z
        for group, total in headline_totals(part.model).items():
            answers[name, group] = total
    gain = np.stack([model.matrix(q) for q in answers.values()]) * factors @ white.T
    table = pd.DataFrame(
        (gain @ factor.solve(np.stack(list(errors.values())).T)).T,
        index=pd.MultiIndex.from_tuples(errors, names=[PERIOD, "true error in"]),
        columns=pd.MultiIndex.from_tuples(answers, names=[PERIOD, "group"]),
    )
    return check(fit).verdict.put_on(table)


def persistence(fit: Fit) -> pd.DataFrame:
    """What the answers of a chain would be if biases persisted less, or more, over its periods.

    The correlation of biases between periods, prior `bias_between_periods`, is a judgement that
    no figure teaches. Each row is an exact posterior at the posterior mean scales of the fit.

    Parameters
    ----------
    fit : Fit
        Of a chain of two periods or more whose links are not cut.

    Returns
    -------
    DataFrame, persons
        period, group (base, migration, census), correlation (0, 0.5, 0.9 and that of the fit),
        mean and sd of the group's part of the gap; verdict among the attributes.

    Raises
    ------
    NotFittedError
        If it is given something else than a fit of :func:`imps.chain`.
    PriorError
        If no bias persists from one period to another: a chain of one, or of cut links.
    """
    fit = _needs_chain(fit, "persistence")
    if not persists(fit):
        raise PriorError(
            f"persistence() needs periods that are linked, and this chain of {len(fit.periods)} "
            "has no bias that two of them share. Fit imps.chain([...]) of two or more, linked."
        )
    if fit not in _MADE:
        _MADE[fit] = _persistence(fit)
    return check(fit).verdict.put_on(_MADE[fit].copy())


_MADE: WeakKeyDictionary[Fit, pd.DataFrame] = WeakKeyDictionary()
"""Made once a fit: the report of every period shows it."""


def persists(fit: Fit) -> bool:
    """Whether a fit is one of a chain whose periods are linked."""
    return isinstance(fit.model, ChainModel) and fit.model.linked and len(fit.periods) > 1


def linked_chain(fit: Fit) -> Fit | None:
    """The fit of the linked chain of which a fit is one period; None of an account alone."""
    whole = fit.extras.get(WHOLE)
    return whole if whole is not None and persists(whole) else None


def _persistence(fit: Fit) -> pd.DataFrame:
    model, h, rows = fit.model, mean_scales(fit), []
    assert isinstance(model, ChainModel)
    headlines = {
        f"{period}: {name}": (period, group)
        for period, part in fit.periods.items()
        for group, name in headline_names(part.model).items()
    }
    for value in sorted({*CORRELATIONS, _correlation(fit)}):
        priors = model.priors.replace(**{BETWEEN_PERIODS.name: {"mean": value}})
        posterior = GaussianPosterior(model.with_priors(priors))
        for name, mean, variance in zip(posterior.names, *posterior.moments(h), strict=True):
            if name in headlines:
                rows.append((*headlines[name], value, mean, float(np.sqrt(variance))))
    frame = pd.DataFrame(rows, columns=[PERIOD, "group", CORRELATION, "mean", "sd"])
    order = {key: i for i, key in enumerate(headlines.values())}
    places = [order[key] for key in zip(frame[PERIOD], frame["group"], strict=True)]
    return frame.iloc[np.argsort(places, kind="stable")].reset_index(drop=True)


def _needs_chain(fit: object, function: str) -> Fit:
    found = needs_fit(fit, function, of_chain=True)
    if not found.periods:
        raise NotFittedError(
            f"{function}() needs a fit of a chain, and this is one of a single account: call "
            "imps.attribute(fit), or fit imps.chain([...])."
        )
    return found
