"""How to cite the package, what it computes with, and the publishers of the data.

References
----------
Abril-Pla and others (2023), PeerJ Computer Science 9:e1516. Kumar, Carroll, Hartikainen and
Martin (2019), Journal of Open Source Software 4(33):1143. Hoffman and Gelman (2014), Journal
of Machine Learning Research 15:1593-1623.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
from typing import Any

import pandas as pd

from imps._version import __version__
from imps.posterior.fit import Fit
from imps.project.case import Case
from imps.shipped import find_case

SPECIAL = re.compile(r"([&%$#_])")


class Citations(str):
    """BibTeX, printed as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def cite(of: str | Case | Fit | Any = None) -> Citations:
    """BibTeX entries of the package, of PyMC and the sampler, and of the data sources.

    Parameters
    ----------
    of : str, Case, Fit or Run, optional
        A case (its publishers are cited), the fit or run of a paper (the sampler only where
        it was used). Nothing: package, PyMC, ArviZ and the sampler.

    Returns
    -------
    Citations
        Text; write it to a file `references.bib`.

    Raises
    ------
    UnknownCaseError
        If there is no case of that name.
    """
    case = getattr(of, "case", of)
    fit = getattr(of, "fit", of)
    if isinstance(case, str):
        case = find_case(case)
    sampled = not isinstance(fit, Fit) or fit.method == "nuts"
    entries = _software(sampled=sampled)
    if isinstance(case, Case):
        entries += [_publisher(row) for row in _rows(case.references)]
    return Citations("\n\n".join(entries) + "\n")


def _software(*, sampled: bool) -> list[str]:
    """Package, PyMC and ArviZ, and the sampler where it was used."""
    text = (importlib.resources.files("imps.report") / "words" / "software.bib").read_text("utf-8")
    text = text.replace("<imps>", __version__)
    entries = text.replace("<nutpie>", importlib.metadata.version("nutpie")).strip().split("\n\n")
    return entries if sampled else entries[:3]


def _rows(references: pd.DataFrame) -> list[dict[str, str]]:
    return references.fillna("").astype(str).to_dict("records") if len(references) else []


def _publisher(row: dict[str, str]) -> str:
    """One publication of a case; the key is the name by which its figures refer to it."""
    fields = {
        "title": f"{{{_tex(row['title'])}}}",
        "author": f"{{{_tex(row['publisher'])}}}",
        "year": row["published"][:4],
        "note": _tex(f"Published {row['published']}. {row['licence']}" if row["published"]
                     else row["licence"]),
    }  # fmt: skip
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    return f"@misc{{{row['reference']},\n{body}\n}}"


def _tex(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text)
