"""How far single ages of a stock depart from births and deaths: evidence of a prior, and a rule.

For ages 0-9 and 10-17 of a mid-year estimate: published persons less registered births plus
deaths of each cohort, a share of births, about a straight line over age. Births of a cohort
are half of each of its two calendar years, and so are its deaths at each age. The root mean
square of what departs from the line (degrees of freedom taken off) is given for persons, for
each sex and for the difference of the sexes, with the correlation of the sexes. The estimates
of 1971 and 1981 are the evidence of the prior `stock_single_age_error`; those of 1991, 2001 and
2011 stand in accounts that are shipped, and are printed only. The last row is the error of
births halved to mid-years against those published of years to mid-year, 2002-2020.

Needs the published figures, which are not shipped. Appends to results/single_ages.csv. Run as

    uv run python benchmarks/bench_single_ages.py FOLDER_OF_PUBLISHED_FIGURES
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from results_file import append

from imps.demography.accounting import INFANT_DEATHS_IN_BIRTH_COHORT

AREA, VINTAGE = "EW", "mye_2021_06"
YEARS = (1971, 1981, 1991, 2001, 2011)
BANDS = ((0, 9), (10, 17))
FIRST_DEATHS = 1963
"""First year of deaths by single age; those of the years before are taken as of it."""


def departures(figures: dict[str, pd.Series], year: int, band: tuple[int, int]) -> pd.DataFrame:
    """Persons, men and women less births and deaths, about a line, (age), shares of births."""
    population, births, deaths = (figures[name] for name in ("population", "births", "deaths"))
    ages, found = np.arange(band[0], band[1] + 1), {}
    for sex in ("male", "female"):
        born = np.array([births[sex][[year - a - 1, year - a]].mean() for a in ages])
        died = np.array(
            [
                sum(
                    (1.0 if x < a else INFANT_DEATHS_IN_BIRTH_COHORT if a == 0 else 0.5)
                    * deaths.loc[
                        [(max(t, FIRST_DEATHS), sex, x) for t in (born_by + x - 1, born_by + x)]
                    ].mean()
                    for x in range(a + 1)
                )
                for a, born_by in zip(ages, year - ages, strict=True)
            ]
        )
        people = population.loc[[(year, sex, a) for a in ages]].to_numpy()
        found[sex] = people - born + died, born
    (men, boys), (women, girls) = found["male"], found["female"]
    shares = {"both": (men + women) / (boys + girls), "male": men / boys, "female": women / girls}
    shares["difference"] = shares["male"] - shares["female"]
    lines = {name: np.polyval(np.polyfit(ages, y, 1), ages) for name, y in shares.items()}
    return pd.DataFrame({name: y - lines[name] for name, y in shares.items()}, index=ages)


def read(folder: Path) -> dict[str, pd.Series]:
    """Population by year, sex and age; births by sex and calendar year; deaths."""
    stocks = pd.read_csv(folder / "national_population_sya_vintages.csv.gz")
    stocks = stocks[(stocks["area"] == AREA) & (stocks["vintage"] == VINTAGE)]
    births = pd.read_csv(folder / "ew_births_annual_1938_2022.csv").set_index("year")
    ratio = births["sex_ratio_m_per_1000f"].ffill()
    men = births["live_births"] * ratio / (1000 + ratio)
    deaths = pd.read_csv(folder / "ew_deaths_sya_1963_2021.csv.gz")
    return {
        "population": stocks.set_index(["year", "sex", "age"])["population"].sort_index(),
        "births": pd.Series({"male": men, "female": births["live_births"] - men}),
        "total": births["live_births"],
        "deaths": deaths.set_index(["year", "sex", "age"])["deaths"].sort_index(),
    }


def halved_births(folder: Path, births: pd.Series) -> float:
    """Root mean square of births halved to mid-years over those published, less one."""
    panel = pd.read_csv(folder / "la_components_panel_ew.csv.gz")
    newest = panel.groupby(["year", "vintage"])["births"].sum().groupby("year").last()
    halved = (births + births.shift(1)).reindex(newest.index) / 2
    return float(np.sqrt(((halved / newest - 1) ** 2).mean()))


def main(folder: Path) -> None:
    """Each year and band, then the rule of halves."""
    figures = read(folder)
    rows = []
    for year in YEARS:
        for band in BANDS:
            found = departures(figures, year, band)
            error = np.sqrt((found**2).sum() / (len(found) - 2))
            rows.append(
                {
                    "year": year,
                    "ages": f"{band[0]}-{band[1]}",
                    **{f"{name}, %": round(100 * float(error[name]), 2) for name in found},
                    "correlation of sexes": round(found["male"].corr(found["female"]), 2),
                }
            )
    empty = dict.fromkeys(rows[0], "")
    share = round(100 * halved_births(folder, figures["total"]), 2)
    rows.append({**empty, "year": "2002-2020", "ages": "births halved", "both, %": share})
    append("single_ages", rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
