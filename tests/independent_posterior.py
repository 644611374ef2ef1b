"""The posterior a second time, written from docs/appendix.md alone.

Nothing of the package is imported: the figures are those of a case, priors come as numbers and
the constants are read from the tables of that page. Every quantity is a linear function of
fields (errors of stocks, true flows, ...); the prior covariance of rows and quantities is the
sum over independent terms of what each does to them, and the posterior conditions on the rows.
"""

import calendar
import itertools
import re
from pathlib import Path

import numpy as np
from scipy.linalg import cho_factor, cho_solve

PAGE = Path(__file__).parents[1] / "docs" / "appendix.md"
C = {
    name: float(value)
    for name, value in re.findall(
        r"^\| `(\w+)` \| ([\d.]+) \|", PAGE.read_text("utf-8"), flags=re.MULTILINE
    )
}
"""Constants of the page by name."""
SIGN = {"immigration": 1.0, "emigration": -1.0}


# Shapes over age


def ramp(ages, none, full):
    return np.clip((ages - none) / (full - none), 0, 1)


def smooth(n_ages, n, young, old):
    ages = np.arange(n_ages)
    fine = (ages >= C["smooth_first"]) & (ages <= C["smooth_last"])
    length = np.where(fine, young, old) * np.where(
        ages < C["smooth_small"], C["smooth_small_factor"], 1
    )
    half = int(C["smooth_mean"]) // 2
    around = np.clip(ages[:, None] + np.arange(-half, half + 1), 0, n_ages - 1)
    warped = (1 / length[around].mean(axis=1)).cumsum()
    r = np.sqrt(5) * abs(warped[:, None] - warped)
    left, values, _ = np.linalg.svd((1 + r + r**2 / 3) * np.exp(-r))
    shapes = left[:, :n] * np.sqrt(values[:n])
    return shapes / np.sqrt((shapes**2).sum() / n_ages)


def hats(n_ages):
    centre = C["hat_step"] * np.arange(C["hat_number"])
    return np.maximum(0, 1 - abs(np.arange(n_ages)[:, None] - centre) / C["hat_step"])


def autoregressive(n, rho):
    """v = R z, year by year."""
    out = np.zeros((n, n))
    out[0, 0] = 1
    for t in range(1, n):
        out[t] = rho * out[t - 1]
        out[t, t] = np.sqrt(1 - rho**2)
    return out


def by_sex(effect):
    """(sex, ..., k) to (sex, ..., 2 k): each sex a z of its own."""
    nothing = np.zeros_like(effect[0])
    return np.stack([np.c_[effect[0], nothing], np.c_[nothing, effect[1]]])


# Schedules


def generic(n_ages, flow):
    out, leaves, a = [], flow == "emigration", np.arange(n_ages)
    for younger in (0, C["women_younger"]):
        peak = C["peak"] - younger + leaves * C["emigrants_later"]
        decline = C["decline"] - leaves * C["emigrants_slower"]
        g = C["childhood"] * np.exp(-C["childhood_decline"] * a) + C["level"]
        g += C["labour"] * np.exp(-decline * (a - peak) - np.exp(-C["rise"] * (a - peak)))
        g *= np.exp(-C["fade"] * np.maximum(a - C["fade_from"], 0))
        g[0] *= C["newborn"]
        out.append(g / g.sum() / 2)
    return np.array(out)


def group_shares(lower, n_ages):
    out = np.zeros((2, lower.shape[1], n_ages))
    for s in range(2):
        of = [np.flatnonzero(lower[s] <= a)[-1] for a in range(n_ages)]
        for a in range(n_ages):
            out[s, of[a], a] += 0.5
            out[s, of[max(a - 1, 0)], a] += 0.5
    return out


def pulled(g, groups, total):
    m, least = g * total.sum() / g.sum(), C["pull_floor"] * total.mean()
    ages = np.arange(g.shape[1])
    for s in range(2):
        weight = groups[s] * g[s]
        centre = weight @ ages / weight.sum(axis=1)
        for _ in range(int(C["pull_rounds"])):
            ratio = np.maximum(total[s], least) / np.maximum(groups[s] @ m[s], least)
            m[s] *= np.exp(np.interp(ages, centre, np.log(ratio)))
        m[s] *= total[s].sum() / m[s].sum()
    return m


