"""The equations of the model, written once: for the report, the documentation and papers.

They stand in `words/equations.toml`; the constants in them are read from the code that
uses them, and `tests/test_equations.py` evaluates the formulas beside the account.
"""

from __future__ import annotations

import importlib.resources
import re
import tomllib
from dataclasses import dataclass

from imps.account.priors import LOG_SD, default_priors
from imps.demography.schedules import YOUNG_ADULT_AGE, YOUNG_ADULT_WIDTH
from imps.names import GAP_CONVENTION
from imps.posterior.chains import GRID_POINTS
from imps.sources import BornBefore, Sources


@dataclass(frozen=True)
class Equation:
    """One equation with what it says and where it is computed.

    Attributes
    ----------
    name : str
        Short name, used as an anchor.
    title : str
    latex : str
        Without delimiters; every command is understood by LaTeX with amsmath.
    says : str
        The same in words, with the meaning of the symbols; symbols stand between dollars.
    home : str
        Module and function that compute it.
    of : {"", "survey", "parts", "streams", "streams alone", "born_before", "chain"}
        What an account has to hold for it; every account, if empty.
    """

    name: str
    title: str
    latex: str
    says: str
    home: str
    of: str = ""

    def to_mathml(self) -> str:
        """The displayed equation in MathML, readable by browsers without a script."""
        return mathml(self.latex, display=True)

    def words_to_html(self) -> str:
        """The words, escaped, with their symbols as inline MathML."""
        import html

        parts = self.says.split("$")
        return "".join(
            mathml(part) if i % 2 else html.escape(part, quote=False)
            for i, part in enumerate(parts)
        )


_TOKEN = re.compile(
    r"\\\\|\\Big[()]|\\[a-zA-Z]+|\\.| (?:[-+=]|\\approx|\\sim|\\propto) |.", re.DOTALL
)
_BEFORE = {" + ", " - ", " = ", r" \approx ", r" \sim ", r" \propto "}
_OPERATORS = {"&#x0007E;": "&#x0223C;", "&#x000B1;": "&#x000B1;"}
"""Read as letters by the converter: the relation and plus-minus."""
_OPEN, _CLOSE = {"{", "(", r"\left"}, {"}", ")", r"\right"}
_AFTER = {r"\quad", r"\qquad"}


def mathml(latex: str, *, display: bool = False) -> str:
    """LaTeX to MathML that may be broken before a plus, minus or relation, as HTML.

    No browser breaks a formula by itself, so that each part is one of its own. A displayed
    formula is a division with one of its own for each line; a line of `aligned` without a left
    side goes on with the one before. Within parentheses there is no break, unless they are `\\Big`.
    """
    lines = ["<wbr/>".join(_part(part, display) for part in parts) for parts in _lines(latex)]
    if not display:
        return "<wbr/>".join(lines)
    return f'<div class="formula">{"".join(f"<div>{line}</div>" for line in lines)}</div>'


def _lines(latex: str) -> list[list[str]]:
    """Lines of an equation, each as the parts between which it may be broken."""
    text = latex.replace(r"\begin{aligned}", "").replace(r"\end{aligned}", "").strip()
    text = text.replace("&&", r"\qquad ")
    lines, depth = [[""]], 0
    for token in _TOKEN.findall(text):
        depth += (token in _OPEN) - (token in _CLOSE)
        if token == r"\\":
            lines.append([""])
        elif depth == 0 and token in _BEFORE:
            lines[-1].append(token)
        elif token != "&":
            lines[-1][-1] += token
        elif not "".join(lines[-1]).strip():  # no left side
            lines[-2:] = [[*lines[-2], ""]]
        if depth == 0 and token in _AFTER:
            lines[-1].append("")
    return [[part for part in parts if part.strip()] for parts in lines]


def _part(latex: str, display: bool) -> str:
    """MathML of a part; a sign it begins with is one between it and the part before."""
    from latex2mathml.converter import convert

    text = latex.strip()
    made = convert(text, display="block" if display else "inline")
    made = made.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")  # HTML knows it
    for said, meant in _OPERATORS.items():
        made = made.replace(f"<mi>{said}</mi>", f"<mo>{meant}</mo>")
    if any(text.startswith(sign.lstrip()) for sign in _BEFORE):
        made = made.replace("<mo>", '<mo form="infix">', 1)
    # a spacing circumflex, and no accent: fonts without a table of accents lay that on the letter
    return made.replace('<mover accent="true">', "<mover>").replace("&#x0005E;", "&#x002C6;")


def _read() -> tuple[Equation, ...]:
    """Equations of the file, each on one line, with the constants of the code put in."""
    given = {row.name: row.mean for row in default_priors().rows if row.kind == "fixed"}
    same = given["part_constant_share"]
    constants = {
        "young_adult_age": f"{YOUNG_ADULT_AGE:g}",
        "young_adult_width": f"{YOUNG_ADULT_WIDTH:g}",
        "flow_persistence": f"{given['flow_persistence']:g}",
        "bias_persistence": f"{given['bias_persistence']:g}",
        "stock_young_women": f"{given['stock_young_women']:g}",
        "stock_single_age_error": f"{given['stock_single_age_error']:g}",
        "census_jump_error": f"{given['census_jump_error']:g}",
        "constant_share": f"{same:g}",
        "moving_share": f"{1 - same:g}",
        "log_sd_of_scales": f"{given[LOG_SD]:g}",
        "grid_points": f"{GRID_POINTS}",
        "gap_convention": GAP_CONVENTION,
    }
    text = (importlib.resources.files("imps.report") / "words" / "equations.toml").read_text(
        "utf-8"
    )
    for name, value in constants.items():
        text = text.replace(f"<{name}>", value)
    rows = tomllib.loads(text)["equation"]
    return tuple(Equation(**{k: v.replace("\n", " ") for k, v in row.items()}) for row in rows)


EQUATIONS = _read()


def equations_of(sources: Sources, *, chain: bool = False) -> tuple[Equation, ...]:
    """The equations of one account, or one period of a chain: none speaks of what is not there."""
    held = {
        "": True,
        "survey": bool(sources.survey_flows),
        "parts": bool(sources.administrative),
        "streams": bool(sources.streams),
        "streams alone": not sources.survey_flows,
        "born_before": any(isinstance(source, BornBefore) for source in sources.extra),
        "chain": chain,
    }
    return tuple(equation for equation in EQUATIONS if held[equation.of])
