"""What the site takes from the package and from the measurements when it is built.

- ``<!-- equations -->``, ``<!-- priors -->``, ``<!-- area priors -->``, ``<!-- codes -->``,
  ``<!-- options -->``, ``<!-- settings -->`` and
  ``<!-- records -->``, the settings of interviews, are written from the package itself, as are
  ``<!-- evidence -->``, ``<!-- versions -->``, ``<!-- kinds -->`` and
  ``<!-- as of -->``, what priors rest on;
- ``<!-- results NAME -->`` and ``<!-- other results -->`` are read from benchmarks/results;
- ``<!-- in short NAME -->`` is a summary of the newest rows of such a file;
- ``<!-- include FILE -->`` takes a file of the project;
- the notebooks become pages of the course, in order, with links to the next;
- formulas become MathML, which browsers read without a script.

No number is typed in a page.
"""

import base64
import html
import re
from dataclasses import asdict
from pathlib import Path

import nbformat
import pandas as pd
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
RESULTS, NOTEBOOKS = ROOT / "benchmarks" / "results", ROOT / "notebooks"
LONG = 15
"""Rows of a table that is folded away."""
MARK = re.compile(
    r"<!-- (equations|priors|area priors|evidence|versions|kinds|as of|codes|options|settings"
    r"|records|course|results|other results|in short|include)"
    r" ?(.*?) -->"
)
shown: set[str] = set()


def on_config(config):
    """The notebooks take their place in the navigation, in order."""
    for entry in config.nav:
        if "Course" in entry:
            pages = [
                {title_of(p): f"course/{p.stem}.md"} for p in sorted(NOTEBOOKS.glob("*.ipynb"))
            ]
            entry["Course"] = [{"Overview": "course/index.md"}, *pages]
    return config


def on_files(files, config):
    """Add a page for every notebook, and the pictures of its outputs."""
    books = sorted(NOTEBOOKS.glob("*.ipynb"))
    for i, path in enumerate(books):
        following = books[i + 1] if i + 1 < len(books) else None
        text, pictures = notebook_page(path, following)
        files.append(File.generated(config, f"course/{path.stem}.md", content=text))
        for name, data in pictures.items():
            files.append(File.generated(config, f"course/{name}", content=data))
    return files


def on_page_markdown(markdown, page, config, files):
    return MARK.sub(lambda m: written(m[1], m[2].strip()), markdown)


def on_page_content(content, page, config, files):
    """Formulas as MathML; roles of docstrings as plain code."""
    content = re.sub(r":(?:func|class|meth|mod|data|attr):(?=<code)", "", content)
    from imps.report.equations import mathml

    def made(match):
        text = html.unescape(match[2]).strip()
        display = text.startswith(r"\[")
        return mathml(text[2:-2].strip(), display=display)

    return re.sub(r'<(span|div) class="arithmatex">(.*?)</\1>', made, content, flags=re.DOTALL)


def written(kind: str, name: str) -> str:
    if kind == "equations":
        return equations()
    if kind == "priors":
        from imps import default_priors

        columns = ["name", "distribution", "unit", "meaning", "reference", "known_since"]
        return table(default_priors().table()[columns])
    if kind == "area priors":
        from imps.areas.priors import PRIORS

        return table(pd.DataFrame(map(asdict, PRIORS)))
    if kind in EVIDENCE:
        return table(EVIDENCE[kind]())
    if kind == "codes":
        return codes()
    if kind == "options":
        from imps.reading.options import ReadOptions, expected

        fields = ReadOptions.model_fields.items()
        rows = [(name, expected(field), field.description) for name, field in fields]
        return table(pd.DataFrame(rows, columns=["option", "value", "meaning"]))
    if kind == "records":
        from imps.project.sections import RECORDS

        rows = [
            (f"[[{section}]]", name, field.description)
            for section, model in RECORDS.items()
            for name, field in model.model_fields.items()
        ]
        return table(pd.DataFrame(rows, columns=["section", "setting", "meaning"]))
    if kind == "settings":
        return settings()
    if kind == "course":
        return course()
    if kind == "include":
        return (ROOT / name).read_text("utf-8").split("\n", 1)[1]
    if kind == "in short":
        return table(IN_SHORT[name](latest(name)))
    if kind == "results":
        shown.add(name)
        path = RESULTS / f"{name}.csv"
        return results(path) if path.exists() else "*Not measured yet.*\n"
    others = [p for p in sorted(RESULTS.glob("*.csv")) if p.stem not in shown]
    return "\n".join(f"### {p.stem}\n\n{results(p)}" for p in others) or "*None.*\n"


