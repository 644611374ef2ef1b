"""Projects of files with one fault in them, of every kind that was seen or thought of.

`clean_project` tells a country of any size without the model: people are born, die and
migrate as counts do, a survey samples the flows, a census counts with a small error. `FAULTS`
is the table of faults by kind; each changes files or settings as text, the way a hand or a
spreadsheet does, or gives None where the project has nothing that it could change.
"""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SHIPPED = Path(__file__).parents[1] / "imps" / "shipped"
SEXES = ("male", "female")
GROUPS = {"0-14": (0, 15), "15-24": (15, 25), "25-44": (25, 45), "45-64": (45, 65), "65+": (65, 91)}
GROUPS_OF_SMALL = {"0-14": (0, 15), "15-44": (15, 45), "45+": (45, 91)}
SMALL = 500e3
"""People below whom a survey tells fewer age groups apart: it would meet nobody in some."""
FIGURES = ("population", "births", "deaths", "estimate", "count")


@dataclass(frozen=True)
class Project:
    """A project as text: settings, and files by name."""

    settings: str
    files: dict[str, str | bytes]

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of table of each file, as the settings say."""
        found = tomllib.loads(self.settings)
        return {
            entry["file"]: kind
            for kind, entries in found.items()
            if isinstance(entries, list)
            for entry in entries
        }

    def table(self, name: str) -> pd.DataFrame:
        """A file as texts."""
        return pd.read_csv(io.StringIO(str(self.files[name])), dtype=str, keep_default_na=False)

    def with_table(self, name: str, frame: pd.DataFrame) -> Project:
        """The project with other rows in a file."""
        return self.with_text(name, frame.to_csv(index=False))

    def with_text(self, name: str, text: str | bytes) -> Project:
        """The project with another file."""
        return replace(self, files={**self.files, name: text})

    def write(self, folder: Path) -> Path:
        """Write everything into a folder."""
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path = folder / "settings.toml"
        path.write_text(self.settings, encoding="utf-8")
        return path


def shipped_project(name: str) -> Project:
    """A case of the package as text."""
    folder = SHIPPED / name
    files: dict[str, str | bytes] = {
        p.name: p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.csv"))
    }
    return Project((folder / "settings.toml").read_text(encoding="utf-8"), files)


# A clean country


def clean_project(people: float, seed: int, *, first: int = 2001, years: int = 10) -> Project:
    """A country or an area of any size with right figures.

    Mortality is Gompertz with infant deaths; births have a wave; flows follow a random walk
    of some per cent a year; the survey has contacts, a grossing weight and a design effect.
    """
    rng = np.random.default_rng(seed)
    ages, span = np.arange(91), np.arange(first + 1, first + years + 1)
    rates = np.stack([0.005 * np.exp(-2.5 * ages) + 2e-5 * np.exp(k * ages) for k in (0.1, 0.094)])
    rates = np.minimum(rates, 0.28)
    wave = 1 + rng.uniform(0.03, 0.15) * np.cos((ages - rng.uniform(0, 40)) / rng.uniform(6, 9))
    wave = wave * np.exp(0.015 * rng.standard_normal(91))
    base = np.exp(-np.cumsum(rates, axis=1)) * wave * np.array([[1.05], [1.0]])
    base[:, -1] *= 3.5
    stock = rng.poisson(people * base / base.sum()).astype(float)
    start, lines = stock, {"births": [], "deaths": [], "survey_flows": []}  # type: ignore[var-annotated]
    weight, effect = max(people * 1e-5, 2.0) * rng.uniform(0.5, 2), rng.uniform(1.2, 3.5)
    level = {"immigration": rng.uniform(0.004, 0.02), "emigration": rng.uniform(0.003, 0.012)}
    fertility = rng.uniform(0.045, 0.07)
    net = np.zeros(years)
    for t, year in enumerate(span):
        stock, born, died = _year(stock, rates, fertility, rng)
        fertility *= np.exp(0.015 * rng.standard_normal())
        lines["births"] += [(year, s, int(born[i])) for i, s in enumerate(SEXES)]
        lines["deaths"] += [
            (year, s, _age(a), int(died[i, a])) for i, s in enumerate(SEXES) for a in ages
        ]
        for flow, share in level.items():
            level[flow] = share * np.exp(0.05 * rng.standard_normal())
            moved = rng.poisson(people * level[flow] * _schedule(flow)).astype(float)
            stock = stock + moved * (1 if flow == "immigration" else -1)
            stock = np.maximum(stock, 0)
            groups = GROUPS if people >= SMALL else GROUPS_OF_SMALL
            rows = _sample(moved, groups, weight, effect, rng)
            net[t] += sum(r[2] for r in rows) * (1 if flow == "immigration" else -1)
            lines["survey_flows"] += [(year, flow, *row) for row in rows]
    counted = np.maximum(np.round(stock * (1 + 0.004 * rng.standard_normal(stock.shape))), 0)
    asylum = np.round(people * 0.0005 * np.exp(0.15 * rng.standard_normal(years)) + 3)
    natural = _sums(lines["births"], span) - _sums(lines["deaths"], span)
    rolled = np.round(start.sum() + np.cumsum(natural + net + asylum))
    frames = {
        "population": pd.DataFrame(
            [
                (v, y, s, _age(a), int(x[i, a]))
                for v, y, x in (("first", first, start), ("census", span[-1], counted))
                for i, s in enumerate(SEXES)
                for a in ages
            ],
            columns=["vintage", "year", "sex", "age", "population"],
        ),
        "population_totals": pd.DataFrame(
            [("first", y, int(p)) for y, p in zip(span, rolled, strict=True)],
            columns=["vintage", "year", "population"],
        ),
        "births": pd.DataFrame(lines["births"], columns=["year", "sex", "births"]),
        "deaths": pd.DataFrame(lines["deaths"], columns=["year", "sex", "age", "deaths"]),
        "survey_flows": pd.DataFrame(
            lines["survey_flows"],
            columns=["year", "flow", "sex", "age_group", "estimate", "standard_error", "contacts"],
        ),
        "administrative_flows": pd.DataFrame(
            [
                ("asylum_seekers", y, "immigration", int(n))
                for y, n in zip(span, asylum, strict=True)
            ],
            columns=["source", "year", "flow", "count"],
        ),
    }  # fmt: skip
    settings = _settings(first, int(span[-1]))
    return Project(settings, {f"{k}.csv": f.to_csv(index=False) for k, f in frames.items()})


def _age(age: int) -> str:
    return f"{age}+" if age == 90 else str(age)


def _year(stock: Any, rates: Any, fertility: float, rng: np.random.Generator) -> Any:
    aged = np.zeros_like(stock)
    aged[:, 1:] = stock[:, :-1]
    aged[:, -1] += stock[:, -1]
    births = rng.poisson(fertility * stock[1, 15:45].sum())
    boys = rng.binomial(births, 0.5134)
    aged[:, 0] = boys, births - boys
    died = rng.binomial(aged.astype(int), rates)
    return aged - died, aged[:, 0], died


def _schedule(flow: str) -> Any:
    ages = np.arange(91.0)
    peak = 22.0 if flow == "immigration" else 25.0
    bell = np.exp(-0.1 * (ages - peak) - np.exp(-0.45 * (ages - peak)))
    shape = bell + 0.15 * np.exp(-0.08 * ages)
    male = 0.5 + (0.02 if flow == "emigration" else -0.01)
    return np.stack([male * shape, (1 - male) * shape]) / shape.sum()


def _sample(
    moved: Any, groups: Any, weight: float, effect: float, rng: np.random.Generator
) -> list[tuple]:
    rows = []
    for i, sex in enumerate(SEXES):
        for group, (low, high) in groups.items():
            contacts = rng.poisson(moved[i, low:high].sum() / weight)
            estimate = weight * contacts * np.exp(0.1 * rng.standard_normal())
            error = (
                weight * np.sqrt(max(contacts, 0) * effect) * np.exp(0.1 * rng.standard_normal())
            )
            rows.append((sex, group, round(estimate), round(error), int(contacts)))
    return rows


def _sums(rows: list[tuple], span: Any) -> Any:
    return np.array([sum(r[-1] for r in rows if r[0] == y) for y in span], float)


def _settings(first: int, last: int) -> str:
    flows = 'unit = "persons"\nperiod = "mid-year"\n'
    return f"""schema = 1

