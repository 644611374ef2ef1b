"""From the passenger survey to total international migration (TIM, later LTIM), and back.

The survey asks passengers what they intend. TIM is the survey's long-term flow, plus
visitors who stay a year after all, less migrants who do not, plus asylum seekers and
resettled people whom the survey misses, plus flows with the Irish Republic, which the
survey did not cover before 2008. The two series of one year are different things, and so are
long-term migration, short-term migration and settlement: adding across them is refused here.

References
----------
ONS, Long-term international migration: quality and methodology information.
ONS, Long-term international migration: frequently asked questions and background notes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import pandas as pd

from imps.errors import DefinitionError, MissingCellError, SourceError, some
from imps.names import FLOW, FLOWS, YEAR
from imps.survey.stage_weights import require_columns

IRELAND_IN_SURVEY_FROM = 2008
"""Flows with the Irish Republic are in the IPS from this year (ONS, margins of error, notes)."""

KEYS = [YEAR, FLOW]


class Definition(Enum):
    """Kinds of cross-border counts that must not be mixed; the value says what each is."""

    LONG_TERM = "a change of usual residence for 12 months or more"
    SHORT_TERM = "a stay of at least 3 and under 12 months without a change of usual residence"
    SETTLEMENT = (
        "permission to remain indefinitely, granted to people who arrived years before: not a "
        "flow across the border"
    )
    VISIT = "a journey for under 12 months, most of them holidays and business of a few days"


class Basis(Enum):
    """What a migration series is made of."""

    IPS = "passenger survey alone"
    TIM = "passenger survey with switchers, asylum and Irish flows (TIM, LTIM)"


class ComponentKind(Enum):
    """Parts that turn a survey flow into a total flow."""

    VISITOR_SWITCHERS = "visitor switchers"
    MIGRANT_SWITCHERS = "migrant switchers"
    ASYLUM = "asylum seekers and dependants"
    IRISH = "flows with the Irish Republic"
    RESETTLEMENT = "resettlement"
    ARMED_FORCES = "armed forces"

    @property
    def sign(self) -> int:
        """-1 for migrant switchers, who are taken off; +1 for all others."""
        return -1 if self is ComponentKind.MIGRANT_SWITCHERS else 1


NEEDED = (
    ComponentKind.VISITOR_SWITCHERS,
    ComponentKind.MIGRANT_SWITCHERS,
    ComponentKind.ASYLUM,
    ComponentKind.IRISH,
)
"""Parts of every TIM series; resettlement and armed forces are optional."""


@dataclass(frozen=True)
class FlowSeries:
    """A migration series that knows what it is.

    Attributes
    ----------
    table : DataFrame
        `year`, `flow` ('immigration', 'emigration'), `estimate` and `standard_error`
        (persons per year, both 0 or more).
    basis : Basis
    reference : str
        Publication and vintage.
    definition : Definition
    holds : frozenset of ComponentKind
        Parts inside beyond the survey; filled in for a TIM series.
    """

    table: pd.DataFrame
    basis: Basis
    reference: str
    definition: Definition = Definition.LONG_TERM
    holds: frozenset[ComponentKind] = field(default=frozenset())

    def __post_init__(self) -> None:
        _check_table(self.table, f"series '{self.reference}'")
        if self.basis is Basis.TIM and not self.holds:
            object.__setattr__(self, "holds", frozenset(NEEDED))


@dataclass(frozen=True)
class Component:
    """One part between survey and total flow.

    Attributes
    ----------
    kind : ComponentKind
    table : DataFrame
        `year`, `flow`, `estimate` and `standard_error`, persons per year. Always 0 or more: the
        sign is the kind's.
    assumption : str
        What has to be believed for the number to hold.
    reference : str
    definition : Definition
    common_error : bool
        True where one uncertain share drives all years, so that the errors add up over
        years instead of averaging out.
    """

    kind: ComponentKind
    table: pd.DataFrame
    assumption: str
    reference: str
    definition: Definition = Definition.LONG_TERM
    common_error: bool = False

    def __post_init__(self) -> None:
        _check_table(self.table, self.kind.value)


def require_same_definition(*parts: FlowSeries | Component) -> None:
    """Refuse to combine counts of different definitions, and say what each counts."""
    definitions = list(dict.fromkeys(part.definition for part in parts))
    if len(definitions) > 1:
        meanings = "; ".join(f"{d.name.lower()}: {d.value}" for d in definitions)
        raise DefinitionError(
            f"{len(definitions)} definitions are mixed ({meanings}). They count different people "
            "or events and cannot be added. Bring all to one definition first."
        )


def compose_tim(
    survey: FlowSeries,
    components: Sequence[Component],
    *,
    left_out: Collection[ComponentKind] = (),
) -> FlowSeries:
    """Total flow from the survey flow and its components.

    Parameters
    ----------
    survey : FlowSeries, basis IPS
    components : sequence of Component
        Each kind once. Irish flows for years before 2008 only.
    left_out : ComponentKinds
        Needed kinds that are knowingly not included.

    Returns
    -------
    FlowSeries, basis TIM
        Standard error: root of the sum of squares, the parts taken as independent.

    Notes
    -----
    TIM = IPS + visitor switchers - migrant switchers + asylum + Irish + resettlement (+ armed
    forces), for each flow.

    Raises
    ------
    DefinitionError
        If the series holds a component already, or definitions differ.
    MissingCellError
        If a needed component, or a year of one, is missing.
    """
    _refuse_second_time(survey, components)
    table, names = _with_parts(survey.table, components, left_out, sign=1)
    reference = f"{survey.reference} with {names}"
    return FlowSeries(
        table, Basis.TIM, reference, survey.definition, frozenset(c.kind for c in components)
    )


def survey_within_tim(
    total: FlowSeries,
    components: Sequence[Component],
    *,
    left_out: Collection[ComponentKind] = (),
) -> FlowSeries:
    """Survey flow implied by a total flow and its components: `compose_tim` backwards.

    The standard error is that of the difference with independent parts, so it is larger
    than the survey's own.
    """
    if total.basis is not Basis.TIM:
        raise DefinitionError(
            f"series '{total.reference}' is of basis {total.basis.name} ({total.basis.value}); "
            "only a TIM series holds components that can be taken off."
        )
    absent = [c.kind.value for c in components if c.kind not in total.holds]
    if absent:
        raise DefinitionError(
            f"series '{total.reference}' does not hold {some(absent)}, so it cannot be taken off."
        )
    require_same_definition(total, *components)
    table, names = _with_parts(total.table, components, left_out, sign=-1)
    return FlowSeries(table, Basis.IPS, f"{total.reference} without {names}", total.definition)


def decompose_tim(
    total: FlowSeries, survey: FlowSeries, components: Sequence[Component]
) -> pd.DataFrame:
    """A published total flow as survey, known components, and what remains.

    Where there are no interview records this is how the switchers are estimated: they
    are what the published adjustment leaves once asylum and Irish flows are known.

    Parameters
    ----------
    total, survey : FlowSeries
        Of the same flow and years, persons.
    components : sequence of Component
        Known parts of the difference, each with its sign.

    Returns
    -------
    DataFrame
        `year`, `flow`, `total`, `survey`, one signed column per component, `remainder` and
        `remainder_error` (persons; visitor switchers less migrant switchers, together with any
        other unlisted part and rounding). The survey's sampling error is not in
        `remainder_error`, because the published total contains the same survey estimate.

    Raises
    ------
    DefinitionError, MissingCellError
        If the two are no total and its survey, or a year of one is not in the other.
    """
    if (total.basis, survey.basis) != (Basis.TIM, Basis.IPS):
        raise DefinitionError(
            f"decompose: expected a TIM and an IPS series, got {total.basis.name} "
            f"('{total.reference}') and {survey.basis.name} ('{survey.reference}')."
        )
    require_same_definition(total, survey, *components)
    parts = _signed_parts(survey.table, components, left_out=tuple(ComponentKind))
    names = [c.kind.value for c in components]
    known = parts.rename(columns={"estimate": "survey"}).drop(columns="standard_error")
    both = known.merge(total.table.rename(columns={"estimate": "total"}), on=KEYS, how="left")
    if both["total"].isna().any():
        gone = both.loc[both["total"].isna(), KEYS].itertuples(index=False, name=None)
        raise MissingCellError(f"series '{total.reference}' has no {some(gone)}.")
    both["remainder"] = both["total"] - both["survey"] - both[names].sum(axis=1)
    both["remainder_error"] = _joint_error(both, names)
    return both[[*KEYS, "total", "survey", *names, "remainder", "remainder_error"]]


def _with_parts(
    base: pd.DataFrame,
    components: Sequence[Component],
    left_out: Collection[ComponentKind],
    *,
    sign: int,
) -> tuple[pd.DataFrame, str]:
    """The base with its components added, or taken off, and their names in words."""
    table = _signed_parts(base, components, left_out)
    names = [c.kind.value for c in components]
    estimate = table["estimate"] + sign * table[names].sum(axis=1)
    error = _joint_error(table, names)
    return table[KEYS].assign(estimate=estimate, standard_error=error), ", ".join(names)


def _joint_error(table: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Root of the sum of squares: base and parts taken as independent."""
    errors = table[["standard_error", *(f"{name} error" for name in names)]]
    return np.sqrt((errors**2).sum(axis=1))


