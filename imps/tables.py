"""Tables: one object to DataFrame, CSV, LaTeX, HTML and Word, with its notes.

The frame of a table holds the numbers as they are, in persons and shares. What is
printed (LaTeX, HTML, Word) is the same numbers rounded once, point and bounds alike,
with an interval in one column. The CSV holds them unrounded for machines; rounded, it is
what is printed.
"""

from __future__ import annotations

import html
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from imps.attribution import PRIOR_DRIVEN, Attribution
from imps.checks import Checks
from imps.dims import GAP_CONVENTION, title
from imps.errors import ImpsError
from imps.fit import Fit
from imps.priors import LOG_SD_OF_SCALES
from imps.reconcile import Reconciliation
from imps.sensitivity import response_table

if TYPE_CHECKING:
    from docx.document import Document

ADD_UP = "Means add up; interval ends do not."
INTERVAL = "Intervals are equal-tailed 95 % credible intervals."
SAMPLING = "Intervals of the survey are 95 % sampling intervals, estimate plus or minus 1.96 se."
PREVIEW = "Exact at the posterior mean scales, without a refit."
ROUNDING = 100.0
"""Persons to which tables are rounded, point and bounds alike."""
Z95 = 1.96
WIDE = 34
"""Letters from which a column of words is broken into lines in LaTeX."""
LINE_WIDTH = 450.0
"""Points of the text of an A4 page, 16 cm."""
SEPARATION = 3.0
"""Points on each side of a column in LaTeX."""
SIZES = (("small", 4.7), ("footnotesize", 4.25), ("scriptsize", 3.85), ("tiny", 3.3))
"""Sizes of LaTeX with the mean width of a letter of Computer Modern, points."""
MANY = 8
"""Columns in thousands from which the caption says the unit instead of each header."""
TALL = 30
"""Rows from which a table of LaTeX may break over pages."""
LEAST_WORDS = 0.4
"""Share of the line that columns of broken words need."""
MINUS = "\u2212"


