"""A chain of censuses from cases, project folders or sources."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from imps.account.chained import ChainModel, chain_model
from imps.account.prior_rows import BETWEEN_PERIODS
from imps.account.priors import Priors, default_priors
from imps.errors import PriorError, some
from imps.project.case import Case
from imps.project.check import ImportReport
from imps.shipped import project_of
from imps.sources import Sources

Period = str | os.PathLike[str] | Case | ImportReport | Sources
"""What a period of a chain may be given as."""


def chain(
    periods: Sequence[Period],
    priors: Priors | None = None,
    *,
    linked: bool = True,
    revised: Iterable[str] = (),
) -> ChainModel:
    """One account over the periods between several censuses.

    Parameters
    ----------
    periods : sequence of str, path, Case, ImportReport or Sources
        In order of time, each beginning at the census at which the one before ends: names of
        shipped cases, project folders, cases, or sources. The last may have an open end
        (:func:`imps.open_end`).
    priors : Priors, optional
        Of all periods; those of the projects unless told, which must agree, else the default
        ones. The row `bias_between_periods` is the correlation of biases over periods:
        ``default_priors("bias_between_periods").replace(bias_between_periods=(0.9, 0))``.
    linked : bool
        If false, every base has an error of its own and no bias is correlated with that of
        another period: what the single accounts say, but for scales that have one name.
    revised : iterable of str
        Periods, such as "2011-2021", whose base is another figure than the census at which the
        period before ends, because it was revised in between.

    Returns
    -------
    ChainModel
        For :func:`imps.fit`; `imps.chain_results(fit)` and `fit.periods` give the results.

    Raises
    ------
    SourceError, DefinitionError
        If there is a gap or an overlap between periods, if ages, areas or ends of years differ,
        if one census has two figures, or if a roll-forward belongs to another base.
    PriorError
        If priors of the periods differ, or belong to none of them.

    Examples
    --------
    >>> import imps
    >>> model = imps.chain(["england-wales-2001-2011", "england-wales-2011-2021"])
    >>> model.names
    ('2001-2011', '2011-2021')
    """
    projects = [project_of(period) for period in periods]
    sources = [
        own.sources if own is not None else given.sources if isinstance(given, Case) else given
        for own, given in zip(projects, periods, strict=True)
    ]
    wrong = [type(own).__name__ for own in sources if not isinstance(own, Sources)]
    if wrong:
        raise TypeError(f"a period is a name, a path, a Case or Sources, not {some(wrong)}.")
    if priors is None:
        priors = priors_of(projects)
    return chain_model(sources, priors, linked=linked, revised=revised)  # type: ignore[arg-type]


def priors_of(projects: Sequence[ImportReport | None]) -> Priors:
    """The priors of several projects as one table, where none contradicts another.

    Raises
    ------
    PriorError
        If one does.
    """
    tables = {_period(own): own.priors for own in projects if own is not None}
    found, of = default_priors("bias_between_periods", as_of=_year(tables)), dict[str, str]()
    for name, table in tables.items():
        found = found if of else table
        for row in table.rows:
            before = of.setdefault(row.name, name)
            if row.name not in found:
                found = found.add(row)
            elif found[row.name] != row:
                one, other = (f"mean {r.mean:g}, sd {r.sd:g}" for r in (found[row.name], row))
                raise PriorError(
                    f"prior {row.name} has {one} in period {before} and {other} in period {name}: "
                    f"a chain has one table. Write the same under [priors.{row.name}] in both "
                    "settings, or give one table: imps.chain(..., priors)."
                )
    return found if BETWEEN_PERIODS.name in found else found.add(BETWEEN_PERIODS)


def _period(project: ImportReport) -> str:
    return f"{project.sources.first_year}-{project.sources.last_year}"


def _year(tables: Mapping[str, Priors]) -> int | None:
    """Year as of which all tables are, or a refusal that names two."""
    years = {table.as_of: name for name, table in tables.items()}
    if len(years) > 1:
        said = " and ".join(f"as_of {year} in period {name}" for year, name in years.items())
        raise PriorError(
            f"the priors are those of different years ({said}): a chain has one table. Write the "
            "same as_of under [priors] in all settings, or give one table: imps.chain(..., priors)."
        )
    return next(iter(years), None)
