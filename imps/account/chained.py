"""A chain of censuses: the accounts of several periods as one, joined at their censuses.

Each period d is written down as an account of its own, and then its latent variables z_d become
those of the chain, z, by linear substitution:

    base error of d > 1    =  published base_d - N_(d-1)        what the period before ended with
    biases                 =  sqrt(r) z_common + sqrt(1 - r) z_d          correlation r of two
    undercount behind base =  that of the census at the end of d - 1, where the two are correlated
    everything else        =  z_d,          scales with one name are one scale

so that a census is one observation with one error at both its uses, what one decade teaches of
scales and biases the next one knows, and every quantity stays linear. The contributions of each
period sum to its gap in every draw as before.

Births before a base say how much migration their cohorts have had. Of cohorts of which an earlier
period says it, behind its own base or as born since, a later period does not say it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from imps.account.account import Account, build_account, check_priors_used
from imps.account.flows import Flow
from imps.account.gap import Contribution, contributions
from imps.account.latents import Affine, Block, Latents
from imps.account.linear import LinearModel, assembled, check_closure
from imps.account.observations import Observation, observations
from imps.account.parts import Carried, shared_block
from imps.account.prior_rows import BETWEEN_PERIODS
from imps.account.priors import Priors, completed
from imps.account.stocks import COUNTED_TWICE
from imps.errors import PriorError, some
from imps.names import AGE, FLOWS, SEX
from imps.sources import BornBefore, Sources
from imps.sources.chains import check_chain

BASE = "base error"
"""Block that stands for the error of a base before it is what the period before ended with."""
BASE_SOURCE, CENSUS = "base", "census"
PERSISTENT = ("level", "sex", "young", "children")
"""Parts of a bias that persist over periods, beside those of parts of migration."""


@dataclass(frozen=True)
class ChainModel(LinearModel):
    """The accounts of several periods as matrices over one set of latent variables.

    As a :class:`LinearModel` it has the rows of all periods and, as its account, that of the
    last; :meth:`period` gives the same model seen from any period.

    Attributes
    ----------
    names : tuple of str
        Of the periods, such as "2001-2011", in order.
    accounts : tuple of Account
        In the latent variables of the chain.
    shares : tuple of tuple of Contribution
        Sources of the gap of each period.
    linked : bool
        Whether a later base is what the period before ended with.
    revised : tuple of str
        Periods whose base is a revised figure of the census before it.
    """

    names: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = ()
    shares: tuple[tuple[Contribution, ...], ...] = field(default=(), repr=False)
    linked: bool = True
    revised: tuple[str, ...] = ()

    @property
    def period_in_words(self) -> str:
        """From the first base to the last census."""
        first, last = self.accounts[0].sources, self.accounts[-1].sources
        end = last.period.split(" to ", 1)[1]
        return f"{first.said(first.first_year)} to {end}"

    def period(self, name: str) -> LinearModel:
        """The model of the whole chain with the account and the sources of one period.

        Its rows, blocks and names of sources are those of the chain; the rows and blocks of
        this period bear the names that they have in an account of its own.

        Raises
        ------
        PriorError
            If there is no such period.
        """
        if name not in self.names:
            raise PriorError(f"no period is called '{name}'. Known: {', '.join(self.names)}.")
        i = self.names.index(name)
        plain = {part.name: getattr(self, part.name) for part in fields(LinearModel)}
        own = f"{name}: "
        plain |= {
            "account": self.accounts[i],
            "contributions": self.shares[i],
            "row_labels": tuple(label.removeprefix(own) for label in self.row_labels),
            "row_sources": tuple(source.removeprefix(own) for source in self.row_sources),
        }
        return LinearModel(**plain)

    def with_priors(self, priors: Priors) -> ChainModel:
        """The chain of the same periods and links under another table of priors."""
        sources = [account.sources for account in self.accounts]
        return chain_model(sources, priors, linked=self.linked, revised=self.revised)

    @cached_property
    def reported(self) -> dict[str, Affine]:
        """Scalar quantities of every period, each with the period before its name."""
        return {
            f"{name}: {key}": value
            for name in self.names
            for key, value in self.period(name).reported.items()
        }


def chain_model(
    sources: Sequence[Sources],
    priors: Priors,
    *,
    linked: bool = True,
    revised: Iterable[str] = (),
    stored: bool = False,
) -> ChainModel:
    """Write down the accounts of periods that follow each other as one.

    Parameters
    ----------
    sources : sequence of Sources
        In order of time; the last may have an open end.
    priors : Priors
        Of all periods; a row of a source that only some of them have is taken there.
    linked : bool
        If false every base has an error of its own again and no bias is correlated with that
        of another period: the accounts apart, but for scales that have one name.
    revised : iterable of str
        Periods whose base is another figure than the census before it because it was revised.
    stored : bool
        Whether the priors are those of a saved fit, see :func:`imps.account.linear.linear_model`.

    Raises
    ------
    SourceError, DefinitionError
        If the periods do not follow each other, see :func:`imps.sources.chains.check_chain`.
    PriorError
        If periods have different rows of one name, or a prior belongs to no period.
    """
    revised = tuple(revised)
    names = check_chain(sources, revised)
    table = _joint(priors, sources, names)
    written = [_written(own, table, sources[:i] if linked else ()) for i, own in enumerate(sources)]
    correlation = _correlation(table) if linked and len(sources) > 1 else 0.0
    common = _common([account for account, _, _ in written], correlation)
    latents, previous = Latents(table), dict[str, Affine]()
    accounts: list[Account] = []
    shares, rows = [], []
    for name, (account, found, parts) in zip(names, written, strict=True):
        own = _Substitution(name, common, correlation)
        if accounts and linked:
            own.known |= _base_known(account, accounts[-1]) | previous
        own.register(latents, account.latents)
        previous = _missed_before(own, account)
        accounts.append(own.of(account))
        rows += [own.of_rows(row) for row in found]
        shares.append(
            tuple(replace(part, value=own(part.value), prior=own(part.prior)) for part in parts)
        )
    latents.used.add(BETWEEN_PERIODS.name)
    accounts = [
        replace(account, latents=_seen_from(latents, name), priors=table)
        for name, account in zip(names, accounts, strict=True)
    ]
    if not stored:
        check_priors_used(accounts[-1])
    together = assembled(accounts[-1], tuple(rows), shares[-1])
    blocks = np.repeat(list(together.sizes), list(together.sizes.values()))
    together = replace(
        together,
        combine=_less_what_was_carried([found for _, found, _ in written]),
        shared=np.isin(blocks, list(common)),
    )
    chain = ChainModel(
        **{part.name: getattr(together, part.name) for part in fields(LinearModel)},
        names=names,
        accounts=tuple(accounts),
        shares=tuple(shares),
        linked=linked,
        revised=revised,
    )
    for name in names:
        check_closure(chain.period(name))
    return chain


def _joint(priors: Priors, sources: Sequence[Sources], names: Sequence[str]) -> Priors:
    """One table for all periods: their streams bring rows, which must agree."""
    table, of = priors, dict.fromkeys(priors, "the table given")
    for name, own in zip(names, sources, strict=True):
        found = completed(priors, own)
        apart = [r.name for r in found.rows if r.name in of and table[r.name] != r]
        if apart:
            raise PriorError(
                f"prior {some(apart)} differs between {of[apart[0]]} and period {name}: one name "
                "is one prior in a chain. Give the streams of the two periods different names, or "
                "the same errors."
            )
        new = [row for row in found.rows if row.name not in of]
        of |= dict.fromkeys((row.name for row in new), f"period {name}")
        table = table.add(*new)
    return table if BETWEEN_PERIODS.name in table else table.add(BETWEEN_PERIODS)


def _written(
    sources: Sources, priors: Priors, before: Sequence[Sources]
) -> tuple[Account, list[Observation], tuple[Contribution, ...]]:
    """A period by itself; the base error of a later one is a block that stands for it.

    `before` are the periods that it is linked to; none if it is not.
    """
    account = build_account(sources, priors)
    if before:
        count = sources.base.count
        stands = np.eye(count.size).reshape(*count.shape, count.size)
        account = replace(account, base_error=Affine(np.zeros(count.shape), {BASE: stands}))
    rows = list(observations(account))
    if before:
        born = {own.name: own for own in sources.extra if isinstance(own, BornBefore)}
        kept = {name: _not_said_of(own, sources, before) for name, own in born.items()}
        rows = [_kept(row, kept[row.source]) if row.source in kept else row for row in rows]
        seen = {n for row in rows for n, effect in row.mean.effects.items() if effect.any()}
        for name, block in list(account.latents.blocks.items()):
            if block.source == BASE_SOURCE or (block.source in born and name not in seen):
                del account.latents.blocks[name]
    return account, rows, contributions(account)


def _less_what_was_carried(periods: Sequence[Sequence[Observation]]) -> np.ndarray:
    """Rows less what the census before carries into them, as sums of all rows (row, row).

    A row of a later period holds the population of the census before as far as that base
    counts in it; less its rows, the period before is left with the errors of its census.
    A census of other detail than its base carries no row, and its rows stay as they are.
    """
    starts = np.cumsum([0, *(row.observed.size for found in periods for row in found)])
    out, k, census = np.eye(starts[-1]), 0, None
    for found in periods:
        base = census
        for row in found:
            own = slice(*starts[k : k + 2])
            effect = row.mean.effects.get(BASE)
            if base and effect is not None and effect.shape[1] == base.stop - base.start:
                out[own, base] = effect
            census = own if row.source == CENSUS else census
            k += 1
    return out


def _not_said_of(source: BornBefore, own: Sources, before: Sequence[Sources]) -> np.ndarray:
    """Rows of births before a base that no earlier period has said, (row): of which cohorts.

    The last row, of those born since the base, is of this period alone.
    """
    said: set[int] = set()
    for earlier in before:
        for other in earlier.extra:
            if isinstance(other, BornBefore):
                said.update(earlier.years, earlier.first_year - other.born[AGE].values)
    born = own.first_year - source.born[AGE].values  # the year at whose end they are 0 years old
    return np.append(~np.isin(born, list(said)), True)


def _kept(row: Observation, keep: np.ndarray) -> Observation:
    labels = tuple(label for label, kept in zip(row.labels, keep, strict=True) if kept)
    return replace(
        row,
        mean=row.mean[keep],
        observed=row.observed[keep],
        standard_error=row.standard_error[keep],
        labels=labels,
    )


def _correlation(priors: Priors) -> float:
    value = priors[BETWEEN_PERIODS.name].mean
    if not 0 <= value <= 1:
        raise PriorError(
            f"prior '{BETWEEN_PERIODS.name}' is {value:g}: a correlation of biases over periods "
            f"lies between 0 and 1. Set it with priors.replace({BETWEEN_PERIODS.name}=(0.5, 0))."
        )
    return value


def _common(accounts: Sequence[Account], correlation: float) -> dict[str, Block]:
    """Blocks of biases that two periods or more have alike, by name."""
    if correlation == 0:
        return {}
    found: dict[str, list[Block]] = {}
    for account in accounts:
        persist = {f"{flow}_bias_{part}" for flow in FLOWS for part in PERSISTENT}
        persist |= {f"{s.name}_{part}" for s in account.sources.streams for part in PERSISTENT}
        shared = [s.shared for s in account.sources.streams if s.shared is not None]
        persist |= {shared_block(system.name) for system in shared}
        persist |= {f"{part.label} constant" for part in account.sources.administrative}
        for name, block in account.latents.blocks.items():
            if name in persist:
                found.setdefault(name, []).append(block)
    return {name: alike[0] for name, alike in found.items() if alike.count(alike[0]) > 1}


def _base_known(account: Account, before: Account) -> dict[str, Affine]:
    """The error of a base: published minus what the period before ended with, (sex * age)."""
    ended = before.population(before.sources.last_year)
    error = account.sources.base.count.transpose(SEX, AGE).values - ended
    return {BASE: error.map(lambda x: x.reshape(-1, x.shape[-1]))}


def _missed_before(own: _Substitution, account: Account) -> dict[str, Affine]:
    """Standardised errors of the base that the census of a period would leave, by block."""
    correlation, out = account.priors["census_correlation"].mean, {}
    for part in COUNTED_TWICE:
        block = account.latents.blocks[f"census_{part}"]
        one = np.eye(block.size)
        effects = {f"census_{part}": np.sqrt(1 - correlation**2) * one}
        if correlation != 0:
            effects[f"base_{part}"] = -correlation * one
        out[f"base_{part}"] = -own(Affine(np.zeros(block.size), effects))
    return out


@dataclass
class _Substitution:
    """From the latent variables of one period to those of the chain.

    Attributes
    ----------
    name : str
        Of the period, before the names of its own blocks.
    common : mapping of Block by name
        Biases that are correlated over periods.
    correlation : float
    known : dict of Affine by block
        Blocks that follow from the period before.
    """

    name: str
    common: Mapping[str, Block]
    correlation: float
    known: dict[str, Affine] = field(default_factory=dict)

    def __call__(self, quantity: Affine) -> Affine:
        out = Affine(quantity.constant, {})
        for block, effect in quantity.effects.items():
            own = f"{self.name}: {block}"
            if block in self.known:
                found = self.known[block]
                moved = {b: effect @ e for b, e in found.effects.items()}
                out = out + Affine(effect @ found.constant, moved)
            elif block in self.common:
                shared = {block: np.sqrt(self.correlation) * effect}
                alone = {own: np.sqrt(1 - self.correlation) * effect}
                out = out + Affine(0.0 * quantity.constant, shared | alone)
            else:
                out = out + Affine(0.0 * quantity.constant, {own: effect})
        return out

    def register(self, latents: Latents, own: Latents) -> None:
        """The blocks of a period, and those in common, among those of the chain."""
        for name, block in own.blocks.items():
            if name in self.common:
                latents.blocks.setdefault(name, block)
            source = f"{self.name}: {block.source}"
            latents.blocks[f"{self.name}: {name}"] = replace(block, source=source)
        latents.used |= own.used

    def of(self, account: Account) -> Account:
        """The account in the latent variables of the chain."""
        parts = {part.name: getattr(account, part.name) for part in fields(account)}
        return replace(account, **{k: v for k, v in self._within(parts).items() if v is not None})

    def of_rows(self, rows: Observation) -> Observation:
        """Rows of a source with the period before their names."""
        return replace(
            rows,
            source=f"{self.name}: {rows.source}",
            mean=self(rows.mean),
            labels=tuple(f"{self.name}: {label}" for label in rows.labels),
        )

    def _within(self, value: Any) -> Any:
        """A value with every quantity in it substituted."""
        if isinstance(value, Affine):
            return self(value)
        if isinstance(value, Flow | Carried):
            parts = {part.name: getattr(value, part.name) for part in fields(value)}
            return replace(value, **self._within(parts))
        if isinstance(value, Mapping) and not isinstance(value, Priors):
            return {key: self._within(part) for key, part in value.items()}
        if isinstance(value, tuple):
            return tuple(self._within(part) for part in value)
        return value


def _seen_from(latents: Latents, name: str) -> Latents:
    """The latent variables of a chain with the sources of one period under their own names."""
    blocks = {
        block: replace(of, source=of.source.removeprefix(f"{name}: "))
        for block, of in latents.blocks.items()
    }
    return replace(latents, blocks=blocks)
