"""Makes the compact tables of the areas of a shipped case from published tables.

    uv run python data_raw/areas.py FOLDER ...

The folders hold the published tables: `la_population_sya_ew.csv.gz` (ONS, table MYE2 of mid-2013,
mid-2015, mid-2019, mid-2020 and mid-2021), `la_components_panel_ew.csv.gz` (ONS, MYEB3 to
mid-2019 and MYE3 of mid-2020) `region_components_sya_2002_2013.csv.gz` (ONS, MYEB2 0213), and
`la_internal_migration_agegroup_2002_2015.csv.gz` (ONS, Internal migration, local authorities,
detailed estimates, summed to five age groups by the Department for Transport),
`la_census2021_communal_ew.csv` (Census 2021, table TS048; the adjustment is ONS, table MYE3a of
mid-2021, less table TS009) and `bristol_components_sya_2001_2014.csv` (ONS, MYEB2 of mid-2014).
Written are the figures that the account of areas takes, as published, and nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

TARGET = Path(__file__).parents[1] / "imps" / "shipped" / "england_wales_2011_2021" / "areas"
BESIDE = Path(__file__).parent / "england_wales_2011_2021" / "areas"
"""For what the shipped areas are fitted without (docs/areas.md)."""
KIND = {"mye2021_census": "census-based"}
COLUMNS = {"other_change": "other"}
MERGED = {
    "E06000060": "E07000004 E07000005 E07000006 E07000007",
    "E06000058": "E06000028 E06000029 E07000048",
    "E06000059": "E07000049 E07000050 E07000051 E07000052 E07000053",
    "E07000246": "E07000190 E07000191",
    "E07000244": "E07000205 E07000206",
    "E07000245": "E07000201 E07000204",
    "E06000061": "E07000150 E07000152 E07000153 E07000156",
    "E06000062": "E07000151 E07000154 E07000155",
    "E08000037": "E08000020",
    "E06000057": "E06000048",
    "E07000242": "E07000097",
    "E07000240": "E07000100",
    "E07000243": "E07000101",
    "E07000241": "E07000104",
}
"""Areas of April 2021 and the codes that are now part of them (ONS, code history database)."""


def population(folder: Path) -> pd.DataFrame:
    """Roll-forward of four mid-years and the census-based mid-2021, by sex and single year."""
    rows = pd.read_csv(folder / "la_population_sya_ew.csv.gz")
    rows.insert(0, "kind", rows["vintage"].map(KIND).fillna("rolled-forward"))
    return rows.drop(columns="name").sort_values(["kind", "year", "code", "sex"])


def components(folder: Path) -> pd.DataFrame:
    """Components of change by area, mid-2012 to mid-2020."""
    rows = pd.read_csv(folder / "la_components_panel_ew.csv.gz").rename(columns=COLUMNS)
    kept = (rows["vintage"] == "mye2019") & (rows["year"] > 2011) | (rows["vintage"] == "mye2020")
    drop = ["lad_geography", "name", "country", "internal_net", "international_net"]
    return rows[kept].drop(columns=drop).sort_values(["year", "code"])


def codes(folder: Path) -> pd.DataFrame:
    """Every code and the area of April 2021 that it is part of."""
    rows = pd.read_csv(folder / "la_population_sya_ew.csv.gz", usecols=["vintage", "code", "name"])
    now = (
        rows[rows["vintage"] == "mye2021_census"].drop_duplicates("code").set_index("code")["name"]
    )
    pairs = [(code, code) for code in now.index]
    pairs += [(old, new) for new, all_old in MERGED.items() for old in all_old.split()]
    out = pd.DataFrame(sorted(pairs), columns=["old", "code"])
    region = out["code"].str[0].map({"E": "England", "W": "Wales"})
    return out.assign(name=out["code"].map(now), region=region)


def mobility(folder: Path) -> pd.DataFrame:
    """Internal moves by sex and age, year to mid-2013: half of arrivals and departures."""
    rows = pd.read_csv(folder / "region_components_sya_2002_2013.csv.gz")
    sums = (
        rows[rows["year"] == 2013]
        .groupby(["sex", "age"])[["internal_in", "internal_out", "population"]]
        .sum()
    )
    moves = ((sums["internal_in"] + sums["internal_out"]) / 2).round(1)
    return pd.DataFrame({"moves": moves, "population": sums["population"]}).reset_index()


def moves_by_age(folder: Path) -> pd.DataFrame:
    """Internal moves of areas in five age groups, a year, mid-2012 to mid-2015."""
    rows = pd.read_csv(folder / "la_internal_migration_agegroup_2002_2015.csv.gz")
    rows = rows[(rows["year"] >= 2013) & rows["code"].str[0].isin(["E", "W"])]
    first_age = rows["age_group"].str.extract(r"(\d+)")[0].astype(int)
    moves = (rows["internal_in"] + rows["internal_out"]) / 2
    return (rows.assign(first_age=first_age, moves=moves).groupby(["code", "first_age"])["moves"]
            .sum().div(rows["year"].nunique()).round(1).reset_index())  # fmt: skip


WOMEN = {"armed forces": 0.110, "prisoners": 0.04}
"""Share of women: Ministry of Defence, UK Armed Forces Biannual Diversity Statistics, 1 October
2020; Ministry of Justice, prison population 2024 (3,635 of 91,504)."""
BY_AGE = {
    "armed forces": {18: 0.266, 25: 0.241, 30: 0.493, 55: 0.0},
    "prisoners": {18: 0.274, 25: 0.197, 30: 0.280, 40: 0.163, 50: 0.058, 60: 0.028, 80: 0.0},
}
"""Shares by first age of a group. Regular forces of April 2014: 26.6 per cent under 25, and by
service 55.9, 48.4 and 39.2 per cent under 30 (Army, Naval Service, RAF), weighed 57 : 21 : 22
(UK Armed Forces Annual Personnel Report 2014); nobody from 55. Prisoners of England in 2007
(Hansard, 11 July 2007), those under 18 left out and those under 21 put to 18 to 24."""


def special(folder: Path) -> pd.DataFrame:
    """Residents of barracks and prisons at the 2021 Census, by sex and age as above."""
    rows = pd.read_csv(folder / "la_census2021_communal_ew.csv").set_index("code")
    out = []
    for kind, column in {"armed forces": "defence", "prisoners": "prison"}.items():
        for code, persons in rows[column][rows[column] > 0].items():
            for sex, share in (("female", WOMEN[kind]), ("male", 1 - WOMEN[kind])):
                out += [(kind, code, sex, age, round(persons * share * part, 1))
                        for age, part in BY_AGE[kind].items()]  # fmt: skip
    return pd.DataFrame(out, columns=["kind", "code", "sex", "first_age", "persons"])


def communal(folder: Path) -> pd.DataFrame:
    """Residents of halls at the 2021 Census, and what the base of mid-2021 has beside the count."""
    rows = pd.read_csv(folder / "la_census2021_communal_ew.csv")
    names = {"education": "halls", "mye_base_adjustment": "adjustment"}
    return rows.rename(columns=names)[["code", *names.values()]]


def schedules(folder: Path) -> pd.DataFrame:
    """Arrivals and departures of the one area of which they are published by sex and age."""
    rows = pd.read_csv(folder / "bristol_components_sya_2001_2014.csv")
    kept = rows[rows["year"] >= 2012].sort_values(["year", "sex", "age"])
    return kept[["code", "year", "sex", "age", "international_in", "international_out"]]


def main(folders: list[Path]) -> None:
    """Write the tables."""
    for folder in (TARGET, BESIDE):
        folder.mkdir(exist_ok=True)
    packed = {"method": "gzip", "mtime": 1, "compresslevel": 9}
    for make, source in {
        population: "la_population_sya_ew.csv.gz", components: "la_components_panel_ew.csv.gz",
        codes: "la_population_sya_ew.csv.gz",
        mobility: "region_components_sya_2002_2013.csv.gz",
        moves_by_age: "la_internal_migration_agegroup_2002_2015.csv.gz",
        special: "la_census2021_communal_ew.csv",
        communal: "la_census2021_communal_ew.csv",
        schedules: "bristol_components_sya_2001_2014.csv",
    }.items():  # fmt: skip
        folder = next(f for f in folders if (f / source).exists())
        large = make in (population, components)
        name = f"{make.__name__}.csv" + (".gz" if large else "")
        target = BESIDE if make in (special, communal, schedules) else TARGET
        make(folder).to_csv(target / name, index=False, compression=packed if large else None)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
