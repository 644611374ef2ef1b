"""Covariance of the rows in blocks: the same numbers as the dense matrix gives."""

import numpy as np
import pytest
import scipy.sparse as sp

from imps.posterior import block_cholesky
from imps.posterior.covariance import Effects, RowCovariance

EXACT = 1e-10  # relative: two orders of the same elimination

# Two surveys that meet in the census alone, a register tied to the first, a source with two rows.
SOURCES = ["in"] * 4 + ["out"] * 3 + ["census"] * 5 + ["register"] * 2 + ["in"]
SEES = {"in": (0, 1, 6), "out": (2, 3), "census": (0, 1, 2, 3, 4, 5), "register": (1, 6)}
SCALE_OF = np.repeat([0, -1, 1, -1, 2, -1, 3], 4)


@pytest.fixture
def white(rng):
    effects = rng.standard_normal((len(SOURCES), SCALE_OF.size))
    for row, source in enumerate(SOURCES):
        for block in set(range(7)) - set(SEES[source]):
            effects[row, 4 * block : 4 * block + 4] = 0.0
    return effects


# Each row less some of the earlier ones, and a block that all sources but one see.
COMBINE = np.eye(15)
COMBINE[9, [0, 3]], COMBINE[12, 4], COMBINE[14, 13] = (-0.5, 0.3), 1.2, -1.0
COMMON = np.arange(SCALE_OF.size) < 8  # with a scale and without


@pytest.fixture(params=["as they are", "combined", "beside", "combined and beside"])
def rows(request, white, monkeypatch):
    monkeypatch.setattr(block_cholesky, "CALL", 0)  # few rows: blocks apart all the same
    combine = sp.csr_array(COMBINE) if "combined" in request.param else None
    common = COMMON if "beside" in request.param else None
    return RowCovariance(white, SCALE_OF, 4, SOURCES, combine, common)


def dense(white, squares):
    return np.eye(len(white)) + (white * np.r_[squares, 1.0][SCALE_OF]) @ white.T


def test_sources_that_share_nothing_stand_apart(white, monkeypatch):
    monkeypatch.setattr(block_cholesky, "CALL", 0)
    rows = RowCovariance(white, SCALE_OF, 4, SOURCES)
    names = [{SOURCES[i] for i in part} for part in rows.parts]
    assert {"out"} in names
    assert len(names) > 2
    for i, j in {(a, b) for a in range(len(names)) for b in range(a)} - set(rows.blocks):
        assert not (white[rows.parts[i]] @ white[rows.parts[j]].T).any()


def test_few_rows_are_one_block(white):
    assert len(RowCovariance(white, SCALE_OF, 4, SOURCES).parts) == 1


def test_an_order_that_fills_nothing():
    """A chain of neighbours with a leaf at each: none reaches further than its neighbour."""
    shared = np.eye(8, dtype=bool)
    for i, j in [(0, 1), (1, 2), (2, 3), (4, 0), (5, 1), (6, 2), (7, 3)]:
        shared[i, j] = shared[j, i] = True
    rows = np.split(np.arange(8 * 90), 8)
    found = block_cholesky.pattern(rows, shared)
    assert sorted(np.concatenate(found.parts).tolist()) == list(range(8 * 90))
    assert all(len(below) <= 1 for below in found.below)


def test_every_product_equals_that_of_the_dense_matrix(rows, white, rng):
    squares = rng.random((40, 4)) + 0.1  # more points than are formed at once
    x = rng.standard_normal((len(SOURCES), 3))
    for s2, factor in zip(squares, rows.factors(squares), strict=True):
        c = dense(white, s2)
        assert factor.log_determinant == pytest.approx(np.linalg.slogdet(c)[1], rel=EXACT)
        expected = np.linalg.solve(c, x)
        np.testing.assert_allclose(factor.solve(x), expected, rtol=1e-8, atol=EXACT)
        np.testing.assert_allclose(factor.solve(x[:, 0]), expected[:, 0], rtol=1e-8, atol=EXACT)
        half = factor.half(x)
        np.testing.assert_allclose(half.T @ half, x.T @ expected, rtol=1e-8, atol=EXACT)
        inverse = np.linalg.inv(c)
        if rows.rows.combine is not None:
            back = np.linalg.inv(COMBINE)
            inverse = back.T @ inverse @ back
        for (i, j), block in factor.inverse.items():
            found = inverse[np.ix_(rows.parts[i], rows.parts[j])]
            np.testing.assert_allclose(block, found, rtol=1e-8, atol=EXACT)


