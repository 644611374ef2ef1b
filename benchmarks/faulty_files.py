"""Projects of files with one fault in them, of every kind that was seen or thought of.

`FAULTS` is the table of faults by kind; each changes files or settings as text, the way a hand
or a spreadsheet does, or gives None where the project has nothing that it could change.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from right_files import SEXES, Project

FIGURES = ("population", "births", "deaths", "estimate", "count")

Fault = Callable[[Project, np.random.Generator], Project | None]


def _figure(frame: pd.DataFrame) -> str:
    return next(c for c in FIGURES if c in frame)


def _pick(
    project: Project, rng: np.random.Generator, *kinds: str, many: bool = False
) -> str | None:
    """A file of the kinds; with `many`, one that has several figures a year."""
    names = [n for n, k in project.kinds.items() if not kinds or k in kinds]
    if many:
        names = [
            n for n in names
            if (f := project.table(n)).groupby("year").size().min() > 1 and f["year"].nunique() > 1
        ]  # fmt: skip
    return str(rng.choice(names)) if names else None


def _series(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Rows of one year of one series."""
    keys = [c for c in ("vintage", "source", "year") if c in frame]
    row = frame.iloc[int(rng.integers(len(frame)))]
    return (frame[keys] == row[keys]).all(axis=1)


def _scaled(text: str, factor: float) -> str:
    return f"{float(text) * factor:.10g}" if "." in text else f"{round(float(text) * factor)}"


def cell(change: Callable[[str], str], *kinds: str) -> Fault:
    """One figure, changed as text."""

    def fault(project: Project, rng: np.random.Generator) -> Project | None:
        name = _pick(project, rng, *kinds)
        if name is None:
            return None
        frame = project.table(name)
        column, row = _figure(frame), int(rng.integers(len(frame)))
        old = frame.loc[row, column]
        if not old:
            return None
        new = change(old)
        if new == old or (old.strip("-0.") == "" and new.strip("-0.") == ""):
            return None
        frame.loc[row, column] = new
        return project.with_table(name, frame)

    return fault


def year(change: Callable[[str], str], *kinds: str) -> Fault:
    """All figures of one year of a series that has several."""

    def fault(project: Project, rng: np.random.Generator) -> Project | None:
        name = _pick(project, rng, *kinds, many=True)
        if name is None:
            return None
        frame = project.table(name)
        column, rows = _figure(frame), _series(frame, rng)
        if rows.sum() < 2:
            return None
        frame.loc[rows, column] = [change(v) for v in frame.loc[rows, column]]
        return project.with_table(name, frame)

    return fault


def rows(change: Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame | None], *kinds: str,
         many: bool = False) -> Fault:  # fmt: skip
    """The rows of one file."""

    def fault(project: Project, rng: np.random.Generator) -> Project | None:
        name = _pick(project, rng, *kinds, many=many)
        frame = None if name is None else change(project.table(name), rng)
        return None if name is None or frame is None else project.with_table(name, frame)

    return fault


def text(change: Callable[[str, np.random.Generator], str | bytes | None], *kinds: str) -> Fault:
    """The text of one file."""

    def fault(project: Project, rng: np.random.Generator) -> Project | None:
        name = _pick(project, rng, *kinds)
        new = None if name is None else change(str(project.files[name]), rng)
        return None if name is None or new is None else project.with_text(name, new)

    return fault


def setting(old: str, new: str) -> Fault:
    """One line of the settings."""

    def fault(project: Project, rng: np.random.Generator) -> Project | None:
        if old not in project.settings:
            return None
        return replace(project, settings=project.settings.replace(old, new, 1))

    return fault


def _transposed(value: str) -> str:
    whole, _, rest = value.partition(".")
    for i in range(len(whole) - 1):
        if whole[i] != whole[i + 1] and whole[i].isdigit():
            whole = whole[:i] + whole[i + 1] + whole[i] + whole[i + 2 :]
            break
    return whole + ("." + rest if rest else "")