def _refuse_second_time(survey: FlowSeries, components: Sequence[Component]) -> None:
    """Refuse to add what a series already holds."""
    twice = [c.kind.value for c in components if c.kind in survey.holds]
    if twice or survey.basis is not Basis.IPS:
        held = sorted(kind.value for kind in survey.holds)
        raise DefinitionError(
            f"series '{survey.reference}' is of basis {survey.basis.name} ({survey.basis.value}) "
            f"and already holds {some(held) or 'nothing listed'}; adding "
            f"{some(c.kind.value for c in components)} would count people twice. Start from the "
            "IPS series of the same years."
        )
    require_same_definition(survey, *components)


def _signed_parts(
    base: pd.DataFrame, components: Sequence[Component], left_out: Collection[ComponentKind]
) -> pd.DataFrame:
    """The base table with a signed column and an error column per component."""
    kinds = [c.kind for c in components]
    if len(set(kinds)) < len(kinds):
        raise DefinitionError("a component is given twice; add its tables first.")
    years = base["year"]
    needed = [k for k in NEEDED if k is not ComponentKind.IRISH or years.min() < 2008]
    absent = [k.value for k in needed if k not in kinds and k not in left_out]
    if absent:
        raise MissingCellError(
            f"components {some(absent)} are missing for {years.min()} to {years.max()}. Supply "
            "them, or name them in `left_out`."
        )
    table = base[[*KEYS, "estimate", "standard_error"]].reset_index(drop=True)
    for component in components:
        table = _join(table, component)
    return table


