"""Cards: what a result shows of itself in a notebook and in a terminal."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import drawn_results as made
import numpy as np
import pytest

import imps
from imps.intervals import THOUSANDS
from imps.notebook_cards import Bar, bars, card
from imps.results.verdict import Verdict

TERMINAL_LINES = 10  # "in a terminal in at most ten lines"
CARD_BYTES = 12_000  # a compact card: a fraction of the picture it replaces


class Strict(HTMLParser):
    """Every element that is opened is closed, in order; attributes are collected."""

    def __init__(self):
        super().__init__()
        self.stack, self.tags, self.links = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href", "xlink:href")]
        if tag not in ("br",):
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def read(text):
    reader = Strict()
    reader.feed(text)
    assert reader.stack == []
    return reader


@pytest.fixture(scope="module")
def shown(sources, fitted, attribution, reconciliation):
    checks = imps.check(fitted)
    return {"Sources": sources, "Fit": fitted, "Checks": checks, "Attribution": attribution,
            "Reconciliation": reconciliation}  # fmt: skip


def test_cards_show_number_interval_verdict_and_picture(shown):
    for name, result in shown.items():
        text = result._repr_html_()
        reader = read(text)
        assert "svg" in reader.tags, name
        assert 'aria-label="' in text, name
        assert reader.links == [], name
        assert "script" not in reader.tags, name
        assert len(text.encode()) < CARD_BYTES, name
        if name == "Sources":
            assert "no verdict" in text
            assert "Gap +1,243 [+1,128, +1,359] thousand" in text
        else:
            assert "usable; next:" in text, name
        assert len(repr(result).splitlines()) <= TERMINAL_LINES, name


def test_nothing_of_the_model_floods_a_notebook(model):
    for name, thing in {"model": model, "account": model.account, "priors": model.priors}.items():
        assert len(repr(thing).splitlines()) <= 4 and len(repr(thing)) < 400, name
    read(model.priors._repr_html_())


def test_numbers_of_the_cards_are_those_of_the_results(shown):
    groups = shown["Attribution"].groups().set_index("group")
    row = groups.loc["migration"]
    assert (
        THOUSANDS.between(row["mean"], row["lower95"], row["upper95"])
        in shown["Attribution"]._repr_html_()
    )
    total = shown["Reconciliation"].net_migration.sum(("year", "sex", "age")).values
    said = THOUSANDS.between(total.mean(), *np.quantile(total, [0.025, 0.975]))
    assert said in shown["Reconciliation"]._repr_html_()
    assert said in shown["Fit"]._repr_html_()


def test_text_from_data_cannot_run():
    bad = '<img src=x onerror="alert(1)">&'
    hostile = replace(made.attribution(), area=bad, verdict=Verdict(f"do not use: {bad}"))
    text = hostile._repr_html_()
    assert "<img" not in text
    assert read(text).tags.count("img") == 0
    picture = bars([Bar(bad, 0, 1, 0, 2, bad)], alt=bad)
    assert "<img" not in picture
    shown = card(bad, bad, (bad,), picture=picture, verdict=Verdict(bad))
    assert read(shown).tags.count("img") == 0


def test_a_failed_check_is_bold_in_the_card():
    text = made.attribution(Verdict("do not use: 3 quantities have not converged"))._repr_html_()
    assert "<strong>do not use" in text


def test_a_picture_of_nothing_is_empty_and_flat_values_do_not_divide_by_zero():
    assert bars([], alt="nothing") == ""
    flat = bars([Bar("flat", 0.0, 0.0, 0.0, 0.0, "0")], alt="zero")
    assert not re.search(r'="(nan|inf)', flat)


def test_thousands_of_a_small_country_keep_their_digits():
    assert THOUSANDS.between(1_243_460, -5, 2e6) == "+1,243 [0, +2,000]"
    assert THOUSANDS.between(2_066, -2_255, 6_213) == "+2.1 [\u22122.3, +6.2]"
    assert THOUSANDS.between(93, -20, 40) == "+0.09 [\u22120.02, +0.04]"
    assert THOUSANDS.said(-0.2) == THOUSANDS.said(0.0) == "0"
    assert THOUSANDS.said(931) == "+0.93"
