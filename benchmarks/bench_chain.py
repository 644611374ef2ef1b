"""Chains of censuses: known truth, England and Wales 2001-2021 linked, and what it costs.

1. Chains of two periods from :mod:`imps.simulation.chains`, which never imports the model:
   biases of the survey persist with a share of their variance that is drawn anew for each set
   between .2 and .9, and only totals of the survey are data, as in the shipped cases. Cover of
   the 90 per cent interval of every headline group of every period, and its root mean square
   error beside that of the periods fitted apart. "drawn" has truths drawn from the priors
   (:class:`imps.simulation.from_priors.PriorSimulator`), each base being the simulated census;
   "integrated" has the scales of the chain integrated too, as a fit has; "three" is "drawn" of
   three periods.
2. England and Wales 2001-2021, and 1991-2021, as one chain for three correlations of biases over
   periods, beside the single cases.
3. CPU seconds and memory of 4,000 draws by the number of periods, and of the shipped chain.
4. The country of :mod:`cardland`, whose cards misclassify departures by -14, -44 and +28 thousand
   in three periods: seeds of which the 90 per cent interval of migration's part holds the truth
   in every period, with the right sign of its mean.

Appends to results/chain.csv; `figure` draws docs/chain_cost.png from its rows of 3. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_chain.py [PART ...] [sets] [first seed]

with parts cards, cost, shipped_cost, figure, shipped, simulated, drawn, integrated and three.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from cardland import DEPARTURES, PEOPLE, YEARS, country
from results_file import RESULTS, append

import imps
from imps.account.latents import Resolution
from imps.calibration.scores import published_rows
from imps.posterior.exact import GaussianPosterior
from imps.simulation.chains import draw_of_chain, scenarios_of_chain, simulate_chain
from imps.simulation.from_priors import PriorSimulator
from imps.simulation.simulate import SCENARIOS, Simulation

CASES = ("england-wales-1991-2001", "england-wales-2001-2011", "england-wales-2011-2021")
APART = ("base", "census_coverage")
HEADLINES = ("gap[base]", "group[migration]", "group[census]", "net_migration[all years]")
MOST_PERIODS = 3
FIGURE = Path(__file__).parents[1] / "docs" / "chain_cost.png"
CARDS = (-14e3, -44e3, 28e3)
"""True part of migration in each period, persons."""
COLUMNS = ("part", "period", "quantity", "setting", "sets", "mean", "sd", "coverage90", "rmse",
           "rmse_apart", "ratio", "sd_apart", "cpu_seconds", "peak_mb")  # fmt: skip


def row(**found: object) -> dict[str, object]:
    """One row with every column of the file."""
    return {column: found.get(column, "") for column in COLUMNS}


def totals_alone(sources: imps.Sources) -> imps.Sources:
    """The same figures, of which only totals of the survey were published."""
    flows = {flow.flow: replace(flow, observed="total") for flow in sources.survey_flows.values()}
    return replace(sources, **flows)


def truths(simulated: Simulation) -> dict[str, float]:
    """True value of the headline groups and of net migration."""
    parts = simulated.contributions
    return {
        "gap[base]": parts["base"],
        "group[migration]": sum(v for k, v in parts.items() if k not in APART),
        "group[census]": parts["census_coverage"],
        "net_migration[all years]": float(simulated.net_migration.sum()),
    }


def fitted(
    model: imps.LinearModel,
    figures: dict[str, np.ndarray] | None = None,
    integrated: bool = False,
) -> dict[str, tuple[float, float]]:
    """Posterior mean and sd of every reported quantity, exact at the most probable scales.

    Of the published rows of each source in `figures`, where they are given, in place of its own;
    over all scales by the grid of one chain of draws where they are integrated.
    """
    posterior = GaussianPosterior(model)
    if figures is not None:
        posterior = posterior.given(published_rows(model, figures))
    if integrated:
        grid = posterior.grid(posterior.proposal(seed=1), seed=2)
        mean, sd = grid.mean, grid.sd
    else:
        mean, variance = posterior.moments(posterior.mode())
        sd = np.sqrt(variance)
    return dict(zip(posterior.names, zip(mean, sd, strict=True), strict=True))


Found = Iterator[tuple[tuple[str, str], tuple[float, ...]]]
"""By period and quantity: truth, then mean and sd as a chain and apart."""


def one_set(seed: int) -> Found:
    """A chain with the errors of :func:`scenarios_of_chain`."""
    rng = np.random.default_rng([seed, 99])
    scenarios = scenarios_of_chain(2, persistence=rng.uniform(0.2, 0.9), rng=rng)
    periods = simulate_chain(scenarios, seed=seed)
    sources = [totals_alone(period.sources) for period in periods]
    model = imps.chain(sources)
    together = fitted(model)
    for name, own, period in zip(model.names, sources, periods, strict=True):
        apart = fitted(imps.linear_model(own, imps.default_priors()))
        for quantity, truth in truths(period).items():
            yield (name, quantity), (truth, *together[f"{name}: {quantity}"], *apart[quantity])


def one_drawn_set(seed: int, n_periods: int = 2, integrated: bool = False) -> Found:
    """A chain whose truth is drawn from the priors: each base is the census that was simulated."""
    priors = imps.default_priors("bias_between_periods")
    draw, before = draw_of_chain(priors, np.random.SeedSequence([seed, 98])), None
    sources, figures, truth, name = [], {}, {}, ""
    for period in simulate_chain([SCENARIOS["null"]] * n_periods, seed=0):
        own = totals_alone(period.sources)
        if before is not None:
            own = with_base(own, figures[f"{name}: census"])
        name, fine = f"{own.first_year}-{own.last_year}", Resolution.for_sources(own)
        simulator = PriorSimulator(
            own, flow_shapes=fine.flow_shapes, stock_shapes=fine.stock_shapes
        )
        found, before = simulator.told(draw, before)
        figures |= {f"{name}: {source}": rows for source, rows in found.figures.items()}
        truth |= {f"{name}: {quantity}": value for quantity, value in found.truth.items()}
        sources.append(own)
    later = [f"{own.first_year}-{own.last_year}" for own in sources[1:]]
    model = imps.chain(sources, priors, revised=later)
    together = fitted(model, figures, integrated)
    for name, own in zip(model.names, sources, strict=True):
        rows = {k.removeprefix(f"{name}: "): x for k, x in figures.items() if k.startswith(name)}
        apart = fitted(imps.linear_model(own, imps.default_priors()), rows)
        for quantity in HEADLINES:
            key = f"{name}: {quantity}"
            yield (name, quantity), (truth[key], *together[key], *apart[quantity])


def with_base(sources: imps.Sources, census: np.ndarray) -> imps.Sources:
    """The same period from another base, with its roll-forward."""
    base, rolled = sources.base, sources.rolled_forward
    count = base.count.copy(data=census.reshape(base.count.shape))
    total = rolled.total + float(count.sum() - base.count.sum())
    rolled = replace(rolled, total=total)
    return replace(sources, base=replace(base, count=count), rolled_forward=rolled)


def simulated_chains(
    one: Callable[[int], Found], said: str, sets: int, first: int, scales: str = "at their mode"
) -> list[dict[str, object]]:
    """One row a period and headline group over many sets; an interrupt ends with those done."""
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    start = time.process_time()
    try:
        for seed in range(first, first + sets):
            for key, values in list(one(seed)):
                found.setdefault(key, []).append(values)
            print(f"set {seed}: {time.process_time() - start:.0f} CPU s", flush=True)
    except KeyboardInterrupt:
        print("stopped", flush=True)
    rows = []
    for (name, quantity), sets_found in found.items():
        truth, mean, sd, mean_apart, sd_apart = np.array(sets_found).T
        rmse, rmse_apart = (np.sqrt(((m - truth) ** 2).mean()) for m in (mean, mean_apart))
        inside = (np.abs(mean - truth) < 1.6449 * sd).mean()
        rows.append(
            row(
                part="simulated", period=name, quantity=quantity, sets=len(sets_found),
                setting=f"{said}, totals of the survey, seeds from {first}, scales {scales}",
                mean=round(mean.mean()), sd=round(sd.mean()), sd_apart=round(sd_apart.mean()),
                coverage90=round(float(inside), 3), rmse=round(float(rmse)),
                rmse_apart=round(float(rmse_apart)), ratio=round(float(rmse / rmse_apart), 3),
            )
        )  # fmt: skip
    return rows


def shipped() -> list[dict[str, object]]:
    """England and Wales as chains, for three correlations, beside the single cases."""
    apart = {}
    for case in CASES:
        sources = imps.load_case(case).sources
        name = f"{sources.first_year}-{sources.last_year}"
        found = fitted(imps.linear_model(sources, imps.default_priors()))
        apart |= {f"{name}: {quantity}": moments for quantity, moments in found.items()}
    rows = []
    for cases in (CASES[1:], CASES):
        for correlation in (0.0, 0.5, 0.9):
            priors = imps.default_priors("bias_between_periods")
            model = imps.chain(cases, priors.replace(bias_between_periods=(correlation, 0.0)))
            for key, (mean, sd) in fitted(model).items():
                period, quantity = key.split(": ", 1)
                if quantity in HEADLINES[:3]:
                    setting = f"{len(cases)} periods, correlation of biases {correlation:g}"
                    rows.append(
                        row(
                            part="England and Wales", period=period, quantity=quantity, sets=1,
                            setting=setting, mean=round(mean), sd=round(sd),
                            sd_apart=round(apart[key][1]), ratio=round(sd / apart[key][1], 3),
                        )
                    )  # fmt: skip
    return rows


def cards_found(seed: int) -> list[tuple[float, float, float, bool, bool]]:
    """Of each period: true part of migration, its mean and sd, whether inside, and the sign."""
    departures = PEOPLE * DEPARTURES * YEARS
    periods = country([-g / departures for g in CARDS], seed, misclassified=0.1)
    model, out = imps.chain(periods), []
    found = fitted(model)
    for name, truth in zip(model.names, CARDS, strict=True):
        mean, sd = found[f"{name}: group[migration]"]
        inside = abs(mean - truth) < 1.6449 * sd
        out.append((truth, mean, sd, bool(inside), bool(mean * truth > 0)))
    return out


def cards(seeds: int = 50) -> list[dict[str, object]]:
    """One row a period, and one of the seeds that are right in every period."""
    found = [cards_found(seed) for seed in range(seeds)]
    said = {"part": "cards", "sets": seeds}
    rows = []
    for i, truth in enumerate(CARDS):
        mean, sd, inside, sign = np.array([one[i][1:] for one in found], dtype=float).T
        rows.append(
            row(
                **said, period=f"{2000 + i * YEARS}-{2000 + (i + 1) * YEARS}",
                quantity="group[migration]", setting=f"truth {truth:,.0f}, sign right in "
                f"{sign.sum():.0f}", mean=round(mean.mean()), sd=round(sd.mean()),
                coverage90=round(float(inside.mean()), 3),
                rmse=round(float(np.sqrt(((mean - truth) ** 2).mean()))),
            )
        )  # fmt: skip
    right = sum(all(inside and sign for *_, inside, sign in one) for one in found)
    setting = f"inside with the right sign in every period: {right} seeds"
    return [*rows, row(**said, period="all", quantity="group[migration]", setting=setting)]


def cost() -> list[dict[str, object]]:
    """CPU seconds and peak memory of a fit of 4,000 draws, by the number of periods."""
    rng = np.random.default_rng(1)
    periods = simulate_chain(scenarios_of_chain(MOST_PERIODS, persistence=0.5, rng=rng), seed=1)
    sources = [totals_alone(period.sources) for period in periods]
    return [cost_of(f"{n} periods", sources[:n]) for n in range(1, MOST_PERIODS + 1)]


def shipped_cost() -> list[dict[str, object]]:
    """The same of England and Wales 1991-2021."""
    return [cost_of("England and Wales 1991-2021", CASES)]


def cost_of(name: str, periods: Sequence[str | imps.Sources]) -> dict[str, object]:
    """One row of :func:`cost`."""
    start = time.process_time()
    model = imps.chain(periods)
    built = time.process_time()
    fit = imps.fit(model, seed=1, method="exact", progress=False)
    spent = time.process_time() - built
    return row(
        part="cost", period=name, quantity="4,000 draws", sets=1,
        setting=f"{model.design.shape[0]} rows, {model.n_latent} latent variables, written down in "
        f"{built - start:.1f} s, {int(fit.stats['grid_points'].max())} grid points a chain",
        cpu_seconds=round(spent, 1),
        peak_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    )  # fmt: skip


def figure() -> list[dict[str, object]]:
    """CPU seconds by the number of periods, from the newest rows; no row of its own."""
    import matplotlib.pyplot as plt
    import pandas as pd

    found = pd.read_csv(RESULTS / "chain.csv")
    found = found[
        (found["part"] == "cost") & found["period"].str.endswith(" periods")
    ].drop_duplicates("period", keep="last")
    n = found["period"].str.split().str[0].astype(int).to_numpy()
    seconds = found["cpu_seconds"].to_numpy()
    fig, ax = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
    ax.plot(n, seconds, "o-", color="C0", label="measured")
    ax.plot(n, seconds[0] * n, "--", color="0.5", label="in proportion to one period")
    ax.set(xlabel="periods of ten years", ylabel="CPU seconds of 4,000 draws", xticks=n)
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    fig.savefig(FIGURE, dpi=110)
    return []


def main() -> None:
    """All parts, or those that are named; sets and first seed are of the simulated one."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    sets, first = [*numbers, *(20, 0)[len(numbers) :]]
    parts = {
        "cards": cards,
        "cost": cost,
        "shipped_cost": shipped_cost,
        "figure": figure,
        "shipped": shipped,
        "simulated": lambda: simulated_chains(one_set, "simulated", sets, first),
        "drawn": lambda: simulated_chains(one_drawn_set, "drawn from the priors", sets, first),
        "integrated": lambda: simulated_chains(
            partial(one_drawn_set, integrated=True),
            "drawn from the priors",
            sets,
            first,
            "of the chain integrated",
        ),
        "three": lambda: simulated_chains(
            partial(one_drawn_set, n_periods=3), "three periods drawn from the priors", sets, first
        ),
    }
    names = [word for word in sys.argv[1:] if word in parts]
    for name, part in parts.items():
        if not names or name in names:
            append("chain", part())


if __name__ == "__main__":
    main()