def _join(table: pd.DataFrame, component: Component) -> pd.DataFrame:
    name, sign = component.kind.value, component.kind.sign
    part = component.table[[*KEYS, "estimate", "standard_error"]]
    found = table[KEYS].merge(part, on=KEYS, how="left")
    if component.kind is ComponentKind.IRISH:
        if (component.table["year"] >= IRELAND_IN_SURVEY_FROM).any():
            raise DefinitionError(
                f"Irish flows from {IRELAND_IN_SURVEY_FROM} on are inside the survey; drop them."
            )
        inside = found["year"] >= IRELAND_IN_SURVEY_FROM
        found.loc[inside, ["estimate", "standard_error"]] = 0.0
    gone = found.loc[found["estimate"].isna(), KEYS]
    if len(gone):
        raise MissingCellError(
            f"{name}: no value for {some(gone.itertuples(index=False, name=None))}. A missing "
            "year is not a zero: supply it, or drop the year from the survey series."
        )
    return table.assign(
        **{name: sign * found["estimate"], f"{name} error": found["standard_error"]}
    )


def _check_table(table: pd.DataFrame, what: str) -> None:
    require_columns(table, [*KEYS, "estimate", "standard_error"], what)
    unknown = sorted(set(table["flow"]) - set(FLOWS))
    if unknown:
        raise DefinitionError(f"{what}: flow {some(unknown)}; allowed are {some(FLOWS)}.")
    values = table[["estimate", "standard_error"]]
    if values.isna().any().any() or (values < 0).any().any():
        raise SourceError(
            f"{what}: {int((values.isna() | (values < 0)).any(axis=1).sum())} rows have a missing "
            "or negative estimate or standard error. Flows are 0 or more; leave missing years out."
        )
    if table.duplicated(KEYS).any():
        raise SourceError(f"{what}: a year and flow appears twice; keep one vintage.")
