"""One table of kinds: what a source is stands in one row, and a row of one's own is enough."""

from dataclasses import replace

import numpy as np
import pytest

import imps
from imps.errors import InputError, PriorError, SourceError
from imps.names import FLOW, YEAR
from imps.project.template import write_project
from imps.sources import AdministrativeFlow, KnownChange
from imps.sources.kinds import KINDS, NET, PARTS, SourceKind, title

SEASONAL = SourceKind(
    "seasonal_workers", flow="immigration", male_share=0.7, sd=0.3,
    meaning="workers who stayed on", reference="Invented",
)  # fmt: skip
SAID = {"vintage": "invented", "reference": "invented"}


def with_part(sources, kind=SEASONAL, flow="immigration", persons=10e3):
    """The sources with a part of migration more, in the total as well."""
    count = 0 * sources.total_migration.sel({FLOW: flow}, drop=True) + persons
    part = AdministrativeFlow.of(kind, flow, count, **SAID)
    share = (sources.total_migration[FLOW] == flow) * part.sign
    return replace(
        sources,
        administrative=(*sources.administrative, part),
        total_migration=sources.total_migration + share * count,
    )


def test_one_row_adds_a_part_of_migration_with_its_prior(sources):
    model = imps.linear_model(with_part(sources), imps.default_priors())
    part = next(c for c in model.contributions if c.source == "seasonal_workers")
    assert part.group == "migration"
    assert model.priors["seasonal_workers"].sd == 0.3
    assert model.priors["seasonal_workers"].meaning == "workers who stayed on"
    mean, sd = model.prior_moments(part.prior.sum())
    years = len(sources.years)
    shared = np.sqrt(0.7)
    assert mean == 0
    assert 0.3 * shared * 10e3 * years < sd < 0.3 * 10e3 * years
    assert "gap[seasonal_workers]" in model.reported
    assert part.value.constant.shape == sources.base.count.shape


def test_a_prior_of_an_own_kind_can_be_replaced(sources):
    priors = imps.default_priors(SEASONAL).replace(seasonal_workers={"sd": 0.1})
    model = imps.linear_model(with_part(sources), priors)
    assert model.priors["seasonal_workers"].sd == 0.1
    with pytest.raises(PriorError, match="seasonal_workers belongs to no source"):
        imps.linear_model(sources, priors)


def test_a_kind_says_group_sign_and_schedule(sources):
    kind = replace(SEASONAL, group="revisions", adds=False, schedule="emigration")
    model = imps.linear_model(with_part(sources, kind), imps.default_priors())
    part = next(c for c in model.contributions if c.source == "seasonal_workers")
    assert part.group == "revisions"
    assert model.account.parts["seasonal_workers"].sum() < 0
    plain = imps.linear_model(with_part(sources), imps.default_priors())
    ages = [m.account.parts["seasonal_workers"][0, :, 0] for m in (model, plain)]
    assert not np.allclose(-ages[0], ages[1])


def test_a_net_change_of_ones_own_is_a_source_where_its_kind_has_an_sd(sources):
    kind = SourceKind("prisoners", flow=NET, sd=0.2)
    count = 0 * sources.natural_change + 100.0
    silent = KnownChange("prisoners", count, **SAID)
    for change, there in ((silent, False), (replace(silent, kind=kind), True)):
        model = imps.linear_model(replace(sources, known_changes=(change,)), imps.default_priors())
        groups = {c.source: c.group for c in model.contributions}
        assert (groups.get("prisoners") == "other changes") is there