def figures() -> pd.DataFrame:
    """Every figure that a prior rests on, with its date."""
    from imps.account.evidence import evidence_table

    frame = evidence_table()
    return frame.assign(priors=frame["priors"].str.replace(";", ", "))


def versions() -> pd.DataFrame:
    """Every version of every prior; one without a date is a judgement."""
    from imps.account.evidence import versions_table

    frame = versions_table()
    return frame.assign(known_since=frame["known_since"].replace("", "judgement"))


def kinds_of_country() -> pd.DataFrame:
    """Priors that differ by kind of country."""
    from imps.account.priors import kinds_table

    return kinds_table()


def priors_by_year() -> pd.DataFrame:
    """The table of priors as of some years, beside the default."""
    from imps import default_priors

    at = {f"as of {y}": default_priors("cross_border", "armed_forces", as_of=y) for y in YEARS}
    at["default"] = default_priors("cross_border", "armed_forces")
    return pd.DataFrame(
        {name: [said(row) for row in priors.rows] for name, priors in at.items()},
        index=pd.Index(list(at["default"]), name="prior"),
    ).reset_index()


def said(row) -> str:
    """Mean and sd of a prior; an asterisk marks what rests on no figure."""
    value = f"{row.mean:g}" if row.kind == "fixed" else f"{row.mean:g}; {row.sd:g}"
    return value if row.evidence else f"{value} *"


YEARS = (2000, 2010, 2020, 2023)
EVIDENCE = {
    "evidence": figures, "versions": versions, "kinds": kinds_of_country, "as of": priors_by_year,
}  # fmt: skip


def equations() -> str:
    from imps.report.equations import EQUATIONS

    parts = []
    for equation in EQUATIONS:
        parts.append(
            f"### {equation.title}\n\n$$\n{equation.latex}\n$$\n\n{equation.says} "
            f"Computed in `{equation.home}`.\n"
        )
    return "\n".join(parts)


def settings() -> str:
    """Every section of a settings file with its keys, from the models that read it."""
    from imps.project.sections import SECTIONS, Section
    from imps.reading.options import expected

    named, parts = {m.__name__: f"[{name}]" for name, m in SECTIONS.items()} | PARTS, []
    for model in sorted(below(Section), key=lambda m: [*named, m.__name__].index(m.__name__)):
        rows = [(name, expected(field), said_default(field), field.description or "")
                for name, field in model.model_fields.items()]  # fmt: skip
        title = f"`{named.get(model.__name__, model.__name__)}`"
        words = (model.__doc__ or "").split("\n")[0]
        frame = pd.DataFrame(rows, columns=["key", "value", "unless told", "meaning"])
        parts.append(f"## {title}\n\n{words}\n\n{table(frame)}")
    return "\n".join(parts)


PARTS = {
    "EraSettings": "[[account.eras]]",
    "KindSettings": "[[account.kinds]]",
    "PriorTable": "[priors]",
    "PriorChange": "[priors.NAME]",
    "NormalCoverage": "[[stocks]] coverage",
    "UniformCoverage": "[[stocks]] coverage",
    "InterviewSettings": "[[interviews]]",
    "StaySettings": "[[stays]]",
    "StreamSettings": "[[streams]]",
}
"""Sections that may stand several times, or inside another, by the model that reads them."""


