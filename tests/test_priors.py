"""The table of priors: every row has a reason, and no name is silently wrong."""

import dataclasses
import json

import pytest

import imps
from imps.account.evidence import (
    COMPILED,
    READ,
    evidence_table,
    newest,
    versions,
    versions_table,
)
from imps.account.prior_rows import FIXED, LAYOUT_PRIORS
from imps.account.priors import Prior, as_of_allowed
from imps.errors import PriorError

ERA = "immigration_bias_era 2004 to 2008"
FIRST, LAST = as_of_allowed()


def test_every_row_says_what_it_means():
    table = imps.default_priors().table()
    assert table["name"].is_unique
    for column in ("distribution", "unit", "meaning", "reference"):
        assert (table[column].str.len() > 3).all(), column


def test_a_misspelt_prior_is_an_error_that_proposes_the_name():
    with pytest.raises(PriorError, match="Did you mean emigration_bias_level"):
        imps.default_priors().replace(emigration_bias_levl=(0.0, 0.1))
    with pytest.raises(PriorError, match="no prior is called basis"):
        imps.default_priors().widen("basis", 2)


def test_replace_widen_add():
    priors = imps.default_priors()
    assert priors.replace(base_level=(0.001, 0.002))["base_level"].mean == 0.001
    wide = priors.widen("emigration_bias", 2)
    assert wide["emigration_bias_level"].sd == 2 * priors["emigration_bias_level"].sd
    assert wide["emigration_bias_young"].sd == 2 * priors["emigration_bias_young"].sd
    assert wide["immigration_bias_level"] == priors["immigration_bias_level"]
    own = Prior("armed_forces", "normal", 0.0, 0.1, "share", "error of the record", "own")
    assert priors.add(own)["armed_forces"] == own
    with pytest.raises(PriorError, match="already there"):
        priors.add(own).add(own)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_age": (0.1, 0.1)}, "give mean 0"),
        ({"base_level": (0.0, -1.0)}, "must be finite"),
        ({"base_level": (float("nan"), 1.0)}, "must be finite"),
        ({"base_level": {"kind": "gamma"}}, "not normal, scale or fixed"),
    ],
)
def test_impossible_priors_are_refused(change, message):
    with pytest.raises(PriorError, match=message):
        imps.default_priors().replace(**change)


def test_a_prior_without_a_source_is_an_error(sources):
    lone = Prior("armed_forces", "normal", 0.0, 0.1, "share", "error of the record", "own")
    with pytest.raises(PriorError, match="armed_forces belongs to no source"):
        imps.linear_model(sources, imps.default_priors().add(lone))


def test_a_source_without_a_prior_is_an_error(sources):
    rows = tuple(r for r in imps.default_priors().rows if r.name != "visitor_switchers")
    with pytest.raises(PriorError, match="has no prior called 'visitor_switchers'"):
        imps.linear_model(sources, imps.Priors(rows))


# Evidence, and the year from which it was known


def test_every_row_rests_on_evidence_or_says_judgement():
    for row in imps.default_priors("cross_border", "armed_forces", ERA).rows:
        assert row.known_since == newest(row.evidence), row.name
        assert row.evidence or "judgement" in row.reference.lower(), row.name


def test_every_row_has_dated_versions_and_each_rests_on_figures_or_says_judgement():
    rows = imps.default_priors("cross_border", "armed_forces", ERA, *LAYOUT_PRIORS)
    assert set(versions_table()["prior"]) == set(rows) - {row.name for row in FIXED}
    for name in versions_table()["prior"].unique():
        dates = [version.known_since or 0 for version in versions(name)]
        assert dates == sorted(set(dates)), name  # one version a year
        for version in versions(name):
            assert version.known_since == newest(version.evidence), version
            assert version.evidence or "judgement" in version.reason.lower(), version
            assert len(version.reason) > 8


def test_every_figure_speaks_to_priors_and_every_version_rests_on_figures_that_do():
    table = evidence_table().set_index("key")
    assert table.index.is_unique and table["value"].notna().all()
    assert set(table["read"]) == set(READ)
    assert table["known_since"].between(1980, COMPILED).all()
    names = set(versions_table()["prior"])
    speaks = {key: set(text.split(";")) for key, text in table["priors"].items()}
    assert all(found <= names for found in speaks.values())
    for name in names:
        for version in versions(name):
            for key in version.evidence:
                assert name in speaks[key], (name, key)
    for row in imps.default_priors().rows:
        assert all(row.name in speaks[key] for key in row.evidence), row.name