def test_slope_is_that_of_the_likelihood(rows, white, rng):
    s2, r = rng.random(4) + 0.1, rng.standard_normal(len(SOURCES))
    factor = rows.factor(s2)
    a = np.linalg.solve(dense(white, s2), r)
    inverse = np.linalg.inv(dense(white, s2))
    kernels = [white[:, b == SCALE_OF] @ white[:, b == SCALE_OF].T for b in range(4)]
    expected = [a @ k @ a - np.trace(inverse @ k) for k in kernels]
    np.testing.assert_allclose(rows.slope(factor, r), expected, rtol=1e-8)


def test_one_source_alone_is_a_border_without_blocks(white, rng):
    few = slice(7, 12)
    alone = RowCovariance(white[few], SCALE_OF, 4, SOURCES[few])
    s2, x = rng.random(4), rng.standard_normal(5)
    assert len(alone.parts) == 1
    expected = np.linalg.solve(dense(white[few], s2), x)
    np.testing.assert_allclose(alone.factor(s2).solve(x), expected, rtol=1e-8)


def test_what_is_no_covariance_is_an_error(rows):
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        rows.factor(np.full(4, -1.0))


def test_draws_are_the_same_without_kept_factors(posterior):
    grid = posterior.grid(posterior.proposal(seed=2), 64, seed=2)
    assert len(grid.factors) == 64
    kept = posterior.draw(grid, 100, seed=3)
    anew = posterior.draw_at_points(grid.points, grid.weights, 100, seed=3)
    np.testing.assert_array_equal(kept[0], anew[0])
    np.testing.assert_allclose(kept[1], anew[1], rtol=1e-9, atol=1e-9)


# Two surveys of many cells that smooth effects hold together, and the census that sees both.
AGES, TIMES, SMOOTH = 70, 6, 9


