"""Calibration: truths drawn from the priors, simulated without the model, fitted, ranked.

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_calibration.py run small 1000
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_calibration.py run full 100
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_calibration.py run chain 500
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_calibration.py run register 100
    uv run python benchmarks/bench_calibration.py scores small 2000
    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_calibration.py faults 100
    uv run python benchmarks/bench_calibration.py figure small full

"small" is the invented account with every kind of source (36 ages, two sexes, four
years); "full" is the published case of England and Wales 2001-2011 (91 ages, two sexes,
ten years); "chain" is two periods of the invented country of three years each, of whose survey
only totals, and of whose stocks the sexes, are data ("chain_by_age": stocks by age); "register",
"cards" and "area" are the fictitious accounts of these kinds as they are shipped, with their own
priors.

`run` appends to results/calibration.csv one row a quantity and writes the histogram of its ranks
to results/calibration_ranks.csv; it can be broken off and called again. `faults` appends to
results/faults.csv one row a wrong model of benchmarks/faults.py and check: the check at building
that the contributions sum to the gap, the score test on ten times as many data sets, and, where
neither has found it, the ranks. `figure` draws docs/calibration.png from the work files.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from bench_chain import totals_alone
from faults import FAULTS, Fault, no_fault, right_model
from results_file import RESULTS, append

import imps
from imps.account.linear import CLOSURE_TOLERANCE, LinearModel, largest_misclosure
from imps.calibration.calibration import Calibration, calibrate
from imps.calibration.scores import FAMILY_LEVEL, score_test
from imps.project.template import template_of
from imps.shipped import fictitious
from imps.simulation.reference import reference_chain

SEED = 20260101
OTHER_SEED = 4242
"""Of further data sets for the ranks of the right model, which may raise no alarm."""
WORK = Path(__file__).parent / "work"
FIGURE = Path(__file__).parents[1] / "docs" / "calibration.png"
BINS = 20


def model_of(account: str) -> LinearModel:
    """The account of a name, see above; the national case at full size unless told."""
    if account == "small":
        return right_model()
    if account in ("chain", "chain_by_age"):
        periods = [totals_alone(own) for own in reference_chain(n_years=3)]
        by_age = account == "chain_by_age"
        return imps.chain(periods if by_age else [stocks_by_sex(own) for own in periods])
    if f"fictitious-{account}" in fictitious():
        project = imps.load_project(template_of(account))
        return imps.linear_model(project.sources, project.priors)
    return imps.linear_model(
        imps.load_case("england-wales-2001-2011").sources, imps.default_priors()
    )


def stocks_by_sex(sources: imps.Sources) -> imps.Sources:
    """The same figures, of whose stocks the totals of the sexes were published."""
    base, census = (replace(s, observed="sex") for s in (sources.base, sources.census))
    return replace(sources, base=base, census=census)


def calibration(account: str, replicates: int) -> Calibration:
    """Run, or finish, or read the replicates of an account."""
    WORK.mkdir(exist_ok=True)
    path = WORK / f"calibration_{account}.csv"
    return calibrate(model_of(account), replicates=replicates, seed=SEED, path=path, say=print)


def finished(account: str) -> Calibration:
    """The replicates in the work file of an account, whatever code made them."""
    table = pd.read_csv(WORK / f"calibration_{account}.csv")
    table = table.drop_duplicates("replicate", keep="last").dropna(axis="columns", how="all")
    runs = table[["ess", "seconds"]]
    return Calibration(table.drop(columns=["run", "replicate", *runs]), runs)


def run(account: str, replicates: int) -> None:
    """Append the summary and write the histograms of ranks."""
    found = calibration(account, replicates)
    print(found)
    told = {
        "account": account,
        "replicates": replicates,
        "family_wise_passed": found.passed,
        "least_ess": round(found.runs["ess"].min()),
        "mean_cpu_seconds": round(found.runs["seconds"].mean(), 2),
    }
    table = found.table().round(4)
    append("calibration", ({**told, **row} for row in table.to_dict("records")))
    write_histograms(account, found)


def write_histograms(account: str, found: Calibration) -> None:
    """Number of ranks in each of twenty bins, one row a quantity; replaces those of the account."""
    path = RESULTS / "calibration_ranks.csv"
    old = pd.read_csv(path) if path.exists() else pd.DataFrame({"account": []})
    counts = {q: np.histogram(found.ranks[q], BINS, (0, 1))[0] for q in found.ranks}
    new = pd.DataFrame.from_dict(
        counts, orient="index", columns=[f"bin{i + 1}" for i in range(BINS)]
    )
    new = new.rename_axis("quantity").reset_index()
    new.insert(0, "account", account)
    pd.concat([old[old["account"] != account], new]).to_csv(path, index=False)


def scores(account: str, replicates: int) -> None:
    """Append the score test, one row a score."""
    table = score_test(model_of(account), replicates=replicates, seed=SEED).round(4)
    print(table.sort_values("p_value").head(10).to_string())
    append(
        "calibration_scores",
        ({"account": account, "data_sets": replicates, **r} for r in table.to_dict("records")),
    )


def faults(replicates: int, *names: str) -> None:
    """Append what each check says of each wrong model, and of the right one; or of some."""
    for make in (no_fault, *FAULTS):
        if names and make.__name__ not in names:
            continue
        fault = make()
        append("faults", ({"fault": fault.name, **row} for row in checks_of(fault, replicates)))


def checks_of(fault: Fault, replicates: int) -> Iterator[dict[str, object]]:
    """One row a check: where it looked worst, its statistic, threshold and answer.

    The ranks cost a fit a data set and are asked where no other check has found the fault.
    """
    off = largest_misclosure(fault.model)
    threshold = CLOSURE_TOLERANCE
    rows = [
        row_of("contributions sum to the gap", 1, "persons", "", off, threshold, off > threshold)
    ]
    if fault.fitted is None:
        many = 10 * replicates
        worst = score_test(fault.model, replicates=many, seed=SEED).nsmallest(1, "p_value")
        where, p = f"{worst['of'].item()}, {worst['score'].item()}", worst["p_family"].item()
        rows.append(row_of("score test", many, "p_family", where, p, FAMILY_LEVEL))
    yield from rows
    if any(row["found"] for row in rows):
        return
    yield ranks_of(fault, "calibration", replicates, SEED)
    if fault.name == "none":
        yield ranks_of(fault, "calibration, other data sets", replicates, OTHER_SEED)


def ranks_of(fault: Fault, check: str, replicates: int, seed: int) -> dict[str, object]:
    """Where the ranks of the truths look worst."""
    try:
        found = calibrate(fault.model, fitted=fault.fitted, replicates=replicates, seed=seed)
    except np.linalg.LinAlgError:  # so wrong that the scales run away
        return row_of(check, replicates, "no fit", "scales", np.inf, np.nan, True)
    worst = found.table().nsmallest(1, "p_value")
    where, p = worst["quantity"].item(), worst["p_family"].item()
    return row_of(check, replicates, "p_family", where, p, FAMILY_LEVEL)


def row_of(
    check: str,
    data_sets: int,
    statistic: str,
    where: str,
    value: float,
    threshold: float,
    found: bool | None = None,
) -> dict[str, object]:
    """A row of results/faults.csv; p-values find a fault below their threshold."""
    return {
        "check": check,
        "data_sets": data_sets,
        "worst_at": where,
        "statistic": statistic,
        "value": f"{value:.3g}",
        "threshold": threshold,
        "found": value < threshold if found is None else found,
    }


def panel_of(quantity: str) -> str:
    """Kind of a quantity, for the panels of the figure."""
    kinds = {
        "log_scale": "Scales",
        "log_likelihood": "Joint log-likelihood of each source",
        "net_migration": "Net migration and closing population",
        "population": "Net migration and closing population",
    }
    return kinds.get(quantity.split(": ")[-1].split("[")[0], "Sources, groups and gap")


def figure(*accounts: str) -> None:
    """Distribution of the ranks minus the uniform one, with the family-wise envelope."""
    import matplotlib.pyplot as plt

    runs = {account: finished(account) for account in accounts}
    panels = list(dict.fromkeys(panel_of(q) for q in next(iter(runs.values())).ranks))
    shape = {"nrows": len(runs), "ncols": len(panels)}
    size = (3.1 * len(panels), 2.6 * len(runs) + 0.6)
    fig, axes = plt.subplots(
        **shape, figsize=size, sharex=True, sharey="row", squeeze=False, layout="constrained"
    )
    for row, (account, found) in zip(axes, runs.items(), strict=True):
        at, lower, upper = found.envelope()
        for ax, panel in zip(row, panels, strict=True):
            ax.fill_between(at, lower - at, upper - at, color="0.88", lw=0)
            ax.axhline(0, color="0.5", lw=0.6)
            for quantity in found.ranks:
                if panel_of(quantity) == panel:
                    share = (found.ranks[quantity].to_numpy()[:, None] <= at).mean(axis=0)
                    ax.plot(at, share - at, lw=0.8, color="C0", alpha=0.7)
            ax.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(f"{account} account, {found.replicates:,} data sets\nshare minus uniform")
    for ax, panel in zip(axes[0], panels, strict=True):
        ax.set_title(panel, fontsize=9)
    fig.supxlabel("rank of the truth among the draws, as a share", fontsize=10)
    fig.suptitle(
        "Ranks of truths drawn from the priors; grey: 95 % envelope of all quantities together",
        fontsize=10,
    )
    fig.savefig(FIGURE, dpi=110)
    print(FIGURE)


def main() -> None:
    """Do what the first word says."""
    what, *rest = sys.argv[1:] or ["run", "small", "1000"]
    if what == "figure":
        figure(*rest)
    elif what == "faults":
        faults(int(rest[0]), *rest[1:])
    else:
        {"run": run, "scores": scores}[what](rest[0], int(rest[1]))


if __name__ == "__main__":
    main()
