"""The rows of the table of priors: a name, a distribution, what it says, and a reason.

See :mod:`imps.account.priors` for the table that is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from imps.account.evidence import newest
from imps.errors import PriorError
from imps.names import EMIGRATION, FLOWS, IMMIGRATION
from imps.sources import Stream
from imps.sources.kinds import KINDS, PARTS, SourceKind, words_of
from imps.sources.streams import EXACT

LOG_SD = "scale_log_sd"
"""Row of the standard deviation of the logarithm of every unknown scale."""


@dataclass(frozen=True)
class Prior:
    """One row of the table of priors.

    Attributes
    ----------
    name : str
    kind : {"normal", "scale", "fixed"}
        Normal(mean, sd), an unknown standard deviation with median `sd`, or the
        number `mean`.
    mean, sd : float
        In the stated unit; per cent are written as shares (0.05 is 5 per cent).
    unit : str
        What one unit is a share of.
    meaning : str
        What the prior says in plain words.
    reference : str
    known_since : int or None
        Year from which all figures it rests on were known; None for a judgement.
    evidence : tuple of str
        Keys of those figures in the table of evidence.
    """

    name: str
    kind: str
    mean: float
    sd: float
    unit: str
    meaning: str
    reference: str
    known_since: int | None = None
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "evidence", tuple(self.evidence))  # a list, from JSON
        if self.kind not in ("normal", "scale", "fixed"):
            raise PriorError(
                f"prior '{self.name}': kind is '{self.kind}', not normal, scale or fixed."
            )
        if not (math.isfinite(self.mean) and math.isfinite(self.sd) and self.sd >= 0):
            raise PriorError(
                f"prior '{self.name}': mean {self.mean} and sd {self.sd} must be finite and "
                "the sd not negative."
            )
        if self.kind == "scale" and (self.mean != 0 or self.sd == 0):
            raise PriorError(
                f"prior '{self.name}' is a scale and has mean {self.mean:g} and sd {self.sd:g}: "
                "give mean 0 and a median above 0 as sd."
            )
        if self.name == LOG_SD and not self.mean > 0:
            raise PriorError(f"prior '{self.name}' is {self.mean:g}: it must be above 0.")
        if self.kind == "fixed" and self.sd != 0:
            raise PriorError(
                f"prior '{self.name}' has sd {self.sd:g} and is fixed: give its value as mean and "
                "sd 0."
            )
        if self.kind == "fixed" and self.name.endswith("_correlation") and not abs(self.mean) < 1:
            raise PriorError(f"prior '{self.name}' is {self.mean:g}: it must lie in (-1, 1).")

    @property
    def distribution(self) -> str:
        """The distribution in words, for tables; s is the unknown scale."""
        return self.spelt(0.5)

    def spelt(self, log_sd: float) -> str:
        """The distribution in words, with the spread of the logarithm of a scale."""
        if self.kind == "fixed":
            return f"fixed at {self.mean:g}"
        if self.kind == "normal":
            return f"Normal({self.mean:g}, {self.sd:g})"
        return f"Normal(0, s), s = {self.sd:g} exp({log_sd:g} h), h ~ Normal(0, 1)"


BIAS_CORRELATION = "bias_correlation"
_CHILDREN = 0.57
"""Standard deviation of half of the variance of 0.8: children laid out wrongly, or not seen."""
_FEW_CHILDREN = (
    "Passenger survey of the United Kingdom: 50-260 contacts with under-15s a year, whose share "
    "of the inflow fell from 17.9 to 6.9 % between 1991 and 2000; judgement of the size"
)
_JUDGEMENT = "Judgement of the package; show its sensitivity"


def _row(
    name: str, kind: str, mean: float, sd: float, unit: str, meaning: str, ref: str, *keys: str
) -> Prior:
    """A row and the figures it rests on, which give its date."""
    return Prior(name, kind, mean, sd, unit, meaning, ref, newest(keys), keys)


def prior_of(kind: SourceKind) -> Prior:
    """The prior of a part of migration or of a known change, as its kind states it."""
    said = kind.meaning or f"error of {kind.title}"
    reason = kind.reference or "Stated with the kind"
    figures = newest(kind.evidence), kind.evidence
    return Prior(kind.name, "normal", kind.mean, kind.sd, kind.unit, said, reason, *figures)


LAYOUT_SD = 0.25
"""Spread of the layout of a flow within published ages, a share of the flow."""
_STREAM_ERRORS: Mapping[str, str] = MappingProxyType({
    "level": "error that is the same at all ages and in all years",
    "sex": "further error of one sign for men and the other for women, at all ages",
    "children": "further error at ages 0-9, falling to nothing at 15",
    "young": "further error at young adult ages (peak at 28)",
    "drift": "slow change of the error over the years",
    "layout": "layout over sexes and single ages within what was published, the same in all years",
})  # fmt: skip


def stream_rows(stream: Stream, open_age: int) -> tuple[Prior, ...]:
    """Priors that a stream brings with it: its errors, in the order in which they are stated."""
    unit = f"share of {words_of(stream.name).lower()}"
    reason = stream.reason or "Stated with the stream"
    said = {} if stream.quality == EXACT else {"layout": (0.0, LAYOUT_SD), **stream.errors}
    if stream.fixes_cells(open_age):
        said.pop("layout", None)
    rows = [Prior(f"{stream.name}_{what}", "normal", mean, sd, unit, _STREAM_ERRORS[what], reason)
            for what, (mean, sd) in said.items() if sd > 0]  # fmt: skip
    rows += [Prior(m.name, "normal", m.mean, m.sd, unit, f"{words_of(m.name)}: counted in the "
                   "wrong class", m.reason or reason) for m in stream.misclassified]  # fmt: skip
    return tuple(rows)


def _bias_rows(flow: str, mean: float, level: float, young: float, drift: float) -> list[Prior]:
    published = f"share of the mean published {flow}"
    survey_ref = (
        "ONS (2003): net migration 1992-2001 revised by 305 thousand; "
        "ONS (2014): 346 thousand for 2001-2011; emigrants are harder to sample"
    )
    return [
        _row(f"{flow}_bias_level", "normal", mean, level, published,
             "persistent survey bias, the same at all ages and in all years", survey_ref,
             "ew-2001-net", "uk-net-2001-11"),
        _row(f"{flow}_bias_sex", "normal", 0.0, 0.04, published,
             "further bias of one sign for men and the other for women, at all ages",
             "Half of the bias at young adult ages; judgement"),
        _row(f"{flow}_bias_young", "normal", 0.0, young, published,
             "further bias at young adult ages (peak at 28), each sex its own",
             f"{survey_ref}; judgement of the part at these ages"),
        _row(f"{flow}_bias_children", "scale", 0.0, _CHILDREN,
             f"share of the mean {flow} of children",
             "migrant children whom the survey does not see, or who are none; linear between ages "
             "0, 5, 10, 15 and 20, both sexes alike", _FEW_CHILDREN),
        _row(f"{flow}_bias_era", "normal", 0.0, 0.06, published,
             "step of the bias in years whose coverage is known to differ, each era its own; "
             "a mean is that of every era without a row of its own",
             "As large as the bias at young adult ages, some 30 thousand a year for the United "
             "Kingdom; judgement. Eras: ONS (2009), Port Survey Review, stage two"),
        _row(f"{flow}_bias_drift", "normal", 0.0, drift, published,
             "slow change of the bias over the years, AR(1) with 0.8",
             "ONS (2014): revisions of 2004-2011 rose and fell over four years",
             "uk-net-2001-11-sd"),
    ]  # fmt: skip


def _flow_rows(flow: str, years: float) -> list[Prior]:
    true = f"share of the mean {flow}"
    return [
        _row(f"{flow}_level", "normal", 0.0, 0.5, true,
             "level of the flow before the survey is seen",
             "Weak, by judgement: the survey decides"),
        _row(f"{flow}_years", "scale", 0.0, years, true,
             "year-to-year change of the total, AR(1) with 0.9",
             "Spread of the published totals 1975-1990",
             "ips-spread-in" if flow == "immigration" else "ips-spread-out"),
        _row(f"{flow}_age", "scale", 0.0, 0.12, true,
             "departure of the age-sex shape from the pooled published one",
             "Judgement: chosen so that under 1 % of prior cells are negative"),
        _row(f"{flow}_age_years", "scale", 0.0, 0.10, true,
             "change of the age-sex shape over the years, AR(1) with 0.9", _JUDGEMENT),
        _row(f"{flow}_children", "scale", 0.0, _CHILDREN, f"share of the mean {flow} of children",
             "migrant children laid out wrongly over ages; linear between ages 0, 5, 10, 15 and "
             "20, both sexes alike", _FEW_CHILDREN),
        _row(f"{flow}_layout", "normal", 0.0, LAYOUT_SD, true,
             "layout over single ages within published age groups, the same in all years",
             "England and Wales mid-2012 and 2013: single years depart from five-year groups laid "
             "out by schedule by 10 % (immigration) and 26 % (emigration), quadratic mean; "
             "judgement of the size"),
        _row(f"{flow}_cells", "scale", 0.0, 0.03, true,
             "departure of each published cell in each year by itself", _JUDGEMENT),
        _row(f"{flow}_schedule", "normal", 0.0, 0.7, "years of age",
             "error in the mean age and the width of the schedule, each sex its own", _JUDGEMENT),
    ]  # fmt: skip


def _stock_rows(name: str, unit: str, sign: int) -> list[Prior]:
    """Error of a census: the same rows and sizes behind the base and at the end.

    `sign` is -1 where people who were missed make the figure too low: published minus true.
    """
    said = "undercoverage left after adjustment"
    if sign < 0:
        said = "base too high (negative: too low)"
    moved = ("ew-1991-lowered", "ew-2001-added-2003", "ew-2001-added-2004")
    return [
        _row(f"{name}_level", "normal", 0.0, 0.0035, unit,
             f"{said}, the same at all ages but those of children",
             "ONS (2003, 2004): estimates moved after publication, 1991 by .7 %, 2001 by .5 %; "
             "quadratic mean, taken as 1.7 standard deviations", *moved),
        _row(f"{name}_young", "normal", 0.0, 0.02, unit,
             f"{said}, further at young adult ages, each sex its own; women's is smaller",
             "Men: 5.4 % of those aged 20-29 without evidence from a survey in 1991 (OPCS), 4.2 % "
             "of those aged 25-34 in 2003 (ONS); taken as two standard deviations",
             "ew-1991-young-men", "ew-2001-young-men"),
        _row(f"{name}_children", "normal", sign * 0.002, 0.006, unit,
             f"{said}, at ages 0-9, falling to nothing at 15",
             "Surveys miss 3.0 points of 0-9 in the USA (2003), .8 in New Zealand (2014): sign "
             "and size; judgement", "us-2000-children", "nz-2013-children"),
        _row(f"{name}_old", "normal", 0.0, 0.01, unit,
             f"{said}, further at ages 85 and over, from nothing at 70",
             "Australia 2016: 3.9 % too many at 70-74 (ABS 2017); size a quarter of it, judgement"),
        _row(f"{name}_age", "scale", 0.0, 0.003, unit, f"{said}, smooth over age", _JUDGEMENT),
    ]  # fmt: skip


_BASE = _stock_rows("base", "share of the published base", -1)
_CENSUS = _stock_rows("census", "share of the census count", 1)
_BIAS = {
    IMMIGRATION: _bias_rows(IMMIGRATION, 0.0, 0.05, 0.06, 0.02),
    EMIGRATION: _bias_rows(EMIGRATION, -0.05, 0.12, 0.10, 0.03),
}
_FLOW = {IMMIGRATION: _flow_rows(IMMIGRATION, 0.15), EMIGRATION: _flow_rows(EMIGRATION, 0.12)}
PRIORS = [
    *_BASE,
    _row("children_net", "normal", 0.0, 0.0075, "share of births",
         "net migration of those born in the ten years before a census, where their births are "
         "among the sources",
         "England and Wales, stock of 0-9 less births and deaths: +.6 % in 1991, -.5 % in 2001; "
         "their spread with two observations; judgement of the mean"),
    _row("births", "normal", 0.0, 0.001, "share of registered births",
         "births registered too often or too rarely", "Judgement: registration is near complete"),
    _row("deaths", "normal", 0.0, 0.002, "share of registered deaths",
         "deaths registered too often or too rarely, deaths abroad",
         "Judgement: registration is near complete"),
    *(row for flow in FLOWS for row in (*_BIAS[flow], *_FLOW[flow])),
    _row(BIAS_CORRELATION, "fixed", 0.0, 0.0, "correlation",
         "correlation of the level of the survey's bias of emigration with that of immigration",
         "None unless asked, by judgement: who counts badly may count both directions badly"),
    *(prior_of(KINDS[name]) for name in PARTS),
    *_CENSUS,
    _row("census_correlation", "fixed", 0.0, 0.0, "correlation",
         "correlation of the undercount left in the census behind the base with that of the "
         "census at the end, in level and in the errors of children, young adults and the old",
         "None unless asked, by judgement: the same people may have been missed twice"),
    _row("stock_single_age_error", "fixed", 0.008, 0.0, "share of a single age",
         "further random error of each single age below 20 of a base or census, boys and girls "
         "alike",
         "England and Wales, stock less births and deaths about a line over ages 0-9 and 10-17: "
         "1.20 and .68 % in 1971, .90 and 1.01 % in 1981, boys and girls alike (correlation .98 "
         "in 1981); less .45 % for births halved to mid-years and .23 % for cells",
         "ew-1971-single-ages", "ew-1981-single-ages"),
    _row("residual", "scale", 0.0, 0.001, "share of the base carried forward",
         "what none of the sources explains; kept tight so that it hides no misfit", _JUDGEMENT),
]  # fmt: skip


FIXED = tuple(
    _row(name, "fixed", value, 0.0, unit, meaning, reason)
    for name, value, unit, meaning, reason in (
        ("flow_persistence", 0.9, "correlation",
         "of the true flow of a year with that of the next, in total and in its ages", _JUDGEMENT),
        ("bias_persistence", 0.8, "correlation",
         "of the drift of the survey's bias, and of the moving error of a part, with the next year",
         "Judgement; ONS (2014): revisions of 2004-2011 rose and fell over four years"),
        ("part_constant_share", 0.7, "share of variance",
         "of a part's relative error that is the same in all years", _JUDGEMENT),
        ("stock_cell_error", 0.0033, "share of a cell",
         "random error of one sex and age of a base or census; at least that of a Poisson count",
         "England and Wales, boys less girls of the stock less births and deaths, about a line "
         "over ages 0-9 and 10-17: .41 and .79 % in 1971, .17 and .24 % in 1981, the quadratic "
         "mean divided by 1.41; New Zealand: survey error of .15 to .8 % by age; judgement for "
         "adults"),
        ("stock_young_men_factor", 1.6, "times the error of a cell",
         "men aged 20-35 are counted that much less well",
         "ONS (2002), About the One Number Census result: response of men 20-24 was 87 % in 2001; "
         "judgement"),
        ("stock_young_women", 0.4, "times the error of men",
         "error of a stock at young adult ages, women's as a share of men's",
         "England and Wales 2001: 160 thousand men of 25-34 added after publication, no women (ONS "
         "2003); Australia 2016: 6.1 and 3.8 %; New Zealand 2018: 5.5 and 3.8 %; judgement"),
        ("deaths_cell_error", 0.01, "share of a cohort's deaths",
         "deaths that the split between two cohorts may misplace", _JUDGEMENT),
        ("census_jump_error", 0.15, "share of the jump to the next cohort",
         "people whose age stated a year wrong moves them across a jump of births", _JUDGEMENT),
        (LOG_SD, 0.5, "logarithm of a scale",
         "spread of every unknown scale: within a factor of 2.7 of its median, 95 %", _JUDGEMENT),
    )
)  # fmt: skip


REGISTER_CELLS = _row(
    "register_cell_error", "fixed", 0.001, 0.0, "share of a cell",
    "late and wrong entries of one sex and age of a register; at least one person", _JUDGEMENT,
)  # fmt: skip
"""Row that a stock from a register brings."""


LAYOUTS = {
    "base": _row(
        "base_layout", "normal", 0.0, 0.04, "share of the published base",
        "layout over single ages within published groups five years wide, sexes alike; it grows "
        "with the root of the width",
        "Base and census of the shipped cases, five-year groups interpolated: single years depart "
        "by 3.2 to 5.6 %, quadratic mean at 0-79; 10 years 3.9 to 7.0, 15 years 7.0 to 9.3 %"),
    "deaths": _row(
        "deaths_layout", "normal", 0.0, 0.06, "share of registered deaths",
        "layout over single ages within published groups five years wide, the same in all years; "
        "it grows with the root of the width",
        "That of the population behind them, and of death rates; judgement"),
}  # fmt: skip
"""Rows that figures in age groups, or without sex, bring."""
LAYOUT_PRIORS = tuple(row.name for row in LAYOUTS.values())
BETWEEN_PERIODS = _row(
    "bias_between_periods", "fixed", 0.5, 0.0, "correlation",
    "of a bias of a flow (level, men against women, young adults, children not seen, the constant "
    "error of a part) with that of another period between two censuses",
    "Judgement: systems persist and are mended; the errors found in England and Wales changed sign "
    "between 2001-2011 and 2011-2021, and their causes in part; show its sensitivity",
)  # fmt: skip
"""Row that a chain of periods brings."""


def _names(*rows: Prior) -> tuple[str, ...]:
    return tuple(row.name for row in rows)


FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "base": _names(*_BASE),
        "census": _names(*_CENSUS),
        **{f"{flow}_bias": (*_names(*_BIAS[flow]),) for flow in FLOWS},
        **{flow: _names(*_BIAS[flow], *_FLOW[flow]) for flow in FLOWS},
    }
)
"""Priors that may be widened together, by the name of all; the level stands first."""
OPTIONAL_PRIORS = tuple(kind.name for kind in KINDS.values() if kind.asked)
"""Priors of known changes, which are carried without error unless one of them is asked for."""

ERAS = [
    _row("immigration_bias_era 2004 to 2008", "normal", -0.09, 0.03,
         "share of the mean published immigration",
         "step of the bias in these years, in place of the row of all eras",
         "ONS (2014): net migration of 2004-2008 raised by 51 thousand a year, 9 % of the inflow",
         "uk-nino-2006-07", "uk-net-2004-08", "uk-routes"),
]  # fmt: skip
