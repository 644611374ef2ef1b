"""What tables and figures may speak of: the unit, the dates and the sources of their account.

Kinds of source and evidence of one country are named only where the sources of an account
hold them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from imps.account.linear import LinearModel
from imps.names import within_sentence
from imps.notebook_cards import THOUSANDS, Unit
from imps.reading.areas import CODE
from imps.sources import REGISTER, Sources
from imps.sources.kinds import title

if TYPE_CHECKING:
    from imps.project.case import Case
    from imps.results.attribution import Attribution

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
