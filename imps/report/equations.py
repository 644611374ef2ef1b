"""The equations of the model, written once: for the report, the documentation and papers.

They stand in `words/equations.toml`; the constants in them are read from the code that
uses them, and `tests/test_equations.py` evaluates the formulas beside the account.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from dataclasses import dataclass

from imps.account.priors import LOG_SD, default_priors
from imps.demography.schedules import YOUNG_ADULT_AGE, YOUNG_ADULT_WIDTH
from imps.names import GAP_CONVENTION
from imps.posterior.by_grid import GRID_POINTS


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
    """

    name: str
    title: str
    latex: str
    says: str
    home: str

    def to_mathml(self) -> str:
        """Presentation MathML of the displayed equation, readable by browsers without a script."""
        return mathml(self.latex, display=True)

    def words_to_html(self) -> str:
        """The words, escaped, with their symbols as inline MathML."""
        import html

        parts = self.says.split("$")
        return "".join(
            mathml(part) if i % 2 else html.escape(part, quote=False)
            for i, part in enumerate(parts)
        )


def mathml(latex: str, *, display: bool = False) -> str:
    """LaTeX to MathML; `aligned` is taken as `align*`, which has the same columns."""
    from latex2mathml.converter import convert

    text = latex.replace("{aligned}", "{align*}")
    made = convert(text, display="block" if display else "inline")
    return made.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")  # HTML knows it


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
