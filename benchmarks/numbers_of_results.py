"""The numbers in README.md, benchmarks/README.md and docs/areas.md, from the rows of results.

Each sentence below stands in one of the texts, with a number wherever it has a #; this
command writes the numbers there from the newest rows of `results/*.csv`, as they are printed
there (sign, digits, commas), and tells which have changed. The prose around them is nobody's
but the author's: a sentence that is reworded in the text is reworded here.

    uv run python benchmarks/numbers_of_results.py
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

ROOT = Path(__file__).parents[1]
SHOWN, OWN, AREAS = "README.md", "benchmarks/README.md", "docs/areas.md"
MODEL, PUBLISHED = "model without the census", "roll-forward as published"
AGES = "single years of age by sex"
BANDS = ("0-9", "10-17")
HEADLINE, TODAY = ("gap[base]", "group[migration]", "group[census]"), 2026
CASES = ("uk-1991-2001", "england-wales-2001-2011", "england-wales-2011-2021")
KEYS = {
    "planted": ["scenario", "quantity"],
    "accuracy": ["scenario", "model", "quantity"],
    "backtests": ["part", "case", "target", "method"],
    "calibration": ["account", "quantity"],
    "faults": ["fault", "check"],
    "displaced": ["planted"],
    "speed": ["case", "way", "quantity"],
    "scaling": ["grows", "size"],
    "grid": ["case"],
    "nuts": ["data_set", "what"],
    "stability": ["account", "what"],
    "single_ages": ["year", "ages"],
    "conflicts": ["case", "changed"],
    "priors": ["case", "priors", "quantity"],
    "closes_exactly": ["size_million", "years", "variation", "group_width", "ages"],
    "faults_in_files": ["kind"],
    "faults_held_out": ["kind"],
    "countries": ["kind"],
    "chain": ["part", "period", "quantity", "setting"],
    "areas": ["study", "part", "source", "quantity"],
}


@lru_cache
def rows(name):
    """The newest row of each key of a file of results; of scenarios those of the newest run."""
    path = ROOT / "benchmarks" / "results" / f"{name}.csv"
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    if name in ("planted", "accuracy"):  # an earlier run may have had other quantities
        run = table.groupby(KEYS[name][:-1])["commit"].transform("last")
        table = table[table["commit"] == run]
    return table.drop_duplicates(KEYS[name], keep="last").set_index(KEYS[name]).sort_index()


def thousands(name, column, *key):
    return rows(name).loc[key, column] / 1000


def back(column, *key):
    return rows("backtests").loc[("prediction", *key), column]


def planted(column, *key):
    return rows("planted").loc[key, column]


def yearly(table):
    return table[table.index.str.contains(r"^net_migration\[\d")]


def of_sources(table):
    return table[table.index.str.startswith("gap[")]


def one_sd():
    table = rows("planted")["coverage90"].dropna().reset_index()
    table = table[table["scenario"].str.contains("one prior sd")]
    return table[table["quantity"].str.contains(r"^(?:gap|net_migration)\[")]


def ranked(account):
    """Rows of the newest run: an earlier one may have had other quantities."""
    table = pd.read_csv(ROOT / "benchmarks" / "results" / "calibration.csv")
    table = table[table["account"] == account]
    return table[table["commit"] == table["commit"].iloc[-1]].set_index("quantity")


def number(text):
    return float(text.replace(",", "").replace("\u2212", "-").replace("+", ""))


def printed(value: float, like: str) -> str:
    """A value as a number is printed already: its sign, digits, commas, and zero before a point."""
    if agrees(like, value):
        return like
    digits = len(like.partition(".")[2])
    text = f"{abs(value):{',' if abs(value) >= 1000 else ''}.{digits}f}"
    if like.lstrip("+-\u2212").startswith("."):
        text = text.removeprefix("0")
    minus = "\u2212" if "\u2212" in like else "-"
    return ((minus if value < 0 else "+") if like[0] in "+-\u2212" or value < 0 else "") + text


def agrees(text, value):
    """Whether a number as printed is the value rounded to its last printed digit."""
    digits = len(text.partition(".")[2])
    return abs(number(text) - value) <= 0.5 * 10**-digits * (1 + 1e-6) + 1e-9


NUMBER = r"([+\u2212-]?(?:\d[\d,]*\.?\d*|\.\d+))"


class Claim(NamedTuple):
    """A sentence of a text, with # for each number, and the values of the numbers."""

    where: str
    sentence: str
    values: tuple

    def place(self, text: str) -> re.Match:
        """Where the sentence stands, however its lines are broken."""
        pattern = re.escape(self.sentence).replace(r"\#", NUMBER).replace(r"\ ", r"\s+")
        found = re.search(pattern, text)
        if found is None:
            raise SystemExit(f"{self.where} does not say: {self.sentence}")
        assert len(found.groups()) == len(self.values), self.sentence
        return found

    def written(self, text: str) -> str:
        """The text with the numbers of the sentence as they were measured."""
        found = self.place(text)
        for i, value in reversed(list(enumerate(self.values, start=1))):
            text = text[: found.start(i)] + printed(value, like=found[i]) + text[found.end(i) :]
        return text


def claim(where, sentence, *values):
    return Claim(where, sentence, values)


