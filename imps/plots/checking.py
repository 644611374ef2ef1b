"""Figures that ask whether the fit can be believed: prediction, coverage, computation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.stats import binom, rankdata

from imps.intervals import Z95
from imps.names import AGE, SEX, SEXES
from imps.plots.style import GREY, INK, LINES, MARKERS, SIGNED, Page, open_page, styled, zero_line
from imps.posterior.chains import LEAST_EFFECTIVE_SHARE
from imps.posterior.fit import Fit
from imps.results.checks import LARGEST_R_HAT, LEAST_ESS, Checks, check
from imps.results.predictive import Coverage, Predictive
from imps.sources.kinds import title, within_sentence

BOTH = "both sexes"
MEN_AND_WOMEN = {"male": "Men", "female": "Women"}
PIT_BINS = 10
FEW = 20
"""Rows under which a histogram says nothing: the values themselves are drawn."""
NAMED = 2
"""Failures that are named in a panel."""
RANK_BINS = 20


@styled
def plot_predictive(
    predictive: Predictive, *, ax: Axes | None = None, theme: str = "official"
) -> Figure:
    """Observed against predicted by source, with the PIT beside it; one row of panels a source.

    Left: each row's observed minus predicted figure in predictive standard deviations, with
    the 95 per cent band; rows outside it are crossed, the worst are named. Right: histogram
    of the probability integral transform, with the 95 per cent band of a uniform one.

    Parameters
    ----------
    predictive : Predictive
    ax : Axes, optional
    theme : {"official", "paper"}
    """
    table, summary = predictive.table, predictive.summary()
    n = len(summary)
    page = open_page(
        ax, (9.2, 1.75 * n + 0.5), theme, panels=(n, 2), sharex="col" if ax is None else False,
        width_ratios=[2.6, 1],
    )  # fmt: skip
    for i, row in enumerate(summary.itertuples()):
        part = table[table["source"] == row.source].reset_index(drop=True)
        left, right = page.panels[2 * i : 2 * i + 2]
        _standardised(left, part, page)
        _pit(right, part, page)
        left.set_title(
            f"{title(str(row.source))}: {int(part['inside95'].sum())} of {row.rows} inside",
            fontsize=page.font, loc="left", color=INK, fontweight="bold",
        )  # fmt: skip
        left.set_title(_failures(part), fontsize=page.font - 1.5, loc="right", color=INK)
        if i == 0:
            right.set_title("PIT", fontsize=page.font, loc="left", color=INK, fontweight="bold")
    for panel, text in zip(page.panels[-2:], (
        "the source's figures in the order of year, sex and age", "PIT"
    ),
                           strict=True):  # fmt: skip
        panel.set_xlabel(text)
    way = (
        "Each row is predicted from all the others, exactly at the posterior mean scales."
        if predictive.left_out
        else "Rows are among the data that predict them: the check is lenient."
    )
    outside = int((~table["inside95"]).sum())
    worst = table.loc[table["z"].abs().idxmax()]
    return page.finish(
        _how_many_outside(summary),
        f"{predictive.area}; observed minus predicted in predictive standard deviations; positive: "
        f"more was published than predicted. {way}",
        "Grey: 95 % band. Crosses: outside it. Right: PIT, flat where errors are judged rightly, "
        f"with the 95 % band of each bar; single values under {FEW} rows.",
        alt=f"{outside} of {len(table)} rows lie outside their 95 per cent predictive interval; "
        f"the worst is {worst['row']}: observed {worst['observed']:,.0f}, predicted "
        f"{worst['mean']:,.0f} [{worst['lower95']:,.0f}, {worst['upper95']:,.0f}].",
        data=table,
        verdict=predictive.verdict,
    )


def _how_many_outside(summary: pd.DataFrame) -> str:
    """The source that is predicted worst, with its count of rows outside, in a title."""
    outside = (summary["rows"] * (1 - summary["inside95"])).round().astype(int)
    if not outside.any():
        return "Every figure lies inside its 95 % prediction"
    at = (outside / summary["rows"]).idxmax()
    name, rows = str(summary.loc[at, "source"]), summary.loc[at, "rows"]
    said = f"{title(name)}: {outside[at]} of {rows} figures"
    return f"{said} outside 95 % prediction, the largest share"


def _standardised(panel: Axes, part: pd.DataFrame, page: Page) -> None:
    """Standardised residuals in order, with the worst named inside the panel."""
    n = len(part)
    x = (np.arange(n) + 0.5) / n
    panel.axhspan(-Z95, Z95, color=page.theme.quiet, alpha=0.45, linewidth=0)
    zero_line(panel)
    inside = part["inside95"].to_numpy()
    z = part["z"].to_numpy()
    panel.plot(x[inside], z[inside], "o", color=page.colour(0), markersize=2.6)
    panel.plot(x[~inside], z[~inside], "x", color=page.colour(3), markersize=5.5,
               markeredgewidth=1.5)  # fmt: skip
    most = max(3.0, float(np.abs(z).max()) * 1.15)
    panel.set_ylim(-most, most)
    panel.set_xlim(0, 1)
    panel.set_xticks([])
    panel.set_ylabel("sd")


def _failures(part: pd.DataFrame) -> str:
    """Names of the rows that lie furthest outside, with their distance."""
    outside = part[~part["inside95"]]
    worst = outside.loc[outside["z"].abs().sort_values(ascending=False).index].head(NAMED)
    source = str(part["source"].iloc[0])
    names = []
    for row in worst.itertuples():
        distance = f"{row.z:+.1f}".replace("-", "\u2212")
        names.append(f"{str(row.row).removeprefix(source).strip()} ({distance})")
    return f"worst: {', '.join(names)}" if names else ""


def _pit(panel: Axes, part: pd.DataFrame, page: Page) -> None:
    """Histogram of the PIT with the band of a uniform one; single values where they are few."""
    n = len(part)
    panel.set_yticks([])
    panel.set_xlim(0, 1)
    if n < FEW:
        panel.plot(part["pit"], np.full(n, 0.5), "|", color=page.colour(0), markersize=22)
        panel.set_ylim(0, 1)
        return
    bins = PIT_BINS if n >= 5 * PIT_BINS else n // 5
    low, high = binom.ppf([0.025, 0.975], n, 1 / bins) / n * bins
    panel.axhspan(low, high, color=page.theme.quiet, alpha=0.45, linewidth=0)
    panel.hist(part["pit"], bins=bins, range=(0, 1), density=True, color=page.colour(0),
               edgecolor="white", linewidth=0.6, rwidth=0.85)  # fmt: skip
    panel.axhline(1, color=GREY, linewidth=0.8)


@styled
def plot_coverage(coverage: Coverage, *, ax: Axes | None = None, theme: str = "official") -> Figure:
    """Count over true population by age and sex, with 50 and 95 per cent bands; line at one.

    The open age group stands apart from the line. Where only totals were published the ages
    of the count are a schedule and say nothing: the ratio of the total is drawn alone.

    Parameters
    ----------
    coverage : Coverage
        From :func:`imps.results.predictive.coverage`.
    ax : Axes, optional
    theme : {"official", "paper"}
    """
    table = coverage_data(coverage)
    ratio = f"{coverage.area}, {coverage.date}; count over true population, per cent; under 100: "
    level = table.loc[table["sex"] == BOTH].iloc[0]
    said = f"{level['mean']:.1%} [{level['lower95']:.1%}, {level['upper95']:.1%}]"
    drawn = "Line: posterior mean. Bands: 50 and 95 % intervals. Last group open, set apart."
    if coverage.observed:
        page = open_page(ax, (9.2, 3.9), theme, panels=(1, 2), sharey=True, sharex=True)
        for i, (panel, sex) in enumerate(zip(page.panels, SEXES, strict=True)):
            _by_age(panel, table[table["sex"] == sex], page, i)
            panel.set_title(MEN_AND_WOMEN[sex], fontsize=page.font + 0.5, fontweight="bold",
                            color=INK)  # fmt: skip
        page.ax.set_ylabel("count over true population")
    else:
        page = open_page(ax, (9.2, 1.1), theme)
        _level(page, level)
        drawn = "Only totals were published, so no ages. Dot: posterior mean. Lines: 50 and 95 %."
    cells = table[table["sex"] != BOTH]
    low = cells.loc[cells["mean"].idxmin()]
    where = f" Lowest {low['mean']:.1%} [{low['lower95']:.1%}, {low['upper95']:.1%}] at "
    return page.finish(
        _counted(coverage.name, level),
        f"{ratio}people were missed.",
        f"All ages: {said}, 95 % interval. {drawn}",
        alt=f"Coverage ratio. All ages {said}."
        + (f"{where}{low['sex']} {low['age']}." if coverage.observed else ""),
        data=table,
        verdict=coverage.verdict,
    )


def _counted(name: str, level: pd.Series) -> str:
    """Whether people were missed in all, said only where the interval is clear of one."""
    who = f"The {name}" if name == "census" else title(name)
    if level["upper95"] < 1:
        return f"{who} missed people: {level['mean']:.1%} counted"
    if level["lower95"] > 1:
        return f"{who} counted too many: {level['mean']:.1%} of the true population"
    return f"{who} counted {level['mean']:.1%} of the true population; all is not ruled out"


def _by_age(panel: Axes, rows: pd.DataFrame, page: Page, i: int) -> None:
    """Line and bands over single ages, and the open age group with bars of its own."""
    rows = rows.assign(age=rows["age"].astype(int))
    single, last = rows.iloc[:-1], rows.iloc[-1]
    for level, shade, width in (("95", 0.22, 1.2), ("50", 0.35, 3.0)):
        low, high = f"lower{level}", f"upper{level}"
        panel.fill_between(single["age"], single[low], single[high], color=page.colour(i),
                           alpha=shade, linewidth=0)  # fmt: skip
        panel.vlines(last["age"] + 2, last[low], last[high], color=page.colour(i), linewidth=width)
    panel.plot(single["age"], single["mean"], **page.line(i, marker="none"))
    panel.plot(last["age"] + 2, last["mean"], MARKERS[i], color=page.colour(i), markersize=5)
    panel.axhline(1, color=GREY, linewidth=0.8)
    ticks = [t for t in range(0, int(last["age"]) - 4, 20) if t >= single["age"].iloc[0]]
    panel.set_xticks([*ticks, last["age"] + 2], [*map(str, ticks), f"{last['age']}+"])
    panel.set_xlabel("age")
    panel.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))


def _level(page: Page, level: pd.Series) -> None:
    """The ratio of the total as one dot with its intervals."""
    ax = page.ax
    ax.hlines(0, level["lower95"], level["upper95"], color=page.colour(0), linewidth=1.4)
    ax.hlines(0, level["lower50"], level["upper50"], color=page.colour(0), linewidth=4)
    ax.plot(level["mean"], 0, "o", color=page.colour(0), markersize=7)
    ax.axvline(1, color=GREY, linewidth=0.8)
    ax.set_yticks([0], ["All ages"])
    ax.set_ylim(-1, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    ax.set_xlabel("count over true population")


def coverage_data(coverage: Coverage) -> pd.DataFrame:
    """sex, age, mean, sd and the 50 and 95 % intervals of the ratio; last row: all together."""
    wide, narrow = coverage.summary(), coverage.summary(prob=0.5)
    cells = wide.merge(narrow[[SEX, AGE, "lower50", "upper50"]], on=[SEX, AGE])
    total = coverage.total.values
    ends = np.quantile(total, [0.025, 0.975, 0.25, 0.75])
    row = [BOTH, "all", total.mean(), total.std(), *ends]
    return pd.concat([cells, pd.DataFrame([row], columns=list(cells))], ignore_index=True)


@styled
def plot_diagnostics(
    fit: Fit,
    *,
    checks: Checks | None = None,
    ax: Axes | None = None,
    theme: str = "official",
) -> Figure:
    """Can the draws be trusted? R-hat, effective sizes, ranks, and grid points or divergences.

    Parameters
    ----------
    fit : Fit
    checks : Checks, optional
        Made where they are not given.
    ax : Axes, optional
    theme : {"official", "paper"}

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Buerkner (2021), Bayesian Analysis 16(2)
    (rank plots).
    """
    found = checks or check(fit)
    table = found.table.sort_values("ess_bulk", ignore_index=True)
    page = open_page(ax, (9.2, 5.0), theme, panels=(2, 2))
    hat, size, ranks, last = page.panels
    _dots(hat, np.sort(table["r_hat"])[::-1], LARGEST_R_HAT, "R-hat", page)
    _dots(size, table["ess_bulk"], LEAST_ESS, "effective size", page)
    size.set_title("Dots: bulk. Squares: tail.", fontsize=page.font, loc="left", color=INK)
    hat.set_title("Agreement of the chains", fontsize=page.font, loc="left", color=INK)
    size.plot(np.arange(len(table)), table["ess_tail"], "s", color=page.colour(1), markersize=3,
              fillstyle="none")  # fmt: skip
    size.set_ylim(bottom=0)
    size.yaxis.set_major_formatter(SIGNED)
    worst = str(table["quantity"].iloc[0])
    draws = fit.quantities()[worst]
    _ranks(ranks, draws, page)
    ranks.set_title(f"Ranks by chain: {_spelt(worst)}", fontsize=page.font, loc="left", color=INK)
    if "effective_points" in fit.stats:
        _grid(last, fit, page)
    elif "n_steps" in fit.stats:
        _steps(last, fit, page)
    else:  # draws made elsewhere, by a sampler that counts none
        last.set_axis_off()
    return page.finish(
        "Computation: " + (str(found.computation[0]) if found.computation else "chains agree"),
        f"{fit.model.sources.area}; {fit.n_chains} chains of {fit.n_draws} draws, method "
        f"{fit.made}; {len(table)} reported quantities and scales.",
        "Lines: the limits of the verdict. Ranks: of the quantity with the least effective size; "
        "flat within the grey 95 % band where chains agree.",
        alt=f"Largest R-hat {table['r_hat'].max():.4f}, least effective size "
        f"{table['ess_bulk'].min():.0f} (bulk), {table['ess_tail'].min():.0f} (tail), "
        f"{found.divergences} divergences.",
        data=table,
        verdict=found.verdict,
    )


def _dots(panel: Axes, values: np.ndarray | pd.Series, limit: float, what: str, page: Page) -> None:
    panel.plot(np.arange(len(values)), values, "o", color=page.colour(0), markersize=3)
    panel.axhline(limit, color=INK, linewidth=1.0, linestyle="--")
    panel.annotate(f"limit {limit:g}", (1, limit), xycoords=("axes fraction", "data"),
                   xytext=(-2, 3), textcoords="offset points", ha="right",
                   fontsize=page.font - 1, color=INK)  # fmt: skip
    panel.set_ylabel(what)
    panel.set_xlabel("quantities, worst first")
    if limit < 2:
        panel.set_ylim(1 - 0.002, max(limit + 0.004, float(np.max(values)) + 0.002))


def _ranks(panel: Axes, draws: np.ndarray, page: Page) -> None:
    """Rank histograms of each chain as lines, with the band of equal chains."""
    chains, n = draws.shape
    ranks = rankdata(draws).reshape(chains, n)
    low, high = binom.ppf([0.025, 0.975], n, 1 / RANK_BINS) / n * RANK_BINS
    panel.axhspan(low, high, color=page.theme.quiet, alpha=0.5, linewidth=0)
    edges = np.linspace(0, draws.size, RANK_BINS + 1)
    for k in range(chains):
        counts = np.histogram(ranks[k], edges)[0] / n * RANK_BINS
        panel.stairs(counts, edges / draws.size, color=page.colour(k % 4), linewidth=1.0,
                     baseline=None, linestyle=LINES[k % 4])  # fmt: skip
    panel.set_ylabel("relative frequency")
    panel.set_xlabel("rank over all draws")
    panel.set_ylim(0, max(2.0, panel.get_ylim()[1]))


def _grid(panel: Axes, fit: Fit, page: Page) -> None:
    """Share of effective points of each chain's grid over the scales."""
    share = 100 * (fit.stats["effective_points"] / fit.stats["grid_points"]).values
    panel.bar(np.arange(share.size) + 1, share, color=page.colour(0), width=0.6)
    limit = 100 * LEAST_EFFECTIVE_SHARE
    panel.axhline(limit, color=INK, linewidth=1.0, linestyle="--")
    panel.set_ylim(0, 112)
    panel.axhline(100, color=GREY, linewidth=0.6)
    panel.set_ylabel("effective grid points, per cent")
    panel.set_xlabel(f"chain; dashed: limit {limit:g}")
    panel.set_xticks(np.arange(share.size) + 1)


def _steps(panel: Axes, fit: Fit, page: Page) -> None:
    """Leapfrog steps of NUTS, with divergences."""
    steps = fit.stats["n_steps"].values.ravel()
    sizes = np.unique(steps)
    counts = [(steps == s).mean() for s in sizes]
    panel.bar(np.arange(sizes.size), counts, color=page.colour(0), width=0.7)
    keep = np.unique(np.linspace(0, sizes.size - 1, min(6, sizes.size)).astype(int))
    panel.set_xticks(keep, [f"{sizes[k]:.0f}" for k in keep])
    panel.set_ylabel("share of draws")
    panel.set_xlabel(f"leapfrog steps; {int(fit.stats['diverging'].sum())} divergences")


def _spelt(quantity: str) -> str:
    kind, _, rest = quantity.partition("[")
    return (
        f"{kind.replace('_', ' ')}, {within_sentence(title(rest.rstrip(']')))}"
        if rest
        else quantity
    )