# Along cohorts


def later(stock, years):
    """K applied to (sex, age, ...)."""
    for _ in range(years):
        moved = np.roll(stock, 1, axis=1)
        moved[:, -1] += moved[:, 0]
        moved[:, 0] = 0
        stock = moved
    return stock


def at_end(flows):
    """L of (sex, age, interval, ...)."""
    out = np.zeros_like(flows[:, :, 0])
    for t in range(flows.shape[2]):
        out = later(out, 1) + flows[:, :, t]
    return out


def through(function, field):
    """A linear function of a field that may be missing, which is zero."""
    return function(field) if np.ndim(field) else 0.0


class Direction:
    """Figures and operators of the survey in one direction."""

    def __init__(self, survey, years, n_ages):
        self.name, self.total = survey.flow, survey.observed == "total"
        self.figures, self.error = survey.estimate.values, survey.standard_error.values
        self.seen = np.ones(self.figures.shape, bool)
        if survey.unobserved is not None:
            self.seen = ~survey.unobserved.values
        own = [int(y) for y in survey.years]
        halves = survey.basis == "calendar year"
        self.n = len(own) + halves
        self.inner = slice(years[0] - own[0], years[0] - own[0] + len(years))
        self.H = np.eye(len(own), self.n)
        self.M = np.array([[float(y == year) for y in own] for year in years])
        if halves:
            self.H = (self.H + np.eye(len(own), self.n, 1)) / 2
            self.M = np.array([[(y in (year - 1, year)) / 2 for y in own] for year in years])
        starts = own[0] - 0.5 + np.arange(self.n)
        self.eras = {}
        for era in survey.eras:
            shift = 0 if halves else -0.5
            first, last = era.first_year + shift, era.last_year + 1 + shift
            share = np.minimum(starts + 1, last) - np.maximum(starts, first)
            self.eras[f"{era.first_year} to {era.last_year}"] = np.maximum(share, 0)
        self.G = group_shares(survey.lower_ages.values, n_ages)
        self.g = generic(n_ages, self.name)
        weight = self.G * self.g[:, None]
        self.O = weight / weight.sum(axis=2, keepdims=True)
        self.m = pulled(self.g, self.G, self.figures.mean(axis=0))

    def cells(self, x):
        """H G x, (year, sex, group, ...)."""
        return np.einsum("yt,sga,sat...->ysg...", self.H, self.G, x, optimize=True)

    def official(self, y):
        """The official rule, (sex, age, interval, ...)."""
        return np.einsum("ty,sga,ysg...->sat...", self.M, self.O, y, optimize=True)


