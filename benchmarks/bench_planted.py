"""Planted truth: does the posterior find what was put there, also off the prior mean?

Two kinds of scenarios, each simulated by `imps.simulation.simulate`, which never imports the
model. The first are those of the published gaps, with truths of their own. In the
second one source stands one prior standard deviation above or below its prior mean,
in the shape over ages that its prior finds most typical, and all other
sources stand at their prior means. Every data set is a full account: single years
of age, two sexes, ten years, all sources. The scales are integrated by a grid whose
proposal is that of three data sets of the same scenario; where it fits a data set
badly, that data set gets a proposal of its own. Intervals are normal ones from the
exact mean and standard deviation of the mixture.

Appends to results/planted.csv one row a scenario and quantity; for "null" also
the share of data sets in which every source's 90 % interval holds zero, and in
which the report says that there is nothing to explain. In the scenarios of children the
survey does not see 100 thousand of the immigrants of those ages, who are among the usual ones
or came beside them; rows "answer of ..." are the posterior mean less that of the same data set
without it. Run as

    OPENBLAS_NUM_THREADS=1 uv run python benchmarks/bench_planted.py [sets] [scenario ...]
"""

import sys
from dataclasses import replace

import numpy as np
from bench_accuracy import truths
from results_file import append

from imps.account.linear import linear_model
from imps.account.priors import Priors, default_priors
from imps.names import EMIGRATION, IMMIGRATION
from imps.posterior.exact import GaussianPosterior, Grid
from imps.posterior.importance import Proposal
from imps.results.verdict import nothing_to_explain
from imps.simulation.simulate import SCENARIOS, Scenario, Simulation, simulate_account
from imps.sources import BornBefore
from imps.sources.stocks import HALVED_BIRTHS

POINTS = 64
LEAST_POINTS = 16
FOR_PROPOSAL = 3
POINTS_OF_PROPOSAL = 512
OTHER_SEEDS = 100_000
"""Data sets for the proposal are not among those that are scored."""
PRIORS = default_priors()
AT_PRIOR_MEANS = Scenario(
    bias_level={flow: PRIORS[f"{flow}_bias_level"].mean for flow in (IMMIGRATION, EMIGRATION)}
)
MISSED = 100_000.0
CHILDREN = {"0-9": (0, 9), "10-19": (10, 19)}
"""Ages at the last mid-year of migrant children whom the survey does not see."""
HEADLINE = ("gap[base]", "group[migration]", "group[census]")
WITH_BIRTHS = ", births before the base known"
MOVED_BEFORE = 0.005
"""Net migration of children before the base, a share of births: relative standard deviation."""
WIDENED = "2011, prior of immigration bias three times as wide"
"""The truth of "2011" lies 2.4 prior standard deviations out; is it found under a wider prior?"""
STOCKS = {"base": "base", "census_coverage": "census"}
DISPLACED = (
    "base",
    "immigration_bias",
    "emigration_bias",
    "asylum_seekers",
    "irish_flows",
    "visitor_switchers",
    "migrant_switchers",
    "census_coverage",
)


def planted(source: str, level: float, young: tuple[float, float] = (0.0, 0.0)) -> Scenario:
    """All sources at their prior means but one, which errs by these relative errors more."""
    start = AT_PRIOR_MEANS
    if source in STOCKS:
        name = STOCKS[source]
        return replace(start, **{f"{name}_level": level, f"{name}_young": young})
    if source.endswith("_bias"):
        flow = source.removesuffix("_bias")
        bias = {**start.bias_level, flow: start.bias_level[flow] + level}
        return replace(start, bias_level=bias, bias_young={flow: young})
    return replace(start, parts={source: level})


