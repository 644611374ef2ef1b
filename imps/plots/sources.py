"""Priors and posteriors of the sources of a gap: pairs, joint posterior, tornado."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from scipy.stats import chi2

from imps.errors import LabelError
from imps.intervals import THOUSANDS, Z95, Unit
from imps.names import CHAIN, DRAW, SOURCE
from imps.plots.style import (
    GREY,
    INK,
    SIGNED,
    STARS,
    Page,
    open_page,
    room_for_labels,
    starred,
    styled,
    zero_line,
)
from imps.posterior.exact import GaussianPosterior
from imps.posterior.fit import Fit
from imps.results.attribution import AGAINST_WORD, DATA_WORD, KNOWN, Attribution
from imps.results.checks import Checks, check
from imps.results.sensitivity import what_if, without_rows
from imps.results.verdict import Verdict
from imps.sources.kinds import title, within_sentence

MAIN_CAUSES = 4
POINTS = 300
"""Draws that are shown in a panel of the joint posterior."""
POINT = "#8C8C8C"
"""Grey of single draws: 3:1 against white."""
MOST_BARS = 12
NOTHING = 0.5
"""Swing in persons below which a bar of the tornado is left out."""


@styled
def plot_prior_posterior(
    attribution: Attribution, *, ax: Axes | None = None, theme: str = "official"
) -> Figure:
    """Prior and posterior of each source that is not known, as paired 95 per cent intervals.

    Parameters
    ----------
    attribution : Attribution
    ax : Axes, optional
    theme : {"official", "paper"}
    """
    table = attribution.summary()
    table = table[table["prior_sd"] > 0].iloc[::-1].reset_index(drop=True)
    page = open_page(ax, (9.2, 0.37 * len(table) + 0.8), theme)
    ax, unit = page.ax, attribution.words.unit
    y = np.arange(len(table))
    prior, half = table["prior_mean"] / unit.size, Z95 * table["prior_sd"] / unit.size
    ax.hlines(y + 0.16, prior - half, prior + half, color=page.theme.quiet, linewidth=6)
    ax.plot(prior, y + 0.16, "|", color=GREY, markersize=8)
    low, high = table["lower95"] / unit.size, table["upper95"] / unit.size
    ax.hlines(y - 0.16, low, high, color=page.colour(0), linewidth=2.6)
    ax.plot(table["mean"] / unit.size, y - 0.16, "o", color=page.colour(0), markersize=5)
    edge, lowest = float(np.max(np.r_[high, prior + half])), float(np.min(np.r_[low, prior - half]))
    span = edge - lowest
    for i, row in enumerate(table.itertuples()):
        star = starred(row.informed)
        sd, prior_sd, _ = unit.mean_and_ends(row.sd, row.prior_sd, 0.0)
        said = (
            f"sd {sd} of {prior_sd}".replace("+", "")
            + f", {max(row.contraction, 0):.0%} learnt{star}"
        )
        ax.text(edge + 0.03 * span, y[i], said, fontsize=page.font - 0.5, va="center", color=INK)
    zero_line(ax, vertical=True)
    ax.set_yticks(y, [title(s) for s in table["source"]])
    right_end = edge + (0.34 if page.wide else 0.47) * span
    room_for_labels(ax, lowest - 0.02 * span, edge + 0.02 * span, right_end)
    ax.xaxis.set_major_formatter(SIGNED)
    ax.set_ylim(-0.8, len(table) - 0.2)
    ax.set_xlabel(f"contribution to the {attribution.measured}, {unit.persons}")
    data = int((table["informed"] == DATA_WORD).sum())
    against = int((table["informed"] == AGAINST_WORD).sum())
    return page.finish(
        _mostly_data(data, against, len(table)),
        f"{attribution.area}, {attribution.period}; contribution to the {attribution.measured}, "
        f"{unit.persons}; "
        "positive: it made the estimate too high.",
        "Grey, thick: prior 95 %, tick at its mean. Thin with dot: posterior mean and 95 %. Sd: "
        f"posterior of prior, {unit.name}. "
        f"Learnt: one minus their squared ratio. {STARS}",
        alt=f"Paired prior and posterior intervals of {len(table)} sources: {data} data-informed, "
        f"{against} against their prior.",
        data=table,
        verdict=attribution.verdict,
    )


def _mostly_data(n: int, against: int, of: int) -> str:
    """How many sources the data settle more than the prior does, in a title."""
    if against:
        are = "lies" if against == 1 else "lie"
        return f"{against} of {of} sources {are} against the prior; {n} mostly data"
    if n == 0:
        return f"None of the {of} sources is mostly data; all are mostly prior"
    if n == of:
        return f"All {of} sources are mostly data"
    return f"{n} of {of} sources {'is' if n == 1 else 'are'} mostly data; the rest mostly prior"


@styled
def plot_joint(
    attribution: Attribution,
    *,
    sources: tuple[str, ...] | None = None,
    ax: Axes | None = None,
    theme: str = "official",
) -> Figure:
    """Joint posterior of the main causes: how far the data tell them apart.

    Below the diagonal draws with the ellipses that hold 50 and 95 per cent of a normal
    with the same moments, above it the correlation, on it the marginal.

    Parameters
    ----------
    attribution : Attribution
    sources : tuple of str, optional
        The four with the widest posterior unless told.
    ax : Axes, optional
    theme : {"official", "paper"}

    Raises
    ------
    LabelError
        If a source that is named is not among those of the attribution.
    """
    names = sources or main_causes(attribution)
    totals = attribution.totals().stack(draw_=(CHAIN, DRAW)).transpose(SOURCE, "draw_")
    unknown = [s for s in names if s not in totals[SOURCE].values]
    if unknown:
        raise LabelError(f"sources {unknown} are not in this attribution: see its summary().")
    values = totals.sel({SOURCE: list(names)}).values / attribution.words.unit.size
    n = len(names)
    page = open_page(ax, (9.2, 6.6), theme, panels=(n, n), sharex="col" if ax is None else False)
    _pairs(page, values, [_broken(title(name)) for name in names])
    table = joint_data(attribution, names)
    worst = table.loc[table["correlation"].abs().idxmax()]
    first, second = (within_sentence(title(str(worst[end]))) for end in ("source", "other"))
    strongest = f"{worst['correlation']:+.2f}".replace("-", "\u2212")
    return page.finish(
        f"Strongest trade-off: {first} with {second} ({strongest})".replace(": survey", ""),
        f"{attribution.area}, {attribution.period}; "
        f"contribution to the {attribution.measured}, {attribution.words.unit.persons}; "
        "positive: it made the estimate too high.",
        "Points: draws; ellipses: 50 and 95 %; numbers: posterior correlation. A correlation near "
        "\u22121 means that only the sum is known.",
        alt=f"Pairs of {n} causes. Strongest correlation {strongest}, between "
        f"{first} and {second}.",
        data=table,
        verdict=attribution.verdict,
    )


def _pairs(page: Page, values: np.ndarray, names: list[str]) -> None:
    """Panels of every pair: cloud below the diagonal, correlation above, marginal on it."""
    n, corr = len(names), np.atleast_2d(np.corrcoef(values))
    limits = [_reach(v) for v in values]
    shown = values[:, :: max(1, values.shape[1] // POINTS)]
    for i, j in np.ndindex(n, n):
        panel = page.panels[i * n + j]
        panel.set_xlim(*limits[j])
        panel.locator_params(nbins=3)
        panel.xaxis.set_major_formatter(SIGNED)
        panel.yaxis.set_major_formatter(SIGNED)
        if i == j:
            panel.hist(values[i], bins=30, color=page.colour(0), alpha=0.8)
            panel.set_yticks([])
        elif i > j:
            _cloud(panel, values[[j, i]], shown[[j, i]], POINT, page.colour(0))
            panel.set_ylim(*limits[i])
        else:
            size = page.font + 5 * abs(corr[i, j]) + 1
            said = f"{corr[i, j]:+.2f}".replace("-", "\u2212")
            panel.text(0.5, 0.5, said, ha="center", va="center", fontsize=size, color=INK,
                       transform=panel.transAxes)  # fmt: skip
            panel.set_axis_off()
        panel.tick_params(labelbottom=i == n - 1, labelleft=j == 0 and i > 0)
        if i == 0:
            panel.set_title(names[j], fontsize=page.font, color=INK)
        if j == 0:
            panel.set_ylabel(names[i])


def main_causes(attribution: Attribution, n: int = MAIN_CAUSES) -> tuple[str, ...]:
    """Sources with the widest posterior, in the order of reporting."""
    table = attribution.summary()
    widest = set(table[table["sd"] >= KNOWN].nlargest(n, "sd")["source"])
    return tuple(s for s in table["source"] if s in widest)


def joint_data(attribution: Attribution, names: tuple[str, ...]) -> pd.DataFrame:
    """source, other, correlation, and mean and 95 % interval of both, persons."""
    table = attribution.summary().set_index("source")
    corr = attribution.correlations()
    columns = ["mean", "lower95", "upper95"]
    rows = [
        (a, b, corr.loc[a, b], *table.loc[a, columns], *table.loc[b, columns])
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    other = [f"other_{c}" for c in columns]
    return pd.DataFrame(rows, columns=["source", "other", "correlation", *columns, *other])


def _reach(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.002, 0.998])
    return float(low - 0.1 * (high - low)), float(high + 0.1 * (high - low))


def _cloud(panel: Axes, values: np.ndarray, shown: np.ndarray, quiet: str, colour: str) -> None:
    """Draws with the ellipses of 50 and 95 per cent of a normal with the same moments."""
    panel.plot(*shown, ".", color=quiet, markersize=2.5, rasterized=True)
    sizes, axes = np.linalg.eigh(np.cov(values))
    angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
    for prob, line in ((0.5, "-"), (0.95, "--")):
        wide, narrow = 2 * np.sqrt(chi2.ppf(prob, 2) * sizes[::-1])
        centre = (float(values[0].mean()), float(values[1].mean()))
        panel.add_patch(Ellipse(centre, wide, narrow, angle=angle, fill=False, edgecolor=colour,
                                linewidth=1.4, linestyle=line))  # fmt: skip


def _broken(text: str, width: int = 13) -> str:
    """A name over several short lines."""
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def tornado_data(
    fit: Fit, quantity: str = "group[migration]", *, checks: Checks | None = None
) -> pd.DataFrame:
    """How one number answers to each prior halved and doubled, and to each source removed.

    Exact at the posterior mean scales: a preview, not a refit.

    Parameters
    ----------
    fit : Fit
        Of the Gaussian model.
    quantity : str
        Any of the names of `fit.model.reported`.

    Returns
    -------
    DataFrame, persons
        change ("prior of ..." or "without ..."), variant ("halved", "doubled",
        "removed"), mean, sd, lower95, upper95, swing (mean minus that of the fit as it is);
        the first row is the fit as it is. The verdict of the fit stands in `attrs`.
    """
    preview = what_if(fit)
    names = preview.posterior.names
    if quantity not in names:
        raise LabelError(f"'{quantity}' is not reported by this fit. Known: {', '.join(names)}.")
    at = names.index(quantity)
    mean, sd = preview.moments({})
    rows = [("as it is", "as it is", float(mean[at]), float(sd[at]))]
    for part in fit.model.contributions:
        blocks = fit.model.account.latents.of_source(part.source)
        if not blocks or preview.tied.intersection(blocks):
            continue  # no prior of its own, or one that it shares with another error
        for variant, factor in (("halved", 0.5), ("doubled", 2.0)):
            m, s = preview.moments({fit.model.places[b]: factor for b in blocks})
            change = f"Prior of {within_sentence(title(part.source))}"
            rows.append((change, variant, float(m[at]), float(s[at])))
    sources = dict.fromkeys(fit.model.row_sources)
    for source in sources if len(sources) > 1 else ():  # without the only one: the priors
        rest = GaussianPosterior(without_rows(fit.model, source))
        m, v = rest.moments(preview.scales)
        change = f"Without {within_sentence(title(source))} figures"
        rows.append((change, "removed", float(m[at]), float(v[at]) ** 0.5))
    frame = pd.DataFrame(rows, columns=["change", "variant", "mean", "sd"])
    frame["lower95"] = frame["mean"] - Z95 * frame["sd"]
    frame["upper95"] = frame["mean"] + Z95 * frame["sd"]
    frame["swing"] = frame["mean"] - frame["mean"].iloc[0]
    return (checks or check(fit)).verdict.put_on(frame)


@styled
def plot_tornado(
    sensitivity: Fit | pd.DataFrame,
    *,
    quantity: str = "group[migration]",
    checks: Checks | None = None,
    ax: Axes | None = None,
    theme: str = "official",
) -> Figure:
    """Tornado: what moves one number most, priors halved and doubled, sources removed.

    Parameters
    ----------
    sensitivity : Fit or DataFrame
        A fit, or what :func:`tornado_data` returned.
    quantity : str
        As in :func:`tornado_data`.
    checks : Checks, optional
        Of the fit; made where it is not given.
    ax : Axes, optional
    theme : {"official", "paper"}
    """
    area, unit = "", THOUSANDS
    if isinstance(sensitivity, Fit):
        unit = Unit.of(sensitivity.model.sources.census.total)
        area = f"{sensitivity.model.sources.area}; "
        table = tornado_data(sensitivity, quantity, checks=checks)
    else:
        table = sensitivity
    verdict = Verdict.of(table) if checks is None else checks.verdict
    base, rest = table.iloc[0], table.iloc[1:]
    swing = rest.groupby("change")["swing"].agg(lambda s: s.abs().max())
    order = [str(c) for c in swing[swing >= NOTHING].nlargest(MOST_BARS).index[::-1]]
    page = open_page(ax, (9.2, 0.34 * len(order) + 0.9), theme)
    _swings(page, rest, order, unit)
    sign = "; positive: made the roll-forward too high" if quantity.startswith("g") else ""
    return page.finish(
        _hangs_on(_named(quantity), order),
        f"{area}posterior mean as it is {unit.between_ends(base)} {unit.name}, 95 % interval; "
        f"bars: change of the mean, {unit.persons}{sign}.",
        "Zero line: as it is. Plain: prior sd doubled. Striped: halved. Crossed: source removed. "
        "Numbers: mean and 95 % interval after the largest change. Exact at fixed scales.",
        alt=f"Sorted bars of {len(order)} changes. As it is {unit.between_ends(base)} {unit.name}; "
        f"the largest change: {order[-1].lower() if order else 'none'}.",
        data=table,
        verdict=verdict,
    )


def _swings(page: Page, rest: pd.DataFrame, order: list[str], unit: Unit) -> None:
    """Bars of each change from the fit as it is, with the largest of them in numbers."""
    ax = page.ax
    looks = {"halved": (1, "//"), "doubled": (0, None), "removed": (3, "xx")}
    reach = max(float(rest["swing"].abs().max()), NOTHING) / unit.size
    for i, change in enumerate(order):
        rows = rest[rest["change"] == change]
        for row in rows.itertuples():
            colour, hatch = looks[str(row.variant)]
            ax.barh(i, row.swing / unit.size, height=0.6, color=page.colour(colour), hatch=hatch,
                    edgecolor="white", linewidth=0.8, gid=f"{row.variant}:{change}")  # fmt: skip
        largest = rows.loc[rows["swing"].abs().idxmax()]
        ax.text(1.08 * reach, i, f"{largest['variant']}: {unit.between_ends(largest)}", va="center",
                fontsize=page.font - 0.5, color=INK)  # fmt: skip
    zero_line(ax, vertical=True)
    ax.set_yticks(np.arange(len(order)), order)
    room_for_labels(ax, -1.05 * reach, 1.05 * reach, (2.35 if page.wide else 3.1) * reach)
    ax.xaxis.set_major_formatter(SIGNED)
    ax.set_ylim(-0.7, len(order) - 0.3)
    ax.set_xlabel(f"change of the posterior mean, {unit.persons}")


def _hangs_on(what: str, order: list[str]) -> str:
    """The largest change, in a title."""
    what = what[0].upper() + what[1:]
    if not order:
        return f"{what}: no prior and no source moves it"
    name = order[-1].removeprefix("Without ").replace("Prior", "prior").replace(": survey", "")
    return f"{what} hangs most on the {name}"


def _named(quantity: str) -> str:
    kind, _, rest = quantity.partition("[")
    label = rest.rstrip("]")
    if kind in ("gap", "group"):
        return f"{within_sentence(title(label))} in the gap"
    return f"{kind.replace('_', ' ')}, {label}"
