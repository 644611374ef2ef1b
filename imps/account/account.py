"""The account in terms of what is not known: true flows, biases, errors of stocks.

Every unknown enters relative to a published figure and linearly, so that the
whole account is conditionally Gaussian: given the scales of the smooth parts
everything is jointly normal. Arrays run over (sex, age reached, interval).

The equations, with t the intervals from base to census and L the Lexis map:

    base      = published base - P0 (level + children + young + old + smooth over age
                                     + stated error + ages misstated + cells
                                     + layout within published cells)
    x_k       = m_k (1 + level + era_t + years_t + age + age x years_t + children
                     + children unseen + layout within groups + cells_t) + schedule error
    p_k       = m_k (level + sex + young + era_t + drift_t - children unseen)      survey bias,
                the levels of the two directions correlated if asked
    true part = published part (1 - e_j)                  asylum, Irish, switchers
    true change = known change - m (e_j + drift_t)        cross-border, armed forces, if asked
    true stream = published stream (1 - level - sex - children - young - drift_t - wrong class)
                  - sampling - layout within published cells
    N_T       = L(base) + L(births - deaths) + L(x_imm - x_em) + sum_j L(part_j) + residual
                - deaths put to the wrong cohort

with m_k the pooled published flow by age and sex, constant over time. Where the
roll-forward was published by sex and age in between, the net of its flows is known in
every cell, and so is what m_immigration - m_emigration must be on average. Children
unseen stand in both the true flow and, with the opposite sign, the bias.

True flow and bias must share one reference m_k. A bias proportional to the
published flow of each year, beside a true flow centred on a constant, is read off
the rise and fall of the published series: a growing flow looks like a positive
bias. `benchmarks/bench_accuracy.py` measures both (rows "one reference" and "yearly
reference" of `benchmarks/results/accuracy.csv`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imps.account.flows import Flow, erring_together, survey_flow
from imps.account.latents import Affine, Latents, Resolution, zero
from imps.account.parts import (
    Carried,
    carried_changes,
    carried_parts,
    known_changes,
    layout_of_carried,
    published_parts,
    shared_block,
)
from imps.account.priors import FAMILIES, Prior, Priors, completed
from imps.account.stocks import (
    COUNTED_TWICE,
    base_cells,
    base_layout,
    deaths_layout,
    deaths_misplaced,
    missed_twice,
    registered_births,
    registered_deaths,
    registration_error,
    residual,
    single_ages,
    stock_error,
    stock_sampling,
)
from imps.account.variant import Form
from imps.demography.accounting import along_cohorts, carry
from imps.errors import PriorError, some
from imps.names import EMIGRATION, FLOW_SIGN, IMMIGRATION
from imps.sources import Evidence, Sources, Stream


@dataclass(frozen=True, repr=False)
class Account:
    """The demographic account with its unknowns.

    Attributes
    ----------
    sources : Sources
    priors : Priors
    latents : Latents
    base_error : Affine (sex, age), persons
        Published minus true base.
    births_error, deaths_error : Affine (sex, age, interval), persons per year
        True minus registered.
    flows : mapping of Flow by direction
    carried : tuple of Carried
        Parts of migration, streams and known changes, each with its errors.
    layout : ndarray (sex, age, interval), persons per year
        What the official roll-forward carried in each cell beyond the flows and changes as
        they are laid out here; it sums to zero in every interval.
    residual : Affine (sex, age), persons at the last mid-year
    census_undercount : Affine (sex, age), persons
    deaths_misplaced : Affine (sex, age), persons at the last mid-year
        True minus registered deaths of cohorts that were divided wrongly between neighbours.
    census_sampling : Affine (sex, age), persons
        Random error of the census beside that of single cells.
    resolution : Resolution
    form : Form
    """

    sources: Sources
    priors: Priors
    latents: Latents
    base_error: Affine
    births_error: Affine
    deaths_error: Affine
    flows: Mapping[str, Flow]
    carried: tuple[Carried, ...]
    layout: np.ndarray
    residual: Affine
    census_undercount: Affine
    deaths_misplaced: Affine
    census_sampling: Affine
    resolution: Resolution
    form: Form

    def __repr__(self) -> str:
        return (
            f"Account of {self.sources.area}, {self.sources.period}: "
            f"{len(self.latents.scales)} blocks of latent variables"
        )

    @property
    def base(self) -> Affine:
        """True population at the base date, (sex, age), persons."""
        return self.sources.base.count.values - self.base_error

    @property
    def natural(self) -> Affine:
        """True births at age 0 minus true deaths, (sex, age, interval)."""
        births, deaths = registered_births(self.sources), registered_deaths(self.sources)
        return (births - deaths) + self.births_error - self.deaths_error

    @property
    def net_migration(self) -> Affine:
        """True net migration of all kinds, (sex, age, interval), persons per year."""
        net = zero(self.natural.shape)
        for name, flow in self.flows.items():
            net = net + FLOW_SIGN[name] * flow.true[:, :, flow.inner]
        for name, published in self.parts.items():
            net = net + (published - self._error_of(name))
        return net

    @property
    def other_changes(self) -> Affine:
        """True changes that are no migration of the series, (sex, age, interval), persons."""
        changes = Affine(known_changes(self.sources), {})
        for part in self.carried:
            changes = changes if part.migration else changes - part.error
        return changes

    def _error_of(self, name: str) -> Affine:
        """Published minus true of all directions of a part of migration."""
        found = [part.error for part in self.carried if part.name == name]
        return sum(found[1:], found[0])

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """Published net flow of the parts of migration beside the survey, by name."""
        return published_parts(self.carried)

    @property
    def errors_of_carried(self) -> dict[str, Affine]:
        """Published minus true of what is carried beside the survey, by source of the gap."""
        out: dict[str, Affine] = {}
        for part in self.carried:
            for name, error in part.errors.items():
                out[name] = out[name] + error if name in out else error
        return out

    def flow_of(self, name: str) -> str:
        """Direction of a stream or of the survey: immigration, emigration or net."""
        return name if name in self.flows else self._stream(name).flow

    def _stream(self, name: str) -> Stream:
        return next(stream for stream in self.sources.streams if stream.name == name)

    def true_flow(self, name: str) -> Affine:
        """True flow of a stream or of a direction of the survey, (sex, age, interval), unsigned."""
        if name in self.flows:
            flow = self.flows[name]
            return flow.true[:, :, flow.inner]
        part = next(part for part in self.carried if part.name == name)
        return self._stream(name).sign * part.true

    def population(self, year: int) -> Affine:
        """True population at a mid-year, (sex, age), persons; the residual enters at the end.

        So do deaths put to the wrong cohort.
        """
        elapsed = year - self.sources.first_year
        stock = self.base.map(lambda x: carry(x, elapsed))
        if elapsed == 0:
            return stock
        change = self.natural + self.net_migration + self.other_changes
        stock = stock + change.map(lambda x: along_cohorts(x[:, :, :elapsed]))
        if year != self.sources.last_year:
            return stock
        return stock + self.residual - self.deaths_misplaced


def build_account(
    sources: Sources,
    priors: Priors,
    resolution: Resolution | None = None,
    form: Form | None = None,
) -> Account:
    """Write down the account of the sources with all its unknowns.

    `form` says which parts are not linear; all are linear unless told.

    Raises
    ------
    PriorError
        If a source has no prior, or one that it cannot have.
    """
    priors = completed(priors, sources)
    latents = Latents(priors)
    fine = resolution or Resolution.for_sources(sources)
    form = form or Form()
    parts = carried_parts(latents, sources, form)
    layout = layout_of_carried(sources, published_parts(parts))
    flows = {
        name: survey_flow(latents, survey, sources, fine, form, layout)
        for name, survey in sources.survey_flows.items()
    }
    flows = erring_together(latents, flows)
    base_error = stock_error(latents, "base", sources.base.count.values, fine)
    base_error = base_error + single_ages(latents, sources.base, "base")
    base_error = base_error + stock_sampling(latents, sources.base, "base", "base")
    base_error = base_error + base_cells(latents, sources.base) + base_layout(latents, sources)
    undercount = stock_error(latents, "census", sources.census.count.values, fine)
    undercount = undercount + single_ages(latents, sources.census, "census")
    return Account(
        sources=sources,
        priors=priors,
        latents=latents,
        base_error=base_error,
        births_error=registration_error(latents, "births", registered_births(sources)),
        deaths_error=registration_error(latents, "deaths", registered_deaths(sources))
        + deaths_layout(latents, sources),
        flows=flows,
        carried=(*parts, *carried_changes(latents, sources)),
        layout=layout,
        residual=residual(latents, sources, fine),
        census_undercount=missed_twice(latents, undercount),
        deaths_misplaced=deaths_misplaced(latents, sources),
        census_sampling=stock_sampling(latents, sources.census, "census", "census_sampling"),
        resolution=fine,
        form=form,
    )


def tied_blocks(account: Account) -> frozenset[str]:
    """Blocks of two errors that are correlated: changing one prior changes both errors."""
    tied: set[str] = set()
    if account.census_undercount.effects.keys() & account.base_error.effects.keys():
        tied |= {f"{stock}_{part}" for stock in ("base", "census") for part in COUNTED_TWICE}
    emigration = account.flows[EMIGRATION].bias if EMIGRATION in account.flows else None
    known = [] if emigration is None else [n.rpartition(": ")[2] for n in emigration.effects]
    if f"{IMMIGRATION}_bias_level" in known:  # in a chain the period stands before the name
        tied |= {f"{flow}_bias_level" for flow in (IMMIGRATION, EMIGRATION)}
    both: tuple[Stream | Evidence, ...] = (*account.sources.streams, *account.sources.evidence)
    for series in both:
        if series.shared is not None:
            tied |= {shared_block(series.shared.name), f"{series.name}_level"}
    return frozenset(tied)


def check_priors_used(account: Account) -> None:
    """Refuse priors that belong to no source of the account.

    Raises
    ------
    PriorError
        Naming them: a prior that changes nothing would be a silent mistake.
    """
    priors = account.priors
    defaults = priors.defaults
    unused = [
        name
        for name in account.latents.unused()
        if name not in defaults
        or not (
            _same(priors[name], defaults[name]) or _widened_with_its_family(priors, defaults, name)
        )
    ]
    if unused:
        raise PriorError(
            f"prior {some(unused)} belongs to no source of this account. Remove it, or add "
            "the source it is for."
        )


def _same(row: Prior, other: Prior) -> bool:
    return (row.kind, row.mean, row.sd) == (other.kind, other.mean, other.sd)


def _widened_with_its_family(priors: Priors, defaults: Priors, name: str) -> bool:
    """Whether the step of an era was widened as another row of the same bias was.

    ``priors.widen("immigration_bias", 2)`` means all of that bias, in a survey that
    has eras and in one that has none.
    """
    family = {n for rows in FAMILIES.values() if name in rows for n in rows} - {name}
    if not family or priors[name].mean != defaults[name].mean:
        return False
    factor = priors[name].sd / defaults[name].sd
    return any(np.isclose(priors[n].sd, factor * defaults[n].sd) for n in family if n in priors)