@dataclass(frozen=True)
class Table:
    """A table in persons with what a reader must know about it.

    Attributes
    ----------
    frame : DataFrame
        Numbers as they are, in persons and shares.
    caption, label : str
    notes : tuple of str
    in_thousands : tuple of str
        Columns in persons that are printed in thousands.
    csv_only : tuple of str
        Columns that stand in the frame and in the CSV but are not printed.
    significant : tuple of str
        Columns of small numbers that are printed to three significant digits.
    rounding : float
        Persons to which those columns are rounded when printed.
    """

    frame: pd.DataFrame
    caption: str
    label: str
    notes: tuple[str, ...]
    in_thousands: tuple[str, ...] = ()
    csv_only: tuple[str, ...] = ()
    significant: tuple[str, ...] = ()
    rounding: float = ROUNDING

    @property
    def heading(self) -> str:
        """The caption, with the unit where the headers are too many to say it."""
        many = len(self.in_thousands) > MANY
        return f"{self.caption}, thousand persons" if many else self.caption

    @property
    def note(self) -> str:
        """Everything under the table: unit and rounding, interval, sign, verdict."""
        unit = f"Thousand persons, rounded to {self.rounding:,.0f} persons."
        notes = (unit, *self.notes) if self.in_thousands else self.notes
        sentences = [n if n[-1:] in ".:;" else f"{n}." for n in notes if n]
        return " ".join(sentences)

    def to_frame(self) -> pd.DataFrame:
        """The numbers as they are; a copy."""
        return self.frame.copy()

    def to_csv(self, path: Path) -> None:
        """Write the numbers unrounded; text that a spreadsheet would run is refused."""
        path.write_text(self.csv_text(), encoding="utf-8", newline="")

    def csv_text(self) -> str:
        """The numbers unrounded, as the text of a CSV file."""
        text = self.frame.select_dtypes(include=["object", "string"])
        for column in text:
            bad = [v for v in text[column].dropna() if str(v)[:1] in "=+@\t\r"]
            if bad:
                raise ImpsError(
                    f"table '{self.label}', column '{column}': '{bad[0]}' begins like a "
                    "spreadsheet formula. Rename it."
                )
        return self.frame.to_csv(index=False, lineterminator="\n")

    def printed(self) -> pd.DataFrame:
        """Columns as they are printed, as text, each interval in one column."""
        out: dict[str, list[str]] = {}
        for column in self.frame:
            name = str(column)
            ends = _interval(name, list(self.frame))
            if ends == "upper" or name in self.csv_only:
                continue
            if ends == "lower":
                upper = self._texts(name.replace("lower", "upper"))
                bounds = zip(self._texts(name), upper, strict=True)
                out[self._header(name)] = [_bounds(a, b) for a, b in bounds]
            else:
                out[self._header(name)] = self._texts(name)
        return pd.DataFrame(out, index=self.frame.index)

    def _header(self, column: str) -> str:
        """Name of a printed column, with its unit."""
        found = re.fullmatch(r"(.*?)_?(?:lower|upper)(\d+(?:\.\d+)?)", column)
        name = f"{found[1]} {found[2]} % interval".strip() if found else column
        many = len(self.in_thousands) > MANY  # then the caption says the unit once for all
        unit = " (thousand)" if column in self.in_thousands and not many else ""
        return f"{HEADERS.get(name, name.replace('_', ' '))}{unit}"

    def _texts(self, column: str) -> list[str]:
        values = self.frame[column]
        if column in self.in_thousands:
            digits = max(0, round(3 - np.log10(self.rounding)))
            return [_number(_rounded(v, self.rounding) / 1000, digits) for v in values]
        if column in self.significant:
            return [f"{v:.3g}".replace("-", MINUS) for v in values]
        if pd.api.types.is_float_dtype(values):
            missing = "known" if column == "contraction" else "–"
            return [_number(v, 2, missing) for v in values]
        return [_words(v, column) for v in values]

    def to_latex(self) -> str:
        """LaTeX with booktabs, numbers aligned right, notes under the table.

        Needs the packages `booktabs` and `array`, and `longtable` for a table of more than
        30 rows, which may break over pages. The size of the text is the largest in which
        the table fits an A4 page of 16 cm; long words are broken into lines.
        """
        frame = self.printed()
        words = {self._header(str(c)) for c in self.frame if _is_text(self.frame[c])}
        size, kinds = _latex_layout(frame, words)
        columns = "".join(kinds)
        head = " & ".join(_latex_head(c, frame, k) for c, k in zip(frame, kinds, strict=True))
        rows = [" & ".join(map(_latex, row)) + r" \\" for row in frame.to_numpy().tolist()]
        title_lines = rf"\caption{{{_latex(self.heading)}}}\label{{{self.label}}}"
        type_size = rf"\{size}\setlength{{\tabcolsep}}{{{SEPARATION:g}pt}}"
        note = rf"\footnotesize\raggedright {_latex(self.note)}\par"
        ruled = [r"\toprule", head + r" \\", r"\midrule"]
        if len(frame) > TALL:
            begin = [r"\begingroup", type_size, rf"\begin{{longtable}}{{{columns}}}"]
            begin += [title_lines + r"\\", *ruled, r"\endhead", r"\bottomrule", r"\endfoot"]
            end = [r"\end{longtable}", note, r"\endgroup"]
        else:
            begin = [r"\begin{table}[htbp]", r"\centering", title_lines, type_size]
            begin += [rf"\begin{{tabular}}{{{columns}}}", *ruled]
            end = [r"\bottomrule", r"\end{tabular}", rf"\par\medskip{note}", r"\end{table}"]
        return "\n".join([*begin, *rows, *end]) + "\n"

    def to_html(self) -> str:
        """A plain HTML table with caption, header cells and notes."""
        frame = self.printed()
        head = "".join(f'<th scope="col">{html.escape(c)}</th>' for c in frame)
        rows = []
        for values in frame.itertuples(index=False):
            first, *rest = (html.escape(str(v)) for v in values)
            cells = "".join(f"<td>{v}</td>" for v in rest)
            rows.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
        return (
            f"<table><caption>{html.escape(self.heading)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table><p class='notes'>{html.escape(self.note)}</p>"
        )

    def to_docx(self, path: Path) -> None:
        """Write a Word document with this table, its caption and its notes."""
        to_docx([self], path)

    def _repr_html_(self) -> str:
        return self.to_html()


def to_docx(tables: list[Table], path: Path) -> None:
    """Write tables into one Word document, each with caption and notes.

    Raises
    ------
    ImpsError
        If python-docx is not installed.
    """
    try:
        from docx import Document
    except ImportError:
        raise ImpsError(
            "writing Word needs python-docx, which is not installed: "
            "pip install 'imps-reconcile[word]'."
        ) from None
    document = Document()
    for table in tables:
        _add_to_docx(table, document)
    document.save(str(path))