def band(column, case, ages):
    return back(column, case, f"{AGES}, ages {ages}", MODEL)


def total_rows():
    """The table of predicted totals."""
    for case in CASES:
        own = (case, "total", MODEL)
        yield claim(
            OWN,
            f"| `{case}` | # | # | # | yes | # | # |",
            *(back(c, *own) / 1000 for c in ("predicted", "sd", "actual", "crps")),
            back("crps", case, "total", PUBLISHED) / 1000,
        )


PIECES = (
    (CASES[0], "base", "England and Wales"),
    (CASES[0], "census", "England and Wales"),
    (CASES[0], "migration and residual", "England and Wales"),
    (CASES[1], "migration", "United Kingdom"),
    (CASES[2], "migration", "United Kingdom"),
)


def attribution_rows():
    """The table of attributions against what was published later."""
    for case, piece, area in PIECES:
        key = ("attribution", case, f"{piece}, published for {area}")
        model = rows("backtests").loc[(*key, "model")]
        stone = rows("backtests").loc[(*key, "least squares (Stone)")]
        others = ("pro rata to size", "smallest change of gross flows")
        yield claim(
            OWN,
            f"| `{case}` | {piece}, {area} | # | # (#) | {yes(model.coverage90)} | # (#) | "
            f"{yes(stone.coverage95)} | # | # |",
            *(x / 1000 for x in (model.actual, model.predicted, model.sd)),
            *(x / 1000 for x in (stone.predicted, stone.sd)),
            *(thousands("backtests", "predicted", *key, method) for method in others),
        )


def yes(coverage):
    return "yes" if coverage == 1 else "no"


CHILDREN = ("0-9", "10-19")
WIDE = "2011, prior of immigration bias three times as wide"


def prediction_claims():
    early, late = CASES[1:]
    learnt = f"{MODEL}, priors of the time, scales of the other decade"
    yield from total_rows()
    yield claim(
        OWN,
        "the 90 % intervals hold # % of cells in 2001-2011 and # % in 2011-2021, "
        "the 95 % intervals # and # %",
        *(100 * back(c, case, AGES, MODEL) for c in ("coverage90", "coverage95")
          for case in (early, late)),
    )  # fmt: skip
    yield claim(
        OWN,
        "the 90 % intervals hold #, # and # % in 2001-2011 and #, # and # % in 2011-2021",
        *(100 * band("coverage90", case, ages) for case in (early, late)
          for ages in ("20-39", "40-64", "65+")),
    )  # fmt: skip
    yield claim(
        OWN,
        "at 0-9 they hold # and # % in the two decades, at 10-19 # and # %:",
        *(100 * band("coverage90", case, ages) for ages in CHILDREN for case in (early, late)),
    )
    errors = [
        -back("mean_error", early, f"single years of age, {sex} 10-19", MODEL) / 1000
        for sex in ("male", "female")
    ]
    yield claim(
        OWN,
        "# thousand boys and # thousand girls of 10-19 short in 2011 (# % of them)",
        *errors,
        -2000 * band("mean_error", early, "10-19") / band("actual", early, "10-19"),
    )
    net = "net migration over the decade of those aged {} at its end"
    young = [(early, net.format("10-19"), PUBLISHED), (late, net.format("0-9"), PUBLISHED)]
    yield claim(
        OWN,
        "# thousand for those aged 10-19 in 2011, where the roll-forward carried #; and of # "
        "thousand for those under 10 in 2021, where it carried #",
        *(back(c, *key) / 1000 for key in young for c in ("actual", "predicted")),
    )
    chance = f"{MODEL}, chance of no more inside"
    yield claim(
        OWN,
        "gives a chance of # and # to no more cells",
        *(back("coverage90", case, AGES, chance) for case in (early, late)),
    )
    yield claim(
        OWN,
        "the 90 % intervals hold # and # % of all cells, # and # % at 0-9, # and # % at 10-19 "
        "(2001-2011, then 2011-2021); the CRPS of the totals is # and # thousand",
        *(100 * back("coverage90", case, target, learnt)
          for target in (AGES, *(f"{AGES}, ages {ages}" for ages in CHILDREN))
          for case in (early, late)),
        *(back("crps", case, "total", learnt) / 1000 for case in (early, late)),
    )  # fmt: skip
    yield claim(
        OWN,
        "the better score but for the women of 2011-2021 (2001-2011: men # "
        "against # thousand, women # against #; 2011-2021: # against #, # against #)",
        *(back("crps", case, sex, method) / 1000
          for case in (early, late) for sex in ("male", "female")
          for method in (MODEL, PUBLISHED)),
    )  # fmt: skip
    stated = "stated standard errors only"
    yield claim(
        OWN,
        "in its 95 % interval: CRPS #, # and # thousand. Pro-rata ages (the published total with "
        "the ages of the base) score # and # thousand a cell, against # for the model and # to # "
        "for the roll-forward.",
        *(back("crps", case, "total", stated) / 1000 for case in CASES),
        *(back("crps", case, AGES, "pro rata to the base") / 1000 for case in (early, late)),
        *(back("crps", late, AGES, MODEL) / 1000,),
        *(back("crps", case, AGES, PUBLISHED) / 1000 for case in (early, late)),
    )
    yield claim(
        OWN,
        "it is further off (# against # thousand)",
        *(back("mean_error", early, "total", m) / 1000 for m in (MODEL, PUBLISHED)),
    )
    yield from attribution_rows()
    yield claim(
        OWN,
        "men # counted, # (#) predicted; women # counted, # (#) predicted",
        *(back(c, late, sex, MODEL) / 1000 for sex in ("male", "female")
          for c in ("actual", "predicted", "sd")),
    )  # fmt: skip


