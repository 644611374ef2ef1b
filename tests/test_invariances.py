"""What must not matter does not: order, splitting, units, labels, useless and repeated sources."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import imps
from imps.account.latents import Resolution
from imps.account.observations import observe
from imps.errors import LabelError
from imps.posterior.exact import GaussianPosterior
from imps.simulation.reference import reference_account
from imps.sources import SurveyFlow

SAME = {"rtol": 1e-6, "atol": 0.02}  # persons: two ways through the same normal equations
FINE = Resolution(4, 4)
COUNTED = ("base", "census", "births", "deaths")


def moments(model):
    """Means and sds of all reported quantities at scales away from their medians."""
    h = np.linspace(-1, 1, len(model.scale_names))
    mean, variance = GaussianPosterior(model).moments(h)
    return pd.DataFrame({"mean": mean, "sd": np.sqrt(variance)}, index=list(model.reported))


def built(sources, priors=None):
    return imps.linear_model(sources, priors or imps.default_priors(), FINE)


def with_rows(model, rows, factor=1.0):
    """The same account with some rows of its likelihood, each as it is or as a share of it."""
    return dataclasses.replace(
        model, design=factor * model.design[rows], offset=factor * model.offset[rows],
        observed=factor * model.observed[rows], standard_error=model.standard_error[rows],
        row_labels=tuple(np.array(model.row_labels)[rows]),
        row_sources=tuple(np.array(model.row_sources)[rows]),
    )  # fmt: skip


def same(left, right, factor=1.0):
    np.testing.assert_allclose(factor * left.to_numpy(), right.to_numpy(), **SAME)


@pytest.fixture(scope="module")
def account():
    return reference_account()


@pytest.fixture(scope="module")
def small(account):
    return built(account)


@pytest.fixture(scope="module")
def known(small):
    return moments(small)


def survey_table():
    table = imps.load_published_ips()
    return table[table["year"].between(1991, 2006)]


def survey(table):
    return SurveyFlow.from_table(
        table, "immigration", definition="IPS", vintage="2013", reference="ONS"
    )


def test_order_of_rows_in_a_survey_table():
    """Shuffled years, sexes and age groups give the same cells in the same places."""
    table = survey_table()
    ordered, shuffled = survey(table), survey(table.sample(frac=1, random_state=2))
    for what in ("estimate", "standard_error", "contacts", "lower_ages"):
        left, right = getattr(ordered, what), getattr(shuffled, what)
        np.testing.assert_allclose(left, right, rtol=1e-12, err_msg=what)
        for dim in left.dims:
            assert left[dim].values.tolist() == right[dim].values.tolist()
    turned = {w: getattr(ordered, w)[..., ::-1] for w in ("estimate", "standard_error", "contacts")}
    with pytest.raises(LabelError, match="age groups are not in the order of age"):
        dataclasses.replace(ordered, **turned, lower_ages=ordered.lower_ages[..., ::-1])


def test_splitting_of_files():
    """Two files, the later years first, are as good as one."""
    table = survey_table()
    late, early = table[table["year"] > 1995], table[table["year"] <= 1995]
    assert survey(pd.concat([late, early])).estimate.equals(survey(table).estimate)


def test_order_of_rows_of_the_likelihood(small, known, rng):
    same(moments(with_rows(small, rng.permutation(small.observed.size))), known)


def test_order_of_sources(account, known):
    """Administrative and independent sources in another order."""
    turned = dataclasses.replace(
        account, administrative=account.administrative[::-1], extra=account.extra[::-1]
    )
    found = moments(built(turned))
    same(found.loc[known.index], known)


def test_regrouping_of_ages(small, known):
    """A published cell and its two halves, each with half of its variance, say the same."""
    rows = np.repeat(np.arange(small.observed.size), 2)
    halved = with_rows(small, rows, factor=0.5)
    halved = dataclasses.replace(halved, standard_error=halved.standard_error / np.sqrt(2))
    same(moments(halved), known)


class InGroups:
    """A register as an office would publish it in age groups: the single years, summed."""

    def __init__(self, register, width):
        self.register, self.name, self.width = register, register.name, width

    def observe(self, account):
        single = observe(self.register, account)
        ages = self.register.count["age"].values.size
        group = np.add.outer([0, ages], np.arange(ages) // self.width).ravel()
        total = np.stack([(group == g).astype(float) for g in np.unique(group)])
        return imps.Observation(
            self.name,
            single.mean.map(lambda x: total @ x),
            total @ single.observed,
            np.sqrt(total @ single.standard_error**2),
            tuple(f"{self.name} group {g}" for g in np.unique(group)),
        )


def test_pre_summed_ages_are_the_single_ages_summed(account, small):
    """A register in groups of four: rows summed before the model, or rows of the model summed."""
    before, register, mirror = account.extra
    width = 4
    grouped = built(dataclasses.replace(account, extra=(before, InGroups(register, width), mirror)))
    own = np.flatnonzero([s == register.name for s in small.row_sources])
    ages = own.size // 2
    starts = np.concatenate([s * ages + np.arange(0, ages, width) for s in (0, 1)])
    error = np.sqrt(np.add.reduceat(small.standard_error[own] ** 2, starts))
    rest = np.setdiff1d(np.arange(small.observed.size), own)
    summed = dataclasses.replace(
        small,
        **{n: np.concatenate([getattr(small, n)[rest], np.add.reduceat(getattr(small, n)[own],
           starts, axis=0)]) for n in ("design", "offset", "observed")},
        standard_error=np.concatenate([small.standard_error[rest], error]),
        row_labels=("",) * (rest.size + starts.size),
        row_sources=(*np.array(small.row_sources)[rest], *[register.name] * starts.size),
    )  # fmt: skip
    same(moments(grouped), moments(summed))
    finer, coarser = moments(small)["sd"], moments(grouped)["sd"]
    assert (coarser > finer - 0.02).all()  # grouping loses and never adds


def test_units(sources):
    """Ten times the people, ten times the answer: no unit hides in a constant.

    On a case of totals: the error of a single age holds the root of a count of persons,
    which is not proportional to it.
    """

    def times(item, names):
        return dataclasses.replace(item, **{n: 10 * getattr(item, n) for n in names})

    flow = ("estimate", "standard_error")
    larger = dataclasses.replace(
        sources,
        **{n: times(getattr(sources, n), ("count",)) for n in COUNTED},
        immigration=times(sources.immigration, flow),
        emigration=times(sources.emigration, flow),
        administrative=tuple(times(p, ("count",)) for p in sources.administrative),
        known_sums=tuple(times(k, ("count",)) for k in sources.known_sums),
        known_changes=tuple(times(k, ("count",)) for k in sources.known_changes),
        total_migration=10 * sources.total_migration,
        rolled_forward=dataclasses.replace(
            sources.rolled_forward, total=10 * sources.rolled_forward.total,
            by_sex=None, by_sex_and_age=None,
        ),
    )  # fmt: skip
    same(moments(built(sources)), moments(built(larger)), factor=10)


def test_relabelling(account, known):
    """Other names of sources and places change names only."""
    before, register, mirror = account.extra
    renamed = dataclasses.replace(
        account,
        area="another country",
        extra=(
            before,
            dataclasses.replace(register, name="pupils"),
            dataclasses.replace(mirror, name="x"),
        ),
    )
    same(moments(built(renamed)), known)


def test_another_decade(known):
    """The same figures ten years later are the same account."""
    same(moments(built(reference_account(first_year=2001))), known)


@pytest.mark.parametrize(
    "source", ["immigration", "emigration", "census", "school_census", "mirror"]
)
def test_a_source_with_a_huge_error_changes_nothing(small, source):
    rows = np.array([s == source for s in small.row_sources])
    se = np.where(rows, 1e12, small.standard_error)
    vague = dataclasses.replace(small, standard_error=se)
    same(moments(vague), moments(with_rows(small, np.flatnonzero(~rows))))


def test_a_vague_register_is_as_good_as_none(account):
    """Through the sources: its own unknown coverage is there and moves nothing."""
    before, register, mirror = account.extra
    vague = dataclasses.replace(register, standard_error=0 * register.count + 1e12)
    without = dataclasses.replace(account, extra=(before, mirror))
    same(
        moments(built(dataclasses.replace(account, extra=(before, vague, mirror)))),
        moments(built(without)),
    )


@pytest.mark.parametrize("times", [2, 5])
def test_a_source_repeated_acts_like_its_error_over_the_root(account, times):
    """Independent series with known coverage; unknown coverage would be shared by none."""
    before, register, mirror = account.extra
    mirror = dataclasses.replace(mirror, coverage_sd=0.0)
    repeated = [dataclasses.replace(mirror, name=f"mirror {i}") for i in range(times)]
    sharper = dataclasses.replace(mirror, standard_error=mirror.standard_error / np.sqrt(times))
    left = moments(built(dataclasses.replace(account, extra=(before, register, *repeated))))
    right = moments(built(dataclasses.replace(account, extra=(before, register, sharper))))
    same(left, right)
    one = moments(built(dataclasses.replace(account, extra=(before, register, mirror))))
    assert (right["sd"] < one["sd"] + 0.02).all()
    assert right.loc["gap[emigration_bias]", "sd"] < 0.99 * one.loc["gap[emigration_bias]", "sd"]
