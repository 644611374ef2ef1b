"""Checks across the sources of one account: dates, definitions, vintages, years, composition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from imps.demography.periods import CALENDAR_YEARS, MID_YEARS
from imps.errors import DefinitionError, LabelError, SourceError, some
from imps.names import EMIGRATION, IMMIGRATION, SEX, YEAR
from imps.sources.administrative import EXPECTED, AdministrativeFlow, KnownSum
from imps.sources.definitions import (
    LARGEST_BIRTH_RATE,
    LEAST_BIRTH_RATE,
    LONG_TERM,
    PERSONS,
    SURVEY,
    THOUSANDS,
    USUAL,
    VINTAGES_DIFFER,
    Counted,
    check_years,
    difference,
    explained,
)
from imps.sources.flows import SurveyFlow
from imps.sources.streams import Evidence, Stream

if TYPE_CHECKING:
    from imps.sources.sources import Sources

COMPOSITION_TOLERANCE = 1_000.0
"""Persons by which a published TIM may differ from its parts: figures rounded to 0.1 thousand."""


def check_dates(sources: Sources) -> None:
    if not sources.year_end.ends(sources.base.date):
        end = sources.year_end.each
        raise DefinitionError(
            f"source 'base': its date is {sources.base.date}, not "
            f"{'a mid-year (30 June)' if end == 'mid-year' else end}: "
            f"{difference('mid-year', 'census day')}. Move it to the mid-year first; the "
            "account starts there."
        )
    if sources.last_year <= sources.first_year:
        raise DefinitionError(
            f"census {sources.census.date} does not lie after the base {sources.base.date}."
        )


def everything(sources: Sources) -> tuple[Any, ...]:
    """Every source with a definition of what it counts."""
    s = sources
    own = tuple(x for x in s.extra if isinstance(getattr(x, "counted", None), Counted))
    flows = (*s.survey_flows.values(), *s.administrative, *s.known_sums, *s.streams)
    return (
        *(s.base, s.census, s.births, s.deaths),
        *flows,
        *(s.rolled_forward, *s.known_changes, *own),
    )


def check_counted(sources: Sources) -> None:
    """One area, persons, usual residents, and the same measure in both directions."""
    for source in everything(sources):
        name, what = getattr(source, "name", "sum of adjustments"), source.counted
        for value, wanted, noun in (
            (what.geography or sources.area, sources.area, "area"),
            (what.unit, PERSONS, "unit"),
            (what.residents, USUAL, "population"),
        ):
            if value != wanted:
                raise DefinitionError(
                    f"source '{name}': its {noun} is '{value}', that of the account "
                    f"'{wanted}'{explained(value, wanted)}. Figures of two definitions are "
                    "never combined: bring it to that of the account, or leave it out."
                )
    if sources.immigration is None or sources.emigration is None:
        return
    one, other = sources.immigration.counted.measure, sources.emigration.counted.measure
    if one != other:
        raise DefinitionError(
            f"immigration measures '{one or 'not stated'}' and emigration "
            f"'{other or 'not stated'}'{explained(one, other)}. Use one measure for both."
        )
    parts = [part.label for part in sources.administrative if part.status != EXPECTED]
    if one == LONG_TERM and parts:
        raise DefinitionError(
            f"the flows are long-term migration (LTIM), and {some(parts)} stand beside them"
            f"{explained(SURVEY, LONG_TERM)}. Take what the total holds off it first."
        )


def check_units(sources: Sources) -> None:
    """Thousands beside persons show in the births per person, whatever is stated."""
    arrays = (sources.base.count, sources.census.count, sources.births.count, sources.deaths.count,
              *(flow.estimate for flow in sources.survey_flows.values()),
              *(stream.count for stream in sources.streams))  # fmt: skip
    stated = {str(a.attrs["units"]) for a in arrays if "units" in a.attrs} - {PERSONS}
    if stated:
        raise DefinitionError(
            f"an array states '{some(sorted(stated))}' as its units, expected '{PERSONS}'"
            f"{explained(THOUSANDS, PERSONS)}. Convert it."
        )
    births = float(sources.births.count.sum(SEX).mean())
    for stock in (sources.base, sources.census):
        rate = births / stock.total if stock.total else np.inf
        if not LEAST_BIRTH_RATE < rate < LARGEST_BIRTH_RATE:
            raise DefinitionError(
                f"{births:,.0f} births a year beside {stock.total:,.0f} people in "
                f"'{stock.name}' ({rate:.2g} a person): one of them is in thousands"
                f"{explained(THOUSANDS, PERSONS)}. Convert it."
            )


def check_vintages(sources: Sources) -> None:
    vintages = {name: flow.vintage for name, flow in sources.survey_flows.items()}
    if len(set(vintages.values())) > 1:
        one, other = vintages.values()
        raise DefinitionError(
            f"immigration is of vintage '{one}', emigration of '{other}': {VINTAGES_DIFFER}. "
            "Use one vintage for both."
        )


def check_basis(sources: Sources) -> None:
    flows: tuple[SurveyFlow | AdministrativeFlow | KnownSum, ...] = (
        *sources.survey_flows.values(),
        *sources.administrative,
        *sources.known_sums,
    )
    other = [f"{s.flow}: {s.basis}" for s in flows if s.basis != sources.flow_basis]
    if other:
        raise DefinitionError(
            f"flows of one account must share one basis; immigration is by {sources.flow_basis}, "
            f"but {some(other)}{explained(CALENDAR_YEARS, MID_YEARS)}. Bring them to the same "
            "periods first."
        )


def check_flow_years(sources: Sources) -> None:
    ends = " to ".join(sources.year_end.said(sources.mid_years[i]) for i in (0, -1))
    needed = sources.years if sources.flow_basis == MID_YEARS else sources.mid_years
    series = {s.name: s.years for s in sources.survey_flows.values()}
    series |= {part.label: part.count[YEAR].values for part in sources.administrative}
    if sources.total_migration is not None:
        series["total_migration"] = sources.total_migration[YEAR].values
    for name, years in series.items():
        missing = [int(y) for y in needed if y not in years]
        if missing:
            raise LabelError(
                f"source '{name}': {sources.flow_basis}s {some(missing)} are missing; the account "
                f"from {ends} needs {needed[0]} to {needed[-1]}."
            )


def check_known_changes(sources: Sources) -> None:
    for change in sources.known_changes:
        outside = [int(y) for y in change.count[YEAR].values if y not in sources.years]
        if outside:
            raise LabelError(
                f"source '{change.name}': mid-years {some(outside)} lie outside the account, "
                f"which has {sources.years[0]} to {sources.years[-1]}."
            )


def check_parts(sources: Sources) -> None:
    labels = [part.label for part in sources.administrative]
    double = sorted({x for x in labels if labels.count(x) > 1})
    rows: list[object] = [
        *sources.survey_flows,
        "census",
        *(getattr(own, "name", None) for own in sources.extra),
    ]
    gap: list[object] = [*{p.name for p in sources.administrative}]
    gap += [change.name for change in sources.known_changes]
    gap += [name for s in sources.streams for name in (s.name, *(m.name for m in s.misclassified))]
    kinds: list[object] = [f"kind {kind.name}" for kind in sources.own_kinds]
    for names in (rows, gap, kinds):
        double += sorted({str(x) for x in names if names.count(x) > 1})
    if double:
        raise SourceError(f"source {some(double)} is given twice.")
    sums = {known.flow for known in sources.known_sums}
    lost = [p.label for p in sources.administrative if p.status == EXPECTED and p.flow not in sums]
    if lost:
        raise SourceError(
            f"{some(lost)} have status 'expected' but no published sum of their direction "
            "is given: add a KnownSum, or give published parts."
        )


def check_streams(sources: Sources) -> None:
    """Migration is measured, years and names agree, and no stock is counted twice."""
    flows = sources.survey_flows
    if len(flows) == 1 or (flows and sources.total_migration is None):
        raise SourceError(
            "a survey of migration needs immigration, emigration and total_migration: give all "
            "three. What measures one direction alone is a stream."
        )
    if not flows and not sources.streams:
        raise SourceError(
            "nothing measures migration: give a survey, or streams such as a register or border "
            "cards, also where they are zero."
        )
    if sources.administrative and not flows:
        raise SourceError(
            f"'{sources.administrative[0].name}' is a part of migration beside a survey, and the "
            "account has none. Give it as a stream."
        )
    for stream in sources.streams:
        check_years(stream.count, f"stream '{stream.name}'", sources.years)
    known = {name: name for name in flows} | {s.name: s.flow for s in sources.streams}
    for own in sources.evidence:
        lost = [name for name in own.of if name not in known]
        outside = [int(y) for y in own.count[YEAR].values if y not in sources.years]
        if lost or outside:
            what = f"stream {some(lost)} that is not there" if lost else f"years {some(outside)}"
            raise SourceError(
                f"evidence '{own.name}' counts {what}; the account has {some(known)}, years "
                f"{sources.years[0]} to {sources.years[-1]}. Correct it, or add the stream."
            )
        directions = {known[name] for name in own.of}
        if own.turnover and directions != {IMMIGRATION, EMIGRATION}:
            raise SourceError(
                f"evidence '{own.name}' is a turnover of {some(sorted(directions))}; it is one of "
                "arrivals and departures: name streams of both, or leave turnover out."
            )
    series: tuple[Stream | Evidence, ...] = (*sources.streams, *sources.evidence)
    check_anchors(series, {"census": sources.census.vintage, "base": sources.base.vintage})
    stated: dict[str, float] = {}
    for one in series:
        if one.shared and stated.setdefault(one.shared.name, one.shared.correlation) != (
            one.shared.correlation
        ):
            raise SourceError(
                f"shared error '{one.shared.name}' has correlation {one.shared.correlation:g} in "
                f"'{one.name}' and {stated[one.shared.name]:g} before: state one."
            )


def check_anchors(series: tuple[Stream | Evidence, ...], vintages: Mapping[str, str]) -> None:
    """Refuse a series that was fitted to a stock which is data too.

    Raises
    ------
    DefinitionError
        The stock would be counted twice.
    """
    for one in series:
        if isinstance(one, Evidence) and one.turnover:
            continue  # what was balanced is the difference of arrivals and departures
        for role, vintage in vintages.items():
            if one.anchored_to and one.anchored_to.casefold() == vintage.casefold():
                raise DefinitionError(
                    f"source '{one.name}' is anchored to '{vintage}', which is the {role} of the "
                    "account: a series fitted to a stock is no independent evidence on it. Use the "
                    "series before that adjustment, its arrivals plus departures (Evidence with "
                    "turnover=True), or leave it out."
                )


def check_composition(sources: Sources) -> None:
    if not sources.survey_flows:
        return
    table = sources.composition()
    off = table[table["difference"].abs() > COMPOSITION_TOLERANCE]
    if len(off):
        worst = off.loc[off["difference"].abs().idxmax()]
        raise DefinitionError(
            f"total migration is not survey + Irish + asylum + visitor switchers - migrant "
            f"switchers in {len(off)} of {len(table)} cells; worst {worst['flow']} "
            f"{worst['year']}: published {worst['published']:,.0f}, parts {worst['sum']:,.0f}. "
            "Are survey (IPS) and total (TIM, LTIM) of the same vintage, and do the parts "
            "stand in the survey already?"
        )


ACROSS = (
    check_dates,
    check_counted,
    check_units,
    check_basis,
    check_vintages,
    check_flow_years,
    check_known_changes,
    check_streams,
    check_parts,
    check_composition,
)
"""Every check of :class:`imps.sources.Sources` when it is built, in this order."""