@pytest.mark.parametrize("year", range(FIRST, LAST + 1))
def test_priors_as_of_a_year_use_no_later_figure(year):
    priors = imps.default_priors(as_of=year)
    assert priors.as_of == year and list(priors) == list(imps.default_priors())
    assert all(row.known_since is None or row.known_since <= year for row in priors.rows)
    assert (priors.evidence()["known_since"] <= year).all()
    for row in priors.rows[: -len(FIXED)]:  # and none that was known is left out
        known = [v for v in versions(row.name) if (v.known_since or 0) <= year]
        assert (row.mean, row.sd, row.reference) == (known[-1].mean, known[-1].sd, known[-1].reason)


def test_values_move_with_the_year_in_which_a_figure_came():
    at = {year: imps.default_priors(as_of=year) for year in (2000, 2003, 2004, 2010, 2020, LAST)}
    assert [at[y]["base_level"].sd for y in (2000, 2003, 2004, 2020)] == [
        0.006, 0.006, 0.0035, 0.0025,
    ]  # fmt: skip
    assert [at[y]["bias_correlation"].mean for y in (2000, 2010, 2020, LAST)] == [0, 0, 0.8, 0.85]
    assert at[2000]["immigration_bias_level"].mean == 0
    assert at[2010]["immigration_bias_level"].mean == -0.03


@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        (1985, r"'base_level': as_of is 1985, and its oldest evidence is of 1992; allowed: None, "
         rf"or a whole year from {FIRST} to {LAST}"),
        (FIRST - 1, rf"'census_level': as_of is {FIRST - 1}, .* oldest evidence is of {FIRST}"),
        (LAST + 1, f"as_of is {LAST + 1}; allowed"),
        (True, "as_of is True; allowed"),
        (2010.0, "as_of is 2010.0; allowed"),
        ("2010", "as_of is '2010'; allowed"),
    ],
)  # fmt: skip
def test_a_year_without_evidence_is_refused(as_of, message):
    with pytest.raises(PriorError, match=message):
        imps.default_priors(as_of=as_of)


def test_an_optional_prior_without_evidence_that_old_is_refused():
    with pytest.raises(PriorError, match=f"'{ERA}': as_of is 2005.*of 2009; allowed: .* from 2009"):
        imps.default_priors(ERA, as_of=2005)
    assert imps.default_priors(ERA, as_of=2010)[ERA].mean == -0.06


def test_a_changed_value_loses_its_evidence_and_the_table_keeps_its_date():
    priors = imps.default_priors(as_of=2010)
    changed = priors.widen("base_level", 2)
    assert changed.as_of == 2010
    assert changed["base_level"].evidence == () and changed["base_level"].known_since is None
    same = priors.replace(base_level=(priors["base_level"].mean, priors["base_level"].sd))
    assert same == priors
    given = priors.replace(base_level={"sd": 0.01, "evidence": ("aus-closure-1996",)})
    assert given["base_level"].evidence == ("aus-closure-1996",)


def test_evidence_of_a_table():
    found = imps.default_priors().evidence().set_index("key")
    assert found.loc["ew-1991-lowered", "known_since"] == 2003
    assert found.loc["uk-net-2001-11", "priors"] == "immigration_bias_level; emigration_bias_level"
    own = Prior("own", "normal", 0.0, 0.1, "share", "its own", "own", evidence=("no-such-figure",))
    with pytest.raises(PriorError, match="no figure of the evidence is called no-such-figure"):
        imps.default_priors().add(own).evidence()


def test_a_row_comes_back_from_json():
    for row in imps.default_priors().rows:
        assert Prior(**json.loads(json.dumps(dataclasses.asdict(row)))) == row


@pytest.mark.parametrize("year", [2000, 2010, 2020, LAST])
def test_priors_as_of_a_year_fit_every_account(sources, year):
    """A row that the account does not use is no fault, whatever its value was in that year."""
    model = imps.linear_model(sources, imps.default_priors(as_of=year))
    assert model.priors.as_of == year
    wide = imps.default_priors(as_of=year).widen("immigration_bias", 2)
    assert imps.linear_model(sources, wide).priors == wide