def without_ages_claims(value):
    shifts = value[value.index.get_level_values("what").str.match(r"without .*, sds$")].abs()

    def most(case, *bands):
        named = shifts[case].index.str.extract(r"without (.*):", expand=False)
        return shifts[case][named.isin(bands)].max()

    first, second = CASES[1:]
    young = ("0-9", "10-19", "0-19")
    assert shifts[[first, second]].max() <= 1
    yield claim(
        OWN,
        "under 20 by at most # in 2001-2011 and # in 2011-2021, without 20-39 by # and without "
        "40-64 by # in 2011-2021",
        most(first, *young), most(second, *young), most(second, "20-39"), most(second, "40-64"),
    )  # fmt: skip
    yield claim(OWN, "whose model is right, the largest is #:", shifts["simulated, null"].max())
    yield claim(
        OWN,
        "than all other figures predict: by # and # thousand, z # and #.",
        *(value[case, f"without 85+: counted, {what}"]
          for what in ("thousand", "z") for case in (first, second)),
    )  # fmt: skip
    yield claim(
        OWN,
        "without these ages the base falls by # and # of its posterior sds",
        *(-value[case, "without 85+: base, sds"] for case in (first, second)),
    )


def stability_claims():
    value = rows("stability")["value"]
    cases = (*CASES[1:], "simulated, null")
    yield claim(
        OWN,
        "the conflict is # and # % on England and Wales 2001-2011 and 2011-2021, # % on a "
        'simulated account without births before its base (rows "right"); with the scales sought '
        "again in each data set, as a fit does, it is #, # and # %",
        *(100 * value[case, what] for what in ("right", "right, scales found again")
          for case in cases),
    )  # fmt: skip
    yield claim(
        OWN,
        "are found in #, # and # % of them",
        *(100 * value[case, "children 3 % short"] for case in cases),
    )
    yield from without_ages_claims(value)
    closed = rows("closes_exactly").reset_index()
    closed = closed[closed["group_width"].isin((1, 5))]
    undeclared, groups = closed["ages"] == "not declared", closed["group_width"] == 5
    for words, of in (
        (
            "with five-year groups, their ages not declared",
            undeclared & groups,
        ),
        ("with single years, not declared either", undeclared & ~groups),
        (
            "with five-year groups and ages declared, in the worst setting of the first",
            ~undeclared & groups,
        ),
        (
            "with single years and ages declared, half a million, cells that vary by 30 %",
            ~undeclared & ~groups,
        ),
    ):
        table = closed[of]
        seeds = table["seeds"]
        yield claim(
            OWN,
            f"{words}: # accounts, # errors, # \"do not use\"; every source holds zero in # % of "
            "them, in the worst setting in # %, each source in at least # %; mean of |posterior "
            "mean| / sd at most #",
            seeds.sum(), table["errors"].sum(), table["do_not_use"].sum(),
            100 * (table["all_hold_zero"] * seeds).sum() / seeds.sum(),
            100 * table["all_hold_zero"].min(),
            100 * (table["least_share_of_a_source"] * seeds).sum() / seeds.sum(),
            table["mean_off_in_sd"].max(),
        )  # fmt: skip
    yield claim(
        OWN,
        "in the two decades migration takes # and # thousand of those aged 0-9 and # and # of "
        "those aged 10-19; the base moves by #, #, # and #.",
        *(sign * value[case, f"children missed at {ages}: {group}"]
          for group, sign in (("migration", -1), ("base", 1))
          for ages in CHILDREN for case in CASES[1:]),
    )  # fmt: skip
    yield claim(
        OWN,
        "on the simulated account the base moves by # and # thousand",
        *(value[cases[2], f"children missed at {ages}: base"] for ages in CHILDREN),
    )
    yield claim(
        OWN,
        "At 0-9 migration takes # and # thousand and the census # and #.",
        *(-value[case, f"children counted more at 0-9: {group}"]
          for group in ("migration", "census") for case in CASES[1:]),
    )  # fmt: skip