def test_makers_priors_and_titles_read_the_table(sources):
    count = sources.total_migration.isel({FLOW: 0}, drop=True)
    for name in PARTS:
        kind, part = KINDS[name], getattr(imps.sources, name)("immigration", count, **SAID)
        prior = imps.default_priors()[name]
        assert (part.adds, part.male_share, part.group) == (kind.adds, kind.male_share, kind.group)
        assert (prior.sd, prior.meaning, prior.reference) == (
            kind.sd, kind.meaning, kind.reference
        )  # fmt: skip
    assert title("migrant_switchers") == "Migrant switchers"
    assert title("migration") == "All migration"
    assert title("seasonal_workers") == SEASONAL.title == "Seasonal workers"


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("name", "Seasonal workers", "lower-case letters"),
        ("group", "emigration", "one of base, migration"),
        ("flow", "inward", "one of both, immigration, emigration, net"),
        ("male_share", 1.2, "between 0 and 1"),
        ("sd", 0.0, "above 0"),
        ("schedule", "internal", "one of immigration"),
    ],
)
def test_a_bad_row_is_refused_with_field_found_and_allowed(field, value, allowed):
    with pytest.raises(SourceError, match=rf"{field} is '{value}', allowed is .*{allowed}"):
        replace(SEASONAL, title="", **{field: value})


def test_a_second_kind_of_one_name_is_refused(sources):
    with pytest.raises(SourceError, match="a kind of this name is there already"):
        with_part(sources, replace(SEASONAL, name="asylum_seekers"))
    twice = with_part(sources)
    other = replace(SEASONAL, sd=0.4, flow="both")
    with pytest.raises(SourceError, match="kind seasonal_workers is given twice"):
        with_part(twice, other, "emigration")


def test_a_source_may_not_take_a_name_or_flow_that_its_kind_has_not(sources):
    count = sources.total_migration.isel({FLOW: 0}, drop=True)
    with pytest.raises(SourceError, match="flow is 'emigration', allowed is immigration"):
        AdministrativeFlow.of(SEASONAL, "emigration", count, **SAID)
    with pytest.raises(SourceError, match="the package computes it"):
        KnownChange("residual", count, **SAID)
    with pytest.raises(SourceError, match="flow is 'net', allowed is immigration, emigration"):
        KnownChange("asylum_seekers", count.isel({YEAR: slice(1, None)}), **SAID)


def own_part(folder, entry, source="seasonal_workers"):
    """The example project with a source of its own in place of asylum seekers."""
    file = write_project(folder)
    rows = next(p for p in file.parent.rglob("*.csv") if "asylum_seekers" in p.read_text("utf-8"))
    rows.write_text(rows.read_text("utf-8").replace("asylum_seekers", source), "utf-8")
    file.write_text(f"{file.read_text('utf-8')}\n{entry}\n", "utf-8")
    return file


ENTRY = """[[account.kinds]]
name = "seasonal_workers"
group = "revisions"
flow = "immigration"
male_share = 0.7
sd = 0.3
meaning = "workers who stayed on"
reference = "Invented"
"""


def test_one_entry_of_the_settings_adds_a_part_with_its_prior(tmp_path):
    project = imps.load_project(own_part(tmp_path / "case", ENTRY))
    model = imps.linear_model(project.sources, project.priors)
    part = next(c for c in model.contributions if c.source == "seasonal_workers")
    assert part.group == "revisions"
    row = model.priors["seasonal_workers"]
    assert (row.mean, row.sd, row.reference) == (0.0, 0.3, "Invented")
    assert project.sources.administrative[0].male_share == 0.7


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("", r"SOURCE_UNKNOWN.*seasonal_workers|is not a part of total migration"),
        (ENTRY + ENTRY, "a kind called seasonal_workers is there already"),
        (ENTRY.replace("seasonal_workers", "irish_flows"), "irish_flows is there already"),
        (ENTRY.replace('"immigration"', '"inward"'), "not a value of 'flow'; expected"),
        (ENTRY.replace("0.7", "1.7"), "male_share"),
        (ENTRY.replace("0.3", "0.0"), "sd is '0.0', allowed is a share above 0"),
        (ENTRY.replace("revisions", "emigration"), "group is 'emigration', allowed is one of"),
    ],
)
def test_an_entry_that_is_no_kind_is_refused(tmp_path, entry, said):
    with pytest.raises(InputError, match=said):
        imps.load_project(own_part(tmp_path / "case", entry))