def below(model: type) -> list[type]:
    """A class's descendants."""
    found = [x for child in model.__subclasses__() for x in (child, *below(child))]
    return list(dict.fromkeys(found))


def said_default(field) -> str:
    """The default of a key as it would be written; a key without one is needed."""
    if field.is_required():
        return "needed"
    return "" if field.default in (None, "", (), {}) else str(field.default)


def codes() -> str:
    """The catalogue of findings: every code, and for each of its causes words and next step."""
    from itertools import groupby

    from imps.reading.findings import CATALOGUE

    parts = []
    for group, rows in groupby(CATALOGUE.values(), key=lambda row: row.group):
        parts.append(f"## {group}\n")
        for code, causes in groupby(rows, key=lambda row: row.code):
            same = list(causes)
            parts.append(f"### {code}\n\n**{same[0].outcome}** {same[0].means}\n")
            parts += [f"- {in_words(row)}" for row in same]
            parts.append("")
    return "\n".join(parts)


def in_words(row) -> str:
    """One cause in the words of a message, with the names of what is filled in slanted."""
    from imps.reading.findings import CODES

    def said(text: str) -> str:
        shown = re.sub(
            r"(?<!\{)\{(\w+)[^{}]*\}(?!\})", r"<i>\1</i>", html.escape(text, quote=False)
        )
        return shown.replace("{{", "{").replace("}}", "}").replace("[", "&#91;")

    own = "" if row.outcome == CODES[row.code] else f" ({row.outcome})"
    return f"{said(row.problem)}{own}. {said(row.next_step)}".rstrip()


def results(path: Path) -> str:
    """A file of measurements: what all rows share once, then the rows."""
    frame = pd.read_csv(path)
    same = [c for c in frame if frame[c].nunique(dropna=False) == 1]
    said = "; ".join(f"{c} {frame[c].iloc[0]}" for c in same)
    rows = frame.drop(columns=[c for c in (*same, "versions", "machine") if c in frame])
    body = table(rows)
    if len(rows) > LONG:
        body = f'<details markdown="1"><summary>{len(rows)} rows</summary>\n\n{body}\n</details>'
    return f"{body}\n\n`benchmarks/results/{path.name}`; {said}.\n"


KEYS = {
    "planted": ["scenario", "quantity"],
    "accuracy": ["scenario", "model", "quantity"],
    "calibration": ["account", "quantity"],
    "faults": ["fault", "check"],
    "backtests": ["part", "case", "target", "method"],
}
"""What one measurement is of; of several the newest stands."""


def latest(name: str) -> pd.DataFrame:
    """The newest row of each measurement."""
    rows = pd.read_csv(RESULTS / f"{name}.csv", keep_default_na=False, na_values=[""])
    return rows.drop_duplicates(KEYS[name], keep="last")


def covered(rows: pd.DataFrame, by: list[str], size: str) -> pd.DataFrame:
    """Coverage of 90 per cent intervals by scenario: lowest, where, and median.

    Of the newest run of each: an earlier one may have had other quantities.
    """
    known = rows[rows["truth"].notna() & rows["coverage90"].notna()]
    known = known[known["commit"] == known.groupby(by)["commit"].transform("last")]
    groups = known.groupby(by, sort=False)
    worst = known.loc[groups["coverage90"].idxmin()].set_index(by)
    frame = groups.agg(**{"data sets": (size, "first"), "quantities": ("quantity", "size"),
                          "median coverage90": ("coverage90", "median")})  # fmt: skip
    frame["lowest coverage90"] = worst["coverage90"]
    frame["of"] = worst["quantity"]
    return frame.reset_index()