def conflict_claims():
    found = rows("conflicts")
    early, late = (found.loc[case] for case in CASES[1:])
    now, without = "as shipped", "no error of single ages"
    yield claim(
        OWN,
        "the strongest |z| is # in 2001-2011 (births before the base) and # in 2011-2021 (ages "
        "20-39), where # and # are critical",
        *(case.loc[without, what] for what in ("strongest", "critical") for case in (early, late)),
    )
    yield claim(
        OWN,
        "it is # and #, and the log density of the published figures rises by # and #",
        *(case.loc[now, "strongest"] for case in (early, late)),
        *(case.loc[now, "log_density"] - case.loc[without, "log_density"]
          for case in (early, late)),
    )  # fmt: skip
    yield claim(
        OWN,
        "base from # to # and census from # to # thousand, by # and # of their sds; in 2001-2011 "
        "all migration from # to # thousand",
        *(late.loc[change, f"{group}, mean"] / 1000 for group in ("base", "census")
          for change in (without, now)),
        *(abs(late.loc[now, f"{g}, mean"] - late.loc[without, f"{g}, mean"])
          / late.loc[without, f"{g}, sd"] for g in ("base", "census")),
        *(early.loc[change, "migration, mean"] / 1000 for change in (without, now)),
    )  # fmt: skip
    halved = "births halved"
    yield claim(
        OWN,
        "with the error of single ages (#), and a conflict of ages 0-9 without it (#)",
        late.loc[halved, "strongest"],
        late.loc[f"{halved}, {without}", "z 0-9: base"],
    )
    yield claim(
        OWN,
        "z is #, just beyond the critical #;",
        late.loc[now, "z 20-39: base"],
        late.loc[now, "critical"],
    )
    single = rows("single_ages")
    yield claim(
        OWN,
        "depart from a line over age by # to # %, in those of 1981 with a correlation of boys and "
        "girls of # and #. Of that, # % are births halved",
        *(float(single.loc["1971", what]["both, %"]) for what in BANDS[::-1]),
        *(single.loc["1981", band]["correlation of sexes"] for band in BANDS),
        single.loc["2002-2020", "births halved"]["both, %"],
    )


def priors_claims():
    found = rows("priors")
    groups = found[found.index.get_level_values("quantity").isin(HEADLINE)]
    sides = found.drop(index=groups.index)
    today, moved = str(TODAY), "moved_in_sd"
    before = ~groups.index.get_level_values("priors").isin((today, "default"))
    late = found.xs(CASES[2])["mean_thousand"]
    yield claim(
        SHOWN,
        "base, migration and census of the three gaps move by at most # of their posterior sds, "
        "the bias of one direction by up to #; on England and Wales 2011-2021 both change sign "
        "(immigration # to # thousand, emigration # to #)",
        groups.xs(today, level="priors")[moved].abs().max(),
        sides.xs(today, level="priors")[moved].abs().max(),
        *(late[priors, f"gap[{flow}_bias]"]
          for flow in ("immigration", "emigration") for priors in ("default", today)),
    )  # fmt: skip
    yield claim(
        SHOWN,
        "With those of the year before each second census the groups move by at most #.",
        groups[before][moved].abs().max(),
    )


def calibration_claims():
    small, full = ranked("small"), ranked("full")
    least = {name: table.loc[table["p_value"].idxmin()] for name, table in
             (("small", small), ("full", full))}  # fmt: skip
    yield claim(
        OWN,
        "# replicates): # of # ranked quantities, among them the joint log-likelihood of each "
        f"source, lie inside the family-wise 95 % envelope (columns `inside`, `family_wise_passed`;"
        f" smallest `p_value` of one quantity #, `{least['small'].name}`, `p_family` #). Coverage "
        "of 90 % intervals runs from # to # (column `coverage90`). Least effective size #, # CPU "
        "seconds a replicate.",
        small["replicates"].iloc[0],
        small["inside"].sum(),
        len(small),
        least["small"]["p_value"],
        least["small"]["p_family"],
        small["coverage90"].min(),
        small["coverage90"].max(),
        small["least_ess"].iloc[0],
        small["mean_cpu_seconds"].iloc[0],
    )
    yield claim(
        OWN,
        "# replicates): # of # ranked quantities inside, the largest deviation at "
        f"`{least['full'].name}` (`p_value` #, `p_family` #); least effective size #, # CPU "
        "seconds a replicate",
        full["replicates"].iloc[0],
        full["inside"].sum(),
        len(full),
        least["full"]["p_value"],
        least["full"]["p_family"],
        full["least_ess"].iloc[0],
        full["mean_cpu_seconds"].iloc[0],
    )
    chain = ranked("chain")
    yield claim(
        OWN,
        "# replicates): # of # ranked quantities of both periods inside, 90 % intervals covering "
        "# to #",
        chain["replicates"].iloc[0],
        chain["inside"].sum(),
        len(chain),
        chain["coverage90"].min(),
        chain["coverage90"].max(),
    )
    chain = ranked("chain_by_age")
    yield claim(
        OWN,
        'Of its stocks by single age (account "chain_by_age", # replicates) # of # inside, # to #',
        chain["replicates"].iloc[0],
        chain["inside"].sum(),
        len(chain),
        chain["coverage90"].min(),
        chain["coverage90"].max(),
    )
    kinds = [ranked(kind) for kind in ("register", "cards", "area")]
    yield claim(
        OWN,
        'accounts "register", "cards", "area", # replicates each): # of #, # of # and # of # '
        "ranked quantities inside, 90 % intervals covering # to #; #, # and # CPU seconds a "
        "replicate",
        kinds[0]["replicates"].iloc[0],
        *(number for table in kinds for number in (table["inside"].sum(), len(table))),
        min(table["coverage90"].min() for table in kinds),
        max(table["coverage90"].max() for table in kinds),
        *(table["mean_cpu_seconds"].iloc[0] for table in kinds),
    )
    right = rows("faults").loc["none"]
    checks = ("calibration", "calibration, other data sets")
    yield claim(
        OWN,
        "nor do the ranks of # data sets (`p_family` #) and of # others (#)",
        *(right.loc[check, what] for check in checks for what in ("data_sets", "value")),
    )


