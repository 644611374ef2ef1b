"""Parts of migration beside the survey, and known changes, each with its error."""

from __future__ import annotations

import numpy as np

from imps.account.affine import Affine
from imps.account.latents import Latents
from imps.account.nonlinear import BETA, SWITCHERS, BetaShare, Form
from imps.demography.schedules import autoregressive, migration_schedule
from imps.errors import PriorError
from imps.names import EMIGRATION, FLOW_SIGN
from imps.sources import AdministrativeFlow, Sources


def administrative_parts(
    latents: Latents, sources: Sources, form: Form
) -> tuple[dict[str, np.ndarray], dict[str, Affine]]:
    """Published net flow and its error by source name, (sex, age, interval)."""
    parts: dict[str, np.ndarray] = {}
    errors: dict[str, Affine] = {}
    for part in sources.administrative:
        net = _spread_part(part, sources)
        error = _share_of(latents, part.name, part.label, net)
        share = form.share(part.name)
        if share is not None:
            error = error + _as_beta_share(latents, part, net, share)
        parts[part.name] = parts.get(part.name, 0.0) + net
        errors[part.name] = errors[part.name] + error if part.name in errors else error
    if form.switchers == BETA and not any(name in SWITCHERS for name in parts):
        raise PriorError("switchers='beta', but these sources hold no switchers: drop it.")
    return parts, errors


def _share_of(latents: Latents, source: str, label: str, figure: np.ndarray) -> Affine:
    """Relative error of a figure (sex, age, interval), partly the same in all years."""
    mean, sd = latents.prior(source, label)
    error = Affine(mean * figure, {})
    for block, (share, years) in _standard(latents, label, figure.shape[2]).items():
        effect = sd * share * figure[..., None] * years
        error = error + latents.field(block, effect, source=source, prior=source)
    return error


def _standard(latents: Latents, label: str, n: int) -> dict[str, tuple[float, np.ndarray]]:
    """Blocks of a relative error of variance one in each of n years: sd, and (year, size)."""
    same = latents.fixed("part_constant_share", label, 0.0, 1.0)
    moving = autoregressive(n, latents.fixed("bias_persistence", label, 0.0, 1.0))
    return {
        f"{label} constant": (np.sqrt(same), np.ones((n, 1))),
        f"{label} by year": (np.sqrt(1 - same), moving),
    }


def _as_beta_share(
    latents: Latents, part: AdministrativeFlow, net: np.ndarray, share: float
) -> Affine:
    """What the error of switchers becomes when their share is Beta and not normal."""
    mean, sd = latents.prior(part.name, part.label)
    n = net.shape[2]
    standard = {b: share * x for b, (share, x) in _standard(latents, part.label, n).items()}
    block = f"{part.label} beyond its linear form"
    curve = BetaShare(block, Affine(np.zeros(n), standard), mean, sd, share)
    return latents.curve(curve, net[..., None] * np.eye(n))


def _spread_part(part: AdministrativeFlow, sources: Sources) -> np.ndarray:
    """Net flow (sex, age, interval) of a part at mid-years; its ages are a schedule."""
    schedule = 2 * migration_schedule(sources.ages.size, part.ages_of)
    shares = np.array([part.male_share, 1 - part.male_share])
    yearly = sources.at_mid_years(part.count).values
    sign = FLOW_SIGN[part.flow] * part.sign
    return sign * (shares[:, None] * schedule)[:, :, None] * yearly


def known_changes(sources: Sources) -> np.ndarray:
    """Known changes laid out by the emigration schedule, (sex, age, interval), persons per year."""
    shape = migration_schedule(sources.ages.size, EMIGRATION)
    return shape[:, :, None] * sources.known_change.values


def change_errors(latents: Latents, sources: Sources) -> dict[str, Affine]:
    """Error of the known changes that have a prior, relative to their mean size."""
    shape = migration_schedule(sources.ages.size, EMIGRATION)[:, :, None]
    n, errors = len(sources.years), {}
    for change in sources.known_changes:
        if change.name not in latents.priors:
            continue
        size = np.abs(change.count.values).mean() * np.repeat(shape, n, axis=2)
        errors[change.name] = _share_of(latents, change.name, change.name, size)
    return errors