def _exchanged(column: str, one: str, two: str, whole: bool = False) -> Any:
    def change(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
        if column not in frame or not {one, two} <= set(frame[column]):
            return None
        at = pd.Series(True, frame.index) if whole else _series(frame, rng)
        frame.loc[at, column] = frame.loc[at, column].map(lambda v: {one: two, two: one}.get(v, v))
        return frame

    return change


NEARLY_EQUAL = 0.01
"""Difference, share of the larger, below which two figures are right in each other's place too:
no flow is known better, and the standard errors of the surveys here are 3 per cent and more."""

DRAWN_AGAIN = Counter[str]()
"""Faults by kind that were not planted: the figures would have been exchanged for their like."""


def _flows_exchanged(whole: bool) -> Any:
    """Directions exchanged, by whichever words a file has for them.

    Not where every figure that would move differs by less than :data:`NEARLY_EQUAL` from the one
    that takes its place, as immigration of 265.1 and emigration of 266.3 thousand of 1993 do.
    """

    def change(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
        pair = ("in", "out") if "in" in set(frame["flow"]) else ("immigration", "emigration")
        new = _exchanged("flow", *pair, whole)(frame.copy(), rng)
        if new is None:
            return None
        keys = [c for c in frame if c not in (_figure(frame), "standard_error", "contacts")]
        both = frame.merge(new, on=keys, suffixes=("", "_new"))
        one, two = (
            pd.to_numeric(both[f"{_figure(frame)}{end}"], errors="coerce") for end in ("", "_new")
        )
        if not ((one - two).abs() > NEARLY_EQUAL * np.maximum(one, two)).any():
            DRAWN_AGAIN["flows exchanged"] += 1
            return None
        return new  # type: ignore[no-any-return]

    return change


def _year_copied(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
    column, at = _figure(frame), _series(frame, rng)
    keys = [c for c in ("vintage", "source") if c in frame]
    one = frame[at].iloc[0]
    same = (frame[keys] == one[keys]).all(axis=1) if keys else pd.Series(True, frame.index)
    other = frame[same & (frame["year"] != one["year"])]
    if other.empty or at.sum() < 4:
        return None
    chosen = other["year"].iloc[int(rng.integers(len(other)))]
    figures = [c for c in (column, "standard_error", "contacts") if c in frame]
    source = frame[same & (frame["year"] == chosen)]
    if len(source) != at.sum():
        return None
    frame.loc[at, figures] = source[figures].to_numpy()
    return frame


def _ages_shifted(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
    if "age" not in frame:
        return None
    at, column = _series(frame, rng), _figure(frame)
    for sex in SEXES:
        here = at & (frame["sex"] == sex)
        frame.loc[here, column] = np.roll(frame.loc[here, column].to_numpy(), 1)
    return frame


def _adjacent(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
    column, row = _figure(frame), int(rng.integers(len(frame) - 1))
    pair = frame.loc[[row, row + 1], column].to_numpy()
    if pair[0] == pair[1]:
        return None
    frame.loc[[row, row + 1], column] = pair[::-1]
    return frame


def _sex_copied(one_year: bool) -> Any:
    """Figures of males in the rows of females, throughout or in one year of one series."""

    def change(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
        keys = [c for c in ("vintage", "year", "flow", "age", "age_group") if c in frame]
        if "sex" not in frame:
            return None
        figures = [c for c in (_figure(frame), "standard_error", "contacts") if c in frame]
        at = _series(frame, rng) if one_year else pd.Series(True, frame.index)
        males = frame[frame["sex"] == "male"].set_index(keys)[figures]
        to = at & (frame["sex"] == "female")
        frame.loc[to, figures] = males.reindex(
            pd.MultiIndex.from_frame(frame.loc[to, keys])
            if len(keys) > 1
            else frame.loc[to, "year"]
        ).to_numpy()
        return frame

    return change


def _figures(frame: pd.DataFrame) -> list[str]:
    """Columns of figures that move together."""
    return [c for c in (_figure(frame), "standard_error", "contacts") if c in frame]


def _same_series(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    """Rows of all years of one series."""
    keys = [c for c in ("vintage", "source", "flow") if c in frame]
    row = frame.iloc[int(rng.integers(len(frame)))]
    return (frame[keys] == row[keys]).all(axis=1) if keys else pd.Series(True, frame.index)


def _years_moved(order: Callable[[list[Any], np.random.Generator], list[Any]]) -> Any:
    """Figures of whole years of one series, each under the year that `order` puts it in."""

    def change(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
        at = _same_series(frame, rng)
        years = sorted(frame.loc[at, "year"].unique())
        sizes = frame[at].groupby("year").size()
        if len(years) < 3 or sizes.nunique() > 1:
            return None
        figures = _figures(frame)
        blocks = {y: frame.loc[at & (frame["year"] == y), figures].to_numpy() for y in years}
        for to, source in zip(years, order(years, rng), strict=True):
            frame.loc[at & (frame["year"] == to), figures] = blocks[source]
        return frame

    return change


def _neighbours_exchanged(years: list[Any], rng: np.random.Generator) -> list[Any]:
    i = int(rng.integers(len(years) - 1))
    return [*years[:i], years[i + 1], years[i], *years[i + 2 :]]


def _cumulated(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Sums since the first year in place of the figures of each year."""
    column = _figure(frame)
    keys = [c for c in ("source", "flow", "sex", "age", "age_group") if c in frame]
    number = frame[column].astype(float)
    sums = number.groupby([frame[k] for k in keys]).cumsum() if keys else number.cumsum()
    return frame.assign(**{column: [f"{v:.10g}" for v in sums]})


def _by_ages(order: Callable[[np.ndarray, np.random.Generator], Any], whole: bool = False) -> Any:
    """Figures of one year, or of all, each sex by itself, in another order of ages."""

    def change(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
        if "age" not in frame:
            return None
        at, column = _series(frame, rng), _figure(frame)
        keys = [c for c in ("vintage", "source", "year", "sex") if c in frame]
        rows = frame if whole else frame[at]
        for _, part in rows.groupby(keys, sort=False):
            frame.loc[part.index, column] = order(part[column].to_numpy(), rng)
        return frame

    return change


def _band(figures: np.ndarray, change: Callable[[str], str], low: int, size: int) -> np.ndarray:
    out = figures.copy()
    out[low : low + size] = [change(v) for v in out[low : low + size]]
    return out


def _share(total: float) -> Any:
    """Figures of one year as shares of their sum, times `total`."""

    def change(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
        at, column = _series(frame, rng), _figure(frame)
        number = frame.loc[at, column].astype(float)
        if at.sum() < 4 or not number.sum():
            return None
        frame.loc[at, column] = [f"{v:.4f}" for v in total * number / number.sum()]
        return frame

    return change


def _of_one_sex(factor: float) -> Any:
    """Figures of one sex in one year, times a factor."""

    def change(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
        if "sex" not in frame:
            return None
        at = _series(frame, rng) & (frame["sex"] == str(rng.choice(SEXES)))
        column = _figure(frame)
        frame.loc[at, column] = [_scaled(v, factor) for v in frame.loc[at, column]]
        return frame

    return change


def _both_sexes(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
    """Males of a year hold males and females together."""
    if "sex" not in frame:
        return None
    at, column = _series(frame, rng), _figure(frame)
    males, females = (at & (frame["sex"] == s) for s in SEXES)
    if males.sum() != females.sum():
        return None
    sums = (
        frame.loc[males, column].astype(float).to_numpy()
        + frame.loc[females, column].astype(float).to_numpy()
    )
    frame.loc[males, column] = [f"{v:.10g}" for v in sums]
    return frame


def _flow_of_other(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
    """Emigration of one year repeats immigration."""
    if not {"immigration", "emigration"} <= set(frame["flow"]):
        return None
    at = _series(frame, rng)
    inward, out = (at & (frame["flow"] == f) for f in ("immigration", "emigration"))
    if inward.sum() != out.sum():
        return None
    frame.loc[out, _figures(frame)] = frame.loc[inward, _figures(frame)].to_numpy()
    return frame


def _net_for_immigration(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
    """Immigration of one year, or all of it, less emigration."""
    if not {"immigration", "emigration"} <= set(frame["flow"]):
        return None
    column = _figure(frame)
    inward, out = (frame["flow"] == f for f in ("immigration", "emigration"))
    keys = [c for c in ("source", "year", "sex", "age_group", "age") if c in frame]
    number = frame[column].where(frame[column] != "", "nan").astype(float)
    off = dict(zip(map(tuple, frame.loc[out, keys].to_numpy()), number[out], strict=True))
    net = [
        v - off.get(tuple(k), 0.0)
        for k, v in zip(frame.loc[inward, keys].to_numpy(), number[inward], strict=True)
    ]
    if min(net) <= 0 or any(np.isnan(net)):
        return None
    frame.loc[inward, column] = [f"{v:.10g}" for v in net]
    return frame


def _stock_of_other(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
    """A population with the figures of another date."""
    keys = [c for c in ("vintage", "year") if c in frame]
    blocks = [rows for _, rows in frame.groupby(keys, sort=False)]
    if len(blocks) < 2 or len({len(b) for b in blocks}) > 1 or len(blocks[0]) < 4:
        return None
    one, two = rng.choice(len(blocks), 2, replace=False)
    frame.loc[blocks[one].index, _figure(frame)] = blocks[two][_figure(frame)].to_numpy()
    return frame


def _pasted(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
    """The figure of another row, far away, in a cell."""
    column = _figure(frame)
    to, source = (int(i) for i in rng.integers(len(frame), size=2))
    old, new = float(frame.loc[to, column] or "nan"), float(frame.loc[source, column] or "nan")
    if not abs(new - old) > 0.3 * old + 10:
        return None
    frame.loc[to, column] = frame.loc[source, column]
    return frame


def _block_down(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
    """Twenty figures below each other one row too low; the last of them above the others."""
    column = _figure(frame)
    if len(frame) < 40:
        return None
    start = int(rng.integers(len(frame) - 20))
    rows = frame.index[start : start + 20]
    frame.loc[rows, column] = np.roll(frame.loc[rows, column].to_numpy(), 1)
    return frame


def _column_down(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A column of figures one row too low; its last figure comes first."""
    column = _figure(frame)
    return frame.assign(**{column: np.roll(frame[column].to_numpy(), 1)})


def _rounded(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
    """Figures of one year cut to whole thousands."""
    at, column = _series(frame, rng), _figure(frame)
    frame.loc[at, column] = [f"{float(v) // 1000 * 1000:.0f}" for v in frame.loc[at, column]]
    return frame


def _first_mistyped(value: str) -> str:
    return str((int(value[0]) + 4) % 9 + 1) + value[1:] if value[:1].isdigit() else value


def _emigration_negative(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    out = frame["flow"] == "emigration"
    return frame.assign(estimate=frame["estimate"].where(~out, "-" + frame["estimate"]))


def _column(source: str, change: Callable[[str], str], to: str = "", one_year: bool = False) -> Any:
    def applied(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
        if source not in frame:
            return None
        at = _series(frame, rng) if one_year else pd.Series(True, frame.index)
        frame.loc[at, to or source] = [change(v) for v in frame.loc[at, source]]
        return frame

    return applied


def _label(column: str, change: Callable[[str], str], share: float = 1.0) -> Any:
    """Labels of a column changed, in all rows or in some."""

    def applied(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
        if column not in frame:
            return None
        chosen = rng.random(len(frame)) < share
        chosen[int(rng.integers(len(frame)))] = True
        new = [change(v) if c else v for v, c in zip(frame[column], chosen, strict=True)]
        if new == list(frame[column]):
            return None
        return frame.assign(**{column: new})

    return applied


def _row(change: Callable[[pd.DataFrame, int], pd.DataFrame]) -> Any:
    return lambda frame, rng: change(frame, int(rng.integers(len(frame))))


def _lines(change: Callable[[list[str], int], list[str]]) -> Any:
    def applied(whole: str, rng: np.random.Generator) -> str:
        lines = whole.splitlines()
        return "\n".join(change(lines, int(rng.integers(1, len(lines))))) + "\n"

    return applied


def _line(change: Callable[[str], str]) -> Any:
    return _lines(lambda lines, i: [*lines[:i], change(lines[i]), *lines[i + 1 :]])


def _last_cut(whole: str, rng: np.random.Generator) -> str | None:
    """The file breaks off inside its last figure."""
    frame = pd.read_csv(io.StringIO(whole), dtype=str, keep_default_na=False)
    column = _figure(frame)
    if len(frame[column].iloc[-1].partition(".")[0]) < 2:
        return None
    frame = frame[[*[c for c in frame if c != column], column]]
    frame[column] = [*frame[column].iloc[:-1], frame[column].iloc[-1].partition(".")[0][:-1]]
    return frame.to_csv(index=False)


def _total(factor: float) -> Any:
    """Rows of both sexes together between the others."""

    def applied(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame | None:
        if "sex" not in frame or "standard_error" in frame:
            return None
        column = _figure(frame)
        keys = [c for c in frame if c not in ("sex", column) and not c.endswith("_flag")]
        sums = frame.assign(**{column: frame[column].astype(float)})
        sums = sums.groupby(keys, sort=False)[column].sum().reset_index().assign(sex="persons")
        sums.loc[0, column] *= factor
        return pd.concat([frame, sums], ignore_index=True).fillna("")

    return applied


FLOWS = ("survey_flows", "survey_totals")
BY_SEX = ("population", "births", "deaths", "streams")
BY_FLOW = ("survey_flows", "survey_totals", "total_migration", "flow_schedule", "streams")

FAULTS: dict[str, Fault] = {
    # figures
    "cell x 10": cell(lambda v: _scaled(v, 10)),
    "cell x 100": cell(lambda v: _scaled(v, 100)),
    "cell / 10": cell(lambda v: _scaled(v, 0.1)),
    "cell set to 0": cell(lambda v: "0"),
    "cell negative": cell(lambda v: f"-{v}"),
    "cell empty": cell(lambda v: ""),
    "digits transposed": cell(_transposed),
    "last digit lost": cell(lambda v: v.partition(".")[0][:-1] or v),
    "last digit doubled": cell(lambda v: v.partition(".")[0] + v.partition(".")[0][-1]),
    "adjacent rows exchanged": rows(_adjacent),
    "births of one sex x 10": cell(lambda v: _scaled(v, 10), "births"),
    "asylum x 10": cell(lambda v: _scaled(v, 10), "administrative_flows"),
    "roll-forward of a year x 1.03": cell(lambda v: _scaled(v, 1.03), "population_totals"),
    "roll-forward of a year, digits transposed": cell(_transposed, "population_totals"),
    "year x 0.4": year(lambda v: _scaled(v, 0.4)),
    "year x 2.5": year(lambda v: _scaled(v, 2.5)),
    "year x 10": year(lambda v: _scaled(v, 10)),
    "year / 16": year(lambda v: _scaled(v, 1 / 16)),
    "births of a year x 10": year(lambda v: _scaled(v, 10), "births"),
    "year in thousands": year(lambda v: f"{float(v) / 1000:.0f}"),
    "year copied": rows(_year_copied, many=True),
    "flows exchanged in a year": rows(_flows_exchanged(False), *BY_FLOW),
    "flows exchanged throughout": rows(_flows_exchanged(True), *BY_FLOW),
    "sexes swapped in a year": rows(_exchanged("sex", *SEXES), *BY_SEX),
    "sexes swapped throughout": rows(_exchanged("sex", *SEXES, True), *BY_SEX),
    "ages shifted in a year": rows(_ages_shifted, "population", "deaths"),
    "births of one sex copied to the other": rows(_sex_copied(False), "births"),
    "one sex copied to the other": rows(_sex_copied(False), *BY_SEX, *FLOWS),
    "one sex copied to the other in a year": rows(_sex_copied(True), *BY_SEX, *FLOWS),
    "one sex x 2 in a year": rows(_of_one_sex(2), *BY_SEX),
    "one sex / 10 in a year": rows(_of_one_sex(0.1), *BY_SEX),
    "males hold both sexes": rows(_both_sexes, *BY_SEX),
    "neighbouring years exchanged": rows(_years_moved(_neighbours_exchanged)),
    "series lags by a year": rows(_years_moved(lambda y, _: [y[-1], *y[:-1]])),
    "series ahead by a year": rows(_years_moved(lambda y, _: [*y[1:], y[0]])),
    "years in reverse order": rows(_years_moved(lambda y, _: y[::-1])),
    "cumulated figures": rows(_cumulated, "births", "deaths", "administrative_flows", *FLOWS),
    "stock of another date": rows(_stock_of_other, "population", "stocks"),
    "column shifted by a row": rows(_column_down),
    "twenty rows shifted by one": rows(_block_down),
    "figure of another row": rows(_pasted),
    "ages reversed in a year": rows(_by_ages(lambda v, _: v[::-1]), "population", "deaths"),
    "ages reversed throughout": rows(_by_ages(lambda v, _: v[::-1], True), "population", "deaths"),
    "ages shifted throughout": rows(_by_ages(lambda v, _: np.roll(v, 1), True), "deaths"),
    "ages shifted back in a year": rows(
        _by_ages(lambda v, _: np.append(v[1:], v[-1])), "population", "deaths"),
    "ages 20 to 29 doubled in a year": rows(
        _by_ages(lambda v, _: _band(v, lambda x: _scaled(x, 2), 20, 10)), "population", "deaths"),
    "ages 60 to 69 of 0 in a year": rows(
        _by_ages(lambda v, _: _band(v, lambda x: "0", 60, 10)), "population", "deaths"),
    "open group holds its first age only": rows(
        _by_ages(lambda v, _: _band(v, lambda x: _scaled(x, 0.25), len(v) - 1, 1)),
        "population", "deaths"),
    "percentages for persons": rows(_share(100), *BY_SEX),
    "rates of 100,000 for persons": rows(_share(100_000), *BY_SEX),
    "year rounded to thousands": rows(_rounded, *BY_SEX, *FLOWS),
    "births x 10": rows(_column("births", lambda v: _scaled(v, 10)), "births"),
    "births / 10": rows(_column("births", lambda v: _scaled(v, 0.1)), "births"),
    "deaths x 10": rows(_column("deaths", lambda v: _scaled(v, 10)), "deaths"),
    "deaths / 10": rows(_column("deaths", lambda v: _scaled(v, 0.1)), "deaths"),
    "first digit lost": cell(lambda v: v[1:] if len(v) > 1 else v),
    "first digit doubled": cell(lambda v: v[:1] + v),
    "first digit mistyped": cell(_first_mistyped),
    "zeros for a year": year(lambda v: "0"),
    "emigration repeats immigration in a year": rows(_flow_of_other, *BY_FLOW),
    "net for immigration": rows(_net_for_immigration, *BY_FLOW),
    "SE / 10": rows(_column("standard_error", lambda v: _scaled(v, 0.1)), *FLOWS),
    "SE shifted by a row": rows(lambda f, _: f.assign(
        standard_error=np.roll(f["standard_error"].to_numpy(), 1)), *FLOWS),
    "contacts shifted by a row": rows(lambda f, _: f.assign(
        contacts=np.roll(f["contacts"].to_numpy(), 1)) if "contacts" in f else None, *FLOWS),
    "estimates of a year x 10": year(lambda v: _scaled(v, 10), *FLOWS),
    "asylum / 10": cell(lambda v: _scaled(v, 0.1), "administrative_flows"),
    "total migration of a year x 2": cell(lambda v: _scaled(v, 2), "total_migration"),
    "contacts as estimates": rows(_column("contacts", str, "estimate"), *FLOWS),
    "contacts as estimates in a year": rows(_column("contacts", str, "estimate", True), *FLOWS),
    "standard errors as estimates": rows(_column("standard_error", str, "estimate"), *FLOWS),
    "SE x 10": rows(_column("standard_error", lambda v: _scaled(v, 10)), *FLOWS),
    "SE x 10 in a year": rows(
        _column("standard_error", lambda v: _scaled(v, 10), "", True), *FLOWS),
    "half-widths as SE": rows(_column("standard_error", lambda v: _scaled(v, 1.96)), *FLOWS),
    "variances as SE": rows(_column("standard_error", lambda v: f"{float(v) ** 2:.0f}"), *FLOWS),
    "SE in thousands": rows(_column("standard_error", lambda v: f"{float(v) / 1000:.6f}"), *FLOWS),
    "SE of 0": rows(_column("standard_error", lambda v: "0", "", True), *FLOWS),
    "SE negative": rows(_column("standard_error", lambda v: f"-{v}", "", True), *FLOWS),
    "SE empty": rows(_column("standard_error", lambda v: "", "", True), *FLOWS),
    "last figure cut": text(_last_cut),
    # codes among figures
    "9999999 for missing": cell(lambda v: "9999999"),
    "-999 for missing": cell(lambda v: "-999"),
    "n/a": cell(lambda v: "n/a"),
    "two dots": cell(lambda v: ".."),
    "star": cell(lambda v: "*"),
    "dash": cell(lambda v: "-"),
    "a band": cell(lambda v: "<5"),
    "letter O for zero": cell(lambda v: v.replace("0", "O")),
    "per cent sign": cell(lambda v: f"{v}%"),
    "blank inside": cell(lambda v: f"{v[:1]} {v[1:]}" if len(v) > 3 else v),
    "comma groups": cell(lambda v: f"{float(v):,.0f}"),
    "decimal comma": cell(lambda v: v.partition(".")[0] + ",5"),
    "point groups thousands": cell(lambda v: f"{float(v):,.0f}".replace(",", ".")),
    "scientific": cell(lambda v: f"{float(v):.2E}"),
    "formula": cell(lambda v: f"={v}"),
    "infinite": cell(lambda v: "inf"),
    # rows
    "row lost": rows(_row(lambda f, i: f.drop(index=i))),
    "year lost": rows(lambda f, rng: f[~_series(f, rng)], many=True),
    "row doubled": rows(_row(lambda f, i: pd.concat([f, f.loc[[i]]]))),
    "row doubled with another figure": rows(
        _row(lambda f, i: pd.concat([f, f.loc[[i]].assign(**{_figure(f): "77"})]))),
    "table doubled": rows(lambda f, _: pd.concat([f, f])),
    "second half lost": rows(lambda f, _: f.iloc[: len(f) // 2]),
    "rows in another order": rows(
        lambda f, rng: f.sample(frac=1, random_state=int(rng.integers(9)))),
    "right totals among rows": rows(_total(1.0), "population", "deaths"),
    "wrong total among rows": rows(_total(1.1), "population", "deaths"),
    # columns and headers
    "column lost": rows(lambda f, rng: f.drop(columns=[str(rng.choice([_figure(f), "year"]))])),
    "column renamed": rows(lambda f, _: f.rename(columns={_figure(f): "amount_xyz"})),
    "headers in capitals": rows(lambda f, _: f.rename(columns=str.upper)),
    "further column": rows(lambda f, _: f.assign(remark="x")),
    "estimate and SE exchanged": rows(
        lambda f, _: f.rename(
            columns={"estimate": "standard_error", "standard_error": "estimate"}), *FLOWS),
    "header repeated": text(_lines(lambda lines, i: [*lines[:i], lines[0], *lines[i:]])),
    "title above": text(lambda t, _: f"Table 1: figures of the office\n\n{t}"),
    "note below": text(lambda t, _: f"{t}\nNote: provisional figures\n"),
    "blank rows": text(_lines(lambda lines, i: [*lines[:i], "", *lines[i:]])),
    # text
    "semicolons": text(lambda t, _: t.replace(",", ";")),
    "tabs": text(lambda t, _: t.replace(",", "\t")),
    "UTF-16": text(lambda t, _: t.encode("utf-16")),
    "byte-order mark": text(lambda t, _: b"\xef\xbb\xbf" + t.encode()),
    "quotation mark open": text(_line(lambda line: '"' + line)),
    "row too short": text(_line(lambda line: line.rpartition(",")[0])),
    "row too long": text(_line(lambda line: line + ",1")),
    "null byte": text(_line(lambda line: line + "\0")),
    "empty file": text(lambda t, _: ""),
    "header alone": text(lambda t, _: t.splitlines()[0]),
    # labels
    "ages as dates": rows(_label("age", lambda v: "10-Nov" if v == "10" else v)),
    "age bands overlap": rows(_label("age", lambda v: "10-12" if v == "10" else v)),
    "age of 130": rows(_label("age", lambda v: "130" if v == "20" else v)),
    "plus of the open group lost": rows(_label("age", lambda v: v.rstrip("+"))),
    "sexes as 1 and 2": rows(_label("sex", lambda v: "1" if v == "male" else "2")),
    "sex misspelt": rows(_label("sex", lambda v: "mlae", 0.01)),
    "persons for a sex": rows(_label("sex", lambda v: "persons", 0.01)),
    "years of two digits": rows(_label("year", lambda v: v[2:4])),
    "split years": rows(_label("year", lambda v: f"{v[:4]}/{int(v[2:4]) + 1:02d}")),
    "a year mistyped": rows(
        _label("year", lambda v: v[:3] + str((int(v[3]) + 3) % 10) + v[4:], 0.002)),
    "years one later": rows(_label("year", lambda v: str(int(v[:4]) + 1))),
    "flow misspelt": rows(_label("flow", lambda v: "imigration", 0.05)),
    "emigration negative": rows(_emigration_negative, *FLOWS),
    "unit column of thousands": rows(lambda f, _: f.assign(unit="thousands")),
    "units mixed": rows(
        _row(lambda f, i: f.assign(unit=np.where(f.index == i, "thousands", "persons")))),
    "another area": rows(lambda f, _: f.assign(geography="Atlantis")),
    # settings
    "period exchanged": setting('period = "mid-year"', 'period = "calendar-year"'),
    "calendar taken for mid-years": setting('period = "calendar-year"', 'period = "mid-year"'),
    "age of deaths exchanged": setting('age_counted = "at-death"', 'age_counted = "at-mid-year"'),
    "thousands declared": setting('unit = "persons"', 'unit = "thousands"'),
    "vintage unknown": setting('census_vintage = "', 'census_vintage = "no '),
    "setting misspelt": setting("first_mid_year", "first_midyear"),
    "years of the account moved": setting("last_mid_year = 20", "last_mid_year = 21"),
    "seed as text": setting("[[births]]", '[fit]\nseed = "one"\n\n[[births]]'),
    "prior without source": setting("[[births]]", "[priors.unicorns]\nmean = 0.1\n\n[[births]]"),
    "file absent": setting('file = "births.csv"', 'file = "briths.csv"'),
}  # fmt: skip
"""Every fault by kind."""

NEVER_SILENT = (
    "cell x 10", "year x 0.4", "flows exchanged in a year", "sexes swapped in a year",
    "contacts as estimates", "SE x 10", "half-widths as SE", "year copied",
    "ages shifted in a year", "last figure cut",
)  # fmt: skip
"""Kinds of which none may pass in silence."""