def planted_claims():
    held, said = (
        planted("coverage90", "null", what)
        for what in ("every source holds zero at 90 %", "report: nothing to explain")
    )
    yield claim(
        OWN,
        '(row "every source holds zero at 90 %": #), and in # % the report says that there is '
        'nothing to explain (row "report: nothing to explain": #)',
        held,
        100 * said,
        said,
    )
    for start, name in (
        ('scenario "null"', "null"),
        ('immigration bias three times as wide"', WIDE),
    ):
        yield claim(OWN, f"{start}, # data sets)", rows("planted").loc[name, "sets"].iloc[0])
    low, following, third = one_sd().nsmallest(3, "coverage90").to_dict("records")
    yield claim(
        OWN,
        f'every year\'s net migration is #: `{low["quantity"]}` under "{low["scenario"]}", whose '
        "truth came out at # prior sds of the fitted account",
        low["coverage90"],
        planted("truth_off_prior_in_sd", low["scenario"], low["quantity"]),
    )
    yield claim(
        OWN,
        "the mean is displaced by # thousand and the 50 % interval holds it in # %.",
        planted("bias", low["scenario"], low["quantity"]) / 1000,
        100 * planted("coverage50", low["scenario"], low["quantity"]),
    )
    yield claim(
        OWN,
        f'The next is #: `{following["quantity"]}` under "{following["scenario"]}". All other rows '
        "have # or more",
        following["coverage90"],
        third["coverage90"],
    )
    quiet = [rows("planted").loc[name]["coverage90"] for name in ("2021", "Australia 2011")]
    yield claim(
        OWN,
        '"2021" and "Australia 2011": coverage # or more for every source and # or more for net '
        "migration of every year",
        min(of_sources(table).min() for table in quiet),
        min(yearly(table).min() for table in quiet),
    )
    split = ["gap[immigration_bias]", "gap[emigration_bias]"]
    own = rows("planted").loc["2001"]
    turn = [
        -planted("bias", name, "net_migration[1995]") / 1000
        for name in ("2011", "2021", "Australia 2011")
    ]
    yield claim(
        OWN,
        '"2001": # or more except `net_migration[1995]`, #.',
        own["coverage90"].drop("net_migration[1995]").min(),
        own.loc["net_migration[1995]", "coverage90"],
    )
    yield claim(
        OWN,
        "known to some # thousand and smoothed over its neighbours, which costs # to # thousand",
        yearly(own)["sd"].min() / 1000,
        min(turn),
        max(turn),
    )
    yield claim(
        OWN,
        "all migration is displaced by # thousand as well (`group[migration]`, # a year)",
        own.loc["group[migration]", "bias"] / 1000,
        own.loc["group[migration]", "bias"] / 10_000,
    )
    yield claim(
        OWN,
        "is displaced by # and `gap[emigration_bias]` by # thousand; their 90 % intervals hold the "
        "truth in # and # %, their 50 % intervals in # and # %.",
        *own.loc[split, "bias"] / 1000,
        *100 * own.loc[split, "coverage90"],
        *100 * own.loc[split, "coverage50"],
    )
    far, wide = (rows("planted").loc[name] for name in ("2011", WIDE))
    yield claim(
        OWN,
        "Its truth, # thousand, lies # prior sds out, the data see little of it (sd # thousand), "
        "and the posterior mean stays at #; # % of 90 % intervals hold it.",
        far.loc[split[0], "truth"] / 1000,
        far.loc[split[0], "truth_off_prior_in_sd"],
        far.loc[split[0], "sd"] / 1000,
        far.loc[split[0], "mean"] / 1000,
        100 * far.loc[split[0], "coverage90"],
    )
    yield claim(
        OWN,
        "# % of intervals hold it, the mean is still only #: the price",
        100 * wide.loc[split[0], "coverage90"],
        wide.loc[split[0], "mean"] / 1000,
    )
    yield claim(
        OWN,
        'Everything else in "2011" has # or more, all migration #:',
        far["coverage90"].drop(split[0]).min(),
        far.loc["group[migration]", "coverage90"],
    )
    yield from missed_children()
    newest = rows("planted")["least_effective_points"]
    yield claim(OWN, "at least # of them effective", newest.min())


def missed_children():
    missed = [rows("planted").loc[f"children missed at {ages}, births before the base known"]
              for ages in CHILDREN]  # fmt: skip
    yield claim(
        OWN,
        "Migration takes # and # thousand of them, the base answers with # and # and the census "
        "with # and #",
        *(sign * table.loc[f"answer of {group}", "mean"] / 1000
          for group, sign in (("group[migration]", -1), ("gap[base]", 1), ("group[census]", 1))
          for table in missed),
    )  # fmt: skip
    headline = ["gap[base]", "group[migration]", "gap[census_coverage]"]
    yield claim(
        OWN,
        "The 90 % intervals of base, all migration and census coverage hold the truth in # % of "
        "them or more. They are wide: all migration is displaced by # and # thousand.",
        100 * min(table.loc[headline, "coverage90"].min() for table in missed),
        *(table.loc["group[migration]", "bias"] / 1000 for table in missed),
    )


