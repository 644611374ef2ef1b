"""One table object, printed as CSV, LaTeX, HTML and Word with its notes.

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

from imps.errors import ImpsError
from imps.intervals import THOUSANDS, Unit
from imps.sources.kinds import title

if TYPE_CHECKING:
    from docx.document import Document

ROUNDING = 100.0
"""Persons to which tables are rounded, point and bounds alike."""
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
class PrintedTable:
    """A table in persons with what a reader must know about it.

    Attributes
    ----------
    frame : DataFrame
        Numbers as they are, in persons and shares.
    caption, label : str
    notes : tuple of str
    in_thousands : tuple of str
        Columns in persons that are printed in thousands, or in whole persons for a small
        population, see `unit`.
    csv_only : tuple of str
        Columns that stand in the frame and in the CSV but are not printed.
    significant : tuple of str
        Columns of small numbers that are printed to three significant digits.
    rounding : float
        Persons to which those columns are rounded when printed in thousands.
    unit : Unit
        In which those columns are printed.
    """

    frame: pd.DataFrame
    caption: str
    label: str
    notes: tuple[str, ...]
    in_thousands: tuple[str, ...] = ()
    csv_only: tuple[str, ...] = ()
    significant: tuple[str, ...] = ()
    rounding: float = ROUNDING
    unit: Unit = THOUSANDS

    @property
    def heading(self) -> str:
        """The caption, with the unit where the headers are too many to say it."""
        many = len(self.in_thousands) > MANY
        return f"{self.caption}, {self.unit.persons}" if many else self.caption

    @property
    def note(self) -> str:
        """Everything under the table: unit and rounding, interval, sign, verdict."""
        step = self._step / self.unit.size if self.unit.name == "persons" else self._step
        unit = f"{self.unit.persons.capitalize()}, rounded to {step:,.3g} persons."
        notes = (unit, *self.notes) if self.in_thousands else self.notes
        sentences = [n if n[-1:] in ".:;" else f"{n}." for n in notes if n]
        return " ".join(sentences)

    @property
    def _step(self) -> float:
        return self.rounding if self.unit.size > 1 else 1.0

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
            bad = [v for v in text[column].dropna() if str(v).startswith(tuple("=+@\t\r"))]
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
            ends = interval_end(name, list(self.frame))
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
        unit = f" ({self.unit.name})" if column in self.in_thousands and not many else ""
        return f"{HEADERS.get(name, name.replace('_', ' '))}{unit}"

    def _texts(self, column: str) -> list[str]:
        values = self.frame[column]
        if column in self.in_thousands:
            digits = max(0, round(np.log10(self.unit.size / self._step)))
            return [_number(_rounded(v, self._step) / self.unit.size, digits) for v in values]
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


def to_docx(tables: list[PrintedTable], path: Path) -> None:
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


def _add_to_docx(table: PrintedTable, document: Document) -> None:
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
    "share": "share of gap",
    "gap_per_cent": "gap, % of census",
    "survey": "survey alone",
    "carried": "carried in the roll-forward",
    "r_hat": "R-hat",
}
"""Printed names of columns where the plain name would not be understood."""


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


def interval_end(column: str, columns: list[str]) -> str:
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