@pytest.fixture(params=[False, True], ids=["seen by all rows", "in halves with a border"])
def many_cells(request, rng):
    """Effects, their scales and the sources: cells of two surveys tied to the year before.

    Of the smooth effects three are of the first half of the ages, three of the second, if asked.
    """
    n = AGES * TIMES
    tied = np.kron(np.eye(AGES), 0.5 * (np.eye(TIMES) + np.eye(TIMES, k=-1)))
    census = np.kron(np.eye(AGES), np.ones(TIMES))
    size = rng.random(n) + 0.2
    white = np.zeros((2 * n + AGES, 2 * (n + SMOOTH) + 20))
    for k in (0, 1):
        rows, at = slice(k * n, (k + 1) * n), k * (n + SMOOTH)
        white[rows, at : at + n] = tied * size
        white[2 * n :, at : at + n] = (-1) ** k * census * size
        white[rows, at + n : at + n + SMOOTH] = rng.standard_normal((n, SMOOTH))
        white[2 * n :, at + n : at + n + SMOOTH] = rng.standard_normal((AGES, SMOOTH))
        if request.param:
            old, census_of_old = slice(k * n + n // 2, (k + 1) * n), slice(2 * n + AGES // 2, None)
            young, of_young = slice(k * n, k * n + n // 2), slice(2 * n, 2 * n + AGES // 2)
            for there in (old, census_of_old):
                white[there, at + n : at + n + 3] = 0.0
            for there in (young, of_young):
                white[there, at + n + 3 : at + n + 6] = 0.0
    white[2 * n :, -20:] = 3 * rng.standard_normal((AGES, 20))
    smooth = np.r_[np.repeat(1, 5), np.repeat(-1, 4)]
    scale_of = np.r_[np.zeros(n), smooth, np.full(n, 2), smooth + 2 * (smooth > 0)]
    scale_of = np.r_[scale_of, np.full(10, -1), np.full(10, 4)].astype(int)
    return white, scale_of, ["in"] * n + ["out"] * n + ["census"] * AGES


def test_surveys_of_many_cells_stand_by_their_smaller_side(many_cells, rng):
    white, scale_of, sources = many_cells
    halves = not white[AGES * TIMES - 1, AGES * TIMES]
    bounds = np.full(5, 1e-5), np.full(5, 50.0)
    asked = rng.standard_normal((3, white.shape[1]))  # quantities: of cells, smooth parts and rest
    rows = RowCovariance(white.copy(), scale_of, 5, sources, bounds=bounds, asked=asked)
    assert [leaf.smooth.size for leaf in rows.leaves] == [SMOOTH, SMOOTH]
    assert [len(leaf.pattern.parts) for leaf in rows.leaves] == [3 if halves else 1] * 2
    x = rng.standard_normal((len(white), 3))
    within, beyond = np.exp(rng.uniform(-6, 3, (3, 5))), np.array([[200.0, 1.0, 1e-7, 1.0, 1.0]])
    squares = np.vstack([within, beyond])
    for s2, factor in zip(squares, rows.factors(squares), strict=True):
        effects = white * np.sqrt(np.append(s2, 1.0))[scale_of]
        c = np.eye(len(white)) + effects @ effects.T
        expected = np.linalg.solve(c, x)
        assert factor.log_determinant == pytest.approx(np.linalg.slogdet(c)[1], rel=EXACT)
        np.testing.assert_allclose(factor.solve(x), expected, rtol=1e-7, atol=EXACT)
        half = factor.half(x)
        np.testing.assert_allclose(half.T @ half, x.T @ expected, rtol=1e-8, atol=EXACT)
        turned = rows.rows.combined(x[:, 0])
        assert factor.square_of_combined(turned) == pytest.approx(x[:, 0] @ expected[:, 0])
        s = np.sqrt(np.append(s2, 1.0))[scale_of]
        cross = np.linalg.solve(c, effects @ (s * asked).T)
        rough = s * asked
        rough[:, np.concatenate([leaf.smooth for leaf in rows.leaves])] = 0.0
        square, shift, change = factor.learnt(turned, rows.crossed(effects @ rough.T).T)
        assert square == pytest.approx(x[:, 0] @ expected[:, 0])
        np.testing.assert_allclose(shift, x[:, 0] @ cross, rtol=1e-7, atol=EXACT)
        learnt = ((s * asked) ** 2).sum(axis=1) - ((effects @ (s * asked).T) * cross).sum(axis=0)
        np.testing.assert_allclose((rough**2).sum(axis=1) + change, learnt, rtol=1e-7, atol=EXACT)
        solved = np.linalg.solve(c, np.column_stack([x[:, :1], white]))
        each = (white.T @ solved[:, 0]) ** 2 - (white * solved[:, 1:]).sum(axis=0)
        slope = [each[scale_of == b].sum() for b in range(5)]
        found = s2 * rows.slope(factor, x[:, 0])  # in the logarithm of the scales
        np.testing.assert_allclose(found, s2 * slope, rtol=1e-6, atol=1e-6)


def test_products_with_effects_are_those_of_the_matrix(many_cells, rng):
    white, _, sources = many_cells
    effects = Effects(white, sources)
    w, y = rng.standard_normal((4, white.shape[1])), rng.standard_normal((4, white.shape[0]))
    np.testing.assert_allclose(effects.of(w), w @ white.T, atol=1e-10)
    np.testing.assert_allclose(effects.back(y), y @ white, atol=1e-10)