def accuracy_claims():
    mended, before = (
        rows("accuracy").loc[("2001", name)] for name in ("one reference", "yearly reference")
    )
    names = ["gap[base]", "group[migration]", "gap[census_coverage]", "net_migration[all years]"]
    yield claim(
        SHOWN,
        '# data sets (`benchmarks/results/accuracy.csv`, model "one reference"): 90 per cent '
        "intervals cover base #, all migration #, census #, ten-year net migration #, closing "
        "population #.",
        mended["seeds"].iloc[0],
        *mended.loc[[*names, "population[2001]"], "coverage90"],
    )
    migration = mended.loc["group[migration]"]
    yield claim(
        SHOWN,
        "all migration is displaced by # thousand, # of its posterior sd, and its 50 per cent "
        "interval holds it in #.",
        migration["bias"] / 1000,
        migration["bias"] / migration["sd"],
        migration["coverage50"],
    )
    split = ["gap[immigration_bias]", "gap[emigration_bias]"]
    yield claim(
        SHOWN,
        'is displaced by # and # thousand on average (before the mending, model "yearly '
        'reference": # and #)',
        *mended.loc[split, "bias"] / 1000,
        *before.loc[split, "bias"] / 1000,
    )
    found = rows("displaced")
    error = found[["error_of_immigration_bias", "error_of_emigration_bias"]] / 1000
    yield claim(
        SHOWN, "(`benchmarks/results/displaced.csv`, # data sets, errors", found["seeds"].min()
    )
    yield claim(
        SHOWN,
        "leaks # thousand into immigration bias and the young base # into emigration bias; a true "
        "emigration bias of a tenth is found short by # and one at young ages by #,",
        error.iloc[:, 0]["census_young"],
        error.iloc[:, 1]["base_young"],
        -error.iloc[:, 1]["bias_level emigration"],
        -error.iloc[:, 1]["bias_young emigration"],
    )
    yield claim(
        SHOWN,
        "With every published figure right, # and # are left, known to # and #;",
        *error.loc["nothing planted"],
        *found.loc["nothing planted", ["se_immigration", "se_emigration"]] / 1000,
    )
    yield claim(
        SHOWN,
        "putting that right moves the two by # and #.",
        *error.loc["ages of parts as in the model"],
    )


def exact_way(quantity, way="exact"):
    """A quantity of the speed of the exact way, by case."""
    return [rows("speed").loc[(case, way, quantity), "value"] for case in CASES[1:] + CASES[:1]]


def cost_claims():
    whole = rows("speed").loc[("uk-1991-2001", "run"), "value"]
    yield claim(
        SHOWN,
        "`imps reconcile uk-1991-2001` takes # CPU seconds, with `--tables-only` #, which is # and "
        "# of the full run of commit edb7e93 in turns with it.",
        whole["CPU seconds of a run, full"],
        whole["CPU seconds of a run, tables alone"],
        whole["CPU of a run, full, as a share of edb7e93 in full"],
        whole["CPU of a run, tables alone, as a share of edb7e93 in full"],
    )
    yield claim(
        SHOWN,
        "4,000 draws take #, # and # CPU seconds on `england-wales-2001-2011`, "
        "`england-wales-2011-2021` and `uk-1991-2001` without compilation, the first fit of a "
        "process #, # and #; a changed prior is answered in at most # milliseconds.",
        *exact_way("CPU seconds, median of five further fits", "fit"),
        *exact_way("CPU seconds, first fit of a process", "fit"),
        max(exact_way("CPU milliseconds, what-if with its table", "fit")),
    )
    yield claim(
        SHOWN,
        "at least # for every reported quantity and # for every scale; an exact solution at fixed "
        "scales in # milliseconds, a full refit from a like fit in # seconds; # times the "
        "effective size a CPU second of `pm.sample`",
        min(exact_way("effective size by replication, least quantity")),
        min(exact_way("effective size by replication, least scale")),
        max(exact_way("milliseconds of an exact solution at fixed scales")),
        max(exact_way("seconds of a refit from a like fit")),
        rows("speed").loc[(CASES[2], "exact", "times the effective size a CPU second of pm.sample"),
                          "value"],
    )  # fmt: skip
    both = rows("nuts").xs("agree", level="what")
    present = both.loc[CASES[0]]
    yield claim(
        SHOWN,
        "(24,000 draws) means agree within # posterior standard deviations and standard deviations "
        "within # per cent; R-hat at most #, effective size at least #.",
        present["largest_difference_of_means_in_sds"],
        100 * present["largest_relative_difference_of_sds"],
        present["largest_r_hat"],
        present[["least_ess_bulk", "least_ess_tail"]].min(),
    )
    unseen = rows("nuts").reset_index()
    unseen = unseen[unseen["data_set"].str.startswith("simulated")]
    of_four = both[both.index.str.startswith("simulated")]
    yield claim(
        SHOWN,
        "means agree within # posterior standard deviations and standard deviations within # per "
        "cent, the largest over all reported quantities. NUTS reached its gate on all of # unseen "
        "data sets: R-hat at most #, effective size at least #, no divergence",
        of_four["largest_difference_of_means_in_sds"].max(),
        100 * of_four["largest_relative_difference_of_sds"].max(),
        unseen["data_set"].nunique(),
        unseen["largest_r_hat"].max(),
        unseen[["least_ess_bulk", "least_ess_tail"]].min().min(),
    )
    cost = rows("scaling")["cpu_seconds_of_fit"]
    yield claim(
        SHOWN,
        "in proportion to the years: # CPU seconds for 5, # for 25",
        cost["years", 5],
        cost["years", 25],
    )
    even = rows("grid")
    yield claim(
        SHOWN,
        "at least half of the points effective on #, # and # of 100 unseen data sets of England "
        "and Wales 2001-2011, 2011-2021 and the UK, at least a quarter on #, # and #.",
        *(100 * even.loc[case, f"share_at_least_{share}"]
          for share in ("half", "quarter") for case in CASES[1:] + CASES[:1]),
    )  # fmt: skip


