"""The equations of the model, written once: for the report, the documentation and papers.

The constants in them are read from the code that uses them, and
`tests/test_equations.py` evaluates the formulas beside the account.
"""

from __future__ import annotations

from dataclasses import dataclass

from imps.account.flows import BIAS_PERSISTENCE, FLOW_PERSISTENCE
from imps.account.parts import PART_CONSTANT_SHARE
from imps.account.priors import LOG_SD_OF_SCALES
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


EQUATIONS: tuple[Equation, ...] = (
    Equation(
        "account",
        "The account",
        r"N_T = L(P_0) + L(B - D) + L(x_{\text{in}} - x_{\text{out}}) + \sum_j L(x_j) + L(k) + r",
        "The true population at the last mid-year $N_T$ is the true base $P_0$, plus births $B$ "
        "minus deaths $D$, plus immigration $x_{\\text{in}}$ minus emigration $x_{\\text{out}}$, "
        "plus the flows $x_j$ that the survey leaves out (asylum seekers, Irish flows, "
        "switchers), plus known changes $k$ such as armed forces, plus a residual $r$. The Lexis "
        "map $L$ is a fixed matrix of zeros and ones: a person of sex $s$ who reaches age $a$ in "
        "interval $t$ stands at age $\\min(a + T - t, A)$ at the end, $A$ being the open age "
        "group. Deaths are counted deaths and not a rate times an exposure, so an error of the "
        "base is carried along its cohort undiminished, as in the official roll-forward.",
        "imps.account.account.Account.population",
    ),
    Equation(
        "base",
        "Error of a stock",
        r"P_0 = \hat P_0 \,(1 - u^{\text{base}}), \qquad u_{s,a} = \mu + \sigma_1 z + "
        r"\sigma_2\, \psi_a z_s + s\, \phi_a^{\top} z_{s}",
        "A published stock $\\hat P_0$ is too high by the share $u$: a level, a bell over young "
        f"adult ages $\\psi_a = \\exp(-((a - {YOUNG_ADULT_AGE:g})/{YOUNG_ADULT_WIDTH:g})^2 / 2)$ "
        "for each sex, and smooth shapes over age $\\phi_a$ with an unknown scale $s$. Every $z$ "
        "is standard normal and independent. The census is too low by a share of the same form; "
        "where the prior census_correlation is a number $c$ other than zero, its level and its "
        "bell are $\\sqrt{1 - c^2}\\, z - c\\, z_{\\text{base}}$, for the same people may have "
        "been missed twice.",
        "imps.account.stocks.stock_error",
    ),
    Equation(
        "flow",
        "True flow",
        r"x_{s,a,t} = m_{s,a}\left(1 + \sigma_1 z + \sigma_1 \sum_e o_{e,t}\, z_e + s_y v_t + "
        r"s_a\, \phi_a^{\top} z_s + "
        r"s_{at}\, \phi_a^{\top} v_{s,t}\right) + \sigma_2 \left(2 m''_{s,a} z_{s,2} - "
        r"m'_{s,a} z_{s,1}\right)",
        "The true flow of each direction is relative to $m$, the pooled published flow by sex and "
        "age, which is constant over time: a level, another in each era $e$ of the survey "
        "($o_{e,t}$ is the share of interval $t$ in it; free, so that a rise in its years is not "
        "read as bias), years, ages and their product, and an error in the mean age and the width "
        "of the schedule in years of age. The $v$ are "
        f"autoregressive over years with correlation ${FLOW_PERSISTENCE:g}$ and variance one; "
        "$s_y$, $s_a$ and $s_{at}$ are unknown scales.",
        "imps.account.flows._true_flow",
    ),
    Equation(
        "bias",
        "Bias of the survey",
        r"p_{s,a,t} = m_{s,a}\left(\mu + \sigma_1 z + \sigma_2\, \psi_a z_s + "
        r"\sigma_3 \sum_e o_{e,t}\, z_e + \sigma_4\, v_t\right)",
        "Persistent error of the survey, a share of the same $m$: a level with a prior mean, "
        "young adults of each sex, a step in each era $e$ whose coverage is known to differ "
        "($o_{e,t}$ is the share of interval $t$ that lies in it), and a drift that is "
        f"autoregressive with correlation ${BIAS_PERSISTENCE:g}$. Bias and flow share one "
        "reference; if the bias followed the published flow of each year, a growing flow would "
        "be read as bias.",
        "imps.account.flows._survey_bias",
    ),
    Equation(
        "survey",
        "What the survey shows",
        r"y = H\,G\,(x + p) + e, \qquad e \sim N(0, \operatorname{diag}(\text{se}^2))",
        "The published cells $y$ by calendar year, sex and age group: $G$ puts half of those who "
        "reach age $a$ in the group of $a - 1$ and half in that of $a$, $H$ takes from each "
        "mid-year interval the part that overlaps with the calendar year. The standard errors are "
        "smoothed over cells, for a published one is small where the estimate came out low.",
        "imps.account.observations.survey_observation",
    ),
    Equation(
        "parts",
        "Flows outside the survey",
        r"x_j = \hat x_j (1 - u_j), \qquad u_{j,t} = \mu_j + \sigma_j\left("
        rf"\sqrt{{{PART_CONSTANT_SHARE:g}}}\, z + \sqrt{{{1 - PART_CONSTANT_SHARE:g}}}\, "
        r"v_t\right)",
        "Asylum seekers, Irish flows and switchers were published, or expected within a published "
        "sum, and are wrong by a share that is partly the same in all years and partly "
        f"autoregressive with correlation ${BIAS_PERSISTENCE:g}$. Births and deaths have one "
        "relative error each.",
        "imps.account.parts.administrative_parts",
    ),
    Equation(
        "census",
        "What the census shows",
        r"C = N_T - d - C\, u^{\text{census}} + e, \qquad e \sim N(0, "
        r"\operatorname{diag}(\text{se}^2))",
        "The count $C$ is the population of census day, $N_T$ minus the change $d$ to mid-year "
        "(the share of the last interval after census day, times its births, deaths and net "
        "migration), minus the undercount, plus random error. It is used in the detail in which "
        "it was published.",
        "imps.account.observations.census_observation",
    ),
    Equation(
        "gap",
        "The gap and its sources",
        r"\begin{aligned} R - C &= L(\hat P_0 - P_0) + L(\hat B - B) - L(\hat D - D) "
        r"\\ &+ \sum_k \pm L\,S\,H\,G\,p_k + \sum_k \pm L\,S\,(y_k - H\,G\,(x_k + p_k)) "
        r"+ \sum_k \pm L(S\,H\,G\,x_k - x_k) \\ &+ \sum_j L(\hat x_j - x_j) + L(\hat k - k) "
        r"+ f + d + C\,u^{\text{census}} + (N_T - d - C\,u^{\text{census}} - C) - r \end{aligned}",
        "Rolled-forward $R$ minus census $C$, source by source: base, births, deaths; bias, "
        "sampling error and conversion of each direction $k$ (plus for immigration, minus for "
        "emigration), where $S$ is the official rule from calendar years and age groups back to "
        "mid-years and ages (where only totals of the survey are published, its sampling error is "
        "that of the total, and the error of the schedule of ages belongs to conversion); the "
        "other flows and changes; flows revised since, $f$, which are known; the change of date; "
        "coverage and random error of the census; the residual. The account is linear, so this "
        "holds in every draw and no order of the sources has to be "
        f"chosen ({GAP_CONVENTION}).",
        "imps.account.gap.contributions",
    ),
    Equation(
        "scales",
        "Everything is Gaussian given the scales",
        r"w = s(h)\, z, \quad s_b(h) = \bar s_b\, "
        rf"e^{{{LOG_SD_OF_SCALES:g}\, h_b}}, \quad h, z \sim N(0, I), \qquad y = y_0 + A w + e",
        "All unknowns together: blocks of standard normal $z$ times a scale. A scale is fixed or "
        "has a log-normal prior around its median $\\bar s_b$; the rows of $A$ and $y$ are divided "
        "by their standard errors.",
        "imps.account.linear.LinearModel",
    ),
    Equation(
        "posterior",
        "The posterior of the scales, and of any quantity given them",
        r"\begin{aligned} \log\, p(h \mid y) &= -\tfrac{1}{2}\left(\rho^{\top} C^{-1} \rho + "
        r"\log |C| + h^{\top} h\right) + \text{const}, && C(h) = I + A\, S_h^2 A^{\top} \\ "
        r"E(q \mid y, h) &= q_0 + Q\, S_h^2 A^{\top} C^{-1} \rho, && "
        r"V(q \mid y, h) = Q\, S_h^2 Q^{\top} - Q\, S_h^2 A^{\top} C^{-1} A\, S_h^2 Q^{\top} "
        r"\end{aligned}",
        "With $\\rho = y - y_0$ and $S_h = \\operatorname{diag}(s(h))$. One Cholesky factor of "
        "$C$ gives the density of the scales and the exact mean and variance of every reported "
        "quantity $q = q_0 + Q w$.",
        "imps.posterior.exact.GaussianPosterior",
    ),
    Equation(
        "grid",
        "The scales are integrated, not maximised",
        r"p(q \mid y) \approx \sum_{i=1}^{n} \omega_i\, p(q \mid y, h_i), \qquad "
        r"\omega_i \propto p(h_i \mid y) / g(h_i), \qquad n_{\text{eff}} = 1 / \sum_i \omega_i^2",
        f"The points $h_i$ ({GRID_POINTS} in each chain) are quasi-random draws of a proposal $g$ "
        "fitted to the posterior. If too few points are effective the model is sampled by NUTS.",
        "imps.posterior.exact.GaussianPosterior.grid",
    ),
)