def _add_to_docx(table: Table, document: Document) -> None:
    """Caption, table with a repeated header row, notes."""
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.oxml import OxmlElement
    from docx.shared import Pt

    document.add_paragraph(table.heading, style="Caption")
    printed = table.printed()
    text = [c in {table._header(str(x)) for x in table.frame if _is_text(table.frame[x])}
            for c in printed]  # fmt: skip
    grid = document.add_table(rows=1, cols=printed.shape[1], style="Light Shading")
    lines = [list(printed), *printed.to_numpy().tolist()]
    grid.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))  # on every page
    for i, line in enumerate(lines):
        cells = (grid.add_row() if i else grid.rows[0]).cells
        for cell, value, words in zip(cells, line, text, strict=True):
            paragraph = cell.paragraphs[0]
            run = paragraph.add_run(str(value))
            run.font.size = Pt(8)
            run.bold = i == 0
            if not words:
                paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
    note = document.add_paragraph().add_run(table.note)
    note.font.size = Pt(8)


HEADERS = {
    "probability_positive": "P(> 0)",
    "ips": "survey alone",
    "ips 95 % interval": "survey 95 % interval",
    "tim_final": "later official",
    "implied_original": "carried then",
    "r_hat": "R-hat",
}
"""Printed names of columns where the plain name would not be understood."""


def attribution_table(attribution: Attribution) -> Table:
    """One row a source, with prior, posterior, contraction and probability of its sign."""
    return Table(
        attribution.summary(),
        f"Sources of the gap of {attribution.total:+,.0f} persons, {attribution.area}, "
        f"{attribution.period}",
        "tab:attribution",
        (*_notes(attribution), "Contraction under 0.50: prior-driven."),
        ("mean", "sd", "lower95", "upper95", "prior_mean", "prior_sd"),
        csv_only=("group", "sd"),
    )


def groups_table(attribution: Attribution) -> Table:
    """Headline groups of sources."""
    return Table(
        attribution.groups(),
        f"Headline groups of the gap, {attribution.area}, {attribution.period}",
        "tab:groups",
        _notes(attribution),
        ("mean", "sd", "lower95", "upper95", "prior_mean", "prior_sd"),
        csv_only=("sd",),
    )


def net_migration_table(reconciliation: Reconciliation) -> Table:
    """Net migration by year beside the survey, the later and the original official series."""
    frame = reconciliation.net_migration_by_year()
    error = reconciliation.published.set_index("year")["ips_se"].loc[frame["year"]].to_numpy()
    after = list(frame).index("ips") + 1
    frame.insert(after, "ips_lower95", frame["ips"] - Z95 * error)
    frame.insert(after + 1, "ips_upper95", frame["ips"] + Z95 * error)
    return Table(
        frame,
        f"Net migration by year to 30 June, {reconciliation.area}",
        "tab:net-migration",
        (
            "Arrivals minus departures.",
            INTERVAL,
            SAMPLING,
            "The survey alone leaves out asylum seekers, Irish flows and switchers; the later "
            "official series holds them. What was carried in the roll-forward holds other changes "
            "too. Neither was published with an error.",
            _fit(reconciliation.verdict),
        ),
        tuple(c for c in frame if c != "year"),
        csv_only=("sd",),
    )


def gap_table(fit: Fit) -> Table:
    """The gap in the detail that was published, persons.

    The first row is the gap that the contributions sum to: the roll-forward at
    mid-year against the census as counted. Where census day is not the mid-year a
    second row moves the census by the posterior mean of the change in between.
    """
    sources = fit.model.sources
    census, rolled = sources.census, sources.rolled_forward
    last = float(rolled.total[-1])
    rows = [("total", "all", "all", "as counted", last, census.total)]
    if not census.at_mid_year:
        date = next(c for c in fit.model.contributions if c.source == "date_change")
        moved = float(fit.model.evaluate(date.value.sum(), fit.latents()).mean())
        rows.append(("total", "all", "all", "moved to mid-year", last, census.total + moved))
    if rolled.by_sex is not None and census.observed != "total":
        for sex in rolled.by_sex["sex"].values:
            counted = float(census.count.sel(sex=sex).sum())
            rows.append(
                ("sex", sex, "all", "as counted", float(rolled.by_sex.sel(sex=sex)), counted)
            )
    frame = pd.DataFrame(
        rows, columns=["level", "sex", "age", "basis", "rolled_forward", "census_based"]
    )
    frame["gap"] = frame["rolled_forward"] - frame["census_based"]
    return Table(
        frame,
        f"The gap, {sources.area}, mid-{sources.last_year}",
        "tab:gap",
        (f"{GAP_CONVENTION.capitalize()}.", rolled.rule if rolled.by_rule else "As published."),
        ("rolled_forward", "census_based", "gap"),
    )