def area_claims():
    """Many areas at once: known truth, halves held out, special populations, cost."""
    cost = rows("speed").loc[("england-wales-2011-2021", "areas"), "value"]
    yield claim(
        OWN,
        "331 areas at once take # CPU seconds and # GB with the nation (`speed.csv`), a loop of "
        "fits of single areas as accounts of their own # CPU seconds",
        cost["CPU seconds, all"], cost["peak GB"],
        cost["CPU seconds, 331 areas, loop of single-area fits"],
    )  # fmt: skip
    special = rows("areas").loc["special populations"]["value"]
    without, with_source = (special.loc[f"{x}, seed 1"] for x in ("without", "with"))
    yield claim(
        AREAS,
        "gains # at a scale of 1. But the scale that they teach is #: we read that barracks",
        special["both, scale 1.0", "areas", "log evidence gained"],
        with_source["areas", "scale"],
    )
    yield claim(
        AREAS,
        "takes the factor of Richmondshire from # to # and leaves its external migration at # "
        "persons (# without)",
        without["areas", "Richmondshire, factor"], with_source["areas", "Richmondshire, factor"],
        with_source["external", "Richmondshire, mean, external"],
        without["external", "Richmondshire, mean, external"],
    )  # fmt: skip
    yield claim(
        AREAS,
        "At that seed # per cent of the points of the scales were effective, # without",
        *(100 * x["areas", "effective share of points"] for x in (with_source, without)),
    )
    fine = rows("areas").loc[("single years", "182 cells, 1,000 draws", "areas"), "value"]
    many = rows("areas").loc[("many", "6620 areas, 60 draws", "areas"), "value"]
    yield claim(
        AREAS,
        "(182 cells, 1,000 draws) take # CPU seconds and # GB at the scales of the groups, and "
        "6,620 areas # CPU seconds and # GB for 60 draws",
        *(of[what] for of in (fine, many) for what in ("CPU seconds", "peak GB")),
    )
    beside = rows("areas").loc["beside"]["value"]
    rule, own = (beside[f"Bristol, by {x}"] for x in ("the rule", "own mobility besides"))
    young, another = ("share at ages 18-24", "share in another cell")
    yield claim(
        AREAS,
        "(Bristol, 2012 to 2014) it puts # per cent of immigrants at ages 18 to 24 where # were "
        "published, and # per cent in another cell of sex and single year of age; with the area's "
        "internal moves by age, which are published, in the seed besides, # and #, and of "
        "emigrants # in place of # (study",
        *(100 * x for x in (
            rule["immigration", young], beside["Bristol, published", "immigration", young],
            rule["immigration", another], own["immigration", young], own["immigration", another],
            own["emigration", another], rule["emigration", another])),
    )  # fmt: skip
    halls, no_halls = beside["with halls"], beside["without halls"]
    yield claim(
        AREAS,
        "at the medians of all other scales gains # at a scale of 0.3, and the scale that they "
        "teach is #. But external migration of Cambridge goes from # to # persons, of Oxford from "
        "# to #, of Coventry from # to # and of Canterbury from # to #, each by under a fifth of "
        "its standard deviation, and # per cent of the points of the scales are effective, # "
        "without",
        beside["halls, scale 0.3", "areas", "log evidence gained"], halls["areas", "scale"],
        *(x["external", f"{area}, mean"]
          for area in ("Cambridge", "Oxford", "Coventry", "Canterbury") for x in (no_halls, halls)),
        *(100 * x["areas", "effective share of points"] for x in (halls, no_halls)),
    )  # fmt: skip
    forces = beside["forces moved", "census"]
    yield claim(
        AREAS,
        "of an area's census in # areas, at most # of them (# persons, Richmondshire), with a mean "
        "square of # (study",
        forces["areas above half a prior sd"], forces["largest, prior sd of the area's census"],
        forces["largest, persons"], forces["mean square, prior sd"],
    )  # fmt: skip
    known, model, shares, heavy = (
        rows("areas").loc[f"known truth, {kind}"]["value"]
        for kind in ("scales known", "model", "shares", "heavy")
    )

    def external(of):
        return of.loc[:, "external", "RMSE joint / alone"]

    def covers(of):
        return (100 * of.loc[:, source, "cover 90 %"].mean()
                for source in ("base", "external", "internal", "census"))  # fmt: skip

    def ends(*of):
        return (f(pd.concat(of)) for f in (min, max))

    yield claim(
        AREAS,
        "is # to # by set where scales are known, # on average of ten sets (`known truth, scales "
        "known`); learning the scales from the areas costs next to nothing of that (`known truth, "
        "model`: # to #, # on average)",
        *ends(external(known)), external(known).mean(),
        *ends(external(model)), external(model).mean(),
    )  # fmt: skip
    single = model["set 3", "external"]
    yield claim(
        AREAS,
        "the median error of external migration is # of that of such accounts, whose 90 per cent "
        "intervals hold it in # per cent of them",
        single["median absolute error, joint / single"],
        100 * single["cover 90 %, single, the same areas"],
    )
    held = rows("areas").loc["held out"]["value"]
    inside = held["3 halvings, both ways", "areas"]
    yield claim(
        AREAS,
        "over three halvings # per cent of them lie inside 90 per cent, # of men of 18 to 29 and "
        "# of cells (`held out`",
        *(100 * inside[f"{what} inside 90 %"] for what in ("total", "men 18-29", "cells")),
    )
    points = [of.loc[:, "areas", "effective share of points"] for of in (model, shares, heavy)]
    yield claim(
        AREAS,
        "# to # per cent were effective on ten simulated sets, and # to # where errors lie by "
        "other shares or are heavy",
        *(100 * x for x in (*ends(points[0]), *ends(*points[1:]))),
    )
    yield claim(
        AREAS,
        "ten sets covered base # per cent of the time, external migration #, internal # and census "
        "#; on three sets with national errors by other shares #, #, # and #, and with deviations "
        "of t(3) besides #, #, # and #. But they covered immigration from # to # and emigration "
        "from # to # by set",
        *covers(model), *covers(shares), *covers(heavy),
        *(100 * x for flow in ("immigration", "emigration")
          for x in ends(*(of.loc[:, flow, "cover 90 %"] for of in (model, shares, heavy)))),
    )  # fmt: skip


