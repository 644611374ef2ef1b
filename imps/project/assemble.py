"""From checked tables to the sources of one account.

The same road for files and for data frames: every table is read and checked by
:mod:`imps.reading.table`, the tables are checked against each other, and only
then joined. Nothing is filled, divided or converted unless it was declared, and
what was done stands in the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import xarray as xr

from imps.account.open_end import open_end
from imps.account.priors import Priors, default_priors
from imps.demography.periods import MID_YEARS
from imps.errors import ImpsError, PriorError
from imps.names import AGE, EMIGRATION, FLOW, FLOWS, IMMIGRATION, SEX, YEAR
from imps.project.ages_of_flows import with_ages_as_stocks_show
from imps.project.arithmetic import check_balance, filled
from imps.project.arrays import area_name
from imps.project.between import check_between, in_account_years
from imps.project.choice import ChosenStocks, choose_stocks
from imps.project.expectation import check_expected
from imps.project.flows import survey_flows, survey_table, without_included
from imps.project.parts import administrative_flows, total_of, with_known_sums
from imps.project.sections import Account, StreamSettings
from imps.project.stocks import (
    COMPUTED,
    check_all_used,
    check_stated_errors,
    registers,
    rolled_forward,
    starts_of_years,
    stock_of,
    unexplained,
)
from imps.project.streams import check_anchored, streams_of
from imps.project.vital import births_of, born_before, deaths_of, intervals
from imps.reading.findings import Collector, ImportLog
from imps.reading.table import Table, escape_formula, of_kinds
from imps.sources import (
    REGISTER,
    AdministrativeFlow,
    Era,
    KnownChange,
    KnownSum,
    RolledForward,
    Sources,
    SurveyFlow,
)
from imps.sources.stocks import to_mid_years


def sources_from_tables(
    *tables: Table,
    coverage: Mapping[str, Mapping[str, Any]] | None = None,
    streams: Mapping[str, Mapping[str, Any]] | None = None,
    priors: Priors | None = None,
    **account: Any,
) -> Sources:
    """Join checked tables into the sources of one account.

    Parameters
    ----------
    *tables : Table
        From :func:`imps.read_table`: population, births, deaths, survey_flows, and
        administrative_flows and stocks if there are any. A data frame is read with
        ``imps.read_table(frame, "births", period="mid-year")``.
    coverage : mapping of table name to prior, optional
        Persons that a stock counts for each resident:
        ``{"register.csv": {"distribution": "normal", "mean": 1.03, "sd": 0.02}}``.
    streams : mapping of table name to what its streams are, optional
        The keys of a section [[streams]] of a settings file:
        ``{"moves.csv": {"quality": "complete count", "level": {"sd": 0.02}}}``.
    priors : Priors, optional
        Those that the model is to have, with which stocks are compared; the package's own
        unless told.
    **account
        Fields of the section [account] of a settings file: geography,
        first_mid_year, last_mid_year, census_standard_error, census_vintage and so on.

    Returns
    -------
    Sources
        In persons, by single year of age; nothing given is changed.

    Raises
    ------
    InputError
        With all faults of all tables together.

    Warns
    -----
    InputWarning
        Once per kind of oddity that was accepted.
    """
    declared = Account(**account)
    moved = Collector()
    tables = tuple(in_account_years(tables, declared, moved))
    log = moved.log() + check_between(tables, declared)
    log.raise_faults()
    stated = {n: StreamSettings.model_validate(s) for n, s in (streams or {}).items()}

    def own(_: Sources) -> Priors:
        return priors or default_priors(*(k for k in declared.own_kinds if k.sd > 0))

    sources, found = inspect_sources(tables, declared, coverage or {}, stated, own)
    log += found
    log.raise_faults()
    log.warn()
    assert sources is not None  # without a fault there are sources
    return sources


def inspect_sources(
    tables: Sequence[Table],
    account: Account,
    coverage: Mapping[str, Mapping[str, Any]],
    streams: Mapping[str, StreamSettings] = MappingProxyType({}),
    priors: Callable[[Sources], Priors] | None = None,
) -> tuple[Sources | None, ImportLog]:
    """Join tables without raising: the sources, if there are any, and the log.

    The tables have passed :func:`imps.project.between.check_between`. With the priors of an
    account its stocks are compared with what these and the rest of it lead to expect.
    """
    log = Collector()
    try:
        _ = account.own_kinds  # refused before any table is joined
        sources = _sources(tables, account, coverage, streams, log)
        if sources is not None:
            check_balance(sources, log)
    except ImpsError as error:
        log.add("SOURCES_REFUSED", file="the account", reason=str(error).rstrip("."))
        sources = None
    if sources is None or log.failed:
        return None, log.log()
    if priors is not None:
        stocks = of_kinds(tables, "population", "population_totals")
        with suppress(PriorError):  # names of a model of the user's own
            check_expected(sources, priors(sources), log, stocks[0].name)
    return sources, log.log()


def _sources(
    tables: Sequence[Table],
    account: Account,
    coverage: Mapping[str, Mapping[str, Any]],
    stated: Mapping[str, StreamSettings],
    log: Collector,
) -> Sources | None:
    if account.census_quality != REGISTER and not account.census_standard_error:
        log.add("SE_MISSING.census", file="the account", column="census_standard_error")
    _check_names(tables, log)
    stocks = choose_stocks(tables, account, log)
    births = births_of(tables, account, log)
    streams, evidence = streams_of(tables, stated, account, log)
    survey = _Survey.of(tables, account, bool(of_kinds(tables, "streams")), log)
    if stocks is None or births is None or survey is None:
        return None
    check_all_used(tables, stocks, account, log)
    vintages = {"census": stocks.census.vintage, "base": stocks.base.vintage}
    check_anchored(tables, vintages, log)
    check_stated_errors(vintages, account, log)
    first, last = account.first_mid_year, account.last_mid_year
    deaths = deaths_of(tables, starts_of_years(stocks, first, last), account, log)
    parts, changes = administrative_flows(tables, survey.basis, account, log)
    extra = registers(tables, coverage, stocks.open_age, account, log)
    earlier = born_before(tables, account, log)
    survey = survey.beside(parts, tables, stocks.open_age + 1, account, log)
    if deaths is None or survey is None or log.failed:
        return None
    natural = births.count.sum(SEX) - deaths.count.sum((SEX, AGE))
    change = natural + sum((s.net for s in streams), 0.0 * natural) + _sum(changes, natural)
    if survey.total is not None:
        change = change + _net(survey.total, survey.basis, account)
    stocks = stocks.with_base_at_year_end(change, log)
    joined = Sources(
        area=area_name(account.geography, account) or account.name or "the area of the account",
        base=stock_of(stocks.base, "base", account),
        census=stock_of(stocks.census, "census", account),
        births=births,
        deaths=deaths,
        immigration=survey.flows.get(IMMIGRATION),
        emigration=survey.flows.get(EMIGRATION),
        administrative=survey.parts,
        known_sums=survey.known,
        total_migration=survey.total,
        rolled_forward=_rolled(stocks, account, change, log),
        extra=(*earlier, *extra, *evidence),
        known_changes=changes,
        streams=streams,
        year_ends=account.year_ends,
    )
    joined = open_end(joined) if joined.open_end else joined
    if survey.flows:
        joined = with_ages_as_stocks_show(joined, survey_table(tables), log)
    if not of_kinds(tables, "total_migration") and not account.components_differ:
        _ask_components(stocks, change, joined, log)
    return joined


@dataclass(frozen=True)
class _Survey:
    """The survey of migration with its administrative parts; empty where there is none."""

    flows: Mapping[str, SurveyFlow]
    total: xr.DataArray | None = None
    parts: tuple[AdministrativeFlow, ...] = ()
    known: tuple[KnownSum, ...] = ()

    @classmethod
    def of(
        cls, tables: Sequence[Table], account: Account, streams: bool, log: Collector
    ) -> _Survey | None:
        """Both directions as published; an account of streams needs none."""
        if streams and not of_kinds(tables, "survey_flows", "survey_totals"):
            return cls({})
        found = survey_flows(tables, account, log)
        return cls({flow.flow: flow for flow in found}) if found else None

    @property
    def basis(self) -> str:
        """Period of the flows."""
        return self.flows[IMMIGRATION].basis if self.flows else MID_YEARS

    def beside(
        self,
        parts: tuple[AdministrativeFlow, ...],
        tables: Sequence[Table],
        n_ages: int,
        account: Account,
        log: Collector,
    ) -> _Survey | None:
        """The survey without what stands beside it, with total migration and known sums."""
        eras = _eras(account, log)
        if not self.flows:
            return replace(self, parts=parts)
        table = survey_table(tables)
        rest = [without_included(s, parts, table, n_ages, log) for s in self.flows.values()]
        found = [s for s in rest if s is not None]
        if len(found) < len(rest) or log.failed:
            return None
        given, known, parts = with_known_sums(tables, found, parts, account, log)
        total = total_of(found, parts) if given is None else given
        flows = {s.flow: replace(s, eras=eras[s.flow]) for s in found}
        return None if log.failed else _Survey(flows, total, parts, known)


def _eras(account: Account, log: Collector) -> dict[str, tuple[Era, ...]]:
    """Years of other coverage by flow, as the account states them."""
    eras: dict[str, tuple[Era, ...]] = {
        flow: tuple(Era(e.first, e.last, e.reason) for e in account.eras if flow in e.flows)
        for flow in FLOWS
    }
    for text in filter(None, (part.strip() for part in account.survey_eras.split(";"))):
        found = re.fullmatch(rf"({'|'.join(FLOWS)}) (\d{{4}})-(\d{{4}})", text)
        if found is None:
            log.add("SETTING_RANGE.era", file="the account", column="survey_eras", texts=[text])
            continue
        flow, first, last = found[1], int(found[2]), int(found[3])
        eras[flow] = (*eras[flow], Era(first, last, "declared in the settings"))
    return eras


def _check_names(tables: Sequence[Table], log: Collector) -> None:
    """Names that come back in tables of results are not run by a spreadsheet."""
    for table in tables:
        names = {
            table.name,
            table.metadata.get("vintage", ""),
            table.metadata.get("definition", ""),
        }
        for column in ("source", "vintage"):
            if column in table.frame:
                names |= set(table.frame[column])
        unsafe = sorted(str(n) for n in names if escape_formula(str(n)) != str(n))
        if unsafe:
            log.add("LABEL_UNSAFE", file=table.name, texts=unsafe, total=len(unsafe))


def _rolled(
    stocks: ChosenStocks, account: Account, change: xr.DataArray, log: Collector
) -> RolledForward:
    """The official roll-forward, or what takes its place."""
    if not stocks.rolled:
        log.add("ROLLED_BY_RULE", file=stocks.base.table.name, total=change.size, rule=COMPUTED)
    rolled = rolled_forward(stocks, account, change)
    if stocks.rolled and len(rolled.by_rule) > sum(s.by_rule for s in stocks.rolled):
        log.add("ROLLED_BY_RULE.between", file=stocks.rolled[-1].table.name,
                total=len(rolled.by_rule), rule=rolled.rule)  # fmt: skip
    return rolled


def _ask_components(
    stocks: ChosenStocks, change: xr.DataArray, joined: Sources, log: Collector
) -> None:
    """What the components of a published roll-forward lack is asked about, year and size.

    People put into cells of the survey that were not observed may be what is lacking.
    """
    put_in = xr.DataArray(filled(joined), dims=YEAR, coords={YEAR: change[YEAR].values})
    apart = unexplained(stocks, change, put_in)
    years = [f"{last if first == last else f'{first} to {last}'}: {size:+,.0f}"
             for (first, last), size in apart.items()]  # fmt: skip
    if apart:
        table = stocks.rolled[-1].table
        log.add("COMPONENTS_DIFFER", file=table.name, column=table.value, total=len(apart),
                years=years)  # fmt: skip


def _net(totals: xr.DataArray, basis: str, account: Account) -> xr.DataArray:
    """Net migration of the tables at mid-years, (year), persons per year."""
    net = totals.sel({FLOW: IMMIGRATION}, drop=True) - totals.sel({FLOW: EMIGRATION}, drop=True)
    years = intervals(account)
    if basis == MID_YEARS:
        return net.sel({YEAR: list(years)})
    return to_mid_years(net.values, net[YEAR].values, years, (), {})


def _sum(changes: Sequence[KnownChange], like: xr.DataArray) -> xr.DataArray:
    total = xr.zeros_like(like)
    for change in changes:
        total = total + change.count.reindex({YEAR: like[YEAR]}, fill_value=0.0)
    return total
