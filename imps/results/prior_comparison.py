"""The same figures under several sets of priors, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from imps.account.linear import linear_model
from imps.account.prior_sets import PRIOR_SETS, prior_set
from imps.account.priors import Priors
from imps.intervals import THOUSANDS, Unit
from imps.posterior.fit import fit
from imps.posterior.workers import in_order
from imps.project.case import Case
from imps.results.attribution import Attribution, attribute
from imps.results.verdict import Verdict
from imps.shipped import find_case
from imps.sources import Sources


@dataclass(frozen=True)
class PriorComparison:
    """The same figures under several positions.

    Attributes
    ----------
    table : DataFrame, persons
        prior_set, title, group, prior_mean, prior_sd, mean, sd, lower95, upper95,
        share_of_gap (posterior mean over gap).
    surprise : Series
        By set of priors: the gap less its prior mean, in prior standard deviations.
        Beyond 2 the position did not expect such a gap.
    gap : float, persons
    area, period : str
    verdicts : mapping from set of priors to the verdict of its fit
    unit : Unit
        In which numbers are printed.
    """

    table: pd.DataFrame
    surprise: pd.Series
    gap: float
    area: str
    period: str
    verdicts: Mapping[str, Verdict]
    unit: Unit = THOUSANDS

    def __repr__(self) -> str:
        means = self.table.pivot(index="prior_set", columns="group", values="mean")
        shown = (means / self.unit.size)[list(dict.fromkeys(self.table["group"]))].round(0)
        lines = [
            f"Gap of {self.gap:+,.0f} persons, {self.area}: posterior means, {self.unit.persons}"
        ]
        lines.append(shown.loc[list(self.surprise.index)].to_string())
        lines += [f"{name}: {line}" for name, line in self.verdicts.items()]
        return "\n".join(lines)


def compare_priors(
    case: str | Case,
    sets: Mapping[str, Priors] | Iterable[str] = tuple(PRIOR_SETS),
    *,
    seed: int = 1,
    draws: int = 500,
    client: Any = None,
) -> PriorComparison:
    """Fit the same figures under several sets of priors and put the groups side by side.

    Parameters
    ----------
    case : str or Case
    sets : names of :data:`imps.account.prior_sets.PRIOR_SETS`, or a mapping from name to Priors
        All named positions unless told.
    seed, draws : int
    client : optional
        A dask client, or any :class:`concurrent.futures.Executor`, to spread the fits.

    Returns
    -------
    PriorComparison

    Raises
    ------
    PriorError
        If a name is unknown, with the nearest.
    """
    loaded = find_case(case) if isinstance(case, str) else case
    named = (
        dict(sets)
        if isinstance(sets, Mapping)
        else {name: prior_set(name, loaded.sources) for name in sets}
    )
    fits = in_order(client, _under, list(named.values()), loaded.sources, seed, draws)
    tables, surprise, verdicts = [], {}, {}
    for name, (found, at) in zip(named, fits, strict=True):
        groups = found.groups().drop(columns=["contraction", "probability_positive", "informed"])
        title = PRIOR_SETS[name].title if name in PRIOR_SETS else name
        groups.insert(0, "prior_set", name)
        groups.insert(1, "title", title)
        tables.append(groups.assign(share_of_gap=groups["mean"] / found.total))
        surprise[name], verdicts[name] = at, found.verdict
    return PriorComparison(
        table=pd.concat(tables, ignore_index=True),
        surprise=pd.Series(surprise, name="surprise"),
        gap=loaded.sources.gap,
        area=found.area,
        period=found.period,
        verdicts=verdicts,
        unit=Unit.of(loaded.sources.census.total),
    )


def _under(sources: Sources, seed: int, draws: int, priors: Priors) -> tuple[Attribution, float]:
    """The gap under a set of priors, and how many prior sds it is off its prior mean."""
    model = linear_model(sources, priors)
    found = attribute(fit(model, seed=seed, draws=draws, progress=False))
    parts = [c.prior.sum() for c in model.contributions]
    mean, sd = (float(x) for x in model.prior_moments(sum(parts[1:], parts[0])))
    return found, (found.total - mean) / sd