def calibrated(rows: pd.DataFrame) -> pd.DataFrame:
    """Ranks that lie inside their band, and coverage, by account."""
    return rows.groupby("account", sort=False).agg(
        **{"replicates": ("replicates", "first"), "quantities": ("quantity", "size"),
           "inside the band": ("inside", "sum"), "least family-wise p": ("p_family", "min"),
           "least coverage50": ("coverage50", "min"), "largest coverage50": ("coverage50", "max"),
           "least coverage90": ("coverage90", "min"), "largest coverage90": ("coverage90", "max")}
    ).reset_index()  # fmt: skip


def faults_found(rows: pd.DataFrame) -> pd.DataFrame:
    """Every planted fault by every check that was run: found or not."""
    words = rows.assign(found=rows["found"].map({True: "found", False: "not found"}))
    wide = words.pivot(index="fault", columns="check", values="found").fillna("not run")
    return wide.reindex(rows["fault"].unique()).reset_index()


def predicted(rows: pd.DataFrame) -> pd.DataFrame:
    """The second census predicted without it: CRPS of the model and of its rivals."""
    part = rows[(rows["part"] == "prediction") & ~rows["target"].isin(["male", "female"])]
    wide = part.pivot(index=["case", "target"], columns="method", values="crps")
    own = part[part["method"] == "model without the census"].set_index(["case", "target"])
    return wide.join(own["coverage90"].rename("coverage90 of the model")).reset_index()


IN_SHORT = {
    "planted": lambda rows: covered(rows, ["scenario"], "sets"),
    "accuracy": lambda rows: covered(rows, ["scenario", "model"], "seeds"),
    "calibration": calibrated,
    "faults": faults_found,
    "backtests": predicted,
}


def table(frame: pd.DataFrame) -> str:
    """A table in plain HTML that scrolls by itself."""
    text = frame.to_html(index=False, border=0, na_rep="", float_format="{:,.4g}".format)
    return f'<div class="wide" markdown="0">{" ".join(text.split())}</div>\n'


def course() -> str:
    """The notebooks in order, each with its question."""
    lines = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        first = nbformat.read(path, as_version=4).cells[0].source
        question = re.search(r"\*\*Question\.\*\* (.*?)\s*\*\*Data", first, re.DOTALL)
        asked = " ".join(question[1].split()) if question else ""
        lines.append(f"1. [{title_of(path)}]({path.stem}.md): {asked}")
    return "\n".join(lines) + "\n"


def title_of(path: Path) -> str:
    """Heading of a notebook."""
    first = nbformat.read(path, as_version=4).cells[0].source
    return first.splitlines()[0].removeprefix("# ")


def notebook_page(path: Path, following: Path | None) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown with its outputs, and the pictures among them."""
    book = nbformat.read(path, as_version=4)
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    heading = path.stem
    for cell in book.cells:
        if cell.cell_type == "markdown":
            parts.append(relinked(cell.source))
            heads = re.findall(r"^#+ (.*)$", cell.source, re.MULTILINE)
            heading = heads[-1] if heads else heading
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(f"```python\n{cell.source}\n```")
            parts += [shown_output(o, path.stem, heading, pictures) for o in cell.outputs]
    if following is not None and not parts[-1].startswith("Next:"):
        parts.append(f"Next: [{title_of(following)}]({following.stem}.md)")
    return "\n\n".join(p for p in parts if p) + "\n", pictures


def relinked(text: str) -> str:
    """Links from one notebook to another as links between their pages."""
    return re.sub(r"\]\((\d\d_\w+)\.ipynb\)", r"](\1.md)", text)


def shown_output(output, stem: str, heading: str, pictures: dict[str, bytes]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        name = f"{stem}_{len(pictures) + 1}.png"
        pictures[name] = base64.b64decode(data["image/png"])
        return f"![{heading}, figure {len(pictures)}]({name})"
    if "text/html" in data:
        body = re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.DOTALL)
        return f'<div class="wide" markdown="0">{" ".join(body.split())}</div>'
    text = output.get("text") or data.get("text/plain", "")
    return f"```text\n{text.rstrip()}\n```" if text.strip() else ""