def closure_table(fit: Fit) -> Table:
    """Base, births, deaths, migration carried then, rolled-forward, census, gap."""
    sources = fit.model.sources
    births = float(sources.births.count.sum())
    deaths = float(sources.deaths.count.sum())
    base, last = float(sources.rolled_forward.total[0]), float(sources.rolled_forward.total[-1])
    rows = [
        (f"Base, mid-{sources.mid_years[0]}", base),
        ("plus births", births),
        ("minus deaths", -deaths),
        ("plus net migration and other changes, as carried", last - base - births + deaths),
        (f"rolled-forward, mid-{sources.last_year}", last),
        (f"minus census, {sources.census.date}", -sources.census.total),
        ("gap", sources.gap),
    ]
    return Table(
        pd.DataFrame(rows, columns=["line", "persons"]),
        f"Closure of the account, {sources.area}",
        "tab:closure",
        (f"{GAP_CONVENTION.capitalize()}.", "Published figures, without an error of their own."),
        ("persons",),
    )


def response_table_of(fit: Fit) -> Table:
    """How every source answers 100 thousand of true error in each."""
    frame = response_table(fit)
    return Table(
        frame.reset_index(),
        "Response: movement of each source's posterior mean for 100 thousand of true error in one",
        "tab:response",
        (
            "Exact at the posterior mean scales; it depends on design and priors, not on the data.",
            "100 on the diagonal and 0 beside it would be perfect separation.",
        ),
        tuple(frame.columns),
    )


def roll_forward_table(fit: Fit) -> Table:
    """Deterministic roll-forward year by year with implied, later and survey flows."""
    sources = fit.model.sources
    frame = sources.roll_forward_check()
    persons = [c for c in frame if c not in ("year", "by_rule")]
    return Table(
        frame,
        f"Deterministic roll-forward with three sets of flows, {sources.area}",
        "tab:roll-forward",
        (
            "Implied flows are what the published totals held after births minus deaths; they "
            "reproduce the totals by the balancing equation.",
            sources.rolled_forward.rule and f"By rule: {sources.rolled_forward.rule}.",
        ),
        tuple(persons),
    )


def priors_table(fit: Fit) -> Table:
    """Every prior with its 95 per cent range, its meaning and its reason.

    The range of a scale is that of the standard deviation itself.
    """
    frame = fit.model.priors.table()
    scale = frame["distribution"].str.startswith("Normal(0, s)")
    half, spread = Z95 * frame["sd"], np.exp(Z95 * LOG_SD_OF_SCALES)
    lower = np.where(scale, frame["sd"] / spread, frame["mean"] - half)
    upper = np.where(scale, frame["sd"] * spread, frame["mean"] + half)
    frame.insert(4, "lower95", lower)
    frame.insert(5, "upper95", upper)
    return Table(
        frame,
        "Priors",
        "tab:priors",
        ("Shares are per one.", "Range of a scale (a standard deviation s): of s itself."),
        csv_only=("mean", "sd"),
        significant=("lower95", "upper95"),
    )


def sources_table(fit: Fit) -> Table:
    """Every source with detail, vintage and reference."""
    return Table(
        fit.model.sources.table(),
        "Data sources",
        "tab:sources",
        ("Vintage: the publisher's series and stage of revision.",),
    )


def variants_table(variants: pd.DataFrame, *, verdict: str = "") -> Table:
    """What a change of priors or sources does to the headline, as a table.

    Parameters
    ----------
    variants : DataFrame, persons
        From :func:`imps.widened`, :func:`imps.left_out` or
        :func:`imps.plots.tornado_data`: names, then posterior means, and intervals where
        they were made.
    verdict : str
        Of the fit that was varied.
    """
    persons = [
        str(c)
        for c in variants
        if pd.api.types.is_float_dtype(variants[c]) and c not in ("factor", "probability_positive")
    ]
    bounded = any(_interval(c, list(variants)) for c in persons)
    notes = (f"{GAP_CONVENTION.capitalize()}.", "Posterior means.")
    interval = (INTERVAL, PREVIEW) if bounded else ("Intervals stand in the attribution table.",)
    return Table(
        variants,
        "Variants: the headline with other priors and without each source",
        "tab:variants",
        (*notes, *interval, _fit(verdict)),
        tuple(persons),
    )