[account]
name = "Simulia, mid-{first} to mid-{last}"
geography = "Simulia"
first_mid_year = {first}
last_mid_year = {last}
base_vintage = "first"
rolled_forward_vintage = "first"
census_vintage = "census"
census_standard_error = 0.001

[[population]]
file = "population.csv"
unit = "persons"

[[population_totals]]
file = "population_totals.csv"
unit = "persons"

[[births]]
file = "births.csv"
period = "mid-year"

[[deaths]]
file = "deaths.csv"
period = "mid-year"
age_counted = "at-mid-year"

[[survey_flows]]
file = "survey_flows.csv"
definition = "survey"
zero_no_contacts = "unobserved"
{flows}
[[administrative_flows]]
file = "administrative_flows.csv"
{flows}"""


# Faults


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
        new = change(old)
        if not old or new == old or (old.strip("-0.") == "" and new.strip("-0.") == ""):
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


def _sex_copied(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    column = _figure(frame)
    males = frame[frame["sex"] == "male"].set_index("year")[column]
    return frame.assign(**{column: frame["year"].map(males)})


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


DEATHS, FLOWS = ("deaths",), ("survey_flows", "survey_totals")
BY_SEX = ("population", "births", "deaths")
BY_FLOW = ("survey_flows", "survey_totals", "total_migration", "flow_schedule")

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
    "flows exchanged in a year": rows(_exchanged("flow", "immigration", "emigration"), *BY_FLOW),
    "flows exchanged throughout": rows(
        _exchanged("flow", "immigration", "emigration", True), *BY_FLOW),
    "sexes swapped in a year": rows(_exchanged("sex", *SEXES), *BY_SEX),
    "sexes swapped throughout": rows(_exchanged("sex", *SEXES, True), *BY_SEX),
    "ages shifted in a year": rows(_ages_shifted, "population", "deaths"),
    "one sex copied to the other": rows(_sex_copied, "births"),
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
