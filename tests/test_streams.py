"""Streams: a complete count without a survey, internal moves beside one, evidence, bad input."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import imps
from imps.account.linear import largest_misclosure
from imps.demography.accounting import carry
from imps.demography.schedules import migration_schedule
from imps.errors import DefinitionError, SourceError
from imps.project.check import check_project, load_project
from imps.project.template import write_project
from imps.sources import REGISTER
from imps.sources.streams import AT_MOVE

TOP, YEARS, PEOPLE = 80, 8, 400_000
SAID = {"vintage": "invented", "reference": "invented"}
LEVEL = {"level": (0.0, 0.02)}
SEXES = ["male", "female"]


def cells(values, groups=None):
    ages = np.arange(TOP + 1)
    labels = groups or [*map(str, ages[:-1]), f"{TOP}+"]
    return xr.DataArray(
        values,
        dims=("year", "sex", "age_group"),
        coords={"year": 2001 + np.arange(len(values)), "sex": SEXES, "age_group": labels},
    )


def world(seed=1, missed=0.0):
    """Sources of a register country whose figures close, but for the departures it missed."""
    rng, ages = np.random.default_rng(seed), np.arange(TOP + 1)
    alive = np.exp(-np.cumsum(1e-4 * np.exp(0.09 * ages)))
    people = base = np.round(np.stack([alive, alive]) / alive.sum() / 2 * PEOPLE)
    flows = {f: [] for f in ("immigration", "emigration")}
    births, deaths = [], []
    for _ in range(YEARS):
        aged = carry(people, 1)
        aged[:, 0] = born = np.round(PEOPLE * 0.011 * np.array([0.512, 0.488]))
        died = rng.binomial(
            aged.astype(int), np.minimum(1 - np.exp(-1e-4 * np.exp(0.09 * ages)), 1)
        )
        moved = {
            f: rng.poisson(PEOPLE * rate * migration_schedule(TOP + 1, f)).astype(float)
            for f, rate in (("immigration", 0.01), ("emigration", 0.008))
        }
        people = aged - died + moved["immigration"] - moved["emigration"]
        births.append(born)
        deaths.append(died.astype(float))
        for f, x in moved.items():
            flows[f].append(x)
    years = 2001 + np.arange(YEARS)
    count = {
        "arrivals": cells(np.array(flows["immigration"])),
        "departures": cells(np.round(np.array(flows["emigration"]) * (1 - missed))),
    }
    streams = tuple(
        imps.Stream(
            f"register_{n}", f, c, "complete count", errors=LEVEL, reason="invented", **SAID
        )
        for (n, c), f in zip(count.items(), flows, strict=True)
    )
    lab = {"year": years, "sex": SEXES, "age": ages}
    born = xr.DataArray(np.array(births), dims=("year", "sex"),
                        coords={"year": years, "sex": SEXES})  # fmt: skip
    died = xr.DataArray(np.array(deaths), dims=("year", "sex", "age"), coords=lab)
    change = (born.sum("sex") - died.sum(("sex", "age")) + streams[0].net + streams[1].net).values
    rolled = xr.DataArray(
        base.sum() + np.r_[0, np.cumsum(change)], dims="year", coords={"year": np.r_[2000, years]}
    )

    def stock(x, year, name):
        array = xr.DataArray(x, dims=("sex", "age"), coords={"sex": SEXES, "age": ages})
        return imps.Stock(array, "sex and age", dt.date(year, 6, 30), 0.0, "register", "invented",
                          name, quality=REGISTER)  # fmt: skip

    sources = imps.Sources(
        area="Registerland",
        base=stock(base, 2000, "base"),
        census=stock(people, 2000 + YEARS, "census"),
        births=imps.Births(born, **SAID),
        deaths=imps.Deaths(died, **SAID),
        rolled_forward=imps.RolledForward(rolled, tuple(years), "computed", **SAID),
        streams=streams,
    )
    return sources, float(np.sum(flows["immigration"]) - np.sum(flows["emigration"]))


@pytest.fixture(scope="module")
def register():
    return world()[0]


@pytest.fixture(scope="module")
def priors():
    return imps.default_priors().replace(census_correlation={"mean": 0.9})


def moments(model, quantity):
    """Posterior mean and sd at the prior medians of the scales: generalised least squares."""
    size = model.scale_factors(np.zeros(len(model.scale_names)))
    design, effect = model.design * size, model.matrix(quantity) * size
    cross = design @ effect
    solved = np.linalg.solve(design @ design.T + np.diag(model.standard_error**2), cross)
    mean = quantity.constant + solved @ (model.observed - model.offset)
    return float(mean), float(np.sqrt(effect @ effect - cross @ solved))


def test_a_register_that_closes_has_nothing_to_explain(register, priors):
    fit = imps.fit(imps.linear_model(register, priors), seed=1, draws=400)
    shares = imps.attribute(fit)
    assert register.gap == 0 and fit.method == "exact"
    assert "nothing to explain" in str(imps.check(fit).verdict)
    row = shares.groups().set_index("group").loc["migration"]
    assert max(-row["lower95"], row["upper95"]) < 0.002 * register.census.total
    assert not [s for s in shares.totals()["source"].values if "sampling" in s]
    net = imps.reconcile(fit).net_migration_by_year()
    assert list(net)[5:] == ["published_flows"]
    assert fit.model.priors["register_arrivals_level"].reference == "invented"
    assert not {"immigration_bias_level", "asylum_seekers"} & set(fit.model.priors)


def test_departures_that_the_register_missed_are_found(priors):
    sources, truth = world(missed=0.05)
    model = imps.linear_model(sources, priors)
    fit = imps.fit(model, seed=1, draws=400)
    table = imps.attribute(fit).groups().set_index("group").loc["migration"]
    planted = sources.later_net_migration.sum() - truth
    assert sources.gap == pytest.approx(float(planted))
    assert table["lower95"] < planted < table["upper95"] and table["lower95"] > 0


def test_every_detail_of_a_stream_closes_and_a_zero_stays_one(register, priors):
    arrivals, departures = register.streams
    groups = ["0-4", "5-14", "15-29", "30-59", "60+"]
    edges = np.array([0, 5, 15, 30, 60])
    summed = np.add.reduceat(arrivals.count.values, edges, axis=2)
    details = (
        cells(summed, groups),
        cells(summed, groups).sum("sex"),
        arrivals.count.sum("age_group"),
        arrivals.count.sum(("sex", "age_group")),
        0.0 * arrivals.count,
    )
    for count in details:
        for ages in ("at the end of the year", AT_MOVE):
            other = replace(arrivals, count=count, ages=ages, errors={**LEVEL, "layout": (0, 0.2)})
            sources = replace(
                register,
                streams=(other, replace(departures, quality="exact", errors={})),
                rolled_forward=replace(
                    register.rolled_forward, total=register.rolled_forward.total
                ),
            )
            model = imps.linear_model(sources, priors)
            assert largest_misclosure(model) < 1e-6
            part = next(c for c in model.account.carried if c.name == other.name)
            np.testing.assert_allclose(part.published.sum((0, 1)), other.net.values)
            if ages != AT_MOVE and "age_group" in count.dims and "sex" in count.dims:
                back = np.add.reduceat(part.published, edges, axis=1)
                told = count.values if count.sizes["age_group"] == 5 else 0 * summed
                np.testing.assert_allclose(back.transpose(2, 0, 1), told, atol=1e-9)
    assert not np.abs(part.true.matrix(model.sizes)).max() > 0  # the last: zeros stay zeros


def test_layout_within_published_cells_moves_no_total(register, priors):
    arrivals, departures = register.streams
    count = arrivals.count.sum(("sex", "age_group"))
    model = imps.linear_model(
        replace(register, streams=(replace(arrivals, count=count), departures)), priors
    )
    layout = next(c for c in model.contributions if c.source == "ages_and_sexes_of_flows")
    mean, sd = model.prior_moments(layout.prior.sum())
    assert abs(mean) < 1e-6 and sd < 1e-6
    assert model.prior_moments(layout.prior)[1].max() > 10


def test_a_sample_and_a_wrong_class_are_sources_of_their_own(register, priors):
    arrivals, departures = register.streams
    sampled = replace(
        arrivals,
        quality="survey",
        standard_error=0.0 * arrivals.count.sum(("sex", "age_group")) + 300.0,
        count=arrivals.count.sum(("sex", "age_group")),
        misclassified=(imps.Misclassified("returning_emigrants", 0.1, 0.02, 20, 40),),
    )
    model = imps.linear_model(replace(register, streams=(sampled, departures)), priors)
    found = {c.source: c for c in model.contributions}
    mean, sd = model.prior_moments(found["register_arrivals_sampling"].prior.sum())
    assert mean == 0 and sd == pytest.approx(300 * np.sqrt(YEARS), rel=0.01)
    wrong = found["returning_emigrants"]
    mean, sd = model.prior_moments(wrong.prior.sum())
    assert sd == pytest.approx(0.2 * mean) and mean > 0
    assert imps.tables.printed.title("register_arrivals_sampling").endswith(": sampling error")
    assert wrong.group == "migration"


def test_a_known_stream_is_carried_beside_migration(register, priors):
    count = 0.0 * register.streams[0].count.sum(("sex", "age_group")) + 50
    troops = replace(register.streams[0], name="troops", flow="net", role="known", count=count)
    model = imps.linear_model(replace(register, streams=(*register.streams, troops)), priors)
    assert float(model.account.other_changes.sum().constant) == pytest.approx(50 * YEARS)
    kinds = {c.source: c.group for c in model.contributions}
    assert kinds["troops"] == "other changes" and kinds["register_arrivals"] == "migration"


def test_two_counts_of_one_balanced_system_leave_net_migration_its_shared_error(register, priors):
    """The limit: however exact both counts are, the net keeps the error that they share."""
    sd, correlation = 0.05, -0.9
    together = imps.Shared("balanced", correlation)
    weak = tuple(
        replace(s, errors={"level": (0.0, 1.0)}, count=s.count.sum(("sex", "age_group")))
        for s in register.streams
    )
    exact = tuple(
        imps.Evidence(f"mirror_{i}", (s.name,), s.count, 0 * s.count + 1.0, coverage_sd=sd,
                      shared=together, **SAID)
        for i, s in enumerate(weak)
    )  # fmt: skip
    loose = priors.widen("base", 100).widen("census", 100)  # so that nothing else is known of it
    model = imps.linear_model(replace(register, streams=weak, extra=exact), loose)
    _, found = moments(model, model.reported["net_migration[all years]"])
    flows = [float(s.count.sum()) for s in weak]
    limit = sd * np.sqrt(flows[0] ** 2 + flows[1] ** 2 - 2 * correlation * flows[0] * flows[1])
    assert 0.9 * limit < found < 1.1 * limit


def test_turnover_of_a_balanced_system_finds_directions_and_leaves_net_migration(register, priors):
    """Its net is that of the census, which is data: with it the net is no surer than without."""
    weak = tuple(  # errors of the same number of people, so that a turnover alone tells no net
        replace(
            s,
            errors={"level": (0.0, 5000 / float(s.count.sum()))},
            count=s.count.sum(s.count.dims[1:]),
        )
        for s in register.streams
    )
    ends = {
        end: replace(
            getattr(register, end),
            observed="total",
            relative_standard_error=0.001,
            quality="census",
        )
        for end in ("base", "census")
    }
    arrivals, departures = (s.count for s in weak)
    names = tuple(s.name for s in weak)
    turnover = imps.Evidence("turnover", names, arrivals + departures, 0 * arrivals + 500.0,
                             coverage_sd=0.02, anchored_to="register", turnover=True,
                             **SAID)  # fmt: skip
    apart = tuple(
        imps.Evidence(f"mirror_{s.name}", (s.name,), s.count, 0 * s.count + 500.0, coverage_sd=0.02,
                      **SAID)
        for s in weak
    )  # fmt: skip
    found = {}
    for what, extra in (("none", ()), ("turnover", (turnover,)), ("apart", apart)):
        model = imps.linear_model(replace(register, streams=weak, extra=extra, **ends), priors)
        both = [model.account.true_flow(name).sum() for name in names]
        wanted = {"net": both[0] - both[1], "sum": both[0] + both[1]}
        found[what] = {k: moments(model, q)[1] for k, q in wanted.items()}
    assert found["turnover"]["sum"] < 0.5 * found["none"]["sum"]
    assert found["turnover"]["net"] > 0.99 * found["none"]["net"] > found["apart"]["net"]
    with pytest.raises(SourceError, match="turnover of immigration; it is one"):
        replace(register, streams=weak, extra=(replace(turnover, of=names[:1]),))
    with pytest.raises(DefinitionError, match="its arrivals plus departures"):
        replace(register, streams=weak, extra=(replace(turnover, turnover=False),))


def test_series_that_cannot_be_are_refused(register):
    arrivals = register.streams[0]
    with pytest.raises(SourceError, match="has an error of its level"):
        replace(arrivals, errors={})
    with pytest.raises(SourceError, match="a survey has a standard error"):
        replace(arrivals, quality="survey")
    with pytest.raises(SourceError, match="no error"):
        replace(arrivals, quality="exact")
    with pytest.raises(SourceError, match="given twice"):
        replace(register, streams=(arrivals, arrivals))
    with pytest.raises(SourceError, match="nothing measures migration"):
        replace(register, streams=())
    with pytest.raises(DefinitionError, match="which is the census"):
        replace(register, streams=(replace(arrivals, anchored_to="register"),))
    count = arrivals.count.sum(("sex", "age_group"))
    other = imps.Evidence("other", ("cards",), count, count, **SAID)
    with pytest.raises(SourceError, match="that is not there"):
        replace(register, extra=(other,))


# Files


MOVES = """
[[streams]]
file = "data/moves.csv"
unit = "persons"
period = "mid-year"
quality = "complete count"
ages = "at-year-end"
level = { sd = 0.02 }
"""


def moves(young_in=600, families_out=600):
    """Internal moves that sum to zero in each year, but not at any age."""
    rows = []
    for year in range(2002, 2007):
        for flow, there in (("in", young_in), ("out", families_out)):
            for age in range(91):
                at = (20 <= age <= 29) if flow == "in" else (35 <= age <= 44)
                for sex in ("male", "female"):
                    label = f"{age}+" if age == 90 else str(age)
                    rows.append(("moves", year, flow, sex, label, there // 20 if at else 0))
    return pd.DataFrame(rows, columns=["source", "year", "flow", "sex", "age_group", "count"])


def with_moves(folder, frame=None, settings=MOVES):
    file = write_project(folder)
    (moves() if frame is None else frame).to_csv(folder / "data/moves.csv", index=False)
    file.write_text(file.read_text() + settings)
    return file


def test_internal_moves_by_age_leave_the_base_where_it_was(tmp_path):
    """Moves that net to zero are no error of the base, once they are in the account."""
    plain = load_project(write_project(tmp_path / "plain"))
    with_moves(tmp_path / "moved")
    file = tmp_path / "moved/data/population.csv"
    people = pd.read_csv(file)
    age = people["age"].astype(str).str.rstrip("+").astype(int)
    at_end = people["year"] == 2006
    table = moves().assign(sign=lambda f: f["flow"].map({"in": 1, "out": -1}))
    table["age"] = table["age_group"].str.rstrip("+").astype(int)
    for (year, sex, first), n in (
        (table["count"] * table["sign"]).groupby([table["year"], table["sex"], table["age"]]).sum()
    ).items():
        reached = min(first + 2006 - year, 90)
        people.loc[at_end & (people["sex"] == sex) & (age == reached), "population"] += n
    people.to_csv(file, index=False)
    moved = load_project(tmp_path / "moved")
    assert moved.sources.gap == pytest.approx(plain.sources.gap)
    base = []
    for project in (plain, moved):
        model = imps.linear_model(project.sources, project.priors)
        part = next(c for c in model.contributions if c.source == "base")
        base.append(moments(model, part.value.sum()))
    (before, sd), (after, _) = base
    assert abs(after - before) < 0.2 * sd
    assert {"moves_arrivals", "moves_departures"} <= {c.source for c in model.contributions}


BAD = {
    "STREAM_NEEDS.quality": (None, 'quality = "complete count"\n', ""),
    "STREAM_NEEDS.ages": (None, 'ages = "at-year-end"\n', ""),
    "STREAM_NEEDS.level": (None, "level = { sd = 0.02 }\n", ""),
    "STREAM_NEEDS.of": (None, 'quality = "complete count"\n', 'quality = "sum"\n'),
    "STREAM_NEEDS.correlation": (None, "ages =", 'shared_error = "x"\nages ='),
    "STREAM_DETAIL.error": (None, 'quality = "complete count"\n', 'quality = "survey"\n'),
    "STREAM_DETAIL.no_error": (lambda f: f.assign(standard_error=5), "", ""),
    "STREAM_DETAIL": (
        lambda f: f[(f["year"] != 2003) | (f["age_group"] != "1")].assign(
            age_group=lambda g: g["age_group"].where((g["year"] != 2003) | (g["age_group"] != "0"),
                                                     "0-1")
        ), "", "",
    ),
    "STREAM_ANCHORED": (None, "ages =", 'anchored_to = "census 2006"\nages ='),
    "STREAM_TWICE": (None, "[[streams]]", MOVES + "[[streams]]"),
    "OPEN_AGE_CHANGES": (
        lambda f: pd.concat([f[f["age_group"] != "90+"]] + [
            f[f["age_group"] == "90+"].assign(age_group=a) for a in ("90", "91", "92+")
        ]), "", "",
    ),
    "SETTING_UNKNOWN": (None, "ages =", 'age_counted = "at-death"\nages ='),
    "CELLS_NEEDED": (lambda f: f[f["year"] != 2003], "", ""),
    "DUPLICATE_KEY": (lambda f: pd.concat([f, f.head(1)]), "", ""),
}  # fmt: skip


@pytest.mark.parametrize("code", BAD)
def test_bad_streams_are_refused_with_file_and_step(code, tmp_path):
    change, old, new = BAD[code]
    text = MOVES.replace(old, new, 1) if old else MOVES
    file = with_moves(tmp_path / "p", change(moves()) if change else None, text)
    if code == "STREAM_TWICE":
        text = file.read_text()
        file.write_text(text.replace("moves.csv", "others.csv", 1))
        moves().to_csv(tmp_path / "p/data/others.csv", index=False)
    report = check_project(file)
    found = [f for f in report.log.faults if f.code == code.partition(".")[0]]
    assert not report.passed and found, str(report)
    assert found[0].file and found[0].next_step