def computation_table(fit: Fit, checks: Checks) -> Table:
    """How the draws were made, and whether they can be trusted."""
    import importlib.metadata
    import platform

    worst = checks.table
    packages = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("pymc", "nutpie", "arviz", "numpy")
    )
    rows = [
        ("Software", f"imps {importlib.metadata.version('imps-reconcile')}, {packages}"),
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("Method", f"{fit.method}, seed {fit.seed}"),
        ("Draws", f"{fit.n_chains} chains of {fit.n_draws}"),
        ("Largest R-hat", f"{worst['r_hat'].max():.4f}"),
        ("Least effective size, bulk", f"{worst['ess_bulk'].min():,.0f}"),
        ("Least effective size, tail", f"{worst['ess_tail'].min():,.0f}"),
        ("Divergences", f"{checks.divergences}"),
        ("Seconds", f"{fit.seconds['total']:.1f}"),
        ("Verdict", checks.verdict),
    ]
    if checks.effective_points is not None:
        rows.insert(8, ("Effective grid points, least", f"{checks.effective_points:.0f}"))
    return Table(
        pd.DataFrame(rows, columns=["item", "value"]),
        f"Computation, {fit.model.sources.area}",
        "tab:computation",
        (*fit.notes, *checks.reasons),
    )


def prior_driven(attribution: Attribution) -> list[str]:
    """Names of the sources of which more than half is prior."""
    table = attribution.summary()
    return list(table.loc[table["contraction"] < PRIOR_DRIVEN, "source"])


def _notes(attribution: Attribution) -> tuple[str, ...]:
    return (f"{GAP_CONVENTION.capitalize()}.", INTERVAL, ADD_UP, _fit(attribution.verdict))


def _fit(verdict: str) -> str:
    return f"Fit: {verdict}." if verdict else ""


def _head(name: str, frame: pd.DataFrame) -> list[str]:
    """Name of a column over lines that are no wider than the column needs."""
    body = int(frame[name].str.len().max()) if len(frame) else 0
    return [_latex(x) for x in textwrap.wrap(name, max(11, body), break_long_words=False)]


def _latex_head(name: str, frame: pd.DataFrame, kind: str) -> str:
    """Header of a column over several lines, aligned as its column."""
    lines = r" \\ ".join(_head(name, frame))
    return rf"\shortstack[{'r' if kind == 'r' else 'l'}]{{{lines}}}"


def _latex_layout(frame: pd.DataFrame, words: set[str]) -> tuple[str, list[str]]:
    """Size of the text, and the type of each column, so that the table fits the line."""
    longest = {c: max(*(len(x) for x in _head(c, frame)), *frame[c].str.len(), 1) for c in frame}
    broken = {c: float(np.sqrt(longest[c])) for c in frame if c in words and longest[c] > WIDE}
    letters = sum(n for c, n in longest.items() if c not in broken)
    size, left = "tiny", 0.0
    for size, letter in SIZES:  # noqa: B007
        left = 1 - (letters * letter + 2 * SEPARATION * len(longest)) / LINE_WIDTH
        if left >= (LEAST_WORDS if broken else 0.0):
            break
    share = {c: max(left, LEAST_WORDS) * w / sum(broken.values()) for c, w in broken.items()}
    plain = {c: "l" if c in words else "r" for c in frame}
    lines = r">{\raggedright\arraybackslash}p{%.3f\linewidth}"
    return size, [lines % share[c] if c in share else plain[c] for c in frame]


def _number(value: float, digits: int, missing: str = "–") -> str:
    if not np.isfinite(value):
        return missing
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def _rounded(value: float, step: float) -> float:
    return float(np.round(value / step) * step) if np.isfinite(value) else value


def _bounds(lower: str, upper: str) -> str:
    return "–" if "–" in (lower, upper) else f"[{lower}, {upper}]"


def _interval(column: str, columns: list[str]) -> str:
    """Whether a column is the lower or the upper end of an interval whose other end is there."""
    for end, other in (("lower", "upper"), ("upper", "lower")):
        if re.search(rf"(^|_){end}\d", column) and column.replace(end, other) in columns:
            return end
    return ""


def _latex(text: object) -> str:
    """Text for LaTeX."""
    plain = str(text).replace("\\", "/")
    escaped = re.sub(r"([&%$#_{}])", r"\\\1", plain)
    for sign, command in (("~", r"\textasciitilde{}"), ("^", r"\textasciicircum{}")):
        escaped = escaped.replace(sign, command)
    for sign in "<>":
        escaped = escaped.replace(sign, f"${sign}$")
    return escaped.replace(MINUS, "$-$").replace("–", "--")


def _words(value: object, column: str) -> str:
    if column in ("source", "group", "true error in", "other", "left_out", "prior"):
        return title(value) if isinstance(value, str) else str(value)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return str(value)


def _is_text(values: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(values)