def reach_claims():
    """Fictitious accounts, chains, and faults in files."""
    country = rows("countries")
    yield claim(
        OWN,
        "in # of # seeds for border cards and # of # for the area; the register finds nothing in "
        "# of #, and its widest 95 % limit of all migration is # per cent of the population",
        country.loc["cards", "held_90"], country.loc["cards", "seeds"],
        country.loc["area", "held_90"], country.loc["area", "seeds"],
        country.loc["register", "nothing_to_explain"], country.loc["register", "seeds"],
        100 * country.loc["register", "widest_migration_share"],
    )  # fmt: skip
    chain = rows("chain").reset_index()
    told = []
    for setting in ("simulated", "drawn from the priors"):
        mode = chain["setting"].str.endswith("scales at their mode")
        known = chain[mode & chain["setting"].str.startswith(f"{setting}, ")]
        later = known[(known["period"] == "2001-2011") & (known["quantity"] == "group[migration]")]
        told += [known["coverage90"].min(), later["ratio"].iloc[-1]]
    cost = pd.read_csv(ROOT / "benchmarks" / "results" / "chain.csv").dropna(subset="cpu_seconds")
    cost = cost.drop_duplicates("period", keep="last").set_index("period")["cpu_seconds"]
    yield claim(
        OWN,
        "the least coverage of 90 % intervals is #, and the error of all migration in the later "
        "period # of that of separate fits; with truths drawn from the priors # and #. # and # CPU "
        "seconds for two and three periods",
        *told, cost["2 periods"], cost["3 periods"],
    )  # fmt: skip
    faults = rows("faults_in_files")
    drawn = faults.loc["all kinds"]
    clean = faults.loc["no fault: clean simulated projects"]
    yield claim(
        OWN,
        "Of # faults in files # are refused or asked about, # warned about, # silent; of # clean "
        "projects # have a warning",
        drawn["drawn"], drawn["refused"], drawn["warned"], drawn["silent"], clean["drawn"],
        clean["warned"],
    )  # fmt: skip
    apart = rows("faults_held_out").loc["all kinds"]
    yield claim(
        OWN,
        "Of # faults of further kinds on other projects, whose kinds later checks knew, # are "
        "refused or asked about, # warned about, # change nothing, # are silent",
        *apart[["drawn", "refused", "warned", "equal", "silent"]],
    )  # fmt: skip


CLAIMS = [
    *area_claims(), *reach_claims(),
    *planted_claims(), *accuracy_claims(), *prediction_claims(), *stability_claims(),
    *conflict_claims(), *priors_claims(),
    *calibration_claims(), *cost_claims(),
]  # fmt: skip


def written(where: str, text: str) -> str:
    """A text with every number as it was measured."""
    for one in CLAIMS:
        if one.where == where:
            text = one.written(text)
    return text


if __name__ == "__main__":
    for where in (SHOWN, OWN, AREAS):
        path = ROOT / where
        before = path.read_text("utf-8")
        after = written(where, before)
        for old, new in zip(before.splitlines(), after.splitlines(), strict=True):
            if old != new:
                print(f"{where}:\n- {old}\n+ {new}")
        path.write_text(after, "utf-8")
