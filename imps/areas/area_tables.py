"""Tables of areas: recoded to one set of codes, checked against each other and the nation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from imps.account.linear import LinearModel
from imps.areas.figures import AREA, COMPONENTS, INTERNATIONAL, Areas
from imps.areas.rules import CENSUS_BASED, ROLLED, Given, stocks_by_rule
from imps.names import AGE, FLOW, SEX, SEXES, YEAR
from imps.reading.findings import Collector

type Table = pd.DataFrame | str | os.PathLike[str]
SUM_TOLERANCE = 1.0
"""Persons by which components may miss a population: both are rounded."""
ZERO_BESIDE = 20.0
"""Persons at the ages beside it, on average, among whom a cell of nobody is no chance (e^-20)."""
NATION_TOLERANCE = 1e-3
"""Share of the nation by which areas may differ from it; what they do is raked away and said."""


def areas_from_tables(
    population: Table,
    components: Table,
    codes: Table,
    *,
    nation: LinearModel,
    mobility: Table | None = None,
    moves_by_age: Table | None = None,
    last_by_region: Table | None = None,
    special: Table | None = None,
) -> Areas:
    """Areas of a nation from tables, recoded over boundary changes and checked.

    Parameters
    ----------
    population : table
        `kind` ("rolled-forward" or "census-based"), `year`, `code`, `sex`, and either `age`
        and `population` or columns `age_0`, `age_1`, ... up to the open age; persons at
        30 June.
    components : table
        `year`, `code`, `births`, `deaths`, `internal_in`, `internal_out`,
        `international_in`, `international_out`, `other`, and the populations they lie
        between, `population_start` and `population_end`; persons in the year to 30 June.
    codes : table
        `old`, `code`, `name`, `region`: each code that occurs and the area it is now part of.
    nation : LinearModel
        From :func:`imps.linear_model`; the areas are all of its area.
    mobility : table, optional
        `sex`, `age`, `moves`, `population`: internal moves by age, of the nation.
    moves_by_age : table, optional
        `code`, `first_age`, `moves`: internal moves of areas in age groups, persons a year;
        a move counts half where it begins and half where it ends.
    last_by_region : table, optional
        `region`, `sex`, `difference`: rolled-forward minus census at the last mid-year, where
        that was published by region alone.

    special : table, optional
        `kind`, `code`, `sex`, `first_age`, `persons`: armed forces, prisoners and others that a
        roll-forward holds where they are, at any date; each group goes up to the next `first_age`
        of its kind. Areas without rows have none.

    Returns
    -------
    Areas
        Base ages and the roll-forward of the last mid-year by rule where they were not
        published (:mod:`imps.areas.rules`); `notes` says which.

    Raises
    ------
    InputError
        With all faults: code, file, area, year, number and one next step each.
    """
    found = Collector()
    book = _codes(_read(codes, "codes"), found)
    account = nation.sources
    ages = account.ages
    read = {"population": _read(population, "population"),
            "components": _read(components, "components")}  # fmt: skip
    stocks, empty = _populations(read["population"], book, ages, found)
    yearly = _components(read["components"], book, account.years, found)
    found.log().raise_faults()
    given = Given(
        stocks=stocks,
        components=yearly,
        regions=np.array([book.region[c] for c in book.areas]),
        mobility=None if mobility is None else _mobility(_read(mobility, "mobility"), ages, found),
        moves=None
        if moves_by_age is None
        else _moves(_read(moves_by_age, "moves_by_age"), book, found),
        by_region=None
        if last_by_region is None
        else _by_region(_read(last_by_region, "last_by_region"), book, found),
        file=read["population"].file,
    )
    lives = None if special is None else _special(_read(special, "special"), book, ages, found)
    _against_nation(given, nation, {name: table.file for name, table in read.items()}, found)
    found.log().raise_faults()
    figures, notes = stocks_by_rule(given, nation, found)
    found.log().raise_faults()
    flows = {name: ((AREA, YEAR), yearly[name]) for name in COMPONENTS}
    labels = {
        AREA: list(book.areas), SEX: list(SEXES), AGE: ages, YEAR: account.years,
        "name": (AREA, [book.name[c] for c in book.areas]),
        "region": (AREA, [book.region[c] for c in book.areas]),
    }  # fmt: skip
    figures |= {} if lives is None else {"special": lives}
    arrays = {name: ((AREA, SEX, AGE), values) for name, values in figures.items()}
    notes += [*empty, *_flows_beside_nation(yearly, nation)]
    return Areas(xr.Dataset({**arrays, **flows}, coords=labels), tuple(notes))


@dataclass(frozen=True)
class Book:
    """Codes: the area each is now part of, and name and region of each area, in order."""

    now: dict[str, str]
    areas: tuple[str, ...]
    name: dict[str, str]
    region: dict[str, str]


@dataclass(frozen=True)
class Read:
    """Rows of a table and the name it goes by in messages."""

    rows: pd.DataFrame
    file: str


def _read(table: Table, name: str) -> Read:
    if isinstance(table, pd.DataFrame):
        return Read(table, name)
    return Read(pd.read_csv(Path(table), dtype={"code": str, "old": str}), str(table))


def _columns(table: Read, wanted: Sequence[str], found: Collector) -> bool:
    missing = [name for name in wanted if name not in table.rows]
    if missing:
        found.add("AREA_COLUMNS", file=table.file, missing=missing)
    return not missing


def _codes(table: Read, found: Collector) -> Book:
    if not _columns(table, ("old", "code", "name", "region"), found):
        found.log().raise_faults()
    rows = table.rows
    for column, cause, key in (("code", "successors", "old"), ("region", "regions", "code")):
        several = rows.dropna(subset=[column]).groupby(key)[column].unique()
        for code, values in several[several.map(len) > 1].items():
            found.add(f"AREA_CODES.{cause}", file=table.file, area=code, found=sorted(values))
    for column in ("code", "name", "region"):
        for code in rows.loc[rows[column].isna(), "old"][:1]:
            found.add("AREA_CODES.blank", file=table.file, column=column, area=code,
                      number=int(rows[column].isna().sum()))  # fmt: skip
    found.log().raise_faults()
    first = rows.drop_duplicates("code").set_index("code").sort_index()
    areas = tuple(map(str, first.index))
    now = dict(zip(rows["old"], rows["code"], strict=True)) | {c: c for c in areas}
    return Book(now, areas, first["name"].to_dict(), first["region"].to_dict())


def _recoded(table: Read, book: Book, found: Collector) -> pd.DataFrame:
    """Rows under the codes of now; codes without a row in the book are refused."""
    unknown = sorted(set(table.rows["code"]) - set(book.now))
    if unknown:
        found.add("AREA_CODES.unknown", file=table.file, column="code", codes=unknown,
                  number=len(unknown), other="the table of codes")  # fmt: skip
    return table.rows.assign(code=table.rows["code"].map(book.now)).dropna(subset=["code"])


def _repeated(table: Read, keys: list[str], found: Collector) -> bool:
    again = table.rows[table.rows.duplicated(keys)]
    if len(again):
        row = again.iloc[0]
        found.add("AREA_COLUMNS.twice", file=table.file, number=len(again), area=row["code"],
                  year=row["year"])  # fmt: skip
    return bool(len(again))


def _populations(
    table: Read, book: Book, ages: np.ndarray, found: Collector
) -> tuple[dict[tuple[str, int], np.ndarray], list[str]]:
    """Population (area, sex, age) of each kind and year that is there, and cells of nobody."""
    if "age" in table.rows and "population" in table.rows:
        keys = ["kind", "year", "code", "sex"]
        wide = table.rows.assign(age="age_" + table.rows["age"].astype(str).str.rstrip("+"))
        table = Read(wide.pivot(index=keys, columns="age", values="population").reset_index(),
                     table.file)  # fmt: skip
    columns = [f"age_{a}" for a in ages]
    if not _columns(table, ("kind", "year", "code", "sex", *columns), found):
        return {}, []
    if not (_numbers(table, ["year", *columns], found)
            & _labels(table, "kind", (ROLLED, CENSUS_BASED), found)
            & _labels(table, "sex", SEXES, found)):  # fmt: skip
        return {}, []
    if _repeated(table, ["kind", "year", "code", "sex"], found):
        return {}, []
    rows = _recoded(table, book, found)
    out: dict[tuple[str, int], np.ndarray] = {}
    notes: list[str] = []
    lacking: dict[tuple[str, ...], list[str]] = {}
    for (kind, year), part in rows.groupby(["kind", "year"]):
        sums, what = part.groupby(["sex", "code"])[columns].sum(), f"{kind} population of {year}"
        missing = {c for c in book.areas for s in SEXES if (s, c) not in sums.index}
        if missing:
            lacking.setdefault(tuple(sorted(missing)), []).append(what)
            continue
        values = np.stack([sums.loc[s].loc[list(book.areas)].to_numpy(float) for s in SEXES], 1)
        notes += _nobody(values, f"the {what}", table.file, book, found)
        out[str(kind), int(year)] = values
    for codes, whats in lacking.items():
        found.add("AREA_CODES.without", file=table.file, codes=list(codes), number=len(codes),
                  what=f"the {', the '.join(whats)}")  # fmt: skip
    return out, notes


def _nobody(values: np.ndarray, what: str, file: str, book: Book, found: Collector) -> list[str]:
    """Areas of nobody, and cells of nobody among ages of many, of a stock (area, sex, age).

    A count has none. A roll-forward may: recorded departures can take a small cell to zero, where
    publishers hold it.
    """
    areas = np.array(book.areas)
    for code in areas[values.sum(axis=(1, 2)) == 0]:
        found.add("AREA_EMPTY.nobody", file=file, area=code, what=what)
    padded = np.pad(values, ((0, 0), (0, 0), (1, 1)), mode="reflect")
    beside = 0.5 * (padded[:, :, :-2] + padded[:, :, 2:]) * (values.sum(axis=0) > 0)
    cells = np.argwhere((values == 0) & (beside >= ZERO_BESIDE))
    if not len(cells):
        return []
    r, sex, age = max(cells, key=lambda at: beside[tuple(at)])
    at, many = f"{SEXES[sex]} {age}", float(beside[r, sex, age])
    if CENSUS_BASED in what:
        found.add("AREA_EMPTY.cell", file=file, area=areas[r], what=what, number=len(cells),
                  at=at, beside=many)  # fmt: skip
        return []
    return [f"{what[0].upper()}{what[1:]} of {areas[r]} is zero at {at}, {many:,.0f} live at the "
            f"ages beside it ({len(cells)} such cells): taken as published."]  # fmt: skip


def _labels(table: Read, column: str, allowed: Sequence[str], found: Collector) -> bool:
    others = sorted(set(map(str, table.rows[column])) - set(allowed))
    if others:
        found.add("AREA_COLUMNS.labels", file=table.file, column=column, found=others,
                  allowed=list(allowed))  # fmt: skip
    return not others


def _numbers(
    table: Read, columns: Sequence[str], found: Collector, *, signed: bool = False
) -> bool:
    values = table.rows[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    bad = ~np.isfinite(values) | (not signed) & (values < 0)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        at = table.rows.iloc[row]
        found.add("AREA_COLUMNS.numbers", file=table.file, column=columns[column],
                  number=int(bad.sum()), area=at["code"], year=at["year"])  # fmt: skip
    return not bad.any()


def _components(
    table: Read, book: Book, years: np.ndarray, found: Collector
) -> dict[str, np.ndarray]:
    """Components (area, year), and `population_start` of the first year (area, 1)."""
    ends = ("population_start", "population_end")
    gross = [name for name in COMPONENTS if name != "other"]
    if not _columns(table, ("year", "code", *COMPONENTS, *ends), found):
        return {}
    if not (
        _numbers(table, ["year", *gross, *ends], found)
        & _numbers(table, ["other"], found, signed=True)
    ):
        return {}
    if _repeated(table, ["year", "code"], found):
        return {}
    _check_sums(table, found)
    sums = _recoded(table, book, found).groupby(["year", "code"])[[*COMPONENTS, *ends]].sum()
    known, blocks = set(sums.index.get_level_values(0)), {}
    lacking: dict[tuple[str, ...], list[int]] = {}
    for year in map(int, years):
        at = year if year in known or year != years[-1] else year - 1
        there = set(sums.loc[at].index) if at in known else set()
        missing = tuple(c for c in book.areas if c not in there)
        if missing:
            lacking.setdefault(missing, []).append(year)
        else:
            blocks[year] = sums.loc[at].loc[list(book.areas)]
    for codes, without in lacking.items():
        found.add("AREA_YEARS", file=table.file, column="year", codes=list(codes),
                  number=len(codes), years=without)  # fmt: skip
    if found.failed:
        return {}
    out = {n: np.stack([b[n].to_numpy(float) for b in blocks.values()], 1) for n in COMPONENTS}
    out["population_start"] = blocks[int(years[0])]["population_start"].to_numpy(float)[:, None]
    return out | {"last_repeated": np.array([int(years[-1]) not in known])}


def _check_sums(table: Read, found: Collector) -> None:
    rows = table.rows
    gained = rows[["population_start", "births", "internal_in", "international_in", "other"]]
    lost = rows[["deaths", "internal_out", "international_out"]]
    made = gained.sum(axis=1) - lost.sum(axis=1)
    off = (made - rows["population_end"]).to_numpy(float)
    bad = np.flatnonzero(np.abs(off) > SUM_TOLERANCE)
    if bad.size:
        worst = rows.iloc[bad[np.argmax(np.abs(off[bad]))]]
        gives = float(made[worst.name])
        found.add("AREA_SUM", file=table.file, area=worst["code"], year=worst["year"], found=gives,
                  given=float(worst["population_end"]), number=int(bad.size),
                  off=gives - float(worst["population_end"]))  # fmt: skip


def _mobility(table: Read, ages: np.ndarray, found: Collector) -> np.ndarray | None:
    """Internal moves a person a year, (sex, age)."""
    if not _columns(table, ("sex", "age", "moves", "population"), found):
        return None
    dated = Read(table.rows.assign(code="the nation", year="all years"), table.file)
    if not _numbers(dated, ["age", "moves", "population"], found):
        return None
    rate = (dated.rows["moves"] / dated.rows["population"]).set_axis(
        pd.MultiIndex.from_frame(dated.rows[["sex", "age"]])
    )
    missing = [f"{s} {a}" for s in SEXES for a in ages if (s, a) not in rate.index]
    if missing:
        found.add("AREA_COLUMNS.cells", file=table.file, cells=missing, number=len(missing))
        return None
    return np.stack([rate.loc[s].loc[list(ages)].to_numpy(float) for s in SEXES])


def _by_region(table: Read, book: Book, found: Collector) -> pd.DataFrame | None:
    """Rolled-forward minus census at the end by region and sex."""
    if not _columns(table, ("region", "sex", "difference"), found):
        return None
    dated = Read(table.rows.assign(code=table.rows["region"], year="the end"), table.file)
    cells, known = ["region", "sex"], sorted(set(book.region.values()))
    if not (_numbers(dated, ["difference"], found, signed=True)
            & _labels(table, "region", known, found) & _labels(table, "sex", SEXES, found)
            ) or _repeated(dated, cells, found):  # fmt: skip
        return None
    there = set(map(tuple, table.rows[cells].to_numpy()))
    missing = [f"{r} {s}" for r in known for s in SEXES if (r, s) not in there]
    if missing:
        found.add("AREA_COLUMNS.cells", file=table.file, cells=missing, number=len(missing))
        return None
    return table.rows


def _moves(table: Read, book: Book, found: Collector) -> pd.DataFrame | None:
    """Internal moves (area by first age of the group), persons a year."""
    if not _columns(table, ("code", "first_age", "moves"), found):
        return None
    dated = Read(table.rows.assign(year="all years"), table.file)
    if not _numbers(dated, ["moves"], found) or _repeated(dated, ["code", "first_age"], found):
        return None
    sums = _recoded(dated, book, found).pivot_table(
        index="code", columns="first_age", values="moves", aggfunc="sum"
    )
    missing = [c for c in book.areas if c not in sums.index or sums.loc[c].isna().any()]
    if missing:
        found.add("AREA_CODES.without", file=table.file, codes=missing, number=len(missing),
                  what="internal moves by age")  # fmt: skip
        return None
    return sums.loc[list(book.areas)]


def _special(table: Read, book: Book, ages: np.ndarray, found: Collector) -> np.ndarray | None:
    """Special populations (area, sex, age), each group of ages laid out evenly."""
    keys = ["kind", "code", "sex", "first_age"]
    if not _columns(table, (*keys, "persons"), found):
        return None
    dated = Read(table.rows.assign(year="all years"), table.file)
    if not _numbers(dated, ["first_age", "persons"], found) or _repeated(dated, keys, found):
        return None
    rows = _recoded(dated, book, found)
    out = np.zeros((len(book.areas), len(SEXES), ages.size))
    for _, kind in rows.groupby("kind"):
        first = np.sort(kind["first_age"].unique().astype(int))
        ends = dict(zip(first, [*first[1:], ages.size], strict=True))
        for row in kind.itertuples():
            group = slice(int(row.first_age), ends[int(row.first_age)])
            r, sex = book.areas.index(row.code), SEXES.index(row.sex)
            out[r, sex, group] += row.persons / (group.stop - group.start)
    return out


def _against_nation(
    given: Given, nation: LinearModel, files: Mapping[str, str], found: Collector
) -> None:
    """Stocks of areas add up to those of the nation, year by year."""
    sources = nation.sources
    compared: dict[str, dict[int, tuple[float, float]]] = {
        "base": {sources.first_year: (given.components["population_start"].sum(),
                                      sources.base.total)},
        "census": {y: (p.sum(), sources.census.total) for (kind, y), p in given.stocks.items()
                   if kind == CENSUS_BASED and y == sources.last_year},
    }  # fmt: skip
    cells = sources.rolled_forward.by_sex_and_age
    if cells is not None:
        compared["roll-forward"] = {
            y: (p.sum(), float(cells.sel({YEAR: y}).sum()))
            for (kind, y), p in given.stocks.items()
            if kind == ROLLED and y in cells[YEAR].values
        }
    repeated = bool(given.components["last_repeated"][0])
    for name, count in (("births", sources.births.count), ("deaths", sources.deaths.count)):
        whole = count.sum([dim for dim in count.dims if dim != YEAR])
        compared[name] = {
            int(y): (float(areas), float(whole.sel({YEAR: y})))
            for y, areas in zip(sources.years, given.components[name].sum(axis=0), strict=True)
            if not (repeated and y == sources.years[-1])
        }
    for name, years in compared.items():
        off = {y: a - n for y, (a, n) in years.items() if abs(a - n) > NATION_TOLERANCE * n}
        if off:
            said = [f"{year} {difference:+,.0f}" for year, difference in off.items()]
            of = "population" if name in ("census", "roll-forward") else "components"
            found.add("AREAS_NATION", file=files[of], found=f"the {name}", differences=said)


def _flows_beside_nation(yearly: Mapping[str, np.ndarray], nation: LinearModel) -> list[str]:
    """International flows that do not add up to the nation's: only shares of them are taken."""
    out: list[str] = []
    total = nation.sources.total_migration
    if total is None:
        return out
    known = nation.sources.years[: -1 if yearly["last_repeated"][0] else None]
    for flow, column in INTERNATIONAL.items():
        whole = total.sel({FLOW: flow, YEAR: known}).values
        off = yearly[column].sum(axis=0)[: known.size] - whole
        wrong = np.abs(off) > NATION_TOLERANCE * whole
        if wrong.any():
            said = ", ".join(
                f"{y} {x:+,.0f}" for y, x in zip(known[wrong], off[wrong], strict=True)
            )
            out.append(
                f"{flow.capitalize()} of areas does not add up to the nation's ({said}, areas "
                "minus nation): only the areas' shares of it are taken. Give the nation's vintage."
            )
    return out
