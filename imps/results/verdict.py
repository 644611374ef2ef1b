"""The verdict of the checks as a value, and the words in which results may be told.

A verdict is level, causes, one next step, and the figures behind it. Kinds of source and evidence
of one country are named only where the sources of an account hold them.

Where chance alone makes a gap of its size there is nothing to explain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from imps.account.linear import LinearModel
from imps.intervals import THOUSANDS, Z99, Unit, ends
from imps.reading.totals import CODE
from imps.sources import REGISTER, Sources
from imps.sources.kinds import title, within_sentence

if TYPE_CHECKING:
    from imps.project.case import Case
    from imps.results.attribution import Attribution

USABLE = "usable"
WITH_CARE = "use with care"
DO_NOT_USE = "do not use"


SAVED_FIT = "saved fit"
"""Part that a stale fit is put down to; always said in the line, whatever else is wrong."""


@dataclass(frozen=True)
class Cause:
    """Why a fit is not simply usable.

    Attributes
    ----------
    source : str
        Source or part of the computation it comes from.
    what, next_step : str
        What was found against what is allowed, and what to do about it.
    """

    source: str
    what: str
    next_step: str

    def __str__(self) -> str:
        return f"{within_sentence(title(self.source))}: {self.what}"


@dataclass(frozen=True)
class Verdict:
    """What the checks say of a fit; it travels with every result made from it.

    Attributes
    ----------
    level : str
        "usable", "use with care" or "do not use".
    causes : tuple of Cause
        By source, the gravest first; empty where the fit is usable.
    nothing_to_explain : bool
        Chance alone explains the gap; see :func:`nothing_to_explain`.
    next_step : str
        The one thing to do now.
    figures : str
        R-hat, effective sizes, divergences and grid points behind it, in words.
    """

    level: str
    causes: tuple[Cause, ...] = ()
    nothing_to_explain: bool = False
    next_step: str = ""
    figures: str = ""

    @property
    def usable(self) -> bool:
        """Whether the fit is usable without more ado."""
        return self.level == USABLE

    @property
    def passed(self) -> bool:
        """Whether the fit may be used at all."""
        return self.level != DO_NOT_USE

    @property
    def finding(self) -> str:
        """Level and cause; that the fit is stale is always said."""
        text = self.level + (", nothing to explain" if self.nothing_to_explain else "")
        if not self.causes:
            return text
        first, *rest = self.causes
        more = f" (and {len(rest)} more)" if rest else ""
        stale = (f"; {cause}" for cause in rest if cause.source == SAVED_FIT)
        return f"{text}: {first}{more}{''.join(stale)}"

    @property
    def short(self) -> str:
        """All but the figures."""
        return f"{self.finding}; next: {self.next_step}" if self.next_step else self.finding

    @property
    def brief(self) -> str:
        """As it stands under a figure or a table: advice only where the fit is not usable.

        The figures behind it stand once, in the line of the checks and in the computation table.
        """
        return self.finding if self.usable else self.short

    def __str__(self) -> str:
        """Verdict, cause, one next step, and the figures behind it, in one line."""
        return f"{self.short}; {self.figures}" if self.figures else self.short

    def put_on(self, table: pd.DataFrame) -> pd.DataFrame:
        """A plain table that carries the verdict among its attributes, as plain values."""
        table.attrs[VERDICT] = asdict(self)
        return table

    @classmethod
    def of(cls, table: pd.DataFrame) -> Self | None:
        """The verdict that a table carries, or None; of an earlier release its words."""
        found = table.attrs.get(VERDICT)
        if not isinstance(found, dict):
            return cls(found) if found else None
        return cls(**{**found, "causes": tuple(Cause(**cause) for cause in found["causes"])})


VERDICT = "verdict"
"""Attribute (`attrs`) of a plain table made from a fit: see :meth:`Verdict.put_on`."""
GRAVITY = (USABLE, WITH_CARE, DO_NOT_USE)


def together(verdicts: Mapping[str, Verdict]) -> Verdict:
    """One verdict for several fits by name: the common one, else the gravest with its name."""
    if len({verdict.short for verdict in verdicts.values()}) == 1:
        return replace(next(iter(verdicts.values())), figures="")
    name, gravest = max(verdicts.items(), key=lambda pair: GRAVITY.index(pair[1].level))
    causes = tuple(replace(cause, source=f"{name}, {cause.source}") for cause in gravest.causes)
    return replace(gravest, causes=causes, figures="")


BRITISH = re.compile(
    r"\b(?:ONS|OPCS|NISRA|NRS|GROS|IPS|TIM|LTIM|UK|Port Survey|United Kingdom|Great Britain"
    r"|British|England|Wales|Scotland|Northern Ireland|Ireland|Irish|[Ss]witchers?)\b"
)
_KEYS = ("uk-", "ew-", "ips-")
"""Beginnings of the keys of British figures in the table of evidence."""
ELSEWHERE = (
    "As large as it was found in another country's statistics, taken over by judgement; show its "
    "sensitivity"
)


@dataclass(frozen=True)
class Words:
    """Unit and names of an account, for whatever is printed of it.

    Attributes
    ----------
    unit : Unit
        Thousands, or persons for a small population.
    left_out : str
        Parts of migration that the survey leaves out, in words; empty if there are none.
    each : str
        The day with which the years end, in words, such as "mid-year".
    last_stock : str
        What the stock at the end is: census or register.
    """

    unit: Unit = THOUSANDS
    left_out: str = ""
    each: str = "mid-year"
    last_stock: str = "census"

    @classmethod
    def of(cls, sources: Sources) -> Words:
        """Those of the sources of an account."""
        names = dict.fromkeys(part.name for part in sources.administrative)
        said = [within_sentence(title(name)) for name in names]
        listed = " and ".join(filter(None, (", ".join(said[:-1]), *said[-1:])))
        stock = "register" if sources.census.quality == REGISTER else "census"
        return cls(Unit.of(sources.census.total), listed, sources.year_end.each, stock)

    @property
    def outside_survey(self) -> str:
        """What the survey alone does not hold, a sentence; empty where that is nothing."""
        return f"The survey alone leaves out {self.left_out}." if self.left_out else ""


PLAIN = Words()


def account_title(attribution: Attribution, case: Case | None) -> str:
    """The name that its author gave the account; area and period where there is none."""
    return case.title if case is not None else f"{attribution.area}, {attribution.period}"


def british(sources: Sources) -> bool:
    """Whether the sources of an account say that they are British."""
    stated = sources.table()[["source", "vintage", "reference"]].to_numpy(str).ravel()
    return bool(CODE.search(sources.area) or BRITISH.search("; ".join([sources.area, *stated])))


def priors_in_words(model: LinearModel) -> pd.DataFrame:
    """The table of priors of an account, with reasons that its reader knows.

    Elsewhere than in Britain only the priors that the account takes are shown, and a size
    that rests on British figures is said to come from another country.
    """
    frame = model.priors.table()
    if british(model.sources):
        return frame
    unused = model.account.latents.unused()
    frame = frame[~frame["name"].isin(unused)].reset_index(drop=True)
    abroad = frame["reference"].str.contains(BRITISH) | frame["evidence"].str.startswith(_KEYS)
    frame.loc[abroad, "reference"] = ELSEWHERE
    frame.loc[abroad, "evidence"] = ""
    if not model.sources.survey_flows:
        frame["meaning"] = frame["meaning"].str.replace("the survey's bias", "an error")
    return frame


CHANCE = (
    "immigration_sampling",
    "emigration_sampling",
    "census_sampling",
    "register_cells",
    "period_conversion",
    "ages_and_sexes_of_flows",
    "date_change",
)
"""Sources that are random error or arithmetic: what a gap holds when nothing is wrong."""
LARGEST_BY_CHANCE = Z99
"""Standard errors (99 per cent) up to which chance alone explains a gap."""


def _by_chance(source: str) -> bool:
    """Whether a source is chance, that of a stream from a survey among them."""
    return source in CHANCE or source.endswith("_sampling")


def nothing_to_explain(model: LinearModel, latents: np.ndarray) -> bool:
    """Whether chance alone explains the gap, so that no source is to be blamed.

    Two things must hold. The gap, less what is known arithmetic, is within 2.58
    standard errors of sampling and conversion. And the 90 per cent interval of every
    source holds zero, and where the census was published by sex also the 99 per cent
    interval for each sex: opposite errors of the sexes may hide in a small total.

    Parameters
    ----------
    model : LinearModel
    latents : ndarray (draw, latent)
        Scaled posterior draws.
    """
    return gap_by_chance(model) <= LARGEST_BY_CHANCE and not _standing_out(model, latents)


def gap_by_chance(model: LinearModel) -> float:
    """Size of the gap in standard errors of chance, if no figure were biased.

    Sampling error, conversion and the move from census day stand with their priors,
    known arithmetic with its value; everything else is zero.
    """
    known, variance = 0.0, 0.0
    for part in model.contributions:
        if _by_chance(part.source) or not part.value.effects:
            mean, sd = model.prior_moments(part.prior.sum())
            known, variance = known + float(mean), variance + float(sd) ** 2
    return abs(model.sources.gap - known) / max(variance, 1.0) ** 0.5


def _standing_out(model: LinearModel, latents: np.ndarray) -> list[str]:
    """Sources whose interval leaves out zero: 90 per cent in total, 99 for each sex."""
    by_sex = model.sources.census.cells.by_sex
    found = []
    for part in model.contributions:
        if _by_chance(part.source) or not part.value.effects:
            continue
        sexes = model.evaluate(part.value.sum((1,)), latents)
        clear = [_leaves_out_zero(sexes.sum(axis=1), 0.90)]
        clear += [_leaves_out_zero(draws, 0.99) for draws in sexes.T if by_sex]
        if any(clear):
            found.append(part.source)
    return found


def _leaves_out_zero(draws: np.ndarray, prob: float) -> bool:
    lower, upper = ends(draws, prob)
    return bool(lower > 0 or upper < 0)