def one_prior_sd(source: str, sign: float) -> Scenario:
    """Error of one source one prior standard deviation above (+1) or below (-1) its mean.

    The total of a stock or a survey bias lies one prior standard deviation off its
    prior mean, in the shape over ages that its prior finds most typical: level and
    young adults in proportion to what each adds to the total per standard deviation.
    A part of the flows errs by one prior standard deviation of its relative error,
    the same in both directions.
    """
    if not (source in STOCKS or source.endswith("_bias")):
        return planted(source, sign * PRIORS[source].sd)
    rows = STOCKS.get(source, source)
    simulated = simulate_account(AT_PRIOR_MEANS, seed=OTHER_SEEDS)
    model = linear_model(simulated.sources, PRIORS)
    total = next(c for c in model.contributions if c.source == source).prior.sum()
    ratio = total.effects[f"{rows}_young"].ravel() / total.effects[f"{rows}_level"].ravel()
    level, young = PRIORS[f"{rows}_level"].sd, PRIORS[f"{rows}_young"].sd * ratio
    unit = simulate_account(
        planted(source, level, (young[0], young[1])), seed=OTHER_SEEDS
    ).contributions[source]
    size = sign * float(model.prior_moments(total)[1])
    size /= abs(unit - simulated.contributions[source])
    return planted(source, size * level, (size * young[0], size * young[1]))


def scenarios() -> dict[str, Scenario]:
    """All scenarios by name."""
    out = dict(SCENARIOS)
    for source in DISPLACED:
        for word, sign in (("above", 1.0), ("below", -1.0)):
            out[f"{source}: one prior sd {word}"] = one_prior_sd(source, sign)
    for births in ("", WITH_BIRTHS):
        for label, band in CHILDREN.items():
            many = {band: MISSED}
            out[f"children missed at {label}{births}"] = Scenario(unseen=many)
            out[f"further children at {label}, missed{births}"] = Scenario(
                further=many, unseen=many
            )
    return out


def simulated_as(name: str, scenario: Scenario, seed: int) -> Simulation:
    """A data set of a scenario, with births before its base where its name says so."""
    simulated = simulate_account(scenario, seed=seed)
    if not name.endswith(WITH_BIRTHS):
        return simulated
    base = simulated.sources.base.count  # true in these scenarios
    rng = np.random.default_rng(OTHER_SEEDS + seed)
    born = base.sum("sex").isel(age=slice(10)) / 0.994
    lived = (born["age"] + 0.5) / 5
    net = MOVED_BEFORE * rng.standard_normal() * lived * born
    stated = born * (1 + HALVED_BIRTHS * rng.standard_normal(born.size)) - net
    before = BornBefore(stated, 0.006 * born, vintage="simulated", reference="bench_planted.py")
    return replace(simulated, sources=simulated.sources.add(before))


def posterior_of(simulated: Simulation, priors: Priors) -> GaussianPosterior:
    """The model of a simulated account."""
    return GaussianPosterior(linear_model(simulated.sources, priors))


def shared_proposal(name: str, scenario: Scenario, priors: Priors) -> Proposal:
    """Proposal fitted to draws of the scales of a few data sets of a scenario."""
    found = []
    for seed in range(OTHER_SEEDS, OTHER_SEEDS + FOR_PROPOSAL):
        posterior = posterior_of(simulated_as(name, scenario, seed), priors)
        own = posterior.proposal(seed=seed)
        points, weights, _ = posterior.weighted_points(own, POINTS_OF_PROPOSAL, seed)
        drawn = np.random.default_rng(seed).choice(len(points), POINTS_OF_PROPOSAL, p=weights)
        found.append(points[drawn])
    return Proposal.near(np.concatenate(found), own.competing)


def solve(posterior: GaussianPosterior, proposal: Proposal, seed: int) -> Grid:
    """Grid of a data set; from a proposal of its own where the shared one fits badly."""
    grid = posterior.grid(proposal, POINTS, seed=seed)
    if grid.effective >= LEAST_POINTS:
        return grid
    return posterior.grid(posterior.proposal(seed=seed), POINTS, seed=seed)


