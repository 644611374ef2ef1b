"""Citations: BibTeX that parses, with every publisher of the data; CITATION.cff is whole."""

import re
from pathlib import Path

import pytest
import yaml

import imps
from imps.errors import UnknownCaseError

ROOT = Path(__file__).parents[1]


def parsed(text):
    """Entries of a BibTeX file by key, with their fields; braces must balance."""
    out, at = {}, 0
    for match in re.finditer(r"@(\w+)\{([^,\s]+),\n", text):
        assert text[at : match.start()].strip() == "", "text between entries"
        depth, end = 1, match.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        body = text[match.end() : end - 1]
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},?$", body, re.MULTILINE))
        assert len(fields) == len(body.strip().splitlines()), body
        assert match[2] not in out, "a key twice"
        out[match[2]], at = {"type": match[1], **fields}, end
    assert text[at:].strip() == ""
    return out


def test_package_and_sampler_are_cited():
    entries = parsed(imps.cite())
    assert set(entries) == {"imps", "pymc", "arviz", "nuts", "nutpie"}
    assert entries["imps"]["version"] == imps.__version__
    assert entries["pymc"]["doi"] == "10.7717/peerj-cs.1516"


@pytest.mark.parametrize("name", imps.cases())
def test_every_publisher_of_a_case_is_cited(name):
    case = imps.load_case(name)
    entries = parsed(imps.cite(name))
    assert set(case.references["reference"]) < set(entries)
    for row in case.references.fillna("").to_dict("records"):
        title = re.sub(r"\\([&%$#_])", r"\1", entries[row["reference"]]["title"])
        assert title.strip("{}") == row["title"]
        assert not re.search(r"(?<!\\)[&%#$]", "".join(entries[row["reference"]].values()))


def test_a_fit_without_a_sampler_cites_none(fitted):
    assert not {"nuts", "nutpie"} & set(parsed(imps.cite(fitted)))
    with pytest.raises(UnknownCaseError):
        imps.cite("atlantis")


def test_citation_file():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    for field in ("cff-version", "message", "title", "authors", "version", "license"):
        assert found[field]
    assert str(found["version"]) == imps.__version__
