"""Reports of many areas: one page for the whole, and one for each area that is asked for."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from imps._version import __version__
from imps.areas.fit import AreaFit
from imps.names import GAP_CONVENTION, SOURCE
from imps.plots import plot_area_funnel, plot_area_ranking, plot_gap_pyramid, plot_waterfall
from imps.report.report import shown_figure
from imps.results.attribution import Attribution
from imps.tables import attribution_table
from imps.tables.areas import areas_table
from imps.tables.printed import PrintedTable


def write_area_reports(fit: AreaFit, folder: str | Path, areas: Sequence[str] = ()) -> list[Path]:
    """Write `areas.html`, and `area-CODE.html` for each area asked for; existing ones go.

    Parameters
    ----------
    fit : AreaFit
    folder : path
    areas : sequence of str
        Codes or names.

    Returns
    -------
    list of Path
        Of the files, that of the whole first.
    """
    codes = [fit.codes[fit.place(area)] for area in areas]
    names = fit.areas.names
    pages = {f"area-{code}.html": _of_area(fit[code]) for code in codes}
    links = [(names[code], f"area-{code}.html") for code in codes]
    gap = fit.contrasts.gap.sum(axis=1)
    lines = (
        f"Areas rolled forward too high: {(gap > 0).sum()} of {len(fit)}. Their gaps sum to "
        f"{fit.words.unit.said(gap.sum())} {fit.words.unit.persons}, as the nation's does.",
        *fit.areas.notes,
    )
    figures = {
        "funnel": plot_area_funnel(fit),
        "external migration": plot_area_ranking(fit),
        "internal migration": plot_area_ranking(fit, source="internal"),
    }
    whole = _page(
        f"Areas of {fit.area_of_nation}, {fit.period}", str(fit.verdict), lines, figures,
        [areas_table(fit)], links,
    )  # fmt: skip
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for name, text in {"areas.html": whole, **pages}.items():
        (folder / name).write_text(text, encoding="utf-8")
        out.append(folder / name)
    return out


def _of_area(found: Attribution) -> str:
    lines = (
        f"{found.contributions.sizes[SOURCE]} sources of the gap of {found.area}, joint with all "
        "other areas and coherent with the nation. Immigration and emigration of one area cannot "
        "be told apart: read them as one sum, and that only softly apart from internal migration.",
    )
    figures = {"sources": plot_waterfall(found), "ages": plot_gap_pyramid(found)}
    title = f"{found.area}, {found.period}"
    return _page(title, str(found.verdict), lines, figures, [attribution_table(found)], [])


def _page(
    title: str,
    verdict: str,
    lines: Sequence[str],
    figures: dict[str, Figure],
    tables: Sequence[PrintedTable],
    links: Sequence[tuple[str, str]],
) -> str:
    from jinja2 import Environment

    files = importlib.resources.files("imps.report").joinpath("page")
    template = files.joinpath("areas.html.j2").read_text("utf-8")
    return (
        Environment(autoescape=True)
        .from_string(template)
        .render(
            title=title,
            version=__version__,
            style=files.joinpath("style.css").read_text("utf-8"),
            convention=GAP_CONVENTION[0].upper() + GAP_CONVENTION[1:],
            verdict=verdict,
            lines=lines,
            figures=[shown_figure(name, figure) for name, figure in figures.items()],
            tables=tables,
            links=links,
        )
    )