def measure(
    name: str, scenario: Scenario, sets: int, priors: Priors = PRIORS
) -> list[dict[str, object]]:
    """One row a quantity: truth, posterior mean and sd, bias, rmse, coverage."""
    proposal = shared_proposal(name, scenario, priors)
    found: dict[str, list[tuple[float, float, float, float, float]]] = {}
    points, holds_zero, nothing, answers = [], [], [], []
    for seed in range(sets):
        simulated = simulated_as(name, scenario, seed)
        posterior = posterior_of(simulated, priors)
        grid = solve(posterior, proposal, seed)
        points.append(grid.effective)
        prior = _prior_moments(posterior)
        for quantity, truth in truths(simulated).items():
            i = posterior.names.index(quantity)
            moments = (truth, grid.mean[i], grid.sd[i], *prior[quantity])
            found.setdefault(quantity, []).append(moments)
        if scenario.unseen:
            without = posterior_of(simulated_as(name, Scenario(), seed), priors)
            at = [posterior.names.index(q) for q in HEADLINE]
            answers.append(grid.mean[at] - solve(without, proposal, seed).mean[at])
        if name == "null":
            unknown = [n.startswith("gap[") for n in posterior.names] & (grid.sd > 1.0)
            holds_zero.append(bool((np.abs(grid.mean) < 1.6449 * grid.sd)[unknown].all()))
            h, z = posterior.draw(grid, 1000, seed=seed)
            w = posterior.model.scale_factors(h) * z
            nothing.append(nothing_to_explain(posterior.model, w))
    rows = [_row(name, sets, quantity, np.array(v).T) for quantity, v in found.items()]
    blank = dict.fromkeys(rows[0], "")
    for quantity, answer in zip(HEADLINE, np.array(answers).T, strict=False):
        share = {"scenario": name, "sets": sets, "quantity": f"answer of {quantity}"}
        mean_sd = {"mean": round(answer.mean()), "sd": round(answer.std())}
        rows.append({**blank, **share, **mean_sd})
    if name == "null":
        for quantity, held in (
            ("every source holds zero at 90 %", holds_zero),
            ("report: nothing to explain", nothing),
        ):
            share = {"scenario": name, "sets": sets, "quantity": quantity}
            rows.append({**blank, **share, "coverage90": round(float(np.mean(held)), 3)})
    return [{**row, "least_effective_points": round(min(points))} for row in rows]


def _prior_moments(posterior: GaussianPosterior) -> dict[str, tuple[float, float]]:
    """Prior mean and sd of every reported quantity."""
    model = posterior.model
    out = {name: model.prior_moments(value) for name, value in model.reported.items()}
    out |= {f"gap[{c.source}]": model.prior_moments(c.prior.sum()) for c in model.contributions}
    return {name: (float(mean), float(sd)) for name, (mean, sd) in out.items()}


def _row(scenario: str, sets: int, quantity: str, values: np.ndarray) -> dict[str, object]:
    truth, mean, sd, prior_mean, prior_sd = values
    z = np.abs(mean - truth) / np.maximum(sd, 1e-9)
    off = np.abs(truth - prior_mean) / np.maximum(prior_sd, 1e-9)
    return {
        "scenario": scenario,
        "sets": sets,
        "quantity": quantity,
        "truth": round(truth.mean()),
        "truth_off_prior_in_sd": round(float(off.mean()), 2),
        "mean": round(mean.mean()),
        "sd": round(sd.mean()),
        "bias": round((mean - truth).mean()),
        "rmse": round(float(np.sqrt(((mean - truth) ** 2).mean()))),
        "coverage50": round(float((z < 0.6745).mean()), 3),
        "coverage90": round(float((z < 1.6449).mean()), 3),
    }


def main() -> None:
    """Measure the scenarios that are named, or all."""
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    known = scenarios()
    for name in sys.argv[2:] or [*known, WIDENED]:
        if name == WIDENED:
            wide = PRIORS.widen("immigration_bias", 3)
            append("planted", measure(name, known["2011"], sets, wide))
        else:
            append("planted", measure(name, known[name], sets))


if __name__ == "__main__":
    main()
