"""What the site takes from the package and from the measurements when it is built.

- ``<!-- equations -->`` and ``<!-- priors -->`` are written from the package itself;
- ``<!-- results NAME -->`` and ``<!-- other results -->`` are read from benchmarks/results;
- ``<!-- include FILE -->`` takes a file of the project;
- the notebooks become pages of the course, in order, with links to the next;
- formulas become MathML, which browsers read without a script.

No number is typed in a page.
"""

import base64
import html
import re
from pathlib import Path

import nbformat
import pandas as pd
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
RESULTS, NOTEBOOKS = ROOT / "benchmarks" / "results", ROOT / "notebooks"
LONG = 15
"""Rows of a table that is folded away."""
MARK = re.compile(r"<!-- (equations|priors|course|results|other results|include) ?(.*?) -->")
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
    from imps.equations import mathml

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

        columns = ["name", "distribution", "unit", "meaning", "reference"]
        return table(default_priors().table()[columns])
    if kind == "course":
        return course()
    if kind == "include":
        return (ROOT / name).read_text("utf-8").split("\n", 1)[1]
    if kind == "results":
        shown.add(name)
        path = RESULTS / f"{name}.csv"
        return results(path) if path.exists() else "*Not measured yet.*\n"
    others = [p for p in sorted(RESULTS.glob("*.csv")) if p.stem not in shown]
    return "\n".join(f"### {p.stem}\n\n{results(p)}" for p in others) or "*None.*\n"


def equations() -> str:
    from imps.equations import EQUATIONS

    parts = []
    for equation in EQUATIONS:
        parts.append(
            f"### {equation.title}\n\n$$\n{equation.latex}\n$$\n\n{equation.says} "
            f"Computed in `{equation.home}`.\n"
        )
    return "\n".join(parts)


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
    if following is not None:
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
