"""What a published roll-forward carried in its cells, told again and not imported.

Each published stock is aged a year at a time with births, deaths and flows as they are laid
out; what the next published stock has more of a cohort was carried, evenly over the years.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from imps.names import AGE, SEX, SEXES, YEAR
from imps.sources import Sources


def carried_beyond(sources: Sources, laid: np.ndarray, emigrants: np.ndarray) -> np.ndarray:
    """Net flow carried beyond what is laid out (sex, age, interval), persons a year.

    Parameters
    ----------
    laid : ndarray (sex, age, interval)
        Births, minus deaths, net flows and other changes as laid out, by age reached.
    emigrants : ndarray (sex, age)
        Schedule by which the published sexes of the last mid-year are spread.
    """
    first, n = sources.first_year, laid.shape[2]
    out, published = np.zeros_like(laid), _published(sources)
    years = sorted(published)
    if len(years) > 1:
        for start, end in pairwise(years):
            stock, span = published[start], range(start - first, end - first)
            for t in span:
                stock = _a_year_older(stock) + laid[:, :, t]
            lacks = published[end] - stock
            for s in range(2):
                for a in range(lacks.shape[1]):
                    _lay_back(out[s], a, lacks[s, a], span)
        inside = slice(years[0] - first, years[-1] - first)
        for t in range(years[-1] - first, n):
            out[:, :, t] = out[:, :, inside].mean(axis=2)
        for t in range(n):
            out[:, :, t] -= out[:, :, t].mean()
    by_sex, cells = sources.rolled_forward.by_sex, sources.rolled_forward.by_sex_and_age
    last = first if cells is None else int(cells[YEAR].max())
    if by_sex is not None and sources.last_year > last:
        stock = sources.base.count.values
        for t in range(n):
            stock = _a_year_older(stock) + laid[:, :, t] + out[:, :, t]
        more = by_sex.sel({SEX: list(SEXES)}).values - stock.sum(axis=1)
        more = (more - more.mean()) / (sources.last_year - last)
        for t in range(last - first, n):
            out[:, :, t] += emigrants / emigrants.sum(axis=1)[:, None] * more[:, None]
    return out


def _published(sources: Sources) -> dict[int, np.ndarray]:
    cells = sources.rolled_forward.by_sex_and_age
    if cells is None:
        return {}
    out = {int(y): cells.sel({YEAR: y}).transpose(SEX, AGE).values for y in cells[YEAR].values}
    if sources.base.fixes_cells or len(out) == 1:
        out[sources.first_year] = sources.base.count.values
    return {year: stock for year, stock in out.items() if year <= sources.last_year}


def _lay_back(out: np.ndarray, age: int, lacks: float, span: range) -> None:
    """Share what a cohort lacks over the years of a span in which it was alive."""
    open_age = out.shape[0] - 1
    lived = min(age + 1, len(span))
    for ago in range(lived):
        at = open_age if age == open_age else age - ago
        out[at, span[-1] - ago] += lacks / lived


def _a_year_older(stock: np.ndarray) -> np.ndarray:
    out = np.zeros_like(stock)
    out[:, 1:] = stock[:, :-1]
    out[:, -1] += stock[:, -1]
    return out
