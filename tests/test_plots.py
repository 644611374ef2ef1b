"""Figures: bars equal their tables, nothing clips or overlaps, both themes, pictures kept."""

import io
import os
from dataclasses import replace
from pathlib import Path

import drawn_results as made
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text

import imps
from imps import plots
from imps.account.variant import Variant
from imps.errors import LabelError, SourceError
from imps.plots.style import OFFICIAL, PAPER, THEMES, open_page
from imps.posterior.exact import GaussianPosterior
from imps.posterior.fit import Fit
from imps.posterior.storage import dataset
from imps.results.verdict import Cause, Verdict
from imps.sampling import Sampling

PIXEL = 1.0  # boxes of text may touch the edge of the page by rounding
OVERLAP = 1.5  # pixels by which two boxes of text may share their white margins
DRAWN = 1e-6  # persons: bars are drawn from the same floats as the table
PICTURE_DPI = 50
TITLE_WORDS = 15  # "titles of 15 words or fewer"
CONTRAST = 3.0  # of graphics against white, WCAG 2.2, 1.4.11


def texts_of(figure):
    """Every text that is seen, with its box in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    found = list(figure.texts)
    axes = [*figure.axes, *(child for ax in figure.axes for child in ax.child_axes)]
    for ax in axes:
        if ax.axison:
            found += [*_ticks(ax.xaxis, ax.get_xlim()), *_ticks(ax.yaxis, ax.get_ylim())]
            found += [ax.xaxis.label, ax.yaxis.label]
        found += [*ax.texts, ax.title, ax._left_title, ax._right_title]
    shown = [t for t in found if t.get_visible() and t.get_text().strip()]
    return [(t, t.get_window_extent(renderer)) for t in shown]


def _ticks(axis, limits):
    low, high = sorted(limits)
    slack = 1e-9 * (high - low)
    out = []
    for tick in axis.get_major_ticks():
        if low - slack <= tick.get_loc() <= high + slack:
            out += [x for x in (tick.label1, tick.label2) if x.get_visible()]
    return out


def faults(figure):
    """Texts that leave the page, and pairs of texts whose boxes overlap."""
    width, height = figure.bbox.width, figure.bbox.height
    found = texts_of(figure)
    out = [
        t.get_text()
        for t, box in found
        if box.x0 < -PIXEL or box.y0 < -PIXEL or box.x1 > width + PIXEL or box.y1 > height + PIXEL
    ]
    for i, (a, x) in enumerate(found):
        for b, y in found[i + 1 :]:
            wide = min(x.x1, y.x1) - max(x.x0, y.x0)
            high = min(x.y1, y.y1) - max(x.y0, y.y0)
            if wide > OVERLAP and high > OVERLAP:
                out.append((a.get_text(), b.get_text()))
    return out


def test_the_check_of_overlaps_sees_them():
    figure = Figure(figsize=(3, 2))
    figure.text(0.5, 0.5, "one")
    figure.text(0.52, 0.5, "two")
    figure.text(0.95, 0.5, "leaves the page")
    assert faults(figure) == ["leaves the page", ("one", "two")]


CASES = ("uk-1991-2001", "england-wales-2001-2011", "england-wales-2011-2021")


@pytest.fixture(scope="module")
def results(case, fitted, attribution, reconciliation):
    """Every result of the three shipped cases that a figure takes."""
    out = {}
    for name in CASES:
        if name == CASES[0]:
            loaded, fit, shares, stocks = case, fitted, attribution, reconciliation
            checks = imps.check(fit)
        else:
            loaded = imps.load_case(name)
            model = imps.linear_model(loaded.sources, imps.default_priors())
            fit = imps.fit(model, seed=1, draws=200, chains=2)
            checks = imps.check(fit)
            shares = imps.attribute(fit, checks=checks)
            stocks = imps.reconcile(fit, checks=checks)
        out[name] = (loaded, fit, checks, shares, stocks)
    return out


def figures_of(loaded, fit, checks, shares, stocks, theme="official", **given):
    """Every figure of a fit by name, drawn when asked for."""
    draw = dict(theme=theme, **given)
    return {
        "waterfall": lambda: plots.plot_waterfall(shares, **draw),
        "gap_pyramid": lambda: plots.plot_gap_pyramid(shares, **draw),
        "net_migration": lambda: plots.plot_net_migration(stocks, **draw),
        "back_series": lambda: plots.plot_back_series(stocks, later=loaded.later_series, **draw),
        "prior_posterior": lambda: plots.plot_prior_posterior(shares, **draw),
        "joint": lambda: plots.plot_joint(shares, **draw),
        "tornado": lambda: plots.plot_tornado(fit, checks=checks, **draw),
        "migration_error": lambda: plots.plot_lexis(
            imps.migration_error(fit, checks=checks), **draw
        ),
        "residuals": lambda: plots.plot_lexis(imps.residuals(fit, checks=checks), **draw),
        "predictive": lambda: plots.plot_predictive(
            imps.posterior_predictive(fit, checks=checks), **draw
        ),
        "coverage": lambda: plots.plot_coverage(imps.coverage(fit, checks=checks), **draw),
        "diagnostics": lambda: plots.plot_diagnostics(fit, checks=checks, **draw),
    }


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", CASES)
def test_figures_of_the_shipped_cases(results, name, theme):
    """No text is clipped or overlaps; each figure has a text, its data and the verdict."""
    checks = results[name][2]
    for kind, draw in figures_of(*results[name], theme=theme).items():
        figure = draw()
        assert faults(figure) == [], kind
        text = plots.alt_text(figure)
        assert checks.verdict.level in text, kind
        assert len(text) > 80, kind
        assert len(figure.title_text.split()) <= TITLE_WORDS, figure.title_text
        caption = plots.caption(figure)
        assert caption.startswith(figure.title_text)
        if checks.verdict.usable:  # advice for the analyst is not published with a figure
            assert caption.endswith("Fit: usable.")
        data = plots.figure_data(figure)
        assert {"lower95", "upper95"} <= set(data.columns) or kind == "diagnostics", kind
        assert figure.verdict == checks.verdict


def test_bars_and_labels_of_the_waterfall_equal_the_table(results):
    for name in CASES:
        shares = results[name][3]
        figure = plots.plot_waterfall(shares)
        bars = {p.get_gid(): p for p in figure.axes[0].patches if p.get_gid()}
        labels = {t.get_gid(): t.get_text() for t in figure.axes[0].texts if t.get_gid()}
        table = shares.summary().set_index("source")
        drawn = [s for s in table.index if f"bar:{s}" in bars]
        left = table.drop(drawn)
        assert (left[["mean", "sd"]].abs() < 1e-3).all(axis=None)  # known to be nothing
        running = 0.0
        for source in drawn:
            bar, row = bars[f"bar:{source}"], table.loc[source]
            assert bar.get_width() * 1000 == pytest.approx(row["mean"], abs=DRAWN)
            assert bar.get_x() * 1000 == pytest.approx(running, abs=DRAWN)
            running += row["mean"]
            said = labels[f"label:{source}"].replace("\u2212", "-").replace(",", "")
            numbers = [float(x) for x in said.replace("[", " ").replace("]", " ").split()
                       if x.lstrip("+-").isdigit()]  # fmt: skip
            wanted = [row["mean"]] if row["sd"] < 1e-3 else row[["mean", "lower95", "upper95"]]
            np.testing.assert_allclose(numbers, np.round(np.array(wanted, float) / 1000))
        assert bars["bar:gap"].get_width() * 1000 == pytest.approx(shares.total)
        assert running == pytest.approx(shares.total, abs=1.0)  # exact means, summed


def test_the_gap_has_bars_by_age_only_where_some_were_published():
    shares = made.attribution()
    for counted, bars in (("sex and age", True), ("total", False)):
        figure = plots.plot_gap_pyramid(replace(shares, counted=counted))
        assert any(len(ax.patches) for ax in figure.axes) == bars
        assert ("as counted" in plots.caption(figure)) == bars


def test_titles_say_what_the_numbers_say():
    shares = made.attribution()
    assert plots.plot_waterfall(shares).title_text == (
        "The +120 thousand gap by source: the largest part is prior-driven"
    )
    learnt = shares.prior.assign(prior_sd=10 * shares.prior["prior_sd"])
    assert plots.plot_waterfall(replace(shares, prior=learnt)).title_text == (
        "Population base: largest part of the +120 thousand gap, though it may be zero"
    )
    sure = replace(shares, contributions=shares.contributions * 0 + 1e3)
    table = sure.summary()
    assert (table["lower95"] > 0).all()
    assert "may be zero" not in plots.plot_waterfall(sure).title_text
    surface = made.surface()
    far = surface.cells.loc[surface.cells["value"].abs().idxmax()]
    assert plots.plot_lexis(surface).title_text.endswith(
        f"at age {far['first_age']:.0f}, year to mid-{(far['start'] + far['end']) / 2:.0f}"
    )
    calm = replace(surface, cells=surface.cells.assign(z=0.0))
    assert "Nowhere" in plots.plot_lexis(calm).title_text
    missed = replace(made.coverage(), total=made.coverage().total * 0.9)
    assert "missed people: 90." in plots.plot_coverage(missed).title_text
    assert "hangs most on the census figures" in plots.plot_tornado(made.swings()).title_text


def test_a_long_title_is_broken_and_stays_on_the_page():
    long = replace(made.coverage(), name="patient register of the whole of a large country")
    figure = plots.plot_coverage(long)
    assert len(figure.title_text) > 90
    assert faults(figure) == []


def test_coverage_of_a_count_without_ages_shows_the_total_alone():
    totals = replace(made.coverage(), observed=False)
    figure = plots.plot_coverage(totals)
    assert len(figure.axes) == 1
    assert "no ages" in plots.caption(figure)
    row = plots.figure_data(figure).iloc[-1]
    assert row["mean"] == pytest.approx(float(totals.total.mean()))
    assert faults(figure) == []


def test_migration_error_sums_to_the_migration_group(results):
    for name in CASES:
        _, fit, checks, shares, _ = results[name]
        surface = imps.migration_error(fit, checks=checks)
        members = shares.prior.loc[shares.prior["group"] == "migration", "source"]
        total = shares.totals().sel(source=list(members)).sum("source").mean()
        assert surface.cells["value"].sum() == pytest.approx(float(total), abs=1.0)


def test_prediction_leaves_the_row_out(results):
    """One row checked by taking it out of the model."""
    _, fit, checks, _, _ = results[CASES[0]]
    found = imps.posterior_predictive(fit, checks=checks).table.iloc[7]
    model, h = fit.model, fit.draws["log_scale"].mean(("chain", "draw")).values
    keep = np.arange(model.observed.size) != 7
    names = ("design", "curved_design", "offset", "observed", "standard_error")
    rest = replace(
        model,
        **{n: getattr(model, n)[keep] for n in names},
        row_labels=tuple(np.array(model.row_labels)[keep]),
        row_sources=tuple(np.array(model.row_sources)[keep]),
    )
    posterior = GaussianPosterior(rest)
    factor = posterior.factor(h)
    factors = model.scale_factors(h)
    row = model.design[7] * factors
    white = posterior.white * factors
    mean = model.offset[7] + row @ (white.T @ factor.solve(posterior.residual))
    half = factor.half(white @ row)
    variance = row @ row - half @ half + model.standard_error[7] ** 2
    assert found["mean"] == pytest.approx(mean, rel=1e-6)
    assert found["sd"] == pytest.approx(np.sqrt(variance), rel=1e-6)


def test_coverage_of_a_register(sources):
    count = sources.census.count
    register = imps.Register(
        name="patient register", year=2001, count=count, standard_error=0 * count + 2000.0,
        coverage_mean=0.03, coverage_sd=0.02, coverage_age_sd=0.01, vintage="none",
        reference="made up for this test",
    )  # fmt: skip
    model = imps.linear_model(sources.add(register), imps.default_priors())
    draws, rng = (2, 100), np.random.default_rng(1)
    prior = dataset(
        rng.standard_normal((*draws, len(model.scale_names))),
        rng.standard_normal((*draws, model.n_latent)),
        list(model.scale_names),
        model.latent_names,
    )
    sampling, plain = Sampling(method="exact", seed=1), Variant()
    fit = Fit(model, prior, xr.Dataset(), "exact", sampling, plain, {"total": 0.0})  # of the prior
    found = imps.coverage(fit, "patient register")
    truth = model.evaluate(model.account.population(2001), fit.latents())
    assert float(found.ratio.mean()) == pytest.approx(float((count.values / truth).mean()))
    assert faults(plots.plot_coverage(found)) == []
    with pytest.raises(SourceError, match="Known: census, patient register"):
        imps.coverage(fit, "registry")


def test_figures_take_an_axis_of_the_users_own(results):
    sizes = figures_of(*results[CASES[0]]).keys()
    own = Figure(figsize=(30, 30))
    axes = dict(zip(sizes, own.subplots(4, 3).ravel(), strict=True))
    for kind, ax in axes.items():
        assert figures_of(*results[CASES[0]], ax=ax)[kind]() is own
        assert ax.get_title(loc="left") == own.title_text
        assert plots.alt_text(own).startswith(own.title_text)


def test_themes():
    for theme in (OFFICIAL, PAPER):
        assert len(theme.colours) == 4
        for colour in theme.colours:
            assert contrast(colour) >= CONTRAST, colour
    for colour in (*PAPER.colours, *PAPER.bands, *PAPER.diverging, PAPER.quiet):
        assert colour[1:3] == colour[3:5] == colour[5:7]  # grey already
    with pytest.raises(LabelError, match="expected one of official, paper"):
        plots.plot_waterfall(made.attribution(), theme="poster")


def contrast(colour):
    """Contrast ratio against white, by WCAG 2.2."""
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)


def test_paper_figures_are_vector_files_with_embedded_fonts(tmp_path):
    figure = plots.plot_waterfall(made.attribution(), theme="paper")
    assert not figure.texts  # no title, no subtitle
    for name in ("once.pdf", "again.pdf"):
        figure.savefig(tmp_path / name)
    content = (tmp_path / "once.pdf").read_bytes()
    assert content == (tmp_path / "again.pdf").read_bytes()
    assert b"/FontFile2" in content  # TrueType, embedded
    assert b"/Type3" not in content


def test_a_failed_check_is_written_on_every_theme():
    bad = made.attribution(Verdict("do not use: 3 quantities have not converged"))
    for theme in THEMES:
        figure = plots.plot_waterfall(bad, theme=theme)
        text = [t for t in figure.texts if "do not use" in t.get_text()]
        assert text and text[0].get_fontweight() == "bold"


PICTURES = {
    "waterfall": lambda t: plots.plot_waterfall(made.attribution(), theme=t),
    "gap_pyramid": lambda t: plots.plot_gap_pyramid(made.attribution(), theme=t),
    "net_migration": lambda t: plots.plot_net_migration(made.reconciliation(), theme=t),
    "back_series": lambda t: plots.plot_back_series(
        made.reconciliation(), later=made.later_series(), theme=t
    ),
    "prior_posterior": lambda t: plots.plot_prior_posterior(made.attribution(), theme=t),
    "joint": lambda t: plots.plot_joint(made.attribution(), theme=t),
    "tornado": lambda t: plots.plot_tornado(made.swings(), theme=t),
    "migration_error": lambda t: plots.plot_lexis(made.surface(), theme=t),
    "residuals": lambda t: plots.plot_lexis(made.surface(("immigration", "emigration")), theme=t),
    "predictive": lambda t: plots.plot_predictive(made.predictive(), theme=t),
    "coverage": lambda t: plots.plot_coverage(made.coverage(), theme=t),
    "chain": lambda t: plots.plot_chain(made.chain(), theme=t),
}
BASELINES = Path(__file__).parent / "pictures"
LARGEST_RMS = 2.0
"""Of 255, root mean square over pixels. Pictures are compared without their texts and with
fixed margins, for another FreeType would move every axis by a pixel; what is left are lines
and areas, which Agg draws alike everywhere but for rounding. A waterfall that lost its
intervals gives 10, as the last test shows. The texts are compared as words."""


def bare(figure, path):
    """Save a figure without its texts and with fixed margins; return the texts that were seen."""
    texts = sorted({t.get_text() for t, _ in texts_of(figure)})
    figure.set_layout_engine("none")
    for ax in figure.axes:
        grid = ax.get_subplotspec()
        ax.set_position((0.93, 0.2, 0.02, 0.6) if grid is None else grid.get_position(figure))
    for text in figure.findobj(Text):
        text.set_visible(False)
    figure.savefig(path, dpi=PICTURE_DPI)
    return texts


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_the_one_that_was_looked_at(name, theme, tmp_path):
    """To renew after a change: IMPS_RENEW_PICTURES=1 pytest tests/test_plots.py, then look."""
    made_now = tmp_path / f"{name}_{theme}.png"
    texts = bare(PICTURES[name](theme), made_now)
    picture, words = BASELINES / made_now.name, BASELINES / f"{name}_{theme}.txt"
    if os.environ.get("IMPS_RENEW_PICTURES"):
        picture.write_bytes(made_now.read_bytes())
        words.write_text("\n---\n".join(texts) + "\n", "utf-8")
    assert texts == words.read_text("utf-8").removesuffix("\n").split("\n---\n")
    assert compare_images(str(picture), str(made_now), tol=LARGEST_RMS) is None


def test_comparison_of_pictures_sees_a_lost_interval(tmp_path):
    figure = plots.plot_waterfall(made.attribution())
    for lines in list(figure.axes[0].collections):
        lines.remove()
    bare(figure, tmp_path / "changed.png")
    wanted = tmp_path / "wanted.png"
    wanted.write_bytes((BASELINES / "waterfall_official.png").read_bytes())
    assert "RMS" in compare_images(str(wanted), str(tmp_path / "changed.png"), tol=LARGEST_RMS)


def test_diagnostics_of_a_sampled_fit(results):
    """Steps and divergences of NUTS in place of the grid; statistics made by hand."""
    fit, checks = results[CASES[1]][1:3]
    shape = (fit.n_chains, fit.n_draws)
    steps = np.resize([7, 15, 31, 63], shape)
    stats = xr.Dataset(
        {
            "n_steps": (("chain", "draw"), steps),
            "diverging": (("chain", "draw"), np.resize([True] + [False] * 99, shape)),
        }
    )
    sampled = replace(fit, stats=stats, method="nuts")
    figure = plots.plot_diagnostics(sampled, checks=checks)
    assert faults(figure) == []
    divergent = int(stats["diverging"].sum())
    assert any(f"{divergent} divergences" in ax.get_xlabel() for ax in figure.axes)


def test_prediction_of_a_variant_says_that_it_is_lenient(results):
    fit, checks = results[CASES[0]][1:3]
    variant = replace(fit, variant=Variant(likelihood="student_t"))
    found = imps.posterior_predictive(variant, checks=checks)
    exact = imps.posterior_predictive(fit, checks=checks)
    assert not found.left_out
    assert "lenient" in "".join(t.get_text() for t in plots.plot_predictive(found).texts)
    z = found.table["z"].abs(), exact.table["z"].abs()
    assert z[0].mean() < z[1].mean()  # rows that predict themselves fit better


def test_title_of_the_computation_speaks_of_the_computation(fitted):
    """A verdict for other causes says nothing against draws that have converged."""
    found = imps.check(fitted)
    care = replace(found, verdict=replace(found.verdict, level="use with care"))
    assert plots.plot_diagnostics(fitted, checks=care).title_text == "Computation: chains agree"
    apart = replace(found, table=found.table.assign(r_hat=1.2))
    assert "have not converged" in plots.plot_diagnostics(fitted, checks=apart).title_text


@pytest.mark.parametrize("dpi", [72, 90, 120])
def test_text_around_a_figure_ends_before_its_edge_at_every_resolution(dpi):
    """Letters fitted to whole pixels would be wider than they were measured."""
    cause = Cause("survey", "misfit 3.1 against at most 2 in all rows of the port survey", "")
    verdict = Verdict("use with care", (cause,), next_step="look for wrong figures " * 6)
    page = open_page(None, (8.0, 4.6), "official")
    figure = page.finish("Title", alt="", data=pd.DataFrame(), verdict=verdict)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=dpi)
    image = plt.imread(io.BytesIO(written.getvalue()))[..., :3].min(axis=2)
    inked = np.flatnonzero((image[-dpi // 4 :] < 0.6).any(axis=0))
    assert inked.max() < image.shape[1] - 0.05 * dpi