class IndependentPosterior:
    """Rows and reported quantities of a case, jointly normal given the scales.

    Parameters
    ----------
    sources : the published figures of a case
    rows : mapping from prior to (mean, sd)
        Of a fixed row the mean is the number.
    cells : bool
        Whether every source of the gap is kept by sex and age too.
    """

    def __init__(self, sources, rows, *, cells=False):
        self.rows, self.keep_cells = rows, cells
        self._read(sources)
        self.layout = self._layout(sources)
        self.means, terms = {}, []
        self._add = lambda fields, scale=None: terms.append((scale, fields))
        self._flows()
        self._parts(sources)
        self._stocks(sources)
        self._born_before(sources)
        at_mean = self._told(self.means, 1.0)
        self.sizes = {name: q.shape[0] for name, q in at_mean[1].items()}
        self.y0, self.q0 = at_mean[0][:, 0], stacked(at_mean[1])[:, 0]
        self.terms = []  # (scale, effect on rows, effect on quantities)
        for scale, fields in terms:
            rows_told, quantities = self._told(fields, 0.0)
            self.terms.append((scale, rows_told, stacked(quantities)))

    def mu(self, name):
        return self.rows[name][0]

    def sd(self, name):
        return self.rows[name][1]

    # What was published

    def _read(self, sources):
        self.P, self.C = sources.base.count.values, sources.census.count.values
        self.detailed = [s.observed == "sex and age" for s in (sources.base, sources.census)]
        n = self.P.shape[1]
        start, end = sources.base.date.year, sources.census.date.year
        self.years, self.ages = list(range(start + 1, end + 1)), np.arange(n)
        self.T = len(self.years)
        self.B = np.zeros((2, n, self.T))
        self.B[:, 0] = sources.births.count.transpose("sex", "year").values
        self.D = sources.deaths.count.transpose("sex", "age", "year").values
        self.directions = {
            survey.flow: Direction(survey, self.years, n)
            for survey in (sources.immigration, sources.emigration)
        }
        self.known = np.zeros(self.T)
        self.uncertain = [c.name for c in sources.known_changes if c.name in self.rows]
        for change in sources.known_changes:
            for year, value in zip(change.count["year"].values, change.count.values, strict=True):
                if year in self.years:
                    self.known[self.years.index(year)] += value
        self.parts = {}
        for part in sources.administrative:
            sexes = np.array([part.male_share, 1 - part.male_share])[:, None]
            sign = SIGN[part.flow] * (1 if part.adds else -1)
            figure = sign * 2 * generic(n, part.ages_of) * sexes
            self.parts[part.name, part.flow] = figure[:, :, None] * self._mid_years(
                part.count, sources
            )
        later_series = sources.total_migration
        net = later_series.sel(flow="immigration") - later_series.sel(flow="emigration")
        total = sources.rolled_forward.total.values
        natural = self.B.sum(axis=(0, 1)) - self.D.sum(axis=(0, 1))
        self.revised = np.diff(total) - natural - self.known - self._mid_years(net, sources)
        self.g_out = generic(n, "emigration")[:, :, None]
        day = sources.census.date
        months = day.month - 1 + (day.day - 1) / calendar.monthrange(day.year, day.month)[1]
        self.after = 0.0 if (day.month, day.day) == (6, 30) else 0.5 - months / 12

    def _mid_years(self, yearly, sources):
        """Figures of the account's intervals by the official rule."""
        by_year = dict(zip(yearly["year"].values.tolist(), yearly.values, strict=True))
        if sources.immigration.basis == "calendar year":
            return np.array([(by_year[y - 1] + by_year[y]) / 2 for y in self.years])
        return np.array([by_year[y] for y in self.years])

    # What the roll-forward carried

    def _layout(self, sources):
        laid = self.B - self.D + sum(self.parts.values())
        laid = laid + self.g_out * (self.known + self.revised)
        for direction in self.directions.values():
            laid = laid + SIGN[direction.name] * direction.official(direction.figures)
        out, start = np.zeros_like(laid), self.years[0] - 1
        published, last_known = sources.rolled_forward.by_sex_and_age, start
        if published is not None:
            last_known = int(published["year"].max())
            stocks = {
                int(y): published.sel(year=y).transpose("sex", "age").values
                for y in published["year"].values
            }
            if self.detailed[0] or len(stocks) == 1:
                stocks[start] = self.P
            self._differences(dict(sorted(stocks.items())), laid, out)
        sexes, left = sources.rolled_forward.by_sex, self.years[-1] - last_known
        if sexes is not None and left > 0:
            made = later(self.P, self.T) + at_end(laid + out)
            lacks = sexes.sel(sex=["male", "female"]).values - made.sum(axis=1)
            lacks = lacks - lacks.mean()
            shape = self.g_out / self.g_out.sum(axis=1, keepdims=True)
            out[:, :, -left:] += shape * lacks[:, None, None] / left
        return out

    def _differences(self, stocks, laid, out):
        known, n, start = list(stocks), self.ages.size, self.years[0] - 1
        if len(known) < 2:
            return
        for one, two in itertools.pairwise(known):
            span = range(one - start, two - start)
            lacks = stocks[two] - later(stocks[one], two - one) - at_end(laid[:, :, span])
            cells = [  # of each cohort, in the years it lived through
                (a, a - ago if a < n - 1 else a, span[-1] - ago)
                for a in self.ages
                for ago in range(min(a + 1, two - one))
            ]
            for a, then, t in cells:
                out[:, then, t] += lacks[:, a] / min(a + 1, two - one)
            gained = out[:, :, span].sum(axis=(0, 1))
            whole = [(then, t) for a, then, t in cells if two - one - 1 <= a < n - 1]
            each = (gained - gained.mean()) * len(span) / (2 * len(whole))
            for then, t in whole:
                out[:, then, t] -= each[t - span[0]]
        first, last = known[0] - start, known[-1] - start
        out[:, :, last:] = out[:, :, first:last].mean(axis=2, keepdims=True)
        out -= out.mean(axis=(0, 1))

    # Terms of the prior

    def _flows(self):
        n_ages, both = self.ages.size, all(self.detailed)
        phi = smooth(
            n_ages,
            int(C["flow_shapes" if both else "flow_shapes_of_totals"]),
            C["flow_length_young"],
            C["flow_length_old"],
        )
        self.bell = np.exp(-(((self.ages - C["bell_centre"]) / C["bell_width"]) ** 2) / 2)
        for flow, d in self.directions.items():
            if d.total:
                half = SIGN[flow] * self.layout.mean(axis=2) / 2
                laid = np.maximum(d.m + half, C["schedule_least"] * d.m)
                d.m = laid * d.m.sum() / laid.sum()
            self.means[f"x {flow}"] = np.repeat(d.m[:, :, None], d.n, axis=2)[..., None]
            self._true_flow(flow, d, phi)
            self._bias(flow, d)

    def _true_flow(self, flow, d, phi):
        m, n = np.repeat(d.m[:, :, None], d.n, axis=2)[..., None], d.n
        x = f"x {flow}"
        self._add({x: self.sd(f"{flow}_level") * m})
        for share in d.eras.values():
            self._add({x: self.sd(f"{flow}_level") * m * share[:, None]})
        v = autoregressive(n, self.mu("flow_persistence"))
        self._add({x: m * v}, f"{flow}_years")
        shapes = phi[None, :, None, :]
        self._add({x: by_sex(m * shapes)}, f"{flow}_age")
        moving = (shapes[..., None] * v[:, None, :]).reshape(1, *m.shape[1:3], -1)
        self._add({x: by_sex(m * moving)}, f"{flow}_age_years")
        child = m * hats(self.ages.size)[None, :, None]
        self._add({x: child}, f"{flow}_children")
        self._add({x: child, f"p {flow}": -child}, f"{flow}_bias_children")
        if not d.total:
            cells = np.einsum("sa,sga,tu->satgu", d.m, d.G, np.eye(n)).reshape(*m.shape[:3], -1)
            self._add({x: by_sex(cells)}, f"{flow}_cells")
        self._schedule(flow, d, x)

    def _schedule(self, flow, d, x):
        """Errors of the schedule and the layout within groups, the same in all years."""
        one, two = int(C["edge_first"]), int(C["edge_second"])
        first = np.zeros_like(d.m)
        first[:, one:-one] = -(d.m[:, one + 1 : 1 - one or None] - d.m[:, one - 1 : -one - 1]) / 2
        second = np.gradient(first, axis=1)
        second[:, :two] = second[:, -two:] = 0
        bent = self.sd(f"{flow}_schedule") * np.stack([first, -2 * second], axis=-1)
        n_shapes = min(int(C["layout_shapes"]), self.ages.size)
        fine = smooth(self.ages.size, n_shapes, C["layout_length_young"], C["layout_length_old"])
        within = []
        for m, groups in zip(d.m, d.G, strict=True):
            weighted = groups * m
            moved = m[:, None] * fine
            share = np.linalg.solve(weighted @ groups.T, groups @ moved)
            within.append(moved - weighted.T @ share)
        layout = self.sd(f"{flow}_layout") * np.array(within)
        for effect in (bent, layout):
            self._add({x: by_sex(np.repeat(effect[:, :, None], d.n, axis=2))})

    def _bias(self, flow, d):
        m, p = np.repeat(d.m[:, :, None], d.n, axis=2)[..., None], f"p {flow}"
        row = f"{flow}_bias"
        mean = self.mu(f"{row}_level") * m
        level = {p: self.sd(f"{row}_level") * m}
        r = self.mu("bias_correlation")
        if r == 0:
            self._add(level)
        elif flow == "immigration":
            self.immigration_level = level
        else:
            self._add({p: np.sqrt(1 - r**2) * level[p]})
            self._add({p: r * level[p]} | self.immigration_level)
        sexes = np.array([1.0, -1.0])[:, None, None, None]
        self._add({p: self.sd(f"{row}_sex") * sexes * m})
        self._add({p: by_sex(self.sd(f"{row}_young") * m * self.bell[:, None, None])})
        for era, share in d.eras.items():
            own = f"{row}_era {era}" if f"{row}_era {era}" in self.rows else f"{row}_era"
            step = m * share[:, None]
            mean = mean + self.mu(own) * step
            self._add({p: self.sd(own) * step})
        v = autoregressive(d.n, self.mu("bias_persistence"))
        self._add({p: self.sd(f"{row}_drift") * m * v})
        self.means[p] = mean

    def _parts(self, sources):
        theta = self.mu("part_constant_share")
        v = autoregressive(self.T, self.mu("bias_persistence"))
        share = np.c_[np.full(self.T, np.sqrt(theta)), np.sqrt(1 - theta) * v]
        figures = [(name, figure) for (name, _), figure in self.parts.items()]
        for change in sources.known_changes:
            if change.name in self.uncertain:
                size = self.g_out * abs(change.count.values).mean()
                figures.append((change.name, np.repeat(size, self.T, axis=2)))
        for name, figure in figures:
            field, before = f"error {name}", self.means.get(f"error {name}", 0.0)
            self.means[field] = before + self.mu(name) * figure[..., None]
            self._add({field: self.sd(name) * figure[..., None] * share})
        for name, count in (("births", self.B), ("deaths", self.D)):
            self.means[name] = self.mu(name) * count[..., None]
            self._add({name: self.sd(name) * count[..., None]})

    def _stocks(self, sources):
        n = self.ages.size
        phi = smooth(
            n,
            int(C["stock_shapes" if all(self.detailed) else "stock_shapes_of_totals"]),
            C["stock_length_young"],
            C["stock_length_old"],
        )
        terms = {name: self._stock_error(name, phi) for name in ("base", "census")}
        r = self.mu("census_correlation")
        for part, effect in terms["base"].items():
            other = terms["census"][part]
            if r == 0:
                self._add({"base": effect})
                self._add({"undercount": other})
            else:
                self._add({"base": effect, "undercount": -r * other})
                self._add({"undercount": np.sqrt(1 - r**2) * other})
        self._random_error(sources.base, "base", self.detailed[0])
        carried = later(self.P, self.T)
        size = np.maximum(carried, carried.mean() / C["residual_floor"])
        self._add({"residual": by_sex(size[..., None] * phi)}, "residual")
        if self.detailed[1]:
            self._random_error(sources.census, "census", detailed=True)
            died = self.mu("deaths_cell_error") * at_end(self.D)
            tau = np.sqrt(0.5) * (died[:, 1:] + died[:, :-1]) / 2
            self._add({"misplaced": between(tau)})

    def _stock_error(self, name, phi):
        count = (self.P if name == "base" else self.C)[..., None]
        women = np.array([1.0, self.mu("stock_young_women")])[:, None, None]
        child = ramp(self.ages, C["child_none"], C["child_full"])[:, None]
        old = ramp(self.ages, C["old_none"], C["old_full"])[:, None]
        shapes = {
            "level": count * (1 - child),
            "children": count * child,
            "old": count * old,
            "young": count * women * self.bell[:, None],
        }
        field = "base" if name == "base" else "undercount"
        self.means[field] = sum(self.mu(f"{name}_{part}") * x for part, x in shapes.items())
        self._add({field: by_sex(count * phi)}, f"{name}_age")
        if self.detailed[name == "census"]:
            young = np.eye(self.ages.size)[:, self.ages < C["single_ages_below"]]
            self._add({field: self.mu("stock_single_age_error") * count * young})
        return {
            part: self.sd(f"{name}_{part}") * (by_sex(x) if part == "young" else x)
            for part, x in shapes.items()
        }

    def _cell_errors(self, stock):
        """Standard deviation of each cell, and of the total that all cells share."""
        count = stock.count.values
        cells = np.maximum(self.mu("stock_cell_error") * count, np.sqrt(np.maximum(count, 1)))
        young = (self.ages >= C["young_men_first"]) & (self.ages <= C["young_men_last"])
        cells[0, young] *= self.mu("stock_young_men_factor")
        stated, own = stock.relative_standard_error * count.sum(), np.sqrt((cells**2).sum())
        if stated == 0:
            return cells, 0.0
        if stated < own:
            return cells * stated / own, 0.0
        return cells, np.sqrt(stated**2 - own**2)

    def _random_error(self, stock, name, detailed):
        count = stock.count.values
        field = "base" if name == "base" else "shared"
        if not detailed:
            self._add({field: stock.relative_standard_error * count[..., None]})
            return
        cells, total = self._cell_errors(stock)
        self._add({field: total / count.sum() * count[..., None]})
        tau = self.mu("census_jump_error") * abs(np.diff(count, axis=1))
        tau[:, -1] = 0
        self._add({field: between(tau)})
        if name == "base":
            self._add({field: np.diag(cells.ravel()).reshape(*count.shape, -1)})

    def _error_of_births(self, born):
        stated = born.standard_error
        return C["halved_births"] * self.born if stated is None else stated.values

    def _born_before(self, sources):
        born = [s for s in sources.extra if hasattr(s, "born")]
        self.born = born[0].born.values if born else None
        self.observed, self.se = self._figures_of_rows(sources)
        if not born:
            return
        mu, sd = self.rows["children_net"]
        theta, n = self.mu("part_constant_share"), self.born.size
        v = autoregressive(n, self.mu("flow_persistence"))
        size = self.born * (np.arange(n) + 0.5)
        effect = size[:, None] * np.c_[np.full(n, np.sqrt(theta)), np.sqrt(1 - theta) * v]
        effect *= sd * self.born.sum() / np.sqrt((effect.sum(axis=0) ** 2).sum())
        self._add({"moved before": effect})
        self.means["moved before"] = mu * self.born[:, None]
        since = self.B[:, :, -n:].sum()
        left = self.P[:, :n].sum(axis=0) - self.born + born[0].died.values
        self.observed = np.r_[self.observed, left, mu * since]
        self.se = np.r_[self.se, self._error_of_births(born[0]), sd * since]

    # What the fields say of rows and quantities

    def _figures_of_rows(self, sources):
        observed, errors = [], []
        for d in self.directions.values():
            if d.total:
                whole = d.seen.all(axis=(1, 2))
                observed.append(d.figures.sum(axis=(1, 2))[whole])
                errors.append(np.sqrt((d.error**2).sum(axis=(1, 2)))[whole])
            else:
                observed.append(d.figures[d.seen])
                errors.append(d.error[d.seen])
        stated, self.census_detail = (
            sources.census.relative_standard_error,
            sources.census.observed,
        )
        if self.census_detail == "total":
            count = np.array([self.C.sum()])
            error = stated * count
        elif self.census_detail == "sex":
            count = self.C.sum(axis=1)
            error = np.sqrt(2) * stated * count
        else:
            count, error = self.C.ravel(), self._cell_errors(sources.census)[0].ravel()
        return np.concatenate([*observed, count]), np.concatenate([*errors, error])

    def _told(self, fields, one):
        """Rows and quantities for fields (..., k); published figures enter times `one`."""
        k = next(iter(fields.values())).shape[-1]

        def figure(x):
            return one * x[..., None]

        def field(name):
            return fields.get(name, 0.0)

        natural = figure(self.B - self.D) + field("births") - field("deaths")
        net = figure(sum(self.parts.values()))
        part_names = dict.fromkeys(name for name, _ in self.parts)
        for name in part_names:
            net = net - field(f"error {name}")
        for flow, d in self.directions.items():
            net = net + SIGN[flow] * through(lambda x, d=d: x[:, :, d.inner], field(f"x {flow}"))
        change = natural + net + figure(self.g_out * self.known)
        for name in self.uncertain:
            change = change - field(f"error {name}")
        base = through(lambda x: later(x, self.T), field("base"))
        end = figure(later(self.P, self.T)) - base + at_end(change)
        end = end + field("residual") - field("misplaced")
        last = self.after * (natural + net)[:, :, -1].sum(axis=(0, 1))
        moved = (self.C / self.C.sum())[..., None] * last
        counted = end - moved - field("undercount")
        sources = self._sources(fields, figure)
        sources |= {
            "base": base,
            "births": -through(at_end, field("births")),
            "deaths": through(at_end, field("deaths")) + field("misplaced"),
            "census_coverage": field("undercount"),
            "census_sampling": counted - figure(self.C),
            "flows_revised_since": figure(at_end(self.g_out * self.revised)),
            "date_change": moved,
            "residual": -field("residual"),
        }
        for name in (*part_names, *self.uncertain):
            sources[name] = through(at_end, field(f"error {name}"))
        rows = self._rows(fields, counted - field("shared"), net)
        rows = [np.broadcast_to(r, (r.shape[0], k)) for r in rows]
        return np.concatenate(rows), self._quantities(sources, net, end, k)

    def _rows(self, fields, census, net):
        rows = []
        for flow, d in self.directions.items():
            cells = through(d.cells, fields.get(f"x {flow}", 0.0) + fields.get(f"p {flow}", 0.0))
            if not np.ndim(cells):
                cells = np.zeros((*d.figures.shape, 1))
            if d.total:
                rows.append(cells.sum(axis=(1, 2))[d.seen.all(axis=(1, 2))])
            else:
                rows.append(cells[d.seen])
        axes = {"total": (0, 1), "sex": (1,), "sex and age": ()}[self.census_detail]
        census = census.sum(axis=axes) if axes else census
        rows.append(census.reshape(-1, census.shape[-1]))
        if self.born is not None:
            n = self.born.size
            before = through(lambda x: x[:, :n].sum(axis=0), fields.get("base", 0.0))
            before = before + fields.get("moved before", np.zeros((n, 1)))
            young = at_end(net)[:, : min(n, self.T)].sum(axis=(0, 1))
            rows += [before, young[None]]
        return rows

    def _sources(self, fields, figure):
        """Bias, sampling, conversion, and ages and sexes of the flows."""
        out = {"period_conversion": 0.0, "ages_and_sexes_of_flows": figure(at_end(self.layout))}
        for flow, d in self.directions.items():
            x, p, sign = fields.get(f"x {flow}", 0.0), fields.get(f"p {flow}", 0.0), SIGN[flow]

            def carried(y, d=d, sign=sign):
                return sign * at_end(d.official(y))

            error = figure(d.figures) - through(d.cells, x + p)
            sampling = error
            if d.total:
                shape = d.figures / d.figures.sum(axis=(1, 2), keepdims=True)
                sampling = shape[..., None] * error.sum(axis=(1, 2), keepdims=True)
            out[f"{flow}_bias"] = through(lambda y, d=d, c=carried: c(d.cells(y)), p)
            out[f"{flow}_sampling"] = carried(sampling)
            ruled = through(lambda y, d=d: d.official(d.cells(y)) - y[:, :, d.inner], x)
            years = through(lambda y: y.sum(axis=(0, 1)), ruled)
            period = through(lambda y, d=d: (d.m / d.m.sum())[:, :, None, None] * y, years)
            out["period_conversion"] = out["period_conversion"] + sign * through(at_end, period)
            out["ages_and_sexes_of_flows"] = (
                out["ages_and_sexes_of_flows"]
                + sign * through(at_end, ruled - period)
                + (carried(error - sampling) if d.total else 0.0)
            )
        return out

    def _quantities(self, sources, net, end, k):
        n = self.ages.size
        cells = {name: np.broadcast_to(x, (2, n, k)) for name, x in sources.items()}
        total = {name: x.sum(axis=(0, 1), keepdims=True)[0] for name, x in cells.items()}
        out = {f"gap[{name}]": x for name, x in total.items()}
        parts = {name for name, _ in self.parts}
        both = {f"{flow}_{what}" for flow in SIGN for what in ("bias", "sampling")}
        groups = {
            "births and deaths": {"births", "deaths"},
            "census": {"census_coverage", "census_sampling"},
            "migration": parts | both | {"period_conversion", "ages_and_sexes_of_flows"},
        }
        for group, members in groups.items():
            out[f"group[{group}]"] = sum(total[name] for name in sorted(members))
        yearly = np.broadcast_to(net.sum(axis=(0, 1)), (self.T, k))
        out |= {f"net_migration[{y}]": yearly[i : i + 1] for i, y in enumerate(self.years)}
        out["net_migration[all years]"] = yearly.sum(axis=0, keepdims=True)
        whole = end.sum(axis=(0, 1))[None]
        out[f"population[{self.years[-1]}]"] = np.broadcast_to(whole, (1, k))
        if self.keep_cells:
            out |= {f"cells[{name}]": x.reshape(-1, k) for name, x in cells.items()}
        return out

    # The posterior

    def _covariances(self, h):
        """Of rows with themselves, of rows and quantities, and variances of quantities."""
        rows, quantities = self.y0.size, self.q0.size
        yy, qy = np.diag(self.se**2), np.zeros((quantities, rows))
        variance = np.zeros(quantities)
        for scale, on_rows, on_quantities in self.terms:
            square = 1.0
            if scale is not None:
                square = (self.sd(scale) * np.exp(self.mu("scale_log_sd") * h[scale])) ** 2
            yy += square * on_rows @ on_rows.T
            qy += square * on_quantities @ on_rows.T
            variance += square * (on_quantities**2).sum(axis=1)
        return yy, qy, variance

    def moments(self, h):
        """Posterior mean and sd of every quantity by name, at log scales h by name."""
        yy, qy, variance = self._covariances(h)
        factor = cho_factor(yy)
        mean = self.q0 + qy @ cho_solve(factor, self.observed - self.y0)
        variance = variance - np.einsum("qy,yq->q", qy, cho_solve(factor, qy.T))
        sd = np.sqrt(np.maximum(variance, 0))
        ends = np.cumsum(list(self.sizes.values()))[:-1]
        split = zip(self.sizes, np.split(mean, ends), np.split(sd, ends), strict=True)
        return {name: (m, s) for name, m, s in split}

    def log_density(self, h):
        """Log of p(h | y) up to a constant."""
        if max(abs(x) for x in h.values()) > C["largest_log_scale"]:
            return -np.inf
        factor = cho_factor(self._covariances(h)[0])
        left = self.observed - self.y0
        log_determinant = 2 * np.log(np.diag(factor[0])).sum()
        square = sum(x**2 for x in h.values())
        return -0.5 * (left @ cho_solve(factor, left) + log_determinant + square)


def between(tau):
    """Moves from each age to the next, (sex, age, move): up if positive, zero in sum."""
    n = tau.shape[1]
    moves = np.eye(n + 1, n, -1) - np.eye(n + 1, n)
    return by_sex(tau[:, None, :] * moves)


def stacked(quantities):
    return np.concatenate([q.reshape(-1, q.shape[-1]) for q in quantities.values()])
